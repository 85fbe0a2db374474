/*
 * The key pool: who is picked, what an outcome does, and how it is undone.
 */

#include "tap.h"
#include "zone.h"
#include "llm_keypool.h"


#define NOW     1795168800000ULL        /* 20 November 2026 10:00:00 GMT */
#define MINUTE  60000ULL
#define HOUR    3600000ULL
#define KEYS    200

typedef struct {
    llm_keypool_conf_t  conf;
    llm_lane_t          lane;
    llm_lane_t          other;          /* the same pool, another model */
    llm_key_conf_t      key_conf[KEYS];
    llm_group_conf_t    group_conf[KEYS];
    llm_key_state_t     key[KEYS];
    llm_group_state_t   group[2][KEYS];
    llm_group_state_t   shared[KEYS];
    uint64_t            resting[2][(KEYS + 63) / 64];
    llm_msec_t          wake[2];
    uint32_t            cursor[2];
    int64_t             current[2][KEYS];
} pool_t;

static uint64_t  seed = 88172645463325252ULL;


static uint64_t
rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed;
}


static void
lane_of(pool_t *p, llm_lane_t *lane, int i)
{
    *lane = (llm_lane_t) { &p->conf, p->key, p->group[i], p->shared,
                           p->resting[i], &p->wake[i], &p->cursor[i],
                           p->current[i], NULL };
}


/* keys keys, `size` of them in a group */
static pool_t *
make(llm_select_t select, uint32_t keys, uint32_t size)
{
    uint32_t        i;
    static pool_t   pool;
    pool_t         *p;

    p = &pool;
    memset(p, 0, sizeof(*p));

    p->conf = (llm_keypool_conf_t) { select, p->key_conf, keys, p->group_conf,
                                     (keys + size - 1) / size, 1 };

    for (i = 0; i < keys; i++) {
        p->key_conf[i].group = i / size;
        p->key_conf[i].weight = 1;
    }

    lane_of(p, &p->lane, 0);
    lane_of(p, &p->other, 1);

    return p;
}


static void
limit(pool_t *p, const char *text, llm_clock_t clock)
{
    uint32_t      i;
    llm_limit_t  *l;

    for (i = 0; i < p->conf.group_n; i++) {
        l = &p->group_conf[i].limit[p->group_conf[i].limit_n++];
        if (llm_limit_parse(tap_c(text), l) != LLM_OK) {
            ok(0, text);
        }
        l->clock = clock;
    }
}


typedef struct {
    llm_rc_t     rc;
    llm_lease_t  lease;
    llm_msec_t   wait;
    llm_class_t  cause;
} got_t;


static got_t
pick_for(llm_lane_t *lane, uint64_t tokens, const llm_tried_t *tried,
    llm_msec_t now)
{
    got_t        g;
    llm_need_t   need;
    llm_tried_t  none;

    memset(&g, 0, sizeof(g));
    memset(&need, 0, sizeof(need));
    memset(&none, 0, sizeof(none));
    need.n[LLM_DIM_REQUESTS] = 1;
    need.n[LLM_DIM_TOKENS] = tokens;

    g.rc = llm_keypool_pick(lane, &need, tried ? tried : &none, rnd(), now,
                            &g.lease, &g.wait, &g.cause);

    return g;
}


static got_t
pick(pool_t *p, llm_msec_t now)
{
    return pick_for(&p->lane, 100, NULL, now);
}


static int
report(llm_lane_t *lane, const got_t *g, llm_class_t class, llm_msec_t wait,
    llm_msec_t now)
{
    llm_outcome_t  o;

    memset(&o, 0, sizeof(o));
    o.class = class;
    o.wait = wait;

    return llm_keypool_report(lane, &g->lease, &o, rnd(), now);
}


static void
settle(llm_lane_t *lane, const got_t *g, uint64_t requests, uint64_t tokens,
    llm_msec_t now)
{
    llm_need_t  n;

    memset(&n, 0, sizeof(n));
    n.n[LLM_DIM_REQUESTS] = requests;
    n.n[LLM_DIM_TOKENS] = tokens;

    llm_keypool_settle(lane, &g->lease, &n, now);
}


static void
has_picked(const got_t *g, uint32_t key, const char *name)
{
    ok(g->rc == LLM_OK && g->lease.key == key, name);
    if (g->rc != LLM_OK || g->lease.key != key) {
        printf("# rc %d key %u wait %llu\n", g->rc, g->lease.key,
               (unsigned long long) g->wait);
    }
}


static void
has_none(const got_t *g, llm_msec_t low, llm_msec_t high, llm_class_t cause,
    const char *name)
{
    ok(g->rc == LLM_NONE && g->wait >= low && g->wait <= high
       && g->cause == cause, name);
    if (g->rc != LLM_NONE || g->wait < low || g->wait > high
        || g->cause != cause)
    {
        printf("# rc %d key %u wait %llu cause %d\n", g->rc, g->lease.key,
               (unsigned long long) g->wait, g->cause);
    }
}


