/*
 * A provider that does not stream, though the client was promised events, or
 * has some already: its whole answer becomes some.
 */

#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_whole_deltas(ngx_http_llm_ctx_t *ctx,
    llm_str_t body, llm_buf_t *mem);
static ngx_int_t ngx_http_llm_whole_completion(ngx_http_llm_ctx_t *ctx,
    llm_str_t body);


llm_class_t
ngx_http_llm_relay_collected(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *mem)
{
    ngx_int_t               rc;
    ngx_http_llm_events_t  *e;

    if (ngx_http_llm_events_init(ctx) != NGX_OK) {
        return LLM_CLASS_BAD_ANSWER;
    }

    e = ctx->events;

    rc = ctx->endpoint == LLM_EP_COMPLETIONS
         ? ngx_http_llm_whole_completion(ctx, body)
         : ngx_http_llm_whole_deltas(ctx, body, mem);

    if (rc != NGX_OK || e->broken) {
        return LLM_CLASS_BAD_ANSWER;
    }

    e->state.choices = 1;
    e->state.finished = 1;
    e->state.content = 1;
    e->state.done = 1;

    ngx_http_llm_serve(ctx);

    if (ngx_http_llm_is_resuming(ctx)) {
        ngx_http_llm_resume_begin(ctx);
    }

    ctx->send->relayed = 1;

    return LLM_CLASS_OK;
}


/* The front of the client writes the events.  A provider's own answer of the
 * Responses API has more in it than deltas tell of. */

static ngx_int_t
ngx_http_llm_whole_deltas(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *mem)
{
    llm_sink_t              sink;
    llm_source_t            source;
    ngx_http_llm_events_t  *e;

    if (ctx->endpoint == LLM_EP_RESPONSES && !ctx->send->translated) {
        return NGX_DECLINED;
    }

    sink.put = ctx->resume ? ngx_http_llm_told_put : ngx_http_llm_put_delta;
    sink.data = ctx;

    source.from = ctx->send->dialect;
    source.body = body;
    source.mem = mem;
    (void) llm_source_look(&source, &sink);

    e = ctx->events;

    if (ngx_http_llm_is_resuming(ctx)) {
        return e->commit ? NGX_OK : NGX_DECLINED;
    }

    return e->out ? NGX_OK : NGX_DECLINED;
}


/* A whole completion has the form of its only event, once it is one line. */

static ngx_int_t
ngx_http_llm_whole_completion(ngx_http_llm_ctx_t *ctx, llm_str_t body)
{
    size_t      i;
    u_char     *p;
    ngx_buf_t  *b;

    static ngx_str_t  begin = ngx_string("data: ");
    static ngx_str_t  end = ngx_string("\n\ndata: [DONE]\n\n");

    b = ngx_http_llm_own_buf(ctx, begin.len + body.len + end.len);
    if (b == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(b->last, begin.data, begin.len);

    for (i = 0; i < body.len; i++) {
        *p++ = (body.data[i] == CR || body.data[i] == LF) ? ' '
                                                          : body.data[i];
    }

    b->last = ngx_cpymem(p, end.data, end.len);

    return ngx_http_llm_link_buf(ctx, b);
}
