/*
 * A committed answer on its way to the client, and its end.
 *
 * A stream that was not complete ends with an error event and never with
 * [DONE]: a cut answer never looks like a finished one.
 */

#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_length(ngx_http_llm_ctx_t *ctx);
static llm_class_t ngx_http_llm_raw_class(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_last_event(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_send_own(ngx_http_llm_ctx_t *ctx, llm_str_t text,
    ngx_uint_t last);


/* Right after the response header: what was held goes out first. */

ngx_int_t
ngx_http_llm_input_filter_init(void *data)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_chain_t            *out;
    ngx_http_llm_events_t  *e;

    e = ctx->events;

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
    ngx_int_t               rc;
    ngx_chain_t           **ll;
    ngx_http_upstream_t    *u;
    ngx_http_llm_events_t  *e;

    u = ctx->request->upstream;
    e = ctx->events;

    /* nginx leaves a timer alone that would move by less than 300 ms, which a
     * short idle timeout cannot afford */

    if (ctx->conf.read_timeout < 10 * NGX_TIMER_LAZY_DELAY
        && u->peer.connection->read->timer_set)
    {
        ngx_del_timer(u->peer.connection->read);
    }

    b = u->buffer;
    b.pos = u->buffer.last;
    b.last = b.pos + bytes;
    u->buffer.last = b.last;

    rc = ngx_http_llm_frame(ctx, &b);

    if (ctx->admission) {
        ngx_http_llm_policy_more(ctx);
    }

    if (e->out) {

        for (ll = &u->out_bufs; *ll; ll = &(*ll)->next) { /* void */ }

        *ll = e->out;
        e->out = NULL;
        e->last = &e->out;
    }

    if (rc == NGX_ERROR || ngx_http_llm_length(ctx) == NGX_ERROR) {

        /* nginx ends the request at once: what came before it goes first */

        (void) ngx_http_output_filter(ctx->request, u->out_bufs);
        u->out_bufs = NULL;

        return NGX_ERROR;
    }

    return NGX_OK;
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
        whole = ngx_http_llm_stream_is_whole(ctx->events);

        if (f->ended) {
            u->keepalive = !f->close;
            u->length = 0;

            /* the framing is sound, but the answer is cut */
            return whole ? NGX_OK : NGX_ERROR;
        }

        if (whole && !f->chunked && !f->has_length
            && ctx->events->state.done)
        {
            u->length = 0;
            return NGX_OK;
        }

        if (whole && ctx->events->state.done) {
            /* nothing but the end of the framing is missing */
            ctx->conf.read_timeout = ngx_min(ctx->conf.read_timeout,
                                             NGX_HTTP_LLM_LAST_BYTES);
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

    e = ctx->events;
    c = ctx->request->connection;

    if (ctx->send->answer == NGX_HTTP_LLM_ANSWER_TUNNEL) {
        ngx_http_llm_tunnel_end(ctx, rc);
        return;
    }

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || rc == NGX_HTTP_REQUEST_TIME_OUT
        || c->error)
    {
        ngx_http_llm_settle(ctx, LLM_CLASS_CLIENT_GONE);
        return;
    }

    if (ctx->send->answer != NGX_HTTP_LLM_ANSWER_EVENTS) {
        ngx_http_llm_settle(ctx, rc == 0 ? ngx_http_llm_raw_class(ctx)
                                         : LLM_CLASS_CUT);
        return;
    }

    ngx_http_llm_last_event(ctx);

    whole = ngx_http_llm_stream_is_whole(e);

    if (whole && !e->state.done && ngx_http_llm_send_done(ctx) != NGX_OK) {
        whole = 0;
    }

    if (whole) {

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            /* the connection failed behind it: nginx would not end the body */
            (void) ngx_http_send_special(ctx->request, NGX_HTTP_LAST);
        }

        ngx_http_llm_settle(ctx, LLM_CLASS_OK);
        return;
    }

    class = LLM_CLASS_CUT;

    if (ctx->deadline_hit) {
        ctx->code = LLM_CODE_GATEWAY_DEADLINE;
    }

    if (!e->failed) {
        ngx_http_llm_send_error_event(ctx, ctx->deadline_hit
                                           ? LLM_CODE_GATEWAY_DEADLINE
                                           : llm_code_of_class(class),
                                      LLM_NOSTR);
    }

    ngx_http_llm_settle(ctx, class);
}


