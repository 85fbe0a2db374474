/*
 * What all workers of a node share about traffic: splits with their documents,
 * windows and triggers, switches, meters, votes, objects and the audit trail.
 *
 * As in ngx_http_llm_store.h: nodes are found by stable names, every function
 * takes the zone's lock itself where it needs it, and counting takes none.
 */

#ifndef _NGX_HTTP_LLM_TRAFFIC_H_INCLUDED_
#define _NGX_HTTP_LLM_TRAFFIC_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_experiment.h"
#include "llm_price.h"
#include "llm_rollout_merge.h"
#include "llm_trigger.h"
#include "llm_window.h"

#include "ngx_http_llm_store.h"

#pragma GCC visibility push(hidden)


/* ---- splits -------------------------------------------------------------- */

typedef struct ngx_http_llm_split_node_s  ngx_http_llm_split_node_t;

/* A split as the store sees it; made at configuration time. */
typedef struct {
    ngx_str_t                   name;
    ngx_uint_t                  n;              /* variants */
    ngx_str_t                  *variants;       /* their names */
    uint32_t                    weight[LLM_SPLIT_VARIANTS];  /* of the file */
    uint64_t                    digest;         /* of the block as written */
    llm_rollout_conf_t          rollout;
    llm_trigger_conf_t          trigger[LLM_SPLIT_TRIGGERS];
    ngx_uint_t                  trigger_n;
    llm_pace_t                 pace;
    ngx_str_t                   experiment;     /* name, or empty */
    ngx_uint_t                  remember;       /* requests open to feedback */
    unsigned                    start_now:1;    /* rollout … start=now */
    unsigned                    reset:1;        /* on_reload reset */
    unsigned                    mirrored:1;
    unsigned                    keep:1;         /* on_control_loss keep */
    ngx_http_llm_split_node_t  *node;           /* set by zone init */
    ngx_http_llm_store_t       *store;          /* … too */
    ngx_msec_t                  due;            /* next tick, in the worker
                                                   that has the lead */
    ngx_uint_t                  busy;           /* commands to Redis about it,
                                                   of this worker */
    ngx_msec_t                  renew;          /* its time in Redis, next */

    llm_rollout_in_t            step;           /* what the other nodes saw … */
    uint64_t                    step_version;   /* … of the step of that one */
    ngx_msec_t                  step_at;
    uint64_t                    step_asked;
    ngx_msec_t                  step_next;      /* time to ask */

    uint64_t                    arms_mark;      /* of what Redis was told */
    ngx_msec_t                  arms_next;
} ngx_http_llm_store_split_t;


/* A request's place in a split. */
typedef struct {
    ngx_http_llm_store_split_t *split;          /* NULL: in none */
    uint32_t                    variant;
    uint32_t                    bucket;
    llm_msec_t                  started;        /* store_now(); 0: not begun */
    unsigned                    counted:1;      /* not forced, not ineligible */
    unsigned                    answered:1;     /* not overdue any more */
} ngx_http_llm_place_t;


/*
 * The variant of a key now; `key` empty: by chance.  Without a lock, well below
 * a microsecond.  *bucket is set.
 */
uint32_t ngx_http_llm_split_pick(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_str_t *key, uint32_t *bucket);

/* Whether a variant may be reached at all (by force, by affinity, by a retry),
 * and the baseline of the moment.  Without a lock. */
ngx_uint_t ngx_http_llm_split_is_barred(ngx_http_llm_store_split_t *split,
    uint32_t variant);
uint32_t ngx_http_llm_split_base(ngx_http_llm_store_split_t *split);

/*
 * A rollout is under way and this node has had no word from Redis for 15 s:
 * somebody may have rolled it back.  Until there is word again the baseline
 * answers everybody, here only.  Without a lock.
 */
ngx_uint_t ngx_http_llm_split_is_lost(ngx_http_llm_store_split_t *split);

/* Whether Redis has the document as it is here; 1 without llm_redis. */
ngx_uint_t ngx_http_llm_split_is_shared(ngx_http_llm_store_split_t *split);

/* A request begins in its variant, and ends there: once each; end without begin
 * does nothing.  answered: between them, once, for an answer that has begun
 * and may last.  place->counted: the outcome is evidence.  `unit`
 * is a 64-bit hash of the sticky key, 0 where there was none. */
void ngx_http_llm_split_begin(ngx_http_llm_store_t *store,
    ngx_http_llm_place_t *place);
void ngx_http_llm_split_answered(ngx_http_llm_store_t *store,
    ngx_http_llm_place_t *place);
