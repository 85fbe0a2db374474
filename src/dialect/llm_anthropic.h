/*
 * The Anthropic dialect's own parts, shared between its files: Messages, as
 * Anthropic, OpenRouter, vLLM, llama.cpp and Ollama speak it.
 */

#ifndef LLM_ANTHROPIC_H
#define LLM_ANTHROPIC_H

#include "llm_openai.h"

#pragma GCC visibility push(hidden)

/* A message of a conversation, in the hub's form. */
enum {
    LLM_AM_ROLE, LLM_AM_CONTENT, LLM_AM_TOOL_CALLS, LLM_AM_TOOL_CALL_ID,
    LLM_AM_THINKING, LLM_AM_REFUSAL, LLM_AM_CACHE, LLM_AM_IS_ERROR,
    LLM_AM_COUNT
};

/* What is known of a conversation once it was written. */
typedef struct {
    size_t    system;                   /* messages that are no turns but
                                           instructions */
    unsigned  unthought:1;              /* it ends with the results of a turn
                                           that does not begin with reasoning */
} llm_talk_t;

/* Writes the elements of "messages".  LLM_OK, LLM_NONE, LLM_BAD. */
llm_rc_t llm_anthropic_messages(llm_str_t messages, llm_buf_t *out,
    llm_loss_t *loss, llm_talk_t *talk);

/* Writes a comma and the member "system", when there is something to say: the n
 * messages of the kind, which mostly stand first, and `extra`, one instruction
 * more, plain ASCII, or empty, with a text of JSON behind it.  LLM_OK,
 * LLM_NONE, LLM_BAD. */
llm_rc_t llm_anthropic_system(llm_str_t messages, size_t n, llm_str_t extra,
    llm_str_t json, llm_buf_t *out, llm_loss_t *loss);

/* Whether a block of reasoning may be Anthropic's own. */
int llm_anthropic_thought(llm_str_t block);

/* Writes the members "tools" and "tool_choice", behind a comma, when there are
 * any; forced: one of them has to be called.  LLM_OK, LLM_NONE. */
llm_rc_t llm_anthropic_tools(llm_hub_t *h, llm_buf_t *out, llm_loss_t *loss,
    int *forced);

/* Writes one part of a message's content as a block; `comma` in front of it.
 * LLM_OK, LLM_AGAIN (nothing was written), LLM_NONE, LLM_BAD. */
llm_rc_t llm_anthropic_block(llm_str_t part, int comma, llm_buf_t *out,
    llm_loss_t *loss);

/* Writes a text block that holds a raw string; cache: a raw value or empty. */
void llm_anthropic_text_block(llm_str_t raw, llm_str_t cache, llm_buf_t *out);

/* Whether a model, by its id, thinks by a number of tokens and not by an effort
 * (Claude 3 to 4.5); whether it answers by a schema (Claude from 4.5 on);
 * whether it takes temperature, top_p and top_k: Claude refuses them after 4.6,
 * but for a temperature of 1.  Who else speaks this dialect is not known to
 * refuse them.
 * (OpenRouter's migration guides for Claude 4.7 and Sonnet 5; Anthropic's
 * "Structured outputs") */
int llm_anthropic_takes_budget(llm_str_t model);
int llm_anthropic_takes_schema(llm_str_t model);
int llm_anthropic_takes_sampling(llm_str_t model);

/* Appends a JSON Schema as structured outputs take it: every object closed, and
 * without the bounds that they refuse. */
void llm_anthropic_schema(llm_str_t schema, llm_buf_t *out);

/* The counters of a usage object, and usage as they make it: its input counts
 * what was read from and written to the cache as well. */
void llm_anthropic_usage(llm_str_t object, llm_usage_t *usage,
    uint64_t count[3]);

/* What a stop_reason, between its quotes, is in the hub's words. */
llm_finish_t llm_anthropic_finish(llm_str_t reason);

/* Reads {"type":"error","error":{…}}. */
void llm_anthropic_error(llm_str_t body, llm_openai_error_t *e);

/* The functions of the row in llm_dialect.c. */
void llm_anthropic_path(llm_endpoint_t ep, const llm_place_t *place,
    llm_buf_t *out);
void llm_anthropic_answer(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out);
void llm_anthropic_refusal(unsigned status, const llm_hint_t *hint,
    llm_str_t body, llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out);
llm_event_t llm_anthropic_event(llm_stream_t *s, const llm_sse_event_t *ev,
    llm_buf_t *mem);
llm_event_t llm_anthropic_stream(llm_stream_t *s, const llm_sse_event_t *ev,
    llm_buf_t *mem, const llm_sink_t *sink);
llm_str_t llm_anthropic_text(llm_endpoint_t ep, llm_str_t data);
llm_rc_t llm_anthropic_foreign(llm_str_t model, llm_str_t messages,
    llm_str_t *span, llm_buf_t *out);
llm_rc_t llm_anthropic_request(llm_hub_t *h, llm_buf_t *out,
    llm_loss_t *loss);

#pragma GCC visibility pop

#endif /* LLM_ANTHROPIC_H */
