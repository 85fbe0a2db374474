/*
 * A conversation in the hub's form as Anthropic's: neighbours of one role are
 * one turn, results of tools are the user's and stand in front of its text,
 * and a turn begins only when it has something to say.
 */

#include "llm_anthropic.h"


typedef enum {
    LLM_TURN_NONE = 0, LLM_TURN_USER, LLM_TURN_ASSISTANT
} llm_turn_role_t;

typedef struct {
    llm_buf_t        *out;
    llm_loss_t       *loss;
    size_t            system;           /* messages that are no turns */
    llm_turn_role_t   role;             /* of the open turn */
    unsigned          thought:1;        /* the assistant's last turn begins with
                                           reasoning */
    unsigned          results:1;        /* of tools, behind it */
    unsigned          last:1;           /* the message ends the conversation */
} llm_turns_t;


static const llm_json_want_t  llm_message_want[LLM_AM_COUNT] = {
    [LLM_AM_ROLE] = { .name = LLM_STR("role") },
    [LLM_AM_CONTENT] = { .name = LLM_STR("content") },
    [LLM_AM_TOOL_CALLS] = { .name = LLM_STR("tool_calls") },
    [LLM_AM_TOOL_CALL_ID] = { .name = LLM_STR("tool_call_id") },
    [LLM_AM_THINKING] = { .name = LLM_STR("thinking_blocks") },
    [LLM_AM_REFUSAL] = { .name = LLM_STR("refusal") },
    [LLM_AM_CACHE] = { .name = LLM_STR("cache_control") },
    [LLM_AM_IS_ERROR] = { .name = LLM_STR("is_error") }
};


/* The next message, in a copy of the names; LLM_NONE: there is none. */
static llm_rc_t
llm_message_next(llm_json_iter_t *it, llm_json_want_t *want,
    llm_loss_t *loss)
{
    llm_rc_t  rc;

    rc = llm_openai_next(it, want, LLM_AM_COUNT);

    if (rc == LLM_BAD
        || (rc == LLM_OK && want[LLM_AM_ROLE].kind != LLM_JSON_STRING))
    {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("messages"),
                             LLM_STR("A message has no \"role\"."));
    }

    return rc;
}


/* ---- system ---------------------------------------------------------- */


/* In front of a block, behind n others. */
static void
llm_system_begin(size_t n, llm_buf_t *out)
{
    llm_buf_str(out, n ? LLM_STR(",") : LLM_STR(",\"system\":["));
}


/* One message's text as blocks; *n counts those that stand there. */
static llm_rc_t
llm_system_content(const llm_json_want_t *want, size_t *n, llm_buf_t *out,
    llm_loss_t *loss)
{
    llm_rc_t            rc;
    unsigned char      *start;
    llm_json_iter_t     it;
    llm_json_member_t   m;

    if (want[LLM_AM_CONTENT].kind == LLM_JSON_STRING) {

        if (!llm_hub_blank(want[LLM_AM_CONTENT].value)) {
            llm_system_begin((*n)++, out);
            llm_anthropic_text_block(want[LLM_AM_CONTENT].value,
                                     want[LLM_AM_CACHE].value, out);
        }

        return LLM_OK;
    }

    if (want[LLM_AM_CONTENT].kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, want[LLM_AM_CONTENT].value) != LLM_OK)
    {
        return LLM_OK;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        start = out->pos;
        llm_system_begin(*n, out);

        rc = llm_anthropic_block(m.value, 0, out, loss);

        if (rc == LLM_OK) {
            (*n)++;

        } else if (rc == LLM_AGAIN) {
            out->pos = start;

        } else {
            return rc;
        }
    }

    return LLM_OK;
}


