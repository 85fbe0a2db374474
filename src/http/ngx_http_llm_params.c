/*
 * The parameters of a request on its way to one target: which of them are set,
 * renamed and dropped there, what is missing then, and what that means.
 *
 * Where the client's own bytes are sent, fields become edits (compose_body.c);
 * where a request is translated, they act on the hub's form (translate.c), or
 * on what was made of it, if that is a chat of OpenAI's.
 */

#include "ngx_http_llm_ctx.h"


/* headers about members that were left out, and one name in them */
#define NGX_HTTP_LLM_DROPPED  512
#define NGX_HTTP_LLM_NAME     64


static ngx_http_llm_params_t *ngx_http_llm_params(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_has_params(ngx_http_llm_ctx_t *ctx);
static void ngx_http_llm_own_fields(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_fields_t *fields);


static ngx_http_llm_params_t *
ngx_http_llm_params(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_target_t  *target;

    target = ctx->send->target;

    return target->model ? &target->model->params : &target->provider->params;
}


/* Only a request to a model has parameters: what stands behind an endpoint,
 * speaks of files, or opens a session, is somebody else's. */

static ngx_uint_t
ngx_http_llm_has_params(ngx_http_llm_ctx_t *ctx)
{
    return ctx->rest.len == 0
           && !ctx->passthrough
           && ctx->endpoint != LLM_EP_FILES
           && ctx->endpoint != LLM_EP_BATCHES
           && ctx->endpoint != LLM_EP_REALTIME;
}


/* What the provider cannot do without, of which the client hears nothing. */

static void
ngx_http_llm_own_fields(ngx_http_llm_ctx_t *ctx, ngx_http_llm_fields_t *fields)
{
    llm_field_t  *f;

    fields->n = 0;

    if (!ctx->send->target->provider->stream_options
        && ctx->facts.kind == LLM_BODY_JSON)
    {
        f = &fields->field[fields->n++];

        ngx_memzero(f, sizeof(llm_field_t));
        f->what = LLM_FIELD_DROP;
        f->name = LLM_STR("stream_options");
    }

    ngx_http_llm_swap_form(ctx, fields);

    fields->own = fields->n;
}


void
ngx_http_llm_fields(ngx_http_llm_ctx_t *ctx, ngx_http_llm_fields_t *fields)
{
    ngx_uint_t                  i;
    llm_field_t                *f;
    ngx_array_t                *own;
    ngx_http_llm_transcribe_t  *tr;

    ngx_http_llm_own_fields(ctx, fields);

    tr = ctx->llcf->transcribe;

    for (i = 0; tr && i < tr->nfields; i++) {
        fields->field[fields->n++] = tr->fields[i];
    }

    own = ngx_http_llm_params(ctx)->fields;

    if (own == NULL || !ngx_http_llm_has_params(ctx)) {
        return;
    }

    f = own->elts;

    for (i = 0; i < own->nelts; i++) {
        fields->field[fields->n++] = f[i];
    }
}


/* Room for the texts of edits. */

size_t
ngx_http_llm_fields_size(ngx_http_llm_fields_t *fields)
{
    size_t        size;
    ngx_uint_t    i;
    llm_field_t  *f;

    size = 0;

    for (i = 0; i < fields->n; i++) {
        f = &fields->field[i];
        size += 256 + f->name.len + f->to.len + f->text.len + f->json.len;
    }

    return size;
}


ngx_int_t
ngx_http_llm_edit(ngx_http_llm_ctx_t *ctx, ngx_str_t *body,
    llm_loss_t *dropped)
{
    u_char                 *mem;
    size_t                  size;
    llm_buf_t               texts, out;
    llm_edits_t             edits;
    llm_request_t           r;
    ngx_http_llm_fields_t   fields;

    ngx_http_llm_fields(ctx, &fields);

    if (fields.n == 0) {
        return NGX_OK;
    }

    ngx_memzero(&r, sizeof(llm_request_t));
    r.kind = LLM_BODY_JSON;
    r.body = ngx_http_llm_view(body);

    size = ngx_http_llm_fields_size(&fields);

    mem = ngx_palloc(ctx->request->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&texts, mem, size);

    if (llm_request_edits(&r, LLM_NOSTR, fields.field, fields.n, 0, &texts,
                          &edits)
        != LLM_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_llm_dropped_fields(&fields, edits.dropped, dropped);

    size = llm_edits_length(&edits, body->len);

    mem = ngx_palloc(ctx->request->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&out, mem, size);
    llm_edits_apply(&edits, r.body, &out);

    body->data = mem;
    body->len = size;

    return NGX_OK;
}


void
ngx_http_llm_dropped_fields(ngx_http_llm_fields_t *fields, uint64_t bits,
    llm_loss_t *dropped)
{
    ngx_uint_t  i;

    for (i = fields->own; i < fields->n; i++) {
        if (bits & ((uint64_t) 1 << i)) {
            llm_loss_add(dropped, fields->field[i].name);
        }
    }
}


/* The names that stand in x-llm-dropped; more may follow. */

ngx_int_t
ngx_http_llm_dropped(ngx_http_llm_ctx_t *ctx, llm_loss_t *loss)
{
    size_t      i;
    llm_buf_t   b;
    ngx_str_t   name;

    if (loss->n == 0) {
        return NGX_OK;
    }

    name.data = ngx_pnalloc(ctx->request->pool, NGX_HTTP_LLM_DROPPED);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, name.data, NGX_HTTP_LLM_DROPPED);
    llm_buf_put(&b, ctx->send->dropped.data, ctx->send->dropped.len);

    for (i = 0; i < loss->n; i++) {
        name.len = loss->name[i].len;
        name.data = (u_char *) loss->name[i].data;

        if (name.len > NGX_HTTP_LLM_NAME || !ngx_http_llm_is_token(&name)
            || (size_t) (b.end - b.pos) < name.len + 2)
        {
            continue;
        }

        llm_buf_str(&b, b.pos == b.start ? LLM_NOSTR : LLM_STR(", "));
        llm_buf_put(&b, name.data, name.len);
    }

    ctx->send->dropped.data = b.start;
    ctx->send->dropped.len = b.pos - b.start;

    return NGX_OK;
}


ngx_uint_t
ngx_http_llm_unsupported(ngx_http_llm_ctx_t *ctx)
{
    return ngx_http_llm_params(ctx)->unsupported;
}


/* Where nothing may be left out, what would be is at fault. */

llm_rc_t
ngx_http_llm_weigh(ngx_http_llm_ctx_t *ctx, llm_rc_t rc, llm_loss_t *loss)
{
    ngx_uint_t  unsupported;

    unsupported = ngx_http_llm_unsupported(ctx);

    if (rc != LLM_OK || loss->n == 0
        || (unsupported != NGX_HTTP_LLM_UNSUPPORTED_SKIP
            && unsupported != NGX_HTTP_LLM_UNSUPPORTED_ERROR))
    {
        return rc;
    }

    return llm_loss_fail(loss, LLM_NONE, loss->name[0],
                         LLM_STR("The model has no words for this parameter."));
}
