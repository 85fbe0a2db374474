/*
 * The front of Responses: what becomes of a request on its way out and of
 * answers of every dialect on their way back.
 */

#include "sample.h"

#include "llm_front.h"
#include "llm_openai.h"

static unsigned char  chat[65536];
static unsigned char  written[262144];
static unsigned char  memory[2048];


static llm_str_t
str(const char *s)
{
    return (llm_str_t) { strlen(s), (const unsigned char *) s };
}


/* ---- requests -------------------------------------------------------- */


#define ASK(rest)   "{\"model\":\"x\"," rest "}"
#define INPUT       "\"input\":\"Hi\""
#define SAID        "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define ITEMS(list) ASK("\"input\":[" list "]")
#define ASKED       "{\"role\":\"user\",\"content\":\"Hi\"}"
#define CALL(id)                                                              \
    "{\"type\":\"function_call\",\"call_id\":\"" id "\",\"name\":\"f\","      \
    "\"arguments\":\"{}\"}"
#define RESULT(id, output)                                                    \
    "{\"type\":\"function_call_output\",\"call_id\":\"" id "\",\"output\":"   \
    output "}"
#define CALLED(id)                                                            \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\","  \
    "\"arguments\":\"{}\"}}"
#define ANSWER(text)                                                          \
    "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"    \
    "\"output_text\",\"text\":\"" text "\"}]}"
#define THOUGHT(summary, sealed)                                              \
    "{\"type\":\"reasoning\",\"summary\":[" summary "],"                      \
    "\"encrypted_content\":\"" sealed "\"}"

static const struct {
    const char  *body, *want;
} asked[] = {
    { ASK(INPUT), "{" SAID "}" },
    { ASK(INPUT ",\"instructions\":\"\",\"background\":false,"
      "\"conversation\":null"), "{" SAID "}" },
    { ASK(INPUT ",\"instructions\":\"Be.\""), "{\"messages\":[{\"role\":"
      "\"system\",\"content\":\"Be.\"},{\"role\":\"user\",\"content\":\"Hi\"}"
      "]}" },
    { ASK(INPUT ",\"tool_choice\":\"auto\",\"parallel_tool_calls\":true,"
      "\"tools\":[ ]"), "{" SAID "}" },
    { ASK(INPUT ",\"text\":{\"format\":{\"type\":\"json_schema\",\"schema\":{}"
      "}}"), "{" SAID ",\"response_format\":{\"type\":\"json_schema\","
      "\"json_schema\":{\"name\":\"answer\",\"schema\":{}}}}" },
    { ASK(INPUT ",\"text\":{\"format\":{\"type\":\"text\"}}"),
      "{" SAID "}" },
    { ITEMS(""), "{\"messages\":[]}" },
    { ITEMS(ASKED "," ASKED), "{\"messages\":[" ASKED "," ASKED "]}" },
    { ITEMS("{\"role\":\"user\",\"content\":[]}"), "{\"messages\":[]}" },
    /* an answer of the model is one message */
    { ITEMS(ANSWER("One.") "," CALL("a") "," CALL("b")), "{\"messages\":["
      "{\"role\":\"assistant\",\"content\":\"One.\",\"tool_calls\":["
      CALLED("a") "," CALLED("b") "]}]}" },
    { ITEMS(ANSWER("One.") "," ANSWER("Two.")), "{\"messages\":[{\"role\":"
      "\"assistant\",\"content\":\"One.\\nTwo.\"}]}" },
    { ITEMS("{\"role\":\"assistant\",\"content\":\"One.\"}," CALL("a") ","
      RESULT("a", "\"1\"") "," CALL("b") "," RESULT("b", "\"2\"")),
      "{\"messages\":[{\"role\":\"assistant\",\"content\":\"One.\","
      "\"tool_calls\":[" CALLED("a") "]},{\"role\":\"tool\",\"tool_call_id\":"
      "\"a\",\"content\":\"1\"},{\"role\":\"assistant\",\"content\":null,"
      "\"tool_calls\":[" CALLED("b") "]},{\"role\":\"tool\",\"tool_call_id\":"
      "\"b\",\"content\":\"2\"}]}" },
    { ITEMS(RESULT("a", "[{\"type\":\"input_text\",\"text\":\"1\"},{\"type\":"
      "\"input_image\",\"image_url\":\"u\"}]") "," RESULT("b", "null")),
      "{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":"
      "\"1\"},{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"\"},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
      "{\"url\":\"u\"}}]}]}" },
    /* reasoning goes back to its maker, or nowhere */
    { ITEMS(ASKED "," THOUGHT("", "gAAA") "," ASKED),
      "{\"messages\":[" ASKED "," ASKED "]}" },
    { ITEMS(THOUGHT("{\"type\":\"summary_text\",\"text\":\"Hm\"}",
      "thinking:s=") "," THOUGHT("", "redacted:d=") "," CALL("a")),
      "{\"messages\":[{\"role\":\"assistant\",\"thinking_blocks\":[{\"type\":"
      "\"thinking\",\"thinking\":\"Hm\",\"signature\":\"s=\"},{\"type\":"
      "\"redacted_thinking\",\"data\":\"d=\"}],\"content\":null,"
      "\"tool_calls\":[" CALLED("a") "]}]}" },
    { ITEMS("{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\","
      "\"arguments\":\"{}\",\"extra_content\":{\"google\":{}}}"),
      "{\"messages\":[{\"role\":\"assistant\",\"content\":null,"
      "\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":"
      "{\"name\":\"f\",\"arguments\":\"{}\"},\"extra_content\":{\"google\":{}}"
      "}]}]}" },
    { ITEMS("{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\","
      "\"refusal\":\"No.\"}],\"extra_content\":{\"google\":{}}}"),
      "{\"messages\":[{\"role\":\"assistant\",\"content\":\"No.\","
      "\"extra_content\":{\"google\":{}}}]}" }
};


