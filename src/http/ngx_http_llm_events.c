/*
 * Server-sent events between a provider and the client.
 *
 * Before the commit what passes is held in copies; after it whole events are
 * sent from where they lie in the upstream's buffer, and only an event that a
 * read has cut is copied.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_PENDING   1024        /* first size of a cut event's buf */


static ngx_int_t ngx_http_llm_event_cut(ngx_http_llm_ctx_t *ctx, u_char *p,
    size_t n);
static ngx_int_t ngx_http_llm_event_joined(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_keep_text(ngx_http_llm_ctx_t *ctx,
    llm_str_t *text);
static ngx_int_t ngx_http_llm_event_passes(ngx_http_llm_ctx_t *ctx,
    llm_str_t raw);
static ngx_int_t ngx_http_llm_event_verdict(ngx_http_llm_ctx_t *ctx,
    const llm_sse_event_t *ev, llm_event_t verdict);
static ngx_chain_t *ngx_http_llm_free_link(ngx_http_llm_ctx_t *ctx,
    ngx_buf_t *b);


/* Once per attempt whose answer passes through; bufs made before are kept. */

ngx_int_t
ngx_http_llm_events_init(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    if (e == NULL) {
        e = ngx_pcalloc(ctx->request->pool, sizeof(ngx_http_llm_events_t));
        if (e == NULL) {
            return NGX_ERROR;
        }

        ctx->events = e;
    }

    llm_sse_init(&e->sse);
    llm_stream_init(&e->state, ngx_http_llm_asked(ctx));

    e->pending = NULL;
    e->out = NULL;
    e->last = &e->out;
    e->held = 0;
    e->held_events = 0;
    e->copy = 1;
    e->failed = 0;
    e->withheld = 0;
    e->commit = 0;
    e->broken = 0;

    ngx_http_llm_told_init(ctx);

    return ngx_http_llm_translate_init(ctx);
}


/*
 * Events of one read.  Neighbours that pass become one buf; an event that a
 * read cut is joined in a buf of its own.
 */

ngx_int_t
ngx_http_llm_events(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    int                     complete;
    u_char                 *run;
    size_t                  len;
    ngx_int_t               rc;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    run = p;

    while (n) {
        len = llm_sse_cut(&e->sse, p, n, &complete);

        if (e->pending || !complete) {

            /* the run ends where a cut event begins */

            if (ngx_http_llm_pass_bytes(ctx, run, p - run) != NGX_OK
                || ngx_http_llm_event_cut(ctx, p, len) != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (complete && ngx_http_llm_event_joined(ctx) != NGX_OK) {
                return NGX_ERROR;
            }

            run = p + len;

        } else {
            rc = ngx_http_llm_event_passes(ctx, (llm_str_t) { len, p });

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            if (rc == NGX_DECLINED) {

                if (ngx_http_llm_pass_bytes(ctx, run, p - run) != NGX_OK) {
                    return NGX_ERROR;
                }

                run = p + len;
            }
        }

        p += len;
        n -= len;
    }

    return ngx_http_llm_pass_bytes(ctx, run, p - run);
}


/* Keeps a piece of an event that is not whole yet. */

static ngx_int_t
ngx_http_llm_event_cut(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    size_t                  len;
    ngx_buf_t              *b, *wider;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    b = e->pending;
    len = b ? (size_t) (b->last - b->pos) : 0;

    if (len + n > ctx->llcf->max_event) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm provider sent an event larger than "
                      "llm_max_event_size");
        return NGX_ERROR;
    }

    if (b == NULL || (size_t) (b->end - b->last) < n) {
        wider = ngx_http_llm_own_buf(ctx, ngx_max(2 * len, len + n));
        if (wider == NULL) {
            return NGX_ERROR;
        }

        if (b) {
            wider->last = ngx_cpymem(wider->last, b->pos, len);
            b->pos = b->start;
            b->last = b->start;
        }

        e->pending = wider;
        b = wider;
    }

    b->last = ngx_cpymem(b->last, p, n);

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_event_joined(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t               rc;
    ngx_buf_t              *b;
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    b = e->pending;
    e->pending = NULL;

    rc = ngx_http_llm_event_passes(ctx, (llm_str_t) { b->last - b->pos,
                                                      b->pos });
    if (rc == NGX_OK) {
        return ngx_http_llm_link_buf(ctx, b);
    }

    b->last = b->pos;

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


/* The last event of a body that lacks its blank line: usable in practice. */

ngx_int_t
ngx_http_llm_event_tail(ngx_http_llm_ctx_t *ctx)
{
    if ((ctx->send->answer != NGX_HTTP_LLM_ANSWER_HOLD
         && ctx->send->answer != NGX_HTTP_LLM_ANSWER_EVENTS)
        || ctx->events->pending == NULL)
    {
        /* something pending may be of the attempt before */
        return NGX_OK;
    }

    ctx->events->writing = NULL;

    if (ngx_http_llm_event_cut(ctx, (u_char *) "\n\n", 2) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_llm_event_joined(ctx);
}


/*
 * A buf with memory of its own, kept for the whole stream.  One that was sent
 * is empty and is taken again, so a long stream needs only as many as can be
 * unsent at a time.
 */

ngx_buf_t *
ngx_http_llm_own_buf(ngx_http_llm_ctx_t *ctx, size_t size)
{
    ngx_buf_t              *b;
    ngx_chain_t            *cl;
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    for (cl = e->own; cl; cl = cl->next) {
        b = cl->buf;

        if (b->pos == b->last && b != e->pending
            && (size_t) (b->end - b->start) >= size)
        {
            b->pos = b->start;
            b->last = b->start;
            return b;
        }
    }

    cl = ngx_alloc_chain_link(ctx->request->pool);
    if (cl == NULL) {
        return NULL;
    }

    b = ngx_create_temp_buf(ctx->request->pool,
                            ngx_max(size, NGX_HTTP_LLM_PENDING));
    if (b == NULL) {
        return NULL;
    }

    b->flush = 1;

    cl->buf = b;
    cl->next = e->own;
    e->own = cl;

    return b;
}


/* NGX_OK: to the client; NGX_DECLINED: dropped; NGX_ERROR: the stream failed */

static ngx_int_t
ngx_http_llm_event_passes(ngx_http_llm_ctx_t *ctx, llm_str_t raw)
{
    u_char                  message[NGX_HTTP_LLM_SCRATCH];
    ngx_int_t               rc;
    llm_buf_t               mem;
    llm_event_t             verdict;
    llm_sse_event_t         ev;
    ngx_http_llm_send_t    *send;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    send = ctx->send;

    if (raw.len > e->scratch_size) {
        e->scratch_size = ngx_max(2 * raw.len, NGX_HTTP_LLM_PENDING);
        e->scratch = ngx_pnalloc(ctx->request->pool, e->scratch_size);

        if (e->scratch == NULL) {
            e->scratch_size = 0;
            return NGX_ERROR;
        }
    }

    llm_sse_parse(raw, e->scratch, &ev);
    llm_buf_init(&mem, message, sizeof(message));

    e->held_events++;

    if (send->translated || ngx_http_llm_is_resuming(ctx)) {
        verdict = ctx->resume ? ngx_http_llm_told_event(ctx, &ev, &mem)
                              : ngx_http_llm_translate_event(ctx, &ev, &mem);
        rc = ngx_http_llm_event_verdict(ctx, &ev, verdict);

        if (rc == NGX_OK && verdict == LLM_EVENT_ERROR
            && ngx_http_llm_translate_error(ctx) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_llm_is_resuming(ctx) && ctx->resume->rest.differs) {
            return NGX_ERROR;
        }

        /* its deltas go out instead */

        return (rc == NGX_ERROR || e->broken) ? NGX_ERROR : NGX_DECLINED;
    }

    verdict = ctx->resume ? ngx_http_llm_told_event(ctx, &ev, &mem)
                          : send->dialect->event(&e->state, &ev, &mem);

    if (ctx->endpoint == LLM_EP_RESPONSES && !ctx->learned) {
        ngx_http_llm_object_learn_event(ctx, ev.data);
    }

    return ngx_http_llm_event_verdict(ctx, &ev, verdict);
}


static ngx_int_t
ngx_http_llm_event_verdict(ngx_http_llm_ctx_t *ctx, const llm_sse_event_t *ev,
    llm_event_t verdict)
{
    ngx_http_llm_send_t    *send;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    send = ctx->send;

    switch (verdict) {

    case LLM_EVENT_MALFORMED:
        ctx->malformed++;
        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "llm provider \"%V\" sent an event that is not JSON, "
                      "dropped", &send->target->provider->name);
        return NGX_DECLINED;

    case LLM_EVENT_USAGE:
        return ctx->hide_usage ? NGX_DECLINED : NGX_OK;

    case LLM_EVENT_DONE:
        /* after an error it would make a cut answer look finished */
        return e->failed ? NGX_DECLINED : NGX_OK;

    case LLM_EVENT_ERROR:
        e->failed = 1;
        ngx_http_llm_keep_text(ctx, &e->state.message);

        if (e->commit && ngx_http_llm_resume_can(ctx)) {
            /* it is for whoever goes on */
            e->withheld = 1;
            return NGX_DECLINED;
        }

        return e->commit ? NGX_OK : NGX_ERROR;

    case LLM_EVENT_CONTENT:

        if (ngx_http_llm_is_resuming(ctx)) {
            /* what of it is new commits */
            return NGX_OK;
        }

        e->commit = 1;

        if (ctx->heard) {
            ngx_http_llm_hear_event(ctx, ev);
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


/* Takes a text from the stack to the request's pool. */

static void
ngx_http_llm_keep_text(ngx_http_llm_ctx_t *ctx, llm_str_t *text)
{
    u_char  *p;

    p = ngx_pnalloc(ctx->request->pool, text->len);

    if (p == NULL) {
        *text = LLM_NOSTR;
        return;
    }

    ngx_memcpy(p, text->data, text->len);
    text->data = p;
}


/* Lets bytes pass: held in a copy before the commit, as they lie after it. */

ngx_int_t
ngx_http_llm_pass_bytes(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n)
{
    ngx_buf_t            *b;
    ngx_chain_t          *cl;
    ngx_http_upstream_t  *u;

    if (n == 0) {
        return NGX_OK;
    }

    if (ctx->events->copy) {
        b = ctx->relay ? ngx_http_llm_own_buf(ctx, n)
                       : ngx_create_temp_buf(ctx->request->pool, n);
        if (b == NULL) {
            return NGX_ERROR;
        }

        b->last = ngx_cpymem(b->last, p, n);
        b->flush = 1;

        return ngx_http_llm_link_buf(ctx, b);
    }

    u = ctx->request->upstream;

    cl = ngx_http_llm_free_link(ctx, NULL);

    if (cl == NULL) {
        cl = ngx_chain_get_free_buf(ctx->request->pool, &cl);
        if (cl == NULL) {
            return NGX_ERROR;
        }
    }

    b = cl->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = p;
    b->pos = p;
    b->last = p + n;
    b->end = p + n;
    b->tag = u->output.tag;
    b->memory = 1;
    b->flush = 1;

    *ctx->events->last = cl;
    ctx->events->last = &cl->next;

    return NGX_OK;
}


/*
 * A buf with memory of its own.  It has the upstream's tag, or nginx would not
 * count it as busy, and go on reading for a client that does not.
 */

ngx_int_t
ngx_http_llm_link_buf(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    ngx_chain_t  *cl;

    cl = ngx_http_llm_free_link(ctx, b);

    if (cl == NULL) {
        cl = ngx_alloc_chain_link(ctx->request->pool);
        if (cl == NULL) {
            return NGX_ERROR;
        }
    }

    b->tag = (ngx_buf_tag_t) &ngx_http_llm_gateway_module;

    cl->buf = b;
    cl->next = NULL;

    ctx->events->held += b->last - b->pos;

    *ctx->events->last = cl;
    ctx->events->last = &cl->next;

    return NGX_OK;
}


/* Takes the link of this buf out of the free ones; NULL: of any buf that has no
 * memory of its own. */

static ngx_chain_t *
ngx_http_llm_free_link(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b)
{
    ngx_chain_t  *cl, **ll;

    ll = ctx->relay ? &ctx->relay->free : &ctx->request->upstream->free_bufs;

    for ( /* void */ ; *ll; ll = &(*ll)->next) {
        cl = *ll;

        if (b ? cl->buf == b : cl->buf->memory) {
            *ll = cl->next;
            cl->next = NULL;
            return cl;
        }
    }

    return NULL;
}
