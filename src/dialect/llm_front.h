/*
 * Fronts: the dialects that clients speak, by the endpoint they call.  A front
 * writes an answer's deltas as its clients know them, event by event or whole,
 * and its own errors; one row per front in llm_front.c.
 */

#ifndef LLM_FRONT_H
#define LLM_FRONT_H

#include "llm_dialect.h"

#pragma GCC visibility push(hidden)

#define LLM_REPLY_ID     128            /* longer ids are made anew */
#define LLM_REPLY_MODEL  260
#define LLM_REPLY_FRAME  1536           /* around the texts of one delta */

typedef struct llm_front_s  llm_front_t;

/* An answer on its way to the client. */
typedef struct {
    const llm_front_t  *front;
    uint64_t            created;        /* seconds since the epoch */
    unsigned            include_usage:1;    /* of a stream */
    unsigned            ended:1;        /* the terminator was written */
    uint64_t            roles;          /* choices that have begun, as bits */
    llm_usage_t         usage;
    size_t              id_len;         /* raw JSON strings */
    size_t              model_len;
    unsigned char       id[LLM_REPLY_ID];
    unsigned char       model[LLM_REPLY_MODEL];
} llm_reply_t;

struct llm_front_s {
    llm_endpoint_t  endpoint;
    llm_str_t       dialect;            /* whose answers look like that */

    /* Appends what a client is sent for one delta of a stream; needs at most
     * llm_reply_room(). */
    void (*delta)(llm_reply_t *r, const llm_delta_t *delta, llm_buf_t *out);

    /* Appends a whole answer, made of the deltas of `body`. */
    void (*whole)(llm_reply_t *r, const llm_dialect_t *from, llm_str_t body,
        llm_buf_t *out);

    /* Append an error, as a body and as an event of a stream; 6 bytes for each
     * of the texts and 512 more.  id is the gateway's own. */
    void (*error)(llm_buf_t *out, llm_code_t code, llm_str_t message,
        llm_str_t param, llm_str_t id);
    void (*error_event)(llm_buf_t *out, llm_code_t code, llm_str_t message,
        llm_str_t id);
};

/* The front of an endpoint, or NULL: it is passed on as it is, or not. */
const llm_front_t *llm_front_find(llm_endpoint_t ep);

/* Begins an answer.  id, at most 100 bytes of plain ASCII, stands in where the
 * provider gives none. */
void llm_reply_init(llm_reply_t *r, const llm_front_t *front, llm_str_t id,
    uint64_t created, int include_usage);

/* The most bytes that a delta may become. */
size_t llm_reply_room(const llm_delta_t *delta);

/* Takes over id and model of a START, where they are short enough. */
void llm_reply_start(llm_reply_t *r, const llm_delta_t *delta);

/* The front of chat completions; its deltas are in llm_front_chat.c. */
void llm_chat_put(llm_reply_t *r, const llm_delta_t *delta, llm_buf_t *out);
void llm_chat_whole(llm_reply_t *r, const llm_dialect_t *from, llm_str_t body,
    llm_buf_t *out);
void llm_chat_error(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t param, llm_str_t id);
void llm_chat_error_event(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t id);

/* Appends {"prompt_tokens":…}, and what a finish is called. */
void llm_chat_usage(const llm_usage_t *usage, llm_buf_t *out);
llm_str_t llm_chat_finish(llm_finish_t finish);

#pragma GCC visibility pop

#endif /* LLM_FRONT_H */
