/*
 * What a request asks the mock for: the last question, the tool to call, the
 * schema to satisfy.  Chat, Responses and the old completions say it in
 * different members; from here on they are alike.
 */

#include "llm_mock_parts.h"

#define LLM_MOCK_BRACES  256            /* looked at in a system message */

typedef struct {
    llm_str_t  user;                    /* raw contents */
    llm_str_t  system;
    llm_str_t  result;                  /* of a tool, when it came last */
} llm_mock_dialog_t;


/* Appends the text of a content: a string, or an array of parts with texts. */
static llm_str_t
llm_mock_text(llm_str_t content, llm_buf_t *mem)
{
    llm_str_t          s, text;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    s.data = mem->pos;

    if (llm_json_kind(content) == LLM_JSON_STRING) {
        (void) llm_json_unescape(content, mem);

    } else if (llm_json_kind(content) == LLM_JSON_ARRAY
               && llm_json_begin(&it, content) == LLM_OK)
    {
        while (llm_json_next(&it, &m) == LLM_OK) {
            text = m.kind == LLM_JSON_STRING ? m.value
                                             : llm_mock_at(m.value, "/text");
            if (llm_json_kind(text) == LLM_JSON_STRING) {
                (void) llm_json_unescape(text, mem);
            }
        }
    }

    s.len = (size_t) (mem->pos - s.data);

    return s;
}


/* Walks over messages of chat or input items of Responses. */
static void
llm_mock_dialog(llm_str_t messages, llm_mock_dialog_t *d)
{
    llm_str_t          role, type;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_kind(messages) == LLM_JSON_STRING) {
        d->user = messages;
        return;
    }

    if (llm_json_begin(&it, messages) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        role = llm_mock_inside(llm_mock_at(m.value, "/role"));
        type = llm_mock_inside(llm_mock_at(m.value, "/type"));
        d->result = LLM_NOSTR;

        if (llm_str_eq(type, LLM_STR("function_call_output"))) {
            d->result = llm_mock_at(m.value, "/output");

        } else if (llm_str_eq(role, LLM_STR("tool"))
                   || llm_str_eq(role, LLM_STR("function")))
        {
            d->result = llm_mock_at(m.value, "/content");

        } else if (llm_str_eq(role, LLM_STR("system"))
                   || llm_str_eq(role, LLM_STR("developer")))
        {
            d->system = llm_mock_at(m.value, "/content");

        } else if (llm_str_eq(role, LLM_STR("user"))) {
            d->user = llm_mock_at(m.value, "/content");
        }
    }
}


/* The name that a tool_choice asks for (raw), or an empty view. */
static llm_str_t
llm_mock_wanted_tool(llm_str_t choice)
{
    llm_str_t  name;

    name = llm_mock_at(choice, "/function/name");

    return name.len ? name : llm_mock_at(choice, "/name");
}


/* Sets the tool to call.  0: none. */
static int
llm_mock_tool(const llm_request_t *r, llm_mock_task_t *t)
{
    llm_str_t          choice, wanted, name, function;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    choice = llm_mock_at(r->body, "/tool_choice");

    if (r->member[LLM_M_TOOLS].kind != LLM_JSON_ARRAY
        || llm_str_eq(choice, LLM_STR("\"none\""))
        || llm_json_begin(&it, r->member[LLM_M_TOOLS].value) != LLM_OK)
    {
        return 0;
    }

    wanted = llm_mock_wanted_tool(choice);

    while (llm_json_next(&it, &m) == LLM_OK) {
        function = llm_mock_at(m.value, "/function");
        if (function.len == 0) {
            function = m.value;         /* Responses: flat */
        }

        name = llm_mock_at(function, "/name");

        if (llm_json_kind(name) == LLM_JSON_STRING
            && (wanted.len == 0 || llm_str_eq(name, wanted)))
        {
            t->tool = name;
            t->schema = llm_mock_at(function, "/parameters");
            return 1;
        }
    }

    return 0;
}


