/*
 * Every sample of a stream, by every front that writes one: what a client puts
 * together, however the bytes are cut and whatever ends their lines.  What it
 * has to be is in t/fixtures/streams.json.
 */

#include "sample.h"

#include "llm_front.h"

#define CALLS  4

/* What a client has put together; texts are decoded. */
typedef struct {
    llm_buf_t    text, more, reasoning;
    llm_buf_t    name[CALLS], arguments[CALLS];
    size_t       calls;
    const char  *finish;
    uint64_t     usage[4];              /* input, cached, output, reasoning */
    const char  *end;                   /* done, error, cut */
} client_t;

typedef struct {
    client_t  client;
    unsigned  front;
} reader_t;

static unsigned char  memory[65536];
static unsigned char  stream[131072], bytes[262144];
static unsigned char  texts[3 + 2 * CALLS][65536];
static unsigned char  line[65536], wanted[65536];
static unsigned       odd;              /* what no client should ever meet */


static void
client_init(client_t *c)
{
    size_t  i;

    memset(c, 0, sizeof(client_t));

    llm_buf_init(&c->text, texts[0], sizeof(texts[0]));
    llm_buf_init(&c->more, texts[1], sizeof(texts[0]));
    llm_buf_init(&c->reasoning, texts[2], sizeof(texts[0]));

    for (i = 0; i < CALLS; i++) {
        llm_buf_init(&c->name[i], texts[3 + 2 * i], sizeof(texts[0]));
        llm_buf_init(&c->arguments[i], texts[4 + 2 * i], sizeof(texts[0]));
    }

    c->finish = "none";
    c->end = "cut";
}


/* Appends a member's string, if it has one. */
static void
take(llm_str_t object, const char *name, llm_buf_t *to)
{
    llm_json_member_t  m;

    if (llm_json_get(object, tap_c(name), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        odd += (llm_json_unescape(m.value, to) != LLM_OK);
    }
}


static llm_str_t
get(llm_str_t object, const char *name)
{
    llm_json_member_t  m;

    return llm_json_get(object, tap_c(name), &m) == LLM_OK
           && m.kind != LLM_JSON_NULL ? m.value : LLM_NOSTR;
}


static uint64_t
number(llm_str_t object, const char *name)
{
    uint64_t  n;

    return llm_json_uint(get(object, name), &n) == LLM_OK ? n : 0;
}


static const char *
finish(llm_str_t raw)
{
    size_t  i;

    static const char  *const words[][2] = {
        { "\"stop\"", "stop" }, { "\"length\"", "length" },
        { "\"tool_calls\"", "tool_calls" },
        { "\"content_filter\"", "content_filter" },
        { "\"end_turn\"", "stop" }, { "\"stop_sequence\"", "stop" },
        { "\"max_tokens\"", "length" }, { "\"tool_use\"", "tool_calls" },
        { "\"refusal\"", "content_filter" }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (llm_str_eq(raw, tap_c(words[i][0]))) {
            return words[i][1];
        }
    }

    return "unknown";
}


/* ---- a client of chat ------------------------------------------------- */


/* A message, or a delta of one. */
static void
chat_part(client_t *c, llm_str_t part, uint64_t choice)
{
    size_t             n;
    uint64_t           i;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    take(part, "content", choice ? &c->more : &c->text);
    take(part, "reasoning_content", &c->reasoning);

    if (llm_json_begin(&it, get(part, "tool_calls")) != LLM_OK) {
        return;
    }

    for (n = 0; llm_json_next(&it, &m) == LLM_OK; n++) {
        i = get(m.value, "index").len ? number(m.value, "index") : n;

        if (i < CALLS) {
            c->calls = i >= c->calls ? (size_t) i + 1 : c->calls;
            take(get(m.value, "function"), "name", &c->name[i]);
            take(get(m.value, "function"), "arguments", &c->arguments[i]);
        }
    }
}


static void
chat_event(client_t *c, llm_str_t json)
{
    uint64_t           index;
    llm_str_t          usage;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_str_eq(json, LLM_STR("[DONE]"))) {
        c->end = "done";
        return;
    }

    odd += (llm_json_check(json) != LLM_OK);

    if (get(json, "error").len) {
        c->end = "error";
        return;
    }

    usage = get(json, "usage");

    if (usage.len) {
        c->usage[0] = number(usage, "prompt_tokens");
        c->usage[1] = number(get(usage, "prompt_tokens_details"),
                             "cached_tokens");
        c->usage[2] = number(usage, "completion_tokens");
        c->usage[3] = number(get(usage, "completion_tokens_details"),
                             "reasoning_tokens");
    }

    if (llm_json_begin(&it, get(json, "choices")) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        index = number(m.value, "index");
        chat_part(c, get(m.value, get(m.value, "delta").len ? "delta"
                                                            : "message"),
                  index);

        if (index == 0 && get(m.value, "finish_reason").len) {
            c->finish = finish(get(m.value, "finish_reason"));
        }
    }
}


