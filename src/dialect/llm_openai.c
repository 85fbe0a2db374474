/*
 * The OpenAI dialect, as OpenAI, Azure, Groq, OpenRouter, vLLM, llama.cpp,
 * Ollama, speaches and Gemini's compatible endpoint speak it: whole answers.
 *
 * Answers are only looked at, never taken apart: the client gets the provider's
 * bytes.  Errors are in llm_openai_error.c, streams in llm_openai_stream.c.
 */

#include "llm_openai.h"


enum {
    LLM_A_CHOICES, LLM_A_USAGE, LLM_A_ERROR, LLM_A_MODEL, LLM_A_TEXT,
    LLM_A_DURATION, LLM_A_DATA, LLM_A_X_GROQ, LLM_A_OUTPUT,
    LLM_A_STATUS, LLM_A_COUNT
};


typedef struct {
    llm_str_t  host;
    llm_str_t  prefix;
} llm_key_prefix_t;


static const llm_key_prefix_t  llm_key_prefixes[] = {
    { LLM_STR("api.openai.com"), LLM_STR("sk-") },
    { LLM_STR("api.groq.com"), LLM_STR("gsk_") },
    { LLM_STR("openrouter.ai"), LLM_STR("sk-or-") },
    { LLM_STR("api.anthropic.com"), LLM_STR("sk-ant-") },
    { LLM_STR("generativelanguage.googleapis.com"), LLM_STR("AIza") }
};

#define LLM_KEY_PREFIXES  (sizeof(llm_key_prefixes)                           \
                           / sizeof(llm_key_prefixes[0]))


int
llm_openai_key_looks_right(llm_str_t host, llm_str_t key)
{
    size_t                   i;
    const llm_key_prefix_t  *p;

    for (i = 0; i < LLM_KEY_PREFIXES; i++) {
        p = &llm_key_prefixes[i];

        if (llm_str_eq(host, p->host)) {
            return key.len > p->prefix.len
                   && memcmp(key.data, p->prefix.data, p->prefix.len) == 0;
        }
    }

    return 1;
}


static void
llm_path_escape(unsigned char c, llm_buf_t *out)
{
    unsigned char  code[3];

    static const unsigned char  hex[] = "0123456789ABCDEF";

    code[0] = '%';
    code[1] = hex[c >> 4];
    code[2] = hex[c & 15];

    llm_buf_put(out, code, 3);
}


void
llm_openai_segment(llm_str_t name, llm_buf_t *out)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < name.len; i++) {
        c = name.data[i];

        if ((c >= '0' && c <= '9')
            || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            || memchr("-._~", c, 4))
        {
            llm_buf_put(out, &c, 1);

        } else {
            llm_path_escape(c, out);
        }
    }
}


static int
llm_path_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}


/*
 * What followed the endpoint's name goes on the request line of the provider,
 * so nothing in it may end the path, whether it comes decoded or not.
 */
static void
llm_path_put(llm_str_t rest, llm_buf_t *out)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < rest.len; i++) {
        c = rest.data[i];

        if (c > ' ' && c < 0x7f && c != '?' && c != '#' && c != '"'
            && (c != '%' || (i + 2 < rest.len && llm_path_hex(rest.data[i + 1])
                             && llm_path_hex(rest.data[i + 2]))))
        {
            llm_buf_put(out, &c, 1);

        } else {
            llm_path_escape(c, out);
        }
    }
}


void
llm_openai_path(llm_endpoint_t ep, const llm_place_t *place, llm_buf_t *out)
{
    llm_str_t  rest;

    rest = place->rest;

    if (ep != LLM_EP_UNKNOWN && ep != LLM_EP_PASSTHROUGH) {
        llm_buf_put(out, "/", 1);
        llm_buf_str(out, llm_endpoint_info(ep)->name);

    } else if (rest.len == 0 || rest.data[0] != '/') {
        llm_buf_put(out, "/", 1);
    }

    llm_path_put(rest, out);
}


int
llm_openai_truthy(llm_json_kind_t kind, llm_str_t value)
{
    switch (kind) {
    case LLM_JSON_NULL:
    case LLM_JSON_FALSE:
        return 0;
    case LLM_JSON_STRING:
        return value.len > 2;
    case LLM_JSON_NUMBER:
        return !llm_str_eq(value, LLM_STR("0"));
    default:
        return 1;
    }
}


