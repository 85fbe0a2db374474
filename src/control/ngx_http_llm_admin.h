
/*
 * llm_admin: one call of the API, from its request to its JSON answer.
 *
 * admin.c          the directive, a request and its body
 * admin_calls.c    the table of calls
 * admin_access.c   who may call
 * admin_json.c     trees of JSON, refusals, and the answer on its way
 * admin_wait.c     answers that wait for Redis
 * admin_view.c     what a split looks like
 * admin_split.c    calls about splits
 * admin_all.c      what all nodes know: experiments, the audit trail
 * admin_client.c   calls about clients, users, organisations
 * admin_record.c   their records and keys
 * admin_switch.c   calls about providers, models, keys
 * admin_limit.c    the call about limits and budgets
 * admin_redis.c    the call about Redis and the other nodes
 */


#ifndef _NGX_HTTP_LLM_ADMIN_H_INCLUDED_
#define _NGX_HTTP_LLM_ADMIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <cjson/cJSON.h>

#include "ngx_http_llm.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_ADMIN_BODY    65536
#define NGX_HTTP_LLM_ADMIN_REASON  500         /* bytes of a reason */


struct ngx_http_llm_admin_conf_s {
    ngx_str_t                   prefix;        /* the location's name */
    ngx_array_t                 names;         /* ngx_str_t: of the server */
    ngx_str_t                   token;         /* empty: local peers only */
    ngx_int_t                   realip;        /* index of the variable with the
                                                  address before realip, or
                                                  NGX_ERROR: no such module */
};


typedef struct ngx_http_llm_admin_s  ngx_http_llm_admin_t;

/*
 * A call's handler and its helpers return NGX_OK (go on), NGX_DONE (the answer
 * stands in a->answer and a->status) or NGX_ERROR (no memory: 500).  A handler
 * ends with NGX_DONE or NGX_ERROR; or, when it waits for Redis, with NGX_AGAIN.
 */

typedef ngx_int_t (*ngx_http_llm_admin_pt)(ngx_http_llm_admin_t *a);

typedef struct ngx_http_llm_admin_wait_s  ngx_http_llm_admin_wait_t;

typedef struct {
    ngx_uint_t                  method;        /* NGX_HTTP_GET, _PUT, ... */
    ngx_str_t                   path;          /* "splits/" + NAME when it ends
                                                  in a slash */
    ngx_str_t                   verb;          /* the path's last part */
    ngx_http_llm_admin_pt       handler;
    char                       *shown;         /* in the index */
} ngx_http_llm_admin_call_t;


struct ngx_http_llm_admin_s {
    ngx_http_request_t         *request;
    ngx_http_llm_main_conf_t   *lmcf;
    ngx_http_llm_admin_conf_t  *conf;
    ngx_http_llm_admin_call_t  *call;
    ngx_str_t                   name;          /* NAME of the path */
    cJSON                      *body;          /* of a change; NULL: empty */
    ngx_http_llm_actor_t        actor;         /* of a change */

    ngx_uint_t                  status;
    cJSON                      *answer;        /* freed with the request */
    ngx_uint_t                  failed;        /* memory, while it was built */

    ngx_http_llm_split_t       *split;         /* of a change that waits … */
    uint64_t                    version;
    llm_verb_t                  verb;

    cJSON                      *list;          /* … of what is read … */
    ngx_uint_t                  next;          /* … from here on */
};


/* calls.c: the call of this method and path; NGX_OK, or refused. */

ngx_int_t ngx_http_llm_admin_find(ngx_http_llm_admin_t *a);


/* access.c: NGX_OK, or refused. */

ngx_int_t ngx_http_llm_admin_access(ngx_http_llm_admin_t *a);

/* What a change needs beside access: it comes from no foreign page. */

ngx_int_t ngx_http_llm_admin_change_access(ngx_http_llm_admin_t *a);

/* Who makes this change, for the audit trail. */

ngx_int_t ngx_http_llm_admin_actor(ngx_http_llm_admin_t *a);

ngx_table_elt_t *ngx_http_llm_admin_header(ngx_http_request_t *r, char *name,
    size_t len);


/* json.c: members of an object, or elements of an array when `name` is NULL. */

