/*
 * Sums of an experiment, means with always-valid intervals, and verdicts.
 *
 * The interval is the asymptotic confidence sequence of Waudby-Smith et al.
 * (arXiv 2103.06476, equation 9): whoever looks at it as often as they like is
 * wrong with probability alpha at most.
 */

#include "llm_experiment.h"

#include <math.h>


#define LLM_EXPERIMENT_LEAST         100    /* events of an arm, … */
#define LLM_EXPERIMENT_LEAST_GROUPS  20     /* … from so many groups */


/* The mean of an arm and the variance of this mean. */
typedef struct {
    uint64_t  n;
    double    mean;
    double    variance;
    int       known;
} llm_ratio_t;


static int llm_metric_is_binary(llm_metric_t metric);
static double llm_experiment_width(double n);


llm_str_t
llm_metric_name(llm_metric_t m)
{
    static const llm_str_t  names[] = {
        { 6, (const unsigned char *) "errors" },
        { 12, (const unsigned char *) "json_invalid" },
        { 6, (const unsigned char *) "thumbs" },
        { 16, (const unsigned char *) "cost_per_request" },
        { 6, (const unsigned char *) "tokens" },
        { 7, (const unsigned char *) "latency" }
    };

    return m < LLM_METRICS ? names[m] : LLM_NOSTR;
}


llm_str_t
llm_verdict_name(llm_verdict_t v)
{
    switch (v) {

    case LLM_VERDICT_RUNNING:
        return LLM_STR("running");

    case LLM_VERDICT_BETTER:
        return LLM_STR("significantly better");

    case LLM_VERDICT_WORSE:
        return LLM_STR("significantly worse");

    case LLM_VERDICT_DIFFERENT:
        return LLM_STR("significantly different");

    case LLM_VERDICT_SAME:
        return LLM_STR("no difference within margin");

    case LLM_VERDICT_INVALID:
        return LLM_STR("invalid");
    }

    return LLM_NOSTR;
}


/* ---- counting ------------------------------------------------------------ */

static void
llm_experiment_count(llm_experiment_group_t *g, llm_metric_t metric,
    uint64_t amount)
{
    __atomic_fetch_add(&g->n[metric], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&g->sum[metric], amount, __ATOMIC_RELAXED);
}


void
llm_experiment_add(llm_experiment_arm_t *arm, const llm_experiment_row_t *row)
{
    llm_experiment_group_t  *g;

    g = &arm->group[row->bucket % LLM_EXPERIMENT_GROUPS];

    __atomic_fetch_add(&arm->requests, 1, __ATOMIC_RELAXED);
    llm_experiment_count(g, LLM_METRIC_ERRORS, row->error);

    if (row->json_checked) {
        llm_experiment_count(g, LLM_METRIC_JSON_INVALID, row->json_invalid);
    }

    if (row->cost != LLM_NEVER) {
        llm_experiment_count(g, LLM_METRIC_COST, row->cost);
    }

    if (row->output != LLM_NEVER) {
        llm_experiment_count(g, LLM_METRIC_TOKENS, row->output);
    }

    if (row->latency != LLM_NEVER) {
        llm_experiment_count(g, LLM_METRIC_LATENCY, row->latency);
        __atomic_fetch_add(&arm->time[llm_hist_bucket(row->latency)], 1,
                           __ATOMIC_RELAXED);
    }

    if (row->unit) {
        llm_experiment_see(arm, row->unit);
    }
}


void
llm_experiment_vote(llm_experiment_arm_t *arm, uint32_t bucket, int before,
    int now)
{
    llm_experiment_group_t  *g;

    if (before == now) {
        return;
    }

    g = &arm->group[bucket % LLM_EXPERIMENT_GROUPS];

    if (before > 0) {
        __atomic_fetch_sub(&arm->up, 1, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&g->sum[LLM_METRIC_THUMBS], 1, __ATOMIC_RELAXED);

    } else if (before < 0) {
        __atomic_fetch_sub(&arm->down, 1, __ATOMIC_RELAXED);

    } else {
        __atomic_fetch_add(&g->n[LLM_METRIC_THUMBS], 1, __ATOMIC_RELAXED);
    }

    if (now > 0) {
        __atomic_fetch_add(&arm->up, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&g->sum[LLM_METRIC_THUMBS], 1, __ATOMIC_RELAXED);

    } else if (now < 0) {
        __atomic_fetch_add(&arm->down, 1, __ATOMIC_RELAXED);

    } else {
        __atomic_fetch_sub(&g->n[LLM_METRIC_THUMBS], 1, __ATOMIC_RELAXED);
    }
}


