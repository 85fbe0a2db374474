/*
 * The front of OpenAI's Responses: answers as its SDKs expect them.
 *
 * An answer is a row of items, and events repeat what came before them: a text
 * that is done, the item that it stands in, and at the end the whole answer.
 * Items are therefore kept as they are written, as the elements of "output",
 * and what is repeated is copied from there.
 */

#include "llm_front_responses.h"

/* llm_reply_t.open */
enum {
    LLM_OPEN_NONE = 0, LLM_OPEN_TEXT, LLM_OPEN_REFUSAL, LLM_OPEN_REASONING,
    LLM_OPEN_CALL
};


/* Items by kind. */
typedef struct {
    llm_str_t  id;                      /* how its id begins */
    llm_str_t  item;                    /* between its id and its part */
    llm_str_t  part;                    /* … and the part's text */
    llm_str_t  at;                      /* in events: the part's index */
    llm_str_t  more;                    /* in events with a text */
    llm_str_t  member;                  /* the text, when it is done */
    /* events of the part */
    llm_str_t  added, delta, text_done, done;
} llm_kind_t;


static const llm_kind_t  llm_kinds[] = {
    [LLM_OPEN_TEXT] = {
        .id = LLM_STR("msg_"),
        .item = LLM_STR(",\"type\":\"message\",\"role\":\"assistant\","
                        "\"content\":["),
        .part = LLM_STR("{\"type\":\"output_text\",\"annotations\":[],"
                        "\"logprobs\":[],\"text\":"),
        .at = LLM_STR(",\"content_index\":0"),
        .more = LLM_STR(",\"logprobs\":[]"),
        .member = LLM_STR("text"),
        .added = LLM_STR("response.content_part.added"),
        .delta = LLM_STR("response.output_text.delta"),
        .text_done = LLM_STR("response.output_text.done"),
        .done = LLM_STR("response.content_part.done")
    },
    [LLM_OPEN_REFUSAL] = {
        .id = LLM_STR("msg_"),
        .item = LLM_STR(",\"type\":\"message\",\"role\":\"assistant\","
                        "\"content\":["),
        .part = LLM_STR("{\"type\":\"refusal\",\"refusal\":"),
        .at = LLM_STR(",\"content_index\":0"),
        .member = LLM_STR("refusal"),
        .added = LLM_STR("response.content_part.added"),
        .delta = LLM_STR("response.refusal.delta"),
        .text_done = LLM_STR("response.refusal.done"),
        .done = LLM_STR("response.content_part.done")
    },
    [LLM_OPEN_REASONING] = {
        .id = LLM_STR("rs_"),
        .item = LLM_STR(",\"type\":\"reasoning\",\"summary\":["),
        .part = LLM_STR("{\"type\":\"summary_text\",\"text\":"),
        .at = LLM_STR(",\"summary_index\":0"),
        .member = LLM_STR("text"),
        .added = LLM_STR("response.reasoning_summary_part.added"),
        .delta = LLM_STR("response.reasoning_summary_text.delta"),
        .text_done = LLM_STR("response.reasoning_summary_text.done"),
        .done = LLM_STR("response.reasoning_summary_part.done")
    },
    [LLM_OPEN_CALL] = {
        .id = LLM_STR("fc_"),
        .item = LLM_STR(",\"type\":\"function_call\",\"call_id\":"),
        .part = LLM_STR(",\"arguments\":"),
        .member = LLM_STR("arguments"),
        .delta = LLM_STR("response.function_call_arguments.delta"),
        .text_done = LLM_STR("response.function_call_arguments.done")
    }
};


static size_t
llm_kept_at(const llm_reply_t *r)
{
    return (size_t) (r->kept.pos - r->kept.start);
}


static llm_str_t
llm_kept_from(const llm_reply_t *r, size_t from)
{
    return (llm_str_t) { llm_kept_at(r) - from, r->kept.start + from };
}


/* ---- events; a whole answer has none: out is NULL ---------------------- */


static void
llm_event_begin(llm_reply_t *r, llm_str_t type, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("event: "));
    llm_buf_str(out, type);
    llm_buf_str(out, LLM_STR("\ndata: {\"type\":\""));
    llm_buf_str(out, type);
    llm_buf_str(out, LLM_STR("\",\"sequence_number\":"));
    llm_json_put_uint(out, r->sequence++);
}


/* The id of the last item: the answer's own id and its place. */
static void
llm_event_item_id(const llm_reply_t *r, llm_str_t prefix, llm_buf_t *out)
{
    size_t  skip;

    skip = 1 + r->front->id.len;

    llm_buf_str(out, LLM_STR("\""));
    llm_buf_str(out, prefix);
    llm_buf_put(out, r->id + skip, r->id_len - skip - 1);
    llm_buf_str(out, LLM_STR("_"));
    llm_json_put_uint(out, r->blocks - 1);
    llm_buf_str(out, LLM_STR("\""));
}


