/*
 * The client's body as one piece of memory, wherever nginx has put it.
 *
 * A body in a temporary file is mapped, never copied: the scan touches its
 * pages once, the attempts send spans of the file.  nginx unlinks that file at
 * once, so nobody can cut it under the mapping.
 */

#include "ngx_http_llm_ctx.h"

#include <sys/mman.h>


/* Linux maps the pages at once, which is much cheaper than a fault for each */
#ifndef MAP_POPULATE
#define MAP_POPULATE  0
#endif


static ngx_int_t ngx_http_llm_join_body(ngx_http_llm_ctx_t *ctx,
    ngx_http_request_body_t *rb);
static ngx_int_t ngx_http_llm_map_body(ngx_http_llm_ctx_t *ctx,
    ngx_temp_file_t *tf);
static void ngx_http_llm_unmap_body(void *data);


/* Sees the whole body as one piece of memory. */

ngx_int_t
ngx_http_llm_view_body(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_body_t  *rb;

    rb = ctx->request->request_body;

    if (rb == NULL || rb->bufs == NULL) {
        return NGX_OK;
    }

    if (rb->temp_file) {
        return ngx_http_llm_map_body(ctx, rb->temp_file);
    }

    if (rb->bufs->next == NULL) {
        ctx->body.data = rb->bufs->buf->pos;
        ctx->body.len = rb->bufs->buf->last - rb->bufs->buf->pos;
        return NGX_OK;
    }

    return ngx_http_llm_join_body(ctx, rb);
}


/*
 * A large body in memory begins in the buffer of the request's head.  nginx has
 * left room for that piece behind the rest (request_body_in_single_buf): moving
 * the rest is cheaper than memory for both.
 */

static ngx_int_t
ngx_http_llm_join_body(ngx_http_llm_ctx_t *ctx, ngx_http_request_body_t *rb)
{
    u_char       *p, *end;
    size_t        first, len;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = rb->buf;
    first = ngx_buf_size(rb->bufs->buf);
    end = b ? b->start : NULL;
    len = first;

    for (cl = rb->bufs->next; cl; cl = cl->next) {

        if (cl->buf->pos == end) {
            end = cl->buf->last;
        }

        len += ngx_buf_size(cl->buf);
    }

    if (b && end == b->start + (len - first)
        && (size_t) (b->end - end) >= first)
    {
        ngx_memmove(b->start + first, b->start, len - first);
        ngx_memcpy(b->start, rb->bufs->buf->pos, first);

        ctx->body.data = b->start;
        ctx->body.len = len;

        return NGX_OK;
    }

    p = ngx_pnalloc(ctx->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->body.data = p;
    ctx->body.len = len;

    for (cl = rb->bufs; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, ngx_buf_size(cl->buf));
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_map_body(ngx_http_llm_ctx_t *ctx, ngx_temp_file_t *tf)
{
    void                *addr;
    size_t               len;
    ngx_str_t           *body;
    ngx_pool_cleanup_t  *cln;

    len = (size_t) tf->file.offset;

    cln = ngx_pool_cleanup_add(ctx->request->pool, sizeof(ngx_str_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    addr = mmap(NULL, len, PROT_READ, MAP_PRIVATE|MAP_POPULATE, tf->file.fd, 0);

    if (addr == MAP_FAILED) {
        ngx_log_error(NGX_LOG_CRIT, ctx->request->connection->log, ngx_errno,
                      "mmap(%uz) of the request body failed", len);
        return NGX_ERROR;
    }

    body = cln->data;
    body->data = addr;
    body->len = len;
    cln->handler = ngx_http_llm_unmap_body;

    ctx->body = *body;
    ctx->mapped = 1;

    return NGX_OK;
}


/* After the scan the pages of an upload need not stay in this process; what is
 * looked at again comes back from the page cache. */

void
ngx_http_llm_release_body(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->mapped) {
        (void) madvise(ctx->body.data, ctx->body.len, MADV_DONTNEED);
    }
}


static void
ngx_http_llm_unmap_body(void *data)
{
    ngx_str_t  *body = data;

    (void) munmap(body->data, body->len);
}
