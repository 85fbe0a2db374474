/*
 * Records of clients, users and organisations between nodes: the topic
 * "clients".  Private to src/store.
 */

#ifndef _NGX_HTTP_LLM_SYNC_PARTY_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_PARTY_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"

#pragma GCC visibility push(hidden)


void ngx_http_llm_sync_party_fetch(ngx_http_llm_store_t *store,
    ngx_str_t *topic, uint64_t gen);
void ngx_http_llm_sync_party_flush(ngx_http_llm_store_t *store);
void ngx_http_llm_sync_party_restore(ngx_http_llm_store_t *store);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_PARTY_H_INCLUDED_ */
