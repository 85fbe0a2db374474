
/*
 * Recording: exchanges with a real provider, written for the mock to replay.
 *
 * One exchange is two files under DIR/<endpoint, "/" as "-">/:
 *     <hash>-<n>.http           status, content type and body of the answer
 *     <hash>-<n>.request.json   method, path and body of the request
 * The hash is llm_exchange_hash() of the request's body.  Headers are never
 * written, so no key can be in a recording; texts and audio names can.
 */


#ifndef _NGX_HTTP_LLM_RECORD_H_INCLUDED_
#define _NGX_HTTP_LLM_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_request.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_RECORD_MAX   1000                /* default of max= */
#define NGX_HTTP_LLM_RECORD_KEEP  (7 * 24 * 3600)     /* default of keep= */


/* `record DIR [max=FILES|SIZE] [keep=TIME]` of a provider */

typedef struct {
    ngx_str_t    dir;                  /* full path, NUL-terminated */
    ngx_uint_t   max_files;            /* exchanges; 0: no such limit */
    off_t        max_bytes;            /* 0: no such limit */
    time_t       keep;                 /* seconds; 0: for ever */

    time_t       swept;                /* private: when limits were checked */
    ngx_uint_t   since;                /* private: exchanges written since */
} ngx_http_llm_record_conf_t;

typedef struct ngx_http_llm_record_s  ngx_http_llm_record_t;


/*
 * To be called while the configuration is read: has the directory made (0700,
 * owned by the workers' user) and warns that it will hold personal data.
 */

char *ngx_http_llm_record_init(ngx_conf_t *cf, ngx_http_llm_record_conf_t *rcf);

/*
 * Begins to record one attempt.  `body` is the request's body; it is copied as
 * far as it is kept.  Returns NULL when it is not to be recorded (too large, no
 * memory); the other two functions accept NULL.
 */

ngx_http_llm_record_t *ngx_http_llm_record_start(
    ngx_http_llm_record_conf_t *rcf, ngx_http_request_t *r, llm_endpoint_t ep,
    llm_str_t body);

/* Bytes of the answer's body, without transfer coding. */

void ngx_http_llm_record_data(ngx_http_llm_record_t *rec, u_char *p, size_t n);

/*
 * The answer ended.  It is written when it is complete and not larger than
 * 1 MiB; an error is logged and disturbs nobody.
 */

void ngx_http_llm_record_end(ngx_http_llm_record_t *rec, ngx_uint_t status,
    ngx_str_t *content_type, ngx_uint_t complete);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_RECORD_H_INCLUDED_ */
