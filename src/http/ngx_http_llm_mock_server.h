
/*
 * The server end of a mocked connection; private to ngx_http_llm_mock*.c and
 * ngx_http_llm_replay.c.
 */


#ifndef _NGX_HTTP_LLM_MOCK_SERVER_H_INCLUDED_
#define _NGX_HTTP_LLM_MOCK_SERVER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "llm_mock.h"
#include "llm_mock_http.h"
#include "llm_sse.h"

#include "ngx_http_llm_mock.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_MOCK_JSON_MAX  (16 * 1024 * 1024)
#define NGX_HTTP_LLM_MOCK_OUT_MAX   (64 * 1024 * 1024)

/* an upload keeps its first and its last bytes */
#define NGX_HTTP_LLM_MOCK_FIRST     65536
#define NGX_HTTP_LLM_MOCK_DROP      65536
#define NGX_HTTP_LLM_MOCK_KEEP      (3 * 65536)


typedef enum {
    NGX_HTTP_LLM_MOCK_IDLE = 0,        /* between requests */
    NGX_HTTP_LLM_MOCK_HEAD,            /* reading */
    NGX_HTTP_LLM_MOCK_BODY,
    NGX_HTTP_LLM_MOCK_WAIT,            /* latency */
    NGX_HTTP_LLM_MOCK_SEND             /* sending, or waiting for the next
                                          event of a stream */
} ngx_http_llm_mock_state_e;


typedef enum {
    NGX_HTTP_LLM_MOCK_FINISH = 0,      /* the answer is complete */
    NGX_HTTP_LLM_MOCK_EVENT,           /* an event follows at once */
    NGX_HTTP_LLM_MOCK_PAUSE,           /* an event follows after the interval */
    NGX_HTTP_LLM_MOCK_STALL,           /* nothing follows */
    NGX_HTTP_LLM_MOCK_CLOSE            /* the connection is closed */
} ngx_http_llm_mock_then_e;


typedef struct {
    ngx_connection_t          *connection;
    ngx_http_llm_mock_conf_t  *conf;
    ngx_event_t                timer;
    ngx_http_llm_mock_state_e  state;
    ngx_http_llm_mock_then_e   then;   /* when all of `out` is sent */

    /* the current request: all of it is in this pool */

    ngx_pool_t                *pool;
    u_char                    *head_mem;
    size_t                     head_len;
    llm_mock_head_t            head;
    llm_mock_chunked_t         chunked;
    uint64_t                   received;
    ngx_buf_t                  body;   /* start, last, end */
    uint64_t                   elided; /* not kept, behind the first bytes */

    uint64_t                   chance;
    ngx_uint_t                 fault;  /* one bit, or 0 */
    ngx_uint_t                 status; /* of an injected error, or 0 */

    /* the answer */

    llm_request_t             *request;
    llm_str_t                  rest;   /* of the path, behind the endpoint */
    llm_str_t                  text;   /* the whole body it is told from */
    llm_str_t                  type;   /* its content type */
    uint64_t                   created;
    llm_sse_t                  sse;    /* of a replayed stream */
    size_t                     event;  /* number of the next one */
    u_char                    *out_mem;
    size_t                     out_size;
    llm_str_t                  out;    /* still to be sent */

    unsigned                   too_large:1;
    unsigned                   replayed:1;
} ngx_http_llm_mock_t;


/* Takes a new connection over: c->pool exists, its events are not registered
 * yet.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_llm_mock_serve(ngx_connection_t *c,
    ngx_http_llm_mock_conf_t *mcf);

/* Chance and configuration: sets chance, fault and status. */
void ngx_http_llm_mock_fate(ngx_http_llm_mock_t *ms);

/* How long to wait before the answer. */
ngx_msec_t ngx_http_llm_mock_delay(ngx_http_llm_mock_t *ms);

/* Reads the whole request and writes the beginning of its answer, `out` and
 * `then`.  NGX_OK, or NGX_ERROR: no memory. */
ngx_int_t ngx_http_llm_mock_answer(ngx_http_llm_mock_t *ms);

/* Writes the next event of a stream. */
ngx_int_t ngx_http_llm_mock_next(ngx_http_llm_mock_t *ms);

/* A function that writes something; LLM_OK, LLM_FULL, LLM_NONE (nothing). */
typedef llm_rc_t (*ngx_http_llm_mock_write_pt)(ngx_http_llm_mock_t *ms,
    llm_buf_t *out);

/* What an answer is made of; all set `out` and `then`.  NGX_OK, NGX_ERROR. */
ngx_int_t ngx_http_llm_mock_made_up(ngx_http_llm_mock_t *ms);
ngx_int_t ngx_http_llm_mock_replayed(ngx_http_llm_mock_t *ms);
ngx_int_t ngx_http_llm_mock_error_answer(ngx_http_llm_mock_t *ms,
    ngx_uint_t status);
ngx_int_t ngx_http_llm_mock_fault_answer(ngx_http_llm_mock_t *ms);
ngx_int_t ngx_http_llm_mock_whole(ngx_http_llm_mock_t *ms, ngx_uint_t status,
    llm_str_t type, llm_str_t body);

/* Whether the fault of this request is due at this event, and what it means.
 * NGX_OK: the answer ends here; NGX_DECLINED: go on, with *write. */
ngx_int_t ngx_http_llm_mock_fault_event(ngx_http_llm_mock_t *ms,
    ngx_http_llm_mock_write_pt *write);

/* Has something written with room around it, in as much memory as it takes.
 * NGX_OK, NGX_DECLINED (there was nothing to write), NGX_ERROR. */
ngx_int_t ngx_http_llm_mock_write(ngx_http_llm_mock_t *ms,
    ngx_http_llm_mock_write_pt write, size_t before, size_t after,
    llm_str_t *out);

#define NGX_HTTP_LLM_MOCK_HEAD_LEN  512    /* room for the head of an answer */

/*
 * Reads the recorded answer to a request of that endpoint: the one with that
 * hash, taking turns when there are several, else any one that streams or does
 * not, as asked.  NGX_OK with the file's content, NGX_DECLINED, NGX_ERROR.
 */
ngx_int_t ngx_http_llm_replay(ngx_str_t *dir, llm_endpoint_t ep, uint64_t hash,
    ngx_uint_t stream, uint64_t turn, ngx_pool_t *pool, llm_str_t *content);

/* DIR/<endpoint with "-" for "/">, NUL-terminated, with room for `extra` more
 * bytes behind it; NULL: no memory. */
u_char *ngx_http_llm_replay_dir(ngx_pool_t *pool, ngx_str_t *dir,
    llm_endpoint_t ep, size_t extra, size_t *len);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_MOCK_SERVER_H_INCLUDED_ */
