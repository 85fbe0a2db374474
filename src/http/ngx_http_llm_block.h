
/*
 * Reading our configuration blocks: the members of `llm_provider NAME { ... }`
 * and the parameters of one member.
 *
 * A block's members are not nginx directives (they would fill the namespace of
 * every other module), so a small table says what a block takes, and mistakes
 * are reported in the words of nginx's own parser.
 */


#ifndef _NGX_HTTP_LLM_BLOCK_H_INCLUDED_
#define _NGX_HTTP_LLM_BLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_ARGS_ANY  1000

/*
 * A member of a block.  `set` finds its words in cf->args, as a directive's
 * handler does, and returns NGX_CONF_OK, NGX_CONF_ERROR (logged) or a sentence
 * that goes behind `"name" directive `.  The table ends with a null name and
 * has at most 64 rows.
 */

typedef struct {
    ngx_str_t    name;
    ngx_uint_t   min;                  /* arguments */
    ngx_uint_t   max;
    ngx_uint_t   once;                 /* a second one is an error */
    char      *(*set)(ngx_conf_t *cf, void *block);
} ngx_http_llm_member_t;


/* Reads the block of the current directive up to its "}". */

char *ngx_http_llm_block(ngx_conf_t *cf, ngx_http_llm_member_t *members,
    void *block);


/* What a parameter's value is, and the type of the field it is written to. */

typedef enum {
    NGX_HTTP_LLM_ARG_MSEC,             /* 30s, 500ms: ngx_msec_t */
    NGX_HTTP_LLM_ARG_MSEC64,           /* the same: llm_msec_t */
    NGX_HTTP_LLM_ARG_RANGE64,          /* 1s..8s: two llm_msec_t in a row */
    NGX_HTTP_LLM_ARG_SEC,              /* 7d: time_t */
    NGX_HTTP_LLM_ARG_UINT,             /* 64: ngx_uint_t */
    NGX_HTTP_LLM_ARG_U32,              /* 64: uint32_t */
    NGX_HTTP_LLM_ARG_BP32,             /* 12.5%: uint32_t of 10 000 */
    NGX_HTTP_LLM_ARG_SIZE,             /* 100m: size_t */
    NGX_HTTP_LLM_ARG_FLAG,             /* on, off: ngx_flag_t */
    NGX_HTTP_LLM_ARG_STR               /* anything: ngx_str_t */
} ngx_http_llm_arg_e;

typedef struct {
    ngx_str_t           name;          /* without "=" */
    ngx_http_llm_arg_e  type;
    size_t              offset;
    ngx_uint_t          min;           /* numbers, ms, s, basis points, bytes */
    ngx_uint_t          max;
} ngx_http_llm_arg_t;


/* Reads the parameters from cf->args[first] on into `conf`.  The table ends
 * with a null name.  NGX_OK or NGX_ERROR (logged). */

ngx_int_t ngx_http_llm_args(ngx_conf_t *cf, ngx_uint_t first,
    ngx_http_llm_arg_t *args, void *conf);

/* The same for a value that stands alone; `what` names it in messages. */

ngx_int_t ngx_http_llm_arg_value(ngx_conf_t *cf, ngx_str_t *what,
    ngx_http_llm_arg_t *arg, ngx_str_t *value, void *conf);

/* Whether a word is "name=..."; *value is what follows. */

ngx_uint_t ngx_http_llm_arg_is(ngx_str_t *word, char *name, ngx_str_t *value);

/* "on" or "off"; anything else is NGX_ERROR (logged). */

ngx_int_t ngx_http_llm_flag(ngx_conf_t *cf, ngx_str_t *value,
    ngx_flag_t *flag);


/* The index of a word in a NULL-terminated list, or NGX_ERROR: logged with the
 * list, as what `what` may be. */

ngx_int_t ngx_http_llm_word(ngx_conf_t *cf, ngx_str_t *value, char *what,
    char **words);


/* Whether a name of a model, provider, route, pool, key, group or prompt is
 * usable in logs, headers and configuration: 1 to 128 visible characters
 * without quotes, "$", "," and ";".  NGX_OK or NGX_ERROR (logged). */

ngx_int_t ngx_http_llm_check_name(ngx_conf_t *cf, char *what, ngx_str_t *name);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_BLOCK_H_INCLUDED_ */
