/*
 * The deltas of OpenAI's chat answers, whole and event by event, for clients of
 * other dialects.
 *
 * Compatible servers differ most in calls of tools: all of a call at once, its
 * id and name in every piece, index 0 for each of them.  A call begins where
 * an index is new, or where an id is another one than before.
 */

#include "llm_hash.h"
#include "llm_openai.h"

#define LLM_CALL_ID  16                 /* "call_4294967295", quoted below */

/* llm_stream_t.block */
#define LLM_ST_STARTED  1
#define LLM_ST_REUSED   2               /* indexes of calls tell nothing */

enum { LLM_CT_ID, LLM_CT_MODEL, LLM_CT_CHOICES, LLM_CT_COUNT };

enum { LLM_CM_REASONING_CONTENT, LLM_CM_REASONING, LLM_CM_CONTENT,
       LLM_CM_REFUSAL, LLM_CM_TOOL_CALLS, LLM_CM_COUNT };


/* One choice on its way. */
typedef struct {
    llm_stream_t      *s;
    const llm_sink_t  *sink;
    uint32_t           choice;
} llm_teller_t;


static const llm_json_want_t  llm_top_want[LLM_CT_COUNT] = {
    [LLM_CT_ID] = { .name = LLM_STR("id") },
    [LLM_CT_MODEL] = { .name = LLM_STR("model") },
    [LLM_CT_CHOICES] = { .name = LLM_STR("choices") }
};

static const llm_json_want_t  llm_said_want[LLM_CM_COUNT] = {
    [LLM_CM_REASONING_CONTENT] = { .name = LLM_STR("reasoning_content") },
    [LLM_CM_REASONING] = { .name = LLM_STR("reasoning") },
    [LLM_CM_CONTENT] = { .name = LLM_STR("content") },
    [LLM_CM_REFUSAL] = { .name = LLM_STR("refusal") },
    [LLM_CM_TOOL_CALLS] = { .name = LLM_STR("tool_calls") }
};


static void
llm_teller_put(const llm_teller_t *t, llm_delta_t *p)
{
    p->choice = t->choice;
    t->sink->put(t->sink->data, p);
}


/* A text that says something; 1: it did. */
static int
llm_teller_text(const llm_teller_t *t, llm_delta_kind_t kind,
    llm_json_kind_t is, llm_str_t text)
{
    llm_delta_t  p;

    if (is != LLM_JSON_STRING || text.len <= 2) {
        return 0;
    }

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = kind;
    p.text = text;
    llm_teller_put(t, &p);

    return 1;
}


/* Content as parts: {"type":"text","text"}, {"type":"thinking","thinking":[…]},
 * as Mistral's models that reason have it. */
static void
llm_teller_parts(const llm_teller_t *t, llm_delta_kind_t kind, llm_str_t parts,
    unsigned depth)
{
    llm_json_iter_t    it;
    llm_json_member_t  m, part;

    if (llm_json_begin(&it, parts) != LLM_OK || it.close != ']') {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_json_get(m.value, LLM_STR("text"), &part) == LLM_OK) {
            (void) llm_teller_text(t, kind, part.kind, part.value);

        } else if (depth == 0
                   && llm_json_get(m.value, LLM_STR("thinking"), &part)
                      == LLM_OK)
        {
            llm_teller_parts(t, LLM_DELTA_REASONING, part.value, 1);
        }
    }
}


static void
llm_teller_begin(llm_teller_t *t, const llm_json_want_t *id, llm_str_t name)
{
    llm_buf_t      made;
    llm_delta_t    p;
    unsigned char  mem[LLM_CALL_ID + 2];

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_CALL;
    p.call = t->s->calls++;
    p.name = name;

    if (id->kind == LLM_JSON_STRING && id->value.len > 2) {
        p.id = id->value;
        t->s->count[0] = llm_fnv64(id->value, 0);

    } else {
        llm_buf_init(&made, mem, sizeof(mem));
        llm_buf_str(&made, LLM_STR("\"call_"));
        llm_json_put_uint(&made, p.call);
        llm_buf_str(&made, LLM_STR("\""));
        p.id = llm_buf_view(&made);
        t->s->count[0] = LLM_UNKNOWN;
    }

    llm_teller_put(t, &p);
}


