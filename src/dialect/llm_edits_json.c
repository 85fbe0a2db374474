/*
 * The members of a JSON body that a target's fields are about, and the edits
 * that change, remove and add them.
 */

#include "llm_edits.h"


/* Whether the scan of the request has found all there is to find. */
static int
llm_members_scanned(const llm_request_t *r, const llm_steps_t *steps)
{
    size_t              i, k;
    const llm_field_t  *f;

    for (i = 0; i < steps->n; i++) {
        f = &steps->step[i];

        if (f->name.len == 0) {
            continue;
        }

        for (k = 0; k < LLM_M_COUNT; k++) {
            if (llm_str_eq(r->member[k].name, f->name)) {
                break;
            }
        }

        if (k == LLM_M_COUNT || f->what == LLM_FIELD_RENAME
            || (f->what == LLM_FIELD_DROP && r->member[k].value.data))
        {
            return 0;
        }
    }

    return 1;
}


static llm_rc_t
llm_members_scan(llm_entries_t *e, const llm_request_t *r)
{
    size_t        i;
    llm_entry_t  *entry;

    for (i = 0; i < LLM_M_COUNT; i++) {

        if (r->member[i].value.data == NULL) {
            continue;
        }

        entry = llm_entries_add(e, r->member[i].name, r->member[i].value);
        if (entry == NULL) {
            return LLM_FULL;
        }

        entry->was = entry->value;
        entry->null = (r->member[i].kind == LLM_JSON_NULL);
    }

    return LLM_OK;
}


/* The name that a step is about and that a key spells, or empty. */
static llm_str_t
llm_members_name(const llm_steps_t *steps, llm_str_t key)
{
    size_t              i;
    const llm_field_t  *f;

    for (i = 0; i < steps->n; i++) {
        f = &steps->step[i];

        if (f->name.len && llm_json_key_is(key, f->name)) {
            return f->name;
        }

        if (f->to.len && llm_json_key_is(key, f->to)) {
            return f->to;
        }
    }

    return LLM_NOSTR;
}


/* The others cost one more pass over the body, however many there are. */
static llm_rc_t
llm_members_find(llm_entries_t *e, const llm_request_t *r,
    const llm_steps_t *steps)
{
    size_t             last, key, end;
    llm_str_t          name;
    llm_entry_t       *entry;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    entry = NULL;
    last = 0;

    if (llm_json_begin(&it, r->body) != LLM_OK) {
        return LLM_BAD;
    }

    for ( /* void */ ; llm_json_next(&it, &m) == LLM_OK; e->count++) {

        key = (size_t) (m.key.data - r->body.data) - 1;
        end = (size_t) (m.value.data - r->body.data) + m.value.len;

        if (entry) {
            entry->to = key;
            entry = NULL;
        }

        name = llm_members_name(steps, m.key);

        if (name.len) {
            entry = llm_entries_add(e, name, m.value);
            if (entry == NULL) {
                return LLM_FULL;
            }

            entry->key = m.key;
            entry->was = m.value;
            entry->null = (m.kind == LLM_JSON_NULL);
            entry->at = e->count;
            entry->from = last;
            entry->to = end;
        }

        last = end;
    }

    return LLM_OK;
}


/* A removed member takes the comma in front of it along, or the one behind it
 * where nothing stays in front; *lead counts such. */
static llm_rc_t
llm_member_cut(const llm_entry_t *entry, const llm_request_t *r, size_t *lead,
    llm_edits_t *edits)
{
    size_t  from, to;

    if (entry->at == *lead) {
        from = (size_t) (entry->key.data - r->body.data) - 1;
        to = entry->to;
        (*lead)++;

    } else {
        from = entry->from;
        to = (size_t) (entry->was.data - r->body.data) + entry->was.len;
    }

    return llm_edits_add(edits, from, to - from, LLM_NOSTR);
}


static llm_rc_t
llm_member_change(const llm_entry_t *entry, const llm_request_t *r,
    llm_buf_t *mem, llm_edits_t *edits)
{
    llm_rc_t   rc;
    llm_buf_t  out;

    rc = LLM_OK;

    if (entry->renamed) {
        llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));
        llm_json_put_string(&out, entry->name);

        if (out.full) {
            return LLM_FULL;
        }

        mem->pos = out.pos;

        rc = llm_edits_add(edits,
                           (size_t) (entry->key.data - r->body.data) - 1,
                           entry->key.len + 2, llm_buf_view(&out));
    }

    if (rc == LLM_OK && !llm_str_eq(entry->value, entry->was)) {
        rc = llm_edits_add(edits, (size_t) (entry->was.data - r->body.data),
                           entry->was.len, entry->value);
    }

    return rc;
}


