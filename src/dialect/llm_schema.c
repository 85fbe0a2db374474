/*
 * The schema compiler: a documented subset of JSON Schema 2020-12.
 *
 * References are resolved once, and one that leads to itself without going a
 * level down in the value is refused: it could never be decided.
 */

#include <stdlib.h>

#include "llm_schema_node.h"

#define LLM_SCHEMA_NODES_MAX    4096
#define LLM_SCHEMA_MATCH_LIMIT  100000  /* steps of one pattern match */
#define LLM_SCHEMA_HEAP_LIMIT   4096    /* KiB of one pattern match */


llm_node_t *
llm_schema_node(llm_compile_t *c, const cJSON *source, const llm_path_t *at)
{
    llm_node_t   *node;
    const cJSON  *item;

    if (c->node_n++ == LLM_SCHEMA_NODES_MAX) {
        llm_schema_say(c->err, c->err_size, at, "one schema too many", NULL);
        return NULL;
    }

    node = calloc(1, sizeof(llm_node_t));
    if (node == NULL) {
        llm_schema_say(c->err, c->err_size, at, "no memory", NULL);
        return NULL;
    }

    node->next = c->schema->nodes;
    c->schema->nodes = node;
    node->max_length = SIZE_MAX;
    node->max_items = SIZE_MAX;

    if (cJSON_IsBool(source)) {
        node->never = cJSON_IsFalse(source) ? 1 : 0;
        return node;
    }

    if (!cJSON_IsObject(source)) {
        llm_schema_say(c->err, c->err_size, at, "is not a schema", NULL);
        return NULL;
    }

    cJSON_ArrayForEach(item, source) {
        if (llm_schema_keyword(c, node, item, at) != LLM_OK) {
            return NULL;
        }
    }

    return node;
}


/* Whether the rest of a reference spells this name (~0 and ~1 are ~ and /). */
static int
llm_schema_ref_is(const char *ref, const char *name)
{
    while (*ref && *name) {

        if (*ref == '~' && (ref[1] == '0' || ref[1] == '1')) {
            if (*name != (ref[1] == '0' ? '~' : '/')) {
                return 0;
            }
            ref++;

        } else if (*ref != *name) {
            return 0;
        }

        ref++;
        name++;
    }

    return *ref == *name;
}


static llm_rc_t
llm_schema_resolve(llm_compile_t *c)
{
    size_t        i;
    llm_node_t   *node;
    const char   *ref;

    static const char  prefix[] = "#/$defs/";

    for (node = c->schema->nodes; node; node = node->next) {
        ref = node->ref_name;

        if (ref == NULL) {
            continue;
        }

        if (strcmp(ref, "#") == 0) {
            node->ref = c->schema->root;
        }

        if (strncmp(ref, prefix, sizeof(prefix) - 1) == 0) {
            ref += sizeof(prefix) - 1;

            for (i = 0; i < c->schema->defs_n; i++) {
                if (llm_schema_ref_is(ref, c->schema->defs[i].name)) {
                    node->ref = c->schema->defs[i].node;
                }
            }
        }

        if (node->ref == NULL) {
            llm_schema_say(c->err, c->err_size, NULL,
                           "$ref to something that is not in $defs",
                           node->ref_name);
            return LLM_BAD;
        }
    }

    return LLM_OK;
}


/*
 * Depth-first through the keywords that look at the same value again; meeting a
 * node that is still being visited is a loop.
 */
static int
llm_schema_loops(llm_node_t *node)
{
    int                 found;
    size_t              i, k;
    const llm_nodes_t  *list;

    if (node == NULL || node->color == 2) {
        return 0;
    }

    if (node->color == 1) {
        return 1;
    }

    node->color = 1;
    found = llm_schema_loops(node->ref) || llm_schema_loops(node->not);

    for (k = 0; k < 3 && !found; k++) {
        list = k == 0 ? &node->any : k == 1 ? &node->all : &node->one;

        for (i = 0; i < list->n && !found; i++) {
            found = llm_schema_loops(list->node[i]);
        }
    }

    node->color = 2;

    return found;
}


static llm_rc_t
llm_schema_finish(llm_compile_t *c)
{
    llm_node_t    *node;
    llm_schema_t  *schema;

    schema = c->schema;

    if (llm_schema_resolve(c) != LLM_OK) {
        return LLM_BAD;
    }

    for (node = schema->nodes; node; node = node->next) {
        if (llm_schema_loops(node)) {
            llm_schema_say(c->err, c->err_size, NULL,
                           "$ref leads back to itself", node->ref_name);
            return LLM_BAD;
        }
    }

    schema->limits = pcre2_match_context_create(NULL);
    if (schema->limits == NULL) {
        llm_schema_say(c->err, c->err_size, NULL, "no memory", NULL);
        return LLM_BAD;
    }

    pcre2_set_match_limit(schema->limits, LLM_SCHEMA_MATCH_LIMIT);
    pcre2_set_heap_limit(schema->limits, LLM_SCHEMA_HEAP_LIMIT);

    return LLM_OK;
}


llm_rc_t
llm_schema_compile(llm_str_t text, llm_schema_t **schema, char *err,
    size_t err_size)
{
    llm_path_t     root;
    llm_schema_t  *s;
    llm_compile_t  c;

    s = calloc(1, sizeof(llm_schema_t));
    if (s == NULL) {
        llm_schema_say(err, err_size, NULL, "no memory", NULL);
        return LLM_BAD;
    }

    c = (llm_compile_t) { s, 0, err, err_size };
    root = (llm_path_t) { NULL, NULL, 0 };

    s->doc = llm_schema_parse(text, err, err_size);

    if (s->doc) {
        s->root = llm_schema_node(&c, s->doc, &root);
    }

    if (s->root == NULL || llm_schema_finish(&c) != LLM_OK) {
        llm_schema_free(s);
        return LLM_BAD;
    }

    *schema = s;

    return LLM_OK;
}


void
llm_schema_free(llm_schema_t *schema)
{
    llm_node_t  *node;

    if (schema == NULL) {
        return;
    }

    while (schema->nodes) {
        node = schema->nodes;
        schema->nodes = node->next;

        pcre2_code_free(node->pattern);
        free(node->prop);
        free(node->any.node);
        free(node->all.node);
        free(node->one.node);
        free(node);
    }

    pcre2_match_context_free(schema->limits);
    free(schema->defs);
    cJSON_Delete(schema->doc);
    free(schema);
}
