/*
 * The mirror of a split: copies of served requests, sent to another variant and
 * compared with what the client got.
 *
 * mirror.c   which requests are copied, and what the copies come to
 * copy.c     a request of its own that no client waits for
 */

#ifndef _NGX_HTTP_LLM_MIRROR_H_INCLUDED_
#define _NGX_HTTP_LLM_MIRROR_H_INCLUDED_

#include "ngx_http_llm_ctx.h"

#include "llm_compare.h"

#pragma GCC visibility push(hidden)


/* What an answer came to. */
typedef struct {
    ngx_msec_t                     time;        /* from the read body on */
    uint64_t                       output;      /* tokens; LLM_UNKNOWN */
    ngx_str_t                      text;        /* its content, if has_text */
    unsigned                       error:1;
    unsigned                       json_checked:1;
    unsigned                       json_invalid:1;
    unsigned                       has_text:1;
} ngx_http_llm_result_t;


/* A copy; lies in the pool of its own request. */
struct ngx_http_llm_shadow_s {
    ngx_http_llm_mirror_conf_t    *conf;
    ngx_http_llm_mirror_totals_t  *totals;
    ngx_http_llm_result_t          served;      /* what the client got */
    unsigned                       counted:1;
};


/*
 * copy.c: copies a client's request into one with a connection, a pool and a
 * log of its own; `body` becomes its body.  It begins with mirror_run(), from a
 * posted event.  NULL: no memory, or no connection to spare.  close ends a copy
 * that has not begun.
 */
ngx_http_request_t *ngx_http_llm_copy(ngx_http_request_t *r, ngx_str_t *body);
void ngx_http_llm_copy_close(ngx_http_request_t *r);

/* mirror.c: begins a copy. */
void ngx_http_llm_mirror_run(ngx_http_request_t *r);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_MIRROR_H_INCLUDED_ */
