/*
 * A request is admitted when all its rules have room for what it will probably
 * use, and settled by what it did use.
 *
 * A refusal takes nothing of any rule.  What was admitted is settled once, by
 * ngx_http_llm_settle() or the end of an application's request, whatever ended
 * it.
 */

#include "ngx_http_llm_admission.h"

#include "llm_hash.h"


#define NGX_HTTP_LLM_POLICY_STEP  256       /* output tokens reserved at a time
                                               when an estimate was too low */


static ngx_uint_t ngx_http_llm_policy_spends(ngx_http_llm_client_t *record);
static ngx_int_t ngx_http_llm_policy_claims(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_policy_lines(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_policies_t *ps);
static ngx_uint_t ngx_http_llm_policy_applies(ngx_http_llm_ctx_t *ctx,
    const ngx_http_llm_rule_t *rule);
static ngx_int_t ngx_http_llm_policy_subject(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_policy_t *policy, uint64_t *subject);
static ngx_uint_t ngx_http_llm_policy_count(ngx_http_llm_client_t *record);
static void ngx_http_llm_policy_record(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_client_t *record, uint64_t subject);
static void ngx_http_llm_policy_note(ngx_http_llm_admission_t *a);


llm_code_t
ngx_http_llm_policy_admit(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_llm_admission_t  *a;

    rc = ngx_http_llm_policy_claims(ctx);

    if (rc == NGX_ERROR) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return LLM_CODE_NONE;
    }

    a = ctx->admission;

    ngx_http_llm_budget_degrade(ctx, a);

    for (i = 0; i < a->n; i++) {
        a->claim[i].n = ngx_http_llm_policy_need(ctx, a, i);
    }

    rc = ngx_http_llm_reserve(&ctx->lmcf->store, a->claim, a->n, &a->hold);

    ngx_http_llm_policy_note(a);
    ngx_http_llm_budget_look(ctx, a);

    return rc == NGX_OK ? LLM_CODE_NONE
                        : ngx_http_llm_policy_refuse(ctx, a, message);
}


void
ngx_http_llm_policy_begin(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_caller_t    *caller;
    ngx_http_llm_policies_t  *ps;

    ps = ctx->llcf->policies;
    caller = ctx->shadow ? NULL : ctx->caller;

    ctx->priced = (ps && ps->hard)
                  || (caller && (ngx_http_llm_policy_spends(caller->client)
                           || ngx_http_llm_policy_spends(caller->user_record)
                           || ngx_http_llm_policy_spends(caller->org_record)));
}


/* Budgets of records refuse. */

static ngx_uint_t
ngx_http_llm_policy_spends(ngx_http_llm_client_t *record)
{
    ngx_uint_t             i;
    ngx_http_llm_rule_t  **rule;

    if (record == NULL || record->rules == NULL) {
        return 0;
    }

    rule = record->rules->elts;

    for (i = 0; i < record->rules->nelts; i++) {
        if (rule[i]->budget) {
            return 1;
        }
    }

    return 0;
}


ngx_http_llm_admission_t *
ngx_http_llm_admission(ngx_http_llm_ctx_t *ctx, ngx_uint_t claims)
{
    size_t                     size;
    ngx_http_llm_admission_t  *a;

    if (ctx->admission) {
        return ctx->admission;
    }

    size = sizeof(ngx_http_llm_admission_t)
           + claims * (sizeof(ngx_http_llm_claim_t) + sizeof(void *));

    a = ngx_pcalloc(ctx->request->pool, size);

    if (a) {
        a->claim = (ngx_http_llm_claim_t *) (a + 1);
        a->policy = (ngx_http_llm_policy_t **) (a->claim + claims);
        ctx->admission = a;
    }

    return a;
}


/* The rules that apply to this request: of the location, and of who sends it.
 * NGX_OK, NGX_DECLINED (none does), NGX_ERROR. */

