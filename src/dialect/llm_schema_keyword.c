/*
 * The keywords of a JSON Schema, one small function each.
 *
 * A keyword we do not check must not look as if we did: what is not in the
 * table at the end is refused by name.
 */

#include <stdlib.h>

#include "llm_schema_node.h"

#define LLM_SCHEMA_COUNT_MAX  1e15
#define LLM_SCHEMA_PROPS_MAX  1024

typedef struct {
    llm_compile_t     *c;
    llm_node_t        *node;
    const cJSON       *value;
    const llm_path_t  *at;              /* of the value */
} llm_keyword_arg_t;

typedef struct {
    const char  *name;
    llm_rc_t   (*compile)(llm_keyword_arg_t *a);
} llm_keyword_t;


static llm_rc_t
llm_schema_refuse(llm_keyword_arg_t *a, const char *text)
{
    llm_schema_say(a->c->err, a->c->err_size, a->at, text, NULL);
    return LLM_BAD;
}


static llm_rc_t
llm_schema_kw_ignored(llm_keyword_arg_t *a)
{
    (void) a;
    return LLM_OK;
}


static unsigned
llm_schema_type_bit(const cJSON *name)
{
    size_t  i;

    static const struct {
        const char  *name;
        unsigned     bits;
    } types[] = {
        { "object",  LLM_T_OBJECT },
        { "array",   LLM_T_ARRAY },
        { "string",  LLM_T_STRING },
        { "integer", LLM_T_INTEGER },
        { "number",  LLM_T_NUMBER | LLM_T_INTEGER },
        { "boolean", LLM_T_BOOLEAN },
        { "null",    LLM_T_NULL }
    };

    if (cJSON_IsString(name)) {
        for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            if (strcmp(name->valuestring, types[i].name) == 0) {
                return types[i].bits;
            }
        }
    }

    return 0;
}


static llm_rc_t
llm_schema_kw_type(llm_keyword_arg_t *a)
{
    unsigned      bit;
    const cJSON  *name;

    if (!cJSON_IsArray(a->value)) {
        a->node->types = llm_schema_type_bit(a->value);
        return a->node->types ? LLM_OK
                              : llm_schema_refuse(a, "is not a type's name");
    }

    cJSON_ArrayForEach(name, a->value) {
        bit = llm_schema_type_bit(name);
        if (bit == 0) {
            return llm_schema_refuse(a, "has something that is not a type's "
                                        "name");
        }
        a->node->types |= bit;
    }

    return a->node->types ? LLM_OK : llm_schema_refuse(a, "is empty");
}


/* The row for a property; required and properties may come in any order. */
static llm_prop_t *
llm_schema_prop(llm_keyword_arg_t *a, const char *name)
{
    size_t       i;
    llm_prop_t  *prop;
    llm_node_t  *node;

    node = a->node;

    for (i = 0; i < node->prop_n; i++) {
        if (strcmp(node->prop[i].name, name) == 0) {
            return &node->prop[i];
        }
    }

    if (node->prop_n == LLM_SCHEMA_PROPS_MAX) {
        (void) llm_schema_refuse(a, "has too many names");
        return NULL;
    }

    prop = realloc(node->prop, (node->prop_n + 1) * sizeof(llm_prop_t));
    if (prop == NULL) {
        (void) llm_schema_refuse(a, "no memory");
        return NULL;
    }

    node->prop = prop;
    prop += node->prop_n++;
    prop->name = name;
    prop->node = NULL;
    prop->required = 0;

    return prop;
}


static llm_rc_t
llm_schema_kw_properties(llm_keyword_arg_t *a)
{
    llm_path_t    at;
    llm_node_t   *node;
    llm_prop_t   *prop;
    const cJSON  *item;

    if (!cJSON_IsObject(a->value)) {
        return llm_schema_refuse(a, "is not an object");
    }

    cJSON_ArrayForEach(item, a->value) {
        at = (llm_path_t) { a->at, item->string, 0 };

        node = llm_schema_node(a->c, item, &at);
        if (node == NULL) {
            return LLM_BAD;
        }

        prop = llm_schema_prop(a, item->string);
        if (prop == NULL) {
            return LLM_BAD;
        }

        prop->node = node;
    }

    return LLM_OK;
}


static llm_rc_t
llm_schema_kw_required(llm_keyword_arg_t *a)
{
    llm_prop_t   *prop;
    const cJSON  *item;

    if (!cJSON_IsArray(a->value)) {
        return llm_schema_refuse(a, "is not an array of names");
    }

    cJSON_ArrayForEach(item, a->value) {
        if (!cJSON_IsString(item)) {
            return llm_schema_refuse(a, "is not an array of names");
        }

        prop = llm_schema_prop(a, item->valuestring);
        if (prop == NULL) {
            return LLM_BAD;
        }

        prop->required = 1;
    }

    return LLM_OK;
}


