/*
 * The agent: the worker that talks with Redis about nodes and topics.
 */

#ifndef _NGX_HTTP_LLM_AGENT_H_INCLUDED_
#define _NGX_HTTP_LLM_AGENT_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_redis_conn.h"
#include "ngx_http_llm_sync.h"

#pragma GCC visibility push(hidden)


/* Worker start and exit; both are harmless without llm_redis. */
void ngx_http_llm_agent_init(ngx_cycle_t *cycle, ngx_http_llm_store_t *store);
void ngx_http_llm_agent_exit(ngx_http_llm_store_t *store);

/* Polls at once, if this worker is the agent and someone is in a hurry. */
void ngx_http_llm_agent_poll(void);


/* ngx_http_llm_sync.c, for the agent */

/* Nothing has been seen. */
void ngx_http_llm_sync_reset(void);

/* A poll brought the numbers; it was asked at that time. */
void ngx_http_llm_sync_polled(ngx_http_llm_store_t *store, redisReply *gens,
    llm_msec_t asked);

void ngx_http_llm_sync_message(ngx_http_llm_store_t *store, ngx_str_t *text);
void ngx_http_llm_sync_flush(ngx_http_llm_store_t *store);
void ngx_http_llm_sync_restore(ngx_http_llm_store_t *store);


/* ngx_http_llm_nodes.c: what a poll told about the nodes */

typedef struct {
    u_char       id[NGX_HTTP_LLM_NODES][NGX_HTTP_LLM_NODE_ID];
    ngx_uint_t   n;
    ngx_uint_t   fresh;         /* of them, heard of a moment ago */
} ngx_http_llm_nodes_list_t;

/* Writes it down; the names are sorted. */
void ngx_http_llm_nodes_update(ngx_http_llm_store_t *store,
    ngx_http_llm_nodes_list_t *list);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_AGENT_H_INCLUDED_ */
