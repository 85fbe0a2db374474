/*
 * The retry matrix, cell by cell, and the budget.
 */

#include "tap.h"
#include "llm_retry.h"

#define CONF  { 3, 500, 8000, 2000, 600000 }

static const llm_retry_conf_t  conf = CONF;


static llm_retry_in_t
in(llm_class_t class, unsigned other_key, unsigned other_target)
{
    llm_retry_in_t  i;

    memset(&i, 0, sizeof(i));
    i.class = class;
    i.sends = 1;
    i.other_key = other_key & 1;
    i.other_target = other_target & 1;
    i.budget = 1;
    i.left = 600000;
    i.random = 12345678901234567ULL;

    return i;
}


static llm_do_t
plan(llm_retry_in_t i)
{
    llm_msec_t  delay;

    return llm_retry_plan(&conf, &i, &delay);
}


/* How often in a row the plan is RETRY when nothing changes. */
static int
again(llm_class_t class, unsigned other_target, llm_do_t *then)
{
    int             n;
    llm_retry_in_t  i;

    i = in(class, 0, other_target);

    for (n = 0; n < 50; n++) {
        *then = plan(i);
        if (*then != LLM_DO_RETRY) {
            break;
        }
        i.retried++;
        i.sends++;
    }

    return n;
}


typedef struct {
    llm_class_t  class;
    int          with;                  /* retries with another target */
    int          without;               /* and without one */
    int          rotates;
} cell_t;

static const cell_t  cells[] = {
    { LLM_CLASS_INVALID_REQUEST, 0, 0, 0 },
    { LLM_CLASS_CONTEXT_LENGTH, 0, 0, 0 },
    { LLM_CLASS_CONTENT_FILTER, 0, 0, 0 },
    { LLM_CLASS_AUTH, 0, 0, 1 },
    { LLM_CLASS_PERMISSION, 0, 0, 1 },
    { LLM_CLASS_BILLING, 0, 0, 1 },
    { LLM_CLASS_RATE_LIMITED, 0, 0, 1 },        /* without a hint */
    { LLM_CLASS_QUOTA, 0, 0, 1 },
    { LLM_CLASS_OVERLOADED, 0, 3, 0 },
    { LLM_CLASS_SERVER, 1, 3, 0 },
    { LLM_CLASS_BAD_ANSWER, 0, 1, 0 },
    { LLM_CLASS_CONNECT, 0, 1, 0 },
    { LLM_CLASS_DNS, 0, 1, 0 },
    { LLM_CLASS_TLS, 0, 1, 0 },
    { LLM_CLASS_NETWORK, 1, 3, 0 },
    { LLM_CLASS_TIMEOUT_CONNECT, 0, 3, 0 },
    { LLM_CLASS_TIMEOUT_HEADER, 0, 3, 0 },
    { LLM_CLASS_TIMEOUT_FIRST, 0, 3, 0 },
    { LLM_CLASS_TIMEOUT_IDLE, 0, 3, 0 },
    { LLM_CLASS_TIMEOUT_TOTAL, 0, 3, 0 },
    { LLM_CLASS_EXHAUSTED, 0, 0, 0 },           /* without a known wait */
    { LLM_CLASS_BUSY, 0, 0, 0 }
};


