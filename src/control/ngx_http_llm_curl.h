/*
 * Requests of our own to other hosts, which no client waits for: libcurl on
 * nginx's event loop.
 */

#ifndef _NGX_HTTP_LLM_CURL_H_INCLUDED_
#define _NGX_HTTP_LLM_CURL_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#pragma GCC visibility push(hidden)


typedef struct ngx_http_llm_curl_s  ngx_http_llm_curl_t;

/* `status` is that of the answer, 0 when there was none: then `error` says why.
 * The request is over, its memory is the caller's again. */
typedef void (*ngx_http_llm_curl_done_pt)(ngx_http_llm_curl_t *request,
    ngx_uint_t status, char *error);

/* How a GET gets to its host; zeroed: as its URL says.  Strings of C end with a
 * zero byte, the others are PEM. */
typedef struct {
    char                       *unix_path;
    char                       *connect_to; /* "::host:port" */
    char                       *bundle;     /* file of those to trust; or … */
    ngx_str_t                   trusted;
    ngx_str_t                   certificate;
    ngx_str_t                   key;
    unsigned                    unverified:1;
} ngx_http_llm_curl_peer_t;


struct ngx_http_llm_curl_s {
    char                       *url;        /* ends with a zero byte */
    ngx_str_t                   body;       /* of a POST: JSON; kept until it
                                               is done */
    ngx_str_t                   head;       /* of a GET: "Name: value" and a
                                               zero byte, several times */
    ngx_http_llm_curl_peer_t   *peer;       /* … kept until it is done */
    ngx_msec_t                  timeout;    /* all in all */
    ngx_http_llm_curl_done_pt   done;
    void                       *data;

    ngx_queue_t                 queue;      /* the rest is its own */
    void                       *easy;
    void                       *headers;
    void                       *to;
    char                       *error;
};


/* Begins a POST.  NGX_OK: done will be called, never from within this call;
 * NGX_ERROR: it will not. */
ngx_int_t ngx_http_llm_curl_post(ngx_http_llm_curl_t *request);

/* The same for a GET that is over with the head of its answer: nothing but the
 * status is of interest. */
ngx_int_t ngx_http_llm_curl_get(ngx_http_llm_curl_t *request);

/* Worker exit: ends everything, calls nobody. */
void ngx_http_llm_curl_exit(void);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_CURL_H_INCLUDED_ */
