/*
 * The Realtime API: models in queries and bodies, keys among subprotocols, and
 * usage in events.
 */

#include "tap.h"
#include "llm_realtime.h"
#include "llm_request.h"


static void
models(void)
{
    size_t         i;
    llm_buf_t      mem;
    llm_str_t      model, message;
    llm_code_t     code;
    unsigned char  buf[256], big[400];

    static const struct {
        const char  *query, *model;
        llm_code_t   code;
    } row[] = {
        { "model=gpt-realtime", "gpt-realtime", LLM_CODE_NONE },
        { "a=b&m%6fdel=x%2Fy+z&c", "x/y z", LLM_CODE_NONE },
        { "", "", LLM_CODE_NONE },
        { "Model=x&models=y", "", LLM_CODE_NONE },
        { "model", "", LLM_CODE_NONE },
        { "model=a&model=b", NULL, LLM_CODE_CALLER_DUPLICATE_KEY },
        { "model=&m%6Fdel=b", NULL, LLM_CODE_CALLER_DUPLICATE_KEY },
        { "model=a%0ab", NULL, LLM_CODE_CALLER_MODEL_NOT_FOUND },
        { "model=a%7f", NULL, LLM_CODE_CALLER_MODEL_NOT_FOUND }
    };

    for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        llm_buf_init(&mem, buf, sizeof(buf));
        code = LLM_CODE_NONE;

        is_int(llm_realtime_model(tap_c(row[i].query), &mem, &model, &code,
                                  &message),
               row[i].model ? LLM_OK : LLM_BAD, row[i].query);
        is_int(code, row[i].code, "... its code");

        if (row[i].model) {
            is_str(model, row[i].model, "... its model");
        }
    }

    memset(big, 'm', sizeof(big));
    memcpy(big, "model=", 6);
    llm_buf_init(&mem, buf, sizeof(buf));
    is_int(llm_realtime_model((llm_str_t) { 6 + 256, big }, &mem, &model, &code,
                              &message), LLM_OK, "256 bytes");
    llm_buf_init(&mem, buf, sizeof(buf));
    is_int(llm_realtime_model((llm_str_t) { 6 + 257, big }, &mem, &model, &code,
                              &message), LLM_BAD, "257 bytes");
}


static void
queries(void)
{
    size_t         i;
    llm_buf_t      out;
    llm_str_t      model;
    unsigned char  mem[512];

    static const struct {
        const char  *query, *model, *want;
    } row[] = {
        { "model=a&x=1", "b", "x=1&model=b" },
        { "model=a&x=1", NULL, "model=a&x=1" },
        { "key=k&x=1&api-key=y&access_token=z", "b", "x=1&model=b" },
        { "", "a b", "model=a%20b" },
        { "", NULL, "" },
        { "call_id=rtc_1", "b", "call_id=rtc_1" },
        { "intent=transcription", "b", "intent=transcription" },
        { "model=a&call_id=rtc_1", "b", "call_id=rtc_1&model=b" },
        { "x=1;model=evil", "b", "x=1%3Bmodel=evil&model=b" },
        { "&&x&", "b", "x&model=b" },
        { "api%2dversion=1&x=1&deployment=evil", "b", "x=1&model=b" },
        { "api-version=1&deployment=own", NULL, "deployment=own" }
    };

    for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        llm_buf_init(&out, mem, sizeof(mem));
        model = row[i].model ? tap_c(row[i].model) : LLM_NOSTR;
        llm_realtime_query(tap_c(row[i].query), model, 1, &out);
        is_str(llm_buf_view(&out), row[i].want, row[i].query);
    }

    llm_buf_init(&out, mem, sizeof(mem));
    llm_realtime_query(LLM_STR("x=1"), LLM_STR("b"), 0, &out);
    is_str(llm_buf_view(&out), "x=1", "nothing is added");
    llm_buf_init(&out, mem, sizeof(mem));
    llm_realtime_query(LLM_STR("model=x"), LLM_STR("b"), 0, &out);
    is_str(llm_buf_view(&out), "model=b", "... but what is there is changed");
}


