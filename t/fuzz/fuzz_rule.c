/*
 * Limits and budgets as clients' records say them: what is read is in its
 * bounds, and is written the same way again.
 */

#include <stdlib.h>

#include "llm_rule.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
try_again(const llm_limit_t *l, int budget)
{
    llm_buf_t      out;
    llm_limit_t    again;
    unsigned char  mem[64];

    MUST(l->max > 0);
    MUST(l->max <= (budget ? LLM_MONEY_MAX : LLM_LIMIT_MAX));
    MUST(l->dim < LLM_DIM_N && budget == (l->dim == LLM_DIM_MONEY));
    MUST(l->unit != LLM_TZ_MONTH || l->clock == LLM_CLOCK_CALENDAR);

    llm_buf_init(&out, mem, sizeof(mem));
    llm_rule_put(&out, l);
    MUST(!out.full);

    MUST((budget ? llm_rule_budget(llm_buf_view(&out), &again)
                 : llm_rule_limit(llm_buf_view(&out), &again)) == LLM_OK);

    MUST(again.max == l->max && again.dim == l->dim && again.unit == l->unit
         && again.clock == l->clock);
    MUST(llm_rule_id(LLM_STR("x"), l) == llm_rule_id(LLM_STR("x"), &again));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_str_t    text;
    llm_limit_t  limit, budget;

    text.len = size;
    text.data = data;

    if (llm_rule_limit(text, &limit) == LLM_OK) {
        try_again(&limit, 0);
        MUST(llm_rule_budget(text, &budget) == LLM_BAD);
    }

    if (llm_rule_budget(text, &budget) == LLM_OK) {
        try_again(&budget, 1);
    }

    return 0;
}
