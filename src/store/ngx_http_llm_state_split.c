/*
 * A split's document as JSON, there and back.
 *
 *   {"digest", "origin", "version", "epoch", "salt", "rollout", "phase",
 *    "state", "why", "step", "was", "since", "weighed", "until", "rested",
 *    "updated",
 *    "base": NAME, "canary": NAME,
 *    "variants": [{"name", "weight", "barred"}, …],
 *    "owners": [VARIANT, BUCKETS, VARIANT, BUCKETS, …],
 *    "tombs": [{"version", "rollout", "variant": NAME}, …]}
 *
 * In the state file it is worth the zone's while the block of the configuration
 * is the one it was written for, or the one its weights came from; of another
 * block it tells only where users are.  In Redis its times are Redis's.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync_split.h"


static ngx_int_t ngx_http_llm_state_put_doc(
    ngx_http_llm_store_split_t *split, const llm_split_doc_t *doc,
    cJSON *to);
static ngx_int_t ngx_http_llm_state_put_variants(
    ngx_http_llm_store_split_t *split, const llm_split_doc_t *doc,
    cJSON *to);
static ngx_int_t ngx_http_llm_state_put_owners(const uint8_t *owner,
    cJSON *to);
static ngx_int_t ngx_http_llm_state_put_tombs(
    ngx_http_llm_store_split_t *split, const llm_split_doc_t *doc,
    cJSON *to);
static uint32_t ngx_http_llm_state_get_variant(
    const ngx_http_llm_state_doc_t *sd, const cJSON *variants,
    const cJSON *from, const char *name);
static ngx_int_t ngx_http_llm_state_get_variants(
    ngx_http_llm_state_doc_t *sd, const ngx_http_llm_split_node_t *sn,
    const cJSON *variants);
static ngx_int_t ngx_http_llm_state_get_owners(ngx_http_llm_state_doc_t *sd,
    const cJSON *owners);
static void ngx_http_llm_state_get_tombs(ngx_http_llm_state_doc_t *sd,
    const cJSON *variants, const cJSON *tombs);
static uint64_t ngx_http_llm_state_get_hex(const cJSON *from,
    const char *name);


cJSON *
ngx_http_llm_state_from_split(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split)
{
    ngx_http_llm_state_doc_t  sd;

    ngx_http_llm_store_lock(store);
    ngx_http_llm_state_copy_doc_locked(&sd, split->node);
    ngx_http_llm_store_unlock(store);

    return ngx_http_llm_state_from_doc(split, &sd);
}


void
ngx_http_llm_state_copy_doc_locked(ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_node_t *sn)
{
    sd->doc = sn->doc;
    sd->digest = sn->digest;
    sd->origin = sn->origin;
    sd->phase = sn->phase;
    ngx_memcpy(sd->owner, sn->owner, sizeof(sd->owner));
}


cJSON *
ngx_http_llm_state_from_doc(ngx_http_llm_store_split_t *split,
    const ngx_http_llm_state_doc_t *sd)
{
    cJSON  *tree;

    tree = cJSON_CreateObject();

    if (tree
        && ngx_http_llm_state_put_hex(tree, "digest", sd->digest) == NGX_OK
        && ngx_http_llm_state_put_hex(tree, "origin", sd->origin) == NGX_OK
        && ngx_http_llm_state_put(tree, "phase", sd->phase) == NGX_OK
        && ngx_http_llm_state_put_doc(split, &sd->doc, tree) == NGX_OK
        && ngx_http_llm_state_put_variants(split, &sd->doc, tree) == NGX_OK
        && ngx_http_llm_state_put_owners(sd->owner, tree) == NGX_OK
        && ngx_http_llm_state_put_tombs(split, &sd->doc, tree) == NGX_OK)
    {
        return tree;
    }

    cJSON_Delete(tree);

    return NULL;
}


static ngx_int_t
ngx_http_llm_state_put_doc(ngx_http_llm_store_split_t *split,
    const llm_split_doc_t *doc, cJSON *to)
{
    u_char  name[256];

    if (ngx_http_llm_state_put(to, "version", doc->version)
        || ngx_http_llm_state_put(to, "epoch", doc->epoch)
        || ngx_http_llm_state_put_hex(to, "salt", doc->salt)
        || ngx_http_llm_state_put_hex(to, "rollout", doc->rollout)
        || ngx_http_llm_state_put(to, "state", doc->state)
        || ngx_http_llm_state_put(to, "why", doc->why)
        || ngx_http_llm_state_put(to, "step", doc->step)
        || ngx_http_llm_state_put(to, "was", doc->was)
        || ngx_http_llm_state_put(to, "since", doc->since)
        || ngx_http_llm_state_put(to, "weighed", doc->weighed)
        || ngx_http_llm_state_put(to, "until", doc->until)
        || ngx_http_llm_state_put(to, "rested", doc->rested)
        || ngx_http_llm_state_put(to, "updated", doc->updated)
        || ngx_http_llm_state_c_name(&split->variants[doc->base], name,
                                     sizeof(name)) == NULL
        || cJSON_AddStringToObject(to, "base", (char *) name) == NULL)
    {
        return NGX_ERROR;
    }

    if (doc->canary == LLM_ROLLOUT_NOBODY) {
        return NGX_OK;
    }

    if (ngx_http_llm_state_c_name(&split->variants[doc->canary], name,
                                  sizeof(name)) == NULL
        || cJSON_AddStringToObject(to, "canary", (char *) name) == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_variants(ngx_http_llm_store_split_t *split,
    const llm_split_doc_t *doc, cJSON *to)
{
    cJSON     *variants, *item;
    u_char     name[256];
    uint32_t   i;

    variants = cJSON_AddArrayToObject(to, "variants");

    for (i = 0; i < doc->n; i++) {
        item = cJSON_CreateObject();

        if (item == NULL || !cJSON_AddItemToArray(variants, item)) {
            cJSON_Delete(item);
            return NGX_ERROR;
        }

        if (ngx_http_llm_state_c_name(&split->variants[i], name, sizeof(name))
            == NULL
            || cJSON_AddStringToObject(item, "name", (char *) name) == NULL
            || ngx_http_llm_state_put(item, "weight", doc->weight[i])
            || cJSON_AddBoolToObject(item, "barred",
                                     llm_rollout_is_barred(doc, i)) == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_put_owners(const uint8_t *owner, cJSON *to)
{
    cJSON       *owners, *item;
    ngx_uint_t   i, k;

    owners = cJSON_AddArrayToObject(to, "owners");

    for (i = 0; i < LLM_SPLIT_BUCKETS; i = k) {

        for (k = i; k < LLM_SPLIT_BUCKETS && owner[k] == owner[i]; k++) {
            /* void */
        }

        item = cJSON_CreateNumber(owner[i]);

        if (!cJSON_AddItemToArray(owners, item)) {
            cJSON_Delete(item);
            return NGX_ERROR;
        }

        item = cJSON_CreateNumber((double) (k - i));

        if (!cJSON_AddItemToArray(owners, item)) {
            cJSON_Delete(item);
            return NGX_ERROR;
        }
    }

    return owners ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_state_put_tombs(ngx_http_llm_store_split_t *split,
    const llm_split_doc_t *doc, cJSON *to)
{
    cJSON             *tombs, *item;
    u_char             name[256];
    ngx_uint_t         i;
    const llm_tomb_t  *t;

    tombs = cJSON_AddArrayToObject(to, "tombs");

    for (i = 0; i < LLM_ROLLOUT_TOMBS && doc->tomb[i].version; i++) {
        t = &doc->tomb[i];
        item = cJSON_CreateObject();

        if (item == NULL || !cJSON_AddItemToArray(tombs, item)) {
            cJSON_Delete(item);
            return NGX_ERROR;
        }

        if (ngx_http_llm_state_put(item, "version", t->version)
            || ngx_http_llm_state_put_hex(item, "rollout", t->rollout)
            || ngx_http_llm_state_c_name(&split->variants[t->variant], name,
                                         sizeof(name)) == NULL
            || cJSON_AddStringToObject(item, "variant", (char *) name) == NULL)
        {
            return NGX_ERROR;
        }
    }

    return tombs ? NGX_OK : NGX_ERROR;
}


