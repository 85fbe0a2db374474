/*
 * What the state file holds beside the keys:
 *
 *   "splits":   {NAME: see ngx_http_llm_state_split.c},
 *   "switches": {HASH: {"kind", "name", "at", "on"}}, those that were set,
 *   "objects":  ["ID ID MADE SPLIT VARIANT TARGET KEY", …], newest first,
 *   "audit":    {"seq", "hash"}, the head of its chain,
 *   "counters": see ngx_http_llm_state_counter.c,
 *   "node":     {"id", "nodes"}, what this node is called among how many
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_STATE_ROWS     64      /* of the table of objects, in one
                                               hold of the lock */
#define NGX_HTTP_LLM_STATE_OBJECTS  10000
#define NGX_HTTP_LLM_STATE_WORDS    6       /* of 16 digits, and a key */


static ngx_int_t ngx_http_llm_state_put_splits(ngx_http_llm_store_t *store,
    cJSON *to);
static ngx_int_t ngx_http_llm_state_put_switches(ngx_http_llm_store_t *store,
    cJSON *to);
static ngx_int_t ngx_http_llm_state_put_audit(ngx_http_llm_store_t *store,
    cJSON *to);
static ngx_int_t ngx_http_llm_state_put_objects(ngx_http_llm_store_t *store,
    cJSON *to);
static ngx_uint_t ngx_http_llm_state_copy_objects(ngx_http_llm_store_t *store,
    ngx_http_llm_object_entry_t *entry, ngx_uint_t max);
static int ngx_libc_cdecl ngx_http_llm_state_cmp_objects(const void *one,
    const void *two);
static ngx_int_t ngx_http_llm_state_put_object(
    const ngx_http_llm_object_entry_t *entry, cJSON *to);
static void ngx_http_llm_state_get_switches(ngx_http_llm_store_t *store,
    const cJSON *from);
static void ngx_http_llm_state_get_audit(ngx_http_llm_store_t *store,
    const cJSON *from);
static void ngx_http_llm_state_get_objects(ngx_http_llm_store_t *store,
    const cJSON *from, ngx_pool_t *temp);
static ngx_int_t ngx_http_llm_state_get_object(const char *text,
    ngx_http_llm_object_entry_t *entry);


