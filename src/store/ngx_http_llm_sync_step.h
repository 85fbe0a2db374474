/*
 * What the nodes saw of a step of a rollout.  Private to src/store.
 */

#ifndef _NGX_HTTP_LLM_SYNC_STEP_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_STEP_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"

#pragma GCC visibility push(hidden)


/* Says what this node saw of the step that began with that version, and asks
 * the others; once a second, and at once of another version. */
void ngx_http_llm_sync_step_tell(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t version,
    const llm_rollout_in_t *in);

/* Adds what the others saw; NGX_DECLINED: that is not known. */
ngx_int_t ngx_http_llm_sync_step_add(const ngx_http_llm_store_split_t *split,
    uint64_t version, llm_rollout_in_t *in);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_STEP_H_INCLUDED_ */
