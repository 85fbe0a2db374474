/*
 * Reading a request in the hub's form, and the values that all dialects meet.
 */

#include "llm_hub.h"
#include "llm_delta.h"


static const llm_str_t  llm_hub_names[LLM_H_COUNT] = {
    [LLM_H_MODEL] = LLM_STR("model"),
    [LLM_H_MESSAGES] = LLM_STR("messages"),
    [LLM_H_STREAM] = LLM_STR("stream"),
    [LLM_H_STREAM_OPTIONS] = LLM_STR("stream_options"),
    [LLM_H_MAX_TOKENS] = LLM_STR("max_tokens"),
    [LLM_H_MAX_COMPLETION_TOKENS] = LLM_STR("max_completion_tokens"),
    [LLM_H_TEMPERATURE] = LLM_STR("temperature"),
    [LLM_H_TOP_P] = LLM_STR("top_p"),
    [LLM_H_TOP_K] = LLM_STR("top_k"),
    [LLM_H_STOP] = LLM_STR("stop"),
    [LLM_H_N] = LLM_STR("n"),
    [LLM_H_SEED] = LLM_STR("seed"),
    [LLM_H_LOGPROBS] = LLM_STR("logprobs"),
    [LLM_H_TOP_LOGPROBS] = LLM_STR("top_logprobs"),
    [LLM_H_PRESENCE_PENALTY] = LLM_STR("presence_penalty"),
    [LLM_H_FREQUENCY_PENALTY] = LLM_STR("frequency_penalty"),
    [LLM_H_USER] = LLM_STR("user"),
    [LLM_H_SAFETY_IDENTIFIER] = LLM_STR("safety_identifier"),
    [LLM_H_RESPONSE_FORMAT] = LLM_STR("response_format"),
    [LLM_H_TOOLS] = LLM_STR("tools"),
    [LLM_H_TOOL_CHOICE] = LLM_STR("tool_choice"),
    [LLM_H_PARALLEL_TOOL_CALLS] = LLM_STR("parallel_tool_calls"),
    [LLM_H_REASONING_EFFORT] = LLM_STR("reasoning_effort"),
    [LLM_H_SERVICE_TIER] = LLM_STR("service_tier"),
    [LLM_H_MODALITIES] = LLM_STR("modalities"),
    [LLM_H_THINKING] = LLM_STR("thinking"),
    [LLM_H_SAFETY_SETTINGS] = LLM_STR("safety_settings")
};


void
llm_delta_text(const llm_sink_t *sink, llm_delta_kind_t kind, llm_str_t text)
{
    llm_delta_t  p;

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = kind;
    p.text = text;

    sink->put(sink->data, &p);
}


void
llm_loss_init(llm_loss_t *loss)
{
    loss->n = 0;
    loss->param = LLM_NOSTR;
    loss->message = LLM_NOSTR;
}


void
llm_loss_add(llm_loss_t *loss, llm_str_t name)
{
    size_t  i;

    for (i = 0; i < loss->n; i++) {
        if (llm_str_eq(loss->name[i], name)) {
            return;
        }
    }

    if (loss->n < LLM_LOSS_MAX) {
        loss->name[loss->n++] = name;
    }
}


llm_rc_t
llm_loss_fail(llm_loss_t *loss, llm_rc_t rc, llm_str_t param, llm_str_t message)
{
    loss->param = param;
    loss->message = message;

    return rc;
}


llm_rc_t
llm_hub_take(llm_str_t body, llm_str_t known, llm_json_want_t *want, size_t n,
    llm_loss_t *loss)
{
    size_t             i;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    for (i = 0; i < n; i++) {
        want[i].value = LLM_NOSTR;
        want[i].kind = LLM_JSON_NULL;
    }

    rc = llm_json_begin(&it, body);

    if (rc == LLM_OK && it.close != '}') {
        rc = LLM_BAD;
    }

    it.known = known;

    while (rc == LLM_OK && (rc = llm_json_next(&it, &m)) == LLM_OK) {

        for (i = 0; i < n; i++) {
            if (m.escaped ? llm_json_key_is(m.key, want[i].name)
                          : llm_str_eq(m.key, want[i].name))
            {
                want[i].value = m.value;
                want[i].kind = m.kind;
                break;
            }
        }

        if (i == n && !llm_hub_idle(m.kind, m.value)) {
            llm_loss_add(loss, m.key);
        }
    }

    if (rc != LLM_NONE) {
        return llm_loss_fail(loss, LLM_BAD, LLM_NOSTR,
                             LLM_STR("The body has to be a JSON object."));
    }

    return LLM_OK;
}


