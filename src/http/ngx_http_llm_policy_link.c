
/*
 * Limits and budgets as a whole: what locations inherit, what a rule is called
 * and counted by, and what can be told to be wrong before a request comes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "llm_rule.h"
#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_policy.h"


static ngx_array_t *ngx_http_llm_policy_join(ngx_conf_t *cf,
    ngx_array_t *outer, ngx_array_t *own);
static ngx_int_t ngx_http_llm_policy_name(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_uint_t n);
static ngx_uint_t ngx_http_llm_policy_named(ngx_http_llm_main_conf_t *lmcf,
    ngx_uint_t n, ngx_str_t *name);
static void ngx_http_llm_policy_identify(ngx_http_llm_main_conf_t *lmcf,
    ngx_uint_t n);
static ngx_int_t ngx_http_llm_policy_list(ngx_conf_t *cf,
    ngx_http_llm_policies_t *ps, ngx_array_t *rules);
static void ngx_http_llm_policy_known(ngx_http_llm_policies_t *ps);
static void ngx_http_llm_policy_unknown(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf);
static ngx_int_t ngx_http_llm_policy_forecast(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_store_forecast_t *f, ngx_http_llm_forecast_e kind,
    ngx_str_t *name);
static ngx_int_t ngx_http_llm_policy_prices(ngx_conf_t *cf,
    ngx_http_llm_policies_t *ps, ngx_http_llm_route_t *route);


ngx_int_t
ngx_http_llm_policy_merge(ngx_conf_t *cf, ngx_http_llm_loc_conf_t *prev,
    ngx_http_llm_loc_conf_t *conf)
{
    if (!conf->limits_off && prev->limits) {
        conf->limits = ngx_http_llm_policy_join(cf, prev->limits,
                                                conf->limits);
        if (conf->limits == NULL) {
            return NGX_ERROR;
        }
    }

    if (!conf->budgets_off && prev->budgets) {
        conf->budgets = ngx_http_llm_policy_join(cf, prev->budgets,
                                                 conf->budgets);
        if (conf->budgets == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_array_t *
ngx_http_llm_policy_join(ngx_conf_t *cf, ngx_array_t *outer, ngx_array_t *own)
{
    void         *place;
    ngx_array_t  *both;

    if (own == NULL) {
        return outer;
    }

    both = ngx_array_create(cf->pool, outer->nelts + own->nelts,
                            sizeof(void *));
    if (both == NULL) {
        return NULL;
    }

    place = ngx_array_push_n(both, outer->nelts);
    ngx_memcpy(place, outer->elts, outer->nelts * sizeof(void *));

    place = ngx_array_push_n(both, own->nelts);
    ngx_memcpy(place, own->elts, own->nelts * sizeof(void *));

    return both;
}


ngx_int_t
ngx_http_llm_policy_link(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t  i;

    for (i = 0; i < lmcf->policies.nelts; i++) {
        if (ngx_http_llm_policy_name(cf, lmcf, i) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_llm_policy_identify(lmcf, i);
    }

    return NGX_OK;
}


/* "client 60r/m"; where an outer line is called so already, "client 60r/m in
 * /v1/", and then "client 60r/m in /v1/ (3)". */

