/*
 * The text of an answer that streams, kept for who wants a copy of it: samples
 * for review, and the mirror.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_HEARD  65536


ngx_int_t
ngx_http_llm_hear(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->heard == NULL) {
        ctx->heard = ngx_pcalloc(ctx->request->pool,
                                 sizeof(ngx_http_llm_heard_t));
    }

    return ctx->heard ? NGX_OK : NGX_ERROR;
}


void
ngx_http_llm_hear_event(ngx_http_llm_ctx_t *ctx, const llm_sse_event_t *ev)
{
    u_char                *mem;
    llm_str_t              raw;
    ngx_http_llm_heard_t  *h;

    h = ctx->heard;

    if (h->text.start == NULL) {
        mem = ngx_palloc(ctx->request->pool, NGX_HTTP_LLM_HEARD);
        if (mem == NULL) {
            return;
        }

        llm_buf_init(&h->text, mem, NGX_HTTP_LLM_HEARD);
    }

    if (h->send != ctx->sends) {

        /* what an attempt held before it failed was never shown */

        llm_buf_init(&h->text, h->text.start, NGX_HTTP_LLM_HEARD);
        h->send = ctx->sends;
    }

    raw = ctx->send->dialect->text(ngx_http_llm_asked(ctx), ev->data);

    if (raw.len) {
        (void) llm_json_unescape(raw, &h->text);
    }
}


ngx_int_t
ngx_http_llm_heard(ngx_http_llm_ctx_t *ctx, llm_str_t *text)
{
    ngx_http_llm_heard_t  *h;

    h = ctx->heard;

    if (h && ngx_http_llm_is_resuming(ctx)) {
        *text = llm_buf_view(&ctx->resume->told.text);

        return ctx->resume->told.full ? NGX_AGAIN : NGX_OK;
    }

    if (h == NULL || h->send != ctx->sends || h->text.start == NULL) {
        return NGX_DECLINED;
    }

    *text = llm_buf_view(&h->text);

    return h->text.full ? NGX_AGAIN : NGX_OK;
}
