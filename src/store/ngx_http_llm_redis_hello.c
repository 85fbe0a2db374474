/*
 * What is said first on a connection to Redis: who this is, which database,
 * and what it talks to.
 *
 * Nothing that Redis answers to AUTH goes to the log: some servers repeat the
 * words of a command they do not know.
 */

#include "ngx_http_llm_redis_conn.h"
#include "llm_hash.h"


static ngx_int_t ngx_http_llm_redis_say(ngx_http_llm_redis_conn_t *conn,
    ngx_uint_t argc, ngx_str_t *argv, ngx_http_llm_redis_pt pt);
static ngx_int_t ngx_http_llm_redis_say_auth(ngx_http_llm_redis_conn_t *conn);
static ngx_int_t ngx_http_llm_redis_say_more(ngx_http_llm_redis_conn_t *conn);
static void ngx_http_llm_redis_heard_auth(void *data, redisReply *reply);
static void ngx_http_llm_redis_heard_select(void *data, redisReply *reply);
static void ngx_http_llm_redis_heard_info(void *data, redisReply *reply);
static char *ngx_http_llm_redis_look(ngx_http_llm_redis_conn_t *conn,
    ngx_str_t *report);
static ngx_uint_t ngx_http_llm_redis_says(ngx_str_t *report, char *field,
    char *value);
static void ngx_http_llm_redis_note(ngx_http_llm_redis_conn_t *conn,
    ngx_str_t *report);
static void ngx_http_llm_redis_heard_slots(void *data, redisReply *reply);
static void ngx_http_llm_redis_heard_subscribe(void *data, redisReply *reply);


void
ngx_http_llm_redis_hello(ngx_http_llm_redis_conn_t *conn)
{
    /* sentinels have users of their own */

    if (conn->kind == NGX_HTTP_LLM_REDIS_ASKER) {
        ngx_http_llm_redis_ready(conn);
        return;
    }

    if (ngx_http_llm_redis_say_auth(conn) != NGX_OK
        || ngx_http_llm_redis_say_more(conn) != NGX_OK)
    {
        ngx_http_llm_redis_fail(conn, "there is not enough memory");
    }
}


