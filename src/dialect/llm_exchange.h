/*
 * Recorded exchanges: which request an answer belongs to, and the file an
 * answer is kept in.
 */

#ifndef LLM_EXCHANGE_H
#define LLM_EXCHANGE_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

/*
 * A hash of what a request asks, for finding a recorded answer.  JSON: the
 * members that make the question (messages, input, prompt, tools, formats …)
 * without regard to order, white space, model and sampling.  Multipart: size
 * and first 4 KiB of its files, response_format and stream.  Other bodies: all
 * bytes.  `elided`: how many bytes were left out of the largest part of a
 * multipart body, behind its first 4 KiB.
 */
uint64_t llm_exchange_hash(llm_str_t body, uint64_t elided);

/* Whether a JSON or multipart body asks for a stream. */
int llm_exchange_streams(llm_str_t body);

/* The head of an answer's file: status and content type, nothing else. */
void llm_exchange_put_head(llm_buf_t *out, unsigned status, llm_str_t type,
    uint64_t length);

/* Takes such a file apart.  LLM_OK or LLM_BAD. */
llm_rc_t llm_exchange_read(llm_str_t file, unsigned *status, llm_str_t *type,
    llm_str_t *body);

/*
 * The request's file: method, path, content type, and the body: JSON as it is,
 * multipart as a list of its parts without the content of files, anything else
 * as its length.
 */
void llm_exchange_put_request(llm_buf_t *out, llm_str_t method, llm_str_t path,
    llm_str_t content_type, llm_str_t body);

#pragma GCC visibility pop

#endif /* LLM_EXCHANGE_H */
