
/*
 * Secrets come from the environment or from a file, never from nginx.conf.
 */


#ifndef _NGX_HTTP_LLM_SECRET_H_INCLUDED_
#define _NGX_HTTP_LLM_SECRET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#pragma GCC visibility push(hidden)


/*
 * Reads env:NAME or file:PATH.  An environment variable is added to the core's
 * `env` list, so that a binary upgrade still finds it.
 *   NGX_OK        *text is what stood there, without the end of a file's last
 *                 line, in cf->pool
 *   NGX_DECLINED  missing or empty; *why says which
 *   NGX_DONE      not read: this process only sends a signal
 *   NGX_ERROR     *why says what is wrong; NULL: it is logged already
 */

ngx_int_t ngx_http_llm_secret_read(ngx_conf_t *cf, ngx_str_t *source,
    ngx_str_t *text, char **why);

/* What is wrong with the bytes of one secret, or NULL. */

char *ngx_http_llm_secret_check(ngx_str_t *secret);

/* Whether a word of the configuration may be a key written in the wrong place:
 * then no message repeats it. */

ngx_uint_t ngx_http_llm_secret_is_like(ngx_str_t *word);

/* What a message may show of a URL: nothing where a user and a password could
 * stand, and nothing behind the path. */

ngx_str_t ngx_http_llm_secret_url(ngx_str_t *url);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SECRET_H_INCLUDED_ */
