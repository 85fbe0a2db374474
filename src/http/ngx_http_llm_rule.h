/*
 * One limit or budget, by whomever it was written: a line of the configuration
 * or a client's record.
 */

#ifndef _NGX_HTTP_LLM_RULE_H_INCLUDED_
#define _NGX_HTTP_LLM_RULE_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_counter.h"

#pragma GCC visibility push(hidden)


/* Whom a rule counts. */
typedef enum {
    NGX_HTTP_LLM_PER_ALL = 0,               /* everybody together */
    NGX_HTTP_LLM_PER_CLIENT,
    NGX_HTTP_LLM_PER_USER,
    NGX_HTTP_LLM_PER_ORG,
    NGX_HTTP_LLM_PER_MODEL,
    NGX_HTTP_LLM_PER_ROUTE,
    NGX_HTTP_LLM_PER_PROVIDER,              /* budgets alone */
    NGX_HTTP_LLM_PER_VALUE                  /* an expression */
} ngx_http_llm_per_e;


/* "client", "user" and so on; empty for everybody. */
ngx_str_t *ngx_http_llm_per_name(ngx_uint_t per);

/*
 * A rule of a record, from its text: "60r/m", "parallel=5", "50usd/d".  `scope`
 * is NGX_HTTP_LLM_PER_CLIENT, _USER or _ORG.  Name and rest are of `pool`.
 * NULL, or what is wrong with the text, to follow it in quotes.
 */
char *ngx_http_llm_rule_parse(ngx_pool_t *pool, ngx_str_t *text,
    ngx_uint_t scope, ngx_http_llm_rule_t *rule);

/* "client 60r/m": who, and how much.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_llm_rule_name(ngx_pool_t *pool, ngx_str_t *who,
    ngx_http_llm_rule_t *rule);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_RULE_H_INCLUDED_ */
