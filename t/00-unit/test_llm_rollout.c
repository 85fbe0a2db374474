/*
 * Rollouts: every verb in every state, steps, soak, and what may go wrong on
 * the way.
 */

#include "tap.h"
#include "llm_rollout.h"

#define NOW     1795168800000ULL
#define MIN     60000ULL
#define NOBODY  LLM_ROLLOUT_NOBODY

static const llm_rollout_conf_t  conf = {
    .canary = 1,
    .step = { 500, 2500, 5000, 7500, 10000 },
    .step_n = 5,
    .min_samples = 100,
    .bake = 10 * MIN,
    .max_bake = 60 * MIN,
    .soak = 30 * MIN,
    .rest = 10 * MIN
};

static const uint32_t   all[] = { 10000, 0, 0 };
static llm_split_doc_t  doc;
static uint8_t          owner[LLM_SPLIT_BUCKETS];


static void
init(const uint32_t *weight, uint32_t n)
{
    llm_rollout_init(&doc, owner, weight, n, 42, NOW);
}


static llm_act_result_t
act_on(const llm_rollout_conf_t *c, llm_verb_t verb, uint32_t variant,
    int force, llm_msec_t now)
{
    llm_act_t  a;

    memset(&a, 0, sizeof(a));

    a.verb = verb;
    a.variant = variant;
    a.force = force;
    a.random = 4711;
    a.now = now;

    return llm_rollout_act(c, &doc, owner, &a);
}


static llm_act_result_t
act(llm_verb_t verb, llm_msec_t now)
{
    return act_on(&conf, verb, NOBODY, 0, now);
}


static llm_act_result_t
set(uint32_t a, uint32_t b, uint32_t c, int force, llm_msec_t now)
{
    uint32_t   weight[3] = { a, b, c };
    llm_act_t  x;

    memset(&x, 0, sizeof(x));

    x.verb = LLM_VERB_SET;
    x.variant = NOBODY;
    x.weight = weight;
    x.force = force;
    x.now = now;

    return llm_rollout_act(&conf, &doc, owner, &x);
}


static llm_rollout_move_t
tick(uint64_t samples, int pending, llm_msec_t clear, llm_msec_t now)
{
    llm_rollout_in_t  in = { samples, pending, clear, MIN, now };

    return llm_rollout_tick(&conf, &doc, owner, &in);
}


/* Weights are whole, the table is theirs, and nobody barred has any. */
static int
is_consistent(void)
{
    uint32_t  i, have[LLM_SPLIT_VARIANTS] = { 0 };

    if (!llm_split_is_whole(doc.weight, doc.n)
        || llm_rollout_is_barred(&doc, doc.base))
    {
        return 0;
    }

    for (i = 0; i < LLM_SPLIT_BUCKETS; i++) {
        if (owner[i] >= doc.n) {
            return 0;
        }

        have[owner[i]]++;
    }

    for (i = 0; i < doc.n; i++) {
        if (have[i] != doc.weight[i]
            || (doc.weight[i] && llm_rollout_is_barred(&doc, i)))
        {
            return 0;
        }
    }

    return 1;
}


static void
test_names(void)
{
    unsigned    i;
    llm_verb_t  verb;

    for (i = 0; i < LLM_VERBS; i++) {
        is_int(llm_verb_by_name(llm_verb_name((llm_verb_t) i), &verb), LLM_OK,
               "a verb's name");
        is_int(verb, i, "is its own");
    }

    is_int(llm_verb_by_name(tap_c("launch"), &verb), LLM_NONE, "no verb");
    is_int(llm_verb_name(LLM_VERBS).len, 0, "nor this");

    is_str(llm_rollout_state_name(LLM_ROLLOUT_ROLLED_BACK), "rolled_back",
           "a state");
    is_int(llm_rollout_state_name(99).len, 0, "no state");
    is_str(llm_rollout_why_name(LLM_WHY_INCONCLUSIVE), "inconclusive", "why");
    is_int(llm_rollout_why_name(99).len, 0, "no why");

    for (i = 0; i <= LLM_ACT_VARIANT; i++) {
        ok(llm_act_message((llm_act_result_t) i).len > 3, "a sentence");
    }
}


