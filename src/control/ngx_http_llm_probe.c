/*
 * Probes: sent by the worker that has the lead, told to the gate in the zone.
 *
 * Any answer below 500 is a good one: somebody is there.  Whether keys are good
 * is for requests to find out.
 */

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_probe.h"


static void ngx_http_llm_probe_send(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_provider_t *p);
static ngx_str_t *ngx_http_llm_probe_key(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_provider_t *p);
static size_t ngx_http_llm_probe_size(ngx_http_llm_provider_t *p,
    ngx_str_t *key);
static void ngx_http_llm_probe_head(ngx_http_llm_provider_t *p,
    ngx_str_t *key, llm_buf_t *b);
static ngx_uint_t ngx_http_llm_probe_is_fixed(ngx_http_llm_header_t *h);
static void ngx_http_llm_probe_done(ngx_http_llm_curl_t *request,
    ngx_uint_t status, char *error);
static void ngx_http_llm_probe_log(ngx_http_llm_provider_t *p,
    ngx_uint_t status, char *error);


ngx_msec_t
ngx_http_llm_probe_pace(ngx_http_llm_main_conf_t *lmcf, ngx_msec_t tick)
{
    ngx_uint_t                 i;
    ngx_http_llm_provider_t  **p;

    p = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {
        if (p[i]->probe) {
            tick = ngx_min(tick, (ngx_msec_t) p[i]->gate.probe.interval);
        }
    }

    return tick;
}


void
ngx_http_llm_probe_tick(ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i;
    ngx_http_llm_provider_t  **p;

    p = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {

        if (p[i]->probe == NULL || p[i]->probe->busy
            || !ngx_http_llm_switch_is_on(&p[i]->enabled)
            || !ngx_http_llm_store_probe_due(&lmcf->store, &p[i]->gate))
        {
            continue;
        }

        ngx_http_llm_probe_send(lmcf, p[i]);
    }
}


/* One that cannot be sent says nothing about the provider. */

static void
ngx_http_llm_probe_send(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_provider_t *p)
{
    u_char                *mem;
    size_t                 size;
    ngx_str_t             *key;
    llm_buf_t              b;
    ngx_http_llm_probe_t  *probe;

    probe = p->probe;
    key = ngx_http_llm_probe_key(lmcf, p);
    size = ngx_http_llm_probe_size(p, key);

    mem = ngx_alloc(size, ngx_cycle->log);
    if (mem == NULL) {
        return;
    }

    llm_buf_init(&b, mem, size);
    ngx_http_llm_probe_head(p, key, &b);

    probe->store = &lmcf->store;
    probe->request.data = p;
    probe->request.done = ngx_http_llm_probe_done;
    probe->request.head.data = mem;
    probe->request.head.len = b.pos - b.start;

    if (ngx_http_llm_curl_get(&probe->request) == NGX_OK) {
        probe->busy = 1;

    } else {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "llm provider \"%V\": its probe cannot be sent",
                      &p->name);
    }

    /* libcurl has its own copy */

    ngx_memzero(mem, size);
    ngx_free(mem);
}


/* The first that is switched on; NULL: none, or the clients' own. */

static ngx_str_t *
ngx_http_llm_probe_key(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_provider_t *p)
{
    ngx_uint_t  i;

    if (p->pool == NULL) {
        return NULL;
    }

    for (i = 0; i < p->pool->store.conf.key_n; i++) {
        if (ngx_http_llm_key_is_on(&lmcf->store, &p->pool->store, i)) {
            return &p->pool->keys[i].secret;
        }
    }

    return NULL;
}


static size_t
ngx_http_llm_probe_size(ngx_http_llm_provider_t *p, ngx_str_t *key)
{
    size_t                  size;
    ngx_uint_t              i;
    ngx_http_llm_header_t  *h;

    size = sizeof("Host: ") + p->origin.host_header.len;

    if (key) {
        size += p->dialect->auth_header.len + sizeof(": ")
                + p->dialect->auth_prefix.len + key->len;
    }

    if (p->dialect->version_header.len) {
        size += p->dialect->version_header.len + sizeof(": ")
                + p->version.len;
    }

    if (p->headers) {
        h = p->headers->elts;

        for (i = 0; i < p->headers->nelts; i++) {
            size += h[i].name.len + sizeof(": ") + h[i].value.value.len;
        }
    }

    return size;
}


static void
ngx_http_llm_probe_head(ngx_http_llm_provider_t *p, ngx_str_t *key,
    llm_buf_t *b)
{
    ngx_uint_t              i;
    ngx_http_llm_header_t  *h;

    llm_buf_str(b, LLM_STR("Host: "));
    llm_buf_put(b, p->origin.host_header.data, p->origin.host_header.len);
    llm_buf_put(b, "", 1);

    if (key) {
        llm_buf_str(b, p->dialect->auth_header);
        llm_buf_str(b, LLM_STR(": "));
        llm_buf_str(b, p->dialect->auth_prefix);
        llm_buf_put(b, key->data, key->len);
        llm_buf_put(b, "", 1);
    }

    if (p->dialect->version_header.len) {
        llm_buf_str(b, p->dialect->version_header);
        llm_buf_str(b, LLM_STR(": "));
        llm_buf_put(b, p->version.data, p->version.len);
        llm_buf_put(b, "", 1);
    }

    if (p->headers == NULL) {
        return;
    }

    h = p->headers->elts;

    for (i = 0; i < p->headers->nelts; i++) {

        if (!ngx_http_llm_probe_is_fixed(&h[i])) {
            continue;
        }

        llm_buf_put(b, h[i].name.data, h[i].name.len);
        llm_buf_str(b, LLM_STR(": "));
        llm_buf_put(b, h[i].value.value.data, h[i].value.value.len);
        llm_buf_put(b, "", 1);
    }
}


/* Variables are those of a request, and there is none. */

static ngx_uint_t
ngx_http_llm_probe_is_fixed(ngx_http_llm_header_t *h)
{
    u_char     *p, *last;
    ngx_str_t  *value;

    value = &h->value.value;

    if (h->value.lengths || value->len == 0) {
        return 0;
    }

    last = value->data + value->len;

    for (p = value->data; p < last; p++) {
        if (*p == CR || *p == LF || *p == '\0') {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_llm_probe_done(ngx_http_llm_curl_t *request, ngx_uint_t status,
    char *error)
{
    ngx_uint_t                ok;
    ngx_http_llm_probe_t     *probe;
    ngx_http_llm_provider_t  *p;

    p = request->data;
    probe = p->probe;
    probe->busy = 0;

    ok = (status != 0 && status < 500);

    switch (ngx_http_llm_store_probed(probe->store, &p->gate, ok)) {

    case 1:
        ngx_http_llm_probe_log(p, status, error);
        return;

    case 2:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "llm provider \"%V\": its probe is answered again, it "
                      "is up", &p->name);
        return;

    default:
        return;
    }
}


static void
ngx_http_llm_probe_log(ngx_http_llm_provider_t *p, ngx_uint_t status,
    char *error)
{
    if (status) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "llm provider \"%V\": its probe failed %uD times, it is "
                      "down: answered with %ui", &p->name,
                      p->gate.probe.unhealthy, status);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "llm provider \"%V\": its probe failed %uD times, it is "
                  "down: %s", &p->name, p->gate.probe.unhealthy, error);
}
