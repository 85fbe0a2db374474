/*
 * Who took part in an experiment: distinct units, and whether they came to the
 * arms as the weights say.
 *
 * Units are counted by HyperLogLog, 4096 registers of one byte, read with the
 * estimator of Ertl (arXiv 1702.01284, algorithm 6), which needs no correction
 * by range.  Its error, 1.04 / sqrt(4096), is part of every test below.
 */

#include "llm_experiment.h"

#include <math.h>


#define LLM_UNITS_BITS   12             /* 2^12 == LLM_EXPERIMENT_HLL */
#define LLM_UNITS_RANKS  (64 - LLM_UNITS_BITS + 2)
#define LLM_UNITS_ERROR  0.01625        /* standard error, relative */
#define LLM_UNITS_LEAST  10             /* units expected in each arm */
#define LLM_UNITS_SURE   4              /* standard errors */
#define LLM_UNITS_MOST   1e18           /* all registers are at their end */


static double llm_units_in(const llm_experiment_arm_t *const *arm, uint32_t n);
static double llm_units_sigma(double x);
static double llm_units_tau(double x);
static double llm_chi_square_p(double x, uint32_t df);


/* FNV leaves the high bits of similar keys alike. */

static uint64_t
llm_units_mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 33;

    return h;
}


void
llm_experiment_see(llm_experiment_arm_t *arm, uint64_t unit)
{
    uint8_t    *reg, old, rank;
    uint64_t    h, rest;

    h = llm_units_mix(unit);
    reg = &arm->units[h >> (64 - LLM_UNITS_BITS)];
    rest = h << LLM_UNITS_BITS;
    rank = rest ? (uint8_t) (__builtin_clzll(rest) + 1) : LLM_UNITS_RANKS - 1;

    old = __atomic_load_n(reg, __ATOMIC_RELAXED);

    while (old < rank
           && !__atomic_compare_exchange_n(reg, &old, rank, 1,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    {
        /* somebody else was here: old is the newer value */
    }
}


void
llm_experiment_join(llm_experiment_arm_t *arm,
    const llm_experiment_arm_t *other)
{
    uint32_t  i, m;

    arm->requests += other->requests;
    arm->up += other->up;
    arm->down += other->down;

    for (i = 0; i < LLM_EXPERIMENT_GROUPS; i++) {
        for (m = 0; m < LLM_METRICS; m++) {
            arm->group[i].n[m] += other->group[i].n[m];
            arm->group[i].sum[m] += other->group[i].sum[m];
        }
    }

    for (i = 0; i < LLM_EXPERIMENT_HLL; i++) {
        if (other->units[i] > arm->units[i] && other->units[i] <= 64) {
            arm->units[i] = other->units[i];
        }
    }

    for (i = 0; i < LLM_HIST_BUCKETS; i++) {
        arm->time[i] += other->time[i];
    }
}


uint64_t
llm_experiment_units(const llm_experiment_arm_t *arm)
{
    return (uint64_t) (llm_units_in(&arm, 1) + 0.5);
}


/* The distinct units of all arms together. */

static double
llm_units_in(const llm_experiment_arm_t *const *arm, uint32_t n)
{
    double    z, m, all;
    uint8_t   rank;
    uint32_t  i, j, count[LLM_UNITS_RANKS];

    memset(count, 0, sizeof(count));

    for (i = 0; i < LLM_EXPERIMENT_HLL; i++) {
        rank = 0;

        for (j = 0; j < n; j++) {
            if (arm[j]->units[i] > rank) {
                rank = arm[j]->units[i];
            }
        }

        count[rank < LLM_UNITS_RANKS ? rank : LLM_UNITS_RANKS - 1]++;
    }

    if (count[0] == LLM_EXPERIMENT_HLL) {
        return 0;
    }

    m = LLM_EXPERIMENT_HLL;
    z = m * llm_units_tau(1 - count[LLM_UNITS_RANKS - 1] / m);

    for (i = LLM_UNITS_RANKS - 2; i > 0; i--) {
        z = (z + count[i]) / 2;
    }

    z += m * llm_units_sigma(count[0] / m);

    if (z <= 0) {
        return LLM_UNITS_MOST;
    }

    all = m * m / (2 * log(2) * z);

    return all < LLM_UNITS_MOST ? all : LLM_UNITS_MOST;
}


/* x + x^2 + 2 x^4 + 4 x^8 …; x < 1. */

static double
llm_units_sigma(double x)
{
    double  y, z, last;

    y = 1;
    z = x;

    do {
        x *= x;
        last = z;
        z += x * y;
        y += y;
    } while (z > last);

    return z;
}


/* (1 - x - (1 - x^(1/2))^2 / 2 - (1 - x^(1/4))^2 / 4 …) / 3. */

static double
llm_units_tau(double x)
{
    double  y, z, last;

    if (x <= 0 || x >= 1) {
        return 0;
    }

    y = 1;
    z = 1 - x;

    do {
        x = sqrt(x);
        last = z;
        y /= 2;
        z -= (1 - x) * (1 - x) * y;
    } while (z < last);

    return z / 3;
}


/*
 * Counts are independent with the variance of a Poisson number and that of the
 * counter; the total is fitted by least squares with these weights.  Without
 * the counter's error this is Pearson's test.
 */

double
llm_experiment_srm(const llm_experiment_arm_t *const *arm,
    const uint32_t *weight, uint32_t n)
{
    double    units[LLM_SPLIT_VARIANTS], variance[LLM_SPLIT_VARIANTS];
    double    sum, share, least, a, b, w, d, x, fit;
    uint32_t  i, df;

    sum = 0;
    share = 0;
    least = 1;
    df = 0;

    for (i = 0; i < n; i++) {

        if (weight[i] == 0) {
            continue;
        }

        w = (double) weight[i] / LLM_SPLIT_BUCKETS;
        units[i] = llm_units_in(&arm[i], 1);
        sum += units[i];
        share += w;
        least = w < least ? w : least;
        df++;
    }

    if (df < 2 || sum * least / share < LLM_UNITS_LEAST) {
        return 1;
    }

    a = 0;
    b = 0;

    for (i = 0; i < n; i++) {

        if (weight[i] == 0) {
            continue;
        }

        w = (double) weight[i] / LLM_SPLIT_BUCKETS;
        d = LLM_UNITS_ERROR * units[i];
        variance[i] = sum * w / share + d * d;
        a += units[i] * w / variance[i];
        b += w * w / variance[i];
    }

    fit = a / b;
    x = 0;

    for (i = 0; i < n; i++) {

        if (weight[i]) {
            d = units[i] - fit * weight[i] / LLM_SPLIT_BUCKETS;
            x += d * d / variance[i];
        }
    }

    return llm_chi_square_p(x, df - 1);
}


/* The upper tail, by the recurrence over every second degree of freedom. */

static double
llm_chi_square_p(double x, uint32_t df)
{
    double    p, term, half, k;

    half = x / 2;

    if (df % 2) {
        p = erfc(sqrt(half));
        term = sqrt(half) * exp(-half) * 2 / sqrt(acos(-1));
        k = 1.5;

    } else {
        p = exp(-half);
        term = half * exp(-half);
        k = 2;
    }

    for ( /* void */ ; df > 2; df -= 2) {
        p += term;
        term *= half / k;
        k++;
    }

    return p < 1 ? p : 1;
}


/*
 * Units that are in two arms make the arms' sum larger than the union.  The
 * registers of disjoint arms are not independent of those of their union: the
 * error of this difference is 1.07 times that of the counter, times
 * sqrt(1 - sum of squared shares); measured, see docs/design/experiments.md.
 */

double
llm_experiment_overlap(const llm_experiment_arm_t *const *arm, uint32_t n)
{
    double    one, sum, squares, all, twice, error;
    uint32_t  i;

    sum = 0;
    squares = 0;

    for (i = 0; i < n; i++) {
        one = llm_units_in(&arm[i], 1);
        sum += one;
        squares += one * one;
    }

    all = llm_units_in(arm, n);

    if (n < 2 || sum < LLM_UNITS_LEAST * n) {
        return 0;
    }

    twice = (sum - all) / all;
    error = 1.07 * LLM_UNITS_ERROR * sqrt(1 - squares / (sum * sum));

    return twice > LLM_UNITS_SURE * error ? twice - LLM_UNITS_SURE * error : 0;
}
