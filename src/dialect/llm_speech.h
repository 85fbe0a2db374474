/*
 * Speech to text at providers that take no form: an upload becomes JSON with
 * the sound in base64, and what they answer becomes a transcript of OpenAI's.
 *
 * The sound itself never passes through here: a request is written with a hole
 * in it, which the glue fills while it sends.
 */

#ifndef LLM_SPEECH_H
#define LLM_SPEECH_H

#include "llm_delta.h"
#include "llm_hub.h"
#include "llm_request.h"

#pragma GCC visibility push(hidden)

/* An upload, and what is asked about it. */
typedef struct {
    llm_endpoint_t  endpoint;           /* transcriptions, translations */
    llm_str_t       model;              /* in: at the target */
    llm_str_t       format;             /* of the sound: "wav" */
    size_t          size;               /* its bytes */
    uint64_t        ms;                 /* how long it plays, where its header
                                           says so; else 0 */
    llm_str_t       language;           /* "fa", or empty */
    llm_str_t       prompt;
    llm_str_t       temperature;        /* a JSON number, or empty */
    llm_str_t       reply;              /* json, text, verbose_json */
    uint64_t        dropped;            /* as of llm_edits_t */
    unsigned        stream:1;
} llm_speech_t;

/* How a dialect is asked for transcripts. */
typedef struct {
    uint32_t  endpoints;                /* LLM_EP_BIT()s */
    size_t    max;                      /* bytes of a request; 0: no limit */

    /* Appends the request; *at is the offset of the hole.  LLM_OK, LLM_NONE,
     * LLM_FULL, as `request` of a row. */
    llm_rc_t (*request)(const llm_speech_t *s, llm_buf_t *out, size_t *at,
        llm_loss_t *loss);

    /* Gives the deltas of an answer; texts and usage are of interest. */
    void (*deltas)(llm_str_t body, const llm_sink_t *sink);
} llm_speech_way_t;

/*
 * What the client's upload asks for, once these fields were done to it; sets
 * all of *s but the model.  LLM_OK (what was left out is in loss->name),
 * LLM_NONE (no such provider can be asked for this), LLM_BAD (the request is
 * wrong).
 */
llm_rc_t llm_speech_read(llm_speech_t *s, const llm_request_t *r,
    const llm_field_t *field, size_t field_n, llm_loss_t *loss);

/* Appends the request for an upload; as `request` of the way, and LLM_NONE when
 * it would be too large. */
llm_rc_t llm_speech_request(const llm_speech_t *s, const llm_speech_way_t *way,
    llm_buf_t *out, size_t *at, llm_loss_t *loss);

/* The length of so many bytes in base64. */
size_t llm_speech_length(size_t size);

/* Appends the client's answer, and names its media type. */
void llm_speech_whole(const llm_speech_t *s, const llm_speech_way_t *way,
    llm_str_t body, llm_buf_t *out);
llm_str_t llm_speech_type(const llm_speech_t *s);

#pragma GCC visibility pop

#endif /* LLM_SPEECH_H */
