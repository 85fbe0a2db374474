/*
 * A walk over the frames of a server.
 */

#include "llm_ws.h"

#define LLM_WS_CONTROL_MAX  125
#define LLM_WS_NO_CODE      1005


void
llm_ws_init(llm_ws_t *w)
{
    memset(w, 0, sizeof(llm_ws_t));
}


/* How long the head is that begins with these two bytes. */
static size_t
llm_ws_head_size(const llm_ws_t *w)
{
    if (w->head_n < 2) {
        return 2;
    }

    switch (w->head[1] & 0x7f) {
    case 126:
        return 4;
    case 127:
        return 10;
    default:
        return 2;
    }
}


static uint64_t
llm_ws_length(const llm_ws_t *w)
{
    size_t    i;
    uint64_t  n;

    if (w->head_n == 2) {
        return w->head[1] & 0x7f;
    }

    n = 0;

    for (i = 2; i < w->head_n; i++) {
        n = n << 8 | w->head[i];
    }

    return n;
}


/* A data frame belongs to the message that is open, or opens one. */
static llm_rc_t
llm_ws_data(llm_ws_t *w, unsigned opcode)
{
    if ((opcode == LLM_WS_CONTINUATION) != (w->message != 0)) {
        return LLM_BAD;
    }

    if (opcode == LLM_WS_CONTINUATION) {
        /* only the first frame says that a message is compressed */
        return w->head[0] & 0x40 ? LLM_BAD : LLM_OK;
    }

    w->message = opcode & 0xf;
    w->begun = 0;
    w->compressed = (w->head[0] & 0x40) != 0;

    return LLM_OK;
}


static llm_rc_t
llm_ws_head(llm_ws_t *w)
{
    unsigned  opcode;

    w->left = llm_ws_length(w);
    w->fin = (w->head[0] & 0x80) != 0;

    opcode = w->head[0] & 0x0f;

    if ((w->head[0] & 0x30) || (w->head[1] & 0x80) || w->left >> 63) {
        return LLM_BAD;
    }

    switch (opcode) {

    case LLM_WS_CONTINUATION:
    case LLM_WS_TEXT:
    case LLM_WS_BINARY:
        if (llm_ws_data(w, opcode) != LLM_OK) {
            return LLM_BAD;
        }

        w->frame = w->message;
        break;

    case LLM_WS_CLOSE:
    case LLM_WS_PING:
    case LLM_WS_PONG:
        if (!w->fin || w->left > LLM_WS_CONTROL_MAX || (w->head[0] & 0x40)) {
            return LLM_BAD;
        }

        w->frame = opcode & 0xf;
        break;

    default:
        return LLM_BAD;
    }

    w->head_n = 0;
    w->inside = 1;

    return LLM_OK;
}


/* The frame has ended: is its message over? */
static void
llm_ws_frame_end(llm_ws_t *w, llm_ws_piece_t *piece)
{
    w->inside = 0;
    piece->last = w->fin;

    if (w->frame == LLM_WS_CLOSE) {
        w->closed = 1;

    } else if (w->frame < LLM_WS_CLOSE && w->fin) {
        w->message = 0;
    }
}


static void
llm_ws_close(llm_ws_t *w, llm_str_t data)
{
    size_t  i;

    for (i = 0; i < data.len && w->code_n < 2; i++) {
        w->code = (uint16_t) (w->code << 8 | data.data[i]);
        w->code_n++;
    }
}


static void
llm_ws_payload(llm_ws_t *w, llm_str_t *in, llm_ws_piece_t *piece)
{
    memset(piece, 0, sizeof(llm_ws_piece_t));

    piece->opcode = (llm_ws_opcode_t) w->frame;
    piece->data = *in;

    if (piece->data.len > w->left) {
        piece->data.len = (size_t) w->left;
    }

    in->data += piece->data.len;
    in->len -= piece->data.len;
    w->left -= piece->data.len;

    if (w->frame == LLM_WS_CLOSE) {
        llm_ws_close(w, piece->data);

    } else if (w->frame < LLM_WS_CLOSE) {
        piece->first = !w->begun;
        piece->compressed = w->compressed;
        w->begun = 1;
    }

    if (w->left == 0) {
        llm_ws_frame_end(w, piece);
    }
}


llm_rc_t
llm_ws_next(llm_ws_t *w, llm_str_t *in, llm_ws_piece_t *piece)
{
    if (w->broken || (w->closed && in->len)) {
        /* nothing may follow a close */
        w->broken = 1;
        return LLM_BAD;
    }

    while (!w->inside) {

        if (in->len == 0) {
            return LLM_AGAIN;
        }

        w->head[w->head_n++] = *in->data++;
        in->len--;

        if (w->head_n >= 2 && w->head_n == llm_ws_head_size(w)
            && llm_ws_head(w) != LLM_OK)
        {
            w->broken = 1;
            return LLM_BAD;
        }
    }

    if (in->len == 0 && w->left) {
        return LLM_AGAIN;
    }

    llm_ws_payload(w, in, piece);

    return LLM_OK;
}


unsigned
llm_ws_close_code(const llm_ws_t *w)
{
    return w->code_n == 2 ? w->code : LLM_WS_NO_CODE;
}