/* A healthy canary goes all the way. */
static void
test_way(void)
{
    int         i;
    llm_msec_t  t;

    static const uint32_t  steps[] = { 500, 2500, 5000, 7500, 10000 };

    init(all, 2);
    t = NOW + MIN;

    is_int(act(LLM_VERB_START, t), LLM_ACT_DONE, "started");
    is_int(doc.version, 2, "a change");
    ok(doc.salt != 42, "nobody had the canary: a new salt");
    is_int(doc.rollout, 4711, "an id");

    for (i = 0; i < 5; i++) {
        is_int(doc.state, LLM_ROLLOUT_PROGRESSING, "progressing");
        is_int(doc.weight[1], steps[i], "the step's weight");
        ok(is_consistent(), "in the table, too");
        is_int(tick(1000, 0, 10 * MIN, t + 10 * MIN - 1), LLM_ROLLOUT_STAY,
               "it bakes");
        is_int(tick(99, 0, 10 * MIN, t + 10 * MIN), LLM_ROLLOUT_STAY,
               "not enough samples");
        is_int(tick(100, 1, 10 * MIN, t + 10 * MIN), LLM_ROLLOUT_STAY,
               "a trigger is pending");
        is_int(tick(100, 0, MIN - 1, t + 10 * MIN), LLM_ROLLOUT_STAY,
               "not clear for long enough");
        t += 11 * MIN;
        is_int(tick(100, 0, MIN, t), i < 4 ? LLM_ROLLOUT_NEXT
                                           : LLM_ROLLOUT_SOAK, "the next");
        is_int(doc.version, 3 + i, "a change");
    }

    is_int(doc.state, LLM_ROLLOUT_SOAKING, "soaking");
    is_int(doc.base, 0, "the old baseline still is one");
    is_int(tick(100, 0, MIN, t + 30 * MIN - 1), LLM_ROLLOUT_STAY, "not yet");
    is_int(tick(99, 0, MIN, t + 30 * MIN), LLM_ROLLOUT_STAY,
           "no data is never success");
    is_int(tick(100, 0, MIN, t + 30 * MIN), LLM_ROLLOUT_DONE, "completed");
    is_int(doc.state, LLM_ROLLOUT_COMPLETED, "completed");
    is_int(doc.base, 1, "the canary is the baseline");
    is_int(doc.weight[1], 10000, "with everything");
    ok(is_consistent(), "consistent");
    is_int(act(LLM_VERB_START, t), LLM_ACT_IS_BASELINE, "no second time");
}


static void
test_inconclusive(void)
{
    init(all, 2);
    (void) act(LLM_VERB_START, NOW);

    is_int(tick(99, 0, MIN, NOW + 60 * MIN - 1), LLM_ROLLOUT_STAY, "waits");
    is_int(tick(99, 0, MIN, NOW + 60 * MIN), LLM_ROLLOUT_STUCK, "gives up");
    is_int(doc.state, LLM_ROLLOUT_PAUSED, "paused");
    is_int(doc.why, LLM_WHY_INCONCLUSIVE, "why");
    is_int(doc.weight[1], 500, "the weight stays");
    is_int(tick(999, 0, MIN, NOW + 99 * MIN), LLM_ROLLOUT_STAY, "for good");

    is_int(act(LLM_VERB_RESUME, NOW + 100 * MIN), LLM_ACT_DONE, "resumed");
    is_int(doc.state, LLM_ROLLOUT_PROGRESSING, "progressing");
    is_int(doc.step, 0, "at the same step");
    is_int(doc.until, NOW + 110 * MIN, "baking anew");
    is_int(tick(100, 0, MIN, NOW + 109 * MIN), LLM_ROLLOUT_STAY, "bakes");
    is_int(tick(100, 0, MIN, NOW + 110 * MIN), LLM_ROLLOUT_NEXT, "next");

    is_int(tick(500, 1, 0, NOW + 170 * MIN), LLM_ROLLOUT_STUCK,
           "a trigger that stays pending");
    is_int(act(LLM_VERB_PROMOTE, NOW + 171 * MIN), LLM_ACT_DONE, "by hand");
    is_int(doc.weight[1], 5000, "one step on");
    is_int(doc.state, LLM_ROLLOUT_PROGRESSING, "and running");
}