static void
test_in_order(void)
{
    int      i;
    got_t    g, h;
    pool_t  *p;

    p = make(LLM_SELECT_IN_ORDER, 3, 1);

    for (i = 0; i < 5; i++) {
        g = pick(p, NOW + (llm_msec_t) i);
        has_picked(&g, 0, "always the first");
        is_int(g.lease.probe, 0, "no probe");
    }

    report(&p->lane, &g, LLM_CLASS_RATE_LIMITED, 10000, NOW);
    g = pick(p, NOW);
    has_picked(&g, 1, "the first that does not rest");
    report(&p->lane, &g, LLM_CLASS_RATE_LIMITED, 5000, NOW);
    h = pick(p, NOW);
    has_picked(&h, 2, "the third");
    report(&p->lane, &h, LLM_CLASS_RATE_LIMITED, 20000, NOW);
    g = pick(p, NOW);
    has_none(&g, 5000, 5500, LLM_CLASS_RATE_LIMITED, "the shortest wait");
    g = pick(p, NOW + g.wait);
    has_picked(&g, 1, "after it");
    g = pick_for(&p->other, 1, NULL, NOW);
    has_picked(&g, 0, "another model of the same pool is not affected");

    is_int(llm_keypool_usable(&p->lane, NOW + 1000), 0, "usable now");
    is_int(llm_keypool_usable(&p->lane, NOW + 60000), 3, "usable later");
}


static void
test_one_group(void)
{
    got_t         g, a, b;
    pool_t       *p;
    llm_msec_t    wait;
    llm_tried_t   tried;
    llm_select_t  s;

    for (s = LLM_SELECT_HEADROOM; s <= LLM_SELECT_RANDOM; s++) {
        p = make(s, 3, 3);
        a = pick(p, NOW);
        b = pick(p, NOW);
        report(&p->lane, &a, LLM_CLASS_RATE_LIMITED, 7000, NOW);
        g = pick(p, NOW + 1);
        has_none(&g, 6999, 7700, LLM_CLASS_RATE_LIMITED,
                 "three keys of one organisation cost one 429");

        memset(&tried, 0, sizeof(tried));
        is_int(llm_keypool_has_other(&p->lane, &a.lease.need, &tried, NOW + 1,
                                     &wait), 0, "no other key");
        ok(wait >= 6999 && wait <= 7700, "and how long the rest is");

        /* a slow success that was sent before the rest began */
        report(&p->lane, &b, LLM_CLASS_OK, 0, NOW + 100);
        g = pick(p, NOW + 200);
        has_none(&g, 6800, 7500, LLM_CLASS_RATE_LIMITED, "ends no rest");

        /* a later, shorter hint does not cut it */
        report(&p->lane, &b, LLM_CLASS_RATE_LIMITED, 1000, NOW + 300);
        g = pick(p, NOW + 400);
        has_none(&g, 6600, 7300, LLM_CLASS_RATE_LIMITED, "merged by max");
    }
}


static void
test_eleven(void)
{
    int           i, j, n;
    got_t         g;
    pool_t       *p;
    uint32_t      seen;
    llm_select_t  s;
    llm_tried_t   tried;

    for (s = LLM_SELECT_HEADROOM; s <= LLM_SELECT_RANDOM; s++) {
        p = make(s, 11, 1);
        limit(p, "50r/d", LLM_CLOCK_CALENDAR);

        /* one after the other says no: eleven sends, no key twice */
        memset(&tried, 0, sizeof(tried));
        seen = 0;

        for (i = 0; i < 11; i++) {
            g = pick_for(&p->lane, 0, &tried, NOW);
            if (g.rc != LLM_OK) {
                break;
            }
            seen |= 1U << g.lease.key;
            tried.group[tried.n++] = g.lease.key;
            report(&p->lane, &g, LLM_CLASS_AUTH, 0, NOW);
            settle(&p->lane, &g, 0, 0, NOW);
        }

        ok(i == 11 && seen == 0x7ff, "eleven independent ones rotate through");

        /* with sole use: 11 x 50 sends and not one more */
        p = make(s, 11, 1);
        limit(p, "50r/d", LLM_CLOCK_CALENDAR);

        for (n = 0; pick_for(&p->lane, 0, NULL, NOW + (llm_msec_t) n).rc
                    == LLM_OK; n++) { /* void */ }

        is_int(n, 550, "550 requests a day");
        for (j = 0, i = 0; i < 11; i++) {
            j += p->key[i].sends == 50;
        }
        is_int(j, 11, "50 of each");

        g = pick_for(&p->lane, 0, NULL, NOW);
        has_none(&g, 14 * HOUR, 14 * HOUR, LLM_CLASS_QUOTA, "until midnight");
    }
}


