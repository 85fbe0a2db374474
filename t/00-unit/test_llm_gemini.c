/*
 * The Gemini dialect against sample exchanges: what an answer, a refusal and
 * each event of a stream mean, and what becomes of a request.
 */

#include "sample.h"

#include <limits.h>

#include "llm_front.h"
#include "llm_gemini.h"

#define NOW  SAMPLE_NOW
#define U    LLM_UNKNOWN

static const llm_dialect_t  *gemini;
static unsigned char         memory[2048];
static unsigned char         written[65536];


/* ---- paths ---------------------------------------------------------- */


static llm_str_t
path(llm_endpoint_t ep, const char *model, unsigned stream)
{
    llm_buf_t    out;
    llm_place_t  place;

    memset(&place, 0, sizeof(llm_place_t));
    place.model = tap_c(model);
    place.stream = stream & 1;

    llm_buf_init(&out, written, sizeof(written));
    gemini->path(ep, &place, &out);

    return llm_buf_view(&out);
}


static void
test_paths(void)
{
    is_str(path(LLM_EP_CHAT, "gemini-3.5-flash", 0),
           "/models/gemini-3.5-flash:generateContent", "whole");
    is_str(path(LLM_EP_CHAT, "models/gemini-x", 1),
           "/models/gemini-x:streamGenerateContent?alt=sse",
           "a stream; models/ is not doubled");
    is_str(path(LLM_EP_CHAT, "tunedModels/a/b?", 0),
           "/tunedModels/a%2Fb%3F:generateContent", "a collection of its own");
    is_str(path(LLM_EP_CHAT, "../x\r\n", 0),
           "/models/..%2Fx%0D%0A:generateContent", "odd names stay inside");
    is_str(path(LLM_EP_MODELS, "", 0), "/models", "models");

    is_int(llm_gemini_generation(LLM_STR("gemini-2.5-pro")), 25, "2.5");
    is_int(llm_gemini_generation(LLM_STR("models/gemini-3-flash")), 30, "3");
    is_int(llm_gemini_generation(LLM_STR("gemini-3.5-flash")), 35, "3.5");
    is_int(llm_gemini_generation(LLM_STR("gemini-")), UINT_MAX, "none");
    is_int(llm_gemini_generation(LLM_STR("gemini-flash-latest")), UINT_MAX,
           "the latest");
    is_int(llm_gemini_generation(LLM_STR("gemma-3")), 0, "another family");
}


/* ---- answers -------------------------------------------------------- */


static void
test_answers(void)
{
    size_t        i;
    char          name[128];
    llm_buf_t     mem;
    llm_answer_t  a;

    static const struct {
        const char   *path;
        llm_class_t   class;
        uint64_t      input, cached, output, reasoning;
        const char   *finish;
    } t[] = {
        { "generate", 0, 11, U, 8, U, "STOP" },
        { "generate.tools", 0, 96, U, 71, 40, "STOP" },
        { "generate.thinking", 0, 9, U, 55, 52, "STOP" },
        { "generate.cached", 0, 2100, 1920, 2, U, "STOP" },
        { "generate.safety", 0, 14, U, 0, U, "SAFETY" },
        { "generate.max-tokens-no-parts", 0, 9, U, 64, 64, "MAX_TOKENS" },
        { "generate.content-no-parts", 0, 9, U, 0, U, "MAX_TOKENS" },
        { "generate.malformed-call", 0, 11, U, 8, U,
          "MALFORMED_FUNCTION_CALL" },
        { "generate.prompt-blocked", LLM_CLASS_CONTENT_FILTER, 14, U, 0, U,
          "" },
        { "../openai/chat", LLM_CLASS_BAD_ANSWER, U, U, U, U, "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        snprintf(name, sizeof(name), "gemini/%s.response.json", t[i].path);

        llm_buf_init(&mem, memory, sizeof(memory));
        memset(&a, 0xaa, sizeof(a));
        a.brief = 0;
        a.sink = NULL;
        gemini->answer(LLM_EP_CHAT, tap_fixture(name), &mem, &a);

        is_int(a.class, t[i].class, name);
        is_str(a.finish_reason, t[i].finish, "... finish");
        is_int(a.usage.input, t[i].input, "... input");
        is_int(a.usage.cached, t[i].cached, "... cached");
        is_int(a.usage.output, t[i].output, "... output");
        is_int(a.usage.reasoning, t[i].reasoning, "... reasoning");
    }

    gemini->answer(LLM_EP_CHAT,
                   tap_fixture("gemini/generate.prompt-blocked.response.json"),
                   &mem, &a);
    is_str(a.message, "The provider blocked the prompt: PROHIBITED_CONTENT.",
           "why there is none");

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&a, 0, sizeof(a));
    gemini->answer(LLM_EP_CHAT, LLM_STR("{\"error\":{\"code\":503,"
                   "\"status\":\"UNAVAILABLE\",\"message\":\"Busy\"}}"),
                   &mem, &a);
    is_int(a.class, LLM_CLASS_OVERLOADED, "an error inside a 200");
    is_str(a.message, "Busy", "... its message");

    gemini->answer(LLM_EP_CHAT, LLM_STR("<html>"), &mem, &a);
    is_int(a.class, LLM_CLASS_BAD_ANSWER, "no JSON");
    gemini->answer(LLM_EP_CHAT, LLM_STR("{\"candidates\":[]}"), &mem, &a);
    is_int(a.class, LLM_CLASS_BAD_ANSWER, "nobody answered");

    is_str(gemini->text(LLM_EP_CHAT, LLM_STR("{\"candidates\":[{\"content\":"
           "{\"parts\":[{\"text\":\"t\",\"thought\":true},{\"text\":"
           "\"a\"}]}}]}")), "\"a\"", "the text of an event");
}


