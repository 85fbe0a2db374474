/*
 * /analyze: the application's JSON becomes a chat request, and the model's text
 * becomes the application's JSON again.
 *
 * The prompt is rendered once per request; the body around it is built per
 * target, because targets differ in how they are told to answer with JSON.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_RENDER_MAX  (64 * 1024 * 1024)
#define NGX_HTTP_LLM_MEMBERS     32


static size_t ngx_http_llm_members(llm_template_t *t, llm_json_want_t *want,
    size_t n);
static llm_code_t ngx_http_llm_render(ngx_http_llm_ctx_t *ctx,
    llm_template_t *t, ngx_str_t *text, llm_str_t *message);
static void ngx_http_llm_missing_member(ngx_http_llm_ctx_t *ctx,
    llm_str_t name, llm_str_t *message);
static void ngx_http_llm_put_instruction(ngx_http_llm_ctx_t *ctx, llm_buf_t *b,
    ngx_uint_t native);
static void ngx_http_llm_put_format(ngx_http_llm_ctx_t *ctx, llm_buf_t *b,
    ngx_uint_t native);
static llm_class_t ngx_http_llm_unwrap(ngx_http_llm_ctx_t *ctx,
    llm_str_t text, ngx_buf_t *b);


llm_code_t
ngx_http_llm_analyze_facts(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    size_t                  n, at;
    llm_buf_t               mem;
    llm_code_t              code;
    llm_json_want_t         want[NGX_HTTP_LLM_MEMBERS];
    llm_json_error_t        error;
    ngx_http_llm_prompt_t  *prompt;

    prompt = ctx->llcf->prompt;

    ngx_memzero(want, sizeof(want));
    want[0].name = LLM_STR("model");

    n = ngx_http_llm_members(prompt->system, want, 1);
    n = ngx_http_llm_members(prompt->user, want, n);

    if (llm_json_pick(ngx_http_llm_view(&ctx->body), want, n, &error, &at)
        != LLM_OK)
    {
        return (error == LLM_JSON_E_DUPLICATE) ? LLM_CODE_CALLER_DUPLICATE_KEY
                                               : LLM_CODE_CALLER_INVALID_JSON;
    }

    if (want[0].value.data && want[0].kind == LLM_JSON_STRING) {
        llm_buf_init(&mem, ctx->model_mem, sizeof(ctx->model_mem));

        if (llm_json_unescape(want[0].value, &mem) != LLM_OK) {
            return LLM_CODE_CALLER_MODEL_NOT_FOUND;
        }

        ctx->model.data = mem.start;
        ctx->model.len = mem.pos - mem.start;

        for (at = 0; at < ctx->model.len; at++) {
            if (ctx->model.data[at] < 0x20 || ctx->model.data[at] == 0x7f) {
                /* it would stand in the log as it is */
                ngx_str_null(&ctx->model);
                return LLM_CODE_CALLER_MODEL_NOT_FOUND;
            }
        }
    }

    if (prompt->system) {
        code = ngx_http_llm_render(ctx, prompt->system, &ctx->system, message);

        if (code != LLM_CODE_NONE) {
            return code;
        }
    }

    code = ngx_http_llm_render(ctx, prompt->user, &ctx->user, message);

    ctx->facts.need = LLM_CAN_CHAT;
    ctx->facts.prompt_tokens = (ctx->system.len + ctx->user.len
                                + prompt->schema_text.len) / 3 + 1;
    ctx->facts.output_tokens = 1024;

    return code;
}


/* The members a prompt uses: none of them may stand twice in the body. */

static size_t
ngx_http_llm_members(llm_template_t *t, llm_json_want_t *want, size_t n)
{
    size_t     i, k;
    llm_str_t  name;

    for (i = 0; t && i < t->n && n < NGX_HTTP_LLM_MEMBERS; i++) {
        name = t->piece[i].name;

        if (name.len == 0 || name.data[0] == '/') {
            continue;
        }

        for (k = 0; k < n; k++) {
            if (llm_str_eq(want[k].name, name)) {
                break;
            }
        }

        if (k == n) {
            want[n++].name = name;
        }
    }

    return n;
}


