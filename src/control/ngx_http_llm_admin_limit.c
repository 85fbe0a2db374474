
/*
 * llm_admin: the rules of limits and budgets, what they did, and what somebody
 * has left of them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_rule.h"
#include "ngx_http_llm_admin.h"
#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_policy.h"


#define NGX_HTTP_LLM_ADMIN_LIMIT  64            /* bytes of "60r/m" */


static ngx_int_t ngx_http_llm_admin_limits_of(ngx_http_llm_admin_t *a,
    ngx_str_t *id);
static void ngx_http_llm_admin_put_owner(ngx_http_llm_admin_t *a, cJSON *out,
    const char *name, ngx_str_t *owner);
static void ngx_http_llm_admin_lines(ngx_http_llm_admin_t *a,
    ngx_http_llm_caller_t *caller, cJSON *list);
static void ngx_http_llm_admin_record(ngx_http_llm_admin_t *a,
    ngx_http_llm_client_t *record, ngx_uint_t per, uint64_t subject,
    cJSON *list);
static void ngx_http_llm_admin_put_kind(ngx_http_llm_admin_t *a,
    const ngx_http_llm_rule_t *rule, cJSON *out);
static ngx_int_t ngx_http_llm_admin_arg(ngx_http_llm_admin_t *a, char *name,
    ngx_str_t *value);
static void ngx_http_llm_admin_policy(ngx_http_llm_admin_t *a,
    ngx_http_llm_policy_t *policy, cJSON *out);
static void ngx_http_llm_admin_rule_limit(ngx_http_llm_admin_t *a,
    const ngx_http_llm_rule_t *rule, cJSON *out);
static void ngx_http_llm_admin_rule_totals(ngx_http_llm_admin_t *a,
    const ngx_http_llm_rule_t *rule, cJSON *out);
static void ngx_http_llm_admin_rule_left(ngx_http_llm_admin_t *a,
    const ngx_http_llm_rule_t *rule, uint64_t subject, cJSON *out);
static double ngx_http_llm_admin_amount(const llm_limit_t *limit, uint64_t n);
static void ngx_http_llm_admin_counters(ngx_http_llm_admin_t *a, cJSON *out);


/* in the orders of the enumerations */

static llm_str_t  ngx_http_llm_admin_modes[] = {
    { 4, (const u_char *) "safe" },
    { 4, (const u_char *) "open" },
    { 6, (const u_char *) "closed" }
};

static llm_str_t  ngx_http_llm_admin_clocks[] = {
    { 7, (const u_char *) "sliding" },
    { 6, (const u_char *) "refill" },
    { 8, (const u_char *) "calendar" }
};

static llm_str_t  ngx_http_llm_admin_actions[] = {
    { 6, (const u_char *) "refuse" },
    { 7, (const u_char *) "degrade" },
    { 5, (const u_char *) "alert" }
};


/* GET limits, limits?subject=TEXT, limits?client=ID */

ngx_int_t
ngx_http_llm_admin_limits(ngx_http_llm_admin_t *a)
{
    cJSON                   *root, *list, *out;
    ngx_int_t                rc;
    ngx_str_t                subject, id;
    ngx_uint_t               i;
    ngx_http_llm_policy_t  **policy;

    rc = ngx_http_llm_admin_arg(a, "client", &id);

    if (rc != NGX_DECLINED) {
        return rc == NGX_OK ? ngx_http_llm_admin_limits_of(a, &id) : NGX_ERROR;
    }

    rc = ngx_http_llm_admin_arg(a, "subject", &subject);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    root = ngx_http_llm_admin_root(a);
    list = ngx_http_llm_admin_put_array(a, root, "rules");
    policy = a->lmcf->policies.elts;

    for (i = 0; i < a->lmcf->policies.nelts; i++) {
        out = ngx_http_llm_admin_put_object(a, list, NULL);

        ngx_http_llm_admin_policy(a, policy[i], out);

        if (policy[i]->per == NGX_HTTP_LLM_PER_ALL) {
            ngx_http_llm_admin_rule_left(a, &policy[i]->rule, 0, out);

        } else if (rc == NGX_OK) {
            ngx_http_llm_admin_rule_left(a, &policy[i]->rule,
                                         ngx_http_llm_subject(&subject), out);
        }
    }

    ngx_http_llm_admin_counters(a, ngx_http_llm_admin_put_object(a, root,
                                                              "counters"));
    return NGX_DONE;
}


/* What one client has left: of lines that count it, its user or its
 * organisation, and of what their records say. */

