/*
 * The mock provider's answers: readable by our own dialect, true to the schema,
 * the same under the same seed, and streams that add up to the body.
 */

#include "tap.h"
#include "llm_dialect.h"
#include "llm_hash.h"
#include "llm_mock.h"
#include "llm_prompt.h"

#define CREATED  1790000000

static unsigned char  body_mem[1 << 20], event_mem[1 << 16];
static llm_part_t     parts[LLM_MULTIPART_MAX];


static int
ask(llm_request_t *r, llm_endpoint_t ep, llm_str_t body)
{
    llm_buf_t             mem;
    llm_code_t            code;
    llm_str_t             message;
    static unsigned char  model[256];

    llm_buf_init(&mem, model, sizeof(model));

    if (llm_request_json(r, ep, body, &mem, &code, &message) != LLM_OK) {
        tap_bytes("refused", message);
        return 0;
    }

    llm_request_estimate(r);

    return 1;
}


static llm_str_t
answer(const llm_request_t *r, uint64_t seed, llm_str_t *type)
{
    llm_buf_t  out;
    llm_str_t  t;

    llm_buf_init(&out, body_mem, sizeof(body_mem));

    if (llm_mock_body(r, r->model, seed, CREATED, &out, type ? type : &t)
        != LLM_OK)
    {
        return LLM_NOSTR;
    }

    return llm_buf_view(&out);
}


static llm_str_t
at(llm_str_t json, const char *pointer)
{
    llm_json_member_t  m;

    if (llm_json_pointer(json, tap_c(pointer), &m) != LLM_OK) {
        return LLM_NOSTR;
    }

    return m.value;
}


static int
has(llm_str_t s, const char *text)
{
    size_t  i, n;

    n = strlen(text);

    for (i = 0; i + n <= s.len; i++) {
        if (memcmp(s.data + i, text, n) == 0) {
            return 1;
        }
    }

    return 0;
}


/* The inside of a raw string, decoded; one at a time. */
static llm_str_t
decoded(llm_str_t raw)
{
    llm_buf_t             b;
    static unsigned char  mem[1 << 16];

    llm_buf_init(&b, mem, sizeof(mem));
    if (llm_json_unescape(raw, &b) != LLM_OK) {
        return LLM_NOSTR;
    }

    return llm_buf_view(&b);
}


/*
 * Reads all events of a stream with the openai dialect and joins the raw
 * insides of what is at `delta`.  Returns how many there were.
 */
static size_t
stream(const llm_request_t *r, llm_str_t body, const char *delta,
    llm_buf_t *joined, llm_stream_t *s)
{
    int                   complete;
    size_t                i;
    llm_buf_t             out, mem;
    llm_str_t             raw, piece;
    llm_sse_t             sse;
    llm_event_t           what;
    llm_sse_event_t       ev;
    const llm_dialect_t  *dialect;
    unsigned char         scratch[1 << 14], message[2048];

    dialect = llm_dialect_find(LLM_STR("openai"));
    llm_stream_init(s, r->endpoint);
    llm_sse_init(&sse);

    for (i = 0; ; i++) {
        llm_buf_init(&out, event_mem, sizeof(event_mem));

        if (llm_mock_event(r, body, r->model, 7, CREATED, i, &out) != LLM_OK) {
            return i;
        }

        raw = llm_buf_view(&out);

        if (llm_sse_cut(&sse, raw.data, raw.len, &complete) != raw.len
            || !complete)
        {
            ok(0, "one whole event");
            return i;
        }

        llm_sse_parse(raw, scratch, &ev);
        llm_buf_init(&mem, message, sizeof(message));
        what = dialect->event(s, &ev, &mem);

        if (what == LLM_EVENT_MALFORMED || what == LLM_EVENT_ERROR) {
            ok(0, "a good event");
            tap_bytes("event", raw);
        }

        piece = at(ev.data, delta);
        if (piece.len > 2 && *piece.data == '"') {
            llm_buf_put(joined, piece.data + 1, piece.len - 2);
        }
    }
}


