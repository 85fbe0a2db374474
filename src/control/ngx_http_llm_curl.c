/*
 * libcurl's multi interface on nginx's event loop.
 *
 * curl tells which of its sockets it wants to read or write, and when it wants
 * to be called at the latest; nginx tells it when that is the case.  It is set
 * up in the worker that first needs it, so most workers never have it.  Nothing
 * calls curl from within one of its callbacks, which it does not allow.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <curl/curl.h>

#include "ngx_http_llm_curl.h"


#define NGX_HTTP_LLM_CURL_CONNECT  3000     /* ms */

#if (LIBCURL_VERSION_NUM >= 0x075500)
#define ngx_http_llm_curl_protocols(easy)                                     \
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https")
#else
#define ngx_http_llm_curl_protocols(easy)                                     \
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS,                                 \
                     (long) (CURLPROTO_HTTP|CURLPROTO_HTTPS))
#endif


/* Of this worker. */
typedef struct {
    CURLM                      *multi;      /* NULL: not needed yet */
    ngx_queue_t                 requests;
    ngx_event_t                 timer;
    ngx_connection_t            ident;      /* for the timer's logging */
} ngx_http_llm_curl_loop_t;


static ngx_int_t ngx_http_llm_curl_init(void);
static ngx_int_t ngx_http_llm_curl_begin(ngx_http_llm_curl_t *request,
    ngx_int_t (*setup)(ngx_http_llm_curl_t *request));
static ngx_int_t ngx_http_llm_curl_setup(ngx_http_llm_curl_t *request);
static ngx_int_t ngx_http_llm_curl_setup_post(ngx_http_llm_curl_t *request);
static ngx_int_t ngx_http_llm_curl_setup_get(ngx_http_llm_curl_t *request);
static ngx_int_t ngx_http_llm_curl_setup_peer(CURL *easy,
    ngx_http_llm_curl_t *request);
static ngx_int_t ngx_http_llm_curl_pem(CURL *easy, CURLoption option,
    ngx_str_t *pem);
static ngx_int_t ngx_http_llm_curl_header(ngx_http_llm_curl_t *request,
    char *line);
static void ngx_http_llm_curl_free(ngx_http_llm_curl_t *request);
static int ngx_http_llm_curl_want_timer(CURLM *multi, long ms, void *data);
static int ngx_http_llm_curl_want_socket(CURL *easy, curl_socket_t fd, int what,
    void *data, void *socket_data);
static void ngx_http_llm_curl_want(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t wanted);
static void ngx_http_llm_curl_forget(ngx_connection_t *c);
static size_t ngx_http_llm_curl_discard(char *p, size_t size, size_t n,
    void *data);
static void ngx_http_llm_curl_timeout(ngx_event_t *ev);
static void ngx_http_llm_curl_ready(ngx_event_t *ev);
static void ngx_http_llm_curl_reap(void);


static ngx_http_llm_curl_loop_t  ngx_http_llm_curl;


ngx_int_t
ngx_http_llm_curl_post(ngx_http_llm_curl_t *request)
{
    return ngx_http_llm_curl_begin(request, ngx_http_llm_curl_setup_post);
}


ngx_int_t
ngx_http_llm_curl_get(ngx_http_llm_curl_t *request)
{
    return ngx_http_llm_curl_begin(request, ngx_http_llm_curl_setup_get);
}


