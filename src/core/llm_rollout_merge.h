/*
 * Documents of one split, made by several nodes that did not hear of each
 * other's: which one they all come to, in whatever order the documents arrive
 * and however often.
 *
 * The greater version is the newer document.  Of two with the same version and
 * other contents the one that exposes fewer users wins, then the smaller hash.
 * Epochs and tombstones add up: the greater epoch, all tombstones.  Then what
 * lies under a tombstone has no weight, whatever the version of the document
 * that gives it some.  Each of the three is a maximum or a union, and the last
 * step depends on nothing but them: so it does not matter who hears what when.
 *
 * Times of a document are not compared: clocks differ.
 */

#ifndef LLM_ROLLOUT_MERGE_H
#define LLM_ROLLOUT_MERGE_H

#include "llm_rollout.h"

#pragma GCC visibility push(hidden)

#define LLM_MERGE_TOOK  1               /* ours is another document now */
#define LLM_MERGE_PUSH  2               /* theirs is not what ours is now */


/*
 * Makes `doc` what both come to.  Both have the same variants in the same
 * order, and weights that are whole.  A combination of LLM_MERGE_, 0 for equal
 * documents.
 */
int llm_rollout_merge(llm_split_doc_t *doc, uint8_t *owner,
    const llm_split_doc_t *other, const uint8_t *other_owner);

/* A number that tells documents apart: of everything but the times. */
uint64_t llm_rollout_tag(const llm_split_doc_t *doc, const uint8_t *owner);

/* Whether users may meet more of a variant that is on trial after this act: it
 * may only be done where all nodes hear of it.  What takes weight away may be
 * done at once, anywhere. */
int llm_act_raises(const llm_act_t *act, const llm_split_doc_t *doc);

#pragma GCC visibility pop

#endif /* LLM_ROLLOUT_MERGE_H */
