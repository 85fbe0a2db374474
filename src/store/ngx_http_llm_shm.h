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

#include "ngx_http_llm_counter_shm.h"
#include "ngx_http_llm_forecast.h"
#include "ngx_http_llm_nodes.h"
#include "ngx_http_llm_redis.h"
#include "ngx_http_llm_shm_party.h"
#include "ngx_http_llm_store.h"
#include "ngx_http_llm_traffic.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_SHM_MAGIC   0x6c6c6d67
#define NGX_HTTP_LLM_SHM_LAYOUT  5

#define NGX_HTTP_LLM_LANES       64         /* models of a pool with memory of
                                               their own */
#define NGX_HTTP_LLM_MODEL_LEN   64         /* of a model's name, for people */
#define NGX_HTTP_LLM_SAID        256        /* warnings of budgets */


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
    llm_probe_t                 probe;      /* steady */
    llm_msec_t                  hinted;     /* it opened elsewhere: until then
                                               it opens more easily here */
    llm_retry_budget_t          budget;
    uint32_t                    inflight;   /* sums of the rows below */
    uint32_t                    waiting;

    /* the last row is for workers that found the table full */
    uint32_t                    inflights[NGX_HTTP_LLM_ROWS + 1];
    uint32_t                    waitings[NGX_HTTP_LLM_ROWS + 1];
};


/* What this node may use of a group's limit, as found a moment ago. */
typedef struct {
    llm_cap_t                   cap;
    llm_msec_t                  until;      /* steady */
} ngx_http_llm_cap_t;


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
    ngx_http_llm_cap_t         *caps;       /* of limits that nodes share, for
                                               each group LLM_GROUP_LIMITS; or
                                               NULL */
    u_char                      model[NGX_HTTP_LLM_MODEL_LEN];
};


/* A pool with one list of keys and groups: another list is another node. */
struct ngx_http_llm_pool_node_s {
    ngx_http_llm_node_t         node;
    uint64_t                    digest;     /* of the lists */
    uint32_t                    key_n;
    uint32_t                    group_n;
    uint32_t                    limited;    /* some group has limits */
    uint32_t                    unsent;     /* other nodes may not know all
                                               that rests here */
    uint32_t                    lane_n;
    uint64_t                    lane_ids;
    u_char                     *fingerprints;
    uint64_t                   *group_ids;
    uint32_t                   *shapes;     /* of a group's limits: what kind
                                               of numbers its state holds */
    llm_key_state_t            *key;
    llm_group_state_t          *shared;
    ngx_http_llm_cap_t         *caps;       /* of what is counted over all
                                               models; as of a lane */
    uint64_t                    lane_hash[NGX_HTTP_LLM_LANES];
    ngx_http_llm_lane_node_t   *lane[NGX_HTTP_LLM_LANES];
    ngx_http_llm_lane_node_t   *overflow;
};


/*
 * Nodes of one fixed size that are found by a hash alone: what a changed split
 * keeps of its variants, what a switch was set to.  The node comes first, the
 * rest follows zeroed.
 */
typedef enum {
    NGX_HTTP_LLM_CELL_VARIANT = 0,
    NGX_HTTP_LLM_CELL_ARM,
    NGX_HTTP_LLM_CELL_MIRROR,
    NGX_HTTP_LLM_CELL_SWITCH,
    NGX_HTTP_LLM_CELL_METER,
    NGX_HTTP_LLM_CELL_FORECAST,
    NGX_HTTP_LLM_CELL_SHED,
    NGX_HTTP_LLM_CELLS
} ngx_http_llm_cell_e;


/* Of a split's and a variant's name and the length of a slot: all nodes of the
 * split that have such a variant count here. */
typedef struct {
    ngx_http_llm_node_t            node;
    llm_window_t                   window;
    ngx_http_llm_variant_totals_t  totals;
} ngx_http_llm_variant_node_t;


/* Of a split's, a variant's and an experiment's name, and of the block. */
typedef struct {
    ngx_http_llm_node_t         node;
    llm_experiment_arm_t        arm;
} ngx_http_llm_arm_node_t;


typedef struct {
    ngx_http_llm_node_t           node;
    ngx_http_llm_mirror_totals_t  totals;
} ngx_http_llm_mirror_node_t;


/* Of what is switched, and of what the file says about it. */
struct ngx_http_llm_switch_node_s {
    ngx_http_llm_node_t         node;
    uint32_t                    word;       /* ngx_http_llm_switch_word_e */
    uint32_t                    unsent;     /* other nodes may not know it */
    llm_msec_t                  at;         /* switched, by Redis's clock */
};

