/*
 * Functions of the time before tools, in a chat that goes to another dialect:
 * they become tools, what was called becomes a call of a tool, and what a
 * function said a tool's result.  Calls had no ids; they get numbers here.
 */

#include "llm_front.h"
#include "llm_openai.h"

enum {
    LLM_LM_ROLE, LLM_LM_FUNCTION_CALL, LLM_LM_TOOL_CALLS,
    LLM_LM_COUNT
};

enum {
    LLM_LR_MESSAGES, LLM_LR_FUNCTIONS, LLM_LR_FUNCTION_CALL, LLM_LR_TOOLS,
    LLM_LR_TOOL_CHOICE,
    LLM_LR_COUNT
};

typedef struct {
    llm_buf_t   *out;
    llm_loss_t  *loss;
    uint64_t     calls;                 /* so far */
} llm_legacy_t;


static const llm_json_want_t  llm_legacy_message[LLM_LM_COUNT] = {
    [LLM_LM_ROLE] = { .name = LLM_STR("role") },
    [LLM_LM_FUNCTION_CALL] = { .name = LLM_STR("function_call") },
    [LLM_LM_TOOL_CALLS] = { .name = LLM_STR("tool_calls") }
};

static const llm_json_want_t  llm_legacy_request[LLM_LR_COUNT] = {
    [LLM_LR_MESSAGES] = { .name = LLM_STR("messages") },
    [LLM_LR_FUNCTIONS] = { .name = LLM_STR("functions") },
    [LLM_LR_FUNCTION_CALL] = { .name = LLM_STR("function_call") },
    [LLM_LR_TOOLS] = { .name = LLM_STR("tools") },
    [LLM_LR_TOOL_CHOICE] = { .name = LLM_STR("tool_choice") }
};


/* Most requests have no string that begins like that. */
int
llm_chat_differs(llm_str_t body)
{
    const unsigned char  *p, *end;

    static const char  begin[] = "\"function";

    end = body.data + body.len;

    for (p = body.data;
         (p = memchr(p, '"', (size_t) (end - p))) != NULL
         && (size_t) (end - p) >= sizeof(begin);
         p++)
    {
        if (memcmp(p, begin, sizeof(begin) - 1) == 0) {
            return 1;
        }
    }

    return 0;
}


static llm_rc_t
llm_legacy_pick(llm_str_t body, llm_json_want_t *want)
{
    memcpy(want, llm_legacy_request, sizeof(llm_legacy_request));

    return llm_openai_pick(body, want, LLM_LR_COUNT);
}


static int
llm_legacy_says(const llm_json_want_t *w)
{
    return w->value.data && !llm_hub_idle(w->kind, w->value);
}


static int
llm_legacy_is(const llm_json_want_t *message)
{
    return message[LLM_LM_FUNCTION_CALL].kind == LLM_JSON_OBJECT
           || llm_hub_is(message[LLM_LM_ROLE].value, LLM_STR("function"));
}


/* Whether there is anything of that time in a request. */
static int
llm_legacy_there(const llm_json_want_t *request)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;
    llm_json_want_t    message[LLM_LM_COUNT];

    if (request[LLM_LR_MESSAGES].kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, request[LLM_LR_MESSAGES].value) != LLM_OK)
    {
        return 0;
    }

    if (llm_legacy_says(&request[LLM_LR_FUNCTIONS])
        || llm_legacy_says(&request[LLM_LR_FUNCTION_CALL]))
    {
        return 1;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        memcpy(message, llm_legacy_message, sizeof(llm_legacy_message));

        if (llm_openai_pick(m.value, message, LLM_LM_COUNT) == LLM_OK
            && llm_legacy_is(message))
        {
            return 1;
        }
    }

    return 0;
}


static void
llm_legacy_key(llm_legacy_t *l, unsigned *n, llm_str_t key)
{
    llm_buf_str(l->out, (*n)++ ? LLM_STR(",\"") : LLM_STR("\""));
    llm_buf_str(l->out, key);
    llm_buf_str(l->out, LLM_STR("\":"));
}


static void
llm_legacy_id(llm_legacy_t *l)
{
    llm_buf_str(l->out, LLM_STR("\"function_"));
    llm_json_put_uint(l->out, l->calls);
    llm_buf_str(l->out, LLM_STR("\""));
}


/* A message without the members that are written anew. */
static unsigned
llm_legacy_members(llm_legacy_t *l, llm_str_t message, llm_str_t but)
{
    unsigned           n;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    n = 0;

    if (llm_json_begin(&it, message) == LLM_OK) {
        while (llm_json_next(&it, &m) == LLM_OK) {

            if (!llm_json_key_is(m.key, but)) {
                llm_legacy_key(l, &n, m.key);
                llm_buf_str(l->out, m.value);
            }
        }
    }

    return n;
}


static llm_rc_t
llm_legacy_result(llm_legacy_t *l, llm_str_t message)
{
    unsigned  n;

    if (l->calls == 0) {
        return llm_loss_fail(l->loss, LLM_BAD, LLM_STR("messages"),
                     LLM_STR("A message of a function answers no call of a "
                             "message before it."));
    }

    llm_buf_str(l->out, LLM_STR("{"));
    n = llm_legacy_members(l, message, LLM_STR("role"));
    llm_legacy_key(l, &n, LLM_STR("role"));
    llm_buf_str(l->out, LLM_STR("\"tool\",\"tool_call_id\":"));
    llm_legacy_id(l);
    llm_buf_str(l->out, LLM_STR("}"));

    return LLM_OK;
}


