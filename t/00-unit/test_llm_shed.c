/*
 * Shedding: whom a level sheds, the limit that is found by trying, quotas, and
 * a provider of fixed capacity under more load than it can take.
 */

#include "tap.h"
#include "llm_shed.h"

#define NOW      1795168800000ULL
#define WAITING  200000

static const llm_shed_conf_t  by_first = {
    { 2000, 0 }, 10000, 0, 9000, 1, 0
};

static const llm_shed_conf_t  by_left = {
    { 0, 0 }, 10000, 1000, 10000, 1, 0
};


static void
test_words(void)
{
    is_int(llm_priority_find(LLM_STR("low")), LLM_PRIORITY_LOW, "low");
    is_int(llm_priority_find(LLM_STR("normal")), LLM_PRIORITY_NORMAL, "normal");
    is_int(llm_priority_find(LLM_STR("high")), LLM_PRIORITY_HIGH, "high");
    is_int(llm_priority_find(LLM_STR("High")), LLM_PRIORITY_UNSET, "High");
    is_int(llm_priority_find(LLM_STR("")), LLM_PRIORITY_UNSET, "nothing");
    is_str(llm_priority_name(LLM_PRIORITY_LOW), "low", "and back");
    is_str(llm_priority_name((llm_priority_t) 9), "", "any number has a name");
}


/* How many of 100 requests with chances spread evenly. */
static int
share(uint32_t level, llm_priority_t priority)
{
    int       n;
    uint32_t  chance;

    for (n = 0, chance = 0; chance < LLM_SHED_ONE; chance += 100) {
        n += llm_shed_hits(level, priority, chance);
    }

    return n;
}


static void
test_hits(void)
{
    is_int(share(0, LLM_PRIORITY_LOW), 0, "level 0: no low ones");
    is_int(share(2500, LLM_PRIORITY_LOW), 50, "level 25: half of the low ones");
    is_int(share(2500, LLM_PRIORITY_NORMAL), 0, "... no normal ones");
    is_int(share(5000, LLM_PRIORITY_LOW), 100, "level 50: all low ones");
    is_int(share(5000, LLM_PRIORITY_NORMAL), 0, "... no normal ones");
    is_int(share(7500, LLM_PRIORITY_LOW), 100, "level 75: all low ones");
    is_int(share(7500, LLM_PRIORITY_NORMAL), 50, "... half of the normal ones");
    is_int(share(7500, LLM_PRIORITY_UNSET), 50, "... unset is normal");
    is_int(share(10000, LLM_PRIORITY_NORMAL), 100,
           "level 100: all normal ones");
    is_int(share(10000, LLM_PRIORITY_HIGH), 0, "... never high ones");
}


/* A second of requests that all prove the same. */
static void
second(const llm_shed_conf_t *c, llm_shed_t *s, llm_msec_t now, int n,
    llm_shed_proof_t proof, uint32_t inflight)
{
    int         i;
    llm_msec_t  at;

    for (i = 0; i < n; i++) {
        at = now + (llm_msec_t) (i * 1000 / n);

        if (llm_shed_is_due(s, at)) {
            (void) llm_shed_step(c, s, inflight, at);
        }

        llm_shed_seen(c, s, LLM_PRIORITY_LOW, at);
        llm_shed_start(c, s, LLM_SHED_FIRST, at);

        if (proof != LLM_SHED_PROOFS) {
            llm_shed_end(c, s, LLM_SHED_FIRST, at, proof);
        }
    }
}