llm_str_t
llm_openai_word(llm_json_kind_t kind, llm_str_t value)
{
    if (kind == LLM_JSON_STRING) {
        value.data++;
        value.len -= 2;
        return value;
    }

    return kind == LLM_JSON_NUMBER ? value : LLM_NOSTR;
}


llm_rc_t
llm_openai_pick(llm_str_t body, llm_json_want_t *want, size_t want_n)
{
    size_t             i, at;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_error_t   error;
    llm_json_member_t  m;

    rc = llm_json_pick(body, want, want_n, &error, &at);

    if (rc == LLM_OK || error != LLM_JSON_E_DUPLICATE) {
        return rc;
    }

    for (i = 0; i < want_n; i++) {
        want[i].value = LLM_NOSTR;
        want[i].kind = LLM_JSON_NULL;
    }

    rc = llm_json_begin(&it, body);

    while (rc == LLM_OK) {
        rc = llm_json_next(&it, &m);
        if (rc != LLM_OK) {
            break;
        }

        for (i = 0; i < want_n; i++) {
            if (want[i].value.data == NULL
                && llm_json_key_is(m.key, want[i].name))
            {
                want[i].value = m.value;
                want[i].kind = m.kind;
            }
        }
    }

    return rc == LLM_NONE ? LLM_OK : LLM_BAD;
}


llm_rc_t
llm_openai_next(llm_json_iter_t *it, llm_json_want_t *want, size_t want_n)
{
    llm_rc_t           rc;
    llm_json_member_t  m;

    rc = llm_json_next_pick(it, want, want_n);

    if (rc != LLM_BAD) {
        return rc;
    }

    if (llm_json_next(it, &m) != LLM_OK) {
        return LLM_NONE;
    }

    return llm_openai_pick(m.value, want, want_n);
}


static void
llm_usage_count(llm_str_t value, uint64_t *n)
{
    uint64_t  count;

    if (llm_json_uint(value, &count) == LLM_OK) {
        *n = count;
    }
}


/* cached_tokens of the prompt's details, reasoning_tokens of the answer's. */
static void
llm_usage_details(llm_str_t object, llm_usage_t *usage)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, object) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_str_eq(m.key, LLM_STR("cached_tokens"))) {
            llm_usage_count(m.value, &usage->cached);

        } else if (llm_str_eq(m.key, LLM_STR("reasoning_tokens"))) {
            llm_usage_count(m.value, &usage->reasoning);
        }
    }
}


void
llm_openai_usage(llm_str_t object, llm_usage_t *usage)
{
    uint64_t           n;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, object) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_str_eq(m.key, LLM_STR("prompt_tokens"))
            || llm_str_eq(m.key, LLM_STR("input_tokens")))
        {
            llm_usage_count(m.value, &usage->input);

        } else if (llm_str_eq(m.key, LLM_STR("completion_tokens"))
                   || llm_str_eq(m.key, LLM_STR("output_tokens")))
        {
            llm_usage_count(m.value, &usage->output);

        } else if (m.kind == LLM_JSON_OBJECT) {
            /* …_details; Groq's and others' objects have neither member */
            llm_usage_details(m.value, usage);

        } else if (llm_str_eq(m.key, LLM_STR("prompt_cache_hit_tokens"))) {
            llm_usage_count(m.value, &usage->cached);

        } else if (llm_str_eq(m.key, LLM_STR("cost"))) {
            if (llm_json_scaled(m.value, 9, &n) == LLM_OK) {
                usage->cost_nano = n;
            }

        } else if (llm_str_eq(m.key, LLM_STR("seconds"))) {
            if (llm_json_scaled(m.value, 3, &n) == LLM_OK) {
                usage->audio_ms = n;
            }
        }
    }
}


/* The first choice: its text, its end, and an error that hides in it. */
static void
llm_answer_choice(llm_str_t choice, llm_buf_t *mem, llm_answer_t *out)
{
    llm_json_iter_t     it;
    llm_json_member_t   m, content;
    llm_openai_error_t  e;

    if (llm_json_begin(&it, choice) != LLM_OK) {
        out->class = LLM_CLASS_BAD_ANSWER;
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_str_eq(m.key, LLM_STR("message"))) {
            if (llm_json_get(m.value, LLM_STR("content"), &content) == LLM_OK
                && content.kind == LLM_JSON_STRING)
            {
                out->content = content.value;
            }

        } else if (llm_str_eq(m.key, LLM_STR("text"))) {
            if (m.kind == LLM_JSON_STRING) {
                out->content = m.value;
            }

        } else if (llm_str_eq(m.key, LLM_STR("finish_reason"))) {
            out->finish_reason = llm_openai_word(m.kind, m.value);

        } else if (llm_str_eq(m.key, LLM_STR("error"))
                   && llm_openai_truthy(m.kind, m.value))
        {
            llm_openai_error_value(m.value, &e);
            out->class = llm_openai_error_hidden(&e, mem, &out->message);
        }
    }

    if (out->class == LLM_CLASS_OK
        && llm_str_eq(out->finish_reason, LLM_STR("error")))
    {
        out->class = LLM_CLASS_SERVER;
    }
}


