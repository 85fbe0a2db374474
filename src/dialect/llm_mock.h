/*
 * What the built-in mock provider answers: deterministic bytes of the OpenAI
 * dialect.  The glue only sends them, late, in pieces, or wrong on purpose.
 */

#ifndef LLM_MOCK_H
#define LLM_MOCK_H

#include "llm_core.h"
#include "llm_request.h"

#pragma GCC visibility push(hidden)

/* A splitmix64 step: the mock's only source of chance. */
uint64_t llm_mock_random(uint64_t *state);

/*
 * Writes a complete non-streamed body for this request.  Chat and Responses: in
 * JSON mode an object that satisfies the schema when one is given (in the
 * request's format, or at the end of the system message), a small object
 * otherwise; a call of the first tool, or of the one asked for, when the
 * request has tools, does not forbid them and does not end with a tool's
 * result; else a short text that quotes the question.  The token limit is
 * respected.
 * Embeddings: unit vectors (float or base64) per input.  Transcriptions: a
 * sentence naming file, size and length, in the format asked for.  Speech: a
 * short tone.  *type is the content type.
 * LLM_OK, LLM_FULL, LLM_NONE (no answer for that endpoint).
 */
llm_rc_t llm_mock_body(const llm_request_t *r, llm_str_t model, uint64_t seed,
    uint64_t created, llm_buf_t *out, llm_str_t *type);

/* One model, for GET models/ID. */
void llm_mock_model(llm_str_t model, llm_buf_t *out);

/* Whether this request's answer is a stream of events. */
int llm_mock_streams(const llm_request_t *r);

/*
 * Writes event number `i` of the streamed answer (0, 1, …), complete with its
 * blank line; the same text as llm_mock_body() cut into words.  Chat: role
 * chunk, words, finish chunk, usage chunk when include_usage, [DONE].
 * LLM_OK, LLM_NONE after the last, LLM_FULL.  `text` is a body written by
 * llm_mock_body() for the same request.
 */
llm_rc_t llm_mock_event(const llm_request_t *r, llm_str_t text, llm_str_t model,
    uint64_t seed, uint64_t created, size_t i, llm_buf_t *out);

/* An error body with that status in the provider's words (429: with a
 * "try again in" sentence); the 429 of an account without credit; an error as
 * an event of this request's stream; the page of a proxy in front. */
void llm_mock_error(unsigned status, llm_buf_t *out);
void llm_mock_quota(llm_buf_t *out);
void llm_mock_error_event(const llm_request_t *r, llm_buf_t *out);
void llm_mock_html(llm_buf_t *out);

#pragma GCC visibility pop

#endif /* LLM_MOCK_H */