/* A refusal that passed through unread: breaker and keys hear of its status. */

static llm_class_t
ngx_http_llm_raw_class(ngx_http_llm_ctx_t *ctx)
{
    u_char                message[64];
    llm_buf_t             mem;
    ngx_uint_t            status;
    ngx_http_llm_send_t  *send;

    send = ctx->send;
    status = send->frame.status.code;

    if (status < 400) {
        return LLM_CLASS_OK;
    }

    llm_buf_init(&mem, message, sizeof(message));

    send->dialect->refusal(status, &send->hint, LLM_NOSTR,
                           ngx_http_llm_store_now(&ctx->lmcf->store), &mem,
                           &send->refusal);

    send->outcome = send->refusal.outcome;
    send->refusal.message = LLM_NOSTR;

    return send->outcome.class;
}


/* A body without length may end with the connection, in an event that lacks its
 * blank line. */

static void
ngx_http_llm_last_event(ngx_http_llm_ctx_t *ctx)
{
    ngx_chain_t            *out;
    ngx_connection_t       *c;
    ngx_http_llm_frame_t   *f;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    f = &ctx->send->frame;
    c = ctx->request->upstream->peer.connection;

    if (f->chunked || f->has_length || c == NULL || !c->read->eof
        || c->read->error
        || ngx_http_llm_event_tail(ctx) != NGX_OK || e->out == NULL)
    {
        return;
    }

    out = e->out;
    e->out = NULL;
    e->last = &e->out;

    (void) ngx_http_output_filter(ctx->request, out);
}


/* The terminator that the provider forgot, where clients wait for one. */

ngx_int_t
ngx_http_llm_send_done(ngx_http_llm_ctx_t *ctx)
{
    llm_str_t  text;

    text = LLM_STR("data: [DONE]\n\n");

    if (ctx->send->translated || ngx_http_llm_is_resuming(ctx)) {

        if (ngx_http_llm_translate_end(ctx, &text) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (!ctx->events->state.needs_done) {
        return NGX_OK;
    }

    ngx_http_llm_send_own(ctx, text, 0);

    return NGX_OK;
}


static void
ngx_http_llm_send_own(ngx_http_llm_ctx_t *ctx, llm_str_t text,
    ngx_uint_t last)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_create_temp_buf(ctx->request->pool, text.len);
    if (b == NULL) {
        return;
    }

    b->last = ngx_cpymem(b->last, text.data, text.len);
    b->flush = 1;
    b->last_buf = last;

    out.buf = b;
    out.next = NULL;

    (void) ngx_http_output_filter(ctx->request, &out);
}


/*
 * The in-band sign of a cut answer; only whole events went before it.  Over
 * HTTP/1 the missing end of the body is a second sign.  Over HTTP/2 that would
 * be RST_STREAM, on which clients drop what they have not read, the event
 * included: there it ends the stream.
 */

void
ngx_http_llm_send_error_event(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    llm_str_t message)
{
    size_t     size;
    u_char    *mem;
    llm_buf_t  b;

    size = 1024 + 12 * message.len;

    mem = ngx_pnalloc(ctx->request->pool, size);
    if (mem == NULL) {
        return;
    }

    llm_buf_init(&b, mem, size);

    ngx_http_llm_put_error_event(ctx, &b, code, message);

    if (!b.full) {
        ngx_http_llm_send_own(ctx, llm_buf_view(&b),
                              ngx_http_llm_is_http2(ctx->request));
    }
}
