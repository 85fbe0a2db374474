/*
 * Samples for expert review: `sample 1% file=PATH` of a split writes some of
 * its requests and answers as lines of JSON (docs/design/experiments.md).
 */

#ifndef _NGX_HTTP_LLM_SAMPLE_H_INCLUDED_
#define _NGX_HTTP_LLM_SAMPLE_H_INCLUDED_

#include "ngx_http_llm_ctx.h"

#pragma GCC visibility push(hidden)


/* While the configuration is read, when the other members are set: makes the
 * path a full one and warns of what the file will hold. */
char *ngx_http_llm_sample_init(ngx_conf_t *cf,
    ngx_http_llm_sample_conf_t *scf);

/* Once per request that has its place in a split: sets ctx->sampled by
 * chance. */
void ngx_http_llm_sample_choose(ngx_http_llm_ctx_t *ctx);

/* With ctx->sampled: the request was settled.  Writes its line; an error is
 * logged once a minute and disturbs nobody. */
void ngx_http_llm_sample_end(ngx_http_llm_ctx_t *ctx);

/* The comment of a vote, as a line of its own. */
void ngx_http_llm_sample_comment(ngx_http_request_t *r,
    ngx_http_llm_split_t *split, uint32_t variant, ngx_str_t *id,
    ngx_str_t *score, ngx_str_t *comment);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SAMPLE_H_INCLUDED_ */
