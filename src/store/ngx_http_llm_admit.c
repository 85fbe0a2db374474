/*
 * A send, from the question whether it may go to its settlement: the breaker
 * in front of the provider, then a key of the pool; afterwards the outcome, and
 * what it really used.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_error.h"
#include "ngx_http_llm_share.h"
#include "ngx_http_llm_sync_rest.h"
#include "ngx_http_llm_sync_switch.h"


static ngx_int_t ngx_http_llm_admit_gate_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_uint_t force, uint32_t random,
    llm_msec_t now, ngx_http_llm_ticket_t *ticket, llm_msec_t *wait);
static ngx_int_t ngx_http_llm_admit_key_locked(ngx_http_llm_store_t *store,
    const llm_need_t *need, const llm_tried_t *tried, uint64_t random,
    llm_msec_t now, ngx_http_llm_ticket_t *ticket, llm_msec_t *wait,
    llm_class_t *cause);
static ngx_http_llm_lane_node_t *ngx_http_llm_admit_lane_lock(
    ngx_http_llm_store_t *store, ngx_http_llm_store_pool_t *pool,
    ngx_str_t *model, llm_msec_t now);
static ngx_http_llm_lane_node_t *ngx_http_llm_ticket_lane_locked(
    ngx_http_llm_ticket_t *ticket);
static ngx_uint_t ngx_http_llm_report_key_locked(
    ngx_http_llm_store_t *store, ngx_http_llm_ticket_t *ticket,
    const llm_outcome_t *outcome, uint64_t random, llm_msec_t now,
    ngx_http_llm_rests_t *rests);


ngx_int_t
ngx_http_llm_store_admit(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_store_pool_t *pool,
    ngx_str_t *model, const llm_need_t *need, const llm_tried_t *tried,
    ngx_uint_t force, ngx_http_llm_ticket_t *ticket, llm_msec_t *wait,
    llm_class_t *cause)
{
    uint64_t                   random;
    ngx_int_t                  rc;
    llm_msec_t                 now;
    ngx_http_llm_lane_node_t  *ln;

    now = ngx_http_llm_store_now(store);
    random = ngx_http_llm_random(store);

    ticket->gate = NULL;
    ticket->pool = NULL;
    ticket->lane = NULL;
    ticket->probe = 0;
    ticket->reported = 0;

    *wait = 0;
    *cause = LLM_CLASS_EXHAUSTED;

    ln = ngx_http_llm_admit_lane_lock(store, pool, model, now);

    rc = ngx_http_llm_admit_gate_locked(store, gate, force, (uint32_t) random,
                                        now, ticket, wait);

    if (rc == NGX_OK && pool) {
        ticket->pool = pool;
        ticket->lane = ln;

        rc = ngx_http_llm_admit_key_locked(store, need, tried, random, now,
                                           ticket, wait, cause);

        if (rc != NGX_OK && ticket->probe) {
            (void) llm_breaker_report(&gate->breaker, &gate->node->breaker,
                                      -1, 1, (uint32_t) random, now);
        }
    }

    if (rc == NGX_OK) {
        ticket->gate = gate;
        ngx_http_llm_store_unlock(store);
        return NGX_OK;
    }

    if (ticket->inflight) {
        ngx_http_llm_inflight_release_locked(store, gate);
    }

    ngx_http_llm_store_unlock(store);

    ticket->pool = NULL;

    if (ticket->inflight) {
        ticket->inflight = 0;
        ngx_http_llm_inflight_wake(gate);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_llm_admit_gate_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_uint_t force, uint32_t random,
    llm_msec_t now, ngx_http_llm_ticket_t *ticket, llm_msec_t *wait)
{
    if (!force && gate->probe.interval
        && llm_probe_status(&gate->probe, &gate->node->probe,
                            ngx_http_llm_store_steady(store))
           == LLM_PROBE_DOWN)
    {
        *wait = LLM_NEVER;
        return NGX_DECLINED;
    }

    if (gate->breaker.failures == 0) {
        return NGX_OK;
    }

    switch (llm_breaker_admit(&gate->breaker, &gate->node->breaker, random,
                              now, wait))
    {
    case LLM_ADMIT_YES:
        return NGX_OK;

    case LLM_ADMIT_PROBE:
        ticket->probe = 1;
        return NGX_OK;

    default: /* LLM_ADMIT_NO */
        break;
    }

    if (force && llm_breaker_force(&gate->breaker, &gate->node->breaker, now))
    {
        /* in the ramp nobody probes: what is sent now must not close it,
         * should it open meanwhile */
        ticket->probe = (gate->node->breaker.status != LLM_BREAKER_CLOSED);
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_llm_admit_key_locked(ngx_http_llm_store_t *store,
    const llm_need_t *need, const llm_tried_t *tried, uint64_t random,
    llm_msec_t now, ngx_http_llm_ticket_t *ticket, llm_msec_t *wait,
    llm_class_t *cause)
{
    ngx_http_llm_lane_view_t    view;
    ngx_http_llm_root_t  *root;

    if (ticket->lane == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_llm_lane_view(store, ticket->pool, ticket->lane, &view);

    if (llm_keypool_pick(&view.lane, need, tried, random, now, &ticket->lease,
                         wait, cause)
        != LLM_OK)
    {
        ngx_http_llm_pool_asks_locked(&view, need, NULL, random);
        return NGX_DECLINED;
    }

    ngx_http_llm_pool_asks_locked(&view, need, &ticket->lease, random);

    ticket->lane_id = ticket->lane->id;

    if (ticket->pool->node->limited) {
        root = store->root;
        root->changes++;
    }

    return NGX_OK;
}


/*
 * Takes the lock, and finds the lane.  When the zone has no room for it, this
 * worker remembers on its own: worse than together, better than refusing.
 */

static ngx_http_llm_lane_node_t *
ngx_http_llm_admit_lane_lock(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_str_t *model, llm_msec_t now)
{
    uint64_t                   hash;
    ngx_http_llm_lane_node_t  *ln;

    if (pool == NULL) {
        ngx_http_llm_store_lock(store);
        return NULL;
    }

    hash = ngx_http_llm_lane_hash(model);

    ngx_http_llm_store_lock(store);

    ln = ngx_http_llm_lane_get_locked(store, pool, model, hash, now);
    if (ln) {
        return ln;
    }

    ngx_http_llm_store_unlock(store);

    store->nomem++;
    ln = ngx_http_llm_lane_local(store, pool);

    ngx_http_llm_store_lock(store);

    return ln;
}


ngx_uint_t
ngx_http_llm_store_has_other(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_str_t *model, const llm_need_t *need,
    const llm_tried_t *tried, llm_msec_t *wait)
{
    ngx_uint_t                 other;
    ngx_http_llm_lane_view_t    view;
    llm_msec_t                 now;
    ngx_http_llm_lane_node_t  *ln;

    *wait = LLM_NEVER;

    if (pool == NULL) {
        return 0;
    }

    now = ngx_http_llm_store_now(store);
    other = 0;

    ln = ngx_http_llm_admit_lane_lock(store, pool, model, now);

    if (ln) {
        ngx_http_llm_lane_view(store, pool, ln, &view);
        other = llm_keypool_has_other(&view.lane, need, tried, now, wait);
    }

    ngx_http_llm_store_unlock(store);

    return other;
}


ngx_uint_t
ngx_http_llm_store_report(ngx_http_llm_store_t *store,
    ngx_http_llm_ticket_t *ticket, const llm_outcome_t *outcome)
{
    int                         ok, rc;
    uint64_t                    random;
    llm_msec_t                  now;
    ngx_uint_t                  bits;
    llm_breaker_conf_t          half;
    ngx_http_llm_rests_t        rests;
    ngx_http_llm_store_gate_t  *gate;

    gate = ticket->gate;

    if (gate == NULL || ticket->reported) {
        return 0;
    }

    ticket->reported = 1;

    now = ngx_http_llm_store_now(store);
    random = ngx_http_llm_random(store);

    ok = (outcome->class == LLM_CLASS_OK) ? 1
         : llm_class_is_provider_fault(outcome->class) ? 0 : -1;

    bits = 0;
    rests.n = 0;

    ngx_http_llm_store_lock(store);

    if (gate->breaker.failures) {
        rc = llm_breaker_report(ngx_http_llm_breaker_conf(gate, &half, now),
                                &gate->node->breaker, ok, ticket->probe,
                                (uint32_t) random, now);
        if (rc == 1) {
            bits |= NGX_HTTP_LLM_BREAKER_OPENED;

        } else if (rc == 2) {
            bits |= NGX_HTTP_LLM_BREAKER_CLOSED;
        }
    }

    if (ticket->pool) {
        bits |= ngx_http_llm_report_key_locked(store, ticket, outcome, random,
                                               now, &rests);
    }

    ngx_http_llm_store_unlock(store);

    ngx_http_llm_rests_send(store, ticket->pool, rests.row, rests.n);

    if (bits & NGX_HTTP_LLM_BREAKER_OPENED) {
        ngx_http_llm_sync_breaker_opened(store, gate);
    }

    return bits;
}


static ngx_uint_t
ngx_http_llm_report_key_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_ticket_t *ticket, const llm_outcome_t *outcome,
    uint64_t random, llm_msec_t now, ngx_http_llm_rests_t *rests)
{
    ngx_uint_t                  disabled;
    ngx_http_llm_lane_view_t    view;
    llm_key_state_t            *key;
    llm_group_state_t          *group;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_lane_node_t   *ln;
    ngx_http_llm_store_pool_t  *pool;

    root = store->root;
    pool = ticket->pool;
    key = &pool->node->key[ticket->lease.key];

    ln = ngx_http_llm_ticket_lane_locked(ticket);
    if (ln == NULL) {
        return 0;
    }

    if (outcome->class != LLM_CLASS_OK || ticket->lease.probe || key->failures)
    {
        root->changes++;
    }

    ngx_http_llm_lane_view(store, pool, ln, &view);
    ngx_http_llm_rests_before_locked(rests, pool, ln, ticket->lease.key);

    disabled = llm_keypool_report(&view.lane, &ticket->lease, outcome, random,
                                  now);

    ngx_http_llm_rests_after_locked(rests, pool, ln);

    group = &ln->group[pool->conf.key[ticket->lease.key].group];

    if (group->until > ln->rest) {
        ln->rest = group->until;
    }

    return disabled ? NGX_HTTP_LLM_KEY_DISABLED : 0;
}


/* NULL: the lane was given to another model meanwhile, its numbers are gone. */

static ngx_http_llm_lane_node_t *
ngx_http_llm_ticket_lane_locked(ngx_http_llm_ticket_t *ticket)
{
    return ticket->lane->id == ticket->lane_id ? ticket->lane : NULL;
}


void
ngx_http_llm_store_settle(ngx_http_llm_store_t *store,
    ngx_http_llm_ticket_t *ticket, const llm_need_t *actual)
{
    llm_need_t                  nothing;
    ngx_http_llm_lane_view_t    view;
    llm_msec_t                  now;
    llm_outcome_t               neither;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_lane_node_t   *ln;
    ngx_http_llm_store_gate_t  *gate;

    gate = ticket->gate;

    if (gate == NULL) {
        return;
    }

    if (!ticket->reported) {
        ngx_memzero(&neither, sizeof(llm_outcome_t));
        neither.class = LLM_CLASS_CLIENT_GONE;
        (void) ngx_http_llm_store_report(store, ticket, &neither);
    }

    if (actual == NULL) {
        ngx_memzero(&nothing, sizeof(llm_need_t));
        actual = &nothing;
    }

    now = ngx_http_llm_store_now(store);

    ngx_http_llm_store_lock(store);

    if (ticket->pool) {
        ln = ngx_http_llm_ticket_lane_locked(ticket);

        if (ln) {
            ngx_http_llm_lane_view(store, ticket->pool, ln, &view);
            llm_keypool_settle(&view.lane, &ticket->lease, actual, now);
        }

        if (ticket->pool->node->limited) {
            root = store->root;
            root->changes++;
        }
    }

    if (ticket->inflight) {
        ngx_http_llm_inflight_release_locked(store, gate);
    }

    ngx_http_llm_store_unlock(store);

    if (ticket->inflight) {
        ticket->inflight = 0;
        ngx_http_llm_inflight_wake(gate);
    }

    ticket->gate = NULL;
    ticket->pool = NULL;
    ticket->lane = NULL;
}


void
ngx_http_llm_store_deposit(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, const llm_retry_conf_t *conf)
{
    llm_msec_t  now;

    now = ngx_http_llm_store_now(store);

    ngx_http_llm_store_lock(store);
    llm_retry_deposit(&gate->node->budget, conf, now);
    ngx_http_llm_store_unlock(store);
}


ngx_uint_t
ngx_http_llm_store_has_budget(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate)
{
    llm_msec_t  now;
    ngx_uint_t  has;

    now = ngx_http_llm_store_now(store);

    ngx_http_llm_store_lock(store);
    has = llm_retry_has_budget(&gate->node->budget, now);
    ngx_http_llm_store_unlock(store);

    return has;
}


ngx_uint_t
ngx_http_llm_store_withdraw(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate)
{
    llm_msec_t  now;
    ngx_uint_t  allowed;

    now = ngx_http_llm_store_now(store);

    ngx_http_llm_store_lock(store);
    allowed = llm_retry_withdraw(&gate->node->budget, now);
    ngx_http_llm_store_unlock(store);

    return allowed;
}


ngx_uint_t
ngx_http_llm_store_probe_due(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate)
{
    ngx_uint_t  due;

    ngx_http_llm_store_lock(store);

    due = llm_probe_due(&gate->probe, &gate->node->probe,
                        ngx_http_llm_store_steady(store));

    ngx_http_llm_store_unlock(store);

    return due;
}


ngx_uint_t
ngx_http_llm_store_probed(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_uint_t ok)
{
    ngx_uint_t  change;

    ngx_http_llm_store_lock(store);

    change = llm_probe_report(&gate->probe, &gate->node->probe, ok,
                              ngx_http_llm_store_steady(store));

    ngx_http_llm_store_unlock(store);

    return change;
}


void
ngx_http_llm_store_gate_status(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_gate_status_t *status)
{
    ngx_http_llm_gate_node_t  *gn;

    gn = gate->node;

    ngx_http_llm_store_lock(store);

    status->breaker = gate->breaker.failures ? gn->breaker.status
                                             : LLM_BREAKER_CLOSED;
    status->open_until = gn->breaker.until;
    status->probe = llm_probe_status(&gate->probe, &gn->probe,
                                     ngx_http_llm_store_steady(store));
    status->inflight = gn->inflight;
    status->waiting = gn->waiting;

    ngx_http_llm_store_unlock(store);
}


/* Usable for at least one model; with no model seen yet, what holds for all. */

ngx_uint_t
ngx_http_llm_store_usable_keys(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool)
{
    uint32_t                   n, best;
    ngx_http_llm_lane_view_t    view;
    llm_msec_t                 now;
    ngx_uint_t                 i;
    ngx_http_llm_lane_node_t   none;
    ngx_http_llm_pool_node_t  *pn;

    pn = pool->node;
    now = ngx_http_llm_store_now(store);
    best = 0;
    i = 0;

    ngx_memzero(&none, sizeof(ngx_http_llm_lane_node_t));
    none.group = pn->shared;

    do {
        ngx_http_llm_store_lock(store);

        ngx_http_llm_lane_view(store, pool,
                               pn->lane_n ? pn->lane[i] : &none, &view);
        n = llm_keypool_usable(&view.lane, now);

        ngx_http_llm_store_unlock(store);

        best = ngx_max(best, n);

    } while (++i < pn->lane_n);

    return best;
}


/* SplitMix64: 64 bits at once, where ngx_random() has 31. */

uint64_t
ngx_http_llm_random(ngx_http_llm_store_t *store)
{
    uint64_t  z;

    store->seed += 0x9e3779b97f4a7c15ULL;

    z = store->seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}
