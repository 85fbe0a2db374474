/*
 * Several schemas for one value: gathered, and their limits merged.
 */

#include "llm_schema_merge.h"
#include "llm_mock.h"


static llm_rc_t
llm_schema_set_add(llm_schema_set_t *set, const llm_node_t *node)
{
    if (node->never || set->n == LLM_SCHEMA_SET) {
        return LLM_BAD;
    }

    set->node[set->n++] = node;

    return LLM_OK;
}


llm_rc_t
llm_schema_gather(llm_schema_set_t *set, uint64_t *random)
{
    size_t             i, k;
    llm_rc_t           rc;
    const llm_node_t  *node;

    rc = LLM_OK;

    for (i = 0; i < set->n && rc == LLM_OK; i++) {
        node = set->node[i];

        if (node->ref) {
            rc = llm_schema_set_add(set, node->ref);
        }

        for (k = 0; k < node->all.n && rc == LLM_OK; k++) {
            rc = llm_schema_set_add(set, node->all.node[k]);
        }

        if (node->any.n && rc == LLM_OK) {
            k = (size_t) (llm_mock_random(random) % node->any.n);
            rc = llm_schema_set_add(set, node->any.node[k]);
        }

        if (node->one.n && rc == LLM_OK) {
            k = (size_t) (llm_mock_random(random) % node->one.n);
            rc = llm_schema_set_add(set, node->one.node[k]);
        }
    }

    return rc;
}


static void
llm_schema_low(llm_schema_merged_t *m, double d, unsigned open)
{
    if (!m->has_low || d >= m->low) {
        m->open_low = open || (m->has_low && d == m->low && m->open_low);
        m->low = d;
        m->has_low = 1;
    }
}


static void
llm_schema_high(llm_schema_merged_t *m, double d, unsigned open)
{
    if (!m->has_high || d <= m->high) {
        m->open_high = open || (m->has_high && d == m->high && m->open_high);
        m->high = d;
        m->has_high = 1;
    }
}


static void
llm_schema_merge_node(llm_schema_merged_t *m, const llm_node_t *node)
{
    if (node->types) {
        m->types &= node->types;
    }

    if (node->has & LLM_HAS_MINIMUM) {
        llm_schema_low(m, node->minimum, 0);
    }

    if (node->has & LLM_HAS_ABOVE) {
        llm_schema_low(m, node->above, 1);
    }

    if (node->has & LLM_HAS_MAXIMUM) {
        llm_schema_high(m, node->maximum, 0);
    }

    if (node->has & LLM_HAS_BELOW) {
        llm_schema_high(m, node->below, 1);
    }

#define MORE(f)  if (node->f > m->f) { m->f = node->f; }
#define LESS(f)  if (node->f < m->f) { m->f = node->f; }

    MORE(min_length)
    LESS(max_length)
    MORE(min_items)
    LESS(max_items)

#undef MORE
#undef LESS

    if (node->pattern) {
        m->pattern = node;
    }

    if (node->constant) {
        m->constant = node->constant;
    }

    if (node->choice) {
        m->choice = node->choice;
    }

    m->unique |= node->unique;
}


void
llm_schema_merge(const llm_schema_set_t *set, llm_schema_merged_t *m)
{
    size_t  i;

    memset(m, 0, sizeof(llm_schema_merged_t));
    m->types = LLM_T_ANY;
    m->max_length = SIZE_MAX;
    m->max_items = SIZE_MAX;

    for (i = 0; i < set->n; i++) {
        llm_schema_merge_node(m, set->node[i]);
    }
}


unsigned
llm_schema_likely_type(const llm_schema_set_t *set,
    const llm_schema_merged_t *m, int deep)
{
    size_t    i;
    unsigned  wanted;

    static const unsigned  order[] = {
        LLM_T_OBJECT, LLM_T_ARRAY, LLM_T_STRING, LLM_T_INTEGER, LLM_T_NUMBER,
        LLM_T_BOOLEAN, LLM_T_NULL
    };

    wanted = 0;

    for (i = 0; i < set->n; i++) {
        if (set->node[i]->prop_n || set->node[i]->additional
            || set->node[i]->closed)
        {
            wanted |= LLM_T_OBJECT;
        }
        if (set->node[i]->items) {
            wanted |= LLM_T_ARRAY;
        }
    }

    if (m->min_items || m->max_items != SIZE_MAX || m->unique) {
        wanted |= LLM_T_ARRAY;
    }

    if (m->has_low || m->has_high) {
        wanted |= LLM_T_INTEGER | LLM_T_NUMBER;
    }

    if (m->pattern || m->min_length || m->max_length != SIZE_MAX) {
        wanted |= LLM_T_STRING;
    }

    wanted &= m->types;

    if (wanted == 0) {
        wanted = m->types & (LLM_T_STRING | LLM_T_INTEGER | LLM_T_BOOLEAN);
    }

    if (wanted == 0) {
        wanted = m->types;
    }

    if (deep && (m->types & LLM_T_NULL)) {
        return LLM_T_NULL;
    }

    for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (wanted & order[i]) {
            return order[i];
        }
    }

    return 0;
}
