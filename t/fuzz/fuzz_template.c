/*
 * Templates: counting and filling agree, and what is rendered is the inside of
 * a JSON string, whatever template and body are.  Input: the template, a line
 * feed, the body.
 */

#include <stdlib.h>

#include "llm_prompt.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           n, literals, rendered;
    llm_rc_t         rc;
    llm_buf_t        mem, out;
    llm_str_t        text, body, missing;
    llm_template_t   t;
    unsigned char   *p, *q;
    const uint8_t   *lf;

    lf = size ? memchr(data, '\n', size) : NULL;
    text.data = data;
    text.len = lf ? (size_t) (lf - data) : size;
    body.data = lf ? lf + 1 : data;
    body.len = lf ? size - text.len - 1 : 0;

    t.piece = NULL;
    if (llm_template_compile(text, 1, &t, NULL) != LLM_OK) {
        return 0;
    }

    n = t.n;
    t.piece = malloc(n * sizeof(llm_piece_t) + 1);
    p = malloc(text.len + 1);
    llm_buf_init(&mem, p, text.len);

    MUST(llm_template_compile(text, 1, &t, &mem) == LLM_OK);
    MUST(t.n == n);

    literals = (size_t) (mem.pos - mem.start);
    rendered = 6 * (literals + n * body.len) + 2;
    if (rendered > 1 << 20) {
        rendered = 1 << 20;
    }

    q = malloc(rendered + 2);
    q[0] = '"';
    llm_buf_init(&out, q + 1, rendered);
    rc = llm_template_render(&t, body, &out, &missing);

    if (rc == LLM_OK) {
        *out.pos = '"';
        MUST(llm_json_check((llm_str_t) { (size_t) (out.pos - q) + 1, q })
             == LLM_OK);
    }

    MUST(rc != LLM_BAD);
    MUST(rc != LLM_FULL || rendered == 1 << 20);
    MUST(rc != LLM_NONE || (missing.data >= text.data
                            && missing.data + missing.len
                               <= text.data + text.len));

    free(q);
    free(p);
    free(t.piece);

    return 0;
}
