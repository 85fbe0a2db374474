/*
 * Commands on their way to Redis, and replies on their way back.
 */

#include "ngx_http_llm_redis_conn.h"


#define NGX_HTTP_LLM_REDIS_QUEUE   1024             /* commands */
#define NGX_HTTP_LLM_REDIS_BYTES   (1024 * 1024)    /* of them */
#define NGX_HTTP_LLM_REDIS_READ    16384
#define NGX_HTTP_LLM_REDIS_REPLY   (16 * 1024 * 1024)   /* bytes of one */
#define NGX_HTTP_LLM_REDIS_ARRAY   (256 * 1024)     /* elements of one */
#define NGX_HTTP_LLM_REDIS_BUFS    64               /* in one write */
#define NGX_HTTP_LLM_REDIS_WORDS   32               /* without an allocation */


static ngx_int_t ngx_http_llm_redis_parse(ngx_http_llm_redis_conn_t *conn);
static void *ngx_http_llm_redis_array(const redisReadTask *task, int n);
static void ngx_http_llm_redis_answer(ngx_http_llm_redis_conn_t *conn,
    redisReply *reply);
static ngx_int_t ngx_http_llm_redis_again(ngx_http_llm_redis_conn_t *conn,
    ngx_http_llm_redis_cmd_t *cmd, redisReply *reply);
static void ngx_http_llm_redis_object(ngx_http_llm_redis_conn_t *conn,
    redisReply *reply);
static void ngx_http_llm_redis_latency(ngx_http_llm_redis_t *redis,
    ngx_msec_t ms);
static ngx_chain_t *ngx_http_llm_redis_gather(ngx_http_llm_redis_conn_t *conn,
    ngx_queue_t *from, ngx_chain_t *cl, ngx_buf_t *buf);
static ngx_uint_t ngx_http_llm_redis_written(ngx_http_llm_redis_conn_t *conn,
    ngx_queue_t *from, ngx_chain_t *cl);
static void ngx_http_llm_redis_expire_waiting(
    ngx_http_llm_redis_conn_t *conn);
static void ngx_http_llm_redis_forget(ngx_http_llm_redis_t *redis,
    ngx_queue_t *cmds);
static ngx_http_llm_redis_cmd_t *ngx_http_llm_redis_oldest(
    ngx_http_llm_redis_conn_t *conn);


ngx_http_llm_redis_cmd_t *
ngx_http_llm_redis_cmd(ngx_uint_t argc, ngx_str_t *argv,
    ngx_http_llm_redis_pt pt, void *data)
{
    int                        n;
    size_t                     len[NGX_HTTP_LLM_REDIS_WORDS], *lens;
    ngx_uint_t                 i;
    const char                *word[NGX_HTTP_LLM_REDIS_WORDS], **words;
    ngx_http_llm_redis_cmd_t  *cmd;

    words = word;
    lens = len;

    if (argc > NGX_HTTP_LLM_REDIS_WORDS) {
        words = ngx_alloc(argc * (sizeof(char *) + sizeof(size_t)),
                          ngx_cycle->log);
        if (words == NULL) {
            return NULL;
        }

        lens = (size_t *) (words + argc);
    }

    for (i = 0; i < argc; i++) {
        words[i] = argv[i].len ? (char *) argv[i].data : "";
        lens[i] = argv[i].len;
    }

    cmd = ngx_calloc(sizeof(ngx_http_llm_redis_cmd_t), ngx_cycle->log);

    n = cmd ? redisFormatCommandArgv(&cmd->text, (int) argc, words, lens) : -1;

    if (words != word) {
        ngx_free(words);
    }

    if (n < 0) {
        ngx_http_llm_redis_cmd_free(cmd);
        return NULL;
    }

    cmd->len = (size_t) n;
    cmd->pt = pt;
    cmd->data = data;
    cmd->begun = ngx_current_msec;

    return cmd;
}


