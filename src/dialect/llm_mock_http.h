/*
 * As much HTTP/1.1 as the mock's server end needs: the head of a request and
 * the chunked coding of its body.  Its only client is the gateway itself.
 */

#ifndef LLM_MOCK_HTTP_H
#define LLM_MOCK_HTTP_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_MOCK_HEAD_MAX  32768        /* bytes; a longer head is refused */

typedef struct {
    llm_str_t  method;
    llm_str_t  path;                    /* without the query */
    llm_str_t  type;                    /* Content-Type, or empty */
    uint64_t   length;                  /* Content-Length, 0 without */
    size_t     size;                    /* of the head, blank line included */
    unsigned   chunked:1;
    unsigned   close:1;                 /* Connection: close */
} llm_mock_head_t;

/* Reads a head.  LLM_OK, LLM_AGAIN (no blank line yet), LLM_BAD. */
llm_rc_t llm_mock_head(llm_str_t bytes, llm_mock_head_t *h);

typedef struct {
    uint64_t  left;                     /* bytes of the current chunk */
    unsigned  state;
} llm_mock_chunked_t;

/*
 * Takes the chunked coding off p[0..n), in place: *data bytes of content stand
 * at p afterwards.  A zeroed *c is the beginning of a body.  LLM_AGAIN (more is
 * to come), LLM_OK (the last chunk was read), LLM_BAD.
 */
llm_rc_t llm_mock_dechunk(llm_mock_chunked_t *c, unsigned char *p, size_t n,
    size_t *data);

#pragma GCC visibility pop

#endif /* LLM_MOCK_HTTP_H */
