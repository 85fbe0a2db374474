/*
 * The Gemini dialect's own parts, shared between its files: generateContent and
 * its streaming twin, as Google's Gemini API speaks them.
 */

#ifndef LLM_GEMINI_H
#define LLM_GEMINI_H

#include "llm_openai.h"

#pragma GCC visibility push(hidden)

/* Members of a GenerateContentResponse: a whole answer, or one event. */
enum {
    LLM_GA_CANDIDATES, LLM_GA_FEEDBACK, LLM_GA_USAGE, LLM_GA_MODEL, LLM_GA_ID,
    LLM_GA_ERROR,
    LLM_GA_COUNT
};

/* A message of a conversation, in the hub's form. */
enum {
    LLM_GM_ROLE, LLM_GM_CONTENT, LLM_GM_TOOL_CALLS, LLM_GM_TOOL_CALL_ID,
    LLM_GM_NAME, LLM_GM_REFUSAL, LLM_GM_IS_ERROR, LLM_GM_EXTRA,
    LLM_GM_THINKING,
    LLM_GM_COUNT
};

/* How the ids begin that are made for calls without one. */
#define LLM_GEMINI_ID  "gemini_"

/* The generation of a model times ten: 25 of "gemini-2.5-pro"; 0: it is none of
 * Google's, UINT_MAX: it does not tell. */
unsigned llm_gemini_generation(llm_str_t model);

/* Takes a response apart; LLM_OK or LLM_BAD. */
llm_rc_t llm_gemini_pick(llm_str_t body, llm_json_want_t want[LLM_GA_COUNT]);

/* What a usageMetadata object counts. */
void llm_gemini_usage(llm_str_t object, llm_usage_t *usage);

/* What a finishReason, between its quotes, is in the hub's words. */
llm_finish_t llm_gemini_finish(llm_str_t reason);

/* What the finishReason of a transcript, between its quotes, makes of it. */
llm_class_t llm_gemini_speech_class(llm_str_t reason);

/* Why a prompt got no answer: a raw string, or empty. */
llm_str_t llm_gemini_blocked(const llm_json_want_t *want);

/* The sentence about it, in mem. */
llm_str_t llm_gemini_blocked_message(llm_str_t reason, llm_buf_t *mem);

/* Advances a stream by a response that is no error, and gives its deltas; sink
 * may be NULL. */
llm_event_t llm_gemini_read(llm_stream_t *s, const llm_json_want_t *want,
    const llm_sink_t *sink);

/* The deltas of a whole answer that is none of an error. */
void llm_gemini_tell(const llm_json_want_t *want, const llm_sink_t *sink);

/* Writes the elements of "contents" for a model of that generation; *system is
 * how many messages are no turns but instructions.  LLM_OK, LLM_NONE,
 * LLM_BAD. */
llm_rc_t llm_gemini_contents(llm_str_t messages, unsigned generation,
    llm_buf_t *out, llm_loss_t *loss, size_t *system);

/* Writes a comma and "systemInstruction", when there is something to say: the n
 * messages of the kind, which mostly stand first.  LLM_OK, LLM_NONE,
 * LLM_BAD. */
llm_rc_t llm_gemini_system(llm_str_t messages, size_t n, llm_buf_t *out,
    llm_loss_t *loss);

/* Writes one part of a message's content; `comma` in front of it.  LLM_OK,
 * LLM_AGAIN (nothing was written), LLM_NONE, LLM_BAD. */
llm_rc_t llm_gemini_part(llm_str_t part, int comma, llm_buf_t *out,
    llm_loss_t *loss);

/* Writes a part that holds a raw string; seal: a raw string, or empty. */
void llm_gemini_text_part(llm_str_t raw, llm_str_t seal, llm_buf_t *out);

/* The functions of the row in llm_dialect.c. */
void llm_gemini_path(llm_endpoint_t ep, const llm_place_t *place,
    llm_buf_t *out);
void llm_gemini_answer(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out);
void llm_gemini_refusal(unsigned status, const llm_hint_t *hint,
    llm_str_t body, llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out);
llm_event_t llm_gemini_event(llm_stream_t *s, const llm_sse_event_t *ev,
    llm_buf_t *mem);
llm_event_t llm_gemini_stream(llm_stream_t *s, const llm_sse_event_t *ev,
    llm_buf_t *mem, const llm_sink_t *sink);
llm_str_t llm_gemini_text(llm_endpoint_t ep, llm_str_t data);
llm_rc_t llm_gemini_request(llm_hub_t *h, llm_buf_t *out, llm_loss_t *loss);
void llm_gemini_deltas(llm_str_t body, const llm_sink_t *sink);
llm_rc_t llm_gemini_embed_request(llm_str_t model, llm_str_t body,
    llm_buf_t *out, llm_loss_t *loss);
void llm_gemini_embed_whole(llm_str_t model, llm_str_t body, llm_buf_t *out);
llm_rc_t llm_gemini_speech_request(const llm_speech_t *s, llm_buf_t *out,
    size_t *at, llm_loss_t *loss);

#pragma GCC visibility pop

#endif /* LLM_GEMINI_H */
