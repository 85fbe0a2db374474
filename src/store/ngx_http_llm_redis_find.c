/*
 * Where a connection to Redis leads: a literal address, a name that nginx's
 * resolver knows, or what a sentinel says.
 */

#include "ngx_http_llm_redis_conn.h"


#define NGX_HTTP_LLM_REDIS_GUARD  5000      /* ms between two questions */


static void ngx_http_llm_redis_find_addr(ngx_http_llm_redis_conn_t *conn,
    ngx_addr_t *addr);
static void ngx_http_llm_redis_find_learned(ngx_http_llm_redis_conn_t *conn);
static void ngx_http_llm_redis_find_name(ngx_http_llm_redis_conn_t *conn,
    ngx_str_t *host);
static void ngx_http_llm_redis_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_llm_redis_set_peer(ngx_http_llm_redis_conn_t *conn,
    struct sockaddr *sockaddr, socklen_t socklen, in_port_t port);
static ngx_int_t ngx_http_llm_redis_ask(ngx_http_llm_redis_t *redis);
static void ngx_http_llm_redis_told_master(void *data, redisReply *reply);
static void ngx_http_llm_redis_unguarded(ngx_http_llm_redis_t *redis);
static void ngx_http_llm_redis_lead_to(ngx_http_llm_redis_conn_t *conn,
    ngx_str_t *host, in_port_t port);


void
ngx_http_llm_redis_find(ngx_http_llm_redis_conn_t *conn)
{
    ngx_http_llm_redis_t       *redis;
    ngx_http_llm_redis_addr_t  *addr;

    redis = conn->redis;

    if (redis->mode == NGX_HTTP_LLM_REDIS_GUARDED
        && conn->kind != NGX_HTTP_LLM_REDIS_ASKER)
    {
        redis->asked = 0;

        if (ngx_http_llm_redis_ask(redis) != NGX_OK) {
            ngx_http_llm_redis_fail(conn, "no sentinel can be reached");
        }

        return;
    }

    if (conn->learned) {

        ngx_http_llm_redis_find_learned(conn);
        return;
    }

    addr = redis->addrs.elts;
    addr = &addr[conn->addr];

    if (addr->naddrs) {
        ngx_http_llm_redis_find_addr(conn,
                                     &addr->addrs[conn->turn % addr->naddrs]);
        return;
    }

    conn->port = addr->port;
    ngx_http_llm_redis_find_name(conn, &addr->host);
}


static void
ngx_http_llm_redis_find_addr(ngx_http_llm_redis_conn_t *conn,
    ngx_addr_t *addr)
{
    ngx_http_llm_redis_set_peer(conn, addr->sockaddr, addr->socklen, 0);
    ngx_http_llm_redis_connect(conn);
}


/* What Redis or a sentinel says is an address nearly always. */

static void
ngx_http_llm_redis_find_learned(ngx_http_llm_redis_conn_t *conn)
{
    struct sockaddr_in    sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6   sin6;
#endif

    ngx_memzero(&sin, sizeof(struct sockaddr_in));

    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = ngx_inet_addr(conn->host.data, conn->host.len);

    if (sin.sin_addr.s_addr != INADDR_NONE) {
        ngx_http_llm_redis_set_peer(conn, (struct sockaddr *) &sin,
                                    sizeof(struct sockaddr_in), conn->port);
        ngx_http_llm_redis_connect(conn);
        return;
    }

#if (NGX_HAVE_INET6)

    ngx_memzero(&sin6, sizeof(struct sockaddr_in6));

    sin6.sin6_family = AF_INET6;

    if (ngx_inet6_addr(conn->host.data, conn->host.len,
                       sin6.sin6_addr.s6_addr)
        == NGX_OK)
    {
        ngx_http_llm_redis_set_peer(conn, (struct sockaddr *) &sin6,
                                    sizeof(struct sockaddr_in6), conn->port);
        ngx_http_llm_redis_connect(conn);
        return;
    }

#endif

    ngx_http_llm_redis_find_name(conn, &conn->host);
}


