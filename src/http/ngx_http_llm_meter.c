/*
 * What a send adds to the meter of its model, or of its provider where the
 * target is a provider: the numbers behind the metrics.
 */

#include "ngx_http_llm_ctx.h"


static ngx_http_llm_meter_data_t *ngx_http_llm_meter_data(
    ngx_http_llm_ctx_t *ctx);
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
    ngx_uint_t                  relayed;
    ngx_http_llm_meter_data_t  *data;

    data = ngx_http_llm_meter_data(ctx);

    if (data == NULL) {
        return;
    }

    ngx_http_llm_meter_send(ctx, class);

    relayed = ctx->send->relayed;

    if (relayed && ngx_http_llm_is_resuming(ctx)) {
        ngx_http_llm_meter_add(&data->resumes, ctx->resume->resumes != 0);
    }

    if (class == LLM_CLASS_OK || relayed
        || (ctx->committed && ctx->relay == NULL))
    {
        ngx_http_llm_meter_usage(ctx, data);
    }
}


void
ngx_http_llm_meter_send(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ngx_msec_t                  ms;
    ngx_http_llm_meter_data_t  *data;

    data = ngx_http_llm_meter_data(ctx);

    if (data == NULL || ctx->send->ticket.reported) {
        return;
    }

    ms = ngx_current_msec - ctx->send->started;

    ngx_http_llm_meter_add(&data->attempts[class], 1);
    ngx_http_llm_meter_add(&data->time_sum, ms);
    ngx_http_llm_meter_time(data->time, ms);
}


static ngx_http_llm_meter_data_t *
ngx_http_llm_meter_data(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (send->ticket.gate == NULL) {
        return NULL;
    }

    return send->target->model ? send->target->model->meter.data
                               : send->target->provider->meter.data;
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

    if (ctx->committed && ctx->facts.stream
        && (ctx->resume == NULL || ctx->resume->resumes == 0))
    {
        ngx_http_llm_meter_time(data->first, ctx->first_at
                                             - ctx->send->started);
    }
}
