/*
 * Error bodies of the OpenAI dialect and its neighbours, read into one shape:
 *
 *   {"error":{…}}, [{"error":{…}}]                  OpenAI, Gemini
 *   {"error":"text"}                                whisper.cpp
 *   {"object":"error","message":…}                  vLLM, formerly
 *   {"detail":"text"}, {"detail":[{"msg":…}]}       FastAPI: speaches
 *
 * A body is kept to 16 KiB before it comes here, so it may end in the middle;
 * members that are whole count.
 */

#include "llm_openai.h"

#define LLM_WORD_MAX      128           /* bytes of a code or type */
#define LLM_EPOCH_S_MIN   1000000000ULL
#define LLM_EPOCH_MS_MIN  100000000000ULL


/* Cuts a raw string's text where no escape and no UTF-8 sequence is broken. */
static llm_str_t
llm_body_cut(llm_str_t text)
{
    size_t  i, end;

    if (text.len <= LLM_OPENAI_MESSAGE_MAX) {
        return text;
    }

    end = 0;

    for (i = 0; i < LLM_OPENAI_MESSAGE_MAX; /* void */) {
        end = i;
        i += text.data[i] != '\\' ? 1 : text.data[i + 1] == 'u' ? 6 : 2;
    }

    while (end && (text.data[end] & 0xc0) == 0x80) {
        end--;
    }

    text.len = end;

    return text;
}


static void
llm_body_message(llm_openai_error_t *e, const llm_json_member_t *m)
{
    if (m->kind == LLM_JSON_STRING && e->message.len == 0) {
        e->message = llm_body_cut(llm_openai_word(m->kind, m->value));
    }
}


static void
llm_body_word(const llm_json_member_t *m, llm_str_t *word)
{
    llm_str_t  s;

    s = llm_openai_word(m->kind, m->value);

    if (s.len <= LLM_WORD_MAX) {
        *word = s;
    }
}


/* A code or status that is an HTTP status, as a number or as a string. */
static void
llm_body_number(llm_openai_error_t *e, const llm_json_member_t *m)
{
    uint64_t  n;

    if (llm_json_uint(m->value, &n) == LLM_OK && n >= 300 && n < 600) {
        e->number = (unsigned) n;
    }
}


/* One of Google's details: RetryInfo, QuotaFailure, ErrorInfo. */
static void
llm_body_google(llm_openai_error_t *e, llm_str_t detail)
{
    llm_json_iter_t    it, list;
    llm_json_member_t  m, violation, id;

    if (llm_json_begin(&it, detail) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_str_eq(m.key, LLM_STR("retryDelay"))) {
            (void) llm_hint_duration(llm_openai_word(m.kind, m.value),
                                     &e->wait);

        } else if (llm_str_eq(m.key, LLM_STR("reason"))) {
            llm_body_word(&m, &e->reason);

        } else if (llm_str_eq(m.key, LLM_STR("violations"))
                   && llm_json_begin(&list, m.value) == LLM_OK)
        {
            while (llm_json_next(&list, &violation) == LLM_OK) {

                if (llm_json_get(violation.value, LLM_STR("quotaId"), &id)
                    == LLM_OK
                    && llm_openai_has(id.value, LLM_STR("perday")))
                {
                    e->day_quota = 1;
                }

                if (llm_json_get(violation.value, LLM_STR("quotaValue"), &id)
                    == LLM_OK
                    && llm_str_eq(id.value, LLM_STR("\"0\"")))
                {
                    e->zero_quota = 1;
                }
            }
        }
    }
}


/* OpenRouter's X-RateLimit-Reset: epoch ms, or seconds by its size. */
static void
llm_body_reset(llm_openai_error_t *e, llm_str_t headers)
{
    uint64_t           n;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, headers) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_openai_has(m.key, LLM_STR("x-ratelimit-reset"))
            && llm_json_uint(m.value, &n) == LLM_OK)
        {
            if (n >= LLM_EPOCH_MS_MIN) {
                e->reset_at = n;

            } else if (n >= LLM_EPOCH_S_MIN) {
                e->reset_at = n * 1000;
            }
        }
    }
}


static void
llm_body_openrouter(llm_openai_error_t *e, llm_str_t metadata)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, metadata) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_str_eq(m.key, LLM_STR("error_type"))) {
            llm_body_word(&m, &e->reason);

        } else if (llm_str_eq(m.key, LLM_STR("reasons"))
                   || llm_str_eq(m.key, LLM_STR("flagged_input")))
        {
            e->flagged |= llm_openai_truthy(m.kind, m.value) ? 1 : 0;

        } else if (llm_str_eq(m.key, LLM_STR("headers"))) {
            llm_body_reset(e, m.value);
        }
    }
}


