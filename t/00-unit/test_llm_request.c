/*
 * Requests: endpoints, members, parts, estimates, and the edits of a target.
 */

#define _GNU_SOURCE                     /* memmem() */
#include "tap.h"

#include "llm_request.h"

static llm_request_t  r;
static llm_part_t     part[LLM_MULTIPART_MAX];
static llm_code_t     code;
static llm_str_t      message;
static unsigned char  memory[8192];
static llm_buf_t      mem;


static llm_rc_t
json(llm_endpoint_t ep, llm_str_t body)
{
    llm_rc_t  rc;

    llm_buf_init(&mem, memory, sizeof(memory));
    code = LLM_CODE_NONE;
    message = LLM_NOSTR;

    rc = llm_request_json(&r, ep, body, &mem, &code, &message);

    if (rc == LLM_OK) {
        llm_request_estimate(&r);
    }

    return rc;
}


static llm_rc_t
chat(const char *body)
{
    return json(LLM_EP_CHAT, tap_c(body));
}


/* A .request.http fixture: Content-Type and body. */
static llm_rc_t
upload(const char *path, llm_str_t *body)
{
    char       *type, *end;
    llm_str_t   file, content_type;
    static char  head[2048];

    file = tap_fixture(path);
    snprintf(head, sizeof(head), "%.*s", (int) file.len, file.data);
    end = strstr(head, "\r\n\r\n");
    type = strstr(head, "Content-Type: ") + 14;

    content_type.data = (unsigned char *) type;
    content_type.len = (size_t) (strstr(type, "\r\n") - type);

    body->data = file.data + (end - head) + 4;
    body->len = file.len - (size_t) (end - head) - 4;

    return llm_request_multipart(&r, LLM_EP_TRANSCRIPTIONS, *body,
                                 content_type, part, &code, &message);
}


/* The body after edits, in a static buffer. */
static llm_str_t
apply(const llm_edits_t *e, llm_str_t body)
{
    llm_buf_t             out;
    static unsigned char  text[65536];

    llm_buf_init(&out, text, sizeof(text));
    llm_edits_apply(e, body, &out);

    if (llm_edits_length(e, body.len) != (size_t) (out.pos - out.start)) {
        return LLM_STR("(length differs)");
    }

    return llm_buf_view(&out);
}


static uint64_t  dropped;               /* of the last edits */

static llm_str_t
edited(llm_str_t model, const llm_field_t *field, size_t n, int usage)
{
    llm_edits_t           e;
    llm_buf_t             out;
    static unsigned char  text[4096];

    llm_buf_init(&out, text, sizeof(text));

    if (llm_request_edits(&r, model, field, n, usage, &out, &e) != LLM_OK) {
        return LLM_STR("(refused)");
    }

    dropped = e.dropped;

    return apply(&e, r.body);
}


static int
has(llm_str_t s, const char *word)
{
    return memmem(s.data, s.len, word, strlen(word)) != NULL;
}


