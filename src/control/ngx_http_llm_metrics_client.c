/*
 * What came of llm_auth, and how many records there are.  Nothing is counted
 * per client: there may be any number of them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_metrics.h"


/* in the order of ngx_http_llm_auth_e */

static const char  *ngx_http_llm_metrics_outcomes[] = {
    "ok", "missing", "unknown", "expired", "disabled", "not_allowed"
};


void
ngx_http_llm_metrics_clients(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t               i;
    ngx_http_llm_clients_t  *clients;

    clients = lmcf->clients;

    if (!clients->used) {
        return;
    }

    ngx_http_llm_page_family(page, "llm_auth_total", "counter",
                             "Requests that llm_auth looked at, and those that "
                             "asked for what their client may not use.");

    for (i = 0; i < NGX_HTTP_LLM_AUTH_N; i++) {
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_label(page, "outcome",
                    ngx_http_llm_word_of(ngx_http_llm_metrics_outcomes[i]));
        ngx_http_llm_page_uint(page, ngx_http_llm_auth_total(&lmcf->store, i));
    }

    ngx_http_llm_clients_sync(clients);

    ngx_http_llm_page_family(page, "llm_records", "gauge",
                             "Records of clients, users and organisations.");

    /* those of the file that others took the place of do not count */

    for (i = 0; i < LLM_PARTY_N; i++) {
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_label(page, "kind", llm_party_name(i));
        ngx_http_llm_page_uint(page, clients->list[i].nelts
                                     - clients->hidden[i]
                                     + clients->live_ids[i].n);
    }
}
