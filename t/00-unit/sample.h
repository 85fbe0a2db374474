/*
 * Sample exchanges of a dialect, as its tests read them: refusals with their
 * headers, and streams in pieces as a row of deltas.
 */

#ifndef SAMPLE_H
#define SAMPLE_H

#include "tap.h"

#include "llm_front.h"

#define SAMPLE_NOW  1795168800000ULL    /* Fri, 20 Nov 2026 10:00:00 GMT */


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
    int              complete;
    size_t           at, n, used, len;
    llm_buf_t        mem;
    llm_sse_t        sse;
    llm_str_t        body;
    llm_sink_t       sink;
    llm_sse_event_t  ev;
    unsigned char    event[4096], scratch[4096];

    static unsigned char  memory[2048];     /* of the stream's message */

    body = tap_fixture(path);
    sink.put = sample_note;
    sink.data = notes;
    llm_stream_init(s, LLM_EP_CHAT);
    llm_sse_init(&sse);
    len = 0;

    for (at = 0; at < body.len; at += used) {
        n = body.len - at < piece ? body.len - at : piece;
        used = llm_sse_cut(&sse, body.data + at, n, &complete);
        memcpy(event + len, body.data + at, used);
        len += used;

        if (complete) {
            llm_sse_parse((llm_str_t) { len, event }, scratch, &ev);
            llm_buf_init(&mem, memory, sizeof(memory));
            (void) d->stream(s, &ev, &mem, &sink);
            len = 0;
        }
    }
}

#endif /* SAMPLE_H */