static void
test_requests(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_buf_t   out;
    llm_loss_t  loss;

    for (i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        llm_buf_init(&out, chat, sizeof(chat));
        rc = llm_responses_request(str(asked[i].body), &out, &loss);
        is_int(rc, LLM_OK, asked[i].body);
        is_str(llm_buf_view(&out), asked[i].want, "... becomes");
    }
}


static void
test_bad(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_buf_t   out;
    llm_loss_t  loss;

    static const struct {
        const char  *body;
        llm_rc_t     rc;
        const char  *param;
    } t[] = {
        { "[]", LLM_BAD, "" },
        { "{}", LLM_BAD, "input" },
        { ASK("\"input\":{}"), LLM_BAD, "input" },
        { ITEMS("1"), LLM_BAD, "input" },
        { ITEMS("{\"role\":\"user\"}"), LLM_BAD, "input" },
        { ITEMS("{\"role\":\"tool\",\"content\":\"x\"}"), LLM_BAD, "input" },
        { ITEMS("{\"role\":\"user\",\"content\":[{}]}"), LLM_BAD, "input" },
        { ITEMS("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}"),
          LLM_BAD, "input" },
        { ITEMS("{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}"),
          LLM_BAD, "input" },
        { ITEMS("{\"type\":\"function_call\"}"), LLM_BAD, "input" },
        { ITEMS("{\"type\":\"function_call_output\"}"), LLM_BAD, "input" },
        { ASK(INPUT ",\"tools\":[{}]"), LLM_BAD, "tools" },
        { ASK(INPUT ",\"tools\":[{\"type\":\"function\"}]"), LLM_BAD, "tools" },
        { ASK(INPUT ",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],"
          "\"tool_choice\":5"), LLM_BAD, "tool_choice" },
        { ASK(INPUT ",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],"
          "\"tool_choice\":{\"type\":\"web_search\"}"), LLM_NONE,
          "tool_choice" },
        { ASK(INPUT ",\"tools\":[{\"type\":\"web_search\"}]"), LLM_NONE,
          "tools" },
        { ASK(INPUT ",\"previous_response_id\":\"r\""), LLM_NONE,
          "previous_response_id" },
        { ASK(INPUT ",\"background\":true"), LLM_NONE, "background" },
        { ASK(INPUT ",\"conversation\":{\"id\":\"c\"}"), LLM_NONE,
          "conversation" },
        { ITEMS("{\"type\":\"item_reference\",\"id\":\"x\"}"), LLM_NONE,
          "input" },
        { ITEMS("{\"id\":\"x\"}"), LLM_NONE, "input" },
        { ITEMS(CALL("a") ",{\"type\":\"web_search_call\"}"), LLM_NONE,
          "input" },
        { ITEMS("{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
          "\"file_id\":\"x\"}]}"), LLM_NONE, "input" },
        { ITEMS("{\"role\":\"user\",\"content\":[{\"type\":\"input_file\","
          "\"file_url\":\"x\"}]}"), LLM_NONE, "input" },
        { ITEMS("{\"role\":\"user\",\"content\":[{\"type\":\"x\"}]}"),
          LLM_NONE, "input" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        llm_buf_init(&out, chat, sizeof(chat));
        rc = llm_responses_request(str(t[i].body), &out, &loss);
        is_int(rc, t[i].rc, t[i].body);
        is_str(loss.param, t[i].param, "... names the member");
        ok(loss.message.len != 0, "... says why");
    }
}


static void
test_room(void)
{
    size_t      size, i;
    llm_rc_t    rc;
    llm_buf_t   out;
    llm_loss_t  loss;

    for (i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        rc = LLM_FULL;

        for (size = 0; size < 4096 && rc == LLM_FULL; size++) {
            llm_buf_init(&out, chat, size);
            rc = llm_responses_request(str(asked[i].body), &out, &loss);
        }

        is_int(rc, LLM_OK, asked[i].body);
        is_str(llm_buf_view(&out), asked[i].want, "... in just enough room");
    }
}


/* ---- answers --------------------------------------------------------- */


typedef struct {
    llm_reply_t  reply;
    llm_buf_t    out;
    unsigned     turn;
} told_t;

/* two pieces of memory that take turns, each just as large as it has to be */
static unsigned char  kept[2][131072];


static void
put(void *data, const llm_delta_t *delta)
{
    size_t      size;
    told_t     *t = data;
    llm_buf_t   b;

    size = llm_reply_lacks(&t->reply, delta);

    if (size) {
        t->turn = !t->turn;
        llm_reply_keep(&t->reply, kept[t->turn], size);
        ok(llm_reply_lacks(&t->reply, delta) == 0, "what it lacked is enough");
    }

    llm_buf_init(&b, t->out.pos, llm_reply_room(&t->reply, delta));
    t->reply.front->delta(&t->reply, delta, &b);
    ok(!b.full && !t->reply.kept.full, "the room of a delta is enough");
    t->out.pos = b.pos;
}


/* A stream in pieces of that size, as its client gets it. */
static llm_str_t
stream(const char *dialect, llm_str_t body, size_t piece, const char *asks,
    unsigned char *to, size_t size)
{
    told_t        t;
    llm_sink_t    sink;
    llm_delta_t   end;
    llm_stream_t  s;

    llm_buf_init(&t.out, to, size);
    t.turn = 0;

    llm_reply_init(&t.reply, llm_front_find(LLM_EP_RESPONSES),
                   LLM_STR("resp_1"), 7, 0);
    llm_reply_asked(&t.reply, str(asks));
    sink.put = put;
    sink.data = &t;

    sample_deltas(llm_dialect_find(str(dialect)), body, piece, &s, &sink);

    if (llm_stream_complete(&s)) {
        memset(&end, 0, sizeof(end));
        end.kind = LLM_DELTA_END;
        put(&t, &end);
        put(&t, &end);
    }

    return llm_buf_view(&t.out);
}


static void
test_streams(void)
{
    size_t     i;
    llm_str_t  whole, bytes, sevens;

    static unsigned char  a[131072], b[131072], c[131072];
    static const struct {
        const char  *dialect, *name;
    } t[] = {
        { "openai", "openai/chat.stream.sse" },
        { "openai", "openai/chat.stream.tools.sse" },
        { "openai", "openai/chat.stream.tools-whole.sse" },
        { "openai", "openai/chat.stream.crlf.sse" },
        { "openai", "openai/chat.stream.utf8-escaped.sse" },
        { "openai", "openai/chat.stream.error-midway.sse" },
        { "openai", "openai/chat.stream.n2.sse" },
        { "openai", "openrouter/chat.stream.reasoning.sse" },
        { "openai", "groq/chat.stream.sse" },
        { "anthropic", "anthropic/messages.stream.sse" },
        { "anthropic", "anthropic/messages.stream.thinking.sse" },
        { "anthropic", "anthropic/messages.stream.tools.sse" },
        { "anthropic", "anthropic/messages.stream.tool-no-args.sse" },
        { "anthropic", "anthropic/messages.stream.stop-sequence.sse" },
        { "gemini", "gemini/stream.sse" },
        { "gemini", "gemini/stream.thinking.sse" },
        { "gemini", "gemini/stream.tools.sse" },
        { "gemini", "gemini/stream.safety.sse" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        whole = stream(t[i].dialect, tap_fixture(t[i].name), 65536, "{}", a,
                       sizeof(a));
        bytes = stream(t[i].dialect, tap_fixture(t[i].name), 1, "{}", b,
                       sizeof(b));
        sevens = stream(t[i].dialect, tap_fixture(t[i].name), 7, "{}", c,
                        sizeof(c));
        ok(whole.len > 1000 && llm_str_eq(whole, bytes)
           && llm_str_eq(whole, sevens), t[i].name);
    }
}


#define CHUNK(delta, rest)                                                    \
    "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,"          \
    "\"delta\":{" delta "}" rest "}]}\n\n"

#define EVENT(type, n, rest)                                                  \
    "event: response." type "\ndata: {\"type\":\"response." type "\","        \
    "\"sequence_number\":" n "," rest "}\n\n"

#define RESPONSE(status, details, output, usage)                              \
    "\"response\":{\"id\":\"resp_1\",\"object\":\"response\","                \
    "\"created_at\":7,\"status\":\"" status "\",\"background\":false,"        \
    "\"error\":null,\"incomplete_details\":" details ",\"instructions\":null,"\
    "\"max_output_tokens\":9,\"metadata\":{ \"a\":\"b\"},"                    \
    "\"parallel_tool_calls\":true,\"reasoning\":{\"effort\":null,"            \
    "\"summary\":null},\"safety_identifier\":null,\"temperature\":0.10,"      \
    "\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\","     \
    "\"tools\":[],\"top_p\":null,\"user\":null,"                              \
    "\"previous_response_id\":null,\"store\":false,"                          \
    "\"truncation\":\"disabled\",\"model\":\"m\",\"output\":[" output "],"    \
    "\"usage\":" usage "}"

#define SETTINGS                                                              \
    "{\"metadata\":{\n \"a\":\"b\"},\"max_output_tokens\":9,"                 \
    "\"temperature\":0.10,\"top_p\":null}"

#define PART(text)                                                            \
    "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\""\
    text "\"}"

#define MESSAGE(content, status)                                              \
    "{\"id\":\"msg_1_0\",\"type\":\"message\",\"role\":\"assistant\","        \
    "\"content\":[" content "],\"status\":\"" status "\"}"

#define FUNCTION(arguments, status)                                           \
    "{\"id\":\"fc_1_1\",\"type\":\"function_call\",\"call_id\":\"k\","        \
    "\"name\":\"f\",\"arguments\":\"" arguments "\",\"status\":\"" status     \
    "\"}"

#define AT0  "\"item_id\":\"msg_1_0\",\"output_index\":0,\"content_index\":0,"
#define AT1  "\"item_id\":\"fc_1_1\",\"output_index\":1,"

#define USAGE                                                                 \
    "{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4},"     \
    "\"output_tokens\":2,\"output_tokens_details\":{\"reasoning_tokens\":1}," \
    "\"total_tokens\":11}"


static void
test_golden(void)
{
    static unsigned char  a[65536];

    is_str(stream("openai", LLM_STR(
        CHUNK("\"content\":\"\\u0000\"", "")
        CHUNK("\"content\":\"b\"", "")
        CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"k\",\"function\":"
              "{\"name\":\"f\",\"arguments\":\"\"}}]", "")
        CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
              "\"{\\\"\"}}]", "")
        CHUNK("", ",\"finish_reason\":\"length\"")
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
        "\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":"
        "4},\"completion_tokens_details\":{\"reasoning_tokens\":1}}}\n\n"
        "data: [DONE]\n\n"), 65536, SETTINGS, a, sizeof(a)),
        EVENT("created", "0", RESPONSE("in_progress", "null", "", "null"))
        EVENT("in_progress", "1", RESPONSE("in_progress", "null", "", "null"))
        EVENT("output_item.added", "2", "\"output_index\":0,\"item\":"
              MESSAGE("", "in_progress"))
        EVENT("content_part.added", "3", AT0 "\"part\":" PART(""))
        EVENT("output_text.delta", "4", AT0 "\"delta\":\"\\u0000\","
              "\"logprobs\":[]")
        EVENT("output_text.delta", "5", AT0 "\"delta\":\"b\",\"logprobs\":[]")
        EVENT("output_text.done", "6", AT0 "\"text\":\"\\u0000b\","
              "\"logprobs\":[]")
        EVENT("content_part.done", "7", AT0 "\"part\":" PART("\\u0000b"))
        EVENT("output_item.done", "8", "\"output_index\":0,\"item\":"
              MESSAGE(PART("\\u0000b"), "completed"))
        EVENT("output_item.added", "9", "\"output_index\":1,\"item\":"
              FUNCTION("", "in_progress"))
        EVENT("function_call_arguments.delta", "10", AT1 "\"delta\":\"{\\\"\"")
        EVENT("function_call_arguments.done", "11", AT1 "\"arguments\":"
              "\"{\\\"\",\"name\":\"f\"")
        EVENT("output_item.done", "12", "\"output_index\":1,\"item\":"
              FUNCTION("{\\\"", "incomplete"))
        EVENT("incomplete", "13", RESPONSE("incomplete", "{\"reason\":"
              "\"max_output_tokens\"}", MESSAGE(PART("\\u0000b"), "completed")
              "," FUNCTION("{\\\"", "incomplete"), USAGE)),
        "a stream, byte for byte");
}


