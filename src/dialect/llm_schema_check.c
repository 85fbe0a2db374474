/*
 * Validation: does a value satisfy a compiled schema?
 *
 * The value comes from a model and may be anything, so the work is bounded: by
 * steps, by depth, and by the limits of the pattern matcher.  A value that
 * costs more than that is refused, never waved through.
 */

#include "llm_schema_node.h"

#define LLM_SCHEMA_STEPS  2000000
#define LLM_SCHEMA_DEPTH  1024          /* nested calls */

typedef struct {
    const llm_schema_t  *schema;
    char                *err;
    size_t               err_size;
    size_t               steps;
    unsigned             depth;
    unsigned             quiet;         /* inside anyOf, oneOf, not */
    unsigned             over;          /* too much work: no answer counts */
} llm_check_t;

static int llm_schema_check(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at);


static int
llm_schema_fail(llm_check_t *c, const llm_path_t *at, const char *text,
    const char *word)
{
    if (!c->quiet && !c->over) {
        llm_schema_say(c->err, c->err_size, at, text, word);
    }

    return 0;
}


static int
llm_schema_spend(llm_check_t *c, size_t steps, const llm_path_t *at)
{
    if (c->steps >= steps) {
        c->steps -= steps;
        return 1;
    }

    if (!c->over) {
        llm_schema_say(c->err, c->err_size, at, "too much to check", NULL);
        c->over = 1;
    }

    return 0;
}


/* ---- comparing ----------------------------------------------------------- */

static int
llm_schema_whole(double d)
{
    if (d > -9e15 && d < 9e15) {
        return (double) (int64_t) d == d;
    }

    return d == d;                      /* so large has no fraction */
}


unsigned
llm_schema_type(const cJSON *item)
{
    switch (item->type & 0xff) {
    case cJSON_Object:
        return LLM_T_OBJECT;
    case cJSON_Array:
        return LLM_T_ARRAY;
    case cJSON_String:
        return LLM_T_STRING;
    case cJSON_Number:
        return llm_schema_whole(item->valuedouble)
               ? LLM_T_NUMBER | LLM_T_INTEGER : LLM_T_NUMBER;
    case cJSON_True:
    case cJSON_False:
        return LLM_T_BOOLEAN;
    default:
        return LLM_T_NULL;
    }
}


static int llm_schema_equal(llm_check_t *c, const cJSON *a, const cJSON *b,
    const llm_path_t *at);


static int
llm_schema_equal_members(llm_check_t *c, const cJSON *a, const cJSON *b,
    const llm_path_t *at)
{
    const cJSON  *child, *other;

    if (cJSON_GetArraySize(a) != cJSON_GetArraySize(b)) {
        return 0;
    }

    other = b->child;

    cJSON_ArrayForEach(child, a) {

        if (cJSON_IsObject(a)) {
            if (!llm_schema_spend(c, 64, at)) {
                return 0;
            }
            other = cJSON_GetObjectItemCaseSensitive(b, child->string);
        }

        if (other == NULL || !llm_schema_equal(c, child, other, at)) {
            return 0;
        }

        other = other->next;
    }

    return 1;
}


static int
llm_schema_equal(llm_check_t *c, const cJSON *a, const cJSON *b,
    const llm_path_t *at)
{
    if (!llm_schema_spend(c, 1, at)
        || (a->type & 0xff) != (b->type & 0xff))
    {
        return 0;
    }

    switch (a->type & 0xff) {
    case cJSON_Number:
        return a->valuedouble == b->valuedouble;
    case cJSON_String:
        return strcmp(a->valuestring, b->valuestring) == 0;
    case cJSON_Object:
    case cJSON_Array:
        return llm_schema_equal_members(c, a, b, at);
    default:
        return 1;
    }
}


/* ---- checking ------------------------------------------------------------ */

static int
llm_schema_check_type(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    size_t     i;
    unsigned   types;
    llm_buf_t  b;
    char       text[96];

    static const char  *const  names[] = {
        "object", "array", "string", "integer", "number", "boolean", "null"
    };

    if (node->types == 0 || (node->types & llm_schema_type(item))) {
        return 1;
    }

    llm_buf_init(&b, text, sizeof(text) - 1);
    llm_schema_put(&b, "expected ");
    types = node->types;

    if (types & LLM_T_NUMBER) {
        types &= ~(unsigned) LLM_T_INTEGER;
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (types & 1u << i) {
            llm_schema_put(&b, names[i]);
            types &= ~(1u << i);
            llm_schema_put(&b, types ? " or " : "");
        }
    }

    *b.pos = '\0';

    return llm_schema_fail(c, at, text, NULL);
}


