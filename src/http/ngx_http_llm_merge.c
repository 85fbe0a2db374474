
/*
 * What a location inherits, and the names it uses: values come from outer
 * levels, what is passed to does not.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


static void ngx_http_llm_merge_whole(ngx_http_llm_loc_conf_t *prev,
    ngx_http_llm_loc_conf_t *conf);
static void ngx_http_llm_merge_pass(ngx_http_core_loc_conf_t *clcf,
    ngx_http_llm_loc_conf_t *prev, ngx_http_llm_loc_conf_t *conf);
static ngx_int_t ngx_http_llm_merge_buffering(ngx_conf_t *cf,
    ngx_http_llm_loc_conf_t *prev, ngx_http_llm_loc_conf_t *conf);
static ngx_int_t ngx_http_llm_merge_check(ngx_conf_t *cf,
    ngx_http_llm_loc_conf_t *conf);
static ngx_int_t ngx_http_llm_link_pass(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_loc_conf_t *llcf);
static ngx_int_t ngx_http_llm_link_analyze(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_loc_conf_t *llcf);
static ngx_http_llm_route_t *ngx_http_llm_implicit_route(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_loc_conf_t *llcf);


void *
ngx_http_llm_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_llm_loc_conf_t  *llcf;

    llcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_loc_conf_t));
    if (llcf == NULL) {
        return NULL;
    }

    llcf->auth = NGX_CONF_UNSET_UINT;
    llcf->headers = NGX_CONF_UNSET_UINT;
    llcf->heartbeat = NGX_CONF_UNSET_MSEC;
    llcf->request_buffering = NGX_CONF_UNSET;
    llcf->buffer_size = NGX_CONF_UNSET_SIZE;
    llcf->max_answer = NGX_CONF_UNSET_SIZE;
    llcf->max_event = NGX_CONF_UNSET_SIZE;

    return llcf;
}


char *
ngx_http_llm_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_llm_loc_conf_t *prev = parent;
    ngx_http_llm_loc_conf_t *conf = child;

    ngx_http_llm_main_conf_t   *lmcf;
    ngx_http_llm_loc_conf_t   **slot;
    ngx_http_core_loc_conf_t   *clcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->auth == NGX_CONF_UNSET_UINT) {
        conf->auth_name = prev->auth_name;
    }

    ngx_conf_merge_uint_value(conf->auth, prev->auth, NGX_HTTP_LLM_AUTH_OFF);
    ngx_conf_merge_uint_value(conf->headers, prev->headers,
                              NGX_HTTP_LLM_HEADERS_ROUTE);
    ngx_conf_merge_msec_value(conf->heartbeat, prev->heartbeat, 0);
    ngx_conf_merge_size_value(conf->buffer_size, prev->buffer_size, 8192);
    ngx_conf_merge_size_value(conf->max_answer, prev->max_answer,
                              32 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->max_event, prev->max_event, 1024 * 1024);

    ngx_http_llm_merge_whole(prev, conf);

    if (clcf->noname) {
        ngx_http_llm_merge_pass(clcf, prev, conf);
    }

    if (ngx_http_llm_merge_buffering(cf, prev, conf) != NGX_OK
        || ngx_http_llm_merge_check(cf, conf) != NGX_OK
        || ngx_http_llm_policy_merge(cf, prev, conf) != NGX_OK
        || ngx_http_llm_app_merge(cf, prev, conf) != NGX_OK
        || ngx_http_llm_admin_merge(cf, prev, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (!conf->enabled) {
        return NGX_CONF_OK;
    }

    if (clcf->resolver == NULL || clcf->resolver->connections.nelts == 0) {
        lmcf->build->no_resolver = 1;
    }

    slot = ngx_array_push(&lmcf->build->locations);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = conf;

    return NGX_CONF_OK;
}


/* Directives of several values are inherited as a whole, or not at all. */

static void
ngx_http_llm_merge_whole(ngx_http_llm_loc_conf_t *prev,
    ngx_http_llm_loc_conf_t *conf)
{
    if (conf->priority == LLM_PRIORITY_UNSET && conf->priority_value == NULL) {
        conf->priority = prev->priority;
        conf->priority_value = prev->priority_value;
    }

    if (!conf->session_set) {
        conf->session = prev->session;
        conf->session_ttl = prev->session_ttl;
        conf->session_set = prev->session_set;
    }

    if (!conf->retry_set) {
        conf->retry = prev->retry;
        conf->retry_set = prev->retry_set;
    }

    if (!conf->retry_set) {
        ngx_http_llm_retry_defaults(&conf->retry);
    }
}


/*
 * "if" and "limit_except" without a pass of their own belong to the location
 * around them, as they do for proxy_pass.
 */

static void
ngx_http_llm_merge_pass(ngx_http_core_loc_conf_t *clcf,
    ngx_http_llm_loc_conf_t *prev, ngx_http_llm_loc_conf_t *conf)
{
    if (!conf->enabled) {
        conf->enabled = prev->enabled;
        conf->pass = prev->pass;
        conf->pass_names = prev->pass_names;
        conf->location = prev->location;
        conf->file = prev->file;
        conf->line = prev->line;

        if (conf->enabled && clcf->lmt_excpt && clcf->handler == NULL) {
            clcf->handler = ngx_http_llm_handler;
        }
    }

    if (conf->analyze_name.len == 0 && conf->transcribe == NULL) {
        conf->analyze_name = prev->analyze_name;
        conf->transcribe = prev->transcribe;
    }

    if (conf->endpoint == LLM_EP_UNKNOWN) {
        conf->endpoint = prev->endpoint;
    }
}


