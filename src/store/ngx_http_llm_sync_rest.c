/*
 * Rests of keys and groups, and keys that were switched by hand, between nodes.
 *
 *   {cp}:rest:POOL   k:FINGERPRINT   "UNTIL AT STATUS STEP CAUSE"
 *                    g:GROUP:LANE    "UNTIL AT 0 STEP CAUSE MODEL"
 *                    m:FINGERPRINT   "AT on|off", by hand
 *
 * Times are Redis's.  A rest is sent by the worker that learned of it, at once;
 * whatever did not arrive is sent by the agent, all that rests in the pool.
 * Only what rests stands there; the leader takes out what is over.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_sync_max.h"
#include "ngx_http_llm_sync_rest.h"


#define NGX_HTTP_LLM_REST_OVER   3600000    /* ms until it is taken out */
#define NGX_HTTP_LLM_REST_RENEW  3600000

#define NGX_HTTP_LLM_REST_FIELD  (sizeof("g::") + 2 * 16                      \
                                  + 2 * NGX_HTTP_LLM_FINGERPRINT)
#define NGX_HTTP_LLM_REST_VALUE  (5 * (NGX_INT64_LEN + 1)                     \
                                  + NGX_HTTP_LLM_MODEL_LEN)
#define NGX_HTTP_LLM_REST_STEPS  15


/* A pool's hash while it is read. */
typedef struct {
    ngx_http_llm_store_pool_t  *pool;
    ngx_pool_t                 *temp;
    ngx_http_llm_index_t        keys;
    ngx_http_llm_index_t        groups;
    int64_t                     skew;
    llm_msec_t                  now;
    ngx_uint_t                  news;
    ngx_str_t                   over[NGX_HTTP_LLM_SYNC_MAX];
    ngx_uint_t                  over_n;
} ngx_http_llm_rest_read_t;


static void ngx_http_llm_rests_sent(void *data, redisReply *reply);
static ngx_str_t ngx_http_llm_rest_topic(ngx_http_llm_store_pool_t *pool,
    u_char *buf);
static ngx_http_llm_store_pool_t *ngx_http_llm_sync_rest_find(
    ngx_http_llm_store_t *store, const ngx_str_t *topic);
static void ngx_http_llm_rest_pair(ngx_http_llm_store_pool_t *pool,
    const ngx_http_llm_rest_row_t *row, const ngx_http_llm_nodes_view_t *view,
    llm_msec_t now, u_char *mem, ngx_http_llm_sync_pair_t *pair);
static void ngx_http_llm_sync_rest_all(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool);
static void ngx_http_llm_sync_rest_keys(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool);
static void ngx_http_llm_sync_rest_groups(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln);
static void ngx_http_llm_sync_rest_got(ngx_http_llm_store_t *store,
    ngx_str_t *topic, const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n);
static ngx_int_t ngx_http_llm_sync_rest_key(ngx_http_llm_rest_read_t *rd,
    const ngx_str_t *field, uint32_t *key);
static void ngx_http_llm_sync_rest_by_hand(ngx_http_llm_store_t *store,
    ngx_http_llm_rest_read_t *rd, const ngx_http_llm_sync_pair_t *pair);
static void ngx_http_llm_sync_rest_take(ngx_http_llm_store_t *store,
    ngx_http_llm_rest_read_t *rd, const ngx_http_llm_sync_pair_t *pair);
static void ngx_http_llm_sync_rest_group(ngx_http_llm_store_t *store,
    ngx_http_llm_rest_read_t *rd, const ngx_str_t *field, ngx_str_t *model,
    const llm_rest_t *rest);


/* ---- what rests here ----------------------------------------------------- */