static void
test_spread(void)
{
    int       i, n[KEYS];
    got_t     g;
    pool_t   *p;
    uint32_t  want[] = { 0, 1, 2, 0, 1, 2 };
    uint32_t  smooth[] = { 0, 0, 1, 0, 2, 0, 0 };

    p = make(LLM_SELECT_ROUND_ROBIN, 3, 1);
    for (i = 0; i < 6; i++) {
        g = pick(p, NOW);
        has_picked(&g, want[i], "round robin");
    }

    p = make(LLM_SELECT_WEIGHTED, 3, 1);
    p->key_conf[0].weight = 5;
    for (i = 0; i < 7; i++) {
        g = pick(p, NOW);
        has_picked(&g, smooth[i], "smooth weighted round robin: a a b a c a a");
    }

    p = make(LLM_SELECT_WEIGHTED, 100, 1);
    p->key_conf[7].weight = 3;
    memset(n, 0, sizeof(n));
    for (i = 0; i < 1020; i++) {
        n[pick(p, NOW).lease.key]++;
    }
    ok(n[7] == 30 && n[0] == 10 && n[99] == 10, "weighted in a large pool");

    p = make(LLM_SELECT_RANDOM, 5, 1);
    memset(n, 0, sizeof(n));
    for (i = 0; i < 5000; i++) {
        n[pick(p, NOW).lease.key]++;
    }
    for (i = 0; i < 5; i++) {
        ok(n[i] > 850 && n[i] < 1150, "random");
    }

    p = make(LLM_SELECT_HEADROOM, 11, 1);
    memset(n, 0, sizeof(n));
    for (i = 0; i < 11000; i++) {
        n[pick(p, NOW + (llm_msec_t) i).lease.key]++;
    }
    for (i = 0; i < 11; i++) {
        ok(n[i] > 850 && n[i] < 1150, "headroom without limits: longest idle");
    }

    p = make(LLM_SELECT_HEADROOM, 2, 1);
    limit(p, "100r/m", LLM_CLOCK_SLIDING);
    p->group_conf[1].limit[0].max = 300;
    memset(n, 0, sizeof(n));
    for (i = 0; i < 200; i++) {
        n[pick(p, NOW).lease.key]++;
    }
    is_int(n[0], 50, "headroom: by what is left, of the small one");
    is_int(n[1], 150, "and of the large one");

    /* three keys of one group are one candidate */
    p = make(LLM_SELECT_HEADROOM, 4, 1);
    p->key_conf[1].group = 0;
    p->key_conf[2].group = 0;
    memset(n, 0, sizeof(n));
    for (i = 0; i < 1000; i++) {
        n[pick(p, NOW + (llm_msec_t) i).lease.key]++;
    }
    ok(n[3] > 480 && n[3] < 520, "the other group gets half");
    ok(n[0] > 150 && n[1] > 150 && n[2] > 150, "and its keys take turns");
}


static void
test_tried(void)
{
    got_t        g;
    pool_t      *p;
    llm_msec_t   wait;
    llm_tried_t  tried;

    p = make(LLM_SELECT_IN_ORDER, 6, 2);
    memset(&tried, 0, sizeof(tried));
    tried.group[tried.n++] = 0;

    g = pick_for(&p->lane, 1, &tried, NOW);
    has_picked(&g, 2, "the tried group is skipped, both keys of it");
    tried.group[tried.n++] = 1;
    is_int(llm_keypool_has_other(&p->lane, &g.lease.need, &tried, NOW, &wait),
           1, "one is left");
    tried.group[tried.n++] = 2;
    is_int(llm_keypool_has_other(&p->lane, &g.lease.need, &tried, NOW, &wait),
           0, "none is left");
    g = pick_for(&p->lane, 1, &tried, NOW);
    ok(g.rc == LLM_NONE && g.wait == LLM_NEVER, "waiting does not help");

    p = make(LLM_SELECT_IN_ORDER, 0, 1);
    g = pick(p, NOW);
    ok(g.rc == LLM_NONE && g.wait == LLM_NEVER, "a pool without keys");
}


/* What a provider keeps for one account is asked of that account. */
static void
test_preferred(void)
{
    got_t            g;
    pool_t          *p;
    uint32_t         i, keys, wrong;
    llm_tried_t      tried;
    static uint32_t  sizes[] = { 5, KEYS };

    for (i = 0; i < 2; i++) {
        keys = sizes[i];
        p = make(LLM_SELECT_IN_ORDER, keys, 1);
        limit(p, "1000t/m", LLM_CLOCK_SLIDING);

        memset(&tried, 0, sizeof(tried));
        tried.prefer = 3 + 1;

        g = pick_for(&p->lane, 600, &tried, NOW);
        has_picked(&g, 3, "the preferred key before the first one");

        g = pick_for(&p->lane, 600, &tried, NOW);
        has_picked(&g, 0, "... not when its limit is reached");

        p = make(LLM_SELECT_IN_ORDER, keys, 1);
        p->key[3].status = LLM_KEY_MANUAL_OFF;
        g = pick_for(&p->lane, 1, &tried, NOW);
        has_picked(&g, 0, "... not when it is off");

        p->key[3].status = LLM_KEY_ACTIVE;
        p->lane.resting[0] = 0;
        tried.group[tried.n++] = 3;
        g = pick_for(&p->lane, 1, &tried, NOW);
        has_picked(&g, 0, "... not when it was tried");

        tried.n = 0;
        tried.prefer = keys + 1;
        wrong = pick_for(&p->lane, 1, &tried, NOW).lease.key;
        is_int(wrong, 0, "a key that is gone means any");
    }
}


