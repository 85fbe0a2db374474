/*
 * Switches of providers and models, and breakers that opened, between nodes.
 * Private to src/store.
 */

#ifndef _NGX_HTTP_LLM_SYNC_SWITCH_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_SWITCH_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"

#pragma GCC visibility push(hidden)


/* Tells the other nodes; what cannot be said now is said later. */
void ngx_http_llm_sync_switch_send(ngx_http_llm_store_t *store,
    ngx_http_llm_store_switch_t *sw);

/* The topic "switches". */
void ngx_http_llm_sync_switch_fetch(ngx_http_llm_store_t *store,
    ngx_str_t *topic, uint64_t gen);
void ngx_http_llm_sync_switch_flush(ngx_http_llm_store_t *store);
void ngx_http_llm_sync_switch_restore(ngx_http_llm_store_t *store);


/* A breaker opened here: other nodes should look twice. */
void ngx_http_llm_sync_breaker_opened(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate);

/* What a gate's breaker goes by now: while it is hinted at, half of everything.
 * `half` is room for that. */
const llm_breaker_conf_t *ngx_http_llm_breaker_conf(
    ngx_http_llm_store_gate_t *gate, llm_breaker_conf_t *half,
    llm_msec_t now);

/* The topic "breaker": "NODE NAME". */
void ngx_http_llm_sync_breaker_message(ngx_http_llm_store_t *store,
    ngx_str_t *words);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_SWITCH_H_INCLUDED_ */
