/*
 * What a session takes, read from the events that pass.
 *
 * Events come in pieces and may be large (audio), so none is kept: one pass
 * over the text picks the top-level "type", and "usage" at the top or inside
 * "response".  Events that cannot be read count for nothing.
 */

#include "llm_realtime.h"
#include "llm_bytes.h"
#include "llm_openai.h"


enum {
    LLM_CAPTURE_NONE = 0,
    LLM_CAPTURE_TYPE,
    LLM_CAPTURE_USAGE
};


static void
llm_event_keep(llm_realtime_event_t *e, unsigned char c)
{
    if (e->capture == LLM_CAPTURE_TYPE) {

        if (e->type_n < LLM_REALTIME_TYPE) {
            e->type[e->type_n] = c;
        }

        e->type_n = (uint16_t) (e->type_n + (e->type_n <= LLM_REALTIME_TYPE));

    } else if (e->capture == LLM_CAPTURE_USAGE) {

        if (e->usage_n < LLM_REALTIME_USAGE) {
            e->usage[e->usage_n] = c;
        }

        e->usage_n = (uint16_t) (e->usage_n
                                 + (e->usage_n <= LLM_REALTIME_USAGE));
    }
}


static int
llm_event_key_is(const llm_realtime_event_t *e, llm_str_t name)
{
    return e->key_n == name.len && memcmp(e->key, name.data, name.len) == 0;
}


/* A value begins: is it one of ours? */
static void
llm_event_value(llm_realtime_event_t *e, unsigned char c)
{
    if (e->capture == LLM_CAPTURE_NONE && e->key_n) {

        if (c == '"' && e->depth == 1
            && llm_event_key_is(e, LLM_STR("type")))
        {
            e->capture = LLM_CAPTURE_TYPE;
            e->type_n = 0;

        } else if (c == '{' && llm_event_key_is(e, LLM_STR("usage"))) {
            e->capture = LLM_CAPTURE_USAGE;
            e->until = e->depth;
            e->usage_n = 0;
            e->whole = 0;

        } else if (c == '{' && e->depth == 1
                   && llm_event_key_is(e, LLM_STR("response")))
        {
            e->response = 1;
        }
    }

    e->key_n = 0;
}


static void
llm_event_string(llm_realtime_event_t *e, unsigned char c)
{
    if (e->escape) {
        e->escape = 0;

    } else if (c == '\\') {
        e->escape = 1;

    } else if (c == '"') {
        e->string = 0;

        if (e->capture == LLM_CAPTURE_TYPE) {
            e->capture = LLM_CAPTURE_NONE;
        }

        if (e->is_key) {
            e->is_key = 0;
            e->want_key = 0;
        }

        llm_event_keep(e, c);
        return;
    }

    if (e->is_key) {

        if (e->key_n < sizeof(e->key)) {
            e->key[e->key_n++] = c;
        } else {
            /* none of ours is that long */
            e->key[0] = 0;
        }

        return;
    }

    llm_event_keep(e, c);
}


static void
llm_event_open(llm_realtime_event_t *e, unsigned char c)
{
    llm_event_value(e, c);
    llm_event_keep(e, c);

    if (e->depth < UINT32_MAX) {
        e->depth++;
    }

    e->want_key = e->capture == LLM_CAPTURE_NONE && c == '{'
                  && (e->depth == 1 || (e->depth == 2 && e->response));
}


static void
llm_event_close(llm_realtime_event_t *e, unsigned char c)
{
    llm_event_keep(e, c);

    e->want_key = 0;
    e->key_n = 0;

    if (e->depth) {
        e->depth--;
    }

    if (e->capture == LLM_CAPTURE_USAGE && e->depth == e->until) {
        e->capture = LLM_CAPTURE_NONE;
        e->whole = 1;
    }

    if (e->depth == 1) {
        e->response = 0;
    }
}


static void
llm_event_byte(llm_realtime_event_t *e, unsigned char c)
{
    if (e->string) {
        llm_event_string(e, c);
        return;
    }

    switch (c) {

    case '"':
        e->string = 1;
        e->is_key = e->want_key;

        if (e->is_key) {
            e->key_n = 0;
            return;
        }

        /* the quote in front is no part of a type */
        llm_event_keep(e, c);
        llm_event_value(e, c);
        return;

    case '{':
    case '[':
        llm_event_open(e, c);
        return;

    case '}':
    case ']':
        llm_event_close(e, c);
        return;

    case ',':
        e->key_n = 0;
        e->want_key = e->capture == LLM_CAPTURE_NONE
                      && (e->depth == 1 || (e->depth == 2 && e->response));
        break;

    default:
        break;
    }

    llm_event_keep(e, c);
}


static void
llm_event_text(llm_realtime_event_t *e, llm_str_t text)
{
    const unsigned char  *p, *end;

    p = text.data;
    end = p + text.len;

    while (p < end) {

        if (e->string && !e->escape && !e->is_key
            && e->capture == LLM_CAPTURE_NONE)
        {
            p = llm_bytes_find(p, end, LLM_BYTES_STRING);

            if (p == end) {
                return;
            }
        }

        llm_event_byte(e, *p++);
    }
}


static void
llm_event_add(uint64_t *sum, uint64_t n)
{
    if (n == LLM_UNKNOWN) {
        return;
    }

    if (*sum == LLM_UNKNOWN) {
        *sum = 0;
    }

    *sum = n < LLM_UNKNOWN - 1 - *sum ? *sum + n : LLM_UNKNOWN - 1;
}


static int
llm_event_usage(const llm_realtime_event_t *e, llm_usage_t *usage)
{
    llm_str_t    type, text;
    llm_usage_t  u;

    if (!e->whole || e->usage_n > LLM_REALTIME_USAGE
        || e->type_n > LLM_REALTIME_TYPE)
    {
        return 0;
    }

    type.data = e->type;
    type.len = e->type_n;

    if (!llm_str_eq(type, LLM_STR("response.done"))
        && !llm_str_eq(type, LLM_STR("conversation.item."
                                     "input_audio_transcription.completed")))
    {
        return 0;
    }

    text.data = e->usage;
    text.len = e->usage_n;

    llm_usage_init(&u);
    llm_openai_usage(text, &u);

    llm_event_add(&usage->input, u.input);
    llm_event_add(&usage->cached, u.cached);
    llm_event_add(&usage->output, u.output);
    llm_event_add(&usage->reasoning, u.reasoning);
    llm_event_add(&usage->audio_ms, u.audio_ms);
    llm_event_add(&usage->cost_nano, u.cost_nano);

    return u.input != LLM_UNKNOWN || u.output != LLM_UNKNOWN
           || u.audio_ms != LLM_UNKNOWN;
}


int
llm_realtime_event(llm_realtime_event_t *e, const llm_ws_piece_t *piece,
    llm_usage_t *usage)
{
    if (piece->first) {
        memset(e, 0, sizeof(llm_realtime_event_t));
    }

    if (piece->compressed) {
        return 0;
    }

    llm_event_text(e, piece->data);

    return piece->last ? llm_event_usage(e, usage) : 0;
}
