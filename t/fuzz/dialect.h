/*
 * What the fuzzers of dialects and fronts have in common: a request on its way
 * through the hub, and answers, refusals and streams on their way back.
 *
 * What was JSON has to become JSON, whatever was in it, and a stream has to
 * become the same bytes however it is cut.
 */

#ifndef LLM_FUZZ_DIALECT_H
#define LLM_FUZZ_DIALECT_H

#include <stdlib.h>

#include "stream.h"

#include "llm_front.h"


typedef struct {
    const llm_front_t    *front;
    const llm_dialect_t  *dialect;
    llm_str_t             model;        /* at the target */
    int                   functions;    /* of the time before tools */
} pair_t;

typedef struct {
    const llm_dialect_t  *from;
    llm_stream_t          stream;
    llm_reply_t           reply;
    llm_buf_t             out;
    unsigned char        *mem;
    size_t                size;
    unsigned char        *kept;         /* what the last event will repeat */
} translated_t;


static unsigned char  memory[2048];     /* of messages */

/* What a client asked for, in lines, which no event may have. */
static const char  settings[] =
    "{\"metadata\":{\n\"a\":\r\"b\\n\"},\"tools\":[\n],\"temperature\":0.10}";


static llm_str_t
asked(const pair_t *p)
{
    return p->functions ? LLM_STR("{\"functions\":[{\"name\":\"f\"}]}")
                        : LLM_STR(settings);
}


static void
check_json(llm_str_t text)
{
    if (llm_json_check(text) != LLM_OK) {
        abort();
    }
}


/* ---- requests ------------------------------------------------------------ */


/* Whoever refuses has to say why. */
static void
check_rc(llm_rc_t rc, const llm_loss_t *loss)
{
    if ((rc == LLM_NONE || rc == LLM_BAD) && loss->message.len == 0) {
        abort();
    }
}


static void
check_hub_request(const pair_t *p, llm_str_t body, int valid,
    llm_loss_t *loss)
{
    size_t          size;
    llm_rc_t        rc;
    llm_hub_t       hub;
    llm_buf_t       out;
    llm_str_t       known;
    unsigned char  *text;

    size = 7 * body.len + 4096;
    text = malloc(size);
    llm_buf_init(&out, text, size);

    hub.model = p->model;
    hub.version = p->dialect->version;

    rc = llm_hub_read(&hub, body, LLM_NOSTR, loss);

    if (rc == LLM_OK) {
        /* the same, when it is told where the messages are */
        known = hub.member[LLM_H_MESSAGES].value;
        rc = llm_hub_read(&hub, body, known, loss);

        if (rc != LLM_OK || hub.member[LLM_H_MESSAGES].value.len != known.len) {
            abort();
        }

        rc = p->dialect->request(&hub, &out, loss);
    }

    if (rc == LLM_OK && valid) {
        check_json(llm_buf_view(&out));
    }

    check_rc(rc, loss);
    free(text);
}


static void
check_request(const pair_t *p, llm_str_t body)
{
    int             valid;
    size_t          size;
    llm_rc_t        rc;
    llm_buf_t       out;
    llm_loss_t      loss;
    unsigned char  *text;

    memset(&loss, 0, sizeof(loss));
    valid = (llm_json_check(body) == LLM_OK);

    size = 7 * body.len + 4096;
    text = malloc(size);
    llm_buf_init(&out, text, size);

    rc = p->front->request(body, &out, &loss);
    check_rc(rc, &loss);

    if (rc == LLM_AGAIN) {
        check_hub_request(p, body, valid, &loss);

    } else if (rc == LLM_OK && valid) {
        check_json(llm_buf_view(&out));
        check_hub_request(p, llm_buf_view(&out), 1, &loss);
    }

    free(text);
}


/* ---- answers ------------------------------------------------------------- */


static void
check_answer(const pair_t *p, llm_str_t body)
{
    size_t          size;
    llm_buf_t       mem, out;
    llm_reply_t     reply;
    llm_answer_t    a;
    llm_source_t    source;
    unsigned char  *text;

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&a, 0, sizeof(a));
    p->dialect->answer(LLM_EP_CHAT, body, &mem, &a);

    source.from = p->dialect;
    source.body = body;
    source.mem = &mem;

    size = 7 * body.len + 4096;
    text = malloc(size);
    llm_buf_init(&out, text, size);
    llm_reply_init(&reply, p->front, p->front->id, 1, 1);
    llm_reply_asked(&reply, asked(p));
    reply.front->whole(&reply, &source, &out);

    if (source.answer.class != a.class
        || (a.class != LLM_CLASS_OK && out.pos != out.start))
    {
        abort();
    }

    if (a.class == LLM_CLASS_OK && !out.full
        && llm_json_check(body) == LLM_OK)
    {
        check_json(llm_buf_view(&out));
    }

    free(text);
}


