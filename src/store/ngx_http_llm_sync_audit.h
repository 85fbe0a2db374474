/*
 * The audit trails of all nodes, in one stream.  Private to src/store.
 */

#ifndef _NGX_HTTP_LLM_SYNC_AUDIT_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_AUDIT_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"

#pragma GCC visibility push(hidden)


/* The handlers of the topic "audit"; it has no fetch. */
void ngx_http_llm_sync_audit_flush(ngx_http_llm_store_t *store);
void ngx_http_llm_sync_audit_restore(ngx_http_llm_store_t *store);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_AUDIT_H_INCLUDED_ */
