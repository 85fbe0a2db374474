/*
 * The Anthropic dialect with the chat front; the first byte chooses.
 */

#include "dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* A conversation without what others thought: no longer, and JSON as before. */
static void
check_foreign(const llm_dialect_t *d, llm_str_t body)
{
    llm_str_t       span;
    llm_buf_t       out, whole;
    unsigned char  *mem;

    llm_buf_init(&out, memory, 0);

    if (llm_json_check(body) != LLM_OK
        || d->foreign(LLM_STR("claude-sonnet-5"), body, &span, &out)
           != LLM_FULL)
    {
        return;
    }

    mem = malloc(span.len + body.len);
    llm_buf_init(&out, mem, span.len);
    llm_buf_init(&whole, mem + span.len, body.len);

    if (d->foreign(LLM_STR("claude-sonnet-5"), body, &span, &out) != LLM_OK) {
        abort();
    }

    llm_buf_put(&whole, body.data, (size_t) (span.data - body.data));
    llm_buf_str(&whole, llm_buf_view(&out));
    llm_buf_put(&whole, span.data + span.len,
                (size_t) (body.data + body.len - span.data) - span.len);
    check_json(llm_buf_view(&whole));

    llm_buf_init(&out, memory, 0);

    if (d->foreign(LLM_STR("claude-sonnet-5"), llm_buf_view(&whole), &span,
                   &out)
        != LLM_NONE)
    {
        abort();
    }

    free(mem);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pair_t  p;

    if (size == 0) {
        return 0;
    }

    p.functions = data[0] & 32;
    p.front = llm_front_find(LLM_EP_CHAT);
    p.dialect = llm_dialect_find(LLM_STR("anthropic"));

    /* generations think and answer in JSON in different words */
    p.model = data[0] & 64 ? LLM_STR("claude-sonnet-5")
                           : LLM_STR("claude-3-5");

    check_pair(&p, data[0], (llm_str_t) { size - 1, data + 1 });
    check_foreign(p.dialect, (llm_str_t) { size - 1, data + 1 });

    return 0;
}