/* Whether a piece begins a call: it has a name, and is not of one begun. */
static int
llm_teller_is_new(llm_teller_t *t, uint64_t index, const llm_json_want_t *id,
    const llm_json_want_t *name)
{
    if (name->kind != LLM_JSON_STRING || name->value.len <= 2) {
        return 0;
    }

    if (index >= t->s->calls && !(t->s->block & LLM_ST_REUSED)) {
        return 1;
    }

    if (id->kind != LLM_JSON_STRING || id->value.len <= 2
        || t->s->count[0] == llm_fnv64(id->value, 0))
    {
        return 0;
    }

    if (index + 1 < t->s->calls && !(t->s->block & LLM_ST_REUSED)) {
        /* more of an earlier one that repeats its id */
        return 0;
    }

    t->s->block |= LLM_ST_REUSED;

    return 1;
}


static void
llm_teller_call(llm_teller_t *t, llm_str_t call, uint64_t index)
{
    uint64_t         n;
    llm_delta_t      p;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("index") }, { .name = LLM_STR("id") },
        { .name = LLM_STR("function") }
    };
    llm_json_want_t  function[] = {
        { .name = LLM_STR("name") }, { .name = LLM_STR("arguments") }
    };

    if (llm_openai_pick(call, want, 3) != LLM_OK
        || want[2].kind != LLM_JSON_OBJECT
        || llm_openai_pick(want[2].value, function, 2) != LLM_OK)
    {
        return;
    }

    if (want[0].kind == LLM_JSON_NUMBER
        && llm_json_uint(want[0].value, &n) == LLM_OK)
    {
        index = n;
    }

    if (llm_teller_is_new(t, index, &want[1], &function[0])) {
        llm_teller_begin(t, &want[1], function[0].value);
    }

    if (t->s->calls == 0) {
        return;
    }

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_ARGUMENTS;
    p.call = t->s->calls - 1;

    if (!(t->s->block & LLM_ST_REUSED) && index < p.call) {
        p.call = (uint32_t) index;
    }

    if (function[1].kind == LLM_JSON_OBJECT) {
        p.object = function[1].value;
        llm_teller_put(t, &p);

    } else if (function[1].kind == LLM_JSON_STRING
               && function[1].value.len > 2)
    {
        p.text = function[1].value;
        llm_teller_put(t, &p);
    }
}


/* A "delta" or a "message". */
static void
llm_teller_said(llm_teller_t *t, llm_str_t said)
{
    uint64_t           n;
    llm_json_iter_t    it;
    llm_json_want_t    want[LLM_CM_COUNT];
    llm_json_member_t  m;

    memcpy(want, llm_said_want, sizeof(want));

    if (llm_openai_pick(said, want, LLM_CM_COUNT) != LLM_OK) {
        return;
    }

    /* some servers give the same text under both names */

    if (!llm_teller_text(t, LLM_DELTA_REASONING,
                         want[LLM_CM_REASONING_CONTENT].kind,
                         want[LLM_CM_REASONING_CONTENT].value))
    {
        (void) llm_teller_text(t, LLM_DELTA_REASONING,
                               want[LLM_CM_REASONING].kind,
                               want[LLM_CM_REASONING].value);
    }

    (void) llm_teller_text(t, LLM_DELTA_TEXT, want[LLM_CM_CONTENT].kind,
                           want[LLM_CM_CONTENT].value);
    llm_teller_parts(t, LLM_DELTA_TEXT, want[LLM_CM_CONTENT].value, 0);
    (void) llm_teller_text(t, LLM_DELTA_REFUSAL, want[LLM_CM_REFUSAL].kind,
                           want[LLM_CM_REFUSAL].value);

    if (want[LLM_CM_TOOL_CALLS].kind == LLM_JSON_ARRAY
        && llm_json_begin(&it, want[LLM_CM_TOOL_CALLS].value) == LLM_OK)
    {
        for (n = 0; llm_json_next(&it, &m) == LLM_OK; n++) {
            llm_teller_call(t, m.value, n);
        }
    }
}


static llm_finish_t
llm_teller_reason(llm_str_t reason)
{
    if (llm_str_eq(reason, LLM_STR("\"length\""))) {
        return LLM_FINISH_LENGTH;
    }

    if (llm_str_eq(reason, LLM_STR("\"tool_calls\""))
        || llm_str_eq(reason, LLM_STR("\"function_call\"")))
    {
        return LLM_FINISH_CALLS;
    }

    return llm_str_eq(reason, LLM_STR("\"content_filter\""))
           ? LLM_FINISH_FILTER : LLM_FINISH_STOP;
}


