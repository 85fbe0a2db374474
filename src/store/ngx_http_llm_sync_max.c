/*
 * Hashes in Redis whose fields only grow: see ngx_http_llm_sync_max.h.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_sync_max.h"


#define NGX_HTTP_LLM_SYNC_MAX_TTL  "2592000000"     /* ms: 30 days */


typedef struct {
    ngx_http_llm_store_t       *store;
    ngx_str_t                   topic;
    uint64_t                    gen;
    ngx_http_llm_sync_all_pt    all;
} ngx_http_llm_sync_read_t;


static void ngx_http_llm_sync_max_got(void *data, redisReply *reply);


/* KEYS: the hash, {cp}:gen.  ARGV: topic, channel, then fields and values. */

static ngx_http_llm_script_t  ngx_http_llm_sync_max_script = { ngx_string(
    "local function num(s) "
    "return tonumber(string.match(s or '', '^%d+') or '-1') end "
    "local news = 0 "
    "for i = 3, #ARGV, 2 do "
    "if num(ARGV[i + 1]) > num(redis.call('HGET', KEYS[1], ARGV[i])) then "
    "redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) news = news + 1 end end "
    "redis.call('PEXPIRE', KEYS[1], " NGX_HTTP_LLM_SYNC_MAX_TTL ") "
    "if news > 0 then "
    "redis.call('HINCRBY', KEYS[2], ARGV[1], 1) "
    "redis.call('PUBLISH', ARGV[2], ARGV[1]) end "
    "return news"), "" };

/* KEYS: the hash.  ARGV: the number, then fields. */

static ngx_http_llm_script_t  ngx_http_llm_sync_drop_script = { ngx_string(
    "for i = 2, #ARGV do "
    "local n = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', "
    "'^%d+') "
    "if n and tonumber(n) <= tonumber(ARGV[1]) then "
    "redis.call('HDEL', KEYS[1], ARGV[i]) end end "
    "return 1"), "" };


static ngx_str_t
ngx_http_llm_sync_max_key(ngx_http_llm_store_t *store, ngx_str_t *topic,
    u_char *buf)
{
    return ngx_http_llm_redis_key(store->redis, buf, NGX_HTTP_LLM_REDIS_KEY,
                                  "{cp}:%V", topic);
}


ngx_int_t
ngx_http_llm_sync_max_write(ngx_http_llm_store_t *store, ngx_str_t *topic,
    const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n,
    ngx_http_llm_redis_pt pt, void *data)
{
    u_char      buf[3][NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t   argv[4 + 2 * NGX_HTTP_LLM_SYNC_MAX];
    ngx_uint_t  i;

    argv[0] = ngx_http_llm_sync_max_key(store, topic, buf[0]);
    argv[1] = ngx_http_llm_redis_key(store->redis, buf[1], sizeof(buf[1]),
                                     "{cp}:gen");
    argv[2] = *topic;
    argv[3] = ngx_http_llm_redis_key(store->redis, buf[2], sizeof(buf[2]),
                                     "ev");

    for (i = 0; i < n; i++) {
        argv[4 + 2 * i] = pair[i].field;
        argv[5 + 2 * i] = pair[i].value;
    }

    return ngx_http_llm_redis_eval(store->redis, &ngx_http_llm_sync_max_script,
                                   2, 4 + 2 * n, argv, pt, data);
}


ngx_int_t
ngx_http_llm_sync_max_drop(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t than, const ngx_str_t *field, ngx_uint_t n)
{
    u_char      buf[NGX_HTTP_LLM_REDIS_KEY], number[NGX_INT64_LEN];
    ngx_str_t   argv[2 + NGX_HTTP_LLM_SYNC_MAX];
    ngx_uint_t  i;

    argv[0] = ngx_http_llm_sync_max_key(store, topic, buf);
    argv[1].data = number;
    argv[1].len = ngx_sprintf(number, "%uL", than) - number;

    for (i = 0; i < n; i++) {
        argv[2 + i] = field[i];
    }

    return ngx_http_llm_redis_eval(store->redis,
                                   &ngx_http_llm_sync_drop_script, 1, 2 + n,
                                   argv, NULL, NULL);
}


void
ngx_http_llm_sync_max_read(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen, ngx_http_llm_sync_all_pt all)
{
    u_char                     buf[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t                  argv[2];
    ngx_http_llm_sync_read_t  *read;

    read = ngx_alloc(sizeof(ngx_http_llm_sync_read_t) + topic->len,
                     store->log);
    if (read == NULL) {
        return;
    }

    read->store = store;
    read->topic.len = topic->len;
    read->topic.data = (u_char *) (read + 1);
    ngx_memcpy(read->topic.data, topic->data, topic->len);
    read->gen = gen;
    read->all = all;

    ngx_str_set(&argv[0], "HGETALL");
    argv[1] = ngx_http_llm_sync_max_key(store, topic, buf);

    if (ngx_http_llm_redis_command(store->redis, &argv[1], 2, argv,
                                   ngx_http_llm_sync_max_got, read)
        != NGX_OK)
    {
        ngx_free(read);
    }
}


static void
ngx_http_llm_sync_max_got(void *data, redisReply *reply)
{
    ngx_http_llm_sync_read_t *read = data;

    size_t                     i, n;
    ngx_http_llm_sync_pair_t  *pair;

    if (!ngx_http_llm_redis_is_array(reply, 0)) {
        ngx_free(read);
        return;
    }

    n = reply->elements / 2;
    pair = ngx_alloc(n * sizeof(ngx_http_llm_sync_pair_t) + 1,
                     read->store->log);

    if (pair) {
        for (i = 0; i < n; i++) {
            pair[i].field = ngx_http_llm_redis_str(reply->element[2 * i]);
            pair[i].value = ngx_http_llm_redis_str(reply->element[2 * i + 1]);
        }

        read->all(read->store, &read->topic, pair, n);
        ngx_http_llm_sync_seen(read->store, &read->topic, read->gen);

        ngx_free(pair);
    }

    ngx_free(read);
}


void
ngx_http_llm_sync_max_renew(ngx_http_llm_store_t *store, ngx_str_t *topic)
{
    u_char     buf[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "PEXPIRE");
    argv[1] = ngx_http_llm_sync_max_key(store, topic, buf);
    ngx_str_set(&argv[2], NGX_HTTP_LLM_SYNC_MAX_TTL);

    (void) ngx_http_llm_redis_command(store->redis, &argv[1], 3, argv, NULL,
                                      NULL);
}


ngx_int_t
ngx_http_llm_sync_number(ngx_str_t *text, uint64_t *n)
{
    u_char  *p, *last;

    p = text->data;
    last = p + text->len;

    for (*n = 0; p < last && *p >= '0' && *p <= '9'; p++) {

        if (*n > NGX_MAX_INT_T_VALUE / 10 - 1) {
            return NGX_ERROR;
        }

        *n = *n * 10 + (uint64_t) (*p - '0');
    }

    if (p == text->data || (p < last && *p != ' ')) {
        return NGX_ERROR;
    }

    p += p < last;
    text->len = last - p;
    text->data = p;

    return NGX_OK;
}
