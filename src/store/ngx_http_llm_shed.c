/*
 * Shedding in the zone: one node per provider that has it.
 *
 * Requests in flight are counted per worker, so that those of a killed worker
 * can be told and taken away; the sum is made when it is asked for.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_error.h"
#include "llm_hash.h"
#include "ngx_http_llm_shed.h"
#include "ngx_http_llm_shm.h"


static uint32_t ngx_http_llm_shed_inflight(ngx_http_llm_shed_node_t *sn);
static void ngx_http_llm_shed_step(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, llm_msec_t now);
static void ngx_http_llm_shed_log(ngx_http_llm_store_gate_t *gate,
    ngx_uint_t news, const llm_shed_t *shed, uint32_t left);


ngx_int_t
ngx_http_llm_sheds_link(ngx_http_llm_store_t *store)
{
    uint64_t                     seed;
    ngx_str_t                    none;
    ngx_uint_t                   i;
    ngx_http_llm_store_gate_t  **gate;

    ngx_str_null(&none);
    gate = store->gates.elts;

    for (i = 0; i < store->gates.nelts; i++) {

        if (!gate[i]->shed.on) {
            continue;
        }

        /* other slots are another ring */

        seed = NGX_HTTP_LLM_CELL_SHED + (llm_shed_slot(&gate[i]->shed) << 8);

        gate[i]->shed_node = ngx_http_llm_cell(store, NGX_HTTP_LLM_CELL_SHED,
                                 ngx_http_llm_cell_hash(&gate[i]->name, &none,
                                                        seed),
                                 sizeof(ngx_http_llm_shed_node_t));

        if (gate[i]->shed_node == NULL) {
            return ngx_http_llm_shm_full(store, "shed of llm_provider",
                                         &gate[i]->name);
        }
    }

    return NGX_OK;
}


/* Without a lock: who comes or goes meanwhile is counted or not. */

static uint32_t
ngx_http_llm_shed_inflight(ngx_http_llm_shed_node_t *sn)
{
    uint32_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i <= NGX_HTTP_LLM_ROWS; i++) {
        n += __atomic_load_n(&sn->inflights[i], __ATOMIC_RELAXED);
    }

    return n;
}


ngx_int_t
ngx_http_llm_shed_ask(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, llm_priority_t priority, uint32_t chance)
{
    uint32_t                   level;
    llm_msec_t                 now;
    ngx_http_llm_shed_node_t  *sn;

    sn = gate->shed_node;

    if (sn == NULL) {
        return NGX_OK;
    }

    now = ngx_http_llm_store_now(store);

    if (llm_shed_is_due(&sn->shed, now)) {
        ngx_http_llm_shed_step(store, gate, now);
    }

    llm_shed_seen(&gate->shed, &sn->shed, priority, now);

    level = llm_shed_level(&gate->shed, &sn->shed,
                           ngx_http_llm_shed_inflight(sn));

    if (!llm_shed_hits(level, priority, chance)) {
        return NGX_OK;
    }

    (void) __atomic_fetch_add(gate->shed.dry_run ? &sn->would[priority]
                                                 : &sn->total[priority],
                              1, __ATOMIC_RELAXED);

    return gate->shed.dry_run ? NGX_OK : NGX_DECLINED;
}


/* Several workers may find it due at once: the first one does it. */

static void
ngx_http_llm_shed_step(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, llm_msec_t now)
{
    int                        news;
    uint32_t                   left;
    llm_shed_t                *shed;

    shed = &gate->shed_node->shed;
    left = LLM_SHED_ONE;
    news = 0;

    ngx_http_llm_store_lock(store);

    if (llm_shed_is_due(shed, now)) {
        news = llm_shed_step(&gate->shed, shed,
                             ngx_http_llm_shed_inflight(gate->shed_node), now);

        if (news) {
            left = llm_shed_scarcest(shed, now);
        }
    }

    ngx_http_llm_store_unlock(store);

    if (news) {
        ngx_http_llm_shed_log(gate, news, shed, left);
    }
}


static void
ngx_http_llm_shed_log(ngx_http_llm_store_gate_t *gate, ngx_uint_t news,
    const llm_shed_t *shed, uint32_t left)
{
    char              *dry;
    llm_shed_cause_t   cause;

    dry = gate->shed.dry_run ? " (dry run)" : "";

    if (news == LLM_SHED_ENDED) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "llm provider \"%V\": shedding ends%s", &gate->name, dry);
        return;
    }

    if (shed->limit == 0) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "llm provider \"%V\": shedding begins%s: %uD.%02uD%% of "
                      "its quota are left", &gate->name, dry, left / 100,
                      left % 100);
        return;
    }

    cause = shed->cause;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "llm provider \"%V\": shedding begins%s: %uD of %uD %s later "
                  "than %uL ms, limit of %uL in flight", &gate->name, dry,
                  cause.late, cause.n,
                  cause.kind == LLM_SHED_FIRST ? "streams began"
                                               : "answers came",
                  gate->shed.target[cause.kind], shed->limit / 1000);
}