static void
test_limit(void)
{
    int         i, news;
    uint64_t    limit;
    llm_shed_t  s;

    memset(&s, 0, sizeof(s));

    for (i = 0; i < 20; i++) {
        second(&by_first, &s, NOW + (llm_msec_t) i * 1000, 20, LLM_SHED_QUICK,
               100);
    }

    is_int(s.limit, 0, "quick answers: no limit");
    is_int(llm_shed_level(&by_first, &s, 1000000), 0, "... nobody is shed");

    /* they hang: nothing ended, the age of those in flight is enough */

    for (i = 20; i < 24; i++) {
        second(&by_first, &s, NOW + (llm_msec_t) i * 1000, 20, LLM_SHED_PROOFS,
               100);
    }

    news = llm_shed_step(&by_first, &s, 100, NOW + 24000);

    ok(s.limit > 0, "requests in flight for longer than the target: a limit");
    ok(s.limit <= 85000 && s.limit >= 50000, "... lower than what was there");
    ok(s.began != 0 && (news & LLM_SHED_BEGAN || s.began < NOW + 24000),
       "... it began");
    is_int(llm_shed_level(&by_first, &s, 100) >= LLM_SHED_HALF, 1,
           "... with so many in flight no low one is let in");
    is_int(llm_shed_level(&by_first, &s, 10), 0, "... with few all are");
    ok(llm_shed_level(&by_first, &s, 100000) == 9000, "the level has a bound");

    limit = s.limit;
    (void) llm_shed_step(&by_first, &s, 100, NOW + 25000);
    is_int(s.limit, limit, "no further cut before this one could show effect");

    /* calm again: it grows slowly, then it is not needed any more */

    for (i = 25; i < 45; i++) {
        second(&by_first, &s, NOW + (llm_msec_t) i * 1000, 20, LLM_SHED_QUICK,
               (uint32_t) (limit / 1000));
    }

    ok(s.limit > limit, "calm: more is tried");
    ok(s.limit < limit * 2, "... slowly");

    for (i = 45; i < 135; i++) {
        second(&by_first, &s, NOW + (llm_msec_t) i * 1000, 5, LLM_SHED_QUICK,
               1);
    }

    is_int(s.limit, 0, "no load: the limit is gone");
    is_int(s.began, 0, "... and with it the shedding");
}


static void
test_evidence(void)
{
    int         i;
    llm_shed_t  s;

    /* too few */

    memset(&s, 0, sizeof(s));

    for (i = 0; i < 9; i++) {
        second(&by_first, &s, NOW + (llm_msec_t) i * 1000, 1, LLM_SHED_LATE,
               50);
    }

    (void) llm_shed_step(&by_first, &s, 50, NOW + 12000);
    is_int(s.limit, 0, "nine late requests are too few to tell");

    /* one of twelve */

    memset(&s, 0, sizeof(s));

    for (i = 0; i < 10; i++) {
        second(&by_first, &s, NOW + (llm_msec_t) i * 1000, 11, LLM_SHED_GOOD,
               50);
        second(&by_first, &s, NOW + (llm_msec_t) i * 1000 + 950, 1,
               LLM_SHED_LATE, 50);
    }

    (void) llm_shed_step(&by_first, &s, 50, NOW + 12500);
    is_int(s.limit, 0, "a tenth may be late");

    /* what proves nothing */

    memset(&s, 0, sizeof(s));

    for (i = 0; i < 10; i++) {
        second(&by_first, &s, NOW + (llm_msec_t) i * 1000, 50, LLM_SHED_NONE,
               50);
    }

    (void) llm_shed_step(&by_first, &s, 50, NOW + 13000);
    is_int(s.limit, 0, "clients that leave are no evidence");

    /* a dead worker */

    memset(&s, 0, sizeof(s));
    second(&by_first, &s, NOW, 50, LLM_SHED_PROOFS, 50);
    llm_shed_forgive(&s);
    (void) llm_shed_step(&by_first, &s, 50, NOW + 5000);
    is_int(s.limit, 0, "requests of a dead worker are forgiven");

    /* the kind that has no target is not counted */

    llm_shed_start(&by_first, &s, LLM_SHED_WHOLE, NOW + 5000);
    (void) llm_shed_step(&by_first, &s, 50, NOW + 9000);
    is_int(s.limit, 0, "without a target there is no being late");

    /* a clock that is set back, and one that is set far ahead */

    second(&by_first, &s, NOW + 10000, 50, LLM_SHED_LATE, 50);
    ok(llm_shed_is_due(&s, NOW - 3600000), "a clock set back: a step is due");
    (void) llm_shed_step(&by_first, &s, 50, NOW - 3600000);
    (void) llm_shed_step(&by_first, &s, 50, NOW + 86400000);
    is_int(s.limit, 0, "... nobody is punished for it");
}


