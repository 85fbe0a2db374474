/*
 * The mock's streams: a finished body, told event by event.
 *
 * Event number i is found by counting, so no state is kept between events.
 */

#include "llm_mock_parts.h"


/* ---- pieces -------------------------------------------------------------- */

/*
 * A piece ends before a space or behind a comma.  Neither is part of an escape
 * or of a character, so the raw inside can be cut there.
 */
static llm_str_t
llm_mock_next_piece(llm_str_t *inside)
{
    size_t     i;
    llm_str_t  piece;

    for (i = 1; i < inside->len; i++) {
        if (inside->data[i] == ' ' || inside->data[i - 1] == ',') {
            break;
        }
    }

    piece.data = inside->data;
    piece.len = i < inside->len ? i : inside->len;

    inside->data += piece.len;
    inside->len -= piece.len;

    return piece;
}


size_t
llm_mock_pieces(llm_str_t inside)
{
    size_t  n;

    for (n = 0; inside.len; n++) {
        (void) llm_mock_next_piece(&inside);
    }

    return n;
}


llm_rc_t
llm_mock_piece(llm_str_t inside, size_t k, llm_str_t *piece)
{
    while (inside.len) {
        *piece = llm_mock_next_piece(&inside);
        if (k-- == 0) {
            return LLM_OK;
        }
    }

    return LLM_NONE;
}


/* ---- chat and completions ------------------------------------------------ */

typedef struct {
    llm_buf_t            *out;
    const llm_request_t  *r;
    llm_str_t             body;
    llm_str_t             model;
    uint64_t              created;
} llm_mock_chunk_t;


static void
llm_mock_chunk_begin(const llm_mock_chunk_t *c)
{
    llm_mock_put(c->out, "data: {\"id\":");
    llm_buf_str(c->out, llm_mock_at(c->body, "/id"));
    llm_mock_put(c->out, c->r->endpoint == LLM_EP_CHAT
                         ? ",\"object\":\"chat.completion.chunk\",\"created\":"
                         : ",\"object\":\"text_completion\",\"created\":");
    llm_json_put_uint(c->out, c->created);
    llm_mock_put(c->out, ",\"model\":");
    llm_json_put_string(c->out, c->model.len ? c->model : LLM_STR("mock"));
    llm_mock_put(c->out, ",\"system_fingerprint\":\"fp_mock\",\"choices\":[");
}


static void
llm_mock_chunk_end(const llm_mock_chunk_t *c)
{
    llm_mock_put(c->out, c->r->include_usage ? "],\"usage\":null}\n\n"
                                             : "]}\n\n");
}


/* One choice's chunk: a delta or a text, both raw JSON, and a finish reason. */
static void
llm_mock_chunk(const llm_mock_chunk_t *c, uint64_t index, const char *before,
    llm_str_t piece, const char *behind, llm_str_t finish)
{
    llm_mock_chunk_begin(c);
    llm_mock_put(c->out, "{\"index\":");
    llm_json_put_uint(c->out, index);
    llm_mock_put(c->out, c->r->endpoint == LLM_EP_CHAT ? ",\"delta\":"
                                                       : ",\"text\":");
    llm_mock_put(c->out, before);
    llm_buf_str(c->out, piece);
    llm_mock_put(c->out, behind);
    llm_mock_put(c->out, ",\"logprobs\":null,\"finish_reason\":");
    llm_buf_str(c->out, finish.len ? finish : LLM_STR("null"));
    llm_mock_put(c->out, "}");
    llm_mock_chunk_end(c);
}


