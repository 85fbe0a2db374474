/*
 * The rollout controller: one of a node's workers looks at all splits, moves
 * their rollouts and rolls them back.
 */

#ifndef _NGX_HTTP_LLM_CONTROLLER_H_INCLUDED_
#define _NGX_HTTP_LLM_CONTROLLER_H_INCLUDED_

#include "ngx_http_llm.h"

#pragma GCC visibility push(hidden)


/* Worker start and exit, between those of the store.  The controller runs in
 * every worker; only the one with the lead does something. */
void ngx_http_llm_controller_init(ngx_cycle_t *cycle,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_controller_exit(ngx_http_llm_main_conf_t *lmcf);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_CONTROLLER_H_INCLUDED_ */