static void
test_endpoints(void)
{
    size_t           i;
    char             name[128];
    llm_str_t        rest;
    llm_endpoint_t   ep;

    static const struct {
        const char      *path;
        llm_endpoint_t   ep;
        const char      *rest;
    } t[] = {
        { "/v1/chat/completions", LLM_EP_CHAT, "" },
        { "/openai/v1/chat/completions", LLM_EP_CHAT, "" },
        { "/v1/completions", LLM_EP_COMPLETIONS, "" },
        { "/chat/completions/", LLM_EP_CHAT, "/" },
        { "chat/completions", LLM_EP_CHAT, "" },
        { "/openai/deployments/embeddings/chat/completions", LLM_EP_CHAT, "" },
        { "/v1/embeddings", LLM_EP_EMBEDDINGS, "" },
        { "/v1/responses/resp_1/cancel", LLM_EP_RESPONSES, "/resp_1/cancel" },
        { "/v1/audio/transcriptions", LLM_EP_TRANSCRIPTIONS, "" },
        { "/v1/audio/translations", LLM_EP_TRANSLATIONS, "" },
        { "/x/audio/speech", LLM_EP_SPEECH, "" },
        { "/v1/models", LLM_EP_MODELS, "" },
        { "/v1/models/qwen/qwen2.5", LLM_EP_MODELS, "/qwen/qwen2.5" },
        { "/v1//models", LLM_EP_MODELS, "" },
        { "/v1/files/f1/content", LLM_EP_FILES, "/f1/content" },
        { "/v1/images/generations", LLM_EP_IMAGES, "" },
        { "/v1/moderations", LLM_EP_MODERATIONS, "" },
        { "/v1/batches/b/cancel", LLM_EP_BATCHES, "/b/cancel" },
        { "/v1/rerank", LLM_EP_RERANK, "" },
        { "/v1/chat/completionsx", LLM_EP_UNKNOWN, "" },
        { "/v1/xcompletions", LLM_EP_UNKNOWN, "" },
        { "/v1/chat", LLM_EP_UNKNOWN, "" },
        { "/passthrough", LLM_EP_UNKNOWN, "" },
        { "/", LLM_EP_UNKNOWN, "" },
        { "", LLM_EP_UNKNOWN, "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        ep = LLM_EP_UNKNOWN;
        rest = LLM_NOSTR;
        snprintf(name, sizeof(name), "endpoint of \"%s\"", t[i].path);

        (void) llm_endpoint_find(tap_c(t[i].path), &ep, &rest);
        ok(ep == t[i].ep && llm_str_eq(rest, tap_c(t[i].rest)), name);
    }

    ok(llm_endpoint_by_name(LLM_STR("audio/speech"), &ep) == LLM_OK
       && ep == LLM_EP_SPEECH, "endpoint by name");
    ok(llm_endpoint_by_name(LLM_STR("passthrough"), &ep) == LLM_OK
       && ep == LLM_EP_PASSTHROUGH, "passthrough by name");
    ok(llm_endpoint_by_name(LLM_STR("chat"), &ep) == LLM_NONE,
       "no endpoint of that name");

    is_int(llm_endpoint_info(LLM_EP_TRANSCRIPTIONS)->body, LLM_BODY_MULTIPART,
           "transcriptions are multipart");
    is_int(llm_endpoint_info(LLM_EP_CHAT)->can, LLM_CAN_CHAT,
           "chat needs chat");

    is_int(llm_can_by_name(LLM_STR("vision")), LLM_CAN_VISION, "can by name");
    is_int(llm_can_by_name(LLM_STR("reasoning")), 0, "a label");
    is_str(llm_can_name(LLM_CAN_TOOLS | LLM_CAN_STREAM), "tools", "can name");
    is_str(llm_can_name(0), "", "no can name");
}


static void
test_deployments(void)
{
    size_t          i;
    llm_str_t       path, rest;
    llm_endpoint_t  ep;

    static const struct {
        const char  *path, *name;
    } t[] = {
        { "/openai/deployments/gpt-4o/chat/completions", "gpt-4o" },
        { "/x/deployments/a/b/audio/transcriptions", "a/b" },
        { "/deployments/deployments/completions", "deployments" },
        { "/deployments/a/deployments/b/embeddings/c", "b" },
        { "/deployments/chat/completions", "" },
        { "/deployments//chat/completions", "" },
        { "/mydeployments/m/chat/completions", "" },
        { "deployments/m/chat/completions", "" },
        { "/v1/chat/completions", "" },
        { "chat/completions", "" },
        { "/chat/completions/deployments/m", "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        path = tap_c(t[i].path);

        is_int(llm_endpoint_find(path, &ep, &rest), LLM_OK, t[i].path);
        is_str(llm_endpoint_deployment(path, ep, rest), t[i].name,
               "... its deployment");
    }
}


static void
test_json(void)
{
    is_int(json(LLM_EP_CHAT, tap_fixture("openai/chat.request.json")), LLM_OK,
           "plain chat");
    is_str(r.model, "gpt-4.1-mini", "its model");
    is_int(r.need, LLM_CAN_CHAT, "needs chat only");
    is_int(r.stream, 0, "no stream");
    is_int(r.output_tokens, 64, "max_completion_tokens");
    is_int(r.prompt_tokens, (r.body.len + 2) / 3, "bytes / 3");

    is_int(json(LLM_EP_CHAT, tap_fixture("openai/chat.stream.request.json")),
           LLM_OK, "streaming chat");
    ok(r.stream && r.include_usage, "stream and usage");
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_STREAM, "needs stream");
    is_int(r.output_tokens, 1024, "default output");

    (void) json(LLM_EP_CHAT, tap_fixture("openai/chat.tools.request.json"));
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_TOOLS, "needs tools");
    (void) json(LLM_EP_CHAT, LLM_STR("{\"model\":\"m\",\"functions\":"
                                     "[{\"name\":\"f\"}]}"));
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_TOOLS, "needs tools, as functions");
    (void) json(LLM_EP_CHAT,
                tap_fixture("openai/chat.json-object.request.json"));
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_JSON_OBJECT, "needs json_object");
    (void) json(LLM_EP_CHAT,
                tap_fixture("openai/chat.json-schema.request.json"));
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_JSON_SCHEMA, "needs json_schema");
    (void) json(LLM_EP_CHAT, tap_fixture("openai/chat.image.request.json"));
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_VISION, "needs vision");
    (void) json(LLM_EP_CHAT, tap_fixture("openai/chat.image-url.request.json"));
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_VISION, "needs vision, by URL");
    (void) json(LLM_EP_CHAT, tap_fixture("openai/chat.audio.request.json"));
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_AUDIO, "needs audio");
    is_int(json(LLM_EP_CHAT, tap_fixture("openrouter/chat.request.json")),
           LLM_OK, "OpenRouter's own members");
    is_int(json(LLM_EP_RESPONSES, tap_fixture("openai/responses.request.json")),
           LLM_OK, "Responses API");
    is_int(r.output_tokens, 50, "max_output_tokens");
    is_int(json(LLM_EP_EMBEDDINGS,
                tap_fixture("openai/embeddings.request.json")), LLM_OK,
           "embeddings");
    is_int(r.need, LLM_CAN_EMBED, "needs embed");
    is_int(r.output_tokens, 0, "no output");

    (void) chat("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
                "\"say \\\"type\\\":\\\"image_url\\\" twice\"}]}");
    is_int(r.need, LLM_CAN_CHAT, "image_url inside a text is no image");
    (void) chat("{\"messages\":[{\"content\":\"image_url\"}],\"tools\":[],"
                "\"stream\":null,\"model\":null}");
    is_int(r.need, LLM_CAN_CHAT, "empty tools, null stream");
    is_str(r.model, "", "null model is none");
    (void) chat("{\"model\":\"a\\/b\\u00e4\",\"stream\":false,\"n\":3,"
                "\"max_tokens\":10}");
    is_str(r.model, "a/b\xc3\xa4", "model is decoded");
    is_int(r.output_tokens, 30, "n choices");
    (void) chat("{\"max_tokens\":1e400,\"n\":-4}");
    is_int(r.output_tokens, UINT32_MAX, "absurd max_tokens");
    (void) json(LLM_EP_RESPONSES, LLM_STR("{\"model\":\"m\",\"text\":{"
                "\"format\":{\"type\":\"json_schema\"}},\"input\":[{"
                "\"content\":[{\"type\":\"input_image\"}]}]}"));
    is_int(r.need, LLM_CAN_CHAT | LLM_CAN_JSON_SCHEMA | LLM_CAN_VISION,
           "Responses: format and image");
}


