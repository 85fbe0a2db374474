/*
 * The keys of a client's record: SHA-256, a prefix for people, a last day.
 */

#include "llm_client_read.h"


static int
llm_client_nibble(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


static const char *
llm_client_sha256(llm_str_t raw, unsigned char sha256[32])
{
    int     high, low;
    size_t  i;

    static const char  why[] = "must be the SHA-256 of the key, in 64 "
                               "hexadecimal digits";

    if (raw.len != 66 || raw.data[0] != '"') {
        return why;
    }

    for (i = 0; i < 32; i++) {
        high = llm_client_nibble(raw.data[1 + 2 * i]);
        low = llm_client_nibble(raw.data[2 + 2 * i]);

        if (high < 0 || low < 0) {
            return why;
        }

        sha256[i] = (unsigned char) (high << 4 | low);
    }

    return NULL;
}


void
llm_client_read_key(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    (void) offset;

    if (r->rec->key_n) {
        r->why = "stands beside \"keys\"";
        return;
    }

    r->why = llm_client_sha256(m->value, r->rec->key[0].sha256);
    r->rec->key_n = 1;
}


void
llm_client_read_prefix(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    llm_str_t  s;

    (void) offset;

    if (llm_client_string(m->value, r->mem, &s) != LLM_OK) {
        r->why = "must be a string";
        return;
    }

    r->why = s.len > 16 ? "is longer than 16 bytes, nearly the key itself"
                        : llm_client_check_word(s);
    r->rec->key[0].prefix = s;
}


static const char *
llm_client_one_key(llm_client_read_t *r, llm_str_t text,
    llm_client_key_t *key)
{
    llm_rc_t           rc;
    const char        *why;
    unsigned           has;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_kind(text) != LLM_JSON_OBJECT
        || llm_json_begin(&it, text) != LLM_OK)
    {
        return "must be a list of objects";
    }

    has = 0;
    key->expires = LLM_NEVER;

    while ((rc = llm_json_next(&it, &m)) == LLM_OK) {
        why = NULL;

        if (llm_json_key_is(m.key, LLM_STR("sha256"))) {
            why = llm_client_sha256(m.value, key->sha256);
            has = 1;

        } else if (llm_json_key_is(m.key, LLM_STR("prefix"))) {
            if (llm_client_string(m.value, r->mem, &key->prefix) != LLM_OK
                || key->prefix.len > 16
                || llm_client_check_word(key->prefix))
            {
                why = "has a \"prefix\" that is no text of up to 16 bytes";
            }

        } else if (llm_json_key_is(m.key, LLM_STR("expires"))) {
            if (m.kind != LLM_JSON_NULL
                && llm_client_time(m.value, &key->expires) != LLM_OK)
            {
                why = "has an \"expires\" that is no date";
            }

        } else {
            why = "takes only \"sha256\", \"prefix\" and \"expires\"";
        }

        if (why) {
            return why;
        }
    }

    if (rc != LLM_NONE) {
        return "is not valid JSON";
    }

    return has ? NULL : "has a key without \"sha256\"";
}


void
llm_client_read_keys(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    size_t              n;
    llm_rc_t            rc;
    llm_json_iter_t     it;
    llm_json_member_t   element;

    (void) offset;

    if (r->rec->key_n) {
        r->why = "stands beside \"key_sha256\"";
        return;
    }

    if (m->kind != LLM_JSON_ARRAY || llm_json_begin(&it, m->value) != LLM_OK) {
        r->why = "must be a list of objects";
        return;
    }

    for (n = 0; (rc = llm_json_next(&it, &element)) == LLM_OK; n++) {

        if (n == LLM_CLIENT_KEYS) {
            r->why = "has more than 8 keys";
            return;
        }

        r->why = llm_client_one_key(r, element.value, &r->rec->key[n]);

        if (r->why) {
            return;
        }
    }

    if (rc != LLM_NONE) {
        r->why = "is not valid JSON";
    }

    r->rec->key_n = n;
}


int
llm_client_same_key(const unsigned char a[32], const unsigned char b[32])
{
    size_t    i;
    unsigned  diff;

    diff = 0;

    for (i = 0; i < 32; i++) {
        diff |= (unsigned) (a[i] ^ b[i]);
    }

    return diff == 0;
}
