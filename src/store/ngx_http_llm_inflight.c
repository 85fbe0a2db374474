/*
 * Inflight slots of a provider, and who waits for one.
 *
 * Counts lie in the zone, one per worker and gate, so that those of a killed
 * worker can be told and taken away.  Waiters queue in their own worker; a slot
 * freed here wakes the first of them at once, one freed by another worker is
 * seen by a poll that runs only while somebody waits.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_INFLIGHT_POLL  10      /* ms */


static void ngx_http_llm_inflight_unqueue_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_waiter_t *waiter);


ngx_int_t
ngx_http_llm_store_enter(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_waiter_t *waiter)
{
    ngx_int_t                  rc;
    ngx_uint_t                 turn;
    ngx_http_llm_gate_node_t  *gn;

    gn = gate->node;

    turn = ngx_queue_empty(&gate->waiting)
           || ngx_queue_head(&gate->waiting) == &waiter->queue;

    ngx_http_llm_store_lock(store);

    if (gate->inflight == 0 || (turn && gn->inflight < gate->inflight)) {
        gn->inflights[store->row]++;
        gn->inflight++;

        if (waiter->gate) {
            ngx_http_llm_inflight_unqueue_locked(store, waiter);
        }

        rc = NGX_OK;

    } else if (waiter->gate) {
        rc = NGX_AGAIN;

    } else if (gn->waiting < gate->queue) {
        gn->waitings[store->row]++;
        gn->waiting++;

        waiter->gate = gate;
        ngx_queue_insert_tail(&gate->waiting, &waiter->queue);

        rc = NGX_AGAIN;

    } else {
        rc = NGX_BUSY;
    }

    ngx_http_llm_store_unlock(store);

    if (rc == NGX_OK) {
        ngx_http_llm_inflight_wake(gate);

    } else if (rc == NGX_AGAIN && !store->poll.timer_set) {
        ngx_add_timer(&store->poll, NGX_HTTP_LLM_INFLIGHT_POLL);
    }

    return rc;
}


void
ngx_http_llm_store_leave_queue(ngx_http_llm_store_t *store,
    ngx_http_llm_waiter_t *waiter)
{
    ngx_http_llm_store_gate_t  *gate;

    gate = waiter->gate;

    if (gate == NULL) {
        return;
    }

    ngx_http_llm_store_lock(store);
    ngx_http_llm_inflight_unqueue_locked(store, waiter);
    ngx_http_llm_store_unlock(store);

    /* it may have been told of a slot that it does not take any more */

    ngx_http_llm_inflight_wake(gate);
}


static void
ngx_http_llm_inflight_unqueue_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_waiter_t *waiter)
{
    ngx_http_llm_gate_node_t  *gn;

    gn = waiter->gate->node;

    /* a row taken for dead may have been cleared meanwhile */

    if (gn->waitings[store->row]) {
        gn->waitings[store->row]--;
        gn->waiting--;
    }

    ngx_queue_remove(&waiter->queue);
    waiter->gate = NULL;
}


void
ngx_http_llm_inflight_release_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate)
{
    ngx_http_llm_gate_node_t  *gn;

    gn = gate->node;

    if (gn->inflights[store->row]) {
        gn->inflights[store->row]--;
        gn->inflight--;
    }
}


/* Reads a count that others change: a stale one costs a turn of the poll. */

void
ngx_http_llm_inflight_wake(ngx_http_llm_store_gate_t *gate)
{
    ngx_queue_t            *q;
    ngx_http_llm_waiter_t  *waiter;

    if (ngx_queue_empty(&gate->waiting)
        || gate->node->inflight >= gate->inflight)
    {
        return;
    }

    q = ngx_queue_head(&gate->waiting);
    waiter = ngx_queue_data(q, ngx_http_llm_waiter_t, queue);

    if (!waiter->wake->posted) {
        ngx_post_event(waiter->wake, &ngx_posted_events);
    }
}


void
ngx_http_llm_inflight_poll(ngx_event_t *ev)
{
    ngx_uint_t                    i, waiting;
    ngx_http_llm_store_t         *store;
    ngx_http_llm_store_gate_t   **gate;
    ngx_http_llm_store_ident_t   *ident;

    ident = ev->data;
    store = ident->store;

    waiting = 0;
    gate = store->gates.elts;

    for (i = 0; i < store->gates.nelts; i++) {
        if (!ngx_queue_empty(&gate[i]->waiting)) {
            waiting = 1;
            ngx_http_llm_inflight_wake(gate[i]);
        }
    }

    if (waiting) {
        ngx_add_timer(ev, NGX_HTTP_LLM_INFLIGHT_POLL);
    }
}


void
ngx_http_llm_inflight_forget_locked(ngx_http_llm_root_t *root, ngx_uint_t row)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q;
    ngx_http_llm_gate_node_t  *gn;

    for (q = ngx_queue_head(&root->gates);
         q != ngx_queue_sentinel(&root->gates);
         q = ngx_queue_next(q))
    {
        gn = ngx_queue_data(q, ngx_http_llm_gate_node_t, node.queue);

        gn->inflights[row] = 0;
        gn->waitings[row] = 0;

        /* the worker may have died between two stores: count again */

        gn->inflight = 0;
        gn->waiting = 0;

        for (i = 0; i <= NGX_HTTP_LLM_ROWS; i++) {
            gn->inflight += gn->inflights[i];
            gn->waiting += gn->waitings[i];
        }
    }

    ngx_http_llm_shed_forget_locked(root, row);
}
