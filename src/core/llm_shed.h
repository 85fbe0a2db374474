/*
 * Shedding: when a provider is overloaded, or its quota nearly used up, some
 * requests are not sent to it, those of low priority first.
 *
 * A level of 0 to 100 % says how much: up to 50 % low requests are shed in
 * proportion, above it normal ones too; high ones never are.  It is the greater
 * of two.  One follows from how full the provider is: a limit of requests in
 * flight is found by trying (AIMD), it is cut while more than a tenth of them
 * are late and grows slowly while they are not; the level rises as the limit is
 * neared and passed.  The other follows from what the provider says is left of
 * its quota.
 *
 * Why not move the level itself by what is late: requests queue at an
 * overloaded provider, so lateness tells of load that was let in long ago, and
 * a level that follows it swings between nothing and everything.  The number in
 * flight is known at once.
 *
 * After Google's "Site Reliability Engineering", chapter 21 (criticality, and
 * rejecting by it as utilisation nears a threshold), Netflix's prioritized load
 * shedding (progressive, by priority) and concurrency-limits (AIMD), and
 * Envoy's admission control (a probability with an upper bound).  What differs:
 * an answer of a model takes seconds and its length is the request's, so a
 * target is given instead of learning the least latency; who still waits is
 * evidence as well; and a limit is judged by requests that came after it.
 */

#ifndef LLM_SHED_H
#define LLM_SHED_H

#include "llm_core.h"
#include "llm_priority.h"

#pragma GCC visibility push(hidden)

#define LLM_SHED_ONE    10000           /* all, in basis points */
#define LLM_SHED_HALF   5000            /* the level that sheds all low ones */
#define LLM_SHED_SLOTS  36
#define LLM_SHED_LEFT   32              /* quotas that are remembered */
#define LLM_SHED_SLOT   10              /* ms, the shortest slot */


typedef struct {
    llm_msec_t  target[2];              /* by kind; 0: not looked at */
    llm_msec_t  window;
    uint32_t    remaining_bp;           /* 0: not looked at */
    uint32_t    max_bp;                 /* of the level */
    unsigned    on:1;
    unsigned    dry_run:1;
} llm_shed_conf_t;

/* What a request is measured by: a stream by the time to its first content, all
 * others by the time to the end of the answer. */
typedef enum {
    LLM_SHED_FIRST = 0,
    LLM_SHED_WHOLE
} llm_shed_kind_t;

typedef enum {
    LLM_SHED_NONE = 0,                  /* it proves nothing */
    LLM_SHED_QUICK,                     /* within half of the target */
    LLM_SHED_GOOD,                      /* within the target */
    LLM_SHED_LATE,
    LLM_SHED_PROOFS
} llm_shed_proof_t;


/* Requests by the time of their start, and what became of them. */
typedef struct {
    uint64_t    period;                 /* start / slot length, + 1; 0: never */
    uint32_t    low;                    /* of low priority, shed or not */
    uint32_t    started[2];
    uint32_t    ended[2][LLM_SHED_PROOFS];
} llm_shed_slot_t;

/* What was left of a quota when the provider last told. */
typedef struct {
    uint64_t    model;                  /* a hash of its name */
    uint32_t    group;
    uint32_t    groups;                 /* of the pool; 0: an empty place */
    uint32_t    left_bp;
    llm_msec_t  at;
    llm_msec_t  full;                   /* at that time all of it is */
} llm_shed_left_t;

/* Requests that were late when the limit was cut. */
typedef struct {
    llm_shed_kind_t  kind;
    uint32_t         late;              /* of n */
    uint32_t         n;
} llm_shed_cause_t;

/* Shared memory of a provider; all zero is a fresh one.  Times and numbers of
 * requests are written without a lock, all else with the owner's. */
typedef struct {
    llm_shed_slot_t  ring[LLM_SHED_SLOTS];
    llm_shed_left_t  left[LLM_SHED_LEFT];
    llm_msec_t  next;                   /* when a step is due */
    llm_msec_t  stepped;
    llm_msec_t  since;                  /* older requests say nothing about the
                                           present limit */
    llm_msec_t  needed;                 /* half of the limit was in flight */
    llm_msec_t  began;                  /* to shed; 0: it does not */
    llm_msec_t  last;                   /* there was a reason to shed */
    uint64_t    limit;                  /* in flight, thousandths; 0: none */
    llm_shed_cause_t  cause;            /* of the last cut */
    uint32_t    ebb;                    /* least in flight since it was cut */
    uint32_t    no_low;                 /* requests of low priority */
    uint32_t    left_bp;                /* the level by what is left */
} llm_shed_t;


/* The length of a slot, which is also the time between two steps. */
llm_msec_t llm_shed_slot(const llm_shed_conf_t *c);

/* Whether a step is due; without a lock. */
int llm_shed_is_due(const llm_shed_t *s, llm_msec_t now);

/* Looks at the evidence and moves the level, with the lock held.  Returns what
 * is worth a line in the log. */
#define LLM_SHED_BEGAN  1
#define LLM_SHED_ENDED  2

int llm_shed_step(const llm_shed_conf_t *c, llm_shed_t *s, uint32_t inflight,
    llm_msec_t now);

/* The level with so many in flight; without a lock. */
uint32_t llm_shed_level(const llm_shed_conf_t *c, const llm_shed_t *s,
    uint32_t inflight);

/* Whether a request is shed at that level; `chance` in 0 … ONE - 1 is the same
 * for all questions about one request. */
int llm_shed_hits(uint32_t level_bp, llm_priority_t priority, uint32_t chance);

/* A request of that priority asks for the provider; one that is let in starts,
 * and ends once.  All without a lock, after the step that was due. */
void llm_shed_seen(const llm_shed_conf_t *c, llm_shed_t *s,
    llm_priority_t priority, llm_msec_t now);
void llm_shed_start(const llm_shed_conf_t *c, llm_shed_t *s,
    llm_shed_kind_t kind, llm_msec_t now);
void llm_shed_end(const llm_shed_conf_t *c, llm_shed_t *s,
    llm_shed_kind_t kind, llm_msec_t started, llm_shed_proof_t proof);

/* A worker died, and nobody knows which of the running requests were its. */
void llm_shed_forgive(llm_shed_t *s);

/* An answer told that left_bp of a quota are left, and in how many ms all of it
 * will be.  The quota is that of one of `groups` groups of keys, for a model;
 * groups that did not tell count as full.  With the lock held. */
void llm_shed_told(llm_shed_t *s, uint64_t model, uint32_t group,
    uint32_t groups, uint32_t left_bp, llm_msec_t reset, llm_msec_t now);

/* What is left of the scarcest model's quota, all groups together; and the
 * level that follows: the part of remaining= that is used up. */
uint32_t llm_shed_scarcest(const llm_shed_t *s, llm_msec_t now);
uint32_t llm_shed_left_level(const llm_shed_conf_t *c, const llm_shed_t *s,
    llm_msec_t now);

#pragma GCC visibility pop

#endif /* LLM_SHED_H */
