/*
 * Limits against naive models: every accepted charge is kept in a list and
 * counted again, in every window.
 */

#include "tap.h"
#include "zone.h"
#include "llm_quota.h"

#define NOW  1795168800000ULL           /* 20 November 2026 10:00:00 GMT */
#define DAY  86400000ULL

static uint64_t  seed = 88172645463325252ULL;


static uint64_t
rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed % n;
}


static llm_limit_t
limit(const char *text, llm_clock_t clock)
{
    llm_limit_t  l;

    if (llm_limit_parse(tap_c(text), &l) != LLM_OK) {
        ok(0, text);
    }
    l.clock = clock;

    return l;
}


static void
parses(const char *s, uint64_t max, llm_dim_t dim, llm_tz_unit_t unit,
    llm_clock_t clock)
{
    llm_limit_t  l;

    ok(llm_limit_parse(tap_c(s), &l) == LLM_OK && l.max == max && l.dim == dim
       && l.unit == unit && l.clock == clock && l.tz == NULL, s);
}


static void
test_parse(void)
{
    size_t       i;
    llm_limit_t  l;

    static const char *const  bad[] = {
        "", "30", "30r", "30r/", "30r/x", "r/m", "0r/d", "30r/min", "-3r/m",
        "3.5r/m", "30q/m", "30 r/m", "30r/m ", "200000000000t/d",
        "99999999999999999999t/d", "200000000s/d", "30R/m", "30r-m"
    };

    parses("30r/m", 30, LLM_DIM_REQUESTS, LLM_TZ_MINUTE, LLM_CLOCK_SLIDING);
    parses("100000t/d", 100000, LLM_DIM_TOKENS, LLM_TZ_DAY, LLM_CLOCK_SLIDING);
    parses("50r/d", 50, LLM_DIM_REQUESTS, LLM_TZ_DAY, LLM_CLOCK_SLIDING);
    parses("7200s/h", 7200000, LLM_DIM_AUDIO_MS, LLM_TZ_HOUR,
           LLM_CLOCK_SLIDING);
    parses("5i/m", 5, LLM_DIM_INPUT_TOKENS, LLM_TZ_MINUTE, LLM_CLOCK_SLIDING);
    parses("5o/M", 5, LLM_DIM_OUTPUT_TOKENS, LLM_TZ_MONTH, LLM_CLOCK_CALENDAR);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        l.max = 77;
        ok(llm_limit_parse(tap_c(bad[i]), &l) == LLM_BAD && l.max == 77,
           bad[i]);
    }
}


#define EVENTS  20000

typedef struct {
    llm_msec_t  at[EVENTS];
    uint64_t    n[EVENTS];
    size_t      count;
} model_t;

static model_t  model;


/* The most in any window that ends at a charge: half open, (t - w, t]. */
static uint64_t
worst_window(const model_t *m, llm_msec_t window)
{
    size_t    i, from;
    uint64_t  sum, worst;

    sum = 0;
    worst = 0;

    for (i = 0, from = 0; i < m->count; i++) {
        sum += m->n[i];

        while (m->at[from] + window <= m->at[i]) {
            sum -= m->n[from++];
        }

        worst = sum > worst ? sum : worst;
    }

    return worst;
}


/* The ring by definition: what lies in the current sub-bucket and 12 before. */
static uint64_t
naive_used(const model_t *m, llm_msec_t sub, llm_msec_t now)
{
    size_t    i;
    uint64_t  sum;

    for (sum = 0, i = m->count; i > 0; i--) {
        if (m->at[i - 1] / sub + 12 < now / sub) {
            break;
        }
        sum += m->n[i - 1];
    }

    return sum;
}


static void
test_sliding(const char *text, uint64_t step, uint64_t top)
{
    int                i, wrong_left, wrong_wait;
    uint64_t           need, sum;
    llm_msec_t         now, wait, sub;
    llm_limit_t        l;
    llm_limit_state_t  s;

    l = limit(text, LLM_CLOCK_SLIDING);
    sub = llm_limit_window(&l) / 12;
    memset(&s, 0, sizeof(s));
    model.count = 0;
    now = NOW;
    sum = 0;
    wrong_left = 0;
    wrong_wait = 0;

    for (i = 0; i < 60000 && model.count < EVENTS; i++) {

        /* bursts, pauses, and steady overload in turn */
        now += i % 3000 < 1500 ? rnd(step) : rnd(20) ? 0 : rnd(step * 40);
        need = 1 + rnd(top);

        wrong_left += llm_limit_left(&l, &s, now)
                      != l.max - naive_used(&model, sub, now);

        wait = llm_limit_wait(&l, &s, need, now);

        if (wait == 0) {
            llm_limit_take(&l, &s, need, now);
            model.at[model.count] = now;
            model.n[model.count++] = need;
            sum += need;
            continue;
        }

        wrong_wait += llm_limit_wait(&l, &s, need, now + wait) != 0;
        wrong_wait += llm_limit_wait(&l, &s, need, now + wait - 1) == 0;
    }

    is_int(wrong_left, 0, "left is what the model says");
    is_int(wrong_wait, 0, "the wait is exact");
    ok(model.count > 500, "much was let through");
    ok(worst_window(&model, llm_limit_window(&l)) <= l.max,
       "no window holds more than max");
    printf("# %s: worst window %llu, %zu charges\n", text,
           (unsigned long long) worst_window(&model, llm_limit_window(&l)),
           model.count);
}


