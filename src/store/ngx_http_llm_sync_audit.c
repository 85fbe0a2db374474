/*
 * The audit trails of all nodes, in one stream of Redis, {cp}:audit, capped at
 * about 10 000 entries: each node adds the lines of its own, which keep their
 * chain of hashes.  A line that was added twice, because an answer got lost, is
 * read once: node and sequence tell it.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_redis.h"
#include "ngx_http_llm_sync_audit.h"


#define NGX_HTTP_LLM_AUDIT_TTL  "7776000000"    /* ms: 90 days */


typedef struct {
    ngx_http_llm_audit_pt       pt;
    void                       *data;
} ngx_http_llm_audit_all_t;


static ngx_uint_t ngx_http_llm_sync_audit_next(ngx_http_llm_store_t *store,
    u_char *line, ngx_str_t *text, uint64_t *seq);
static void ngx_http_llm_sync_audit_told(void *data, redisReply *reply);
static void ngx_http_llm_sync_audit_got(void *data, redisReply *reply);
static ngx_uint_t ngx_http_llm_sync_audit_is_entry(redisReply *entry,
    ngx_str_t *node);
static ngx_uint_t ngx_http_llm_sync_audit_is_double(redisReply *reply,
    size_t at);


/* What is on its way, of this worker; 0: nothing. */

static uint64_t  ngx_http_llm_sync_audit_sent;


static ngx_str_t
ngx_http_llm_sync_audit_key(ngx_http_llm_store_t *store, u_char *buf)
{
    return ngx_http_llm_redis_key(store->redis, buf, NGX_HTTP_LLM_REDIS_KEY,
                                  "{cp}:audit");
}


/* One after the other: there are not many. */

void
ngx_http_llm_sync_audit_flush(ngx_http_llm_store_t *store)
{
    u_char                key[NGX_HTTP_LLM_REDIS_KEY];
    u_char                line[NGX_HTTP_LLM_AUDIT_SIZE];
    u_char                number[NGX_INT64_LEN];
    uint64_t              seq;
    ngx_str_t             argv[12];
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (ngx_http_llm_sync_audit_sent || root->audit.told == root->audit.seq
        || !ngx_http_llm_sync_audit_next(store, line, &argv[11], &seq))
    {
        return;
    }

    ngx_str_set(&argv[0], "XADD");
    argv[1] = ngx_http_llm_sync_audit_key(store, key);
    ngx_str_set(&argv[2], "MAXLEN");
    ngx_str_set(&argv[3], "~");
    ngx_str_set(&argv[4], "10000");
    ngx_str_set(&argv[5], "*");
    ngx_str_set(&argv[6], "node");
    argv[7] = ngx_http_llm_nodes_id(store);
    ngx_str_set(&argv[8], "seq");
    argv[9].data = number;
    argv[9].len = ngx_sprintf(number, "%uL", seq) - number;
    ngx_str_set(&argv[10], "line");

    if (ngx_http_llm_redis_command(store->redis, &argv[1], 12, argv,
                                   ngx_http_llm_sync_audit_told, store)
        != NGX_OK)
    {
        return;
    }

    ngx_http_llm_sync_audit_sent = seq;

    ngx_str_set(&argv[0], "PEXPIRE");
    ngx_str_set(&argv[2], NGX_HTTP_LLM_AUDIT_TTL);

    (void) ngx_http_llm_redis_command(store->redis, &argv[1], 3, argv, NULL,
                                      NULL);
}


/* The oldest entry in the zone that was not told yet. */

static ngx_uint_t
ngx_http_llm_sync_audit_next(ngx_http_llm_store_t *store, u_char *line,
    ngx_str_t *text, uint64_t *seq)
{
    ngx_uint_t                  found;
    ngx_queue_t                *q;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_audit_node_t  *an;

    root = store->root;
    found = 0;

    ngx_http_llm_store_lock(store);

    for (q = ngx_queue_head(&root->audit.entries);
         q != ngx_queue_sentinel(&root->audit.entries);
         q = ngx_queue_next(q))
    {
        an = ngx_queue_data(q, ngx_http_llm_audit_node_t, queue);

        if (an->seq > root->audit.told && an->len <= NGX_HTTP_LLM_AUDIT_SIZE) {
            text->data = line;
            text->len = an->len;
            ngx_memcpy(line, an->line, an->len);
            *seq = an->seq;
            found = 1;
            break;
        }
    }

    ngx_http_llm_store_unlock(store);

    return found;
}


