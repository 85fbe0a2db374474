/*
 * The Anthropic dialect: whole answers, refusals, paths.  Its requests are in
 * llm_anthropic_request.c, its streams in llm_anthropic_stream.c.
 */

#include "llm_anthropic.h"

enum {
    LLM_AA_TYPE, LLM_AA_ID, LLM_AA_MODEL, LLM_AA_CONTENT, LLM_AA_REASON,
    LLM_AA_SEQUENCE, LLM_AA_USAGE, LLM_AA_ERROR, LLM_AA_TOKENS, LLM_AA_COUNT
};


static const llm_json_want_t  llm_answer_want[LLM_AA_COUNT] = {
    [LLM_AA_TYPE] = { .name = LLM_STR("type") },
    [LLM_AA_ID] = { .name = LLM_STR("id") },
    [LLM_AA_MODEL] = { .name = LLM_STR("model") },
    [LLM_AA_CONTENT] = { .name = LLM_STR("content") },
    [LLM_AA_REASON] = { .name = LLM_STR("stop_reason") },
    [LLM_AA_SEQUENCE] = { .name = LLM_STR("stop_sequence") },
    [LLM_AA_USAGE] = { .name = LLM_STR("usage") },
    [LLM_AA_ERROR] = { .name = LLM_STR("error") },
    [LLM_AA_TOKENS] = { .name = LLM_STR("input_tokens") }
};


void
llm_anthropic_path(llm_endpoint_t ep, const llm_place_t *place, llm_buf_t *out)
{
    if (ep == LLM_EP_CHAT) {
        llm_buf_str(out, LLM_STR("/messages"));
        return;
    }

    llm_openai_path(ep, place, out);
}


/* ---- usage and ends ---------------------------------------------------- */


static void
llm_anthropic_details(llm_str_t object, llm_usage_t *usage)
{
    uint64_t           n;
    llm_json_member_t  m;

    if (llm_json_get(object, LLM_STR("thinking_tokens"), &m) == LLM_OK
        && llm_json_uint(m.value, &n) == LLM_OK)
    {
        usage->reasoning = n;
    }
}


void
llm_anthropic_usage(llm_str_t object, llm_usage_t *usage, uint64_t count[3])
{
    size_t             i;
    uint64_t           n, sum;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    static const llm_str_t  names[] = {
        LLM_STR("input_tokens"), LLM_STR("cache_read_input_tokens"),
        LLM_STR("cache_creation_input_tokens"), LLM_STR("output_tokens")
    };

    if (llm_json_begin(&it, object) != LLM_OK) {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_str_eq(m.key, LLM_STR("output_tokens_details"))) {
            llm_anthropic_details(m.value, usage);
            continue;
        }

        for (i = 0; i < 4 && !llm_str_eq(m.key, names[i]); i++) {
            /* void */
        }

        if (i == 4 || llm_json_uint(m.value, &n) != LLM_OK) {
            continue;
        }

        if (i == 3) {
            usage->output = n;
        } else {
            count[i] = n;
        }
    }

    if (count[0] == LLM_UNKNOWN) {
        return;
    }

    for (sum = 0, i = 0; i < 3; i++) {
        n = count[i] == LLM_UNKNOWN ? 0 : count[i];
        sum = n < LLM_UNKNOWN - 1 - sum ? sum + n : LLM_UNKNOWN - 1;
    }

    usage->input = sum;

    if (count[1] != LLM_UNKNOWN) {
        usage->cached = count[1];
    }
}


llm_finish_t
llm_anthropic_finish(llm_str_t reason)
{
    size_t  i;

    static const struct {
        llm_str_t     word;
        llm_finish_t  finish;
    } reasons[] = {
        { LLM_STR("end_turn"), LLM_FINISH_STOP },
        { LLM_STR("stop_sequence"), LLM_FINISH_STRING },
        { LLM_STR("max_tokens"), LLM_FINISH_LENGTH },
        { LLM_STR("model_context_window_exceeded"), LLM_FINISH_LENGTH },
        { LLM_STR("tool_use"), LLM_FINISH_CALLS },
        { LLM_STR("refusal"), LLM_FINISH_FILTER }
    };

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (llm_str_eq(reason, reasons[i].word)) {
            return reasons[i].finish;
        }
    }

    return LLM_FINISH_STOP;
}


/* ---- errors ------------------------------------------------------------ */


