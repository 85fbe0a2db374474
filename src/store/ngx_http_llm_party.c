/*
 * Records of clients, users and organisations in the zone: a hash table, and a
 * queue in the order of their changes.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_PARTY_BUCKETS  4096
#define NGX_HTTP_LLM_PARTY_SHARE    4       /* of the zone: a quarter at most */
#define NGX_HTTP_LLM_PARTY_GONE     4096    /* deletions remembered */
#define NGX_HTTP_LLM_PARTY_COPY     (4 * NGX_HTTP_LLM_PARTY_TEXT)


static uint64_t ngx_http_llm_party_hash(llm_party_t kind,
    const ngx_str_t *id);
static ngx_http_llm_party_node_t **ngx_http_llm_party_find_locked(
    ngx_http_llm_root_t *root, llm_party_t kind, const ngx_str_t *id);
static ngx_uint_t ngx_http_llm_party_is_newer(
    const ngx_http_llm_party_row_t *row, const ngx_http_llm_party_node_t *pn);
static ngx_int_t ngx_http_llm_party_put_locked(ngx_http_llm_store_t *store,
    const ngx_http_llm_party_row_t *row);
static ngx_http_llm_party_node_t *ngx_http_llm_party_make_locked(
    ngx_http_llm_store_t *store, const ngx_http_llm_party_row_t *row);
static void ngx_http_llm_party_drop_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_party_node_t **place);
static void ngx_http_llm_party_forget_locked(ngx_http_llm_store_t *store);
static ngx_queue_t *ngx_http_llm_party_after_locked(ngx_http_llm_root_t *root,
    uint64_t after);
static u_char *ngx_http_llm_party_copy_locked(
    const ngx_http_llm_party_node_t *pn, ngx_http_llm_party_row_t *row,
    u_char *p);


static ngx_inline size_t
ngx_http_llm_party_size(size_t id, size_t text)
{
    return offsetof(ngx_http_llm_party_node_t, data) + id + text;
}


uint64_t
ngx_http_llm_party_serial(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    return root ? __atomic_load_n(&root->parties.serial, __ATOMIC_ACQUIRE) : 0;
}


static uint64_t
ngx_http_llm_party_hash(llm_party_t kind, const ngx_str_t *id)
{
    return llm_fnv64(ngx_http_llm_str(id), kind);
}


/* Where the pointer to it is, or the end of its chain. */

static ngx_http_llm_party_node_t **
ngx_http_llm_party_find_locked(ngx_http_llm_root_t *root, llm_party_t kind,
    const ngx_str_t *id)
{
    uint64_t                     hash;
    ngx_http_llm_party_node_t  **place, *pn;

    hash = ngx_http_llm_party_hash(kind, id);
    place = &root->parties.bucket[hash % NGX_HTTP_LLM_PARTY_BUCKETS];

    while ((pn = *place)) {
        if (pn->hash == hash && pn->kind == kind && pn->id_len == id->len
            && ngx_memcmp(pn->data, id->data, id->len) == 0)
        {
            break;
        }

        place = &pn->next;
    }

    return place;
}


static ngx_uint_t
ngx_http_llm_party_is_newer(const ngx_http_llm_party_row_t *row,
    const ngx_http_llm_party_node_t *pn)
{
    llm_str_t  text;

    if (row->version != pn->version) {
        return row->version > pn->version;
    }

    text.data = pn->data + pn->id_len;
    text.len = pn->text_len;

    return llm_fnv64(ngx_http_llm_str(&row->text), 0) > llm_fnv64(text, 0);
}


ngx_int_t
ngx_http_llm_party_put(ngx_http_llm_store_t *store,
    const ngx_http_llm_party_row_t *row)
{
    ngx_int_t  rc;

    if (store->root == NULL || row->id.len == 0
        || row->id.len > LLM_CLIENT_ID
        || row->text.len > NGX_HTTP_LLM_PARTY_TEXT)
    {
        return NGX_ERROR;
    }

    ngx_http_llm_store_lock(store);
    rc = ngx_http_llm_party_put_locked(store, row);
    ngx_http_llm_store_unlock(store);

    return rc;
}


