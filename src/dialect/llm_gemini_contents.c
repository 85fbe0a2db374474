/*
 * A conversation in the hub's form as Gemini's: neighbours of one role are one
 * turn, results of tools are the user's and name the function they are of, and
 * a turn begins only when it has something to say.
 */

#include "llm_gemini.h"

#define LLM_CALLED_MAX  256             /* calls of one message, by their ids */

/* Models from here on want to see what they thought before they called. */
#define LLM_SEALED_FROM  30


typedef enum {
    LLM_ROLE_NONE = 0, LLM_ROLE_USER, LLM_ROLE_MODEL
} llm_content_role_t;

typedef struct {
    llm_str_t  id, name;                /* raw strings */
} llm_called_t;

typedef struct {
    llm_buf_t           *out;
    llm_loss_t          *loss;
    llm_content_role_t   role;          /* of the open turn */
    unsigned             sealed:1;      /* first calls need a seal */
    llm_str_t            seal;          /* of a first call that has none: raw,
                                           without its first quote; or empty */
    size_t               next;          /* the one most likely answered next */
    size_t               n;
    llm_called_t         called[LLM_CALLED_MAX];   /* of the last message */
} llm_contents_t;


static const llm_json_want_t  llm_content_want[LLM_GM_COUNT] = {
    [LLM_GM_ROLE] = { .name = LLM_STR("role") },
    [LLM_GM_CONTENT] = { .name = LLM_STR("content") },
    [LLM_GM_TOOL_CALLS] = { .name = LLM_STR("tool_calls") },
    [LLM_GM_TOOL_CALL_ID] = { .name = LLM_STR("tool_call_id") },
    [LLM_GM_NAME] = { .name = LLM_STR("name") },
    [LLM_GM_REFUSAL] = { .name = LLM_STR("refusal") },
    [LLM_GM_IS_ERROR] = { .name = LLM_STR("is_error") },
    [LLM_GM_EXTRA] = { .name = LLM_STR("extra_content") },
    [LLM_GM_THINKING] = { .name = LLM_STR("thinking_blocks") }
};


static llm_rc_t
llm_content_read(llm_str_t message, llm_json_want_t *want, llm_loss_t *loss)
{
    memcpy(want, llm_content_want, sizeof(llm_content_want));

    if (llm_openai_pick(message, want, LLM_GM_COUNT) != LLM_OK
        || want[LLM_GM_ROLE].kind != LLM_JSON_STRING)
    {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("messages"),
                             LLM_STR("A message has no \"role\"."));
    }

    return LLM_OK;
}


/* {"google":{"thought_signature":"…"}}: a raw string, or empty. */
static llm_str_t
llm_content_seal(const llm_json_want_t *extra)
{
    llm_json_member_t  m;

    if (extra->kind == LLM_JSON_OBJECT
        && llm_json_get(extra->value, LLM_STR("google"), &m) == LLM_OK
        && llm_json_get(m.value, LLM_STR("thought_signature"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING && m.value.len > 2)
    {
        return m.value;
    }

    return LLM_NOSTR;
}


/* ---- system ---------------------------------------------------------- */


/* One message's text as parts; *n counts those that stand there. */
static llm_rc_t
llm_content_system(const llm_json_want_t *content, size_t *n, llm_buf_t *out,
    llm_loss_t *loss)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (content->kind == LLM_JSON_STRING) {

        if (content->value.len > 2) {
            llm_buf_put(out, ",", (*n)++ != 0);
            llm_gemini_text_part(content->value, LLM_NOSTR, out);
        }

        return LLM_OK;
    }

    if (content->kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, content->value) != LLM_OK)
    {
        return LLM_OK;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        rc = llm_gemini_part(m.value, *n != 0, out, loss);

        if (rc == LLM_OK) {
            (*n)++;

        } else if (rc != LLM_AGAIN) {
            return rc;
        }
    }

    return LLM_OK;
}


llm_rc_t
llm_gemini_system(llm_str_t messages, size_t n, llm_buf_t *out,
    llm_loss_t *loss)
{
    size_t              parts;
    llm_rc_t            rc;
    unsigned char      *start;
    llm_json_iter_t     it;
    llm_json_want_t     want[LLM_GM_COUNT];
    llm_json_member_t   m;

    parts = 0;
    start = out->pos;
    llm_buf_str(out, LLM_STR(",\"systemInstruction\":{\"parts\":["));

    rc = llm_json_begin(&it, messages);

    while (rc == LLM_OK && n && llm_json_next(&it, &m) == LLM_OK) {

        rc = llm_content_read(m.value, want, loss);

        if (rc == LLM_OK && llm_hub_is_system(want[LLM_GM_ROLE].value)) {
            rc = llm_content_system(&want[LLM_GM_CONTENT], &parts, out, loss);
            n--;
        }
    }

    if (parts == 0) {
        out->pos = start;
    } else {
        llm_buf_str(out, LLM_STR("]}"));
    }

    return rc;
}


