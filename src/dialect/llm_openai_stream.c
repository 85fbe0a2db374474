/*
 * Streams of the OpenAI dialect: what one event means.
 *
 * Everything before the first content can still be thrown away and asked for
 * elsewhere, so an event counts as content only when a client would show
 * something, or learn that the answer is over.  This runs for every event of
 * every stream: top-level members are found in one scan, choices in a second.
 */

#include "llm_openai.h"


enum {
    LLM_S_CHOICES, LLM_S_USAGE, LLM_S_ERROR, LLM_S_X_GROQ, LLM_S_CHAT_COUNT,
    LLM_S_TYPE = LLM_S_CHAT_COUNT, LLM_S_DELTA, LLM_S_TEXT, LLM_S_RESPONSE,
    LLM_S_COUNT
};


static const llm_json_want_t  llm_stream_want[LLM_S_COUNT] = {
    [LLM_S_CHOICES] = { .name = LLM_STR("choices") },
    [LLM_S_USAGE] = { .name = LLM_STR("usage") },
    [LLM_S_ERROR] = { .name = LLM_STR("error") },
    [LLM_S_X_GROQ] = { .name = LLM_STR("x_groq") },
    [LLM_S_TYPE] = { .name = LLM_STR("type") },
    [LLM_S_DELTA] = { .name = LLM_STR("delta") },
    [LLM_S_TEXT] = { .name = LLM_STR("text") },
    [LLM_S_RESPONSE] = { .name = LLM_STR("response") }
};


/* Types that announce something without showing it, and those that end it. */
static const llm_str_t  llm_stream_preface[] = {
    LLM_STR("\"response.created\""), LLM_STR("\"response.queued\""),
    LLM_STR("\"response.in_progress\""),
    LLM_STR("\"response.output_item.added\""),
    LLM_STR("\"response.content_part.added\""),
    LLM_STR("\"response.reasoning_summary_part.added\"")
};

static const llm_str_t  llm_stream_terminal[] = {
    LLM_STR("\"response.completed\""), LLM_STR("\"response.incomplete\""),
    LLM_STR("\"response.cancelled\""), LLM_STR("\"transcript.text.done\""),
    LLM_STR("\"speech.audio.done\""), LLM_STR("\"image_generation.completed\"")
};

#define llm_stream_n(list)  (sizeof(list) / sizeof(list[0]))


static int
llm_stream_in(llm_str_t value, const llm_str_t *list, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (llm_str_eq(value, list[i])) {
            return 1;
        }
    }

    return 0;
}


/* "", [], {}, null, false: nothing to show. */
static int
llm_stream_shows(llm_json_kind_t kind, llm_str_t value)
{
    size_t  i;

    switch (kind) {

    case LLM_JSON_STRING:
        return value.len > 2;

    case LLM_JSON_ARRAY:
    case LLM_JSON_OBJECT:
        for (i = 1; i + 1 < value.len; i++) {
            if (value.data[i] > ' ') {
                return 1;
            }
        }
        return 0;

    case LLM_JSON_NUMBER:
    case LLM_JSON_TRUE:
        return 1;

    default:
        return 0;
    }
}


/* A delta shows something unless it only names the role. */
static int
llm_stream_delta(llm_str_t delta)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, delta) != LLM_OK) {
        return 0;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (!llm_stream_shows(m.kind, m.value)) {
            continue;
        }

        /* content, reasoning, reasoning_content, reasoning_details, refusal,
         * tool_calls, function_call, audio, images */

        switch (m.key.len ? m.key.data[0] : 0) {

        case 'c':
        case 't':
        case 'f':
        case 'a':
        case 'i':
            return 1;

        case 'r':
            if (!llm_str_eq(m.key, LLM_STR("role"))) {
                return 1;
            }
            break;

        default:
            break;
        }
    }

    return 0;
}


static llm_event_t
llm_stream_error(llm_stream_t *s, const llm_openai_error_t *e, llm_buf_t *mem)
{
    s->error = llm_openai_error_hidden(e, mem, &s->message);

    return LLM_EVENT_ERROR;
}


