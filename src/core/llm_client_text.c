/*
 * The texts of a record: strings, dates, lists, metadata, and names with "*" in
 * them.
 */

#include "llm_client_read.h"
#include "llm_hint.h"


llm_rc_t
llm_client_string(llm_str_t raw, llm_buf_t *mem, llm_str_t *s)
{
    unsigned char  *start;

    if (raw.len < 2 || raw.data[0] != '"') {
        return LLM_BAD;
    }

    if (memchr(raw.data, '\\', raw.len) == NULL) {
        s->data = raw.data + 1;
        s->len = raw.len - 2;
        return LLM_OK;
    }

    start = mem->pos;

    if (llm_json_unescape(raw, mem) != LLM_OK) {
        return LLM_BAD;
    }

    s->data = start;
    s->len = (size_t) (mem->pos - start);

    return LLM_OK;
}


const char *
llm_client_check_word(llm_str_t s)
{
    size_t  i;

    if (s.len > LLM_CLIENT_ID) {
        return "is longer than 255 bytes";
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] == 0x7f) {
            return "contains a control character";
        }
    }

    return NULL;
}


llm_rc_t
llm_client_date(llm_str_t s, llm_msec_t *t)
{
    unsigned char  mem[64];
    llm_buf_t      b;

    llm_buf_init(&b, mem, sizeof(mem));
    llm_buf_str(&b, s);

    if (s.len == sizeof("2026-12-31") - 1) {
        llm_buf_str(&b, LLM_STR("T00:00:00Z"));
    }

    return b.full ? LLM_BAD : llm_hint_rfc3339(llm_buf_view(&b), t);
}


llm_rc_t
llm_client_time(llm_str_t raw, llm_msec_t *t)
{
    if (raw.len < 2 || raw.data[0] != '"') {
        return LLM_BAD;
    }

    return llm_client_date((llm_str_t) { raw.len - 2, raw.data + 1 }, t);
}


llm_rc_t
llm_client_list_begin(llm_json_iter_t *it, llm_str_t list)
{
    return list.data ? llm_json_begin(it, list) : LLM_NONE;
}


llm_rc_t
llm_client_list_next(llm_json_iter_t *it, llm_buf_t *mem, llm_str_t *s)
{
    llm_json_member_t  m;

    if (llm_json_next(it, &m) != LLM_OK) {
        return LLM_NONE;
    }

    return llm_client_string(m.value, mem, s) == LLM_OK ? LLM_OK : LLM_NONE;
}


/* Names of variables have no case. */
static int
llm_client_same_name(llm_str_t key, llm_str_t name)
{
    size_t         i;
    unsigned char  a, b;

    if (key.len != name.len) {
        return 0;
    }

    for (i = 0; i < key.len; i++) {
        a = key.data[i];
        b = name.data[i];

        a |= (a >= 'A' && a <= 'Z') ? 0x20 : 0;
        b |= (b >= 'A' && b <= 'Z') ? 0x20 : 0;

        if (a != b) {
            return 0;
        }
    }

    return 1;
}


llm_rc_t
llm_client_metadata(llm_str_t metadata, llm_str_t name, llm_buf_t *mem,
    llm_str_t *value)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (metadata.data == NULL || llm_json_begin(&it, metadata) != LLM_OK) {
        return LLM_NONE;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (!llm_client_same_name(m.key, name)) {
            continue;
        }

        if (m.kind == LLM_JSON_STRING) {
            return llm_client_string(m.value, mem, value) == LLM_OK ? LLM_OK
                                                                : LLM_NONE;
        }

        *value = m.value;

        return LLM_OK;
    }

    return LLM_NONE;
}


/* The last "*" takes one byte more whenever what follows it does not match. */
int
llm_glob(llm_str_t pattern, llm_str_t text)
{
    size_t  p, t, star, from;

    p = 0;
    t = 0;
    star = SIZE_MAX;
    from = 0;

    while (t < text.len) {

        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            from = t;

        } else if (p < pattern.len && pattern.data[p] == text.data[t]) {
            p++;
            t++;

        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++from;

        } else {
            return 0;
        }
    }

    while (p < pattern.len && pattern.data[p] == '*') {
        p++;
    }

    return p == pattern.len;
}
