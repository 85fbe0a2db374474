/*
 * What a counter is part of: the clock, the window and the default of this
 * node.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_share.h"


/* So long a node that has just started waits for its first word from Redis: it
 * may be a newcomer, who has no part in windows that are running. */
#define NGX_HTTP_LLM_SHARE_START  3000      /* ms */
#define NGX_HTTP_LLM_SHARE_FIRST  8         /* until then: 1/8 of a rate */


static uint64_t ngx_http_llm_share_alone(ngx_http_llm_store_t *store,
    const ngx_http_llm_counter_node_t *cn, llm_msec_t steady);


static ngx_inline ngx_uint_t
ngx_http_llm_share_is_calendar(const ngx_http_llm_counter_node_t *cn)
{
    return cn->clock == LLM_CLOCK_CALENDAR && cn->dim != LLM_DIM_PARALLEL;
}


llm_msec_t
ngx_http_llm_share_calendar(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (store->redis == NULL || root->shares.n == 0) {
        return ngx_http_llm_store_now(store);
    }

    return (llm_msec_t) ((int64_t) ngx_http_llm_store_steady(store)
                         + root->shares.clock);
}


void
ngx_http_llm_share_view_locked(ngx_http_llm_store_t *store,
    const ngx_http_llm_counter_node_t *cn, llm_share_view_t *v)
{
    llm_limit_t           l;
    llm_share_among_t     among;
    ngx_http_llm_root_t  *root;

    root = store->root;

    v->max = cn->max;
    v->now = ngx_http_llm_store_steady(store);
    v->start = 0;

    if (ngx_http_llm_share_is_calendar(cn)) {
        v->window = 0;
        v->start = cn->start;
        among = (llm_share_among_t) { cn->n, cn->rank, cn->settled,
                                      cn->self & 1 };

    } else {
        l.unit = cn->unit;
        v->window = cn->dim == LLM_DIM_PARALLEL ? LLM_SHARE_GAUGE_MS
                                                : llm_limit_window(&l);
        among = root->shares.among[cn->dim == LLM_DIM_PARALLEL
                                   ? LLM_TZ_MINUTE : cn->unit];
    }

    v->def = among.n ? llm_share_own(&among, v->max)
                     : ngx_http_llm_share_alone(store, cn, v->now);
}


/* Nothing was heard of others yet: as many as the configuration expects, or
 * nobody, when Redis is not there. */

static uint64_t
ngx_http_llm_share_alone(ngx_http_llm_store_t *store,
    const ngx_http_llm_counter_node_t *cn, llm_msec_t steady)
{
    ngx_http_llm_root_t        *root;
    ngx_http_llm_nodes_view_t   view;

    ngx_http_llm_nodes_view(store, &view);

    if (view.n > 1) {
        return cn->max / view.n;
    }

    root = store->root;

    if (steady - root->shares.started >= NGX_HTTP_LLM_SHARE_START) {
        return cn->max;
    }

    return ngx_http_llm_share_is_calendar(cn)
           ? 0 : (cn->max - 1) / NGX_HTTP_LLM_SHARE_FIRST + 1;
}


void
ngx_http_llm_share_begin_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn, uint64_t start, uint64_t end)
{
    uint32_t                i;
    llm_share_node_t        node[NGX_HTTP_LLM_NODES];
    llm_share_among_t       among;
    ngx_http_llm_shares_t  *sh;

    sh = &((ngx_http_llm_root_t *) store->root)->shares;

    /* what was not known when the window began may be known by now */

    if (cn->start == start && cn->over == end * 1000 && cn->n) {
        return;
    }

    cn->start = start;
    cn->over = end * 1000;
    cn->n = 0;

    if (store->redis == NULL || sh->n == 0) {
        return;
    }

    for (i = 0; i < sh->n; i++) {
        node[i] = sh->member[i].node;
    }

    llm_share_among(node, sh->n, sh->self, 0, start, 0, &among);

    /* a newcomer may be the only one left: then nobody divides the window */

    cn->n = (uint8_t) ngx_max(among.n, 1);
    cn->rank = (uint8_t) among.rank;
    cn->settled = (uint8_t) among.settled;
    cn->self = (uint8_t) among.self;
}


uint64_t
ngx_http_llm_share_used_locked(ngx_http_llm_counter_node_t *cn,
    const llm_share_view_t *v)
{
    llm_limit_t          l;
    llm_limit_state_t   *state;
    ngx_http_llm_cap_t  *cap;

    state = cn->pooled ? ngx_http_llm_pool_state_locked(cn, &cap) : &cn->state;

    if (ngx_http_llm_share_is_calendar(cn)) {
        return state->at == cn->start ? state->used : 0;
    }

    ngx_memzero(&l, sizeof(llm_limit_t));

    l.max = llm_share_rate(&cn->share, v);
    l.dim = cn->dim;
    l.clock = cn->clock;
    l.unit = cn->unit;

    return llm_limit_used(&l, state, v->now);
}


void
ngx_http_llm_share_fold_locked(ngx_http_llm_counter_node_t *cn,
    const llm_share_view_t *v)
{
    llm_limit_t          l;
    llm_limit_state_t   *state;
    ngx_http_llm_cap_t  *cap;

    cap = NULL;
    state = cn->pooled ? ngx_http_llm_pool_state_locked(cn, &cap) : &cn->state;

    if (cap) {
        cap->until = 0;
    }

    if (cn->clock != LLM_CLOCK_REFILL || cn->dim == LLM_DIM_PARALLEL) {
        return;
    }

    ngx_memzero(&l, sizeof(llm_limit_t));

    l.max = llm_share_rate(&cn->share, v);
    l.clock = cn->clock;
    l.unit = cn->unit;

    llm_limit_take(&l, state, 0, v->now);
}


void
ngx_http_llm_share_queue_locked(ngx_http_llm_root_t *root,
    ngx_http_llm_counter_node_t *cn, ngx_uint_t again)
{
    cn->again = (again != 0);

    if (cn->share.flags & LLM_SHARE_QUEUED) {
        return;
    }

    cn->share.flags |= LLM_SHARE_QUEUED;
    ngx_queue_insert_tail(&root->shares.asks, &cn->asks);
    root->shares.ask_n++;
}
