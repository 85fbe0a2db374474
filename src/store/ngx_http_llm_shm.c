/*
 * The shared zone: found again on reload, with one node for each gate and for
 * each pool of keys.
 *
 * The master makes nodes for the new configuration while workers of the old
 * one still use theirs.  So a node is freed only when no living worker, and
 * not the configuration in force, is old enough to have seen it.  Or too old:
 * what a configuration made that never came into force is nobody's.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <signal.h>

#include "llm_hash.h"
#include "ngx_http_llm_shm.h"


static ngx_int_t ngx_http_llm_shm_root(ngx_http_llm_store_t *store,
    ngx_shm_zone_t *zone, ngx_uint_t *fresh);
static ngx_int_t ngx_http_llm_shm_traffic(ngx_http_llm_store_t *store,
    ngx_http_llm_store_t *before);
static void ngx_http_llm_shm_sweep(ngx_http_llm_store_t *store,
    ngx_http_llm_store_t *old);
static void ngx_http_llm_shm_sweep_locked(ngx_http_llm_store_t *store,
    ngx_queue_t *nodes, uint64_t floor, uint64_t force);
static ngx_uint_t ngx_http_llm_shm_is_over(const ngx_http_llm_node_t *node,
    uint64_t floor, uint64_t force);
static uint64_t ngx_http_llm_shm_oldest_locked(ngx_http_llm_root_t *root,
    uint64_t generation);
static void ngx_http_llm_shm_free_pool_locked(ngx_slab_pool_t *shpool,
    ngx_http_llm_pool_node_t *pn);
static ngx_int_t ngx_http_llm_shm_gate(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate);
static ngx_int_t ngx_http_llm_shm_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_store_t *before,
    ngx_pool_t *temp);
static ngx_http_llm_pool_node_t *ngx_http_llm_shm_find_pool(
    ngx_http_llm_store_t *store, uint64_t hash, ngx_http_llm_store_t *before);
static ngx_http_llm_pool_node_t *ngx_http_llm_shm_make_pool(
    ngx_http_llm_store_t *store, ngx_http_llm_store_pool_t *pool);
static uint32_t ngx_http_llm_shm_shape(const llm_group_conf_t *group);
static uint64_t ngx_http_llm_shm_digest(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool);


ngx_int_t
ngx_http_llm_shm_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i, fresh;
    ngx_pool_t                  *temp;
    ngx_http_llm_root_t         *root;
    ngx_http_llm_store_t        *store, *old;
    ngx_http_llm_store_gate_t  **gate;
    ngx_http_llm_store_pool_t  **pool;

    store = zone->data;
    old = data;

    if (ngx_http_llm_shm_root(store, zone, &fresh) != NGX_OK) {
        return NGX_ERROR;
    }

    root = store->root;

    ngx_http_llm_store_lock(store);
    store->generation = ++root->generation;
    ngx_http_llm_store_unlock(store);

    if (old) {
        ngx_http_llm_shm_sweep(store, old);
    }

    gate = store->gates.elts;

    for (i = 0; i < store->gates.nelts; i++) {
        if (ngx_http_llm_shm_gate(store, gate[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    temp = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, zone->shm.log);
    if (temp == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    pool = store->pools.elts;

    for (i = 0; i < store->pools.nelts && rc == NGX_OK; i++) {
        rc = ngx_http_llm_shm_pool(store, pool[i], old, temp);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_shm_traffic(store, old);
    }

    if (rc == NGX_OK && fresh && store->state) {
        ngx_http_llm_state_load(store, temp, zone->shm.log);
        ngx_http_llm_audit_load(store, zone->shm.log);
    }

    ngx_destroy_pool(temp);

    return rc;
}


/* Splits come last: they are large, and say so. */

