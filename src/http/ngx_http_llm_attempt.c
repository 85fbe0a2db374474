/*
 * The loop of a request: pick a target and a key, send, and decide what follows
 * from the outcome until an answer is committed or nothing is left to try.
 *
 *     pick -> shed? -> (queue) -> admit -> send -> over
 *                                       -> retry | rotate | next | end
 *
 * Decisions come from llm_retry_plan(); this file only carries them out.
 */

#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_prepare(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_named(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_enter(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_admit(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_exhausted(ngx_http_llm_ctx_t *ctx, llm_class_t cause,
    llm_msec_t wait);
static void ngx_http_llm_send(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_send_anew(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_attempt_failed(ngx_http_llm_ctx_t *ctx);
static llm_do_t ngx_http_llm_plan(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait, ngx_uint_t next, llm_msec_t *delay);
static uint64_t ngx_http_llm_random(void);


void
ngx_http_llm_attempt_start(ngx_http_llm_ctx_t *ctx)
{
    if (ngx_http_llm_prepare(ctx) != NGX_OK) {
        ngx_http_llm_policy_settle(ctx, LLM_CLASS_EXHAUSTED);
        ngx_http_finalize_request(ctx->request, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_llm_place_begin(ctx);

    if (ngx_http_llm_left(ctx) == 0) {
        /* the body took all the time there was: nobody is asked */
        ctx->deadline_hit = 1;
        ctx->code = LLM_CODE_GATEWAY_DEADLINE;
        ngx_http_llm_give_up(ctx);
        return;
    }

    ctx->current = ctx->first ? (ngx_uint_t) (ctx->first - ctx->route->targets)
                              : ngx_http_llm_first_target(ctx);

    ngx_http_llm_pick(ctx);
}


ngx_uint_t
ngx_http_llm_first_target(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t  i;

    for (i = 0; i < ctx->route->ntargets; i++) {
        if (!(ctx->skipped & ((uint64_t) 1 << i))) {
            break;
        }
    }

    return i;
}


/* Behind the target of its session comes the chain from its start. */

ngx_uint_t
ngx_http_llm_next_able(ngx_http_llm_ctx_t *ctx, ngx_uint_t i)
{
    ngx_http_llm_target_t  *t;

    t = ctx->route->targets;
    i = (&t[i] == ctx->first) ? 0 : i + 1;

    while (i < ctx->route->ntargets
           && ((ctx->skipped & ((uint64_t) 1 << i)) || &t[i] == ctx->first))
    {
        i++;
    }

    return i;
}


static ngx_int_t
ngx_http_llm_prepare(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    ctx->ready = ngx_current_msec;
    ctx->deadline = ctx->started + (ngx_msec_t) ctx->llcf->retry.deadline;
    ctx->hide_usage = ctx->facts.stream && !ctx->facts.include_usage
                      && (ctx->endpoint == LLM_EP_CHAT
                          || ctx->endpoint == LLM_EP_COMPLETIONS);

    ctx->send = ngx_pcalloc(r->pool, sizeof(ngx_http_llm_send_t));
    if (ctx->send == NULL) {
        return NGX_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (ngx_http_llm_wait_init(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_llm_heartbeat_start(ctx);
}


/* A target was chosen: a slot, a key, and the request is on its way. */

void
ngx_http_llm_pick(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t  rc;

    ngx_memzero(ctx->send, sizeof(ngx_http_llm_send_t));

    if (ngx_http_llm_is_barred(ctx) && ctx->object == NULL
        && (ctx->committed || ngx_http_llm_leave(ctx) != NGX_OK))
    {
        if (ctx->class == LLM_CLASS_OK) {
            ctx->code = LLM_CODE_GATEWAY_NO_TARGET;
        }

        ngx_http_llm_give_up(ctx);
        return;
    }

    ctx->send->target = &ctx->route->targets[ctx->current];
    ctx->send->started = ngx_current_msec;

    rc = ngx_http_llm_named(ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_shed(ctx);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_translate(ctx);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_resume_prepare(ctx);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_enter(ctx);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admit(ctx);
    }

    if (rc == NGX_OK) {
        ngx_http_llm_send(ctx);
    }
}


/* Application routes ask a provider for some model, or not at all.  All these
 * return NGX_OK: goes on; NGX_DONE: something else was started instead. */

static ngx_int_t
ngx_http_llm_named(ngx_http_llm_ctx_t *ctx)
{
    ngx_str_t  model;

    if (!ctx->analyze && !ctx->transcribe) {
        return NGX_OK;
    }

    ngx_http_llm_target_model(ctx, ctx->send->target, &model);

    if (model.len) {
        return NGX_OK;
    }

    ctx->class = LLM_CLASS_INVALID_REQUEST;
    ctx->code = LLM_CODE_CALLER_MODEL_MISSING;
    ngx_http_llm_give_up(ctx);

    return NGX_DONE;
}


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
        ctx->send->ticket.inflight = 1;
        return NGX_OK;
    }

    if (rc == NGX_AGAIN) {

        if (ctx->queued == 0) {
            ctx->queued = ngx_max(ngx_current_msec, 1);
        }

        waited = ngx_current_msec - ctx->queued;

        if (waited < gate->wait && ctx->shadow == NULL) {
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

    if (ngx_http_llm_budget_enter(ctx, &wait) != NGX_OK) {
        ngx_http_llm_exhausted(ctx, LLM_CLASS_EXHAUSTED, wait);
        return NGX_DONE;
    }

    ngx_http_llm_target_model(ctx, send->target, &model);

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

    ngx_http_llm_budget_leave(ctx, 0);
    ngx_http_llm_exhausted(ctx, cause, wait);

    return NGX_DONE;
}


/* What the keys rest for is what the client is told, when nothing was sent that
 * says more. */

static void
ngx_http_llm_exhausted(ngx_http_llm_ctx_t *ctx, llm_class_t cause,
    llm_msec_t wait)
{
    if (wait != LLM_NEVER && wait < ctx->wait) {
        ctx->wait = wait;
    }

    if (ctx->class == LLM_CLASS_OK) {
        ctx->class = cause;
    }

    ngx_http_llm_log_send(ctx, LLM_CLASS_EXHAUSTED, wait);
    ngx_http_llm_decide(ctx, LLM_CLASS_EXHAUSTED,
                        wait == LLM_NEVER ? 0 : wait);
}


static void
ngx_http_llm_send(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    provider = send->target->provider;

    ctx->sends++;

    if (ctx->retried == 0 && ctx->rotated == 0 && ctx->shadow == NULL) {
        ngx_http_llm_store_deposit(&ctx->lmcf->store, &provider->gate,
                                   &ctx->llcf->retry);
    }

    if (ngx_http_llm_relay_want(ctx) != NGX_OK) {
        /* nobody can go on with the answer, which is served all the same */
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm stream cannot be resumed: no memory");
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
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ngx_http_llm_upstream_leave(ctx);

    ctx->request->connection->log->action = "choosing a provider";

    if (send->relayed) {
        ngx_http_llm_relay_over(ctx);
        return;
    }

    if (!ctx->committed) {
        ctx->waited += ngx_current_msec - send->started;
    }

    if (ctx->no_cache && send->cached) {
        ngx_http_llm_send_anew(ctx);
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

    if (send->relayed) {
        ngx_http_llm_relay_over(ctx);
        return;
    }

    if (send->outcome.class == LLM_CLASS_OK) {
        ctx->served = send->target;
        ctx->first_at = ngx_current_msec;
        ngx_http_llm_object_learn(ctx);
        ngx_http_llm_session_learn(ctx);
        ngx_http_llm_record_end(send->record, send->frame.status.code,
                                &send->content_type, send->frame.ended);
        ngx_http_llm_settle(ctx, LLM_CLASS_OK);
        ngx_http_llm_respond_answer(ctx);
        return;
    }

    ngx_http_llm_attempt_failed(ctx);
}


/* A stale connection: the same send again, with the same ticket. */

static void
ngx_http_llm_send_anew(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    send->cached = 0;
    send->gets = 0;
    send->answer = NGX_HTTP_LLM_ANSWER_HEAD;
    ngx_memzero(&send->frame, sizeof(ngx_http_llm_frame_t));
    send->status_at = 0;

    ngx_http_llm_wait(ctx, send->target->provider->timeout.total);
    ngx_http_llm_upstream_start(ctx);
}


static void
ngx_http_llm_attempt_failed(ngx_http_llm_ctx_t *ctx)
{
    llm_msec_t            wait;
    llm_class_t           class;
    ngx_http_llm_send_t  *send;

    send = ctx->send;
    class = send->outcome.class;
    wait = send->outcome.wait;

    ngx_http_llm_record_end(send->record, send->frame.status.code,
                            &send->content_type, 0);

    ngx_http_llm_log_send(ctx, class, wait);
    ngx_http_llm_report(ctx);
    ngx_http_llm_remember(ctx);

    if (ngx_http_llm_is_resuming(ctx)
        && ngx_http_llm_resume_retry(ctx, class) == NGX_OK)
    {
        return;
    }

    ngx_http_llm_decide(ctx, class, wait);
}


void
ngx_http_llm_decide(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait)
{
    ngx_uint_t  next;
    llm_msec_t  delay;

    ngx_http_llm_shed_leave(&ctx->lmcf->store, &ctx->shed, class);

    if ((class == LLM_CLASS_BUSY || class == LLM_CLASS_SHED)
        && ctx->class == LLM_CLASS_OK)
    {
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
        ctx->resting = ngx_current_msec;
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
        ngx_memzero(&ctx->tried, sizeof(llm_tried_t));
        ctx->fallbacks++;
        ngx_http_llm_pick(ctx);
        return;

    case LLM_DO_GIVE_UP:

        if (!ctx->committed && ngx_http_llm_fall(ctx, class)) {
            ngx_http_llm_pick(ctx);
            return;
        }

        ngx_http_llm_give_up(ctx);
    }
}


static llm_do_t
ngx_http_llm_plan(ngx_http_llm_ctx_t *ctx, llm_class_t class, llm_msec_t wait,
    ngx_uint_t next, llm_msec_t *delay)
{
    ngx_str_t                 model;
    llm_msec_t                rest;
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
    /* after a header with 200 none does */
    in.client_retry = ctx->client_retry && !ctx->request->header_sent;
    in.left = ngx_http_llm_left(ctx);
    in.random = ngx_http_llm_random();

    if (llm_class_is_key_fault(class) && provider->pool) {
        ngx_http_llm_target_model(ctx, ctx->send->target, &model);

        in.other_key = ngx_http_llm_store_has_other(&ctx->lmcf->store,
                                                    &provider->pool->store,
                                                    &model, &ctx->need,
                                                    &ctx->tried, &rest);
        if (in.wait == 0 && rest != LLM_NEVER) {
            in.wait = rest;
        }

        ctx->wait = ngx_min(ctx->wait, rest);
    }

    if ((ctx->passthrough && ctx->tunnel == NULL) || ctx->shadow) {
        return LLM_DO_GIVE_UP;
    }

    return llm_retry_plan(&ctx->llcf->retry, &in, delay);
}


/* The next target that may take over after this class; ntargets: none. */

ngx_uint_t
ngx_http_llm_next_target(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    unsigned                on;
    ngx_uint_t              i, context;
    ngx_http_llm_target_t  *t;

    on = llm_class_on(class);
    t = &ctx->route->targets[ctx->current];
    context = t->model ? t->model->context : 0;

    for (i = ngx_http_llm_next_able(ctx, ctx->current);
         i < ctx->route->ntargets;
         i = ngx_http_llm_next_able(ctx, i))
    {
        t = &ctx->route->targets[i];

        if (!(t->on & on)) {
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


void
ngx_http_llm_give_up(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->class == LLM_CLASS_EXHAUSTED && ctx->sends == 0
        && ctx->code == LLM_CODE_NONE && ngx_http_llm_budget_is_over(ctx))
    {
        ctx->code = LLM_CODE_POLICY_BUDGET_EXCEEDED;
    }

    if (ctx->request->header_sent) {
        ngx_http_llm_relay_give_up(ctx);
        return;
    }

    ngx_http_llm_settle(ctx, ctx->class);
    ngx_http_llm_respond_failure(ctx);
}


static uint64_t
ngx_http_llm_random(void)
{
    return ((uint64_t) ngx_random() << 31) ^ (uint64_t) ngx_random();
}
