/*
 * Answers of Gemini as clients get them: how likely tokens were, errors that
 * stand in a stream without "data:", and seals in blocks of Messages.
 */

#define _GNU_SOURCE                     /* memmem() */

#include "sample.h"

#include "llm_front.h"
#include "llm_hub.h"

static const llm_dialect_t  *gemini;
static unsigned char         memory[2048];
static unsigned char         written[65536];


/* ---- one answer in front of a client --------------------------------- */


static llm_str_t
whole(llm_endpoint_t ep, llm_str_t body, size_t size)
{
    llm_buf_t    out;
    llm_reply_t  reply;

    llm_buf_init(&out, written, size);
    llm_reply_init(&reply, llm_front_find(ep), LLM_STR("id"), 1, 0);
    sample_whole(&reply, gemini, body, &out);

    return out.full ? LLM_NOSTR : llm_buf_view(&out);
}


typedef struct {
    llm_reply_t  reply;
    llm_buf_t    out;
    unsigned     tight;                 /* deltas without enough room */
} client_t;

static void
put(void *data, const llm_delta_t *delta)
{
    llm_buf_t  b;
    client_t  *c = data;

    llm_buf_init(&b, c->out.pos, llm_reply_room(&c->reply, delta));
    c->reply.front->delta(&c->reply, delta, &b);
    c->tight += b.full;
    c->out.pos = b.pos;
}


/* What one event becomes. */
static llm_str_t
event(llm_endpoint_t ep, llm_str_t raw, llm_event_t *verdict)
{
    client_t         c;
    llm_buf_t        mem;
    llm_sink_t       sink;
    llm_stream_t     s;
    llm_sse_event_t  ev;
    static unsigned char  scratch[65536];

    memset(&c, 0, sizeof(client_t));
    llm_reply_init(&c.reply, llm_front_find(ep), LLM_STR("id"), 1, 0);
    llm_buf_init(&c.out, written, sizeof(written));
    llm_buf_init(&mem, memory, sizeof(memory));
    sink.put = put;
    sink.data = &c;

    llm_stream_init(&s, LLM_EP_CHAT);
    llm_sse_parse(raw, scratch, &ev);
    *verdict = gemini->stream(&s, &ev, &mem, &sink);
    is_int(c.tight, 0, "the room of every delta is enough");

    return llm_buf_view(&c.out);
}


static int
holds(llm_str_t text, const char *what)
{
    return memmem(text.data, text.len, what, strlen(what)) != NULL;
}


/* ---- logprobs -------------------------------------------------------- */


#define TOKEN(t, p)   "{\"token\":" t ",\"tokenId\":7,\"logProbability\":" p "}"
#define GIVEN(t, p)   "{\"token\":" t ",\"logprob\":" p ",\"bytes\":null"
#define WRITTEN(m)    "{\"content\":[" m "],\"refusal\":null}"

static const struct {
    const char  *in, *out, *name;
} results[] = {
    { "{\"chosenCandidates\":[" TOKEN("\"\\u0041\"", "-0.10") ","
      TOKEN("\"b\"", "-2e-5") "],\"topCandidates\":[{\"candidates\":["
      TOKEN("\"\\u0041\"", "-0.10") "," TOKEN("\"c\"", "-3") "]},{}]}",
      WRITTEN(GIVEN("\"\\u0041\"", "-0.10") ",\"top_logprobs\":["
              GIVEN("\"\\u0041\"", "-0.10") "}," GIVEN("\"c\"", "-3") "}]},"
              GIVEN("\"b\"", "-2e-5") ",\"top_logprobs\":[]}"),
      "tokens and what else was likely, digit by digit" },
    { "{\"chosenCandidates\":[{\"token\":\"a\"},{\"token\":\"b\","
      "\"logProbability\":\"-Infinity\"}]}",
      WRITTEN(GIVEN("\"a\"", "0") ",\"top_logprobs\":[]},"
              GIVEN("\"b\"", "-9999.0") ",\"top_logprobs\":[]}"),
      "zero and nothing" },
    { "{\"chosenCandidates\":[1,{\"tokenId\":3},{\"token\":\"b\"}],"
      "\"topCandidates\":[{\"candidates\":[{\"token\":\"x\"}]},null,"
      "{\"candidates\":[null,{\"token\":\"y\"}]}]}",
      WRITTEN(GIVEN("\"b\"", "0") ",\"top_logprobs\":["
              GIVEN("\"y\"", "0") "}]}"),
      "what is no token is left out, step by step" },
    { "{\"chosenCandidates\":{},\"topCandidates\":1}", WRITTEN(""), "odd" },
    { "{\"avgLogprobs\":-1}", WRITTEN(""), "none" }
};