static void
ngx_http_llm_redis_find_name(ngx_http_llm_redis_conn_t *conn, ngx_str_t *host)
{
    ngx_resolver_ctx_t  *ctx, temp;

    if (conn->redis->resolver == NULL) {
        ngx_http_llm_redis_fail(conn, "its name was not found, and there is "
                                      "no \"resolver\" to ask again");
        return;
    }

    ngx_memzero(&temp, sizeof(ngx_resolver_ctx_t));
    temp.name = *host;

    ctx = ngx_resolve_start(conn->redis->resolver, &temp);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_http_llm_redis_fail(conn, "its name could not be looked up");
        return;
    }

    ctx->name = *host;
    ctx->handler = ngx_http_llm_redis_resolved;
    ctx->data = conn;
    ctx->timeout = conn->redis->resolver_timeout;

    conn->resolving = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        conn->resolving = NULL;
        ngx_http_llm_redis_fail(conn, "its name could not be looked up");
    }
}


static void
ngx_http_llm_redis_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                  i;
    ngx_http_llm_redis_conn_t  *conn;

    conn = ctx->data;

    if (ctx->state == NGX_OK && ctx->naddrs) {
        i = conn->turn % ctx->naddrs;

        ngx_http_llm_redis_set_peer(conn, ctx->addrs[i].sockaddr,
                                    ctx->addrs[i].socklen, conn->port);
        ngx_http_llm_redis_find_cancel(conn);
        ngx_http_llm_redis_connect(conn);
        return;
    }

    ngx_http_llm_redis_find_cancel(conn);
    ngx_http_llm_redis_fail(conn, "its name was not found");
}


void
ngx_http_llm_redis_find_cancel(ngx_http_llm_redis_conn_t *conn)
{
    if (conn->resolving) {
        ngx_resolve_name_done(conn->resolving);
        conn->resolving = NULL;
    }
}


static void
ngx_http_llm_redis_set_peer(ngx_http_llm_redis_conn_t *conn,
    struct sockaddr *sockaddr, socklen_t socklen, in_port_t port)
{
    ngx_memcpy(&conn->sockaddr, sockaddr, socklen);

    conn->peer.sockaddr = (struct sockaddr *) &conn->sockaddr;
    conn->peer.socklen = socklen;

    if (port) {
        ngx_inet_set_port(conn->peer.sockaddr, port);
    }

    conn->peer_name.data = conn->peer_text;
    conn->peer_name.len = ngx_sock_ntop(conn->peer.sockaddr, socklen,
                                        conn->peer_text,
                                        sizeof(conn->peer_text), 1);
}


void
ngx_http_llm_redis_learn(ngx_http_llm_redis_conn_t *conn, ngx_str_t *host,
    in_port_t port)
{
    conn->learned = 1;
    conn->port = port;
    conn->host.data = conn->name;
    conn->host.len = ngx_min(host->len, sizeof(conn->name));

    ngx_memmove(conn->name, host->data, conn->host.len);
}


/* ---- sentinels ----------------------------------------------------------- */

/* Each of them once; a question that is under way serves everybody. */

