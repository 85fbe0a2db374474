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
#define LLM_REPLY_CALLS  64             /* more are told as one */
#define LLM_REPLY_FRAME  1536           /* around the texts of one delta */
#define LLM_REPLY_STOP   128            /* longer ones are not told */
#define LLM_REPLY_SETTINGS  12

typedef struct llm_front_s  llm_front_t;

/* A provider's whole answer to a chat, which a front reads as often as it needs
 * and writes in its own form. */
typedef struct {
    const llm_dialect_t  *from;
    llm_str_t             body;
    llm_buf_t            *mem;          /* for decoded messages */
    llm_answer_t          answer;       /* what the last look found */
} llm_source_t;

/* An answer on its way to the client. */
typedef struct {
    const llm_front_t  *front;
    uint64_t            created;        /* seconds since the epoch */
    unsigned            include_usage:1;    /* of a stream */
    unsigned            ended:1;        /* the terminator was written */
    unsigned            begun:1;        /* … and what comes before all else */
    unsigned            broken:1;       /* it cannot be told in this form */
    unsigned            legacy:1;       /* of functions and not of tools */
    llm_finish_t        finish;
    uint64_t            sequence;       /* of the next event */
    /* of answers that are blocks, one after the other */
    unsigned            open;           /* the kind of the last, or 0: closed */
    uint32_t            blocks;         /* that have begun */
    uint32_t            calls;          /* of tools, that have begun */
    uint32_t            call_at[LLM_REPLY_CALLS];   /* … and their blocks */
    uint64_t            roles;          /* choices that have begun, as bits */
    /* of answers whose last event repeats all of them */
    llm_buf_t           kept;           /* what it will repeat, so far */
    size_t              item;           /* what is open begins there, */
    size_t              part;           /*   its part, */
    size_t              text;           /*   and that one's text */
    llm_json_want_t     setting[LLM_REPLY_SETTINGS];    /* the client's own */
    size_t              settings;       /* bytes of all of them */
    llm_usage_t         usage;
    size_t              id_len;         /* raw JSON strings */
    size_t              model_len;
    size_t              stop_len;       /* 0: it was no string, or a long one */
    unsigned char       id[LLM_REPLY_ID];
    unsigned char       stop[LLM_REPLY_STOP];
    unsigned char       model[LLM_REPLY_MODEL];
} llm_reply_t;

struct llm_front_s {
    llm_endpoint_t  endpoint;
    llm_str_t       dialect;            /* whose answers look like that */
    llm_str_t       id;                 /* how the ids of its answers begin */
    llm_str_t       heartbeat;          /* an event without a meaning; empty: a
                                           comment will do */
    unsigned        overloaded;         /* its clients' status for 503, or 0 */
    unsigned        keeps:1;            /* the last event of a stream repeats
                                           it: llm_reply_keep() */

    /* Whether a request may have another form than the hub's: a first look,
     * which most requests end with.  NULL: all have another. */
    int (*differs)(llm_str_t body);

    /* Appends a request of this front in the hub's form.  LLM_OK (what was left
     * out is in loss->name), LLM_AGAIN (it has that form already), LLM_NONE
     * (nobody behind the hub can be asked for this), LLM_BAD (the request is
     * wrong), LLM_FULL. */
    llm_rc_t (*request)(llm_str_t body, llm_buf_t *out, llm_loss_t *loss);

    /* Takes from the client's request what its answer repeats; NULL: nothing.
     * The body has to outlive the reply. */
    void (*asked)(llm_reply_t *r, llm_str_t body);

    /* Bytes that a delta may become beside the usual ones; NULL: none. */
    size_t (*more)(const llm_reply_t *r, const llm_delta_t *delta);

    /* Appends what a client is sent for one delta of a stream; needs at most
     * llm_reply_room(). */
    void (*delta)(llm_reply_t *r, const llm_delta_t *delta, llm_buf_t *out);

    /* Appends a whole answer, made of the deltas of the source; nothing when
     * that is none, as the class in source->answer says. */
    void (*whole)(llm_reply_t *r, llm_source_t *source, llm_buf_t *out);

    /* Append an error, as a body and as an event of a stream; 12 bytes for each
     * byte of the texts and 1024 more.  id is the gateway's own; `before` is
     * how many events the stream had. */
    void (*error)(llm_buf_t *out, llm_code_t code, llm_str_t message,
        llm_str_t param, llm_str_t id);
    void (*error_event)(llm_buf_t *out, llm_code_t code, llm_str_t message,
        llm_str_t id, uint64_t before);
};

