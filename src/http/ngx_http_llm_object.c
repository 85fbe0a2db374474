/*
 * Files, batches and stored responses live at the account that made them.
 */

#include "ngx_http_llm_ctx.h"

#include "llm_hash.h"


uint64_t
ngx_http_llm_target_hash(ngx_http_llm_target_t *t)
{
    /* models and providers share one namespace */
    return llm_fnv64(ngx_http_llm_view(t->model ? &t->model->name
                                                : &t->provider->name), 0);
}
