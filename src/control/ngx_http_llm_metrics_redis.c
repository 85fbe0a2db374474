/*
 * Metrics of the transport to Redis, and of the nodes that share it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_metrics.h"
#include "ngx_http_llm_nodes.h"
#include "ngx_http_llm_redis.h"


/* A family with one sample. */

typedef struct {
    const char  *name;
    const char  *help;
    size_t       offset;
} ngx_http_llm_metrics_redis_t;


static void ngx_http_llm_metrics_redis_gauge(ngx_http_llm_page_t *page,
    const char *name, const char *help, uint64_t n);
static void ngx_http_llm_metrics_redis_latency(ngx_http_llm_page_t *page,
    ngx_http_llm_redis_totals_t *totals);
static void ngx_http_llm_metrics_redis_nodes(ngx_http_llm_page_t *page,
    ngx_http_llm_store_t *store);
static void ngx_http_llm_metrics_redis_skew(ngx_http_llm_page_t *page,
    int64_t skew);


#define ngx_http_llm_metrics_at(member)                                       \
    offsetof(ngx_http_llm_redis_totals_t, member)


static const ngx_http_llm_metrics_redis_t  ngx_http_llm_metrics_redis_sums[] =
{
    { "llm_redis_commands_total", "Commands sent to Redis.",
      ngx_http_llm_metrics_at(commands) },

    { "llm_redis_errors_total", "Replies that were errors.",
      ngx_http_llm_metrics_at(errors) },

    { "llm_redis_unknown_total", "Commands whose outcome is not known.",
      ngx_http_llm_metrics_at(unknown) },

    { "llm_redis_busy_total", "Commands not sent: no connection, or too many "
      "were waiting.", ngx_http_llm_metrics_at(busy) },

    { "llm_redis_timeouts_total", "Deadlines that passed.",
      ngx_http_llm_metrics_at(timeouts) },

    { "llm_redis_connects_total", "Connections made.",
      ngx_http_llm_metrics_at(connects) },

    { "llm_redis_failures_total", "Connections that failed, or could not be "
      "made.", ngx_http_llm_metrics_at(failures) },

    { "llm_redis_redirects_total", "Commands that another node of the cluster "
      "had to take.", ngx_http_llm_metrics_at(redirects) },

    { NULL, NULL, 0 }
};


void
ngx_http_llm_metrics_redis(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_str_t                            address, mode;
    ngx_http_llm_redis_totals_t         *totals;
    const ngx_http_llm_metrics_redis_t  *f;

    totals = ngx_palloc(page->pool, sizeof(ngx_http_llm_redis_totals_t));
    if (totals == NULL) {
        page->failed = 1;
        return;
    }

    if (ngx_http_llm_redis_status(&lmcf->store, totals, &address, &mode)
        != NGX_OK)
    {
        return;
    }

    ngx_http_llm_metrics_redis_gauge(page, "llm_redis_up",
                                     "Whether Redis can be talked to.",
                                     totals->connected);
    ngx_http_llm_metrics_redis_gauge(page, "llm_redis_queue",
                                     "Commands whose replies are due.",
                                     totals->queue);

    for (f = ngx_http_llm_metrics_redis_sums; f->name; f++) {
        ngx_http_llm_page_family(page, f->name, "counter", f->help);
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_uint(page, *(uint64_t *) ((u_char *) totals
                                                    + f->offset));
    }

    ngx_http_llm_metrics_redis_latency(page, totals);
    ngx_http_llm_metrics_redis_nodes(page, &lmcf->store);
}


static void
ngx_http_llm_metrics_redis_gauge(ngx_http_llm_page_t *page, const char *name,
    const char *help, uint64_t n)
{
    ngx_http_llm_page_family(page, name, "gauge", help);
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_uint(page, n);
}


static void
ngx_http_llm_metrics_redis_latency(ngx_http_llm_page_t *page,
    ngx_http_llm_redis_totals_t *totals)
{
    u_char      text[32];
    uint64_t    count;
    llm_str_t   le;
    ngx_uint_t  i;

    ngx_http_llm_page_family(page, "llm_redis_latency_seconds", "histogram",
                             "Time from a command to its reply.");
    count = 0;

    for (i = 0; i < NGX_HTTP_LLM_REDIS_TIMES; i++) {
        count += totals->time[i];

        le.data = text;
        le.len = i < NGX_HTTP_LLM_REDIS_TIMES - 1
                 ? ngx_sprintf(text, "0.%03M", ngx_http_llm_redis_times[i])
                   - text
                 : ngx_sprintf(text, "+Inf") - text;

        ngx_http_llm_page_sample(page, "_bucket");
        ngx_http_llm_page_label(page, "le", le);
        ngx_http_llm_page_uint(page, count);
    }

    ngx_http_llm_page_sample(page, "_sum");
    ngx_http_llm_page_fixed(page, totals->time_sum, 3);
    ngx_http_llm_page_sample(page, "_count");
    ngx_http_llm_page_uint(page, count);
}


static void
ngx_http_llm_metrics_redis_nodes(ngx_http_llm_page_t *page,
    ngx_http_llm_store_t *store)
{
    ngx_http_llm_nodes_view_t  view;

    ngx_http_llm_nodes_view(store, &view);

    ngx_http_llm_metrics_redis_gauge(page, "llm_nodes",
                                     "Nodes among which limits are divided.",
                                     view.n);
    ngx_http_llm_metrics_redis_gauge(page, "llm_node_leads",
                                     "Whether this node leads the others.",
                                     view.leader);
    ngx_http_llm_metrics_redis_gauge(page, "llm_node_term",
                                     "The term of the leader, as far as this "
                                     "node knows.", view.term);
    ngx_http_llm_metrics_redis_gauge(page, "llm_node_learning",
                                     "Whether Redis has just lost data.",
                                     view.learning);
    ngx_http_llm_metrics_redis_skew(page, view.skew);
}


static void
ngx_http_llm_metrics_redis_skew(ngx_http_llm_page_t *page, int64_t skew)
{
    ngx_http_llm_page_family(page, "llm_node_skew_seconds", "gauge",
                             "How far this node's clock is from that of "
                             "Redis, whichever is ahead.");
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_fixed(page, (uint64_t) (skew < 0 ? -skew : skew), 3);
}
