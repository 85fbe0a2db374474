/*
 * A request in the hub's form as a body of generateContent: all members but the
 * conversation itself.
 */

#include "llm_gemini.h"

#define LLM_GEN_CHOICES  LLM_STREAM_CHOICES    /* of one request */
#define LLM_GEN_STOPS    5
#define LLM_GEN_LEVELS   35             /* generations that think by a level */
#define LLM_GEN_BUDGETS  25             /* … and by a number of tokens */
#define LLM_GEN_SEED     INT32_MAX


typedef struct {
    llm_hub_t   *hub;
    llm_buf_t   *out;
    llm_loss_t  *loss;
    size_t       n;                     /* members of generationConfig */
    unsigned     generation;
    unsigned     tools:1;               /* some go out */
} llm_gen_t;


/* ---- tools ------------------------------------------------------------- */


static llm_rc_t
llm_gen_tool(llm_gen_t *g, llm_str_t tool)
{
    llm_buf_t         *out;
    llm_json_member_t  m;
    llm_json_want_t    function[] = {
        { .name = LLM_STR("name") }, { .name = LLM_STR("description") },
        { .name = LLM_STR("parameters") }
    };

    out = g->out;

    if (llm_json_get(tool, LLM_STR("function"), &m) != LLM_OK
        || m.kind != LLM_JSON_OBJECT
        || llm_openai_pick(m.value, function, 3) != LLM_OK
        || function[0].kind != LLM_JSON_STRING)
    {
        return llm_hub_cannot(g->hub, g->loss, LLM_STR("tools"),
                      LLM_STR("A tool is not a function with a name."));
    }

    llm_buf_str(out, g->tools ? LLM_STR(",{\"name\":")
                              : LLM_STR(",\"tools\":[{\"functionDeclarations\":"
                                        "[{\"name\":"));
    llm_buf_str(out, function[0].value);

    if (function[1].kind == LLM_JSON_STRING) {
        llm_buf_str(out, LLM_STR(",\"description\":"));
        llm_buf_str(out, function[1].value);
    }

    if (function[2].kind == LLM_JSON_OBJECT
        && !llm_hub_idle(LLM_JSON_OBJECT, function[2].value))
    {
        llm_buf_str(out, LLM_STR(",\"parametersJsonSchema\":"));
        llm_buf_str(out, function[2].value);
    }

    llm_buf_str(out, LLM_STR("}"));
    g->tools = 1;

    return LLM_OK;
}


static void
llm_gen_mode(llm_gen_t *g, llm_str_t mode)
{
    llm_buf_str(g->out, LLM_STR(",\"toolConfig\":{\"functionCallingConfig\":"
                                "{\"mode\":\""));
    llm_buf_str(g->out, mode);
    llm_buf_str(g->out, LLM_STR("\""));
}


