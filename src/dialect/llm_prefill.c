/*
 * The beginning of an answer as the last message of its request.
 *
 * Where the client's own last message is the assistant's, two of them would
 * stand there, and nobody knows what a server makes of that: then there is
 * none.  The limit of the answer shrinks by what it has already.
 */

#include "llm_prefill.h"


enum {
    LLM_PF_MESSAGES, LLM_PF_MAX_TOKENS, LLM_PF_MAX_COMPLETION_TOKENS,
    LLM_PF_CONTINUE, LLM_PF_PROMPT, LLM_PF_THINKING, LLM_PF_COUNT
};

static const llm_json_want_t  llm_prefill_want[LLM_PF_COUNT] = {
    [LLM_PF_MESSAGES] = { .name = LLM_STR("messages") },
    [LLM_PF_MAX_TOKENS] = { .name = LLM_STR("max_tokens") },
    [LLM_PF_MAX_COMPLETION_TOKENS] =
        { .name = LLM_STR("max_completion_tokens") },
    [LLM_PF_CONTINUE] = { .name = LLM_STR("continue_final_message") },
    [LLM_PF_PROMPT] = { .name = LLM_STR("add_generation_prompt") },
    [LLM_PF_THINKING] = { .name = LLM_STR("thinking") }
};


/* One body on its way. */
typedef struct {
    llm_str_t     body;
    llm_buf_t    *mem;
    llm_edits_t  *edits;
    llm_rc_t      rc;
} llm_prefilling_t;


size_t
llm_prefill_room(const llm_prefill_t *p)
{
    return 6 * p->text.len + 512;
}


/* Puts what stands in mem behind `start` in place of `cut` bytes at p. */
static void
llm_prefill_edit(llm_prefilling_t *f, const unsigned char *p, size_t cut,
    unsigned char *start)
{
    llm_str_t  text;

    if (f->rc != LLM_OK) {
        return;
    }

    if (f->mem->full) {
        f->rc = LLM_FULL;
        return;
    }

    text.data = start;
    text.len = (size_t) (f->mem->pos - start);

    f->rc = llm_edits_add(f->edits, (size_t) (p - f->body.data), cut, text);
}


/* What is left of a limit, 1 at least. */
static void
llm_prefill_limit(llm_prefilling_t *f, const llm_json_want_t *limit,
    uint64_t tokens)
{
    uint64_t        n;
    unsigned char  *start;

    if (limit->kind != LLM_JSON_NUMBER || tokens == 0
        || llm_json_uint(limit->value, &n) != LLM_OK)
    {
        return;
    }

    start = f->mem->pos;
    llm_json_put_uint(f->mem, n > tokens ? n - tokens : 1);
    llm_prefill_edit(f, limit->value.data, limit->value.len, start);
}


/* Whether messages end with one that the assistant is to answer. */
static int
llm_prefill_is_asked(const llm_json_want_t *messages, llm_str_t role)
{
    int                asked;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m, member;

    if (messages->kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, messages->value) != LLM_OK)
    {
        return 0;
    }

    asked = 0;

    while ((rc = llm_json_next(&it, &m)) == LLM_OK) {
        asked = llm_json_get(m.value, LLM_STR("role"), &member) == LLM_OK
                && !llm_str_eq(member.value, role);
    }

    return asked && rc == LLM_NONE;
}


/* The message, behind the last element of an array. */
static void
llm_prefill_append(llm_prefilling_t *f, const llm_json_want_t *messages,
    llm_str_t before, llm_str_t text, llm_str_t after)
{
    unsigned char  *start;

    start = f->mem->pos;

    llm_buf_str(f->mem, before);
    llm_json_put_string(f->mem, text);
    llm_buf_str(f->mem, after);

    llm_prefill_edit(f, messages->value.data + messages->value.len - 1, 0,
                     start);
}


static llm_rc_t
llm_prefill_begin(llm_prefilling_t *f, llm_str_t body, llm_buf_t *mem,
    llm_edits_t *edits, llm_json_want_t *want, size_t want_n)
{
    size_t            at;
    llm_json_error_t  error;

    f->body = body;
    f->mem = mem;
    f->edits = edits;
    f->rc = LLM_OK;

    return llm_json_pick(body, want, want_n, &error, &at);
}


