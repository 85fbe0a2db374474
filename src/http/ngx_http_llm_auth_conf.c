
/*
 * llm_auth: the directive, and what cannot stand beside it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


static ngx_http_llm_provider_t *ngx_http_llm_auth_passes_key(
    ngx_http_llm_route_t *route);
static ngx_http_llm_provider_t *ngx_http_llm_auth_find_passing(
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_loc_conf_t *llcf);


/* llm_auth on | off | $variable */

char *
ngx_http_llm_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_str_t                         *value;
    ngx_http_llm_main_conf_t          *lmcf;
    ngx_http_compile_complex_value_t   ccv;

    if (llcf->auth != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);

    if (ngx_strcmp(value[1].data, "off") == 0) {
        llcf->auth = NGX_HTTP_LLM_AUTH_OFF;
        return NGX_CONF_OK;
    }

    lmcf->clients->used = 1;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        llcf->auth = NGX_HTTP_LLM_AUTH_KEY;
        return NGX_CONF_OK;
    }

    if (ngx_http_script_variables_count(&value[1]) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be \"on\", \"off\" "
                           "or a variable such as $remote_user", &value[1]);
        return NGX_CONF_ERROR;
    }

    llcf->auth_name = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (llcf->auth_name == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = llcf->auth_name;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    llcf->auth = NGX_HTTP_LLM_AUTH_NAME;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_auth_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_llm_main_conf_t   *lmcf;
    ngx_http_core_main_conf_t  *cmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);

    if (!lmcf->clients->used) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_llm_auth_access;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_llm_auth_named;

    return NGX_OK;
}


/* The key of a client would go to the provider: both would be in the same
 * header. */

ngx_int_t
ngx_http_llm_auth_check(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_loc_conf_t *llcf)
{
    ngx_http_llm_provider_t  *provider;

    if (llcf->auth != NGX_HTTP_LLM_AUTH_KEY) {
        return NGX_OK;
    }

    provider = ngx_http_llm_auth_find_passing(lmcf, llcf);

    if (provider == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"llm_auth on\" and \"key client\" of llm_provider \"%V\" "
                  "both want the client's key, expected \"llm_auth "
                  "$variable\" or a key of our own in %s:%ui",
                  &provider->name, llcf->file, llcf->line);

    return NGX_ERROR;
}


static ngx_http_llm_provider_t *
ngx_http_llm_auth_find_passing(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_loc_conf_t *llcf)
{
    ngx_uint_t                 i;
    ngx_http_llm_name_t      **name;
    ngx_http_llm_provider_t   *p;

    if (llcf->split) {
        for (i = 0; i < llcf->split->store.n; i++) {
            p = ngx_http_llm_auth_passes_key(llcf->split->variants[i].route);

            if (p) {
                return p;
            }
        }

        return NULL;
    }

    if (llcf->pass == NULL) {
        return ngx_http_llm_auth_passes_key(llcf->route);
    }

    name = lmcf->names.elts;

    for (i = 0; i < lmcf->names.nelts; i++) {

        if (name[i]->internal || name[i]->kind == NGX_HTTP_LLM_PROVIDER) {
            continue;
        }

        p = ngx_http_llm_auth_passes_key(name[i]->route);

        if (p) {
            return p;
        }
    }

    return NULL;
}


static ngx_http_llm_provider_t *
ngx_http_llm_auth_passes_key(ngx_http_llm_route_t *route)
{
    ngx_uint_t  i;

    for (i = 0; route && i < route->ntargets; i++) {
        if (route->targets[i].provider->client_key) {
            return route->targets[i].provider;
        }
    }

    return NULL;
}
