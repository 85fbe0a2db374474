/*
 * What to do after a failed attempt: the one place that decides it.
 *
 * Semantics: docs/design/retries.md.  Swapping a key needs no wait and is
 * not a retry; a silent provider is not asked again while another target
 * exists; a caller's mistake goes nowhere.
 */

#ifndef LLM_RETRY_H
#define LLM_RETRY_H

#include "llm_core.h"
#include "llm_error.h"

#pragma GCC visibility push(hidden)

#define LLM_ROTATIONS_MAX  10           /* key swaps on one target */
#define LLM_SENDS_MAX      24           /* sends of one request in all */

typedef enum {
    LLM_DO_GIVE_UP,
    LLM_DO_RETRY,                       /* the same target, after delay */
    LLM_DO_ROTATE,                      /* the same target, another key, now */
    LLM_DO_NEXT                         /* the next target, now */
} llm_do_t;

typedef struct {
    uint32_t    retries;                /* after the first attempt on a target;
                                           0: llm_retry off */
    llm_msec_t  backoff_min, backoff_max;
    uint32_t    budget_bp;              /* retries per first attempt, /10 000 */
    llm_msec_t  deadline;
} llm_retry_conf_t;

typedef struct {
    llm_class_t  class;
    llm_msec_t   wait;                  /* provider's hint, or the only key's */
    uint32_t     sends;                 /* of this request so far */
    uint32_t     retried;               /* on this target, rotations excluded */
    uint32_t     rotated;               /* on this target */
    unsigned     other_key:1;           /* a usable key in an untried group */
    unsigned     other_target:1;        /* a later target takes this class */
    unsigned     budget:1;              /* the provider's budget has room */
    unsigned     should_retry:2;        /* x-should-retry: 1 true, 2 false */
    unsigned     client_retry:1;        /* x-stainless-retry-count > 0 */
    llm_msec_t   left;                  /* until the deadline */
    uint64_t     random;
} llm_retry_in_t;

/* Decides; *delay is set for LLM_DO_RETRY (ms). */
llm_do_t llm_retry_plan(const llm_retry_conf_t *c, const llm_retry_in_t *in,
    llm_msec_t *delay);

/* Full jitter: U(0, min(max, min_ * 2^n)). */
llm_msec_t llm_retry_backoff(const llm_retry_conf_t *c, uint32_t n,
    uint64_t random);

/* Retry budget of a provider: a token bucket in ten-thousandths, +budget_bp per
 * first attempt, -10 000 per retry; deposits expire after 60 s.  One per second
 * is free, saved up to ten.  All zero is a fresh bucket. */
typedef struct {
    uint64_t    slot;                   /* ring of 6 x 10 s */
    uint32_t    deposit[6];
    uint32_t    spent[6];
    llm_msec_t  free_until;             /* free retries are used up until */
} llm_retry_budget_t;

void llm_retry_deposit(llm_retry_budget_t *b, const llm_retry_conf_t *c,
    llm_msec_t now);

/* 1: allowed */
int llm_retry_withdraw(llm_retry_budget_t *b, llm_msec_t now);
int llm_retry_has_budget(const llm_retry_budget_t *b, llm_msec_t now);

#pragma GCC visibility pop

#endif /* LLM_RETRY_H */