static void
bodies(void)
{
    size_t          i;
    llm_buf_t       mem;
    llm_str_t       body, message;
    llm_code_t      code;
    llm_edits_t     edits;
    llm_request_t   r;
    unsigned char   buf[1024];

    static const llm_field_t  options = {
        .name = { 14, (const unsigned char *) "stream_options" },
        .what = LLM_FIELD_DROP
    };

    static const struct {
        const char  *body, *model;
        llm_code_t   code;
        size_t       edits;
    } row[] = {
        { "{\"model\":\"a\"}", "a", LLM_CODE_NONE, 1 },
        { "{\"session\":{\"type\":\"realtime\",\"model\":\"a\"}}", "a",
          LLM_CODE_NONE, 1 },
        { "{\"session\":{\"m\\u006fdel\":\"a\"}}", "a", LLM_CODE_NONE, 1 },
        { "{\"session\":null}", "", LLM_CODE_NONE, 0 },
        { "{}", "", LLM_CODE_NONE, 0 },
        { "{\"session\":{\"audio\":{\"model\":\"b\"}}}", "", LLM_CODE_NONE, 0 },
        { "{\"model\":\"a\",\"session\":{\"model\":\"b\"}}", NULL,
          LLM_CODE_CALLER_DUPLICATE_KEY, 0 },
        { "{\"session\":{\"model\":\"a\",\"model\":\"b\"}}", NULL,
          LLM_CODE_CALLER_DUPLICATE_KEY, 0 },
        { "{\"session\":{\"model\":\"a\",\"Model\":\"b\"}}", NULL,
          LLM_CODE_CALLER_DUPLICATE_KEY, 0 },
        { "{\"session\":{},\"session\":{\"model\":\"b\"}}", NULL,
          LLM_CODE_CALLER_DUPLICATE_KEY, 0 },
        { "{\"session\":{\"model\":7}}", NULL,
          LLM_CODE_CALLER_MODEL_MISSING, 0 }
    };

    for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        body = tap_c(row[i].body);
        code = LLM_CODE_NONE;
        llm_buf_init(&mem, buf, sizeof(buf));

        is_int(llm_request_json(&r, LLM_EP_REALTIME, body, &mem, &code,
                                &message),
               row[i].model ? LLM_OK : LLM_BAD, row[i].body);
        is_int(code, row[i].code, "... its code");

        if (row[i].model == NULL) {
            continue;
        }

        is_str(r.model, row[i].model, "... its model");
        is_int(llm_request_edits(&r, LLM_STR("new"), &options, 1, 0, &mem,
                                 &edits),
               LLM_OK, "... for another model, without stream_options");
        is_int(edits.n, row[i].edits, "... only where there is one");

        if (edits.n) {
            is_str(edits.edit[0].text, "\"new\"", "... in its place");
            ok(memcmp(row[i].body + edits.edit[0].at, "\"a\"", 3) == 0,
               "... instead of the client's");
        }
    }
}


static void
protocols(void)
{
    size_t         i;
    llm_buf_t      out;
    llm_str_t      key;
    unsigned char  mem[256];

    static const struct {
        const char  *list, *key, *rest;
    } row[] = {
        { "realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1",
          "sk-1", "realtime, openai-beta.realtime-v1" },
        { "OpenAI-Insecure-API-Key.K", "K", "" },
        { "openai-insecure-api-key.", NULL, "" },
        { "a,b\tc ,, d", NULL, "a, b, c, d" },
        { "openai-organization.o,openai-project.p,x", NULL, "x" },
        { "", NULL, "" },
        { " , ", NULL, "" },
        { "xopenai-insecure-api-key.k", NULL, "xopenai-insecure-api-key.k" }
    };

    for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        is_int(llm_realtime_key(tap_c(row[i].list), &key),
               row[i].key ? LLM_OK : LLM_NONE, row[i].list);

        if (row[i].key) {
            is_str(key, row[i].key, "... its key");
        }

        llm_buf_init(&out, mem, sizeof(mem));
        is_int(llm_realtime_protocols(tap_c(row[i].list), &out),
               *row[i].rest ? LLM_OK : LLM_NONE, "... what else there is");
        is_str(llm_buf_view(&out), row[i].rest, "... is this");
    }
}


