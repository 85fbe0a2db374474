/*
 * The front of Messages with the OpenAI dialect: requests through the hub,
 * whole answers and streams on their way back.
 *
 * The first byte chooses.  What was JSON has to become JSON, whatever was in
 * it, and a stream has to become the same bytes however it is cut.
 */

#include <stdlib.h>

#include "llm_front.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char  memory[2048];


typedef struct {
    llm_reply_t     reply;
    llm_buf_t       out;
    unsigned char  *mem;
    size_t          size;
} translated_t;


/* Appends what a client gets for one delta; its room has to be enough. */
static void
put(void *data, const llm_delta_t *delta)
{
    size_t         room, used;
    llm_buf_t      b;
    translated_t  *t = data;

    room = llm_reply_room(delta);
    used = (size_t) (t->out.pos - t->mem);

    if (t->size - used < room) {
        t->size = 2 * t->size + room;
        t->mem = realloc(t->mem, t->size);
        if (t->mem == NULL) {
            abort();
        }
        t->out.pos = t->mem + used;
    }

    llm_buf_init(&b, t->out.pos, room);
    t->reply.front->delta(&t->reply, delta, &b);

    if (b.full) {
        abort();
    }

    t->out.pos = b.pos;
}


/* The stream as its client gets it, read in pieces of that size. */
static void
translate(const llm_dialect_t *d, llm_str_t body, size_t piece,
    translated_t *t)
{
    int              complete;
    size_t           at, n, used, len;
    llm_buf_t        mem;
    llm_sse_t        sse;
    llm_sink_t       sink;
    llm_delta_t      end;
    llm_stream_t     s;
    llm_sse_event_t  ev;
    unsigned char   *event, *scratch;

    event = malloc(body.len + 1);
    scratch = malloc(body.len + 1);

    memset(t, 0, sizeof(translated_t));
    llm_reply_init(&t->reply, llm_front_find(LLM_EP_MESSAGES),
                   LLM_STR("msg_1"), 1790000000, 0);
    t->size = 4096;
    t->mem = malloc(t->size);
    llm_buf_init(&t->out, t->mem, t->size);

    sink.put = put;
    sink.data = t;

    llm_stream_init(&s, LLM_EP_CHAT);
    llm_sse_init(&sse);
    len = 0;

    for (at = 0; at < body.len; at += used) {

        n = body.len - at < piece ? body.len - at : piece;
        used = llm_sse_cut(&sse, body.data + at, n, &complete);
        memcpy(event + len, body.data + at, used);
        len += used;

        if (complete) {
            llm_sse_parse((llm_str_t) { len, event }, scratch, &ev);
            llm_buf_init(&mem, memory, sizeof(memory));
            (void) d->stream(&s, &ev, &mem, &sink);
            len = 0;
        }
    }

    memset(&end, 0, sizeof(end));
    end.kind = LLM_DELTA_END;
    put(t, &end);

    free(event);
    free(scratch);
}


/* Every event that went out is JSON and has its name. */
static void
check_events(llm_str_t out)
{
    int              complete;
    size_t           used;
    llm_sse_t        sse;
    llm_sse_event_t  ev;
    unsigned char   *scratch;

    scratch = malloc(out.len + 1);
    llm_sse_init(&sse);

    while (out.len) {
        used = llm_sse_cut(&sse, out.data, out.len, &complete);

        if (!complete) {
            abort();
        }

        llm_sse_parse((llm_str_t) { used, out.data }, scratch, &ev);

        if (ev.event.len == 0 || llm_json_check(ev.data) != LLM_OK) {
            abort();
        }

        out.data += used;
        out.len -= used;
    }

    free(scratch);
}


static void
check_stream(const llm_dialect_t *d, llm_str_t body)
{
    llm_str_t     a, b;
    translated_t  whole, bytes;

    translate(d, body, body.len, &whole);
    translate(d, body, 1, &bytes);

    a = (llm_str_t) { (size_t) (whole.out.pos - whole.mem), whole.mem };
    b = (llm_str_t) { (size_t) (bytes.out.pos - bytes.mem), bytes.mem };

    if (!llm_str_eq(a, b)) {
        abort();
    }

    check_events(a);
    free(whole.mem);
    free(bytes.mem);
}


static void
check_answer(const llm_dialect_t *d, llm_str_t body)
{
    size_t          size;
    llm_buf_t       mem, out;
    llm_reply_t     reply;
    llm_answer_t    a;
    unsigned char  *text;

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&a, 0, sizeof(a));
    d->answer(LLM_EP_CHAT, body, &mem, &a);

    if (a.class != LLM_CLASS_OK || llm_json_check(body) != LLM_OK) {
        return;
    }

    size = 7 * body.len + 4096;
    text = malloc(size);
    llm_buf_init(&out, text, size);
    llm_reply_init(&reply, llm_front_find(LLM_EP_MESSAGES), LLM_STR("m"), 1,
                   0);
    reply.front->whole(&reply, d, body, &out);

    if (!out.full && llm_json_check(llm_buf_view(&out)) != LLM_OK) {
        abort();
    }

    free(text);
}


static void
check_request(const llm_dialect_t *d, llm_str_t body)
{
    size_t          size;
    llm_rc_t        rc;
    llm_hub_t       hub;
    llm_buf_t       chat, out;
    llm_loss_t      loss;
    unsigned char  *text;

    if (llm_json_check(body) != LLM_OK) {
        return;
    }

    size = 7 * body.len + 4096;
    text = malloc(2 * size);
    llm_buf_init(&chat, text, size);
    llm_buf_init(&out, text + size, size);

    rc = llm_front_find(LLM_EP_MESSAGES)->request(body, &chat, &loss);

    if (rc == LLM_OK) {
        hub.model = LLM_STR("gpt-5");
        hub.version = LLM_NOSTR;

        if (llm_json_check(llm_buf_view(&chat)) != LLM_OK
            || llm_hub_read(&hub, llm_buf_view(&chat), &loss) != LLM_OK)
        {
            abort();
        }

        rc = d->request(&hub, &out, &loss);

        if (rc == LLM_OK && llm_json_check(llm_buf_view(&out)) != LLM_OK) {
            abort();
        }
    }

    if ((rc == LLM_NONE || rc == LLM_BAD) && loss.message.len == 0) {
        abort();
    }

    free(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_str_t             body;
    const llm_dialect_t  *d;

    if (size == 0) {
        return 0;
    }

    d = llm_dialect_find(LLM_STR("openai"));
    body.data = data + 1;
    body.len = size - 1;

    switch (data[0] % 3) {

    case 0:
        check_request(d, body);
        break;

    case 1:
        check_answer(d, body);
        break;

    default:
        check_stream(d, body);
    }

    return 0;
}
