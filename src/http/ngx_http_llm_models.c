/*
 * GET .../models: the names `llm_pass $variable` would find, and nothing else;
 * or a provider's own, in the form that the client knows.
 */

#include "ngx_http_llm_ctx.h"


static llm_models_t ngx_http_llm_models_form(ngx_http_llm_ctx_t *ctx);
static size_t ngx_http_llm_models_size(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_listed(ngx_http_llm_name_t *name);
static void ngx_http_llm_models_entry(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_name_t *name, llm_buf_t *mem, llm_model_entry_t *entry);
static llm_str_t ngx_http_llm_models_id(ngx_http_llm_ctx_t *ctx);


static ngx_str_t  ngx_http_llm_models_type = ngx_string("application/json");

static ngx_str_t  ngx_http_llm_models_header =
                                             ngx_string("anthropic-version");


/* Clients of both dialects use the same path. */

ngx_uint_t
ngx_http_llm_is_anthropic(ngx_http_request_t *r)
{
    return ngx_http_llm_find_header(r, &ngx_http_llm_models_header) != NULL;
}


static llm_models_t
ngx_http_llm_models_form(ngx_http_llm_ctx_t *ctx)
{
    return ngx_http_llm_is_anthropic(ctx->request) ? LLM_MODELS_ANTHROPIC
                                                   : LLM_MODELS_OPENAI;
}


/* ---- our own ------------------------------------------------------------- */


ngx_int_t
ngx_http_llm_send_models(ngx_http_llm_ctx_t *ctx)
{
    size_t                 size;
    u_char                *mem, *ids;
    llm_buf_t              b, id;
    llm_str_t              one;
    ngx_buf_t             *buf;
    ngx_uint_t             i, found;
    llm_models_t           form;
    llm_model_list_t       list;
    llm_model_entry_t      entry;
    ngx_http_llm_name_t  **names;

    names = ctx->lmcf->names.elts;
    form = ngx_http_llm_models_form(ctx);
    one = ngx_http_llm_models_id(ctx);
    size = ngx_http_llm_models_size(ctx);

    mem = ngx_pnalloc(ctx->request->pool, size);
    ids = ngx_pnalloc(ctx->request->pool, size);
    buf = ngx_calloc_buf(ctx->request->pool);

    if (mem == NULL || ids == NULL || buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    llm_buf_init(&b, mem, size);
    llm_buf_init(&id, ids, size);
    found = 0;

    if (one.len == 0) {
        llm_models_begin(&list, form, &b);
    }

    for (i = 0; i < ctx->lmcf->names.nelts; i++) {

        if (!ngx_http_llm_listed(names[i])
            || !ngx_http_llm_allowed_name(ctx, names[i]))
        {
            continue;
        }

        ngx_http_llm_models_entry(ctx, names[i], &id, &entry);

        if (one.len == 0) {
            llm_models_add(&list, &entry);

        } else if (llm_str_eq(one, ngx_http_llm_view(&names[i]->name))) {
            found = 1;
            llm_models_put(form, &entry, &b);
        }
    }

    if (one.len == 0) {
        llm_models_end(&list);

    } else if (!found) {
        return ngx_http_llm_refuse(ctx, LLM_CODE_CALLER_MODEL_NOT_FOUND,
                                   LLM_NOSTR);
    }

    buf->pos = b.start;
    buf->last = b.pos;

    return ngx_http_llm_send_body(ctx, NGX_HTTP_OK, &ngx_http_llm_models_type,
                                  buf);
}


/* Which one is asked for; empty: all of them. */

static llm_str_t
ngx_http_llm_models_id(ngx_http_llm_ctx_t *ctx)
{
    llm_str_t  id;

    id = ngx_http_llm_view(&ctx->rest);

    if (id.len && id.data[0] == '/') {
        id.data++;
        id.len--;
    }

    return id;
}


static size_t
ngx_http_llm_models_size(ngx_http_llm_ctx_t *ctx)
{
    size_t                 size;
    ngx_uint_t             i;
    ngx_http_llm_name_t  **names;

    names = ctx->lmcf->names.elts;
    size = 128;

    /* Anthropic's form names each of them twice, and two of them once more */

    for (i = 0; i < ctx->lmcf->names.nelts; i++) {
        size += 128 + 24 * names[i]->name.len;
    }

    return size;
}


static ngx_uint_t
ngx_http_llm_listed(ngx_http_llm_name_t *name)
{
    return name->kind != NGX_HTTP_LLM_PROVIDER && !name->internal;
}


static void
ngx_http_llm_models_entry(ngx_http_llm_ctx_t *ctx, ngx_http_llm_name_t *name,
    llm_buf_t *mem, llm_model_entry_t *entry)
{
    entry->id.data = mem->pos;
    llm_json_put_escaped(mem, ngx_http_llm_view(&name->name));
    entry->id.len = mem->pos - entry->id.data;

    entry->name = LLM_NOSTR;
    entry->owner = LLM_STR("llm-gateway");
    entry->created = (uint64_t) ctx->lmcf->created;
}


/* ---- a provider's -------------------------------------------------------- */


/* Lists are read as they are where both know the same form; what else may be
 * done to a model is never translated. */

llm_way_t
ngx_http_llm_models_way(ngx_http_llm_ctx_t *ctx, const llm_dialect_t *dialect)
{
    ngx_uint_t  method;

    method = ctx->request->method;

    if (method == NGX_HTTP_HEAD
        || dialect->models == ngx_http_llm_models_form(ctx))
    {
        return LLM_WAY_NATIVE;
    }

    return method == NGX_HTTP_GET ? LLM_WAY_HUB : LLM_WAY_NONE;
}


/* The query of a list that is translated, whose pages have another form: the
 * first one is all that there is.  NGX_DECLINED: it is not translated. */

ngx_int_t
ngx_http_llm_models_args(ngx_http_llm_ctx_t *ctx, ngx_str_t *args)
{
    llm_str_t  query;

    if (!ctx->send->translated || ctx->endpoint != LLM_EP_MODELS) {
        return NGX_DECLINED;
    }

    query = LLM_NOSTR;

    if (ngx_http_llm_models_id(ctx).len == 0) {
        query = llm_models_query(ctx->send->target->provider->dialect->models);
    }

    args->len = query.len;
    args->data = (u_char *) query.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_models_whole(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *out)
{
    return llm_models_whole(ctx->send->target->provider->dialect->models,
                            ngx_http_llm_models_form(ctx), body,
                            ngx_http_llm_models_id(ctx).len != 0, out)
           == LLM_OK ? NGX_OK : NGX_ERROR;
}