llm_rc_t
llm_hub_read(llm_hub_t *h, llm_str_t body, llm_str_t known, llm_loss_t *loss)
{
    unsigned  i;
    llm_rc_t  rc;

    llm_loss_init(loss);

    h->body = body;
    h->used = 0;
    h->deployment = LLM_NOSTR;
    h->lossy = 0;
    h->no_options = 0;

    for (i = 0; i < LLM_H_COUNT; i++) {
        h->member[i].name = llm_hub_names[i];
    }

    rc = llm_hub_take(body, known, h->member, LLM_H_COUNT, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    if (h->member[LLM_H_MESSAGES].kind != LLM_JSON_ARRAY) {
        return llm_loss_fail(loss, LLM_BAD, llm_hub_names[LLM_H_MESSAGES],
                     LLM_STR("The member \"messages\" has to be an array."));
    }

    h->stream = h->member[LLM_H_STREAM].kind == LLM_JSON_TRUE;
    h->used = LLM_H_BIT(LLM_H_MODEL) | LLM_H_BIT(LLM_H_MESSAGES)
              | LLM_H_BIT(LLM_H_STREAM) | LLM_H_BIT(LLM_H_STREAM_OPTIONS);

    return LLM_OK;
}


static int
llm_hub_has(const llm_json_want_t *w)
{
    return w->value.data && w->kind != LLM_JSON_NULL;
}


/* The place of a name; LLM_H_COUNT: there is none. */
static unsigned
llm_hub_index(llm_str_t name)
{
    unsigned  i;

    for (i = 0; i < LLM_H_COUNT; i++) {
        if (llm_str_eq(llm_hub_names[i], name)) {
            break;
        }
    }

    return i == LLM_H_MAX_COMPLETION_TOKENS ? LLM_H_MAX_TOKENS : i;
}


/* A member that the hub does not know: it is no loss any more. */
static int
llm_hub_forget(llm_loss_t *loss, llm_str_t name)
{
    size_t  i;

    for (i = 0; i < loss->n; i++) {
        if (llm_json_key_is(loss->name[i], name)) {
            loss->name[i] = loss->name[--loss->n];
            return 1;
        }
    }

    return 0;
}


/* The old name may be one that the hub does not know. */
static void
llm_hub_rename(llm_hub_t *h, llm_str_t name, unsigned from, unsigned to,
    llm_loss_t *loss)
{
    llm_json_want_t    old;
    llm_json_member_t  m;

    memset(&old, 0, sizeof(llm_json_want_t));

    if (from < LLM_H_COUNT) {
        old = h->member[from];

    } else if (llm_json_get(h->body, name, &m) == LLM_OK) {
        old.value = m.value;
        old.kind = m.kind;
    }

    if (from == to || !llm_hub_has(&old)) {
        return;
    }

    if (from < LLM_H_COUNT) {
        memset(&h->member[from], 0, sizeof(llm_json_want_t));
    }

    if (to == LLM_H_COUNT) {
        llm_loss_add(loss, name);
        return;
    }

    (void) llm_hub_forget(loss, name);

    if (!llm_hub_has(&h->member[to])) {
        h->member[to] = old;
    }
}


static void
llm_hub_field(llm_hub_t *h, const llm_field_t *f, llm_loss_t *loss,
    llm_loss_t *dropped)
{
    unsigned          i;
    llm_json_want_t  *w;

    i = llm_hub_index(f->name);

    if (f->what == LLM_FIELD_RENAME) {
        llm_hub_rename(h, f->name, i, llm_hub_index(f->to), loss);
        return;
    }

    if (i == LLM_H_COUNT) {

        if (f->what == LLM_FIELD_DROP && llm_hub_forget(loss, f->name)) {
            llm_loss_add(dropped, f->name);
        }

        return;
    }

    w = &h->member[i];

    if (f->what == LLM_FIELD_DROP) {

        if (llm_hub_has(w)) {
            llm_loss_add(dropped, f->name);
        }

        memset(w, 0, sizeof(llm_json_want_t));
        return;
    }

    if (f->json.data && (f->what == LLM_FIELD_SET || !llm_hub_has(w))) {
        w->value = f->json;
        w->kind = llm_json_kind(f->json);
    }
}


void
llm_hub_fields(llm_hub_t *h, const llm_field_t *field, size_t n,
    llm_loss_t *loss, llm_loss_t *dropped)
{
    size_t            i;
    llm_json_want_t  *w;

    if (n == 0) {
        return;
    }

    w = &h->member[LLM_H_MAX_COMPLETION_TOKENS];

    if (llm_hub_has(w)) {
        h->member[LLM_H_MAX_TOKENS] = *w;
        memset(w, 0, sizeof(llm_json_want_t));
    }

    for (i = 0; i < n; i++) {
        llm_hub_field(h, &field[i], loss, dropped);
    }
}


const llm_json_want_t *
llm_hub_get(llm_hub_t *h, unsigned i)
{
    h->used |= LLM_H_BIT(i);

    return llm_hub_has(&h->member[i]) ? &h->member[i] : NULL;
}


void
llm_hub_rest(const llm_hub_t *h, llm_loss_t *loss)
{
    unsigned  i;

    for (i = 0; i < LLM_H_COUNT; i++) {

        if (h->member[i].value.data && !(h->used & LLM_H_BIT(i))
            && !llm_hub_idle(h->member[i].kind, h->member[i].value))
        {
            llm_loss_add(loss, llm_hub_names[i]);
        }
    }
}


llm_rc_t
llm_hub_cannot(const llm_hub_t *h, llm_loss_t *loss, llm_str_t param,
    llm_str_t message)
{
    if (h->lossy) {
        llm_loss_add(loss, param);
        return LLM_OK;
    }

    return llm_loss_fail(loss, LLM_NONE, param, message);
}


int
llm_hub_is(llm_str_t raw, llm_str_t word)
{
    if (llm_json_kind(raw) != LLM_JSON_STRING || raw.len < 2) {
        return 0;
    }

    raw.data++;
    raw.len -= 2;

    return llm_json_key_is(raw, word);
}


int
llm_hub_is_system(llm_str_t role)
{
    return llm_hub_is(role, LLM_STR("system"))
           || llm_hub_is(role, LLM_STR("developer"));
}


/* The white space at p, in front of end: its length as written, or 0. */
static size_t
llm_hub_space(const unsigned char *p, const unsigned char *end)
{
    if (p == end) {
        return 0;
    }

    if (*p == ' ') {
        return 1;
    }

    return *p == '\\' && end - p >= 2 && memchr("ntr", p[1], 3) ? 2 : 0;
}


int
llm_hub_blank(llm_str_t raw)
{
    size_t                n;
    const unsigned char  *p, *end;

    p = raw.data + 1;
    end = raw.data + raw.len - 1;

    while ((n = llm_hub_space(p, end)) != 0) {
        p += n;
    }

    return p == end;
}


llm_str_t
llm_hub_trimmed(llm_str_t raw)
{
    size_t                i, n;
    const unsigned char  *p, *end;

    p = raw.data;
    end = p + raw.len - 1;

    for ( ;; ) {

        if (end - p > 1 && end[-1] == ' ') {
            end--;
            continue;
        }

        if (end - p < 3 || end[-2] != '\\'
            || memchr("ntr", end[-1], 3) == NULL)
        {
            break;
        }

        /* an even run of backslashes in front of it would be text */

        for (n = 0, i = 2; end - i > p && end[-(ptrdiff_t) i] == '\\'; i++) {
            n++;
        }

        if (n % 2 == 0) {
            break;
        }

        end -= 2;
    }

    raw.len = (size_t) (end - p);

    return raw;
}


int
llm_hub_idle(llm_json_kind_t kind, llm_str_t value)
{
    size_t  i;

    switch (kind) {

    case LLM_JSON_NULL:
    case LLM_JSON_FALSE:
        return 1;

    case LLM_JSON_STRING:
        return value.len <= 2;

    case LLM_JSON_NUMBER:
        for (i = 0; i < value.len; i++) {
            if (value.data[i] >= '1' && value.data[i] <= '9') {
                return 0;
            }
        }
        return 1;

    case LLM_JSON_ARRAY:
    case LLM_JSON_OBJECT:
        for (i = 1; i + 1 < value.len; i++) {
            if (value.data[i] > ' ') {
                return 0;
            }
        }
        return 1;

    default:
        return 0;
    }
}


void
llm_hub_put_object(llm_buf_t *out, llm_json_kind_t kind, llm_str_t value)
{
    llm_str_t       text;
    unsigned char  *start;

    if (kind == LLM_JSON_OBJECT) {
        llm_buf_str(out, value);
        return;
    }

    start = out->pos;

    if (kind == LLM_JSON_STRING && llm_json_unescape(value, out) == LLM_OK) {
        text.data = start;
        text.len = (size_t) (out->pos - start);

        while (text.len && memchr(" \t\r\n", text.data[0], 4)) {
            text.data++;
            text.len--;
        }

        if (text.len && text.data[0] == '{'
            && llm_json_check(text) == LLM_OK)
        {
            return;
        }

        out->pos = start;
    }

    llm_buf_str(out, LLM_STR("{}"));
}


/* The inside of a raw string, behind what stands before it. */
static unsigned
llm_hub_put_text(llm_buf_t *out, llm_json_kind_t kind, llm_str_t text,
    llm_str_t between, unsigned n)
{
    if (kind != LLM_JSON_STRING) {
        return n;
    }

    llm_buf_str(out, n ? between : LLM_NOSTR);
    llm_buf_put(out, text.data + 1, text.len - 2);

    return n + 1;
}


unsigned
llm_hub_put_texts(llm_buf_t *out, const llm_json_want_t *content,
    llm_str_t between, unsigned n)
{
    llm_json_iter_t    it;
    llm_json_member_t  m, text;

    if (content->kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, content->value) != LLM_OK)
    {
        return llm_hub_put_text(out, content->kind, content->value, between,
                                n);
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        if (llm_json_get(m.value, LLM_STR("text"), &text) == LLM_OK
            || llm_json_get(m.value, LLM_STR("refusal"), &text) == LLM_OK)
        {
            n = llm_hub_put_text(out, text.kind, text.value, between, n);
        }
    }

    return n;
}