static ngx_int_t
ngx_http_llm_admin_limits_of(ngx_http_llm_admin_t *a, ngx_str_t *id)
{
    cJSON                   *root, *list;
    ngx_http_llm_caller_t    caller;

    ngx_memzero(&caller, sizeof(ngx_http_llm_caller_t));

    caller.client = ngx_http_llm_client_by_id(a->lmcf->clients,
                                              LLM_PARTY_CLIENT, id);
    if (caller.client == NULL) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_NOT_FOUND, "not_found",
                                         "there is no client \"%V\"", id);
    }

    ngx_http_llm_auth_owners(a->lmcf->clients, &caller);

    root = ngx_http_llm_admin_root(a);

    ngx_http_llm_admin_put_str(a, root, "client", &caller.client->id);
    ngx_http_llm_admin_put_owner(a, root, "user", &caller.user);
    ngx_http_llm_admin_put_owner(a, root, "org", &caller.org);

    list = ngx_http_llm_admin_put_array(a, root, "rules");

    ngx_http_llm_admin_lines(a, &caller, list);
    ngx_http_llm_admin_record(a, caller.client, NGX_HTTP_LLM_PER_CLIENT,
                              caller.client->id_hash, list);
    ngx_http_llm_admin_record(a, caller.user_record, NGX_HTTP_LLM_PER_USER,
                              caller.user_hash, list);
    ngx_http_llm_admin_record(a, caller.org_record, NGX_HTTP_LLM_PER_ORG,
                              caller.org_hash, list);

    ngx_http_llm_client_release(caller.user_record);
    ngx_http_llm_client_release(caller.org_record);

    return NGX_DONE;
}


static void
ngx_http_llm_admin_put_owner(ngx_http_llm_admin_t *a, cJSON *out,
    const char *name, ngx_str_t *owner)
{
    if (owner->len) {
        ngx_http_llm_admin_put_str(a, out, name, owner);
    } else {
        ngx_http_llm_admin_put_null(a, out, name);
    }
}


static void
ngx_http_llm_admin_lines(ngx_http_llm_admin_t *a,
    ngx_http_llm_caller_t *caller, cJSON *list)
{
    cJSON                   *out;
    uint64_t                 subject;
    ngx_uint_t               i;
    ngx_http_llm_policy_t  **policy;

    policy = a->lmcf->policies.elts;

    for (i = 0; i < a->lmcf->policies.nelts; i++) {

        switch (policy[i]->per) {

        case NGX_HTTP_LLM_PER_CLIENT:
            subject = caller->client->id_hash;
            break;

        case NGX_HTTP_LLM_PER_USER:
            subject = caller->user_hash;
            break;

        case NGX_HTTP_LLM_PER_ORG:
            subject = caller->org_hash;
            break;

        default:
            continue;
        }

        if (subject) {
            out = ngx_http_llm_admin_put_object(a, list, NULL);

            ngx_http_llm_admin_policy(a, policy[i], out);
            ngx_http_llm_admin_rule_left(a, &policy[i]->rule, subject, out);
        }
    }
}


static void
ngx_http_llm_admin_record(ngx_http_llm_admin_t *a,
    ngx_http_llm_client_t *record, ngx_uint_t per, uint64_t subject,
    cJSON *list)
{
    cJSON                 *out;
    ngx_uint_t             i;
    ngx_http_llm_rule_t  **rule;

    if (record == NULL || record->rules == NULL) {
        return;
    }

    rule = record->rules->elts;

    for (i = 0; i < record->rules->nelts; i++) {
        out = ngx_http_llm_admin_put_object(a, list, NULL);

        ngx_http_llm_admin_put_str(a, out, "name", &rule[i]->name);
        ngx_http_llm_admin_put_kind(a, rule[i], out);
        ngx_http_llm_admin_put_str(a, out, "per", ngx_http_llm_per_name(per));
        ngx_http_llm_admin_rule_limit(a, rule[i], out);
        ngx_http_llm_admin_put_bool(a, out, "record", 1);
        ngx_http_llm_admin_rule_left(a, rule[i], subject, out);
    }
}


static void
ngx_http_llm_admin_put_kind(ngx_http_llm_admin_t *a,
    const ngx_http_llm_rule_t *rule, cJSON *out)
{
    ngx_http_llm_admin_put_word(a, out, "kind", rule->budget
                                                ? LLM_STR("budget")
                                                : LLM_STR("limit"));
}


/* An argument of the query, decoded: NGX_OK, NGX_DECLINED, NGX_ERROR. */