void
ngx_http_llm_rests_before_locked(ngx_http_llm_rests_t *rests,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln,
    uint32_t key)
{
    uint32_t  g;

    g = pool->conf.key[key].group;

    ngx_memzero(rests, sizeof(ngx_http_llm_rests_t));

    rests->row[0].key = key;
    rests->row[0].rest.until = pool->node->key[key].until;

    rests->row[1].key = NGX_HTTP_LLM_NOWHERE;
    rests->row[1].group = g;
    rests->row[1].lane = ln->hash;
    rests->row[1].rest.until = ln->group[g].until;

    rests->row[2].key = NGX_HTTP_LLM_NOWHERE;
    rests->row[2].group = g;
    rests->row[2].rest.until = pool->node->shared[g].until;
}


/* Lanes that no model has to itself say nothing about any. */

void
ngx_http_llm_rests_after_locked(ngx_http_llm_rests_t *rests,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln)
{
    ngx_uint_t                i;
    llm_rest_t                rest;
    llm_key_state_t          *k;
    llm_group_state_t        *s;
    ngx_http_llm_rest_row_t  *row;

    for (i = 0; i < NGX_HTTP_LLM_RESTS; i++) {
        row = &rests->row[i];

        if (row->key != NGX_HTTP_LLM_NOWHERE) {
            k = &pool->node->key[row->key];
            rest = (llm_rest_t) { k->until, k->auth_step, k->status,
                                  k->cause };
        } else {
            s = i == 1 ? &ln->group[row->group]
                       : &pool->node->shared[row->group];
            rest = (llm_rest_t) { s->until, s->step, 0, s->cause };
        }

        if (rest.until <= row->rest.until || (i == 1 && ln->model_len == 0)) {
            continue;
        }

        rests->row[rests->n] = *row;
        row = &rests->row[rests->n++];

        row->rest = rest;

        if (i == 1) {
            row->model_len = ln->model_len;
            ngx_memcpy(row->model, ln->model, ln->model_len);
        }
    }
}


void
ngx_http_llm_rests_send(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const ngx_http_llm_rest_row_t *row,
    ngx_uint_t n)
{
    u_char                     topic[NGX_HTTP_LLM_REDIS_KEY];
    u_char                     mem[NGX_HTTP_LLM_SYNC_MAX]
                                  [NGX_HTTP_LLM_REST_FIELD
                                   + NGX_HTTP_LLM_REST_VALUE];
    ngx_str_t                  name;
    ngx_uint_t                 i;
    llm_msec_t                 now;
    ngx_http_llm_sync_pair_t   pair[NGX_HTTP_LLM_SYNC_MAX];
    ngx_http_llm_nodes_view_t  view;

    if (store->redis == NULL || n == 0) {
        return;
    }

    ngx_http_llm_nodes_view(store, &view);
    now = ngx_http_llm_store_now(store);

    for (i = 0; i < n; i++) {
        ngx_http_llm_rest_pair(pool, &row[i], &view, now, mem[i], &pair[i]);
    }

    name = ngx_http_llm_rest_topic(pool, topic);

    if (ngx_http_llm_sync_max_write(store, &name, pair, n,
                                    ngx_http_llm_rests_sent, pool)
        != NGX_OK)
    {
        ngx_http_llm_rests_sent(pool, NULL);
    }
}


static void
ngx_http_llm_rests_sent(void *data, redisReply *reply)
{
    ngx_http_llm_store_pool_t *pool = data;

    int64_t  n;

    if (ngx_http_llm_redis_int(reply, &n) != NGX_OK) {
        __atomic_store_n(&pool->node->unsent, 1, __ATOMIC_RELAXED);
    }
}


static ngx_str_t
ngx_http_llm_rest_topic(ngx_http_llm_store_pool_t *pool, u_char *buf)
{
    ngx_str_t  topic;

    topic.data = buf;
    topic.len = ngx_snprintf(buf, NGX_HTTP_LLM_REDIS_KEY, "rest:%V",
                             &pool->name)
                - buf;

    return topic;
}


