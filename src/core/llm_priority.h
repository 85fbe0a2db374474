/*
 * How much a request matters when not all of them can be served.
 */

#ifndef LLM_PRIORITY_H
#define LLM_PRIORITY_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LLM_PRIORITY_UNSET = 0,             /* whoever asks decides what holds */
    LLM_PRIORITY_LOW,
    LLM_PRIORITY_NORMAL,
    LLM_PRIORITY_HIGH,
    LLM_PRIORITIES
} llm_priority_t;

/* "low", "normal" or "high" and back; UNSET is the empty name, and what any
 * other word stands for. */
llm_priority_t llm_priority_find(llm_str_t name);
llm_str_t llm_priority_name(llm_priority_t priority);

#pragma GCC visibility pop

#endif /* LLM_PRIORITY_H */
