/*
 * Answers of the Gemini dialect: a whole one and an event of a stream have the
 * same form, and one reader takes both apart.
 *
 * Events hold what is new, calls of tools come complete, usage is cumulative,
 * and the end is the end of the connection.  STOP is said for calls as well, so
 * the stream remembers which choices called something.
 */

#include "llm_gemini.h"

#define LLM_GEMINI_ID_MAX  64           /* of a made id's middle */

/* llm_stream_t.block: whether the answer has begun */
enum { LLM_GEMINI_NEW = 0, LLM_GEMINI_BEGUN };

enum {
    LLM_GP_TEXT, LLM_GP_THOUGHT, LLM_GP_SEAL, LLM_GP_CALL, LLM_GP_COUNT
};


static const llm_json_want_t  llm_gemini_part_want[LLM_GP_COUNT] = {
    [LLM_GP_TEXT] = { .name = LLM_STR("text") },
    [LLM_GP_THOUGHT] = { .name = LLM_STR("thought") },
    [LLM_GP_SEAL] = { .name = LLM_STR("thoughtSignature") },
    [LLM_GP_CALL] = { .name = LLM_STR("functionCall") }
};


/* One response on its way. */
typedef struct {
    llm_stream_t      *s;
    const llm_sink_t  *sink;            /* NULL: nobody wants its deltas */
    llm_str_t          id;              /* of the response: raw, or empty */
    uint32_t           choice;
    unsigned           content:1;       /* something was said */
} llm_gemini_reader_t;


static void
llm_gemini_put(llm_gemini_reader_t *r, llm_delta_t *p)
{
    p->choice = r->choice;

    if (r->sink) {
        r->sink->put(r->sink->data, p);
    }
}


static void
llm_gemini_put_text(llm_gemini_reader_t *r, llm_delta_kind_t kind,
    llm_str_t raw)
{
    llm_delta_t  p;

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = kind;
    p.text = raw;
    llm_gemini_put(r, &p);

    r->content = 1;
}


/* An id for a call that came without one: the same whenever it is asked for,
 * and another one for each call of a conversation. */
static llm_str_t
llm_gemini_id(const llm_gemini_reader_t *r, uint32_t call, llm_str_t arguments,
    llm_buf_t *out)
{
    size_t         i;
    uint64_t       hash;
    unsigned char  c;

    llm_buf_str(out, LLM_STR("\"" LLM_GEMINI_ID));

    for (i = 0; i < r->id.len && i < LLM_GEMINI_ID_MAX; i++) {
        c = r->id.data[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            || c == '_' || c == '-')
        {
            llm_buf_put(out, &c, 1);
        }
    }

    if (r->id.len == 0) {
        for (hash = 0xcbf29ce484222325u, i = 0; i < arguments.len; i++) {
            hash = (hash ^ arguments.data[i]) * 0x100000001b3u;
        }

        llm_json_put_uint(out, hash);
    }

    llm_buf_str(out, LLM_STR("_"));
    llm_json_put_uint(out, r->choice);
    llm_buf_str(out, LLM_STR("_"));
    llm_json_put_uint(out, call);
    llm_buf_str(out, LLM_STR("\""));

    return llm_buf_view(out);
}


static void
llm_gemini_call(llm_gemini_reader_t *r, llm_str_t call, llm_str_t seal)
{
    uint16_t        *called;
    llm_buf_t        id;
    llm_delta_t      p;
    unsigned char    mem[LLM_GEMINI_ID_MAX + 64];
    llm_json_want_t  want[] = {
        { .name = LLM_STR("id") }, { .name = LLM_STR("name") },
        { .name = LLM_STR("args") }
    };

    if (llm_openai_pick(call, want, 3) != LLM_OK
        || want[1].kind != LLM_JSON_STRING)
    {
        return;
    }

    called = &r->s->called[r->choice];
    llm_buf_init(&id, mem, sizeof(mem));

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_CALL;
    p.call = *called;
    p.id = want[0].kind == LLM_JSON_STRING && want[0].value.len > 2
           ? want[0].value : llm_gemini_id(r, *called, want[2].value, &id);
    p.name = want[1].value;
    p.text = seal;
    llm_gemini_put(r, &p);

    p.kind = LLM_DELTA_ARGUMENTS;
    p.text = LLM_NOSTR;
    p.object = want[2].kind == LLM_JSON_OBJECT ? want[2].value
                                               : LLM_STR("{}");
    llm_gemini_put(r, &p);

    if (*called < UINT16_MAX) {
        (*called)++;
    }

    r->content = 1;
}