static void
ngx_http_llm_rest_pair(ngx_http_llm_store_pool_t *pool,
    const ngx_http_llm_rest_row_t *row, const ngx_http_llm_nodes_view_t *view,
    llm_msec_t now, u_char *mem, ngx_http_llm_sync_pair_t *pair)
{
    u_char  *p;

    pair->field.data = mem;

    if (row->key != NGX_HTTP_LLM_NOWHERE) {
        p = ngx_cpymem(mem, "k:", 2);
        p = ngx_hex_dump(p, pool->fingerprints
                            + row->key * NGX_HTTP_LLM_FINGERPRINT,
                         NGX_HTTP_LLM_FINGERPRINT);

    } else {
        p = ngx_sprintf(mem, "g:%016xL:%016xL", pool->group_ids[row->group],
                        row->lane);
    }

    pair->field.len = p - mem;
    pair->value.data = p;

    p = ngx_sprintf(p, "%uL %uL %ud %ud %ud",
                    row->rest.until + (uint64_t) view->skew,
                    now + (uint64_t) view->skew, (ngx_uint_t) row->rest.status,
                    (ngx_uint_t) row->rest.step, (ngx_uint_t) row->rest.cause);

    if (row->model_len) {
        *p++ = ' ';
        p = ngx_cpymem(p, row->model, row->model_len);
    }

    pair->value.len = p - pair->value.data;
}


void
ngx_http_llm_rests_switched(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, uint32_t key)
{
    u_char                     topic[NGX_HTTP_LLM_REDIS_KEY];
    u_char                     field[NGX_HTTP_LLM_REST_FIELD];
    u_char                     value[NGX_HTTP_LLM_REST_VALUE];
    ngx_str_t                  name;
    llm_key_state_t           *k;
    ngx_http_llm_sync_pair_t   pair;

    if (store->redis == NULL) {
        return;
    }

    k = &pool->node->key[key];

    pair.field.data = field;
    pair.field.len = ngx_hex_dump(ngx_cpymem(field, "m:", 2),
                                  pool->fingerprints
                                  + key * NGX_HTTP_LLM_FINGERPRINT,
                                  NGX_HTTP_LLM_FINGERPRINT) - field;

    pair.value.data = value;
    pair.value.len = ngx_sprintf(value, "%uL %s", k->switched,
                                 k->status == LLM_KEY_MANUAL_OFF ? "off"
                                                                 : "on")
                     - value;

    name = ngx_http_llm_rest_topic(pool, topic);

    if (ngx_http_llm_sync_max_write(store, &name, &pair, 1,
                                    ngx_http_llm_rests_sent, pool)
        != NGX_OK)
    {
        ngx_http_llm_rests_sent(pool, NULL);
    }
}


/* ---- the agent's part ---------------------------------------------------- */

