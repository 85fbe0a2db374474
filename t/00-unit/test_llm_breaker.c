/*
 * The breaker: when it opens, how long, who probes, how it closes.
 */

#include "tap.h"
#include "llm_breaker.h"

#define NOW   1795168800000ULL
#define HALF  0x80000000U

static const llm_breaker_conf_t  conf = {
    6, 5000, 20, 30000, 10000, 30000, 30000
};


static int
report(llm_breaker_t *b, int good, int probe, llm_msec_t now)
{
    return llm_breaker_report(&conf, b, good, probe, HALF, now);
}


static llm_admit_t
admit(llm_breaker_t *b, llm_msec_t now, llm_msec_t *wait)
{
    *wait = 0;
    return llm_breaker_admit(&conf, b, 0xffffffffU, now, wait);
}


/* Six failures in a row: open until NOW + 10 s or so. */
static llm_msec_t
opened(llm_breaker_t *b)
{
    int  i;

    memset(b, 0, sizeof(*b));

    for (i = 0; i < 6; i++) {
        (void) report(b, 0, 0, NOW);
    }

    return b->until;
}


static void
test_opens(void)
{
    int            i;
    llm_msec_t     wait;
    llm_breaker_t  b;

    memset(&b, 0, sizeof(b));

    for (i = 0; i < 5; i++) {
        is_int(report(&b, 0, 0, NOW), 0, "not yet");
    }

    is_int(report(&b, 1, 0, NOW), 0, "a success");

    for (i = 0; i < 5; i++) {
        is_int(report(&b, 0, 0, NOW), 0, "counts again from none");
    }

    is_int(admit(&b, NOW, &wait), LLM_ADMIT_YES, "closed");
    is_int(report(&b, 0, 0, NOW), 1, "opens on the 6th");
    is_int(admit(&b, NOW, &wait), LLM_ADMIT_NO, "open");
    ok(wait >= 9000 && wait <= 11000, "10 s, +-10 %");

    /* half of 20 within the window, never six in a row */
    memset(&b, 0, sizeof(b));
    for (i = 0; i < 19; i++) {
        is_int(report(&b, i % 2, 0, NOW + (llm_msec_t) i * 1000), 0,
               "too few to tell");
    }
    is_int(report(&b, 1, 0, NOW + 19000), 0, "a success never opens it");
    is_int(report(&b, 0, 0, NOW + 19000), 1, "half of 21");

    memset(&b, 0, sizeof(b));
    for (i = 0; i < 100; i++) {
        is_int(report(&b, i % 2, 0, NOW + (llm_msec_t) i * 4000), 0,
               "one in 4 s: never 20 in the window");
    }

    memset(&b, 0, sizeof(b));
    for (i = 0; i < 1000; i++) {
        if (report(&b, i % 5 > 1, 0, NOW + (llm_msec_t) i * 100) != 0) {
            break;
        }
    }
    is_int(i, 1000, "40 % is not 50 %");
}


static void
test_off(void)
{
    int                 i;
    llm_msec_t          wait;
    llm_breaker_t       b;
    llm_breaker_conf_t  c = conf;

    c.failures = 0;
    (void) opened(&b);

    is_int(llm_breaker_admit(&c, &b, 0, NOW, &wait), LLM_ADMIT_YES,
           "breaker off: open or not");

    for (i = 0; i < 100; i++) {
        (void) llm_breaker_report(&c, &b, 0, 0, 0, NOW);
    }

    is_int(llm_breaker_admit(&c, &b, 0, NOW, &wait), LLM_ADMIT_YES,
           "and whatever happens");
    is_int(llm_breaker_force(&c, &b, NOW), 1, "off");
}


static void
test_probes(void)
{
    llm_msec_t     until, wait;
    llm_breaker_t  b;

    until = opened(&b);

    is_int(report(&b, 1, 0, NOW + 1), 0, "a late success");
    is_int(admit(&b, until - 1, &wait), LLM_ADMIT_NO, "closes nothing");
    is_int(wait, 1, "one ms to go");
    is_int(admit(&b, until, &wait), LLM_ADMIT_PROBE, "the probe");
    is_int(admit(&b, until, &wait), LLM_ADMIT_NO, "one at a time");
    ok(wait > 0 && wait <= 10000, "with a wait");
    is_int(report(&b, -1, 1, until), 0, "neither good nor bad");
    is_int(admit(&b, until, &wait), LLM_ADMIT_PROBE, "releases it");
    is_int(report(&b, 1, 1, until + 5), 0, "one success");
    is_int(admit(&b, until + 5, &wait), LLM_ADMIT_PROBE, "is not enough");
    is_int(report(&b, 1, 1, until + 9), 2, "two close it");
    is_int(b.status, LLM_BREAKER_CLOSED, "closed");

    until = opened(&b);
    is_int(admit(&b, until, &wait), LLM_ADMIT_PROBE, "a probe that is lost");
    is_int(admit(&b, until + 9999, &wait), LLM_ADMIT_NO, "is waited for");
    is_int(admit(&b, until + 10000, &wait), LLM_ADMIT_PROBE, "for a while");
    is_int(report(&b, 0, 1, until + 10000), 1, "it fails: open");
    is_int(admit(&b, until + 10000, &wait), LLM_ADMIT_NO, "again");
    ok(wait >= 18000 && wait <= 22000, "for twice as long");

    is_int(admit(&b, b.until, &wait), LLM_ADMIT_PROBE, "third");
    is_int(report(&b, 0, 1, b.until), 1, "fails");
    ok(b.until - NOW > 0, "later");
    (void) admit(&b, b.until - 1, &wait);
    is_int(admit(&b, b.until, &wait), LLM_ADMIT_PROBE, "fourth");
    until = b.until;
    (void) report(&b, 0, 1, until);
    ok(b.until - until >= 27000 && b.until - until <= 33000, "30 s at most");

    until = opened(&b);
    is_int(admit(&b, NOW - 86400000, &wait), LLM_ADMIT_PROBE,
           "a clock that went back a day does not keep it open for one");
    (void) until;
}


