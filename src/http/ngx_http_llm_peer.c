/*
 * Connections to a provider: its addresses, and the idle pool of this worker.
 *
 * The pool belongs to an origin, that is to host, port and TLS name.  nginx's
 * own keepalive matches socket addresses only, so that two names behind one
 * CDN address would share connections.
 */

#include "ngx_http_llm_compat.h"
#include "ngx_http_llm_peer.h"


/* How long and how often one connection is used, as nginx does by default. */
#define NGX_HTTP_LLM_PEER_REQUESTS  1000
#define NGX_HTTP_LLM_PEER_TIME      3600000


typedef struct {
    ngx_queue_t             queue;
    ngx_http_llm_origin_t  *origin;
    ngx_connection_t       *connection;
    socklen_t               socklen;
    ngx_sockaddr_t          sockaddr;
} ngx_http_llm_idle_t;


static ngx_int_t ngx_http_llm_peer_fixed(ngx_http_llm_origin_t *o,
    ngx_http_llm_addrs_t *addrs);
static void ngx_http_llm_peer_resolved(ngx_resolver_ctx_t *ctx);
static ngx_int_t ngx_http_llm_peer_copy(ngx_http_llm_lookup_t *l,
    ngx_resolver_ctx_t *ctx);
static ngx_str_t *ngx_http_llm_peer_name(ngx_http_request_t *r,
    struct sockaddr *sockaddr, socklen_t socklen);
static ngx_int_t ngx_http_llm_peer_same(ngx_http_request_t *r,
    ngx_http_llm_idle_t *item, ngx_peer_connection_t *pc);
static ngx_int_t ngx_http_llm_peer_init_idle(ngx_http_llm_origin_t *o);
static ngx_uint_t ngx_http_llm_peer_whole(ngx_http_request_t *r,
    ngx_connection_t *c);
static void ngx_http_llm_peer_idle_write(ngx_event_t *ev);
static void ngx_http_llm_peer_idle_read(ngx_event_t *ev);
static void ngx_http_llm_peer_close(ngx_connection_t *c);


ngx_int_t
ngx_http_llm_peer_lookup(ngx_http_request_t *r, ngx_http_llm_origin_t *o,
    ngx_http_llm_lookup_t *l)
{
    ngx_resolver_ctx_t        *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    if (l->pool == NULL) {
        l->pool = r->pool;
    }

    if (l->addrs == NULL) {
        l->addrs = ngx_palloc(l->pool, sizeof(ngx_http_llm_addrs_t));
        if (l->addrs == NULL) {
            return NGX_ERROR;
        }
    }

    l->addrs->naddrs = 0;
    l->addrs->current = 0;
    l->port = o->port;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (o->literal || clcf->resolver == NULL
        || clcf->resolver->connections.nelts == 0)
    {
        return ngx_http_llm_peer_fixed(o, l->addrs);
    }

    ctx = ngx_resolve_start(clcf->resolver, NULL);
    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = o->host;
    ctx->handler = ngx_http_llm_peer_resolved;
    ctx->data = l;
    ctx->timeout = clcf->resolver_timeout;

    l->resolver = ctx;
    l->rc = NGX_ERROR;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        l->resolver = NULL;
        return NGX_ERROR;
    }

    return l->resolver ? NGX_AGAIN : l->rc;
}


/* Addresses known since the start; those of a name are tried in turn. */

static ngx_int_t
ngx_http_llm_peer_fixed(ngx_http_llm_origin_t *o, ngx_http_llm_addrs_t *addrs)
{
    ngx_uint_t   i, n, first;
    ngx_addr_t  *a;

    if (o->naddrs == 0) {
        return NGX_ERROR;
    }

    n = ngx_min(o->naddrs, NGX_HTTP_LLM_PEER_ADDRS);
    first = 0;

    if (!o->literal && o->naddrs > 1) {
        first = (ngx_uint_t) ngx_random() % o->naddrs;
    }

    for (i = 0; i < n; i++) {
        a = &o->addrs[(first + i) % o->naddrs];

        addrs->addr[i].sockaddr = a->sockaddr;
        addrs->addr[i].socklen = a->socklen;
        addrs->addr[i].name = a->name;
    }

    addrs->naddrs = n;

    return NGX_OK;
}


static void
ngx_http_llm_peer_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t              async;
    ngx_http_llm_lookup_t  *l;

    l = ctx->data;
    async = ctx->async;

    if (ctx->state) {
        ngx_log_error(NGX_LOG_ERR, l->pool->log, 0,
                      "llm: \"%V\" could not be resolved (%i: %s)",
                      &ctx->name, ctx->state,
                      ngx_resolver_strerror(ctx->state));
        l->rc = NGX_ERROR;

    } else {
        l->rc = ngx_http_llm_peer_copy(l, ctx);
    }

    ngx_resolve_name_done(ctx);
    l->resolver = NULL;

    /* the handler may free the request, and the lookup with it */

    if (async) {
        l->handler(l);
    }
}


