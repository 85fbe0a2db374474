/*
 * Shedding, as a request meets it: its priority, the question at each target,
 * and what its answer says about the provider.
 */

#include "ngx_http_llm_client.h"
#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_shed_off(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_store_gate_t *gate);


/* llm_priority low | normal | high | $variable */

char *
ngx_http_llm_set_priority(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_str_t                         *value;
    ngx_http_compile_complex_value_t   ccv;

    if (llcf->priority != LLM_PRIORITY_UNSET || llcf->priority_value) {
        return "is duplicate";
    }

    value = cf->args->elts;

    llcf->priority = llm_priority_find((llm_str_t) { value[1].len,
                                                     value[1].data });
    if (llcf->priority != LLM_PRIORITY_UNSET) {
        return NGX_CONF_OK;
    }

    if (ngx_http_script_variables_count(&value[1]) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown priority \"%V\", expected one of: low, "
                           "normal, high, or a variable", &value[1]);
        return NGX_CONF_ERROR;
    }

    llcf->priority_value = ngx_palloc(cf->pool,
                                      sizeof(ngx_http_complex_value_t));
    if (llcf->priority_value == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = llcf->priority_value;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


/* A copy for the mirror has no client to wait for it; of others the record of
 * the client comes first, where it has a word for it. */

llm_priority_t
ngx_http_llm_priority(ngx_http_request_t *r)
{
    ngx_str_t                 value;
    llm_priority_t            priority;
    ngx_http_llm_ctx_t       *ctx;
    ngx_http_llm_client_t    *client;
    ngx_http_llm_loc_conf_t  *llcf;

    ctx = ngx_http_llm_get_ctx(r);

    if (ctx && ctx->shadow) {
        return LLM_PRIORITY_LOW;
    }

    client = ngx_http_llm_client(r);

    if (client && client->priority != LLM_PRIORITY_UNSET) {
        return (llm_priority_t) client->priority;
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);
    priority = llcf->priority;

    if (llcf->priority_value
        && ngx_http_complex_value(r, llcf->priority_value, &value) == NGX_OK)
    {
        priority = llm_priority_find(ngx_http_llm_view(&value));
    }

    return priority == LLM_PRIORITY_UNSET ? LLM_PRIORITY_NORMAL : priority;
}


/*
 * Asked once per target: who waited for a slot or for another attempt was let
 * in.  The luck of a request is the same everywhere, so the second model of a
 * provider is no second chance.
 */

ngx_int_t
ngx_http_llm_shed(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_store_t       *store;
    ngx_http_llm_store_gate_t  *gate;

    store = &ctx->lmcf->store;
    gate = &ctx->send->target->provider->gate;

    if (ctx->shed.gate) {

        if (ctx->queued && ctx->shed.gate == gate) {
            return NGX_OK;
        }

        ngx_http_llm_shed_leave(store, &ctx->shed, LLM_CLASS_CLIENT_GONE);
    }

    if (gate->shed_node == NULL) {
        return NGX_OK;
    }

    if (ctx->priority == LLM_PRIORITY_UNSET) {
        ctx->priority = ngx_http_llm_priority(ctx->request);
        ctx->luck = (uint32_t) ngx_random() % LLM_SHED_ONE;
    }

    if (ctx->retried == 0 && ctx->rotated == 0
        && ngx_http_llm_shed_ask(store, gate, ctx->priority, ctx->luck)
           != NGX_OK)
    {
        return ngx_http_llm_shed_off(ctx, gate);
    }

    ngx_http_llm_shed_enter(store, gate, ctx->facts.stream ? LLM_SHED_FIRST
                                                           : LLM_SHED_WHOLE,
                            &ctx->shed);
    return NGX_OK;
}


/* Not all of them come back at the same time. */

static ngx_int_t
ngx_http_llm_shed_off(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_store_gate_t *gate)
{
    llm_msec_t  wait;

    wait = gate->shed.window / 2;
    wait += (llm_msec_t) ngx_random() % (wait + 1);
    wait = ngx_max(wait, 1000);

    if (wait < ctx->wait) {
        ctx->wait = wait;
    }

    ngx_http_llm_decide(ctx, LLM_CLASS_SHED, wait);

    return NGX_DONE;
}


/* The head of an answer, of any status: what is left of the quota of its key.
 * A client's own key has a quota of its own. */

void
ngx_http_llm_shed_heard(ngx_http_llm_ctx_t *ctx)
{
    uint32_t                    left, group;
    ngx_str_t                   model;
    llm_msec_t                  reset;
    ngx_http_llm_send_t        *send;
    ngx_http_llm_provider_t    *provider;
    ngx_http_llm_store_pool_t  *pool;

    send = ctx->send;
    provider = send->target->provider;

    if (!ngx_http_llm_shed_hears(provider)) {
        return;
    }

    left = llm_hint_left(&send->hint, ngx_http_llm_store_now(&ctx->lmcf->store),
                         &reset);

    if (left == UINT32_MAX) {
        return;
    }

    ngx_http_llm_target_model(ctx, send->target, &model);

    pool = send->ticket.pool;
    group = pool ? pool->conf.key[send->ticket.lease.key].group : 0;

    ngx_http_llm_shed_told(&ctx->lmcf->store, &provider->gate, pool, group,
                           &model, left, reset);
}
