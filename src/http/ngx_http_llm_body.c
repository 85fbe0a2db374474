/*
 * The client's body as one piece of memory, wherever nginx has put it.
 *
 * A body in a temporary file is mapped, never copied: the scan touches its
 * pages once, the attempts send spans of the file.  nginx unlinks that file at
 * once, so nobody can cut it under the mapping.
 */

#include "ngx_http_llm_ctx.h"

#include <sys/mman.h>


static ngx_int_t ngx_http_llm_map_body(ngx_http_llm_ctx_t *ctx,
    ngx_temp_file_t *tf);
static void ngx_http_llm_unmap_body(void *data);


/* Sees the whole body as one piece of memory. */

ngx_int_t
ngx_http_llm_view_body(ngx_http_llm_ctx_t *ctx)
{
    u_char                   *p;
    size_t                    len;
    ngx_chain_t              *cl;
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

    len = 0;

    for (cl = rb->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
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

    addr = mmap(NULL, len, PROT_READ, MAP_PRIVATE, tf->file.fd, 0);

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

    return NGX_OK;
}


static void
ngx_http_llm_unmap_body(void *data)
{
    ngx_str_t  *body = data;

    (void) munmap(body->data, body->len);
}