static void
test_sliding_edges(void)
{
    llm_limit_t        l;
    llm_limit_state_t  s;

    l = limit("100t/m", LLM_CLOCK_SLIDING);
    memset(&s, 0, sizeof(s));

    ok(llm_limit_wait(&l, &s, 101, NOW) == LLM_NEVER, "more than max: never");
    is_int(llm_limit_wait(&l, &s, 100, NOW), 0, "all at once");
    llm_limit_take(&l, &s, 100, NOW);
    is_int(llm_limit_wait(&l, &s, 1, NOW), 65000, "the slot must leave");
    is_int(llm_limit_wait(&l, &s, 0, NOW), 0, "nothing needs nothing");

    llm_limit_settle(&l, &s, 100, 40, NOW, NOW + 7000);
    is_int(llm_limit_left(&l, &s, NOW + 7000), 60, "refunded where it lay");
    is_int(llm_limit_left(&l, &s, NOW + 64999), 60, "not elsewhere");
    is_int(llm_limit_left(&l, &s, NOW + 65000), 100, "and gone with it");

    llm_limit_take(&l, &s, 10, NOW + 70000);
    llm_limit_settle(&l, &s, 10, 0, NOW + 70000, NOW + 200000);
    is_int(llm_limit_left(&l, &s, NOW + 200000), 100, "too late to refund");

    memset(&s, 0, sizeof(s));
    llm_limit_take(&l, &s, 10, NOW);
    llm_limit_settle(&l, &s, 10, 150, NOW, NOW + 10);
    is_int(llm_limit_left(&l, &s, NOW + 10), 0, "more than reserved, than max");
    ok(llm_limit_wait(&l, &s, 1, NOW + 10) < 66000, "is waited out");

    /* clocks */
    is_int(llm_limit_left(&l, &s, NOW - 20000), 0, "20 s back: still there");
    llm_limit_take(&l, &s, 1, NOW - 86400000);
    is_int(llm_limit_left(&l, &s, NOW - 86400000), 99, "a day back: anew");
    is_int(llm_limit_left(&l, &s, NOW), 100, "and forward");

    memset(&s, 0, sizeof(s));
    llm_limit_learn(&l, &s, 91, NOW);
    is_int(llm_limit_left(&l, &s, NOW), 9, "learned");
    is_int(llm_limit_left(&l, &s, NOW + 30000), 9 + 6 * 7, "regained evenly");
    llm_limit_learn(&l, &s, 10, NOW);
    is_int(llm_limit_left(&l, &s, NOW), 9, "less is not believed");
}


/* Bounded by the naive bucket, which is counted in units of max * window. */
static void
test_refill_random(void)
{
    int                i, wrong;
    uint64_t           level, need, top;
    llm_msec_t         now, last, wait;
    llm_limit_t        l;
    llm_limit_state_t  s;

    l = limit("7000t/m", LLM_CLOCK_REFILL);
    top = l.max * 60000;
    memset(&s, 0, sizeof(s));
    level = 0;
    now = last = NOW;
    wrong = 0;

    for (i = 0; i < 200000; i++) {
        now += rnd(30);
        level = level > (now - last) * l.max ? level - (now - last) * l.max : 0;
        last = now;
        need = 1 + rnd(40);

        wrong += llm_limit_left(&l, &s, now) != (top - level) / 60000;
        wait = llm_limit_wait(&l, &s, need, now);
        wrong += (wait == 0) != (level + need * 60000 <= top);

        if (wait == 0) {
            llm_limit_take(&l, &s, need, now);
            level += need * 60000;
            continue;
        }

        wrong += llm_limit_wait(&l, &s, need, now + wait) != 0;
        wrong += llm_limit_wait(&l, &s, need, now + wait - 1) == 0;
    }

    is_int(wrong, 0, "refill: nothing lost, nothing gained in 200 000 steps");
}


