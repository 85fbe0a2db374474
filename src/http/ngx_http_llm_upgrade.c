/*
 * The handshake of WebSocket (RFC 6455), on both sides.
 *
 * The client's key goes through to the provider, so that its answer fits; it is
 * checked here as well, since an answer that does not is the provider's fault.
 * Credentials of the client stay here, the ones that browsers send as a
 * subprotocol included.
 */

#include "ngx_http_llm_tunnel.h"

#include <ngx_sha1.h>


#define NGX_HTTP_LLM_WS_KEY     24          /* 16 bytes in base64 */
#define NGX_HTTP_LLM_WS_ACCEPT  ngx_base64_encoded_length(20)
#define NGX_HTTP_LLM_WS_GUID    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


static ngx_uint_t ngx_http_llm_says_upgrade(ngx_http_request_t *r);
static llm_code_t ngx_http_llm_upgrade_required(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message, llm_str_t why);
static ngx_table_elt_t *ngx_http_llm_next_header(ngx_http_request_t *r,
    ngx_str_t *name, ngx_uint_t *n);
static void ngx_http_llm_accept(ngx_str_t *key, ngx_str_t *accept);
static ngx_int_t ngx_http_llm_upgrade_keep(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *to, ngx_str_t *value);
static ngx_int_t ngx_http_llm_upgrade_add(ngx_http_llm_ctx_t *ctx,
    const char *name, ngx_str_t *value);


static ngx_str_t  ngx_http_llm_ws_key = ngx_string("Sec-WebSocket-Key");
static ngx_str_t  ngx_http_llm_ws_version = ngx_string("Sec-WebSocket-Version");
static ngx_str_t  ngx_http_llm_ws_protocol =
                                     ngx_string("Sec-WebSocket-Protocol");
static ngx_str_t  ngx_http_llm_ws_extensions =
                                     ngx_string("Sec-WebSocket-Extensions");


/* To WebSocket alone: with "h2c" a client would get past everything that nginx
 * checks of a request. */

ngx_uint_t
ngx_http_llm_wants_upgrade(ngx_http_request_t *r)
{
    ngx_table_elt_t  *upgrade;

    upgrade = r->headers_in.upgrade;

    return r == r->main
           && r->method == NGX_HTTP_GET
           && r->http_version == NGX_HTTP_VERSION_11
           && upgrade && upgrade->value.len == 9
           && ngx_strncasecmp(upgrade->value.data, (u_char *) "websocket", 9)
              == 0
           && ngx_http_llm_says_upgrade(r);
}


/* "Connection: keep-alive, Upgrade"; nginx keeps no pointer to it. */

static ngx_uint_t
ngx_http_llm_says_upgrade(ngx_http_request_t *r)
{
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("Connection");

    for (n = 0; (h = ngx_http_llm_next_header(r, &name, &n)); /* void */ ) {

        if (ngx_strlcasestrn(h->value.data, h->value.data + h->value.len,
                             (u_char *) "upgrade", 7 - 1))
        {
            return 1;
        }
    }

    return 0;
}


/* Sets ctx->tunnel for a request that becomes a session, if a provider agrees.
 */

llm_code_t
ngx_http_llm_upgrade_check(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    ngx_uint_t           n;
    ngx_table_elt_t     *key, *version;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->endpoint != LLM_EP_REALTIME && !ctx->passthrough) {
        return LLM_CODE_NONE;
    }

    if (!ngx_http_llm_wants_upgrade(r)) {

        if (ctx->passthrough || ctx->rest.len || r->method == NGX_HTTP_POST) {
            return LLM_CODE_NONE;
        }

        return ngx_http_llm_upgrade_required(ctx, message, LLM_NOSTR);
    }

    n = 0;
    version = ngx_http_llm_next_header(r, &ngx_http_llm_ws_version, &n);

    if (version == NULL || version->value.len != 2
        || ngx_strncmp(version->value.data, "13", 2) != 0)
    {
        return ngx_http_llm_upgrade_required(ctx, message,
                       LLM_STR("Version 13 of WebSocket is expected."));
    }

    n = 0;
    key = ngx_http_llm_next_header(r, &ngx_http_llm_ws_key, &n);

    if (key == NULL || key->value.len != NGX_HTTP_LLM_WS_KEY
        || ngx_http_llm_next_header(r, &ngx_http_llm_ws_key, &n)
        || r->headers_in.content_length_n > 0 || r->headers_in.chunked)
    {
        *message = LLM_STR("This is no valid WebSocket handshake.");
        return LLM_CODE_CALLER_BAD_REQUEST;
    }

    ctx->tunnel = ngx_pcalloc(r->pool, sizeof(ngx_http_llm_tunnel_t));
    if (ctx->tunnel == NULL) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    ctx->tunnel->key = key->value;

    /* a session is a stream: `header` is how long its beginning may take */
    ctx->facts.stream = 1;

    return LLM_CODE_NONE;
}


