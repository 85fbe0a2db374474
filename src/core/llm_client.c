/*
 * One record of a client, a user or an organisation: members, checked by a
 * table.
 */

#include "llm_client_read.h"


typedef struct {
    llm_str_t      name;
    unsigned       kinds;               /* bits of llm_party_t */
    llm_client_pt  take;
    size_t         offset;              /* in the record */
} llm_client_member_t;

#define LLM_C    (1 << LLM_PARTY_CLIENT)
#define LLM_CU   (LLM_C | 1 << LLM_PARTY_USER)
#define LLM_O    (1 << LLM_PARTY_ORG)
#define LLM_CUO  (LLM_CU | LLM_O)

#define llm_s(s)   { sizeof(s) - 1, (const unsigned char *) (s) }
#define llm_at(m)  offsetof(llm_client_record_t, m)

#define llm_field(r, offset, type)                                            \
    ((type *) (void *) ((unsigned char *) (r)->rec + (offset)))


static void llm_client_read_word(llm_client_read_t *r,
    const llm_json_member_t *m, size_t offset);
static void llm_client_read_list(llm_client_read_t *r,
    const llm_json_member_t *m, size_t offset);
static void llm_client_read_object(llm_client_read_t *r,
    const llm_json_member_t *m, size_t offset);
static void llm_client_read_time(llm_client_read_t *r,
    const llm_json_member_t *m, size_t offset);
static void llm_client_read_flag(llm_client_read_t *r,
    const llm_json_member_t *m, size_t offset);
static void llm_client_read_priority(llm_client_read_t *r,
    const llm_json_member_t *m, size_t offset);


static const llm_client_member_t  llm_client_members[] = {
    { llm_s("id"), LLM_CUO, llm_client_read_word, llm_at(id) },
    { llm_s("name"), LLM_CUO, llm_client_read_word, llm_at(name) },
    { llm_s("key_sha256"), LLM_C, llm_client_read_key, 0 },
    { llm_s("prefix"), LLM_C, llm_client_read_prefix, 0 },
    { llm_s("keys"), LLM_C, llm_client_read_keys, 0 },
    { llm_s("user"), LLM_C, llm_client_read_word, llm_at(user) },
    { llm_s("org"), LLM_CU, llm_client_read_word, llm_at(org) },
    { llm_s("models"), LLM_C, llm_client_read_list, llm_at(models) },
    { llm_s("routes"), LLM_C, llm_client_read_list, llm_at(routes) },
    { llm_s("expires"), LLM_C, llm_client_read_time, llm_at(expires) },
    { llm_s("disabled"), LLM_C, llm_client_read_flag, llm_at(disabled) },
    { llm_s("priority"), LLM_C, llm_client_read_priority, 0 },
    { llm_s("timezone"), LLM_O, llm_client_read_word, llm_at(timezone) },
    { llm_s("limits"), LLM_CUO, llm_client_read_list, llm_at(limits) },
    { llm_s("budgets"), LLM_CUO, llm_client_read_list, llm_at(budgets) },
    { llm_s("metadata"), LLM_CUO, llm_client_read_object, llm_at(metadata) }
};

#define LLM_CLIENT_MEMBERS                                                    \
    (sizeof(llm_client_members) / sizeof(llm_client_member_t))


static const llm_str_t  llm_parties[LLM_PARTY_N] = {
    llm_s("client"), llm_s("user"), llm_s("org")
};


llm_str_t
llm_party_name(llm_party_t kind)
{
    return llm_parties[kind < LLM_PARTY_N ? kind : LLM_PARTY_CLIENT];
}


static void
llm_client_read_word(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    llm_str_t  *s;

    s = llm_field(r, offset, llm_str_t);

    if (llm_client_string(m->value, r->mem, s) != LLM_OK) {
        r->why = "must be a string";
        return;
    }

    r->why = llm_client_check_word(*s);
}


static void
llm_client_read_list(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    size_t             n;
    llm_rc_t           rc;
    llm_str_t          s;
    llm_buf_t          mem;
    llm_json_iter_t    it;
    llm_json_member_t  element;

    r->why = "must be a list of texts";

    if (m->kind != LLM_JSON_ARRAY || llm_json_begin(&it, m->value) != LLM_OK) {
        return;
    }

    /* only to look at: the caller's memory is as it was */

    mem = *r->mem;

    for (n = 0; (rc = llm_json_next(&it, &element)) == LLM_OK; n++) {
        mem.pos = r->mem->pos;

        if (llm_client_string(element.value, &mem, &s) != LLM_OK) {
            return;
        }

        if (s.len == 0) {
            r->why = "has an empty text";
            return;
        }

        if (llm_client_check_word(s)) {
            r->why = llm_client_check_word(s);
            return;
        }

        if (n == LLM_CLIENT_LIST) {
            r->why = "has more than 1000 texts";
            return;
        }
    }

    if (rc == LLM_NONE) {
        *llm_field(r, offset, llm_str_t) = m->value;
        r->why = NULL;
    }
}