static void
test_limits(void)
{
    got_t          g, h;
    pool_t        *p;
    llm_outcome_t  o;

    p = make(LLM_SELECT_IN_ORDER, 3, 3);
    limit(p, "30r/m", LLM_CLOCK_SLIDING);
    limit(p, "1000t/m", LLM_CLOCK_SLIDING);

    g = pick_for(&p->lane, 600, NULL, NOW);
    has_picked(&g, 0, "fits");
    h = pick_for(&p->lane, 600, NULL, NOW);
    has_none(&h, 65000, 65000, LLM_CLASS_RATE_LIMITED, "does not");
    is_int(llm_limit_left(&p->group_conf[0].limit[0],
                          &p->group[0][0].limit[0], NOW), 29,
           "a refusal reserves nothing");
    settle(&p->lane, &g, 1, 300, NOW + 500);
    h = pick_for(&p->lane, 600, NULL, NOW + 500);
    has_picked(&h, 0, "after the refund");
    settle(&p->lane, &h, 0, 0, NOW + 600);
    is_int(llm_limit_left(&p->group_conf[0].limit[0],
                          &p->group[0][0].limit[0], NOW), 29,
           "never sent: given back");
    h = pick_for(&p->lane, 1001, NULL, NOW);
    ok(h.rc == LLM_NONE && h.wait == LLM_NEVER, "larger than the limit");

    g = pick_for(&p->other, 1000, NULL, NOW);
    has_picked(&g, 0, "limits count per model");

    p = make(LLM_SELECT_IN_ORDER, 3, 3);
    limit(p, "1000t/m", LLM_CLOCK_SLIDING);
    p->group_conf[0].shared = 1;
    (void) pick_for(&p->lane, 1000, NULL, NOW);
    g = pick_for(&p->other, 1, NULL, NOW);
    has_none(&g, 65000, 65000, LLM_CLASS_RATE_LIMITED, "unless it is shared");

    /* Groq's day: learned from the message, the small one passes */
    p = make(LLM_SELECT_IN_ORDER, 3, 3);
    limit(p, "100000t/d", LLM_CLOCK_REFILL);
    memset(&o, 0, sizeof(o));
    o.class = LLM_CLASS_QUOTA;
    o.day = 1;
    o.has_quota = 1;
    o.limit = 100000;
    o.used = 97050;
    o.requested = 3619;
    o.dim = LLM_DIM_TOKENS;
    o.wait = 578016;
    g = pick_for(&p->lane, 3619, NULL, NOW);
    llm_keypool_report(&p->lane, &g.lease, &o, rnd(), NOW);
    settle(&p->lane, &g, 0, 0, NOW);
    g = pick_for(&p->lane, 3619, NULL, NOW + 2000);
    has_none(&g, 576016, 576016, LLM_CLASS_QUOTA, "578.016 s, exactly");
    g = pick_for(&p->lane, 2900, NULL, NOW + 2000);
    has_picked(&g, 0, "a smaller one may pass");

    /* our estimate was smaller than what they count: rest for theirs */
    p = make(LLM_SELECT_IN_ORDER, 3, 3);
    limit(p, "100000t/d", LLM_CLOCK_REFILL);
    g = pick_for(&p->lane, 1000, NULL, NOW);
    llm_keypool_report(&p->lane, &g.lease, &o, rnd(), NOW);
    settle(&p->lane, &g, 0, 0, NOW);
    g = pick_for(&p->lane, 1000, NULL, NOW + 2000);
    has_none(&g, 576016, 576016 + 30000, LLM_CLASS_QUOTA,
             "underestimated: not again before the wait is over");

    /* nothing configured: the same by arithmetic alone */
    p = make(LLM_SELECT_IN_ORDER, 3, 3);
    o.wait = 0;
    g = pick_for(&p->lane, 1000, NULL, NOW);
    llm_keypool_report(&p->lane, &g.lease, &o, rnd(), NOW);
    g = pick_for(&p->lane, 1000, NULL, NOW);
    has_none(&g, 578016, 578016 + 30000, LLM_CLASS_QUOTA, "no limit, no hint");
}


static void
test_calendar(void)
{
    int            i;
    got_t          g;
    pool_t        *p;
    llm_msec_t     reset;
    llm_outcome_t  o;

    p = make(LLM_SELECT_IN_ORDER, 1, 1);
    limit(p, "50r/d", LLM_CLOCK_CALENDAR);
    p->group_conf[0].limit[0].tz = zone("America/Los_Angeles");

    memset(&o, 0, sizeof(o));
    o.class = LLM_CLASS_QUOTA;
    o.day = 1;
    o.wait = 37000;                     /* as Gemini says, and is wrong */
    reset = NOW + 22 * HOUR;

    g = pick(p, NOW);
    llm_keypool_report(&p->lane, &g.lease, &o, rnd(), NOW);
    settle(&p->lane, &g, 0, 0, NOW);
    g = pick(p, NOW + 40000);
    has_none(&g, reset - NOW - 40000 + 1000, reset - NOW - 40000 + 30000,
             LLM_CLASS_QUOTA, "until midnight in Los Angeles");

    /* the provider's clock is late: a probe is refused, 15 min each */
    g = pick(p, reset + 30000);
    has_picked(&g, 0, "then a probe");
    is_int(g.lease.probe, 1, "as such");
    llm_keypool_report(&p->lane, &g.lease, &o, rnd(), reset + 31000);
    settle(&p->lane, &g, 0, 0, reset + 31000);
    g = pick(p, reset + 32000);
    has_none(&g, 15 * MINUTE - 1000, 15 * MINUTE + 30000, LLM_CLASS_QUOTA,
             "refused right behind the reset: 15 min, not a day");
    g = pick(p, reset + 32000 + 16 * MINUTE);
    report(&p->lane, &g, LLM_CLASS_OK, 0, reset + 32000 + 16 * MINUTE);

    for (i = 1; pick(p, reset + HOUR).rc == LLM_OK; i++) { /* void */ }
    is_int(i, 50, "the new day has its 50");

    /* "limit: 0" */
    p = make(LLM_SELECT_IN_ORDER, 1, 1);
    o.never = 1;
    g = pick(p, NOW);
    llm_keypool_report(&p->lane, &g.lease, &o, rnd(), NOW);
    g = pick(p, NOW);
    has_none(&g, 6 * HOUR, 6 * HOUR + 30000, LLM_CLASS_QUOTA, "no quota");

    /* a day without numbers, a limit or a hint worth anything */
    p = make(LLM_SELECT_IN_ORDER, 1, 1);
    o.never = 0;
    g = pick(p, NOW);
    llm_keypool_report(&p->lane, &g.lease, &o, rnd(), NOW);
    g = pick(p, NOW);
    has_none(&g, 15 * MINUTE, 15 * MINUTE + 30000, LLM_CLASS_QUOTA, "15 min");
}


