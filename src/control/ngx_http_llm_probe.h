/*
 * Probes of providers: a GET now and then, whether anybody asks them or not.
 */

#ifndef _NGX_HTTP_LLM_PROBE_H_INCLUDED_
#define _NGX_HTTP_LLM_PROBE_H_INCLUDED_

#include "ngx_http_llm.h"
#include "ngx_http_llm_curl.h"

#pragma GCC visibility push(hidden)


/* How a provider is probed; times and numbers stand in its gate. */
struct ngx_http_llm_probe_s {
    ngx_str_t                   path;       /* as written, or empty */
    ngx_http_llm_curl_peer_t    peer;
    ngx_http_llm_curl_t         request;
    ngx_http_llm_store_t       *store;
    ngx_uint_t                  busy;       /* under way, in this worker */
};


/* Sends the probes that are due; called by the worker that has the lead. */
void ngx_http_llm_probe_tick(ngx_http_llm_main_conf_t *lmcf);

/* The shortest interval there is, or `tick`, which is shorter. */
ngx_msec_t ngx_http_llm_probe_pace(ngx_http_llm_main_conf_t *lmcf,
    ngx_msec_t tick);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_PROBE_H_INCLUDED_ */
