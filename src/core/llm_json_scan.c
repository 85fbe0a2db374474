/*
 * The JSON scan: where strings, keys and values end.
 *
 * Every request body goes through here, so a byte is looked at once, nothing is
 * copied, and nesting costs a byte on a fixed stack instead of a call.
 */

#include "llm_json_scan.h"


/* What a byte can be part of; the low four bits are a hex digit's value. */
#define LLM_JSON_C_HEX     0x10
#define LLM_JSON_C_SCALAR  0x20         /* of a number or a literal */
#define LLM_JSON_C_ESCAPE  0x40         /* stands alone behind a backslash */

#define H(n)  (LLM_JSON_C_HEX | LLM_JSON_C_SCALAR | (n))
#define S     LLM_JSON_C_SCALAR
#define E     LLM_JSON_C_ESCAPE


static const unsigned char  llm_json_class[256] = {
    ['0'] = H(0), ['1'] = H(1), ['2'] = H(2), ['3'] = H(3), ['4'] = H(4),
    ['5'] = H(5), ['6'] = H(6), ['7'] = H(7), ['8'] = H(8), ['9'] = H(9),
    ['A'] = H(10), ['B'] = H(11), ['C'] = H(12), ['D'] = H(13), ['E'] = H(14),
    ['F'] = H(15),
    ['a'] = H(10), ['b'] = H(11) | E, ['c'] = H(12), ['d'] = H(13),
    ['e'] = H(14), ['f'] = H(15) | E,
    ['G'] = S, ['H'] = S, ['I'] = S, ['J'] = S, ['K'] = S, ['L'] = S,
    ['M'] = S, ['N'] = S, ['O'] = S, ['P'] = S, ['Q'] = S, ['R'] = S,
    ['S'] = S, ['T'] = S, ['U'] = S, ['V'] = S, ['W'] = S, ['X'] = S,
    ['Y'] = S, ['Z'] = S,
    ['g'] = S, ['h'] = S, ['i'] = S, ['j'] = S, ['k'] = S, ['l'] = S,
    ['m'] = S, ['n'] = S | E, ['o'] = S, ['p'] = S, ['q'] = S, ['r'] = S | E,
    ['s'] = S, ['t'] = S | E, ['u'] = S, ['v'] = S, ['w'] = S, ['x'] = S,
    ['y'] = S, ['z'] = S,
    ['+'] = S, ['-'] = S, ['.'] = S,
    ['"'] = E, ['\\'] = E, ['/'] = E
};

#undef H
#undef S
#undef E

/* p is at a backslash. */
static inline const unsigned char *
llm_json_escape(llm_json_scan_t *s, const unsigned char *p)
{
    unsigned  i;

    if (s->end - p < 2) {
        return llm_json_fail(s, s->end, LLM_JSON_E_SYNTAX);
    }

    if (llm_json_class[p[1]] & LLM_JSON_C_ESCAPE) {
        return p + 2;
    }

    if (p[1] != 'u') {
        return llm_json_fail(s, p + 1, LLM_JSON_E_SYNTAX);
    }

    for (i = 2; i < 6; i++) {
        if (p + i == s->end || !(llm_json_class[p[i]] & LLM_JSON_C_HEX)) {
            return llm_json_fail(s, p + i, LLM_JSON_E_SYNTAX);
        }
    }

    return p + 6;
}


/*
 * Steps over the bytes that the mask marks among `width` ones.  Returns where
 * to go on; or the string's end, or NULL, with *done set.
 */
static inline const unsigned char *
llm_json_marked(llm_json_scan_t *s, const unsigned char *p, uint64_t mask,
    size_t width, int *done)
{
    size_t                n;
    const unsigned char  *q;

    while (mask) {
        q = p + __builtin_ctzll(mask);

        if (*q == '"') {
            *done = 1;
            return q + 1;
        }

        /* escapes come in runs when a client writes ASCII only */

        do {
            q = *q == '\\' ? llm_json_escape(s, q)
                           : llm_json_fail(s, q, LLM_JSON_E_SYNTAX);
            if (q == NULL) {
                *done = 1;
                return NULL;
            }
        } while (q < s->end && *q == '\\');

        /* what the escapes consisted of marks nothing any more */

        n = (size_t) (q - p);
        if (n >= width) {
            return q;
        }

        mask &= UINT64_MAX << n;
    }

    return p + width;
}


