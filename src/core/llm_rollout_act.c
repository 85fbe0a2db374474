/*
 * Verbs: what operators and triggers do to a split's document.
 *
 * Each is a function that either refuses and leaves everything as it was, says
 * that all is as wanted already, or changes the document and its buckets.
 */

#include "llm_rollout_move.h"

#define llm_s(s)  { sizeof(s) - 1, (const unsigned char *) (s) }

typedef llm_act_result_t (*llm_act_pt)(const llm_rollout_conf_t *conf,
    llm_split_doc_t *doc, uint8_t *owner, const llm_act_t *act);


static const llm_str_t  llm_verb_names[LLM_VERBS] = {
    [LLM_VERB_SET] = llm_s("set"),
    [LLM_VERB_START] = llm_s("start"),
    [LLM_VERB_PAUSE] = llm_s("pause"),
    [LLM_VERB_RESUME] = llm_s("resume"),
    [LLM_VERB_PROMOTE] = llm_s("promote"),
    [LLM_VERB_PROMOTE_FULL] = llm_s("promote_full"),
    [LLM_VERB_ABORT] = llm_s("abort"),
    [LLM_VERB_SWAP] = llm_s("swap"),
    [LLM_VERB_ROLLBACK] = llm_s("rollback"),
    [LLM_VERB_HOLD] = llm_s("hold"),
};

static const llm_str_t  llm_act_messages[] = {
    [LLM_ACT_DONE] = llm_s("done"),
    [LLM_ACT_SAME] = llm_s("it is so already"),
    [LLM_ACT_NO_ROLLOUT] =
        llm_s("this split has no \"rollout\" line in the configuration"),
    [LLM_ACT_RUNNING] =
        llm_s("a rollout is running or paused: abort or complete it first"),
    [LLM_ACT_NOT_RUNNING] = llm_s("no rollout is running"),
    [LLM_ACT_RESTING] =
        llm_s("it was rolled back a short while ago: wait, or use force"),
    [LLM_ACT_BARRED] =
        llm_s("a variant with weight was rolled back: start a new rollout, or"
              " use force"),
    [LLM_ACT_IS_BASELINE] = llm_s("this variant is the baseline already"),
    [LLM_ACT_AT_END] = llm_s("this variant is at the end of its steps already"),
    [LLM_ACT_WEIGHTS] = llm_s("the weights do not add up to 100 %"),
    [LLM_ACT_VARIANT] =
        llm_s("name a \"variant\" that is not the baseline, or (abort) none"),
};


llm_str_t
llm_verb_name(llm_verb_t verb)
{
    return (unsigned) verb < LLM_VERBS ? llm_verb_names[verb] : LLM_NOSTR;
}


llm_rc_t
llm_verb_by_name(llm_str_t name, llm_verb_t *verb)
{
    unsigned  i;

    for (i = 0; i < LLM_VERBS; i++) {
        if (llm_str_eq(name, llm_verb_names[i])) {
            *verb = (llm_verb_t) i;
            return LLM_OK;
        }
    }

    return LLM_NONE;
}


llm_str_t
llm_act_message(llm_act_result_t result)
{
    return (unsigned) result <= LLM_ACT_VARIANT ? llm_act_messages[result]
                                                : LLM_NOSTR;
}


/* The first step that does not lower the canary; step_n when it is beyond. */
static uint32_t
llm_rollout_find(const llm_rollout_conf_t *conf, const llm_split_doc_t *doc)
{
    uint32_t  i;

    for (i = 0; i < conf->step_n; i++) {
        if (llm_rollout_reachable(doc, conf->step[i])
            >= doc->weight[doc->canary])
        {
            break;
        }
    }

    return i;
}


static llm_act_result_t
llm_act_set(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    uint32_t  i, barred;

    (void) conf;

    if (act->weight == NULL || !llm_split_is_whole(act->weight, doc->n)) {
        return LLM_ACT_WEIGHTS;
    }

    barred = 0;

    for (i = 0; i < doc->n; i++) {
        if (act->weight[i] && llm_rollout_is_barred(doc, i)) {
            barred |= (uint32_t) 1 << i;
        }
    }

    if (barred && !act->force) {
        return LLM_ACT_BARRED;
    }

    if (memcmp(act->weight, doc->weight, doc->n * sizeof(uint32_t)) == 0) {
        return LLM_ACT_SAME;
    }

    doc->barred &= ~barred;
    doc->weighed = act->now;
    memcpy(doc->weight, act->weight, doc->n * sizeof(uint32_t));

    if (barred) {
        doc->rollout = act->random;     /* another attempt */
    }

    (void) llm_split_reweigh(owner, doc->weight, doc->n, doc->base);

    if (llm_rollout_is_running(doc)) {
        llm_rollout_pause(doc, LLM_WHY_MANUAL, act->now);

    } else if (barred && doc->state == LLM_ROLLOUT_ROLLED_BACK) {
        doc->state = LLM_ROLLOUT_NONE;
        doc->why = LLM_WHY_NONE;
        doc->since = act->now;
    }

    return LLM_ACT_DONE;
}