static void
llm_client_read_object(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    if (m->kind != LLM_JSON_OBJECT || llm_json_check(m->value) != LLM_OK) {
        r->why = "must be an object";
        return;
    }

    *llm_field(r, offset, llm_str_t) = m->value;
}


static void
llm_client_read_time(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    if (llm_client_time(m->value, llm_field(r, offset, llm_msec_t)) != LLM_OK)
    {
        r->why = "must be a date such as \"2026-12-31\" or "
                 "\"2026-12-31T18:00:00Z\"";
    }
}


static void
llm_client_read_flag(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    if (m->kind != LLM_JSON_TRUE && m->kind != LLM_JSON_FALSE) {
        r->why = "must be true or false";
        return;
    }

    *llm_field(r, offset, int) = (m->kind == LLM_JSON_TRUE);
}


static void
llm_client_read_priority(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset)
{
    llm_str_t  s;

    (void) offset;

    if (llm_client_string(m->value, r->mem, &s) == LLM_OK) {
        r->rec->priority = llm_priority_find(s);

        if (r->rec->priority != LLM_PRIORITY_UNSET) {
            return;
        }
    }

    r->why = "must be \"low\", \"normal\" or \"high\"";
}


static const llm_client_member_t *
llm_client_find_member(llm_str_t key, llm_party_t kind)
{
    size_t  i;

    for (i = 0; i < LLM_CLIENT_MEMBERS; i++) {
        if ((llm_client_members[i].kinds & 1u << kind)
            && llm_json_key_is(key, llm_client_members[i].name))
        {
            return &llm_client_members[i];
        }
    }

    return NULL;
}


static llm_rc_t
llm_client_fail(llm_client_error_t *error, const char *why, llm_str_t member)
{
    error->why = why;
    error->member = member;

    return LLM_BAD;
}


/* A null is as good as nothing, so that an absent member can be said. */
static llm_rc_t
llm_client_read_members(llm_client_read_t *r, llm_party_t kind,
    llm_client_error_t *error)
{
    size_t                      i;
    llm_rc_t                    rc;
    unsigned                    seen;
    llm_json_iter_t             it;
    llm_json_member_t           m;
    const llm_client_member_t  *row;

    if (llm_json_begin(&it, r->rec->text) != LLM_OK || it.close != '}') {
        return llm_client_fail(error, "is no object", LLM_NOSTR);
    }

    seen = 0;

    while ((rc = llm_json_next(&it, &m)) == LLM_OK) {
        row = llm_client_find_member(m.key, kind);

        if (row == NULL) {
            return llm_client_fail(error, "is unknown", m.key);
        }

        i = (size_t) (row - llm_client_members);

        if (seen & 1u << i) {
            return llm_client_fail(error, "stands there twice", m.key);
        }

        seen |= 1u << i;

        if (m.kind == LLM_JSON_NULL) {
            continue;
        }

        row->take(r, &m, row->offset);

        if (r->why) {
            return llm_client_fail(error, r->why, row->name);
        }
    }

    if (rc != LLM_NONE) {
        return llm_client_fail(error, "is not valid JSON", LLM_NOSTR);
    }

    return LLM_OK;
}


llm_rc_t
llm_client_record(llm_party_t kind, llm_str_t text, llm_buf_t *mem,
    llm_client_record_t *rec, llm_client_error_t *error)
{
    llm_client_read_t  r;

    memset(rec, 0, sizeof(llm_client_record_t));

    rec->text = text;
    rec->expires = LLM_NEVER;
    rec->key[0].expires = LLM_NEVER;
    rec->priority = LLM_PRIORITY_UNSET;

    r.mem = mem;
    r.rec = rec;
    r.why = NULL;

    if (llm_client_read_members(&r, kind, error) != LLM_OK) {
        return LLM_BAD;
    }

    if (rec->id.len == 0) {
        return llm_client_fail(error, "is missing", LLM_STR("id"));
    }

    if (mem->full) {
        return llm_client_fail(error, "is too long", LLM_NOSTR);
    }

    return LLM_OK;
}
