/*
 * A body of Anthropic's Messages endpoint in the hub's form: all members but
 * the conversation, which is in llm_front_messages_turn.c.
 */

#include "llm_front_messages.h"

enum {
    LLM_MR_MODEL, LLM_MR_MESSAGES, LLM_MR_SYSTEM, LLM_MR_MAX_TOKENS,
    LLM_MR_STREAM, LLM_MR_TEMPERATURE, LLM_MR_TOP_P, LLM_MR_TOP_K,
    LLM_MR_STOP, LLM_MR_TOOLS, LLM_MR_TOOL_CHOICE, LLM_MR_THINKING,
    LLM_MR_OUTPUT, LLM_MR_METADATA, LLM_MR_TIER, LLM_MR_CACHE,
    LLM_MR_COUNT
};

#define LLM_USER_MAX  64                /* of an id that OpenAI takes */


static const llm_json_want_t  llm_messages_want[LLM_MR_COUNT] = {
    [LLM_MR_MODEL] = { .name = LLM_STR("model") },
    [LLM_MR_MESSAGES] = { .name = LLM_STR("messages") },
    [LLM_MR_SYSTEM] = { .name = LLM_STR("system") },
    [LLM_MR_MAX_TOKENS] = { .name = LLM_STR("max_tokens") },
    [LLM_MR_STREAM] = { .name = LLM_STR("stream") },
    [LLM_MR_TEMPERATURE] = { .name = LLM_STR("temperature") },
    [LLM_MR_TOP_P] = { .name = LLM_STR("top_p") },
    [LLM_MR_TOP_K] = { .name = LLM_STR("top_k") },
    [LLM_MR_STOP] = { .name = LLM_STR("stop_sequences") },
    [LLM_MR_TOOLS] = { .name = LLM_STR("tools") },
    [LLM_MR_TOOL_CHOICE] = { .name = LLM_STR("tool_choice") },
    [LLM_MR_THINKING] = { .name = LLM_STR("thinking") },
    [LLM_MR_OUTPUT] = { .name = LLM_STR("output_config") },
    [LLM_MR_METADATA] = { .name = LLM_STR("metadata") },
    [LLM_MR_TIER] = { .name = LLM_STR("service_tier") },
    [LLM_MR_CACHE] = { .name = LLM_STR("cache_control") }
};


/* Members that differ in nothing but their name. */
static void
llm_messages_same(const llm_json_want_t *want, llm_buf_t *out)
{
    size_t  i;

    static const struct {
        unsigned   from;
        llm_str_t  to;
    } same[] = {
        { LLM_MR_MAX_TOKENS, LLM_STR("max_completion_tokens") },
        { LLM_MR_STREAM, LLM_STR("stream") },
        { LLM_MR_TEMPERATURE, LLM_STR("temperature") },
        { LLM_MR_TOP_P, LLM_STR("top_p") },
        { LLM_MR_TOP_K, LLM_STR("top_k") }
    };

    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        if (want[same[i].from].kind != LLM_JSON_NULL) {
            llm_hub_put_member(out, same[i].to, want[same[i].from].value);
        }
    }

    if (want[LLM_MR_STOP].kind == LLM_JSON_ARRAY
        && !llm_hub_idle(LLM_JSON_ARRAY, want[LLM_MR_STOP].value))
    {
        llm_hub_put_member(out, LLM_STR("stop"), want[LLM_MR_STOP].value);
    }
}


/* ---- tools ------------------------------------------------------------- */


/* 1: it was written; 0: it is one that Anthropic itself runs or knows. */
static int
llm_messages_tool(llm_str_t tool, int first, llm_buf_t *out)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("name") }, { .name = LLM_STR("description") },
        { .name = LLM_STR("input_schema") }, { .name = LLM_STR("strict") },
        { .name = LLM_STR("type") }
    };

    if (llm_openai_pick(tool, want, 5) != LLM_OK
        || want[0].kind != LLM_JSON_STRING
        || (want[4].kind == LLM_JSON_STRING
            && !llm_hub_is(want[4].value, LLM_STR("custom"))))
    {
        return 0;
    }

    llm_buf_str(out, first ? LLM_STR(",\"tools\":[") : LLM_STR(","));
    llm_hub_put_tool(out, want);

    return 1;
}


