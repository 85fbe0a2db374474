/*
 * JSON: spans lie inside the text and in order, a part of a good text is good,
 * what is wrong stays wrong with more behind it, pick and iteration agree,
 * separately and together, and a written string reads back as what it was.
 */

#include <stdlib.h>

#include "llm_json.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int
inside(llm_str_t part, llm_str_t whole)
{
    return part.data >= whole.data
           && part.data + part.len <= whole.data + whole.len;
}


static void
try_key(llm_str_t key)
{
    llm_buf_t       b;
    unsigned char  *raw, *mem;

    raw = malloc(key.len + 2);
    mem = malloc(key.len + 1);

    raw[0] = raw[key.len + 1] = '"';
    if (key.len) {
        memcpy(raw + 1, key.data, key.len);
    }

    llm_buf_init(&b, mem, key.len);
    MUST(llm_json_unescape((llm_str_t) { key.len + 2, raw }, &b) == LLM_OK);
    MUST(llm_json_key_is(key, llm_buf_view(&b)));

    free(raw);
    free(mem);
}


static void
walk(llm_str_t text, unsigned depth, int strict)
{
    llm_rc_t              rc;
    llm_json_iter_t       it;
    llm_json_member_t     m;
    const unsigned char  *last;

    if (llm_json_begin(&it, text) != LLM_OK) {
        return;
    }

    last = text.data;

    while ((rc = llm_json_next(&it, &m)) == LLM_OK) {
        MUST(m.value.len && inside(m.value, text) && m.value.data > last);
        last = m.value.data + m.value.len - 1;
        MUST(!strict || llm_json_check(m.value) == LLM_OK);

        if (m.key.len) {
            MUST(inside(m.key, text) && m.key.data < m.value.data);
            try_key(m.key);
        }

        if (depth) {
            walk(m.value, depth - 1, strict);
        }
    }

    MUST(rc == LLM_NONE || (rc == LLM_BAD && !strict));
}


static void
try_pick(llm_str_t text)
{
    size_t             at, i;
    llm_rc_t           rc;
    llm_json_error_t   error;
    llm_json_member_t  m;
    llm_json_want_t    want[3];

    want[0].name = LLM_STR("model");
    want[1].name = LLM_STR("stream");
    want[2].name = LLM_STR("a");

    rc = llm_json_pick(text, want, 3, &error, &at);

    if (rc != LLM_OK) {
        MUST(rc == LLM_BAD && error != LLM_JSON_E_NONE && at <= text.len);
        return;
    }

    for (i = 0; i < 3; i++) {
        rc = llm_json_get(text, want[i].name, &m);
        MUST((rc == LLM_OK) == (want[i].value.data != NULL));
        MUST(rc != LLM_OK || m.value.data == want[i].value.data);
        MUST(rc != LLM_OK || llm_json_check(m.value) == LLM_OK
             || m.kind < LLM_JSON_STRING);
    }
}


/* Both in one scan find what they find one after the other. */
static void
try_next_pick(llm_str_t text)
{
    int                more;
    size_t             at, i;
    llm_rc_t           rc, one;
    llm_json_want_t    want[2], other[2];
    llm_json_iter_t    it, fused;
    llm_json_error_t   error;
    llm_json_member_t  m;

    want[0].name = other[0].name = LLM_STR("model");
    want[1].name = other[1].name = LLM_STR("a");

    if (llm_json_begin(&it, text) != LLM_OK) {
        return;
    }

    do {
        fused = it;
        more = llm_json_more(&it);
        one = llm_json_next_pick(&fused, want, 2);
        rc = llm_json_next(&it, &m);

        MUST(rc != LLM_OK || more);
        MUST(rc != LLM_NONE || (one == LLM_NONE && !more));

        if (rc != LLM_OK || m.kind != LLM_JSON_OBJECT
            || llm_json_pick(m.value, other, 2, &error, &at) != LLM_OK)
        {
            MUST(one != LLM_OK);
            continue;
        }

        MUST(one == LLM_OK && fused.pos == it.pos);

        for (i = 0; i < 2; i++) {
            MUST(llm_str_eq(want[i].value, other[i].value));
        }

    } while (rc == LLM_OK);
}


/* Whether s is UTF-8, found by decoding every character. */
static int
is_utf8(llm_str_t s)
{
    size_t    i, k, n;
    uint32_t  c;

    static const uint32_t  least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    for (i = 0; i < s.len; i += n) {
        c = s.data[i];
        n = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3
            : c < 0xf8 ? 4 : 0;

        if (n == 0 || n > s.len - i) {
            return 0;
        }

        c = n == 1 ? c : c & (0x7fu >> n);

        for (k = 1; k < n; k++) {
            if ((s.data[i + k] & 0xc0) != 0x80) {
                return 0;
            }
            c = c << 6 | (s.data[i + k] & 0x3fu);
        }

        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
            return 0;
        }
    }

    return 1;
}


static void
try_string(llm_str_t s)
{
    llm_buf_t       b, back, again;
    unsigned char  *mem;

    mem = malloc(6 * s.len + 2 + 6 * s.len + 2 + 18 * s.len + 2);

    llm_buf_init(&b, mem, 6 * s.len + 2);
    llm_json_put_string(&b, s);
    MUST(!b.full);
    MUST(llm_json_check(llm_buf_view(&b)) == LLM_OK);

    llm_buf_init(&back, b.end, (size_t) (b.pos - b.start) - 2);
    MUST(llm_json_unescape(llm_buf_view(&b), &back) == LLM_OK);

    /* only what is no UTF-8 may have changed, and that only once */

    MUST(llm_str_eq(llm_buf_view(&back), s) == is_utf8(s));

    llm_buf_init(&again, b.end + 6 * s.len + 2, 18 * s.len + 2);
    llm_json_put_string(&again, llm_buf_view(&back));
    MUST(llm_str_eq(llm_buf_view(&again), llm_buf_view(&b)));

    free(mem);
}


static void
try_number(llm_str_t s)
{
    uint64_t  whole, rounded;
    llm_rc_t  rc;

    rc = llm_json_uint(s, &whole);
    MUST(rc == llm_json_scaled(s, 0, &rounded));

    if (rc == LLM_OK) {
        MUST(rounded == whole || rounded == whole + 1);
        MUST(llm_json_scaled(s, 9, &rounded) == LLM_OK);
        MUST(rounded >= whole);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_rc_t            rc;
    llm_str_t           text;
    unsigned char      *more;
    llm_json_member_t   m;

    text.len = size;
    text.data = data;

    rc = llm_json_check(text);

    if (rc == LLM_BAD && size) {
        more = malloc(size + 2);
        memcpy(more, data, size);
        memcpy(more + size, "\"}", 2);
        MUST(llm_json_check((llm_str_t) { size + 1, more }) == LLM_BAD);
        MUST(llm_json_check((llm_str_t) { size + 2, more }) == LLM_BAD);
        free(more);
    }

    walk(text, 6, rc == LLM_OK);
    try_pick(text);
    try_next_pick(text);
    try_string(text);
    try_number(text);

    if (llm_json_pointer(text, LLM_STR("/a/0/b"), &m) == LLM_OK) {
        MUST(inside(m.value, text));
    }

    return 0;
}
