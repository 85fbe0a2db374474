/*
 * Splits: percentages, prices and names of triggers as they are written, and
 * tables of buckets that are reweighed again and again.
 *
 * The first byte chooses.  What is read is written the same way again; after
 * any weights each variant has as many buckets as it should, and no more of
 * them moved than had to.
 */

#include <stdlib.h>

#include "llm_price.h"
#include "llm_rollout.h"
#include "llm_trigger.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
try_words(llm_str_t text)
{
    uint32_t            bp, bp2;
    uint64_t            nano, nano2;
    llm_buf_t           out;
    llm_verb_t          verb;
    unsigned char       mem[64];
    llm_trigger_kind_t  kind;

    if (llm_split_parse(text, &bp) == LLM_OK) {
        MUST(bp <= LLM_SPLIT_BUCKETS);

        llm_buf_init(&out, mem, sizeof(mem));
        llm_split_put(&out, bp);
        MUST(llm_split_parse(llm_buf_view(&out), &bp2) == LLM_OK);
        MUST(!out.full && bp == bp2);
    }

    if (llm_price_parse(text, &nano) == LLM_OK) {
        llm_buf_init(&out, mem, sizeof(mem));
        llm_price_put(&out, nano);
        MUST(llm_price_parse(llm_buf_view(&out), &nano2) == LLM_OK);
        MUST(!out.full && nano == nano2);
    }

    if (llm_trigger_by_name(text, &kind) == LLM_OK) {
        MUST(llm_str_eq(llm_trigger_name(kind), text));
    }

    if (llm_verb_by_name(text, &verb) == LLM_OK) {
        MUST(llm_str_eq(llm_verb_name(verb), text));
    }
}


/* Two bytes a variant: shares of what is left, the last one takes the rest. */
static const uint8_t *
read_weights(const uint8_t *p, uint32_t *weight, uint32_t n)
{
    uint32_t  i, left;

    left = LLM_SPLIT_BUCKETS;

    for (i = 0; i < n; i++, p += 2) {
        weight[i] = i + 1 < n ? (p[0] * 256u + p[1]) % (left + 1) : left;
        left -= weight[i];
    }

    MUST(llm_split_is_whole(weight, n));

    return p;
}


static void
count(const uint8_t *owner, uint32_t *have)
{
    uint32_t  i;

    memset(have, 0, 256 * sizeof(uint32_t));

    for (i = 0; i < LLM_SPLIT_BUCKETS; i++) {
        have[owner[i]]++;
    }
}


static void
try_reweigh(uint8_t *owner, const uint32_t *weight, uint32_t n, uint32_t base)
{
    uint32_t        i, v, moved, least, had[256], have[256];
    static uint8_t  before[LLM_SPLIT_BUCKETS];

    count(owner, had);
    memcpy(before, owner, sizeof(before));

    moved = llm_split_reweigh(owner, weight, n, base);

    count(owner, have);

    for (v = 0, least = 0; v < n; v++) {
        MUST(have[v] == weight[v]);
        least += have[v] > had[v] ? have[v] - had[v] : 0;
    }

    MUST(moved == least);

    for (i = 0; i < LLM_SPLIT_BUCKETS; i++) {
        v = before[i];

        if (owner[i] != v) {
            moved--;
            MUST(v >= n || had[v] > weight[v]);
            MUST(had[owner[i]] < weight[owner[i]]);
        }
    }

    MUST(moved == 0);
}


static void
try_weights(const uint8_t *p, const uint8_t *last)
{
    uint32_t        v, n, base, have[256], weight[LLM_SPLIT_VARIANTS];
    static uint8_t  owner[LLM_SPLIT_BUCKETS];

    for (n = 0; last - p >= 1 + 2 * LLM_SPLIT_VARIANTS; /* void */ ) {

        if (n == 0) {
            n = 1 + *p % LLM_SPLIT_VARIANTS;
            base = (*p++ >> 4) % n;
            p = read_weights(p, weight, n);

            llm_split_fill(owner, weight, n, base);
            count(owner, have);

            for (v = 0; v < n; v++) {
                MUST(have[v] == weight[v]);
            }

            continue;
        }

        /* other variants as well: a reload may bring and take them */

        n = 1 + *p % LLM_SPLIT_VARIANTS;
        base = (*p++ >> 4) % n;
        p = read_weights(p, weight, n);

        try_reweigh(owner, weight, n, base);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }

    if (data[0] & 1) {
        try_weights(data + 1, data + size);

    } else {
        try_words((llm_str_t) { size - 1, data + 1 });
    }

    return 0;
}
