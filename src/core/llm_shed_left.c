/*
 * The level that follows from what providers say is left of their quotas.
 *
 * What is left is known per model and group of keys.  Groups that said nothing
 * yet count as full, since a key that is nearly used up is no reason to refuse
 * anybody while others are not.
 */

#include "llm_shed.h"

#define LLM_SHED_RESET  60000           /* ms, when the provider does not say */
#define LLM_SHED_TOLD   60000           /* ms that its word counts; somebody has
                                           to be let in to hear a newer one */


/* What is left by now: it comes back evenly until all of it is there. */
static uint32_t
llm_shed_left_now(const llm_shed_left_t *l, llm_msec_t now)
{
    if (l->groups == 0 || now >= l->full || now < l->at
        || now - l->at >= LLM_SHED_TOLD)
    {
        return LLM_SHED_ONE;
    }

    return l->left_bp
           + (uint32_t) ((LLM_SHED_ONE - l->left_bp) * (now - l->at)
                         / (l->full - l->at));
}


/* The place of a quota: its own, an empty one, or that heard of longest ago. */
static llm_shed_left_t *
llm_shed_place(llm_shed_t *s, uint64_t model, uint32_t group)
{
    unsigned          i;
    llm_shed_left_t  *l, *oldest;

    oldest = &s->left[0];

    for (i = 0; i < LLM_SHED_LEFT; i++) {
        l = &s->left[i];

        if (l->groups && l->model == model && l->group == group) {
            return l;
        }

        if (l->groups == 0 || (oldest->groups && l->at < oldest->at)) {
            oldest = l;
        }
    }

    return oldest;
}


void
llm_shed_told(llm_shed_t *s, uint64_t model, uint32_t group, uint32_t groups,
    uint32_t left_bp, llm_msec_t reset, llm_msec_t now)
{
    llm_shed_left_t  *l;

    l = llm_shed_place(s, model, group);

    l->model = model;
    l->group = group;
    l->groups = groups ? groups : 1;
    l->left_bp = left_bp < LLM_SHED_ONE ? left_bp : LLM_SHED_ONE;
    l->at = now;
    l->full = now + (reset ? reset : LLM_SHED_RESET);
}


uint32_t
llm_shed_scarcest(const llm_shed_t *s, llm_msec_t now)
{
    unsigned                i, k;
    uint32_t                scarcest;
    uint64_t                used;
    const llm_shed_left_t  *l;

    scarcest = LLM_SHED_ONE;

    for (i = 0; i < LLM_SHED_LEFT; i++) {

        if (s->left[i].groups == 0) {
            continue;
        }

        used = 0;

        for (k = 0; k < LLM_SHED_LEFT; k++) {
            l = &s->left[k];

            if (l->model == s->left[i].model) {
                used += LLM_SHED_ONE - llm_shed_left_now(l, now);
            }
        }

        used /= s->left[i].groups;

        if (used < LLM_SHED_ONE && LLM_SHED_ONE - used < scarcest) {
            scarcest = (uint32_t) (LLM_SHED_ONE - used);

        } else if (used >= LLM_SHED_ONE) {
            scarcest = 0;
        }
    }

    return scarcest;
}


uint32_t
llm_shed_left_level(const llm_shed_conf_t *c, const llm_shed_t *s,
    llm_msec_t now)
{
    uint32_t  left, level;

    if (c->remaining_bp == 0) {
        return 0;
    }

    left = llm_shed_scarcest(s, now);

    if (left >= c->remaining_bp) {
        return 0;
    }

    level = (uint32_t) ((uint64_t) (c->remaining_bp - left) * LLM_SHED_ONE
                        / c->remaining_bp);

    return level < c->max_bp ? level : c->max_bp;
}