static void
llm_mock_tool_opening(const llm_mock_chunk_t *c, uint64_t index,
    llm_str_t call)
{
    llm_mock_chunk_begin(c);
    llm_mock_put(c->out, "{\"index\":");
    llm_json_put_uint(c->out, index);
    llm_mock_put(c->out, ",\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":");
    llm_buf_str(c->out, llm_mock_at(call, "/id"));
    llm_mock_put(c->out, ",\"type\":\"function\",\"function\":{\"name\":");
    llm_buf_str(c->out, llm_mock_at(call, "/function/name"));
    llm_mock_put(c->out, ",\"arguments\":\"\"}}]},\"logprobs\":null,"
                         "\"finish_reason\":null}");
    llm_mock_chunk_end(c);
}


/* The events of one choice: 1 + the words + 1.  LLM_NONE: *i is behind them,
 * less their number. */
static llm_rc_t
llm_mock_choice_event(const llm_mock_chunk_t *c, uint64_t index,
    llm_str_t choice, size_t *i)
{
    size_t     n;
    llm_str_t  call, words, piece;

    call = llm_mock_at(choice, "/message/tool_calls/0");
    words = llm_mock_inside(llm_mock_at(choice,
                                        call.len ? "/message/tool_calls/0/"
                                                   "function/arguments"
                                                 : "/message/content"));

    if (*i == 0) {
        llm_mock_chunk(c, index, "{\"role\":\"assistant\",\"content\":",
                       call.len ? LLM_STR("null") : LLM_STR("\"\""),
                       ",\"refusal\":null}", LLM_NOSTR);
        return LLM_OK;
    }

    n = 1;

    if (call.len) {
        if (*i == n) {
            llm_mock_tool_opening(c, index, call);
            return LLM_OK;
        }
        n++;
    }

    if (llm_mock_piece(words, *i - n, &piece) == LLM_OK) {
        llm_mock_chunk(c, index, call.len ? "{\"tool_calls\":[{\"index\":0,"
                                            "\"function\":{\"arguments\":\""
                                          : "{\"content\":\"",
                       piece, call.len ? "\"}}]}" : "\"}", LLM_NOSTR);
        return LLM_OK;
    }

    n += llm_mock_pieces(words);

    if (*i == n) {
        llm_mock_chunk(c, index, "{}", LLM_NOSTR, "",
                       llm_mock_at(choice, "/finish_reason"));
        return LLM_OK;
    }

    *i -= n + 1;

    return LLM_NONE;
}


static llm_rc_t
llm_mock_completion_event(const llm_mock_chunk_t *c, uint64_t index,
    llm_str_t choice, size_t *i)
{
    size_t     n;
    llm_str_t  words, piece;

    words = llm_mock_inside(llm_mock_at(choice, "/text"));

    if (llm_mock_piece(words, *i, &piece) == LLM_OK) {
        llm_mock_chunk(c, index, "\"", piece, "\"", LLM_NOSTR);
        return LLM_OK;
    }

    n = llm_mock_pieces(words);

    if (*i == n) {
        llm_mock_chunk(c, index, "\"\"", LLM_NOSTR, "",
                       llm_mock_at(choice, "/finish_reason"));
        return LLM_OK;
    }

    *i -= n + 1;

    return LLM_NONE;
}


llm_rc_t
llm_mock_chat_event(const llm_request_t *r, llm_str_t text, llm_str_t model,
    uint64_t created, size_t i, llm_buf_t *out)
{
    uint64_t           index;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_mock_chunk_t   c;
    llm_json_member_t  m;

    c = (llm_mock_chunk_t) { out, r, text, model, created };

    if (llm_json_begin(&it, llm_mock_at(text, "/choices")) != LLM_OK) {
        return LLM_NONE;
    }

    for (index = 0; llm_json_next(&it, &m) == LLM_OK; index++) {
        rc = r->endpoint == LLM_EP_CHAT
             ? llm_mock_choice_event(&c, index, m.value, &i)
             : llm_mock_completion_event(&c, index, m.value, &i);

        if (rc == LLM_OK) {
            return rc;
        }
    }

    if (r->include_usage) {
        if (i == 0) {
            llm_mock_chunk_begin(&c);
            llm_mock_put(out, "],\"usage\":");
            llm_buf_str(out, llm_mock_at(text, "/usage"));
            llm_mock_put(out, "}\n\n");
            return LLM_OK;
        }
        i--;
    }

    if (i == 0) {
        llm_mock_put(out, "data: [DONE]\n\n");
        return LLM_OK;
    }

    return LLM_NONE;
}


/* ---- Responses ----------------------------------------------------------- */

static void
llm_mock_open_event(llm_buf_t *out, const char *type, size_t i)
{
    llm_mock_put(out, "event: ");
    llm_mock_put(out, type);
    llm_mock_put(out, "\ndata: {\"type\":\"");
    llm_mock_put(out, type);
    llm_mock_put(out, "\",\"sequence_number\":");
    llm_json_put_uint(out, i);
}


/* An event about a part of the item, with one member: key and raw value. */
static void
llm_mock_part_event(llm_buf_t *out, const char *type, size_t i, llm_str_t item,
    const char *key, llm_str_t value, const char *behind)
{
    llm_mock_open_event(out, type, i);
    llm_mock_put(out, ",\"item_id\":");
    llm_buf_str(out, llm_mock_at(item, "/id"));
    llm_mock_put(out, ",\"output_index\":0,");

    if (llm_mock_at(item, "/content").len) {
        llm_mock_put(out, "\"content_index\":0,");
    }

    llm_mock_put(out, key);
    llm_buf_str(out, value);
    llm_mock_put(out, behind);
    llm_mock_put(out, "}\n\n");
}


/* output_item.added: the item before it has any content. */
static void
llm_mock_item_added(llm_buf_t *out, size_t i, llm_str_t item)
{
    llm_mock_open_event(out, "response.output_item.added", i);
    llm_mock_put(out, ",\"output_index\":0,\"item\":{\"id\":");
    llm_buf_str(out, llm_mock_at(item, "/id"));
    llm_mock_put(out, ",\"type\":");
    llm_buf_str(out, llm_mock_at(item, "/type"));
    llm_mock_put(out, ",\"status\":\"in_progress\"");

    if (llm_mock_at(item, "/content").len) {
        llm_mock_put(out, ",\"role\":\"assistant\",\"content\":[]}}\n\n");
        return;
    }

    llm_mock_put(out, ",\"call_id\":");
    llm_buf_str(out, llm_mock_at(item, "/call_id"));
    llm_mock_put(out, ",\"name\":");
    llm_buf_str(out, llm_mock_at(item, "/name"));
    llm_mock_put(out, ",\"arguments\":\"\"}}\n\n");
}


/* What lies between output_item.added and output_item.done; LLM_NONE with *n,
 * their number. */
static llm_rc_t
llm_mock_item_event(llm_buf_t *out, size_t i, size_t k, llm_str_t item,
    size_t *n)
{
    int        message;
    llm_str_t  part, words, piece;

    part = llm_mock_at(item, "/content/0");
    message = part.len != 0;
    words = message ? llm_mock_at(part, "/text")
                    : llm_mock_at(item, "/arguments");

    if (message && k == 0) {
        llm_mock_part_event(out, "response.content_part.added", i, item,
                            "\"part\":", LLM_STR("{\"type\":\"output_text\","
                            "\"text\":\"\",\"annotations\":[],\"logprobs\":[]"
                            "}"), "");
        return LLM_OK;
    }

    k -= (size_t) message;

    if (llm_mock_piece(llm_mock_inside(words), k, &piece) == LLM_OK) {
        llm_mock_part_event(out, message ? "response.output_text.delta"
                                : "response.function_call_arguments.delta",
                            i, item, "\"delta\":\"", piece,
                            message ? "\",\"logprobs\":[]" : "\"");
        return LLM_OK;
    }

    *n = llm_mock_pieces(llm_mock_inside(words));

    if (k == *n) {
        llm_mock_part_event(out, message ? "response.output_text.done"
                                : "response.function_call_arguments.done",
                            i, item, message ? "\"text\":" : "\"arguments\":",
                            words, message ? ",\"logprobs\":[]" : "");
        return LLM_OK;
    }

    if (message && k == *n + 1) {
        llm_mock_part_event(out, "response.content_part.done", i, item,
                            "\"part\":", part, "");
        return LLM_OK;
    }

    *n += message ? 3 : 1;

    return LLM_NONE;
}


llm_rc_t
llm_mock_responses_event(const llm_request_t *r, llm_str_t text,
    llm_str_t model, uint64_t created, size_t i, llm_buf_t *out)
{
    size_t     n;
    llm_str_t  id, item, status;

    id = llm_mock_inside(llm_mock_at(text, "/id"));
    item = llm_mock_at(text, "/output/0");
    status = llm_mock_inside(llm_mock_at(text, "/status"));

    if (i < 2) {
        llm_mock_open_event(out, i ? "response.in_progress"
                                   : "response.created", i);
        llm_mock_put(out, ",\"response\":");
        llm_mock_put_response(out, r, id, model, created,
                              LLM_STR("in_progress"), LLM_STR("[]"),
                              LLM_STR("null"));
        llm_mock_put(out, "}\n\n");
        return LLM_OK;
    }

    if (i == 2) {
        llm_mock_item_added(out, i, item);
        return LLM_OK;
    }

    if (llm_mock_item_event(out, i, i - 3, item, &n) == LLM_OK) {
        return LLM_OK;
    }

    if (i == n + 3) {
        llm_mock_open_event(out, "response.output_item.done", i);
        llm_mock_put(out, ",\"output_index\":0,\"item\":");
        llm_buf_str(out, item);
        llm_mock_put(out, "}\n\n");
        return LLM_OK;
    }

    if (i == n + 4) {
        llm_mock_open_event(out, llm_str_eq(status, LLM_STR("incomplete"))
                                 ? "response.incomplete"
                                 : "response.completed", i);
        llm_mock_put(out, ",\"response\":");
        llm_buf_str(out, text);
        llm_mock_put(out, "}\n\n");
        return LLM_OK;
    }

    return LLM_NONE;
}


/* ---- transcriptions ------------------------------------------------------ */

llm_rc_t
llm_mock_transcript_event(llm_str_t text, size_t i, llm_buf_t *out)
{
    size_t     n;
    llm_str_t  words, piece;

    words = llm_mock_at(text, "/text");
    n = llm_mock_pieces(llm_mock_inside(words));

    if (llm_mock_piece(llm_mock_inside(words), i, &piece) == LLM_OK) {
        llm_mock_put(out, "data: {\"type\":\"transcript.text.delta\","
                          "\"delta\":\"");
        llm_buf_str(out, piece);
        llm_mock_put(out, "\"}\n\n");
        return LLM_OK;
    }

    if (i == n) {
        llm_mock_put(out, "data: {\"type\":\"transcript.text.done\",\"text\":");
        llm_buf_str(out, words);
        llm_mock_put(out, ",\"usage\":");
        llm_buf_str(out, llm_mock_at(text, "/usage"));
        llm_mock_put(out, "}\n\n");
        return LLM_OK;
    }

    if (i == n + 1) {
        llm_mock_put(out, "data: [DONE]\n\n");
        return LLM_OK;
    }

    return LLM_NONE;
}