llm_rc_t
llm_anthropic_system(llm_str_t messages, size_t n, llm_str_t extra,
    llm_str_t json, llm_buf_t *out, llm_loss_t *loss)
{
    size_t           blocks;
    llm_rc_t         rc;
    llm_json_iter_t  it;
    llm_json_want_t  want[LLM_AM_COUNT];

    blocks = 0;
    memcpy(want, llm_message_want, sizeof(want));

    rc = llm_json_begin(&it, messages);

    while (rc == LLM_OK && n) {

        rc = llm_message_next(&it, want, loss);

        if (rc == LLM_OK && llm_hub_is_system(want[LLM_AM_ROLE].value)) {
            rc = llm_system_content(want, &blocks, out, loss);
            n--;
        }
    }

    if (rc != LLM_OK) {
        return rc;
    }

    if (extra.len) {
        llm_system_begin(blocks++, out);
        llm_buf_str(out, LLM_STR("{\"type\":\"text\",\"text\":\""));
        llm_json_put_escaped(out, extra);
        llm_json_put_escaped(out, json);
        llm_buf_str(out, LLM_STR("\"}"));
    }

    if (blocks) {
        llm_buf_str(out, LLM_STR("]"));
    }

    return LLM_OK;
}


/* ---- turns ----------------------------------------------------------- */


/* Opens the turn of a role, if it is another one; returns whether a block
 * stands in front of the next. */
static int
llm_turn_open(llm_turns_t *t, llm_turn_role_t role)
{
    if (t->role == role) {
        return 1;
    }

    if (t->role != LLM_TURN_NONE) {
        llm_buf_str(t->out, LLM_STR("]},"));

    } else if (role == LLM_TURN_ASSISTANT) {
        /* the first turn has to be the user's */
        llm_buf_str(t->out, LLM_STR("{\"role\":\"user\",\"content\":"
                               "[{\"type\":\"text\",\"text\":\".\"}]},"));
    }

    llm_buf_str(t->out, role == LLM_TURN_USER
                        ? LLM_STR("{\"role\":\"user\",\"content\":[")
                        : LLM_STR("{\"role\":\"assistant\",\"content\":["));
    t->role = role;

    if (role == LLM_TURN_ASSISTANT) {
        t->thought = 0;
        t->results = 0;
    }

    return 0;
}


static void
llm_turn_text(llm_turns_t *t, llm_turn_role_t role, llm_str_t raw,
    llm_str_t cache)
{
    unsigned char  end[1];

    if (llm_hub_blank(raw)) {
        return;
    }

    llm_buf_put(t->out, ",", (size_t) llm_turn_open(t, role));

    if (!t->last || role != LLM_TURN_ASSISTANT) {
        llm_anthropic_text_block(raw, cache, t->out);
        return;
    }

    /* the beginning of an answer must not end with white space */

    end[0] = '"';
    llm_buf_str(t->out, LLM_STR("{\"type\":\"text\",\"text\":"));
    llm_buf_str(t->out, llm_hub_trimmed(raw));
    llm_buf_put(t->out, end, 1);
    llm_buf_str(t->out, LLM_STR("}"));
}


static llm_rc_t
llm_turn_part(llm_turns_t *t, llm_turn_role_t role, llm_str_t part)
{
    int                 comma;
    llm_rc_t            rc;
    llm_turns_t         before;
    unsigned char      *start;
    llm_json_member_t   text;

    if (t->last && role == LLM_TURN_ASSISTANT
        && llm_json_get(part, LLM_STR("text"), &text) == LLM_OK
        && text.kind == LLM_JSON_STRING)
    {
        llm_turn_text(t, role, text.value, LLM_NOSTR);
        return LLM_OK;
    }

    before = *t;
    start = t->out->pos;
    comma = llm_turn_open(t, role);

    rc = llm_anthropic_block(part, comma, t->out, t->loss);

    if (rc == LLM_AGAIN) {
        /* no block, no turn */
        t->out->pos = start;
        *t = before;
        return LLM_OK;
    }

    return rc;
}


static llm_rc_t
llm_turn_content(llm_turns_t *t, llm_turn_role_t role,
    const llm_json_want_t *want)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    switch (want[LLM_AM_CONTENT].kind) {

    case LLM_JSON_STRING:
        llm_turn_text(t, role, want[LLM_AM_CONTENT].value,
                      want[LLM_AM_CACHE].value);
        return LLM_OK;

    case LLM_JSON_NULL:
        return LLM_OK;

    case LLM_JSON_ARRAY:
        break;

    default:
        return llm_loss_fail(t->loss, LLM_BAD, LLM_STR("messages"),
                     LLM_STR("The content of a message has to be a string "
                             "or an array."));
    }

    rc = llm_json_begin(&it, want[LLM_AM_CONTENT].value);

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
        rc = llm_turn_part(t, role, m.value);
    }

    return rc;
}


