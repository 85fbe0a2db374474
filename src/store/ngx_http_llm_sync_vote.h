/*
 * Votes for requests that another node served.  Private to src/store.
 */

#ifndef _NGX_HTTP_LLM_SYNC_VOTE_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_VOTE_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"

#pragma GCC visibility push(hidden)


/* The topic "votes". */
void ngx_http_llm_sync_vote_fetch(ngx_http_llm_store_t *store,
    ngx_str_t *topic, uint64_t gen);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_VOTE_H_INCLUDED_ */
