/*
 * WebSocket: any way to cut a stream gives the same messages and the same
 * usage, and the usage of a text message is what reading it whole tells.
 */

#include <stdlib.h>

#include "llm_openai.h"
#include "llm_realtime.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* All messages, one behind the other, each with its opcode in front. */
typedef struct {
    unsigned char  *text;
    size_t          n;
    llm_usage_t     usage;
    unsigned        told, closed, broken, code;
} seen_t;


static int
plain(llm_str_t raw)
{
    return raw.len == 0 || memchr(raw.data, '\\', raw.len) == NULL;
}


/* The "usage" of an event as its tree tells it: 1 there is one, -1 the event
 * has names that the reader on the side does not undo. */
static int
usage_of(llm_str_t text, llm_str_t *usage, llm_str_t *type)
{
    llm_json_iter_t    it, inner;
    llm_json_member_t  m, n;

    *usage = LLM_NOSTR;
    *type = LLM_NOSTR;

    if (llm_json_check(text) != LLM_OK || llm_json_begin(&it, text) != LLM_OK
        || it.close != '}')
    {
        return -1;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (!plain(m.key)) {
            return -1;
        }

        if (llm_str_eq(m.key, LLM_STR("type")) && m.kind == LLM_JSON_STRING) {
            type->data = m.value.data + 1;
            type->len = m.value.len - 2;
        }

        if (llm_str_eq(m.key, LLM_STR("usage")) && m.kind == LLM_JSON_OBJECT) {
            *usage = m.value;
        }

        if (!llm_str_eq(m.key, LLM_STR("response"))
            || m.kind != LLM_JSON_OBJECT
            || llm_json_begin(&inner, m.value) != LLM_OK)
        {
            continue;
        }

        while (llm_json_next(&inner, &n) == LLM_OK) {

            if (!plain(n.key)) {
                return -1;
            }

            if (llm_str_eq(n.key, LLM_STR("usage"))
                && n.kind == LLM_JSON_OBJECT)
            {
                *usage = n.value;
            }
        }
    }

    return usage->data != NULL && usage->len <= LLM_REALTIME_USAGE;
}


static void
same_as_tree(llm_str_t text, int told)
{
    int          there;
    llm_str_t    usage, type;
    llm_usage_t  u;

    there = usage_of(text, &usage, &type);

    if (there < 0) {
        return;
    }

    llm_usage_init(&u);
    llm_openai_usage(usage, &u);

    there = there && (u.input != LLM_UNKNOWN || u.output != LLM_UNKNOWN
                      || u.audio_ms != LLM_UNKNOWN)
            && (llm_str_eq(type, LLM_STR("response.done"))
                || llm_str_eq(type, LLM_STR("conversation.item.input_audio_"
                                            "transcription.completed")));

    MUST(told == there);
}


static void
take(seen_t *s, const llm_ws_piece_t *p, size_t *start,
    llm_realtime_event_t *e, int tree)
{
    int        told;
    llm_str_t  text;

    if (p->opcode >= LLM_WS_CLOSE) {
        return;
    }

    if (p->first) {
        s->text[s->n++] = (unsigned char) (p->opcode | p->compressed << 4);
        *start = s->n;
    }

    if (p->data.len) {
        memcpy(s->text + s->n, p->data.data, p->data.len);
        s->n += p->data.len;
    }

    if (p->opcode != LLM_WS_TEXT) {
        return;
    }

    told = llm_realtime_event(e, p, &s->usage);
    s->told += (unsigned) told;

    MUST(!told || p->last);

    if (p->last && tree && !p->compressed) {
        text.data = s->text + *start;
        text.len = s->n - *start;
        same_as_tree(text, told);
    }
}


static void
walk(seen_t *s, const uint8_t *data, size_t size, unsigned seed, int tree)
{
    size_t                 at, n, start;
    llm_rc_t               rc;
    llm_ws_t               w;
    llm_str_t              in;
    unsigned char         *p;
    llm_ws_piece_t         piece;
    llm_realtime_event_t   e;

    memset(s, 0, sizeof(seen_t));
    s->text = malloc(2 * size + 1);
    llm_usage_init(&s->usage);

    llm_ws_init(&w);
    start = 0;

    for (at = 0; at < size; at += n) {
        seed = seed * 1103515245 + 12345;
        n = (seed >> 16) % 19 + 1;
        n = tree || n > size - at ? size - at : n;

        p = malloc(n);
        memcpy(p, data + at, n);
        in.data = p;
        in.len = n;

        while ((rc = llm_ws_next(&w, &in, &piece)) == LLM_OK) {
            take(s, &piece, &start, &e, tree);
        }

        MUST(rc == LLM_BAD || in.len == 0);
        free(p);
    }

    s->closed = w.closed;
    s->broken = w.broken;
    s->code = llm_ws_close_code(&w);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    seen_t  whole, cut;

    if (size == 0 || size > 1 << 16) {
        return 0;
    }

    walk(&whole, data, size, 0, 1);
    walk(&cut, data, size, 1 + data[0], 0);

    MUST(whole.n == cut.n && memcmp(whole.text, cut.text, whole.n) == 0);
    MUST(whole.closed == cut.closed && whole.broken == cut.broken);
    MUST(whole.code == cut.code && whole.told == cut.told);
    MUST(memcmp(&whole.usage, &cut.usage, sizeof(llm_usage_t)) == 0);

    free(whole.text);
    free(cut.text);

    return 0;
}
