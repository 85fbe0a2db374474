/*
 * The loop of a request: pick a target and a key, send, and decide what follows
 * from the outcome until an answer is committed or nothing is left to try.
 *
 *     pick → (queue) → admit → send → over → retry | rotate | next | give up
 *
 * Everything that waits does so on ctx->timer or ctx->end; both belong to this
 * file.  Decisions come from llm_retry_plan(); this file only carries them out.
 */

#include "ngx_http_llm_ctx.h"


#define ngx_http_llm_owner(ev, field)                                         \
    ((ngx_http_llm_ctx_t *) ((u_char *) (ev)                                  \
                             - offsetof(ngx_http_llm_ctx_t, field)))


static ngx_int_t ngx_http_llm_prepare(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_pick(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_enter(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_admit(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_send(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_decide(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait);
static llm_do_t ngx_http_llm_plan(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait, ngx_uint_t next, llm_msec_t *delay);
static ngx_uint_t ngx_http_llm_next_target(ngx_http_llm_ctx_t *ctx,
    llm_class_t class);
static void ngx_http_llm_report(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_remember(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_note_tried(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_wait(ngx_http_llm_ctx_t *ctx, ngx_msec_t delay);
static ngx_msec_t ngx_http_llm_left(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_give_up(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_timer_handler(ngx_event_t *ev);
static void ngx_http_llm_time_is_up(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_cut_stream(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_end_handler(ngx_event_t *ev);
static void ngx_http_llm_wake_handler(ngx_event_t *ev);
static void ngx_http_llm_cleanup(void *data);
static void ngx_http_llm_log_send(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait);
static void ngx_http_llm_used(ngx_http_llm_ctx_t *ctx, llm_need_t *used);
static uint64_t ngx_http_llm_random(void);


void
ngx_http_llm_attempt_start(ngx_http_llm_ctx_t *ctx)
{
    if (ngx_http_llm_prepare(ctx) != NGX_OK) {
        ngx_http_finalize_request(ctx->request, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    while (ctx->skipped & ((uint64_t) 1 << ctx->current)) {
        ctx->current++;
    }

    ngx_http_llm_pick(ctx);
}


static ngx_int_t
ngx_http_llm_prepare(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;
    ngx_http_cleanup_t  *cln;

    r = ctx->request;

    /* events need a connection to belong to; this one is never connected */

    ctx->park.fd = (ngx_socket_t) -1;
    ctx->park.data = r;
    ctx->park.log = r->connection->log;

    ctx->timer.handler = ngx_http_llm_timer_handler;
    ctx->timer.data = &ctx->park;
    ctx->timer.log = r->connection->log;

    ctx->end.handler = ngx_http_llm_end_handler;
    ctx->end.data = &ctx->park;
    ctx->end.log = r->connection->log;

    ctx->wake.handler = ngx_http_llm_wake_handler;
    ctx->wake.data = &ctx->park;
    ctx->wake.log = r->connection->log;
    ctx->waiter.wake = &ctx->wake;

    ctx->ready = ngx_current_msec;
    ctx->deadline = ctx->started + (ngx_msec_t) ctx->llcf->retry.deadline;
    ctx->hide_usage = ctx->facts.stream && !ctx->facts.include_usage
                      && (ctx->endpoint == LLM_EP_CHAT
                          || ctx->endpoint == LLM_EP_COMPLETIONS);

    ctx->send = ngx_pcalloc(r->pool, sizeof(ngx_http_llm_send_t));
    if (ctx->send == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_llm_cleanup;
    cln->data = ctx;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


/* A target was chosen: a slot, a key, and the request is on its way. */

static void
ngx_http_llm_pick(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t  rc;

    /* the scratch memory at its end needs no zeroes */
    ngx_memzero(ctx->send, offsetof(ngx_http_llm_send_t, scratch));

    ctx->send->target = &ctx->route->targets[ctx->current];
    ctx->send->started = ngx_current_msec;

    rc = ngx_http_llm_enter(ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admit(ctx);
    }

    if (rc == NGX_OK) {
        ngx_http_llm_send(ctx);
    }
}


/* NGX_OK: goes on; NGX_DONE: something else was started instead. */

static ngx_int_t
ngx_http_llm_enter(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_msec_t                  waited;
    ngx_http_llm_store_gate_t  *gate;

    gate = &ctx->send->target->provider->gate;

    if (gate->inflight == 0) {
        return NGX_OK;
    }

    rc = ngx_http_llm_store_enter(&ctx->lmcf->store, gate, &ctx->waiter);

    if (rc == NGX_OK) {
        ctx->queued = 0;
        ctx->send->ticket.gate = gate;
        ctx->send->ticket.inflight = 1;
        return NGX_OK;
    }

    if (rc == NGX_AGAIN) {

        if (ctx->queued == 0) {
            ctx->queued = ngx_max(ngx_current_msec, 1);
        }

        waited = ngx_current_msec - ctx->queued;

        if (waited < gate->wait) {
            ctx->state = NGX_HTTP_LLM_QUEUED;
            ngx_http_llm_wait(ctx, gate->wait - waited);
            return NGX_DONE;
        }

        ngx_http_llm_store_leave_queue(&ctx->lmcf->store, &ctx->waiter);
    }

    ctx->queued = 0;
    ngx_http_llm_decide(ctx, LLM_CLASS_BUSY, 0);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_admit(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_str_t                 model;
    ngx_uint_t                last;
    llm_msec_t                wait;
    llm_class_t               cause;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    provider = send->target->provider;

    ngx_http_llm_target_model(ctx, send->target, &model);

    if (model.len == 0 && (ctx->analyze || ctx->transcribe)) {
        ctx->code = LLM_CODE_CALLER_MODEL_MISSING;
        ngx_http_llm_give_up(ctx);
        return NGX_DONE;
    }

    last = (ngx_http_llm_next_target(ctx, LLM_CLASS_EXHAUSTED)
            == ctx->route->ntargets);

    rc = ngx_http_llm_store_admit(&ctx->lmcf->store, &provider->gate,
                                  provider->pool ? &provider->pool->store
                                                 : NULL,
                                  &model, &ctx->need, &ctx->tried, last,
                                  &send->ticket, &wait, &cause);

    if (rc == NGX_OK) {

        if (send->ticket.pool) {
            ctx->key_name = provider->pool->keys[send->ticket.lease.key].name;
        } else {
            ngx_str_null(&ctx->key_name);
        }

        return NGX_OK;
    }

    if (send->ticket.inflight) {
        ngx_http_llm_store_leave(&ctx->lmcf->store, &provider->gate);
        send->ticket.inflight = 0;
        send->ticket.gate = NULL;
    }

    if (wait != LLM_NEVER && wait < ctx->wait) {
        ctx->wait = wait;
    }

    /* what the keys rest for is what the client is told, when nothing was
     * sent that says more */

    if (ctx->class == LLM_CLASS_OK) {
        ctx->class = cause;
    }

    ngx_http_llm_log_send(ctx, LLM_CLASS_EXHAUSTED, wait);
    ngx_http_llm_decide(ctx, LLM_CLASS_EXHAUSTED,
                        wait == LLM_NEVER ? 0 : wait);

    return NGX_DONE;
}


static void
ngx_http_llm_send(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    provider = send->target->provider;

    ctx->sends++;

    if (ctx->retried == 0 && ctx->rotated == 0) {
        ngx_http_llm_store_deposit(&ctx->lmcf->store, &provider->gate,
                                   &ctx->llcf->retry);
    }

    ngx_http_llm_wait(ctx, provider->timeout.total);

    send->started = ngx_current_msec;

    ngx_http_llm_upstream_start(ctx);
}


/*
 * An attempt is over without a commit, and no callback of nginx is on the
 * stack: leave the upstream, learn from the outcome, go on.
 */

void
ngx_http_llm_attempt_over(ngx_http_llm_ctx_t *ctx)
{
    llm_msec_t            wait;
    llm_class_t           class;
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ngx_http_llm_upstream_leave(ctx);

    ctx->waited += ngx_current_msec - send->started;

    if (ctx->no_cache && send->cached) {

        /* a stale connection: the same send again, with the same ticket */

        send->cached = 0;
        send->gets = 0;
        send->answer = NGX_HTTP_LLM_ANSWER_HEAD;
        ngx_memzero(&send->frame, sizeof(ngx_http_llm_frame_t));
        send->status_at = 0;

        ngx_http_llm_wait(ctx, send->target->provider->timeout.total);
        ngx_http_llm_upstream_start(ctx);
        return;
    }

    ctx->no_cache = 0;

    if (send->outcome.class == LLM_CLASS_OK) {

        if (send->frame.status.code == 0) {
            send->outcome.class = LLM_CLASS_NETWORK;
        } else {
            ngx_http_llm_answer_classify(ctx);
        }
    }

    class = send->outcome.class;
    wait = send->outcome.wait;

    if (class == LLM_CLASS_OK) {
        ctx->served = send->target;
        ctx->first_at = ngx_current_msec;
        ngx_http_llm_record_end(send->record, send->frame.status.code,
                                &send->content_type, send->frame.ended);
        ngx_http_llm_settle(ctx, LLM_CLASS_OK);
        ngx_http_llm_respond_answer(ctx);
        return;
    }

    ngx_http_llm_record_end(send->record, send->frame.status.code,
                            &send->content_type, 0);

    ngx_http_llm_report(ctx);
    ngx_http_llm_log_send(ctx, class, wait);
    ngx_http_llm_remember(ctx);
    ngx_http_llm_decide(ctx, class, wait);
}


static void
ngx_http_llm_decide(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait)
{
    ngx_uint_t  next;
    llm_msec_t  delay;

    if (class == LLM_CLASS_BUSY && ctx->class == LLM_CLASS_OK) {
        ctx->class = class;
    }

    next = ngx_http_llm_next_target(ctx, class);

    switch (ngx_http_llm_plan(ctx, class, wait, next, &delay)) {

    case LLM_DO_RETRY:
        ctx->retried++;

        if (llm_class_is_key_fault(class)) {
            /* the key that was waited for may be used again */
            ctx->tried.n = 0;

        } else if (class != LLM_CLASS_EXHAUSTED) {
            (void) ngx_http_llm_store_withdraw(&ctx->lmcf->store,
                                        &ctx->send->target->provider->gate);
        }

        ctx->state = NGX_HTTP_LLM_BACKOFF;
        ngx_http_llm_wait(ctx, (ngx_msec_t) ngx_max(delay, 1));
        return;

    case LLM_DO_ROTATE:
        ctx->rotated++;
        ngx_http_llm_pick(ctx);
        return;

    case LLM_DO_NEXT:
        ctx->current = next;
        ctx->retried = 0;
        ctx->rotated = 0;
        ctx->tried.n = 0;
        ctx->fallbacks++;
        ngx_http_llm_pick(ctx);
        return;

    case LLM_DO_GIVE_UP:
        ngx_http_llm_give_up(ctx);
    }
}


static llm_do_t
ngx_http_llm_plan(ngx_http_llm_ctx_t *ctx, llm_class_t class, llm_msec_t wait,
    ngx_uint_t next, llm_msec_t *delay)
{
    ngx_str_t                 model;
    llm_retry_in_t            in;
    ngx_http_llm_provider_t  *provider;

    provider = ctx->send->target->provider;

    ngx_memzero(&in, sizeof(llm_retry_in_t));

    in.class = class;
    in.wait = wait;
    in.sends = (uint32_t) ctx->sends;
    in.retried = (uint32_t) ctx->retried;
    in.rotated = (uint32_t) ctx->rotated;
    in.other_target = (next < ctx->route->ntargets);
    in.budget = ngx_http_llm_store_has_budget(&ctx->lmcf->store,
                                              &provider->gate);
    in.should_retry = ctx->send->hint.should_retry;
    in.left = ngx_http_llm_left(ctx);
    in.random = ngx_http_llm_random();

    if (llm_class_is_key_fault(class) && provider->pool) {
        ngx_http_llm_target_model(ctx, ctx->send->target, &model);

        in.other_key = ngx_http_llm_store_has_other(&ctx->lmcf->store,
                                                    &provider->pool->store,
                                                    &model, &ctx->need,
                                                    &ctx->tried);
    }

    if (ctx->passthrough) {
        return LLM_DO_GIVE_UP;
    }

    return llm_retry_plan(&ctx->llcf->retry, &in, delay);
}


/* The next target that may take over after this class; ntargets: none. */

static ngx_uint_t
ngx_http_llm_next_target(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    unsigned                on;
    ngx_uint_t              i, context;
    ngx_http_llm_target_t  *t;

    on = llm_class_on(class);
    t = &ctx->route->targets[ctx->current];
    context = t->model ? t->model->context : 0;

    for (i = ctx->current + 1; i < ctx->route->ntargets; i++) {
        t = &ctx->route->targets[i];

        if ((ctx->skipped & ((uint64_t) 1 << i)) || !(t->on & on)) {
            continue;
        }

        if (class == LLM_CLASS_CONTEXT_LENGTH
            && (t->model == NULL || t->model->context <= context))
        {
            continue;
        }

        return i;
    }

    return ctx->route->ntargets;
}


/* Tells pool and breaker about a failed send and gives its ticket back. */

static void
ngx_http_llm_report(ngx_http_llm_ctx_t *ctx)
{
    llm_need_t                none;
    ngx_log_t                *log;
    ngx_uint_t                changed;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    provider = send->target->provider;
    log = ctx->request->connection->log;

    if (llm_class_is_key_fault(send->outcome.class)) {
        ngx_http_llm_note_tried(ctx);
    }

    changed = ngx_http_llm_store_report(&ctx->lmcf->store, &send->ticket,
                                        &send->outcome);

    if (changed & NGX_HTTP_LLM_KEY_DISABLED) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "llm key \"%V\" of pool \"%V\" is disabled",
                      &ctx->key_name, &provider->pool->name);
    }

    if (changed & NGX_HTTP_LLM_BREAKER_OPENED) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "llm provider \"%V\": breaker opened", &provider->name);
    }

    ngx_memzero(&none, sizeof(llm_need_t));
    ngx_http_llm_store_settle(&ctx->lmcf->store, &send->ticket, &none);
}


/* Keeps what the client will be told if nothing better comes. */

static void
ngx_http_llm_remember(ngx_http_llm_ctx_t *ctx)
{
    llm_str_t            *text;
    ngx_pool_t           *pool;
    ngx_http_llm_send_t  *send;

    send = ctx->send;
    pool = ctx->request->pool;

    ctx->class = send->outcome.class;
    ngx_str_null(&ctx->message);
    ngx_str_null(&ctx->refusal_body);

    if (send->outcome.wait && send->outcome.wait < ctx->wait) {
        ctx->wait = send->outcome.wait;
    }

    if (!llm_class_is_caller_fault(ctx->class)) {
        return;
    }

    text = &send->refusal.message;

    if (text->len) {
        ctx->message.data = ngx_pnalloc(pool, text->len);

        if (ctx->message.data) {
            ngx_memcpy(ctx->message.data, text->data, text->len);
            ctx->message.len = text->len;
        }
    }

    if (send->refusal.native && send->error
        && send->error->last - send->error->pos < NGX_HTTP_LLM_ERROR_BODY
        && !ctx->analyze)
    {
        ctx->refusal_body.data = send->error->pos;
        ctx->refusal_body.len = send->error->last - send->error->pos;
        ctx->refusal_status = send->frame.status.code;
    }
}


static void
ngx_http_llm_note_tried(ngx_http_llm_ctx_t *ctx)
{
    uint32_t                group;
    ngx_http_llm_ticket_t  *ticket;

    ticket = &ctx->send->ticket;

    if (ticket->pool == NULL || ctx->tried.n == LLM_TRIED_MAX) {
        return;
    }

    group = ticket->pool->conf.key[ticket->lease.key].group;
    ctx->tried.group[ctx->tried.n++] = group;
}


/* One timer, for whatever is waited for, and never beyond the deadline. */

static void
ngx_http_llm_wait(ngx_http_llm_ctx_t *ctx, ngx_msec_t delay)
{
    ngx_msec_t  left;

    left = ngx_http_llm_left(ctx);

    ctx->until_deadline = (left < delay);

    ngx_add_timer(&ctx->timer, ngx_min(delay, left));
}


static ngx_msec_t
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
ngx_http_llm_give_up(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ngx_http_llm_settle(ctx, ctx->class);
    ngx_http_llm_respond_failure(ctx);
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

    if (ctx->state == NGX_HTTP_LLM_STREAMING) {
        ctx->deadline_hit = ctx->until_deadline;
        ngx_http_llm_cut_stream(ctx);
        return;
    }

    if (ctx->until_deadline) {
        ctx->deadline_hit = 1;

        if (ctx->state == NGX_HTTP_LLM_SENDING
            || ctx->state == NGX_HTTP_LLM_RESOLVING)
        {
            ngx_http_llm_peer_lookup_cancel(&send->lookup);
            ngx_http_llm_upstream_leave(ctx);

            send->outcome.class = LLM_CLASS_TIMEOUT_TOTAL;
            ngx_http_llm_report(ctx);
            ngx_http_llm_log_send(ctx, send->outcome.class, 0);
        }

        ctx->code = LLM_CODE_GATEWAY_DEADLINE;
        ngx_http_llm_give_up(ctx);
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


/* Time is up for a committed answer: an error event, and no clean end. */

static void
ngx_http_llm_cut_stream(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, NGX_ETIMEDOUT,
                  "llm answer of provider \"%V\" was cut",
                  &ctx->send->target->provider->name);

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


uint64_t
ngx_http_llm_overhead(ngx_http_llm_ctx_t *ctx)
{
    ngx_msec_t  waited;

    waited = ctx->waited;

    if (ctx->committed) {
        waited += ctx->first_at - ctx->send->started;
    }

    return ctx->first_at - ctx->ready - ngx_min(waited,
                                                ctx->first_at - ctx->ready);
}


void
ngx_http_llm_settle(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    llm_need_t                used;
    ngx_uint_t                changed;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    if (ctx->settled) {
        return;
    }

    ctx->settled = 1;
    ctx->state = NGX_HTTP_LLM_FINISHED;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    send = ctx->send;

    if (ctx->committed) {
        ctx->class = class;
        llm_usage_merge(&ctx->usage, &ctx->events.state.usage);
        ngx_http_llm_record_end(send->record, send->frame.status.code,
                                &send->content_type, class == LLM_CLASS_OK);

    } else if (class == LLM_CLASS_OK || class == LLM_CLASS_CLIENT_GONE) {
        ctx->class = class;
    }

    if (class != LLM_CLASS_OK && class != LLM_CLASS_CLIENT_GONE
        && ctx->code == LLM_CODE_NONE)
    {
        ctx->code = llm_code_of_class(class);
    }

    if (ctx->served && ctx->served->model) {
        ctx->cost = llm_price_cost(&ctx->served->model->price, &ctx->usage);
    } else {
        ctx->cost = ctx->usage.cost_nano;
    }

    if (send->ticket.gate == NULL) {
        return;
    }

    provider = send->target->provider;
    send->outcome.class = class;

    changed = ngx_http_llm_store_report(&ctx->lmcf->store, &send->ticket,
                                        &send->outcome);

    if (changed & NGX_HTTP_LLM_BREAKER_CLOSED) {
        ngx_log_error(NGX_LOG_NOTICE, ctx->request->connection->log, 0,
                      "llm provider \"%V\": breaker closed", &provider->name);
    }

    ngx_http_llm_log_send(ctx, class, 0);

    ngx_http_llm_used(ctx, &used);
    ngx_http_llm_store_settle(&ctx->lmcf->store, &send->ticket, &used);
}


/* What the last send is charged: reported usage, else the estimate. */

static void
ngx_http_llm_used(ngx_http_llm_ctx_t *ctx, llm_need_t *used)
{
    uint64_t  input, output;

    ngx_memzero(used, sizeof(llm_need_t));

    if (!ctx->committed && ctx->class != LLM_CLASS_OK) {
        return;
    }

    input = ctx->usage.input;
    output = ctx->usage.output;

    if (input == LLM_UNKNOWN) {
        input = ctx->need.n[LLM_DIM_INPUT_TOKENS];
    }

    if (output == LLM_UNKNOWN) {
        /* a stream's events carry about one token each */
        output = ctx->committed ? ctx->events.state.events : 0;
    }

    used->n[LLM_DIM_REQUESTS] = 1;
    used->n[LLM_DIM_INPUT_TOKENS] = input;
    used->n[LLM_DIM_OUTPUT_TOKENS] = output;
    used->n[LLM_DIM_TOKENS] = input + output;
    used->n[LLM_DIM_AUDIO_MS] = ctx->usage.audio_ms == LLM_UNKNOWN
                                ? ctx->need.n[LLM_DIM_AUDIO_MS]
                                : ctx->usage.audio_ms;
}


/* One line per attempt: what was tried, and what came of it. */

static void
ngx_http_llm_log_send(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait)
{
    u_char                    key[64], *p;
    ngx_str_t                 model;
    llm_str_t                 name;
    ngx_uint_t                level;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    level = (class == LLM_CLASS_OK) ? NGX_LOG_INFO
          : (class == LLM_CLASS_CLIENT_GONE) ? NGX_LOG_INFO : NGX_LOG_WARN;

    if (ctx->request->connection->log->log_level < level) {
        return;
    }

    send = ctx->send;
    provider = send->target->provider;
    name = llm_class_name(class);

    ngx_http_llm_target_model(ctx, send->target, &model);

    p = key;

    if (send->ticket.pool) {
        p = ngx_snprintf(key, sizeof(key), "%ui/%ui",
                         (ngx_uint_t) send->ticket.lease.key + 1,
                         (ngx_uint_t) provider->pool->store.conf.key_n);
    } else {
        *p++ = '-';
    }

    ngx_log_error(level, ctx->request->connection->log, 0,
                  "llm attempt %ui: provider=%V model=%V key=%*s class=%*s "
                  "status=%ui wait=%uLms time=%Mms id=%*s",
                  ctx->sends, &provider->name, &model, (size_t) (p - key), key,
                  name.len, name.data, send->frame.status.code,
                  wait == LLM_NEVER ? (uint64_t) 0 : wait,
                  ngx_current_msec - send->started, sizeof(ctx->id), ctx->id);
}


static uint64_t
ngx_http_llm_random(void)
{
    return ((uint64_t) ngx_random() << 31) ^ (uint64_t) ngx_random();
}
