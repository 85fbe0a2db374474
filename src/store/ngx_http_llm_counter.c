/*
 * What a request takes of its counters, and what it gives back.
 *
 * Everything is decided under one hold of the lock: first all claims are
 * looked at, then all are charged, or none.  Where nodes share, a counter's
 * maximum is this node's allowance, and who is refused or comes near it leaves
 * a note for the agent to ask for more; the request does not wait for that.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_share.h"


/* What all claims of a call have in common. */
typedef struct {
    ngx_http_llm_store_t          *store;
    ngx_http_llm_root_t           *root;
    llm_msec_t                     steady;
    llm_msec_t                     calendar;
    ngx_uint_t                     shared;      /* llm_redis is configured … */
    ngx_uint_t                     away;        /* … and does not answer */
    ngx_uint_t                     asks;        /* this is no mere look */
} ngx_http_llm_counting_t;

/* A counter as this node may use it now. */
typedef struct {
    llm_limit_t                    limit;       /* its max: the allowance; of a
                                                   refill: what it regains */
    uint64_t                       cap;
    uint64_t                       used;
    llm_msec_t                     now;
    ngx_uint_t                     shared;
    llm_share_view_t               view;
} ngx_http_llm_allowance_t;


#define NGX_HTTP_LLM_COUNTER_SOON  1000     /* ms: others may lend by then */


static void ngx_http_llm_counting(ngx_http_llm_store_t *store,
    ngx_http_llm_counting_t *g);
static void ngx_http_llm_claim_look_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim, ngx_http_llm_counter_node_t *cn);
static void ngx_http_llm_counter_allowance_locked(ngx_http_llm_counting_t *g,
    const ngx_http_llm_rule_t *rule, ngx_http_llm_counter_node_t *cn,
    ngx_http_llm_allowance_t *a);
static void ngx_http_llm_counter_window_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_counter_node_t *cn, const llm_limit_t *l);
static llm_msec_t ngx_http_llm_claim_wait(ngx_http_llm_claim_t *claim,
    const llm_limit_state_t *s, const ngx_http_llm_allowance_t *a);
static void ngx_http_llm_claim_away(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim);
static void ngx_http_llm_claim_full(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim);
static void ngx_http_llm_claim_take_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim);
static void ngx_http_llm_claim_settle_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim, uint64_t actual);
static void ngx_http_llm_counter_charged(ngx_http_llm_counting_t *g,
    ngx_http_llm_counter_node_t *cn, const llm_limit_t *l, llm_msec_t now);


static ngx_inline llm_msec_t
ngx_http_llm_claim_now(const ngx_http_llm_counting_t *g, const llm_limit_t *l)
{
    return l->clock == LLM_CLOCK_CALENDAR ? g->calendar : g->steady;
}


ngx_int_t
ngx_http_llm_reserve(ngx_http_llm_store_t *store, ngx_http_llm_claim_t *claims,
    ngx_uint_t n, ngx_http_llm_hold_t *hold)
{
    ngx_uint_t                    i, declined;
    ngx_http_llm_claim_t         *claim;
    ngx_http_llm_counting_t       g;
    ngx_http_llm_counter_node_t  *cn;

    hold->claim = claims;
    hold->n = 0;

    if (n == 0 || store->root == NULL) {
        return NGX_OK;
    }

    ngx_http_llm_counting(store, &g);
    g.asks = 1;
    declined = 0;

    ngx_http_llm_store_lock(store);

    for (i = 0; i < n; i++) {
        claim = &claims[i];

        cn = ngx_http_llm_counter_get_locked(store, claim->rule->id,
                                             claim->subject);
        ngx_http_llm_claim_look_locked(&g, claim, cn);

        if (claim->refused) {
            declined |= !claim->rule->dry_run;

            if (claim->rule->totals) {
                claim->rule->totals->refused++;
            }
        }
    }

    for (i = 0; i < n && !declined; i++) {
        ngx_http_llm_claim_take_locked(&g, &claims[i]);
        hold->n = n;
    }

    ngx_http_llm_store_unlock(store);

    return declined ? NGX_DECLINED : NGX_OK;
}


