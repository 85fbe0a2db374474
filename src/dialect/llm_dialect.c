/*
 * The table of dialects, and what all of their streams have in common.
 */

#include "llm_openai.h"


/* The mock provider answers in OpenAI's shapes. */
static const llm_dialect_t  llm_dialects[] = {
    { LLM_STR("openai"), LLM_STR("Authorization"), LLM_STR("Bearer "),
      llm_openai_path, llm_openai_answer, llm_openai_refusal,
      llm_openai_event, llm_openai_text, llm_openai_key_looks_right },

    { LLM_STR("mock"), LLM_STR("Authorization"), LLM_STR("Bearer "),
      llm_openai_path, llm_openai_answer, llm_openai_refusal,
      llm_openai_event, llm_openai_text, llm_openai_key_looks_right }
};

#define LLM_DIALECTS  (sizeof(llm_dialects) / sizeof(llm_dialects[0]))


const llm_dialect_t *
llm_dialect_find(llm_str_t name)
{
    size_t  i;

    for (i = 0; i < LLM_DIALECTS; i++) {
        if (llm_str_eq(name, llm_dialects[i].name)) {
            return &llm_dialects[i];
        }
    }

    return NULL;
}


llm_str_t
llm_dialect_names(void)
{
    return LLM_STR("openai, mock");
}


void
llm_stream_init(llm_stream_t *s, llm_endpoint_t ep)
{
    memset(s, 0, sizeof(llm_stream_t));

    s->endpoint = ep;
    s->needs_done = ep == LLM_EP_CHAT || ep == LLM_EP_COMPLETIONS;
    llm_usage_init(&s->usage);
}


int
llm_stream_complete(const llm_stream_t *s)
{
    if (s->error != LLM_CLASS_OK) {
        return 0;
    }

    if (s->terminal) {
        return 1;
    }

    if (s->choices && (s->choices & ~s->finished) == 0) {
        return 1;
    }

    /* a terminator behind nothing at all is no answer */

    return s->done && (s->content || s->choices);
}
