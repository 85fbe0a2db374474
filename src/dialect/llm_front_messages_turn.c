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

typedef struct {
    llm_buf_t   *out;
    llm_loss_t  *loss;
    unsigned     messages;              /* written so far */
    unsigned     parts;                 /* … of the user's message */
} llm_asked_t;


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


static llm_rc_t
llm_asked_bad(llm_asked_t *a, llm_str_t message)
{
    return llm_loss_fail(a->loss, LLM_BAD, LLM_STR("messages"), message);
}


static llm_rc_t
llm_asked_cannot(llm_asked_t *a, llm_str_t message)
{
    return llm_loss_fail(a->loss, LLM_NONE, LLM_STR("messages"), message);
}


static llm_rc_t
llm_asked_block(llm_asked_t *a, llm_str_t block, llm_json_want_t *want)
{
    memcpy(want, llm_block_want, sizeof(llm_block_want));

    if (llm_openai_pick(block, want, LLM_MB_COUNT) != LLM_OK
        || want[LLM_MB_TYPE].kind != LLM_JSON_STRING)
    {
        return llm_asked_bad(a, LLM_STR("A block has no \"type\"."));
    }

    return LLM_OK;
}


static int
llm_asked_is(const llm_json_want_t *want, llm_str_t type)
{
    return llm_hub_is(want[LLM_MB_TYPE].value, type);
}


/* ---- parts ------------------------------------------------------------- */


/* The user's message begins with its first part. */
static void
llm_asked_part(llm_asked_t *a)
{
    if (a->parts++) {
        llm_buf_str(a->out, LLM_STR(","));
        return;
    }

    llm_buf_str(a->out, a->messages++ ? LLM_STR(",{") : LLM_STR("{"));
    llm_buf_str(a->out, LLM_STR("\"role\":\"user\",\"content\":["));
}


static llm_rc_t
llm_asked_text(llm_asked_t *a, const llm_json_want_t *text)
{
    if (text->kind != LLM_JSON_STRING || text->value.len <= 2) {
        return LLM_OK;
    }

    llm_asked_part(a);
    llm_buf_str(a->out, LLM_STR("{\"type\":\"text\",\"text\":"));
    llm_buf_str(a->out, text->value);
    llm_buf_str(a->out, LLM_STR("}"));

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
llm_asked_image(llm_asked_t *a, llm_str_t source)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("media_type") },
        { .name = LLM_STR("data") }, { .name = LLM_STR("url") }
    };

    if (llm_openai_pick(source, want, 4) != LLM_OK) {
        return llm_asked_bad(a, LLM_STR("An image has no \"source\"."));
    }

    if (want[1].kind == LLM_JSON_STRING && want[2].kind == LLM_JSON_STRING) {
        llm_asked_part(a);
        llm_buf_str(a->out, LLM_STR("{\"type\":\"image_url\",\"image_url\":"
                                    "{\"url\":"));
        llm_asked_data_url(a->out, want[1].value, want[2].value);

    } else if (want[3].kind == LLM_JSON_STRING) {
        llm_asked_part(a);
        llm_buf_str(a->out, LLM_STR("{\"type\":\"image_url\",\"image_url\":"
                                    "{\"url\":"));
        llm_buf_str(a->out, want[3].value);

    } else {
        return llm_asked_cannot(a, LLM_STR("An image is of a kind that this "
                                           "provider does not take."));
    }

    llm_buf_str(a->out, LLM_STR("}}"));

    return LLM_OK;
}


/* A string, or an array with text blocks in it, as parts. */
static llm_rc_t
llm_asked_texts(llm_asked_t *a, const llm_json_want_t *content)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;
    llm_json_want_t    want[LLM_MB_COUNT];

    if (content->kind != LLM_JSON_ARRAY) {
        return llm_asked_text(a, content);
    }

    if (llm_json_begin(&it, content->value) != LLM_OK) {
        return LLM_OK;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        if (llm_asked_block(a, m.value, want) != LLM_OK) {
            return LLM_BAD;
        }

        (void) llm_asked_text(a, &want[LLM_MB_TEXT]);
    }

    return LLM_OK;
}


