/*
 * What lies in the shared zone: private to src/store.
 *
 * Everything here survives a reload.  Nodes point to each other inside the
 * zone, never into a configuration, and hold no secret: keys are known by the
 * first bytes of their SHA-256.  Functions that end in _locked are called with
 * the zone's lock held.
 */

#ifndef _NGX_HTTP_LLM_SHM_H_INCLUDED_
#define _NGX_HTTP_LLM_SHM_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>

#include "ngx_http_llm_store.h"


#define NGX_HTTP_LLM_SHM_MAGIC   0x6c6c6d67
#define NGX_HTTP_LLM_SHM_LAYOUT  2

#define NGX_HTTP_LLM_ROWS        128        /* workers, old ones included */
#define NGX_HTTP_LLM_LANES       64         /* models of a pool with memory of
                                               their own */
#define NGX_HTTP_LLM_MODEL_LEN   64         /* of a model's name, for people */


/* A worker.  Its row number is its place in every gate's counts. */
typedef struct {
    ngx_pid_t                   pid;        /* 0: free */
    uint64_t                    generation;
} ngx_http_llm_worker_row_t;


/* The head of a node that a configuration refers to. */
typedef struct {
    ngx_queue_t                 queue;
    uint64_t                    hash;       /* of the name */
    uint64_t                    made;       /* the generation that made it */
    uint64_t                    used;       /* newest generation that has it */
} ngx_http_llm_node_t;


struct ngx_http_llm_gate_node_s {
    ngx_http_llm_node_t         node;
    llm_breaker_t               breaker;
    llm_retry_budget_t          budget;
    uint32_t                    inflight;   /* sums of the rows below */
    uint32_t                    waiting;

    /* the last row is for workers that found the table full */
    uint32_t                    inflights[NGX_HTTP_LLM_ROWS + 1];
    uint32_t                    waitings[NGX_HTTP_LLM_ROWS + 1];
};


/* A pool's memory for one model; arrays follow the structure. */
struct ngx_http_llm_lane_node_s {
    uint64_t                    hash;       /* of the model's name */
    uint64_t                    id;         /* new when the model changes */
    llm_msec_t                  used;
    llm_msec_t                  rest;       /* the longest rest of a group */
    llm_msec_t                  wake;
    uint32_t                    cursor;
    uint32_t                    model_len;
    llm_group_state_t          *group;
    uint64_t                   *resting;
    int64_t                    *current;
    u_char                      model[NGX_HTTP_LLM_MODEL_LEN];
};


/* A pool with one list of keys and groups: another list is another node. */
struct ngx_http_llm_pool_node_s {
    ngx_http_llm_node_t         node;
    uint64_t                    digest;     /* of the lists */
    uint32_t                    key_n;
    uint32_t                    group_n;
    uint32_t                    limited;    /* some group has limits */
    uint32_t                    lane_n;
    uint64_t                    lane_ids;
    u_char                     *fingerprints;
    uint64_t                   *group_ids;
    uint32_t                   *shapes;     /* of a group's limits: what kind
                                               of numbers its state holds */
    llm_key_state_t            *key;
    llm_group_state_t          *shared;
    uint64_t                    lane_hash[NGX_HTTP_LLM_LANES];
    ngx_http_llm_lane_node_t   *lane[NGX_HTTP_LLM_LANES];
    ngx_http_llm_lane_node_t   *overflow;
};


typedef struct {
    uint32_t                    magic;
    uint32_t                    layout;
    uint64_t                    generation; /* of the newest configuration */
    uint64_t                    floor;      /* nodes of older ones are gone */
    ngx_uint_t                  crowded;    /* the worker table was full once */
    int64_t                     offset;     /* ms: epoch - monotonic clock */
    uint64_t                    changes;    /* worth saving, since the start */
    uint64_t                    saved;      /* changes in the state file */
    uint64_t                    file;       /* which of that name is ours */
    ngx_queue_t                 gates;
    ngx_queue_t                 pools;
    ngx_http_llm_worker_row_t   row[NGX_HTTP_LLM_ROWS];
} ngx_http_llm_root_t;


#define ngx_http_llm_store_lock(store)                                        \
    ngx_shmtx_lock(&(store)->shpool->mutex)
