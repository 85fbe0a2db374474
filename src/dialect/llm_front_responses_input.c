/*
 * The input of OpenAI's Responses in the hub's form.
 *
 * There an answer of the model is a row of items, and here it is one message:
 * neighbours that the model said (reasoning, messages, calls) become that
 * message, neighbours that are results of calls the messages of tools, with
 * their pictures behind them as the user's.
 */

#include "llm_front_responses.h"

enum {
    LLM_RI_TYPE, LLM_RI_ROLE, LLM_RI_CONTENT, LLM_RI_CALL_ID, LLM_RI_NAME,
    LLM_RI_ARGUMENTS, LLM_RI_OUTPUT, LLM_RI_SUMMARY, LLM_RI_SEALED,
    LLM_RI_EXTRA, LLM_RI_COUNT
};

/* What an item is; neighbours of one kind belong together. */
typedef enum {
    LLM_ITEM_ASKED, LLM_ITEM_SAID, LLM_ITEM_RESULT
} llm_item_t;


static const llm_json_want_t  llm_item_want[LLM_RI_COUNT] = {
    [LLM_RI_TYPE] = { .name = LLM_STR("type") },
    [LLM_RI_ROLE] = { .name = LLM_STR("role") },
    [LLM_RI_CONTENT] = { .name = LLM_STR("content") },
    [LLM_RI_CALL_ID] = { .name = LLM_STR("call_id") },
    [LLM_RI_NAME] = { .name = LLM_STR("name") },
    [LLM_RI_ARGUMENTS] = { .name = LLM_STR("arguments") },
    [LLM_RI_OUTPUT] = { .name = LLM_STR("output") },
    [LLM_RI_SUMMARY] = { .name = LLM_STR("summary") },
    [LLM_RI_SEALED] = { .name = LLM_STR("encrypted_content") },
    [LLM_RI_EXTRA] = { .name = LLM_STR("extra_content") }
};


static int
llm_item_is(const llm_json_want_t *want, llm_str_t type)
{
    return llm_hub_is(want[LLM_RI_TYPE].value, type);
}


/* A message needs no type. */
static int
llm_item_is_message(const llm_json_want_t *want)
{
    return want[LLM_RI_TYPE].kind == LLM_JSON_NULL
           ? want[LLM_RI_ROLE].kind == LLM_JSON_STRING
           : llm_item_is(want, LLM_STR("message"));
}


/* Takes an item apart. */
static llm_rc_t
llm_turns_item(llm_turns_t *t, llm_str_t value, llm_json_want_t *want,
    llm_item_t *item)
{
    memcpy(want, llm_item_want, sizeof(llm_item_want));

    if (llm_openai_pick(value, want, LLM_RI_COUNT) != LLM_OK) {
        return llm_turns_fail(t, LLM_BAD, LLM_STR("An item of the input has "
                                                  "to be an object."));
    }

    if (llm_item_is_message(want)) {
        *item = llm_hub_is(want[LLM_RI_ROLE].value, LLM_STR("assistant"))
                ? LLM_ITEM_SAID : LLM_ITEM_ASKED;
        return LLM_OK;
    }

    if (llm_item_is(want, LLM_STR("function_call"))
        || llm_item_is(want, LLM_STR("reasoning")))
    {
        *item = LLM_ITEM_SAID;
        return LLM_OK;
    }

    if (llm_item_is(want, LLM_STR("function_call_output"))) {
        *item = LLM_ITEM_RESULT;
        return LLM_OK;
    }

    return llm_turns_fail(t, LLM_NONE,
                          LLM_STR("An item of the input is of a type that "
                                  "only providers with this endpoint know."));
}


/* The next item of the same kind; *it stays in front of another one. */
static int
llm_turns_next(llm_turns_t *t, llm_json_iter_t *it, llm_item_t kind,
    llm_json_want_t *want)
{
    llm_item_t         item;
    llm_json_iter_t    next;
    llm_json_member_t  m;

    next = *it;

    if (llm_json_next(&next, &m) != LLM_OK
        || llm_turns_item(t, m.value, want, &item) != LLM_OK || item != kind)
    {
        return 0;
    }

    *it = next;

    return 1;
}


/* ---- what the user says ------------------------------------------------- */


