/*
 * The front of Messages with the OpenAI dialect behind it, or with Gemini's,
 * whose seals it keeps; the first byte chooses.
 */

#include "dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pair_t  p;

    if (size == 0) {
        return 0;
    }

    p.functions = 0;
    p.front = llm_front_find(LLM_EP_MESSAGES);
    p.dialect = llm_dialect_find(data[0] & 8 ? LLM_STR("gemini")
                                             : LLM_STR("openai"));
    p.model = data[0] & 8 ? LLM_STR("gemini-3.5-flash")
              : data[0] & 64 ? LLM_STR("llama-3.3") : LLM_STR("gpt-5");

    check_pair(&p, data[0], (llm_str_t) { size - 1, data + 1 });

    return 0;
}
