/*
 * Configuration of the gateway, as compiled from nginx.conf: immutable after
 * the configuration is read, shared by all requests of a cycle.
 */

#ifndef _NGX_HTTP_LLM_H_INCLUDED_
#define _NGX_HTTP_LLM_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_dialect.h"
#include "llm_prompt.h"
#include "llm_retry.h"

#include "ngx_http_llm_client.h"
#include "ngx_http_llm_compat.h"
#include "ngx_http_llm_forecast.h"
#include "ngx_http_llm_mock.h"
#include "ngx_http_llm_peer.h"
#include "ngx_http_llm_record.h"
#include "ngx_http_llm_store.h"
#include "ngx_http_llm_traffic.h"

#pragma GCC visibility push(hidden)


typedef struct ngx_http_llm_route_s  ngx_http_llm_route_t;
typedef struct ngx_http_llm_split_s  ngx_http_llm_split_t;
typedef struct ngx_http_llm_probe_s  ngx_http_llm_probe_t;
typedef struct ngx_http_llm_build_s  ngx_http_llm_build_t;
typedef struct ngx_http_llm_admin_conf_s  ngx_http_llm_admin_conf_t;
typedef struct ngx_http_llm_policy_s  ngx_http_llm_policy_t;
typedef struct ngx_http_llm_policies_s  ngx_http_llm_policies_t;


/* ---- keys ---------------------------------------------------------------- */

typedef struct {
    ngx_str_t                    name;        /* name=, or POOL-1, POOL-2 ... */
    ngx_str_t                    secret;        /* never logged, never shown */
} ngx_http_llm_key_t;


typedef struct {
    ngx_str_t                    name;
    ngx_http_llm_key_t          *keys;          /* store.conf.key_n of them */
    ngx_str_t                   *groups;        /* names; empty: a key's own */
    ngx_http_llm_store_pool_t    store;
    unsigned                     limited:1;     /* a group has limits */
} ngx_http_llm_key_pool_t;


/* ---- parameters ---------------------------------------------------------- */

/* What becomes of a request that a target has no words for. */
#define NGX_HTTP_LLM_UNSUPPORTED_UNSET  0   /* what matters: another target;
                                               the rest is left out */
#define NGX_HTTP_LLM_UNSUPPORTED_DROP   1   /* as much as can be is sent */
#define NGX_HTTP_LLM_UNSUPPORTED_SKIP   2   /* another target */
#define NGX_HTTP_LLM_UNSUPPORTED_ERROR  3   /* the client is told */

/* Of a provider; of a model, with those of its provider. */
typedef struct {
    ngx_array_t                 *fields;        /* llm_field_t, in the order in
                                                   which they act; NULL: none */
    ngx_uint_t                   unsupported;
} ngx_http_llm_params_t;


/* ---- providers ----------------------------------------------------------- */

typedef struct {
    ngx_str_t                    name;
    ngx_http_complex_value_t     value;
} ngx_http_llm_header_t;


typedef struct {
    ngx_msec_t                   connect;       /* TCP and TLS */
    ngx_msec_t                   header;       /* last request byte -> status */
    ngx_msec_t                   first;         /* status -> first content */
    ngx_msec_t                   idle;          /* between reads after it */
    ngx_msec_t                   total;         /* one attempt */
    ngx_msec_t                   tunnel;        /* a session without a byte */
} ngx_http_llm_timeouts_t;


