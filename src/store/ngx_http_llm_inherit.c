/*
 * A pool whose list of keys changed: what is known of a key or of a group
 * follows it to its new place, found by fingerprint and by group id.
 *
 * This happens in the master, once per changed list and reload; copying holds
 * the lock for as long as the list is, which is microseconds per thousand keys.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


typedef struct {
    uint32_t  *key;                         /* old place of each key … */
    uint32_t  *group;                       /* … and group, or NOWHERE */
} ngx_http_llm_places_t;


static int ngx_libc_cdecl ngx_http_llm_index_cmp(const void *one,
    const void *two);
static ngx_int_t ngx_http_llm_inherit_places(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_pool_node_t *old, ngx_http_llm_places_t *places,
    ngx_pool_t *temp);
static void ngx_http_llm_inherit_group(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_pool_node_t *old, ngx_uint_t i, ngx_uint_t from,
    llm_group_state_t *to_state, const llm_group_state_t *from_state);


uint64_t
ngx_http_llm_key_id(const u_char *fingerprint)
{
    uint64_t  id;

    ngx_memcpy(&id, fingerprint, sizeof(uint64_t));

    return id;
}


ngx_int_t
ngx_http_llm_index_keys(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_index_t *index, ngx_pool_t *pool)
{
    uint32_t  i;

    index->n = pn->key_n;
    index->entry = ngx_palloc(pool, pn->key_n
                                    * sizeof(ngx_http_llm_index_entry_t));
    if (index->entry == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < pn->key_n; i++) {
        index->entry[i].i = i;
        index->entry[i].id = ngx_http_llm_key_id(pn->fingerprints
                                              + i * NGX_HTTP_LLM_FINGERPRINT);
    }

    ngx_qsort(index->entry, index->n, sizeof(ngx_http_llm_index_entry_t),
              ngx_http_llm_index_cmp);

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_index_groups(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_index_t *index, ngx_pool_t *pool)
{
    uint32_t  i;

    index->n = pn->group_n;
    index->entry = ngx_palloc(pool, pn->group_n
                                    * sizeof(ngx_http_llm_index_entry_t));
    if (index->entry == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < pn->group_n; i++) {
        index->entry[i].i = i;
        index->entry[i].id = pn->group_ids[i];
    }

    ngx_qsort(index->entry, index->n, sizeof(ngx_http_llm_index_entry_t),
              ngx_http_llm_index_cmp);

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_llm_index_cmp(const void *one, const void *two)
{
    const ngx_http_llm_index_entry_t  *a, *b;

    a = one;
    b = two;

    return (a->id > b->id) - (a->id < b->id);
}


uint32_t
ngx_http_llm_index_find(const ngx_http_llm_index_t *index, uint64_t id)
{
    ngx_uint_t  low, high, mid;

    low = 0;
    high = index->n;

    while (low < high) {
        mid = low + (high - low) / 2;

        if (index->entry[mid].id == id) {
            return index->entry[mid].i;
        }

        if (index->entry[mid].id < id) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return NGX_HTTP_LLM_NOWHERE;
}


ngx_int_t
ngx_http_llm_inherit(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_http_llm_pool_node_t *old,
    ngx_pool_t *temp)
{
    ngx_str_t                  name;
    ngx_uint_t                 i, n;
    ngx_http_llm_places_t      places;
    ngx_http_llm_lane_node_t  *from, *ln;
    ngx_http_llm_pool_node_t  *pn;

    pn = pool->node;

    if (ngx_http_llm_inherit_places(pn, old, &places, temp) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_llm_store_lock(store);

    for (i = 0; i < pn->key_n; i++) {
        if (places.key[i] != NGX_HTTP_LLM_NOWHERE) {
            pn->key[i] = old->key[places.key[i]];
        }
    }

    for (i = 0; i < pn->group_n; i++) {
        if (places.group[i] != NGX_HTTP_LLM_NOWHERE) {
            ngx_http_llm_inherit_group(pn, old, i, places.group[i],
                                       &pn->shared[i],
                                       &old->shared[places.group[i]]);
        }
    }

    for (n = 0; n < old->lane_n; n++) {
        from = old->lane[n];
        name.len = from->model_len;
        name.data = from->model;

        ln = ngx_http_llm_lane_get_locked(store, pool, &name, from->hash,
                                          from->used);
        if (ln == NULL) {
            break;
        }

        ln->rest = from->rest;

        for (i = 0; i < pn->group_n; i++) {
            if (places.group[i] != NGX_HTTP_LLM_NOWHERE) {
                ngx_http_llm_inherit_group(pn, old, i, places.group[i],
                                           &ln->group[i],
                                           &from->group[places.group[i]]);
            }
        }
    }

    ngx_http_llm_store_unlock(store);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_inherit_places(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_pool_node_t *old, ngx_http_llm_places_t *places,
    ngx_pool_t *temp)
{
    ngx_uint_t            i;
    ngx_http_llm_index_t  keys, groups;

    if (ngx_http_llm_index_keys(old, &keys, temp) != NGX_OK
        || ngx_http_llm_index_groups(old, &groups, temp) != NGX_OK)
    {
        return NGX_ERROR;
    }

    places->key = ngx_palloc(temp, pn->key_n * sizeof(uint32_t));
    places->group = ngx_palloc(temp, pn->group_n * sizeof(uint32_t));

    if (places->key == NULL || places->group == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < pn->key_n; i++) {
        places->key[i] = ngx_http_llm_index_find(&keys,
                             ngx_http_llm_key_id(pn->fingerprints
                                             + i * NGX_HTTP_LLM_FINGERPRINT));
    }

    for (i = 0; i < pn->group_n; i++) {
        places->group[i] = ngx_http_llm_index_find(&groups, pn->group_ids[i]);
    }

    return NGX_OK;
}


/* A rest is kept in any case, counters only where they count the same. */

static void
ngx_http_llm_inherit_group(ngx_http_llm_pool_node_t *pn,
    ngx_http_llm_pool_node_t *old, ngx_uint_t i, ngx_uint_t from,
    llm_group_state_t *to_state, const llm_group_state_t *from_state)
{
    *to_state = *from_state;

    if (pn->shapes[i] != old->shapes[from]) {
        ngx_memzero(to_state->limit, sizeof(to_state->limit));
    }
}
