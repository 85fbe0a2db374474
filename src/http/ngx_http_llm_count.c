/*
 * POST .../messages/count_tokens where no provider behind the name counts: the
 * guess that limits are reserved by, which is rather too high.
 */

#include "ngx_http_llm_ctx.h"


static ngx_str_t  ngx_http_llm_count_rest = ngx_string("/count_tokens");
static ngx_str_t  ngx_http_llm_count_type = ngx_string("application/json");


ngx_uint_t
ngx_http_llm_asks_count(ngx_http_llm_ctx_t *ctx)
{
    return ctx->endpoint == LLM_EP_MESSAGES
           && ctx->request->method == NGX_HTTP_POST
           && ctx->rest.len == ngx_http_llm_count_rest.len
           && ngx_memcmp(ctx->rest.data, ngx_http_llm_count_rest.data,
                         ctx->rest.len)
              == 0;
}


ngx_int_t
ngx_http_llm_send_count(ngx_http_llm_ctx_t *ctx)
{
    u_char     *mem;
    llm_buf_t   out;
    ngx_buf_t  *b;

    mem = ngx_pnalloc(ctx->request->pool, 64);
    b = ngx_calloc_buf(ctx->request->pool);

    if (mem == NULL || b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    llm_request_estimate(&ctx->facts);

    llm_buf_init(&out, mem, 64);
    llm_buf_str(&out, LLM_STR("{\"input_tokens\":"));
    llm_json_put_uint(&out, ctx->facts.prompt_tokens);
    llm_buf_str(&out, LLM_STR("}"));

    b->pos = out.start;
    b->last = out.pos;

    return ngx_http_llm_send_body(ctx, NGX_HTTP_OK, &ngx_http_llm_count_type,
                                  b);
}
