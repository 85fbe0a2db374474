
/*
 * Small files that are part of the configuration: key files, prompts, schemas,
 * time zones.
 */


#ifndef _NGX_HTTP_LLM_FILE_H_INCLUDED_
#define _NGX_HTTP_LLM_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#pragma GCC visibility push(hidden)


/*
 * Reads a whole regular file of at most `max` bytes into cf->pool, with a NUL
 * behind it.  A relative path starts at the configuration directory; *path
 * becomes the full one.  NGX_OK, NGX_DECLINED (no such file; nothing is logged)
 * or NGX_ERROR (logged).
 */

ngx_int_t ngx_http_llm_file_read(ngx_conf_t *cf, ngx_str_t *path, size_t max,
    ngx_str_t *text);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_FILE_H_INCLUDED_ */