static ngx_int_t
ngx_http_llm_admin_arg(ngx_http_llm_admin_t *a, char *name, ngx_str_t *value)
{
    u_char     *p, *src;
    ngx_str_t   raw;

    if (ngx_http_arg(a->request, (u_char *) name, ngx_strlen(name), &raw)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(a->request->pool, raw.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    src = raw.data;
    value->data = p;

    ngx_unescape_uri(&p, &src, raw.len, 0);

    value->len = p - value->data;

    return NGX_OK;
}


static void
ngx_http_llm_admin_policy(ngx_http_llm_admin_t *a,
    ngx_http_llm_policy_t *policy, cJSON *out)
{
    const ngx_http_llm_rule_t  *rule;

    rule = &policy->rule;

    ngx_http_llm_admin_put_str(a, out, "name", &rule->name);
    ngx_http_llm_admin_put_kind(a, rule, out);

    if (policy->who.len) {
        ngx_http_llm_admin_put_str(a, out, "per", &policy->who);
    } else {
        ngx_http_llm_admin_put_null(a, out, "per");
    }

    ngx_http_llm_admin_rule_limit(a, rule, out);
    ngx_http_llm_admin_put_bool(a, out, "dry_run", policy->dry_run);

    if (rule->budget) {
        ngx_http_llm_admin_put_word(a, out, "action",
                                 ngx_http_llm_admin_actions[policy->action]);
        ngx_http_llm_admin_put_number(a, out, "warn", policy->warn / 100.);
        ngx_http_llm_admin_put_number(a, out, "at", policy->at / 100.);
    }

    if (policy->degrade) {
        ngx_http_llm_admin_put_str(a, out, "to", &policy->degrade->name);
    }

    ngx_http_llm_admin_rule_totals(a, rule, out);
}


static void
ngx_http_llm_admin_rule_limit(ngx_http_llm_admin_t *a,
    const ngx_http_llm_rule_t *rule, cJSON *out)
{
    u_char     mem[NGX_HTTP_LLM_ADMIN_LIMIT];
    llm_buf_t  text;

    llm_buf_init(&text, mem, sizeof(mem));
    llm_rule_put(&text, &rule->limit);

    ngx_http_llm_admin_put_word(a, out, "limit", llm_buf_view(&text));

    if (rule->limit.dim != LLM_DIM_PARALLEL) {
        ngx_http_llm_admin_put_word(a, out, "clock",
                              ngx_http_llm_admin_clocks[rule->limit.clock]);
    }

    ngx_http_llm_admin_put_word(a, out, "without_redis",
                                ngx_http_llm_admin_modes[rule->mode]);
}


static void
ngx_http_llm_admin_rule_totals(ngx_http_llm_admin_t *a,
    const ngx_http_llm_rule_t *rule, cJSON *out)
{
    cJSON                       *to;
    ngx_http_llm_rule_totals_t  *t;

    t = rule->totals;

    if (t == NULL) {
        ngx_http_llm_admin_put_null(a, out, "totals");
        return;
    }

    to = ngx_http_llm_admin_put_object(a, out, "totals");

    ngx_http_llm_admin_put_number(a, to, "admitted", (double) t->admitted);
    ngx_http_llm_admin_put_number(a, to, "refused", (double) t->refused);
    ngx_http_llm_admin_put_number(a, to, "unlimited", (double) t->unlimited);
    ngx_http_llm_admin_put_number(a, to, "charged",
                         ngx_http_llm_admin_amount(&rule->limit, t->charged));
    ngx_http_llm_admin_put_number(a, to, "refunded",
                         ngx_http_llm_admin_amount(&rule->limit, t->refunded));
}


static void
ngx_http_llm_admin_rule_left(ngx_http_llm_admin_t *a,
    const ngx_http_llm_rule_t *rule, uint64_t subject, cJSON *out)
{
    ngx_http_llm_claim_t  claim;

    ngx_memzero(&claim, sizeof(ngx_http_llm_claim_t));

    claim.rule = rule;
    claim.subject = subject;

    ngx_http_llm_counter_peek(&a->lmcf->store, &claim);

    ngx_http_llm_admin_put_number(a, out, "max",
                         ngx_http_llm_admin_amount(&rule->limit, claim.max));
    ngx_http_llm_admin_put_number(a, out, "left",
                         ngx_http_llm_admin_amount(&rule->limit, claim.left));
    ngx_http_llm_admin_put_number(a, out, "reset_s",
                         claim.reset == LLM_NEVER
                         ? 0 : (double) ((claim.reset + 999) / 1000));
}


/* In the units that rules are written in. */

static double
ngx_http_llm_admin_amount(const llm_limit_t *limit, uint64_t n)
{
    switch (limit->dim) {

    case LLM_DIM_MONEY:
        return (double) n / 1e9;

    case LLM_DIM_AUDIO_MS:
        return (double) n / 1e3;

    default:
        return (double) n;
    }
}


static void
ngx_http_llm_admin_counters(ngx_http_llm_admin_t *a, cJSON *out)
{
    ngx_http_llm_counter_status_t  s;

    ngx_http_llm_counter_status(&a->lmcf->store, &s);

    ngx_http_llm_admin_put_number(a, out, "n", (double) s.counters);
    ngx_http_llm_admin_put_number(a, out, "max", (double) s.max);
    ngx_http_llm_admin_put_number(a, out, "evicted", (double) s.evicted);
    ngx_http_llm_admin_put_number(a, out, "full", (double) s.full);
    ngx_http_llm_admin_put_number(a, out, "asking", (double) s.waiting);
}
