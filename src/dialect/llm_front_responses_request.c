/*
 * A body of OpenAI's Responses endpoint in the hub's form: all members but the
 * conversation, which is in llm_front_responses_input.c.
 *
 * Nothing is stored here.  What speaks of something stored, or of tools that
 * the provider itself runs, nobody behind the hub can be asked for.
 */

#include "llm_front_responses.h"

enum {
    LLM_RR_MODEL, LLM_RR_INPUT, LLM_RR_INSTRUCTIONS, LLM_RR_STREAM,
    LLM_RR_STREAM_OPTIONS, LLM_RR_MAX_OUTPUT, LLM_RR_TEMPERATURE, LLM_RR_TOP_P,
    LLM_RR_TOOLS, LLM_RR_TOOL_CHOICE, LLM_RR_PARALLEL, LLM_RR_TEXT,
    LLM_RR_REASONING, LLM_RR_METADATA, LLM_RR_STORE, LLM_RR_INCLUDE,
    LLM_RR_USER, LLM_RR_SAFETY, LLM_RR_TIER, LLM_RR_TRUNCATION,
    LLM_RR_PREVIOUS, LLM_RR_CONVERSATION, LLM_RR_PROMPT, LLM_RR_BACKGROUND,
    LLM_RR_COUNT
};


static const llm_json_want_t  llm_responses_want[LLM_RR_COUNT] = {
    [LLM_RR_MODEL] = { .name = LLM_STR("model") },
    [LLM_RR_INPUT] = { .name = LLM_STR("input") },
    [LLM_RR_INSTRUCTIONS] = { .name = LLM_STR("instructions") },
    [LLM_RR_STREAM] = { .name = LLM_STR("stream") },
    [LLM_RR_STREAM_OPTIONS] = { .name = LLM_STR("stream_options") },
    [LLM_RR_MAX_OUTPUT] = { .name = LLM_STR("max_output_tokens") },
    [LLM_RR_TEMPERATURE] = { .name = LLM_STR("temperature") },
    [LLM_RR_TOP_P] = { .name = LLM_STR("top_p") },
    [LLM_RR_TOOLS] = { .name = LLM_STR("tools") },
    [LLM_RR_TOOL_CHOICE] = { .name = LLM_STR("tool_choice") },
    [LLM_RR_PARALLEL] = { .name = LLM_STR("parallel_tool_calls") },
    [LLM_RR_TEXT] = { .name = LLM_STR("text") },
    [LLM_RR_REASONING] = { .name = LLM_STR("reasoning") },
    [LLM_RR_METADATA] = { .name = LLM_STR("metadata") },
    [LLM_RR_STORE] = { .name = LLM_STR("store") },
    [LLM_RR_INCLUDE] = { .name = LLM_STR("include") },
    [LLM_RR_USER] = { .name = LLM_STR("user") },
    [LLM_RR_SAFETY] = { .name = LLM_STR("safety_identifier") },
    [LLM_RR_TIER] = { .name = LLM_STR("service_tier") },
    [LLM_RR_TRUNCATION] = { .name = LLM_STR("truncation") },
    [LLM_RR_PREVIOUS] = { .name = LLM_STR("previous_response_id") },
    [LLM_RR_CONVERSATION] = { .name = LLM_STR("conversation") },
    [LLM_RR_PROMPT] = { .name = LLM_STR("prompt") },
    [LLM_RR_BACKGROUND] = { .name = LLM_STR("background") }
};


/* What asks for something that is stored, or is to be. */
static llm_rc_t
llm_responses_stored(const llm_json_want_t *want, llm_loss_t *loss)
{
    unsigned  i;

    for (i = LLM_RR_PREVIOUS; i <= LLM_RR_BACKGROUND; i++) {
        if (!llm_hub_idle(want[i].kind, want[i].value)) {
            return llm_loss_fail(loss, LLM_NONE, want[i].name,
                         LLM_STR("This takes a provider that stores "
                                 "responses, and has the endpoint itself."));
        }
    }

    return LLM_OK;
}


/* Members that differ in nothing but their name. */
static void
llm_responses_same(const llm_json_want_t *want, llm_buf_t *out)
{
    size_t  i;

    static const struct {
        unsigned   from;
        llm_str_t  to;
    } same[] = {
        { LLM_RR_MAX_OUTPUT, LLM_STR("max_completion_tokens") },
        { LLM_RR_STREAM, LLM_STR("stream") },
        { LLM_RR_TEMPERATURE, LLM_STR("temperature") },
        { LLM_RR_TOP_P, LLM_STR("top_p") },
        { LLM_RR_USER, LLM_STR("user") },
        { LLM_RR_SAFETY, LLM_STR("safety_identifier") },
        { LLM_RR_TIER, LLM_STR("service_tier") }
    };

    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        if (want[same[i].from].kind != LLM_JSON_NULL) {
            llm_hub_put_member(out, same[i].to, want[same[i].from].value);
        }
    }
}


