
/*
 * Quotas as configured: limits, their clocks, and where a day begins.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_quota.h"
#include "ngx_http_llm_block.h"
#include "ngx_http_llm_file.h"
#include "ngx_http_llm_limits.h"


#define NGX_HTTP_LLM_ZONEINFO  "/usr/share/zoneinfo/"


static ngx_int_t ngx_http_llm_limits_limit(ngx_conf_t *cf,
    ngx_http_llm_limits_t *limits, ngx_str_t *arg, ngx_str_t *value);
static ngx_int_t ngx_http_llm_limits_reset(ngx_conf_t *cf, ngx_array_t *zones,
    ngx_http_llm_limits_t *limits, ngx_str_t *arg, ngx_str_t *value);
static llm_tz_t *ngx_http_llm_limits_zone(ngx_conf_t *cf, ngx_array_t *zones,
    ngx_str_t *name);
static llm_tz_t *ngx_http_llm_limits_read_zone(ngx_conf_t *cf,
    ngx_str_t *name);


static char  *ngx_http_llm_clocks[] = {
    "sliding", "refill", "calendar", NULL
};


void
ngx_http_llm_limits_init(ngx_http_llm_limits_t *limits)
{
    ngx_memzero(limits, sizeof(ngx_http_llm_limits_t));
    limits->clock = NGX_CONF_UNSET;
}


ngx_int_t
ngx_http_llm_limits_arg(ngx_conf_t *cf, ngx_array_t *zones,
    ngx_http_llm_limits_t *limits, ngx_str_t *arg)
{
    ngx_str_t  value;

    if (ngx_http_llm_arg_is(arg, "limit", &value)) {
        return ngx_http_llm_limits_limit(cf, limits, arg, &value);
    }

    if (ngx_http_llm_arg_is(arg, "reset", &value)) {
        return ngx_http_llm_limits_reset(cf, zones, limits, arg, &value);
    }

    if (ngx_http_llm_arg_is(arg, "clock", &value)) {
        limits->clock = ngx_http_llm_word(cf, &value, "clock",
                                          ngx_http_llm_clocks);
        return limits->clock == NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    if (arg->len == 6 && ngx_strncmp(arg->data, "shared", 6) == 0) {
        limits->conf.shared = 1;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_llm_limits_limit(ngx_conf_t *cf, ngx_http_llm_limits_t *limits,
    ngx_str_t *arg, ngx_str_t *value)
{
    llm_limit_t  *limit;

    if (limits->conf.limit_n == LLM_GROUP_LIMITS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is one limit too many, %d are possible",
                           arg, LLM_GROUP_LIMITS);
        return NGX_ERROR;
    }

    limit = &limits->conf.limit[limits->conf.limit_n];

    if (llm_limit_parse((llm_str_t) { value->len, value->data }, limit)
        != LLM_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid limit \"%V\", expected a number, a unit "
                           "(r requests, t tokens, i input and o output "
                           "tokens, s seconds of audio) and a window "
                           "(/m, /h, /d, /M) such as \"limit=30r/m\"", arg);
        return NGX_ERROR;
    }

    limits->conf.limit_n++;

    return NGX_OK;
}


/* reset=HH:MM[@Zone] */

static ngx_int_t
ngx_http_llm_limits_reset(ngx_conf_t *cf, ngx_array_t *zones,
    ngx_http_llm_limits_t *limits, ngx_str_t *arg, ngx_str_t *value)
{
    ngx_int_t  hours, minutes;
    ngx_str_t  zone;

    hours = NGX_ERROR;
    minutes = NGX_ERROR;

    if (value->len >= 5 && value->data[2] == ':'
        && (value->len == 5 || (value->len > 6 && value->data[5] == '@')))
    {
        hours = ngx_atoi(value->data, 2);
        minutes = ngx_atoi(value->data + 3, 2);
    }

    if (hours == NGX_ERROR || hours > 23
        || minutes == NGX_ERROR || minutes > 59)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\", expected HH:MM or HH:MM@Zone "
                           "such as \"reset=00:00@America/Los_Angeles\"", arg);
        return NGX_ERROR;
    }

    limits->has_reset = 1;
    limits->reset_s = (uint32_t) (hours * 3600 + minutes * 60);
    limits->tz = NULL;

    if (value->len == 5) {
        return NGX_OK;
    }

    zone.data = value->data + 6;
    zone.len = value->len - 6;

    limits->tz = ngx_http_llm_limits_zone(cf, zones, &zone);

    return limits->tz == NULL ? NGX_ERROR : NGX_OK;
}


