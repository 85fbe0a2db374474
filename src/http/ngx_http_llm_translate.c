/*
 * Between a client's dialect and a provider's: the request of an attempt, its
 * whole answer, and the events of its stream.  What both speak alike never
 * comes here.
 */

#include "ngx_http_llm_ctx.h"


/* how the ids of a front begin */
#define NGX_HTTP_LLM_REPLY_ID 16
/* what deltas are written into */
#define NGX_HTTP_LLM_WRITING  4096


static ngx_int_t ngx_http_llm_translate_request(ngx_http_llm_ctx_t *ctx,
    llm_loss_t *loss, llm_rc_t *rc);
static ngx_int_t ngx_http_llm_translate_front(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *body, llm_loss_t *loss, llm_rc_t *rc);
static ngx_int_t ngx_http_llm_translate_body(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *body, llm_loss_t *loss, llm_loss_t *dropped, llm_rc_t *rc);
static llm_rc_t ngx_http_llm_translate_hub(ngx_http_llm_ctx_t *ctx,
    llm_str_t body, llm_buf_t *out, llm_loss_t *loss, llm_loss_t *dropped);
static ngx_uint_t ngx_http_llm_asks_chat(ngx_http_llm_provider_t *provider);
static void ngx_http_llm_untranslated(ngx_http_llm_ctx_t *ctx, llm_rc_t rc,
    llm_loss_t *loss);
static void ngx_http_llm_begin_reply(ngx_http_llm_ctx_t *ctx,
    llm_reply_t *reply);
static ngx_int_t ngx_http_llm_translate_whole(ngx_http_llm_ctx_t *ctx,
    llm_str_t body, llm_buf_t *out);
static void ngx_http_llm_put_delta(void *data, const llm_delta_t *delta);


llm_way_t
ngx_http_llm_way(ngx_http_llm_ctx_t *ctx, ngx_http_llm_provider_t *provider)
{
    llm_way_t  way;

    way = llm_dialect_way(provider->dialect, ctx->endpoint);

    if (ctx->endpoint == LLM_EP_MODELS && way == LLM_WAY_NATIVE) {
        return ngx_http_llm_models_way(ctx, provider->dialect);
    }

    if (way == LLM_WAY_HUB
        && !ctx->analyze
        && (ctx->request->method != NGX_HTTP_POST || ctx->rest.len))
    {
        /* what is stored behind an endpoint is its provider's affair */
        return LLM_WAY_NONE;
    }

    return way;
}


/*
 * Before an attempt: its body in the provider's words.  NGX_OK: it goes on;
 * NGX_DONE: another target was picked, or the client has its answer.
 */