static void
ngx_http_llm_counting(ngx_http_llm_store_t *store, ngx_http_llm_counting_t *g)
{
    ngx_http_llm_nodes_view_t  view;

    g->store = store;
    g->root = store->root;
    g->steady = ngx_http_llm_store_steady(store);
    g->calendar = ngx_http_llm_share_calendar(store);
    g->shared = (store->redis != NULL);
    g->away = 0;
    g->asks = 0;

    if (g->shared) {
        ngx_http_llm_nodes_view(store, &view);
        g->away = !view.connected;
    }
}


/* `cn` NULL: there is no counter, and no room for one. */

static void
ngx_http_llm_claim_look_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim, ngx_http_llm_counter_node_t *cn)
{
    uint64_t                  left;
    const llm_limit_t        *l;
    ngx_http_llm_allowance_t  a;

    l = &claim->rule->limit;

    claim->max = l->max;
    claim->left = l->max;
    claim->wait = 0;
    claim->refused = 0;
    claim->never = 0;
    claim->away = 0;

    if (cn == NULL) {
        ngx_http_llm_claim_full(g, claim);
        return;
    }

    cn->max = l->max;
    cn->dim = l->dim;
    cn->clock = l->clock;
    cn->unit = l->unit;

    ngx_http_llm_counter_allowance_locked(g, claim->rule, cn, &a);

    /* of all nodes: as if the others had used as much of theirs */

    left = a.cap > a.used ? a.cap - a.used : 0;
    claim->left = a.cap == l->max
                  ? left : (uint64_t) ((double) left / (a.cap ? a.cap : 1)
                                       * l->max);

    claim->reset = l->dim == LLM_DIM_PARALLEL || a.limit.max == 0
                   ? 0 : llm_limit_wait(&a.limit, &cn->state, a.limit.max,
                                        a.now);

    claim->wait = ngx_http_llm_claim_wait(claim, &cn->state, &a);
    claim->refused = (claim->wait != 0);
    claim->never = (claim->wait == LLM_NEVER);

    if (!a.shared) {
        return;
    }

    if (g->asks
        && llm_share_need(&cn->share, &a.view, a.used, claim->n,
                          claim->refused))
    {
        ngx_http_llm_share_queue_locked(g->root, cn, 0);
    }

    if (g->away) {
        ngx_http_llm_claim_away(g, claim);
    }
}


static void
ngx_http_llm_counter_allowance_locked(ngx_http_llm_counting_t *g,
    const ngx_http_llm_rule_t *rule, ngx_http_llm_counter_node_t *cn,
    ngx_http_llm_allowance_t *a)
{
    a->limit = rule->limit;
    a->cap = rule->limit.max;
    a->now = ngx_http_llm_claim_now(g, &rule->limit);
    a->shared = g->shared && !rule->local;

    if (rule->limit.clock == LLM_CLOCK_CALENDAR
        && rule->limit.dim != LLM_DIM_PARALLEL)
    {
        ngx_http_llm_counter_window_locked(g, cn, &rule->limit);
    }

    if (a->shared) {
        ngx_http_llm_share_view_locked(g->store, cn, &a->view);
        llm_share_turn(&cn->share, &a->view);

        a->cap = llm_share_cap(&cn->share, &a->view);
        a->limit.max = rule->limit.clock == LLM_CLOCK_REFILL
                       ? llm_share_rate(&cn->share, &a->view) : a->cap;
    }

    a->used = llm_limit_used(&a->limit, &cn->state, a->now);
}


static void
ngx_http_llm_counter_window_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_counter_node_t *cn, const llm_limit_t *l)
{
    uint64_t  start, end;

    /* most come in a window that is known, and divided */

    if (g->calendar < cn->over && g->calendar >= cn->start * 1000
        && (cn->n || !g->shared || g->root->shares.n == 0))
    {
        return;
    }

    llm_limit_calendar(l, g->calendar, &start, &end);

    /* a clock that is set back a little does not give a second quota */

    if (cn->over && start < cn->start && g->calendar + 3600000 > cn->over) {
        return;
    }

    ngx_http_llm_share_begin_locked(g->store, cn, start, end);
}