/* Picks at `at` and reports; returns when the only key is usable again. */
static llm_msec_t
again(pool_t *p, llm_class_t class, llm_msec_t wait, llm_msec_t at)
{
    got_t  g;

    g = pick(p, at);
    if (g.rc != LLM_OK) {
        ok(0, "usable");
    }
    report(&p->lane, &g, class, wait, at);
    g = pick(p, at);

    return g.rc == LLM_OK ? at : at + g.wait;
}


#define in_range(n, low, high, name)                                          \
    ok((n) >= (low) && (n) <= (high), name)


static void
test_rests(void)
{
    int          i;
    pool_t      *p;
    llm_msec_t   t, u;
    static const llm_msec_t  steps[] = { 30, 60, 120, 240, 300, 300 };
    static const llm_class_t  innocent[] = {
        LLM_CLASS_SERVER, LLM_CLASS_OVERLOADED, LLM_CLASS_TIMEOUT_HEADER,
        LLM_CLASS_TIMEOUT_TOTAL, LLM_CLASS_NETWORK, LLM_CLASS_CONNECT,
        LLM_CLASS_BAD_ANSWER, LLM_CLASS_CUT, LLM_CLASS_INVALID_REQUEST,
        LLM_CLASS_CONTENT_FILTER, LLM_CLASS_CONTEXT_LENGTH,
        LLM_CLASS_CLIENT_GONE
    };

    p = make(LLM_SELECT_IN_ORDER, 1, 1);

    for (t = NOW, i = 0; i < 6; i++) {
        u = again(p, LLM_CLASS_RATE_LIMITED, 0, t);
        in_range(u - t, steps[i] * 1000, steps[i] * 1100,
                 "no hint: 30 s * 2^k, 5 min at most");
        t = u;
    }

    u = again(p, LLM_CLASS_OK, 0, t);
    is_int(u, t, "a success ends it");
    u = again(p, LLM_CLASS_RATE_LIMITED, 0, t);
    in_range(u - t, 30000, 33000, "and the steps");
    t = u;
    u = again(p, LLM_CLASS_RATE_LIMITED, 50, t);
    in_range(u - t, 1000, 1100, "one second at least");

    for (i = 0; i < (int) (sizeof(innocent) / sizeof(innocent[0])); i++) {
        p = make(LLM_SELECT_IN_ORDER, 1, 1);
        u = again(p, innocent[i], 5000, NOW);
        ok(u == NOW && p->key[0].failures == 0, "no fault of the key");
    }

    p = make(LLM_SELECT_IN_ORDER, 2, 1);
    p->conf.cooldown = 0;
    for (i = 0; i < 20; i++) {
        u = again(p, (llm_class_t) (LLM_CLASS_AUTH + i % 5), 60000, NOW);
        is_int(u, NOW, "cooldown off: nothing rests");
    }
    limit(p, "30r/m", LLM_CLOCK_SLIDING);
    for (i = 0; pick(p, NOW).rc == LLM_OK; i++) { /* void */ }
    is_int(i, 60, "but limits hold");
    p->key[0].status = LLM_KEY_MANUAL_OFF;
    is_int(pick(p, NOW + HOUR).lease.key, 1, "and what was switched off is");

    p = make(LLM_SELECT_IN_ORDER, 3, 3);
    u = again(p, LLM_CLASS_PERMISSION, 0, NOW);
    in_range(u - NOW, HOUR, HOUR + 30000, "permission: an hour");
    is_int(pick_for(&p->other, 1, NULL, NOW).rc, LLM_OK, "for this model");
    is_int(p->key[0].failures, 0, "says nothing about the key");

    p = make(LLM_SELECT_IN_ORDER, 3, 3);
    p->group_conf[0].shared = 1;
    (void) again(p, LLM_CLASS_RATE_LIMITED, 9000, NOW);
    is_int(pick_for(&p->other, 1, NULL, NOW).rc, LLM_NONE,
           "a shared group rests for all models");
}


static void
test_billing(void)
{
    got_t    g, h;
    pool_t  *p;

    p = make(LLM_SELECT_IN_ORDER, 4, 2);
    g = pick(p, NOW);
    h = pick(p, NOW);
    is_int(report(&p->lane, &g, LLM_CLASS_BILLING, 0, NOW), 1, "disabled");
    is_int(report(&p->lane, &h, LLM_CLASS_BILLING, 0, NOW + 5), 0, "once");
    g = pick(p, NOW + 59 * MINUTE);
    has_picked(&g, 2, "both keys of the group are out");
    g = pick_for(&p->other, 1, NULL, NOW);
    has_picked(&g, 2, "for all models");
    g = pick(p, NOW + 62 * MINUTE);
    has_picked(&g, 0, "a probe after an hour");
    is_int(g.lease.probe, 1, "as such");
    h = pick(p, NOW + 62 * MINUTE);
    has_picked(&h, 2, "one only");
    report(&p->lane, &g, LLM_CLASS_BILLING, 0, NOW + 62 * MINUTE);
    g = pick(p, NOW + 62 * MINUTE + 119 * MINUTE);
    has_picked(&g, 2, "then two hours");

    p = make(LLM_SELECT_IN_ORDER, 2, 2);
    g = pick(p, NOW);
    is_int(report(&p->lane, &g, LLM_CLASS_BILLING, 0, NOW), 0,
           "the last group is not disabled");
    g = pick(p, NOW);
    has_none(&g, 30000, 33000, LLM_CLASS_BILLING, "it rests");
}


