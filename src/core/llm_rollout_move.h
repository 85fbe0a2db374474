/*
 * The moves of a rollout that its tick (llm_rollout.c) and the verbs
 * (llm_rollout_act.c) have in common, and what llm_rollout_merge.c knows of
 * them.  Nobody else includes it.
 *
 * None of them counts the version up: llm_rollout_changed() does, once for a
 * change.  doc->canary and doc->base are two variants.
 */

#ifndef LLM_ROLLOUT_MOVE_H
#define LLM_ROLLOUT_MOVE_H

#include "llm_rollout.h"

#pragma GCC visibility push(hidden)

void llm_rollout_changed(llm_split_doc_t *doc, llm_msec_t now);

/* Progressing, paused or soaking. */
int llm_rollout_is_running(const llm_split_doc_t *doc);

/* As much of a weight as the canary can get from the baseline: the other
 * variants keep theirs. */
uint32_t llm_rollout_reachable(const llm_split_doc_t *doc, uint32_t weight);

/* Gives the canary that weight, from the baseline's or to it. */
void llm_rollout_weigh(llm_split_doc_t *doc, uint8_t *owner, uint32_t weight,
    llm_msec_t now);

/* Begins a step; the one behind the last is the soak, with all the weight. */
void llm_rollout_step(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    uint8_t *owner, uint32_t step, llm_msec_t now);

/* The canary becomes the baseline. */
void llm_rollout_complete(llm_split_doc_t *doc, uint8_t *owner,
    llm_msec_t now);

void llm_rollout_pause(llm_split_doc_t *doc, llm_rollout_why_t why,
    llm_msec_t now);

/* Who becomes the baseline when it is aborted itself; n: nobody is left. */
uint32_t llm_rollout_heir(const llm_split_doc_t *doc);

#pragma GCC visibility pop

#endif /* LLM_ROLLOUT_MOVE_H */
