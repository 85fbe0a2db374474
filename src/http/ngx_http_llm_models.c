/*
 * GET .../models: the names `llm_pass $variable` would find, and nothing else.
 */

#include "ngx_http_llm_ctx.h"


static size_t ngx_http_llm_models_size(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_listed(ngx_http_llm_name_t *name);
static void ngx_http_llm_put_model(ngx_http_llm_ctx_t *ctx, llm_buf_t *b,
    ngx_http_llm_name_t *name);


static ngx_str_t  ngx_http_llm_models_type = ngx_string("application/json");


ngx_int_t
ngx_http_llm_send_models(ngx_http_llm_ctx_t *ctx)
{
    size_t                 size;
    u_char                *mem;
    llm_buf_t              b;
    ngx_buf_t             *buf;
    ngx_str_t              id;
    ngx_uint_t             i, found;
    ngx_http_llm_name_t  **names;

    names = ctx->lmcf->names.elts;
    id = ctx->rest;

    if (id.len && id.data[0] == '/') {
        id.data++;
        id.len--;
    }

    size = ngx_http_llm_models_size(ctx);

    mem = ngx_pnalloc(ctx->request->pool, size);
    buf = ngx_calloc_buf(ctx->request->pool);

    if (mem == NULL || buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    llm_buf_init(&b, mem, size);
    found = 0;

    if (id.len == 0) {
        llm_buf_str(&b, LLM_STR("{\"object\":\"list\",\"data\":["));
    }

    for (i = 0; i < ctx->lmcf->names.nelts; i++) {

        if (!ngx_http_llm_listed(names[i])
            || !ngx_http_llm_allowed_name(ctx, names[i]))
        {
            continue;
        }

        if (id.len == 0) {

            llm_buf_str(&b, found++ ? LLM_STR(",") : LLM_STR(""));
            ngx_http_llm_put_model(ctx, &b, names[i]);

        } else if (id.len == names[i]->name.len
                   && ngx_strncmp(id.data, names[i]->name.data, id.len) == 0)
        {
            found = 1;
            ngx_http_llm_put_model(ctx, &b, names[i]);
        }
    }

    if (id.len == 0) {
        llm_buf_str(&b, LLM_STR("]}"));

    } else if (!found) {
        return ngx_http_llm_refuse(ctx, LLM_CODE_CALLER_MODEL_NOT_FOUND,
                                   LLM_NOSTR);
    }

    buf->pos = b.start;
    buf->last = b.pos;

    return ngx_http_llm_send_body(ctx, NGX_HTTP_OK, &ngx_http_llm_models_type,
                                  buf);
}


static size_t
ngx_http_llm_models_size(ngx_http_llm_ctx_t *ctx)
{
    size_t                 size;
    ngx_uint_t             i;
    ngx_http_llm_name_t  **names;

    names = ctx->lmcf->names.elts;
    size = 64;

    for (i = 0; i < ctx->lmcf->names.nelts; i++) {
        size += 128 + 6 * names[i]->name.len;
    }

    return size;
}


static ngx_uint_t
ngx_http_llm_listed(ngx_http_llm_name_t *name)
{
    return name->kind != NGX_HTTP_LLM_PROVIDER && !name->internal;
}


static void
ngx_http_llm_put_model(ngx_http_llm_ctx_t *ctx, llm_buf_t *b,
    ngx_http_llm_name_t *name)
{
    llm_buf_str(b, LLM_STR("{\"id\":"));
    llm_json_put_string(b, ngx_http_llm_view(&name->name));
    llm_buf_str(b, LLM_STR(",\"object\":\"model\",\"created\":"));
    llm_json_put_uint(b, (uint64_t) ctx->lmcf->created);
    llm_buf_str(b, LLM_STR(",\"owned_by\":\"llm-gateway\"}"));
}