/* ---- a client of Messages --------------------------------------------- */


static void
messages_usage(client_t *c, llm_str_t usage)
{
    c->usage[1] = number(usage, "cache_read_input_tokens");
    c->usage[0] = number(usage, "input_tokens") + c->usage[1];
    c->usage[2] = number(usage, "output_tokens");
}


/* A block, or the beginning of one, or some more of it. */
static void
messages_part(client_t *c, llm_str_t part)
{
    size_t  i;

    if (llm_str_eq(get(part, "type"), LLM_STR("\"tool_use\""))
        && c->calls < CALLS)
    {
        take(part, "name", &c->name[c->calls]);
        llm_buf_str(&c->arguments[c->calls++],
                    get(part, "input").len > 2 ? get(part, "input")
                                               : LLM_NOSTR);
    }

    i = c->calls ? c->calls - 1 : 0;

    take(part, "text", &c->text);
    take(part, "thinking", &c->reasoning);
    take(part, "partial_json", &c->arguments[i]);
}


static void
messages_event(client_t *c, llm_str_t json)
{
    llm_str_t          type;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    odd += (llm_json_check(json) != LLM_OK);

    type = get(json, "type");

    if (llm_str_eq(type, LLM_STR("\"error\""))) {
        c->end = "error";

    } else if (llm_str_eq(type, LLM_STR("\"message_stop\""))) {
        c->end = "done";

    } else if (llm_str_eq(type, LLM_STR("\"content_block_start\""))) {
        messages_part(c, get(json, "content_block"));

    } else if (llm_str_eq(type, LLM_STR("\"content_block_delta\""))) {
        messages_part(c, get(json, "delta"));

    } else if (llm_str_eq(type, LLM_STR("\"message_delta\""))) {
        c->finish = finish(get(get(json, "delta"), "stop_reason"));
        messages_usage(c, get(json, "usage"));

    } else if (llm_str_eq(type, LLM_STR("\"message\""))
               && llm_json_begin(&it, get(json, "content")) == LLM_OK)
    {
        while (llm_json_next(&it, &m) == LLM_OK) {
            messages_part(c, m.value);
        }

        c->finish = finish(get(json, "stop_reason"));
    }
}


/* ---- a client of Responses -------------------------------------------- */


/* The texts of parts, of a whole answer. */
static void
responses_parts(llm_str_t parts, llm_buf_t *to)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, parts) == LLM_OK) {
        while (llm_json_next(&it, &m) == LLM_OK) {
            take(m.value, "text", to);
        }
    }
}


/* An item: it begins, or it is whole. */
static void
responses_item(client_t *c, llm_str_t item)
{
    if (llm_str_eq(get(item, "type"), LLM_STR("\"function_call\""))
        && c->calls < CALLS)
    {
        take(item, "name", &c->name[c->calls]);
        take(item, "arguments", &c->arguments[c->calls++]);
    }

    responses_parts(get(item, "content"), &c->text);
    responses_parts(get(item, "summary"), &c->reasoning);
}


static void
responses_end(client_t *c, llm_str_t response)
{
    llm_str_t  usage, reason;

    reason = get(get(response, "incomplete_details"), "reason");

    c->end = "done";
    c->finish = llm_str_eq(reason, LLM_STR("\"max_output_tokens\"")) ? "length"
                : reason.len ? "content_filter"
                : c->calls ? "tool_calls" : "stop";

    usage = get(response, "usage");
    c->usage[0] = number(usage, "input_tokens");
    c->usage[1] = number(get(usage, "input_tokens_details"), "cached_tokens");
    c->usage[2] = number(usage, "output_tokens");
    c->usage[3] = number(get(usage, "output_tokens_details"),
                         "reasoning_tokens");
}