static ngx_int_t
ngx_http_llm_redis_ask(ngx_http_llm_redis_t *redis)
{
    ngx_str_t                   words[3];
    ngx_http_llm_redis_cmd_t   *cmd;
    ngx_http_llm_redis_conn_t  *conn;

    if (redis->sentinel == NULL) {
        redis->sentinel = ngx_http_llm_redis_conn(redis,
                                                  NGX_HTTP_LLM_REDIS_ASKER);
    }

    conn = redis->sentinel;

    if (conn == NULL) {
        return NGX_ERROR;
    }

    if (conn->n) {
        return NGX_OK;
    }

    redis->asked_at = ngx_current_msec;

    ngx_str_set(&words[0], "SENTINEL");
    ngx_str_set(&words[1], "get-master-addr-by-name");
    words[2] = redis->master;

    while (redis->asked < redis->addrs.nelts) {
        redis->asked++;

        if (conn->state == NGX_HTTP_LLM_REDIS_WAIT) {
            ngx_del_timer(&conn->life);
            conn->state = NGX_HTTP_LLM_REDIS_IDLE;
        }

        if (ngx_http_llm_redis_take(conn, 0) == NGX_OK) {
            cmd = ngx_http_llm_redis_cmd(3, words,
                                         ngx_http_llm_redis_told_master, redis);
            if (cmd == NULL) {
                return NGX_ERROR;
            }

            ngx_http_llm_redis_push(conn, cmd);
            return NGX_OK;
        }

        conn->addr = (conn->addr + 1) % redis->addrs.nelts;
    }

    return NGX_ERROR;
}


static void
ngx_http_llm_redis_told_master(void *data, redisReply *reply)
{
    ngx_http_llm_redis_t *redis = data;

    int64_t    port;
    ngx_str_t  host;

    if (ngx_http_llm_redis_is_array(reply, 2)
        && ngx_http_llm_redis_int(reply->element[1], &port) == NGX_OK
        && port > 0 && port < 65536)
    {
        host = ngx_http_llm_redis_str(reply->element[0]);

        if (host.len) {
            redis->asked = 0;

            if (redis->n) {
                ngx_http_llm_redis_lead_to(redis->conn[0], &host,
                                           (in_port_t) port);
            }

            if (redis->listener) {
                ngx_http_llm_redis_lead_to(redis->listener, &host,
                                           (in_port_t) port);
            }

            return;
        }
    }

    /* this one does not know it: another one may */

    if (redis->sentinel->state > NGX_HTTP_LLM_REDIS_WAIT) {
        ngx_http_llm_redis_leave(redis->sentinel, "as a sentinel, it does "
                                 "not tell that master's address");
    }

    redis->sentinel->addr = (redis->sentinel->addr + 1) % redis->addrs.nelts;

    if (ngx_http_llm_redis_ask(redis) != NGX_OK) {
        ngx_http_llm_redis_unguarded(redis);
    }
}


static void
ngx_http_llm_redis_unguarded(ngx_http_llm_redis_t *redis)
{
    if (redis->n && redis->conn[0]->state == NGX_HTTP_LLM_REDIS_FIND) {
        ngx_http_llm_redis_fail(redis->conn[0],
                                "no sentinel knows its address");
    }

    if (redis->listener && redis->listener->state == NGX_HTTP_LLM_REDIS_FIND) {
        ngx_http_llm_redis_fail(redis->listener,
                                "no sentinel knows its address");
    }
}


/* The master, as a sentinel says just now. */

static void
ngx_http_llm_redis_lead_to(ngx_http_llm_redis_conn_t *conn, ngx_str_t *host,
    in_port_t port)
{
    ngx_uint_t  same;

    same = (conn->learned && conn->port == port && conn->host.len == host->len
            && ngx_strncmp(conn->host.data, host->data, host->len) == 0);

    if (conn->state > NGX_HTTP_LLM_REDIS_FIND && !same) {
        ngx_http_llm_redis_leave(conn, "another server is the master now");
        return;
    }

    if (conn->state != NGX_HTTP_LLM_REDIS_FIND || conn->resolving) {
        return;
    }

    ngx_http_llm_redis_learn(conn, host, port);
    ngx_http_llm_redis_find_learned(conn);
}


void
ngx_http_llm_redis_guard(ngx_http_llm_redis_t *redis)
{
    if (redis->mode != NGX_HTTP_LLM_REDIS_GUARDED || redis->n == 0
        || redis->conn[0]->state != NGX_HTTP_LLM_REDIS_READY
        || ngx_current_msec - redis->asked_at < NGX_HTTP_LLM_REDIS_GUARD)
    {
        return;
    }

    redis->asked = 0;

    (void) ngx_http_llm_redis_ask(redis);
}