static ngx_int_t
ngx_http_llm_curl_begin(ngx_http_llm_curl_t *request,
    ngx_int_t (*setup)(ngx_http_llm_curl_t *request))
{
    ngx_http_llm_curl_loop_t  *loop;

    loop = &ngx_http_llm_curl;

    if (loop->multi == NULL && ngx_http_llm_curl_init() != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_llm_curl_setup(request) != NGX_OK
        || setup(request) != NGX_OK)
    {
        ngx_http_llm_curl_free(request);
        return NGX_ERROR;
    }

    if (curl_multi_add_handle(loop->multi, request->easy) != CURLM_OK) {
        ngx_http_llm_curl_free(request);
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&loop->requests, &request->queue);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_curl_init(void)
{
    ngx_http_llm_curl_loop_t  *loop;

    loop = &ngx_http_llm_curl;

    ngx_memzero(loop, sizeof(ngx_http_llm_curl_loop_t));
    ngx_queue_init(&loop->requests);

    loop->ident.fd = (ngx_socket_t) -1;

    /* not cancelable: a worker that exits waits for what it has begun */

    loop->timer.handler = ngx_http_llm_curl_timeout;
    loop->timer.data = &loop->ident;
    loop->timer.log = ngx_cycle->log;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NGX_ERROR;
    }

    loop->multi = curl_multi_init();

    if (loop->multi == NULL) {
        curl_global_cleanup();
        return NGX_ERROR;
    }

    (void) curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION,
                             ngx_http_llm_curl_want_timer);
    (void) curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION,
                             ngx_http_llm_curl_want_socket);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_curl_setup(ngx_http_llm_curl_t *request)
{
    CURL  *easy;

    request->headers = NULL;
    request->to = NULL;
    request->error = ngx_alloc(CURL_ERROR_SIZE, ngx_cycle->log);
    request->easy = curl_easy_init();

    easy = request->easy;

    if (easy == NULL || request->error == NULL) {
        return NGX_ERROR;
    }

    request->error[0] = '\0';

    if (curl_easy_setopt(easy, CURLOPT_URL, request->url) != CURLE_OK
        || ngx_http_llm_curl_protocols(easy) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK)
    {
        return NGX_ERROR;
    }

    (void) curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    (void) curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
    (void) curl_easy_setopt(easy, CURLOPT_USERAGENT, "nginx-llm-gateway");
    (void) curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION,
                            ngx_http_llm_curl_discard);
    (void) curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            (long) NGX_HTTP_LLM_CURL_CONNECT);
    (void) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout);
    (void) curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_curl_setup_post(ngx_http_llm_curl_t *request)
{
    CURL  *easy;

    easy = request->easy;

    if (ngx_http_llm_curl_header(request, "Content-Type: application/json")
        != NGX_OK
        || ngx_http_llm_curl_header(request, "Expect:") != NGX_OK
        || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers)
           != CURLE_OK)
    {
        return NGX_ERROR;
    }

    (void) curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.data);
    (void) curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE,
                            (long) request->body.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_curl_setup_get(ngx_http_llm_curl_t *request)
{
    CURL    *easy;
    u_char  *p, *last;

    easy = request->easy;
    last = request->head.data + request->head.len;

    for (p = request->head.data; p < last; p += ngx_strlen(p) + 1) {
        if (ngx_http_llm_curl_header(request, (char *) p) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    /* "no body" makes curl leave after the head, and say HEAD otherwise */

    if (curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers)
        != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "GET") != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                            (long) CURL_HTTP_VERSION_1_1)
           != CURLE_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_curl_setup_peer(easy, request);
}


static ngx_int_t
ngx_http_llm_curl_setup_peer(CURL *easy, ngx_http_llm_curl_t *request)
{
    struct curl_slist         *to;
    ngx_http_llm_curl_peer_t  *peer;

    peer = request->peer;

    if (peer->unix_path
        && curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, peer->unix_path)
           != CURLE_OK)
    {
        return NGX_ERROR;
    }

    if (peer->connect_to) {
        to = curl_slist_append(NULL, peer->connect_to);
        request->to = to;

        if (to == NULL
            || curl_easy_setopt(easy, CURLOPT_CONNECT_TO, to) != CURLE_OK)
        {
            return NGX_ERROR;
        }
    }

    if (peer->unverified
        && (curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) != CURLE_OK
            || curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L)
               != CURLE_OK))
    {
        return NGX_ERROR;
    }

    /* its folder of those to trust would count beside ours, and keep curl from
     * having the bundle ready for the next one */

    if (curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) != CURLE_OK
        || (peer->bundle
            && curl_easy_setopt(easy, CURLOPT_CAINFO, peer->bundle)
               != CURLE_OK))
    {
        return NGX_ERROR;
    }

    if (ngx_http_llm_curl_pem(easy, CURLOPT_CAINFO_BLOB, &peer->trusted)
        != NGX_OK
        || ngx_http_llm_curl_pem(easy, CURLOPT_SSLCERT_BLOB,
                                 &peer->certificate)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_curl_pem(easy, CURLOPT_SSLKEY_BLOB, &peer->key);
}


static ngx_int_t
ngx_http_llm_curl_pem(CURL *easy, CURLoption option, ngx_str_t *pem)
{
    struct curl_blob  blob;

    if (pem->len == 0) {
        return NGX_OK;
    }

    blob.data = pem->data;
    blob.len = pem->len;
    blob.flags = CURL_BLOB_NOCOPY;

    return curl_easy_setopt(easy, option, &blob) == CURLE_OK ? NGX_OK
                                                             : NGX_ERROR;
}


/* Copies the line. */

static ngx_int_t
ngx_http_llm_curl_header(ngx_http_llm_curl_t *request, char *line)
{
    struct curl_slist  *more;

    more = curl_slist_append(request->headers, line);
    if (more == NULL) {
        return NGX_ERROR;
    }

    request->headers = more;

    return NGX_OK;
}


static void
ngx_http_llm_curl_free(ngx_http_llm_curl_t *request)
{
    if (request->easy) {
        curl_easy_cleanup(request->easy);
        request->easy = NULL;
    }

    curl_slist_free_all(request->headers);
    request->headers = NULL;

    curl_slist_free_all(request->to);
    request->to = NULL;

    if (request->error) {
        ngx_free(request->error);
        request->error = NULL;
    }
}