/* The text from a "{" to the "}" that closes it, when it is a schema. */
static llm_str_t
llm_mock_schema_at(llm_str_t text)
{
    size_t     i, depth;
    llm_str_t  s;
    int        string;

    s.data = text.data;
    depth = 0;
    string = 0;

    for (i = 0; i < text.len; i++) {

        if (string && text.data[i] == '\\') {
            i++;

        } else if (text.data[i] == '"') {
            string = !string;

        } else if (!string && text.data[i] == '{') {
            depth++;

        } else if (!string && text.data[i] == '}' && --depth == 0) {
            s.len = i + 1;

            return llm_json_check(s) == LLM_OK
                   && llm_str_eq(llm_mock_at(s, "/type"),
                                 LLM_STR("\"object\""))
                   && llm_mock_at(s, "/properties").len
                   ? s : LLM_NOSTR;
        }
    }

    return LLM_NOSTR;
}


/* The schema that a system message ends with, fenced or not. */
static llm_str_t
llm_mock_schema_in(llm_str_t system)
{
    unsigned   tries;
    llm_str_t  found, s;

    s = system;
    tries = LLM_MOCK_BRACES;

    while (s.len && tries) {
        if (*s.data == '{') {
            tries--;
            found = llm_mock_schema_at(s);
            if (found.len) {
                return found;
            }
        }

        s.data++;
        s.len--;
    }

    return LLM_NOSTR;
}


/* JSON mode and its schema.  0: plain text is wanted. */
static int
llm_mock_json(const llm_request_t *r, llm_mock_task_t *t)
{
    llm_str_t  format, type;

    format = r->endpoint == LLM_EP_RESPONSES
             ? llm_mock_at(r->member[LLM_M_TEXT].value, "/format")
             : r->member[LLM_M_RESPONSE_FORMAT].value;

    type = llm_mock_at(format, "/type");

    if (llm_str_eq(type, LLM_STR("\"json_schema\""))) {
        t->schema = llm_mock_at(format, r->endpoint == LLM_EP_RESPONSES
                                        ? "/schema" : "/json_schema/schema");
        return 1;
    }

    if (llm_str_eq(type, LLM_STR("\"json_object\""))) {
        t->schema = llm_mock_schema_in(t->system);
        return 1;
    }

    return 0;
}


static uint64_t
llm_mock_limit(const llm_request_t *r)
{
    size_t    i;
    uint64_t  n;

    static const unsigned  members[] = {
        LLM_M_MAX_COMPLETION_TOKENS, LLM_M_MAX_OUTPUT_TOKENS, LLM_M_MAX_TOKENS
    };

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (llm_json_uint(r->member[members[i]].value, &n) == LLM_OK) {
            return n;
        }
    }

    return 0;
}


void
llm_mock_task(const llm_request_t *r, llm_buf_t *mem, llm_mock_task_t *t)
{
    llm_mock_dialog_t  d;

    memset(t, 0, sizeof(llm_mock_task_t));
    memset(&d, 0, sizeof(d));

    t->limit = llm_mock_limit(r);

    switch (r->endpoint) {

    case LLM_EP_COMPLETIONS:
        d.user = r->member[LLM_M_PROMPT].value;
        break;

    case LLM_EP_RESPONSES:
        d.system = llm_mock_at(r->body, "/instructions");
        llm_mock_dialog(r->member[LLM_M_INPUT].value, &d);
        break;

    default:
        llm_mock_dialog(r->member[LLM_M_MESSAGES].value, &d);
        break;
    }

    t->question = llm_mock_text(d.result.len ? d.result : d.user, mem);
    t->system = llm_mock_text(d.system, mem);

    if (r->endpoint == LLM_EP_COMPLETIONS) {
        return;
    }

    if (d.result.len == 0 && llm_mock_tool(r, t)) {
        t->kind = LLM_TASK_TOOL;

    } else if (llm_mock_json(r, t)) {
        t->kind = LLM_TASK_JSON;

    } else if (d.result.len) {
        t->kind = LLM_TASK_RESULT;
    }
}
