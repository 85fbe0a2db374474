/*
 * Rules as text, and their names.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "llm_rule.h"
#include "ngx_http_llm_rule.h"


#define NGX_HTTP_LLM_RULE_TEXT  64


/* in the order of ngx_http_llm_per_e */

static ngx_str_t  ngx_http_llm_per_names[] = {
    ngx_null_string,
    ngx_string("client"),
    ngx_string("user"),
    ngx_string("org"),
    ngx_string("model"),
    ngx_string("route"),
    ngx_string("provider"),
    ngx_null_string
};


ngx_str_t *
ngx_http_llm_per_name(ngx_uint_t per)
{
    return &ngx_http_llm_per_names[per];
}


char *
ngx_http_llm_rule_parse(ngx_pool_t *pool, ngx_str_t *text, ngx_uint_t scope,
    ngx_http_llm_rule_t *rule)
{
    u_char      owner[NGX_HTTP_LLM_RULE_TEXT], *p;
    llm_str_t   s;
    ngx_str_t  *who;

    s.len = text->len;
    s.data = text->data;
    who = ngx_http_llm_per_name(scope);

    ngx_memzero(rule, sizeof(ngx_http_llm_rule_t));

    if (llm_rule_limit(s, &rule->limit) != LLM_OK
        && llm_rule_budget(s, &rule->limit) != LLM_OK)
    {
        return "is no limit, expected something like \"60r/m\", "
               "\"100000t/d\", \"parallel=10\" or \"50usd/d\"";
    }

    rule->budget = (rule->limit.dim == LLM_DIM_MONEY);

    /* no line of a configuration counts what a record says */

    p = ngx_snprintf(owner, sizeof(owner), "record %V", who);
    s.data = owner;
    s.len = p - owner;

    rule->id = llm_rule_id(s, &rule->limit);

    return ngx_http_llm_rule_name(pool, who, rule) == NGX_OK
           ? NULL : "does not fit into memory";
}


ngx_int_t
ngx_http_llm_rule_name(ngx_pool_t *pool, ngx_str_t *who,
    ngx_http_llm_rule_t *rule)
{
    size_t      size;
    u_char     *p;
    llm_buf_t   out;

    size = who->len + 1 + NGX_HTTP_LLM_RULE_TEXT;

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&out, p, size);

    if (who->len) {
        llm_buf_put(&out, who->data, who->len);
        llm_buf_str(&out, LLM_STR(" "));
    }

    llm_rule_put(&out, &rule->limit);

    rule->name.data = p;
    rule->name.len = out.pos - out.start;

    return NGX_OK;
}