typedef enum {
    NGX_HTTP_LLM_SWITCH_UNSET = 0,          /* as the file says */
    NGX_HTTP_LLM_SWITCH_ON,
    NGX_HTTP_LLM_SWITCH_OFF
} ngx_http_llm_switch_word_e;


typedef struct {
    ngx_http_llm_node_t         node;
    ngx_http_llm_meter_data_t   data;
} ngx_http_llm_meter_node_t;


typedef struct {
    ngx_http_llm_node_t         node;
    llm_forecast_t              data;
} ngx_http_llm_forecast_node_t;


/* Of a provider's name, and of the length of a slot. */
struct ngx_http_llm_shed_node_s {
    ngx_http_llm_node_t         node;
    llm_shed_t                  shed;
    uint64_t                    total[LLM_PRIORITIES];
    uint64_t                    would[LLM_PRIORITIES];  /* in a dry run */
    uint32_t                    inflights[NGX_HTTP_LLM_ROWS + 1];
};


/* What the controller remembers of a split from one tick to the next; it may
 * be another worker's then. */
typedef struct {
    uint32_t                    guarded;    /* bitmap: triggers look at them */
    llm_msec_t                  reset[LLM_SPLIT_VARIANTS];  /* since then */
    llm_msec_t                  since;      /* of the rollout's stage … */
    uint64_t                    before[LLM_COUNTS];     /* … totals of the
                                                           canary by then */
    uint32_t                    doubts;     /* … too few samples for some
                                               condition, and bad ones */
} ngx_http_llm_split_watch_t;


/*
 * A split as one block of the configuration has it: another block is another
 * node.  `doc`, `owner`, `frozen` and `trigger` are written under the lock; who
 * picks reads single words of them without it.
 */
struct ngx_http_llm_split_node_s {
    ngx_http_llm_node_t           node;
    uint64_t                      digest;   /* of the block */
    uint64_t                      origin;   /* … of the block whose weights the
                                               document began with, on whatever
                                               node */
    uint64_t                      tag;      /* of the document … */
    uint64_t                      shared;   /* … and of the one in Redis; 0:
                                               there is none, or none known */
    uint64_t                      token;    /* … by which Redis knows it */
    uint32_t                      known;    /* Redis was asked */
    uint32_t                      repair;   /* Redis lost what it had */
    uint32_t                      foreign;  /* it has one of other variants */
    uint32_t                      start;    /* start=now, by who leads */
    uint32_t                      lost;     /* no word from Redis for too long:
                                               the baseline answers */
    uint32_t                      n;
    uint32_t                      news;     /* of a new node, for its first
                                               worker: NGX_HTTP_LLM_NEWS_ */
    uint64_t                      names[LLM_SPLIT_VARIANTS];    /* hashes */
    llm_split_doc_t               doc;
    uint64_t                      phase;    /* of the experiment: grows when
                                               weights change */
    llm_msec_t                    frozen_at;        /* 0: not frozen */
    uint32_t                      frozen_variant;   /* whose sums */
    llm_sums_t                    frozen;   /* when the rollout started */
    llm_trigger_state_t           trigger[LLM_SPLIT_TRIGGERS]
                                         [LLM_SPLIT_VARIANTS];
    ngx_http_llm_split_watch_t    watch;
    ngx_http_llm_variant_node_t  *variant[LLM_SPLIT_VARIANTS];
    ngx_http_llm_arm_node_t      *arm[LLM_SPLIT_VARIANTS];      /* or NULL */
    ngx_http_llm_mirror_node_t   *mirror;                       /* or NULL */
    uint8_t                       owner[LLM_SPLIT_BUCKETS];
};


/* An entry of the audit trail, without its line end. */
typedef struct {
    ngx_queue_t                 queue;
    uint64_t                    seq;
    size_t                      len;
    u_char                      line[1];
} ngx_http_llm_audit_node_t;

#define NGX_HTTP_LLM_AUDIT_HASH  64         /* hexadecimal digits */

typedef struct {
    ngx_queue_t                 entries;    /* oldest first */
    ngx_uint_t                  n;
    size_t                      size;       /* of their lines */
    uint64_t                    seq;        /* of the newest entry */
    uint64_t                    lost;       /* that the zone had no room for */
    uint64_t                    flushed;    /* the newest in the file */
    ngx_pid_t                   writer;     /* to the file; 0: nobody */
    uint64_t                    told;       /* the newest in Redis */
    u_char                      hash[NGX_HTTP_LLM_AUDIT_HASH];
} ngx_http_llm_audit_t;


