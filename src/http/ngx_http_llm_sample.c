/*
 * Samples: which requests are kept, and what a line says about one.
 *
 * Texts only: of audio and files a line has the type and the size.  Headers,
 * and with them keys, are never written.
 */

#include "ngx_http_llm_sample.h"
#include "ngx_http_llm_sample_file.h"


#define NGX_HTTP_LLM_SAMPLE_BODY    262144      /* of a request, of an answer */
#define NGX_HTTP_LLM_SAMPLE_ROW     2048        /* beside texts and names */
#define NGX_HTTP_LLM_SAMPLE_ESCAPE  6           /* bytes for one, at most */


static size_t ngx_http_llm_sample_size(ngx_http_llm_ctx_t *ctx,
    llm_str_t request, llm_str_t answer);
static void ngx_http_llm_sample_head(llm_buf_t *out, ngx_str_t *id,
    ngx_http_llm_split_t *split, uint32_t variant);
static void ngx_http_llm_sample_facts(ngx_http_llm_ctx_t *ctx, llm_buf_t *out);
static void ngx_http_llm_sample_request(ngx_http_llm_ctx_t *ctx,
    llm_str_t *text, ngx_str_t *type, off_t *size);
static void ngx_http_llm_sample_answer(ngx_http_llm_ctx_t *ctx,
    llm_str_t *text, ngx_str_t *type, off_t *size);
static ngx_uint_t ngx_http_llm_sample_is_text(ngx_str_t *type);
static void ngx_http_llm_sample_body(llm_buf_t *out, llm_str_t key,
    llm_str_t text, ngx_str_t *type, off_t size);
static void ngx_http_llm_sample_string(llm_buf_t *out, llm_str_t key,
    llm_str_t value);
static void ngx_http_llm_sample_number(llm_buf_t *out, llm_str_t key,
    uint64_t n);


char *
ngx_http_llm_sample_init(ngx_conf_t *cf, ngx_http_llm_sample_conf_t *scf)
{
    if (ngx_conf_full_name(cf->cycle, &scf->file, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    scf->fd = NGX_INVALID_FILE;

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "\"sample\" writes prompts and answers, which may hold "
                       "personal data, to \"%V\"", &scf->file);

    return NGX_CONF_OK;
}


void
ngx_http_llm_sample_choose(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->split == NULL || ctx->split->sample == NULL || ctx->shadow
        || ctx->tunnel
        || (uint32_t) ngx_random() % LLM_SPLIT_BUCKETS
           >= ctx->split->sample->share)
    {
        return;
    }

    /* without memory there is one sample less */

    ctx->sampled = (ngx_http_llm_hear(ctx) == NGX_OK);
}


void
ngx_http_llm_sample_end(ngx_http_llm_ctx_t *ctx)
{
    off_t                   request_size, answer_size;
    size_t                  size;
    u_char                 *mem;
    ngx_str_t               id, request_type, answer_type;
    llm_buf_t               out;
    llm_str_t               request, answer;
    ngx_http_request_t     *r;

    r = ctx->request;

    ngx_http_llm_sample_request(ctx, &request, &request_type, &request_size);
    ngx_http_llm_sample_answer(ctx, &answer, &answer_type, &answer_size);

    size = ngx_http_llm_sample_size(ctx, request, answer);

    mem = ngx_palloc(r->pool, size);
    if (mem == NULL) {
        return;
    }

    id.data = ctx->id;
    id.len = sizeof(ctx->id);

    llm_buf_init(&out, mem, size);

    ngx_http_llm_sample_head(&out, &id, ctx->split, (uint32_t) ctx->variant);
    ngx_http_llm_sample_facts(ctx, &out);
    ngx_http_llm_sample_body(&out, LLM_STR("request"), request, &request_type,
                             request_size);
    ngx_http_llm_sample_body(&out, LLM_STR("answer"), answer, &answer_type,
                             answer_size);
    llm_buf_str(&out, LLM_STR("}\n"));

    if (!out.full) {
        ngx_http_llm_sample_write(ctx->split->sample, out.start,
                                  out.pos - out.start, r->connection->log);
    }

    (void) ngx_pfree(r->pool, mem);
}


