/*
 * What the client asked for: endpoint, model and the facts that route it.
 *
 * A request is read once into spans of its own body; targets then describe
 * their version of it as a list of edits, so a 60 MB upload is sent twice
 * without being copied once.
 */

#ifndef LLM_REQUEST_H
#define LLM_REQUEST_H

#include "llm_core.h"
#include "llm_error.h"
#include "llm_json.h"
#include "llm_multipart.h"
#include "llm_quota.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LLM_EP_UNKNOWN = 0,
    LLM_EP_CHAT,                        /* chat/completions */
    LLM_EP_COMPLETIONS,                 /* completions */
    LLM_EP_EMBEDDINGS,                  /* embeddings */
    LLM_EP_RESPONSES,                   /* responses */
    LLM_EP_TRANSCRIPTIONS,              /* audio/transcriptions */
    LLM_EP_TRANSLATIONS,                /* audio/translations */
    LLM_EP_SPEECH,                      /* audio/speech */
    LLM_EP_MODELS,                      /* models */
    LLM_EP_MODERATIONS,                 /* moderations */
    LLM_EP_IMAGES,                      /* images/generations */
    LLM_EP_FILES,                       /* files */
    LLM_EP_BATCHES,                     /* batches */
    LLM_EP_RERANK,                      /* rerank */
    LLM_EP_MESSAGES,                    /* messages, as Anthropic has them */
    LLM_EP_REALTIME,                    /* realtime: sessions by WebSocket */
    LLM_EP_PASSTHROUGH,                 /* llm_endpoint passthrough */
    LLM_EP_N
} llm_endpoint_t;

typedef enum {
    LLM_BODY_NONE, LLM_BODY_JSON, LLM_BODY_MULTIPART, LLM_BODY_ANY
} llm_body_t;

typedef struct {
    llm_str_t   name;                   /* "chat/completions" */
    llm_body_t  body;                   /* of its POST */
    unsigned    can;                    /* the LLM_CAN_… bit it needs, or 0 */
} llm_endpoint_info_t;

const llm_endpoint_info_t *llm_endpoint_info(llm_endpoint_t ep);

/*
 * The last known endpoint name in a path, whole segments only, whatever stands
 * in front ("/openai/v1/chat/completions").  *rest is what follows it ("/ID",
 * "/ID/cancel", or empty).  LLM_OK or LLM_NONE.
 */
llm_rc_t llm_endpoint_find(llm_str_t path, llm_endpoint_t *ep, llm_str_t *rest);

/* The name in front of an endpoint that was found, as clients of Azure put it:
 * ".../deployments/NAME/chat/completions"; or empty. */
llm_str_t llm_endpoint_deployment(llm_str_t path, llm_endpoint_t ep,
    llm_str_t rest);

/* By name, for the llm_endpoint directive ("passthrough" included). */
llm_rc_t llm_endpoint_by_name(llm_str_t name, llm_endpoint_t *ep);

/* Capabilities of models (`can`), as bits. */
#define LLM_CAN_CHAT         0x0001
#define LLM_CAN_JSON_OBJECT  0x0002
#define LLM_CAN_JSON_SCHEMA  0x0004
#define LLM_CAN_TOOLS        0x0008
#define LLM_CAN_VISION       0x0010
#define LLM_CAN_AUDIO        0x0020
#define LLM_CAN_STREAM       0x0040
#define LLM_CAN_PREFILL      0x0080
#define LLM_CAN_TRANSCRIBE   0x0100
#define LLM_CAN_TRANSLATE    0x0200
#define LLM_CAN_EMBED        0x0400
#define LLM_CAN_SPEECH       0x0800
#define LLM_CAN_REALTIME     0x1000

/* The bit of a word, or 0: a label for policies. */
unsigned llm_can_by_name(llm_str_t name);
/* The word of the lowest bit set, for messages. */
llm_str_t llm_can_name(unsigned bits);

/* Indexes into llm_request_t.member */
enum {
    LLM_M_MODEL, LLM_M_STREAM, LLM_M_STREAM_OPTIONS, LLM_M_MESSAGES,
    LLM_M_INPUT, LLM_M_PROMPT, LLM_M_TOOLS, LLM_M_FUNCTIONS,
    LLM_M_RESPONSE_FORMAT, LLM_M_TEXT, LLM_M_OUTPUT_CONFIG,
    LLM_M_MAX_TOKENS, LLM_M_MAX_COMPLETION_TOKENS, LLM_M_MAX_OUTPUT_TOKENS,
    LLM_M_N, LLM_M_TEMPERATURE, LLM_M_LANGUAGE,
    LLM_M_COUNT
};