static void
test_finishes(void)
{
    size_t  i;

    static const struct {
        llm_str_t     word;
        llm_finish_t  finish;
    } t[] = {
        { LLM_STR("STOP"), LLM_FINISH_STOP },
        { LLM_STR("MAX_TOKENS"), LLM_FINISH_LENGTH },
        { LLM_STR("CONTINUATION"), LLM_FINISH_LENGTH },
        { LLM_STR("SPII"), LLM_FINISH_FILTER },
        { LLM_STR("IMAGE_SAFETY"), LLM_FINISH_FILTER },
        { LLM_STR("MALFORMED_FUNCTION_CALL"), LLM_FINISH_STOP },
        { LLM_STR("NEW"), LLM_FINISH_STOP }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_int(llm_gemini_finish(t[i].word), t[i].finish,
               (const char *) t[i].word.data);
    }
}


/* ---- refusals ------------------------------------------------------- */


static void
test_refusals(void)
{
    size_t         i;
    char           name[128];
    unsigned       status;
    llm_str_t      body;
    llm_buf_t      mem;
    llm_hint_t     hint;
    llm_refusal_t  r;

    static const struct {
        const char   *name;
        llm_class_t   class;
        llm_msec_t    wait;
        unsigned      day, never;
    } t[] = {
        { "400-api-key", LLM_CLASS_AUTH, 0, 0, 0 },
        { "400-context", LLM_CLASS_CONTEXT_LENGTH, 0, 0, 0 },
        { "400-invalid", LLM_CLASS_INVALID_REQUEST, 0, 0, 0 },
        { "400-region", LLM_CLASS_PERMISSION, 0, 0, 0 },
        { "402-prepay", LLM_CLASS_BILLING, 0, 0, 0 },
        { "403", LLM_CLASS_PERMISSION, 0, 0, 0 },
        { "404", LLM_CLASS_PERMISSION, 0, 0, 0 },
        { "429-day", LLM_CLASS_QUOTA, 0, 1, 0 },
        { "429-limit-zero", LLM_CLASS_QUOTA, 0, 1, 1 },
        { "429-minute", LLM_CLASS_RATE_LIMITED, 36200, 0, 0 },
        { "429-plain", LLM_CLASS_RATE_LIMITED, 0, 0, 0 },
        { "500", LLM_CLASS_SERVER, 0, 0, 0 },
        { "503", LLM_CLASS_OVERLOADED, 0, 0, 0 },
        { "504", LLM_CLASS_SERVER, 0, 0, 0 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        snprintf(name, sizeof(name), "gemini/error.%s.http", t[i].name);

        body = sample_http(name, &status, &hint);
        llm_buf_init(&mem, memory, sizeof(memory));
        gemini->refusal(status, &hint, body, NOW, &mem, &r);

        is_int(r.outcome.class, t[i].class, name);
        is_int(r.outcome.wait, t[i].wait, "... wait");
        is_int(r.outcome.day, t[i].day, "... of a day");
        is_int(r.outcome.never, t[i].never, "... for ever");
        ok(r.message.len != 0 && r.native, "... message, native");
    }
}


/* ---- requests ------------------------------------------------------- */


/* What a request becomes; *rc and *loss tell the rest. */
static llm_str_t
request(const char *body, const char *model, llm_rc_t *rc, llm_loss_t *loss)
{
    llm_buf_t  out;
    llm_hub_t  hub;

    hub.model = tap_c(model);
    hub.version = LLM_NOSTR;
    llm_buf_init(&out, written, sizeof(written));

    *rc = llm_hub_read(&hub, tap_c(body), LLM_NOSTR, loss);

    if (*rc == LLM_OK) {
        *rc = gemini->request(&hub, &out, loss);
    }

    return llm_buf_view(&out);
}


#define ASK(members)  "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"  \
                      members "}"
#define SENT(rest)    "{\"contents\":[{\"role\":\"user\",\"parts\":"           \
                      "[{\"text\":\"a\"}]}]" rest "}"
#define CONFIG(m)     SENT(",\"generationConfig\":{" m "}")
#define THINK(m)      CONFIG("\"thinkingConfig\":{" m "}")
#define TALK(m)       "{\"messages\":[" m "]}"

#define NEW           "gemini-3.5-flash"
#define OLD           "gemini-2.5-flash"

static void
test_requests(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_str_t   s;
    llm_loss_t  loss;

    static const struct {
        const char  *in, *out, *model, *name;
    } t[] = {
        { ASK(""), SENT(""), NEW, "the smallest" },
        { ASK(",\"max_tokens\":5,\"max_completion_tokens\":6"),
          CONFIG("\"maxOutputTokens\":6"), NEW, "max_tokens" },
        { ASK(",\"temperature\":2e0,\"top_p\":0.50,\"top_k\":40,"
              "\"seed\":-1,\"presence_penalty\":0.1,"
              "\"frequency_penalty\":1,\"n\":2"),
          CONFIG("\"candidateCount\":2,\"temperature\":2e0,\"topP\":0.50,"
                 "\"topK\":40,\"seed\":-1,\"presencePenalty\":0.1,"
                 "\"frequencyPenalty\":1"), NEW, "numbers" },
        { ASK(",\"seed\":3000000000"), SENT(""), NEW, "a seed too large" },
        { ASK(",\"stop\":\"\\n\""), CONFIG("\"stopSequences\":[\"\\n\"]"),
          NEW, "a stop" },
        { ASK(",\"stop\":[\"x\",\"\",\"y\"]"),
          CONFIG("\"stopSequences\":[\"x\",\"y\"]"), NEW, "stops" },
        { ASK(",\"response_format\":{\"type\":\"json_object\"}"),
          CONFIG("\"responseMimeType\":\"application/json\""), NEW,
          "JSON mode" },
        { ASK(",\"response_format\":{\"type\":\"json_schema\","
              "\"json_schema\":{\"name\":\"s\",\"schema\":{\"a\":1}}}"),
          CONFIG("\"responseMimeType\":\"application/json\","
                 "\"responseJsonSchema\":{\"a\":1}"), NEW, "a schema" },
        { ASK(",\"reasoning_effort\":\"low\""),
          THINK("\"thinkingLevel\":\"LOW\",\"includeThoughts\":true"), NEW,
          "an effort is a level" },
        { ASK(",\"reasoning_effort\":\"none\""),
          THINK("\"thinkingLevel\":\"MINIMAL\""), NEW, "no effort" },
        { ASK(",\"reasoning_effort\":\"medium\""),
          THINK("\"thinkingBudget\":8192,\"includeThoughts\":true"), OLD,
          "an effort is a budget" },
        { ASK(",\"reasoning_effort\":\"none\""),
          THINK("\"thinkingBudget\":0"), OLD, "no budget" },
        { ASK(",\"reasoning_effort\":\"none\""),
          THINK("\"thinkingBudget\":128"), "gemini-2.5-pro",
          "a little for those that have to" },
        { ASK(",\"reasoning_effort\":\"none\""), SENT(""),
          "gemini-2.0-flash", "who does not think" },
        { ASK(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":99}"),
          THINK("\"thinkingBudget\":99,\"includeThoughts\":true"), OLD,
          "thinking itself" },
        { ASK(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":9999}"),
          THINK("\"thinkingLevel\":\"HIGH\",\"includeThoughts\":true"), NEW,
          "... is a level" },
        { ASK(",\"thinking\":{\"type\":\"adaptive\"}"),
          THINK("\"thinkingBudget\":-1,\"includeThoughts\":true"), OLD,
          "as the model likes" },
        { ASK(",\"thinking\":{\"type\":\"adaptive\"}"),
          THINK("\"includeThoughts\":true"), NEW, "... without a level" },
        { ASK(",\"service_tier\":\"default\",\"safety_settings\":[{}]"),
          SENT(",\"safetySettings\":[{}],\"serviceTier\":\"standard\""), NEW,
          "safety and tier" },
        { ASK(",\"logprobs\":true,\"top_logprobs\":3"),
          CONFIG("\"responseLogprobs\":true,\"logprobs\":3"), NEW,
          "logprobs" },
        { ASK(",\"logprobs\":true,\"top_logprobs\":0"),
          CONFIG("\"responseLogprobs\":true"), NEW, "... of these alone" },
        { ASK(",\"logprobs\":false"), SENT(""), NEW, "... or none" },
        { ASK(",\"tools\":[],\"tool_choice\":\"auto\""), SENT(""), NEW,
          "no tools" },
        { TALK("{\"role\":\"system\",\"content\":\"s\"}"),
          "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\".\"}]}],"
          "\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]}}",
          NEW, "instructions alone" },
        { TALK("{\"role\":\"system\",\"content\":\"\"},"
               "{\"role\":\"user\",\"content\":\"a\"},"
               "{\"role\":\"developer\",\"content\":\"s\"}"),
          "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]}],"
          "\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]}}",
          NEW, "instructions later on" },
        { TALK("{\"role\":\"assistant\",\"content\":\"b\",\"extra_content\":"
               "{\"google\":{\"thought_signature\":\"U2ln\"}}},"
               "{\"role\":\"assistant\",\"content\":\"\"}"),
          "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\".\"}]},"
          "{\"role\":\"model\",\"parts\":[{\"text\":\"b\","
          "\"thoughtSignature\":\"U2ln\"}]}]}", NEW, "an assistant first" },
        { TALK("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
               "\"\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
               "\"https:\\/\\/h\\/a.PNG?x\"}},{\"type\":\"file\",\"file\":"
               "{\"file_id\":\"https://g/files/1\"}},{\"type\":"
               "\"input_audio\",\"input_audio\":{\"data\":\"AA\\/\","
               "\"format\":\"wav\"}}]}"),
          "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"fileData\":"
          "{\"mimeType\":\"image/png\",\"fileUri\":"
          "\"https:\\/\\/h\\/a.PNG?x\"}},{\"fileData\":{\"fileUri\":"
          "\"https://g/files/1\"}},{\"inlineData\":{\"mimeType\":"
          "\"audio/wav\",\"data\":\"AA\\/\"}}]}]}", NEW, "parts" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        s = request(t[i].in, t[i].model, &rc, &loss);
        is_int(rc, LLM_OK, t[i].name);
        is_str(s, t[i].out, "... as a body");
        is_int(llm_json_check(s), LLM_OK, "... of JSON");
    }

    (void) request(ASK(",\"user\":\"u\",\"x\":{\"y\":1},\"top_logprobs\":2"),
                   NEW, &rc, &loss);
    is_int(loss.n, 3, "what was left out");
    is_str(loss.name[0], "x", "... a name nobody knows");
    is_str(loss.name[1], "top_logprobs", "... and known ones");
}


static void
test_unable(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_loss_t  loss;

    static const struct {
        const char  *in;
        llm_rc_t     rc;
        const char  *param;
    } bad[] = {
        { ASK(",\"n\":9"), LLM_NONE, "n" },
        { ASK(",\"modalities\":[\"audio\"]"), LLM_NONE, "modalities" },
        { ASK(",\"tools\":[{\"type\":\"custom\"}]"), LLM_NONE, "tools" },
        { ASK(",\"tools\":[{\"function\":{\"name\":\"f\"}}],"
              "\"tool_choice\":{\"type\":\"x\"}"), LLM_NONE, "tool_choice" },
        { TALK("1"), LLM_BAD, "messages" },
        { TALK("{\"role\":\"user\",\"content\":1}"), LLM_BAD, "messages" },
        { TALK("{\"role\":\"tool\",\"tool_call_id\":\"x\"}"), LLM_BAD,
          "messages" },
        { TALK("{\"role\":\"user\",\"content\":[{\"type\":\"file\","
               "\"file\":{\"file_id\":\"file-1\"}}]}"), LLM_NONE,
          "messages" }
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void) request(bad[i].in, NEW, &rc, &loss);
        is_int(rc, bad[i].rc, bad[i].in);
        is_str(loss.param, bad[i].param, "... by name");
        ok(loss.message.len, "... in a sentence");
    }
}


#define CALL(id, extra)  "{\"id\":\"" id "\",\"type\":\"function\","         \
                         "\"function\":{\"name\":\"f_" id "\","             \
                         "\"arguments\":\"\"}" extra "}"
#define RESULT(id, text) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\","   \
                         "\"content\":" text "}"

static void
test_tools(void)
{
    llm_rc_t    rc;
    llm_str_t   s;
    llm_loss_t  loss;

    s = request(TALK("{\"role\":\"user\",\"content\":\"a\"},"
                     "{\"role\":\"assistant\",\"content\":null,"
                     "\"tool_calls\":[" CALL("x", "") ","
                     CALL("gemini_r_0_1", "") "]},"
                     RESULT("gemini_r_0_1", "\"[1]\"") ","
                     RESULT("x", "\" {\\\"k\\\":1.50}\"") ","
                     "{\"role\":\"user\",\"content\":\"b\"}"), NEW, &rc,
                &loss);
    is_int(rc, LLM_OK, "a round of tools");
    is_str(s, "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]},"
           "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"x\","
           "\"name\":\"f_x\",\"args\":{}},\"thoughtSignature\":"
           "\"skip_thought_signature_validator\"},{\"functionCall\":{\"name\":"
           "\"f_gemini_r_0_1\",\"args\":{}}}]},{\"role\":\"user\",\"parts\":["
           "{\"functionResponse\":{\"name\":\"f_gemini_r_0_1\",\"response\":"
           "{\"output\":\"[1]\"}}},{\"functionResponse\":{\"id\":\"x\","
           "\"name\":\"f_x\",\"response\": {\"k\":1.50}}},{\"text\":\"b\"}]}]}",
           "... in any order");

    s = request(TALK("{\"role\":\"assistant\",\"tool_calls\":["
                     CALL("x", ",\"extra_content\":{\"google\":"
                               "{\"thought_signature\":\"U2ln\"}}") "]},"
                     RESULT("x", "[{\"type\":\"text\",\"text\":\"1\"},"
                            "{\"type\":\"text\",\"text\":\"2\"},{\"type\":"
                            "\"image_url\",\"image_url\":{\"url\":"
                            "\"data:image/png;base64,AA\"}}],"
                            "\"is_error\":true")), OLD, &rc, &loss);
    is_str(s, "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\".\"}]},"
           "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"x\","
           "\"name\":\"f_x\",\"args\":{}},\"thoughtSignature\":\"U2ln\"}]},"
           "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"x\","
           "\"name\":\"f_x\",\"response\":{\"error\":\"12\"}}},"
           "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA\"}}]}]}",
           "seals, failures, pictures");
}


/* However little room there is, the answer is LLM_FULL and not a wrong one. */
static void
test_room(void)
{
    size_t       size, len;
    llm_rc_t     rc;
    llm_buf_t    out;
    llm_hub_t    hub;
    llm_str_t    body;
    llm_loss_t   loss;
    unsigned     wrong;

    body = tap_fixture("openai/chat.tool-result.request.json");
    hub.model = LLM_STR(NEW);
    hub.version = LLM_NOSTR;
    wrong = 0;
    len = 0;

    for (size = 0; size < 4096; size++) {
        llm_buf_init(&out, written, size);
        rc = llm_hub_read(&hub, body, LLM_NOSTR, &loss);
        rc = rc == LLM_OK ? gemini->request(&hub, &out, &loss) : rc;

        if (rc == LLM_OK && len == 0) {
            len = size;
        }

        wrong += (rc != LLM_FULL && rc != LLM_OK) || (rc == LLM_OK) != (len > 0)
                 || (rc == LLM_OK && (size_t) (out.pos - out.start) != len);
    }

    is_int(wrong, 0, "every size of memory");
    ok(len > 500, "... some are enough");
}


/* ---- embeddings ----------------------------------------------------- */


static void
test_embeddings(void)
{
    size_t             size, len;
    unsigned           wrong;
    llm_rc_t           rc;
    llm_buf_t          out;
    llm_str_t          body;
    llm_loss_t         loss;
    const llm_swap_t  *swap;

    swap = llm_dialect_swap(gemini, LLM_EP_EMBEDDINGS);
    ok(llm_dialect_swap(gemini, LLM_EP_CHAT) == NULL, "chat goes by the hub");
    is_str(path(LLM_EP_EMBEDDINGS, "m", 0), "/models/m:batchEmbedContents",
           "path");

    body = LLM_STR("{\"input\":[\"\\ud800\",\"b\"],\"dimensions\":1e2,"
                   "\"encoding_format\":\"base64\",\"user\":\"u\"}");
    wrong = 0;
    len = 0;

    for (size = 0; size < 512; size++) {
        llm_buf_init(&out, written, size);
        rc = swap->request(LLM_STR("m"), body, &out, &loss);

        if (rc == LLM_OK && len == 0) {
            len = size;
            is_str(llm_buf_view(&out), "{\"requests\":[{\"model\":"
                   "\"models/m\",\"content\":{\"parts\":[{\"text\":"
                   "\"\\ud800\"}]},\"outputDimensionality\":1e2},{\"model\":"
                   "\"models/m\",\"content\":{\"parts\":[{\"text\":\"b\"}]},"
                   "\"outputDimensionality\":1e2}]}", "a batch");
        }

        wrong += (rc != LLM_FULL && rc != LLM_OK)
                 || (rc == LLM_OK) != (len > 0);
    }

    is_int(wrong, 0, "every size of memory");
    is_int(loss.n, 2, "the format and the user are left out");

    llm_buf_init(&out, written, sizeof(written));
    swap->whole(LLM_STR("m"), LLM_STR("{\"embeddings\":[{\"values\":[1e-9]}],"
                "\"usageMetadata\":{\"promptTokenCount\":7}}"), &out);
    is_str(llm_buf_view(&out), "{\"object\":\"list\",\"data\":[{\"object\":"
           "\"embedding\",\"index\":0,\"embedding\":[1e-9]}],\"model\":"
           "\"m\",\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}}",
           "a list");

    is_int(swap->request(LLM_STR("m"), LLM_STR("{\"input\":[[1]]}"), &out,
                         &loss), LLM_NONE, "tokens");
    is_int(swap->request(LLM_STR("m"), LLM_STR("{}"), &out, &loss), LLM_BAD,
           "nothing");
}


/* ---- streams -------------------------------------------------------- */


static void
test_streams(void)
{
    size_t        i, j;
    char          name[128];
    llm_buf_t     notes;
    llm_stream_t  s;

    static const size_t  pieces[] = { 1, 7, 100, 1 << 20 };

    static const struct {
        const char   *name;
        const char   *deltas;
        int           complete;
        llm_class_t   error;
        uint64_t      input, output;
    } t[] = {
        { "", "^tOneut, twout, three..u", 1, 0, 11, 6 },
        { ".lf", "^tOneut, twout, three..u", 1, 0, 11, 6 },
        { ".tools", "^tLet me look.ucZng3c2lnaca.u", 1, 0, 96, 31 },
        { ".tools-split-finish", "^cZng3c2lnaucau.u", 1, 0, 96, 31 },
        { ".thinking", "^r17*20=340ut391uSZng3c2ln.u", 1, 0, 9, 55 },
        { ".finish-alone", "^tOneu.u", 1, 0, 11, 2 },
        { ".safety", "^tSomeu.u", 1, 0, 11, 1 },
        { ".cut", "^tOneut, twou", 0, 0, 11, 3 },
        { ".prompt-blocked", "", 0, LLM_CLASS_CONTENT_FILTER, U, U },
        { ".error-midway", "^tOneu", 0, LLM_CLASS_OVERLOADED, 11, 1 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        for (j = 0; j < 4; j++) {
            snprintf(name, sizeof(name), "gemini/stream%s.sse", t[i].name);
            llm_buf_init(&notes, written, sizeof(written));
            sample_stream(gemini, name, pieces[j], &s, &notes);

            is_int(llm_stream_complete(&s), t[i].complete, name);
            is_int(s.error, t[i].error, "... error");
            is_int(s.malformed, 0, "... nothing is odd");
            is_int(s.usage.input, t[i].input, "... input");
            is_int(s.usage.output, t[i].output, "... output");
            is_str(llm_buf_view(&notes), t[i].deltas, "... deltas");
        }
    }
}


int
main(void)
{
    gemini = llm_dialect_find(LLM_STR("gemini"));

    test_paths();
    test_answers();
    test_finishes();
    test_refusals();
    test_requests();
    test_unable();
    test_tools();
    test_room();
    test_embeddings();
    test_streams();

    return tap_done();
}
