/*
 * What has to change in a request's body for one target.
 *
 * Edits name places in the client's own bytes; the body itself is never copied
 * or printed anew, so whatever the gateway does not know about stays bit-exact.
 * Members of JSON are in llm_edits_json.c, parts of a form in llm_edits_form.c.
 */

#include "llm_edits.h"


llm_rc_t
llm_edits_add(llm_edits_t *e, size_t at, size_t cut, llm_str_t text)
{
    size_t       i;
    llm_edit_t  *edit;

    if (cut > SIZE_MAX - at) {
        return LLM_BAD;
    }

    if (e->n == LLM_EDITS_MAX) {
        return LLM_FULL;
    }

    /* at one place, insertions come in their order and before a cut */

    for (i = e->n; i > 0; i--) {
        edit = &e->edit[i - 1];

        if (edit->at < at || (edit->at == at && edit->cut == 0)) {
            break;
        }

        if (at + cut > edit->at) {
            return LLM_BAD;
        }
    }

    if (i > 0 && e->edit[i - 1].cut > at - e->edit[i - 1].at) {
        return LLM_BAD;
    }

    edit = &e->edit[i];
    memmove(edit + 1, edit, (e->n - i) * sizeof(llm_edit_t));

    edit->at = at;
    edit->cut = cut;
    edit->text = text;
    e->n++;

    return LLM_OK;
}


size_t
llm_edits_length(const llm_edits_t *e, size_t len)
{
    size_t  i;

    for (i = 0; i < e->n; i++) {
        len = len - e->edit[i].cut + e->edit[i].text.len;
    }

    return len;
}


void
llm_edits_apply(const llm_edits_t *e, llm_str_t body, llm_buf_t *out)
{
    size_t  i, at;

    at = 0;

    for (i = 0; i < e->n; i++) {
        llm_buf_put(out, body.data + at, e->edit[i].at - at);
        llm_buf_str(out, e->edit[i].text);
        at = e->edit[i].at + e->edit[i].cut;
    }

    llm_buf_put(out, body.data + at, body.len - at);
}


/* ---- what becomes of a member ------------------------------------- */


llm_entry_t *
llm_entries_add(llm_entries_t *e, llm_str_t name, llm_str_t value)
{
    llm_entry_t  *entry;

    if (e->n == LLM_EDITS_MAX) {
        return NULL;
    }

    entry = &e->entry[e->n++];
    memset(entry, 0, sizeof(llm_entry_t));

    entry->name = name;
    entry->value = value;

    return entry;
}


static int
llm_entry_is(const llm_entry_t *entry, llm_str_t name)
{
    return !entry->gone && llm_str_eq(entry->name, name);
}


/* Whether it is there with more than null. */
static int
llm_entries_has(const llm_entries_t *e, llm_str_t name)
{
    size_t  i;

    for (i = 0; i < e->n; i++) {
        if (llm_entry_is(&e->entry[i], name) && !e->entry[i].null) {
            return 1;
        }
    }

    return 0;
}


/* Whether more than null went. */
static int
llm_entries_drop(llm_entries_t *e, llm_str_t name)
{
    int     met;
    size_t  i;

    met = llm_entries_has(e, name);

    for (i = 0; i < e->n; i++) {
        if (llm_entry_is(&e->entry[i], name)) {
            e->entry[i].gone = 1;
        }
    }

    return met;
}


/* All members of that name get the value, but only the first of parts. */
static llm_rc_t
llm_entries_set(llm_entries_t *e, llm_str_t name, llm_str_t value)
{
    size_t        i, n;
    llm_entry_t  *entry;

    n = 0;

    for (i = 0; i < e->n; i++) {
        entry = &e->entry[i];

        if (!llm_entry_is(entry, name)) {
            continue;
        }

        if (n++ && e->form) {
            entry->gone = 1;
            continue;
        }

        entry->value = value;
        entry->null = 0;
    }

    return n || llm_entries_add(e, name, value) ? LLM_OK : LLM_FULL;
}


