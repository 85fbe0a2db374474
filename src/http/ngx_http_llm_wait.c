/*
 * Everything a request waits for on its own: one timer for the attempt, the
 * backoff and the queue, cut to the deadline, and two posted events.
 *
 * None of them is cancelable: nothing else holds such a request when its
 * worker is told to quit.
 */

#include "ngx_http_llm_ctx.h"


#define ngx_http_llm_owner(ev, field)                                         \
    ((ngx_http_llm_ctx_t *) ((u_char *) (ev)                                  \
                             - offsetof(ngx_http_llm_ctx_t, field)))


static void ngx_http_llm_timer_handler(ngx_event_t *ev);
static void ngx_http_llm_time_is_up(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_past_deadline(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_cut_stream(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_end_handler(ngx_event_t *ev);
static void ngx_http_llm_wake_handler(ngx_event_t *ev);
static void ngx_http_llm_cleanup(void *data);


/* Events need a connection to belong to; this one is never connected. */

ngx_int_t
ngx_http_llm_wait_init(ngx_http_llm_ctx_t *ctx)
{
    ngx_log_t           *log;
    ngx_http_cleanup_t  *cln;

    log = ctx->request->connection->log;

    ctx->park.fd = (ngx_socket_t) -1;
    ctx->park.data = ctx->request;
    ctx->park.log = log;

    ctx->timer.handler = ngx_http_llm_timer_handler;
    ctx->timer.data = &ctx->park;
    ctx->timer.log = log;

    ctx->end.handler = ngx_http_llm_end_handler;
    ctx->end.data = &ctx->park;
    ctx->end.log = log;

    ctx->wake.handler = ngx_http_llm_wake_handler;
    ctx->wake.data = &ctx->park;
    ctx->wake.log = log;
    ctx->waiter.wake = &ctx->wake;

    cln = ngx_http_cleanup_add(ctx->request, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_llm_cleanup;
    cln->data = ctx;

    return NGX_OK;
}


/* One timer, for whatever is waited for, and never beyond the deadline. */

void
ngx_http_llm_wait(ngx_http_llm_ctx_t *ctx, ngx_msec_t delay)
{
    ngx_msec_t  left;

    left = ngx_http_llm_left(ctx);

    ctx->until_deadline = (left < delay);

    ngx_add_timer(&ctx->timer, ngx_min(delay, left));
}


ngx_msec_t
ngx_http_llm_left(ngx_http_llm_ctx_t *ctx)
{
    ngx_msec_int_t  left;

    if (ctx->llcf->retry.deadline == 0) {
        return NGX_MAX_INT32_VALUE;
    }

    left = (ngx_msec_int_t) (ctx->deadline - ngx_current_msec);

    return left > 0 ? (ngx_msec_t) left : 0;
}


static void
ngx_http_llm_timer_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_owner(ev, timer);
    c = ctx->request->connection;

    ngx_http_set_log_request(c->log, ctx->request);

    ngx_http_llm_time_is_up(ctx);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_llm_time_is_up(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (ctx->end.posted) {
        /* the attempt ended in this very turn, and its end comes next */
        return;
    }

    if (ctx->state == NGX_HTTP_LLM_STREAMING) {
        ctx->deadline_hit = ctx->until_deadline;
        ngx_http_llm_cut_stream(ctx);
        return;
    }

    if (ctx->until_deadline) {
        ngx_http_llm_past_deadline(ctx);
        return;
    }

    switch (ctx->state) {

    case NGX_HTTP_LLM_QUEUED:
        ngx_http_llm_store_leave_queue(&ctx->lmcf->store, &ctx->waiter);
        ctx->queued = 0;
        ngx_http_llm_log_send(ctx, LLM_CLASS_BUSY, 0);
        ngx_http_llm_decide(ctx, LLM_CLASS_BUSY, 0);
        return;

    case NGX_HTTP_LLM_BACKOFF:
        ctx->waited += ngx_current_msec - ctx->resting;
        ngx_http_llm_pick(ctx);
        return;

    case NGX_HTTP_LLM_RESOLVING:
    case NGX_HTTP_LLM_SENDING:
        ngx_http_llm_peer_lookup_cancel(&send->lookup);
        send->outcome.class = LLM_CLASS_TIMEOUT_TOTAL;
        ngx_http_llm_attempt_over(ctx);
        return;

    default:
        return;
    }
}


/*
 * The client's own time is up.  A provider that had less than half of it to
 * itself has proved nothing, whatever the rest went to.
 */

static void
ngx_http_llm_past_deadline(ngx_http_llm_ctx_t *ctx)
{
    ngx_msec_t            had;
    ngx_http_llm_send_t  *send;

    send = ctx->send;
    ctx->deadline_hit = 1;

    if (ctx->state == NGX_HTTP_LLM_SENDING
        || ctx->state == NGX_HTTP_LLM_RESOLVING)
    {
        ngx_http_llm_peer_lookup_cancel(&send->lookup);
        ngx_http_llm_upstream_leave(ctx);

        send->outcome.class = LLM_CLASS_TIMEOUT_TOTAL;
        ngx_http_llm_log_send(ctx, send->outcome.class, 0);

        had = ngx_current_msec - send->started;

        if (2 * had >= (ngx_msec_t) ctx->llcf->retry.deadline) {
            ngx_http_llm_report(ctx);
        } else {
            ngx_http_llm_store_settle(&ctx->lmcf->store, &send->ticket, NULL);
            ngx_http_llm_budget_failed(ctx, 1, 0);
        }

        ctx->class = send->outcome.class;

    } else if (ctx->class == LLM_CLASS_OK) {
        ctx->class = LLM_CLASS_BUSY;
    }

    ctx->code = LLM_CODE_GATEWAY_DEADLINE;
    ngx_http_llm_give_up(ctx);
}


/* Time is up for a committed answer: an error event, and no clean end. */

static void
ngx_http_llm_cut_stream(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, NGX_ETIMEDOUT,
                  "llm answer of provider \"%V\" was cut",
                  &ctx->send->target->provider->name);

    if (ctx->relay) {

        if (ctx->resume) {
            ctx->resume->timeout = 1;
        }

        ngx_http_llm_attempt_over(ctx);
        return;
    }

    ngx_http_llm_upstream_leave(ctx);
    ngx_http_llm_stream_end(ctx, NGX_HTTP_GATEWAY_TIME_OUT);

    r->keepalive = 0;
    ngx_http_finalize_request(r, NGX_ERROR);
}


static void
ngx_http_llm_end_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_owner(ev, end);
    c = ctx->request->connection;

    ngx_http_set_log_request(c->log, ctx->request);

    ngx_http_llm_attempt_over(ctx);

    ngx_http_run_posted_requests(c);
}


/* A slot of the provider may be free. */

static void
ngx_http_llm_wake_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_owner(ev, wake);
    c = ctx->request->connection;

    if (ctx->state != NGX_HTTP_LLM_QUEUED) {
        return;
    }

    ngx_http_set_log_request(c->log, ctx->request);

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ngx_http_llm_pick(ctx);

    ngx_http_run_posted_requests(c);
}


/* The request is going away, for whatever reason. */

static void
ngx_http_llm_cleanup(void *data)
{
    ngx_http_llm_ctx_t *ctx = data;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->end.posted) {
        ngx_delete_posted_event(&ctx->end);
    }

    if (ctx->wake.posted) {
        ngx_delete_posted_event(&ctx->wake);
    }

    ngx_http_llm_peer_lookup_cancel(&ctx->send->lookup);
    ngx_http_llm_store_leave_queue(&ctx->lmcf->store, &ctx->waiter);

    ngx_http_llm_settle(ctx, LLM_CLASS_CLIENT_GONE);
}