static llm_rc_t
llm_schema_one_node(llm_keyword_arg_t *a, llm_node_t **node)
{
    *node = llm_schema_node(a->c, a->value, a->at);
    return *node ? LLM_OK : LLM_BAD;
}


static llm_rc_t
llm_schema_kw_additional(llm_keyword_arg_t *a)
{
    if (cJSON_IsBool(a->value)) {
        a->node->closed = cJSON_IsFalse(a->value) ? 1 : 0;
        return LLM_OK;
    }

    return llm_schema_one_node(a, &a->node->additional);
}


static llm_rc_t
llm_schema_kw_items(llm_keyword_arg_t *a)
{
    return llm_schema_one_node(a, &a->node->items);
}


static llm_rc_t
llm_schema_kw_not(llm_keyword_arg_t *a)
{
    return llm_schema_one_node(a, &a->node->not);
}


static llm_rc_t
llm_schema_node_list(llm_keyword_arg_t *a, llm_nodes_t *list)
{
    llm_path_t    at;
    const cJSON  *item;

    if (!cJSON_IsArray(a->value) || a->value->child == NULL) {
        return llm_schema_refuse(a, "is not an array of schemas");
    }

    list->node = calloc((size_t) cJSON_GetArraySize(a->value),
                        sizeof(llm_node_t *));
    if (list->node == NULL) {
        return llm_schema_refuse(a, "no memory");
    }

    cJSON_ArrayForEach(item, a->value) {
        at = (llm_path_t) { a->at, NULL, list->n };

        list->node[list->n] = llm_schema_node(a->c, item, &at);
        if (list->node[list->n] == NULL) {
            return LLM_BAD;
        }

        list->n++;
    }

    return LLM_OK;
}


static llm_rc_t
llm_schema_kw_any(llm_keyword_arg_t *a)
{
    return llm_schema_node_list(a, &a->node->any);
}


static llm_rc_t
llm_schema_kw_all(llm_keyword_arg_t *a)
{
    return llm_schema_node_list(a, &a->node->all);
}


static llm_rc_t
llm_schema_kw_one(llm_keyword_arg_t *a)
{
    return llm_schema_node_list(a, &a->node->one);
}


static llm_rc_t
llm_schema_kw_enum(llm_keyword_arg_t *a)
{
    if (!cJSON_IsArray(a->value) || a->value->child == NULL) {
        return llm_schema_refuse(a, "is not an array of values");
    }

    a->node->choice = a->value;

    return LLM_OK;
}


static llm_rc_t
llm_schema_kw_const(llm_keyword_arg_t *a)
{
    a->node->constant = a->value;
    return LLM_OK;
}


static llm_rc_t
llm_schema_bound(llm_keyword_arg_t *a, double *bound, unsigned bit)
{
    if (!cJSON_IsNumber(a->value)) {
        return llm_schema_refuse(a, "is not a number");
    }

    *bound = a->value->valuedouble;
    a->node->has |= bit;

    return LLM_OK;
}


static llm_rc_t
llm_schema_kw_minimum(llm_keyword_arg_t *a)
{
    return llm_schema_bound(a, &a->node->minimum, LLM_HAS_MINIMUM);
}


static llm_rc_t
llm_schema_kw_maximum(llm_keyword_arg_t *a)
{
    return llm_schema_bound(a, &a->node->maximum, LLM_HAS_MAXIMUM);
}


static llm_rc_t
llm_schema_kw_above(llm_keyword_arg_t *a)
{
    return llm_schema_bound(a, &a->node->above, LLM_HAS_ABOVE);
}


static llm_rc_t
llm_schema_kw_below(llm_keyword_arg_t *a)
{
    return llm_schema_bound(a, &a->node->below, LLM_HAS_BELOW);
}


static llm_rc_t
llm_schema_count(llm_keyword_arg_t *a, size_t *count)
{
    double  n;

    n = cJSON_IsNumber(a->value) ? a->value->valuedouble : -1;

    if (!(n >= 0 && n <= LLM_SCHEMA_COUNT_MAX)
        || (double) (size_t) n < n)
    {
        return llm_schema_refuse(a, "is not a non-negative integer");
    }

    *count = (size_t) n;

    return LLM_OK;
}


static llm_rc_t
llm_schema_kw_min_length(llm_keyword_arg_t *a)
{
    return llm_schema_count(a, &a->node->min_length);
}


static llm_rc_t
llm_schema_kw_max_length(llm_keyword_arg_t *a)
{
    return llm_schema_count(a, &a->node->max_length);
}


static llm_rc_t
llm_schema_kw_min_items(llm_keyword_arg_t *a)
{
    return llm_schema_count(a, &a->node->min_items);
}


static llm_rc_t
llm_schema_kw_max_items(llm_keyword_arg_t *a)
{
    return llm_schema_count(a, &a->node->max_items);
}


