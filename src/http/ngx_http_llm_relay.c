/*
 * An answer that we send ourselves.
 *
 * To nginx's upstream code NGX_OK from process_header() is the point of no
 * return: it sends the header and ends the request with the connection.  Where
 * another attempt may follow what the client has seen, an answer never gets
 * there.  process_header() goes on saying NGX_AGAIN and the events leave
 * through the output filters from here, so the end of every attempt comes back
 * as it does before a commit: posted, or parked.
 *
 * Back-pressure is a read that is put off: while the client is behind, the
 * provider's connection has nothing for nginx to receive, and its timer rests.
 */

#include "ngx_http_llm_ctx.h"


static void ngx_http_llm_relay_wrap(ngx_http_llm_ctx_t *ctx);
static ssize_t ngx_http_llm_relay_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_int_t ngx_http_llm_relay_events(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_relay_send(ngx_http_llm_ctx_t *ctx,
    ngx_chain_t *out);
static void ngx_http_llm_relay_writer(ngx_http_request_t *r);
static ngx_uint_t ngx_http_llm_relay_reads(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_relay_rest(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_relay_go_on(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_relay_finish(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_relay_fail(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    llm_str_t message);
static void ngx_http_llm_relay_close(ngx_http_llm_ctx_t *ctx);


ngx_int_t
ngx_http_llm_relay_want(ngx_http_llm_ctx_t *ctx)
{
    if (!ctx->facts.stream || ctx->analyze || ctx->shadow || ctx->passthrough) {
        return NGX_OK;
    }

    if (ngx_http_llm_resume_want(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->resume && ngx_http_llm_relay_make(ctx) != NGX_OK) {
        ctx->resume = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_relay_make(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->relay == NULL) {
        ctx->relay = ngx_pcalloc(ctx->request->pool,
                                 sizeof(ngx_http_llm_relay_t));
    }

    return ctx->relay ? NGX_OK : NGX_ERROR;
}


void
ngx_http_llm_relay_leave(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_heartbeat_stop(ctx);

    ctx->relay = NULL;
    ctx->resume = NULL;
}


/* ---- the answer ---------------------------------------------------------- */

ngx_int_t
ngx_http_llm_relay_begin(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = r->upstream;

    u->state->header_time = ngx_current_msec - u->start_time;

    if (!r->header_sent
        && ngx_http_llm_relay_header(ctx, ctx->send->frame.status.code)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_llm_is_resuming(ctx)) {
        ngx_http_llm_resume_begin(ctx);
    }

    ctx->send->relayed = 1;
    ngx_http_llm_relay_wrap(ctx);

    return ngx_http_llm_relay_read(ctx, rc);
}


/* What nginx does between NGX_OK and the first byte of the body. */

ngx_int_t
ngx_http_llm_relay_header(ngx_http_llm_ctx_t *ctx, ngx_uint_t status)
{
    ngx_int_t                  rc;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = ctx->request;

    r->headers_out.status = status;
    r->headers_out.content_length_n = -1;
    r->disable_not_modified = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    r->limit_rate = 0;
    r->limit_rate_set = 1;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(r->connection) != NGX_OK) {
        return NGX_ERROR;
    }

    r->write_event_handler = ngx_http_llm_relay_writer;

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_relay_read(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    ngx_uint_t              whole;
    ngx_msec_t              timeout;
    ngx_http_llm_frame_t   *f;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    f = &ctx->send->frame;

    if (ctx->admission) {
        ngx_http_llm_policy_more(ctx);
    }

    if (ngx_http_llm_relay_events(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    whole = ngx_http_llm_stream_is_whole(e);

    if (rc == NGX_ERROR || e->failed) {
        f->close = 1;
        return ngx_http_llm_end(ctx);
    }

    if (f->ended
        || (whole && e->state.done && !f->chunked && !f->has_length))
    {
        return ngx_http_llm_end(ctx);
    }

    if (ctx->relay->blocked) {
        return NGX_AGAIN;
    }

    timeout = ctx->send->target->provider->timeout.idle;

    if (whole && e->state.done) {
        /* nothing but the end of the framing is missing */
        timeout = ngx_min(timeout, NGX_HTTP_LLM_LAST_BYTES);
    }

    ngx_http_llm_arm(ctx, timeout);

    return NGX_AGAIN;
}


/* What a body without length ended with is sent when the attempt is over. */

void
ngx_http_llm_relay_ended(ngx_http_llm_ctx_t *ctx,
    ngx_http_upstream_state_t *state)
{
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;

    if (ctx->send->eof && !f->chunked && !f->has_length) {
        (void) ngx_http_llm_event_tail(ctx);
    }

    if (ctx->resume && state->status == NGX_HTTP_GATEWAY_TIME_OUT) {
        ctx->resume->timeout = 1;
    }

    if (ngx_http_llm_stream_is_whole(ctx->events)) {
        state->status = f->status.code;
    }
}


/* ---- what is not read ---------------------------------------------------- */

static void
ngx_http_llm_relay_wrap(ngx_http_llm_ctx_t *ctx)
{
    ngx_connection_t  *c;

    c = ctx->request->upstream->peer.connection;

    ctx->relay->recv = c->recv;
    c->recv = ngx_http_llm_relay_recv;
}


void
ngx_http_llm_relay_unwrap(ngx_http_llm_ctx_t *ctx, ngx_connection_t *c)
{
    if (c && c->recv == ngx_http_llm_relay_recv) {
        c->recv = ctx->relay->recv;
    }
}


/* rev->ready stays as it is: nginx takes a level-triggered event out of its
 * set, and an edge is remembered. */

static ssize_t
ngx_http_llm_relay_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_get_ctx(((ngx_http_request_t *) c->data));

    if (ctx->relay->blocked) {
        return NGX_AGAIN;
    }

    return ctx->relay->recv(c, buf, size);
}


/* ---- the client ---------------------------------------------------------- */

static ngx_int_t
ngx_http_llm_relay_events(ngx_http_llm_ctx_t *ctx)
{
    ngx_chain_t            *out;
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    if (e->out == NULL) {
        return NGX_OK;
    }

    out = e->out;
    e->out = NULL;
    e->last = &e->out;

    return ngx_http_llm_relay_send(ctx, out);
}


static ngx_int_t
ngx_http_llm_relay_send(ngx_http_llm_ctx_t *ctx, ngx_chain_t *out)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_llm_relay_t      *relay;
    ngx_http_core_loc_conf_t  *clcf;

    r = ctx->request;
    c = r->connection;
    relay = ctx->relay;

    if (out) {
        relay->sent = ngx_current_msec;
    }

    if (ngx_http_output_filter(r, out) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_chain_update_chains(r->pool, &relay->free, &relay->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_llm_gateway_module);

    relay->blocked = (relay->busy != NULL);

    if (relay->blocked) {
        ngx_http_llm_relay_rest(ctx);
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (c->data == r
        && ngx_handle_write_event(c->write, clcf->send_lowat) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (c->write->active && !c->write->ready) {
        ngx_add_timer(c->write, clcf->send_timeout);

    } else if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    return NGX_OK;
}


/* Only when nothing is on its way: there is one buf for all of them. */

ngx_int_t
ngx_http_llm_relay_text(ngx_http_llm_ctx_t *ctx, llm_str_t text)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(ctx->request->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = &ctx->relay->text;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->pos = (u_char *) text.data;
    b->last = b->pos + text.len;
    b->memory = 1;
    b->flush = 1;

    cl->buf = b;
    cl->next = NULL;

    return ngx_http_llm_relay_send(ctx, cl);
}


/* nginx sets its own handlers for every attempt. */

void
ngx_http_llm_relay_handlers(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->relay && ctx->request->header_sent) {
        ctx->request->write_event_handler = ngx_http_llm_relay_writer;
    }
}


static void
ngx_http_llm_relay_writer(ngx_http_request_t *r)
{
    ngx_uint_t           blocked;
    ngx_connection_t    *c;
    ngx_http_llm_ctx_t  *ctx;

    c = r->connection;
    ctx = ngx_http_llm_get_ctx(r);

    if (c->write->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out");
        c->timedout = 1;

        ngx_http_llm_relay_lost(ctx, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (c->error) {
        ngx_http_llm_relay_lost(ctx, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    if (ctx->relay->busy == NULL && !c->buffered) {
        return;
    }

    blocked = ctx->relay->blocked;

    if (ngx_http_llm_relay_send(ctx, NULL) != NGX_OK) {
        ngx_http_llm_relay_lost(ctx, NGX_ERROR);
        return;
    }

    if (blocked && !ctx->relay->blocked) {
        ngx_http_llm_relay_go_on(ctx);
    }
}


static ngx_uint_t
ngx_http_llm_relay_reads(ngx_http_llm_ctx_t *ctx)
{
    return ctx->send->relayed && ctx->send->upstream && !ctx->send->parked
           && ctx->send->answer == NGX_HTTP_LLM_ANSWER_EVENTS;
}


/* The client is behind: a provider that is not read cannot be late. */

static void
ngx_http_llm_relay_rest(ngx_http_llm_ctx_t *ctx)
{
    ngx_event_t  *rev;

    if (!ngx_http_llm_relay_reads(ctx)) {
        return;
    }

    rev = ctx->request->upstream->peer.connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }
}


/* The client caught up: what the provider sent meanwhile is read. */

static void
ngx_http_llm_relay_go_on(ngx_http_llm_ctx_t *ctx)
{
    ngx_event_t  *rev;

    if (!ngx_http_llm_relay_reads(ctx)) {
        return;
    }

    ngx_http_llm_arm(ctx, ctx->send->target->provider->timeout.idle);

    rev = ctx->request->upstream->peer.connection->read;

    if (!rev->posted) {
        ngx_post_event(rev, &ngx_posted_events);
    }
}


void
ngx_http_llm_relay_lost(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_llm_upstream_leave(ctx);
    ngx_http_llm_settle(ctx, LLM_CLASS_CLIENT_GONE);

    ngx_http_finalize_request(ctx->request, rc);
}


/* ---- the end ------------------------------------------------------------- */

/* The attempt has ended and its upstream was left; no callback of nginx is on
 * the stack. */

void
ngx_http_llm_relay_over(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    /* place and settlement look at what it was */
    ctx->send->answer = NGX_HTTP_LLM_ANSWER_EVENTS;

    if (ngx_http_llm_relay_events(ctx) != NGX_OK) {
        ngx_http_llm_relay_lost(ctx, NGX_ERROR);
        return;
    }

    if (ngx_http_llm_stream_is_whole(e)) {
        ngx_http_llm_relay_finish(ctx);
        return;
    }

    if (ngx_http_llm_resume(ctx) == NGX_OK) {
        return;
    }

    if (e->withheld) {
        ngx_http_llm_relay_fail(ctx, llm_code_of_class(e->state.error),
                                e->state.message);
        return;
    }

    if (e->failed) {
        ngx_http_llm_relay_fail(ctx, LLM_CODE_NONE, LLM_NOSTR);
        return;
    }

    ngx_http_llm_relay_fail(ctx, llm_code_of_class(LLM_CLASS_CUT), LLM_NOSTR);
}


static void
ngx_http_llm_relay_finish(ngx_http_llm_ctx_t *ctx)
{
    if (!ctx->events->state.done && ngx_http_llm_send_done(ctx) != NGX_OK) {
        ngx_http_llm_relay_give_up(ctx);
        return;
    }

    ngx_http_llm_settle(ctx, LLM_CLASS_OK);

    ngx_http_finalize_request(ctx->request,
                              ngx_http_send_special(ctx->request,
                                                    NGX_HTTP_LAST));
}


void
ngx_http_llm_relay_give_up(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->committed) {
        ngx_http_llm_relay_fail(ctx, llm_code_of_class(LLM_CLASS_CUT),
                                LLM_NOSTR);
        return;
    }

    /* nothing of an answer went out: what would have been a response */

    ngx_http_llm_settle(ctx, ctx->class);

    if (ctx->code == LLM_CODE_NONE) {
        ctx->code = LLM_CODE_GATEWAY_ERROR;
    }

    ngx_http_llm_send_error_event(ctx, ctx->code,
                                  ngx_http_llm_view(&ctx->message));
    ngx_http_llm_relay_close(ctx);
}


/* LLM_CODE_NONE: the provider's own error event went out. */

static void
ngx_http_llm_relay_fail(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    llm_str_t message)
{
    if (ctx->deadline_hit) {
        ctx->code = LLM_CODE_GATEWAY_DEADLINE;
    }

    if (code != LLM_CODE_NONE) {
        ngx_http_llm_send_error_event(ctx, ctx->deadline_hit ? ctx->code : code,
                                      message);
    }

    ngx_http_llm_settle(ctx, LLM_CLASS_CUT);
    ngx_http_llm_relay_close(ctx);
}


/* Over HTTP/1 the missing end of the body is a second sign of a cut. */

static void
ngx_http_llm_relay_close(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;
    r->keepalive = 0;

    ngx_http_finalize_request(r, ngx_http_send_special(r, NGX_HTTP_FLUSH));
}
