/*
 * The life of a connection to Redis: address, TCP, TLS, hello, ready; and after
 * a failure a wait that grows.
 */

#include "ngx_http_llm_redis_conn.h"


#define NGX_HTTP_LLM_REDIS_RETRY     100        /* ms, the first wait */
#define NGX_HTTP_LLM_REDIS_RETRY_MAX 1000
#define NGX_HTTP_LLM_REDIS_TIMEOUTS  3          /* in a row: a longer wait, */
#define NGX_HTTP_LLM_REDIS_REST      1000       /* ms, that doubles */
#define NGX_HTTP_LLM_REDIS_REST_MAX  10000
#define NGX_HTTP_LLM_REDIS_TOLD      60000      /* ms between the same words */


static void ngx_http_llm_redis_life(ngx_event_t *ev);
static ngx_msec_t ngx_http_llm_redis_pause(ngx_http_llm_redis_conn_t *conn);
static void ngx_http_llm_redis_tear(ngx_http_llm_redis_conn_t *conn);
static void ngx_http_llm_redis_close(ngx_connection_t *c);
static void ngx_http_llm_redis_event(ngx_event_t *ev);
static void ngx_http_llm_redis_reached(ngx_http_llm_redis_conn_t *conn);
static ngx_int_t ngx_http_llm_redis_test(ngx_connection_t *c);

#if (NGX_SSL)
static void ngx_http_llm_redis_tls(ngx_http_llm_redis_conn_t *conn);
static void ngx_http_llm_redis_tls_done(ngx_connection_t *c);
static char *ngx_http_llm_redis_tls_check(ngx_http_llm_redis_conn_t *conn,
    ngx_connection_t *c);
static ngx_str_t ngx_http_llm_redis_tls_name(ngx_http_llm_redis_conn_t *conn);
#endif


ngx_http_llm_redis_conn_t *
ngx_http_llm_redis_conn(ngx_http_llm_redis_t *redis, ngx_uint_t kind)
{
    ngx_http_llm_redis_conn_t  *conn;

    conn = ngx_calloc(sizeof(ngx_http_llm_redis_conn_t), ngx_cycle->log);
    if (conn == NULL) {
        return NULL;
    }

    conn->redis = redis;
    conn->kind = kind;

    ngx_queue_init(&conn->hello);
    ngx_queue_init(&conn->waiting);
    ngx_queue_init(&conn->sent);

    conn->ident.fd = (ngx_socket_t) -1;
    conn->ident.data = conn;

    conn->life.handler = ngx_http_llm_redis_life;
    conn->life.data = &conn->ident;
    conn->life.log = ngx_cycle->log;
    conn->life.cancelable = 1;

    conn->deadline.handler = ngx_http_llm_redis_expire;
    conn->deadline.data = &conn->ident;
    conn->deadline.log = ngx_cycle->log;

    return conn;
}


void
ngx_http_llm_redis_conn_free(ngx_http_llm_redis_conn_t *conn)
{
    ngx_queue_t  *q;

    ngx_http_llm_redis_tear(conn);

    ngx_http_llm_redis_join(&conn->sent, &conn->waiting);
    ngx_http_llm_redis_join(&conn->sent, &conn->hello);

    while (!ngx_queue_empty(&conn->sent)) {
        q = ngx_queue_head(&conn->sent);
        ngx_queue_remove(q);
        ngx_http_llm_redis_cmd_free(ngx_queue_data(q, ngx_http_llm_redis_cmd_t,
                                                   queue));
    }

    ngx_free(conn);
}


void
ngx_http_llm_redis_open(ngx_http_llm_redis_conn_t *conn)
{
    ngx_uint_t  n;

    conn->state = NGX_HTTP_LLM_REDIS_FIND;

    /* each sentinel in turn may not answer */

    n = conn->redis->mode == NGX_HTTP_LLM_REDIS_GUARDED
        ? conn->redis->addrs.nelts + 1 : 1;

    ngx_add_timer(&conn->life, n * conn->redis->timeout);

    ngx_http_llm_redis_find(conn);
}