/* An object of a provider, as it is kept and saved. */
typedef struct {
    uint64_t                    id[2];      /* hashes of its name */
    llm_msec_t                  made;
    ngx_http_llm_object_t       object;
} ngx_http_llm_object_entry_t;

typedef struct ngx_http_llm_object_node_s  ngx_http_llm_object_node_t;

struct ngx_http_llm_object_node_s {
    ngx_queue_t                 queue;
    ngx_http_llm_object_node_t *next;       /* in its row of the table */
    ngx_http_llm_object_entry_t entry;
};

typedef struct {
    ngx_http_llm_object_node_t **table;     /* NULL until the first */
    ngx_uint_t                  size;       /* of the table: a power of two */
    ngx_uint_t                  n;
    ngx_uint_t                  max;
    ngx_queue_t                 used;       /* by last use, newest first */
    uint64_t                    changes;    /* worth saving, but not soon */
    uint64_t                    saved;
} ngx_http_llm_objects_t;


/* Requests open to votes; ngx_http_llm_vote.c */
typedef struct ngx_http_llm_votes_s  ngx_http_llm_votes_t;


#define NGX_HTTP_LLM_NEWS_RESET  1      /* a document gave way to the file's */
#define NGX_HTTP_LLM_NEWS_START  2      /* start=now */


/* Which worker moves rollouts; pid 0: nobody. */
typedef struct {
    ngx_pid_t                   pid;
    uint64_t                    generation;
    llm_msec_t                  at;         /* renewed */
} ngx_http_llm_lead_t;


#define NGX_HTTP_LLM_NODES_SAMPLES  60      /* of how many live, a second */

/* What this node knows of itself and of the others: the agent writes, every
 * worker reads single words.  Times are by ngx_http_llm_store_now(). */
typedef struct {
    u_char                      id[NGX_HTTP_LLM_NODE_ID];
    uint64_t                    place;      /* n << 32 | rank */
    int64_t                     skew;
    llm_msec_t                  answered;   /* the newest answer; 0: never */
    llm_msec_t                  seen;
    llm_msec_t                  learning;   /* until then */
    llm_msec_t                  lead;       /* this node leads until then */
    uint64_t                    term;
    uint64_t                    boot;
    llm_msec_t                  booted;     /* the boot was seen to change */
    llm_msec_t                  sampled;
    uint32_t                    peak[NGX_HTTP_LLM_NODES_SAMPLES];
    uint32_t                    peaks;      /* samples taken */
    uint32_t                    hurry;      /* a worker wants a poll */
    uint32_t                    live_n;     /* under the lock, as the names */
    u_char                      live[NGX_HTTP_LLM_NODES][NGX_HTTP_LLM_NODE_ID];
} ngx_http_llm_nodes_shm_t;


struct ngx_http_llm_root_s {
    uint32_t                    magic;
    uint32_t                    layout;
    uint64_t                    incarnation;    /* of the zone: a restart
                                                   begins another */
    uint64_t                    generation; /* of the newest configuration */
    uint64_t                    floor;      /* nodes of older ones are gone */
    ngx_uint_t                  crowded;    /* the worker table was full once */
    int64_t                     offset;     /* ms: epoch - monotonic clock */
    int64_t                     base;       /* … when the zone was made */
    uint64_t                    changes;    /* worth saving, since the start */
    uint64_t                    saved;      /* changes in the state file */
    llm_msec_t                  saved_at;
    uint64_t                    file;       /* which of that name is ours */
    ngx_queue_t                 gates;
    ngx_queue_t                 pools;
    ngx_queue_t                 splits;
    ngx_queue_t                 cells[NGX_HTTP_LLM_CELLS];
    ngx_http_llm_lead_t         lead;
    ngx_http_llm_nodes_shm_t    nodes;
    ngx_http_llm_redis_totals_t redis;
    ngx_http_llm_audit_t        audit;
    ngx_http_llm_objects_t      objects;
    ngx_http_llm_objects_t      sessions;
    ngx_http_llm_counters_t     counters;
    ngx_http_llm_parties_t      parties;
    ngx_http_llm_shares_t       shares;
    ngx_http_llm_votes_t       *votes;      /* NULL: no experiment yet */
    ngx_http_llm_vote_totals_t  vote_totals;
    uint64_t                    votes_seen[2];  /* of those forwarded: the id of
                                                   the last in Redis */
    uint64_t                    said[NGX_HTTP_LLM_SAID];
    ngx_http_llm_worker_row_t   row[NGX_HTTP_LLM_ROWS];
};