void
llm_anthropic_error(llm_str_t body, llm_openai_error_t *e)
{
    size_t             i;
    llm_json_member_t  error, m;

    static const struct {
        llm_str_t  type;
        unsigned   status;
    } types[] = {
        { LLM_STR("invalid_request_error"), 400 },
        { LLM_STR("authentication_error"), 401 },
        { LLM_STR("billing_error"), 402 },
        { LLM_STR("permission_error"), 403 },
        { LLM_STR("not_found_error"), 404 },
        { LLM_STR("request_too_large"), 413 },
        { LLM_STR("rate_limit_error"), 429 },
        { LLM_STR("api_error"), 500 },
        { LLM_STR("timeout_error"), 504 },
        { LLM_STR("overloaded_error"), 529 }
    };

    llm_openai_error_body(body, e);
    e->native = 0;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (llm_str_eq(e->type, types[i].type)) {
            e->number = types[i].status;
        }
    }

    if (llm_json_get(body, LLM_STR("error"), &error) != LLM_OK
        || error.kind != LLM_JSON_OBJECT)
    {
        return;
    }

    e->native = e->found && e->message.len
                && llm_json_get(body, LLM_STR("type"), &m) == LLM_OK
                && llm_str_eq(m.value, LLM_STR("\"error\""))
                && llm_json_check(body) == LLM_OK;

    if (llm_json_get(error.value, LLM_STR("details"), &m) == LLM_OK
        && llm_json_get(m.value, LLM_STR("error_code"), &m) == LLM_OK)
    {
        e->code = llm_openai_word(m.kind, m.value);
    }
}


void
llm_anthropic_refusal(unsigned status, const llm_hint_t *hint, llm_str_t body,
    llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out)
{
    llm_openai_error_t  e;

    llm_anthropic_error(body, &e);
    llm_openai_refuse(status, &e, hint, now, mem, out);

    if (out->outcome.class == LLM_CLASS_AUTH
        && llm_str_eq(e.type, LLM_STR("permission_error")))
    {
        /* the sentence speaks of the key, which is good for other models */
        out->outcome.class = LLM_CLASS_PERMISSION;
    }
}


/* ---- whole answers ----------------------------------------------------- */


/* The text of the only text block; of several there is no one string, and what
 * was only thought is an empty one. */
static llm_str_t
llm_anthropic_content(llm_str_t content)
{
    int                said;
    llm_str_t          text;
    llm_json_iter_t    it;
    llm_json_member_t  m, type, t;

    said = 0;
    text = LLM_NOSTR;

    if (llm_json_begin(&it, content) != LLM_OK) {
        return text;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_json_get(m.value, LLM_STR("type"), &type) != LLM_OK
            || llm_hub_is(type.value, LLM_STR("thinking"))
            || llm_hub_is(type.value, LLM_STR("redacted_thinking")))
        {
            continue;
        }

        said = 1;

        if (llm_hub_is(type.value, LLM_STR("text"))
            && llm_json_get(m.value, LLM_STR("text"), &t) == LLM_OK
            && t.kind == LLM_JSON_STRING)
        {
            if (text.len) {
                return LLM_NOSTR;
            }

            text = t.value;
        }
    }

    return said ? text : LLM_STR("\"\"");
}


/* One block of a whole answer; *calls counts those that call a tool. */
static void
llm_anthropic_delta(const llm_json_want_t *want, uint32_t *calls,
    const llm_sink_t *sink)
{
    llm_delta_t  p;

    if (llm_hub_is(want[0].value, LLM_STR("text"))) {
        if (want[1].kind == LLM_JSON_STRING) {
            llm_delta_text(sink, LLM_DELTA_TEXT, want[1].value);
        }

    } else if (llm_hub_is(want[0].value, LLM_STR("thinking"))) {
        if (want[2].kind == LLM_JSON_STRING) {
            llm_delta_text(sink, LLM_DELTA_REASONING, want[2].value);
        }

        if (want[3].kind == LLM_JSON_STRING && want[3].value.len > 2) {
            llm_delta_text(sink, LLM_DELTA_SIGNATURE, want[3].value);
        }

    } else if (llm_hub_is(want[0].value, LLM_STR("redacted_thinking"))) {
        if (want[4].kind == LLM_JSON_STRING) {
            llm_delta_text(sink, LLM_DELTA_REDACTED, want[4].value);
        }

    } else if (llm_hub_is(want[0].value, LLM_STR("tool_use"))
               && want[5].kind == LLM_JSON_STRING
               && want[6].kind == LLM_JSON_STRING)
    {
        memset(&p, 0, sizeof(llm_delta_t));
        p.kind = LLM_DELTA_CALL;
        p.call = *calls;
        p.id = want[5].value;
        p.name = want[6].value;
        sink->put(sink->data, &p);

        memset(&p, 0, sizeof(llm_delta_t));
        p.kind = LLM_DELTA_ARGUMENTS;
        p.call = (*calls)++;
        p.object = want[7].kind == LLM_JSON_OBJECT ? want[7].value
                                                   : LLM_STR("{}");
        sink->put(sink->data, &p);
    }
}


