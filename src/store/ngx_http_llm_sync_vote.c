/*
 * Votes for requests that another node served: whoever gets one that it does
 * not know puts it into a stream, {cp}:votes, which all nodes read.  The one
 * that served the request counts it.  A vote that comes twice is one vote.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_redis.h"
#include "ngx_http_llm_sync.h"
#include "ngx_http_llm_sync_vote.h"


#define NGX_HTTP_LLM_VOTES_READ  500        /* of one round trip */


typedef struct {
    ngx_http_llm_store_t        *store;
    ngx_str_t                    topic;
    uint64_t                     gen;
} ngx_http_llm_votes_read_t;


static ngx_int_t ngx_http_llm_sync_vote_ask(ngx_http_llm_votes_read_t *read);
static void ngx_http_llm_sync_vote_got(void *data, redisReply *reply);
static ngx_int_t ngx_http_llm_sync_vote_take(ngx_http_llm_store_t *store,
    redisReply *entry);
static ngx_int_t ngx_http_llm_sync_vote_id(const ngx_str_t *text,
    uint64_t id[2]);


/* KEYS: the stream, {cp}:gen.  ARGV: request, vote, channel. */

static ngx_http_llm_script_t  ngx_http_llm_sync_vote_script = { ngx_string(
    "redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10000, '*', "
    "'r', ARGV[1], 'v', ARGV[2]) "
    "redis.call('PEXPIRE', KEYS[1], 172800000) "
    "redis.call('HINCRBY', KEYS[2], 'votes', 1) "
    "redis.call('PUBLISH', ARGV[3], 'votes') "
    "return 1"), "" };


static ngx_str_t
ngx_http_llm_sync_vote_key(ngx_http_llm_store_t *store, u_char *buf)
{
    return ngx_http_llm_redis_key(store->redis, buf, NGX_HTTP_LLM_REDIS_KEY,
                                  "{cp}:votes");
}


