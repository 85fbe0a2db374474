/*
 * A conversation of Anthropic's in the hub's form: system first, results of
 * tools as messages of their own in front of what else the user says, calls as
 * members of the assistant's message.
 */

#include "llm_front_messages.h"

enum {
    LLM_MB_TYPE, LLM_MB_TEXT, LLM_MB_SOURCE, LLM_MB_TITLE, LLM_MB_CONTENT,
    LLM_MB_ID, LLM_MB_NAME, LLM_MB_INPUT, LLM_MB_TOOL_USE_ID, LLM_MB_IS_ERROR,
    LLM_MB_COUNT
};


static const llm_json_want_t  llm_block_want[LLM_MB_COUNT] = {
    [LLM_MB_TYPE] = { .name = LLM_STR("type") },
    [LLM_MB_TEXT] = { .name = LLM_STR("text") },
    [LLM_MB_SOURCE] = { .name = LLM_STR("source") },
    [LLM_MB_TITLE] = { .name = LLM_STR("title") },
    [LLM_MB_CONTENT] = { .name = LLM_STR("content") },
    [LLM_MB_ID] = { .name = LLM_STR("id") },
    [LLM_MB_NAME] = { .name = LLM_STR("name") },
    [LLM_MB_INPUT] = { .name = LLM_STR("input") },
    [LLM_MB_TOOL_USE_ID] = { .name = LLM_STR("tool_use_id") },
    [LLM_MB_IS_ERROR] = { .name = LLM_STR("is_error") }
};


static int
llm_asked_is(const llm_json_want_t *want, llm_str_t type)
{
    return llm_hub_is(want[LLM_MB_TYPE].value, type);
}


/* Hands over all blocks of a content; there are none where it is a string. */
static llm_rc_t
llm_asked_each(llm_turns_t *t, const llm_json_want_t *content,
    llm_rc_t (*block)(llm_turns_t *t, const llm_json_want_t *want))
{
    llm_rc_t         rc;
    llm_json_iter_t  it;
    llm_json_want_t  want[LLM_MB_COUNT];

    if (content->kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, content->value) != LLM_OK)
    {
        return LLM_OK;
    }

    memcpy(want, llm_block_want, sizeof(llm_block_want));

    while ((rc = llm_openai_next(&it, want, LLM_MB_COUNT)) != LLM_NONE) {

        if (rc != LLM_OK || want[LLM_MB_TYPE].kind != LLM_JSON_STRING) {
            return llm_turns_fail(t, LLM_BAD,
                                  LLM_STR("A block has no \"type\"."));
        }

        rc = block(t, want);
        if (rc != LLM_OK) {
            return rc;
        }
    }

    return LLM_OK;
}


/* ---- parts ------------------------------------------------------------- */


static llm_rc_t
llm_asked_text(llm_turns_t *t, const llm_json_want_t *text)
{
    if (text->kind != LLM_JSON_STRING || text->value.len <= 2) {
        return LLM_OK;
    }

    llm_turns_text(t, text->value);

    return LLM_OK;
}


/* "data:TYPE;base64,DATA" of two raw strings. */
static void
llm_asked_data_url(llm_buf_t *out, llm_str_t type, llm_str_t data)
{
    llm_buf_str(out, LLM_STR("\"data:"));
    llm_buf_put(out, type.data + 1, type.len - 2);
    llm_buf_str(out, LLM_STR(";base64,"));
    llm_buf_put(out, data.data + 1, data.len - 2);
    llm_buf_str(out, LLM_STR("\""));
}


static llm_rc_t
llm_asked_image(llm_turns_t *t, llm_str_t source)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("media_type") },
        { .name = LLM_STR("data") }, { .name = LLM_STR("url") }
    };

    static const llm_str_t  image = LLM_STR("{\"type\":\"image_url\","
                                            "\"image_url\":{\"url\":");

    if (llm_openai_pick(source, want, 4) != LLM_OK) {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("An image has no \"source\"."));
    }

    if (want[1].kind == LLM_JSON_STRING && want[2].kind == LLM_JSON_STRING) {
        llm_turns_part(t, image);
        llm_asked_data_url(t->out, want[1].value, want[2].value);

    } else if (want[3].kind == LLM_JSON_STRING) {
        llm_turns_part(t, image);
        llm_buf_str(t->out, want[3].value);

    } else {
        return llm_turns_fail(t, LLM_NONE,
                              LLM_STR("An image is of a kind that this "
                                      "provider does not take."));
    }

    llm_buf_str(t->out, LLM_STR("}}"));

    return LLM_OK;
}


static llm_rc_t
llm_asked_text_block(llm_turns_t *t, const llm_json_want_t *want)
{
    return llm_asked_text(t, &want[LLM_MB_TEXT]);
}


