/*
 * JSON by spans: the members of an object and the elements of an array, found
 * one by one or picked by name.
 */

#include "llm_json_scan.h"


/* The length of a name as one bit; two lengths may share one. */
#define LLM_JSON_LENGTH(s)  (1ULL << ((s).len & 63))

#define LLM_JSON_STRICT_MAX  32         /* bytes of a strict name */


static llm_rc_t
llm_json_open(llm_json_scan_t *s, llm_json_iter_t *it, llm_str_t text)
{
    const unsigned char  *p;

    s->end = text.data;
    s->at = text.data;
    s->error = LLM_JSON_E_SYNTAX;
    s->strict = 0;
    s->outer = 1;

    if (text.len == 0) {
        return LLM_BAD;
    }

    s->end = text.data + text.len;
    p = llm_json_space(text.data, s->end);
    s->at = p;

    if (p == s->end) {
        return LLM_BAD;
    }

    if (*p != '{' && *p != '[') {
        if (*p == '"' || llm_json_is_scalar(*p)) {
            s->error = LLM_JSON_E_NOT_OBJECT;
        }
        return LLM_BAD;
    }

    it->pos = p + 1;
    it->end = s->end;
    it->known = LLM_NOSTR;
    it->close = (unsigned char) (*p + 2);
    it->first = 1;
    it->inner = 0;

    return LLM_OK;
}


/* The end of the container: nothing but white space may follow, unless it is
 * one of another's elements. */
static llm_rc_t
llm_json_finish(llm_json_scan_t *s, llm_json_iter_t *it,
    const unsigned char *p)
{
    p = it->inner ? p + 1 : llm_json_space(p + 1, s->end);

    if (p != s->end && !it->inner) {
        (void) llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
        return LLM_BAD;
    }

    it->pos = p;
    it->close = 0;

    return LLM_NONE;
}


/* Up to the next value, which begins at *value. */
static inline llm_rc_t
llm_json_reach(llm_json_scan_t *s, llm_json_iter_t *it, llm_str_t *key,
    const unsigned char **value)
{
    const unsigned char  *p;

    if (it->close == 0) {
        return LLM_NONE;
    }

    p = llm_json_space(it->pos, s->end);

    if (p < s->end && *p == it->close) {
        return llm_json_finish(s, it, p);
    }

    if (!it->first) {
        if (p == s->end || *p != ',') {
            (void) llm_json_fail(s, p, LLM_JSON_E_SYNTAX);
            return LLM_BAD;
        }
        p = llm_json_space(p + 1, s->end);
    }

    key->len = 0;
    key->data = p;
    s->escaped = 0;

    if (it->close == '}') {
        p = llm_json_key(s, p, key);
    }

    *value = p;

    return p ? LLM_OK : LLM_BAD;
}


static llm_rc_t
llm_json_step(llm_json_scan_t *s, llm_json_iter_t *it, llm_json_member_t *m)
{
    llm_rc_t              rc;
    const unsigned char  *p, *value;

    rc = llm_json_reach(s, it, &m->key, &value);
    if (rc != LLM_OK) {
        return rc;
    }

    m->escaped = s->escaped & 1;

    p = value == it->known.data ? value + it->known.len
                                : llm_json_value(s, value);
    if (p == NULL) {
        return LLM_BAD;
    }

    m->value.len = (size_t) (p - value);
    m->value.data = value;
    m->kind = llm_json_kind(m->value);

    it->pos = p;
    it->first = 0;

    return LLM_OK;
}


/* Whether a key, possibly escaped, is the name but for case. */
static int
llm_json_resembles(llm_str_t key, int escaped, llm_str_t name)
{
    llm_buf_t      b;
    unsigned char  mem[LLM_JSON_STRICT_MAX];

    if (escaped) {
        llm_buf_init(&b, mem, sizeof(mem));

        if (llm_json_unescape((llm_str_t) { key.len + 2, key.data - 1 }, &b)
            != LLM_OK)
        {
            return 0;
        }

        key = llm_buf_view(&b);
    }

    return llm_json_same_but_case(key, name);
}


/* Fills the wanted member that m is, if it is one; lengths are those of all
 * wanted names, and of most members nothing else has to be known. */