static void
responses_event(client_t *c, llm_str_t json)
{
    llm_str_t          type;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    odd += (llm_json_check(json) != LLM_OK);

    type = get(json, "type");

    if (llm_str_eq(type, LLM_STR("\"error\""))) {
        c->end = "error";

    } else if (llm_str_eq(type, LLM_STR("\"response.output_item.added\""))) {
        responses_item(c, get(json, "item"));

    } else if (llm_str_eq(type, LLM_STR("\"response.output_text.delta\""))) {
        take(json, "delta", &c->text);

    } else if (llm_str_eq(type,
                       LLM_STR("\"response.reasoning_summary_text.delta\"")))
    {
        take(json, "delta", &c->reasoning);

    } else if (llm_str_eq(type,
                       LLM_STR("\"response.function_call_arguments.delta\"")))
    {
        take(json, "delta", &c->arguments[c->calls - 1]);

    } else if (llm_str_eq(type, LLM_STR("\"response.completed\""))
               || llm_str_eq(type, LLM_STR("\"response.incomplete\"")))
    {
        responses_end(c, get(json, "response"));

    } else if (llm_str_eq(get(json, "object"), LLM_STR("\"response\""))
               && llm_json_begin(&it, get(json, "output")) == LLM_OK)
    {
        while (llm_json_next(&it, &m) == LLM_OK) {
            responses_item(c, m.value);
        }

        responses_end(c, json);
    }
}


static const struct {
    llm_endpoint_t    ep;
    const char       *name;
    size_t            counts;           /* of tokens that it tells */
    void            (*event)(client_t *c, llm_str_t json);
} fronts[] = {
    { LLM_EP_CHAT, "chat", 4, chat_event },
    { LLM_EP_MESSAGES, "messages", 3, messages_event },
    { LLM_EP_RESPONSES, "responses", 4, responses_event }
};


/* ---- what they say ---------------------------------------------------- */


/* Without the white space between tokens. */
static void
put_json(llm_buf_t *b, llm_str_t json)
{
    int     string;
    size_t  i;

    for (i = 0, string = 0; i < json.len; i++) {

        if (!string && memchr(" \t\r\n", json.data[i], 4)) {
            continue;
        }

        if (json.data[i] == '\\') {
            llm_buf_put(b, &json.data[i++], 1);

        } else if (json.data[i] == '"') {
            string = !string;
        }

        llm_buf_put(b, &json.data[i], 1);
    }
}


static void
put_text(llm_buf_t *b, const char *name, llm_str_t text)
{
    if (text.len) {
        llm_buf_str(b, tap_c(name));
        llm_json_put_string(b, text);
    }
}


static llm_str_t
client_says(const client_t *c, int usage, unsigned front)
{
    size_t     i;
    llm_buf_t  b;

    llm_buf_init(&b, line, sizeof(line));

    put_text(&b, "text ", llm_buf_view(&c->text));
    put_text(&b, " more ", llm_buf_view(&c->more));
    put_text(&b, " reasoning ", llm_buf_view(&c->reasoning));

    for (i = 0; i < c->calls; i++) {
        put_text(&b, " call ", llm_buf_view(&c->name[i]));
        put_json(&b, c->arguments[i].pos == c->arguments[i].start
                     ? LLM_STR("{}") : llm_buf_view(&c->arguments[i]));
    }

    llm_buf_str(&b, LLM_STR(" finish "));
    llm_buf_str(&b, tap_c(c->finish));

    for (i = 0; usage && i < fronts[front].counts; i++) {
        llm_buf_str(&b, LLM_STR("/"));
        llm_json_put_uint(&b, c->usage[i]);
    }

    llm_buf_str(&b, LLM_STR(" end "));
    llm_buf_str(&b, tap_c(c->end));

    return llm_buf_view(&b);
}


