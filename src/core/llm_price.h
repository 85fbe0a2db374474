/*
 * Usage and money.  Money is integer nano-dollars; prices are nano-dollars per
 * million tokens ("0.59" dollars is 590 000 000) and per audio minute.
 */

#ifndef LLM_PRICE_H
#define LLM_PRICE_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_UNKNOWN  UINT64_MAX         /* not reported: not the same as zero */

typedef struct {
    uint64_t  input;                    /* prompt tokens, with cached ones */
    uint64_t  cached;
    uint64_t  output;                   /* reasoning included */
    uint64_t  reasoning;
    uint64_t  audio_ms;
    uint64_t  cost_nano;                /* as reported by the provider */
} llm_usage_t;

typedef struct {
    uint64_t  input, cached, output;    /* per million tokens; LLM_UNKNOWN */
    uint64_t  audio;                    /* per minute */
    unsigned  known:1;                  /* any price was configured */
} llm_price_t;

void llm_usage_init(llm_usage_t *u);    /* all unknown */

/* Keeps the later known value of every field. */
void llm_usage_merge(llm_usage_t *into, const llm_usage_t *from);

/* Cost in nano-dollars, rounded half up, saturating; LLM_UNKNOWN when neither
 * prices nor the provider tell; a cost that the provider reported wins.  A
 * missing cached price is the input price. */
uint64_t llm_price_cost(const llm_price_t *p, const llm_usage_t *u);

/* "0.59" -> 590000000; LLM_OK or LLM_BAD. */
llm_rc_t llm_price_parse(llm_str_t s, uint64_t *nano);

/* Nano-dollars as dollars with nine decimals, trailing zeros cut: "0.00042" */
void llm_price_put(llm_buf_t *out, uint64_t nano);

#pragma GCC visibility pop

#endif /* LLM_PRICE_H */
