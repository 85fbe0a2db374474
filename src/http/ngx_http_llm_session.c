/*
 * llm_session: requests that belong together (pieces of one recording, turns of
 * one conversation) go to the variant, target and key that served the last of
 * them, while those can be used.
 *
 * A preference, nothing more: when its target fails, the chain is asked from
 * its start, and who serves the request then is asked first from then on.
 */

#include "ngx_http_llm_client.h"
#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_ctx.h"

#include "llm_hash.h"


#define NGX_HTTP_LLM_SESSION_TTL      (3600 * 1000)             /* ms */
#define NGX_HTTP_LLM_SESSION_TTL_MAX  (30 * 24 * 3600 * 1000UL)


static ngx_http_llm_arg_t  ngx_http_llm_session_args[] = {

    { ngx_string("ttl"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(ngx_http_llm_loc_conf_t, session_ttl),
      1, NGX_HTTP_LLM_SESSION_TTL_MAX },

    { ngx_null_string, 0, 0, 0, 0 }
};


/* llm_session off; llm_session $variable [ttl=TIME] */

char *
ngx_http_llm_set_session(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_str_t                         *value;
    ngx_http_compile_complex_value_t   ccv;

    if (llcf->session_set) {
        return "is duplicate";
    }

    llcf->session_set = 1;
    llcf->session_ttl = NGX_HTTP_LLM_SESSION_TTL;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_http_script_variables_count(&value[1]) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid session \"%V\", expected \"off\" or a "
                           "variable such as $http_x_session_id", &value[1]);
        return NGX_CONF_ERROR;
    }

    llcf->session = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (llcf->session == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = llcf->session;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK
        || ngx_http_llm_args(cf, 2, ngx_http_llm_session_args, llcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_session_value(ngx_http_llm_ctx_t *ctx, ngx_str_t *value)
{
    ngx_str_null(value);

    return ctx->llcf->session
           ? ngx_http_complex_value(ctx->request, ctx->llcf->session, value)
           : NGX_OK;
}


/* Clients choose their names without knowing of each other. */

ngx_int_t
ngx_http_llm_session_find(ngx_http_llm_ctx_t *ctx, ngx_str_t *scope)
{
    u_char                 *p;
    ngx_str_t               value, client;
    ngx_http_llm_object_t   home;

    if (ngx_http_llm_session_value(ctx, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0) {
        return NGX_OK;
    }

    ngx_str_null(&client);

    if (ctx->caller) {
        client = ctx->caller->client->id;
    }

    p = ngx_pnalloc(ctx->request->pool,
                    scope->len + client.len + value.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->session.data = p;

    p = ngx_cpymem(p, scope->data, scope->len);
    *p++ = '\0';
    p = ngx_cpymem(p, client.data, client.len);
    *p++ = '\0';
    p = ngx_cpymem(p, value.data, value.len);

    ctx->session.len = p - ctx->session.data;

    if (ngx_http_llm_session_get(&ctx->lmcf->store, &ctx->session,
                                 ctx->llcf->session_ttl, &home)
        != NGX_OK)
    {
        return NGX_OK;
    }

    ctx->home = ngx_palloc(ctx->request->pool, sizeof(ngx_http_llm_object_t));
    if (ctx->home == NULL) {
        return NGX_ERROR;
    }

    *ctx->home = home;

    return NGX_OK;
}


/* Not in another variant, where the same target may stand further behind, and
 * not in the cheaper route of a budget. */

void
ngx_http_llm_session_bind(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->home == NULL || ctx->degraded
        || (ctx->split
            && ctx->home->variant
               != ngx_http_llm_variant_hash(ctx->split, ctx->variant)))
    {
        return;
    }

    ctx->first = ngx_http_llm_object_maker(ctx, ctx->home);
}


/* A target that takes over for some failures only is for these alone: what was
 * exhausted once must not leave the session with a last resort. */

void
ngx_http_llm_session_learn(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_object_t  home;

    if (ctx->session.len == 0 || ctx->degraded
        || (ctx->send->target->on & LLM_ON_DEFAULT) != LLM_ON_DEFAULT)
    {
        return;
    }

    ngx_http_llm_object_made(ctx, &home);
    ngx_http_llm_session_put(&ctx->lmcf->store, &ctx->session, &home);
}
