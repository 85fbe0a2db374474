/*
 * The body of one attempt's request: the client's, with this target's edits.
 *
 * A fresh chain each time, of spans of what the client sent (in memory, or in
 * its temporary file) and small pieces of ours between them.
 */

#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_compose_edits(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body);
static ngx_int_t ngx_http_llm_compose_foreign(ngx_http_llm_ctx_t *ctx,
    llm_edits_t *edits);
static ngx_int_t ngx_http_llm_make_edits(ngx_http_llm_ctx_t *ctx,
    llm_edits_t *edits);
static ngx_int_t ngx_http_llm_compose_audio(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body);
static ngx_int_t ngx_http_llm_compose_form(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body);
static ngx_int_t ngx_http_llm_compose_analyze(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body);
static ngx_int_t ngx_http_llm_add_memory(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body, u_char *data, size_t len);
static ngx_int_t ngx_http_llm_add_span(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body, size_t from, size_t to);


ngx_int_t
ngx_http_llm_compose_body(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body)
{
    if (ctx->send->translated && ctx->translation.data) {

        if (ngx_http_llm_add_memory(ctx, body, ctx->translation.data,
                                    ctx->translation.len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_llm_speech(ctx)) {
            body->length += ngx_http_llm_speech_rewind(ctx);
        }

        return NGX_OK;
    }

    if (ctx->analyze) {
        return ngx_http_llm_compose_analyze(ctx, body);
    }

    if (ctx->raw_audio.len) {
        return ngx_http_llm_compose_audio(ctx, body);
    }

    if (ctx->facts.kind == LLM_BODY_JSON
        || ctx->facts.kind == LLM_BODY_MULTIPART)
    {
        return ngx_http_llm_compose_edits(ctx, body);
    }

    return ngx_http_llm_add_span(ctx, body, 0, ctx->body.len);
}


static ngx_int_t
ngx_http_llm_compose_analyze(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body)
{
    ngx_str_t   made, text;
    llm_loss_t  dropped;

    if (ctx->prompt.data) {
        /* of the attempt before, whose upstream is gone */
        (void) ngx_pfree(ctx->request->pool, ctx->prompt.data);
    }

    if (ngx_http_llm_analyze_body(ctx, &made) != NGX_OK) {
        return NGX_ERROR;
    }

    text = made;
    llm_loss_init(&dropped);

    if (ngx_http_llm_edit(ctx, &text, &dropped) != NGX_OK
        || ngx_http_llm_dropped(ctx, &dropped) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (text.data != made.data) {
        (void) ngx_pfree(ctx->request->pool, made.data);
    }

    ctx->prompt = text;

    return ngx_http_llm_add_memory(ctx, body, text.data, text.len);
}


static ngx_int_t
ngx_http_llm_compose_edits(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body)
{
    size_t        at;
    ngx_uint_t    i;
    llm_edit_t   *e;
    llm_edits_t   edits;

    if (ngx_http_llm_make_edits(ctx, &edits) != NGX_OK
        || ngx_http_llm_compose_foreign(ctx, &edits) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; ctx->resume && i < ctx->resume->edits.n; i++) {
        e = &ctx->resume->edits.edit[i];

        /* what the target sets or leaves out anyway is no limit of ours */

        if (llm_edits_add(&edits, e->at, e->cut, e->text) != LLM_OK
            && e->cut == 0)
        {
            return NGX_ERROR;
        }
    }

    at = 0;

    for (i = 0; i < edits.n; i++) {
        e = &edits.edit[i];

        if (ngx_http_llm_add_span(ctx, body, at, e->at) != NGX_OK
            || ngx_http_llm_add_memory(ctx, body, (u_char *) e->text.data,
                                       e->text.len)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        at = e->at + e->cut;
    }

    return ngx_http_llm_add_span(ctx, body, at, ctx->body.len);
}


/* What other providers wrote into this conversation and this one refuses. */

static ngx_int_t
ngx_http_llm_compose_foreign(ngx_http_llm_ctx_t *ctx, llm_edits_t *edits)
{
    u_char                 *mem, none[1];
    llm_rc_t                rc;
    llm_buf_t               out;
    llm_str_t               span;
    ngx_str_t               model;
    const llm_dialect_t    *dialect;
    const llm_json_want_t  *messages;
    ngx_http_llm_target_t  *target;

    target = ctx->send->target;
    dialect = ctx->send->dialect;
    messages = &ctx->facts.member[LLM_M_MESSAGES];

    if (dialect->foreign == NULL || ctx->send->translated
        || messages->value.data == NULL)
    {
        return NGX_OK;
    }

    ngx_http_llm_target_model(ctx, target, &model);

    if (target->model) {
        model = target->model->id;
    }

    llm_buf_init(&out, none, 0);

    rc = dialect->foreign(ngx_http_llm_view(&model), messages->value, &span,
                          &out);

    if (rc == LLM_FULL) {

        mem = ngx_pnalloc(ctx->request->pool, span.len);
        if (mem == NULL) {
            return NGX_ERROR;
        }

        llm_buf_init(&out, mem, span.len);

        rc = dialect->foreign(ngx_http_llm_view(&model), messages->value,
                              &span, &out);
    }

    if (rc == LLM_OK) {
        /* what the target sets or leaves out anyway needs no care */
        (void) llm_edits_add(edits, span.data - ctx->facts.body.data, span.len,
                             llm_buf_view(&out));
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_make_edits(ngx_http_llm_ctx_t *ctx, llm_edits_t *edits)
{
    size_t                  size;
    u_char                 *mem;
    llm_rc_t                rc;
    llm_buf_t               b;
    llm_str_t               name;
    ngx_str_t               model;
    llm_loss_t              dropped;
    ngx_http_llm_fields_t   fields;

    ngx_http_llm_fields(ctx, &fields);
    ngx_http_llm_target_model(ctx, ctx->send->target, &model);

    name = LLM_NOSTR;

    if (!ctx->send->translated
        && (model.data != ctx->model.data || ctx->deployment.len))
    {
        name = ngx_http_llm_view(&model);
    }

    size = 512 + 8 * model.len + ngx_http_llm_fields_size(&fields);

    mem = ngx_palloc(ctx->request->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, mem, size);

    rc = llm_request_edits(&ctx->facts, name, fields.field, fields.n,
                           ctx->hide_usage
                           && ctx->send->target->provider->stream_options,
                           &b, edits);

    if (rc == LLM_FULL) {
        ctx->send->outcome.class = LLM_CLASS_INVALID_REQUEST;
        return NGX_ERROR;
    }

    if (rc != LLM_OK) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm request could not be rewritten for \"%V\"",
                      &ctx->send->target->provider->name);
        return NGX_ERROR;
    }

    llm_loss_init(&dropped);
    ngx_http_llm_dropped_fields(&fields, edits->dropped, &dropped);

    return ngx_http_llm_dropped(ctx, &dropped);
}


/* A raw audio body becomes the file part of a form, behind its fields. */

static ngx_int_t
ngx_http_llm_compose_audio(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body)
{
    u_char     *p, *start;
    size_t      size;
    ngx_str_t  *type;

    if (ngx_http_llm_compose_form(ctx, body) != NGX_OK) {
        return NGX_ERROR;
    }

    type = &ctx->request->headers_in.content_type->value;

    size = 256 + type->len + ctx->raw_audio.len;

    start = ngx_pnalloc(ctx->request->pool, size);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(start, "--" NGX_HTTP_LLM_BOUNDARY "%*s" CRLF
                    "Content-Disposition: form-data; name=\"file\"; "
                    "filename=\"audio.%V\"" CRLF
                    "Content-Type: %V" CRLF CRLF, sizeof(ctx->id), ctx->id,
                    &ctx->raw_audio, type);

    if (ngx_http_llm_add_memory(ctx, body, start, p - start) != NGX_OK
        || ngx_http_llm_add_span(ctx, body, 0, ctx->body.len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    start = ngx_pnalloc(ctx->request->pool,
                        sizeof(CRLF "--" NGX_HTTP_LLM_BOUNDARY "--" CRLF) - 1
                        + sizeof(ctx->id));
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(start, CRLF "--" NGX_HTTP_LLM_BOUNDARY "%*s--" CRLF,
                    sizeof(ctx->id), ctx->id);

    return ngx_http_llm_add_memory(ctx, body, start, p - start);
}


/* The fields of a form that has no other parts yet. */

static ngx_int_t
ngx_http_llm_compose_form(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body)
{
    u_char                 *mem, *p;
    size_t                  size;
    llm_buf_t               b;
    ngx_str_t               model;
    llm_edits_t             edits;
    llm_request_t           r;
    ngx_http_llm_fields_t   fields;
    u_char                  boundary[64];

    p = ngx_snprintf(boundary, sizeof(boundary), NGX_HTTP_LLM_BOUNDARY "%*s",
                     sizeof(ctx->id), ctx->id);

    ngx_memzero(&r, sizeof(llm_request_t));
    r.kind = LLM_BODY_MULTIPART;
    r.boundary.data = boundary;
    r.boundary.len = p - boundary;

    ngx_http_llm_fields(ctx, &fields);
    ngx_http_llm_target_model(ctx, ctx->send->target, &model);

    if (ctx->send->translated) {
        /* its dialect has no models */
        model.len = 0;
    }

    size = 512 + 8 * model.len + ngx_http_llm_fields_size(&fields);

    mem = ngx_palloc(ctx->request->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, mem, size);

    if (llm_request_edits(&r, model.len ? ngx_http_llm_view(&model) : LLM_NOSTR,
                          fields.field, fields.n, 0, &b, &edits)
        != LLM_OK)
    {
        return NGX_ERROR;
    }

    if (edits.n == 0) {
        return NGX_OK;
    }

    return ngx_http_llm_add_memory(ctx, body,
                                   (u_char *) edits.edit[0].text.data,
                                   edits.edit[0].text.len);
}


static ngx_int_t
ngx_http_llm_add_memory(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body, u_char *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (len == 0) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(ctx->request->pool);
    cl = ngx_alloc_chain_link(ctx->request->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->start = data;
    b->pos = data;
    b->last = data + len;
    b->end = b->last;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    *body->last = cl;
    body->last = &cl->next;
    body->length += len;

    return NGX_OK;
}


/* A span of the client's body, wherever nginx has put it. */

static ngx_int_t
ngx_http_llm_add_span(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body, size_t from, size_t to)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    if (from >= to) {
        return NGX_OK;
    }

    rb = ctx->request->request_body;

    if (rb->temp_file == NULL) {
        return ngx_http_llm_add_memory(ctx, body, ctx->body.data + from,
                                       to - from);
    }

    b = ngx_calloc_buf(ctx->request->pool);
    cl = ngx_alloc_chain_link(ctx->request->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->in_file = 1;
    b->temp_file = 1;
    b->file = &rb->temp_file->file;
    b->file_pos = from;
    b->file_last = to;

    cl->buf = b;
    cl->next = NULL;

    *body->last = cl;
    body->last = &cl->next;
    body->length += to - from;

    return NGX_OK;
}
