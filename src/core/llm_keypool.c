/*
 * Picking a key: who may be used now, and what is reserved for the send.
 *
 * In a large pool a bitmap remembers who rests, so that the time of a pick does
 * not depend on how many keys do.  Which of the usable keys it is: see
 * llm_keypool_select.c.
 */

#include "llm_keypool_state.h"

#define LLM_POOL_WAKE_MS  100           /* the bitmap is kept that long */
#define LLM_POOL_LEND_MS  500           /* other nodes are asked meanwhile */


static int
llm_pick_is_tried(const llm_pick_t *p, uint32_t group)
{
    uint32_t  i;

    for (i = 0; i < p->tried->n && i < LLM_TRIED_MAX; i++) {
        if (p->tried->group[i] == group) {
            return 1;
        }
    }

    return 0;
}


/* The longest of the rests of a key, its group, and its group at large. */
static llm_msec_t
llm_pick_rest(const llm_pick_t *p, uint32_t key, llm_class_t *cause)
{
    int                       probe;
    uint32_t                  g;
    llm_msec_t                wait, ms;
    const llm_key_state_t    *k;
    const llm_group_state_t  *s;

    k = &p->lane->key[key];

    if (!p->lane->conf->cooldown) {
        *cause = LLM_CLASS_EXHAUSTED;
        return k->status == LLM_KEY_MANUAL_OFF ? LLM_NEVER : 0;
    }

    g = p->lane->conf->key[key].group;

    wait = llm_pool_key_rest(k, p->now, &probe);
    *cause = k->status == LLM_KEY_MANUAL_OFF ? LLM_CLASS_EXHAUSTED
                                             : (llm_class_t) k->cause;

    s = &p->lane->group[g];
    ms = llm_pool_group_rest(s, p->now, &probe);

    if (ms > wait) {
        wait = ms;
        *cause = (llm_class_t) s->cause;
    }

    s = &p->lane->shared[g];
    ms = llm_pool_group_rest(s, p->now, &probe);

    if (ms > wait) {
        wait = ms;
        *cause = (llm_class_t) s->cause;
    }

    return wait;
}


/* The same for one limit.  What other nodes have left they may lend soon. */
static llm_msec_t
llm_pick_limit(const llm_pick_t *p, uint32_t g, uint32_t i, uint64_t need)
{
    uint64_t                  more;
    llm_limit_t               l;
    llm_msec_t                now, ms;
    const llm_limit_t        *whole;
    const llm_group_state_t  *s;

    s = llm_pool_group(p->lane, g);
    now = p->now;

    more = llm_pool_limit(p->lane, g, i, &l, &now);
    ms = llm_limit_wait(&l, &s->limit[i], need ? need + more : 0, now);

    if (ms == 0 || p->lane->caps == NULL) {
        return ms;
    }

    whole = &p->lane->conf->group[g].limit[i];

    if (ms > LLM_POOL_LEND_MS
        && llm_limit_wait(whole, &s->limit[i], need, now) == 0)
    {
        return LLM_POOL_LEND_MS;
    }

    return ms;
}


/*
 * How long until the limits of a group have room for the request; *any is the
 * same for the smallest of requests: nobody need ask before.
 */
static llm_msec_t
llm_pick_limits(const llm_pick_t *p, uint32_t g, llm_msec_t *any,
    llm_class_t *cause)
{
    uint32_t                 i;
    llm_msec_t               wait, ms;
    const llm_limit_t       *l;
    const llm_group_conf_t  *conf;

    conf = &p->lane->conf->group[g];
    wait = 0;
    *any = 0;

    for (i = 0; i < conf->limit_n; i++) {
        l = &conf->limit[i];

        ms = llm_pick_limit(p, g, i, p->need->n[l->dim]);

        if (ms <= wait) {
            continue;
        }

        wait = ms;
        *cause = l->unit >= LLM_TZ_DAY ? LLM_CLASS_QUOTA
                                       : LLM_CLASS_RATE_LIMITED;

        /* dimensions the request does not need do not hold others back */
        ms = llm_pick_limit(p, g, i, 1);
        *any = ms > *any ? ms : *any;
    }

    return wait;
}


