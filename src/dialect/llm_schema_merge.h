/*
 * Several schemas for one value: gathered, and their limits merged.  Used to
 * write examples; private to the schema files.
 */

#ifndef LLM_SCHEMA_MERGE_H
#define LLM_SCHEMA_MERGE_H

#include "llm_schema_node.h"

#pragma GCC visibility push(hidden)

#define LLM_SCHEMA_SET  32              /* schemas of one value */

typedef struct {
    const llm_node_t  *node[LLM_SCHEMA_SET];
    size_t             n;
} llm_schema_set_t;

/* The limits of all nodes of a set together. */
typedef struct {
    unsigned           types;
    double             low, high;
    unsigned           has_low, has_high, open_low, open_high;
    size_t             min_length, max_length, min_items, max_items;
    const llm_node_t  *pattern;
    const cJSON       *constant, *choice;
    unsigned           unique;
} llm_schema_merged_t;

/* Adds to a set what its nodes bring along: references, allOf, and a random
 * branch of anyOf and oneOf.  LLM_OK, LLM_BAD (too many, or one is false). */
llm_rc_t llm_schema_gather(llm_schema_set_t *set, uint64_t *random);

/* The limits of all nodes of a set together. */
void llm_schema_merge(const llm_schema_set_t *set, llm_schema_merged_t *m);

/* The one type (an LLM_T_… bit) that the keywords of a set suggest when
 * several are allowed; deep: rather null.  0: no type is allowed. */
unsigned llm_schema_likely_type(const llm_schema_set_t *set,
    const llm_schema_merged_t *m, int deep);

#pragma GCC visibility pop

#endif /* LLM_SCHEMA_MERGE_H */
