/*
 * A pool's memory as JSON, there and back.
 *
 *   {"keys":   {FINGERPRINT: {"until", "failures", "auth_step",
 *                             "switched", "status", "cause"}},
 *    "shared": {GROUP: {"until", "step", "cause", "probing", "shape",
 *                       "limits": [[used, at, ring …], …]}},
 *    "lanes":  {MODEL-HASH: {"model": NAME, "groups": {GROUP: as above}}}}
 *
 * Only what differs from a fresh pool stands there.  Times are in epoch ms, -1
 * is never; numbers of people and of identity are in hexadecimal.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_STATE_CHUNK  32        /* copied in one hold of the lock */
#define NGX_HTTP_LLM_STATE_STEPS  15        /* of a growing wait, at most */


static ngx_int_t ngx_http_llm_state_put_keys(ngx_http_llm_store_t *store,
    ngx_http_llm_pool_node_t *pn, cJSON *to);
static ngx_int_t ngx_http_llm_state_put_groups(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const llm_group_state_t *group,
    cJSON *to);
static ngx_int_t ngx_http_llm_state_put_lane(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_uint_t n, cJSON *to);
static ngx_int_t ngx_http_llm_state_put_group(const llm_group_conf_t *conf,
    const llm_group_state_t *g, uint32_t shape, cJSON *to);
static ngx_int_t ngx_http_llm_state_put_limit(const llm_limit_state_t *l,
    cJSON *to);

static void ngx_http_llm_state_get_keys(ngx_http_llm_pool_node_t *pn,
    const cJSON *from, const ngx_http_llm_index_t *index, llm_msec_t now);
static void ngx_http_llm_state_get_groups(ngx_http_llm_pool_node_t *pn,
    llm_group_state_t *group, const cJSON *from,
    const ngx_http_llm_index_t *index, llm_msec_t now);
static void ngx_http_llm_state_get_lanes(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const cJSON *from,
    const ngx_http_llm_index_t *index, llm_msec_t now);
static void ngx_http_llm_state_get_limit(llm_limit_state_t *l,
    const cJSON *from);
static uint64_t ngx_http_llm_state_number(const cJSON *item);


cJSON *
ngx_http_llm_state_from_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool)
{
    cJSON       *tree, *keys, *shared, *lanes;
    ngx_uint_t   i;

    tree = cJSON_CreateObject();
    keys = cJSON_AddObjectToObject(tree, "keys");
    shared = cJSON_AddObjectToObject(tree, "shared");
    lanes = cJSON_AddObjectToObject(tree, "lanes");

    if (keys == NULL || shared == NULL || lanes == NULL
        || ngx_http_llm_state_put_keys(store, pool->node, keys) != NGX_OK
        || ngx_http_llm_state_put_groups(store, pool, pool->node->shared,
                                         shared)
           != NGX_OK)
    {
        cJSON_Delete(tree);
        return NULL;
    }

    for (i = 0; i < pool->node->lane_n; i++) {
        if (ngx_http_llm_state_put_lane(store, pool, i, lanes) != NGX_OK) {
            cJSON_Delete(tree);
            return NULL;
        }
    }

    return tree;
}


