/*
 * Connections to a provider: addresses through nginx's resolver, an idle pool
 * per worker, TLS with verification, SNI and session reuse.
 */

#ifndef _NGX_HTTP_LLM_PEER_H_INCLUDED_
#define _NGX_HTTP_LLM_PEER_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_PEER_ADDRS  8          /* addresses tried per attempt */
#define NGX_HTTP_LLM_CA_BUNDLE   "/etc/ssl/certs/ca-certificates.crt"


/* One origin (host, port, TLS): part of a provider, made at configuration
 * time; `idle` and `session` are per-worker state. */
typedef struct {
    ngx_str_t               host;           /* name or literal, for DNS */
    in_port_t               port;
    ngx_str_t               unix_path;      /* "http://unix:/path:" */
    ngx_str_t               host_header;    /* "host" or "host:port" */
    ngx_str_t               path;           /* prefix of base_url, no slash at
                                               its end; may be empty */
    ngx_addr_t             *addrs;          /* literal, or resolved at start */
    ngx_uint_t              naddrs;         /*   when there is no resolver */
    ngx_uint_t              literal;        /* addrs are final */

    ngx_uint_t              tls;            /* "https://": needs origin_ssl */
    ngx_ssl_t              *ssl;            /* NULL: plain */
    ngx_str_t               ssl_name;       /* SNI and name to verify */
    ngx_flag_t              ssl_verify;

    ngx_uint_t              keepalive;      /* idle connections per worker */
    ngx_msec_t              keepalive_timeout;

    ngx_queue_t             idle;           /* LIFO of cached connections */
    ngx_queue_t             spare;
    ngx_uint_t              inited;
#if (NGX_HTTP_SSL)
    ngx_ssl_session_t      *session;
#endif
} ngx_http_llm_origin_t;


/* The addresses of one attempt. */
typedef struct {
    struct {
        struct sockaddr    *sockaddr;
        socklen_t           socklen;
        ngx_str_t           name;
    }                       addr[NGX_HTTP_LLM_PEER_ADDRS];
    ngx_uint_t              naddrs;
    ngx_uint_t              current;
} ngx_http_llm_addrs_t;


/* An asynchronous lookup; zeroed before use, but for handler and data. */
typedef struct ngx_http_llm_lookup_s  ngx_http_llm_lookup_t;

struct ngx_http_llm_lookup_s {
    ngx_resolver_ctx_t     *resolver;       /* non-NULL while it runs */
    ngx_http_llm_addrs_t   *addrs;          /* result */
    ngx_pool_t             *pool;
    ngx_int_t               rc;             /* NGX_OK or NGX_ERROR, when done */
    in_port_t               port;
    void                  (*handler)(ngx_http_llm_lookup_t *l);
    void                   *data;
};

/*
 * Finds the origin's addresses.  NGX_OK: l->addrs is filled (literal, cached or
 * answered at once); NGX_AGAIN: l->handler is called later, with l->rc set (as
 * the last thing, so it may end the request; it runs posted requests itself);
 * NGX_ERROR: no such name.  Rotates the order between attempts.  l->addrs and
 * l->pool may be preset; else they come from the request's pool.
 */
ngx_int_t ngx_http_llm_peer_lookup(ngx_http_request_t *r,
    ngx_http_llm_origin_t *o, ngx_http_llm_lookup_t *l);
void ngx_http_llm_peer_lookup_cancel(ngx_http_llm_lookup_t *l);

/*
 * The idle pool: reuse returns NGX_DONE with pc->connection set and pc->cached,
 * or NGX_DECLINED.  A connection to any address of the origin may be taken:
 * pc->sockaddr, socklen and name then tell which.  keep takes over a finished
 * connection when the request was whole and the provider allows it (NGX_OK:
 * pc->connection is NULL now), else NGX_DECLINED and the caller closes.  Not to
 * be called for a peer that failed (NGX_PEER_FAILED).
 */
ngx_int_t ngx_http_llm_peer_reuse(ngx_http_llm_origin_t *o,
    ngx_http_request_t *r, ngx_peer_connection_t *pc);
ngx_int_t ngx_http_llm_peer_keep(ngx_http_llm_origin_t *o,
    ngx_http_request_t *r, ngx_peer_connection_t *pc);

#if (NGX_HTTP_SSL)
/* peer.set_session / peer.save_session for that origin. */
ngx_int_t ngx_http_llm_peer_set_session(ngx_http_llm_origin_t *o,
    ngx_peer_connection_t *pc);
void ngx_http_llm_peer_save_session(ngx_http_llm_origin_t *o,
    ngx_peer_connection_t *pc);
#endif

/*
 * Configuration time: parses base_url ("http://host[:port][/path]", https, or
 * "http://unix:/socket:/path") into host, port, path, host_header, tls and
 * ssl_name (the host; may be replaced before the first use); literal addresses
 * and localhost are final.  The URL's bytes must live as long as the origin.
 * NGX_OK, or NGX_ERROR with *err = what was expected.
 */
ngx_int_t ngx_http_llm_origin_parse(ngx_conf_t *cf, ngx_str_t *url,
    ngx_http_llm_origin_t *o, char **err);

/*
 * Makes o->ssl, for an origin with tls.  With o->ssl_verify the provider is
 * verified against `trusted` (a PEM bundle; empty or NULL: Debian's), at most
 * `depth` certificates deep.  certificate and its key (both or none; NULL or
 * empty) are shown to the provider.  NGX_ERROR: logged, with the file's name.
 */
ngx_int_t ngx_http_llm_origin_ssl(ngx_conf_t *cf, ngx_http_llm_origin_t *o,
    ngx_str_t *trusted, ngx_uint_t depth, ngx_str_t *certificate,
    ngx_str_t *certificate_key);

/* Without a resolver in the configuration: resolves once, at start, with a
 * warning; an unknown host is no error, its attempts fail instead. */
ngx_int_t ngx_http_llm_origin_resolve_static(ngx_conf_t *cf,
    ngx_http_llm_origin_t *o);

/* Worker exit: closes idle connections, frees the session.  Harmless for an
 * origin that was never used. */
void ngx_http_llm_origin_exit(ngx_http_llm_origin_t *o);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_PEER_H_INCLUDED_ */
