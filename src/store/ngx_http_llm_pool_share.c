/*
 * Quotas of key pools among nodes: eleven keys of 50 requests a day are 550
 * for all nodes together.
 *
 * What was used stays in the pool's own memory.  What this node may use is a
 * share like that of any counter; the counter is made when there is something
 * to ask or to lend, and a cap is looked up once a second, so that picking a
 * key stays as quick as it is.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_share.h"


#define NGX_HTTP_LLM_CAP_LIFE   1000        /* ms that a cap is not looked up */
#define NGX_HTTP_LLM_POOL_ASKS  16          /* groups that ask for one send */
#define NGX_HTTP_LLM_POOL_HIGH  90          /* percent in use: asks ahead */


/* One limit of one group. */
typedef struct {
    uint64_t                    id;
    ngx_http_llm_store_pool_t  *pool;
    uint32_t                    group;
    uint32_t                    limit;
} ngx_http_llm_pool_index_t;


static uint64_t ngx_http_llm_pool_id(const ngx_http_llm_store_pool_t *pool,
    uint32_t g, uint32_t i);
static void ngx_http_llm_pool_counter_locked(ngx_http_llm_store_t *store,
    const llm_limit_t *l, ngx_http_llm_counter_node_t *cn);
static ngx_http_llm_cap_t *ngx_http_llm_pool_cap(
    ngx_http_llm_lane_view_t *view, uint32_t g, uint32_t i);
static void ngx_http_llm_pool_look_locked(ngx_http_llm_lane_view_t *view,
    uint32_t g, uint32_t i, ngx_http_llm_cap_t *c, llm_msec_t now);
static void ngx_http_llm_pool_need_locked(ngx_http_llm_lane_view_t *view,
    uint32_t g, uint32_t i, uint64_t need, ngx_uint_t refused, llm_msec_t now);
static int ngx_libc_cdecl ngx_http_llm_pool_index_cmp(const void *one,
    const void *two);
static ngx_http_llm_pool_index_t *ngx_http_llm_pool_index_find(uint64_t id);


/* Of this worker, when it is the agent. */
static ngx_http_llm_pool_index_t  *ngx_http_llm_pool_index;
static ngx_uint_t                  ngx_http_llm_pool_index_n;
static ngx_http_llm_store_t       *ngx_http_llm_pool_index_of;


size_t
ngx_http_llm_pool_caps(ngx_http_llm_store_t *store,
    const ngx_http_llm_store_pool_t *pool)
{
    ngx_uint_t  i;

    if (store->redis == NULL) {
        return 0;
    }

    for (i = 0; i < pool->conf.group_n; i++) {
        if (pool->conf.group[i].limit_n) {
            return pool->conf.group_n * LLM_GROUP_LIMITS;
        }
    }

    return 0;
}


/* Names, not places: the nodes' files may differ. */

static uint64_t
ngx_http_llm_pool_id(const ngx_http_llm_store_pool_t *pool, uint32_t g,
    uint32_t i)
{
    uint32_t            k, n;
    uint64_t            words[6];
    const llm_limit_t  *l, *other;

    l = &pool->conf.group[g].limit[i];

    for (n = 0, k = 0; k < i; k++) {
        other = &pool->conf.group[g].limit[k];

        n += other->dim == l->dim && other->clock == l->clock
             && other->unit == l->unit && other->reset_s == l->reset_s;
    }

    words[0] = pool->group_ids[g];
    words[1] = l->dim;
    words[2] = l->clock;
    words[3] = l->unit;
    words[4] = l->reset_s;
    words[5] = n;

    return llm_fnv64((llm_str_t) { sizeof(words), (u_char *) words },
                     llm_fnv64(ngx_http_llm_str(&pool->name), 1));
}


/* ---- a pick -------------------------------------------------------------- */

llm_cap_t
ngx_http_llm_pool_get(void *data, uint32_t group, uint32_t limit)
{
    llm_msec_t                 now;
    ngx_http_llm_cap_t        *c;
    ngx_http_llm_lane_view_t  *view;

    view = data;
    now = ngx_http_llm_store_steady(view->store);
    c = ngx_http_llm_pool_cap(view, group, limit);

    if (now >= c->until) {
        ngx_http_llm_pool_look_locked(view, group, limit, c, now);
    }

    return c->cap;
}


static ngx_http_llm_cap_t *
ngx_http_llm_pool_cap(ngx_http_llm_lane_view_t *view, uint32_t g, uint32_t i)
{
    ngx_http_llm_cap_t  *caps;

    caps = view->pool->conf.group[g].shared ? view->pool->node->caps
                                            : view->ln->caps;

    return &caps[g * LLM_GROUP_LIMITS + i];
}


