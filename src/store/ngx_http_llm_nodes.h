/*
 * The nodes that share one Redis: who they are, which of them leads, how far
 * this node's clock is off, and how fresh its knowledge is.
 *
 * The worker with the lead (ngx_http_llm_lead()) is its node's agent: it alone
 * talks about these things with Redis, once a second, and writes down in the
 * zone what it learned.  All workers read it there.
 */

#ifndef _NGX_HTTP_LLM_NODES_H_INCLUDED_
#define _NGX_HTTP_LLM_NODES_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_store.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_NODES    64            /* that a node knows by name */
#define NGX_HTTP_LLM_NODE_ID  16            /* hexadecimal digits */


typedef struct {
    uint32_t     n;             /* nodes among which limits are divided: the
                                   most that lived in the last 60 s; at least
                                   1, and 1 without llm_redis */
    uint32_t     rank;          /* of this node among them, from 0 */
    ngx_uint_t   shared;        /* llm_redis is configured */
    ngx_uint_t   connected;     /* the agent has an answer newer than 3 s */
    ngx_uint_t   learning;      /* Redis lost its data a moment ago: what the
                                   others had declared may be missing there */
    ngx_uint_t   leader;        /* this node leads */
    uint64_t     term;          /* of the leader that was seen last */
    uint64_t     boot;          /* changes when Redis has lost its data; 0: not
                                   known yet */
    int64_t      skew;          /* ms: Redis's clock - this node's */
    llm_msec_t   seen;          /* when the newest answer was asked for after
                                   which nothing was left to fetch, by
                                   ngx_http_llm_store_now(); 0: never */
} ngx_http_llm_nodes_view_t;


/* Without the lock: single words, each of them whole; n and rank belong
 * together. */
void ngx_http_llm_nodes_view(ngx_http_llm_store_t *store,
    ngx_http_llm_nodes_view_t *view);

/* Whether this node leads all others: without llm_redis always, else as long as
 * it has the lock in Redis. */
ngx_uint_t ngx_http_llm_nodes_leads(ngx_http_llm_store_t *store);

/* What this node is called, NGX_HTTP_LLM_NODE_ID bytes; the text lies in the
 * zone and changes with it only. */
ngx_str_t ngx_http_llm_nodes_id(ngx_http_llm_store_t *store);

/*
 * The names of all nodes that were heard of in the last 60 s and have not left,
 * in order of their rank, this one among them; returns how many.  Takes the
 * lock.
 */
ngx_uint_t ngx_http_llm_nodes_live(ngx_http_llm_store_t *store,
    u_char id[NGX_HTTP_LLM_NODES][NGX_HTTP_LLM_NODE_ID]);

/* Epoch ms by Redis's clock, as well as this node knows it. */
llm_msec_t ngx_http_llm_nodes_now(ngx_http_llm_store_t *store);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_NODES_H_INCLUDED_ */