static void
test_steps(void)
{
    uint32_t            some[] = { 7000, 2000, 1000 };
    llm_rollout_conf_t  c;

    /* the first step that is not below what the file gives */

    init(some, 3);
    is_int(act(LLM_VERB_START, NOW), LLM_ACT_DONE, "started at 20 %");
    is_int(doc.salt, 42, "its users stay");
    is_int(doc.step, 1, "25 % is the first");
    is_int(doc.weight[0], 6500, "from the baseline");
    is_int(doc.weight[1], 2500, "to the canary");
    is_int(doc.weight[2], 1000, "not from others");

    is_int(act(LLM_VERB_PROMOTE_FULL, NOW), LLM_ACT_DONE, "to the end");
    is_int(doc.weight[1], 9000, "all that the baseline had");
    is_int(doc.weight[2], 1000, "others keep theirs");
    is_int(doc.state, LLM_ROLLOUT_SOAKING, "soaking");
    is_int(act(LLM_VERB_PROMOTE, NOW), LLM_ACT_DONE, "done");
    is_int(doc.base, 1, "new baseline");
    ok(is_consistent(), "consistent");

    /* steps that end before 100 %: the soak has the rest */

    c = conf;
    c.step_n = 2;
    init(all, 2);
    is_int(act_on(&c, LLM_VERB_START, NOBODY, 0, NOW), LLM_ACT_DONE, "short");
    is_int(act_on(&c, LLM_VERB_PROMOTE, NOBODY, 0, NOW), LLM_ACT_DONE, "25 %");
    is_int(act_on(&c, LLM_VERB_PROMOTE, NOBODY, 0, NOW), LLM_ACT_DONE, "soak");
    is_int(doc.state, LLM_ROLLOUT_SOAKING, "soaks");
    is_int(doc.weight[1], 10000, "with everything");

    init(all, 2);
    is_int(set(4000, 6000, 0, 0, NOW), LLM_ACT_DONE, "60 %");
    is_int(act_on(&c, LLM_VERB_START, NOBODY, 0, NOW), LLM_ACT_AT_END,
           "is beyond the last step");
    is_int(doc.state, LLM_ROLLOUT_NONE, "nothing changed");
    is_int(doc.canary, NOBODY, "nothing at all");

    /* blue and green */

    c = conf;
    c.step_n = 2;
    c.step[0] = 0;
    c.step[1] = 10000;
    init(all, 2);
    is_int(act_on(&c, LLM_VERB_START, NOBODY, 0, NOW), LLM_ACT_DONE, "preview");
    is_int(doc.weight[1], 0, "has no weight");
    is_int(doc.until, 0, "and no end");
    is_int(tick(1000, 0, MIN, NOW + 600 * MIN), LLM_ROLLOUT_STAY, "it waits");
    is_int(llm_rollout_wake(&c, &doc, NOW, NOW + 600 * MIN), 0, "restart, too");
    is_int(act_on(&c, LLM_VERB_PROMOTE, NOBODY, 0, NOW), LLM_ACT_DONE, "flip");
    is_int(doc.weight[1], 10000, "all at once");

    c.canary = NOBODY;
    is_int(act_on(&c, LLM_VERB_START, NOBODY, 0, NOW), LLM_ACT_NO_ROLLOUT,
           "a split without the line");
}


/* What every verb says in every state, and where it leads. */
#define N  LLM_ROLLOUT_NONE
#define P  LLM_ROLLOUT_PROGRESSING
#define H  LLM_ROLLOUT_PAUSED
#define S  LLM_ROLLOUT_SOAKING
#define C  LLM_ROLLOUT_COMPLETED
#define R  LLM_ROLLOUT_ROLLED_BACK

