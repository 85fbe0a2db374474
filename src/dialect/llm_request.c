/*
 * Reading a request: which members or parts route it, and what it needs.
 *
 * Nothing is repaired here.  Where the gateway and a provider could read a body
 * differently (two models, two files, a broken frame), it is refused.
 */

#include "llm_request.h"
#include "llm_realtime.h"

#define LLM_MODEL_MAX  256


/* Names and the sentences of a duplicate, in the order of LLM_M_… */
#define LLM_TWICE(name)                                                       \
    LLM_STR("The member \"" name "\" stands more than once in the body.")

static const struct {
    llm_str_t  name;
    llm_str_t  twice;
} llm_members[LLM_M_COUNT] = {
    [LLM_M_MODEL] = { LLM_STR("model"), LLM_TWICE("model") },
    [LLM_M_STREAM] = { LLM_STR("stream"), LLM_TWICE("stream") },
    [LLM_M_STREAM_OPTIONS] = { LLM_STR("stream_options"),
                               LLM_TWICE("stream_options") },
    [LLM_M_MESSAGES] = { LLM_STR("messages"), LLM_TWICE("messages") },
    [LLM_M_INPUT] = { LLM_STR("input"), LLM_TWICE("input") },
    [LLM_M_PROMPT] = { LLM_STR("prompt"), LLM_TWICE("prompt") },
    [LLM_M_TOOLS] = { LLM_STR("tools"), LLM_TWICE("tools") },
    [LLM_M_FUNCTIONS] = { LLM_STR("functions"), LLM_TWICE("functions") },
    [LLM_M_RESPONSE_FORMAT] = { LLM_STR("response_format"),
                                LLM_TWICE("response_format") },
    [LLM_M_TEXT] = { LLM_STR("text"), LLM_TWICE("text") },
    [LLM_M_OUTPUT_CONFIG] = { LLM_STR("output_config"),
                              LLM_TWICE("output_config") },
    [LLM_M_MAX_TOKENS] = { LLM_STR("max_tokens"), LLM_TWICE("max_tokens") },
    [LLM_M_MAX_COMPLETION_TOKENS] = { LLM_STR("max_completion_tokens"),
                                      LLM_TWICE("max_completion_tokens") },
    [LLM_M_MAX_OUTPUT_TOKENS] = { LLM_STR("max_output_tokens"),
                                  LLM_TWICE("max_output_tokens") },
    [LLM_M_N] = { LLM_STR("n"), LLM_TWICE("n") },
    [LLM_M_TEMPERATURE] = { LLM_STR("temperature"), LLM_TWICE("temperature") },
    [LLM_M_LANGUAGE] = { LLM_STR("language"), LLM_TWICE("language") }
};

#undef LLM_TWICE


static llm_rc_t
llm_request_refuse(llm_code_t *code, llm_str_t *message, llm_code_t what,
    llm_str_t why)
{
    *code = what;
    *message = why;

    return LLM_BAD;
}


static void
llm_request_init(llm_request_t *r, llm_endpoint_t ep, llm_str_t body,
    llm_body_t kind)
{
    unsigned  i;

    memset(r, 0, sizeof(llm_request_t));

    r->endpoint = ep;
    r->kind = kind;
    r->body = body;
    r->need = llm_endpoint_info(ep)->can;
    r->response_format = LLM_STR("json");

    for (i = 0; i < LLM_M_COUNT; i++) {
        r->member[i].name = llm_members[i].name;
        r->member[i].strict = (i == LLM_M_MODEL || i == LLM_M_STREAM);
    }
}


/* A model's name goes into headers and logs: no control characters. */
llm_rc_t
llm_request_model(llm_request_t *r, llm_str_t model, llm_code_t *code,
    llm_str_t *message)
{
    size_t  i;

    if (model.len > LLM_MODEL_MAX) {
        return llm_request_refuse(code, message,
                                  LLM_CODE_CALLER_MODEL_NOT_FOUND,
                                  LLM_STR("The model name is too long."));
    }

    for (i = 0; i < model.len; i++) {
        if (model.data[i] < 0x20 || model.data[i] == 0x7f) {
            return llm_request_refuse(code, message,
                       LLM_CODE_CALLER_MODEL_NOT_FOUND,
                       LLM_STR("The model name has control characters."));
        }
    }

    r->model = model;

    return LLM_OK;
}


