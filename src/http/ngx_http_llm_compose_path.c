/*
 * The path and the query of one attempt's request.
 */

#include "ngx_http_llm_ctx.h"

#include "llm_query.h"


static void ngx_http_llm_put_args(llm_buf_t *b, ngx_str_t *args);
static void ngx_http_llm_path_tail(ngx_http_llm_ctx_t *ctx, ngx_str_t *tail);
static ngx_int_t ngx_http_llm_compose_args(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *args);
static ngx_uint_t ngx_http_llm_under_root(ngx_str_t *path, llm_str_t root);


/* The provider's prefix, the endpoint, and what followed it, escaped again. */

ngx_int_t
ngx_http_llm_compose_path(ngx_http_llm_ctx_t *ctx, ngx_str_t *path)
{
    size_t                     size;
    u_char                    *mem, *p;
    llm_buf_t                  b;
    ngx_str_t                  tail, args, model;
    llm_place_t                place;
    ngx_http_request_t        *r;
    ngx_http_llm_provider_t   *provider;

    r = ctx->request;
    provider = ctx->send->target->provider;

    ngx_http_llm_path_tail(ctx, &tail);

    if (ngx_http_llm_models_args(ctx, &args) != NGX_OK
        && ngx_http_llm_compose_args(ctx, &args) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_llm_target_model(ctx, ctx->send->target, &model);

    size = provider->origin.path.len + 3 * (tail.len + 2 * model.len)
           + args.len + provider->version.len + 128;

    mem = ngx_pnalloc(r->pool, size + 3 * tail.len);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) ngx_escape_uri(mem + size, tail.data, tail.len,
                                  NGX_ESCAPE_URI);
    place.base = ngx_http_llm_view(&provider->origin.path);
    place.rest.data = mem + size;
    place.rest.len = p - place.rest.data;
    place.model = ngx_http_llm_view(&model);
    place.version = ngx_http_llm_view(&provider->version);
    place.stream = ctx->facts.stream;

    llm_buf_init(&b, mem, size);

    if (ctx->passthrough) {
        llm_buf_put(&b, provider->origin.path.data, provider->origin.path.len);
        llm_buf_str(&b, place.rest);

    } else {
        ngx_http_llm_put_root(provider, &b);
        provider->dialect->path(ngx_http_llm_asked(ctx), &place, &b);
    }

    ngx_http_llm_put_args(&b, &args);

    if (b.full) {
        return NGX_ERROR;
    }

    path->data = b.start;
    path->len = b.pos - b.start;

    return NGX_OK;
}


void
ngx_http_llm_put_root(ngx_http_llm_provider_t *provider, llm_buf_t *b)
{
    ngx_str_t  *path;

    path = &provider->origin.path;

    llm_buf_put(b, path->data, path->len);

    if (!ngx_http_llm_under_root(path, provider->dialect->root)) {
        llm_buf_str(b, provider->dialect->root);
    }
}


/* Behind a query of the dialect's own, if there is one. */

static void
ngx_http_llm_put_args(llm_buf_t *b, ngx_str_t *args)
{
    if (args->len) {
        llm_buf_str(b, ngx_strlchr(b->start, b->pos, '?') ? LLM_STR("&")
                                                          : LLM_STR("?"));
        llm_buf_put(b, args->data, args->len);
    }
}


/* Whether a base_url names the root of its dialect's paths by itself. */

static ngx_uint_t
ngx_http_llm_under_root(ngx_str_t *path, llm_str_t root)
{
    return root.len == 0
           || (path->len >= root.len
               && ngx_strncmp(path->data + path->len - root.len, root.data,
                              root.len)
                  == 0);
}


/* What of the client's path goes behind the provider's prefix. */

static void
ngx_http_llm_path_tail(ngx_http_llm_ctx_t *ctx, ngx_str_t *tail)
{
    ngx_str_t                 *name;
    ngx_http_core_loc_conf_t  *clcf;

    if (!ctx->passthrough) {
        *tail = ctx->rest;
        return;
    }

    /* as proxy_pass with a URI: base_url instead of the location, which a
     * rewritten path no longer begins with */

    clcf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_core_module);
    name = &clcf->name;
    *tail = ctx->request->uri;

    if (name->len && tail->len >= name->len
        && ctx->request->valid_location
#if (NGX_PCRE)
        && clcf->regex == NULL
#endif
        && name->data[0] == '/')
    {
        tail->data += name->len;
        tail->len -= name->len;

        if (name->data[name->len - 1] == '/') {
            tail->data--;
            tail->len++;
        }
    }
}


/* Queries go on where an endpoint is a resource; a key in one never does, nor
 * does the version of an API that is not the client's to choose. */

static ngx_int_t
ngx_http_llm_compose_args(ngx_http_llm_ctx_t *ctx, ngx_str_t *args)
{
    u_char       *last;
    llm_str_t     query;
    llm_body_t    kind;
    llm_param_t   p;

    ngx_str_null(args);

    if (ctx->endpoint == LLM_EP_REALTIME) {
        return ngx_http_llm_realtime_args(ctx, args);
    }

    kind = llm_endpoint_info(ctx->endpoint)->body;

    if (ctx->request->args.len == 0
        || (!ctx->passthrough && kind != LLM_BODY_NONE && kind != LLM_BODY_ANY
            && ctx->rest.len == 0))
    {
        return NGX_OK;
    }

    args->data = ngx_pnalloc(ctx->request->pool, ctx->request->args.len);
    if (args->data == NULL) {
        return NGX_ERROR;
    }

    last = args->data;
    query = ngx_http_llm_view(&ctx->request->args);

    while (llm_query_next(&query, &p)) {

        if (llm_query_is_secret(&p)
            || (!ctx->passthrough
                && llm_query_is(p.name, LLM_STR("api-version"))))
        {
            continue;
        }

        if (last != args->data) {
            *last++ = '&';
        }

        last = ngx_cpymem(last, p.raw.data, p.raw.len);
    }

    args->len = last - args->data;

    return NGX_OK;
}