static llm_rc_t
llm_asked_document(llm_asked_t *a, const llm_json_want_t *block)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("media_type") },
        { .name = LLM_STR("data") }, { .name = LLM_STR("content") }
    };

    if (llm_openai_pick(block[LLM_MB_SOURCE].value, want, 4) != LLM_OK) {
        return llm_asked_bad(a, LLM_STR("A document has no \"source\"."));
    }

    if (llm_hub_is(want[0].value, LLM_STR("text"))) {
        return llm_asked_text(a, &want[2]);
    }

    if (llm_hub_is(want[0].value, LLM_STR("content"))) {
        return llm_asked_texts(a, &want[3]);
    }

    if (want[1].kind != LLM_JSON_STRING || want[2].kind != LLM_JSON_STRING) {
        return llm_asked_cannot(a, LLM_STR("A document is of a kind that this "
                                           "provider does not take."));
    }

    llm_asked_part(a);
    llm_buf_str(a->out, LLM_STR("{\"type\":\"file\",\"file\":{\"filename\":"));
    llm_buf_str(a->out, block[LLM_MB_TITLE].kind == LLM_JSON_STRING
                        ? block[LLM_MB_TITLE].value
                        : LLM_STR("\"document.pdf\""));
    llm_buf_str(a->out, LLM_STR(",\"file_data\":"));
    llm_asked_data_url(a->out, want[1].value, want[2].value);
    llm_buf_str(a->out, LLM_STR("}}"));

    return LLM_OK;
}


/* What may stand in a result of a tool as well, and is no text. */
static llm_rc_t
llm_asked_shown(llm_asked_t *a, const llm_json_want_t *want)
{
    if (llm_asked_is(want, LLM_STR("image"))) {
        return llm_asked_image(a, want[LLM_MB_SOURCE].value);
    }

    if (llm_asked_is(want, LLM_STR("document"))) {
        return llm_asked_document(a, want);
    }

    if (llm_asked_is(want, LLM_STR("search_result"))) {
        return llm_asked_texts(a, &want[LLM_MB_CONTENT]);
    }

    return llm_asked_cannot(a, LLM_STR("A block is of a type that this "
                                       "provider does not take."));
}


/* What is no text in a result of a tool becomes the user's. */
static llm_rc_t
llm_asked_rest(llm_asked_t *a, const llm_json_want_t *content)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;
    llm_json_want_t    want[LLM_MB_COUNT];

    if (content->kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, content->value) != LLM_OK)
    {
        return LLM_OK;
    }

    rc = LLM_OK;

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {

        rc = llm_asked_block(a, m.value, want);

        if (rc == LLM_OK && !llm_asked_is(want, LLM_STR("text"))) {
            rc = llm_asked_shown(a, want);
        }
    }

    return rc;
}


static llm_rc_t
llm_asked_user_block(llm_asked_t *a, const llm_json_want_t *want)
{
    if (llm_asked_is(want, LLM_STR("text"))) {
        return llm_asked_text(a, &want[LLM_MB_TEXT]);
    }

    if (llm_asked_is(want, LLM_STR("tool_result"))) {
        return llm_asked_rest(a, &want[LLM_MB_CONTENT]);
    }

    return llm_asked_shown(a, want);
}


/* ---- the user's turn ----------------------------------------------------- */


/* The texts of a content as one raw string, with `between` between them. */
static void
llm_asked_joined(llm_buf_t *out, const llm_json_want_t *content,
    llm_str_t between)
{
    llm_buf_str(out, LLM_STR("\""));
    (void) llm_hub_put_texts(out, content, between, 0);
    llm_buf_str(out, LLM_STR("\""));
}


static llm_rc_t
llm_asked_result(llm_asked_t *a, const llm_json_want_t *want)
{
    if (want[LLM_MB_TOOL_USE_ID].kind != LLM_JSON_STRING) {
        return llm_asked_bad(a, LLM_STR("A tool_result has no "
                                        "\"tool_use_id\"."));
    }

    llm_buf_str(a->out, a->messages++ ? LLM_STR(",{") : LLM_STR("{"));
    llm_buf_str(a->out, LLM_STR("\"role\":\"tool\",\"tool_call_id\":"));
    llm_buf_str(a->out, want[LLM_MB_TOOL_USE_ID].value);
    llm_buf_str(a->out, LLM_STR(",\"content\":"));
    llm_asked_joined(a->out, &want[LLM_MB_CONTENT], LLM_STR("\\n"));

    if (want[LLM_MB_IS_ERROR].kind == LLM_JSON_TRUE) {
        llm_buf_str(a->out, LLM_STR(",\"is_error\":true"));
    }

    llm_buf_str(a->out, LLM_STR("}"));

    return LLM_OK;
}