/* The server's own members, in front of all others. */
static void
llm_prefill_continue(llm_prefilling_t *f)
{
    unsigned char        *start;
    const unsigned char  *p;

    p = memchr(f->body.data, '{', f->body.len);
    start = f->mem->pos;

    llm_buf_str(f->mem, LLM_STR("\"continue_final_message\":true,"
                                "\"add_generation_prompt\":false,"));
    llm_prefill_edit(f, p + 1, 0, start);
}


llm_rc_t
llm_prefill_openai(llm_str_t body, llm_prefill_t *p, llm_buf_t *mem,
    llm_edits_t *edits)
{
    llm_json_want_t   want[LLM_PF_COUNT];
    llm_prefilling_t  f;

    memcpy(want, llm_prefill_want, sizeof(want));

    if (llm_prefill_begin(&f, body, mem, edits, want, LLM_PF_COUNT) != LLM_OK
        || p->text.len == 0
        || want[LLM_PF_CONTINUE].value.data || want[LLM_PF_PROMPT].value.data
        || !llm_prefill_is_asked(&want[LLM_PF_MESSAGES],
                                 LLM_STR("\"assistant\"")))
    {
        return LLM_NONE;
    }

    if (p->way == LLM_PREFILL_CONTINUE) {
        llm_prefill_continue(&f);
    }

    llm_prefill_append(&f, &want[LLM_PF_MESSAGES],
                       LLM_STR(",{\"role\":\"assistant\",\"content\":"),
                       p->text,
                       p->way == LLM_PREFILL_PREFIX
                       ? LLM_STR(",\"prefix\":true}") : LLM_STR("}"));

    llm_prefill_limit(&f, &want[LLM_PF_MAX_TOKENS], p->tokens);
    llm_prefill_limit(&f, &want[LLM_PF_MAX_COMPLETION_TOKENS], p->tokens);

    return f.rc;
}


/* The API refuses such a message with white space at its end, and beside a
 * model that thinks. */
llm_rc_t
llm_prefill_anthropic(llm_str_t body, llm_prefill_t *p, llm_buf_t *mem,
    llm_edits_t *edits)
{
    llm_json_want_t   want[LLM_PF_COUNT];
    llm_prefilling_t  f;
    llm_json_member_t m;

    memcpy(want, llm_prefill_want, sizeof(want));

    while (p->text.len && p->text.data[p->text.len - 1] <= ' ') {
        p->text.len--;
    }

    if (llm_prefill_begin(&f, body, mem, edits, want, LLM_PF_COUNT) != LLM_OK
        || p->text.len == 0
        || !llm_prefill_is_asked(&want[LLM_PF_MESSAGES],
                                 LLM_STR("\"assistant\"")))
    {
        return LLM_NONE;
    }

    if (want[LLM_PF_THINKING].kind == LLM_JSON_OBJECT
        && (llm_json_get(want[LLM_PF_THINKING].value, LLM_STR("type"), &m)
            != LLM_OK
            || !llm_str_eq(m.value, LLM_STR("\"disabled\""))))
    {
        return LLM_NONE;
    }

    llm_prefill_append(&f, &want[LLM_PF_MESSAGES],
                       LLM_STR(",{\"role\":\"assistant\",\"content\":"),
                       p->text, LLM_STR("}"));

    llm_prefill_limit(&f, &want[LLM_PF_MAX_TOKENS], p->tokens);

    return f.rc;
}


llm_rc_t
llm_prefill_gemini(llm_str_t body, llm_prefill_t *p, llm_buf_t *mem,
    llm_edits_t *edits)
{
    llm_prefilling_t   f;
    llm_json_member_t  m;
    llm_json_want_t    limit;
    llm_json_want_t    want[] = {
        { .name = LLM_STR("contents") },
        { .name = LLM_STR("generationConfig") }
    };

    if (llm_prefill_begin(&f, body, mem, edits, want, 2) != LLM_OK
        || p->text.len == 0
        || !llm_prefill_is_asked(&want[0], LLM_STR("\"model\"")))
    {
        return LLM_NONE;
    }

    llm_prefill_append(&f, &want[0],
                       LLM_STR(",{\"role\":\"model\",\"parts\":[{\"text\":"),
                       p->text, LLM_STR("}]}"));

    if (llm_json_get(want[1].value, LLM_STR("maxOutputTokens"), &m)
        == LLM_OK)
    {
        limit.kind = m.kind;
        limit.value = m.value;
        llm_prefill_limit(&f, &limit, p->tokens);
    }

    return f.rc;
}
