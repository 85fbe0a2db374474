/*
 * A conversation on its way into the hub's form: messages, one after the other.
 * Fronts whose clients send another form write it with this.
 */

#ifndef LLM_FRONT_TURNS_H
#define LLM_FRONT_TURNS_H

#include "llm_hub.h"

#pragma GCC visibility push(hidden)

typedef struct {
    llm_buf_t   *out;
    llm_loss_t  *loss;
    llm_str_t    param;                 /* the client's member it stands in */
    unsigned     messages;              /* written so far */
    unsigned     parts;                 /* … of the user's message */
    unsigned     calls;                 /* … of the assistant's */
} llm_turns_t;

void llm_turns_init(llm_turns_t *t, llm_str_t param, llm_buf_t *out,
    llm_loss_t *loss);

/* It cannot be told (LLM_NONE), or is wrong (LLM_BAD); returns rc. */
llm_rc_t llm_turns_fail(llm_turns_t *t, llm_rc_t rc, llm_str_t message);

/* Begins a message, of which the caller writes the rest. */
void llm_turns_begin(llm_turns_t *t, llm_str_t role);

/* Texts as the content of the message that has begun. */
void llm_turns_content(llm_turns_t *t, const llm_json_want_t *content,
    llm_str_t between);

/* A message with nothing but texts, which are joined by line ends. */
void llm_turns_plain(llm_turns_t *t, llm_str_t role,
    const llm_json_want_t *content);

/* Begins a message of a tool; the caller may add to it, and writes "}". */
void llm_turns_result(llm_turns_t *t, llm_str_t id,
    const llm_json_want_t *content);

/* Begins a part of the user's message, which begins with the first; the caller
 * writes the rest of it.  end ends that message if there is one. */
void llm_turns_part(llm_turns_t *t, llm_str_t part);
void llm_turns_end(llm_turns_t *t);

/* … a part that is this raw string. */
void llm_turns_text(llm_turns_t *t, llm_str_t text);

/* Begins a call in the assistant's message; the caller writes its arguments,
 * which are a string, and "}}".  end ends the calls if there are any. */
void llm_turns_call(llm_turns_t *t, llm_str_t id, llm_str_t name);
void llm_turns_calls_end(llm_turns_t *t);

#pragma GCC visibility pop

#endif /* LLM_FRONT_TURNS_H */