/* The same of a row; as is what a front has no place for. */
static llm_str_t
row_says(llm_str_t row, unsigned front, int whole)
{
    uint64_t           times;
    size_t             i;
    client_t           c;
    llm_str_t          usage, said;
    llm_json_iter_t    it, pair;
    llm_json_member_t  m, name, arguments;

    client_init(&c);

    times = get(row, "times").len ? number(row, "times") : 1;

    while (times--) {
        take(row, "text", &c.text);
    }

    if (front == 0) {
        take(row, "more", &c.more);
    }

    take(row, "reasoning", &c.reasoning);

    if (llm_json_begin(&it, get(row, "calls")) == LLM_OK) {
        while (llm_json_next(&it, &m) == LLM_OK) {
            (void) llm_json_begin(&pair, m.value);
            (void) llm_json_next(&pair, &name);
            (void) llm_json_next(&pair, &arguments);
            (void) llm_json_unescape(name.value, &c.name[c.calls]);
            (void) llm_json_unescape(arguments.value, &c.arguments[c.calls++]);
        }
    }

    if (get(row, "finish").len) {
        c.finish = finish(get(row, "finish"));
    }

    usage = whole ? LLM_NOSTR : get(row, "usage");

    if (usage.len && llm_json_begin(&it, usage) == LLM_OK) {
        for (i = 0; llm_json_next(&it, &m) == LLM_OK && i < 4; i++) {
            (void) llm_json_uint(m.value, &c.usage[i]);
        }
    }

    c.end = llm_str_eq(get(row, "end"), LLM_STR("\"done\"")) ? "done"
            : llm_str_eq(get(row, "end"), LLM_STR("\"error\"")) ? "error"
            : "cut";

    said = client_says(&c, usage.len != 0, front);
    memcpy(wanted, said.data, said.len);

    return (llm_str_t) { said.len, wanted };
}


/* ---- the way between --------------------------------------------------- */


typedef struct {
    const llm_dialect_t  *from;
    llm_stream_t          stream;
    llm_reply_t           reply;
    llm_buf_t             out;
    unsigned              full:1;
    unsigned              turn:1;       /* which memory it has */
    unsigned              failed:1;     /* and the client knows */
} way_t;

static unsigned char  kept[2][131072];


static void
put(void *data, const llm_delta_t *delta)
{
    way_t *w = data;

    size_t     size;
    llm_buf_t  b;

    size = llm_reply_lacks(&w->reply, delta);

    if (size) {
        w->turn = !w->turn;
        llm_reply_keep(&w->reply, kept[w->turn], size);
    }

    llm_buf_init(&b, w->out.pos, llm_reply_room(&w->reply, delta));
    w->reply.front->delta(&w->reply, delta, &b);
    w->full |= b.full || w->reply.kept.full || w->reply.broken;
    w->out.pos = b.pos;
}


/* One event of the provider, and what follows from it, as translate.c does. */
static void
pass(void *data, const llm_sse_event_t *ev, int whole)
{
    way_t        *w = data;
    llm_buf_t     mem;
    llm_sink_t    sink;
    llm_event_t   verdict;

    (void) whole;

    sink.put = put;
    sink.data = w;

    llm_buf_init(&mem, memory, sizeof(memory));

    verdict = w->from->stream(&w->stream, ev, &mem, w->failed ? NULL : &sink);

    if (verdict == LLM_EVENT_ERROR && !w->failed) {
        w->out.end = bytes + sizeof(bytes);
        w->reply.front->error_event(&w->out,
                                    llm_code_of_class(w->stream.error),
                                    w->stream.message, LLM_STR("id"),
                                    w->reply.sequence);
        w->failed = 1;
    }
}


/* A stream in pieces of that size, as bytes for the client. */
static llm_str_t
replay(const llm_dialect_t *d, unsigned front, llm_str_t body, size_t piece)
{
    way_t        w;
    llm_delta_t  end;

    memset(&w, 0, sizeof(w));
    w.from = d;
    llm_stream_init(&w.stream, LLM_EP_CHAT);
    llm_buf_init(&w.out, bytes, sizeof(bytes));
    llm_reply_init(&w.reply, llm_front_find(fronts[front].ep),
                   llm_front_find(fronts[front].ep)->id, 1, 1);

    stream_read(body, piece, pass, &w);

    if (!w.failed && llm_stream_complete(&w.stream) && !w.reply.ended) {
        memset(&end, 0, sizeof(end));
        end.kind = LLM_DELTA_END;
        put(&w, &end);
    }

    odd += w.full;

    return llm_buf_view(&w.out);
}


static void
client_event(void *data, const llm_sse_event_t *ev, int whole)
{
    reader_t *r = data;

    odd += !whole;
    fronts[r->front].event(&r->client, ev->data);
}


