
/*
 * Metrics of shedding: how much each provider sheds, and whom it shed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_metrics.h"


static void ngx_http_llm_metrics_shed_gauge(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf, ngx_uint_t family);
static void ngx_http_llm_metrics_shed_total(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
static void ngx_http_llm_metrics_shed_count(ngx_http_llm_page_t *page,
    ngx_str_t *provider, llm_priority_t priority, const char *dry_run,
    uint64_t n);


void
ngx_http_llm_metrics_sheds(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t  i;

    static const char  *families[][2] = {
        { "llm_shed_level", "How much a provider sheds, 0 to 1: up to 0.5 low "
          "requests, above it normal ones." },
        { "llm_shed_inflight", "Requests let in and not yet over, as shedding "
          "counts them." },
        { "llm_shed_limit", "How many of them the level follows; missing while "
          "there is none." },
        { "llm_shed_quota_left", "What the provider says is left of its "
          "scarcest quota, 0 to 1." }
    };

    for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        ngx_http_llm_page_family(page, families[i][0], "gauge",
                                 families[i][1]);
        ngx_http_llm_metrics_shed_gauge(page, lmcf, i);
    }

    ngx_http_llm_metrics_shed_total(page, lmcf);
}


static void
ngx_http_llm_metrics_shed_gauge(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf, ngx_uint_t family)
{
    ngx_uint_t                  i;
    ngx_http_llm_provider_t   **p;
    ngx_http_llm_shed_view_t    view;

    p = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {

        if (ngx_http_llm_shed_view(&lmcf->store, &p[i]->gate, &view) != NGX_OK
            || (family == 2 && view.limit == 0))
        {
            continue;
        }

        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_label(page, "provider",
                                ngx_http_llm_view(&p[i]->name));

        switch (family) {

        case 0:
            ngx_http_llm_page_fixed(page, view.level_bp, 4);
            break;

        case 1:
            ngx_http_llm_page_uint(page, view.inflight);
            break;

        case 2:
            ngx_http_llm_page_fixed(page, view.limit, 3);
            break;

        default:
            ngx_http_llm_page_fixed(page, view.left_bp, 4);
            break;
        }
    }
}


static void
ngx_http_llm_metrics_shed_total(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                  i, k;
    ngx_http_llm_provider_t   **p;
    ngx_http_llm_shed_view_t    view;

    ngx_http_llm_page_family(page, "llm_shed_total", "counter",
                             "Requests that a provider shed, or would have "
                             "without dry_run.");
    p = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {

        if (ngx_http_llm_shed_view(&lmcf->store, &p[i]->gate, &view)
            != NGX_OK)
        {
            continue;
        }

        for (k = LLM_PRIORITY_LOW; k < LLM_PRIORITY_HIGH; k++) {
            ngx_http_llm_metrics_shed_count(page, &p[i]->name,
                                            (llm_priority_t) k, "no",
                                            view.shed[k]);

            if (p[i]->gate.shed.dry_run || view.would[k]) {
                ngx_http_llm_metrics_shed_count(page, &p[i]->name,
                                                (llm_priority_t) k, "yes",
                                                view.would[k]);
            }
        }
    }
}


static void
ngx_http_llm_metrics_shed_count(ngx_http_llm_page_t *page, ngx_str_t *provider,
    llm_priority_t priority, const char *dry_run, uint64_t n)
{
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_label(page, "provider", ngx_http_llm_view(provider));
    ngx_http_llm_page_label(page, "priority", llm_priority_name(priority));
    ngx_http_llm_page_label(page, "dry_run", ngx_http_llm_word_of(dry_run));
    ngx_http_llm_page_uint(page, n);
}