void
ngx_http_llm_sync_rest_flush(ngx_http_llm_store_t *store)
{
    u_char                       topic[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t                    name;
    ngx_uint_t                   i;
    ngx_http_llm_store_pool_t  **pool;

    pool = store->pools.elts;

    for (i = 0; i < store->pools.nelts; i++) {

        if (__atomic_exchange_n(&pool[i]->node->unsent, 0, __ATOMIC_RELAXED)) {
            ngx_http_llm_sync_rest_all(store, pool[i]);
        }

        if ((ngx_msec_int_t) (ngx_current_msec - pool[i]->renew) >= 0) {
            pool[i]->renew = ngx_current_msec + NGX_HTTP_LLM_REST_RENEW;
            name = ngx_http_llm_rest_topic(pool[i], topic);
            ngx_http_llm_sync_max_renew(store, &name);
        }
    }
}


void
ngx_http_llm_sync_rest_restore(ngx_http_llm_store_t *store)
{
    ngx_uint_t                   i;
    ngx_http_llm_store_pool_t  **pool;

    pool = store->pools.elts;

    for (i = 0; i < store->pools.nelts; i++) {
        __atomic_store_n(&pool[i]->node->unsent, 1, __ATOMIC_RELAXED);
    }
}


static void
ngx_http_llm_sync_rest_all(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool)
{
    ngx_uint_t  i;

    ngx_http_llm_sync_rest_keys(store, pool);
    ngx_http_llm_sync_rest_groups(store, pool, NULL);

    for (i = 0; i < pool->node->lane_n; i++) {
        ngx_http_llm_sync_rest_groups(store, pool, pool->node->lane[i]);
    }
}


static void
ngx_http_llm_sync_rest_keys(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool)
{
    uint32_t                  i;
    llm_msec_t                now;
    ngx_uint_t                n;
    llm_key_state_t           k;
    ngx_http_llm_rest_row_t   row[NGX_HTTP_LLM_SYNC_MAX];

    n = 0;
    now = ngx_http_llm_store_now(store);
    ngx_memzero(row, sizeof(row));

    for (i = 0; i < pool->node->key_n; i++) {
        ngx_http_llm_store_lock(store);
        k = pool->node->key[i];
        ngx_http_llm_store_unlock(store);

        if (k.switched) {
            ngx_http_llm_rests_switched(store, pool, i);
        }

        if (k.until <= now || k.status == LLM_KEY_ACTIVE
            || k.status == LLM_KEY_MANUAL_OFF)
        {
            continue;
        }

        row[n].key = i;
        row[n++].rest = (llm_rest_t) { k.until, k.auth_step, k.status,
                                       k.cause };

        if (n == NGX_HTTP_LLM_SYNC_MAX) {
            ngx_http_llm_rests_send(store, pool, row, n);
            n = 0;
        }
    }

    ngx_http_llm_rests_send(store, pool, row, n);
}


/* Those of a lane; of all models when there is none. */

static void
ngx_http_llm_sync_rest_groups(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_lane_node_t *ln)
{
    uint32_t                  i;
    llm_msec_t                now;
    ngx_uint_t                n;
    llm_group_state_t        *s;
    ngx_http_llm_rest_row_t   row[NGX_HTTP_LLM_SYNC_MAX], *to;

    now = ngx_http_llm_store_now(store);
    i = 0;

    while (i < pool->node->group_n) {
        n = 0;
        ngx_memzero(row, sizeof(row));

        ngx_http_llm_store_lock(store);

        for ( /* void */ ; i < pool->node->group_n
                           && n < NGX_HTTP_LLM_SYNC_MAX; i++)
        {
            s = ln ? &ln->group[i] : &pool->node->shared[i];

            if (s->until <= now) {
                continue;
            }

            to = &row[n++];
            to->key = NGX_HTTP_LLM_NOWHERE;
            to->group = i;
            to->rest = (llm_rest_t) { s->until, s->step, 0, s->cause };

            if (ln) {
                to->lane = ln->hash;
                to->model_len = ln->model_len;
                ngx_memcpy(to->model, ln->model, ln->model_len);
            }
        }

        ngx_http_llm_store_unlock(store);

        ngx_http_llm_rests_send(store, pool, row, n);
    }
}


/* ---- what rests elsewhere ------------------------------------------------ */

void
ngx_http_llm_sync_rest_fetch(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen)
{
    if (ngx_http_llm_sync_rest_find(store, topic) == NULL) {
        ngx_http_llm_sync_seen(store, topic, gen);      /* others have it */
        return;
    }

    ngx_http_llm_sync_max_read(store, topic, gen, ngx_http_llm_sync_rest_got);
}


static ngx_http_llm_store_pool_t *
ngx_http_llm_sync_rest_find(ngx_http_llm_store_t *store,
    const ngx_str_t *topic)
{
    size_t                       len;
    ngx_uint_t                   i;
    ngx_http_llm_store_pool_t  **pool;

    len = sizeof("rest:") - 1;
    pool = store->pools.elts;

    for (i = 0; i < store->pools.nelts; i++) {
        if (topic->len == len + pool[i]->name.len
            && ngx_strncmp(topic->data + len, pool[i]->name.data,
                           pool[i]->name.len)
               == 0)
        {
            return pool[i];
        }
    }

    return NULL;
}


/* What was switched by hand comes first: it tells which rests still matter. */

static void
ngx_http_llm_sync_rest_got(ngx_http_llm_store_t *store, ngx_str_t *topic,
    const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n)
{
    ngx_uint_t                 i;
    ngx_http_llm_root_t       *root;
    ngx_http_llm_rest_read_t   rd;

    ngx_memzero(&rd, sizeof(ngx_http_llm_rest_read_t));

    root = store->root;
    rd.skew = root->nodes.skew;
    rd.now = ngx_http_llm_store_now(store);
    rd.pool = ngx_http_llm_sync_rest_find(store, topic);
    rd.temp = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, store->log);

    if (rd.temp == NULL) {
        return;
    }

    if (ngx_http_llm_index_keys(rd.pool->node, &rd.keys, rd.temp) == NGX_OK
        && ngx_http_llm_index_groups(rd.pool->node, &rd.groups, rd.temp)
           == NGX_OK)
    {
        for (i = 0; i < n; i++) {
            if (pair[i].field.len > 2 && pair[i].field.data[0] == 'm') {
                ngx_http_llm_sync_rest_by_hand(store, &rd, &pair[i]);
            }
        }

        for (i = 0; i < n; i++) {
            if (pair[i].field.len > 2 && pair[i].field.data[0] != 'm') {
                ngx_http_llm_sync_rest_take(store, &rd, &pair[i]);
            }
        }
    }

    ngx_destroy_pool(rd.temp);

    if (rd.news) {
        root->changes++;
    }

    if (rd.over_n && ngx_http_llm_nodes_leads(store)) {
        (void) ngx_http_llm_sync_max_drop(store, topic,
                   rd.now + (uint64_t) rd.skew - NGX_HTTP_LLM_REST_OVER,
                   rd.over, rd.over_n);
    }
}


