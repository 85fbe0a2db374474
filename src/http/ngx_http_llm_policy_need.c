/*
 * What a request will probably use, and what it did use.
 *
 * Tokens are estimated from the length of the prompt and from what answers of
 * the same route took; a budget that refuses reserves all that a client asks
 * for.  What no usage was reported for is charged as estimated, and the answer
 * by what came of it.
 */

#include "ngx_http_llm_admission.h"


#define NGX_HTTP_LLM_PICTURE      1000      /* tokens */
#define NGX_HTTP_LLM_TEXT_BYTES   3         /* of facts.prompt_tokens */


static ngx_http_llm_model_t *ngx_http_llm_policy_model(
    ngx_http_llm_ctx_t *ctx);
static uint64_t ngx_http_llm_policy_dearest(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a, uint64_t output);
static void ngx_http_llm_policy_served(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a, llm_need_t *used);
static uint64_t ngx_http_llm_policy_counted(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a);
static void ngx_http_llm_policy_set(llm_need_t *used, uint64_t input,
    uint64_t output, uint64_t audio_ms);


void
ngx_http_llm_policy_estimate(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a)
{
    uint32_t               ratio, p95;
    llm_request_t         *f;
    llm_forecast_in_t      in;
    ngx_http_llm_model_t  *m;

    if (a->estimated || ctx->app) {
        return;
    }

    f = &ctx->facts;
    a->estimated = 1;

    if (f->kind == LLM_BODY_JSON && f->prompt_tokens == 0) {
        llm_request_estimate(f);
    }

    m = ngx_http_llm_policy_model(ctx);
    ratio = m ? ngx_http_llm_forecast_value(&m->ratio) : 0;
    p95 = ngx_http_llm_forecast_value(&ctx->route->output);

    ngx_memzero(&in, sizeof(llm_forecast_in_t));

    in.bytes = f->prompt_tokens * NGX_HTTP_LLM_TEXT_BYTES;
    in.extra = f->pictures * NGX_HTTP_LLM_PICTURE;
    in.max_tokens = f->max_tokens;
    in.choices = ctx->analyze ? 1 : f->choices;
    in.context = m ? m->context : 0;

    if (ctx->tunnel) {
        /* what is used up lets no session begin; the rest it tells itself */
        a->input = 1;
        a->output = 1;
        a->most = 1;
        return;
    }

    a->input = llm_forecast_input(&in, ratio);
    a->audio_ms = f->audio_ms;

    if (in.choices == 0) {
        return;
    }

    a->output = llm_forecast_output(&in, p95);
    in.hard = 1;
    a->most = llm_forecast_output(&in, p95);
}


/* Of the first target that can serve the request. */

static ngx_http_llm_model_t *
ngx_http_llm_policy_model(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t  first;

    first = ngx_http_llm_first_target(ctx);

    return first < ctx->route->ntargets ? ctx->route->targets[first].model
                                        : NULL;
}


uint64_t
ngx_http_llm_policy_need(ngx_http_llm_ctx_t *ctx, ngx_http_llm_admission_t *a,
    ngx_uint_t i)
{
    const ngx_http_llm_rule_t  *rule;

    rule = a->claim[i].rule;

    switch (rule->limit.dim) {

    case LLM_DIM_REQUESTS:
    case LLM_DIM_PARALLEL:
        return 1;

    default:
        ngx_http_llm_policy_estimate(ctx, a);
    }

    switch (rule->limit.dim) {

    case LLM_DIM_TOKENS:
        return a->input + a->output;

    case LLM_DIM_INPUT_TOKENS:
        return a->input;

    case LLM_DIM_OUTPUT_TOKENS:
        return a->output;

    case LLM_DIM_MONEY:
        return a->billed
               + ngx_http_llm_policy_dearest(ctx, a, rule->dry_run ? a->output
                                                                   : a->most);
    default: /* LLM_DIM_AUDIO_MS */
        return a->audio_ms;
    }
}


static uint64_t
ngx_http_llm_policy_dearest(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a, uint64_t output)
{
    uint64_t    cost, dearest;
    ngx_uint_t  i;

    dearest = 0;

    for (i = 0; i < ctx->route->ntargets; i++) {

        if (!(ctx->skipped & ((uint64_t) 1 << i))) {
            cost = ngx_http_llm_policy_cost(&ctx->route->targets[i], a->input,
                                            output, a->audio_ms);
            dearest = ngx_max(dearest, cost);
        }
    }

    return dearest;
}


uint64_t
ngx_http_llm_policy_cost(ngx_http_llm_target_t *t, uint64_t input,
    uint64_t output, uint64_t audio_ms)
{
    uint64_t     cost;
    llm_usage_t  usage;

    if (t->model == NULL) {
        return 0;
    }

    llm_usage_init(&usage);

    usage.input = input;
    usage.output = output;

    if (audio_ms) {
        usage.audio_ms = audio_ms;
    }

    cost = llm_price_cost(&t->model->price, &usage);

    return cost == LLM_UNKNOWN ? 0 : cost;
}


/*
 * An answer, whole or not, is charged what it took.  Without one: what the
 * provider worked on counts as a request with its prompt, what it refused as a
 * request, and what never came to it as nothing.
 */

