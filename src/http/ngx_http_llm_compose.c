/*
 * The head of one attempt's request: key and a closed list of headers.
 */

#include "ngx_http_llm_ctx.h"


/* fixed texts of a head, with room for names and numbers */
#define NGX_HTTP_LLM_HEAD   384
/* what `header NAME VALUE` may add in all */
#define NGX_HTTP_LLM_ADDED  8192
/* a body up to this size is sent in one piece with its head */
#define NGX_HTTP_LLM_SMALL  4096


/* Headers of the client that go to a provider; lower case. */

static ngx_str_t  ngx_http_llm_passed[] = {
    ngx_string("accept"),
    ngx_string("traceparent"),
    ngx_string("idempotency-key"),
    ngx_string("openai-beta"),
    ngx_string("anthropic-beta"),
    ngx_string("anthropic-version"),
    ngx_null_string
};


static ngx_int_t ngx_http_llm_link_request(ngx_http_llm_ctx_t *ctx,
    llm_buf_t *head, ngx_chain_t *body, ngx_chain_t **chain);
static size_t ngx_http_llm_head_size(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_compose_head(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *path, ngx_str_t *type, off_t length, llm_buf_t *b);
static ngx_int_t ngx_http_llm_compose_type(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *type);
static void ngx_http_llm_compose_auth(ngx_http_llm_ctx_t *ctx, llm_buf_t *b);
static void ngx_http_llm_compose_client_key(ngx_http_llm_ctx_t *ctx,
    llm_buf_t *b);
static void ngx_http_llm_put_key(llm_buf_t *b, const llm_dialect_t *dialect,
    ngx_str_t *key);
static void ngx_http_llm_compose_version(ngx_http_llm_ctx_t *ctx,
    llm_buf_t *b);
static void ngx_http_llm_compose_passed(ngx_http_llm_ctx_t *ctx,
    llm_buf_t *b);
static ngx_int_t ngx_http_llm_compose_added(ngx_http_llm_ctx_t *ctx,
    llm_buf_t *b);
static void ngx_http_llm_put_header(llm_buf_t *b, ngx_str_t *name,
    ngx_str_t *value);


ngx_int_t
ngx_http_llm_request_chain(ngx_http_llm_ctx_t *ctx, ngx_chain_t **chain)
{
    u_char                     *mem;
    size_t                      size;
    ngx_str_t                   path, type;
    llm_buf_t                   b;
    ngx_chain_t                *cl;
    ngx_http_request_t         *r;
    ngx_http_llm_body_chain_t   body;

    r = ctx->request;

    body.head = NULL;
    body.last = &body.head;
    body.length = 0;

    if (ngx_http_llm_compose_body(ctx, &body) != NGX_OK
        || ngx_http_llm_compose_path(ctx, &path) != NGX_OK
        || ngx_http_llm_compose_type(ctx, &type) != NGX_OK)
    {
        return NGX_ERROR;
    }

    size = ngx_http_llm_head_size(ctx) + path.len + type.len;

    if (body.length <= NGX_HTTP_LLM_SMALL) {
        size += (size_t) body.length;
    }

    mem = ngx_palloc(r->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, mem, size);

    if (ngx_http_llm_compose_head(ctx, &path, &type,
                                  ctx->upload ? ngx_http_llm_upload_length(ctx)
                                              : body.length, &b)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a small body is cheaper to copy than to send in pieces */

    if (body.length <= NGX_HTTP_LLM_SMALL
        && (body.head == NULL || !body.head->buf->in_file))
    {
        for (cl = body.head; cl; cl = cl->next) {
            llm_buf_put(&b, cl->buf->pos, ngx_buf_size(cl->buf));
        }

        body.head = NULL;
    }

    if (b.full) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "llm request head is too large");
        return NGX_ERROR;
    }

    r->upstream->uri = path;

    return ngx_http_llm_link_request(ctx, &b, body.head, chain);
}


static ngx_int_t
ngx_http_llm_link_request(ngx_http_llm_ctx_t *ctx, llm_buf_t *head,
    ngx_chain_t *body, ngx_chain_t **chain)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(ctx->request->pool);
    cl = ngx_alloc_chain_link(ctx->request->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->start = head->start;
    b->pos = head->start;
    b->last = head->pos;
    b->end = head->end;
    b->temporary = 1;

    cl->buf = b;
    cl->next = body;
    *chain = cl;

    /* nginx would keep the end of the request in its TLS buffer */

    while (cl->next) {
        cl = cl->next;
    }

    cl->buf->flush = 1;

    return NGX_OK;
}


/* The model's name at the target: its id, or the client's own unchanged. */

