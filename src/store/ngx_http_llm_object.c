/*
 * Objects that a provider holds: a file, a batch, a response can be asked for
 * only where it was made.  Sessions in the same form: who served the last
 * request of one.
 *
 * For each a hash table and a queue by age of use in the zone: sessions, which
 * clients name as they like, push no object out.  Bounded: the ones unused for
 * longest are forgotten first, objects after 30 days.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_OBJECTS_MAX    20000
#define NGX_HTTP_LLM_OBJECTS_SHARE  8       /* of the zone: 1/8 at most */
#define NGX_HTTP_LLM_OBJECT_LIFE    (30 * 24 * 3600 * 1000ULL)      /* ms */

/* What one takes of the zone, its place in the table included. */
#define NGX_HTTP_LLM_OBJECT_SIZE    (128 + sizeof(void *))


static void ngx_http_llm_objects_put_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects,
    const ngx_http_llm_object_entry_t *entry);
static ngx_int_t ngx_http_llm_objects_get(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects, ngx_str_t *name, llm_msec_t life,
    ngx_http_llm_object_t *object);
static ngx_int_t ngx_http_llm_objects_init_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects);
static ngx_http_llm_object_node_t **ngx_http_llm_object_find_locked(
    ngx_http_llm_objects_t *objects, const uint64_t id[2]);
static ngx_http_llm_object_node_t *ngx_http_llm_object_make_locked(
    ngx_http_llm_store_t *store, ngx_http_llm_objects_t *objects,
    const uint64_t id[2]);
static void ngx_http_llm_object_drop_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects, ngx_http_llm_object_node_t *on);


static ngx_inline void
ngx_http_llm_object_id(const ngx_str_t *name, uint64_t id[2])
{
    id[0] = llm_fnv64(ngx_http_llm_str(name), 0);
    id[1] = llm_fnv64(ngx_http_llm_str(name), id[0]);
}


static void
ngx_http_llm_object_entry(ngx_http_llm_store_t *store, ngx_str_t *name,
    ngx_http_llm_object_t *object, ngx_http_llm_object_entry_t *entry)
{
    ngx_http_llm_object_id(name, entry->id);
    entry->made = ngx_http_llm_store_now(store);
    entry->object = *object;
}


void
ngx_http_llm_object_put(ngx_http_llm_store_t *store, ngx_str_t *name,
    ngx_http_llm_object_t *object)
{
    ngx_http_llm_root_t         *root;
    ngx_http_llm_object_entry_t  entry;

    root = store->root;

    ngx_http_llm_object_entry(store, name, object, &entry);

    ngx_http_llm_store_lock(store);
    ngx_http_llm_object_put_locked(store, &entry);
    root->objects.changes++;
    ngx_http_llm_store_unlock(store);
}


void
ngx_http_llm_object_put_locked(ngx_http_llm_store_t *store,
    const ngx_http_llm_object_entry_t *entry)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    ngx_http_llm_objects_put_locked(store, &root->objects, entry);
}


ngx_int_t
ngx_http_llm_object_get(ngx_http_llm_store_t *store, ngx_str_t *name,
    ngx_http_llm_object_t *object)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    return root ? ngx_http_llm_objects_get(store, &root->objects, name,
                                           NGX_HTTP_LLM_OBJECT_LIFE, object)
                : NGX_DECLINED;
}


void
ngx_http_llm_session_put(ngx_http_llm_store_t *store, ngx_str_t *name,
    ngx_http_llm_object_t *object)
{
    ngx_http_llm_root_t          *root;
    ngx_http_llm_object_entry_t   entry;

    root = store->root;

    ngx_http_llm_object_entry(store, name, object, &entry);

    ngx_http_llm_store_lock(store);
    ngx_http_llm_objects_put_locked(store, &root->sessions, &entry);
    ngx_http_llm_store_unlock(store);
}


ngx_int_t
ngx_http_llm_session_get(ngx_http_llm_store_t *store, ngx_str_t *name,
    llm_msec_t life, ngx_http_llm_object_t *object)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    return ngx_http_llm_objects_get(store, &root->sessions, name, life,
                                    object);
}