#define ngx_http_llm_store_lock(store)                                        \
    ngx_shmtx_lock(&(store)->shpool->mutex)
#define ngx_http_llm_store_unlock(store)                                      \
    ngx_shmtx_unlock(&(store)->shpool->mutex)


#define NGX_HTTP_LLM_NOWHERE     ((uint32_t) -1)    /* no such index */


static ngx_inline llm_str_t
ngx_http_llm_str(const ngx_str_t *s)
{
    return (llm_str_t) { s->len, s->data };
}


/* ngx_http_llm_shm.c: the zone and its nodes */

/* Zone initialisation: finds or makes the nodes of all gates and pools, frees
 * those that nobody can use any more. */
ngx_int_t ngx_http_llm_shm_init(ngx_shm_zone_t *zone, void *data);

/* How many caps a pool's lane has: 0 when nodes share none of its limits. */
size_t ngx_http_llm_pool_caps(ngx_http_llm_store_t *store,
    const ngx_http_llm_store_pool_t *pool);

/* An error that says for what the zone is too small. */
ngx_int_t ngx_http_llm_shm_full(ngx_http_llm_store_t *store, char *what,
    ngx_str_t *name);


/* ngx_http_llm_nodes.c: a new zone's node, alone.  NGX_ERROR: there is no
 * randomness for its name. */
ngx_int_t ngx_http_llm_nodes_init(ngx_http_llm_store_t *store,
    ngx_http_llm_root_t *root);

/* The clock was set by that much. */
void ngx_http_llm_nodes_shift_locked(ngx_http_llm_root_t *root, int64_t ms);

/* What the state file keeps of it: its name, and among how many it was. */
ngx_int_t ngx_http_llm_nodes_put_state(ngx_http_llm_store_t *store, cJSON *to);
void ngx_http_llm_nodes_get_state(ngx_http_llm_store_t *store,
    const cJSON *from);


/* ngx_http_llm_cell.c */

/* The cell with that hash, made of `size` zeroed bytes if there is none yet;
 * NULL: the zone is full. */
void *ngx_http_llm_cell(ngx_http_llm_store_t *store, ngx_http_llm_cell_e kind,
    uint64_t hash, size_t size);
void ngx_http_llm_cells_init(ngx_http_llm_root_t *root);

/* Switches, meters and forecasts of a configuration; the latter two do without
 * what is full. */
ngx_int_t ngx_http_llm_cells_link(ngx_http_llm_store_t *store);

/* A hash of several names in order. */
uint64_t ngx_http_llm_cell_hash(const ngx_str_t *a, const ngx_str_t *b,
    uint64_t seed);


/* ngx_http_llm_switch.c: which node is a switch's; a key that is switched on
 * may be used at once, whatever it rested for. */
uint64_t ngx_http_llm_switch_hash(const ngx_http_llm_store_switch_t *sw);
void ngx_http_llm_key_reset_locked(ngx_http_llm_store_pool_t *pool,
    llm_key_state_t *k, ngx_uint_t on);


/* ngx_http_llm_vote.c: room for what the experiments of this configuration
 * remember, when it is read. */
ngx_int_t ngx_http_llm_votes_link(ngx_http_llm_store_t *store);


/* ngx_http_llm_audit.c */

#define NGX_HTTP_LLM_AUDIT_FIELDS  1400     /* bytes of a split's fields */

/* As ngx_http_llm_audit(); then, without the lock: writes what a burst of
 * changes would push out. */
void ngx_http_llm_audit_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_actor_t *actor, ngx_str_t *action, ngx_str_t *fields);
void ngx_http_llm_audit_relieve(ngx_http_llm_store_t *store);


/* ngx_http_llm_audit_file.c: goes on where the file ends. */
void ngx_http_llm_audit_load(ngx_http_llm_store_t *store, ngx_log_t *log);


/* ngx_http_llm_object.c */
void ngx_http_llm_object_put_locked(ngx_http_llm_store_t *store,
    const ngx_http_llm_object_entry_t *entry);


/* ngx_http_llm_admit.c: 64 random bits, good enough for chances and salts. */
uint64_t ngx_http_llm_random(ngx_http_llm_store_t *store);


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
    ngx_http_llm_store_t *store, ngx_http_llm_store_pool_t *pool);