static ngx_int_t
ngx_http_llm_party_put_locked(ngx_http_llm_store_t *store,
    const ngx_http_llm_party_row_t *row)
{
    ngx_http_llm_root_t         *root;
    ngx_http_llm_parties_t      *parties;
    ngx_http_llm_party_node_t   *pn, **place;

    root = store->root;
    parties = &root->parties;

    if (parties->bucket == NULL) {
        parties->bucket = ngx_slab_calloc_locked(store->shpool,
                              NGX_HTTP_LLM_PARTY_BUCKETS * sizeof(void *));
        if (parties->bucket == NULL) {
            return NGX_ERROR;
        }
    }

    place = ngx_http_llm_party_find_locked(root, row->kind, &row->id);

    if (*place && !ngx_http_llm_party_is_newer(row, *place)) {
        return NGX_DECLINED;
    }

    pn = ngx_http_llm_party_make_locked(store, row);
    if (pn == NULL) {
        return NGX_ERROR;
    }

    if (*place) {
        ngx_http_llm_party_drop_locked(store, place);
    }

    place = &parties->bucket[pn->hash % NGX_HTTP_LLM_PARTY_BUCKETS];
    pn->next = *place;
    *place = pn;

    ngx_queue_insert_tail(&parties->changes, &pn->queue);

    pn->serial = parties->serial + 1;
    __atomic_store_n(&parties->serial, pn->serial, __ATOMIC_RELEASE);

    root->changes++;

    if (parties->gone > NGX_HTTP_LLM_PARTY_GONE) {
        ngx_http_llm_party_forget_locked(store);
    }

    return NGX_OK;
}


static ngx_http_llm_party_node_t *
ngx_http_llm_party_make_locked(ngx_http_llm_store_t *store,
    const ngx_http_llm_party_row_t *row)
{
    size_t                      size;
    ngx_http_llm_parties_t     *parties;
    ngx_http_llm_party_node_t  *pn;

    parties = &((ngx_http_llm_root_t *) store->root)->parties;
    size = ngx_http_llm_party_size(row->id.len, row->text.len);

    if (parties->size + size
        > store->zone->shm.size / NGX_HTTP_LLM_PARTY_SHARE)
    {
        return NULL;
    }

    pn = ngx_slab_alloc_locked(store->shpool, size);
    if (pn == NULL) {
        return NULL;
    }

    pn->hash = ngx_http_llm_party_hash(row->kind, &row->id);
    pn->version = row->version;
    pn->kind = row->kind;
    pn->id_len = row->id.len;
    pn->text_len = row->text.len;
    pn->lasting = row->lasting;
    pn->remote = row->remote;

    ngx_memcpy(ngx_cpymem(pn->data, row->id.data, row->id.len),
               row->text.data, row->text.len);

    parties->size += size;
    parties->n++;
    parties->gone += (row->text.len == 0);

    return pn;
}


static void
ngx_http_llm_party_drop_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_party_node_t **place)
{
    ngx_http_llm_parties_t     *parties;
    ngx_http_llm_party_node_t  *pn;

    pn = *place;
    parties = &((ngx_http_llm_root_t *) store->root)->parties;

    *place = pn->next;
    ngx_queue_remove(&pn->queue);

    parties->size -= ngx_http_llm_party_size(pn->id_len, pn->text_len);
    parties->n--;
    parties->gone -= (pn->text_len == 0);

    ngx_slab_free_locked(store->shpool, pn);
}


/* The deletion that is longest ago; every node has heard of it. */

static void
ngx_http_llm_party_forget_locked(ngx_http_llm_store_t *store)
{
    ngx_str_t                   id;
    ngx_queue_t                *q;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_party_node_t  *pn;

    root = store->root;

    for (q = ngx_queue_head(&root->parties.changes);
         q != ngx_queue_sentinel(&root->parties.changes);
         q = ngx_queue_next(q))
    {
        pn = ngx_queue_data(q, ngx_http_llm_party_node_t, queue);

        if (pn->text_len == 0 && !pn->lasting) {
            id.data = pn->data;
            id.len = pn->id_len;

            ngx_http_llm_party_drop_locked(store,
                       ngx_http_llm_party_find_locked(root, pn->kind, &id));
            return;
        }
    }
}


uint64_t
ngx_http_llm_party_version(ngx_http_llm_store_t *store, llm_party_t kind,
    const ngx_str_t *id)
{
    uint64_t                    version, stamp, node;
    ngx_str_t                   name;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_party_node_t  *pn;

    root = store->root;
    name = ngx_http_llm_nodes_id(store);
    node = llm_fnv64(ngx_http_llm_str(&name), 0) % 1024;
    version = ngx_http_llm_party_stamp(ngx_http_llm_store_now(store)) | node;

    ngx_http_llm_store_lock(store);

    if (root->parties.bucket) {
        pn = *ngx_http_llm_party_find_locked(root, kind, id);

        if (pn && pn->version >= version) {
            stamp = pn->version - pn->version % 1024;
            version = (stamp + 1024) | node;
        }
    }

    ngx_http_llm_store_unlock(store);

    return version;
}


