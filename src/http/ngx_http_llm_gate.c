
/*
 * The members of llm_provider that stand between us and it: timeouts, breaker,
 * inflight limit, shedding, idle connections.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_provider.h"


#define NGX_HTTP_LLM_DAY  (24 * 3600 * 1000)


static ngx_http_llm_arg_t  ngx_http_llm_timeout_args[] = {

    { ngx_string("connect"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_timeouts_t, connect), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("header"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_timeouts_t, header), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("first"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_timeouts_t, first), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("idle"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_timeouts_t, idle), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("total"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_timeouts_t, total), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("tunnel"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_timeouts_t, tunnel), 1, NGX_HTTP_LLM_DAY },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_http_llm_arg_t  ngx_http_llm_breaker_args[] = {

    { ngx_string("failures"), NGX_HTTP_LLM_ARG_U32,
      offsetof(llm_breaker_conf_t, failures), 1, 1000000 },

    { ngx_string("error_rate"), NGX_HTTP_LLM_ARG_BP32,
      offsetof(llm_breaker_conf_t, error_rate_bp), 1, 10000 },

    { ngx_string("window"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_breaker_conf_t, window), 100, NGX_HTTP_LLM_DAY },

    { ngx_string("min"), NGX_HTTP_LLM_ARG_U32,
      offsetof(llm_breaker_conf_t, min), 1, 1000000 },

    { ngx_string("open"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_breaker_conf_t, open), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("max"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_breaker_conf_t, max), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("ramp"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_breaker_conf_t, ramp), 0, NGX_HTTP_LLM_DAY },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_http_llm_arg_t  ngx_http_llm_inflight_value = {
    ngx_string("inflight"), NGX_HTTP_LLM_ARG_UINT,
    offsetof(ngx_http_llm_store_gate_t, inflight), 1, 1000000
};


static ngx_http_llm_arg_t  ngx_http_llm_inflight_args[] = {

    { ngx_string("queue"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_store_gate_t, queue), 0, 1000000 },

    { ngx_string("wait"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_store_gate_t, wait), 1, NGX_HTTP_LLM_DAY },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_http_llm_arg_t  ngx_http_llm_shed_args[] = {

    { ngx_string("ttft"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_shed_conf_t, target)
      + LLM_SHED_FIRST * sizeof(llm_msec_t), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("latency"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_shed_conf_t, target)
      + LLM_SHED_WHOLE * sizeof(llm_msec_t), 1, NGX_HTTP_LLM_DAY },

    { ngx_string("remaining"), NGX_HTTP_LLM_ARG_BP32,
      offsetof(llm_shed_conf_t, remaining_bp), 1, LLM_SHED_ONE },

    { ngx_string("window"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_shed_conf_t, window), 100, NGX_HTTP_LLM_DAY },

    { ngx_string("max"), NGX_HTTP_LLM_ARG_BP32,
      offsetof(llm_shed_conf_t, max_bp), 1, LLM_SHED_ONE },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_http_llm_arg_t  ngx_http_llm_keepalive_value = {
    ngx_string("keepalive"), NGX_HTTP_LLM_ARG_UINT,
    offsetof(ngx_http_llm_origin_t, keepalive), 0, 65535
};


static ngx_http_llm_arg_t  ngx_http_llm_keepalive_args[] = {

    { ngx_string("timeout"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_origin_t, keepalive_timeout), 1,
      NGX_HTTP_LLM_DAY },

    { ngx_null_string, 0, 0, 0, 0 }
};


void
ngx_http_llm_gate_defaults(ngx_http_llm_provider_t *p)
{
    p->timeout.connect = 3000;
    p->timeout.header = 30000;
    p->timeout.first = 60000;
    p->timeout.idle = 30000;
    p->timeout.total = 600000;
    p->timeout.tunnel = 300000;

    p->origin.keepalive = 64;
    p->origin.keepalive_timeout = 60000;

    p->gate.name = p->name;
    p->gate.wait = 5000;

    p->gate.breaker.failures = 6;
    p->gate.breaker.error_rate_bp = 5000;
    p->gate.breaker.window = 30000;
    p->gate.breaker.min = 20;
    p->gate.breaker.open = 10000;
    p->gate.breaker.max = 30000;
    p->gate.breaker.ramp = 30000;

    p->gate.shed.window = 10000;
    p->gate.shed.max_bp = 9000;

    ngx_queue_init(&p->gate.waiting);
}


/* timeout connect=3s header=30s first=60s idle=30s total=600s tunnel=300s;
 * lines add up */

