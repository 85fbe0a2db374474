/*
 * The front of chats: what becomes of functions, of the time before tools, on
 * their way to another dialect and back.
 */

#include "sample.h"

#include "llm_front.h"

static unsigned char  written[16384];


#define ASK(members)  "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"  \
                      members "}"
#define F             "{\"name\":\"f\",\"parameters\":{\"type\": \"object\"}}"
#define TOOL          "{\"type\":\"function\",\"function\":" F "}"
#define CALL          "{\"name\":\"f\",\"arguments\":\"{}\"}"
#define TURN(call)    "{\"role\":\"assistant\",\"content\":null," call "}"
#define CALLS(id)     "\"tool_calls\":[{\"id\":\"" id "\",\"type\":"           \
                      "\"function\",\"function\":" CALL "}]"
#define SAID          "{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}"
#define RESULT(id)    "{\"name\":\"f\",\"content\":\"r\",\"role\":\"tool\","   \
                      "\"tool_call_id\":\"" id "\"}"

static void
test_requests(void)
{
    size_t      i;
    llm_rc_t    rc;
    llm_buf_t   out;
    llm_loss_t  loss;

    static const struct {
        const char  *in;
        llm_rc_t     rc;
        const char  *out, *lost;
    } t[] = {
        { ASK(",\"functions\":[" F "],\"n\":1"), LLM_OK,
          ASK(",\"n\":1,\"tools\":[" TOOL "]"), "" },
        { ASK(",\"functions\":[" F "," F "],\"function_call\":\"none\""),
          LLM_OK,
          ASK(",\"tools\":[" TOOL "," TOOL "],\"tool_choice\":\"none\""), "" },
        { ASK(",\"function\\u0073\":[" F "],\"function_call\":"
              "{\"name\":\"f\"}"), LLM_OK,
          ASK(",\"tools\":[" TOOL "],\"tool_choice\":{\"type\":\"function\","
              "\"function\":{\"name\":\"f\"}}"), "" },
        { ASK(",\"tools\":[" TOOL "],\"functions\":[" F "]"), LLM_OK,
          ASK(",\"tools\":[" TOOL "]"), "functions" },
        { ASK(",\"tool_choice\":\"auto\",\"function_call\":\"none\""), LLM_OK,
          ASK(",\"tool_choice\":\"auto\""), "function_call" },

        { "{\"model\":\"m\",\"messages\":[" TURN("\"function_call\":" CALL)
          "," SAID "," TURN("\"function_call\":" CALL) "," SAID "]}", LLM_OK,
          "{\"messages\":[" TURN(CALLS("function_1")) ","
          RESULT("function_1") "," TURN(CALLS("function_2")) ","
          RESULT("function_2") "],\"model\":\"m\"}", "" },
        { "{\"messages\":[" TURN("\"function_call\":" CALL "," CALLS("k"))
          "]}", LLM_OK, "{\"messages\":[" TURN(CALLS("k")) "]}", "" },
        { "{\"messages\":[{\"function_call\":" CALL ",\"role\":\"assistant\"},"
          "1]}", LLM_OK, "{\"messages\":[{\"role\":\"assistant\","
          CALLS("function_1") "},1]}", "" },
        { "{\"messages\":[" SAID "]}", LLM_BAD, NULL, "" },

        /* what has none of it stays as it is */
        { ASK(""), LLM_AGAIN, NULL, "" },
        { ASK(",\"tools\":[" TOOL "],\"functions\":[],\"function_call\":null"),
          LLM_AGAIN, NULL, "" },
        { "{\"messages\":[" TURN("\"function_call\":null") "]}", LLM_AGAIN,
          NULL, "" },
        { "{\"messages\":{},\"functions\":[" F "]}", LLM_AGAIN, NULL, "" },
        { "{\"functions\":[" F "]}", LLM_AGAIN, NULL, "" },
        { "[]", LLM_AGAIN, NULL, "" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        memset(&loss, 0, sizeof(loss));
        llm_buf_init(&out, written, sizeof(written));

        rc = llm_chat_request(tap_c(t[i].in), &out, &loss);
        is_int(rc, t[i].rc, t[i].in);
        is_str(loss.n ? loss.name[0] : LLM_NOSTR, t[i].lost, "... left out");
        is_int(loss.message.len != 0, rc == LLM_BAD, "... a sentence");

        if (t[i].out) {
            is_str(llm_buf_view(&out), t[i].out, "... with tools");
        }
    }
}


/* Every size of memory is enough, or full. */
static void
test_room(void)
{
    size_t      size, full;
    llm_rc_t    rc;
    llm_buf_t   out;
    llm_loss_t  loss;

    static const char  *body = "{\"messages\":[" TURN("\"function_call\":" CALL)
        "," SAID "],\"functions\":[" F "],\"function_call\":\"auto\"}";

    memset(&loss, 0, sizeof(loss));

    for (full = 0, size = 0; size < 1000; size++) {
        llm_buf_init(&out, written, size);
        rc = llm_chat_request(tap_c(body), &out, &loss);

        if (rc == LLM_OK) {
            break;
        }

        full += rc == LLM_FULL;
    }

    is_int(full, size, "too little is full");
    is_int(llm_buf_view(&out).len, size, "... and just enough is enough");
}


/* ---- answers --------------------------------------------------------- */


#define ANSWER                                                                \
    "{\"type\":\"message\",\"id\":\"i\",\"model\":\"m\",\"content\":"         \
    "[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":"          \
    "{\"n\":\"1\"}},{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"g\","      \
    "\"input\":{}}],\"stop_reason\":\"tool_use\"}"

static void
asked(llm_reply_t *r, const char *body)
{
    llm_reply_init(r, llm_front_find(LLM_EP_CHAT), LLM_STR("c"), 1, 0);
    llm_reply_asked(r, tap_c(body));
}


static void
test_whole(void)
{
    size_t       i;
    llm_buf_t    out;
    llm_reply_t  reply;

    static const struct {
        const char  *asked, *said;
    } t[] = {
        { ASK(",\"functions\":[" F "]"),
          "\"refusal\":null,\"function_call\":{\"name\":\"f\",\"arguments\":"
          "\"{\\\"n\\\":\\\"1\\\"}\"}},\"logprobs\":null,\"finish_reason\":"
          "\"function_call\"}" },
        { ASK(",\"functions\":[" F "],\"tools\":[" TOOL "]"),
          "\"refusal\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":"
          "\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
          "\"{\\\"n\\\":\\\"1\\\"}\"}},{\"id\":\"b\",\"type\":\"function\","
          "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
          "\"logprobs\":null,\"finish_reason\":\"tool_calls\"}" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        llm_buf_init(&out, written, sizeof(written));
        asked(&reply, t[i].asked);
        sample_whole(&reply, llm_dialect_find(LLM_STR("anthropic")),
                     LLM_STR(ANSWER), &out);

        is_int(llm_json_check(llm_buf_view(&out)), LLM_OK, "JSON");
        llm_buf_put(&out, "", 1);
        ok(strstr((char *) written, t[i].said) != NULL, t[i].asked);
    }
}


#define CHUNK(delta, finish)                                                  \
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,"  \
    "\"model\":\"\",\"choices\":[{\"index\":0,\"delta\":{" delta               \
    "},\"finish_reason\":" finish "}]}\n\n"

static void
test_stream(void)
{
    size_t       i;
    llm_buf_t    out;
    llm_reply_t  reply;

    static const llm_delta_t  deltas[] = {
        { .kind = LLM_DELTA_CALL, .id = LLM_STR("\"a\""),
          .name = LLM_STR("\"f\"") },
        { .kind = LLM_DELTA_ARGUMENTS, .text = LLM_STR("\"{\\\"n\"") },
        { .kind = LLM_DELTA_CALL, .call = 1, .id = LLM_STR("\"b\""),
          .name = LLM_STR("\"g\"") },
        { .kind = LLM_DELTA_ARGUMENTS, .call = 1, .object = LLM_STR("{}") },
        { .kind = LLM_DELTA_ARGUMENTS, .object = LLM_STR("{\"n\":1}") },
        { .kind = LLM_DELTA_FINISH, .finish = LLM_FINISH_CALLS }
    };

    llm_buf_init(&out, written, sizeof(written));
    asked(&reply, ASK(",\"functions\":[" F "]"));

    for (i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
        llm_chat_put(&reply, &deltas[i], &out);
    }

    is_str(llm_buf_view(&out),
        CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null")
        CHUNK("\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}", "null")
        CHUNK("\"function_call\":{\"arguments\":\"{\\\"n\"}", "null")
        CHUNK("\"function_call\":{\"arguments\":\"{\\\"n\\\":1}\"}", "null")
        CHUNK("", "\"function_call\""), "the first call of a stream");
}


int
main(void)
{
    test_requests();
    test_room();
    test_whole();
    test_stream();

    return tap_done();
}
