/*
 * What all workers of a node share: keys, quotas, breakers, inflight counts.
 *
 * Nodes in the zone are found by stable names, never by configuration index,
 * so they survive a reload with a changed configuration.  Every function takes
 * the zone's lock itself, holds it for a bounded handful of memory accesses,
 * and neither logs nor allocates process memory while it does.
 */

#ifndef _NGX_HTTP_LLM_STORE_H_INCLUDED_
#define _NGX_HTTP_LLM_STORE_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_breaker.h"
#include "llm_keypool.h"
#include "llm_probe.h"
#include "llm_retry.h"
#include "llm_shed.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_FINGERPRINT  16        /* first bytes of the SHA-256 */

typedef struct ngx_http_llm_store_s       ngx_http_llm_store_t;
typedef struct ngx_http_llm_pool_node_s   ngx_http_llm_pool_node_t;
typedef struct ngx_http_llm_lane_node_s   ngx_http_llm_lane_node_t;
typedef struct ngx_http_llm_gate_node_s   ngx_http_llm_gate_node_t;
typedef struct ngx_http_llm_shed_node_s   ngx_http_llm_shed_node_t;


/* A key pool as the store sees it; made at configuration time. */
typedef struct {
    ngx_str_t                  name;
    llm_keypool_conf_t         conf;
    u_char                    *fingerprints;    /* key_n x FINGERPRINT bytes */
    uint64_t                  *group_ids;       /* group_n; hash of the name, or
                                                   of the only key */
    ngx_http_llm_pool_node_t  *node;            /* set by zone init */
    ngx_http_llm_lane_node_t  *local;           /* of this worker, when the zone
                                                   is full; else NULL */
    ngx_msec_t                 renew;           /* its hash in Redis, next */
} ngx_http_llm_store_pool_t;


/* The gate in front of a provider: breaker, probes, inflight limit, retry
 * budget, and whom it sheds. */
typedef struct {
    ngx_str_t                  name;
    llm_breaker_conf_t         breaker;         /* failures == 0: off */
    llm_probe_conf_t           probe;           /* interval == 0: off */
    ngx_uint_t                 inflight;        /* 0: no limit */
    ngx_uint_t                 queue;
    ngx_msec_t                 wait;
    ngx_http_llm_gate_node_t  *node;            /* set by zone init */
    ngx_queue_t                waiting;         /* this worker's waiters */
    llm_shed_conf_t            shed;
    ngx_http_llm_shed_node_t  *shed_node;     /* set by zone init; NULL: off */
} ngx_http_llm_store_gate_t;


/* What an event needs to point to: the head of a connection. */
typedef struct {
    ngx_http_llm_store_t      *store;
    void                      *read;
    void                      *write;
    ngx_socket_t               fd;
} ngx_http_llm_store_ident_t;


/* Part of the main configuration; zeroed, then filled by the configuration up
 * to `redis`.  The rest is the store's own. */
struct ngx_http_llm_store_s {
    ngx_array_t                pools;           /* … of store_pool_t * */
    ngx_array_t                gates;           /* … of store_gate_t * */
    ngx_array_t                splits;          /* … of store_split_t * */
    ngx_array_t                switches;        /* … of store_switch_t * */
    ngx_array_t                meters;          /* … of store_meter_t * */
    ngx_array_t                forecasts;     /* … of store_forecast_t * */
    ngx_path_t                *state;           /* llm_state, or NULL */
    struct ngx_http_llm_redis_s
                              *redis;           /* llm_redis, or NULL */

    ngx_shm_zone_t            *zone;            /* NULL: llm_zone is missing */
    ngx_slab_pool_t           *shpool;
    void                      *root;
    ngx_log_t                 *log;
    uint64_t                   generation;      /* of this configuration */
    ngx_uint_t                 row;             /* in the worker table */
    ngx_uint_t                 joined;          /* this worker has a row */
    uint64_t                   seed;            /* of this worker's chances */
    ngx_uint_t                 places;          /* requests of this worker in
                                                   splits, begun */
    ngx_uint_t                 nomem;           /* lanes the zone had no room
                                                   for since the last report */
    ngx_msec_t                 nomem_logged;
    ngx_msec_t                 audit_logged;
    ngx_msec_t                 counters_logged;
    ngx_msec_t                 save_next;
    ngx_event_t                timer;           /* every second */
    ngx_event_t                poll;            /* while there are waiters */
    ngx_http_llm_store_ident_t ident;
};


/* One send: what was taken, to be reported and given back exactly once. */
typedef struct {
    ngx_http_llm_store_gate_t  *gate;           /* NULL: nothing held */
    ngx_http_llm_store_pool_t  *pool;           /* NULL: no key needed */
    ngx_http_llm_lane_node_t   *lane;
    uint64_t                    lane_id;        /* a lane may change hands */
    llm_lease_t                 lease;
    unsigned                    inflight:1;     /* holds an inflight slot */
    unsigned                    probe:1;        /* is the breaker's probe */
    unsigned                    reported:1;
} ngx_http_llm_ticket_t;


/* Configuration time: makes or finds the shared zone; the nodes of pools and
 * gates are made when the whole configuration has been read.  `size` is in
 * bytes, `tag` the address of the module.  NGX_CONF_OK or an error string. */
