/*
 * A request in the hub's form as a body of Anthropic's Messages endpoint: all
 * members but the conversation itself.
 */

#include "llm_anthropic.h"

#define LLM_MAX_TOKENS   4096           /* the member is required there */
#define LLM_BUDGET_LOW   1024

#define LLM_MODE_NONE     0
#define LLM_MODE_EFFORT   1             /* the model decides how long */
#define LLM_MODE_BUDGET   2             /* models that want a number */
#define LLM_MODE_OFF      3


/* What is decided before anything is written. */
typedef struct {
    llm_hub_t   *hub;
    llm_buf_t   *out;
    llm_loss_t  *loss;
    llm_str_t    effort;                /* a word, or empty */
    llm_str_t    schema;                /* raw, or empty */
    llm_str_t    instruction;           /* what the model is told instead, */
    llm_str_t    told;                  /*   and the schema behind it */
    llm_str_t    thinking;              /* raw, of the hub's own member */
    uint64_t     budget;
    unsigned     mode:2;
    int          forced;                /* a tool has to be called */
    llm_talk_t   talk;
    unsigned     no_sampling:1;         /* version or model takes none */
} llm_ask_t;


static void
llm_ask_effort(llm_ask_t *a, llm_str_t raw)
{
    size_t  i;

    static const struct {
        llm_str_t  word, effort;
        uint64_t   budget;
    } efforts[] = {
        { LLM_STR("minimal"), LLM_STR("low"), LLM_BUDGET_LOW },
        { LLM_STR("low"), LLM_STR("low"), LLM_BUDGET_LOW },
        { LLM_STR("medium"), LLM_STR("medium"), 2 * LLM_BUDGET_LOW },
        { LLM_STR("high"), LLM_STR("high"), 4 * LLM_BUDGET_LOW },
        { LLM_STR("xhigh"), LLM_STR("xhigh"), 8 * LLM_BUDGET_LOW },
        { LLM_STR("max"), LLM_STR("max"), 16 * LLM_BUDGET_LOW }
    };

    if (llm_hub_is(raw, LLM_STR("none"))) {
        a->mode = LLM_MODE_OFF;
        return;
    }

    for (i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {

        if (llm_hub_is(raw, efforts[i].word)) {
            a->effort = efforts[i].effort;
            a->budget = efforts[i].budget;
            a->mode = llm_anthropic_takes_budget(a->hub->model)
                      ? LLM_MODE_BUDGET : LLM_MODE_EFFORT;
            return;
        }
    }

    llm_loss_add(a->loss, LLM_STR("reasoning_effort"));
}


/* {"type":"enabled","budget_tokens":n} */
static int
llm_ask_enabled(llm_str_t thinking)
{
    llm_json_member_t  m;

    return llm_json_get(thinking, LLM_STR("type"), &m) == LLM_OK
           && llm_hub_is(m.value, LLM_STR("enabled"));
}


/* How the model is to think: by the hub's own member, else by an effort.  Who
 * thinks by a number of tokens refuses results of a call that is not preceded
 * by what it thought, which most clients do not send back. */
static void
llm_ask_thinking(llm_ask_t *a)
{
    const llm_json_want_t  *w;

    w = llm_hub_get(a->hub, LLM_H_THINKING);

    if (w && w->kind == LLM_JSON_OBJECT) {

        if (a->talk.unthought && llm_ask_enabled(w->value)) {
            llm_loss_add(a->loss, LLM_STR("thinking"));
        } else {
            a->thinking = w->value;
        }
    }

    w = llm_hub_get(a->hub, LLM_H_REASONING_EFFORT);

    if (w) {
        llm_ask_effort(a, w->value);
    }

    if (a->thinking.len == 0
        && ((a->forced && (a->mode == LLM_MODE_EFFORT
                           || a->mode == LLM_MODE_BUDGET))
            || (a->talk.unthought && a->mode == LLM_MODE_BUDGET)))
    {
        /* nor may somebody think first who has to call a tool */
        a->mode = LLM_MODE_NONE;
        llm_loss_add(a->loss, LLM_STR("reasoning_effort"));
    }
}


/* A form for the answer: models that have none are told what is wanted.  A tool
 * that has to be called would be surer, but cannot stand beside tools of the
 * client's or beside thinking. */
static void
llm_ask_format(llm_ask_t *a)
{
    llm_json_member_t       type, m;
    const llm_json_want_t  *w;

    w = llm_hub_get(a->hub, LLM_H_RESPONSE_FORMAT);

    if (w == NULL || w->kind != LLM_JSON_OBJECT
        || llm_json_get(w->value, LLM_STR("type"), &type) != LLM_OK
        || llm_hub_is(type.value, LLM_STR("text")))
    {
        return;
    }

    if (llm_hub_is(type.value, LLM_STR("json_schema"))
        && llm_json_get(w->value, LLM_STR("json_schema"), &m) == LLM_OK
        && llm_json_get(m.value, LLM_STR("schema"), &m) == LLM_OK
        && m.kind == LLM_JSON_OBJECT)
    {
        if (llm_anthropic_takes_schema(a->hub->model)) {
            a->schema = m.value;
            return;
        }

        a->told = m.value;
        a->instruction = LLM_STR("Answer with one JSON value that is valid "
                                 "against the schema below and nothing else: "
                                 "no explanation, no code fence.\n\n");
        return;
    }

    a->instruction = LLM_STR("Answer with one JSON object and nothing else: "
                             "no explanation, no code fence.");
}


/* ---- numbers and lists ------------------------------------------------- */


static void
llm_ask_max_tokens(llm_ask_t *a)
{
    uint64_t                n;
    const llm_json_want_t  *w, *old;

    w = llm_hub_get(a->hub, LLM_H_MAX_COMPLETION_TOKENS);
    old = llm_hub_get(a->hub, LLM_H_MAX_TOKENS);

    if (w == NULL) {
        w = old;
    }

    if (w == NULL || llm_json_uint(w->value, &n) != LLM_OK) {
        n = LLM_MAX_TOKENS;
    }

    if (a->mode == LLM_MODE_BUDGET && a->thinking.len == 0
        && n < UINT64_MAX - a->budget)
    {
        /* the budget is part of it, and what is left is the answer */
        n += a->budget;
    }

    llm_buf_str(a->out, LLM_STR(",\"max_tokens\":"));
    llm_json_put_uint(a->out, n);
}


/* temperature, top_p, top_k: not beside thinking, not in every version and
 * model, and the first two not together. */
static void
llm_ask_sampling(llm_ask_t *a)
{
    uint64_t                n;
    unsigned                none;
    const llm_json_want_t  *temperature, *w;

    none = a->no_sampling || a->thinking.len || a->mode == LLM_MODE_EFFORT
           || a->mode == LLM_MODE_BUDGET;

    temperature = llm_hub_get(a->hub, LLM_H_TEMPERATURE);

    if (temperature && temperature->kind != LLM_JSON_NUMBER) {
        temperature = NULL;
    }

    if (temperature && none) {

        /* 1 is what it is anyway */

        if (llm_json_scaled(temperature->value, 6, &n) != LLM_OK
            || n != 1000000)
        {
            llm_loss_add(a->loss, LLM_STR("temperature"));
        }

    } else if (temperature) {
        if (llm_json_scaled(temperature->value, 6, &n) == LLM_OK
            && n > 1000000)
        {
            llm_hub_put_member(a->out, LLM_STR("temperature"), LLM_STR("1"));

        } else {
            llm_hub_put_member(a->out, LLM_STR("temperature"),
                               temperature->value);
        }
    }

    w = llm_hub_get(a->hub, LLM_H_TOP_P);

    if (w && w->kind == LLM_JSON_NUMBER) {
        if (none || temperature) {
            llm_loss_add(a->loss, LLM_STR("top_p"));
        } else {
            llm_hub_put_member(a->out, LLM_STR("top_p"), w->value);
        }
    }

    w = llm_hub_get(a->hub, LLM_H_TOP_K);

    if (w && w->kind == LLM_JSON_NUMBER) {
        if (none) {
            llm_loss_add(a->loss, LLM_STR("top_k"));
        } else {
            llm_hub_put_member(a->out, LLM_STR("top_k"), w->value);
        }
    }
}


/* Entries of nothing but white space are refused there. */
static void
llm_ask_stop(llm_ask_t *a)
{
    size_t                  n;
    llm_json_iter_t         it;
    llm_json_member_t       m;
    const llm_json_want_t  *w;

    w = llm_hub_get(a->hub, LLM_H_STOP);

    if (w == NULL) {
        return;
    }

    if (w->kind == LLM_JSON_STRING) {

        if (!llm_hub_blank(w->value)) {
            llm_hub_put_member(a->out, LLM_STR("stop_sequences"),
                               LLM_STR("["));
            llm_buf_str(a->out, w->value);
            llm_buf_str(a->out, LLM_STR("]"));
        }

        return;
    }

    if (llm_json_begin(&it, w->value) != LLM_OK || it.close != ']') {
        return;
    }

    for (n = 0; llm_json_next(&it, &m) == LLM_OK; /* void */) {

        if (m.kind != LLM_JSON_STRING || llm_hub_blank(m.value)) {
            continue;
        }

        if (n++ == 0) {
            llm_hub_put_member(a->out, LLM_STR("stop_sequences"),
                               LLM_STR("["));
        } else {
            llm_buf_str(a->out, LLM_STR(","));
        }

        llm_buf_str(a->out, m.value);
    }

    if (n) {
        llm_buf_str(a->out, LLM_STR("]"));
    }
}


static void
llm_ask_output(llm_ask_t *a)
{
    int  effort;

    if (a->thinking.len) {
        llm_hub_put_member(a->out, LLM_STR("thinking"), a->thinking);

    } else if (a->mode == LLM_MODE_EFFORT) {
        llm_hub_put_member(a->out, LLM_STR("thinking"),
                           LLM_STR("{\"type\":\"adaptive\"}"));

    } else if (a->mode == LLM_MODE_BUDGET) {
        llm_hub_put_member(a->out, LLM_STR("thinking"),
                           LLM_STR("{\"type\":\"enabled\",\"budget_tokens\":"));
        llm_json_put_uint(a->out, a->budget);
        llm_buf_str(a->out, LLM_STR("}"));

    } else if (a->mode == LLM_MODE_OFF) {
        llm_hub_put_member(a->out, LLM_STR("thinking"),
                           LLM_STR("{\"type\":\"disabled\"}"));
    }

    effort = a->mode == LLM_MODE_EFFORT;

    if (!effort && a->schema.len == 0) {
        return;
    }

    llm_hub_put_member(a->out, LLM_STR("output_config"), LLM_STR("{"));

    if (effort) {
        llm_buf_str(a->out, LLM_STR("\"effort\":\""));
        llm_buf_str(a->out, a->effort);
        llm_buf_str(a->out, a->schema.len ? LLM_STR("\",") : LLM_STR("\""));
    }

    if (a->schema.len) {
        llm_buf_str(a->out, LLM_STR("\"format\":{\"type\":\"json_schema\","
                                    "\"schema\":"));
        llm_anthropic_schema(a->schema, a->out);
        llm_buf_str(a->out, LLM_STR("}"));
    }

    llm_buf_str(a->out, LLM_STR("}"));
}


/* Who asks, by an id: an address or a number of a person must not be sent. */
static void
llm_ask_user(llm_ask_t *a)
{
    const llm_json_want_t  *w, *old;

    w = llm_hub_get(a->hub, LLM_H_SAFETY_IDENTIFIER);
    old = llm_hub_get(a->hub, LLM_H_USER);

    if (w == NULL) {
        w = old;
    }

    if (w == NULL || w->kind != LLM_JSON_STRING || w->value.len <= 2) {
        return;
    }

    if (memchr(w->value.data, '@', w->value.len)) {
        llm_loss_add(a->loss, LLM_STR("user"));
        return;
    }

    llm_hub_put_member(a->out, LLM_STR("metadata"), LLM_STR("{\"user_id\":"));
    llm_buf_str(a->out, w->value);
    llm_buf_str(a->out, LLM_STR("}"));
}


static void
llm_ask_tier(llm_ask_t *a)
{
    const llm_json_want_t  *w;

    w = llm_hub_get(a->hub, LLM_H_SERVICE_TIER);

    if (w == NULL) {
        return;
    }

    if (llm_hub_is(w->value, LLM_STR("auto"))) {
        llm_hub_put_member(a->out, LLM_STR("service_tier"),
                           LLM_STR("\"auto\""));

    } else if (llm_hub_is(w->value, LLM_STR("default"))) {
        llm_hub_put_member(a->out, LLM_STR("service_tier"),
                           LLM_STR("\"standard_only\""));

    } else {
        llm_loss_add(a->loss, LLM_STR("service_tier"));
    }
}


/* What cannot be left out without asking for something else. */
static llm_rc_t
llm_ask_check(llm_ask_t *a)
{
    uint64_t                n;
    const llm_json_want_t  *w;

    w = llm_hub_get(a->hub, LLM_H_N);

    if (w && llm_json_uint(w->value, &n) == LLM_OK && n > 1
        && llm_hub_cannot(a->hub, a->loss, LLM_STR("n"),
                   LLM_STR("This provider gives one choice at a time."))
           != LLM_OK)
    {
        return LLM_NONE;
    }

    w = llm_hub_get(a->hub, LLM_H_MODALITIES);

    if (w && llm_openai_has(w->value, LLM_STR("audio"))) {
        return llm_hub_cannot(a->hub, a->loss, LLM_STR("modalities"),
                      LLM_STR("This provider does not speak."));
    }

    return LLM_OK;
}


llm_rc_t
llm_anthropic_request(llm_hub_t *h, llm_buf_t *out, llm_loss_t *loss)
{
    llm_rc_t   rc;
    llm_str_t  messages;
    llm_ask_t  a;

    memset(&a, 0, sizeof(llm_ask_t));
    a.hub = h;
    a.out = out;
    a.loss = loss;
    a.no_sampling = !llm_anthropic_takes_sampling(h->model)
                    || (h->version.len
                        && !llm_str_eq(h->version, LLM_STR("2023-06-01")));

    messages = h->member[LLM_H_MESSAGES].value;

    rc = llm_ask_check(&a);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_ask_format(&a);

    llm_buf_str(out, LLM_STR("{\"messages\":["));

    rc = llm_anthropic_messages(messages, out, loss, &a.talk);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_buf_str(out, LLM_STR("]"));

    rc = llm_anthropic_system(messages, a.talk.system, a.instruction, a.told,
                              out, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    rc = llm_anthropic_tools(h, out, loss, &a.forced);
    if (rc != LLM_OK) {
        return rc;
    }

    llm_ask_thinking(&a);

    llm_buf_str(out, LLM_STR(",\"model\":"));
    llm_json_put_string(out, h->model);

    llm_ask_max_tokens(&a);
    llm_ask_sampling(&a);
    llm_ask_stop(&a);
    llm_ask_output(&a);
    llm_ask_user(&a);
    llm_ask_tier(&a);

    if (h->stream) {
        llm_hub_put_member(out, LLM_STR("stream"), LLM_STR("true"));
    }

    llm_buf_str(out, LLM_STR("}"));
    llm_hub_rest(h, loss);

    return out->full ? LLM_FULL : LLM_OK;
}
