/*
 * A request that no client waits for: a copy of one that was served, with a
 * connection, a pool and a log of its own.
 *
 * A subrequest would hold the client's connection, whose next request had to
 * wait for it.  So the copy is a main request on a connection that leads
 * nowhere, much as HTTP/2 gives each stream one: a socket that is not connected
 * never becomes readable.  What the copy would answer is taken by our filter.
 */

#include "ngx_http_llm_mirror.h"


static ngx_connection_t *ngx_http_llm_copy_connect(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_copy_connection(ngx_http_request_t *r,
    ngx_connection_t *c);
static ngx_int_t ngx_http_llm_copy_log(ngx_http_request_t *r,
    ngx_connection_t *c);
static ngx_http_request_t *ngx_http_llm_copy_create(ngx_http_request_t *r,
    ngx_connection_t *c);
static ngx_int_t ngx_http_llm_copy_line(ngx_http_request_t *r,
    ngx_http_request_t *copy);
static ngx_int_t ngx_http_llm_copy_headers(ngx_http_request_t *r,
    ngx_http_request_t *copy);
static ngx_int_t ngx_http_llm_copy_header(ngx_http_request_t *copy,
    ngx_table_elt_t *from);
static ngx_int_t ngx_http_llm_copy_variables(ngx_http_request_t *r,
    ngx_http_request_t *copy);
#if (NGX_PCRE)
static ngx_int_t ngx_http_llm_copy_captures(ngx_http_request_t *r,
    ngx_http_request_t *copy);
#endif
static ngx_int_t ngx_http_llm_copy_body(ngx_http_request_t *copy,
    ngx_str_t *body);
static ngx_int_t ngx_http_llm_copy_str(ngx_pool_t *pool, ngx_str_t *to,
    ngx_str_t *from);
static void ngx_http_llm_copy_start(ngx_event_t *ev);
static void ngx_http_llm_copy_event(ngx_event_t *ev);


ngx_http_request_t *
ngx_http_llm_copy(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *copy;

    /* no idle connection of a client is closed for a copy */

    if (ngx_cycle->free_connection_n <= ngx_cycle->connection_n / 16) {
        return NULL;
    }

    c = ngx_http_llm_copy_connect(r);
    if (c == NULL) {
        return NULL;
    }

    copy = ngx_http_llm_copy_create(r, c);
    if (copy == NULL) {
        ngx_http_close_connection(c);
        return NULL;
    }

    if (ngx_http_llm_copy_line(r, copy) != NGX_OK
        || ngx_http_llm_copy_headers(r, copy) != NGX_OK
        || ngx_http_llm_copy_variables(r, copy) != NGX_OK
        || ngx_http_llm_copy_body(copy, body) != NGX_OK)
    {
        ngx_http_llm_copy_close(copy);
        return NULL;
    }

    c->read->handler = ngx_http_llm_copy_start;
    c->write->handler = ngx_http_llm_copy_event;

    ngx_post_event(c->read, &ngx_posted_events);

    return copy;
}


static ngx_connection_t *
ngx_http_llm_copy_connect(ngx_http_request_t *r)
{
    ngx_socket_t       s;
    ngx_connection_t  *c;

    s = ngx_socket(AF_UNIX, SOCK_DGRAM, 0);

    if (s == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_socket_errno,
                      ngx_socket_n " failed");
        return NULL;
    }

    c = ngx_get_connection(s, r->connection->log);

    if (c == NULL) {
        (void) ngx_close_socket(s);
        return NULL;
    }

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    c->pool = ngx_create_pool(1024, r->connection->log);

    if (c->pool == NULL) {
#if (NGX_STAT_STUB)
        (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif
        ngx_close_connection(c);
        return NULL;
    }

    if (ngx_nonblocking(s) == -1) {
        ngx_log_error(NGX_LOG_ERR, c->log, ngx_socket_errno,
                      ngx_nonblocking_n " failed");
        ngx_http_close_connection(c);
        return NULL;
    }

    if (ngx_http_llm_copy_log(r, c) != NGX_OK
        || ngx_http_llm_copy_connection(r, c) != NGX_OK)
    {
        ngx_http_close_connection(c);
        return NULL;
    }

    return c;
}


/* Lines of the copy name the client whose request it was. */

static ngx_int_t
ngx_http_llm_copy_log(ngx_http_request_t *r, ngx_connection_t *c)
{
    ngx_log_t           *log;
    ngx_http_log_ctx_t  *ctx;

    log = ngx_palloc(c->pool, sizeof(ngx_log_t));
    ctx = ngx_palloc(c->pool, sizeof(ngx_http_log_ctx_t));

    if (log == NULL || ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->connection = c;
    ctx->request = NULL;
    ctx->current_request = NULL;

    *log = *r->connection->log;
    log->data = ctx;
    log->action = "sending a copy to the mirror";

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    log->connection = c->number;

    c->log = log;
    c->pool->log = log;
    c->read->log = log;
    c->write->log = log;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_copy_connection(ngx_http_request_t *r, ngx_connection_t *c)
{
    ngx_connection_t       *from;
    ngx_http_connection_t  *hc;

    from = r->connection;

    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;

    c->type = SOCK_STREAM;
    c->log_error = NGX_ERROR_INFO;
    c->listening = from->listening;
    c->start_time = ngx_current_msec;
    c->sndlowat = 1;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    c->write->ready = 1;

    /* nothing comes after this request */
    c->read->eof = 1;

    c->socklen = from->socklen;
    c->sockaddr = ngx_palloc(c->pool, from->socklen);
    c->buffer = ngx_create_temp_buf(c->pool, 1);
    hc = ngx_pcalloc(c->pool, sizeof(ngx_http_connection_t));

    if (c->sockaddr == NULL || c->buffer == NULL || hc == NULL
        || ngx_http_llm_copy_str(c->pool, &c->addr_text, &from->addr_text)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(c->sockaddr, from->sockaddr, from->socklen);

    /* the copy's socket could not tell it where "listen *:80" was reached */

    if (ngx_connection_local_sockaddr(from, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (from->local_sockaddr) {
        c->local_sockaddr = ngx_palloc(c->pool, from->local_socklen);

        if (c->local_sockaddr == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(c->local_sockaddr, from->local_sockaddr,
                   from->local_socklen);
        c->local_socklen = from->local_socklen;
    }

    hc->addr_conf = r->http_connection->addr_conf;
    hc->conf_ctx = r->http_connection->conf_ctx;
    c->data = hc;

    return NGX_OK;
}


static ngx_http_request_t *
ngx_http_llm_copy_create(ngx_http_request_t *r, ngx_connection_t *c)
{
    ngx_http_request_t        *copy;
    ngx_http_core_loc_conf_t  *clcf;

    copy = ngx_http_create_request(c);
    if (copy == NULL) {
        return NULL;
    }

    c->data = copy;

    copy->srv_conf = r->srv_conf;
    copy->loc_conf = r->loc_conf;

    clcf = ngx_http_get_module_loc_conf(copy, ngx_http_core_module);
    ngx_set_connection_log(c, clcf->error_log);

    copy->write_event_handler = ngx_http_request_empty_handler;
    copy->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;

    /* the client's request has its line in the access log; a page of
     * error_page would be for nobody */
    copy->logged = 1;
    copy->error_page = 1;
    copy->uri_changes = 0;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    copy->stat_reading = 0;
    (void) ngx_atomic_fetch_add(ngx_stat_writing, 1);
    copy->stat_writing = 1;
#endif

    return copy;
}


static ngx_int_t
ngx_http_llm_copy_line(ngx_http_request_t *r, ngx_http_request_t *copy)
{
    ngx_pool_t  *pool;

    pool = copy->pool;

    copy->method = r->method;
    copy->http_version = r->http_version;
    copy->internal = r->internal;
    copy->valid_location = r->valid_location;
    copy->valid_unparsed_uri = r->valid_unparsed_uri;
    copy->request_length = r->request_length;

    if (ngx_http_llm_copy_str(pool, &copy->request_line, &r->request_line)
        != NGX_OK
        || ngx_http_llm_copy_str(pool, &copy->method_name, &r->method_name)
           != NGX_OK
        || ngx_http_llm_copy_str(pool, &copy->http_protocol, &r->http_protocol)
           != NGX_OK
        || ngx_http_llm_copy_str(pool, &copy->uri, &r->uri) != NGX_OK
        || ngx_http_llm_copy_str(pool, &copy->args, &r->args) != NGX_OK
        || ngx_http_llm_copy_str(pool, &copy->exten, &r->exten) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_copy_str(pool, &copy->unparsed_uri, &r->unparsed_uri);
}


/*
 * For variables in the configuration.  Two requests must not carry one
 * Idempotency-Key: where both variants are of one provider, the second would be
 * answered with the first one's answer, or refused.
 */

static ngx_int_t
ngx_http_llm_copy_headers(ngx_http_request_t *r, ngx_http_request_t *copy)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  left_out = ngx_string("idempotency-key");

    if (ngx_list_init(&copy->headers_in.headers, copy->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK
        || ngx_http_llm_copy_str(copy->pool, &copy->headers_in.server,
                                 &r->headers_in.server)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a handler of a header that fails closes the request */
    copy->count++;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == left_out.len
                && ngx_strncasecmp(h[i].key.data, left_out.data, left_out.len)
                   == 0)
            {
                continue;
            }

            if (ngx_http_llm_copy_header(copy, &h[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    copy->count--;
    copy->headers_in.content_length_n = r->headers_in.content_length_n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_copy_header(ngx_http_request_t *copy, ngx_table_elt_t *from)
{
    ngx_str_t                   name;
    ngx_table_elt_t            *h;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    h = ngx_list_push(&copy->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = from->hash;
    ngx_http_llm_header_end(h);

    name.len = from->key.len;
    name.data = from->lowcase_key;

    if (ngx_http_llm_copy_str(copy->pool, &h->key, &from->key) != NGX_OK
        || ngx_http_llm_copy_str(copy->pool, &h->value, &from->value) != NGX_OK
        || ngx_http_llm_copy_str(copy->pool, &name, &name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    h->lowcase_key = name.data;

    cmcf = ngx_http_get_module_main_conf(copy, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    return hh ? hh->handler(copy, h, hh->offset) : NGX_OK;
}


/* What "set", auth_request_set and their like have found out. */

static ngx_int_t
ngx_http_llm_copy_variables(ngx_http_request_t *r, ngx_http_request_t *copy)
{
    ngx_str_t                   value;
    ngx_uint_t                  i;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (!r->variables[i].valid || r->variables[i].not_found) {
            continue;
        }

        value.len = r->variables[i].len;
        value.data = r->variables[i].data;

        if (ngx_http_llm_copy_str(copy->pool, &value, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        copy->variables[i] = r->variables[i];
        copy->variables[i].data = value.data;
    }

#if (NGX_PCRE)
    return ngx_http_llm_copy_captures(r, copy);
#else
    return NGX_OK;
#endif
}


#if (NGX_PCRE)

/* $1 and its like: pairs of offsets, and the text that they point into.  The
 * next regex writes to the same memory: it has room for any. */

static ngx_int_t
ngx_http_llm_copy_captures(ngx_http_request_t *r, ngx_http_request_t *copy)
{
    ngx_str_t                   data;
    ngx_uint_t                  i;
    ngx_http_core_main_conf_t  *cmcf;

    /* a regex without groups leaves the first pair as it was, if any */

    if (r->ncaptures <= 2) {
        return NGX_OK;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    copy->captures = ngx_palloc(copy->pool, cmcf->ncaptures * sizeof(int));
    if (copy->captures == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy->captures, r->captures, r->ncaptures * sizeof(int));

    data.len = 0;
    data.data = r->captures_data;

    for (i = 3; i < r->ncaptures; i += 2) {
        if (r->captures[i] > (int) data.len) {
            data.len = r->captures[i];
        }
    }

    if (ngx_http_llm_copy_str(copy->pool, &data, &data) != NGX_OK) {
        return NGX_ERROR;
    }

    copy->captures_data = data.data;
    copy->ncaptures = r->ncaptures;

    return NGX_OK;
}

#endif


static ngx_int_t
ngx_http_llm_copy_body(ngx_http_request_t *copy, ngx_str_t *body)
{
    ngx_buf_t                *b;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(copy->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NGX_ERROR;
    }

    copy->request_body = rb;
    copy->preserve_body = 1;

    if (body->len == 0) {
        return NGX_OK;
    }

    b = ngx_create_temp_buf(copy->pool, body->len);
    rb->bufs = ngx_alloc_chain_link(copy->pool);

    if (b == NULL || rb->bufs == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, body->data, body->len);
    b->last_buf = 1;

    rb->bufs->buf = b;
    rb->bufs->next = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_copy_str(ngx_pool_t *pool, ngx_str_t *to, ngx_str_t *from)
{
    u_char  *p;

    if (from->len == 0) {
        ngx_str_null(to);
        return NGX_OK;
    }

    /* values of headers end with a zero byte */

    p = ngx_pnalloc(pool, from->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, from->data, from->len);
    p[from->len] = '\0';

    to->len = from->len;
    to->data = p;

    return NGX_OK;
}


static void
ngx_http_llm_copy_start(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    ev->handler = ngx_http_llm_copy_event;

    if (c->close) {
        ngx_http_llm_copy_close(r);
        return;
    }

    ngx_http_set_log_request(c->log, r);

    ngx_http_llm_mirror_run(r);

    ngx_http_run_posted_requests(c);
}


/* What ngx_http_request_handler() does: it is called for the socket's one event
 * (it can be written to), and when worker_shutdown_timeout has passed. */

static void
ngx_http_llm_copy_event(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    ngx_http_set_log_request(c->log, r);

    if (c->close) {
        /* a cleanup of the request may give up its own hold on it */
        r->main->count++;
        ngx_http_finalize_request(r, NGX_ERROR);

    } else if (ev->write) {
        r->write_event_handler(r);

    } else {
        r->read_event_handler(r);
    }

    ngx_http_run_posted_requests(c);
}


void
ngx_http_llm_copy_close(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_free_request(r, 0);
    ngx_http_close_connection(c);
}
