/*
 * Reasoning that somebody else wrote.  Anthropic looks at the signatures of all
 * blocks of a conversation and refuses it for one that is not its own, while
 * what other providers thought has none, or one that keeps a seal of Gemini's.
 */

#include "llm_anthropic.h"


int
llm_anthropic_thought(llm_str_t block)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("signature") },
        { .name = LLM_STR("data") }
    };

    if (llm_hub_kept(block).len || llm_openai_pick(block, want, 2) != LLM_OK) {
        return 0;
    }

    return (want[0].kind == LLM_JSON_STRING && want[0].value.len > 2)
           || (want[1].kind == LLM_JSON_STRING && want[1].value.len > 2);
}