/* p is behind the opening quote. */
const unsigned char *
llm_json_string_rest(llm_json_scan_t *s, const unsigned char *p)
{
    int  done;

    done = 0;

    while (!done && s->end - p >= 64) {

        if (!llm_bytes_any64(p, LLM_BYTES_STRING)) {
            p += 64;
            continue;
        }

        p = llm_json_marked(s, p, llm_bytes_mask64(p, LLM_BYTES_STRING), 64,
                            &done);
    }

    while (!done && s->end - p >= 16) {
        p = llm_json_marked(s, p, llm_bytes_mask(p, LLM_BYTES_STRING), 16,
                            &done);
    }

    while (!done) {
        if (p == s->end) {
            return llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
        }

        p = llm_json_marked(s, p,
                            (uint64_t) llm_bytes_in(*p, LLM_BYTES_STRING), 1,
                            &done);
    }

    return p;
}


/* Whether [start, p), all of it scalar bytes, is a number or a literal. */
const unsigned char *
llm_json_word(llm_json_scan_t *s, const unsigned char *start,
    const unsigned char *p)
{
    llm_rc_t           rc;
    llm_str_t          word, literal;
    llm_json_number_t  number;

    word.len = (size_t) (p - start);
    word.data = start;

    literal = *start == 't' ? LLM_STR("true")
              : *start == 'f' ? LLM_STR("false")
              : *start == 'n' ? LLM_STR("null") : LLM_NOSTR;

    if (literal.len == 0) {
        rc = llm_json_number(word, &number);

    } else if (word.len > literal.len
               || memcmp(start, literal.data, word.len) != 0)
    {
        rc = LLM_BAD;

    } else {
        rc = word.len == literal.len ? LLM_OK : LLM_AGAIN;
    }

    if (rc == LLM_OK) {
        return p;
    }

    return llm_json_fail(s, rc == LLM_AGAIN ? p : start, LLM_JSON_E_SYNTAX);
}


int
llm_json_is_scalar(unsigned char c)
{
    return (llm_json_class[c] & LLM_JSON_C_SCALAR) != 0;
}


const unsigned char *
llm_json_scalar(llm_json_scan_t *s, const unsigned char *p)
{
    const unsigned char  *start;

    start = p;

    while (p < s->end && (llm_json_class[*p] & LLM_JSON_C_SCALAR)) {
        p++;
    }

    if (p == start) {
        return llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
    }

    return s->strict ? llm_json_word(s, start, p) : p;
}


/* p is at the opening quote, if there is one. */
const unsigned char *
llm_json_key_rest(llm_json_scan_t *s, const unsigned char *p, llm_str_t *key)
{
    if (p == s->end || *p != '"') {
        return llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
    }

    key->data = p + 1;

    p = llm_json_string(s, p);
    if (p == NULL) {
        return NULL;
    }

    key->len = (size_t) (p - key->data) - 1;
    s->escaped = key->len && memchr(key->data, '\\', key->len) != NULL;

    p = llm_json_space(p, s->end);

    if (p == s->end || *p != ':') {
        return llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
    }

    return llm_json_space(p + 1, s->end);
}


/*
 * Behind a value: leaves every container that ends here, up to the comma and
 * the key of the next value.  *depth is 0 when the outermost one was left.
 */
static const unsigned char *
llm_json_behind(llm_json_scan_t *s, const unsigned char *p,
    const unsigned char *close, size_t *depth)
{
    llm_str_t  key;

    while (*depth) {
        p = llm_json_space(p, s->end);

        if (p == s->end) {
            return llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
        }

        if (*p == ',') {
            p = llm_json_space(p + 1, s->end);
            return close[*depth - 1] == '}' ? llm_json_key(s, p, &key) : p;
        }

        if (*p != close[*depth - 1]) {
            return llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
        }

        p++;
        (*depth)--;
    }

    return p;
}


/* p is where a value has to begin, which may be a container. */
const unsigned char *
llm_json_nested(llm_json_scan_t *s, const unsigned char *p)
{
    size_t         depth;
    llm_str_t      key;
    unsigned char  close[LLM_JSON_DEPTH];

    depth = 0;

    for ( ;; ) {

        if (p == s->end) {
            return llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
        }

        if (*p == '{' || *p == '[') {

            if (s->outer + depth == LLM_JSON_DEPTH) {
                return llm_json_fail(s, p, LLM_JSON_E_DEPTH);
            }

            /* in ASCII both closing brackets are two behind the opening one */

            close[depth++] = (unsigned char) (*p + 2);
            p = llm_json_space(p + 1, s->end);

            if (p == s->end || *p != close[depth - 1]) {
                if (close[depth - 1] == '}') {
                    p = llm_json_key(s, p, &key);
                    if (p == NULL) {
                        return NULL;
                    }
                }
                continue;
            }

        } else {
            p = *p == '"' ? llm_json_string(s, p) : llm_json_scalar(s, p);
            if (p == NULL) {
                return NULL;
            }
        }

        p = llm_json_behind(s, p, close, &depth);
        if (p == NULL || depth == 0) {
            return p;
        }
    }
}
