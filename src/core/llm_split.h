/*
 * Percentages: which variant of a split a sticky key belongs to.
 *
 * Every key falls into one of 10 000 buckets for good; a table says whose each
 * bucket is.  Another weight changes the owner of as few buckets as possible,
 * so raising one moves keys only towards it, and nobody moves between two
 * variants whose weights stay the same.  Cumulative thresholds, as in
 * split_clients, do not have this property with three variants.
 */

#ifndef LLM_SPLIT_H
#define LLM_SPLIT_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_SPLIT_BUCKETS   10000       /* one is 0.01 % */
#define LLM_SPLIT_VARIANTS  16


/* The bucket of a key, [0, 9999]: murmur2 of "<salt in 16 hex digits>:<key>",
 * scaled.  Any length; no allocation. */
uint32_t llm_split_bucket(uint64_t salt, llm_str_t key);

/* The same for a random number in place of a key. */
uint32_t llm_split_bucket_random(uint64_t random);

/* Whether n weights in basis points sum to exactly 10 000. */
int llm_split_is_whole(const uint32_t *weight, uint32_t n);

/*
 * Fills owner[LLM_SPLIT_BUCKETS] anew: the variants but `base` in order from
 * bucket 0, `base` the rest.  Weights are whole.
 */
void llm_split_fill(uint8_t *owner, const uint32_t *weight, uint32_t n,
    uint32_t base);

/*
 * Changes the owners of as few buckets as lead to these weights.  A shrinking
 * variant gives its highest buckets, `base` its lowest; growing ones take them
 * in order, `base` last.  Owners that are not below n lose everything.  Each
 * byte is written once, from its old value to its new one: a reader in another
 * process sees one or the other.  Returns how many buckets moved.
 */
uint32_t llm_split_reweigh(uint8_t *owner, const uint32_t *weight, uint32_t n,
    uint32_t base);

/* "12.5%" or "12.5" as basis points, at most two decimals, 0 to 100 %.  LLM_OK
 * or LLM_BAD. */
llm_rc_t llm_split_parse(llm_str_t text, uint32_t *bp);

/* Basis points as a percentage without trailing zeros: "12.5". */
void llm_split_put(llm_buf_t *out, uint32_t bp);

#pragma GCC visibility pop

#endif /* LLM_SPLIT_H */