/* Another number, as random as the first. */
static uint64_t
llm_rollout_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;

    return x ^ (x >> 31);
}


static llm_act_result_t
llm_act_start(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    uint32_t  was, step;

    if (conf->canary == LLM_ROLLOUT_NOBODY || conf->step_n == 0) {
        return LLM_ACT_NO_ROLLOUT;
    }

    if (doc->state == LLM_ROLLOUT_PAUSED) {
        return LLM_ACT_RUNNING;
    }

    if (llm_rollout_is_running(doc)) {
        return LLM_ACT_SAME;
    }

    if (conf->canary >= doc->n) {
        return LLM_ACT_VARIANT;
    }

    if (conf->canary == doc->base) {
        return LLM_ACT_IS_BASELINE;
    }

    if (act->now < doc->rested && !act->force) {
        return LLM_ACT_RESTING;
    }

    was = doc->canary;
    doc->canary = conf->canary;

    step = llm_rollout_find(conf, doc);
    if (step == conf->step_n) {
        doc->canary = was;
        return LLM_ACT_AT_END;
    }

    if (doc->weight[doc->base] == LLM_SPLIT_BUCKETS) {
        doc->salt = llm_rollout_mix(act->random);
    }

    doc->rollout = act->random;
    doc->barred &= ~((uint32_t) 1 << doc->canary);

    llm_rollout_step(conf, doc, owner, step, act->now);

    return LLM_ACT_DONE;
}


static llm_act_result_t
llm_act_pause(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    (void) conf;
    (void) owner;

    if (!llm_rollout_is_running(doc)) {
        return LLM_ACT_NOT_RUNNING;
    }

    if (doc->state == LLM_ROLLOUT_PAUSED) {
        return LLM_ACT_SAME;
    }

    llm_rollout_pause(doc, act->verb == LLM_VERB_HOLD ? LLM_WHY_TRIGGER
                                                      : LLM_WHY_MANUAL,
                      act->now);
    return LLM_ACT_DONE;
}


static llm_act_result_t
llm_act_resume(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    uint32_t  step;

    if (!llm_rollout_is_running(doc)) {
        return LLM_ACT_NOT_RUNNING;
    }

    if (doc->state != LLM_ROLLOUT_PAUSED) {
        return LLM_ACT_SAME;
    }

    /* somebody may have set other weights meanwhile */

    step = doc->was == LLM_ROLLOUT_SOAKING && doc->weight[doc->base] == 0
           ? conf->step_n : llm_rollout_find(conf, doc);

    llm_rollout_step(conf, doc, owner, step, act->now);

    return LLM_ACT_DONE;
}


static llm_act_result_t
llm_act_promote(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    uint32_t  step, state;

    if (doc->state == LLM_ROLLOUT_COMPLETED) {
        return LLM_ACT_AT_END;
    }

    if (!llm_rollout_is_running(doc)) {
        return LLM_ACT_NOT_RUNNING;
    }

    state = doc->state;
    step = doc->step;

    if (state == LLM_ROLLOUT_PAUSED) {
        state = doc->was;
        step = llm_rollout_find(conf, doc);

        if (step < conf->step_n
            && llm_rollout_reachable(doc, conf->step[step])
               > doc->weight[doc->canary])
        {
            /* the weight set by hand is below it */
            llm_rollout_step(conf, doc, owner, step, act->now);
            return LLM_ACT_DONE;
        }
    }

    if (state == LLM_ROLLOUT_SOAKING && doc->weight[doc->base] == 0) {
        llm_rollout_complete(doc, owner, act->now);

    } else {
        llm_rollout_step(conf, doc, owner, step + 1, act->now);
    }

    return LLM_ACT_DONE;
}


static llm_act_result_t
llm_act_promote_full(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    if (doc->state == LLM_ROLLOUT_COMPLETED) {
        return LLM_ACT_AT_END;
    }

    if (!llm_rollout_is_running(doc)) {
        return LLM_ACT_NOT_RUNNING;
    }

    if (doc->state == LLM_ROLLOUT_SOAKING) {
        return LLM_ACT_SAME;
    }

    llm_rollout_step(conf, doc, owner, conf->step_n, act->now);

    return LLM_ACT_DONE;
}


/* Whom an ABORT without a name means, as a bitmap. */
static uint32_t
llm_rollout_suspects(const llm_rollout_conf_t *conf,
    const llm_split_doc_t *doc)
{
    if (llm_rollout_is_running(doc)) {
        return (uint32_t) 1 << doc->canary;
    }

    if (conf->canary < doc->n && conf->canary != doc->base) {
        return (uint32_t) 1 << conf->canary;
    }

    /* it took over, alone: back to the baseline of the file */

    if (doc->base != 0 && doc->weight[doc->base] == LLM_SPLIT_BUCKETS) {
        return (uint32_t) 1 << doc->base;
    }

    return (((uint32_t) 1 << doc->n) - 1) & ~((uint32_t) 1 << doc->base);
}