static ngx_int_t
ngx_http_llm_shm_traffic(ngx_http_llm_store_t *store,
    ngx_http_llm_store_t *before)
{
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **split;

    if (ngx_http_llm_cells_link(store) != NGX_OK
        || ngx_http_llm_sheds_link(store) != NGX_OK)
    {
        return NGX_ERROR;
    }

    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {
        if (ngx_http_llm_split_link(store, split[i], before) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_llm_votes_link(store);
}


static ngx_int_t
ngx_http_llm_shm_root(ngx_http_llm_store_t *store, ngx_shm_zone_t *zone,
    ngx_uint_t *fresh)
{
    ngx_time_t           *tp;
    ngx_slab_pool_t      *shpool;
    ngx_http_llm_root_t  *root;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    root = shpool->data;

    *fresh = (root == NULL);

    if (root == NULL) {
        shpool->log_nomem = 0;

        root = ngx_slab_calloc(shpool, sizeof(ngx_http_llm_root_t));
        if (root == NULL) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "llm_zone \"%V\" is too small", &zone->shm.name);
            return NGX_ERROR;
        }

        root->magic = NGX_HTTP_LLM_SHM_MAGIC;
        root->layout = NGX_HTTP_LLM_SHM_LAYOUT;

        tp = ngx_timeofday();
        root->offset = (int64_t) tp->sec * 1000 + tp->msec
                       - (int64_t) ngx_current_msec;
        root->base = root->offset;

        root->incarnation = (uint64_t) tp->sec << 32
                            ^ (uint64_t) ngx_random() ^ (uint64_t) ngx_pid;

        ngx_queue_init(&root->gates);
        ngx_queue_init(&root->pools);
        ngx_queue_init(&root->splits);
        ngx_http_llm_cells_init(root);
        ngx_queue_init(&root->audit.entries);
        ngx_queue_init(&root->objects.used);
        ngx_queue_init(&root->sessions.used);
        ngx_queue_init(&root->parties.changes);
        ngx_http_llm_counters_init(root);
        ngx_memset(root->audit.hash, '0', NGX_HTTP_LLM_AUDIT_HASH);

        if (ngx_http_llm_nodes_init(store, root) != NGX_OK) {
            return NGX_ERROR;
        }

        shpool->data = root;

    } else if (root->magic != NGX_HTTP_LLM_SHM_MAGIC
               || root->layout != NGX_HTTP_LLM_SHM_LAYOUT)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "llm_zone \"%V\" was made by another version of the "
                      "module: restart nginx, or give the zone another name",
                      &zone->shm.name);
        return NGX_ERROR;
    }

    store->shpool = shpool;
    store->root = root;
    store->row = NGX_HTTP_LLM_ROWS;

    return NGX_OK;
}


/* Frees what no worker can reach: neither those alive nor those that the
 * master may start with the configuration in force. */

static void
ngx_http_llm_shm_sweep(ngx_http_llm_store_t *store, ngx_http_llm_store_t *old)
{
    uint64_t                   floor;
    ngx_uint_t                 i;
    ngx_queue_t               *q, *next;
    ngx_http_llm_node_t       *node;
    ngx_http_llm_root_t       *root;

    root = store->root;

    ngx_http_llm_store_lock(store);

    floor = root->crowded
            ? root->floor
            : ngx_http_llm_shm_oldest_locked(root, old->generation);

    root->floor = ngx_max(floor, root->floor);

    ngx_http_llm_shm_sweep_locked(store, &root->gates, floor, old->generation);
    ngx_http_llm_shm_sweep_locked(store, &root->splits, floor,
                                  old->generation);
    for (i = 0; i < NGX_HTTP_LLM_CELLS; i++) {
        ngx_http_llm_shm_sweep_locked(store, &root->cells[i], floor,
                                      old->generation);
    }

    for (q = ngx_queue_head(&root->pools);
         q != ngx_queue_sentinel(&root->pools);
         q = next)
    {
        next = ngx_queue_next(q);
        node = ngx_queue_data(q, ngx_http_llm_node_t, queue);

        if (ngx_http_llm_shm_is_over(node, floor, old->generation)) {
            ngx_queue_remove(q);
            ngx_http_llm_shm_free_pool_locked(store->shpool,
                                       (ngx_http_llm_pool_node_t *) node);
        }
    }

    ngx_http_llm_store_unlock(store);
}


/* Nodes of one piece. */

static void
ngx_http_llm_shm_sweep_locked(ngx_http_llm_store_t *store, ngx_queue_t *nodes,
    uint64_t floor, uint64_t force)
{
    ngx_queue_t          *q, *next;
    ngx_http_llm_node_t  *node;

    for (q = ngx_queue_head(nodes); q != ngx_queue_sentinel(nodes); q = next) {
        next = ngx_queue_next(q);
        node = ngx_queue_data(q, ngx_http_llm_node_t, queue);

        if (ngx_http_llm_shm_is_over(node, floor, force)) {
            ngx_queue_remove(q);
            ngx_slab_free_locked(store->shpool, node);
        }
    }
}


static ngx_uint_t
ngx_http_llm_shm_is_over(const ngx_http_llm_node_t *node, uint64_t floor,
    uint64_t force)
{
    return node->used < floor || node->made > force;
}


