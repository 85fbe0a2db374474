
/*
 * What goes wrong on purpose: whether a request is spared, whole answers that
 * are errors or cut short, and faults in the middle of a stream.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_llm_mock_server.h"


#define NGX_HTTP_LLM_MOCK_FAULT_AT  3      /* the event that goes wrong */


/* The body of a known error, by its own function. */

typedef struct {
    ngx_uint_t   fault;
    ngx_uint_t   status;
    void       (*body)(llm_buf_t *out);    /* NULL: llm_mock_error() */
} ngx_http_llm_mock_refused_t;


static ngx_http_llm_mock_refused_t  ngx_http_llm_mock_refused[] = {
    { NGX_HTTP_LLM_MOCK_RATE_LIMITED, 429, NULL },
    { NGX_HTTP_LLM_MOCK_QUOTA, 429, llm_mock_quota },
    { NGX_HTTP_LLM_MOCK_AUTH, 401, NULL },
    { NGX_HTTP_LLM_MOCK_TIMEOUT, 408, NULL },
    { 0, 0, NULL }
};


void
ngx_http_llm_mock_fate(ngx_http_llm_mock_t *ms)
{
    uint64_t                   n;
    ngx_uint_t                 faults, bit, turn;
    ngx_http_llm_mock_conf_t  *mcf;

    mcf = ms->conf;
    n = mcf->requests++;

    if (mcf->seed) {
        ms->chance = mcf->seed + n;
        ms->chance = llm_mock_random(&ms->chance);

    } else {
        ms->chance = (uint64_t) ngx_random() << 32 ^ (uint64_t) ngx_random();
    }

    ms->fault = 0;
    ms->status = 0;

    if (mcf->error_rate_bp
        && llm_mock_random(&ms->chance) % 10000 >= mcf->error_rate_bp)
    {
        return;
    }

    if (mcf->faults == 0) {
        if (mcf->error_rate_bp) {
            ms->status = mcf->error_status ? mcf->error_status
                                           : NGX_HTTP_LLM_MOCK_STATUS;
        }
        return;
    }

    turn = 0;

    for (faults = mcf->faults; faults; faults &= faults - 1) {
        turn++;
    }

    turn = n % turn;

    for (faults = mcf->faults; faults; faults &= faults - 1) {
        bit = faults & ~(faults - 1);
        if (turn-- == 0) {
            ms->fault = bit;
            return;
        }
    }
}


ngx_msec_t
ngx_http_llm_mock_delay(ngx_http_llm_mock_t *ms)
{
    ngx_msec_t                 delay;
    ngx_http_llm_mock_conf_t  *mcf;

    mcf = ms->conf;

    if (mcf->jitter == 0) {
        return mcf->latency;
    }

    delay = mcf->latency + llm_mock_random(&ms->chance) % (2 * mcf->jitter + 1);

    return delay > mcf->jitter ? delay - mcf->jitter : 0;
}


static llm_rc_t
ngx_http_llm_mock_write_error(ngx_http_llm_mock_t *ms, llm_buf_t *out)
{
    ngx_http_llm_mock_refused_t  *refused;

    for (refused = ngx_http_llm_mock_refused; refused->fault; refused++) {
        if (refused->fault == ms->fault && refused->body) {
            refused->body(out);
            return LLM_OK;
        }
    }

    llm_mock_error(ms->status, out);

    return LLM_OK;
}