static void
test_json_refused(void)
{
    char    body[1024];
    size_t  i;

    ok(chat("{\"model\":\"a\",\"model\":\"b\"}") == LLM_BAD
       && code == LLM_CODE_CALLER_DUPLICATE_KEY && has(message, "\"model\""),
       "model twice");
    ok(chat("{\"model\":\"a\",\"mod\\u0065l\":\"b\"}") == LLM_BAD
       && code == LLM_CODE_CALLER_DUPLICATE_KEY && has(message, "\"model\""),
       "model twice, once escaped");
    ok(chat("{\"model\":\"a\",\"Model\":\"b\"}") == LLM_BAD
       && code == LLM_CODE_CALLER_DUPLICATE_KEY,
       "model twice, for servers that do not look at case");
    ok(chat("{\"model\":\"a\",\"\\u004Do\\u0064el\":\"b\"}") == LLM_BAD
       && code == LLM_CODE_CALLER_DUPLICATE_KEY, "and once escaped");
    ok(chat("{\"stream\":true,\"stream\":false}") == LLM_BAD
       && code == LLM_CODE_CALLER_DUPLICATE_KEY && has(message, "\"stream\""),
       "stream twice");
    ok(json(LLM_EP_CHAT, tap_fixture("hostile/duplicate-keys.json")) == LLM_BAD
       && code == LLM_CODE_CALLER_DUPLICATE_KEY, "fixture with two models");
    is_int(chat("{\"x\":1,\"x\":2}"), LLM_OK, "other members may repeat");

    ok(chat("") == LLM_BAD && code == LLM_CODE_CALLER_INVALID_JSON, "empty");
    ok(chat("{\"model\":") == LLM_BAD && code == LLM_CODE_CALLER_INVALID_JSON,
       "truncated");
    ok(chat("[]") == LLM_BAD && code == LLM_CODE_CALLER_INVALID_JSON
       && has(message, "object"), "array");
    ok(json(LLM_EP_CHAT, tap_fixture("hostile/deep.json")) == LLM_BAD
       && code == LLM_CODE_CALLER_INVALID_JSON, "2000 levels");
    ok(chat("{\"model\":7}") == LLM_BAD
       && code == LLM_CODE_CALLER_MODEL_MISSING, "model is a number");
    ok(chat("{\"model\":\"a\\u0000b\"}") == LLM_BAD
       && code == LLM_CODE_CALLER_MODEL_NOT_FOUND, "NUL in the model");
    ok(chat("{\"model\":\"a\\r\\nb\"}") == LLM_BAD
       && code == LLM_CODE_CALLER_MODEL_NOT_FOUND, "CRLF in the model");

    for (i = 256; i < 258; i++) {
        snprintf(body, sizeof(body), "{\"model\":\"%0*d\"}", (int) i, 1);
        is_int(chat(body), i == 256 ? LLM_OK : LLM_BAD, "long model names");
    }
}


static void
test_estimate(void)
{
    size_t          i;
    llm_need_t      need;
    llm_buf_t       b;
    llm_str_t       body;
    unsigned char  *big;

    big = malloc(100100);
    llm_buf_init(&b, big, 100100);
    llm_buf_str(&b, LLM_STR("{\"max_tokens\":7,\"messages\":[{\"content\":[{"
                            "\"type\":\"image_url\",\"image_url\":{\"url\":"
                            "\"data:image/png;base64,"));
    for (i = 0; i < 99000; i++) {
        llm_buf_put(&b, "A", 1);
    }
    llm_buf_str(&b, LLM_STR("\"}}]}]}"));
    body = llm_buf_view(&b);

    is_int(json(LLM_EP_CHAT, body), LLM_OK, "a large picture");
    ok(r.prompt_tokens > 20 && r.prompt_tokens < 60, "is not counted as text");

    llm_request_need(&r, &need);
    is_int(need.n[LLM_DIM_REQUESTS], 1, "one request");
    is_int(need.n[LLM_DIM_TOKENS], r.prompt_tokens + 7, "tokens");
    is_int(need.n[LLM_DIM_INPUT_TOKENS], r.prompt_tokens, "input tokens");
    is_int(need.n[LLM_DIM_OUTPUT_TOKENS], 7, "output tokens");
    is_int(need.n[LLM_DIM_AUDIO_MS], 0, "no audio");
    free(big);
}