static llm_code_t
ngx_http_llm_upgrade_required(ngx_http_llm_ctx_t *ctx, llm_str_t *message,
    llm_str_t why)
{
    ngx_str_t  value;

    *message = why;

    /* no header of HTTP/2 and later */

    if (ctx->request->http_version > NGX_HTTP_VERSION_11) {
        return LLM_CODE_CALLER_UPGRADE;
    }

    ngx_str_set(&value, "websocket");

    if (ngx_http_llm_upgrade_add(ctx, "Upgrade", &value) != NGX_OK) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    ngx_str_set(&value, "13");

    if (ngx_http_llm_upgrade_add(ctx, "Sec-WebSocket-Version", &value)
        != NGX_OK)
    {
        return LLM_CODE_GATEWAY_ERROR;
    }

    return LLM_CODE_CALLER_UPGRADE;
}


/* The lines of one name, one after the other: n begins with 0. */

static ngx_table_elt_t *
ngx_http_llm_next_header(ngx_http_request_t *r, ngx_str_t *name, ngx_uint_t *n)
{
    ngx_uint_t        i, at;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    at = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (at++ >= *n && h[i].key.len == name->len
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
            {
                *n = at;
                return &h[i];
            }
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_llm_upgrade_key(ngx_http_request_t *r, ngx_str_t *key)
{
    llm_str_t         found;
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    n = 0;

    while ((h = ngx_http_llm_next_header(r, &ngx_http_llm_ws_protocol, &n))) {

        if (llm_realtime_key(ngx_http_llm_view(&h->value), &found) == LLM_OK) {
            key->len = found.len;
            key->data = (u_char *) found.data;
            return 1;
        }
    }

    return 0;
}


/* The headers of one attempt, which begins anew. */

void
ngx_http_llm_upgrade_compose(ngx_http_llm_ctx_t *ctx, llm_buf_t *b)
{
    u_char                 *start;
    ngx_uint_t              n;
    ngx_table_elt_t        *h;
    ngx_http_llm_tunnel_t  *t;

    t = ctx->tunnel;

    ngx_str_null(&t->protocol);
    ngx_str_null(&t->extensions);
    t->upgrade = 0;
    t->accepted = 0;

    llm_buf_str(b, LLM_STR("Connection: Upgrade" CRLF
                           "Upgrade: websocket" CRLF
                           "Sec-WebSocket-Version: 13" CRLF
                           "Sec-WebSocket-Key: "));
    llm_buf_put(b, t->key.data, t->key.len);
    llm_buf_str(b, LLM_STR(CRLF));

    n = 0;

    while ((h = ngx_http_llm_next_header(ctx->request,
                                         &ngx_http_llm_ws_protocol, &n)))
    {
        start = b->pos;

        llm_buf_str(b, LLM_STR("Sec-WebSocket-Protocol: "));

        if (llm_realtime_protocols(ngx_http_llm_view(&h->value), b) == LLM_OK) {
            llm_buf_str(b, LLM_STR(CRLF));
        } else {
            b->pos = start;
        }
    }

    n = 0;

    while ((h = ngx_http_llm_next_header(ctx->request,
                                         &ngx_http_llm_ws_extensions, &n)))
    {
        llm_buf_str(b, LLM_STR("Sec-WebSocket-Extensions: "));
        llm_buf_put(b, h->value.data, h->value.len);
        llm_buf_str(b, LLM_STR(CRLF));
    }
}


/* A header of the provider's 101. */

ngx_int_t
ngx_http_llm_upgrade_header(ngx_http_llm_ctx_t *ctx, llm_str_t name,
    ngx_str_t *value)
{
    u_char                  mem[NGX_HTTP_LLM_WS_ACCEPT];
    ngx_str_t               accept;
    ngx_http_llm_tunnel_t  *t;

    t = ctx->tunnel;

    if (llm_str_eq(name, LLM_STR("upgrade"))) {
        t->upgrade = value->len == 9
                     && ngx_strncasecmp(value->data, (u_char *) "websocket", 9)
                        == 0;
        return NGX_OK;
    }

    if (llm_str_eq(name, LLM_STR("sec-websocket-accept"))) {
        accept.data = mem;
        ngx_http_llm_accept(&t->key, &accept);

        t->accepted = value->len == accept.len
                      && ngx_memcmp(value->data, accept.data, accept.len) == 0;
        return NGX_OK;
    }

    if (llm_str_eq(name, LLM_STR("sec-websocket-protocol"))) {
        return ngx_http_llm_upgrade_keep(ctx, &t->protocol, value);
    }

    if (llm_str_eq(name, LLM_STR("sec-websocket-extensions"))) {
        return ngx_http_llm_upgrade_keep(ctx, &t->extensions, value);
    }

    return NGX_OK;
}


/* accept->data has room for it. */

static void
ngx_http_llm_accept(ngx_str_t *key, ngx_str_t *accept)
{
    u_char      hash[20];
    ngx_str_t   in;
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, NGX_HTTP_LLM_WS_GUID,
                    sizeof(NGX_HTTP_LLM_WS_GUID) - 1);
    ngx_sha1_final(hash, &sha1);

    in.data = hash;
    in.len = sizeof(hash);

    ngx_encode_base64(accept, &in);
}


/* Two lines of one name are one list. */

static ngx_int_t
ngx_http_llm_upgrade_keep(ngx_http_llm_ctx_t *ctx, ngx_str_t *to,
    ngx_str_t *value)
{
    u_char  *p, *start;

    start = ngx_pnalloc(ctx->request->pool, to->len + 2 + value->len);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;

    if (to->len) {
        p = ngx_cpymem(p, to->data, to->len);
        p = ngx_cpymem(p, ", ", 2);
    }

    p = ngx_cpymem(p, value->data, value->len);

    to->data = start;
    to->len = p - start;

    return NGX_OK;
}


ngx_uint_t
ngx_http_llm_upgrade_agreed(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_tunnel_t  *t;

    t = ctx->tunnel;

    return t && t->upgrade && t->accepted;
}


/* The client gets the same 101 that the provider gave. */

ngx_int_t
ngx_http_llm_upgrade_answer(ngx_http_llm_ctx_t *ctx)
{
    u_char                 *p;
    ngx_str_t               value;
    ngx_http_llm_tunnel_t  *t;

    t = ctx->tunnel;

    ngx_str_set(&value, "websocket");

    if (ngx_http_llm_upgrade_add(ctx, "Upgrade", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(ctx->request->pool, NGX_HTTP_LLM_WS_ACCEPT);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    ngx_http_llm_accept(&t->key, &value);

    if (ngx_http_llm_upgrade_add(ctx, "Sec-WebSocket-Accept", &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (t->protocol.len
        && ngx_http_llm_upgrade_add(ctx, "Sec-WebSocket-Protocol",
                                    &t->protocol)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (t->extensions.len
        && ngx_http_llm_upgrade_add(ctx, "Sec-WebSocket-Extensions",
                                    &t->extensions)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_upgrade_add(ngx_http_llm_ctx_t *ctx, const char *name,
    ngx_str_t *value)
{
    ngx_str_t  key;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    return ngx_http_llm_add_header(ctx->request, &key, value);
}
