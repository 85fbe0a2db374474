/*
 * Redis Cluster: which node has a key, and what to do when it is another one.
 *
 * Connection 0 leads to one of the nodes of the configuration, others to nodes
 * that were heard of.  While nothing is known, everything goes to the first:
 * redirections say better.
 */

#include "ngx_http_llm_redis_conn.h"


#define NGX_HTTP_LLM_REDIS_REFRESH  1000    /* ms between two questions */


static ngx_http_llm_redis_conn_t *ngx_http_llm_redis_first(
    ngx_http_llm_redis_t *redis);
static ngx_http_llm_redis_conn_t *ngx_http_llm_redis_any(
    ngx_http_llm_redis_t *redis);
static ngx_int_t ngx_http_llm_redis_node(ngx_http_llm_redis_t *redis,
    ngx_str_t *host, in_port_t port);
static ngx_int_t ngx_http_llm_redis_place(ngx_http_llm_redis_t *redis);
static void ngx_http_llm_redis_moved(ngx_http_llm_redis_t *redis,
    ngx_uint_t moved);
static ngx_uint_t ngx_http_llm_redis_slots_range(
    ngx_http_llm_redis_conn_t *conn, redisReply *range);
static ngx_str_t ngx_http_llm_redis_own_host(ngx_http_llm_redis_conn_t *conn,
    u_char *text);
static void ngx_http_llm_redis_refreshed(void *data, redisReply *reply);


ngx_http_llm_redis_conn_t *
ngx_http_llm_redis_route(ngx_http_llm_redis_t *redis, ngx_str_t *key)
{
    ngx_uint_t                  i;
    ngx_http_llm_redis_conn_t  *conn;

    if (redis->mode != NGX_HTTP_LLM_REDIS_CLUSTER) {
        return ngx_http_llm_redis_first(redis);
    }

    if (key == NULL || redis->slots == NULL) {
        return ngx_http_llm_redis_any(redis);
    }

    i = redis->slots[llm_redis_slot(ngx_http_llm_str(key))];

    if (i == 0) {
        return ngx_http_llm_redis_any(redis);
    }

    conn = redis->conn[i - 1];

    /* it may be gone for good: the others know who has its slots then */

    if (conn->state == NGX_HTTP_LLM_REDIS_WAIT) {
        ngx_http_llm_redis_refresh(redis);
    }

    return conn;
}


static ngx_http_llm_redis_conn_t *
ngx_http_llm_redis_first(ngx_http_llm_redis_t *redis)
{
    if (redis->n == 0) {
        redis->conn[0] = ngx_http_llm_redis_conn(redis,
                                                 NGX_HTTP_LLM_REDIS_COMMANDS);
        redis->n = redis->conn[0] ? 1 : 0;
    }

    return redis->n ? redis->conn[0] : NULL;
}


/* One that is ready, rather than one that would have to be connected. */

static ngx_http_llm_redis_conn_t *
ngx_http_llm_redis_any(ngx_http_llm_redis_t *redis)
{
    ngx_uint_t  i;

    for (i = 0; i < redis->n; i++) {
        if (redis->conn[i]->state == NGX_HTTP_LLM_REDIS_READY) {
            return redis->conn[i];
        }
    }

    return ngx_http_llm_redis_first(redis);
}


/* The number of the connection to that node, made if need be; NGX_ERROR: there
 * are too many. */

static ngx_int_t
ngx_http_llm_redis_node(ngx_http_llm_redis_t *redis, ngx_str_t *host,
    in_port_t port)
{
    ngx_int_t                   i;
    ngx_http_llm_redis_conn_t  *conn;

    for (i = 1; i < (ngx_int_t) redis->n; i++) {
        conn = redis->conn[i];

        if (conn->port == port && conn->host.len == host->len
            && ngx_strncmp(conn->host.data, host->data, host->len) == 0)
        {
            return i;
        }
    }

    i = ngx_http_llm_redis_place(redis);

    if (i != NGX_ERROR) {
        ngx_http_llm_redis_learn(redis->conn[i], host, port);
        redis->conn[i]->run = 0;
    }

    return i;
}