static void
ngx_http_llm_objects_put_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects, const ngx_http_llm_object_entry_t *entry)
{
    ngx_http_llm_object_node_t  *on;

    if (objects->table == NULL
        && ngx_http_llm_objects_init_locked(store, objects) != NGX_OK)
    {
        return;
    }

    on = *ngx_http_llm_object_find_locked(objects, entry->id);

    if (on) {
        ngx_queue_remove(&on->queue);

    } else {
        on = ngx_http_llm_object_make_locked(store, objects, entry->id);

        if (on == NULL) {
            return;
        }
    }

    on->entry = *entry;

    ngx_queue_insert_head(&objects->used, &on->queue);
}


static ngx_int_t
ngx_http_llm_objects_get(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects, ngx_str_t *name, llm_msec_t life,
    ngx_http_llm_object_t *object)
{
    uint64_t                     id[2];
    ngx_int_t                    rc;
    llm_msec_t                   now;
    ngx_http_llm_object_node_t  *on;

    if (objects->n == 0) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;
    now = ngx_http_llm_store_now(store);

    ngx_http_llm_object_id(name, id);

    ngx_http_llm_store_lock(store);

    on = *ngx_http_llm_object_find_locked(objects, id);

    if (on && on->entry.made + life <= now) {
        ngx_http_llm_object_drop_locked(store, objects, on);

    } else if (on) {
        *object = on->entry.object;
        rc = NGX_OK;

        ngx_queue_remove(&on->queue);
        ngx_queue_insert_head(&objects->used, &on->queue);
    }

    ngx_http_llm_store_unlock(store);

    return rc;
}


static ngx_int_t
ngx_http_llm_objects_init_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects)
{
    size_t  n, size;

    n = store->zone->shm.size / NGX_HTTP_LLM_OBJECTS_SHARE
        / NGX_HTTP_LLM_OBJECT_SIZE;
    n = ngx_min(n, NGX_HTTP_LLM_OBJECTS_MAX);

    for (size = 1; size < n; size <<= 1) { /* void */ }

    objects->table = ngx_slab_calloc_locked(store->shpool,
                                            size * sizeof(void *));
    if (objects->table == NULL) {
        return NGX_ERROR;
    }

    objects->size = size;
    objects->max = n;

    return NGX_OK;
}


/* The pointer to it, or the one at the end of its row. */

static ngx_http_llm_object_node_t **
ngx_http_llm_object_find_locked(ngx_http_llm_objects_t *objects,
    const uint64_t id[2])
{
    ngx_http_llm_object_node_t  **p;

    p = &objects->table[id[0] & (objects->size - 1)];

    while (*p && ((*p)->entry.id[0] != id[0] || (*p)->entry.id[1] != id[1])) {
        p = &(*p)->next;
    }

    return p;
}


static ngx_http_llm_object_node_t *
ngx_http_llm_object_make_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects, const uint64_t id[2])
{
    ngx_queue_t                  *last;
    ngx_http_llm_object_node_t   *on, **row;

    on = NULL;

    if (objects->n < objects->max) {
        on = ngx_slab_alloc_locked(store->shpool,
                                   sizeof(ngx_http_llm_object_node_t));
    }

    if (on == NULL) {

        if (objects->n == 0) {
            return NULL;
        }

        last = ngx_queue_last(&objects->used);
        ngx_http_llm_object_drop_locked(store, objects,
                  ngx_queue_data(last, ngx_http_llm_object_node_t, queue));

        on = ngx_slab_alloc_locked(store->shpool,
                                   sizeof(ngx_http_llm_object_node_t));
        if (on == NULL) {
            return NULL;
        }
    }

    row = &objects->table[id[0] & (objects->size - 1)];
    on->next = *row;
    *row = on;
    objects->n++;

    return on;
}


static void
ngx_http_llm_object_drop_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_objects_t *objects, ngx_http_llm_object_node_t *on)
{
    *ngx_http_llm_object_find_locked(objects, on->entry.id) = on->next;
    ngx_queue_remove(&on->queue);
    objects->n--;

    ngx_slab_free_locked(store->shpool, on);
}