static void
test_audio(void)
{
    llm_str_t  f;
    uint64_t   ms;

    f = tap_fixture("audio/hello.wav");
    ms = llm_audio_estimate(f, f.len);
    ok(ms >= 1750 && ms <= 1850, "wav is exact");
    is_int(llm_audio_estimate((llm_str_t) { 44, f.data }, f.len), ms,
           "from its head alone");
    f = tap_fixture("audio/hello.flac");
    ms = llm_audio_estimate(f, f.len);
    ok(ms >= 1750 && ms <= 1850, "flac is exact");
    f = tap_fixture("audio/hello.mp3");
    ms = llm_audio_estimate(f, f.len);
    ok(ms >= 1500 && ms <= 2500, "mp3 by its bit rate");
    f = tap_fixture("audio/hello.ogg");
    ok(llm_audio_estimate(f, f.len) >= 1000, "ogg");
    f = tap_fixture("audio/tone.wav");
    is_int(llm_audio_estimate(f, f.len), 1000, "at least a second");
    f = tap_fixture("audio/truncated.wav");
    is_int(llm_audio_estimate(f, f.len), 1000, "truncated");
    f = tap_fixture("audio/not-audio.wav");
    is_int(llm_audio_estimate(f, f.len), 1000, "no audio");
    is_int(llm_audio_estimate(LLM_NOSTR, 0), 1000, "nothing");
    is_int(llm_audio_estimate(LLM_STR("????"), 8000000), 1000000,
           "unknown by size");
    is_int(llm_audio_estimate(LLM_STR("RIFF\xff\xff\xff\xffWAVE" "data"
                                      "\xff\xff\xff\xff"), 0), 1000,
           "wav without fmt");
    ok(llm_audio_estimate(LLM_STR("ID3\4\0\0\x7f\x7f\x7f\x7f"), UINT64_MAX)
       > 1000, "sizes do not overflow");
}


static void
test_multipart(void)
{
    llm_str_t  body;

    is_int(upload("openai/transcription.request.http", &body), LLM_OK,
           "upload, file last");
    is_str(r.model, "whisper-1", "its model");
    is_str(r.response_format, "verbose_json", "its format");
    is_int(r.need, LLM_CAN_TRANSCRIBE, "needs transcribe");
    is_int(r.audio_ms, 1000, "half a second counts as one");
    is_int(r.prompt_tokens + r.output_tokens, 0, "no tokens");

    is_int(upload("openai/transcription.file-first.request.http", &body),
           LLM_OK, "upload, file first, quoted boundary");
    ok(r.model.len > 0, "its model");
    is_int(upload("app/transcribe.request.http", &body), LLM_OK, "app upload");
    is_str(r.response_format, "json", "default format");
    ok(upload("app/transcribe.empty-file.request.http", &body) == LLM_BAD
       && code == LLM_CODE_CALLER_EMPTY_AUDIO, "empty file");
    ok(upload("app/transcribe.no-file.request.http", &body) == LLM_BAD
       && code == LLM_CODE_CALLER_MISSING_MEMBER, "no file");
    ok(upload("app/transcribe.unterminated.request.http", &body) == LLM_BAD
       && code == LLM_CODE_CALLER_BAD_MULTIPART && message.len > 0,
       "unterminated");
}


#define B  "--bb\r\nContent-Disposition: form-data; name="

static llm_rc_t
form(const char *body)
{
    return llm_request_multipart(&r, LLM_EP_TRANSCRIPTIONS, tap_c(body),
               LLM_STR("multipart/form-data; boundary=bb"), part, &code,
               &message);
}


static void
test_multipart_refused(void)
{
    ok(llm_request_multipart(&r, LLM_EP_TRANSCRIPTIONS, LLM_STR("{}"),
                             LLM_STR("application/json"), part, &code, &message)
       == LLM_BAD && code == LLM_CODE_CALLER_MEDIA_TYPE, "not multipart");
    ok(llm_request_multipart(&r, LLM_EP_TRANSCRIPTIONS, LLM_STR("{}"),
                             LLM_STR("multipart/form-data"), part, &code,
                             &message)
       == LLM_BAD && code == LLM_CODE_CALLER_BAD_MULTIPART, "no boundary");

    ok(form(B "\"model\"\r\n\r\na\r\n" B "\"model\"\r\n\r\nb\r\n"
            B "\"file\"; filename=\"x\"\r\n\r\nx\r\n--bb--\r\n") == LLM_BAD
       && code == LLM_CODE_CALLER_DUPLICATE_KEY, "two models");
    ok(form(B "\"file\"; filename=\"x\"\r\n\r\nx\r\n"
            B "\"file\"; filename=\"y\"\r\n\r\ny\r\n--bb--\r\n") == LLM_BAD
       && code == LLM_CODE_CALLER_DUPLICATE_KEY, "two files");
    is_int(form(B "\"url\"\r\n\r\nhttps://x/y.wav\r\n--bb--\r\n"), LLM_OK,
           "url instead of a file");
    is_int(form(B "\"stream\"\r\n\r\ntrue\r\n" B "\"file\"; filename=\"x\"\r\n"
                "\r\nx\r\n--bb--\r\n"), LLM_OK, "stream");
    ok(r.stream && (r.need & LLM_CAN_STREAM), "is seen");
}


