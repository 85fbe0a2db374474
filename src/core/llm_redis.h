/*
 * What Redis says in texts rather than in its protocol: slots of a cluster,
 * redirections, the report of INFO.
 */

#ifndef LLM_REDIS_H
#define LLM_REDIS_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_REDIS_SLOTS  16384

/* Where a slot has gone: for good (MOVED) or for this command only (ASK). */
typedef struct {
    uint32_t   slot;
    uint32_t   ask;
    llm_str_t  host;            /* empty: the host that says so */
    uint32_t   port;
} llm_redis_redirect_t;


/* The slot of a key: of what stands between its first { and the next }, when
 * that is not empty. */
uint32_t llm_redis_slot(llm_str_t key);

/* Reads "MOVED 3999 127.0.0.1:6381" or "ASK ...".  LLM_OK, LLM_NONE: it is
 * another error, LLM_BAD: a redirection to nowhere. */
llm_rc_t llm_redis_redirect(llm_str_t error, llm_redis_redirect_t *to);

/* The value of a field of INFO, without its line end; empty: no such field. */
llm_str_t llm_redis_info(llm_str_t report, llm_str_t field);

#pragma GCC visibility pop

#endif /* LLM_REDIS_H */
