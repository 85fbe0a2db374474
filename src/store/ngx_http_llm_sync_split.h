/*
 * Splits between nodes: what the topic "split:" does, and what those who change
 * a document need of it.  Private to src/store.
 */

#ifndef _NGX_HTTP_LLM_SYNC_SPLIT_H_INCLUDED_
#define _NGX_HTTP_LLM_SYNC_SPLIT_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync.h"

#pragma GCC visibility push(hidden)


/* ngx_http_llm_state_split.c */

/* A document on its way, with all that belongs to it. */
typedef struct {
    llm_split_doc_t             doc;
    uint64_t                    digest;
    uint64_t                    origin;
    uint64_t                    phase;
    uint8_t                     place[256]; /* of its variants in the node;
                                               0xff: the node has none such */
    uint8_t                     owner[LLM_SPLIT_BUCKETS];
} ngx_http_llm_state_doc_t;

void ngx_http_llm_state_copy_doc_locked(ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_node_t *sn);
cJSON *ngx_http_llm_state_from_doc(ngx_http_llm_store_split_t *split,
    const ngx_http_llm_state_doc_t *sd);
ngx_int_t ngx_http_llm_state_to_doc(ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_node_t *sn, const cJSON *tree);

/* The same variants in the same order, and weights that are whole: it can take
 * the place of the node's. */
ngx_uint_t ngx_http_llm_state_fits(const ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_node_t *sn);


/* The handlers of the topic. */
void ngx_http_llm_sync_split_fetch(ngx_http_llm_store_t *store,
    ngx_str_t *topic, uint64_t gen);
void ngx_http_llm_sync_split_flush(ngx_http_llm_store_t *store);
void ngx_http_llm_sync_split_restore(ngx_http_llm_store_t *store);


/* ngx_http_llm_sync_foreign.c */

/* A document about other variants was read. */
void ngx_http_llm_sync_split_foreign_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_state_doc_t *sd);

/* Publishes who is rolled back here. */
void ngx_http_llm_sync_split_tell_barred(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split);

/* The topic "barred": "SPLIT VARIANT", two hashes. */
void ngx_http_llm_sync_barred_message(ngx_http_llm_store_t *store,
    ngx_str_t *words);


/* Writes the node's document, if Redis has another one.  Any worker; harmless
 * at any time. */
void ngx_http_llm_sync_split_push(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split);

/*
 * Replaces what Redis was last known to have; `term` is the leader's, who moves
 * a rollout, else 0.  As ngx_http_llm_redis_eval().  The reply is for
 * written(): NGX_OK, it stands there, and here (`sd`, unless NULL);
 * NGX_DECLINED, another one stood there, and was merged into the node's;
 * NGX_ERROR, nobody knows.
 */
ngx_int_t ngx_http_llm_sync_split_write(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, const ngx_http_llm_state_doc_t *sd,
    uint64_t term, ngx_http_llm_redis_pt pt, void *data);
ngx_int_t ngx_http_llm_sync_split_written(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, redisReply *reply,
    ngx_http_llm_state_doc_t *sd);

/* Takes in what Redis has; both texts may be empty. */
void ngx_http_llm_sync_split_take(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_str_t *token, ngx_str_t *text);
uint64_t ngx_http_llm_sync_split_token(ngx_str_t *hex);

/* As llm_rollout_merge(), with all that hangs on a document that changed. */
int ngx_http_llm_split_merge_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_state_doc_t *sd);


/* ngx_http_llm_split_propose.c */

/* start=now, when no rollout was ever heard of. */
void ngx_http_llm_split_start_shared(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split);

/* A step of the rollout by the leader of all nodes: `sd` is the document after
 * it.  `event` is told when all nodes can see it. */
void ngx_http_llm_split_propose_move(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, const ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_event_t *event, ngx_str_t *action,
    ngx_http_llm_split_event_pt pt, void *data);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SYNC_SPLIT_H_INCLUDED_ */