static void
test_text(void)
{
    size_t         n;
    uint64_t       first, other;
    llm_str_t      body, text;
    llm_buf_t      joined;
    llm_stream_t   s;
    llm_request_t  r;
    unsigned char  mem[4096];

    ok(ask(&r, LLM_EP_CHAT, tap_fixture("openai/chat.request.json")), "chat");
    body = answer(&r, 7, NULL);
    ok(llm_json_check(body) == LLM_OK, "chat: JSON");
    is_str(at(body, "/object"), "\"chat.completion\"", "chat: object");
    is_str(at(body, "/created"), "1790000000", "chat: created");
    is_str(at(body, "/choices/0/finish_reason"), "\"stop\"", "chat: finish");
    ok(at(body, "/usage/total_tokens").len, "chat: usage");
    text = decoded(at(body, "/choices/0/message/content"));
    ok(has(text, "sky"), "chat: quotes the question");

    first = llm_fnv64(body, 0);
    other = llm_fnv64(answer(&r, 7, NULL), 0);
    ok(first == other, "chat: the same under the same seed");

    for (n = 8; n < 16 && first == other; n++) {
        other = llm_fnv64(at(answer(&r, n, NULL), "/choices"), 0);
    }
    ok(first != other, "chat: another one under another seed");

    ok(ask(&r, LLM_EP_CHAT,
           tap_c("{\"model\":\"m\",\"stream\":true,\"n\":2,\"messages\":["
                 "{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                 "\"text\":\"caf\\u00e9, \\\"ol\\u00e9\\\"\\n\"}]}],"
                 "\"stream_options\":{\"include_usage\":true}}")),
       "stream");
    body = answer(&r, 7, NULL);
    llm_buf_init(&joined, mem, sizeof(mem));
    n = stream(&r, body, "/choices/0/delta/content", &joined, &s);
    ok(n > 20, "stream: many events");
    ok(s.done && llm_stream_complete(&s), "stream: complete");
    is_int(s.choices, 3, "stream: two choices");
    is_int(s.finished, 3, "stream: both finished");
    ok(s.content && s.malformed == 0, "stream: content");
    text = at(body, "/choices/0/message/content");
    ok(joined.pos - joined.start > (ptrdiff_t) text.len
       && memcmp(joined.start, text.data + 1, text.len - 2) == 0,
       "stream: the words of the first choice add up to the body");

    ok(ask(&r, LLM_EP_CHAT,
           tap_c("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                 "\"max_tokens\":3}")), "limit");
    body = answer(&r, 7, NULL);
    is_str(at(body, "/choices/0/finish_reason"), "\"length\"",
           "limit: finish");
    is_str(at(body, "/usage/completion_tokens"), "3", "limit: usage");
    is_str(at(body, "/model"), "\"mock\"", "a name where none was sent");

    ok(ask(&r, LLM_EP_COMPLETIONS,
           tap_c("{\"model\":\"m\",\"prompt\":\"Once upon\","
                 "\"stream\":true}")), "completions");
    body = answer(&r, 7, NULL);
    ok(has(at(body, "/choices/0/text"), "Once upon"), "completions: text");
    llm_buf_init(&joined, mem, sizeof(mem));
    (void) stream(&r, body, "/choices/0/text", &joined, &s);
    text = at(body, "/choices/0/text");
    text.data++;
    text.len -= 2;
    is_view(llm_buf_view(&joined), text, "completions: the stream adds up");
    ok(llm_stream_complete(&s), "completions: complete");
}


/* Asks in JSON mode and checks the content against a schema. */
static void
fits(llm_endpoint_t ep, const char *request, llm_str_t schema_text,
    const char *pointer, const char *name)
{
    char           err[256];
    uint64_t       seed;
    llm_str_t      body;
    llm_schema_t  *schema;
    llm_request_t  r;

    if (!ok(llm_schema_compile(schema_text, &schema, err, sizeof(err))
            == LLM_OK, name)
        || !ok(ask(&r, ep, tap_c(request)), name))
    {
        return;
    }

    for (seed = 0; seed < 20; seed++) {
        body = answer(&r, seed, NULL);
        err[0] = '\0';
        if (llm_schema_validate(schema, decoded(at(body, pointer)), err,
                                sizeof(err)) != LLM_OK)
        {
            break;
        }
    }

    is_str(tap_c(err), "", name);
    llm_schema_free(schema);
}


