/*
 * What a send leaves behind: cooldowns, breakers, charges, a line in the log.
 *
 * A failed send is reported and settled at once; a request is settled once,
 * whatever ended it.
 */

#include "ngx_http_llm_mirror.h"
#include "ngx_http_llm_sample.h"


static void ngx_http_llm_stop_waiting(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_spent(ngx_http_llm_ctx_t *ctx, llm_need_t *spent);
static void ngx_http_llm_note_tried(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_settle_send(ngx_http_llm_ctx_t *ctx,
    llm_class_t class);
static void ngx_http_llm_used(ngx_http_llm_ctx_t *ctx, llm_need_t *used);


/* Tells pool and breaker about a failed send and gives its ticket back. */

void
ngx_http_llm_report(ngx_http_llm_ctx_t *ctx)
{
    llm_need_t                spent;
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

    ngx_http_llm_meter(ctx, send->outcome.class);

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

    ngx_http_llm_spent(ctx, &spent);
    ngx_http_llm_store_settle(&ctx->lmcf->store, &send->ticket, &spent);
    ngx_http_llm_budget_failed(ctx, spent.n[LLM_DIM_REQUESTS] != 0,
                               spent.n[LLM_DIM_OUTPUT_TOKENS]);
}


/* What the provider counts of a failed send: nothing of a refusal or of a fault
 * of its own, but a request that it worked on, whatever became of the answer.
 * How long the answer would have been nobody knows, but where it was shown. */

static void
ngx_http_llm_spent(ngx_http_llm_ctx_t *ctx, llm_need_t *spent)
{
    ngx_memzero(spent, sizeof(llm_need_t));

    switch (ctx->send->outcome.class) {

    case LLM_CLASS_BAD_ANSWER:
    case LLM_CLASS_CONTENT_FILTER:
    case LLM_CLASS_CUT:
    case LLM_CLASS_TIMEOUT_HEADER:
    case LLM_CLASS_TIMEOUT_FIRST:
    case LLM_CLASS_TIMEOUT_IDLE:
    case LLM_CLASS_TIMEOUT_TOTAL:
        break;

    default:
        return;
    }

    spent->n[LLM_DIM_REQUESTS] = 1;
    spent->n[LLM_DIM_INPUT_TOKENS] = ctx->need.n[LLM_DIM_INPUT_TOKENS];
    spent->n[LLM_DIM_TOKENS] = ctx->need.n[LLM_DIM_INPUT_TOKENS];

    if (ctx->send->relayed) {
        spent->n[LLM_DIM_OUTPUT_TOKENS] = ctx->events->state.events;
        spent->n[LLM_DIM_TOKENS] += ctx->events->state.events;
    }

    spent->n[LLM_DIM_AUDIO_MS] = ctx->need.n[LLM_DIM_AUDIO_MS];
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


/* Keeps what the client will be told if nothing better comes. */

void
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
    ctx->refusal_status = 0;

    if (send->outcome.wait && send->outcome.wait < ctx->wait) {
        ctx->wait = send->outcome.wait;
    }

    if (!llm_class_is_caller_fault(ctx->class)) {
        return;
    }

    if (send->frame.status.code >= 400 && send->frame.status.code < 500) {
        ctx->refusal_status = send->frame.status.code;
    }

    text = &send->refusal.message;

    if (text->len) {
        ctx->message.data = ngx_pnalloc(pool, text->len);

        if (ctx->message.data) {
            ngx_memcpy(ctx->message.data, text->data, text->len);
            ctx->message.len = text->len;
        }
    }

    if (send->refusal.native && send->error && !send->translated
        && send->error->last - send->error->pos < NGX_HTTP_LLM_ERROR_BODY
        && !ctx->analyze)
    {
        ctx->refusal_body.data = send->error->pos;
        ctx->refusal_body.len = send->error->last - send->error->pos;
    }
}


static void
ngx_http_llm_stop_waiting(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->end.posted) {
        ngx_delete_posted_event(&ctx->end);
    }

    ngx_http_llm_heartbeat_stop(ctx);

    /* who waits behind must not wait for the client to take its answer */
    ngx_http_llm_store_leave_queue(&ctx->lmcf->store, &ctx->waiter);
}


void
ngx_http_llm_settle(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ngx_http_llm_send_t  *send;

    if (ctx->settled) {
        return;
    }

    ctx->settled = 1;
    ctx->state = NGX_HTTP_LLM_FINISHED;

    ngx_http_llm_stop_waiting(ctx);

    send = ctx->send;

    if (ctx->committed) {
        ctx->class = class;
        llm_usage_merge(&ctx->usage, &ctx->events->state.usage);
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

    if (ctx->usage.audio_ms == LLM_UNKNOWN && class == LLM_CLASS_OK
        && ctx->facts.audio_ms)
    {
        /* servers that report no usage still listened to the whole file */
        ctx->usage.audio_ms = ctx->facts.audio_ms;
    }

    if (ctx->served && ctx->served->model) {
        ctx->cost = llm_price_cost(&ctx->served->model->price, &ctx->usage);
    } else {
        ctx->cost = ctx->usage.cost_nano;
    }

    ngx_http_llm_shed_leave(&ctx->lmcf->store, &ctx->shed, class);
    ngx_http_llm_policy_settle(ctx, class);

    if (send->ticket.gate) {
        ngx_http_llm_settle_send(ctx, class);
    }

    ngx_http_llm_resume_total(ctx);
    ngx_http_llm_place_end(ctx, class);

    if (ctx->sampled) {
        ngx_http_llm_sample_end(ctx);
    }

    ngx_http_llm_mirror(ctx, class);
}


/* The last send of a request, with what it used. */

static void
ngx_http_llm_settle_send(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    llm_need_t                used;
    ngx_uint_t                changed;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    provider = send->target->provider;
    send->outcome.class = class;

    ngx_http_llm_meter(ctx, class);

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
        output = ctx->committed ? ctx->events->state.events : 0;
    }

    used->n[LLM_DIM_REQUESTS] = 1;
    used->n[LLM_DIM_INPUT_TOKENS] = input;
    used->n[LLM_DIM_OUTPUT_TOKENS] = output;
    used->n[LLM_DIM_TOKENS] = input + output;
    used->n[LLM_DIM_AUDIO_MS] = ctx->usage.audio_ms == LLM_UNKNOWN
                                ? ctx->need.n[LLM_DIM_AUDIO_MS]
                                : ctx->usage.audio_ms;
}


uint64_t
ngx_http_llm_overhead(ngx_http_llm_ctx_t *ctx)
{
    ngx_msec_t  waited;

    waited = ctx->waited;

    if (ctx->committed && !ngx_http_llm_is_resuming(ctx)) {
        waited += ctx->first_at - ctx->send->started;
    }

    return ctx->first_at - ctx->ready - ngx_min(waited,
                                                ctx->first_at - ctx->ready);
}


/* One line per attempt: what was tried, and what came of it. */

void
ngx_http_llm_log_send(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait)
{
    u_char                    key[64], *p;
    ngx_str_t                 model, variant;
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

    ngx_str_null(&variant);

    if (ctx->split) {
        variant = ctx->split->variants[ctx->variant].name;

    } else if (ctx->shadow) {
        variant = ctx->shadow->conf->variant->name;
    }

    p = key;

    if (send->ticket.pool) {
        p = ngx_snprintf(key, sizeof(key), "%ui/%ui",
                         (ngx_uint_t) send->ticket.lease.key + 1,
                         (ngx_uint_t) provider->pool->store.conf.key_n);
    } else {
        *p++ = '-';
    }

    ngx_log_error(level, ctx->request->connection->log, 0,
                  "llm attempt %ui:%s%V provider=%V model=%V key=%*s class=%*s "
                  "status=%ui wait=%uLms time=%Mms id=%*s",
                  ctx->sends, ctx->split ? " variant="
                              : ctx->shadow ? " mirror=" : "", &variant,
                  &provider->name, &model, (size_t) (p - key), key,
                  name.len, name.data, send->frame.status.code,
                  wait == LLM_NEVER ? (uint64_t) 0 : wait,
                  ngx_current_msec - send->started, sizeof(ctx->id), ctx->id);
}
