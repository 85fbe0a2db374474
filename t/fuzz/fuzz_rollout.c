/*
 * Any order of verbs, ticks and restarts leaves a split whole: its weights add
 * up, its table of buckets follows them, nobody who is barred has weight, and
 * a refusal changes nothing.
 *
 * The input is the rollout as the file has it, then four bytes for each thing
 * that happens.
 */

#include <stdlib.h>

#include "llm_rollout.h"

#define MUST(condition)  if (!(condition)) abort()
#define NOW   1795168800000ULL
#define HEAD  8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t  owner[LLM_SPLIT_BUCKETS];


static void
check_whole(const llm_split_doc_t *doc)
{
    uint32_t  i, have[256];

    MUST(llm_split_is_whole(doc->weight, doc->n));
    MUST(doc->base < doc->n && !llm_rollout_is_barred(doc, doc->base));
    MUST(llm_rollout_state_name(doc->state).len);
    MUST(llm_rollout_why_name(doc->why).len);

    memset(have, 0, sizeof(have));

    for (i = 0; i < LLM_SPLIT_BUCKETS; i++) {
        have[owner[i]]++;
    }

    for (i = 0; i < doc->n; i++) {
        MUST(have[i] == doc->weight[i]);
        MUST(doc->weight[i] == 0 || !llm_rollout_is_barred(doc, i));
    }

    switch (doc->state) {

    case LLM_ROLLOUT_PROGRESSING:
    case LLM_ROLLOUT_PAUSED:
    case LLM_ROLLOUT_SOAKING:
        MUST(doc->canary < doc->n && doc->canary != doc->base);
        MUST(!llm_rollout_is_barred(doc, doc->canary));
        break;

    case LLM_ROLLOUT_COMPLETED:
        MUST(doc->canary == doc->base);
        break;

    default:
        break;
    }
}


static void
do_verb(const llm_rollout_conf_t *conf, llm_split_doc_t *doc, const uint8_t *p,
    llm_msec_t now)
{
    uint32_t          i, left, weight[LLM_SPLIT_VARIANTS];
    llm_act_t         act;
    llm_split_doc_t   was;
    llm_act_result_t  result;

    static uint8_t    table[LLM_SPLIT_BUCKETS];

    left = LLM_SPLIT_BUCKETS;

    for (i = 0; i < doc->n; i++) {
        weight[i] = i + 1 < doc->n ? (p[1] * 40u * (i + 1)) % (left + 1) : left;
        left -= weight[i];
    }

    act.verb = (llm_verb_t) (p[0] % LLM_VERBS);
    act.weight = weight;
    act.variant = p[2] & 16 ? LLM_ROLLOUT_NOBODY : p[2] & 15;
    act.force = p[2] >> 7;
    act.random = 1 + p[3];
    act.now = now;

    was = *doc;
    memcpy(table, owner, sizeof(table));

    result = llm_rollout_act(conf, doc, owner, &act);
    MUST(llm_act_message(result).len);

    if (result == LLM_ACT_DONE) {
        MUST(doc->version == was.version + 1 && doc->updated == now);

    } else {
        MUST(memcmp(&was, doc, sizeof(was)) == 0);
        MUST(memcmp(table, owner, sizeof(table)) == 0);
    }

    if (act.verb == LLM_VERB_ABORT && result == LLM_ACT_DONE
        && act.variant != LLM_ROLLOUT_NOBODY)
    {
        MUST(llm_rollout_is_barred(doc, act.variant));
    }
}


static void
do_tick(const llm_rollout_conf_t *conf, llm_split_doc_t *doc, const uint8_t *p,
    llm_msec_t now)
{
    uint64_t            version;
    llm_rollout_in_t    in;
    llm_rollout_move_t  move;

    in.samples = p[1];
    in.pending = p[2] & 1;
    in.clear = p[3] * 10u;
    in.clear_min = 100;
    in.now = now;

    version = doc->version;
    move = llm_rollout_tick(conf, doc, owner, &in);

    MUST(doc->version == version + (move != LLM_ROLLOUT_STAY));
    MUST(move != LLM_ROLLOUT_DONE || doc->state == LLM_ROLLOUT_COMPLETED);
    MUST(move != LLM_ROLLOUT_SOAK || doc->state == LLM_ROLLOUT_SOAKING);
    MUST(move != LLM_ROLLOUT_STUCK || doc->why == LLM_WHY_INCONCLUSIVE);
    MUST(move != LLM_ROLLOUT_NEXT || doc->state == LLM_ROLLOUT_PROGRESSING);
}


static void
read_conf(const uint8_t *p, llm_rollout_conf_t *conf)
{
    uint32_t  i, step;

    memset(conf, 0, sizeof(llm_rollout_conf_t));

    conf->canary = p[1] & 16 ? LLM_ROLLOUT_NOBODY : p[1] & 15;
    conf->step_n = p[2] % (LLM_ROLLOUT_STEPS + 1);
    conf->min_samples = p[4];
    conf->bake = 1 + p[5];
    conf->max_bake = p[6] * 4u;
    conf->soak = p[7];
    conf->rest = p[7] * 2u;

    for (i = 0, step = p[3] & 1 ? 0 : 1; i < conf->step_n; i++) {
        conf->step[i] = step;
        step += 1 + p[3] * 2u;
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t            n, weight[LLM_SPLIT_VARIANTS];
    llm_msec_t          now;
    const uint8_t      *p, *last;
    llm_split_doc_t     doc;
    llm_rollout_conf_t  conf;

    if (size < HEAD) {
        return 0;
    }

    n = 1 + data[0] % LLM_SPLIT_VARIANTS;
    memset(weight, 0, sizeof(weight));
    weight[n - 1] = data[0];
    weight[0] += LLM_SPLIT_BUCKETS - data[0];

    read_conf(data, &conf);

    now = NOW;
    llm_rollout_init(&doc, owner, weight, n, 7, now);
    check_whole(&doc);

    last = data + size;

    for (p = data + HEAD; last - p >= 4; p += 4) {

        switch (p[0] >> 6) {

        case 0:
        case 1:
            do_verb(&conf, &doc, p, now);
            break;

        case 2:
            now += p[0] & 63;
            do_tick(&conf, &doc, p, now);
            break;

        default:
            (void) llm_rollout_wake(&conf, &doc, now, now + p[1]);
            now += p[1];
        }

        check_whole(&doc);
    }

    return 0;
}