static void
llm_teller_choice(llm_teller_t *t, llm_str_t choice)
{
    uint64_t         n;
    llm_delta_t      p;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("index") }, { .name = LLM_STR("delta") },
        { .name = LLM_STR("message") }, { .name = LLM_STR("finish_reason") },
        { .name = LLM_STR("stop_reason") }
    };

    if (llm_openai_pick(choice, want, 5) != LLM_OK) {
        return;
    }

    t->choice = 0;

    if (llm_json_uint(want[0].value, &n) == LLM_OK && n < UINT32_MAX) {
        t->choice = (uint32_t) n;
    }

    llm_teller_said(t, want[want[1].kind == LLM_JSON_OBJECT ? 1 : 2].value);

    if (want[3].kind == LLM_JSON_STRING && want[3].value.len > 2) {
        memset(&p, 0, sizeof(llm_delta_t));
        p.kind = LLM_DELTA_FINISH;
        p.finish = llm_teller_reason(want[3].value);

        if (p.finish == LLM_FINISH_STOP && want[4].kind == LLM_JSON_STRING
            && want[4].value.len > 2)
        {
            /* vLLM tells the string that stopped it */
            p.finish = LLM_FINISH_STRING;
            p.text = want[4].value;
        }

        llm_teller_put(t, &p);
    }
}


static void
llm_teller_choices(llm_teller_t *t, const llm_json_want_t *choices)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (choices->kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, choices->value) != LLM_OK)
    {
        return;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        llm_teller_choice(t, m.value);
    }
}


static void
llm_teller_start(const llm_teller_t *t, const llm_json_want_t *want)
{
    llm_delta_t  p;

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_START;
    p.id = want[LLM_CT_ID].value;
    p.model = want[LLM_CT_MODEL].value;

    t->sink->put(t->sink->data, &p);
}


static void
llm_teller_usage(const llm_teller_t *t)
{
    llm_delta_t  p;

    memset(&p, 0, sizeof(llm_delta_t));
    p.kind = LLM_DELTA_USAGE;
    p.usage = t->s->usage;

    t->sink->put(t->sink->data, &p);
}


void
llm_openai_deltas(llm_str_t body, const llm_sink_t *sink)
{
    llm_stream_t     s;
    llm_teller_t     t;
    llm_json_want_t  want[LLM_CT_COUNT + 1];

    memcpy(want, llm_top_want, sizeof(llm_top_want));
    memset(&want[LLM_CT_COUNT], 0, sizeof(llm_json_want_t));
    want[LLM_CT_COUNT].name = LLM_STR("usage");

    if (llm_openai_pick(body, want, LLM_CT_COUNT + 1) != LLM_OK) {
        return;
    }

    llm_stream_init(&s, LLM_EP_CHAT);
    t.s = &s;
    t.sink = sink;
    t.choice = 0;

    llm_teller_start(&t, want);
    llm_teller_choices(&t, &want[LLM_CT_CHOICES]);

    llm_openai_usage(want[LLM_CT_COUNT].value, &s.usage);
    llm_teller_usage(&t);
    llm_delta_text(sink, LLM_DELTA_END, LLM_NOSTR);
}


llm_event_t
llm_openai_stream(llm_stream_t *s, const llm_sse_event_t *ev, llm_buf_t *mem,
    const llm_sink_t *sink)
{
    unsigned         done;
    llm_event_t      verdict;
    llm_usage_t      usage;
    llm_teller_t     t;
    llm_json_want_t  want[LLM_CT_COUNT];

    done = s->done;
    usage = s->usage;

    verdict = llm_openai_event(s, ev, mem);

    if (sink == NULL || done || ev->data.len == 0
        || verdict == LLM_EVENT_ERROR || verdict == LLM_EVENT_MALFORMED)
    {
        return verdict;
    }

    if (verdict == LLM_EVENT_DONE) {
        llm_delta_text(sink, LLM_DELTA_END, LLM_NOSTR);
        return verdict;
    }

    memcpy(want, llm_top_want, sizeof(want));

    if (llm_openai_pick(ev->data, want, LLM_CT_COUNT) != LLM_OK) {
        return verdict;
    }

    t.s = s;
    t.sink = sink;
    t.choice = 0;

    /* Azure's first chunk is about filters and has no name of a model */

    if (!(s->block & LLM_ST_STARTED) && want[LLM_CT_MODEL].value.len > 2) {
        s->block |= LLM_ST_STARTED;
        llm_teller_start(&t, want);
    }

    llm_teller_choices(&t, &want[LLM_CT_CHOICES]);

    if (memcmp(&usage, &s->usage, sizeof(llm_usage_t)) != 0) {
        llm_teller_usage(&t);
    }

    return verdict;
}