static void
test_auth(void)
{
    int          i;
    got_t        g, burst[10];
    pool_t      *p;
    llm_msec_t   t;

    p = make(LLM_SELECT_IN_ORDER, 4, 1);
    g = pick(p, NOW);
    is_int(report(&p->lane, &g, LLM_CLASS_AUTH, 0, NOW), 0, "first 401");
    in_range(p->key[0].until - NOW, MINUTE, MINUTE * 11 / 10, "a minute");
    is_int(pick(p, NOW).lease.key, 1, "the others serve");
    is_int(pick_for(&p->other, 1, NULL, NOW).lease.key, 1, "in any model");

    t = NOW + 2 * MINUTE;
    g = pick(p, t);
    has_picked(&g, 0, "tried again");
    is_int(g.lease.probe, 1, "as a probe");
    is_int(report(&p->lane, &g, LLM_CLASS_AUTH, 0, t), 0, "second 401");
    in_range(p->key[0].until - t, 10 * MINUTE, 11 * MINUTE, "ten minutes");

    t += 12 * MINUTE;
    g = pick(p, t);
    is_int(report(&p->lane, &g, LLM_CLASS_AUTH, 0, t), 1, "third: disabled");
    is_int(p->key[0].status, LLM_KEY_DISABLED, "really");
    in_range(p->key[0].until - t, 15 * MINUTE, 16 * MINUTE, "for 15 min");

    for (i = 1; i < 8; i++) {
        t = p->key[0].until;
        g = pick(p, t);
        is_int(g.lease.key, 0, "a probe");
        is_int(p->key[0].status, LLM_KEY_PROBING, "shown as such");
        is_int(report(&p->lane, &g, LLM_CLASS_AUTH, 0, t), 0, "fails");
        is_int(p->key[0].status, LLM_KEY_DISABLED, "disabled again");
    }
    in_range(p->key[0].until - t, 6 * HOUR, 6 * HOUR + 30000, "6 h at most");

    t = p->key[0].until;
    g = pick(p, t);
    report(&p->lane, &g, LLM_CLASS_SERVER, 0, t + 10);
    is_int(p->key[0].status, LLM_KEY_DISABLED, "a probe that proves nothing");
    g = pick(p, t + 20);
    has_picked(&g, 0, "is repeated at once");
    report(&p->lane, &g, LLM_CLASS_OK, 0, t + 30);
    ok(p->key[0].status == LLM_KEY_ACTIVE && p->key[0].failures == 0
       && p->key[0].auth_step == 0, "a good one brings it back");

    /* a burst in flight is one step of the ladder; the 6th failure disables */
    p = make(LLM_SELECT_IN_ORDER, 4, 1);
    for (i = 0; i < 7; i++) {
        burst[i] = pick(p, NOW);
    }
    for (i = 0; i < 5; i++) {
        is_int(report(&p->lane, &burst[i], LLM_CLASS_AUTH, 0, NOW + 10), 0,
               "not yet");
    }
    is_int(p->key[0].auth_step, 1, "one step");
    is_int(report(&p->lane, &burst[5], LLM_CLASS_AUTH, 0, NOW + 11), 1,
           "the 6th in a row disables");
    is_int(report(&p->lane, &burst[6], LLM_CLASS_AUTH, 0, NOW + 12), 0,
           "once");
    is_int(pick(p, NOW + MINUTE * 14).lease.key, 1, "it is out");

    /* a success in between */
    p = make(LLM_SELECT_IN_ORDER, 4, 1);
    for (t = NOW, i = 0; i < 20; i++) {
        g = pick(p, t);
        is_int(report(&p->lane, &g, LLM_CLASS_AUTH, 0, t), 0, "a 401");
        t += 2 * MINUTE;
        g = pick(p, t);
        report(&p->lane, &g, LLM_CLASS_OK, 0, t);
        t += 1;
    }
    is_int(p->key[0].status, LLM_KEY_ACTIVE, "never disables");
}


static void
test_guards(void)
{
    int         i, k, disabled;
    got_t       g;
    pool_t     *p;
    llm_msec_t  t;

    /* the whole pool turns 401: it is the provider */
    p = make(LLM_SELECT_IN_ORDER, 4, 1);
    disabled = 0;

    for (t = NOW, i = 0; i < 10; i++) {
        for (k = 0; k < 4; k++) {
            g = pick(p, t);
            if (g.rc == LLM_OK) {
                (void) report(&p->lane, &g, LLM_CLASS_AUTH, 0, t);
            }
        }
        for (k = 0; k < 4; k++) {
            disabled += p->key[k].status == LLM_KEY_DISABLED;
        }
        t += 11 * MINUTE + 1000;
    }

    is_int(disabled, 0, "half of the keys at once: none stays disabled");

    /* one after the other, far apart: all but the last */
    p = make(LLM_SELECT_IN_ORDER, 4, 4);
    disabled = 0;

    for (t = NOW, i = 0; i < 40; i++) {
        g = pick(p, t);
        if (g.rc == LLM_OK) {
            disabled += report(&p->lane, &g, LLM_CLASS_AUTH, 0, t);
        }
        t += 5 * MINUTE;
    }

    is_int(disabled, 3, "the last one is cooled, not disabled");

    p = make(LLM_SELECT_IN_ORDER, 1, 1);
    for (t = NOW, i = 0; i < 10; i++) {
        t = again(p, LLM_CLASS_AUTH, 0, t);
    }
    is_int(p->key[0].status, LLM_KEY_COOLING, "an only key is never disabled");
}


