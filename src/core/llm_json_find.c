/*
 * JSON by name: one member of an object, or the value of a pointer; and kinds.
 */

#include "llm_json.h"

#define LLM_JSON_TOKEN_MAX  256         /* bytes of a token with a ~ in it */


llm_json_kind_t
llm_json_kind(llm_str_t value)
{
    if (value.len == 0) {
        return LLM_JSON_NULL;
    }

    switch (*value.data) {
    case '{':
        return LLM_JSON_OBJECT;
    case '[':
        return LLM_JSON_ARRAY;
    case '"':
        return LLM_JSON_STRING;
    case 't':
        return LLM_JSON_TRUE;
    case 'f':
        return LLM_JSON_FALSE;
    case 'n':
        return LLM_JSON_NULL;
    default:
        return LLM_JSON_NUMBER;
    }
}


llm_rc_t
llm_json_get(llm_str_t object, llm_str_t name, llm_json_member_t *m)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  found;

    rc = llm_json_begin(&it, object);
    if (rc != LLM_OK || it.close != '}') {
        return LLM_BAD;
    }

    for ( ;; ) {
        rc = llm_json_next(&it, &found);
        if (rc != LLM_OK) {
            return rc;
        }

        if (llm_json_key_is(found.key, name)) {
            *m = found;
            return LLM_OK;
        }
    }
}


static llm_rc_t
llm_json_element(llm_json_iter_t *it, llm_str_t token, llm_json_member_t *m)
{
    size_t    i;
    uint64_t  n;
    llm_rc_t  rc;

    /* "-" and names do not point into an array; neither does "01", which is
     * no number */

    for (i = 0; i < token.len; i++) {
        if (token.data[i] < '0' || token.data[i] > '9') {
            return LLM_NONE;
        }
    }

    if (llm_json_uint(token, &n) != LLM_OK) {
        return LLM_NONE;
    }

    do {
        rc = llm_json_next(it, m);
    } while (rc == LLM_OK && n--);

    return rc;
}


/* One step of a pointer, from value into m. */
static llm_rc_t
llm_json_descend(llm_str_t value, llm_str_t token, llm_json_member_t *m)
{
    llm_json_iter_t  it;

    switch (llm_json_kind(value)) {

    case LLM_JSON_OBJECT:
        return llm_json_get(value, token, m);

    case LLM_JSON_ARRAY:
        if (llm_json_begin(&it, value) != LLM_OK) {
            return LLM_BAD;
        }
        return llm_json_element(&it, token, m);

    default:
        return LLM_NONE;
    }
}


/* Resolves ~0 and ~1; a token without them is returned as it is. */
static llm_rc_t
llm_json_token(llm_str_t raw, unsigned char *mem, llm_str_t *token)
{
    size_t  i, n;

    *token = raw;

    if (raw.len == 0 || memchr(raw.data, '~', raw.len) == NULL) {
        return LLM_OK;
    }

    if (raw.len > LLM_JSON_TOKEN_MAX) {
        return LLM_BAD;
    }

    for (i = 0, n = 0; i < raw.len; i++, n++) {
        mem[n] = raw.data[i];

        if (raw.data[i] == '~') {
            i++;
            if (i == raw.len || (raw.data[i] != '0' && raw.data[i] != '1')) {
                return LLM_BAD;
            }
            mem[n] = raw.data[i] == '0' ? '~' : '/';
        }
    }

    token->len = n;
    token->data = mem;

    return LLM_OK;
}


static llm_str_t
llm_json_trim(llm_str_t s)
{
    while (s.len && memchr(" \t\r\n", *s.data, 4)) {
        s.data++;
        s.len--;
    }

    while (s.len && memchr(" \t\r\n", s.data[s.len - 1], 4)) {
        s.len--;
    }

    return s;
}


llm_rc_t
llm_json_pointer(llm_str_t value, llm_str_t pointer, llm_json_member_t *m)
{
    llm_rc_t              rc;
    llm_str_t             raw, token;
    unsigned char         mem[LLM_JSON_TOKEN_MAX];
    llm_json_member_t     here;
    const unsigned char  *end;

    here.value = llm_json_trim(value);
    here.key = LLM_NOSTR;
    here.kind = llm_json_kind(here.value);

    if (here.value.len == 0) {
        return LLM_BAD;
    }

    while (pointer.len) {

        if (*pointer.data != '/') {
            return LLM_BAD;
        }

        raw.data = pointer.data + 1;
        raw.len = pointer.len - 1;

        end = raw.len ? memchr(raw.data, '/', raw.len) : NULL;
        if (end) {
            raw.len = (size_t) (end - raw.data);
        }

        rc = llm_json_token(raw, mem, &token);
        if (rc == LLM_OK) {
            rc = llm_json_descend(here.value, token, &here);
        }

        if (rc != LLM_OK) {
            return rc;
        }

        pointer.data = raw.data + raw.len;
        pointer.len -= raw.len + 1;
    }

    *m = here;

    return LLM_OK;
}


int
llm_json_same_but_case(llm_str_t a, llm_str_t b)
{
    size_t         i;
    unsigned char  x, y;

    if (a.len != b.len) {
        return 0;
    }

    for (i = 0; i < a.len; i++) {
        x = a.data[i];
        y = b.data[i];

        if (x != y && (x | 0x20) != y) {
            return 0;
        }
    }

    return 1;
}
