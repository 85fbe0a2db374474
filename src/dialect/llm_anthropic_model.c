/*
 * What the generations of Claude take, by their ids.
 */

#include "llm_anthropic.h"

#define LLM_CLAUDE_BUDGET     1         /* thinks by a number of tokens */
#define LLM_CLAUDE_NO_SCHEMA  2         /* has no structured outputs */


/* What the older ones have in their ids; the newer ones have none of it. */
static unsigned
llm_claude_old(llm_str_t model)
{
    size_t  i;

    static const struct {
        llm_str_t  part;
        unsigned   what;
    } old[] = {
        { LLM_STR("claude-3"), LLM_CLAUDE_BUDGET|LLM_CLAUDE_NO_SCHEMA },
        { LLM_STR("-4-0"), LLM_CLAUDE_BUDGET|LLM_CLAUDE_NO_SCHEMA },
        { LLM_STR("sonnet-4-2025"), LLM_CLAUDE_BUDGET|LLM_CLAUDE_NO_SCHEMA },
        { LLM_STR("opus-4-2025"), LLM_CLAUDE_BUDGET|LLM_CLAUDE_NO_SCHEMA },
        { LLM_STR("-4-1"), LLM_CLAUDE_BUDGET|LLM_CLAUDE_NO_SCHEMA },
        { LLM_STR("-4-5"), LLM_CLAUDE_BUDGET }
    };

    for (i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        if (llm_openai_has(model, old[i].part)) {
            return old[i].what;
        }
    }

    return 0;
}


int
llm_anthropic_takes_budget(llm_str_t model)
{
    return (llm_claude_old(model) & LLM_CLAUDE_BUDGET) != 0;
}


int
llm_anthropic_takes_schema(llm_str_t model)
{
    return (llm_claude_old(model) & LLM_CLAUDE_NO_SCHEMA) == 0;
}


int
llm_anthropic_takes_sampling(llm_str_t model)
{
    return !llm_openai_has(model, LLM_STR("claude"))
           || llm_anthropic_takes_budget(model)
           || llm_openai_has(model, LLM_STR("-4-6"));
}
