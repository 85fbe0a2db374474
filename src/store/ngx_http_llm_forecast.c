/*
 * Forecasts in the zone, and a small memory of what was said.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


void
ngx_http_llm_forecast_learn(ngx_http_llm_store_t *store,
    ngx_http_llm_store_forecast_t *f, uint64_t x)
{
    if (f->data == NULL) {
        return;
    }

    ngx_http_llm_store_lock(store);

    llm_forecast_learn(f->data, x,
                       f->kind == NGX_HTTP_LLM_FORECAST_OUTPUT ? 950 : 100);

    ngx_http_llm_store_unlock(store);
}


ngx_uint_t
ngx_http_llm_once(ngx_http_llm_store_t *store, uint64_t news)
{
    uint64_t             *said;
    ngx_http_llm_root_t  *root;

    root = store->root;
    said = &root->said[news % NGX_HTTP_LLM_SAID];

    return __atomic_exchange_n(said, news, __ATOMIC_RELAXED) != news;
}
