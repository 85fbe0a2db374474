/*
 * llm_heartbeat: signs of life for clients that wait for a stream.
 *
 * Balancers and CDNs cut connections on which nothing passes for a minute or
 * two, which is less than some models think before their first word.  While
 * nothing else passes, a comment does, in front of the answer, between attempts
 * and between its events.  The first one may have to bring the header: the
 * answer is then sent by the relay, and what fails is told by an event.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_HEARTBEAT_MIN  100                 /* ms */


static ngx_uint_t ngx_http_llm_heartbeat_wanted(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_heartbeat_handler(ngx_event_t *ev);
static void ngx_http_llm_heartbeat(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_heartbeat_header(ngx_http_llm_ctx_t *ctx);


/* llm_heartbeat TIME | off */

char *
ngx_http_llm_set_heartbeat(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_int_t   ms;
    ngx_str_t  *value;

    if (llcf->heartbeat != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        llcf->heartbeat = 0;
        return NGX_CONF_OK;
    }

    ms = ngx_parse_time(&value[1], 0);

    if (ms == NGX_ERROR || ms < NGX_HTTP_LLM_HEARTBEAT_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid heartbeat \"%V\", expected \"off\" or a "
                           "time of at least 100ms, such as 15s", &value[1]);
        return NGX_CONF_ERROR;
    }

    llcf->heartbeat = (ngx_msec_t) ms;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_heartbeat_start(ngx_http_llm_ctx_t *ctx)
{
    ngx_event_t  *ev;

    if (!ngx_http_llm_heartbeat_wanted(ctx)) {
        return NGX_OK;
    }

    if (ngx_http_llm_relay_make(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ev = &ctx->relay->heartbeat;

    ev->handler = ngx_http_llm_heartbeat_handler;
    ev->data = &ctx->park;
    ev->log = ctx->park.log;

    ctx->relay->sent = ngx_current_msec;
    ngx_add_timer(ev, ctx->llcf->heartbeat);

    return NGX_OK;
}


/* A comment would do no good to a client that waits for JSON, or for bytes of
 * somebody else's. */

static ngx_uint_t
ngx_http_llm_heartbeat_wanted(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->llcf->heartbeat == 0 || !ctx->facts.stream || ctx->analyze
        || ctx->shadow || ctx->passthrough
        || ctx->request != ctx->request->main)
    {
        return 0;
    }

    return ctx->endpoint == LLM_EP_CHAT || ctx->endpoint == LLM_EP_COMPLETIONS
           || ctx->endpoint == LLM_EP_MESSAGES
           || ctx->endpoint == LLM_EP_RESPONSES;
}


void
ngx_http_llm_heartbeat_stop(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->relay && ctx->relay->heartbeat.timer_set) {
        ngx_del_timer(&ctx->relay->heartbeat);
    }
}


/* The timer is not moved by what passes; it looks how long ago that was. */

static void
ngx_http_llm_heartbeat_handler(ngx_event_t *ev)
{
    ngx_msec_t           idle;
    ngx_connection_t    *park, *c;
    ngx_http_request_t  *r;
    ngx_http_llm_ctx_t  *ctx;

    park = ev->data;
    r = park->data;
    c = r->connection;
    ctx = ngx_http_llm_get_ctx(r);

    idle = ngx_current_msec - ctx->relay->sent;

    if (idle < ctx->llcf->heartbeat) {
        ngx_add_timer(ev, ctx->llcf->heartbeat - idle);
        return;
    }

    ngx_add_timer(ev, ctx->llcf->heartbeat);

    if (ctx->relay->busy || c->buffered) {
        /* the client has enough to take */
        return;
    }

    if (!r->header_sent && ctx->send->answer == NGX_HTTP_LLM_ANSWER_RAW) {
        /* what comes next is no event, and has a header of its own */
        return;
    }

    ngx_http_set_log_request(c->log, r);

    ngx_http_llm_heartbeat(ctx);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_llm_heartbeat(ngx_http_llm_ctx_t *ctx)
{
    llm_str_t           text;
    const llm_front_t  *front;

    if (!ctx->request->header_sent
        && ngx_http_llm_heartbeat_header(ctx) != NGX_OK)
    {
        ngx_http_llm_relay_lost(ctx, NGX_ERROR);
        return;
    }

    front = llm_front_find(ctx->endpoint);
    text = front && front->heartbeat.len ? front->heartbeat
                                         : LLM_STR(": heartbeat\n\n");

    if (ngx_http_llm_relay_text(ctx, text) != NGX_OK) {
        ngx_http_llm_relay_lost(ctx, NGX_ERROR);
    }
}


/* Nobody knows yet who will answer. */

static ngx_int_t
ngx_http_llm_heartbeat_header(ngx_http_llm_ctx_t *ctx)
{
    static ngx_str_t  type = ngx_string("text/event-stream; charset=utf-8");

    ctx->relay->early = 1;

    ngx_http_llm_content_type(ctx->request, &type);

    if (ngx_http_llm_response_headers(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_llm_relay_header(ctx, NGX_HTTP_OK);
}
