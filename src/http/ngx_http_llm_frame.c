/*
 * The framing of an answer's body, and the two modes that keep it: drained (a
 * refusal) and collected (an answer we send by ourselves).
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_COLLECT   8192       /* first size of a collected answer */


static ngx_int_t ngx_http_llm_frame_plain(ngx_http_llm_ctx_t *ctx,
    ngx_buf_t *b);
static ngx_int_t ngx_http_llm_frame_chunked(ngx_http_llm_ctx_t *ctx,
    ngx_buf_t *b);
static ngx_int_t ngx_http_llm_body(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_drain(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_collect(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);


/* Decodes the framing of [b->pos, b->last) and consumes all of it. */

ngx_int_t
ngx_http_llm_frame(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    ngx_int_t              rc;
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;

    if (ctx->events) {
        /* it may have been sent since the last read */
        ctx->events->writing = NULL;
    }

    if (!f->ended) {
        rc = f->chunked ? ngx_http_llm_frame_chunked(ctx, b)
                        : ngx_http_llm_frame_plain(ctx, b);

        if (rc != NGX_DONE) {
            return rc;
        }

        if (ngx_http_llm_event_tail(ctx) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (b->pos != b->last) {
        /* more than was announced: dropped, and not to be reused */
        f->close = 1;
        b->pos = b->last;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_frame_plain(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    size_t                 n;
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;
    n = b->last - b->pos;

    if (f->has_length && (off_t) n > f->rest) {
        n = (size_t) f->rest;
    }

    if (n && ngx_http_llm_body(ctx, b->pos, n) != NGX_OK) {
        return NGX_ERROR;
    }

    b->pos += n;

    if (f->has_length) {
        f->rest -= n;

        if (f->rest == 0) {
            f->ended = 1;
            return NGX_DONE;
        }
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_llm_frame_chunked(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    size_t                 n;
    ngx_int_t              rc;
    ngx_http_llm_frame_t  *f;

    f = &ctx->send->frame;

    for ( ;; ) {
        rc = ngx_http_llm_parse_chunked(ctx->request, b, &f->chunk);

        if (rc == NGX_OK) {
            n = b->last - b->pos;

            if ((off_t) n > f->chunk.size) {
                n = (size_t) f->chunk.size;
            }

            if (n && ngx_http_llm_body(ctx, b->pos, n) != NGX_OK) {
                return NGX_ERROR;
            }

            b->pos += n;
            f->chunk.size -= n;
            continue;
        }

        if (rc == NGX_DONE) {
            f->ended = 1;
        }

        if (rc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                          "llm provider sent an invalid chunked body");
        }

        return rc;
    }
}


static ngx_int_t
ngx_http_llm_body(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    ngx_http_llm_record_data(ctx->send->record, p, n);

    switch (ctx->send->answer) {

    case NGX_HTTP_LLM_ANSWER_DRAIN:
        return ngx_http_llm_drain(ctx, p, n);

    case NGX_HTTP_LLM_ANSWER_COLLECT:
        return ngx_http_llm_collect(ctx, p, n);

    case NGX_HTTP_LLM_ANSWER_HOLD:
    case NGX_HTTP_LLM_ANSWER_EVENTS:
        return ngx_http_llm_events(ctx, p, n);

    case NGX_HTTP_LLM_ANSWER_RAW:
        return ngx_http_llm_pass_bytes(ctx, p, n);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_llm_drain(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    size_t                 size;
    ngx_buf_t             *b;
    ngx_http_llm_frame_t  *f;

    b = ctx->send->error;
    f = &ctx->send->frame;

    if (b == NULL) {
        size = NGX_HTTP_LLM_ERROR_BODY;

        if (f->has_length && f->rest < (off_t) size) {
            size = (size_t) f->rest;
        }

        b = ngx_create_temp_buf(ctx->request->pool, size);
        if (b == NULL) {
            return NGX_ERROR;
        }

        ctx->send->error = b;
    }

    b->last = ngx_cpymem(b->last, p, ngx_min(n, (size_t) (b->end - b->last)));

    return NGX_OK;
}


/* One contiguous piece, because it is read as JSON afterwards. */

static ngx_int_t
ngx_http_llm_collect(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    u_char                *mem;
    size_t                 size, len;
    ngx_buf_t             *b;
    ngx_pool_t            *pool;
    ngx_http_llm_frame_t  *f;

    b = ctx->send->body;
    f = &ctx->send->frame;
    pool = ctx->request->pool;

    if (b == NULL) {
        size = f->has_length ? (size_t) f->rest : NGX_HTTP_LLM_COLLECT;
        size = ngx_min(size, ctx->llcf->max_answer);

        b = ngx_create_temp_buf(pool, ngx_max(size, n));
        if (b == NULL) {
            return NGX_ERROR;
        }

        ctx->send->body = b;
    }

    if ((size_t) (b->end - b->last) < n) {
        len = b->last - b->start;
        size = ngx_max(2 * (size_t) (b->end - b->start), len + n);

        mem = ngx_palloc(pool, size);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(mem, b->start, len);
        (void) ngx_pfree(pool, b->start);

        b->start = mem;
        b->pos = mem;
        b->last = mem + len;
        b->end = mem + size;
    }

    b->last = ngx_cpymem(b->last, p, n);

    return NGX_OK;
}