static llm_code_t
ngx_http_llm_render(ngx_http_llm_ctx_t *ctx, llm_template_t *t,
    ngx_str_t *text, llm_str_t *message)
{
    size_t      i, size;
    u_char     *mem;
    llm_rc_t    rc;
    llm_buf_t   b;
    llm_str_t   missing;

    size = 256 + ctx->body.len;

    for (i = 0; i < t->n; i++) {
        size += t->piece[i].text.len;
    }

    /* escaping and repeated members may need more, which is rare */

    for ( /* void */ ; size <= NGX_HTTP_LLM_RENDER_MAX; size *= 2) {

        mem = ngx_palloc(ctx->request->pool, size);
        if (mem == NULL) {
            return LLM_CODE_GATEWAY_ERROR;
        }

        llm_buf_init(&b, mem, size);
        missing = LLM_NOSTR;

        rc = llm_template_render(t, ngx_http_llm_view(&ctx->body), &b,
                                 &missing);

        if (rc == LLM_OK) {
            text->data = b.start;
            text->len = b.pos - b.start;
            return LLM_CODE_NONE;
        }

        (void) ngx_pfree(ctx->request->pool, mem);

        if (rc == LLM_NONE) {
            ngx_http_llm_missing_member(ctx, missing, message);
            return LLM_CODE_CALLER_MISSING_MEMBER;
        }

        if (rc != LLM_FULL) {
            return LLM_CODE_CALLER_INVALID_JSON;
        }
    }

    return LLM_CODE_CALLER_TOO_LARGE;
}


static void
ngx_http_llm_missing_member(ngx_http_llm_ctx_t *ctx, llm_str_t name,
    llm_str_t *message)
{
    u_char  *p;

    ctx->param = name;

    p = ngx_pnalloc(ctx->request->pool,
                    sizeof("The request has no member \"\".") + name.len);
    if (p == NULL) {
        return;
    }

    message->data = p;
    message->len = ngx_sprintf(p, "The request has no member \"%*s\".",
                               name.len, name.data)
                   - p;
}


ngx_int_t
ngx_http_llm_analyze_body(ngx_http_llm_ctx_t *ctx, ngx_str_t *body)
{
    size_t                  size;
    u_char                 *mem;
    llm_buf_t               b;
    ngx_str_t               model;
    ngx_uint_t              i, native;
    ngx_http_llm_model_t   *m;
    ngx_http_llm_prompt_t  *prompt;

    prompt = ctx->llcf->prompt;
    m = ctx->send->target->model;
    native = (m && m->can_set && (m->can & LLM_CAN_JSON_SCHEMA)
              && prompt->schema);

    ngx_http_llm_target_model(ctx, ctx->send->target, &model);

    size = 1024 + 6 * model.len + ctx->system.len + ctx->user.len
           + 6 * prompt->schema_text.len + prompt->schema_name.len;

    for (i = 0; i < prompt->nfields; i++) {
        size += 8 + 6 * prompt->fields[i].name.len + prompt->fields[i].json.len;
    }

    mem = ngx_palloc(ctx->request->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, mem, size);

    llm_buf_str(&b, LLM_STR("{\"model\":"));
    llm_json_put_string(&b, ngx_http_llm_view(&model));
    llm_buf_str(&b, LLM_STR(",\"messages\":["));

    if (ctx->system.len || prompt->json) {
        llm_buf_str(&b, LLM_STR("{\"role\":\"system\",\"content\":\""));
        llm_buf_put(&b, ctx->system.data, ctx->system.len);
        ngx_http_llm_put_instruction(ctx, &b, native);
        llm_buf_str(&b, LLM_STR("\"},"));
    }

    llm_buf_str(&b, LLM_STR("{\"role\":\"user\",\"content\":\""));
    llm_buf_put(&b, ctx->user.data, ctx->user.len);
    llm_buf_str(&b, LLM_STR("\"}]"));

    ngx_http_llm_put_format(ctx, &b, native);

    for (i = 0; i < prompt->nfields; i++) {
        llm_buf_str(&b, LLM_STR(","));
        llm_json_put_string(&b, prompt->fields[i].name);
        llm_buf_str(&b, LLM_STR(":"));
        llm_buf_str(&b, prompt->fields[i].json);
    }

    llm_buf_str(&b, LLM_STR("}"));

    if (b.full) {
        return NGX_ERROR;
    }

    body->data = b.start;
    body->len = b.pos - b.start;

    return NGX_OK;
}


/* OpenAI's JSON mode wants the word in the messages, and a model that takes no
 * schema is shown it. */

