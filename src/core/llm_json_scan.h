/*
 * The JSON scan from within: how a string, a key and a value are stepped over.
 * Only llm_json*.c know it.
 */

#ifndef LLM_JSON_SCAN_H
#define LLM_JSON_SCAN_H

#include "llm_bytes.h"
#include "llm_json.h"

#pragma GCC visibility push(hidden)

/*
 * One pass over a text.  Functions return the place behind what they read, or
 * NULL with `at` and `error` set; a syntax error at `end` means that more input
 * could still mend it.
 */
typedef struct {
    const unsigned char  *end;
    const unsigned char  *at;
    llm_json_error_t      error;
    unsigned              strict;       /* numbers and literals too */
    unsigned              escaped;      /* the last key has escapes */
    size_t                outer;        /* containers around the value read */
} llm_json_scan_t;


/* p is behind the opening quote. */
const unsigned char *llm_json_string_rest(llm_json_scan_t *s,
    const unsigned char *p);

/* Whether a byte may be part of a number or a literal. */
int llm_json_is_scalar(unsigned char c);

/* p is at a number or a literal; word: whether [start, p) is one. */
const unsigned char *llm_json_scalar(llm_json_scan_t *s,
    const unsigned char *p);
const unsigned char *llm_json_word(llm_json_scan_t *s,
    const unsigned char *start, const unsigned char *p);

/* The same as llm_json_key(), whatever the key looks like. */
const unsigned char *llm_json_key_rest(llm_json_scan_t *s,
    const unsigned char *p, llm_str_t *key);

/* p is where a value has to begin, which may be a container. */
const unsigned char *llm_json_nested(llm_json_scan_t *s,
    const unsigned char *p);


static inline const unsigned char *
llm_json_fail(llm_json_scan_t *s, const unsigned char *at,
    llm_json_error_t error)
{
    s->at = at;
    s->error = error;

    return NULL;
}


static inline const unsigned char *
llm_json_space(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p <= ' '
           && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    {
        p++;
    }

    return p;
}


/* p is at the opening quote. */
static inline const unsigned char *
llm_json_string(llm_json_scan_t *s, const unsigned char *p)
{
    uint64_t              mask;
    const unsigned char  *q;

    p++;

    /* most strings are short and plain: one look before the loops */

    if (s->end - p >= 16) {
        mask = llm_bytes_mask(p, LLM_BYTES_STRING);

        if (mask == 0) {
            return llm_json_string_rest(s, p + 16);
        }

        q = p + __builtin_ctzll(mask);

        if (*q == '"') {
            return q + 1;
        }
    }

    return llm_json_string_rest(s, p);
}


/* A key and its colon.  The result is where the value begins. */
static inline const unsigned char *
llm_json_key(llm_json_scan_t *s, const unsigned char *p, llm_str_t *key)
{
    const unsigned char  *q;

    /* most keys have 16 bytes at most, no escapes, and a colon behind them; q
     * stays in front of the last byte */

    if (s->end - p > 19 && *p == '"') {
        q = p + 1 + __builtin_ctzll(llm_bytes_mask(p + 1, LLM_BYTES_STRING)
                                    | 1 << 16);

        if (q[0] == '"' && q[1] == ':' && q[2] > ' ') {
            key->data = p + 1;
            key->len = (size_t) (q - key->data);
            s->escaped = 0;
            return q + 2;
        }
    }

    return llm_json_key_rest(s, p, key);
}


/* p is where a value has to begin; most are strings and numbers, which need
 * no stack. */
static inline const unsigned char *
llm_json_value(llm_json_scan_t *s, const unsigned char *p)
{
    if (p < s->end) {

        if (*p == '"') {
            return llm_json_string(s, p);
        }

        if (*p != '{' && *p != '[') {
            return llm_json_scalar(s, p);
        }
    }

    return llm_json_nested(s, p);
}

#pragma GCC visibility pop

#endif /* LLM_JSON_SCAN_H */