static void
test_json(void)
{
    char           *request;
    llm_str_t       file, schema, body;
    llm_request_t   r;

    file = tap_fixture("openai/chat.json-schema.request.json");
    schema = tap_fixture("app/analyze.schema.json");
    request = malloc(file.len + schema.len * 2 + 1024);

    memcpy(request, file.data, file.len);
    request[file.len] = '\0';
    fits(LLM_EP_CHAT, request, schema, "/choices/0/message/content",
         "json_schema");

    {
        llm_buf_t  b;

        llm_buf_init(&b, request, schema.len * 2 + 1024);
        llm_buf_str(&b, LLM_STR("{\"response_format\":{\"type\":"
                                "\"json_object\"},\"messages\":[{\"role\":"
                                "\"system\",\"content\":\"Use {x}. Answer in "
                                "JSON that satisfies:\\n```json\\n"));
        llm_json_put_escaped(&b, schema);
        llm_buf_str(&b, LLM_STR("\\n```\\n\"},{\"role\":\"user\",\"content\":"
                                "\"The box was wet.\"}]}"));
        *b.pos = '\0';
    }
    fits(LLM_EP_CHAT, request, schema, "/choices/0/message/content",
         "a schema in the system message");

    fits(LLM_EP_RESPONSES,
         "{\"input\":\"hello\",\"text\":{\"format\":{\"type\":\"json_schema\","
         "\"name\":\"n\",\"schema\":{\"type\":\"object\",\"properties\":{"
         "\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"]}}}}",
         tap_c("{\"required\":[\"n\"],\"properties\":{\"n\":{\"type\":"
               "\"integer\"}}}"),
         "/output/0/content/0/text", "Responses");

    ok(ask(&r, LLM_EP_CHAT, tap_c("{\"response_format\":{\"type\":"
           "\"json_object\"},\"messages\":[{\"role\":\"user\",\"content\":"
           "\"hi \\\"you\\\"\"}]}")), "json_object");
    body = decoded(at(answer(&r, 3, NULL), "/choices/0/message/content"));
    ok(llm_json_check(body) == LLM_OK, "json_object: an object");
    is_str(at(body, "/answer"), "\"hi \\\"you\\\"\"", "json_object: answer");

    ok(ask(&r, LLM_EP_CHAT, tap_c("{\"response_format\":{\"type\":"
           "\"json_schema\",\"json_schema\":{\"schema\":{\"format\":1}}},"
           "\"messages\":[]}")), "an unknown keyword");
    body = decoded(at(answer(&r, 3, NULL), "/choices/0/message/content"));
    ok(at(body, "/answer").len, "an unknown keyword: a small object");

    free(request);
}


