/*
 * Provider dialects behind one interface: request out, answer in, stream in,
 * error in.  One file per wire format, one row per dialect in llm_dialect.c;
 * docs/dialects.md shows how to add one.
 */

#ifndef LLM_DIALECT_H
#define LLM_DIALECT_H

#include "llm_core.h"
#include "llm_error.h"
#include "llm_hint.h"
#include "llm_hub.h"
#include "llm_keypool.h"
#include "llm_delta.h"
#include "llm_models.h"
#include "llm_prefill.h"
#include "llm_price.h"
#include "llm_request.h"
#include "llm_speech.h"
#include "llm_sse.h"

#pragma GCC visibility push(hidden)

/* An answer's body, read whole. */
typedef struct {
    llm_class_t        class;           /* OK; a 200 may hide an error */
    llm_usage_t        usage;
    llm_str_t          content;         /* raw JSON string of the first choice's
                                           message content, or empty */
    llm_str_t          finish_reason;   /* raw text without quotes, or empty */
    llm_str_t          model;           /* raw text without quotes, or empty */
    llm_str_t          message;         /* of an error: points into `mem` */
    unsigned           brief:1;         /* in: content and finish_reason are not
                                           wanted, which is cheaper */
    const llm_sink_t  *sink;            /* in: who takes the deltas of what is a
                                           chat's answer; NULL: nobody */
} llm_answer_t;

/* A refusal's body and status. */
typedef struct {
    llm_outcome_t  outcome;             /* class, wait, quota: for keys */
    llm_str_t      message;             /* decoded, at most 2 KB, or empty */
    llm_str_t      type;                /* the provider's own type and code, */
    llm_str_t      code;                /*   decoded, or empty */
    unsigned       native:1;            /* the body is an error object in this
                                           dialect: may pass unchanged */
} llm_refusal_t;

/* What one event of a stream means. */
typedef enum {
    LLM_EVENT_PREFACE,                  /* role, empty delta, comment, ping */
    LLM_EVENT_CONTENT,                  /* first content commits */
    LLM_EVENT_USAGE,                    /* only usage: hide unless asked for */
    LLM_EVENT_DONE,                     /* the terminator */
    LLM_EVENT_ERROR,                    /* answer->class, message are set */
    LLM_EVENT_MALFORMED                 /* not JSON: dropped and counted */
} llm_event_t;

#define LLM_STREAM_FRAME  448           /* larger frames are not remembered */

#define LLM_STREAM_CHOICES  8           /* of which Gemini gives no more */

typedef struct {
    llm_endpoint_t  endpoint;
    llm_usage_t     usage;
    uint64_t        choices;            /* bitmap of the choice indexes seen */
    uint64_t        finished;           /* … with a finish reason */
    unsigned        done:1;             /* the terminator was seen */
    unsigned        terminal:1;         /* a terminal event (response.completed,
                                           transcript.text.done …) */
    unsigned        content:1;          /* content was seen */
    unsigned        needs_done:1;       /* clients of it expect [DONE] */
    unsigned        untold:1;           /* something was shown that no delta
                                           tells of */
    uint32_t        malformed;
    uint32_t        events;
    llm_class_t     error;
    llm_str_t       message;            /* of the last error event, in `mem` */

    /* The dialect's own: what stood around the text of the last content event.
     * The next one mostly differs in the text alone and needs no parsing. */
    uint16_t        head, tail;         /* bytes in front of it and behind it */
    unsigned char   frame[LLM_STREAM_FRAME];

    /* … and what its next events refer to. */
    uint64_t        count[3];           /* parts of a sum; LLM_UNKNOWN */
    uint32_t        calls;              /* of tools, so far */
    unsigned char   block;              /* which kind is open */
    uint16_t        called[LLM_STREAM_CHOICES]; /* tools, by each choice */
} llm_stream_t;

/* What a path may have to name beside its endpoint. */
typedef struct {
    llm_str_t  base;                    /* the path of base_url, in front */
    llm_str_t  rest;                    /* what followed it in the client's */
    llm_str_t  model;                   /* at the target */
    llm_str_t  version;                 /* of the API, as configured, or "" */
    unsigned   stream:1;
} llm_place_t;

typedef struct llm_dialect_s  llm_dialect_t;

/* How a request of an endpoint gets to a provider. */
typedef enum {
    LLM_WAY_NONE,                       /* not at all */
    LLM_WAY_NATIVE,                     /* spliced: the client's own bytes */
    LLM_WAY_HUB                         /* translated, by `request` */
} llm_way_t;

#define LLM_FORM_FIELDS  8

/* An endpoint of OpenAI's that a provider serves in words of its own: one body
 * for another, and no events. */
typedef struct {
    llm_endpoint_t  endpoint;

    /* Appends the provider's request; as `request` of a row. */
    llm_rc_t (*request)(llm_str_t model, llm_str_t body, llm_buf_t *out,
        llm_loss_t *loss);

    /* Instead of `request`: what is done to the fields of the client's form,
     * LLM_FORM_FIELDS at most.  LLM_OK, LLM_NONE, LLM_BAD. */
    llm_rc_t (*form)(const llm_request_t *r, llm_field_t *field, size_t *n,
        llm_loss_t *loss);

    /* Appends OpenAI's answer for one that `answer` of the row took for one. */
    void (*whole)(llm_str_t model, llm_str_t body, llm_buf_t *out);

    /* The same for one that is not JSON; returns its type.  Empty: it is no
     * answer.  NULL where there are none. */
    llm_str_t (*plain)(llm_str_t type, llm_str_t body, llm_buf_t *out);
} llm_swap_t;

