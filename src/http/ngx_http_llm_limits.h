
/*
 * The parameters of a quota, as groups, keys and key files take them:
 *     limit=30r/m limit=100000t/d clock=refill reset=00:00@America/Los_Angeles
 */


#ifndef _NGX_HTTP_LLM_LIMITS_H_INCLUDED_
#define _NGX_HTTP_LLM_LIMITS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_keypool.h"

#pragma GCC visibility push(hidden)


/* A time zone that was read. */

typedef struct {
    ngx_str_t          name;
    llm_tz_t          *tz;
} ngx_http_llm_tz_row_t;


typedef struct {
    llm_group_conf_t   conf;
    ngx_int_t          clock;          /* llm_clock_t; NGX_CONF_UNSET */
    ngx_uint_t         has_reset;
    uint32_t           reset_s;
    llm_tz_t          *tz;             /* NULL: UTC */
} ngx_http_llm_limits_t;


void ngx_http_llm_limits_init(ngx_http_llm_limits_t *limits);

/* Reads one parameter.  NGX_OK, NGX_DECLINED (none of limit=, clock=, reset=,
 * shared), NGX_ERROR (logged).  `zones`: ngx_http_llm_tz_row_t, a cache. */

ngx_int_t ngx_http_llm_limits_arg(ngx_conf_t *cf, ngx_array_t *zones,
    ngx_http_llm_limits_t *limits, ngx_str_t *arg);

/* After the last parameter: gives every limit its clock.  Without `clock`,
 * minutes and hours slide, days and months follow the calendar.
 * NGX_OK or NGX_ERROR (logged). */

ngx_int_t ngx_http_llm_limits_done(ngx_conf_t *cf,
    ngx_http_llm_limits_t *limits);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_LIMITS_H_INCLUDED_ */
