/*
 * Percentages: buckets of keys, and a table of their owners that changes as
 * little as possible.
 */

#include "llm_split.h"
#include "llm_hash.h"

#define LLM_SPLIT_BITMAP  ((LLM_SPLIT_BUCKETS + 7) / 8)
#define LLM_SPLIT_SALT    17            /* 16 digits and a colon */


uint32_t
llm_split_bucket(uint64_t salt, llm_str_t key)
{
    size_t         i;
    uint32_t       h;
    unsigned char  prefix[LLM_SPLIT_SALT];

    for (i = 0; i < 16; i++) {
        prefix[i] = (unsigned char)
                    "0123456789abcdef"[(salt >> (60 - 4 * i)) & 15];
    }

    prefix[16] = ':';

    h = llm_murmur2_two((llm_str_t) { sizeof(prefix), prefix }, key);

    return (uint32_t) ((uint64_t) h * LLM_SPLIT_BUCKETS >> 32);
}


uint32_t
llm_split_bucket_random(uint64_t random)
{
    return (uint32_t) ((random >> 32) * LLM_SPLIT_BUCKETS >> 32);
}


int
llm_split_is_whole(const uint32_t *weight, uint32_t n)
{
    uint32_t  i;
    uint64_t  sum;

    for (i = 0, sum = 0; i < n; i++) {
        sum += weight[i];
    }

    return sum == LLM_SPLIT_BUCKETS;
}


/* Readers in other processes take no lock. */
static inline void
llm_split_own(uint8_t *owner, uint32_t variant)
{
    __atomic_store_n(owner, (uint8_t) variant, __ATOMIC_RELAXED);
}


void
llm_split_fill(uint8_t *owner, const uint32_t *weight, uint32_t n,
    uint32_t base)
{
    uint32_t  i, left, v;

    i = 0;

    for (v = 0; v < n; v++) {
        if (v == base) {
            continue;
        }

        for (left = weight[v]; left && i < LLM_SPLIT_BUCKETS; left--) {
            llm_split_own(&owner[i++], v);
        }
    }

    while (i < LLM_SPLIT_BUCKETS) {
        llm_split_own(&owner[i++], base);
    }
}


static inline void
llm_split_release(uint8_t *released, uint32_t i)
{
    released[i / 8] = (uint8_t) (released[i / 8] | 1u << i % 8);
}


/*
 * Marks the buckets that change hands.  In the end have[v] is what a variant
 * keeps.
 */
static void
llm_split_take(const uint8_t *owner, const uint32_t *weight, uint32_t n,
    uint32_t base, uint32_t *have, uint8_t *released)
{
    uint32_t  i, v;

    for (i = 0; i < LLM_SPLIT_BUCKETS; i++) {
        v = owner[i];

        if (v >= n) {
            llm_split_release(released, i);

        } else {
            have[v]++;
        }
    }

    for (i = LLM_SPLIT_BUCKETS; i-- > 0; /* void */ ) {
        v = owner[i];

        if (v < n && v != base && have[v] > weight[v]) {
            llm_split_release(released, i);
            have[v]--;
        }
    }

    for (i = 0; i < LLM_SPLIT_BUCKETS; i++) {
        if (owner[i] == base && have[base] > weight[base]) {
            llm_split_release(released, i);
            have[base]--;
        }
    }
}


uint32_t
llm_split_reweigh(uint8_t *owner, const uint32_t *weight, uint32_t n,
    uint32_t base)
{
    uint8_t   released[LLM_SPLIT_BITMAP];
    uint32_t  i, v, moved, have[LLM_SPLIT_VARIANTS];

    memset(released, 0, sizeof(released));
    memset(have, 0, sizeof(have));

    llm_split_take(owner, weight, n, base, have, released);

    moved = 0;

    /* the variants in order, the baseline last: as llm_split_fill() does */

    for (i = 0, v = 0; i < LLM_SPLIT_BUCKETS; i++) {

        if (!(released[i / 8] & 1u << i % 8)) {
            continue;
        }

        while (v < n && (v == base || have[v] >= weight[v])) {
            v++;
        }

        if (v < n) {
            llm_split_own(&owner[i], v);
            have[v]++;

        } else {
            llm_split_own(&owner[i], base);
        }

        moved++;
    }

    return moved;
}


/* Digits of *s as a number, and how many there were. */
static size_t
llm_split_digits(llm_str_t *s, uint32_t *value)
{
    size_t  n;

    *value = 0;

    for (n = 0; n < s->len && n < 6; n++) {
        if (s->data[n] < '0' || s->data[n] > '9') {
            break;
        }

        *value = *value * 10 + (uint32_t) (s->data[n] - '0');
    }

    s->data += n;
    s->len -= n;

    return n;
}


llm_rc_t
llm_split_parse(llm_str_t text, uint32_t *bp)
{
    size_t    n;
    uint32_t  whole, part;

    if (text.len && text.data[text.len - 1] == '%') {
        text.len--;
    }

    part = 0;

    if (text.len == 0 || llm_split_digits(&text, &whole) == 0) {
        return LLM_BAD;
    }

    if (text.len && text.data[0] == '.') {
        text.data++;
        text.len--;

        n = llm_split_digits(&text, &part);

        if (n == 0 || n > 2) {
            return LLM_BAD;
        }

        if (n == 1) {
            part *= 10;
        }
    }

    if (text.len || whole * 100 + part > LLM_SPLIT_BUCKETS) {
        return LLM_BAD;
    }

    *bp = whole * 100 + part;

    return LLM_OK;
}


void
llm_split_put(llm_buf_t *out, uint32_t bp)
{
    size_t         n;
    uint32_t       whole;
    unsigned char  text[16], *p;

    p = text + sizeof(text);
    n = bp % 100;

    if (n) {
        if (n % 10) {
            *--p = (unsigned char) ('0' + n % 10);
        }

        *--p = (unsigned char) ('0' + n / 10);
        *--p = '.';
    }

    whole = bp / 100;

    do {
        *--p = (unsigned char) ('0' + whole % 10);
        whole /= 10;
    } while (whole);

    llm_buf_put(out, p, (size_t) (text + sizeof(text) - p));
}