/* ---- tools ------------------------------------------------------------- */


static llm_rc_t
llm_responses_choice(const llm_json_want_t *choice, llm_buf_t *out,
    llm_loss_t *loss)
{
    size_t             n;
    llm_json_iter_t    it;
    llm_json_member_t  m, name;
    llm_json_want_t    want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("name") },
        { .name = LLM_STR("mode") }, { .name = LLM_STR("tools") }
    };

    if (choice->kind == LLM_JSON_NULL || choice->kind == LLM_JSON_STRING) {
        if (choice->kind == LLM_JSON_STRING) {
            llm_hub_put_member(out, choice->name, choice->value);
        }

        return LLM_OK;
    }

    if (llm_openai_pick(choice->value, want, 4) != LLM_OK) {
        return llm_loss_fail(loss, LLM_BAD, choice->name,
                             LLM_STR("The member \"tool_choice\" has to be a "
                                     "string or an object."));
    }

    if (llm_hub_is(want[0].value, LLM_STR("function"))
        && want[1].kind == LLM_JSON_STRING)
    {
        llm_hub_put_member(out, choice->name,
                           LLM_STR("{\"type\":\"function\",\"function\":"
                                   "{\"name\":"));
        llm_buf_str(out, want[1].value);
        llm_buf_str(out, LLM_STR("}}"));

        return LLM_OK;
    }

    if (!llm_hub_is(want[0].value, LLM_STR("allowed_tools"))
        || want[2].kind != LLM_JSON_STRING
        || llm_json_begin(&it, want[3].value) != LLM_OK)
    {
        return llm_loss_fail(loss, LLM_NONE, choice->name,
                             LLM_STR("Only functions can be chosen here."));
    }

    llm_hub_put_member(out, choice->name,
                       LLM_STR("{\"type\":\"allowed_tools\","
                               "\"allowed_tools\":{\"mode\":"));
    llm_buf_str(out, want[2].value);
    llm_buf_str(out, LLM_STR(",\"tools\":["));

    for (n = 0; llm_json_next(&it, &m) == LLM_OK; /* void */) {
        if (llm_json_get(m.value, LLM_STR("name"), &name) == LLM_OK
            && name.kind == LLM_JSON_STRING)
        {
            llm_buf_str(out, n++ ? LLM_STR(",") : LLM_NOSTR);
            llm_buf_str(out, LLM_STR("{\"type\":\"function\",\"function\":"
                                     "{\"name\":"));
            llm_buf_str(out, name.value);
            llm_buf_str(out, LLM_STR("}}"));
        }
    }

    llm_buf_str(out, LLM_STR("]}}"));

    return LLM_OK;
}


static llm_rc_t
llm_responses_tool(llm_str_t tool, llm_buf_t *out, llm_loss_t *loss)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("name") }, { .name = LLM_STR("description") },
        { .name = LLM_STR("parameters") }, { .name = LLM_STR("strict") },
        { .name = LLM_STR("type") }
    };

    if (llm_openai_pick(tool, want, 5) != LLM_OK
        || want[4].kind != LLM_JSON_STRING)
    {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("tools"),
                             LLM_STR("A tool has no \"type\"."));
    }

    if (!llm_hub_is(want[4].value, LLM_STR("function"))) {
        return llm_loss_fail(loss, LLM_NONE, LLM_STR("tools"),
                     LLM_STR("Only tools of type \"function\" are known to "
                             "providers without this endpoint."));
    }

    if (want[0].kind != LLM_JSON_STRING) {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("tools"),
                             LLM_STR("A tool has no \"name\"."));
    }

    llm_hub_put_tool(out, want);

    return LLM_OK;
}


