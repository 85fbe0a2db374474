
/*
 * Metrics of limits and budgets: per rule, never per subject, of which there
 * may be any number.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_metrics.h"
#include "ngx_http_llm_policy.h"


typedef struct {
    const char  *name;
    const char  *type;
    const char  *help;
    size_t       offset;
} ngx_http_llm_metrics_limit_t;


static void ngx_http_llm_metrics_rules(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf, const ngx_http_llm_metrics_limit_t *f);
static ngx_http_llm_policy_t *ngx_http_llm_metrics_policy(
    ngx_http_llm_main_conf_t *lmcf, ngx_str_t *name);


#define ngx_http_llm_metrics_of_rule(member)                                  \
    offsetof(ngx_http_llm_rule_totals_t, member)
#define ngx_http_llm_metrics_of_table(member)                                 \
    offsetof(ngx_http_llm_counter_status_t, member)


static const ngx_http_llm_metrics_limit_t  ngx_http_llm_metrics_limits_rule[] =
{
    { "llm_limit_admitted_total", "counter", "Requests that a rule let pass.",
      ngx_http_llm_metrics_of_rule(admitted) },

    { "llm_limit_refused_total", "counter", "Requests that a rule refused, or, "
      "with dry_run, degrade and alert, would have.",
      ngx_http_llm_metrics_of_rule(refused) },

    { "llm_limit_unlimited_total", "counter", "Requests that passed uncounted: "
      "the zone was full, or Redis away.",
      ngx_http_llm_metrics_of_rule(unlimited) },

    { "llm_limit_reserved_total", "counter", "What was reserved, in the rule's "
      "unit: requests, tokens, milliseconds, nano-dollars.",
      ngx_http_llm_metrics_of_rule(reserved) },

    { "llm_limit_charged_total", "counter", "What was charged in the end.",
      ngx_http_llm_metrics_of_rule(charged) },

    { "llm_limit_refunded_total", "counter", "What was reserved too much.",
      ngx_http_llm_metrics_of_rule(refunded) },

    { "llm_budget_warnings_total", "counter", "Subjects of a budget that came "
      "to its warn or at in a window.", ngx_http_llm_metrics_of_rule(warned) },

    { NULL, NULL, NULL, 0 }
};


static const ngx_http_llm_metrics_limit_t  ngx_http_llm_metrics_limits_table[] =
{
    { "llm_counters", "gauge", "Counters of limits and budgets in the zone.",
      ngx_http_llm_metrics_of_table(counters) },

    { "llm_counters_max", "gauge", "Room for so many of them.",
      ngx_http_llm_metrics_of_table(max) },

    { "llm_counters_evicted_total", "counter", "Counters that had to give way "
      "to others.", ngx_http_llm_metrics_of_table(evicted) },

    { "llm_counters_full_total", "counter", "Claims without a counter, since "
      "the zone was full.", ngx_http_llm_metrics_of_table(full) },

    { "llm_counters_asking", "gauge", "Counters that ask other nodes for more "
      "now.", ngx_http_llm_metrics_of_table(waiting) },

    { "llm_counter_asks_total", "counter", "Declarations of counters to Redis.",
      ngx_http_llm_metrics_of_table(asks) },

    { "llm_counter_grants_total", "counter", "Declarations that brought more.",
      ngx_http_llm_metrics_of_table(grants) },

    { "llm_counter_lends_total", "counter", "Parts of a share that were lent.",
      ngx_http_llm_metrics_of_table(lends) },

    { NULL, NULL, NULL, 0 }
};


void
ngx_http_llm_metrics_limits(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    u_char                              *p;
    ngx_http_llm_counter_status_t        status;
    const ngx_http_llm_metrics_limit_t  *f;

    for (f = ngx_http_llm_metrics_limits_rule; f->name; f++) {
        ngx_http_llm_metrics_rules(page, lmcf, f);
    }

    ngx_http_llm_counter_status(&lmcf->store, &status);
    p = (u_char *) &status;

    for (f = ngx_http_llm_metrics_limits_table; f->name; f++) {
        ngx_http_llm_page_family(page, f->name, f->type, f->help);
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_uint(page, *(uint64_t *) (p + f->offset));
    }
}


static void
ngx_http_llm_metrics_rules(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf, const ngx_http_llm_metrics_limit_t *f)
{
    u_char                      *p;
    ngx_str_t                    name;
    ngx_uint_t                   i;
    ngx_http_llm_policy_t       *policy;
    ngx_http_llm_rule_totals_t   totals;

    ngx_http_llm_page_family(page, f->name, f->type, f->help);
    p = (u_char *) &totals;

    for (i = 0;
         ngx_http_llm_rule_totals(&lmcf->store, i, &name, &totals) == NGX_OK;
         i++)
    {
        policy = ngx_http_llm_metrics_policy(lmcf, &name);

        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_label(page, "rule", ngx_http_llm_view(&name));
        ngx_http_llm_page_label(page, "dry_run",
                                policy && policy->rule.dry_run ? LLM_STR("1")
                                                               : LLM_STR("0"));
        ngx_http_llm_page_uint(page, *(uint64_t *) (p + f->offset));
    }
}


/* NULL: a rule of records, or of an older configuration. */

static ngx_http_llm_policy_t *
ngx_http_llm_metrics_policy(ngx_http_llm_main_conf_t *lmcf, ngx_str_t *name)
{
    ngx_uint_t               i;
    ngx_http_llm_policy_t  **policy;

    policy = lmcf->policies.elts;

    for (i = 0; i < lmcf->policies.nelts; i++) {
        if (policy[i]->rule.name.len == name->len
            && ngx_memcmp(policy[i]->rule.name.data, name->data, name->len)
               == 0)
        {
            return policy[i];
        }
    }

    return NULL;
}