static void
llm_gemini_read_part(llm_gemini_reader_t *r, llm_str_t part)
{
    llm_str_t        seal;
    llm_json_want_t  want[LLM_GP_COUNT];

    memcpy(want, llm_gemini_part_want, sizeof(want));

    if (llm_openai_pick(part, want, LLM_GP_COUNT) != LLM_OK) {
        return;
    }

    seal = want[LLM_GP_SEAL].kind == LLM_JSON_STRING
           && want[LLM_GP_SEAL].value.len > 2 ? want[LLM_GP_SEAL].value
                                              : LLM_NOSTR;

    if (want[LLM_GP_CALL].kind == LLM_JSON_OBJECT) {
        llm_gemini_call(r, want[LLM_GP_CALL].value, seal);
        return;
    }

    if (want[LLM_GP_TEXT].kind == LLM_JSON_STRING
        && want[LLM_GP_TEXT].value.len > 2)
    {
        llm_gemini_put_text(r, want[LLM_GP_THOUGHT].kind == LLM_JSON_TRUE
                               ? LLM_DELTA_REASONING : LLM_DELTA_TEXT,
                            want[LLM_GP_TEXT].value);
    }

    if (seal.len) {
        llm_gemini_put_text(r, LLM_DELTA_SEAL, seal);
    }
}


static void
llm_gemini_read_finish(llm_gemini_reader_t *r, const llm_json_want_t *reason)
{
    uint64_t     bit;
    llm_str_t    word;
    llm_delta_t  p;

    bit = 1ULL << r->choice;
    word = llm_openai_word(reason->kind, reason->value);

    if (reason->kind != LLM_JSON_STRING || word.len == 0
        || (r->s->finished & bit)
        || llm_str_eq(word, LLM_STR("FINISH_REASON_UNSPECIFIED")))
    {
        return;
    }

    r->s->finished |= bit;
    r->content = 1;

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_FINISH;
    p.finish = llm_gemini_finish(word);

    if (p.finish == LLM_FINISH_STOP && r->s->called[r->choice]) {
        p.finish = LLM_FINISH_CALLS;
    }

    llm_gemini_put(r, &p);
}


static void
llm_gemini_read_logprobs(llm_gemini_reader_t *r,
    const llm_json_want_t *result)
{
    llm_delta_t  p;

    if (result->kind != LLM_JSON_OBJECT) {
        return;
    }

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_LOGPROBS;
    p.object = result->value;
    llm_gemini_put(r, &p);
}


static void
llm_gemini_read_candidate(llm_gemini_reader_t *r, llm_str_t candidate,
    uint64_t place)
{
    llm_json_iter_t    it;
    llm_json_member_t  parts, m;
    llm_json_want_t    want[] = {
        { .name = LLM_STR("index") }, { .name = LLM_STR("content") },
        { .name = LLM_STR("finishReason") },
        { .name = LLM_STR("logprobsResult") }
    };

    if (llm_openai_pick(candidate, want, 4) != LLM_OK) {
        return;
    }

    /* an index may be left out: its place in the array, then */

    if (want[0].kind == LLM_JSON_NUMBER) {
        (void) llm_json_uint(want[0].value, &place);
    }

    if (place >= LLM_STREAM_CHOICES) {
        /* more cannot be asked for */
        return;
    }

    r->choice = (uint32_t) place;
    r->s->choices |= 1ULL << place;

    if (want[1].kind == LLM_JSON_OBJECT
        && llm_json_get(want[1].value, LLM_STR("parts"), &parts) == LLM_OK
        && llm_json_begin(&it, parts.value) == LLM_OK)
    {
        while (llm_json_next(&it, &m) == LLM_OK) {
            llm_gemini_read_part(r, m.value);
        }
    }

    llm_gemini_read_logprobs(r, &want[3]);
    llm_gemini_read_finish(r, &want[2]);
}


static void
llm_gemini_begin(llm_gemini_reader_t *r, const llm_json_want_t *want)
{
    llm_delta_t  p;

    if (r->s->block == LLM_GEMINI_BEGUN) {
        return;
    }

    r->s->block = LLM_GEMINI_BEGUN;

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_START;
    p.id = want[LLM_GA_ID].value;
    p.model = want[LLM_GA_MODEL].value;
    llm_gemini_put(r, &p);
}


