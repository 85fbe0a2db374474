
/*
 * The configuration as a whole: made empty, filled by the directives, and
 * linked at its end, when every name is known.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


#define NGX_HTTP_LLM_ZONE_SIZE  (16 * 1024 * 1024)


static ngx_int_t ngx_http_llm_conf_arrays(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);
static ngx_http_llm_build_t *ngx_http_llm_conf_build(ngx_conf_t *cf);
static ngx_int_t ngx_http_llm_link_names(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);
static ngx_int_t ngx_http_llm_link_targets(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_route_t *route);
static ngx_int_t ngx_http_llm_link_providers(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);
static ngx_int_t ngx_http_llm_link_store(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);
static ngx_int_t ngx_http_llm_link_keys(ngx_http_llm_main_conf_t *lmcf);
static ngx_int_t ngx_http_llm_link_models(ngx_http_llm_main_conf_t *lmcf);
static ngx_int_t ngx_http_llm_link_push(ngx_array_t *array, void *object);
static ngx_int_t ngx_http_llm_link_switch(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_store_switch_t *sw, ngx_str_t *name,
    ngx_http_llm_switch_kind_e kind);
static ngx_int_t ngx_http_llm_link_meter(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_store_meter_t *meter, ngx_http_llm_provider_t *provider,
    ngx_http_llm_model_t *model);


void *
ngx_http_llm_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_main_conf_t));
    if (lmcf == NULL) {
        return NULL;
    }

    if (ngx_http_llm_conf_arrays(cf, lmcf) != NGX_OK) {
        return NULL;
    }

    lmcf->build = ngx_http_llm_conf_build(cf);
    if (lmcf->build == NULL) {
        return NULL;
    }

    lmcf->clients = ngx_http_llm_clients_create(cf);
    if (lmcf->clients == NULL) {
        return NULL;
    }

    lmcf->clients->store = &lmcf->store;
    lmcf->created = ngx_time();
    lmcf->store.log = &cf->cycle->new_log;

    return lmcf;
}


static ngx_int_t
ngx_http_llm_conf_arrays(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t    i;
    ngx_array_t  *array[14];

    array[0] = &lmcf->pools;
    array[1] = &lmcf->providers;
    array[2] = &lmcf->models;
    array[3] = &lmcf->routes;
    array[4] = &lmcf->prompts;
    array[5] = &lmcf->names;
    array[6] = &lmcf->store.pools;
    array[7] = &lmcf->store.gates;
    array[8] = &lmcf->splits;
    array[9] = &lmcf->store.splits;
    array[10] = &lmcf->store.switches;
    array[11] = &lmcf->store.meters;
    array[12] = &lmcf->store.forecasts;
    array[13] = &lmcf->policies;

    for (i = 0; i < 14; i++) {
        if (ngx_array_init(array[i], cf->pool, 8, sizeof(void *)) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_http_llm_build_t *
ngx_http_llm_conf_build(ngx_conf_t *cf)
{
    ngx_http_llm_build_t  *build;

    build = ngx_pcalloc(cf->temp_pool, sizeof(ngx_http_llm_build_t));
    if (build == NULL) {
        return NULL;
    }

    ngx_rbtree_init(&build->tree, &build->sentinel,
                    ngx_str_rbtree_insert_value);

    if (ngx_array_init(&build->refs, cf->temp_pool, 16,
                       sizeof(ngx_http_llm_ref_t)) != NGX_OK
        || ngx_array_init(&build->locations, cf->temp_pool, 8,
                          sizeof(void *)) != NGX_OK
        || ngx_array_init(&build->zones, cf->temp_pool, 4,
                          sizeof(ngx_http_llm_tz_row_t)) != NGX_OK
        || ngx_array_init(&build->splits, cf->temp_pool, 4, sizeof(void *))
           != NGX_OK)
    {
        return NULL;
    }

    return build;
}


/* llm_zone NAME:SIZE */

char *
ngx_http_llm_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, s;

    if (lmcf->zone_name.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    p = (u_char *) ngx_strchr(value[1].data, ':');

    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone \"%V\", expected NAME:SIZE such as "
                           "gateway:32m", &value[1]);
        return NGX_CONF_ERROR;
    }

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small", &value[1]);
        return NGX_CONF_ERROR;
    }

    lmcf->zone_name.data = value[1].data;
    lmcf->zone_name.len = p - value[1].data;
    lmcf->zone_size = size;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_link(ngx_conf_t *cf)
{
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);

    if (ngx_http_llm_link_names(cf, lmcf) != NGX_OK
        || ngx_http_llm_params_link(cf, lmcf) != NGX_OK
        || ngx_http_llm_link_splits(cf, lmcf) != NGX_OK
        || ngx_http_llm_policy_link(cf, lmcf) != NGX_OK
        || ngx_http_llm_link_locations(cf, lmcf) != NGX_OK
        || ngx_http_llm_policy_forecasts(cf, lmcf) != NGX_OK
        || ngx_http_llm_link_providers(cf, lmcf) != NGX_OK
        || ngx_http_llm_redis_link(cf, lmcf) != NGX_OK
        || ngx_http_llm_link_store(cf, lmcf) != NGX_OK
        || ngx_http_llm_hash_names(cf, lmcf) != NGX_OK
        || ngx_http_llm_auth_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    lmcf->build = NULL;

    return NGX_OK;
}