void ngx_http_llm_split_end(ngx_http_llm_store_t *store,
    ngx_http_llm_place_t *place, llm_outcome_row_t *row, uint64_t unit);

/* The document as it is now. */
void ngx_http_llm_split_doc(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, llm_split_doc_t *doc);


/* Who wants a change, and why; goes to the audit trail. */
typedef struct {
    ngx_str_t                   actor;          /* "admin 127.0.0.1",
                                                   "controller" */
    ngx_str_t                   reason;         /* JSON object, or empty */
    ngx_str_t                   request;        /* id, or empty */
} ngx_http_llm_actor_t;

/*
 * Carries out a verb, if `version` is 0 or the document's; the new document
 * stands in *doc either way, and the change is in force in all workers when
 * this returns.  An audit entry is made for LLM_ACT_DONE.  NGX_OK with *result;
 * NGX_DECLINED: another version.
 */
ngx_int_t ngx_http_llm_split_act(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t version, const llm_act_t *act,
    ngx_http_llm_actor_t *actor, llm_split_doc_t *doc,
    llm_act_result_t *result);


/*
 * The same where nodes share the document.  What raises exposure is done in
 * Redis first: NGX_AGAIN, and `pt` is called once, with rc being NGX_OK,
 * NGX_DECLINED or NGX_BUSY as here, and *doc the document then.  NGX_BUSY:
 * Redis is away, or others change the split all the time; nothing was changed,
 * unless the answer got lost.  All else is done when this returns, as above.
 */
typedef void (*ngx_http_llm_proposed_pt)(void *data, ngx_int_t rc,
    llm_act_result_t result, const llm_split_doc_t *doc);

ngx_int_t ngx_http_llm_split_propose(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t version, const llm_act_t *act,
    ngx_http_llm_actor_t *actor, llm_split_doc_t *doc,
    llm_act_result_t *result, ngx_http_llm_proposed_pt pt, void *data);


/* What a status page shows of one variant, since `weighed`, at most the longest
 * window. */
typedef struct {
    llm_sums_t                  sums;
    uint64_t                    overdue;
} ngx_http_llm_variant_view_t;

void ngx_http_llm_split_view(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint32_t variant, llm_msec_t length,
    ngx_http_llm_variant_view_t *view);

/* Sums since the node was made, for counters that only grow. */
typedef struct {
    uint64_t                    count[LLM_COUNTS];
    uint64_t                    forced;         /* uncounted: by header */
    uint64_t                    ineligible;     /* … an arm could not serve */
    uint64_t                    affine;         /* … by affinity */
    uint64_t                    rescued;        /* served by the fallback */
} ngx_http_llm_variant_totals_t;

ngx_http_llm_variant_totals_t *ngx_http_llm_split_totals(
    ngx_http_llm_store_split_t *split, uint32_t variant);

llm_trigger_state_t *ngx_http_llm_split_trigger(
    ngx_http_llm_store_split_t *split, ngx_uint_t trigger, uint32_t variant);


/*
 * The controller's part, called by the worker that holds the lead: measures all
 * triggers of a split and moves its rollout.  What it did is told through
 * `event` (for logs and webhooks) after the lock is released.
 */
typedef struct {
    ngx_http_llm_store_split_t *split;
    llm_verb_t                  verb;           /* ROLLBACK, HOLD, or LLM_VERBS:
                                                   … */
    llm_rollout_move_t          move;           /* … a step of the rollout, or
                                                   STAY: action=log */
    uint32_t                    variant;
    const llm_trigger_conf_t   *trigger;        /* that fired, or NULL */
    llm_measure_t               measure;
    llm_split_doc_t             doc;            /* after it */
} ngx_http_llm_split_event_t;

typedef void (*ngx_http_llm_split_event_pt)(void *data,
    ngx_http_llm_split_event_t *event);

void ngx_http_llm_split_tick(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_split_event_pt event,
    void *data);

/* Outcomes of the canary since its step began, as the controller counts them;
 * 0 before it saw the step.  `doubts` is set when a condition has too few of
 * them, and those are over its threshold: the step waits. */
uint64_t ngx_http_llm_split_samples(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_uint_t *doubts);

/*
 * The lead among the workers of a node.  NGX_OK: this worker has it (taken, or
 * kept and renewed); NGX_DECLINED: another, alive, has it.  A lead not renewed
 * for 2 s, or whose holder has an older configuration, is taken over.
 */
ngx_int_t ngx_http_llm_lead(ngx_http_llm_store_t *store);
void ngx_http_llm_lead_release(ngx_http_llm_store_t *store);