static llm_tz_t *
ngx_http_llm_limits_zone(ngx_conf_t *cf, ngx_array_t *zones, ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_http_llm_tz_row_t  *zone;

    zone = zones->elts;

    for (i = 0; i < zones->nelts; i++) {
        if (zone[i].name.len == name->len
            && ngx_strncmp(zone[i].name.data, name->data, name->len) == 0)
        {
            return zone[i].tz;
        }
    }

    zone = ngx_array_push(zones);
    if (zone == NULL) {
        return NULL;
    }

    zone->name = *name;
    zone->tz = ngx_http_llm_limits_read_zone(cf, name);

    return zone->tz;
}


static llm_tz_t *
ngx_http_llm_limits_read_zone(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char     *p;
    llm_tz_t   *tz;
    ngx_int_t   rc;
    ngx_str_t   path, text;

    tz = ngx_pcalloc(cf->pool, sizeof(llm_tz_t));
    if (tz == NULL) {
        return NULL;
    }

    p = ngx_pnalloc(cf->pool, sizeof(NGX_HTTP_LLM_ZONEINFO) + name->len);
    if (p == NULL) {
        return NULL;
    }

    path.data = p;
    p = ngx_cpymem(p, NGX_HTTP_LLM_ZONEINFO, sizeof(NGX_HTTP_LLM_ZONEINFO) - 1);
    p = ngx_cpymem(p, name->data, name->len);
    *p = '\0';
    path.len = p - path.data;

    rc = NGX_DECLINED;

    if (ngx_strstr(path.data, "..") == NULL) {
        rc = ngx_http_llm_file_read(cf, &path, 65536, &text);
    }

    if (rc == NGX_ERROR) {
        return NULL;
    }

    if (rc == NGX_DECLINED
        || llm_tz_parse((llm_str_t) { text.len, text.data }, tz) != LLM_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown time zone \"%V\", expected a name such as "
                           "America/Los_Angeles, and the package tzdata",
                           name);
        return NULL;
    }

    return tz;
}


ngx_int_t
ngx_http_llm_limits_done(ngx_conf_t *cf, ngx_http_llm_limits_t *limits)
{
    uint32_t      i;
    ngx_uint_t    calendar;
    llm_limit_t  *limit;

    calendar = 0;

    for (i = 0; i < limits->conf.limit_n; i++) {
        limit = &limits->conf.limit[i];

        if (limits->clock != NGX_CONF_UNSET) {
            limit->clock = (llm_clock_t) limits->clock;

        } else if (limit->unit == LLM_TZ_DAY || limit->unit == LLM_TZ_MONTH) {
            limit->clock = LLM_CLOCK_CALENDAR;

        } else {
            limit->clock = LLM_CLOCK_SLIDING;
        }

        if (limit->unit == LLM_TZ_MONTH && limit->clock != LLM_CLOCK_CALENDAR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "a limit per month needs \"clock=calendar\"");
            return NGX_ERROR;
        }

        if (limit->clock == LLM_CLOCK_CALENDAR) {
            calendar = 1;
            limit->reset_s = limits->reset_s;
            limit->tz = limits->tz;
        }
    }

    if (limits->has_reset && !calendar) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"reset\" needs a limit of the calendar clock, "
                           "such as \"limit=50r/d\"");
        return NGX_ERROR;
    }

    if (limits->clock != NGX_CONF_UNSET && limits->conf.limit_n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"clock\" needs a \"limit\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}