void
ngx_http_llm_redis_cmd_free(ngx_http_llm_redis_cmd_t *cmd)
{
    if (cmd == NULL) {
        return;
    }

    if (cmd->text) {
        redisFreeCommand(cmd->text);
    }

    ngx_free(cmd);
}


ngx_int_t
ngx_http_llm_redis_take(ngx_http_llm_redis_conn_t *conn, size_t len)
{
    if (conn->state == NGX_HTTP_LLM_REDIS_IDLE) {
        ngx_http_llm_redis_open(conn);
    }

    if (conn->state < NGX_HTTP_LLM_REDIS_FIND
        || conn->n >= NGX_HTTP_LLM_REDIS_QUEUE
        || (conn->n && conn->bytes + len > NGX_HTTP_LLM_REDIS_BYTES))
    {
        return NGX_BUSY;
    }

    return NGX_OK;
}


void
ngx_http_llm_redis_push(ngx_http_llm_redis_conn_t *conn,
    ngx_http_llm_redis_cmd_t *cmd)
{
    ngx_queue_insert_tail(cmd->hello ? &conn->hello : &conn->waiting,
                          &cmd->queue);
    conn->n++;
    conn->bytes += cmd->len;

    if (!conn->deadline.timer_set) {
        ngx_add_timer(&conn->deadline, conn->redis->timeout);
    }

    if (conn->state == (cmd->hello ? NGX_HTTP_LLM_REDIS_HELLO
                                   : NGX_HTTP_LLM_REDIS_READY)
        && !conn->peer.connection->write->posted)
    {
        ngx_post_event(conn->peer.connection->write, &ngx_posted_events);
    }
}


void
ngx_http_llm_redis_read(ngx_event_t *ev)
{
    ssize_t                     n;
    u_char                      buf[NGX_HTTP_LLM_REDIS_READ];
    ngx_connection_t           *c;
    ngx_http_llm_redis_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    for ( ;; ) {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(ev, 0) != NGX_OK) {
                ngx_http_llm_redis_fail(conn, "there are no events");
            }

            return;
        }

        if (n <= 0) {
            ngx_http_llm_redis_fail(conn, n ? "reading failed"
                                            : "closed the connection");
            return;
        }

        conn->fed += (size_t) n;

        if (redisReaderFeed(conn->reader, (char *) buf, (size_t) n)
            != REDIS_OK)
        {
            ngx_http_llm_redis_fail(conn, "there is not enough memory");
            return;
        }

        if (ngx_http_llm_redis_parse(conn) != NGX_OK) {
            return;
        }
    }
}


/* NGX_OK: the connection is still the same one. */