static uint64_t
ngx_http_llm_shm_oldest_locked(ngx_http_llm_root_t *root, uint64_t generation)
{
    ngx_uint_t                  i;
    ngx_http_llm_worker_row_t  *row;

    for (i = 0; i < NGX_HTTP_LLM_ROWS; i++) {
        row = &root->row[i];

        if (row->pid == 0 || row->generation >= generation) {
            continue;
        }

        if (kill(row->pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
            continue;
        }

        generation = row->generation;
    }

    return generation;
}


static void
ngx_http_llm_shm_free_pool_locked(ngx_slab_pool_t *shpool,
    ngx_http_llm_pool_node_t *pn)
{
    ngx_uint_t  i;

    for (i = 0; i < pn->lane_n; i++) {
        ngx_slab_free_locked(shpool, pn->lane[i]);
    }

    if (pn->overflow) {
        ngx_slab_free_locked(shpool, pn->overflow);
    }

    ngx_slab_free_locked(shpool, pn);
}


static ngx_int_t
ngx_http_llm_shm_gate(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate)
{
    uint64_t                   hash;
    ngx_queue_t               *q;
    ngx_http_llm_root_t       *root;
    ngx_http_llm_gate_node_t  *gn;

    root = store->root;
    hash = llm_fnv64(ngx_http_llm_str(&gate->name), 0);

    ngx_queue_init(&gate->waiting);

    for (q = ngx_queue_head(&root->gates);
         q != ngx_queue_sentinel(&root->gates);
         q = ngx_queue_next(q))
    {
        gn = ngx_queue_data(q, ngx_http_llm_gate_node_t, node.queue);

        if (gn->node.hash == hash) {
            gn->node.used = store->generation;
            gate->node = gn;
            return NGX_OK;
        }
    }

    gn = ngx_slab_calloc(store->shpool, sizeof(ngx_http_llm_gate_node_t));
    if (gn == NULL) {
        return ngx_http_llm_shm_full(store, "provider", &gate->name);
    }

    gn->node.hash = hash;
    gn->node.made = store->generation;
    gn->node.used = store->generation;
    gate->node = gn;

    ngx_http_llm_store_lock(store);
    ngx_queue_insert_tail(&root->gates, &gn->node.queue);
    ngx_http_llm_store_unlock(store);

    return NGX_OK;
}


/* The same lists of keys and groups: the same node.  Another list begins with
 * what the pool knew before. */

static ngx_int_t
ngx_http_llm_shm_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_store_t *before,
    ngx_pool_t *temp)
{
    uint64_t                   hash, digest;
    ngx_http_llm_root_t       *root;
    ngx_http_llm_pool_node_t  *pn, *old;

    root = store->root;
    hash = llm_fnv64(ngx_http_llm_str(&pool->name), 0);
    digest = ngx_http_llm_shm_digest(store, pool);
    old = ngx_http_llm_shm_find_pool(store, hash, before);

    if (old && old->digest == digest && old->key_n == pool->conf.key_n
        && old->group_n == pool->conf.group_n)
    {
        old->node.used = store->generation;
        pool->node = old;
        return NGX_OK;
    }

    pn = ngx_http_llm_shm_make_pool(store, pool);
    if (pn == NULL) {
        return ngx_http_llm_shm_full(store, "llm_key_pool", &pool->name);
    }

    pn->node.hash = hash;
    pn->node.made = store->generation;
    pn->node.used = store->generation;
    pn->digest = digest;
    pool->node = pn;

    ngx_http_llm_store_lock(store);
    ngx_queue_insert_tail(&root->pools, &pn->node.queue);
    ngx_http_llm_store_unlock(store);

    return old ? ngx_http_llm_inherit(store, pool, old, temp) : NGX_OK;
}


/*
 * The node that the configuration in force works with: others of that name may
 * be newer, but their configuration failed, or older, and less is known there.
 */

static ngx_http_llm_pool_node_t *
ngx_http_llm_shm_find_pool(ngx_http_llm_store_t *store, uint64_t hash,
    ngx_http_llm_store_t *before)
{
    ngx_uint_t                   i;
    ngx_queue_t                 *q;
    ngx_http_llm_root_t         *root;
    ngx_http_llm_pool_node_t    *pn, *newest;
    ngx_http_llm_store_pool_t  **pool;

    if (before) {
        pool = before->pools.elts;

        for (i = 0; i < before->pools.nelts; i++) {
            if (pool[i]->node->node.hash == hash) {
                return pool[i]->node;
            }
        }
    }

    root = store->root;
    newest = NULL;

    for (q = ngx_queue_head(&root->pools);
         q != ngx_queue_sentinel(&root->pools);
         q = ngx_queue_next(q))
    {
        pn = ngx_queue_data(q, ngx_http_llm_pool_node_t, node.queue);

        if (pn->node.hash == hash
            && (newest == NULL || pn->node.used >= newest->node.used))
        {
            newest = pn;
        }
    }

    return newest;
}


