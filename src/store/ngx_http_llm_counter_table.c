/*
 * The table of counters: found by a hash, forgotten when nothing of them counts
 * any more, the ones unused for longest first.  And what requests hold of
 * gauges, by worker, so that a killed one gives everything back.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_share.h"


#define NGX_HTTP_LLM_COUNTERS_SHARE  2      /* of the zone: a half at most */
#define NGX_HTTP_LLM_COUNTER_SIZE    (256 + sizeof(void *))
#define NGX_HTTP_LLM_COUNTERS_LOOK   8      /* old ones that are looked at */
#define NGX_HTTP_LLM_COUNTERS_LOG    60000  /* ms between two complaints */
#define NGX_HTTP_LLM_RULES_MAX       1024


static ngx_int_t ngx_http_llm_counters_make_locked(
    ngx_http_llm_store_t *store);
static ngx_http_llm_counter_node_t *ngx_http_llm_counter_make_locked(
    ngx_http_llm_store_t *store, uint64_t id, uint64_t subject);
static ngx_int_t ngx_http_llm_counter_evict_locked(
    ngx_http_llm_store_t *store);
static ngx_uint_t ngx_http_llm_counter_is_over(ngx_http_llm_store_t *store,
    const ngx_http_llm_counter_node_t *cn);
static ngx_http_llm_rule_node_t *ngx_http_llm_rule_find_locked(
    ngx_http_llm_root_t *root, uint64_t hash);


void
ngx_http_llm_counters_init(ngx_http_llm_root_t *root)
{
    ngx_uint_t  i;

    ngx_queue_init(&root->counters.used);
    ngx_queue_init(&root->counters.rules);
    ngx_queue_init(&root->shares.asks);

    root->shares.started = (llm_msec_t) ((int64_t) ngx_current_msec
                                         + root->base);

    for (i = 0; i <= NGX_HTTP_LLM_ROWS; i++) {
        ngx_queue_init(&root->counters.gauges[i]);
    }
}


/* As large as there is room for in one piece. */

static ngx_int_t
ngx_http_llm_counters_make_locked(ngx_http_llm_store_t *store)
{
    size_t                    n, size;
    ngx_http_llm_counters_t  *c;

    c = &((ngx_http_llm_root_t *) store->root)->counters;

    n = store->zone->shm.size / NGX_HTTP_LLM_COUNTERS_SHARE
        / NGX_HTTP_LLM_COUNTER_SIZE;

    for (size = 64; size < n; size <<= 1) { /* void */ }

    for ( ;; ) {
        c->table = ngx_slab_calloc_locked(store->shpool,
                                          size * sizeof(void *));
        if (c->table) {
            break;
        }

        if (size == 64) {
            return NGX_ERROR;
        }

        size >>= 1;
    }

    c->size = size;
    c->max = n;

    return NGX_OK;
}


ngx_http_llm_counter_node_t *
ngx_http_llm_counter_find_locked(ngx_http_llm_root_t *root, uint64_t id,
    uint64_t subject)
{
    ngx_http_llm_counters_t      *c;
    ngx_http_llm_counter_node_t  *cn;

    c = &root->counters;

    if (c->table == NULL) {
        return NULL;
    }

    cn = c->table[ngx_http_llm_counter_hash(id, subject) & (c->size - 1)];

    while (cn && (cn->id != id || cn->subject != subject)) {
        cn = cn->next;
    }

    return cn;
}


ngx_http_llm_counter_node_t *
ngx_http_llm_counter_get_locked(ngx_http_llm_store_t *store, uint64_t id,
    uint64_t subject)
{
    ngx_http_llm_root_t          *root;
    ngx_http_llm_counter_node_t  *cn;

    root = store->root;

    if (root->counters.table == NULL
        && ngx_http_llm_counters_make_locked(store) != NGX_OK)
    {
        return NULL;
    }

    cn = ngx_http_llm_counter_find_locked(root, id, subject);

    if (cn) {
        ngx_queue_remove(&cn->queue);

    } else {
        cn = ngx_http_llm_counter_make_locked(store, id, subject);

        if (cn == NULL) {
            return NULL;
        }
    }

    ngx_queue_insert_head(&root->counters.used, &cn->queue);

    return cn;
}