void
ngx_http_llm_target_model(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_target_t *target, ngx_str_t *model)
{
    if (target->model) {
        *model = target->model->deployment.len ? target->model->deployment
                                               : target->model->id;
        return;
    }

    if (ctx->analyze && ctx->llcf->prompt->model.len) {
        *model = ctx->llcf->prompt->model;
        return;
    }

    if (ctx->transcribe && ctx->llcf->transcribe->model.len) {
        *model = ctx->llcf->transcribe->model;
        return;
    }

    *model = ctx->model;

    if (model->len == 0 && target->provider->mock) {
        ngx_str_set(model, "mock");
    }
}


/* Room for a head without path and type: all the client's headers are more than
 * can be passed on. */

static size_t
ngx_http_llm_head_size(ngx_http_llm_ctx_t *ctx)
{
    size_t                    size;
    ngx_uint_t                i;
    ngx_list_part_t          *part;
    ngx_table_elt_t          *h;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    provider = send->target->provider;

    size = NGX_HTTP_LLM_HEAD + provider->origin.host_header.len;

    for (part = &ctx->request->headers_in.headers.part; part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            size += h[i].key.len + h[i].value.len + 4;
        }
    }

    if (provider->pool && send->ticket.pool) {
        size += provider->pool->keys[send->ticket.lease.key].secret.len;
    }

    if (provider->headers) {
        size += NGX_HTTP_LLM_ADDED;
    }

    return size;
}


static ngx_int_t
ngx_http_llm_compose_head(ngx_http_llm_ctx_t *ctx, ngx_str_t *path,
    ngx_str_t *type, off_t length, llm_buf_t *b)
{
    ngx_http_request_t       *r;
    ngx_http_llm_provider_t  *provider;

    r = ctx->request;
    provider = ctx->send->target->provider;

    if (ctx->analyze || ctx->transcribe) {
        llm_buf_str(b, LLM_STR("POST"));
    } else {
        llm_buf_put(b, r->method_name.data, r->method_name.len);
    }

    llm_buf_str(b, LLM_STR(" "));
    llm_buf_put(b, path->data, path->len);
    llm_buf_str(b, LLM_STR(" HTTP/1.1" CRLF "Host: "));

    if (provider->mock) {
        llm_buf_str(b, LLM_STR("mock"));
    } else {
        llm_buf_put(b, provider->origin.host_header.data,
                    provider->origin.host_header.len);
    }

    llm_buf_str(b, LLM_STR(CRLF "User-Agent: ngx_http_llm_gateway" CRLF));

    if (length < 0) {
        llm_buf_str(b, LLM_STR("Transfer-Encoding: chunked" CRLF));

    } else if (length || r->method == NGX_HTTP_POST) {
        llm_buf_str(b, LLM_STR("Content-Length: "));
        llm_json_put_uint(b, length);
        llm_buf_str(b, LLM_STR(CRLF));
    }

    if (type->len && length) {
        llm_buf_str(b, LLM_STR("Content-Type: "));
        llm_buf_put(b, type->data, type->len);
        llm_buf_str(b, LLM_STR(CRLF));
    }

    if (ctx->tunnel) {
        ngx_http_llm_upgrade_compose(ctx, b);
    }

    ngx_http_llm_compose_auth(ctx, b);
    ngx_http_llm_compose_version(ctx, b);
    ngx_http_llm_compose_passed(ctx, b);

    if (ngx_http_llm_compose_added(ctx, b) != NGX_OK) {
        return NGX_ERROR;
    }

    llm_buf_str(b, LLM_STR(CRLF));

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_compose_type(ngx_http_llm_ctx_t *ctx, ngx_str_t *type)
{
    ngx_uint_t        ours;
    ngx_table_elt_t  *h;

    ours = ctx->send->translated && ctx->translation.data;

    if (ctx->raw_audio.len && !ours) {

        type->data = ngx_pnalloc(ctx->request->pool,
                                 sizeof("multipart/form-data; boundary="
                                        NGX_HTTP_LLM_BOUNDARY)
                                 + sizeof(ctx->id));
        if (type->data == NULL) {
            return NGX_ERROR;
        }

        type->len = ngx_sprintf(type->data, "multipart/form-data; boundary="
                                NGX_HTTP_LLM_BOUNDARY "%*s", sizeof(ctx->id),
                                ctx->id)
                    - type->data;
        return NGX_OK;
    }

    h = ctx->request->headers_in.content_type;

    if (ctx->facts.kind == LLM_BODY_JSON || h == NULL || ours) {
        ngx_str_set(type, "application/json");
        return NGX_OK;
    }

    *type = h->value;

    return NGX_OK;
}


static void
ngx_http_llm_compose_auth(ngx_http_llm_ctx_t *ctx, llm_buf_t *b)
{
    ngx_str_t                *secret;
    ngx_http_llm_ticket_t    *ticket;
    ngx_http_llm_provider_t  *provider;

    provider = ctx->send->target->provider;
    ticket = &ctx->send->ticket;

    if (provider->client_key) {

        /* nor is it sent where it was a key of ours that let the client in */

        if (ctx->caller == NULL || !ctx->caller->by_key) {
            ngx_http_llm_compose_client_key(ctx, b);
        }

        return;
    }

    if (provider->pool == NULL || ticket->pool == NULL) {
        return;
    }

    secret = &provider->pool->keys[ticket->lease.key].secret;

    ngx_http_llm_put_key(b, provider->dialect, secret);
}


/* The caller's own key, as it came; some SDKs send it in another header.
 * Anthropic's goes where the provider of another dialect looks for it. */

static void
ngx_http_llm_compose_client_key(ngx_http_llm_ctx_t *ctx, llm_buf_t *b)
{
    ngx_str_t             name, key;
    ngx_table_elt_t      *h;
    const llm_dialect_t  *dialect;

    dialect = ctx->send->target->provider->dialect;

    h = ctx->request->headers_in.authorization;

    if (h) {
        ngx_str_set(&name, "Authorization");
        ngx_http_llm_put_header(b, &name, &h->value);
        return;
    }

    name.len = dialect->auth_header.len;
    name.data = (u_char *) dialect->auth_header.data;

    h = ngx_http_llm_find_header(ctx->request, &name);

    if (h) {
        ngx_http_llm_put_header(b, &name, &h->value);
        return;
    }

    ngx_str_set(&name, "x-api-key");
    h = ngx_http_llm_find_header(ctx->request, &name);

    if (h && (ctx->send->translated || ctx->endpoint == LLM_EP_MESSAGES)) {
        ngx_http_llm_put_key(b, dialect, &h->value);

    } else if (ctx->tunnel && ngx_http_llm_upgrade_key(ctx->request, &key)) {
        ngx_http_llm_put_key(b, dialect, &key);
    }
}


static void
ngx_http_llm_put_key(llm_buf_t *b, const llm_dialect_t *dialect,
    ngx_str_t *key)
{
    llm_buf_str(b, dialect->auth_header);
    llm_buf_str(b, LLM_STR(": "));
    llm_buf_str(b, dialect->auth_prefix);
    llm_buf_put(b, key->data, key->len);
    llm_buf_str(b, LLM_STR(CRLF));
}


/* The version of its API that the dialect is translated for; what is spliced
 * has the client's, if it names one. */

static void
ngx_http_llm_compose_version(ngx_http_llm_ctx_t *ctx, llm_buf_t *b)
{
    ngx_str_t                 name;
    ngx_http_llm_provider_t  *provider;

    provider = ctx->send->target->provider;

    if (provider->dialect->version_header.len == 0) {
        return;
    }

    name.len = provider->dialect->version_header.len;
    name.data = (u_char *) provider->dialect->version_header.data;

    if (ctx->send->translated
        || ngx_http_llm_find_header(ctx->request, &name) == NULL)
    {
        ngx_http_llm_put_header(b, &name, &provider->version);
    }
}


ngx_table_elt_t *
ngx_http_llm_find_header(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == name->len
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
            {
                return &h[i];
            }
        }
    }

    return NULL;
}


