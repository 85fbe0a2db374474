/*
 * The mock provider: which body belongs to which endpoint, and the small ones.
 */

#include "llm_mock_parts.h"

#define LLM_MOCK_CREATED  1700000000    /* of its model */


uint64_t
llm_mock_random(uint64_t *state)
{
    uint64_t  z;

    *state += 0x9e3779b97f4a7c15u;
    z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;

    return z ^ z >> 31;
}


/* ---- writing ------------------------------------------------------------- */

void
llm_mock_put(llm_buf_t *out, const char *text)
{
    llm_buf_put(out, text, strlen(text));
}


void
llm_mock_put_hex(llm_buf_t *out, uint64_t n)
{
    int         shift;
    static const char  digits[] = "0123456789abcdef";

    for (shift = 60; shift >= 0; shift -= 4) {
        llm_buf_put(out, &digits[n >> shift & 15], 1);
    }
}


void
llm_mock_put_seconds(llm_buf_t *out, uint64_t ms)
{
    uint64_t  tenths;

    tenths = (ms + 99) / 100;

    llm_json_put_uint(out, tenths / 10);
    llm_mock_put(out, ".");
    llm_json_put_uint(out, tenths % 10);
}


uint64_t
llm_mock_tokens(size_t bytes)
{
    return (bytes + 3) / 4;
}


void
llm_mock_put_usage(llm_buf_t *out, uint64_t input, uint64_t output)
{
    llm_mock_put(out, ",\"usage\":{\"prompt_tokens\":");
    llm_json_put_uint(out, input);
    llm_mock_put(out, ",\"completion_tokens\":");
    llm_json_put_uint(out, output);
    llm_mock_put(out, ",\"total_tokens\":");
    llm_json_put_uint(out, input + output);
    llm_mock_put(out, ",\"prompt_tokens_details\":{\"cached_tokens\":0,"
                      "\"audio_tokens\":0},\"completion_tokens_details\":{"
                      "\"reasoning_tokens\":0,\"audio_tokens\":0}}");
}


/* ---- reading ------------------------------------------------------------- */

llm_str_t
llm_mock_at(llm_str_t json, const char *pointer)
{
    llm_str_t          p;
    llm_json_member_t  m;

    p.data = (const unsigned char *) pointer;
    p.len = strlen(pointer);

    if (json.len == 0 || llm_json_pointer(json, p, &m) != LLM_OK) {
        return LLM_NOSTR;
    }

    return m.value;
}


llm_str_t
llm_mock_inside(llm_str_t raw)
{
    if (raw.len < 2 || *raw.data != '"') {
        return LLM_NOSTR;
    }

    raw.data++;
    raw.len -= 2;

    return raw;
}


/* ---- small endpoints ----------------------------------------------------- */

void
llm_mock_model(llm_str_t model, llm_buf_t *out)
{
    llm_mock_put(out, "{\"id\":");
    llm_json_put_string(out, model.len ? model : LLM_STR("mock"));
    llm_mock_put(out, ",\"object\":\"model\",\"created\":");
    llm_json_put_uint(out, LLM_MOCK_CREATED);
    llm_mock_put(out, ",\"owned_by\":\"mock\"}");
}


static void
llm_mock_models(llm_str_t model, llm_buf_t *out)
{
    llm_mock_put(out, "{\"object\":\"list\",\"data\":[");
    llm_mock_model(model, out);
    llm_mock_put(out, "]}");
}


static void
llm_mock_moderation(llm_buf_t *out)
{
    size_t  i, k;

    static const char  *const  category[] = {
        "sexual", "sexual/minors", "harassment", "harassment/threatening",
        "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
        "self-harm/intent", "self-harm/instructions", "violence",
        "violence/graphic"
    };

    llm_mock_put(out, "{\"flagged\":false");

    for (k = 0; k < 2; k++) {
        llm_mock_put(out, k ? "},\"category_scores\":{" : ",\"categories\":{");

        for (i = 0; i < sizeof(category) / sizeof(category[0]); i++) {
            llm_mock_put(out, i ? ",\"" : "\"");
            llm_mock_put(out, category[i]);
            llm_mock_put(out, k ? "\":0.0" : "\":false");
        }
    }

    llm_mock_put(out, "}}");
}


static void
llm_mock_moderations(const llm_request_t *r, llm_str_t model, uint64_t seed,
    llm_buf_t *out)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;
    unsigned           n;

    llm_mock_put(out, "{\"id\":\"modr-mock");
    llm_mock_put_hex(out, llm_mock_random(&seed));
    llm_mock_put(out, "\",\"model\":");
    llm_json_put_string(out, model.len ? model : LLM_STR("mock"));
    llm_mock_put(out, ",\"results\":[");

    n = 0;

    if (r->member[LLM_M_INPUT].kind == LLM_JSON_ARRAY
        && llm_json_begin(&it, r->member[LLM_M_INPUT].value) == LLM_OK)
    {
        while (llm_json_next(&it, &m) == LLM_OK && !out->full) {
            llm_mock_put(out, n++ ? "," : "");
            llm_mock_moderation(out);
        }
    }

    if (n == 0) {
        llm_mock_moderation(out);
    }

    llm_mock_put(out, "]}");
}


/* ---- bodies and events --------------------------------------------------- */

