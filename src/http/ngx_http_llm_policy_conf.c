
/*
 * llm_limit and llm_budget: each word that says how much is a rule of its own,
 * the other words of the line hold for all of them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_rule.h"
#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_policy.h"


/* A line while it is read. */

typedef struct {
    ngx_http_llm_policy_t     policy;          /* what its rules share */
    ngx_http_llm_limits_t     limits;          /* clock=, reset= */
    ngx_array_t               rules;           /* llm_limit_t */
    ngx_str_t                 to;              /* degrade to= */
    ngx_uint_t                actions;
    unsigned                  budget:1;
    unsigned                  off:1;
} ngx_http_llm_policy_line_t;


static char *ngx_http_llm_policy_line(ngx_conf_t *cf, ngx_array_t **rules,
    unsigned budget, ngx_uint_t *off);
static ngx_int_t ngx_http_llm_policy_word(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line, ngx_str_t *word);
static ngx_int_t ngx_http_llm_policy_budget_word(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line, ngx_str_t *word);
static ngx_int_t ngx_http_llm_policy_per(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line, ngx_str_t *word, ngx_str_t *value);
static ngx_int_t ngx_http_llm_policy_value(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line, ngx_str_t *value);
static ngx_int_t ngx_http_llm_policy_rule(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line, ngx_str_t *word);
static ngx_int_t ngx_http_llm_policy_clock(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line);
static ngx_int_t ngx_http_llm_policy_check(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line);
static ngx_int_t ngx_http_llm_policy_add(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line, llm_limit_t *limit, ngx_array_t **rules);
static ngx_int_t ngx_http_llm_policy_degrade(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_ref_t *ref);
static ngx_uint_t ngx_http_llm_policy_is(ngx_str_t *word, char *text);


static char  *ngx_http_llm_policy_modes[] = {
    "safe", "open", "closed", NULL
};


/* in the order of ngx_http_llm_budget_e */

static char  *ngx_http_llm_policy_actions[] = {
    "refuse", "degrade", "alert"
};


static ngx_http_llm_arg_t  ngx_http_llm_budget_args[] = {

    { ngx_string("warn"), NGX_HTTP_LLM_ARG_BP32,
      offsetof(ngx_http_llm_policy_line_t, policy.warn), 1, 10000 },

    { ngx_string("at"), NGX_HTTP_LLM_ARG_BP32,
      offsetof(ngx_http_llm_policy_line_t, policy.at), 1, 10000 },

    { ngx_string("to"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_policy_line_t, to), 0, 0 },

    { ngx_string("webhook"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_policy_line_t, policy.webhook), 0, 0 },

    { ngx_null_string, 0, 0, 0, 0 }
};


/* llm_limit off;
 * llm_limit [per=WHOM] LIMIT ... [clock=] [reset=] [without_redis=] [local]
 *           [dry_run] */

char *
ngx_http_llm_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    return ngx_http_llm_policy_line(cf, &llcf->limits, 0, &llcf->limits_off);
}


/* llm_budget off;
 * llm_budget [per=WHOM] AMOUNT ... [warn=80%] [at=100%]
 *            [refuse|degrade to=ROUTE|alert] [reset=] [webhook=]
 *            [without_redis=] [dry_run] */

char *
ngx_http_llm_budget(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    return ngx_http_llm_policy_line(cf, &llcf->budgets, 1, &llcf->budgets_off);
}