void
ngx_http_llm_state_to_split(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, const cJSON *tree, llm_msec_t seen)
{
    ngx_http_llm_state_doc_t    sd;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;

    if (ngx_http_llm_state_to_doc(&sd, sn, tree) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, store->log, 0,
                      "llm_split \"%V\": what the state file says about it is "
                      "ignored, it makes no sense", &split->name);
        return;
    }

    ngx_http_llm_store_lock(store);

    sn->phase = sd.phase;

    if (!split->reset
        && (sd.digest == sn->digest || sd.origin == sn->digest)
        && ngx_http_llm_state_fits(&sd, sn))
    {
        sn->doc = sd.doc;
        sn->origin = sd.origin;
        sn->news = 0;
        ngx_memcpy(sn->owner, sd.owner, sizeof(sd.owner));

        /* other nodes, if there are any, may have gone on meanwhile */

        if (store->redis == NULL) {
            (void) llm_rollout_wake(&split->rollout, &sn->doc, seen,
                                    ngx_http_llm_store_now(store));
        }

        sn->tag = llm_rollout_tag(&sn->doc, sn->owner);

    } else {
        ngx_http_llm_split_follow_locked(store, sn, &sd.doc, sd.owner,
                                         sd.place);
    }

    ngx_http_llm_store_unlock(store);
}


