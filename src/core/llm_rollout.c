/*
 * Rollouts: the document's beginning, what time does to it, and the words for
 * its states.  What people and triggers do to it is in llm_rollout_act.c.
 */

#include "llm_rollout_move.h"

#define llm_s(s)  { sizeof(s) - 1, (const unsigned char *) (s) }


static const llm_str_t  llm_rollout_states[] = {
    [LLM_ROLLOUT_NONE] = llm_s("none"),
    [LLM_ROLLOUT_PROGRESSING] = llm_s("progressing"),
    [LLM_ROLLOUT_PAUSED] = llm_s("paused"),
    [LLM_ROLLOUT_SOAKING] = llm_s("soaking"),
    [LLM_ROLLOUT_COMPLETED] = llm_s("completed"),
    [LLM_ROLLOUT_ROLLED_BACK] = llm_s("rolled_back"),
};

static const llm_str_t  llm_rollout_whys[] = {
    [LLM_WHY_NONE] = llm_s("none"),
    [LLM_WHY_MANUAL] = llm_s("manual"),
    [LLM_WHY_INCONCLUSIVE] = llm_s("inconclusive"),
    [LLM_WHY_TRIGGER] = llm_s("trigger"),
    [LLM_WHY_RESTART] = llm_s("restart"),
};


llm_str_t
llm_rollout_state_name(uint32_t state)
{
    return state <= LLM_ROLLOUT_ROLLED_BACK ? llm_rollout_states[state]
                                            : LLM_NOSTR;
}


llm_str_t
llm_rollout_why_name(uint32_t why)
{
    return why <= LLM_WHY_RESTART ? llm_rollout_whys[why] : LLM_NOSTR;
}


void
llm_rollout_init(llm_split_doc_t *doc, uint8_t *owner, const uint32_t *weight,
    uint32_t n, uint64_t salt, llm_msec_t now)
{
    memset(doc, 0, sizeof(llm_split_doc_t));

    doc->version = 1;
    doc->epoch = 1;
    doc->salt = salt;
    doc->n = n;
    doc->canary = LLM_ROLLOUT_NOBODY;
    doc->since = now;
    doc->weighed = now;
    doc->updated = now;

    memcpy(doc->weight, weight, n * sizeof(uint32_t));

    llm_split_fill(owner, doc->weight, n, doc->base);
}


void
llm_rollout_changed(llm_split_doc_t *doc, llm_msec_t now)
{
    doc->version++;
    doc->updated = now;
}


int
llm_rollout_is_running(const llm_split_doc_t *doc)
{
    return doc->state == LLM_ROLLOUT_PROGRESSING
           || doc->state == LLM_ROLLOUT_PAUSED
           || doc->state == LLM_ROLLOUT_SOAKING;
}


uint32_t
llm_rollout_reachable(const llm_split_doc_t *doc, uint32_t weight)
{
    uint32_t  most;

    most = doc->weight[doc->canary] + doc->weight[doc->base];

    return weight < most ? weight : most;
}


void
llm_rollout_weigh(llm_split_doc_t *doc, uint8_t *owner, uint32_t weight,
    llm_msec_t now)
{
    uint32_t  most;

    weight = llm_rollout_reachable(doc, weight);

    if (weight == doc->weight[doc->canary]) {
        return;
    }

    most = doc->weight[doc->canary] + doc->weight[doc->base];

    doc->weight[doc->canary] = weight;
    doc->weight[doc->base] = most - weight;
    doc->weighed = now;

    (void) llm_split_reweigh(owner, doc->weight, doc->n, doc->base);
}


void
llm_rollout_step(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, uint32_t step, llm_msec_t now)
{
    doc->why = LLM_WHY_NONE;
    doc->since = now;

    if (step >= conf->step_n) {
        doc->state = LLM_ROLLOUT_SOAKING;
        doc->step = conf->step_n;
        doc->until = now + conf->soak;

        llm_rollout_weigh(doc, owner, LLM_SPLIT_BUCKETS, now);
        return;
    }

    doc->state = LLM_ROLLOUT_PROGRESSING;
    doc->step = step;
    doc->until = conf->step[step] ? now + conf->bake : 0;

    llm_rollout_weigh(doc, owner, conf->step[step], now);
}


