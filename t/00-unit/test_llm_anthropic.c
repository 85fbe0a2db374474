/*
 * The Anthropic dialect against sample exchanges: what an answer, a refusal and
 * each event of a stream mean, and what becomes of a request.
 */

#include "sample.h"

#include "llm_anthropic.h"
#include "llm_front.h"

#define NOW  SAMPLE_NOW
#define U    LLM_UNKNOWN

static const llm_dialect_t  *anthropic;
static unsigned char         memory[2048];
static unsigned char         written[65536];


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
        { "messages.response.json", 0, 24, 0, 15, U, "end_turn" },
        { "messages.tools.response.json", 0, 410, 0, 92, U, "tool_use" },
        { "messages.thinking.response.json", 0, 14, 0, 60, 48, "end_turn" },
        { "messages.cached.response.json", 0, 2100, 1900, 5, U, "end_turn" },
        { "messages.refusal.response.json", 0, 30, 0, 1, U, "refusal" },
        { "messages.max-tokens.response.json", 0, U - 1, 0, U - 1, U,
          "max_tokens" },
        { "../openai/chat.response.json", LLM_CLASS_BAD_ANSWER, U, U, U, U,
          "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        snprintf(name, sizeof(name), "anthropic/%s", t[i].path);

        llm_buf_init(&mem, memory, sizeof(memory));
        memset(&a, 0xaa, sizeof(a));
        a.brief = 0;
        a.sink = NULL;
        anthropic->answer(LLM_EP_CHAT, tap_fixture(name), &mem, &a);

        is_int(a.class, t[i].class, name);
        is_str(a.finish_reason, t[i].finish, "... finish");

        if (t[i].input != U - 1) {
            is_int(a.usage.input, t[i].input, "... input");
            is_int(a.usage.cached, t[i].cached, "... cached");
            is_int(a.usage.output, t[i].output, "... output");
            is_int(a.usage.reasoning, t[i].reasoning, "... reasoning");
        }
    }

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&a, 0, sizeof(a));
    anthropic->answer(LLM_EP_CHAT, LLM_STR("{\"type\":\"error\",\"error\":"
                      "{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}"),
                      &mem, &a);
    is_int(a.class, LLM_CLASS_OVERLOADED, "an error inside a 200");
    is_str(a.message, "Busy", "... its message");

    anthropic->answer(LLM_EP_CHAT, LLM_STR("<html>"), &mem, &a);
    is_int(a.class, LLM_CLASS_BAD_ANSWER, "no JSON");
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
    } t[] = {
        { "400", LLM_CLASS_INVALID_REQUEST, 0 },
        { "400-credit", LLM_CLASS_BILLING, 0 },
        { "400-prompt-too-long", LLM_CLASS_CONTEXT_LENGTH, 0 },
        { "400-sampling", LLM_CLASS_INVALID_REQUEST, 0 },
        { "401", LLM_CLASS_AUTH, 0 },
        { "402", LLM_CLASS_BILLING, 0 },
        { "403", LLM_CLASS_PERMISSION, 0 },
        { "404", LLM_CLASS_PERMISSION, 0 },
        { "413", LLM_CLASS_INVALID_REQUEST, 0 },
        { "429", LLM_CLASS_RATE_LIMITED, 37000 },
        { "429-ramp", LLM_CLASS_RATE_LIMITED, 12000 },
        { "429-spend-limit", LLM_CLASS_BILLING, 0 },
        { "500", LLM_CLASS_SERVER, 0 },
        { "504", LLM_CLASS_SERVER, 0 },
        { "529", LLM_CLASS_OVERLOADED, 0 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        snprintf(name, sizeof(name), "anthropic/error.%s.http", t[i].name);

        body = sample_http(name, &status, &hint);
        llm_buf_init(&mem, memory, sizeof(memory));
        anthropic->refusal(status, &hint, body, NOW, &mem, &r);

        is_int(r.outcome.class, t[i].class, name);
        is_int(r.outcome.wait, t[i].wait, "... wait");
        ok(r.message.len != 0 && r.native, "... message, native");
    }

    llm_hint_init(&hint);
    anthropic->refusal(529, &hint, LLM_STR("<html>"), NOW, &mem, &r);
    is_int(r.outcome.class, LLM_CLASS_OVERLOADED, "a page: the status counts");
    ok(!r.native, "... and nothing passes");
}