/* ---- tools ----------------------------------------------------------- */


/* Ids may be of another provider: what is not allowed in one is written as its
 * code, in a call and in its result alike. */
static void
llm_turn_id(llm_buf_t *out, llm_str_t raw)
{
    size_t         i;
    unsigned char  c, code[3];

    static const unsigned char  hex[] = "0123456789abcdef";

    llm_buf_str(out, LLM_STR("\""));

    if (llm_json_kind(raw) != LLM_JSON_STRING || raw.len <= 2) {
        llm_buf_str(out, LLM_STR("call"));
        raw.len = 0;
    }

    for (i = 1; i + 1 < raw.len; i++) {
        c = raw.data[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            || c == '_' || c == '-')
        {
            llm_buf_put(out, &c, 1);
            continue;
        }

        code[0] = '_';
        code[1] = hex[c >> 4];
        code[2] = hex[c & 15];
        llm_buf_put(out, code, 3);
    }

    llm_buf_str(out, LLM_STR("\""));
}


static llm_rc_t
llm_turn_result(llm_turns_t *t, const llm_json_want_t *want)
{
    size_t                  n;
    llm_rc_t                rc;
    llm_buf_t              *out;
    llm_json_iter_t         it;
    llm_json_member_t       m;
    const llm_json_want_t  *content;

    out = t->out;
    content = &want[LLM_AM_CONTENT];

    llm_buf_put(out, ",", (size_t) llm_turn_open(t, LLM_TURN_USER));
    llm_buf_str(out, LLM_STR("{\"type\":\"tool_result\",\"tool_use_id\":"));
    llm_turn_id(out, want[LLM_AM_TOOL_CALL_ID].value);
    t->results = 1;

    if (content->kind == LLM_JSON_STRING && content->value.len > 2) {
        llm_buf_str(out, LLM_STR(",\"content\":"));
        llm_buf_str(out, content->value);

    } else if (content->kind == LLM_JSON_ARRAY
               && llm_json_begin(&it, content->value) == LLM_OK)
    {
        llm_buf_str(out, LLM_STR(",\"content\":["));

        for (n = 0; llm_json_next(&it, &m) == LLM_OK; /* void */) {

            rc = llm_anthropic_block(m.value, n != 0, out, t->loss);
            if (rc == LLM_OK) {
                n++;

            } else if (rc != LLM_AGAIN) {
                return rc;
            }
        }

        llm_buf_str(out, LLM_STR("]"));
    }

    if (want[LLM_AM_IS_ERROR].kind == LLM_JSON_TRUE) {
        llm_buf_str(out, LLM_STR(",\"is_error\":true"));
    }

    if (want[LLM_AM_CACHE].kind == LLM_JSON_OBJECT) {
        llm_buf_str(out, LLM_STR(",\"cache_control\":"));
        llm_buf_str(out, want[LLM_AM_CACHE].value);
    }

    llm_buf_str(out, LLM_STR("}"));

    return LLM_OK;
}


static llm_rc_t
llm_turn_call(llm_turns_t *t, llm_str_t call)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("id") },
        { .name = LLM_STR("function") }
    };
    llm_json_want_t  function[] = {
        { .name = LLM_STR("name") },
        { .name = LLM_STR("arguments") }
    };

    if (llm_openai_pick(call, want, 2) != LLM_OK
        || want[1].kind != LLM_JSON_OBJECT
        || llm_openai_pick(want[1].value, function, 2) != LLM_OK
        || function[0].kind != LLM_JSON_STRING)
    {
        return llm_loss_fail(t->loss, LLM_BAD, LLM_STR("messages"),
                         LLM_STR("A tool call has no function with a name."));
    }

    llm_buf_put(t->out, ",", (size_t) llm_turn_open(t, LLM_TURN_ASSISTANT));
    llm_buf_str(t->out, LLM_STR("{\"type\":\"tool_use\",\"id\":"));
    llm_turn_id(t->out, want[0].value);
    llm_buf_str(t->out, LLM_STR(",\"name\":"));
    llm_buf_str(t->out, function[0].value);
    llm_buf_str(t->out, LLM_STR(",\"input\":"));
    llm_hub_put_object(t->out, function[1].kind, function[1].value);
    llm_buf_str(t->out, LLM_STR("}"));

    return LLM_OK;
}