void
ngx_http_llm_sample_comment(ngx_http_request_t *r, ngx_http_llm_split_t *split,
    uint32_t variant, ngx_str_t *id, ngx_str_t *score, ngx_str_t *comment)
{
    size_t      size;
    u_char     *mem;
    llm_buf_t   out;

    size = NGX_HTTP_LLM_SAMPLE_ROW
           + NGX_HTTP_LLM_SAMPLE_ESCAPE
             * (comment->len + split->name.len
                + split->store.experiment.len
                + split->variants[variant].name.len);

    mem = ngx_palloc(r->pool, size);
    if (mem == NULL) {
        return;
    }

    llm_buf_init(&out, mem, size);

    ngx_http_llm_sample_head(&out, id, split, variant);
    ngx_http_llm_sample_string(&out, LLM_STR("score"),
                               ngx_http_llm_view(score));
    ngx_http_llm_sample_string(&out, LLM_STR("comment"),
                               ngx_http_llm_view(comment));
    llm_buf_str(&out, LLM_STR("}\n"));

    if (!out.full) {
        ngx_http_llm_sample_write(split->sample, out.start,
                                  out.pos - out.start, r->connection->log);
    }
}


static size_t
ngx_http_llm_sample_size(ngx_http_llm_ctx_t *ctx, llm_str_t request,
    llm_str_t answer)
{
    size_t                 names;
    ngx_http_llm_split_t  *split;

    split = ctx->split;
    names = split->name.len + split->store.experiment.len
            + split->variants[ctx->variant].name.len;

    if (ctx->send && ctx->send->target) {
        names += ctx->send->target->provider->name.len;
        names += ctx->send->target->model
                 ? ctx->send->target->model->name.len : ctx->model.len;
    }

    return NGX_HTTP_LLM_SAMPLE_ROW
           + NGX_HTTP_LLM_SAMPLE_ESCAPE * (names + request.len + answer.len);
}


/* ---- what a line says ---------------------------------------------------- */

static void
ngx_http_llm_sample_head(llm_buf_t *out, ngx_str_t *id,
    ngx_http_llm_split_t *split, uint32_t variant)
{
    u_char       time[sizeof("2026-11-21T10:00:00.000Z")];
    ngx_tm_t     tm;
    ngx_time_t  *tp;

    tp = ngx_timeofday();
    ngx_gmtime(tp->sec, &tm);

    (void) ngx_sprintf(time, "%4d-%02d-%02dT%02d:%02d:%02d.%03MZ",
                       tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                       tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                       tp->msec);

    llm_buf_str(out, LLM_STR("{\"time\":"));
    llm_json_put_string(out, (llm_str_t) { sizeof(time) - 1, time });
    ngx_http_llm_sample_string(out, LLM_STR("request_id"),
                               ngx_http_llm_view(id));
    ngx_http_llm_sample_string(out, LLM_STR("split"),
                               ngx_http_llm_view(&split->name));
    ngx_http_llm_sample_string(out, LLM_STR("variant"),
                           ngx_http_llm_view(&split->variants[variant].name));

    if (split->store.experiment.len) {
        ngx_http_llm_sample_string(out, LLM_STR("experiment"),
                                ngx_http_llm_view(&split->store.experiment));
    }
}


static void
ngx_http_llm_sample_facts(ngx_http_llm_ctx_t *ctx, llm_buf_t *out)
{
    ngx_str_t              *model;
    ngx_http_llm_target_t  *t;

    t = ctx->send ? ctx->send->target : NULL;

    if (t) {
        model = t->model ? &t->model->name : &ctx->model;

        ngx_http_llm_sample_string(out, LLM_STR("provider"),
                                   ngx_http_llm_view(&t->provider->name));
        ngx_http_llm_sample_string(out, LLM_STR("model"),
                                   ngx_http_llm_view(model));
    }

    ngx_http_llm_sample_string(out, LLM_STR("class"),
                               llm_class_name(ctx->class));
    ngx_http_llm_sample_number(out, LLM_STR("ms"),
                               ngx_current_msec - ctx->started);
    ngx_http_llm_sample_number(out, LLM_STR("input_tokens"), ctx->usage.input);
    ngx_http_llm_sample_number(out, LLM_STR("output_tokens"),
                               ctx->usage.output);

    if (ctx->cost != LLM_UNKNOWN) {
        llm_buf_str(out, LLM_STR(",\"cost\":"));
        llm_price_put(out, ctx->cost);
    }
}