static const struct {
    llm_verb_t  verb;
    struct {
        llm_act_result_t     result;
        llm_rollout_state_t  state;
    } in[6];                            /* N P H S C R */
} table[] = {

    { LLM_VERB_SET,
      { { LLM_ACT_DONE, N }, { LLM_ACT_DONE, H }, { LLM_ACT_DONE, H },
        { LLM_ACT_DONE, H }, { LLM_ACT_DONE, C }, { LLM_ACT_BARRED, R } } },
    { LLM_VERB_START,
      { { LLM_ACT_DONE, P }, { LLM_ACT_SAME, P }, { LLM_ACT_RUNNING, H },
        { LLM_ACT_SAME, S }, { LLM_ACT_IS_BASELINE, C },
        { LLM_ACT_RESTING, R } } },
    { LLM_VERB_PAUSE,
      { { LLM_ACT_NOT_RUNNING, N }, { LLM_ACT_DONE, H }, { LLM_ACT_SAME, H },
        { LLM_ACT_DONE, H }, { LLM_ACT_NOT_RUNNING, C },
        { LLM_ACT_NOT_RUNNING, R } } },
    { LLM_VERB_RESUME,
      { { LLM_ACT_NOT_RUNNING, N }, { LLM_ACT_SAME, P }, { LLM_ACT_DONE, P },
        { LLM_ACT_SAME, S }, { LLM_ACT_NOT_RUNNING, C },
        { LLM_ACT_NOT_RUNNING, R } } },
    { LLM_VERB_PROMOTE,
      { { LLM_ACT_NOT_RUNNING, N }, { LLM_ACT_DONE, P }, { LLM_ACT_DONE, P },
        { LLM_ACT_DONE, C }, { LLM_ACT_AT_END, C },
        { LLM_ACT_NOT_RUNNING, R } } },
    { LLM_VERB_PROMOTE_FULL,
      { { LLM_ACT_NOT_RUNNING, N }, { LLM_ACT_DONE, S }, { LLM_ACT_DONE, S },
        { LLM_ACT_SAME, S }, { LLM_ACT_AT_END, C },
        { LLM_ACT_NOT_RUNNING, R } } },
    { LLM_VERB_ABORT,
      { { LLM_ACT_DONE, R }, { LLM_ACT_DONE, R }, { LLM_ACT_DONE, R },
        { LLM_ACT_DONE, R }, { LLM_ACT_DONE, R }, { LLM_ACT_SAME, R } } },
    { LLM_VERB_SWAP,
      { { LLM_ACT_DONE, N }, { LLM_ACT_RUNNING, P }, { LLM_ACT_RUNNING, H },
        { LLM_ACT_RUNNING, S }, { LLM_ACT_DONE, N }, { LLM_ACT_BARRED, R } } },
    { LLM_VERB_ROLLBACK,
      { { LLM_ACT_DONE, R }, { LLM_ACT_DONE, R }, { LLM_ACT_DONE, R },
        { LLM_ACT_DONE, R }, { LLM_ACT_DONE, R }, { LLM_ACT_SAME, R } } },
    { LLM_VERB_HOLD,
      { { LLM_ACT_NOT_RUNNING, N }, { LLM_ACT_DONE, H }, { LLM_ACT_SAME, H },
        { LLM_ACT_DONE, H }, { LLM_ACT_NOT_RUNNING, C },
        { LLM_ACT_NOT_RUNNING, R } } },
};


static void
reach(uint32_t state)
{
    init(all, 2);

    if (state == N) {
        return;
    }

    (void) act(LLM_VERB_START, NOW);

    switch (state) {
    case H:
        (void) act(LLM_VERB_PAUSE, NOW);
        break;
    case S:
        (void) act(LLM_VERB_PROMOTE_FULL, NOW);
        break;
    case C:
        (void) act(LLM_VERB_PROMOTE_FULL, NOW);
        (void) act(LLM_VERB_PROMOTE, NOW);
        break;
    case R:
        (void) act(LLM_VERB_ABORT, NOW);
        break;
    default:
        break;
    }
}