void
llm_hub_put_member(llm_buf_t *out, llm_str_t name, llm_str_t value)
{
    llm_buf_str(out, LLM_STR(",\""));
    llm_buf_str(out, name);
    llm_buf_str(out, LLM_STR("\":"));
    llm_buf_str(out, value);
}


void
llm_hub_put_tool(llm_buf_t *out, const llm_json_want_t *tool)
{
    llm_buf_str(out, LLM_STR("{\"type\":\"function\",\"function\":"
                             "{\"name\":"));
    llm_buf_str(out, tool[0].value);

    if (tool[1].kind == LLM_JSON_STRING) {
        llm_hub_put_member(out, LLM_STR("description"), tool[1].value);
    }

    if (tool[2].kind == LLM_JSON_OBJECT) {
        llm_hub_put_member(out, LLM_STR("parameters"), tool[2].value);
    }

    if (tool[3].kind == LLM_JSON_TRUE) {
        llm_hub_put_member(out, LLM_STR("strict"), tool[3].value);
    }

    llm_buf_str(out, LLM_STR("}}"));
}


static int
llm_hub_same(llm_str_t s, llm_str_t lower)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < lower.len && i < s.len; i++) {
        c = s.data[i];
        c = c >= 'A' && c <= 'Z' ? (unsigned char) (c | 0x20) : c;
        if (c != lower.data[i]) {
            return 0;
        }
    }

    return s.len >= lower.len;
}