static llm_rc_t
llm_request_json_model(llm_request_t *r, llm_buf_t *mem, llm_code_t *code,
    llm_str_t *message)
{
    llm_rc_t                rc;
    llm_buf_t               out;
    const llm_json_want_t  *m;

    m = &r->member[LLM_M_MODEL];

    if (m->kind == LLM_JSON_NULL) {
        return LLM_OK;
    }

    if (m->kind != LLM_JSON_STRING) {
        return llm_request_refuse(code, message, LLM_CODE_CALLER_MODEL_MISSING,
                         LLM_STR("The member \"model\" has to be a string."));
    }

    llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));

    rc = llm_json_unescape(m->value, &out);
    if (rc == LLM_FULL) {
        return llm_request_refuse(code, message,
                                  LLM_CODE_CALLER_MODEL_NOT_FOUND,
                                  LLM_STR("The model name is too long."));
    }

    if (rc != LLM_OK) {
        return llm_request_refuse(code, message, LLM_CODE_CALLER_INVALID_JSON,
                         LLM_STR("The member \"model\" is not valid JSON."));
    }

    mem->pos = out.pos;

    return llm_request_model(r, llm_buf_view(&out), code, message);
}


static llm_rc_t
llm_request_json_error(llm_request_t *r, llm_json_error_t error, size_t at,
    llm_code_t *code, llm_str_t *message)
{
    size_t     i, end;
    llm_str_t  key;

    switch (error) {

    case LLM_JSON_E_DEPTH:
        return llm_request_refuse(code, message, LLM_CODE_CALLER_INVALID_JSON,
                           LLM_STR("The JSON body is nested too deeply."));

    case LLM_JSON_E_NOT_OBJECT:
        return llm_request_refuse(code, message, LLM_CODE_CALLER_INVALID_JSON,
                           LLM_STR("The body has to be a JSON object."));

    case LLM_JSON_E_DUPLICATE:
        break;

    default:
        return llm_request_refuse(code, message, LLM_CODE_CALLER_INVALID_JSON,
                           LLM_STR("The body is not valid JSON."));
    }

    /* `at` is the opening quote of the second key; quotes inside are escaped */

    at++;
    for (end = at; end < r->body.len && r->body.data[end] != '"'; end++) {
        /* void */
    }

    key.len = end - at;
    key.data = r->body.data + at;

    for (i = 0; i < LLM_M_COUNT; i++) {
        if (llm_json_key_is(key, llm_members[i].name)) {
            return llm_request_refuse(code, message,
                                      LLM_CODE_CALLER_DUPLICATE_KEY,
                                      llm_members[i].twice);
        }
    }

    return llm_request_refuse(code, message, LLM_CODE_CALLER_DUPLICATE_KEY,
                    LLM_STR("A member stands more than once in the body."));
}


/* Where an endpoint says how its answer is to look. */
static unsigned
llm_request_format_member(llm_endpoint_t ep)
{
    switch (ep) {
    case LLM_EP_RESPONSES:
        return LLM_M_TEXT;
    case LLM_EP_MESSAGES:
        return LLM_M_OUTPUT_CONFIG;
    default:
        return LLM_M_RESPONSE_FORMAT;
    }
}


/* The type of response_format; of text.format in the Responses API, and of
 * output_config.format in Messages. */
