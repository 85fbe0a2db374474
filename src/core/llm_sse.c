/*
 * Server-sent events.
 *
 * A blank line ends an event.  A stream of bare CRs must not wait for one more
 * byte, so an event is over with the CR of its blank line; when an LF then
 * turns out to follow in the next piece, it is an event of its own, without
 * data, and whoever passes events on passes it on like any other.
 */

#include "llm_bytes.h"
#include "llm_sse.h"


/* What the CR was that ended the last piece. */
#define LLM_SSE_CR_LINE   1
#define LLM_SSE_CR_EVENT  2


void
llm_sse_init(llm_sse_t *s)
{
    s->line = 0;
    s->cr = 0;
}


size_t
llm_sse_cut(llm_sse_t *s, const unsigned char *p, size_t n, int *complete)
{
    int                   blank;
    const unsigned char  *start, *q, *end;

    *complete = 0;

    if (n == 0) {
        return 0;
    }

    start = p;
    end = p + n;

    if (s->cr && *p == '\n') {
        *complete = s->cr == LLM_SSE_CR_EVENT;
        p++;
    }

    s->cr = 0;

    while (p < end && !*complete) {

        q = llm_bytes_find(p, end, LLM_BYTES_LINE);
        if (q > p) {
            s->line = 1;
        }

        if (q == end) {
            return n;
        }

        blank = !s->line;
        s->line = 0;
        p = q + 1;

        if (*q == '\r') {
            if (p == end) {
                s->cr = blank ? LLM_SSE_CR_EVENT : LLM_SSE_CR_LINE;

            } else if (*p == '\n') {
                p++;
            }
        }

        *complete = blank;
    }

    return (size_t) (p - start);
}


/* One data line more. */
static void
llm_sse_data(llm_str_t value, unsigned char *scratch, llm_sse_event_t *ev)
{
    if (!ev->has_data) {
        ev->has_data = 1;
        ev->data = value;
        return;
    }

    if (ev->data.data != scratch) {
        memcpy(scratch, ev->data.data, ev->data.len);
        ev->data.data = scratch;
    }

    scratch[ev->data.len++] = '\n';

    memcpy(scratch + ev->data.len, value.data, value.len);
    ev->data.len += value.len;
}


static void
llm_sse_line(llm_str_t line, unsigned char *scratch, llm_sse_event_t *ev)
{
    llm_str_t             name, value;
    const unsigned char  *colon;

    name = line;
    value.data = line.data + line.len;
    value.len = 0;

    colon = memchr(line.data, ':', line.len);

    if (colon) {
        name.len = (size_t) (colon - line.data);
        value.data = colon + 1;
        value.len = line.len - name.len - 1;

        if (value.len && *value.data == ' ') {
            value.data++;
            value.len--;
        }
    }

    if (llm_str_eq(name, LLM_STR("data"))) {
        llm_sse_data(value, scratch, ev);

    } else if (llm_str_eq(name, LLM_STR("event"))) {
        ev->event = value;
    }
}


void
llm_sse_parse(llm_str_t raw, unsigned char *scratch, llm_sse_event_t *ev)
{
    llm_str_t             line;
    const unsigned char  *p, *q, *end;

    ev->raw = raw;
    ev->event = LLM_NOSTR;
    ev->data = LLM_NOSTR;
    ev->has_data = 0;

    if (raw.len == 0) {
        return;
    }

    p = raw.data;
    end = p + raw.len;

    if (raw.len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
    }

    /* the LF of a CRLF reads as a line without bytes, which says nothing */

    for ( ;; ) {
        q = llm_bytes_find(p, end, LLM_BYTES_LINE);

        if (q > p) {
            line.data = p;
            line.len = (size_t) (q - p);
            llm_sse_line(line, scratch, ev);
        }

        if (q == end) {
            break;
        }

        p = q + 1;
    }
}