struct llm_dialect_s {
    llm_str_t  name;                    /* as in `dialect NAME;` */
    llm_str_t  auth_header;             /* "Authorization" */
    llm_str_t  auth_prefix;             /* "Bearer " */
    llm_str_t  root;                    /* "/v1": of every path below base_url
                                           that does not end with it */
    llm_str_t  version_header;          /* "anthropic-version", or empty */
    llm_str_t  version;                 /* its default */
    uint32_t   native;                  /* LLM_EP_BIT()s */
    uint32_t   optional;                /* … that some providers have and some
                                           lack: `native` says which */
    llm_models_t  models;               /* the form of its lists of models */
    llm_str_t  health;                  /* what a probe asks for below base_url;
                                           empty: its list of models */
    unsigned   deployments:1;           /* its models may have names of their
                                           deployments, and `path` knows the
                                           API's version */

    /* Appends the path below root: "/chat/completions", and a query where the
     * dialect needs one. */
    void (*path)(llm_endpoint_t ep, const llm_place_t *place, llm_buf_t *out);

    /* Reads a whole 2xx body, and gives its deltas, the same each time: where
     * chats are translated.  `mem` takes decoded messages (2 KB). */
    void (*answer)(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
        llm_answer_t *out);

    /* Classifies a refusal: status >= 300, its headers' hints, the first 16 KiB
     * of its body (JSON, HTML, empty, anything).  now is epoch ms. */
    void (*refusal)(unsigned status, const llm_hint_t *hint, llm_str_t body,
        llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out);

    /* Reads one event of a stream and advances its state. */
    llm_event_t (*event)(llm_stream_t *s, const llm_sse_event_t *ev,
        llm_buf_t *mem);

    /* The text that one event's data adds to the first choice: a raw JSON
     * string, or empty. */
    llm_str_t (*text)(llm_endpoint_t ep, llm_str_t data);

    /* Whether a key looks like one of this provider's (by host): 1 yes or
     * unknown, 0 no (a warning). */
    int (*key_looks_right)(llm_str_t host, llm_str_t key);

    /* ---- translation; all NULL where nothing is translated ----------- */

    /* Appends this provider's request for one in the hub's form.  LLM_OK (what
     * was left out is in loss->name), LLM_NONE (it cannot be asked for this),
     * LLM_BAD (the request is wrong), LLM_FULL (again, with more room). */
    llm_rc_t (*request)(llm_hub_t *h, llm_buf_t *out, llm_loss_t *loss);

    /* `event`, which gives the deltas of the event as well. */
    llm_event_t (*stream)(llm_stream_t *s, const llm_sse_event_t *ev,
        llm_buf_t *mem, const llm_sink_t *sink);

    /* Makes a request go on with a text: what its API has for that.  As
     * llm_prefill_openai(). */
    llm_rc_t (*prefill)(llm_str_t body, llm_prefill_t *p, llm_buf_t *mem,
        llm_edits_t *edits);

    /* What others wrote into the messages of a spliced request and this one
     * refuses: the span of messages where it stands, and, appended, what is
     * sent for them, which is no longer.  LLM_OK, LLM_NONE (there is nothing),
     * LLM_FULL (again, with more room).  NULL: it refuses nothing. */
    llm_rc_t (*foreign)(llm_str_t model, llm_str_t messages, llm_str_t *span,
        llm_buf_t *out);

    /* What else it serves; ends with LLM_EP_UNKNOWN.  NULL: nothing. */
    const llm_swap_t  *swaps;

    /* How it is asked for transcripts, where it takes no form; else NULL. */
    const llm_speech_way_t  *speech;
};

#define LLM_EP_BIT(ep)  (1U << (ep))
#define LLM_EP_ALL      (~0U)

/* `native` is that of the provider. */
llm_way_t llm_dialect_way(const llm_dialect_t *d, uint32_t native,
    llm_endpoint_t ep);

/* The row that reads what such a provider answers to an endpoint that it has
 * itself: its own, or the one whose endpoint it is. */
const llm_dialect_t *llm_dialect_reader(const llm_dialect_t *d,
    llm_endpoint_t ep);

/* How an endpoint is swapped, or NULL: it is not. */
const llm_swap_t *llm_dialect_swap(const llm_dialect_t *d, llm_endpoint_t ep);

/* How it is asked for transcripts in JSON, or NULL: it is not. */
const llm_speech_way_t *llm_dialect_speech(const llm_dialect_t *d,
    llm_endpoint_t ep);

/* The row with that name, or NULL; and the names, for error messages. */
const llm_dialect_t *llm_dialect_find(llm_str_t name);
llm_str_t llm_dialect_names(void);

void llm_stream_init(llm_stream_t *s, llm_endpoint_t ep);

/* Forgets everything of an answer but what its reader wants. */
void llm_answer_init(llm_answer_t *a);

/* Whether a stream that ended now is complete: the terminator or a terminal
 * event, or a finish reason for every choice seen. */
int llm_stream_complete(const llm_stream_t *s);

#pragma GCC visibility pop

#endif /* LLM_DIALECT_H */