static void
test_refill(void)
{
    llm_limit_t        l;
    llm_limit_state_t  s;

    l = limit("100000t/d", LLM_CLOCK_REFILL);
    memset(&s, 0, sizeof(s));

    llm_limit_learn(&l, &s, 97050, NOW);
    is_int(llm_limit_wait(&l, &s, 3619, NOW), 578016, "9m38.016s");
    is_int(llm_limit_wait(&l, &s, 3619, NOW + 578016), 0, "and then");
    is_int(llm_limit_wait(&l, &s, 3619, NOW + 578015), 1, "not sooner");
    is_int(llm_limit_wait(&l, &s, 2950, NOW), 0, "a small one may pass");

    llm_limit_learn(&l, &s, 94976, NOW);
    is_int(llm_limit_wait(&l, &s, 5632, NOW), 525312, "8m45.312s");

    l = limit("12000t/m", LLM_CLOCK_REFILL);
    memset(&s, 0, sizeof(s));
    llm_limit_learn(&l, &s, 4437, NOW);
    is_int(llm_limit_wait(&l, &s, 9854, NOW), 11455, "11.455s");

    memset(&s, 0, sizeof(s));
    llm_limit_take(&l, &s, 9000, NOW);
    llm_limit_settle(&l, &s, 9000, 1000, NOW, NOW);
    is_int(llm_limit_left(&l, &s, NOW), 11000, "settled");
    llm_limit_settle(&l, &s, 1000, 3000, NOW, NOW + 1000);
    is_int(llm_limit_left(&l, &s, NOW + 1000), 9200, "to more");
    is_int(llm_limit_left(&l, &s, NOW + 600000), 12000, "full again");
    is_int(llm_limit_left(&l, &s, NOW - 60), 9200, "a clock that went back");

    l = limit("100000000000t/d", LLM_CLOCK_REFILL);
    memset(&s, 0, sizeof(s));
    llm_limit_take(&l, &s, 100000000000ULL, NOW);
    llm_limit_take(&l, &s, 100000000000ULL, NOW);
    is_int(llm_limit_left(&l, &s, NOW), 0, "the largest limit");
    is_int(llm_limit_wait(&l, &s, 1, NOW), DAY + 1, "twice used");
    llm_limit_take(&l, &s, UINT64_MAX, NOW);
    is_int(llm_limit_left(&l, &s, NOW), 0, "saturates");

    test_refill_random();
}


static void
test_calendar(void)
{
    llm_msec_t         pm;
    llm_limit_t        l;
    llm_limit_state_t  s;

    l = limit("50r/d", LLM_CLOCK_CALENDAR);
    memset(&s, 0, sizeof(s));

    is_int(llm_limit_left(&l, &s, NOW), 50, "fresh");
    llm_limit_take(&l, &s, 50, NOW);
    is_int(llm_limit_wait(&l, &s, 1, NOW), 14 * 3600 * 1000,
           "until midnight UTC");
    is_int(llm_limit_left(&l, &s, NOW + 14 * 3600000 - 1), 0, "not before");
    is_int(llm_limit_left(&l, &s, NOW + 14 * 3600000), 50, "then all");

    llm_limit_settle(&l, &s, 1, 0, NOW, NOW + 1000);
    is_int(llm_limit_left(&l, &s, NOW + 1000), 1, "refunded the same day");
    llm_limit_take(&l, &s, 10, NOW + DAY);
    llm_limit_settle(&l, &s, 5, 0, NOW, NOW + DAY);
    is_int(llm_limit_left(&l, &s, NOW + DAY), 40, "not into the next one");
    llm_limit_settle(&l, &s, 0, 5, NOW, NOW + DAY);
    is_int(llm_limit_left(&l, &s, NOW + DAY), 40, "nor charged to it");
    llm_limit_settle(&l, &s, 0, 5, NOW + DAY, NOW + DAY + 1000);
    is_int(llm_limit_left(&l, &s, NOW + DAY), 35, "but to its own");

    llm_limit_learn(&l, &s, 50, NOW + DAY);
    is_int(llm_limit_left(&l, &s, NOW + DAY), 0, "learned");

    /* midnight, and a clock that is put back over it by a few seconds */
    pm = NOW + 14 * 3600000;
    memset(&s, 0, sizeof(s));
    llm_limit_take(&l, &s, 50, pm);
    is_int(llm_limit_left(&l, &s, pm - 2000), 0, "no second quota");

    l.tz = zone("America/Los_Angeles");
    memset(&s, 0, sizeof(s));
    llm_limit_take(&l, &s, 50, NOW);
    is_int(llm_limit_wait(&l, &s, 1, NOW), 22 * 3600 * 1000,
           "02:00 in Los Angeles");
    l.reset_s = 3 * 3600;
    memset(&s, 0, sizeof(s));
    llm_limit_take(&l, &s, 50, NOW);
    is_int(llm_limit_wait(&l, &s, 1, NOW), 3600 * 1000, "reset=03:00");

    l = limit("5r/M", LLM_CLOCK_CALENDAR);
    memset(&s, 0, sizeof(s));
    llm_limit_take(&l, &s, 5, NOW);
    is_int(llm_limit_wait(&l, &s, 1, NOW), 10 * DAY + 14 * 3600 * 1000,
           "until December");

    l = limit("5r/m", LLM_CLOCK_CALENDAR);
    memset(&s, 0, sizeof(s));
    llm_limit_take(&l, &s, 5, NOW + 1234);
    is_int(llm_limit_wait(&l, &s, 1, NOW + 1234), 58766, "second 00");
}