/* The name of {"function":{"name":"f"}}: raw, or empty. */
static llm_str_t
llm_gen_name(llm_str_t tool)
{
    llm_json_member_t  m;

    if (llm_json_get(tool, LLM_STR("function"), &m) == LLM_OK
        && llm_json_get(m.value, LLM_STR("name"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        return m.value;
    }

    return LLM_NOSTR;
}


/* {"type":"allowed_tools","allowed_tools":{"mode":…,"tools":[…]}} */
static int
llm_gen_allowed(llm_gen_t *g, llm_str_t choice)
{
    size_t             n;
    llm_str_t          name;
    llm_json_iter_t    it;
    llm_json_member_t  allowed, m;
    llm_json_want_t    want[] = {
        { .name = LLM_STR("mode") }, { .name = LLM_STR("tools") }
    };

    if (llm_json_get(choice, LLM_STR("allowed_tools"), &allowed) != LLM_OK
        || llm_openai_pick(allowed.value, want, 2) != LLM_OK
        || want[1].kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, want[1].value) != LLM_OK)
    {
        return 0;
    }

    llm_gen_mode(g, llm_hub_is(want[0].value, LLM_STR("required"))
                    ? LLM_STR("ANY") : LLM_STR("AUTO"));
    llm_buf_str(g->out, LLM_STR(",\"allowedFunctionNames\":["));

    for (n = 0; llm_json_next(&it, &m) == LLM_OK; /* void */) {

        name = llm_gen_name(m.value);

        if (name.len) {
            llm_buf_put(g->out, ",", n++ != 0);
            llm_buf_str(g->out, name);
        }
    }

    llm_buf_str(g->out, LLM_STR("]}}"));

    return 1;
}


static llm_rc_t
llm_gen_choice(llm_gen_t *g)
{
    llm_str_t               name;
    const llm_json_want_t  *w;

    w = llm_hub_get(g->hub, LLM_H_PARALLEL_TOOL_CALLS);

    if (w && w->kind == LLM_JSON_FALSE && g->tools) {
        llm_loss_add(g->loss, LLM_STR("parallel_tool_calls"));
    }

    w = llm_hub_get(g->hub, LLM_H_TOOL_CHOICE);

    if (w == NULL || !g->tools) {
        return LLM_OK;
    }

    if (w->kind == LLM_JSON_OBJECT) {
        name = llm_gen_name(w->value);

        if (name.len) {
            llm_gen_mode(g, LLM_STR("ANY"));
            llm_buf_str(g->out, LLM_STR(",\"allowedFunctionNames\":["));
            llm_buf_str(g->out, name);
            llm_buf_str(g->out, LLM_STR("]}}"));
            return LLM_OK;
        }

        if (llm_gen_allowed(g, w->value)) {
            return LLM_OK;
        }

        return llm_hub_cannot(g->hub, g->loss, LLM_STR("tool_choice"),
                      LLM_STR("This kind of tool choice is not known to this "
                              "provider."));
    }

    llm_gen_mode(g, llm_hub_is(w->value, LLM_STR("required")) ? LLM_STR("ANY")
                    : llm_hub_is(w->value, LLM_STR("none")) ? LLM_STR("NONE")
                    : LLM_STR("AUTO"));
    llm_buf_str(g->out, LLM_STR("}}"));

    return LLM_OK;
}


static llm_rc_t
llm_gen_tools(llm_gen_t *g)
{
    llm_rc_t                rc;
    llm_json_iter_t         it;
    llm_json_member_t       m;
    const llm_json_want_t  *w;

    w = llm_hub_get(g->hub, LLM_H_TOOLS);

    if (w && w->kind == LLM_JSON_ARRAY) {

        rc = llm_json_begin(&it, w->value);

        while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {
            rc = llm_gen_tool(g, m.value);
        }

        if (rc != LLM_OK) {
            return rc;
        }

        if (g->tools) {
            llm_buf_str(g->out, LLM_STR("]}]"));
        }
    }

    return llm_gen_choice(g);
}


/* ---- generationConfig -------------------------------------------------- */


static void
llm_gen_member(llm_gen_t *g, llm_str_t name, llm_str_t value)
{
    llm_buf_str(g->out, g->n++ ? LLM_STR(",\"")
                               : LLM_STR(",\"generationConfig\":{\""));
    llm_buf_str(g->out, name);
    llm_buf_str(g->out, LLM_STR("\":"));
    llm_buf_str(g->out, value);
}


static void
llm_gen_numbers(llm_gen_t *g)
{
    size_t                  i;
    uint64_t                n;
    const llm_json_want_t  *w;

    static const struct {
        unsigned   member;
        llm_str_t  name;
    } numbers[] = {
        { LLM_H_TEMPERATURE, LLM_STR("temperature") },
        { LLM_H_TOP_P, LLM_STR("topP") },
        { LLM_H_TOP_K, LLM_STR("topK") },
        { LLM_H_SEED, LLM_STR("seed") },
        { LLM_H_PRESENCE_PENALTY, LLM_STR("presencePenalty") },
        { LLM_H_FREQUENCY_PENALTY, LLM_STR("frequencyPenalty") }
    };

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {

        w = llm_hub_get(g->hub, numbers[i].member);

        if (w == NULL || w->kind != LLM_JSON_NUMBER) {
            continue;
        }

        if (numbers[i].member == LLM_H_SEED
            && llm_json_uint(w->value, &n) == LLM_OK && n > LLM_GEN_SEED)
        {
            llm_loss_add(g->loss, LLM_STR("seed"));
            continue;
        }

        llm_gen_member(g, numbers[i].name, w->value);
    }
}


static void
llm_gen_logprobs(llm_gen_t *g)
{
    uint64_t                n;
    const llm_json_want_t  *w, *top;

    w = llm_hub_get(g->hub, LLM_H_LOGPROBS);

    if (w == NULL || w->kind != LLM_JSON_TRUE) {
        return;
    }

    llm_gen_member(g, LLM_STR("responseLogprobs"), LLM_STR("true"));

    top = llm_hub_get(g->hub, LLM_H_TOP_LOGPROBS);

    if (top && top->kind == LLM_JSON_NUMBER
        && llm_json_uint(top->value, &n) == LLM_OK && n > 0)
    {
        llm_gen_member(g, LLM_STR("logprobs"), top->value);
    }
}


static void
llm_gen_limits(llm_gen_t *g)
{
    uint64_t                n;
    const llm_json_want_t  *w, *old;

    w = llm_hub_get(g->hub, LLM_H_MAX_COMPLETION_TOKENS);
    old = llm_hub_get(g->hub, LLM_H_MAX_TOKENS);

    if (w == NULL) {
        w = old;
    }

    if (w && w->kind == LLM_JSON_NUMBER) {
        llm_gen_member(g, LLM_STR("maxOutputTokens"), w->value);
    }

    w = llm_hub_get(g->hub, LLM_H_N);

    if (w && llm_json_uint(w->value, &n) == LLM_OK && n > 1) {
        llm_gen_member(g, LLM_STR("candidateCount"), LLM_NOSTR);
        llm_json_put_uint(g->out, n < LLM_GEN_CHOICES ? n : LLM_GEN_CHOICES);
    }
}


static void
llm_gen_stop(llm_gen_t *g)
{
    size_t                  n;
    llm_json_iter_t         it;
    llm_json_member_t       m;
    const llm_json_want_t  *w;

    w = llm_hub_get(g->hub, LLM_H_STOP);

    if (w == NULL) {
        return;
    }

    if (w->kind == LLM_JSON_STRING && w->value.len > 2) {
        llm_gen_member(g, LLM_STR("stopSequences"), LLM_STR("["));
        llm_buf_str(g->out, w->value);
        llm_buf_str(g->out, LLM_STR("]"));
        return;
    }

    if (llm_json_begin(&it, w->value) != LLM_OK || it.close != ']') {
        return;
    }

    for (n = 0; llm_json_next(&it, &m) == LLM_OK; /* void */) {

        if (m.kind != LLM_JSON_STRING || m.value.len <= 2) {
            continue;
        }

        if (n == LLM_GEN_STOPS) {
            llm_loss_add(g->loss, LLM_STR("stop"));
            break;
        }

        if (n++ == 0) {
            llm_gen_member(g, LLM_STR("stopSequences"), LLM_STR("["));
        } else {
            llm_buf_str(g->out, LLM_STR(","));
        }

        llm_buf_str(g->out, m.value);
    }

    if (n) {
        llm_buf_str(g->out, LLM_STR("]"));
    }
}


static void
llm_gen_format(llm_gen_t *g)
{
    llm_json_member_t       type, m;
    const llm_json_want_t  *w;

    w = llm_hub_get(g->hub, LLM_H_RESPONSE_FORMAT);

    if (w == NULL || w->kind != LLM_JSON_OBJECT
        || llm_json_get(w->value, LLM_STR("type"), &type) != LLM_OK
        || llm_hub_is(type.value, LLM_STR("text")))
    {
        return;
    }

    llm_gen_member(g, LLM_STR("responseMimeType"),
                   LLM_STR("\"application/json\""));

    if (llm_hub_is(type.value, LLM_STR("json_schema"))
        && llm_json_get(w->value, LLM_STR("json_schema"), &m) == LLM_OK
        && llm_json_get(m.value, LLM_STR("schema"), &m) == LLM_OK
        && m.kind == LLM_JSON_OBJECT)
    {
        llm_gen_member(g, LLM_STR("responseJsonSchema"), m.value);
    }
}


/* ---- thinking ---------------------------------------------------------- */


/* How much to think, in the words of both generations. */
typedef struct {
    llm_str_t  level;                   /* empty: the model decides */
    uint64_t   budget;
    unsigned   off:1;
} llm_gen_thought_t;


static int
llm_gen_effort(llm_str_t raw, llm_gen_thought_t *t)
{
    size_t  i;

    static const struct {
        llm_str_t  word, level;
        uint64_t   budget;
    } efforts[] = {
        { LLM_STR("none"), LLM_STR("MINIMAL"), 0 },
        { LLM_STR("minimal"), LLM_STR("MINIMAL"), 1024 },
        { LLM_STR("low"), LLM_STR("LOW"), 1024 },
        { LLM_STR("medium"), LLM_STR("MEDIUM"), 8192 },
        { LLM_STR("high"), LLM_STR("HIGH"), 24576 },
        { LLM_STR("xhigh"), LLM_STR("HIGH"), 24576 },
        { LLM_STR("max"), LLM_STR("HIGH"), 24576 }
    };

    for (i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {

        if (llm_hub_is(raw, efforts[i].word)) {
            t->level = efforts[i].level;
            t->budget = efforts[i].budget;
            t->off = i == 0;
            return 1;
        }
    }

    return 0;
}


/* The hub's own member: a budget, or none at all. */
static int
llm_gen_budget(llm_str_t thinking, llm_gen_thought_t *t)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("type") }, { .name = LLM_STR("budget_tokens") }
    };

    if (llm_openai_pick(thinking, want, 2) != LLM_OK) {
        return 0;
    }

    if (llm_hub_is(want[0].value, LLM_STR("disabled"))) {
        return llm_gen_effort(LLM_STR("\"none\""), t);
    }

    if (llm_hub_is(want[0].value, LLM_STR("enabled"))
        && llm_json_uint(want[1].value, &t->budget) == LLM_OK)
    {
        t->level = t->budget <= 2048 ? LLM_STR("LOW")
                   : t->budget <= 8192 ? LLM_STR("MEDIUM")
                   : LLM_STR("HIGH");
        return 1;
    }

    return 0;
}


