/*
 * Two JSON answers, one behind the other with a NUL byte between them.
 *
 * Equality has no side; an answer equals itself; and it equals itself written
 * otherwise: white space between its tokens, letters in its strings escaped.
 */

#include <stdlib.h>

#include "llm_compare.h"
#include "llm_json.h"

#define MUST(condition)  if (!(condition)) abort()
#define DEPTH  32                       /* deeper values count as written */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static llm_rc_t
compare(llm_str_t a, llm_str_t b, uint32_t *members, uint32_t *equal)
{
    size_t          size;
    llm_rc_t        rc;
    unsigned char  *scratch;

    size = a.len > b.len ? a.len : b.len;
    scratch = malloc(size ? size : 1);
    MUST(scratch != NULL);

    rc = llm_compare(a, b, scratch, size, members, equal);

    free(scratch);

    return rc;
}


static int
is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}


/* Copies a well-formed text, at most six times as long.  0: nested too deep. */
static int
rewrite(llm_str_t text, llm_buf_t *out)
{
    int            depth, quoted;
    size_t         i, n;
    unsigned char  c;

    depth = 0;
    quoted = 0;

    for (i = 0; i < text.len; i++) {
        c = text.data[i];

        if (quoted && c == '\\') {
            n = text.data[i + 1] == 'u' ? 6 : 2;
            llm_buf_put(out, &text.data[i], n);
            i += n - 1;
            continue;
        }

        if (c == '"') {
            quoted = !quoted;
        }

        if (quoted && is_letter(c)) {
            llm_buf_put(out, "\\u00", 4);
            llm_buf_put(out, &"0123456789abcdef"[c >> 4], 1);
            llm_buf_put(out, &"0123456789ABCDEF"[c & 15], 1);
            continue;
        }

        llm_buf_put(out, &c, 1);

        if (!quoted && (c == '{' || c == '[' || c == ',' || c == ':')) {
            llm_buf_put(out, " \n", 2);
            depth += (c == '{' || c == '[');

        } else if (!quoted && (c == '}' || c == ']')) {
            depth--;
        }

        if (depth > DEPTH) {
            return 0;
        }
    }

    return 1;
}


static void
try_one(llm_str_t text)
{
    uint32_t         members, equal;
    llm_buf_t        out;
    unsigned char   *mem;
    llm_json_iter_t  it;

    switch (compare(text, text, &members, &equal)) {

    case LLM_OK:
        MUST(members == equal && members <= LLM_COMPARE_MEMBERS);
        break;

    case LLM_BAD:
        MUST(llm_json_check(text) != LLM_OK);
        return;

    case LLM_NONE:
        MUST(llm_json_check(text) == LLM_OK);
        MUST(llm_json_begin(&it, text) != LLM_OK || it.close != '}');
        return;

    default:
        return;
    }

    mem = malloc(6 * text.len);
    MUST(mem != NULL);

    llm_buf_init(&out, mem, 6 * text.len);

    if (rewrite(text, &out)) {
        MUST(!out.full);
        MUST(compare(text, llm_buf_view(&out), &members, &equal) == LLM_OK);
        MUST(members == equal);
    }

    free(mem);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_rc_t        rc;
    uint32_t        members, equal, m, e;
    llm_str_t       a, b;
    const uint8_t  *cut;

    cut = size ? memchr(data, '\0', size) : NULL;

    a.data = data;
    a.len = cut ? (size_t) (cut - data) : size;
    b.data = cut ? cut + 1 : data;
    b.len = cut ? size - a.len - 1 : size;

    try_one(a);
    try_one(b);

    rc = compare(a, b, &members, &equal);
    MUST((compare(b, a, &m, &e) == LLM_OK) == (rc == LLM_OK));

    if (rc == LLM_OK) {
        MUST(equal <= members && members <= 2 * LLM_COMPARE_MEMBERS);
        MUST(m == members && e == equal);
    }

    return 0;
}
