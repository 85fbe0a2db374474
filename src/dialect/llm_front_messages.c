/*
 * The front of Anthropic's Messages: answers as its SDKs expect them.
 *
 * An answer is a row of blocks: a delta of another kind than the one before
 * closes a block and opens the next.  How it ended and what it used come with
 * the end, because providers tell them in either order.
 */

#include "llm_front.h"

/* What begins the signature that keeps a call's seal. */
#define LLM_MESSAGES_KEPT  "\"signature\":\"" LLM_HUB_KEPT

/* llm_reply_t.open */
enum { LLM_OPEN_NONE = 0, LLM_OPEN_TEXT, LLM_OPEN_THINKING, LLM_OPEN_CALL };


/* A whole answer on its way. */
typedef struct {
    llm_reply_t  *reply;
    llm_buf_t    *out;
    unsigned      facts:1;              /* a look at what is no block */
    unsigned      open;                 /* kind of the block that is open */
    unsigned      empty:1;              /* … a call without arguments so far */
    unsigned      called:1;             /* a call has begun */
    unsigned      n;                    /* blocks so far */
} llm_message_t;


void
llm_messages_error(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t param, llm_str_t id)
{
    (void) param;

    llm_error_anthropic(out, code, message, id);
}


void
llm_messages_error_event(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t id, uint64_t before)
{
    (void) before;

    llm_buf_str(out, LLM_STR("event: error\ndata: "));
    llm_error_anthropic(out, code, message, id);
    llm_buf_str(out, LLM_STR("\n\n"));
}


/* What was read from a cache is not part of input_tokens here. */
static void
llm_messages_usage(const llm_usage_t *usage, llm_buf_t *out)
{
    uint64_t  input, cached;

    input = llm_reply_known(usage->input);
    cached = llm_reply_known(usage->cached);

    llm_buf_str(out, LLM_STR("{\"input_tokens\":"));
    llm_json_put_uint(out, input > cached ? input - cached : 0);
    llm_buf_str(out, LLM_STR(",\"cache_creation_input_tokens\":0,"
                             "\"cache_read_input_tokens\":"));
    llm_json_put_uint(out, cached);
    llm_buf_str(out, LLM_STR(",\"output_tokens\":"));
    llm_json_put_uint(out, llm_reply_known(usage->output));
    llm_buf_str(out, LLM_STR("}"));
}


static llm_str_t
llm_messages_stop(const llm_reply_t *r)
{
    switch (r->finish) {
    case LLM_FINISH_STRING:
        return LLM_STR("\"stop_sequence\"");
    case LLM_FINISH_LENGTH:
        return LLM_STR("\"max_tokens\"");
    case LLM_FINISH_CALLS:
        return LLM_STR("\"tool_use\"");
    case LLM_FINISH_FILTER:
        return LLM_STR("\"refusal\"");
    default:
        /* some servers call it a stop, and clients would not go on */
        return r->calls ? LLM_STR("\"tool_use\"") : LLM_STR("\"end_turn\"");
    }
}


/* "stop_reason" and "stop_sequence", behind a comma or a brace. */
static void
llm_messages_stopped(const llm_reply_t *r, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("\"stop_reason\":"));
    llm_buf_str(out, llm_messages_stop(r));
    llm_buf_str(out, LLM_STR(",\"stop_sequence\":"));

    if (r->finish == LLM_FINISH_STRING && r->stop_len) {
        llm_buf_put(out, r->stop, r->stop_len);
    } else {
        llm_buf_str(out, LLM_STR("null"));
    }
}


/* id, type, role and model: how a message begins. */
static void
llm_messages_head(const llm_reply_t *r, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("{\"id\":"));
    llm_buf_put(out, r->id, r->id_len);
    llm_buf_str(out, LLM_STR(",\"type\":\"message\",\"role\":\"assistant\","
                             "\"model\":"));
    llm_buf_put(out, r->model, r->model_len);
    llm_buf_str(out, LLM_STR(",\"content\":["));
}


/* ---- streams ----------------------------------------------------------- */


static void
llm_messages_begin(llm_reply_t *r, llm_buf_t *out)
{
    if (r->begun) {
        return;
    }

    r->begun = 1;

    llm_buf_str(out, LLM_STR("event: message_start\ndata: {\"type\":"
                             "\"message_start\",\"message\":"));
    llm_messages_head(r, out);
    llm_buf_str(out, LLM_STR("],\"stop_reason\":null,\"stop_sequence\":null,"
                             "\"usage\":"));
    llm_messages_usage(&r->usage, out);
    llm_buf_str(out, LLM_STR("}}\n\n"));
}