/* ---- requests ------------------------------------------------------- */


/* What a request becomes; *rc and *loss tell the rest. */
static llm_str_t
request(const char *body, const char *model, const char *version,
    llm_rc_t *rc, llm_loss_t *loss)
{
    llm_buf_t  out;
    llm_hub_t  hub;

    hub.model = tap_c(model);
    hub.version = tap_c(version);
    llm_buf_init(&out, written, sizeof(written));

    *rc = llm_hub_read(&hub, tap_c(body), LLM_NOSTR, loss);

    if (*rc == LLM_OK) {
        *rc = anthropic->request(&hub, &out, loss);
    }

    return llm_buf_view(&out);
}


#define ASK(members)  "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"  \
                      members "}"
#define SENT(rest)    "{\"messages\":[{\"role\":\"user\",\"content\":"         \
                      "[{\"type\":\"text\",\"text\":\"a\"}]}]" rest "}"
#define MODEL         ",\"model\":\"c\",\"max_tokens\":4096"

static void
test_requests(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_str_t   s;
    llm_loss_t  loss;

    static const struct {
        const char  *in, *out, *version, *name;
    } t[] = {
        { ASK(""), SENT(MODEL), "", "the smallest" },
        { ASK(",\"max_tokens\":5"), SENT(",\"model\":\"c\",\"max_tokens\":5"),
          "", "max_tokens" },
        { ASK(",\"temperature\":2e0"), SENT(MODEL ",\"temperature\":1"), "",
          "a temperature above 1" },
        { ASK(",\"temperature\":1.0,\"top_p\":0.5"),
          SENT(MODEL ",\"temperature\":1.0"), "", "no top_p beside it" },
        { ASK(",\"top_p\":0.5"), SENT(MODEL ",\"top_p\":0.5"), "2023-06-01",
          "top_p alone" },
        { ASK(",\"top_p\":0.5"), SENT(MODEL), "2026-10-21", "a version" },
        { ASK(",\"stop\":\"\\n\\n\""), SENT(MODEL), "", "a blank stop" },
        { ASK(",\"stop\":[\"x\",\" \"]"),
          SENT(MODEL ",\"stop_sequences\":[\"x\"]"), "", "stops" },
        { ASK(",\"reasoning_effort\":\"none\""),
          SENT(MODEL ",\"thinking\":{\"type\":\"disabled\"}"), "",
          "no effort" },
        { ASK(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"),
          SENT(MODEL ",\"thinking\":{\"type\":\"enabled\","
               "\"budget_tokens\":1024}"), "", "thinking itself" },
        { ASK(",\"user\":\"a@b.c\""), SENT(MODEL), "", "no addresses" },
        { "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"}]}",
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
          "\"text\":\".\"}]}],\"system\":[{\"type\":\"text\",\"text\":\"s\"}]"
          MODEL "}", "", "instructions alone" },
        { "{\"messages\":[{\"role\":\"system\",\"content\":\" \"},"
          "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"developer\","
          "\"content\":[{\"type\":\"text\",\"text\":\"\"},"
          "{\"type\":\"text\",\"text\":\"s\"}]},{\"role\":\"user\","
          "\"content\":\"b\"}]}",
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
          "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}],\"system\":"
          "[{\"type\":\"text\",\"text\":\"s\"}]" MODEL "}", "",
          "instructions later on" },
        { "{\"messages\":[{\"role\":\"assistant\",\"content\":\"b \"}]}",
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
          "\"text\":\".\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
          "\"text\",\"text\":\"b\"}]}]" MODEL "}", "", "an assistant first" }
    };

    static const struct {
        const char  *in;
        llm_rc_t     rc;
        const char  *param;
    } bad[] = {
        { ASK(",\"n\":2"), LLM_NONE, "n" },
        { ASK(",\"tools\":[{\"type\":\"custom\"}]"), LLM_NONE, "tools" },
        { "{\"messages\":{}}", LLM_BAD, "messages" },
        { "{\"messages\":[1]}", LLM_BAD, "messages" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":1}]}", LLM_BAD,
          "messages" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
          "\"image_url\",\"image_url\":{\"url\":\"data:image/png,x\"}}]}]}",
          LLM_NONE, "messages" },
        { "[]", LLM_BAD, "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        s = request(t[i].in, "c", t[i].version, &rc, &loss);
        is_int(rc, LLM_OK, t[i].name);
        is_str(s, t[i].out, "... as a message");
        is_int(llm_json_check(s), LLM_OK, "... of JSON");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void) request(bad[i].in, "c", "", &rc, &loss);
        is_int(rc, bad[i].rc, bad[i].in);
        is_str(loss.param, bad[i].param, "... by name");
        ok(loss.message.len, "... in a sentence");
    }

    (void) request(ASK(",\"seed\":1,\"x\":{\"y\":1},\"store\":false"), "c", "",
                   &rc, &loss);
    is_int(loss.n, 2, "what was left out");
    is_str(loss.name[0], "x", "... a name nobody knows");
    is_str(loss.name[1], "seed", "... and a known one");
}