static void
test_matrix(void)
{
    size_t             i;
    llm_do_t           then;
    llm_retry_in_t     r;
    const cell_t      *c;
    llm_retry_conf_t   off = CONF;
    llm_msec_t         delay;
    char               name[80];

    off.retries = 0;

    for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        c = &cells[i];
        snprintf(name, sizeof(name), "%.*s",
                 (int) llm_class_name(c->class).len,
                 (const char *) llm_class_name(c->class).data);

        is_int(again(c->class, 1, &then), c->with, name);
        is_int(then, LLM_DO_NEXT, "then the next target");
        is_int(again(c->class, 0, &then), c->without, name);
        is_int(then, LLM_DO_GIVE_UP, "then an end");

        is_int(plan(in(c->class, 1, 1)) == LLM_DO_ROTATE, c->rotates,
               "another key");

        /* llm_retry off: one send per target */
        r = in(c->class, 1, 1);
        r.wait = 1000;
        is_int(llm_retry_plan(&off, &r, &delay), LLM_DO_NEXT, "off: next");
        r.other_target = 0;
        is_int(llm_retry_plan(&off, &r, &delay), LLM_DO_GIVE_UP, "off: end");

        r = in(c->class, 1, 1);
        r.sends = LLM_SENDS_MAX;
        is_int(plan(r), LLM_DO_GIVE_UP, "sends are bounded");
    }

    is_int(plan(in(LLM_CLASS_OK, 1, 1)), LLM_DO_GIVE_UP, "success");
    is_int(plan(in(LLM_CLASS_CUT, 1, 1)), LLM_DO_GIVE_UP, "cut");
    is_int(plan(in(LLM_CLASS_CLIENT_GONE, 1, 1)), LLM_DO_GIVE_UP, "gone");
    is_int(plan(in((llm_class_t) 999, 1, 1)), LLM_DO_GIVE_UP, "no class");

    r = in(LLM_CLASS_AUTH, 1, 1);
    r.rotated = LLM_ROTATIONS_MAX;
    is_int(plan(r), LLM_DO_NEXT, "rotations are bounded");
}


static void
test_conditions(void)
{
    llm_do_t          then;
    llm_msec_t        delay;
    llm_retry_in_t    r;
    llm_retry_conf_t  small = CONF;

    r = in(LLM_CLASS_SERVER, 0, 1);
    r.budget = 0;
    is_int(plan(r), LLM_DO_NEXT, "no budget: no retry");
    r.other_target = 0;
    is_int(plan(r), LLM_DO_GIVE_UP, "no budget, no target");

    r = in(LLM_CLASS_SERVER, 0, 0);
    r.should_retry = 2;
    is_int(plan(r), LLM_DO_GIVE_UP, "x-should-retry: false");
    r.other_target = 1;
    is_int(plan(r), LLM_DO_NEXT, "of this target");

    r = in(LLM_CLASS_BILLING, 1, 0);
    r.should_retry = 2;
    is_int(plan(r), LLM_DO_ROTATE, "of this key");

    r = in(LLM_CLASS_SERVER, 0, 0);
    r.client_retry = 1;
    is_int(plan(r), LLM_DO_RETRY, "a client's retry: one of ours");
    r.retried = 1;
    is_int(plan(r), LLM_DO_GIVE_UP, "and no more");

    r = in(LLM_CLASS_CONNECT, 0, 0);
    delay = 1;
    is_int(llm_retry_plan(&conf, &r, &delay), LLM_DO_RETRY, "connect");
    is_int(delay, 0, "at once");

    /* deadlines */
    r = in(LLM_CLASS_CONNECT, 0, 0);
    r.left = 2000;
    is_int(plan(r), LLM_DO_GIVE_UP, "2 s left are too little");
    r.left = 2001;
    is_int(plan(r), LLM_DO_RETRY, "a little more is not");
    r = in(LLM_CLASS_AUTH, 1, 1);
    r.left = 2000;
    is_int(plan(r), LLM_DO_GIVE_UP, "for keys and targets, too");
    r.left = 0;
    is_int(plan(r), LLM_DO_GIVE_UP, "nothing left");

    small.deadline = 3000;
    r = in(LLM_CLASS_SERVER, 0, 0);
    r.wait = 1000;
    r.random = 0;
    r.left = 2001;
    is_int(llm_retry_plan(&small, &r, &delay), LLM_DO_RETRY,
           "small deadline: twice the delay");
    r.left = 2000;
    is_int(llm_retry_plan(&small, &r, &delay), LLM_DO_GIVE_UP, "no less");
    r = in(LLM_CLASS_TIMEOUT_HEADER, 0, 1);
    r.left = 1;
    is_int(llm_retry_plan(&small, &r, &delay), LLM_DO_NEXT,
           "small deadline: the next target while there is time");

    is_int(again(LLM_CLASS_SERVER, 0, &then), 3, "retries as configured");
}