static void
test_tools(void)
{
    size_t         n;
    llm_str_t      body, arguments;
    llm_buf_t      joined;
    llm_stream_t   s;
    llm_request_t  r;
    unsigned char  mem[4096];

    ok(ask(&r, LLM_EP_CHAT, tap_fixture("openai/chat.tools.request.json")),
       "tools");
    body = answer(&r, 1, NULL);
    is_str(at(body, "/choices/0/message/content"), "null", "tools: content");
    is_str(at(body, "/choices/0/finish_reason"), "\"tool_calls\"",
           "tools: finish");
    is_str(at(body, "/choices/0/message/tool_calls/0/function/name"),
           "\"stock_level\"", "tools: name");
    arguments = at(body, "/choices/0/message/tool_calls/0/function/arguments");
    ok(at(decoded(arguments), "/sku").len, "tools: arguments");

    r.stream = 1;
    llm_buf_init(&joined, mem, sizeof(mem));
    n = stream(&r, body,
               "/choices/0/delta/tool_calls/0/function/arguments", &joined,
               &s);
    ok(n >= 5 && llm_stream_complete(&s), "tools: streamed");
    arguments.data++;
    arguments.len -= 2;
    is_view(llm_buf_view(&joined), arguments, "tools: the stream adds up");

    ok(ask(&r, LLM_EP_CHAT,
           tap_fixture("openai/chat.tool-result.request.json")), "result");
    body = answer(&r, 1, NULL);
    is_str(at(body, "/choices/0/finish_reason"), "\"stop\"",
           "result: a text");
    ok(has(at(body, "/choices/0/message/content"), "The tool answered"),
       "result: quotes it");

    ok(ask(&r, LLM_EP_CHAT,
           tap_c("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                 "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
                 "\"a\"}},{\"type\":\"function\",\"function\":{\"name\":\"b\""
                 "}}],\"tool_choice\":{\"type\":\"function\",\"function\":{"
                 "\"name\":\"b\"}}}")), "named tool");
    body = answer(&r, 1, NULL);
    is_str(at(body, "/choices/0/message/tool_calls/0/function/name"), "\"b\"",
           "named tool: that one");
    is_str(at(body, "/choices/0/message/tool_calls/0/function/arguments"),
           "\"{}\"", "named tool: no parameters");

    ok(ask(&r, LLM_EP_CHAT,
           tap_c("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                 "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
                 "\"a\"}}],\"tool_choice\":\"none\"}")), "no tool");
    is_str(at(answer(&r, 1, NULL), "/choices/0/finish_reason"), "\"stop\"",
           "no tool: a text");
}


static void
test_responses(void)
{
    size_t         n;
    llm_str_t      body, text;
    llm_buf_t      joined;
    llm_stream_t   s;
    llm_request_t  r;
    unsigned char  mem[4096];

    ok(ask(&r, LLM_EP_RESPONSES,
           tap_fixture("openai/responses.request.json")), "responses");
    body = answer(&r, 1, NULL);
    ok(llm_json_check(body) == LLM_OK, "responses: JSON");
    is_str(at(body, "/status"), "\"completed\"", "responses: status");
    ok(has(at(body, "/output/0/content/0/text"), "Say hello."),
       "responses: text");
    ok(at(body, "/usage/input_tokens").len, "responses: usage");

    r.stream = 1;
    llm_buf_init(&joined, mem, sizeof(mem));
    n = stream(&r, body, "/delta", &joined, &s);
    ok(n > 10 && s.terminal && llm_stream_complete(&s),
       "responses: streamed");
    text = at(body, "/output/0/content/0/text");
    text.data++;
    text.len -= 2;
    is_view(llm_buf_view(&joined), text, "responses: the stream adds up");

    ok(ask(&r, LLM_EP_RESPONSES,
           tap_c("{\"input\":[{\"role\":\"user\",\"content\":\"x\"}],"
                 "\"stream\":true,\"tools\":[{\"type\":\"function\",\"name\":"
                 "\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{"
                 "\"k\":{\"type\":\"boolean\"}}}}]}")), "function call");
    body = answer(&r, 1, NULL);
    is_str(at(body, "/output/0/name"), "\"f\"", "function call: name");
    ok(at(decoded(at(body, "/output/0/arguments")), "/k").len,
       "function call: arguments");
    llm_buf_init(&joined, mem, sizeof(mem));
    (void) stream(&r, body, "/delta", &joined, &s);
    ok(llm_stream_complete(&s), "function call: streamed");

    ok(ask(&r, LLM_EP_RESPONSES,
           tap_c("{\"input\":[{\"type\":\"function_call_output\",\"call_id\":"
                 "\"c\",\"output\":\"42 units\"}],\"max_output_tokens\":4,"
                 "\"stream\":true}")), "incomplete");
    body = answer(&r, 1, NULL);
    is_str(at(body, "/status"), "\"incomplete\"", "incomplete: status");
    llm_buf_init(&joined, mem, sizeof(mem));
    (void) stream(&r, body, "/delta", &joined, &s);
    ok(llm_stream_complete(&s), "incomplete: streamed");
}


