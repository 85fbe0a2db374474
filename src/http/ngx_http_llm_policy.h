/*
 * Limits and budgets: how much who may use, and what follows when it is used
 * up.
 *
 * rule.c            one limit as text, of a line or of a client's record
 * policy_conf.c     llm_limit and llm_budget
 * policy_link.c     what locations inherit, and checks when all names are known
 * policy.c          a request is admitted and settled
 * policy_need.c     what it will probably use, and what it did use
 * policy_answer.c   headers and refusals
 * budget.c          budgets that warn, degrade or are a provider's
 */

#ifndef _NGX_HTTP_LLM_POLICY_H_INCLUDED_
#define _NGX_HTTP_LLM_POLICY_H_INCLUDED_

#include "ngx_http_llm.h"
#include "ngx_http_llm_rule.h"

#pragma GCC visibility push(hidden)


/* What follows when a budget is used up. */
typedef enum {
    NGX_HTTP_LLM_BUDGET_REFUSE = 0,
    NGX_HTTP_LLM_BUDGET_DEGRADE,
    NGX_HTTP_LLM_BUDGET_ALERT
} ngx_http_llm_budget_e;


/* One rule of a line. */
struct ngx_http_llm_policy_s {
    ngx_http_llm_rule_t          rule;
    ngx_http_llm_per_e           per;
    ngx_str_t                    who;           /* per= as written */
    ngx_http_complex_value_t    *value;         /* PER_VALUE; rules of one line
                                                   have the same */
    uint64_t                     amount;        /* of a budget, nano-dollars */
    uint32_t                     warn;          /* basis points of it */
    uint32_t                     at;
    ngx_http_llm_budget_e        action;
    unsigned                     known:1;       /* some location of its knows
                                                   clients */
    unsigned                     dry_run:1;     /* as written: the rule's own
                                                   is set for soft budgets */
    ngx_http_llm_route_t        *degrade;
    ngx_str_t                    webhook;       /* URL, or empty */
    ngx_str_t                    location;      /* empty: of an outer level */
    u_char                      *file;
    ngx_uint_t                   line;
    ngx_http_core_srv_conf_t    *cscf;          /* while it is read */
};


/* All rules that hold in a location. */
struct ngx_http_llm_policies_s {
    ngx_http_llm_policy_t      **policy;
    ngx_uint_t                   n;
    ngx_http_llm_policy_t      **provider;      /* budgets per provider */
    ngx_uint_t                   provider_n;
    unsigned                     tokens:1;      /* some rule counts them ... */
    unsigned                     money:1;
    unsigned                     hard:1;        /* ... and refuses */
};


/* Whether a budget could know what a request costs there. */
ngx_uint_t ngx_http_llm_policy_priced(ngx_http_llm_target_t *t);


#define NGX_HTTP_LLM_POLICIES_MAX  32           /* of a location */
#define NGX_HTTP_LLM_PROVIDER_MAX  4            /* budgets per provider */
#define NGX_HTTP_LLM_CLAIMS_MAX    64           /* of a request, with those of
                                                   its client's records */


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_POLICY_H_INCLUDED_ */