static void
test_waits(void)
{
    int             i, low, high, inside;
    llm_do_t        d;
    llm_msec_t      delay;
    llm_retry_in_t  r;

    /* the only key rests */
    r = in(LLM_CLASS_RATE_LIMITED, 0, 1);
    r.wait = 5000;
    is_int(plan(r), LLM_DO_RETRY, "5 s are waited for");
    r.wait = 5001;
    is_int(plan(r), LLM_DO_NEXT, "more is not, with another target");
    r.other_target = 0;
    is_int(plan(r), LLM_DO_RETRY, "without one it is");
    r.wait = 20000;
    is_int(plan(r), LLM_DO_RETRY, "up to 20 s");
    r.wait = 20001;
    is_int(plan(r), LLM_DO_GIVE_UP, "and not longer");
    r.wait = 3000;
    r.left = 5000;
    is_int(plan(r), LLM_DO_GIVE_UP, "nor beyond the deadline");
    r.left = 600000;
    r.other_key = 1;
    is_int(plan(r), LLM_DO_ROTATE, "another key needs no wait");
    r.other_key = 0;
    r.should_retry = 2;
    is_int(plan(r), LLM_DO_GIVE_UP, "x-should-retry: false");
    r.should_retry = 0;
    r.budget = 0;
    is_int(plan(r), LLM_DO_GIVE_UP, "no budget");
    r.budget = 1;
    r.retried = 3;
    is_int(plan(r), LLM_DO_GIVE_UP, "no retry left");

    r = in(LLM_CLASS_QUOTA, 0, 0);
    r.wait = 1000;
    is_int(plan(r), LLM_DO_GIVE_UP, "a day's quota is not waited for");

    r = in(LLM_CLASS_RATE_LIMITED, 0, 1);
    low = high = inside = 0;

    for (i = 0; i < 20000; i++) {
        r.wait = 3000;
        r.random = (uint64_t) i * 0x9e3779b97f4a7c15ULL;
        d = llm_retry_plan(&conf, &r, &delay);
        inside += d == LLM_DO_RETRY && delay > 3300 && delay <= 4500;
        low += delay < 3400;
        high += delay > 4400;
    }

    is_int(inside, 20000, "never before the key's rest is over");
    ok(low > 500 && high > 500, "spread over the whole range");

    r.wait = 50;
    (void) llm_retry_plan(&conf, &r, &delay);
    ok(delay > 1100 && delay <= 1500, "a key rests one second at least");

    /* a 5xx with Retry-After */
    r = in(LLM_CLASS_SERVER, 0, 1);
    r.wait = 4000;
    is_int(llm_retry_plan(&conf, &r, &delay), LLM_DO_RETRY, "a floor");
    ok(delay >= 4000 && delay <= 6000, "U(w, 1.5 w)");
    r.wait = 6000;
    is_int(plan(r), LLM_DO_NEXT, "too long a floor");

    /* no usable key, nothing sent */
    r = in(LLM_CLASS_EXHAUSTED, 0, 0);
    r.budget = 0;
    r.wait = 1500;
    is_int(llm_retry_plan(&conf, &r, &delay), LLM_DO_RETRY, "held");
    ok(delay >= 1500 && delay <= 2250, "for the wait");
    r.wait = 5001;
    is_int(plan(r), LLM_DO_GIVE_UP, "not for long");
    r.wait = 1500;
    r.left = 2999;
    is_int(plan(r), LLM_DO_GIVE_UP, "not for half of what is left");
    r.left = 600000;
    r.other_target = 1;
    is_int(plan(r), LLM_DO_NEXT, "not with another target");
    r.wait = LLM_NEVER;
    r.other_target = 0;
    is_int(plan(r), LLM_DO_GIVE_UP, "not for ever");
}


