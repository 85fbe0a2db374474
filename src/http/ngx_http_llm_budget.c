/*
 * What is special about money: budgets that warn, that move requests to a
 * cheaper route, and those of providers, which hold for a send and not for a
 * request.
 */

#include "ngx_http_llm_admission.h"

#include "llm_hash.h"
#include "ngx_http_llm_webhook.h"


#define NGX_HTTP_LLM_BUDGET_WARN   8000     /* of records, in basis points */
#define NGX_HTTP_LLM_BUDGET_TEXT   128      /* of a subject in the log */
#define NGX_HTTP_LLM_BUDGET_BODY   2048     /* of a webhook's message */


static uint32_t ngx_http_llm_budget_share(ngx_http_llm_claim_t *claim,
    ngx_http_llm_policy_t *policy);
static void ngx_http_llm_budget_tell(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_claim_t *claim, ngx_http_llm_policy_t *policy,
    uint32_t share);
static void ngx_http_llm_budget_owner(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_claim_t *claim, ngx_str_t *subject);
static void ngx_http_llm_budget_hook(ngx_http_llm_policy_t *policy,
    ngx_str_t *subject, uint32_t share, ngx_uint_t over, llm_msec_t reset);
static ngx_int_t ngx_http_llm_budget_move(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_route_t *route);
static void ngx_http_llm_budget_claims(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a);


void
ngx_http_llm_budget_look(ngx_http_llm_ctx_t *ctx, ngx_http_llm_admission_t *a)
{
    uint32_t    share;
    ngx_uint_t  i;

    for (i = 0; i < a->n; i++) {

        if (!a->claim[i].rule->budget || a->claim[i].max == 0) {
            continue;
        }

        share = ngx_http_llm_budget_share(&a->claim[i], a->policy[i]);

        a->budgets = 1;
        a->share = ngx_max(a->share, share);

        ngx_http_llm_budget_tell(ctx, &a->claim[i], a->policy[i], share);
    }
}


/* How much was used before this request, in basis points.  What runs now counts
 * with its reservation. */

static uint32_t
ngx_http_llm_budget_share(ngx_http_llm_claim_t *claim,
    ngx_http_llm_policy_t *policy)
{
    uint64_t  used, amount;

    used = claim->max - ngx_min(claim->left, claim->max);

    if (claim->left && !claim->refused) {
        used -= ngx_min(claim->n, used);
    }

    amount = policy ? policy->amount : claim->max;

    if (used >= amount) {
        return 10000;
    }

    return (uint32_t) (amount >= 10000 ? used / (amount / 10000)
                                       : used * 10000 / amount);
}


/* Once in a window, for each subject, and again when it is used up. */

static void
ngx_http_llm_budget_tell(ngx_http_llm_ctx_t *ctx, ngx_http_llm_claim_t *claim,
    ngx_http_llm_policy_t *policy, uint32_t share)
{
    uint64_t    news[4];
    llm_msec_t  end;
    ngx_str_t   subject;
    ngx_uint_t  over;

    over = (share >= (policy ? policy->at : 10000));

    if (!over && share < (policy ? policy->warn : NGX_HTTP_LLM_BUDGET_WARN)) {
        return;
    }

    /* windows end at whole minutes */
    end = ngx_http_llm_store_now(&ctx->lmcf->store) + claim->reset + 30000;

    news[0] = claim->rule->id;
    news[1] = claim->subject;
    news[2] = over;
    news[3] = end / 60000;

    if (!ngx_http_llm_once(&ctx->lmcf->store,
                           llm_fnv64((llm_str_t) { sizeof(news),
                                                   (u_char *) news }, 0)))
    {
        return;
    }

    if (claim->rule->totals) {
        (void) __atomic_fetch_add(&claim->rule->totals->warned, 1,
                                  __ATOMIC_RELAXED);
    }

    if (policy == NULL) {
        ngx_http_llm_budget_owner(ctx, claim, &subject);

    } else if (ngx_http_llm_policy_text(ctx, policy, &subject) != NGX_OK) {
        return;
    }

    subject.len = ngx_min(subject.len, NGX_HTTP_LLM_BUDGET_TEXT);

    ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                  "llm budget \"%V\"%s%V%s is used %s: %uD%%",
                  &claim->rule->name, subject.len ? " of \"" : "", &subject,
                  subject.len ? "\"" : "", over ? "up" : "to a large part",
                  share / 100);

    if (policy && policy->webhook.len) {
        ngx_http_llm_budget_hook(policy, &subject, share, over, claim->reset);
    }
}


