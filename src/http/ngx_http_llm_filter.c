/*
 * nginx's own error pages, as JSON, in locations of the gateway.
 *
 * limit_req, allow/deny, auth_request, client_max_body_size and the like refuse
 * a request before our handler sees it, with a page of HTML that no SDK can
 * read.  Only pages nginx made up are replaced: what `error_page` or `return`
 * of the operator say stays as it is, and so do the pages of applications.
 *
 * And the place where answers to copies for the mirror end: nobody reads them.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_PAGE_SIZE  1024


static ngx_int_t ngx_http_llm_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_make_page(ngx_http_request_t *r,
    ngx_http_llm_ctx_t *ctx);
static const llm_front_t *ngx_http_llm_page_front(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_uint_t ngx_http_llm_is_copy(ngx_http_request_t *r);
static ngx_uint_t ngx_http_llm_is_page(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_llm_gateway_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_llm_filter_init,              /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_llm_gateway_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_llm_gateway_filter_module_ctx,   /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_llm_header_filter(ngx_http_request_t *r)
{
    ngx_http_llm_ctx_t  *ctx;

    if (ngx_http_llm_is_copy(r)) {
        r->header_sent = 1;
        return NGX_OK;
    }

    ctx = ngx_http_llm_get_ctx(r);

    if (ctx && ctx->app) {

        if (ngx_http_llm_app_answer(ctx) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (ngx_http_llm_is_page(r)
               && ngx_http_llm_make_page(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_llm_make_page(ngx_http_request_t *r, ngx_http_llm_ctx_t *ctx)
{
    u_char                   *mem;
    llm_buf_t                 out;
    llm_str_t                 id;
    ngx_buf_t                *b;
    llm_code_t                code;
    const llm_front_t        *front;
    ngx_http_llm_loc_conf_t  *llcf;

    b = ngx_calloc_buf(r->pool);
    mem = ngx_pnalloc(r->pool, NGX_HTTP_LLM_PAGE_SIZE);

    if (b == NULL || mem == NULL) {
        return NGX_ERROR;
    }

    code = llm_code_of_status((unsigned) r->headers_out.status);
    front = ngx_http_llm_page_front(r);

    llm_buf_init(&out, mem, NGX_HTTP_LLM_PAGE_SIZE);

    id = LLM_NOSTR;

    if (ctx) {
        id.data = ctx->id;
        id.len = sizeof(ctx->id);
    }

    if (front) {
        front->error(&out, code, LLM_NOSTR, LLM_NOSTR, id);
    } else {
        llm_error_openai(&out, code, LLM_NOSTR, LLM_NOSTR);
    }

    b->pos = out.start;
    b->last = out.pos;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ngx_http_set_ctx(r, b, ngx_http_llm_gateway_filter_module);

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.charset.len = 0;

    ngx_http_clear_content_length(r);
    r->headers_out.content_length_n = b->last - b->pos;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    if (ctx) {
        ctx->code = code;
        return ngx_http_llm_response_headers(ctx);
    }

    if (llcf->headers >= NGX_HTTP_LLM_HEADERS_ROUTE) {
        return ngx_http_llm_error_header(r, code);
    }

    return NGX_OK;
}


/* What the client speaks, by what it called; NULL: nobody can tell. */

static const llm_front_t *
ngx_http_llm_page_front(ngx_http_request_t *r)
{
    llm_str_t                 rest;
    llm_endpoint_t            endpoint;
    ngx_http_llm_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    if (llcf->prompt || llcf->transcribe) {
        return NULL;
    }

    endpoint = llcf->endpoint;

    if (endpoint == LLM_EP_UNKNOWN
        && llm_endpoint_find(ngx_http_llm_view(&r->uri), &endpoint, &rest)
           != LLM_OK)
    {
        return NULL;
    }

    return ngx_http_llm_error_front(r, endpoint);
}


static ngx_int_t
ngx_http_llm_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t           *b;
    ngx_chain_t         *cl, out;
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_get_ctx(r);

    if (ctx && ctx->app) {
        ngx_http_llm_app_body(ctx, in);
        return ngx_http_next_body_filter(r, in);
    }

    b = ngx_http_get_module_ctx(r, ngx_http_llm_gateway_filter_module);

    if (!ngx_http_llm_is_copy(r) && (b == NULL || in == NULL)) {
        return ngx_http_next_body_filter(r, in);
    }

    /* what is never written counts as sent */

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ngx_http_llm_is_copy(r)) {
        return NGX_OK;
    }

    if (b->pos == b->last) {
        return ngx_http_next_body_filter(r, NULL);
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


static ngx_uint_t
ngx_http_llm_is_copy(ngx_http_request_t *r)
{
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_get_ctx(r);

    return ctx && ctx->shadow;
}


/* A page of ngx_http_special_response_handler(), and no answer of ours. */

static ngx_uint_t
ngx_http_llm_is_page(ngx_http_request_t *r)
{
    ngx_http_llm_ctx_t        *ctx;
    ngx_http_llm_loc_conf_t   *llcf;
    ngx_http_core_loc_conf_t  *clcf;

    if (r != r->main || r->err_status == 0
        || r->headers_out.status < NGX_HTTP_BAD_REQUEST)
    {
        return 0;
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (llcf->apps_alone) {
        return 0;
    }

    if (!llcf->enabled && clcf->handler != ngx_http_llm_feedback_handler) {
        return 0;
    }

    ctx = ngx_http_llm_get_ctx(r);

    return ctx == NULL || (!ctx->own_answer && !ctx->committed);
}


static ngx_int_t
ngx_http_llm_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_llm_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_llm_body_filter;

    return NGX_OK;
}
