/*
 * The front of OpenAI's chat completions: answers as its SDKs expect them.
 *
 * Reasoning stands in "reasoning_content", as most gateways write it; what a
 * provider has to get back unchanged (signed and redacted reasoning) stands in
 * "thinking_blocks", which the hub reads again in a message's history.
 */

#include "llm_front.h"


/* What one look at the deltas of a whole answer is for. */
typedef enum {
    LLM_LOOK_FACTS, LLM_LOOK_TEXT, LLM_LOOK_BLOCKS, LLM_LOOK_CALLS
} llm_look_t;

typedef struct {
    llm_reply_t       *reply;
    llm_buf_t         *out;
    llm_look_t         look;
    llm_delta_kind_t   kind;            /* LOOK_TEXT: of these */
    uint32_t           choice;          /* that is looked at */
    uint32_t           choices;         /* that there are */
    uint32_t           n;               /* elements so far */
    uint32_t           seen;            /* bits of kinds */
    llm_finish_t       finish;
    uint32_t           texts;           /* there are, of kind TEXT */
    llm_str_t          text;            /* … the last of them */
    llm_str_t          seal;            /* of the last call, of the message */
    llm_str_t          logprobs;        /* a raw JSON object, or empty */
    unsigned           open:1;          /* an element is not closed */
    unsigned           empty:1;         /* … and has nothing in it */
} llm_whole_t;