/* ---- turns ----------------------------------------------------------- */


/* Opens the turn of a role, if it is another one; returns whether a part
 * stands in front of the next. */
static int
llm_content_open(llm_contents_t *t, llm_content_role_t role)
{
    if (t->role == role) {
        return 1;
    }

    if (t->role != LLM_ROLE_NONE) {
        llm_buf_str(t->out, LLM_STR("]},"));

    } else if (role == LLM_ROLE_MODEL) {
        /* the first turn has to be the user's */
        llm_buf_str(t->out, LLM_STR("{\"role\":\"user\",\"parts\":"
                                    "[{\"text\":\".\"}]},"));
    }

    llm_buf_str(t->out, role == LLM_ROLE_USER
                        ? LLM_STR("{\"role\":\"user\",\"parts\":[")
                        : LLM_STR("{\"role\":\"model\",\"parts\":["));
    t->role = role;

    return 0;
}


static void
llm_content_text(llm_contents_t *t, llm_content_role_t role, llm_str_t raw,
    llm_str_t seal)
{
    llm_buf_put(t->out, ",", (size_t) llm_content_open(t, role));
    llm_gemini_text_part(raw, seal, t->out);
}


static llm_rc_t
llm_content_part(llm_contents_t *t, llm_content_role_t role, llm_str_t part)
{
    llm_rc_t             rc;
    unsigned char       *start;
    llm_content_role_t   before;

    before = t->role;
    start = t->out->pos;

    rc = llm_gemini_part(part, llm_content_open(t, role), t->out, t->loss);

    if (rc == LLM_AGAIN) {
        /* no part, no turn */
        t->out->pos = start;
        t->role = before;
        return LLM_OK;
    }

    return rc;
}


static llm_rc_t
llm_content_parts(llm_contents_t *t, llm_content_role_t role,
    const llm_json_want_t *content, llm_str_t seal)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    switch (content->kind) {

    case LLM_JSON_STRING:
        if (content->value.len > 2 || seal.len) {
            llm_content_text(t, role, content->value, seal);
        }
        return LLM_OK;

    case LLM_JSON_NULL:
        break;

    case LLM_JSON_ARRAY:
        rc = llm_json_begin(&it, content->value);

        while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
            rc = llm_content_part(t, role, m.value);
        }

        if (rc != LLM_OK) {
            return rc;
        }
        break;

    default:
        return llm_loss_fail(t->loss, LLM_BAD, LLM_STR("messages"),
                     LLM_STR("The content of a message has to be a string "
                             "or an array."));
    }

    if (seal.len) {
        llm_content_text(t, role, LLM_STR("\"\""), seal);
    }

    return LLM_OK;
}


/* ---- calls ----------------------------------------------------------- */


/* An id is told unless it was made here. */
static void
llm_content_id(llm_buf_t *out, llm_str_t id)
{
    if (llm_json_kind(id) != LLM_JSON_STRING || id.len <= 2
        || (id.len > sizeof(LLM_GEMINI_ID)
            && memcmp(id.data + 1, LLM_GEMINI_ID, sizeof(LLM_GEMINI_ID) - 1)
               == 0))
    {
        return;
    }

    llm_buf_str(out, LLM_STR("\"id\":"));
    llm_buf_str(out, id);
    llm_buf_str(out, LLM_STR(","));
}


static llm_rc_t
llm_content_call(llm_contents_t *t, llm_str_t call)
{
    llm_str_t        seal;
    llm_buf_t       *out;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("id") }, { .name = LLM_STR("function") },
        { .name = LLM_STR("extra_content") }
    };
    llm_json_want_t  function[] = {
        { .name = LLM_STR("name") }, { .name = LLM_STR("arguments") }
    };

    if (llm_openai_pick(call, want, 3) != LLM_OK
        || want[1].kind != LLM_JSON_OBJECT
        || llm_openai_pick(want[1].value, function, 2) != LLM_OK
        || function[0].kind != LLM_JSON_STRING)
    {
        return llm_loss_fail(t->loss, LLM_BAD, LLM_STR("messages"),
                         LLM_STR("A tool call has no function with a name."));
    }

    if (t->n == LLM_CALLED_MAX) {
        return llm_loss_fail(t->loss, LLM_NONE, LLM_STR("messages"),
                         LLM_STR("A message has more than 256 tool calls."));
    }

    seal = llm_content_seal(&want[2]);

    if (seal.len) {
        seal.data++;
        seal.len--;

    } else if (t->n == 0) {
        seal = t->seal;
    }

    t->called[t->n].id = want[0].value;
    t->called[t->n++].name = function[0].value;

    out = t->out;
    llm_buf_put(out, ",", (size_t) llm_content_open(t, LLM_ROLE_MODEL));
    llm_buf_str(out, LLM_STR("{\"functionCall\":{"));
    llm_content_id(out, want[0].value);
    llm_buf_str(out, LLM_STR("\"name\":"));
    llm_buf_str(out, function[0].value);
    llm_buf_str(out, LLM_STR(",\"args\":"));
    llm_hub_put_object(out, function[1].kind, function[1].value);
    llm_buf_str(out, LLM_STR("}"));

    if (seal.len) {
        llm_buf_str(out, LLM_STR(",\"thoughtSignature\":\""));
        llm_buf_str(out, seal);
    }

    llm_buf_str(out, LLM_STR("}"));

    return LLM_OK;
}