static void
llm_legacy_call(llm_legacy_t *l, llm_str_t message, const llm_json_want_t *want)
{
    unsigned  n;

    llm_buf_str(l->out, LLM_STR("{"));
    n = llm_legacy_members(l, message, LLM_STR("function_call"));

    if (!llm_legacy_says(&want[LLM_LM_TOOL_CALLS])) {
        l->calls++;
        llm_legacy_key(l, &n, LLM_STR("tool_calls"));
        llm_buf_str(l->out, LLM_STR("[{\"id\":"));
        llm_legacy_id(l);
        llm_hub_put_member(l->out, LLM_STR("type"), LLM_STR("\"function\""));
        llm_hub_put_member(l->out, LLM_STR("function"),
                           want[LLM_LM_FUNCTION_CALL].value);
        llm_buf_str(l->out, LLM_STR("}]"));
    }

    llm_buf_str(l->out, LLM_STR("}"));
}


static llm_rc_t
llm_legacy_messages(llm_legacy_t *l, llm_str_t messages)
{
    unsigned           n;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_want_t    want[LLM_LM_COUNT];
    llm_json_member_t  m;

    llm_buf_str(l->out, LLM_STR("["));
    rc = llm_json_begin(&it, messages);

    for (n = 0; rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK; n++) {

        llm_buf_put(l->out, ",", n != 0);
        memcpy(want, llm_legacy_message, sizeof(llm_legacy_message));

        if (llm_openai_pick(m.value, want, LLM_LM_COUNT) != LLM_OK
            || !llm_legacy_is(want))
        {
            llm_buf_str(l->out, m.value);

        } else if (want[LLM_LM_FUNCTION_CALL].kind == LLM_JSON_OBJECT) {
            llm_legacy_call(l, m.value, want);

        } else {
            rc = llm_legacy_result(l, m.value);
        }
    }

    llm_buf_str(l->out, LLM_STR("]"));

    return rc;
}


static void
llm_legacy_tools(llm_legacy_t *l, llm_str_t functions)
{
    unsigned           n;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    llm_hub_put_member(l->out, LLM_STR("tools"), LLM_STR("["));

    if (llm_json_begin(&it, functions) == LLM_OK) {
        for (n = 0; llm_json_next(&it, &m) == LLM_OK; n++) {
            llm_buf_put(l->out, ",", n != 0);
            llm_buf_str(l->out, LLM_STR("{\"type\":\"function\","
                                        "\"function\":"));
            llm_buf_str(l->out, m.value);
            llm_buf_str(l->out, LLM_STR("}"));
        }
    }

    llm_buf_str(l->out, LLM_STR("]"));
}


/* "none", "auto", {"name":"f"} */
static void
llm_legacy_choice(llm_legacy_t *l, const llm_json_want_t *choice)
{
    if (choice->kind != LLM_JSON_OBJECT) {
        llm_hub_put_member(l->out, LLM_STR("tool_choice"), choice->value);
        return;
    }

    llm_hub_put_member(l->out, LLM_STR("tool_choice"),
                       LLM_STR("{\"type\":\"function\",\"function\":"));
    llm_buf_str(l->out, choice->value);
    llm_buf_str(l->out, LLM_STR("}"));
}


/* What the functions become, unless there are tools as well. */
static void
llm_legacy_asked(llm_legacy_t *l, const llm_json_want_t *want)
{
    if (llm_legacy_says(&want[LLM_LR_FUNCTIONS])) {

        if (llm_legacy_says(&want[LLM_LR_TOOLS])) {
            llm_loss_add(l->loss, want[LLM_LR_FUNCTIONS].name);
        } else {
            llm_legacy_tools(l, want[LLM_LR_FUNCTIONS].value);
        }
    }

    if (llm_legacy_says(&want[LLM_LR_FUNCTION_CALL])) {

        if (llm_legacy_says(&want[LLM_LR_TOOL_CHOICE])) {
            llm_loss_add(l->loss, want[LLM_LR_FUNCTION_CALL].name);
        } else {
            llm_legacy_choice(l, &want[LLM_LR_FUNCTION_CALL]);
        }
    }
}


llm_rc_t
llm_chat_request(llm_str_t body, llm_buf_t *out, llm_loss_t *loss)
{
    llm_rc_t           rc;
    llm_legacy_t       l;
    llm_json_iter_t    it;
    llm_json_want_t    want[LLM_LR_COUNT];
    llm_json_member_t  m;

    if (llm_legacy_pick(body, want) != LLM_OK || !llm_legacy_there(want)
        || llm_json_begin(&it, body) != LLM_OK)
    {
        return LLM_AGAIN;
    }

    l.out = out;
    l.loss = loss;
    l.calls = 0;

    llm_buf_str(out, LLM_STR("{\"messages\":"));

    rc = llm_legacy_messages(&l, want[LLM_LR_MESSAGES].value);
    if (rc != LLM_OK) {
        return rc;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (!llm_json_key_is(m.key, want[LLM_LR_MESSAGES].name)
            && !llm_json_key_is(m.key, want[LLM_LR_FUNCTIONS].name)
            && !llm_json_key_is(m.key, want[LLM_LR_FUNCTION_CALL].name))
        {
            llm_hub_put_member(out, m.key, m.value);
        }
    }

    llm_legacy_asked(&l, want);
    llm_buf_str(out, LLM_STR("}"));

    return out->full ? LLM_FULL : LLM_OK;
}


void
llm_chat_asked(llm_reply_t *r, llm_str_t body)
{
    llm_json_want_t  want[LLM_LR_COUNT];

    r->legacy = llm_chat_differs(body)
                && llm_legacy_pick(body, want) == LLM_OK
                && llm_legacy_says(&want[LLM_LR_FUNCTIONS])
                && !llm_legacy_says(&want[LLM_LR_TOOLS]);
}
