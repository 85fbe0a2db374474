/*
 * `probe` of llm_provider: its words, and what libcurl has to know of the
 * provider.
 *
 * Workers cannot read the files of TLS, so they are read with the
 * configuration, as nginx does.
 */

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_file.h"
#include "ngx_http_llm_probe.h"
#include "ngx_http_llm_provider.h"


#define NGX_HTTP_LLM_PROBE_DAY   (24 * 3600 * 1000)
#define NGX_HTTP_LLM_PROBE_PEM   (4 * 1024 * 1024)
#define NGX_HTTP_LLM_PROBE_TEXT  256    /* of a URL, beside host and path */


static ngx_int_t ngx_http_llm_probe_url(ngx_conf_t *cf,
    ngx_http_llm_provider_t *p);
static void ngx_http_llm_probe_put_path(ngx_http_llm_provider_t *p,
    llm_buf_t *b);
static ngx_int_t ngx_http_llm_probe_peer(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);
static ngx_int_t ngx_http_llm_probe_pem(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *pem);


static ngx_http_llm_arg_t  ngx_http_llm_probe_args[] = {

    { ngx_string("interval"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_probe_conf_t, interval), 50, NGX_HTTP_LLM_PROBE_DAY },

    { ngx_string("timeout"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_probe_conf_t, timeout), 1, 60000 },

    { ngx_string("healthy"), NGX_HTTP_LLM_ARG_U32,
      offsetof(llm_probe_conf_t, healthy), 1, 1000 },

    { ngx_string("unhealthy"), NGX_HTTP_LLM_ARG_U32,
      offsetof(llm_probe_conf_t, unhealthy), 1, 1000 },

    { ngx_null_string, 0, 0, 0, 0 }
};


/* probe [PATH] [interval=T] [timeout=T] [healthy=N] [unhealthy=N]; probe off */

char *
ngx_http_llm_probe_member(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    size_t                   i;
    ngx_str_t               *value;
    ngx_uint_t               first;
    llm_probe_conf_t        *conf;
    ngx_http_llm_probe_t    *probe;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    probe = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_probe_t));
    if (probe == NULL) {
        return NGX_CONF_ERROR;
    }

    pb->provider->probe = probe;

    conf = &pb->provider->gate.probe;
    conf->interval = 10000;
    conf->timeout = 2000;
    conf->healthy = 2;
    conf->unhealthy = 3;

    first = 1;

    if (cf->args->nelts > 1 && value[1].data[0] == '/') {
        probe->path = value[1];
        first = 2;
    }

    for (i = 0; i < probe->path.len; i++) {
        if (probe->path.data[i] <= ' ' || probe->path.data[i] == 0x7f
            || probe->path.data[i] == '#')
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid path \"%V\" of \"probe\", no white "
                               "space, control characters or \"#\" expected",
                               &probe->path);
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_llm_args(cf, first, ngx_http_llm_probe_args, conf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_probe_end(ngx_conf_t *cf, ngx_http_llm_provider_block_t *pb)
{
    ngx_http_llm_probe_t  *probe;

    probe = pb->provider->probe;

    if (probe == NULL) {
        return NGX_OK;
    }

    probe->request.peer = &probe->peer;
    probe->request.timeout = (ngx_msec_t) pb->provider->gate.probe.timeout;

    if (ngx_http_llm_probe_url(cf, pb->provider) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_llm_probe_peer(cf, pb);
}


/* The host in it is the one that TLS looks at: the Host header is ours. */

static ngx_int_t
ngx_http_llm_probe_url(ngx_conf_t *cf, ngx_http_llm_provider_t *p)
{
    size_t                  size;
    u_char                 *mem, port[sizeof(":65535")];
    llm_buf_t               b;
    ngx_str_t              *host;
    ngx_http_llm_origin_t  *o;

    o = &p->origin;
    host = o->tls ? &o->ssl_name : &o->host;

    size = host->len + o->path.len + p->probe->path.len
           + NGX_HTTP_LLM_PROBE_TEXT;

    mem = ngx_pnalloc(cf->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, mem, size);
    llm_buf_str(&b, o->tls ? LLM_STR("https://") : LLM_STR("http://"));
    llm_buf_put(&b, host->data, host->len);

    if (o->unix_path.len == 0) {
        llm_buf_put(&b, port, ngx_sprintf(port, ":%ui", (ngx_uint_t) o->port)
                              - port);
    }

    if (p->probe->path.len) {
        llm_buf_put(&b, p->probe->path.data, p->probe->path.len);

    } else {
        ngx_http_llm_probe_put_path(p, &b);
    }

    llm_buf_put(&b, "", 1);

    p->probe->request.url = (char *) mem;

    return b.full ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_llm_probe_put_path(ngx_http_llm_provider_t *p, llm_buf_t *b)
{
    llm_place_t  place;

    ngx_http_llm_put_root(p, b);

    if (p->dialect->health.len) {
        llm_buf_str(b, p->dialect->health);
        return;
    }

    ngx_memzero(&place, sizeof(llm_place_t));

    place.base = ngx_http_llm_view(&p->origin.path);
    place.version = ngx_http_llm_view(&p->version);

    p->dialect->path(LLM_EP_MODELS, &place, b);
}


static ngx_int_t
ngx_http_llm_probe_peer(ngx_conf_t *cf, ngx_http_llm_provider_block_t *pb)
{
    u_char                    *p;
    ngx_http_llm_origin_t     *o;
    ngx_http_llm_curl_peer_t  *peer;

    o = &pb->provider->origin;
    peer = &pb->provider->probe->peer;

    p = ngx_pcalloc(cf->pool, o->unix_path.len + o->host.len
                              + sizeof("::") + sizeof(":65535"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (o->unix_path.len) {
        peer->unix_path = (char *) p;
        ngx_memcpy(p, o->unix_path.data, o->unix_path.len);

    } else if (o->tls && pb->ssl_name.len) {
        peer->connect_to = (char *) p;
        ngx_sprintf(p, "::%V:%ui", &o->host, (ngx_uint_t) o->port);
    }

    if (!o->tls) {
        return NGX_OK;
    }

    peer->unverified = !pb->ssl_verify;

    if (pb->ssl_trusted.len == 0) {
        peer->bundle = NGX_HTTP_LLM_CA_BUNDLE;
    }

    if (ngx_http_llm_probe_pem(cf, &pb->ssl_trusted, &peer->trusted) != NGX_OK
        || ngx_http_llm_probe_pem(cf, &pb->ssl_certificate,
                                  &peer->certificate)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_probe_pem(cf, &pb->ssl_key, &peer->key);
}


static ngx_int_t
ngx_http_llm_probe_pem(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *pem)
{
    ngx_int_t  rc;

    if (path->len == 0) {
        return NGX_OK;
    }

    rc = ngx_http_llm_file_read(cf, path, NGX_HTTP_LLM_PROBE_PEM, pem);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"probe\" needs certificates and keys in files, "
                           "there is no \"%V\"", path);
    }

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}