/* What the first call of a message gets that has no seal of its own: the one
 * that a block keeps for it, or the word for histories that another model
 * began. */
static llm_str_t
llm_content_kept(const llm_contents_t *t, llm_str_t blocks)
{
    llm_str_t          seal;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, blocks) == LLM_OK) {
        while (llm_json_next(&it, &m) == LLM_OK) {

            seal = llm_hub_kept(m.value);

            if (seal.len) {
                return seal;
            }
        }
    }

    return t->sealed ? LLM_STR("skip_thought_signature_validator\"")
                     : LLM_NOSTR;
}


static llm_rc_t
llm_content_assistant(llm_contents_t *t, const llm_json_want_t *want)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    rc = llm_content_parts(t, LLM_ROLE_MODEL, &want[LLM_GM_CONTENT],
                           llm_content_seal(&want[LLM_GM_EXTRA]));

    if (rc == LLM_OK && want[LLM_GM_REFUSAL].kind == LLM_JSON_STRING
        && want[LLM_GM_REFUSAL].value.len > 2)
    {
        llm_content_text(t, LLM_ROLE_MODEL, want[LLM_GM_REFUSAL].value,
                         LLM_NOSTR);
    }

    if (rc == LLM_OK && want[LLM_GM_TOOL_CALLS].kind == LLM_JSON_ARRAY) {

        t->n = 0;
        t->next = 0;
        t->seal = llm_content_kept(t, want[LLM_GM_THINKING].value);
        rc = llm_json_begin(&it, want[LLM_GM_TOOL_CALLS].value);

        while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
            rc = llm_content_call(t, m.value);
        }
    }

    return rc;
}


/* ---- results --------------------------------------------------------- */


/* The name of the function that a result is of: a raw string, or empty. */
static llm_str_t
llm_content_called(llm_contents_t *t, const llm_json_want_t *want)
{
    size_t  i, at;

    for (i = 0; i < t->n; i++) {
        at = (t->next + i) % t->n;

        if (want[LLM_GM_TOOL_CALL_ID].kind == LLM_JSON_STRING
            && llm_str_eq(t->called[at].id, want[LLM_GM_TOOL_CALL_ID].value))
        {
            t->next = at + 1;
            return t->called[at].name;
        }
    }

    return want[LLM_GM_NAME].kind == LLM_JSON_STRING ? want[LLM_GM_NAME].value
                                                     : LLM_NOSTR;
}


/* A result has to be an object: what it is, or what is made around it. */
static void
llm_content_output(llm_buf_t *out, llm_str_t raw, int failed)
{
    llm_str_t       text;
    unsigned char  *start;

    start = out->pos;

    if (!failed && llm_json_unescape(raw, out) == LLM_OK) {
        text.data = start;
        text.len = (size_t) (out->pos - start);

        while (text.len && memchr(" \t\r\n", text.data[0], 4)) {
            text.data++;
            text.len--;
        }

        if (text.len && text.data[0] == '{' && llm_json_check(text) == LLM_OK) {
            return;
        }

        out->pos = start;
    }

    llm_buf_str(out, failed ? LLM_STR("{\"error\":") : LLM_STR("{\"output\":"));
    llm_buf_str(out, raw);
    llm_buf_str(out, LLM_STR("}"));
}


/* The text of a part; 0: it has none. */
static int
llm_content_text_of(llm_str_t part, llm_str_t *raw)
{
    llm_json_member_t  m;

    if (llm_json_get(part, LLM_STR("text"), &m) != LLM_OK
        || m.kind != LLM_JSON_STRING)
    {
        return 0;
    }

    *raw = m.value;

    return 1;
}


