/*
 * What is published: the agent's second connection, which only listens.
 *
 * Messages are hints and may be lost, so nothing is done to get them all; but a
 * connection that died silently is noticed and made anew.
 */

#include "ngx_http_llm_redis_conn.h"


#define NGX_HTTP_LLM_REDIS_PING  5000       /* ms */


static void ngx_http_llm_redis_ping(ngx_http_llm_redis_conn_t *conn);
static void ngx_http_llm_redis_pong(ngx_http_llm_redis_conn_t *conn);


void
ngx_http_llm_redis_listen(ngx_http_llm_redis_t *redis)
{
    ngx_http_llm_redis_conn_t  *conn;

    if (redis->listener == NULL) {
        redis->listener = ngx_http_llm_redis_conn(redis,
                                                  NGX_HTTP_LLM_REDIS_LISTENER);
    }

    conn = redis->listener;

    if (conn == NULL) {
        return;
    }

    if (conn->state == NGX_HTTP_LLM_REDIS_READY) {
        ngx_http_llm_redis_ping(conn);
        return;
    }

    /* where commands cannot go, there is nothing to listen to; in a cluster
     * this one finds a node that lives */

    if (conn->state == NGX_HTTP_LLM_REDIS_IDLE
        && ngx_http_llm_redis_connected(redis))
    {
        ngx_http_llm_redis_open(conn);
    }
}


void
ngx_http_llm_redis_deaf(ngx_http_llm_redis_t *redis)
{
    if (redis->listener) {
        ngx_http_llm_redis_conn_free(redis->listener);
        redis->listener = NULL;
    }
}


static void
ngx_http_llm_redis_ping(ngx_http_llm_redis_conn_t *conn)
{
    ngx_str_t                  word;
    ngx_http_llm_redis_cmd_t  *cmd;

    if (ngx_current_msec - conn->heard < NGX_HTTP_LLM_REDIS_PING) {
        return;
    }

    ngx_str_set(&word, "PING");

    cmd = ngx_http_llm_redis_cmd(1, &word, NULL, NULL);

    if (cmd) {
        conn->heard = ngx_current_msec;
        ngx_http_llm_redis_push(conn, cmd);
    }
}


/* Any sign of life counts, but this one was asked for. */

static void
ngx_http_llm_redis_pong(ngx_http_llm_redis_conn_t *conn)
{
    ngx_http_llm_redis_cmd_t  *cmd;

    if (ngx_queue_empty(&conn->sent)) {
        return;
    }

    cmd = ngx_queue_data(ngx_queue_head(&conn->sent), ngx_http_llm_redis_cmd_t,
                         queue);

    ngx_http_llm_redis_pop(conn, cmd);
    ngx_http_llm_redis_cmd_free(cmd);
}


/* ["message", CHANNEL, TEXT], or ["pong", ""] */

void
ngx_http_llm_redis_heard(ngx_http_llm_redis_conn_t *conn, redisReply *reply)
{
    ngx_str_t  kind, text;

    conn->heard = ngx_current_msec;

    if (!ngx_http_llm_redis_is_array(reply, 2)) {
        return;
    }

    kind = ngx_http_llm_redis_str(reply->element[0]);

    if (kind.len == 4 && ngx_strncmp(kind.data, "pong", 4) == 0) {
        ngx_http_llm_redis_pong(conn);
        return;
    }

    if (reply->elements < 3 || kind.len != 7
        || ngx_strncmp(kind.data, "message", 7) != 0)
    {
        return;
    }

    text = ngx_http_llm_redis_str(reply->element[2]);

    if (text.len) {
        conn->redis->message(conn->redis->store, &text);
    }
}