/* FastAPI: a sentence, or a list of what is wrong with each field. */
static void
llm_body_detail(llm_openai_error_t *e, const llm_json_member_t *m)
{
    llm_json_iter_t    it;
    llm_json_member_t  first, text;

    llm_body_message(e, m);

    if (m->kind == LLM_JSON_ARRAY && llm_json_begin(&it, m->value) == LLM_OK
        && llm_json_next(&it, &first) == LLM_OK
        && llm_json_get(first.value, LLM_STR("msg"), &text) == LLM_OK)
    {
        llm_body_message(e, &text);
    }
}


static void
llm_body_member(llm_openai_error_t *e, const llm_json_member_t *m)
{
    llm_json_iter_t    it;
    llm_json_member_t  inner;

    if (llm_str_eq(m->key, LLM_STR("message"))) {
        llm_body_message(e, m);

    } else if (llm_str_eq(m->key, LLM_STR("type"))) {
        llm_body_word(m, &e->type);

    } else if (llm_str_eq(m->key, LLM_STR("code"))) {
        llm_body_word(m, &e->code);
        llm_body_number(e, m);

    } else if (llm_str_eq(m->key, LLM_STR("status"))) {
        llm_body_word(m, &e->status);
        llm_body_number(e, m);

    } else if (llm_str_eq(m->key, LLM_STR("param"))) {
        llm_body_word(m, &e->param);

    } else if (llm_str_eq(m->key, LLM_STR("detail"))) {
        llm_body_detail(e, m);

    } else if (llm_str_eq(m->key, LLM_STR("metadata"))) {
        llm_body_openrouter(e, m->value);

    } else if (llm_str_eq(m->key, LLM_STR("innererror"))) {
        if (llm_json_get(m->value, LLM_STR("code"), &inner) == LLM_OK) {
            llm_body_word(&inner, &e->reason);
        }

    } else if (llm_str_eq(m->key, LLM_STR("details"))
               && m->kind == LLM_JSON_ARRAY
               && llm_json_begin(&it, m->value) == LLM_OK)
    {
        while (llm_json_next(&it, &inner) == LLM_OK) {
            llm_body_google(e, inner.value);
        }
    }
}


void
llm_openai_error_value(llm_str_t value, llm_openai_error_t *e)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    memset(e, 0, sizeof(llm_openai_error_t));

    e->found = 1;

    m.kind = llm_json_kind(value);
    m.value = value;

    if (m.kind == LLM_JSON_STRING) {
        llm_body_message(e, &m);
    }

    if (m.kind != LLM_JSON_OBJECT || llm_json_begin(&it, value) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        llm_body_member(e, &m);
    }
}


/* From the first brace on; empty when there is none. */
static llm_str_t
llm_body_object(const unsigned char *p, const unsigned char *end)
{
    llm_str_t  s;

    s = LLM_NOSTR;

    if (p < end) {
        p = memchr(p, '{', (size_t) (end - p));
        if (p) {
            s.data = p;
            s.len = (size_t) (end - p);
        }
    }

    return s;
}


/* Members of an object whose end may be missing. */
static void
llm_body_flat(llm_str_t object, llm_openai_error_t *e)
{
    llm_openai_error_value(object, e);

    e->found = e->message.len != 0;
}


void
llm_openai_error_body(llm_str_t body, llm_openai_error_t *e)
{
    size_t             n;
    llm_rc_t           rc;
    llm_str_t          object;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    memset(e, 0, sizeof(llm_openai_error_t));

    while (body.len && memchr(" \t\r\n", body.data[0], 4)) {
        body.data++;
        body.len--;
    }

    if (body.len == 0 || memchr("{[\xef", body.data[0], 3) == NULL) {
        return;
    }

    /* an array of errors, a byte order mark: the first object is it */

    object = llm_body_object(body.data, body.data + body.len);

    if (*body.data == '{') {
        rc = llm_json_begin(&it, object);

    } else if (llm_json_begin(&it, body) == LLM_OK && it.close == ']'
               && llm_json_next(&it, &m) == LLM_OK
               && m.kind == LLM_JSON_OBJECT)
    {
        object = m.value;
        rc = llm_json_begin(&it, object);

    } else {
        rc = object.len ? llm_json_begin(&it, object) : LLM_BAD;
    }

    if (rc != LLM_OK) {
        return;
    }

    for (n = 0; (rc = llm_json_next(&it, &m)) == LLM_OK; n++) {

        if (llm_str_eq(m.key, LLM_STR("error"))
            && llm_openai_truthy(m.kind, m.value))
        {
            llm_openai_error_value(m.value, e);
            e->native = m.kind == LLM_JSON_OBJECT && e->message.len;
        }
    }

    if (e->found) {
        e->native = e->native && n == 1 && rc == LLM_NONE
                    && *body.data == '{';
        return;
    }

    llm_body_flat(object, e);

    /* cut inside the error: its first members are what matters */

    if (!e->found && rc == LLM_BAD) {
        llm_body_flat(llm_body_object(it.pos, it.end), e);
    }
}