/* ---- reading ------------------------------------------------------------- */

/*
 * The ratio of two sums over groups, and its variance by the delta method:
 * G/(G-1) * sum (y - R x)^2 / (sum x)^2, over the G groups that have seen
 * something.
 */

static void
llm_experiment_ratio(const llm_experiment_arm_t *arm, llm_metric_t metric,
    llm_ratio_t *r)
{
    double                         x, y, d, p, n, sum, square, least;
    uint32_t                       i, groups;
    const llm_experiment_group_t  *g;

    memset(r, 0, sizeof(llm_ratio_t));
    sum = 0;
    square = 0;
    groups = 0;

    for (i = 0; i < LLM_EXPERIMENT_GROUPS; i++) {
        g = &arm->group[i];
        r->n += g->n[metric];
        sum += (double) g->sum[metric];
        groups += g->n[metric] != 0;
    }

    if (r->n == 0) {
        return;
    }

    n = (double) r->n;
    r->mean = sum / n;

    if (r->n < LLM_EXPERIMENT_LEAST || groups < LLM_EXPERIMENT_LEAST_GROUPS) {
        return;
    }

    for (i = 0; i < LLM_EXPERIMENT_GROUPS; i++) {
        x = (double) arm->group[i].n[metric];
        y = (double) arm->group[i].sum[metric];
        d = y - r->mean * x;
        square += d * d;
    }

    r->variance = square / (n * n) * groups / (groups - 1);
    r->known = 1;

    if (llm_metric_is_binary(metric)) {

        /* no errors so far do not make their rate certain */

        p = (sum + 2) / (n + 4);
        least = p * (1 - p) / n;

        if (r->variance < least) {
            r->variance = least;
        }
    }
}


static int
llm_metric_is_binary(llm_metric_t metric)
{
    return metric == LLM_METRIC_ERRORS || metric == LLM_METRIC_JSON_INVALID
           || metric == LLM_METRIC_THUMBS;
}


/* The half width for a mean of n whose variance is 1 (that of the mean, not of
 * one observation). */

static double
llm_experiment_width(double n)
{
    double  a, t;

    a = -2 * log(LLM_EXPERIMENT_ALPHA);
    t = n * (a + log(1 + a)) / LLM_EXPERIMENT_TUNED;        /* n rho^2 */

    return sqrt(2 * (t + 1) / t * log(sqrt(t + 1) / LLM_EXPERIMENT_ALPHA));
}


void
llm_experiment_mean(const llm_experiment_arm_t *arm, llm_metric_t metric,
    llm_estimate_t *e)
{
    llm_ratio_t  r;

    llm_experiment_ratio(arm, metric, &r);

    e->n = r.n;
    e->mean = r.mean;
    e->known = r.known;
    e->half = r.known ? sqrt(r.variance) * llm_experiment_width((double) r.n)
                      : 0;
}


void
llm_experiment_contrast(const llm_experiment_arm_t *base,
    const llm_experiment_arm_t *arm, llm_metric_t metric, double margin,
    llm_contrast_t *c)
{
    int          more;
    llm_ratio_t  a, b;

    memset(c, 0, sizeof(llm_contrast_t));

    llm_experiment_ratio(base, metric, &a);
    llm_experiment_ratio(arm, metric, &b);

    c->difference = a.n && b.n ? b.mean - a.mean : 0;
    c->known = a.known && b.known;
    c->verdict = LLM_VERDICT_RUNNING;

    if (!c->known) {
        return;
    }

    c->half = sqrt(a.variance + b.variance)
              * llm_experiment_width((double) (a.n + b.n));

    if (fabs(c->difference) + c->half <= margin * fabs(a.mean)) {
        c->verdict = LLM_VERDICT_SAME;

    } else if (fabs(c->difference) > c->half) {
        more = c->difference > 0;

        if (metric == LLM_METRIC_TOKENS) {
            c->verdict = LLM_VERDICT_DIFFERENT;

        } else if (more == (metric == LLM_METRIC_THUMBS)) {
            c->verdict = LLM_VERDICT_BETTER;

        } else {
            c->verdict = LLM_VERDICT_WORSE;
        }
    }
}
