/*
 * From a provider's dialect to a client's: whole answers, and the events of
 * streams.
 */

#include "ngx_http_llm_ctx.h"


/* how the ids of a front begin */
#define NGX_HTTP_LLM_REPLY_ID 16
/* what deltas are written into */
#define NGX_HTTP_LLM_WRITING  4096


static void ngx_http_llm_begin_reply(ngx_http_llm_ctx_t *ctx,
    llm_reply_t *reply);
static ngx_int_t ngx_http_llm_translate_whole(ngx_http_llm_ctx_t *ctx,
    llm_str_t body, llm_buf_t *scratch, llm_answer_t *answer, llm_buf_t *out);
static ngx_int_t ngx_http_llm_keep(ngx_http_llm_ctx_t *ctx,
    const llm_delta_t *delta);


static void
ngx_http_llm_begin_reply(ngx_http_llm_ctx_t *ctx, llm_reply_t *reply)
{
    u_char             *p, id[NGX_HTTP_LLM_REPLY_ID + sizeof(ctx->id)];
    llm_str_t           name;
    const llm_front_t  *front;

    front = llm_front_find(ctx->endpoint);

    p = ngx_cpymem(id, front->id.data, front->id.len);
    p = ngx_cpymem(p, ctx->id, sizeof(ctx->id));

    name.len = p - id;
    name.data = id;

    llm_reply_init(reply, front, name, ngx_time(), ctx->facts.include_usage);

    if (!ctx->analyze && (ctx->hub.data || !ctx->send->translated)) {
        /* a request that had the hub's form already asked for nothing else */
        llm_reply_asked(reply, ngx_http_llm_view(&ctx->body));
    }
}


/* What the provider of this attempt was asked for. */

llm_endpoint_t
ngx_http_llm_asked(ngx_http_llm_ctx_t *ctx)
{
    /* the hub's form is a chat; what is swapped stays where it is */
    return ctx->send->translated && llm_front_find(ctx->endpoint)
           ? LLM_EP_CHAT : ctx->endpoint;
}


const llm_dialect_t *
ngx_http_llm_answer_dialect(ngx_http_llm_ctx_t *ctx)
{
    if (!ctx->send->translated) {
        return ctx->send->dialect;
    }

    if (llm_front_find(ctx->endpoint) == NULL) {
        /* what is swapped becomes an answer of OpenAI's */
        return llm_dialect_find(LLM_STR("openai"));
    }

    return llm_dialect_find(llm_front_find(ctx->endpoint)->dialect);
}


/* A collected answer in the client's words; it takes the place of the other.
 * Where a front writes it, `answer` becomes what was read of it, and it stays
 * as it is when that is none. */

