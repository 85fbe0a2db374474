/*
 * A request in the hub's form as a body of OpenAI's chat endpoint, for clients
 * of other dialects: the hub's own members become OpenAI's, or are left out.
 */

#include "llm_openai.h"

#define LLM_BUDGET_LOW     1024
#define LLM_BUDGET_MEDIUM  8192


typedef struct {
    llm_hub_t   *hub;
    llm_buf_t   *out;
    llm_loss_t  *loss;
    int          reasons;               /* the model thinks before it speaks */
} llm_chat_ask_t;


static const struct {
    unsigned   member;
    llm_str_t  name;
} llm_chat_same[] = {
    { LLM_H_STOP, LLM_STR("stop") },
    { LLM_H_N, LLM_STR("n") },
    { LLM_H_SEED, LLM_STR("seed") },
    { LLM_H_LOGPROBS, LLM_STR("logprobs") },
    { LLM_H_TOP_LOGPROBS, LLM_STR("top_logprobs") },
    { LLM_H_PRESENCE_PENALTY, LLM_STR("presence_penalty") },
    { LLM_H_FREQUENCY_PENALTY, LLM_STR("frequency_penalty") },
    { LLM_H_USER, LLM_STR("user") },
    { LLM_H_SAFETY_IDENTIFIER, LLM_STR("safety_identifier") },
    { LLM_H_RESPONSE_FORMAT, LLM_STR("response_format") },
    { LLM_H_TOOLS, LLM_STR("tools") },
    { LLM_H_TOOL_CHOICE, LLM_STR("tool_choice") },
    { LLM_H_PARALLEL_TOOL_CALLS, LLM_STR("parallel_tool_calls") },
    { LLM_H_SERVICE_TIER, LLM_STR("service_tier") }
};


/* OpenAI's models that reason: they refuse sampling and the old max_tokens.
 * Names may have a publisher in front. */
static int
llm_chat_reasons(llm_str_t model)
{
    size_t  i;

    for (i = model.len; i > 0; i--) {
        if (model.data[i - 1] == '/') {
            break;
        }
    }

    model.data += i;
    model.len -= i;

    if (model.len >= 2 && model.data[0] == 'o' && model.data[1] >= '1'
        && model.data[1] <= '9')
    {
        return 1;
    }

    return model.len >= 5 && memcmp(model.data, "gpt-", 4) == 0
           && model.data[4] >= '5' && model.data[4] <= '9';
}


/* Members that only the hub knows.  Google's own endpoint of this kind is where
 * the seals in "extra_content" come from. */
static int
llm_chat_is_own(const llm_chat_ask_t *a, llm_str_t key)
{
    size_t  i;

    static const llm_str_t  own[] = {
        LLM_STR("thinking_blocks"), LLM_STR("is_error"),
        LLM_STR("reasoning_content"), LLM_STR("cache_control")
    };

    for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (llm_json_key_is(key, own[i])) {
            return 1;
        }
    }

    return llm_json_key_is(key, LLM_STR("extra_content"))
           && !llm_openai_has(a->hub->model, LLM_STR("gemini"));
}


/* A message, or one of its calls, without them. */
static llm_rc_t
llm_chat_message(llm_chat_ask_t *a, llm_str_t message, int is_call)
{
    size_t             n, calls;
    llm_rc_t           rc;
    llm_json_iter_t    it, list;
    llm_json_member_t  m, call;

    if (llm_json_begin(&it, message) != LLM_OK || it.close != '}') {
        return LLM_BAD;
    }

    llm_buf_str(a->out, LLM_STR("{"));

    n = 0;

    while ((rc = llm_json_next(&it, &m)) == LLM_OK) {

        if (llm_chat_is_own(a, m.key)) {
            continue;
        }

        llm_buf_str(a->out, n++ ? LLM_STR(",\"") : LLM_STR("\""));
        llm_buf_str(a->out, m.key);
        llm_buf_str(a->out, LLM_STR("\":"));

        if (is_call || m.kind != LLM_JSON_ARRAY
            || !llm_json_key_is(m.key, LLM_STR("tool_calls"))
            || llm_json_begin(&list, m.value) != LLM_OK)
        {
            llm_buf_str(a->out, m.value);
            continue;
        }

        llm_buf_str(a->out, LLM_STR("["));

        for (calls = 0; llm_json_next(&list, &call) == LLM_OK; calls++) {
            llm_buf_str(a->out, calls ? LLM_STR(",") : LLM_NOSTR);

            if (llm_chat_message(a, call.value, 1) != LLM_OK) {
                return LLM_BAD;
            }
        }

        llm_buf_str(a->out, LLM_STR("]"));
    }

    llm_buf_str(a->out, LLM_STR("}"));

    return rc == LLM_NONE ? LLM_OK : LLM_BAD;
}


