/*
 * How long a bad canary lives, and how often a good one is rolled back: the
 * error trigger on simulated traffic with fixed seeds.
 *
 * Arrivals are Poisson, errors independent, a tick is 5 s, as in the table of
 * docs/design/rollouts.md.  Rates are requests a second.
 */

#include <math.h>

#include "arms.h"

#define NOW   ARMS_NOW
#define S     1000ULL
#define TICK  (5 * S)
#define HOUR  (3600 * S)
#define RUNS  41

static llm_trigger_conf_t   conf;
static llm_pace_t           pace;
static llm_trigger_state_t  state;
static uint64_t             seed;
static double               next;       /* arrival, ms after NOW */


static double
uniform(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return (double) (seed >> 11) / 9007199254740992.0;
}


static void
begin(uint64_t n)
{
    seed = 0x9e3779b97f4a7c15ULL * (n + 1);
    next = 0;

    arms_init(pace.slot);
    memset(&state, 0, sizeof(state));
}


/* Traffic from one moment to another (ms after NOW), a tick every 5 s.  Returns
 * how often the trigger fired; *when is the first time. */
static int
run(double rate, double bad, llm_msec_t from, llm_msec_t to, llm_msec_t *when)
{
    int            fired;
    llm_msec_t     t;
    llm_arms_t     arms;
    llm_measure_t  m;

    fired = 0;

    for (t = from + TICK; t <= to; t += TICK) {

        while (next < (double) t) {
            if (next >= (double) from) {
                arms_add(&canary, NOW + (llm_msec_t) next, 1, uniform() < bad);
            }

            next -= log(1 - uniform()) * 1000 / rate;
        }

        arms = arms_at(NOW + t);
        llm_trigger_measure(&conf, &pace, &arms, &m);

        if (llm_trigger_tick(&conf, &pace, &m, NOW + t, &state)) {
            memset(&state, 0, sizeof(state));

            if (fired++ == 0 && when) {
                *when = t;
            }
        }
    }

    return fired;
}


static int
by_time(const void *a, const void *b)
{
    llm_msec_t  x = *(const llm_msec_t *) a, y = *(const llm_msec_t *) b;

    return x < y ? -1 : x > y;
}


/* Seconds from the moment it turns bad, sorted; a day when it never fires. */
static void
lives(double rate, double bad, double after[RUNS])
{
    int         i;
    llm_msec_t  when, life[RUNS];

    for (i = 0; i < RUNS; i++) {
        begin((uint64_t) i);
        when = 24 * HOUR;


        (void) run(rate, 0.01, 0, 1200 * S, NULL);
        memset(&state, 0, sizeof(state));
        (void) run(rate, bad, 1200 * S, 1200 * S + HOUR, &when);

        life[i] = when - 1200 * S;
    }

    qsort(life, RUNS, sizeof(life[0]), by_time);

    for (i = 0; i < RUNS; i++) {
        after[i] = (double) life[i] / 1000;
    }
}


static void
test_lives(void)
{
    char    name[100];
    size_t  i;
    double  after[RUNS];

    /* medians of the table, in seconds */

    static const struct {
        double  rate, bad, median;
    } rows[] = {
        { 0.02, 1.00, 420 },
        { 0.05, 0.50, 395 }, { 0.05, 1.00, 355 },
        { 0.2, 0.15, 430 }, { 0.2, 0.50, 325 }, { 0.2, 1.00, 315 },
        { 1, 0.08, 840 }, { 1, 0.15, 325 }, { 1, 1.00, 305 },
        { 5, 0.08, 345 }, { 5, 0.15, 320 }, { 5, 1.00, 305 }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        lives(rows[i].rate, rows[i].bad, after);

        snprintf(name, sizeof(name), "%g/s, %g %% bad: %.0f s, about %.0f",
                 rows[i].rate, rows[i].bad * 100, after[RUNS / 2],
                 rows[i].median);
        ok(after[RUNS / 2] >= rows[i].median * 0.75
           && after[RUNS / 2] <= rows[i].median * 1.35, name);
        ok(after[0] >= 300, "never before its hold is over");
    }

    lives(1, 0.5, after);
    snprintf(name, sizeof(name), "1/s, 50 %% bad: from %.0f to %.0f s",
             after[0], after[RUNS - 1]);
    ok(after[0] >= 300 && after[RUNS - 1] <= 330, name);
}


static void
test_burst(void)
{
    int       fired;
    uint64_t  i;

    fired = 0;

    for (i = 0; i < 100; i++) {
        begin(i);
        fired += run(1, 0.01, 0, 1200 * S, NULL);
        fired += run(1, 0.30, 1200 * S, 1320 * S, NULL);
        fired += run(1, 0.01, 1320 * S, 3600 * S, NULL);
    }

    is_int(fired, 0, "two minutes of 30 % at 1/s");
}


/* 300 hours each. */
static void
test_healthy(void)
{
    int     fired;
    char    name[100];
    size_t  i;

    static const struct {
        double  rate, bad;
        int     most;
    } rows[] = {
        { 0.2, 0.01, 3 }, { 1, 0.01, 3 }, { 5, 0.01, 3 },
        { 0.2, 0.03, 36 }, { 1, 0.03, 3 }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(i + 100);
        fired = run(rows[i].rate, rows[i].bad, 0, 300 * HOUR, NULL);

        snprintf(name, sizeof(name),
                 "%g/s, %g %% bad: %d false rollbacks in 300 hours",
                 rows[i].rate, rows[i].bad * 100, fired);
        ok(fired <= rows[i].most, name);
    }
}


/* It accepts requests and never answers: each is an error when its attempt
 * times out, or when it should have. */
static llm_msec_t
hang(int settle)
{
    llm_msec_t     t;
    llm_arms_t     arms;
    llm_measure_t  m;

    begin(7);
    (void) run(1, 0.01, 0, 1200 * S, NULL);

    for (t = 1200 * S; t < 1200 * S + HOUR; t += S) {
        arms_start(&canary, NOW + t);

        if (settle && t >= 1200 * S + pace.timeout) {
            arms_end(&canary, NOW + t - pace.timeout, NOW + t, 1);
        }

        if (t % TICK) {
            continue;
        }

        arms = arms_at(NOW + t);
        llm_trigger_measure(&conf, &pace, &arms, &m);

        if (llm_trigger_tick(&conf, &pace, &m, NOW + t, &state)) {
            break;
        }
    }

    return t - 1200 * S;
}


static void
test_hang(void)
{
    char        name[100];
    llm_msec_t  t;

    /* a slot more: it is overdue when all of it is */

    t = hang(1);
    snprintf(name, sizeof(name), "timeouts: %d s", (int) (t / S));
    ok(t >= 300 * S && t <= 300 * S + pace.timeout + 2 * TICK, name);

    t = hang(0);
    snprintf(name, sizeof(name), "silence: %d s", (int) (t / S));
    ok(t >= 300 * S && t <= 300 * S + pace.timeout + pace.slot + 2 * TICK,
       name);
}


int
main(void)
{
    llm_trigger_defaults(LLM_TRIGGER_ERROR_RATE, &conf);
    llm_trigger_pace(&conf, 1, 120 * S, &pace);

    test_lives();
    test_burst();
    test_healthy();
    test_hang();

    return tap_done();
}
