/*
 * The next byte that matters, found sixteen at a time.
 *
 * Nearly all of a chat body is the inside of strings, so how fast these bytes
 * are stepped over decides how fast the gateway is.  SSE2 is part of every
 * x86-64; elsewhere 64 bit words do the same at less than half the speed.
 */

#ifndef LLM_BYTES_H
#define LLM_BYTES_H

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "llm_core.h"

#pragma GCC visibility push(hidden)

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

/* The top bit of each of 16 bytes that is in the set; `set` is a constant that
 * folds away. */
static inline __m128i
llm_bytes_vector(const unsigned char *p, llm_bytes_set_t set)
{
    __m128i  v, m;

    v = _mm_loadu_si128((const __m128i *) (const void *) p);

    if (set == LLM_BYTES_LINE) {
        return _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')),
                            _mm_cmpeq_epi8(v, _mm_set1_epi8('\r')));
    }

    m = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                     _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    m = _mm_or_si128(m,
                     _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v));

    return set == LLM_BYTES_WRITE ? _mm_or_si128(m, v) : m;
}


/* One bit for each of 16 bytes. */
static inline uint64_t
llm_bytes_mask(const unsigned char *p, llm_bytes_set_t set)
{
    return (unsigned) _mm_movemask_epi8(llm_bytes_vector(p, set));
}

#else

#define LLM_BYTES_ALL(c)  (0x0101010101010101u * (c))


/* 0x80 in each byte of x that is 0, and 0 in the others. */
static inline uint64_t
llm_bytes_zeros(uint64_t x)
{
    return ~(((x & LLM_BYTES_ALL(0x7f)) + LLM_BYTES_ALL(0x7f)) | x
             | LLM_BYTES_ALL(0x7f));
}


static inline uint64_t
llm_bytes_mask8(const unsigned char *p, llm_bytes_set_t set)
{
    uint64_t  v, m;

    memcpy(&v, p, 8);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif

    if (set == LLM_BYTES_LINE) {
        m = llm_bytes_zeros(v ^ LLM_BYTES_ALL('\n'))
            | llm_bytes_zeros(v ^ LLM_BYTES_ALL('\r'));

    } else {
        m = llm_bytes_zeros(v ^ LLM_BYTES_ALL('"'))
            | llm_bytes_zeros(v ^ LLM_BYTES_ALL('\\'))
            | llm_bytes_zeros(v & LLM_BYTES_ALL(0xe0));

        if (set == LLM_BYTES_WRITE) {
            m |= v & LLM_BYTES_ALL(0x80);
        }
    }

    /* the factor moves bit 8 * k to bit 56 + k */

    return (m >> 7) * 0x0102040810204080u >> 56;
}


/* One bit for each of 16 bytes. */
static inline uint64_t
llm_bytes_mask(const unsigned char *p, llm_bytes_set_t set)
{
    return llm_bytes_mask8(p, set) | llm_bytes_mask8(p + 8, set) << 8;
}

#endif


/* Whether any of 64 bytes is in the set. */
static inline int
llm_bytes_any64(const unsigned char *p, llm_bytes_set_t set)
{
#if defined(__SSE2__)
    __m128i  m;

    m = _mm_or_si128(_mm_or_si128(llm_bytes_vector(p, set),
                                  llm_bytes_vector(p + 16, set)),
                     _mm_or_si128(llm_bytes_vector(p + 32, set),
                                  llm_bytes_vector(p + 48, set)));
    return _mm_movemask_epi8(m) != 0;
#else
    return (llm_bytes_mask(p, set) | llm_bytes_mask(p + 16, set)
            | llm_bytes_mask(p + 32, set) | llm_bytes_mask(p + 48, set)) != 0;
#endif
}


static inline uint64_t
llm_bytes_mask64(const unsigned char *p, llm_bytes_set_t set)
{
    return llm_bytes_mask(p, set)
           | llm_bytes_mask(p + 16, set) << 16
           | llm_bytes_mask(p + 32, set) << 32
           | llm_bytes_mask(p + 48, set) << 48;
}


/* The first byte of [p, end) that is in the set, or end. */
static inline const unsigned char *
llm_bytes_find(const unsigned char *p, const unsigned char *end,
    llm_bytes_set_t set)
{
    uint64_t  m;

    /* most runs are short: one look before the wide loop */

    if (end - p >= 16) {
        m = llm_bytes_mask(p, set);
        if (m) {
            return p + __builtin_ctzll(m);
        }
        p += 16;
    }

    while (end - p >= 64 && !llm_bytes_any64(p, set)) {
        p += 64;
    }

    while (end - p >= 16) {
        m = llm_bytes_mask(p, set);
        if (m) {
            return p + __builtin_ctzll(m);
        }
        p += 16;
    }

    while (p < end && !llm_bytes_in(*p, set)) {
        p++;
    }

    return p;
}

#pragma GCC visibility pop

#endif /* LLM_BYTES_H */
