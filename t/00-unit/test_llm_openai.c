/*
 * The OpenAI dialect against every provider's sample exchanges: what an answer,
 * a refusal and each event of a stream mean, whatever the pieces they come in.
 */

#include "sample.h"

#include "llm_openai.h"

#define NOW  SAMPLE_NOW

static const llm_dialect_t  *openai;
static unsigned char         memory[2048];


/* ---- answers -------------------------------------------------------- */


static llm_answer_t
answer(llm_endpoint_t ep, llm_str_t body)
{
    llm_buf_t     mem;
    llm_answer_t  a, brief;

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&brief, 0xaa, sizeof(brief));
    brief.brief = 1;
    brief.sink = NULL;
    openai->answer(ep, body, &mem, &brief);

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&a, 0xaa, sizeof(a));
    a.brief = 0;
    a.sink = NULL;
    openai->answer(ep, body, &mem, &a);

    if (a.class != brief.class
        || memcmp(&a.usage, &brief.usage, sizeof(a.usage)) != 0)
    {
        ok(0, "a brief look sees the same");
    }

    return a;
}


#define U  LLM_UNKNOWN

static void
test_answers(void)
{
    size_t        i;
    unsigned      status;
    llm_str_t     body;
    llm_hint_t    hint;
    llm_answer_t  a;
    char          name[128];

    static const struct {
        const char      *path;
        llm_endpoint_t   ep;
        llm_class_t      class;
        uint64_t         input, cached, output, reasoning, audio, cost;
        const char      *content, *finish;
    } t[] = {
        { "openai/chat.response.json", LLM_EP_CHAT, 0, 24, 0, 14, 0, U, U,
          "\"Air scatters short blue wavelengths of sunlight more than long "
          "red ones.\"", "stop" },
        { "openai/chat.tools.response.json", LLM_EP_CHAT, 0, 88, 0, 41, 0,
          U, U, "", "tool_calls" },
        { "openai/chat.json-schema.response.json", LLM_EP_CHAT, 0, 61, 0, 19,
          0, U, U, NULL, "stop" },
        { "openai/chat.json-object.response.json", LLM_EP_CHAT, 0, 17, 0, 6,
          0, U, U, "\"{\\\"ok\\\": true}\"", "stop" },
        { "openai/chat.length.response.json", LLM_EP_CHAT, 0, 61, 0, 5, 0, U,
          U, NULL, "length" },
        { "openai/chat.content-filter.response.json", LLM_EP_CHAT, 0, 30, 0,
          0, 0, U, U, "\"\"", "content_filter" },
        { "openai/chat.refusal.response.json", LLM_EP_CHAT, 0, 30, 0, 8, 0, U,
          U, "", "stop" },
        { "openai/chat.n2.response.json", LLM_EP_CHAT, 0, 12, 0, 2, 0, U, U,
          "\"Heads\"", "stop" },
        { "openai/chat.logprobs.response.json", LLM_EP_CHAT, 0, U - 1, 0,
          U - 1, 0, U, U, "\"Yes\"", "stop" },
        { "openai/chat.cached.response.json", LLM_EP_CHAT, 0, 2100, 1920, 180,
          128, U, U, "\"42\"", "stop" },
        { "openai/chat.null-fields.response.json", LLM_EP_CHAT, 0, U, U, U, U,
          U, U, "\"ok\"", "stop" },
        { "openai/chat.ok.http", LLM_EP_CHAT, 0, 24, 0, 14, 0, U, U, NULL,
          "stop" },
        { "openai/chat.ok-nearly-exhausted.http", LLM_EP_CHAT, 0, 21, 0, 9, 0,
          U, U, "\"ok\"", "stop" },
        { "openai/embeddings.response.json", LLM_EP_EMBEDDINGS, 0, 6, U, 0, U,
          U, U, "", "" },
        { "openai/embeddings.base64.response.json", LLM_EP_EMBEDDINGS, 0, 6,
          U, 0, U, U, U, "", "" },
        { "openai/models.response.json", LLM_EP_MODELS, 0, U, U, U, U, U, U,
          "", "" },
        { "openai/responses.response.json", LLM_EP_RESPONSES, 0, 11, 0, 4, 0,
          U, U, "\"Hello there.\"", "completed" },
        { "openai/responses.tools.response.json", LLM_EP_RESPONSES, 0, 11, 0,
          4, 0, U, U, "", "tool_calls" },
        { "openai/transcription.json.response.json", LLM_EP_TRANSCRIPTIONS, 0,
          18, U, 9, U, U, U, "\"Hello gateway, this is a test.\"", "" },
        { "openai/transcription.whisper.response.json", LLM_EP_TRANSCRIPTIONS,
          0, U, U, U, U, 2000, U, NULL, "" },
        { "openai/transcription.verbose.response.json", LLM_EP_TRANSCRIPTIONS,
          0, U, U, U, U, 2000, U, NULL, "" },
        { "openai/translation.response.json", LLM_EP_TRANSLATIONS, 0, U, U, U,
          U, U, U, "\"Good morning, gateway.\"", "" },
        { "azure/chat.response.json", LLM_EP_CHAT, 0, 9, 0, 3, 0, U, U,
          "\"Hi.\"", "stop" },
        { "gemini-openai/chat.response.json", LLM_EP_CHAT, 0, 3, U, 2, U, U,
          U, "\"Hi.\"", "stop" },
        { "groq/chat.ok.http", LLM_EP_CHAT, 0, 78, U, 31, U, U, U, "\"391\"",
          "stop" },
        { "groq/transcription.response.json", LLM_EP_TRANSCRIPTIONS, 0, U, U,
          U, U, U, U, NULL, "" },
        { "openrouter/chat.response.json", LLM_EP_CHAT, 0, 8, 0, 3, 0, U,
          8100, "\"Hi.\"", "stop" },
        { "openrouter/chat.200-error.http", LLM_EP_CHAT,
          LLM_CLASS_RATE_LIMITED, U, U, U, U, U, U, "", "" },
        { "openrouter/chat.leading-whitespace.http", LLM_EP_CHAT, 0, U, U, U,
          U, U, U, "\"Hi.\"", "stop" },
        { "openrouter/transcription.response.json", LLM_EP_TRANSCRIPTIONS, 0,
          U, U, U, U, 1800, 180000, NULL, "" },
        { "vllm/chat.response.json", LLM_EP_CHAT, 0, 12, U, 28, U, U, U,
          "\"391\"", "stop" },
        { "vllm/transcription.verbose.response.json", LLM_EP_TRANSCRIPTIONS,
          0, U, U, U, U, 2000, U, NULL, "" },
        { "llamacpp/chat.response.json", LLM_EP_CHAT, 0, 12, 4, 28, U, U, U,
          "\"391\"", "stop" },
        { "ollama/chat.response.json", LLM_EP_CHAT, 0, 12, U, 28, U, U, U,
          "\"391\"", "stop" },
        { "speaches/transcription.response.json", LLM_EP_TRANSCRIPTIONS, 0, U,
          U, U, U, U, U, NULL, "" },
        { "hostile/huge-numbers.json", LLM_EP_CHAT, 0, 9007199254740993, U,
          1000, U, U, U, "\"ok\"", "stop" },
        { "hostile/not-json.http", LLM_EP_CHAT, LLM_CLASS_BAD_ANSWER, U, U, U,
          U, U, U, "", "" },
        { "hostile/short-body.http", LLM_EP_CHAT, LLM_CLASS_BAD_ANSWER, U, U,
          U, U, U, U, "", "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {

        body = strstr(t[i].path, ".http")
               ? sample_http(t[i].path, &status, &hint)
               : tap_fixture(t[i].path);
        a = answer(t[i].ep, body);

        snprintf(name, sizeof(name), "%s: class", t[i].path);
        is_int(a.class, t[i].class, name);

        if (t[i].input != U - 1) {
            snprintf(name, sizeof(name), "%s: usage", t[i].path);
            if (!ok(a.usage.input == t[i].input && a.usage.cached == t[i].cached
                    && a.usage.output == t[i].output
                    && a.usage.reasoning == t[i].reasoning
                    && a.usage.audio_ms == t[i].audio
                    && a.usage.cost_nano == t[i].cost, name))
            {
                printf("# %lld %lld %lld %lld %lld %lld\n",
                       (long long) a.usage.input, (long long) a.usage.cached,
                       (long long) a.usage.output,
                       (long long) a.usage.reasoning,
                       (long long) a.usage.audio_ms,
                       (long long) a.usage.cost_nano);
            }
        }

        if (t[i].content) {
            snprintf(name, sizeof(name), "%s: content", t[i].path);
            is_str(a.content, t[i].content, name);
        }

        snprintf(name, sizeof(name), "%s: finish reason", t[i].path);
        is_str(a.finish_reason, t[i].finish, name);
    }
}


static void
test_odd_answers(void)
{
    size_t        i;
    llm_answer_t  a;

    static const struct {
        llm_endpoint_t   ep;
        const char      *body;
        llm_class_t      class;
    } t[] = {
        { LLM_EP_CHAT, "", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, " \n ", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, "{}", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, "[]", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, "null", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, "{\"choices\":[]}", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, "{\"choices\":{}}", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, "{\"choices\":[1]}", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, "{\"choices\":[{\"message\":", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_CHAT, "{\"choices\":[{}],\"error\":null}", LLM_CLASS_OK },
        { LLM_EP_CHAT, "{\"choices\":[{}],\"error\":false}", LLM_CLASS_OK },
        { LLM_EP_CHAT, "{\"choices\":[{}],\"error\":\"\"}", LLM_CLASS_OK },
        { LLM_EP_CHAT, "{\"choices\":[{}],\"error\":\"boom\"}",
          LLM_CLASS_SERVER },
        { LLM_EP_CHAT, "{\"error\":{}}", LLM_CLASS_SERVER },
        { LLM_EP_CHAT, "{\"error\":{\"code\":\"insufficient_quota\"}}",
          LLM_CLASS_BILLING },
        { LLM_EP_CHAT, "{\"error\":{\"code\":503}}", LLM_CLASS_OVERLOADED },
        { LLM_EP_CHAT, "{\"error\":{\"code\":\"401\"}}", LLM_CLASS_AUTH },
        { LLM_EP_CHAT, "{\"error\":{\"type\":\"invalid_request_error\"}}",
          LLM_CLASS_INVALID_REQUEST },
        { LLM_EP_CHAT, "[{\"error\":{\"code\":429}}]",
          LLM_CLASS_RATE_LIMITED },
        { LLM_EP_CHAT, "{\"choices\":[{\"finish_reason\":\"error\"}]}",
          LLM_CLASS_SERVER },
        { LLM_EP_CHAT, "{\"choices\":[{\"error\":{\"code\":429}}]}",
          LLM_CLASS_RATE_LIMITED },
        { LLM_EP_CHAT, "{\"usage\":1,\"usage\":2,\"choices\":[{}]}",
          LLM_CLASS_OK },
        { LLM_EP_COMPLETIONS, "{\"choices\":[{\"text\":\"x\"}]}",
          LLM_CLASS_OK },
        { LLM_EP_EMBEDDINGS, "{\"object\":\"list\"}", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_TRANSCRIPTIONS, "{\"text\":null}", LLM_CLASS_BAD_ANSWER },
        { LLM_EP_TRANSCRIPTIONS, "{\"text\":\"\"}", LLM_CLASS_OK },
        { LLM_EP_MODELS, "[]", LLM_CLASS_OK },
        { LLM_EP_MODELS, "<html>", LLM_CLASS_BAD_ANSWER }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_int(answer(t[i].ep, tap_c(t[i].body)).class, t[i].class, t[i].body);
    }

    a = answer(LLM_EP_CHAT, tap_c("{\"error\":{\"message\":\"a\\nb\"}}"));
    is_str(a.message, "a\nb", "a hidden error's message");
    a = answer(LLM_EP_COMPLETIONS, tap_c("{\"model\":\"m\",\"choices\":[{"
                                         "\"text\":\"x\"}]}"));
    is_str(a.content, "\"x\"", "a completion's text");
    is_str(a.model, "m", "the model");
    a = answer(LLM_EP_TRANSCRIPTIONS, tap_c("{\"text\":\"x\","
                                            "\"duration\":\"1.8\"}"));
    is_int(a.usage.audio_ms, 1800, "duration as a string");
    a = answer(LLM_EP_TRANSCRIPTIONS, tap_c("{\"text\":\"x\","
                                            "\"duration\":1.8}"));
    is_int(a.usage.audio_ms, 1800, "duration as a number");
    a = answer(LLM_EP_CHAT, tap_c("{\"choices\":[{}],\"x_groq\":{\"usage\":"
                                  "{\"prompt_tokens\":3}}}"));
    is_int(a.usage.input, 3, "usage inside x_groq");
}


/* ---- refusals ------------------------------------------------------- */


static llm_refusal_t
refusal(unsigned status, const llm_hint_t *hint, llm_str_t body)
{
    llm_buf_t      mem;
    llm_hint_t     none;
    llm_refusal_t  r;

    llm_hint_init(&none);
    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&r, 0xaa, sizeof(r));
    openai->refusal(status, hint ? hint : &none, body, NOW, &mem, &r);

    return r;
}