/* A string, or an array with text blocks in it, as parts. */
static llm_rc_t
llm_asked_texts(llm_turns_t *t, const llm_json_want_t *content)
{
    return content->kind == LLM_JSON_ARRAY
           ? llm_asked_each(t, content, llm_asked_text_block)
           : llm_asked_text(t, content);
}


static llm_rc_t
llm_asked_document(llm_turns_t *t, const llm_json_want_t *block)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("media_type") },
        { .name = LLM_STR("data") }, { .name = LLM_STR("content") }
    };

    if (llm_openai_pick(block[LLM_MB_SOURCE].value, want, 4) != LLM_OK) {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("A document has no \"source\"."));
    }

    if (llm_hub_is(want[0].value, LLM_STR("text"))) {
        return llm_asked_text(t, &want[2]);
    }

    if (llm_hub_is(want[0].value, LLM_STR("content"))) {
        return llm_asked_texts(t, &want[3]);
    }

    if (want[1].kind != LLM_JSON_STRING || want[2].kind != LLM_JSON_STRING) {
        return llm_turns_fail(t, LLM_NONE,
                              LLM_STR("A document is of a kind that this "
                                      "provider does not take."));
    }

    llm_turns_part(t, LLM_STR("{\"type\":\"file\",\"file\":{\"filename\":"));
    llm_buf_str(t->out, block[LLM_MB_TITLE].kind == LLM_JSON_STRING
                        ? block[LLM_MB_TITLE].value
                        : LLM_STR("\"document.pdf\""));
    llm_buf_str(t->out, LLM_STR(",\"file_data\":"));
    llm_asked_data_url(t->out, want[1].value, want[2].value);
    llm_buf_str(t->out, LLM_STR("}}"));

    return LLM_OK;
}


/* What may stand in a result of a tool as well, and is no text. */
static llm_rc_t
llm_asked_shown(llm_turns_t *t, const llm_json_want_t *want)
{
    if (llm_asked_is(want, LLM_STR("image"))) {
        return llm_asked_image(t, want[LLM_MB_SOURCE].value);
    }

    if (llm_asked_is(want, LLM_STR("document"))) {
        return llm_asked_document(t, want);
    }

    if (llm_asked_is(want, LLM_STR("search_result"))) {
        return llm_asked_texts(t, &want[LLM_MB_CONTENT]);
    }

    return llm_turns_fail(t, LLM_NONE,
                          LLM_STR("A block is of a type that this provider "
                                  "does not take."));
}


/* What is no text in a result of a tool becomes the user's. */
static llm_rc_t
llm_asked_result_block(llm_turns_t *t, const llm_json_want_t *want)
{
    return llm_asked_is(want, LLM_STR("text")) ? LLM_OK
                                               : llm_asked_shown(t, want);
}


static llm_rc_t
llm_asked_user_block(llm_turns_t *t, const llm_json_want_t *want)
{
    if (llm_asked_is(want, LLM_STR("text"))) {
        return llm_asked_text(t, &want[LLM_MB_TEXT]);
    }

    if (llm_asked_is(want, LLM_STR("tool_result"))) {
        return llm_asked_each(t, &want[LLM_MB_CONTENT],
                              llm_asked_result_block);
    }

    return llm_asked_shown(t, want);
}


/* ---- the user's turn ----------------------------------------------------- */


static llm_rc_t
llm_asked_result(llm_turns_t *t, const llm_json_want_t *want)
{
    if (!llm_asked_is(want, LLM_STR("tool_result"))) {
        return LLM_OK;
    }

    if (want[LLM_MB_TOOL_USE_ID].kind != LLM_JSON_STRING) {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("A tool_result has no "
                                      "\"tool_use_id\"."));
    }

    llm_turns_result(t, want[LLM_MB_TOOL_USE_ID].value,
                     &want[LLM_MB_CONTENT]);

    if (want[LLM_MB_IS_ERROR].kind == LLM_JSON_TRUE) {
        llm_buf_str(t->out, LLM_STR(",\"is_error\":true"));
    }

    llm_buf_str(t->out, LLM_STR("}"));

    return LLM_OK;
}


static llm_rc_t
llm_asked_user(llm_turns_t *t, const llm_json_want_t *content)
{
    llm_rc_t  rc;

    if (content->kind == LLM_JSON_STRING) {
        llm_turns_plain(t, LLM_STR("user"), content);
        return LLM_OK;
    }

    rc = llm_asked_each(t, content, llm_asked_result);

    if (rc == LLM_OK) {
        rc = llm_asked_each(t, content, llm_asked_user_block);
    }

    llm_turns_end(t);

    return rc;
}


/* ---- the assistant's turn ------------------------------------------------ */