static void
test_dry_run(void)
{
    int              i;
    uint64_t         limit;
    llm_shed_t       s;
    llm_shed_conf_t  c;

    c = by_first;
    c.dry_run = 1;
    memset(&s, 0, sizeof(s));

    for (i = 0; i < 10; i++) {
        second(&c, &s, NOW + (llm_msec_t) i * 1000, 20, LLM_SHED_LATE, 100);
    }

    limit = s.limit;
    ok(limit > 0, "a dry run finds a limit");

    for (i = 10; i < 40; i++) {
        second(&c, &s, NOW + (llm_msec_t) i * 1000, 20, LLM_SHED_LATE, 100);
    }

    is_int(s.limit, limit, "... and does not cut what it does not enforce");
}


static void
test_left(void)
{
    int         news;
    llm_shed_t  s;

    memset(&s, 0, sizeof(s));
    is_int(llm_shed_scarcest(&s, NOW), 10000, "nothing told: all is left");

    llm_shed_told(&s, 1, 0, 1, 5000, 60000, NOW);
    is_int(llm_shed_left_level(&by_left, &s, NOW), 0, "half is left: 0");

    llm_shed_told(&s, 1, 0, 1, 500, 60000, NOW);
    is_int(llm_shed_left_level(&by_left, &s, NOW), 5000,
           "half of the threshold is left: half of the scale");

    news = llm_shed_step(&by_left, &s, 0, NOW);
    is_int(news, LLM_SHED_BEGAN, "... it begins");
    is_int(llm_shed_level(&by_left, &s, 0), 5000, "... the level");

    llm_shed_told(&s, 1, 0, 1, 0, 60000, NOW);
    is_int(llm_shed_left_level(&by_left, &s, NOW), 10000, "nothing: all of it");
    is_int(llm_shed_left_level(&by_left, &s, NOW + 3000), 5000,
           "it comes back evenly");
    is_int(llm_shed_left_level(&by_left, &s, NOW + 6000), 0, "... enough");

    is_int(llm_shed_step(&by_left, &s, 0, NOW + 7000), 0, "not over at once");
    is_int(llm_shed_step(&by_left, &s, 0, NOW + 20000), LLM_SHED_ENDED,
           "over after a window");

    /* a day's quota: what was told an hour ago lets nobody in */

    llm_shed_told(&s, 1, 0, 1, 0, 86400000, NOW);
    is_int(llm_shed_left_level(&by_left, &s, NOW + 50000) > 9000, 1,
           "a long reset lasts");
    is_int(llm_shed_left_level(&by_left, &s, NOW + 60000), 0,
           "... but somebody has to ask again");

    /* three keys, two of which are used up */

    memset(&s, 0, sizeof(s));
    llm_shed_told(&s, 1, 7, 3, 0, 60000, NOW);
    llm_shed_told(&s, 1, 8, 3, 0, 60000, NOW);
    is_int(llm_shed_scarcest(&s, NOW), 3334, "the third one counts as full");
    llm_shed_told(&s, 1, 9, 3, 1500, 60000, NOW);
    is_int(llm_shed_scarcest(&s, NOW), 500, "... until it tells");

    /* models have quotas of their own; more of them than places */

    llm_shed_told(&s, 2, 7, 1, 9000, 60000, NOW);
    is_int(llm_shed_scarcest(&s, NOW), 500, "the scarcest model counts");

    for (news = 0; news < 100; news++) {
        llm_shed_told(&s, 100 + (uint64_t) news, 1, 1, 9000, 60000,
                      NOW + 1 + (llm_msec_t) news);
    }

    is_int(llm_shed_scarcest(&s, NOW + 101) >= 9000, 1,
           "the oldest give way to others");

    llm_shed_told(&s, 5, 1, 1, 0, 60000, NOW + 1000);
    is_int(llm_shed_scarcest(&s, NOW), 10000,
           "what comes from the future counts for nothing");
}


/* ---- a provider of fixed capacity ---------------------------------------- */

typedef struct {
    llm_msec_t      start, begun;
    double          service;            /* ms */
    llm_priority_t  priority;
} request_t;