static void
ngx_http_llm_put_instruction(ngx_http_llm_ctx_t *ctx, llm_buf_t *b,
    ngx_uint_t native)
{
    ngx_http_llm_prompt_t  *prompt;

    prompt = ctx->llcf->prompt;

    if (!prompt->json) {
        return;
    }

    llm_buf_str(b, LLM_STR("\\n\\nAnswer with one JSON object and nothing "
                           "else."));

    if (prompt->schema == NULL || native) {
        return;
    }

    llm_buf_str(b, LLM_STR(" It must satisfy this JSON Schema:\\n"));
    llm_json_put_escaped(b, ngx_http_llm_view(&prompt->schema_text));
}


static void
ngx_http_llm_put_format(ngx_http_llm_ctx_t *ctx, llm_buf_t *b,
    ngx_uint_t native)
{
    ngx_http_llm_model_t   *m;
    ngx_http_llm_prompt_t  *prompt;

    prompt = ctx->llcf->prompt;
    m = ctx->send->target->model;

    if (!prompt->json) {
        return;
    }

    if (native) {
        llm_buf_str(b, LLM_STR(",\"response_format\":{\"type\":\"json_schema\","
                               "\"json_schema\":{\"name\":"));
        llm_json_put_string(b, ngx_http_llm_view(&prompt->schema_name));
        llm_buf_str(b, LLM_STR(",\"schema\":"));
        llm_buf_put(b, prompt->schema_text.data, prompt->schema_text.len);
        llm_buf_str(b, LLM_STR("}}"));
        return;
    }

    if (m == NULL || !m->can_set || (m->can & LLM_CAN_JSON_OBJECT)) {
        llm_buf_str(b, LLM_STR(",\"response_format\":"
                               "{\"type\":\"json_object\"}"));
    }
}


/* Nothing is invented: what cannot be used as it is, is a bad answer. */

llm_class_t
ngx_http_llm_analyze_answer(ngx_http_llm_ctx_t *ctx, llm_answer_t *answer)
{
    llm_buf_t    text;
    ngx_buf_t   *b;
    llm_class_t  class;

    if (llm_str_eq(answer->finish_reason, LLM_STR("content_filter"))) {
        return LLM_CLASS_CONTENT_FILTER;
    }

    /* two bytes are the quotes */

    if (answer->content.len <= 2
        || llm_str_eq(answer->finish_reason, LLM_STR("length")))
    {
        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "llm answer of \"%V\" is %s",
                      &ctx->send->target->provider->name,
                      answer->content.len > 2 ? "truncated" : "empty");
        return LLM_CLASS_BAD_ANSWER;
    }

    b = ngx_create_temp_buf(ctx->request->pool, answer->content.len);
    if (b == NULL) {
        return LLM_CLASS_BAD_ANSWER;
    }

    llm_buf_init(&text, b->start, answer->content.len);

    if (llm_json_unescape(answer->content, &text) != LLM_OK) {
        return LLM_CLASS_BAD_ANSWER;
    }

    b->last = text.pos;

    if (!ctx->llcf->prompt->json) {
        ctx->send->body = b;
        return LLM_CLASS_OK;
    }

    class = ngx_http_llm_unwrap(ctx, llm_buf_view(&text), b);

    ctx->send->json_checked = 1;
    ctx->send->json_invalid = (class != LLM_CLASS_OK);

    return class;
}


static llm_class_t
ngx_http_llm_unwrap(ngx_http_llm_ctx_t *ctx, llm_str_t text, ngx_buf_t *b)
{
    char                    why[256];
    const char             *reason;
    llm_unwrapped_t         found;
    ngx_http_llm_prompt_t  *prompt;

    prompt = ctx->llcf->prompt;
    ngx_memzero(&found, sizeof(llm_unwrapped_t));

    if (llm_answer_unwrap(text, (int) prompt->repair, &found, &reason)
        != LLM_OK)
    {
        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "llm answer of \"%V\" refused: %s",
                      &ctx->send->target->provider->name, reason);
        return LLM_CLASS_BAD_ANSWER;
    }

    if (prompt->schema
        && llm_schema_validate(prompt->schema, found.json, why, sizeof(why))
           != LLM_OK)
    {
        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "llm answer of \"%V\" violates the schema: %s",
                      &ctx->send->target->provider->name, why);
        return LLM_CLASS_BAD_ANSWER;
    }

    ctx->repaired = found.repaired;

    b->pos = (u_char *) found.json.data;
    b->last = b->pos + found.json.len;
    ctx->send->body = b;

    return LLM_CLASS_OK;
}