static ngx_int_t
ngx_http_llm_redis_parse(ngx_http_llm_redis_conn_t *conn)
{
    void                             *reply;
    redisReader                      *reader;
    ngx_uint_t                        serial;
    static redisReplyObjectFunctions  functions;

    serial = conn->serial;
    reader = conn->reader;

    if (reader->fn != &functions) {
        functions = *reader->fn;
        functions.createArray = ngx_http_llm_redis_array;
        reader->fn = &functions;
    }

    for ( ;; ) {
        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            ngx_http_llm_redis_fail(conn, "does not speak Redis's protocol");
            return NGX_ERROR;
        }

        if (reply == NULL) {
            break;
        }

        conn->fed = reader->len - reader->pos;

        ngx_http_llm_redis_answer(conn, reply);

        freeReplyObject(reply);

        if (conn->serial != serial || conn->reader != reader) {
            return NGX_DONE;
        }
    }

    if (conn->fed > NGX_HTTP_LLM_REDIS_REPLY) {
        ngx_http_llm_redis_fail(conn, "a reply is too long");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* As hiredis's own, but for a bound on what a single line can make it
 * allocate. */

static void *
ngx_http_llm_redis_array(const redisReadTask *task, int n)
{
    redisReply  *reply, *parent;

    if (n < 0 || n > NGX_HTTP_LLM_REDIS_ARRAY) {
        return NULL;
    }

    reply = calloc(1, sizeof(redisReply));
    if (reply == NULL) {
        return NULL;
    }

    reply->type = REDIS_REPLY_ARRAY;

    if (n) {
        reply->element = calloc((size_t) n, sizeof(redisReply *));

        if (reply->element == NULL) {
            free(reply);
            return NULL;
        }
    }

    reply->elements = (size_t) n;

    if (task->parent) {
        parent = task->parent->obj;
        parent->element[task->idx] = reply;
    }

    return reply;
}


static void
ngx_http_llm_redis_answer(ngx_http_llm_redis_conn_t *conn, redisReply *reply)
{
    ngx_queue_t               *q;
    ngx_http_llm_redis_cmd_t  *cmd;

    if (conn->kind == NGX_HTTP_LLM_REDIS_LISTENER
        && conn->state == NGX_HTTP_LLM_REDIS_READY)
    {
        ngx_http_llm_redis_heard(conn, reply);
        return;
    }

    if (ngx_queue_empty(&conn->sent)) {
        ngx_http_llm_redis_fail(conn, "answered what nobody had asked");
        return;
    }

    q = ngx_queue_head(&conn->sent);
    cmd = ngx_queue_data(q, ngx_http_llm_redis_cmd_t, queue);

    ngx_http_llm_redis_pop(conn, cmd);

    if (cmd->hello == NULL) {
        conn->timeouts = 0;
        ngx_http_llm_redis_count(conn->redis, replies);
        ngx_http_llm_redis_latency(conn->redis, ngx_current_msec - cmd->begun);
    }

    if (reply->type == REDIS_REPLY_ERROR
        && ngx_http_llm_redis_again(conn, cmd, reply) == NGX_OK)
    {
        return;
    }

    if (cmd->pt) {
        cmd->pt(cmd->data, reply);
    }

    ngx_http_llm_redis_cmd_free(cmd);

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_llm_redis_object(conn, reply);
    }
}


void
ngx_http_llm_redis_pop(ngx_http_llm_redis_conn_t *conn,
    ngx_http_llm_redis_cmd_t *cmd)
{
    ngx_queue_remove(&cmd->queue);
    conn->n--;
    conn->bytes -= cmd->len;

    if (conn->n == 0 && conn->deadline.timer_set) {
        ngx_del_timer(&conn->deadline);
    }
}


/* NGX_OK: the command was sent again, because it was not executed. */

static ngx_int_t
ngx_http_llm_redis_again(ngx_http_llm_redis_conn_t *conn,
    ngx_http_llm_redis_cmd_t *cmd, redisReply *reply)
{
    if (cmd->script && ngx_http_llm_redis_is_error(reply, "NOSCRIPT")) {

        ngx_http_llm_redis_count(conn->redis, unknown_scripts);

        if (ngx_http_llm_redis_in_full(cmd) != NGX_OK) {
            return NGX_DECLINED;
        }

        ngx_http_llm_redis_push(conn, cmd);
        return NGX_OK;
    }

    return ngx_http_llm_redis_follow(conn, cmd, reply);
}


/* What an error tells about the connection rather than the command. */

static void
ngx_http_llm_redis_object(ngx_http_llm_redis_conn_t *conn, redisReply *reply)
{
    ngx_http_llm_redis_count(conn->redis, errors);

    if (conn->state != NGX_HTTP_LLM_REDIS_READY) {
        return;
    }

    if (ngx_http_llm_redis_is_error(reply, "READONLY")) {
        ngx_http_llm_redis_fail(conn, "is a replica now");

    } else if (ngx_http_llm_redis_is_error(reply, "NOAUTH")) {
        ngx_http_llm_redis_fail(conn, "wants to know who this is");

    } else if (ngx_http_llm_redis_is_error(reply, "CLUSTERDOWN")) {
        ngx_http_llm_redis_refresh(conn->redis);

    } else if (ngx_http_llm_redis_is_error(reply, "OOM")) {
        ngx_http_llm_redis_count(conn->redis, oom);
        ngx_http_llm_redis_tell(conn, "is out of memory");
    }
}