static llm_rc_t
llm_schema_kw_unique(llm_keyword_arg_t *a)
{
    if (!cJSON_IsBool(a->value)) {
        return llm_schema_refuse(a, "is neither true nor false");
    }

    a->node->unique = cJSON_IsTrue(a->value) ? 1 : 0;

    return LLM_OK;
}


static llm_rc_t
llm_schema_kw_pattern(llm_keyword_arg_t *a)
{
    int          code;
    PCRE2_SIZE   at;
    const char  *text;

    if (!cJSON_IsString(a->value)) {
        return llm_schema_refuse(a, "is not a string");
    }

    text = a->value->valuestring;

    a->node->pattern_text = text;
    a->node->pattern = pcre2_compile((PCRE2_SPTR) text,
                                     PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_DOLLAR_ENDONLY
                                     | PCRE2_ALT_BSUX
                                     | PCRE2_MATCH_UNSET_BACKREF
                                     | PCRE2_NEVER_BACKSLASH_C,
                                     &code, &at, NULL);

    return a->node->pattern ? LLM_OK
                            : llm_schema_refuse(a, "is not a regular "
                                                   "expression");
}


static llm_rc_t
llm_schema_kw_ref(llm_keyword_arg_t *a)
{
    if (!cJSON_IsString(a->value)) {
        return llm_schema_refuse(a, "is not a string");
    }

    a->node->ref_name = a->value->valuestring;

    return LLM_OK;
}


static llm_rc_t
llm_schema_kw_defs(llm_keyword_arg_t *a)
{
    llm_path_t     at;
    llm_prop_t    *def;
    const cJSON   *item;
    llm_schema_t  *schema;

    schema = a->c->schema;

    if (!cJSON_IsObject(a->value)) {
        return llm_schema_refuse(a, "is not an object");
    }

    if (a->at->up->up) {
        return llm_schema_refuse(a, "is supported at the top only");
    }

    schema->defs = calloc((size_t) cJSON_GetArraySize(a->value) + 1,
                          sizeof(llm_prop_t));
    if (schema->defs == NULL) {
        return llm_schema_refuse(a, "no memory");
    }

    cJSON_ArrayForEach(item, a->value) {
        at = (llm_path_t) { a->at, item->string, 0 };

        def = &schema->defs[schema->defs_n];
        def->name = item->string;
        def->node = llm_schema_node(a->c, item, &at);
        if (def->node == NULL) {
            return LLM_BAD;
        }

        schema->defs_n++;
    }

    return LLM_OK;
}


static const llm_keyword_t  llm_schema_keywords[] = {
    { "type",                 llm_schema_kw_type },
    { "properties",           llm_schema_kw_properties },
    { "required",             llm_schema_kw_required },
    { "additionalProperties", llm_schema_kw_additional },
    { "items",                llm_schema_kw_items },
    { "enum",                 llm_schema_kw_enum },
    { "const",                llm_schema_kw_const },
    { "minimum",              llm_schema_kw_minimum },
    { "maximum",              llm_schema_kw_maximum },
    { "exclusiveMinimum",     llm_schema_kw_above },
    { "exclusiveMaximum",     llm_schema_kw_below },
    { "minLength",            llm_schema_kw_min_length },
    { "maxLength",            llm_schema_kw_max_length },
    { "pattern",              llm_schema_kw_pattern },
    { "minItems",             llm_schema_kw_min_items },
    { "maxItems",             llm_schema_kw_max_items },
    { "uniqueItems",          llm_schema_kw_unique },
    { "anyOf",                llm_schema_kw_any },
    { "allOf",                llm_schema_kw_all },
    { "oneOf",                llm_schema_kw_one },
    { "not",                  llm_schema_kw_not },
    { "$ref",                 llm_schema_kw_ref },
    { "$defs",                llm_schema_kw_defs },
    { "title",                llm_schema_kw_ignored },
    { "description",          llm_schema_kw_ignored },
    { "default",              llm_schema_kw_ignored },
    { "examples",             llm_schema_kw_ignored },
    { "$schema",              llm_schema_kw_ignored },
    { "$id",                  llm_schema_kw_ignored },
    { "$comment",             llm_schema_kw_ignored },
    { NULL, NULL }
};


llm_rc_t
llm_schema_keyword(llm_compile_t *c, llm_node_t *node, const cJSON *member,
    const llm_path_t *at)
{
    llm_path_t            here;
    llm_keyword_arg_t     a;
    const llm_keyword_t  *kw;

    here = (llm_path_t) { at, member->string, 0 };
    a = (llm_keyword_arg_t) { c, node, member, &here };

    for (kw = llm_schema_keywords; kw->name; kw++) {
        if (strcmp(kw->name, member->string) == 0) {
            return kw->compile(&a);
        }
    }

    llm_schema_say(c->err, c->err_size, at, "unsupported keyword",
                   member->string);

    return LLM_BAD;
}
