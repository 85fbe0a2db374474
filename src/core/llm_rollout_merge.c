/*
 * Several nodes, one document: see llm_rollout_merge.h.
 */

#include "llm_hash.h"
#include "llm_rollout_merge.h"
#include "llm_rollout_move.h"


/* 0 is the least. */
static uint32_t
llm_merge_rank(const llm_split_doc_t *doc)
{
    switch (doc->state) {

    case LLM_ROLLOUT_ROLLED_BACK:
        return 0;

    case LLM_ROLLOUT_PAUSED:
        return 1;

    default:
        return 2;
    }
}


/* What users meet of the canary; without one, of all but the baseline. */
static uint32_t
llm_merge_exposure(const llm_split_doc_t *doc)
{
    if (doc->canary < doc->n) {
        return doc->weight[doc->canary];
    }

    return LLM_SPLIT_BUCKETS - doc->weight[doc->base];
}


static uint64_t
llm_merge_fold(uint64_t h, const uint64_t *word, size_t n)
{
    return llm_fnv64((llm_str_t) { n * sizeof(uint64_t),
                                   (const unsigned char *) word }, h);
}


/* Runs of buckets with one owner. */
static uint64_t
llm_merge_owners(const uint8_t *owner)
{
    uint32_t  i, k;
    uint64_t  h, word[2];

    h = 0;

    for (i = 0; i < LLM_SPLIT_BUCKETS; i = k) {
        for (k = i + 1; k < LLM_SPLIT_BUCKETS && owner[k] == owner[i]; k++) {
            /* void */
        }

        word[0] = k;
        word[1] = owner[i];
        h = llm_merge_fold(h, word, 2);
    }

    return h;
}


static uint64_t
llm_merge_hash(const llm_split_doc_t *doc, const uint8_t *owner)
{
    uint32_t  i;
    uint64_t  h, word[10];

    h = llm_merge_owners(owner);

    for (i = 0; i < doc->n; i++) {
        word[0] = doc->weight[i];
        h = llm_merge_fold(h, word, 1);
    }

    word[0] = doc->n;
    word[1] = doc->barred;
    word[2] = doc->salt;
    word[3] = doc->rollout;
    word[4] = doc->state;
    word[5] = doc->why;
    word[6] = doc->step;
    word[7] = doc->was;
    word[8] = doc->base;
    word[9] = doc->canary;

    return llm_merge_fold(h, word, 10);
}


/* Whether the other one is to be taken; equal ones are not. */
static int
llm_merge_is_newer(const llm_split_doc_t *doc, const uint8_t *owner,
    const llm_split_doc_t *other, const uint8_t *other_owner)
{
    if (doc->version != other->version) {
        return other->version > doc->version;
    }

    if (llm_merge_rank(doc) != llm_merge_rank(other)) {
        return llm_merge_rank(other) < llm_merge_rank(doc);
    }

    if (llm_merge_exposure(doc) != llm_merge_exposure(other)) {
        return llm_merge_exposure(other) < llm_merge_exposure(doc);
    }

    return llm_merge_hash(other, other_owner)
           < llm_merge_hash(doc, owner);
}


/* As an abort: the weight goes to the baseline. */
static void
llm_merge_bury(llm_split_doc_t *doc, uint8_t *owner, uint32_t variant)
{
    uint32_t  heir;

    if (variant == doc->base) {
        heir = llm_rollout_heir(doc);

        if (heir == doc->n) {
            return;                     /* somebody must answer */
        }

        doc->base = heir;
    }

    doc->barred |= (uint32_t) 1 << variant;

    doc->weight[doc->base] += doc->weight[variant];
    doc->weight[variant] = 0;

    (void) llm_split_reweigh(owner, doc->weight, doc->n, doc->base);

    if (llm_rollout_is_running(doc) && doc->canary != variant) {
        return;
    }

    doc->canary = variant;
    doc->state = LLM_ROLLOUT_ROLLED_BACK;
    doc->why = LLM_WHY_MANUAL;
    doc->until = 0;
}


static void
llm_merge_settle(llm_split_doc_t *doc, uint8_t *owner)
{
    uint32_t           i;
    const llm_tomb_t  *tomb;

    for (i = 0; i < LLM_ROLLOUT_TOMBS; i++) {
        tomb = &doc->tomb[i];

        if (tomb->version && tomb->rollout == doc->rollout
            && tomb->variant < doc->n
            && !llm_rollout_is_barred(doc, tomb->variant))
        {
            llm_merge_bury(doc, owner, tomb->variant);
        }
    }
}