static llm_str_t
upload(llm_request_t *r, llm_endpoint_t ep, const char *fields,
    llm_str_t file)
{
    llm_buf_t       b;
    llm_code_t      code;
    llm_str_t       message, type;
    unsigned char  *p;
    static char     mem[1 << 17];

    llm_buf_init(&b, mem, sizeof(mem));
    llm_buf_str(&b, LLM_STR("--B\r\nContent-Disposition: form-data; "
                            "name=\"file\"; filename=\"hello.wav\"\r\n"
                            "Content-Type: audio/wav\r\n\r\n"));
    llm_buf_str(&b, file);

    for (p = (unsigned char *) fields; *p; /* void */) {
        size_t  name, value;

        name = strcspn((char *) p, "=");
        value = strcspn((char *) p + name + 1, "&");

        llm_buf_str(&b, LLM_STR("\r\n--B\r\nContent-Disposition: form-data; "
                                "name=\""));
        llm_buf_put(&b, p, name);
        llm_buf_str(&b, LLM_STR("\"\r\n\r\n"));
        llm_buf_put(&b, p + name + 1, value);
        p += name + 1 + value;
        p += *p == '&';
    }

    llm_buf_str(&b, LLM_STR("\r\n--B--\r\n"));

    if (llm_request_multipart(r, ep, llm_buf_view(&b),
                              LLM_STR("multipart/form-data; boundary=B"),
                              parts, &code, &message) != LLM_OK)
    {
        tap_bytes("refused", message);
        return LLM_NOSTR;
    }

    return answer(r, 1, &type);
}


static void
test_audio(void)
{
    llm_str_t      body, wav, type;
    llm_buf_t      joined;
    llm_stream_t   s;
    llm_request_t  r;
    unsigned char  mem[4096];

    wav = tap_fixture("audio/hello.wav");

    body = upload(&r, LLM_EP_TRANSCRIPTIONS, "model=w", wav);
    is_str(at(body, "/text"), "\"Mock transcript of hello.wav, 57644 bytes, "
           "1.8 seconds, language en.\"", "transcript");
    is_str(at(body, "/usage/seconds"), "2", "transcript: usage");

    body = upload(&r, LLM_EP_TRANSCRIPTIONS,
                  "language=fa&response_format=verbose_json&"
                  "timestamp_granularities[]=word", wav);
    is_str(at(body, "/language"), "\"fa\"", "verbose: language");
    is_str(at(body, "/duration"), "1.8", "verbose: duration");
    is_str(at(body, "/words/0/start"), "0.0", "verbose: words");
    ok(has(at(body, "/segments/0/text"), "ثانیه"), "verbose: segments");
    ok(llm_json_check(body) == LLM_OK, "verbose: JSON");

    body = upload(&r, LLM_EP_TRANSCRIPTIONS, "response_format=text", wav);
    ok(body.len && body.data[body.len - 1] == '\n', "text: ends a line");
    body = upload(&r, LLM_EP_TRANSCRIPTIONS, "response_format=srt", wav);
    ok(has(body, "1\n00:00:00,000 --> 00:00:01,800\nMock transcript"), "srt");
    body = upload(&r, LLM_EP_TRANSCRIPTIONS, "response_format=vtt", wav);
    ok(has(body, "WEBVTT\n\n00:00:00.000 --> 00:00:01.800\nMock"), "vtt");
    body = upload(&r, LLM_EP_TRANSLATIONS, "model=w", wav);
    ok(has(at(body, "/text"), "Mock translation of hello.wav"), "translation");

    body = upload(&r, LLM_EP_TRANSCRIPTIONS,
                  "stream=true&response_format=text", wav);
    ok(llm_mock_streams(&r), "stream");
    llm_buf_init(&joined, mem, sizeof(mem));
    (void) stream(&r, body, "/delta", &joined, &s);
    ok(llm_stream_complete(&s), "stream: complete");
    ok(has(llm_buf_view(&joined), "hello.wav, 57644 bytes"),
       "stream: the words");

    ok(ask(&r, LLM_EP_SPEECH, tap_c("{\"model\":\"t\",\"input\":\"hi\"}")),
       "speech");
    body = answer(&r, 1, &type);
    is_str(type, "audio/wav", "speech: type");
    is_int(body.len, 44 + 4800, "speech: length");
    is_int(llm_audio_estimate(body, body.len), 1000, "speech: a good WAV");
    ok(memcmp(body.data, "RIFF", 4) == 0, "speech: RIFF");
}