/* Whose record a rule is of. */

static void
ngx_http_llm_budget_owner(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_claim_t *claim, ngx_str_t *subject)
{
    ngx_http_llm_caller_t  *caller;

    caller = ctx->caller;

    *subject = claim->subject == caller->client->id_hash ? caller->client->id
               : claim->subject == caller->user_hash ? caller->user
               : caller->org;
}


static void
ngx_http_llm_budget_hook(ngx_http_llm_policy_t *policy, ngx_str_t *subject,
    uint32_t share, ngx_uint_t over, llm_msec_t reset)
{
    u_char     mem[NGX_HTTP_LLM_BUDGET_BODY];
    llm_buf_t  out;
    ngx_str_t  body;

    llm_buf_init(&out, mem, sizeof(mem));

    llm_buf_str(&out, LLM_STR("{\"event\":"));
    llm_json_put_string(&out, over ? LLM_STR("budget_exceeded")
                                   : LLM_STR("budget_warning"));
    llm_buf_str(&out, LLM_STR(",\"budget\":"));
    llm_json_put_string(&out, ngx_http_llm_view(&policy->rule.name));
    llm_buf_str(&out, LLM_STR(",\"subject\":"));
    llm_json_put_string(&out, ngx_http_llm_view(subject));
    llm_buf_str(&out, LLM_STR(",\"used_percent\":"));
    llm_json_put_uint(&out, share / 100);
    llm_buf_str(&out, LLM_STR(",\"usd\":"));
    llm_price_put(&out, policy->amount);
    llm_buf_str(&out, LLM_STR(",\"reset_seconds\":"));
    llm_json_put_uint(&out, reset / 1000);
    llm_buf_str(&out, LLM_STR("}"));

    body.data = mem;
    body.len = out.pos - out.start;

    ngx_http_llm_webhook_post(&policy->webhook, "budget", &policy->rule.name,
                              out.full ? NULL : &body);
}


/*
 * Looks before anything is reserved: what is reserved depends on the route.  A
 * request that leaves its split leaves it for good, and counts there no more.
 */

void
ngx_http_llm_budget_degrade(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a)
{
    ngx_uint_t              i;
    ngx_http_llm_claim_t    claim;
    ngx_http_llm_policy_t  *p;

    if (ctx->app || ctx->object) {
        return;
    }

    for (i = 0; i < a->n; i++) {
        p = a->policy[i];

        if (p == NULL || p->degrade == NULL || p->dry_run
            || p->degrade == ctx->route)
        {
            continue;
        }

        ngx_memzero(&claim, sizeof(ngx_http_llm_claim_t));

        claim.rule = a->claim[i].rule;
        claim.subject = a->claim[i].subject;

        ngx_http_llm_counter_peek(&ctx->lmcf->store, &claim);

        if (ngx_http_llm_budget_share(&claim, p) >= p->at
            && ngx_http_llm_budget_move(ctx, p->degrade) == NGX_OK)
        {
            ctx->degraded = 1;
            a->limited = &p->rule;
            return;
        }
    }
}


/* Where the cheaper route cannot serve the request, it stays where it is. */

static ngx_int_t
ngx_http_llm_budget_move(ngx_http_llm_ctx_t *ctx, ngx_http_llm_route_t *route)
{
    uint64_t               skipped;
    llm_str_t              message;
    ngx_http_llm_route_t  *before;

    before = ctx->route;
    skipped = ctx->skipped;

    ctx->route = route;
    ctx->skipped = 0;

    if (ngx_http_llm_check_targets(ctx, &message) != LLM_CODE_NONE) {
        ctx->route = before;
        ctx->skipped = skipped;
        return NGX_DECLINED;
    }

    ctx->split = NULL;
    ngx_memzero(&ctx->place, sizeof(ngx_http_llm_place_t));

    return NGX_OK;
}


