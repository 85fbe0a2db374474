/*
 * The life of the store: the directive's zone, the worker table, the clock and
 * the timer that looks after them.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <signal.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_STORE_TICK    1000     /* ms */
#define NGX_HTTP_LLM_STORE_NOMEM   60000    /* ms between two complaints */
#define NGX_HTTP_LLM_STORE_DRIFT   60000    /* ms the clocks may differ */


static ngx_int_t ngx_http_llm_store_join(ngx_http_llm_store_t *store);
static void ngx_http_llm_store_reap(ngx_http_llm_store_t *store);
static ngx_uint_t ngx_http_llm_store_writes(ngx_http_llm_store_t *store);
static void ngx_http_llm_store_tick(ngx_event_t *ev);
static void ngx_http_llm_store_tie_clock(ngx_http_llm_store_t *store);
static llm_msec_t ngx_http_llm_store_wall(void);


char *
ngx_http_llm_store_zone(ngx_conf_t *cf, ngx_http_llm_store_t *store,
    ngx_str_t *name, size_t size, void *tag)
{
    ngx_shm_zone_t  *zone;

    if (store->zone) {
        return "is duplicate";
    }

    if (size < 8 * ngx_pagesize) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small",
                           name);
        return NGX_CONF_ERROR;
    }

    zone = ngx_shared_memory_add(cf, name, size, tag);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->init = ngx_http_llm_shm_init;
    zone->data = store;

    store->zone = zone;
    store->log = &cf->cycle->new_log;

    store->ident.store = store;
    store->ident.fd = (ngx_socket_t) -1;

    store->poll.handler = ngx_http_llm_inflight_poll;
    store->poll.data = &store->ident;
    store->poll.log = store->log;
    store->poll.cancelable = 1;

    store->timer.handler = ngx_http_llm_store_tick;
    store->timer.data = &store->ident;
    store->timer.log = store->log;
    store->timer.cancelable = 1;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_store_init_process(ngx_cycle_t *cycle,
    ngx_http_llm_store_t *store)
{
    if (store->root == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    store->seed = (uint64_t) ngx_random() << 33 ^ (uint64_t) ngx_random() << 8
                  ^ (uint64_t) ngx_pid;

    if (ngx_http_llm_store_join(store) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_llm_splits_run(store);

    ngx_add_timer(&store->timer, NGX_HTTP_LLM_STORE_TICK);

    return NGX_OK;
}


/* Takes a row.  A table full of workers shares one more row, whose counts
 * nobody can tell apart: then nodes are not freed any more. */

static ngx_int_t
ngx_http_llm_store_join(ngx_http_llm_store_t *store)
{
    ngx_uint_t            i;
    ngx_http_llm_root_t  *root;

    root = store->root;

    ngx_http_llm_store_reap(store);

    ngx_http_llm_store_lock(store);

    if (store->generation < root->floor) {
        ngx_http_llm_store_unlock(store);

        ngx_log_error(NGX_LOG_NOTICE, store->log, 0,
                      "llm: this worker's configuration is outdated");
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_LLM_ROWS; i++) {
        if (root->row[i].pid == 0 || root->row[i].pid == ngx_pid) {
            break;
        }
    }

    if (i < NGX_HTTP_LLM_ROWS) {
        ngx_http_llm_inflight_forget_locked(root, i);
        ngx_http_llm_gauges_forget_locked(store, i);
        root->row[i].generation = store->generation;
        root->row[i].pid = ngx_pid;

    } else {
        root->crowded = 1;
    }

    store->row = i;
    store->joined = 1;

    ngx_http_llm_store_unlock(store);

    return NGX_OK;
}


void
ngx_http_llm_store_exit_process(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (!store->joined) {
        return;
    }

    if (ngx_http_llm_store_writes(store)) {
        ngx_http_llm_state_save(store);
        ngx_http_llm_audit_flush(store);
    }

    ngx_http_llm_store_lock(store);

    if (store->places) {
        ngx_http_llm_split_forgive_locked(root,
                                          ngx_http_llm_store_now(store));
    }

    if (store->row == NGX_HTTP_LLM_ROWS) {
        ngx_http_llm_store_unlock(store);
        return;
    }

    ngx_http_llm_inflight_forget_locked(root, store->row);
    ngx_http_llm_gauges_forget_locked(store, store->row);
    root->row[store->row].pid = 0;

    ngx_http_llm_store_unlock(store);
}


static void
ngx_http_llm_store_reap(ngx_http_llm_store_t *store)
{
    ngx_pid_t             pid;
    ngx_uint_t            i;
    ngx_http_llm_root_t  *root;

    root = store->root;

    for (i = 0; i < NGX_HTTP_LLM_ROWS; i++) {
        pid = root->row[i].pid;

        if (pid == 0 || pid == ngx_pid) {
            continue;
        }

        if (kill(pid, 0) != -1 || ngx_errno != NGX_ESRCH) {
            continue;
        }

        ngx_http_llm_store_lock(store);

        if (root->row[i].pid == pid) {
            ngx_http_llm_inflight_forget_locked(root, i);
            ngx_http_llm_gauges_forget_locked(store, i);
            ngx_http_llm_split_forgive_locked(root,
                                          ngx_http_llm_store_now(store));
            root->row[i].pid = 0;

            /* another process may get that number */

            if (root->audit.writer == pid) {
                root->audit.writer = 0;
            }
        }

        ngx_http_llm_store_unlock(store);

        ngx_log_error(NGX_LOG_NOTICE, store->log, 0,
                      "llm: worker %P is gone, its requests are not counted "
                      "any more", pid);
    }
}


/* One worker writes the state file: of the newest configuration, the one with
 * the lowest pid. */

static ngx_uint_t
ngx_http_llm_store_writes(ngx_http_llm_store_t *store)
{
    ngx_uint_t                  i;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_worker_row_t  *row;

    root = store->root;

    if (store->state == NULL) {
        return 0;
    }

    for (i = 0; i < NGX_HTTP_LLM_ROWS; i++) {
        row = &root->row[i];

        if (row->pid == 0 || row->pid == ngx_pid) {
            continue;
        }

        if (row->generation > store->generation
            || (row->generation == store->generation && row->pid < ngx_pid))
        {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_llm_store_tick(ngx_event_t *ev)
{
    uint64_t                     lost;
    ngx_http_llm_root_t         *root;
    ngx_http_llm_store_t        *store;
    ngx_http_llm_store_ident_t  *ident;

    ident = ev->data;
    store = ident->store;
    root = store->root;

    ngx_http_llm_store_reap(store);
    ngx_http_llm_store_tie_clock(store);
    ngx_http_llm_sheds_tick(store);

    if (store->nomem
        && ngx_current_msec - store->nomem_logged >= NGX_HTTP_LLM_STORE_NOMEM)
    {
        ngx_log_error(NGX_LOG_ERR, ev->log, 0,
                      "llm_zone \"%V\" is full: %ui sends used what this "
                      "worker alone remembers of its keys",
                      &store->zone->shm.name, store->nomem);

        store->nomem = 0;
        store->nomem_logged = ngx_current_msec;
    }

    ngx_http_llm_counters_tick(store);

    lost = __atomic_exchange_n(&root->audit.lost, 0, __ATOMIC_RELAXED);

    if (lost) {
        ngx_log_error(NGX_LOG_ERR, ev->log, 0,
                      "llm_zone \"%V\" is full: %uL changes are missing in the "
                      "audit trail", &store->zone->shm.name, lost);
    }

    if (ngx_http_llm_store_writes(store)) {
        ngx_http_llm_audit_flush(store);

        if ((ngx_msec_int_t) (ngx_current_msec - store->save_next) >= 0) {
            ngx_http_llm_state_save(store);
        }
    }

    if (!ngx_exiting) {
        ngx_add_timer(ev, NGX_HTTP_LLM_STORE_TICK);
    }
}


/* A corrected or woken clock moves the times of day of quotas, but no rollout;
 * a slewed one does not matter. */

static void
ngx_http_llm_store_tie_clock(ngx_http_llm_store_t *store)
{
    int64_t               drift;
    ngx_http_llm_root_t  *root;

    root = store->root;

    ngx_http_llm_store_lock(store);

    /* one worker corrects it, for all */

    drift = (int64_t) (ngx_http_llm_store_wall()
                       - ngx_http_llm_store_now(store));

    if (drift <= NGX_HTTP_LLM_STORE_DRIFT && -drift <= NGX_HTTP_LLM_STORE_DRIFT)
    {
        ngx_http_llm_store_unlock(store);
        return;
    }

    root->offset += drift;
    ngx_http_llm_splits_shift_locked(root, drift);
    ngx_http_llm_nodes_shift_locked(root, drift);

    ngx_http_llm_store_unlock(store);

    ngx_log_error(NGX_LOG_NOTICE, store->log, 0,
                  "llm: the system's clock jumped by %L s", drift / 1000);
}


llm_msec_t
ngx_http_llm_store_now(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (root == NULL) {
        return ngx_http_llm_store_wall();
    }

    return (llm_msec_t) ((int64_t) ngx_current_msec + root->offset);
}


llm_msec_t
ngx_http_llm_store_steady(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    return (llm_msec_t) ((int64_t) ngx_current_msec + root->base);
}


static llm_msec_t
ngx_http_llm_store_wall(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (llm_msec_t) tp->sec * 1000 + tp->msec;
}