static ngx_http_llm_counter_node_t *
ngx_http_llm_counter_make_locked(ngx_http_llm_store_t *store, uint64_t id,
    uint64_t subject)
{
    ngx_http_llm_counters_t       *c;
    ngx_http_llm_counter_node_t   *cn, **row;

    c = &((ngx_http_llm_root_t *) store->root)->counters;
    cn = NULL;

    if (c->n < c->max) {
        cn = ngx_slab_calloc_locked(store->shpool,
                                    sizeof(ngx_http_llm_counter_node_t));
    }

    if (cn == NULL) {

        if (ngx_http_llm_counter_evict_locked(store) != NGX_OK) {
            return NULL;
        }

        cn = ngx_slab_calloc_locked(store->shpool,
                                    sizeof(ngx_http_llm_counter_node_t));
        if (cn == NULL) {
            return NULL;
        }
    }

    cn->id = id;
    cn->subject = subject;

    row = &c->table[ngx_http_llm_counter_hash(id, subject) & (c->size - 1)];
    cn->next = *row;
    *row = cn;
    c->n++;

    return cn;
}


/* Forgets one of the oldest; those that still count stay, and go to the front
 * so that the next ones are looked at. */

static ngx_int_t
ngx_http_llm_counter_evict_locked(ngx_http_llm_store_t *store)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    ngx_http_llm_counters_t       *c;
    ngx_http_llm_counter_node_t   *cn, **p;

    c = &((ngx_http_llm_root_t *) store->root)->counters;

    for (i = 0; i < NGX_HTTP_LLM_COUNTERS_LOOK; i++) {

        if (ngx_queue_empty(&c->used)) {
            return NGX_DECLINED;
        }

        q = ngx_queue_last(&c->used);
        cn = ngx_queue_data(q, ngx_http_llm_counter_node_t, queue);

        ngx_queue_remove(q);

        if (!ngx_http_llm_counter_is_over(store, cn)) {
            ngx_queue_insert_head(&c->used, q);
            continue;
        }

        p = &c->table[ngx_http_llm_counter_hash(cn->id, cn->subject)
                      & (c->size - 1)];

        while (*p != cn) {
            p = &(*p)->next;
        }

        *p = cn->next;
        c->n--;
        c->evicted++;

        ngx_http_llm_counter_unqueue_locked(store->root, cn);

        ngx_slab_free_locked(store->shpool, cn);

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* What others may believe of it is kept, too. */

static ngx_uint_t
ngx_http_llm_counter_is_over(ngx_http_llm_store_t *store,
    const ngx_http_llm_counter_node_t *cn)
{
    llm_share_t       share;
    llm_share_view_t  v;

    if (cn->dim == LLM_DIM_PARALLEL && cn->state.used) {
        return 0;
    }

    if (cn->clock == LLM_CLOCK_CALENDAR && cn->dim != LLM_DIM_PARALLEL) {
        return ngx_http_llm_share_calendar(store) >= cn->over;
    }

    if (ngx_http_llm_store_steady(store) < cn->over) {
        return 0;
    }

    share = cn->share;

    ngx_http_llm_share_view_locked(store, cn, &v);
    llm_share_turn(&share, &v);

    return !llm_share_is_bound(&share, &v);
}


void
ngx_http_llm_counter_unqueue_locked(ngx_http_llm_root_t *root,
    ngx_http_llm_counter_node_t *cn)
{
    if (cn->share.flags & LLM_SHARE_QUEUED) {
        cn->share.flags &= (uint8_t) ~LLM_SHARE_QUEUED;
        ngx_queue_remove(&cn->asks);
        root->shares.ask_n--;
    }
}


ngx_http_llm_gauge_t *
ngx_http_llm_gauge_take_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn, uint64_t n)
{
    ngx_http_llm_gauge_t  *gauge;
    ngx_http_llm_root_t   *root;

    gauge = ngx_slab_alloc_locked(store->shpool, sizeof(ngx_http_llm_gauge_t));
    if (gauge == NULL) {
        return NULL;
    }

    root = store->root;

    gauge->counter = cn;
    gauge->n = n;

    cn->state.used += n;
    ngx_queue_insert_head(&root->counters.gauges[store->row], &gauge->queue);

    return gauge;
}


void
ngx_http_llm_gauge_give_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_gauge_t *gauge)
{
    llm_limit_state_t  *s;

    s = &gauge->counter->state;
    s->used -= ngx_min(gauge->n, s->used);

    ngx_queue_remove(&gauge->queue);
    ngx_slab_free_locked(store->shpool, gauge);
}


void
ngx_http_llm_gauges_forget_locked(ngx_http_llm_store_t *store, ngx_uint_t row)
{
    ngx_queue_t              *q;
    ngx_http_llm_counters_t  *c;

    c = &((ngx_http_llm_root_t *) store->root)->counters;
    c->epoch[row]++;

    while (!ngx_queue_empty(&c->gauges[row])) {
        q = ngx_queue_head(&c->gauges[row]);
        ngx_http_llm_gauge_give_locked(store,
                            ngx_queue_data(q, ngx_http_llm_gauge_t, queue));
    }
}