/* A new connection, or one that leads to a node without slots. */

static ngx_int_t
ngx_http_llm_redis_place(ngx_http_llm_redis_t *redis)
{
    ngx_int_t   i;
    ngx_uint_t  slot;
    u_char      used[NGX_HTTP_LLM_REDIS_CONNS + 1];

    if (redis->n < NGX_HTTP_LLM_REDIS_CONNS) {
        redis->conn[redis->n] = ngx_http_llm_redis_conn(redis,
                                                  NGX_HTTP_LLM_REDIS_COMMANDS);
        if (redis->conn[redis->n] == NULL) {
            return NGX_ERROR;
        }

        return (ngx_int_t) redis->n++;
    }

    ngx_memzero(used, sizeof(used));

    for (slot = 0; slot < LLM_REDIS_SLOTS; slot++) {
        used[redis->slots[slot]] = 1;
    }

    for (i = 1; i < NGX_HTTP_LLM_REDIS_CONNS; i++) {
        if (!used[i + 1]
            && redis->conn[i]->state <= NGX_HTTP_LLM_REDIS_WAIT)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_http_llm_redis_follow(ngx_http_llm_redis_conn_t *conn,
    ngx_http_llm_redis_cmd_t *cmd, redisReply *reply)
{
    ngx_int_t                   i;
    ngx_str_t                   host, word;
    u_char                      text[NGX_SOCKADDR_STRLEN];
    ngx_http_llm_redis_t       *redis;
    ngx_http_llm_redis_cmd_t   *asking;
    llm_redis_redirect_t        to;
    ngx_http_llm_redis_conn_t  *next;

    redis = conn->redis;

    if (redis->mode != NGX_HTTP_LLM_REDIS_CLUSTER || cmd->hops
        || redis->slots == NULL
        || llm_redis_redirect((llm_str_t) { (size_t) reply->len,
                                            (u_char *) reply->str }, &to)
           != LLM_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_llm_redis_count(redis, redirects);

    host.len = to.host.len;
    host.data = (u_char *) to.host.data;

    if (host.len == 0) {
        host = ngx_http_llm_redis_own_host(conn, text);
    }

    i = ngx_http_llm_redis_node(redis, &host, (in_port_t) to.port);

    if (i == NGX_ERROR) {
        return NGX_DECLINED;
    }

    if (!to.ask) {
        ngx_http_llm_redis_moved(redis, redis->slots[to.slot] != i + 1);
        redis->slots[to.slot] = (uint16_t) (i + 1);
        ngx_http_llm_redis_refresh(redis);
    }

    next = redis->conn[i];

    if (ngx_http_llm_redis_take(next, cmd->len) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (to.ask) {
        ngx_str_set(&word, "ASKING");

        asking = ngx_http_llm_redis_cmd(1, &word, NULL, NULL);
        if (asking == NULL) {
            return NGX_DECLINED;
        }

        ngx_http_llm_redis_push(next, asking);
    }

    cmd->hops = 1;

    ngx_http_llm_redis_push(next, cmd);

    return NGX_OK;
}


/* [[first, last, [host, port, …], replicas…], …] */

void
ngx_http_llm_redis_slots(ngx_http_llm_redis_conn_t *conn, redisReply *reply)
{
    size_t                 i;
    ngx_uint_t             moved;
    ngx_http_llm_redis_t  *redis;

    redis = conn->redis;

    if (redis->slots == NULL) {
        redis->slots = ngx_calloc(LLM_REDIS_SLOTS * sizeof(uint16_t),
                                  ngx_cycle->log);
        if (redis->slots == NULL) {
            return;
        }
    }

    redis->slots_at = ngx_current_msec;

    moved = 0;

    for (i = 0; i < reply->elements; i++) {
        moved |= ngx_http_llm_redis_slots_range(conn, reply->element[i]);
    }

    ngx_http_llm_redis_moved(redis, moved);

    if (reply->elements) {
        redis->known = 1;
    }
}


/* A replica that took slots over may have missed the last writes. */

static void
ngx_http_llm_redis_moved(ngx_http_llm_redis_t *redis, ngx_uint_t moved)
{
    if (moved && redis->known && redis->agent) {
        redis->lost(redis->store, "slots that moved");
    }
}


static ngx_uint_t
ngx_http_llm_redis_slots_range(ngx_http_llm_redis_conn_t *conn,
    redisReply *range)
{
    u_char                 text[NGX_SOCKADDR_STRLEN];
    int64_t                first, last, port;
    ngx_int_t              i;
    ngx_str_t              host;
    ngx_uint_t             moved;
    redisReply            *node;
    ngx_http_llm_redis_t  *redis;

    redis = conn->redis;

    if (!ngx_http_llm_redis_is_array(range, 3)) {
        return 0;
    }

    node = range->element[2];

    if (!ngx_http_llm_redis_is_array(node, 2)
        || ngx_http_llm_redis_int(range->element[0], &first) != NGX_OK
        || ngx_http_llm_redis_int(range->element[1], &last) != NGX_OK
        || ngx_http_llm_redis_int(node->element[1], &port) != NGX_OK
        || first < 0 || last >= LLM_REDIS_SLOTS || port <= 0 || port > 65535)
    {
        return 0;
    }

    host = ngx_http_llm_redis_str(node->element[0]);

    if (host.len == 0 || (host.len == 1 && host.data[0] == '?')) {
        host = ngx_http_llm_redis_own_host(conn, text);
    }

    i = ngx_http_llm_redis_node(redis, &host, (in_port_t) port);

    if (i == NGX_ERROR) {
        return 0;
    }

    moved = 0;

    for ( /* void */ ; first <= last; first++) {
        moved |= (redis->slots[first] && redis->slots[first] != i + 1);
        redis->slots[first] = (uint16_t) (i + 1);
    }

    return moved;
}


/* "the host you are talking to" */

static ngx_str_t
ngx_http_llm_redis_own_host(ngx_http_llm_redis_conn_t *conn, u_char *text)
{
    ngx_str_t  host;

    if (conn->learned) {
        return conn->host;
    }

    host.data = text;
    host.len = ngx_sock_ntop(conn->peer.sockaddr, conn->peer.socklen, text,
                             NGX_SOCKADDR_STRLEN, 0);

    /* IPv6 stands in brackets there, but not in what is parsed */

    if (host.len > 2 && text[0] == '[') {
        host.data++;
        host.len -= 2;
    }

    return host;
}


void
ngx_http_llm_redis_refresh(ngx_http_llm_redis_t *redis)
{
    ngx_str_t                   words[2];
    ngx_http_llm_redis_cmd_t   *cmd;
    ngx_http_llm_redis_conn_t  *conn;

    if (redis->mode != NGX_HTTP_LLM_REDIS_CLUSTER
        || ngx_current_msec - redis->slots_at < NGX_HTTP_LLM_REDIS_REFRESH)
    {
        return;
    }

    conn = ngx_http_llm_redis_any(redis);

    if (conn == NULL) {
        return;
    }

    redis->slots_at = ngx_current_msec;

    /* a connection that is made asks on its own */

    if (conn->state != NGX_HTTP_LLM_REDIS_READY) {
        (void) ngx_http_llm_redis_take(conn, 0);
        return;
    }

    ngx_str_set(&words[0], "CLUSTER");
    ngx_str_set(&words[1], "SLOTS");

    cmd = ngx_http_llm_redis_cmd(2, words, ngx_http_llm_redis_refreshed, conn);

    if (cmd) {
        ngx_http_llm_redis_push(conn, cmd);
    }
}


static void
ngx_http_llm_redis_refreshed(void *data, redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        ngx_http_llm_redis_slots(data, reply);
    }
}