static void
llm_request_format(llm_request_t *r)
{
    llm_str_t               format;
    llm_json_member_t       m;
    const llm_json_want_t  *w;

    w = &r->member[llm_request_format_member(r->endpoint)];

    if (w->kind == LLM_JSON_STRING) {
        r->response_format.len = w->value.len - 2;
        r->response_format.data = w->value.data + 1;
        return;
    }

    if (w->kind != LLM_JSON_OBJECT) {
        return;
    }

    format = w->value;

    if (r->endpoint == LLM_EP_RESPONSES || r->endpoint == LLM_EP_MESSAGES) {
        if (llm_json_get(format, LLM_STR("format"), &m) != LLM_OK
            || m.kind != LLM_JSON_OBJECT)
        {
            return;
        }
        format = m.value;
    }

    if (llm_json_get(format, LLM_STR("type"), &m) != LLM_OK) {
        return;
    }

    if (llm_str_eq(m.value, LLM_STR("\"json_object\""))) {
        r->need |= LLM_CAN_JSON_OBJECT;

    } else if (llm_str_eq(m.value, LLM_STR("\"json_schema\""))) {
        r->need |= LLM_CAN_JSON_SCHEMA;
    }
}


static int
llm_request_has_elements(const llm_json_want_t *w)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    return w->kind == LLM_JSON_ARRAY
           && llm_json_begin(&it, w->value) == LLM_OK
           && llm_json_next(&it, &m) == LLM_OK;
}


llm_rc_t
llm_request_json(llm_request_t *r, llm_endpoint_t ep, llm_str_t body,
    llm_buf_t *mem, llm_code_t *code, llm_str_t *message)
{
    size_t             at;
    llm_json_error_t   error;
    llm_json_member_t  usage;

    llm_request_init(r, ep, body, LLM_BODY_JSON);

    if (llm_json_pick(body, r->member, LLM_M_COUNT, &error, &at) != LLM_OK) {
        return llm_request_json_error(r, error, at, code, message);
    }

    if (ep == LLM_EP_REALTIME
        && llm_realtime_body(body, &r->member[LLM_M_MODEL], code, message)
           != LLM_OK)
    {
        return LLM_BAD;
    }

    if (llm_request_json_model(r, mem, code, message) != LLM_OK) {
        return LLM_BAD;
    }

    if (r->member[LLM_M_STREAM].kind == LLM_JSON_TRUE) {
        r->stream = 1;
        r->need |= LLM_CAN_STREAM;
    }

    if (r->member[LLM_M_STREAM_OPTIONS].kind == LLM_JSON_OBJECT
        && llm_json_get(r->member[LLM_M_STREAM_OPTIONS].value,
                        LLM_STR("include_usage"), &usage) == LLM_OK)
    {
        r->include_usage = usage.kind == LLM_JSON_TRUE;
    }

    if (llm_request_has_elements(&r->member[LLM_M_TOOLS])
        || llm_request_has_elements(&r->member[LLM_M_FUNCTIONS]))
    {
        r->need |= LLM_CAN_TOOLS;
    }

    llm_request_format(r);

    return LLM_OK;
}


/* ---- multipart ----------------------------------------------------- */


llm_str_t
llm_request_trimmed(llm_str_t s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'
                     || s.data[s.len - 1] == '\r'
                     || s.data[s.len - 1] == '\n'))
    {
        s.len--;
    }

    return s;
}


/* The only part with that name.  LLM_NONE, or LLM_BAD when there are two. */
static llm_rc_t
llm_request_part(const llm_request_t *r, llm_str_t name,
    const llm_part_t **part)
{
    size_t  i;

    *part = NULL;

    for (i = 0; i < r->part_n; i++) {

        if (!llm_str_eq(r->part[i].name, name)) {
            continue;
        }

        if (*part) {
            return LLM_BAD;
        }

        *part = &r->part[i];
    }

    return *part ? LLM_OK : LLM_NONE;
}


