/*
 * The topics: which of them have moved, and who is told.
 *
 * The numbers seen are this worker's own: the next agent reads everything once
 * more.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "llm_hash.h"
#include "ngx_http_llm_agent.h"
#include "ngx_http_llm_share.h"
#include "ngx_http_llm_sync_arm.h"
#include "ngx_http_llm_sync_audit.h"
#include "ngx_http_llm_sync_party.h"
#include "ngx_http_llm_sync_rest.h"
#include "ngx_http_llm_sync_split.h"
#include "ngx_http_llm_sync_switch.h"
#include "ngx_http_llm_sync_vote.h"


#define NGX_HTTP_LLM_SYNC_TOPICS  1024      /* a power of two */


typedef struct {
    uint64_t    hash;           /* of the topic's name; 0: free */
    uint64_t    gen;            /* in Redis, at the last poll */
    uint64_t    seen;           /* that was fetched */
    ngx_uint_t  fetched;        /* … at all */
} ngx_http_llm_sync_gen_t;


static const ngx_http_llm_topic_t *ngx_http_llm_sync_topic(ngx_str_t *name,
    ngx_uint_t message);
static ngx_http_llm_sync_gen_t *ngx_http_llm_sync_gen(ngx_str_t *topic);
static void ngx_http_llm_sync_full(ngx_http_llm_store_t *store);
static ngx_uint_t ngx_http_llm_sync_lag(void);


static const ngx_http_llm_topic_t  ngx_http_llm_topics[] = {
    { ngx_string("lim"), ngx_http_llm_sync_counter_fetch,
      ngx_http_llm_sync_counter_message, ngx_http_llm_sync_counter_flush,
      ngx_http_llm_sync_counter_restore },

    { ngx_string("split:"), ngx_http_llm_sync_split_fetch, NULL,
      ngx_http_llm_sync_split_flush, ngx_http_llm_sync_split_restore },

    { ngx_string("barred"), NULL, ngx_http_llm_sync_barred_message, NULL,
      NULL },

    { ngx_string("rest:"), ngx_http_llm_sync_rest_fetch, NULL,
      ngx_http_llm_sync_rest_flush, ngx_http_llm_sync_rest_restore },

    { ngx_string("switches"), ngx_http_llm_sync_switch_fetch, NULL,
      ngx_http_llm_sync_switch_flush, ngx_http_llm_sync_switch_restore },

    { ngx_string("arms"), NULL, NULL, ngx_http_llm_sync_arm_flush,
      ngx_http_llm_sync_arm_restore },

    { ngx_string("votes"), ngx_http_llm_sync_vote_fetch, NULL, NULL, NULL },

    { ngx_string("audit"), NULL, NULL, ngx_http_llm_sync_audit_flush,
      ngx_http_llm_sync_audit_restore },

    { ngx_string("clients"), ngx_http_llm_sync_party_fetch, NULL,
      ngx_http_llm_sync_party_flush, ngx_http_llm_sync_party_restore },

    { ngx_string("breaker"), NULL, ngx_http_llm_sync_breaker_message, NULL,
      NULL },

    { ngx_null_string, NULL, NULL, NULL, NULL }
};


static ngx_http_llm_script_t  ngx_http_llm_sync_touch_script = {
    ngx_string(
        "redis.call('HINCRBY', KEYS[1], ARGV[1], 1)\n"
        "redis.call('EXPIRE', KEYS[1], 604800)\n"
        "redis.call('PUBLISH', ARGV[2], ARGV[1])\n"
        "return 1\n"),
    ""
};


static ngx_http_llm_sync_gen_t
    ngx_http_llm_sync_gens[NGX_HTTP_LLM_SYNC_TOPICS];
static ngx_uint_t  ngx_http_llm_sync_n;
static ngx_uint_t  ngx_http_llm_sync_told;      /* that there are too many */
static llm_msec_t  ngx_http_llm_sync_asked;     /* the last poll was */


void
ngx_http_llm_sync_reset(void)
{
    ngx_memzero(ngx_http_llm_sync_gens, sizeof(ngx_http_llm_sync_gens));
    ngx_http_llm_sync_n = 0;
}


/* The row for a name, or the one that takes its family. */

static const ngx_http_llm_topic_t *
ngx_http_llm_sync_topic(ngx_str_t *name, ngx_uint_t message)
{
    ngx_uint_t                   family;
    const ngx_http_llm_topic_t  *t;

    for (t = ngx_http_llm_topics; t->name.len; t++) {
        family = (t->name.data[t->name.len - 1] == ':');

        if (name->len < t->name.len
            || ngx_strncmp(name->data, t->name.data, t->name.len) != 0)
        {
            continue;
        }

        if (family || name->len == t->name.len
            || (message && name->data[t->name.len] == ' '))
        {
            return t;
        }
    }

    return NULL;
}


/* NULL: there are too many to remember. */

static ngx_http_llm_sync_gen_t *
ngx_http_llm_sync_gen(ngx_str_t *topic)
{
    uint64_t                  hash;
    ngx_uint_t                i;
    ngx_http_llm_sync_gen_t  *gen;

    hash = llm_fnv64((llm_str_t) { topic->len, topic->data }, 0) | 1;

    for (i = (ngx_uint_t) hash >> 1; /* void */ ; i++) {
        gen = &ngx_http_llm_sync_gens[i & (NGX_HTTP_LLM_SYNC_TOPICS - 1)];

        if (gen->hash == hash) {
            return gen;
        }

        if (gen->hash == 0) {
            break;
        }
    }

    if (ngx_http_llm_sync_n == NGX_HTTP_LLM_SYNC_TOPICS / 2) {
        return NULL;
    }

    ngx_http_llm_sync_n++;
    gen->hash = hash;

    return gen;
}