void
ngx_http_llm_shed_enter(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, llm_shed_kind_t kind,
    ngx_http_llm_shed_hold_t *hold)
{
    ngx_http_llm_shed_node_t  *sn;

    sn = gate->shed_node;

    if (sn == NULL) {
        return;
    }

    hold->gate = gate;
    hold->started = ngx_http_llm_store_now(store);
    hold->kind = kind;
    hold->proven = 0;

    (void) __atomic_fetch_add(&sn->inflights[store->row], 1, __ATOMIC_RELAXED);

    llm_shed_start(&gate->shed, &sn->shed, kind, hold->started);
}


void
ngx_http_llm_shed_prove(ngx_http_llm_store_t *store,
    ngx_http_llm_shed_hold_t *hold, llm_class_t class)
{
    llm_msec_t                  now, took, target;
    llm_shed_proof_t            proof;
    ngx_http_llm_store_gate_t  *gate;

    gate = hold->gate;

    if (gate == NULL || hold->proven) {
        return;
    }

    hold->proven = 1;

    now = ngx_http_llm_store_now(store);
    took = now > hold->started ? now - hold->started : 0;
    target = gate->shed.target[hold->kind];

    if (took > target || class == LLM_CLASS_OVERLOADED
        || llm_class_is_timeout(class))
    {
        proof = LLM_SHED_LATE;

    } else if (class != LLM_CLASS_OK) {
        proof = LLM_SHED_NONE;

    } else {
        proof = took > target / 2 ? LLM_SHED_GOOD : LLM_SHED_QUICK;
    }

    llm_shed_end(&gate->shed, &gate->shed_node->shed, hold->kind, hold->started,
                 proof);
}


void
ngx_http_llm_shed_leave(ngx_http_llm_store_t *store,
    ngx_http_llm_shed_hold_t *hold, llm_class_t class)
{
    uint32_t  *n;

    if (hold->gate == NULL) {
        return;
    }

    ngx_http_llm_shed_prove(store, hold, class);

    n = &hold->gate->shed_node->inflights[store->row];

    /* a row taken for dead may have been cleared meanwhile */

    if (__atomic_load_n(n, __ATOMIC_RELAXED)) {
        (void) __atomic_fetch_sub(n, 1, __ATOMIC_RELAXED);
    }

    hold->gate = NULL;
}


void
ngx_http_llm_shed_told(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_store_pool_t *pool,
    uint32_t group, ngx_str_t *model, uint32_t left_bp, llm_msec_t reset)
{
    uint32_t    id, groups;
    uint64_t    hash;
    llm_msec_t  now;

    if (gate->shed_node == NULL) {
        return;
    }

    now = ngx_http_llm_store_now(store);
    hash = llm_fnv64(ngx_http_llm_str(model), 0);

    /* by its name's hash: its number may be another one's after a reload */

    id = pool ? (uint32_t) pool->group_ids[group] : 0;
    groups = pool ? pool->conf.group_n : 1;

    ngx_http_llm_store_lock(store);
    llm_shed_told(&gate->shed_node->shed, hash, id, groups, left_bp, reset,
                  now);
    ngx_http_llm_store_unlock(store);
}


ngx_int_t
ngx_http_llm_shed_view(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate, ngx_http_llm_shed_view_t *view)
{
    ngx_uint_t                 i;
    ngx_http_llm_shed_node_t  *sn;

    sn = gate->shed_node;

    if (sn == NULL) {
        return NGX_DECLINED;
    }

    view->inflight = ngx_http_llm_shed_inflight(sn);
    view->level_bp = llm_shed_level(&gate->shed, &sn->shed, view->inflight);

    ngx_http_llm_store_lock(store);

    view->limit = sn->shed.limit;
    view->left_bp = llm_shed_scarcest(&sn->shed,
                                      ngx_http_llm_store_now(store));

    ngx_http_llm_store_unlock(store);

    for (i = 0; i < LLM_PRIORITIES; i++) {
        view->shed[i] = __atomic_load_n(&sn->total[i], __ATOMIC_RELAXED);
        view->would[i] = __atomic_load_n(&sn->would[i], __ATOMIC_RELAXED);
    }

    return NGX_OK;
}


/* Nobody may ask any more who would find out that it is over. */

void
ngx_http_llm_sheds_tick(ngx_http_llm_store_t *store)
{
    llm_msec_t                   now;
    ngx_uint_t                   i;
    ngx_http_llm_shed_node_t    *sn;
    ngx_http_llm_store_gate_t  **gate;

    now = ngx_http_llm_store_now(store);
    gate = store->gates.elts;

    for (i = 0; i < store->gates.nelts; i++) {
        sn = gate[i]->shed_node;

        if (sn && sn->shed.began && llm_shed_is_due(&sn->shed, now)) {
            ngx_http_llm_shed_step(store, gate[i], now);
        }
    }
}


void
ngx_http_llm_shed_forget_locked(ngx_http_llm_root_t *root, ngx_uint_t row)
{
    ngx_queue_t               *q, *cells;
    ngx_http_llm_shed_node_t  *sn;

    cells = &root->cells[NGX_HTTP_LLM_CELL_SHED];

    for (q = ngx_queue_head(cells);
         q != ngx_queue_sentinel(cells);
         q = ngx_queue_next(q))
    {
        sn = ngx_queue_data(q, ngx_http_llm_shed_node_t, node.queue);

        if (__atomic_exchange_n(&sn->inflights[row], 0, __ATOMIC_RELAXED)) {
            llm_shed_forgive(&sn->shed);
        }
    }
}
