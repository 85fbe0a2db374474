/*
 * What a split survives: a worker killed in the middle of a change, and a clock
 * that is set.
 */

#include "tap.h"
#include "llm_rollout.h"
#include "llm_trigger.h"

#define NOW     1795168800000ULL
#define MIN     60000ULL
#define HOUR    (60 * MIN)
#define NOBODY  LLM_ROLLOUT_NOBODY

static const llm_rollout_conf_t  conf = {
    .canary = 1,
    .step = { 1000, 10000 },
    .step_n = 2,
    .min_samples = 100,
    .bake = 10 * MIN,
    .max_bake = 60 * MIN,
    .soak = 30 * MIN,
    .rest = 10 * MIN
};

static llm_split_doc_t  doc;
static uint8_t          owner[LLM_SPLIT_BUCKETS];


static llm_act_result_t
act(llm_verb_t verb, llm_msec_t now)
{
    llm_act_t  a;

    memset(&a, 0, sizeof(a));

    a.verb = verb;
    a.variant = NOBODY;
    a.force = 1;
    a.random = 4711;
    a.now = now;

    return llm_rollout_act(&conf, &doc, owner, &a);
}


static uint32_t
owned(uint32_t variant)
{
    uint32_t  i, n;

    for (i = 0, n = 0; i < LLM_SPLIT_BUCKETS; i++) {
        n += owner[i] == variant;
    }

    return n;
}


/* A canary with 10 %, and red with as much. */
static void
begin(void)
{
    static const uint32_t  weight[] = { 8000, 1000, 1000 };

    llm_rollout_init(&doc, owner, weight, 3, 42, NOW);
    (void) act(LLM_VERB_START, NOW);
}


static void
test_heal(void)
{
    uint64_t  version;

    begin();
    version = doc.version;
    is_int(llm_rollout_heal(&doc, owner, NOW + 1), 0, "nothing to heal");
    is_int(doc.version, version, "nothing changed");
    is_int(doc.weighed, NOW, "at all");

    /* an abort that had set the bar when it died, and nothing else */

    doc.barred = 2;
    is_int(llm_rollout_heal(&doc, owner, NOW + 1), 1, "barred alone");
    is_int(doc.weight[1], 0, "without weight");
    is_int(doc.weight[0], 9000, "it went to the baseline");
    is_int(owned(1), 0, "nobody goes there");
    is_int(owned(0), 9000, "but to the baseline");
    is_int(doc.state, LLM_ROLLOUT_ROLLED_BACK, "the rollout is over");
    is_int(doc.version, version + 1, "one change");
    is_int(llm_rollout_heal(&doc, owner, NOW + 2), 0, "once");

    /* the baseline has the weight, the canary still, too */

    begin();
    doc.weight[0] += doc.weight[1];
    is_int(llm_rollout_heal(&doc, owner, NOW + 1), 1, "more than all");
    is_int(doc.weight[0], 8000, "the baseline has what is left");
    is_int(doc.weight[1], 1000, "the canary goes on");

    /* weights are new, half of the buckets are not */

    begin();
    doc.weight[0] = 4000;
    doc.weight[1] = 5000;
    is_int(llm_rollout_heal(&doc, owner, NOW + 1), 1, "owners of before");
    is_int(owned(1), 5000, "follow the weights");
    is_int(owned(2), 1000, "red keeps its own");

    begin();
    doc.weight[1] = 9900;
    doc.weight[2] = 9900;
    is_int(llm_rollout_heal(&doc, owner, NOW + 1), 1, "too much for two");
    is_int(doc.weight[2], 0, "one of them waits");
    is_int(doc.weight[0], 100, "whole");
}


static void
test_shift(void)
{
    begin();
    llm_rollout_shift(&doc, -(int64_t) HOUR);
    is_int(doc.since, NOW - HOUR, "the stage began an hour earlier");
    is_int(doc.until, NOW - HOUR + 10 * MIN, "and bakes as long");
    is_int(doc.weighed, NOW - HOUR, "the weights");
    is_int(doc.rested, 0, "no rest");

    (void) act(LLM_VERB_ABORT, NOW - HOUR);
    llm_rollout_shift(&doc, (int64_t) HOUR);
    is_int(doc.rested, NOW + 10 * MIN, "a rest goes on");
    is_int(doc.until, 0, "no end of nothing");
}


/* A pending trigger fires after its hold, whatever the clock says meanwhile. */
static void
test_trigger(void)
{
    llm_pace_t           pace;
    llm_measure_t        m;
    llm_trigger_conf_t   tc;
    llm_trigger_state_t  s;

    llm_trigger_defaults(LLM_TRIGGER_ERROR_RATE, &tc);
    llm_trigger_pace(&tc, 1, MIN, &pace);

    memset(&m, 0, sizeof(m));
    memset(&s, 0, sizeof(s));
    m.result = LLM_MEASURE_TRUE;

    (void) llm_trigger_tick(&tc, &pace, &m, NOW, &s);
    llm_trigger_shift(&s, -(int64_t) HOUR);
    is_int(llm_trigger_tick(&tc, &pace, &m, NOW - HOUR + 299999, &s), 0,
           "not before");
    is_int(llm_trigger_tick(&tc, &pace, &m, NOW - HOUR + 300000, &s), 1,
           "set back: it fires when it should");

    memset(&s, 0, sizeof(s));
    (void) llm_trigger_tick(&tc, &pace, &m, NOW, &s);
    llm_trigger_shift(&s, (int64_t) HOUR);
    is_int(llm_trigger_tick(&tc, &pace, &m, NOW + HOUR + 1, &s), 0,
           "set forward: not at once");

    /* another worker leads, whose clock is behind by a little */

    m.result = LLM_MEASURE_INSUFFICIENT;
    (void) llm_trigger_tick(&tc, &pace, &m, NOW + HOUR + 10, &s);
    (void) llm_trigger_tick(&tc, &pace, &m, NOW + HOUR + 9, &s);
    is_int(s.status, LLM_TRIGGER_PENDING, "still pending");
}


static void
test_window(void)
{
    llm_sums_t           sums;
    static llm_window_t  w;

    llm_window_init(&w, 10000);
    llm_window_claim(&w, NOW);
    llm_window_start(&w, NOW);

    llm_window_forget(&w);
    llm_window_sum(&w, NOW, MIN, 0, &sums);
    is_int(sums.count[LLM_COUNT_STARTED], 0, "forgotten");

    /* 15 min: the short ring had gone round once, the long one had not */

    is_int(llm_window_is_current(&w, NOW - 15 * MIN), 0, "to be claimed");
    llm_window_claim(&w, NOW - 15 * MIN);
    llm_window_start(&w, NOW - 15 * MIN);
    llm_window_sum(&w, NOW - 15 * MIN, MIN, 0, &sums);
    is_int(sums.count[LLM_COUNT_STARTED], 1, "counts again");
}


int
main(void)
{
    test_heal();
    test_shift();
    test_trigger();
    test_window();

    return tap_done();
}
