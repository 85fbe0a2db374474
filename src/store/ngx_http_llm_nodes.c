/*
 * What a node knows of itself and of the other nodes, for all its workers.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <openssl/rand.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_NODES_AWAY  3000       /* ms without an answer */


ngx_int_t
ngx_http_llm_nodes_init(ngx_http_llm_root_t *root)
{
    u_char  random[NGX_HTTP_LLM_NODE_ID / 2];

    if (RAND_bytes(random, sizeof(random)) != 1) {
        ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(root->nodes.id, random, sizeof(random));

    root->nodes.place = (uint64_t) 1 << 32;

    root->nodes.live_n = 1;
    ngx_memcpy(root->nodes.live[0], root->nodes.id, NGX_HTTP_LLM_NODE_ID);

    return NGX_OK;
}


void
ngx_http_llm_nodes_view(ngx_http_llm_store_t *store,
    ngx_http_llm_nodes_view_t *view)
{
    uint64_t                         place;
    llm_msec_t                       now;
    const ngx_http_llm_nodes_shm_t  *nodes;

    ngx_memzero(view, sizeof(ngx_http_llm_nodes_view_t));
    view->n = 1;
    view->leader = 1;

    if (store->redis == NULL || store->root == NULL) {
        return;
    }

    nodes = &((ngx_http_llm_root_t *) store->root)->nodes;
    now = ngx_http_llm_store_now(store);
    place = __atomic_load_n(&nodes->place, __ATOMIC_RELAXED);

    view->n = (uint32_t) (place >> 32);
    view->rank = (uint32_t) place;
    view->shared = 1;
    view->connected = nodes->answered
                      && (int64_t) (now - nodes->answered)
                         < NGX_HTTP_LLM_NODES_AWAY;
    view->learning = (int64_t) (nodes->learning - now) > 0;
    view->leader = ngx_http_llm_nodes_leads(store);
    view->term = nodes->term;
    view->boot = nodes->boot;
    view->skew = nodes->skew;
    view->seen = nodes->seen;
}


ngx_uint_t
ngx_http_llm_nodes_leads(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    if (store->redis == NULL || store->root == NULL) {
        return 1;
    }

    root = store->root;

    return (int64_t) (root->nodes.lead - ngx_http_llm_store_now(store)) > 0;
}


ngx_str_t
ngx_http_llm_nodes_id(ngx_http_llm_store_t *store)
{
    ngx_str_t             id;
    ngx_http_llm_root_t  *root;

    root = store->root;

    id.len = NGX_HTTP_LLM_NODE_ID;
    id.data = root->nodes.id;

    return id;
}


ngx_uint_t
ngx_http_llm_nodes_live(ngx_http_llm_store_t *store,
    u_char id[NGX_HTTP_LLM_NODES][NGX_HTTP_LLM_NODE_ID])
{
    ngx_uint_t            n;
    ngx_http_llm_root_t  *root;

    root = store->root;

    ngx_http_llm_store_lock(store);

    n = root->nodes.live_n;
    ngx_memcpy(id, root->nodes.live, n * NGX_HTTP_LLM_NODE_ID);

    ngx_http_llm_store_unlock(store);

    return n;
}


llm_msec_t
ngx_http_llm_nodes_now(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    return ngx_http_llm_store_now(store)
           + (root ? (llm_msec_t) root->nodes.skew : 0);
}