/* What is repeated of the request is not without bounds. */
static void
test_settings(void)
{
    size_t       n;
    llm_reply_t  r;

    static char  body[40000];

    for (n = 32766; n <= 32767; n++) {
        (void) snprintf(body, sizeof(body), "{\"tools\":[1],"
                        "\"instructions\":\"%0*d\"}", (int) n, 0);

        llm_reply_init(&r, llm_front_find(LLM_EP_RESPONSES), LLM_STR("resp_1"),
                       7, 0);
        llm_reply_asked(&r, str(body));
        is_int((int) r.settings, n == 32766 ? 32768 + 3 : 3,
               n == 32766 ? "instructions of 32 KB" : "... longer ones");
    }
}


/* More of a call that was said to be done is no answer. */
static void
test_late(void)
{
    told_t       t;
    llm_delta_t  p;

    memset(&t, 0, sizeof(t));
    llm_buf_init(&t.out, written, sizeof(written));
    llm_reply_init(&t.reply, llm_front_find(LLM_EP_RESPONSES),
                   LLM_STR("resp_1"), 7, 0);

    memset(&p, 0, sizeof(p));
    p.kind = LLM_DELTA_CALL;
    p.id = p.name = LLM_STR("\"a\"");
    put(&t, &p);
    p.call = 1;
    put(&t, &p);

    p.kind = LLM_DELTA_ARGUMENTS;
    p.text = LLM_STR("\"{}\"");
    put(&t, &p);
    ok(!t.reply.broken, "arguments of the open call");
    p.call = 0;
    put(&t, &p);
    ok(t.reply.broken, "arguments of one before it");

    p.kind = LLM_DELTA_END;
    t.out.pos = t.out.start;
    put(&t, &p);
    is_int(llm_buf_view(&t.out).len, 0, "... nothing more is said");
}