static llm_rc_t
llm_json_take(llm_json_scan_t *s, const llm_json_member_t *m,
    llm_json_want_t *want, size_t want_n, uint64_t lengths)
{
    size_t                i;
    const unsigned char  *end;

    if (!m->escaped && !(lengths & LLM_JSON_LENGTH(m->key))) {
        return LLM_OK;
    }

    for (i = 0; i < want_n; i++) {

        if (m->key.len != want[i].name.len && !m->escaped) {
            continue;
        }

        if (m->escaped ? !llm_json_key_is(m->key, want[i].name)
                       : !llm_str_eq(m->key, want[i].name))
        {
            if (want[i].strict
                && llm_json_resembles(m->key, m->escaped, want[i].name))
            {
                (void) llm_json_fail(s, m->key.data - 1, LLM_JSON_E_DUPLICATE);
                return LLM_BAD;
            }

            continue;
        }

        if (want[i].value.data) {
            (void) llm_json_fail(s, m->key.data - 1, LLM_JSON_E_DUPLICATE);
            return LLM_BAD;
        }

        end = m->value.data + m->value.len;

        if (m->kind > LLM_JSON_STRING
            && llm_json_word(s, m->value.data, end) == NULL)
        {
            return LLM_BAD;
        }

        want[i].value = m->value;
        want[i].kind = m->kind;
        break;
    }

    return LLM_OK;
}


/* Fills the wanted members; LLM_NONE at the end of the object. */
static llm_rc_t
llm_json_members(llm_json_scan_t *s, llm_json_iter_t *it,
    llm_json_want_t *want, size_t want_n)
{
    size_t             i;
    llm_rc_t           rc;
    uint64_t           lengths;
    llm_json_member_t  m;

    lengths = 0;

    for (i = 0; i < want_n; i++) {
        want[i].value = LLM_NOSTR;
        want[i].kind = LLM_JSON_NULL;
        lengths |= LLM_JSON_LENGTH(want[i].name);
    }

    do {
        rc = llm_json_step(s, it, &m);

        if (rc == LLM_OK) {
            rc = llm_json_take(s, &m, want, want_n, lengths);
        }

    } while (rc == LLM_OK);

    return rc;
}


llm_rc_t
llm_json_pick(llm_str_t body, llm_json_want_t *want, size_t want_n,
    llm_json_error_t *error, size_t *at)
{
    llm_rc_t         rc;
    llm_json_iter_t  it;
    llm_json_scan_t  s;

    rc = llm_json_open(&s, &it, body);

    if (rc == LLM_OK && it.close != '}') {
        s.error = LLM_JSON_E_NOT_OBJECT;
        rc = LLM_BAD;
    }

    if (rc == LLM_OK && llm_json_members(&s, &it, want, want_n) == LLM_NONE) {
        *error = LLM_JSON_E_NONE;
        return LLM_OK;
    }

    *error = s.error;
    *at = body.len ? (size_t) (s.at - body.data) : 0;

    return LLM_BAD;
}


llm_rc_t
llm_json_check(llm_str_t text)
{
    llm_json_scan_t       s;
    const unsigned char  *p;

    if (text.len == 0) {
        return LLM_AGAIN;
    }

    s.end = text.data + text.len;
    s.strict = 1;
    s.outer = 0;

    p = llm_json_value(&s, llm_json_space(text.data, s.end));

    if (p == NULL) {
        return s.error == LLM_JSON_E_SYNTAX && s.at == s.end ? LLM_AGAIN
                                                             : LLM_BAD;
    }

    return llm_json_space(p, s.end) == s.end ? LLM_OK : LLM_BAD;
}


llm_rc_t
llm_json_begin(llm_json_iter_t *it, llm_str_t value)
{
    llm_json_scan_t  s;

    return llm_json_open(&s, it, value);
}


llm_rc_t
llm_json_next(llm_json_iter_t *it, llm_json_member_t *m)
{
    llm_json_scan_t  s;

    s.end = it->end;
    s.strict = 0;
    s.outer = 1;

    return llm_json_step(&s, it, m);
}


llm_rc_t
llm_json_next_pick(llm_json_iter_t *it, llm_json_want_t *want, size_t want_n)
{
    llm_rc_t              rc;
    llm_str_t             key;
    llm_json_iter_t       object;
    llm_json_scan_t       s;
    const unsigned char  *p;

    s.end = it->end;
    s.strict = 0;
    s.outer = 2;

    rc = llm_json_reach(&s, it, &key, &p);
    if (rc != LLM_OK) {
        return rc;
    }

    if (p == s.end || *p != '{') {
        return LLM_BAD;
    }

    object.pos = p + 1;
    object.end = s.end;
    object.known = LLM_NOSTR;
    object.close = '}';
    object.first = 1;
    object.inner = 1;

    if (llm_json_members(&s, &object, want, want_n) != LLM_NONE) {
        return LLM_BAD;
    }

    it->pos = object.pos;
    it->first = 0;

    return LLM_OK;
}


int
llm_json_more(const llm_json_iter_t *it)
{
    const unsigned char  *p;

    p = llm_json_space(it->pos, it->end);

    return it->close && p < it->end && *p != it->close;
}