/* A phase took too long; or the wait is over. */

static void
ngx_http_llm_redis_life(ngx_event_t *ev)
{
    ngx_connection_t           *ident;
    ngx_http_llm_redis_conn_t  *conn;

    ident = ev->data;
    conn = ident->data;

    switch (conn->state) {

    case NGX_HTTP_LLM_REDIS_WAIT:
        conn->state = NGX_HTTP_LLM_REDIS_IDLE;
        break;

    case NGX_HTTP_LLM_REDIS_FIND:
        conn->timeouts++;
        ngx_http_llm_redis_fail(conn, "its address could not be found in time");
        break;

    case NGX_HTTP_LLM_REDIS_CONNECT:
        conn->timeouts++;
        ngx_http_llm_redis_fail(conn, "connecting timed out");
        break;

    case NGX_HTTP_LLM_REDIS_HELLO:
        conn->timeouts++;
        ngx_http_llm_redis_count(conn->redis, timeouts);
        ngx_http_llm_redis_fail(conn, "timed out");
        break;

    default:
        break;
    }
}


void
ngx_http_llm_redis_fail(ngx_http_llm_redis_conn_t *conn, char *why)
{
    conn->failures++;
    conn->turn++;

    if (!conn->learned && conn->redis->mode == NGX_HTTP_LLM_REDIS_CLUSTER) {
        conn->addr = (conn->addr + 1) % conn->redis->addrs.nelts;
    }

    ngx_http_llm_redis_count(conn->redis, failures);
    ngx_http_llm_redis_tell(conn, why);

    ngx_http_llm_redis_tear(conn);

    conn->state = NGX_HTTP_LLM_REDIS_WAIT;
    ngx_add_timer(&conn->life, ngx_http_llm_redis_pause(conn));

    ngx_http_llm_redis_drop(conn);
}


void
ngx_http_llm_redis_leave(ngx_http_llm_redis_conn_t *conn, char *why)
{
    ngx_http_llm_redis_tell(conn, why);
    ngx_http_llm_redis_tear(conn);

    conn->state = NGX_HTTP_LLM_REDIS_IDLE;

    ngx_http_llm_redis_drop(conn);
}


/* Many nodes lose the same Redis: chance keeps them from coming back at
 * once. */

static ngx_msec_t
ngx_http_llm_redis_pause(ngx_http_llm_redis_conn_t *conn)
{
    ngx_uint_t  n;
    ngx_msec_t  ms;

    if (conn->timeouts >= NGX_HTTP_LLM_REDIS_TIMEOUTS) {
        n = ngx_min(conn->timeouts - NGX_HTTP_LLM_REDIS_TIMEOUTS, 8);
        ms = ngx_min((ngx_msec_t) NGX_HTTP_LLM_REDIS_REST << n,
                     NGX_HTTP_LLM_REDIS_REST_MAX);

    } else {
        n = ngx_min(conn->failures - 1, 8);
        ms = ngx_min((ngx_msec_t) NGX_HTTP_LLM_REDIS_RETRY << n,
                     NGX_HTTP_LLM_REDIS_RETRY_MAX);
    }

    return ms * 3 / 4 + (ngx_msec_t) ngx_random() % (ms / 2);
}


static void
ngx_http_llm_redis_tear(ngx_http_llm_redis_conn_t *conn)
{
    ngx_connection_t  *c;

    ngx_http_llm_redis_find_cancel(conn);

    c = conn->peer.connection;

    if (c) {
        conn->peer.connection = NULL;
        ngx_http_llm_redis_close(c);
    }

    if (conn->reader) {
        redisReaderFree(conn->reader);
        conn->reader = NULL;
    }

    if (conn->life.timer_set) {
        ngx_del_timer(&conn->life);
    }

    if (conn->deadline.timer_set) {
        ngx_del_timer(&conn->deadline);
    }

    conn->offset = 0;
    conn->fed = 0;
}


