
/*
 * What the mock's server end answers: an error, a recorded exchange, or what
 * llm_mock_body() and llm_mock_event() make up; and how that is framed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "llm_exchange.h"

#include "ngx_http_llm_mock_server.h"


#define NGX_HTTP_LLM_MOCK_OUT      16384
#define NGX_HTTP_LLM_MOCK_FRAME    16          /* in front of a chunk */
#define NGX_HTTP_LLM_MOCK_CREATED  1790000000


static void ngx_http_llm_mock_facts(ngx_http_llm_mock_t *ms);
static void ngx_http_llm_mock_elided(ngx_http_llm_mock_t *ms);
static ngx_int_t ngx_http_llm_mock_refusal(ngx_http_llm_mock_t *ms,
    ngx_uint_t status, llm_str_t message);
static ngx_int_t ngx_http_llm_mock_start_stream(ngx_http_llm_mock_t *ms);
static void ngx_http_llm_mock_chunk(ngx_http_llm_mock_t *ms, llm_str_t data);


ngx_int_t
ngx_http_llm_mock_answer(ngx_http_llm_mock_t *ms)
{
    ms->request = ngx_pcalloc(ms->pool, sizeof(llm_request_t));
    if (ms->request == NULL) {
        return NGX_ERROR;
    }

    ms->then = NGX_HTTP_LLM_MOCK_FINISH;
    ms->created = ms->conf->seed ? NGX_HTTP_LLM_MOCK_CREATED : ngx_time();

    if (ms->status) {
        return ngx_http_llm_mock_error_answer(ms, ms->status);
    }

    if (llm_endpoint_find(ms->head.path, &ms->request->endpoint, &ms->rest)
        != LLM_OK)
    {
        return ngx_http_llm_mock_refusal(ms, 404, LLM_STR("Unknown URL."));
    }

    if (ms->too_large) {
        return ngx_http_llm_mock_refusal(ms, 413,
                                   LLM_STR("The request is too large."));
    }

    if (ms->fault) {
        return ngx_http_llm_mock_fault_answer(ms);
    }

    if (ms->conf->replay.len) {
        return ngx_http_llm_mock_replayed(ms);
    }

    return ngx_http_llm_mock_made_up(ms);
}


/* Reads the request; what is wrong with it is left to the answer. */

static void
ngx_http_llm_mock_facts(ngx_http_llm_mock_t *ms)
{
    u_char          *mem;
    llm_buf_t        b;
    llm_str_t        body, message;
    llm_part_t      *part;
    llm_code_t       code;
    llm_endpoint_t   ep;

    ep = ms->request->endpoint;
    body.data = ms->body.start;
    body.len = ms->body.last - ms->body.start;

    mem = ngx_pnalloc(ms->pool, 256);
    part = ngx_palloc(ms->pool, LLM_MULTIPART_MAX * sizeof(llm_part_t));

    if (mem == NULL || part == NULL) {
        ms->status = 500;
        return;
    }

    code = LLM_CODE_NONE;
    message = LLM_NOSTR;

    if (llm_str_eq(ms->head.method, LLM_STR("GET"))) {
        return;
    }

    if (llm_endpoint_info(ep)->body == LLM_BODY_MULTIPART
        && ms->head.type.len >= 10
        && ngx_strncasecmp((u_char *) ms->head.type.data,
                           (u_char *) "multipart/", 10) == 0)
    {
        if (llm_request_multipart(ms->request, ep, body, ms->head.type, part,
                                  &code, &message) == LLM_OK)
        {
            ngx_http_llm_mock_elided(ms);
            return;
        }

    } else {
        llm_buf_init(&b, mem, 256);
        if (llm_request_json(ms->request, ep, body, &b, &code, &message)
            == LLM_OK)
        {
            llm_request_estimate(ms->request);
            return;
        }
    }

    ms->status = 400;
    ms->text = message;
}


/* Gives the file its true size again. */

static void
ngx_http_llm_mock_elided(ngx_http_llm_mock_t *ms)
{
    size_t          i;
    llm_str_t       head;
    llm_part_t     *part;
    llm_request_t  *r;

    r = ms->request;

    if (ms->elided == 0) {
        return;
    }

    for (i = 0; i < r->part_n; i++) {
        part = &r->part[i];

        if (part->body <= NGX_HTTP_LLM_MOCK_FIRST
            && part->body_end > NGX_HTTP_LLM_MOCK_FIRST)
        {
            head.data = r->body.data + part->body;
            head.len = NGX_HTTP_LLM_MOCK_FIRST - part->body;

            part->body_end += ms->elided;
            r->audio_ms = llm_audio_estimate(head,
                                             part->body_end - part->body);
        }
    }
}


