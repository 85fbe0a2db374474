/*
 * Lists of models: each form in those that clients know.
 */

#include "tap.h"

#include "llm_hint.h"
#include "llm_models.h"

static unsigned char  written[4096];


static llm_str_t
whole(llm_models_t from, llm_models_t to, llm_str_t body, int one,
    llm_rc_t *rc)
{
    llm_buf_t  out;

    llm_buf_init(&out, written, sizeof(written));
    *rc = llm_models_whole(from, to, body, one, &out);

    return llm_buf_view(&out);
}


static void
test_lists(void)
{
    size_t     i;
    llm_rc_t   rc;
    llm_str_t  s;

    static const struct {
        llm_models_t   from, to;
        const char    *fixture;
        const char    *out;
    } t[] = {
        { LLM_MODELS_ANTHROPIC, LLM_MODELS_OPENAI, "anthropic",
          "{\"object\":\"list\",\"data\":[{\"id\":\"claude-sonnet-5\","
          "\"object\":\"model\",\"created\":1772323200,\"owned_by\":"
          "\"anthropic\"}]}" },
        { LLM_MODELS_GOOGLE, LLM_MODELS_OPENAI, "gemini",
          "{\"object\":\"list\",\"data\":[{\"id\":\"gemini-3.5-flash\","
          "\"object\":\"model\",\"created\":0,\"owned_by\":\"google\"}]}" },
        { LLM_MODELS_GOOGLE, LLM_MODELS_ANTHROPIC, "gemini",
          "{\"data\":[{\"type\":\"model\",\"id\":\"gemini-3.5-flash\","
          "\"display_name\":\"Gemini 3.5 Flash\",\"created_at\":"
          "\"1970-01-01T00:00:00Z\"}],\"has_more\":false,\"first_id\":"
          "\"gemini-3.5-flash\",\"last_id\":\"gemini-3.5-flash\"}" },
        { LLM_MODELS_OPENAI, LLM_MODELS_ANTHROPIC, "openai",
          "{\"data\":[{\"type\":\"model\",\"id\":\"gpt-4.1-mini\","
          "\"display_name\":\"gpt-4.1-mini\",\"created_at\":"
          "\"2025-04-10T20:39:07Z\"},{\"type\":\"model\",\"id\":\"whisper-1\","
          "\"display_name\":\"whisper-1\",\"created_at\":"
          "\"2023-02-27T21:13:04Z\"}],\"has_more\":false,\"first_id\":"
          "\"gpt-4.1-mini\",\"last_id\":\"whisper-1\"}" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char  name[64];

        snprintf(name, sizeof(name), "%s/models.response.json", t[i].fixture);
        s = whole(t[i].from, t[i].to, tap_fixture(name), 0, &rc);
        is_int(rc, LLM_OK, name);
        is_str(s, t[i].out, "... in the other form");
    }

    s = whole(LLM_MODELS_OPENAI, LLM_MODELS_ANTHROPIC,
              LLM_STR("{\"data\":[]}"), 0, &rc);
    is_str(s, "{\"data\":[],\"has_more\":false,\"first_id\":null,"
           "\"last_id\":null}", "none");
    s = whole(LLM_MODELS_OPENAI, LLM_MODELS_OPENAI,
              LLM_STR("{\"data\":[1,{},{\"id\":\"\"},{\"id\":3},{\"id\":"
                      "\"\\u0041\\n\",\"created\":\"x\"}]}"), 0, &rc);
    is_str(s, "{\"object\":\"list\",\"data\":[{\"id\":\"\\u0041\\n\","
           "\"object\":\"model\",\"created\":0,\"owned_by\":\"\"}]}",
           "what has no name is none");

    (void) whole(LLM_MODELS_OPENAI, LLM_MODELS_OPENAI, LLM_STR("{}"), 0, &rc);
    is_int(rc, LLM_BAD, "no list");
    (void) whole(LLM_MODELS_GOOGLE, LLM_MODELS_OPENAI,
                 LLM_STR("{\"models\":{}}"), 0, &rc);
    is_int(rc, LLM_BAD, "nor is this");
}


static void
test_one(void)
{
    llm_rc_t   rc;
    llm_str_t  s;

    s = whole(LLM_MODELS_GOOGLE, LLM_MODELS_OPENAI,
              LLM_STR("{\"name\":\"models\\/a\"}"), 1, &rc);
    is_str(s, "{\"id\":\"a\",\"object\":\"model\",\"created\":0,"
           "\"owned_by\":\"google\"}", "one");
    s = whole(LLM_MODELS_GOOGLE, LLM_MODELS_OPENAI,
              LLM_STR("{\"name\":\"tunedModels/a\"}"), 1, &rc);
    is_str(s, "{\"id\":\"tunedModels/a\",\"object\":\"model\",\"created\":0,"
           "\"owned_by\":\"google\"}", "of another collection");
    (void) whole(LLM_MODELS_OPENAI, LLM_MODELS_ANTHROPIC, LLM_STR("[]"), 1,
                 &rc);
    is_int(rc, LLM_BAD, "none");

    is_str(llm_models_query(LLM_MODELS_ANTHROPIC), "limit=1000", "a long page");
    is_str(llm_models_query(LLM_MODELS_OPENAI), "", "no pages");
}


static void
test_dates(void)
{
    size_t     i;
    llm_buf_t  out;

    static const struct {
        uint64_t     seconds;
        const char  *date;
    } t[] = {
        { 0, "1970-01-01T00:00:00Z" },
        { 951782399, "2000-02-28T23:59:59Z" },
        { 951782400, "2000-02-29T00:00:00Z" },
        { 4107542400, "2100-03-01T00:00:00Z" },
        { 253402300799, "9999-12-31T23:59:59Z" },
        { UINT64_MAX, "9999-12-31T23:59:59Z" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        llm_buf_init(&out, written, sizeof(written));
        llm_hint_put_rfc3339(&out, t[i].seconds);
        is_str(llm_buf_view(&out), t[i].date, t[i].date);
    }
}


int
main(void)
{
    test_lists();
    test_one();
    test_dates();

    return tap_done();
}
