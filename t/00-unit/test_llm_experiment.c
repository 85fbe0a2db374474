/*
 * Experiments: sums, intervals that hold under peeking, and who took part.
 *
 * Everything random here has a fixed seed: a run is the same as the one before.
 */

#include "tap.h"
#include "llm_experiment.h"

#include <math.h>

#define EXPERIMENTS  1000
#define LOOKS        40                 /* at each of them */
#define REQUESTS     8000               /* of each of them */

static uint64_t              seed;
static llm_experiment_arm_t  arms[3];

static const llm_experiment_arm_t *const  both[] = { &arms[0], &arms[1] };
static const llm_experiment_arm_t *const  three[] = {
    &arms[0], &arms[1], &arms[2]
};


/* splitmix64 */

static uint64_t
random64(void)
{
    uint64_t  z;

    z = (seed += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}


static double
chance(void)
{
    return (double) (random64() >> 11) / 9007199254740992.0;
}


static void
begin(uint64_t s)
{
    seed = s;
    memset(arms, 0, sizeof(arms));
}


static llm_experiment_row_t
row(uint32_t bucket)
{
    llm_experiment_row_t  r;

    memset(&r, 0, sizeof(r));
    r.bucket = bucket;
    r.cost = r.output = r.latency = LLM_NEVER;

    return r;
}


/* ---- names and sums ------------------------------------------------------ */

static void
test_names(void)
{
    is_str(llm_metric_name(LLM_METRIC_ERRORS), "errors", "a metric");
    is_str(llm_metric_name(LLM_METRIC_COST), "cost_per_request", "another");
    is_str(llm_metric_name(LLM_METRIC_LATENCY), "latency", "the last");
    is_int(llm_metric_name(LLM_METRICS).len, 0, "no metric");
    is_str(llm_verdict_name(LLM_VERDICT_RUNNING), "running", "a verdict");
    is_str(llm_verdict_name(LLM_VERDICT_SAME), "no difference within margin",
           "another verdict");
    is_str(llm_verdict_name(LLM_VERDICT_INVALID), "invalid", "the last one");
}


static void
test_sums(void)
{
    llm_estimate_t        e;
    llm_experiment_row_t  r;

    begin(1);

    r = row(5);
    llm_experiment_add(arms, &r);

    r = row(105);
    r.cost = 3000;
    r.output = 40;
    r.latency = 250;
    r.error = 1;
    r.json_checked = 1;
    llm_experiment_add(arms, &r);

    is_int(arms[0].requests, 2, "requests");
    is_int(arms[0].group[5].n[LLM_METRIC_ERRORS], 2, "buckets share a group");
    is_int(arms[0].group[5].sum[LLM_METRIC_ERRORS], 1, "errors");
    is_int(arms[0].group[5].n[LLM_METRIC_COST], 1, "an unknown cost is none");
    is_int(arms[0].group[5].sum[LLM_METRIC_COST], 3000, "cost");
    is_int(arms[0].group[5].sum[LLM_METRIC_TOKENS], 40, "tokens");
    is_int(arms[0].group[5].sum[LLM_METRIC_LATENCY], 250, "latency");
    is_int(arms[0].group[5].n[LLM_METRIC_JSON_INVALID], 1, "checked");
    is_int(arms[0].group[5].sum[LLM_METRIC_JSON_INVALID], 0, "and valid");
    is_int(llm_hist_count(arms[0].time), 1, "in the histogram");
    is_int(llm_experiment_units(arms), 0, "unit 0 is nobody");

    llm_experiment_mean(arms, LLM_METRIC_ERRORS, &e);
    ok(e.n == 2 && e.mean == 0.5 && !e.known, "two requests prove nothing");
    llm_experiment_mean(arms, LLM_METRIC_THUMBS, &e);
    ok(e.n == 0 && e.mean == 0 && !e.known && e.half == 0, "no votes at all");
}


static void
votes(int before, int now, int up, int down, int n, const char *name)
{
    llm_experiment_vote(arms, 207, before, now);

    ok(arms[0].up == (uint64_t) up && arms[0].down == (uint64_t) down
       && arms[0].group[7].sum[LLM_METRIC_THUMBS] == (uint64_t) up
       && arms[0].group[7].n[LLM_METRIC_THUMBS] == (uint64_t) n, name);
}


static void
test_votes(void)
{
    begin(2);

    votes(0, 1, 1, 0, 1, "up");
    votes(0, -1, 1, 1, 2, "down");
    votes(1, 1, 1, 1, 2, "the same again");
    votes(1, -1, 0, 2, 2, "another mind");
    votes(-1, 1, 1, 1, 2, "and back");
    votes(1, 0, 0, 1, 1, "taken back");
    votes(0, 0, 0, 1, 1, "nothing");
}


/* ---- the interval -------------------------------------------------------- */

/* Numbers of an independent program: rho^2 = 0.0015872 at alpha 0.05, N* 5000,
 * and with it the factor of s in equation 9. */

static void
test_width(void)
{
    double          s;
    uint32_t        i, j;
    llm_estimate_t  e;

    static const struct {
        uint32_t  n;
        double    factor;
    } t[] = {
        { 100, 0.669438862 }, { 5000, 0.042924337 }, { 100000, 0.010552070 }
    };

    for (i = 0; i < 3; i++) {
        begin(3);

        /* every group the same number, every second group a value of 1 more:
         * a variance that can be told */

        for (j = 0; j < LLM_EXPERIMENT_GROUPS; j++) {
            arms[0].group[j].n[LLM_METRIC_LATENCY] = t[i].n / 100;
            arms[0].group[j].sum[LLM_METRIC_LATENCY] =
                                              t[i].n / 100 * (10 + j % 2 * 2);
        }

        llm_experiment_mean(arms, LLM_METRIC_LATENCY, &e);

        /* sum (y - R x)^2 = 100 x^2, x = n / 100; G/(G-1) */

        s = sqrt(0.01 * 100 / 99 * t[i].n);
        ok(e.known && e.mean == 11 && e.n == t[i].n, "the mean");
        ok(fabs(e.half / (t[i].factor * s) - 1) < 1e-6, "the half width");
    }

    ok(arms[0].requests == 0, "computed without requests");
}


static void
test_evidence(void)
{
    uint32_t        i;
    llm_estimate_t  e;
    llm_contrast_t  c;

    begin(4);

    for (i = 0; i < 19; i++) {
        arms[0].group[i].n[LLM_METRIC_ERRORS] = 50;
    }

    llm_experiment_mean(arms, LLM_METRIC_ERRORS, &e);
    ok(!e.known, "19 groups are too few");

    arms[0].group[99].n[LLM_METRIC_ERRORS] = 1;
    llm_experiment_mean(arms, LLM_METRIC_ERRORS, &e);
    ok(e.known && e.mean == 0 && e.half > 0.003 && e.half < 0.05,
       "no errors so far do not make it certain");

    memcpy(&arms[1], &arms[0], sizeof(arms[0]));
    llm_experiment_contrast(&arms[0], &arms[1], LLM_METRIC_ERRORS, 0.05, &c);
    ok(c.known && c.difference == 0 && c.verdict == LLM_VERDICT_RUNNING,
       "no difference to a rate of zero");

    llm_experiment_contrast(&arms[0], &arms[2], LLM_METRIC_ERRORS, 0.05, &c);
    ok(!c.known && c.half == 0 && c.verdict == LLM_VERDICT_RUNNING,
       "nor to nothing");
}


/* ---- A/A, and B that differs --------------------------------------------- */

/* What an arm is like. */
typedef struct {
    double    error;
    double    json;
    double    thumb;
    double    scale;                    /* of cost, tokens and time */
    double    spread;                   /* between users, of all of it */
} nature_t;


static double
normal(void)
{
    return sqrt(-2 * log(1 - chance())) * cos(6.283185307179586 * chance());
}


/* One request of a user, whose temper is the same each time. */

static void
request(llm_experiment_arm_t *arm, const nature_t *nature, uint32_t bucket,
    uint64_t unit, double temper)
{
    int                   vote;
    double                f, size;
    llm_experiment_row_t  r;

    f = exp(nature->spread * temper);
    size = nature->scale * f * exp(0.7 * normal());

    r = row(bucket);
    r.unit = unit;
    r.error = chance() < nature->error * f;
    r.json_checked = chance() < 0.5;
    r.json_invalid = r.json_checked && chance() < nature->json * f;
    r.cost = (uint64_t) (200000 * size);
    r.output = (uint64_t) (300 * size);
    r.latency = (uint64_t) (2500 * size);

    llm_experiment_add(arm, &r);

    if (chance() < 0.1) {
        vote = chance() < nature->thumb * (f < 1 ? 1 : 1 / f) ? 1 : -1;
        llm_experiment_vote(arm, bucket, 0, vote);
    }
}


static void
requests(const nature_t *a, const nature_t *b, uint32_t n, uint32_t users,
    uint32_t share)
{
    double    temper;
    uint32_t  bucket;
    uint64_t  unit, keep;

    while (n--) {

        /* everything about a user follows from the number */

        unit = random64() % users + 1;
        keep = seed;
        seed = unit * 0x5851f42d4c957f2dULL + users;
        temper = normal();
        bucket = random64() % 10000;
        seed = keep;

        if (bucket < share) {
            request(&arms[1], b, bucket, unit, temper);
        } else {
            request(&arms[0], a, bucket, unit, temper);
        }
    }
}


/* Looks often, as people do: how many experiments of two equal arms ever said
 * that there is a difference. */

static void
test_equal(uint32_t users, double spread, uint32_t share, int experiments)
{
    int             i, j, m, found[LLM_METRICS], any[LLM_METRICS];
    char            name[128];
    nature_t        same;
    llm_contrast_t  c;

    same = (nature_t) { 0.02, 0.01, 0.8, 1, spread };
    memset(found, 0, sizeof(found));

    for (i = 0; i < experiments; i++) {
        begin((uint64_t) i * 1000003 + users);
        memset(any, 0, sizeof(any));

        for (j = 0; j < LOOKS; j++) {
            requests(&same, &same, REQUESTS / LOOKS, users + (uint32_t) i,
                     share);

            for (m = 0; m < LLM_METRICS; m++) {
                llm_experiment_contrast(&arms[0], &arms[1], (llm_metric_t) m,
                                        0.05, &c);
                any[m] |= c.verdict == LLM_VERDICT_BETTER
                          || c.verdict == LLM_VERDICT_WORSE
                          || c.verdict == LLM_VERDICT_DIFFERENT;
            }
        }

        for (m = 0; m < LLM_METRICS; m++) {
            found[m] += any[m];
        }
    }

    for (m = 0; m < LLM_METRICS; m++) {
        snprintf(name, sizeof(name), "A/A of %u users, %.1f %%: %.*s at most "
                 "5 %% wrong", users, share / 100.,
                 (int) llm_metric_name((llm_metric_t) m).len,
                 llm_metric_name((llm_metric_t) m).data);

        ok(found[m] * 20 <= experiments, name);
        printf("# %d of %d\n", found[m], experiments);
    }
}


static llm_verdict_t
verdict_of(llm_metric_t m)
{
    llm_contrast_t  c;

    llm_experiment_contrast(&arms[0], &arms[1], m, 0.05, &c);

    return c.verdict;
}


static void
test_different(void)
{
    nature_t  a, b;

    a = (nature_t) { 0.02, 0.01, 0.8, 1, 0 };
    b = (nature_t) { 0.06, 0.05, 0.6, 0.7, 0 };

    begin(5);
    requests(&a, &b, 40000, 20000, 5000);

    ok(verdict_of(LLM_METRIC_ERRORS) == LLM_VERDICT_WORSE, "more errors");
    ok(verdict_of(LLM_METRIC_JSON_INVALID) == LLM_VERDICT_WORSE, "worse JSON");
    ok(verdict_of(LLM_METRIC_THUMBS) == LLM_VERDICT_WORSE, "fewer thumbs up");
    ok(verdict_of(LLM_METRIC_COST) == LLM_VERDICT_BETTER, "cheaper");
    ok(verdict_of(LLM_METRIC_LATENCY) == LLM_VERDICT_BETTER, "faster");
    ok(verdict_of(LLM_METRIC_TOKENS) == LLM_VERDICT_DIFFERENT, "other lengths");

    begin(6);
    requests(&b, &a, 40000, 20000, 5000);

    ok(verdict_of(LLM_METRIC_ERRORS) == LLM_VERDICT_BETTER, "fewer errors");
    ok(verdict_of(LLM_METRIC_THUMBS) == LLM_VERDICT_BETTER, "more thumbs up");
    ok(verdict_of(LLM_METRIC_COST) == LLM_VERDICT_WORSE, "dearer");

    a.error = 0.5;
    begin(7);
    requests(&a, &a, 200000, 100000, 5000);
    ok(verdict_of(LLM_METRIC_ERRORS) == LLM_VERDICT_SAME,
       "no difference that matters");
}


/* The same requests of few users with different tempers say less. */

static void
test_clusters(void)
{
    nature_t        nature;
    llm_estimate_t  e, f;

    nature = (nature_t) { 0.05, 0.01, 0.8, 1, 0 };

    begin(8);
    requests(&nature, &nature, 40000, 300, 5000);
    llm_experiment_mean(arms, LLM_METRIC_LATENCY, &e);

    nature.spread = 0.7;
    begin(8);
    requests(&nature, &nature, 40000, 300, 5000);
    llm_experiment_mean(arms, LLM_METRIC_LATENCY, &f);

    ok(f.half / f.mean > 4 * e.half / e.mean, "users differ: wider");

    begin(8);
    requests(&nature, &nature, 40000, 1000000, 5000);
    llm_experiment_mean(arms, LLM_METRIC_LATENCY, &e);

    ok(f.half > 3 * e.half, "few users: wider than many");
}


/* ---- who took part ------------------------------------------------------- */

static void
test_units(void)
{
    char      name[64];
    double    got;
    uint64_t  i, n;

    begin(9);
    is_int(llm_experiment_units(arms), 0, "nobody yet");

    for (i = 0; i < 1000; i++) {
        llm_experiment_see(arms, 77);
    }

    is_int(llm_experiment_units(arms), 1, "one, however often");

    for (n = 10; n <= 1000000; n *= 10) {
        begin(10);

        for (i = 1; i <= n; i++) {
            llm_experiment_see(arms, i);
        }

        got = (double) llm_experiment_units(arms);
        snprintf(name, sizeof(name), "%d units within 5 %%", (int) n);
        ok(fabs(got / (double) n - 1) < 0.05, name);
    }

    begin(11);
    memset(arms[0].units, 255, LLM_EXPERIMENT_HLL);
    ok(llm_experiment_units(arms) > 0, "registers of nonsense are survived");
}


static void
come(uint32_t n, const uint32_t *weight, uint32_t arm_n)
{
    uint32_t  i, b, w;

    while (n--) {
        b = random64() % 10000;

        for (i = 0, w = weight[0]; i + 1 < arm_n && b >= w; w += weight[i]) {
            i++;
        }

        llm_experiment_see(&arms[i], random64() | 1);
    }
}


static void
test_ratio(void)
{
    int       i, alarms;
    double    p;
    uint32_t  off[] = { 5500, 4500 };

    static const uint32_t  even[] = { 5000, 5000, 0 };
    static const uint32_t  canary[] = { 9500, 500, 0 };
    static const uint32_t  four[] = { 6000, 3000, 1000 };

    begin(12);
    ok(llm_experiment_srm(both, even, 2) == 1, "nobody came");
    ok(llm_experiment_overlap(both, 2) == 0, "nobody came twice");

    alarms = 0;

    for (i = 0; i < 1500; i++) {
        begin((uint64_t) i + 100);
        come(1500, even, 2);
        alarms += llm_experiment_srm(both, even, 2) < LLM_EXPERIMENT_SRM;

        begin((uint64_t) i + 10000);
        come(2000, canary, 2);
        alarms += llm_experiment_srm(both, canary, 2) < LLM_EXPERIMENT_SRM;

        begin((uint64_t) i + 20000);
        come(1500, four, 3);
        alarms += llm_experiment_srm(three, four, 3) < LLM_EXPERIMENT_SRM;
    }

    ok(alarms <= 4, "false alarms of the ratio: at most 0.1 %");
    printf("# %d of 4500\n", alarms);

    begin(13);
    come(20000, off, 2);
    p = llm_experiment_srm(both, even, 2);
    ok(p < LLM_EXPERIMENT_SRM, "55 to 45 instead of 50 to 50");
    ok(llm_experiment_srm(both, off, 2) > 0.01, "is right for these weights");
    ok(llm_experiment_srm(three, even, 3) == p, "an arm without weight");

    begin(14);
    come(9, even, 2);
    come(9, canary, 2);
    ok(llm_experiment_srm(both, even, 2) == 1, "too few to tell");
}


/* p of the test where it can be looked up: 8 arms, 7 degrees of freedom. */

static void
test_tail(void)
{
    double                       p;
    uint32_t                     i, j, weight[8];
    const llm_experiment_arm_t  *arm[8];
    static llm_experiment_arm_t  many[8];

    for (i = 0; i < 8; i++) {
        arm[i] = &many[i];
        weight[i] = 1250;

        for (j = 0; j < 100 + (i == 0) * 60; j++) {
            llm_experiment_see(&many[i], (uint64_t) i << 32 | (j + 1));
        }
    }

    /* Pearson: 29.3, p = 0.00013; counters are not exact */
    p = llm_experiment_srm(arm, weight, 8);
    if (!ok(p > 0.00002 && p < 0.0008, "one of eight is off")) {
        printf("# p %.6f\n", p);
    }

    ok(llm_experiment_srm(arm + 1, weight, 7) > 0.9, "seven are not");
    ok(llm_experiment_srm(arm + 1, weight, 4) > 0.9, "nor are four");
}


static void
test_overlap(void)
{
    int       i, wrong;
    uint32_t  j;

    static const uint32_t  even[] = { 5000, 5000 };

    wrong = 0;

    for (i = 0; i < 500; i++) {
        begin((uint64_t) i + 500);
        come(4000, even, 2);
        wrong += llm_experiment_overlap(both, 2) > LLM_EXPERIMENT_OVERLAP;
    }

    is_int(wrong, 0, "units of disjoint arms are not seen twice");

    begin(15);

    for (j = 1; j <= 10000; j++) {
        llm_experiment_see(&arms[j % 2], j);

        if (j % 10 == 0) {
            llm_experiment_see(&arms[1 - j % 2], j);
        }
    }

    ok(llm_experiment_overlap(both, 2) > LLM_EXPERIMENT_OVERLAP
       && llm_experiment_overlap(both, 2) < 0.15, "every tenth in both arms");
}


int
main(void)
{
    test_names();
    test_sums();
    test_votes();
    test_width();
    test_evidence();
    test_equal(4000, 0, 5000, EXPERIMENTS);
    test_equal(400, 0.5, 5000, 300);
    test_equal(2000, 0.3, 1000, 300);
    test_different();
    test_clusters();
    test_units();
    test_ratio();
    test_tail();
    test_overlap();

    return tap_done();
}
