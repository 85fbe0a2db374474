/*
 * What a request will probably use, learned from those before it.
 *
 * Limits reserve first and settle afterwards.  Reserving all of max_tokens
 * would starve callers who send 64000 by habit, so what is reserved follows
 * what answers of the same route took.  Quantiles come from a small histogram
 * that forgets: half of it whenever it is full.
 */

#ifndef LLM_FORECAST_H
#define LLM_FORECAST_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_FORECAST_BUCKETS  160       /* 8 an octave: off by 1/8 at most */
#define LLM_FORECAST_COLD     20        /* samples without which it says 0 */
#define LLM_FORECAST_FULL     1024      /* samples, then half is forgotten */

/* A learned quantile; all zero is "nothing known".  ->value may be read at any
 * time, the rest is for who learns. */
typedef struct {
    uint32_t  value;                    /* 0: cold */
    uint32_t  n;
    uint16_t  count[LLM_FORECAST_BUCKETS];
} llm_forecast_t;

/* A sample; `permille` is the quantile, the same at every call.  Quantiles
 * above the middle are the upper end of their bucket, others the lower one: a
 * reservation is rather too high. */
void llm_forecast_learn(llm_forecast_t *f, uint64_t x, uint32_t permille);

/* Bytes of text per token are learned in 1/64. */
#define LLM_FORECAST_RATIO    64
#define LLM_FORECAST_START    (3 * LLM_FORECAST_RATIO)
#define LLM_FORECAST_OUTPUT   1024      /* tokens while nothing is known */

/* What is known of a request, and what limits hold of it. */
typedef struct {
    uint64_t  bytes;                    /* of text in the prompt */
    uint64_t  extra;                    /* tokens of what is no text */
    uint64_t  max_tokens;               /* of the client; 0: none */
    uint64_t  choices;                  /* answers asked for, from 1 */
    uint64_t  context;                  /* of the model; 0: unknown */
    unsigned  hard:1;                   /* never less than max_tokens */
} llm_forecast_in_t;

/* Tokens of the prompt by a ratio (0: not learned yet), and of the answer by
 * the 95th percentile of its route (0: not learned yet). */
uint64_t llm_forecast_input(const llm_forecast_in_t *in, uint32_t ratio);
uint64_t llm_forecast_output(const llm_forecast_in_t *in, uint32_t p95);

/* bytes per token of an answered request in 1/64, for learning; 0: says
 * nothing. */
uint64_t llm_forecast_ratio(uint64_t bytes, uint64_t tokens);

#pragma GCC visibility pop

#endif /* LLM_FORECAST_H */
