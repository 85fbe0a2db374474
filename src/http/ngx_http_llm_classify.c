/*
 * What was collected or drained of an answer, read into the outcome of its
 * attempt.
 */

#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_read_plain(ngx_http_llm_ctx_t *ctx,
    llm_str_t body);
static ngx_int_t ngx_http_llm_take_answer(ngx_http_llm_ctx_t *ctx,
    llm_str_t body, llm_buf_t *mem, llm_answer_t *answer);
static void ngx_http_llm_read_answer(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *mem);
static llm_class_t ngx_http_llm_resource(ngx_http_llm_ctx_t *ctx,
    llm_str_t body);


/*
 * Reads what was collected or drained into the outcome of the attempt.  Texts
 * of the outcome are valid until the next answer is read: what is to stay of
 * them is copied by ngx_http_llm_remember().
 */

void
ngx_http_llm_answer_classify(ngx_http_llm_ctx_t *ctx)
{
    llm_buf_t                 mem;
    llm_str_t                 body;
    ngx_uint_t                status;
    llm_answer_t              answer;
    ngx_http_llm_send_t      *send;
    const llm_dialect_t      *dialect;

    static u_char             scratch[NGX_HTTP_LLM_SCRATCH];

    send = ctx->send;
    status = send->frame.status.code;
    dialect = send->dialect;

    llm_buf_init(&mem, scratch, sizeof(scratch));

    if (status < 200 || status >= 300) {
        body = LLM_NOSTR;

        if (send->error) {
            body.data = send->error->pos;
            body.len = send->error->last - send->error->pos;
        }

        dialect->refusal(status, &send->hint, body,
                         ngx_http_llm_store_now(&ctx->lmcf->store), &mem,
                         &send->refusal);

        send->outcome = send->refusal.outcome;
        return;
    }

    body = LLM_NOSTR;

    if (send->body) {
        body.data = send->body->pos;
        body.len = send->body->last - send->body->pos;
    }

    if (ctx->request->method != NGX_HTTP_POST) {
        send->outcome.class = ngx_http_llm_resource(ctx, body);

        if (send->translated && send->outcome.class == LLM_CLASS_OK) {
            ngx_memzero(&answer, sizeof(llm_answer_t));

            if (send->body == NULL
                || ngx_http_llm_translate_answer(ctx, &mem, &answer) != NGX_OK
                || answer.class != LLM_CLASS_OK)
            {
                send->outcome.class = LLM_CLASS_BAD_ANSWER;
            }
        }

        return;
    }

    if (llm_endpoint_info(ctx->endpoint)->body == LLM_BODY_MULTIPART
        && !ngx_http_llm_type_is(&send->content_type, "application/json")
        && ngx_http_llm_read_plain(ctx, body) == NGX_OK)
    {
        return;
    }

    ngx_http_llm_read_answer(ctx, body, &mem);
}


/* text, srt, vtt: not ours to read, but where OpenAI's are others.  NGX_OK: the
 * outcome is known. */

static ngx_int_t
ngx_http_llm_read_plain(ngx_http_llm_ctx_t *ctx, llm_str_t body)
{
    ngx_int_t  rc;

    if (ctx->send->translated) {
        rc = ngx_http_llm_swap_plain(ctx);

        if (rc == NGX_DECLINED) {
            return NGX_DECLINED;
        }

        ctx->send->outcome.class = (rc == NGX_OK) ? LLM_CLASS_OK
                                                  : LLM_CLASS_BAD_ANSWER;
        return NGX_OK;
    }

    if (body.len == 0) {
        return NGX_DECLINED;
    }

    ctx->send->outcome.class = LLM_CLASS_OK;

    return NGX_OK;
}


/* The provider's answer; a translated one becomes the client's. */

static ngx_int_t
ngx_http_llm_take_answer(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *mem, llm_answer_t *answer)
{
    ngx_uint_t            becomes;
    ngx_http_llm_send_t  *send;

    send = ctx->send;
    becomes = send->translated && !ctx->request->header_sent;

    if (becomes && send->body && llm_front_find(ctx->endpoint)) {
        /* the front reads it while it writes its own */
        return ngx_http_llm_translate_answer(ctx, mem, answer);
    }

    send->dialect->answer(ngx_http_llm_asked(ctx), body, mem, answer);

    if (!becomes || answer->class != LLM_CLASS_OK) {
        return NGX_OK;
    }

    return ngx_http_llm_translate_answer(ctx, mem, answer);
}


static void
ngx_http_llm_read_answer(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *mem)
{
    ngx_int_t             rc;
    ngx_uint_t            whole;
    llm_answer_t          answer;
    ngx_http_llm_send_t  *send;
    const llm_dialect_t  *dialect;

    send = ctx->send;
    whole = ctx->analyze || ngx_http_llm_wants_json(ctx);

    ngx_memzero(&answer, sizeof(llm_answer_t));
    answer.brief = send->translated || !whole;
    llm_answer_init(&answer);

    rc = ngx_http_llm_take_answer(ctx, body, mem, &answer);

    send->outcome.class = answer.class;
    send->refusal.message = answer.message;
    llm_usage_merge(&ctx->usage, &answer.usage);

    if (answer.class != LLM_CLASS_OK) {
        return;
    }

    if (rc != NGX_OK) {
        send->outcome.class = LLM_CLASS_BAD_ANSWER;
        return;
    }

    if (ctx->request->header_sent) {
        /* events were promised */
        send->outcome.class = ngx_http_llm_relay_collected(ctx, body, mem);
        return;
    }

    dialect = ngx_http_llm_answer_dialect(ctx);

    if (send->translated) {
        body.data = send->body->pos;
        body.len = send->body->last - send->body->pos;
    }

    if (answer.brief
        && (whole || ngx_http_llm_may_be_empty(ctx, &answer.usage)))
    {
        answer.brief = 0;
        dialect->answer(ctx->endpoint, body, mem, &answer);
    }

    if (ctx->analyze) {
        send->outcome.class = ngx_http_llm_analyze_answer(ctx, &answer);

    } else if (!answer.brief) {
        ngx_http_llm_check_content(ctx, &answer);
    }
}


/* What was read, cancelled or deleted by name is no answer of a model. */

static llm_class_t
ngx_http_llm_resource(ngx_http_llm_ctx_t *ctx, llm_str_t body)
{
    ngx_str_t  *type;

    type = &ctx->send->content_type;

    if (ctx->send->frame.status.code == NGX_HTTP_NO_CONTENT
        || ctx->request->method == NGX_HTTP_HEAD)
    {
        return LLM_CLASS_OK;
    }

    if (body.len && type->len
        && !ngx_http_llm_type_is(type, "application/json")
        && !ngx_http_llm_type_is(type, "text/html"))
    {
        return LLM_CLASS_OK;
    }

    return llm_json_check(body) == LLM_OK ? LLM_CLASS_OK
                                          : LLM_CLASS_BAD_ANSWER;
}
