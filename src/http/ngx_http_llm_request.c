/*
 * From the client's bytes to a route: endpoint, body, facts, targets.
 *
 * The body is read whole before anything is decided, because a retry sends it
 * again.
 */

#include "ngx_http_llm_policy.h"
#include "ngx_http_llm_sample.h"

#include <openssl/rand.h>


#define NGX_HTTP_LLM_RANDOM_POOL  4096


static ngx_int_t ngx_http_llm_refuse_unread(ngx_http_llm_ctx_t *ctx,
    llm_code_t code, llm_str_t message);
static ngx_int_t ngx_http_llm_read_body(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_request_id(ngx_http_llm_ctx_t *ctx);
static llm_code_t ngx_http_llm_check_headers(ngx_http_llm_ctx_t *ctx);
static llm_code_t ngx_http_llm_scan_headers(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_header_is(ngx_table_elt_t *h,
    const char *name);
static void ngx_http_llm_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_have_body(ngx_http_llm_ctx_t *ctx);
static llm_code_t ngx_http_llm_read_form(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
static llm_code_t ngx_http_llm_read_audio(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
static llm_code_t ngx_http_llm_cannot(ngx_http_llm_ctx_t *ctx, unsigned lacks,
    llm_str_t *message);


ngx_int_t
ngx_http_llm_handler(ngx_http_request_t *r)
{
    llm_code_t           code;
    llm_str_t            message;
    ngx_http_llm_ctx_t  *ctx;

    if (r != r->main) {
        /* it has no body of its own to send anywhere */
        return ngx_http_llm_app_subrequest(r);
    }

    ctx = ngx_http_llm_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->llcf->proxy) {
        code = ngx_http_llm_allowed_here(ctx, &message);

        if (code != LLM_CODE_NONE) {
            return ngx_http_llm_refuse_unread(ctx, code, message);
        }

        if (ngx_http_llm_choose(ctx, ctx->llcf->split) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (ctx->split->variants[ctx->variant].route == NULL) {
            return ngx_http_llm_app_pass(ctx);
        }
    }

    message = LLM_NOSTR;
    code = ngx_http_llm_find_endpoint(ctx);

    if (code == LLM_CODE_NONE) {
        code = ngx_http_llm_upgrade_check(ctx, &message);
    }

    if (code == LLM_CODE_NONE) {
        code = ngx_http_llm_check_headers(ctx);
    }

    if (code != LLM_CODE_NONE) {
        return ngx_http_llm_refuse_unread(ctx, code, message);
    }

    return ngx_http_llm_read_body(ctx);
}


static ngx_int_t
ngx_http_llm_refuse_unread(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    llm_str_t message)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(ctx->request);

    return rc == NGX_OK ? ngx_http_llm_refuse(ctx, code, message) : rc;
}


static ngx_int_t
ngx_http_llm_read_body(ngx_http_llm_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    r->request_body_no_buffering = ngx_http_llm_upload_wanted(ctx);
    r->request_body_in_single_buf = 1;
    r->request_body_file_log_level = NGX_LOG_INFO;

    rc = ngx_http_read_client_request_body(r, ngx_http_llm_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


ngx_http_llm_ctx_t *
ngx_http_llm_create_ctx(ngx_http_request_t *r)
{
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_llm_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);
    ctx->llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);
    ctx->caller = ngx_http_llm_caller(r);
    ctx->started = ngx_current_msec;
    ctx->cost = LLM_UNKNOWN;
    ctx->wait = LLM_NEVER;
    llm_usage_init(&ctx->usage);

    if (ngx_http_llm_request_id(ctx) != NGX_OK) {
        return NULL;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_llm_gateway_module);

    return ctx;
}


/*
 * 128 random bits a request, drawn from the system in batches: the id is what
 * feedback is accepted for, so it must not be guessable.
 */

static ngx_int_t
ngx_http_llm_request_id(ngx_http_llm_ctx_t *ctx)
{
    static u_char      pool[NGX_HTTP_LLM_RANDOM_POOL];
    static ngx_uint_t  left;

    if (left == 0) {

        if (RAND_bytes(pool, sizeof(pool)) != 1) {
            ngx_log_error(NGX_LOG_CRIT, ctx->request->connection->log, 0,
                          "RAND_bytes() failed");
            return NGX_ERROR;
        }

        left = sizeof(pool);
    }

    left -= 16;
    ngx_hex_dump(ctx->id, pool + left, 16);

    return NGX_OK;
}


llm_code_t
ngx_http_llm_find_endpoint(ngx_http_llm_ctx_t *ctx)
{
    llm_str_t            path, rest, name;
    ngx_http_request_t  *r;

    r = ctx->request;
    ctx->analyze = (ctx->llcf->prompt != NULL);
    ctx->transcribe = (ctx->llcf->transcribe != NULL);

    if (ctx->analyze) {
        ctx->endpoint = LLM_EP_CHAT;
        return LLM_CODE_NONE;
    }

    if (ctx->transcribe) {
        ctx->endpoint = LLM_EP_TRANSCRIPTIONS;
        return LLM_CODE_NONE;
    }

    if (ctx->llcf->endpoint != LLM_EP_UNKNOWN) {
        ctx->endpoint = ctx->llcf->endpoint;
        ctx->passthrough = (ctx->endpoint == LLM_EP_PASSTHROUGH);
        return LLM_CODE_NONE;
    }

    path = ngx_http_llm_view(&r->uri);

    if (llm_endpoint_find(path, &ctx->endpoint, &rest) != LLM_OK) {
        return LLM_CODE_CALLER_UNKNOWN_ENDPOINT;
    }

    name = llm_endpoint_deployment(path, ctx->endpoint, rest);

    ctx->deployment.len = name.len;
    ctx->deployment.data = (u_char *) name.data;

    ctx->rest.len = rest.len;
    ctx->rest.data = (u_char *) rest.data;

    return LLM_CODE_NONE;
}


/* What can be refused before a byte of the body is read. */

static llm_code_t
ngx_http_llm_check_headers(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->passthrough) {
        return LLM_CODE_NONE;
    }

    switch (llm_endpoint_info(ctx->endpoint)->body) {

    case LLM_BODY_NONE:
        if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_DELETE))) {
            return LLM_CODE_CALLER_METHOD;
        }

        break;

    case LLM_BODY_ANY:
        break;

    default:

        /* "/responses/ID" and its like are read, cancelled or deleted */

        if (r->method != NGX_HTTP_POST && ctx->rest.len == 0) {
            return LLM_CODE_CALLER_METHOD;
        }
    }

    return ngx_http_llm_scan_headers(ctx);
}