typedef struct {
    llm_endpoint_t   endpoint;
    llm_body_t       kind;
    llm_str_t        body;              /* whole, or mapped from a file */
    llm_str_t        model;             /* decoded; empty: none */
    llm_json_want_t  member[LLM_M_COUNT];   /* JSON bodies */
    llm_str_t        boundary;          /* multipart bodies */
    llm_part_t      *part;
    size_t           part_n;
    size_t           close_at;
    llm_str_t        response_format;   /* audio: json (default) text srt … */
    llm_str_t        sound;             /* … the file itself, or empty */
    llm_str_t        format;            /* … "wav", or empty: nobody can tell */
    unsigned         need;              /* LLM_CAN_… bits */
    unsigned         stream:1;
    unsigned         include_usage:1;   /* the client asked for usage */
    uint64_t         prompt_tokens;     /* a guess: bytes / 3, no base64 */
    uint64_t         output_tokens;     /* max_tokens, or the default 1024 */
    uint64_t         max_tokens;        /* of one choice; 0: not said */
    uint64_t         choices;           /* answers asked for; 0: of no kind that
                                           is written token by token */
    uint64_t         pictures;
    uint64_t         audio_ms;          /* estimate by size and format; 0 */
} llm_request_t;

/*
 * Reads a JSON body of that endpoint.  model is decoded into `mem` (256 bytes
 * are enough; a longer model name is refused).  Requests about realtime
 * sessions may have it in "session".  LLM_OK, or LLM_BAD with *code one of the
 * caller_… codes and a sentence in *message.
 */
llm_rc_t llm_request_json(llm_request_t *r, llm_endpoint_t ep, llm_str_t body,
    llm_buf_t *mem, llm_code_t *code, llm_str_t *message);

/*
 * Reads a multipart body of that endpoint.  `part` has room for
 * LLM_MULTIPART_MAX.  A missing or empty file part, two `model` or two `file`
 * parts are refused.  Estimates the audio length from its header.
 */
llm_rc_t llm_request_multipart(llm_request_t *r, llm_endpoint_t ep,
    llm_str_t body, llm_str_t content_type, llm_part_t *part, llm_code_t *code,
    llm_str_t *message);

/* The text of a part without white space around it. */
llm_str_t llm_request_trimmed(llm_str_t s);

/* Gives the request another model's name.  LLM_OK, or LLM_BAD with *code and
 * *message: too long, or no name. */
llm_rc_t llm_request_model(llm_request_t *r, llm_str_t model, llm_code_t *code,
    llm_str_t *message);

/* A second look at a JSON request, where limits or declared capabilities ask
 * for it: prompt_tokens, output_tokens, and the needs that only the messages
 * tell (vision, audio).  5 MB: about 0.5 ms. */
void llm_request_estimate(llm_request_t *r);

/* What the request reserves in each dimension. */
void llm_request_need(const llm_request_t *r, llm_need_t *need);

/* An audio file's playing time in ms by its first bytes and its size: exact for
 * WAV, by bit rate for the rest; at least 1000. */
uint64_t llm_audio_estimate(llm_str_t head, uint64_t size);

/*
 * Edits: cut `cut` bytes at offset `at` of the body and put `text` there.
 * Sorted by offset, never overlapping.
 */
#define LLM_EDITS_MAX  128

typedef struct {
    size_t     at;
    size_t     cut;
    llm_str_t  text;
} llm_edit_t;

typedef struct {
    llm_edit_t  edit[LLM_EDITS_MAX];
    size_t      n;
    uint64_t    dropped;                /* fields, as bits: drops that met more
                                           than null */
} llm_edits_t;

/* Inserts in order; LLM_FULL when there are too many, LLM_BAD on overlap. */
llm_rc_t llm_edits_add(llm_edits_t *e, size_t at, size_t cut, llm_str_t text);

/* The length of a body of `len` bytes after these edits. */
size_t llm_edits_length(const llm_edits_t *e, size_t len);

/* Appends the body after these edits. */
void llm_edits_apply(const llm_edits_t *e, llm_str_t body, llm_buf_t *out);

/* What is done to one member of a JSON body, or one field of a form. */
typedef enum {
    LLM_FIELD_SET = 0,                  /* whatever the client sent */
    LLM_FIELD_DEFAULT,                  /* where it sent none, or null */
    LLM_FIELD_DROP,
    LLM_FIELD_RENAME                    /* … to `to`; if that is there, it
                                           holds, and the old one goes */
} llm_field_do_t;

/* The value is raw JSON for JSON bodies ("0.1", "\"fa\""), plain text for
 * multipart ones; data NULL: nothing is done there. */
typedef struct {
    llm_str_t       name;
    llm_str_t       json;
    llm_str_t       text;
    llm_field_do_t  what;
    llm_str_t       to;
} llm_field_t;

#define LLM_FIELDS_MAX  64              /* of one request */

/*
 * The edits that make this request fit a target: its model name (data NULL: the
 * client's unchanged; where the client sent none it is added, but not to a
 * request about a realtime session, which may have none), what is done to
 * fields, one after the other, and, with want_usage,
 * stream_options.include_usage.  *edits is set anew; texts live in `mem`, in
 * `model` and in the fields.  A member the client sent twice is set in both
 * places; of several parts with one name the first one stays.  LLM_OK, LLM_FULL
 * (too little memory, or too many places), or LLM_BAD when a multipart field
 * would break its part (a name with control characters or quotes, a content
 * with the boundary).
 */
llm_rc_t llm_request_edits(const llm_request_t *r, llm_str_t model,
    const llm_field_t *field, size_t field_n, int want_usage, llm_buf_t *mem,
    llm_edits_t *edits);

#pragma GCC visibility pop

#endif /* LLM_REQUEST_H */