static void
test_refusals(void)
{
    size_t         i;
    unsigned       status;
    llm_str_t      body;
    llm_hint_t     hint;
    llm_refusal_t  r;
    char           name[128];

    static const struct {
        const char   *path;
        llm_class_t   class;
        llm_msec_t    wait;
        int           native;
        const char   *code;
    } t[] = {
        { "openai/error.400-audio-format.http", LLM_CLASS_INVALID_REQUEST, 0,
          1, "" },
        { "openai/error.400-content-policy.http", LLM_CLASS_CONTENT_FILTER, 0,
          1, "content_policy_violation" },
        { "openai/error.400-context-length.http", LLM_CLASS_CONTEXT_LENGTH, 0,
          1, "context_length_exceeded" },
        { "openai/error.400-max-tokens.http", LLM_CLASS_INVALID_REQUEST, 0, 1,
          "unsupported_parameter" },
        { "openai/error.401.http", LLM_CLASS_AUTH, 0, 1, "invalid_api_key" },
        { "openai/error.403-country.http", LLM_CLASS_PERMISSION, 0, 1,
          "unsupported_country_region_territory" },
        { "openai/error.404-model.http", LLM_CLASS_PERMISSION, 0, 1,
          "model_not_found" },
        { "openai/error.413-audio.http", LLM_CLASS_INVALID_REQUEST, 0, 1, "" },
        { "openai/error.429-http-date.http", LLM_CLASS_RATE_LIMITED, 30000, 1,
          "rate_limit_exceeded" },
        { "openai/error.429-no-hint.http", LLM_CLASS_RATE_LIMITED, 0, 1,
          "rate_limit_exceeded" },
        { "openai/error.429-quota-credit.http", LLM_CLASS_BILLING, 0, 1,
          "credit_balance_exhausted" },
        { "openai/error.429-quota-legacy.http", LLM_CLASS_BILLING, 0, 1,
          "insufficient_quota" },
        { "openai/error.429-quota-project.http", LLM_CLASS_BILLING, 0, 1,
          "project_spend_limit_exceeded" },
        { "openai/error.429-rate-limit-requests.http", LLM_CLASS_RATE_LIMITED,
          1480, 1, "rate_limit_exceeded" },
        { "openai/error.429-rate-limit-tokens.http", LLM_CLASS_RATE_LIMITED,
          42000, 1, "rate_limit_exceeded" },
        { "openai/error.429-slow-down.http", LLM_CLASS_RATE_LIMITED, 5000, 1,
          "slow_down" },
        { "openai/error.500.http", LLM_CLASS_SERVER, 0, 1, "" },
        { "openai/error.502-html.http", LLM_CLASS_SERVER, 0, 0, "" },
        { "openai/error.503-empty.http", LLM_CLASS_SERVER, 0, 0, "" },
        { "openai/error.503-overloaded.http", LLM_CLASS_OVERLOADED, 3000, 1,
          "server_is_overloaded" },
        { "azure/error.400-content-filter.http", LLM_CLASS_CONTENT_FILTER, 0,
          1, "content_filter" },
        { "azure/error.401.http", LLM_CLASS_AUTH, 0, 1, "401" },
        { "azure/error.404-deployment.http", LLM_CLASS_PERMISSION, 0, 1,
          "DeploymentNotFound" },
        { "azure/error.429.http", LLM_CLASS_RATE_LIMITED, 5870, 1, "429" },
        { "gemini-openai/error.400-array.http", LLM_CLASS_AUTH, 0, 0, "400" },
        { "gemini-openai/error.429-array.http", LLM_CLASS_RATE_LIMITED, 17000,
          0, "429" },
        { "groq/error.400-json-validate-failed.http", LLM_CLASS_BAD_ANSWER, 0,
          1, "json_validate_failed" },
        { "groq/error.400-tool-use-failed.http", LLM_CLASS_BAD_ANSWER, 0, 1,
          "tool_use_failed" },
        { "groq/error.413-tpm.http", LLM_CLASS_CONTEXT_LENGTH, 0, 1,
          "rate_limit_exceeded" },
        { "groq/error.429.http", LLM_CLASS_RATE_LIMITED, 8000, 1,
          "rate_limit_exceeded" },
        { "groq/error.498-flex.http", LLM_CLASS_OVERLOADED, 0, 1,
          "capacity_exceeded" },
        { "openrouter/error.402-in-flight.http", LLM_CLASS_RATE_LIMITED, 4000,
          0, "402" },
        { "openrouter/error.402.http", LLM_CLASS_BILLING, 0, 0, "402" },
        { "openrouter/error.403-moderation.http", LLM_CLASS_CONTENT_FILTER, 0,
          0, "403" },
        { "openrouter/error.429-free-daily.http", LLM_CLASS_QUOTA, 50400000,
          0, "429" },
        { "openrouter/error.429.http", LLM_CLASS_RATE_LIMITED, 11000, 0,
          "429" },
        { "openrouter/error.502.http", LLM_CLASS_SERVER, 0, 0, "502" },
        { "openrouter/error.503.http", LLM_CLASS_OVERLOADED, 30000, 0,
          "503" },
        { "vllm/error.400-context.http", LLM_CLASS_CONTEXT_LENGTH, 0, 1,
          "400" },
        { "vllm/error.400-old-flat.http", LLM_CLASS_INVALID_REQUEST, 0, 0,
          "400" },
        { "vllm/error.404.http", LLM_CLASS_PERMISSION, 0, 1, "404" },
        { "llamacpp/error.400-context.http", LLM_CLASS_CONTEXT_LENGTH, 0, 1,
          "400" },
        { "llamacpp/error.401.http", LLM_CLASS_AUTH, 0, 1, "401" },
        { "llamacpp/error.503-loading.http", LLM_CLASS_OVERLOADED, 0, 1,
          "503" },
        { "ollama/error.404.http", LLM_CLASS_PERMISSION, 0, 1, "" },
        { "ollama/error.503-busy.http", LLM_CLASS_OVERLOADED, 0, 1, "" },
        { "speaches/error.404-model.http", LLM_CLASS_PERMISSION, 0, 0, "" },
        { "speaches/error.422.http", LLM_CLASS_INVALID_REQUEST, 0, 0, "" },
        { "whispercpp/error.400-no-file.http", LLM_CLASS_INVALID_REQUEST, 0,
          0, "" },
        { "whispercpp/error.404.http", LLM_CLASS_INVALID_REQUEST, 0, 0, "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        body = sample_http(t[i].path, &status, &hint);
        r = refusal(status, &hint, body);

        snprintf(name, sizeof(name), "%s: class", t[i].path);
        is_int(r.outcome.class, t[i].class, name);
        snprintf(name, sizeof(name), "%s: wait", t[i].path);
        is_int(r.outcome.wait, t[i].wait, name);
        snprintf(name, sizeof(name), "%s: may pass", t[i].path);
        is_int(r.native, t[i].native, name);
        snprintf(name, sizeof(name), "%s: code", t[i].path);
        is_str(r.code, t[i].code, name);
    }
}


static void
test_refusal_quota(void)
{
    unsigned       status;
    llm_str_t      body;
    llm_hint_t     hint;
    llm_refusal_t  r;

    body = sample_http("groq/error.429.http", &status, &hint);
    r = refusal(status, &hint, body);
    ok(r.outcome.has_quota && r.outcome.limit == 8000
       && r.outcome.used == 7900 && r.outcome.requested == 1100
       && r.outcome.dim == LLM_DIM_TOKENS && !r.outcome.day,
       "Groq: tokens per minute");

    body = sample_http("openai/error.429-rate-limit-requests.http", &status,
                       &hint);
    r = refusal(status, &hint, body);
    ok(r.outcome.has_quota && r.outcome.limit == 500
       && r.outcome.dim == LLM_DIM_REQUESTS, "OpenAI: requests per minute");

    r = refusal(429, NULL, tap_c("{\"error\":{\"message\":\"Rate limit reached "
                "for model `m` on tokens per day (TPD): Limit 100000, Used "
                "97050, Requested 3619. Please try again in 9m38.016s.\","
                "\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}"));
    ok(r.outcome.class == LLM_CLASS_QUOTA && r.outcome.day
       && r.outcome.wait == 578016 && r.outcome.used == 97050,
       "Groq: tokens per day");

    r = refusal(429, NULL, tap_c("{\"error\":{\"message\":\"seconds of audio "
                "per hour (ASPH): Limit 7200, Used 7100, Requested 200. Please "
                "try again in 50s.\",\"code\":\"rate_limit_exceeded\"}}"));
    ok(r.outcome.class == LLM_CLASS_RATE_LIMITED
       && r.outcome.dim == LLM_DIM_AUDIO_MS && r.outcome.limit == 7200000,
       "Groq: audio seconds");

    r = refusal(429, NULL, tap_c("[{\"error\":{\"code\":429,\"details\":[{"
                "\"violations\":[{\"quotaId\":\"GenerateRequestsPerDayPer"
                "Project\",\"quotaValue\":\"50\"}]},{\"retryDelay\":\"37s\"}]"
                "}}]"));
    ok(r.outcome.class == LLM_CLASS_QUOTA && r.outcome.day
       && r.outcome.wait == 0, "Gemini: a day's quota ignores retryDelay");

    r = refusal(429, NULL, tap_c("{\"error\":{\"message\":\"Quota exceeded for "
                "metric: x, limit: 0, model: y\"}}"));
    ok(r.outcome.class == LLM_CLASS_QUOTA && r.outcome.never,
       "Gemini: limit: 0 is never");

    r = refusal(429, NULL, tap_c("{\"error\":{\"message\":\"limit: 0.5\"}}"));
    ok(r.outcome.class == LLM_CLASS_RATE_LIMITED && !r.outcome.never,
       "limit: 0.5 is not");
}


static void
test_odd_refusals(void)
{
    size_t         i;
    char           name[160], body[8192];
    llm_hint_t     hint;
    llm_refusal_t  r;

    static const struct {
        unsigned      status;
        const char   *body;
        llm_class_t   class;
    } t[] = {
        { 301, "", LLM_CLASS_BAD_ANSWER },
        { 400, "", LLM_CLASS_INVALID_REQUEST },
        { 400, "{\"error\":{\"message\":\"API key not valid. Please pass a "
               "valid API key.\",\"details\":[{\"reason\":\"API_KEY_INVALID\""
               "}]}}", LLM_CLASS_AUTH },
        { 400, "{\"error\":{\"message\":\"Your credit balance is too low\"}}",
          LLM_CLASS_BILLING },
        { 401, "<html>", LLM_CLASS_AUTH },
        { 402, "", LLM_CLASS_BILLING },
        { 403, "{\"error\":{\"message\":\"Your API key may not do this\"}}",
          LLM_CLASS_AUTH },
        { 403, "", LLM_CLASS_PERMISSION },
        { 404, "404 page not found", LLM_CLASS_INVALID_REQUEST },
        { 408, "", LLM_CLASS_SERVER },
        { 409, "", LLM_CLASS_SERVER },
        { 413, "<html>413</html>", LLM_CLASS_INVALID_REQUEST },
        { 415, "", LLM_CLASS_INVALID_REQUEST },
        { 422, "", LLM_CLASS_INVALID_REQUEST },
        { 425, "", LLM_CLASS_SERVER },
        { 429, "", LLM_CLASS_RATE_LIMITED },
        { 429, "not { json", LLM_CLASS_RATE_LIMITED },
        { 429, "{\"error\":null}", LLM_CLASS_RATE_LIMITED },
        { 500, "", LLM_CLASS_SERVER },
        { 502, "", LLM_CLASS_SERVER },
        { 504, "", LLM_CLASS_SERVER },
        { 520, "", LLM_CLASS_SERVER },
        { 529, "", LLM_CLASS_OVERLOADED }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        snprintf(name, sizeof(name), "%u %s", t[i].status, t[i].body);
        r = refusal(t[i].status, NULL, tap_c(t[i].body));
        is_int(r.outcome.class, t[i].class, name);
    }

    llm_hint_init(&hint);
    llm_hint_header(&hint, LLM_STR("retry-after"), LLM_STR("7"), NOW);
    r = refusal(503, &hint, LLM_STR("<html>"));
    ok(r.outcome.class == LLM_CLASS_OVERLOADED && r.outcome.wait == 7000,
       "a 503 that says when to come back is overload");
    llm_hint_header(&hint, LLM_STR("retry-after"), LLM_STR("121"), NOW);
    r = refusal(429, &hint, LLM_NOSTR);
    ok(r.outcome.class == LLM_CLASS_QUOTA && r.outcome.wait == 121000
       && !r.outcome.day, "more than two minutes is a quota");

    r = refusal(401, NULL, tap_c("{\"error\":{\"message\":\"Invalid key "
                                 "gsk_0123456789abcdefXYZ-_ given\"}}"));
    is_str(r.message, "Invalid key ************************* given",
           "a key in the message is masked");
    r = refusal(400, NULL, tap_c("{\"error\":{\"message\":\"cut \\u00e4\","
                                 "\"type\":\"t\",\"failed_generation\":\"abc"));
    ok(llm_str_eq(r.message, LLM_STR("cut \xc3\xa4"))
       && llm_str_eq(r.type, LLM_STR("t")) && !r.native,
       "a body cut at 16 KiB still tells");
    r = refusal(422, NULL, tap_c("{\"detail\":[{\"msg\":"
                                 "\"Field required\"}]}"));
    is_str(r.message, "Field required", "FastAPI's list");
    r = refusal(400, NULL, tap_c("{\"error\":\"no 'file' field\"}"));
    is_str(r.message, "no 'file' field", "an error that is a string");

    for (i = 0; i < 3; i++) {
        snprintf(body, sizeof(body), "{\"error\":{\"message\":\"%*s%0*d\"}}",
                 (int) i, "", 3000, 0);
        memcpy(body + 21 + i, "\\u00e4\\u00e4", 12);
        r = refusal(400, NULL, tap_c(body));
        ok(r.message.len > 1700 && r.message.len <= 1792, "long messages");
    }
}


/* ---- streams -------------------------------------------------------- */


typedef struct {
    llm_stream_t  *stream;
    char          *out;
} verdicts_t;


static void
verdict(void *data, const llm_sse_event_t *ev, int whole)
{
    llm_buf_t    mem;
    verdicts_t  *v = data;

    (void) whole;

    llm_buf_init(&mem, memory, sizeof(memory));

    switch (openai->event(v->stream, ev, &mem)) {
    case LLM_EVENT_PREFACE:
        /* blank lines between events are no events */
        if (ev->has_data) {
            *v->out++ = 'p';
        }
        break;
    case LLM_EVENT_CONTENT:
        *v->out++ = 'C';
        break;
    case LLM_EVENT_USAGE:
        *v->out++ = 'U';
        break;
    case LLM_EVENT_DONE:
        *v->out++ = 'D';
        break;
    case LLM_EVENT_ERROR:
        *v->out++ = 'E';
        break;
    default:
        *v->out++ = 'm';
    }
}


/* One letter for each event, however the stream is cut into pieces. */
static const char *
verdicts(llm_str_t raw, size_t piece, llm_stream_t *s, llm_endpoint_t ep,
    char *out)
{
    verdicts_t  v = { s, out };

    llm_stream_init(s, ep);
    stream_read(raw, piece, verdict, &v);
    *v.out = '\0';

    return out;
}


static void
test_streams(void)
{
    size_t        i, j;
    llm_str_t     raw;
    llm_stream_t  s;
    char          name[160], got[256];

    static const size_t  pieces[] = { 1000000, 1, 7 };

    static const struct {
        const char      *path;
        llm_endpoint_t   ep;
        const char      *verdicts;
        int              complete;
        uint64_t         input, output;
    } t[] = {
        { "openai/chat.stream.sse", LLM_EP_CHAT, "pCCCCCUD", 1, 11, 6 },
        { "openai/chat.stream.no-usage.sse", LLM_EP_CHAT, "pCCCCCD", 1, U,
          U },
        { "openai/chat.stream.crlf.sse", LLM_EP_CHAT, "pCCCCCD", 1, U, U },
        { "openai/chat.stream.cr.sse", LLM_EP_CHAT, "pCCCCCD", 1, U, U },
        { "openai/chat.stream.nospace.sse", LLM_EP_CHAT, "pCCCCCD", 1, U, U },
        { "openai/chat.stream.cut.sse", LLM_EP_CHAT, "pCCC", 0, U, U },
        { "openai/chat.stream.cut-inside-event.sse", LLM_EP_CHAT, "pCCm", 0,
          U, U },
        { "openai/chat.stream.no-done.sse", LLM_EP_CHAT, "pCCCCC", 1, U, U },
        { "openai/chat.stream.error-midway.sse", LLM_EP_CHAT, "pCCE", 0, U,
          U },
        { "openai/chat.stream.empty-frames.sse", LLM_EP_CHAT, "pCppCCD", 1, U,
          U },
        { "openai/chat.stream.length.sse", LLM_EP_CHAT, "pCCD", 1, U, U },
        { "openai/chat.stream.n2.sse", LLM_EP_CHAT, "ppCCCCD", 1, U, U },
        { "openai/chat.stream.obfuscation.sse", LLM_EP_CHAT, "pCCD", 1, U,
          U },
        { "openai/chat.stream.tools.sse", LLM_EP_CHAT, "pCCCCCCCCD", 1, U,
          U },
        { "openai/chat.stream.tools-whole.sse", LLM_EP_CHAT, "CCD", 1, U, U },
        { "openai/chat.stream.usage-null.sse", LLM_EP_CHAT, "pCCD", 1, 5, 2 },
        { "openai/chat.stream.utf8.sse", LLM_EP_CHAT, "pCCCCCCD", 1, U, U },
        { "openai/chat.stream.utf8-escaped.sse", LLM_EP_CHAT, "pCCD", 1, U,
          U },
        { "openai/responses.stream.sse", LLM_EP_RESPONSES, "ppppCCCCCC", 1,
          11, 4 },
        { "openai/responses.stream.tools.sse", LLM_EP_RESPONSES, "pppCCCCC",
          1, 11, 4 },
        { "openai/responses.stream.incomplete.sse", LLM_EP_RESPONSES,
          "ppppCCC", 1, 11, 4 },
        { "openai/responses.stream.failed.sse", LLM_EP_RESPONSES, "ppppCE", 0,
          U, U },
        { "openai/responses.stream.error.sse", LLM_EP_RESPONSES, "pppE", 0, U,
          U },
        { "openai/transcription.stream.sse", LLM_EP_TRANSCRIPTIONS, "CCCD", 1,
          18, 9 },
        { "azure/chat.stream.sse", LLM_EP_CHAT, "ppCCD", 1, U, U },
        { "gemini-openai/chat.stream.sse", LLM_EP_CHAT, "CCD", 1, U, U },
        { "groq/chat.stream.sse", LLM_EP_CHAT, "pCCCD", 1, 78, 31 },
        { "openrouter/chat.stream.sse", LLM_EP_CHAT, "CCCUD", 1, 8, 2 },
        { "openrouter/chat.stream.double-finish.sse", LLM_EP_CHAT, "CCCD", 1,
          8, 2 },
        { "openrouter/chat.stream.error-midway.sse", LLM_EP_CHAT, "CED", 0, U,
          U },
        { "openrouter/chat.stream.reasoning.sse", LLM_EP_CHAT, "CCCD", 1, U,
          U },
        { "vllm/chat.stream.sse", LLM_EP_CHAT, "pCCCUD", 1, 12, 28 },
        { "vllm/transcription.stream.sse", LLM_EP_TRANSCRIPTIONS, "CCD", 1, U,
          U },
        { "llamacpp/chat.stream.sse", LLM_EP_CHAT, "pCCCD", 1, U, U },
        { "ollama/chat.stream.sse", LLM_EP_CHAT, "CCCD", 1, U, U },
        { "speaches/transcription.stream.sse", LLM_EP_TRANSCRIPTIONS, "CC", 1,
          U, U },
        { "hostile/big-event.stream.sse", LLM_EP_CHAT, "CD", 1, U, U },
        { "hostile/bom.stream.sse", LLM_EP_CHAT, "CD", 1, U, U },
        { "hostile/fields.stream.sse", LLM_EP_CHAT, "CD", 1, U, U },
        { "hostile/garbage.stream.sse", LLM_EP_CHAT, "mCD", 1, U, U },
        { "hostile/invalid-utf8.stream.sse", LLM_EP_CHAT, "CD", 1, U, U },
        { "hostile/lone-surrogate.stream.sse", LLM_EP_CHAT, "CCD", 1, U, U },
        { "hostile/multi-line-data.stream.sse", LLM_EP_CHAT, "CD", 1, U, U },
        { "hostile/nul-escape.stream.sse", LLM_EP_CHAT, "CD", 1, U, U },
        { "anthropic/messages.stream.sse", LLM_EP_CHAT, "ppppppppUp", 0, U,
          8 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {

        raw = tap_fixture(t[i].path);

        for (j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++) {

            snprintf(name, sizeof(name), "%s in pieces of %zu", t[i].path,
                     pieces[j]);
            is_str(tap_c(verdicts(raw, pieces[j], &s, t[i].ep, got)),
                   t[i].verdicts, name);
            ok(llm_stream_complete(&s) == t[i].complete
               && s.usage.input == t[i].input && s.usage.output == t[i].output,
               "complete, usage");
        }
    }
}


/* One event of JSON on a fresh stream. */
static llm_event_t
event(llm_endpoint_t ep, const char *name, const char *data, llm_stream_t *s)
{
    llm_buf_t        mem;
    llm_sse_event_t  ev;

    llm_stream_init(s, ep);
    llm_buf_init(&mem, memory, sizeof(memory));
    ev.event = tap_c(name);
    ev.data = tap_c(data);
    ev.has_data = 1;

    return openai->event(s, &ev, &mem);
}


static void
test_odd_events(void)
{
    size_t        i;
    llm_stream_t  s;

    static const struct {
        llm_endpoint_t   ep;
        const char      *data;
        llm_event_t      verdict;
        llm_class_t      class;
    } t[] = {
        { LLM_EP_CHAT, "", LLM_EVENT_PREFACE, 0 },
        { LLM_EP_CHAT, "{}", LLM_EVENT_PREFACE, 0 },
        { LLM_EP_CHAT, "[DONE] ", LLM_EVENT_DONE, 0 },
        { LLM_EP_CHAT, "[]", LLM_EVENT_MALFORMED, 0 },
        { LLM_EP_CHAT, "3", LLM_EVENT_MALFORMED, 0 },
        { LLM_EP_CHAT, "{\"choices\":[{\"delta\":", LLM_EVENT_MALFORMED, 0 },
        { LLM_EP_CHAT, "{\"choices\":[{\"delta\":{\"role\":\"assistant\","
          "\"content\":null,\"refusal\":null,\"tool_calls\":[ ]}}]}",
          LLM_EVENT_PREFACE, 0 },
        { LLM_EP_CHAT, "{\"choices\":[{\"delta\":{\"refusal\":\"no\"}}]}",
          LLM_EVENT_CONTENT, 0 },
        { LLM_EP_CHAT, "{\"choices\":[{\"delta\":{\"audio\":{\"id\":\"a\"}}}]}",
          LLM_EVENT_CONTENT, 0 },
        { LLM_EP_CHAT, "{\"choices\":[{\"delta\":{\"function_call\":{\"name\":"
          "\"f\"}}}]}", LLM_EVENT_CONTENT, 0 },
        { LLM_EP_CHAT, "{\"choices\":[{\"delta\":{},\"finish_reason\":"
          "\"stop\"}]}", LLM_EVENT_CONTENT, 0 },
        { LLM_EP_CHAT, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"\"}]}",
          LLM_EVENT_PREFACE, 0 },
        { LLM_EP_CHAT, "{\"choices\":[{\"finish_reason\":\"error\"}]}",
          LLM_EVENT_ERROR, LLM_CLASS_SERVER },
        { LLM_EP_CHAT, "{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}",
          LLM_EVENT_USAGE, 0 },
        { LLM_EP_CHAT, "{\"choices\":[],\"usage\":null}", LLM_EVENT_PREFACE,
          0 },
        { LLM_EP_CHAT, "{\"error\":null,\"choices\":[]}", LLM_EVENT_PREFACE,
          0 },
        { LLM_EP_CHAT, "{\"error\":{\"code\":429,\"message\":\"x\"}}",
          LLM_EVENT_ERROR, LLM_CLASS_RATE_LIMITED },
        { LLM_EP_CHAT, "{\"error\":\"boom\"}", LLM_EVENT_ERROR,
          LLM_CLASS_SERVER },
        { LLM_EP_CHAT, "[{\"error\":{\"code\":503}}]", LLM_EVENT_ERROR,
          LLM_CLASS_OVERLOADED },
        { LLM_EP_CHAT, "{\"type\":\"error\",\"error\":{\"type\":"
          "\"overloaded_error\"}}", LLM_EVENT_ERROR, LLM_CLASS_OVERLOADED },
        { LLM_EP_COMPLETIONS, "{\"choices\":[{\"text\":\"\"}]}",
          LLM_EVENT_PREFACE, 0 },
        { LLM_EP_COMPLETIONS, "{\"choices\":[{\"text\":\"x\"}]}",
          LLM_EVENT_CONTENT, 0 },
        { LLM_EP_RESPONSES, "{\"type\":\"error\",\"code\":"
          "\"rate_limit_exceeded\",\"message\":\"Slow down.\"}",
          LLM_EVENT_ERROR, LLM_CLASS_RATE_LIMITED },
        { LLM_EP_RESPONSES, "{\"type\":\"response.output_text.delta\","
          "\"delta\":\"\"}", LLM_EVENT_PREFACE, 0 },
        { LLM_EP_RESPONSES, "{\"type\":\"response.new.thing\"}",
          LLM_EVENT_CONTENT, 0 },
        { LLM_EP_TRANSCRIPTIONS, "{\"text\":\"\"}", LLM_EVENT_CONTENT, 0 },
        { LLM_EP_SPEECH, "{\"type\":\"speech.audio.delta\",\"audio\":\"x\"}",
          LLM_EVENT_CONTENT, 0 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        is_int(event(t[i].ep, "", t[i].data, &s), t[i].verdict, t[i].data);
        is_int(s.error, t[i].class, "its class");
    }

    ok(event(LLM_EP_CHAT, "error", "gone", &s) == LLM_EVENT_ERROR
       && s.error == LLM_CLASS_SERVER, "an error event that is not JSON");
    (void) event(LLM_EP_RESPONSES, "", "{\"type\":\"error\",\"message\":"
                 "\"Slow down.\"}", &s);
    is_str(s.message, "Slow down.", "the message of an error event");

    (void) event(LLM_EP_CHAT, "", "[DONE]", &s);
    ok(!llm_stream_complete(&s), "[DONE] alone is no answer");
    (void) event(LLM_EP_CHAT, "", "{\"choices\":[{\"index\":1,"
                 "\"finish_reason\":\"stop\"},{\"index\":99,\"delta\":{}}]}",
                 &s);
    ok(!llm_stream_complete(&s), "one of two choices is over");
    ok(s.choices == (2 | 1ULL << 63) && s.finished == 2, "choices are counted");
    ok(s.needs_done, "chat ends with [DONE]");
    llm_stream_init(&s, LLM_EP_RESPONSES);
    ok(!s.needs_done && !llm_stream_complete(&s), "Responses does not");
}


#define HEAD  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
#define TAIL  "\"},\"finish_reason\":null}]}"

/* The frame of a content event is remembered: it must not hide anything. */
static void
test_remembered(void)
{
    size_t           i;
    char             name[128];
    llm_buf_t        mem;
    llm_stream_t     s;
    llm_sse_event_t  ev;

    static const struct {
        const char   *data;
        llm_event_t   verdict;
    } t[] = {
        { HEAD "next" TAIL, LLM_EVENT_CONTENT },
        { HEAD "a\\n\\\"\\\\" TAIL, LLM_EVENT_CONTENT },
        { HEAD "\\u00e4\\ud83d" TAIL, LLM_EVENT_CONTENT },
        { HEAD "\xc3\xa4" TAIL, LLM_EVENT_CONTENT },
        { HEAD TAIL, LLM_EVENT_PREFACE },
        { HEAD "a\\" TAIL, LLM_EVENT_MALFORMED },
        { HEAD "a\\x" TAIL, LLM_EVENT_MALFORMED },
        { HEAD "a\\u00g0" TAIL, LLM_EVENT_MALFORMED },
        { HEAD "a\nb" TAIL, LLM_EVENT_MALFORMED },
        { HEAD "a\"b" TAIL, LLM_EVENT_MALFORMED },
        { HEAD "a" TAIL "}", LLM_EVENT_MALFORMED },
        { HEAD "\"},\"finish_reason\":\"error\"},{\"delta\":{\"content\":\"x"
          TAIL, LLM_EVENT_ERROR },
        { HEAD "\"},\"finish_reason\":\"stop\"}],\"error\":{},\"x\":[{"
          "\"y\":{\"z\":\"" TAIL, LLM_EVENT_ERROR },
        { "[DONE]", LLM_EVENT_DONE }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        (void) event(LLM_EP_CHAT, "", HEAD "first" TAIL, &s);
        ok(s.head && s.tail, "the frame is remembered");

        ev.event = LLM_NOSTR;
        ev.data = tap_c(t[i].data);
        ev.has_data = 1;
        llm_buf_init(&mem, memory, sizeof(memory));
        snprintf(name, sizeof(name), "then %s", t[i].data);
        is_int(openai->event(&s, &ev, &mem), t[i].verdict, name);
    }

    (void) event(LLM_EP_CHAT, "", "{\"usage\":{},\"choices\":[{\"delta\":{"
                 "\"content\":\"x\"}}]}", &s);
    is_int(s.head, 0, "no frame with usage in it");
    (void) event(LLM_EP_CHAT, "", "{\"choices\":[{\"delta\":{\"content\":"
                 "\"x\"},\"finish_reason\":\"stop\"}]}", &s);
    is_int(s.head, 0, "nor with a finish reason");
}


static llm_str_t
path(llm_endpoint_t ep, const char *rest)
{
    llm_buf_t             out;
    llm_place_t           place;
    static unsigned char  text[128];

    memset(&place, 0, sizeof(llm_place_t));
    place.rest = tap_c(rest);

    llm_buf_init(&out, text, sizeof(text));
    openai->path(ep, &place, &out);

    return llm_buf_view(&out);
}


static void
test_row(void)
{
    char                 *name;
    char                  names[128];
    const llm_dialect_t  *mock;

    mock = llm_dialect_find(LLM_STR("mock"));
    ok(mock && mock->event == openai->event, "mock answers like openai");
    ok(llm_dialect_find(LLM_STR("klingon")) == NULL, "no such dialect");
    snprintf(names, sizeof(names), "%.*s", (int) llm_dialect_names().len,
             llm_dialect_names().data);

    for (name = strtok(names, ", "); name; name = strtok(NULL, ", ")) {
        ok(llm_dialect_find(tap_c(name)) != NULL, name);
    }

    is_str(openai->auth_header, "Authorization", "header of the key");
    is_str(openai->auth_prefix, "Bearer ", "and what stands before it");

    is_str(path(LLM_EP_CHAT, ""), "/chat/completions", "path");
    is_str(path(LLM_EP_RESPONSES, "/resp_1/cancel"), "/responses/resp_1/cancel",
           "with a rest");
    is_str(path(LLM_EP_MODELS, "/a b\r\nX: y?c#d%41%4"),
           "/models/a%20b%0D%0AX:%20y%3Fc%23d%41%254",
           "which cannot leave the path");
    is_str(path(LLM_EP_PASSTHROUGH, "/x/y"), "/x/y", "passthrough");
    is_str(path(LLM_EP_PASSTHROUGH, ""), "/", "passthrough of nothing");

    ok(openai->key_looks_right(LLM_STR("api.groq.com"), LLM_STR("gsk_x")),
       "a Groq key");
    ok(!openai->key_looks_right(LLM_STR("api.groq.com"), LLM_STR("sk-x")),
       "is none");
    ok(!openai->key_looks_right(LLM_STR("openrouter.ai"), LLM_STR("sk-x")),
       "nor OpenRouter's");
    ok(!openai->key_looks_right(LLM_STR("api.openai.com"), LLM_STR("sk-")),
       "a prefix alone");
    ok(openai->key_looks_right(LLM_STR("127.0.0.1"), LLM_STR("x")),
       "unknown hosts take anything");
}


static void
test_text(void)
{
    is_str(llm_openai_text(LLM_EP_CHAT, tap_c("{\"choices\":[{\"index\":0,"
                           "\"delta\":{\"content\":\"a\\nb\"}},{\"delta\":"
                           "{\"content\":\"c\"}}]}")),
           "\"a\\nb\"", "text of a chat's first choice");
    is_str(llm_openai_text(LLM_EP_CHAT, tap_c("{\"choices\":[{\"delta\":"
                           "{\"reasoning\":\"a\"}}]}")), "",
           "no reasoning");
    is_str(llm_openai_text(LLM_EP_CHAT, tap_c("{\"choices\":[{\"delta\":"
                           "{\"content\":null}}]}")), "", "no null");
    is_str(llm_openai_text(LLM_EP_COMPLETIONS,
                           tap_c("{\"choices\":[{\"text\":\"x\"}]}")),
           "\"x\"", "text of a completion");
    is_str(llm_openai_text(LLM_EP_RESPONSES,
                           tap_c("{\"type\":\"response.output_text.delta\","
                                 "\"delta\":\"Hello\"}")),
           "\"Hello\"", "text of a response");
    is_str(llm_openai_text(LLM_EP_RESPONSES,
                           tap_c("{\"type\":\"response.function_call_argu"
                                 "ments.delta\",\"delta\":\"{\"}")),
           "", "no arguments");
    is_str(llm_openai_text(LLM_EP_TRANSCRIPTIONS,
                           tap_c("{\"type\":\"transcript.text.delta\","
                                 "\"delta\":\"Hi\"}")),
           "\"Hi\"", "text of a transcript");
    is_str(llm_openai_text(LLM_EP_CHAT, tap_c("[DONE]")), "", "no JSON");
}


int
main(void)
{
    openai = llm_dialect_find(LLM_STR("openai"));

    test_answers();
    test_odd_answers();
    test_refusals();
    test_refusal_quota();
    test_odd_refusals();
    test_streams();
    test_odd_events();
    test_remembered();
    test_row();
    test_text();

    return tap_done();
}
