/*
 * What has to change in a request's body for one target.
 *
 * Edits name places in the client's own bytes; the body itself is never copied
 * or printed anew, so whatever the gateway does not know about stays bit-exact.
 */

#include "llm_request.h"


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


/* ---- JSON bodies --------------------------------------------------- */


/* One field on its way into a body. */
typedef struct {
    llm_str_t  name;
    llm_str_t  value;                   /* raw JSON, or the text of a part */
    unsigned   only_if_absent:1;
    unsigned   scanned:1;               /* llm_request_t.member has its place */
    unsigned   there:1;                 /* the client sent it */
} llm_set_t;


typedef struct {
    llm_set_t  set[LLM_EDITS_MAX];
    size_t     n;
} llm_sets_t;


static llm_set_t *
llm_sets_find(llm_sets_t *s, llm_str_t name)
{
    size_t  i;

    for (i = 0; i < s->n; i++) {
        if (llm_str_eq(s->set[i].name, name)) {
            return &s->set[i];
        }
    }

    return NULL;
}


/* Of two fields with one name the later one holds. */
static llm_rc_t
llm_sets_add(llm_sets_t *s, llm_str_t name, llm_str_t value,
    unsigned only_if_absent)
{
    llm_set_t  *set;

    set = llm_sets_find(s, name);

    if (set == NULL) {
        if (s->n == LLM_EDITS_MAX) {
            return LLM_FULL;
        }
        set = &s->set[s->n++];
    }

    memset(set, 0, sizeof(llm_set_t));

    set->name = name;
    set->value = value;
    set->only_if_absent = only_if_absent ? 1 : 0;

    return LLM_OK;
}


/* The target's fields, without one that would fight its model name. */
static llm_rc_t
llm_sets_fields(llm_sets_t *s, const llm_request_t *r, llm_str_t model,
    const llm_field_t *field, size_t field_n)
{
    size_t     i;
    llm_rc_t   rc;
    llm_str_t  value;

    for (i = 0; i < field_n; i++) {

        value = r->kind == LLM_BODY_JSON ? field[i].json : field[i].text;

        if (value.data == NULL
            || (model.data && llm_str_eq(field[i].name, LLM_STR("model"))))
        {
            continue;
        }

        rc = llm_sets_add(s, field[i].name, value, field[i].only_if_absent);
        if (rc != LLM_OK) {
            return rc;
        }
    }

    return LLM_OK;
}


/* The client's member stands where a field is to be set. */
static llm_rc_t
llm_json_replace(llm_set_t *set, const llm_request_t *r, llm_str_t value,
    llm_edits_t *edits)
{
    set->there = 1;

    /* null is as good as absent */

    if ((set->only_if_absent && llm_json_kind(value) != LLM_JSON_NULL)
        || llm_str_eq(value, set->value))
    {
        return LLM_OK;
    }

    return llm_edits_add(edits, (size_t) (value.data - r->body.data),
                         value.len, set->value);
}


/* Fields among the members that the scan of the request has found already. */
static llm_rc_t
llm_json_scanned(llm_sets_t *s, const llm_request_t *r, llm_edits_t *edits)
{
    size_t      i;
    llm_rc_t    rc;
    llm_set_t  *set;

    for (i = 0; i < LLM_M_COUNT; i++) {

        set = llm_sets_find(s, r->member[i].name);
        if (set == NULL) {
            continue;
        }

        set->scanned = 1;

        if (r->member[i].value.data == NULL) {
            continue;
        }

        rc = llm_json_replace(set, r, r->member[i].value, edits);
        if (rc != LLM_OK) {
            return rc;
        }
    }

    return LLM_OK;
}


/* The others cost one more pass over the body, however many there are. */
static llm_rc_t
llm_json_unscanned(llm_sets_t *s, const llm_request_t *r, llm_edits_t *edits)
{
    size_t             i, n;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    n = 0;

    for (i = 0; i < s->n; i++) {
        n += !s->set[i].scanned;
    }

    if (n == 0 || llm_json_begin(&it, r->body) != LLM_OK) {
        return LLM_OK;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        for (i = 0; i < s->n; i++) {

            if (s->set[i].scanned || !llm_json_key_is(m.key, s->set[i].name)) {
                continue;
            }

            rc = llm_json_replace(&s->set[i], r, m.value, edits);
            if (rc != LLM_OK) {
                return rc;
            }
        }
    }

    return LLM_OK;
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
llm_json_insert(llm_sets_t *s, const llm_request_t *r, llm_buf_t *mem,
    llm_edits_t *edits)
{
    int         empty;
    size_t      i, at;
    llm_buf_t   out;
    llm_str_t   text;
    llm_set_t  *set;

    llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));

    for (i = 0; i < s->n; i++) {
        set = &s->set[i];

        if (set->there) {
            continue;
        }

        llm_json_put_string(&out, set->name);
        llm_buf_put(&out, ":", 1);
        llm_buf_str(&out, set->value);
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
    text.len -= empty ? 1 : 0;

    return llm_edits_add(edits, at, 0, text);
}


