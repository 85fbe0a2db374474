/*
 * What the client of a stream is shown, and what it is shown of an answer that
 * goes on with it.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_TOLD  1024             /* first size of what is kept */


static void ngx_http_llm_told(ngx_http_llm_ctx_t *ctx,
    const llm_delta_t *delta);
static void ngx_http_llm_told_follow(ngx_http_llm_ctx_t *ctx,
    const llm_delta_t *delta);
static void ngx_http_llm_told_go_on(ngx_http_llm_ctx_t *ctx,
    const llm_delta_t *delta);
static u_char *ngx_http_llm_told_scratch(ngx_http_llm_ctx_t *ctx,
    size_t size);


void
ngx_http_llm_told_init(ngx_http_llm_ctx_t *ctx)
{
    llm_told_t  *told;

    if (ctx->resume == NULL) {
        return;
    }

    llm_usage_init(&ctx->resume->usage);

    if (ngx_http_llm_is_resuming(ctx)) {
        return;
    }

    /* what an attempt held before it failed was never shown */

    told = &ctx->resume->told;

    told->text.pos = told->text.start;
    told->text.full = 0;
    told->tokens = 0;
    told->thinking = 0;
    told->other = 0;
    told->full = 0;
    ctx->resume->dated = 0;
}


llm_event_t
ngx_http_llm_told_event(ngx_http_llm_ctx_t *ctx, const llm_sse_event_t *ev,
    llm_buf_t *mem)
{
    uint64_t                n;
    llm_sink_t              sink;
    llm_event_t             verdict;
    llm_json_member_t       m;
    ngx_http_llm_events_t  *e;
    ngx_http_llm_resume_t  *resume;

    e = ctx->events;
    resume = ctx->resume;

    sink.put = ngx_http_llm_told_put;
    sink.data = ctx;

    resume->told_some = 0;

    verdict = ctx->send->dialect->stream(&e->state, ev, mem,
                                         e->failed ? NULL : &sink);

    if (ctx->endpoint == LLM_EP_CHAT && !ctx->send->translated
        && !resume->dated
        && llm_json_get(ev->data, LLM_STR("created"), &m) == LLM_OK
        && llm_json_uint(m.value, &n) == LLM_OK)
    {
        e->reply->created = n;
        resume->dated = 1;
    }

    if (!ctx->send->translated && !ngx_http_llm_is_resuming(ctx)
        && (e->state.untold
            || (verdict == LLM_EVENT_CONTENT && !resume->told_some)))
    {
        resume->told.other = 1;
    }

    return verdict;
}


void
ngx_http_llm_told_put(void *data, const llm_delta_t *delta)
{
    ngx_http_llm_ctx_t *ctx = data;

    ctx->resume->told_some = 1;

    if (ngx_http_llm_is_resuming(ctx)) {
        ngx_http_llm_told_go_on(ctx, delta);
        return;
    }

    ngx_http_llm_told(ctx, delta);

    if (ctx->send->translated || ctx->send->body) {
        ngx_http_llm_put_delta(ctx, delta);
    } else {
        ngx_http_llm_told_follow(ctx, delta);
    }
}


/* Keeps what is shown, in memory that grows with it. */

static void
ngx_http_llm_told(ngx_http_llm_ctx_t *ctx, const llm_delta_t *delta)
{
    u_char      *mem;
    size_t       used, size, need;
    llm_told_t  *told;

    told = &ctx->resume->told;

    used = told->text.pos - told->text.start;
    size = told->text.end - told->text.start;
    need = used + llm_told_room(delta);

    if (need > size && !told->full && size < ctx->route->resume_max) {

        size = ngx_max(2 * size, ngx_max(need, NGX_HTTP_LLM_TOLD));
        size = ngx_min(size, ctx->route->resume_max);

        mem = ngx_palloc(ctx->request->pool, size);

        if (mem == NULL) {
            told->full = 1;
            return;
        }

        if (used) {
            ngx_memcpy(mem, told->text.start, used);
        }

        if (told->text.start) {
            (void) ngx_pfree(ctx->request->pool, told->text.start);
        }

        llm_buf_init(&told->text, mem, size);
        told->text.pos += used;
    }

    llm_told_add(told, delta);
}


/* The provider's own events pass: its front writes the same for nobody, to know
 * where another answer would go on. */

static void
ngx_http_llm_told_follow(ngx_http_llm_ctx_t *ctx, const llm_delta_t *delta)
{
    size_t        size;
    u_char       *mem;
    llm_buf_t     out;
    llm_reply_t  *reply;

    reply = ctx->events->reply;
    size = llm_reply_room(reply, delta);
    mem = ngx_http_llm_told_scratch(ctx, size);

    if (mem == NULL) {
        ctx->resume->told.other = 1;
        return;
    }

    llm_buf_init(&out, mem, size);
    reply->front->delta(reply, delta, &out);
}


static void
ngx_http_llm_told_go_on(ngx_http_llm_ctx_t *ctx, const llm_delta_t *delta)
{
    size_t                  size;
    u_char                 *mem;
    llm_buf_t               out;
    llm_delta_t             d, usage;
    ngx_http_llm_events_t  *e;
    ngx_http_llm_resume_t  *resume;

    e = ctx->events;
    resume = ctx->resume;
    d = *delta;

    size = llm_resume_room(delta);
    mem = ngx_http_llm_told_scratch(ctx, size);

    if (mem == NULL) {
        e->broken = 1;
        return;
    }

    llm_buf_init(&out, mem, size);

    if (llm_resume_delta(&resume->rest, &d, &out) != LLM_OK) {
        return;
    }

    if (d.kind == LLM_DELTA_USAGE) {
        llm_usage_merge(&resume->usage, &d.usage);

        if (!e->commit) {
            /* what it takes is told when it goes on */
            return;
        }

        ngx_http_llm_resume_usage(ctx, &d.usage);

    } else if (!e->commit) {

        if (d.kind == LLM_DELTA_END) {
            return;
        }

        e->commit = 1;

        ngx_memzero(&usage, sizeof(llm_delta_t));
        usage.kind = LLM_DELTA_USAGE;
        usage.usage = resume->usage;
        ngx_http_llm_resume_usage(ctx, &usage.usage);
        ngx_http_llm_put_delta(ctx, &usage);
    }

    ngx_http_llm_told(ctx, &d);
    ngx_http_llm_put_delta(ctx, &d);
}


static u_char *
ngx_http_llm_told_scratch(ngx_http_llm_ctx_t *ctx, size_t size)
{
    ngx_http_llm_resume_t  *resume;

    resume = ctx->resume;

    if (resume->scratch_size < size) {

        if (resume->scratch) {
            (void) ngx_pfree(ctx->request->pool, resume->scratch);
        }

        resume->scratch_size = 2 * size;
        resume->scratch = ngx_palloc(ctx->request->pool, 2 * size);

        if (resume->scratch == NULL) {
            resume->scratch_size = 0;
        }
    }

    return resume->scratch;
}