/* Every name used is found, and targets get the providers of their models. */

static ngx_int_t
ngx_http_llm_link_names(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t              i;
    ngx_http_llm_ref_t     *ref;
    ngx_http_llm_route_t  **route;

    ref = lmcf->build->refs.elts;

    for (i = 0; i < lmcf->build->refs.nelts; i++) {
        if (ref[i].resolve(cf, lmcf, &ref[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    route = lmcf->routes.elts;

    for (i = 0; i < lmcf->routes.nelts; i++) {
        if (ngx_http_llm_link_targets(cf, lmcf, route[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_link_targets(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_route_t *route)
{
    ngx_uint_t              i;
    ngx_http_llm_name_t    *name;
    ngx_http_llm_target_t  *target;

    for (i = 0; i < route->ntargets; i++) {
        target = &route->targets[i];

        if (target->model) {
            target->provider = target->model->provider;
        }
    }

    if (ngx_http_llm_route_is_off(route)) {
        name = ngx_http_llm_defined(lmcf, &route->name);

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "llm_route \"%V\" has no target left: all of them are "
                      "\"enabled off\" in %s:%ui", &route->name, name->file,
                      name->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_link_providers(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_llm_provider_t  **provider;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    lmcf->has_resolver = !lmcf->build->no_resolver;

    if (lmcf->build->locations.nelts == 0) {
        lmcf->has_resolver = (clcf->resolver->connections.nelts != 0);
    }

    provider = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {
        if (ngx_http_llm_provider_link(cf, lmcf, provider[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* What workers share: pools that have keys, a gate for every provider, and what
 * is switched and counted of providers and models. */

static ngx_int_t
ngx_http_llm_link_store(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    char  *rv;

    if (ngx_http_llm_link_keys(lmcf) != NGX_OK
        || ngx_http_llm_link_models(lmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (lmcf->zone_name.len == 0) {

        if (lmcf->providers.nelts == 0 && lmcf->splits.nelts == 0
            && !lmcf->clients->used)
        {
            return NGX_OK;
        }

        ngx_str_set(&lmcf->zone_name, "llm_gateway");
        lmcf->zone_size = NGX_HTTP_LLM_ZONE_SIZE;
    }

    rv = ngx_http_llm_store_zone(cf, &lmcf->store, &lmcf->zone_name,
                                 lmcf->zone_size, &ngx_http_llm_gateway_module);

    if (rv == NGX_CONF_OK) {
        return NGX_OK;
    }

    if (rv != NGX_CONF_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"llm_zone\" directive %s",
                      rv);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_link_keys(ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i;
    ngx_http_llm_key_pool_t  **pool;

    pool = lmcf->pools.elts;

    for (i = 0; i < lmcf->pools.nelts; i++) {
        if (pool[i]->store.conf.key_n
            && ngx_http_llm_link_push(&lmcf->store.pools, &pool[i]->store)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_link_models(ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i;
    ngx_http_llm_model_t     **model;
    ngx_http_llm_provider_t  **p;

    p = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {
        if (ngx_http_llm_link_push(&lmcf->store.gates, &p[i]->gate) != NGX_OK
            || ngx_http_llm_link_switch(lmcf, &p[i]->enabled, &p[i]->name,
                                        NGX_HTTP_LLM_SWITCH_PROVIDER)
               != NGX_OK
            || ngx_http_llm_link_meter(lmcf, &p[i]->meter, p[i], NULL)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    model = lmcf->models.elts;

    for (i = 0; i < lmcf->models.nelts; i++) {
        if (ngx_http_llm_link_switch(lmcf, &model[i]->enabled, &model[i]->name,
                                     NGX_HTTP_LLM_SWITCH_MODEL)
            != NGX_OK
            || ngx_http_llm_link_meter(lmcf, &model[i]->meter,
                                       model[i]->provider, model[i])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_link_push(ngx_array_t *array, void *object)
{
    void  **place;

    place = ngx_array_push(array);
    if (place == NULL) {
        return NGX_ERROR;
    }

    *place = object;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_link_switch(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_store_switch_t *sw, ngx_str_t *name,
    ngx_http_llm_switch_kind_e kind)
{
    sw->name = *name;
    sw->kind = kind;

    return ngx_http_llm_link_push(&lmcf->store.switches, sw);
}


static ngx_int_t
ngx_http_llm_link_meter(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_store_meter_t *meter, ngx_http_llm_provider_t *provider,
    ngx_http_llm_model_t *model)
{
    meter->provider = provider->name;

    if (model) {
        meter->model = model->name;
    }

    return ngx_http_llm_link_push(&lmcf->store.meters, meter);
}