static void
llm_gen_thought(llm_gen_t *g, llm_gen_thought_t *t)
{
    llm_gen_member(g, LLM_STR("thinkingConfig"), LLM_STR("{"));

    if (g->generation >= LLM_GEN_LEVELS) {

        if (t->level.len) {
            llm_buf_str(g->out, LLM_STR("\"thinkingLevel\":\""));
            llm_buf_str(g->out, t->level);
            llm_buf_str(g->out, t->off ? LLM_STR("\"") : LLM_STR("\","));
        }

    } else if (t->level.len == 0) {
        llm_buf_str(g->out, LLM_STR("\"thinkingBudget\":-1,"));

    } else {
        if (t->off && llm_openai_has(g->hub->model, LLM_STR("pro"))) {
            /* the least that these can do */
            t->budget = 128;
        }

        llm_buf_str(g->out, LLM_STR("\"thinkingBudget\":"));
        llm_json_put_uint(g->out, t->budget);
        llm_buf_put(g->out, ",", !t->off);
    }

    llm_buf_str(g->out, t->off ? LLM_STR("}")
                               : LLM_STR("\"includeThoughts\":true}"));
}


static void
llm_gen_thinking(llm_gen_t *g)
{
    int                     known, asked;
    llm_gen_thought_t       t;
    const llm_json_want_t  *thinking, *effort;

    thinking = llm_hub_get(g->hub, LLM_H_THINKING);
    effort = llm_hub_get(g->hub, LLM_H_REASONING_EFFORT);

    if (thinking == NULL && effort == NULL) {
        return;
    }

    memset(&t, 0, sizeof(llm_gen_thought_t));

    known = thinking && llm_gen_budget(thinking->value, &t);
    asked = thinking != NULL;

    if (!known && effort) {
        known = llm_gen_effort(effort->value, &t);
    }

    if ((!known && !asked) || g->generation < LLM_GEN_BUDGETS) {

        if (!t.off) {
            llm_loss_add(g->loss, thinking ? LLM_STR("thinking")
                                           : LLM_STR("reasoning_effort"));
        }

        return;
    }

    llm_gen_thought(g, &t);
}


