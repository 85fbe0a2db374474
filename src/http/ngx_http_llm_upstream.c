/*
 * One attempt on a fresh ngx_http_upstream_t.
 *
 * nginx's own retry keeps one host, one key and one body; ours may change all
 * three and may wait in between.  So every attempt gets an upstream of its own,
 * and a failed one comes back to us: HTTP failures through process_header(),
 * transport failures through peer.get(), which nginx calls for the next peer
 * and which then "parks" the upstream on a connection that does not exist.  In
 * both cases ctx->end is posted, and only its handler tears the upstream down.
 */

#include "ngx_http_llm_ctx.h"


static void ngx_http_llm_lookup_done(ngx_http_llm_lookup_t *l);
static void ngx_http_llm_upstream_run(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_upstream_make(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_upstream_conf(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_reinit_request(ngx_http_request_t *r);
static void ngx_http_llm_abort_request(ngx_http_request_t *r);
static void ngx_http_llm_finalize_request(ngx_http_request_t *r, ngx_int_t rc);

static ngx_int_t ngx_http_llm_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_llm_get_peer(ngx_peer_connection_t *pc, void *data);
static ngx_int_t ngx_http_llm_first_peer(ngx_http_llm_ctx_t *ctx,
    ngx_peer_connection_t *pc);
static void ngx_http_llm_note_failure(ngx_http_llm_ctx_t *ctx,
    ngx_peer_connection_t *pc);
static ngx_int_t ngx_http_llm_park(ngx_http_llm_ctx_t *ctx,
    ngx_peer_connection_t *pc);
static void ngx_http_llm_unpark(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_llm_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_llm_save_session(ngx_peer_connection_t *pc, void *data);
#endif


static struct sockaddr_un  ngx_http_llm_mock_addr = { AF_UNIX, "mock" };


/* Names first: a lookup may take a while, and no upstream exists meanwhile. */

void
ngx_http_llm_upstream_start(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_http_llm_send_t      *send;
    ngx_http_llm_provider_t  *provider;

    send = ctx->send;
    provider = send->target->provider;

    if (provider->mock) {
        ngx_http_llm_upstream_run(ctx);
        return;
    }

    send->lookup.addrs = &send->addrs;
    send->lookup.pool = ctx->request->pool;
    send->lookup.handler = ngx_http_llm_lookup_done;
    send->lookup.data = ctx;

    ctx->state = NGX_HTTP_LLM_RESOLVING;

    rc = ngx_http_llm_peer_lookup(ctx->request, &provider->origin,
                                  &send->lookup);

    if (rc == NGX_OK) {
        ngx_http_llm_upstream_run(ctx);
        return;
    }

    if (rc == NGX_ERROR) {
        send->outcome.class = LLM_CLASS_DNS;
        ngx_post_event(&ctx->end, &ngx_posted_events);
    }
}


static void
ngx_http_llm_lookup_done(ngx_http_llm_lookup_t *l)
{
    ngx_connection_t    *c;
    ngx_http_llm_ctx_t  *ctx;

    ctx = l->data;
    c = ctx->request->connection;

    ngx_http_set_log_request(c->log, ctx->request);

    if (l->rc == NGX_OK) {
        ngx_http_llm_upstream_run(ctx);

    } else {
        ctx->send->outcome.class = LLM_CLASS_DNS;
        ngx_http_llm_attempt_over(ctx);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_llm_upstream_run(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;

    if (ngx_http_upstream_create(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    u = r->upstream;

    ngx_http_llm_upstream_conf(ctx);

    u->conf = &ctx->conf;
    u->output.tag = (ngx_buf_tag_t) &ngx_http_llm_gateway_module;
    u->buffering = 0;
    u->accel = 1;

    u->create_request = ngx_http_llm_create_request;
    u->reinit_request = ngx_http_llm_reinit_request;
    u->process_header = ngx_http_llm_process_header;
    u->abort_request = ngx_http_llm_abort_request;
    u->finalize_request = ngx_http_llm_finalize_request;

    u->input_filter_init = ngx_http_llm_input_filter_init;
    u->input_filter = ngx_http_llm_input_filter;
    u->input_filter_ctx = ctx;

#if (NGX_HTTP_SSL)
    u->ssl = (ctx->conf.ssl != NULL);
    if (u->ssl) {
        ngx_str_set(&u->schema, "https://");
    } else
#endif
    {
        ngx_str_set(&u->schema, "http://");
    }

    /* one buffer serves every attempt; nginx would take a new one each time */

    if (ctx->buffer == NULL) {
        ctx->buffer = ngx_palloc(r->pool, ctx->llcf->buffer_size);

        if (ctx->buffer == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    u->buffer.start = ctx->buffer;
    u->buffer.pos = ctx->buffer;
    u->buffer.last = ctx->buffer;
    u->buffer.end = ctx->buffer + ctx->llcf->buffer_size;
    u->buffer.temporary = 1;
    u->buffer.tag = u->output.tag;

    ctx->state = NGX_HTTP_LLM_SENDING;
    ctx->send->upstream = 1;

    /* a status line parser that was left half-way */
    r->state = 0;

    ngx_http_upstream_init(r);
}


/* A per-request copy, because timeouts and TLS differ from target to target. */

static void
ngx_http_llm_upstream_conf(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_upstream_conf_t  *conf;
    ngx_http_llm_provider_t   *provider;

    conf = &ctx->conf;
    provider = ctx->send->target->provider;

    ngx_memzero(conf, sizeof(ngx_http_upstream_conf_t));

    ctx->uscf.peer.init = ngx_http_llm_init_peer;
    ctx->uscf.host = provider->name;

    conf->upstream = &ctx->uscf;
    conf->connect_timeout = provider->timeout.connect;
    conf->send_timeout = provider->timeout.idle;
    conf->read_timeout = ctx->facts.stream ? provider->timeout.header
                                           : provider->timeout.total;
    conf->buffer_size = ctx->llcf->buffer_size;

    /* every failure comes to peer.get(), none is retried by nginx */
    conf->next_upstream = (ngx_uint_t) -1;

    /* no header of a provider may steer nginx */
    conf->ignore_headers = (ngx_uint_t) -1;
    conf->preserve_output = 1;

#if (NGX_HTTP_SSL)
    conf->ssl = provider->mock ? NULL : provider->origin.ssl;
    conf->ssl_server_name = 1;
    conf->ssl_verify = provider->origin.ssl_verify;
    conf->ssl_session_reuse = 1;
#endif
}


static ngx_int_t
ngx_http_llm_create_request(ngx_http_request_t *r)
{
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_get_ctx(r);

    return ngx_http_llm_request_chain(ctx, &r->upstream->request_bufs);
}


/* Parked upstreams are "reinitialized" by nginx; there is nothing to do. */

static ngx_int_t
ngx_http_llm_reinit_request(ngx_http_request_t *r)
{
    return NGX_OK;
}


static void
ngx_http_llm_abort_request(ngx_http_request_t *r)
{
}


/*
 * The end of an upstream, called by nginx whatever the reason: our own teardown
 * (NGX_DONE), the end of a committed answer, a client that is gone, or an error
 * of nginx itself.
 */

static void
ngx_http_llm_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_get_ctx(r);

    if (ctx == NULL || ctx->send == NULL) {
        return;
    }

    ngx_http_llm_unpark(ctx);
    ctx->send->upstream = 0;

    if (rc == NGX_DONE) {
        return;
    }

    if (ctx->committed) {
        ngx_http_llm_stream_end(ctx, rc);
        return;
    }

    ngx_http_llm_settle(ctx, rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
                             ? LLM_CLASS_CLIENT_GONE : LLM_CLASS_NETWORK);
}


/*
 * Does what ngx_http_upstream_create() does to an upstream that is still alive,
 * and makes the request wait on its own.
 */

void
ngx_http_llm_upstream_leave(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = r->upstream;

    if (ctx->send->upstream && u && u->cleanup) {
        ngx_http_llm_unpark(ctx);

        r->main->count++;
        (*u->cleanup)(r);
    }

    ctx->send->upstream = 0;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static ngx_int_t
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

    if (send->outcome.class != LLM_CLASS_OK) {
        return;
    }

    if (state->status == NGX_HTTP_GATEWAY_TIME_OUT) {

        if (state->connect_time == (ngx_msec_t) -1) {
            send->outcome.class = LLM_CLASS_TIMEOUT_CONNECT;

        } else if (send->answer == NGX_HTTP_LLM_ANSWER_HEAD) {
            send->outcome.class = ctx->facts.stream ? LLM_CLASS_TIMEOUT_HEADER
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


static void
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