/* An event about what is open, up to its own members. */
static void
llm_event_open(llm_reply_t *r, llm_str_t type, llm_buf_t *out)
{
    llm_event_begin(r, type, out);
    llm_hub_put_member(out, LLM_STR("item_id"), LLM_NOSTR);
    llm_event_item_id(r, llm_kinds[r->open].id, out);
    llm_hub_put_member(out, LLM_STR("output_index"), LLM_NOSTR);
    llm_json_put_uint(out, r->blocks - 1);
    llm_buf_str(out, llm_kinds[r->open].at);
}


/* … whose own member is raw. */
static void
llm_event_part(llm_reply_t *r, llm_str_t type, llm_str_t name, llm_str_t value,
    llm_str_t more, llm_buf_t *out)
{
    if (out) {
        llm_event_open(r, type, out);
        llm_hub_put_member(out, name, value);
        llm_buf_str(out, more);
        llm_buf_str(out, LLM_STR("}\n\n"));
    }
}


/* The last item so far; `rest` is what makes it one while it is open. */
static void
llm_event_item(llm_reply_t *r, llm_str_t type, llm_str_t rest, llm_buf_t *out)
{
    if (out == NULL) {
        return;
    }

    llm_event_begin(r, type, out);
    llm_hub_put_member(out, LLM_STR("output_index"), LLM_NOSTR);
    llm_json_put_uint(out, r->blocks - 1);
    llm_hub_put_member(out, LLM_STR("item"), llm_kept_from(r, r->item));
    llm_buf_str(out, rest);
    llm_buf_str(out, LLM_STR("}\n\n"));
}


/* The response itself, with or without what it says. */
static void
llm_event_response(llm_reply_t *r, llm_str_t type, llm_str_t status, int done,
    llm_buf_t *out)
{
    llm_event_begin(r, type, out);
    llm_hub_put_member(out, LLM_STR("response"), LLM_NOSTR);
    llm_response_head(r, status, out);
    llm_buf_str(out, done ? llm_buf_view(&r->kept) : LLM_NOSTR);
    llm_response_tail(r, done, out);
    llm_buf_str(out, LLM_STR("}\n\n"));
}


/* ---- items ------------------------------------------------------------- */


/* Ends the text of the open item, and its part; more members may follow. */
static void
llm_item_end(llm_reply_t *r, llm_buf_t *out)
{
    llm_str_t          text;
    const llm_kind_t  *k;

    k = &llm_kinds[r->open];

    if (r->open == LLM_OPEN_CALL && llm_kept_at(r) == r->text + 1) {
        llm_buf_str(&r->kept, LLM_STR("{}"));
    }

    llm_buf_str(&r->kept, LLM_STR("\""));
    text = llm_kept_from(r, r->text);

    if (r->open == LLM_OPEN_CALL) {
        /* its name is told again */
        llm_event_part(r, k->text_done, k->member, text,
                       (llm_str_t) { r->text - k->part.len - r->part,
                                     r->kept.start + r->part }, out);
        return;
    }

    llm_event_part(r, k->text_done, k->member, text, k->more, out);
    llm_buf_str(&r->kept, LLM_STR("}"));
    llm_event_part(r, k->done, LLM_STR("part"), llm_kept_from(r, r->part),
                   LLM_NOSTR, out);
    llm_buf_str(&r->kept, LLM_STR("]"));
}


static void
llm_item_done(llm_reply_t *r, llm_str_t status, llm_buf_t *out)
{
    llm_hub_put_member(&r->kept, LLM_STR("status"), LLM_STR("\""));
    llm_buf_str(&r->kept, status);
    llm_buf_str(&r->kept, LLM_STR("\"}"));

    llm_event_item(r, LLM_STR("response.output_item.done"), LLM_NOSTR, out);

    r->open = LLM_OPEN_NONE;
}


static void
llm_item_close(llm_reply_t *r, llm_str_t status, llm_buf_t *out)
{
    if (r->open != LLM_OPEN_NONE) {
        llm_item_end(r, out);
        llm_item_done(r, status, out);
    }
}


/* Begins an item, whose own members follow. */
static void
llm_item_begin(llm_reply_t *r, unsigned kind, llm_buf_t *out)
{
    llm_item_close(r, LLM_STR("completed"), out);

    llm_buf_str(&r->kept, r->blocks++ ? LLM_STR(",") : LLM_NOSTR);

    r->open = kind;
    r->item = llm_kept_at(r);

    llm_buf_str(&r->kept, LLM_STR("{\"id\":"));
    llm_event_item_id(r, llm_kinds[kind].id, &r->kept);
    llm_buf_str(&r->kept, llm_kinds[kind].item);
}


