/*
 * Counters and shares as they lie in the zone: private to src/store.
 */

#ifndef _NGX_HTTP_LLM_COUNTER_SHM_H_INCLUDED_
#define _NGX_HTTP_LLM_COUNTER_SHM_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_share.h"
#include "ngx_http_llm_counter.h"
#include "ngx_http_llm_nodes.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_ROWS  128              /* workers, old ones included */


/* A rule for one subject: a limit's state, found by a hash, and this node's
 * share of it. */
typedef struct ngx_http_llm_counter_node_s  ngx_http_llm_counter_node_t;

struct ngx_http_llm_counter_node_s {
    ngx_queue_t                  queue;     /* by last use */
    ngx_queue_t                  asks;      /* flagged QUEUED: of those to be
                                               sent to Redis */
    ngx_http_llm_counter_node_t *next;      /* in its row of the table */
    uint64_t                     id;        /* of the rule */
    uint64_t                     subject;
    uint64_t                     max;       /* as of the last use */
    llm_msec_t                   over;      /* nothing of it counts then, by the
                                               clock of its kind; a calendar's:
                                               the end of its window */
    uint64_t                     start;     /* … and its start, in seconds */
    uint8_t                      dim;
    uint8_t                      clock;
    uint8_t                      unit;
    uint8_t                      again:1;   /* queued to be said again */
    uint8_t                      pooled:1;  /* a pool counts what is used */
    uint8_t                      n;         /* among how many a calendar is
                                               divided; 0: not known yet */
    uint8_t                      rank;
    uint8_t                      settled;
    uint8_t                      self;
    llm_limit_state_t            state;
    llm_share_t                  share;
};

/* What a request holds of a gauge: given back when its worker dies. */
struct ngx_http_llm_gauge_s {
    ngx_queue_t                  queue;     /* of its worker */
    ngx_http_llm_counter_node_t *counter;
    uint64_t                     n;
};

/* Totals of the rules of one name; stay until the zone is gone. */
typedef struct {
    ngx_queue_t                  queue;
    uint64_t                     hash;
    ngx_http_llm_rule_totals_t   totals;
    size_t                       len;
    u_char                       name[64];
} ngx_http_llm_rule_node_t;

typedef struct {
    ngx_http_llm_counter_node_t **table;    /* NULL until the first */
    ngx_uint_t                   size;      /* of the table: a power of two */
    ngx_uint_t                   n;
    ngx_uint_t                   max;
    ngx_uint_t                   rule_n;
    ngx_queue_t                  used;      /* newest first */
    ngx_queue_t                  rules;
    ngx_queue_t                  gauges[NGX_HTTP_LLM_ROWS + 1];
    uint64_t                     epoch[NGX_HTTP_LLM_ROWS + 1];  /* of a row's
                                               worker: grows when it is gone */
    uint64_t                     evicted;
    uint64_t                     full;
    uint64_t                     reported;  /* … of them in the log */
} ngx_http_llm_counters_t;


/* A node that limits are divided among; times by Redis's clock. */
typedef struct {
    u_char                       id[NGX_HTTP_LLM_NODE_ID];
    llm_share_node_t             node;
} ngx_http_llm_sharer_t;

/* What the nodes know of each other's part in limits; written by the agent,
 * under the lock. */
typedef struct {
    llm_msec_t                   started;   /* steady; the zone was made */
    int64_t                      clock;     /* Redis's - the steady one */
    llm_msec_t                   heard;     /* steady; the newest list */
    uint32_t                     n;         /* members; 0: none heard of yet */
    uint32_t                     self;
    ngx_http_llm_sharer_t        member[NGX_HTTP_LLM_NODES];    /* by name */
    llm_share_among_t            among[LLM_TZ_MONTH + 1];   /* by unit, but for
                                               calendars; gauges: as minutes */
    ngx_queue_t                  asks;      /* counters, oldest first */
    ngx_uint_t                   ask_n;
    uint64_t                     sent;
    uint64_t                     granted;
    uint64_t                     lent;
} ngx_http_llm_shares_t;


/* ngx_http_llm_counter_table.c */

#define ngx_http_llm_counter_hash(id, subject)                                \
    (((id) ^ (subject) * 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL >> 20)

typedef struct ngx_http_llm_root_s  ngx_http_llm_root_t;

void ngx_http_llm_counters_init(ngx_http_llm_root_t *root);

/* NULL: there is none. */
ngx_http_llm_counter_node_t *ngx_http_llm_counter_find_locked(
    ngx_http_llm_root_t *root, uint64_t id, uint64_t subject);

/* Finds or makes it, and makes it the last to be forgotten; NULL: the zone is
 * full of counters that count. */
ngx_http_llm_counter_node_t *ngx_http_llm_counter_get_locked(
    ngx_http_llm_store_t *store, uint64_t id, uint64_t subject);

/* Places of a gauge for this worker's request, and back; NULL: no room. */
ngx_http_llm_gauge_t *ngx_http_llm_gauge_take_locked(
    ngx_http_llm_store_t *store, ngx_http_llm_counter_node_t *cn, uint64_t n);
void ngx_http_llm_gauge_give_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_gauge_t *gauge);

/* A worker is gone: gives back what its requests held. */
void ngx_http_llm_gauges_forget_locked(ngx_http_llm_store_t *store,
    ngx_uint_t row);

/* Whether it was asked to be sent, and is not any more. */
void ngx_http_llm_counter_unqueue_locked(ngx_http_llm_root_t *root,
    ngx_http_llm_counter_node_t *cn);

/* Every second: says that the zone is full, at most once a minute. */
void ngx_http_llm_counters_tick(ngx_http_llm_store_t *store);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_COUNTER_SHM_H_INCLUDED_ */
