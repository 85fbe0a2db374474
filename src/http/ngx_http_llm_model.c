
/*
 * llm_model: a model at a provider, its price, and what it can do.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


static char *ngx_http_llm_model_provider(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_id(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_deployment(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_price(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_context(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_can(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_param(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_unsupported(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_tier(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_internal(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_model_enabled(ngx_conf_t *cf, void *block);
static ngx_int_t ngx_http_llm_model_link(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_ref_t *ref);


static ngx_http_llm_member_t  ngx_http_llm_model_members[] = {
    { ngx_string("provider"), 1, 1, 1, ngx_http_llm_model_provider },
    { ngx_string("id"), 1, 1, 1, ngx_http_llm_model_id },
    { ngx_string("deployment"), 1, 1, 1, ngx_http_llm_model_deployment },
    { ngx_string("price"), 1, 4, 1, ngx_http_llm_model_price },
    { ngx_string("context"), 1, 1, 1, ngx_http_llm_model_context },
    { ngx_string("can"), 1, NGX_HTTP_LLM_ARGS_ANY, 1, ngx_http_llm_model_can },
    { ngx_string("set"), 2, 2, 0, ngx_http_llm_model_param },
    { ngx_string("default"), 2, 2, 0, ngx_http_llm_model_param },
    { ngx_string("drop"), 1, NGX_HTTP_LLM_ARGS_ANY, 0,
      ngx_http_llm_model_param },
    { ngx_string("rename"), 2, 2, 0, ngx_http_llm_model_param },
    { ngx_string("unsupported"), 1, 1, 1, ngx_http_llm_model_unsupported },
    { ngx_string("tier"), 1, 1, 1, ngx_http_llm_model_tier },
    { ngx_string("internal"), 0, 0, 1, ngx_http_llm_model_internal },
    { ngx_string("enabled"), 1, 1, 1, ngx_http_llm_model_enabled },
    { ngx_null_string, 0, 0, 0, NULL }
};


static char  *ngx_http_llm_tiers[] = {
    "low", "medium", "high", "premium", NULL
};


typedef struct {
    ngx_http_llm_model_t     *model;
    ngx_uint_t                provided;
} ngx_http_llm_model_block_t;


char *
ngx_http_llm_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    char                        *rv;
    ngx_str_t                   *value;
    ngx_http_llm_model_t        *m, **slot;
    ngx_http_llm_model_block_t   mb;

    value = cf->args->elts;

    if (ngx_http_llm_check_name(cf, "model", &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    m = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_model_t));
    if (m == NULL) {
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(&lmcf->models);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = m;

    m->name = value[1];
    m->id = value[1];
    m->price.input = LLM_UNKNOWN;
    m->price.cached = LLM_UNKNOWN;
    m->price.output = LLM_UNKNOWN;
    m->price.audio = LLM_UNKNOWN;

    m->route = ngx_http_llm_single_route(cf, &m->name, m, NULL);
    if (m->route == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_llm_add_name(cf, NGX_HTTP_LLM_MODEL, &m->name, m, m->route, 0)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    mb.model = m;
    mb.provided = 0;

    rv = ngx_http_llm_block(cf, ngx_http_llm_model_members, &mb);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (!mb.provided) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"provider\" in llm_model \"%V\"", &m->name);
        return NGX_CONF_ERROR;
    }

    ngx_http_llm_defined(lmcf, &m->name)->internal = m->internal;

    return NGX_CONF_OK;
}


static char *
ngx_http_llm_model_provider(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    ngx_str_t  *value;

    value = cf->args->elts;
    mb->provided = 1;

    if (ngx_http_llm_add_ref(cf, &value[1], mb->model, ngx_http_llm_model_link)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_llm_model_link(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_ref_t *ref)
{
    ngx_http_llm_model_t *m = ref->object;

    ngx_http_llm_name_t  *name;

    name = ngx_http_llm_defined(lmcf, &ref->name);

    if (name == NULL) {
        ngx_http_llm_unknown(cf, ref, "provider", &lmcf->providers, NULL,
                             NULL);
        return NGX_ERROR;
    }

    if (name->kind != NGX_HTTP_LLM_PROVIDER) {
        ngx_http_llm_unexpected(cf, ref, name, "a provider");
        return NGX_ERROR;
    }

    m->provider = name->object;

    if (m->deployment.len && !m->provider->dialect->deployments) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"deployment\" of llm_model \"%V\" is incompatible "
                      "with the dialect of its provider \"%V\" in %s:%ui",
                      &m->name, &ref->name, ref->file, ref->line);
        return NGX_ERROR;
    }

    m->route->targets[0].provider = m->provider;

    return NGX_OK;
}


static char *
ngx_http_llm_model_id(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "must not be empty";
    }

    mb->model->id = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_llm_model_deployment(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "must not be empty";
    }

    mb->model->deployment = value[1];

    return NGX_CONF_OK;
}


/* price input=0.59 cached=0.1 output=0.79 audio=0.0007: dollars */