static int
llm_tomb_is_older(const llm_tomb_t *a, const llm_tomb_t *b)
{
    if (a->version != b->version) {
        return a->version < b->version;
    }

    if (a->rollout != b->rollout) {
        return a->rollout < b->rollout;
    }

    return a->variant < b->variant;
}


void
llm_rollout_entomb(llm_split_doc_t *doc, const llm_tomb_t *tomb)
{
    uint32_t     i, k;
    llm_tomb_t  *t;

    t = doc->tomb;

    /* the same abort twice: of two versions the greater */

    for (i = 0; i < LLM_ROLLOUT_TOMBS && t[i].version; i++) {

        if (t[i].rollout != tomb->rollout || t[i].variant != tomb->variant) {
            continue;
        }

        if (!llm_tomb_is_older(&t[i], tomb)) {
            return;
        }

        for ( /* void */ ; i < LLM_ROLLOUT_TOMBS - 1; i++) {
            t[i] = t[i + 1];
        }

        memset(&t[i], 0, sizeof(llm_tomb_t));
        break;
    }

    for (i = 0; i < LLM_ROLLOUT_TOMBS; i++) {
        if (llm_tomb_is_older(&t[i], tomb)) {
            break;
        }
    }

    for (k = LLM_ROLLOUT_TOMBS - 1; i < LLM_ROLLOUT_TOMBS && k > i; k--) {
        t[k] = t[k - 1];
    }

    if (i < LLM_ROLLOUT_TOMBS) {
        t[i] = *tomb;
    }
}


int
llm_rollout_merge(llm_split_doc_t *doc, uint8_t *owner,
    const llm_split_doc_t *other, const uint8_t *other_owner)
{
    int              result;
    uint32_t         i;
    uint64_t         ours, theirs, tag, epoch;
    llm_split_doc_t  was;

    ours = llm_rollout_tag(doc, owner);
    theirs = llm_rollout_tag(other, other_owner);
    epoch = doc->epoch > other->epoch ? doc->epoch : other->epoch;
    was = *doc;

    if (llm_merge_is_newer(doc, owner, other, other_owner)) {
        *doc = *other;
        memcpy(owner, other_owner, LLM_SPLIT_BUCKETS);
        other = &was;
    }

    doc->epoch = epoch;

    for (i = 0; i < LLM_ROLLOUT_TOMBS; i++) {
        if (other->tomb[i].version) {
            llm_rollout_entomb(doc, &other->tomb[i]);
        }
    }

    llm_merge_settle(doc, owner);

    tag = llm_rollout_tag(doc, owner);
    result = 0;

    if (tag != ours) {
        result |= LLM_MERGE_TOOK;
    }

    if (tag != theirs) {
        result |= LLM_MERGE_PUSH;
    }

    return result;
}


uint64_t
llm_rollout_tag(const llm_split_doc_t *doc, const uint8_t *owner)
{
    uint32_t  i;
    uint64_t  h, word[3];

    h = llm_merge_hash(doc, owner);

    word[0] = doc->epoch;
    word[1] = doc->version;
    h = llm_merge_fold(h, word, 2);

    for (i = 0; i < LLM_ROLLOUT_TOMBS && doc->tomb[i].version; i++) {
        word[0] = doc->tomb[i].version;
        word[1] = doc->tomb[i].rollout;
        word[2] = doc->tomb[i].variant;
        h = llm_merge_fold(h, word, 3);
    }

    return h;
}


int
llm_act_raises(const llm_act_t *act, const llm_split_doc_t *doc)
{
    uint32_t  i;

    switch (act->verb) {

    case LLM_VERB_PAUSE:
    case LLM_VERB_HOLD:
    case LLM_VERB_ABORT:
    case LLM_VERB_ROLLBACK:
        return 0;

    case LLM_VERB_SET:
        for (i = 0; act->weight && i < doc->n; i++) {
            if (i != doc->base && act->weight[i] > doc->weight[i]) {
                return 1;
            }
        }

        return 0;

    default:
        return 1;
    }
}
