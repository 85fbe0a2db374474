
/*
 * Members that llm_provider and llm_model share: what is done to the parameters
 * of a request on its way to a target, and what becomes of a request that the
 * target has no words for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_provider.h"


static ngx_int_t ngx_http_llm_param_check(ngx_conf_t *cf, ngx_str_t *name);
static llm_field_t *ngx_http_llm_param_add(ngx_conf_t *cf,
    ngx_http_llm_params_t *params, llm_field_do_t what, ngx_str_t *name);
static ngx_uint_t ngx_http_llm_param_told(ngx_http_llm_params_t *params,
    llm_field_t *field);
static ngx_int_t ngx_http_llm_params_put(ngx_array_t *to,
    ngx_http_llm_params_t *from, llm_field_do_t what,
    ngx_http_llm_params_t *unless);
static ngx_int_t ngx_http_llm_params_order(ngx_conf_t *cf,
    ngx_http_llm_params_t *provider, ngx_http_llm_params_t *params);


/* What the gateway itself reads, sets, or answers for. */

static ngx_str_t  ngx_http_llm_params_own[] = {
    ngx_string("model"),
    ngx_string("messages"),
    ngx_string("input"),
    ngx_string("file"),
    ngx_string("stream"),
    ngx_string("stream_options"),
    ngx_null_string
};


/* In the order in which they act. */

static char  *ngx_http_llm_params_words[] = {
    "rename", "drop", "default", "set", NULL
};

static llm_field_do_t  ngx_http_llm_params_do[] = {
    LLM_FIELD_RENAME, LLM_FIELD_DROP, LLM_FIELD_DEFAULT, LLM_FIELD_SET
};


static char  *ngx_http_llm_unsupported[] = { "drop", "skip", "error", NULL };


/* set NAME VALUE; default NAME VALUE; drop NAME ...; rename OLD NEW */