/* A send to the current target: NGX_OK, or NGX_DECLINED with the time until its
 * provider may be asked again. */

ngx_int_t
ngx_http_llm_budget_enter(ngx_http_llm_ctx_t *ctx, llm_msec_t *wait)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_llm_claim_t      *c;
    ngx_http_llm_policies_t   *ps;
    ngx_http_llm_admission_t  *a;

    ps = ctx->llcf->policies;

    if (ps == NULL || ps->provider_n == 0) {
        return NGX_OK;
    }

    a = ngx_http_llm_admission(ctx, 0);

    if (a == NULL) {
        *wait = LLM_NEVER;
        return NGX_DECLINED;
    }

    ngx_http_llm_budget_claims(ctx, a);

    rc = ngx_http_llm_reserve(&ctx->lmcf->store, a->send_claim, ps->provider_n,
                              &a->send);
    *wait = 0;

    for (i = 0; i < ps->provider_n; i++) {
        c = &a->send_claim[i];

        if (c->max) {
            ngx_http_llm_budget_tell(ctx, c, ps->provider[i],
                             ngx_http_llm_budget_share(c, ps->provider[i]));
        }

        if (c->refused && a->limited == NULL) {
            a->limited = c->rule;
        }

        if (c->refused && !c->rule->dry_run) {
            a->over = 1;
            *wait = ngx_max(*wait, c->wait);
        }
    }

    return rc;
}


static void
ngx_http_llm_budget_claims(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a)
{
    uint64_t                  subject, output;
    ngx_uint_t                i;
    ngx_http_llm_claim_t     *c;
    ngx_http_llm_target_t    *t;
    ngx_http_llm_policies_t  *ps;

    ps = ctx->llcf->policies;
    t = ctx->send->target;
    subject = ngx_http_llm_subject(&t->provider->name);

    ngx_http_llm_policy_estimate(ctx, a);

    for (i = 0; i < ps->provider_n; i++) {
        c = &a->send_claim[i];

        ngx_memzero(c, sizeof(ngx_http_llm_claim_t));

        c->rule = &ps->provider[i]->rule;
        c->subject = subject;
        output = c->rule->dry_run ? a->output : a->most;
        c->n = ngx_http_llm_policy_cost(t, a->input, output, a->audio_ms);
    }
}


void
ngx_http_llm_budget_leave(ngx_http_llm_ctx_t *ctx, uint64_t cost)
{
    uint64_t                   actual[NGX_HTTP_LLM_PROVIDER_MAX];
    ngx_uint_t                 i;
    ngx_http_llm_admission_t  *a;

    a = ctx->admission;

    if (a == NULL || a->send.n == 0) {
        return;
    }

    for (i = 0; i < a->send.n; i++) {
        actual[i] = cost;
    }

    ngx_http_llm_reserve_settle(&ctx->lmcf->store, &a->send, actual);
}


/* A failed send: who worked on it sends a bill for the prompt, and for what it
 * had answered. */

void
ngx_http_llm_budget_failed(ngx_http_llm_ctx_t *ctx, ngx_uint_t worked,
    uint64_t output)
{
    uint64_t                   cost;
    ngx_http_llm_admission_t  *a;

    a = ctx->admission;

    if (a == NULL) {
        return;
    }

    cost = 0;

    if (worked) {
        ngx_http_llm_policy_estimate(ctx, a);
        cost = ngx_http_llm_policy_cost(ctx->send->target, a->input, output,
                                        a->audio_ms);
        a->billed += cost;
        ngx_http_llm_policy_raise(ctx);
    }

    ngx_http_llm_budget_leave(ctx, cost);
}


ngx_uint_t
ngx_http_llm_budget_is_over(ngx_http_llm_ctx_t *ctx)
{
    return ctx->admission && ctx->admission->over;
}


void
ngx_http_llm_policy_limited(ngx_http_llm_ctx_t *ctx, ngx_str_t *s)
{
    if (ctx->admission && ctx->admission->limited) {
        *s = ctx->admission->limited->name;
    }
}


uint64_t
ngx_http_llm_budget_percent(ngx_http_llm_ctx_t *ctx)
{
    return ctx->admission && ctx->admission->budgets
           ? ctx->admission->share / 100 : LLM_UNKNOWN;
}