/* One choice: 1 shows something or is over, 0 neither, -1 is an error. */
static int
llm_stream_choice(llm_stream_t *s, llm_str_t choice)
{
    int                content, finished;
    uint64_t           index, bit;
    llm_str_t          reason;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, choice) != LLM_OK) {
        return 0;
    }

    index = 0;
    content = 0;
    finished = 0;
    reason = LLM_NOSTR;

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_str_eq(m.key, LLM_STR("delta"))
            || llm_str_eq(m.key, LLM_STR("message")))
        {
            content |= llm_stream_delta(m.value);

        } else if (llm_str_eq(m.key, LLM_STR("text"))) {
            content |= llm_stream_shows(m.kind, m.value);

        } else if (llm_str_eq(m.key, LLM_STR("index"))) {
            if (llm_json_uint(m.value, &index) != LLM_OK) {
                index = 0;
            }

        } else if (llm_str_eq(m.key, LLM_STR("finish_reason"))) {
            if (m.kind == LLM_JSON_STRING && m.value.len > 2) {
                finished = 1;
                reason = m.value;
            }
        }
    }

    bit = 1ULL << (index < 63 ? index : 63);
    s->choices |= bit;

    if (llm_str_eq(reason, LLM_STR("\"error\""))) {
        return -1;
    }

    if (finished) {
        s->finished |= bit;
    }

    return content || finished;
}


static void
llm_stream_usage(llm_stream_t *s, llm_str_t object)
{
    llm_usage_t  usage;

    llm_usage_init(&usage);
    llm_openai_usage(object, &usage);
    llm_usage_merge(&s->usage, &usage);
}


/* Chunks with choices: chat, completions, vLLM's transcriptions. */
static llm_event_t
llm_stream_chunk(llm_stream_t *s, const llm_json_want_t *want, llm_buf_t *mem)
{
    int                 content, usage;
    llm_json_iter_t     it;
    llm_json_member_t   m;
    llm_openai_error_t  e;

    content = 0;
    usage = 0;

    if (want[LLM_S_USAGE].kind == LLM_JSON_OBJECT) {
        llm_stream_usage(s, want[LLM_S_USAGE].value);
        usage = 1;

    } else if (want[LLM_S_X_GROQ].kind == LLM_JSON_OBJECT
               && llm_json_get(want[LLM_S_X_GROQ].value, LLM_STR("usage"), &m)
                  == LLM_OK
               && m.kind == LLM_JSON_OBJECT)
    {
        llm_stream_usage(s, m.value);
    }

    if (want[LLM_S_CHOICES].kind == LLM_JSON_ARRAY
        && llm_json_begin(&it, want[LLM_S_CHOICES].value) == LLM_OK)
    {
        while (llm_json_next(&it, &m) == LLM_OK) {

            switch (llm_stream_choice(s, m.value)) {

            case -1:
                memset(&e, 0, sizeof(llm_openai_error_t));
                return llm_stream_error(s, &e, mem);

            case 1:
                content = 1;
                break;

            default:
                break;
            }
        }
    }

    if (content) {
        s->content = 1;
        return LLM_EVENT_CONTENT;
    }

    return usage ? LLM_EVENT_USAGE : LLM_EVENT_PREFACE;
}


/* "error" and "response.failed": the error is here, or in the response. */
static llm_event_t
llm_stream_failed(llm_stream_t *s, const llm_json_want_t *want,
    llm_str_t event, llm_buf_t *mem)
{
    llm_json_member_t   m;
    llm_openai_error_t  e;

    if (want[LLM_S_RESPONSE].kind == LLM_JSON_OBJECT
        && llm_json_get(want[LLM_S_RESPONSE].value, LLM_STR("error"), &m)
           == LLM_OK)
    {
        llm_openai_error_value(m.value, &e);

    } else {
        llm_openai_error_value(event, &e);

        if (llm_str_eq(e.type, LLM_STR("error"))) {
            e.type = LLM_NOSTR;
        }
    }

    return llm_stream_error(s, &e, mem);
}


