/*
 * An answer in the hub's form: deltas, in the order in which a stream gives
 * them, whatever dialect they came from.
 *
 * Every text is a raw JSON string of the provider's own bytes, quotes included:
 * it is copied from one document into the other and never decoded on the way,
 * so escapes, surrogates and NUL characters stay what they were.
 */

#ifndef LLM_DELTA_H
#define LLM_DELTA_H

#include "llm_price.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LLM_DELTA_START,                    /* id, model; before all others */
    LLM_DELTA_TEXT,                     /* text */
    LLM_DELTA_REASONING,                /* text */
    LLM_DELTA_SIGNATURE,                /* text: of the reasoning before it */
    LLM_DELTA_REDACTED,                 /* text: only its maker can read it */
    LLM_DELTA_REFUSAL,                  /* text */
    LLM_DELTA_CALL,                     /* call, id, name: a call begins; text:
                                           its seal, or empty */
    LLM_DELTA_ARGUMENTS,                /* call; text: some of its JSON, or
                                           object: the whole of it */
    LLM_DELTA_FINISH,                   /* finish, text: what stopped it */
    LLM_DELTA_USAGE,                    /* usage, cumulative */
    LLM_DELTA_END,                      /* the terminator */
    LLM_DELTA_SEAL,                     /* text: of the content before it; its
                                           maker wants to see it again */
    LLM_DELTA_LOGPROBS                  /* object: a logprobsResult of Gemini,
                                           of some of the choice's text */
} llm_delta_kind_t;

typedef enum {
    LLM_FINISH_NONE = 0, LLM_FINISH_STOP, LLM_FINISH_STRING, LLM_FINISH_LENGTH,
    LLM_FINISH_CALLS, LLM_FINISH_FILTER
} llm_finish_t;

typedef struct {
    llm_delta_kind_t  kind;
    uint32_t          choice;           /* 0, 1, … where n was asked for */
    uint32_t          call;             /* 0, 1, … in its choice */
    llm_str_t         id;               /* raw JSON strings, or empty */
    llm_str_t         name;
    llm_str_t         model;
    llm_str_t         text;
    llm_str_t         object;           /* a raw JSON object */
    llm_finish_t      finish;
    llm_usage_t       usage;
} llm_delta_t;

/* Who takes them; the views are valid during the call, but texts of a whole
 * answer are views of its body, and as long as that. */
typedef struct {
    void  (*put)(void *data, const llm_delta_t *delta);
    void   *data;
} llm_sink_t;

/* Gives a delta that is nothing but a kind and a text. */
void llm_delta_text(const llm_sink_t *sink, llm_delta_kind_t kind,
    llm_str_t text);

#pragma GCC visibility pop

#endif /* LLM_DELTA_H */