/* The resolver's addresses end with its context; they rotate by themselves. */

static ngx_int_t
ngx_http_llm_peer_copy(ngx_http_llm_lookup_t *l, ngx_resolver_ctx_t *ctx)
{
    u_char           *p;
    socklen_t         socklen;
    ngx_uint_t        i, n;
    struct sockaddr  *sockaddr;

    n = ngx_min(ctx->naddrs, NGX_HTTP_LLM_PEER_ADDRS);

    for (i = 0; i < n; i++) {
        socklen = ctx->addrs[i].socklen;

        sockaddr = ngx_palloc(l->pool, socklen);
        p = ngx_pnalloc(l->pool, NGX_SOCKADDR_STRLEN);
        if (sockaddr == NULL || p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(sockaddr, ctx->addrs[i].sockaddr, socklen);
        ngx_inet_set_port(sockaddr, l->port);

        l->addrs->addr[i].sockaddr = sockaddr;
        l->addrs->addr[i].socklen = socklen;
        l->addrs->addr[i].name.data = p;
        l->addrs->addr[i].name.len = ngx_sock_ntop(sockaddr, socklen, p,
                                                   NGX_SOCKADDR_STRLEN, 1);
    }

    l->addrs->naddrs = n;

    return n ? NGX_OK : NGX_ERROR;
}


void
ngx_http_llm_peer_lookup_cancel(ngx_http_llm_lookup_t *l)
{
    if (l->resolver) {
        ngx_resolve_name_done(l->resolver);
        l->resolver = NULL;
    }
}


ngx_int_t
ngx_http_llm_peer_reuse(ngx_http_llm_origin_t *o, ngx_http_request_t *r,
    ngx_peer_connection_t *pc)
{
    ngx_queue_t          *q;
    ngx_connection_t     *c;
    ngx_http_llm_idle_t  *item;

    if (!o->inited || ngx_queue_empty(&o->idle)) {
        return NGX_DECLINED;
    }

    q = ngx_queue_head(&o->idle);
    item = ngx_queue_data(q, ngx_http_llm_idle_t, queue);

    if (ngx_http_llm_peer_same(r, item, pc) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_queue_remove(q);
    ngx_queue_insert_head(&o->spare, q);

    c = item->connection;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "llm peer: using idle connection %p", c);

    c->idle = 0;
    c->sent = 0;
    c->data = NULL;
    c->log = pc->log;
    c->read->log = pc->log;
    c->write->log = pc->log;
    c->pool->log = pc->log;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    pc->connection = c;
    pc->cached = 1;

    return NGX_DONE;
}


/*
 * A connection to any address of the origin will do; the log shall name the
 * one it has.  The item is used again soon, so the request gets its own copy.
 */

static ngx_int_t
ngx_http_llm_peer_same(ngx_http_request_t *r, ngx_http_llm_idle_t *item,
    ngx_peer_connection_t *pc)
{
    ngx_str_t        *name;
    struct sockaddr  *sockaddr;

    if (pc->sockaddr
        && ngx_memn2cmp((u_char *) &item->sockaddr, (u_char *) pc->sockaddr,
                        item->socklen, pc->socklen)
           == 0)
    {
        return NGX_OK;
    }

    sockaddr = ngx_palloc(r->pool, item->socklen);
    if (sockaddr == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(sockaddr, &item->sockaddr, item->socklen);

    name = ngx_http_llm_peer_name(r, sockaddr, item->socklen);
    if (name == NULL) {
        return NGX_ERROR;
    }

    pc->sockaddr = sockaddr;
    pc->socklen = item->socklen;
    pc->name = name;

    return NGX_OK;
}


static ngx_str_t *
ngx_http_llm_peer_name(ngx_http_request_t *r, struct sockaddr *sockaddr,
    socklen_t socklen)
{
    ngx_str_t  *name;

    name = ngx_palloc(r->pool, sizeof(ngx_str_t) + NGX_SOCKADDR_STRLEN);
    if (name == NULL) {
        return NULL;
    }

    name->data = (u_char *) (name + 1);
    name->len = ngx_sock_ntop(sockaddr, socklen, name->data,
                              NGX_SOCKADDR_STRLEN, 1);

    return name;
}


ngx_int_t
ngx_http_llm_peer_keep(ngx_http_llm_origin_t *o, ngx_http_request_t *r,
    ngx_peer_connection_t *pc)
{
    ngx_queue_t          *q;
    ngx_connection_t     *c;
    ngx_http_llm_idle_t  *item;

    c = pc->connection;

    if (c == NULL || o->keepalive == 0 || !ngx_http_llm_peer_whole(r, c)
        || ngx_http_llm_peer_init_idle(o) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "llm peer: saving connection %p", c);

    if (ngx_queue_empty(&o->spare)) {
        q = ngx_queue_last(&o->idle);
        item = ngx_queue_data(q, ngx_http_llm_idle_t, queue);
        ngx_http_llm_peer_close(item->connection);

    } else {
        q = ngx_queue_head(&o->spare);
        item = ngx_queue_data(q, ngx_http_llm_idle_t, queue);
    }

    ngx_queue_remove(q);
    ngx_queue_insert_head(&o->idle, q);

    item->connection = c;
    item->socklen = ngx_min(pc->socklen, (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&item->sockaddr, pc->sockaddr, item->socklen);

    pc->connection = NULL;

    c->read->delayed = 0;
    ngx_add_timer(c->read, o->keepalive_timeout);

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->write->handler = ngx_http_llm_peer_idle_write;
    c->read->handler = ngx_http_llm_peer_idle_read;

    c->data = item;
    c->idle = 1;
    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->pool->log = ngx_cycle->log;

    if (c->read->ready) {
        ngx_http_llm_peer_idle_read(c->read);
    }

    return NGX_OK;
}


/* Both sides are done with the exchange, and the connection is sound. */

static ngx_uint_t
ngx_http_llm_peer_whole(ngx_http_request_t *r, ngx_connection_t *c)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (c->read->eof
        || c->read->error
        || c->read->timedout
        || c->write->error
        || c->write->timedout)
    {
        return 0;
    }

    if (u == NULL || !u->keepalive || !u->request_body_sent) {
        return 0;
    }

    if (c->requests >= NGX_HTTP_LLM_PEER_REQUESTS
        || ngx_current_msec - c->start_time > NGX_HTTP_LLM_PEER_TIME)
    {
        return 0;
    }

    return !(ngx_terminate || ngx_exiting);
}


static ngx_int_t
ngx_http_llm_peer_init_idle(ngx_http_llm_origin_t *o)
{
    ngx_uint_t            i;
    ngx_http_llm_idle_t  *item;

    if (o->inited) {
        return NGX_OK;
    }

    item = ngx_pcalloc(ngx_cycle->pool,
                       sizeof(ngx_http_llm_idle_t) * o->keepalive);
    if (item == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&o->idle);
    ngx_queue_init(&o->spare);

    for (i = 0; i < o->keepalive; i++) {
        item[i].origin = o;
        ngx_queue_insert_tail(&o->spare, &item[i].queue);
    }

    o->inited = 1;

    return NGX_OK;
}


static void
ngx_http_llm_peer_idle_write(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0, "llm peer: idle write");
}


/*
 * An idle TLS connection becomes readable for a session ticket: only what the
 * TLS layer hands on as data, or the end, makes it useless.
 */

static void
ngx_http_llm_peer_idle_read(ngx_event_t *ev)
{
    u_char                buf[1];
    ngx_connection_t     *c;
    ngx_http_llm_idle_t  *item;

    c = ev->data;

    if (!c->close && !ev->timedout) {

        if (c->recv(c, buf, 1) == NGX_AGAIN
            && ngx_handle_read_event(c->read, 0) == NGX_OK)
        {
            return;
        }
    }

    item = c->data;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ev->log, 0,
                   "llm peer: closing idle connection %p", c);

    ngx_queue_remove(&item->queue);
    ngx_queue_insert_head(&item->origin->spare, &item->queue);

    ngx_http_llm_peer_close(c);
}