static void
ngx_http_llm_sync_audit_told(void *data, redisReply *reply)
{
    ngx_http_llm_store_t *store = data;

    ngx_http_llm_root_t  *root;

    root = store->root;

    if (reply && reply->type != REDIS_REPLY_ERROR) {
        root->audit.told = ngx_max(root->audit.told,
                                   ngx_http_llm_sync_audit_sent);
        ngx_http_llm_sync_audit_sent = 0;
        ngx_http_llm_sync_audit_flush(store);
        return;
    }

    ngx_http_llm_sync_audit_sent = 0;
}


/* What is still in the zone is told once more. */

void
ngx_http_llm_sync_audit_restore(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;
    root->audit.told = 0;
}


/* ---- reading ------------------------------------------------------------- */

ngx_int_t
ngx_http_llm_audit_all(ngx_http_llm_store_t *store, ngx_uint_t n,
    ngx_http_llm_audit_pt pt, void *data)
{
    u_char                     key[NGX_HTTP_LLM_REDIS_KEY];
    u_char                     number[NGX_INT_T_LEN];
    ngx_str_t                  argv[6];
    ngx_http_llm_audit_all_t  *all;

    if (store->redis == NULL) {
        return NGX_BUSY;
    }

    all = ngx_alloc(sizeof(ngx_http_llm_audit_all_t), store->log);
    if (all == NULL) {
        return NGX_BUSY;
    }

    all->pt = pt;
    all->data = data;

    ngx_str_set(&argv[0], "XREVRANGE");
    argv[1] = ngx_http_llm_sync_audit_key(store, key);
    ngx_str_set(&argv[2], "+");
    ngx_str_set(&argv[3], "-");
    ngx_str_set(&argv[4], "COUNT");
    argv[5].data = number;
    argv[5].len = ngx_sprintf(number, "%ui", n) - number;

    if (ngx_http_llm_redis_command(store->redis, &argv[1], 6, argv,
                                   ngx_http_llm_sync_audit_got, all)
        != NGX_OK)
    {
        ngx_free(all);
        return NGX_BUSY;
    }

    return NGX_AGAIN;
}


/* [[ID, [node, NODE, seq, SEQ, line, LINE]], …], the newest first */

static void
ngx_http_llm_sync_audit_got(void *data, redisReply *reply)
{
    ngx_http_llm_audit_all_t *all = data;

    size_t       i;
    ngx_str_t    node, line;
    redisReply  *fields;

    if (!ngx_http_llm_redis_is_array(reply, 0)) {
        all->pt(all->data, NGX_ERROR, NULL, NULL);
        ngx_free(all);
        return;
    }

    for (i = reply->elements; i; i--) {

        if (ngx_http_llm_sync_audit_is_entry(reply->element[i - 1], &node)
            && !ngx_http_llm_sync_audit_is_double(reply, i - 1))
        {
            fields = reply->element[i - 1]->element[1];
            line = ngx_http_llm_redis_str(fields->element[5]);

            all->pt(all->data, NGX_AGAIN, &node, &line);
        }
    }

    all->pt(all->data, NGX_OK, NULL, NULL);
    ngx_free(all);
}


static ngx_uint_t
ngx_http_llm_sync_audit_is_entry(redisReply *entry, ngx_str_t *node)
{
    ngx_uint_t  i;

    if (!ngx_http_llm_redis_is_array(entry, 2)
        || !ngx_http_llm_redis_is_array(entry->element[1], 6))
    {
        return 0;
    }

    *node = ngx_http_llm_redis_str(entry->element[1]->element[1]);

    for (i = 0; i < node->len; i++) {
        if (ngx_hextoi(&node->data[i], 1) == NGX_ERROR) {
            return 0;
        }
    }

    return node->len == NGX_HTTP_LLM_NODE_ID;
}


/* Whether the same node and sequence came before; older ones are further
 * behind. */

static ngx_uint_t
ngx_http_llm_sync_audit_is_double(redisReply *reply, size_t at)
{
    size_t       i;
    ngx_str_t    a[2], b[2];
    redisReply  *fields;

    fields = reply->element[at]->element[1];
    a[0] = ngx_http_llm_redis_str(fields->element[1]);
    a[1] = ngx_http_llm_redis_str(fields->element[3]);

    for (i = at + 1; i < reply->elements; i++) {

        if (!ngx_http_llm_sync_audit_is_entry(reply->element[i], &b[0])) {
            continue;
        }

        fields = reply->element[i]->element[1];
        b[1] = ngx_http_llm_redis_str(fields->element[3]);

        if (a[0].len == b[0].len && a[1].len == b[1].len
            && ngx_strncmp(a[1].data, b[1].data, a[1].len) == 0
            && ngx_strncmp(a[0].data, b[0].data, a[0].len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
