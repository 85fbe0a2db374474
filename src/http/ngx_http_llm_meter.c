/*
 * What a send adds to the meter of its model, or of its provider where the
 * target is a provider: the numbers behind the metrics.
 */

#include "ngx_http_llm_ctx.h"


static void ngx_http_llm_meter_usage(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_meter_data_t *data);


static ngx_inline void
ngx_http_llm_meter_add(uint64_t *count, uint64_t n)
{
    if (n != LLM_UNKNOWN) {
        (void) __atomic_fetch_add(count, n, __ATOMIC_RELAXED);
    }
}


static ngx_inline void
ngx_http_llm_meter_time(uint32_t *time, ngx_msec_t ms)
{
    (void) __atomic_fetch_add(&time[llm_hist_bucket(ms)], 1, __ATOMIC_RELAXED);
}


void
ngx_http_llm_meter(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ngx_msec_t                  ms;
    ngx_http_llm_send_t        *send;
    ngx_http_llm_meter_data_t  *data;

    send = ctx->send;
    data = send->target->model ? send->target->model->meter.data
                               : send->target->provider->meter.data;

    if (data == NULL || send->ticket.gate == NULL) {
        return;
    }

    ms = ngx_current_msec - send->started;

    ngx_http_llm_meter_add(&data->attempts[class], 1);
    ngx_http_llm_meter_add(&data->time_sum, ms);
    ngx_http_llm_meter_time(data->time, ms);

    if (class == LLM_CLASS_OK || ctx->committed) {
        ngx_http_llm_meter_usage(ctx, data);
    }
}


/* Of an answer, whole or cut: a cut one may have told what it took. */

static void
ngx_http_llm_meter_usage(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_meter_data_t *data)
{
    ngx_http_llm_meter_add(&data->input, ctx->usage.input);
    ngx_http_llm_meter_add(&data->cached, ctx->usage.cached);
    ngx_http_llm_meter_add(&data->output, ctx->usage.output);
    ngx_http_llm_meter_add(&data->reasoning, ctx->usage.reasoning);
    ngx_http_llm_meter_add(&data->audio_ms, ctx->usage.audio_ms);
    ngx_http_llm_meter_add(&data->cost, ctx->cost);
    ngx_http_llm_meter_add(&data->unpriced, ctx->cost == LLM_UNKNOWN);

    if (ctx->committed && ctx->facts.stream) {
        ngx_http_llm_meter_time(data->first, ctx->first_at
                                             - ctx->send->started);
    }
}
