/*
 * Messages in the hub's form, written for fronts with another one.
 */

#include "llm_front_turns.h"


void
llm_turns_init(llm_turns_t *t, llm_str_t param, llm_buf_t *out,
    llm_loss_t *loss)
{
    t->out = out;
    t->loss = loss;
    t->param = param;
    t->messages = 0;
    t->parts = 0;
    t->calls = 0;
}


llm_rc_t
llm_turns_fail(llm_turns_t *t, llm_rc_t rc, llm_str_t message)
{
    return llm_loss_fail(t->loss, rc, t->param, message);
}


void
llm_turns_begin(llm_turns_t *t, llm_str_t role)
{
    llm_buf_str(t->out, t->messages++ ? LLM_STR(",{\"role\":\"")
                                      : LLM_STR("{\"role\":\""));
    llm_buf_str(t->out, role);
    llm_buf_str(t->out, LLM_STR("\""));
}


void
llm_turns_content(llm_turns_t *t, const llm_json_want_t *content,
    llm_str_t between)
{
    llm_buf_str(t->out, LLM_STR(",\"content\":\""));
    (void) llm_hub_put_texts(t->out, content, between, 0);
    llm_buf_str(t->out, LLM_STR("\""));
}


void
llm_turns_plain(llm_turns_t *t, llm_str_t role, const llm_json_want_t *content)
{
    llm_turns_begin(t, role);
    llm_turns_content(t, content, LLM_STR("\\n"));
    llm_buf_str(t->out, LLM_STR("}"));
}


void
llm_turns_result(llm_turns_t *t, llm_str_t id, const llm_json_want_t *content)
{
    llm_turns_begin(t, LLM_STR("tool"));
    llm_hub_put_member(t->out, LLM_STR("tool_call_id"), id);
    llm_turns_content(t, content, LLM_STR("\\n"));
}


void
llm_turns_part(llm_turns_t *t, llm_str_t part)
{
    if (t->parts++) {
        llm_buf_str(t->out, LLM_STR(","));

    } else {
        llm_turns_begin(t, LLM_STR("user"));
        llm_buf_str(t->out, LLM_STR(",\"content\":["));
    }

    llm_buf_str(t->out, part);
}


void
llm_turns_end(llm_turns_t *t)
{
    if (t->parts) {
        llm_buf_str(t->out, LLM_STR("]}"));
        t->parts = 0;
    }
}


void
llm_turns_text(llm_turns_t *t, llm_str_t text)
{
    llm_turns_part(t, LLM_STR("{\"type\":\"text\",\"text\":"));
    llm_buf_str(t->out, text);
    llm_buf_str(t->out, LLM_STR("}"));
}


void
llm_turns_call(llm_turns_t *t, llm_str_t id, llm_str_t name)
{
    llm_buf_str(t->out, t->calls++ ? LLM_STR(",{\"id\":")
                                   : LLM_STR(",\"tool_calls\":[{\"id\":"));
    llm_buf_str(t->out, id);
    llm_buf_str(t->out, LLM_STR(",\"type\":\"function\",\"function\":"
                                "{\"name\":"));
    llm_buf_str(t->out, name);
    llm_buf_str(t->out, LLM_STR(",\"arguments\":"));
}


void
llm_turns_calls_end(llm_turns_t *t)
{
    if (t->calls) {
        llm_buf_str(t->out, LLM_STR("]"));
        t->calls = 0;
    }
}