static llm_msec_t
ngx_http_llm_claim_wait(ngx_http_llm_claim_t *claim,
    const llm_limit_state_t *s, const ngx_http_llm_allowance_t *a)
{
    uint64_t           need;
    llm_msec_t         wait;
    const llm_limit_t *l;

    l = &claim->rule->limit;

    if (claim->n > l->max) {
        return LLM_NEVER;
    }

    /* a refill that may hold less than it regains wants that much more room */

    need = claim->n ? claim->n + (a->limit.max - a->cap) : 0;
    wait = llm_limit_wait(&a->limit, s, need, a->now);

    if (wait == 0 || !a->shared) {
        return wait;
    }

    if (a->used <= l->max - claim->n) {
        return ngx_min(wait, NGX_HTTP_LLM_COUNTER_SOON);
    }

    if (wait == LLM_NEVER) {
        wait = llm_limit_wait(l, s, claim->n, a->now);
    }

    return wait ? wait : NGX_HTTP_LLM_COUNTER_SOON;
}


static void
ngx_http_llm_claim_away(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim)
{
    const ngx_http_llm_rule_t  *rule;

    rule = claim->rule;

    if (rule->mode == NGX_HTTP_LLM_MODE_CLOSED) {
        claim->refused = 1;
        claim->away = 1;
        claim->never = 0;
        claim->wait = NGX_HTTP_LLM_COUNTER_SOON;
        return;
    }

    if (rule->mode == NGX_HTTP_LLM_MODE_OPEN && claim->refused
        && !claim->never)
    {
        claim->refused = 0;
        claim->wait = 0;

        if (rule->totals) {
            rule->totals->unlimited++;
        }
    }
}


static void
ngx_http_llm_claim_full(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim)
{
    g->root->counters.full++;

    if (claim->rule->mode == NGX_HTTP_LLM_MODE_CLOSED) {
        claim->refused = 1;
        claim->away = 1;
        claim->wait = NGX_HTTP_LLM_COUNTER_SOON;
    }
}


static void
ngx_http_llm_claim_take_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim)
{
    const llm_limit_t            *l;
    ngx_http_llm_allowance_t      a;
    ngx_http_llm_counter_node_t  *cn;
    ngx_http_llm_rule_totals_t   *totals;

    if (claim->refused && !claim->rule->soft) {
        return;
    }

    l = &claim->rule->limit;
    totals = claim->rule->totals;

    if (totals) {
        totals->admitted++;
    }

    cn = ngx_http_llm_counter_find_locked(g->root, claim->rule->id,
                                          claim->subject);

    if (cn && l->dim == LLM_DIM_PARALLEL) {
        claim->gauge = ngx_http_llm_gauge_take_locked(g->store, cn, claim->n);
        claim->epoch = g->root->counters.epoch[g->store->row];

        if (claim->gauge == NULL) {
            cn = NULL;
        }
    }

    if (cn == NULL) {
        if (totals) {
            totals->unlimited++;
        }
        return;
    }

    claim->taken = ngx_http_llm_claim_now(g, l);
    claim->reserved = claim->n;
    claim->left -= ngx_min(claim->n, claim->left);
    claim->held = 1;

    if (totals) {
        totals->reserved += claim->n;
    }

    if (l->dim != LLM_DIM_PARALLEL) {
        ngx_http_llm_counter_allowance_locked(g, claim->rule, cn, &a);
        llm_limit_take(&a.limit, &cn->state, claim->n, claim->taken);
        ngx_http_llm_counter_charged(g, cn, l, claim->taken);
    }
}


/* How long the counter must be kept; a calendar's end is known. */

static void
ngx_http_llm_counter_charged(ngx_http_llm_counting_t *g,
    ngx_http_llm_counter_node_t *cn, const llm_limit_t *l, llm_msec_t now)
{
    llm_msec_t  window;

    if (l->clock == LLM_CLOCK_CALENDAR) {
        g->root->changes++;
        return;
    }

    window = llm_limit_window(l);
    cn->over = now + window + window / (LLM_RING - 1);
}


