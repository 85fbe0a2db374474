/*
 * Applications behind a split: chosen on the headers alone, then nginx's proxy
 * module has the request as it came.
 *
 * What came of it is read from the upstream when the request ends, because the
 * status that the client saw may be of an error_page: an answer of 500 and
 * more, none, or one that was cut is an error, 4xx is the application's word
 * about the request.  Who left, and what failed before the application was
 * asked, proves nothing.
 */

#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_app_refuse(ngx_http_llm_ctx_t *ctx,
    llm_code_t code, llm_str_t message);
static void ngx_http_llm_app_cleanup(void *data);
static llm_class_t ngx_http_llm_app_class(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_app_end(ngx_http_llm_ctx_t *ctx, llm_class_t class);


static ngx_str_t  ngx_http_llm_app_h_id = ngx_string("x-llm-request-id");
static ngx_str_t  ngx_http_llm_app_h_variant = ngx_string("x-llm-variant");


ngx_int_t
ngx_http_llm_app_pass(ngx_http_llm_ctx_t *ctx)
{
    llm_str_t                       message;
    llm_code_t                      code;
    ngx_http_cleanup_t             *cln;
    ngx_http_llm_variant_totals_t  *totals;

    cln = ngx_http_cleanup_add(ctx->request, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_llm_app_cleanup;
    cln->data = ctx;

    ctx->app = 1;
    ctx->ready = ctx->started;

    message = LLM_NOSTR;
    code = ngx_http_llm_policy_admit(ctx, &message);

    if (code != LLM_CODE_NONE) {
        return ngx_http_llm_app_refuse(ctx, code, message);
    }

    if (ctx->forced) {
        totals = ngx_http_llm_split_totals(&ctx->split->store,
                                           ctx->place.variant);
        (void) __atomic_fetch_add(&totals->forced, 1, __ATOMIC_RELAXED);
    }

    ngx_http_llm_place_begin(ctx);

    return ctx->llcf->proxy(ctx->request);
}


/* By a limit: the application never saw the request. */

static ngx_int_t
ngx_http_llm_app_refuse(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    llm_str_t message)
{
    ngx_int_t  rc;

    ctx->app = 0;
    ctx->settled = 1;

    rc = ngx_http_discard_request_body(ctx->request);

    return rc == NGX_OK ? ngx_http_llm_refuse(ctx, code, message) : rc;
}


/*
 * A slice, an include: of the variant that
 * serves the request, as all variables are the main request's.  Its outcome is
 * that of the request, as far as it has any.
 */

ngx_int_t
ngx_http_llm_app_subrequest(ngx_http_request_t *r)
{
    ngx_http_llm_ctx_t       *ctx;
    ngx_http_llm_loc_conf_t  *llcf;

    ctx = ngx_http_llm_get_ctx(r->main);
    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    if (ctx && ctx->app && llcf->proxy && llcf->split == ctx->split) {
        return llcf->proxy(r);
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "\"llm_pass\" serves no subrequests, but those to the "
                  "application that serves the request itself");

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* The proxy module asks for the address right after it made its upstream and
 * before it does anything with it: then is the time to remember which one it
 * is, as an error_page may put another in its place. */

void
ngx_http_llm_app_url(ngx_http_llm_ctx_t *ctx, ngx_str_t *s)
{
    if (!ctx->app) {
        return;
    }

    if (ctx->app_upstream == NULL) {
        ctx->app_upstream = ctx->request->upstream;
    }

    *s = ctx->split->variants[ctx->variant].url;
}


/* As the client wrote it.  Without a Host, which only HTTP/1.0 allows, and in
 * HTTP/3: the name that nginx goes by. */

void
ngx_http_llm_app_host(ngx_http_request_t *r, ngx_str_t *s)
{
    ngx_http_core_srv_conf_t  *cscf;

    if (r->headers_in.host) {
        *s = r->headers_in.host->value;

    } else if (r->headers_in.server.len) {
        *s = r->headers_in.server;

    } else {
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        *s = cscf->server_name;
    }
}


void
ngx_http_llm_app_upgrade(ngx_http_request_t *r, ngx_str_t *s)
{
    if (ngx_http_llm_wants_upgrade(r)) {
        *s = r->headers_in.upgrade->value;
    }
}


void
ngx_http_llm_app_connection(ngx_http_request_t *r, ngx_str_t *s)
{
    if (ngx_http_llm_wants_upgrade(r)) {
        ngx_str_set(s, "upgrade");
    }
}


/* What is no key of the gateway's is the application's affair. */

void
ngx_http_llm_app_authorization(ngx_http_request_t *r, ngx_str_t *s)
{
    ngx_str_t         key;
    ngx_table_elt_t  *h;

    h = r->headers_in.authorization;

    if (h && !ngx_http_llm_auth_bearer(r, &key)) {
        *s = h->value;
    }
}


ngx_int_t
ngx_http_llm_app_answer(ngx_http_llm_ctx_t *ctx)
{
    ngx_str_t            id;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->headers_out.status == NGX_HTTP_SWITCHING_PROTOCOLS) {
        /* how long they talk says nothing about the application */
        ngx_http_llm_app_end(ctx, LLM_CLASS_OK);
    }

    /* events may be sent for hours; proxy_read_timeout sees who stalls */
    ngx_http_llm_split_answered(&ctx->lmcf->store, &ctx->place);

    if (r->headers_out.status < NGX_HTTP_BAD_REQUEST) {
        ngx_http_llm_feedback_open(ctx);
    }

    if (ctx->llcf->headers == NGX_HTTP_LLM_HEADERS_OFF) {
        return NGX_OK;
    }

    id.data = ctx->id;
    id.len = sizeof(ctx->id);

    if (ngx_http_llm_add_header(r, &ngx_http_llm_app_h_id, &id) != NGX_OK
        || ngx_http_llm_policy_headers(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->llcf->headers == NGX_HTTP_LLM_HEADERS_ID) {
        return NGX_OK;
    }

    return ngx_http_llm_add_header(r, &ngx_http_llm_app_h_variant,
                              &ctx->split->variants[ctx->variant].name);
}


/* nginx marks the end of an answer only when all of it came. */

void
ngx_http_llm_app_body(ngx_http_llm_ctx_t *ctx, ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {
        if (in->buf->last_buf) {
            ctx->app_whole = 1;
        }
    }
}


static void
ngx_http_llm_app_cleanup(void *data)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_http_llm_app_end(ctx, ngx_http_llm_app_class(ctx));
}


static llm_class_t
ngx_http_llm_app_class(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t            status;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = ctx->app_upstream;

    if (u == NULL || u->state == NULL || u->state->status == 0) {
        /* never asked, or left while it was; a cache may have answered */
        return LLM_CLASS_CLIENT_GONE;
    }

    status = u->state->status;

    if (u->headers_in.status_n == 0) {
        /* or no HTTP, which nginx passes on as HTTP/0.9 with status 200 */
        return status == NGX_HTTP_GATEWAY_TIME_OUT ? LLM_CLASS_TIMEOUT_HEADER
                                                   : LLM_CLASS_NETWORK;
    }

    if (status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return LLM_CLASS_SERVER;
    }

    if (u->header_sent && !ctx->app_whole && !r->header_only) {

        if (r->connection->error || r->connection->timedout
            || u->pipe->downstream_error)
        {
            return LLM_CLASS_CLIENT_GONE;
        }

        return LLM_CLASS_CUT;
    }

    return status >= NGX_HTTP_BAD_REQUEST ? LLM_CLASS_INVALID_REQUEST
                                          : LLM_CLASS_OK;
}


static void
ngx_http_llm_app_end(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    llm_outcome_row_t  row;

    if (ctx->settled) {
        return;
    }

    ctx->settled = 1;
    ctx->class = class;

    ngx_http_llm_policy_settle(ctx, class);

    ngx_memzero(&row, sizeof(llm_outcome_row_t));

    row.first = LLM_NEVER;
    row.input = LLM_NEVER;
    row.output = LLM_NEVER;
    row.cost = LLM_NEVER;

    row.counted = (class != LLM_CLASS_CLIENT_GONE);
    row.refused = (class == LLM_CLASS_INVALID_REQUEST);
    row.timed = (class == LLM_CLASS_OK && !ctx->app_upstream->upgrade);
    row.error = row.counted && !row.refused && class != LLM_CLASS_OK;

    ngx_http_llm_split_end(&ctx->lmcf->store, &ctx->place, &row, ctx->unit);
}
