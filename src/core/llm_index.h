/*
 * A table of things by 64-bit hashes, for lookups in nanoseconds.
 *
 * Open addressing with linear probing in the caller's memory.  Hashes must be
 * good (SHA-256, FNV); several things may have the same one, the caller tells
 * them apart.
 */

#ifndef LLM_INDEX_H
#define LLM_INDEX_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

typedef struct {
    uint64_t  hash;
    void     *item;                     /* NULL: free */
} llm_index_slot_t;

typedef struct {
    llm_index_slot_t  *slot;
    size_t       size;                  /* a power of two; 0: nothing fits */
    size_t       n;
} llm_index_t;

/* How many slots a table for n things needs: it is at most half full. */
size_t llm_index_size(size_t n);

/* `slot`: zeroed, llm_index_size() of them. */
void llm_index_init(llm_index_t *index, llm_index_slot_t *slot, size_t size);

/* LLM_OK, or LLM_FULL: it is half full, make a larger one and move. */
llm_rc_t llm_index_add(llm_index_t *index, uint64_t hash, void *item);
void llm_index_move(llm_index_t *to, const llm_index_t *from);

/* LLM_OK, or LLM_NONE: it is not there. */
llm_rc_t llm_index_remove(llm_index_t *index, uint64_t hash,
    const void *item);

/* The things with that hash, one after the other: *at is 0 at first; NULL at
 * the end. */
static inline void *
llm_index_next(const llm_index_t *index, uint64_t hash, size_t *at)
{
    const llm_index_slot_t  *s;

    while (*at < index->size) {
        s = &index->slot[(hash + (*at)++) & (index->size - 1)];

        if (s->item == NULL) {
            *at = index->size;
            return NULL;
        }

        if (s->hash == hash) {
            return s->item;
        }
    }

    return NULL;
}

#pragma GCC visibility pop

#endif /* LLM_INDEX_H */