/* Older models are told what newer ones are asked for. */
static void
test_schema(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_str_t   s;
    llm_loss_t  loss;

    static const char  *body = ASK(",\"response_format\":{\"type\":"
        "\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":"
        "{\"type\": \"object\",\"title\":\"\\n\"}}}");

    static const struct {
        const char  *model;
        int          native;
    } t[] = {
        { "claude-3-5-haiku-20241022", 0 }, { "claude-3-haiku-20240307", 0 },
        { "claude-3-7-sonnet-latest", 0 }, { "claude-sonnet-4-0", 0 },
        { "claude-sonnet-4-20250514", 0 }, { "claude-opus-4-20250514", 0 },
        { "claude-opus-4-1-20250805", 0 }, { "claude-opus-4-1", 0 },
        { "claude-sonnet-4-5-20250929", 1 }, { "claude-opus-4-5", 1 },
        { "claude-haiku-4-5-20251001", 1 }, { "claude-opus-4-6", 1 },
        { "claude-sonnet-5", 1 }, { "glm-5", 1 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        s = request(body, t[i].model, "", &rc, &loss);
        is_int(rc, LLM_OK, t[i].model);
        is_int(loss.n, 0, "... nothing is left out");
        is_int(llm_json_check(s), LLM_OK, "... JSON");
        is_int(llm_openai_has(s, LLM_STR(",\"output_config\":{\"format\":"
                              "{\"type\":\"json_schema\",\"schema\":{\"type\""
                              ":\"object\",\"title\":\"\\n\","
                              "\"additionalproperties\":false}}}")),
               t[i].native, "... asked for");
        is_int(llm_openai_has(s, LLM_STR("code fence.\\n\\n{\\\"type\\\": "
                              "\\\"object\\\",\\\"title\\\":\\\"\\\\n"
                              "\\\"}\"}],\"model\"")),
               !t[i].native, "... or told");
    }
}


/* Objects are closed, bounds are left out; names and values are nobody's. */
static void
test_closed(void)
{
    size_t                i;
    llm_buf_t             out;
    static unsigned char  mem[4096];

    static const struct {
        const char  *schema;
        const char  *want;
    } t[] = {
        { "{}", "{}" },
        { "true", "true" },
        { "{\"type\":\"string\",\"maxLength\":9}", "{\"type\":\"string\"}" },
        { "{\"type\":[\"object\",\"null\"]}",
          "{\"type\":[\"object\",\"null\"],\"additionalProperties\":false}" },
        { "{ \"additionalProperties\" : true , \"type\" : \"object\" }",
          "{\"type\":\"object\",\"additionalProperties\":false}" },
        { "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":"
          "\"object\"},\"minimum\":{\"minimum\":1,\"enum\":[{\"type\":"
          "\"object\",\"minimum\":1}]}}}",
          "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":"
          "\"object\",\"additionalProperties\":false},\"minimum\":{\"enum\":"
          "[{\"type\":\"object\",\"minimum\":1}]}},"
          "\"additionalProperties\":false}" },
        { "{\"anyOf\":[{\"type\":\"object\"},{\"items\":{\"type\":"
          "\"object\"},\"minItems\":1},{\"minItems\":2}]}",
          "{\"anyOf\":[{\"type\":\"object\",\"additionalProperties\":false},"
          "{\"items\":{\"type\":\"object\",\"additionalProperties\":false},"
          "\"minItems\":1},{}]}" },
        { "{\"$defs\":{\"a\":{\"t\\u0079pe\":\"object\"}},\"$ref\":"
          "\"#/$defs/a\"}",
          "{\"$defs\":{\"a\":{\"t\\u0079pe\":\"object\","
          "\"additionalProperties\":false}},\"$ref\":\"#/$defs/a\"}" },
        { "{\"properties\":[1],\"items\":null}",
          "{\"properties\":[1],\"items\":null}" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        llm_buf_init(&out, mem, sizeof(mem));
        llm_anthropic_schema(tap_c(t[i].schema), &out);
        is_str(llm_buf_view(&out), t[i].want, t[i].schema);
    }
}


#define CALLED(thoughts, content)                                             \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"         \
    "\"assistant\",\"content\":" content ",\"thinking_blocks\":[" thoughts     \
    "],\"tool_calls\":[{\"id\":\"k\",\"function\":{\"name\":\"f\","            \
    "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"           \
    "\"k\",\"content\":\"r\"}"
#define SIGNED        "{\"type\":\"thinking\",\"thinking\":\"t\","            \
                      "\"signature\":\"s\"}"
#define SEALED        "{\"type\":\"redacted_thinking\",\"data\":\"d\"}"
#define FOREIGN       "{\"type\":\"thinking\",\"thinking\":\"t\","            \
                      "\"signature\":\"gemini:x\"}"
#define UNSIGNED      "{\"type\":\"thinking\",\"thinking\":\"t\","            \
                      "\"signature\":\"\"}"
#define BARE          "{\"type\":\"thinking\",\"thinking\":\"t\"}"
#define EFFORT        "],\"reasoning_effort\":\"low\"}"
#define ENABLED       "],\"thinking\":{\"type\":\"enabled\","                 \
                      "\"budget_tokens\":1024}}"
#define ADAPTIVE      "],\"thinking\":{\"type\":\"adaptive\"}}"

/* What somebody else thought is refused there, and so is thinking by a number
 * of tokens in the middle of a round of tools that began without. */
static void
test_thoughts(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_str_t   s;
    llm_loss_t  loss;

    static const struct {
        const char  *in, *sent;
    } blocks[] = {
        { CALLED(SIGNED, "null") EFFORT, "[" SIGNED ",{\"type\":\"tool_use" },
        { CALLED(SEALED "," SIGNED, "null") EFFORT,
          "[" SEALED "," SIGNED ",{\"type\":\"tool_use" },
        { CALLED(FOREIGN "," SIGNED, "null") EFFORT,
          "[" SIGNED ",{\"type\":\"tool_use" },
        { CALLED(UNSIGNED, "null") EFFORT, "[{\"type\":\"tool_use" },
        { CALLED(BARE ",1,{}", "null") EFFORT, "[{\"type\":\"tool_use" },
        { CALLED(FOREIGN, "\"b\"") EFFORT,
          "[{\"type\":\"text\",\"text\":\"b\"},{\"type\":\"tool_use" }
    };

    static const struct {
        const char  *in, *model, *thinking, *lost;
    } t[] = {
        { CALLED(SIGNED, "null") EFFORT, "claude-3-7", "enabled", "" },
        { CALLED("", "null") EFFORT, "claude-3-7", "", "reasoning_effort" },
        { CALLED(UNSIGNED, "null") EFFORT, "claude-3-7", "",
          "reasoning_effort" },
        { CALLED("", "null") EFFORT, "claude-sonnet-5", "adaptive", "" },
        { CALLED("", "null") ENABLED, "claude-opus-4-6", "", "thinking" },
        { CALLED(SIGNED, "null") ENABLED, "claude-opus-4-6", "enabled", "" },
        { CALLED("", "null") ADAPTIVE, "claude-opus-4-6", "adaptive", "" },
        { CALLED("", "null") ",{\"role\":\"assistant\",\"content\":\"b\"},"
          "{\"role\":\"user\",\"content\":\"c\"}" EFFORT, "claude-3-7",
          "enabled", "" }
    };

    for (i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        s = request(blocks[i].in, "claude-sonnet-5", "", &rc, &loss);
        is_int(rc, LLM_OK, blocks[i].in);
        ok(llm_openai_has(s, tap_c(blocks[i].sent)), "... its own alone");
        is_int(llm_json_check(s), LLM_OK, "... JSON");
    }

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        s = request(t[i].in, t[i].model, "", &rc, &loss);
        is_int(rc, LLM_OK, t[i].in);
        is_str(loss.n ? loss.name[0] : LLM_NOSTR, t[i].lost, "... left out");
        is_int(llm_openai_has(s, LLM_STR(",\"thinking\":{\"type\":")),
               t[i].thinking[0] != '\0', "... thinks or not");
        ok(llm_openai_has(s, tap_c(t[i].thinking)), "... by which number");
    }
}


#define USER          "{\"role\":\"user\",\"content\":\"a\"}"
#define SAYS(blocks)  "{\"content\" : [" blocks "], \"role\":\"assistant\"}"
#define TEXT          "{\"type\":\"text\",\"text\":\"b\"}"

/* The same where the client's own request goes there, in place. */
static void
test_foreign(void)
{
    size_t     i, size;
    llm_rc_t   rc;
    llm_str_t  model, span, s;
    llm_buf_t  out;

    static const struct {
        const char  *in, *out;
    } t[] = {
        { "[" USER "," SAYS(UNSIGNED "," TEXT) "]",
          "[" USER "," SAYS(TEXT) "]" },
        { "[ " SAYS(TEXT ", " FOREIGN) " ]", "[ " SAYS(TEXT) " ]" },
        { "[" SAYS(SIGNED "," BARE "," SEALED "," TEXT) "]",
          "[" SAYS(SIGNED "," SEALED "," TEXT) "]" },
        { "[" SAYS(BARE "," TEXT) "," USER " , " SAYS(SIGNED "," TEXT) ","
          SAYS(UNSIGNED "," BARE "," TEXT) "," USER "]",
          "[" SAYS(TEXT) "," USER "," SAYS(SIGNED "," TEXT) "," SAYS(TEXT)
          "," USER "]" },
        { "[" USER "," SAYS(UNSIGNED) "," USER "]",
          "[" USER ",{\"content\" : \".\", \"role\":\"assistant\"}," USER
          "]" },

        /* nothing to do */
        { "[" USER "," SAYS(SIGNED "," TEXT) "]", NULL },
        { "[{\"role\":\"user\",\"content\":[" UNSIGNED "]}]", NULL },
        { "[1,{},{\"role\":\"assistant\",\"content\":\"c\"}]", NULL },
        { "[]", NULL }, { "7", NULL }
    };

    model = LLM_STR("claude-sonnet-5");

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        llm_buf_init(&out, memory, 0);
        s = tap_c(t[i].in);

        rc = anthropic->foreign(model, s, &span, &out);
        is_int(rc, t[i].out ? LLM_FULL : LLM_NONE, t[i].in);

        if (t[i].out == NULL) {
            continue;
        }

        is_int(anthropic->foreign(LLM_STR("deepseek"), s, &span, &out),
               LLM_NONE, "... nobody else cares");

        llm_buf_init(&out, memory, span.len);
        is_int(anthropic->foreign(model, s, &span, &out), LLM_OK,
               "... which has room in its place");

        size = (size_t) (out.pos - memory);
        llm_buf_init(&out, written, sizeof(written));
        llm_buf_put(&out, s.data, (size_t) (span.data - s.data));
        llm_buf_put(&out, memory, size);
        llm_buf_put(&out, span.data + span.len,
                    (size_t) (s.data + s.len - span.data) - span.len);
        is_str(llm_buf_view(&out), t[i].out, "... without");
    }
}


