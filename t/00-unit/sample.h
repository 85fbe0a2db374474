/*
 * Sample exchanges of a dialect, as its tests read them: refusals with their
 * headers, and streams in pieces as a row of deltas.
 */

#ifndef SAMPLE_H
#define SAMPLE_H

#include "tap.h"
#include "stream.h"

#include "llm_front.h"

#define SAMPLE_NOW  1795168800000ULL    /* Fri, 20 Nov 2026 10:00:00 GMT */

typedef struct {
    const llm_dialect_t  *dialect;
    llm_stream_t         *stream;
    const llm_sink_t     *sink;
} sample_way_t;


/* The body of a .http fixture, its status and its headers' hints. */
static inline llm_str_t
sample_http(const char *path, unsigned *status, llm_hint_t *hint)
{
    char       *line, *end, *colon, *value;
    size_t      i, head_n;
    llm_str_t   file, body;
    static char  head[4096];

    llm_hint_init(hint);
    file = tap_fixture(path);
    snprintf(head, sizeof(head), "%.*s", (int) file.len, file.data);
    end = strstr(head, "\r\n\r\n");
    head_n = (size_t) (end - head) + 4;
    *end = '\0';
    *status = (unsigned) atoi(head + 9);

    for (line = strstr(head, "\r\n"); line; line = end) {
        line += 2;
        end = strstr(line, "\r\n");
        colon = strchr(line, ':');
        for (i = 0; line + i < colon; i++) {
            line[i] |= line[i] >= 'A' && line[i] <= 'Z' ? 0x20 : 0;
        }
        value = colon + 2;
        llm_hint_header(hint, (llm_str_t) { i, (unsigned char *) line },
                        (llm_str_t) { end ? (size_t) (end - value)
                                          : strlen(value),
                                      (unsigned char *) value }, SAMPLE_NOW);
    }

    body.data = file.data + head_n;
    body.len = file.len - head_n;

    return body;
}


/* A whole answer of a dialect, as a reply's front writes it. */
static inline void
sample_whole(llm_reply_t *reply, const llm_dialect_t *from, llm_str_t body,
    llm_buf_t *out)
{
    llm_buf_t     mem;
    llm_source_t  source;

    static unsigned char  memory[2048];

    llm_buf_init(&mem, memory, sizeof(memory));
    source.from = from;
    source.body = body;
    source.mem = &mem;

    reply->front->whole(reply, &source, out);
}


static inline void
sample_event(void *data, const llm_sse_event_t *ev, int whole)
{
    llm_buf_t      mem;
    sample_way_t  *w = data;

    static unsigned char  memory[2048];     /* of the stream's message */

    if (whole) {
        llm_buf_init(&mem, memory, sizeof(memory));
        (void) w->dialect->stream(w->stream, ev, &mem, w->sink);
    }
}


/* Gives a sink the deltas of a stream that is read in pieces of that size. */
static inline void
sample_deltas(const llm_dialect_t *d, llm_str_t body, size_t piece,
    llm_stream_t *s, const llm_sink_t *sink)
{
    sample_way_t  w = { d, s, sink };

    llm_stream_init(s, LLM_EP_CHAT);
    stream_read(body, piece, sample_event, &w);
}


/* One letter for each delta, and texts between. */
static inline void
sample_note(void *data, const llm_delta_t *d)
{
    llm_buf_t *b = data;

    /* by llm_delta_kind_t */
    static const char  kinds[] = "^trs!fca.uESL";

    llm_buf_put(b, &kinds[d->kind], 1);

    if (d->text.len > 2) {
        llm_buf_put(b, d->text.data + 1, d->text.len - 2);
    }
}


/* Appends what a stream tells, read in pieces of that size. */
static inline void
sample_stream(const llm_dialect_t *d, const char *path, size_t piece,
    llm_stream_t *s, llm_buf_t *notes)
{
    llm_sink_t  sink = { sample_note, notes };

    sample_deltas(d, tap_fixture(path), piece, s, &sink);
}

#endif /* SAMPLE_H */