/* Whether a choice may hide an error: as a member, or as its finish reason. */
static int
llm_answer_suspect(llm_str_t choices)
{
    const unsigned char  *p, *end;

    p = choices.data;
    end = p + choices.len;

    while (end - p >= 7) {
        p = memchr(p, '"', (size_t) (end - p) - 6);

        if (p == NULL) {
            return 0;
        }

        if (memcmp(p, "\"error\"", 7) == 0) {
            return 1;
        }

        p++;
    }

    return 0;
}


static void
llm_answer_choices(const llm_json_want_t *choices, llm_buf_t *mem,
    llm_answer_t *out)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    /* "[{}]" is the shortest list with a choice in it */

    if (out->brief && choices->kind == LLM_JSON_ARRAY
        && choices->value.len >= 4 && choices->value.data[1] == '{'
        && !llm_answer_suspect(choices->value))
    {
        return;
    }

    if (choices->kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, choices->value) != LLM_OK
        || llm_json_next(&it, &m) != LLM_OK)
    {
        out->class = LLM_CLASS_BAD_ANSWER;
        return;
    }

    llm_answer_choice(m.value, mem, out);
}


/* Adds the texts of an item of a response; 0: there is more than one. */
static int
llm_answer_item(llm_str_t item, llm_str_t *text)
{
    llm_json_iter_t    it;
    llm_json_member_t  content, part, t;

    if (llm_json_get(item, LLM_STR("content"), &content) != LLM_OK
        || llm_json_begin(&it, content.value) != LLM_OK)
    {
        return 1;
    }

    while (llm_json_next(&it, &part) == LLM_OK) {

        if (llm_json_get(part.value, LLM_STR("text"), &t) == LLM_OK
            && t.kind == LLM_JSON_STRING)
        {
            if (text->len) {
                return 0;
            }

            *text = t.value;
        }
    }

    return 1;
}


/* The only text of a response; of several there is no one string, and what was
 * only thought is an empty one.  *calls: it wants something to be done. */
static llm_str_t
llm_answer_said(llm_str_t output, int *calls)
{
    int                said;
    llm_str_t          text;
    llm_json_iter_t    it;
    llm_json_member_t  item, type;

    said = 0;
    *calls = 0;
    text = LLM_NOSTR;

    if (llm_json_begin(&it, output) != LLM_OK) {
        return text;
    }

    while (llm_json_next(&it, &item) == LLM_OK) {

        if (llm_json_get(item.value, LLM_STR("type"), &type) != LLM_OK
            || llm_str_eq(type.value, LLM_STR("\"reasoning\"")))
        {
            continue;
        }

        said = 1;

        if (!llm_str_eq(type.value, LLM_STR("\"message\""))) {
            *calls = 1;
        }

        if (!llm_answer_item(item.value, &text)) {
            return LLM_NOSTR;
        }
    }

    return said ? text : LLM_STR("\"\"");
}


static void
llm_answer_response(const llm_json_want_t *want, llm_answer_t *out)
{
    int  calls;

    if (out->brief || want[LLM_A_OUTPUT].kind != LLM_JSON_ARRAY) {
        return;
    }

    out->content = llm_answer_said(want[LLM_A_OUTPUT].value, &calls);
    out->finish_reason = calls ? LLM_STR("tool_calls")
                               : llm_openai_word(want[LLM_A_STATUS].kind,
                                                 want[LLM_A_STATUS].value);
}


static void
llm_answer_transcript(const llm_json_want_t *want, llm_answer_t *out)
{
    uint64_t  n;

    if (want[LLM_A_TEXT].kind != LLM_JSON_STRING) {
        out->class = LLM_CLASS_BAD_ANSWER;
        return;
    }

    out->content = want[LLM_A_TEXT].value;

    /* what is billed counts, the playing time stands in for it */

    if (out->usage.audio_ms == LLM_UNKNOWN && want[LLM_A_DURATION].value.data
        && llm_json_scaled(want[LLM_A_DURATION].value, 3, &n) == LLM_OK)
    {
        out->usage.audio_ms = n;
    }
}


