/*
 * A JSON Schema as Anthropic's structured outputs take it: every object is
 * closed, and bounds of numbers, strings and arrays are left out, as
 * Anthropic's own clients do ("Structured outputs", JSON Schema limitations).
 */

#include "llm_anthropic.h"

#define LLM_SCHEMA_DEPTH  100           /* what is below is copied */


/* What a schema has no use for, which would be refused. */
static const llm_str_t  llm_schema_bounds[] = {
    LLM_STR("minimum"), LLM_STR("maximum"), LLM_STR("exclusiveMinimum"),
    LLM_STR("exclusiveMaximum"), LLM_STR("multipleOf"), LLM_STR("minLength"),
    LLM_STR("maxLength"), LLM_STR("maxItems"), LLM_STR("uniqueItems")
};

/* Members that are schemas, or arrays of them. */
static const llm_str_t  llm_schema_schemas[] = {
    LLM_STR("items"), LLM_STR("prefixItems"), LLM_STR("anyOf"),
    LLM_STR("allOf"), LLM_STR("oneOf"), LLM_STR("not")
};

/* Members whose members are schemas, of any name. */
static const llm_str_t  llm_schema_maps[] = {
    LLM_STR("properties"), LLM_STR("$defs"), LLM_STR("definitions")
};


static void llm_schema_put(llm_buf_t *out, llm_str_t value, unsigned depth);


static int
llm_schema_in(llm_str_t key, const llm_str_t *names, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (llm_json_key_is(key, names[i])) {
            return 1;
        }
    }

    return 0;
}

#define llm_schema_is(key, names)                                             \
    llm_schema_in(key, names, sizeof(names) / sizeof(names[0]))


/* "object", or an array with it. */
static int
llm_schema_says_object(const llm_json_member_t *type)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (type->kind == LLM_JSON_ARRAY
        && llm_json_begin(&it, type->value) == LLM_OK)
    {
        while (llm_json_next(&it, &m) == LLM_OK) {
            if (llm_hub_is(m.value, LLM_STR("object"))) {
                return 1;
            }
        }

        return 0;
    }

    return llm_hub_is(type->value, LLM_STR("object"));
}


/* minItems is known with 0 and 1 alone. */
static int
llm_schema_refused(const llm_json_member_t *m)
{
    return llm_schema_is(m->key, llm_schema_bounds)
           || (llm_json_key_is(m->key, LLM_STR("minItems"))
               && !llm_str_eq(m->value, LLM_STR("0"))
               && !llm_str_eq(m->value, LLM_STR("1")));
}


static void
llm_schema_key(llm_buf_t *out, unsigned *n, llm_str_t key)
{
    llm_buf_str(out, (*n)++ ? LLM_STR(",\"") : LLM_STR("\""));
    llm_buf_str(out, key);
    llm_buf_str(out, LLM_STR("\":"));
}


static void
llm_schema_map(llm_buf_t *out, llm_str_t value, unsigned depth)
{
    unsigned           n;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, value) != LLM_OK || value.data[0] != '{') {
        llm_buf_str(out, value);
        return;
    }

    n = 0;
    llm_buf_str(out, LLM_STR("{"));

    while (llm_json_next(&it, &m) == LLM_OK) {
        llm_schema_key(out, &n, m.key);
        llm_schema_put(out, m.value, depth);
    }

    llm_buf_str(out, LLM_STR("}"));
}


static void
llm_schema_object(llm_buf_t *out, llm_json_iter_t *it, unsigned depth)
{
    int                closed;
    unsigned           n;
    llm_json_member_t  m;

    n = 0;
    closed = 0;
    llm_buf_str(out, LLM_STR("{"));

    while (llm_json_next(it, &m) == LLM_OK) {

        if (llm_json_key_is(m.key, LLM_STR("additionalProperties"))) {
            closed = 1;
            continue;
        }

        if (llm_schema_refused(&m)) {
            continue;
        }

        if (llm_json_key_is(m.key, LLM_STR("type"))) {
            closed |= llm_schema_says_object(&m);
        }

        llm_schema_key(out, &n, m.key);

        if (llm_schema_is(m.key, llm_schema_maps)) {
            llm_schema_map(out, m.value, depth + 1);

        } else if (llm_schema_is(m.key, llm_schema_schemas)) {
            llm_schema_put(out, m.value, depth + 1);

        } else {
            llm_buf_str(out, m.value);
        }
    }

    if (closed) {
        llm_schema_key(out, &n, LLM_STR("additionalProperties"));
        llm_buf_str(out, LLM_STR("false"));
    }

    llm_buf_str(out, LLM_STR("}"));
}


static void
llm_schema_array(llm_buf_t *out, llm_json_iter_t *it, unsigned depth)
{
    unsigned           n;
    llm_json_member_t  m;

    n = 0;
    llm_buf_str(out, LLM_STR("["));

    while (llm_json_next(it, &m) == LLM_OK) {

        if (n++) {
            llm_buf_str(out, LLM_STR(","));
        }

        llm_schema_put(out, m.value, depth + 1);
    }

    llm_buf_str(out, LLM_STR("]"));
}


/* A schema, or an array of them; anything else is copied. */
static void
llm_schema_put(llm_buf_t *out, llm_str_t value, unsigned depth)
{
    llm_json_iter_t  it;

    if (depth > LLM_SCHEMA_DEPTH || llm_json_begin(&it, value) != LLM_OK) {
        llm_buf_str(out, value);

    } else if (value.data[0] == '[') {
        llm_schema_array(out, &it, depth);

    } else {
        llm_schema_object(out, &it, depth);
    }
}


void
llm_anthropic_schema(llm_str_t schema, llm_buf_t *out)
{
    llm_schema_put(out, schema, 0);
}
