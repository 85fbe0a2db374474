/*
 * llm_request_buffering off: a body that goes to the provider as it comes.
 *
 * nginx's upstream code reads it and sends what it has read; here are its
 * framing and its end.  What was sent is gone, so there is one attempt, on a
 * connection of its own: whether an idle one was closed meanwhile would only
 * be seen after a part of the body was lost on it.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_UPLOAD_SIZE  (sizeof("ffffffffffffffff" CRLF) - 1)


struct ngx_http_llm_upload_s {
    ngx_chain_t                 *free;
    ngx_chain_t                 *busy;
    unsigned                     chunked:1;
    unsigned                     begun:1;       /* the head was sent */
};


static ngx_int_t ngx_http_llm_upload_send(void *data, ngx_chain_t *in);
static ngx_int_t ngx_http_llm_upload_frame(ngx_http_llm_ctx_t *ctx,
    ngx_chain_t **in);
static ngx_int_t ngx_http_llm_upload_add(ngx_http_llm_ctx_t *ctx,
    ngx_chain_t ***last, ngx_buf_t *b);
static ngx_int_t ngx_http_llm_upload_put(ngx_http_llm_ctx_t *ctx,
    ngx_chain_t ***last, u_char *text, size_t len);


/* Where nothing of the body is read; a handshake has none. */

ngx_uint_t
ngx_http_llm_upload_wanted(ngx_http_llm_ctx_t *ctx)
{
    return !ctx->llcf->request_buffering && ctx->passthrough
           && ctx->tunnel == NULL;
}


/* More of it is to come than came with the head. */

ngx_int_t
ngx_http_llm_upload_begin(ngx_http_llm_ctx_t *ctx)
{
    ctx->upload = ngx_pcalloc(ctx->request->pool,
                              sizeof(ngx_http_llm_upload_t));
    if (ctx->upload == NULL) {
        return NGX_ERROR;
    }

    ctx->upload->chunked = ctx->request->headers_in.chunked;
    ctx->no_cache = 1;

    return NGX_OK;
}


/* nginx counts a length where it was not told one: as far as it has read. */

off_t
ngx_http_llm_upload_length(ngx_http_llm_ctx_t *ctx)
{
    return ctx->upload->chunked ? -1
                                : ctx->request->headers_in.content_length_n;
}


void
ngx_http_llm_upload_output(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;
    u->output.output_filter = ngx_http_llm_upload_send;
    u->output.filter_ctx = ctx;
}


static ngx_int_t
ngx_http_llm_upload_send(void *data, ngx_chain_t *in)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_int_t               rc;
    ngx_http_request_t     *r;
    ngx_http_llm_upload_t  *l;

    r = ctx->request;
    l = ctx->upload;

    if (l->chunked && in && ngx_http_llm_upload_frame(ctx, &in) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_llm_write(ctx, in);

    if (l->chunked) {
        ngx_chain_update_chains(r->pool, &l->free, &l->busy, &in,
                                (ngx_buf_tag_t) &ngx_http_llm_upload_send);
    }

    return rc;
}


/* What came at once becomes one chunk, behind the head if that is still to be
 * sent. */

static ngx_int_t
ngx_http_llm_upload_frame(ngx_http_llm_ctx_t *ctx, ngx_chain_t **in)
{
    off_t          size;
    u_char         text[NGX_HTTP_LLM_UPLOAD_SIZE], *p;
    ngx_uint_t     last;
    ngx_chain_t   *cl, *ln, *out, **ll;

    out = NULL;
    ll = &out;
    cl = *in;

    if (!ctx->upload->begun) {
        ctx->upload->begun = 1;

        if (ngx_http_llm_upload_add(ctx, &ll, cl->buf) != NGX_OK) {
            return NGX_ERROR;
        }

        cl = cl->next;
    }

    size = 0;
    last = 0;

    for (ln = cl; ln; ln = ln->next) {
        size += ngx_buf_size(ln->buf);
        last |= ln->buf->last_buf;
    }

    if (size) {
        p = ngx_sprintf(text, "%xO" CRLF, size);

        if (ngx_http_llm_upload_put(ctx, &ll, text, p - text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (ln = cl; ln; ln = ln->next) {
        if (ngx_buf_size(ln->buf)
            && ngx_http_llm_upload_add(ctx, &ll, ln->buf) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (size && ngx_http_llm_upload_put(ctx, &ll, (u_char *) CRLF, 2)
                != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (last && ngx_http_llm_upload_put(ctx, &ll, (u_char *) "0" CRLF CRLF, 5)
                != NGX_OK)
    {
        return NGX_ERROR;
    }

    *in = out;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_upload_add(ngx_http_llm_ctx_t *ctx, ngx_chain_t ***last,
    ngx_buf_t *b)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(ctx->request->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;
    cl->next = NULL;

    **last = cl;
    *last = &cl->next;

    return NGX_OK;
}


/* nginx would keep the end of the request in its TLS buffer: flush. */

static ngx_int_t
ngx_http_llm_upload_put(ngx_http_llm_ctx_t *ctx, ngx_chain_t ***last,
    u_char *text, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(ctx->request->pool, &ctx->upload->free);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(ctx->request->pool, NGX_HTTP_LLM_UPLOAD_SIZE);
        if (b->start == NULL) {
            return NGX_ERROR;
        }

        b->end = b->start + NGX_HTTP_LLM_UPLOAD_SIZE;
        b->tag = (ngx_buf_tag_t) &ngx_http_llm_upload_send;
        b->temporary = 1;
        b->flush = 1;
    }

    b->pos = b->start;
    b->last = ngx_cpymem(b->start, text, len);

    cl->next = NULL;
    **last = cl;
    *last = &cl->next;

    return NGX_OK;
}


/*
 * A refusal is known before all of the body is: the rest is of no use, and
 * nginx closes both connections when the answer has been sent.
 */

void
ngx_http_llm_upload_answered(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->reading_body && ctx->send->frame.status.code >= 300) {
        ctx->conf.preserve_output = 0;
        r->read_event_handler = ngx_http_test_reading;
    }
}


/*
 * nginx ends a request whose body was sent unbuffered when its peer fails.  We
 * want to hear of it in peer.get(), as of any other attempt; what has been sent
 * cannot be sent again, nor be rewound.
 */

void
ngx_http_llm_upload_lost(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    if (u->request_sent) {
        ctx->request->request_body_no_buffering = 0;
        u->request_bufs = NULL;
    }
}


void
ngx_http_llm_upload_parked(ngx_http_llm_ctx_t *ctx)
{
    ctx->request->request_body_no_buffering = 1;
}


/* Whether an upstream has ended because of the client's body; why is told. */

ngx_uint_t
ngx_http_llm_upload_broken(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    if (!ctx->request->reading_body) {
        return 0;
    }

    switch (rc) {

    case NGX_HTTP_BAD_REQUEST:

        if (!ctx->request->connection->error) {
            ctx->code = LLM_CODE_CALLER_BAD_REQUEST;
        }

        return 1;

    case NGX_HTTP_REQUEST_TIME_OUT:
        ctx->code = LLM_CODE_CALLER_TIMEOUT;
        return 1;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        ctx->code = LLM_CODE_CALLER_TOO_LARGE;
        return 1;

    default:
        return 0;
    }
}
