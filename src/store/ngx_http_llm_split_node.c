/*
 * The node of a split: made when a configuration is read, found again as long
 * as its block stays the same.
 *
 * A changed block is another node with the weights of the file.  It keeps the
 * salt and, as far as the weights allow, the owners of the buckets, so that few
 * users move; its variants go on counting where those of the same names did.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_shm.h"


static ngx_http_llm_split_node_t *ngx_http_llm_split_find(
    ngx_http_llm_store_t *store, uint64_t hash, ngx_http_llm_store_t *before);
static ngx_uint_t ngx_http_llm_split_is_same(
    const ngx_http_llm_store_split_t *split,
    const ngx_http_llm_split_node_t *sn);
static ngx_uint_t ngx_http_llm_split_has_names(
    const ngx_http_llm_store_split_t *split,
    const ngx_http_llm_split_node_t *sn);
static void ngx_http_llm_split_touch(ngx_http_llm_store_t *store,
    ngx_http_llm_split_node_t *sn);
static ngx_int_t ngx_http_llm_split_make(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t hash);
static ngx_int_t ngx_http_llm_split_cells(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_split_node_t *sn);
static void ngx_http_llm_split_adopt(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_split_node_t *old);
static void ngx_http_llm_split_inherit(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_split_node_t *old);
static void ngx_http_llm_split_tell_reset(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split);
static void ngx_http_llm_split_start(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split);
static ngx_int_t ngx_http_llm_split_full(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split);


ngx_int_t
ngx_http_llm_split_link(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_store_t *before)
{
    uint64_t                    hash;
    ngx_http_llm_split_node_t  *old;

    split->store = store;

    hash = llm_fnv64(ngx_http_llm_str(&split->name), 0);
    old = ngx_http_llm_split_find(store, hash, before);

    if (old && ngx_http_llm_split_is_same(split, old)) {
        ngx_http_llm_split_touch(store, old);
        split->node = old;
        return NGX_OK;
    }

    if (ngx_http_llm_split_make(store, split, hash) != NGX_OK) {
        return ngx_http_llm_split_full(store, split);
    }

    if (old && !split->reset && old->origin == split->digest
        && ngx_http_llm_split_has_names(split, old))
    {
        ngx_http_llm_split_adopt(store, split, old);
        return NGX_OK;
    }

    if (split->start_now) {
        split->node->news |= NGX_HTTP_LLM_NEWS_START;
    }

    if (old) {
        ngx_http_llm_split_inherit(store, split, old);
    }

    return NGX_OK;
}


/* As for pools: the node of the configuration in force, else the newest. */

static ngx_http_llm_split_node_t *
ngx_http_llm_split_find(ngx_http_llm_store_t *store, uint64_t hash,
    ngx_http_llm_store_t *before)
{
    ngx_uint_t                    i;
    ngx_queue_t                  *q;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_split_node_t    *sn, *newest;
    ngx_http_llm_store_split_t  **split;

    if (before) {
        split = before->splits.elts;

        for (i = 0; i < before->splits.nelts; i++) {
            if (split[i]->node->node.hash == hash) {
                return split[i]->node;
            }
        }
    }

    root = store->root;
    newest = NULL;

    for (q = ngx_queue_head(&root->splits);
         q != ngx_queue_sentinel(&root->splits);
         q = ngx_queue_next(q))
    {
        sn = ngx_queue_data(q, ngx_http_llm_split_node_t, node.queue);

        if (sn->node.hash == hash
            && (newest == NULL || sn->node.used >= newest->node.used))
        {
            newest = sn;
        }
    }

    return newest;
}


static ngx_uint_t
ngx_http_llm_split_is_same(const ngx_http_llm_store_split_t *split,
    const ngx_http_llm_split_node_t *sn)
{
    return !split->reset && sn->digest == split->digest
           && sn->variant[0]->window.slot == split->pace.slot
           && ngx_http_llm_split_has_names(split, sn);
}


/* The same variants in the same order. */