/* [TOPIC, NUMBER, …] */

void
ngx_http_llm_sync_polled(ngx_http_llm_store_t *store, redisReply *gens,
    llm_msec_t asked)
{
    size_t                       i;
    int64_t                      n;
    ngx_str_t                    name;
    ngx_http_llm_root_t         *root;
    ngx_http_llm_sync_gen_t     *gen;
    const ngx_http_llm_topic_t  *topic;

    root = store->root;
    ngx_http_llm_sync_asked = asked;

    for (i = 0; i + 1 < gens->elements; i += 2) {

        name = ngx_http_llm_redis_str(gens->element[i]);
        topic = ngx_http_llm_sync_topic(&name, 0);

        if (topic == NULL || topic->fetch == NULL
            || ngx_http_llm_redis_int(gens->element[i + 1], &n) != NGX_OK)
        {
            continue;
        }

        gen = ngx_http_llm_sync_gen(&name);

        if (gen == NULL) {
            ngx_http_llm_sync_full(store);
            continue;
        }

        gen->gen = (uint64_t) n;

        if (!gen->fetched || gen->seen != gen->gen) {
            topic->fetch(store, &name, gen->gen);
        }
    }

    if (!ngx_http_llm_sync_lag()) {
        root->nodes.seen = asked;
    }
}


static void
ngx_http_llm_sync_full(ngx_http_llm_store_t *store)
{
    if (ngx_http_llm_sync_told) {
        return;
    }

    ngx_http_llm_sync_told = 1;

    ngx_log_error(NGX_LOG_ERR, store->log, 0,
                  "llm: redis %V has more than %d topics of the gateway, some "
                  "are not followed", &store->redis->shown,
                  NGX_HTTP_LLM_SYNC_TOPICS / 2);
}


static ngx_uint_t
ngx_http_llm_sync_lag(void)
{
    ngx_uint_t                i;
    ngx_http_llm_sync_gen_t  *gen;

    if (ngx_http_llm_sync_n == 0) {
        return 0;
    }

    for (i = 0; i < NGX_HTTP_LLM_SYNC_TOPICS; i++) {
        gen = &ngx_http_llm_sync_gens[i];

        if (gen->hash && (!gen->fetched || gen->seen != gen->gen)) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_llm_sync_seen(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t number)
{
    ngx_http_llm_root_t      *root;
    ngx_http_llm_sync_gen_t  *gen;

    root = store->root;
    gen = ngx_http_llm_sync_gen(topic);

    if (gen == NULL) {
        return;
    }

    gen->seen = number;
    gen->gen = ngx_max(gen->gen, number);
    gen->fetched = 1;

    if (!ngx_http_llm_sync_lag()) {
        root->nodes.seen = ngx_http_llm_sync_asked;
    }
}


void
ngx_http_llm_sync_message(ngx_http_llm_store_t *store, ngx_str_t *text)
{
    ngx_str_t                    words;
    const ngx_http_llm_topic_t  *topic;

    topic = ngx_http_llm_sync_topic(text, 1);

    if (topic == NULL) {
        return;
    }

    if (topic->message == NULL) {
        ngx_http_llm_sync_hurry(store);
        ngx_http_llm_agent_poll();
        return;
    }

    words.data = text->data + topic->name.len;
    words.len = text->len - topic->name.len;

    if (words.len && words.data[0] == ' ') {
        words.data++;
        words.len--;
    }

    topic->message(store, &words);
}


void
ngx_http_llm_sync_flush(ngx_http_llm_store_t *store)
{
    const ngx_http_llm_topic_t  *t;

    for (t = ngx_http_llm_topics; t->name.len; t++) {
        if (t->flush) {
            t->flush(store);
        }
    }
}


void
ngx_http_llm_sync_restore(ngx_http_llm_store_t *store)
{
    const ngx_http_llm_topic_t  *t;

    ngx_http_llm_sync_reset();

    for (t = ngx_http_llm_topics; t->name.len; t++) {
        if (t->restore) {
            t->restore(store);
        }
    }
}


ngx_int_t
ngx_http_llm_sync_touch(ngx_http_llm_store_t *store, ngx_str_t *topic)
{
    u_char                 key[NGX_HTTP_LLM_REDIS_KEY];
    u_char                 channel[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t              argv[3];
    ngx_http_llm_redis_t  *redis;

    redis = store->redis;

    if (redis == NULL) {
        return NGX_BUSY;
    }

    argv[0] = ngx_http_llm_redis_key(redis, key, sizeof(key), "{cp}:gen");
    argv[1] = *topic;
    argv[2] = ngx_http_llm_redis_key(redis, channel, sizeof(channel), "ev");

    return ngx_http_llm_redis_eval(redis, &ngx_http_llm_sync_touch_script, 1, 3,
                                   argv, NULL, NULL);
}


ngx_int_t
ngx_http_llm_sync_publish(ngx_http_llm_store_t *store, ngx_str_t *message)
{
    u_char                 channel[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t              argv[3];
    ngx_http_llm_redis_t  *redis;

    redis = store->redis;

    if (redis == NULL) {
        return NGX_BUSY;
    }

    ngx_str_set(&argv[0], "PUBLISH");
    argv[1] = ngx_http_llm_redis_key(redis, channel, sizeof(channel), "ev");
    argv[2] = *message;

    return ngx_http_llm_redis_command(redis, NULL, 3, argv, NULL, NULL);
}


void
ngx_http_llm_sync_hurry(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;
    root->nodes.hurry = 1;
}
