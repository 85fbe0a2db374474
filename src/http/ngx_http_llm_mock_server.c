
/*
 * The server end of a mocked connection: reading requests, waiting, sending.
 *
 * While a request is under way a timer is always set, so that a worker that
 * quits waits for it; between requests the connection counts as idle and is
 * closed with the other idle ones.  It lives as long as its peer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_llm_mock_server.h"


#define NGX_HTTP_LLM_MOCK_READ      16384
#define NGX_HTTP_LLM_MOCK_WATCHDOG  3600000            /* ms */


static void ngx_http_llm_mock_read_handler(ngx_event_t *rev);
static void ngx_http_llm_mock_write_handler(ngx_event_t *wev);
static void ngx_http_llm_mock_timer_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_llm_mock_begin(ngx_http_llm_mock_t *ms);
static ngx_int_t ngx_http_llm_mock_input(ngx_http_llm_mock_t *ms, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_mock_head_input(ngx_http_llm_mock_t *ms,
    u_char *p, size_t n);
static ngx_int_t ngx_http_llm_mock_body_input(ngx_http_llm_mock_t *ms,
    u_char *p, size_t n);
static ngx_int_t ngx_http_llm_mock_keep(ngx_http_llm_mock_t *ms, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_mock_grow(ngx_http_llm_mock_t *ms, size_t size);
static void ngx_http_llm_mock_ready(ngx_http_llm_mock_t *ms);
static void ngx_http_llm_mock_send(ngx_http_llm_mock_t *ms);
static ngx_int_t ngx_http_llm_mock_flush(ngx_http_llm_mock_t *ms);
static void ngx_http_llm_mock_finish(ngx_http_llm_mock_t *ms);
static void ngx_http_llm_mock_timer(ngx_http_llm_mock_t *ms, ngx_msec_t timer);
static void ngx_http_llm_mock_close(ngx_http_llm_mock_t *ms);


ngx_int_t
ngx_http_llm_mock_serve(ngx_connection_t *c, ngx_http_llm_mock_conf_t *mcf)
{
    ngx_http_llm_mock_t  *ms;

    ms = ngx_pcalloc(c->pool, sizeof(ngx_http_llm_mock_t));
    if (ms == NULL) {
        return NGX_ERROR;
    }

    ms->connection = c;
    ms->conf = mcf;
    ms->timer.handler = ngx_http_llm_mock_timer_handler;
    ms->timer.data = c;
    ms->timer.log = c->log;

    c->data = ms;
    c->idle = 1;
    c->read->handler = ngx_http_llm_mock_read_handler;
    c->write->handler = ngx_http_llm_mock_write_handler;

    return NGX_OK;
}


/* ---- events -------------------------------------------------------------- */

static void
ngx_http_llm_mock_read_handler(ngx_event_t *rev)
{
    ssize_t               n;
    ngx_connection_t     *c;
    ngx_http_llm_mock_t  *ms;

    static u_char  buf[NGX_HTTP_LLM_MOCK_READ];

    c = rev->data;
    ms = c->data;

    if (c->close) {
        ngx_http_llm_mock_close(ms);
        return;
    }

    for ( ;; ) {

        if (ms->state == NGX_HTTP_LLM_MOCK_IDLE
            && ngx_http_llm_mock_begin(ms) == NGX_DONE)
        {
            return;
        }

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_llm_mock_close(ms);
            }
            return;
        }

        /* the peer closed, or sent something before it had its answer */

        if (n <= 0 || ms->state > NGX_HTTP_LLM_MOCK_BODY) {
            ngx_http_llm_mock_close(ms);
            return;
        }

        if (ngx_http_llm_mock_input(ms, buf, n) == NGX_DONE) {
            return;
        }
    }
}


static void
ngx_http_llm_mock_write_handler(ngx_event_t *wev)
{
    ngx_connection_t     *c;
    ngx_http_llm_mock_t  *ms;

    c = wev->data;
    ms = c->data;

    if (ms->state == NGX_HTTP_LLM_MOCK_SEND && ms->out.len) {
        ngx_http_llm_mock_send(ms);
        return;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_http_llm_mock_close(ms);
    }
}


static void
ngx_http_llm_mock_timer_handler(ngx_event_t *ev)
{
    ngx_connection_t     *c;
    ngx_http_llm_mock_t  *ms;

    c = ev->data;
    ms = c->data;

    if (ms->state == NGX_HTTP_LLM_MOCK_WAIT) {
        if (ngx_http_llm_mock_answer(ms) == NGX_OK) {
            ms->state = NGX_HTTP_LLM_MOCK_SEND;
            ngx_http_llm_mock_send(ms);
            return;
        }

    } else if (ms->state == NGX_HTTP_LLM_MOCK_SEND && ms->out.len == 0
               && ms->then == NGX_HTTP_LLM_MOCK_PAUSE)
    {
        if (ngx_http_llm_mock_next(ms) == NGX_OK) {
            ngx_http_llm_mock_send(ms);
            return;
        }
    }

    ngx_http_llm_mock_close(ms);
}