static ngx_uint_t
ngx_http_llm_split_has_names(const ngx_http_llm_store_split_t *split,
    const ngx_http_llm_split_node_t *sn)
{
    ngx_uint_t  i;

    if (sn->n != split->n) {
        return 0;
    }

    for (i = 0; i < split->n; i++) {
        if (sn->names[i]
            != llm_fnv64(ngx_http_llm_str(&split->variants[i]), 0))
        {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_llm_split_touch(ngx_http_llm_store_t *store,
    ngx_http_llm_split_node_t *sn)
{
    ngx_uint_t  i;

    sn->node.used = store->generation;

    for (i = 0; i < sn->n; i++) {
        sn->variant[i]->node.used = store->generation;

        if (sn->arm[i]) {
            sn->arm[i]->node.used = store->generation;
        }
    }

    if (sn->mirror) {
        sn->mirror->node.used = store->generation;
    }
}


static ngx_int_t
ngx_http_llm_split_make(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t hash)
{
    ngx_uint_t                  i;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_split_node_t  *sn;

    root = store->root;

    sn = ngx_slab_calloc(store->shpool, sizeof(ngx_http_llm_split_node_t));
    if (sn == NULL) {
        return NGX_ERROR;
    }

    sn->node.hash = hash;
    sn->node.made = store->generation;
    sn->node.used = store->generation;
    sn->digest = split->digest;
    sn->origin = split->digest;
    sn->n = (uint32_t) split->n;

    for (i = 0; i < split->n; i++) {
        sn->names[i] = llm_fnv64(ngx_http_llm_str(&split->variants[i]), 0);
    }

    if (ngx_http_llm_split_cells(store, split, sn) != NGX_OK) {
        ngx_slab_free(store->shpool, sn);
        return NGX_ERROR;
    }

    /* the same salt on every node and after every start */

    llm_rollout_init(&sn->doc, sn->owner, split->weight, sn->n, hash,
                     ngx_http_llm_store_now(store));

    sn->tag = llm_rollout_tag(&sn->doc, sn->owner);
    split->node = sn;

    ngx_http_llm_store_lock(store);
    ngx_queue_insert_tail(&root->splits, &sn->node.queue);
    ngx_http_llm_store_unlock(store);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_split_cells(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_split_node_t *sn)
{
    uint64_t                      hash;
    ngx_uint_t                    i;
    ngx_http_llm_variant_node_t  *vn;

    for (i = 0; i < split->n; i++) {
        hash = ngx_http_llm_cell_hash(&split->name, &split->variants[i], 0);

        vn = ngx_http_llm_cell(store, NGX_HTTP_LLM_CELL_VARIANT,
                               hash ^ split->pace.slot,
                               sizeof(ngx_http_llm_variant_node_t));
        if (vn == NULL) {
            return NGX_ERROR;
        }

        if (vn->window.slot == 0) {
            llm_window_init(&vn->window, split->pace.slot);
        }

        sn->variant[i] = vn;

        if (split->experiment.len == 0) {
            continue;
        }

        /* another block is another phase; who still works with the older
         * one must find its arms as they were */

        hash = llm_fnv64(ngx_http_llm_str(&split->experiment),
                         hash ^ split->digest);
        sn->arm[i] = ngx_http_llm_cell(store, NGX_HTTP_LLM_CELL_ARM, hash,
                                       sizeof(ngx_http_llm_arm_node_t));
        if (sn->arm[i] == NULL) {
            return NGX_ERROR;
        }
    }

    if (!split->mirrored) {
        return NGX_OK;
    }

    sn->mirror = ngx_http_llm_cell(store, NGX_HTTP_LLM_CELL_MIRROR,
                                   sn->node.hash,
                                   sizeof(ngx_http_llm_mirror_node_t));

    return sn->mirror ? NGX_OK : NGX_ERROR;
}


/* Another node had this block before, and its document is here already. */

static void
ngx_http_llm_split_adopt(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_split_node_t *old)
{
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;

    ngx_http_llm_store_lock(store);

    sn->phase = old->phase;
    sn->doc = old->doc;
    ngx_memcpy(sn->owner, old->owner, sizeof(sn->owner));

    ngx_http_llm_split_changed_locked(store, sn, NULL);

    ngx_http_llm_store_unlock(store);
}


/* The document stays that of the file, but for what says where users are. */

static void
ngx_http_llm_split_inherit(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_split_node_t *old)
{
    uint8_t                     place[256];
    uint32_t                    i;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;

    ngx_memset(place, 0xff, sizeof(place));

    for (i = 0; i < old->n; i++) {
        place[i] = (uint8_t) ngx_http_llm_split_index(sn, old->names[i]);
    }

    ngx_http_llm_store_lock(store);

    sn->phase = old->phase;
    ngx_http_llm_split_follow_locked(store, sn, &old->doc, old->owner, place);

    ngx_http_llm_store_unlock(store);
}


void
ngx_http_llm_split_follow_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_split_node_t *sn, const llm_split_doc_t *old,
    const uint8_t *owner, const uint8_t place[256])
{
    uint64_t    word[2];
    llm_tomb_t  tomb;
    ngx_uint_t  i;

    sn->news |= NGX_HTTP_LLM_NEWS_RESET;

    sn->doc.salt = old->salt;
    sn->doc.version = old->version + 1;
    sn->doc.epoch = old->epoch;

    /* an attempt of its own: what was aborted before does not concern it; the
     * same one on every node that makes the same change */

    word[0] = sn->digest;
    word[1] = old->version;
    sn->doc.rollout = llm_fnv64((llm_str_t) { sizeof(word), (u_char *) word },
                                0);

    for (i = 0; i < LLM_ROLLOUT_TOMBS && old->tomb[i].version; i++) {
        tomb = old->tomb[i];
        tomb.variant = tomb.variant < old->n ? place[tomb.variant] : 0xff;

        if (tomb.variant != 0xff) {
            llm_rollout_entomb(&sn->doc, &tomb);
        }
    }

    for (i = 0; i < LLM_SPLIT_BUCKETS; i++) {
        sn->owner[i] = place[owner[i]];
    }

    /* buckets of a variant that is gone are nobody's, and given first */

    (void) llm_split_reweigh(sn->owner, sn->doc.weight, sn->n, sn->doc.base);

    ngx_http_llm_split_changed_locked(store, sn, NULL);
}


static ngx_int_t
ngx_http_llm_split_full(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split)
{
    size_t  size;

    size = ngx_align(sizeof(ngx_http_llm_variant_node_t), ngx_pagesize);

    if (split->experiment.len) {
        size += ngx_align(sizeof(ngx_http_llm_arm_node_t), ngx_pagesize);
    }

    size = split->n * size
           + ngx_align(sizeof(ngx_http_llm_split_node_t), ngx_pagesize);

    if (split->mirrored) {
        size += ngx_align(sizeof(ngx_http_llm_mirror_node_t), ngx_pagesize);
    }

    ngx_log_error(NGX_LOG_EMERG, store->log, 0,
                  "llm_zone \"%V\" of %uzk is too small for llm_split \"%V\": "
                  "its %ui variants take %uzk",
                  &store->zone->shm.name, store->zone->shm.size / 1024,
                  &split->name, split->n, size / 1024);

    return NGX_ERROR;
}


void
ngx_http_llm_splits_run(ngx_http_llm_store_t *store)
{
    uint32_t                      news;
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **split;

    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {
        news = __atomic_exchange_n(&split[i]->node->news, 0, __ATOMIC_RELAXED);

        if (news & NGX_HTTP_LLM_NEWS_RESET) {
            ngx_http_llm_split_tell_reset(store, split[i]);
        }

        if (!(news & NGX_HTTP_LLM_NEWS_START)) {
            continue;
        }

        if (store->redis) {
            split[i]->node->start = 1;      /* by the leader of all nodes */

        } else {
            ngx_http_llm_split_start(store, split[i]);
        }
    }
}


static void
ngx_http_llm_split_tell_reset(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split)
{
    ngx_str_t  action;

    ngx_str_set(&action, "reset");

    ngx_log_error(NGX_LOG_NOTICE, store->log, 0,
                  "llm_split \"%V\" is not what it was: it begins again with "
                  "the weights of the file", &split->name);

    ngx_http_llm_store_lock(store);
    ngx_http_llm_split_audit_locked(store, split, &action, NULL, NULL);
    ngx_http_llm_store_unlock(store);
}


static void
ngx_http_llm_split_start(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split)
{
    llm_act_t         act;
    llm_act_result_t  result;

    ngx_memzero(&act, sizeof(llm_act_t));

    act.verb = LLM_VERB_START;
    act.variant = LLM_ROLLOUT_NOBODY;

    (void) ngx_http_llm_split_act(store, split, 0, &act, NULL, NULL, &result);
    ngx_http_llm_split_tell_start(store, split, result);
}


void
ngx_http_llm_split_tell_start(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, llm_act_result_t result)
{
    llm_str_t  message;

    if (result == LLM_ACT_DONE) {
        ngx_log_error(NGX_LOG_NOTICE, store->log, 0,
                      "llm_split \"%V\": its rollout starts", &split->name);
        return;
    }

    message = llm_act_message(result);

    ngx_log_error(NGX_LOG_WARN, store->log, 0,
                  "llm_split \"%V\": its rollout does not start: %*s",
                  &split->name, message.len, message.data);
}


/* Nobody knows any more when what the windows hold was: it is forgotten. */

void
ngx_http_llm_splits_shift_locked(ngx_http_llm_root_t *root, int64_t ms)
{
    uint32_t                     v;
    ngx_uint_t                   i;
    ngx_queue_t                 *q;
    ngx_http_llm_split_node_t   *sn;
    ngx_http_llm_split_watch_t  *watch;

    root->lead.at += (uint64_t) ms;

    for (q = ngx_queue_head(&root->splits);
         q != ngx_queue_sentinel(&root->splits);
         q = ngx_queue_next(q))
    {
        sn = ngx_queue_data(q, ngx_http_llm_split_node_t, node.queue);
        watch = &sn->watch;

        llm_rollout_shift(&sn->doc, ms);

        sn->frozen_at += sn->frozen_at ? (uint64_t) ms : 0;
        watch->since += watch->since ? (uint64_t) ms : 0;

        for (v = 0; v < sn->n; v++) {
            watch->reset[v] += (uint64_t) ms;
            llm_window_forget(&sn->variant[v]->window);

            for (i = 0; i < LLM_SPLIT_TRIGGERS; i++) {
                llm_trigger_shift(&sn->trigger[i][v], ms);
            }
        }
    }

    root->changes++;
}


void
ngx_http_llm_split_forgive_locked(ngx_http_llm_root_t *root,
    llm_msec_t now)
{
    ngx_queue_t                  *q, *variants;
    ngx_http_llm_split_node_t    *sn;
    ngx_http_llm_variant_node_t  *vn;

    variants = &root->cells[NGX_HTTP_LLM_CELL_VARIANT];

    for (q = ngx_queue_head(variants);
         q != ngx_queue_sentinel(variants);
         q = ngx_queue_next(q))
    {
        vn = ngx_queue_data(q, ngx_http_llm_variant_node_t, node.queue);

        llm_window_forgive(&vn->window);
    }

    for (q = ngx_queue_head(&root->splits);
         q != ngx_queue_sentinel(&root->splits);
         q = ngx_queue_next(q))
    {
        sn = ngx_queue_data(q, ngx_http_llm_split_node_t, node.queue);

        if (llm_rollout_heal(&sn->doc, sn->owner, now)) {
            sn->tag = llm_rollout_tag(&sn->doc, sn->owner);
            root->changes++;
        }
    }
}
