/*
 * Probes of a provider: when the next one is due, and what a row of them says.
 *
 * Unlike the breaker, which learns from requests, they see a provider that
 * nobody asks.  Outcomes that are old say nothing: whoever sent the probes may
 * be gone.
 */

#ifndef LLM_PROBE_H
#define LLM_PROBE_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

typedef struct {
    llm_msec_t  interval;               /* 0: no probes */
    llm_msec_t  timeout;
    uint32_t    healthy;                /* good ones in a row that end it */
    uint32_t    unhealthy;              /* bad ones in a row: down */
} llm_probe_conf_t;

typedef enum {
    LLM_PROBE_UNKNOWN, LLM_PROBE_UP, LLM_PROBE_DOWN
} llm_probe_status_t;

typedef struct {
    llm_msec_t  begun;                  /* the newest probe */
    llm_msec_t  told;                   /* the newest outcome */
    uint32_t    row;                    /* outcomes alike, up to that one */
    uint8_t     ok;                     /* which kind */
    uint8_t     status;
} llm_probe_t;

/* 1: a probe is to be sent now, by who asked. */
int llm_probe_due(const llm_probe_conf_t *c, llm_probe_t *p, llm_msec_t now);

/* ok: 1 it answered, 0 it did not.  Returns 1 when it went down, 2 when it came
 * back, for the log. */
int llm_probe_report(const llm_probe_conf_t *c, llm_probe_t *p, int ok,
    llm_msec_t now);

/* "up", "down", "unknown", or "off" where there are no probes. */
llm_str_t llm_probe_name(const llm_probe_conf_t *c, llm_probe_status_t status);

llm_probe_status_t llm_probe_status(const llm_probe_conf_t *c,
    const llm_probe_t *p, llm_msec_t now);

#pragma GCC visibility pop

#endif /* LLM_PROBE_H */
