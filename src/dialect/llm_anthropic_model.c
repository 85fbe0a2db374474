/*
 * What the generations of Claude take, by their ids.
 */

#include "llm_anthropic.h"


int
llm_anthropic_takes_budget(llm_str_t model)
{
    size_t  i;

    static const llm_str_t  old[] = {
        LLM_STR("claude-3"), LLM_STR("-4-0"), LLM_STR("-4-1"),
        LLM_STR("-4-5"), LLM_STR("sonnet-4-2025"), LLM_STR("opus-4-2025")
    };

    for (i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        if (llm_openai_has(model, old[i])) {
            return 1;
        }
    }

    return 0;
}


int
llm_anthropic_takes_sampling(llm_str_t model)
{
    return !llm_openai_has(model, LLM_STR("claude"))
           || llm_anthropic_takes_budget(model)
           || llm_openai_has(model, LLM_STR("-4-6"));
}