static int
llm_schema_check_value(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    const cJSON  *choice;

    if (node->constant && !llm_schema_equal(c, item, node->constant, at)) {
        return llm_schema_fail(c, at, "not the value of const", NULL);
    }

    if (node->choice) {
        cJSON_ArrayForEach(choice, node->choice) {
            if (llm_schema_equal(c, item, choice, at)) {
                return 1;
            }
        }
        return llm_schema_fail(c, at, "not one of enum", NULL);
    }

    return 1;
}


static int
llm_schema_check_number(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    double  d;

    d = item->valuedouble;

    if ((node->has & LLM_HAS_MINIMUM) && !(d >= node->minimum)) {
        return llm_schema_fail(c, at, "less than minimum", NULL);
    }

    if ((node->has & LLM_HAS_MAXIMUM) && !(d <= node->maximum)) {
        return llm_schema_fail(c, at, "more than maximum", NULL);
    }

    if ((node->has & LLM_HAS_ABOVE) && !(d > node->above)) {
        return llm_schema_fail(c, at, "not above exclusiveMinimum", NULL);
    }

    if ((node->has & LLM_HAS_BELOW) && !(d < node->below)) {
        return llm_schema_fail(c, at, "not below exclusiveMaximum", NULL);
    }

    return 1;
}


static int
llm_schema_check_pattern(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    int                rc;
    pcre2_match_data  *match;

    /* a match may cost more than a hundred thousand of our own steps */

    if (!llm_schema_spend(c, 1000, at)) {
        return 0;
    }

    match = pcre2_match_data_create(1, NULL);
    if (match == NULL) {
        return llm_schema_fail(c, at, "no memory", NULL);
    }

    rc = pcre2_match(node->pattern, (PCRE2_SPTR) item->valuestring,
                     strlen(item->valuestring), 0, 0, match,
                     c->schema->limits);

    pcre2_match_data_free(match);

    return rc >= 0 || llm_schema_fail(c, at, "does not match pattern", NULL);
}


static int
llm_schema_check_string(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    size_t       n;
    const char  *p;

    n = 0;

    for (p = item->valuestring; *p; p++) {
        n += ((unsigned char) *p & 0xc0) != 0x80;
    }

    if (n < node->min_length) {
        return llm_schema_fail(c, at, "shorter than minLength", NULL);
    }

    if (n > node->max_length) {
        return llm_schema_fail(c, at, "longer than maxLength", NULL);
    }

    return node->pattern == NULL
           || llm_schema_check_pattern(c, node, item, at);
}


static int
llm_schema_check_unique(llm_check_t *c, const cJSON *item,
    const llm_path_t *at)
{
    const cJSON  *a, *b;

    cJSON_ArrayForEach(a, item) {
        for (b = a->next; b; b = b->next) {
            if (llm_schema_equal(c, a, b, at)) {
                return llm_schema_fail(c, at, "has equal items", NULL);
            }
            if (c->over) {
                return 0;
            }
        }
    }

    return 1;
}


static int
llm_schema_check_array(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    size_t        n;
    llm_path_t    here;
    const cJSON  *child;

    n = (size_t) cJSON_GetArraySize(item);

    if (n < node->min_items) {
        return llm_schema_fail(c, at, "fewer than minItems", NULL);
    }

    if (n > node->max_items) {
        return llm_schema_fail(c, at, "more than maxItems", NULL);
    }

    if (node->items) {
        here = (llm_path_t) { at, NULL, 0 };

        cJSON_ArrayForEach(child, item) {
            if (!llm_schema_check(c, node->items, child, &here)) {
                return 0;
            }
            here.index++;
        }
    }

    return !node->unique || llm_schema_check_unique(c, item, at);
}


/* Members that `properties` does not name. */
static int
llm_schema_check_others(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    size_t        i;
    llm_path_t    here;
    const cJSON  *child;

    cJSON_ArrayForEach(child, item) {

        if (!llm_schema_spend(c, node->prop_n + 1, at)) {
            return 0;
        }

        for (i = 0; i < node->prop_n; i++) {
            if (node->prop[i].node
                && strcmp(node->prop[i].name, child->string) == 0)
            {
                break;
            }
        }

        if (i < node->prop_n) {
            continue;
        }

        if (node->closed) {
            return llm_schema_fail(c, at, "unexpected member", child->string);
        }

        here = (llm_path_t) { at, child->string, 0 };

        if (!llm_schema_check(c, node->additional, child, &here)) {
            return 0;
        }
    }

    return 1;
}