static ngx_int_t
ngx_http_llm_redis_say(ngx_http_llm_redis_conn_t *conn, ngx_uint_t argc,
    ngx_str_t *argv, ngx_http_llm_redis_pt pt)
{
    ngx_http_llm_redis_cmd_t  *cmd;

    cmd = ngx_http_llm_redis_cmd(argc, argv, pt, conn);
    if (cmd == NULL) {
        return NGX_ERROR;
    }

    cmd->hello = conn;

    ngx_http_llm_redis_push(conn, cmd);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_redis_say_auth(ngx_http_llm_redis_conn_t *conn)
{
    ngx_str_t              words[3];
    ngx_uint_t             n;
    ngx_http_llm_redis_t  *redis;

    redis = conn->redis;

    if (redis->password.len == 0) {
        return NGX_OK;
    }

    n = 0;
    ngx_str_set(&words[n], "AUTH");
    n++;

    if (redis->user.len) {
        words[n++] = redis->user;
    }

    words[n++] = redis->password;

    return ngx_http_llm_redis_say(conn, n, words,
                                  ngx_http_llm_redis_heard_auth);
}


static ngx_int_t
ngx_http_llm_redis_say_more(ngx_http_llm_redis_conn_t *conn)
{
    u_char                 channel[NGX_HTTP_LLM_REDIS_KEY], db[NGX_INT_T_LEN];
    ngx_str_t              words[2];
    ngx_http_llm_redis_t  *redis;

    redis = conn->redis;

    if (conn->kind == NGX_HTTP_LLM_REDIS_LISTENER) {
        ngx_str_set(&words[0], "SUBSCRIBE");
        words[1] = ngx_http_llm_redis_key(redis, channel, sizeof(channel),
                                          "ev");

        return ngx_http_llm_redis_say(conn, 2, words,
                                      ngx_http_llm_redis_heard_subscribe);
    }

    if (redis->db) {
        ngx_str_set(&words[0], "SELECT");
        words[1].data = db;
        words[1].len = ngx_sprintf(db, "%ui", redis->db) - db;

        if (ngx_http_llm_redis_say(conn, 2, words,
                                   ngx_http_llm_redis_heard_select)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (redis->mode == NGX_HTTP_LLM_REDIS_CLUSTER) {
        ngx_str_set(&words[0], "CLUSTER");
        ngx_str_set(&words[1], "SLOTS");

        if (ngx_http_llm_redis_say(conn, 2, words,
                                   ngx_http_llm_redis_heard_slots)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_str_set(&words[0], "INFO");

    return ngx_http_llm_redis_say(conn, 1, words,
                                  ngx_http_llm_redis_heard_info);
}


static void
ngx_http_llm_redis_heard_auth(void *data, redisReply *reply)
{
    ngx_http_llm_redis_conn_t  *conn = data;

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR) {
        return;
    }

    if (ngx_http_llm_redis_is_error(reply, "LOADING")) {
        ngx_http_llm_redis_fail(conn, "is still loading its data");
        return;
    }

    ngx_http_llm_redis_fail(conn, "refused the user or the password");
}


static void
ngx_http_llm_redis_heard_select(void *data, redisReply *reply)
{
    ngx_http_llm_redis_conn_t  *conn = data;

    /* INFO says better what is wrong with the whole server */

    if (ngx_http_llm_redis_is_error(reply, "ERR")) {
        ngx_http_llm_redis_fail(conn, "has no database of that number");

    } else if (ngx_http_llm_redis_is_error(reply, "NOPERM")) {
        ngx_http_llm_redis_fail(conn, "does not let this user select a "
                                      "database");
    }
}


/* It may be forbidden, or unknown to something that only looks like Redis: then
 * one has to believe. */

static void
ngx_http_llm_redis_heard_info(void *data, redisReply *reply)
{
    ngx_http_llm_redis_conn_t  *conn = data;

    char       *why;
    ngx_str_t   report;

    if (reply == NULL) {
        return;
    }

    if (ngx_http_llm_redis_is_error(reply, "NOAUTH")) {
        ngx_http_llm_redis_fail(conn, "wants a password");
        return;
    }

    report = ngx_http_llm_redis_str(reply);

    if (reply->type == REDIS_REPLY_STRING) {
        why = ngx_http_llm_redis_look(conn, &report);

        if (why) {
            ngx_http_llm_redis_fail(conn, why);
            return;
        }

    } else {
        report.len = 0;
    }

    ngx_http_llm_redis_note(conn, &report);
    ngx_http_llm_redis_ready(conn);
}


static char *
ngx_http_llm_redis_look(ngx_http_llm_redis_conn_t *conn, ngx_str_t *report)
{
    if (ngx_http_llm_redis_says(report, "loading", "1")) {
        return "is still loading its data";
    }

    if (ngx_http_llm_redis_says(report, "role", "slave")) {
        return "is a replica";
    }

    if (ngx_http_llm_redis_says(report, "redis_mode", "sentinel")) {
        return "is a sentinel: llm_redis needs \"sentinel=\"";
    }

    if (ngx_http_llm_redis_says(report, "cluster_enabled", "1")) {
        return conn->redis->mode == NGX_HTTP_LLM_REDIS_CLUSTER
               ? NULL : "is part of a cluster: llm_redis needs \"cluster\"";
    }

    return NULL;
}


static ngx_uint_t
ngx_http_llm_redis_says(ngx_str_t *report, char *field, char *value)
{
    llm_str_t  name, text;

    name.data = (u_char *) field;
    name.len = ngx_strlen(field);

    text = llm_redis_info(ngx_http_llm_str(report), name);

    return text.len == ngx_strlen(value)
           && ngx_strncmp(text.data, value, text.len) == 0;
}


/* Another run of the same server, or another server in its place, may have
 * forgotten what was written last. */

static void
ngx_http_llm_redis_note(ngx_http_llm_redis_conn_t *conn, ngx_str_t *report)
{
    size_t                        len;
    uint64_t                      run, before;
    llm_str_t                     id, version;
    ngx_http_llm_redis_t         *redis;
    ngx_http_llm_redis_totals_t  *totals;

    redis = conn->redis;
    totals = &((ngx_http_llm_root_t *) redis->store->root)->redis;

    id = llm_redis_info(ngx_http_llm_str(report), LLM_STR("run_id"));
    version = llm_redis_info(ngx_http_llm_str(report),
                             LLM_STR("redis_version"));
    run = id.len ? llm_fnv64(id, 0) : 0;

    before = conn->run;
    conn->run = run;

    if (!redis->agent) {
        return;
    }

    ngx_http_llm_store_lock(redis->store);

    if (redis->mode != NGX_HTTP_LLM_REDIS_CLUSTER) {
        totals->run = run;
    }

    len = ngx_min(version.len, sizeof(totals->version) - 1);
    ngx_memcpy(totals->version, version.data, len);
    totals->version[len] = '\0';

    ngx_http_llm_store_unlock(redis->store);

    /* elsewhere the agent's poll finds it out, for all nodes at once */

    if (redis->mode == NGX_HTTP_LLM_REDIS_CLUSTER
        && before && run && before != run)
    {
        redis->lost(redis->store, "another run of it");
    }
}


static void
ngx_http_llm_redis_heard_slots(void *data, redisReply *reply)
{
    ngx_http_llm_redis_conn_t  *conn = data;

    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        ngx_http_llm_redis_slots(conn, reply);

    } else if (ngx_http_llm_redis_is_error(reply, "ERR")) {
        ngx_http_llm_redis_fail(conn, "is not part of a cluster");

    } else if (ngx_http_llm_redis_is_error(reply, "NOPERM")) {
        ngx_http_llm_redis_fail(conn, "does not let this user ask for the "
                                      "slots of the cluster");
    }
}


static void
ngx_http_llm_redis_heard_subscribe(void *data, redisReply *reply)
{
    ngx_http_llm_redis_conn_t  *conn = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_llm_redis_fail(conn, "does not let this user subscribe");
        return;
    }

    ngx_http_llm_redis_ready(conn);
}