static void
ngx_http_llm_mock_timer(ngx_http_llm_mock_t *ms, ngx_msec_t timer)
{
    if (ms->timer.timer_set) {
        ngx_del_timer(&ms->timer);
    }

    ngx_add_timer(&ms->timer, timer);
}


/* ---- reading ------------------------------------------------------------- */

/*
 * The first byte of a request has arrived, or the end.  NGX_DONE: the
 * connection is closed.
 */

static ngx_int_t
ngx_http_llm_mock_begin(ngx_http_llm_mock_t *ms)
{
    char               byte;
    ssize_t            n;
    ngx_connection_t  *c;

    c = ms->connection;

    n = recv(c->fd, &byte, 1, MSG_PEEK);

    if (n == -1 && ngx_socket_errno == NGX_EAGAIN) {
        return NGX_OK;
    }

    if (n <= 0) {
        ngx_http_llm_mock_close(ms);
        return NGX_DONE;
    }

    ngx_http_llm_mock_fate(ms);

    /* with bytes unread, closing is a reset to the peer */

    if (ms->fault == NGX_HTTP_LLM_MOCK_RESET) {
        ngx_http_llm_mock_close(ms);
        return NGX_DONE;
    }

    ms->pool = ngx_create_pool(4096, c->log);
    if (ms->pool == NULL) {
        ngx_http_llm_mock_close(ms);
        return NGX_DONE;
    }

    c->idle = 0;
    ms->state = NGX_HTTP_LLM_MOCK_HEAD;
    ngx_http_llm_mock_timer(ms, NGX_HTTP_LLM_MOCK_WATCHDOG);

    return NGX_OK;
}


/* NGX_DONE: do not read on, the connection may be closed. */

static ngx_int_t
ngx_http_llm_mock_input(ngx_http_llm_mock_t *ms, u_char *p, size_t n)
{
    ngx_int_t  rc;

    rc = ms->state == NGX_HTTP_LLM_MOCK_HEAD
         ? ngx_http_llm_mock_head_input(ms, p, n)
         : ngx_http_llm_mock_body_input(ms, p, n);

    if (rc == NGX_AGAIN) {
        return NGX_OK;
    }

    if (rc == NGX_OK) {
        ngx_http_llm_mock_ready(ms);

    } else {
        ngx_http_llm_mock_close(ms);
    }

    return NGX_DONE;
}


/* NGX_AGAIN: more is to come; NGX_OK: that was all; NGX_ERROR. */

static ngx_int_t
ngx_http_llm_mock_head_input(ngx_http_llm_mock_t *ms, u_char *p, size_t n)
{
    u_char    *mem;
    size_t     used;
    llm_rc_t   rc;
    llm_str_t  head;

    mem = ngx_pnalloc(ms->pool, ms->head_len + n);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    if (ms->head_len) {
        ngx_memcpy(mem, ms->head_mem, ms->head_len);
    }

    ngx_memcpy(mem + ms->head_len, p, n);

    head.data = mem;
    head.len = ms->head_len + n;
    used = ms->head_len;

    ms->head_mem = mem;
    ms->head_len = head.len;

    rc = llm_mock_head(head, &ms->head);

    if (rc == LLM_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != LLM_OK) {
        ngx_log_error(NGX_LOG_ERR, ms->connection->log, 0,
                      "llm mock: invalid request head");
        return NGX_ERROR;
    }

    ms->state = NGX_HTTP_LLM_MOCK_BODY;
    used = ms->head.size - used;

    return ngx_http_llm_mock_body_input(ms, p + used, n - used);
}


static ngx_int_t
ngx_http_llm_mock_body_input(ngx_http_llm_mock_t *ms, u_char *p, size_t n)
{
    size_t    data;
    llm_rc_t  rc;

    if (ms->head.chunked) {
        rc = llm_mock_dechunk(&ms->chunked, p, n, &data);
        if (rc == LLM_BAD) {
            return NGX_ERROR;
        }

    } else {
        data = n;
        rc = ms->received + data >= ms->head.length ? LLM_OK : LLM_AGAIN;
    }

    ms->received += data;

    if (data && ngx_http_llm_mock_keep(ms, p, data) != NGX_OK) {
        return NGX_ERROR;
    }

    return rc == LLM_OK ? NGX_OK : NGX_AGAIN;
}


/*
 * An upload is kept in constant memory: its middle is nothing but audio, so the
 * first bytes (the part headers, and the beginning of the file) and the last
 * ones (parts behind it) are enough.
 */

