/*
 * The OpenAI dialect's own parts, shared between its files and by dialects that
 * answer in the same shapes (mock, Azure).
 */

#ifndef LLM_OPENAI_H
#define LLM_OPENAI_H

#include "llm_dialect.h"

#pragma GCC visibility push(hidden)

/* Bytes of a message as written; with type and code it fits into 2 KB. */
#define LLM_OPENAI_MESSAGE_MAX  1792

/* An error as its body spells it; all views are raw JSON text. */
typedef struct {
    llm_str_t   message;                /* between its quotes, or empty */
    llm_str_t   type;                   /* words without quotes, or empty */
    llm_str_t   code;
    llm_str_t   status;                 /* Google's word */
    llm_str_t   reason;                 /* Google's ErrorInfo, Azure's inner */
    llm_str_t   param;
    llm_msec_t  wait;                   /* ms that the body asks for; 0: none */
    llm_msec_t  reset_at;               /* epoch ms, or 0 */
    unsigned    number;                 /* the HTTP status inside, or 0 */
    unsigned    found:1;                /* there is an error at all */
    unsigned    native:1;               /* nothing but {"error":{"message"…}} */
    unsigned    flagged:1;              /* by moderation */
    unsigned    day_quota:1;            /* a quota id says PerDay */
    unsigned    zero_quota:1;           /* … of nothing */
} llm_openai_error_t;

/* Reads the value of an "error" member (object, string), as far as it goes. */
void llm_openai_error_value(llm_str_t value, llm_openai_error_t *e);

/* Reads a whole error body: {"error":…}, [{"error":…}], flat, {"detail":…}, or
 * anything else, which leaves e->found at 0. */
void llm_openai_error_body(llm_str_t body, llm_openai_error_t *e);

/* Whether a text has a phrase in it; the phrase is in lower case. */
int llm_openai_has(llm_str_t text, llm_str_t phrase);

/* The class of an error; status 0 when it came inside a 200. */
llm_class_t llm_openai_error_class(unsigned status,
    const llm_openai_error_t *e);

/* The class and the decoded message of an error inside a 200. */
llm_class_t llm_openai_error_hidden(const llm_openai_error_t *e,
    llm_buf_t *mem, llm_str_t *message);

/* What an error and its status mean: the whole of `refusal`. */
void llm_openai_refuse(unsigned status, const llm_openai_error_t *e,
    const llm_hint_t *hint, llm_msec_t now, llm_buf_t *mem,
    llm_refusal_t *out);

/* Whether an "error" member means one: not null, false, 0 or "". */
int llm_openai_truthy(llm_json_kind_t kind, llm_str_t value);

/* The members of any usage object. */
void llm_openai_usage(llm_str_t object, llm_usage_t *usage);

/* llm_json_pick() for what a provider sent: of a member that stands twice the
 * first one counts, because refusing its answer would help nobody. */
llm_rc_t llm_openai_pick(llm_str_t body, llm_json_want_t *want, size_t want_n);

/* The same of the next element of an array that is well-formed.  LLM_OK,
 * LLM_NONE at the end, LLM_BAD: that one is no object. */
llm_rc_t llm_openai_next(llm_json_iter_t *it, llm_json_want_t *want,
    size_t want_n);

/* The text between the quotes of a raw string, else the raw value itself. */
llm_str_t llm_openai_word(llm_json_kind_t kind, llm_str_t value);

/* A name as one segment of a path. */
void llm_openai_segment(llm_str_t name, llm_buf_t *out);

/* The functions of the row in llm_dialect.c. */
void llm_openai_path(llm_endpoint_t ep, const llm_place_t *place,
    llm_buf_t *out);
void llm_openai_answer(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out);
void llm_openai_refusal(unsigned status, const llm_hint_t *hint,
    llm_str_t body, llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out);
llm_event_t llm_openai_event(llm_stream_t *s, const llm_sse_event_t *ev,
    llm_buf_t *mem);
llm_str_t llm_openai_text(llm_endpoint_t ep, llm_str_t data);
int llm_openai_key_looks_right(llm_str_t host, llm_str_t key);
llm_rc_t llm_openai_request(llm_hub_t *h, llm_buf_t *out, llm_loss_t *loss);
void llm_openai_deltas(llm_str_t body, const llm_sink_t *sink);
llm_event_t llm_openai_stream(llm_stream_t *s, const llm_sse_event_t *ev,
    llm_buf_t *mem, const llm_sink_t *sink);

/* Azure's row has OpenAI's functions, but for this one. */
void llm_azure_path(llm_endpoint_t ep, const llm_place_t *place,
    llm_buf_t *out);

#pragma GCC visibility pop

#endif /* LLM_OPENAI_H */