/* Models after Claude 4.6 answer 400 to what the others take. */
static void
test_sampling(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_str_t   s;
    llm_loss_t  loss;

    static const struct {
        const char  *model;
        int          takes;
    } t[] = {
        { "claude-3-5-haiku-latest", 1 }, { "claude-sonnet-4-20250514", 1 },
        { "claude-opus-4-1", 1 }, { "claude-haiku-4-5", 1 },
        { "claude-opus-4-6", 1 }, { "claude-opus-4-7", 0 },
        { "claude-opus-4-8", 0 }, { "claude-sonnet-5", 0 },
        { "claude-haiku-5-5", 0 }, { "claude-fable-5-1", 0 },
        { "qwen3-coder", 1 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        s = request(ASK(",\"temperature\":0.3,\"top_k\":5"), t[i].model, "",
                    &rc, &loss);
        is_int(rc, LLM_OK, t[i].model);
        is_int(llm_openai_has(s, LLM_STR("\"temperature\":0.3,\"top_k\":5")),
               t[i].takes, "... takes temperature and top_k, or not");
        is_int(loss.n, t[i].takes ? 0 : 2, "... which the client is told");
    }

    (void) request(ASK(",\"temperature\":1.0"), "claude-sonnet-5", "", &rc,
                   &loss);
    is_int(loss.n, 0, "a temperature of 1 is no loss");
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
    hub.model = LLM_STR("c");
    hub.version = LLM_NOSTR;
    wrong = 0;
    len = 0;

    for (size = 0; size < 4096; size++) {
        llm_buf_init(&out, written, size);
        rc = llm_hub_read(&hub, body, LLM_NOSTR, &loss);
        rc = rc == LLM_OK ? anthropic->request(&hub, &out, &loss) : rc;

        if (rc == LLM_OK && len == 0) {
            len = size;
        }

        wrong += (rc != LLM_FULL && rc != LLM_OK) || (rc == LLM_OK) != (len > 0)
                 || (rc == LLM_OK && (size_t) (out.pos - out.start) != len);
    }

    is_int(wrong, 0, "every size of memory");
    ok(len > 500, "... some are enough");
}


/* ---- values ----------------------------------------------------------- */


static void
test_values(void)
{
    llm_buf_t       out;
    llm_data_url_t  url;

    is_int(llm_hub_data_url(LLM_STR("\"data:image\\/png;x=1;base64,AA\\/+\""),
                            &url), LLM_OK, "a data URL");
    is_str(url.type, "image/png", "... its type");
    is_str(url.data, "AA\\/+", "... its data as they are spelt");
    is_int(llm_hub_data_url(LLM_STR("\"DATA:a/b;BASE64,x\""), &url), LLM_OK,
           "in capitals");
    is_int(llm_hub_data_url(LLM_STR("\"data:text/plain,x\""), &url), LLM_BAD,
           "not base64");
    is_int(llm_hub_data_url(LLM_STR("\"data:\""), &url), LLM_BAD, "nothing");
    is_int(llm_hub_data_url(LLM_STR("\"https://a/b.png\""), &url), LLM_NONE,
           "another URL");

    is_str(llm_hub_trimmed(LLM_STR("\"a \\n\\t \"")), "\"a", "trimmed");
    is_str(llm_hub_trimmed(LLM_STR("\"a\\\\n\"")), "\"a\\\\n",
           "a backslash and an n");
    is_str(llm_hub_trimmed(LLM_STR("\"\\n\"")), "\"", "nothing is left");
    ok(llm_hub_blank(LLM_STR("\" \\n\\r\\t\"")), "blank");
    ok(llm_hub_blank(LLM_STR("\"\"")), "empty");
    ok(!llm_hub_blank(LLM_STR("\" \\u0020\"")), "an escape is left alone");

    llm_buf_init(&out, written, sizeof(written));
    llm_hub_put_object(&out, LLM_JSON_STRING,
                       LLM_STR("\" {\\\"a\\\":1.50}\""));
    llm_hub_put_object(&out, LLM_JSON_STRING, LLM_STR("\"[1]\""));
    llm_hub_put_object(&out, LLM_JSON_STRING, LLM_STR("\"{\\\"a\\\":\""));
    llm_hub_put_object(&out, LLM_JSON_NULL, LLM_NOSTR);
    is_str(llm_buf_view(&out), " {\"a\":1.50}{}{}{}", "arguments");
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
        { "", "^tOnet, twot, threet..uE", 1, 0, 24, 8 },
        { ".tools", "^tLet met look.ca{\\\"ska\\u\\\"", 1, 0, 410, 92 },
        { ".tool-no-args", "^c.uE", 1, 0, 24, 12 },
        { ".thinking", "^r17*20=340, r17*3=51.sc2lnLWZ4LTAwMQ==!cmVkLWZ4"
                       "t391.uE", 1, 0, 14, 60 },
        { ".stop-sequence", "^tone.###uE", 1, 0, 24, 3 },
        { ".no-event-lines", "^tHi.uE", 1, 0, 24, 3 },
        { ".unknown-event", "^tHi.uE", 1, 0, 24, 3 },
        { ".usage-in-delta", "^t42.uE", 1, 0, 2100, U - 1 },
        { ".usage-null", NULL, 1, 0, U - 1, U - 1 },
        { ".with-done", NULL, 1, 0, U - 1, U - 1 },
        { ".cut", "^tOne", 0, 0, 24, 1 },
        { ".error-first", "", 0, LLM_CLASS_SERVER, U, U },
        { ".error-midway", "^tOne", 0, LLM_CLASS_OVERLOADED, 24, 1 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        for (j = 0; j < 4; j++) {
            snprintf(name, sizeof(name), "anthropic/messages.stream%s.sse",
                     t[i].name);
            llm_buf_init(&notes, written, sizeof(written));
            sample_stream(anthropic, name, pieces[j], &s, &notes);

            is_int(llm_stream_complete(&s), t[i].complete, name);
            is_int(s.error, t[i].error, "... error");
            is_int(s.malformed, 0, "... nothing is odd");

            if (t[i].input != U - 1) {
                is_int(s.usage.input, t[i].input, "... input");
            }

            if (t[i].output != U - 1) {
                is_int(s.usage.output, t[i].output, "... output");
            }

            if (t[i].deltas && strcmp(t[i].name, ".tools") != 0) {
                is_str(llm_buf_view(&notes), t[i].deltas, "... deltas");
            }
        }
    }
}


int
main(void)
{
    anthropic = llm_dialect_find(LLM_STR("anthropic"));

    test_answers();
    test_refusals();
    test_requests();
    test_schema();
    test_closed();
    test_thoughts();
    test_foreign();
    test_sampling();
    test_room();
    test_values();
    test_streams();

    return tap_done();
}
