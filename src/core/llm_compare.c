/*
 * Comparing JSON: every value becomes a 64-bit number that does not depend on
 * how it is written, and equal numbers are taken for equal values.
 */

#include "llm_compare.h"
#include "llm_hash.h"
#include "llm_json.h"

#define LLM_COMPARE_DEPTH  32           /* deeper values count as written */


typedef struct {
    uint64_t  name;
    uint64_t  value;
} llm_compare_member_t;

typedef struct {
    llm_compare_member_t  member[LLM_COMPARE_MEMBERS];
    uint32_t              n;
} llm_compare_object_t;


static uint64_t llm_compare_value(llm_str_t value, llm_buf_t *mem,
    unsigned depth);


/* Mixes two numbers; the order matters. */
static uint64_t
llm_compare_mix(uint64_t a, uint64_t b)
{
    a ^= b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2);
    a *= 0xff51afd7ed558ccdu;

    return a ^ a >> 33;
}


/* `raw` has its quotes. */
static uint64_t
llm_compare_string(llm_str_t raw, llm_buf_t *mem)
{
    mem->pos = mem->start;
    mem->full = 0;

    if (llm_json_unescape(raw, mem) != LLM_OK) {
        return llm_fnv64(raw, LLM_JSON_STRING);
    }

    return llm_fnv64(llm_buf_view(mem), LLM_JSON_STRING);
}


static uint64_t
llm_compare_name(llm_str_t key, llm_buf_t *mem)
{
    return llm_compare_string((llm_str_t) { key.len + 2, key.data - 1 }, mem);
}


/* 1, 1.0, 10e-1 and 0.1e1 are one number: 0.1 * 10^1. */
static uint64_t
llm_compare_number(llm_str_t text)
{
    size_t             i, zeros;
    int64_t            exponent;
    uint64_t           hash;
    unsigned char      c;
    llm_json_number_t  number;

    if (llm_json_number(text, &number) != LLM_OK) {
        return llm_fnv64(text, LLM_JSON_NUMBER);
    }

    hash = LLM_JSON_NUMBER;
    exponent = number.exponent + (int64_t) number.int_n;
    zeros = 0;

    for (i = 0; i < number.digits.len; i++) {
        c = number.digits.data[i];

        if (c == '.') {
            continue;
        }

        if (c == '0') {

            if (hash == LLM_JSON_NUMBER) {
                exponent--;
            } else {
                zeros++;
            }

            continue;
        }

        /* zeros at the end say nothing, those before a digit do */

        for ( /* void */ ; zeros; zeros--) {
            hash = llm_compare_mix(hash, '0');
        }

        hash = llm_compare_mix(hash, c);
    }

    if (hash == LLM_JSON_NUMBER) {
        return hash;
    }

    hash = llm_compare_mix(hash, (uint64_t) exponent);

    return llm_compare_mix(hash, number.negative);
}


static uint64_t
llm_compare_nested(llm_str_t value, int is_object, llm_buf_t *mem,
    unsigned depth)
{
    uint64_t           hash, one;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (depth == 0 || llm_json_begin(&it, value) != LLM_OK) {
        return llm_fnv64(value, LLM_JSON_ARRAY);
    }

    hash = is_object ? LLM_JSON_OBJECT : LLM_JSON_ARRAY;

    while (llm_json_next(&it, &m) == LLM_OK) {
        one = llm_compare_value(m.value, mem, depth - 1);

        if (is_object) {
            /* a sum: in any order */
            hash += llm_compare_mix(llm_compare_name(m.key, mem), one);

        } else {
            hash = llm_compare_mix(hash, one);
        }
    }

    return llm_compare_mix(hash, (uint64_t) is_object);
}


static uint64_t
llm_compare_value(llm_str_t value, llm_buf_t *mem, unsigned depth)
{
    switch (llm_json_kind(value)) {

    case LLM_JSON_STRING:
        return llm_compare_string(value, mem);

    case LLM_JSON_NUMBER:
        return llm_compare_number(value);

    case LLM_JSON_OBJECT:
        return llm_compare_nested(value, 1, mem, depth);

    case LLM_JSON_ARRAY:
        return llm_compare_nested(value, 0, mem, depth);

    default:
        return llm_fnv64(value, LLM_JSON_NULL);
    }
}


static llm_compare_member_t *
llm_compare_find(llm_compare_object_t *object, uint64_t name)
{
    uint32_t  i;

    for (i = 0; i < object->n; i++) {
        if (object->member[i].name == name) {
            return &object->member[i];
        }
    }

    return NULL;
}


static llm_rc_t
llm_compare_read(llm_str_t text, llm_buf_t *mem, llm_compare_object_t *object)
{
    uint64_t               name;
    llm_json_iter_t        it;
    llm_json_member_t      m;
    llm_compare_member_t  *found;

    if (llm_json_check(text) != LLM_OK) {
        return LLM_BAD;
    }

    object->n = 0;

    if (llm_json_begin(&it, text) != LLM_OK || it.close != '}') {
        return LLM_NONE;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        name = llm_compare_name(m.key, mem);

        /* of a name that stands there twice the last one counts */

        found = llm_compare_find(object, name);

        if (found == NULL) {

            if (object->n == LLM_COMPARE_MEMBERS) {
                return LLM_FULL;
            }

            found = &object->member[object->n++];
            found->name = name;
        }

        found->value = llm_compare_value(m.value, mem, LLM_COMPARE_DEPTH);
    }

    return LLM_OK;
}


llm_rc_t
llm_compare(llm_str_t a, llm_str_t b, unsigned char *scratch, size_t size,
    uint32_t *members, uint32_t *equal)
{
    uint32_t               i;
    llm_rc_t               rc;
    llm_buf_t              mem;
    llm_compare_object_t   first, second;
    llm_compare_member_t  *found;

    llm_buf_init(&mem, scratch, size);

    rc = llm_compare_read(a, &mem, &first);

    if (rc == LLM_OK) {
        rc = llm_compare_read(b, &mem, &second);
    }

    if (rc != LLM_OK) {
        return rc;
    }

    *members = second.n;
    *equal = 0;

    for (i = 0; i < first.n; i++) {
        found = llm_compare_find(&second, first.member[i].name);

        if (found == NULL) {
            (*members)++;

        } else if (found->value == first.member[i].value) {
            (*equal)++;
        }
    }

    return LLM_OK;
}
