
/*
 * The block `llm_split`, while it is read: members by topic.
 */


#ifndef _NGX_HTTP_LLM_SPLIT_CONF_H_INCLUDED_
#define _NGX_HTTP_LLM_SPLIT_CONF_H_INCLUDED_


#include "ngx_http_llm_conf.h"

#pragma GCC visibility push(hidden)


/* Lines of a block may use variants that stand further down, so names stay
 * names until its end: a ref keeps them with their place in the file. */

typedef struct {
    ngx_http_llm_variant_t      variant;       /* begins with its name */
    uint32_t                    weight;        /* basis points */
    ngx_http_llm_ref_t          target;
} ngx_http_llm_variant_row_t;


typedef struct {
    ngx_http_llm_ref_t          from;
    ngx_http_llm_ref_t          to;
    ngx_uint_t                  on;
} ngx_http_llm_fallback_row_t;


/* Lives until all names are linked: then triggers meet the timeouts of what
 * they guard. */

typedef struct {
    ngx_http_llm_split_t       *split;
    ngx_array_t                 variants;      /* ngx_http_llm_variant_row_t */
    ngx_array_t                 fallbacks;     /* ..._fallback_row_t */
    ngx_http_llm_ref_t          canary;        /* empty name: no rollout */
    ngx_http_llm_ref_t          mirror;        /* empty name: none */
    ngx_http_llm_ref_t          trigger[LLM_SPLIT_TRIGGERS];   /* places */
} ngx_http_llm_split_block_t;


/* What every member does first: its words become part of the digest, so that
 * neither blanks nor comments change it. */

void ngx_http_llm_split_digest(ngx_http_llm_split_block_t *sb, ngx_str_t *word,
    ngx_uint_t n);

/* A name used by the current line. */

void ngx_http_llm_split_use(ngx_conf_t *cf, ngx_http_llm_ref_t *ref,
    ngx_str_t *name);

/* A percentage in basis points.  NGX_OK or NGX_ERROR (logged). */

ngx_int_t ngx_http_llm_split_share(ngx_conf_t *cf, char *what,
    ngx_str_t *value, uint32_t min, uint32_t *share);


/* Milliseconds as they are written in a file: "5m", "90s", "300ms". */

#define NGX_HTTP_LLM_TIME_LEN  (NGX_INT64_LEN + 2)

ngx_str_t ngx_http_llm_split_time(u_char buf[NGX_HTTP_LLM_TIME_LEN],
    llm_msec_t ms);


/* split_member.c: who belongs to a variant, and what happens beside it */

char *ngx_http_llm_set_sticky(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_force(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_fallback(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_mirror(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_experiment(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_sample(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_webhook(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_on_reload(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_on_control_loss(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_internal(ngx_conf_t *cf, void *block);

/* split_rollout.c: what moves the weights */

void ngx_http_llm_split_rollout_defaults(llm_rollout_conf_t *rollout);
char *ngx_http_llm_set_rollout(ngx_conf_t *cf, void *block);
char *ngx_http_llm_set_rollback(ngx_conf_t *cf, void *block);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SPLIT_CONF_H_INCLUDED_ */
