/*
 * The vocabulary of the core: views of bytes, return codes, a bounded writer.
 *
 * Everything under src/core is plain C11: no nginx, no I/O, no clock, no
 * allocation and no globals that change.  Bytes, numbers and `now` come in as
 * arguments; memory belongs to the caller.
 */

#ifndef LLM_CORE_H
#define LLM_CORE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Modules are opened with global symbols: ours stay inside the module. */
#pragma GCC visibility push(hidden)

typedef enum {
    LLM_OK = 0,
    LLM_AGAIN,          /* more input is needed */
    LLM_NONE,           /* nothing there: end of an iteration, no such member */
    LLM_BAD,            /* the input is not what it claims to be */
    LLM_FULL            /* the caller's memory is too small */
} llm_rc_t;

/* A view of bytes that somebody else owns; same layout as nginx's string. */
typedef struct {
    size_t                len;
    const unsigned char  *data;
} llm_str_t;

#define LLM_STR(s)                                                            \
    ((llm_str_t) { sizeof(s) - 1, (const unsigned char *) (s) })
#define LLM_NOSTR    ((llm_str_t) { 0, NULL })

/* Milliseconds since the Unix epoch, or a length of time in milliseconds. */
typedef uint64_t  llm_msec_t;

#define LLM_NEVER  UINT64_MAX


/* Names are short: words that overlap do what a call of memcmp() would. */
static inline int
llm_bytes_eq(const unsigned char *a, const unsigned char *b, size_t n)
{
    uint32_t  c[2], d[2];
    uint64_t  x[2], y[2];

    if (n > 16) {
        return memcmp(a, b, n) == 0;
    }

    if (n >= 8) {
        memcpy(&x[0], a, 8);
        memcpy(&x[1], a + n - 8, 8);
        memcpy(&y[0], b, 8);
        memcpy(&y[1], b + n - 8, 8);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    }

    if (n >= 4) {
        memcpy(&c[0], a, 4);
        memcpy(&c[1], a + n - 4, 4);
        memcpy(&d[0], b, 4);
        memcpy(&d[1], b + n - 4, 4);
        return ((c[0] ^ d[0]) | (c[1] ^ d[1])) == 0;
    }

    while (n) {
        n--;

        if (a[n] != b[n]) {
            return 0;
        }
    }

    return 1;
}


static inline int
llm_str_eq(llm_str_t a, llm_str_t b)
{
    return a.len == b.len && llm_bytes_eq(a.data, b.data, a.len);
}


/*
 * A writer into a fixed piece of memory.  Once something did not fit, `full`
 * is set and nothing more is written; callers test it once, at the end.
 */
typedef struct {
    unsigned char  *start;
    unsigned char  *pos;
    unsigned char  *end;
    int             full;
} llm_buf_t;


static inline void
llm_buf_init(llm_buf_t *b, void *mem, size_t size)
{
    b->start = b->pos = mem;
    b->end = b->start + size;
    b->full = 0;
}


static inline void
llm_buf_put(llm_buf_t *b, const void *data, size_t len)
{
    if (b->full || (size_t) (b->end - b->pos) < len) {
        b->full = 1;
        return;
    }

    if (len) {
        memcpy(b->pos, data, len);
        b->pos += len;
    }
}


static inline void
llm_buf_str(llm_buf_t *b, llm_str_t s)
{
    llm_buf_put(b, s.data, s.len);
}


static inline llm_str_t
llm_buf_view(const llm_buf_t *b)
{
    return (llm_str_t) { (size_t) (b->pos - b->start), b->start };
}

#pragma GCC visibility pop

#endif /* LLM_CORE_H */