static void
ngx_http_llm_redis_close(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

#if (NGX_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }

#endif

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}


/* The agent speaks for its node; other workers would only repeat it. */

void
ngx_http_llm_redis_tell(ngx_http_llm_redis_conn_t *conn, char *why)
{
    ngx_uint_t  level;

    if (conn->why == why
        && ngx_current_msec - conn->told < NGX_HTTP_LLM_REDIS_TOLD)
    {
        return;
    }

    conn->why = why;
    conn->told = ngx_current_msec;

    level = conn->redis->agent ? NGX_LOG_ERR : NGX_LOG_INFO;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "llm: redis %V%s%V%s: %s",
                  &conn->redis->shown, conn->peer_name.len ? " (" : "",
                  &conn->peer_name, conn->peer_name.len ? ")" : "", why);
}


void
ngx_http_llm_redis_ready(ngx_http_llm_redis_conn_t *conn)
{
    ngx_uint_t  level;

    conn->state = NGX_HTTP_LLM_REDIS_READY;
    conn->failures = 0;

    if (conn->life.timer_set) {
        ngx_del_timer(&conn->life);
    }

    if (conn->why) {
        conn->why = NULL;

        level = conn->redis->agent ? NGX_LOG_NOTICE : NGX_LOG_INFO;

        ngx_log_error(level, ngx_cycle->log, 0,
                      "llm: redis %V (%V) is back",
                      &conn->redis->shown, &conn->peer_name);
    }

    if (!ngx_queue_empty(&conn->waiting)) {
        ngx_post_event(conn->peer.connection->write, &ngx_posted_events);
    }
}


void
ngx_http_llm_redis_connect(ngx_http_llm_redis_conn_t *conn)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *peer;

    conn->state = NGX_HTTP_LLM_REDIS_CONNECT;
    conn->serial++;
    ngx_add_timer(&conn->life, conn->redis->timeout);

    peer = &conn->peer;

    peer->name = &conn->peer_name;
    peer->get = ngx_event_get_peer;
    peer->log = ngx_cycle->log;
    peer->log_error = NGX_ERROR_IGNORE_ECONNRESET;

    rc = ngx_event_connect_peer(peer);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {

        if (peer->connection) {
            ngx_close_connection(peer->connection);
            peer->connection = NULL;
        }

        ngx_http_llm_redis_fail(conn, "cannot be connected to");
        return;
    }

    c = peer->connection;

    c->data = conn;
    c->read->handler = ngx_http_llm_redis_event;
    c->write->handler = ngx_http_llm_redis_event;
    c->read->log = c->log;
    c->write->log = c->log;

    conn->reader = redisReaderCreate();
    c->pool = ngx_create_pool(256, ngx_cycle->log);

    if (c->pool == NULL || conn->reader == NULL) {
        ngx_http_llm_redis_fail(conn, "there is not enough memory");
        return;
    }

    c->pool->log = c->log;

    /* never now: who asked for the connection has more to say first */

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


/* nginx calls either handler of any connection when it shuts down. */

static void
ngx_http_llm_redis_event(ngx_event_t *ev)
{
    ngx_connection_t           *c;
    ngx_http_llm_redis_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (c->close || c->error) {
        ngx_http_llm_redis_leave(conn, "closed: nginx shuts down");
        return;
    }

    if (conn->state == NGX_HTTP_LLM_REDIS_CONNECT) {

        if (ngx_http_llm_redis_test(c) != NGX_OK) {
            ngx_http_llm_redis_fail(conn, "cannot be connected to");
            return;
        }

        ngx_http_llm_redis_reached(conn);
        return;
    }

    if (ev->write) {
        ngx_http_llm_redis_write(ev);

    } else {
        ngx_http_llm_redis_read(ev);
    }
}