ngx_int_t
ngx_http_llm_mock_error_answer(ngx_http_llm_mock_t *ms, ngx_uint_t status)
{
    llm_str_t  body;

    /* an error inside of a 200 speaks of a 500 */

    ms->status = status == 200 ? 500 : status;

    if (ngx_http_llm_mock_write(ms, ngx_http_llm_mock_write_error,
                                NGX_HTTP_LLM_MOCK_HEAD_LEN, 0, &body)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_mock_whole(ms, status, LLM_STR("application/json"),
                                   body);
}


static llm_rc_t
ngx_http_llm_mock_write_html(ngx_http_llm_mock_t *ms, llm_buf_t *out)
{
    llm_mock_html(out);

    return LLM_OK;
}


/* A good answer, spoiled.  A stream is left alone: its events go wrong. */

static ngx_int_t
ngx_http_llm_mock_spoil(ngx_http_llm_mock_t *ms)
{
    size_t     half;
    ngx_int_t  rc;

    rc = ms->conf->replay.len ? ngx_http_llm_mock_replayed(ms)
                              : ngx_http_llm_mock_made_up(ms);

    if (rc != NGX_OK || ms->then != NGX_HTTP_LLM_MOCK_FINISH) {
        return rc;
    }

    half = ms->text.len / 2;

    switch (ms->fault) {

    case NGX_HTTP_LLM_MOCK_ERROR_EVENT:
        return ngx_http_llm_mock_error_answer(ms, 200);

    case NGX_HTTP_LLM_MOCK_EMPTY:
        return ngx_http_llm_mock_whole(ms, 200, LLM_STR("application/json"),
                                       LLM_NOSTR);

    case NGX_HTTP_LLM_MOCK_STALL_FIRST:
        ms->out.len -= ms->text.len;
        ms->then = NGX_HTTP_LLM_MOCK_STALL;
        return NGX_OK;

    case NGX_HTTP_LLM_MOCK_STALL_BODY:
        ms->out.len -= ms->text.len - half;
        ms->then = NGX_HTTP_LLM_MOCK_STALL;
        return NGX_OK;

    case NGX_HTTP_LLM_MOCK_CUT:
        ms->out.len -= ms->text.len - half;
        ms->then = NGX_HTTP_LLM_MOCK_CLOSE;
        return NGX_OK;

    default:                            /* malformed_event: there is none */
        return NGX_OK;
    }
}


ngx_int_t
ngx_http_llm_mock_fault_answer(ngx_http_llm_mock_t *ms)
{
    llm_str_t                     body;
    ngx_http_llm_mock_refused_t  *refused;

    for (refused = ngx_http_llm_mock_refused; refused->fault; refused++) {
        if (refused->fault == ms->fault) {
            return ngx_http_llm_mock_error_answer(ms, refused->status);
        }
    }

    switch (ms->fault) {

    case NGX_HTTP_LLM_MOCK_STALL_HEADER:
        ms->then = NGX_HTTP_LLM_MOCK_STALL;
        return NGX_OK;

    case NGX_HTTP_LLM_MOCK_GARBAGE:
        ms->out = LLM_STR("\x15\x03\x01 220 this is not HTTP\r\n\r\n");
        ms->then = NGX_HTTP_LLM_MOCK_CLOSE;
        return NGX_OK;

    case NGX_HTTP_LLM_MOCK_HTML:
        if (ngx_http_llm_mock_write(ms, ngx_http_llm_mock_write_html,
                                    NGX_HTTP_LLM_MOCK_HEAD_LEN, 0, &body)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_llm_mock_whole(ms, 502, LLM_STR("text/html"), body);

    default:
        return ngx_http_llm_mock_spoil(ms);
    }
}


static llm_rc_t
ngx_http_llm_mock_write_error_event(ngx_http_llm_mock_t *ms, llm_buf_t *out)
{
    llm_mock_error_event(ms->request, out);

    return LLM_OK;
}


static llm_rc_t
ngx_http_llm_mock_write_malformed(ngx_http_llm_mock_t *ms, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("data: {\"choices\":[{\"delta\":{\"content\":"
                             "\"lost\n\n"));

    return LLM_OK;
}


ngx_int_t
ngx_http_llm_mock_fault_event(ngx_http_llm_mock_t *ms,
    ngx_http_llm_mock_write_pt *write)
{
    if (ms->fault == NGX_HTTP_LLM_MOCK_EMPTY
        || (ms->fault == NGX_HTTP_LLM_MOCK_ERROR_EVENT && ms->event))
    {
        ms->out = LLM_STR("0\r\n\r\n");
        ms->then = NGX_HTTP_LLM_MOCK_FINISH;
        return NGX_OK;
    }

    if (ms->fault == NGX_HTTP_LLM_MOCK_ERROR_EVENT) {
        *write = ngx_http_llm_mock_write_error_event;
        return NGX_DECLINED;
    }

    if (ms->event != NGX_HTTP_LLM_MOCK_FAULT_AT) {
        return NGX_DECLINED;
    }

    switch (ms->fault) {

    case NGX_HTTP_LLM_MOCK_STALL_BODY:
        ms->then = NGX_HTTP_LLM_MOCK_STALL;
        return NGX_OK;

    case NGX_HTTP_LLM_MOCK_CUT:
        ms->then = NGX_HTTP_LLM_MOCK_CLOSE;
        return NGX_OK;

    case NGX_HTTP_LLM_MOCK_MALFORMED_EVENT:
        ms->fault = 0;
        ms->event--;                        /* it comes on top */
        *write = ngx_http_llm_mock_write_malformed;
        return NGX_DECLINED;

    default:
        return NGX_DECLINED;
    }
}