/* One message, in pieces of `step` bytes. */
static int
event(const char *text, size_t step, unsigned compressed, llm_usage_t *usage)
{
    int                   told;
    size_t                at, len, n;
    llm_ws_piece_t        piece;
    llm_realtime_event_t  e;

    memset(&e, 0xa5, sizeof(e));        /* of the message before */
    memset(&piece, 0, sizeof(piece));

    piece.opcode = LLM_WS_TEXT;
    piece.compressed = compressed & 1;
    len = strlen(text);
    told = 0;

    for (at = 0; at < len; at += n) {
        n = step < len - at ? step : len - at;
        piece.data.data = (const unsigned char *) text + at;
        piece.data.len = n;
        piece.first = at == 0;
        piece.last = at + n == len;
        told = llm_realtime_event(&e, &piece, usage);
    }

    return told;
}


static void
events(void)
{
    char          *big;
    size_t         i, step;
    llm_usage_t    u;

    static const struct {
        const char  *text;
        int          told;
        long long    input, cached, output, audio;
    } row[] = {
        { "{\"event_id\":\"e\",\"type\":\"response.done\",\"response\":{\"id\""
          ":\"r\",\"output\":[{\"usage\":{\"input_tokens\":1}}],\"usage\":{"
          "\"input_tokens\":20,\"input_token_details\":{\"cached_tokens\":5},"
          "\"output_tokens\":30}}}", 1, 20, 5, 30, -1 },
        { "{ \"response\" : { \"usage\" : { \"input_tokens\" : 2 } } , "
          "\"type\" : \"response.done\" }", 1, 2, -1, -1, -1 },
        { "{\"type\":\"conversation.item.input_audio_transcription.completed\""
          ",\"usage\":{\"type\":\"duration\",\"seconds\":1.5}}", 1, -1, -1, -1,
          1500 },
        { "{\"type\":\"response.created\",\"response\":{\"usage\":{"
          "\"input_tokens\":2}}}", 0, -1, -1, -1, -1 },
        { "{\"type\":\"response.done\",\"response\":{\"usage\":null}}", 0, -1,
          -1, -1, -1 },
        { "{\"type\":\"response.done\",\"a\":{\"usage\":{\"input_tokens\":2}}}",
          0, -1, -1, -1, -1 },
        { "{\"type\":\"response.done\",\"x\":\"\\\"usage\\\":{"
          "\\\"input_tokens\\\":2}\"}", 0, -1, -1, -1, -1 },
        { "[{\"type\":\"response.done\",\"usage\":{\"input_tokens\":2}}]", 0,
          -1, -1, -1, -1 },
        { "{\"type\":\"response.done\",\"response\":{\"usage\":{"
          "\"input_tokens\":2", 0, -1, -1, -1, -1 },
        { "]]}}{\"type\":\"response.done\"", 0, -1, -1, -1, -1 }
    };

    for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {

        for (step = 1; step < 200; step += 33) {
            llm_usage_init(&u);

            if (event(row[i].text, step, 0, &u) != row[i].told
                || u.input != (uint64_t) row[i].input
                || u.cached != (uint64_t) row[i].cached
                || u.output != (uint64_t) row[i].output
                || u.audio_ms != (uint64_t) row[i].audio)
            {
                break;
            }
        }

        ok(step >= 200, row[i].text);
    }

    llm_usage_init(&u);
    (void) event(row[0].text, 7, 0, &u);
    (void) event(row[0].text, 9, 0, &u);
    (void) event(row[1].text, 9, 0, &u);
    is_int(u.input, 42, "events add up");
    is_int(u.output, 60, "... as far as they tell");
    is_int(event(row[0].text, 9, 1, &u), 0, "a compressed one");
    is_int(u.input, 42, "... is not read");

    u.input = LLM_UNKNOWN - 3;
    (void) event(row[0].text, 9, 0, &u);
    ok(u.input == LLM_UNKNOWN - 1, "a sum that is too large stays known");

    big = malloc(5000);
    strcpy(big, "{\"type\":\"response.done\",\"response\":{\"usage\":"
                "{\"x\":\"");
    memset(big + strlen(big), 'x', 2000);
    strcpy(big + 2050, "\",\"input_tokens\":2}}}");
    llm_usage_init(&u);
    is_int(event(big, 100, 0, &u), 0, "a usage that is too large to be kept");
    free(big);
}


int
main(void)
{
    models();
    queries();
    bodies();
    protocols();
    events();

    return tap_done();
}