static void
llm_entries_rename(llm_entries_t *e, llm_str_t name, llm_str_t to)
{
    size_t        i;
    llm_entry_t  *entry;

    if (llm_str_eq(name, to) || !llm_entries_has(e, name)) {
        return;
    }

    if (llm_entries_has(e, to)) {
        (void) llm_entries_drop(e, name);
        return;
    }

    (void) llm_entries_drop(e, to);

    for (i = 0; i < e->n; i++) {
        entry = &e->entry[i];

        if (llm_entry_is(entry, name)) {
            entry->name = to;
            entry->renamed = 1;
        }
    }
}


llm_rc_t
llm_entries_run(llm_entries_t *e, const llm_steps_t *steps)
{
    size_t              i;
    llm_rc_t            rc;
    llm_str_t           value;
    const llm_field_t  *f;

    rc = LLM_OK;

    for (i = 0; i < steps->n && rc == LLM_OK; i++) {
        f = &steps->step[i];
        value = e->form ? f->text : f->json;

        switch (f->what) {

        case LLM_FIELD_RENAME:
            llm_entries_rename(e, f->name, f->to);
            break;

        case LLM_FIELD_DROP:
            if (llm_entries_drop(e, f->name) && i >= steps->own) {
                e->dropped |= 1ULL << (i - steps->own);
            }
            break;

        case LLM_FIELD_DEFAULT:
            if (value.data && !llm_entries_has(e, f->name)) {
                rc = llm_entries_set(e, f->name, value);
            }
            break;

        default: /* LLM_FIELD_SET */
            if (value.data) {
                rc = llm_entries_set(e, f->name, value);
            }
            break;
        }
    }

    return rc;
}


/* ---- one request --------------------------------------------------- */


llm_field_t *
llm_steps_add(llm_steps_t *steps, llm_str_t name, llm_str_t json)
{
    llm_field_t  *f;

    f = &steps->step[steps->n++];
    memset(f, 0, sizeof(llm_field_t));

    f->name = name;
    f->json = json;

    return f;
}


/* The target's model name, and its fields without those that would fight it. */
static llm_rc_t
llm_steps_make(llm_steps_t *steps, llm_str_t model, const llm_field_t *field,
    size_t field_n, llm_buf_t *mem)
{
    size_t        i;
    llm_buf_t     out;
    llm_field_t  *f;

    steps->n = 0;
    steps->own = 0;

    if (field_n > LLM_FIELDS_MAX) {
        return LLM_FULL;
    }

    if (model.data) {
        llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));
        llm_json_put_string(&out, model);

        if (out.full) {
            return LLM_FULL;
        }

        mem->pos = out.pos;

        f = llm_steps_add(steps, LLM_STR("model"), llm_buf_view(&out));
        f->text = model;
        steps->own = 1;
    }

    for (i = 0; i < field_n; i++) {
        f = &steps->step[steps->n++];
        *f = field[i];

        if (model.data && llm_str_eq(f->name, LLM_STR("model"))) {
            memset(f, 0, sizeof(llm_field_t));
        }
    }

    return LLM_OK;
}


llm_rc_t
llm_request_edits(const llm_request_t *r, llm_str_t model,
    const llm_field_t *field, size_t field_n, int want_usage, llm_buf_t *mem,
    llm_edits_t *edits)
{
    llm_rc_t     rc;
    llm_steps_t  steps;

    edits->n = 0;
    edits->dropped = 0;

    if (r->kind != LLM_BODY_JSON && r->kind != LLM_BODY_MULTIPART) {
        return LLM_OK;
    }

    if (r->endpoint == LLM_EP_REALTIME
        && r->member[LLM_M_MODEL].value.data == NULL)
    {
        model = LLM_NOSTR;
    }

    rc = llm_steps_make(&steps, model, field, field_n, mem);
    if (rc != LLM_OK) {
        return rc;
    }

    if (r->kind == LLM_BODY_JSON) {
        return llm_edits_json(r, &steps, want_usage, mem, edits);
    }

    return llm_edits_form(r, &steps, mem, edits);
}
