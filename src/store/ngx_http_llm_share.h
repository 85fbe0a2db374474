/*
 * Shares in the zone, and what the nodes tell each other about them: private to
 * src/store.  docs/design/shares.md says why it holds.
 */

#ifndef _NGX_HTTP_LLM_SHARE_H_INCLUDED_
#define _NGX_HTTP_LLM_SHARE_H_INCLUDED_

#include "ngx_http_llm_redis.h"
#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync.h"


/* Until all have declared, or for so long, a hash that is new grants nothing;
 * within that everybody has polled twice. */
#define NGX_HTTP_LLM_SHARE_GRACE  3000      /* ms */


/* ngx_http_llm_share_script.c: see there for keys and words. */
extern ngx_http_llm_script_t  ngx_http_llm_share_script;
extern ngx_http_llm_script_t  ngx_http_llm_members_script;
extern ngx_http_llm_script_t  ngx_http_llm_want_script;


/* ngx_http_llm_share.c */

/* Epoch ms of calendars: by Redis's clock where it is known, so that a node
 * whose own is wrong does not begin the day early. */
llm_msec_t ngx_http_llm_share_calendar(ngx_http_llm_store_t *store);

/* What a counter is part of now.  Its max, dim, clock and unit are set, and of
 * a calendar start and over. */
void ngx_http_llm_share_view_locked(ngx_http_llm_store_t *store,
    const ngx_http_llm_counter_node_t *cn, llm_share_view_t *v);

/* A calendar's window has begun: who divides it. */
void ngx_http_llm_share_begin_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn, uint64_t start, uint64_t end);

/* What is in use here. */
uint64_t ngx_http_llm_share_used(ngx_http_llm_store_t *store,
    const ngx_http_llm_counter_node_t *cn, const llm_share_view_t *v);

/* A refill's rate is about to change: what has drained so far is settled. */
void ngx_http_llm_share_fold(ngx_http_llm_counter_node_t *cn,
    const llm_share_view_t *v);

/* It has something to say to Redis; `again`: what it has said before. */
void ngx_http_llm_share_queue_locked(ngx_http_llm_root_t *root,
    ngx_http_llm_counter_node_t *cn, ngx_uint_t again);


/* ngx_http_llm_share_members.c */

/* Tells the others of this node, and hears of them, when that is due. */
void ngx_http_llm_share_members(ngx_http_llm_store_t *store);

/* … at the next occasion: Redis has lost its data. */
void ngx_http_llm_share_members_hurry(ngx_http_llm_store_t *store);


/* ngx_http_llm_sync_counter.c: the topic "lim" */
void ngx_http_llm_sync_counter_fetch(ngx_http_llm_store_t *store,
    ngx_str_t *topic, uint64_t gen);
void ngx_http_llm_sync_counter_message(ngx_http_llm_store_t *store,
    ngx_str_t *words);
void ngx_http_llm_sync_counter_flush(ngx_http_llm_store_t *store);
void ngx_http_llm_sync_counter_restore(ngx_http_llm_store_t *store);

#endif /* _NGX_HTTP_LLM_SHARE_H_INCLUDED_ */
