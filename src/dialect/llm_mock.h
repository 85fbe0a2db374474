/*
 * What the built-in mock provider answers: deterministic bytes of the OpenAI
 * dialect.  The glue only sends them, late, in pieces, or wrong on purpose.
 */

#ifndef LLM_MOCK_H
#define LLM_MOCK_H

#include "llm_core.h"
#include "llm_request.h"

/* A splitmix64 step: the mock's only source of chance. */
uint64_t llm_mock_random(uint64_t *state);

/*
 * Writes a complete non-streamed body for this request.  Chat: in JSON mode an
 * object that satisfies response_format.json_schema.schema when given, a
 * small object otherwise; a tool call when `tools` has one and tool_choice asks
 * for it (or the last message asks to use it); else a short text that quotes
 * the question.  Embeddings: unit vectors (float or base64) per input.
 * Transcription: a sentence naming file and size, in the format asked for
 * (*type is its content type).  LLM_OK, LLM_FULL.
 */
llm_rc_t llm_mock_body(const llm_request_t *r, llm_str_t model, uint64_t seed,
    uint64_t created, llm_buf_t *out, llm_str_t *type);

/*
 * Writes event number `i` of the streamed answer (0, 1, …), complete with its
 * blank line; the same text as llm_mock_body() cut into words: role chunk,
 * words, finish chunk, usage chunk when include_usage, [DONE].
 * LLM_OK, LLM_NONE after the last, LLM_FULL.  `text` is a body written by
 * llm_mock_body() for the same request.
 */
llm_rc_t llm_mock_event(const llm_request_t *r, llm_str_t text, llm_str_t model,
    uint64_t seed, uint64_t created, size_t i, llm_buf_t *out);

/* An error body with that status in the provider's words (429: with a
 * "try again in" sentence). */
void llm_mock_error(unsigned status, llm_buf_t *out);

#endif /* LLM_MOCK_H */