ngx_int_t
ngx_http_llm_translate(ngx_http_llm_ctx_t *ctx)
{
    llm_rc_t              rc;
    llm_loss_t            loss;
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    if (ngx_http_llm_way(ctx, send->target->provider) != LLM_WAY_HUB) {
        return NGX_OK;
    }

    if (ctx->endpoint == LLM_EP_MODELS) {
        send->translated = 1;
        return NGX_OK;
    }

    if (ctx->translation.data) {
        /* of the attempt before, whose upstream is gone */
        (void) ngx_pfree(ctx->request->pool, ctx->translation.data);
        ngx_str_null(&ctx->translation);
    }

    if (ngx_http_llm_translate_request(ctx, &loss, &rc) == NGX_OK) {

        if (rc != LLM_OK) {
            ngx_http_llm_untranslated(ctx, rc, &loss);
            return NGX_DONE;
        }

        send->translated = 1;

        if (ngx_http_llm_dropped(ctx, &loss) == NGX_OK) {
            return NGX_OK;
        }
    }

    ctx->class = LLM_CLASS_NETWORK;
    ctx->code = LLM_CODE_GATEWAY_ERROR;
    ngx_http_llm_give_up(ctx);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_translate_request(ngx_http_llm_ctx_t *ctx, llm_loss_t *loss,
    llm_rc_t *rc)
{
    size_t      i;
    ngx_str_t   body;
    llm_loss_t  front, dropped;

    body = ctx->body;

    if (ctx->analyze && ngx_http_llm_analyze_body(ctx, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(loss, sizeof(llm_loss_t));

    if (ngx_http_llm_translate_front(ctx, &body, loss, rc) != NGX_OK) {
        return NGX_ERROR;
    }

    if (*rc != LLM_OK) {
        return NGX_OK;
    }

    front = *loss;
    ngx_memzero(&dropped, sizeof(llm_loss_t));

    if (ngx_http_llm_translate_body(ctx, &body, loss, &dropped, rc) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < front.n; i++) {
        llm_loss_add(loss, front.name[i]);
    }

    *rc = ngx_http_llm_weigh(ctx, *rc, loss);

    for (i = 0; i < dropped.n; i++) {
        llm_loss_add(loss, dropped.name[i]);
    }

    return NGX_OK;
}


/* The client's body in the hub's form, where its front has another. */

static ngx_int_t
ngx_http_llm_translate_front(ngx_http_llm_ctx_t *ctx, ngx_str_t *body,
    llm_loss_t *loss, llm_rc_t *rc)
{
    u_char             *mem;
    size_t              size;
    llm_buf_t           out;
    const llm_front_t  *front;

    *rc = LLM_OK;
    front = llm_front_find(ctx->endpoint);

    if (ctx->analyze || front == NULL || front->request == NULL) {
        return NGX_OK;
    }

    for (size = body->len + body->len / 4 + 1024; /* void */; size *= 2) {

        mem = ngx_palloc(ctx->request->pool, size);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        llm_buf_init(&out, mem, size);

        *rc = front->request(ngx_http_llm_view(body), &out, loss);

        if (*rc != LLM_FULL) {
            break;
        }

        (void) ngx_pfree(ctx->request->pool, mem);
    }

    body->data = mem;
    body->len = out.pos - out.start;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_translate_body(ngx_http_llm_ctx_t *ctx, ngx_str_t *body,
    llm_loss_t *loss, llm_loss_t *dropped, llm_rc_t *rc)
{
    u_char                   *mem;
    size_t                    size;
    llm_buf_t                 out;
    ngx_str_t                 model;
    const llm_swap_t         *swap;
    ngx_http_llm_provider_t  *provider;

    if (ngx_http_llm_speech(ctx)) {
        return ngx_http_llm_speech_request(ctx, loss, dropped, rc);
    }

    provider = ctx->send->target->provider;
    swap = llm_dialect_swap(provider->dialect, ctx->endpoint);

    ngx_http_llm_target_model(ctx, ctx->send->target, &model);

    if (swap && ngx_http_llm_edit(ctx, body, dropped) != NGX_OK) {
        return NGX_ERROR;
    }

    for (size = body->len + body->len / 4 + 2048; /* void */; size *= 2) {

        mem = ngx_palloc(ctx->request->pool, size);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        llm_buf_init(&out, mem, size);

        if (swap) {
            *rc = swap->request(ngx_http_llm_view(&model),
                                ngx_http_llm_view(body), &out, loss);

        } else {
            *rc = ngx_http_llm_translate_hub(ctx, ngx_http_llm_view(body),
                                             &out, loss, dropped);
        }

        if (*rc != LLM_FULL) {
            break;
        }

        (void) ngx_pfree(ctx->request->pool, mem);
    }

    ctx->translation.data = mem;
    ctx->translation.len = out.pos - out.start;

    if (*rc != LLM_OK || swap || !ngx_http_llm_asks_chat(provider)) {
        return NGX_OK;
    }

    if (ngx_http_llm_edit(ctx, &ctx->translation, dropped) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->translation.data != mem) {
        (void) ngx_pfree(ctx->request->pool, mem);
    }

    return NGX_OK;
}


static llm_rc_t
ngx_http_llm_translate_hub(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *out, llm_loss_t *loss, llm_loss_t *dropped)
{
    llm_rc_t                  rc;
    llm_hub_t                 hub;
    ngx_str_t                 model;
    ngx_http_llm_fields_t     fields;
    ngx_http_llm_provider_t  *provider;

    provider = ctx->send->target->provider;

    ngx_http_llm_target_model(ctx, ctx->send->target, &model);

    hub.model = ngx_http_llm_view(&model);
    hub.version = ngx_http_llm_view(&provider->version);

    rc = llm_hub_read(&hub, body, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    hub.lossy = (ngx_http_llm_unsupported(ctx)
                 == NGX_HTTP_LLM_UNSUPPORTED_DROP);

    if (!ngx_http_llm_asks_chat(provider)) {
        ngx_http_llm_fields(ctx, &fields);
        llm_hub_fields(&hub, fields.field, fields.n, loss, dropped);
    }

    return provider->dialect->request(&hub, out, loss);
}


/* Whether what becomes of the hub's form is a chat of OpenAI's as well, whose
 * members the hub need not know. */

static ngx_uint_t
ngx_http_llm_asks_chat(ngx_http_llm_provider_t *provider)
{
    return (provider->dialect->native & LLM_EP_BIT(LLM_EP_CHAT)) != 0;
}


/* This target cannot be asked for it: perhaps another one can. */

static void
ngx_http_llm_untranslated(ngx_http_llm_ctx_t *ctx, llm_rc_t rc,
    llm_loss_t *loss)
{
    ngx_uint_t  next;

    ctx->skipped |= (uint64_t) 1 << ctx->current;
    next = ngx_http_llm_first_target(ctx);

    while (next < ctx->current
           || (next < ctx->route->ntargets
               && (ctx->skipped & ((uint64_t) 1 << next))))
    {
        next++;
    }

    if (rc == LLM_NONE && next < ctx->route->ntargets
        && ngx_http_llm_unsupported(ctx) != NGX_HTTP_LLM_UNSUPPORTED_ERROR)
    {
        ctx->current = next;
        ngx_http_llm_pick(ctx);
        return;
    }

    /* what came of an attempt before says more */

    if (ctx->class == LLM_CLASS_OK) {
        ctx->class = LLM_CLASS_INVALID_REQUEST;
        ctx->code = (rc == LLM_NONE) ? LLM_CODE_CALLER_UNSUPPORTED
                                     : LLM_CODE_CALLER_INVALID_REQUEST;
        ctx->message.len = loss->message.len;
        ctx->message.data = (u_char *) loss->message.data;
        ctx->param = loss->param;
    }

    ngx_http_llm_give_up(ctx);
}


/* ---- errors -------------------------------------------------------------- */


/* Whose errors a client knows, by what it called or by what it says it is. */

const llm_front_t *
ngx_http_llm_error_front(ngx_http_request_t *r, llm_endpoint_t ep)
{
    const llm_front_t  *front;

    front = llm_front_find(ep);

    return front == NULL && ngx_http_llm_is_anthropic(r)
           ? llm_front_find(LLM_EP_MESSAGES) : front;
}


void
ngx_http_llm_put_error(ngx_http_llm_ctx_t *ctx, llm_buf_t *out,
    llm_code_t code, llm_str_t message)
{
    const llm_front_t  *front;

    front = ngx_http_llm_error_front(ctx->request, ctx->endpoint);

    if (front) {
        front->error(out, code, message, ctx->param,
                     (llm_str_t) { sizeof(ctx->id), ctx->id });
        return;
    }

    llm_error_openai(out, code, message, ctx->param);
}


void
ngx_http_llm_put_error_event(llm_endpoint_t ep, llm_buf_t *out,
    llm_code_t code, llm_str_t message, llm_str_t id)
{
    const llm_front_t  *front;

    front = llm_front_find(ep);

    if (front) {
        front->error_event(out, code, message, id);
        return;
    }

    llm_buf_str(out, LLM_STR("data: "));
    llm_error_openai(out, code, message, LLM_NOSTR);
    llm_buf_str(out, LLM_STR("\n\n"));
}


/* ---- answers ------------------------------------------------------------ */


static void
ngx_http_llm_begin_reply(ngx_http_llm_ctx_t *ctx, llm_reply_t *reply)
{
    u_char              id[NGX_HTTP_LLM_REPLY_ID + sizeof(ctx->id)];
    llm_str_t           name;
    const llm_front_t  *front;

    front = llm_front_find(ctx->endpoint);

    name.len = ngx_sprintf(id, "%*s%*s", front->id.len, front->id.data,
                           sizeof(ctx->id), ctx->id)
               - id;
    name.data = id;

    llm_reply_init(reply, front, name, ngx_time(), ctx->facts.include_usage);
}


/* What the provider of this attempt was asked for. */

llm_endpoint_t
ngx_http_llm_asked(ngx_http_llm_ctx_t *ctx)
{
    /* the hub's form is a chat; what is swapped stays where it is */
    return ctx->send->translated && llm_front_find(ctx->endpoint)
           ? LLM_EP_CHAT : ctx->endpoint;
}


const llm_dialect_t *
ngx_http_llm_answer_dialect(ngx_http_llm_ctx_t *ctx)
{
    if (!ctx->send->translated) {
        return ctx->send->target->provider->dialect;
    }

    if (llm_front_find(ctx->endpoint) == NULL) {
        /* what is swapped becomes an answer of OpenAI's */
        return llm_dialect_find(LLM_STR("openai"));
    }

    return llm_dialect_find(llm_front_find(ctx->endpoint)->dialect);
}


/* A collected answer in the client's words; it takes the place of the other. */

ngx_int_t
ngx_http_llm_translate_answer(ngx_http_llm_ctx_t *ctx)
{
    u_char      *mem;
    size_t       size;
    ngx_buf_t   *b;
    llm_buf_t    out;
    llm_str_t    body;
    ngx_pool_t  *pool;

    b = ctx->send->body;
    pool = ctx->request->pool;

    body.data = b->pos;
    body.len = b->last - b->pos;

    ngx_str_set(&ctx->send->content_type, "application/json");

    for (size = body.len + body.len / 4 + 1024; /* void */; size *= 2) {

        mem = ngx_palloc(pool, size);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        llm_buf_init(&out, mem, size);

        if (ngx_http_llm_translate_whole(ctx, body, &out) != NGX_OK) {
            return NGX_ERROR;
        }

        if (!out.full) {
            break;
        }

        (void) ngx_pfree(pool, mem);
    }

    (void) ngx_pfree(pool, b->start);

    b->start = mem;
    b->pos = mem;
    b->last = out.pos;
    b->end = mem + size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_translate_whole(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *out)
{
    ngx_str_t             model;
    llm_reply_t           reply;
    const llm_swap_t     *swap;
    ngx_http_llm_send_t  *send;
    const llm_dialect_t  *dialect;

    send = ctx->send;
    dialect = send->target->provider->dialect;

    if (ctx->endpoint == LLM_EP_MODELS) {
        return ngx_http_llm_models_whole(ctx, body, out);
    }

    if (ngx_http_llm_speech(ctx)) {
        ngx_http_llm_speech_whole(ctx, body, out, &send->content_type);
        return NGX_OK;
    }

    swap = llm_dialect_swap(dialect, ctx->endpoint);

    if (swap) {
        ngx_http_llm_target_model(ctx, send->target, &model);
        swap->whole(ngx_http_llm_view(&model), body, out);
        return NGX_OK;
    }

    ngx_http_llm_begin_reply(ctx, &reply);
    reply.front->whole(&reply, dialect, body, out);

    return NGX_OK;
}


/* ---- streams ------------------------------------------------------------- */


ngx_int_t
ngx_http_llm_translate_init(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    e->writing = NULL;

    if (!ctx->send->translated) {
        return NGX_OK;
    }

    if (e->reply == NULL) {
        e->reply = ngx_palloc(ctx->request->pool, sizeof(llm_reply_t));
        if (e->reply == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_http_llm_begin_reply(ctx, e->reply);

    return NGX_OK;
}


llm_event_t
ngx_http_llm_translate_event(ngx_http_llm_ctx_t *ctx,
    const llm_sse_event_t *ev, llm_buf_t *mem)
{
    llm_sink_t              sink;
    llm_event_t             verdict;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    sink.put = ngx_http_llm_put_delta;
    sink.data = ctx;

    /* behind an error nothing is an answer any more */

    verdict = ctx->send->target->provider->dialect->stream(&e->state, ev, mem,
                                                       e->failed ? NULL
                                                                 : &sink);
    return verdict;
}


static void
ngx_http_llm_put_delta(void *data, const llm_delta_t *delta)
{
    ngx_http_llm_ctx_t *ctx = data;

    size_t                  room;
    ngx_buf_t              *b;
    llm_buf_t               out;
    ngx_http_llm_events_t  *e;

    e = ctx->events;
    b = e->writing;
    room = llm_reply_room(delta);

    if (b == NULL || (size_t) (b->end - b->last) < room) {

        b = ngx_http_llm_own_buf(ctx, ngx_max(room, NGX_HTTP_LLM_WRITING));
        if (b == NULL) {
            e->broken = 1;
            return;
        }
    }

    llm_buf_init(&out, b->last, b->end - b->last);
    e->reply->front->delta(e->reply, delta, &out);

    if (out.full) {
        e->broken = 1;
        return;
    }

    if (out.pos == out.start) {
        return;
    }

    b->last = out.pos;

    if (b == e->writing) {
        e->held += out.pos - out.start;
        return;
    }

    if (ngx_http_llm_link_buf(ctx, b) != NGX_OK) {
        e->broken = 1;
        return;
    }

    e->writing = b;
}


/* The error event of a translated stream, as its front writes one. */

ngx_int_t
ngx_http_llm_translate_error(ngx_http_llm_ctx_t *ctx)
{
    ngx_buf_t              *b;
    llm_buf_t               out;
    llm_str_t               id;
    ngx_http_llm_events_t  *e;

    e = ctx->events;

    b = ngx_http_llm_own_buf(ctx, 1024 + 6 * e->state.message.len);
    if (b == NULL) {
        return NGX_ERROR;
    }

    id.data = ctx->id;
    id.len = sizeof(ctx->id);

    llm_buf_init(&out, b->last, b->end - b->last);
    e->reply->front->error_event(&out, llm_code_of_class(e->state.error),
                                 e->state.message, id);
    b->last = out.pos;
    e->writing = NULL;

    return ngx_http_llm_link_buf(ctx, b);
}


/* What a complete stream still lacks when its terminator did not come. */

void
ngx_http_llm_translate_end(ngx_http_llm_ctx_t *ctx, llm_buf_t *out)
{
    llm_delta_t  end;

    ngx_memzero(&end, sizeof(llm_delta_t));
    end.kind = LLM_DELTA_END;

    ctx->events->reply->front->delta(ctx->events->reply, &end, out);
}