static void
ngx_http_llm_peer_close(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;

        if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
            c->ssl->handler = ngx_http_llm_peer_close;
            return;
        }
    }

#endif

    ngx_destroy_pool(c->pool);
    ngx_close_connection(c);
}


#if (NGX_HTTP_SSL)

ngx_int_t
ngx_http_llm_peer_set_session(ngx_http_llm_origin_t *o,
    ngx_peer_connection_t *pc)
{
    return ngx_ssl_set_session(pc->connection, o->session);
}


void
ngx_http_llm_peer_save_session(ngx_http_llm_origin_t *o,
    ngx_peer_connection_t *pc)
{
    ngx_ssl_session_t  *old, *session;

    session = ngx_ssl_get_session(pc->connection);
    if (session == NULL) {
        return;
    }

    old = o->session;
    o->session = session;

    if (old) {
        ngx_ssl_free_session(old);
    }
}

#endif


void
ngx_http_llm_origin_exit(ngx_http_llm_origin_t *o)
{
    ngx_queue_t          *q;
    ngx_http_llm_idle_t  *item;

    if (o->inited) {
        while (!ngx_queue_empty(&o->idle)) {
            q = ngx_queue_head(&o->idle);
            item = ngx_queue_data(q, ngx_http_llm_idle_t, queue);

            ngx_queue_remove(q);
            ngx_queue_insert_head(&o->spare, q);

            ngx_http_llm_peer_close(item->connection);
        }
    }

#if (NGX_HTTP_SSL)

    if (o->session) {
        ngx_ssl_free_session(o->session);
        o->session = NULL;
    }

#endif
}
