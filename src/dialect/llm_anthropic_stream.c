/*
 * Streams of the Anthropic dialect: what one event means, and its deltas.
 *
 * Blocks come one after the other, so one number says which is open.  Usage is
 * cumulative and may be told twice; what is null keeps its last value.
 */

#include "llm_anthropic.h"

enum {
    LLM_AS_TYPE, LLM_AS_MESSAGE, LLM_AS_BLOCK, LLM_AS_DELTA, LLM_AS_USAGE,
    LLM_AS_ERROR, LLM_AS_COUNT
};

/* llm_stream_t.block */
enum { LLM_BLOCK_OTHER = 0, LLM_BLOCK_TEXT, LLM_BLOCK_THINKING,
       LLM_BLOCK_CALL };


static const llm_json_want_t  llm_event_want[LLM_AS_COUNT] = {
    [LLM_AS_TYPE] = { .name = LLM_STR("type") },
    [LLM_AS_MESSAGE] = { .name = LLM_STR("message") },
    [LLM_AS_BLOCK] = { .name = LLM_STR("content_block") },
    [LLM_AS_DELTA] = { .name = LLM_STR("delta") },
    [LLM_AS_USAGE] = { .name = LLM_STR("usage") },
    [LLM_AS_ERROR] = { .name = LLM_STR("error") }
};


/* One event on its way. */
typedef struct {
    llm_stream_t      *s;
    llm_json_want_t   *want;
    const llm_sink_t  *sink;            /* NULL: nobody wants its deltas */
} llm_reader_t;


static void
llm_reader_put(llm_reader_t *r, const llm_delta_t *p)
{
    if (r->sink) {
        r->sink->put(r->sink->data, p);
    }
}


/* A text, if it is one; content then. */
static llm_event_t
llm_reader_text(llm_reader_t *r, llm_delta_kind_t kind, llm_json_kind_t is,
    llm_str_t text)
{
    llm_delta_t  p;

    if (is != LLM_JSON_STRING || text.len <= 2) {
        return LLM_EVENT_PREFACE;
    }

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = kind;
    p.text = text;
    p.call = r->s->calls - (r->s->calls != 0);
    llm_reader_put(r, &p);

    r->s->content = 1;

    return LLM_EVENT_CONTENT;
}


static void
llm_reader_usage(llm_reader_t *r, llm_str_t object)
{
    llm_usage_t  usage;

    llm_usage_init(&usage);
    llm_anthropic_usage(object, &usage, r->s->count);
    llm_usage_merge(&r->s->usage, &usage);
}


static llm_event_t
llm_reader_start(llm_reader_t *r)
{
    llm_delta_t      p;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("id") }, { .name = LLM_STR("model") },
        { .name = LLM_STR("usage") }
    };

    if (llm_openai_pick(r->want[LLM_AS_MESSAGE].value, want, 3) != LLM_OK) {
        return LLM_EVENT_PREFACE;
    }

    r->s->choices = 1;
    llm_reader_usage(r, want[2].value);

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_START;
    p.id = want[0].value;
    p.model = want[1].value;
    llm_reader_put(r, &p);

    return LLM_EVENT_PREFACE;
}


static llm_event_t
llm_reader_call(llm_reader_t *r, const llm_json_want_t *id,
    const llm_json_want_t *name, const llm_json_want_t *input)
{
    llm_delta_t  p;

    if (id->kind != LLM_JSON_STRING || name->kind != LLM_JSON_STRING) {
        return LLM_EVENT_PREFACE;
    }

    r->s->block = LLM_BLOCK_CALL;
    r->s->content = 1;

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_CALL;
    p.call = r->s->calls++;
    p.id = id->value;
    p.name = name->value;
    llm_reader_put(r, &p);

    /* some servers know the whole of it at once */

    if (input->kind == LLM_JSON_OBJECT
        && !llm_hub_idle(input->kind, input->value))
    {
        p.kind = LLM_DELTA_ARGUMENTS;
        p.object = input->value;
        llm_reader_put(r, &p);
    }

    return LLM_EVENT_CONTENT;
}


static llm_event_t
llm_reader_block(llm_reader_t *r)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("text") },
        { .name = LLM_STR("thinking") }, { .name = LLM_STR("data") },
        { .name = LLM_STR("id") }, { .name = LLM_STR("name") },
        { .name = LLM_STR("input") }
    };

    r->s->block = LLM_BLOCK_OTHER;

    if (llm_openai_pick(r->want[LLM_AS_BLOCK].value, want, 7) != LLM_OK) {
        return LLM_EVENT_PREFACE;
    }

    if (llm_hub_is(want[0].value, LLM_STR("text"))) {
        r->s->block = LLM_BLOCK_TEXT;
        return llm_reader_text(r, LLM_DELTA_TEXT, want[1].kind,
                               want[1].value);
    }

    if (llm_hub_is(want[0].value, LLM_STR("thinking"))) {
        r->s->block = LLM_BLOCK_THINKING;
        return llm_reader_text(r, LLM_DELTA_REASONING, want[2].kind,
                               want[2].value);
    }

    if (llm_hub_is(want[0].value, LLM_STR("redacted_thinking"))) {
        return llm_reader_text(r, LLM_DELTA_REDACTED, want[3].kind,
                               want[3].value);
    }

    if (llm_hub_is(want[0].value, LLM_STR("tool_use"))) {
        return llm_reader_call(r, &want[4], &want[5], &want[6]);
    }

    r->s->untold = 1;

    return LLM_EVENT_PREFACE;
}


