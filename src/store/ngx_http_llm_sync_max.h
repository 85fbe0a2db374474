/*
 * Hashes in Redis whose fields only grow: what nodes learned of keys, what
 * people switched.  Private to src/store.
 *
 * A field's value begins with a number; a write with a smaller one, or the
 * same, changes nothing, so writes may come late, twice and in any order.  The
 * hash of a topic is {cp}:TOPIC.
 */

#ifndef _NGX_HTTP_LLM_SYNC_MAX_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_MAX_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_SYNC_MAX  32           /* fields of one write */


typedef struct {
    ngx_str_t   field;
    ngx_str_t   value;
} ngx_http_llm_sync_pair_t;


/* As ngx_http_llm_redis_command(); at most SYNC_MAX pairs.  Nodes hear of the
 * topic if anything changed. */
ngx_int_t ngx_http_llm_sync_max_write(ngx_http_llm_store_t *store,
    ngx_str_t *topic, const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n,
    ngx_http_llm_redis_pt pt, void *data);

/* Takes out fields whose number is `than` at most. */
ngx_int_t ngx_http_llm_sync_max_drop(ngx_http_llm_store_t *store,
    ngx_str_t *topic, uint64_t than, const ngx_str_t *field, ngx_uint_t n);

/* All of it: fields and values in turn, when there is an answer.  Then the
 * topic is seen. */
typedef void (*ngx_http_llm_sync_all_pt)(ngx_http_llm_store_t *store,
    ngx_str_t *topic, const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n);

void ngx_http_llm_sync_max_read(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen, ngx_http_llm_sync_all_pt all);

/* Keeps the hash for another month. */
void ngx_http_llm_sync_max_renew(ngx_http_llm_store_t *store,
    ngx_str_t *topic);

/* The number that a text begins with; *text is what follows it and a blank.
 * NGX_ERROR: there is none. */
ngx_int_t ngx_http_llm_sync_number(ngx_str_t *text, uint64_t *n);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_MAX_H_INCLUDED_ */