/* The bitmap begins anew: who rested may be awake. */
static void
llm_pick_wake(llm_pick_t *p)
{
    if (p->now >= *p->lane->wake) {
        memset(p->lane->resting, 0,
               (p->lane->conf->key_n + 63) / 64 * sizeof(uint64_t));
        *p->lane->wake = LLM_NEVER;
    }
}


static void
llm_pick_mark(llm_pick_t *p, uint32_t key, llm_msec_t wait)
{
    llm_msec_t  at;

    if (p->lane->conf->key_n <= LLM_POOL_SMALL) {
        return;
    }

    p->lane->resting[key / 64] |= 1ULL << (key % 64);

    if (wait == LLM_NEVER) {
        return;
    }

    at = p->now + (wait > LLM_POOL_WAKE_MS ? wait : LLM_POOL_WAKE_MS);

    if (at < *p->lane->wake) {
        *p->lane->wake = at;
    }
}


/* Whether this key may be used now.  If not, the pick remembers why. */
int
llm_pick_is_usable(llm_pick_t *p, uint32_t key)
{
    uint32_t     g;
    llm_msec_t   wait, any;
    llm_class_t  cause;

    g = p->lane->conf->key[key].group;

    wait = llm_pick_rest(p, key, &cause);

    if (wait) {
        llm_pick_mark(p, key, wait);

    } else {
        wait = llm_pick_limits(p, g, &any, &cause);

        if (any) {
            llm_pick_mark(p, key, any);
        }
    }

    if (wait == 0) {
        return !llm_pick_is_tried(p, g);
    }

    if (wait < p->wait) {
        p->wait = wait;
        p->cause = cause;
    }

    return 0;
}


/* After a rest one goes first; the others wait for what it finds. */
static unsigned
llm_pick_probes(llm_pick_t *p, llm_key_state_t *k, llm_group_state_t *group)
{
    int  probe;

    probe = 0;

    if (group) {
        if (llm_pool_group_rest(group, p->now, &probe) == 0 && probe) {
            group->probe_at = p->now;
        }

    } else if (llm_pool_key_rest(k, p->now, &probe) == 0 && probe) {
        k->probe_at = p->now;

        if (k->status == LLM_KEY_DISABLED) {
            k->status = LLM_KEY_PROBING;
        }
    }

    return probe != 0;
}


static void
llm_pick_lease(llm_pick_t *p, uint32_t key, llm_lease_t *lease)
{
    uint32_t                 i, g;
    llm_limit_t              l;
    llm_msec_t               now;
    llm_key_state_t         *k;
    llm_group_state_t       *s;
    const llm_group_conf_t  *conf;

    k = &p->lane->key[key];
    g = p->lane->conf->key[key].group;
    conf = &p->lane->conf->group[g];
    s = llm_pool_group(p->lane, g);

    memset(lease, 0, sizeof(*lease));
    lease->key = key;
    lease->taken = p->now;
    lease->need = *p->need;

    for (i = 0; i < conf->limit_n; i++) {
        now = p->now;
        (void) llm_pool_limit(p->lane, g, i, &l, &now);
        llm_limit_take(&l, &s->limit[i], p->need->n[l.dim], now);
    }

    if (p->lane->conf->cooldown) {
        lease->probe = (llm_pick_probes(p, k, NULL)
                        | llm_pick_probes(p, k, &p->lane->group[g])
                        | llm_pick_probes(p, k, &p->lane->shared[g])) & 1;
    }

    k->last_used = p->now;
    k->sends += k->sends < UINT32_MAX;
}


