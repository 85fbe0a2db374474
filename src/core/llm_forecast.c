/*
 * Estimates of a request's tokens from quantiles of the past.
 *
 * A ratio of bytes per token is taken low and an answer's length high, so most
 * reservations are corrected downwards: what was reserved too much comes back,
 * what was reserved too little has been admitted already.
 */

#include "llm_forecast.h"

#define LLM_FORECAST_STEPS   8          /* of an octave */
#define LLM_FORECAST_EXACT   16         /* below it every number has its own */
#define LLM_FORECAST_EVERY   16         /* samples from one look to the next */
#define LLM_FORECAST_RATIOS  (16 * LLM_FORECAST_RATIO)
#define LLM_FORECAST_BYTES   (1ULL << 40)   /* no request has more */


/* Numbers below 16 one by one, then 8 steps to an octave. */

static uint32_t
llm_forecast_bucket(uint64_t x)
{
    uint32_t  octave, bucket;

    for (octave = 0; x >= LLM_FORECAST_EXACT; octave++) {
        x >>= 1;
    }

    bucket = LLM_FORECAST_STEPS * octave + (uint32_t) x;

    return bucket < LLM_FORECAST_BUCKETS ? bucket : LLM_FORECAST_BUCKETS - 1;
}


/* The least number of a bucket. */

static uint32_t
llm_forecast_least(uint32_t bucket)
{
    uint32_t  octave;

    if (bucket < LLM_FORECAST_EXACT) {
        return bucket;
    }

    octave = bucket / LLM_FORECAST_STEPS - 1;

    return (bucket - LLM_FORECAST_STEPS * octave) << octave;
}


static uint32_t
llm_forecast_quantile(const llm_forecast_t *f, uint32_t permille)
{
    uint32_t  i, n, want;

    want = (uint32_t) (((uint64_t) f->n * permille + 999) / 1000);
    want = want ? want : 1;

    for (n = 0, i = 0; i < LLM_FORECAST_BUCKETS - 1; i++) {
        n += f->count[i];

        if (n >= want) {
            break;
        }
    }

    n = permille > 500 ? llm_forecast_least(i + 1) - 1 : llm_forecast_least(i);

    return n ? n : 1;                   /* 0 says that nothing is known */
}


static void
llm_forecast_forget(llm_forecast_t *f)
{
    uint32_t  i;

    for (f->n = 0, i = 0; i < LLM_FORECAST_BUCKETS; i++) {
        f->count[i] /= 2;
        f->n += f->count[i];
    }
}


void
llm_forecast_learn(llm_forecast_t *f, uint64_t x, uint32_t permille)
{
    f->count[llm_forecast_bucket(x)]++;
    f->n++;

    if (f->n >= LLM_FORECAST_FULL) {
        llm_forecast_forget(f);
    }

    if (f->n == LLM_FORECAST_COLD
        || (f->n > LLM_FORECAST_COLD && f->n % LLM_FORECAST_EVERY == 0))
    {
        f->value = llm_forecast_quantile(f, permille);
    }
}


uint64_t
llm_forecast_input(const llm_forecast_in_t *in, uint32_t ratio)
{
    if (ratio == 0) {
        ratio = LLM_FORECAST_START;
    }

    return (in->bytes * LLM_FORECAST_RATIO + ratio - 1) / ratio + in->extra;
}


uint64_t
llm_forecast_output(const llm_forecast_in_t *in, uint32_t p95)
{
    uint64_t  n;

    /* what is learned is of whole answers, however many choices they had */

    n = p95 ? (uint64_t) p95 * 6 / 5 : LLM_FORECAST_OUTPUT * in->choices;

    if (in->context && n > in->context * in->choices) {
        n = in->context * in->choices;
    }

    if (in->max_tokens == 0) {
        return n;
    }

    if (in->hard || in->max_tokens * in->choices < n) {
        return in->max_tokens * in->choices;
    }

    return n;
}


uint64_t
llm_forecast_ratio(uint64_t bytes, uint64_t tokens)
{
    uint64_t  ratio;

    if (bytes == 0 || tokens == 0 || bytes > LLM_FORECAST_BYTES) {
        return 0;
    }

    ratio = bytes * LLM_FORECAST_RATIO / tokens;

    /* a picture among the words, or a prompt that the provider added */

    if (ratio < LLM_FORECAST_RATIO / 2) {
        return 0;
    }

    return ratio < LLM_FORECAST_RATIOS ? ratio : LLM_FORECAST_RATIOS;
}