/* Where members of an object can be put in front, and whether it has any. */
static size_t
llm_json_front(llm_str_t object, int *empty)
{
    size_t             i;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    *empty = llm_json_begin(&it, object) != LLM_OK
             || llm_json_next(&it, &m) != LLM_OK;

    for (i = 0; i < object.len && object.data[i] != '{'; i++) {
        /* void */
    }

    return i + 1;
}


static llm_rc_t
llm_members_insert(const llm_entries_t *e, const llm_request_t *r, size_t lead,
    llm_buf_t *mem, llm_edits_t *edits)
{
    int                 empty;
    size_t              i, at;
    llm_buf_t           out;
    llm_str_t           text;
    const llm_entry_t  *entry;

    llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));

    for (i = 0; i < e->n; i++) {
        entry = &e->entry[i];

        if (entry->was.data || entry->gone) {
            continue;
        }

        llm_json_put_string(&out, entry->name);
        llm_buf_put(&out, ":", 1);
        llm_buf_str(&out, entry->value);
        llm_buf_put(&out, ",", 1);
    }

    if (out.full) {
        return LLM_FULL;
    }

    text = llm_buf_view(&out);

    if (text.len == 0) {
        return LLM_OK;
    }

    mem->pos = out.pos;

    at = llm_json_front(r->body, &empty);
    text.len -= empty || (lead && lead == e->count) ? 1 : 0;

    return llm_edits_add(edits, at, 0, text);
}


/* stream_options.include_usage: true, whatever else stands in there. */
static llm_rc_t
llm_json_usage(llm_steps_t *steps, const llm_request_t *r, llm_edits_t *edits)
{
    int                     empty;
    size_t                  at;
    llm_str_t               text;
    llm_json_member_t       m;
    const llm_json_want_t  *options;

    if (r->include_usage) {
        return LLM_OK;
    }

    options = &r->member[LLM_M_STREAM_OPTIONS];

    if (options->kind != LLM_JSON_OBJECT) {
        (void) llm_steps_add(steps, LLM_STR("stream_options"),
                             LLM_STR("{\"include_usage\":true}"));
        return LLM_OK;
    }

    at = (size_t) (options->value.data - r->body.data);

    if (llm_json_get(options->value, LLM_STR("include_usage"), &m) == LLM_OK) {
        return llm_edits_add(edits, (size_t) (m.value.data - r->body.data),
                             m.value.len, LLM_STR("true"));
    }

    at += llm_json_front(options->value, &empty);
    text = empty ? LLM_STR("\"include_usage\":true")
                 : LLM_STR("\"include_usage\":true,");

    return llm_edits_add(edits, at, 0, text);
}


llm_rc_t
llm_edits_json(const llm_request_t *r, llm_steps_t *steps, int want_usage,
    llm_buf_t *mem, llm_edits_t *edits)
{
    size_t              i, lead;
    llm_rc_t            rc;
    llm_entries_t       e;
    const llm_entry_t  *entry;

    e.n = 0;
    e.count = 0;
    e.dropped = 0;
    e.form = 0;

    rc = want_usage ? llm_json_usage(steps, r, edits) : LLM_OK;

    if (rc == LLM_OK) {
        rc = llm_members_scanned(r, steps) ? llm_members_scan(&e, r)
                                           : llm_members_find(&e, r, steps);
    }

    if (rc == LLM_OK) {
        rc = llm_entries_run(&e, steps);
    }

    lead = 0;

    for (i = 0; i < e.n && rc == LLM_OK; i++) {
        entry = &e.entry[i];

        if (entry->was.data == NULL) {
            continue;
        }

        rc = entry->gone ? llm_member_cut(entry, r, &lead, edits)
                         : llm_member_change(entry, r, mem, edits);
    }

    edits->dropped = e.dropped;

    return rc == LLM_OK ? llm_members_insert(&e, r, lead, mem, edits) : rc;
}
