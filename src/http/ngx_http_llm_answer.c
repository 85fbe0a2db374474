/*
 * An attempt's answer up to the point of no return.
 *
 * process_header() of every attempt: the head is parsed strictly, then the body
 * is drained (a refusal, kept for its class), collected (answered by us when it
 * is whole), held (a stream, until its first content) or passed on; who agrees
 * to a session begins it.  Returning NGX_OK is the commit: before it everything
 * can be tried elsewhere, after it nothing is.  Nothing of the upstream may be
 * torn down in here; an attempt that is over posts ctx->end.
 */

#include "ngx_http_llm_ctx.h"


static void ngx_http_llm_choose_mode(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_read_body(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_after_hold(ngx_http_llm_ctx_t *ctx,
    ngx_int_t rc);
static ngx_int_t ngx_http_llm_commit_events(ngx_http_llm_ctx_t *ctx,
    ngx_int_t rc);
static ngx_int_t ngx_http_llm_after_collect(ngx_http_llm_ctx_t *ctx,
    ngx_int_t rc);
static ngx_int_t ngx_http_llm_fail(ngx_http_llm_ctx_t *ctx, llm_class_t class);
static ngx_int_t ngx_http_llm_commit(ngx_http_llm_ctx_t *ctx);


ngx_int_t
ngx_http_llm_process_header(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_llm_ctx_t   *ctx;
    ngx_http_llm_send_t  *send;

    ctx = ngx_http_llm_get_ctx(r);
    send = ctx->send;

    if (send->answer == NGX_HTTP_LLM_ANSWER_HEAD) {
        rc = ngx_http_llm_parse_head(ctx);

        if (rc == NGX_ERROR) {
            return ngx_http_llm_fail(ctx, LLM_CLASS_BAD_ANSWER);
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (send->frame.status.code == NGX_HTTP_SWITCHING_PROTOCOLS) {
            send->answer = NGX_HTTP_LLM_ANSWER_TUNNEL;

        } else if (ctx->tunnel && send->frame.status.code < 300) {
            /* an answer to something else */
            return ngx_http_llm_fail(ctx, LLM_CLASS_BAD_ANSWER);

        } else {
            ngx_http_llm_choose_mode(ctx);
        }

        if ((send->answer == NGX_HTTP_LLM_ANSWER_HOLD
             || send->answer == NGX_HTTP_LLM_ANSWER_RAW
             || send->answer == NGX_HTTP_LLM_ANSWER_TUNNEL)
            && ngx_http_llm_events_init(ctx) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_llm_read_body(ctx);
}


static void
ngx_http_llm_choose_mode(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t                status;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_timeouts_t  *timeout;

    send = ctx->send;
    status = send->frame.status.code;
    timeout = &send->target->provider->timeout;

    if (ctx->request->method == NGX_HTTP_HEAD) {
        /* a length is that of the body there would be */
        send->frame.ended = 1;

    } else if (status == 204 || status == 304) {
        send->frame.rest = 0;
        send->frame.has_length = 1;
        send->frame.chunked = 0;
    }

    if (send->frame.has_length && send->frame.rest == 0) {
        send->frame.ended = 1;
    }

    if (ctx->passthrough && ctx->tunnel == NULL) {
        send->answer = NGX_HTTP_LLM_ANSWER_RAW;
        ngx_http_llm_arm(ctx, timeout->idle);

    } else if (status < 200 || status >= 300) {
        send->answer = NGX_HTTP_LLM_ANSWER_DRAIN;
        ngx_http_llm_arm(ctx, timeout->idle);

    } else if (!ctx->analyze
               && (!send->translated || llm_front_find(ctx->endpoint))
               && ngx_http_llm_type_is(&send->content_type,
                                       "text/event-stream"))
    {
        send->answer = NGX_HTTP_LLM_ANSWER_HOLD;
        ngx_http_llm_arm(ctx, timeout->first);

    } else if (send->translated
               || ctx->request->header_sent
               || ctx->endpoint == LLM_EP_CHAT
               || ctx->endpoint == LLM_EP_MESSAGES
               || ctx->endpoint == LLM_EP_TRANSCRIPTIONS
               || ctx->endpoint == LLM_EP_TRANSLATIONS
               || send->content_type.len == 0
               || ngx_http_llm_type_is(&send->content_type, "application/json")
               || ngx_http_llm_type_is(&send->content_type, "text/"))
    {
        send->answer = NGX_HTTP_LLM_ANSWER_COLLECT;
        ngx_http_llm_arm(ctx, ngx_http_llm_is_prompt(ctx) ? timeout->first
                                                          : timeout->total);
    } else {
        send->answer = NGX_HTTP_LLM_ANSWER_RAW;
        ngx_http_llm_arm(ctx, timeout->first);
    }

    if (send->target->provider->record && ctx->upload == NULL
        && send->answer != NGX_HTTP_LLM_ANSWER_DRAIN)
    {
        send->record = ngx_http_llm_record_start(
                                          send->target->provider->record,
                                          ctx->request, ctx->endpoint,
                                          ngx_http_llm_view(ctx->analyze
                                                            ? &ctx->prompt
                                                            : &ctx->body));
    }
}


static ngx_int_t
ngx_http_llm_read_body(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_http_llm_send_t  *send;

    send = ctx->send;
    b = &ctx->request->upstream->buffer;

    if (send->answer == NGX_HTTP_LLM_ANSWER_TUNNEL) {
        return ngx_http_llm_commit(ctx);
    }

    if (send->answer == NGX_HTTP_LLM_ANSWER_RAW) {

        /* the commit waits for a first byte; the filter takes it from here */

        if (b->pos == b->last && !send->frame.ended && !ctx->passthrough) {
            b->pos = b->start;
            b->last = b->start;
            return NGX_AGAIN;
        }

        return ngx_http_llm_commit(ctx);
    }

    if (ctx->relay) {
        ctx->request->upstream->state->response_length += b->last - b->pos;
    }

    rc = ngx_http_llm_frame(ctx, b);

    b->pos = b->start;
    b->last = b->start;

    switch (send->answer) {

    case NGX_HTTP_LLM_ANSWER_DRAIN:

        if (rc == NGX_AGAIN
            && ctx->request->upstream->state->bytes_received
               > NGX_HTTP_LLM_ERROR_DRAIN)
        {
            /* not worth keeping the connection for */
            send->frame.close = 1;
            return ngx_http_llm_end(ctx);
        }

        return (rc == NGX_AGAIN) ? NGX_AGAIN : ngx_http_llm_end(ctx);

    case NGX_HTTP_LLM_ANSWER_COLLECT:
        return ngx_http_llm_after_collect(ctx, rc);

    case NGX_HTTP_LLM_ANSWER_HOLD:
        return ngx_http_llm_after_hold(ctx, rc);

    case NGX_HTTP_LLM_ANSWER_EVENTS:
        return ngx_http_llm_relay_read(ctx, rc);

    default:
        /* an attempt that is over waits for its posted event; a provider that
         * sends on must not be read until it tires */
        return send->frame.close ? NGX_HTTP_UPSTREAM_INVALID_HEADER : NGX_AGAIN;
    }
}


static ngx_int_t
ngx_http_llm_after_hold(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    if (ngx_http_llm_is_resuming(ctx)) {

        if (e->commit) {
            /* it went on before it failed, if it did */
            return ngx_http_llm_commit_events(ctx, rc);
        }

        if (e->state.content && !e->failed && rc == NGX_AGAIN) {
            /* it may take as long as the first one did to repeat that */
            ngx_http_llm_arm(ctx, ctx->send->target->provider->timeout.idle);
            return NGX_AGAIN;
        }
    }

    if (e->failed) {
        /* an error event in front of everything is a refusal with status 200 */
        ctx->send->outcome.class = e->state.error;
        ctx->send->refusal.message = e->state.message;
        ctx->send->frame.close = 1;
        return ngx_http_llm_end(ctx);
    }

    if (rc == NGX_ERROR) {
        return ngx_http_llm_fail(ctx, LLM_CLASS_BAD_ANSWER);
    }

    if (rc == NGX_DONE && !llm_stream_complete(&e->state)) {
        return ngx_http_llm_fail(ctx, LLM_CLASS_NETWORK);
    }

    if (rc == NGX_DONE && !e->commit
        && (!e->state.content || ngx_http_llm_is_resuming(ctx)))
    {
        return ngx_http_llm_fail(ctx, LLM_CLASS_BAD_ANSWER);
    }

    if (e->commit
        || (!ngx_http_llm_is_resuming(ctx)
            && (e->held > NGX_HTTP_LLM_HOLD_BYTES
                || e->held_events > NGX_HTTP_LLM_HOLD_EVENTS)))
    {
        return ngx_http_llm_commit_events(ctx, rc);
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_llm_commit_events(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    if (ngx_http_llm_commit(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ctx->relay ? ngx_http_llm_relay_begin(ctx, rc) : NGX_OK;
}


static ngx_int_t
ngx_http_llm_after_collect(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    ngx_buf_t            *b;
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (rc == NGX_ERROR) {
        return ngx_http_llm_fail(ctx, LLM_CLASS_BAD_ANSWER);
    }

    if (rc == NGX_DONE) {
        return ngx_http_llm_end(ctx);
    }

    b = send->body;

    if (b && (size_t) (b->last - b->pos) >= ctx->llcf->max_answer) {

        if (ctx->analyze || send->translated || ctx->request->header_sent) {
            return ngx_http_llm_fail(ctx, LLM_CLASS_BAD_ANSWER);
        }

        /* too large to be kept: from here on it passes as it comes, and nobody
         * goes on with it */

        ngx_http_llm_relay_leave(ctx);

        send->answer = NGX_HTTP_LLM_ANSWER_RAW;
        b->flush = 1;

        if (ngx_http_llm_events_init(ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->events->out = ngx_alloc_chain_link(ctx->request->pool);

        if (ctx->events->out == NULL) {
            return NGX_ERROR;
        }

        ctx->events->out->buf = b;
        ctx->events->out->next = NULL;
        ctx->events->last = &ctx->events->out->next;

        return ngx_http_llm_commit(ctx);
    }

    if (b && b->last != b->pos) {
        ngx_http_llm_arm(ctx, send->target->provider->timeout.idle);
    }

    return NGX_AGAIN;
}


/* The attempt failed and its connection is of no use any more. */

static ngx_int_t
ngx_http_llm_fail(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ctx->send->outcome.class = class;
    ctx->send->frame.close = 1;

    return ngx_http_llm_end(ctx);
}


/* The attempt is over; the connection is kept if its body was read whole. */

ngx_int_t
ngx_http_llm_end(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    ctx->request->upstream->keepalive = send->frame.ended && !send->frame.close;
    send->answer = NGX_HTTP_LLM_ANSWER_ENDED;

    if (!ctx->end.posted) {
        ngx_post_event(&ctx->end, &ngx_posted_events);
    }

    return NGX_AGAIN;
}


/* From here on the client has a part of this target's answer. */

void
ngx_http_llm_serve(ngx_http_llm_ctx_t *ctx)
{
    ctx->state = NGX_HTTP_LLM_STREAMING;
    ctx->served = ctx->send->target;

    ngx_http_llm_session_learn(ctx);

    if (!ctx->committed) {
        ctx->committed = 1;
        ctx->first_at = ngx_current_msec;

        if (ngx_http_llm_is_early(ctx)) {
            /* when the header went out nobody knew who would answer */
            ngx_http_llm_feedback_open(ctx);
        }
    }

    if (ctx->shed.kind == LLM_SHED_FIRST) {
        ngx_http_llm_shed_prove(&ctx->lmcf->store, &ctx->shed, LLM_CLASS_OK);
    }
}


static ngx_int_t
ngx_http_llm_commit(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;
    ngx_http_llm_send_t  *send;

    r = ctx->request;
    u = r->upstream;
    send = ctx->send;

    if (send->answer == NGX_HTTP_LLM_ANSWER_HOLD) {
        send->answer = NGX_HTTP_LLM_ANSWER_EVENTS;
    }

    ngx_http_llm_serve(ctx);

    if (ctx->upload) {
        ngx_http_llm_upload_answered(ctx);
    }

    if (r->header_sent) {
        return NGX_OK;
    }

    if (send->answer == NGX_HTTP_LLM_ANSWER_RAW) {
        /* no events of ours may get into it */
        ngx_http_llm_relay_leave(ctx);
    }

    if (ctx->relay == NULL) {
        /* it may still be sending the request, and fail at that: an end, too */
        ctx->conf.next_upstream = 0;
    }

    /* nginx arms it before every read from here on */
    ctx->conf.read_timeout = send->target->provider->timeout.idle;

    u->headers_in.status_n = send->frame.status.code;
    u->headers_in.content_length_n = -1;

    if (send->answer == NGX_HTTP_LLM_ANSWER_TUNNEL) {
        return ngx_http_llm_tunnel_open(ctx);
    }

    if (send->answer == NGX_HTTP_LLM_ANSWER_RAW && send->frame.has_length) {
        u->headers_in.content_length_n = send->frame.rest;

        if (ctx->events->out) {
            u->headers_in.content_length_n +=
                                       ngx_buf_size(ctx->events->out->buf);
        }
    }

    ngx_http_llm_content_type(r, &send->content_type);

    if (ngx_http_llm_response_headers(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Timers of an attempt's phases: nginx arms one when the request is sent and
 * never again before the commit. */

void
ngx_http_llm_arm(ngx_http_llm_ctx_t *ctx, ngx_msec_t timeout)
{
    ngx_event_t  *rev;

    rev = ctx->request->upstream->peer.connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    ngx_add_timer(rev, timeout);
}


ngx_uint_t
ngx_http_llm_type_is(ngx_str_t *type, const char *prefix)
{
    size_t  len;

    len = ngx_strlen(prefix);

    return type->len >= len
           && ngx_strncasecmp(type->data, (u_char *) prefix, len) == 0;
}


ngx_uint_t
ngx_http_llm_answer_eof(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;

    if (ctx->send->answer == NGX_HTTP_LLM_ANSWER_DRAIN) {
        /* status and headers tell enough, whatever came of the body */
        return 1;
    }

    if (f->ended || f->chunked || f->has_length || !ctx->send->eof) {
        return 0;
    }

    if (ctx->send->answer == NGX_HTTP_LLM_ANSWER_COLLECT && ctx->send->body) {
        f->ended = 1;
        return 1;
    }

    return 0;
}