uint32_t
llm_rollout_heir(const llm_split_doc_t *doc)
{
    uint32_t  i;

    for (i = 0; i < doc->n; i++) {
        if (i != doc->base && !llm_rollout_is_barred(doc, i)) {
            break;
        }
    }

    return i;
}


/* Bars these variants and takes their weights. */
static void
llm_rollout_oust(llm_split_doc_t *doc, uint8_t *owner, uint32_t out,
    llm_msec_t now)
{
    uint32_t    i;
    llm_tomb_t  tomb;

    doc->barred |= out;

    tomb.version = doc->version + 1;
    tomb.rollout = doc->rollout;

    for (i = 0; i < doc->n; i++) {

        if (!(out >> i & 1)) {
            continue;
        }

        tomb.variant = i;
        llm_rollout_entomb(doc, &tomb);

        if (doc->weight[i]) {
            doc->weight[doc->base] += doc->weight[i];
            doc->weight[i] = 0;
            doc->weighed = now;
        }
    }

    (void) llm_split_reweigh(owner, doc->weight, doc->n, doc->base);
}


static llm_act_result_t
llm_act_abort(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    uint32_t  i, out;

    if (act->variant == LLM_ROLLOUT_NOBODY) {
        out = llm_rollout_suspects(conf, doc);

    } else if (act->variant < doc->n && act->variant != doc->base) {
        out = (uint32_t) 1 << act->variant;

    } else {
        return LLM_ACT_VARIANT;
    }

    if ((doc->barred & out) == out) {
        return LLM_ACT_SAME;
    }

    if (out >> doc->base & 1) {
        i = llm_rollout_heir(doc);

        if (i == doc->n) {
            return LLM_ACT_BARRED;
        }

        doc->base = i;
    }

    llm_rollout_oust(doc, owner, out, act->now);

    if (llm_rollout_is_running(doc) && !(out >> doc->canary & 1)) {
        return LLM_ACT_DONE;            /* the rollout of another one */
    }

    if (act->variant != LLM_ROLLOUT_NOBODY) {
        doc->canary = act->variant;
    }

    doc->state = LLM_ROLLOUT_ROLLED_BACK;
    doc->why = act->verb == LLM_VERB_ROLLBACK ? LLM_WHY_TRIGGER
                                              : LLM_WHY_MANUAL;
    doc->since = act->now;
    doc->until = 0;
    doc->rested = act->now + conf->rest;

    return LLM_ACT_DONE;
}


/* With whom the baseline changes places when nobody says it. */
static uint32_t
llm_rollout_other(const llm_rollout_conf_t *conf, const llm_split_doc_t *doc)
{
    if (doc->base != 0) {
        return 0;                       /* the baseline of the file */
    }

    if (conf->canary != LLM_ROLLOUT_NOBODY) {
        return conf->canary;
    }

    return doc->n == 2 ? 1 : LLM_ROLLOUT_NOBODY;
}


static llm_act_result_t
llm_act_swap(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    uint32_t  other, weight;

    if (llm_rollout_is_running(doc)) {
        return LLM_ACT_RUNNING;
    }

    other = act->variant == LLM_ROLLOUT_NOBODY ? llm_rollout_other(conf, doc)
                                               : act->variant;

    if (other >= doc->n || other == doc->base) {
        return LLM_ACT_VARIANT;
    }

    if (llm_rollout_is_barred(doc, other) && !act->force) {
        return LLM_ACT_BARRED;
    }

    weight = doc->weight[other];
    doc->weight[other] = doc->weight[doc->base];
    doc->weight[doc->base] = weight;

    if (llm_rollout_is_barred(doc, other)) {
        doc->rollout = act->random;
    }

    doc->base = other;
    doc->barred &= ~((uint32_t) 1 << other);
    doc->state = LLM_ROLLOUT_NONE;
    doc->why = LLM_WHY_NONE;
    doc->since = act->now;
    doc->weighed = act->now;
    doc->until = 0;

    (void) llm_split_reweigh(owner, doc->weight, doc->n, doc->base);

    return LLM_ACT_DONE;
}


llm_act_result_t
llm_rollout_act(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_act_t *act)
{
    llm_act_result_t  result;

    static const llm_act_pt  acts[LLM_VERBS] = {
        [LLM_VERB_SET] = llm_act_set,
        [LLM_VERB_START] = llm_act_start,
        [LLM_VERB_PAUSE] = llm_act_pause,
        [LLM_VERB_RESUME] = llm_act_resume,
        [LLM_VERB_PROMOTE] = llm_act_promote,
        [LLM_VERB_PROMOTE_FULL] = llm_act_promote_full,
        [LLM_VERB_ABORT] = llm_act_abort,
        [LLM_VERB_SWAP] = llm_act_swap,
        [LLM_VERB_ROLLBACK] = llm_act_abort,
        [LLM_VERB_HOLD] = llm_act_pause,
    };

    result = acts[act->verb](conf, doc, owner, act);

    if (result == LLM_ACT_DONE) {
        llm_rollout_changed(doc, act->now);
    }

    return result;
}
