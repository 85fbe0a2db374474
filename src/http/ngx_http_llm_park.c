/*
 * The peer of an attempt, as nginx's upstream code sees it.
 *
 * Asked for a second one, because the first has failed, it offers the next
 * address of the same host as long as nothing was sent, and else a connection
 * that is neither connected nor closed: the upstream is "parked" there until
 * the posted event, whose handler tears it down.
 */

#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_get_peer(ngx_peer_connection_t *pc, void *data);
static ngx_int_t ngx_http_llm_first_peer(ngx_http_llm_ctx_t *ctx,
    ngx_peer_connection_t *pc);
static void ngx_http_llm_note_failure(ngx_http_llm_ctx_t *ctx,
    ngx_peer_connection_t *pc);
static ngx_int_t ngx_http_llm_park(ngx_http_llm_ctx_t *ctx,
    ngx_peer_connection_t *pc);
static void ngx_http_llm_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_llm_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_llm_save_session(ngx_peer_connection_t *pc, void *data);
#endif


static struct sockaddr_un  ngx_http_llm_mock_addr = { AF_UNIX, "mock" };


ngx_int_t
ngx_http_llm_init_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_llm_ctx_t     *ctx;
    ngx_http_upstream_t    *u;
    ngx_peer_connection_t  *pc;

    ctx = ngx_http_llm_get_ctx(r);
    u = r->upstream;
    pc = &u->peer;

    pc->data = ctx;
    pc->get = ngx_http_llm_get_peer;
    pc->free = ngx_http_llm_free_peer;
    pc->tries = 1;

#if (NGX_HTTP_SSL)
    pc->set_session = ngx_http_llm_set_session;
    pc->save_session = ngx_http_llm_save_session;
    u->ssl_name = ctx->send->target->provider->origin.ssl_name;
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (ctx->upload) {
        ngx_http_llm_upload_parked(ctx);
    }

    if (send->gets++ == 0) {
        return ngx_http_llm_first_peer(ctx, pc);
    }

    if (send->answer == NGX_HTTP_LLM_ANSWER_HEAD
        && !send->cached
        && !ctx->request->upstream->request_sent
        && send->addrs.current + 1 < send->addrs.naddrs)
    {
        /* nothing was sent yet: the next address of the same host */

        send->addrs.current++;
        send->outcome.class = LLM_CLASS_OK;

        pc->cached = 0;
        pc->connection = NULL;
        pc->sockaddr = send->addrs.addr[send->addrs.current].sockaddr;
        pc->socklen = send->addrs.addr[send->addrs.current].socklen;
        pc->name = &send->addrs.addr[send->addrs.current].name;

        return NGX_OK;
    }

    ngx_http_llm_note_failure(ctx, pc);

    return ngx_http_llm_park(ctx, pc);
}


static ngx_int_t
ngx_http_llm_first_peer(ngx_http_llm_ctx_t *ctx, ngx_peer_connection_t *pc)
{
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    provider = send->target->provider;

    pc->cached = 0;
    pc->connection = NULL;

    if (provider->mock) {
        pc->connection = ngx_http_llm_mock_connect(ctx->request, provider->mock,
                                                   ctx->request->pool, pc->log);
        if (pc->connection == NULL) {
            return NGX_ERROR;
        }

        pc->sockaddr = (struct sockaddr *) &ngx_http_llm_mock_addr;
        pc->socklen = sizeof(struct sockaddr_un);
        pc->name = &provider->name;

        return NGX_DONE;
    }

    pc->sockaddr = send->addrs.addr[0].sockaddr;
    pc->socklen = send->addrs.addr[0].socklen;
    pc->name = &send->addrs.addr[0].name;

    if (!ctx->no_cache
        && ngx_http_llm_peer_reuse(&provider->origin, ctx->request, pc)
           == NGX_DONE)
    {
        send->cached = 1;
        return NGX_DONE;
    }

    return NGX_OK;
}


/* Why nginx wants another peer: read from the state it has just closed. */