/* ---- the rest ---------------------------------------------------------- */


static void
llm_gen_tier(llm_gen_t *g)
{
    size_t                  i;
    const llm_json_want_t  *w;

    static const struct {
        llm_str_t  word, tier;
    } tiers[] = {
        { LLM_STR("default"), LLM_STR("\"standard\"") },
        { LLM_STR("flex"), LLM_STR("\"flex\"") },
        { LLM_STR("priority"), LLM_STR("\"priority\"") }
    };

    w = llm_hub_get(g->hub, LLM_H_SERVICE_TIER);

    if (w == NULL || llm_hub_is(w->value, LLM_STR("auto"))) {
        return;
    }

    for (i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        if (llm_hub_is(w->value, tiers[i].word)) {
            llm_buf_str(g->out, LLM_STR(",\"serviceTier\":"));
            llm_buf_str(g->out, tiers[i].tier);
            return;
        }
    }

    llm_loss_add(g->loss, LLM_STR("service_tier"));
}


static void
llm_gen_safety(llm_gen_t *g)
{
    const llm_json_want_t  *w;

    w = llm_hub_get(g->hub, LLM_H_SAFETY_SETTINGS);

    if (w && w->kind == LLM_JSON_ARRAY) {
        llm_buf_str(g->out, LLM_STR(",\"safetySettings\":"));
        llm_buf_str(g->out, w->value);
    }
}


