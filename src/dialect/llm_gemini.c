/*
 * The Gemini dialect: paths, usage, refusals and what a whole answer says.  Its
 * requests are in llm_gemini_request.c, the reader of answers and streams in
 * llm_gemini_stream.c.
 */

#include <limits.h>

#include "llm_gemini.h"

#define LLM_GEMINI_REASON  64           /* bytes of a reason that are told */


static const llm_json_want_t  llm_gemini_want[LLM_GA_COUNT] = {
    [LLM_GA_CANDIDATES] = { .name = LLM_STR("candidates") },
    [LLM_GA_FEEDBACK] = { .name = LLM_STR("promptFeedback") },
    [LLM_GA_USAGE] = { .name = LLM_STR("usageMetadata") },
    [LLM_GA_MODEL] = { .name = LLM_STR("modelVersion") },
    [LLM_GA_ID] = { .name = LLM_STR("responseId") },
    [LLM_GA_ERROR] = { .name = LLM_STR("error") }
};


llm_rc_t
llm_gemini_pick(llm_str_t body, llm_json_want_t want[LLM_GA_COUNT])
{
    memcpy(want, llm_gemini_want, sizeof(llm_gemini_want));

    return llm_openai_pick(body, want, LLM_GA_COUNT);
}


/* ---- paths ------------------------------------------------------------- */


static int
llm_gemini_begins(llm_str_t s, llm_str_t with)
{
    return s.len >= with.len && memcmp(s.data, with.data, with.len) == 0;
}


/* A model's name as a segment of a path, behind "models/" unless it names its
 * own collection. */
static void
llm_gemini_put_model(llm_str_t model, llm_buf_t *out)
{
    size_t  own;

    own = llm_gemini_begins(model, LLM_STR("models/")) ? 7
          : llm_gemini_begins(model, LLM_STR("tunedModels/")) ? 12 : 0;

    llm_buf_str(out, LLM_STR("/"));

    if (own) {
        llm_buf_put(out, model.data, own);
        model.data += own;
        model.len -= own;

    } else {
        llm_buf_str(out, LLM_STR("models/"));
    }

    llm_openai_segment(model, out);
}


void
llm_gemini_path(llm_endpoint_t ep, const llm_place_t *place, llm_buf_t *out)
{
    switch (ep) {

    case LLM_EP_CHAT:
        llm_gemini_put_model(place->model, out);
        llm_buf_str(out, place->stream
                         ? LLM_STR(":streamGenerateContent?alt=sse")
                         : LLM_STR(":generateContent"));
        return;

    case LLM_EP_TRANSCRIPTIONS:
    case LLM_EP_TRANSLATIONS:
        llm_gemini_put_model(place->model, out);
        llm_buf_str(out, LLM_STR(":generateContent"));
        return;

    case LLM_EP_EMBEDDINGS:
        llm_gemini_put_model(place->model, out);
        llm_buf_str(out, LLM_STR(":batchEmbedContents"));
        return;

    default:
        llm_openai_path(ep, place, out);
    }
}


unsigned
llm_gemini_generation(llm_str_t model)
{
    unsigned             n;
    const unsigned char  *p, *end;

    if (!llm_openai_has(model, LLM_STR("gemini"))) {
        return 0;
    }

    p = model.data;
    end = p + model.len;

    while ((size_t) (end - p) > 7 && memcmp(p, "gemini-", 7) != 0) {
        p++;
    }

    if ((size_t) (end - p) <= 7 || p[7] < '0' || p[7] > '9') {
        return UINT_MAX;
    }

    p += 7;

    for (n = 0; p < end && *p >= '0' && *p <= '9' && n < 1000; p++) {
        n = 10 * n + (*p - (unsigned) '0');
    }

    n *= 10;

    if (end - p >= 2 && p[0] == '.' && p[1] >= '0' && p[1] <= '9') {
        n += p[1] - (unsigned) '0';
    }

    return n;
}


/* ---- usage and ends ---------------------------------------------------- */


static uint64_t
llm_gemini_sum(uint64_t a, uint64_t b)
{
    if (a == LLM_UNKNOWN) {
        return b;
    }

    if (b == LLM_UNKNOWN) {
        return a;
    }

    return b < LLM_UNKNOWN - 1 - a ? a + b : LLM_UNKNOWN - 1;
}