uint64_t ngx_http_llm_lane_hash(const ngx_str_t *model);

/* The lane with that hash, or NULL. */
ngx_http_llm_lane_node_t *ngx_http_llm_lane_find_locked(
    ngx_http_llm_pool_node_t *pn, uint64_t hash);

typedef struct {
    llm_lane_t                  lane;
    llm_caps_t                  caps;
    ngx_http_llm_store_t       *store;
    ngx_http_llm_store_pool_t  *pool;
    ngx_http_llm_lane_node_t   *ln;
} ngx_http_llm_lane_view_t;

/* What the core works on.  The view is valid under the lock. */
void ngx_http_llm_lane_view(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln,
    ngx_http_llm_lane_view_t *view);


/* ngx_http_llm_inherit.c: what a changed list of keys keeps */

typedef struct {
    uint64_t                    id;
    uint32_t                    i;
} ngx_http_llm_index_entry_t;

typedef struct {
    ngx_http_llm_index_entry_t *entry;      /* sorted by id */
    ngx_uint_t                  n;
} ngx_http_llm_index_t;

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


/* ngx_http_llm_shed.c: a node for every gate that has `shed`; every second, for
 * those that nobody asks for; a worker's part, when it is gone. */
ngx_int_t ngx_http_llm_sheds_link(ngx_http_llm_store_t *store);
void ngx_http_llm_sheds_tick(ngx_http_llm_store_t *store);
void ngx_http_llm_shed_forget_locked(ngx_http_llm_root_t *root,
    ngx_uint_t row);


/* ngx_http_llm_state_file.c */

/* Fills the nodes of a new zone; a broken file is a warning.  `temp` is for
 * what is needed meanwhile. */
void ngx_http_llm_state_load(ngx_http_llm_store_t *store, ngx_pool_t *temp,
    ngx_log_t *log);

/* Writes the file, when something changed since the last time. */
void ngx_http_llm_state_save(ngx_http_llm_store_t *store);


/* ngx_http_llm_state_json.c */

/* Numbers in JSON are exact below it: 2^53. */
#define NGX_HTTP_LLM_STATE_EXACT  9007199254740992.0

ngx_int_t ngx_http_llm_state_put(cJSON *to, const char *name, uint64_t value);
ngx_int_t ngx_http_llm_state_put_hex(cJSON *to, const char *name,
    uint64_t value);

/* Whatever stands there: a missing or foreign value is 0, as is one above
 * `max`. */
uint64_t ngx_http_llm_state_get(const cJSON *from, const char *name);
uint32_t ngx_http_llm_state_small(const cJSON *from, const char *name,
    uint32_t max);
ngx_int_t ngx_http_llm_state_hex(const char *text, u_char *to, size_t len);
ngx_int_t ngx_http_llm_state_hex64(const char *text, uint64_t *to);

/* A name for cJSON, in `buf`; NULL: too long. */
u_char *ngx_http_llm_state_c_name(ngx_str_t *name, u_char *buf, size_t size);

/* A pool as a tree, to be freed with cJSON_Delete(); NULL: no memory. */
cJSON *ngx_http_llm_state_from_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool);

/* The way back; what is unknown or past is dropped. */
ngx_int_t ngx_http_llm_state_to_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const cJSON *tree, llm_msec_t now,
    ngx_pool_t *temp);


/* ngx_http_llm_state_split.c: the same for a split; `seen` is when the file was
 * written. */
cJSON *ngx_http_llm_state_from_split(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split);
void ngx_http_llm_state_to_split(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, const cJSON *tree, llm_msec_t seen);


/* ngx_http_llm_state_counter.c */
ngx_int_t ngx_http_llm_state_put_counters(ngx_http_llm_store_t *store,
    cJSON *to);
void ngx_http_llm_state_get_counters(ngx_http_llm_store_t *store,
    const cJSON *from);


/* ngx_http_llm_state_traffic.c: splits, switches, objects and the head of the
 * audit trail, as members of `tree`. */
ngx_int_t ngx_http_llm_state_put_traffic(ngx_http_llm_store_t *store,
    cJSON *tree);
void ngx_http_llm_state_get_traffic(ngx_http_llm_store_t *store,
    const cJSON *tree, ngx_pool_t *temp);

#pragma GCC visibility pop

#include "ngx_http_llm_split_node.h"

#endif /* _NGX_HTTP_LLM_SHM_H_INCLUDED_ */
