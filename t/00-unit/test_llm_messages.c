/*
 * The front of Messages and the deltas of OpenAI's chat: what becomes of a
 * request on its way out and of answers on their way back.
 */

#include "sample.h"

#include "llm_front.h"
#include "llm_openai.h"

static unsigned char  chat[65536];
static unsigned char  written[262144];


/* ---- requests -------------------------------------------------------- */


/* A Messages body as it goes to a chat endpoint, in `size` bytes each time. */
static llm_rc_t
ask(const char *model, llm_str_t body, size_t size, llm_buf_t *out,
    llm_loss_t *loss)
{
    llm_rc_t   rc;
    llm_buf_t  b;
    llm_hub_t  hub;

    llm_buf_init(&b, chat, size);
    llm_buf_init(out, written, size);

    rc = llm_messages_request(body, &b, loss);

    if (rc != LLM_OK) {
        return rc;
    }

    hub.model = (llm_str_t) { strlen(model), (const unsigned char *) model };
    hub.version = LLM_NOSTR;

    rc = llm_hub_read(&hub, llm_buf_view(&b), LLM_NOSTR, loss);

    return rc == LLM_OK ? llm_openai_request(&hub, out, loss) : rc;
}


#define BODY(rest)  "{\"model\":\"x\",\"max_tokens\":9," rest "}"
#define ASKED       "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define USER(block)                                                           \
    "\"messages\":[{\"role\":\"user\",\"content\":[" block "]}]"

static void
test_requests(void)
{
    size_t      i;
    llm_buf_t   out;
    llm_loss_t  loss;

    static const struct {
        const char  *model, *body, *want;
    } t[] = {
        { "m", BODY(ASKED), "{\"model\":\"m\"," ASKED ",\"max_tokens\":9}" },
        { "openai/gpt-5", BODY(ASKED), "{\"model\":\"openai/gpt-5\"," ASKED
          ",\"max_completion_tokens\":9}" },
        { "o3", BODY(ASKED ",\"temperature\":1,\"thinking\":{\"type\":"
          "\"enabled\",\"budget_tokens\":20000}"), "{\"model\":\"o3\"," ASKED
          ",\"max_completion_tokens\":9,\"reasoning_effort\":\"high\"}" },
        { "m", BODY(ASKED ",\"stream\":true,\"temperature\":0.10"),
          "{\"model\":\"m\"," ASKED ",\"max_tokens\":9,\"temperature\":0.10,"
          "\"stream\":true,\"stream_options\":{\"include_usage\":true}}" },
        { "m", BODY(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"t\","
          "\"is_error\":true}")), "{\"model\":\"m\",\"messages\":[{\"role\":"
          "\"tool\",\"tool_call_id\":\"t\",\"content\":\"\"}],"
          "\"max_tokens\":9}" },
        { "m", BODY(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"t\","
          "\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
          "\"search_result\",\"content\":[{\"type\":\"text\",\"text\":"
          "\"b\"}]}]}")), "{\"model\":\"m\",\"messages\":[{\"role\":"
          "\"tool\",\"tool_call_id\":\"t\",\"content\":\"a\"},{\"role\":"
          "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]}],"
          "\"max_tokens\":9}" },
        { "m", BODY(USER("{\"type\":\"text\",\"text\":\"\"}")),
          "{\"model\":\"m\",\"messages\":[],\"max_tokens\":9}" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_int(ask(t[i].model, (llm_str_t) { strlen(t[i].body),
                   (const unsigned char *) t[i].body }, 4096, &out, &loss),
               LLM_OK, t[i].body);
        is_str(llm_buf_view(&out), t[i].want, "... becomes");
    }
}


static void
test_bad(void)
{
    size_t      i;
    llm_buf_t   out;
    llm_loss_t  loss;

    static const struct {
        const char  *body;
        llm_rc_t     rc;
    } t[] = {
        { "[]", LLM_BAD },
        { "{}", LLM_BAD },
        { BODY("\"messages\":{}"), LLM_BAD },
        { BODY("\"messages\":[1]"), LLM_BAD },
        { BODY("\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]"),
          LLM_BAD },
        { BODY(USER("{}")), LLM_BAD },
        { BODY(USER("{\"type\":\"tool_result\"}")), LLM_BAD },
        { BODY(USER("{\"type\":\"image\"}")), LLM_BAD },
        { BODY(USER("{\"type\":\"image\",\"source\":{\"type\":\"file\"}}")),
          LLM_NONE },
        { BODY(USER("{\"type\":\"audio\"}")), LLM_NONE },
        { BODY(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"t\","
          "\"content\":[{\"type\":\"audio\"}]}")), LLM_NONE },
        { BODY(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"t\","
          "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\"}]}")),
          LLM_NONE }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_int(ask("m", (llm_str_t) { strlen(t[i].body),
                   (const unsigned char *) t[i].body }, 4096, &out, &loss),
               t[i].rc, t[i].body);
        ok(loss.message.len != 0, "... says why");
    }
}


static void
test_room(void)
{
    size_t      size, i;
    llm_rc_t    rc;
    llm_buf_t   out;
    llm_str_t   body;
    llm_loss_t  loss;

    static const char  *names[] = {
        "anthropic/messages.tool-result.request.json",
        "anthropic/messages.image.request.json",
        "anthropic/messages.thinking.request.json"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        body = tap_fixture(names[i]);
        rc = LLM_FULL;

        for (size = 1; size < 8192 && rc == LLM_FULL; size++) {
            rc = ask("m", body, size, &out, &loss);
        }

        is_int(rc, LLM_OK, names[i]);
        is_int(llm_json_check(llm_buf_view(&out)), LLM_OK, "... is JSON");
    }
}


