/*
 * What a client may use: `models` and `routes` of its record.
 *
 * A name that the client chose is looked for in `models`, whatever it stands
 * for, and one of a route or a split in `routes` as well.  What a location
 * passes to by itself is looked for in the list of its kind.  A list that is
 * missing forbids nothing of its kind.
 */

#include "ngx_http_llm_ctx.h"


static ngx_uint_t ngx_http_llm_allowed_kind(ngx_http_llm_client_t *client,
    ngx_http_llm_kind_e kind, ngx_str_t *name);
static llm_code_t ngx_http_llm_not_allowed(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *name, llm_str_t *message);


ngx_uint_t
ngx_http_llm_allowed_name(ngx_http_llm_ctx_t *ctx, ngx_http_llm_name_t *name)
{
    ngx_http_llm_client_t  *client;

    if (ctx->caller == NULL) {
        return 1;
    }

    client = ctx->caller->client;

    if (name->kind == NGX_HTTP_LLM_MODEL) {
        return ngx_http_llm_patterns_match(client->models, &name->name);
    }

    if (client->models == NULL) {
        return ngx_http_llm_patterns_match(client->routes, &name->name);
    }

    return ngx_http_llm_patterns_match(client->models, &name->name)
           || (client->routes
               && ngx_http_llm_patterns_match(client->routes, &name->name));
}


llm_code_t
ngx_http_llm_allowed_asked(ngx_http_llm_ctx_t *ctx, ngx_http_llm_name_t *name,
    llm_str_t *message)
{
    return ngx_http_llm_allowed_name(ctx, name)
           ? LLM_CODE_NONE
           : ngx_http_llm_not_allowed(ctx, &name->name, message);
}


llm_code_t
ngx_http_llm_allowed_here(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    ngx_str_t                *name;
    ngx_http_llm_kind_e       kind;
    ngx_http_llm_loc_conf_t  *llcf;

    if (ctx->caller == NULL) {
        return LLM_CODE_NONE;
    }

    llcf = ctx->llcf;

    if (llcf->pass_name) {
        kind = llcf->pass_name->kind;
        name = (kind == NGX_HTTP_LLM_PROVIDER) ? &ctx->model
                                               : &llcf->pass_name->name;
    } else {
        /* several names: a route that has the name of its location */
        kind = NGX_HTTP_LLM_ROUTE;
        name = &llcf->location;
    }

    if (ngx_http_llm_allowed_kind(ctx->caller->client, kind, name)) {
        return LLM_CODE_NONE;
    }

    return ngx_http_llm_not_allowed(ctx, name, message);
}


/* A provider gets the client's own word for a model, if there is one. */

static ngx_uint_t
ngx_http_llm_allowed_kind(ngx_http_llm_client_t *client,
    ngx_http_llm_kind_e kind, ngx_str_t *name)
{
    switch (kind) {

    case NGX_HTTP_LLM_PROVIDER:
        return name->len == 0
               || ngx_http_llm_patterns_match(client->models, name);

    case NGX_HTTP_LLM_MODEL:
        return ngx_http_llm_patterns_match(client->models, name);

    default:
        return ngx_http_llm_patterns_match(client->routes, name);
    }
}


static llm_code_t
ngx_http_llm_not_allowed(ngx_http_llm_ctx_t *ctx, ngx_str_t *name,
    llm_str_t *message)
{
    u_char  *p;
    size_t   size;

    ngx_http_llm_auth_count(&ctx->lmcf->store, NGX_HTTP_LLM_AUTH_NOT_ALLOWED);

    size = sizeof("This client may not use \"\".") + name->len;

    p = ngx_pnalloc(ctx->request->pool, size);
    if (p == NULL) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    message->data = p;
    p = ngx_sprintf(p, "This client may not use \"%V\".", name);
    message->len = p - message->data;

    return LLM_CODE_POLICY_MODEL_NOT_ALLOWED;
}
