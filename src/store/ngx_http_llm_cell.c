/*
 * Nodes of the zone that are known by a hash alone: variants, arms, mirrors,
 * switches, meters and forecasts.
 *
 * The master makes and finds them when it reads a configuration, and frees
 * them as it does all nodes; workers only use them.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_shm.h"


/* Meters may take this part of the zone: what they count is worth less than
 * what keys remember. */
#define NGX_HTTP_LLM_CELL_METERS     4
#define NGX_HTTP_LLM_CELL_FORECASTS  16


static ngx_http_llm_node_t *ngx_http_llm_cell_find(ngx_queue_t *cells,
    uint64_t hash);
static ngx_int_t ngx_http_llm_cell_switch(ngx_http_llm_store_t *store,
    ngx_http_llm_store_switch_t *sw);
static void ngx_http_llm_cell_meters(ngx_http_llm_store_t *store);
static void ngx_http_llm_cell_forecasts(ngx_http_llm_store_t *store);


void
ngx_http_llm_cells_init(ngx_http_llm_root_t *root)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_LLM_CELLS; i++) {
        ngx_queue_init(&root->cells[i]);
    }
}


uint64_t
ngx_http_llm_cell_hash(const ngx_str_t *a, const ngx_str_t *b, uint64_t seed)
{
    uint64_t  h;

    h = llm_fnv64(ngx_http_llm_str(a), seed);

    /* a zero between them: no name has one */
    h = llm_fnv64((llm_str_t) { 1, (const u_char *) "" }, h);

    return llm_fnv64(ngx_http_llm_str(b), h);
}


void *
ngx_http_llm_cell(ngx_http_llm_store_t *store, ngx_http_llm_cell_e kind,
    uint64_t hash, size_t size)
{
    ngx_queue_t          *cells;
    ngx_http_llm_node_t  *node;
    ngx_http_llm_root_t  *root;

    root = store->root;
    cells = &root->cells[kind];
    node = ngx_http_llm_cell_find(cells, hash);

    if (node) {
        node->used = store->generation;
        return node;
    }

    node = ngx_slab_calloc(store->shpool, size);
    if (node == NULL) {
        return NULL;
    }

    node->hash = hash;
    node->made = store->generation;
    node->used = store->generation;

    ngx_http_llm_store_lock(store);
    ngx_queue_insert_tail(cells, &node->queue);
    ngx_http_llm_store_unlock(store);

    return node;
}


static ngx_http_llm_node_t *
ngx_http_llm_cell_find(ngx_queue_t *cells, uint64_t hash)
{
    ngx_queue_t          *q;
    ngx_http_llm_node_t  *node;

    for (q = ngx_queue_head(cells);
         q != ngx_queue_sentinel(cells);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_http_llm_node_t, queue);

        if (node->hash == hash) {
            return node;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_llm_cells_link(ngx_http_llm_store_t *store)
{
    ngx_uint_t                     i;
    ngx_http_llm_store_switch_t  **sw;

    sw = store->switches.elts;

    for (i = 0; i < store->switches.nelts; i++) {
        if (ngx_http_llm_cell_switch(store, sw[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_llm_cell_meters(store);
    ngx_http_llm_cell_forecasts(store);

    return NGX_OK;
}


/* Another word in the file is another switch: it is not set yet. */

static ngx_int_t
ngx_http_llm_cell_switch(ngx_http_llm_store_t *store,
    ngx_http_llm_store_switch_t *sw)
{
    sw->node = ngx_http_llm_cell(store, NGX_HTTP_LLM_CELL_SWITCH,
                                 ngx_http_llm_switch_hash(sw),
                                 sizeof(ngx_http_llm_switch_node_t));
    if (sw->node) {
        return NGX_OK;
    }

    return ngx_http_llm_shm_full(store,
                                 sw->kind == NGX_HTTP_LLM_SWITCH_PROVIDER
                                 ? "llm_provider" : "llm_model",
                                 &sw->name);
}


static void
ngx_http_llm_cell_meters(ngx_http_llm_store_t *store)
{
    size_t                         size, left;
    uint64_t                       hash;
    ngx_uint_t                     i, without;
    ngx_http_llm_meter_node_t     *mn;
    ngx_http_llm_store_meter_t  **meter;

    without = 0;
    size = ngx_align(sizeof(ngx_http_llm_meter_node_t), ngx_pagesize);
    left = store->zone->shm.size / NGX_HTTP_LLM_CELL_METERS;
    meter = store->meters.elts;

    for (i = 0; i < store->meters.nelts; i++) {
        mn = NULL;

        if (left >= size) {
            hash = ngx_http_llm_cell_hash(&meter[i]->provider,
                                          &meter[i]->model,
                                          NGX_HTTP_LLM_CELL_METER);
            mn = ngx_http_llm_cell(store, NGX_HTTP_LLM_CELL_METER, hash,
                                   sizeof(ngx_http_llm_meter_node_t));
            left -= size;
        }

        meter[i]->data = mn ? &mn->data : NULL;
        without += (mn == NULL);
    }

    if (without) {
        ngx_log_error(NGX_LOG_WARN, store->log, 0,
                      "llm_zone \"%V\" of %uzk has no room to count what %ui "
                      "of %ui providers and models do: metrics lack them",
                      &store->zone->shm.name, store->zone->shm.size / 1024,
                      without, store->meters.nelts);
    }
}


/* Without one, limits reserve what they do for a new route. */

static void
ngx_http_llm_cell_forecasts(ngx_http_llm_store_t *store)
{
    size_t                           left;
    uint64_t                         hash;
    ngx_str_t                        none;
    ngx_uint_t                       i;
    ngx_http_llm_forecast_node_t    *fn;
    ngx_http_llm_store_forecast_t  **f;

    ngx_str_null(&none);

    left = store->zone->shm.size / NGX_HTTP_LLM_CELL_FORECASTS;
    f = store->forecasts.elts;

    for (i = 0; i < store->forecasts.nelts; i++) {
        fn = NULL;

        if (left >= 2 * sizeof(ngx_http_llm_forecast_node_t)) {
            hash = ngx_http_llm_cell_hash(&f[i]->name, &none,
                                          NGX_HTTP_LLM_CELL_FORECAST
                                          + f[i]->kind);
            fn = ngx_http_llm_cell(store, NGX_HTTP_LLM_CELL_FORECAST, hash,
                                   sizeof(ngx_http_llm_forecast_node_t));
            left -= 2 * sizeof(ngx_http_llm_forecast_node_t);
        }

        f[i]->data = fn ? &fn->data : NULL;
    }
}
