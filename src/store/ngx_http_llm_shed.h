/*
 * Shedding, as all workers of a node share it: how full each provider is, what
 * became of the requests sent there, and what is left of its quotas.
 *
 * Nothing here takes the lock but the step that is due once per slot of time,
 * and an answer that tells what is left.  A provider without `shed` costs a
 * look at a pointer.
 */

#ifndef _NGX_HTTP_LLM_SHED_H_INCLUDED_
#define _NGX_HTTP_LLM_SHED_H_INCLUDED_

#include "ngx_http_llm_store.h"

#pragma GCC visibility push(hidden)


/* A request's part, from the time it is let in; zeroed before. */
typedef struct {
    ngx_http_llm_store_gate_t  *gate;           /* NULL: not let in, or over */
    llm_msec_t                  started;
    llm_shed_kind_t             kind;
    unsigned                    proven:1;
} ngx_http_llm_shed_hold_t;


/* Whether a request may go to a provider now: NGX_OK, or NGX_DECLINED, which is
 * counted.  `chance` is 0 … LLM_SHED_ONE - 1. */
ngx_int_t ngx_http_llm_shed_ask(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, llm_priority_t priority, uint32_t chance);

/* It goes there.  `hold` must be over. */
void ngx_http_llm_shed_enter(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, llm_shed_kind_t kind,
    ngx_http_llm_shed_hold_t *hold);

/* The first content of a stream (OK); then its end, or that of any other.  Both
 * are harmless for a hold that is over. */
void ngx_http_llm_shed_prove(ngx_http_llm_store_t *store,
    ngx_http_llm_shed_hold_t *hold, llm_class_t class);
void ngx_http_llm_shed_leave(ngx_http_llm_store_t *store,
    ngx_http_llm_shed_hold_t *hold, llm_class_t class);

/* An answer told what is left of a quota, in basis points, and in how many ms
 * all of it is (0: it did not say).  `group` of the pool's groups of keys;
 * `pool` may be NULL. */
void ngx_http_llm_shed_told(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_store_pool_t *pool,
    uint32_t group, ngx_str_t *model, uint32_t left_bp, llm_msec_t reset);


/* For status pages. */
typedef struct {
    uint32_t                    level_bp;
    uint32_t                    inflight;
    uint64_t                    limit;          /* thousandths; 0: none */
    uint32_t                    left_bp;        /* of the scarcest quota */
    uint64_t                    shed[LLM_PRIORITIES];
    uint64_t                    would[LLM_PRIORITIES];      /* dry_run */
} ngx_http_llm_shed_view_t;

/* NGX_DECLINED: the provider has no `shed`. */
ngx_int_t ngx_http_llm_shed_view(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_shed_view_t *view);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SHED_H_INCLUDED_ */
