/*
 * What a request holds of limits and budgets, from its admission to its
 * settlement; private to policy*.c and budget.c.
 */

#ifndef _NGX_HTTP_LLM_ADMISSION_H_INCLUDED_
#define _NGX_HTTP_LLM_ADMISSION_H_INCLUDED_

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_policy.h"

#pragma GCC visibility push(hidden)


struct ngx_http_llm_admission_s {
    ngx_http_llm_hold_t          hold;
    ngx_http_llm_claim_t        *claim;
    ngx_http_llm_policy_t      **policy;        /* of claim i; NULL: a record's
                                                   rule */
    ngx_uint_t                   n;

    /* what it will probably use */
    uint64_t                     input;
    uint64_t                     output;        /* … and what is reserved */
    uint64_t                     most;          /* with all of max_tokens */
    uint64_t                     audio_ms;

    /* what it did use before it was served */
    uint64_t                     billed;        /* nano-dollars */

    /* budgets of the provider of the current send */
    ngx_http_llm_hold_t          send;
    ngx_http_llm_claim_t         send_claim[NGX_HTTP_LLM_PROVIDER_MAX];

    const ngx_http_llm_rule_t   *limited;       /* refused, or would have */
    uint32_t                     share;         /* of budgets, the highest, in
                                                   basis points */
    unsigned                     estimated:1;
    unsigned                     budgets:1;     /* ->share is one */
    unsigned                     over:1;        /* a provider's is used up */
};


/* policy.c: made when it is asked for; NULL: no memory. */
ngx_http_llm_admission_t *ngx_http_llm_admission(ngx_http_llm_ctx_t *ctx,
    ngx_uint_t claims);

/* policy_need.c: estimates once; what a claim reserves; what a request would
 * cost at a target (0: unknown); what was used, in all dimensions, by a request
 * that ended in this class. */
void ngx_http_llm_policy_estimate(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a);
uint64_t ngx_http_llm_policy_need(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a, ngx_uint_t i);
uint64_t ngx_http_llm_policy_cost(ngx_http_llm_target_t *t, uint64_t input,
    uint64_t output, uint64_t audio_ms);
void ngx_http_llm_policy_used(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a, llm_class_t class, llm_need_t *used);
void ngx_http_llm_policy_learn(ngx_http_llm_ctx_t *ctx);

/* policy_answer.c: the code of a refusal, and its sentence. */
llm_code_t ngx_http_llm_policy_refuse(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a, llm_str_t *message);

/* budget.c: after a reservation, how much of budgets is used, and who is told
 * about it.  degrade: goes on to the cheaper route, if one is due. */
void ngx_http_llm_budget_look(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a);
void ngx_http_llm_budget_degrade(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_admission_t *a);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_ADMISSION_H_INCLUDED_ */
