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
static ngx_int_t ngx_http_llm_upstream_output(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_acquit(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_upstream_conf(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_reinit_request(ngx_http_request_t *r);
static void ngx_http_llm_abort_request(ngx_http_request_t *r);
static void ngx_http_llm_finalize_request(ngx_http_request_t *r, ngx_int_t rc);


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
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ngx_http_llm_upstream_make(ctx) != NGX_OK) {
        ngx_http_llm_acquit(ctx);
        ngx_http_llm_give_up(ctx);
        return;
    }

    ctx->state = NGX_HTTP_LLM_SENDING;
    ctx->send->upstream = 1;

    /* a status line parser that was left half-way */
    r->state = 0;

    ngx_http_upstream_init(r);
}


/* The request is composed here, not in create_request(): nginx would end a
 * request that cannot be composed behind our back. */

static ngx_int_t
ngx_http_llm_upstream_make(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;

    if (ngx_http_upstream_create(r) != NGX_OK) {
        return NGX_ERROR;
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
            return NGX_ERROR;
        }
    }

    u->buffer.start = ctx->buffer;
    u->buffer.pos = ctx->buffer;
    u->buffer.last = ctx->buffer;
    u->buffer.end = ctx->buffer + ctx->llcf->buffer_size;
    u->buffer.temporary = 1;
    u->buffer.tag = u->output.tag;

    if (ngx_http_llm_request_chain(ctx, &ctx->send->chain) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_llm_upstream_output(ctx);
}


static ngx_int_t
ngx_http_llm_upstream_output(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;
    u->output.output_filter = ngx_http_llm_write;
    u->output.filter_ctx = ctx;

    if (ctx->upload) {
        ngx_http_llm_upload_output(ctx);
        return NGX_OK;
    }

    if (ctx->send->translated && ngx_http_llm_speech(ctx)) {
        return ngx_http_llm_speech_output(ctx);
    }

    return NGX_OK;
}


/*
 * A provider that takes no more of a request has probably said why: its answer,
 * or the end of its connection, is what the attempt ends with.
 */

ngx_int_t
ngx_http_llm_write(void *data, ngx_chain_t *in)
{
    ngx_http_llm_ctx_t *ctx = data;

    ngx_int_t             rc;
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;
    c = u->peer.connection;

    if (c->write->error) {
        return NGX_AGAIN;
    }

    rc = ngx_chain_writer(&u->writer, in);

    if (rc == NGX_ERROR && c->write->error) {
        ngx_post_event(c->read, &ngx_posted_events);
        return NGX_AGAIN;
    }

    return rc;
}


/* What fails in this process is nobody's fault: no breaker, no key hears of it.
 */

static void
ngx_http_llm_acquit(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_store_settle(&ctx->lmcf->store, &ctx->send->ticket, NULL);
    ngx_http_llm_budget_failed(ctx, 0, 0);

    if (ctx->send->outcome.class == LLM_CLASS_INVALID_REQUEST) {
        /* one member so many times that it cannot be changed everywhere */
        ctx->class = LLM_CLASS_INVALID_REQUEST;
        ctx->code = LLM_CODE_CALLER_DUPLICATE_KEY;
        return;
    }

    ctx->class = LLM_CLASS_NETWORK;
    ctx->code = LLM_CODE_GATEWAY_ERROR;
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
    conf->read_timeout = ngx_http_llm_is_prompt(ctx) ? provider->timeout.header
                                                     : provider->timeout.total;
    conf->buffer_size = ctx->llcf->buffer_size;

    /* every failure comes to peer.get(), none is retried by nginx */
    conf->next_upstream = (ngx_uint_t) -1;

    /* no header of a provider may steer nginx */
    conf->ignore_headers = (ngx_uint_t) -1;
    conf->preserve_output = 1;

    /* there is none to watch */
    conf->ignore_client_abort = (ctx->shadow != NULL);

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
    r->upstream->request_bufs = ctx->send->chain;

    ngx_http_llm_relay_handlers(ctx);

    return NGX_OK;
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

    if (ctx->relay) {
        /* a header of our own: nginx must not try to send another one */
        r->upstream->header_sent = r->header_sent;
    }

    if (rc == NGX_DONE) {
        return;
    }

    if (ctx->upload && ngx_http_llm_upload_broken(ctx, rc)) {
        ngx_http_llm_settle(ctx, LLM_CLASS_CLIENT_GONE);
        return;
    }

    if (ctx->committed && (ctx->relay == NULL || ctx->send->relayed)) {
        ngx_http_llm_stream_end(ctx, rc);
        return;
    }

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST) {
        ngx_http_llm_settle(ctx, LLM_CLASS_CLIENT_GONE);
        return;
    }

    /* failures of the provider come to peer.get(), this is one of ours */

    ngx_http_llm_acquit(ctx);

    if (r->header_sent) {
        ngx_http_llm_send_error_event(ctx, ctx->code, LLM_NOSTR);
    }

    ngx_http_llm_settle(ctx, ctx->committed ? LLM_CLASS_CUT : ctx->class);
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
    ngx_http_llm_relay_handlers(ctx);
}