static llm_rc_t
llm_turn_assistant(llm_turns_t *t, const llm_json_want_t *want)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (want[LLM_AM_THINKING].kind == LLM_JSON_ARRAY
        && llm_json_begin(&it, want[LLM_AM_THINKING].value) == LLM_OK)
    {
        /* its own blocks, with the signatures it will look at */

        while (llm_json_next(&it, &m) == LLM_OK) {

            if (!llm_anthropic_thought(m.value)) {
                continue;
            }

            if (llm_turn_open(t, LLM_TURN_ASSISTANT)) {
                llm_buf_str(t->out, LLM_STR(","));
            } else {
                t->thought = 1;
            }

            llm_buf_str(t->out, m.value);
        }
    }

    rc = llm_turn_content(t, LLM_TURN_ASSISTANT, want);

    if (rc == LLM_OK && want[LLM_AM_REFUSAL].kind == LLM_JSON_STRING) {
        llm_turn_text(t, LLM_TURN_ASSISTANT, want[LLM_AM_REFUSAL].value,
                      LLM_NOSTR);
    }

    if (rc == LLM_OK && want[LLM_AM_TOOL_CALLS].kind == LLM_JSON_ARRAY) {

        rc = llm_json_begin(&it, want[LLM_AM_TOOL_CALLS].value);

        while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
            rc = llm_turn_call(t, m.value);
        }
    }

    return rc;
}


static llm_rc_t
llm_turn(llm_turns_t *t, const llm_json_want_t *want)
{
    llm_str_t  role;

    role = want[LLM_AM_ROLE].value;

    if (llm_hub_is(role, LLM_STR("user"))) {
        return llm_turn_content(t, LLM_TURN_USER, want);
    }

    if (llm_hub_is(role, LLM_STR("assistant"))) {
        return llm_turn_assistant(t, want);
    }

    if (llm_hub_is(role, LLM_STR("tool"))) {
        return llm_turn_result(t, want);
    }

    if (llm_hub_is_system(role)) {
        t->system++;
        return LLM_OK;
    }

    return llm_loss_fail(t->loss, LLM_NONE, LLM_STR("messages"),
                     LLM_STR("A message has a role that this provider does "
                             "not know."));
}


llm_rc_t
llm_anthropic_messages(llm_str_t messages, llm_buf_t *out, llm_loss_t *loss,
    llm_talk_t *talk)
{
    llm_rc_t         rc;
    llm_turns_t      t;
    llm_json_iter_t  it;
    llm_json_want_t  want[LLM_AM_COUNT];

    memset(&t, 0, sizeof(llm_turns_t));
    t.out = out;
    t.loss = loss;
    memcpy(want, llm_message_want, sizeof(want));

    rc = llm_json_begin(&it, messages);
    if (rc != LLM_OK) {
        return rc;
    }

    while ((rc = llm_message_next(&it, want, loss)) == LLM_OK) {

        t.last = !llm_json_more(&it);

        rc = llm_turn(&t, want);
        if (rc != LLM_OK) {
            return rc;
        }
    }

    if (rc != LLM_NONE) {
        return rc;
    }

    if (t.role == LLM_TURN_NONE) {
        /* nothing but instructions: somebody has to speak */
        (void) llm_turn_open(&t, LLM_TURN_USER);
        llm_anthropic_text_block(LLM_STR("\".\""), LLM_NOSTR, out);
    }

    llm_buf_str(out, LLM_STR("]}"));
    talk->system = t.system;
    talk->unthought = t.results && !t.thought;

    return LLM_OK;
}
