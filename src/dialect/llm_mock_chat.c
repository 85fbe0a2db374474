/*
 * The mock's words: chat completions, the old completions, Responses.
 */

#include <stdlib.h>

#include "llm_hash.h"
#include "llm_mock_parts.h"
#include "llm_prompt.h"

#define LLM_MOCK_QUOTE    160           /* bytes of the question repeated */
#define LLM_MOCK_CHOICES  8


/* ---- words --------------------------------------------------------------- */

/* The first bytes of a text, not cut inside of a character. */
static llm_str_t
llm_mock_cut(llm_str_t s, size_t max)
{
    if (s.len <= max) {
        return s;
    }

    while (max && (s.data[max] & 0xc0) == 0x80) {
        max--;
    }

    s.len = max;

    return s;
}


static void
llm_mock_sentence(const llm_mock_task_t *t, uint64_t seed, llm_buf_t *mem)
{
    size_t     i;
    llm_str_t  quote;

    static const char  *const  around[][2] = {
        { "You asked: \"", "\" This is the mock provider, and this sentence "
                           "is all it knows." },
        { "About \"", "\": the mock provider answers at once and from nowhere, "
                      "so please do not rely on it." },
        { "The mock provider read \"", "\" and has nothing to add to it, "
                                       "except these few words." }
    };

    i = (size_t) (llm_mock_random(&seed) % 3);
    quote = llm_mock_cut(t->question, LLM_MOCK_QUOTE);

    if (t->kind == LLM_TASK_RESULT) {
        llm_mock_put(mem, "The tool answered: \"");
        llm_buf_str(mem, quote);
        llm_mock_put(mem, "\" That is what the mock provider goes by.");
        return;
    }

    llm_mock_put(mem, around[i][0]);
    llm_buf_str(mem, quote);
    llm_mock_put(mem, quote.len < t->question.len ? "…" : "");
    llm_mock_put(mem, around[i][1]);
}


/* An object for a schema, or `plain` when there is none that we understand. */
static void
llm_mock_object(const llm_mock_task_t *t, uint64_t seed, llm_buf_t *mem,
    int plain)
{
    char           err[64];
    llm_buf_t      mark;
    llm_schema_t  *schema;

    mark = *mem;

    if (t->schema.len && llm_schema_compile(t->schema, &schema, err,
                                            sizeof(err)) == LLM_OK)
    {
        llm_schema_example(schema, seed, llm_mock_cut(t->question, 400), mem);
        llm_schema_free(schema);

        if (!mem->full && *mark.pos == '{') {
            return;
        }

        *mem = mark;
    }

    if (!plain) {
        llm_mock_put(mem, "{}");
        return;
    }

    llm_mock_put(mem, "{\"answer\":");
    llm_json_put_string(mem, llm_mock_cut(t->question, LLM_MOCK_QUOTE));
    llm_mock_put(mem, ",\"mock\":true,\"confidence\":0.");
    llm_json_put_uint(mem, 10 + llm_mock_random(&seed) % 90);
    llm_mock_put(mem, "}");
}


void
llm_mock_words(const llm_mock_task_t *t, uint64_t seed, llm_buf_t *mem,
    llm_mock_words_t *w)
{
    unsigned char  *start;

    start = mem->pos;

    w->kind = t->kind;
    w->tool = t->tool;
    w->cut = 0;

    switch (t->kind) {
    case LLM_TASK_TOOL:
        llm_mock_object(t, seed, mem, 0);
        break;
    case LLM_TASK_JSON:
        llm_mock_object(t, seed, mem, 1);
        break;
    default:
        llm_mock_sentence(t, seed, mem);
        break;
    }

    w->text.data = start;
    w->text.len = (size_t) (mem->pos - start);
    w->tokens = llm_mock_tokens(w->text.len);

    if (t->limit && w->tokens > t->limit && t->kind != LLM_TASK_TOOL) {
        w->text = llm_mock_cut(w->text, (size_t) t->limit * 4);
        w->tokens = t->limit;
        w->cut = 1;
    }
}


/* ---- chat and completions ------------------------------------------------ */

static const char *
llm_mock_finish(const llm_mock_words_t *w)
{
    if (w->kind == LLM_TASK_TOOL) {
        return "\"tool_calls\"";
    }

    return w->cut ? "\"length\"" : "\"stop\"";
}


