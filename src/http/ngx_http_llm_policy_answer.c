/*
 * Limits and budgets towards the client: what is left, in the headers that SDKs
 * know, and why a request was refused.
 */

#include "ngx_http_llm_admission.h"


#define NGX_HTTP_LLM_DURATION     32
#define NGX_HTTP_LLM_REFUSAL      128       /* beside the rule's name */
#define NGX_HTTP_LLM_GAUGE_WAIT   1000      /* ms: a place may be free then */
#define NGX_HTTP_LLM_SHORT_WAIT   60000     /* ms that an SDK may wait itself */


/* Limit, remaining and reset of one kind. */
typedef struct {
    ngx_str_t  limit;
    ngx_str_t  left;
    ngx_str_t  reset;
} ngx_http_llm_policy_names_t;


static ngx_http_llm_claim_t *ngx_http_llm_policy_tightest(
    ngx_http_llm_admission_t *a, llm_dim_t dim);
static ngx_int_t ngx_http_llm_policy_three(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_policy_names_t *name, ngx_http_llm_claim_t *claim);
static u_char *ngx_http_llm_policy_duration(u_char *p, llm_msec_t ms);
static u_char *ngx_http_llm_policy_number(u_char *p, uint64_t n);
static ngx_http_llm_claim_t *ngx_http_llm_policy_worst(
    ngx_http_llm_admission_t *a);


static ngx_http_llm_policy_names_t  ngx_http_llm_policy_requests = {
    ngx_string("x-ratelimit-limit-requests"),
    ngx_string("x-ratelimit-remaining-requests"),
    ngx_string("x-ratelimit-reset-requests")
};

static ngx_http_llm_policy_names_t  ngx_http_llm_policy_tokens = {
    ngx_string("x-ratelimit-limit-tokens"),
    ngx_string("x-ratelimit-remaining-tokens"),
    ngx_string("x-ratelimit-reset-tokens")
};

static ngx_str_t  ngx_http_llm_policy_h_budget = ngx_string("x-llm-budget");


