/*
 * WebSocket frames (RFC 6455), as a server sends them: where they end, and what
 * messages they carry.
 *
 * A reader on the side: it looks at bytes that pass and changes none.  Nothing
 * is kept of a payload.
 */

#ifndef LLM_WS_H
#define LLM_WS_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LLM_WS_CONTINUATION = 0,            /* never in llm_ws_piece_t */
    LLM_WS_TEXT = 1,
    LLM_WS_BINARY = 2,
    LLM_WS_CLOSE = 8,
    LLM_WS_PING = 9,
    LLM_WS_PONG = 10
} llm_ws_opcode_t;

typedef struct {
    uint64_t       left;                /* bytes of the payload to come */
    unsigned char  head[10];
    unsigned char  head_n;              /* of the next frame, so far */
    unsigned char  code_n;              /* bytes of a close code */
    uint16_t       code;
    unsigned       frame:4;             /* opcode of the frame */
    unsigned       message:4;           /* … of the message; 0: none is open */
    unsigned       fin:1;
    unsigned       inside:1;            /* a payload is being read */
    unsigned       begun:1;             /* a piece of the message was given */
    unsigned       compressed:1;        /* the message is (RSV1) */
    unsigned       closed:1;            /* a close frame was seen whole */
    unsigned       broken:1;
} llm_ws_t;

/* Some bytes of a message; of a close, ping or pong their whole payload comes
 * in pieces as well. */
typedef struct {
    llm_ws_opcode_t  opcode;
    llm_str_t        data;
    unsigned         first:1;           /* of the message */
    unsigned         last:1;
    unsigned         compressed:1;
} llm_ws_piece_t;

void llm_ws_init(llm_ws_t *w);

/*
 * Takes bytes off *in until a piece is complete.  LLM_OK, LLM_AGAIN (*in is
 * used up), LLM_BAD (this is no WebSocket, or nothing that may come: a masked
 * frame, a broken message; so is everything behind it).  Any way to cut a
 * stream gives the same messages.
 */
llm_rc_t llm_ws_next(llm_ws_t *w, llm_str_t *in, llm_ws_piece_t *piece);

/* The code of the close frame; 1005 where it had none. */
unsigned llm_ws_close_code(const llm_ws_t *w);

#pragma GCC visibility pop

#endif /* LLM_WS_H */