static void
test_table(void)
{
    char              name[80];
    size_t            i;
    uint32_t          s, version;
    llm_verb_t        verb;
    llm_split_doc_t   was;
    llm_act_result_t  result, want;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {

        for (s = N; s <= R; s++) {
            reach(s);
            is_int(doc.state, s, "the state");

            was = doc;
            verb = table[i].verb;
            want = table[i].in[s].result;
            version = (uint32_t) doc.version;

            snprintf(name, sizeof(name), "%s in %s",
                     llm_verb_name(verb).data,
                     llm_rollout_state_name(s).data);

            result = verb == LLM_VERB_SET ? set(7000, 3000, 0, 0, NOW + 1)
                                          : act(verb, NOW + 1);

            is_int(result, want, name);
            is_int(doc.state, table[i].in[s].state, name);
            is_int(doc.version, version + (result == LLM_ACT_DONE), name);
            ok(is_consistent(), name);

            if (result != LLM_ACT_DONE) {
                ok(memcmp(&was, &doc, sizeof(doc)) == 0, "nothing changed");
            }

            /* a second time: nothing more, or a refusal that says why */

            if (verb == LLM_VERB_SET) {
                result = set(7000, 3000, 0, 0, NOW + 2);

            } else if (verb == LLM_VERB_PROMOTE || verb == LLM_VERB_SWAP) {
                continue;               /* these mean "one more" */

            } else {
                result = act(verb, NOW + 2);
            }

            ok(result == LLM_ACT_SAME || want != LLM_ACT_DONE,
               "the same again");
        }
    }
}


static void
test_abort(void)
{
    uint32_t  three[] = { 6000, 3000, 1000 };

    init(three, 3);
    (void) act(LLM_VERB_START, NOW);
    is_int(doc.weight[1], 5000, "at 50 %");

    is_int(act_on(&conf, LLM_VERB_ABORT, 2, 0, NOW + 1), LLM_ACT_DONE,
           "the third is bad");
    is_int(doc.state, LLM_ROLLOUT_PROGRESSING, "the rollout goes on");
    is_int(doc.weight[0], 5000, "the baseline has its weight");
    ok(llm_rollout_is_barred(&doc, 2), "barred");
    ok(is_consistent(), "consistent");

    is_int(act(LLM_VERB_ABORT, NOW + 2), LLM_ACT_DONE, "the canary is, too");
    is_int(doc.weight[0], 10000, "everything to the baseline");
    is_int(doc.barred, 6, "both are barred");
    is_int(doc.why, LLM_WHY_MANUAL, "by hand");
    is_int(doc.rested, NOW + 2 + 10 * MIN, "rests");
    is_int(tick(1000, 0, MIN, NOW + 90 * MIN), LLM_ROLLOUT_STAY, "stays");

    is_int(act_on(&conf, LLM_VERB_ABORT, 0, 0, NOW), LLM_ACT_VARIANT,
           "not the baseline");
    is_int(act_on(&conf, LLM_VERB_ABORT, 3, 0, NOW), LLM_ACT_VARIANT,
           "nor nobody");

    is_int(set(9000, 1000, 0, 0, NOW + 3), LLM_ACT_BARRED, "a barred weight");
    is_int(set(9000, 0, 1000, 1, NOW + 3), LLM_ACT_DONE, "by force");
    is_int(doc.barred, 2, "lifts this bar alone");
    is_int(set(9000, 900, 0, 1, NOW + 3), LLM_ACT_WEIGHTS, "not whole");

    is_int(act(LLM_VERB_START, NOW + 4), LLM_ACT_RESTING, "too early");
    is_int(act_on(&conf, LLM_VERB_START, NOBODY, 1, NOW + 4), LLM_ACT_DONE,
           "by force");
    is_int(doc.barred, 0, "no bar");

    is_int(act_on(&conf, LLM_VERB_ROLLBACK, 1, 0, NOW + 5), LLM_ACT_DONE,
           "a trigger");
    is_int(doc.why, LLM_WHY_TRIGGER, "is why");
    is_int(act(LLM_VERB_START, doc.rested), LLM_ACT_DONE, "after the rest");

    /* who took over already: back to the first of the file, in one command */

    reach(LLM_ROLLOUT_COMPLETED);
    is_int(act(LLM_VERB_ABORT, NOW + 6), LLM_ACT_DONE, "after the completion");
    is_int(doc.base, 0, "the old baseline is it again");
    is_int(doc.weight[0], 10000, "with everything");
    is_int(doc.barred, 2, "the canary is barred");
    ok(is_consistent(), "consistent");
    is_int(act(LLM_VERB_ABORT, NOW + 7), LLM_ACT_SAME, "once is enough");

    /* who took over has somebody new on trial: that one is meant */

    (void) act_on(&conf, LLM_VERB_SWAP, 1, 1, NOW + 8);
    (void) set(1000, 9000, 0, 0, NOW + 8);
    is_int(act(LLM_VERB_ABORT, NOW + 9), LLM_ACT_DONE, "swapped, then a trial");
    is_int(doc.base, 1, "the new baseline stays");
    is_int(doc.weight[1], 10000, "with everything");

    /* with no rollout at all, file weights alone */

    init(three, 3);
    is_int(act_on(&conf, LLM_VERB_ROLLBACK, 2, 0, NOW), LLM_ACT_DONE,
           "guarded, rollout or not");
    is_int(doc.state, LLM_ROLLOUT_ROLLED_BACK, "rolled back");
    is_int(doc.canary, 2, "that one");
    is_int(doc.weight[0], 7000, "to the baseline");
    is_int(doc.weight[1], 3000, "nobody else's");
}