/* … one with parts. */
static void
llm_item_open(llm_reply_t *r, unsigned kind, llm_buf_t *out)
{
    llm_item_begin(r, kind, out);
    llm_event_item(r, LLM_STR("response.output_item.added"),
                   LLM_STR("],\"status\":\"in_progress\"}"), out);
}


static void
llm_item_text(llm_reply_t *r, unsigned kind, llm_str_t text, llm_buf_t *out)
{
    const llm_kind_t  *k;

    k = &llm_kinds[kind];

    if (r->open != kind) {
        llm_item_open(r, kind, out);

        r->part = llm_kept_at(r);
        llm_buf_str(&r->kept, k->part);
        llm_event_part(r, k->added, LLM_STR("part"), llm_kept_from(r, r->part),
                       LLM_STR("\"\"}"), out);

        r->text = llm_kept_at(r);
        llm_buf_str(&r->kept, LLM_STR("\""));
    }

    llm_buf_put(&r->kept, text.data + 1, text.len - 2);
    llm_event_part(r, k->delta, LLM_STR("delta"), text, k->more, out);
}


/* Reasoning that only its maker can use: all of it, or of what is open. */
static void
llm_item_sealed(llm_reply_t *r, llm_str_t mark, llm_str_t text, llm_buf_t *out)
{
    if (r->open == LLM_OPEN_REASONING) {
        llm_item_end(r, out);

    } else {
        llm_item_open(r, LLM_OPEN_REASONING, out);
        llm_buf_str(&r->kept, LLM_STR("]"));
    }

    llm_hub_put_member(&r->kept, LLM_STR("encrypted_content"), LLM_STR("\""));
    llm_buf_str(&r->kept, mark);
    llm_buf_put(&r->kept, text.data + 1, text.len - 1);

    llm_item_done(r, LLM_STR("completed"), out);
}


/* What its maker wants to see again, where Google's own endpoint puts it. */
static void
llm_item_seal(llm_reply_t *r, llm_str_t seal)
{
    llm_hub_put_member(&r->kept, LLM_STR("extra_content"),
                       LLM_STR("{\"google\":{\"thought_signature\":"));
    llm_buf_str(&r->kept, seal);
    llm_buf_str(&r->kept, LLM_STR("}}"));
}


static void
llm_item_call(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    llm_item_begin(r, LLM_OPEN_CALL, out);
    llm_buf_str(&r->kept, p->id);

    if (p->text.len) {
        llm_item_seal(r, p->text);
    }

    r->part = llm_kept_at(r);
    llm_hub_put_member(&r->kept, LLM_STR("name"), p->name);
    llm_buf_str(&r->kept, llm_kinds[LLM_OPEN_CALL].part);

    llm_event_item(r, LLM_STR("response.output_item.added"),
                   LLM_STR("\"\",\"status\":\"in_progress\"}"), out);

    r->text = llm_kept_at(r);
    llm_buf_str(&r->kept, LLM_STR("\""));
    r->calls++;
}


static void
llm_item_arguments(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    const llm_kind_t  *k;

    if (r->open != LLM_OPEN_CALL || p->call != r->calls - 1) {
        /* of a call that is said to be done */
        r->broken = 1;
        return;
    }

    k = &llm_kinds[LLM_OPEN_CALL];

    if (p->object.len == 0) {
        llm_buf_put(&r->kept, p->text.data + 1, p->text.len - 2);
        llm_event_part(r, k->delta, LLM_STR("delta"), p->text, LLM_NOSTR, out);
        return;
    }

    llm_json_put_escaped(&r->kept, p->object);

    if (out) {
        llm_event_open(r, k->delta, out);
        llm_hub_put_member(out, LLM_STR("delta"), LLM_NOSTR);
        llm_json_put_string(out, p->object);
        llm_buf_str(out, LLM_STR("}\n\n"));
    }
}


static void
llm_item_put(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    switch (p->kind) {

    case LLM_DELTA_TEXT:
        llm_item_text(r, LLM_OPEN_TEXT, p->text, out);
        break;

    case LLM_DELTA_REFUSAL:
        llm_item_text(r, LLM_OPEN_REFUSAL, p->text, out);
        break;

    case LLM_DELTA_REASONING:
        llm_item_text(r, LLM_OPEN_REASONING, p->text, out);
        break;

    case LLM_DELTA_SIGNATURE:
        llm_item_sealed(r, LLM_STR(LLM_SEALED_THINKING), p->text, out);
        break;

    case LLM_DELTA_REDACTED:
        llm_item_close(r, LLM_STR("completed"), out);
        llm_item_sealed(r, LLM_STR(LLM_SEALED_REDACTED), p->text, out);
        break;

    case LLM_DELTA_SEAL:
        if (r->open == LLM_OPEN_TEXT) {
            llm_item_end(r, out);
            llm_item_seal(r, p->text);
            llm_item_done(r, LLM_STR("completed"), out);
        }
        break;

    case LLM_DELTA_CALL:
        llm_item_call(r, p, out);
        break;

    case LLM_DELTA_ARGUMENTS:
        llm_item_arguments(r, p, out);
        break;

    default:
        break;
    }
}