void
llm_rollout_complete(llm_split_doc_t *doc, uint8_t *owner, llm_msec_t now)
{
    llm_rollout_weigh(doc, owner, LLM_SPLIT_BUCKETS, now);

    doc->base = doc->canary;
    doc->state = LLM_ROLLOUT_COMPLETED;
    doc->why = LLM_WHY_NONE;
    doc->since = now;
    doc->until = 0;
}


void
llm_rollout_pause(llm_split_doc_t *doc, llm_rollout_why_t why, llm_msec_t now)
{
    if (doc->state != LLM_ROLLOUT_PAUSED) {
        doc->was = doc->state;
        doc->state = LLM_ROLLOUT_PAUSED;
        doc->since = now;
    }

    doc->why = why;
    doc->until = 0;
}


/* How long a stage may take before nobody believes in it any more. */
static llm_msec_t
llm_rollout_patience(const llm_rollout_conf_t *conf, const llm_split_doc_t *doc)
{
    if (conf->max_bake == 0) {
        return LLM_NEVER;
    }

    if (doc->state == LLM_ROLLOUT_SOAKING && conf->soak > conf->max_bake) {
        return conf->soak;
    }

    return conf->max_bake;
}


llm_rollout_move_t
llm_rollout_tick(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, const llm_rollout_in_t *in)
{
    llm_rollout_move_t  move;

    if ((doc->state != LLM_ROLLOUT_PROGRESSING
         && doc->state != LLM_ROLLOUT_SOAKING)
        || doc->until == 0
        || in->now < doc->until)
    {
        return LLM_ROLLOUT_STAY;
    }

    if (in->samples < conf->min_samples || in->pending
        || in->clear < in->clear_min)
    {
        if (in->now - doc->since < llm_rollout_patience(conf, doc)) {
            return LLM_ROLLOUT_STAY;
        }

        llm_rollout_pause(doc, LLM_WHY_INCONCLUSIVE, in->now);
        llm_rollout_changed(doc, in->now);

        return LLM_ROLLOUT_STUCK;
    }

    if (doc->state == LLM_ROLLOUT_SOAKING) {
        llm_rollout_complete(doc, owner, in->now);
        move = LLM_ROLLOUT_DONE;

    } else {
        llm_rollout_step(conf, doc, owner, doc->step + 1, in->now);
        move = doc->state == LLM_ROLLOUT_SOAKING ? LLM_ROLLOUT_SOAK
                                                 : LLM_ROLLOUT_NEXT;
    }

    llm_rollout_changed(doc, in->now);

    return move;
}


int
llm_rollout_wake(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    llm_msec_t last_seen, llm_msec_t now)
{
    if ((doc->state != LLM_ROLLOUT_PROGRESSING
         && doc->state != LLM_ROLLOUT_SOAKING)
        || doc->until == 0
        || now <= last_seen
        || now - last_seen <= conf->bake)
    {
        return 0;
    }

    llm_rollout_pause(doc, LLM_WHY_RESTART, now);
    llm_rollout_changed(doc, now);

    return 1;
}


void
llm_rollout_shift(llm_split_doc_t *doc, int64_t ms)
{
    doc->since += (uint64_t) ms;
    doc->weighed += (uint64_t) ms;
    doc->updated += (uint64_t) ms;

    if (doc->until) {
        doc->until += (uint64_t) ms;
    }

    if (doc->rested) {
        doc->rested += (uint64_t) ms;
    }
}


int
llm_rollout_heal(llm_split_doc_t *doc, uint8_t *owner, llm_msec_t now)
{
    int       torn;
    uint32_t  i, left;

    torn = 0;
    left = LLM_SPLIT_BUCKETS;

    for (i = 0; i < doc->n; i++) {
        if (i == doc->base) {
            continue;
        }

        if (doc->weight[i] > left
            || (doc->weight[i] && llm_rollout_is_barred(doc, i)))
        {
            doc->weight[i] = 0;
            torn = 1;
        }

        left -= doc->weight[i];
    }

    torn |= (doc->weight[doc->base] != left);
    doc->weight[doc->base] = left;

    torn |= (llm_split_reweigh(owner, doc->weight, doc->n, doc->base) != 0);

    if (llm_rollout_is_running(doc) && llm_rollout_is_barred(doc, doc->canary))
    {
        doc->state = LLM_ROLLOUT_ROLLED_BACK;
        doc->why = LLM_WHY_MANUAL;
        doc->since = now;
        doc->until = 0;
        torn = 1;
    }

    if (torn) {
        doc->weighed = now;
        llm_rollout_changed(doc, now);
    }

    return torn;
}
