/*
 * The mirror: a share of what another variant has served is sent once more, and
 * what comes of it is compared with what the client got.
 *
 * A copy is a send like any other for provider, breaker and keys; but it is
 * made after its original was settled, waits for nothing, is tried once, and
 * counts in no window of a variant.
 */

#include "ngx_http_llm_mirror.h"


#define NGX_HTTP_LLM_COMPARED  65536    /* longer contents are not compared */


static ngx_uint_t ngx_http_llm_is_due(ngx_http_llm_ctx_t *ctx,
    llm_class_t class);
static ngx_uint_t ngx_http_llm_may_repeat(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_has(ngx_http_llm_ctx_t *ctx, llm_str_t name);
static ngx_int_t ngx_http_llm_mirror_body(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *body);
static ngx_int_t ngx_http_llm_mirror_begin(ngx_http_llm_ctx_t *ctx,
    llm_class_t class, ngx_http_llm_mirror_totals_t *totals);
static void ngx_http_llm_mirror_end(ngx_http_llm_ctx_t *ctx,
    llm_class_t class);
static void ngx_http_llm_mirror_cleanup(void *data);
static void ngx_http_llm_result(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    ngx_pool_t *pool, ngx_http_llm_result_t *result);
static void ngx_http_llm_result_text(ngx_http_llm_ctx_t *ctx,
    ngx_pool_t *pool, ngx_http_llm_result_t *result);
static void ngx_http_llm_result_keep(ngx_pool_t *pool, llm_str_t text,
    ngx_http_llm_result_t *result);
static void ngx_http_llm_compare(ngx_http_llm_shadow_t *shadow,
    ngx_http_llm_result_t *copy, ngx_pool_t *pool);
static void ngx_http_llm_tally(uint64_t *n, uint64_t add);
static void ngx_http_llm_tally_time(uint32_t *bucket, ngx_msec_t time);


void
ngx_http_llm_mirror(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ngx_http_llm_mirror_totals_t  *totals;

    if (ctx->shadow) {
        ngx_http_llm_mirror_end(ctx, class);
        return;
    }

    if (!ctx->mirrored || !ngx_http_llm_is_due(ctx, class)) {
        return;
    }

    totals = ngx_http_llm_split_mirror(&ctx->split->store);

    if (totals && ngx_http_llm_mirror_begin(ctx, class, totals) != NGX_OK) {
        ngx_http_llm_tally(&totals->skipped, 1);
    }
}


void
ngx_http_llm_mirror_choose(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->split == NULL || ctx->split->mirror == NULL
        || (uint32_t) ngx_random() % LLM_SPLIT_BUCKETS
           >= ctx->split->mirror->share
        || !ngx_http_llm_may_repeat(ctx))
    {
        return;
    }

    ctx->mirrored = 1;

    if (ctx->facts.stream) {
        (void) ngx_http_llm_hear(ctx);
    }
}


/* It was served, by another variant than the mirror's. */

static ngx_uint_t
ngx_http_llm_is_due(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ngx_uint_t  variant;

    if (ctx->sends == 0 || class == LLM_CLASS_CLIENT_GONE
        || llm_class_is_caller_fault(class) || ngx_exiting || ngx_terminate)
    {
        return 0;
    }

    variant = ctx->split->mirror->variant - ctx->split->variants;

    return ctx->variant != variant
           && !ngx_http_llm_split_is_barred(&ctx->split->store,
                                            (uint32_t) variant);
}


/* Only what asks a model: nothing that is kept at a provider is made twice, or
 * asked for where it is not. */

static ngx_uint_t
ngx_http_llm_may_repeat(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->request->method != NGX_HTTP_POST || ctx->rest.len || ctx->object) {
        return 0;
    }

    switch (ctx->endpoint) {

    case LLM_EP_RESPONSES:
        return !ngx_http_llm_has(ctx, LLM_STR("previous_response_id"))
               && !ngx_http_llm_has(ctx, LLM_STR("conversation"))
               && !ngx_http_llm_has(ctx, LLM_STR("background"));

    case LLM_EP_CHAT:
    case LLM_EP_MESSAGES:
    case LLM_EP_COMPLETIONS:
    case LLM_EP_EMBEDDINGS:
    case LLM_EP_SPEECH:
    case LLM_EP_MODERATIONS:
    case LLM_EP_IMAGES:
    case LLM_EP_RERANK:
        return 1;

    case LLM_EP_TRANSCRIPTIONS:
    case LLM_EP_TRANSLATIONS:
        return ctx->split->mirror->multipart;

    default:
        return 0;
    }
}


static ngx_uint_t
ngx_http_llm_has(ngx_http_llm_ctx_t *ctx, llm_str_t name)
{
    llm_rc_t           rc;
    llm_json_member_t  m;

    rc = llm_json_get(ngx_http_llm_view(&ctx->body), name, &m);

    return rc != LLM_NONE
           && (rc != LLM_OK || (m.kind != LLM_JSON_NULL
                                && m.kind != LLM_JSON_FALSE));
}


/*
 * The client's body.  Providers store responses unless "store" says no, and
 * chats where it says yes; nobody knows the id of what a copy stored, to delete
 * it.
 */