static void
ngx_http_llm_redis_latency(ngx_http_llm_redis_t *redis, ngx_msec_t ms)
{
    ngx_uint_t                    i;
    ngx_http_llm_redis_totals_t  *totals;

    totals = &((ngx_http_llm_root_t *) redis->store->root)->redis;

    for (i = 0; i < NGX_HTTP_LLM_REDIS_TIMES - 1; i++) {
        if (ms <= ngx_http_llm_redis_times[i]) {
            break;
        }
    }

    (void) __atomic_fetch_add(&totals->time[i], 1, __ATOMIC_RELAXED);
    (void) __atomic_fetch_add(&totals->time_sum, ms, __ATOMIC_RELAXED);
}


void
ngx_http_llm_redis_write(ngx_event_t *ev)
{
    ngx_buf_t                   buf[NGX_HTTP_LLM_REDIS_BUFS];
    ngx_chain_t                 chain[NGX_HTTP_LLM_REDIS_BUFS], *cl;
    ngx_queue_t                *from;
    ngx_connection_t           *c;
    ngx_http_llm_redis_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (conn->state != NGX_HTTP_LLM_REDIS_HELLO
        && conn->state != NGX_HTTP_LLM_REDIS_READY)
    {
        return;
    }

    from = (conn->state == NGX_HTTP_LLM_REDIS_HELLO) ? &conn->hello
                                                     : &conn->waiting;

    while (!ngx_queue_empty(from)) {

        cl = ngx_http_llm_redis_gather(conn, from, chain, buf);

        if (c->send_chain(c, cl, 0) == NGX_CHAIN_ERROR) {
            ngx_http_llm_redis_fail(conn, "writing failed");
            return;
        }

        if (!ngx_http_llm_redis_written(conn, from, cl)) {
            break;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_llm_redis_fail(conn, "there are no events");
    }
}


static ngx_chain_t *
ngx_http_llm_redis_gather(ngx_http_llm_redis_conn_t *conn, ngx_queue_t *from,
    ngx_chain_t *cl, ngx_buf_t *buf)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q;
    ngx_http_llm_redis_cmd_t  *cmd;

    ngx_memzero(buf, NGX_HTTP_LLM_REDIS_BUFS * sizeof(ngx_buf_t));

    i = 0;

    for (q = ngx_queue_head(from);
         q != ngx_queue_sentinel(from) && i < NGX_HTTP_LLM_REDIS_BUFS;
         q = ngx_queue_next(q))
    {
        cmd = ngx_queue_data(q, ngx_http_llm_redis_cmd_t, queue);

        buf[i].pos = (u_char *) cmd->text;
        buf[i].last = buf[i].pos + cmd->len;
        buf[i].memory = 1;

        if (i == 0) {
            buf[i].pos += conn->offset;
        }

        cl[i].buf = &buf[i];
        cl[i].next = &cl[i + 1];
        i++;
    }

    cl[i - 1].next = NULL;

    return cl;
}


/* Whether all of it is on its way. */

static ngx_uint_t
ngx_http_llm_redis_written(ngx_http_llm_redis_conn_t *conn, ngx_queue_t *from,
    ngx_chain_t *cl)
{
    ngx_queue_t               *q;
    ngx_http_llm_redis_cmd_t  *cmd;

    for ( /* void */ ; cl; cl = cl->next) {

        q = ngx_queue_head(from);
        cmd = ngx_queue_data(q, ngx_http_llm_redis_cmd_t, queue);

        if (cl->buf->pos != cl->buf->last) {
            conn->offset = cl->buf->pos - (u_char *) cmd->text;
            return 0;
        }

        conn->offset = 0;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&conn->sent, q);

        if (cmd->hello == NULL) {
            ngx_http_llm_redis_count(conn->redis, commands);
        }
    }

    return 1;
}