typedef struct {
    ngx_str_t                    name;
    const llm_dialect_t         *dialect;
    uint32_t                     native;        /* LLM_EP_BIT()s: what it is
                                                   sent as it came */
    ngx_http_llm_origin_t        origin;        /* unused by the mock */
    ngx_http_llm_key_pool_t     *pool;          /* NULL: no key is sent */
    ngx_http_llm_store_gate_t    gate;
    ngx_http_llm_probe_t        *probe;         /* NULL: not probed */
    ngx_http_llm_timeouts_t      timeout;
    ngx_array_t                 *headers;       /* ngx_http_llm_header_t */
    ngx_str_t                    version;       /* of the dialect's API */
    ngx_http_llm_params_t        params;
    ngx_http_llm_mock_conf_t    *mock;          /* dialect mock, else NULL */
    ngx_http_llm_record_conf_t  *record;        /* record DIR, else NULL */
    ngx_http_llm_route_t        *route;         /* this provider alone */
    ngx_http_llm_store_switch_t  enabled;       /* off: enabled off, or no key
                                                   is left */
    ngx_http_llm_store_meter_t   meter;         /* of sends without a model */
    llm_prefill_way_t            prefill;       /* how a text is continued */
    unsigned                     prefill_echo:1;    /* ... and repeated */
    ngx_flag_t                   stream_options;    /* it knows them */
    unsigned                     client_key:1;  /* key client; */
} ngx_http_llm_provider_t;


/* ---- models -------------------------------------------------------------- */

typedef struct {
    ngx_str_t                    name;
    ngx_http_llm_provider_t     *provider;
    ngx_str_t                    id;            /* the provider's name for it */
    ngx_str_t                    deployment;    /* what it is called there, if
                                                   that is another name */
    ngx_http_llm_params_t        params;
    llm_price_t                  price;
    ngx_uint_t                   context;       /* tokens; 0: unknown */
    ngx_uint_t                   can;           /* LLM_CAN_... bits */
    ngx_array_t                 *labels;        /* ngx_str_t: other words */
    ngx_uint_t                   tier;        /* 0 unset, 1 low ... 4 premium */
    ngx_http_llm_route_t        *route;         /* this model alone */
    ngx_http_llm_store_switch_t  enabled;
    ngx_http_llm_store_meter_t   meter;
    ngx_http_llm_store_forecast_t  ratio;       /* bytes per token */
    unsigned                     can_set:1;     /* 0: everything is assumed */
    unsigned                     internal:1;
} ngx_http_llm_model_t;


/* ---- routes -------------------------------------------------------------- */

typedef struct {
    ngx_http_llm_model_t        *model;         /* NULL: a provider as target */
    ngx_http_llm_provider_t     *provider;
    ngx_uint_t                   on;            /* LLM_ON_... bits */
} ngx_http_llm_target_t;


struct ngx_http_llm_route_s {
    ngx_str_t                    name;
    ngx_http_llm_target_t       *targets;
    ngx_uint_t                   ntargets;
    ngx_flag_t                   resume;        /* cut streams go on */
    size_t                       resume_max;    /* text that is kept for it */
    ngx_http_llm_store_forecast_t  output;      /* tokens of its answers */
    unsigned                     internal:1;
    unsigned                     implicit:1;    /* made for llm_pass A B C */
};


/* ---- splits -------------------------------------------------------------- */

typedef struct {
    ngx_str_t                    name;
    ngx_http_llm_route_t        *route;         /* NULL: an application */
    ngx_str_t                    target;        /* as written */
    ngx_str_t                    url;         /* "http://app_blue", or empty */
    ngx_uint_t                   fallback;      /* variant; itself: none */
    ngx_uint_t                   on;            /* of the fallback: LLM_ON_ */
} ngx_http_llm_variant_t;


typedef struct {
    ngx_http_llm_variant_t      *variant;
    uint32_t                     share;         /* basis points of requests */
    size_t                       max_body;      /* larger ones are not sent */
    ngx_uint_t                   inflight;      /* copies of a worker */
    ngx_uint_t                   running;       /* of this one, now */
    unsigned                     multipart:1;
} ngx_http_llm_mirror_conf_t;


typedef struct {
    uint32_t                     share;         /* basis points */
    ngx_str_t                    file;
    off_t                        max;
    ngx_uint_t                   keep;          /* old files */

    ngx_fd_t                     fd;            /* private, of this worker */
    ngx_file_uniq_t              uniq;
    time_t                       complained;
} ngx_http_llm_sample_conf_t;


