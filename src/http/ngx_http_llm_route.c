
/*
 * llm_route: an ordered chain of targets, each with the conditions on which it
 * takes over.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


#define NGX_HTTP_LLM_RESUME_MAX  262144    /* text of a stream, decoded */


typedef struct {
    ngx_http_llm_route_t     *route;
    ngx_array_t               on;          /* ngx_uint_t, one per target */
    ngx_array_t               refs;        /* ngx_http_llm_ref_t */
} ngx_http_llm_route_block_t;


static ngx_int_t ngx_http_llm_route_targets(ngx_conf_t *cf,
    ngx_http_llm_route_block_t *rb);
static ngx_int_t ngx_http_llm_route_link(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_ref_t *ref);
static char *ngx_http_llm_route_target(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_route_resume(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_route_internal(ngx_conf_t *cf, void *block);


static ngx_http_llm_member_t  ngx_http_llm_route_members[] = {
    { ngx_string("target"), 1, 2, 0, ngx_http_llm_route_target },
    { ngx_string("resume"), 1, 2, 1, ngx_http_llm_route_resume },
    { ngx_string("internal"), 0, 0, 1, ngx_http_llm_route_internal },
    { ngx_null_string, 0, 0, 0, NULL }
};


static ngx_http_llm_arg_t  ngx_http_llm_resume_args[] = {

    { ngx_string("max"), NGX_HTTP_LLM_ARG_SIZE,
      offsetof(ngx_http_llm_route_t, resume_max), 1024, 16 * 1024 * 1024 },

    { ngx_null_string, 0, 0, 0, 0 }
};


static char  *ngx_http_llm_on_words[] = {
    "error", "timeout", "rate_limited", "exhausted", "overloaded",
    "bad_answer", "context_length", "content_filter", "any", NULL
};


static ngx_uint_t  ngx_http_llm_on_bits[] = {
    LLM_ON_ERROR, LLM_ON_TIMEOUT, LLM_ON_RATE_LIMITED, LLM_ON_EXHAUSTED,
    LLM_ON_OVERLOADED, LLM_ON_BAD_ANSWER, LLM_ON_CONTEXT_LENGTH,
    LLM_ON_CONTENT_FILTER, LLM_ON_ANY
};


char *
ngx_http_llm_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    char                        *rv;
    ngx_str_t                   *value;
    ngx_http_llm_route_t        *route, **slot;
    ngx_http_llm_route_block_t   rb;

    value = cf->args->elts;

    if (ngx_http_llm_check_name(cf, "route", &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    route = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_route_t));
    if (route == NULL) {
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(&lmcf->routes);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = route;
    route->name = value[1];

    if (ngx_http_llm_add_name(cf, NGX_HTTP_LLM_ROUTE, &route->name, route,
                              route, 0)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rb.route = route;

    if (ngx_array_init(&rb.on, cf->temp_pool, 4, sizeof(ngx_uint_t)) != NGX_OK
        || ngx_array_init(&rb.refs, cf->temp_pool, 4,
                          sizeof(ngx_http_llm_ref_t)) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_llm_block(cf, ngx_http_llm_route_members, &rb);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (rb.refs.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"target\" in llm_route \"%V\"", &route->name);
        return NGX_CONF_ERROR;
    }

    ngx_http_llm_defined(lmcf, &route->name)->internal = route->internal;

    return ngx_http_llm_route_targets(cf, &rb) == NGX_OK ? NGX_CONF_OK
                                                         : NGX_CONF_ERROR;
}


/* Only now, when their number is known, targets have an address. */

static ngx_int_t
ngx_http_llm_route_targets(ngx_conf_t *cf, ngx_http_llm_route_block_t *rb)
{
    ngx_uint_t                 i, n, *on;
    ngx_http_llm_ref_t        *ref, *slot;
    ngx_http_llm_route_t      *route;
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);

    n = rb->refs.nelts;
    on = rb->on.elts;
    ref = rb->refs.elts;
    route = rb->route;

    route->ntargets = n;
    route->targets = ngx_pcalloc(cf->pool, n * sizeof(ngx_http_llm_target_t));
    if (route->targets == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        route->targets[i].on = on[i];

        slot = ngx_array_push(&lmcf->build->refs);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        *slot = ref[i];
        slot->object = &route->targets[i];
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_route_link(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_ref_t *ref)
{
    return ngx_http_llm_find_target(cf, lmcf, ref, ref->object);
}


ngx_int_t
ngx_http_llm_find_target(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_ref_t *ref, ngx_http_llm_target_t *target)
{
    ngx_http_llm_name_t  *name;

    name = ngx_http_llm_defined(lmcf, &ref->name);

    if (name == NULL) {
        ngx_http_llm_unknown(cf, ref, "target", &lmcf->models,
                             &lmcf->providers, NULL);
        return NGX_ERROR;
    }

    switch (name->kind) {

    case NGX_HTTP_LLM_MODEL:

        /* its provider may not be linked yet: ngx_http_llm_link() fills it */

        target->model = name->object;
        return NGX_OK;

    case NGX_HTTP_LLM_PROVIDER:
        target->provider = name->object;
        return NGX_OK;

    default:
        ngx_http_llm_unexpected(cf, ref, name, "a model or a provider");
        return NGX_ERROR;
    }
}


/* target NAME [on=CONDITION,...] */

static char *
ngx_http_llm_route_target(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_route_block_t *rb = block;

    ngx_str_t           *value, rest;
    ngx_uint_t          *on;
    ngx_http_llm_ref_t  *ref;

    value = cf->args->elts;

    on = ngx_array_push(&rb->on);
    ref = ngx_array_push(&rb->refs);

    if (on == NULL || ref == NULL) {
        return NGX_CONF_ERROR;
    }

    *on = LLM_ON_DEFAULT;

    ref->name = value[1];
    ref->object = NULL;
    ref->resolve = ngx_http_llm_route_link;
    ngx_http_llm_place(cf, &ref->file, &ref->line);

    if (rb->refs.nelts > NGX_HTTP_LLM_TARGETS_MAX) {
        return "is one of too many, 64 are possible";
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (!ngx_http_llm_arg_is(&value[2], "on", &rest)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected on=",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_llm_on(cf, &rest, on) == NGX_OK ? NGX_CONF_OK
                                                    : NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_llm_on(ngx_conf_t *cf, ngx_str_t *words, ngx_uint_t *on)
{
    u_char     *p, *last;
    ngx_int_t   n;
    ngx_str_t   word;

    *on = 0;
    last = words->data + words->len;

    for (word.data = words->data; word.data <= last; word.data = p + 1) {

        p = ngx_strlchr(word.data, last, ',');
        if (p == NULL) {
            p = last;
        }

        word.len = p - word.data;

        n = ngx_http_llm_word(cf, &word, "condition", ngx_http_llm_on_words);
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *on |= ngx_http_llm_on_bits[n];
    }

    return NGX_OK;
}


/* resume on|off [max=SIZE] */

static char *
ngx_http_llm_route_resume(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_route_block_t *rb = block;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_http_llm_flag(cf, &value[1], &rb->route->resume) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rb->route->resume_max = NGX_HTTP_LLM_RESUME_MAX;

    return ngx_http_llm_args(cf, 2, ngx_http_llm_resume_args, rb->route)
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_llm_route_internal(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_route_block_t *rb = block;

    rb->route->internal = 1;

    return NGX_CONF_OK;
}


ngx_http_llm_route_t *
ngx_http_llm_single_route(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_llm_model_t *model, ngx_http_llm_provider_t *provider)
{
    ngx_http_llm_route_t  *route;

    route = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_route_t));
    if (route == NULL) {
        return NULL;
    }

    route->targets = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_target_t));
    if (route->targets == NULL) {
        return NULL;
    }

    route->name = *name;
    route->ntargets = 1;
    route->implicit = 1;
    route->targets[0].model = model;
    route->targets[0].provider = provider;
    route->targets[0].on = LLM_ON_DEFAULT;

    return route;
}


ngx_uint_t
ngx_http_llm_route_is_off(ngx_http_llm_route_t *route)
{
    ngx_uint_t              i;
    ngx_http_llm_target_t  *t;

    for (i = 0; i < route->ntargets; i++) {
        t = &route->targets[i];

        if (!t->provider->enabled.off
            && (t->model == NULL || !t->model->enabled.off))
        {
            return 0;
        }
    }

    return 1;
}