static ngx_http_llm_pool_node_t *
ngx_http_llm_shm_make_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool)
{
    size_t                     keys, groups, caps;
    u_char                    *p;
    ngx_uint_t                 i;
    ngx_http_llm_pool_node_t  *pn;

    keys = pool->conf.key_n;
    groups = pool->conf.group_n;
    caps = ngx_http_llm_pool_caps(store, pool);

    p = ngx_slab_calloc(store->shpool,
                        sizeof(ngx_http_llm_pool_node_t)
                        + keys * sizeof(llm_key_state_t)
                        + groups * (sizeof(llm_group_state_t)
                                    + sizeof(uint64_t) + sizeof(uint32_t))
                        + caps * sizeof(ngx_http_llm_cap_t)
                        + keys * NGX_HTTP_LLM_FINGERPRINT);
    if (p == NULL) {
        return NULL;
    }

    pn = (ngx_http_llm_pool_node_t *) p;
    p += sizeof(ngx_http_llm_pool_node_t);

    pn->key = (llm_key_state_t *) p;
    p += keys * sizeof(llm_key_state_t);

    pn->shared = (llm_group_state_t *) p;
    p += groups * sizeof(llm_group_state_t);

    pn->group_ids = (uint64_t *) p;
    p += groups * sizeof(uint64_t);

    if (caps) {
        pn->caps = (ngx_http_llm_cap_t *) p;
        p += caps * sizeof(ngx_http_llm_cap_t);
    }

    pn->shapes = (uint32_t *) p;
    p += groups * sizeof(uint32_t);

    pn->fingerprints = p;

    pn->key_n = pool->conf.key_n;
    pn->group_n = pool->conf.group_n;

    ngx_memcpy(pn->fingerprints, pool->fingerprints,
               keys * NGX_HTTP_LLM_FINGERPRINT);

    for (i = 0; i < groups; i++) {
        pn->group_ids[i] = pool->group_ids[i];
        pn->shapes[i] = ngx_http_llm_shm_shape(&pool->conf.group[i]);

        if (pool->conf.group[i].limit_n) {
            pn->limited = 1;
        }
    }

    return pn;
}


/* What kind of numbers a group's limits count: a changed maximum keeps them. */

static uint32_t
ngx_http_llm_shm_shape(const llm_group_conf_t *group)
{
    uint32_t            words[LLM_GROUP_LIMITS * 4 + 1];
    ngx_uint_t          i, n;
    const llm_limit_t  *l;

    n = 0;
    words[n++] = group->shared;

    for (i = 0; i < group->limit_n; i++) {
        l = &group->limit[i];

        words[n++] = l->dim;
        words[n++] = l->clock;
        words[n++] = l->unit;
        words[n++] = l->reset_s;
    }

    return (uint32_t) llm_fnv64((llm_str_t) { n * sizeof(uint32_t),
                                              (u_char *) words }, 0);
}


static uint64_t
ngx_http_llm_shm_digest(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool)
{
    uint32_t    n;
    uint64_t    h;
    ngx_uint_t  i;

    h = llm_fnv64((llm_str_t) { pool->conf.key_n * NGX_HTTP_LLM_FINGERPRINT,
                                pool->fingerprints },
                  (pool->conf.select == LLM_SELECT_WEIGHTED)
                  + 2 * (ngx_http_llm_pool_caps(store, pool) != 0));

    h = llm_fnv64((llm_str_t) { pool->conf.group_n * sizeof(uint64_t),
                                (u_char *) pool->group_ids }, h);

    for (i = 0; i < pool->conf.group_n; i++) {
        n = ngx_http_llm_shm_shape(&pool->conf.group[i]);
        h = llm_fnv64((llm_str_t) { sizeof(n), (u_char *) &n }, h);
    }

    for (i = 0; i < pool->conf.key_n; i++) {
        n = pool->conf.key[i].group;
        h = llm_fnv64((llm_str_t) { sizeof(n), (u_char *) &n }, h);
    }

    return h;
}


ngx_int_t
ngx_http_llm_shm_full(ngx_http_llm_store_t *store, char *what, ngx_str_t *name)
{
    ngx_log_error(NGX_LOG_EMERG, store->log, 0,
                  "llm_zone \"%V\" of %uzk is too small for %s \"%V\"",
                  &store->zone->shm.name, store->zone->shm.size / 1024,
                  what, name);

    return NGX_ERROR;
}
