/*
 * Two JSON answers to one question: how many of their members say the same.
 */

#ifndef LLM_COMPARE_H
#define LLM_COMPARE_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_COMPARE_MEMBERS  128        /* of one object */


/*
 * Compares the top-level members of two objects: *members is how many names
 * they have together, *equal how many of these have the same value in both.
 * Values are the same whatever their spacing, the order of their members, their
 * escapes and the way their numbers are written.  `scratch` is as long as the
 * longer text.  LLM_OK; LLM_BAD (not JSON), LLM_NONE (no objects), LLM_FULL
 * (too many members).
 */
llm_rc_t llm_compare(llm_str_t a, llm_str_t b, unsigned char *scratch,
    size_t size, uint32_t *members, uint32_t *equal);

#pragma GCC visibility pop

#endif /* LLM_COMPARE_H */