void
ngx_http_llm_curl_exit(void)
{
    ngx_queue_t               *q;
    ngx_http_llm_curl_t       *request;
    ngx_http_llm_curl_loop_t  *loop;

    loop = &ngx_http_llm_curl;

    if (loop->multi == NULL) {
        return;
    }

    while (!ngx_queue_empty(&loop->requests)) {
        q = ngx_queue_head(&loop->requests);
        ngx_queue_remove(q);

        request = ngx_queue_data(q, ngx_http_llm_curl_t, queue);

        (void) curl_multi_remove_handle(loop->multi, request->easy);
        ngx_http_llm_curl_free(request);
    }

    (void) curl_multi_cleanup(loop->multi);
    loop->multi = NULL;

    if (loop->timer.timer_set) {
        ngx_del_timer(&loop->timer);
    }

    curl_global_cleanup();
}


/* With no time to wait it still is called later: this is a callback. */

static int
ngx_http_llm_curl_want_timer(CURLM *multi, long ms, void *data)
{
    ngx_event_t  *timer;

    timer = &ngx_http_llm_curl.timer;

    if (timer->timer_set) {
        ngx_del_timer(timer);
    }

    if (ms >= 0) {
        ngx_add_timer(timer, (ngx_msec_t) ms);
    }

    return 0;
}


static int
ngx_http_llm_curl_want_socket(CURL *easy, curl_socket_t fd, int what,
    void *data, void *socket_data)
{
    ngx_connection_t          *c = socket_data;
    ngx_http_llm_curl_loop_t  *loop;

    loop = &ngx_http_llm_curl;

    if (what == CURL_POLL_REMOVE) {
        if (c) {
            (void) curl_multi_assign(loop->multi, fd, NULL);
            ngx_http_llm_curl_forget(c);
        }

        return 0;
    }

    if (c == NULL) {
        c = ngx_get_connection(fd, ngx_cycle->log);

        if (c == NULL) {
            return 0;               /* it will time out */
        }

        /* nginx calls either handler of any connection when it shuts down */

        c->read->handler = ngx_http_llm_curl_ready;
        c->write->handler = ngx_http_llm_curl_ready;
        c->read->log = ngx_cycle->log;
        c->write->log = ngx_cycle->log;
        c->pool = NULL;
        c->data = NULL;

        (void) curl_multi_assign(loop->multi, fd, c);
    }

    ngx_http_llm_curl_want(c->read, NGX_READ_EVENT,
                           what == CURL_POLL_IN || what == CURL_POLL_INOUT);
    ngx_http_llm_curl_want(c->write, NGX_WRITE_EVENT,
                           what == CURL_POLL_OUT || what == CURL_POLL_INOUT);

    return 0;
}


/* curl reads and writes as much as it likes: only levels are of use. */

static void
ngx_http_llm_curl_want(ngx_event_t *ev, ngx_int_t event, ngx_uint_t wanted)
{
    if (wanted && !ev->active) {
        (void) ngx_add_event(ev, event, NGX_LEVEL_EVENT);

    } else if (!wanted && ev->active) {
        (void) ngx_del_event(ev, event, 0);
    }
}


/* The socket itself is curl's to close. */

static void
ngx_http_llm_curl_forget(ngx_connection_t *c)
{
    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);

    c->fd = (ngx_socket_t) -1;
}


static size_t
ngx_http_llm_curl_discard(char *p, size_t size, size_t n, void *data)
{
    return size * n;
}


static void
ngx_http_llm_curl_timeout(ngx_event_t *ev)
{
    int  running;

    (void) curl_multi_socket_action(ngx_http_llm_curl.multi,
                                    CURL_SOCKET_TIMEOUT, 0, &running);
    ngx_http_llm_curl_reap();
}


static void
ngx_http_llm_curl_ready(ngx_event_t *ev)
{
    int                running;
    ngx_connection_t  *c;

    c = ev->data;

    /* the connection may be gone when this returns */

    (void) curl_multi_socket_action(ngx_http_llm_curl.multi, c->fd,
                                    ev->write ? CURL_CSELECT_OUT
                                              : CURL_CSELECT_IN,
                                    &running);
    ngx_http_llm_curl_reap();
}


static void
ngx_http_llm_curl_reap(void)
{
    int                        left;
    long                       status;
    char                      *p;
    CURL                      *easy;
    CURLMsg                   *m;
    CURLcode                   rc;
    u_char                     error[CURL_ERROR_SIZE];
    ngx_http_llm_curl_t       *request;
    ngx_http_llm_curl_loop_t  *loop;

    loop = &ngx_http_llm_curl;

    while ((m = curl_multi_info_read(loop->multi, &left)) != NULL) {

        if (m->msg != CURLMSG_DONE) {
            continue;
        }

        /* the message is gone with the handle */

        easy = m->easy_handle;
        rc = m->data.result;
        status = 0;

        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &p);
        request = (ngx_http_llm_curl_t *) p;

        if (rc == CURLE_OK) {
            (void) curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        }

        (void) ngx_cpystrn(error,
                           (u_char *) (request->error[0]
                                       ? request->error
                                       : curl_easy_strerror(rc)),
                           sizeof(error));

        (void) curl_multi_remove_handle(loop->multi, easy);

        ngx_queue_remove(&request->queue);
        ngx_http_llm_curl_free(request);

        request->done(request, (ngx_uint_t) status, (char *) error);
    }
}
