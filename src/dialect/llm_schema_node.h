/*
 * A compiled JSON Schema, as its three users see it: the compiler
 * (llm_schema.c), the validator (llm_schema_check.c) and the writer of examples
 * (llm_schema_example.c, llm_schema_pattern.c).  Private to these files.
 */

#ifndef LLM_SCHEMA_NODE_H
#define LLM_SCHEMA_NODE_H

#define PCRE2_CODE_UNIT_WIDTH  8

#include <pcre2.h>
#include <cjson/cJSON.h>

#include "llm_prompt.h"

#pragma GCC visibility push(hidden)

#define LLM_T_OBJECT   0x01
#define LLM_T_ARRAY    0x02
#define LLM_T_STRING   0x04
#define LLM_T_INTEGER  0x08             /* 1.0 is one */
#define LLM_T_NUMBER   0x10
#define LLM_T_BOOLEAN  0x20
#define LLM_T_NULL     0x40
#define LLM_T_ANY      0x7f

/* Bits of llm_node_t.has */
#define LLM_HAS_MINIMUM     0x01
#define LLM_HAS_MAXIMUM     0x02
#define LLM_HAS_ABOVE       0x04        /* exclusiveMinimum */
#define LLM_HAS_BELOW       0x08        /* exclusiveMaximum */

typedef struct llm_node_s  llm_node_t;

typedef struct {
    llm_node_t  **node;
    size_t        n;
} llm_nodes_t;

typedef struct {
    const char  *name;                  /* in the schema's document */
    llm_node_t  *node;                  /* NULL: only required */
    unsigned     required:1;
} llm_prop_t;

struct llm_node_s {
    llm_node_t   *next;                 /* all of a schema, to free them */
    unsigned      types;                /* LLM_T_… bits; 0: any */
    unsigned      has;
    double        minimum, maximum, above, below;
    size_t        min_length, max_length;       /* code points */
    size_t        min_items, max_items;
    pcre2_code   *pattern;
    const char   *pattern_text;
    llm_prop_t   *prop;
    size_t        prop_n;
    llm_node_t   *additional;
    llm_node_t   *items;
    const cJSON  *choice;               /* enum */
    const cJSON  *constant;
    llm_nodes_t   any, all, one;
    llm_node_t   *not;
    const char   *ref_name;
    llm_node_t   *ref;
    unsigned      closed:1;             /* additionalProperties: false */
    unsigned      unique:1;
    unsigned      never:1;              /* the schema false */
    unsigned      color:2;              /* search for loops */
};

struct llm_schema_s {
    cJSON                *doc;          /* owns names, enums and constants */
    llm_node_t           *nodes;
    llm_node_t           *root;
    llm_prop_t           *defs;
    size_t                defs_n;
    pcre2_match_context  *limits;
};

/* Where in a document: links on the stack, written out when needed. */
typedef struct llm_path_s  llm_path_t;

struct llm_path_s {
    const llm_path_t  *up;              /* NULL: this is the root */
    const char        *key;             /* NULL: an element */
    size_t             index;
};

/* What the compiler hands down. */
typedef struct {
    llm_schema_t      *schema;
    size_t             node_n;
    char              *err;
    size_t             err_size;
} llm_compile_t;

/* Compiles the schema at a place; NULL with a sentence in c->err. */
llm_node_t *llm_schema_node(llm_compile_t *c, const cJSON *source,
    const llm_path_t *at);

/* Compiles one member of a schema into its node; `at` is where the node is. */
llm_rc_t llm_schema_keyword(llm_compile_t *c, llm_node_t *node,
    const cJSON *member, const llm_path_t *at);

/* Appends text, control characters as "?", as far as it fits. */
void llm_schema_put(llm_buf_t *b, const char *text);

/* Writes "PATH: " and a message, NUL-terminated, cut to fit. */
void llm_schema_say(char *err, size_t err_size, const llm_path_t *at,
    const char *text, const char *word);

/* Strict JSON without NUL characters and duplicate keys as a tree, or NULL with
 * a sentence in err. */
cJSON *llm_schema_parse(llm_str_t text, char *err, size_t err_size);

/* The first key that an object of this tree has twice, or NULL. */
const char *llm_schema_duplicate(const cJSON *item);

/* The LLM_T_… bits that this value satisfies. */
unsigned llm_schema_type(const cJSON *item);

/* Whether a value satisfies a node; without a sentence.  1 or 0. */
int llm_schema_fits(const llm_schema_t *schema, const llm_node_t *node,
    const cJSON *item);

/* Appends a text that a pattern is meant to match, made without anchors and
 * look-around.  LLM_OK, LLM_FULL, LLM_BAD (the pattern is not understood). */
llm_rc_t llm_schema_pattern(const char *pattern, uint64_t *random,
    llm_buf_t *out);

#pragma GCC visibility pop

#endif /* LLM_SCHEMA_NODE_H */