void
ngx_http_llm_policy_used(ngx_http_llm_ctx_t *ctx, ngx_http_llm_admission_t *a,
    llm_class_t class, llm_need_t *used)
{
    ngx_memzero(used, sizeof(llm_need_t));
    used->n[LLM_DIM_MONEY] = a->billed;

    if (ctx->app) {
        used->n[LLM_DIM_REQUESTS] = 1;
        return;
    }

    if (ctx->served || ctx->committed) {
        ngx_http_llm_policy_served(ctx, a, used);
        return;
    }

    switch (class) {

    case LLM_CLASS_CLIENT_GONE:

        if (ctx->send == NULL || ctx->send->ticket.gate == NULL) {
            return;
        }

        /* it left while a provider worked on its request */

        used->n[LLM_DIM_MONEY] += ngx_http_llm_policy_cost(ctx->send->target,
                                             a->input, 0, a->audio_ms);
        ngx_http_llm_policy_set(used, a->input, 0, a->audio_ms);
        return;

    case LLM_CLASS_BAD_ANSWER:
    case LLM_CLASS_CONTENT_FILTER:
    case LLM_CLASS_TIMEOUT_HEADER:
    case LLM_CLASS_TIMEOUT_FIRST:
    case LLM_CLASS_TIMEOUT_IDLE:
    case LLM_CLASS_TIMEOUT_TOTAL:

        if (ctx->sends) {
            ngx_http_llm_policy_set(used, a->input, 0, a->audio_ms);
        }

        return;

    case LLM_CLASS_INVALID_REQUEST:
    case LLM_CLASS_CONTEXT_LENGTH:

        used->n[LLM_DIM_REQUESTS] = (ctx->sends != 0);
        return;

    default:
        return;
    }
}


static void
ngx_http_llm_policy_served(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a, llm_need_t *used)
{
    uint64_t                cost;
    llm_usage_t             usage;
    ngx_http_llm_target_t  *t;

    ngx_http_llm_policy_estimate(ctx, a);

    usage = ctx->usage;

    if (usage.input == LLM_UNKNOWN) {
        usage.input = a->input;
    }

    if (ngx_http_llm_is_resuming(ctx) && !ctx->send->relayed) {
        /* nobody went on: who was cut has sent its bill */
        ngx_http_llm_policy_set(used, usage.input, ctx->resume->tokens,
                                a->audio_ms);
        return;
    }

    if (usage.output == LLM_UNKNOWN) {
        usage.output = a->most ? ngx_http_llm_policy_counted(ctx, a) : 0;
    }

    if (usage.audio_ms == LLM_UNKNOWN) {
        usage.audio_ms = a->audio_ms;
    }

    ngx_http_llm_policy_set(used, usage.input, usage.output, usage.audio_ms);

    t = ctx->served ? ctx->served : ctx->send->target;
    cost = t->model ? llm_price_cost(&t->model->price, &usage)
                    : usage.cost_nano;

    if (cost != LLM_UNKNOWN) {
        used->n[LLM_DIM_MONEY] += cost;
    }
}


/* Events carry about one token each; a text is counted like a prompt. */

static uint64_t
ngx_http_llm_policy_counted(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a)
{
    ngx_buf_t  *b;

    if (ctx->committed) {
        return ctx->send->answer == NGX_HTTP_LLM_ANSWER_RAW
               ? a->output : ctx->events->state.events;
    }

    b = ctx->send->body;

    return b ? (uint64_t) (b->last - b->pos) / NGX_HTTP_LLM_TEXT_BYTES : 0;
}


static void
ngx_http_llm_policy_set(llm_need_t *used, uint64_t input, uint64_t output,
    uint64_t audio_ms)
{
    used->n[LLM_DIM_REQUESTS] = 1;
    used->n[LLM_DIM_TOKENS] = input + output;
    used->n[LLM_DIM_INPUT_TOKENS] = input;
    used->n[LLM_DIM_OUTPUT_TOKENS] = output;
    used->n[LLM_DIM_AUDIO_MS] = audio_ms;
}


/* What an answer tells about those to come. */

void
ngx_http_llm_policy_learn(ngx_http_llm_ctx_t *ctx)
{
    uint64_t               ratio;
    ngx_http_llm_model_t  *m;

    if (ctx->app || ctx->tunnel || ctx->served == NULL
        || !ctx->admission->estimated || ctx->admission->most == 0
        || ngx_http_llm_is_resuming(ctx))
    {
        return;
    }

    m = ctx->served->model;

    if (m && ctx->usage.input != LLM_UNKNOWN && ctx->facts.pictures == 0) {
        ratio = llm_forecast_ratio(ctx->facts.prompt_tokens
                                   * NGX_HTTP_LLM_TEXT_BYTES,
                                   ctx->usage.input);
        if (ratio) {
            ngx_http_llm_forecast_learn(&ctx->lmcf->store, &m->ratio, ratio);
        }
    }

    if (ctx->usage.output != LLM_UNKNOWN) {
        ngx_http_llm_forecast_learn(&ctx->lmcf->store, &ctx->route->output,
                                    ctx->usage.output);
    }
}
