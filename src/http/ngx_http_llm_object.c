/*
 * Files, batches, stored responses and calls live at the account that made
 * them: what speaks of one goes to the same variant, target and key.
 *
 * Ids are learned from answers and looked up by the path ("/files/ID"), by
 * previous_response_id and input_file_id, by the file_id members of a
 * response's input, and by the call_id of a session that joins a call.
 */

#include "ngx_http_llm_ctx.h"

#include "llm_hash.h"
#include "llm_query.h"


#define NGX_HTTP_LLM_ID_MAX       256
#define NGX_HTTP_LLM_ID_EVENTS    4       /* the id stands in the first ones */
#define NGX_HTTP_LLM_INPUT_MAX    (1024 * 1024)    /* looked through for ids */
#define NGX_HTTP_LLM_INPUT_IDS    16    /* each takes the lock of the zone */


static ngx_uint_t ngx_http_llm_has_objects(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_id_of_path(ngx_str_t *path, ngx_str_t *id);
static ngx_int_t ngx_http_llm_id_of_call(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *id);
static ngx_int_t ngx_http_llm_id_of_body(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *id);
static ngx_int_t ngx_http_llm_id_of_input(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_object_t *object);
static ngx_int_t ngx_http_llm_id_of(llm_str_t value, ngx_str_t *id);
static ngx_uint_t ngx_http_llm_is_id(u_char c);
static void ngx_http_llm_keep(ngx_http_llm_ctx_t *ctx, llm_str_t object,
    const char *name);


static ngx_str_t  ngx_http_llm_calls = ngx_string("/calls");


ngx_int_t
ngx_http_llm_object_find(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t               rc;
    ngx_str_t               id;
    ngx_http_llm_object_t   object;

    if (ctx->endpoint == LLM_EP_REALTIME) {
        rc = ngx_http_llm_id_of_call(ctx, &id);

    } else if (!ngx_http_llm_has_objects(ctx)) {
        return NGX_DECLINED;

    } else {
        rc = ctx->rest.len ? ngx_http_llm_id_of_path(&ctx->rest, &id)
                           : ngx_http_llm_id_of_body(ctx, &id);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_object_get(&ctx->lmcf->store, &id, &object);

    } else if (ctx->endpoint == LLM_EP_RESPONSES && ctx->rest.len == 0) {
        rc = ngx_http_llm_id_of_input(ctx, &object);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->object = ngx_palloc(ctx->request->pool,
                             sizeof(ngx_http_llm_object_t));
    if (ctx->object == NULL) {
        return NGX_ERROR;
    }

    *ctx->object = object;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_has_objects(ngx_http_llm_ctx_t *ctx)
{
    return ctx->endpoint == LLM_EP_FILES
           || ctx->endpoint == LLM_EP_BATCHES
           || ctx->endpoint == LLM_EP_RESPONSES;
}


/* "/ID", "/ID/content" */

static ngx_int_t
ngx_http_llm_id_of_path(ngx_str_t *path, ngx_str_t *id)
{
    u_char  *p, *last;

    p = path->data + 1;
    last = path->data + path->len;

    id->data = p;

    while (p < last && *p != '/') {
        p++;
    }

    id->len = p - id->data;

    return id->len && id->len <= NGX_HTTP_LLM_ID_MAX ? NGX_OK : NGX_DECLINED;
}


/* "/calls/ID/hangup", "?call_id=ID" */

static ngx_int_t
ngx_http_llm_id_of_call(ngx_http_llm_ctx_t *ctx, ngx_str_t *id)
{
    size_t       len;
    ngx_str_t    path;
    llm_str_t    query;
    llm_param_t  p;

    len = ngx_http_llm_calls.len;

    if (ctx->rest.len > len
        && ngx_strncmp(ctx->rest.data, ngx_http_llm_calls.data, len) == 0)
    {
        path.data = ctx->rest.data + len;
        path.len = ctx->rest.len - len;

        return path.data[0] == '/' ? ngx_http_llm_id_of_path(&path, id)
                                   : NGX_DECLINED;
    }

    query = ngx_http_llm_view(&ctx->request->args);

    while (llm_query_next(&query, &p)) {

        if (llm_query_is(p.name, LLM_STR("call_id"))) {
            id->data = (u_char *) p.value.data;
            id->len = p.value.len;

            return id->len && id->len <= NGX_HTTP_LLM_ID_MAX ? NGX_OK
                                                             : NGX_DECLINED;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_llm_id_of_body(ngx_http_llm_ctx_t *ctx, ngx_str_t *id)
{
    size_t            at;
    llm_json_want_t   want;
    llm_json_error_t  error;

    if (ctx->facts.kind != LLM_BODY_JSON) {
        return NGX_DECLINED;
    }

    ngx_memzero(&want, sizeof(llm_json_want_t));

    want.name = (ctx->endpoint == LLM_EP_BATCHES)
                ? LLM_STR("input_file_id") : LLM_STR("previous_response_id");

    if (llm_json_pick(ngx_http_llm_view(&ctx->body), &want, 1, &error, &at)
        != LLM_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_llm_id_of(want.value, id);
}


/* "file_id":"ID" anywhere in the input: a text that only looks like it names no
 * object that is known. */

static ngx_int_t
ngx_http_llm_id_of_input(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_object_t *object)
{
    u_char      *p, *last;
    ngx_str_t    id, input;
    ngx_uint_t   n;

    static char  name[] = "\"file_id\"";

    input.data = (u_char *) ctx->facts.member[LLM_M_INPUT].value.data;
    input.len = ctx->facts.member[LLM_M_INPUT].value.len;

    if (input.data == NULL || input.len > NGX_HTTP_LLM_INPUT_MAX) {
        return NGX_DECLINED;
    }

    last = input.data + input.len;
    p = ngx_strlcasestrn(input.data, last, (u_char *) name, sizeof(name) - 2);

    for (n = 0; p && n < NGX_HTTP_LLM_INPUT_IDS; n++) {
        p += sizeof(name) - 1;

        while (p < last && (*p == ':' || *p == ' ')) {
            p++;
        }

        id.data = p + 1;
        id.len = 0;

        if (p < last && *p == '"') {
            p = ngx_strlchr(id.data, last, '"');
            id.len = p ? (size_t) (p - id.data) : 0;
        }

        if (id.len && id.len <= NGX_HTTP_LLM_ID_MAX
            && ngx_http_llm_object_get(&ctx->lmcf->store, &id, object)
               == NGX_OK)
        {
            return NGX_OK;
        }

        p = ngx_strlcasestrn(id.data + id.len, last, (u_char *) name,
                             sizeof(name) - 2);
    }

    return NGX_DECLINED;
}


/* A JSON string that can be an id: nothing in it needs an escape. */

static ngx_int_t
ngx_http_llm_id_of(llm_str_t value, ngx_str_t *id)
{
    if (value.len < 3 || value.len > NGX_HTTP_LLM_ID_MAX
        || value.data[0] != '"'
        || memchr(value.data, '\\', value.len))
    {
        return NGX_DECLINED;
    }

    id->data = (u_char *) value.data + 1;
    id->len = value.len - 2;

    return NGX_OK;
}


/*
 * Nobody but its maker is asked, and with the key that made it, while that can
 * be used.  A target that left the route meanwhile leaves the choice open.
 */

void
ngx_http_llm_object_bind(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_target_t  *t;

    t = ngx_http_llm_object_maker(ctx, ctx->object);

    if (t) {
        ctx->skipped = ~((uint64_t) 1 << (t - ctx->route->targets));
    }
}


ngx_http_llm_target_t *
ngx_http_llm_object_maker(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_object_t *object)
{
    ngx_uint_t                  i;
    ngx_http_llm_target_t      *t;
    ngx_http_llm_store_pool_t  *pool;

    t = ctx->route->targets;

    for (i = 0; i < ctx->route->ntargets; i++, t++) {

        if (!(ctx->skipped & ((uint64_t) 1 << i))
            && ngx_http_llm_target_hash(t) == object->target)
        {
            break;
        }
    }

    if (i == ctx->route->ntargets) {
        return NULL;
    }

    if (t->provider->pool == NULL) {
        return t;
    }

    pool = &t->provider->pool->store;

    for (i = 0; i < pool->conf.key_n; i++) {

        if (ngx_memcmp(pool->fingerprints + i * NGX_HTTP_LLM_FINGERPRINT,
                       object->key, NGX_HTTP_LLM_FINGERPRINT)
            == 0)
        {
            ctx->tried.prefer = (uint32_t) i + 1;
            break;
        }
    }

    return t;
}


uint64_t
ngx_http_llm_target_hash(ngx_http_llm_target_t *t)
{
    /* models and providers share one namespace */
    return llm_fnv64(ngx_http_llm_view(t->model ? &t->model->name
                                                : &t->provider->name), 0);
}


void
ngx_http_llm_object_learn(ngx_http_llm_ctx_t *ctx)
{
    llm_str_t   body;
    ngx_buf_t  *b;

    b = ctx->send->body;

    if (ctx->shadow || ctx->send->translated || b == NULL
        || !ngx_http_llm_has_objects(ctx))
    {
        return;
    }

    body.data = b->pos;
    body.len = b->last - b->pos;

    if (ctx->request->method == NGX_HTTP_POST && ctx->rest.len == 0) {
        ngx_http_llm_keep(ctx, body, "id");
    }

    if (ctx->endpoint == LLM_EP_BATCHES) {
        /* a batch that is done names what it made */
        ngx_http_llm_keep(ctx, body, "output_file_id");
        ngx_http_llm_keep(ctx, body, "error_file_id");
    }
}


void
ngx_http_llm_object_learn_event(ngx_http_llm_ctx_t *ctx, llm_str_t data)
{
    llm_json_member_t  m;

    if (ctx->events->held_events > NGX_HTTP_LLM_ID_EVENTS) {
        ctx->learned = 1;
        return;
    }

    if (llm_json_get(data, LLM_STR("response"), &m) == LLM_OK) {
        ngx_http_llm_keep(ctx, m.value, "id");
    }
}


/* "Location: /v1/realtime/calls/ID".  The client gets one below its own path.
 */

ngx_int_t
ngx_http_llm_object_call(ngx_http_llm_ctx_t *ctx, ngx_str_t *location)
{
    u_char                 *p, *last;
    ngx_str_t               id, path;
    ngx_uint_t              status;
    ngx_http_request_t     *r;
    ngx_http_llm_object_t   object;

    r = ctx->request;
    status = ctx->send->frame.status.code;

    if (ctx->endpoint != LLM_EP_REALTIME || r->method != NGX_HTTP_POST
        || status < 200 || status >= 300
        || ctx->rest.len != ngx_http_llm_calls.len
        || ngx_strncmp(ctx->rest.data, ngx_http_llm_calls.data, ctx->rest.len)
           != 0)
    {
        return NGX_OK;
    }

    last = location->data + location->len;

    for (p = last; p > location->data && ngx_http_llm_is_id(p[-1]); p--) {
        /* void */
    }

    id.data = p;
    id.len = last - p;

    if (id.len == 0 || id.len > NGX_HTTP_LLM_ID_MAX) {
        return NGX_OK;
    }

    ngx_http_llm_object_made(ctx, &object);
    ngx_http_llm_object_put(&ctx->lmcf->store, &id, &object);

    path = r->unparsed_uri;
    p = ngx_strlchr(path.data, path.data + path.len, '?');

    if (p) {
        path.len = p - path.data;
    }

    ctx->call.data = ngx_pnalloc(r->pool, path.len + 1 + id.len);
    if (ctx->call.data == NULL) {
        return NGX_ERROR;
    }

    ctx->call.len = ngx_sprintf(ctx->call.data, "%V/%V", &path, &id)
                    - ctx->call.data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_is_id(u_char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '_' || c == '-';
}


static void
ngx_http_llm_keep(ngx_http_llm_ctx_t *ctx, llm_str_t json, const char *name)
{
    ngx_str_t              id;
    llm_json_member_t      m;
    ngx_http_llm_object_t  object;

    if (llm_json_get(json, (llm_str_t) { ngx_strlen(name),
                                         (const unsigned char *) name }, &m)
        != LLM_OK
        || ngx_http_llm_id_of(m.value, &id) != NGX_OK)
    {
        return;
    }

    ngx_http_llm_object_made(ctx, &object);
    ngx_http_llm_object_put(&ctx->lmcf->store, &id, &object);
    ctx->learned = 1;
}


void
ngx_http_llm_object_made(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_object_t *object)
{
    u_char               *key;
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    ngx_memzero(object, sizeof(ngx_http_llm_object_t));

    object->target = ngx_http_llm_target_hash(send->target);

    if (ctx->split) {
        object->split = llm_fnv64(ngx_http_llm_view(&ctx->split->name), 0);
        object->variant = ngx_http_llm_variant_hash(ctx->split, ctx->variant);
    }

    if (send->ticket.pool) {
        key = send->ticket.pool->fingerprints
              + send->ticket.lease.key * NGX_HTTP_LLM_FINGERPRINT;

        ngx_memcpy(object->key, key, NGX_HTTP_LLM_FINGERPRINT);
    }
}