static llm_rc_t
llm_turns_asked(llm_turns_t *t, const llm_json_want_t *want)
{
    llm_rc_t                rc;
    const llm_json_want_t  *content;

    content = &want[LLM_RI_CONTENT];

    if (content->kind != LLM_JSON_STRING && content->kind != LLM_JSON_ARRAY) {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("The content of a message has to be a "
                                      "string or an array."));
    }

    if (llm_hub_is_system(want[LLM_RI_ROLE].value)) {
        /* not everybody knows developers */
        llm_turns_plain(t, LLM_STR("system"), content);
        return LLM_OK;
    }

    if (!llm_hub_is(want[LLM_RI_ROLE].value, LLM_STR("user"))) {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("A message has to be of \"user\", "
                                      "\"assistant\", \"system\" or "
                                      "\"developer\"."));
    }

    if (content->kind == LLM_JSON_STRING) {
        llm_turns_plain(t, LLM_STR("user"), content);
        return LLM_OK;
    }

    rc = llm_responses_parts(t, content->value, 1);
    llm_turns_end(t);

    return rc;
}


static llm_rc_t
llm_turns_results(llm_turns_t *t, llm_json_iter_t *it)
{
    llm_rc_t         rc;
    llm_json_iter_t  again;
    llm_json_want_t  want[LLM_RI_COUNT];

    again = *it;

    while (llm_turns_next(t, it, LLM_ITEM_RESULT, want)) {

        if (want[LLM_RI_CALL_ID].kind != LLM_JSON_STRING) {
            return llm_turns_fail(t, LLM_BAD,
                                  LLM_STR("A function_call_output has no "
                                          "\"call_id\"."));
        }

        llm_turns_result(t, want[LLM_RI_CALL_ID].value, &want[LLM_RI_OUTPUT]);
        llm_buf_str(t->out, LLM_STR("}"));
    }

    rc = LLM_OK;

    while (rc == LLM_OK && llm_turns_next(t, &again, LLM_ITEM_RESULT, want)) {
        if (want[LLM_RI_OUTPUT].kind == LLM_JSON_ARRAY) {
            rc = llm_responses_parts(t, want[LLM_RI_OUTPUT].value, 0);
        }
    }

    llm_turns_end(t);

    return rc;
}


/* ---- what the model said ------------------------------------------------ */


/* What stands behind the mark in a raw string, without quotes; 0: no mark. */
static int
llm_said_sealed(const llm_json_want_t *sealed, llm_str_t mark, llm_str_t *rest)
{
    if (sealed->kind != LLM_JSON_STRING || sealed->value.len < mark.len + 2
        || memcmp(sealed->value.data + 1, mark.data, mark.len) != 0)
    {
        return 0;
    }

    rest->data = sealed->value.data + 1 + mark.len;
    rest->len = sealed->value.len - 2 - mark.len;

    return 1;
}


/* Reasoning that came through here, for its maker; n blocks stand already. */
static unsigned
llm_said_block(llm_turns_t *t, const llm_json_want_t *want, unsigned n)
{
    llm_str_t  rest;

    if (llm_said_sealed(&want[LLM_RI_SEALED], LLM_STR(LLM_SEALED_REDACTED),
                        &rest))
    {
        llm_buf_str(t->out, n ? LLM_STR(",")
                              : LLM_STR(",\"thinking_blocks\":["));
        llm_buf_str(t->out, LLM_STR("{\"type\":\"redacted_thinking\","
                                    "\"data\":\""));

    } else if (llm_said_sealed(&want[LLM_RI_SEALED],
                               LLM_STR(LLM_SEALED_THINKING), &rest))
    {
        llm_buf_str(t->out, n ? LLM_STR(",")
                              : LLM_STR(",\"thinking_blocks\":["));
        llm_buf_str(t->out, LLM_STR("{\"type\":\"thinking\",\"thinking\":\""));
        (void) llm_hub_put_texts(t->out, &want[LLM_RI_SUMMARY], LLM_NOSTR, 0);
        llm_buf_str(t->out, LLM_STR("\",\"signature\":\""));

    } else {
        /* of another maker */
        return n;
    }

    llm_buf_str(t->out, rest);
    llm_buf_str(t->out, LLM_STR("\"}"));

    return n + 1;
}


static llm_rc_t
llm_said_call(llm_turns_t *t, const llm_json_want_t *want)
{
    if (want[LLM_RI_CALL_ID].kind != LLM_JSON_STRING
        || want[LLM_RI_NAME].kind != LLM_JSON_STRING)
    {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("A function_call has no \"call_id\" or "
                                      "no \"name\"."));
    }

    llm_turns_call(t, want[LLM_RI_CALL_ID].value, want[LLM_RI_NAME].value);
    llm_buf_str(t->out, want[LLM_RI_ARGUMENTS].kind == LLM_JSON_STRING
                        ? want[LLM_RI_ARGUMENTS].value : LLM_STR("\"{}\""));
    llm_buf_str(t->out, LLM_STR("}"));

    if (want[LLM_RI_EXTRA].kind == LLM_JSON_OBJECT) {
        llm_hub_put_member(t->out, want[LLM_RI_EXTRA].name,
                           want[LLM_RI_EXTRA].value);
    }

    llm_buf_str(t->out, LLM_STR("}"));

    return LLM_OK;
}