static void
ngx_http_llm_pool_look_locked(ngx_http_llm_lane_view_t *view, uint32_t g,
    uint32_t i, ngx_http_llm_cap_t *c, llm_msec_t now)
{
    llm_share_view_t              v;
    const llm_limit_t            *l;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_nodes_view_t     nodes;
    ngx_http_llm_counter_node_t  *cn, none;

    root = view->store->root;
    l = &view->pool->conf.group[g].limit[i];
    c->until = now + NGX_HTTP_LLM_CAP_LIFE;

    /* nobody was heard of: the provider knows its quota, too */

    if (root->shares.n == 0) {
        ngx_http_llm_nodes_view(view->store, &nodes);
        c->cap.cap = l->max / ngx_max(nodes.n, 1);
        c->cap.rate = c->cap.cap;
        return;
    }

    cn = ngx_http_llm_counter_find_locked(root,
                         ngx_http_llm_pool_id(view->pool, g, i),
                         view->pool->conf.group[g].shared ? 0
                                                          : view->ln->hash);
    if (cn == NULL) {
        ngx_memzero(&none, sizeof(ngx_http_llm_counter_node_t));
        cn = &none;
    }

    ngx_http_llm_pool_counter_locked(view->store, l, cn);
    ngx_http_llm_share_view_locked(view->store, cn, &v);
    llm_share_turn(&cn->share, &v);

    c->cap.cap = llm_share_cap(&cn->share, &v);
    c->cap.rate = l->clock == LLM_CLOCK_REFILL
                  ? llm_share_rate(&cn->share, &v) : c->cap.cap;

    /* a loan or a day may end earlier */

    if (v.window == 0) {
        now += cn->over - ngx_http_llm_share_calendar(view->store);

    } else if (cn->share.until > now + v.window) {
        now = cn->share.until - v.window;

    } else {
        return;
    }

    c->until = ngx_min(c->until, now);
}


static void
ngx_http_llm_pool_counter_locked(ngx_http_llm_store_t *store,
    const llm_limit_t *l, ngx_http_llm_counter_node_t *cn)
{
    uint64_t    start, end;
    llm_msec_t  now;

    cn->max = l->max;
    cn->dim = l->dim;
    cn->clock = l->clock;
    cn->unit = l->unit;
    cn->pooled = 1;

    if (l->clock == LLM_CLOCK_CALENDAR) {
        now = ngx_http_llm_share_calendar(store);

        if (now >= cn->over || now < cn->start * 1000 || cn->n == 0) {
            llm_limit_calendar(l, now, &start, &end);
            ngx_http_llm_share_begin_locked(store, cn, start, end);
        }
    }
}


void
ngx_http_llm_pool_asks_locked(ngx_http_llm_lane_view_t *view,
    const llm_need_t *need, const llm_lease_t *lease, uint64_t random)
{
    uint32_t                 g, i, n, from;
    llm_msec_t               now;
    const llm_group_conf_t  *group;

    if (view->lane.caps == NULL) {
        return;
    }

    now = ngx_http_llm_store_now(view->store);

    if (lease) {
        from = view->pool->conf.key[lease->key].group;
        n = 1;

    } else {
        n = ngx_min(view->pool->conf.group_n, NGX_HTTP_LLM_POOL_ASKS);
        from = (uint32_t) (random % ngx_max(view->pool->conf.group_n, 1));
    }

    while (n--) {
        g = (from + n) % view->pool->conf.group_n;
        group = &view->pool->conf.group[g];

        for (i = 0; i < group->limit_n; i++) {
            ngx_http_llm_pool_need_locked(view, g, i,
                                          need->n[group->limit[i].dim],
                                          lease == NULL, now);
        }
    }
}


static void
ngx_http_llm_pool_need_locked(ngx_http_llm_lane_view_t *view, uint32_t g,
    uint32_t i, uint64_t need, ngx_uint_t refused, llm_msec_t now)
{
    uint64_t                      used;
    llm_cap_t                     cap;
    llm_limit_t                   l;
    llm_share_view_t              v;
    llm_group_state_t            *s;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_counter_node_t  *cn;

    root = view->store->root;
    l = view->pool->conf.group[g].limit[i];
    s = view->pool->conf.group[g].shared ? &view->lane.shared[g]
                                         : &view->lane.group[g];

    now += (llm_msec_t) (l.clock == LLM_CLOCK_CALENDAR ? view->caps.calendar
                                                       : view->caps.steady);
    cap = ngx_http_llm_pool_get(view, g, i);
    l.max = cap.rate;
    used = llm_limit_used(&l, &s->limit[i], now);
    l.max = view->pool->conf.group[g].limit[i].max;

    /* only what ran short, and may be had elsewhere, is worth a counter */

    if (need == 0 || cap.cap >= l.max || root->shares.n < 2
        || (refused ? used + need <= cap.cap || used + need > l.max
                    : used <= cap.cap * NGX_HTTP_LLM_POOL_HIGH / 100))
    {
        return;
    }

    cn = ngx_http_llm_counter_get_locked(view->store,
                              ngx_http_llm_pool_id(view->pool, g, i),
                              view->pool->conf.group[g].shared
                              ? 0 : view->ln->hash);
    if (cn == NULL) {
        return;
    }

    ngx_http_llm_pool_counter_locked(view->store, &l, cn);
    ngx_http_llm_share_view_locked(view->store, cn, &v);
    llm_share_turn(&cn->share, &v);

    if (llm_share_need(&cn->share, &v, used, need, refused)) {
        ngx_http_llm_share_queue_locked(root, cn, 0);
    }
}