struct ngx_http_llm_split_s {
    ngx_str_t                    name;
    ngx_http_llm_variant_t      *variants;      /* store.n of them */
    ngx_array_t                 *sticky;        /* ngx_http_complex_value_t */
    ngx_http_complex_value_t    *force;         /* NULL: nobody may choose */
    ngx_array_t                 *force_allow;   /* ngx_cidr_t */
    ngx_http_llm_mirror_conf_t  *mirror;        /* NULL: none */
    ngx_http_llm_sample_conf_t  *sample;
    ngx_str_t                    webhook;       /* URL, or empty */
    double                       margin;        /* of an experiment */
    ngx_http_llm_store_split_t   store;
    unsigned                     apps:1;        /* some variant is http:// */
    unsigned                     internal:1;
};


/* The split that the store's part belongs to. */
#define ngx_http_llm_split_of(in)                                             \
    ((ngx_http_llm_split_t *) ((u_char *) (in)                                \
                               - offsetof(ngx_http_llm_split_t, store)))


typedef enum {
    NGX_HTTP_LLM_PROVIDER = 0,
    NGX_HTTP_LLM_MODEL,
    NGX_HTTP_LLM_ROUTE,
    NGX_HTTP_LLM_SPLIT
} ngx_http_llm_kind_e;


/* One name of the shared namespace of models, providers, routes and splits. */
typedef struct {
    ngx_str_t                    name;
    ngx_http_llm_kind_e          kind;
    void                        *object;
    ngx_http_llm_route_t        *route;         /* NULL: a split */
    unsigned                     internal:1;
    u_char                      *file;          /* where it was defined */
    ngx_uint_t                   line;
} ngx_http_llm_name_t;


/* ---- application routes ------------------------------------------------- */

typedef struct {
    ngx_str_t                    name;
    llm_template_t              *system;        /* NULL: none */
    llm_template_t              *user;
    llm_field_t                 *fields;        /* set NAME VALUE */
    ngx_uint_t                   nfields;
    ngx_str_t                    model;         /* set model ..., or empty */
    llm_schema_t                *schema;        /* NULL: none */
    ngx_str_t                    schema_text;
    ngx_str_t                    schema_name;
    ngx_flag_t                   json;          /* answer json */
    ngx_flag_t                   repair;
} ngx_http_llm_prompt_t;


typedef struct {
    llm_field_t                 *fields;        /* language=fa ..., text form */
    ngx_uint_t                   nfields;
    ngx_str_t                    model;         /* model=..., or empty */
} ngx_http_llm_transcribe_t;


/* $llm_feedback, $llm_feedback_id, $llm_feedback_comment, $llm_error */
#define NGX_HTTP_LLM_FEEDBACK_VARS  4


/* ---- main and location -------------------------------------------------- */

typedef struct {
    ngx_array_t                  pools;         /* ngx_http_llm_key_pool_t * */
    ngx_array_t                  providers;     /* ngx_http_llm_provider_t * */
    ngx_array_t                  models;        /* ngx_http_llm_model_t * */
    ngx_array_t                  routes;        /* ngx_http_llm_route_t * */
    ngx_array_t                  splits;        /* ngx_http_llm_split_t * */
    ngx_array_t                  prompts;       /* ngx_http_llm_prompt_t * */
    ngx_array_t                  names;         /* ngx_http_llm_name_t * */
    ngx_array_t                  policies;      /* ngx_http_llm_policy_t * */
    ngx_hash_t                   hash;         /* name -> ngx_http_llm_name_t */
    ngx_http_llm_clients_t      *clients;
    ngx_http_llm_store_t         store;
    ngx_str_t                    zone_name;
    size_t                       zone_size;
    ngx_uint_t                   has_resolver;
    time_t                       created;       /* of this configuration */
    ngx_int_t                    feedback[NGX_HTTP_LLM_FEEDBACK_VARS];
    ngx_http_llm_build_t        *build;         /* while it is read; NULL */
} ngx_http_llm_main_conf_t;


#define NGX_HTTP_LLM_HEADERS_OFF    0
#define NGX_HTTP_LLM_HEADERS_ID     1
#define NGX_HTTP_LLM_HEADERS_ROUTE  2
#define NGX_HTTP_LLM_HEADERS_ALL    3


