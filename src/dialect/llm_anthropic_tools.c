/*
 * The tools of a request in the hub's form, and which of them are to be called,
 * as Anthropic has them.
 */

#include "llm_anthropic.h"


static void
llm_tool_schema(llm_buf_t *out, const llm_json_want_t *schema)
{
    llm_json_member_t  type;

    if (schema->kind != LLM_JSON_OBJECT) {
        llm_buf_str(out, LLM_STR("{\"type\":\"object\",\"properties\":{}}"));
        return;
    }

    if (llm_json_get(schema->value, LLM_STR("type"), &type) == LLM_OK) {
        llm_buf_str(out, schema->value);
        return;
    }

    llm_buf_str(out, LLM_STR("{\"type\":\"object\""));

    if (!llm_hub_idle(schema->kind, schema->value)) {
        llm_buf_str(out, LLM_STR(","));
    }

    llm_buf_put(out, schema->value.data + 1, schema->value.len - 1);
}


/* Writes a tool; *n of them stand there. */
static llm_rc_t
llm_tool(llm_hub_t *h, llm_str_t tool, size_t *n, llm_buf_t *out,
    llm_loss_t *loss)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("function") },
        { .name = LLM_STR("cache_control") }
    };
    llm_json_want_t  function[] = {
        { .name = LLM_STR("name") },
        { .name = LLM_STR("description") },
        { .name = LLM_STR("parameters") },
        { .name = LLM_STR("strict") }
    };

    if (llm_openai_pick(tool, want, 2) != LLM_OK
        || want[0].kind != LLM_JSON_OBJECT
        || llm_openai_pick(want[0].value, function, 4) != LLM_OK
        || function[0].kind != LLM_JSON_STRING)
    {
        return llm_hub_cannot(h, loss, LLM_STR("tools"),
                      LLM_STR("A tool is not a function with a name."));
    }

    llm_buf_str(out, (*n)++ ? LLM_STR(",{\"name\":")
                            : LLM_STR(",\"tools\":[{\"name\":"));
    llm_buf_str(out, function[0].value);

    if (function[1].kind == LLM_JSON_STRING) {
        llm_buf_str(out, LLM_STR(",\"description\":"));
        llm_buf_str(out, function[1].value);
    }

    llm_buf_str(out, LLM_STR(",\"input_schema\":"));
    llm_tool_schema(out, &function[2]);

    if (function[3].kind == LLM_JSON_TRUE) {
        llm_buf_str(out, LLM_STR(",\"strict\":true"));
    }

    if (want[1].kind == LLM_JSON_OBJECT) {
        llm_buf_str(out, LLM_STR(",\"cache_control\":"));
        llm_buf_str(out, want[1].value);
    }

    llm_buf_str(out, LLM_STR("}"));

    return LLM_OK;
}


/* {"type":"function","function":{"name":"f"}}: the name, or empty. */
static llm_str_t
llm_tool_choice_name(llm_str_t choice)
{
    llm_json_member_t  m;

    if (llm_json_get(choice, LLM_STR("function"), &m) == LLM_OK
        && llm_json_get(m.value, LLM_STR("name"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        return m.value;
    }

    return LLM_NOSTR;
}


static llm_rc_t
llm_tool_choice(llm_hub_t *h, size_t n, llm_buf_t *out, llm_loss_t *loss,
    int *forced)
{
    llm_str_t               type, name;
    const llm_json_want_t  *choice, *parallel;

    choice = llm_hub_get(h, LLM_H_TOOL_CHOICE);
    parallel = llm_hub_get(h, LLM_H_PARALLEL_TOOL_CALLS);

    if (n == 0) {
        return LLM_OK;
    }

    type = LLM_STR("auto");
    name = LLM_NOSTR;

    if (choice && choice->kind == LLM_JSON_OBJECT) {

        name = llm_tool_choice_name(choice->value);

        if (name.len) {
            type = LLM_STR("tool");
            *forced = 1;

        } else if (llm_hub_cannot(h, loss, LLM_STR("tool_choice"),
                          LLM_STR("This kind of tool choice is not known to "
                                  "this provider."))
                   != LLM_OK)
        {
            return LLM_NONE;
        }

    } else if (choice && llm_hub_is(choice->value, LLM_STR("required"))) {
        type = LLM_STR("any");
        *forced = 1;

    } else if (choice && llm_hub_is(choice->value, LLM_STR("none"))) {
        type = LLM_STR("none");

    } else if (parallel == NULL || parallel->kind != LLM_JSON_FALSE) {
        if (choice == NULL) {
            return LLM_OK;
        }
    }

    llm_buf_str(out, LLM_STR(",\"tool_choice\":{\"type\":\""));
    llm_buf_str(out, type);
    llm_buf_str(out, LLM_STR("\""));

    if (name.len) {
        llm_buf_str(out, LLM_STR(",\"name\":"));
        llm_buf_str(out, name);
    }

    if (parallel && parallel->kind == LLM_JSON_FALSE
        && !llm_str_eq(type, LLM_STR("none")))
    {
        llm_buf_str(out, LLM_STR(",\"disable_parallel_tool_use\":true"));
    }

    llm_buf_str(out, LLM_STR("}"));

    return LLM_OK;
}


llm_rc_t
llm_anthropic_tools(llm_hub_t *h, llm_buf_t *out, llm_loss_t *loss, int *forced)
{
    size_t                  n;
    llm_rc_t                rc;
    llm_json_iter_t         it;
    llm_json_member_t       m;
    const llm_json_want_t  *w;

    n = 0;
    *forced = 0;

    w = llm_hub_get(h, LLM_H_TOOLS);

    if (w && w->kind == LLM_JSON_ARRAY) {

        rc = llm_json_begin(&it, w->value);

        while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
            rc = llm_tool(h, m.value, &n, out, loss);
        }

        if (rc != LLM_OK) {
            return rc;
        }

        if (n) {
            llm_buf_str(out, LLM_STR("]"));
        }
    }

    return llm_tool_choice(h, n, out, loss, forced);
}