/* Inherited, it is for those of the inner locations that can do so. */

static ngx_int_t
ngx_http_llm_merge_buffering(ngx_conf_t *cf, ngx_http_llm_loc_conf_t *prev,
    ngx_http_llm_loc_conf_t *conf)
{
    if (conf->request_buffering == 0 && conf->enabled
        && (conf->endpoint != LLM_EP_PASSTHROUGH
            || conf->analyze_name.len || conf->transcribe))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"llm_request_buffering off\" needs \"llm_endpoint "
                      "passthrough\": any other body is read before it is "
                      "sent in %s:%ui", conf->file, conf->line);
        return NGX_ERROR;
    }

    ngx_conf_merge_value(conf->request_buffering, prev->request_buffering, 1);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_merge_check(ngx_conf_t *cf, ngx_http_llm_loc_conf_t *conf)
{
    if ((conf->analyze_name.len || conf->transcribe) && !conf->enabled) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" needs \"llm_pass\" in the same location "
                      "in %s:%ui",
                      conf->transcribe ? "llm_transcribe" : "llm_analyze",
                      conf->file, conf->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_link_locations(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i;
    ngx_http_llm_loc_conf_t  **llcf;

    llcf = lmcf->build->locations.elts;

    for (i = 0; i < lmcf->build->locations.nelts; i++) {

        if (ngx_http_llm_link_pass(cf, lmcf, llcf[i]) != NGX_OK
            || ngx_http_llm_auth_check(cf, lmcf, llcf[i]) != NGX_OK
            || ngx_http_llm_link_analyze(cf, lmcf, llcf[i]) != NGX_OK
            || ngx_http_llm_policy_location(cf, llcf[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_link_pass(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_loc_conf_t *llcf)
{
    ngx_http_llm_ref_t    ref;
    ngx_http_llm_name_t  *name;

    if (llcf->pass) {
        return NGX_OK;
    }

    if (llcf->pass_names->nelts > 1) {
        llcf->route = ngx_http_llm_implicit_route(cf, lmcf, llcf);
        return llcf->route ? NGX_OK : NGX_ERROR;
    }

    ref.name = *(ngx_str_t *) llcf->pass_names->elts;
    ref.file = llcf->file;
    ref.line = llcf->line;

    name = ngx_http_llm_defined(lmcf, &ref.name);

    if (name == NULL) {
        ngx_http_llm_unknown(cf, &ref, "name", &lmcf->names, NULL, NULL);
        return NGX_ERROR;
    }

    llcf->pass_name = name;

    if (name->kind == NGX_HTTP_LLM_SPLIT) {
        llcf->split = name->object;
        return NGX_OK;
    }

    llcf->route = name->route;
    llcf->provider_pass = (name->kind == NGX_HTTP_LLM_PROVIDER);

    return NGX_OK;
}


/* llm_pass A B C: a route written in place */

static ngx_http_llm_route_t *
ngx_http_llm_implicit_route(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_loc_conf_t *llcf)
{
    ngx_str_t               *name;
    ngx_uint_t               i, n;
    ngx_http_llm_ref_t       ref;
    ngx_http_llm_route_t    *route;
    ngx_http_llm_target_t   *target;

    n = llcf->pass_names->nelts;
    name = llcf->pass_names->elts;

    route = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_route_t));
    if (route == NULL) {
        return NULL;
    }

    route->targets = ngx_pcalloc(cf->pool, n * sizeof(ngx_http_llm_target_t));
    if (route->targets == NULL) {
        return NULL;
    }

    route->name = llcf->location;
    route->ntargets = n;
    route->implicit = 1;

    for (i = 0; i < n; i++) {
        target = &route->targets[i];
        target->on = LLM_ON_DEFAULT;

        ref.name = name[i];
        ref.file = llcf->file;
        ref.line = llcf->line;

        if (ngx_http_llm_find_target(cf, lmcf, &ref, target) != NGX_OK) {
            return NULL;
        }

        if (target->model) {
            target->provider = target->model->provider;
        }
    }

    if (ngx_http_llm_route_is_off(route)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"llm_pass\" has no target left: all of them are "
                      "\"enabled off\" in %s:%ui", llcf->file, llcf->line);
        return NULL;
    }

    return route;
}


static ngx_int_t
ngx_http_llm_link_analyze(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_loc_conf_t *llcf)
{
    ngx_uint_t               i;
    ngx_http_llm_ref_t       ref;
    ngx_http_llm_prompt_t  **prompt;

    if (llcf->analyze_name.len == 0) {
        return NGX_OK;
    }

    prompt = lmcf->prompts.elts;

    for (i = 0; i < lmcf->prompts.nelts; i++) {
        if (prompt[i]->name.len == llcf->analyze_name.len
            && ngx_strncmp(prompt[i]->name.data, llcf->analyze_name.data,
                           prompt[i]->name.len) == 0)
        {
            llcf->prompt = prompt[i];
            return NGX_OK;
        }
    }

    ref.name = llcf->analyze_name;
    ref.file = llcf->file;
    ref.line = llcf->line;

    ngx_http_llm_unknown(cf, &ref, "prompt", &lmcf->prompts, NULL, NULL);

    return NGX_ERROR;
}
