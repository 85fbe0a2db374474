
/*
 * llm_metrics: everything that is counted, for Prometheus.  The numbers are the
 * node's, whichever worker answers.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_metrics.h"


static ngx_int_t ngx_http_llm_metrics_page(ngx_http_request_t *r,
    ngx_http_llm_page_t *page);


/* llm_metrics */

char *
ngx_http_llm_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_http_llm_metrics_handler) {
        return "is duplicate";
    }

    if (clcf->handler) {
        return "is incompatible with what answers in this location already";
    }

    clcf->handler = ngx_http_llm_metrics_handler;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_http_llm_page_t  page;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_llm_metrics_page(r, &page) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = page.size;

    ngx_str_set(&r->headers_out.content_type,
                "text/plain; version=0.0.4; charset=utf-8");
    r->headers_out.content_type_len = sizeof("text/plain") - 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    page.buf->last_buf = (r == r->main) ? 1 : 0;
    page.buf->last_in_chain = 1;

    return ngx_http_output_filter(r, page.out);
}


static ngx_int_t
ngx_http_llm_metrics_page(ngx_http_request_t *r, ngx_http_llm_page_t *page)
{
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);

    ngx_memzero(page, sizeof(ngx_http_llm_page_t));

    page->pool = r->pool;
    page->last = &page->out;

    ngx_http_llm_page_family(page, "llm_config_load_time_seconds", "gauge",
                             "When this configuration was loaded.");
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_uint(page, (uint64_t) lmcf->created);

    ngx_http_llm_metrics_providers(page, lmcf);
    ngx_http_llm_metrics_sheds(page, lmcf);
    ngx_http_llm_metrics_keys(page, lmcf);
    ngx_http_llm_metrics_meters(page, lmcf);
    ngx_http_llm_metrics_splits(page, lmcf);
    ngx_http_llm_metrics_triggers(page, lmcf);
    ngx_http_llm_metrics_mirrors(page, lmcf);
    ngx_http_llm_metrics_clients(page, lmcf);
    ngx_http_llm_metrics_limits(page, lmcf);
    ngx_http_llm_metrics_feedback(page, lmcf);
    ngx_http_llm_metrics_redis(page, lmcf);

    return page->failed ? NGX_ERROR : NGX_OK;
}
