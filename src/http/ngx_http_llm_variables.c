/*
 * The $llm_ variables: what happened to a request, for logs and maps.
 *
 * Empty where the request did not get that far, "-" never.  Values the client
 * chose are given as they are, so log formats should escape them (json).
 */

#include "ngx_http_llm_ctx.h"


typedef enum {
    NGX_HTTP_LLM_V_MODEL = 0,
    NGX_HTTP_LLM_V_SPLIT,
    NGX_HTTP_LLM_V_VARIANT,
    NGX_HTTP_LLM_V_ASSIGNED,
    NGX_HTTP_LLM_V_EXPERIMENT,
    NGX_HTTP_LLM_V_ROUTE,
    NGX_HTTP_LLM_V_PROVIDER,
    NGX_HTTP_LLM_V_TARGET_MODEL,
    NGX_HTTP_LLM_V_KEY,
    NGX_HTTP_LLM_V_STATUS_CLASS,
    NGX_HTTP_LLM_V_ERROR,
    NGX_HTTP_LLM_V_TRACE_ID,
    NGX_HTTP_LLM_V_LIMITED,
    NGX_HTTP_LLM_V_BUDGET,
    NGX_HTTP_LLM_V_ATTEMPTS,
    NGX_HTTP_LLM_V_FALLBACKS,
    NGX_HTTP_LLM_V_RESUMES,
    NGX_HTTP_LLM_V_INPUT_TOKENS,
    NGX_HTTP_LLM_V_CACHED_TOKENS,
    NGX_HTTP_LLM_V_OUTPUT_TOKENS,
    NGX_HTTP_LLM_V_REASONING_TOKENS,
    NGX_HTTP_LLM_V_AUDIO_SECONDS,
    NGX_HTTP_LLM_V_COST,
    NGX_HTTP_LLM_V_TTFT,
    NGX_HTTP_LLM_V_OVERHEAD,
    NGX_HTTP_LLM_V_REPAIRED,
    NGX_HTTP_LLM_V_DROPPED_EVENTS,
    NGX_HTTP_LLM_V_APP_URL,
    NGX_HTTP_LLM_V_APP_HOST,
    NGX_HTTP_LLM_V_APP_CONNECTION,
    NGX_HTTP_LLM_V_APP_UPGRADE,
    NGX_HTTP_LLM_V_APP_AUTHORIZATION,
    NGX_HTTP_LLM_V_CLIENT,
    NGX_HTTP_LLM_V_USER,
    NGX_HTTP_LLM_V_ORG,
    NGX_HTTP_LLM_V_PRIORITY,
    NGX_HTTP_LLM_V_NONE
} ngx_http_llm_variable_e;


static ngx_int_t ngx_http_llm_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_llm_page_error(ngx_http_request_t *r, ngx_str_t *s);
static ngx_int_t ngx_http_llm_text(ngx_http_llm_ctx_t *ctx, uintptr_t data,
    ngx_str_t *s);
static ngx_int_t ngx_http_llm_split_text(ngx_http_llm_ctx_t *ctx,
    uintptr_t data, ngx_str_t *s);
static ngx_int_t ngx_http_llm_app_text(ngx_http_request_t *r, uintptr_t data,
    ngx_str_t *s);
static ngx_int_t ngx_http_llm_caller_text(ngx_http_request_t *r,
    uintptr_t data, ngx_str_t *s);