typedef struct {
    double    load[LLM_PRIORITIES];     /* requests per second */
    double    service;                  /* ms, on average */
    int       servers, fewer;           /* fewer of them from 100 s to 160 s */
    int       seed;
    int       from;                     /* s; counted from there */
} plan_t;

typedef struct {
    int     asked[LLM_PRIORITIES], shed[LLM_PRIORITIES], good[LLM_PRIORITIES];
    double  busy;                       /* share of the servers */
    double  worst;                      /* of the limit: highest to lowest */
} result_t;

static uint64_t   chance;
static request_t  queue[WAITING];


/* 0 ... 1, of a generator that is the same everywhere */
static double
draw(void)
{
    chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;

    return (double) (chance >> 11) / 9007199254740992.0;
}


/* One of the requests of a tick; 1: it is sent. */
static int
offer(llm_shed_t *s, llm_priority_t p, uint32_t inflight, llm_msec_t now)
{
    uint32_t  level;

    if (llm_shed_is_due(s, now)) {
        (void) llm_shed_step(&by_first, s, inflight, now);
    }

    level = llm_shed_level(&by_first, s, inflight);
    llm_shed_seen(&by_first, s, p, now);

    if (llm_shed_hits(level, p, (uint32_t) (draw() * LLM_SHED_ONE))) {
        return 0;
    }

    llm_shed_start(&by_first, s, LLM_SHED_FIRST, now);

    return 1;
}


/* The server has begun to work on it: 200 ms later the first content comes. */
static int
begin(llm_shed_t *s, request_t *r, llm_msec_t now)
{
    llm_msec_t        took;
    llm_shed_proof_t  proof;

    r->begun = now;
    took = now - r->start + 200;

    proof = took <= 1000 ? LLM_SHED_QUICK
            : took <= 2000 ? LLM_SHED_GOOD : LLM_SHED_LATE;

    llm_shed_end(&by_first, s, LLM_SHED_FIRST, r->start, proof);

    return took <= 2000;
}


/* 240 s in steps of 10 ms. */
static void
simulate(const plan_t *plan, result_t *out)
{
    int          t, p, i, warm, servers, head, tail, n;
    double       low, high;
    request_t   *at[256];
    llm_msec_t   now;
    llm_shed_t   s;

    memset(&s, 0, sizeof(s));
    memset(out, 0, sizeof(*out));

    chance = (uint64_t) plan->seed;
    head = tail = n = 0;
    low = 1e9;
    high = 0;

    for (t = 0; t < 24000; t++) {
        now = NOW + (llm_msec_t) t * 10;
        warm = (t >= plan->from * 100);
        servers = t >= 10000 && t < 16000 ? plan->fewer : plan->servers;

        for (p = LLM_PRIORITY_LOW; p < LLM_PRIORITIES; p++) {

            if (draw() >= plan->load[p] / 100 || tail == WAITING) {
                continue;
            }

            out->asked[p] += warm;

            if (!offer(&s, (llm_priority_t) p, (uint32_t) (tail - head + n),
                       now))
            {
                out->shed[p] += warm;
                continue;
            }

            queue[tail].start = now;
            queue[tail].priority = (llm_priority_t) p;
            queue[tail++].service = plan->service * (0.4 + 1.2 * draw());
        }

        for (i = 0; i < n; /* void */ ) {
            if (now >= at[i]->begun + (llm_msec_t) at[i]->service) {
                at[i] = at[--n];
            } else {
                i++;
            }
        }

        while (n < servers && head < tail) {
            at[n++] = &queue[head];
            i = begin(&s, &queue[head], now);
            out->good[queue[head].priority] += warm && i;
            head++;
        }

        out->busy += warm ? (double) n / plan->servers : 0;

        if (t >= 20000) {
            low = (double) s.limit < low ? (double) s.limit : low;
            high = (double) s.limit > high ? (double) s.limit : high;
        }
    }

    out->busy /= 24000 - plan->from * 100;
    out->worst = low > 0 ? high / low : 0;

    printf("# busy %.2f, limit within %.2f, ", out->busy, out->worst);

    for (p = LLM_PRIORITY_LOW; p < LLM_PRIORITIES; p++) {
        printf(" %.*s: %d, %d shed, %d good;",
               (int) llm_priority_name((llm_priority_t) p).len,
               (const char *) llm_priority_name((llm_priority_t) p).data,
               out->asked[p], out->shed[p], out->good[p]);
    }

    printf("\n");
}