static void
test_swap(void)
{
    uint32_t  weight[] = { 9000, 1000 }, three[] = { 6000, 3000, 1000 };

    init(weight, 2);
    is_int(act(LLM_VERB_SWAP, NOW), LLM_ACT_DONE, "green becomes blue");
    is_int(doc.weight[0], 1000, "weights");
    is_int(doc.weight[1], 9000, "are exchanged");
    is_int(doc.base, 1, "and the role");
    ok(is_consistent(), "consistent");
    is_int(act(LLM_VERB_SWAP, NOW), LLM_ACT_DONE, "and back");
    is_int(doc.base, 0, "blue");
    is_int(doc.weight[0], 9000, "again");

    init(three, 3);
    is_int(act_on(&conf, LLM_VERB_SWAP, 2, 0, NOW), LLM_ACT_DONE, "with red");
    is_int(doc.base, 2, "red");
    is_int(doc.weight[2], 6000, "has the weight");
    is_int(doc.weight[1], 3000, "green keeps its own");
    is_int(act_on(&conf, LLM_VERB_SWAP, 2, 0, NOW), LLM_ACT_VARIANT, "itself");
    is_int(act_on(&conf, LLM_VERB_SWAP, 3, 0, NOW), LLM_ACT_VARIANT, "nobody");

    (void) act(LLM_VERB_ABORT, NOW);
    is_int(act_on(&conf, LLM_VERB_SWAP, 1, 0, NOW), LLM_ACT_BARRED, "barred");
    is_int(act_on(&conf, LLM_VERB_SWAP, 1, 1, NOW), LLM_ACT_DONE, "by force");
    is_int(doc.base, 1, "green");
    ok(is_consistent(), "consistent");
}