void
llm_gemini_usage(llm_str_t object, llm_usage_t *usage)
{
    size_t    i;
    uint64_t  n[6];

    llm_json_want_t  want[] = {
        { .name = LLM_STR("promptTokenCount") },
        { .name = LLM_STR("toolUsePromptTokenCount") },
        { .name = LLM_STR("candidatesTokenCount") },
        { .name = LLM_STR("thoughtsTokenCount") },
        { .name = LLM_STR("cachedContentTokenCount") },
        { .name = LLM_STR("totalTokenCount") }
    };

    if (llm_openai_pick(object, want, 6) != LLM_OK) {
        return;
    }

    for (i = 0; i < 6; i++) {
        if (llm_json_uint(want[i].value, &n[i]) != LLM_OK) {
            n[i] = LLM_UNKNOWN;
        }
    }

    usage->input = llm_gemini_sum(n[0], n[1]);
    usage->output = llm_gemini_sum(n[2], n[3]);
    usage->reasoning = n[3];
    usage->cached = n[4];

    if (usage->output == LLM_UNKNOWN && usage->input != LLM_UNKNOWN
        && n[5] != LLM_UNKNOWN && n[5] >= usage->input)
    {
        /* a count of nothing is left out */
        usage->output = n[5] - usage->input;
    }
}


llm_finish_t
llm_gemini_finish(llm_str_t reason)
{
    size_t  i;

    static const struct {
        llm_str_t     word;
        llm_finish_t  finish;
    } reasons[] = {
        { LLM_STR("MAX_TOKENS"), LLM_FINISH_LENGTH },
        { LLM_STR("CONTINUATION"), LLM_FINISH_LENGTH },
        { LLM_STR("SAFETY"), LLM_FINISH_FILTER },
        { LLM_STR("RECITATION"), LLM_FINISH_FILTER },
        { LLM_STR("BLOCKLIST"), LLM_FINISH_FILTER },
        { LLM_STR("PROHIBITED_CONTENT"), LLM_FINISH_FILTER },
        { LLM_STR("SPII"), LLM_FINISH_FILTER },
        { LLM_STR("NO_IMAGE"), LLM_FINISH_FILTER }
    };

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (llm_str_eq(reason, reasons[i].word)) {
            return reasons[i].finish;
        }
    }

    return llm_gemini_begins(reason, LLM_STR("IMAGE_")) ? LLM_FINISH_FILTER
                                                        : LLM_FINISH_STOP;
}


/* ---- errors ------------------------------------------------------------ */


void
llm_gemini_refusal(unsigned status, const llm_hint_t *hint, llm_str_t body,
    llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out)
{
    llm_openai_error_t  e;

    llm_openai_error_body(body, &e);
    llm_openai_refuse(status, &e, hint, now, mem, out);

    if (out->outcome.class == LLM_CLASS_INVALID_REQUEST
        && llm_str_eq(e.status, LLM_STR("FAILED_PRECONDITION")))
    {
        /* where the gateway stands, or what its account lacks: nothing that
         * the caller could do about it */
        out->outcome.class = LLM_CLASS_PERMISSION;
    }
}


llm_str_t
llm_gemini_blocked(const llm_json_want_t *want)
{
    llm_json_member_t       m;
    const llm_json_want_t  *candidates;

    candidates = &want[LLM_GA_CANDIDATES];

    if ((candidates->kind == LLM_JSON_ARRAY
         && !llm_hub_idle(LLM_JSON_ARRAY, candidates->value))
        || want[LLM_GA_FEEDBACK].kind != LLM_JSON_OBJECT
        || llm_json_get(want[LLM_GA_FEEDBACK].value, LLM_STR("blockReason"),
                        &m) != LLM_OK
        || m.kind != LLM_JSON_STRING || m.value.len <= 2)
    {
        return LLM_NOSTR;
    }

    return m.value;
}


llm_str_t
llm_gemini_blocked_message(llm_str_t reason, llm_buf_t *mem)
{
    size_t          i;
    llm_buf_t       text;
    unsigned char   c;

    llm_buf_init(&text, mem->pos, (size_t) (mem->end - mem->pos));
    llm_buf_str(&text, LLM_STR("The provider blocked the prompt: "));

    for (i = 1; i + 1 < reason.len && i <= LLM_GEMINI_REASON; i++) {
        c = reason.data[i];

        if (c == '_' || (c >= 'A' && c <= 'Z')) {
            llm_buf_put(&text, &c, 1);
        }
    }

    llm_buf_str(&text, LLM_STR("."));

    if (text.full) {
        return LLM_NOSTR;
    }

    mem->pos = text.pos;

    return llm_buf_view(&text);
}


/* ---- whole answers ----------------------------------------------------- */