static char *
ngx_http_llm_policy_line(ngx_conf_t *cf, ngx_array_t **rules, unsigned budget,
    ngx_uint_t *off)
{
    ngx_str_t                   *value;
    ngx_uint_t                   i;
    llm_limit_t                 *limit;
    ngx_http_llm_policy_line_t   line;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_http_llm_policy_is(&value[1], "off")) {

        if (*off) {
            return "is duplicate";
        }

        *off = 1;
        return NGX_CONF_OK;
    }

    ngx_memzero(&line, sizeof(ngx_http_llm_policy_line_t));
    ngx_http_llm_limits_init(&line.limits);

    line.budget = budget;
    line.policy.warn = 8000;
    line.policy.at = 10000;

    if (ngx_array_init(&line.rules, cf->temp_pool, 4, sizeof(llm_limit_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_llm_policy_word(cf, &line, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_llm_policy_clock(cf, &line) != NGX_OK
        || ngx_http_llm_policy_check(cf, &line) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    limit = line.rules.elts;

    for (i = 0; i < line.rules.nelts; i++) {
        if (ngx_http_llm_policy_add(cf, &line, &limit[i], rules) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_llm_policy_word(ngx_conf_t *cf, ngx_http_llm_policy_line_t *line,
    ngx_str_t *word)
{
    ngx_int_t                  rc;
    ngx_str_t                  value;
    ngx_http_llm_main_conf_t  *lmcf;

    if (ngx_http_llm_arg_is(word, "per", &value)) {
        return ngx_http_llm_policy_per(cf, line, word, &value);
    }

    if (ngx_http_llm_arg_is(word, "without_redis", &value)) {
        rc = ngx_http_llm_word(cf, &value, "without_redis",
                               ngx_http_llm_policy_modes);
        line->policy.rule.mode = (ngx_uint_t) rc;
        return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    if (ngx_http_llm_policy_is(word, "dry_run")) {
        line->policy.rule.dry_run = 1;
        return NGX_OK;
    }

    if (ngx_http_llm_arg_is(word, "reset", &value)
        || (!line->budget && ngx_http_llm_arg_is(word, "clock", &value)))
    {
        lmcf = ngx_http_conf_get_module_main_conf(cf,
                                                 ngx_http_llm_gateway_module);

        return ngx_http_llm_limits_arg(cf, &lmcf->build->zones, &line->limits,
                                       word);
    }

    if (line->budget) {
        return ngx_http_llm_policy_budget_word(cf, line, word);
    }

    if (ngx_http_llm_policy_is(word, "local")) {
        line->policy.rule.local = 1;
        return NGX_OK;
    }

    return ngx_http_llm_policy_rule(cf, line, word);
}


static ngx_int_t
ngx_http_llm_policy_budget_word(ngx_conf_t *cf,
    ngx_http_llm_policy_line_t *line, ngx_str_t *word)
{
    ngx_str_t            value;
    ngx_uint_t           i;
    ngx_http_llm_arg_t  *arg;

    for (i = NGX_HTTP_LLM_BUDGET_REFUSE; i <= NGX_HTTP_LLM_BUDGET_ALERT; i++) {

        if (ngx_http_llm_policy_is(word, ngx_http_llm_policy_actions[i])) {
            line->policy.action = i;
            line->actions++;
            return NGX_OK;
        }
    }

    for (arg = ngx_http_llm_budget_args; arg->name.len; arg++) {

        if (ngx_http_llm_arg_is(word, (char *) arg->name.data, &value)) {
            return ngx_http_llm_arg_value(cf, word, arg, &value, line);
        }
    }

    return ngx_http_llm_policy_rule(cf, line, word);
}


static ngx_int_t
ngx_http_llm_policy_per(ngx_conf_t *cf, ngx_http_llm_policy_line_t *line,
    ngx_str_t *word, ngx_str_t *value)
{
    ngx_uint_t  per, last;

    if (line->policy.who.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate parameter \"%V\"", word);
        return NGX_ERROR;
    }

    line->policy.who = *value;

    if (ngx_http_script_variables_count(value)) {
        return ngx_http_llm_policy_value(cf, line, value);
    }

    last = line->budget ? NGX_HTTP_LLM_PER_PROVIDER : NGX_HTTP_LLM_PER_ROUTE;

    for (per = NGX_HTTP_LLM_PER_CLIENT; per <= last; per++) {

        if (ngx_http_llm_same(value, ngx_http_llm_per_name(per))) {
            line->policy.per = per;
            return NGX_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", expected one of client, "
                       "user, org, model, route%s or an expression with a "
                       "variable, such as \"per=$http_x_team\"",
                       word, line->budget ? ", provider" : "");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_policy_value(ngx_conf_t *cf, ngx_http_llm_policy_line_t *line,
    ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    line->policy.per = NGX_HTTP_LLM_PER_VALUE;
    line->policy.value = ngx_pcalloc(cf->pool,
                                     sizeof(ngx_http_complex_value_t));
    if (line->policy.value == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = line->policy.value;

    return ngx_http_compile_complex_value(&ccv);
}


static ngx_int_t
ngx_http_llm_policy_rule(ngx_conf_t *cf, ngx_http_llm_policy_line_t *line,
    ngx_str_t *word)
{
    llm_rc_t      rc;
    llm_str_t     text;
    llm_limit_t  *limit;

    text.len = word->len;
    text.data = word->data;

    limit = ngx_array_push(&line->rules);
    if (limit == NULL) {
        return NGX_ERROR;
    }

    rc = line->budget ? llm_rule_budget(text, limit)
                      : llm_rule_limit(text, limit);

    if (rc == LLM_OK) {
        return NGX_OK;
    }

    if (line->budget) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected an amount of "
                           "money and a window (/h, /d, /M) such as "
                           "\"50usd/d\", or one of per=, warn=, at=, refuse, "
                           "degrade to=, alert, reset=, webhook=, "
                           "without_redis=, dry_run", word);
    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected a number, a "
                           "unit (r requests, t tokens, i input and o output "
                           "tokens, s seconds of audio) and a window (/m, /h, "
                           "/d, /M) such as \"60r/m\", or \"parallel=10\", or "
                           "one of per=, clock=, reset=, without_redis=, "
                           "local, dry_run", word);
    }

    return NGX_ERROR;
}


/* Gives every rule its clock, as for the limits of keys. */

static ngx_int_t
ngx_http_llm_policy_clock(ngx_conf_t *cf, ngx_http_llm_policy_line_t *line)
{
    ngx_uint_t    i, windows, calendar;
    llm_limit_t  *limit;

    limit = line->rules.elts;
    windows = 0;
    calendar = 0;

    for (i = 0; i < line->rules.nelts; i++) {

        if (limit[i].dim == LLM_DIM_PARALLEL) {
            continue;
        }

        windows++;

        if (line->limits.clock != NGX_CONF_UNSET) {
            limit[i].clock = (llm_clock_t) line->limits.clock;
        }

        if (limit[i].unit == LLM_TZ_MONTH
            && limit[i].clock != LLM_CLOCK_CALENDAR)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "a limit per month needs \"clock=calendar\"");
            return NGX_ERROR;
        }

        if (limit[i].clock == LLM_CLOCK_CALENDAR) {
            calendar++;
            limit[i].reset_s = line->limits.reset_s;
            limit[i].tz = line->limits.tz;
        }
    }

    if (line->limits.clock != NGX_CONF_UNSET && windows == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"clock\" needs a limit with a window, such as "
                           "\"60r/m\"");
        return NGX_ERROR;
    }

    if (line->limits.has_reset && calendar == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"reset\" needs a limit of the calendar clock, "
                           "such as \"50r/d\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Words that make no sense together. */

static ngx_int_t
ngx_http_llm_policy_check(ngx_conf_t *cf, ngx_http_llm_policy_line_t *line)
{
    ngx_str_t              *url;
    ngx_http_llm_policy_t  *p;

    p = &line->policy;
    url = &p->webhook;

    if (line->rules.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" says not how much, expected something like "
                           "\"%s\"", line->budget ? "llm_budget" : "llm_limit",
                           line->budget ? "50usd/d" : "60r/m");
        return NGX_ERROR;
    }

    if (line->actions > 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"llm_budget\" takes one of \"refuse\", "
                           "\"degrade\" and \"alert\"");
        return NGX_ERROR;
    }

    if ((p->action == NGX_HTTP_LLM_BUDGET_DEGRADE) != (line->to.len != 0)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"degrade\" and \"to=ROUTE\" need each other");
        return NGX_ERROR;
    }

    if (p->action == NGX_HTTP_LLM_BUDGET_DEGRADE
        && p->per == NGX_HTTP_LLM_PER_PROVIDER)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a budget per provider cannot \"degrade\": the "
                           "next target of the route takes over");
        return NGX_ERROR;
    }

    if (url->len
        && (url->len <= 7 || ngx_strncmp(url->data, "http://", 7) != 0)
        && (url->len <= 8 || ngx_strncmp(url->data, "https://", 8) != 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"webhook=\" needs an http:// or https:// URL");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_policy_add(ngx_conf_t *cf, ngx_http_llm_policy_line_t *line,
    llm_limit_t *limit, ngx_array_t **rules)
{
    ngx_http_llm_policy_t     *p, **slot;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    p = ngx_palloc(cf->pool, sizeof(ngx_http_llm_policy_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    *p = line->policy;
    p->rule.limit = *limit;
    p->rule.budget = line->budget;
    p->dry_run = p->rule.dry_run;

    if (line->budget) {
        p->amount = limit->max;

        if (p->action == NGX_HTTP_LLM_BUDGET_REFUSE) {
            p->rule.limit.max = limit->max / 10000 * p->at
                                + limit->max % 10000 * p->at / 10000;
            p->rule.limit.max = ngx_max(p->rule.limit.max, 1);
        } else {
            p->rule.dry_run = 1;
            p->rule.soft = 1;
        }
    }

    p->location = clcf->name;
    p->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    ngx_http_llm_place(cf, &p->file, &p->line);

    if (*rules == NULL) {
        *rules = ngx_array_create(cf->pool, 4, sizeof(void *));
        if (*rules == NULL) {
            return NGX_ERROR;
        }
    }

    slot = ngx_array_push(*rules);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = p;

    slot = ngx_array_push(&lmcf->policies);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = p;

    return line->to.len == 0 ? NGX_OK
           : ngx_http_llm_add_ref(cf, &line->to, p,
                                  ngx_http_llm_policy_degrade);
}


static ngx_int_t
ngx_http_llm_policy_degrade(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_ref_t *ref)
{
    ngx_http_llm_policy_t *p = ref->object;

    ngx_http_llm_name_t  *name;

    name = ngx_http_llm_defined(lmcf, &ref->name);

    if (name == NULL) {
        ngx_http_llm_unknown(cf, ref, "route or model", &lmcf->routes,
                             &lmcf->models, NULL);
        return NGX_ERROR;
    }

    if (name->kind != NGX_HTTP_LLM_ROUTE && name->kind != NGX_HTTP_LLM_MODEL) {
        ngx_http_llm_unexpected(cf, ref, name, "a route or a model");
        return NGX_ERROR;
    }

    p->degrade = name->route;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_policy_is(ngx_str_t *word, char *text)
{
    return ngx_strcmp(word->data, text) == 0;
}
