/*
 * OpenAI's Realtime API: what its WebSocket sessions and the requests around
 * them say in other places than bodies of other endpoints do.
 */

#ifndef LLM_REALTIME_H
#define LLM_REALTIME_H

#include "llm_core.h"
#include "llm_error.h"
#include "llm_json.h"
#include "llm_price.h"
#include "llm_ws.h"

#pragma GCC visibility push(hidden)

/*
 * The model that a query names, decoded into `mem` (256 bytes are enough; a
 * longer name is refused); empty where it names none.  LLM_OK, or LLM_BAD with
 * *code and *message.
 */
llm_rc_t llm_realtime_model(llm_str_t query, llm_buf_t *mem, llm_str_t *model,
    llm_code_t *code, llm_str_t *message);

/*
 * Appends the query for a target: the client's without its credentials and the
 * version of its API, and with the target's model (model.data NULL: the
 * client's own), beside which no deployment of the client's counts.  A query
 * that names no model gets one if `add` is set, unless it joins a call or means
 * a transcription, whose models are told elsewhere.  Needs at most
 * 3 * (query.len + model.len) + 32 bytes.
 */
void llm_realtime_query(llm_str_t query, llm_str_t model, int add,
    llm_buf_t *out);

/* "session":{"model":…}, where a body has its model: *model becomes a view of
 * it, unless it was found at the top already.  LLM_OK, or LLM_BAD. */
llm_rc_t llm_realtime_body(llm_str_t body, llm_json_want_t *model,
    llm_code_t *code, llm_str_t *message);

/* Browsers cannot set headers, so their key comes as a subprotocol.  LLM_OK or
 * LLM_NONE. */
llm_rc_t llm_realtime_key(llm_str_t protocols, llm_str_t *key);

/* Appends a list of subprotocols without those that name an account.  LLM_OK,
 * or LLM_NONE: nothing was left. */
llm_rc_t llm_realtime_protocols(llm_str_t protocols, llm_buf_t *out);


/* ---- events of the server ------------------------------------------ */

#define LLM_REALTIME_TYPE   64          /* longer types are none of ours */
#define LLM_REALTIME_USAGE  1024        /* a larger one is not read */

/* The event that is being read: nothing is kept of it but its type and its
 * usage. */
typedef struct {
    unsigned char  type[LLM_REALTIME_TYPE];
    unsigned char  usage[LLM_REALTIME_USAGE];
    unsigned char  key[16];
    uint16_t       type_n;              /* over the size: does not fit */
    uint16_t       usage_n;
    uint16_t       key_n;
    uint32_t       depth;
    uint32_t       until;               /* depth at which the capture ends */
    unsigned       capture:2;
    unsigned       string:1;
    unsigned       escape:1;
    unsigned       is_key:1;
    unsigned       want_key:1;
    unsigned       response:1;          /* depth 2 is inside "response" */
    unsigned       whole:1;             /* the usage was captured */
} llm_realtime_event_t;

/*
 * Reads a piece of a message (LLM_WS_TEXT).  When the last one was read and the
 * event tells what an answer or a transcription took, that is added to *usage.
 * 1: it was; 0.
 */
int llm_realtime_event(llm_realtime_event_t *e, const llm_ws_piece_t *piece,
    llm_usage_t *usage);

#pragma GCC visibility pop

#endif /* LLM_REALTIME_H */
