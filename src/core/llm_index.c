/*
 * A table of things by 64-bit hashes: adding, growing, removing.
 */

#include "llm_index.h"

#define LLM_INDEX_MIN  16


size_t
llm_index_size(size_t n)
{
    size_t  size;

    for (size = LLM_INDEX_MIN; size < 2 * n; size *= 2) {
        /* void */
    }

    return size;
}


void
llm_index_init(llm_index_t *index, llm_index_slot_t *slot, size_t size)
{
    index->slot = slot;
    index->size = size;
    index->n = 0;
}


llm_rc_t
llm_index_add(llm_index_t *index, uint64_t hash, void *item)
{
    size_t  i, mask;

    if (2 * (index->n + 1) > index->size) {
        return LLM_FULL;
    }

    mask = index->size - 1;

    for (i = hash & mask; index->slot[i].item; i = (i + 1) & mask) {
        /* void */
    }

    index->slot[i].hash = hash;
    index->slot[i].item = item;
    index->n++;

    return LLM_OK;
}


void
llm_index_move(llm_index_t *to, const llm_index_t *from)
{
    size_t  i;

    for (i = 0; i < from->size; i++) {
        if (from->slot[i].item) {
            (void) llm_index_add(to, from->slot[i].hash, from->slot[i].item);
        }
    }
}


/* Those behind it move up, so that no search ends too early. */

static void
llm_index_close(llm_index_t *index, size_t hole)
{
    size_t  i, home, mask;

    mask = index->size - 1;

    for (i = (hole + 1) & mask; index->slot[i].item; i = (i + 1) & mask) {
        home = index->slot[i].hash & mask;

        /* one that is not farther from home than the hole stays */

        if (((i - home) & mask) < ((i - hole) & mask)) {
            continue;
        }

        index->slot[hole] = index->slot[i];
        hole = i;
    }

    index->slot[hole].item = NULL;
    index->n--;
}


llm_rc_t
llm_index_remove(llm_index_t *index, uint64_t hash, const void *item)
{
    size_t  i, k, mask;

    mask = index->size - 1;

    for (k = 0; k < index->size; k++) {
        i = (hash + k) & mask;

        if (index->slot[i].item == NULL) {
            break;
        }

        if (index->slot[i].item == item && index->slot[i].hash == hash) {
            llm_index_close(index, i);
            return LLM_OK;
        }
    }

    return LLM_NONE;
}