static ngx_int_t
ngx_http_llm_state_put_keys(ngx_http_llm_store_t *store,
    ngx_http_llm_pool_node_t *pn, cJSON *to)
{
    cJSON            *item;
    u_char            hex[2 * NGX_HTTP_LLM_FINGERPRINT + 1];
    ngx_uint_t        i, k, n;
    llm_key_state_t   key[NGX_HTTP_LLM_STATE_CHUNK];

    for (i = 0; i < pn->key_n; i += n) {
        n = ngx_min(pn->key_n - i, NGX_HTTP_LLM_STATE_CHUNK);

        ngx_http_llm_store_lock(store);
        ngx_memcpy(key, &pn->key[i], n * sizeof(llm_key_state_t));
        ngx_http_llm_store_unlock(store);

        for (k = 0; k < n; k++) {
            if (key[k].until == 0 && key[k].failures == 0
                && key[k].auth_step == 0 && key[k].switched == 0
                && key[k].status == LLM_KEY_ACTIVE)
            {
                continue;
            }

            *ngx_hex_dump(hex, pn->fingerprints
                               + (i + k) * NGX_HTTP_LLM_FINGERPRINT,
                          NGX_HTTP_LLM_FINGERPRINT) = '\0';

            item = cJSON_AddObjectToObject(to, (char *) hex);

            if (item == NULL
                || ngx_http_llm_state_put(item, "until", key[k].until)
                || ngx_http_llm_state_put(item, "failures", key[k].failures)
                || ngx_http_llm_state_put(item, "auth_step", key[k].auth_step)
                || ngx_http_llm_state_put(item, "switched", key[k].switched)
                || ngx_http_llm_state_put(item, "status", key[k].status)
                || ngx_http_llm_state_put(item, "cause", key[k].cause))
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_groups(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const llm_group_state_t *group,
    cJSON *to)
{
    cJSON                     *item;
    u_char                     hex[17];
    ngx_uint_t                 i, k, n;
    llm_group_state_t          copy[NGX_HTTP_LLM_STATE_CHUNK];
    ngx_http_llm_pool_node_t  *pn;

    static const llm_group_state_t  fresh;

    pn = pool->node;

    for (i = 0; i < pn->group_n; i += n) {
        n = ngx_min(pn->group_n - i, NGX_HTTP_LLM_STATE_CHUNK);

        ngx_http_llm_store_lock(store);
        ngx_memcpy(copy, &group[i], n * sizeof(llm_group_state_t));
        ngx_http_llm_store_unlock(store);

        for (k = 0; k < n; k++) {
            if (ngx_memcmp(&copy[k], &fresh, sizeof(fresh)) == 0) {
                continue;
            }

            (void) ngx_sprintf(hex, "%016xL%Z", pn->group_ids[i + k]);

            item = cJSON_AddObjectToObject(to, (char *) hex);

            if (item == NULL
                || ngx_http_llm_state_put_group(&pool->conf.group[i + k],
                                                &copy[k], pn->shapes[i + k],
                                                item))
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_lane(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_uint_t n, cJSON *to)
{
    char                       model[NGX_HTTP_LLM_MODEL_LEN + 1];
    cJSON                     *item, *groups;
    u_char                     hex[17];
    ngx_http_llm_lane_node_t  *ln;

    ngx_http_llm_store_lock(store);

    ln = pool->node->lane[n];
    (void) ngx_cpystrn((u_char *) model, ln->model, ln->model_len + 1);
    (void) ngx_sprintf(hex, "%016xL%Z", ln->hash);

    ngx_http_llm_store_unlock(store);

    item = cJSON_AddObjectToObject(to, (char *) hex);
    groups = cJSON_AddObjectToObject(item, "groups");

    if (groups == NULL || cJSON_AddStringToObject(item, "model", model) == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_state_put_groups(store, pool, ln->group, groups);
}


static ngx_int_t
ngx_http_llm_state_put_group(const llm_group_conf_t *conf,
    const llm_group_state_t *g, uint32_t shape, cJSON *to)
{
    cJSON       *limits;
    ngx_uint_t   i;

    if (ngx_http_llm_state_put(to, "until", g->until)
        || ngx_http_llm_state_put(to, "step", g->step)
        || ngx_http_llm_state_put(to, "cause", g->cause)
        || ngx_http_llm_state_put(to, "probing", g->probing))
    {
        return NGX_ERROR;
    }

    if (conf->limit_n == 0) {
        return NGX_OK;
    }

    limits = cJSON_AddArrayToObject(to, "limits");

    if (limits == NULL || ngx_http_llm_state_put(to, "shape", shape)) {
        return NGX_ERROR;
    }

    for (i = 0; i < conf->limit_n; i++) {
        if (ngx_http_llm_state_put_limit(&g->limit[i], limits) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_limit(const llm_limit_state_t *l, cJSON *to)
{
    cJSON       *row;
    double       n[2 + LLM_RING];
    ngx_uint_t   i;

    n[0] = (double) l->used;
    n[1] = (double) l->at;

    for (i = 0; i < LLM_RING; i++) {
        n[2 + i] = (double) llm_limit_slot(l, i);
    }

    row = cJSON_CreateDoubleArray(n, 2 + LLM_RING);

    if (row == NULL || !cJSON_AddItemToArray(to, row)) {
        cJSON_Delete(row);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_state_put(cJSON *to, const char *name, uint64_t value)
{
    double  n;

    n = (double) value;

    if (n >= NGX_HTTP_LLM_STATE_EXACT) {
        n = -1;
    }

    return cJSON_AddNumberToObject(to, name, n) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_llm_state_put_hex(cJSON *to, const char *name, uint64_t value)
{
    u_char  hex[17];

    (void) ngx_sprintf(hex, "%016xL%Z", value);

    return cJSON_AddStringToObject(to, name, (char *) hex) ? NGX_OK
                                                           : NGX_ERROR;
}


ngx_int_t
ngx_http_llm_state_to_pool(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const cJSON *tree, llm_msec_t now,
    ngx_pool_t *temp)
{
    ngx_http_llm_index_t       keys, groups;
    ngx_http_llm_pool_node_t  *pn;

    pn = pool->node;

    if (ngx_http_llm_index_keys(pn, &keys, temp) != NGX_OK
        || ngx_http_llm_index_groups(pn, &groups, temp) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_llm_store_lock(store);

    ngx_http_llm_state_get_keys(pn,
                      cJSON_GetObjectItemCaseSensitive(tree, "keys"),
                      &keys, now);

    ngx_http_llm_state_get_groups(pn, pn->shared,
                      cJSON_GetObjectItemCaseSensitive(tree, "shared"),
                      &groups, now);

    ngx_http_llm_state_get_lanes(store, pool,
                      cJSON_GetObjectItemCaseSensitive(tree, "lanes"),
                      &groups, now);

    ngx_http_llm_store_unlock(store);

    return NGX_OK;
}


static void
ngx_http_llm_state_get_keys(ngx_http_llm_pool_node_t *pn, const cJSON *from,
    const ngx_http_llm_index_t *index, llm_msec_t now)
{
    u_char            fp[NGX_HTTP_LLM_FINGERPRINT];
    uint32_t          i;
    const cJSON      *item;
    llm_key_state_t  *key;

    cJSON_ArrayForEach(item, from) {

        if (ngx_http_llm_state_hex(item->string, fp, sizeof(fp)) != NGX_OK) {
            continue;
        }

        i = ngx_http_llm_index_find(index, ngx_http_llm_key_id(fp));

        if (i == NGX_HTTP_LLM_NOWHERE
            || ngx_memcmp(fp, pn->fingerprints + i * sizeof(fp), sizeof(fp)))
        {
            continue;
        }

        key = &pn->key[i];

        key->until = ngx_http_llm_state_get(item, "until");
        key->switched = ngx_http_llm_state_get(item, "switched");
        key->failures = ngx_http_llm_state_small(item, "failures", 1000000);
        key->auth_step = ngx_http_llm_state_small(item, "auth_step",
                                                  NGX_HTTP_LLM_STATE_STEPS);
        key->status = ngx_http_llm_state_small(item, "status",
                                               LLM_KEY_MANUAL_OFF);
        key->cause = ngx_http_llm_state_small(item, "cause", LLM_CLASS_N - 1);

        /* the probe that was under way is lost: another one may go */

        if (key->status == LLM_KEY_PROBING) {
            key->status = LLM_KEY_DISABLED;
        }

        if (key->status < LLM_KEY_PROBING && key->until <= now) {
            key->status = LLM_KEY_ACTIVE;
            key->until = 0;
        }
    }
}


static void
ngx_http_llm_state_get_groups(ngx_http_llm_pool_node_t *pn,
    llm_group_state_t *group, const cJSON *from,
    const ngx_http_llm_index_t *index, llm_msec_t now)
{
    uint32_t            i;
    uint64_t            id;
    ngx_uint_t          n;
    const cJSON        *item, *row;
    llm_group_state_t  *g;

    cJSON_ArrayForEach(item, from) {

        if (ngx_http_llm_state_hex64(item->string, &id) != NGX_OK) {
            continue;
        }

        i = ngx_http_llm_index_find(index, id);

        if (i == NGX_HTTP_LLM_NOWHERE) {
            continue;
        }

        g = &group[i];

        g->until = ngx_http_llm_state_get(item, "until");

        if (g->until > now) {
            g->step = ngx_http_llm_state_small(item, "step",
                                               NGX_HTTP_LLM_STATE_STEPS);
            g->cause = ngx_http_llm_state_small(item, "cause",
                                                LLM_CLASS_N - 1);
            g->probing = ngx_http_llm_state_small(item, "probing", 1);

        } else {
            g->until = 0;
        }

        if (ngx_http_llm_state_get(item, "shape") != pn->shapes[i]) {
            continue;
        }

        n = 0;

        cJSON_ArrayForEach(row,
                         cJSON_GetObjectItemCaseSensitive(item, "limits"))
        {
            if (n < LLM_GROUP_LIMITS) {
                ngx_http_llm_state_get_limit(&g->limit[n++], row);
            }
        }
    }
}


static void
ngx_http_llm_state_get_lanes(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, const cJSON *from,
    const ngx_http_llm_index_t *index, llm_msec_t now)
{
    char                      *model;
    uint64_t                   hash;
    ngx_str_t                  name;
    ngx_uint_t                 i;
    const cJSON               *item;
    ngx_http_llm_lane_node_t  *ln;

    cJSON_ArrayForEach(item, from) {

        model = cJSON_GetStringValue(
                            cJSON_GetObjectItemCaseSensitive(item, "model"));

        if (model == NULL
            || ngx_http_llm_state_hex64(item->string, &hash) != NGX_OK)
        {
            continue;
        }

        name.data = (u_char *) model;
        name.len = ngx_strlen(model);

        ln = ngx_http_llm_lane_get_locked(store, pool, &name, hash, now);

        if (ln == NULL || ln == pool->node->overflow) {
            return;
        }

        ngx_http_llm_state_get_groups(pool->node, ln->group,
                      cJSON_GetObjectItemCaseSensitive(item, "groups"),
                      index, now);

        for (i = 0; i < pool->node->group_n; i++) {
            ln->rest = ngx_max(ln->rest, ln->group[i].until);
        }
    }
}


static void
ngx_http_llm_state_get_limit(llm_limit_state_t *l, const cJSON *from)
{
    uint64_t      n;
    ngx_uint_t    i;
    const cJSON  *item;

    i = 0;

    cJSON_ArrayForEach(item, from) {
        n = ngx_http_llm_state_number(item);

        if (n == LLM_NEVER) {
            n = 0;
        }

        if (i == 0) {
            l->used = n;

        } else if (i == 1) {
            l->at = n;

        } else if (i - 2 < LLM_RING) {
            llm_limit_set_slot(l, i - 2, n);
        }

        i++;
    }
}


uint64_t
ngx_http_llm_state_get(const cJSON *from, const char *name)
{
    return ngx_http_llm_state_number(
                              cJSON_GetObjectItemCaseSensitive(from, name));
}


uint32_t
ngx_http_llm_state_small(const cJSON *from, const char *name, uint32_t max)
{
    uint64_t  n;

    n = ngx_http_llm_state_get(from, name);

    return n > max ? 0 : (uint32_t) n;
}


static uint64_t
ngx_http_llm_state_number(const cJSON *item)
{
    if (!cJSON_IsNumber(item)) {
        return 0;
    }

    if (item->valuedouble < 0) {
        return LLM_NEVER;
    }

    if (!(item->valuedouble < NGX_HTTP_LLM_STATE_EXACT)) {
        return 0;
    }

    return (uint64_t) item->valuedouble;
}


ngx_int_t
ngx_http_llm_state_hex(const char *text, u_char *to, size_t len)
{
    size_t     i;
    ngx_int_t  n;

    if (text == NULL || ngx_strlen(text) != 2 * len) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        n = ngx_hextoi((u_char *) text + 2 * i, 2);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        to[i] = (u_char) n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_state_hex64(const char *text, uint64_t *to)
{
    u_char      bytes[8];
    ngx_uint_t  i;

    if (ngx_http_llm_state_hex(text, bytes, sizeof(bytes)) != NGX_OK) {
        return NGX_ERROR;
    }

    *to = 0;

    for (i = 0; i < sizeof(bytes); i++) {
        *to = *to << 8 | bytes[i];
    }

    return NGX_OK;
}
