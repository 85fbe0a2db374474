
/*
 * enabled on|off|until=DATE: the flag with which a provider or a model of the
 * old days is taken out of service, at once or on a day.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hint.h"
#include "ngx_http_llm_conf.h"


static ngx_int_t ngx_http_llm_enabled_until(ngx_conf_t *cf, ngx_str_t *date,
    time_t *until);


char *
ngx_http_llm_enabled(ngx_conf_t *cf, ngx_http_llm_store_switch_t *sw)
{
    ngx_str_t  *value, date;

    value = cf->args->elts;

    if (ngx_http_llm_arg_is(&value[1], "until", &date)) {
        return ngx_http_llm_enabled_until(cf, &date, &sw->until) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[1].data, "on") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        sw->off = 1;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\", it must be \"on\", \"off\" or "
                       "until=DATE", &value[1]);

    return NGX_CONF_ERROR;
}


/* A day must not keep nginx from starting when it is over. */

static ngx_int_t
ngx_http_llm_enabled_until(ngx_conf_t *cf, ngx_str_t *date, time_t *until)
{
    u_char      *p, buf[sizeof("2026-12-31T00:00:00Z")];
    llm_str_t    text;
    llm_msec_t   ms;

    text.len = date->len;
    text.data = date->data;

    if (date->len == sizeof("2026-12-31") - 1) {
        p = ngx_cpymem(buf, date->data, date->len);
        p = ngx_cpymem(p, "T00:00:00Z", sizeof("T00:00:00Z") - 1);

        text.len = p - buf;
        text.data = buf;
    }

    if (llm_hint_rfc3339(text, &ms) != LLM_OK || ms < 1000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid date \"%V\", expected one such as "
                           "2026-12-31 or 2026-12-31T18:00:00+01:00", date);
        return NGX_ERROR;
    }

    *until = (time_t) (ms / 1000);

    if (*until <= ngx_time()) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"enabled until=%V\" is in the past: it is off",
                           date);
    }

    return NGX_OK;
}