/* A result in parts: its texts are one; returns how many other parts it has. */
static size_t
llm_content_outputs(llm_contents_t *t, llm_str_t content, int failed)
{
    size_t             n, others;
    llm_str_t          raw, only;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    only = LLM_STR("\"\"");
    n = others = 0;

    if (llm_json_begin(&it, content) == LLM_OK) {
        while (llm_json_next(&it, &m) == LLM_OK) {
            if (llm_content_text_of(m.value, &raw)) {
                only = raw;
                n++;
            } else {
                others++;
            }
        }
    }

    if (n <= 1) {
        llm_content_output(t->out, only, failed);
        return others;
    }

    llm_buf_str(t->out, failed ? LLM_STR("{\"error\":\"")
                               : LLM_STR("{\"output\":\""));

    if (llm_json_begin(&it, content) == LLM_OK) {
        while (llm_json_next(&it, &m) == LLM_OK) {
            if (llm_content_text_of(m.value, &raw)) {
                llm_buf_put(t->out, raw.data + 1, raw.len - 2);
            }
        }
    }

    llm_buf_str(t->out, LLM_STR("\"}"));

    return others;
}


static llm_rc_t
llm_content_result(llm_contents_t *t, const llm_json_want_t *want)
{
    int                     failed;
    size_t                  others;
    llm_rc_t                rc;
    llm_str_t               name, raw;
    llm_json_iter_t         it;
    llm_json_member_t       m;
    const llm_json_want_t  *content;

    name = llm_content_called(t, want);

    if (name.len == 0) {
        return llm_loss_fail(t->loss, LLM_BAD, LLM_STR("messages"),
                     LLM_STR("A message of a tool answers no call of the "
                             "message before it."));
    }

    content = &want[LLM_GM_CONTENT];
    failed = want[LLM_GM_IS_ERROR].kind == LLM_JSON_TRUE;
    others = 0;

    llm_buf_put(t->out, ",", (size_t) llm_content_open(t, LLM_ROLE_USER));
    llm_buf_str(t->out, LLM_STR("{\"functionResponse\":{"));
    llm_content_id(t->out, want[LLM_GM_TOOL_CALL_ID].value);
    llm_buf_str(t->out, LLM_STR("\"name\":"));
    llm_buf_str(t->out, name);
    llm_buf_str(t->out, LLM_STR(",\"response\":"));

    if (content->kind == LLM_JSON_ARRAY) {
        others = llm_content_outputs(t, content->value, failed);

    } else {
        llm_content_output(t->out, content->kind == LLM_JSON_STRING
                                   ? content->value : LLM_STR("\"\""), failed);
    }

    llm_buf_str(t->out, LLM_STR("}}"));

    rc = others ? llm_json_begin(&it, content->value) : LLM_NONE;

    /* pictures stand behind the result */

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
        if (!llm_content_text_of(m.value, &raw)) {
            rc = llm_content_part(t, LLM_ROLE_USER, m.value);
        }
    }

    return rc == LLM_NONE && !others ? LLM_OK : rc;
}


/* ---- all of it ------------------------------------------------------- */


static llm_rc_t
llm_content(llm_contents_t *t, const llm_json_want_t *want)
{
    llm_str_t  role;

    role = want[LLM_GM_ROLE].value;

    if (llm_hub_is(role, LLM_STR("user"))) {
        return llm_content_parts(t, LLM_ROLE_USER, &want[LLM_GM_CONTENT],
                                 LLM_NOSTR);
    }

    if (llm_hub_is(role, LLM_STR("assistant"))) {
        return llm_content_assistant(t, want);
    }

    if (llm_hub_is(role, LLM_STR("tool"))) {
        return llm_content_result(t, want);
    }

    return llm_loss_fail(t->loss, LLM_NONE, LLM_STR("messages"),
                     LLM_STR("A message has a role that this provider does "
                             "not know."));
}


llm_rc_t
llm_gemini_contents(llm_str_t messages, unsigned generation, llm_buf_t *out,
    llm_loss_t *loss, size_t *system)
{
    llm_rc_t           rc;
    llm_contents_t     t;
    llm_json_iter_t    it;
    llm_json_want_t    want[LLM_GM_COUNT];
    llm_json_member_t  m;

    t.out = out;
    t.loss = loss;
    t.role = LLM_ROLE_NONE;
    t.sealed = generation >= LLM_SEALED_FROM;
    t.next = 0;
    t.n = 0;
    *system = 0;

    rc = llm_json_begin(&it, messages);

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {

        rc = llm_content_read(m.value, want, loss);

        if (rc == LLM_OK && llm_hub_is_system(want[LLM_GM_ROLE].value)) {
            (*system)++;

        } else if (rc == LLM_OK) {
            rc = llm_content(&t, want);
        }
    }

    if (rc == LLM_OK && t.role == LLM_ROLE_NONE) {
        /* nothing but instructions: somebody has to speak */
        llm_content_text(&t, LLM_ROLE_USER, LLM_STR("\".\""), LLM_NOSTR);
    }

    llm_buf_str(out, LLM_STR("]}"));

    return rc;
}
