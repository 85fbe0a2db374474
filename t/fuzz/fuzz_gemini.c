/*
 * The Gemini dialect with the chat front, and its embeddings; the first byte
 * chooses.
 */

#include "dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check_embed(const pair_t *p, llm_str_t body)
{
    int                valid;
    size_t             size;
    llm_rc_t           rc;
    llm_buf_t          out;
    llm_loss_t         loss;
    unsigned char     *text;
    const llm_swap_t  *swap;

    valid = (llm_json_check(body) == LLM_OK);
    swap = llm_dialect_swap(p->dialect, LLM_EP_EMBEDDINGS);
    size = 64 * body.len + 4096;
    text = malloc(size);

    llm_buf_init(&out, text, size);
    rc = swap->request(p->model, body, &out, &loss);
    check_rc(rc, &loss);

    if (rc == LLM_OK && valid) {
        check_json(llm_buf_view(&out));
    }

    llm_buf_init(&out, text, size);
    swap->whole(LLM_STR("m"), body, &out);

    if (valid && !out.full) {
        check_json(llm_buf_view(&out));
    }

    free(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pair_t     p;
    llm_str_t  body;

    if (size == 0) {
        return 0;
    }

    body = (llm_str_t) { size - 1, data + 1 };
    p.functions = 0;
    p.front = llm_front_find(LLM_EP_CHAT);
    p.dialect = llm_dialect_find(LLM_STR("gemini"));

    /* generations think in different words */
    p.model = data[0] & 4 ? LLM_STR("gemini-2.5-pro")
                          : LLM_STR("gemini-3.5-flash");

    if ((data[0] & 7) == 5) {
        check_embed(&p, body);

    } else {
        check_pair(&p, data[0], body);
    }

    return 0;
}
