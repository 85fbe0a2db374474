/*
 * Lanes: a pool's memory for one model.
 *
 * Made on first sight.  Models may be named by clients, so their number is
 * bounded: beyond it a lane that has nothing left to remember changes hands,
 * else all further models share one.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_share.h"


/* Unused for so long, a lane is given away: counters of limits matter for up to
 * a day (those of a month are lost only when 64 other models came by). */
#define NGX_HTTP_LLM_LANE_IDLE          (10 * 60 * 1000)
#define NGX_HTTP_LLM_LANE_IDLE_LIMITED  (25 * 60 * 60 * 1000)


static size_t ngx_http_llm_lane_size(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool);
static void ngx_http_llm_lane_format(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln);
static void ngx_http_llm_lane_name(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_lane_node_t *ln, const ngx_str_t *model, uint64_t hash);
static ngx_http_llm_lane_node_t *ngx_http_llm_lane_recycle_locked(
    ngx_http_llm_store_t *store, ngx_http_llm_store_pool_t *pool,
    const ngx_str_t *model, uint64_t hash, llm_msec_t now);


uint64_t
ngx_http_llm_lane_hash(const ngx_str_t *model)
{
    return llm_fnv64(ngx_http_llm_str(model), 0);
}


ngx_http_llm_lane_node_t *
ngx_http_llm_lane_get_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const ngx_str_t *model, uint64_t hash,
    llm_msec_t now)
{
    ngx_uint_t                 i;
    ngx_http_llm_lane_node_t  *ln;
    ngx_http_llm_pool_node_t  *pn;

    pn = pool->node;

    for (i = 0; i < pn->lane_n; i++) {
        if (pn->lane_hash[i] == hash) {
            pn->lane[i]->used = now;
            return pn->lane[i];
        }
    }

    if (pn->lane_n == NGX_HTTP_LLM_LANES) {
        ln = ngx_http_llm_lane_recycle_locked(store, pool, model, hash, now);
        if (ln) {
            return ln;
        }

        if (pn->overflow) {
            return pn->overflow;
        }
    }

    ln = ngx_slab_calloc_locked(store->shpool,
                                ngx_http_llm_lane_size(store, pool));
    if (ln == NULL) {
        return NULL;
    }

    ngx_http_llm_lane_format(store, pool, ln);
    ln->used = now;

    if (pn->lane_n == NGX_HTTP_LLM_LANES) {
        pn->overflow = ln;
        return ln;
    }

    ngx_http_llm_lane_name(pn, ln, model, hash);

    pn->lane_hash[pn->lane_n] = hash;
    pn->lane[pn->lane_n] = ln;
    pn->lane_n++;

    return ln;
}


static ngx_http_llm_lane_node_t *
ngx_http_llm_lane_recycle_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool,
    const ngx_str_t *model, uint64_t hash, llm_msec_t now)
{
    llm_msec_t                 idle;
    ngx_uint_t                 i, oldest;
    ngx_http_llm_lane_node_t  *ln;
    ngx_http_llm_pool_node_t  *pn;

    pn = pool->node;
    oldest = 0;

    for (i = 1; i < pn->lane_n; i++) {
        if (pn->lane[i]->used < pn->lane[oldest]->used) {
            oldest = i;
        }
    }

    ln = pn->lane[oldest];
    idle = pn->limited ? NGX_HTTP_LLM_LANE_IDLE_LIMITED
                       : NGX_HTTP_LLM_LANE_IDLE;

    if (ln->used + idle > now || ln->rest > now) {
        return NULL;
    }

    /* the pointers stay: a worker killed in here leaves a lane that works */

    ngx_memzero(ln + 1, ngx_http_llm_lane_size(store, pool)
                        - sizeof(ngx_http_llm_lane_node_t));
    ln->wake = 0;
    ln->rest = 0;
    ln->cursor = 0;
    ln->used = now;

    ngx_http_llm_lane_name(pn, ln, model, hash);
    pn->lane_hash[oldest] = hash;

    return ln;
}