static void
llm_messages_close(llm_reply_t *r, llm_buf_t *out)
{
    if (r->open == LLM_OPEN_NONE) {
        return;
    }

    r->open = LLM_OPEN_NONE;

    llm_buf_str(out, LLM_STR("event: content_block_stop\ndata: {\"type\":"
                             "\"content_block_stop\",\"index\":"));
    llm_json_put_uint(out, r->blocks - 1);
    llm_buf_str(out, LLM_STR("}\n\n"));
}


/* Opens a block, whose own members follow; the caller ends it with "}}". */
static void
llm_messages_open(llm_reply_t *r, unsigned kind, llm_str_t type,
    llm_buf_t *out)
{
    llm_messages_close(r, out);

    llm_buf_str(out, LLM_STR("event: content_block_start\ndata: {\"type\":"
                             "\"content_block_start\",\"index\":"));
    llm_json_put_uint(out, r->blocks);
    llm_buf_str(out, LLM_STR(",\"content_block\":{\"type\":\""));
    llm_buf_str(out, type);
    llm_buf_str(out, LLM_STR("\""));

    r->blocks++;
    r->open = kind;
}


static void
llm_messages_open_text(llm_reply_t *r, unsigned kind, llm_buf_t *out)
{
    if (r->open == kind) {
        return;
    }

    if (kind == LLM_OPEN_TEXT) {
        llm_messages_open(r, kind, LLM_STR("text"), out);
        llm_buf_str(out, LLM_STR(",\"text\":\"\"}}\n\n"));
        return;
    }

    llm_messages_open(r, kind, LLM_STR("thinking"), out);
    llm_buf_str(out, LLM_STR(",\"thinking\":\"\",\"signature\":\"\"}}\n\n"));
}


/* One delta of a block; type names its kind, member what it carries. */
static void
llm_messages_delta(uint32_t index, llm_str_t type, llm_str_t member,
    const llm_delta_t *p, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("event: content_block_delta\ndata: {\"type\":"
                             "\"content_block_delta\",\"index\":"));
    llm_json_put_uint(out, index);
    llm_buf_str(out, LLM_STR(",\"delta\":{\"type\":\""));
    llm_buf_str(out, type);
    llm_buf_str(out, LLM_STR("\",\""));
    llm_buf_str(out, member);
    llm_buf_str(out, LLM_STR("\":"));

    if (p->object.len) {
        llm_json_put_string(out, p->object);
    } else {
        llm_buf_str(out, p->text);
    }

    llm_buf_str(out, LLM_STR("}}\n\n"));
}


/* A tool_use block has no place for the seal of a first call; what was thought
 * before it has one. */
static void
llm_messages_keep(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    if (r->open != LLM_OPEN_THINKING || r->calls || p->text.len <= 2) {
        return;
    }

    llm_buf_str(out, LLM_STR("event: content_block_delta\ndata: {\"type\":"
                             "\"content_block_delta\",\"index\":"));
    llm_json_put_uint(out, r->blocks - 1);
    llm_buf_str(out, LLM_STR(",\"delta\":{\"type\":\"signature_delta\","
                             LLM_MESSAGES_KEPT));
    llm_buf_put(out, p->text.data + 1, p->text.len - 1);
    llm_buf_str(out, LLM_STR("}}\n\n"));
}


static void
llm_messages_call(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    llm_messages_keep(r, p, out);
    llm_messages_open(r, LLM_OPEN_CALL, LLM_STR("tool_use"), out);
    llm_buf_str(out, LLM_STR(",\"id\":"));
    llm_buf_str(out, p->id);
    llm_buf_str(out, LLM_STR(",\"name\":"));
    llm_buf_str(out, p->name);
    llm_buf_str(out, LLM_STR(",\"input\":{}}}\n\n"));

    if (p->call < LLM_REPLY_CALLS) {
        r->call_at[p->call] = r->blocks - 1;
    }

    r->calls++;
}


static void
llm_messages_arguments(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    uint32_t  index;

    if (r->calls == 0) {
        return;
    }

    /* a piece of an earlier call still finds its block by the index */

    index = p->call < LLM_REPLY_CALLS ? r->call_at[p->call] : r->blocks - 1;

    llm_messages_delta(index, LLM_STR("input_json_delta"),
                       LLM_STR("partial_json"), p, out);
}