char *
ngx_http_llm_gate_timeout(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    if (ngx_http_llm_args(cf, 1, ngx_http_llm_timeout_args,
                          &pb->provider->timeout)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_llm_gate_breaker(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t           *value;
    llm_breaker_conf_t  *breaker;

    value = cf->args->elts;
    breaker = &pb->provider->gate.breaker;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        breaker->failures = 0;
        return NGX_CONF_OK;
    }

    if (ngx_http_llm_args(cf, 1, ngx_http_llm_breaker_args, breaker)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (breaker->open > breaker->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"open\" of a breaker must not be longer than "
                           "\"max\": %uL and %uL milliseconds",
                           breaker->open, breaker->max);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* inflight N [queue=N] [wait=TIME]; inflight off */

char *
ngx_http_llm_gate_inflight(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t                  *value;
    ngx_http_llm_store_gate_t  *gate;

    value = cf->args->elts;
    gate = &pb->provider->gate;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_http_llm_arg_value(cf, &value[1], &ngx_http_llm_inflight_value,
                               &value[1], gate)
        != NGX_OK
        || ngx_http_llm_args(cf, 2, ngx_http_llm_inflight_args, gate)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* shed [ttft=T] [latency=T] [remaining=P%] [window=T] [max=P%] [dry_run];
 * shed off */

char *
ngx_http_llm_gate_shed(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t        *value, dry_run;
    ngx_uint_t        i;
    llm_shed_conf_t  *shed;

    value = cf->args->elts;
    shed = &pb->provider->gate.shed;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "dry_run") == 0) {
            /* the only one that has no value */
            dry_run = value[i];
            value[i] = value[cf->args->nelts - 1];
            value[--cf->args->nelts] = dry_run;
            shed->dry_run = 1;
            break;
        }
    }

    if (ngx_http_llm_args(cf, 1, ngx_http_llm_shed_args, shed) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (shed->target[LLM_SHED_FIRST] == 0 && shed->target[LLM_SHED_WHOLE] == 0
        && shed->remaining_bp == 0)
    {
        return "needs at least one of \"ttft=\", \"latency=\" and "
               "\"remaining=\", or \"off\"";
    }

    shed->on = 1;

    return NGX_CONF_OK;
}


void
ngx_http_llm_gate_check(ngx_conf_t *cf, ngx_http_llm_provider_t *p)
{
    if (!p->gate.shed.on || p->gate.shed.remaining_bp == 0) {
        return;
    }

    if (p->client_key) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"remaining\" of \"shed\" has no effect in "
                      "llm_provider \"%V\": every client has a key of its own",
                      &p->name);

    } else if (p->pool && p->pool->store.conf.group_n > LLM_SHED_LEFT) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"remaining\" of \"shed\" in llm_provider \"%V\" "
                      "looks at %d of the %uD quotas of its keys",
                      &p->name, LLM_SHED_LEFT, p->pool->store.conf.group_n);
    }
}


/* keepalive N [timeout=TIME]; keepalive off */

char *
ngx_http_llm_gate_keepalive(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t              *value;
    ngx_http_llm_origin_t  *o;

    value = cf->args->elts;
    o = &pb->provider->origin;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        o->keepalive = 0;
        return NGX_CONF_OK;
    }

    if (ngx_http_llm_arg_value(cf, &value[1], &ngx_http_llm_keepalive_value,
                               &value[1], o)
        != NGX_OK
        || ngx_http_llm_args(cf, 2, ngx_http_llm_keepalive_args, o) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
