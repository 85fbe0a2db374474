/*
 * Whole answers as OpenAI's chat completions: the deltas are asked for several
 * times, once for each member of a message.
 */

#include "llm_front.h"


/* What one look at the deltas of a whole answer is for. */
typedef enum {
    LLM_LOOK_FACTS, LLM_LOOK_TEXT, LLM_LOOK_BLOCKS, LLM_LOOK_CALLS
} llm_look_t;

typedef struct {
    llm_reply_t       *reply;
    llm_source_t      *source;
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
    if (!w->open) {
        return;
    }

    llm_buf_str(w->out, w->empty ? LLM_STR("{}\"}") : LLM_STR("\"}"));
    w->open = 0;

    if (!w->reply->legacy) {
        llm_chat_seal(w->seal, w->out);
        llm_buf_str(w->out, LLM_STR("}"));
    }
}


static void
llm_whole_open_call(llm_whole_t *w, const llm_delta_t *p)
{
    if (w->reply->legacy) {
        llm_buf_str(w->out, LLM_STR("{\"name\":"));
        w->n++;
        return;
    }

    llm_buf_str(w->out, w->n++ ? LLM_STR(",{\"id\":") : LLM_STR("{\"id\":"));
    llm_buf_str(w->out, p->id);
    llm_buf_str(w->out, LLM_STR(",\"type\":\"function\",\"function\":"
                                "{\"name\":"));
}


static void
llm_whole_call(llm_whole_t *w, const llm_delta_t *p)
{
    if (p->kind == LLM_DELTA_CALL) {
        llm_whole_close_call(w);

        if (w->reply->legacy && w->n) {
            /* only one function can be called at a time */
            return;
        }

        llm_whole_open_call(w, p);
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


static int
llm_whole_look(llm_whole_t *w, llm_look_t look)
{
    llm_sink_t  sink;

    w->look = look;
    w->n = 0;
    w->open = 0;

    sink.put = llm_whole_put;
    sink.data = w;

    return llm_source_look(w->source, &sink);
}


/* A member that gathers the texts of a kind, or null. */
static void
llm_whole_text(llm_whole_t *w, llm_str_t name, llm_delta_kind_t kind)
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
        (void) llm_whole_look(w, LLM_LOOK_TEXT);
    }

    llm_buf_str(w->out, LLM_STR("\""));
}


static void
llm_whole_message(llm_whole_t *w)
{
    llm_buf_str(w->out, LLM_STR("\"message\":{\"role\":\"assistant\""));
    llm_whole_text(w, LLM_STR("content"), LLM_DELTA_TEXT);
    llm_whole_text(w, LLM_STR("refusal"), LLM_DELTA_REFUSAL);

    if (w->seen & (1U << LLM_DELTA_REASONING)) {
        llm_whole_text(w, LLM_STR("reasoning_content"), LLM_DELTA_REASONING);
    }

    if (w->seen & (1U << LLM_DELTA_SIGNATURE | 1U << LLM_DELTA_REDACTED)) {
        llm_buf_str(w->out, LLM_STR(",\"thinking_blocks\":["));
        (void) llm_whole_look(w, LLM_LOOK_BLOCKS);
        llm_whole_close_block(w);
        llm_buf_str(w->out, LLM_STR("]"));
    }

    if (w->seen & (1U << LLM_DELTA_SEAL)) {
        llm_chat_seal(w->seal, w->out);
    }

    if (w->seen & (1U << LLM_DELTA_CALL)) {
        llm_buf_str(w->out, w->reply->legacy ? LLM_STR(",\"function_call\":")
                                             : LLM_STR(",\"tool_calls\":["));
        (void) llm_whole_look(w, LLM_LOOK_CALLS);
        llm_whole_close_call(w);
        llm_buf_put(w->out, "]", !w->reply->legacy);
    }

    llm_buf_str(w->out, LLM_STR("}"));
}


void
llm_chat_whole(llm_reply_t *r, llm_source_t *source, llm_buf_t *out)
{
    llm_whole_t  w;

    memset(&w, 0, sizeof(llm_whole_t));
    w.reply = r;
    w.source = source;
    w.out = out;

    if (!llm_whole_look(&w, LLM_LOOK_FACTS)) {
        return;
    }

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
        llm_whole_message(&w);
        llm_buf_str(out, LLM_STR(",\"logprobs\":"));

        if (w.logprobs.len) {
            llm_chat_logprobs(w.logprobs, out);
        } else {
            llm_buf_str(out, LLM_STR("null"));
        }

        llm_buf_str(out, LLM_STR(",\"finish_reason\":\""));
        llm_buf_str(out, llm_chat_finish(r, w.finish));
        llm_buf_str(out, LLM_STR("\"}"));

        if (++w.choice >= w.choices) {
            break;
        }

        w.seen = 0;
        w.texts = 0;
        w.finish = LLM_FINISH_NONE;
        w.seal = LLM_NOSTR;
        w.logprobs = LLM_NOSTR;
        (void) llm_whole_look(&w, LLM_LOOK_FACTS);
    }

    llm_buf_str(out, LLM_STR("],\"usage\":"));
    llm_chat_usage(&r->usage, out);
    llm_buf_str(out, LLM_STR("}"));
}