static void
test_edits_list(void)
{
    size_t       i;
    llm_edits_t  e;
    llm_str_t    x;

    x = LLM_STR("x");
    e.n = 0;

    is_int(llm_edits_add(&e, 5, 2, x), LLM_OK, "cut 5..7");
    is_int(llm_edits_add(&e, 1, 0, LLM_STR("a")), LLM_OK, "insert at 1");
    is_int(llm_edits_add(&e, 1, 0, LLM_STR("b")), LLM_OK, "again");
    is_int(llm_edits_add(&e, 7, 1, x), LLM_OK, "cut right behind");
    is_int(llm_edits_add(&e, 5, 0, LLM_STR("c")), LLM_OK,
           "insert before a cut");
    is_int(llm_edits_add(&e, 6, 0, x), LLM_BAD, "insert inside a cut");
    is_int(llm_edits_add(&e, 4, 2, x), LLM_BAD, "cut into a cut");
    is_int(llm_edits_add(&e, 6, 1, x), LLM_BAD, "cut inside a cut");
    is_int(llm_edits_add(&e, 0, 3, x), LLM_BAD, "cut over an insert");
    is_int(llm_edits_add(&e, 5, 2, x), LLM_BAD, "the same cut");
    is_int(llm_edits_add(&e, 7, 0, LLM_STR("d")), LLM_OK, "between two cuts");
    is_int(llm_edits_add(&e, 3, SIZE_MAX, x), LLM_BAD, "endless cut");
    is_str(apply(&e, LLM_STR("0123456789")), "0ab1234cxdx89", "in order");

    for (i = e.n; i < LLM_EDITS_MAX; i++) {
        (void) llm_edits_add(&e, 10, 0, x);
    }

    is_int(llm_edits_add(&e, 10, 0, x), LLM_FULL, "too many");
}


static void
test_edits_json(void)
{
    static const llm_field_t  temperature = {
        { 11, (const unsigned char *) "temperature" },
        { 3, (const unsigned char *) "0.1" },
        { 3, (const unsigned char *) "0.1" }, LLM_FIELD_SET, { 0, NULL }
    };
    llm_field_t  f[3];

    (void) chat("{\"model\":\"a\",\"x\":1e400}");
    is_str(edited(LLM_STR("b\"c"), NULL, 0, 0),
           "{\"model\":\"b\\\"c\",\"x\":1e400}", "model replaced and escaped");
    is_str(edited(LLM_NOSTR, NULL, 0, 0), "{\"model\":\"a\",\"x\":1e400}",
           "nothing to do");
    (void) chat("{\"model\":\"\\u0061\"}");
    is_str(edited(LLM_STR("a"), NULL, 0, 0), "{\"model\":\"a\"}",
           "escaped name");
    (void) chat(" { \"x\":1}");
    is_str(edited(LLM_STR("b"), NULL, 0, 0), " {\"model\":\"b\", \"x\":1}",
           "model added");
    (void) chat("{ }");
    is_str(edited(LLM_STR("b"), NULL, 0, 0), "{\"model\":\"b\" }",
           "into an empty object");
    (void) chat("{\"model\":null}");
    is_str(edited(LLM_STR("b"), NULL, 0, 0), "{\"model\":\"b\"}", "over null");

    f[0] = temperature;
    f[1] = temperature;
    f[1].name = LLM_STR("seed");
    f[2] = temperature;
    f[2].name = LLM_STR("model");

    (void) chat("{\"temperature\":1,\"seed\":2,\"s\\u0065ed\":3,"
                "\"model\":\"m\"}");
    is_str(edited(LLM_STR("n"), f, 3, 0),
           "{\"temperature\":0.1,\"seed\":0.1,\"s\\u0065ed\":0.1,"
           "\"model\":\"n\"}", "fields replaced, known and unknown, twice");
    (void) chat("{\"model\":\"m\"}");
    is_str(edited(LLM_NOSTR, f, 2, 0),
           "{\"temperature\":0.1,\"seed\":0.1,\"model\":\"m\"}",
           "fields added");
    f[0].what = LLM_FIELD_DEFAULT;
    f[1].what = LLM_FIELD_DEFAULT;
    (void) chat("{\"temperature\":1,\"seed\":null}");
    is_str(edited(LLM_NOSTR, f, 2, 0), "{\"temperature\":1,\"seed\":0.1}",
           "only where absent or null");
    f[0].json = LLM_NOSTR;
    is_str(edited(LLM_NOSTR, f, 1, 0), "{\"temperature\":1,\"seed\":null}",
           "a field without JSON is left alone");
}