llm_rc_t
llm_hub_data_url(llm_str_t raw, llm_data_url_t *url)
{
    llm_buf_t             b;
    llm_str_t             head, tail;
    unsigned char         quoted[LLM_DATA_HEAD + 2];
    const unsigned char  *comma;

    if (raw.len < 2 || !llm_hub_same((llm_str_t) { raw.len - 2, raw.data + 1 },
                                     LLM_STR("data:")))
    {
        return LLM_NONE;
    }

    /* only the head is decoded: PHP writes image\/png */

    comma = memchr(raw.data, ',', raw.len < LLM_DATA_HEAD ? raw.len
                                                          : LLM_DATA_HEAD);
    if (comma == NULL) {
        return LLM_BAD;
    }

    head.len = (size_t) (comma - raw.data) + 1;
    head.data = quoted;
    memcpy(quoted, raw.data, head.len - 1);
    quoted[head.len - 1] = '"';

    llm_buf_init(&b, url->mem, sizeof(url->mem));

    if (llm_json_unescape(head, &b) != LLM_OK) {
        return LLM_BAD;
    }

    head = llm_buf_view(&b);
    tail.data = head.data + head.len - 7;
    tail.len = 7;

    if (head.len < 12 || !llm_hub_same(tail, LLM_STR(";base64"))) {
        return LLM_BAD;
    }

    url->type.data = head.data + 5;
    url->type.len = (size_t) ((const unsigned char *)
                              memchr(head.data, ';', head.len) - head.data) - 5;
    url->data.data = comma + 1;
    url->data.len = (size_t) (raw.data + raw.len - 1 - url->data.data);

    return LLM_OK;
}


llm_str_t
llm_hub_kept(llm_str_t block)
{
    llm_str_t          seal;
    llm_json_member_t  m;

    static const llm_str_t  mark = LLM_STR("\"" LLM_HUB_KEPT);

    if (llm_json_get(block, LLM_STR("signature"), &m) != LLM_OK
        || m.kind != LLM_JSON_STRING || m.value.len <= mark.len + 1
        || memcmp(m.value.data, mark.data, mark.len) != 0)
    {
        return LLM_NOSTR;
    }

    seal.data = m.value.data + mark.len;
    seal.len = m.value.len - mark.len;

    return seal;
}