static double
part(int n, int of)
{
    return of ? (double) n / of : 1;
}


static void
test_overload(void)
{
    int       i;
    plan_t    plan;
    result_t  r;

    /* a capacity of 20 a second, asked for 40 */

    for (i = 1; i <= 5; i++) {
        plan = (plan_t) { { 0, 28, 6, 6 }, 1000, 20, 20, i, 40 };
        simulate(&plan, &r);

        ok(part(r.good[LLM_PRIORITY_HIGH], r.asked[LLM_PRIORITY_HIGH]) >= 0.95,
           "twice the capacity: 95 % of high in time");
        ok(part(r.good[LLM_PRIORITY_NORMAL], r.asked[LLM_PRIORITY_NORMAL])
           >= 0.93, "... and nearly all normal ones");
        ok(part(r.shed[LLM_PRIORITY_NORMAL], r.asked[LLM_PRIORITY_NORMAL])
           < 0.02, "... which are not shed");
        ok(part(r.shed[LLM_PRIORITY_LOW], r.asked[LLM_PRIORITY_LOW]) > 0.6
           && part(r.shed[LLM_PRIORITY_LOW], r.asked[LLM_PRIORITY_LOW]) < 0.8,
           "... low ones get what fits");
        ok(r.busy > 0.97, "... and the provider is never idle");
        ok(r.worst < 2, "... the limit does not swing");
    }

    /* five times the capacity; what was let in at first takes its time */

    plan = (plan_t) { { 0, 80, 10, 8 }, 1000, 20, 20, 7, 80 };
    simulate(&plan, &r);
    ok(part(r.good[LLM_PRIORITY_HIGH], r.asked[LLM_PRIORITY_HIGH]) >= 0.95,
       "five times the capacity: high");
    ok(r.busy > 0.97, "... never idle");

    /* normal ones alone */

    plan = (plan_t) { { 0, 0, 34, 6 }, 1000, 20, 20, 8, 40 };
    simulate(&plan, &r);
    ok(part(r.good[LLM_PRIORITY_HIGH], r.asked[LLM_PRIORITY_HIGH]) >= 0.95,
       "without low ones, normal ones are shed for the high ones");
    ok(r.busy > 0.97, "... never idle");

    /* enough for all */

    plan = (plan_t) { { 0, 6, 4, 4 }, 1000, 20, 20, 9, 40 };
    simulate(&plan, &r);
    is_int(r.shed[LLM_PRIORITY_LOW], 0, "enough for all: nobody is shed");

    /* high ones alone are too many: they are not shed, whatever comes of it */

    plan = (plan_t) { { 0, 4, 4, 30 }, 1000, 20, 20, 10, 40 };
    simulate(&plan, &r);
    is_int(r.shed[LLM_PRIORITY_HIGH], 0, "high ones are never shed");
    ok(part(r.shed[LLM_PRIORITY_LOW], r.asked[LLM_PRIORITY_LOW]) > 0.9,
       "... before that all others are");

    /* a provider that works at less than half for a minute */

    plan = (plan_t) { { 0, 10, 3, 3 }, 1000, 20, 8, 11, 40 };
    simulate(&plan, &r);
    ok(part(r.good[LLM_PRIORITY_HIGH], r.asked[LLM_PRIORITY_HIGH]) >= 0.80,
       "a minute of less: 80 % of high, in spite of what was under way");
    ok(part(r.shed[LLM_PRIORITY_LOW], r.asked[LLM_PRIORITY_LOW]) < 0.6,
       "... and low ones come back");
}


int
main(void)
{
    test_words();
    test_hits();
    test_limit();
    test_evidence();
    test_dry_run();
    test_left();
    test_overload();

    return tap_done();
}
