/*
 * POST .../messages/count_tokens and .../responses/input_tokens where no
 * provider behind the name counts: the guess that limits are reserved by, which
 * is rather too high.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_COUNT  96              /* bytes of an answer */


typedef struct {
    llm_endpoint_t               endpoint;
    ngx_str_t                    rest;
    llm_str_t                    answer;
} ngx_http_llm_count_t;


static ngx_http_llm_count_t *ngx_http_llm_count_find(ngx_http_llm_ctx_t *ctx);


static ngx_str_t  ngx_http_llm_count_type = ngx_string("application/json");


static ngx_http_llm_count_t  ngx_http_llm_counts[] = {

    { LLM_EP_MESSAGES, ngx_string("/count_tokens"),
      LLM_STR("{\"input_tokens\":") },

    { LLM_EP_RESPONSES, ngx_string("/input_tokens"),
      LLM_STR("{\"object\":\"response.input_tokens\",\"input_tokens\":") },

    { LLM_EP_UNKNOWN, ngx_null_string, { 0, NULL } }
};


static ngx_http_llm_count_t *
ngx_http_llm_count_find(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_count_t  *count;

    for (count = ngx_http_llm_counts; count->rest.len; count++) {

        if (ctx->endpoint == count->endpoint
            && ctx->rest.len == count->rest.len
            && ngx_memcmp(ctx->rest.data, count->rest.data, ctx->rest.len)
               == 0)
        {
            return count;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_llm_asks_count(ngx_http_llm_ctx_t *ctx)
{
    return ctx->request->method == NGX_HTTP_POST
           && ngx_http_llm_count_find(ctx) != NULL;
}


ngx_int_t
ngx_http_llm_send_count(ngx_http_llm_ctx_t *ctx)
{
    u_char     *mem;
    llm_buf_t   out;
    ngx_buf_t  *b;

    mem = ngx_pnalloc(ctx->request->pool, NGX_HTTP_LLM_COUNT);
    b = ngx_calloc_buf(ctx->request->pool);

    if (mem == NULL || b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    llm_request_estimate(&ctx->facts);

    llm_buf_init(&out, mem, NGX_HTTP_LLM_COUNT);
    llm_buf_str(&out, ngx_http_llm_count_find(ctx)->answer);
    llm_json_put_uint(&out, ctx->facts.prompt_tokens);
    llm_buf_str(&out, LLM_STR("}"));

    b->pos = out.start;
    b->last = out.pos;

    return ngx_http_llm_send_body(ctx, NGX_HTTP_OK, &ngx_http_llm_count_type,
                                  b);
}