cJSON *ngx_http_llm_admin_put(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, cJSON *item);
cJSON *ngx_http_llm_admin_put_object(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name);
cJSON *ngx_http_llm_admin_put_array(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name);
void ngx_http_llm_admin_put_str(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, const ngx_str_t *text);
void ngx_http_llm_admin_put_word(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, llm_str_t word);
void ngx_http_llm_admin_put_number(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, double n);
void ngx_http_llm_admin_put_bool(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, ngx_uint_t on);
void ngx_http_llm_admin_put_null(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name);

/* Text that is JSON already; an element of an array. */

void ngx_http_llm_admin_put_raw(ngx_http_llm_admin_t *a, cJSON *parent,
    const ngx_str_t *text);

/* 2026-11-20T09:30:00.125Z; null for 0. */

void ngx_http_llm_admin_put_time(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, llm_msec_t t);

/* part of n in percent with two decimals, sum / n, or null without samples; a
 * member whose name is not a literal. */

void ngx_http_llm_admin_put_share(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, uint64_t part, uint64_t n);
void ngx_http_llm_admin_put_ratio(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, double sum, double n);
void ngx_http_llm_admin_put_percent(ngx_http_llm_admin_t *a, cJSON *parent,
    const ngx_str_t *name, uint32_t bp);

/* For what is answered later: the handler that asks for it ends with NGX_AGAIN.
 * back: the call, or NULL when nobody waits for its answer any more; `wait` is
 * gone then.  peek: the same, and `wait` stays.  then: sends the answer. */

ngx_http_llm_admin_wait_t *ngx_http_llm_admin_wait(ngx_http_llm_admin_t *a);
ngx_http_llm_admin_t *ngx_http_llm_admin_back(ngx_http_llm_admin_wait_t *wait);
ngx_http_llm_admin_t *ngx_http_llm_admin_peek(ngx_http_llm_admin_wait_t *wait);
void ngx_http_llm_admin_then(ngx_http_llm_admin_t *a, ngx_int_t rc);

/* What a content handler returns for a call that ended so. */

ngx_int_t ngx_http_llm_admin_end(ngx_http_llm_admin_t *a, ngx_int_t rc);

/* The answer's object, made when it is asked for the first time. */

cJSON *ngx_http_llm_admin_root(ngx_http_llm_admin_t *a);

/* Answers {"error":{"code","message"}}: NGX_DONE or NGX_ERROR.  The format is
 * nginx's. */

ngx_int_t ngx_http_llm_admin_refuse(ngx_http_llm_admin_t *a, ngx_uint_t status,
    const char *code, const char *fmt, ...);

/* The body's members are those named, each at most once; NGX_OK or refused.  An
 * array of names that ends with NULL. */

ngx_int_t ngx_http_llm_admin_members(ngx_http_llm_admin_t *a,
    const char **names);

/* Members of the body: NGX_OK, NGX_DECLINED (not there), or refused. */

ngx_int_t ngx_http_llm_admin_get_bool(ngx_http_llm_admin_t *a,
    const char *name, ngx_uint_t *on);
ngx_int_t ngx_http_llm_admin_get_str(ngx_http_llm_admin_t *a,
    const char *name, ngx_str_t *text);
ngx_int_t ngx_http_llm_admin_get_version(ngx_http_llm_admin_t *a,
    uint64_t *version);

/* "reason" goes into the actor. */

ngx_int_t ngx_http_llm_admin_get_reason(ngx_http_llm_admin_t *a);

/* Sends the answer, or frees it: what a content handler returns. */

ngx_int_t ngx_http_llm_admin_send(ngx_http_llm_admin_t *a);


/* view.c: the members of a split's document. */

void ngx_http_llm_admin_view(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, const llm_split_doc_t *doc, cJSON *out);
void ngx_http_llm_admin_view_short(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, const llm_split_doc_t *doc, cJSON *out);


/* The calls. */

ngx_int_t ngx_http_llm_admin_splits(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_split(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_split_set(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_split_verb(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_experiments(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_experiment(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_providers(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_provider_set(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_models(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_model_set(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_keys(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_key_set(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_limits(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_audit(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_parties(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_party(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_party_set(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_party_delete(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_client_new(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_client_rotate(ngx_http_llm_admin_t *a);
ngx_int_t ngx_http_llm_admin_redis(ngx_http_llm_admin_t *a);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_ADMIN_H_INCLUDED_ */