/* Weights by hand in the middle of it. */
static void
test_by_hand(void)
{
    reach(P);
    (void) act(LLM_VERB_PROMOTE, NOW);

    is_int(set(9000, 1000, 0, 0, NOW + 1), LLM_ACT_DONE, "10 % of 25 %");
    is_int(doc.state, LLM_ROLLOUT_PAUSED, "pauses");
    is_int(doc.why, LLM_WHY_MANUAL, "by hand");
    is_int(act(LLM_VERB_RESUME, NOW + 2), LLM_ACT_DONE, "resumed");
    is_int(doc.weight[1], 2500, "at the next step");
    is_int(doc.state, LLM_ROLLOUT_PROGRESSING, "progressing");

    (void) set(9000, 1000, 0, 0, NOW + 3);
    is_int(act(LLM_VERB_PROMOTE, NOW + 4), LLM_ACT_DONE, "promoted");
    is_int(doc.weight[1], 2500, "one step is the next one up");

    (void) act(LLM_VERB_PROMOTE_FULL, NOW + 5);
    (void) act(LLM_VERB_PAUSE, NOW + 6);
    is_int(act(LLM_VERB_RESUME, NOW + 7), LLM_ACT_DONE, "a soak resumes");
    is_int(doc.state, LLM_ROLLOUT_SOAKING, "soaking");
    is_int(doc.until, NOW + 7 + 30 * MIN, "anew");

    (void) act(LLM_VERB_PAUSE, NOW + 8);
    is_int(act(LLM_VERB_PROMOTE, NOW + 9), LLM_ACT_DONE, "a paused soak");
    is_int(doc.state, LLM_ROLLOUT_COMPLETED, "is completed by hand");

    reach(S);
    (void) set(4000, 6000, 0, 0, NOW + 1);
    is_int(act(LLM_VERB_RESUME, NOW + 2), LLM_ACT_DONE, "lowered in the soak");
    is_int(doc.state, LLM_ROLLOUT_PROGRESSING, "is no soak");
    is_int(doc.weight[1], 7500, "but a step");
}


static void
test_wake(void)
{
    reach(P);
    is_int(llm_rollout_wake(&conf, &doc, NOW, NOW + 10 * MIN), 0, "a bake");
    is_int(llm_rollout_wake(&conf, &doc, NOW, NOW + 10 * MIN + 1), 1, "more");
    is_int(doc.state, LLM_ROLLOUT_PAUSED, "pauses");
    is_int(doc.why, LLM_WHY_RESTART, "for that");
    is_int(llm_rollout_wake(&conf, &doc, NOW, NOW + 99 * MIN), 0, "once");

    reach(S);
    is_int(llm_rollout_wake(&conf, &doc, NOW + 99, NOW), 0, "a clock set back");
    is_int(llm_rollout_wake(&conf, &doc, NOW, NOW + 11 * MIN), 1, "a soak");
    is_int(doc.was, LLM_ROLLOUT_SOAKING, "is remembered");

    reach(R);
    is_int(llm_rollout_wake(&conf, &doc, NOW, NOW + 99 * MIN), 0, "at rest");
}


/* Any verbs in any order, ticks between them: nothing breaks, and no weight
 * comes back to who was aborted but by START or force. */
static void
test_random(void)
{
    int         i, bad, back, force;
    uint32_t    barred, x;
    llm_msec_t  now;
    llm_verb_t  verb;

    init(all, 3);
    now = NOW;
    bad = 0;
    back = 0;
    x = 20261121;

    for (i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        now += x >> 8 & 0xfffff;
        barred = doc.barred;
        verb = LLM_VERBS;
        force = (x >> 12 & 15) == 0;

        switch (x >> 28) {

        case 0:
            (void) set(5000, 3000, 2000, force, now);
            break;

        case 1:
        case 2:
        case 3:
            (void) tick(x >> 20 & 255, (x >> 5 & 7) == 0, MIN, now);
            break;

        default:
            verb = (llm_verb_t) (1 + (x >> 16) % (LLM_VERBS - 1));
            (void) act_on(&conf, verb, x >> 4 & 1 ? NOBODY : x >> 10 & 3,
                          force, now);
            break;
        }

        bad += !is_consistent();
        back += (barred & ~doc.barred) && verb != LLM_VERB_START && !force;
    }

    is_int(bad, 0, "always consistent");
    is_int(back, 0, "who is out stays out");
    ok(doc.version > 1000, "with many changes");
}


int
main(void)
{
    test_names();
    test_way();
    test_inconclusive();
    test_steps();
    test_table();
    test_abort();
    test_swap();
    test_by_hand();
    test_wake();
    test_random();

    return tap_done();
}
