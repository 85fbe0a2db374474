/*
 * Experiments between nodes: what each of them counted.  Private to src/store.
 */

#ifndef _NGX_HTTP_LLM_SYNC_ARM_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_ARM_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"

#pragma GCC visibility push(hidden)


/* The handlers of the topic "arms"; it has no fetch: they are read when
 * somebody wants to see them. */
void ngx_http_llm_sync_arm_flush(ngx_http_llm_store_t *store);
void ngx_http_llm_sync_arm_restore(ngx_http_llm_store_t *store);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_ARM_H_INCLUDED_ */
