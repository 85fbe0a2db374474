/*
 * Lists of models: what was JSON becomes JSON in each form, and its room is
 * never more than so many times its own.
 */

#include <stdlib.h>

#include "llm_models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             valid;
    size_t          room;
    llm_rc_t        rc;
    llm_buf_t       out;
    llm_str_t       body;
    llm_models_t    from, to;
    unsigned char  *text;

    if (size == 0) {
        return 0;
    }

    body = (llm_str_t) { size - 1, data + 1 };
    valid = (llm_json_check(body) == LLM_OK);
    from = (llm_models_t) (data[0] % 3);
    to = data[0] & 4 ? LLM_MODELS_ANTHROPIC : LLM_MODELS_OPENAI;

    room = 24 * body.len + 256;
    text = malloc(room);
    llm_buf_init(&out, text, room);

    rc = llm_models_whole(from, to, body, data[0] & 8, &out);

    if (out.full
        || (rc == LLM_OK && valid
            && llm_json_check(llm_buf_view(&out)) != LLM_OK))
    {
        abort();
    }

    free(text);

    return 0;
}
