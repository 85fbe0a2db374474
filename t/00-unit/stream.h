/*
 * A body of server-sent events, read in pieces as it could arrive.
 */

#ifndef STREAM_H
#define STREAM_H

#include <stdlib.h>

#include "llm_sse.h"

/* `whole` is 0 for a last event that lacks its blank line. */
typedef void (*stream_event_pt)(void *data, const llm_sse_event_t *ev,
    int whole);


/* Hands on one event after the other; no view into one outlives the call: the
 * next takes its memory. */
static inline void
stream_read(llm_str_t body, size_t piece, stream_event_pt each, void *data)
{
    int              complete;
    size_t           at, n, used, len;
    llm_sse_t        sse;
    unsigned char   *event, *scratch;
    llm_sse_event_t  ev;

    event = malloc(body.len + 1);
    scratch = malloc(body.len + 1);
    llm_sse_init(&sse);
    len = 0;

    for (at = 0; at < body.len; at += used) {
        n = body.len - at < piece ? body.len - at : piece;
        used = llm_sse_cut(&sse, body.data + at, n, &complete);

        if (used == 0) {
            abort();
        }

        memcpy(event + len, body.data + at, used);
        len += used;

        if (complete || at + used == body.len) {
            llm_sse_parse((llm_str_t) { len, event }, scratch, &ev);
            each(data, &ev, complete);
            len = 0;
        }
    }

    free(event);
    free(scratch);
}

#endif /* STREAM_H */
