/*
 * Hashes, each for one purpose.
 *
 * murmur2: the same numbers as nginx's own, so that a sticky key lands where
 * split_clients would put it.  FNV-1a: names in tables.  SHA-256:
 * fingerprints of keys, which must not lead back to the key.
 */

#ifndef LLM_HASH_H
#define LLM_HASH_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

uint32_t llm_murmur2(llm_str_t s);

/* The same of b right behind a, without joining them. */
uint32_t llm_murmur2_two(llm_str_t a, llm_str_t b);

/* FNV-1a; seed 0 gives the published values, others independent functions. */
uint64_t llm_fnv64(llm_str_t s, uint64_t seed);

/* FIPS 180-4. */
void llm_sha256(llm_str_t s, unsigned char out[32]);

#pragma GCC visibility pop

#endif /* LLM_HASH_H */
