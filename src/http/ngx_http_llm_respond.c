/*
 * Everything the module answers by itself: collected answers, refusals, and the
 * x-llm-... headers that stand on both.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_ERROR_SIZE    4096
#define NGX_HTTP_LLM_RETRY_AFTER   5        /* seconds, when nobody knows */


static ngx_int_t ngx_http_llm_answer_headers(ngx_http_llm_ctx_t *ctx,
    ngx_uint_t early);
static ngx_int_t ngx_http_llm_route_headers(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_target_headers(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_send_t *send);
static ngx_int_t ngx_http_llm_cost_header(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_number_header(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *name, ngx_uint_t n);
static ngx_int_t ngx_http_llm_retry_headers(ngx_http_llm_ctx_t *ctx,
    llm_code_t code, ngx_uint_t status);


static ngx_str_t  ngx_http_llm_json_type = ngx_string("application/json");

static ngx_str_t  ngx_http_llm_text_type =
                                     ngx_string("text/plain; charset=utf-8");

static ngx_str_t  ngx_http_llm_h_id = ngx_string("x-llm-request-id");
static ngx_str_t  ngx_http_llm_h_request_id = ngx_string("x-request-id");
static ngx_str_t  ngx_http_llm_h_provider = ngx_string("x-llm-provider");
static ngx_str_t  ngx_http_llm_h_model = ngx_string("x-llm-model");
static ngx_str_t  ngx_http_llm_h_variant = ngx_string("x-llm-variant");
static ngx_str_t  ngx_http_llm_h_degraded = ngx_string("x-llm-degraded");
static ngx_str_t  ngx_http_llm_h_attempts = ngx_string("x-llm-attempts");
static ngx_str_t  ngx_http_llm_h_fallbacks = ngx_string("x-llm-fallbacks");
static ngx_str_t  ngx_http_llm_h_error = ngx_string("x-llm-error");
static ngx_str_t  ngx_http_llm_h_dropped = ngx_string("x-llm-dropped");
static ngx_str_t  ngx_http_llm_h_key = ngx_string("x-llm-key");
static ngx_str_t  ngx_http_llm_h_cost = ngx_string("x-llm-cost");
static ngx_str_t  ngx_http_llm_h_retry_after = ngx_string("Retry-After");
static ngx_str_t  ngx_http_llm_h_should_retry = ngx_string("x-should-retry");
static ngx_str_t  ngx_http_llm_h_cache_control = ngx_string("Cache-Control");
static ngx_str_t  ngx_http_llm_h_location = ngx_string("Location");


ngx_int_t
ngx_http_llm_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key = *name;
    h->value = *value;
    h->lowcase_key = name->data;
    ngx_http_llm_header_end(h);

    return NGX_OK;
}


/* Called once, right before the response header is sent. */

ngx_int_t
ngx_http_llm_response_headers(ngx_http_llm_ctx_t *ctx)
{
    ngx_str_t            id;
    ngx_uint_t           level, early;
    ngx_http_request_t  *r;

    r = ctx->request;
    level = ctx->llcf->headers;
    early = ngx_http_llm_is_early(ctx);

    if (r->reading_body) {
        /* nginx would say so only after it has promised the contrary */
        r->keepalive = 0;
    }

    if (!early) {
        ngx_http_llm_feedback_open(ctx);
    }

    if (ngx_http_llm_answer_headers(ctx, early) != NGX_OK) {
        return NGX_ERROR;
    }

    if (level == NGX_HTTP_LLM_HEADERS_OFF) {
        return NGX_OK;
    }

    id.data = ctx->id;
    id.len = sizeof(ctx->id);

    if (ngx_http_llm_add_header(r, &ngx_http_llm_h_id, &id) != NGX_OK
        || ngx_http_llm_add_header(r, &ngx_http_llm_h_request_id, &id)
           != NGX_OK
        || ngx_http_llm_policy_headers(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (early) {
        /* the rest is not known yet */
        return NGX_OK;
    }

    if (level >= NGX_HTTP_LLM_HEADERS_ROUTE
        && ngx_http_llm_route_headers(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (level == NGX_HTTP_LLM_HEADERS_ALL) {

        if (ctx->key_name.len
            && ngx_http_llm_add_header(r, &ngx_http_llm_h_key, &ctx->key_name)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_llm_cost_header(ctx);
    }

    return NGX_OK;
}


/* What an answer has whoever may know the rest. */

static ngx_int_t
ngx_http_llm_answer_headers(ngx_http_llm_ctx_t *ctx, ngx_uint_t early)
{
    ngx_str_t  value;

    if (early
        || (ctx->committed && ctx->send->answer == NGX_HTTP_LLM_ANSWER_EVENTS))
    {
        ngx_str_set(&value, "no-cache");

        if (ngx_http_llm_add_header(ctx->request, &ngx_http_llm_h_cache_control,
                                    &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ctx->call.len == 0 || ctx->code != LLM_CODE_NONE) {
        return NGX_OK;
    }

    return ngx_http_llm_add_header(ctx->request, &ngx_http_llm_h_location,
                                   &ctx->call);
}


static ngx_int_t
ngx_http_llm_route_headers(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t   *r;
    ngx_http_llm_send_t  *send;

    r = ctx->request;
    send = ctx->send;

    if (send && send->target
        && ngx_http_llm_target_headers(ctx, send) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->split
        && ngx_http_llm_add_header(r, &ngx_http_llm_h_variant,
                                   &ctx->split->variants[ctx->variant].name)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->degraded
        && ngx_http_llm_add_header(r, &ngx_http_llm_h_degraded,
                                   &ctx->route->name)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_llm_number_header(ctx, &ngx_http_llm_h_attempts, ctx->sends)
        != NGX_OK
        || ngx_http_llm_number_header(ctx, &ngx_http_llm_h_fallbacks,
                                      ctx->fallbacks)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_error_header(r, ctx->code);
}


/* Who was asked, for what, and without what. */

static ngx_int_t
ngx_http_llm_target_headers(ngx_http_llm_ctx_t *ctx, ngx_http_llm_send_t *send)
{
    ngx_str_t            model;
    ngx_http_request_t  *r;

    r = ctx->request;

    /* the name clients may ask for, not the provider's own */

    if (send->target->model) {
        model = send->target->model->name;
    } else {
        ngx_http_llm_target_model(ctx, send->target, &model);
    }

    if (ngx_http_llm_add_header(r, &ngx_http_llm_h_provider,
                                &send->target->provider->name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a name the client chose must not carry anything into a header */

    if (model.len
        && (send->target->model || ngx_http_llm_is_token(&model))
        && ngx_http_llm_add_header(r, &ngx_http_llm_h_model, &model) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (send->dropped.len == 0) {
        return NGX_OK;
    }

    return ngx_http_llm_add_header(r, &ngx_http_llm_h_dropped, &send->dropped);
}


ngx_int_t
ngx_http_llm_error_header(ngx_http_request_t *r, llm_code_t code)
{
    ngx_str_t  name;

    if (code == LLM_CODE_NONE) {
        return NGX_OK;
    }

    name.data = (u_char *) llm_code_info(code)->name.data;
    name.len = llm_code_info(code)->name.len;

    return ngx_http_llm_add_header(r, &ngx_http_llm_h_error, &name);
}


/* Visible ASCII only, as in a header or a log line that is parsed again. */

ngx_uint_t
ngx_http_llm_is_token(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] <= 0x20 || s->data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_llm_cost_header(ngx_http_llm_ctx_t *ctx)
{
    u_char     *mem;
    llm_buf_t   b;
    ngx_str_t   value;

    if (ctx->cost == LLM_UNKNOWN) {
        return NGX_OK;
    }

    mem = ngx_pnalloc(ctx->request->pool, 40);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, mem, 40);
    llm_price_put(&b, ctx->cost);

    value.data = mem;
    value.len = b.pos - b.start;

    return ngx_http_llm_add_header(ctx->request, &ngx_http_llm_h_cost, &value);
}


static ngx_int_t
ngx_http_llm_number_header(ngx_http_llm_ctx_t *ctx, ngx_str_t *name,
    ngx_uint_t n)
{
    llm_buf_t  text;
    ngx_str_t  value;

    value.data = ngx_pnalloc(ctx->request->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&text, value.data, NGX_INT_T_LEN);
    llm_json_put_uint(&text, n);
    value.len = text.pos - text.start;

    return ngx_http_llm_add_header(ctx->request, name, &value);
}


/* gzip_types and the charset filter look at the type without its parameters. */

void
ngx_http_llm_content_type(ngx_http_request_t *r, ngx_str_t *type)
{
    size_t   len;
    u_char  *p;

    len = type->len;
    p = ngx_strlchr(type->data, type->data + len, ';');

    if (p) {
        len = p - type->data;

        while (len && type->data[len - 1] == ' ') {
            len--;
        }
    }

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = len;
    r->headers_out.content_type_lowcase = NULL;
}


/* Sends a whole response; the result is for ngx_http_finalize_request(). */

ngx_int_t
ngx_http_llm_send_body(ngx_http_llm_ctx_t *ctx, ngx_uint_t status,
    ngx_str_t *type, ngx_buf_t *b)
{
    ngx_int_t            rc;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = ctx->request;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b ? b->last - b->pos : 0;
    ngx_http_llm_content_type(r, type);

    /* an answer is made once: If-Match and its like find nothing to compare */
    r->disable_not_modified = 1;

    ctx->own_answer = 1;

    if (ngx_http_llm_response_headers(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->headers_out.content_length_n == 0) {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;
    b->memory = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


void
ngx_http_llm_respond_answer(ngx_http_llm_ctx_t *ctx)
{
    ngx_str_t            *type;
    ngx_http_llm_send_t  *send;

    send = ctx->send;
    type = &send->content_type;

    if (ctx->analyze) {
        type = ctx->llcf->prompt->json ? &ngx_http_llm_json_type
                                       : &ngx_http_llm_text_type;

    } else if (type->len == 0) {
        type = &ngx_http_llm_json_type;
    }

    ngx_http_finalize_request(ctx->request,
                              ngx_http_llm_send_body(ctx,
                                                     send->frame.status.code,
                                                     type, send->body));
}


/* Nothing is left to try: a provider's last word, in our client's terms. */

void
ngx_http_llm_respond_failure(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    if (ctx->refusal_body.len && ctx->refusal_status
        && ctx->code != LLM_CODE_GATEWAY_DEADLINE)
    {
        b = ngx_calloc_buf(ctx->request->pool);

        if (b == NULL) {
            ngx_http_finalize_request(ctx->request,
                                      NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        b->pos = ctx->refusal_body.data;
        b->last = b->pos + ctx->refusal_body.len;

        rc = ngx_http_llm_send_body(ctx, ctx->refusal_status,
                                    &ngx_http_llm_json_type, b);

    } else {
        rc = ngx_http_llm_refuse(ctx, ctx->code,
                                 ngx_http_llm_view(&ctx->message));
    }

    ngx_http_finalize_request(ctx->request, rc);
}


ngx_int_t
ngx_http_llm_refuse(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    llm_str_t message)
{
    size_t               size;
    u_char              *mem;
    ngx_buf_t           *b;
    llm_buf_t            out;
    ngx_uint_t           status;
    const llm_front_t   *front;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (code == LLM_CODE_NONE) {
        code = LLM_CODE_GATEWAY_ERROR;
    }

    ctx->code = code;
    status = llm_code_info(code)->status;

    if (code == LLM_CODE_CALLER_INVALID_REQUEST && ctx->refusal_status) {
        /* SDKs choose their error class by it */
        status = ctx->refusal_status;
    }

    b = ngx_calloc_buf(r->pool);
    size = NGX_HTTP_LLM_ERROR_SIZE + 6 * (message.len + ctx->param.len);
    mem = ngx_pnalloc(r->pool, size);

    if (b == NULL || mem == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    llm_buf_init(&out, mem, size);
    ngx_http_llm_put_error(ctx, &out, code, message);

    b->pos = out.start;
    b->last = out.pos;

    if (ngx_http_llm_retry_headers(ctx, code, status) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    front = ngx_http_llm_error_front(r, ctx->endpoint);

    if (front && front->overloaded && status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        status = front->overloaded;
    }

    return ngx_http_llm_send_body(ctx, status, &ngx_http_llm_json_type, b);
}


/*
 * SDKs retry by status alone.  When our own retries are spent theirs would only
 * multiply them; a request that was never sent may come back after the wait,
 * unless a limit or a budget keeps it out for long.
 */

static ngx_int_t
ngx_http_llm_retry_headers(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    ngx_uint_t status)
{
    ngx_str_t   again;
    llm_msec_t  wait;

    if (status == NGX_HTTP_TOO_MANY_REQUESTS
        || status == NGX_HTTP_SERVICE_UNAVAILABLE)
    {
        wait = ctx->wait;

        if (wait == LLM_NEVER) {
            wait = NGX_HTTP_LLM_RETRY_AFTER * 1000;
        }

        if (ngx_http_llm_number_header(ctx, &ngx_http_llm_h_retry_after,
                                       (ngx_uint_t) ((wait + 999) / 1000))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (code == LLM_CODE_POLICY_SHED) {
        ngx_str_set(&again, "true");

    } else if (ctx->no_retry
               || (ctx->sends && code >= LLM_CODE_PROVIDER_RATE_LIMITED))
    {
        ngx_str_set(&again, "false");

    } else {
        return NGX_OK;
    }

    return ngx_http_llm_add_header(ctx->request, &ngx_http_llm_h_should_retry,
                                   &again);
}
