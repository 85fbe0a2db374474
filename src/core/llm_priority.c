/*
 * The words for priorities.
 */

#include "llm_priority.h"


static const llm_str_t  llm_priorities[LLM_PRIORITIES] = {
    { 0, (const unsigned char *) "" },
    { 3, (const unsigned char *) "low" },
    { 6, (const unsigned char *) "normal" },
    { 4, (const unsigned char *) "high" }
};


llm_priority_t
llm_priority_find(llm_str_t name)
{
    unsigned  i;

    for (i = LLM_PRIORITY_LOW; i < LLM_PRIORITIES; i++) {
        if (llm_str_eq(name, llm_priorities[i])) {
            return (llm_priority_t) i;
        }
    }

    return LLM_PRIORITY_UNSET;
}


llm_str_t
llm_priority_name(llm_priority_t priority)
{
    return llm_priorities[(unsigned) priority < LLM_PRIORITIES ? priority : 0];
}