/* ---- mirror -------------------------------------------------------------- */

/* What copies did, compared with the answers the clients got. */
typedef struct {
    uint64_t                    copies;
    uint64_t                    skipped;        /* too large, no slot, no key */
    uint64_t                    errors;         /* of the copies */
    uint64_t                    served_errors;  /* of their originals */
    uint64_t                    json_checked;
    uint64_t                    json_invalid;
    uint64_t                    served_json_invalid;
    uint64_t                    output, served_output;      /* tokens */
    uint64_t                    length, served_length;      /* bytes of text */
    uint64_t                    members, members_equal;     /* of JSON */
    uint32_t                    time[LLM_HIST_BUCKETS];
    uint32_t                    served_time[LLM_HIST_BUCKETS];
} ngx_http_llm_mirror_totals_t;

/* Zeroed memory of the node's; counted with atomic adds.  NULL: not mirrored */
ngx_http_llm_mirror_totals_t *ngx_http_llm_split_mirror(
    ngx_http_llm_store_split_t *split);


/* ---- experiments --------------------------------------------------------- */

/* NULL without `experiment`. */
llm_experiment_arm_t *ngx_http_llm_split_arm(ngx_http_llm_store_split_t *split,
    uint32_t variant);

/* What all nodes counted, `others` being how many more than this one; `arm` is
 * gone when `pt` returns.  NGX_AGAIN: `pt` is called once; NGX_BUSY: Redis is
 * away, or there is none. */
typedef void (*ngx_http_llm_arms_pt)(void *data,
    const llm_experiment_arm_t *arm, ngx_uint_t others);

ngx_int_t ngx_http_llm_arms_read(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_arms_pt pt, void *data);

/* Other weights begin another phase, with empty arms. */
uint64_t ngx_http_llm_split_phase(ngx_http_llm_store_split_t *split);

/* Remembers which variant served a request; then a vote for it: 1 up, -1 down.
 * A repeated vote replaces the one before.  NGX_OK; NGX_DECLINED: no such
 * request, or too long ago. */
void ngx_http_llm_vote_open(ngx_http_llm_store_t *store,
    ngx_http_llm_place_t *place, const u_char id[32]);

typedef struct {
    uint64_t                    late;           /* votes for ids unknown */
    uint64_t                    votes;
    uint64_t                    forwarded;      /* to the other nodes */
} ngx_http_llm_vote_totals_t;

ngx_int_t ngx_http_llm_vote(ngx_http_llm_store_t *store, const u_char id[32],
    int vote, ngx_http_llm_store_split_t **split, uint32_t *variant);

/* A vote that nobody can count. */
void ngx_http_llm_vote_late(ngx_http_llm_store_t *store);

/* A vote for a request that is not known here, for the node that served it.
 * NGX_OK: it was sent; NGX_DECLINED: it cannot be. */
ngx_int_t ngx_http_llm_vote_forward(ngx_http_llm_store_t *store,
    const u_char id[32], int vote);

ngx_http_llm_vote_totals_t *ngx_http_llm_vote_totals(
    ngx_http_llm_store_t *store);


/* ---- objects held by a provider ------------------------------------------ */

/* Where a file, batch or response lives: LRU, 30 days, capped. */
typedef struct {
    uint64_t                    split;          /* fnv64 of the name; 0: none */
    uint64_t                    variant;        /* … of the variant's name */
    uint64_t                    target;         /* … of model or provider */
    u_char                      key[NGX_HTTP_LLM_FINGERPRINT]; /* or zeros */
} ngx_http_llm_object_t;

void ngx_http_llm_object_put(ngx_http_llm_store_t *store, ngx_str_t *id,
    ngx_http_llm_object_t *object);
ngx_int_t ngx_http_llm_object_get(ngx_http_llm_store_t *store, ngx_str_t *id,
    ngx_http_llm_object_t *object);

/* Who served the last request of a session, for so long after it; a table of
 * its own, LRU and capped as well, forgotten by a restart. */
void ngx_http_llm_session_put(ngx_http_llm_store_t *store, ngx_str_t *name,
    ngx_http_llm_object_t *object);
ngx_int_t ngx_http_llm_session_get(ngx_http_llm_store_t *store,
    ngx_str_t *name, llm_msec_t life, ngx_http_llm_object_t *object);


/* ---- switches: providers, models and keys off and on at run time --------- */

typedef struct ngx_http_llm_switch_node_s  ngx_http_llm_switch_node_t;

