/*
 * Counters: what a request takes of the limits and budgets that apply to it,
 * all or nothing, and what it gives back when it is known what it used.
 *
 * A rule is a limit as configured; a counter is one rule for one subject (a
 * client, a model, an address).  Counters lie in the zone, are made on first
 * sight and forgotten when their window holds nothing of them any more.  With
 * llm_redis the nodes share each counter: docs/design/shares.md.
 */

#ifndef _NGX_HTTP_LLM_COUNTER_H_INCLUDED_
#define _NGX_HTTP_LLM_COUNTER_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_quota.h"
#include "ngx_http_llm_store.h"

#pragma GCC visibility push(hidden)


/* What becomes of requests while Redis is away, or the zone is full. */
typedef enum {
    NGX_HTTP_LLM_MODE_SAFE = 0,         /* this node's share goes on */
    NGX_HTTP_LLM_MODE_OPEN,             /* nobody is refused */
    NGX_HTTP_LLM_MODE_CLOSED            /* everybody is */
} ngx_http_llm_mode_e;


/* What a rule did on this node since its zone was made, over all subjects; for
 * metrics.  In units of the rule's dimension, but for requests. */
typedef struct {
    uint64_t                       admitted;    /* requests */
    uint64_t                       refused;     /* … and, of a dry run, those
                                                   that would have been */
    uint64_t                       unlimited;   /* let pass without counting:
                                                   open, or the zone is full */
    uint64_t                       reserved;
    uint64_t                       charged;     /* after settlement */
    uint64_t                       refunded;
    uint64_t                       warned;      /* subjects, once in a window,
                                                   of a budget */
} ngx_http_llm_rule_totals_t;


/*
 * A rule; does not change once a request has seen it.  `id` stands for scope,
 * dimension, window, clock and whatever tells the rule from its neighbours, but
 * not for `limit.max`: a changed maximum keeps what was used.  The strings and
 * limit.tz live as long as the rule.
 */
typedef struct {
    ngx_str_t                      name;        /* "client 60r/m" */
    uint64_t                       id;
    llm_limit_t                    limit;
    ngx_uint_t                     mode;        /* ngx_http_llm_mode_e */
    unsigned                       dry_run:1;   /* counts what it would admit,
                                                   never refuses */
    unsigned                       soft:1;      /* with dry_run: counts all */
    unsigned                       local:1;     /* each node for itself */
    unsigned                       budget:1;    /* for metrics and messages */
    ngx_http_llm_rule_totals_t    *totals;      /* or NULL; see _link() */
} ngx_http_llm_rule_t;


typedef struct ngx_http_llm_gauge_s  ngx_http_llm_gauge_t;

/*
 * What a request wants of one counter.  Claims lie in the request's memory, as
 * an array that stays where it is until the settlement.
 */
typedef struct {
    const ngx_http_llm_rule_t     *rule;
    uint64_t                       subject;     /* hash of the scope's value */
    uint64_t                       n;           /* to reserve */

    /* what came of it, also when it was granted */
    uint64_t                       max;         /* of all nodes */
    uint64_t                       left;        /* of max, an estimate when
                                                   nodes share */
    llm_msec_t                     reset;       /* ms until all of it is free */
    llm_msec_t                     wait;        /* refused: ms until n may fit,
                                                   LLM_NEVER: see `never` */
    unsigned                       refused:1;   /* … or would have been, in a
                                                   dry run */
    unsigned                       never:1;     /* n is more than max */
    unsigned                       away:1;      /* refused because Redis or the
                                                   zone fails: not a 429 */

    /* the store's own */
    unsigned                       held:1;
    uint64_t                       reserved;
    llm_msec_t                     taken;
    ngx_http_llm_gauge_t          *gauge;
    uint64_t                       epoch;
} ngx_http_llm_claim_t;


/* What is held of them; all zero: nothing. */
typedef struct {
    ngx_http_llm_claim_t          *claim;
    ngx_uint_t                     n;
} ngx_http_llm_hold_t;


/*
 * Reserves all claims or none.  NGX_OK: *hold is to be settled exactly once
 * (hold->n is 0 when there is nothing to settle).  NGX_DECLINED: some claims
 * are `refused`, nothing was charged anywhere.  `claims` is zeroed by the
 * caller but for its first three members; each counter stands in it once.
 */
ngx_int_t ngx_http_llm_reserve(ngx_http_llm_store_t *store,
    ngx_http_llm_claim_t *claims, ngx_uint_t n, ngx_http_llm_hold_t *hold);

/* A running stream has used more than was reserved: claim i now stands for n,
 * whether that fits or not.  Less than before changes nothing. */
void ngx_http_llm_reserve_more(ngx_http_llm_store_t *store,
    ngx_http_llm_hold_t *hold, ngx_uint_t i, uint64_t n);

/* Ends a hold: each counter is charged `actual[i]` (by the order of the claims;
 * NULL: zeros) in the window of the admission, the rest is given back, as are
 * places of a gauge.  Harmless for a hold of nothing, and the second time. */
void ngx_http_llm_reserve_settle(ngx_http_llm_store_t *store,
    ngx_http_llm_hold_t *hold, const uint64_t *actual);

/* What a counter looks like now, reserving nothing: the claim's outcome is
 * filled as if `n` were asked for. */
void ngx_http_llm_counter_peek(ngx_http_llm_store_t *store,
    ngx_http_llm_claim_t *claim);

/* A hash for `subject`: of a scope's value. */
uint64_t ngx_http_llm_subject(const ngx_str_t *value);

/* Finds or makes the totals of a rule, in a worker (at its start, or when a
 * rule is made at run time).  By name; NULL when there is no room: harmless. */
void ngx_http_llm_rule_link(ngx_http_llm_store_t *store,
    ngx_http_llm_rule_t *rule);

/* For metrics: the i-th totals with their name, NGX_DECLINED behind the last.
 * `name` points into the zone, where it stays. */
ngx_int_t ngx_http_llm_rule_totals(ngx_http_llm_store_t *store, ngx_uint_t i,
    ngx_str_t *name, ngx_http_llm_rule_totals_t *totals);


/* Of the whole table, for metrics and status pages. */
typedef struct {
    uint64_t                       counters;    /* in the zone now */
    uint64_t                       max;         /* room for so many */
    uint64_t                       evicted;
    uint64_t                       full;        /* claims without a counter */
    uint64_t                       asks;        /* declarations to Redis */
    uint64_t                       grants;      /* … that brought more */
    uint64_t                       lends;
    uint64_t                       waiting;     /* counters that ask now */
} ngx_http_llm_counter_status_t;

void ngx_http_llm_counter_status(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_status_t *status);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_COUNTER_H_INCLUDED_ */