/* ---- streams ----------------------------------------------------------- */


/* What a delta leaves open, or ends. */
static int
llm_item_goes_on(const llm_reply_t *r, const llm_delta_t *p)
{
    switch (p->kind) {
    case LLM_DELTA_TEXT:
        return r->open == LLM_OPEN_TEXT;
    case LLM_DELTA_REFUSAL:
        return r->open == LLM_OPEN_REFUSAL;
    case LLM_DELTA_REASONING:
        return r->open == LLM_OPEN_REASONING;
    case LLM_DELTA_SIGNATURE:
    case LLM_DELTA_REDACTED:
    case LLM_DELTA_SEAL:
    case LLM_DELTA_CALL:
    case LLM_DELTA_END:
        return 0;
    default:
        return 1;
    }
}


/* What is repeated: an item three times where it ends, all of them at the end,
 * the client's settings with each response. */
size_t
llm_responses_more(const llm_reply_t *r, const llm_delta_t *p)
{
    size_t  n;

    n = 0;

    if (!r->begun) {
        n += 2 * (LLM_REPLY_FRAME + r->settings);
    }

    if (r->open != LLM_OPEN_NONE && !llm_item_goes_on(r, p)) {
        n += LLM_REPLY_FRAME + 3 * llm_kept_from(r, r->item).len;
    }

    if (p->kind == LLM_DELTA_END) {
        n += LLM_REPLY_FRAME + r->settings + llm_kept_at(r);
    }

    return n;
}


static void
llm_responses_begin(llm_reply_t *r, llm_buf_t *out)
{
    if (r->begun) {
        return;
    }

    r->begun = 1;

    llm_event_response(r, LLM_STR("response.created"), LLM_STR("in_progress"),
                       0, out);
    llm_event_response(r, LLM_STR("response.in_progress"),
                       LLM_STR("in_progress"), 0, out);
}


static void
llm_responses_end(llm_reply_t *r, llm_buf_t *out)
{
    llm_str_t  status;

    if (r->ended) {
        return;
    }

    r->ended = 1;
    status = llm_response_status(r);

    llm_responses_begin(r, out);
    llm_item_close(r, status, out);

    llm_event_response(r, llm_str_eq(status, LLM_STR("completed"))
                          ? LLM_STR("response.completed")
                          : LLM_STR("response.incomplete"), status, 1, out);
}


/* What is no item.  1: it was that. */
static int
llm_responses_fact(llm_reply_t *r, const llm_delta_t *p)
{
    switch (p->kind) {

    case LLM_DELTA_START:
        llm_reply_start_model(r, p);
        return 1;

    case LLM_DELTA_USAGE:
        llm_usage_merge(&r->usage, &p->usage);
        return 1;

    case LLM_DELTA_FINISH:
        llm_reply_finish(r, p);
        return 1;

    default:
        return 0;
    }
}


void
llm_responses_put(llm_reply_t *r, const llm_delta_t *p, llm_buf_t *out)
{
    if (p->choice != 0 || r->broken) {
        return;
    }

    if (p->kind == LLM_DELTA_END) {
        llm_responses_end(r, out);
        return;
    }

    if (llm_responses_fact(r, p) && p->kind != LLM_DELTA_START) {
        return;
    }

    llm_responses_begin(r, out);
    llm_item_put(r, p, out);
}


/* ---- whole answers ----------------------------------------------------- */


static void
llm_whole_fact(void *data, const llm_delta_t *p)
{
    if (p->choice == 0) {
        (void) llm_responses_fact(data, p);
    }
}


static void
llm_whole_item(void *data, const llm_delta_t *p)
{
    if (p->choice == 0) {
        llm_item_put(data, p, NULL);
    }
}


void
llm_responses_whole(llm_reply_t *r, llm_source_t *source, llm_buf_t *out)
{
    llm_str_t   status;
    llm_sink_t  sink;

    sink.data = r;
    sink.put = llm_whole_fact;

    if (!llm_source_look(source, &sink)) {
        return;
    }

    status = llm_response_status(r);
    llm_response_head(r, status, out);

    r->kept = *out;
    sink.put = llm_whole_item;
    (void) llm_source_look(source, &sink);
    llm_item_close(r, status, NULL);
    *out = r->kept;

    llm_response_tail(r, 1, out);
}
