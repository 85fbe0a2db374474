/*
 * What all workers of a node learned about requests: how long answers of a
 * route are, how many bytes a token of a model has.  And who was told already.
 */

#ifndef _NGX_HTTP_LLM_FORECAST_H_INCLUDED_
#define _NGX_HTTP_LLM_FORECAST_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_forecast.h"
#include "ngx_http_llm_store.h"

#pragma GCC visibility push(hidden)


typedef enum {
    NGX_HTTP_LLM_FORECAST_OUTPUT = 0,       /* of a route */
    NGX_HTTP_LLM_FORECAST_RATIO             /* of a model */
} ngx_http_llm_forecast_e;


/* Part of a route and of a model; in store->forecasts where some limit asks. */
typedef struct {
    ngx_str_t                  name;
    ngx_http_llm_forecast_e    kind;
    llm_forecast_t            *data;        /* set by zone init; NULL: none */
} ngx_http_llm_store_forecast_t;


/* One more sample, of the quantile that its kind stands for. */
void ngx_http_llm_forecast_learn(ngx_http_llm_store_t *store,
    ngx_http_llm_store_forecast_t *f, uint64_t x);

/* What is known; 0: nothing yet.  Without a lock. */
static ngx_inline uint32_t
ngx_http_llm_forecast_value(const ngx_http_llm_store_forecast_t *f)
{
    return f->data ? __atomic_load_n(&f->data->value, __ATOMIC_RELAXED) : 0;
}


/* Whether this is the first time that any worker says `news`, a hash; one of a
 * few hundred at a time, so a rare one may come twice. */
ngx_uint_t ngx_http_llm_once(ngx_http_llm_store_t *store, uint64_t news);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_FORECAST_H_INCLUDED_ */