/* Texts of all messages together; the last seal is that of the last text. */
static void
llm_said_content(llm_turns_t *t, llm_json_iter_t it)
{
    unsigned         n;
    llm_str_t        extra;
    llm_json_want_t  want[LLM_RI_COUNT];

    n = 0;
    extra = LLM_NOSTR;

    while (llm_turns_next(t, &it, LLM_ITEM_SAID, want)) {

        if (!llm_item_is_message(want)) {
            continue;
        }

        llm_buf_str(t->out, n++ ? LLM_STR("\\n") : LLM_STR(",\"content\":\""));
        (void) llm_hub_put_texts(t->out, &want[LLM_RI_CONTENT], LLM_NOSTR, 0);

        if (want[LLM_RI_EXTRA].kind == LLM_JSON_OBJECT) {
            extra = want[LLM_RI_EXTRA].value;
        }
    }

    llm_buf_str(t->out, n ? LLM_STR("\"") : LLM_STR(",\"content\":null"));

    if (extra.len) {
        llm_hub_put_member(t->out, LLM_STR("extra_content"), extra);
    }
}


/* Whether there is more than reasoning of another maker. */
static int
llm_said_something(llm_turns_t *t, llm_json_iter_t it)
{
    llm_str_t        rest;
    llm_json_want_t  want[LLM_RI_COUNT];

    while (llm_turns_next(t, &it, LLM_ITEM_SAID, want)) {

        if (!llm_item_is(want, LLM_STR("reasoning"))
            || llm_said_sealed(&want[LLM_RI_SEALED],
                               LLM_STR(LLM_SEALED_THINKING), &rest)
            || llm_said_sealed(&want[LLM_RI_SEALED],
                               LLM_STR(LLM_SEALED_REDACTED), &rest))
        {
            return 1;
        }
    }

    return 0;
}


static llm_rc_t
llm_turns_said(llm_turns_t *t, llm_json_iter_t *it)
{
    int              something;
    unsigned         n;
    llm_rc_t         rc;
    llm_json_iter_t  again;
    llm_json_want_t  want[LLM_RI_COUNT];

    something = llm_said_something(t, *it);

    if (something) {
        llm_turns_begin(t, LLM_STR("assistant"));

        again = *it;

        for (n = 0; llm_turns_next(t, &again, LLM_ITEM_SAID, want); ) {
            n = llm_said_block(t, want, n);
        }

        llm_buf_str(t->out, n ? LLM_STR("]") : LLM_NOSTR);
        llm_said_content(t, *it);
    }

    rc = LLM_OK;

    while (rc == LLM_OK && llm_turns_next(t, it, LLM_ITEM_SAID, want)) {
        if (llm_item_is(want, LLM_STR("function_call"))) {
            rc = llm_said_call(t, want);
        }
    }

    llm_turns_calls_end(t);
    llm_buf_str(t->out, something ? LLM_STR("}") : LLM_NOSTR);

    return rc;
}


/* ---- all of them --------------------------------------------------------- */


static llm_rc_t
llm_turns_items(llm_turns_t *t, llm_str_t input)
{
    llm_rc_t           rc;
    llm_item_t         item;
    llm_json_iter_t    it, at;
    llm_json_member_t  m;
    llm_json_want_t    want[LLM_RI_COUNT];

    rc = llm_json_begin(&it, input);

    for (at = it; rc == LLM_OK && llm_json_next(&at, &m) == LLM_OK; at = it) {

        rc = llm_turns_item(t, m.value, want, &item);

        if (rc != LLM_OK) {
            break;
        }

        if (item == LLM_ITEM_ASKED) {
            rc = llm_turns_asked(t, want);
            it = at;

        } else if (item == LLM_ITEM_SAID) {
            rc = llm_turns_said(t, &it);

        } else {
            rc = llm_turns_results(t, &it);
        }
    }

    return rc;
}


llm_rc_t
llm_responses_turns(const llm_json_want_t *instructions,
    const llm_json_want_t *input, llm_buf_t *out, llm_loss_t *loss)
{
    llm_turns_t  t;

    llm_turns_init(&t, LLM_STR("input"), out, loss);

    if (instructions->kind == LLM_JSON_STRING
        && instructions->value.len > 2)
    {
        llm_turns_plain(&t, LLM_STR("system"), instructions);
    }

    if (input->kind == LLM_JSON_STRING) {
        llm_turns_plain(&t, LLM_STR("user"), input);
        return LLM_OK;
    }

    if (input->kind != LLM_JSON_ARRAY) {
        return llm_turns_fail(&t, LLM_BAD,
                              LLM_STR("The member \"input\" has to be a string "
                                      "or an array."));
    }

    return llm_turns_items(&t, input->value);
}