ngx_uint_t
ngx_http_llm_state_fits(const ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_node_t *sn)
{
    uint32_t  i;

    if (sd->doc.n != sn->n || !llm_split_is_whole(sd->doc.weight, sn->n)) {
        return 0;
    }

    for (i = 0; i < sn->n; i++) {
        if (sd->place[i] != i) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_http_llm_state_to_doc(ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_node_t *sn, const cJSON *from)
{
    const cJSON      *variants;
    llm_split_doc_t  *doc;

    ngx_memzero(sd, sizeof(ngx_http_llm_state_doc_t));
    ngx_memset(sd->place, 0xff, sizeof(sd->place));

    variants = cJSON_GetObjectItemCaseSensitive(from, "variants");

    if (ngx_http_llm_state_get_variants(sd, sn, variants) != NGX_OK
        || ngx_http_llm_state_get_owners(sd,
                         cJSON_GetObjectItemCaseSensitive(from, "owners"))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    doc = &sd->doc;

    sd->digest = ngx_http_llm_state_get_hex(from, "digest");
    sd->origin = ngx_http_llm_state_get_hex(from, "origin");
    sd->phase = ngx_http_llm_state_get(from, "phase");

    doc->version = ngx_http_llm_state_get(from, "version");
    doc->epoch = ngx_http_llm_state_get(from, "epoch");
    doc->salt = ngx_http_llm_state_get_hex(from, "salt");
    doc->rollout = ngx_http_llm_state_get_hex(from, "rollout");
    doc->state = ngx_http_llm_state_small(from, "state",
                                          LLM_ROLLOUT_ROLLED_BACK);
    doc->why = ngx_http_llm_state_small(from, "why", LLM_WHY_RESTART);
    doc->step = ngx_http_llm_state_small(from, "step", LLM_ROLLOUT_STEPS);
    doc->was = ngx_http_llm_state_small(from, "was", LLM_ROLLOUT_ROLLED_BACK);
    doc->since = ngx_http_llm_state_get(from, "since");
    doc->weighed = ngx_http_llm_state_get(from, "weighed");
    doc->until = ngx_http_llm_state_get(from, "until");
    doc->rested = ngx_http_llm_state_get(from, "rested");
    doc->updated = ngx_http_llm_state_get(from, "updated");
    doc->base = ngx_http_llm_state_get_variant(sd, variants, from, "base");
    doc->canary = ngx_http_llm_state_get_variant(sd, variants, from, "canary");

    ngx_http_llm_state_get_tombs(sd, variants,
                         cJSON_GetObjectItemCaseSensitive(from, "tombs"));

    if (doc->version == 0 || doc->base == LLM_ROLLOUT_NOBODY) {
        return NGX_ERROR;
    }

    /* there is no rollout of nobody */

    return (doc->canary == LLM_ROLLOUT_NOBODY
            && (doc->state == LLM_ROLLOUT_PROGRESSING
                || doc->state == LLM_ROLLOUT_PAUSED
                || doc->state == LLM_ROLLOUT_SOAKING)) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_llm_state_get_variants(ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_node_t *sn, const cJSON *variants)
{
    char         *name;
    uint32_t      i;
    uint64_t      hash;
    const cJSON  *item;

    i = 0;

    cJSON_ArrayForEach(item, variants) {
        name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item,
                                                                     "name"));

        if (name == NULL || i == LLM_SPLIT_VARIANTS) {
            return NGX_ERROR;
        }

        hash = llm_fnv64((llm_str_t) { ngx_strlen(name), (u_char *) name }, 0);

        sd->place[i] = (uint8_t) ngx_http_llm_split_index(sn, hash);
        sd->doc.weight[i] = ngx_http_llm_state_small(item, "weight",
                                                     LLM_SPLIT_BUCKETS);

        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "barred"))) {
            sd->doc.barred |= (uint32_t) 1 << i;
        }

        i++;
    }

    sd->doc.n = i;

    return i ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_state_get_owners(ngx_http_llm_state_doc_t *sd,
    const cJSON *owners)
{
    size_t        n, count;
    const cJSON  *item, *next;

    n = 0;

    for (item = owners ? owners->child : NULL; item; item = next->next) {
        next = item->next;

        if (!cJSON_IsNumber(item) || item->valueint < 0
            || item->valueint >= (int) sd->doc.n
            || !cJSON_IsNumber(next) || next->valueint <= 0
            || next->valueint > LLM_SPLIT_BUCKETS - (int) n)
        {
            return NGX_ERROR;
        }

        count = (size_t) next->valueint;
        ngx_memset(sd->owner + n, item->valueint, count);
        n += count;
    }

    return n == LLM_SPLIT_BUCKETS ? NGX_OK : NGX_ERROR;
}