static size_t
ngx_http_llm_lane_size(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool)
{
    size_t  size;

    size = sizeof(ngx_http_llm_lane_node_t)
           + pool->conf.group_n * sizeof(llm_group_state_t)
           + (pool->conf.key_n + 63) / 64 * sizeof(uint64_t);

    if (pool->conf.select == LLM_SELECT_WEIGHTED) {
        size += pool->conf.key_n * sizeof(int64_t);
    }

    size += ngx_http_llm_pool_caps(store, pool) * sizeof(ngx_http_llm_cap_t);

    return size;
}


static void
ngx_http_llm_lane_format(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln)
{
    u_char  *p;

    p = (u_char *) (ln + 1);

    ln->group = (llm_group_state_t *) p;
    p += pool->conf.group_n * sizeof(llm_group_state_t);

    ln->resting = (uint64_t *) p;
    p += (pool->conf.key_n + 63) / 64 * sizeof(uint64_t);

    if (pool->conf.select == LLM_SELECT_WEIGHTED) {
        ln->current = (int64_t *) p;
        p += pool->conf.key_n * sizeof(int64_t);
    }

    if (ngx_http_llm_pool_caps(store, pool)) {
        ln->caps = (ngx_http_llm_cap_t *) p;
    }
}


/* The name is for people: what could hurt a page or a file is replaced. */

static void
ngx_http_llm_lane_name(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_lane_node_t *ln, const ngx_str_t *model, uint64_t hash)
{
    u_char      ch;
    ngx_uint_t  i;

    ln->hash = hash;
    ln->id = ++pn->lane_ids;
    ln->model_len = ngx_min(model->len, NGX_HTTP_LLM_MODEL_LEN);

    for (i = 0; i < ln->model_len; i++) {
        ch = model->data[i];
        ln->model[i] = (ch < ' ' || ch >= 0x7f) ? '?' : ch;
    }
}


/* From the cycle's pool: it ends with the worker, as nothing in a zone does. */

ngx_http_llm_lane_node_t *
ngx_http_llm_lane_local(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool)
{
    if (pool->local == NULL) {
        pool->local = ngx_pcalloc(ngx_cycle->pool,
                                  ngx_http_llm_lane_size(store, pool));

        if (pool->local) {
            ngx_http_llm_lane_format(store, pool, pool->local);
        }
    }

    return pool->local;
}


ngx_http_llm_lane_node_t *
ngx_http_llm_lane_find_locked(ngx_http_llm_pool_node_t *pn, uint64_t hash)
{
    ngx_uint_t  i;

    for (i = 0; i < pn->lane_n; i++) {
        if (pn->lane_hash[i] == hash) {
            return pn->lane[i];
        }
    }

    return NULL;
}


void
ngx_http_llm_lane_view(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln,
    ngx_http_llm_lane_view_t *view)
{
    llm_msec_t   now;
    llm_lane_t  *lane;

    lane = &view->lane;

    lane->conf = &pool->conf;
    lane->key = pool->node->key;
    lane->group = ln->group;
    lane->shared = pool->node->shared;
    lane->resting = ln->resting;
    lane->wake = &ln->wake;
    lane->cursor = &ln->cursor;
    lane->current = ln->current;
    lane->caps = NULL;

    /* what this worker alone remembers has nothing to do with other nodes */

    if (ln->caps == NULL || ln == pool->local) {
        return;
    }

    view->store = store;
    view->pool = pool;
    view->ln = ln;

    now = ngx_http_llm_store_now(store);

    view->caps.get = ngx_http_llm_pool_get;
    view->caps.data = view;
    view->caps.steady = (int64_t) (ngx_http_llm_store_steady(store) - now);
    view->caps.calendar = (int64_t) (ngx_http_llm_share_calendar(store) - now);

    lane->caps = &view->caps;
}