static llm_rc_t
llm_request_file(llm_request_t *r, llm_code_t *code, llm_str_t *message)
{
    llm_str_t          head;
    const llm_part_t  *file, *url;

    switch (llm_request_part(r, LLM_STR("file"), &file)) {

    case LLM_BAD:
        return llm_request_refuse(code, message, LLM_CODE_CALLER_DUPLICATE_KEY,
                           LLM_STR("The upload has more than one \"file\"."));

    case LLM_NONE:
        /* Groq fetches the audio itself when it gets a url */
        if (llm_request_part(r, LLM_STR("url"), &url) != LLM_NONE) {
            return LLM_OK;
        }
        return llm_request_refuse(code, message, LLM_CODE_CALLER_MISSING_MEMBER,
                           LLM_STR("The upload has no part \"file\"."));

    default:
        break;
    }

    head.data = r->body.data + file->body;
    head.len = file->body_end - file->body;

    if (head.len == 0) {
        return llm_request_refuse(code, message, LLM_CODE_CALLER_EMPTY_AUDIO,
                           LLM_STR("The uploaded file is empty."));
    }

    r->audio_ms = llm_audio_estimate(head, head.len);
    r->sound = head;
    r->format = llm_audio_format(head, file->type, file->filename);

    return LLM_OK;
}


static llm_rc_t
llm_request_parts(llm_request_t *r, llm_code_t *code, llm_str_t *message)
{
    size_t             i;
    llm_rc_t           rc;
    llm_str_t          text;
    const llm_part_t  *part;

    static const unsigned  member[] = {
        LLM_M_MODEL, LLM_M_STREAM, LLM_M_RESPONSE_FORMAT
    };

    for (i = 0; i < sizeof(member) / sizeof(member[0]); i++) {

        rc = llm_request_part(r, llm_members[member[i]].name, &part);

        if (rc == LLM_BAD) {
            return llm_request_refuse(code, message,
                                      LLM_CODE_CALLER_DUPLICATE_KEY,
                                      llm_members[member[i]].twice);
        }

        if (rc == LLM_NONE) {
            continue;
        }

        text.data = r->body.data + part->body;
        text.len = part->body_end - part->body;
        text = llm_request_trimmed(text);

        if (member[i] == LLM_M_MODEL) {
            if (llm_request_model(r, text, code, message) != LLM_OK) {
                return LLM_BAD;
            }

        } else if (member[i] == LLM_M_STREAM) {
            r->stream = llm_str_eq(text, LLM_STR("true"))
                        || llm_str_eq(text, LLM_STR("True"))
                        || llm_str_eq(text, LLM_STR("1"));

        } else if (text.len) {
            r->response_format = text;
        }
    }

    if (r->stream) {
        r->need |= LLM_CAN_STREAM;
    }

    return LLM_OK;
}


llm_rc_t
llm_request_multipart(llm_request_t *r, llm_endpoint_t ep, llm_str_t body,
    llm_str_t content_type, llm_part_t *part, llm_code_t *code,
    llm_str_t *message)
{
    llm_rc_t     rc;
    const char  *what;

    llm_request_init(r, ep, body, LLM_BODY_MULTIPART);

    rc = llm_multipart_boundary(content_type, &r->boundary);

    if (rc == LLM_NONE) {
        return llm_request_refuse(code, message, LLM_CODE_CALLER_MEDIA_TYPE,
                          LLM_STR("The body has to be multipart/form-data."));
    }

    if (rc != LLM_OK) {
        return llm_request_refuse(code, message, LLM_CODE_CALLER_BAD_MULTIPART,
                          LLM_STR("Content-Type has no usable boundary."));
    }

    what = "malformed";

    rc = llm_multipart_index(body, r->boundary, part, LLM_MULTIPART_MAX,
                             &r->part_n, &r->close_at, &what);

    if (rc == LLM_FULL) {
        return llm_request_refuse(code, message, LLM_CODE_CALLER_BAD_MULTIPART,
                          LLM_STR("The multipart body has too many parts."));
    }

    if (rc != LLM_OK) {
        *code = LLM_CODE_CALLER_BAD_MULTIPART;
        message->len = strlen(what);
        message->data = (const unsigned char *) what;
        return LLM_BAD;
    }

    r->part = part;

    rc = llm_request_parts(r, code, message);
    if (rc != LLM_OK) {
        return rc;
    }

    if (ep == LLM_EP_TRANSCRIPTIONS || ep == LLM_EP_TRANSLATIONS) {
        return llm_request_file(r, code, message);
    }

    return LLM_OK;
}