static void
ngx_http_llm_redis_reached(ngx_http_llm_redis_conn_t *conn)
{
    ngx_connection_t  *c;

    c = conn->peer.connection;

#if (NGX_SSL)

    if (conn->redis->ssl && c->ssl == NULL) {
        ngx_http_llm_redis_tls(conn);
        return;
    }

#endif

    c->read->handler = ngx_http_llm_redis_event;
    c->write->handler = ngx_http_llm_redis_event;

    ngx_http_llm_redis_count(conn->redis, connects);

    conn->state = NGX_HTTP_LLM_REDIS_HELLO;
    ngx_add_timer(&conn->life, conn->redis->timeout);

    ngx_http_llm_redis_hello(conn);
}


static ngx_int_t
ngx_http_llm_redis_test(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err ? NGX_ERROR : NGX_OK;
}


#if (NGX_SSL)

static void
ngx_http_llm_redis_tls(ngx_http_llm_redis_conn_t *conn)
{
    u_char             name[NGX_HTTP_LLM_REDIS_HOST];
    ngx_int_t          rc;
    ngx_str_t          host;
    ngx_connection_t  *c;

    c = conn->peer.connection;
    host = ngx_http_llm_redis_tls_name(conn);

    if (ngx_ssl_create_connection(conn->redis->ssl, c, NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_http_llm_redis_fail(conn, "TLS could not begin");
        return;
    }

    if (host.len && host.len < sizeof(name)
        && ngx_inet_addr(host.data, host.len) == INADDR_NONE
        && ngx_strlchr(host.data, host.data + host.len, ':') == NULL)
    {
        (void) ngx_cpystrn(name, host.data, host.len + 1);
        (void) SSL_set_tlsext_host_name(c->ssl->connection, (char *) name);
    }

    ngx_add_timer(&conn->life, conn->redis->timeout);

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_http_llm_redis_tls_done;
        return;
    }

    ngx_http_llm_redis_tls_done(c);
}


static void
ngx_http_llm_redis_tls_done(ngx_connection_t *c)
{
    char                       *why;
    ngx_http_llm_redis_conn_t  *conn;

    conn = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_llm_redis_fail(conn, "TLS failed");
        return;
    }

    why = ngx_http_llm_redis_tls_check(conn, c);

    if (why) {
        ngx_http_llm_redis_fail(conn, why);
        return;
    }

    ngx_http_llm_redis_reached(conn);
}


/* A certificate may be for a name or, where that is how Redis is called, for an
 * address. */

static char *
ngx_http_llm_redis_tls_check(ngx_http_llm_redis_conn_t *conn,
    ngx_connection_t *c)
{
    int         match;
    X509       *cert;
    u_char      text[NGX_HTTP_LLM_REDIS_HOST];
    ngx_str_t   name;

    if (!conn->redis->tls_verify) {
        return NULL;
    }

    if (SSL_get_verify_result(c->ssl->connection) != X509_V_OK) {
        return "its certificate cannot be verified";
    }

    name = ngx_http_llm_redis_tls_name(conn);

    if (ngx_ssl_check_host(c, &name) == NGX_OK) {
        return NULL;
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);
    match = 0;

    if (cert && name.len < sizeof(text)) {
        (void) ngx_cpystrn(text, name.data, name.len + 1);
        match = X509_check_ip_asc(cert, (char *) text, 0);
    }

    X509_free(cert);

    return match == 1 ? NULL : "its certificate is for another name";
}


static ngx_str_t
ngx_http_llm_redis_tls_name(ngx_http_llm_redis_conn_t *conn)
{
    ngx_http_llm_redis_addr_t  *addr;

    if (conn->redis->tls_name.len) {
        return conn->redis->tls_name;
    }

    if (conn->learned) {
        return conn->host;
    }

    addr = conn->redis->addrs.elts;

    return addr[conn->addr].host;
}

#endif
