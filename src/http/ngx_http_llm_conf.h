
/*
 * What the files that read the configuration share.  Requests see only the
 * result, in ngx_http_llm.h.
 */


#ifndef _NGX_HTTP_LLM_CONF_H_INCLUDED_
#define _NGX_HTTP_LLM_CONF_H_INCLUDED_


#include "ngx_http_llm.h"
#include "ngx_http_llm_block.h"
#include "ngx_http_llm_limits.h"

#pragma GCC visibility push(hidden)


/* ---- directives ---------------------------------------------------------- */

char *ngx_http_llm_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_key_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_split(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_prompt(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_analyze(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_transcribe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_retry(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_headers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_check_size(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_llm_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_budget(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_feedback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_admin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_llm_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* ---- life of a configuration --------------------------------------------- */

void *ngx_http_llm_create_main_conf(ngx_conf_t *cf);
void *ngx_http_llm_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_llm_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);

/* llm_admin: the names of its server; blocks in its location inherit it. */
ngx_int_t ngx_http_llm_admin_merge(ngx_conf_t *cf,
    ngx_http_llm_loc_conf_t *prev, ngx_http_llm_loc_conf_t *conf);

/* Postconfiguration: finds every name, links the objects, makes the zone. */
ngx_int_t ngx_http_llm_link(ngx_conf_t *cf);


/* ---- while the configuration is read ------------------------------------- */

typedef struct ngx_http_llm_ref_s  ngx_http_llm_ref_t;

typedef ngx_int_t (*ngx_http_llm_resolve_pt)(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_ref_t *ref);

/* A name used before it may have been defined. */
struct ngx_http_llm_ref_s {
    ngx_str_t                 name;
    void                     *object;          /* what uses it */
    ngx_http_llm_resolve_pt   resolve;
    u_char                   *file;            /* where it is used */
    ngx_uint_t                line;
};


struct ngx_http_llm_build_s {
    ngx_rbtree_t              tree;            /* names defined so far */
    ngx_rbtree_node_t         sentinel;
    ngx_array_t               refs;            /* ngx_http_llm_ref_t */
    ngx_array_t               locations;       /* ngx_http_llm_loc_conf_t * */
    ngx_array_t               zones;           /* ngx_http_llm_tz_row_t */
    ngx_array_t               splits;          /* their blocks, by pointer */
    ngx_uint_t                no_resolver;     /* a location has none */
    ngx_module_t             *proxy;           /* nginx's; NULL: no split has
                                                  applications */
    void                     *proxy_conf;      /* its outermost */
};


static ngx_inline ngx_uint_t
ngx_http_llm_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


/* The place of the current directive. */
void ngx_http_llm_place(ngx_conf_t *cf, u_char **file, ngx_uint_t *line);

/* Defines a name of the shared namespace.  NGX_OK or NGX_ERROR (logged: a name
 * used twice). */
ngx_int_t ngx_http_llm_add_name(ngx_conf_t *cf, ngx_http_llm_kind_e kind,
    ngx_str_t *name, void *object, ngx_http_llm_route_t *route,
    ngx_uint_t internal);

/* Remembers that the current directive uses a name. */
ngx_int_t ngx_http_llm_add_ref(ngx_conf_t *cf, ngx_str_t *name, void *object,
    ngx_http_llm_resolve_pt resolve);

/* A name of the shared namespace while ->hash is not there yet, or NULL. */
ngx_http_llm_name_t *ngx_http_llm_defined(ngx_http_llm_main_conf_t *lmcf,
    ngx_str_t *name);

/* Builds ->hash from all names. */
ngx_int_t ngx_http_llm_hash_names(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);

/* Logs that `ref` names nothing, with what could have been meant: elements of
 * these arrays (NULL: none), whose objects begin with their name. */
void ngx_http_llm_unknown(ngx_conf_t *cf, ngx_http_llm_ref_t *ref, char *what,
    ngx_array_t *known, ngx_array_t *more, ngx_array_t *most);

/* The names of up to three arrays as "a, b, c"; "none" when there are none.  An
 * array holds rows that begin with their name, all of the same size, or
 * pointers to such. */
ngx_str_t ngx_http_llm_list(ngx_conf_t *cf, ngx_array_t *a, ngx_array_t *b,
    ngx_array_t *c);

/* Logs that it names something else. */
void ngx_http_llm_unexpected(ngx_conf_t *cf, ngx_http_llm_ref_t *ref,
    ngx_http_llm_name_t *found, char *expected);

/* A route of one target, for a model or provider that is passed to directly. */
ngx_http_llm_route_t *ngx_http_llm_single_route(ngx_conf_t *cf,
    ngx_str_t *name, ngx_http_llm_model_t *model,
    ngx_http_llm_provider_t *provider);

/* Finds what the locations pass to. */
ngx_int_t ngx_http_llm_link_locations(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);

/* Fills a target with the model or provider that `ref` names. */
ngx_int_t ngx_http_llm_find_target(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_ref_t *ref,
    ngx_http_llm_target_t *target);


/* auth_conf.c: whether llm_auth can stand in a location, when it is known what
 * that passes to. */
ngx_int_t ngx_http_llm_auth_check(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_loc_conf_t *llcf);

/* on=CONDITION,...: the words as LLM_ON_... bits.  NGX_OK or NGX_ERROR
 * (logged). */
ngx_int_t ngx_http_llm_on(ngx_conf_t *cf, ngx_str_t *words, ngx_uint_t *on);

/* Whether the file itself turned every target of a route off. */
ngx_uint_t ngx_http_llm_route_is_off(ngx_http_llm_route_t *route);

/* app_conf.c.  upstream: an application of a split, at the variant's line.
 * merge: called for every location, after what it passes to is known by name.
 * NGX_OK or NGX_ERROR (logged). */
ngx_int_t ngx_http_llm_app_upstream(ngx_conf_t *cf, ngx_str_t *url);
ngx_int_t ngx_http_llm_app_merge(ngx_conf_t *cf, ngx_http_llm_loc_conf_t *prev,
    ngx_http_llm_loc_conf_t *conf);

/* policy_link.c.  merge: rules of outer levels.  link: after all names are
 * known, names and ids of rules.  location: after it is known what a location
 * passes to.  forecasts: after that, what limits make worth learning.  NGX_OK
 * or NGX_ERROR (logged). */
ngx_int_t ngx_http_llm_policy_merge(ngx_conf_t *cf,
    ngx_http_llm_loc_conf_t *prev, ngx_http_llm_loc_conf_t *conf);
ngx_int_t ngx_http_llm_policy_link(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);
ngx_int_t ngx_http_llm_policy_location(ngx_conf_t *cf,
    ngx_http_llm_loc_conf_t *llcf);
ngx_int_t ngx_http_llm_policy_forecasts(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);

/* Worker start: where rules count what they do. */
void ngx_http_llm_policy_run(ngx_http_llm_main_conf_t *lmcf);


/* ctx->skipped of a request is a bitmap of targets. */
#define NGX_HTTP_LLM_TARGETS_MAX  64


/* Pools: a block of its own, or the `key` lines of a provider. */

typedef struct {
    ngx_http_llm_key_pool_t  *pool;
    ngx_array_t              *zones;           /* of the build */
    ngx_array_t               keys;            /* ngx_http_llm_key_row_t */
    ngx_array_t               groups;          /* ngx_http_llm_group_row_t */
    ngx_uint_t                position;        /* of the last key, from 1 */
} ngx_http_llm_pool_block_t;

/* A group and a key, as their lines say. */

typedef struct {
    ngx_str_t                name;
    llm_group_conf_t         conf;
} ngx_http_llm_group_row_t;


typedef struct {
    ngx_http_llm_key_t       key;
    ngx_str_t                group;        /* name, or empty: its own */
    uint32_t                 weight;
    llm_group_conf_t        *own;          /* shared by the keys of one line */
    u_char                  *file;
    ngx_uint_t               line;
} ngx_http_llm_key_row_t;


ngx_int_t ngx_http_llm_pool_begin(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_llm_pool_block_t *pb);
char *ngx_http_llm_pool_key(ngx_conf_t *cf, void *block);
ngx_int_t ngx_http_llm_pool_end(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb);
ngx_http_llm_key_pool_t *ngx_http_llm_find_pool(ngx_http_llm_main_conf_t *lmcf,
    ngx_str_t *name);

/* Fields of llm_transcribe; of a provider, or of a model.  All of them meet in
 * one request, which takes LLM_FIELDS_MAX, with LLM_FORM_FIELDS of ours. */
#define NGX_HTTP_LLM_FORM_MAX    16
#define NGX_HTTP_LLM_PARAMS_MAX  20

/* A field's name and value: `json` lets a text that is JSON stand for itself,
 * else it becomes a string. */
ngx_int_t ngx_http_llm_field(ngx_conf_t *cf, llm_field_t *field,
    ngx_str_t *name, ngx_str_t *text, ngx_uint_t json);

/* params_conf.c: the current line of a block, what its parameters become; after
 * all names are known.  NGX_OK or NGX_ERROR (logged). */
char *ngx_http_llm_param(ngx_conf_t *cf, ngx_http_llm_params_t *params);
char *ngx_http_llm_param_unsupported(ngx_conf_t *cf,
    ngx_http_llm_params_t *params);
ngx_int_t ngx_http_llm_params_link(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);

/* shed.c: the directive llm_priority. */
char *ngx_http_llm_set_priority(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* session.c: the directive llm_session. */
char *ngx_http_llm_set_session(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* heartbeat.c: the directive llm_heartbeat. */
char *ngx_http_llm_set_heartbeat(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* What holds without llm_retry. */
void ngx_http_llm_retry_defaults(llm_retry_conf_t *retry);

/* enabled on|off|until=DATE, of a provider or a model: the current line. */
char *ngx_http_llm_enabled(ngx_conf_t *cf, ngx_http_llm_store_switch_t *sw);

/* llm_redis: what it needs of the rest of the configuration. */
ngx_int_t ngx_http_llm_redis_link(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);

/* After all names are known: pace and warnings of splits. */
ngx_int_t ngx_http_llm_link_splits(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);

/* After all names are known. */
ngx_int_t ngx_http_llm_provider_link(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_provider_t *p);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_CONF_H_INCLUDED_ */
