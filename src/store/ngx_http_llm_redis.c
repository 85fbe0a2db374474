/*
 * What the rest of the gateway calls to talk to Redis.
 */

#include "ngx_http_llm_redis_conn.h"

#include <ngx_sha1.h>
#include <poll.h>


#define NGX_HTTP_LLM_REDIS_ARGS  160        /* of a script */
#define NGX_HTTP_LLM_REDIS_LAST  200        /* ms for the last words */


static ngx_int_t ngx_http_llm_redis_send(ngx_http_llm_redis_t *redis,
    ngx_str_t *key, ngx_http_llm_redis_cmd_t *cmd);
static void ngx_http_llm_redis_sum(ngx_http_llm_script_t *script);


ngx_msec_t  ngx_http_llm_redis_times[NGX_HTTP_LLM_REDIS_TIMES - 1] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500
};


void
ngx_http_llm_redis_init(ngx_http_llm_store_t *store,
    ngx_http_llm_redis_lost_pt lost, ngx_http_llm_redis_message_pt message)
{
    ngx_http_llm_redis_t  *redis;

    redis = store->redis;

    redis->store = store;
    redis->lost = lost;
    redis->message = message;
}


/* What was begun is not told any more: this process ends. */

void
ngx_http_llm_redis_exit(ngx_http_llm_redis_t *redis)
{
    ngx_uint_t  i;

    for (i = 0; i < redis->n; i++) {
        ngx_http_llm_redis_conn_free(redis->conn[i]);
    }

    redis->n = 0;

    if (redis->listener) {
        ngx_http_llm_redis_conn_free(redis->listener);
        redis->listener = NULL;
    }

    if (redis->sentinel) {
        ngx_http_llm_redis_conn_free(redis->sentinel);
        redis->sentinel = NULL;
    }

    if (redis->slots) {
        ngx_free(redis->slots);
        redis->slots = NULL;
    }

    redis->store = NULL;
}