static void
check_refusal(const pair_t *p, llm_str_t body, unsigned choice)
{
    llm_buf_t      mem;
    llm_hint_t     hint;
    llm_refusal_t  r;

    static const unsigned  status[] = {
        400, 401, 402, 403, 404, 413, 429, 500, 503, 529
    };

    llm_hint_init(&hint);
    llm_buf_init(&mem, memory, sizeof(memory));
    p->dialect->refusal(status[choice % 10], &hint, body, 1795168800000ULL,
                        &mem, &r);

    if (r.outcome.class == LLM_CLASS_OK || r.outcome.class >= LLM_CLASS_N) {
        abort();
    }
}


/* ---- streams ------------------------------------------------------------- */


/* Appends what a client gets for one delta; its room, and the memory that was
 * asked for, have to be enough. */
static void
put_delta(void *data, const llm_delta_t *delta)
{
    size_t          room, used;
    llm_buf_t       b;
    translated_t   *t = data;
    unsigned char  *old;

    room = llm_reply_lacks(&t->reply, delta);

    if (room) {
        old = t->kept;
        t->kept = malloc(room);
        llm_reply_keep(&t->reply, t->kept, room);
        free(old);
    }

    room = llm_reply_room(&t->reply, delta);
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

    if (b.full || t->reply.kept.full) {
        abort();
    }

    t->out.pos = b.pos;
}


/* The last event may lack its blank line. */
static void
translate_event(void *data, const llm_sse_event_t *ev, int whole)
{
    llm_buf_t      mem;
    llm_sink_t     sink;
    translated_t  *t = data;

    (void) whole;

    sink.put = put_delta;
    sink.data = t;

    llm_buf_init(&mem, memory, sizeof(memory));
    (void) t->from->stream(&t->stream, ev, &mem, &sink);
}


/* The stream as its client gets it, read in pieces of that size. */
static void
translate(const pair_t *p, llm_str_t body, size_t piece, translated_t *t)
{
    llm_delta_t  end;

    memset(t, 0, sizeof(translated_t));
    t->from = p->dialect;
    llm_stream_init(&t->stream, LLM_EP_CHAT);
    llm_reply_init(&t->reply, p->front, p->front->id, 1790000000, 1);
    llm_reply_asked(&t->reply, asked(p));
    t->size = 4096;
    t->mem = malloc(t->size);
    llm_buf_init(&t->out, t->mem, t->size);

    stream_read(body, piece, translate_event, t);

    memset(&end, 0, sizeof(end));
    end.kind = LLM_DELTA_END;
    put_delta(t, &end);
}


/* Every event that went out is JSON, or chat's terminator; the other fronts
 * give each of them its name. */
static void
check_sent(void *data, const llm_sse_event_t *ev, int whole)
{
    int *chat = data;

    if (!whole || (*chat ? ev->event.len != 0 : ev->event.len == 0)) {
        abort();
    }

    if (!*chat || !llm_str_eq(ev->data, LLM_STR("[DONE]"))) {
        check_json(ev->data);
    }
}


static void
check_stream(const pair_t *p, llm_str_t body)
{
    int           chat;
    llm_str_t     a, b;
    translated_t  whole, bytes;

    translate(p, body, body.len, &whole);
    translate(p, body, 1, &bytes);

    a = (llm_str_t) { (size_t) (whole.out.pos - whole.mem), whole.mem };
    b = (llm_str_t) { (size_t) (bytes.out.pos - bytes.mem), bytes.mem };

    if (!llm_str_eq(a, b)) {
        abort();
    }

    chat = (p->front->endpoint == LLM_EP_CHAT);
    stream_read(a, a.len, check_sent, &chat);

    free(whole.mem);
    free(bytes.mem);
    free(whole.kept);
    free(bytes.kept);
}


/* One of the four, by the lowest bits of `choice`; the others are the check's
 * own. */
static inline void
check_pair(const pair_t *p, unsigned choice, llm_str_t body)
{
    switch (choice & 3) {

    case 0:
        check_request(p, body);
        break;

    case 1:
        check_answer(p, body);
        break;

    case 2:
        check_refusal(p, body, choice >> 2);
        break;

    default:
        check_stream(p, body);
    }
}

#endif /* LLM_FUZZ_DIALECT_H */