/* The index of a variant that the document names. */

static uint32_t
ngx_http_llm_state_get_variant(const ngx_http_llm_state_doc_t *sd,
    const cJSON *variants, const cJSON *from, const char *name)
{
    char         *word, *known;
    uint32_t      i;
    const cJSON  *item;

    i = 0;
    word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, name));

    cJSON_ArrayForEach(item, variants) {
        known = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item,
                                                                      "name"));

        if (word && known && ngx_strcmp(word, known) == 0 && i < sd->doc.n) {
            return i;
        }

        i++;
    }

    return LLM_ROLLOUT_NOBODY;
}


/* Those of variants that are not in the document are about nobody. */

static void
ngx_http_llm_state_get_tombs(ngx_http_llm_state_doc_t *sd,
    const cJSON *variants, const cJSON *tombs)
{
    llm_tomb_t    tomb;
    const cJSON  *item;

    ngx_memzero(&tomb, sizeof(llm_tomb_t));

    cJSON_ArrayForEach(item, tombs) {
        tomb.version = ngx_http_llm_state_get(item, "version");
        tomb.rollout = ngx_http_llm_state_get_hex(item, "rollout");
        tomb.variant = ngx_http_llm_state_get_variant(sd, variants, item,
                                                      "variant");

        if (tomb.version && tomb.variant != LLM_ROLLOUT_NOBODY) {
            llm_rollout_entomb(&sd->doc, &tomb);
        }
    }
}


static uint64_t
ngx_http_llm_state_get_hex(const cJSON *from, const char *name)
{
    char      *text;
    uint64_t   n;

    text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, name));

    return ngx_http_llm_state_hex64(text, &n) == NGX_OK ? n : 0;
}
