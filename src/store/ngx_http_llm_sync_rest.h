/*
 * Rests of keys and groups between nodes.  Private to src/store.
 */

#ifndef _NGX_HTTP_LLM_SYNC_REST_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_REST_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"

#pragma GCC visibility push(hidden)


/* Something that rests: a key, or a group for one model. */
typedef struct {
    uint32_t    key;                        /* NOWHERE: it is a group */
    uint32_t    group;
    uint64_t    lane;                       /* hash of the model; 0: all */
    uint32_t    model_len;
    u_char      model[NGX_HTTP_LLM_MODEL_LEN];
    llm_rest_t  rest;
} ngx_http_llm_rest_row_t;

/* What one outcome may rest: the key, its group for the model, and at large. */
#define NGX_HTTP_LLM_RESTS  3

typedef struct {
    ngx_http_llm_rest_row_t  row[NGX_HTTP_LLM_RESTS];
    ngx_uint_t               n;
} ngx_http_llm_rests_t;


/* Around a report: what began to rest for longer. */
void ngx_http_llm_rests_before_locked(ngx_http_llm_rests_t *rests,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln,
    uint32_t key);
void ngx_http_llm_rests_after_locked(ngx_http_llm_rests_t *rests,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln);

/* Tells the other nodes; what cannot be said now is said later. */
void ngx_http_llm_rests_send(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const ngx_http_llm_rest_row_t *row,
    ngx_uint_t n);

/* A key was switched by hand; key->switched is when. */
void ngx_http_llm_rests_switched(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, uint32_t key);


/* The topic "rest:POOL". */
void ngx_http_llm_sync_rest_fetch(ngx_http_llm_store_t *store,
    ngx_str_t *topic, uint64_t gen);
void ngx_http_llm_sync_rest_flush(ngx_http_llm_store_t *store);
void ngx_http_llm_sync_rest_restore(ngx_http_llm_store_t *store);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_REST_H_INCLUDED_ */
