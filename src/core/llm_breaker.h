/*
 * A circuit breaker with bounded half-open probes and a slow ramp.
 *
 * Opens on the Nth consecutive failure or on a failure ratio over a window;
 * stays open for open * 2^k (cap, +-10 %); then one probe at a time, two
 * successes close it, and traffic returns from 10 % to 100 % over the ramp.
 */

#ifndef LLM_BREAKER_H
#define LLM_BREAKER_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_BREAKER_SLOTS  10

typedef struct {
    uint32_t    failures;               /* consecutive; 0: breaker off */
    uint32_t    error_rate_bp;          /* of 10 000 */
    uint32_t    min;                    /* outcomes in the window */
    llm_msec_t  window, open, max, ramp;
} llm_breaker_conf_t;

typedef enum {
    LLM_BREAKER_CLOSED, LLM_BREAKER_OPEN, LLM_BREAKER_HALF_OPEN
} llm_breaker_status_t;

typedef struct {
    uint64_t    slot;                   /* number of the newest slot */
    uint32_t    ok[LLM_BREAKER_SLOTS];
    uint32_t    bad[LLM_BREAKER_SLOTS];
    llm_msec_t  opened, until, probe_at, ramp_from, closed_at;
    uint32_t    consecutive;
    uint16_t    k;
    uint8_t     status;
    uint8_t     probe_ok;
} llm_breaker_t;

typedef enum {
    LLM_ADMIT_YES, LLM_ADMIT_PROBE, LLM_ADMIT_NO
} llm_admit_t;

/* May a request go?  `random` is 32 random bits (ramp).  On NO, *wait is the
 * time until asking again makes sense. */
llm_admit_t llm_breaker_admit(const llm_breaker_conf_t *c, llm_breaker_t *b,
    uint32_t random, llm_msec_t now, llm_msec_t *wait);

/* The last option left: would it be open, is a probe allowed all the same?
 * Rate-capped to one per probe interval.  1: go (as probe). */
int llm_breaker_force(const llm_breaker_conf_t *c, llm_breaker_t *b,
    llm_msec_t now);

/* ok: 1 success, 0 failure, -1 neither (releases a probe).  Returns 1 when the
 * breaker opened, 2 when it closed, for the log. */
int llm_breaker_report(const llm_breaker_conf_t *c, llm_breaker_t *b, int ok,
    int probe, uint32_t random, llm_msec_t now);

#pragma GCC visibility pop

#endif /* LLM_BREAKER_H */
