/*
 * What the files of the Messages front share with each other.
 */

#ifndef LLM_FRONT_MESSAGES_H
#define LLM_FRONT_MESSAGES_H

#include "llm_front.h"
#include "llm_front_turns.h"
#include "llm_openai.h"

#pragma GCC visibility push(hidden)

/* Writes the elements of the hub's "messages".  LLM_OK, LLM_NONE, LLM_BAD. */
llm_rc_t llm_messages_turns(const llm_json_want_t *system, llm_str_t messages,
    llm_buf_t *out, llm_loss_t *loss);

#pragma GCC visibility pop

#endif /* LLM_FRONT_MESSAGES_H */