static llm_rc_t
llm_asked_results(llm_asked_t *a, llm_str_t content)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;
    llm_json_want_t    want[LLM_MB_COUNT];

    rc = llm_json_begin(&it, content);

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {

        rc = llm_asked_block(a, m.value, want);

        if (rc == LLM_OK && llm_asked_is(want, LLM_STR("tool_result"))) {
            rc = llm_asked_result(a, want);
        }
    }

    return rc;
}


/* A message whose content is a plain string. */
static void
llm_asked_plain(llm_asked_t *a, llm_str_t role, const llm_json_want_t *content)
{
    llm_buf_str(a->out, a->messages++ ? LLM_STR(",{\"role\":\"")
                                      : LLM_STR("{\"role\":\""));
    llm_buf_str(a->out, role);
    llm_buf_str(a->out, LLM_STR("\",\"content\":"));
    llm_asked_joined(a->out, content, LLM_STR("\\n"));
    llm_buf_str(a->out, LLM_STR("}"));
}


static llm_rc_t
llm_asked_user(llm_asked_t *a, const llm_json_want_t *content)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;
    llm_json_want_t    want[LLM_MB_COUNT];

    if (content->kind == LLM_JSON_STRING) {
        llm_asked_plain(a, LLM_STR("user"), content);
        return LLM_OK;
    }

    rc = llm_asked_results(a, content->value);
    if (rc != LLM_OK) {
        return rc;
    }

    a->parts = 0;
    rc = llm_json_begin(&it, content->value);

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {

        rc = llm_asked_block(a, m.value, want);

        if (rc == LLM_OK) {
            rc = llm_asked_user_block(a, want);
        }
    }

    if (a->parts) {
        llm_buf_str(a->out, LLM_STR("]}"));
    }

    return rc;
}


/* ---- the assistant's turn ------------------------------------------------ */


/* Blocks of a type, whatever else stands between them. */
static llm_rc_t
llm_asked_calls(llm_asked_t *a, llm_str_t content)
{
    unsigned           n;
    llm_json_iter_t    it;
    llm_json_member_t  m;
    llm_json_want_t    want[LLM_MB_COUNT];

    if (llm_json_begin(&it, content) != LLM_OK) {
        return LLM_OK;
    }

    n = 0;

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_asked_block(a, m.value, want) != LLM_OK) {
            return LLM_BAD;
        }

        if (!llm_asked_is(want, LLM_STR("tool_use"))) {
            continue;
        }

        if (want[LLM_MB_ID].kind != LLM_JSON_STRING
            || want[LLM_MB_NAME].kind != LLM_JSON_STRING)
        {
            return llm_asked_bad(a, LLM_STR("A tool_use has no \"id\" or "
                                            "no \"name\"."));
        }

        llm_buf_str(a->out, n++ ? LLM_STR(",{\"id\":")
                                : LLM_STR(",\"tool_calls\":[{\"id\":"));
        llm_buf_str(a->out, want[LLM_MB_ID].value);
        llm_buf_str(a->out, LLM_STR(",\"type\":\"function\",\"function\":"
                                    "{\"name\":"));
        llm_buf_str(a->out, want[LLM_MB_NAME].value);
        llm_buf_str(a->out, LLM_STR(",\"arguments\":"));
        llm_json_put_string(a->out,
                            want[LLM_MB_INPUT].kind == LLM_JSON_OBJECT
                            ? want[LLM_MB_INPUT].value : LLM_STR("{}"));
        llm_buf_str(a->out, LLM_STR("}}"));
    }

    if (n) {
        llm_buf_str(a->out, LLM_STR("]"));
    }

    return LLM_OK;
}


