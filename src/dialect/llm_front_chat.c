/*
 * The front of OpenAI's chat completions: answers as its SDKs expect them.
 *
 * Reasoning stands in "reasoning_content", as most gateways write it; what a
 * provider has to get back unchanged (signed and redacted reasoning) stands in
 * "thinking_blocks", which the hub reads again in a message's history.
 */

#include "llm_front.h"


llm_str_t
llm_chat_finish(const llm_reply_t *r, llm_finish_t finish)
{
    switch (finish) {
    case LLM_FINISH_LENGTH:
        return LLM_STR("length");
    case LLM_FINISH_CALLS:
        return r->legacy ? LLM_STR("function_call") : LLM_STR("tool_calls");
    case LLM_FINISH_FILTER:
        return LLM_STR("content_filter");
    default:
        return LLM_STR("stop");
    }
}


void
llm_chat_usage(const llm_usage_t *usage, llm_buf_t *out)
{
    uint64_t  input, output;

    input = llm_reply_known(usage->input);
    output = llm_reply_known(usage->output);

    llm_buf_str(out, LLM_STR("{\"prompt_tokens\":"));
    llm_json_put_uint(out, input);
    llm_buf_str(out, LLM_STR(",\"completion_tokens\":"));
    llm_json_put_uint(out, output);
    llm_buf_str(out, LLM_STR(",\"total_tokens\":"));
    llm_json_put_uint(out, input + output);
    llm_buf_str(out, LLM_STR(",\"prompt_tokens_details\":{\"cached_tokens\":"));
    llm_json_put_uint(out, llm_reply_known(usage->cached));
    llm_buf_str(out, LLM_STR("},\"completion_tokens_details\":"
                             "{\"reasoning_tokens\":"));
    llm_json_put_uint(out, llm_reply_known(usage->reasoning));
    llm_buf_str(out, LLM_STR("}}"));
}


void
llm_chat_error(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t param, llm_str_t id)
{
    (void) id;

    llm_error_openai(out, code, message, param);
}


void
llm_chat_error_event(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t id, uint64_t before)
{
    (void) id;
    (void) before;

    llm_buf_str(out, LLM_STR("data: "));
    llm_error_openai(out, code, message, LLM_NOSTR);
    llm_buf_str(out, LLM_STR("\n\n"));
}


void
llm_chat_seal(llm_str_t seal, llm_buf_t *out)
{
    if (seal.len) {
        llm_buf_str(out, LLM_STR(",\"extra_content\":{\"google\":"
                                 "{\"thought_signature\":"));
        llm_buf_str(out, seal);
        llm_buf_str(out, LLM_STR("}}"));
    }
}


/* ---- streams ----------------------------------------------------------- */


static void
llm_chat_head(const llm_reply_t *r, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("data: {\"id\":"));
    llm_buf_put(out, r->id, r->id_len);
    llm_buf_str(out, LLM_STR(",\"object\":\"chat.completion.chunk\","
                             "\"created\":"));
    llm_json_put_uint(out, r->created);
    llm_buf_str(out, LLM_STR(",\"model\":"));
    llm_buf_put(out, r->model, r->model_len);
    llm_buf_str(out, LLM_STR(",\"choices\":["));
}


static void
llm_chat_delta(const llm_reply_t *r, uint32_t choice, llm_buf_t *out)
{
    llm_chat_head(r, out);
    llm_buf_str(out, LLM_STR("{\"index\":"));
    llm_json_put_uint(out, choice);
    llm_buf_str(out, LLM_STR(",\"delta\":{"));
}


static void
llm_chat_delta_end(llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("},\"finish_reason\":null}]}\n\n"));
}


/* The first chunk of a choice names the role. */
static void
llm_chat_begin(llm_reply_t *r, uint32_t choice, llm_buf_t *out)
{
    uint64_t  bit;

    bit = 1ULL << (choice < 63 ? choice : 63);

    if (r->roles & bit) {
        return;
    }

    r->roles |= bit;

    llm_chat_delta(r, choice, out);
    llm_buf_str(out, LLM_STR("\"role\":\"assistant\",\"content\":\"\""));
    llm_chat_delta_end(out);
}


static void
llm_chat_delta_text(llm_reply_t *r, const llm_delta_t *p, llm_str_t before,
    llm_str_t after, llm_buf_t *out)
{
    llm_chat_delta(r, p->choice, out);
    llm_buf_str(out, before);
    llm_buf_str(out, p->text);
    llm_buf_str(out, after);
    llm_chat_delta_end(out);
}


/* Some of a call's arguments, as a member. */
static void
llm_chat_arguments(const llm_delta_t *p, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("\"arguments\":"));

    if (p->object.len) {
        llm_json_put_string(out, p->object);
    } else {
        llm_buf_str(out, p->text);
    }
}