static void
llm_mock_put_choice(llm_buf_t *out, const llm_mock_words_t *w, uint64_t index,
    uint64_t id, int chat)
{
    llm_mock_put(out, index ? ",{\"index\":" : "{\"index\":");
    llm_json_put_uint(out, index);

    if (!chat) {
        llm_mock_put(out, ",\"text\":");
        llm_json_put_string(out, w->text);

    } else if (w->kind == LLM_TASK_TOOL) {
        llm_mock_put(out, ",\"message\":{\"role\":\"assistant\",\"content\":"
                          "null,\"refusal\":null,\"tool_calls\":[{\"id\":"
                          "\"call_mock");
        llm_mock_put_hex(out, id + index);
        llm_mock_put(out, "\",\"type\":\"function\",\"function\":{\"name\":");
        llm_buf_str(out, w->tool);
        llm_mock_put(out, ",\"arguments\":");
        llm_json_put_string(out, w->text);
        llm_mock_put(out, "}}]}");

    } else {
        llm_mock_put(out, ",\"message\":{\"role\":\"assistant\",\"content\":");
        llm_json_put_string(out, w->text);
        llm_mock_put(out, ",\"refusal\":null,\"annotations\":[]}");
    }

    llm_mock_put(out, ",\"logprobs\":null,\"finish_reason\":");
    llm_mock_put(out, llm_mock_finish(w));
    llm_mock_put(out, "}");
}


static uint64_t
llm_mock_choices(const llm_request_t *r)
{
    uint64_t  n;

    if (llm_json_uint(r->member[LLM_M_N].value, &n) != LLM_OK || n == 0) {
        return 1;
    }

    return n < LLM_MOCK_CHOICES ? n : LLM_MOCK_CHOICES;
}


static void
llm_mock_put_chat(llm_buf_t *out, const llm_request_t *r, llm_str_t model,
    uint64_t seed, uint64_t created, llm_buf_t *mem)
{
    int               chat;
    uint64_t          i, n, id, tokens;
    llm_buf_t         mark;
    llm_mock_task_t   task;
    llm_mock_words_t  w;

    llm_mock_task(r, mem, &task);

    chat = r->endpoint == LLM_EP_CHAT;
    id = llm_fnv64(r->body, seed);
    seed = llm_fnv64(task.question, seed);
    n = llm_mock_choices(r);
    tokens = 0;

    llm_mock_put(out, chat ? "{\"id\":\"chatcmpl-mock" : "{\"id\":\"cmpl-mock");
    llm_mock_put_hex(out, id);
    llm_mock_put(out, chat ? "\",\"object\":\"chat.completion\",\"created\":"
                           : "\",\"object\":\"text_completion\",\"created\":");
    llm_json_put_uint(out, created);
    llm_mock_put(out, ",\"model\":");
    llm_json_put_string(out, model.len ? model : LLM_STR("mock"));
    llm_mock_put(out, ",\"system_fingerprint\":\"fp_mock\",\"choices\":[");

    mark = *mem;

    for (i = 0; i < n; i++) {
        *mem = mark;
        llm_mock_words(&task, seed + i, mem, &w);
        llm_mock_put_choice(out, &w, i, id, chat);
        tokens += w.tokens;
    }

    llm_mock_put(out, "]");
    llm_mock_put_usage(out, r->prompt_tokens, tokens);
    llm_mock_put(out, "}");
}


llm_rc_t
llm_mock_chat(const llm_request_t *r, llm_str_t model, uint64_t seed,
    uint64_t created, llm_buf_t *out)
{
    llm_buf_t       mem;
    unsigned char  *p;

    p = malloc(r->body.len + LLM_MOCK_WORDS_MAX);
    if (p == NULL) {
        return LLM_FULL;
    }

    llm_buf_init(&mem, p, r->body.len + LLM_MOCK_WORDS_MAX);
    llm_mock_put_chat(out, r, model, seed, created, &mem);
    free(p);

    return LLM_OK;
}


/* ---- Responses ----------------------------------------------------------- */

