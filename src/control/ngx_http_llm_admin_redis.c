/*
 * GET redis: how the transport fares, and which nodes share what.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"
#include "ngx_http_llm_nodes.h"
#include "ngx_http_llm_redis.h"


static void ngx_http_llm_admin_redis_link(ngx_http_llm_admin_t *a,
    cJSON *root);
static void ngx_http_llm_admin_redis_counts(ngx_http_llm_admin_t *a,
    cJSON *root, ngx_http_llm_redis_totals_t *totals);
static void ngx_http_llm_admin_redis_nodes(ngx_http_llm_admin_t *a,
    cJSON *root);
static void ngx_http_llm_admin_redis_text(ngx_http_llm_admin_t *a,
    cJSON *root, const char *name, u_char *text);


ngx_int_t
ngx_http_llm_admin_redis(ngx_http_llm_admin_t *a)
{
    cJSON  *root;

    root = ngx_http_llm_admin_root(a);

    ngx_http_llm_admin_redis_link(a, root);
    ngx_http_llm_admin_redis_nodes(a, root);

    a->status = NGX_HTTP_OK;

    return NGX_DONE;
}


static void
ngx_http_llm_admin_redis_link(ngx_http_llm_admin_t *a, cJSON *root)
{
    ngx_str_t                     address, mode;
    ngx_http_llm_redis_totals_t  *totals;

    totals = ngx_palloc(a->request->pool, sizeof(ngx_http_llm_redis_totals_t));
    if (totals == NULL) {
        a->failed = 1;
        return;
    }

    if (ngx_http_llm_redis_status(&a->lmcf->store, totals, &address, &mode)
        != NGX_OK)
    {
        ngx_http_llm_admin_put_bool(a, root, "configured", 0);
        return;
    }

    ngx_http_llm_admin_put_bool(a, root, "configured", 1);
    ngx_http_llm_admin_put_str(a, root, "address", &address);
    ngx_http_llm_admin_put_str(a, root, "mode", &mode);
    ngx_http_llm_admin_put_bool(a, root, "connected", totals->connected);
    ngx_http_llm_admin_put_time(a, root, "since", totals->since);
    ngx_http_llm_admin_redis_text(a, root, "peer", totals->peer);
    ngx_http_llm_admin_redis_text(a, root, "version", totals->version);
    ngx_http_llm_admin_redis_text(a, root, "error", totals->why);
    ngx_http_llm_admin_put_number(a, root, "queue", (double) totals->queue);
    ngx_http_llm_admin_put_ratio(a, root, "latency_ms",
                                 (double) totals->time_sum,
                                 (double) totals->replies);

    ngx_http_llm_admin_redis_counts(a, root, totals);
}


static void
ngx_http_llm_admin_redis_counts(ngx_http_llm_admin_t *a, cJSON *root,
    ngx_http_llm_redis_totals_t *totals)
{
    cJSON  *counts;

    counts = ngx_http_llm_admin_put_object(a, root, "counts");

    ngx_http_llm_admin_put_number(a, counts, "commands",
                                  (double) totals->commands);
    ngx_http_llm_admin_put_number(a, counts, "replies",
                                  (double) totals->replies);
    ngx_http_llm_admin_put_number(a, counts, "errors",
                                  (double) totals->errors);
    ngx_http_llm_admin_put_number(a, counts, "out_of_memory",
                                  (double) totals->oom);
    ngx_http_llm_admin_put_number(a, counts, "unknown",
                                  (double) totals->unknown);
    ngx_http_llm_admin_put_number(a, counts, "busy", (double) totals->busy);
    ngx_http_llm_admin_put_number(a, counts, "timeouts",
                                  (double) totals->timeouts);
    ngx_http_llm_admin_put_number(a, counts, "connects",
                                  (double) totals->connects);
    ngx_http_llm_admin_put_number(a, counts, "failures",
                                  (double) totals->failures);
    ngx_http_llm_admin_put_number(a, counts, "redirects",
                                  (double) totals->redirects);
    ngx_http_llm_admin_put_number(a, counts, "scripts_sent",
                                  (double) totals->unknown_scripts);
}


static void
ngx_http_llm_admin_redis_nodes(ngx_http_llm_admin_t *a, cJSON *root)
{
    u_char                     (*ids)[NGX_HTTP_LLM_NODE_ID];
    cJSON                       *list;
    ngx_str_t                    id;
    ngx_uint_t                   i, n;
    ngx_http_llm_store_t        *store;
    ngx_http_llm_nodes_view_t    view;

    store = &a->lmcf->store;

    if (store->root == NULL) {
        return;
    }

    ids = ngx_palloc(a->request->pool,
                     NGX_HTTP_LLM_NODES * NGX_HTTP_LLM_NODE_ID);
    if (ids == NULL) {
        a->failed = 1;
        return;
    }

    ngx_http_llm_nodes_view(store, &view);

    id = ngx_http_llm_nodes_id(store);
    n = ngx_http_llm_nodes_live(store, ids);

    ngx_http_llm_admin_put_str(a, root, "node", &id);
    ngx_http_llm_admin_put_number(a, root, "nodes", (double) view.n);
    ngx_http_llm_admin_put_number(a, root, "rank", (double) view.rank);
    ngx_http_llm_admin_put_bool(a, root, "leader", view.leader);
    ngx_http_llm_admin_put_number(a, root, "term", (double) view.term);
    ngx_http_llm_admin_put_bool(a, root, "learning", view.learning);
    ngx_http_llm_admin_put_number(a, root, "skew_ms", (double) view.skew);
    ngx_http_llm_admin_put_time(a, root, "seen", view.seen);

    list = ngx_http_llm_admin_put_array(a, root, "live");
    id.len = NGX_HTTP_LLM_NODE_ID;

    for (i = 0; i < n; i++) {
        id.data = ids[i];
        ngx_http_llm_admin_put_str(a, list, NULL, &id);
    }
}


static void
ngx_http_llm_admin_redis_text(ngx_http_llm_admin_t *a, cJSON *root,
    const char *name, u_char *text)
{
    ngx_str_t  s;

    s.data = text;
    s.len = ngx_strlen(text);

    if (s.len) {
        ngx_http_llm_admin_put_str(a, root, name, &s);

    } else {
        ngx_http_llm_admin_put_null(a, root, name);
    }
}
