/*
 * Private to src/core/llm_shed*.c: what the evidence says.
 */

#ifndef LLM_SHED_RING_H
#define LLM_SHED_RING_H

#include "llm_shed.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LLM_SHED_UNKNOWN = 0,               /* too few requests */
    LLM_SHED_CALM,                      /* nine of ten are quick */
    LLM_SHED_WARM,                      /* … in time, but not quick */
    LLM_SHED_EDGE,                      /* more than one of twenty is late */
    LLM_SHED_PRESSURE                   /* … of ten */
} llm_shed_state_t;

/* The longer one of the targets. */
llm_msec_t llm_shed_longest(const llm_shed_conf_t *c);

/* Makes the slot of the moment, with the lock held. */
void llm_shed_claim(const llm_shed_conf_t *c, llm_shed_t *s, llm_msec_t now);

/* The worse of both kinds, and what that kind's requests did. */
llm_shed_state_t llm_shed_look(const llm_shed_conf_t *c, const llm_shed_t *s,
    llm_msec_t now, llm_shed_cause_t *cause);

/* Whether low requests were seen in the ring's time. */
int llm_shed_has_low(const llm_shed_t *s);

#pragma GCC visibility pop

#endif /* LLM_SHED_RING_H */
