/*
 * What the nodes saw of a step of a rollout, for the one that moves it.
 *
 *   {cp}:step:NAME   NODE   "VERSION SAMPLES PENDING CLEAR MS"
 *
 * VERSION is of the document the step began with, MS when it was said, by
 * Redis's clock.  What is older than 5 s is of nodes that are gone.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_sync_max.h"
#include "ngx_http_llm_sync_step.h"


#define NGX_HTTP_LLM_STEP_TELL   1000       /* ms between two times */
#define NGX_HTTP_LLM_STEP_FRESH  3000       /* ms: older answers do not count */
#define NGX_HTTP_LLM_STEP_ALIVE  5000


static void ngx_http_llm_sync_step_told(void *data, redisReply *reply);
static ngx_int_t ngx_http_llm_sync_step_read(redisReply *value, uint64_t now,
    uint64_t version, llm_rollout_in_t *in);


/* KEYS: the hash.  ARGV: node, what it saw. */

static ngx_http_llm_script_t  ngx_http_llm_sync_step_script = { ngx_string(
    "local t = redis.call('TIME') "
    "local ms = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)) "
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ms) "
    "redis.call('PEXPIRE', KEYS[1], 3600000) "
    "return {ms, redis.call('HGETALL', KEYS[1])}"), "" };


void
ngx_http_llm_sync_step_tell(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t version,
    const llm_rollout_in_t *in)
{
    u_char     key[NGX_HTTP_LLM_REDIS_KEY], value[4 * (NGX_INT64_LEN + 1)];
    ngx_str_t  argv[3];

    if (split->step_asked == version
        && (ngx_msec_int_t) (ngx_current_msec - split->step_next) < 0)
    {
        return;
    }

    argv[0] = ngx_http_llm_redis_key(store->redis, key, sizeof(key),
                                     "{cp}:step:%V", &split->name);
    argv[1] = ngx_http_llm_nodes_id(store);
    argv[2].data = value;
    argv[2].len = ngx_sprintf(value, "%uL %uL %d %uL", version, in->samples,
                              in->pending,
                              ngx_min(in->clear, NGX_MAX_INT32_VALUE))
                  - value;

    if (ngx_http_llm_redis_eval(store->redis, &ngx_http_llm_sync_step_script,
                                1, 3, argv, ngx_http_llm_sync_step_told, split)
        == NGX_OK)
    {
        split->step_asked = version;
        split->step_next = ngx_current_msec + NGX_HTTP_LLM_STEP_TELL;
    }
}


static void
ngx_http_llm_sync_step_told(void *data, redisReply *reply)
{
    ngx_http_llm_store_split_t *split = data;

    size_t             i;
    int64_t            now;
    ngx_str_t          node, id;
    redisReply        *all;
    llm_rollout_in_t   in;

    if (!ngx_http_llm_redis_is_array(reply, 2)
        || ngx_http_llm_redis_int(reply->element[0], &now) != NGX_OK
        || !ngx_http_llm_redis_is_array(reply->element[1], 0))
    {
        return;
    }

    ngx_memzero(&in, sizeof(llm_rollout_in_t));
    in.clear = LLM_NEVER;

    id = ngx_http_llm_nodes_id(split->store);
    all = reply->element[1];

    for (i = 0; i + 1 < all->elements; i += 2) {
        node = ngx_http_llm_redis_str(all->element[i]);

        if (node.len != id.len
            || ngx_strncmp(node.data, id.data, id.len) != 0)
        {
            (void) ngx_http_llm_sync_step_read(all->element[i + 1],
                                               (uint64_t) now,
                                               split->step_asked, &in);
        }
    }

    split->step = in;
    split->step_version = split->step_asked;
    split->step_at = ngx_current_msec;
}


static ngx_int_t
ngx_http_llm_sync_step_read(redisReply *value, uint64_t now, uint64_t version,
    llm_rollout_in_t *in)
{
    uint64_t    seen, samples, pending, clear, ms;
    ngx_str_t   text;

    text = ngx_http_llm_redis_str(value);

    if (ngx_http_llm_sync_number(&text, &seen) != NGX_OK
        || ngx_http_llm_sync_number(&text, &samples) != NGX_OK
        || ngx_http_llm_sync_number(&text, &pending) != NGX_OK
        || ngx_http_llm_sync_number(&text, &clear) != NGX_OK
        || ngx_http_llm_sync_number(&text, &ms) != NGX_OK
        || seen != version || ms + NGX_HTTP_LLM_STEP_ALIVE < now)
    {
        return NGX_DECLINED;
    }

    in->samples += samples;
    in->pending |= (pending != 0);
    in->clear = ngx_min(in->clear, clear);

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_sync_step_add(const ngx_http_llm_store_split_t *split,
    uint64_t version, llm_rollout_in_t *in)
{
    if (split->step_version != version
        || ngx_current_msec - split->step_at > NGX_HTTP_LLM_STEP_FRESH)
    {
        return NGX_DECLINED;
    }

    in->samples += split->step.samples;
    in->pending |= split->step.pending;
    in->clear = ngx_min(in->clear, split->step.clear);

    return NGX_OK;
}
