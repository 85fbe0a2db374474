/*
 * Requests that go on with a text: the beginning of an answer, given to the
 * provider as the last message, which it continues.
 */

#ifndef LLM_PREFILL_H
#define LLM_PREFILL_H

#include "llm_request.h"

#pragma GCC visibility push(hidden)

/* How servers of OpenAI's shapes know such a message. */
typedef enum {
    LLM_PREFILL_MESSAGE,                /* by its place */
    LLM_PREFILL_PREFIX,                 /* "prefix": true in the message */
    LLM_PREFILL_CONTINUE                /* "continue_final_message": true, and
                                           "add_generation_prompt": false */
} llm_prefill_way_t;

typedef struct {
    llm_prefill_way_t  way;
    llm_str_t          text;            /* decoded */
    uint64_t           tokens;          /* that it took of the answer's limit */
} llm_prefill_t;

/*
 * Adds to `edits` what makes this body of a dialect's request go on with the
 * text, of which p->text is what can be sent.  Texts live in mem, which needs
 * llm_prefill_room().  LLM_OK, LLM_NONE (that cannot be asked for), LLM_FULL.
 */
llm_rc_t llm_prefill_openai(llm_str_t body, llm_prefill_t *p, llm_buf_t *mem,
    llm_edits_t *edits);
llm_rc_t llm_prefill_anthropic(llm_str_t body, llm_prefill_t *p,
    llm_buf_t *mem, llm_edits_t *edits);
llm_rc_t llm_prefill_gemini(llm_str_t body, llm_prefill_t *p, llm_buf_t *mem,
    llm_edits_t *edits);

size_t llm_prefill_room(const llm_prefill_t *p);

#pragma GCC visibility pop

#endif /* LLM_PREFILL_H */