static llm_code_t
ngx_http_llm_scan_headers(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &ctx->request->headers_in.headers.part; part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_llm_header_is(&h[i], "content-encoding")
                && (h[i].value.len != 8
                    || ngx_strncasecmp(h[i].value.data, (u_char *) "identity",
                                       8)
                       != 0))
            {
                return LLM_CODE_CALLER_ENCODING;
            }

            if (ngx_http_llm_header_is(&h[i], "x-stainless-retry-count")) {
                ctx->client_retry = (ngx_atoi(h[i].value.data, h[i].value.len)
                                     > 0);
            }
        }
    }

    return LLM_CODE_NONE;
}


static ngx_uint_t
ngx_http_llm_header_is(ngx_table_elt_t *h, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    return h->key.len == len
           && ngx_strncasecmp(h->key.data, (u_char *) name, len) == 0;
}


static void
ngx_http_llm_body_handler(ngx_http_request_t *r)
{
    llm_str_t            message;
    llm_code_t           code;
    ngx_http_llm_ctx_t  *ctx;

    ctx = ngx_http_llm_get_ctx(r);

    /* an attempt must not find the file closed by the one before it */
    r->preserve_body = 1;

    message = LLM_NOSTR;

    if (ngx_http_llm_have_body(ctx) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    code = ngx_http_llm_read_facts(ctx, &message);

    if (code == LLM_CODE_CALLER_INVALID_JSON && !ngx_http_llm_says_json(r)) {
        code = LLM_CODE_CALLER_MEDIA_TYPE;
    }

    if (code == LLM_CODE_NONE
        && ctx->endpoint == LLM_EP_MODELS
        && !ctx->llcf->provider_pass)
    {
        ngx_http_finalize_request(r, ngx_http_llm_send_models(ctx));
        return;
    }

    if (code == LLM_CODE_NONE) {
        code = ngx_http_llm_find_route(ctx, &message);
    }

    if (code == LLM_CODE_NONE) {
        ngx_http_llm_policy_begin(ctx);
        code = ngx_http_llm_check_targets(ctx, &message);
    }

    if (code == LLM_CODE_CALLER_UNSUPPORTED && ngx_http_llm_asks_count(ctx)) {
        ngx_http_finalize_request(r, ngx_http_llm_send_count(ctx));
        return;
    }

    if (code == LLM_CODE_NONE) {
        code = ngx_http_llm_policy_admit(ctx, &message);
    }

    if (code != LLM_CODE_NONE) {
        ngx_http_finalize_request(r, ngx_http_llm_refuse(ctx, code, message));
        return;
    }

    if (ctx->object) {
        ngx_http_llm_object_bind(ctx);

    } else {
        ngx_http_llm_session_bind(ctx);
    }

    llm_request_need(&ctx->facts, &ctx->need);

    ngx_http_llm_sample_choose(ctx);
    ngx_http_llm_mirror_choose(ctx);
    ngx_http_llm_release_body(ctx);
    ngx_http_llm_attempt_start(ctx);
}


/* nginx turns the flag off where all of the body has come. */

static ngx_int_t
ngx_http_llm_have_body(ngx_http_llm_ctx_t *ctx)
{
    return ctx->request->request_body_no_buffering
           ? ngx_http_llm_upload_begin(ctx) : ngx_http_llm_view_body(ctx);
}


/* JSON is taken whatever it is called; a wrong name explains a failure. */

ngx_uint_t
ngx_http_llm_says_json(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = r->headers_in.content_type;

    return h == NULL
           || ngx_strlcasestrn(h->value.data, h->value.data + h->value.len,
                               (u_char *) "json", 4 - 1)
              != NULL;
}


llm_code_t
ngx_http_llm_read_facts(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    llm_buf_t            mem;
    llm_body_t           kind;
    llm_code_t           code;
    ngx_http_request_t  *r;

    r = ctx->request;
    code = LLM_CODE_NONE;

    ctx->facts.endpoint = ctx->endpoint;
    ctx->facts.body = ngx_http_llm_view(&ctx->body);

    if (ctx->analyze) {
        return ngx_http_llm_analyze_facts(ctx, message);
    }

    if (ctx->endpoint == LLM_EP_REALTIME) {
        return ngx_http_llm_realtime_facts(ctx, message);
    }

    kind = llm_endpoint_info(ctx->endpoint)->body;

    if (kind == LLM_BODY_NONE || kind == LLM_BODY_ANY
        || r->method != NGX_HTTP_POST
        || (ctx->rest.len && ctx->body.len == 0))
    {
        /* "/responses/ID/cancel" says all it has to say */
        ctx->facts.need = llm_endpoint_info(ctx->endpoint)->can;
        return LLM_CODE_NONE;
    }

    if (kind == LLM_BODY_JSON) {
        llm_buf_init(&mem, ctx->model_mem, sizeof(ctx->model_mem));

        (void) llm_request_json(&ctx->facts, ctx->endpoint,
                                ngx_http_llm_view(&ctx->body), &mem, &code,
                                message);

    } else {
        code = ngx_http_llm_read_form(ctx, message);
    }

    if (code == LLM_CODE_NONE && ctx->deployment.len) {
        /* it counts, as at Azure, whatever the body says */
        (void) llm_request_model(&ctx->facts,
                                 ngx_http_llm_view(&ctx->deployment), &code,
                                 message);
    }

    ctx->model.len = ctx->facts.model.len;
    ctx->model.data = (u_char *) ctx->facts.model.data;

    return code;
}


static llm_code_t
ngx_http_llm_read_form(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    ngx_str_t           *type;
    llm_code_t           code;
    llm_part_t          *part;
    ngx_http_request_t  *r;

    r = ctx->request;
    code = LLM_CODE_NONE;

    if (r->headers_in.content_type == NULL) {
        return LLM_CODE_CALLER_MEDIA_TYPE;
    }

    type = &r->headers_in.content_type->value;

    if (ctx->transcribe
        && ngx_strncasecmp(type->data, (u_char *) "multipart/", 10) != 0)
    {
        return ngx_http_llm_read_audio(ctx, message);
    }

    part = ngx_palloc(r->pool, LLM_MULTIPART_MAX * sizeof(llm_part_t));
    if (part == NULL) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    (void) llm_request_multipart(&ctx->facts, ctx->endpoint,
                                 ngx_http_llm_view(&ctx->body),
                                 ngx_http_llm_view(type), part, &code,
                                 message);

    /* speech models stream or ignore the wish; `can stream` is for text */
    ctx->facts.need &= ~(unsigned) LLM_CAN_STREAM;

    return code;
}


/* /transcribe also takes the audio itself as the body. */

static llm_code_t
ngx_http_llm_read_audio(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    llm_str_t   head, format;
    ngx_str_t  *type;

    type = &ctx->request->headers_in.content_type->value;

    head = ngx_http_llm_view(&ctx->body);
    head.len = ngx_min(head.len, 64);

    format = llm_audio_format(head, ngx_http_llm_view(type), LLM_NOSTR);

    if (format.len == 0) {
        *message = LLM_STR("send multipart/form-data, or the audio itself "
                           "with an audio content type");
        return LLM_CODE_CALLER_MEDIA_TYPE;
    }

    if (ctx->body.len == 0) {
        return LLM_CODE_CALLER_EMPTY_AUDIO;
    }

    ctx->raw_audio.len = format.len;
    ctx->raw_audio.data = (u_char *) format.data;

    ctx->facts.kind = LLM_BODY_ANY;
    ctx->facts.need = LLM_CAN_TRANSCRIBE;
    ctx->facts.response_format = LLM_STR("json");
    ctx->facts.sound = ctx->facts.body;
    ctx->facts.format = format;
    ctx->facts.audio_ms = llm_audio_estimate(head, ctx->body.len);

    return LLM_CODE_NONE;
}


/*
 * Tokens, and what the messages hold, take a second look at the whole body:
 * only where a limit, a declared capability, or a context that this body might
 * exceed asks for it.
 */

void
ngx_http_llm_estimate(ngx_http_llm_ctx_t *ctx, ngx_http_llm_route_t *route)
{
    ngx_uint_t              i;
    ngx_http_llm_target_t  *t;

    if (ctx->facts.kind != LLM_BODY_JSON || ctx->facts.prompt_tokens
        || route == NULL)
    {
        return;
    }

    for (i = 0; i < route->ntargets; i++) {
        t = &route->targets[i];

        if ((t->model && t->model->can_set)
            || (t->provider->pool && t->provider->pool->limited)
            || (ctx->split && t->model && t->model->context
                && ctx->body.len / 3 > t->model->context))
        {
            llm_request_estimate(&ctx->facts);
            return;
        }
    }
}


/*
 * Marks the targets that cannot serve this request: endpoints that a dialect
 * does not have, declared capabilities, providers that are off, prices that a
 * budget needs.  A request that no target can serve is refused here.
 */

llm_code_t
ngx_http_llm_check_targets(ngx_http_llm_ctx_t *ctx, llm_str_t *message)
{
    unsigned                lacks;
    ngx_uint_t              i, able, deaf, unpriced;
    ngx_http_llm_target_t  *t;

    able = 0;
    unpriced = 0;
    lacks = 0;
    deaf = 0;

    for (i = 0; i < ctx->route->ntargets; i++) {
        t = &ctx->route->targets[i];

        if (!ngx_http_llm_target_is_on(t)) {
            ctx->skipped |= (uint64_t) 1 << i;
            continue;
        }

        if (ngx_http_llm_way(ctx, t->provider) == LLM_WAY_NONE) {
            ctx->skipped |= (uint64_t) 1 << i;
            deaf++;
            continue;
        }

        if (t->model && t->model->can_set
            && (ctx->facts.need & ~t->model->can))
        {
            lacks |= ctx->facts.need & ~(unsigned) t->model->can;
            ctx->skipped |= (uint64_t) 1 << i;
            continue;
        }

        if (ctx->priced && !ngx_http_llm_policy_priced(t)) {
            ctx->skipped |= (uint64_t) 1 << i;
            unpriced++;
            continue;
        }

        able++;
    }

    if (able) {
        return LLM_CODE_NONE;
    }

    if (unpriced) {
        return LLM_CODE_POLICY_PRICE_UNKNOWN;
    }

    if (lacks == 0 && deaf == 0) {
        return LLM_CODE_GATEWAY_NO_TARGET;
    }

    return ngx_http_llm_cannot(ctx, lacks, message);
}


/* No target can do the first of these; none: no dialect has the endpoint. */

static llm_code_t
ngx_http_llm_cannot(ngx_http_llm_ctx_t *ctx, unsigned lacks,
    llm_str_t *message)
{
    u_char     *p;
    llm_str_t   word;

    if (lacks == 0) {
        *message = LLM_STR("no provider behind this name has this endpoint");
        return LLM_CODE_CALLER_UNSUPPORTED;
    }

    word = llm_can_name(lacks);

    p = ngx_pnalloc(ctx->request->pool,
                    sizeof("no model behind this name can ") + word.len);
    if (p == NULL) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    message->data = p;
    p = ngx_cpymem(p, "no model behind this name can ",
                   sizeof("no model behind this name can ") - 1);
    p = ngx_cpymem(p, word.data, word.len);
    message->len = p - message->data;

    return LLM_CODE_CALLER_UNSUPPORTED;
}


ngx_uint_t
ngx_http_llm_target_is_on(ngx_http_llm_target_t *t)
{
    return ngx_http_llm_switch_is_on(&t->provider->enabled)
           && (t->model == NULL
               || ngx_http_llm_switch_is_on(&t->model->enabled));
}
