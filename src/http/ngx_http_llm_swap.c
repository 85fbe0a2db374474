/*
 * Endpoints that a provider serves in words of its own, where its dialect takes
 * the client's form with other fields, and answers in text.
 */

#include "ngx_http_llm_ctx.h"


static const llm_swap_t *ngx_http_llm_swap(ngx_http_llm_ctx_t *ctx);


static const llm_swap_t *
ngx_http_llm_swap(ngx_http_llm_ctx_t *ctx)
{
    return llm_dialect_swap(ctx->send->target->provider->dialect,
                            ctx->endpoint);
}


ngx_int_t
ngx_http_llm_swap_request(ngx_http_llm_ctx_t *ctx, llm_loss_t *loss,
    llm_rc_t *rc)
{
    size_t             n;
    llm_field_t        field[LLM_FORM_FIELDS];
    const llm_swap_t  *swap;

    swap = ngx_http_llm_swap(ctx);

    if (swap == NULL || swap->form == NULL) {
        return NGX_DECLINED;
    }

    /* the fields are asked for again when the form is edited */

    *rc = swap->form(&ctx->facts, field, &n, loss);

    return NGX_OK;
}


void
ngx_http_llm_swap_form(ngx_http_llm_ctx_t *ctx, ngx_http_llm_fields_t *fields)
{
    size_t             n;
    llm_loss_t         loss;
    const llm_swap_t  *swap;

    swap = ngx_http_llm_swap(ctx);

    if (swap == NULL || swap->form == NULL) {
        return;
    }

    (void) swap->form(&ctx->facts, &fields->field[fields->n], &n, &loss);

    fields->n += n;
}


/* The answer may be empty. */

ngx_int_t
ngx_http_llm_swap_plain(ngx_http_llm_ctx_t *ctx)
{
    size_t                size;
    llm_buf_t             out;
    llm_str_t             body, type;
    ngx_buf_t            *b;
    const llm_swap_t     *swap;
    ngx_http_llm_send_t  *send;

    send = ctx->send;
    swap = ngx_http_llm_swap(ctx);

    if (swap == NULL || swap->plain == NULL) {
        return NGX_DECLINED;
    }

    body = LLM_NOSTR;

    if (send->body) {
        body.data = send->body->pos;
        body.len = send->body->last - send->body->pos;
    }

    /* it loses spaces, and has a line end at the end */

    size = body.len + 1;

    b = ngx_create_temp_buf(ctx->request->pool, size);
    if (b == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&out, b->start, size);

    type = swap->plain(ngx_http_llm_view(&send->content_type), body, &out);

    if (type.len == 0 || out.full) {
        return NGX_ERROR;
    }

    if (send->body) {
        (void) ngx_pfree(ctx->request->pool, send->body->start);
    }

    b->last = out.pos;
    send->body = b;

    send->content_type.len = type.len;
    send->content_type.data = (u_char *) type.data;

    return NGX_OK;
}
