/*
 * What the files of the Responses front share with each other.
 */

#ifndef LLM_FRONT_RESPONSES_H
#define LLM_FRONT_RESPONSES_H

#include "llm_front.h"
#include "llm_front_turns.h"
#include "llm_openai.h"

#pragma GCC visibility push(hidden)

/* What stands in front of reasoning that only its maker can use, in
 * "encrypted_content": whose and what it is. */
#define LLM_SEALED_THINKING  "thinking:"
#define LLM_SEALED_REDACTED  "redacted:"

/* Parts as parts of the user's message; `texts`: those that are texts too.
 * LLM_OK, LLM_NONE, LLM_BAD. */
llm_rc_t llm_responses_parts(llm_turns_t *t, llm_str_t content, int texts);

/* Writes the elements of the hub's "messages".  LLM_OK, LLM_NONE, LLM_BAD. */
llm_rc_t llm_responses_turns(const llm_json_want_t *instructions,
    const llm_json_want_t *input, llm_buf_t *out, llm_loss_t *loss);

/* A response up to the elements of "output", and from there on. */
void llm_response_head(const llm_reply_t *r, llm_str_t status, llm_buf_t *out);
void llm_response_tail(const llm_reply_t *r, int done, llm_buf_t *out);

/* How an answer ended. */
llm_str_t llm_response_status(const llm_reply_t *r);

#pragma GCC visibility pop

#endif /* LLM_FRONT_RESPONSES_H */