llm_rc_t
llm_mock_body(const llm_request_t *r, llm_str_t model, uint64_t seed,
    uint64_t created, llm_buf_t *out, llm_str_t *type)
{
    llm_rc_t  rc;

    rc = LLM_OK;
    *type = LLM_STR("application/json");

    switch (r->endpoint) {

    case LLM_EP_CHAT:
    case LLM_EP_COMPLETIONS:
        rc = llm_mock_chat(r, model, seed, created, out);
        break;

    case LLM_EP_RESPONSES:
        rc = llm_mock_responses(r, model, seed, created, out);
        break;

    case LLM_EP_EMBEDDINGS:
        rc = llm_mock_embeddings(r, model, seed, out);
        break;

    case LLM_EP_TRANSCRIPTIONS:
    case LLM_EP_TRANSLATIONS:
        rc = llm_mock_transcript(r, out, type);
        break;

    case LLM_EP_SPEECH:
        rc = llm_mock_speech(out, type);
        break;

    case LLM_EP_MODELS:
        llm_mock_models(model, out);
        break;

    case LLM_EP_MODERATIONS:
        llm_mock_moderations(r, model, seed, out);
        break;

    default:
        return LLM_NONE;
    }

    return rc == LLM_OK && out->full ? LLM_FULL : rc;
}


int
llm_mock_streams(const llm_request_t *r)
{
    return r->stream
           && (r->endpoint == LLM_EP_CHAT
               || r->endpoint == LLM_EP_COMPLETIONS
               || r->endpoint == LLM_EP_RESPONSES
               || r->endpoint == LLM_EP_TRANSCRIPTIONS);
}


llm_rc_t
llm_mock_event(const llm_request_t *r, llm_str_t text, llm_str_t model,
    uint64_t seed, uint64_t created, size_t i, llm_buf_t *out)
{
    llm_rc_t  rc;

    (void) seed;                        /* the text has been chosen with it */

    switch (r->endpoint) {

    case LLM_EP_CHAT:
    case LLM_EP_COMPLETIONS:
        rc = llm_mock_chat_event(r, text, model, created, i, out);
        break;

    case LLM_EP_RESPONSES:
        rc = llm_mock_responses_event(r, text, model, created, i, out);
        break;

    case LLM_EP_TRANSCRIPTIONS:
        rc = llm_mock_transcript_event(text, i, out);
        break;

    default:
        return LLM_NONE;
    }

    return rc == LLM_OK && out->full ? LLM_FULL : rc;
}


/* ---- errors -------------------------------------------------------------- */

typedef struct {
    unsigned     status;
    const char  *message, *type, *code;     /* code NULL: null */
} llm_mock_error_t;

static const llm_mock_error_t  llm_mock_errors[] = {
    { 400, "We could not parse the JSON body of your request.",
      "invalid_request_error", NULL },
    { 401, "Incorrect API key provided.",
      "invalid_request_error", "invalid_api_key" },
    { 403, "You are not allowed to use this model.",
      "invalid_request_error", "permission_denied" },
    { 404, "The model does not exist or you do not have access to it.",
      "invalid_request_error", "model_not_found" },
    { 408, "The request timed out.", "timeout", NULL },
    { 429, "Rate limit reached for requests per min (RPM): Limit 60, Used 60, "
           "Requested 1. Please try again in 1s.",
      "requests", "rate_limit_exceeded" },
    { 503, "The server is currently overloaded.",
      "service_unavailable_error", "server_is_overloaded" },
    { 529, "The server is currently overloaded.", "overloaded_error", NULL }
};


static void
llm_mock_put_error(llm_buf_t *out, const llm_mock_error_t *e)
{
    llm_mock_put(out, "{\"error\":{\"message\":\"");
    llm_mock_put(out, e->message);
    llm_mock_put(out, "\",\"type\":\"");
    llm_mock_put(out, e->type);
    llm_mock_put(out, "\",\"param\":null,\"code\":");
    llm_mock_put(out, e->code ? "\"" : "null");
    llm_mock_put(out, e->code ? e->code : "");
    llm_mock_put(out, e->code ? "\"}}" : "}}");
}


void
llm_mock_error(unsigned status, llm_buf_t *out)
{
    size_t  i;

    static const llm_mock_error_t  fault = {
        500, "The server had an error while processing your request.",
        "server_error", NULL
    };

    static const llm_mock_error_t  refusal = {
        400, "The request is invalid.", "invalid_request_error", NULL
    };

    for (i = 0; i < sizeof(llm_mock_errors) / sizeof(llm_mock_errors[0]); i++) {
        if (llm_mock_errors[i].status == status) {
            llm_mock_put_error(out, &llm_mock_errors[i]);
            return;
        }
    }

    llm_mock_put_error(out, status < 500 ? &refusal : &fault);
}


void
llm_mock_quota(llm_buf_t *out)
{
    static const llm_mock_error_t  quota = {
        429, "You exceeded your current quota, please check your plan and "
             "billing details.",
        "insufficient_quota", "insufficient_quota"
    };

    llm_mock_put_error(out, &quota);
}


void
llm_mock_error_event(const llm_request_t *r, llm_buf_t *out)
{
    if (r->endpoint == LLM_EP_RESPONSES) {
        llm_mock_put(out, "event: error\ndata: {\"type\":\"error\",\"code\":"
                          "\"server_error\",\"message\":\"The server had an "
                          "error.\",\"param\":null,\"sequence_number\":0}"
                          "\n\n");
        return;
    }

    llm_mock_put(out, "data: ");
    llm_mock_error(500, out);
    llm_mock_put(out, "\n\n");
}


void
llm_mock_html(llm_buf_t *out)
{
    llm_mock_put(out, "<html>\r\n<head><title>502 Bad Gateway</title></head>"
                      "\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>"
                      "</center>\r\n<hr><center>mock</center>\r\n</body>\r\n"
                      "</html>\r\n");
}
