/*
 * Shares in the zone, and what the nodes tell each other about them: private to
 * src/store.  docs/design/shares.md says why it holds.
 */

#ifndef _NGX_HTTP_LLM_SHARE_H_INCLUDED_
#define _NGX_HTTP_LLM_SHARE_H_INCLUDED_

#include "ngx_http_llm_redis.h"
#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync.h"

#pragma GCC visibility push(hidden)


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

/* In the agent: what is in use here. */
uint64_t ngx_http_llm_share_used_locked(ngx_http_llm_counter_node_t *cn,
    const llm_share_view_t *v);

/* The share is about to change: what a refill has drained so far is settled,
 * and nobody goes on with what he has looked up. */
void ngx_http_llm_share_fold_locked(ngx_http_llm_counter_node_t *cn,
    const llm_share_view_t *v);

/* It has something to say to Redis; `again`: what it has said before. */
void ngx_http_llm_share_queue_locked(ngx_http_llm_root_t *root,
    ngx_http_llm_counter_node_t *cn, ngx_uint_t again);


/* ngx_http_llm_pool_share.c */

/* What the core asks for, as of llm_caps_t; data: a lane's view. */
llm_cap_t ngx_http_llm_pool_get(void *data, uint32_t group, uint32_t limit);

/* Leaves a note for the agent: no key had room (`lease` NULL), or the one that
 * was picked has little left. */
void ngx_http_llm_pool_asks_locked(ngx_http_llm_lane_view_t *view,
    const llm_need_t *need, const llm_lease_t *lease, uint64_t random);

/* In the agent: a table of all limits of pools, made once; whether a counter
 * that others speak of is one of them; and where what it used is counted, with
 * its cap as it was looked up, or NULL. */
void ngx_http_llm_pool_index_make(ngx_http_llm_store_t *store);
void ngx_http_llm_pool_stub_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn);
llm_limit_state_t *ngx_http_llm_pool_state_locked(
    ngx_http_llm_counter_node_t *cn, ngx_http_llm_cap_t **cap);


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

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SHARE_H_INCLUDED_ */