static void
ngx_http_llm_note_failure(ngx_http_llm_ctx_t *ctx, ngx_peer_connection_t *pc)
{
    ngx_http_llm_send_t        *send;
    ngx_http_upstream_t        *u;
    ngx_http_upstream_state_t  *state;

    send = ctx->send;
    u = ctx->request->upstream;

    /* the last state is the one made for this call */

    state = ctx->request->upstream_states->elts;
    state += ctx->request->upstream_states->nelts - 2;

    if (send->answer == NGX_HTTP_LLM_ANSWER_ENDED) {
        state->status = send->frame.status.code;
        return;
    }

    if (send->cached && state->bytes_received == 0
        && state->status == NGX_HTTP_BAD_GATEWAY)
    {
        /* the provider closed an idle connection: try a new one, uncounted */
        ctx->no_cache = 1;
        return;
    }

    if (ngx_http_llm_answer_eof(ctx)) {
        send->answer = NGX_HTTP_LLM_ANSWER_ENDED;
        state->status = send->frame.status.code;
        return;
    }

    if (send->relayed) {
        ngx_http_llm_relay_ended(ctx, state);
        return;
    }

    if (send->outcome.class != LLM_CLASS_OK) {
        return;
    }

    if (state->status == NGX_HTTP_GATEWAY_TIME_OUT) {

        if (state->connect_time == (ngx_msec_t) -1) {
            send->outcome.class = LLM_CLASS_TIMEOUT_CONNECT;

        } else if (send->answer == NGX_HTTP_LLM_ANSWER_HEAD) {
            send->outcome.class = ngx_http_llm_is_prompt(ctx)
                                  ? LLM_CLASS_TIMEOUT_HEADER
                                  : LLM_CLASS_TIMEOUT_TOTAL;

        } else if (send->answer == NGX_HTTP_LLM_ANSWER_COLLECT && send->body) {
            send->outcome.class = LLM_CLASS_TIMEOUT_IDLE;

        } else {
            send->outcome.class = LLM_CLASS_TIMEOUT_FIRST;
        }

        return;
    }

    send->outcome.class = u->request_sent ? LLM_CLASS_NETWORK
                                          : LLM_CLASS_CONNECT;
}


/* A connection that is neither connected nor closed, until the posted event. */

static ngx_int_t
ngx_http_llm_park(ngx_http_llm_ctx_t *ctx, ngx_peer_connection_t *pc)
{
    ngx_connection_t  *c;

    c = &ctx->park;

    ngx_memzero(c, sizeof(ngx_connection_t));
    ngx_memzero(&ctx->park_read, sizeof(ngx_event_t));
    ngx_memzero(&ctx->park_write, sizeof(ngx_event_t));

    c->fd = (ngx_socket_t) -1;
    c->pool = ctx->request->pool;
    c->log = pc->log;
    c->data = ctx->request;

    c->read = &ctx->park_read;
    c->read->data = c;
    c->read->log = pc->log;

    c->write = &ctx->park_write;
    c->write->data = c;
    c->write->log = pc->log;
    c->write->write = 1;

    pc->connection = c;
    pc->sockaddr = NULL;
    pc->name = NULL;
    pc->cached = 0;

    ctx->send->parked = 1;

    if (!ctx->end.posted) {
        ngx_post_event(&ctx->end, &ngx_posted_events);
    }

    return NGX_AGAIN;
}


void
ngx_http_llm_unpark(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    if (!ctx->send->parked) {
        return;
    }

    ctx->send->parked = 0;

    if (ctx->park_write.timer_set) {
        ngx_del_timer(&ctx->park_write);
    }

    u = ctx->request->upstream;

    u->peer.connection = NULL;
    u->peer.sockaddr = NULL;

    /* the state made for the parked peer: $upstream_* tell of real ones */

    ctx->request->upstream_states->nelts--;
    u->state = NULL;
}


static void
ngx_http_llm_free_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_connection_t         *c;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    c = pc->connection;
    provider = send->target->provider;

    send->eof = (c && c->read->eof && !c->read->error);

    ngx_http_llm_relay_unwrap(ctx, c);

    if (ctx->upload && (state & NGX_PEER_FAILED)) {
        ngx_http_llm_upload_lost(ctx);
    }

#if (NGX_HTTP_SSL)
    if ((state & NGX_PEER_FAILED) && c && c->ssl && !send->cached
        && !ctx->request->upstream->request_sent
        && !c->write->timedout)
    {
        send->outcome.class = LLM_CLASS_TLS;
    }
#endif

    if (state || c == NULL || provider->mock) {
        return;
    }

    (void) ngx_http_llm_peer_keep(&provider->origin, ctx->request, pc);
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_llm_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_llm_ctx_t *ctx = data;

    return ngx_http_llm_peer_set_session(
                                   &ctx->send->target->provider->origin, pc);
}


static void
ngx_http_llm_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_http_llm_peer_save_session(&ctx->send->target->provider->origin, pc);
}

#endif