/* The first candidate, or NULL. */
static const llm_json_member_t *
llm_gemini_first(llm_str_t candidates, llm_json_member_t *m)
{
    llm_json_iter_t  it;

    if (llm_json_begin(&it, candidates) == LLM_OK && it.close == ']'
        && llm_json_next(&it, m) == LLM_OK && m->kind == LLM_JSON_OBJECT)
    {
        return m;
    }

    return NULL;
}


/* The text of the only part that has some; of several there is no one string.
 * What was thought does not count. */
static llm_str_t
llm_gemini_only_text(llm_str_t candidate)
{
    llm_str_t          text;
    llm_json_iter_t    it;
    llm_json_member_t  m, part, thought;

    text = LLM_NOSTR;

    if (llm_json_get(candidate, LLM_STR("content"), &m) != LLM_OK
        || llm_json_get(m.value, LLM_STR("parts"), &m) != LLM_OK
        || llm_json_begin(&it, m.value) != LLM_OK)
    {
        return text;
    }

    while (llm_json_next(&it, &part) == LLM_OK) {

        if (llm_json_get(part.value, LLM_STR("text"), &m) != LLM_OK
            || m.kind != LLM_JSON_STRING || m.value.len <= 2
            || (llm_json_get(part.value, LLM_STR("thought"), &thought)
                == LLM_OK && thought.kind == LLM_JSON_TRUE))
        {
            continue;
        }

        if (text.len) {
            return LLM_NOSTR;
        }

        text = m.value;
    }

    return text;
}


static void
llm_gemini_content(llm_str_t candidate, llm_answer_t *out)
{
    llm_json_member_t  m;

    if (llm_json_get(candidate, LLM_STR("finishReason"), &m) == LLM_OK) {
        out->finish_reason = llm_openai_word(m.kind, m.value);
    }

    if (!out->brief) {
        out->content = llm_gemini_only_text(candidate);
    }
}


/* A generateContent answer that is no error. */
static void
llm_gemini_generated(const llm_json_want_t *want, llm_buf_t *mem,
    llm_answer_t *out)
{
    llm_str_t          reason;
    llm_json_member_t  first;

    out->model = llm_openai_word(want[LLM_GA_MODEL].kind,
                                 want[LLM_GA_MODEL].value);
    reason = llm_gemini_blocked(want);

    if (reason.len) {
        out->class = LLM_CLASS_CONTENT_FILTER;
        out->message = llm_gemini_blocked_message(reason, mem);

    } else if (llm_gemini_first(want[LLM_GA_CANDIDATES].value, &first)) {
        llm_gemini_content(first.value, out);

    } else {
        out->class = LLM_CLASS_BAD_ANSWER;
    }
}


void
llm_gemini_answer(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out)
{
    llm_json_want_t     want[LLM_GA_COUNT];
    llm_json_member_t   m;
    llm_openai_error_t  e;

    llm_answer_init(out);

    if (llm_gemini_pick(body, want) != LLM_OK) {
        out->class = LLM_CLASS_BAD_ANSWER;
        return;
    }

    if (llm_openai_truthy(want[LLM_GA_ERROR].kind, want[LLM_GA_ERROR].value)) {
        llm_openai_error_value(want[LLM_GA_ERROR].value, &e);
        out->class = llm_openai_error_hidden(&e, mem, &out->message);
        return;
    }

    llm_gemini_usage(want[LLM_GA_USAGE].value, &out->usage);

    switch (ep) {

    case LLM_EP_CHAT:
        llm_gemini_generated(want, mem, out);

        if (out->class == LLM_CLASS_OK && out->sink) {
            llm_gemini_tell(want, out->sink);
        }

        break;

    case LLM_EP_TRANSCRIPTIONS:
    case LLM_EP_TRANSLATIONS:
        llm_gemini_generated(want, mem, out);

        if (out->class == LLM_CLASS_OK) {
            out->class = llm_gemini_speech_class(out->finish_reason);
        }

        break;

    case LLM_EP_EMBEDDINGS:
        if (llm_json_get(body, LLM_STR("embeddings"), &m) != LLM_OK
            || m.kind != LLM_JSON_ARRAY)
        {
            out->class = LLM_CLASS_BAD_ANSWER;
        }

        break;

    default:
        break;
    }
}


llm_str_t
llm_gemini_text(llm_endpoint_t ep, llm_str_t data)
{
    llm_json_member_t  m, first;

    (void) ep;

    if (llm_json_get(data, LLM_STR("candidates"), &m) == LLM_OK
        && llm_gemini_first(m.value, &first))
    {
        return llm_gemini_only_text(first.value);
    }

    return LLM_NOSTR;
}
