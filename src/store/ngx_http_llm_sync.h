/*
 * What nodes tell each other through Redis, by topics.
 *
 * Who changes a shared document in Redis moves its topic's number in the hash
 * {cp}:gen and publishes the topic's name.  The agent of each node reads all
 * numbers every second, and at once when a name was published; a topic whose
 * number is not the one it has seen is fetched.  Lost messages cost a second,
 * no more.
 */

#ifndef _NGX_HTTP_LLM_SYNC_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_nodes.h"
#include "ngx_http_llm_redis.h"

#pragma GCC visibility push(hidden)


/*
 * A row of the table in ngx_http_llm_sync.c.  A name that ends in ":" stands
 * for all topics that begin with it, such as "split:analyze".  Any handler may
 * be NULL; all of them run in the agent only, without the lock.
 *
 *   fetch    the topic's number is not the one seen: read what it stands for,
 *            then call ngx_http_llm_sync_seen(); until then it is asked again
 *            every second
 *   message  somebody published "NAME WORDS": the words.  A topic without this
 *            handler is looked at at once instead
 *   flush    every 100 ms while connected: send what waits in the zone
 *   restore  Redis lost its data, or may have lost the newest: tell it what
 *            this node has.  All numbers count as unseen then
 */
typedef struct {
    ngx_str_t   name;
    void      (*fetch)(ngx_http_llm_store_t *store, ngx_str_t *topic,
                    uint64_t gen);
    void      (*message)(ngx_http_llm_store_t *store, ngx_str_t *words);
    void      (*flush)(ngx_http_llm_store_t *store);
    void      (*restore)(ngx_http_llm_store_t *store);
} ngx_http_llm_topic_t;


/* The topic was fetched, at least as new as that number. */
void ngx_http_llm_sync_seen(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen);

/*
 * Moves a topic's number and publishes its name: after a write that was its own
 * command.  A script does it better itself, with KEYS[2] = {cp}:gen:
 *     redis.call('HINCRBY', KEYS[2], topic, 1)
 *     redis.call('PUBLISH', prefix .. 'ev', topic)
 */
ngx_int_t ngx_http_llm_sync_touch(ngx_http_llm_store_t *store,
    ngx_str_t *topic);

/* Publishes "TOPIC WORDS" to all nodes, this one included; may be lost. */
ngx_int_t ngx_http_llm_sync_publish(ngx_http_llm_store_t *store,
    ngx_str_t *message);

/* Asks for a poll at the agent's next tick; any worker may. */
void ngx_http_llm_sync_hurry(ngx_http_llm_store_t *store);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_H_INCLUDED_ */
