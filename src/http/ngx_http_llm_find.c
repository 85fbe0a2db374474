/*
 * From what the client asked for to a route: by the location or by a variable,
 * as far as the client may use it, and the variant of a split.
 */

#include "ngx_http_llm_ctx.h"


static llm_code_t ngx_http_llm_find_asked(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
static llm_code_t ngx_http_llm_find_variant(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_split_t *split);


/*
 * What llm_pass leads to.  A variable finds models, routes and splits of them
 * only: providers and anything internal stay out of a client's reach.
 */

llm_code_t
ngx_http_llm_find_route(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    llm_code_t  code;

    (void) ngx_http_llm_object_find(ctx);

    if (ctx->llcf->pass) {
        return ngx_http_llm_find_asked(ctx, message);
    }

    code = ngx_http_llm_allowed_here(ctx, message);

    if (code != LLM_CODE_NONE) {
        return code;
    }

    ctx->route = ctx->llcf->route;

    return ngx_http_llm_find_variant(ctx, ctx->llcf->split);
}


static llm_code_t
ngx_http_llm_find_asked(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    ngx_str_t              value;
    llm_code_t             code;
    ngx_http_llm_name_t   *name;
    ngx_http_llm_split_t  *split;

    if (ngx_http_complex_value(ctx->request, ctx->llcf->pass, &value)
        != NGX_OK)
    {
        return LLM_CODE_GATEWAY_ERROR;
    }

    if (value.len == 0) {
        return LLM_CODE_CALLER_MODEL_MISSING;
    }

    name = ngx_http_llm_find_name(ctx->lmcf, value.data, value.len);

    if (name == NULL || name->internal || name->kind == NGX_HTTP_LLM_PROVIDER) {
        return LLM_CODE_CALLER_MODEL_NOT_FOUND;
    }

    split = (name->kind == NGX_HTTP_LLM_SPLIT) ? name->object : NULL;

    if (split && split->apps) {
        return LLM_CODE_CALLER_MODEL_NOT_FOUND;
    }

    code = ngx_http_llm_allowed_asked(ctx, name, message);

    if (code != LLM_CODE_NONE) {
        return code;
    }

    ctx->route = name->route;

    return ngx_http_llm_find_variant(ctx, split);
}


/* Chosen before the body was read where some variant is an application. */

static llm_code_t
ngx_http_llm_find_variant(ngx_http_llm_ctx_t *ctx, ngx_http_llm_split_t *split)
{
    ngx_uint_t  i;

    if (ngx_http_llm_session_find(ctx, split ? &split->name
                                             : &ctx->route->name)
        != NGX_OK)
    {
        return LLM_CODE_GATEWAY_ERROR;
    }

    if (split == NULL) {
        ngx_http_llm_estimate(ctx, ctx->route);
        return LLM_CODE_NONE;
    }

    if (ctx->split == NULL && ngx_http_llm_choose(ctx, split) != NGX_OK) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    for (i = 0; i < split->store.n; i++) {
        ngx_http_llm_estimate(ctx, split->variants[i].route);
    }

    return ngx_http_llm_assign(ctx);
}