void
llm_mock_put_response(llm_buf_t *out, const llm_request_t *r, llm_str_t id,
    llm_str_t model, uint64_t created, llm_str_t status, llm_str_t output,
    llm_str_t usage)
{
    llm_str_t  instructions, text;

    instructions = llm_mock_at(r->body, "/instructions");
    text = r->member[LLM_M_TEXT].value;

    llm_mock_put(out, "{\"id\":");
    llm_json_put_string(out, id);
    llm_mock_put(out, ",\"object\":\"response\",\"created_at\":");
    llm_json_put_uint(out, created);
    llm_mock_put(out, ",\"status\":");
    llm_json_put_string(out, status);
    llm_mock_put(out, ",\"error\":null,\"incomplete_details\":");
    llm_mock_put(out, llm_str_eq(status, LLM_STR("incomplete"))
                      ? "{\"reason\":\"max_output_tokens\"}" : "null");
    llm_mock_put(out, ",\"instructions\":");
    llm_buf_str(out, instructions.len ? instructions : LLM_STR("null"));
    llm_mock_put(out, ",\"max_output_tokens\":null,\"model\":");
    llm_json_put_string(out, model.len ? model : LLM_STR("mock"));
    llm_mock_put(out, ",\"output\":");
    llm_buf_str(out, output);
    llm_mock_put(out, ",\"parallel_tool_calls\":true,\"previous_response_id\":"
                      "null,\"reasoning\":{\"effort\":null,\"summary\":null},"
                      "\"store\":false,\"temperature\":1.0,\"text\":");
    llm_buf_str(out, llm_json_kind(text) == LLM_JSON_OBJECT
                     ? text : LLM_STR("{\"format\":{\"type\":\"text\"}}"));
    llm_mock_put(out, ",\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,"
                      "\"truncation\":\"disabled\",\"usage\":");
    llm_buf_str(out, usage);
    llm_mock_put(out, ",\"metadata\":{}}");
}


static void
llm_mock_put_output(llm_buf_t *out, const llm_mock_words_t *w, uint64_t id)
{
    if (w->kind == LLM_TASK_TOOL) {
        llm_mock_put(out, "[{\"id\":\"fc_mock");
        llm_mock_put_hex(out, id);
        llm_mock_put(out, "\",\"type\":\"function_call\",\"status\":"
                          "\"completed\",\"call_id\":\"call_mock");
        llm_mock_put_hex(out, id);
        llm_mock_put(out, "\",\"name\":");
        llm_buf_str(out, w->tool);
        llm_mock_put(out, ",\"arguments\":");
        llm_json_put_string(out, w->text);
        llm_mock_put(out, "}]");
        return;
    }

    llm_mock_put(out, "[{\"id\":\"msg_mock");
    llm_mock_put_hex(out, id);
    llm_mock_put(out, "\",\"type\":\"message\",\"status\":");
    llm_mock_put(out, w->cut ? "\"incomplete\"" : "\"completed\"");
    llm_mock_put(out, ",\"role\":\"assistant\",\"content\":[{\"type\":"
                      "\"output_text\",\"text\":");
    llm_json_put_string(out, w->text);
    llm_mock_put(out, ",\"annotations\":[],\"logprobs\":[]}]}]");
}


static void
llm_mock_put_tokens(llm_buf_t *out, uint64_t input, uint64_t output)
{
    llm_mock_put(out, "{\"input_tokens\":");
    llm_json_put_uint(out, input);
    llm_mock_put(out, ",\"input_tokens_details\":{\"cached_tokens\":0},"
                      "\"output_tokens\":");
    llm_json_put_uint(out, output);
    llm_mock_put(out, ",\"output_tokens_details\":{\"reasoning_tokens\":0},"
                      "\"total_tokens\":");
    llm_json_put_uint(out, input + output);
    llm_mock_put(out, "}");
}


llm_rc_t
llm_mock_responses(const llm_request_t *r, llm_str_t model, uint64_t seed,
    uint64_t created, llm_buf_t *out)
{
    size_t            size;
    uint64_t          hash;
    llm_str_t         output;
    llm_buf_t         mem, id, usage;
    unsigned char    *p, name[32], tokens[256];
    llm_mock_task_t   task;
    llm_mock_words_t  w;

    /* the text once as it is, once escaped inside of the output */

    size = r->body.len + LLM_MOCK_WORDS_MAX * 8;

    p = malloc(size);
    if (p == NULL) {
        return LLM_FULL;
    }

    llm_buf_init(&mem, p, size);
    llm_mock_task(r, &mem, &task);
    llm_mock_words(&task, llm_fnv64(task.question, seed), &mem, &w);

    hash = llm_fnv64(r->body, seed);
    output.data = mem.pos;
    llm_mock_put_output(&mem, &w, hash);
    output.len = (size_t) (mem.pos - output.data);

    llm_buf_init(&id, name, sizeof(name));
    llm_mock_put(&id, "resp_mock");
    llm_mock_put_hex(&id, hash);

    llm_buf_init(&usage, tokens, sizeof(tokens));
    llm_mock_put_tokens(&usage, r->prompt_tokens, w.tokens);

    llm_mock_put_response(out, r, llm_buf_view(&id), model, created,
                          w.cut ? LLM_STR("incomplete")
                                : LLM_STR("completed"),
                          output, llm_buf_view(&usage));
    free(p);

    return LLM_OK;
}
