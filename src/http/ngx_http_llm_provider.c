
/*
 * llm_provider: where requests go, in which dialect, with which keys.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_provider.h"
#include "ngx_http_llm_secret.h"


#define NGX_HTTP_LLM_ODD_KEYS  8           /* warned of one by one */


static ngx_int_t ngx_http_llm_provider_begin(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_llm_provider_block_t *pb);
static ngx_int_t ngx_http_llm_provider_end(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);
static ngx_int_t ngx_http_llm_provider_end_mock(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);
static ngx_int_t ngx_http_llm_provider_end_tls(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);
static char *ngx_http_llm_provider_dialect(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_provider_base_url(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_provider_keys(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_provider_key(ngx_conf_t *cf, void *block);
static ngx_int_t ngx_http_llm_provider_link_pool(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_ref_t *ref);
static char *ngx_http_llm_provider_options(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_provider_enabled(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_provider_ssl(ngx_conf_t *cf, void *block);
static void ngx_http_llm_provider_odd_keys(ngx_conf_t *cf,
    ngx_http_llm_provider_t *p);


static ngx_http_llm_member_t  ngx_http_llm_provider_members[] = {
    { ngx_string("dialect"), 1, 1, 1, ngx_http_llm_provider_dialect },
    { ngx_string("version"), 1, 1, 1, ngx_http_llm_provider_version },
    { ngx_string("native"), 1, 2, 1, ngx_http_llm_provider_native },
    { ngx_string("api_version"), 1, 1, 1, ngx_http_llm_provider_api_version },
    { ngx_string("base_url"), 1, 1, 1, ngx_http_llm_provider_base_url },
    { ngx_string("keys"), 1, NGX_HTTP_LLM_ARGS_ANY, 0,
      ngx_http_llm_provider_keys },
    { ngx_string("key"), 1, NGX_HTTP_LLM_ARGS_ANY, 0,
      ngx_http_llm_provider_key },
    { ngx_string("timeout"), 1, 6, 0, ngx_http_llm_gate_timeout },
    { ngx_string("breaker"), 1, 7, 1, ngx_http_llm_gate_breaker },
    { ngx_string("inflight"), 1, 3, 1, ngx_http_llm_gate_inflight },
    { ngx_string("keepalive"), 1, 2, 1, ngx_http_llm_gate_keepalive },
    { ngx_string("shed"), 1, 6, 1, ngx_http_llm_gate_shed },
    { ngx_string("probe"), 0, 5, 1, ngx_http_llm_probe_member },
    { ngx_string("header"), 2, 2, 0, ngx_http_llm_provider_header },
    { ngx_string("set"), 2, 2, 0, ngx_http_llm_provider_param },
    { ngx_string("default"), 2, 2, 0, ngx_http_llm_provider_param },
    { ngx_string("drop"), 1, NGX_HTTP_LLM_ARGS_ANY, 0,
      ngx_http_llm_provider_param },
    { ngx_string("rename"), 2, 2, 0, ngx_http_llm_provider_param },
    { ngx_string("unsupported"), 1, 1, 1, ngx_http_llm_provider_unsupported },
    { ngx_string("prefill"), 1, 2, 1, ngx_http_llm_provider_prefill },
    { ngx_string("stream_options"), 1, 1, 1, ngx_http_llm_provider_options },
    { ngx_string("enabled"), 1, 1, 1, ngx_http_llm_provider_enabled },
    { ngx_string("ssl_verify"), 1, 1, 1, ngx_http_llm_provider_ssl },
    { ngx_string("ssl_verify_depth"), 1, 1, 1, ngx_http_llm_provider_ssl },
    { ngx_string("ssl_trusted_certificate"), 1, 1, 1,
      ngx_http_llm_provider_ssl },
    { ngx_string("ssl_name"), 1, 1, 1, ngx_http_llm_provider_ssl },
    { ngx_string("ssl_certificate"), 1, 1, 1, ngx_http_llm_provider_ssl },
    { ngx_string("ssl_certificate_key"), 1, 1, 1, ngx_http_llm_provider_ssl },
    { ngx_string("record"), 1, 3, 1, ngx_http_llm_mock_record },
    { ngx_string("latency"), 1, 1, 1, ngx_http_llm_mock_time },
    { ngx_string("jitter"), 1, 1, 1, ngx_http_llm_mock_time },
    { ngx_string("chunk_interval"), 1, 1, 1, ngx_http_llm_mock_time },
    { ngx_string("error_rate"), 1, 2, 1, ngx_http_llm_mock_error_rate },
    { ngx_string("seed"), 1, 1, 1, ngx_http_llm_mock_seed },
    { ngx_string("fault"), 1, NGX_HTTP_LLM_ARGS_ANY, 0,
      ngx_http_llm_mock_fault },
    { ngx_string("replay"), 1, 1, 1, ngx_http_llm_mock_replay },
    { ngx_null_string, 0, 0, 0, NULL }
};


static ngx_http_llm_arg_t  ngx_http_llm_ssl_args[] = {

    { ngx_string("ssl_verify"), NGX_HTTP_LLM_ARG_FLAG,
      offsetof(ngx_http_llm_provider_block_t, ssl_verify), 0, 0 },

    { ngx_string("ssl_verify_depth"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_provider_block_t, ssl_depth), 0, 100 },

    { ngx_string("ssl_trusted_certificate"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_provider_block_t, ssl_trusted), 0, 0 },

    { ngx_string("ssl_name"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_provider_block_t, ssl_name), 0, 0 },

    { ngx_string("ssl_certificate"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_provider_block_t, ssl_certificate), 0, 0 },

    { ngx_string("ssl_certificate_key"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_provider_block_t, ssl_key), 0, 0 },

    { ngx_null_string, 0, 0, 0, 0 }
};


char *
ngx_http_llm_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    char                           *rv;
    ngx_str_t                      *value;
    ngx_http_llm_provider_t        *p, **slot;
    ngx_http_llm_provider_block_t   pb;

    value = cf->args->elts;

    if (ngx_http_llm_provider_begin(cf, &value[1], &pb) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    p = pb.provider;

    slot = ngx_array_push(&lmcf->providers);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = p;

    if (ngx_http_llm_add_name(cf, NGX_HTTP_LLM_PROVIDER, &p->name, p, p->route,
                              0)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_llm_block(cf, ngx_http_llm_provider_members, &pb);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_llm_provider_end(cf, &pb) == NGX_OK ? NGX_CONF_OK
                                                        : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_llm_provider_begin(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_llm_provider_block_t *pb)
{
    ngx_http_llm_provider_t  *p;

    ngx_memzero(pb, sizeof(ngx_http_llm_provider_block_t));

    if (ngx_http_llm_check_name(cf, "provider", name) != NGX_OK
        || ngx_http_llm_mock_defaults(cf, pb) != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_provider_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    p->name = *name;
    p->dialect = llm_dialect_find(LLM_STR("openai"));
    p->stream_options = 1;

    ngx_http_llm_gate_defaults(p);

    p->route = ngx_http_llm_single_route(cf, &p->name, NULL, p);
    if (p->route == NULL) {
        return NGX_ERROR;
    }

    pb->provider = p;
    pb->ssl_verify = 1;
    pb->ssl_depth = 3;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_provider_end(ngx_conf_t *cf, ngx_http_llm_provider_block_t *pb)
{
    char                     *err;
    ngx_str_t                 shown;
    ngx_http_llm_provider_t  *p;

    p = pb->provider;

    if (pb->keys.pool) {
        if (ngx_http_llm_pool_end(cf, &pb->keys) != NGX_OK) {
            return NGX_ERROR;
        }

        p->pool = pb->keys.pool;
    }

    if ((pb->keys.pool != NULL) + pb->pool + p->client_key > 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"keys NAME\", \"key SOURCE\" and \"key client\" "
                           "are incompatible in llm_provider \"%V\"",
                           &p->name);
        return NGX_ERROR;
    }

    if (ngx_http_llm_provider_end_version(cf, pb) != NGX_OK
        || ngx_http_llm_provider_end_native(cf, pb) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (llm_str_eq(p->dialect->name, LLM_STR("mock"))) {
        return ngx_http_llm_provider_end_mock(cf, pb);
    }

    if (pb->mock_member.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" needs \"dialect mock\" in llm_provider "
                           "\"%V\"", &pb->mock_member, &p->name);
        return NGX_ERROR;
    }

    if (pb->base_url.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"base_url\" in llm_provider \"%V\"", &p->name);
        return NGX_ERROR;
    }

    err = "not enough memory";

    if (ngx_http_llm_origin_parse(cf, &pb->base_url, &p->origin, &err)
        != NGX_OK)
    {
        shown = ngx_http_llm_secret_url(&pb->base_url);

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid base_url \"%V%s\" in llm_provider \"%V\": "
                           "%s", &shown,
                           shown.len < pb->base_url.len ? "..." : "",
                           &p->name, err);
        return NGX_ERROR;
    }

    if (ngx_http_llm_provider_end_tls(cf, pb) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_llm_probe_end(cf, pb);
}


static ngx_int_t
ngx_http_llm_provider_end_mock(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb)
{
    ngx_http_llm_provider_t  *p;

    p = pb->provider;
    p->mock = pb->mock;

    if (pb->base_url.len) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"base_url\" has no effect in llm_provider \"%V\": "
                           "the mock answers without a network", &p->name);
    }

    if (p->record || p->probe) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" is incompatible with \"dialect mock\" "
                           "in llm_provider \"%V\"",
                           p->record ? "record" : "probe", &p->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_provider_end_tls(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb)
{
    ngx_http_llm_provider_t  *p;

    p = pb->provider;

    if ((pb->ssl_certificate.len == 0) != (pb->ssl_key.len == 0)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ssl_certificate\" and \"ssl_certificate_key\" "
                           "need each other in llm_provider \"%V\"", &p->name);
        return NGX_ERROR;
    }

    if (!p->origin.tls) {
        return NGX_OK;
    }

    p->origin.ssl_verify = pb->ssl_verify;

    if (pb->ssl_name.len) {
        p->origin.ssl_name = pb->ssl_name;
    }

    if (!pb->ssl_verify) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"ssl_verify off\" in llm_provider \"%V\": "
                           "whoever answers gets its keys", &p->name);
    }

    if (ngx_http_llm_origin_ssl(cf, &p->origin, &pb->ssl_trusted,
                                pb->ssl_depth, &pb->ssl_certificate,
                                &pb->ssl_key)
        == NGX_OK)
    {
        return NGX_OK;
    }

    /* OpenSSL's own words are logged already, without a place */

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "TLS of llm_provider \"%V\" cannot be set up",
                       &p->name);

    return NGX_ERROR;
}


static char *
ngx_http_llm_provider_dialect(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    llm_str_t             names;
    ngx_str_t            *value;
    const llm_dialect_t  *dialect;

    value = cf->args->elts;

    dialect = llm_dialect_find((llm_str_t) { value[1].len, value[1].data });

    if (dialect == NULL) {
        names = llm_dialect_names();
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown dialect \"%V\", expected one of: %*s",
                           &value[1], names.len, names.data);
        return NGX_CONF_ERROR;
    }

    pb->provider->dialect = dialect;

    return NGX_CONF_OK;
}


static char *
ngx_http_llm_provider_base_url(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "must not be empty";
    }

    pb->base_url = value[1];

    return NGX_CONF_OK;
}