static void
test_backoff(void)
{
    int               i, n, bad;
    uint64_t          sum;
    llm_msec_t        top, ms;
    llm_retry_conf_t  c = CONF;

    bad = 0;

    for (n = 0; n < 70; n++) {
        top = n < 4 ? 500ULL << n : 8000;
        sum = 0;

        for (i = 0; i < 2000; i++) {
            ms = llm_retry_backoff(&conf, (uint32_t) n,
                                   (uint64_t) i * 0x9e3779b97f4a7c15ULL);
            bad += ms > top;
            sum += ms;
        }

        bad += sum / 2000 < top * 4 / 10 || sum / 2000 > top * 6 / 10;
    }

    is_int(bad, 0, "full jitter, doubled up to the cap");

    c.backoff_min = c.backoff_max = 0;
    is_int(llm_retry_backoff(&c, 5, 99), 0, "backoff=0..0");
    c.backoff_min = 9000;
    c.backoff_max = 100;
    ok(llm_retry_backoff(&c, 5, 99) <= 100, "the cap wins");
    is_int(llm_retry_backoff(&conf, UINT32_MAX, 8000), 8000, "many retries");
}


static void
test_budget(void)
{
    int                 i, n;
    llm_msec_t          t0 = 1795168800000ULL;
    llm_retry_budget_t  b;

    memset(&b, 0, sizeof(b));

    for (n = 0; llm_retry_withdraw(&b, t0); n++) { /* void */ }
    is_int(n, 10, "fresh: ten are free");
    ok(!llm_retry_has_budget(&b, t0 + 999), "none before the second is over");
    ok(!llm_retry_withdraw(&b, t0 + 999), "really");
    ok(llm_retry_withdraw(&b, t0 + 1000), "one more after it");
    ok(!llm_retry_withdraw(&b, t0 + 1000), "and only one");

    memset(&b, 0, sizeof(b));
    b.free_until = t0 + 10000;

    for (i = 0; i < 100; i++) {
        llm_retry_deposit(&b, &conf, t0);
    }

    for (n = 0; llm_retry_withdraw(&b, t0); n++) { /* void */ }
    is_int(n, 20, "20 % of 100 first attempts");

    for (i = 0; i < 100; i++) {
        llm_retry_deposit(&b, &conf, t0 + 10);
    }
    b.free_until = t0 + 49999 + 10000;
    ok(llm_retry_has_budget(&b, t0 + 49999), "deposits last");
    b.free_until = t0 + 60000 + 10000;
    ok(!llm_retry_has_budget(&b, t0 + 60000), "and expire");
    b.free_until = t0 + 86400000 + 10000;
    ok(!llm_retry_has_budget(&b, t0 + 86400000), "all of them");

    memset(&b, 0, sizeof(b));
    for (i = 0; i < 5; i++) {
        llm_retry_deposit(&b, &conf, t0);
    }
    b.free_until = t0 + 10000;
    ok(llm_retry_withdraw(&b, t0 - 5000), "a clock that went back");
    ok(llm_retry_has_budget(&b, t0 - 5000), "frees one");
    b.free_until = t0 + 10000;
    ok(!llm_retry_withdraw(&b, t0), "and nothing is counted twice");

    /* overload: every first attempt fails and wants a retry */
    memset(&b, 0, sizeof(b));
    n = 0;
    for (i = 0; i < 60000; i += 10) {
        llm_retry_deposit(&b, &conf, t0 + (llm_msec_t) i);
        n += llm_retry_withdraw(&b, t0 + (llm_msec_t) i);
    }
    ok(n >= 1200 && n <= 1200 + 71, "6000 attempts: 20 % and one a second");
}


int
main(void)
{
    test_matrix();
    test_conditions();
    test_waits();
    test_backoff();
    test_budget();

    return tap_done();
}
