/*
 * A request in its split: which variant it gets, and what it counts for there.
 * On the path of every request, so without a lock but for the first of a slot.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_SPLIT_LEASE  15000     /* ms without a word from Redis */
#define NGX_HTTP_LLM_SPLIT_AHEAD  2000      /* clocks of workers may differ */


#define ngx_http_llm_load(word)  __atomic_load_n(word, __ATOMIC_RELAXED)


static void ngx_http_llm_split_claim(ngx_http_llm_store_t *store,
    llm_window_t *window, llm_msec_t now);
static void ngx_http_llm_split_total(ngx_http_llm_variant_totals_t *totals,
    const llm_outcome_row_t *row);
static void ngx_http_llm_split_arm_add(ngx_http_llm_place_t *place,
    const llm_outcome_row_t *row, uint64_t unit);


static ngx_inline void
ngx_http_llm_add(uint64_t *count, uint64_t n)
{
    (void) __atomic_fetch_add(count, n, __ATOMIC_RELAXED);
}


uint32_t
ngx_http_llm_split_pick(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_str_t *key, uint32_t *bucket)
{
    uint32_t                    b, variant;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;

    if (key->len == 0) {
        b = llm_split_bucket_random(ngx_http_llm_random(store));

    } else {
        b = llm_split_bucket(ngx_http_llm_load(&sn->doc.salt),
                             ngx_http_llm_str(key));
    }

    *bucket = b;
    variant = ngx_http_llm_load(&sn->owner[b]);

    return variant < sn->n && !ngx_http_llm_split_is_lost(split)
           ? variant : ngx_http_llm_split_base(split);
}


ngx_uint_t
ngx_http_llm_split_is_barred(ngx_http_llm_store_split_t *split,
    uint32_t variant)
{
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;

    return ((ngx_http_llm_load(&sn->doc.barred) >> variant) & 1)
           || (variant == ngx_http_llm_load(&sn->doc.canary)
               && variant != ngx_http_llm_load(&sn->doc.base)
               && ngx_http_llm_split_is_lost(split));
}


ngx_uint_t
ngx_http_llm_split_is_lost(ngx_http_llm_store_split_t *split)
{
    uint32_t               state;
    llm_msec_t             seen;
    ngx_http_llm_root_t   *root;
    ngx_http_llm_store_t  *store;

    store = split->store;

    if (store->redis == NULL || split->keep) {
        return 0;
    }

    state = ngx_http_llm_load(&split->node->doc.state);

    if (state != LLM_ROLLOUT_PROGRESSING && state != LLM_ROLLOUT_PAUSED
        && state != LLM_ROLLOUT_SOAKING)
    {
        return 0;
    }

    root = store->root;
    seen = ngx_http_llm_load(&root->nodes.seen);

    return ngx_http_llm_store_now(store) - seen + NGX_HTTP_LLM_SPLIT_AHEAD
           > NGX_HTTP_LLM_SPLIT_LEASE + NGX_HTTP_LLM_SPLIT_AHEAD;
}


uint32_t
ngx_http_llm_split_base(ngx_http_llm_store_split_t *split)
{
    return ngx_http_llm_load(&split->node->doc.base);
}


void
ngx_http_llm_split_begin(ngx_http_llm_store_t *store,
    ngx_http_llm_place_t *place)
{
    ngx_http_llm_variant_node_t  *vn;

    place->started = ngx_http_llm_store_now(store);

    if (!place->counted) {
        return;
    }

    vn = place->split->node->variant[place->variant];

    ngx_http_llm_split_claim(store, &vn->window, place->started);
    llm_window_start(&vn->window, place->started);
    ngx_http_llm_add(&vn->totals.count[LLM_COUNT_STARTED], 1);

    store->places++;
}


void
ngx_http_llm_split_answered(ngx_http_llm_store_t *store,
    ngx_http_llm_place_t *place)
{
    if (place->started == 0 || !place->counted || place->answered) {
        return;
    }

    llm_window_answer(&place->split->node->variant[place->variant]->window,
                      place->started);
    place->answered = 1;
}


void
ngx_http_llm_split_end(ngx_http_llm_store_t *store,
    ngx_http_llm_place_t *place, llm_outcome_row_t *row, uint64_t unit)
{
    ngx_http_llm_variant_node_t  *vn;

    if (place->started == 0) {
        return;
    }

    row->started = place->started;
    row->ended = ngx_http_llm_store_now(store);
    row->answered = place->answered;
    place->started = 0;

    if (!place->counted) {
        return;
    }

    store->places--;

    vn = place->split->node->variant[place->variant];

    ngx_http_llm_split_claim(store, &vn->window, row->ended);
    llm_window_end(&vn->window, row);
    ngx_http_llm_split_total(&vn->totals, row);

    if (row->counted) {
        ngx_http_llm_split_arm_add(place, row, unit);
    }
}


