/*
 * The text that one event of a stream adds to the answer, for whoever keeps a
 * copy of it.  Only the first choice is read, and no reasoning.
 */

#include "llm_openai.h"


/* choices[0].delta.content, or choices[0].text of old completions. */

static llm_str_t
llm_openai_choice_text(llm_str_t data)
{
    llm_json_member_t  m;

    if (llm_json_pointer(data, LLM_STR("/choices/0/delta/content"), &m)
        == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        return m.value;
    }

    if (llm_json_pointer(data, LLM_STR("/choices/0/text"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        return m.value;
    }

    return LLM_NOSTR;
}


llm_str_t
llm_openai_text(llm_endpoint_t ep, llm_str_t data)
{
    llm_json_member_t  m;

    if (ep == LLM_EP_CHAT || ep == LLM_EP_COMPLETIONS) {
        return llm_openai_choice_text(data);
    }

    /* other types have a delta as well: arguments of tools, audio */

    if (llm_json_get(data, LLM_STR("type"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING
        && (llm_str_eq(m.value, LLM_STR("\"response.output_text.delta\""))
            || llm_str_eq(m.value, LLM_STR("\"transcript.text.delta\"")))
        && llm_json_get(data, LLM_STR("delta"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        return m.value;
    }

    /* vLLM's transcriptions */

    return llm_openai_choice_text(data);
}