static void
test_single_flight(void)
{
    got_t        g, h;
    pool_t      *p;
    llm_msec_t   t;

    p = make(LLM_SELECT_IN_ORDER, 1, 1);
    g = pick(p, NOW);
    report(&p->lane, &g, LLM_CLASS_RATE_LIMITED, 2000, NOW);
    t = NOW + 2200;

    g = pick(p, t);
    ok(g.rc == LLM_OK && g.lease.probe, "one goes first");
    h = pick(p, t + 10);
    has_none(&h, 4990, 4990, LLM_CLASS_RATE_LIMITED, "the others wait");
    h = pick(p, t + 5000);
    ok(h.rc == LLM_OK && h.lease.probe, "for 5 s at most");
    report(&p->lane, &g, LLM_CLASS_OK, 0, t + 5010);
    h = pick(p, t + 5020);
    ok(h.rc == LLM_OK && !h.lease.probe, "the probe is back: all may go");

    report(&p->lane, &h, LLM_CLASS_RATE_LIMITED, 2000, t + 6000);
    g = pick(p, t + 8300);
    report(&p->lane, &g, LLM_CLASS_CLIENT_GONE, 0, t + 8310);
    h = pick(p, t + 8320);
    ok(h.rc == LLM_OK && h.lease.probe, "gone without a word: the next one");
    report(&p->lane, &h, LLM_CLASS_RATE_LIMITED, 4000, t + 8400);
    g = pick(p, t + 8500);
    has_none(&g, 3900, 4300, LLM_CLASS_RATE_LIMITED, "refused: rests again");
}


/* The bitmap of a large pool changes nothing but the time it takes. */
static void
test_large(void)
{
    int           i, late, bad, sends;
    got_t         g;
    pool_t       *p;
    llm_msec_t    t, need;
    llm_select_t  s;

    for (s = LLM_SELECT_HEADROOM; s <= LLM_SELECT_RANDOM; s++) {
        p = make(s, KEYS, 1);
        bad = 0;

        for (i = 0; i < KEYS; i++) {
            g = pick(p, NOW);
            bad += g.rc != LLM_OK;
            report(&p->lane, &g, LLM_CLASS_RATE_LIMITED,
                   30000 + (llm_msec_t) g.lease.key * 100, NOW);
        }

        is_int(bad, 0, "each key costs one 429");
        g = pick(p, NOW + 1);
        has_none(&g, 29000, 33000, LLM_CLASS_RATE_LIMITED, "all rest");
        need = g.wait;
        g = pick(p, NOW + 1 + need);
        ok(g.rc == LLM_OK && g.lease.probe, "after the wait there is one");
    }

    /* a key is never found later than 100 ms after its rest */
    p = make(LLM_SELECT_IN_ORDER, KEYS, 1);
    late = 0;
    sends = 0;
    bad = 0;

    for (t = NOW, i = 0; i < 100000; i++, t += rnd() % 20) {
        uint32_t  k, due;

        for (due = 0, k = 0; k < KEYS; k++) {
            due += p->group[0][k].until + 100 < t
                   && (!p->group[0][k].probe_at
                       || p->group[0][k].probe_at + 5100 < t);
        }

        g = pick(p, t);
        late += g.rc != LLM_OK && due;
        bad += g.rc == LLM_OK && p->group[0][g.lease.key].until > t;

        if (g.rc == LLM_OK) {
            sends++;
            report(&p->lane, &g, rnd() % 50 ? LLM_CLASS_RATE_LIMITED
                                            : LLM_CLASS_OK,
                   1000 + rnd() % 60000, t);
        }
    }

    is_int(late, 0, "none is forgotten");
    is_int(bad, 0, "none is sent to while it rests");
    ok(sends > 5000, "and much was sent");
}


/* Random outcomes against the invariants, in every mode and size. */
static void
test_random(void)
{
    int            i, bad;
    got_t          g, held[64];
    pool_t        *p;
    uint32_t       k, keys;
    llm_msec_t     t;
    llm_outcome_t  o;

    for (i = 0, bad = 0, p = NULL, t = NOW, keys = 0; i < 400000; i++) {

        if (i % 20000 == 0) {
            keys = 1 + (uint32_t) (rnd() % (i % 40000 ? 10 : KEYS));
            p = make((llm_select_t) (rnd() % 5), keys, 1 + rnd() % 3);
            limit(p, "300r/m", LLM_CLOCK_SLIDING);
            limit(p, "100000t/d", (llm_clock_t) (rnd() % 3));
            memset(held, 0xff, sizeof(held));
        }

        t += rnd() % 300;
        k = (uint32_t) (rnd() % 64);

        if (held[k].rc == LLM_OK) {
            memset(&o, 0, sizeof(o));
            o.class = rnd() % 3 ? LLM_CLASS_OK
                                : (llm_class_t) (rnd() % LLM_CLASS_N);
            o.wait = rnd() % 2 ? rnd() % 100000 : 0;
            o.day = rnd() & 1;
            o.never = rnd() % 50 == 0;
            o.has_quota = rnd() % 3 == 0;
            o.limit = 100000;
            o.used = rnd() % 120000;
            o.requested = rnd() % 5000;
            o.dim = LLM_DIM_TOKENS;
            llm_keypool_report(&p->lane, &held[k].lease, &o, rnd(), t);
            settle(&p->lane, &held[k], 1, rnd() % 3000, t);
            held[k].rc = LLM_BAD;
            continue;
        }

        g = pick_for(&p->lane, rnd() % 3000, NULL, t);

        if (g.rc == LLM_OK) {
            held[k] = g;
            bad += g.lease.key >= keys
                   || p->key[g.lease.key].until > t
                   || p->group[0][p->key_conf[g.lease.key].group].until > t
                   || p->shared[p->key_conf[g.lease.key].group].until > t;

        } else {
            held[k].rc = LLM_BAD;
            bad += g.wait == 0;
        }

        for (k = 0; k < keys; k++) {
            bad += p->key[k].status != LLM_KEY_ACTIVE && p->key[k].until == 0;
        }
    }

    is_int(bad, 0, "400 000 random steps");
}


