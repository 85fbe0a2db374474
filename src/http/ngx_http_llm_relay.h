/*
 * Answers that we send ourselves, and streams that go on with another one:
 * relay.c, whole.c, heartbeat.c, resume.c, told.c.  A part of
 * ngx_http_llm_ctx.h.
 */

#ifndef _NGX_HTTP_LLM_RELAY_H_INCLUDED_
#define _NGX_HTTP_LLM_RELAY_H_INCLUDED_

#include "ngx_http_llm_ctx.h"
#include "llm_resume.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_CUTS_MAX  4            /* of one stream, that go on */


/* The output of an answer that we send ourselves. */
struct ngx_http_llm_relay_s {
    ngx_chain_t                 *free;
    ngx_chain_t                 *busy;
    ngx_recv_pt                  recv;    /* of the provider's connection, while
                                             ours stands for it */
    ngx_event_t                  heartbeat;     /* llm_heartbeat */
    ngx_msec_t                   sent;          /* when something last was */
    ngx_buf_t                    text;          /* a heartbeat */
    unsigned                     blocked:1; /* the client is behind, and the
                                               provider is not read */
    unsigned                     early:1; /* a heartbeat brought the header */
};


/* An answer that was cut, and its part of the bill. */
typedef struct {
    ngx_http_llm_target_t       *target;
    llm_usage_t                  usage;
    uint64_t                     tokens;        /* that it showed, about */
} ngx_http_llm_part_t;


/* What the client was shown, and who goes on with it. */
struct ngx_http_llm_resume_s {
    llm_told_t                   told;
    llm_resume_t                 rest;        /* of the attempt that is to */
    llm_edits_t                  edits;       /* to its body: the text so far */
    u_char                      *text;          /* ... in them */
    u_char                      *scratch;
    size_t                       scratch_size;
    uint64_t                     tokens;        /* shown before this attempt */
    uint64_t                     prompt;        /* of the first; LLM_UNKNOWN */
    llm_usage_t                  usage;         /* told before it went on */
    uint64_t                     afresh;        /* targets that refuse a text
                                                   to go on with, as bits */
    ngx_uint_t                   resumes;       /* times another one went on */
    ngx_uint_t                   cuts;
    ngx_http_llm_part_t          part[NGX_HTTP_LLM_CUTS_MAX];
    unsigned                     prefixed:1;    /* this one got the text */
    unsigned                     timeout:1;     /* what ended the last */
    unsigned                     told_some:1;   /* this event has deltas */
    unsigned                     dated:1;       /* when the first began */
};


/*
 * relay.c: an answer that we send ourselves, so that nginx never sees a commit
 * and another attempt may follow it.  want: before an attempt, whether that is
 * so; make: it is; leave: it is not any more, and nothing went out.  header:
 * sends it; text: sends an event, or a comment, which outlives the request;
 * lost: the client is gone, the request ends.  begin: in place of the commit,
 * with what the framing said; read: what follows a read.  Both return what
 * process_header() does.  ended: nginx saw the end of the connection, perhaps
 * in an event without its blank line.  over: the attempt has ended.  unwrap:
 * the connection is nginx's again.  handlers: the client's events while we
 * send.  collected (whole.c): a whole answer where events were promised becomes
 * some; its class.  give_up: nothing is left to try, and the header went out.
 */
ngx_int_t ngx_http_llm_relay_want(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_relay_make(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_relay_leave(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_relay_header(ngx_http_llm_ctx_t *ctx,
    ngx_uint_t status);
ngx_int_t ngx_http_llm_relay_text(ngx_http_llm_ctx_t *ctx, llm_str_t text);
void ngx_http_llm_relay_lost(ngx_http_llm_ctx_t *ctx, ngx_int_t rc);
ngx_int_t ngx_http_llm_relay_begin(ngx_http_llm_ctx_t *ctx, ngx_int_t rc);
ngx_int_t ngx_http_llm_relay_read(ngx_http_llm_ctx_t *ctx, ngx_int_t rc);
void ngx_http_llm_relay_ended(ngx_http_llm_ctx_t *ctx,
    ngx_http_upstream_state_t *state);
void ngx_http_llm_relay_over(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_relay_unwrap(ngx_http_llm_ctx_t *ctx, ngx_connection_t *c);
void ngx_http_llm_relay_handlers(ngx_http_llm_ctx_t *ctx);
llm_class_t ngx_http_llm_relay_collected(ngx_http_llm_ctx_t *ctx,
    llm_str_t body, llm_buf_t *mem);
void ngx_http_llm_relay_give_up(ngx_http_llm_ctx_t *ctx);

/* Whether the header went out ahead of any answer. */
#define ngx_http_llm_is_early(ctx)  ((ctx)->relay && (ctx)->relay->early)

/* heartbeat.c: start: before the first attempt, where signs of life are wanted;
 * stop: harmless without it. */
ngx_int_t ngx_http_llm_heartbeat_start(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_heartbeat_stop(ngx_http_llm_ctx_t *ctx);

/*
 * resume.c: a stream that was cut goes on with another answer.  want: whether
 * that may happen; can: whether it can be done now.  resume: it was cut; NGX_OK
 * when another attempt was started.  prepare: before an attempt is sent; retry:
 * it failed before it went on; NGX_OK when something else was started.  begin:
 * an attempt goes on.  usage: what it used, as the client is told; total: usage
 * and cost of all of them.
 */
ngx_int_t ngx_http_llm_resume_want(ngx_http_llm_ctx_t *ctx);
ngx_uint_t ngx_http_llm_resume_can(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_resume(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_resume_prepare(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_resume_retry(ngx_http_llm_ctx_t *ctx,
    llm_class_t class);
void ngx_http_llm_resume_begin(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_resume_usage(ngx_http_llm_ctx_t *ctx, llm_usage_t *usage);
void ngx_http_llm_resume_total(ngx_http_llm_ctx_t *ctx);

/* Whether an answer was cut, and this attempt is to go on with it. */
#define ngx_http_llm_is_resuming(ctx)                                         \
    ((ctx)->resume && (ctx)->resume->cuts)

/* told.c: what the client is shown.  init: before the events of an attempt are
 * read; event: in place of the dialect's; put: a delta of it. */
void ngx_http_llm_told_init(ngx_http_llm_ctx_t *ctx);
llm_event_t ngx_http_llm_told_event(ngx_http_llm_ctx_t *ctx,
    const llm_sse_event_t *ev, llm_buf_t *mem);
void ngx_http_llm_told_put(void *data, const llm_delta_t *delta);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_RELAY_H_INCLUDED_ */