static ngx_int_t
ngx_http_llm_mirror_body(ngx_http_llm_ctx_t *ctx, ngx_str_t *body)
{
    u_char             *p, *last, *from, *to;
    llm_str_t           text;
    llm_json_iter_t     it;
    llm_json_member_t   m;

    *body = ctx->body;

    if (ctx->analyze || (ctx->endpoint != LLM_EP_RESPONSES
                         && ctx->endpoint != LLM_EP_CHAT))
    {
        return NGX_OK;
    }

    if (llm_json_get(ngx_http_llm_view(body), LLM_STR("store"), &m) == LLM_OK) {
        from = (u_char *) m.value.data;
        to = from + m.value.len;
        text = LLM_STR("false");

    } else if (ctx->endpoint == LLM_EP_RESPONSES
               && llm_json_begin(&it, ngx_http_llm_view(body)) == LLM_OK
               && llm_json_next(&it, &m) == LLM_OK)
    {
        /* before the first member */
        from = (u_char *) m.key.data - 1;
        to = from;
        text = LLM_STR("\"store\":false,");

    } else {
        return NGX_OK;
    }

    last = body->data + body->len;

    p = ngx_pnalloc(ctx->request->pool, body->len + text.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_cpymem(p, ctx->body.data, from - ctx->body.data);
    p = ngx_cpymem(p, text.data, text.len);
    p = ngx_cpymem(p, to, last - to);

    body->len = p - body->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_mirror_begin(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    ngx_http_llm_mirror_totals_t *totals)
{
    ngx_str_t                    body;
    ngx_http_request_t          *r;
    ngx_http_llm_ctx_t          *copy;
    ngx_pool_cleanup_t          *cln;
    ngx_http_llm_shadow_t       *shadow;
    ngx_http_llm_mirror_conf_t  *conf;

    conf = ctx->split->mirror;

    if (ctx->body.len > conf->max_body || conf->running >= conf->inflight
        || ngx_http_llm_mirror_body(ctx, &body) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    r = ngx_http_llm_copy(ctx->request, &body);

    if (body.data != ctx->body.data) {
        (void) ngx_pfree(ctx->request->pool, body.data);
    }

    if (r == NULL) {
        return NGX_DECLINED;
    }

    copy = ngx_http_llm_create_ctx(r);
    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_llm_shadow_t));

    if (copy == NULL || cln == NULL) {
        ngx_http_llm_copy_close(r);
        return NGX_DECLINED;
    }

    shadow = cln->data;
    ngx_memzero(shadow, sizeof(ngx_http_llm_shadow_t));

    shadow->conf = conf;
    shadow->totals = totals;
    copy->shadow = shadow;

    cln->handler = ngx_http_llm_mirror_cleanup;
    conf->running++;

    ngx_http_llm_result(ctx, class, r->pool, &shadow->served);

    return NGX_OK;
}


/* What became of a copy that was never sent is known only when it is gone. */

static void
ngx_http_llm_mirror_cleanup(void *data)
{
    ngx_http_llm_shadow_t *shadow = data;

    shadow->conf->running--;

    if (!shadow->counted) {
        ngx_http_llm_tally(&shadow->totals->skipped, 1);
    }
}


void
ngx_http_llm_mirror_run(ngx_http_request_t *r)
{
    llm_str_t            message;
    llm_code_t           code;
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_get_ctx(r);

    if (ngx_http_llm_view_body(ctx) != NGX_OK) {
        ngx_http_llm_copy_close(r);
        return;
    }

    message = LLM_NOSTR;
    code = ngx_http_llm_find_endpoint(ctx);

    if (code == LLM_CODE_NONE) {
        code = ngx_http_llm_read_facts(ctx, &message);
    }

    if (code == LLM_CODE_NONE) {
        ctx->route = ctx->shadow->conf->variant->route;
        ngx_http_llm_estimate(ctx, ctx->route);
        code = ngx_http_llm_check_targets(ctx, &message);
    }

    if (code != LLM_CODE_NONE) {
        /* what the client got it got from a model that can do more */
        ngx_http_llm_copy_close(r);
        return;
    }

    llm_request_need(&ctx->facts, &ctx->need);

    /* no client will ask for what a copy made */
    ctx->learned = 1;

    if (ctx->facts.stream) {
        (void) ngx_http_llm_hear(ctx);
    }

    ngx_http_llm_attempt_start(ctx);
}


static void
ngx_http_llm_mirror_end(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ngx_http_request_t            *r;
    ngx_http_llm_result_t          copy;
    ngx_http_llm_shadow_t         *shadow;
    ngx_http_llm_mirror_totals_t  *t;

    r = ctx->request;
    shadow = ctx->shadow;
    t = shadow->totals;

    /* no header is made of it, and no post_action follows */
    r->post_action = 1;

    if (ctx->sends == 0 || class == LLM_CLASS_CLIENT_GONE) {
        return;
    }

    ngx_http_llm_result(ctx, class, r->pool, &copy);

    shadow->counted = 1;
    ngx_http_llm_tally(&t->copies, 1);
    ngx_http_llm_tally(&t->errors, copy.error);
    ngx_http_llm_tally(&t->served_errors, shadow->served.error);

    if (copy.json_checked && shadow->served.json_checked) {
        ngx_http_llm_tally(&t->json_checked, 1);
        ngx_http_llm_tally(&t->json_invalid, copy.json_invalid);
        ngx_http_llm_tally(&t->served_json_invalid,
                           shadow->served.json_invalid);
    }

    if (!copy.error && !shadow->served.error) {
        ngx_http_llm_compare(shadow, &copy, r->pool);
    }
}


/* Two answers to one request: like is compared with like, so a number counts
 * only where both have it. */

static void
ngx_http_llm_compare(ngx_http_llm_shadow_t *shadow,
    ngx_http_llm_result_t *copy, ngx_pool_t *pool)
{
    size_t                         size;
    u_char                        *scratch;
    uint32_t                       members, equal;
    ngx_http_llm_result_t         *served;
    ngx_http_llm_mirror_totals_t  *t;

    t = shadow->totals;
    served = &shadow->served;

    ngx_http_llm_tally_time(t->time, copy->time);
    ngx_http_llm_tally_time(t->served_time, served->time);

    if (copy->output != LLM_UNKNOWN && served->output != LLM_UNKNOWN) {
        ngx_http_llm_tally(&t->output, copy->output);
        ngx_http_llm_tally(&t->served_output, served->output);
    }

    if (!copy->has_text || !served->has_text) {
        return;
    }

    ngx_http_llm_tally(&t->length, copy->text.len);
    ngx_http_llm_tally(&t->served_length, served->text.len);

    size = ngx_max(copy->text.len, served->text.len);

    if (size == 0 || size > NGX_HTTP_LLM_COMPARED) {
        return;
    }

    scratch = ngx_palloc(pool, size);

    if (scratch
        && llm_compare(ngx_http_llm_view(&copy->text),
                       ngx_http_llm_view(&served->text), scratch, size,
                       &members, &equal)
           == LLM_OK)
    {
        ngx_http_llm_tally(&t->members, members);
        ngx_http_llm_tally(&t->members_equal, equal);
    }
}


/* What a settled request came to; texts are copied to `pool`. */

static void
ngx_http_llm_result(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    ngx_pool_t *pool, ngx_http_llm_result_t *result)
{
    llm_str_t  text;

    ngx_memzero(result, sizeof(ngx_http_llm_result_t));

    result->time = ngx_current_msec - ctx->ready;
    result->error = (class != LLM_CLASS_OK);
    result->json_checked = ctx->send->json_checked;
    result->json_invalid = ctx->send->json_invalid;
    result->output = ctx->usage.output;

    if (class != LLM_CLASS_OK) {
        return;
    }

    if (ctx->committed) {

        if (ngx_http_llm_heard(ctx, &text) == NGX_OK) {
            ngx_http_llm_result_keep(pool, text, result);
        }

    } else if (ctx->send->body) {
        ngx_http_llm_result_text(ctx, pool, result);
    }
}


/* The content of a collected answer. */

static void
ngx_http_llm_result_text(ngx_http_llm_ctx_t *ctx, ngx_pool_t *pool,
    ngx_http_llm_result_t *result)
{
    u_char        *mem;
    u_char         scratch[256];
    llm_buf_t      text;
    llm_str_t      body;
    ngx_buf_t     *b;
    llm_answer_t   answer;

    b = ctx->send->body;
    body.data = b->pos;
    body.len = b->last - b->pos;

    if (ctx->analyze) {
        ngx_http_llm_result_keep(pool, body, result);
        return;
    }

    ngx_memzero(&answer, sizeof(llm_answer_t));
    llm_buf_init(&text, scratch, sizeof(scratch));

    ngx_http_llm_answer_dialect(ctx)->answer(ctx->endpoint, body, &text,
                                             &answer);

    if (answer.content.len == 0) {
        return;
    }

    mem = ngx_pnalloc(pool, answer.content.len);
    if (mem == NULL) {
        return;
    }

    llm_buf_init(&text, mem, answer.content.len);

    if (llm_json_unescape(answer.content, &text) == LLM_OK) {
        result->text.data = text.start;
        result->text.len = text.pos - text.start;
        result->has_text = 1;
    }
}


static void
ngx_http_llm_result_keep(ngx_pool_t *pool, llm_str_t text,
    ngx_http_llm_result_t *result)
{
    u_char  *p;

    p = ngx_pnalloc(pool, text.len + 1);
    if (p == NULL) {
        return;
    }

    ngx_memcpy(p, text.data, text.len);

    result->text.data = p;
    result->text.len = text.len;
    result->has_text = 1;
}


static void
ngx_http_llm_tally(uint64_t *n, uint64_t add)
{
    if (add) {
        (void) __atomic_fetch_add(n, add, __ATOMIC_RELAXED);
    }
}


static void
ngx_http_llm_tally_time(uint32_t *bucket, ngx_msec_t time)
{
    (void) __atomic_fetch_add(&bucket[llm_hist_bucket(time)], 1,
                              __ATOMIC_RELAXED);
}