static ngx_int_t
ngx_http_llm_mock_keep(ngx_http_llm_mock_t *ms, u_char *p, size_t n)
{
    size_t     len, limit;
    ngx_buf_t  *b;

    b = &ms->body;
    len = b->last - b->start;
    limit = ms->head.type.len >= 10
            && ngx_strncasecmp((u_char *) ms->head.type.data,
                               (u_char *) "multipart/", 10) == 0
            ? NGX_HTTP_LLM_MOCK_KEEP : NGX_HTTP_LLM_MOCK_JSON_MAX;

    if (len + n > limit) {

        if (limit == NGX_HTTP_LLM_MOCK_JSON_MAX) {
            ms->too_large = 1;
            return NGX_OK;
        }

        ngx_memmove(b->start + NGX_HTTP_LLM_MOCK_FIRST,
                    b->start + NGX_HTTP_LLM_MOCK_FIRST
                    + NGX_HTTP_LLM_MOCK_DROP,
                    len - NGX_HTTP_LLM_MOCK_FIRST - NGX_HTTP_LLM_MOCK_DROP);

        b->last -= NGX_HTTP_LLM_MOCK_DROP;
        len -= NGX_HTTP_LLM_MOCK_DROP;
        ms->elided += NGX_HTTP_LLM_MOCK_DROP;
    }

    if (len + n > (size_t) (b->end - b->start)
        && ngx_http_llm_mock_grow(ms, len + n) != NGX_OK)
    {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, p, n);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_mock_grow(ngx_http_llm_mock_t *ms, size_t size)
{
    u_char     *mem;
    size_t      len;
    ngx_buf_t  *b;

    b = &ms->body;
    len = b->last - b->start;

    size = ngx_max(size, 2 * (size_t) (b->end - b->start));

    if (b->start == NULL && ms->head.length < NGX_HTTP_LLM_MOCK_KEEP) {
        size = ngx_max(size, (size_t) ms->head.length);
    }

    mem = ngx_palloc(ms->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    if (b->start) {
        ngx_memcpy(mem, b->start, len);
        (void) ngx_pfree(ms->pool, b->start);
    }

    b->start = mem;
    b->last = mem + len;
    b->end = mem + size;

    return NGX_OK;
}


static void
ngx_http_llm_mock_ready(ngx_http_llm_mock_t *ms)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ms->connection->log, 0,
                   "llm mock request: %uL bytes, fault:%Xui",
                   ms->received, ms->fault);

    ms->state = NGX_HTTP_LLM_MOCK_WAIT;
    ngx_http_llm_mock_timer(ms, ngx_http_llm_mock_delay(ms));
}


/* ---- sending ------------------------------------------------------------- */

static void
ngx_http_llm_mock_send(ngx_http_llm_mock_t *ms)
{
    for ( ;; ) {

        switch (ngx_http_llm_mock_flush(ms)) {

        case NGX_OK:
            break;

        case NGX_AGAIN:
            ngx_http_llm_mock_timer(ms, NGX_HTTP_LLM_MOCK_WATCHDOG);
            return;

        default:
            ngx_http_llm_mock_close(ms);
            return;
        }

        switch (ms->then) {

        case NGX_HTTP_LLM_MOCK_FINISH:
            ngx_http_llm_mock_finish(ms);
            return;

        case NGX_HTTP_LLM_MOCK_PAUSE:
            if (ms->conf->chunk_interval) {
                ngx_http_llm_mock_timer(ms, ms->conf->chunk_interval);
                return;
            }

            /* fall through */

        case NGX_HTTP_LLM_MOCK_EVENT:
            if (ngx_http_llm_mock_next(ms) != NGX_OK) {
                ngx_http_llm_mock_close(ms);
                return;
            }
            break;

        case NGX_HTTP_LLM_MOCK_STALL:
            ngx_http_llm_mock_timer(ms, NGX_HTTP_LLM_MOCK_WATCHDOG);
            return;

        default:
            ngx_http_llm_mock_close(ms);
            return;
        }
    }
}


static ngx_int_t
ngx_http_llm_mock_flush(ngx_http_llm_mock_t *ms)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = ms->connection;

    while (ms->out.len) {
        n = c->send(c, (u_char *) ms->out.data, ms->out.len);

        if (n == NGX_AGAIN || n == 0) {
            return ngx_handle_write_event(c->write, 0) == NGX_OK ? NGX_AGAIN
                                                                 : NGX_ERROR;
        }

        if (n < 0) {
            return NGX_ERROR;
        }

        ms->out.data += n;
        ms->out.len -= n;
    }

    return NGX_OK;
}


/* The connection is ready for another request, or gone. */

static void
ngx_http_llm_mock_finish(ngx_http_llm_mock_t *ms)
{
    ngx_event_t                timer;
    ngx_connection_t          *c;
    ngx_http_llm_mock_conf_t  *conf;

    if (ngx_exiting || ngx_terminate || ms->head.close) {
        ngx_http_llm_mock_close(ms);
        return;
    }

    if (ms->timer.timer_set) {
        ngx_del_timer(&ms->timer);
    }

    ngx_destroy_pool(ms->pool);

    c = ms->connection;
    conf = ms->conf;
    timer = ms->timer;

    ngx_memzero(ms, sizeof(ngx_http_llm_mock_t));

    ms->connection = c;
    ms->conf = conf;
    ms->timer = timer;

    c->idle = 1;
}


static void
ngx_http_llm_mock_close(ngx_http_llm_mock_t *ms)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = ms->connection;

    if (ms->timer.timer_set) {
        ngx_del_timer(&ms->timer);
    }

    if (ms->pool) {
        ngx_destroy_pool(ms->pool);
    }

    pool = c->pool;

    ngx_close_connection(c);
    ngx_destroy_pool(pool);
}
