/*
 * Clients: who may call, known by the keys that were given to them, and the
 * users and organisations that they belong to.
 *
 * clients.c       llm_clients: the file, read when the configuration is
 * client_make.c   a record becomes what requests look at
 * client_rules.c  limits and budgets of a record
 * client_live.c   records made at run time, as this worker knows them
 * pattern.c       names that a client may use
 * auth_conf.c     llm_auth: the directive
 * auth.c          whose key is this?
 * allowed.c       may it use this?
 */

#ifndef _NGX_HTTP_LLM_CLIENT_H_INCLUDED_
#define _NGX_HTTP_LLM_CLIENT_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_client.h"
#include "llm_index.h"

#include "ngx_http_llm_party.h"
#include "ngx_http_llm_store.h"

#pragma GCC visibility push(hidden)


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
    ngx_queue_t                 queue;          /* of those made at run time */
    uint64_t                    version;        /* 0: of the file */
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


/*
 * All clients of a configuration.  Part of the main configuration; what is
 * `live` is this worker's own.
 */
struct ngx_http_llm_clients_s {
    ngx_str_t                   file;           /* llm_clients; or empty */
    ngx_http_llm_store_t       *store;
    ngx_pool_t                 *pool;
    ngx_log_t                  *log;
    ngx_uint_t                  used;           /* llm_auth, somewhere */

    /* of the file */
    ngx_array_t                 list[LLM_PARTY_N];  /* … _client_t * */
    llm_index_t                 keys;               /* … _client_key_t * */
    llm_index_t                 ids[LLM_PARTY_N];   /* … _client_t * */

    /* made once for each text: of the file, for records at run time too */
    llm_index_t                 patterns;           /* … _pattern_t * */
    llm_index_t                 sets;               /* … _patterns_t * */
    llm_index_t                 rules;              /* … _client_rules_t * */
    llm_index_t                 zones;              /* … _client_zone_t * */

    /* live */
    ngx_pool_t                 *live_pool;          /* NULL: none was read */
    uint64_t                    seen;               /* changes of the zone */
    ngx_uint_t                  hidden[LLM_PARTY_N];    /* of the file */
    ngx_queue_t                 live;               /* by last change */
    llm_index_t                 live_keys;
    llm_index_t                 live_ids[LLM_PARTY_N];
};


/* clients.c: made empty with the main configuration. */
ngx_http_llm_clients_t *ngx_http_llm_clients_create(ngx_conf_t *cf);
char *ngx_http_llm_clients(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Adds to a table, that grows in `pool`. */
ngx_int_t ngx_http_llm_client_index(ngx_pool_t *pool, llm_index_t *index,
    uint64_t hash, void *item);

/* Who has that key, and its place among the keys; who has that id.  NULL:
 * nobody.  Whoever keeps the result takes a reference. */
ngx_http_llm_client_key_t *ngx_http_llm_client_by_key(
    ngx_http_llm_clients_t *clients, const u_char sha256[32]);
ngx_http_llm_client_t *ngx_http_llm_client_by_id(
    ngx_http_llm_clients_t *clients, llm_party_t kind, const ngx_str_t *id);


/* What changed in the zone is known after it: the lookups above call it. */
void ngx_http_llm_clients_sync(ngx_http_llm_clients_t *clients);

/* The same in one table of ids. */
ngx_http_llm_client_t *ngx_http_llm_client_find(const llm_index_t *ids,
    const ngx_str_t *id);

/* A reference is given back; NULL is nobody's. */
void ngx_http_llm_client_release(ngx_http_llm_client_t *client);


/*
 * client_make.c: a record as requests want it, in `pool`.  `keep`: it is of the
 * file, and what it is made of is kept for others.  NULL: not enough memory, or
 * maker->why says what is wrong with maker->member.
 */
typedef struct {
    ngx_http_llm_clients_t     *clients;
    ngx_pool_t                 *pool;
    ngx_uint_t                  keep;
    llm_buf_t                   mem;            /* for texts with escapes */
    const char                 *why;
    ngx_str_t                   member;
    u_char                      text[256];      /* … may be here */
} ngx_http_llm_client_maker_t;

ngx_http_llm_client_t *ngx_http_llm_client_make(
    ngx_http_llm_client_maker_t *maker, llm_party_t kind, llm_str_t text);


/* client_rules.c: sets client->rules, whose totals each worker then finds in
 * the zone: those of the file when it starts.  NGX_OK, NGX_ERROR: as above. */
ngx_int_t ngx_http_llm_client_rules(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, const llm_client_record_t *rec);
void ngx_http_llm_client_rules_link(ngx_http_llm_clients_t *clients,
    ngx_array_t *rules);
void ngx_http_llm_clients_run(ngx_http_llm_clients_t *clients);


/* client_live.c: reads what changed in the zone; then frees all of it. */
void ngx_http_llm_live_sync(ngx_http_llm_clients_t *clients);
void ngx_http_llm_live_exit(ngx_http_llm_clients_t *clients);


/* pattern.c: a list of patterns, all of them checked.  NULL: as above. */
ngx_http_llm_patterns_t *ngx_http_llm_patterns_make(
    ngx_http_llm_client_maker_t *maker, llm_str_t list);

/* Whether some pattern fits; NULL: everything does. */
ngx_uint_t ngx_http_llm_patterns_match(ngx_http_llm_patterns_t *patterns,
    const ngx_str_t *name);


/* auth_conf.c: puts the handlers into their phases, where they are needed. */
char *ngx_http_llm_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_llm_auth_init(ngx_conf_t *cf);

/* auth.c: the user and the organisation of caller->client, and references to
 * their records. */
void ngx_http_llm_auth_owners(ngx_http_llm_clients_t *clients,
    ngx_http_llm_caller_t *caller);

/* auth.c: by a key, in the access phase; by a variable, after it; the key of
 * "Authorization: Bearer", 0: there is none. */
ngx_int_t ngx_http_llm_auth_access(ngx_http_request_t *r);
ngx_int_t ngx_http_llm_auth_named(ngx_http_request_t *r);
ngx_uint_t ngx_http_llm_auth_bearer(ngx_http_request_t *r, ngx_str_t *key);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_CLIENT_H_INCLUDED_ */