/* Events with a type: the Responses API, transcripts, speech, images. */
static llm_event_t
llm_stream_typed(llm_stream_t *s, const llm_json_want_t *want,
    llm_str_t event, llm_buf_t *mem)
{
    llm_str_t          type;
    llm_json_member_t  m;

    type = want[LLM_S_TYPE].value;

    if (llm_str_eq(type, LLM_STR("\"error\""))
        || llm_str_eq(type, LLM_STR("\"response.failed\"")))
    {
        return llm_stream_failed(s, want, event, mem);
    }

    if (llm_stream_in(type, llm_stream_terminal,
                      llm_stream_n(llm_stream_terminal)))
    {
        if (want[LLM_S_USAGE].kind == LLM_JSON_OBJECT) {
            llm_stream_usage(s, want[LLM_S_USAGE].value);
        }

        if (want[LLM_S_RESPONSE].kind == LLM_JSON_OBJECT
            && llm_json_get(want[LLM_S_RESPONSE].value, LLM_STR("usage"), &m)
               == LLM_OK)
        {
            llm_stream_usage(s, m.value);
        }

        s->terminal = 1;

    } else if (llm_stream_in(type, llm_stream_preface,
                             llm_stream_n(llm_stream_preface))
               || (want[LLM_S_DELTA].value.data
                   && !llm_stream_shows(want[LLM_S_DELTA].kind,
                                        want[LLM_S_DELTA].value)))
    {
        return LLM_EVENT_PREFACE;
    }

    s->content = 1;

    return LLM_EVENT_CONTENT;
}


/* Not an object: an array of errors, or nothing anybody could use. */
static llm_event_t
llm_stream_other(llm_stream_t *s, const llm_sse_event_t *ev, llm_buf_t *mem)
{
    llm_openai_error_t  e;

    memset(&e, 0, sizeof(llm_openai_error_t));

    if (ev->data.data[0] == '[') {
        llm_openai_error_body(ev->data, &e);
    }

    if (e.found || llm_str_eq(ev->event, LLM_STR("error"))) {
        return llm_stream_error(s, &e, mem);
    }

    s->malformed++;

    return LLM_EVENT_MALFORMED;
}


llm_event_t
llm_openai_event(llm_stream_t *s, const llm_sse_event_t *ev, llm_buf_t *mem)
{
    int                 chat;
    llm_openai_error_t  e;
    llm_json_want_t     want[LLM_S_COUNT];

    s->events++;

    if (ev->data.len == 0) {
        return LLM_EVENT_PREFACE;
    }

    if (ev->data.len >= 6 && memcmp(ev->data.data, "[DONE]", 6) == 0) {
        s->done = 1;
        return LLM_EVENT_DONE;
    }

    chat = s->endpoint == LLM_EP_CHAT || s->endpoint == LLM_EP_COMPLETIONS;

    memcpy(want, llm_stream_want, sizeof(want));

    if (llm_openai_pick(ev->data, want, chat ? LLM_S_CHAT_COUNT : LLM_S_COUNT)
        != LLM_OK)
    {
        return llm_stream_other(s, ev, mem);
    }

    if (llm_openai_truthy(want[LLM_S_ERROR].kind, want[LLM_S_ERROR].value)) {
        llm_openai_error_value(want[LLM_S_ERROR].value, &e);
        return llm_stream_error(s, &e, mem);
    }

    if (chat || want[LLM_S_CHOICES].value.data) {
        return llm_stream_chunk(s, want, mem);
    }

    if (want[LLM_S_TYPE].kind == LLM_JSON_STRING) {
        return llm_stream_typed(s, want, ev->data, mem);
    }

    /* speaches sends plain transcriptions and ends with the connection */

    if (want[LLM_S_TEXT].kind == LLM_JSON_STRING) {
        s->terminal = 1;
    }

    s->content = 1;

    return LLM_EVENT_CONTENT;
}