/* The front of an endpoint, or NULL: it is passed on as it is, or not. */
const llm_front_t *llm_front_find(llm_endpoint_t ep);

/* Begins an answer.  id, at most 100 bytes of plain ASCII, stands in where the
 * provider gives none. */
void llm_reply_init(llm_reply_t *r, const llm_front_t *front, llm_str_t id,
    uint64_t created, int include_usage);

/* Gives the deltas of an answer; returns whether it is one. */
int llm_source_look(llm_source_t *s, const llm_sink_t *sink);

/* The client's request, before anything else is done with the reply. */
void llm_reply_asked(llm_reply_t *r, llm_str_t body);

/* The most bytes that a delta may become. */
size_t llm_reply_room(const llm_reply_t *r, const llm_delta_t *delta);

/*
 * Where the front keeps what it said: how many bytes the memory for that has to
 * have before it is given this delta, or 0: enough as it is.  keep gives it
 * memory of this size; what is kept is copied there, and its old memory is free
 * again.
 */
size_t llm_reply_lacks(const llm_reply_t *r, const llm_delta_t *delta);
void llm_reply_keep(llm_reply_t *r, void *mem, size_t size);

/* Takes over id and model of a START, where they are short enough; the second
 * leaves the id as it is, for fronts whose ids have a form of their own. */
void llm_reply_start(llm_reply_t *r, const llm_delta_t *delta);
void llm_reply_start_model(llm_reply_t *r, const llm_delta_t *delta);

/* A count in an answer's usage, where what is unknown is 0. */
uint64_t llm_reply_known(uint64_t n);

/* Takes over what a FINISH says. */
void llm_reply_finish(llm_reply_t *r, const llm_delta_t *delta);

/* The front of chat completions; its deltas are in llm_front_chat.c, the
 * functions in its requests in llm_front_chat_request.c. */
int llm_chat_differs(llm_str_t body);
llm_rc_t llm_chat_request(llm_str_t body, llm_buf_t *out, llm_loss_t *loss);
void llm_chat_asked(llm_reply_t *r, llm_str_t body);
void llm_chat_put(llm_reply_t *r, const llm_delta_t *delta, llm_buf_t *out);
void llm_chat_whole(llm_reply_t *r, llm_source_t *source, llm_buf_t *out);
void llm_chat_error(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t param, llm_str_t id);
void llm_chat_error_event(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t id, uint64_t before);

/* The front of Messages; its requests are in llm_front_messages_request.c. */
llm_rc_t llm_messages_request(llm_str_t body, llm_buf_t *out,
    llm_loss_t *loss);
void llm_messages_put(llm_reply_t *r, const llm_delta_t *delta,
    llm_buf_t *out);
void llm_messages_whole(llm_reply_t *r, llm_source_t *source, llm_buf_t *out);
void llm_messages_error(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t param, llm_str_t id);
void llm_messages_error_event(llm_buf_t *out, llm_code_t code,
    llm_str_t message, llm_str_t id, uint64_t before);

/* The front of Responses; its requests are in llm_front_responses_request.c. */
llm_rc_t llm_responses_request(llm_str_t body, llm_buf_t *out,
    llm_loss_t *loss);
void llm_responses_asked(llm_reply_t *r, llm_str_t body);
size_t llm_responses_more(const llm_reply_t *r, const llm_delta_t *delta);
void llm_responses_put(llm_reply_t *r, const llm_delta_t *delta,
    llm_buf_t *out);
void llm_responses_whole(llm_reply_t *r, llm_source_t *source, llm_buf_t *out);
void llm_responses_error_event(llm_buf_t *out, llm_code_t code,
    llm_str_t message, llm_str_t id, uint64_t before);

/* Appends ,"extra_content":{…}, where there is a seal: what its maker wants to
 * see again, where Google's own endpoint puts it. */
void llm_chat_seal(llm_str_t seal, llm_buf_t *out);

/* Appends {"content":[…]}, for a logprobsResult of Gemini; at most six times as
 * long, and 64 bytes. */
void llm_chat_logprobs(llm_str_t result, llm_buf_t *out);

/* Appends {"prompt_tokens":…}, and what a finish is called. */
void llm_chat_usage(const llm_usage_t *usage, llm_buf_t *out);
llm_str_t llm_chat_finish(const llm_reply_t *r, llm_finish_t finish);

#pragma GCC visibility pop

#endif /* LLM_FRONT_H */