static void
test_whole(void)
{
    size_t       size;
    llm_buf_t    out;
    llm_str_t    body;
    llm_reply_t  reply;

    static const char  want[] =
        RESPONSE("completed", "null",
        "{\"id\":\"rs_1_0\",\"type\":\"reasoning\",\"summary\":[{\"type\":"
        "\"summary_text\",\"text\":\"Hm\"}],\"status\":\"completed\"},"
        "{\"id\":\"msg_1_1\",\"type\":\"message\",\"role\":\"assistant\","
        "\"content\":[" PART("Yes") "],\"status\":\"completed\"},"
        "{\"id\":\"fc_1_2\",\"type\":\"function_call\",\"call_id\":\"k\","
        "\"name\":\"f\",\"arguments\":\"{\\\"n\\\":1.50}\",\"status\":"
        "\"completed\"},{\"id\":\"fc_1_3\",\"type\":\"function_call\","
        "\"call_id\":\"call_1\",\"name\":\"g\",\"arguments\":\"{}\","
        "\"status\":\"completed\"}", "{\"input_tokens\":0,"
        "\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":0,"
        "\"output_tokens_details\":{\"reasoning_tokens\":0},"
        "\"total_tokens\":0}");

    body = LLM_STR(
        "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"message\":{\"content\":"
        "\"Yes\",\"reasoning\":\"Hm\",\"tool_calls\":[{\"id\":\"k\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"n\\\":1.50}\"}},"
        "{\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},"
        "\"finish_reason\":\"stop\"},{\"index\":1,\"message\":{\"content\":"
        "\"No\"},\"finish_reason\":\"length\"}]}");

    for (size = 0; size < 8192; size++) {
        llm_buf_init(&out, written, size);
        llm_reply_init(&reply, llm_front_find(LLM_EP_RESPONSES),
                       LLM_STR("resp_1"), 7, 0);
        llm_reply_asked(&reply, LLM_STR(SETTINGS));
        sample_whole(&reply, llm_dialect_find(LLM_STR("openai")), body, &out);

        if (!out.full) {
            break;
        }
    }

    /* the head of RESPONSE() is a member */
    is_str(llm_buf_view(&out), strchr(want, '{'),
           "a whole answer, byte for byte");
}


