/*
 * What differs between nginx 1.22 and the newest mainline, in one place.
 *
 * Everything else is written against what both have.  Configurations of
 * upstreams are always zeroed before use, so fields that were added or changed
 * their type (limit_rate 1.27.0, pass_trailers 1.27.2, ssl_certificate_cache
 * 1.27.4, socket buffers 1.31.3) need no macro.  Header fields that became
 * linked lists in 1.23.0 (cookies, cache_control, link, x_forwarded_for) are
 * never touched: headers are found by walking headers.part.
 */

#ifndef _NGX_HTTP_LLM_COMPAT_H_INCLUDED_
#define _NGX_HTTP_LLM_COMPAT_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#pragma GCC visibility push(hidden)


#if (nginx_version < 1022000)
#error "the LLM gateway needs nginx 1.22.0 or newer"
#endif


/* A header line of our own ends the list of lines of that name. */
#if (nginx_version >= 1023000)
#define ngx_http_llm_header_end(h)  (h)->next = NULL
#else
#define ngx_http_llm_header_end(h)
#endif


/* One piece of a chunked body; trailers are never kept. */
#if (nginx_version >= 1027002)
#define ngx_http_llm_parse_chunked(r, b, ctx)                                 \
    ngx_http_parse_chunked(r, b, ctx, 0)
#else
#define ngx_http_llm_parse_chunked(r, b, ctx)                                 \
    ngx_http_parse_chunked(r, b, ctx)
#endif


/* The content-less answer to "Expect" and 103 are told apart since 1.29.0; a
 * provider's 1xx is skipped by our own status parser in every version. */
#ifndef NGX_HTTP_EARLY_HINTS
#define NGX_HTTP_EARLY_HINTS  103
#endif


/* TLS 1.2 and newer: what a provider's connection may speak. */
#if (NGX_HTTP_SSL)
#define NGX_HTTP_LLM_SSL_PROTOCOLS  (NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3)
#endif

/* Whether the client's request is a stream of HTTP/2. */
#if (NGX_HTTP_V2)
#define ngx_http_llm_is_http2(r)  ((r)->stream != NULL)
#else
#define ngx_http_llm_is_http2(r)  0
#endif


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_COMPAT_H_INCLUDED_ */