static llm_rc_t
ngx_http_llm_mock_write_body(ngx_http_llm_mock_t *ms, llm_buf_t *out)
{
    ms->type = LLM_STR("application/json");

    if (ms->request->endpoint == LLM_EP_MODELS && ms->rest.len > 1) {
        llm_mock_model((llm_str_t) { ms->rest.len - 1, ms->rest.data + 1 },
                       out);
        return out->full ? LLM_FULL : LLM_OK;
    }

    return llm_mock_body(ms->request, ms->request->model, ms->conf->seed,
                         ms->created, out, &ms->type);
}


ngx_int_t
ngx_http_llm_mock_made_up(ngx_http_llm_mock_t *ms)
{
    ngx_int_t  rc;

    ngx_http_llm_mock_facts(ms);

    if (ms->status) {
        return ngx_http_llm_mock_refusal(ms, ms->status, ms->text);
    }

    rc = ngx_http_llm_mock_write(ms, ngx_http_llm_mock_write_body,
                                 NGX_HTTP_LLM_MOCK_HEAD_LEN, 0, &ms->text);

    if (rc == NGX_DECLINED) {
        return ngx_http_llm_mock_refusal(ms, 404, LLM_STR("Unknown URL."));
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (llm_mock_streams(ms->request)) {
        return ngx_http_llm_mock_start_stream(ms);
    }

    return ngx_http_llm_mock_whole(ms, 200, ms->type, ms->text);
}


ngx_int_t
ngx_http_llm_mock_replayed(ngx_http_llm_mock_t *ms)
{
    unsigned   status;
    ngx_int_t  rc;
    llm_str_t  body, file, type;

    body.data = ms->body.start;
    body.len = ms->body.last - ms->body.start;

    rc = ngx_http_llm_replay(&ms->conf->replay, ms->request->endpoint,
                             llm_exchange_hash(body, ms->elided),
                             llm_exchange_streams(body), ms->conf->requests,
                             ms->pool, &file);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED
        || llm_exchange_read(file, &status, &type, &ms->text) != LLM_OK)
    {
        return ngx_http_llm_mock_refusal(ms, 404,
                         LLM_STR("No recorded answer fits this request."));
    }

    if (type.len >= 17
        && ngx_strncasecmp((u_char *) type.data,
                           (u_char *) "text/event-stream", 17) == 0)
    {
        ms->replayed = 1;
        llm_sse_init(&ms->sse);
        return ngx_http_llm_mock_start_stream(ms);
    }

    return ngx_http_llm_mock_whole(ms, status, type, ms->text);
}


static llm_rc_t
ngx_http_llm_mock_write_refusal(ngx_http_llm_mock_t *ms, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("{\"error\":{\"message\":"));
    llm_json_put_string(out, ms->text);
    llm_buf_str(out, LLM_STR(",\"type\":\"invalid_request_error\","
                             "\"param\":null,\"code\":null}}"));

    return out->full ? LLM_FULL : LLM_OK;
}


/* A request that the mock itself finds wrong. */