static llm_rc_t
llm_chat_messages(llm_chat_ask_t *a)
{
    size_t             n;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    llm_buf_str(a->out, LLM_STR(",\"messages\":["));

    rc = llm_json_begin(&it, a->hub->member[LLM_H_MESSAGES].value);

    for (n = 0; rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK; n++) {
        llm_buf_str(a->out, n ? LLM_STR(",") : LLM_NOSTR);
        rc = llm_chat_message(a, m.value, 0);
    }

    llm_buf_str(a->out, LLM_STR("]"));

    if (rc != LLM_OK) {
        return llm_loss_fail(a->loss, LLM_BAD, LLM_STR("messages"),
                             LLM_STR("A message or a call is not an object."));
    }

    return LLM_OK;
}


static void
llm_chat_limit(llm_chat_ask_t *a)
{
    const llm_json_want_t  *w, *old;

    w = llm_hub_get(a->hub, LLM_H_MAX_COMPLETION_TOKENS);
    old = llm_hub_get(a->hub, LLM_H_MAX_TOKENS);

    if (w == NULL) {
        w = old;
    }

    if (w) {
        /* servers of others may know nothing but the old name */
        llm_hub_put_member(a->out, a->reasons
                                   ? LLM_STR("max_completion_tokens")
                                   : LLM_STR("max_tokens"), w->value);
    }
}


static void
llm_chat_sampling(llm_chat_ask_t *a)
{
    size_t                  i;
    const llm_json_want_t  *w;

    static const struct {
        unsigned   member;
        llm_str_t  name;
    } sampling[] = {
        { LLM_H_TEMPERATURE, LLM_STR("temperature") },
        { LLM_H_TOP_P, LLM_STR("top_p") }
    };

    for (i = 0; i < 2; i++) {
        w = llm_hub_get(a->hub, sampling[i].member);

        if (w && a->reasons) {
            llm_loss_add(a->loss, sampling[i].name);

        } else if (w) {
            llm_hub_put_member(a->out, sampling[i].name, w->value);
        }
    }
}


/* The hub's `thinking` as an effort, or empty. */
static llm_str_t
llm_chat_thinking(llm_str_t thinking)
{
    uint64_t           n;
    llm_json_member_t  m;

    if (llm_json_get(thinking, LLM_STR("budget_tokens"), &m) != LLM_OK
        || llm_json_uint(m.value, &n) != LLM_OK)
    {
        return LLM_NOSTR;
    }

    if (n <= LLM_BUDGET_LOW) {
        return LLM_STR("\"low\"");
    }

    return n <= LLM_BUDGET_MEDIUM ? LLM_STR("\"medium\"") : LLM_STR("\"high\"");
}


/* Models that do not reason refuse to be asked for an effort. */
static void
llm_chat_effort(llm_chat_ask_t *a)
{
    llm_str_t               effort;
    const llm_json_want_t  *w, *thinking;

    w = llm_hub_get(a->hub, LLM_H_REASONING_EFFORT);
    thinking = llm_hub_get(a->hub, LLM_H_THINKING);

    effort = LLM_NOSTR;

    if (w) {
        effort = w->value;

    } else if (thinking) {
        effort = llm_chat_thinking(thinking->value);
    }

    if (effort.len == 0) {
        return;
    }

    if (a->reasons || llm_openai_has(a->hub->model, LLM_STR("gpt-oss"))) {
        llm_hub_put_member(a->out, LLM_STR("reasoning_effort"), effort);
    } else {
        llm_loss_add(a->loss, w ? LLM_STR("reasoning_effort")
                                : LLM_STR("thinking"));
    }
}


llm_rc_t
llm_openai_request(llm_hub_t *h, llm_buf_t *out, llm_loss_t *loss)
{
    size_t                  i;
    llm_rc_t                rc;
    llm_chat_ask_t          a;
    const llm_json_want_t  *w;

    a.hub = h;
    a.out = out;
    a.loss = loss;
    a.reasons = llm_chat_reasons(h->model);

    llm_buf_str(out, LLM_STR("{\"model\":"));
    llm_json_put_string(out, h->deployment.len ? h->deployment : h->model);

    rc = llm_chat_messages(&a);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_chat_limit(&a);
    llm_chat_sampling(&a);
    llm_chat_effort(&a);

    for (i = 0; i < sizeof(llm_chat_same) / sizeof(llm_chat_same[0]); i++) {
        w = llm_hub_get(h, llm_chat_same[i].member);

        if (w) {
            llm_hub_put_member(out, llm_chat_same[i].name, w->value);
        }
    }

    if (h->stream) {
        llm_buf_str(out, LLM_STR(",\"stream\":true"));
    }

    if (h->stream && !h->no_options) {
        llm_buf_str(out, LLM_STR(",\"stream_options\":"
                                 "{\"include_usage\":true}"));
    }

    llm_buf_str(out, LLM_STR("}"));
    llm_hub_rest(h, loss);

    return out->full ? LLM_FULL : LLM_OK;
}
