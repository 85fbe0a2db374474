/*
 * What picking and reporting both ask of a pool's state; private to
 * llm_keypool*.c.
 */

#ifndef LLM_KEYPOOL_STATE_H
#define LLM_KEYPOOL_STATE_H

#include "llm_keypool.h"

#pragma GCC visibility push(hidden)

#define LLM_MINUTE_MS       60000ULL
#define LLM_HOUR_MS         3600000ULL

#define LLM_REST_BASE_MS    30000       /* no hint: 30 s * 2^k */
#define LLM_REST_MAX_MS     (5 * LLM_MINUTE_MS)
#define LLM_REST_JITTER_MS  30000       /* at most */

#define LLM_POOL_SMALL   32             /* keys; above, the bitmap is used */
#define LLM_POOL_NOBODY  UINT32_MAX

#define LLM_POOL_PROBE_MS  5000         /* a probe that says nothing for so
                                           long does not hold others back */


/* One pick: what is asked, and what stood in the way. */
typedef struct {
    llm_lane_t         *lane;
    const llm_need_t   *need;
    const llm_tried_t  *tried;
    llm_msec_t          now;
    llm_msec_t          wait;           /* the shortest so far */
    llm_class_t         cause;          /* and its reason */
} llm_pick_t;


/* Whether this key may be used now; if not, the pick remembers why. */
int llm_pick_is_usable(llm_pick_t *p, uint32_t key);

/* The first usable key of [from, to), or LLM_POOL_NOBODY. */
uint32_t llm_pick_between(llm_pick_t *p, uint32_t from, uint32_t to);

/* A key by the pool's mode, or LLM_POOL_NOBODY. */
uint32_t llm_pick_select(llm_pick_t *p, uint64_t random);


/* One outcome: what it says, and what it is about. */
typedef struct {
    llm_lane_t           *lane;
    const llm_lease_t    *lease;
    const llm_outcome_t  *out;
    llm_key_state_t      *key;
    llm_group_state_t    *group;        /* of the model, or at large */
    const llm_group_conf_t  *conf;
    uint32_t              g;
    uint64_t              random;
    llm_msec_t            now;
} llm_report_t;


/* base * 2^k, at most max */
llm_msec_t llm_report_step(llm_msec_t base, unsigned k, llm_msec_t max);

/* A tenth more at most, so that the workers do not come back at once. */
llm_msec_t llm_report_jitter(const llm_report_t *r, llm_msec_t ms);

/* The step of a group that this outcome is about. */
unsigned llm_report_k(const llm_report_t *r, const llm_group_state_t *s);

/* Rests a group for ms; is_step: the next one without a hint is longer. */
void llm_report_rest(const llm_report_t *r, llm_group_state_t *s,
    llm_msec_t ms, int is_step);

/* RATE_LIMITED and QUOTA: llm_keypool_quota.c */
void llm_report_rate(const llm_report_t *r);
void llm_report_quota(const llm_report_t *r);


/* Where the limits and the rests of a group are: of the model, or of all. */
static inline llm_group_state_t *
llm_pool_group(const llm_lane_t *lane, uint32_t g)
{
    return lane->conf->group[g].shared ? &lane->shared[g] : &lane->group[g];
}


/* Limit i of a group as it is this node's; returns how much more than that a
 * refill may regain, which is to be asked for on top.  *now becomes that of the
 * limit's clock. */
static inline uint64_t
llm_pool_limit(const llm_lane_t *lane, uint32_t g, uint32_t i, llm_limit_t *l,
    llm_msec_t *now)
{
    llm_cap_t  c;

    *l = lane->conf->group[g].limit[i];

    if (lane->caps == NULL) {
        return 0;
    }

    *now += (llm_msec_t) (l->clock == LLM_CLOCK_CALENDAR ? lane->caps->calendar
                                                         : lane->caps->steady);

    c = lane->caps->get(lane->caps->data, g, i);
    l->max = l->clock == LLM_CLOCK_REFILL ? c.rate : c.cap;

    return l->max - c.cap;
}


/* A rest that may have ended: 0 when a send may go, then *probe says whether
 * it goes first and alone. */
static inline llm_msec_t
llm_pool_rest(llm_msec_t until, llm_msec_t probe_at, llm_msec_t now, int *probe)
{
    if (until > now) {
        return until - now;
    }

    if (probe_at && probe_at <= now && now - probe_at < LLM_POOL_PROBE_MS) {
        return probe_at + LLM_POOL_PROBE_MS - now;
    }

    *probe = 1;

    return 0;
}


static inline llm_msec_t
llm_pool_key_rest(const llm_key_state_t *k, llm_msec_t now, int *probe)
{
    if (k->status == LLM_KEY_ACTIVE) {
        return 0;
    }

    if (k->status == LLM_KEY_MANUAL_OFF) {
        return LLM_NEVER;
    }

    return llm_pool_rest(k->until, k->probe_at, now, probe);
}


static inline llm_msec_t
llm_pool_group_rest(const llm_group_state_t *g, llm_msec_t now, int *probe)
{
    return g->probing || g->until > now
           ? llm_pool_rest(g->until, g->probe_at, now, probe) : 0;
}

#pragma GCC visibility pop

#endif /* LLM_KEYPOOL_STATE_H */
