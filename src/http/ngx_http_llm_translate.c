/*
 * From a client's dialect to a provider's: the request of an attempt, and
 * errors in the client's.  What both speak alike never comes here; answers are
 * in ngx_http_llm_translate_answer.c.
 */

#include "ngx_http_llm_ctx.h"


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


llm_way_t
ngx_http_llm_way(ngx_http_llm_ctx_t *ctx, ngx_http_llm_provider_t *provider)
{
    llm_way_t  way;

    way = llm_dialect_way(provider->dialect, provider->native, ctx->endpoint);

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

    send->dialect = send->target->provider->dialect;

    if (ngx_http_llm_way(ctx, send->target->provider) != LLM_WAY_HUB) {
        send->dialect = llm_dialect_reader(send->dialect, ctx->endpoint);
        return NGX_OK;
    }

    if (ctx->endpoint == LLM_EP_MODELS) {
        send->translated = 1;
        return NGX_OK;
    }

    /* of the attempt before, whose upstream is gone */

    if (ctx->hub.data) {
        (void) ngx_pfree(ctx->request->pool, ctx->hub.data);
        ngx_str_null(&ctx->hub);
    }

    if (ctx->translation.data) {
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

    llm_loss_init(&front);

    if (ngx_http_llm_translate_front(ctx, &body, &front, rc) != NGX_OK) {
        return NGX_ERROR;
    }

    if (body.data != ctx->body.data) {
        ctx->hub = body;
    }

    if (*rc != LLM_OK) {
        *loss = front;
        return NGX_OK;
    }

    llm_loss_init(loss);
    llm_loss_init(&dropped);

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

    if (ctx->analyze || front == NULL
        || (front->differs && !front->differs(ngx_http_llm_view(body))))
    {
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

    if (*rc == LLM_AGAIN) {
        (void) ngx_pfree(ctx->request->pool, mem);
        *rc = LLM_OK;
        return NGX_OK;
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

    if (ngx_http_llm_swap_request(ctx, loss, rc) == NGX_OK) {
        return NGX_OK;
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
    llm_str_t                 messages;
    ngx_str_t                 model;
    ngx_http_llm_fields_t     fields;
    ngx_http_llm_target_t    *target;
    ngx_http_llm_provider_t  *provider;

    target = ctx->send->target;
    provider = target->provider;

    ngx_http_llm_target_model(ctx, target, &model);

    /* what a deployment can do is told by its id */

    hub.model = ngx_http_llm_view(target->model ? &target->model->id : &model);
    hub.version = ngx_http_llm_view(&provider->version);

    /* the client's own body was read before */

    messages = body.data == ctx->facts.body.data
               ? ctx->facts.member[LLM_M_MESSAGES].value : LLM_NOSTR;

    rc = llm_hub_read(&hub, body, messages, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    hub.deployment = ngx_http_llm_view(&model);
    hub.no_options = !provider->stream_options;
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
    next = ngx_http_llm_next_able(ctx, ctx->current);

    if (rc == LLM_NONE && next < ctx->route->ntargets
        && ngx_http_llm_unsupported(ctx) != NGX_HTTP_LLM_UNSUPPORTED_ERROR)
    {
        ctx->current = next;
        ngx_memzero(&ctx->tried, sizeof(llm_tried_t));
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


/* The same as an event of a stream. */

void
ngx_http_llm_put_error_event(ngx_http_llm_ctx_t *ctx, llm_buf_t *out,
    llm_code_t code, llm_str_t message)
{
    uint64_t            before;
    const llm_front_t  *front;

    front = llm_front_find(ctx->endpoint);

    if (front) {
        before = 0;

        if (ctx->committed) {
            before = ctx->send->translated ? ctx->events->reply->sequence
                                           : ctx->events->state.events;
        }

        front->error_event(out, code, message,
                           (llm_str_t) { sizeof(ctx->id), ctx->id }, before);
        return;
    }

    llm_buf_str(out, LLM_STR("data: "));
    llm_error_openai(out, code, message, LLM_NOSTR);
    llm_buf_str(out, LLM_STR("\n\n"));
}