/* Only one function can be called at a time. */
static void
llm_chat_delta_function(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    if (p->call != 0) {
        return;
    }

    llm_chat_delta(r, p->choice, out);
    llm_buf_str(out, LLM_STR("\"function_call\":{"));

    if (p->kind == LLM_DELTA_CALL) {
        llm_buf_str(out, LLM_STR("\"name\":"));
        llm_buf_str(out, p->name);
        llm_hub_put_member(out, LLM_STR("arguments"), LLM_STR("\"\""));

    } else {
        llm_chat_arguments(p, out);
    }

    llm_buf_str(out, LLM_STR("}"));
    llm_chat_delta_end(out);
}


static void
llm_chat_delta_call(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    llm_chat_delta(r, p->choice, out);
    llm_buf_str(out, LLM_STR("\"tool_calls\":[{\"index\":"));
    llm_json_put_uint(out, p->call);

    if (p->kind == LLM_DELTA_CALL) {
        llm_buf_str(out, LLM_STR(",\"id\":"));
        llm_buf_str(out, p->id);
        llm_buf_str(out, LLM_STR(",\"type\":\"function\",\"function\":"
                                 "{\"name\":"));
        llm_buf_str(out, p->name);
        llm_buf_str(out, LLM_STR(",\"arguments\":\"\"}"));
        llm_chat_seal(p->text, out);
        llm_buf_str(out, LLM_STR("}]"));

    } else {
        llm_buf_str(out, LLM_STR(",\"function\":{"));
        llm_chat_arguments(p, out);
        llm_buf_str(out, LLM_STR("}}]"));
    }

    llm_chat_delta_end(out);
}


static void
llm_chat_delta_seal(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    llm_chat_delta(r, p->choice, out);
    llm_buf_str(out, LLM_STR("\"content\":\"\""));
    llm_chat_seal(p->text, out);
    llm_chat_delta_end(out);
}


static void
llm_chat_delta_logprobs(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    llm_chat_delta(r, p->choice, out);
    llm_buf_str(out, LLM_STR("},\"logprobs\":"));
    llm_chat_logprobs(p->object, out);
    llm_buf_str(out, LLM_STR(",\"finish_reason\":null}]}\n\n"));
}


static void
llm_chat_delta_finish(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    llm_chat_delta(r, p->choice, out);
    llm_buf_str(out, LLM_STR("},\"finish_reason\":\""));
    llm_buf_str(out, llm_chat_finish(r, p->finish));
    llm_buf_str(out, LLM_STR("\"}]}\n\n"));
}


static void
llm_chat_end(llm_reply_t *r, llm_buf_t *out)
{
    if (r->ended) {
        return;
    }

    r->ended = 1;

    if (r->include_usage) {
        llm_chat_head(r, out);
        llm_buf_str(out, LLM_STR("],\"usage\":"));
        llm_chat_usage(&r->usage, out);
        llm_buf_str(out, LLM_STR("}\n\n"));
    }

    llm_buf_str(out, LLM_STR("data: [DONE]\n\n"));
}


static void
llm_chat_put_choice(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    switch (p->kind) {

    case LLM_DELTA_TEXT:
        llm_chat_delta_text(r, p, LLM_STR("\"content\":"), LLM_NOSTR, out);
        break;

    case LLM_DELTA_REASONING:
        llm_chat_delta_text(r, p, LLM_STR("\"reasoning_content\":"), LLM_NOSTR,
                            out);
        break;

    case LLM_DELTA_REFUSAL:
        llm_chat_delta_text(r, p, LLM_STR("\"refusal\":"), LLM_NOSTR, out);
        break;

    case LLM_DELTA_SIGNATURE:
        llm_chat_delta_text(r, p, LLM_STR("\"thinking_blocks\":[{\"type\":"
                            "\"thinking\",\"thinking\":\"\",\"signature\":"),
                            LLM_STR("}]"), out);
        break;

    case LLM_DELTA_REDACTED:
        llm_chat_delta_text(r, p, LLM_STR("\"thinking_blocks\":[{\"type\":"
                            "\"redacted_thinking\",\"data\":"),
                            LLM_STR("}]"), out);
        break;

    case LLM_DELTA_SEAL:
        llm_chat_delta_seal(r, p, out);
        break;

    case LLM_DELTA_CALL:
    case LLM_DELTA_ARGUMENTS:
        if (r->legacy) {
            llm_chat_delta_function(r, p, out);
        } else {
            llm_chat_delta_call(r, p, out);
        }
        break;

    case LLM_DELTA_LOGPROBS:
        llm_chat_delta_logprobs(r, p, out);
        break;

    case LLM_DELTA_FINISH:
        llm_chat_delta_finish(r, p, out);
        break;

    default:
        break;
    }
}


void
llm_chat_put(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    switch (p->kind) {

    case LLM_DELTA_START:
        llm_reply_start(r, p);
        break;

    case LLM_DELTA_USAGE:
        llm_usage_merge(&r->usage, &p->usage);
        return;

    case LLM_DELTA_END:
        llm_chat_end(r, out);
        return;

    default:
        break;
    }

    llm_chat_begin(r, p->choice, out);
    llm_chat_put_choice(r, p, out);
}
