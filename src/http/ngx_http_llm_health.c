
/*
 * llm_health: can this node serve?  200 while any provider can, else 503.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


#define NGX_HTTP_LLM_HEALTH_ROW  256       /* beside the name */


typedef struct {
    ngx_uint_t  all;                       /* providers that are on */
    ngx_uint_t  able;                      /* ... and can serve now */
} ngx_http_llm_health_t;


static ngx_int_t ngx_http_llm_health_body(ngx_http_request_t *r,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_health_t *health,
    ngx_buf_t **body);
static void ngx_http_llm_health_provider(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_provider_t *p, ngx_http_llm_health_t *health,
    llm_buf_t *out);
static void ngx_http_llm_health_number(llm_buf_t *out, llm_str_t key,
    uint64_t n);
static ngx_int_t ngx_http_llm_health_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_buf_t *b);


/* in the order of llm_breaker_status_t */

static llm_str_t  ngx_http_llm_breakers[] = {
    { 6, (const u_char *) "closed" },
    { 4, (const u_char *) "open" },
    { 9, (const u_char *) "half_open" }
};


char *
ngx_http_llm_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_http_llm_health_handler) {
        return "is duplicate";
    }

    if (clcf->handler == ngx_http_llm_handler) {
        return "is incompatible with \"llm_pass\"";
    }

    if (clcf->handler == ngx_http_llm_feedback_handler) {
        return "is incompatible with \"llm_feedback\"";
    }

    clcf->handler = ngx_http_llm_health_handler;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_health_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_buf_t                 *b;
    ngx_http_llm_health_t      health;
    ngx_http_llm_main_conf_t  *lmcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);

    if (ngx_http_llm_health_body(r, lmcf, &health, &b) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_llm_health_send(r, health.able
                                       ? NGX_HTTP_OK
                                       : NGX_HTTP_SERVICE_UNAVAILABLE, b);
}


static ngx_int_t
ngx_http_llm_health_body(ngx_http_request_t *r, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_health_t *health, ngx_buf_t **body)
{
    u_char                    *rows;
    size_t                     size;
    ngx_buf_t                 *b;
    llm_buf_t                  out;
    ngx_uint_t                 i;
    ngx_http_llm_provider_t  **p;

    p = lmcf->providers.elts;
    size = 64;

    for (i = 0; i < lmcf->providers.nelts; i++) {
        size += 6 * p[i]->name.len + NGX_HTTP_LLM_HEALTH_ROW;
    }

    rows = ngx_pnalloc(r->pool, size);
    b = ngx_create_temp_buf(r->pool, size + 64);

    if (rows == NULL || b == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(health, sizeof(ngx_http_llm_health_t));
    llm_buf_init(&out, rows, size);

    for (i = 0; i < lmcf->providers.nelts; i++) {
        if (i) {
            llm_buf_str(&out, LLM_STR(","));
        }

        ngx_http_llm_health_provider(lmcf, p[i], health, &out);
    }

    if (out.full) {
        return NGX_ERROR;
    }

    b->last = ngx_slprintf(b->pos, b->end,
                           "{\"status\":\"%s\",\"providers\":[%*s]}\n",
                           health->able == 0 ? "down"
                           : health->able < health->all ? "degraded" : "ok",
                           llm_buf_view(&out).len, rows);
    *body = b;

    return NGX_OK;
}


static void
ngx_http_llm_health_provider(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_provider_t *p, ngx_http_llm_health_t *health, llm_buf_t *out)
{
    uint64_t                    keys, usable;
    llm_str_t                   status;
    ngx_http_llm_gate_status_t  gate;

    keys = p->pool ? p->pool->store.conf.key_n : 0;
    usable = 0;

    ngx_http_llm_store_gate_status(&lmcf->store, &p->gate, &gate);

    if (keys) {
        usable = ngx_http_llm_store_usable_keys(&lmcf->store, &p->pool->store);
    }

    if (!ngx_http_llm_switch_is_on(&p->enabled)) {
        status = LLM_STR("off");

    } else if (gate.breaker == LLM_BREAKER_OPEN || gate.probe == LLM_PROBE_DOWN
               || (keys && usable == 0))
    {
        status = LLM_STR("down");
        health->all++;

    } else {
        status = LLM_STR("ok");
        health->all++;
        health->able++;
    }

    llm_buf_str(out, LLM_STR("{\"name\":"));
    llm_json_put_string(out, (llm_str_t) { p->name.len, p->name.data });
    llm_buf_str(out, LLM_STR(",\"status\":"));
    llm_json_put_string(out, status);
    llm_buf_str(out, LLM_STR(",\"breaker\":"));

    if (p->gate.breaker.failures == 0) {
        llm_buf_str(out, LLM_STR("\"off\""));

    } else {
        llm_json_put_string(out, ngx_http_llm_breakers[gate.breaker]);
    }

    llm_buf_str(out, LLM_STR(",\"probe\":"));
    llm_json_put_string(out, llm_probe_name(&p->gate.probe, gate.probe));

    ngx_http_llm_health_number(out, LLM_STR("keys_usable"), usable);
    ngx_http_llm_health_number(out, LLM_STR("keys"), keys);
    ngx_http_llm_health_number(out, LLM_STR("inflight"), gate.inflight);
    ngx_http_llm_health_number(out, LLM_STR("waiting"), gate.waiting);
    llm_buf_str(out, LLM_STR("}"));
}


static void
ngx_http_llm_health_number(llm_buf_t *out, llm_str_t key, uint64_t n)
{
    llm_buf_str(out, LLM_STR(","));
    llm_json_put_string(out, key);
    llm_buf_str(out, LLM_STR(":"));
    llm_json_put_uint(out, n);
}


static ngx_int_t
ngx_http_llm_health_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_buf_t *b)
{
    ngx_int_t     rc;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