llm_event_t
llm_gemini_read(llm_stream_t *s, const llm_json_want_t *want,
    const llm_sink_t *sink)
{
    uint64_t             n;
    llm_delta_t          p;
    llm_json_iter_t      it;
    llm_json_member_t    m;
    llm_gemini_reader_t  r;

    memset(&r, 0, sizeof(llm_gemini_reader_t));
    r.s = s;
    r.sink = sink;
    r.id = llm_openai_word(want[LLM_GA_ID].kind, want[LLM_GA_ID].value);

    llm_gemini_begin(&r, want);

    if (want[LLM_GA_CANDIDATES].kind == LLM_JSON_ARRAY
        && llm_json_begin(&it, want[LLM_GA_CANDIDATES].value) == LLM_OK)
    {
        for (n = 0; llm_json_next(&it, &m) == LLM_OK; n++) {
            llm_gemini_read_candidate(&r, m.value, n);
        }
    }

    if (want[LLM_GA_USAGE].kind == LLM_JSON_OBJECT) {
        memset(&p, 0, sizeof(llm_delta_t));
        p.kind = LLM_DELTA_USAGE;
        llm_usage_init(&p.usage);
        llm_gemini_usage(want[LLM_GA_USAGE].value, &p.usage);
        llm_usage_merge(&s->usage, &p.usage);
        p.usage = s->usage;
        llm_gemini_put(&r, &p);
    }

    s->content |= r.content;

    return r.content ? LLM_EVENT_CONTENT : LLM_EVENT_PREFACE;
}


static llm_event_t
llm_gemini_stream_error(llm_stream_t *s, llm_class_t class)
{
    s->error = class;

    return LLM_EVENT_ERROR;
}


/* An event without data: mostly a comment; but Google's servers end a stream
 * that failed with an error as it is, alone or in an array. */
static llm_event_t
llm_gemini_bare(llm_stream_t *s, llm_str_t raw, llm_buf_t *mem)
{
    llm_json_iter_t     it;
    llm_json_member_t   m;
    llm_openai_error_t  e;

    if (llm_json_begin(&it, raw) != LLM_OK) {
        return LLM_EVENT_PREFACE;
    }

    if (it.close == ']' && llm_json_next(&it, &m) == LLM_OK) {
        raw = m.value;
    }

    if (llm_json_get(raw, LLM_STR("error"), &m) != LLM_OK
        || !llm_openai_truthy(m.kind, m.value))
    {
        return LLM_EVENT_PREFACE;
    }

    llm_openai_error_value(m.value, &e);

    return llm_gemini_stream_error(s, llm_openai_error_hidden(&e, mem,
                                                              &s->message));
}


llm_event_t
llm_gemini_stream(llm_stream_t *s, const llm_sse_event_t *ev, llm_buf_t *mem,
    const llm_sink_t *sink)
{
    llm_str_t           reason;
    llm_json_want_t     want[LLM_GA_COUNT];
    llm_openai_error_t  e;

    s->events++;

    if (!ev->has_data) {
        return llm_gemini_bare(s, ev->raw, mem);
    }

    if (ev->data.len == 0
        || (ev->data.len >= 6 && memcmp(ev->data.data, "[DONE]", 6) == 0))
    {
        /* not Google's: the end is told by a finish reason */
        return LLM_EVENT_PREFACE;
    }

    if (llm_gemini_pick(ev->data, want) != LLM_OK) {
        s->malformed++;
        return LLM_EVENT_MALFORMED;
    }

    if (llm_openai_truthy(want[LLM_GA_ERROR].kind, want[LLM_GA_ERROR].value)) {
        llm_openai_error_value(want[LLM_GA_ERROR].value, &e);
        return llm_gemini_stream_error(s, llm_openai_error_hidden(&e, mem,
                                                             &s->message));
    }

    reason = llm_gemini_blocked(want);

    if (reason.len) {
        s->message = llm_gemini_blocked_message(reason, mem);
        return llm_gemini_stream_error(s, LLM_CLASS_CONTENT_FILTER);
    }

    return llm_gemini_read(s, want, sink);
}


llm_event_t
llm_gemini_event(llm_stream_t *s, const llm_sse_event_t *ev, llm_buf_t *mem)
{
    return llm_gemini_stream(s, ev, mem, NULL);
}


void
llm_gemini_tell(const llm_json_want_t *want, const llm_sink_t *sink)
{
    llm_stream_t  s;

    llm_stream_init(&s, LLM_EP_CHAT);
    (void) llm_gemini_read(&s, want, sink);
    llm_delta_text(sink, LLM_DELTA_END, LLM_NOSTR);
}


void
llm_gemini_deltas(llm_str_t body, const llm_sink_t *sink)
{
    llm_json_want_t  want[LLM_GA_COUNT];

    if (llm_gemini_pick(body, want) == LLM_OK) {
        llm_gemini_tell(want, sink);
    }
}
