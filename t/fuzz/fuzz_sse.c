/*
 * Event streams: any way to cut one gives the same events, no byte is lost, and
 * joined data fits where it was promised to.
 */

#include <stdlib.h>

#include "llm_sse.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* All events with data, written down one behind the other. */
typedef struct {
    unsigned char  *text;
    size_t          len;
    unsigned char  *raw;                /* of the unfinished event */
    size_t          raw_n;
} events_t;


static void
note(events_t *e, llm_str_t s)
{
    memcpy(e->text + e->len, &s.len, sizeof(s.len));
    e->len += sizeof(s.len);

    if (s.len) {
        memcpy(e->text + e->len, s.data, s.len);
        e->len += s.len;
    }
}


static void
take(events_t *e)
{
    unsigned char    *exact, *scratch;
    llm_sse_event_t   ev;

    exact = malloc(e->raw_n + 1);
    scratch = malloc(e->raw_n + 1);
    memcpy(exact, e->raw, e->raw_n);

    llm_sse_parse((llm_str_t) { e->raw_n, exact }, scratch, &ev);

    MUST(ev.data.len <= e->raw_n && ev.event.len <= e->raw_n);
    MUST(ev.has_data || ev.data.len == 0);

    if (ev.has_data) {
        note(e, ev.event);
        note(e, ev.data);
    }

    e->raw_n = 0;

    free(exact);
    free(scratch);
}


static void
collect(events_t *e, const uint8_t *data, size_t size, unsigned seed)
{
    int             complete;
    size_t          at, piece, n, done;
    llm_sse_t       s;
    unsigned char  *p;

    llm_sse_init(&s);

    for (at = 0; at < size; at += piece) {
        seed = seed * 1103515245 + 12345;
        piece = (seed >> 16) % 9 + 1;
        piece = seed == 0 || piece > size - at ? size - at : piece;

        p = malloc(piece);
        memcpy(p, data + at, piece);

        for (done = 0; done < piece; done += n) {
            n = llm_sse_cut(&s, p + done, piece - done, &complete);
            MUST(n && n <= piece - done);
            MUST(complete || done + n == piece);

            memcpy(e->raw + e->raw_n, p + done, n);
            e->raw_n += n;

            if (complete) {
                take(e);
            }
        }

        free(p);
    }

    take(e);
}


static events_t
make(size_t size)
{
    events_t  e;

    e.text = malloc(20 * size + 64);
    e.len = 0;
    e.raw = malloc(size + 1);
    e.raw_n = 0;

    return e;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned   i, seed;
    events_t   whole, cut;
    llm_sse_t  s;
    int        complete;
    size_t     at, n;

    if (size < 2) {
        return 0;
    }

    seed = (unsigned) data[0] << 8 | data[1] | 1u << 20;
    data += 2;
    size -= 2;

    /* whole: events straight from the input */

    whole = make(size);
    llm_sse_init(&s);

    for (at = 0; at < size; at += n) {
        n = llm_sse_cut(&s, data + at, size - at, &complete);
        MUST(n && n <= size - at);
        memcpy(whole.raw, data + at, n);
        whole.raw_n = n;
        if (complete) {
            take(&whole);
        } else {
            MUST(at + n == size);
        }
    }

    take(&whole);

    for (i = 0; i < 3; i++) {
        cut = make(size);
        collect(&cut, data, size, seed + i * 977);
        MUST(cut.len == whole.len
             && memcmp(cut.text, whole.text, cut.len) == 0);
        free(cut.text);
        free(cut.raw);
    }

    free(whole.text);
    free(whole.raw);

    return 0;
}