ngx_int_t
ngx_http_llm_state_put_traffic(ngx_http_llm_store_t *store, cJSON *tree)
{
    cJSON  *splits, *switches, *objects, *audit, *counters, *node;

    splits = cJSON_AddObjectToObject(tree, "splits");
    switches = cJSON_AddObjectToObject(tree, "switches");
    objects = cJSON_AddArrayToObject(tree, "objects");
    audit = cJSON_AddObjectToObject(tree, "audit");
    counters = cJSON_AddArrayToObject(tree, "counters");
    node = cJSON_AddObjectToObject(tree, "node");

    if (splits == NULL || switches == NULL || objects == NULL || audit == NULL
        || counters == NULL || node == NULL
        || ngx_http_llm_state_put_counters(store, counters) != NGX_OK
        || ngx_http_llm_nodes_put_state(store, node) != NGX_OK
        || ngx_http_llm_state_put_splits(store, splits) != NGX_OK
        || ngx_http_llm_state_put_switches(store, switches) != NGX_OK
        || ngx_http_llm_state_put_objects(store, objects) != NGX_OK
        || ngx_http_llm_state_put_audit(store, audit) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_splits(ngx_http_llm_store_t *store, cJSON *to)
{
    cJSON                        *item;
    u_char                        name[256];
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **split;

    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {

        if (ngx_http_llm_state_c_name(&split[i]->name, name, sizeof(name))
            == NULL)
        {
            continue;
        }

        item = ngx_http_llm_state_from_split(store, split[i]);

        if (item == NULL || !cJSON_AddItemToObject(to, (char *) name, item)) {
            cJSON_Delete(item);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_switches(ngx_http_llm_store_t *store, cJSON *to)
{
    cJSON                         *item;
    u_char                         hex[17], name[256];
    uint32_t                       word;
    ngx_uint_t                     i;
    ngx_http_llm_store_switch_t  **sw;

    sw = store->switches.elts;

    for (i = 0; i < store->switches.nelts; i++) {
        word = sw[i]->node->word;

        if (word == NGX_HTTP_LLM_SWITCH_UNSET
            || ngx_http_llm_state_c_name(&sw[i]->name, name, sizeof(name))
               == NULL)
        {
            continue;
        }

        (void) ngx_sprintf(hex, "%016xL%Z", sw[i]->node->node.hash);

        item = cJSON_AddObjectToObject(to, (char *) hex);

        if (item == NULL
            || cJSON_AddStringToObject(item, "kind",
                                       sw[i]->kind
                                       == NGX_HTTP_LLM_SWITCH_PROVIDER
                                       ? "provider" : "model") == NULL
            || cJSON_AddStringToObject(item, "name", (char *) name) == NULL
            || ngx_http_llm_state_put(item, "at", sw[i]->node->at) != NGX_OK
            || cJSON_AddBoolToObject(item, "on",
                                     word == NGX_HTTP_LLM_SWITCH_ON) == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_audit(ngx_http_llm_store_t *store, cJSON *to)
{
    u_char                hash[NGX_HTTP_LLM_AUDIT_HASH + 1];
    uint64_t              seq;
    ngx_http_llm_root_t  *root;

    root = store->root;

    ngx_http_llm_store_lock(store);

    seq = root->audit.seq;
    (void) ngx_cpystrn(hash, root->audit.hash, sizeof(hash));

    ngx_http_llm_store_unlock(store);

    if (ngx_http_llm_state_put(to, "seq", seq)
        || cJSON_AddStringToObject(to, "hash", (char *) hash) == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_objects(ngx_http_llm_store_t *store, cJSON *to)
{
    ngx_int_t                     rc;
    ngx_uint_t                    i, n, max;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_object_entry_t  *entry;

    root = store->root;
    max = root->objects.n;

    if (max == 0) {
        return NGX_OK;
    }

    entry = ngx_alloc(max * sizeof(ngx_http_llm_object_entry_t), store->log);
    if (entry == NULL) {
        return NGX_ERROR;
    }

    n = ngx_http_llm_state_copy_objects(store, entry, max);

    ngx_qsort(entry, n, sizeof(ngx_http_llm_object_entry_t),
              ngx_http_llm_state_cmp_objects);

    rc = NGX_OK;
    n = ngx_min(n, NGX_HTTP_LLM_STATE_OBJECTS);

    for (i = 0; i < n && rc == NGX_OK; i++) {
        rc = ngx_http_llm_state_put_object(&entry[i], to);
    }

    ngx_free(entry);

    return rc;
}


static ngx_uint_t
ngx_http_llm_state_copy_objects(ngx_http_llm_store_t *store,
    ngx_http_llm_object_entry_t *entry, ngx_uint_t max)
{
    ngx_uint_t                   i, k, n;
    ngx_http_llm_root_t         *root;
    ngx_http_llm_object_node_t  *on;

    n = 0;
    root = store->root;

    for (i = 0; i < root->objects.size; i += k) {
        ngx_http_llm_store_lock(store);

        for (k = 0; k < NGX_HTTP_LLM_STATE_ROWS && i + k < root->objects.size;
             k++)
        {
            for (on = root->objects.table[i + k]; on && n < max; on = on->next)
            {
                entry[n++] = on->entry;
            }
        }

        ngx_http_llm_store_unlock(store);
    }

    return n;
}


/* The newest first. */

static int ngx_libc_cdecl
ngx_http_llm_state_cmp_objects(const void *one, const void *two)
{
    const ngx_http_llm_object_entry_t  *a, *b;

    a = one;
    b = two;

    return (a->made < b->made) - (a->made > b->made);
}


static ngx_int_t
ngx_http_llm_state_put_object(const ngx_http_llm_object_entry_t *entry,
    cJSON *to)
{
    cJSON   *item;
    u_char   text[17 * NGX_HTTP_LLM_STATE_WORDS
                  + 2 * NGX_HTTP_LLM_FINGERPRINT + 1], *p;

    p = ngx_sprintf(text, "%016xL %016xL %016xL %016xL %016xL %016xL ",
                    entry->id[0], entry->id[1], entry->made,
                    entry->object.split, entry->object.variant,
                    entry->object.target);

    p = ngx_hex_dump(p, (u_char *) entry->object.key,
                     NGX_HTTP_LLM_FINGERPRINT);
    *p = '\0';

    item = cJSON_CreateString((char *) text);

    if (!cJSON_AddItemToArray(to, item)) {
        cJSON_Delete(item);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_llm_state_get_traffic(ngx_http_llm_store_t *store, const cJSON *tree,
    ngx_pool_t *temp)
{
    u_char                        name[256];
    ngx_uint_t                    i;
    llm_msec_t                    seen;
    const cJSON                  *splits, *item;
    ngx_http_llm_store_split_t  **split;

    seen = ngx_http_llm_state_get(tree, "saved_at");
    splits = cJSON_GetObjectItemCaseSensitive(tree, "splits");
    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {

        if (ngx_http_llm_state_c_name(&split[i]->name, name, sizeof(name))
            == NULL)
        {
            continue;
        }

        item = cJSON_GetObjectItemCaseSensitive(splits, (char *) name);

        if (item) {
            ngx_http_llm_state_to_split(store, split[i], item, seen);
        }
    }

    ngx_http_llm_state_get_switches(store,
                      cJSON_GetObjectItemCaseSensitive(tree, "switches"));
    ngx_http_llm_state_get_audit(store,
                      cJSON_GetObjectItemCaseSensitive(tree, "audit"));
    ngx_http_llm_state_get_counters(store,
                      cJSON_GetObjectItemCaseSensitive(tree, "counters"));
    ngx_http_llm_state_get_objects(store,
                      cJSON_GetObjectItemCaseSensitive(tree, "objects"), temp);
    ngx_http_llm_nodes_get_state(store,
                      cJSON_GetObjectItemCaseSensitive(tree, "node"));
}


/* A switch whose line in the file has changed has another hash. */

static void
ngx_http_llm_state_get_switches(ngx_http_llm_store_t *store,
    const cJSON *from)
{
    u_char                         hex[17];
    ngx_uint_t                     i;
    const cJSON                   *item, *on;
    ngx_http_llm_store_switch_t  **sw;

    sw = store->switches.elts;

    for (i = 0; i < store->switches.nelts; i++) {
        (void) ngx_sprintf(hex, "%016xL%Z", sw[i]->node->node.hash);

        item = cJSON_GetObjectItemCaseSensitive(from, (char *) hex);
        on = cJSON_GetObjectItemCaseSensitive(item, "on");

        if (cJSON_IsBool(on)) {
            sw[i]->node->at = ngx_http_llm_state_get(item, "at");
            sw[i]->node->word = cJSON_IsTrue(on) ? NGX_HTTP_LLM_SWITCH_ON
                                                 : NGX_HTTP_LLM_SWITCH_OFF;
        }
    }
}


static void
ngx_http_llm_state_get_audit(ngx_http_llm_store_t *store, const cJSON *from)
{
    char                 *hash;
    ngx_http_llm_root_t  *root;

    root = store->root;
    hash = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from,
                                                                 "hash"));

    if (hash && ngx_strlen(hash) == NGX_HTTP_LLM_AUDIT_HASH) {
        root->audit.seq = ngx_http_llm_state_get(from, "seq");
        root->audit.flushed = root->audit.seq;
        root->audit.told = root->audit.seq;
        ngx_memcpy(root->audit.hash, hash, NGX_HTTP_LLM_AUDIT_HASH);
    }
}


/* Put in from the oldest on, so that the newest are the last to be dropped. */

static void
ngx_http_llm_state_get_objects(ngx_http_llm_store_t *store, const cJSON *from,
    ngx_pool_t *temp)
{
    ngx_uint_t                    n;
    const cJSON                  *item;
    ngx_http_llm_object_entry_t  *entry;

    n = cJSON_GetArraySize(from);

    entry = ngx_palloc(temp, n * sizeof(ngx_http_llm_object_entry_t) + 1);
    if (entry == NULL) {
        return;
    }

    n = 0;

    cJSON_ArrayForEach(item, from) {
        if (ngx_http_llm_state_get_object(cJSON_GetStringValue(item),
                                          &entry[n])
            == NGX_OK)
        {
            n++;
        }
    }

    ngx_http_llm_store_lock(store);

    while (n--) {
        ngx_http_llm_object_put_locked(store, &entry[n]);
    }

    ngx_http_llm_store_unlock(store);
}


static ngx_int_t
ngx_http_llm_state_get_object(const char *text,
    ngx_http_llm_object_entry_t *entry)
{
    char        hex[17];
    uint64_t    word[NGX_HTTP_LLM_STATE_WORDS];
    ngx_uint_t  i;

    if (text == NULL
        || ngx_strlen(text) != 17 * NGX_HTTP_LLM_STATE_WORDS
                               + 2 * NGX_HTTP_LLM_FINGERPRINT)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_LLM_STATE_WORDS; i++, text += 17) {
        (void) ngx_cpystrn((u_char *) hex, (u_char *) text, sizeof(hex));

        if (ngx_http_llm_state_hex64(hex, &word[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    entry->id[0] = word[0];
    entry->id[1] = word[1];
    entry->made = word[2];
    entry->object.split = word[3];
    entry->object.variant = word[4];
    entry->object.target = word[5];

    return ngx_http_llm_state_hex(text, entry->object.key,
                                  NGX_HTTP_LLM_FINGERPRINT);
}