/* keys POOL; or, for a pool of its own, keys SOURCE ... */

static char *
ngx_http_llm_provider_keys(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "env:", 4) == 0
        || ngx_strncmp(value[1].data, "file:", 5) == 0)
    {
        return ngx_http_llm_provider_key(cf, block);
    }

    if (cf->args->nelts != 2) {
        return "takes the name of an llm_key_pool and nothing else";
    }

    if (ngx_http_llm_secret_is_like(&value[1])) {
        return "takes the name of an llm_key_pool, \"env:NAME\" or "
               "\"file:PATH\", and what stands there looks like a key";
    }

    if (pb->pool) {
        return "is duplicate";
    }

    pb->pool = 1;

    if (ngx_http_llm_add_ref(cf, &value[1], pb->provider,
                             ngx_http_llm_provider_link_pool)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* key client; or key SOURCE ...: a pool named after the provider */

static char *
ngx_http_llm_provider_key(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t                 *value;
    ngx_http_llm_main_conf_t  *lmcf;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "client") == 0) {
        if (cf->args->nelts != 2) {
            return "takes nothing behind \"client\"";
        }

        pb->provider->client_key = 1;
        return NGX_CONF_OK;
    }

    if (pb->keys.pool == NULL) {
        lmcf = ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_llm_gateway_module);

        if (ngx_http_llm_find_pool(lmcf, &pb->provider->name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "llm_key_pool \"%V\" exists: use it with \"keys "
                               "%V\", or rename it", &pb->provider->name,
                               &pb->provider->name);
            return NGX_CONF_ERROR;
        }

        if (ngx_http_llm_pool_begin(cf, &pb->provider->name, &pb->keys)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_llm_pool_key(cf, &pb->keys);
}