ngx_uint_t
ngx_http_llm_redis_connected(ngx_http_llm_redis_t *redis)
{
    ngx_uint_t  i;

    for (i = 0; i < redis->n; i++) {
        if (redis->conn[i]->state == NGX_HTTP_LLM_REDIS_READY) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_llm_redis_wake(ngx_http_llm_redis_t *redis)
{
    ngx_http_llm_redis_conn_t  *conn;

    conn = ngx_http_llm_redis_route(redis, NULL);

    if (conn) {
        (void) ngx_http_llm_redis_take(conn, 0);
    }
}


/* nginx's loop does not run any more. */

void
ngx_http_llm_redis_last_words(ngx_http_llm_redis_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv)
{
    struct pollfd               wait;
    ngx_connection_t           *c;
    ngx_http_llm_redis_cmd_t   *cmd;
    ngx_http_llm_redis_conn_t  *conn;

    conn = ngx_http_llm_redis_route(redis, key);

    if (conn == NULL || conn->state != NGX_HTTP_LLM_REDIS_READY
        || !ngx_queue_empty(&conn->waiting))
    {
        return;
    }

    cmd = ngx_http_llm_redis_cmd(argc, argv, NULL, NULL);
    if (cmd == NULL) {
        return;
    }

    c = conn->peer.connection;

    if (c->send(c, (u_char *) cmd->text, cmd->len) == (ssize_t) cmd->len) {
        wait.fd = c->fd;
        wait.events = POLLIN;

        (void) poll(&wait, 1, NGX_HTTP_LLM_REDIS_LAST);
    }

    ngx_http_llm_redis_cmd_free(cmd);
}


void
ngx_http_llm_redis_report(ngx_http_llm_redis_t *redis)
{
    char                         *why;
    ngx_str_t                     peer;
    ngx_uint_t                    connected;
    ngx_http_llm_redis_conn_t    *conn;
    ngx_http_llm_redis_totals_t  *totals;

    totals = &((ngx_http_llm_root_t *) redis->store->root)->redis;
    conn = redis->n ? redis->conn[0] : NULL;
    connected = ngx_http_llm_redis_connected(redis);
    why = conn && conn->why ? conn->why : "";
    ngx_str_null(&peer);

    if (conn) {
        peer = conn->peer_name;
    }

    ngx_http_llm_store_lock(redis->store);

    if (totals->connected != connected || totals->since == 0) {
        totals->connected = (uint32_t) connected;
        totals->since = ngx_http_llm_store_now(redis->store);
    }

    totals->queue = conn ? (uint32_t) conn->n : 0;

    (void) ngx_snprintf(totals->peer, NGX_HTTP_LLM_REDIS_TEXT - 1, "%V%Z",
                        &peer);
    (void) ngx_snprintf(totals->why, NGX_HTTP_LLM_REDIS_TEXT - 1, "%s%Z",
                        connected ? "" : why);

    ngx_http_llm_store_unlock(redis->store);
}


ngx_int_t
ngx_http_llm_redis_status(ngx_http_llm_store_t *store,
    ngx_http_llm_redis_totals_t *totals, ngx_str_t *address, ngx_str_t *mode)
{
    ngx_http_llm_root_t  *root;

    static ngx_str_t      modes[] = {
        ngx_string("single"), ngx_string("sentinel"), ngx_string("cluster")
    };

    if (store->redis == NULL || store->root == NULL) {
        return NGX_DECLINED;
    }

    root = store->root;
    *address = store->redis->shown;
    *mode = modes[store->redis->mode];

    ngx_http_llm_store_lock(store);
    *totals = root->redis;
    ngx_http_llm_store_unlock(store);

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_redis_command(ngx_http_llm_redis_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv, ngx_http_llm_redis_pt pt, void *data)
{
    if (redis == NULL || redis->store == NULL) {
        return NGX_BUSY;
    }

    return ngx_http_llm_redis_send(redis, key,
                                   ngx_http_llm_redis_cmd(argc, argv, pt,
                                                          data));
}


ngx_int_t
ngx_http_llm_redis_eval(ngx_http_llm_redis_t *redis,
    ngx_http_llm_script_t *script, ngx_uint_t keys, ngx_uint_t argc,
    ngx_str_t *argv, ngx_http_llm_redis_pt pt, void *data)
{
    u_char                     number[NGX_INT_T_LEN];
    ngx_str_t                  words[NGX_HTTP_LLM_REDIS_ARGS + 3];
    ngx_http_llm_redis_cmd_t  *cmd;

    if (redis == NULL || redis->store == NULL
        || argc > NGX_HTTP_LLM_REDIS_ARGS)
    {
        return NGX_BUSY;
    }

    ngx_http_llm_redis_sum(script);

    ngx_str_set(&words[0], "EVALSHA");

    words[1].data = script->sha1;
    words[1].len = sizeof(script->sha1) - 1;

    words[2].data = number;
    words[2].len = ngx_sprintf(number, "%ui", keys) - number;

    ngx_memcpy(&words[3], argv, argc * sizeof(ngx_str_t));

    cmd = ngx_http_llm_redis_cmd(argc + 3, words, pt, data);

    if (cmd) {
        cmd->script = script;
    }

    return ngx_http_llm_redis_send(redis, keys ? &argv[0] : NULL, cmd);
}


static ngx_int_t
ngx_http_llm_redis_send(ngx_http_llm_redis_t *redis, ngx_str_t *key,
    ngx_http_llm_redis_cmd_t *cmd)
{
    ngx_http_llm_redis_conn_t  *conn;

    if (cmd == NULL) {
        return NGX_BUSY;
    }

    conn = ngx_http_llm_redis_route(redis, key);

    if (conn == NULL || ngx_http_llm_redis_take(conn, cmd->len) != NGX_OK) {
        ngx_http_llm_redis_count(redis, busy);
        ngx_http_llm_redis_cmd_free(cmd);
        return NGX_BUSY;
    }

    ngx_http_llm_redis_push(conn, cmd);

    return NGX_OK;
}


static void
ngx_http_llm_redis_sum(ngx_http_llm_script_t *script)
{
    u_char      sum[20];
    ngx_sha1_t  sha1;

    if (script->sha1[0]) {
        return;
    }

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, script->text.data, script->text.len);
    ngx_sha1_final(sum, &sha1);

    *ngx_hex_dump(script->sha1, sum, sizeof(sum)) = '\0';
}


ngx_int_t
ngx_http_llm_redis_in_full(ngx_http_llm_redis_cmd_t *cmd)
{
    char    *text, *rest, *p;
    size_t   len, head;

    /* what stands before the words: "*N", then two words of known length */

    head = (size_t) (strchr(cmd->text, '\n') + 1 - cmd->text);
    rest = cmd->text + head + sizeof("$7\r\nEVALSHA\r\n$40\r\n") - 1 + 40 + 2;
    len = cmd->len - (size_t) (rest - cmd->text);

    text = malloc(head + 64 + cmd->script->text.len + len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = (char *) ngx_cpymem(text, cmd->text, head);
    p = (char *) ngx_sprintf((u_char *) p, "$4\r\nEVAL\r\n$%uz\r\n%V\r\n",
                             cmd->script->text.len, &cmd->script->text);
    p = (char *) ngx_cpymem(p, rest, len);

    redisFreeCommand(cmd->text);

    cmd->text = text;
    cmd->len = (size_t) (p - text);
    cmd->script = NULL;

    return NGX_OK;
}


ngx_str_t
ngx_http_llm_redis_key(ngx_http_llm_redis_t *redis, u_char *buf, size_t size,
    const char *fmt, ...)
{
    u_char     *p;
    va_list     args;
    ngx_str_t   key;

    p = ngx_slprintf(buf, buf + size, "%V", &redis->prefix);

    va_start(args, fmt);
    p = ngx_vslprintf(p, buf + size, fmt, args);
    va_end(args);

    key.data = buf;
    key.len = p - buf;

    return key;
}


ngx_int_t
ngx_http_llm_redis_int(const redisReply *reply, int64_t *n)
{
    u_char     *p;
    size_t      len;
    ngx_int_t   value;
    ngx_uint_t  minus;

    if (reply && reply->type == REDIS_REPLY_INTEGER) {
        *n = reply->integer;
        return NGX_OK;
    }

    if (reply == NULL || reply->type != REDIS_REPLY_STRING) {
        return NGX_ERROR;
    }

    p = (u_char *) reply->str;
    len = reply->len;
    minus = (len > 1 && *p == '-');

    value = ngx_atoi(p + minus, len - minus);

    if (value == NGX_ERROR) {
        return NGX_ERROR;
    }

    *n = minus ? -value : value;

    return NGX_OK;
}


ngx_str_t
ngx_http_llm_redis_str(const redisReply *reply)
{
    ngx_str_t  s;

    ngx_str_null(&s);

    if (reply && (reply->type == REDIS_REPLY_STRING
                  || reply->type == REDIS_REPLY_STATUS
                  || reply->type == REDIS_REPLY_ERROR))
    {
        s.data = (u_char *) reply->str;
        s.len = reply->len;
    }

    return s;
}


ngx_uint_t
ngx_http_llm_redis_is_array(const redisReply *reply, size_t n)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= n;
}


ngx_uint_t
ngx_http_llm_redis_is_error(const redisReply *reply, char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return reply && reply->type == REDIS_REPLY_ERROR
           && (size_t) reply->len >= len
           && ngx_strncmp(reply->str, word, len) == 0;
}
