/*
 * What OpenRouter has of its own.
 */

#ifndef LLM_OPENROUTER_H
#define LLM_OPENROUTER_H

#include "llm_openai.h"

#pragma GCC visibility push(hidden)

/* The functions of the row in llm_dialect.c. */
llm_rc_t llm_openrouter_speech_request(const llm_speech_t *s, llm_buf_t *out,
    size_t *at, llm_loss_t *loss);
void llm_openrouter_speech_deltas(llm_str_t body, const llm_sink_t *sink);

#pragma GCC visibility pop

#endif /* LLM_OPENROUTER_H */