ngx_int_t
ngx_http_llm_translate_answer(ngx_http_llm_ctx_t *ctx, llm_buf_t *scratch,
    llm_answer_t *answer)
{
    u_char      *mem;
    size_t       size;
    ngx_buf_t   *b;
    llm_buf_t    out;
    llm_str_t    body;
    ngx_str_t    type;
    ngx_pool_t  *pool;

    b = ctx->send->body;
    pool = ctx->request->pool;

    body.data = b->pos;
    body.len = b->last - b->pos;

    type = ctx->send->content_type;
    ngx_str_set(&ctx->send->content_type, "application/json");

    for (size = body.len + body.len / 4 + 1024; /* void */; size *= 2) {

        mem = ngx_palloc(pool, size);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        llm_buf_init(&out, mem, size);

        if (ngx_http_llm_translate_whole(ctx, body, scratch, answer, &out)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (answer->class != LLM_CLASS_OK) {
            (void) ngx_pfree(pool, mem);
            ctx->send->content_type = type;
            return NGX_OK;
        }

        if (!out.full) {
            break;
        }

        (void) ngx_pfree(pool, mem);
    }

    (void) ngx_pfree(pool, b->start);

    b->start = mem;
    b->pos = mem;
    b->last = out.pos;
    b->end = mem + size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_translate_whole(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *scratch, llm_answer_t *answer, llm_buf_t *out)
{
    ngx_str_t             model;
    llm_reply_t           reply;
    llm_source_t          source;
    const llm_swap_t     *swap;
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (ctx->endpoint == LLM_EP_MODELS) {
        return ngx_http_llm_models_whole(ctx, body, out);
    }

    if (ngx_http_llm_speech(ctx)) {
        ngx_http_llm_speech_whole(ctx, body, out, &send->content_type);
        return NGX_OK;
    }

    swap = llm_dialect_swap(send->dialect, ctx->endpoint);

    if (swap) {
        ngx_http_llm_target_model(ctx, send->target, &model);
        swap->whole(ngx_http_llm_view(&model), body, out);
        return NGX_OK;
    }

    source.from = send->dialect;
    source.body = body;
    source.mem = scratch;

    ngx_http_llm_begin_reply(ctx, &reply);
    reply.front->whole(&reply, &source, out);
    *answer = source.answer;

    return reply.broken ? NGX_ERROR : NGX_OK;
}


/* ---- streams ------------------------------------------------------------- */


ngx_int_t
ngx_http_llm_translate_init(ngx_http_llm_ctx_t *ctx)
{
    llm_buf_t               kept;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    e->writing = NULL;

    if ((!ctx->send->translated && ctx->resume == NULL
         && (ctx->send->body == NULL
             || llm_front_find(ctx->endpoint) == NULL))
        || ngx_http_llm_is_resuming(ctx))
    {
        return NGX_OK;
    }

    if (e->reply == NULL) {
        e->reply = ngx_pcalloc(ctx->request->pool, sizeof(llm_reply_t));
        if (e->reply == NULL) {
            return NGX_ERROR;
        }
    }

    kept = e->reply->kept;
    ngx_http_llm_begin_reply(ctx, e->reply);

    if (kept.start) {
        /* the memory of the attempt before */
        llm_reply_keep(e->reply, kept.start, kept.end - kept.start);
    }

    return NGX_OK;
}


llm_event_t
ngx_http_llm_translate_event(ngx_http_llm_ctx_t *ctx,
    const llm_sse_event_t *ev, llm_buf_t *mem)
{
    llm_sink_t              sink;
    llm_event_t             verdict;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    sink.put = ngx_http_llm_put_delta;
    sink.data = ctx;

    /* behind an error nothing is an answer any more */

    verdict = ctx->send->dialect->stream(&e->state, ev, mem,
                                         e->failed ? NULL : &sink);
    return verdict;
}


/* Makes room for what the last event will repeat: that event is one as any
 * other, so its size has the same bound. */

static ngx_int_t
ngx_http_llm_keep(ngx_http_llm_ctx_t *ctx, const llm_delta_t *delta)
{
    size_t                  size;
    u_char                 *mem, *old;
    llm_reply_t            *reply;

    reply = ctx->events->reply;
    size = llm_reply_lacks(reply, delta);

    if (size == 0) {
        return NGX_OK;
    }

    if (size > ctx->llcf->max_event) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm answer is longer than llm_max_event_size, which "
                      "its last event would repeat");
        return NGX_ERROR;
    }

    size = ngx_min(ngx_max(2 * size, NGX_HTTP_LLM_WRITING),
                   ctx->llcf->max_event);

    mem = ngx_palloc(ctx->request->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    old = reply->kept.start;
    llm_reply_keep(reply, mem, size);

    if (old) {
        (void) ngx_pfree(ctx->request->pool, old);
    }

    return NGX_OK;
}


void
ngx_http_llm_put_delta(void *data, const llm_delta_t *delta)
{
    ngx_http_llm_ctx_t *ctx = data;

    size_t                  room;
    ngx_buf_t              *b;
    llm_buf_t               out;
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    if (e->broken) {
        /* behind a gap nothing follows */
        return;
    }

    if (ngx_http_llm_keep(ctx, delta) != NGX_OK) {
        e->broken = 1;
        return;
    }

    b = e->writing;
    room = llm_reply_room(e->reply, delta);

    if (b == NULL || (size_t) (b->end - b->last) < room) {

        b = ngx_http_llm_own_buf(ctx, ngx_max(room, NGX_HTTP_LLM_WRITING));
        if (b == NULL) {
            e->broken = 1;
            return;
        }
    }

    llm_buf_init(&out, b->last, b->end - b->last);
    e->reply->front->delta(e->reply, delta, &out);

    if (e->reply->broken) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm provider \"%V\" sent more of a call that was done",
                      &ctx->send->target->provider->name);
    }

    if (out.full || e->reply->broken) {
        e->broken = 1;
        return;
    }

    if (out.pos == out.start) {
        return;
    }

    b->last = out.pos;

    if (b == e->writing) {
        e->held += out.pos - out.start;
        return;
    }

    if (ngx_http_llm_link_buf(ctx, b) != NGX_OK) {
        e->broken = 1;
        return;
    }

    e->writing = b;
}


/* The error event of a translated stream, as its front writes one. */

ngx_int_t
ngx_http_llm_translate_error(ngx_http_llm_ctx_t *ctx)
{
    ngx_buf_t              *b;
    llm_buf_t               out;
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    b = ngx_http_llm_own_buf(ctx, 1024 + 12 * e->state.message.len);
    if (b == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&out, b->last, b->end - b->last);
    ngx_http_llm_put_error_event(ctx, &out, llm_code_of_class(e->state.error),
                                 e->state.message);
    b->last = out.pos;
    e->writing = NULL;

    return ngx_http_llm_link_buf(ctx, b);
}


/* What a complete stream still lacks when its terminator did not come. */

ngx_int_t
ngx_http_llm_translate_end(ngx_http_llm_ctx_t *ctx, llm_str_t *text)
{
    size_t        room;
    u_char       *mem;
    llm_buf_t     out;
    llm_delta_t   end;
    llm_reply_t  *reply;

    reply = ctx->events->reply;

    ngx_memzero(&end, sizeof(llm_delta_t));
    end.kind = LLM_DELTA_END;

    if (ngx_http_llm_keep(ctx, &end) != NGX_OK) {
        return NGX_ERROR;
    }

    room = llm_reply_room(reply, &end);

    mem = ngx_palloc(ctx->request->pool, room);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&out, mem, room);
    reply->front->delta(reply, &end, &out);

    *text = llm_buf_view(&out);

    return out.full ? NGX_ERROR : NGX_OK;
}