char *
ngx_http_llm_param(ngx_conf_t *cf, ngx_http_llm_params_t *params)
{
    ngx_int_t        n;
    ngx_str_t       *value;
    ngx_uint_t       i;
    llm_field_t     *field;
    llm_field_do_t   what;

    value = cf->args->elts;

    n = ngx_http_llm_word(cf, &value[0], "member", ngx_http_llm_params_words);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    what = ngx_http_llm_params_do[n];

    for (i = 1; i < cf->args->nelts; i++) {

        field = ngx_http_llm_param_add(cf, params, what, &value[i]);
        if (field == NULL) {
            return NGX_CONF_ERROR;
        }

        if (what == LLM_FIELD_DROP) {
            continue;
        }

        if (what != LLM_FIELD_RENAME) {
            return ngx_http_llm_field(cf, field, &value[1], &value[2], 1)
                   == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
        }

        if (ngx_http_llm_param_check(cf, &value[2]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_llm_same(&value[1], &value[2])) {
            return "names the same member twice";
        }

        field->to = (llm_str_t) { value[2].len, value[2].data };

        return NGX_CONF_OK;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_llm_provider_param(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    return ngx_http_llm_param(cf, &pb->provider->params);
}


static ngx_int_t
ngx_http_llm_param_check(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t   i;
    ngx_str_t   *own;

    if (ngx_http_llm_check_name(cf, "member", name) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; ngx_http_llm_params_own[i].len; i++) {
        own = &ngx_http_llm_params_own[i];

        /* some servers do not tell "Model" from "model" */

        if (name->len == own->len
            && ngx_strncasecmp(name->data, own->data, own->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "member \"%V\" cannot be changed, it is the "
                               "gateway's own", name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static llm_field_t *
ngx_http_llm_param_add(ngx_conf_t *cf, ngx_http_llm_params_t *params,
    llm_field_do_t what, ngx_str_t *name)
{
    llm_field_t  *field, new;

    if (ngx_http_llm_param_check(cf, name) != NGX_OK) {
        return NULL;
    }

    ngx_memzero(&new, sizeof(llm_field_t));
    new.what = what;
    new.name = (llm_str_t) { name->len, name->data };

    if (ngx_http_llm_param_told(params, &new)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate member \"%V\", only one of \"set\", "
                           "\"default\" and \"drop\" can name it, and one "
                           "\"rename\"", name);
        return NULL;
    }

    if (params->fields == NULL) {
        params->fields = ngx_array_create(cf->pool, 4, sizeof(llm_field_t));
        if (params->fields == NULL) {
            return NULL;
        }
    }

    if (params->fields->nelts == NGX_HTTP_LLM_PARAMS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many members are changed, at most %d can be",
                           NGX_HTTP_LLM_PARAMS_MAX);
        return NULL;
    }

    field = ngx_array_push(params->fields);
    if (field != NULL) {
        *field = new;
    }

    return field;
}


/* Whether they say something about the same member: of its old name, or of its
 * value. */

static ngx_uint_t
ngx_http_llm_param_told(ngx_http_llm_params_t *params, llm_field_t *field)
{
    ngx_uint_t    i;
    llm_field_t  *f;

    if (params == NULL || params->fields == NULL) {
        return 0;
    }

    f = params->fields->elts;

    for (i = 0; i < params->fields->nelts; i++) {
        if ((f[i].what == LLM_FIELD_RENAME) == (field->what == LLM_FIELD_RENAME)
            && llm_str_eq(f[i].name, field->name))
        {
            return 1;
        }
    }

    return 0;
}


/* unsupported drop|skip|error */

char *
ngx_http_llm_param_unsupported(ngx_conf_t *cf, ngx_http_llm_params_t *params)
{
    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;

    n = ngx_http_llm_word(cf, &value[1], "value of \"unsupported\"",
                          ngx_http_llm_unsupported);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    params->unsupported = NGX_HTTP_LLM_UNSUPPORTED_DROP + n;

    return NGX_CONF_OK;
}


char *
ngx_http_llm_provider_unsupported(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    return ngx_http_llm_param_unsupported(cf, &pb->provider->params);
}


/* A model says the last word about each member; the rest is its provider's. */

ngx_int_t
ngx_http_llm_params_link(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i;
    ngx_http_llm_model_t     **model;
    ngx_http_llm_params_t     *own;
    ngx_http_llm_provider_t  **provider;

    provider = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {
        if (ngx_http_llm_params_order(cf, NULL, &provider[i]->params)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    model = lmcf->models.elts;

    for (i = 0; i < lmcf->models.nelts; i++) {
        own = &model[i]->provider->params;

        if (ngx_http_llm_params_order(cf, own, &model[i]->params) != NGX_OK) {
            return NGX_ERROR;
        }

        if (model[i]->params.unsupported == NGX_HTTP_LLM_UNSUPPORTED_UNSET) {
            model[i]->params.unsupported = own->unsupported;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_params_order(ngx_conf_t *cf, ngx_http_llm_params_t *provider,
    ngx_http_llm_params_t *params)
{
    ngx_uint_t       i;
    ngx_array_t     *all;
    llm_field_do_t   what;

    all = ngx_array_create(cf->pool, 4, sizeof(llm_field_t));
    if (all == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; ngx_http_llm_params_words[i]; i++) {
        what = ngx_http_llm_params_do[i];

        if (ngx_http_llm_params_put(all, provider, what, params) != NGX_OK
            || ngx_http_llm_params_put(all, params, what, NULL) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    params->fields = all->nelts ? all : NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_params_put(ngx_array_t *to, ngx_http_llm_params_t *from,
    llm_field_do_t what, ngx_http_llm_params_t *unless)
{
    ngx_uint_t    i;
    llm_field_t  *f, *field;

    if (from == NULL || from->fields == NULL) {
        return NGX_OK;
    }

    f = from->fields->elts;

    for (i = 0; i < from->fields->nelts; i++) {

        if (f[i].what != what || ngx_http_llm_param_told(unless, &f[i])) {
            continue;
        }

        field = ngx_array_push(to);
        if (field == NULL) {
            return NGX_ERROR;
        }

        *field = f[i];
    }

    return NGX_OK;
}
