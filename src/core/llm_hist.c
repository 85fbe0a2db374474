/*
 * Log-linear histograms of milliseconds: bucket numbers by a shift and a count
 * of leading zeros.
 */

#include "llm_hist.h"

#define LLM_HIST_BITS  4                /* 16 steps to an octave */
#define LLM_HIST_STEP  (1u << LLM_HIST_BITS)


uint32_t
llm_hist_bucket(uint64_t ms)
{
    uint32_t  shift, bucket;

    if (ms < LLM_HIST_STEP) {
        return (uint32_t) ms;
    }

    shift = 63 - (uint32_t) __builtin_clzll(ms) - LLM_HIST_BITS;

    /* the leading bit of ms >> shift adds one octave: shift + 1 in all */

    bucket = shift * LLM_HIST_STEP + (uint32_t) (ms >> shift);

    return bucket < LLM_HIST_BUCKETS ? bucket : LLM_HIST_BUCKETS - 1;
}


uint64_t
llm_hist_value(uint32_t bucket)
{
    uint32_t  shift;
    uint64_t  low, high;

    if (bucket < 2 * LLM_HIST_STEP) {
        return bucket;
    }

    shift = bucket / LLM_HIST_STEP - 1;
    low = (uint64_t) (bucket % LLM_HIST_STEP + LLM_HIST_STEP) << shift;
    high = low + ((uint64_t) 1 << shift) - 1;

    /* the harmonic mean: as far from both ends, as a share of the value */

    return 2 * low * high / (low + high);
}


uint64_t
llm_hist_count(const uint32_t *bucket)
{
    size_t    i;
    uint64_t  n;

    for (i = 0, n = 0; i < LLM_HIST_BUCKETS; i++) {
        n += bucket[i];
    }

    return n;
}


uint64_t
llm_hist_quantile(const uint32_t *bucket, uint32_t permille)
{
    return llm_hist_quantile_with(bucket, 0, 0, permille);
}


uint64_t
llm_hist_quantile_with(const uint32_t *bucket, uint64_t more, uint64_t least,
    uint32_t permille)
{
    uint32_t  i, running;
    uint64_t  n, rank, value;

    n = llm_hist_count(bucket) + more;

    if (n == 0) {
        return 0;
    }

    rank = (n * permille + 999) / 1000;
    rank = rank ? rank : 1;
    running = llm_hist_bucket(least);

    for (i = 0; i < LLM_HIST_BUCKETS; i++) {
        if (rank <= bucket[i]) {
            return llm_hist_value(i);
        }

        rank -= bucket[i];

        if (i != running) {
            continue;
        }

        if (rank <= more) {
            value = llm_hist_value(i);
            return value > least ? value : least;
        }

        rank -= more;
    }

    return llm_hist_value(LLM_HIST_BUCKETS - 1);
}