/* stream_options.include_usage: true, whatever else stands in there. */
static llm_rc_t
llm_json_usage(llm_sets_t *s, const llm_request_t *r, llm_edits_t *edits)
{
    int                     empty;
    size_t                  at;
    llm_str_t               text;
    llm_json_member_t       m;
    const llm_json_want_t  *options;

    if (r->include_usage || llm_sets_find(s, LLM_STR("stream_options"))) {
        return LLM_OK;
    }

    options = &r->member[LLM_M_STREAM_OPTIONS];

    if (options->kind != LLM_JSON_OBJECT) {
        return llm_sets_add(s, LLM_STR("stream_options"),
                            LLM_STR("{\"include_usage\":true}"), 0);
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


static llm_rc_t
llm_json_edits(const llm_request_t *r, llm_str_t model,
    const llm_field_t *field, size_t field_n, int want_usage, llm_buf_t *mem,
    llm_edits_t *edits)
{
    llm_rc_t    rc;
    llm_buf_t   out;
    llm_sets_t  sets;

    sets.n = 0;

    if (r->endpoint == LLM_EP_REALTIME
        && r->member[LLM_M_MODEL].value.data == NULL)
    {
        model = LLM_NOSTR;
    }

    if (model.data) {
        llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));
        llm_json_put_string(&out, model);

        if (out.full) {
            return LLM_FULL;
        }

        mem->pos = out.pos;
        (void) llm_sets_add(&sets, LLM_STR("model"), llm_buf_view(&out), 0);
    }

    rc = llm_sets_fields(&sets, r, model, field, field_n);

    if (rc == LLM_OK && want_usage) {
        rc = llm_json_usage(&sets, r, edits);
    }

    if (rc == LLM_OK) {
        rc = llm_json_scanned(&sets, r, edits);
    }

    if (rc == LLM_OK) {
        rc = llm_json_unscanned(&sets, r, edits);
    }

    if (rc == LLM_OK) {
        rc = llm_json_insert(&sets, r, mem, edits);
    }

    return rc;
}


/* ---- multipart bodies ---------------------------------------------- */


/* A name must not leave its header line, nor a content its part. */
static int
llm_part_fits(const llm_set_t *set, llm_str_t boundary)
{
    size_t  i;

    for (i = 0; i < set->name.len; i++) {
        if (set->name.data[i] < 0x20 || set->name.data[i] == '"'
            || set->name.data[i] == '\\')
        {
            return 0;
        }
    }

    for (i = 0; i + boundary.len <= set->value.len; i++) {
        if (memcmp(set->value.data + i, boundary.data, boundary.len) == 0) {
            return 0;
        }
    }

    return 1;
}


/* The first part of that name gets the content, further ones go. */
static llm_rc_t
llm_part_replace(llm_set_t *set, const llm_request_t *r, llm_edits_t *edits)
{
    size_t             i, at, len;
    llm_rc_t           rc;
    llm_str_t          value;
    const llm_part_t  *part;

    for (i = 0; i < r->part_n; i++) {
        part = &r->part[i];

        if (!llm_str_eq(part->name, set->name)) {
            continue;
        }

        if (set->only_if_absent) {
            set->there = 1;
            return LLM_OK;
        }

        at = set->there ? part->start : part->body;
        len = (set->there ? part->end : part->body_end) - at;
        value = set->there ? LLM_NOSTR : set->value;

        if (!set->there && len == value.len
            && memcmp(r->body.data + at, value.data, len) == 0)
        {
            set->there = 1;
            continue;
        }

        set->there = 1;

        rc = llm_edits_add(edits, at, len, value);

        if (rc == LLM_OK && value.len && part->end == part->body_end) {
            /* an empty part lent its blank line to the boundary */
            rc = llm_edits_add(edits, part->end, 0, LLM_STR("\r\n"));
        }

        if (rc != LLM_OK) {
            return rc;
        }
    }

    return LLM_OK;
}


static void
llm_part_put(const llm_set_t *set, llm_str_t boundary, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("--"));
    llm_buf_str(out, boundary);
    llm_buf_str(out,
                LLM_STR("\r\nContent-Disposition: form-data; name=\""));
    llm_buf_str(out, set->name);
    llm_buf_str(out, LLM_STR("\"\r\n\r\n"));
    llm_buf_str(out, set->value);
    llm_buf_str(out, LLM_STR("\r\n"));
}


static llm_rc_t
llm_part_edits(const llm_request_t *r, llm_str_t model,
    const llm_field_t *field, size_t field_n, llm_buf_t *mem,
    llm_edits_t *edits)
{
    size_t      i;
    llm_rc_t    rc;
    llm_buf_t   out;
    llm_sets_t  sets;

    sets.n = 0;

    if (model.data) {
        (void) llm_sets_add(&sets, LLM_STR("model"), model, 0);
    }

    rc = llm_sets_fields(&sets, r, model, field, field_n);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));

    for (i = 0; i < sets.n; i++) {

        if (!llm_part_fits(&sets.set[i], r->boundary)) {
            return LLM_BAD;
        }

        rc = llm_part_replace(&sets.set[i], r, edits);
        if (rc != LLM_OK) {
            return rc;
        }

        if (!sets.set[i].there) {
            llm_part_put(&sets.set[i], r->boundary, &out);
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
llm_request_edits(const llm_request_t *r, llm_str_t model,
    const llm_field_t *field, size_t field_n, int want_usage, llm_buf_t *mem,
    llm_edits_t *edits)
{
    edits->n = 0;

    switch (r->kind) {

    case LLM_BODY_JSON:
        return llm_json_edits(r, model, field, field_n, want_usage, mem, edits);

    case LLM_BODY_MULTIPART:
        return llm_part_edits(r, model, field, field_n, mem, edits);

    default:
        return LLM_OK;
    }
}