/* What another node learned. */
static void
test_told(void)
{
    pool_t      *p;
    llm_rest_t   rest = { NOW + 5000, 2, LLM_KEY_DISABLED, LLM_CLASS_AUTH };

    p = make(LLM_SELECT_IN_ORDER, 2, 1);

    is_int(llm_keypool_rest_key(&p->conf, p->key, 0, &rest, NOW), 1,
           "a rest that is news");
    is_int(p->key[0].status, LLM_KEY_DISABLED, "the key is disabled");
    is_int(p->key[0].auth_step, 2, "with its step");
    is_int(llm_keypool_rest_key(&p->conf, p->key, 0, &rest, NOW + 1), 0,
           "told twice it is none");

    is_int(llm_keypool_rest_key(&p->conf, p->key, 1, &rest, NOW), 1,
           "the other one, too");
    is_int(p->key[1].status, LLM_KEY_COOLING, "but the last is cooled");

    rest.until = NOW + 4000;
    is_int(llm_keypool_rest_key(&p->conf, p->key, 0, &rest, NOW), 0,
           "a shorter one changes nothing");
    is_int(p->key[0].until, NOW + 5000, "merged by max");

    p->key[0].status = LLM_KEY_MANUAL_OFF;
    rest.until = NOW + 9000;
    is_int(llm_keypool_rest_key(&p->conf, p->key, 0, &rest, NOW), 0,
           "off by hand stays off");

    rest.cause = LLM_CLASS_RATE_LIMITED;
    is_int(llm_keypool_rest_group(&p->group[0][1], &rest, NOW), 1,
           "a group's rest");
    is_int(llm_keypool_rest_group(&p->group[0][1], &rest, NOW), 0, "once");
    is_int(llm_keypool_rest_group(&p->group[0][0], &rest, NOW + 9000), 0,
           "what is over is none");
    is_int(p->group[0][1].step, 2, "the next is longer here as well");
}


static llm_cap_t
cap_of(void *data, uint32_t group, uint32_t i)
{
    llm_cap_t  *cap;

    cap = data;

    return cap[group * LLM_GROUP_LIMITS + i];
}


/* Nodes share the limits: a part of them is this node's, on clocks that do not
 * follow the time of day. */

static void
test_caps(void)
{
    got_t        g;
    pool_t      *p;
    uint32_t     n;
    llm_cap_t    cap[2 * LLM_GROUP_LIMITS];
    llm_caps_t   caps;

    p = make(LLM_SELECT_IN_ORDER, 2, 1);
    p->group_conf[0].limit_n = 1;
    llm_limit_parse(LLM_STR("50r/d"), &p->group_conf[0].limit[0]);
    p->group_conf[0].limit[0].clock = LLM_CLOCK_CALENDAR;
    p->group_conf[1].limit_n = 1;
    llm_limit_parse(LLM_STR("60r/m"), &p->group_conf[1].limit[0]);
    p->group_conf[1].limit[0].clock = LLM_CLOCK_REFILL;

    memset(cap, 0, sizeof(cap));
    cap[0].cap = cap[0].rate = 3;
    cap[LLM_GROUP_LIMITS].cap = 2;
    cap[LLM_GROUP_LIMITS].rate = 6;
    caps = (llm_caps_t) { cap_of, cap, 5000, -5000 };
    p->lane.caps = &caps;

    for (n = 0; pick_for(&p->lane, 0, NULL, NOW).rc == LLM_OK; n++) { /* */ }
    is_int(n, 5, "three of the first, two of the second");

    g = pick_for(&p->lane, 0, NULL, NOW);
    ok(g.rc == LLM_NONE && g.wait <= 500, "others may lend soon");
    g = pick_for(&p->lane, 0, NULL, NOW + 10000);
    is_int(g.lease.key, 1, "a refill regains more than it may hold");
    ok(g.rc == LLM_OK
       && pick_for(&p->lane, 0, NULL, NOW + 10000).rc == LLM_NONE,
       "but does not hold it");

    cap[0].cap = cap[0].rate = 4;
    g = pick_for(&p->lane, 0, NULL, NOW + 10000);
    ok(g.rc == LLM_OK && g.lease.key == 0, "what was lent is used");
    settle(&p->lane, &g, 0, 0, NOW + 11000);
    ok(pick_for(&p->lane, 0, NULL, NOW + 11000).rc == LLM_OK, "given back");

    cap[0].cap = cap[0].rate = 50;
    cap[LLM_GROUP_LIMITS].cap = cap[LLM_GROUP_LIMITS].rate = 0;
    for (n = 0; pick_for(&p->lane, 0, NULL, NOW + 12000).rc == LLM_OK; n++) { }
    is_int(n, 46, "never more than the limit");
}


int
main(void)
{
    test_told();
    test_caps();
    test_in_order();
    test_one_group();
    test_eleven();
    test_spread();
    test_tried();
    test_preferred();
    test_limits();
    test_calendar();
    test_rests();
    test_billing();
    test_auth();
    test_guards();
    test_single_flight();
    test_large();
    test_random();

    return tap_done();
}