static ngx_int_t
ngx_http_llm_policy_claims(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t                 n;
    ngx_http_llm_caller_t     *caller;
    ngx_http_llm_policies_t   *ps;

    if (ctx->shadow) {
        return NGX_DECLINED;
    }

    ps = ctx->llcf->policies;
    caller = ctx->caller;
    n = ps ? ps->n : 0;

    if (caller) {
        n += ngx_http_llm_policy_count(caller->client)
             + ngx_http_llm_policy_count(caller->user_record)
             + ngx_http_llm_policy_count(caller->org_record);
    }

    if (n == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_llm_admission(ctx, ngx_min(n, NGX_HTTP_LLM_CLAIMS_MAX))
        == NULL)
    {
        return NGX_ERROR;
    }

    if (ps && ngx_http_llm_policy_lines(ctx, ps) != NGX_OK) {
        return NGX_ERROR;
    }

    if (caller) {
        ngx_http_llm_policy_record(ctx, caller->client,
                                   caller->client->id_hash);
        ngx_http_llm_policy_record(ctx, caller->user_record,
                                   caller->user_hash);
        ngx_http_llm_policy_record(ctx, caller->org_record, caller->org_hash);
    }

    return ctx->admission->n ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_llm_policy_lines(ngx_http_llm_ctx_t *ctx, ngx_http_llm_policies_t *ps)
{
    uint64_t                   subject;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_llm_policy_t     *p, *last;
    ngx_http_llm_admission_t  *a;

    a = ctx->admission;
    rc = NGX_DECLINED;
    subject = 0;
    last = NULL;

    for (i = 0; i < ps->n; i++) {
        p = ps->policy[i];

        if (!ngx_http_llm_policy_applies(ctx, &p->rule)) {
            continue;
        }

        /* rules of one line have the same subject */

        if (last == NULL || p->per != last->per || p->value != last->value) {
            rc = ngx_http_llm_policy_subject(ctx, p, &subject);
        }

        last = p;

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            a->claim[a->n].rule = &p->rule;
            a->claim[a->n].subject = subject;
            a->policy[a->n++] = p;
        }
    }

    return NGX_OK;
}


/* Nobody knows what an application does with a request. */

static ngx_uint_t
ngx_http_llm_policy_applies(ngx_http_llm_ctx_t *ctx,
    const ngx_http_llm_rule_t *rule)
{
    return !ctx->app || rule->limit.dim == LLM_DIM_REQUESTS
           || rule->limit.dim == LLM_DIM_PARALLEL;
}


static ngx_uint_t
ngx_http_llm_policy_count(ngx_http_llm_client_t *record)
{
    return record && record->rules ? record->rules->nelts : 0;
}


/* A counter stands among the claims once: of two rules of a record that count
 * the same, the first one. */

static void
ngx_http_llm_policy_record(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_client_t *record, uint64_t subject)
{
    ngx_uint_t                  i, k, n;
    ngx_http_llm_rule_t       **rule;
    ngx_http_llm_admission_t   *a;

    a = ctx->admission;
    n = a->n;

    if (record == NULL || record->rules == NULL) {
        return;
    }

    rule = record->rules->elts;

    for (i = 0; i < record->rules->nelts; i++) {

        for (k = n; k < a->n && a->claim[k].rule->id != rule[i]->id; k++) {
            /* void */
        }

        if (k == a->n && k < NGX_HTTP_LLM_CLAIMS_MAX
            && ngx_http_llm_policy_applies(ctx, rule[i]))
        {
            a->claim[a->n].rule = rule[i];
            a->claim[a->n++].subject = subject;
        }
    }
}


/* NGX_OK, NGX_DECLINED (the request has no such), NGX_ERROR. */