/* ---- answers --------------------------------------------------------- */


static void
put(void *data, const llm_delta_t *delta)
{
    llm_buf_t    b;
    llm_reply_t  *reply = data;
    static llm_buf_t  *out;

    if (delta == NULL) {
        out = data;
        return;
    }

    llm_buf_init(&b, out->pos, llm_reply_room(reply, delta));
    reply->front->delta(reply, delta, &b);
    ok(!b.full, "the room of a delta is enough");
    out->pos = b.pos;
}


/* A stream in pieces of that size, as its client gets it. */
static llm_str_t
stream(llm_str_t body, size_t piece, unsigned char *to, size_t size)
{
    llm_buf_t     out;
    llm_sink_t    sink;
    llm_reply_t   reply;
    llm_stream_t  s;

    llm_buf_init(&out, to, size);
    put(&out, NULL);

    llm_reply_init(&reply, llm_front_find(LLM_EP_MESSAGES), LLM_STR("msg_1"),
                   1, 0);
    sink.put = put;
    sink.data = &reply;

    sample_deltas(llm_dialect_find(LLM_STR("openai")), body, piece, &s, &sink);

    return llm_buf_view(&out);
}


static void
test_streams(void)
{
    size_t     i;
    llm_str_t  whole, bytes, sevens;

    static unsigned char  a[65536], b[65536], c[65536];
    static const char    *names[] = {
        "openai/chat.stream.sse", "openai/chat.stream.tools.sse",
        "openai/chat.stream.tools-whole.sse", "openai/chat.stream.crlf.sse",
        "openai/chat.stream.utf8-escaped.sse",
        "openai/chat.stream.error-midway.sse", "openai/chat.stream.n2.sse",
        "openrouter/chat.stream.sse", "groq/chat.stream.sse"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        whole = stream(tap_fixture(names[i]), 65536, a, sizeof(a));
        bytes = stream(tap_fixture(names[i]), 1, b, sizeof(b));
        sevens = stream(tap_fixture(names[i]), 7, c, sizeof(c));
        ok(whole.len > 100 && llm_str_eq(whole, bytes)
           && llm_str_eq(whole, sevens), names[i]);
    }

    whole = stream(LLM_STR(
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,"
        "\"delta\":{\"content\":\"\\u0000\"}}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
        "\"length\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,"
        "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n"
        "data: [DONE]\n\n"), 65536, a, sizeof(a));
    is_str(whole,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"
        "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"m\",\"content\":[],\"stop_reason\":null,"
        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,"
        "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
        "\"output_tokens\":0}}}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\","
        "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
        "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\\u0000\"}}"
        "\n\nevent: content_block_stop\ndata: {\"type\":"
        "\"content_block_stop\",\"index\":0}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
        "{\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},\"usage\":"
        "{\"input_tokens\":5,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":4,\"output_tokens\":2}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        "a stream, byte for byte");
}


static void
test_whole(void)
{
    llm_buf_t    out;
    llm_reply_t  reply;

    llm_buf_init(&out, written, sizeof(written));
    llm_reply_init(&reply, llm_front_find(LLM_EP_MESSAGES), LLM_STR("msg_1"),
                   1, 0);
    sample_whole(&reply, llm_dialect_find(LLM_STR("openai")), LLM_STR(
        "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"message\":{\"content\":"
        "\"Yes\",\"reasoning\":\"Hm\",\"tool_calls\":[{\"function\":{\"name\":"
        "\"f\",\"arguments\":\"{\\\"n\\\":1.50}\"}},{\"id\":\"b\","
        "\"function\":{\"name\":\"g\",\"arguments\":\"no\"}}]},"
        "\"finish_reason\":\"stop\"}]}"), &out);
    is_str(llm_buf_view(&out),
        "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"m\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
        "\"Hm\",\"signature\":\"\"},{\"type\":\"text\",\"text\":\"Yes\"},"
        "{\"type\":\"tool_use\",\"id\":\"call_0\",\"name\":\"f\",\"input\":"
        "{\"n\":1.50}},{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"g\","
        "\"input\":{}}],\"stop_reason\":\"tool_use\",\"stop_sequence\":null,"
        "\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":0,\"output_tokens\":0}}",
        "a whole answer, byte for byte");
}


/* ---- paths ----------------------------------------------------------- */


static void
test_paths(void)
{
    size_t          i;
    llm_str_t       rest;
    llm_endpoint_t  ep;

    static const struct {
        const char      *path;
        llm_endpoint_t   ep;
        const char      *rest;
    } t[] = {
        { "/v1/messages", LLM_EP_MESSAGES, "" },
        { "/x/v1/messages/count_tokens", LLM_EP_MESSAGES, "/count_tokens" },
        { "/v1/messages/batches/b1", LLM_EP_MESSAGES, "/batches/b1" },
        { "/v1/batches/b1", LLM_EP_BATCHES, "/b1" },
        { "/v1/chat/completions/c1/messages", LLM_EP_CHAT, "/c1/messages" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        ep = LLM_EP_UNKNOWN;
        rest = LLM_NOSTR;
        is_int(llm_endpoint_find((llm_str_t) { strlen(t[i].path),
                                 (const unsigned char *) t[i].path }, &ep,
                                 &rest), LLM_OK, t[i].path);
        is_int(ep, t[i].ep, "... endpoint");
        is_str(rest, t[i].rest, "... rest");
    }
}


int
main(void)
{
    test_requests();
    test_bad();
    test_room();
    test_streams();
    test_whole();
    test_paths();

    return tap_done();
}