/* What only its maker reads; and what nobody else has a word for. */
static llm_rc_t
llm_asked_thoughts(llm_asked_t *a, llm_str_t content, unsigned *said)
{
    unsigned           n;
    llm_json_iter_t    it;
    llm_json_member_t  m;
    llm_json_want_t    want[LLM_MB_COUNT];

    if (llm_json_begin(&it, content) != LLM_OK) {
        return LLM_OK;
    }

    n = 0;

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_asked_block(a, m.value, want) != LLM_OK) {
            return LLM_BAD;
        }

        if (llm_asked_is(want, LLM_STR("thinking"))
            || llm_asked_is(want, LLM_STR("redacted_thinking")))
        {
            llm_buf_str(a->out, n++ ? LLM_STR(",")
                                    : LLM_STR(",\"thinking_blocks\":["));
            llm_buf_str(a->out, m.value);

        } else if (llm_asked_is(want, LLM_STR("text"))) {
            *said = 1;

        } else if (!llm_asked_is(want, LLM_STR("tool_use"))) {
            llm_loss_add(a->loss, LLM_STR("messages"));
        }
    }

    if (n) {
        llm_buf_str(a->out, LLM_STR("]"));
    }

    return LLM_OK;
}


static llm_rc_t
llm_asked_assistant(llm_asked_t *a, const llm_json_want_t *content)
{
    llm_rc_t  rc;
    unsigned  said;

    if (content->kind == LLM_JSON_STRING) {
        llm_asked_plain(a, LLM_STR("assistant"), content);
        return LLM_OK;
    }

    llm_buf_str(a->out, a->messages++ ? LLM_STR(",{") : LLM_STR("{"));
    llm_buf_str(a->out, LLM_STR("\"role\":\"assistant\""));

    said = 0;

    rc = llm_asked_thoughts(a, content->value, &said);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_buf_str(a->out, LLM_STR(",\"content\":"));

    if (said) {
        llm_asked_joined(a->out, content, LLM_NOSTR);
    } else {
        llm_buf_str(a->out, LLM_STR("null"));
    }

    rc = llm_asked_calls(a, content->value);

    llm_buf_str(a->out, LLM_STR("}"));

    return rc;
}


/* ---- all of them --------------------------------------------------------- */


static llm_rc_t
llm_asked_turn(llm_asked_t *a, llm_str_t message)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("role") }, { .name = LLM_STR("content") }
    };

    if (llm_openai_pick(message, want, 2) != LLM_OK
        || want[0].kind != LLM_JSON_STRING)
    {
        return llm_asked_bad(a, LLM_STR("A message has no \"role\"."));
    }

    if (want[1].kind != LLM_JSON_STRING && want[1].kind != LLM_JSON_ARRAY) {
        return llm_asked_bad(a, LLM_STR("The content of a message has to be a "
                                        "string or an array."));
    }

    if (llm_hub_is(want[0].value, LLM_STR("user"))) {
        return llm_asked_user(a, &want[1]);
    }

    if (llm_hub_is(want[0].value, LLM_STR("assistant"))) {
        return llm_asked_assistant(a, &want[1]);
    }

    if (llm_hub_is(want[0].value, LLM_STR("system"))) {
        llm_asked_plain(a, LLM_STR("system"), &want[1]);
        return LLM_OK;
    }

    return llm_asked_bad(a, LLM_STR("A message has to be of \"user\", "
                                    "\"assistant\" or \"system\"."));
}


llm_rc_t
llm_messages_turns(const llm_json_want_t *system, llm_str_t messages,
    llm_buf_t *out, llm_loss_t *loss)
{
    llm_rc_t           rc;
    llm_asked_t        a;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    memset(&a, 0, sizeof(llm_asked_t));
    a.out = out;
    a.loss = loss;

    if ((system->kind == LLM_JSON_STRING || system->kind == LLM_JSON_ARRAY)
        && !llm_hub_idle(system->kind, system->value))
    {
        llm_asked_plain(&a, LLM_STR("system"), system);
    }

    rc = llm_json_begin(&it, messages);

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
        rc = llm_asked_turn(&a, m.value);
    }

    return rc;
}