/* Slots for now; the lock is taken by who comes first in one. */

static void
ngx_http_llm_split_claim(ngx_http_llm_store_t *store, llm_window_t *window,
    llm_msec_t now)
{
    if (llm_window_is_current(window, now)) {
        return;
    }

    ngx_http_llm_store_lock(store);
    llm_window_claim(window, now);
    ngx_http_llm_store_unlock(store);
}


static void
ngx_http_llm_split_total(ngx_http_llm_variant_totals_t *totals,
    const llm_outcome_row_t *row)
{
    uint64_t  *count;

    count = totals->count;

    ngx_http_llm_add(&count[LLM_COUNT_ENDED], 1);

    if (!row->counted) {
        ngx_http_llm_add(&count[LLM_COUNT_UNCOUNTED], 1);
        return;
    }

    ngx_http_llm_add(&count[LLM_COUNT_N], 1);
    ngx_http_llm_add(&count[LLM_COUNT_ERRORS], row->error);
    ngx_http_llm_add(&count[LLM_COUNT_REFUSED], row->refused);
    ngx_http_llm_add(&count[LLM_COUNT_JSON_CHECKED], row->json_checked);
    ngx_http_llm_add(&count[LLM_COUNT_JSON_INVALID], row->json_invalid);
    ngx_http_llm_add(&count[LLM_COUNT_STREAMS], row->stream);

    if (row->input != LLM_NEVER) {
        ngx_http_llm_add(&count[LLM_COUNT_INPUT], row->input);
    }

    if (row->output != LLM_NEVER) {
        ngx_http_llm_add(&count[LLM_COUNT_OUTPUT], row->output);
    }

    if (row->cost != LLM_NEVER) {
        ngx_http_llm_add(&count[LLM_COUNT_PRICED], 1);
        ngx_http_llm_add(&count[LLM_COUNT_COST], row->cost);
    }
}


static void
ngx_http_llm_split_arm_add(ngx_http_llm_place_t *place,
    const llm_outcome_row_t *row, uint64_t unit)
{
    llm_experiment_arm_t  *arm;
    llm_experiment_row_t   er;

    arm = ngx_http_llm_split_arm(place->split, place->variant);

    if (arm == NULL) {
        return;
    }

    er.bucket = place->bucket;
    er.unit = unit;
    er.cost = row->cost;
    er.output = row->output;
    er.latency = (row->timed && !row->stream) ? row->ended - row->started
                                              : LLM_NEVER;
    er.error = row->error;
    er.json_checked = row->json_checked;
    er.json_invalid = row->json_invalid;

    llm_experiment_add(arm, &er);
}


void
ngx_http_llm_split_doc(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, llm_split_doc_t *doc)
{
    ngx_http_llm_store_lock(store);
    *doc = split->node->doc;
    ngx_http_llm_store_unlock(store);
}


void
ngx_http_llm_split_view(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint32_t variant, llm_msec_t length,
    ngx_http_llm_variant_view_t *view)
{
    llm_msec_t                  now, slot, since;
    llm_split_doc_t             doc;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;
    slot = split->pace.slot;
    now = ngx_http_llm_store_now(store);

    ngx_http_llm_split_doc(store, split, &doc);

    if (length == 0) {
        length = slot * LLM_WINDOW_RATIO * LLM_WINDOW_LONG;
    }

    /* a page may as well show the slot in which the weights changed */

    if (length > slot * LLM_WINDOW_SHORT) {
        slot *= LLM_WINDOW_RATIO;
    }

    since = doc.weighed - doc.weighed % slot;

    llm_window_sum(&sn->variant[variant]->window, now, length, since,
                   &view->sums);

    view->overdue = llm_window_overdue(&sn->variant[variant]->window, now,
                                       split->pace.timeout, since);
}


ngx_http_llm_variant_totals_t *
ngx_http_llm_split_totals(ngx_http_llm_store_split_t *split, uint32_t variant)
{
    return &split->node->variant[variant]->totals;
}


llm_trigger_state_t *
ngx_http_llm_split_trigger(ngx_http_llm_store_split_t *split,
    ngx_uint_t trigger, uint32_t variant)
{
    return &split->node->trigger[trigger][variant];
}


ngx_http_llm_mirror_totals_t *
ngx_http_llm_split_mirror(ngx_http_llm_store_split_t *split)
{
    return split->node->mirror ? &split->node->mirror->totals : NULL;
}


llm_experiment_arm_t *
ngx_http_llm_split_arm(ngx_http_llm_store_split_t *split, uint32_t variant)
{
    ngx_http_llm_arm_node_t  *an;

    an = split->node->arm[variant];

    return an ? &an->arm : NULL;
}