static llm_rc_t
llm_asked_call(llm_turns_t *t, const llm_json_want_t *want)
{
    if (!llm_asked_is(want, LLM_STR("tool_use"))) {
        return LLM_OK;
    }

    if (want[LLM_MB_ID].kind != LLM_JSON_STRING
        || want[LLM_MB_NAME].kind != LLM_JSON_STRING)
    {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("A tool_use has no \"id\" or no "
                                      "\"name\"."));
    }

    llm_turns_call(t, want[LLM_MB_ID].value, want[LLM_MB_NAME].value);
    llm_json_put_string(t->out, want[LLM_MB_INPUT].kind == LLM_JSON_OBJECT
                                ? want[LLM_MB_INPUT].value : LLM_STR("{}"));
    llm_buf_str(t->out, LLM_STR("}}"));

    return LLM_OK;
}


/* What only its maker reads; and what nobody else has a word for. */
static llm_rc_t
llm_asked_thoughts(llm_turns_t *t, llm_str_t content, unsigned *said)
{
    unsigned           n;
    llm_json_iter_t    it;
    llm_json_member_t  m, type;

    if (llm_json_begin(&it, content) != LLM_OK) {
        return LLM_OK;
    }

    n = 0;

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_json_get(m.value, LLM_STR("type"), &type) != LLM_OK) {
            return llm_turns_fail(t, LLM_BAD,
                                  LLM_STR("A block has no \"type\"."));
        }

        if (llm_hub_is(type.value, LLM_STR("thinking"))
            || llm_hub_is(type.value, LLM_STR("redacted_thinking")))
        {
            llm_buf_str(t->out, n++ ? LLM_STR(",")
                                    : LLM_STR(",\"thinking_blocks\":["));
            llm_buf_str(t->out, m.value);

        } else if (llm_hub_is(type.value, LLM_STR("text"))) {
            *said = 1;

        } else if (!llm_hub_is(type.value, LLM_STR("tool_use"))) {
            llm_loss_add(t->loss, LLM_STR("messages"));
        }
    }

    if (n) {
        llm_buf_str(t->out, LLM_STR("]"));
    }

    return LLM_OK;
}


static llm_rc_t
llm_asked_assistant(llm_turns_t *t, const llm_json_want_t *content)
{
    llm_rc_t  rc;
    unsigned  said;

    if (content->kind == LLM_JSON_STRING) {
        llm_turns_plain(t, LLM_STR("assistant"), content);
        return LLM_OK;
    }

    llm_turns_begin(t, LLM_STR("assistant"));

    said = 0;

    rc = llm_asked_thoughts(t, content->value, &said);
    if (rc != LLM_OK) {
        return rc;
    }

    if (said) {
        llm_turns_content(t, content, LLM_NOSTR);
    } else {
        llm_buf_str(t->out, LLM_STR(",\"content\":null"));
    }

    rc = llm_asked_each(t, content, llm_asked_call);

    llm_turns_calls_end(t);
    llm_buf_str(t->out, LLM_STR("}"));

    return rc;
}


/* ---- all of them --------------------------------------------------------- */


static llm_rc_t
llm_asked_turn(llm_turns_t *t, llm_str_t message)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("role") }, { .name = LLM_STR("content") }
    };

    if (llm_openai_pick(message, want, 2) != LLM_OK
        || want[0].kind != LLM_JSON_STRING)
    {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("A message has no \"role\"."));
    }

    if (want[1].kind != LLM_JSON_STRING && want[1].kind != LLM_JSON_ARRAY) {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("The content of a message has to be a "
                                      "string or an array."));
    }

    if (llm_hub_is(want[0].value, LLM_STR("user"))) {
        return llm_asked_user(t, &want[1]);
    }

    if (llm_hub_is(want[0].value, LLM_STR("assistant"))) {
        return llm_asked_assistant(t, &want[1]);
    }

    if (llm_hub_is(want[0].value, LLM_STR("system"))) {
        llm_turns_plain(t, LLM_STR("system"), &want[1]);
        return LLM_OK;
    }

    return llm_turns_fail(t, LLM_BAD,
                          LLM_STR("A message has to be of \"user\", "
                                  "\"assistant\" or \"system\"."));
}


llm_rc_t
llm_messages_turns(const llm_json_want_t *system, llm_str_t messages,
    llm_buf_t *out, llm_loss_t *loss)
{
    llm_rc_t           rc;
    llm_turns_t        t;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    llm_turns_init(&t, LLM_STR("messages"), out, loss);

    if ((system->kind == LLM_JSON_STRING || system->kind == LLM_JSON_ARRAY)
        && !llm_hub_idle(system->kind, system->value))
    {
        llm_turns_plain(&t, LLM_STR("system"), system);
    }

    rc = llm_json_begin(&it, messages);

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
        rc = llm_asked_turn(&t, m.value);
    }

    return rc;
}