/* A slot holds more than a limit may be: nothing is lost above 32 bits. */

static void
test_large(void)
{
    llm_limit_t        l;
    llm_limit_state_t  s;

    l = limit("100000000000t/m", LLM_CLOCK_SLIDING);
    memset(&s, 0, sizeof(s));

    llm_limit_take(&l, &s, 99999999990ULL, NOW);
    is_int(llm_limit_left(&l, &s, NOW), 10, "10 of 10^11 are left");
    ok(llm_limit_wait(&l, &s, 11, NOW) > 0, "11 are too many");
    llm_limit_settle(&l, &s, 99999999990ULL, 5000000000ULL, NOW, NOW + 1000);
    is_int(llm_limit_left(&l, &s, NOW + 1000), 95000000000LL, "refunded");
    llm_limit_settle(&l, &s, 0, UINT64_MAX, NOW, NOW + 1000);
    is_int(llm_limit_left(&l, &s, NOW + 1000), 0, "a slot does not overflow");
    is_int(llm_limit_left(&l, &s, NOW + 70000), 100000000000LL, "and is over");
}


static void
test_money(void)
{
    llm_limit_t        l;
    llm_limit_state_t  s;

    memset(&s, 0, sizeof(s));
    memset(&l, 0, sizeof(l));
    l.max = LLM_MONEY_MAX;
    l.dim = LLM_DIM_MONEY;
    l.clock = LLM_CLOCK_CALENDAR;
    l.unit = LLM_TZ_MONTH;

    llm_limit_take(&l, &s, LLM_MONEY_MAX - 1, NOW);
    is_int(llm_limit_left(&l, &s, NOW), 1, "a nano-dollar is left");
    ok(llm_limit_wait(&l, &s, 2, NOW) == 10 * DAY + 14 * 3600 * 1000,
       "two have to wait for December");
    llm_limit_settle(&l, &s, 500, 0, NOW, NOW + DAY);
    is_int(llm_limit_left(&l, &s, NOW + DAY), 501, "a refund");
}


static void
test_parallel(void)
{
    llm_limit_t        l;
    llm_limit_state_t  s;

    memset(&s, 0, sizeof(s));
    memset(&l, 0, sizeof(l));
    l.max = 2;
    l.dim = LLM_DIM_PARALLEL;

    llm_limit_take(&l, &s, 1, NOW);
    is_int(llm_limit_wait(&l, &s, 1, NOW), 0, "a second one fits");
    llm_limit_take(&l, &s, 1, NOW);
    is_int(llm_limit_left(&l, &s, NOW + DAY), 0, "time frees nothing");
    ok(llm_limit_wait(&l, &s, 1, NOW + DAY) > 0, "a third one waits");
    ok(llm_limit_wait(&l, &s, 3, NOW) == LLM_NEVER, "three at once: never");
    llm_limit_settle(&l, &s, 1, 0, NOW, NOW + DAY);
    is_int(llm_limit_left(&l, &s, NOW + DAY), 1, "the end of one does");
}


int
main(void)
{
    test_parse();
    test_large();
    test_money();
    test_parallel();
    test_sliding("100t/m", 300, 7);
    test_sliding("30r/m", 2000, 1);
    test_sliding("500t/h", 20000, 9);
    test_sliding("1000t/d", 400000, 40);
    test_sliding_edges();
    test_refill();
    test_calendar();

    return tap_done();
}