ngx_int_t
ngx_http_llm_party_next(ngx_http_llm_store_t *store, uint64_t *after,
    ngx_pool_t *pool, ngx_array_t *rows)
{
    u_char                     *p, *last;
    size_t                      size;
    ngx_queue_t                *q;
    ngx_uint_t                  n;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_party_row_t   *row;
    ngx_http_llm_party_node_t  *pn;

    root = store->root;

    if (ngx_http_llm_party_serial(store) <= *after) {
        return NGX_DONE;
    }

    /* room for any one of them, and for all when they are few */

    size = root->parties.size + NGX_HTTP_LLM_PARTY_TEXT + LLM_CLIENT_ID;
    size = ngx_min(size, NGX_HTTP_LLM_PARTY_COPY);
    n = size / ngx_http_llm_party_size(1, 0) + 1;

    p = ngx_pnalloc(pool, size);
    row = ngx_palloc(pool, n * sizeof(ngx_http_llm_party_row_t));

    if (p == NULL || row == NULL) {
        return NGX_ERROR;
    }

    last = p + size;

    rows->elts = row;
    rows->nelts = 0;
    rows->nalloc = n;
    rows->size = sizeof(ngx_http_llm_party_row_t);
    rows->pool = pool;

    ngx_http_llm_store_lock(store);

    for (q = ngx_http_llm_party_after_locked(root, *after);
         q != ngx_queue_sentinel(&root->parties.changes) && rows->nelts < n;
         q = ngx_queue_next(q))
    {
        pn = ngx_queue_data(q, ngx_http_llm_party_node_t, queue);

        if (pn->id_len + pn->text_len > (size_t) (last - p)) {
            break;
        }

        p = ngx_http_llm_party_copy_locked(pn, &row[rows->nelts++], p);
        *after = pn->serial;
    }

    ngx_http_llm_store_unlock(store);

    /* the newest may have been a deletion that is forgotten by now */

    if (rows->nelts == 0) {
        *after = ngx_http_llm_party_serial(store);
        return NGX_DONE;
    }

    return NGX_OK;
}


/* Searched from the end that is nearer. */

static ngx_queue_t *
ngx_http_llm_party_after_locked(ngx_http_llm_root_t *root, uint64_t after)
{
    ngx_queue_t                *q, *head;
    ngx_http_llm_party_node_t  *pn;

    head = &root->parties.changes;

    if (root->parties.serial - after >= root->parties.n) {

        for (q = ngx_queue_next(head); q != head; q = ngx_queue_next(q)) {
            pn = ngx_queue_data(q, ngx_http_llm_party_node_t, queue);

            if (pn->serial > after) {
                break;
            }
        }

        return q;
    }

    for (q = ngx_queue_prev(head); q != head; q = ngx_queue_prev(q)) {
        pn = ngx_queue_data(q, ngx_http_llm_party_node_t, queue);

        if (pn->serial <= after) {
            break;
        }
    }

    return ngx_queue_next(q);
}


static u_char *
ngx_http_llm_party_copy_locked(const ngx_http_llm_party_node_t *pn,
    ngx_http_llm_party_row_t *row, u_char *p)
{
    row->kind = pn->kind;
    row->version = pn->version;
    row->serial = pn->serial;
    row->lasting = pn->lasting;
    row->remote = pn->remote;

    row->id.data = p;
    row->id.len = pn->id_len;
    p = ngx_cpymem(p, pn->data, pn->id_len);

    row->text.data = p;
    row->text.len = pn->text_len;

    return ngx_cpymem(p, pn->data + pn->id_len, pn->text_len);
}


void
ngx_http_llm_party_last(ngx_http_llm_store_t *store, llm_party_t kind,
    const ngx_str_t *id)
{
    ngx_http_llm_root_t        *root;
    ngx_http_llm_party_node_t  *pn;

    root = store->root;

    ngx_http_llm_store_lock(store);

    if (root->parties.bucket) {
        pn = *ngx_http_llm_party_find_locked(root, kind, id);

        if (pn && pn->text_len == 0) {
            pn->lasting = 1;
        }
    }

    ngx_http_llm_store_unlock(store);
}


void
ngx_http_llm_auth_count(ngx_http_llm_store_t *store,
    ngx_http_llm_auth_e outcome)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (root) {
        (void) __atomic_fetch_add(&root->parties.auth[outcome], 1,
                                  __ATOMIC_RELAXED);
    }
}


uint64_t
ngx_http_llm_auth_total(ngx_http_llm_store_t *store,
    ngx_http_llm_auth_e outcome)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    return root ? __atomic_load_n(&root->parties.auth[outcome],
                                  __ATOMIC_RELAXED)
                : 0;
}
