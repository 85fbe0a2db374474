/*
 * The head of a provider's answer: parsed strictly, and read for the few
 * headers that matter here.  All others stop at this file.
 */

#include "ngx_http_llm_ctx.h"


/* "anthropic-ratelimit-output-tokens-remaining" has 43 */
#define NGX_HTTP_LLM_LONG_NAME  64


static ngx_int_t ngx_http_llm_parse_status(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_parse_headers(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_framing(ngx_http_llm_ctx_t *ctx, llm_str_t name,
    ngx_str_t *value);
static ngx_int_t ngx_http_llm_header(ngx_http_llm_ctx_t *ctx, llm_str_t name,
    ngx_str_t *value);


ngx_int_t
ngx_http_llm_parse_head(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    for ( ;; ) {

        if (send->status_at == 0) {
            rc = ngx_http_llm_parse_status(ctx);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        rc = ngx_http_llm_parse_headers(ctx);

        if (rc != NGX_OK) {
            return rc;
        }

        if (send->frame.status.code >= 200) {
            break;
        }

        if (send->frame.status.code == NGX_HTTP_SWITCHING_PROTOCOLS) {

            if (ngx_http_llm_upgrade_agreed(ctx)) {
                break;
            }

            ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                          "llm provider changed to a protocol that was not "
                          "asked for");
            return NGX_ERROR;
        }

        /* 100 Continue and its like: the real answer follows */

        send->status_at = 0;
        ngx_memzero(&send->frame, sizeof(ngx_http_llm_frame_t));
    }

    ngx_http_llm_shed_heard(ctx);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_parse_status(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;
    ngx_http_llm_send_t  *send;

    r = ctx->request;
    u = r->upstream;
    send = ctx->send;

    rc = ngx_http_parse_status_line(r, &u->buffer, &send->frame.status);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR || send->frame.status.code < 100) {
        /* nginx itself would take this for HTTP/0.9 and pass it on */
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "llm provider sent no valid HTTP/1.x status line");
        return NGX_ERROR;
    }

    send->status_at = ngx_max(ngx_current_msec, 1);
    send->frame.close = (send->frame.status.http_version < NGX_HTTP_VERSION_11);
    send->frame.rest = -1;

    if (u->state && u->state->status == 0) {
        u->state->status = send->frame.status.code;
    }

    llm_hint_init(&send->hint);

    /* both parsers keep their state in the request */
    r->state = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_parse_headers(ngx_http_llm_ctx_t *ctx)
{
    u_char               *p;
    u_char                lower[NGX_HTTP_LLM_LONG_NAME];
    ngx_int_t             rc;
    ngx_str_t             value;
    llm_str_t             name;
    ngx_http_request_t   *r;

    r = ctx->request;

    for ( ;; ) {
        rc = ngx_http_parse_header_line(r, &r->upstream->buffer, 1);

        if (rc == NGX_OK) {

            name.len = r->header_name_end - r->header_name_start;
            name.data = r->lowcase_header;

            /* an odd name leaves bytes of another one in lowcase_header, and
             * a long one does not fit into it */

            if (name.len > sizeof(lower) || r->invalid_header) {
                continue;
            }

            if (name.len > NGX_HTTP_LC_HEADER_LEN) {
                ngx_strlow(lower, r->header_name_start, name.len);
                name.data = lower;
            }

            value.data = r->header_start;
            value.len = r->header_end - r->header_start;

            for (p = value.data; p < value.data + value.len; p++) {
                if (*p < 0x20 && *p != '\t') {
                    return NGX_ERROR;
                }
            }

            if (ngx_http_llm_framing(ctx, name, &value) != NGX_OK
                || ngx_http_llm_header(ctx, name, &value) != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
            r->state = 0;
            return NGX_OK;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "llm provider sent an invalid header");
        return NGX_ERROR;
    }
}


/* What decides where the body ends; contradictions are refused. */

static ngx_int_t
ngx_http_llm_framing(ngx_http_llm_ctx_t *ctx, llm_str_t name,
    ngx_str_t *value)
{
    off_t                  n;
    ngx_log_t             *log;
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;
    log = ctx->request->connection->log;

    if (llm_str_eq(name, LLM_STR("content-length"))) {
        n = ngx_atoof(value->data, value->len);

        if (n == NGX_ERROR || f->has_length || f->chunked) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "llm provider sent an invalid \"Content-Length\"");
            return NGX_ERROR;
        }

        f->has_length = 1;
        f->rest = n;
        return NGX_OK;
    }

    if (llm_str_eq(name, LLM_STR("transfer-encoding"))) {

        if (f->has_length || f->chunked || value->len != 7
            || ngx_strncasecmp(value->data, (u_char *) "chunked", 7) != 0)
        {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "llm provider sent an invalid "
                          "\"Transfer-Encoding\": \"%V\"", value);
            return NGX_ERROR;
        }

        f->chunked = 1;
        return NGX_OK;
    }

    if (llm_str_eq(name, LLM_STR("content-encoding"))) {

        if (value->len != 8
            || ngx_strncasecmp(value->data, (u_char *) "identity", 8) != 0)
        {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "llm provider sent \"Content-Encoding: %V\", "
                          "which was not asked for", value);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (llm_str_eq(name, LLM_STR("connection"))
        && ngx_strlcasestrn(value->data, value->data + value->len,
                            (u_char *) "close", 5 - 1)
           != NULL)
    {
        f->close = 1;
    }

    return NGX_OK;
}


/* The few headers that are read; all others stop here. */

static ngx_int_t
ngx_http_llm_header(ngx_http_llm_ctx_t *ctx, llm_str_t name, ngx_str_t *value)
{
    ngx_str_t            *copy;
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (send->frame.status.code == NGX_HTTP_SWITCHING_PROTOCOLS
        && ctx->tunnel
        && ngx_http_llm_upgrade_header(ctx, name, value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (llm_str_eq(name, LLM_STR("content-type"))) {
        copy = &send->content_type;

        copy->len = ngx_min(value->len, 256);
        copy->data = ngx_pnalloc(ctx->request->pool, copy->len);

        if (copy->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(copy->data, value->data, copy->len);
        return NGX_OK;
    }

    if (llm_str_eq(name, LLM_STR("location"))) {
        return ngx_http_llm_object_call(ctx, value);
    }

    if (send->frame.status.code >= NGX_HTTP_SPECIAL_RESPONSE
        || ngx_http_llm_shed_hears(send->target->provider))
    {
        llm_hint_header(&send->hint, name, ngx_http_llm_view(value),
                        ngx_http_llm_store_now(&ctx->lmcf->store));
    }

    return NGX_OK;
}