static void
test_ramp(void)
{
    int            t, i, admitted[31];
    llm_msec_t     until, wait;
    llm_breaker_t  b;

    until = opened(&b);
    (void) admit(&b, until, &wait);
    (void) report(&b, 1, 1, until);
    (void) admit(&b, until, &wait);
    (void) report(&b, 1, 1, until);

    for (t = 0; t <= 30; t++) {
        admitted[t] = 0;

        for (i = 0; i < 1000; i++) {
            admitted[t] += llm_breaker_admit(&conf, &b,
                               (uint32_t) i * 4294967U,
                               until + (llm_msec_t) t * 1000, &wait)
                           == LLM_ADMIT_YES;
        }
    }

    ok(admitted[0] >= 98 && admitted[0] <= 102, "10 % at first");
    ok(admitted[15] >= 540 && admitted[15] <= 560, "55 % half way");
    is_int(admitted[30], 1000, "all at its end");
    is_int(llm_breaker_force(&conf, &b, until), 1,
           "nothing else left: the ramp is no reason to refuse");

    /* k decays: after two healthy minutes the next opening is short again */
    b.k = 2;
    (void) report(&b, 1, 0, until + 59999);
    is_int(b.k, 2, "not before a minute");
    (void) report(&b, 1, 0, until + 60000);
    is_int(b.k, 1, "one a minute");
    (void) report(&b, 1, 0, until + 600000);
    is_int(b.k, 0, "down to none");
}


static void
test_force(void)
{
    int            i, n;
    llm_msec_t     until, wait;
    llm_breaker_t  b;

    until = opened(&b);

    for (n = 0, i = 0; i < 5000; i += 10) {
        n += llm_breaker_force(&conf, &b, NOW + 1 + (llm_msec_t) i);
    }

    is_int(n, 5, "one a second while it is open");

    until = b.until;
    is_int(report(&b, 0, 1, NOW + 5000), 0, "a forced probe that fails");
    ok(b.until == until && b.status == LLM_BREAKER_OPEN, "opens no longer");
    is_int(llm_breaker_force(&conf, &b, NOW + 5001), 0, "nor sooner again");

    is_int(llm_breaker_force(&conf, &b, NOW + 6001), 1, "later");
    is_int(report(&b, 1, 1, NOW + 6500), 0, "one that succeeds");
    is_int(b.status, LLM_BREAKER_HALF_OPEN, "ends the open time early");
    is_int(admit(&b, NOW + 6500, &wait), LLM_ADMIT_PROBE, "the second probe");
    is_int(report(&b, 1, 1, NOW + 6600), 2, "closes it");
}


/* A reload may change the window under a breaker that lives on, and a clock may
 * go back: outcomes of long ago must leave all the same. */
static void
test_renumbered(void)
{
    int                 i;
    llm_breaker_t       b;
    llm_breaker_conf_t  c;

    memset(&b, 0, sizeof(b));
    c = conf;
    c.window = 60000;

    (void) report(&b, 0, 0, NOW);

    for (i = 0; i < 19; i++) {
        (void) llm_breaker_report(&c, &b, i & 1, 0, HALF, NOW + 1000);
    }

    is_int(b.status, LLM_BREAKER_CLOSED, "10 of 19, window=60s after 30s");

    is_int(llm_breaker_report(&c, &b, 0, 0, HALF, NOW + 120000), 0,
           "a minute later they are over");
    is_int(b.status, LLM_BREAKER_CLOSED, "it stays closed");

    memset(&b, 0, sizeof(b));
    (void) report(&b, 0, 0, NOW);

    for (i = 0; i < 19; i++) {
        (void) report(&b, i & 1, 0, NOW - 86400000);
    }

    is_int(report(&b, 0, 0, NOW - 86400000 + 60000), 0,
           "a clock that went back a day: outcomes leave");
}


/* Whatever is reported: the invariants hold. */
static void
test_random(void)
{
    int            i, bad, probes;
    uint64_t       x;
    llm_msec_t     now, wait;
    llm_admit_t    a;
    llm_breaker_t  b;

    memset(&b, 0, sizeof(b));
    x = 88172645463325252ULL;
    now = NOW;
    bad = 0;
    probes = 0;

    for (i = 0; i < 200000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        now += x % 500;
        wait = 0;

        a = llm_breaker_admit(&conf, &b, (uint32_t) (x >> 32), now, &wait);

        bad += a == LLM_ADMIT_NO && (wait == 0 || wait > 33000);
        bad += a == LLM_ADMIT_YES && b.status != LLM_BREAKER_CLOSED;
        bad += a == LLM_ADMIT_PROBE && b.status != LLM_BREAKER_HALF_OPEN;
        probes += a == LLM_ADMIT_PROBE;

        if (a != LLM_ADMIT_NO) {
            (void) llm_breaker_report(&conf, &b, x % 3 != 0,
                                      a == LLM_ADMIT_PROBE, (uint32_t) x, now);
        }
    }

    is_int(bad, 0, "invariants");
    ok(probes > 100, "with probes");
}


int
main(void)
{
    test_opens();
    test_off();
    test_probes();
    test_ramp();
    test_force();
    test_renumbered();
    test_random();

    return tap_done();
}