#define ngx_http_llm_store_unlock(store)                                      \
    ngx_shmtx_unlock(&(store)->shpool->mutex)


static ngx_inline llm_str_t
ngx_http_llm_str(const ngx_str_t *s)
{
    return (llm_str_t) { s->len, s->data };
}


/* ngx_http_llm_shm.c: the zone and its nodes */

/* Zone initialisation: finds or makes the nodes of all gates and pools, frees
 * those that nobody can use any more. */
ngx_int_t ngx_http_llm_shm_init(ngx_shm_zone_t *zone, void *data);


/* ngx_http_llm_lane.c */

/*
 * A lane for that model: its own, a recycled one, or the overflow lane that all
 * further models share.  NULL: the zone is full.  `hash` is of `model`.
 */
ngx_http_llm_lane_node_t *ngx_http_llm_lane_get_locked(
    ngx_http_llm_store_t *store, ngx_http_llm_store_pool_t *pool,
    const ngx_str_t *model, uint64_t hash, llm_msec_t now);

/* The same outside the zone, for this worker alone; NULL: no memory at all. */
ngx_http_llm_lane_node_t *ngx_http_llm_lane_local(
    ngx_http_llm_store_pool_t *pool);

uint64_t ngx_http_llm_lane_hash(const ngx_str_t *model);

/* What the core works on.  The view is valid under the lock. */
void ngx_http_llm_lane_view(ngx_http_llm_store_pool_t *pool,
    ngx_http_llm_lane_node_t *ln, llm_lane_t *lane);


/* ngx_http_llm_inherit.c: what a changed list of keys keeps */

typedef struct {
    uint64_t                    id;
    uint32_t                    i;
} ngx_http_llm_index_entry_t;

typedef struct {
    ngx_http_llm_index_entry_t *entry;      /* sorted by id */
    ngx_uint_t                  n;
} ngx_http_llm_index_t;

#define NGX_HTTP_LLM_NOWHERE  ((uint32_t) -1)

/* Tables of a node's keys and groups by what identifies them; the memory is
 * the process's own, from `pool`. */
ngx_int_t ngx_http_llm_index_keys(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_index_t *index, ngx_pool_t *pool);
ngx_int_t ngx_http_llm_index_groups(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_index_t *index, ngx_pool_t *pool);

/* The position, or NGX_HTTP_LLM_NOWHERE. */
uint32_t ngx_http_llm_index_find(const ngx_http_llm_index_t *index,
    uint64_t id);

/* The number of a key in such a table: the head of its fingerprint. */
uint64_t ngx_http_llm_key_id(const u_char *fingerprint);

/* Copies keys, groups and lanes of an older node of the same pool. */
ngx_int_t ngx_http_llm_inherit(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_pool_node_t *old,
    ngx_pool_t *temp);


/* ngx_http_llm_inflight.c */

/* Gates' counts of one row, when its worker is gone. */
void ngx_http_llm_inflight_forget_locked(ngx_http_llm_root_t *root,
    ngx_uint_t row);

/* Gives one slot of this worker back; then, without the lock, tells the first
 * waiter. */
void ngx_http_llm_inflight_release_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate);
void ngx_http_llm_inflight_wake(ngx_http_llm_store_gate_t *gate);

/* Sees the slots that other workers freed; runs while there are waiters. */
void ngx_http_llm_inflight_poll(ngx_event_t *ev);


/* ngx_http_llm_state_file.c */

/* Fills the nodes of a new zone; a broken file is a warning.  `temp` is for
 * what is needed meanwhile. */
void ngx_http_llm_state_load(ngx_http_llm_store_t *store, ngx_pool_t *temp,
    ngx_log_t *log);

/* Writes the file, when something changed since the last time. */
void ngx_http_llm_state_save(ngx_http_llm_store_t *store);


/* ngx_http_llm_state_json.c */

/* A pool as a tree, to be freed with cJSON_Delete(); NULL: no memory. */
cJSON *ngx_http_llm_state_from_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool);

/* The way back; what is unknown or past is dropped. */
ngx_int_t ngx_http_llm_state_to_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const cJSON *tree, llm_msec_t now,
    ngx_pool_t *temp);

#endif /* _NGX_HTTP_LLM_SHM_H_INCLUDED_ */