static void
test_logprobs(void)
{
    size_t       i;
    char         body[4096], want[4096];
    llm_str_t    s;
    llm_event_t  verdict;

    for (i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        snprintf(body, sizeof(body), "data: {\"candidates\":[{\"content\":"
                 "{\"parts\":[{\"text\":\"Ab\"}]},\"logprobsResult\":%s,"
                 "\"finishReason\":\"STOP\"}]}\n\n", results[i].in);

        snprintf(want, sizeof(want), ",\"logprobs\":%s,\"finish_reason\":",
                 results[i].out);

        s = whole(LLM_EP_CHAT, tap_c(body + 6), sizeof(written));
        ok(holds(s, want), results[i].name);
        is_int(llm_json_check(s), LLM_OK, "... as JSON");

        snprintf(want, sizeof(want), "\"delta\":{},\"logprobs\":%s,"
                 "\"finish_reason\":null}]}\n\n", results[i].out);

        s = event(LLM_EP_CHAT, tap_c(body), &verdict);
        ok(holds(s, want), "... in a stream");
        is_int(verdict, LLM_EVENT_CONTENT, "... which is content");

        s = event(LLM_EP_MESSAGES, tap_c(body), &verdict);
        ok(s.len && !holds(s, "logprob"), "... and nothing for Messages");
    }

    (void) event(LLM_EP_CHAT, LLM_STR("data: {\"candidates\":[{"
                 "\"logprobsResult\":{}}]}\n\n"), &verdict);
    is_int(verdict, LLM_EVENT_PREFACE, "alone they commit nothing");

    s = whole(LLM_EP_CHAT, LLM_STR("{\"candidates\":[{\"index\":0,"
              "\"logprobsResult\":{\"chosenCandidates\":[{\"token\":\"a\"}]}},"
              "{\"index\":1,\"finishReason\":\"STOP\"}]}"), sizeof(written));
    ok(holds(s, "\"logprobs\":{\"content\":[{\"token\":\"a\""), "a choice");
    ok(holds(s, "\"logprobs\":null"), "... and one without");
}


/* The bound of a delta, for the shortest of tokens, of which there are many. */
static void
test_room(void)
{
    size_t       i;
    llm_str_t    s;
    llm_buf_t    b;
    llm_event_t  verdict;
    static unsigned char  body[32768];

    llm_buf_init(&b, body, sizeof(body));
    llm_buf_str(&b, LLM_STR("data: {\"candidates\":[{\"logprobsResult\":"
                            "{\"chosenCandidates\":[{\"token\":\"\"}"));

    for (i = 0; i < 500; i++) {
        llm_buf_str(&b, LLM_STR(",{\"token\":\"\"}"));
    }

    llm_buf_str(&b, LLM_STR("]}}]}\n\n"));
    s = event(LLM_EP_CHAT, llm_buf_view(&b), &verdict);
    ok(s.len > 501 * 50, "all of them were written");
}


/* ---- errors without data --------------------------------------------- */


#define ERROR  "{\r\n  \"error\": {\n    \"code\": 503,\n"                  \
               "    \"message\": \"Over: busy\",\n"                         \
               "    \"status\": \"UNAVAILABLE\"\n  }\n}"