void
ngx_http_llm_redis_expire(ngx_event_t *ev)
{
    ngx_msec_int_t              left;
    ngx_connection_t           *ident;
    ngx_http_llm_redis_cmd_t   *cmd;
    ngx_http_llm_redis_conn_t  *conn;

    ident = ev->data;
    conn = ident->data;

    /* a connection that is not there yet has a time limit of its own */

    if (conn->state != NGX_HTTP_LLM_REDIS_READY) {
        ngx_http_llm_redis_expire_waiting(conn);
        return;
    }

    cmd = ngx_http_llm_redis_oldest(conn);

    if (cmd == NULL) {
        return;
    }

    left = (ngx_msec_int_t) (cmd->begun + conn->redis->timeout
                             - ngx_current_msec);

    if (left > 0) {
        ngx_add_timer(ev, (ngx_msec_t) left);
        return;
    }

    conn->timeouts++;
    ngx_http_llm_redis_count(conn->redis, timeouts);
    ngx_http_llm_redis_fail(conn, "timed out");
}


static void
ngx_http_llm_redis_expire_waiting(ngx_http_llm_redis_conn_t *conn)
{
    ngx_queue_t                late, *q;
    ngx_msec_int_t             left;
    ngx_http_llm_redis_cmd_t  *cmd;

    left = (ngx_msec_int_t) conn->redis->timeout;

    ngx_queue_init(&late);

    while (!ngx_queue_empty(&conn->waiting)) {
        q = ngx_queue_head(&conn->waiting);
        cmd = ngx_queue_data(q, ngx_http_llm_redis_cmd_t, queue);

        left = (ngx_msec_int_t) (cmd->begun + conn->redis->timeout
                                 - ngx_current_msec);
        if (left > 0) {
            break;
        }

        ngx_http_llm_redis_pop(conn, cmd);
        ngx_queue_insert_tail(&late, q);
    }

    if (conn->n && !conn->deadline.timer_set) {
        ngx_add_timer(&conn->deadline, (ngx_msec_t) ngx_max(left, 1));
    }

    ngx_http_llm_redis_forget(conn->redis, &late);
}


static ngx_http_llm_redis_cmd_t *
ngx_http_llm_redis_oldest(ngx_http_llm_redis_conn_t *conn)
{
    ngx_queue_t  *from;

    from = ngx_queue_empty(&conn->sent) ? &conn->waiting : &conn->sent;

    if (ngx_queue_empty(from)) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_head(from), ngx_http_llm_redis_cmd_t,
                          queue);
}


void
ngx_http_llm_redis_drop(ngx_http_llm_redis_conn_t *conn)
{
    ngx_queue_t  all;

    ngx_queue_init(&all);

    ngx_http_llm_redis_join(&all, &conn->sent);
    ngx_http_llm_redis_join(&all, &conn->hello);
    ngx_http_llm_redis_join(&all, &conn->waiting);

    conn->n = 0;
    conn->bytes = 0;

    ngx_http_llm_redis_forget(conn->redis, &all);
}


void
ngx_http_llm_redis_join(ngx_queue_t *to, ngx_queue_t *from)
{
    if (!ngx_queue_empty(from)) {
        ngx_queue_add(to, from);
        ngx_queue_init(from);
    }
}


/* Who is told may ask for something new at once: these are out of reach. */

static void
ngx_http_llm_redis_forget(ngx_http_llm_redis_t *redis, ngx_queue_t *cmds)
{
    ngx_queue_t               *q;
    ngx_http_llm_redis_cmd_t  *cmd;

    while (!ngx_queue_empty(cmds)) {
        q = ngx_queue_head(cmds);
        ngx_queue_remove(q);

        cmd = ngx_queue_data(q, ngx_http_llm_redis_cmd_t, queue);

        if (cmd->hello == NULL) {
            ngx_http_llm_redis_count(redis, unknown);
        }

        if (cmd->pt) {
            cmd->pt(cmd->data, NULL);
        }

        ngx_http_llm_redis_cmd_free(cmd);
    }
}
