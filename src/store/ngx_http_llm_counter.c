/*
 * What a request takes of its counters, and what it gives back.
 *
 * Everything is decided under one hold of the lock: first all claims are
 * looked at, then all are charged, or none.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


/* What all claims of a call have in common. */
typedef struct {
    ngx_http_llm_store_t          *store;
    ngx_http_llm_root_t           *root;
    llm_msec_t                     steady;
    llm_msec_t                     calendar;
} ngx_http_llm_counting_t;


static void ngx_http_llm_counting(ngx_http_llm_store_t *store,
    ngx_http_llm_counting_t *g);
static void ngx_http_llm_claim_look_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim, ngx_http_llm_counter_node_t *cn);
static void ngx_http_llm_claim_full(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim);
static void ngx_http_llm_claim_take_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim);
static void ngx_http_llm_claim_settle_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim, uint64_t actual);
static void ngx_http_llm_counter_charged(ngx_http_llm_counter_node_t *cn,
    const llm_limit_t *l, llm_msec_t now);


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
    g->store = store;
    g->root = store->root;
    g->steady = ngx_http_llm_store_steady(store);
    g->calendar = ngx_http_llm_store_now(store);
}


/* `cn` NULL: there is no counter, and no room for one. */

static void
ngx_http_llm_claim_look_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim, ngx_http_llm_counter_node_t *cn)
{
    llm_msec_t          now;
    const llm_limit_t  *l;

    l = &claim->rule->limit;
    now = ngx_http_llm_claim_now(g, l);

    claim->max = l->max;
    claim->left = l->max;

    if (cn == NULL) {
        ngx_http_llm_claim_full(g, claim);
        return;
    }

    cn->max = l->max;
    cn->dim = l->dim;
    cn->clock = l->clock;
    cn->unit = l->unit;

    claim->left = llm_limit_left(l, &cn->state, now);
    claim->reset = l->dim == LLM_DIM_PARALLEL
                   ? 0 : llm_limit_wait(l, &cn->state, l->max, now);

    claim->wait = llm_limit_wait(l, &cn->state, claim->n, now);
    claim->refused = (claim->wait != 0);
    claim->never = (claim->wait == LLM_NEVER);
}


static void
ngx_http_llm_claim_full(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim)
{
    g->root->counters.full++;

    if (claim->rule->mode == NGX_HTTP_LLM_MODE_CLOSED) {
        claim->refused = 1;
        claim->away = 1;
        claim->wait = 1000;
    }
}


static void
ngx_http_llm_claim_take_locked(ngx_http_llm_counting_t *g,
    ngx_http_llm_claim_t *claim)
{
    const llm_limit_t            *l;
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
        llm_limit_take(l, &cn->state, claim->n, claim->taken);
        ngx_http_llm_counter_charged(cn, l, claim->taken);
    }
}


/* How long the counter must be kept. */

static void
ngx_http_llm_counter_charged(ngx_http_llm_counter_node_t *cn,
    const llm_limit_t *l, llm_msec_t now)
{
    uint64_t    start, next;
    llm_msec_t  window;

    if (l->clock == LLM_CLOCK_CALENDAR) {
        if (now >= cn->over) {
            llm_limit_calendar(l, now, &start, &next);
            cn->over = next * 1000;
        }
        return;
    }

    window = llm_limit_window(l);
    cn->over = now + window + window / (LLM_RING - 1);
}


void
ngx_http_llm_reserve_more(ngx_http_llm_store_t *store,
    ngx_http_llm_hold_t *hold, ngx_uint_t i, uint64_t n)
{
    llm_msec_t                    now;
    const llm_limit_t            *l;
    ngx_http_llm_claim_t         *claim;
    ngx_http_llm_counting_t       g;
    ngx_http_llm_counter_node_t  *cn;

    if (i >= hold->n) {
        return;
    }

    claim = &hold->claim[i];
    l = &claim->rule->limit;

    if (!claim->held || claim->gauge || n <= claim->reserved) {
        return;
    }

    ngx_http_llm_counting(store, &g);
    now = ngx_http_llm_claim_now(&g, l);

    ngx_http_llm_store_lock(store);

    cn = ngx_http_llm_counter_find_locked(g.root, claim->rule->id,
                                          claim->subject);
    if (cn) {
        llm_limit_settle(l, &cn->state, claim->reserved, n, claim->taken, now);

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
    const llm_limit_t            *l;
    ngx_http_llm_counter_node_t  *cn;
    ngx_http_llm_rule_totals_t   *totals;

    claim->held = 0;
    l = &claim->rule->limit;
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
        llm_limit_settle(l, &cn->state, claim->reserved, actual, claim->taken,
                         ngx_http_llm_claim_now(g, l));
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