static void
llm_messages_end(llm_reply_t *r, llm_buf_t *out)
{
    if (r->ended) {
        return;
    }

    r->ended = 1;

    llm_messages_begin(r, out);
    llm_messages_close(r, out);

    llm_buf_str(out, LLM_STR("event: message_delta\ndata: {\"type\":"
                             "\"message_delta\",\"delta\":{"));
    llm_messages_stopped(r, out);
    llm_buf_str(out, LLM_STR("},\"usage\":"));
    llm_messages_usage(&r->usage, out);
    llm_buf_str(out, LLM_STR("}\n\nevent: message_stop\ndata: {\"type\":"
                             "\"message_stop\"}\n\n"));
}


static void
llm_messages_block(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    switch (p->kind) {

    case LLM_DELTA_TEXT:
    case LLM_DELTA_REFUSAL:
        llm_messages_open_text(r, LLM_OPEN_TEXT, out);
        llm_messages_delta(r->blocks - 1, LLM_STR("text_delta"),
                           LLM_STR("text"), p, out);
        break;

    case LLM_DELTA_REASONING:
        llm_messages_open_text(r, LLM_OPEN_THINKING, out);
        llm_messages_delta(r->blocks - 1, LLM_STR("thinking_delta"),
                           LLM_STR("thinking"), p, out);
        break;

    case LLM_DELTA_SIGNATURE:
        llm_messages_open_text(r, LLM_OPEN_THINKING, out);
        llm_messages_delta(r->blocks - 1, LLM_STR("signature_delta"),
                           LLM_STR("signature"), p, out);
        llm_messages_close(r, out);
        break;

    case LLM_DELTA_REDACTED:
        llm_messages_open(r, LLM_OPEN_THINKING, LLM_STR("redacted_thinking"),
                          out);
        llm_buf_str(out, LLM_STR(",\"data\":"));
        llm_buf_str(out, p->text);
        llm_buf_str(out, LLM_STR("}}\n\n"));
        llm_messages_close(r, out);
        break;

    case LLM_DELTA_CALL:
        llm_messages_call(r, p, out);
        break;

    case LLM_DELTA_ARGUMENTS:
        llm_messages_arguments(r, p, out);
        break;

    default:
        break;
    }
}


void
llm_messages_put(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    if (p->choice != 0) {
        return;
    }

    switch (p->kind) {

    case LLM_DELTA_USAGE:
        llm_usage_merge(&r->usage, &p->usage);
        return;

    case LLM_DELTA_FINISH:
        llm_reply_finish(r, p);
        return;

    case LLM_DELTA_END:
        llm_messages_end(r, out);
        return;

    case LLM_DELTA_START:
        llm_reply_start_model(r, p);
        break;

    default:
        break;
    }

    llm_messages_begin(r, out);
    llm_messages_block(r, p, out);
}


/* ---- whole answers ----------------------------------------------------- */


static void
llm_message_facts(llm_reply_t *r, const llm_delta_t *p)
{
    switch (p->kind) {

    case LLM_DELTA_START:
        llm_reply_start_model(r, p);
        break;

    case LLM_DELTA_USAGE:
        llm_usage_merge(&r->usage, &p->usage);
        break;

    case LLM_DELTA_FINISH:
        llm_reply_finish(r, p);
        break;

    case LLM_DELTA_CALL:
        r->calls++;
        break;

    default:
        break;
    }
}


static void
llm_message_close(llm_message_t *w)
{
    switch (w->open) {

    case LLM_OPEN_TEXT:
        llm_buf_str(w->out, LLM_STR("\"}"));
        break;

    case LLM_OPEN_THINKING:
        llm_buf_str(w->out, LLM_STR("\",\"signature\":\"\"}"));
        break;

    case LLM_OPEN_CALL:
        llm_buf_str(w->out, w->empty ? LLM_STR("{}}") : LLM_STR("}"));
        break;

    default:
        break;
    }

    w->open = LLM_OPEN_NONE;
}


static void
llm_message_open(llm_message_t *w, unsigned kind, llm_str_t type)
{
    llm_message_close(w);

    llm_buf_str(w->out, w->n++ ? LLM_STR(",{\"type\":\"")
                               : LLM_STR("{\"type\":\""));
    llm_buf_str(w->out, type);
    llm_buf_str(w->out, LLM_STR("\","));
    w->open = kind;
}