static char *
ngx_http_llm_model_price(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    uint64_t      *to;
    ngx_str_t     *value, rest;
    ngx_uint_t     i;
    llm_price_t   *price;

    value = cf->args->elts;
    price = &mb->model->price;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_llm_arg_is(&value[i], "input", &rest)) {
            to = &price->input;

        } else if (ngx_http_llm_arg_is(&value[i], "cached", &rest)) {
            to = &price->cached;

        } else if (ngx_http_llm_arg_is(&value[i], "output", &rest)) {
            to = &price->output;

        } else if (ngx_http_llm_arg_is(&value[i], "audio", &rest)) {
            to = &price->audio;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected one of: "
                               "input=, cached=, output=, audio=", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (*to != LLM_UNKNOWN) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (llm_price_parse((llm_str_t) { rest.len, rest.data }, to) != LLM_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid price \"%V\", expected US dollars per "
                               "million tokens, or per minute of audio, such "
                               "as \"0.59\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    price->known = 1;

    return NGX_CONF_OK;
}


/* context 131072; context 128k; context 1m: k and m are 1000 and 1000000, as
 * providers count */

static char *
ngx_http_llm_model_context(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    size_t       len;
    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   scale;

    value = cf->args->elts;
    len = value[1].len;
    scale = 1;

    if (len && (value[1].data[len - 1] | 0x20) == 'k') {
        scale = 1000;
        len--;

    } else if (len && (value[1].data[len - 1] | 0x20) == 'm') {
        scale = 1000000;
        len--;
    }

    n = ngx_atoi(value[1].data, len);

    if (n == NGX_ERROR || n == 0 || n > 1000000000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid context \"%V\", expected a number of "
                           "tokens such as 131072 or 128k", &value[1]);
        return NGX_CONF_ERROR;
    }

    mb->model->context = n * scale;

    return NGX_CONF_OK;
}


static char *
ngx_http_llm_model_can(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    unsigned               bit;
    ngx_str_t             *value, *label;
    ngx_uint_t             i;
    ngx_http_llm_model_t  *m;

    m = mb->model;
    value = cf->args->elts;

    m->can_set = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_llm_check_name(cf, "capability", &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        bit = llm_can_by_name((llm_str_t) { value[i].len, value[i].data });

        if (bit) {
            m->can |= bit;
            continue;
        }

        if (m->labels == NULL) {
            m->labels = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
            if (m->labels == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        label = ngx_array_push(m->labels);
        if (label == NULL) {
            return NGX_CONF_ERROR;
        }

        *label = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_llm_model_param(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    return ngx_http_llm_param(cf, &mb->model->params);
}


static char *
ngx_http_llm_model_unsupported(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    return ngx_http_llm_param_unsupported(cf, &mb->model->params);
}


static char *
ngx_http_llm_model_tier(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;

    n = ngx_http_llm_word(cf, &value[1], "tier", ngx_http_llm_tiers);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    mb->model->tier = n + 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_llm_model_internal(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    mb->model->internal = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_llm_model_enabled(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_model_block_t *mb = block;

    return ngx_http_llm_enabled(cf, &mb->model->enabled);
}
