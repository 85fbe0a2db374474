/*
 * Whatever a provider sends: a whole answer, a refusal, or a stream of events.
 *
 * The first byte chooses the reader and the endpoint.  Views have to point into
 * the body or into the memory given for them; a stream has to mean the same
 * however it is cut.
 */

#include <stdlib.h>

#include "stream.h"

#include "llm_dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


typedef struct {
    const llm_dialect_t  *dialect;
    llm_endpoint_t        endpoint;
    llm_str_t             body;
    llm_stream_t          stream;
    uint64_t              sum;
} verdicts_t;

static unsigned char  memory[2048];


static void
inside(llm_str_t view, llm_str_t body)
{
    if (view.len == 0
        || (view.data >= memory
            && view.data + view.len <= memory + sizeof(memory))
        || (view.data >= body.data
            && view.data + view.len <= body.data + body.len))
    {
        return;
    }

    abort();
}


static void
check_answer(const llm_dialect_t *d, llm_endpoint_t ep, llm_str_t body)
{
    llm_buf_t     mem;
    llm_answer_t  a;

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&a, 0, sizeof(a));
    d->answer(ep, body, &mem, &a);

    inside(a.content, body);
    inside(a.finish_reason, body);
    inside(a.model, body);
    inside(a.message, body);

    if (a.class >= LLM_CLASS_N) {
        abort();
    }
}


static void
check_refusal(const llm_dialect_t *d, unsigned choice, llm_str_t body)
{
    llm_buf_t      mem;
    llm_hint_t     hint;
    llm_refusal_t  r;

    static const unsigned  status[] = {
        400, 401, 402, 403, 404, 413, 429, 503
    };

    llm_hint_init(&hint);
    llm_buf_init(&mem, memory, sizeof(memory));
    d->refusal(status[choice % 8], &hint, body, 1795168800000ULL, &mem, &r);

    inside(r.message, body);
    inside(r.type, body);
    inside(r.code, body);

    if (r.outcome.class == LLM_CLASS_OK || r.outcome.class >= LLM_CLASS_N
        || r.outcome.wait > LLM_HINT_MAX_MS)
    {
        abort();
    }
}


/* The text of an event, for copies: a whole JSON string, or nothing. */
static uint64_t
text_of(const llm_dialect_t *d, llm_endpoint_t ep, llm_str_t data)
{
    llm_str_t       text;
    llm_buf_t       out;
    unsigned char  *mem;

    text = d->text(ep, data);

    if (text.len == 0) {
        return 0;
    }

    mem = malloc(text.len);

    if (mem == NULL || text.data < data.data
        || text.data + text.len > data.data + data.len)
    {
        abort();
    }

    llm_buf_init(&out, mem, text.len);

    if (llm_json_unescape(text, &out) != LLM_OK) {
        abort();
    }

    free(mem);

    return text.len;
}


/* What a stream remembers must not change what an event means. */
static void
add_verdict(void *data, const llm_sse_event_t *ev, int whole)
{
    llm_buf_t      mem;
    verdicts_t    *v = data;
    llm_event_t    verdict;
    llm_stream_t  *s, forgetful;

    if (!whole) {
        return;
    }

    s = &v->stream;
    forgetful = *s;
    forgetful.head = 0;
    forgetful.tail = 0;

    llm_buf_init(&mem, memory, sizeof(memory));
    verdict = v->dialect->event(&forgetful, ev, &mem);

    llm_buf_init(&mem, memory, sizeof(memory));

    if (v->dialect->event(s, ev, &mem) != verdict
        || s->choices != forgetful.choices
        || s->finished != forgetful.finished
        || s->usage.output != forgetful.usage.output)
    {
        abort();
    }

    /* a line feed that belonged to the event before comes alone */

    if (ev->has_data) {
        v->sum = v->sum * 31 + verdict;
        v->sum = v->sum * 31 + text_of(v->dialect, v->endpoint, ev->data);
    }

    inside(s->message, v->body);
    s->message = LLM_NOSTR;
}


/* A checksum of all verdicts, reading the stream in pieces of that size. */
static uint64_t
verdicts(const llm_dialect_t *d, llm_endpoint_t ep, llm_str_t body,
    size_t piece)
{
    verdicts_t  v;

    v.dialect = d;
    v.endpoint = ep;
    v.body = body;
    v.sum = 0;
    llm_stream_init(&v.stream, ep);

    stream_read(body, piece, add_verdict, &v);

    v.sum = v.sum * 31 + v.stream.finished;
    v.sum = v.sum * 31 + (uint64_t) llm_stream_complete(&v.stream);

    return v.sum;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_str_t             body;
    llm_endpoint_t        ep;
    const llm_dialect_t  *d;

    if (size == 0) {
        return 0;
    }

    d = llm_dialect_find(LLM_STR("openai"));
    ep = (llm_endpoint_t) (LLM_EP_CHAT + (data[0] & 7));
    body.data = data + 1;
    body.len = size - 1;

    switch (data[0] >> 6) {

    case 0:
        check_answer(d, ep, body);
        break;

    case 1:
        check_refusal(d, data[0], body);
        break;

    default:
        if (verdicts(d, ep, body, body.len) != verdicts(d, ep, body, 1)) {
            abort();
        }
    }

    return 0;
}