llm_str_t
llm_chat_finish(llm_finish_t finish)
{
    switch (finish) {
    case LLM_FINISH_LENGTH:
        return LLM_STR("length");
    case LLM_FINISH_CALLS:
        return LLM_STR("tool_calls");
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


/* The text between the quotes of a raw string. */
static llm_str_t
llm_chat_inner(llm_str_t raw)
{
    if (raw.len < 2) {
        return LLM_NOSTR;
    }

    raw.data++;
    raw.len -= 2;

    return raw;
}


/* What its maker wants to see again, where Google's own endpoint puts it. */
static void
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
        llm_buf_str(out, LLM_STR(",\"function\":{\"arguments\":"));

        if (p->object.len) {
            llm_json_put_string(out, p->object);
        } else {
            llm_buf_str(out, p->text);
        }

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
    llm_buf_str(out, llm_chat_finish(p->finish));
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
        llm_chat_delta_call(r, p, out);
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


/* ---- whole answers ----------------------------------------------------- */


static void
llm_whole_facts(llm_whole_t *w, const llm_delta_t *p)
{
    if (p->kind == LLM_DELTA_START) {
        llm_reply_start(w->reply, p);
        return;
    }

    if (p->kind == LLM_DELTA_USAGE) {
        llm_usage_merge(&w->reply->usage, &p->usage);
        return;
    }

    if (p->choice >= w->choices && p->choice < 128) {
        w->choices = p->choice + 1;
    }

    if (p->choice != w->choice) {
        return;
    }

    w->seen |= 1U << p->kind;

    switch (p->kind) {

    case LLM_DELTA_TEXT:
        w->text = p->text;
        w->texts++;
        break;

    case LLM_DELTA_FINISH:
        w->finish = p->finish;
        break;

    case LLM_DELTA_SEAL:
        w->seal = p->text;
        break;

    case LLM_DELTA_LOGPROBS:
        w->logprobs = p->object;
        break;

    default:
        break;
    }
}


static void
llm_whole_close_block(llm_whole_t *w)
{
    if (w->open) {
        llm_buf_str(w->out, LLM_STR("\"}"));
        w->open = 0;
    }
}


static void
llm_whole_open_block(llm_whole_t *w)
{
    if (!w->open) {
        llm_buf_str(w->out, w->n++ ? LLM_STR(",") : LLM_NOSTR);
        llm_buf_str(w->out, LLM_STR("{\"type\":\"thinking\",\"thinking\":\""));
        w->open = 1;
    }
}


static void
llm_whole_block(llm_whole_t *w, const llm_delta_t *p)
{
    switch (p->kind) {

    case LLM_DELTA_REASONING:
        llm_whole_open_block(w);
        llm_buf_str(w->out, llm_chat_inner(p->text));
        break;

    case LLM_DELTA_SIGNATURE:
        llm_whole_open_block(w);
        llm_buf_str(w->out, LLM_STR("\",\"signature\":"));
        llm_buf_str(w->out, p->text);
        llm_buf_str(w->out, LLM_STR("}"));
        w->open = 0;
        break;

    case LLM_DELTA_REDACTED:
        llm_whole_close_block(w);
        llm_buf_str(w->out, w->n++ ? LLM_STR(",") : LLM_NOSTR);
        llm_buf_str(w->out, LLM_STR("{\"type\":\"redacted_thinking\","
                                    "\"data\":"));
        llm_buf_str(w->out, p->text);
        llm_buf_str(w->out, LLM_STR("}"));
        break;

    default:
        llm_whole_close_block(w);
    }
}


static void
llm_whole_close_call(llm_whole_t *w)
{
    if (w->open) {
        llm_buf_str(w->out, w->empty ? LLM_STR("{}\"}") : LLM_STR("\"}"));
        llm_chat_seal(w->seal, w->out);
        llm_buf_str(w->out, LLM_STR("}"));
        w->open = 0;
    }
}


static void
llm_whole_call(llm_whole_t *w, const llm_delta_t *p)
{
    if (p->kind == LLM_DELTA_CALL) {
        llm_whole_close_call(w);
        llm_buf_str(w->out, w->n++ ? LLM_STR(",{\"id\":")
                                   : LLM_STR("{\"id\":"));
        llm_buf_str(w->out, p->id);
        llm_buf_str(w->out, LLM_STR(",\"type\":\"function\",\"function\":"
                                    "{\"name\":"));
        llm_buf_str(w->out, p->name);
        llm_buf_str(w->out, LLM_STR(",\"arguments\":\""));
        w->seal = p->text;
        w->open = 1;
        w->empty = 1;

    } else if (p->kind == LLM_DELTA_ARGUMENTS && w->open) {

        if (p->object.len) {
            llm_json_put_escaped(w->out, p->object);
            w->empty = 0;

        } else if (p->text.len > 2) {
            llm_buf_str(w->out, llm_chat_inner(p->text));
            w->empty = 0;
        }
    }
}


static void
llm_whole_put(void *data, const llm_delta_t *p)
{
    llm_whole_t *w = data;

    if (w->look == LLM_LOOK_FACTS) {
        llm_whole_facts(w, p);
        return;
    }

    if (p->choice != w->choice) {
        return;
    }

    switch (w->look) {

    case LLM_LOOK_TEXT:
        if (p->kind == w->kind) {
            llm_buf_str(w->out, llm_chat_inner(p->text));
        }
        break;

    case LLM_LOOK_BLOCKS:
        llm_whole_block(w, p);
        break;

    default:
        llm_whole_call(w, p);
    }
}


static void
llm_whole_look(llm_whole_t *w, llm_look_t look, const llm_dialect_t *from,
    llm_str_t body)
{
    llm_sink_t  sink;

    w->look = look;
    w->n = 0;
    w->open = 0;

    sink.put = llm_whole_put;
    sink.data = w;

    from->deltas(body, &sink);
}


/* A member that gathers the texts of a kind, or null. */
static void
llm_whole_text(llm_whole_t *w, llm_str_t name, llm_delta_kind_t kind,
    const llm_dialect_t *from, llm_str_t body)
{
    llm_buf_str(w->out, LLM_STR(",\""));
    llm_buf_str(w->out, name);

    if (!(w->seen & (1U << kind))) {
        llm_buf_str(w->out, LLM_STR("\":null"));
        return;
    }

    llm_buf_str(w->out, LLM_STR("\":\""));

    if (kind == LLM_DELTA_TEXT && w->texts == 1) {
        /* most answers: no second look */
        llm_buf_str(w->out, llm_chat_inner(w->text));

    } else {
        w->kind = kind;
        llm_whole_look(w, LLM_LOOK_TEXT, from, body);
    }

    llm_buf_str(w->out, LLM_STR("\""));
}


static void
llm_whole_message(llm_whole_t *w, const llm_dialect_t *from, llm_str_t body)
{
    llm_buf_str(w->out, LLM_STR("\"message\":{\"role\":\"assistant\""));
    llm_whole_text(w, LLM_STR("content"), LLM_DELTA_TEXT, from, body);
    llm_whole_text(w, LLM_STR("refusal"), LLM_DELTA_REFUSAL, from, body);

    if (w->seen & (1U << LLM_DELTA_REASONING)) {
        llm_whole_text(w, LLM_STR("reasoning_content"), LLM_DELTA_REASONING,
                       from, body);
    }

    if (w->seen & (1U << LLM_DELTA_SIGNATURE | 1U << LLM_DELTA_REDACTED)) {
        llm_buf_str(w->out, LLM_STR(",\"thinking_blocks\":["));
        llm_whole_look(w, LLM_LOOK_BLOCKS, from, body);
        llm_whole_close_block(w);
        llm_buf_str(w->out, LLM_STR("]"));
    }

    if (w->seen & (1U << LLM_DELTA_SEAL)) {
        llm_chat_seal(w->seal, w->out);
    }

    if (w->seen & (1U << LLM_DELTA_CALL)) {
        llm_buf_str(w->out, LLM_STR(",\"tool_calls\":["));
        llm_whole_look(w, LLM_LOOK_CALLS, from, body);
        llm_whole_close_call(w);
        llm_buf_str(w->out, LLM_STR("]"));
    }

    llm_buf_str(w->out, LLM_STR("}"));
}


void
llm_chat_whole(llm_reply_t *r, const llm_dialect_t *from, llm_str_t body,
    llm_buf_t *out)
{
    llm_whole_t  w;

    memset(&w, 0, sizeof(llm_whole_t));
    w.reply = r;
    w.out = out;

    llm_whole_look(&w, LLM_LOOK_FACTS, from, body);

    llm_buf_str(out, LLM_STR("{\"id\":"));
    llm_buf_put(out, r->id, r->id_len);
    llm_buf_str(out, LLM_STR(",\"object\":\"chat.completion\",\"created\":"));
    llm_json_put_uint(out, r->created);
    llm_buf_str(out, LLM_STR(",\"model\":"));
    llm_buf_put(out, r->model, r->model_len);
    llm_buf_str(out, LLM_STR(",\"choices\":["));

    for ( ;; ) {
        llm_buf_str(out, w.choice ? LLM_STR(",{\"index\":")
                                  : LLM_STR("{\"index\":"));
        llm_json_put_uint(out, w.choice);
        llm_buf_str(out, LLM_STR(","));
        llm_whole_message(&w, from, body);
        llm_buf_str(out, LLM_STR(",\"logprobs\":"));

        if (w.logprobs.len) {
            llm_chat_logprobs(w.logprobs, out);
        } else {
            llm_buf_str(out, LLM_STR("null"));
        }

        llm_buf_str(out, LLM_STR(",\"finish_reason\":\""));
        llm_buf_str(out, llm_chat_finish(w.finish));
        llm_buf_str(out, LLM_STR("\"}"));

        if (++w.choice >= w.choices) {
            break;
        }

        w.seen = 0;
        w.texts = 0;
        w.finish = LLM_FINISH_NONE;
        w.seal = LLM_NOSTR;
        w.logprobs = LLM_NOSTR;
        llm_whole_look(&w, LLM_LOOK_FACTS, from, body);
    }

    llm_buf_str(out, LLM_STR("],\"usage\":"));
    llm_chat_usage(&r->usage, out);
    llm_buf_str(out, LLM_STR("}"));
}
