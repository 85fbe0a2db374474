
/*
 * The mock's connections: a pair of sockets, one end for the upstream code, the
 * other one for a small HTTP/1.1 server on the same event loop.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_llm_mock_server.h"


static ngx_int_t ngx_http_llm_mock_pair(ngx_log_t *log,
    ngx_connection_t **client, ngx_connection_t **server);
static ngx_connection_t *ngx_http_llm_mock_wrap(ngx_socket_t fd,
    ngx_log_t *log);
static ngx_int_t ngx_http_llm_mock_register(ngx_connection_t *c);


ngx_conf_bitmask_t  ngx_http_llm_mock_faults[] = {
    { ngx_string("stall_header"), NGX_HTTP_LLM_MOCK_STALL_HEADER },
    { ngx_string("stall_first"), NGX_HTTP_LLM_MOCK_STALL_FIRST },
    { ngx_string("stall_body"), NGX_HTTP_LLM_MOCK_STALL_BODY },
    { ngx_string("reset"), NGX_HTTP_LLM_MOCK_RESET },
    { ngx_string("garbage"), NGX_HTTP_LLM_MOCK_GARBAGE },
    { ngx_string("empty"), NGX_HTTP_LLM_MOCK_EMPTY },
    { ngx_string("cut"), NGX_HTTP_LLM_MOCK_CUT },
    { ngx_string("error_event"), NGX_HTTP_LLM_MOCK_ERROR_EVENT },
    { ngx_string("html"), NGX_HTTP_LLM_MOCK_HTML },
    { ngx_string("malformed_event"), NGX_HTTP_LLM_MOCK_MALFORMED_EVENT },
    { ngx_string("rate_limited"), NGX_HTTP_LLM_MOCK_RATE_LIMITED },
    { ngx_string("quota"), NGX_HTTP_LLM_MOCK_QUOTA },
    { ngx_string("auth"), NGX_HTTP_LLM_MOCK_AUTH },
    { ngx_string("timeout"), NGX_HTTP_LLM_MOCK_TIMEOUT },
    { ngx_null_string, 0 }
};


ngx_connection_t *
ngx_http_llm_mock_connect(ngx_http_request_t *r, ngx_http_llm_mock_conf_t *mcf,
    ngx_pool_t *pool, ngx_log_t *log)
{
    ngx_connection_t  *client, *server;

    if (ngx_http_llm_mock_pair(log, &client, &server) != NGX_OK) {
        return NULL;
    }

    client->pool = ngx_create_pool(128, log);

    server->log = ngx_cycle->log;
    server->read->log = ngx_cycle->log;
    server->write->log = ngx_cycle->log;
    server->pool = ngx_create_pool(sizeof(ngx_http_llm_mock_t)
                                   + 2 * sizeof(ngx_pool_t), ngx_cycle->log);

    if (client->pool == NULL || server->pool == NULL) {
        goto failed;
    }

    if (ngx_http_llm_mock_serve(server, mcf) != NGX_OK
        || ngx_http_llm_mock_register(server) != NGX_OK
        || ngx_http_llm_mock_register(client) != NGX_OK)
    {
        goto failed;
    }

    return client;

failed:

    if (client->pool) {
        ngx_destroy_pool(client->pool);
    }

    if (server->pool) {
        ngx_destroy_pool(server->pool);
    }

    ngx_close_connection(client);
    ngx_close_connection(server);

    return NULL;
}


static ngx_int_t
ngx_http_llm_mock_pair(ngx_log_t *log, ngx_connection_t **client,
    ngx_connection_t **server)
{
    int  fd[2];

    if (socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, fd)
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_socket_errno,
                      "llm mock: socketpair() failed");
        return NGX_ERROR;
    }

    *client = ngx_http_llm_mock_wrap(fd[0], log);

    if (*client == NULL) {
        (void) ngx_close_socket(fd[0]);
        (void) ngx_close_socket(fd[1]);
        return NGX_ERROR;
    }

    *server = ngx_http_llm_mock_wrap(fd[1], log);

    if (*server == NULL) {
        ngx_close_connection(*client);
        (void) ngx_close_socket(fd[1]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* What ngx_event_connect_peer() sets up. */

static ngx_connection_t *
ngx_http_llm_mock_wrap(ngx_socket_t fd, ngx_log_t *log)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, log);
    if (c == NULL) {
        return NULL;
    }

    c->type = SOCK_STREAM;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;
    c->sendfile = 1;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->log_error = NGX_ERROR_INFO;
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    return c;
}


static ngx_int_t
ngx_http_llm_mock_register(ngx_connection_t *c)
{
    ngx_int_t  event;

    if (ngx_add_conn) {
        if (ngx_add_conn(c) == NGX_ERROR) {
            return NGX_ERROR;
        }

    } else {
        event = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? NGX_CLEAR_EVENT
                                                        : NGX_LEVEL_EVENT;

        if (ngx_add_event(c->read, NGX_READ_EVENT, event) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    c->write->ready = 1;

    return NGX_OK;
}