static llm_str_t
client_reads(llm_str_t sent, unsigned front, llm_str_t row)
{
    reader_t  r;

    r.front = front;
    client_init(&r.client);
    stream_read(sent, sent.len, client_event, &r);

    return client_says(&r.client, get(row, "usage").len != 0, front);
}


/* The sample with other ends of its lines. */
static llm_str_t
lines(llm_str_t body, llm_str_t end)
{
    size_t     i;
    llm_buf_t  b;

    llm_buf_init(&b, stream, sizeof(stream));

    for (i = 0; i < body.len; i++) {

        if (body.data[i] != '\n' && body.data[i] != '\r') {
            llm_buf_put(&b, &body.data[i], 1);
            continue;
        }

        if (body.data[i] == '\r' && i + 1 < body.len
            && body.data[i + 1] == '\n')
        {
            i++;
        }

        llm_buf_str(&b, end);
    }

    return llm_buf_view(&b);
}


static void
test_stream(llm_str_t row, const char *name)
{
    size_t                k, p;
    char                  label[160];
    unsigned              f;
    llm_str_t             body, want, sent, one, dialect;
    static unsigned char  first[262144];

    static const size_t     pieces[] = { SIZE_MAX, 1, 7, 100 };
    static const llm_str_t  ends[] = {
        { 1, (const unsigned char *) "\n" },
        { 2, (const unsigned char *) "\r\n" },
        { 1, (const unsigned char *) "\r" }
    };

    body = tap_fixture(name);
    dialect = get(row, "dialect");
    dialect.data++;
    dialect.len -= 2;

    for (f = 0; f < sizeof(fronts) / sizeof(fronts[0]); f++) {

        one = LLM_NOSTR;

        for (k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
            for (p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {

                snprintf(label, sizeof(label), "%s of %s, pieces of %zd, "
                         "ends %zu", fronts[f].name, name,
                         (ssize_t) pieces[p], k);

                sent = replay(llm_dialect_find(dialect), f,
                              lines(body, ends[k]), pieces[p]);

                if (one.data) {
                    is_view(sent, one, label);
                    continue;
                }

                memcpy(first, sent.data, sent.len);
                one = (llm_str_t) { sent.len, first };

                want = row_says(row, f, 0);
                is_view(client_reads(one, f, row), want, label);
            }
        }
    }
}


/* The same answer, not streamed. */
static void
test_twin(llm_str_t row, const char *name)
{
    char         label[160];
    client_t     c;
    unsigned     f;
    llm_buf_t    out;
    llm_str_t    body, want, dialect;
    llm_reply_t  reply;

    body = tap_fixture(name);
    dialect = get(row, "dialect");
    dialect.data++;
    dialect.len -= 2;

    for (f = 0; f < sizeof(fronts) / sizeof(fronts[0]); f++) {
        llm_buf_init(&out, bytes, sizeof(bytes));
        llm_reply_init(&reply, llm_front_find(fronts[f].ep),
                       llm_front_find(fronts[f].ep)->id, 1, 1);
        sample_whole(&reply, llm_dialect_find(dialect), body, &out);

        want = row_says(row, f, 1);
        client_init(&c);
        fronts[f].event(&c, llm_buf_view(&out));
        c.end = "done";

        snprintf(label, sizeof(label), "%s of %s", fronts[f].name, name);
        is_view(client_says(&c, 0, f), want, label);
    }
}


int
main(void)
{
    char               name[128];
    size_t             n;
    llm_str_t          rows;
    llm_buf_t          b;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    rows = tap_fixture("streams.json");
    is_int(llm_json_begin(&it, rows), LLM_OK, "streams.json");

    for (n = 0; llm_json_next(&it, &m) == LLM_OK; n++) {

        llm_buf_init(&b, name, sizeof(name) - 1);
        (void) llm_json_unescape(get(m.value, "stream"), &b);
        *b.pos = '\0';
        test_stream(m.value, name);

        if (get(m.value, "whole").len) {
            llm_buf_init(&b, name, sizeof(name) - 1);
            (void) llm_json_unescape(get(m.value, "whole"), &b);
            *b.pos = '\0';
            test_twin(m.value, name);
        }
    }

    ok(n > 50, "all rows were read");
    is_int(odd, 0, "all events have an end and are JSON, and have room");

    return tap_done();
}