ngx_int_t
ngx_http_llm_policy_headers(ngx_http_llm_ctx_t *ctx)
{
    ngx_str_t                  value;
    ngx_http_llm_claim_t      *claim;
    ngx_http_llm_admission_t  *a;

    a = ctx->admission;

    if (a == NULL) {
        return NGX_OK;
    }

    claim = ngx_http_llm_policy_tightest(a, LLM_DIM_REQUESTS);

    if (claim
        && ngx_http_llm_policy_three(ctx, &ngx_http_llm_policy_requests, claim)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    claim = ngx_http_llm_policy_tightest(a, LLM_DIM_TOKENS);

    if (claim
        && ngx_http_llm_policy_three(ctx, &ngx_http_llm_policy_tokens, claim)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!a->budgets || ctx->llcf->headers != NGX_HTTP_LLM_HEADERS_ALL) {
        return NGX_OK;
    }

    value.data = ngx_pnalloc(ctx->request->pool, NGX_INT_T_LEN + 1);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%uD%%", a->share / 100) - value.data;

    return ngx_http_llm_add_header(ctx->request, &ngx_http_llm_policy_h_budget,
                                   &value);
}


/* Of the rules that count this, the one with the least left. */

static ngx_http_llm_claim_t *
ngx_http_llm_policy_tightest(ngx_http_llm_admission_t *a, llm_dim_t dim)
{
    ngx_uint_t             i;
    ngx_http_llm_claim_t  *c, *tightest;

    tightest = NULL;

    for (i = 0; i < a->n; i++) {
        c = &a->claim[i];

        if (c->rule->limit.dim == dim && !c->rule->dry_run && c->max
            && (tightest == NULL || c->left < tightest->left))
        {
            tightest = c;
        }
    }

    return tightest;
}


static ngx_int_t
ngx_http_llm_policy_three(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_policy_names_t *name, ngx_http_llm_claim_t *claim)
{
    u_char              *p;
    ngx_str_t            limit, left, reset;
    ngx_http_request_t  *r;

    r = ctx->request;

    p = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN + NGX_HTTP_LLM_DURATION);
    if (p == NULL) {
        return NGX_ERROR;
    }

    limit.data = p;
    p = ngx_http_llm_policy_number(p, claim->max);
    limit.len = p - limit.data;

    left.data = p;
    p = ngx_http_llm_policy_number(p, claim->left);
    left.len = p - left.data;

    reset.data = p;
    p = ngx_http_llm_policy_duration(p, claim->reset);
    reset.len = p - reset.data;

    if (ngx_http_llm_add_header(r, &name->limit, &limit) != NGX_OK
        || ngx_http_llm_add_header(r, &name->left, &left) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_add_header(r, &name->reset, &reset);
}


/* As Go writes it: "120ms", "59.742s", "6m0s", "1h2m3.5s"; at most 32 bytes. */

static u_char *
ngx_http_llm_policy_duration(u_char *p, llm_msec_t ms)
{
    u_char  *dot;

    if (ms == LLM_NEVER) {
        ms = 0;
    }

    if (ms && ms < 1000) {
        p = ngx_http_llm_policy_number(p, ms);
        *p++ = 'm';
        *p++ = 's';
        return p;
    }

    if (ms >= 3600000) {
        p = ngx_http_llm_policy_number(p, ms / 3600000);
        *p++ = 'h';
    }

    if (ms >= 60000) {
        p = ngx_http_llm_policy_number(p, ms / 60000 % 60);
        *p++ = 'm';
    }

    p = ngx_http_llm_policy_number(p, ms / 1000 % 60);

    if (ms % 1000) {
        /* 1000 more, for the zeros; its place is the point's */
        dot = p;
        p = ngx_http_llm_policy_number(p, 1000 + ms % 1000);
        *dot = '.';

        while (p[-1] == '0') {
            p--;
        }
    }

    *p++ = 's';

    return p;
}


/* Several in each answer: ngx_sprintf() takes four times as long. */

static u_char *
ngx_http_llm_policy_number(u_char *p, uint64_t n)
{
    u_char  text[NGX_INT64_LEN], *q;

    q = text + sizeof(text);

    do {
        *--q = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return ngx_cpymem(p, q, text + sizeof(text) - q);
}


/* Of several refusals the one that tells most: what can never fit, what cannot
 * be known, what takes longest. */

static ngx_http_llm_claim_t *
ngx_http_llm_policy_worst(ngx_http_llm_admission_t *a)
{
    ngx_uint_t             i;
    ngx_http_llm_claim_t  *c, *worst;

    worst = NULL;

    for (i = 0; i < a->n; i++) {
        c = &a->claim[i];

        if (!c->refused || c->rule->dry_run) {
            continue;
        }

        if (worst == NULL || c->never || (!worst->never && c->away)
            || (!worst->never && !worst->away && c->wait > worst->wait))
        {
            worst = c;
        }
    }

    return worst;
}


llm_code_t
ngx_http_llm_policy_refuse(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a, llm_str_t *message)
{
    u_char                *p, *text;
    llm_code_t             code;
    llm_msec_t             wait;
    const ngx_str_t       *name;
    ngx_http_llm_claim_t  *worst;

    worst = ngx_http_llm_policy_worst(a);

    if (worst == NULL) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    a->limited = worst->rule;
    name = &worst->rule->name;

    wait = worst->wait;

    if (wait == 0 || wait == LLM_NEVER) {
        wait = NGX_HTTP_LLM_GAUGE_WAIT;
    }

    ctx->wait = wait;
    ctx->no_retry = worst->never || wait > NGX_HTTP_LLM_SHORT_WAIT;

    text = ngx_pnalloc(ctx->request->pool, name->len + NGX_HTTP_LLM_REFUSAL);
    if (text == NULL) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    if (worst->never) {
        code = LLM_CODE_POLICY_REQUEST_TOO_LARGE;
        p = ngx_sprintf(text, "The request needs more than \"%V\" allows.",
                        name);

    } else if (worst->away) {
        code = LLM_CODE_POLICY_LIMIT_UNAVAILABLE;
        p = ngx_sprintf(text, "\"%V\" cannot be checked at the moment.", name);

    } else {
        code = worst->rule->budget ? LLM_CODE_POLICY_BUDGET_EXCEEDED
                                   : LLM_CODE_POLICY_RATE_LIMITED;

        p = ngx_sprintf(text, "The %s \"%V\" is %s. Please try again in ",
                        worst->rule->budget ? "budget" : "limit", name,
                        worst->rule->budget ? "used up" : "reached");
        p = ngx_http_llm_policy_duration(p, wait);
        *p++ = '.';
    }

    message->data = text;
    message->len = p - text;

    return code;
}
