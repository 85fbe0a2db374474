/*
 * Rules as people write them: "60r/m", "parallel=10", "50usd/d", and which of
 * two rules count the same.
 */

#ifndef LLM_RULE_H
#define LLM_RULE_H

#include "llm_quota.h"

#pragma GCC visibility push(hidden)


#define LLM_RULE_PARALLEL_MAX  1000000

/*
 * A limit ("60r/m" and what else llm_limit_parse() takes, "parallel=10") or a
 * budget ("50usd/h", "0.5usd/d"; per hour, day or month).  Minutes and hours
 * slide, days and months and all budgets follow the calendar.  LLM_OK or
 * LLM_BAD.
 */
llm_rc_t llm_rule_limit(llm_str_t s, llm_limit_t *l);
llm_rc_t llm_rule_budget(llm_str_t s, llm_limit_t *l);

/* The same text again, in one way: "60r/m", "0.5usd/d". */
void llm_rule_put(llm_buf_t *out, const llm_limit_t *l);

/* What a limit counts, without how much: a changed maximum keeps the number.
 * `owner` tells apart who counts alike. */
uint64_t llm_rule_id(llm_str_t owner, const llm_limit_t *l);

#pragma GCC visibility pop

#endif /* LLM_RULE_H */
