/*
 * A pool of API keys: which one now, and what an outcome does to it.
 *
 * Quota belongs to a group (an organisation or project) and a model, not to a
 * key: one 429 rests every key of the group for that model.  Skipping a resting
 * key is free, sending to it is not.  The arrays live in shared memory; the
 * caller holds the lock.  Semantics: docs/design/key-pools.md.
 */

#ifndef LLM_KEYPOOL_H
#define LLM_KEYPOOL_H

#include "llm_core.h"
#include "llm_error.h"
#include "llm_quota.h"

#pragma GCC visibility push(hidden)

#define LLM_GROUP_LIMITS  4             /* limits of one group at most */

typedef enum {
    LLM_SELECT_HEADROOM, LLM_SELECT_IN_ORDER, LLM_SELECT_ROUND_ROBIN,
    LLM_SELECT_WEIGHTED, LLM_SELECT_RANDOM
} llm_select_t;

/* Configuration of one key and one group; immutable. */
typedef struct {
    uint32_t  group;                    /* index into the pool's groups */
    uint32_t  weight;                   /* >= 1 */
} llm_key_conf_t;

typedef struct {
    llm_limit_t  limit[LLM_GROUP_LIMITS];
    uint32_t     limit_n;
    unsigned     shared:1;              /* counts over all models */
} llm_group_conf_t;

typedef struct {
    llm_select_t             select;
    const llm_key_conf_t    *key;
    uint32_t                 key_n;
    const llm_group_conf_t  *group;
    uint32_t                 group_n;
    unsigned                 cooldown:1;        /* `cooldown off`: 0 */
} llm_keypool_conf_t;

typedef enum {
    LLM_KEY_ACTIVE, LLM_KEY_COOLING, LLM_KEY_PROBING, LLM_KEY_DISABLED,
    LLM_KEY_MANUAL_OFF
} llm_key_status_t;

/* State of a key over all models; all zero is "fresh and active". */
typedef struct {
    llm_msec_t  until;                  /* not before; epoch ms */
    llm_msec_t  since;                  /* the rest began: older leases prove
                                           nothing about it */
    llm_msec_t  probe_at;               /* a probe is under way since */
    llm_msec_t  last_used;
    llm_msec_t  auth_at;                /* last AUTH outcome */
    llm_msec_t  switched;               /* by hand, on or off; 0: never */
    uint32_t    failures;               /* consecutive, of the key itself */
    uint16_t    auth_step;
    uint8_t     status;                 /* llm_key_status_t */
    uint8_t     cause;                  /* llm_class_t of the last failure */
    uint32_t    sends;                  /* saturating counters for metrics */
    uint32_t    errors;
} llm_key_state_t;

/* State of a group for one model; all zero is "fresh". */
typedef struct {
    llm_msec_t         until;           /* resting; merged by max() */
    llm_msec_t         since;           /* the rest began */
    llm_msec_t         probe_at;        /* single flight after a rest */
    uint16_t           step;            /* 30 s * 2^step without a hint */
    uint8_t            cause;
    uint8_t            probing;         /* the rest is over, one may go first */
    llm_limit_state_t  limit[LLM_GROUP_LIMITS];
} llm_group_state_t;

/* What of a limit is this node's: it may use `cap`, and a refill regains `rate`
 * a window, which is not less. */
typedef struct {
    uint64_t  cap;
    uint64_t  rate;
} llm_cap_t;

/* Limits that nodes share: who knows the caps, and how far the clocks of limits
 * are from `now`. */
typedef struct {
    llm_cap_t  (*get)(void *data, uint32_t group, uint32_t limit);
    void        *data;
    int64_t      steady;
    int64_t      calendar;
} llm_caps_t;

/* One pool for one model: what pick works on.  Whoever frees a key by hand sets
 * *wake to 0. */
