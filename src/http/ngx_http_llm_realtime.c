/*
 * What requests of the Realtime API say of themselves: a session names its
 * model in the query, requests about sessions in their bodies as well.
 */

#include "ngx_http_llm_ctx.h"

#include "llm_query.h"
#include "llm_realtime.h"


llm_code_t
ngx_http_llm_realtime_facts(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    llm_buf_t            mem;
    llm_str_t            model;
    llm_code_t           code;
    ngx_http_request_t  *r;

    r = ctx->request;
    code = LLM_CODE_NONE;

    llm_buf_init(&mem, ctx->model_mem, sizeof(ctx->model_mem));

    if (llm_realtime_model(ngx_http_llm_view(&r->args), &mem, &model, &code,
                           message)
        != LLM_OK)
    {
        return code;
    }

    if (r->method == NGX_HTTP_POST && ctx->body.len
        && ngx_http_llm_says_json(r))
    {
        mem.pos += model.len;

        if (llm_request_json(&ctx->facts, ctx->endpoint,
                             ngx_http_llm_view(&ctx->body), &mem, &code,
                             message)
            != LLM_OK)
        {
            return code;
        }

        if (model.len && ctx->facts.model.len) {
            *message = LLM_STR("Query and body both name a model.");
            return LLM_CODE_CALLER_DUPLICATE_KEY;
        }
    } else {
        ctx->facts.need = LLM_CAN_REALTIME;
    }

    if (ctx->facts.model.len == 0) {
        ctx->facts.model = model;
    }

    ctx->model.len = ctx->facts.model.len;
    ctx->model.data = (u_char *) ctx->facts.model.data;

    return LLM_CODE_NONE;
}


/* The query of an attempt. */

ngx_int_t
ngx_http_llm_realtime_args(ngx_http_llm_ctx_t *ctx, ngx_str_t *args)
{
    size_t      size;
    u_char     *mem;
    llm_buf_t   b;
    llm_str_t   name;
    ngx_str_t   model;

    ngx_http_llm_target_model(ctx, ctx->send->target, &model);

    name = model.data != ctx->model.data ? ngx_http_llm_view(&model)
                                         : LLM_NOSTR;

    size = 3 * (ctx->request->args.len + model.len) + 32;

    mem = ngx_pnalloc(ctx->request->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, mem, size);
    llm_realtime_query(ngx_http_llm_view(&ctx->request->args), name,
                       ctx->tunnel != NULL, &b);

    args->data = b.start;
    args->len = b.pos - b.start;

    return b.full ? NGX_ERROR : NGX_OK;
}