/* What others read of an answer in this form. */
static void
test_answer(void)
{
    size_t        i;
    llm_buf_t     mem;
    llm_answer_t  a;

    static const struct {
        const char  *body, *content, *finish;
    } t[] = {
        { "{\"status\":\"completed\",\"output\":[{\"type\":\"reasoning\","
          "\"summary\":[]},{\"type\":\"message\",\"content\":[{\"type\":"
          "\"output_text\",\"text\":\"Hi\"}]}]}", "\"Hi\"", "completed" },
        { "{\"status\":\"completed\",\"output\":[{\"type\":\"reasoning\"}]}",
          "\"\"", "completed" },
        { "{\"status\":\"completed\",\"output\":[{\"type\":\"function_call\"}"
          "]}", "", "tool_calls" },
        { "{\"status\":\"completed\",\"output\":[{\"type\":\"message\","
          "\"content\":[{\"text\":\"a\"}]},{\"type\":\"function_call\"}]}",
          "\"a\"", "tool_calls" },
        { "{\"status\":\"incomplete\",\"output\":[{\"type\":\"message\","
          "\"content\":[{\"text\":\"a\"},{\"text\":\"b\"}]}]}", "",
          "incomplete" },
        { "{\"object\":\"response.input_tokens\"}", "", "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        memset(&a, 0, sizeof(a));
        llm_buf_init(&mem, memory, sizeof(memory));
        llm_openai_answer(LLM_EP_RESPONSES, str(t[i].body), &mem, &a);
        is_int(a.class, LLM_CLASS_OK, t[i].body);
        is_str(a.content, t[i].content, "... its text");
        is_str(a.finish_reason, t[i].finish, "... its end");
    }
}


static void
test_error(void)
{
    llm_buf_t  out;

    llm_buf_init(&out, written, sizeof(written));
    llm_responses_error_event(&out, LLM_CODE_PROVIDER_RATE_LIMITED,
                              LLM_STR("No."), LLM_STR("1"), 5);
    is_str(llm_buf_view(&out), "event: error\ndata: {\"type\":\"error\","
        "\"sequence_number\":5,\"code\":\"rate_limit_exceeded\",\"message\":"
        "\"No.\",\"param\":null,\"error\":{\"message\":\"No.\",\"type\":"
        "\"rate_limit_error\",\"param\":null,\"code\":\"rate_limit_exceeded\"}"
        "}\n\n", "an error in a stream");
}


/* ---- estimates, ways ------------------------------------------------- */


static void
test_estimate(void)
{
    llm_buf_t      mem;
    llm_str_t      message;
    llm_code_t     code;
    llm_request_t  r;

    static char    body[4096];

    (void) snprintf(body, sizeof(body), "{\"model\":\"m\",\"stream\":true,"
        "\"max_output_tokens\":50,\"text\":{\"format\":{\"type\":"
        "\"json_schema\"}},\"tools\":[{\"type\":\"function\"}],\"input\":["
        "{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
        "\"image_url\":\"data:image/png;base64,%01200d\"}]},{\"type\":"
        "\"function_call_output\",\"output\":[{\"type\":\"input_image\"}]}]}",
        0);

    llm_buf_init(&mem, memory, sizeof(memory));
    is_int(llm_request_json(&r, LLM_EP_RESPONSES, str(body), &mem, &code,
                            &message), LLM_OK, "a request with everything");
    llm_request_estimate(&r);
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_STREAM | LLM_CAN_TOOLS
           | LLM_CAN_JSON_SCHEMA | LLM_CAN_VISION, "what it needs");
    is_int(r.max_tokens, 50, "its limit");
    is_int(r.output_tokens, 50, "... and what is reserved");
    is_int(r.choices, 1, "one answer");
    is_int(r.pictures, 2, "pictures");
    ok(r.prompt_tokens > 50 && r.prompt_tokens < 150,
       "a prompt without the pictures' bytes");
}


