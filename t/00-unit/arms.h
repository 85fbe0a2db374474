/*
 * Two arms in memory for tests of triggers: what their requests did, written
 * into windows as the gateway does it.
 */

#ifndef ARMS_H
#define ARMS_H

#include "tap.h"
#include "llm_trigger.h"

/* a border of all slots */
#define ARMS_NOW  1795168800000ULL

static llm_window_t  canary, baseline;
static llm_sums_t    scratch[2];


static inline void
arms_init(llm_msec_t slot)
{
    memset(&canary, 0, sizeof(canary));
    memset(&baseline, 0, sizeof(baseline));
    llm_window_init(&canary, slot);
    llm_window_init(&baseline, slot);
}


static inline void
arms_start(llm_window_t *w, llm_msec_t at)
{
    llm_window_claim(w, at);
    llm_window_start(w, at);
}


static inline void
arms_end(llm_window_t *w, llm_msec_t started, llm_msec_t ended, int error)
{
    llm_outcome_row_t  o;

    memset(&o, 0, sizeof(o));

    o.started = started;
    o.ended = ended;
    o.first = LLM_NEVER;
    o.input = LLM_NEVER;
    o.output = LLM_NEVER;
    o.cost = LLM_NEVER;
    o.counted = 1;
    o.error = error != 0;
    o.timed = !error;

    llm_window_claim(w, ended);
    llm_window_end(w, &o);
}


/* n requests at once, `bad` of them fail. */
static inline void
arms_add(llm_window_t *w, llm_msec_t at, unsigned n, unsigned bad)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        arms_start(w, at);
        arms_end(w, at, at, i < bad);
    }
}


static inline llm_arms_t
arms_at(llm_msec_t now)
{
    llm_arms_t  a;

    memset(&a, 0, sizeof(a));

    a.variant = &canary;
    a.baseline = &baseline;
    a.now = now;
    a.scratch = scratch;

    return a;
}

#endif /* ARMS_H */
