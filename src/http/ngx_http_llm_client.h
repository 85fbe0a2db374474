/*
 * Clients: who may call, known by the keys that were given to them, and the
 * users and organisations that they belong to.
 *
 * clients.c       llm_clients: the file, read when the configuration is
 * client_make.c   a record becomes what requests look at
 * client_live.c   records made at run time, as this worker knows them
 * pattern.c       names that a client may use
 * auth.c          llm_auth: whose key is this?
 * allowed.c       may it use this?
 */

#ifndef _NGX_HTTP_LLM_CLIENT_H_INCLUDED_
#define _NGX_HTTP_LLM_CLIENT_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_client.h"
#include "llm_index.h"


typedef struct ngx_http_llm_client_s    ngx_http_llm_client_t;
typedef struct ngx_http_llm_clients_s   ngx_http_llm_clients_t;
typedef struct ngx_http_llm_patterns_s  ngx_http_llm_patterns_t;


typedef struct {
    u_char                      sha256[32];
    llm_msec_t                  expires;        /* LLM_NEVER */
    ngx_http_llm_client_t      *client;
} ngx_http_llm_client_key_t;


/*
 * A client; and in the same form a user or an organisation, which have neither
 * keys nor lists of what they may use.  Immutable once made, but for `refs` and
 * `hidden`, which are of this worker.
 */
struct ngx_http_llm_client_s {
    ngx_str_t                   id;
    uint64_t                    id_hash;
    ngx_str_t                   name;
    ngx_str_t                   prefix;         /* of its newest key */
    ngx_str_t                   user;           /* or empty, all of them */
    ngx_str_t                   org;
    ngx_str_t                   timezone;       /* of an organisation */
    ngx_str_t                   metadata;       /* a JSON object */
    ngx_str_t                   text;           /* the whole record, as JSON */
    ngx_http_llm_client_key_t  *keys;
    ngx_uint_t                  nkeys;
    llm_msec_t                  expires;        /* LLM_NEVER */
    ngx_http_llm_patterns_t    *models;         /* NULL: all */
    ngx_http_llm_patterns_t    *routes;         /* NULL: all */
    ngx_array_t                *rules;          /* ngx_http_llm_rule_t *, from
                                                   limits and budgets; NULL */
    ngx_pool_t                 *pool;           /* of its own, made at run time;
                                                   NULL: of the file */
    ngx_uint_t                  refs;
    unsigned                    kind:2;         /* llm_party_t */
    unsigned                    priority:2;     /* llm_priority_t */
    unsigned                    disabled:1;
    unsigned                    hidden:1;       /* a newer record took over */
};


/*
 * Who sent a request: found once, kept until the request ends, whatever is
 * changed meanwhile.  `user` and `org` are the ids that count for it, with
 * their hashes (0 where there is none); the records may be missing.
 */
typedef struct {
    ngx_http_llm_client_t      *client;
    ngx_str_t                   user;
    ngx_str_t                   org;
    uint64_t                    user_hash;
    uint64_t                    org_hash;
    ngx_http_llm_client_t      *user_record;    /* NULL: there is none */
    ngx_http_llm_client_t      *org_record;
    unsigned                    by_key:1;       /* it showed a key of ours */
} ngx_http_llm_caller_t;


/* Who was let in by llm_auth; NULL: nobody.  Also for subrequests, and before
 * the content handler runs. */
ngx_http_llm_caller_t *ngx_http_llm_caller(ngx_http_request_t *r);

static ngx_inline ngx_http_llm_client_t *
ngx_http_llm_client(ngx_http_request_t *r)
{
    ngx_http_llm_caller_t  *caller;

    caller = ngx_http_llm_caller(r);

    return caller ? caller->client : NULL;
}


#endif /* _NGX_HTTP_LLM_CLIENT_H_INCLUDED_ */