static int
llm_schema_check_object(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    size_t             i, n;
    llm_path_t         here;
    const cJSON       *child;
    const llm_prop_t  *prop;

    n = (size_t) cJSON_GetArraySize(item);

    for (i = 0; i < node->prop_n; i++) {
        prop = &node->prop[i];

        if (!llm_schema_spend(c, n + 1, at)) {
            return 0;
        }

        child = cJSON_GetObjectItemCaseSensitive(item, prop->name);

        if (child == NULL) {
            if (prop->required) {
                return llm_schema_fail(c, at, "missing member", prop->name);
            }
            continue;
        }

        here = (llm_path_t) { at, prop->name, 0 };

        if (prop->node && !llm_schema_check(c, prop->node, child, &here)) {
            return 0;
        }
    }

    return (!node->closed && node->additional == NULL)
           || llm_schema_check_others(c, node, item, at);
}


/* How many of a list the value satisfies. */
static size_t
llm_schema_check_count(llm_check_t *c, const llm_nodes_t *list,
    const cJSON *item, const llm_path_t *at, size_t enough)
{
    size_t  i, n;

    n = 0;
    c->quiet++;

    for (i = 0; i < list->n && n < enough; i++) {
        n += (size_t) llm_schema_check(c, list->node[i], item, at);
    }

    c->quiet--;

    return n;
}


static int
llm_schema_check_combined(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    size_t       i;
    llm_nodes_t  list;
    llm_node_t  *one[1];

    for (i = 0; i < node->all.n; i++) {
        if (!llm_schema_check(c, node->all.node[i], item, at)) {
            return 0;
        }
    }

    if (node->any.n
        && llm_schema_check_count(c, &node->any, item, at, 1) == 0)
    {
        return llm_schema_fail(c, at, "fits none of anyOf", NULL);
    }

    if (node->one.n
        && llm_schema_check_count(c, &node->one, item, at, 2) != 1)
    {
        return llm_schema_fail(c, at, "does not fit exactly one of oneOf",
                               NULL);
    }

    if (node->not) {
        one[0] = node->not;
        list = (llm_nodes_t) { one, 1 };

        if (llm_schema_check_count(c, &list, item, at, 1)) {
            return llm_schema_fail(c, at, "is what not excludes", NULL);
        }
    }

    return node->ref == NULL || llm_schema_check(c, node->ref, item, at);
}


static int
llm_schema_check_kind(llm_check_t *c, const llm_node_t *node,
    const cJSON *item, const llm_path_t *at)
{
    switch (item->type & 0xff) {
    case cJSON_Object:
        return llm_schema_check_object(c, node, item, at);
    case cJSON_Array:
        return llm_schema_check_array(c, node, item, at);
    case cJSON_String:
        return llm_schema_check_string(c, node, item, at);
    case cJSON_Number:
        return llm_schema_check_number(c, node, item, at);
    default:
        return 1;
    }
}


static int
llm_schema_check(llm_check_t *c, const llm_node_t *node, const cJSON *item,
    const llm_path_t *at)
{
    int  good;

    if (node->never) {
        return llm_schema_fail(c, at, "is not allowed here", NULL);
    }

    if (c->depth == LLM_SCHEMA_DEPTH || !llm_schema_spend(c, 1, at)) {
        return llm_schema_spend(c, SIZE_MAX, at);
    }

    c->depth++;

    good = llm_schema_check_type(c, node, item, at)
           && llm_schema_check_value(c, node, item, at)
           && llm_schema_check_kind(c, node, item, at)
           && llm_schema_check_combined(c, node, item, at);

    c->depth--;

    return good && !c->over;
}


int
llm_schema_fits(const llm_schema_t *schema, const llm_node_t *node,
    const cJSON *item)
{
    llm_path_t   root;
    llm_check_t  c;

    root = (llm_path_t) { NULL, NULL, 0 };
    c = (llm_check_t) { schema, NULL, 0, LLM_SCHEMA_STEPS, 0, 0, 0 };

    return llm_schema_check(&c, node, item, &root);
}


llm_rc_t
llm_schema_validate(const llm_schema_t *schema, llm_str_t json, char *err,
    size_t err_size)
{
    int          good;
    cJSON       *item;
    llm_path_t   root;
    llm_check_t  c;

    item = llm_schema_parse(json, err, err_size);
    if (item == NULL) {
        return LLM_BAD;
    }

    root = (llm_path_t) { NULL, NULL, 0 };
    c = (llm_check_t) { schema, err, err_size, LLM_SCHEMA_STEPS, 0, 0, 0 };

    good = llm_schema_check(&c, schema->root, item, &root);

    cJSON_Delete(item);

    return good ? LLM_OK : LLM_BAD;
}
