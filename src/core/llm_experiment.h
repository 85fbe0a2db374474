/*
 * A/B tests read at any time: sums per arm and per group of users, always-valid
 * confidence sequences, the check of the sample ratio, and a verdict.
 *
 * Users are randomised, requests are counted: variances are clustered by one
 * hundred groups of buckets (bucket mod 100), by the delta method for a ratio.
 * Formulas and their sources: docs/design/experiments.md.
 */

#ifndef LLM_EXPERIMENT_H
#define LLM_EXPERIMENT_H

#include "llm_core.h"
#include "llm_hist.h"
#include "llm_split.h"

#pragma GCC visibility push(hidden)

#define LLM_EXPERIMENT_GROUPS  100
#define LLM_EXPERIMENT_ALPHA   0.05
#define LLM_EXPERIMENT_TUNED   5000     /* N*: where the sequence is tightest */
#define LLM_EXPERIMENT_HLL     4096     /* registers, for distinct units */


typedef enum {
    LLM_METRIC_ERRORS = 0,              /* per request; less is better */
    LLM_METRIC_JSON_INVALID,            /* per checked answer; less */
    LLM_METRIC_THUMBS,                  /* up per vote; more */
    LLM_METRIC_COST,                    /* nano-dollars per request; less */
    LLM_METRIC_TOKENS,                  /* output per request; no direction */
    LLM_METRIC_LATENCY,                 /* ms per whole answer; less */
    LLM_METRICS
} llm_metric_t;

llm_str_t llm_metric_name(llm_metric_t m);

/* Sums of one group of users; atomic adds. */
typedef struct {
    uint64_t  n[LLM_METRICS];           /* what the ratio is per */
    uint64_t  sum[LLM_METRICS];
} llm_experiment_group_t;

/* One arm; lives in shared memory, begins zeroed. */
typedef struct {
    uint64_t                requests;
    uint64_t                up, down;   /* votes as they stand now */
    llm_experiment_group_t  group[LLM_EXPERIMENT_GROUPS];
    uint8_t                 units[LLM_EXPERIMENT_HLL];
    uint32_t                time[LLM_HIST_BUCKETS];
} llm_experiment_arm_t;

/* One request's contribution; LLM_NEVER: unknown.  unit is a 64-bit hash of the
 * sticky key (never of a random choice: then 0, and units are not checked). */
typedef struct {
    uint32_t  bucket;
    uint64_t  unit;
    uint64_t  cost, output, latency;
    unsigned  error:1;
    unsigned  json_checked:1;
    unsigned  json_invalid:1;
} llm_experiment_row_t;

void llm_experiment_add(llm_experiment_arm_t *arm,
    const llm_experiment_row_t *row);

/* A vote counts for the bucket's group; before: 0 none, 1 up, -1 down. */
void llm_experiment_vote(llm_experiment_arm_t *arm, uint32_t bucket, int before,
    int now);

/* A unit took part; counted once, however often it is seen. */
void llm_experiment_see(llm_experiment_arm_t *arm, uint64_t unit);

/* Adds what another node counted of the same arm in the same phase; units that
 * both saw count once. */
void llm_experiment_join(llm_experiment_arm_t *arm,
    const llm_experiment_arm_t *other);

/* Distinct units, about (HyperLogLog, 1.6 %). */
uint64_t llm_experiment_units(const llm_experiment_arm_t *arm);


/* The mean of a metric with its always-valid interval. */
typedef struct {
    uint64_t  n;
    double    mean;
    double    half;                     /* half width; 0: not known yet */
    int       known;
} llm_estimate_t;

void llm_experiment_mean(const llm_experiment_arm_t *arm, llm_metric_t metric,
    llm_estimate_t *e);

typedef enum {
    LLM_VERDICT_RUNNING = 0,
    LLM_VERDICT_BETTER,                 /* than the baseline */
    LLM_VERDICT_WORSE,
    LLM_VERDICT_DIFFERENT,              /* of a metric without direction */
    LLM_VERDICT_SAME,                   /* no difference within the margin */
    LLM_VERDICT_INVALID                 /* sample ratio, multiple exposure */
} llm_verdict_t;

llm_str_t llm_verdict_name(llm_verdict_t v);

/* The difference of an arm to the baseline: mean, interval, verdict.  margin:
 * what counts as no difference, relative to the baseline's mean (0.05). */
typedef struct {
    double         difference;
    double         half;
    int            known;
    llm_verdict_t  verdict;
} llm_contrast_t;

void llm_experiment_contrast(const llm_experiment_arm_t *base,
    const llm_experiment_arm_t *arm, llm_metric_t metric, double margin,
    llm_contrast_t *c);

/*
 * What makes a comparison worthless: units that came otherwise than the weights
 * say (p below LLM_EXPERIMENT_SRM), or that were in two arms (more than
 * LLM_EXPERIMENT_OVERLAP of them).
 */
#define LLM_EXPERIMENT_SRM      0.001
#define LLM_EXPERIMENT_OVERLAP  0.01

/* Sample-ratio mismatch: p of a chi-square test of units against the weights
 * (basis points) of n arms; 1 where units are not known. */
double llm_experiment_srm(const llm_experiment_arm_t *const *arm,
    const uint32_t *weight, uint32_t n);

/* The share of units that were seen in more than one arm for certain: what the
 * counters say less four times their error. */
double llm_experiment_overlap(const llm_experiment_arm_t *const *arm,
    uint32_t n);

#pragma GCC visibility pop

#endif /* LLM_EXPERIMENT_H */
