/*
 * An answer's body on its way through: framing, events, bytes.
 *
 * Before the commit the same functions run with `copy` set, and what they let
 * pass is held; after it whole events are sent from where they lie in the
 * upstream's buffer, and only an event cut by a read is copied.  A cut stream
 * ends with an error event and never with [DONE].
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_PENDING   1024         /* first size of a cut event's buf */
#define NGX_HTTP_LLM_COLLECT   8192         /* … of a collected answer */


static ngx_int_t ngx_http_llm_frame_plain(ngx_http_llm_ctx_t *ctx,
    ngx_buf_t *b);
static ngx_int_t ngx_http_llm_frame_chunked(ngx_http_llm_ctx_t *ctx,
    ngx_buf_t *b);
static ngx_int_t ngx_http_llm_body(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_drain(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_collect(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_events(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_event_cut(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_event_joined(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_event_tail(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_event_passes(ngx_http_llm_ctx_t *ctx,
    llm_str_t raw);
static ngx_buf_t *ngx_http_llm_own_buf(ngx_http_llm_ctx_t *ctx, size_t size);
static ngx_int_t ngx_http_llm_pass(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_link(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b);
static ngx_int_t ngx_http_llm_length(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_send_own(ngx_http_llm_ctx_t *ctx, llm_str_t text);
static void ngx_http_llm_send_error_event(ngx_http_llm_ctx_t *ctx,
    llm_class_t class);


/* Decodes the framing of [b->pos, b->last) and consumes all of it. */

ngx_int_t
ngx_http_llm_frame(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    ngx_int_t              rc;
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;

    if (!f->ended) {
        rc = f->chunked ? ngx_http_llm_frame_chunked(ctx, b)
                        : ngx_http_llm_frame_plain(ctx, b);

        if (rc != NGX_DONE) {
            return rc;
        }

        if (ngx_http_llm_event_tail(ctx) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (b->pos != b->last) {
        /* more than was announced: dropped, and not to be reused */
        f->close = 1;
        b->pos = b->last;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_frame_plain(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    size_t                 n;
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;
    n = b->last - b->pos;

    if (f->has_length && (off_t) n > f->rest) {
        n = (size_t) f->rest;
    }

    if (n && ngx_http_llm_body(ctx, b->pos, n) != NGX_OK) {
        return NGX_ERROR;
    }

    b->pos += n;

    if (f->has_length) {
        f->rest -= n;

        if (f->rest == 0) {
            f->ended = 1;
            return NGX_DONE;
        }
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_llm_frame_chunked(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    size_t                 n;
    ngx_int_t              rc;
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;

    for ( ;; ) {
        rc = ngx_http_llm_parse_chunked(ctx->request, b, &f->chunk);

        if (rc == NGX_OK) {
            n = b->last - b->pos;

            if ((off_t) n > f->chunk.size) {
                n = (size_t) f->chunk.size;
            }

            if (n && ngx_http_llm_body(ctx, b->pos, n) != NGX_OK) {
                return NGX_ERROR;
            }

            b->pos += n;
            f->chunk.size -= n;
            continue;
        }

        if (rc == NGX_DONE) {
            f->ended = 1;
        }

        if (rc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                          "llm provider sent an invalid chunked body");
        }

        return rc;
    }
}


static ngx_int_t
ngx_http_llm_body(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    ngx_http_llm_record_data(ctx->send->record, p, n);

    switch (ctx->send->answer) {

    case NGX_HTTP_LLM_ANSWER_DRAIN:
        return ngx_http_llm_drain(ctx, p, n);

    case NGX_HTTP_LLM_ANSWER_COLLECT:
        return ngx_http_llm_collect(ctx, p, n);

    case NGX_HTTP_LLM_ANSWER_HOLD:
    case NGX_HTTP_LLM_ANSWER_EVENTS:
        return ngx_http_llm_events(ctx, p, n);

    case NGX_HTTP_LLM_ANSWER_RAW:
        return ngx_http_llm_pass(ctx, p, n);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_llm_drain(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    ngx_buf_t  *b;

    b = ctx->send->error;

    if (b == NULL) {
        b = ngx_create_temp_buf(ctx->request->pool, NGX_HTTP_LLM_ERROR_BODY);
        if (b == NULL) {
            return NGX_ERROR;
        }

        ctx->send->error = b;
    }

    b->last = ngx_cpymem(b->last, p, ngx_min(n, (size_t) (b->end - b->last)));

    return NGX_OK;
}


/* One contiguous piece, because it is read as JSON afterwards. */

static ngx_int_t
ngx_http_llm_collect(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    u_char                *mem;
    size_t                 size, len;
    ngx_buf_t             *b;
    ngx_pool_t            *pool;
    ngx_http_llm_frame_t  *f;

    b = ctx->send->body;
    f = &ctx->send->frame;
    pool = ctx->request->pool;

    if (b == NULL) {
        size = f->has_length ? (size_t) f->rest : NGX_HTTP_LLM_COLLECT;
        size = ngx_min(size, ctx->llcf->max_answer);

        b = ngx_create_temp_buf(pool, ngx_max(size, n));
        if (b == NULL) {
            return NGX_ERROR;
        }

        ctx->send->body = b;
    }

    if ((size_t) (b->end - b->last) < n) {
        len = b->last - b->start;
        size = ngx_max(2 * (size_t) (b->end - b->start), len + n);

        mem = ngx_palloc(pool, size);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(mem, b->start, len);
        (void) ngx_pfree(pool, b->start);

        b->start = mem;
        b->pos = mem;
        b->last = mem + len;
        b->end = mem + size;
    }

    b->last = ngx_cpymem(b->last, p, n);

    return NGX_OK;
}


void
ngx_http_llm_events_init(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_events_t  *e;

    e = &ctx->events;

    llm_sse_init(&e->sse);
    llm_stream_init(&e->state, ctx->endpoint);

    e->pending = NULL;
    e->out = NULL;
    e->last = &e->out;
    e->held = 0;
    e->held_events = 0;
    e->copy = 1;
    e->failed = 0;
    e->commit = 0;
}


/*
 * Events of one read.  Neighbours that pass become one buf; an event that a
 * read cut is joined in a buf of its own.
 */

static ngx_int_t
ngx_http_llm_events(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    int                     complete;
    u_char                 *run;
    size_t                  len;
    ngx_int_t               rc;
    ngx_http_llm_events_t  *e;

    e = &ctx->events;
    run = p;

    while (n) {
        len = llm_sse_cut(&e->sse, p, n, &complete);

        if (e->pending || !complete) {

            /* the run ends where a cut event begins */

            if (ngx_http_llm_pass(ctx, run, p - run) != NGX_OK
                || ngx_http_llm_event_cut(ctx, p, len) != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (complete && ngx_http_llm_event_joined(ctx) != NGX_OK) {
                return NGX_ERROR;
            }

            run = p + len;

        } else {
            rc = ngx_http_llm_event_passes(ctx, (llm_str_t) { len, p });

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            if (rc == NGX_DECLINED) {

                if (ngx_http_llm_pass(ctx, run, p - run) != NGX_OK) {
                    return NGX_ERROR;
                }

                run = p + len;
            }
        }

        p += len;
        n -= len;
    }

    return ngx_http_llm_pass(ctx, run, p - run);
}


/* Keeps a piece of an event that is not whole yet. */

static ngx_int_t
ngx_http_llm_event_cut(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    size_t                  len;
    ngx_buf_t              *b, *wider;
    ngx_http_llm_events_t  *e;

    e = &ctx->events;
    b = e->pending;
    len = b ? (size_t) (b->last - b->pos) : 0;

    if (len + n > ctx->llcf->max_event) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm provider sent an event larger than "
                      "llm_max_event_size");
        return NGX_ERROR;
    }

    if (b == NULL || (size_t) (b->end - b->last) < n) {
        wider = ngx_http_llm_own_buf(ctx, ngx_max(2 * len, len + n));
        if (wider == NULL) {
            return NGX_ERROR;
        }

        if (b) {
            wider->last = ngx_cpymem(wider->last, b->pos, len);
            b->pos = b->start;
            b->last = b->start;
        }

        e->pending = wider;
        b = wider;
    }

    b->last = ngx_cpymem(b->last, p, n);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_event_joined(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t               rc;
    ngx_buf_t              *b;
    ngx_http_llm_events_t  *e;

    e = &ctx->events;

    b = e->pending;
    e->pending = NULL;

    rc = ngx_http_llm_event_passes(ctx, (llm_str_t) { b->last - b->pos,
                                                      b->pos });
    if (rc == NGX_OK) {
        return ngx_http_llm_link(ctx, b);
    }

    b->last = b->pos;

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


/* The last event of a body that lacks its blank line: usable in practice. */

static ngx_int_t
ngx_http_llm_event_tail(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->events.pending == NULL) {
        return NGX_OK;
    }

    if (ngx_http_llm_event_cut(ctx, (u_char *) "\n\n", 2) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_llm_event_joined(ctx);
}


/*
 * A buf with memory of its own, kept for the whole stream.  One that was sent
 * is empty and is taken again, so a long stream needs only as many as can be
 * unsent at a time.
 */

static ngx_buf_t *
ngx_http_llm_own_buf(ngx_http_llm_ctx_t *ctx, size_t size)
{
    ngx_buf_t              *b;
    ngx_chain_t            *cl;
    ngx_http_llm_events_t  *e;

    e = &ctx->events;

    for (cl = e->own; cl; cl = cl->next) {
        b = cl->buf;

        if (b->pos == b->last && b != e->pending
            && (size_t) (b->end - b->start) >= size)
        {
            b->pos = b->start;
            b->last = b->start;
            return b;
        }
    }

    cl = ngx_alloc_chain_link(ctx->request->pool);
    if (cl == NULL) {
        return NULL;
    }

    b = ngx_create_temp_buf(ctx->request->pool,
                            ngx_max(size, NGX_HTTP_LLM_PENDING));
    if (b == NULL) {
        return NULL;
    }

    b->flush = 1;

    cl->buf = b;
    cl->next = e->own;
    e->own = cl;

    return b;
}


/* NGX_OK: to the client; NGX_DECLINED: dropped; NGX_ERROR: the stream failed */

static ngx_int_t
ngx_http_llm_event_passes(ngx_http_llm_ctx_t *ctx, llm_str_t raw)
{
    llm_buf_t               mem;
    llm_event_t             verdict;
    llm_sse_event_t         ev;
    ngx_http_llm_send_t    *send;
    ngx_http_llm_events_t  *e;

    e = &ctx->events;
    send = ctx->send;

    if (raw.len > e->scratch_size) {
        e->scratch_size = ngx_max(2 * raw.len, NGX_HTTP_LLM_PENDING);
        e->scratch = ngx_pnalloc(ctx->request->pool, e->scratch_size);

        if (e->scratch == NULL) {
            e->scratch_size = 0;
            return NGX_ERROR;
        }
    }

    llm_sse_parse(raw, e->scratch, &ev);
    llm_buf_init(&mem, send->scratch, sizeof(send->scratch));

    verdict = send->target->provider->dialect->event(&e->state, &ev, &mem);

    e->held_events++;

    switch (verdict) {

    case LLM_EVENT_MALFORMED:
        ctx->malformed++;
        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "llm provider \"%V\" sent an event that is not JSON, "
                      "dropped", &send->target->provider->name);
        return NGX_DECLINED;

    case LLM_EVENT_USAGE:
        return ctx->hide_usage ? NGX_DECLINED : NGX_OK;

    case LLM_EVENT_DONE:
        /* after an error it would make a cut answer look finished */
        return e->failed ? NGX_DECLINED : NGX_OK;

    case LLM_EVENT_ERROR:
        e->failed = 1;
        return e->commit ? NGX_OK : NGX_ERROR;

    case LLM_EVENT_CONTENT:
        e->commit = 1;
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


/* Lets bytes pass: held in a copy before the commit, as they lie after it. */

static ngx_int_t
ngx_http_llm_pass(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    ngx_buf_t            *b;
    ngx_chain_t          *cl;
    ngx_http_upstream_t  *u;

    if (n == 0) {
        return NGX_OK;
    }

    if (ctx->events.copy) {
        b = ngx_create_temp_buf(ctx->request->pool, n);
        if (b == NULL) {
            return NGX_ERROR;
        }

        b->last = ngx_cpymem(b->last, p, n);
        b->flush = 1;

        return ngx_http_llm_link(ctx, b);
    }

    u = ctx->request->upstream;

    cl = ngx_chain_get_free_buf(ctx->request->pool, &u->free_bufs);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = p;
    b->pos = p;
    b->last = p + n;
    b->end = p + n;
    b->tag = u->output.tag;
    b->memory = 1;
    b->flush = 1;

    *ctx->events.last = cl;
    ctx->events.last = &cl->next;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_link(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(ctx->request->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;
    cl->next = NULL;

    ctx->events.held += b->last - b->pos;

    *ctx->events.last = cl;
    ctx->events.last = &cl->next;

    return NGX_OK;
}


/* Right after the response header: what was held goes out first. */

ngx_int_t
ngx_http_llm_input_filter_init(void *data)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_chain_t            *out;
    ngx_http_llm_events_t  *e;

    e = &ctx->events;

    e->copy = 0;

    if (e->out) {
        out = e->out;
        e->out = NULL;
        e->last = &e->out;

        if (ngx_http_output_filter(ctx->request, out) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return ngx_http_llm_length(ctx);
}


ngx_int_t
ngx_http_llm_input_filter(void *data, ssize_t bytes)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_buf_t               b;
    ngx_chain_t           **ll;
    ngx_http_upstream_t    *u;
    ngx_http_llm_events_t  *e;

    u = ctx->request->upstream;
    e = &ctx->events;

    b = u->buffer;
    b.pos = u->buffer.last;
    b.last = b.pos + bytes;
    u->buffer.last = b.last;

    if (ngx_http_llm_frame(ctx, &b) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (e->out) {

        for (ll = &u->out_bufs; *ll; ll = &(*ll)->next) { /* void */ }

        *ll = e->out;
        e->out = NULL;
        e->last = &e->out;
    }

    return ngx_http_llm_length(ctx);
}


/*
 * Tells nginx how the body ends: u->length 0 is "now, and whole", -1 is "whole
 * at the end of the connection", anything else makes that end a failure.
 */

static ngx_int_t
ngx_http_llm_length(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t             whole;
    ngx_http_upstream_t   *u;
    ngx_http_llm_frame_t  *f;

    u = ctx->request->upstream;
    f = &ctx->send->frame;

    if (ctx->send->answer == NGX_HTTP_LLM_ANSWER_EVENTS) {
        whole = !ctx->events.failed && llm_stream_complete(&ctx->events.state);

        if (f->ended) {
            u->keepalive = !f->close;
            u->length = 0;

            /* the framing is sound, but the answer is cut */
            return whole ? NGX_OK : NGX_ERROR;
        }

        if (whole && !f->chunked && !f->has_length
            && ctx->events.state.done)
        {
            u->length = 0;
            return NGX_OK;
        }

        u->length = whole ? -1 : 1;
        return NGX_OK;
    }

    if (f->ended) {
        u->keepalive = !f->close;
        u->length = 0;

    } else {
        u->length = (f->chunked || f->has_length) ? 1 : -1;
    }

    return NGX_OK;
}


void
ngx_http_llm_stream_end(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    ngx_uint_t              whole;
    llm_class_t             class;
    ngx_connection_t       *c;
    ngx_http_llm_events_t  *e;

    e = &ctx->events;
    c = ctx->request->connection;

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || rc == NGX_HTTP_REQUEST_TIME_OUT
        || c->error)
    {
        ngx_http_llm_settle(ctx, LLM_CLASS_CLIENT_GONE);
        return;
    }

    if (ctx->send->answer != NGX_HTTP_LLM_ANSWER_EVENTS) {
        ngx_http_llm_settle(ctx, rc == 0 ? LLM_CLASS_OK : LLM_CLASS_CUT);
        return;
    }

    whole = !e->failed && llm_stream_complete(&e->state);

    if (whole) {

        if (e->state.needs_done && !e->state.done) {
            ngx_http_llm_send_own(ctx, LLM_STR("data: [DONE]\n\n"));
        }

        ngx_http_llm_settle(ctx, LLM_CLASS_OK);
        return;
    }

    class = LLM_CLASS_CUT;

    if (!e->failed) {
        ngx_http_llm_send_error_event(ctx, class);
    }

    ngx_http_llm_settle(ctx, class);
}


static void
ngx_http_llm_send_own(ngx_http_llm_ctx_t *ctx, llm_str_t text)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_create_temp_buf(ctx->request->pool, text.len);
    if (b == NULL) {
        return;
    }

    b->last = ngx_cpymem(b->last, text.data, text.len);
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    (void) ngx_http_output_filter(ctx->request, &out);
}


/* The in-band sign of a cut answer; only whole events went before it. */

static void
ngx_http_llm_send_error_event(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    u_char     mem[512];
    llm_buf_t  b;

    llm_buf_init(&b, mem, sizeof(mem));

    llm_buf_str(&b, LLM_STR("data: "));
    llm_error_openai(&b, ctx->deadline_hit ? LLM_CODE_GATEWAY_DEADLINE
                                           : llm_code_of_class(class),
                     LLM_NOSTR, LLM_NOSTR);
    llm_buf_str(&b, LLM_STR("\n\n"));

    if (!b.full) {
        ngx_http_llm_send_own(ctx, llm_buf_view(&b));
    }
}