static void
ngx_http_llm_compose_passed(ngx_http_llm_ctx_t *ctx, llm_buf_t *b)
{
    ngx_str_t        *name;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ctx->send->translated) {
        /* what they say concerns the client's dialect, and its form */
        return;
    }

    for (part = &ctx->request->headers_in.headers.part; part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (name = ngx_http_llm_passed; name->len; name++) {

                if (h[i].key.len == name->len
                    && ngx_strncasecmp(h[i].key.data, name->data, name->len)
                       == 0)
                {
                    ngx_http_llm_put_header(b, name, &h[i].value);
                }
            }
        }
    }
}


static ngx_int_t
ngx_http_llm_compose_added(ngx_http_llm_ctx_t *ctx, llm_buf_t *b)
{
    ngx_str_t                 value;
    ngx_uint_t                i;
    ngx_http_llm_header_t    *h;
    ngx_http_llm_provider_t  *provider;

    provider = ctx->send->target->provider;

    if (provider->headers == NULL) {
        return NGX_OK;
    }

    h = provider->headers->elts;

    for (i = 0; i < provider->headers->nelts; i++) {

        if (ngx_http_complex_value(ctx->request, &h[i].value, &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (value.len
            && ngx_strlchr(value.data, value.data + value.len, LF) == NULL
            && ngx_strlchr(value.data, value.data + value.len, CR) == NULL)
        {
            ngx_http_llm_put_header(b, &h[i].name, &value);
        }
    }

    return NGX_OK;
}


static void
ngx_http_llm_put_header(llm_buf_t *b, ngx_str_t *name, ngx_str_t *value)
{
    llm_buf_put(b, name->data, name->len);
    llm_buf_str(b, LLM_STR(": "));
    llm_buf_put(b, value->data, value->len);
    llm_buf_str(b, LLM_STR(CRLF));
}