static void
test_ways(void)
{
    uint32_t              native;
    const llm_dialect_t  *d;

    d = llm_dialect_find(LLM_STR("openai"));
    is_int(llm_dialect_way(d, d->native, LLM_EP_RESPONSES), LLM_WAY_NATIVE,
           "OpenAI has responses");
    is_int(llm_dialect_way(d, d->native, LLM_EP_MESSAGES), LLM_WAY_HUB,
           "... but no messages");

    native = (d->native & ~d->optional) | LLM_EP_BIT(LLM_EP_MESSAGES);
    is_int(llm_dialect_way(d, native, LLM_EP_RESPONSES), LLM_WAY_HUB,
           "one without responses");
    is_int(llm_dialect_way(d, native, LLM_EP_MESSAGES), LLM_WAY_NATIVE,
           "... with messages");
    is_int(llm_dialect_way(d, native, LLM_EP_EMBEDDINGS), LLM_WAY_NATIVE,
           "... and all the rest");
    is_str(llm_dialect_reader(d, LLM_EP_MESSAGES)->name, "anthropic",
           "who reads its messages");
    is_str(llm_dialect_reader(d, LLM_EP_RESPONSES)->name, "openai",
           "... its responses");
    is_str(llm_dialect_reader(d, LLM_EP_EMBEDDINGS)->name, "openai",
           "... and what has no front");

    d = llm_dialect_find(LLM_STR("gemini"));
    is_int(llm_dialect_way(d, d->native, LLM_EP_RESPONSES), LLM_WAY_HUB,
           "Gemini is asked for a chat");
    is_int((int) d->optional, 0, "... always");
}


int
main(void)
{
    test_requests();
    test_bad();
    test_room();
    test_streams();
    test_golden();
    test_settings();
    test_late();
    test_whole();
    test_answer();
    test_error();
    test_estimate();
    test_ways();

    return tap_done();
}
