
/*
 * The block `llm_provider`, while it is read: members by topic.
 */


#ifndef _NGX_HTTP_LLM_PROVIDER_H_INCLUDED_
#define _NGX_HTTP_LLM_PROVIDER_H_INCLUDED_


#include "ngx_http_llm_conf.h"

#pragma GCC visibility push(hidden)


typedef struct {
    ngx_http_llm_provider_t    *provider;
    ngx_http_llm_pool_block_t   keys;          /* keys.pool: it has its own */
    ngx_str_t                   base_url;
    ngx_str_t                   version_member;
    ngx_uint_t                  pool;          /* keys NAME */
    uint32_t                    native;        /* LLM_EP_BIT()s */
    ngx_uint_t                  native_set;

    ngx_flag_t                  ssl_verify;
    ngx_uint_t                  ssl_depth;
    ngx_str_t                   ssl_trusted;
    ngx_str_t                   ssl_name;
    ngx_str_t                   ssl_certificate;
    ngx_str_t                   ssl_key;

    ngx_http_llm_mock_conf_t   *mock;
    ngx_str_t                   mock_member;   /* one that only a mock has */
} ngx_http_llm_provider_block_t;


/* gate.c: what protects the provider, and us from it */

void ngx_http_llm_gate_defaults(ngx_http_llm_provider_t *p);
char *ngx_http_llm_gate_timeout(ngx_conf_t *cf, void *block);
char *ngx_http_llm_gate_breaker(ngx_conf_t *cf, void *block);
char *ngx_http_llm_gate_inflight(ngx_conf_t *cf, void *block);
char *ngx_http_llm_gate_keepalive(ngx_conf_t *cf, void *block);
char *ngx_http_llm_gate_shed(ngx_conf_t *cf, void *block);

/* Warns of what has no effect, when the keys are known. */
void ngx_http_llm_gate_check(ngx_conf_t *cf, ngx_http_llm_provider_t *p);

/* params_conf.c: parameters of requests */

char *ngx_http_llm_provider_param(ngx_conf_t *cf, void *block);
char *ngx_http_llm_provider_unsupported(ngx_conf_t *cf, void *block);

/* control/probe_conf.c */

char *ngx_http_llm_probe_member(ngx_conf_t *cf, void *block);
ngx_int_t ngx_http_llm_probe_end(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);

/* provider_header.c */

char *ngx_http_llm_provider_header(ngx_conf_t *cf, void *block);

/* provider_native.c */

char *ngx_http_llm_provider_native(ngx_conf_t *cf, void *block);
ngx_int_t ngx_http_llm_provider_end_native(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);

/* provider_prefill.c */

char *ngx_http_llm_provider_prefill(ngx_conf_t *cf, void *block);

/* provider_version.c; end: when the dialect is known */

char *ngx_http_llm_provider_version(ngx_conf_t *cf, void *block);
char *ngx_http_llm_provider_api_version(ngx_conf_t *cf, void *block);
ngx_int_t ngx_http_llm_provider_end_version(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);

/* provider_mock.c: the built-in mock, recordings, replays */

ngx_int_t ngx_http_llm_mock_defaults(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);
char *ngx_http_llm_mock_time(ngx_conf_t *cf, void *block);
char *ngx_http_llm_mock_error_rate(ngx_conf_t *cf, void *block);
char *ngx_http_llm_mock_seed(ngx_conf_t *cf, void *block);
char *ngx_http_llm_mock_fault(ngx_conf_t *cf, void *block);
char *ngx_http_llm_mock_replay(ngx_conf_t *cf, void *block);
char *ngx_http_llm_mock_record(ngx_conf_t *cf, void *block);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_PROVIDER_H_INCLUDED_ */