/* A text, or the type and size of what is none. */

static void
ngx_http_llm_sample_request(ngx_http_llm_ctx_t *ctx, llm_str_t *text,
    ngx_str_t *type, off_t *size)
{
    ngx_table_elt_t  *h;

    *text = LLM_NOSTR;
    *size = ctx->body.len;
    ngx_str_null(type);

    h = ctx->request->headers_in.content_type;

    if (h) {
        *type = h->value;
    }

    if (ctx->analyze || ctx->facts.kind == LLM_BODY_JSON) {
        *text = ngx_http_llm_view(&ctx->body);
        text->len = ngx_min(text->len, NGX_HTTP_LLM_SAMPLE_BODY);
    }
}


static void
ngx_http_llm_sample_answer(ngx_http_llm_ctx_t *ctx, llm_str_t *text,
    ngx_str_t *type, off_t *size)
{
    ngx_buf_t  *b;

    b = ctx->send ? ctx->send->body : NULL;

    *text = LLM_NOSTR;
    *size = 0;
    ngx_str_null(type);

    if (ctx->committed) {
        *size = (ngx_http_llm_heard(ctx, text) == NGX_OK) ? (off_t) text->len
                                                          : -1;
        return;
    }

    if (ctx->class != LLM_CLASS_OK || b == NULL) {
        return;
    }

    *size = b->last - b->pos;
    *type = ctx->send->content_type;

    if (ctx->analyze || ngx_http_llm_sample_is_text(type)) {
        text->data = b->pos;
        text->len = ngx_min(b->last - b->pos, NGX_HTTP_LLM_SAMPLE_BODY);
    }
}


static ngx_uint_t
ngx_http_llm_sample_is_text(ngx_str_t *type)
{
    return (type->len >= 5
            && ngx_strncasecmp(type->data, (u_char *) "text/", 5) == 0)
           || (type->len >= 4
               && ngx_strlcasestrn(type->data, type->data + type->len,
                                   (u_char *) "json", 4 - 1)
                  != NULL);
}


/* "answer": "text", with "answer_cut": true when it was longer; or the type and
 * the size. */

static void
ngx_http_llm_sample_body(llm_buf_t *out, llm_str_t key, llm_str_t text,
    ngx_str_t *type, off_t size)
{
    if (text.data) {
        ngx_http_llm_sample_string(out, key, text);

        if (size < 0 || (size_t) size > text.len) {
            llm_buf_str(out, LLM_STR(",\""));
            llm_buf_str(out, key);
            llm_buf_str(out, LLM_STR("_cut\":true"));
        }

        return;
    }

    if (size <= 0) {
        return;
    }

    llm_buf_str(out, LLM_STR(",\""));
    llm_buf_str(out, key);
    llm_buf_str(out, LLM_STR("\":{\"type\":"));
    llm_json_put_string(out, (llm_str_t) { ngx_min(type->len, 128),
                                           type->data });
    ngx_http_llm_sample_number(out, LLM_STR("size"), size);
    llm_buf_str(out, LLM_STR("}"));
}


static void
ngx_http_llm_sample_string(llm_buf_t *out, llm_str_t key, llm_str_t value)
{
    llm_buf_str(out, LLM_STR(",\""));
    llm_buf_str(out, key);
    llm_buf_str(out, LLM_STR("\":"));
    llm_json_put_string(out, value);
}


static void
ngx_http_llm_sample_number(llm_buf_t *out, llm_str_t key, uint64_t n)
{
    if (n == LLM_UNKNOWN) {
        return;
    }

    llm_buf_str(out, LLM_STR(",\""));
    llm_buf_str(out, key);
    llm_buf_str(out, LLM_STR("\":"));
    llm_json_put_uint(out, n);
}