/* "set a 1; default b 2; drop c; rename d e": as fields. */
static size_t
fields(const char *s, llm_field_t *f)
{
    size_t       n;
    char        *p, *word[3];
    static char  text[512];

    n = 0;
    snprintf(text, sizeof(text), "%s", s);

    for (p = strtok(text, " ;"); p; p = strtok(NULL, " ;")) {
        memset(&f[n], 0, sizeof(f[n]));
        word[0] = p;
        word[1] = strtok(NULL, " ;");
        f[n].name = tap_c(word[1]);
        f[n].what = LLM_FIELD_DROP;

        if (strcmp(p, "drop") != 0) {
            word[2] = strtok(NULL, " ;");
            f[n].json = tap_c(word[2]);
            f[n].text = f[n].json;
            f[n].to = tap_c(word[2]);
            f[n].what = strcmp(p, "set") == 0 ? LLM_FIELD_SET
                        : strcmp(p, "default") == 0 ? LLM_FIELD_DEFAULT
                        : LLM_FIELD_RENAME;
            f[n].to = f[n].what == LLM_FIELD_RENAME ? f[n].to : LLM_NOSTR;
        }

        n++;
    }

    return n;
}


static void
test_fields_json(void)
{
    size_t       i;
    llm_str_t    s;
    llm_field_t  f[8];

    static const struct {
        const char  *body, *fields, *out;
        unsigned     dropped;
    } t[] = {
        /* one member of several goes, wherever it stands */
        { "{\"a\":1,\"b\":2,\"c\":3}", "drop a",
          "{\"b\":2,\"c\":3}", 1 },
        { "{\"a\":1,\"b\":2,\"c\":3}", "drop b",
          "{\"a\":1,\"c\":3}", 1 },
        { "{\"a\":1,\"b\":2,\"c\":3}", "drop c",
          "{\"a\":1,\"b\":2}", 1 },
        { "{\"a\":1,\"b\":2,\"c\":3}", "drop a; drop b", "{\"c\":3}", 3 },
        { "{\"a\":1,\"b\":2,\"c\":3}", "drop c; drop a", "{\"b\":2}", 3 },
        { "{\"a\":1,\"b\":2,\"c\":3}", "drop b; drop c", "{\"a\":1}", 3 },
        { "{ \"a\" : 1 , \"b\" : 2 }", "drop a", "{ \"b\" : 2 }", 1 },
        { "{ \"a\" : 1 , \"b\" : 2 }", "drop b", "{ \"a\" : 1 }", 1 },
        { "{ \"a\" : 1 , \"b\" : 2 }", "drop b; drop a", "{  }", 3 },
        { "{\"a\":1}", "drop a; set b 2", "{\"b\":2}", 1 },
        { "{\"a\":1}", "drop b", "{\"a\":1}", 0 },
        { "{\"a\":null,\"b\":1}", "drop a", "{\"b\":1}", 0 },
        { "{\"a\":[{\"b\":1}]}", "drop b", "{\"a\":[{\"b\":1}]}", 0 },
        /* … and twice, however it is spelt */
        { "{\"a\":1,\"b\":2,\"\\u0061\":3}", "drop a", "{\"b\":2}", 1 },
        { "{\"a\":1,\"a\":3}", "drop a", "{}", 1 },
        { "{\"temperature\":1,\"x\":1}", "drop temperature", "{\"x\":1}", 1 },
        /* set and default */
        { "{\"a\":1,\"a\":2}", "set a 3", "{\"a\":3,\"a\":3}", 0 },
        { "{\"a\":null}", "default a 3", "{\"a\":3}", 0 },
        { "{\"a\":false}", "default a 3", "{\"a\":false}", 0 },
        { "{}", "default a 3; default a 4", "{\"a\":3}", 0 },
        { "{}", "set a 3; set a 4", "{\"a\":4}", 0 },
        { "{\"a\":1}", "drop a; default a 2", "{\"a\":2}", 1 },
        { "{\"a\":1}", "set b {\"c\":[null]}",
          "{\"b\":{\"c\":[null]},\"a\":1}", 0 },
        /* rename: the new name holds where both are there */
        { "{\"a\":1e400}", "rename a b", "{\"b\":1e400}", 0 },
        { "{\"\\u0061\" :1}", "rename a b", "{\"b\" :1}", 0 },
        { "{\"a\":1,\"b\":2}", "rename a b", "{\"b\":2}", 0 },
        { "{\"b\":2,\"a\":1}", "rename a b", "{\"b\":2}", 0 },
        { "{\"a\":1,\"b\":null}", "rename a b", "{\"b\":1}", 0 },
        { "{\"a\":null,\"b\":2}", "rename a b", "{\"a\":null,\"b\":2}", 0 },
        { "{\"a\":1}", "rename a b; set b 5", "{\"b\":5}", 0 },
        { "{\"a\":1}", "rename a b; default b 5", "{\"b\":1}", 0 },
        { "{\"a\":1}", "rename a b; drop b", "{}", 2 },
        { "{\"x\":0}", "rename a b; default b 5", "{\"b\":5,\"x\":0}", 0 },
        { "{\"max_tokens\":9,\"model\":\"m\"}",
          "rename max_tokens max_completion_tokens",
          "{\"max_completion_tokens\":9,\"model\":\"m\"}", 0 },
        { "{\"a\":1}", "rename a a", "{\"a\":1}", 0 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_int(chat(t[i].body), LLM_OK, t[i].body);
        s = edited(LLM_NOSTR, f, fields(t[i].fields, f), 0);
        is_str(s, t[i].out, t[i].fields);
        is_int(llm_json_check(s), LLM_OK, "... of JSON");
        is_int(dropped, t[i].dropped, "... what was dropped");
    }

    (void) chat("{\"temperature\":1,\"stream\":true,\"model\":\"m\"}");
    is_str(edited(LLM_STR("n"), f, fields("drop temperature; set a 1", f), 1),
           "{\"a\":1,\"stream_options\":{\"include_usage\":true},"
           "\"stream\":true,\"model\":\"n\"}",
           "beside the model and the usage");
    is_int(dropped, 1, "... counted from the first field");

    (void) chat("{\"temperature\":1}");
    is_str(edited(LLM_STR("n"), f, fields("drop temperature", f), 0),
           "{\"model\":\"n\"}", "nothing but the model is left");
}


static void
test_fields_form(void)
{
    size_t       i;
    llm_field_t  f[8];

    static const struct {
        const char  *fields, *out;
    } t[] = {
        { "drop language",
          B "\"file\"; filename=\"x\"\r\n\r\nx\r\n"
          B "prompt\r\n\r\np\r\n--bb--\r\n" },
        { "rename prompt hint",
          B "\"language\"\r\n\r\nen\r\n"
          B "\"file\"; filename=\"x\"\r\n\r\nx\r\n"
          B "\"hint\"\r\n\r\np\r\n--bb--\r\n" },
        { "rename language lang; set lang fa; drop prompt",
          B "\"lang\"\r\n\r\nfa\r\n"
          B "\"file\"; filename=\"x\"\r\n\r\nx\r\n--bb--\r\n" },
        { "drop language; drop prompt; default temperature 0",
          B "\"temperature\"\r\n\r\n0\r\n"
          B "\"file\"; filename=\"x\"\r\n\r\nx\r\n--bb--\r\n" },
        { "set language de; default language fa; rename prompt language",
          B "\"language\"\r\n\r\nde\r\n"
          B "\"file\"; filename=\"x\"\r\n\r\nx\r\n--bb--\r\n" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_int(form(B "\"language\"\r\n\r\nen\r\n"
                    B "\"file\"; filename=\"x\"\r\n\r\nx\r\n"
                    B "prompt\r\n\r\np\r\n--bb--\r\n"), LLM_OK, "a form");
        is_str(edited(LLM_NOSTR, f, fields(t[i].fields, f), 0), t[i].out,
               t[i].fields);
    }
}


/* However little memory there is, and however many members. */
static void
test_fields_full(void)
{
    char           body[4096];
    size_t         i, len;
    llm_buf_t      out;
    llm_edits_t    e;
    llm_field_t    f[8];
    unsigned char  text[256];
    unsigned       wrong;

    (void) chat("{\"a\":1,\"b\":2}");
    wrong = 0;

    for (i = 0; i < 64; i++) {
        llm_buf_init(&out, text, i);
        wrong += llm_request_edits(&r, LLM_NOSTR, f,
                                   fields("rename a long; set c 3", f), 0,
                                   &out, &e)
                 != (i < 12 ? LLM_FULL : LLM_OK);
    }

    is_int(wrong, 0, "every size of memory");

    len = (size_t) snprintf(body, sizeof(body), "{\"z\":0");

    for (i = 0; i < LLM_EDITS_MAX; i++) {
        len += (size_t) snprintf(body + len, sizeof(body) - len, ",\"a\":1");
    }

    snprintf(body + len, sizeof(body) - len, "}");
    (void) chat(body);
    is_str(edited(LLM_NOSTR, f, fields("drop a", f), 0), "{\"z\":0}",
           "as many as there may be");
    snprintf(body + len, sizeof(body) - len, ",\"a\":1}");
    (void) chat(body);
    is_str(edited(LLM_NOSTR, f, fields("drop a", f), 0), "(refused)",
           "one too many");
}


static void
test_edits_usage(void)
{
    (void) chat("{\"stream\":true}");
    is_str(edited(LLM_NOSTR, NULL, 0, 1),
           "{\"stream_options\":{\"include_usage\":true},\"stream\":true}",
           "usage asked for");
    (void) chat("{\"stream_options\":null,\"stream\":true}");
    is_str(edited(LLM_NOSTR, NULL, 0, 1),
           "{\"stream_options\":{\"include_usage\":true},\"stream\":true}",
           "over null");
    (void) chat("{\"stream_options\":{}}");
    is_str(edited(LLM_NOSTR, NULL, 0, 1),
           "{\"stream_options\":{\"include_usage\":true}}",
           "into empty options");
    (void) chat("{\"stream_options\":{\"a\":1}}");
    is_str(edited(LLM_STR("m"), NULL, 0, 1),
           "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true,"
           "\"a\":1}}",
           "into options");
    (void) chat("{\"stream_options\":{\"a\":1,\"include_usage\": false}}");
    is_str(edited(LLM_NOSTR, NULL, 0, 1),
           "{\"stream_options\":{\"a\":1,\"include_usage\": true}}",
           "over false");
    (void) chat("{\"stream_options\":{\"include_usage\":true}}");
    is_str(edited(LLM_NOSTR, NULL, 0, 1),
           "{\"stream_options\":{\"include_usage\":true}}", "already there");
}


static void
test_edits_full(void)
{
    size_t         i;
    llm_rc_t       rc;
    llm_buf_t      out;
    llm_edits_t    e;
    unsigned char  text[64];

    (void) chat("{\"stream\":true}");

    for (i = 0; i < sizeof(text); i++) {
        llm_buf_init(&out, text, i);
        rc = llm_request_edits(&r, LLM_STR("mm"), NULL, 0, 1, &out, &e);
        if (rc == LLM_OK) {
            break;
        }
        if (rc != LLM_FULL) {
            i = sizeof(text);
        }
    }

    ok(i > 40 && i < sizeof(text), "too little memory is said so");
}


static void
test_edits_multipart(void)
{
    llm_str_t    file;
    llm_field_t  f;

    memset(&f, 0, sizeof(f));
    f.name = LLM_STR("language");
    f.text = LLM_STR("fa");

    (void) form(B "\"model\"\r\n\r\nold\r\n"
                B "\"file\"; filename=\"x\"\r\n\r\n\1\2\r\n\r\n--bb--\r\n");
    is_str(edited(LLM_STR("new"), &f, 1, 1),
           B "\"language\"\r\n\r\nfa\r\n" B "\"model\"\r\n\r\nnew\r\n"
           B "\"file\"; filename=\"x\"\r\n\r\n\1\2\r\n\r\n--bb--\r\n",
           "model replaced, field added");

    (void) form(B "\"file\"; filename=\"x\"\r\n\r\nx\r\n"
                B "\"language\"\r\n\r\nen\r\n"
                B "\"language\"\r\n\r\nde\r\n--bb--\r\n");
    is_str(edited(LLM_STR("m"), &f, 1, 0),
           B "\"model\"\r\n\r\nm\r\n" B "\"file\"; filename=\"x\"\r\n\r\nx\r\n"
           B "\"language\"\r\n\r\nfa\r\n--bb--\r\n",
           "model added, the first of two parts kept");
    f.what = LLM_FIELD_DEFAULT;
    is_str(edited(LLM_NOSTR, &f, 1, 0),
           B "\"file\"; filename=\"x\"\r\n\r\nx\r\n"
           B "\"language\"\r\n\r\nen\r\n"
           B "\"language\"\r\n\r\nde\r\n--bb--\r\n",
           "only where absent");

    f.what = LLM_FIELD_SET;
    f.text = LLM_STR("a\r\n--bb\r\n");
    is_str(edited(LLM_NOSTR, &f, 1, 0), "(refused)", "boundary in a content");
    f.text = LLM_STR("a\n--bb");
    is_str(edited(LLM_NOSTR, &f, 1, 0), "(refused)", "... behind a bare LF");
    f.text = LLM_STR("--bb--");
    is_str(edited(LLM_NOSTR, &f, 1, 0), "(refused)", "... at its beginning");
    f.text = LLM_STR("bb --bb\r\n-bb");
    ok(!llm_str_eq(edited(LLM_NOSTR, &f, 1, 0), LLM_STR("(refused)")),
       "its letters elsewhere are fine");
    f.text = LLM_STR("a\r\nb");
    ok(!llm_str_eq(edited(LLM_NOSTR, &f, 1, 0), LLM_STR("(refused)")),
       "lines in a content are fine");
    f.name = LLM_STR("a\"\r\nX: y");
    is_str(edited(LLM_NOSTR, &f, 1, 0), "(refused)", "CRLF in a name");

    (void) upload("openai/transcription.request.http", &file);
    f.name = LLM_STR("timestamp_granularities[]");
    f.text = LLM_STR("word");
    file = edited(LLM_STR("whisper-large-v3"), &f, 1, 0);

    is_int(llm_request_multipart(&r, LLM_EP_TRANSCRIPTIONS, file,
               LLM_STR("multipart/form-data; "
                       "boundary=----fixtureBoundary7MA4YWxk"), part, &code,
               &message), LLM_OK, "an edited upload can be read again");
    is_str(r.model, "whisper-large-v3", "with the new model");
    is_int(r.part_n, 6, "and one part less");
}


int
main(void)
{
    test_endpoints();
    test_deployments();
    test_json();
    test_json_refused();
    test_estimate();
    test_audio();
    test_multipart();
    test_multipart_refused();
    test_edits_list();
    test_edits_json();
    test_edits_usage();
    test_edits_full();
    test_edits_multipart();
    test_fields_json();
    test_fields_form();
    test_fields_full();

    return tap_done();
}