static void
test_bare(void)
{
    size_t           i;
    llm_buf_t        mem;
    llm_stream_t     s;
    llm_sse_event_t  ev;
    unsigned char    scratch[512];

    static const struct {
        llm_str_t    raw;
        llm_event_t  verdict;
        const char  *name;
    } t[] = {
        { LLM_STR(ERROR "\n\n"), LLM_EVENT_ERROR, "an error as it is" },
        { LLM_STR("\n[" ERROR "\n]\n\n\n"), LLM_EVENT_ERROR,
          "... in an array" },
        { LLM_STR("{\"error\":null}\n\n"), LLM_EVENT_PREFACE, "no error" },
        { LLM_STR("[]\n\n"), LLM_EVENT_PREFACE, "nothing" },
        { LLM_STR("[{\"candidates\":[{\"finishReason\":\"STOP\"}]}]\n\n"),
          LLM_EVENT_PREFACE, "an answer is none that way" },
        { LLM_STR("{\"error\": {\"code\": 5\n\n"), LLM_EVENT_PREFACE,
          "a cut one" },
        { LLM_STR(": error\n\n"), LLM_EVENT_PREFACE, "a comment" },
        { LLM_STR("event: x\n\n"), LLM_EVENT_PREFACE, "a name alone" },
        { LLM_STR("\n"), LLM_EVENT_PREFACE, "a blank line" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        llm_stream_init(&s, LLM_EP_CHAT);
        s.choices = s.finished = 1;
        s.content = 1;
        ok(llm_stream_complete(&s), "a stream that had ended");

        llm_buf_init(&mem, memory, sizeof(memory));
        llm_sse_parse(t[i].raw, scratch, &ev);
        is_int(gemini->stream(&s, &ev, &mem, NULL), t[i].verdict, t[i].name);
        is_int(llm_stream_complete(&s), t[i].verdict != LLM_EVENT_ERROR,
               "... and its end");

        if (t[i].verdict == LLM_EVENT_ERROR) {
            is_int(s.error, LLM_CLASS_OVERLOADED, "... class");
            is_str(s.message, "Over: busy", "... message");
        }
    }
}


/* ---- seals of calls, in front of Messages ---------------------------- */


#define PART(parts)    "{\"candidates\":[{\"content\":{\"parts\":[" parts    \
                       "]}}]}"
#define THOUGHT        "{\"text\":\"Hm\",\"thought\":true}"
#define CALL(seal)     "{\"functionCall\":{\"id\":\"i\",\"name\":\"f\"}"       \
                       seal "}"
#define SEAL           ",\"thoughtSignature\":\"U2\\/ln=\""

static void
test_kept(void)
{
    size_t       i;
    llm_str_t    s;
    llm_event_t  verdict;

    static const struct {
        const char  *in;
        int          kept;
        const char  *name;
    } t[] = {
        { "data: " PART(THOUGHT "," CALL(SEAL)) "\n\n", 1,
          "a thought keeps the seal of a call" },
        { "data: " PART(THOUGHT "," CALL("") "," THOUGHT "," CALL(SEAL))
          "\n\n", 0, "... of the first one" },
        { "data: " PART(THOUGHT ",{\"text\":\"t\"}," CALL(SEAL)) "\n\n", 0,
          "... while it is open" },
        { "data: " PART(CALL(SEAL)) "\n\n", 0, "... where there is one" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        s = event(LLM_EP_MESSAGES, tap_c(t[i].in), &verdict);
        is_int(holds(s, "\"index\":0,\"delta\":{\"type\":\"signature_delta\","
                     "\"signature\":\"gemini:U2\\/ln=\"}}\n\nevent: "
                     "content_block_stop"), t[i].kept, t[i].name);
        is_int(holds(s, "gemini:"), t[i].kept, "... or nothing does");

        s = whole(LLM_EP_MESSAGES, tap_c(t[i].in + 6), sizeof(written));
        is_int(holds(s, "{\"type\":\"thinking\",\"thinking\":\"Hm\","
                     "\"signature\":\"gemini:U2\\/ln=\"},{\"type\":"
                     "\"tool_use\""), t[i].kept, "... in a whole answer");
        is_int(holds(s, "gemini:"), t[i].kept, "... or nothing does");
        is_int(llm_json_check(s), LLM_OK, "... as JSON");
    }
}


#define ASKED(signature)  "{\"model\":\"m\",\"max_tokens\":9,\"messages\":["  \
    "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","          \
    "\"content\":[{\"type\":\"thinking\",\"thinking\":\"Hm\",\"signature\":"  \
    "\"" signature "\"},{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\","  \
    "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"              \
    "\"tool_result\",\"tool_use_id\":\"i\",\"content\":\"1\"}]}]}"

/* A request of Messages at a provider of that dialect. */
static llm_str_t
ask(const char *body, const char *dialect, const char *model)
{
    llm_hub_t             h;
    llm_buf_t             chat, out;
    llm_loss_t            loss;
    const llm_dialect_t  *d;
    static unsigned char  mem[4096];

    memset(&loss, 0, sizeof(llm_loss_t));
    d = llm_dialect_find(tap_c(dialect));
    h.model = tap_c(model);
    h.version = d->version;

    llm_buf_init(&chat, mem, sizeof(mem));
    llm_buf_init(&out, written, sizeof(written));
    is_int(llm_front_find(LLM_EP_MESSAGES)->request(tap_c(body), &chat, &loss),
           LLM_OK, "a request");
    is_int(llm_hub_read(&h, llm_buf_view(&chat), LLM_NOSTR, &loss), LLM_OK,
           "... read");
    is_int(d->request(&h, &out, &loss), LLM_OK, "... and written");

    return llm_buf_view(&out);
}


static void
test_given_back(void)
{
    llm_str_t  s;

    s = ask(ASKED("gemini:U2\\/ln="), "gemini", "gemini-3.5-flash");
    ok(holds(s, "\"name\":\"f\",\"args\":{}},\"thoughtSignature\":"
             "\"U2\\/ln=\"}"), "a kept seal goes back to the call");

    s = ask(ASKED("gemini:"), "gemini", "gemini-3.5-flash");
    ok(holds(s, "skip_thought_signature_validator\"}"), "... not an empty one");
    s = ask(ASKED("U2ln"), "gemini", "gemini-3.5-flash");
    ok(holds(s, "skip_thought_signature_validator\"}"), "... nor another's");
    s = ask(ASKED("U2ln"), "gemini", "gemini-2.5-flash");
    ok(!holds(s, "thoughtSignature"), "... and no word for older models");

    s = ask(ASKED("gemini:U2ln"), "anthropic", "claude-sonnet-5");
    ok(!holds(s, "U2ln") && holds(s, "\"tool_use\""), "Claude never sees it");
    s = ask(ASKED("U2ln"), "anthropic", "claude-sonnet-5");
    ok(holds(s, "\"signature\":\"U2ln\""), "... but its own");
    s = ask(ASKED("gemini:U2ln"), "openai", "gpt-4.1");
    ok(!holds(s, "U2ln"), "nor does OpenAI");
}


int
main(void)
{
    gemini = llm_dialect_find(LLM_STR("gemini"));

    test_logprobs();
    test_room();
    test_bare();
    test_kept();
    test_given_back();

    return tap_done();
}
