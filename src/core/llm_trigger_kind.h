/*
 * What a kind of trigger is, as a table; for llm_trigger.c and
 * llm_trigger_measure.c alone.
 */

#ifndef LLM_TRIGGER_KIND_H
#define LLM_TRIGGER_KIND_H

#include "llm_trigger.h"

#pragma GCC visibility push(hidden)

#define LLM_TRIGGER_WINDOWS  4

typedef enum {
    LLM_UNIT_RATE = 0,                  /* basis points */
    LLM_UNIT_TIME,                      /* ms */
    LLM_UNIT_MONEY                      /* nano-dollars */
} llm_trigger_unit_t;

/* Times are those of the documents, in ms. */
typedef struct {
    llm_str_t           name;
    llm_trigger_unit_t  unit;
    uint64_t            threshold;      /* 0: the line says it */
    llm_msec_t          hold;
    uint64_t            min;            /* samples of the variant */
    llm_msec_t          window[LLM_TRIGGER_WINDOWS];    /* the first that has
                                                           them is used */
    size_t              window_n;
    llm_action_t        action;
} llm_trigger_kind_row_t;

const llm_trigger_kind_row_t *llm_trigger_kind(llm_trigger_kind_t kind);

#pragma GCC visibility pop

#endif /* LLM_TRIGGER_KIND_H */