static void
llm_answer_usage(llm_endpoint_t ep, const llm_json_want_t *want,
    llm_answer_t *out)
{
    llm_json_member_t  m;

    if (want[LLM_A_X_GROQ].kind == LLM_JSON_OBJECT
        && llm_json_get(want[LLM_A_X_GROQ].value, LLM_STR("usage"), &m)
           == LLM_OK)
    {
        llm_openai_usage(m.value, &out->usage);
    }

    if (want[LLM_A_USAGE].kind == LLM_JSON_OBJECT) {
        llm_openai_usage(want[LLM_A_USAGE].value, &out->usage);
    }

    if (ep == LLM_EP_EMBEDDINGS && out->usage.input != LLM_UNKNOWN
        && out->usage.output == LLM_UNKNOWN)
    {
        out->usage.output = 0;
    }
}


/* Not an object: an array of errors, or a list where one may be answered. */
static void
llm_answer_other(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out)
{
    llm_openai_error_t  e;

    llm_openai_error_body(body, &e);

    if (e.found) {
        out->class = llm_openai_error_hidden(&e, mem, &out->message);
        return;
    }

    switch (ep) {

    case LLM_EP_CHAT:
    case LLM_EP_COMPLETIONS:
    case LLM_EP_EMBEDDINGS:
    case LLM_EP_RESPONSES:
    case LLM_EP_TRANSCRIPTIONS:
    case LLM_EP_TRANSLATIONS:
        out->class = LLM_CLASS_BAD_ANSWER;
        return;

    default:
        out->class = llm_json_check(body) == LLM_OK ? LLM_CLASS_OK
                                                    : LLM_CLASS_BAD_ANSWER;
    }
}


void
llm_openai_answer(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out)
{
    llm_openai_error_t  e;
    llm_json_want_t     want[LLM_A_COUNT] = {
        [LLM_A_CHOICES] = { .name = LLM_STR("choices") },
        [LLM_A_USAGE] = { .name = LLM_STR("usage") },
        [LLM_A_ERROR] = { .name = LLM_STR("error") },
        [LLM_A_MODEL] = { .name = LLM_STR("model") },
        [LLM_A_TEXT] = { .name = LLM_STR("text") },
        [LLM_A_DURATION] = { .name = LLM_STR("duration") },
        [LLM_A_DATA] = { .name = LLM_STR("data") },
        [LLM_A_X_GROQ] = { .name = LLM_STR("x_groq") },
        [LLM_A_OUTPUT] = { .name = LLM_STR("output") },
        [LLM_A_STATUS] = { .name = LLM_STR("status") }
    };

    llm_answer_init(out);

    if (llm_openai_pick(body, want, LLM_A_COUNT) != LLM_OK) {
        llm_answer_other(ep, body, mem, out);
        return;
    }

    llm_answer_usage(ep, want, out);

    if (want[LLM_A_MODEL].kind == LLM_JSON_STRING) {
        out->model = llm_openai_word(LLM_JSON_STRING, want[LLM_A_MODEL].value);
    }

    if (llm_openai_truthy(want[LLM_A_ERROR].kind, want[LLM_A_ERROR].value)) {
        llm_openai_error_value(want[LLM_A_ERROR].value, &e);
        out->class = llm_openai_error_hidden(&e, mem, &out->message);
        return;
    }

    switch (ep) {

    case LLM_EP_CHAT:
    case LLM_EP_COMPLETIONS:
        llm_answer_choices(&want[LLM_A_CHOICES], mem, out);

        if (out->class == LLM_CLASS_OK && out->sink) {
            llm_openai_deltas(body, out->sink);
        }

        break;

    case LLM_EP_RESPONSES:
        llm_answer_response(want, out);
        break;

    case LLM_EP_TRANSCRIPTIONS:
    case LLM_EP_TRANSLATIONS:
        llm_answer_transcript(want, out);
        break;

    case LLM_EP_EMBEDDINGS:
        if (want[LLM_A_DATA].kind != LLM_JSON_ARRAY) {
            out->class = LLM_CLASS_BAD_ANSWER;
        }
        break;

    default:
        break;
    }
}
