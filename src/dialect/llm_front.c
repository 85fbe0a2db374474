/*
 * The table of fronts, and what the answers of all of them have in common.
 */

#include "llm_front.h"


static const llm_front_t  llm_fronts[] = {
    {
        .endpoint = LLM_EP_CHAT,
        .dialect = LLM_STR("openai"),
        .id = LLM_STR("chatcmpl-"),
        .differs = llm_chat_differs,
        .request = llm_chat_request,
        .asked = llm_chat_asked,
        .delta = llm_chat_put,
        .whole = llm_chat_whole,
        .error = llm_chat_error,
        .error_event = llm_chat_error_event
    },
    {
        .endpoint = LLM_EP_MESSAGES,
        .dialect = LLM_STR("anthropic"),
        .id = LLM_STR("msg_"),
        .heartbeat = LLM_STR("event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        .overloaded = 529,
        .request = llm_messages_request,
        .delta = llm_messages_put,
        .whole = llm_messages_whole,
        .error = llm_messages_error,
        .error_event = llm_messages_error_event
    },
    {
        .endpoint = LLM_EP_RESPONSES,
        .dialect = LLM_STR("openai"),
        .id = LLM_STR("resp_"),
        .keeps = 1,
        .request = llm_responses_request,
        .asked = llm_responses_asked,
        .more = llm_responses_more,
        .delta = llm_responses_put,
        .whole = llm_responses_whole,
        .error = llm_chat_error,
        .error_event = llm_responses_error_event
    }
};


const llm_front_t *
llm_front_find(llm_endpoint_t ep)
{
    size_t  i;

    for (i = 0; i < sizeof(llm_fronts) / sizeof(llm_fronts[0]); i++) {
        if (llm_fronts[i].endpoint == ep) {
            return &llm_fronts[i];
        }
    }

    return NULL;
}


void
llm_reply_init(llm_reply_t *r, const llm_front_t *front, llm_str_t id,
    uint64_t created, int include_usage)
{
    memset(r, 0, sizeof(llm_reply_t));

    r->front = front;
    r->created = created;
    r->include_usage = include_usage != 0;
    llm_usage_init(&r->usage);

    r->id[0] = '"';
    memcpy(r->id + 1, id.data, id.len);
    r->id[id.len + 1] = '"';
    r->id_len = id.len + 2;

    memcpy(r->model, "\"\"", 2);
    r->model_len = 2;
}


int
llm_source_look(llm_source_t *s, const llm_sink_t *sink)
{
    s->answer.brief = 1;
    s->answer.sink = sink;

    s->from->answer(LLM_EP_CHAT, s->body, s->mem, &s->answer);

    s->answer.sink = NULL;

    return s->answer.class == LLM_CLASS_OK;
}


void
llm_reply_asked(llm_reply_t *r, llm_str_t body)
{
    if (r->front->asked) {
        r->front->asked(r, body);
    }
}


/* A delta with what stands around it. */
static size_t
llm_reply_size(const llm_delta_t *delta)
{
    return LLM_REPLY_FRAME + delta->text.len + delta->id.len + delta->name.len
           + 6 * delta->object.len;
}


size_t
llm_reply_room(const llm_reply_t *r, const llm_delta_t *delta)
{
    return llm_reply_size(delta)
           + (r->front->more ? r->front->more(r, delta) : 0);
}


size_t
llm_reply_lacks(const llm_reply_t *r, const llm_delta_t *delta)
{
    size_t  used;

    used = (size_t) (r->kept.pos - r->kept.start) + llm_reply_size(delta);

    if (!r->front->keeps || used <= (size_t) (r->kept.end - r->kept.start)) {
        return 0;
    }

    return used;
}


void
llm_reply_keep(llm_reply_t *r, void *mem, size_t size)
{
    llm_str_t  kept;

    kept = llm_buf_view(&r->kept);

    llm_buf_init(&r->kept, mem, size);
    llm_buf_str(&r->kept, kept);
}


void
llm_reply_start(llm_reply_t *r, const llm_delta_t *delta)
{
    if (llm_json_kind(delta->id) == LLM_JSON_STRING && delta->id.len > 2
        && delta->id.len <= sizeof(r->id))
    {
        memcpy(r->id, delta->id.data, delta->id.len);
        r->id_len = delta->id.len;
    }

    llm_reply_start_model(r, delta);
}


void
llm_reply_start_model(llm_reply_t *r, const llm_delta_t *delta)
{
    if (llm_json_kind(delta->model) == LLM_JSON_STRING
        && delta->model.len <= sizeof(r->model))
    {
        memcpy(r->model, delta->model.data, delta->model.len);
        r->model_len = delta->model.len;
    }
}


void
llm_reply_finish(llm_reply_t *r, const llm_delta_t *delta)
{
    r->finish = delta->finish;
    r->stop_len = 0;

    if (llm_json_kind(delta->text) == LLM_JSON_STRING
        && delta->text.len <= sizeof(r->stop))
    {
        memcpy(r->stop, delta->text.data, delta->text.len);
        r->stop_len = delta->text.len;
    }
}


uint64_t
llm_reply_known(uint64_t n)
{
    return n == LLM_UNKNOWN ? 0 : n;
}