void
ngx_http_llm_counters_tick(ngx_http_llm_store_t *store)
{
    uint64_t                  full;
    ngx_http_llm_counters_t  *c;

    c = &((ngx_http_llm_root_t *) store->root)->counters;

    if (c->full == c->reported
        || (store->counters_logged
            && ngx_current_msec - store->counters_logged
               < NGX_HTTP_LLM_COUNTERS_LOG))
    {
        return;
    }

    ngx_http_llm_store_lock(store);

    full = c->full - c->reported;
    c->reported = c->full;

    ngx_http_llm_store_unlock(store);

    store->counters_logged = ngx_current_msec;

    if (full) {
        ngx_log_error(NGX_LOG_ERR, store->log, 0,
                      "llm_zone \"%V\" is full: %uL requests were not counted "
                      "by a limit", &store->zone->shm.name, full);
    }
}


void
ngx_http_llm_counter_status(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_status_t *status)
{
    ngx_http_llm_shares_t    *sh;
    ngx_http_llm_counters_t  *c;

    ngx_memzero(status, sizeof(ngx_http_llm_counter_status_t));

    if (store->root == NULL) {
        return;
    }

    c = &((ngx_http_llm_root_t *) store->root)->counters;

    ngx_http_llm_store_lock(store);

    status->counters = c->n;
    status->max = c->max;
    status->evicted = c->evicted;
    status->full = c->full;

    sh = &((ngx_http_llm_root_t *) store->root)->shares;
    status->asks = sh->sent;
    status->grants = sh->granted;
    status->lends = sh->lent;
    status->waiting = sh->ask_n;

    ngx_http_llm_store_unlock(store);
}


uint64_t
ngx_http_llm_subject(const ngx_str_t *value)
{
    return llm_fnv64(ngx_http_llm_str(value), 0);
}


/* Rules of one name count together.  Few, and looked for only when they are
 * made. */

void
ngx_http_llm_rule_link(ngx_http_llm_store_t *store, ngx_http_llm_rule_t *rule)
{
    uint64_t                   hash;
    ngx_http_llm_root_t       *root;
    ngx_http_llm_rule_node_t  *rn;

    root = store->root;

    if (root == NULL) {
        return;
    }

    hash = llm_fnv64(ngx_http_llm_str(&rule->name), 0);

    ngx_http_llm_store_lock(store);

    rn = ngx_http_llm_rule_find_locked(root, hash);

    if (rn == NULL && root->counters.rule_n < NGX_HTTP_LLM_RULES_MAX) {
        rn = ngx_slab_calloc_locked(store->shpool,
                                    sizeof(ngx_http_llm_rule_node_t));
        if (rn) {
            rn->hash = hash;
            rn->len = ngx_min(rule->name.len, sizeof(rn->name));
            ngx_memcpy(rn->name, rule->name.data, rn->len);

            ngx_queue_insert_tail(&root->counters.rules, &rn->queue);
            root->counters.rule_n++;
        }
    }

    ngx_http_llm_store_unlock(store);

    rule->totals = rn ? &rn->totals : NULL;
}


static ngx_http_llm_rule_node_t *
ngx_http_llm_rule_find_locked(ngx_http_llm_root_t *root, uint64_t hash)
{
    ngx_queue_t               *q;
    ngx_http_llm_rule_node_t  *rn;

    for (q = ngx_queue_head(&root->counters.rules);
         q != ngx_queue_sentinel(&root->counters.rules);
         q = ngx_queue_next(q))
    {
        rn = ngx_queue_data(q, ngx_http_llm_rule_node_t, queue);

        if (rn->hash == hash) {
            return rn;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_llm_rule_totals(ngx_http_llm_store_t *store, ngx_uint_t i,
    ngx_str_t *name, ngx_http_llm_rule_totals_t *totals)
{
    ngx_queue_t               *q;
    ngx_http_llm_root_t       *root;
    ngx_http_llm_rule_node_t  *rn;

    root = store->root;

    if (root == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_llm_store_lock(store);

    q = ngx_queue_head(&root->counters.rules);

    while (i-- && q != ngx_queue_sentinel(&root->counters.rules)) {
        q = ngx_queue_next(q);
    }

    if (q == ngx_queue_sentinel(&root->counters.rules)) {
        ngx_http_llm_store_unlock(store);
        return NGX_DECLINED;
    }

    rn = ngx_queue_data(q, ngx_http_llm_rule_node_t, queue);
    *totals = rn->totals;

    ngx_http_llm_store_unlock(store);

    name->len = rn->len;
    name->data = rn->name;

    return NGX_OK;
}