void
ngx_http_llm_reserve_more(ngx_http_llm_store_t *store,
    ngx_http_llm_hold_t *hold, ngx_uint_t i, uint64_t n)
{
    ngx_http_llm_claim_t         *claim;
    ngx_http_llm_counting_t       g;
    ngx_http_llm_allowance_t      a;
    ngx_http_llm_counter_node_t  *cn;

    if (i >= hold->n) {
        return;
    }

    claim = &hold->claim[i];

    if (!claim->held || claim->gauge || n <= claim->reserved) {
        return;
    }

    ngx_http_llm_counting(store, &g);

    ngx_http_llm_store_lock(store);

    cn = ngx_http_llm_counter_find_locked(g.root, claim->rule->id,
                                          claim->subject);
    if (cn) {
        ngx_http_llm_counter_allowance_locked(&g, claim->rule, cn, &a);
        llm_limit_settle(&a.limit, &cn->state, claim->reserved, n,
                         claim->taken, a.now);

        if (claim->rule->totals) {
            claim->rule->totals->reserved += n - claim->reserved;
        }
    }

    claim->reserved = n;

    ngx_http_llm_store_unlock(store);
}


void
ngx_http_llm_reserve_settle(ngx_http_llm_store_t *store,
    ngx_http_llm_hold_t *hold, const uint64_t *actual)
{
    ngx_uint_t               i;
    ngx_http_llm_counting_t  g;

    if (hold->n == 0) {
        return;
    }

    ngx_http_llm_counting(store, &g);

    ngx_http_llm_store_lock(store);

    for (i = 0; i < hold->n; i++) {
        if (hold->claim[i].held) {
            ngx_http_llm_claim_settle_locked(&g, &hold->claim[i],
                                             actual ? actual[i] : 0);
        }
    }

    ngx_http_llm_store_unlock(store);

    hold->n = 0;
}


static void
ngx_http_llm_claim_settle_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim, uint64_t actual)
{
    ngx_http_llm_allowance_t      a;
    ngx_http_llm_counter_node_t  *cn;
    ngx_http_llm_rule_totals_t   *totals;

    claim->held = 0;
    totals = claim->rule->totals;

    if (claim->gauge) {

        /* else this worker was taken for dead, and all of it was given back */

        if (claim->epoch == g->root->counters.epoch[g->store->row]) {
            ngx_http_llm_gauge_give_locked(g->store, claim->gauge);
        }

        claim->gauge = NULL;
        return;
    }

    cn = ngx_http_llm_counter_find_locked(g->root, claim->rule->id,
                                          claim->subject);
    if (cn) {
        ngx_http_llm_counter_allowance_locked(g, claim->rule, cn, &a);
        llm_limit_settle(&a.limit, &cn->state, claim->reserved, actual,
                         claim->taken, a.now);

        if (a.limit.clock == LLM_CLOCK_CALENDAR) {
            g->root->changes++;
        }
    }

    if (totals) {
        totals->charged += actual;

        if (actual < claim->reserved) {
            totals->refunded += claim->reserved - actual;
        }
    }
}


void
ngx_http_llm_counter_peek(ngx_http_llm_store_t *store,
    ngx_http_llm_claim_t *claim)
{
    ngx_http_llm_counting_t       g;
    ngx_http_llm_counter_node_t  *cn, none;

    ngx_memzero(&none, sizeof(ngx_http_llm_counter_node_t));

    claim->max = claim->rule->limit.max;
    claim->left = claim->max;

    if (store->root == NULL) {
        return;
    }

    ngx_http_llm_counting(store, &g);

    ngx_http_llm_store_lock(store);

    cn = ngx_http_llm_counter_find_locked(g.root, claim->rule->id,
                                          claim->subject);
    ngx_http_llm_claim_look_locked(&g, claim, cn ? cn : &none);

    ngx_http_llm_store_unlock(store);
}
