/*
 * The report of an experiment, for the admin API.
 */

#ifndef _NGX_HTTP_LLM_EXPERIMENT_H_INCLUDED_
#define _NGX_HTTP_LLM_EXPERIMENT_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>

#include "ngx_http_llm.h"

#pragma GCC visibility push(hidden)


/*
 * What is known about the experiment of a split, to be freed with
 * cJSON_Delete().  NULL: the split has none, or no memory.  `pool` is for what
 * is needed meanwhile.  `arm` is what all nodes counted, `nodes` of them; NULL:
 * what this one counted.  The members: docs/design/experiments.md.
 */
cJSON *ngx_http_llm_experiment_json(ngx_http_llm_store_t *store,
    ngx_http_llm_split_t *split, const llm_experiment_arm_t *arm,
    ngx_uint_t nodes, ngx_pool_t *pool);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_EXPERIMENT_H_INCLUDED_ */