/* Nobody: those marked in the bitmap wait, too, and nobody asked them why. */
static void
llm_pick_marked(llm_pick_t *p)
{
    llm_msec_t   wait;
    llm_class_t  cause;

    if (p->lane->conf->key_n <= LLM_POOL_SMALL || *p->lane->wake == LLM_NEVER
        || *p->lane->wake - p->now >= p->wait)
    {
        return;
    }

    wait = llm_pick_rest(p, 0, &cause);

    p->wait = *p->lane->wake - p->now;
    p->cause = wait ? cause : LLM_CLASS_RATE_LIMITED;
}


/* Only one account has what this request speaks of. */
static uint32_t
llm_pick_preferred(llm_pick_t *p)
{
    uint32_t  key;

    if (p->tried->prefer == 0 || p->tried->prefer > p->lane->conf->key_n) {
        return LLM_POOL_NOBODY;
    }

    key = p->tried->prefer - 1;

    return llm_pick_is_usable(p, key) ? key : LLM_POOL_NOBODY;
}


llm_rc_t
llm_keypool_pick(llm_lane_t *lane, const llm_need_t *need,
    const llm_tried_t *tried, uint64_t random, llm_msec_t now,
    llm_lease_t *lease, llm_msec_t *wait, llm_class_t *cause)
{
    uint32_t    key;
    llm_pick_t  p;

    p = (llm_pick_t) { lane, need, tried, now, LLM_NEVER,
                       LLM_CLASS_EXHAUSTED };
    key = LLM_POOL_NOBODY;

    if (lane->conf->key_n) {
        llm_pick_wake(&p);
        key = llm_pick_preferred(&p);

        if (key == LLM_POOL_NOBODY) {
            key = llm_pick_select(&p, random);
        }
    }

    if (key != LLM_POOL_NOBODY) {
        llm_pick_lease(&p, key, lease);
        return LLM_OK;
    }

    llm_pick_marked(&p);

    *wait = p.wait;
    *cause = p.cause;

    return LLM_NONE;
}


int
llm_keypool_has_other(llm_lane_t *lane, const llm_need_t *need,
    const llm_tried_t *tried, llm_msec_t now, llm_msec_t *wait)
{
    int         found;
    llm_pick_t  p;

    *wait = LLM_NEVER;

    if (lane->conf->key_n == 0) {
        return 0;
    }

    p = (llm_pick_t) { lane, need, tried, now, LLM_NEVER,
                       LLM_CLASS_EXHAUSTED };

    llm_pick_wake(&p);

    found = llm_pick_between(&p, 0, lane->conf->key_n) != LLM_POOL_NOBODY;

    if (!found) {
        llm_pick_marked(&p);
        *wait = p.wait;
    }

    return found;
}


uint32_t
llm_keypool_usable(const llm_lane_t *lane, llm_msec_t now)
{
    uint32_t     n, key;
    llm_lane_t   view;
    llm_pick_t   p;
    llm_class_t  cause;

    view = *lane;
    p = (llm_pick_t) { &view, NULL, NULL, now, LLM_NEVER,
                       LLM_CLASS_EXHAUSTED };

    for (n = 0, key = 0; key < lane->conf->key_n; key++) {
        n += llm_pick_rest(&p, key, &cause) == 0;
    }

    return n;
}


void
llm_keypool_settle(llm_lane_t *lane, const llm_lease_t *lease,
    const llm_need_t *actual, llm_msec_t now)
{
    uint32_t                 i, g;
    llm_limit_t              l;
    llm_msec_t               at;
    llm_group_state_t       *s;
    const llm_group_conf_t  *conf;

    g = lane->conf->key[lease->key].group;
    conf = &lane->conf->group[g];
    s = llm_pool_group(lane, g);

    for (i = 0; i < conf->limit_n; i++) {
        at = now;
        (void) llm_pool_limit(lane, g, i, &l, &at);
        llm_limit_settle(&l, &s->limit[i], lease->need.n[l.dim],
                         actual->n[l.dim], lease->taken + (at - now), at);
    }
}
