/*
 * A session after its handshake: bytes both ways until one side has enough.
 *
 * nginx's own upstream code carries them, with its back-pressure.  What the
 * provider sends is read on the side, where it comes off the connection: the
 * close frame tells an end from a cut, and events of the Realtime API what the
 * session takes.
 *
 * Breaker, keys, variant and shedding hear of the handshake: how long people
 * talk says nothing about a provider.  The slot of the provider, limits and
 * budgets are held to the end.
 */

#include "ngx_http_llm_tunnel.h"


#define NGX_HTTP_LLM_WS_ERROR  1011         /* "internal error", and what … */
#define NGX_HTTP_LLM_WS_LAST   1014         /* … follows: the server's fault */


static void ngx_http_llm_tunnel_agreed(ngx_http_llm_ctx_t *ctx);
static ssize_t ngx_http_llm_tunnel_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static void ngx_http_llm_tunnel_watch(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static llm_class_t ngx_http_llm_tunnel_class(ngx_http_llm_ctx_t *ctx,
    ngx_int_t rc);


/* The commit of a session. */

ngx_int_t
ngx_http_llm_tunnel_open(ngx_http_llm_ctx_t *ctx)
{
    ngx_msec_t              idle;
    ngx_connection_t       *c;
    ngx_http_upstream_t    *u;
    ngx_http_llm_tunnel_t  *t;

    t = ctx->tunnel;
    u = ctx->request->upstream;
    c = u->peer.connection;
    idle = ctx->send->target->provider->timeout.tunnel;

    ctx->conf.read_timeout = idle;
    ctx->conf.send_timeout = idle;

    u->upgrade = 1;
    ngx_str_set(&u->headers_in.status_line, "101 Switching Protocols");

    if (ngx_http_llm_upgrade_answer(ctx) != NGX_OK
        || ngx_http_llm_response_headers(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    llm_ws_init(&t->frames);

    t->recv = c->recv;
    c->recv = ngx_http_llm_tunnel_recv;

    ngx_http_llm_tunnel_agreed(ctx);
    ngx_http_llm_tunnel_watch(ctx, u->buffer.pos,
                              u->buffer.last - u->buffer.pos);

    return NGX_OK;
}


/* Neither `total` nor the deadline of a request ends a session. */

static void
ngx_http_llm_tunnel_agreed(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t            changed;
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ngx_http_llm_place_end(ctx, LLM_CLASS_OK);
    ngx_http_llm_shed_leave(&ctx->lmcf->store, &ctx->shed, LLM_CLASS_OK);
    ngx_http_llm_meter_send(ctx, LLM_CLASS_OK);

    changed = ngx_http_llm_store_report(&ctx->lmcf->store, &send->ticket,
                                        &send->outcome);

    if (changed & NGX_HTTP_LLM_BREAKER_CLOSED) {
        ngx_log_error(NGX_LOG_NOTICE, ctx->request->connection->log, 0,
                      "llm provider \"%V\": breaker closed",
                      &send->target->provider->name);
    }
}


static ssize_t
ngx_http_llm_tunnel_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ssize_t              n;
    ngx_http_request_t  *r;
    ngx_http_llm_ctx_t  *ctx;

    r = c->data;
    ctx = ngx_http_llm_get_ctx(r);

    n = ctx->tunnel->recv(c, buf, size);

    if (n > 0) {
        ngx_http_llm_tunnel_watch(ctx, buf, n);
    }

    return n;
}


static void
ngx_http_llm_tunnel_watch(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    llm_str_t               in;
    llm_ws_piece_t          piece;
    ngx_http_llm_tunnel_t  *t;

    t = ctx->tunnel;

    in.data = p;
    in.len = n;

    while (llm_ws_next(&t->frames, &in, &piece) == LLM_OK) {

        if (ctx->endpoint == LLM_EP_REALTIME
            && piece.opcode == LLM_WS_TEXT
            && llm_realtime_event(&t->event, &piece,
                                  &ctx->events->state.usage)
            && ctx->admission)
        {
            ngx_http_llm_policy_session(ctx);
        }
    }
}


void
ngx_http_llm_tunnel_end(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    llm_class_t  class;

    class = ngx_http_llm_tunnel_class(ctx, rc);

    if (class == LLM_CLASS_CUT) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm session of provider \"%V\" was cut",
                      &ctx->send->target->provider->name);
    }

    ngx_http_llm_settle(ctx, class);
}


/* Whoever hangs up, a session is over then; but not when the provider does so
 * without a word, or says that it failed. */

static llm_class_t
ngx_http_llm_tunnel_class(ngx_http_llm_ctx_t *ctx, ngx_int_t rc)
{
    unsigned           code;
    llm_ws_t          *frames;
    ngx_connection_t  *c, *pc;

    c = ctx->request->connection;
    pc = ctx->request->upstream->peer.connection;
    frames = &ctx->tunnel->frames;

    if (rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        return LLM_CLASS_TIMEOUT_IDLE;
    }

    if (rc == NGX_HTTP_REQUEST_TIME_OUT
        || c->error || c->read->error || c->write->error)
    {
        return LLM_CLASS_CLIENT_GONE;
    }

    code = llm_ws_close_code(frames);

    if (frames->closed) {
        return code >= NGX_HTTP_LLM_WS_ERROR && code <= NGX_HTTP_LLM_WS_LAST
               ? LLM_CLASS_CUT : LLM_CLASS_OK;
    }

    if (c->read->eof && !pc->read->eof) {
        return LLM_CLASS_OK;
    }

    return LLM_CLASS_CUT;
}