/* The key of a field "k:FINGERPRINT". */

static ngx_int_t
ngx_http_llm_sync_rest_key(ngx_http_llm_rest_read_t *rd,
    const ngx_str_t *field, uint32_t *key)
{
    u_char  hex[2 * NGX_HTTP_LLM_FINGERPRINT + 1];
    u_char  fp[NGX_HTTP_LLM_FINGERPRINT];

    if (field->len != 2 + 2 * NGX_HTTP_LLM_FINGERPRINT) {
        return NGX_DECLINED;
    }

    (void) ngx_cpystrn(hex, field->data + 2, sizeof(hex));

    if (ngx_http_llm_state_hex((char *) hex, fp, sizeof(fp)) != NGX_OK) {
        return NGX_DECLINED;
    }

    *key = ngx_http_llm_index_find(&rd->keys, ngx_http_llm_key_id(fp));

    if (*key == NGX_HTTP_LLM_NOWHERE
        || ngx_memcmp(fp, rd->pool->node->fingerprints + *key * sizeof(fp),
                      sizeof(fp))
           != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_http_llm_sync_rest_by_hand(ngx_http_llm_store_t *store,
    ngx_http_llm_rest_read_t *rd, const ngx_http_llm_sync_pair_t *pair)
{
    uint32_t          key;
    uint64_t          at;
    ngx_str_t         value;
    ngx_uint_t        on;
    llm_key_state_t  *k;

    value = pair->value;

    if (ngx_http_llm_sync_rest_key(rd, &pair->field, &key) != NGX_OK
        || ngx_http_llm_sync_number(&value, &at) != NGX_OK)
    {
        return;
    }

    on = (value.len == 2);
    k = &rd->pool->node->key[key];

    ngx_http_llm_store_lock(store);

    if (at > k->switched) {
        k->switched = at;
        rd->news++;

        if (on != (k->status != LLM_KEY_MANUAL_OFF)
            || (on && k->status != LLM_KEY_ACTIVE))
        {
            ngx_http_llm_key_reset_locked(rd->pool, k, on);
        }
    }

    ngx_http_llm_store_unlock(store);
}


static void
ngx_http_llm_sync_rest_take(ngx_http_llm_store_t *store,
    ngx_http_llm_rest_read_t *rd, const ngx_http_llm_sync_pair_t *pair)
{
    uint32_t    key;
    uint64_t    until, at, status, step, cause;
    ngx_str_t   value;
    llm_rest_t  rest;

    value = pair->value;

    if (ngx_http_llm_sync_number(&value, &until) != NGX_OK
        || ngx_http_llm_sync_number(&value, &at) != NGX_OK
        || ngx_http_llm_sync_number(&value, &status) != NGX_OK
        || ngx_http_llm_sync_number(&value, &step) != NGX_OK
        || ngx_http_llm_sync_number(&value, &cause) != NGX_OK)
    {
        return;
    }

    rest.until = until - (uint64_t) rd->skew;
    rest.status = status == LLM_KEY_DISABLED ? LLM_KEY_DISABLED
                                             : LLM_KEY_COOLING;
    rest.step = (uint16_t) ngx_min(step, NGX_HTTP_LLM_REST_STEPS);
    rest.cause = (uint8_t) (cause < LLM_CLASS_N ? cause : 0);

    if (rest.until + NGX_HTTP_LLM_REST_OVER <= rd->now
        && rd->over_n < NGX_HTTP_LLM_SYNC_MAX)
    {
        rd->over[rd->over_n++] = pair->field;
    }

    if (pair->field.data[0] == 'g') {
        ngx_http_llm_sync_rest_group(store, rd, &pair->field, &value, &rest);
        return;
    }

    if (ngx_http_llm_sync_rest_key(rd, &pair->field, &key) != NGX_OK) {
        return;
    }

    ngx_http_llm_store_lock(store);

    if (at > rd->pool->node->key[key].switched) {
        rd->news += (ngx_uint_t) llm_keypool_rest_key(&rd->pool->conf,
                                                      rd->pool->node->key,
                                                      key, &rest, rd->now);
    }

    ngx_http_llm_store_unlock(store);
}


/* "g:GROUP:LANE"; a model that is new here gets a lane. */

static void
ngx_http_llm_sync_rest_group(ngx_http_llm_store_t *store,
    ngx_http_llm_rest_read_t *rd, const ngx_str_t *field, ngx_str_t *model,
    const llm_rest_t *rest)
{
    u_char                     hex[2][17];
    uint32_t                   g;
    uint64_t                   id, hash;
    llm_group_state_t         *s;
    ngx_http_llm_lane_node_t  *ln;

    if (field->len != sizeof("g::") - 1 + 32 || rest->until <= rd->now) {
        return;
    }

    (void) ngx_cpystrn(hex[0], field->data + 2, 17);
    (void) ngx_cpystrn(hex[1], field->data + 19, 17);

    if (ngx_http_llm_state_hex64((char *) hex[0], &id) != NGX_OK
        || ngx_http_llm_state_hex64((char *) hex[1], &hash) != NGX_OK)
    {
        return;
    }

    g = ngx_http_llm_index_find(&rd->groups, id);

    if (g == NGX_HTTP_LLM_NOWHERE) {
        return;
    }

    ngx_http_llm_store_lock(store);

    ln = NULL;
    s = &rd->pool->node->shared[g];

    if (hash) {
        ln = ngx_http_llm_lane_get_locked(store, rd->pool, model, hash,
                                          rd->now);

        s = (ln && ln != rd->pool->node->overflow) ? &ln->group[g] : NULL;
    }

    if (s && llm_keypool_rest_group(s, rest, rd->now)) {
        rd->news++;

        if (ln) {
            ln->rest = ngx_max(ln->rest, rest->until);
        }
    }

    ngx_http_llm_store_unlock(store);
}