/* ---- the agent ----------------------------------------------------------- */

void
ngx_http_llm_pool_index_make(ngx_http_llm_store_t *store)
{
    uint32_t                     g, k;
    ngx_uint_t                   i, n;
    ngx_http_llm_store_pool_t  **pool;
    ngx_http_llm_pool_index_t   *index;

    if (ngx_http_llm_pool_index && ngx_http_llm_pool_index_of == store) {
        return;
    }

    pool = store->pools.elts;

    for (n = 0, i = 0; i < store->pools.nelts; i++) {
        for (g = 0; g < pool[i]->conf.group_n; g++) {
            n += pool[i]->conf.group[g].limit_n;
        }
    }

    index = ngx_alloc(n * sizeof(ngx_http_llm_pool_index_t) + 1, store->log);
    if (index == NULL) {
        return;
    }

    for (n = 0, i = 0; i < store->pools.nelts; i++) {
        for (g = 0; g < pool[i]->conf.group_n; g++) {
            for (k = 0; k < pool[i]->conf.group[g].limit_n; k++) {
                index[n].id = ngx_http_llm_pool_id(pool[i], g, k);
                index[n].pool = pool[i];
                index[n].group = g;
                index[n].limit = k;
                n++;
            }
        }
    }

    ngx_qsort(index, n, sizeof(ngx_http_llm_pool_index_t),
              ngx_http_llm_pool_index_cmp);

    /* a single process goes on with another configuration */

    if (ngx_http_llm_pool_index) {
        ngx_free(ngx_http_llm_pool_index);
    }

    ngx_http_llm_pool_index = index;
    ngx_http_llm_pool_index_of = store;
    ngx_http_llm_pool_index_n = n;
}


static int ngx_libc_cdecl
ngx_http_llm_pool_index_cmp(const void *one, const void *two)
{
    const ngx_http_llm_pool_index_t  *a, *b;

    a = one;
    b = two;

    return (a->id > b->id) - (a->id < b->id);
}


static ngx_http_llm_pool_index_t *
ngx_http_llm_pool_index_find(uint64_t id)
{
    ngx_uint_t  low, high, mid;

    low = 0;
    high = ngx_http_llm_pool_index_n;

    while (low < high) {
        mid = low + (high - low) / 2;

        if (ngx_http_llm_pool_index[mid].id == id) {
            return &ngx_http_llm_pool_index[mid];
        }

        if (ngx_http_llm_pool_index[mid].id < id) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return NULL;
}


void
ngx_http_llm_pool_stub_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn)
{
    ngx_http_llm_pool_index_t  *index;

    index = ngx_http_llm_pool_index_find(cn->id);

    if (index) {
        ngx_http_llm_pool_counter_locked(store,
                      &index->pool->conf.group[index->group]
                                  .limit[index->limit], cn);
    }
}


llm_limit_state_t *
ngx_http_llm_pool_state_locked(ngx_http_llm_counter_node_t *cn,
    ngx_http_llm_cap_t **cap)
{
    ngx_uint_t                  i;
    ngx_http_llm_lane_node_t   *ln;
    ngx_http_llm_pool_node_t   *pn;
    ngx_http_llm_pool_index_t  *index;

    *cap = NULL;
    index = ngx_http_llm_pool_index_find(cn->id);

    if (index == NULL) {
        return &cn->state;
    }

    pn = index->pool->node;
    i = index->group * LLM_GROUP_LIMITS + index->limit;

    if (index->pool->conf.group[index->group].shared) {
        *cap = pn->caps ? &pn->caps[i] : NULL;
        return &pn->shared[index->group].limit[index->limit];
    }

    ln = ngx_http_llm_lane_find_locked(pn, cn->subject);

    if (ln == NULL) {
        return &cn->state;
    }

    *cap = ln->caps ? &ln->caps[i] : NULL;

    return &ln->group[index->group].limit[index->limit];
}
