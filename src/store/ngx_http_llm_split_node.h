/*
 * Splits in the zone: what the files about them share.  Private to src/store;
 * part of ngx_http_llm_shm.h.
 */

#ifndef _NGX_HTTP_LLM_SPLIT_NODE_H_INCLUDED_
#define _NGX_HTTP_LLM_SPLIT_NODE_H_INCLUDED_

#pragma GCC visibility push(hidden)


/* ngx_http_llm_split_node.c */

/* Finds or makes the node of a split, when the configuration is read; `before`:
 * the store of the configuration in force, or NULL. */
ngx_int_t ngx_http_llm_split_link(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_store_t *before);

/* A worker runs, so the configuration is in force: what is new about its splits
 * goes to the audit trail, and start=now starts. */
void ngx_http_llm_splits_run(ngx_http_llm_store_t *store);

/* How start=now went. */
void ngx_http_llm_split_tell_start(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, llm_act_result_t result);

/* Takes salt and owners over from an older document, `place` being the indexes
 * of its variants here, 0xff for none; the weights stay those of the file. */
void ngx_http_llm_split_follow_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_split_node_t *sn, const llm_split_doc_t *old,
    const uint8_t *owner, const uint8_t place[256]);

/* A worker is gone: nobody knows which of the running requests were its, nor
 * what it was about to change. */
void ngx_http_llm_split_forgive_locked(ngx_http_llm_root_t *root,
    llm_msec_t now);

/* The clock was set by that much. */
void ngx_http_llm_splits_shift_locked(ngx_http_llm_root_t *root, int64_t ms);


/* ngx_http_llm_split_act.c */

/* As ngx_http_llm_split_act(), of any version. */
llm_act_result_t ngx_http_llm_split_act_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, const llm_act_t *act,
    ngx_http_llm_actor_t *actor);

/* A rollout starts: what triggers knew of the canary is over; what the baseline
 * does now is kept for the time when nobody is left in it. */
void ngx_http_llm_split_start_locked(ngx_http_llm_store_split_t *split,
    llm_msec_t now);

/* Workers of older configurations, which drain, still look at older nodes of
 * this split: what is barred here is barred there. */
void ngx_http_llm_split_spread_locked(ngx_http_llm_root_t *root,
    ngx_http_llm_store_split_t *split, llm_msec_t now);

/* What hangs on a document that changed: to be saved, a new phase. */
void ngx_http_llm_split_changed_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_split_node_t *sn, const llm_split_doc_t *before);

/* Another phase of the experiment begins, with empty arms. */
void ngx_http_llm_split_phase_locked(ngx_http_llm_split_node_t *sn,
    uint64_t phase);

/* The entry of a change, in the order of the changes.  `actor` NULL: the
 * configuration; `before` may be NULL. */
void ngx_http_llm_split_audit_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_str_t *action,
    const llm_split_doc_t *before, ngx_http_llm_actor_t *actor);

/* The variant of a node with that hash, or NGX_HTTP_LLM_NOWHERE. */
static ngx_inline uint32_t
ngx_http_llm_split_index(const ngx_http_llm_split_node_t *sn, uint64_t name)
{
    uint32_t  i;

    for (i = 0; i < sn->n; i++) {
        if (sn->names[i] == name) {
            return i;
        }
    }

    return NGX_HTTP_LLM_NOWHERE;
}

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SPLIT_NODE_H_INCLUDED_ */
