/*
 * The lead: which of a node's workers moves rollouts and writes the audit
 * trail.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <signal.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_LEAD_LOST  2000        /* ms without a sign of life */


ngx_int_t
ngx_http_llm_lead(ngx_http_llm_store_t *store)
{
    ngx_int_t             rc;
    ngx_pid_t             pid;
    ngx_uint_t            gone;
    llm_msec_t            now;
    ngx_http_llm_lead_t  *lead;

    lead = &((ngx_http_llm_root_t *) store->root)->lead;
    now = ngx_http_llm_store_now(store);

    pid = lead->pid;
    gone = (pid && pid != ngx_pid
            && kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH);

    ngx_http_llm_store_lock(store);

    /* clocks of workers differ by what they are busy with: the sign of life
     * may be newer than "now" */

    if (lead->pid == 0
        || lead->pid == ngx_pid
        || lead->generation < store->generation
        || (gone && lead->pid == pid)
        || (int64_t) (now - lead->at) > NGX_HTTP_LLM_LEAD_LOST)
    {
        lead->pid = ngx_pid;
        lead->generation = store->generation;
        lead->at = now;
        rc = NGX_OK;

    } else {
        rc = NGX_DECLINED;
    }

    ngx_http_llm_store_unlock(store);

    return rc;
}


void
ngx_http_llm_lead_release(ngx_http_llm_store_t *store)
{
    ngx_http_llm_lead_t  *lead;

    lead = &((ngx_http_llm_root_t *) store->root)->lead;

    ngx_http_llm_store_lock(store);

    if (lead->pid == ngx_pid && lead->generation == store->generation) {
        lead->pid = 0;
    }

    ngx_http_llm_store_unlock(store);
}