static ngx_int_t
ngx_http_llm_policy_name(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_uint_t n)
{
    size_t                   size;
    u_char                  *p;
    ngx_str_t                name;
    ngx_uint_t               i;
    ngx_http_llm_policy_t   *policy, **all;

    all = lmcf->policies.elts;
    policy = all[n];

    if (ngx_http_llm_rule_name(cf->pool, &policy->who, &policy->rule)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ngx_http_llm_policy_named(lmcf, n, &policy->rule.name)) {
        return NGX_OK;
    }

    size = policy->rule.name.len + policy->location.len + NGX_INT_T_LEN
           + sizeof(" in  ()");

    p = ngx_pnalloc(cf->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = p;

    p = ngx_cpymem(p, policy->rule.name.data, policy->rule.name.len);

    if (policy->location.len) {
        p = ngx_sprintf(p, " in %V", &policy->location);
    }

    name.len = p - name.data;

    for (i = 2; ngx_http_llm_policy_named(lmcf, n, &name); i++) {
        name.len = ngx_sprintf(p, " (%ui)", i) - name.data;
    }

    policy->rule.name = name;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_policy_named(ngx_http_llm_main_conf_t *lmcf, ngx_uint_t n,
    ngx_str_t *name)
{
    ngx_uint_t               i;
    ngx_http_llm_policy_t  **all;

    all = lmcf->policies.elts;

    for (i = 0; i < n; i++) {
        if (ngx_http_llm_same(&all[i]->rule.name, name)) {
            return 1;
        }
    }

    return 0;
}


/*
 * By the server's and the location's name, and by whom it counts: the same on
 * all nodes, and after a reload.  Of several that are alike, by their order.
 */

static void
ngx_http_llm_policy_identify(ngx_http_llm_main_conf_t *lmcf, ngx_uint_t n)
{
    uint64_t                 h;
    ngx_str_t               *server;
    ngx_uint_t               i;
    ngx_http_llm_policy_t   *policy, **all;

    all = lmcf->policies.elts;
    policy = all[n];
    server = &policy->cscf->server_name;

    h = llm_fnv64((llm_str_t) { server->len, server->data },
                  1 + policy->action);
    h = llm_fnv64((llm_str_t) { policy->location.len, policy->location.data },
                  h ^ policy->rule.local);
    h = llm_fnv64((llm_str_t) { policy->who.len, policy->who.data },
                  h ^ policy->per);

    policy->rule.id = llm_rule_id((llm_str_t) { sizeof(h), (u_char *) &h },
                                  &policy->rule.limit);

    for (i = 0; i < n; i++) {
        if (all[i]->rule.id == policy->rule.id) {
            policy->rule.id++;
            i = (ngx_uint_t) -1;
        }
    }

    policy->cscf = NULL;
}


/* What holds in a location, in the form that requests use. */

ngx_int_t
ngx_http_llm_policy_location(ngx_conf_t *cf, ngx_http_llm_loc_conf_t *llcf)
{
    ngx_uint_t                i;
    ngx_http_llm_policies_t  *ps;

    if (llcf->limits == NULL && llcf->budgets == NULL) {
        return NGX_OK;
    }

    ps = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_policies_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    llcf->policies = ps;

    ps->policy = ngx_palloc(cf->pool,
                            NGX_HTTP_LLM_POLICIES_MAX * sizeof(void *));
    ps->provider = ngx_palloc(cf->pool,
                              NGX_HTTP_LLM_PROVIDER_MAX * sizeof(void *));

    if (ps->policy == NULL || ps->provider == NULL
        || ngx_http_llm_policy_list(cf, ps, llcf->limits) != NGX_OK
        || ngx_http_llm_policy_list(cf, ps, llcf->budgets) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (llcf->auth != NGX_HTTP_LLM_AUTH_OFF) {
        ngx_http_llm_policy_known(ps);
    }

    if (llcf->split == NULL) {
        return ngx_http_llm_policy_prices(cf, ps, llcf->route);
    }

    for (i = 0; i < llcf->split->store.n; i++) {
        if (ngx_http_llm_policy_prices(cf, ps, llcf->split->variants[i].route)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_policy_list(ngx_conf_t *cf, ngx_http_llm_policies_t *ps,
    ngx_array_t *rules)
{
    ngx_uint_t               i;
    ngx_http_llm_policy_t   *p, **elts;

    if (rules == NULL) {
        return NGX_OK;
    }

    elts = rules->elts;

    for (i = 0; i < rules->nelts; i++) {
        p = elts[i];

        if (ps->n == NGX_HTTP_LLM_POLICIES_MAX
            || ps->provider_n == NGX_HTTP_LLM_PROVIDER_MAX)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%V\" is one rule too many for a location, %d are "
                          "possible, of them %d per provider in %s:%ui",
                          &p->rule.name, NGX_HTTP_LLM_POLICIES_MAX - 1,
                          NGX_HTTP_LLM_PROVIDER_MAX - 1, p->file, p->line);
            return NGX_ERROR;
        }

        if (p->per == NGX_HTTP_LLM_PER_PROVIDER) {
            ps->provider[ps->provider_n++] = p;

        } else {
            ps->policy[ps->n++] = p;
        }

        switch (p->rule.limit.dim) {

        case LLM_DIM_MONEY:
            ps->money = 1;

            if (p->action == NGX_HTTP_LLM_BUDGET_REFUSE && !p->dry_run) {
                ps->hard = 1;
            }

            break;

        case LLM_DIM_TOKENS:
        case LLM_DIM_INPUT_TOKENS:
        case LLM_DIM_OUTPUT_TOKENS:
            ps->tokens = 1;
            break;

        default:
            break;
        }
    }

    return NGX_OK;
}


/* A budget that refuses needs to know what a request costs. */

static ngx_int_t
ngx_http_llm_policy_prices(ngx_conf_t *cf, ngx_http_llm_policies_t *ps,
    ngx_http_llm_route_t *route)
{
    ngx_uint_t               i, priced, level;
    ngx_http_llm_policy_t   *p;
    ngx_http_llm_target_t   *t;

    if (!ps->hard || route == NULL) {
        return NGX_OK;
    }

    priced = 0;

    for (i = 0; i < route->ntargets; i++) {
        priced += ngx_http_llm_policy_priced(&route->targets[i]);
    }

    if (priced == route->ntargets) {
        return NGX_OK;
    }

    p = ps->provider_n ? ps->provider[0] : NULL;

    for (i = 0; i < ps->n; i++) {
        if (ps->policy[i]->rule.limit.dim == LLM_DIM_MONEY
            && ps->policy[i]->action == NGX_HTTP_LLM_BUDGET_REFUSE
            && !ps->policy[i]->dry_run)
        {
            p = ps->policy[i];
        }
    }

    level = priced ? NGX_LOG_WARN : NGX_LOG_EMERG;

    for (i = 0; i < route->ntargets; i++) {
        t = &route->targets[i];

        if (!ngx_http_llm_policy_priced(t)) {
            ngx_log_error(level, cf->log, 0,
                          "%s \"%V\" has no \"price\", so budget \"%V\" "
                          "cannot allow it in %s:%ui",
                          t->model ? "llm_model" : "llm_provider",
                          t->model ? &t->model->name : &t->provider->name,
                          &p->rule.name, p->file, p->line);
        }
    }

    return priced ? NGX_OK : NGX_ERROR;
}


ngx_uint_t
ngx_http_llm_policy_priced(ngx_http_llm_target_t *t)
{
    return t->model && t->model->price.known;
}


static void
ngx_http_llm_policy_known(ngx_http_llm_policies_t *ps)
{
    ngx_uint_t  i;

    for (i = 0; i < ps->n; i++) {
        ps->policy[i]->known = 1;
    }
}


/* Without llm_auth nobody is a client: a rule that never applies is worse than
 * none. */

static void
ngx_http_llm_policy_unknown(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t               i;
    ngx_http_llm_policy_t   *p, **policy;

    policy = lmcf->policies.elts;

    for (i = 0; i < lmcf->policies.nelts; i++) {
        p = policy[i];

        if (!p->known && p->per >= NGX_HTTP_LLM_PER_CLIENT
            && p->per <= NGX_HTTP_LLM_PER_ORG)
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "\"%V\" never applies: it holds in no location "
                          "with \"llm_auth\", which would tell who sends a "
                          "request in %s:%ui", &p->rule.name, p->file, p->line);
        }
    }
}


/* Routes' answers and models' tokens, if any rule would ask. */

ngx_int_t
ngx_http_llm_policy_forecasts(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i;
    ngx_http_llm_model_t     **model;
    ngx_http_llm_route_t     **route;
    ngx_http_llm_loc_conf_t  **llcf;

    ngx_http_llm_policy_unknown(cf, lmcf);

    if (lmcf->policies.nelts == 0 && !lmcf->clients->used) {
        return NGX_OK;
    }

    model = lmcf->models.elts;

    for (i = 0; i < lmcf->models.nelts; i++) {
        if (ngx_http_llm_policy_forecast(lmcf, &model[i]->ratio,
                                         NGX_HTTP_LLM_FORECAST_RATIO,
                                         &model[i]->name)
            != NGX_OK
            || ngx_http_llm_policy_forecast(lmcf, &model[i]->route->output,
                                            NGX_HTTP_LLM_FORECAST_OUTPUT,
                                            &model[i]->name)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    route = lmcf->routes.elts;

    for (i = 0; i < lmcf->routes.nelts; i++) {
        if (ngx_http_llm_policy_forecast(lmcf, &route[i]->output,
                                         NGX_HTTP_LLM_FORECAST_OUTPUT,
                                         &route[i]->name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    llcf = lmcf->build->locations.elts;

    for (i = 0; i < lmcf->build->locations.nelts; i++) {
        if (llcf[i]->route && llcf[i]->route->output.name.len == 0
            && ngx_http_llm_policy_forecast(lmcf, &llcf[i]->route->output,
                                            NGX_HTTP_LLM_FORECAST_OUTPUT,
                                            &llcf[i]->route->name)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_policy_forecast(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_store_forecast_t *f, ngx_http_llm_forecast_e kind,
    ngx_str_t *name)
{
    ngx_http_llm_store_forecast_t  **slot;

    f->kind = kind;
    f->name = *name;

    slot = ngx_array_push(&lmcf->store.forecasts);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = f;

    return NGX_OK;
}


void
ngx_http_llm_policy_run(ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t               i;
    ngx_http_llm_policy_t  **policy;

    policy = lmcf->policies.elts;

    for (i = 0; i < lmcf->policies.nelts; i++) {
        ngx_http_llm_rule_link(&lmcf->store, &policy[i]->rule);
    }
}
