/*
 * Streams of the OpenAI dialect: what one event means.
 *
 * Everything before the first content can still be thrown away and asked for
 * elsewhere, so an event counts as content only when a client would show
 * something, or learn that the answer is over.  This runs for every event of
 * every stream, so the frame of the last content event is kept: where the next
 * one has the same around its text, two comparisons stand for two scans.
 */

#include "llm_bytes.h"
#include "llm_openai.h"


/* What the choices of one event show. */
typedef struct {
    unsigned   n;                       /* members that show something */
    llm_str_t  text;                    /* the last one, when it is a string */
} llm_shown_t;


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


static void
llm_stream_show(llm_shown_t *shown, const llm_json_member_t *m)
{
    shown->n++;
    shown->text = m->kind == LLM_JSON_STRING ? m->value : LLM_NOSTR;
}


/* A delta shows something unless it only names the role. */
static void
llm_stream_delta(llm_str_t delta, llm_shown_t *shown)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, delta) != LLM_OK) {
        return;
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
            llm_stream_show(shown, &m);
            break;

        case 'r':
            if (!llm_str_eq(m.key, LLM_STR("role"))) {
                llm_stream_show(shown, &m);
            }
            break;

        default:
            break;
        }
    }
}


static llm_event_t
llm_stream_error(llm_stream_t *s, const llm_openai_error_t *e, llm_buf_t *mem)
{
    s->error = llm_openai_error_hidden(e, mem, &s->message);

    return LLM_EVENT_ERROR;
}


/* One choice: 1 is over, 0 goes on, -1 is an error. */
static int
llm_stream_choice(llm_stream_t *s, llm_str_t choice, llm_shown_t *shown)
{
    int                finished;
    uint64_t           index, bit;
    llm_str_t          reason;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, choice) != LLM_OK) {
        return 0;
    }

    index = 0;
    finished = 0;
    reason = LLM_NOSTR;

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_str_eq(m.key, LLM_STR("delta"))
            || llm_str_eq(m.key, LLM_STR("message")))
        {
            llm_stream_delta(m.value, shown);

        } else if (llm_str_eq(m.key, LLM_STR("text"))) {
            if (llm_stream_shows(m.kind, m.value)) {
                llm_stream_show(shown, &m);
            }

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

    return finished;
}


/* Remembers what stands around the text of a content event. */
static void
llm_stream_remember(llm_stream_t *s, llm_str_t event, llm_str_t text)
{
    size_t  head, tail;

    head = (size_t) (text.data - event.data) + 1;
    tail = event.len - head - (text.len - 2);

    if (head + tail > LLM_STREAM_FRAME) {
        return;
    }

    memcpy(s->frame, event.data, head);
    memcpy(s->frame + head, event.data + event.len - tail, tail);

    s->head = (uint16_t) head;
    s->tail = (uint16_t) tail;
}


/* Whether an event has the remembered frame around a well-formed text. */
static int
llm_stream_again(const llm_stream_t *s, llm_str_t event)
{
    size_t                frame;
    const unsigned char  *p, *end;

    frame = (size_t) s->head + s->tail;

    if (frame == 0 || event.len <= frame) {
        return 0;
    }

    p = event.data + s->head;
    end = event.data + event.len - s->tail;

    if (memcmp(event.data, s->frame, s->head) != 0
        || memcmp(end, s->frame + s->head, s->tail) != 0)
    {
        return 0;
    }

    for ( ;; ) {
        p = llm_bytes_find(p, end, LLM_BYTES_STRING);
        if (p == end) {
            return 1;
        }

        /* \u is left to the scan */

        if (*p != '\\' || end - p < 2
            || memchr("\"\\/bfnrt", p[1], 8) == NULL)
        {
            return 0;
        }

        p += 2;
    }
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
llm_stream_chunk(llm_stream_t *s, const llm_json_want_t *want,
    llm_str_t event, llm_buf_t *mem)
{
    int                 finished, plain;
    llm_shown_t         shown;
    llm_json_iter_t     it;
    llm_json_member_t   m;
    llm_openai_error_t  e;

    memset(&shown, 0, sizeof(llm_shown_t));
    finished = 0;
    plain = 1;

    if (want[LLM_S_USAGE].kind == LLM_JSON_OBJECT) {
        llm_stream_usage(s, want[LLM_S_USAGE].value);
        plain = 0;

    } else if (want[LLM_S_X_GROQ].kind == LLM_JSON_OBJECT
               && llm_json_get(want[LLM_S_X_GROQ].value, LLM_STR("usage"), &m)
                  == LLM_OK
               && m.kind == LLM_JSON_OBJECT)
    {
        llm_stream_usage(s, m.value);
        plain = 0;
    }

    if (want[LLM_S_CHOICES].kind == LLM_JSON_ARRAY
        && llm_json_begin(&it, want[LLM_S_CHOICES].value) == LLM_OK)
    {
        while (llm_json_next(&it, &m) == LLM_OK) {

            switch (llm_stream_choice(s, m.value, &shown)) {

            case -1:
                memset(&e, 0, sizeof(llm_openai_error_t));
                return llm_stream_error(s, &e, mem);

            case 1:
                finished = 1;
                break;

            default:
                break;
            }
        }
    }

    if (shown.n == 1 && shown.text.data && !finished && plain) {
        llm_stream_remember(s, event, shown.text);
    }

    if (shown.n || finished) {
        s->content = 1;
        return LLM_EVENT_CONTENT;
    }

    return want[LLM_S_USAGE].kind == LLM_JSON_OBJECT ? LLM_EVENT_USAGE
                                                     : LLM_EVENT_PREFACE;
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

    if (llm_stream_again(s, ev->data)) {
        return LLM_EVENT_CONTENT;
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
        return llm_stream_chunk(s, want, ev->data, mem);
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