/* What cannot be left out without asking for something else. */
static llm_rc_t
llm_gen_check(llm_gen_t *g)
{
    uint64_t                n;
    const llm_json_want_t  *w;

    w = llm_hub_get(g->hub, LLM_H_N);

    if (w && llm_json_uint(w->value, &n) == LLM_OK && n > LLM_GEN_CHOICES
        && llm_hub_cannot(g->hub, g->loss, LLM_STR("n"),
                   LLM_STR("This provider gives eight choices at most."))
           != LLM_OK)
    {
        return LLM_NONE;
    }

    w = llm_hub_get(g->hub, LLM_H_MODALITIES);

    if (w && llm_openai_has(w->value, LLM_STR("audio"))) {
        return llm_hub_cannot(g->hub, g->loss, LLM_STR("modalities"),
                      LLM_STR("This provider does not speak here."));
    }

    return LLM_OK;
}


static void
llm_gen_config(llm_gen_t *g)
{
    llm_gen_limits(g);
    llm_gen_numbers(g);
    llm_gen_logprobs(g);
    llm_gen_stop(g);
    llm_gen_format(g);
    llm_gen_thinking(g);

    if (g->n) {
        llm_buf_str(g->out, LLM_STR("}"));
    }
}


llm_rc_t
llm_gemini_request(llm_hub_t *h, llm_buf_t *out, llm_loss_t *loss)
{
    size_t     system;
    llm_rc_t   rc;
    llm_gen_t  g;
    llm_str_t  messages;

    memset(&g, 0, sizeof(llm_gen_t));
    g.hub = h;
    g.out = out;
    g.loss = loss;
    g.generation = llm_gemini_generation(h->model);

    messages = h->member[LLM_H_MESSAGES].value;

    rc = llm_gen_check(&g);

    if (rc == LLM_OK) {
        llm_buf_str(out, LLM_STR("{\"contents\":["));
        rc = llm_gemini_contents(messages, g.generation, out, loss, &system);
    }

    if (rc == LLM_OK) {
        llm_buf_str(out, LLM_STR("]"));
        rc = llm_gemini_system(messages, system, out, loss);
    }

    if (rc == LLM_OK) {
        rc = llm_gen_tools(&g);
    }

    if (rc != LLM_OK) {
        return rc;
    }

    llm_gen_config(&g);
    llm_gen_safety(&g);
    llm_gen_tier(&g);

    llm_buf_str(out, LLM_STR("}"));
    llm_hub_rest(h, loss);

    return out->full ? LLM_FULL : LLM_OK;
}
