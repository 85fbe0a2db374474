/*
 * WebSocket frames of a server: every way to cut them gives the same messages.
 */

#include "tap.h"
#include "llm_ws.h"


typedef struct {
    char  text[4096];                   /* one message a line */
    size_t  n;
} seen_t;


static void
note(seen_t *s, const void *p, size_t n)
{
    if (n && s->n + n < sizeof(s->text)) {
        memcpy(s->text + s->n, p, n);
        s->n += n;
        s->text[s->n] = '\0';
    }
}


/* Reads the stream in pieces of `step` bytes, each in memory of its own. */
static llm_rc_t
walk(llm_ws_t *w, llm_str_t stream, size_t step, seen_t *seen)
{
    size_t           at, n;
    char             head[32];
    llm_rc_t         rc;
    llm_str_t        in;
    unsigned char   *p;
    llm_ws_piece_t   piece;

    llm_ws_init(w);
    memset(seen, 0, sizeof(seen_t));
    rc = LLM_AGAIN;

    for (at = 0; at < stream.len; at += n) {
        n = step < stream.len - at ? step : stream.len - at;
        p = malloc(n);
        memcpy(p, stream.data + at, n);

        in.data = p;
        in.len = n;

        while ((rc = llm_ws_next(w, &in, &piece)) == LLM_OK) {

            if (piece.first || piece.opcode >= LLM_WS_CLOSE) {
                snprintf(head, sizeof(head), "%s%d:", piece.compressed
                         ? "z" : "", (int) piece.opcode);

                if (piece.first) {
                    note(seen, head, strlen(head));
                }
            }

            if (piece.opcode < LLM_WS_CLOSE) {
                note(seen, piece.data.data, piece.data.len);

                if (piece.last) {
                    note(seen, "\n", 1);
                }
            }
        }

        free(p);

        if (rc == LLM_BAD) {
            break;
        }
    }

    return rc;
}


static void
cuts(void)
{
    int              same;
    size_t           step;
    seen_t           whole, cut;
    llm_ws_t         w;
    llm_str_t        stream;
    unsigned char    mem[1024], *p;

    /* text "Hello"; binary of 300 bytes; a text in three fragments with a ping
     * between them; an empty text; a compressed one; a close with 1001 */

    p = mem;
    memcpy(p, "\x81\x05Hello\x82\x7e\x01\x2c", 11);
    p += 11;
    memset(p, 'b', 300);
    p += 300;
    memcpy(p, "\x01\x02" "ab" "\x89\x01!" "\x00\x00" "\x80\x01" "c"
              "\x81\x00" "\xc1\x01z" "\x88\x04\x03\xe9go", 23);
    p += 23;

    stream.data = mem;
    stream.len = (size_t) (p - mem);

    is_int(walk(&w, stream, stream.len, &whole), LLM_AGAIN, "a stream");
    ok(w.closed, "... with its end");
    is_int(llm_ws_close_code(&w), 1001, "... and why");
    ok(strncmp(whole.text, "1:Hello\n2:bbb", 13) == 0, "messages");
    ok(strstr(whole.text, "bb\n1:abc\n1:\nz1:z\n") != NULL,
       "... of fragments, of nothing, and compressed");

    same = 1;

    for (step = 1; step < 40; step++) {
        same = walk(&w, stream, step, &cut) == LLM_AGAIN && w.closed && same
               && strcmp(cut.text, whole.text) == 0;
    }

    ok(same, "the same in pieces of any size");
}


static void
refused(void)
{
    size_t     i;
    seen_t     seen;
    llm_ws_t   w;

    static const struct {
        const char  *what;
        llm_str_t    bytes;
    } bad[] = {
        { "a masked frame", LLM_STR("\x81\x81\0\0\0\0x") },
        { "reserved bits", LLM_STR("\xa1\x01x") },
        { "an opcode that is none", LLM_STR("\x83\x00") },
        { "a control opcode that is none", LLM_STR("\x8b\x00") },
        { "a continuation of nothing", LLM_STR("\x80\x01x") },
        { "a text inside a text", LLM_STR("\x01\x01x\x81\x01y") },
        { "a ping in fragments", LLM_STR("\x09\x01x") },
        { "a ping that is too long", LLM_STR("\x89\x7e\x00\x7e") },
        { "a compressed ping", LLM_STR("\xc9\x00") },
        { "a compressed continuation", LLM_STR("\x01\x01x\xc0\x01y") },
        { "a length of 2^63", LLM_STR("\x82\x7f\x80\0\0\0\0\0\0\0") },
        { "something behind a close", LLM_STR("\x88\x00\x81\x01x") },
        { "HTTP", LLM_STR("HTTP/1.1 200 OK\r\n") }
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(walk(&w, bad[i].bytes, 1, &seen), LLM_BAD, bad[i].what);
        ok(w.broken, "... for good");
    }

    is_int(walk(&w, LLM_STR("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff..."), 1,
                &seen), LLM_AGAIN, "a length of nearly 2^63");
}


static void
ends(void)
{
    seen_t    seen;
    llm_ws_t  w;

    (void) walk(&w, LLM_STR("\x88\x00"), 1, &seen);
    ok(w.closed, "a close without a code");
    is_int(llm_ws_close_code(&w), 1005, "... says so");

    (void) walk(&w, LLM_STR("\x88\x02\x03"), 1, &seen);
    ok(!w.closed, "half a close");

    (void) walk(&w, LLM_STR("\x88\x01\x03"), 1, &seen);
    is_int(llm_ws_close_code(&w), 1005, "half a code");
}


int
main(void)
{
    cuts();
    refused();
    ends();

    return tap_done();
}