typedef struct {
    const llm_keypool_conf_t  *conf;
    llm_key_state_t           *key;     /* conf->key_n */
    llm_group_state_t         *group;   /* conf->group_n, of this model */
    llm_group_state_t         *shared;  /* conf->group_n, over all models */
    uint64_t                  *resting; /* bitmap of key_n bits: skip quickly;
                                           a cache, may always be zeroed */
    llm_msec_t                *wake;    /* when to zero it */
    uint32_t                  *cursor;  /* round robin position */
    int64_t                   *current; /* weighted round robin, key_n;
                                           NULL unless LLM_SELECT_WEIGHTED */
    const llm_caps_t          *caps;    /* NULL: this node has it all */
} llm_lane_t;

typedef struct {
    uint32_t    key;
    llm_msec_t  taken;                  /* when, for the settlement */
    llm_need_t  need;                   /* what was reserved */
    unsigned    probe:1;                /* this send decides for the others */
} llm_lease_t;

#define LLM_TRIED_MAX  16               /* groups a request remembers */

typedef struct {
    uint32_t  group[LLM_TRIED_MAX];
    uint32_t  n;
    uint32_t  prefer;                   /* this key first, when it is usable:
                                           index + 1; 0: any */
} llm_tried_t;

/*
 * Picks a usable key whose group was not tried by this request, and reserves
 * `need` in all of its group's limits (all or nothing).  The preferred one goes
 * before all that `select` says.  `random` is any 64 random bits.  A key whose
 * disabled time is over is handed out once, as probe.
 * LLM_OK: *lease is filled.  LLM_NONE: no usable key; *wait is the shortest
 * time in ms until one could be (LLM_NEVER: not by waiting), *cause why; groups
 * that were tried count only as far as they rest.
 */
llm_rc_t llm_keypool_pick(llm_lane_t *lane, const llm_need_t *need,
    const llm_tried_t *tried, uint64_t random, llm_msec_t now,
    llm_lease_t *lease, llm_msec_t *wait, llm_class_t *cause);

/* What an outcome carries beside its class. */
typedef struct {
    llm_class_t  class;
    llm_msec_t   wait;                  /* hint in ms; 0: none */
    unsigned     day:1;                 /* the body named a per-day quota */
    unsigned     has_quota:1;           /* Limit/Used/Requested were found */
    uint64_t     limit, used, requested;
    llm_dim_t    dim;                   /* dimension the refusal spoke of */
    unsigned     never:1;               /* "limit: 0": no quota at all */
} llm_outcome_t;

/*
 * Reports the outcome of a lease at once (before the tokens are known):
 * cooldowns by class, auto-disable on the 6th consecutive failure, the
 * correlated-failure guard, probe results.  Returns 1 when the key was
 * disabled by this outcome, for the log.
 */
int llm_keypool_report(llm_lane_t *lane, const llm_lease_t *lease,
    const llm_outcome_t *out, uint64_t random, llm_msec_t now);

/* Settles the reservation: charges what was used, refunds the rest.  A request
 * that never reached the provider is settled with zeros. */
void llm_keypool_settle(llm_lane_t *lane, const llm_lease_t *lease,
    const llm_need_t *actual, llm_msec_t now);

/*
 * A rest that another node learned of: of a key, or of a group for one model
 * (`s` is its state).  Merged by max(); leases taken before now say nothing
 * about it any more.  The last key that is not disabled is cooled instead.
 * 1: it was news.
 */
typedef struct {
    llm_msec_t  until;
    uint16_t    step;
    uint8_t     status;                 /* of a key: llm_key_status_t */
    uint8_t     cause;                  /* llm_class_t */
} llm_rest_t;

int llm_keypool_rest_key(const llm_keypool_conf_t *conf, llm_key_state_t *keys,
    uint32_t key, const llm_rest_t *rest, llm_msec_t now);
int llm_keypool_rest_group(llm_group_state_t *s, const llm_rest_t *rest,
    llm_msec_t now);

/* How many keys could be used right now, ignoring limits (for health). */
uint32_t llm_keypool_usable(const llm_lane_t *lane, llm_msec_t now);

/* Whether another group than the tried ones has a usable key (no reservation).
 * If not, *wait is the time in ms until some key could be used. */
int llm_keypool_has_other(llm_lane_t *lane, const llm_need_t *need,
    const llm_tried_t *tried, llm_msec_t now, llm_msec_t *wait);

#pragma GCC visibility pop

#endif /* LLM_KEYPOOL_H */