static ngx_int_t
ngx_http_llm_provider_link_pool(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_ref_t *ref)
{
    ngx_http_llm_provider_t *p = ref->object;

    p->pool = ngx_http_llm_find_pool(lmcf, &ref->name);

    if (p->pool == NULL) {
        ngx_http_llm_unknown(cf, ref, "key pool", &lmcf->pools, NULL, NULL);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* stream_options on|off: some refuse to be asked for the usage of a stream */

static char *
ngx_http_llm_provider_options(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_llm_flag(cf, &value[1], &pb->provider->stream_options)
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_llm_provider_enabled(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    return ngx_http_llm_enabled(cf, &pb->provider->enabled);
}


static char *
ngx_http_llm_provider_ssl(ngx_conf_t *cf, void *block)
{
    ngx_str_t           *value;
    ngx_http_llm_arg_t  *arg;

    value = cf->args->elts;
    arg = ngx_http_llm_ssl_args;

    while (ngx_strcmp(arg->name.data, value[0].data) != 0) {
        arg++;
    }

    if (value[1].len == 0) {
        return "must not be empty";
    }

    if (ngx_http_llm_arg_value(cf, &value[1], arg, &value[1], block)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_provider_link(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_provider_t *p)
{
    if (ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    if (p->pool && p->pool->store.conf.key_n == 0) {
        ngx_log_error(NGX_LOG_NOTICE, cf->log, 0,
                      "llm_provider \"%V\" is left out: its key pool \"%V\" "
                      "has no keys", &p->name, &p->pool->name);
        p->enabled.off = 1;
        p->enabled.fixed = 1;
        return NGX_OK;
    }

    if (p->mock) {
        return NGX_OK;
    }

    ngx_http_llm_provider_odd_keys(cf, p);
    ngx_http_llm_gate_check(cf, p);

    if (!lmcf->has_resolver) {
        return ngx_http_llm_origin_resolve_static(cf, &p->origin);
    }

    return NGX_OK;
}


static void
ngx_http_llm_provider_odd_keys(ngx_conf_t *cf, ngx_http_llm_provider_t *p)
{
    llm_str_t                 host;
    ngx_uint_t                i, odd;
    ngx_http_llm_key_pool_t  *pool;

    odd = 0;
    pool = p->pool;

    if (pool == NULL || p->dialect->key_looks_right == NULL) {
        return;
    }

    host.len = p->origin.host.len;
    host.data = p->origin.host.data;

    for (i = 0; i < pool->store.conf.key_n; i++) {
        if (p->dialect->key_looks_right(host,
                                        (llm_str_t) { pool->keys[i].secret.len,
                                                  pool->keys[i].secret.data }))
        {
            continue;
        }

        if (odd++ < NGX_HTTP_LLM_ODD_KEYS) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "key \"%V\" of pool \"%V\" does not look like a key "
                          "of \"%V\"", &pool->keys[i].name, &pool->name,
                          &p->origin.host);
        }
    }

    if (odd > NGX_HTTP_LLM_ODD_KEYS) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "%ui more keys of pool \"%V\" do not look like keys of "
                      "\"%V\"", odd - NGX_HTTP_LLM_ODD_KEYS, &pool->name,
                      &p->origin.host);
    }
}