char *ngx_http_llm_store_zone(ngx_conf_t *cf, ngx_http_llm_store_t *store,
    ngx_str_t *name, size_t size, void *tag);

/* Worker start and exit: joins the worker table, starts the periodic timer
 * (state file, reaping of dead workers' counts).  init does nothing in other
 * processes; NGX_ERROR: this worker's configuration is older than what the
 * zone still holds, it must not run.  exit is harmless without init. */
ngx_int_t ngx_http_llm_store_init_process(ngx_cycle_t *cycle,
    ngx_http_llm_store_t *store);
void ngx_http_llm_store_exit_process(ngx_http_llm_store_t *store);

/* Epoch milliseconds that never jump: a monotonic clock, tied to wall time when
 * the zone is made and again when the two differ by more than a minute. */
llm_msec_t ngx_http_llm_store_now(ngx_http_llm_store_t *store);

/* Milliseconds that run on whatever becomes of the time of day: epoch time when
 * the zone was made, never corrected.  The zone must be there. */
llm_msec_t ngx_http_llm_store_steady(ngx_http_llm_store_t *store);

/*
 * Admits one send to a provider: breaker, then a key with room for `need`.
 * `force`: this is the last target, an open breaker lets a capped probe pass,
 * and failed probes of the host are not looked at.
 * NGX_OK: *ticket is held.  NGX_DECLINED: *wait (ms; LLM_NEVER: waiting does
 * not help) and *cause (EXHAUSTED with an open breaker or a host that is down,
 * or the class the keys rest for) tell why; nothing is held.  *ticket is zeroed
 * by the caller but for ticket->inflight, when ngx_http_llm_store_enter() gave
 * a slot: it becomes the ticket's, and is given back at once on NGX_DECLINED.
 * `pool` may be NULL.
 */
ngx_int_t ngx_http_llm_store_admit(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_store_pool_t *pool,
    ngx_str_t *model, const llm_need_t *need, const llm_tried_t *tried,
    ngx_uint_t force, ngx_http_llm_ticket_t *ticket, llm_msec_t *wait,
    llm_class_t *cause);

/* Whether another, untried group has a usable key for that model; if not, *wait
 * is the time until some key could be used (LLM_NEVER: not by waiting). */
ngx_uint_t ngx_http_llm_store_has_other(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_str_t *model, const llm_need_t *need,
    const llm_tried_t *tried, llm_msec_t *wait);

/* The outcome of a send, as soon as it is known: cooldowns, breaker.  Returns
 * bits for the log: 1 key disabled, 2 breaker opened, 4 breaker closed. */
#define NGX_HTTP_LLM_KEY_DISABLED    1
#define NGX_HTTP_LLM_BREAKER_OPENED  2
#define NGX_HTTP_LLM_BREAKER_CLOSED  4

ngx_uint_t ngx_http_llm_store_report(ngx_http_llm_store_t *store,
    ngx_http_llm_ticket_t *ticket, const llm_outcome_t *outcome);

/* Ends a ticket: charges what was used (NULL: nothing) and gives the inflight
 * slot back (and wakes a waiter).  A ticket never reported is reported as
 * neither.  Harmless for a ticket that is not held. */
void ngx_http_llm_store_settle(ngx_http_llm_store_t *store,
    ngx_http_llm_ticket_t *ticket, const llm_need_t *actual);

/*
 * Inflight slots.  enter: NGX_OK (a slot is held: pass it to admit through
 * ticket->inflight), NGX_AGAIN (queued: `wake` is posted when a slot may be
 * free, the caller enters again; the caller owns the timer for `wait`),
 * NGX_BUSY (the queue is full, or there is none).  A waiter is zeroed before
 * use, with `wake` set, and lives until it is out of the queue.
 * leave_queue takes a waiter out; the caller takes care of a wake that is
 * posted already.
 */
typedef struct {
    ngx_queue_t                 queue;
    ngx_event_t                *wake;
    ngx_http_llm_store_gate_t  *gate;           /* NULL: not queued */
} ngx_http_llm_waiter_t;

ngx_int_t ngx_http_llm_store_enter(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_waiter_t *waiter);
void ngx_http_llm_store_leave_queue(ngx_http_llm_store_t *store,
    ngx_http_llm_waiter_t *waiter);

/* Retry budget of the provider: a deposit per first attempt; withdraw returns 1
 * when a retry may go. */
void ngx_http_llm_store_deposit(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, const llm_retry_conf_t *conf);
ngx_uint_t ngx_http_llm_store_has_budget(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate);
ngx_uint_t ngx_http_llm_store_withdraw(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate);

/* Probes of the host, by the worker that has the lead: whether one is to be
 * sent now, and what became of it (as llm_probe_report). */
ngx_uint_t ngx_http_llm_store_probe_due(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate);
ngx_uint_t ngx_http_llm_store_probed(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_uint_t ok);

/* For health and status pages. */
typedef struct {
    ngx_uint_t   breaker;                       /* llm_breaker_status_t */
    ngx_uint_t   probe;                         /* llm_probe_status_t */
    ngx_uint_t   inflight;
    ngx_uint_t   waiting;
    llm_msec_t   open_until;
} ngx_http_llm_gate_status_t;

void ngx_http_llm_store_gate_status(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_gate_status_t *status);
ngx_uint_t ngx_http_llm_store_usable_keys(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_STORE_H_INCLUDED_ */
