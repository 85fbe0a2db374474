/*
 * What a node knows of itself and of the other nodes, for all its workers.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <openssl/rand.h>

#include "ngx_http_llm_agent.h"


#define NGX_HTTP_LLM_NODES_AWAY    3000     /* ms without an answer */
#define NGX_HTTP_LLM_NODES_REJOIN  15000    /* ms after a loss of data */
#define NGX_HTTP_LLM_NODES_SECOND  900      /* ms between samples, about 1 s */


static void ngx_http_llm_nodes_expect(ngx_http_llm_nodes_shm_t *nodes,
    uint32_t n);
static void ngx_http_llm_nodes_keep(ngx_http_llm_nodes_shm_t *nodes,
    ngx_http_llm_nodes_list_t *list);
static void ngx_http_llm_nodes_put(ngx_http_llm_nodes_list_t *list,
    const u_char *id);
static int ngx_libc_cdecl ngx_http_llm_nodes_cmp(const void *one,
    const void *two);
static uint32_t ngx_http_llm_nodes_most(ngx_http_llm_store_t *store,
    ngx_http_llm_nodes_shm_t *nodes, uint32_t fresh);


ngx_int_t
ngx_http_llm_nodes_init(ngx_http_llm_store_t *store,
    ngx_http_llm_root_t *root)
{
    u_char  random[NGX_HTTP_LLM_NODE_ID / 2];

    if (RAND_bytes(random, sizeof(random)) != 1) {
        ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(root->nodes.id, random, sizeof(random));

    root->nodes.live_n = 1;
    ngx_memcpy(root->nodes.live[0], root->nodes.id, NGX_HTTP_LLM_NODE_ID);

    ngx_http_llm_nodes_expect(&root->nodes,
                              store->redis ? (uint32_t) store->redis->nodes
                                           : 1);

    return NGX_OK;
}


/* As many as are expected, until as many seconds have told better. */

static void
ngx_http_llm_nodes_expect(ngx_http_llm_nodes_shm_t *nodes, uint32_t n)
{
    ngx_uint_t  i;

    nodes->place = (uint64_t) n << 32;

    for (i = 0; i < NGX_HTTP_LLM_NODES_SAMPLES; i++) {
        nodes->peak[i] = n;
    }
}


ngx_int_t
ngx_http_llm_nodes_put_state(ngx_http_llm_store_t *store, cJSON *to)
{
    u_char                     id[NGX_HTTP_LLM_NODE_ID + 1];
    ngx_http_llm_nodes_shm_t  *nodes;

    nodes = &((ngx_http_llm_root_t *) store->root)->nodes;

    (void) ngx_cpystrn(id, nodes->id, sizeof(id));

    if (cJSON_AddStringToObject(to, "id", (char *) id) == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_llm_state_put(to, "nodes", nodes->place >> 32);
}


/* A node that comes back is the same one. */

void
ngx_http_llm_nodes_get_state(ngx_http_llm_store_t *store, const cJSON *from)
{
    char                      *id;
    u_char                     bytes[NGX_HTTP_LLM_NODE_ID / 2];
    uint32_t                   n;
    ngx_http_llm_nodes_shm_t  *nodes;

    nodes = &((ngx_http_llm_root_t *) store->root)->nodes;

    id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "id"));

    if (ngx_http_llm_state_hex(id, bytes, sizeof(bytes)) != NGX_OK) {
        return;
    }

    (void) ngx_hex_dump(nodes->id, bytes, sizeof(bytes));
    ngx_memcpy(nodes->live[0], nodes->id, NGX_HTTP_LLM_NODE_ID);

    n = ngx_http_llm_state_small(from, "nodes", NGX_HTTP_LLM_NODES);

    if (store->redis && n > store->redis->nodes) {
        ngx_http_llm_nodes_expect(nodes, n);
    }
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


/* How long ago things were stays what it was. */

void
ngx_http_llm_nodes_shift_locked(ngx_http_llm_root_t *root, int64_t ms)
{
    ngx_uint_t   i;
    llm_msec_t  *at[6];

    at[0] = &root->nodes.answered;
    at[1] = &root->nodes.seen;
    at[2] = &root->nodes.learning;
    at[3] = &root->nodes.lead;
    at[4] = &root->nodes.booted;
    at[5] = &root->nodes.sampled;

    for (i = 0; i < 6; i++) {
        if (*at[i]) {
            *at[i] += (llm_msec_t) ms;
        }
    }
}


/* ---- the agent's part ---------------------------------------------------- */

void
ngx_http_llm_nodes_update(ngx_http_llm_store_t *store,
    ngx_http_llm_nodes_list_t *list)
{
    uint32_t                   n, rank;
    ngx_uint_t                 i;
    ngx_http_llm_root_t       *root;
    ngx_http_llm_nodes_shm_t  *nodes;

    root = store->root;
    nodes = &root->nodes;

    /* after a loss the others come back one by one */

    if (nodes->booted
        && ngx_http_llm_store_now(store) - nodes->booted
           < NGX_HTTP_LLM_NODES_REJOIN)
    {
        ngx_http_llm_nodes_keep(nodes, list);
    }

    ngx_http_llm_nodes_put(list, nodes->id);

    ngx_qsort(list->id, list->n, NGX_HTTP_LLM_NODE_ID,
              ngx_http_llm_nodes_cmp);

    n = ngx_http_llm_nodes_most(store, nodes, (uint32_t) list->fresh);
    rank = 0;

    for (i = 0; i < list->n; i++) {
        if (ngx_memcmp(list->id[i], nodes->id, NGX_HTTP_LLM_NODE_ID) == 0) {
            rank = (uint32_t) i;
        }
    }

    ngx_http_llm_store_lock(store);

    nodes->live_n = (uint32_t) list->n;
    ngx_memcpy(nodes->live, list->id, list->n * NGX_HTTP_LLM_NODE_ID);

    ngx_http_llm_store_unlock(store);

    __atomic_store_n(&nodes->place, (uint64_t) n << 32 | rank,
                     __ATOMIC_RELAXED);
}


/* Only the agent changes the names: it may read them without the lock. */

static void
ngx_http_llm_nodes_keep(ngx_http_llm_nodes_shm_t *nodes,
    ngx_http_llm_nodes_list_t *list)
{
    ngx_uint_t  i;

    for (i = 0; i < nodes->live_n; i++) {
        ngx_http_llm_nodes_put(list, nodes->live[i]);
    }
}


static void
ngx_http_llm_nodes_put(ngx_http_llm_nodes_list_t *list, const u_char *id)
{
    ngx_uint_t  i;

    for (i = 0; i < list->n; i++) {
        if (ngx_memcmp(list->id[i], id, NGX_HTTP_LLM_NODE_ID) == 0) {
            return;
        }
    }

    if (list->n < NGX_HTTP_LLM_NODES) {
        ngx_memcpy(list->id[list->n++], id, NGX_HTTP_LLM_NODE_ID);
    }
}


static int ngx_libc_cdecl
ngx_http_llm_nodes_cmp(const void *one, const void *two)
{
    return ngx_memcmp(one, two, NGX_HTTP_LLM_NODE_ID);
}


/* The most that lived in any of the last samples.  Only answers are samples: a
 * long silence makes nobody forget how many there were. */

static uint32_t
ngx_http_llm_nodes_most(ngx_http_llm_store_t *store,
    ngx_http_llm_nodes_shm_t *nodes, uint32_t fresh)
{
    uint32_t    most;
    ngx_uint_t  i;
    llm_msec_t  now;

    now = ngx_http_llm_store_now(store);

    if (now - nodes->sampled >= NGX_HTTP_LLM_NODES_SECOND) {
        nodes->sampled = now;
        nodes->peak[nodes->peaks++ % NGX_HTTP_LLM_NODES_SAMPLES] = fresh;
    }

    most = ngx_max(fresh, 1);

    for (i = 0; i < NGX_HTTP_LLM_NODES_SAMPLES; i++) {
        most = ngx_max(most, nodes->peak[i]);
    }

    return most;
}
