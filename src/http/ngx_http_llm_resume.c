/*
 * A stream that was cut goes on with another target's answer.
 *
 * What the client is shown is kept as it passes.  When the provider dies,
 * another one is given that text as the beginning of its answer, where its API
 * knows such a thing, or is asked afresh; then its answer counts only if it
 * begins, byte for byte, with what was shown.  The client gets what comes
 * behind it, written by its front under the first answer's name.
 */

#include "ngx_http_llm_ctx.h"


static ngx_uint_t ngx_http_llm_resume_asked_one(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_resume_target(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_resume_next(ngx_http_llm_ctx_t *ctx, ngx_uint_t next);
static void ngx_http_llm_resume_part(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_resume_prefills(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_resume_prefix(ngx_http_llm_ctx_t *ctx,
    llm_prefill_t *p);
static ngx_int_t ngx_http_llm_resume_translation(ngx_http_llm_ctx_t *ctx);


ngx_int_t
ngx_http_llm_resume_want(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->resume || !ctx->route->resume
        || (ctx->endpoint != LLM_EP_CHAT && ctx->endpoint != LLM_EP_MESSAGES))
    {
        return NGX_OK;
    }

    ctx->resume = ngx_pcalloc(ctx->request->pool,
                              sizeof(ngx_http_llm_resume_t));

    return ctx->resume ? NGX_OK : NGX_ERROR;
}


/* ---- who goes on --------------------------------------------------------- */

ngx_uint_t
ngx_http_llm_resume_can(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_resume_t  *resume;

    resume = ctx->resume;

    return resume && ctx->route->resume
           && resume->cuts < NGX_HTTP_LLM_CUTS_MAX
           && ctx->sends < LLM_SENDS_MAX
           && !ctx->deadline_hit
           && !ctx->events->broken
           && llm_told_is_open(&resume->told)
           && ngx_http_llm_resume_target(ctx) < ctx->route->ntargets
           && ngx_http_llm_resume_asked_one(ctx);
}


/* Nobody goes on with several answers, or knows what was probable. */

static ngx_uint_t
ngx_http_llm_resume_asked_one(ngx_http_llm_ctx_t *ctx)
{
    uint64_t           n;
    llm_json_want_t   *want;
    llm_json_member_t  m;

    want = &ctx->facts.member[LLM_M_N];

    if (llm_json_uint(want->value, &n) == LLM_OK && n > 1) {
        return 0;
    }

    return llm_json_get(ngx_http_llm_view(&ctx->body), LLM_STR("logprobs"), &m)
           != LLM_OK
           || m.kind == LLM_JSON_FALSE || m.kind == LLM_JSON_NULL;
}


static ngx_uint_t
ngx_http_llm_resume_target(ngx_http_llm_ctx_t *ctx)
{
    return ngx_http_llm_next_target(ctx, ctx->resume->timeout
                                         ? LLM_CLASS_TIMEOUT_IDLE
                                         : LLM_CLASS_NETWORK);
}


ngx_int_t
ngx_http_llm_resume(ngx_http_llm_ctx_t *ctx)
{
    if (!ngx_http_llm_resume_can(ctx)) {
        return NGX_DECLINED;
    }

    ngx_http_llm_resume_part(ctx);
    ngx_http_llm_resume_next(ctx, ngx_http_llm_resume_target(ctx));

    return NGX_OK;
}


static void
ngx_http_llm_resume_next(ngx_http_llm_ctx_t *ctx, ngx_uint_t next)
{
    ctx->current = next;
    ctx->retried = 0;
    ctx->rotated = 0;
    ctx->tried.n = 0;
    ctx->fallbacks++;

    ngx_http_llm_pick(ctx);
}


/* What is left of a provider that was cut: its part of the bill. */

static void
ngx_http_llm_resume_part(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_part_t    *part;
    ngx_http_llm_send_t    *send;
    ngx_http_llm_resume_t  *resume;

    send = ctx->send;
    resume = ctx->resume;

    llm_usage_merge(&ctx->usage, &ctx->events->state.usage);

    part = &resume->part[resume->cuts++];

    part->target = send->target;
    part->usage = ctx->usage;

    /* who was asked afresh has told all of it */
    part->tokens = resume->told.tokens
                   - (resume->prefixed ? resume->tokens : 0);

    if (resume->cuts == 1) {
        resume->prompt = ctx->usage.input;
        ctx->waited += ctx->first_at - send->started;
    }

    resume->tokens = resume->told.tokens;

    send->outcome.class = LLM_CLASS_CUT;

    ngx_http_llm_record_end(send->record, send->frame.status.code,
                            &send->content_type, 0);
    ngx_http_llm_log_send(ctx, LLM_CLASS_CUT, 0);

    ctx->cost = send->target->model
                ? llm_price_cost(&send->target->model->price, &ctx->usage)
                : ctx->usage.cost_nano;

    ngx_http_llm_report(ctx);
    ngx_http_llm_remember(ctx);
    ngx_http_llm_shed_leave(&ctx->lmcf->store, &ctx->shed, LLM_CLASS_CUT);

    llm_usage_init(&ctx->usage);
    llm_stream_init(&ctx->events->state, ctx->events->state.endpoint);
}


/*
 * An attempt that was to go on has failed.  Who refuses a text to go on with is
 * asked afresh; who gave another answer, or refuses the request, is left alone.
 */

ngx_int_t
ngx_http_llm_resume_retry(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ngx_uint_t              next;
    ngx_http_llm_resume_t  *resume;

    resume = ctx->resume;

    if (!resume->rest.differs && !llm_class_is_caller_fault(class)) {
        return NGX_DECLINED;
    }

    if (resume->prefixed && !resume->rest.differs
        && ctx->sends < LLM_SENDS_MAX)
    {
        resume->afresh |= (uint64_t) 1 << ctx->current;
        ngx_http_llm_pick(ctx);
        return NGX_OK;
    }

    next = ngx_http_llm_resume_target(ctx);

    if (next < ctx->route->ntargets && ctx->sends < LLM_SENDS_MAX) {
        ngx_http_llm_resume_next(ctx, next);
    } else {
        ngx_http_llm_give_up(ctx);
    }

    return NGX_OK;
}


/* ---- what it is asked for ------------------------------------------------ */

/* NGX_OK, or NGX_DONE: the client has its error. */

ngx_int_t
ngx_http_llm_resume_prepare(ngx_http_llm_ctx_t *ctx)
{
    size_t                    given;
    llm_prefill_t             p;
    ngx_http_llm_resume_t    *resume;
    ngx_http_llm_provider_t  *provider;

    if (!ngx_http_llm_is_resuming(ctx)) {
        return NGX_OK;
    }

    resume = ctx->resume;
    provider = ctx->send->target->provider;

    p.way = provider->prefill;
    p.text = llm_buf_view(&resume->told.text);
    p.tokens = resume->told.tokens;

    resume->edits.n = 0;
    resume->prefixed = 0;
    given = 0;

    if (ngx_http_llm_resume_prefills(ctx)) {

        switch (ngx_http_llm_resume_prefix(ctx, &p)) {

        case NGX_OK:
            resume->prefixed = 1;
            given = provider->prefill_echo ? 0 : p.text.len;
            break;

        case NGX_ERROR:
            ctx->code = LLM_CODE_GATEWAY_ERROR;
            ngx_http_llm_give_up(ctx);
            return NGX_DONE;

        default:
            break;
        }
    }

    llm_resume_init(&resume->rest, llm_buf_view(&resume->told.text), given);

    return NGX_OK;
}


/* Where the answer has to be JSON, a server that continues a text would have
 * its grammar begin anew. */

static ngx_uint_t
ngx_http_llm_resume_prefills(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_model_t  *model;

    model = ctx->send->target->model;

    return model && model->can_set && (model->can & LLM_CAN_PREFILL)
           && !(ctx->facts.need & (LLM_CAN_JSON_OBJECT|LLM_CAN_JSON_SCHEMA))
           && !(ctx->resume->afresh & ((uint64_t) 1 << ctx->current));
}


/* NGX_OK, NGX_DECLINED (the request has no place for it), NGX_ERROR. */

static ngx_int_t
ngx_http_llm_resume_prefix(ngx_http_llm_ctx_t *ctx, llm_prefill_t *p)
{
    size_t                  size;
    llm_rc_t                rc;
    llm_buf_t               mem;
    ngx_str_t              *body;
    ngx_http_llm_resume_t  *resume;

    resume = ctx->resume;

    if (resume->text) {
        /* of the attempt before, whose upstream is gone */
        (void) ngx_pfree(ctx->request->pool, resume->text);
    }

    size = llm_prefill_room(p);

    resume->text = ngx_palloc(ctx->request->pool, size);
    if (resume->text == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&mem, resume->text, size);

    body = ctx->send->translated ? &ctx->translation : &ctx->body;

    rc = ctx->send->target->provider->dialect->prefill(
                                                  ngx_http_llm_view(body), p,
                                                  &mem, &resume->edits);
    if (rc != LLM_OK) {
        resume->edits.n = 0;
        return NGX_DECLINED;
    }

    return ctx->send->translated ? ngx_http_llm_resume_translation(ctx)
                                 : NGX_OK;
}


/* A translated body is memory of ours: the edits are made at once. */

static ngx_int_t
ngx_http_llm_resume_translation(ngx_http_llm_ctx_t *ctx)
{
    size_t        at;
    u_char       *p;
    ngx_str_t     body;
    ngx_uint_t    i;
    llm_edit_t   *e;
    llm_edits_t  *edits;

    edits = &ctx->resume->edits;

    body.len = llm_edits_length(edits, ctx->translation.len);
    body.data = ngx_palloc(ctx->request->pool, body.len);

    if (body.data == NULL) {
        return NGX_ERROR;
    }

    p = body.data;
    at = 0;

    for (i = 0; i < edits->n; i++) {
        e = &edits->edit[i];

        p = ngx_cpymem(p, ctx->translation.data + at, e->at - at);
        p = ngx_cpymem(p, e->text.data, e->text.len);
        at = e->at + e->cut;
    }

    ngx_memcpy(p, ctx->translation.data + at, ctx->translation.len - at);

    (void) ngx_pfree(ctx->request->pool, ctx->translation.data);

    ctx->translation = body;
    edits->n = 0;

    return NGX_OK;
}


/* ---- it goes on, and ends ------------------------------------------------ */

void
ngx_http_llm_resume_begin(ngx_http_llm_ctx_t *ctx)
{
    ctx->resume->resumes++;
    ctx->resume->timeout = 0;

    ngx_log_error(NGX_LOG_NOTICE, ctx->request->connection->log, 0,
                  "llm stream goes on with provider \"%V\", which was %s",
                  &ctx->send->target->provider->name,
                  ctx->resume->prefixed ? "given the text so far"
                                        : "asked afresh");
}


/* The client is told of one answer: who was given the text counted it as a
 * part of the prompt. */

void
ngx_http_llm_resume_usage(ngx_http_llm_ctx_t *ctx, llm_usage_t *usage)
{
    uint64_t                tokens;
    ngx_http_llm_resume_t  *resume;

    resume = ctx->resume;
    tokens = resume->tokens;

    if (resume->prefixed) {

        if (usage->output != LLM_UNKNOWN) {
            usage->output += tokens;
        }

        if (usage->input != LLM_UNKNOWN) {
            usage->input -= ngx_min(usage->input, tokens);
        }
    }

    if (resume->prompt != LLM_UNKNOWN) {
        usage->input = resume->prompt;
    }
}


/*
 * After all sends were settled, each by itself: what the request took.  Who was
 * cut mostly had no time to tell its usage; its prompt is then the one of who
 * went on.
 */

void
ngx_http_llm_resume_total(ngx_http_llm_ctx_t *ctx)
{
    uint64_t                cost, prompt;
    ngx_uint_t              i;
    llm_usage_t             usage;
    ngx_http_llm_part_t    *part;
    ngx_http_llm_resume_t  *resume;

    if (!ngx_http_llm_is_resuming(ctx)) {
        return;
    }

    resume = ctx->resume;
    cost = 0;

    if (ctx->send->relayed) {
        cost = ctx->cost;
        ngx_http_llm_resume_usage(ctx, &ctx->usage);

    } else {
        llm_usage_init(&ctx->usage);
        ctx->usage.input = resume->prompt;
    }

    prompt = ctx->usage.input;

    for (i = 0; i < resume->cuts && cost != LLM_UNKNOWN; i++) {
        part = &resume->part[i];
        usage = part->usage;

        if (usage.input == LLM_UNKNOWN) {
            usage.input = prompt;
        }

        if (usage.output == LLM_UNKNOWN || usage.output < part->tokens) {
            usage.output = part->tokens;
        }

        ctx->cost = part->target->model && usage.input != LLM_UNKNOWN
                    ? llm_price_cost(&part->target->model->price, &usage)
                    : usage.cost_nano;

        cost = ctx->cost == LLM_UNKNOWN ? LLM_UNKNOWN : cost + ctx->cost;
    }

    ctx->cost = cost;
}