static llm_rc_t
llm_responses_tools(const llm_json_want_t *want, llm_buf_t *out,
    llm_loss_t *loss)
{
    size_t             n;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (want[LLM_RR_TOOLS].kind != LLM_JSON_ARRAY
        || llm_hub_idle(LLM_JSON_ARRAY, want[LLM_RR_TOOLS].value))
    {
        return LLM_OK;
    }

    llm_hub_put_member(out, LLM_STR("tools"), LLM_STR("["));

    rc = llm_json_begin(&it, want[LLM_RR_TOOLS].value);

    for (n = 0; rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK; n++) {
        llm_buf_str(out, n ? LLM_STR(",") : LLM_NOSTR);
        rc = llm_responses_tool(m.value, out, loss);
    }

    llm_buf_str(out, LLM_STR("]"));

    if (want[LLM_RR_PARALLEL].kind != LLM_JSON_NULL) {
        llm_hub_put_member(out, want[LLM_RR_PARALLEL].name,
                           want[LLM_RR_PARALLEL].value);
    }

    return rc == LLM_OK
           ? llm_responses_choice(&want[LLM_RR_TOOL_CHOICE], out, loss) : rc;
}


/* ---- the rest ---------------------------------------------------------- */


/* {"type":"json_schema","name","schema",…} is flat here. */
static void
llm_responses_format(llm_str_t format, llm_buf_t *out)
{
    size_t           i;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("name") },
        { .name = LLM_STR("description") }, { .name = LLM_STR("schema") },
        { .name = LLM_STR("strict") }
    };

    if (llm_openai_pick(format, want, 5) != LLM_OK) {
        return;
    }

    if (llm_hub_is(want[0].value, LLM_STR("json_object"))) {
        llm_hub_put_member(out, LLM_STR("response_format"),
                           LLM_STR("{\"type\":\"json_object\"}"));
        return;
    }

    if (!llm_hub_is(want[0].value, LLM_STR("json_schema"))) {
        return;
    }

    llm_hub_put_member(out, LLM_STR("response_format"),
                       LLM_STR("{\"type\":\"json_schema\",\"json_schema\":"
                               "{\"name\":"));
    llm_buf_str(out, want[1].kind == LLM_JSON_STRING ? want[1].value
                                             : LLM_STR("\"answer\""));

    for (i = 2; i < 5; i++) {
        if (want[i].kind != LLM_JSON_NULL) {
            llm_hub_put_member(out, want[i].name, want[i].value);
        }
    }

    llm_buf_str(out, LLM_STR("}}"));
}


static void
llm_responses_output(const llm_json_want_t *want, llm_buf_t *out)
{
    llm_json_member_t  m;

    if (llm_json_get(want[LLM_RR_TEXT].value, LLM_STR("format"), &m)
        == LLM_OK)
    {
        llm_responses_format(m.value, out);
    }

    if (llm_json_get(want[LLM_RR_TEXT].value, LLM_STR("verbosity"), &m)
        == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        llm_hub_put_member(out, LLM_STR("verbosity"), m.value);
    }

    if (llm_json_get(want[LLM_RR_REASONING].value, LLM_STR("effort"), &m)
        == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        llm_hub_put_member(out, LLM_STR("reasoning_effort"), m.value);
    }
}


/* What is left out, and would have been seen. */
static void
llm_responses_losses(const llm_json_want_t *want, llm_loss_t *loss)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (want[LLM_RR_STORE].kind == LLM_JSON_TRUE) {
        llm_loss_add(loss, want[LLM_RR_STORE].name);
    }

    if (llm_hub_is(want[LLM_RR_TRUNCATION].value, LLM_STR("auto"))) {
        llm_loss_add(loss, want[LLM_RR_TRUNCATION].name);
    }

    if (llm_json_begin(&it, want[LLM_RR_INCLUDE].value) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        /* what there is of it is always told */
        if (!llm_hub_is(m.value, LLM_STR("reasoning.encrypted_content"))) {
            llm_loss_add(loss, want[LLM_RR_INCLUDE].name);
        }
    }
}


llm_rc_t
llm_responses_request(llm_str_t body, llm_buf_t *out, llm_loss_t *loss)
{
    llm_rc_t         rc;
    llm_json_want_t  want[LLM_RR_COUNT];

    llm_loss_init(loss);
    memcpy(want, llm_responses_want, sizeof(want));

    rc = llm_hub_take(body, LLM_NOSTR, want, LLM_RR_COUNT, loss);

    if (rc == LLM_OK) {
        rc = llm_responses_stored(want, loss);
    }

    if (rc != LLM_OK) {
        return rc;
    }

    llm_buf_str(out, LLM_STR("{\"messages\":["));

    rc = llm_responses_turns(&want[LLM_RR_INSTRUCTIONS], &want[LLM_RR_INPUT],
                             out, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_buf_str(out, LLM_STR("]"));

    rc = llm_responses_tools(want, out, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_responses_same(want, out);
    llm_responses_output(want, out);
    llm_responses_losses(want, loss);

    llm_buf_str(out, LLM_STR("}"));

    return out->full ? LLM_FULL : LLM_OK;
}