ngx_int_t
ngx_http_llm_vote_forward(ngx_http_llm_store_t *store, const u_char id[32],
    int vote)
{
    u_char                key[3][NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t             argv[5];
    ngx_http_llm_root_t  *root;

    if (store->redis == NULL || store->root == NULL) {
        return NGX_DECLINED;
    }

    argv[0] = ngx_http_llm_sync_vote_key(store, key[0]);
    argv[1] = ngx_http_llm_redis_key(store->redis, key[1], sizeof(key[1]),
                                     "{cp}:gen");
    argv[2].data = (u_char *) id;
    argv[2].len = 32;
    ngx_str_set(&argv[3], "up");

    if (vote < 0) {
        ngx_str_set(&argv[3], "down");
    }

    argv[4] = ngx_http_llm_redis_key(store->redis, key[2], sizeof(key[2]),
                                     "ev");

    if (ngx_http_llm_redis_eval(store->redis, &ngx_http_llm_sync_vote_script,
                                2, 5, argv, NULL, NULL)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    root = store->root;
    (void) __atomic_fetch_add(&root->vote_totals.forwarded, 1,
                              __ATOMIC_RELAXED);

    return NGX_OK;
}


void
ngx_http_llm_sync_vote_fetch(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen)
{
    ngx_http_llm_votes_read_t  *read;

    read = ngx_alloc(sizeof(ngx_http_llm_votes_read_t) + topic->len,
                     store->log);
    if (read == NULL) {
        return;
    }

    read->store = store;
    read->gen = gen;
    read->topic.len = topic->len;
    read->topic.data = (u_char *) (read + 1);
    ngx_memcpy(read->topic.data, topic->data, topic->len);

    if (ngx_http_llm_sync_vote_ask(read) != NGX_OK) {
        ngx_free(read);
    }
}


/* What is newer than the last one that was seen. */

static ngx_int_t
ngx_http_llm_sync_vote_ask(ngx_http_llm_votes_read_t *read)
{
    u_char                 key[NGX_HTTP_LLM_REDIS_KEY];
    u_char                 from[2 * NGX_INT64_LEN + 1], count[NGX_INT_T_LEN];
    ngx_str_t              argv[6];
    ngx_http_llm_root_t   *root;
    ngx_http_llm_store_t  *store;

    store = read->store;
    root = store->root;

    ngx_str_set(&argv[0], "XRANGE");
    argv[1] = ngx_http_llm_sync_vote_key(store, key);
    argv[2].data = from;
    argv[2].len = ngx_sprintf(from, "%uL-%uL", root->votes_seen[0],
                              root->votes_seen[1] + 1)
                  - from;
    ngx_str_set(&argv[3], "+");
    ngx_str_set(&argv[4], "COUNT");
    argv[5].data = count;
    argv[5].len = ngx_sprintf(count, "%d", NGX_HTTP_LLM_VOTES_READ) - count;

    return ngx_http_llm_redis_command(store->redis, &argv[1], 6, argv,
                                      ngx_http_llm_sync_vote_got, read);
}


static void
ngx_http_llm_sync_vote_got(void *data, redisReply *reply)
{
    ngx_http_llm_votes_read_t *read = data;

    size_t  i;

    if (!ngx_http_llm_redis_is_array(reply, 0)) {
        ngx_free(read);
        return;
    }

    for (i = 0; i < reply->elements; i++) {
        if (ngx_http_llm_sync_vote_take(read->store, reply->element[i])
            != NGX_OK)
        {
            break;
        }
    }

    if (i == NGX_HTTP_LLM_VOTES_READ
        && ngx_http_llm_sync_vote_ask(read) == NGX_OK)
    {
        return;
    }

    if (i < NGX_HTTP_LLM_VOTES_READ) {
        ngx_http_llm_sync_seen(read->store, &read->topic, read->gen);
    }

    ngx_free(read);
}


/* [ID, [r, REQUEST, v, up|down]] */

static ngx_int_t
ngx_http_llm_sync_vote_take(ngx_http_llm_store_t *store, redisReply *entry)
{
    uint32_t                     variant;
    uint64_t                     id[2];
    ngx_str_t                    text, request, vote;
    ngx_http_llm_root_t         *root;
    ngx_http_llm_store_split_t  *split;

    if (!ngx_http_llm_redis_is_array(entry, 2)) {
        return NGX_ERROR;
    }

    text = ngx_http_llm_redis_str(entry->element[0]);

    if (ngx_http_llm_sync_vote_id(&text, id) != NGX_OK) {
        return NGX_ERROR;
    }

    root = store->root;
    root->votes_seen[0] = id[0];
    root->votes_seen[1] = id[1];

    if (!ngx_http_llm_redis_is_array(entry->element[1], 4)) {
        return NGX_OK;
    }

    request = ngx_http_llm_redis_str(entry->element[1]->element[1]);
    vote = ngx_http_llm_redis_str(entry->element[1]->element[3]);

    if (request.len == 32) {
        (void) ngx_http_llm_vote(store, request.data, vote.len == 2 ? 1 : -1,
                                 &split, &variant);
    }

    return NGX_OK;
}


/* MS-SEQUENCE */

static ngx_int_t
ngx_http_llm_sync_vote_id(const ngx_str_t *text, uint64_t id[2])
{
    u_char  *p, *last;
    off_t    ms, n;

    last = text->data + text->len;
    p = ngx_strlchr(text->data, last, '-');

    if (p == NULL) {
        return NGX_ERROR;
    }

    ms = ngx_atoof(text->data, p - text->data);
    n = ngx_atoof(p + 1, last - p - 1);

    if (ms == NGX_ERROR || n == NGX_ERROR) {
        return NGX_ERROR;
    }

    id[0] = (uint64_t) ms;
    id[1] = (uint64_t) n;

    return NGX_OK;
}
