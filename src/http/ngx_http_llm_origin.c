/*
 * Where a provider lives: base_url taken apart, its fixed addresses, and what
 * TLS needs to know.  All of it happens while the configuration is read.
 */

#include "ngx_http_llm_compat.h"
#include "ngx_http_llm_peer.h"


static ngx_int_t ngx_http_llm_origin_chars(ngx_str_t *url, char **err);
static ngx_int_t ngx_http_llm_origin_address(ngx_conf_t *cf, ngx_url_t *u,
    ngx_http_llm_origin_t *o, char **err);
static ngx_int_t ngx_http_llm_origin_host_header(ngx_conf_t *cf, ngx_url_t *u,
    ngx_http_llm_origin_t *o);
static ngx_uint_t ngx_http_llm_origin_is_localhost(ngx_str_t *host);


ngx_int_t
ngx_http_llm_origin_parse(ngx_conf_t *cf, ngx_str_t *url,
    ngx_http_llm_origin_t *o, char **err)
{
    size_t      add;
    in_port_t   port;
    ngx_url_t   u;

    if (url->len > 7
        && ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0)
    {
        add = 7;
        port = 80;
        o->tls = 0;

    } else if (url->len > 8
               && ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0)
    {
        add = 8;
        port = 443;
        o->tls = 1;

    } else {
        *err = "\"http://\" or \"https://\" and a host expected";
        return NGX_ERROR;
    }

    if (ngx_http_llm_origin_chars(url, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url.len = url->len - add;
    u.url.data = url->data + add;
    u.default_port = port;
    u.uri_part = 1;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        *err = u.err ? u.err : "host, and port if it is not the usual one, "
                               "expected";
        return NGX_ERROR;
    }

    if (u.uri.len && u.uri.data[0] != '/') {
        *err = "path must start with \"/\"";
        return NGX_ERROR;
    }

    while (u.uri.len && u.uri.data[u.uri.len - 1] == '/') {
        u.uri.len--;
    }

    o->path = u.uri;
    o->host = u.host;
    o->port = u.port;

    return ngx_http_llm_origin_address(cf, &u, o, err);
}


/* What cannot stand in a request line, or would send secrets elsewhere. */

static ngx_int_t
ngx_http_llm_origin_chars(ngx_str_t *url, char **err)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < url->len; i++) {
        ch = url->data[i];

        if (ch <= ' ' || ch == 0x7f) {
            *err = "no white space or control characters expected";
            return NGX_ERROR;
        }

        if (ch == '@') {
            *err = "no user name expected: keys belong to \"key\"";
            return NGX_ERROR;
        }

        if (ch == '?' || ch == '#') {
            *err = "no query string expected";
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_origin_address(ngx_conf_t *cf, ngx_url_t *u,
    ngx_http_llm_origin_t *o, char **err)
{
    if (u->family == AF_UNIX) {
        o->unix_path = u->host;
        ngx_str_set(&o->host, "localhost");
        ngx_str_set(&o->host_header, "localhost");
        o->port = 0;

    } else if (ngx_http_llm_origin_host_header(cf, u, o) != NGX_OK) {
        *err = "not enough memory";
        return NGX_ERROR;
    }

    if (u->naddrs == 0 && ngx_http_llm_origin_is_localhost(&u->host)) {

        /* RFC 6761: not a question for DNS */

        if (ngx_inet_resolve_host(cf->pool, u) != NGX_OK) {
            *err = u->err ? u->err : "host not found";
            return NGX_ERROR;
        }
    }

    o->addrs = u->addrs;
    o->naddrs = u->naddrs;
    o->literal = (u->naddrs != 0);
    o->ssl_name = o->host;

    return NGX_OK;
}


/* "host" or "host:port"; an IPv6 literal stands in brackets. */

static ngx_int_t
ngx_http_llm_origin_host_header(ngx_conf_t *cf, ngx_url_t *u,
    ngx_http_llm_origin_t *o)
{
    u_char      *p, *last;
    ngx_str_t    host;
    ngx_uint_t   brackets;

    host = u->host;
    brackets = 0;

    if (host.len && host.data[0] == '[') {
        host.data++;
        host.len -= 2;
    }

    if (ngx_strlchr(host.data, host.data + host.len, ':') != NULL) {
        brackets = 1;
    }

    p = ngx_pnalloc(cf->pool, host.len + sizeof("[]:65535") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = brackets ? ngx_sprintf(p, "[%V]", &host)
                    : ngx_sprintf(p, "%V", &host);

    o->host.data = p;
    o->host.len = last - p;

    if (u->port != u->default_port) {
        last = ngx_sprintf(last, ":%ui", (ngx_uint_t) u->port);
    }

    o->host_header.data = p;
    o->host_header.len = last - p;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_origin_is_localhost(ngx_str_t *host)
{
    static ngx_str_t  name = ngx_string("localhost");

    size_t  rest;

    if (host->len < name.len) {
        return 0;
    }

    rest = host->len - name.len;

    return ngx_strncasecmp(host->data + rest, name.data, name.len) == 0
           && (rest == 0 || host->data[rest - 1] == '.');
}


ngx_int_t
ngx_http_llm_origin_resolve_static(ngx_conf_t *cf, ngx_http_llm_origin_t *o)
{
    ngx_url_t  u;

    if (o->literal || o->naddrs) {
        return NGX_OK;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = o->host;
    u.host = o->host;
    u.port = o->port;

    if (ngx_inet_resolve_host(cf->pool, &u) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "llm: host \"%V\" not found, and there is no "
                      "\"resolver\" to ask again: its provider cannot be "
                      "reached until the next reload", &o->host);
        return NGX_OK;
    }

    o->addrs = u.addrs;
    o->naddrs = u.naddrs;

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "llm: without \"resolver\" the addresses of \"%V\" stay "
                  "as they are until the next reload", &o->host);

    return NGX_OK;
}


#if (NGX_HTTP_SSL)

ngx_int_t
ngx_http_llm_origin_ssl(ngx_conf_t *cf, ngx_http_llm_origin_t *o,
    ngx_str_t *trusted, ngx_uint_t depth, ngx_str_t *certificate,
    ngx_str_t *certificate_key)
{
    ngx_str_t            bundle;
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, NGX_HTTP_LLM_SSL_PROTOCOLS, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    if (certificate && certificate->len
        && ngx_ssl_certificate(cf, ssl, certificate, certificate_key, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (o->ssl_verify) {
        ngx_str_set(&bundle, NGX_HTTP_LLM_CA_BUNDLE);

        if (trusted && trusted->len) {
            bundle = *trusted;
        }

        if (ngx_ssl_trusted_certificate(cf, ssl, &bundle, depth) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_ssl_client_session_cache(cf, ssl, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    o->ssl = ssl;

    return NGX_OK;
}

#else

ngx_int_t
ngx_http_llm_origin_ssl(ngx_conf_t *cf, ngx_http_llm_origin_t *o,
    ngx_str_t *trusted, ngx_uint_t depth, ngx_str_t *certificate,
    ngx_str_t *certificate_key)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "llm: \"https://%V\" needs an nginx with "
                  "--with-http_ssl_module", &o->host);
    return NGX_ERROR;
}

#endif