static void
llm_anthropic_tell(const llm_json_want_t *want, const llm_answer_t *answer)
{
    llm_rc_t           rc;
    uint32_t           calls;
    llm_delta_t        p;
    llm_json_iter_t    it;
    llm_json_want_t    block[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("text") },
        { .name = LLM_STR("thinking") }, { .name = LLM_STR("signature") },
        { .name = LLM_STR("data") }, { .name = LLM_STR("id") },
        { .name = LLM_STR("name") }, { .name = LLM_STR("input") }
    };
    const llm_sink_t  *sink;

    sink = answer->sink;

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_START;
    p.id = want[LLM_AA_ID].value;
    p.model = want[LLM_AA_MODEL].value;
    sink->put(sink->data, &p);

    calls = 0;

    if (llm_json_begin(&it, want[LLM_AA_CONTENT].value) == LLM_OK) {
        while ((rc = llm_openai_next(&it, block, 8)) != LLM_NONE) {
            if (rc == LLM_OK) {
                llm_anthropic_delta(block, &calls, sink);
            }
        }
    }

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_FINISH;
    p.finish = llm_anthropic_finish(answer->finish_reason);
    if (want[LLM_AA_SEQUENCE].kind == LLM_JSON_STRING) {
        p.text = want[LLM_AA_SEQUENCE].value;
    }
    sink->put(sink->data, &p);

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_USAGE;
    p.usage = answer->usage;
    sink->put(sink->data, &p);

    llm_delta_text(sink, LLM_DELTA_END, LLM_NOSTR);
}


void
llm_anthropic_answer(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out)
{
    uint64_t            count[3] = { LLM_UNKNOWN, LLM_UNKNOWN, LLM_UNKNOWN };
    llm_json_want_t     want[LLM_AA_COUNT];
    llm_openai_error_t  e;

    llm_answer_init(out);
    memcpy(want, llm_answer_want, sizeof(want));

    if (llm_openai_pick(body, want, LLM_AA_COUNT) != LLM_OK) {
        out->class = LLM_CLASS_BAD_ANSWER;
        return;
    }

    if (llm_openai_truthy(want[LLM_AA_ERROR].kind, want[LLM_AA_ERROR].value)) {
        llm_anthropic_error(body, &e);
        out->class = llm_openai_error_hidden(&e, mem, &out->message);
        return;
    }

    if (ep != LLM_EP_CHAT && ep != LLM_EP_MESSAGES) {
        return;
    }

    if (ep == LLM_EP_MESSAGES && want[LLM_AA_TOKENS].kind == LLM_JSON_NUMBER) {
        /* of count_tokens: nothing was used */
        out->usage.input = 0;
        out->usage.output = 0;
        return;
    }

    if (!llm_hub_is(want[LLM_AA_TYPE].value, LLM_STR("message"))
        || want[LLM_AA_CONTENT].kind != LLM_JSON_ARRAY)
    {
        out->class = LLM_CLASS_BAD_ANSWER;
        return;
    }

    llm_anthropic_usage(want[LLM_AA_USAGE].value, &out->usage, count);
    out->model = llm_openai_word(want[LLM_AA_MODEL].kind,
                                 want[LLM_AA_MODEL].value);
    out->finish_reason = llm_openai_word(want[LLM_AA_REASON].kind,
                                         want[LLM_AA_REASON].value);

    if (!out->brief) {
        out->content = llm_anthropic_content(want[LLM_AA_CONTENT].value);
    }

    if (out->sink) {
        llm_anthropic_tell(want, out);
    }
}


llm_str_t
llm_anthropic_text(llm_endpoint_t ep, llm_str_t data)
{
    llm_json_member_t  delta, m;

    (void) ep;

    if (llm_json_get(data, LLM_STR("delta"), &delta) == LLM_OK
        && llm_json_get(delta.value, LLM_STR("text"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        return m.value;
    }

    return LLM_NOSTR;
}
