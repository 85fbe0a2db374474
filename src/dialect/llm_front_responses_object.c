/*
 * The object "response": what stands around the items of an answer, streamed or
 * whole, and its errors.
 *
 * It repeats what the client asked for, as OpenAI does, in the client's own
 * spelling.  Line ends between its members are left out: in an event they would
 * end a line of it.
 */

#include "llm_front_responses.h"

#define LLM_SETTING_MAX  32768          /* longer ones are not repeated */


/* What is repeated, and what stands there if the client did not say it. */
static const struct {
    llm_str_t  name;
    llm_str_t  otherwise;
} llm_settings[LLM_REPLY_SETTINGS] = {
    { LLM_STR("instructions"), LLM_STR("null") },
    { LLM_STR("max_output_tokens"), LLM_STR("null") },
    { LLM_STR("metadata"), LLM_STR("{}") },
    { LLM_STR("parallel_tool_calls"), LLM_STR("true") },
    { LLM_STR("reasoning"), LLM_STR("{\"effort\":null,\"summary\":null}") },
    { LLM_STR("safety_identifier"), LLM_STR("null") },
    { LLM_STR("temperature"), LLM_STR("null") },
    { LLM_STR("text"), LLM_STR("{\"format\":{\"type\":\"text\"}}") },
    { LLM_STR("tool_choice"), LLM_STR("\"auto\"") },
    { LLM_STR("tools"), LLM_STR("[]") },
    { LLM_STR("top_p"), LLM_STR("null") },
    { LLM_STR("user"), LLM_STR("null") }
};


void
llm_responses_asked(llm_reply_t *r, llm_str_t body)
{
    size_t      i;
    llm_loss_t  loss;

    loss.n = 0;

    for (i = 0; i < LLM_REPLY_SETTINGS; i++) {
        r->setting[i].name = llm_settings[i].name;
    }

    (void) llm_hub_take(body, LLM_NOSTR, r->setting, LLM_REPLY_SETTINGS, &loss);

    r->settings = 0;

    for (i = 0; i < LLM_REPLY_SETTINGS; i++) {

        if (r->setting[i].value.len > LLM_SETTING_MAX) {
            r->setting[i].value = LLM_NOSTR;
        }

        r->settings += r->setting[i].value.len;
    }
}


/* JSON without line ends. */
static void
llm_response_line(llm_str_t json, llm_buf_t *out)
{
    size_t  i, from;

    for (i = 0, from = 0; i <= json.len; i++) {

        if (i == json.len || json.data[i] == '\n' || json.data[i] == '\r') {
            llm_buf_put(out, json.data + from, i - from);
            from = i + 1;
        }
    }
}


static void
llm_response_settings(const llm_reply_t *r, llm_buf_t *out)
{
    size_t                  i;
    const llm_json_want_t  *w;

    for (i = 0; i < LLM_REPLY_SETTINGS; i++) {
        w = &r->setting[i];

        llm_hub_put_member(out, llm_settings[i].name, LLM_NOSTR);

        if (w->value.len == 0 || w->kind == LLM_JSON_NULL) {
            llm_buf_str(out, llm_settings[i].otherwise);
        } else {
            llm_response_line(w->value, out);
        }
    }
}


llm_str_t
llm_response_status(const llm_reply_t *r)
{
    return r->finish == LLM_FINISH_LENGTH || r->finish == LLM_FINISH_FILTER
           ? LLM_STR("incomplete") : LLM_STR("completed");
}


void
llm_response_head(const llm_reply_t *r, llm_str_t status, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("{\"id\":"));
    llm_buf_put(out, r->id, r->id_len);
    llm_buf_str(out, LLM_STR(",\"object\":\"response\",\"created_at\":"));
    llm_json_put_uint(out, r->created);
    llm_buf_str(out, LLM_STR(",\"status\":\""));
    llm_buf_str(out, status);
    llm_buf_str(out, LLM_STR("\",\"background\":false,\"error\":null,"
                             "\"incomplete_details\":"));

    if (!llm_str_eq(status, LLM_STR("incomplete"))) {
        llm_buf_str(out, LLM_STR("null"));

    } else if (r->finish == LLM_FINISH_LENGTH) {
        llm_buf_str(out, LLM_STR("{\"reason\":\"max_output_tokens\"}"));

    } else {
        llm_buf_str(out, LLM_STR("{\"reason\":\"content_filter\"}"));
    }

    llm_response_settings(r, out);

    llm_buf_str(out, LLM_STR(",\"previous_response_id\":null,\"store\":false,"
                             "\"truncation\":\"disabled\",\"model\":"));
    llm_buf_put(out, r->model, r->model_len);
    llm_buf_str(out, LLM_STR(",\"output\":["));
}


void
llm_response_tail(const llm_reply_t *r, int done, llm_buf_t *out)
{
    uint64_t  input, output;

    if (!done) {
        llm_buf_str(out, LLM_STR("],\"usage\":null}"));
        return;
    }

    input = llm_reply_known(r->usage.input);
    output = llm_reply_known(r->usage.output);

    llm_buf_str(out, LLM_STR("],\"usage\":{\"input_tokens\":"));
    llm_json_put_uint(out, input);
    llm_buf_str(out, LLM_STR(",\"input_tokens_details\":{\"cached_tokens\":"));
    llm_json_put_uint(out, llm_reply_known(r->usage.cached));
    llm_buf_str(out, LLM_STR("},\"output_tokens\":"));
    llm_json_put_uint(out, output);
    llm_buf_str(out, LLM_STR(",\"output_tokens_details\":"
                             "{\"reasoning_tokens\":"));
    llm_json_put_uint(out, llm_reply_known(r->usage.reasoning));
    llm_buf_str(out, LLM_STR("},\"total_tokens\":"));
    llm_json_put_uint(out, input + output);
    llm_buf_str(out, LLM_STR("}}"));
}


/* The event's own members are what it is documented to have; SDKs raise an
 * exception at an "error" alone. */
void
llm_responses_error_event(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t id, uint64_t before)
{
    (void) id;

    llm_buf_str(out, LLM_STR("event: error\ndata: {\"type\":\"error\","
                             "\"sequence_number\":"));
    llm_json_put_uint(out, before);
    llm_buf_str(out, LLM_STR(",\"code\":"));
    llm_json_put_string(out, llm_error_openai_code(code));
    llm_buf_str(out, LLM_STR(",\"message\":"));
    llm_json_put_string(out, llm_error_sentence(code, message));
    llm_buf_str(out, LLM_STR(",\"param\":null,\"error\":"));
    llm_error_openai_object(out, code, message, LLM_NOSTR);
    llm_buf_str(out, LLM_STR("}\n\n"));
}
