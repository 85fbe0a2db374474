/*
 * The next byte that matters, found sixteen at a time.
 *
 * Nearly all of a chat body is the inside of strings, so how fast these bytes
 * are stepped over decides how fast the gateway is.  SSE2 is part of every
 * x86-64; elsewhere a plain loop does the same.
 */

#ifndef LLM_BYTES_H
#define LLM_BYTES_H

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "llm_core.h"

typedef enum {
    LLM_BYTES_STRING,   /* what ends a run inside a JSON string: " \ < 0x20 */
    LLM_BYTES_WRITE,    /* what cannot be written as it is: these and >= 0x80 */
    LLM_BYTES_LINE      /* LF and CR */
} llm_bytes_set_t;


static inline int
llm_bytes_in(unsigned char c, llm_bytes_set_t set)
{
    if (set == LLM_BYTES_LINE) {
        return c == '\n' || c == '\r';
    }

    return c < 0x20 || c == '"' || c == '\\'
           || (set == LLM_BYTES_WRITE && c >= 0x80);
}


#if defined(__SSE2__)

/* One bit for each of 16 bytes; `set` is a constant that folds away. */
static inline uint64_t
llm_bytes_mask(const unsigned char *p, llm_bytes_set_t set)
{
    __m128i  v, m;

    v = _mm_loadu_si128((const __m128i *) (const void *) p);

    if (set == LLM_BYTES_LINE) {
        m = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')),
                         _mm_cmpeq_epi8(v, _mm_set1_epi8('\r')));
        return (unsigned) _mm_movemask_epi8(m);
    }

    m = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                     _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    m = _mm_or_si128(m,
                     _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v));

    if (set == LLM_BYTES_WRITE) {
        m = _mm_or_si128(m, v);
    }

    return (unsigned) _mm_movemask_epi8(m);
}

#endif


/* The first byte of [p, end) that is in the set, or end. */
static inline const unsigned char *
llm_bytes_find(const unsigned char *p, const unsigned char *end,
    llm_bytes_set_t set)
{
#if defined(__SSE2__)
    uint64_t  m;

    /* most strings are short: one look before the wide loop */

    if (end - p >= 16) {
        m = llm_bytes_mask(p, set);
        if (m) {
            return p + __builtin_ctzll(m);
        }
        p += 16;
    }

    while (end - p >= 64) {
        m = llm_bytes_mask(p, set)
            | llm_bytes_mask(p + 16, set) << 16
            | llm_bytes_mask(p + 32, set) << 32
            | llm_bytes_mask(p + 48, set) << 48;
        if (m) {
            return p + __builtin_ctzll(m);
        }
        p += 64;
    }

    while (end - p >= 16) {
        m = llm_bytes_mask(p, set);
        if (m) {
            return p + __builtin_ctzll(m);
        }
        p += 16;
    }
#endif

    while (p < end && !llm_bytes_in(*p, set)) {
        p++;
    }

    return p;
}

#endif /* LLM_BYTES_H */