static llm_event_t
llm_reader_delta(llm_reader_t *r)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("text") },
        { .name = LLM_STR("thinking") }, { .name = LLM_STR("signature") },
        { .name = LLM_STR("partial_json") }
    };

    if (llm_openai_pick(r->want[LLM_AS_DELTA].value, want, 5) != LLM_OK) {
        return LLM_EVENT_PREFACE;
    }

    switch (r->s->block) {

    case LLM_BLOCK_TEXT:
        if (!llm_hub_is(want[0].value, LLM_STR("text_delta"))) {
            /* citations */
            r->s->untold = 1;
        }

        return llm_reader_text(r, LLM_DELTA_TEXT, want[1].kind,
                               want[1].value);

    case LLM_BLOCK_CALL:
        return llm_reader_text(r, LLM_DELTA_ARGUMENTS, want[4].kind,
                               want[4].value);

    case LLM_BLOCK_THINKING:
        if (llm_hub_is(want[0].value, LLM_STR("signature_delta"))) {
            return llm_reader_text(r, LLM_DELTA_SIGNATURE, want[3].kind,
                                   want[3].value);
        }

        return llm_reader_text(r, LLM_DELTA_REASONING, want[2].kind,
                               want[2].value);

    default:
        return LLM_EVENT_PREFACE;
    }
}


static llm_event_t
llm_reader_finish(llm_reader_t *r)
{
    llm_delta_t      p;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("stop_reason") }, { .name = LLM_STR("stop_sequence") }
    };

    llm_reader_usage(r, r->want[LLM_AS_USAGE].value);

    memset(&p, 0, sizeof(llm_delta_t));

    if (llm_openai_pick(r->want[LLM_AS_DELTA].value, want, 2) != LLM_OK
        || want[0].kind != LLM_JSON_STRING || want[0].value.len <= 2)
    {
        p.kind = LLM_DELTA_USAGE;
        p.usage = r->s->usage;
        llm_reader_put(r, &p);

        return LLM_EVENT_PREFACE;
    }

    r->s->choices = 1;
    r->s->finished = 1;
    r->s->content = 1;

    p.kind = LLM_DELTA_FINISH;
    p.finish = llm_anthropic_finish(llm_openai_word(LLM_JSON_STRING,
                                                    want[0].value));
    p.text = want[1].kind == LLM_JSON_STRING ? want[1].value : LLM_NOSTR;
    llm_reader_put(r, &p);

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_USAGE;
    p.usage = r->s->usage;
    llm_reader_put(r, &p);

    return LLM_EVENT_CONTENT;
}


static llm_event_t
llm_reader_done(llm_reader_t *r)
{
    llm_delta_t  p;

    if (!r->s->done) {
        r->s->done = 1;
        r->s->terminal = 1;

        memset(&p, 0, sizeof(llm_delta_t));
        p.kind = LLM_DELTA_END;
        llm_reader_put(r, &p);
    }

    return LLM_EVENT_DONE;
}


static llm_event_t
llm_reader_error(llm_reader_t *r, llm_str_t data, llm_buf_t *mem)
{
    llm_openai_error_t  e;

    llm_anthropic_error(data, &e);
    r->s->error = llm_openai_error_hidden(&e, mem, &r->s->message);

    return LLM_EVENT_ERROR;
}


static llm_event_t
llm_reader_event(llm_reader_t *r, llm_str_t type)
{
    if (llm_str_eq(type, LLM_STR("content_block_delta"))) {
        return llm_reader_delta(r);
    }

    if (llm_str_eq(type, LLM_STR("content_block_start"))) {
        return llm_reader_block(r);
    }

    if (llm_str_eq(type, LLM_STR("content_block_stop"))) {
        r->s->block = LLM_BLOCK_OTHER;
        return LLM_EVENT_PREFACE;
    }

    if (llm_str_eq(type, LLM_STR("message_start"))) {
        return llm_reader_start(r);
    }

    if (llm_str_eq(type, LLM_STR("message_delta"))) {
        return llm_reader_finish(r);
    }

    if (llm_str_eq(type, LLM_STR("message_stop"))) {
        return llm_reader_done(r);
    }

    if (!llm_str_eq(type, LLM_STR("ping"))) {
        /* not known yet */
        r->s->untold = 1;
    }

    return LLM_EVENT_PREFACE;
}


llm_event_t
llm_anthropic_stream(llm_stream_t *s, const llm_sse_event_t *ev,
    llm_buf_t *mem, const llm_sink_t *sink)
{
    llm_str_t        type;
    llm_reader_t     r;
    llm_json_want_t  want[LLM_AS_COUNT];

    s->events++;

    if (ev->data.len == 0) {
        return LLM_EVENT_PREFACE;
    }

    if (ev->data.len >= 6 && memcmp(ev->data.data, "[DONE]", 6) == 0) {
        /* OpenRouter's, behind the real end */
        return LLM_EVENT_DONE;
    }

    memcpy(want, llm_event_want, sizeof(want));

    if (llm_openai_pick(ev->data, want, LLM_AS_COUNT) != LLM_OK) {
        s->malformed++;
        return LLM_EVENT_MALFORMED;
    }

    if (llm_openai_truthy(want[LLM_AS_ERROR].kind, want[LLM_AS_ERROR].value)) {
        r.s = s;
        return llm_reader_error(&r, ev->data, mem);
    }

    type = want[LLM_AS_TYPE].kind == LLM_JSON_STRING
           ? llm_openai_word(LLM_JSON_STRING, want[LLM_AS_TYPE].value)
           : ev->event;

    if (type.len == 0) {
        s->malformed++;
        return LLM_EVENT_MALFORMED;
    }

    r.s = s;
    r.want = want;
    r.sink = s->done ? NULL : sink;

    return llm_reader_event(&r, type);
}


llm_event_t
llm_anthropic_event(llm_stream_t *s, const llm_sse_event_t *ev, llm_buf_t *mem)
{
    return llm_anthropic_stream(s, ev, mem, NULL);
}