static void
llm_message_text(llm_message_t *w, unsigned kind, llm_str_t raw)
{
    if (w->open != kind) {
        llm_message_open(w, kind, kind == LLM_OPEN_TEXT ? LLM_STR("text")
                                                        : LLM_STR("thinking"));
        llm_buf_str(w->out, kind == LLM_OPEN_TEXT ? LLM_STR("\"text\":\"")
                                          : LLM_STR("\"thinking\":\""));
    }

    if (raw.len > 2) {
        llm_buf_put(w->out, raw.data + 1, raw.len - 2);
    }
}


static void
llm_message_keep(llm_message_t *w, const llm_delta_t *p)
{
    if (w->open == LLM_OPEN_THINKING && !w->called && p->text.len > 2) {
        llm_buf_str(w->out, LLM_STR("\"," LLM_MESSAGES_KEPT));
        llm_buf_put(w->out, p->text.data + 1, p->text.len - 1);
        llm_buf_str(w->out, LLM_STR("}"));
        w->open = LLM_OPEN_NONE;
    }

    w->called = 1;
}


static void
llm_message_arguments(llm_message_t *w, const llm_delta_t *p)
{
    if (w->open != LLM_OPEN_CALL || !w->empty) {
        return;
    }

    w->empty = 0;

    if (p->object.len) {
        llm_buf_str(w->out, p->object);
    } else {
        llm_hub_put_object(w->out, LLM_JSON_STRING, p->text);
    }
}


static void
llm_message_block(llm_message_t *w, const llm_delta_t *p)
{
    switch (p->kind) {

    case LLM_DELTA_TEXT:
    case LLM_DELTA_REFUSAL:
        llm_message_text(w, LLM_OPEN_TEXT, p->text);
        break;

    case LLM_DELTA_REASONING:
        llm_message_text(w, LLM_OPEN_THINKING, p->text);
        break;

    case LLM_DELTA_SIGNATURE:
        llm_message_text(w, LLM_OPEN_THINKING, LLM_NOSTR);
        llm_buf_str(w->out, LLM_STR("\",\"signature\":"));
        llm_buf_str(w->out, p->text);
        llm_buf_str(w->out, LLM_STR("}"));
        w->open = LLM_OPEN_NONE;
        break;

    case LLM_DELTA_REDACTED:
        llm_message_open(w, LLM_OPEN_NONE, LLM_STR("redacted_thinking"));
        llm_buf_str(w->out, LLM_STR("\"data\":"));
        llm_buf_str(w->out, p->text);
        llm_buf_str(w->out, LLM_STR("}"));
        break;

    case LLM_DELTA_CALL:
        llm_message_keep(w, p);
        llm_message_open(w, LLM_OPEN_CALL, LLM_STR("tool_use"));
        llm_buf_str(w->out, LLM_STR("\"id\":"));
        llm_buf_str(w->out, p->id);
        llm_buf_str(w->out, LLM_STR(",\"name\":"));
        llm_buf_str(w->out, p->name);
        llm_buf_str(w->out, LLM_STR(",\"input\":"));
        w->empty = 1;
        break;

    case LLM_DELTA_ARGUMENTS:
        llm_message_arguments(w, p);
        break;

    default:
        break;
    }
}


static void
llm_message_put(void *data, const llm_delta_t *p)
{
    llm_message_t *w = data;

    if (p->choice != 0) {
        return;
    }

    if (w->facts) {
        llm_message_facts(w->reply, p);
    } else {
        llm_message_block(w, p);
    }
}


void
llm_messages_whole(llm_reply_t *r, llm_source_t *source, llm_buf_t *out)
{
    llm_sink_t     sink;
    llm_message_t  w;

    memset(&w, 0, sizeof(llm_message_t));
    w.reply = r;
    w.out = out;

    sink.put = llm_message_put;
    sink.data = &w;

    w.facts = 1;

    if (!llm_source_look(source, &sink)) {
        return;
    }

    w.facts = 0;

    llm_messages_head(r, out);
    (void) llm_source_look(source, &sink);
    llm_message_close(&w);

    llm_buf_str(out, LLM_STR("],"));
    llm_messages_stopped(r, out);
    llm_buf_str(out, LLM_STR(",\"usage\":"));
    llm_messages_usage(&r->usage, out);
    llm_buf_str(out, LLM_STR("}"));
}
