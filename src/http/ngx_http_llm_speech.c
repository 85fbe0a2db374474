/*
 * Transcripts of providers that take JSON: the upload is encoded while it is
 * sent, piece by piece, so that a large one neither fills the memory nor holds
 * up the other requests of this worker.
 *
 * nginx takes the request as a chain that is there from the start.  It hands
 * that chain to an output filter, which may be ours: it sends what it is given,
 * then what it makes, each time the one before it is gone.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_SPEECH_HEAD   1024         /* around the sound */
#define NGX_HTTP_LLM_SPEECH_PIECE  49152        /* bytes encoded at once */
#define NGX_HTTP_LLM_SPEECH_TURN   (1024 * 1024)    /* sent in one event */


/* The body of an attempt, behind ctx->translation. */
struct ngx_http_llm_sound_s {
    llm_str_t                    sound;     /* what is left to encode */
    ngx_str_t                    tail;      /* what stands behind it */
    u_char                      *mem;       /* of a piece */
    ngx_buf_t                    buf;
    ngx_chain_t                  link;
    unsigned                     whole:1;   /* the tail was handed out */
};


static llm_rc_t ngx_http_llm_speech_read(ngx_http_llm_ctx_t *ctx,
    llm_speech_t *speech, ngx_http_llm_fields_t *fields, llm_loss_t *loss);
static ngx_int_t ngx_http_llm_speech_send(void *data, ngx_chain_t *in);
static ngx_chain_t *ngx_http_llm_speech_piece(ngx_http_llm_sound_t *s);


/* How the provider of this attempt is asked, or NULL: as anybody else. */

const llm_speech_way_t *
ngx_http_llm_speech(ngx_http_llm_ctx_t *ctx)
{
    return llm_dialect_speech(ctx->send->target->provider->dialect,
                              ctx->endpoint);
}


static llm_rc_t
ngx_http_llm_speech_read(ngx_http_llm_ctx_t *ctx, llm_speech_t *speech,
    ngx_http_llm_fields_t *fields, llm_loss_t *loss)
{
    ngx_str_t  model;

    ngx_http_llm_fields(ctx, fields);
    ngx_http_llm_target_model(ctx, ctx->send->target, &model);
    speech->model = ngx_http_llm_view(&model);

    return llm_speech_read(speech, &ctx->facts, fields->field, fields->n, loss);
}


ngx_int_t
ngx_http_llm_speech_request(ngx_http_llm_ctx_t *ctx, llm_loss_t *loss,
    llm_loss_t *dropped, llm_rc_t *rc)
{
    u_char                 *mem;
    size_t                  at, size;
    llm_buf_t               out;
    ngx_pool_t             *pool;
    llm_speech_t            speech;
    ngx_http_llm_sound_t   *s;
    ngx_http_llm_fields_t   fields;

    at = 0;
    pool = ctx->request->pool;

    if (ctx->sound == NULL) {
        ctx->sound = ngx_pcalloc(pool, sizeof(ngx_http_llm_sound_t));
        if (ctx->sound == NULL) {
            return NGX_ERROR;
        }
    }

    for (size = NGX_HTTP_LLM_SPEECH_HEAD; /* void */; size *= 2) {

        *rc = ngx_http_llm_speech_read(ctx, &speech, &fields, loss);

        if (*rc != LLM_OK) {
            return NGX_OK;
        }

        mem = ngx_palloc(pool, size);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        llm_buf_init(&out, mem, size);

        *rc = llm_speech_request(&speech, ngx_http_llm_speech(ctx), &out, &at,
                                 loss);

        if (*rc != LLM_FULL) {
            break;
        }

        (void) ngx_pfree(pool, mem);
    }

    ngx_http_llm_dropped_fields(&fields, speech.dropped, dropped);

    ctx->translation.data = mem;
    ctx->translation.len = at;

    s = ctx->sound;
    s->tail.data = mem + at;
    s->tail.len = out.pos - s->tail.data;

    return NGX_OK;
}


/* The body of an attempt from its beginning; an attempt may be made twice. */

off_t
ngx_http_llm_speech_rewind(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_sound_t  *s;

    s = ctx->sound;
    s->sound = ctx->facts.sound;
    s->whole = 0;

    return llm_speech_length(s->sound.len) + s->tail.len;
}


ngx_int_t
ngx_http_llm_speech_output(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    if (ctx->sound->mem == NULL) {
        ctx->sound->mem = ngx_palloc(ctx->request->pool, llm_speech_length(
                                                  NGX_HTTP_LLM_SPEECH_PIECE));
        if (ctx->sound->mem == NULL) {
            return NGX_ERROR;
        }
    }

    u = ctx->request->upstream;
    u->output.output_filter = ngx_http_llm_speech_send;
    u->output.filter_ctx = ctx;

    return NGX_OK;
}


/* Sends what nginx has, then our pieces, as long as they are taken. */

static ngx_int_t
ngx_http_llm_speech_send(void *data, ngx_chain_t *in)
{
    ngx_http_llm_ctx_t *ctx = data;

    size_t                 sent;
    ngx_int_t              rc;
    ngx_event_t           *wev;
    ngx_http_upstream_t   *u;
    ngx_http_llm_sound_t  *s;

    s = ctx->sound;
    u = ctx->request->upstream;
    sent = 0;

    for ( ;; ) {
        rc = ngx_http_llm_write(ctx, in);

        if (rc != NGX_OK) {
            return rc;
        }

        if (s->whole) {
            ngx_http_llm_release_body(ctx);
            return NGX_OK;
        }

        if (sent >= NGX_HTTP_LLM_SPEECH_TURN) {

            /* a provider that reads as fast as this must not keep the others
             * waiting; its socket, still writable, would not call again */

            wev = u->peer.connection->write;
            ngx_post_event(wev, &ngx_posted_next_events);

            return NGX_AGAIN;
        }

        in = ngx_http_llm_speech_piece(s);
        sent += ngx_buf_size(in->buf);
    }
}


static ngx_chain_t *
ngx_http_llm_speech_piece(ngx_http_llm_sound_t *s)
{
    ngx_buf_t  *b;
    ngx_str_t   from, to;

    b = &s->buf;
    ngx_memzero(b, sizeof(ngx_buf_t));

    b->memory = 1;
    b->flush = 1;

    if (s->sound.len) {
        from.data = (u_char *) s->sound.data;
        from.len = ngx_min(s->sound.len, NGX_HTTP_LLM_SPEECH_PIECE);

        s->sound.data += from.len;
        s->sound.len -= from.len;

        to.data = s->mem;
        ngx_encode_base64(&to, &from);

    } else {
        to = s->tail;
        s->whole = 1;
    }

    b->pos = to.data;
    b->last = to.data + to.len;

    s->link.buf = b;
    s->link.next = NULL;

    return &s->link;
}


/* An answer as a transcript of OpenAI's. */

void
ngx_http_llm_speech_whole(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *out, ngx_str_t *type)
{
    llm_str_t               name;
    llm_loss_t              loss;
    llm_speech_t            speech;
    ngx_http_llm_fields_t   fields;

    (void) ngx_http_llm_speech_read(ctx, &speech, &fields, &loss);

    llm_speech_whole(&speech, ngx_http_llm_speech(ctx), body, out);
    name = llm_speech_type(&speech);

    type->len = name.len;
    type->data = (u_char *) name.data;
}