static ngx_int_t ngx_http_llm_metadata(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_llm_number(ngx_http_llm_ctx_t *ctx, uintptr_t data,
    uint64_t *n);
static ngx_int_t ngx_http_llm_decimal(ngx_http_llm_ctx_t *ctx, uintptr_t data,
    llm_buf_t *b);


static ngx_http_variable_t  ngx_http_llm_vars[] = {

#define ngx_http_llm_var(name, id)                                            \
    { ngx_string(name), NULL, ngx_http_llm_variable, id,                      \
      NGX_HTTP_VAR_NOCACHEABLE, 0 }

    ngx_http_llm_var("llm_model", NGX_HTTP_LLM_V_MODEL),
    ngx_http_llm_var("llm_split", NGX_HTTP_LLM_V_SPLIT),
    ngx_http_llm_var("llm_variant", NGX_HTTP_LLM_V_VARIANT),
    ngx_http_llm_var("llm_assigned_variant", NGX_HTTP_LLM_V_ASSIGNED),
    ngx_http_llm_var("llm_experiment", NGX_HTTP_LLM_V_EXPERIMENT),
    ngx_http_llm_var("llm_route", NGX_HTTP_LLM_V_ROUTE),
    ngx_http_llm_var("llm_provider", NGX_HTTP_LLM_V_PROVIDER),
    ngx_http_llm_var("llm_target_model", NGX_HTTP_LLM_V_TARGET_MODEL),
    ngx_http_llm_var("llm_key", NGX_HTTP_LLM_V_KEY),
    ngx_http_llm_var("llm_attempts", NGX_HTTP_LLM_V_ATTEMPTS),
    ngx_http_llm_var("llm_fallbacks", NGX_HTTP_LLM_V_FALLBACKS),
    ngx_http_llm_var("llm_resumes", NGX_HTTP_LLM_V_RESUMES),
    ngx_http_llm_var("llm_status_class", NGX_HTTP_LLM_V_STATUS_CLASS),
    ngx_http_llm_var("llm_error", NGX_HTTP_LLM_V_ERROR),
    ngx_http_llm_var("llm_input_tokens", NGX_HTTP_LLM_V_INPUT_TOKENS),
    ngx_http_llm_var("llm_cached_tokens", NGX_HTTP_LLM_V_CACHED_TOKENS),
    ngx_http_llm_var("llm_output_tokens", NGX_HTTP_LLM_V_OUTPUT_TOKENS),
    ngx_http_llm_var("llm_reasoning_tokens", NGX_HTTP_LLM_V_REASONING_TOKENS),
    ngx_http_llm_var("llm_audio_seconds", NGX_HTTP_LLM_V_AUDIO_SECONDS),
    ngx_http_llm_var("llm_cost", NGX_HTTP_LLM_V_COST),
    ngx_http_llm_var("llm_ttft", NGX_HTTP_LLM_V_TTFT),
    ngx_http_llm_var("llm_overhead", NGX_HTTP_LLM_V_OVERHEAD),
    ngx_http_llm_var("llm_repaired", NGX_HTTP_LLM_V_REPAIRED),
    ngx_http_llm_var("llm_dropped_events", NGX_HTTP_LLM_V_DROPPED_EVENTS),
    ngx_http_llm_var("llm_app_url", NGX_HTTP_LLM_V_APP_URL),
    ngx_http_llm_var("llm_app_host", NGX_HTTP_LLM_V_APP_HOST),
    ngx_http_llm_var("llm_app_connection", NGX_HTTP_LLM_V_APP_CONNECTION),
    ngx_http_llm_var("llm_app_upgrade", NGX_HTTP_LLM_V_APP_UPGRADE),
    ngx_http_llm_var("llm_app_authorization",
                     NGX_HTTP_LLM_V_APP_AUTHORIZATION),
    ngx_http_llm_var("llm_client", NGX_HTTP_LLM_V_CLIENT),
    ngx_http_llm_var("llm_user", NGX_HTTP_LLM_V_USER),
    ngx_http_llm_var("llm_org", NGX_HTTP_LLM_V_ORG),
    ngx_http_llm_var("llm_priority", NGX_HTTP_LLM_V_PRIORITY),
    ngx_http_llm_var("llm_cache", NGX_HTTP_LLM_V_NONE),
    ngx_http_llm_var("llm_limited", NGX_HTTP_LLM_V_LIMITED),
    ngx_http_llm_var("llm_budget", NGX_HTTP_LLM_V_BUDGET),
    ngx_http_llm_var("llm_trace_id", NGX_HTTP_LLM_V_TRACE_ID),
    ngx_http_llm_var("llm_feedback", NGX_HTTP_LLM_V_NONE),
    ngx_http_llm_var("llm_feedback_id", NGX_HTTP_LLM_V_NONE),
    ngx_http_llm_var("llm_feedback_comment", NGX_HTTP_LLM_V_NONE),

    ngx_http_null_variable
};


/* $llm_client_meta_NAME: a member of the client's metadata. */

static ngx_str_t  ngx_http_llm_meta = ngx_string("llm_client_meta_");


ngx_int_t
ngx_http_llm_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    var = ngx_http_add_variable(cf, &ngx_http_llm_meta,
                                NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_llm_metadata;

    for (v = ngx_http_llm_vars; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    uint64_t             n;
    llm_buf_t            b;
    ngx_str_t            s;
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_get_ctx(r->main);

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    ngx_str_null(&s);

    if (ngx_http_llm_app_text(r, data, &s) == NGX_OK
        || ngx_http_llm_caller_text(r, data, &s) == NGX_OK)
    {
        /* of the request alone: a proxy_pass inside the location of an
         * application inherits its headers, and nobody may get further than
         * llm_auth */

    } else if (ctx == NULL) {

        if (data == NGX_HTTP_LLM_V_ERROR) {
            ngx_http_llm_page_error(r->main, &s);
        }

    } else if (ngx_http_llm_text(ctx, data, &s) != NGX_OK) {

        s.data = ngx_pnalloc(r->pool, 48);
        if (s.data == NULL) {
            return NGX_ERROR;
        }

        llm_buf_init(&b, s.data, 48);

        if (ngx_http_llm_number(ctx, data, &n) == NGX_OK) {

            if (n != LLM_UNKNOWN) {
                llm_json_put_uint(&b, n);
            }

        } else if (ngx_http_llm_decimal(ctx, data, &b) != NGX_OK) {
            v->not_found = 1;
            return NGX_OK;
        }

        s.len = b.pos - b.start;
    }

    v->data = s.data;
    v->len = s.len;
    v->not_found = (s.len == 0);

    return NGX_OK;
}


/* A request that nginx refused before our handler saw it has no context. */

static void
ngx_http_llm_page_error(ngx_http_request_t *r, ngx_str_t *s)
{
    llm_str_t  name;

    if (ngx_http_get_module_ctx(r, ngx_http_llm_gateway_filter_module)
        == NULL)
    {
        return;
    }

    name = llm_code_info(llm_code_of_status(
                                  (unsigned) r->headers_out.status))->name;

    s->data = (u_char *) name.data;
    s->len = name.len;
}


static ngx_int_t
ngx_http_llm_text(ngx_http_llm_ctx_t *ctx, uintptr_t data, ngx_str_t *s)
{
    llm_str_t               name;
    ngx_http_llm_target_t  *target;

    target = ctx->send ? ctx->send->target : NULL;
    name = LLM_NOSTR;

    switch (data) {

    case NGX_HTTP_LLM_V_MODEL:
        *s = ctx->model;
        return NGX_OK;

    case NGX_HTTP_LLM_V_ROUTE:
        if (ctx->route) {
            *s = ctx->route->name;
        } else {
            ngx_http_llm_app_url(ctx, s);
        }
        return NGX_OK;

    case NGX_HTTP_LLM_V_PROVIDER:
        if (target) {
            *s = target->provider->name;
        }
        return NGX_OK;

    case NGX_HTTP_LLM_V_TARGET_MODEL:
        if (target) {
            ngx_http_llm_target_model(ctx, target, s);
        }
        return NGX_OK;

    case NGX_HTTP_LLM_V_KEY:
        *s = ctx->key_name;
        return NGX_OK;

    case NGX_HTTP_LLM_V_STATUS_CLASS:
        if (ctx->settled) {
            name = llm_class_name(ctx->class);
        }
        break;

    case NGX_HTTP_LLM_V_ERROR:
        if (ctx->code != LLM_CODE_NONE) {
            name = llm_code_info(ctx->code)->name;
        }
        break;

    case NGX_HTTP_LLM_V_TRACE_ID:
        s->data = ctx->id;
        s->len = sizeof(ctx->id);
        return NGX_OK;

    case NGX_HTTP_LLM_V_NONE:
        return NGX_OK;

    default:
        return ngx_http_llm_split_text(ctx, data, s);
    }

    s->data = (u_char *) name.data;
    s->len = name.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_split_text(ngx_http_llm_ctx_t *ctx, uintptr_t data, ngx_str_t *s)
{
    ngx_http_llm_split_t  *split;

    split = ctx->split;

    switch (data) {

    case NGX_HTTP_LLM_V_SPLIT:
        if (split) {
            *s = split->name;
        }
        return NGX_OK;

    case NGX_HTTP_LLM_V_VARIANT:
        if (split) {
            *s = split->variants[ctx->variant].name;
        }
        return NGX_OK;

    case NGX_HTTP_LLM_V_ASSIGNED:
        if (split) {
            *s = split->variants[ctx->place.variant].name;
        }
        return NGX_OK;

    case NGX_HTTP_LLM_V_EXPERIMENT:
        if (split && ctx->place.counted) {
            *s = split->store.experiment;
        }
        return NGX_OK;

    case NGX_HTTP_LLM_V_LIMITED:
        ngx_http_llm_policy_limited(ctx, s);
        return NGX_OK;

    case NGX_HTTP_LLM_V_APP_URL:
        ngx_http_llm_app_url(ctx, s);
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


static ngx_int_t
ngx_http_llm_app_text(ngx_http_request_t *r, uintptr_t data, ngx_str_t *s)
{
    switch (data) {

    case NGX_HTTP_LLM_V_APP_HOST:
        ngx_http_llm_app_host(r, s);
        return NGX_OK;

    case NGX_HTTP_LLM_V_APP_CONNECTION:
        ngx_http_llm_app_connection(r, s);
        return NGX_OK;

    case NGX_HTTP_LLM_V_APP_UPGRADE:
        ngx_http_llm_app_upgrade(r, s);
        return NGX_OK;

    case NGX_HTTP_LLM_V_APP_AUTHORIZATION:
        ngx_http_llm_app_authorization(r, s);
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


static ngx_int_t
ngx_http_llm_caller_text(ngx_http_request_t *r, uintptr_t data, ngx_str_t *s)
{
    llm_str_t               priority;
    ngx_http_llm_caller_t  *caller;

    if (data < NGX_HTTP_LLM_V_CLIENT || data > NGX_HTTP_LLM_V_PRIORITY) {
        return NGX_DECLINED;
    }

    if (data == NGX_HTTP_LLM_V_PRIORITY) {
        priority = llm_priority_name(ngx_http_llm_priority(r));
        s->data = (u_char *) priority.data;
        s->len = priority.len;
        return NGX_OK;
    }

    caller = ngx_http_llm_caller(r);

    if (caller == NULL) {
        return NGX_OK;
    }

    switch (data) {

    case NGX_HTTP_LLM_V_CLIENT:
        *s = caller->client->id;
        break;

    case NGX_HTTP_LLM_V_USER:
        *s = caller->user;
        break;

    default: /* NGX_HTTP_LLM_V_ORG */
        *s = caller->org;
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_metadata(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                 *p;
    llm_buf_t               mem;
    llm_str_t               name, value, metadata;
    ngx_str_t              *variable = (ngx_str_t *) data;
    ngx_http_llm_caller_t  *caller;

    v->not_found = 1;
    caller = ngx_http_llm_caller(r);

    if (caller == NULL || caller->client->metadata.len == 0) {
        return NGX_OK;
    }

    metadata = ngx_http_llm_view(&caller->client->metadata);

    p = ngx_pnalloc(r->pool, metadata.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&mem, p, metadata.len);

    name.data = variable->data + ngx_http_llm_meta.len;
    name.len = variable->len - ngx_http_llm_meta.len;

    if (llm_client_metadata(metadata, name, &mem, &value) != LLM_OK
        || value.len == 0)
    {
        return NGX_OK;
    }

    v->data = (u_char *) value.data;
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_number(ngx_http_llm_ctx_t *ctx, uintptr_t data, uint64_t *n)
{
    switch (data) {

    case NGX_HTTP_LLM_V_ATTEMPTS:
        *n = ctx->sends;
        return NGX_OK;

    case NGX_HTTP_LLM_V_RESUMES:
        *n = ctx->resume ? ctx->resume->resumes : 0;
        return NGX_OK;

    case NGX_HTTP_LLM_V_FALLBACKS:
        *n = ctx->fallbacks;
        return NGX_OK;

    case NGX_HTTP_LLM_V_INPUT_TOKENS:
        *n = ctx->usage.input;
        return NGX_OK;

    case NGX_HTTP_LLM_V_CACHED_TOKENS:
        *n = ctx->usage.cached;
        return NGX_OK;

    case NGX_HTTP_LLM_V_OUTPUT_TOKENS:
        *n = ctx->usage.output;
        return NGX_OK;

    case NGX_HTTP_LLM_V_REASONING_TOKENS:
        *n = ctx->usage.reasoning;
        return NGX_OK;

    case NGX_HTTP_LLM_V_REPAIRED:
        *n = ctx->repaired ? 1 : LLM_UNKNOWN;
        return NGX_OK;

    case NGX_HTTP_LLM_V_DROPPED_EVENTS:
        *n = ctx->malformed ? ctx->malformed : LLM_UNKNOWN;
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


/* Seconds with three digits, dollars with as many as it takes. */

static ngx_int_t
ngx_http_llm_decimal(ngx_http_llm_ctx_t *ctx, uintptr_t data, llm_buf_t *b)
{
    uint64_t  ms;

    switch (data) {

    case NGX_HTTP_LLM_V_COST:
        if (ctx->cost != LLM_UNKNOWN) {
            llm_price_put(b, ctx->cost);
        }
        return NGX_OK;

    case NGX_HTTP_LLM_V_BUDGET:
        ms = ngx_http_llm_budget_percent(ctx);

        if (ms != LLM_UNKNOWN) {
            llm_json_put_uint(b, ms);
            llm_buf_str(b, LLM_STR("%"));
        }

        return NGX_OK;

    case NGX_HTTP_LLM_V_AUDIO_SECONDS:
        ms = ctx->usage.audio_ms;
        break;

    case NGX_HTTP_LLM_V_TTFT:
        ms = ctx->first_at ? ctx->first_at - ctx->started : LLM_UNKNOWN;
        break;

    case NGX_HTTP_LLM_V_OVERHEAD:
        ms = ctx->first_at && ctx->send
             ? ngx_http_llm_overhead(ctx) : LLM_UNKNOWN;
        break;

    default:
        return NGX_DECLINED;
    }

    if (ms != LLM_UNKNOWN) {
        b->pos = ngx_snprintf(b->pos, b->end - b->pos, "%uL.%03uL",
                              ms / 1000, ms % 1000);
    }

    return NGX_OK;
}