typedef enum {
    NGX_HTTP_LLM_SWITCH_PROVIDER = 0,
    NGX_HTTP_LLM_SWITCH_MODEL
} ngx_http_llm_switch_kind_e;

typedef struct {
    ngx_str_t                   name;
    ngx_http_llm_switch_kind_e  kind;
    ngx_uint_t                  off;            /* what the file says */
    time_t                      until;          /* enabled until=; 0: none */
    ngx_uint_t                  fixed;          /* cannot work, so cannot be
                                                   switched on: no keys */
    ngx_http_llm_switch_node_t *node;           /* set by zone init */
} ngx_http_llm_store_switch_t;

/* Whether it may be used now.  Without a lock. */
ngx_uint_t ngx_http_llm_switch_is_on(ngx_http_llm_store_switch_t *sw);

/* NGX_OK: changed, or as it was; an audit entry is made for a change.
 * NGX_DECLINED: it cannot be switched on (sw->fixed). */
ngx_int_t ngx_http_llm_switch_set(ngx_http_llm_store_t *store,
    ngx_http_llm_store_switch_t *sw, ngx_uint_t on,
    ngx_http_llm_actor_t *actor);

/* A key of a pool by its place.  Switching it on ends what it rests for. */
ngx_uint_t ngx_http_llm_key_is_on(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_uint_t key);
ngx_int_t ngx_http_llm_key_set(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_uint_t key, ngx_str_t *name,
    ngx_uint_t on, ngx_http_llm_actor_t *actor);

/* How a key stands, for metrics and the admin API. */
typedef struct {
    ngx_uint_t                  status;         /* llm_key_status_t */
    llm_msec_t                  until;          /* epoch ms; 0 */
} ngx_http_llm_key_view_t;

void ngx_http_llm_key_view(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_uint_t key,
    ngx_http_llm_key_view_t *view);


/* ---- meters: what was sent where ----------------------------------------- */

/* Of a provider or of a model; only grows; atomic adds. */
typedef struct {
    uint64_t                    attempts[LLM_CLASS_N];
    uint64_t                    input, cached, output, reasoning;   /* tokens */
    uint64_t                    audio_ms;
    uint64_t                    cost;           /* nano-dollars */
    uint64_t                    unpriced;       /* answers without a cost */
    uint64_t                    resumes;        /* cut streams of others that
                                                   it went on with */
    uint64_t                    time_sum;       /* ms of attempts */
    uint32_t                    time[LLM_HIST_BUCKETS];
    uint32_t                    first[LLM_HIST_BUCKETS];    /* ttft, streams */
} ngx_http_llm_meter_data_t;

typedef struct {
    ngx_str_t                   provider;
    ngx_str_t                   model;          /* configured; empty: none */
    ngx_http_llm_meter_data_t  *data;           /* set by zone init; NULL when
                                                   the zone was too small */
} ngx_http_llm_store_meter_t;


/* ---- audit --------------------------------------------------------------- */

#define NGX_HTTP_LLM_AUDIT_KEPT  256            /* entries in the zone */
#define NGX_HTTP_LLM_AUDIT_SIZE  2048           /* of one, at most */

/* Adds an entry: `fields` are members of a JSON object without braces, time,
 * actor, sequence and hashes are added.  Takes the lock. */
void ngx_http_llm_audit(ngx_http_llm_store_t *store,
    ngx_http_llm_actor_t *actor, ngx_str_t *action, ngx_str_t *fields);

/* The newest `n` entries, oldest first, each a line of JSON; allocated from
 * `pool`. */
ngx_int_t ngx_http_llm_audit_read(ngx_http_llm_store_t *store, ngx_uint_t n,
    ngx_pool_t *pool, ngx_str_t *lines);

/*
 * The newest `n` entries of all nodes that share Redis.  NGX_AGAIN: `pt` is
 * called with NGX_AGAIN for each, oldest first, and last of all with NGX_OK, or
 * NGX_ERROR when there was no answer; NGX_BUSY: Redis is away, or there is
 * none.  `node` is a node's name, `line` whatever stands in Redis.
 */
typedef void (*ngx_http_llm_audit_pt)(void *data, ngx_int_t rc,
    ngx_str_t *node, ngx_str_t *line);

ngx_int_t ngx_http_llm_audit_all(ngx_http_llm_store_t *store, ngx_uint_t n,
    ngx_http_llm_audit_pt pt, void *data);

/* Writes what is not in DIR/audit.jsonl yet; for the worker with the lead. */
void ngx_http_llm_audit_flush(ngx_http_llm_store_t *store);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_TRAFFIC_H_INCLUDED_ */
