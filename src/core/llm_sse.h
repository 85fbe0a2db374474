/*
 * Server-sent events: where events end, and what one event says.
 *
 * llm_sse_cut() only finds the ends, so that events which arrive whole are
 * passed on from where they lie; a caller keeps the bytes of an unfinished one.
 * Grammar: WHATWG HTML, "Server-sent events"; lines end with LF, CRLF or CR.
 */

#ifndef LLM_SSE_H
#define LLM_SSE_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

typedef struct {
    unsigned char  line;                /* the current line has bytes */
    unsigned char  cr;                  /* the last byte was a CR, of what */
} llm_sse_t;

typedef struct {
    llm_str_t  raw;                     /* as it came */
    llm_str_t  event;                   /* value of the event field, or empty */
    llm_str_t  data;                    /* all data lines, joined by LF */
    unsigned   has_data:1;              /* 0: comment, blank, other fields */
} llm_sse_event_t;

void llm_sse_init(llm_sse_t *s);

/*
 * Looks for the end of the current event in p[0..n).  Returns how many bytes
 * belong to it; *complete says whether its last one is among them (the blank
 * line included).  Any way to cut a stream into pieces gives the same events
 * with data; only the LF behind a CR that ended an event comes as an event of
 * its own, with nothing in it, when the two arrive in different pieces.
 */
size_t llm_sse_cut(llm_sse_t *s, const unsigned char *p, size_t n,
    int *complete);

/*
 * Reads one event of raw bytes as cut above (an unfinished last one is fine).
 * Data of several lines is joined in scratch, which must hold raw.len bytes;
 * with one line, ev->data points into raw.  `data:` alone is data of no bytes.
 * A BOM at the start is skipped.
 */
void llm_sse_parse(llm_str_t raw, unsigned char *scratch, llm_sse_event_t *ev);

#pragma GCC visibility pop

#endif /* LLM_SSE_H */
