
/*
 * The built-in mock provider, served without a network.
 *
 * ngx_http_llm_mock_connect() makes a pair of sockets inside the worker: one
 * end looks to the upstream code like an established connection to a provider,
 * the other one is a small HTTP/1.1 server on the same event loop.  So a mocked
 * attempt takes every step a real one takes: timeouts, retries, streaming.
 */


#ifndef _NGX_HTTP_LLM_MOCK_H_INCLUDED_
#define _NGX_HTTP_LLM_MOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#pragma GCC visibility push(hidden)


/* the bits of ngx_http_llm_mock_conf_t.faults */

#define NGX_HTTP_LLM_MOCK_STALL_HEADER     0x0002  /* no answer at all */
#define NGX_HTTP_LLM_MOCK_STALL_FIRST      0x0004  /* a head and no content */
#define NGX_HTTP_LLM_MOCK_STALL_BODY       0x0008  /* half of the content */
#define NGX_HTTP_LLM_MOCK_RESET            0x0010  /* ECONNRESET, no answer */
#define NGX_HTTP_LLM_MOCK_GARBAGE          0x0020  /* bytes that are no HTTP */
#define NGX_HTTP_LLM_MOCK_EMPTY            0x0040  /* 200 without content */
#define NGX_HTTP_LLM_MOCK_CUT              0x0080  /* closed half-way */
#define NGX_HTTP_LLM_MOCK_ERROR_EVENT      0x0100  /* an error inside a 200 */
#define NGX_HTTP_LLM_MOCK_HTML             0x0200  /* 502 of a proxy */
#define NGX_HTTP_LLM_MOCK_MALFORMED_EVENT  0x0400  /* one event is no JSON */
#define NGX_HTTP_LLM_MOCK_RATE_LIMITED     0x0800  /* 429, Retry-After: 1 */
#define NGX_HTTP_LLM_MOCK_QUOTA            0x1000  /* 429 insufficient_quota */
#define NGX_HTTP_LLM_MOCK_AUTH             0x2000  /* 401 */
#define NGX_HTTP_LLM_MOCK_TIMEOUT          0x4000  /* 408 */


/*
 * Members of `llm_provider NAME { dialect mock; … }`.  A zeroed struct is a
 * mock that answers every request correctly and at once; chunk_interval should
 * then be set to NGX_HTTP_LLM_MOCK_INTERVAL.
 */

#define NGX_HTTP_LLM_MOCK_INTERVAL  10             /* ms */
#define NGX_HTTP_LLM_MOCK_STATUS    503

typedef struct {
    ngx_msec_t   latency;              /* before the status line */
    ngx_msec_t   jitter;               /* latency +- jitter, never below 0 */
    ngx_msec_t   chunk_interval;       /* between the events of a stream */

    /*
     * How many of 10 000 requests fail: with error_status (0: 503), or with one
     * of the faults in turn when there are any.  Faults without an error rate
     * happen to every request.
     */
    ngx_uint_t   error_rate_bp;
    ngx_uint_t   error_status;         /* 400 .. 599 */
    ngx_uint_t   faults;

    /*
     * With a seed, the n-th request of a worker always has the same fate.  The
     * words of an answer depend on seed and request only.  0: by chance.
     */
    uint64_t     seed;

    ngx_str_t    replay;               /* full path of a recording, or empty */

    uint64_t     requests;             /* private: answered by this worker */
} ngx_http_llm_mock_conf_t;


/*
 * The words of `fault NAME …;` and their bits, with a null name at the end:
 * what ngx_conf_set_bitmask_slot() takes.
 */

extern ngx_conf_bitmask_t  ngx_http_llm_mock_faults[];


/*
 * A new connection to the mock; use it like one that ngx_event_connect_peer()
 * has just connected: events are registered, writing is possible, c->pool
 * exists (destroy it with the connection, as for any kept-alive connection).
 * `r` and `pool` are not kept; `log` becomes the log of the connection.
 * Returns NULL when there are no descriptors, connections or memory left.
 */

ngx_connection_t *ngx_http_llm_mock_connect(ngx_http_request_t *r,
    ngx_http_llm_mock_conf_t *mcf, ngx_pool_t *pool, ngx_log_t *log);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_MOCK_H_INCLUDED_ */
