/*
 * Latencies as a log-linear histogram of whole milliseconds: 16 steps to an
 * octave, so a percentile is off by 1/33 at most, 3 %.  Buckets only add up,
 * which merges slots, workers and nodes in any order.
 */

#ifndef LLM_HIST_H
#define LLM_HIST_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_HIST_BUCKETS  275           /* 0 ms to 20 minutes */


/* The bucket of a time; everything above the last bound is in the last one. */
uint32_t llm_hist_bucket(uint64_t ms);

/* The middle of a bucket in ms: off by the same share at both of its ends. */
uint64_t llm_hist_value(uint32_t bucket);

/* The sum of all buckets. */
uint64_t llm_hist_count(const uint32_t *bucket);

/* The value that `permille` of the samples do not exceed; 0 without samples. */
uint64_t llm_hist_quantile(const uint32_t *bucket, uint32_t permille);

/* The same with `more` samples of which is only known that they are at least
 * `least` (still running, for so long): where one of them is the answer, that
 * is what it says. */
uint64_t llm_hist_quantile_with(const uint32_t *bucket, uint64_t more,
    uint64_t least, uint32_t permille);

#pragma GCC visibility pop

#endif /* LLM_HIST_H */
