/*
 * The parts of a form that a target's fields are about, and the edits that
 * change, remove and add them.
 */

#include "llm_edits.h"


static int
llm_part_name_fits(llm_str_t name)
{
    size_t  i;

    for (i = 0; i < name.len; i++) {
        if (name.data[i] < 0x20 || name.data[i] == '"'
            || name.data[i] == '\\')
        {
            return 0;
        }
    }

    return 1;
}


/* Whether a part of that content stays one: no line of it begins with
 * "--boundary", which ends it.  Some servers take a bare CR or LF for a line's
 * end. */
static int
llm_part_text_fits(llm_str_t text, llm_str_t boundary)
{
    size_t                i;
    const unsigned char  *p;

    for (i = 0; i + 2 + boundary.len <= text.len; i++) {
        p = text.data + i;

        if ((i == 0 || p[-1] == '\r' || p[-1] == '\n')
            && p[0] == '-' && p[1] == '-'
            && memcmp(p + 2, boundary.data, boundary.len) == 0)
        {
            return 0;
        }
    }

    return 1;
}


/* A name must not leave its header line, nor a content its part. */
static int
llm_part_fits(const llm_field_t *f, llm_str_t boundary)
{
    return llm_part_text_fits(f->text, boundary)
           && llm_part_name_fits(f->name) && llm_part_name_fits(f->to);
}


/* Whether some step is about a part of that name. */
static int
llm_parts_want(const llm_steps_t *steps, llm_str_t name)
{
    size_t  i;

    for (i = 0; i < steps->n; i++) {
        if (llm_str_eq(steps->step[i].name, name)
            || llm_str_eq(steps->step[i].to, name))
        {
            return 1;
        }
    }

    return 0;
}


/* Those that a step is about; steps NULL: all of them. */
static llm_rc_t
llm_parts_find(llm_entries_t *e, const llm_request_t *r,
    const llm_steps_t *steps)
{
    size_t             i;
    llm_str_t          value;
    llm_entry_t       *entry;
    const llm_part_t  *part;

    e->n = 0;
    e->count = r->part_n;
    e->dropped = 0;
    e->form = 1;

    for (i = 0; i < r->part_n; i++) {
        part = &r->part[i];

        if (steps && !llm_parts_want(steps, part->name)) {
            continue;
        }

        value.data = r->body.data + part->body;
        value.len = part->body_end - part->body;

        entry = llm_entries_add(e, part->name, value);
        if (entry == NULL) {
            return LLM_FULL;
        }

        entry->key = part->name;
        entry->was = value;
        entry->at = i;
    }

    return LLM_OK;
}


/* A new name takes the place of the old one; one that stood without quotes gets
 * them. */
static llm_rc_t
llm_part_rename(const llm_entry_t *entry, const llm_request_t *r,
    llm_buf_t *mem, llm_edits_t *edits)
{
    size_t     at;
    llm_buf_t  out;

    at = (size_t) (entry->key.data - r->body.data);

    if (entry->key.data[-1] == '"') {
        return llm_edits_add(edits, at, entry->key.len, entry->name);
    }

    llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));
    llm_buf_put(&out, "\"", 1);
    llm_buf_str(&out, entry->name);
    llm_buf_put(&out, "\"", 1);

    if (out.full) {
        return LLM_FULL;
    }

    mem->pos = out.pos;

    return llm_edits_add(edits, at, entry->key.len, llm_buf_view(&out));
}


static llm_rc_t
llm_part_change(const llm_entry_t *entry, const llm_request_t *r,
    llm_buf_t *mem, llm_edits_t *edits)
{
    llm_rc_t           rc;
    const llm_part_t  *part;

    part = &r->part[entry->at];

    if (entry->gone) {
        return llm_edits_add(edits, part->start, part->end - part->start,
                             LLM_NOSTR);
    }

    rc = entry->renamed ? llm_part_rename(entry, r, mem, edits) : LLM_OK;

    if (rc != LLM_OK || llm_str_eq(entry->value, entry->was)) {
        return rc;
    }

    rc = llm_edits_add(edits, part->body, part->body_end - part->body,
                       entry->value);

    if (rc == LLM_OK && entry->value.len && part->end == part->body_end) {
        /* an empty part lent its blank line to the boundary */
        rc = llm_edits_add(edits, part->end, 0, LLM_STR("\r\n"));
    }

    return rc;
}


static void
llm_part_put(const llm_entry_t *entry, llm_str_t boundary, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("--"));
    llm_buf_str(out, boundary);
    llm_buf_str(out,
                LLM_STR("\r\nContent-Disposition: form-data; name=\""));
    llm_buf_str(out, entry->name);
    llm_buf_str(out, LLM_STR("\"\r\n\r\n"));
    llm_buf_str(out, entry->value);
    llm_buf_str(out, LLM_STR("\r\n"));
}


static llm_rc_t
llm_parts_insert(const llm_entries_t *e, const llm_request_t *r,
    llm_buf_t *mem, llm_edits_t *edits)
{
    size_t     i;
    llm_buf_t  out;

    llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));

    for (i = 0; i < e->n; i++) {
        if (e->entry[i].was.data == NULL && !e->entry[i].gone) {
            llm_part_put(&e->entry[i], r->boundary, &out);
        }
    }

    if (out.full) {
        return LLM_FULL;
    }

    if (out.pos == out.start) {
        return LLM_OK;
    }

    mem->pos = out.pos;

    /* in front of the first part: a server that streams knows the model then */

    return llm_edits_add(edits, r->part_n ? r->part[0].start : r->close_at, 0,
                         llm_buf_view(&out));
}


llm_rc_t
llm_edits_form(const llm_request_t *r, const llm_steps_t *steps,
    llm_buf_t *mem, llm_edits_t *edits)
{
    size_t         i;
    llm_rc_t       rc;
    llm_entries_t  e;

    for (i = 0; i < steps->n; i++) {
        if (!llm_part_fits(&steps->step[i], r->boundary)) {
            return LLM_BAD;
        }
    }

    rc = llm_parts_find(&e, r, steps);

    if (rc == LLM_OK) {
        rc = llm_entries_run(&e, steps);
    }

    for (i = 0; i < e.n && rc == LLM_OK; i++) {
        if (e.entry[i].was.data) {
            rc = llm_part_change(&e.entry[i], r, mem, edits);
        }
    }

    edits->dropped = e.dropped;

    return rc == LLM_OK ? llm_parts_insert(&e, r, mem, edits) : rc;
}


llm_rc_t
llm_form_fields(const llm_request_t *r, const llm_field_t *field,
    size_t field_n, llm_entries_t *e)
{
    llm_rc_t     rc;
    llm_steps_t  steps;

    if (field_n > LLM_FIELDS_MAX) {
        return LLM_FULL;
    }

    steps.n = field_n;
    steps.own = 0;

    if (field_n) {
        memcpy(steps.step, field, field_n * sizeof(llm_field_t));
    }

    rc = llm_parts_find(e, r, NULL);

    return rc == LLM_OK ? llm_entries_run(e, &steps) : rc;
}