static ngx_int_t
ngx_http_llm_mock_refusal(ngx_http_llm_mock_t *ms, ngx_uint_t status,
    llm_str_t message)
{
    llm_str_t  body;

    ms->text = message;

    if (ngx_http_llm_mock_write(ms, ngx_http_llm_mock_write_refusal,
                                NGX_HTTP_LLM_MOCK_HEAD_LEN, 0, &body)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_llm_mock_whole(ms, status, LLM_STR("application/json"),
                                   body);
}


static ngx_int_t
ngx_http_llm_mock_start_stream(ngx_http_llm_mock_t *ms)
{
    ms->out = LLM_STR("HTTP/1.1 200 OK\r\n"
                      "Content-Type: text/event-stream; charset=utf-8\r\n"
                      "Cache-Control: no-cache\r\n"
                      "Transfer-Encoding: chunked\r\n"
                      "Connection: keep-alive\r\n\r\n");

    ms->event = 0;
    ms->then = ms->fault == NGX_HTTP_LLM_MOCK_STALL_FIRST
               ? NGX_HTTP_LLM_MOCK_STALL : NGX_HTTP_LLM_MOCK_EVENT;

    /* the body stays where it is; events get memory of their own */

    ms->out_mem = NULL;
    ms->out_size = 0;

    return NGX_OK;
}


static llm_rc_t
ngx_http_llm_mock_write_event(ngx_http_llm_mock_t *ms, llm_buf_t *out)
{
    return llm_mock_event(ms->request, ms->text, ms->request->model,
                          ms->conf->seed, ms->created, ms->event, out);
}


static llm_rc_t
ngx_http_llm_mock_write_replayed(ngx_http_llm_mock_t *ms, llm_buf_t *out)
{
    int        complete;
    size_t     n;
    llm_sse_t  sse;

    if (ms->text.len == 0) {
        return LLM_NONE;
    }

    sse = ms->sse;
    n = llm_sse_cut(&sse, ms->text.data, ms->text.len, &complete);
    llm_buf_put(out, ms->text.data, n);

    if (out->full) {
        return LLM_FULL;
    }

    ms->sse = sse;
    ms->text.data += n;
    ms->text.len -= n;

    return LLM_OK;
}


ngx_int_t
ngx_http_llm_mock_next(ngx_http_llm_mock_t *ms)
{
    ngx_int_t                   rc;
    llm_str_t                   data;
    ngx_http_llm_mock_write_pt  write;

    write = ms->replayed ? ngx_http_llm_mock_write_replayed
                         : ngx_http_llm_mock_write_event;

    if (ms->fault && ngx_http_llm_mock_fault_event(ms, &write) == NGX_OK) {
        return NGX_OK;
    }

    rc = ngx_http_llm_mock_write(ms, write, NGX_HTTP_LLM_MOCK_FRAME, 2,
                                 &data);

    if (rc == NGX_DECLINED) {
        ms->out = LLM_STR("0\r\n\r\n");
        ms->then = NGX_HTTP_LLM_MOCK_FINISH;
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ms->event++;
    ms->then = NGX_HTTP_LLM_MOCK_PAUSE;

    ngx_http_llm_mock_chunk(ms, data);

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_mock_write(ngx_http_llm_mock_t *ms,
    ngx_http_llm_mock_write_pt write, size_t before, size_t after,
    llm_str_t *out)
{
    llm_rc_t   rc;
    llm_buf_t  b;

    for ( ;; ) {

        if (ms->out_mem) {
            llm_buf_init(&b, ms->out_mem + before,
                         ms->out_size - before - after);

            rc = write(ms, &b);

            if (rc == LLM_NONE) {
                return NGX_DECLINED;
            }

            if (rc == LLM_OK && !b.full) {
                *out = llm_buf_view(&b);
                return NGX_OK;
            }

            (void) ngx_pfree(ms->pool, ms->out_mem);
            ms->out_size *= 4;

        } else {
            ms->out_size = NGX_HTTP_LLM_MOCK_OUT;
        }

        if (ms->out_size > NGX_HTTP_LLM_MOCK_OUT_MAX) {
            ms->out_mem = NULL;
            return NGX_ERROR;
        }

        ms->out_mem = ngx_palloc(ms->pool, ms->out_size);
        if (ms->out_mem == NULL) {
            return NGX_ERROR;
        }
    }
}


/* A whole answer; a body that was written here has room for its head. */

ngx_int_t
ngx_http_llm_mock_whole(ngx_http_llm_mock_t *ms, ngx_uint_t status,
    llm_str_t type, llm_str_t body)
{
    u_char     *p, *mem;
    size_t      len;
    ngx_str_t   media;
    u_char      head[NGX_HTTP_LLM_MOCK_HEAD_LEN];

    media.data = (u_char *) type.data;
    media.len = ngx_min(type.len, 128);

    p = ngx_snprintf(head, sizeof(head),
                     "HTTP/1.1 %ui Mock" CRLF
                     "Content-Type: %V" CRLF
                     "Content-Length: %uz" CRLF
                     "%s"
                     "x-request-id: req_mock%016xL" CRLF
                     "Connection: keep-alive" CRLF CRLF,
                     status, &media, body.len,
                     status == 429 ? "Retry-After: 1" CRLF : "",
                     ms->chance);
    len = p - head;

    if (body.len && ms->out_mem
        && body.data == ms->out_mem + NGX_HTTP_LLM_MOCK_HEAD_LEN)
    {
        mem = (u_char *) body.data - len;

    } else {

        /* a recorded body has no room in front */

        mem = ngx_pnalloc(ms->pool, len + body.len);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        if (body.len) {
            ngx_memcpy(mem + len, body.data, body.len);
        }
    }

    ngx_memcpy(mem, head, len);

    ms->text = body;
    ms->out.data = mem;
    ms->out.len = len + body.len;
    ms->then = NGX_HTTP_LLM_MOCK_FINISH;

    return NGX_OK;
}


static void
ngx_http_llm_mock_chunk(ngx_http_llm_mock_t *ms, llm_str_t data)
{
    u_char  *p, *start;
    u_char   size[NGX_HTTP_LLM_MOCK_FRAME];

    p = ngx_sprintf(size, "%xz" CRLF, data.len);

    start = (u_char *) data.data - (p - size);
    ngx_memcpy(start, size, p - size);

    p = (u_char *) data.data + data.len;
    *p++ = CR;
    *p++ = LF;

    ms->out.data = start;
    ms->out.len = p - start;
}