static void
test_others(void)
{
    size_t         i;
    llm_str_t      body, one, two;
    llm_buf_t      out;
    llm_request_t  r;
    unsigned char  mem[4096];

    ok(ask(&r, LLM_EP_EMBEDDINGS,
           tap_fixture("openai/embeddings.request.json")), "embeddings");
    body = answer(&r, 1, NULL);
    ok(llm_json_check(body) == LLM_OK, "embeddings: JSON");
    is_str(at(body, "/data/1/index"), "1", "embeddings: two");
    ok(at(body, "/data/0/embedding/7").len
       && !at(body, "/data/0/embedding/8").len, "embeddings: eight numbers");

    ok(ask(&r, LLM_EP_EMBEDDINGS,
           tap_c("{\"input\":[\"a\",\"a\",\"b\"],\"dimensions\":5,"
                 "\"encoding_format\":\"base64\"}")), "base64");
    body = answer(&r, 1, NULL);
    one = at(body, "/data/0/embedding");
    two = at(body, "/data/1/embedding");
    is_int(one.len, 30, "base64: 20 bytes in 28 characters");
    is_view(one, two, "base64: equal texts");
    ok(!llm_str_eq(one, at(body, "/data/2/embedding")), "base64: others");

    ok(ask(&r, LLM_EP_EMBEDDINGS, tap_c("{\"input\":[1,2,3]}")), "tokens");
    body = answer(&r, 1, NULL);
    ok(at(body, "/data/0").len && !at(body, "/data/1").len, "tokens: one");

    ok(ask(&r, LLM_EP_MODERATIONS, tap_c("{\"input\":[\"a\",\"b\"]}")),
       "moderations");
    body = answer(&r, 1, NULL);
    is_str(at(body, "/results/1/flagged"), "false", "moderations: not bad");
    is_str(at(body, "/results/1/categories/hate"), "false",
           "moderations: categories");

    memset(&r, 0, sizeof(r));
    r.endpoint = LLM_EP_MODELS;
    body = answer(&r, 1, NULL);
    is_str(at(body, "/data/0/id"), "\"mock\"", "models");

    llm_buf_init(&out, mem, sizeof(mem));
    llm_mock_model(LLM_STR("m"), &out);
    is_str(at(llm_buf_view(&out), "/id"), "\"m\"", "one model");

    r.endpoint = LLM_EP_RERANK;
    is_int(answer(&r, 1, NULL).len, 0, "no answer for other endpoints");

    for (i = 400; i < 600; i++) {
        llm_buf_init(&out, mem, sizeof(mem));
        llm_mock_error((unsigned) i, &out);
        if (llm_json_check(llm_buf_view(&out)) != LLM_OK) {
            break;
        }
    }
    is_int(i, 600, "errors are JSON");

    llm_buf_init(&out, mem, sizeof(mem));
    llm_mock_quota(&out);
    is_str(at(llm_buf_view(&out), "/error/code"), "\"insufficient_quota\"",
           "quota");

    ok(ask(&r, LLM_EP_CHAT, tap_fixture("openai/chat.request.json")), "chat");
    for (i = 0; i < 600; i++) {
        llm_buf_init(&out, mem, i);
        if (llm_mock_body(&r, r.model, 1, 1, &out, &one) != LLM_FULL) {
            break;
        }
    }
    ok(i > 300, "too little room is said");
}


int
main(void)
{
    test_text();
    test_json();
    test_tools();
    test_responses();
    test_audio();
    test_others();

    return tap_done();
}