#define NGX_HTTP_LLM_AUTH_OFF       0
#define NGX_HTTP_LLM_AUTH_KEY       1
#define NGX_HTTP_LLM_AUTH_NAME      2


typedef struct ngx_http_llm_loc_conf_s  ngx_http_llm_loc_conf_t;

struct ngx_http_llm_loc_conf_s {
    ngx_http_llm_route_t        *route;         /* llm_pass NAME ... */
    ngx_http_llm_split_t        *split;         /* llm_pass SPLIT */
    ngx_http_handler_pt          proxy;         /* proxy_pass's, for a split of
                                                   applications */
    ngx_http_complex_value_t    *pass;          /* llm_pass $variable */
    ngx_uint_t                   provider_pass; /* llm_pass names a provider */
    ngx_http_llm_name_t         *pass_name;     /* what it names, if one */
    ngx_http_llm_prompt_t       *prompt;        /* llm_analyze */
    ngx_http_llm_transcribe_t   *transcribe;    /* llm_transcribe */
    ngx_uint_t                   endpoint;    /* llm_endpoint; llm_endpoint_t */
    llm_retry_conf_t             retry;         /* llm_retry */
    ngx_uint_t                   retry_set;
    ngx_uint_t                   headers;       /* llm_response_headers */
    llm_priority_t               priority;      /* llm_priority */
    ngx_http_complex_value_t    *priority_value;    /* … of a variable */
    ngx_http_complex_value_t    *session;       /* llm_session; NULL: off */
    llm_msec_t                   session_ttl;
    ngx_uint_t                   session_set;
    ngx_msec_t                   heartbeat;     /* llm_heartbeat; 0: off */
    ngx_flag_t                   request_buffering;   /* llm_... */
    size_t                       buffer_size;   /* llm_buffer_size, 16k */
    size_t                       max_answer;    /* llm_max_answer_size, 32m */
    size_t                       max_event;     /* llm_max_event_size, 1m */
    ngx_array_t                 *limits;        /* ngx_http_llm_policy_t *, with
                                                   those of outer levels */
    ngx_array_t                 *budgets;
    ngx_uint_t                   limits_off;    /* llm_limit off */
    ngx_uint_t                   budgets_off;
    ngx_http_llm_policies_t     *policies;      /* both; NULL: none */
    ngx_uint_t                   auth;          /* llm_auth */
    ngx_http_complex_value_t    *auth_name;     /* llm_auth $variable */
    ngx_http_llm_admin_conf_t   *admin;         /* llm_admin */
    ngx_uint_t                   enabled;       /* llm_pass in this location */
    ngx_str_t                    location;      /* its name, for messages */
    u_char                      *file;          /* of llm_pass, for messages */
    ngx_uint_t                   line;
    ngx_array_t                 *pass_names;    /* ngx_str_t, until resolved */
    ngx_str_t                    analyze_name;  /* until resolved */
    ngx_http_llm_loc_conf_t     *outer;         /* while it is merged */
    void                        *proxy_conf;    /* the proxy module's, beside */
    unsigned                     apps_alone:1;  /* of the split: no route */
};


extern ngx_module_t  ngx_http_llm_gateway_module;
extern ngx_module_t  ngx_http_llm_gateway_filter_module;


/* The content handlers. */
ngx_int_t ngx_http_llm_handler(ngx_http_request_t *r);          /* llm_pass */
ngx_int_t ngx_http_llm_health_handler(ngx_http_request_t *r);   /* llm_health */
ngx_int_t ngx_http_llm_metrics_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_llm_feedback_handler(ngx_http_request_t *r);

/* Preconfiguration: the $llm_... variables. */
ngx_int_t ngx_http_llm_add_variables(ngx_conf_t *cf);

/* A name of the shared namespace, or NULL.  O(1), no allocation. */
ngx_http_llm_name_t *ngx_http_llm_find_name(ngx_http_llm_main_conf_t *lmcf,
    u_char *name, size_t len);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_H_INCLUDED_ */