static void
llm_messages_choice(const llm_json_want_t *choice, llm_buf_t *out)
{
    size_t             i;
    llm_json_member_t  type, m;

    static const struct {
        llm_str_t  word, value;
    } choices[] = {
        { LLM_STR("auto"), LLM_STR("\"auto\"") },
        { LLM_STR("any"), LLM_STR("\"required\"") },
        { LLM_STR("none"), LLM_STR("\"none\"") }
    };

    if (llm_json_get(choice->value, LLM_STR("type"), &type) != LLM_OK) {
        return;
    }

    for (i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        if (llm_hub_is(type.value, choices[i].word)) {
            llm_hub_put_member(out, LLM_STR("tool_choice"),
                               choices[i].value);
        }
    }

    if (llm_hub_is(type.value, LLM_STR("tool"))
        && llm_json_get(choice->value, LLM_STR("name"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        llm_hub_put_member(out, LLM_STR("tool_choice"),
                           LLM_STR("{\"type\":\"function\",\"function\":"
                                   "{\"name\":"));
        llm_buf_str(out, m.value);
        llm_buf_str(out, LLM_STR("}}"));
    }

    if (llm_json_get(choice->value, LLM_STR("disable_parallel_tool_use"), &m)
        == LLM_OK
        && m.kind == LLM_JSON_TRUE)
    {
        llm_hub_put_member(out, LLM_STR("parallel_tool_calls"),
                           LLM_STR("false"));
    }
}


static void
llm_messages_tools(const llm_json_want_t *want, llm_buf_t *out,
    llm_loss_t *loss)
{
    size_t             n;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (want[LLM_MR_TOOLS].kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, want[LLM_MR_TOOLS].value) != LLM_OK)
    {
        return;
    }

    for (n = 0; llm_json_next(&it, &m) == LLM_OK; /* void */) {

        if (llm_messages_tool(m.value, n == 0, out)) {
            n++;
        } else {
            llm_loss_add(loss, LLM_STR("tools"));
        }
    }

    if (n) {
        llm_buf_str(out, LLM_STR("]"));
        llm_messages_choice(&want[LLM_MR_TOOL_CHOICE], out);
    }
}


/* ---- the rest ---------------------------------------------------------- */


static void
llm_messages_output(const llm_json_want_t *want, llm_buf_t *out)
{
    llm_json_member_t  m, schema;

    if (want[LLM_MR_THINKING].kind == LLM_JSON_OBJECT) {
        llm_hub_put_member(out, LLM_STR("thinking"),
                           want[LLM_MR_THINKING].value);
    }

    if (llm_json_get(want[LLM_MR_OUTPUT].value, LLM_STR("effort"), &m)
        == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        llm_hub_put_member(out, LLM_STR("reasoning_effort"), m.value);
    }

    if (llm_json_get(want[LLM_MR_OUTPUT].value, LLM_STR("format"), &m)
        == LLM_OK
        && llm_json_get(m.value, LLM_STR("schema"), &schema) == LLM_OK
        && schema.kind == LLM_JSON_OBJECT)
    {
        llm_hub_put_member(out, LLM_STR("response_format"),
                           LLM_STR("{\"type\":\"json_schema\","
                                   "\"json_schema\":{\"name\":\"answer\","
                                   "\"schema\":"));
        llm_buf_str(out, schema.value);
        llm_buf_str(out, LLM_STR("}}"));
    }
}


static void
llm_messages_user(const llm_json_want_t *want, llm_buf_t *out,
    llm_loss_t *loss)
{
    llm_json_member_t  m;

    if (llm_json_get(want[LLM_MR_METADATA].value, LLM_STR("user_id"), &m)
        == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        if (m.value.len <= LLM_USER_MAX + 2) {
            llm_hub_put_member(out, LLM_STR("user"), m.value);
        } else {
            llm_loss_add(loss, LLM_STR("metadata"));
        }
    }

    if (llm_hub_is(want[LLM_MR_TIER].value, LLM_STR("standard_only"))) {
        llm_hub_put_member(out, LLM_STR("service_tier"),
                           LLM_STR("\"default\""));
    }
}


llm_rc_t
llm_messages_request(llm_str_t body, llm_buf_t *out, llm_loss_t *loss)
{
    llm_rc_t         rc;
    llm_json_want_t  want[LLM_MR_COUNT];

    llm_loss_init(loss);
    memcpy(want, llm_messages_want, sizeof(want));

    rc = llm_hub_take(body, LLM_NOSTR, want, LLM_MR_COUNT, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    if (want[LLM_MR_MESSAGES].kind != LLM_JSON_ARRAY) {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("messages"),
                     LLM_STR("The member \"messages\" has to be an array."));
    }

    llm_buf_str(out, LLM_STR("{\"messages\":["));

    rc = llm_messages_turns(&want[LLM_MR_SYSTEM],
                            want[LLM_MR_MESSAGES].value, out, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_buf_str(out, LLM_STR("]"));

    llm_messages_same(want, out);
    llm_messages_tools(want, out, loss);
    llm_messages_output(want, out);
    llm_messages_user(want, out, loss);

    llm_buf_str(out, LLM_STR("}"));

    return out->full ? LLM_FULL : LLM_OK;
}