static ngx_int_t
ngx_http_llm_policy_subject(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_policy_t *policy, uint64_t *subject)
{
    ngx_str_t  text;

    if (policy->per == NGX_HTTP_LLM_PER_ALL) {
        *subject = 0;
        return NGX_OK;
    }

    if (policy->per == NGX_HTTP_LLM_PER_CLIENT && ctx->caller) {
        *subject = ctx->caller->client->id_hash;
        return NGX_OK;
    }

    if (ngx_http_llm_policy_text(ctx, policy, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (text.len == 0) {
        return NGX_DECLINED;
    }

    *subject = ngx_http_llm_subject(&text);

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_policy_text(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_policy_t *policy, ngx_str_t *text)
{
    ngx_uint_t              first;
    ngx_http_llm_target_t  *t;

    ngx_str_null(text);

    switch (policy->per) {

    case NGX_HTTP_LLM_PER_CLIENT:
    case NGX_HTTP_LLM_PER_USER:
    case NGX_HTTP_LLM_PER_ORG:

        if (ctx->caller) {
            *text = policy->per == NGX_HTTP_LLM_PER_CLIENT
                    ? ctx->caller->client->id
                    : policy->per == NGX_HTTP_LLM_PER_USER
                    ? ctx->caller->user : ctx->caller->org;
        }

        return NGX_OK;

    case NGX_HTTP_LLM_PER_VALUE:
        return ngx_http_complex_value(ctx->request, policy->value, text);

    case NGX_HTTP_LLM_PER_ROUTE:
        if (ctx->route) {
            *text = ctx->route->name;
        } else {
            ngx_http_llm_app_url(ctx, text);
        }

        return NGX_OK;

    case NGX_HTTP_LLM_PER_MODEL:

        /* a client may write any name where the route does not ask for it */

        if (ctx->route) {
            first = ngx_http_llm_first_target(ctx);
            t = first < ctx->route->ntargets ? &ctx->route->targets[first]
                                             : NULL;
            *text = t && t->model ? t->model->name : ctx->model;
        }

        return NGX_OK;

    case NGX_HTTP_LLM_PER_PROVIDER:
        *text = ctx->send->target->provider->name;
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


/* For the variable and the log: the first rule that refused, or would have. */

static void
ngx_http_llm_policy_note(ngx_http_llm_admission_t *a)
{
    ngx_uint_t  i;

    for (i = 0; i < a->n; i++) {

        if (a->claim[i].refused
            && (a->limited == NULL
                || (a->limited->dry_run && !a->claim[i].rule->dry_run)))
        {
            a->limited = a->claim[i].rule;
        }
    }
}


void
ngx_http_llm_policy_more(ngx_http_llm_ctx_t *ctx)
{
    uint64_t                   output;
    ngx_http_llm_admission_t  *a;

    a = ctx->admission;
    output = ctx->events->state.events;

    if (output <= a->output || a->hold.n == 0) {
        return;
    }

    a->output = output + NGX_HTTP_LLM_POLICY_STEP;
    a->most = ngx_max(a->most, a->output);

    ngx_http_llm_policy_raise(ctx);
}


/* Nobody could estimate it: what it took so far is all there is. */

void
ngx_http_llm_policy_session(ngx_http_llm_ctx_t *ctx)
{
    llm_usage_t               *usage;
    ngx_http_llm_admission_t  *a;

    a = ctx->admission;
    usage = &ctx->events->state.usage;

    a->estimated = 1;

    if (usage->input != LLM_UNKNOWN) {
        a->input = usage->input;
    }

    if (usage->output != LLM_UNKNOWN) {
        a->output = usage->output;
        a->most = usage->output;
    }

    if (usage->audio_ms != LLM_UNKNOWN) {
        a->audio_ms = usage->audio_ms;
    }

    ngx_http_llm_policy_raise(ctx);
}


/* What was reserved too little, whether it fits or not: others shall see it. */

void
ngx_http_llm_policy_raise(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t                 i;
    ngx_http_llm_admission_t  *a;

    a = ctx->admission;

    if (a == NULL || a->hold.n == 0) {
        return;
    }

    for (i = 0; i < a->n; i++) {

        switch (a->claim[i].rule->limit.dim) {

        case LLM_DIM_TOKENS:
        case LLM_DIM_OUTPUT_TOKENS:
        case LLM_DIM_MONEY:
            ngx_http_llm_reserve_more(&ctx->lmcf->store, &a->hold, i,
                                      ngx_http_llm_policy_need(ctx, a, i));
            break;

        default:
            break;
        }
    }
}


void
ngx_http_llm_policy_settle(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    uint64_t                   actual[NGX_HTTP_LLM_CLAIMS_MAX];
    llm_need_t                 used;
    ngx_uint_t                 i;
    ngx_http_llm_admission_t  *a;

    a = ctx->admission;

    if (a == NULL) {
        return;
    }

    ngx_http_llm_policy_used(ctx, a, class, &used);

    if (a->send.n) {
        ngx_http_llm_budget_leave(ctx, used.n[LLM_DIM_MONEY] - a->billed);
    }

    if (a->hold.n) {

        for (i = 0; i < a->n; i++) {
            actual[i] = used.n[a->claim[i].rule->limit.dim];
        }

        ngx_http_llm_reserve_settle(&ctx->lmcf->store, &a->hold, actual);
    }

    if (class == LLM_CLASS_OK) {
        ngx_http_llm_policy_learn(ctx);
    }
}
