/*
 * llm_feedback: what people think of an answer, credited to the variant that
 * gave it.
 *
 * The id is the one the client got with the answer, 128 random bits: who knows
 * it may vote.  The reply says nothing about splits or variants.
 */

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_sample.h"


#define NGX_HTTP_LLM_FEEDBACK_BODY   16384
#define NGX_HTTP_LLM_FEEDBACK_REPLY  1024


enum {
    NGX_HTTP_LLM_F_REQUEST_ID = 0,
    NGX_HTTP_LLM_F_RESPONSE_ID,
    NGX_HTTP_LLM_F_SCORE,
    NGX_HTTP_LLM_F_COMMENT,
    NGX_HTTP_LLM_F_N
};


/* A vote, and why it cannot be one. */
typedef struct {
    u_char      id[32];
    int         vote;
    ngx_uint_t  forwarded;              /* to the node that served it */
    ngx_str_t   comment;
    llm_code_t  code;
    llm_str_t   message;
    llm_str_t   param;
} ngx_http_llm_feedback_t;


static ngx_int_t ngx_http_llm_feedback_discard(ngx_http_request_t *r,
    llm_code_t code);
static void ngx_http_llm_feedback_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_feedback_text(ngx_http_request_t *r,
    llm_str_t *text);
static llm_code_t ngx_http_llm_feedback_read(ngx_http_request_t *r,
    llm_str_t body, ngx_http_llm_feedback_t *f);
static llm_code_t ngx_http_llm_feedback_id(ngx_http_request_t *r,
    ngx_http_llm_feedback_t *f, llm_json_want_t *want);
static llm_code_t ngx_http_llm_feedback_string(ngx_http_request_t *r,
    ngx_http_llm_feedback_t *f, llm_json_want_t *want, ngx_str_t *text);
static ngx_uint_t ngx_http_llm_feedback_is(ngx_str_t *a, ngx_str_t *b);
static llm_code_t ngx_http_llm_feedback_count(ngx_http_request_t *r,
    ngx_http_llm_feedback_t *f);
static void ngx_http_llm_feedback_set(ngx_http_request_t *r, ngx_uint_t which,
    ngx_str_t *value);
static ngx_int_t ngx_http_llm_feedback_refuse(ngx_http_request_t *r,
    llm_code_t code, llm_str_t message, llm_str_t param);
static ngx_int_t ngx_http_llm_feedback_send(ngx_http_request_t *r,
    ngx_uint_t status, llm_buf_t *text);


static const llm_json_want_t  ngx_http_llm_feedback_want[] = {
    { .name = LLM_STR("request_id") },
    { .name = LLM_STR("response_id") },
    { .name = LLM_STR("score") },
    { .name = LLM_STR("comment") }
};

/* in the order of lmcf->feedback */

static ngx_str_t  ngx_http_llm_feedback_vars[] = {
    ngx_string("llm_feedback"),
    ngx_string("llm_feedback_id"),
    ngx_string("llm_feedback_comment"),
    ngx_string("llm_error")
};

static ngx_str_t  ngx_http_llm_feedback_allow = ngx_string("Allow");
static ngx_str_t  ngx_http_llm_feedback_post = ngx_string("POST");
static ngx_str_t  ngx_http_llm_feedback_up = ngx_string("up");
static ngx_str_t  ngx_http_llm_feedback_down = ngx_string("down");


char *
ngx_http_llm_feedback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                  index;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_llm_main_conf_t  *lmcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);

    if (clcf->handler == ngx_http_llm_feedback_handler) {
        return "is duplicate";
    }

    if (clcf->handler == ngx_http_llm_handler) {
        return "is incompatible with \"llm_pass\"";
    }

    if (clcf->handler == ngx_http_llm_health_handler) {
        return "is incompatible with \"llm_health\"";
    }

    if (clcf->handler) {
        return "has another handler before it in this location";
    }

    clcf->handler = ngx_http_llm_feedback_handler;

    for (i = 0; i < NGX_HTTP_LLM_FEEDBACK_VARS; i++) {

        index = ngx_http_get_variable_index(cf, &ngx_http_llm_feedback_vars[i]);
        if (index == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }

        lmcf->feedback[i] = index;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_feedback_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (r->method != NGX_HTTP_POST) {

        if (ngx_http_llm_add_header(r, &ngx_http_llm_feedback_allow,
                                    &ngx_http_llm_feedback_post)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_llm_feedback_discard(r, LLM_CODE_CALLER_METHOD);
    }

    if (r->headers_in.content_length_n > NGX_HTTP_LLM_FEEDBACK_BODY) {
        return ngx_http_llm_feedback_discard(r, LLM_CODE_CALLER_TOO_LARGE);
    }

    r->request_body_in_single_buf = 1;
    r->request_body_file_log_level = NGX_LOG_INFO;

    rc = ngx_http_read_client_request_body(r, ngx_http_llm_feedback_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_feedback_discard(ngx_http_request_t *r, llm_code_t code)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_llm_feedback_refuse(r, code, LLM_NOSTR, LLM_NOSTR);
}


static void
ngx_http_llm_feedback_body(ngx_http_request_t *r)
{
    u_char                   *mem;
    ngx_int_t                 rc;
    llm_buf_t                 out;
    llm_str_t                 body;
    ngx_http_llm_feedback_t   f;

    ngx_memzero(&f, sizeof(ngx_http_llm_feedback_t));

    mem = ngx_pnalloc(r->pool, NGX_HTTP_LLM_FEEDBACK_REPLY);

    if (mem == NULL || ngx_http_llm_feedback_text(r, &body) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    f.code = body.len > NGX_HTTP_LLM_FEEDBACK_BODY
             ? LLM_CODE_CALLER_TOO_LARGE
             : ngx_http_llm_feedback_read(r, body, &f);

    if (f.code == LLM_CODE_NONE) {
        f.code = ngx_http_llm_feedback_count(r, &f);
    }

    if (f.code != LLM_CODE_NONE) {
        rc = ngx_http_llm_feedback_refuse(r, f.code, f.message, f.param);

    } else {
        llm_buf_init(&out, mem, NGX_HTTP_LLM_FEEDBACK_REPLY);
        llm_buf_str(&out, LLM_STR("{\"request_id\":"));
        llm_json_put_string(&out, (llm_str_t) { sizeof(f.id), f.id });
        llm_buf_str(&out, f.forwarded ? LLM_STR(",\"forwarded\":true}\n")
                                      : LLM_STR(",\"recorded\":true}\n"));

        rc = ngx_http_llm_feedback_send(r, f.forwarded ? NGX_HTTP_ACCEPTED
                                                       : NGX_HTTP_OK, &out);
    }

    ngx_http_finalize_request(r, rc);
}


/* The body in memory, one byte more than allowed at most.  A body without
 * Content-Length, or a small client_body_buffer_size, may have made a file. */

static ngx_int_t
ngx_http_llm_feedback_text(ngx_http_request_t *r, llm_str_t *text)
{
    u_char       *p;
    size_t        n;
    ssize_t       got;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    *text = LLM_NOSTR;

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_LLM_FEEDBACK_BODY + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        n = (size_t) ngx_min(ngx_buf_size(b), (off_t)
                             (NGX_HTTP_LLM_FEEDBACK_BODY + 1 - text->len));

        if (!b->in_file) {
            ngx_memcpy(p + text->len, b->pos, n);
            text->len += n;
            continue;
        }

        got = ngx_read_file(b->file, p + text->len, n, b->file_pos);

        if (got == NGX_ERROR) {
            return NGX_ERROR;
        }

        text->len += got;
    }

    return NGX_OK;
}


static llm_code_t
ngx_http_llm_feedback_read(ngx_http_request_t *r, llm_str_t body,
    ngx_http_llm_feedback_t *f)
{
    size_t             at;
    llm_code_t         code;
    ngx_str_t          score;
    llm_json_want_t    want[NGX_HTTP_LLM_F_N];
    llm_json_error_t   error;

    ngx_memcpy(want, ngx_http_llm_feedback_want, sizeof(want));

    if (llm_json_pick(body, want, NGX_HTTP_LLM_F_N, &error, &at) != LLM_OK) {
        return error == LLM_JSON_E_DUPLICATE ? LLM_CODE_CALLER_DUPLICATE_KEY
                                             : LLM_CODE_CALLER_INVALID_JSON;
    }

    code = ngx_http_llm_feedback_id(r, f, want);

    if (code == LLM_CODE_NONE) {
        code = ngx_http_llm_feedback_string(r, f, &want[NGX_HTTP_LLM_F_SCORE],
                                            &score);
    }

    if (code != LLM_CODE_NONE) {
        return code;
    }

    if (ngx_http_llm_feedback_is(&score, &ngx_http_llm_feedback_up)) {
        f->vote = 1;

    } else if (ngx_http_llm_feedback_is(&score, &ngx_http_llm_feedback_down)) {
        f->vote = -1;

    } else {
        f->message = LLM_STR("\"score\" is \"up\" or \"down\".");
        return LLM_CODE_CALLER_BAD_VALUE;
    }

    if (want[NGX_HTTP_LLM_F_COMMENT].value.data == NULL
        || want[NGX_HTTP_LLM_F_COMMENT].kind == LLM_JSON_NULL)
    {
        return LLM_CODE_NONE;
    }

    return ngx_http_llm_feedback_string(r, f, &want[NGX_HTTP_LLM_F_COMMENT],
                                        &f->comment);
}


/* Both names are in use for it; upper case letters are no other id. */

static llm_code_t
ngx_http_llm_feedback_id(ngx_http_request_t *r, ngx_http_llm_feedback_t *f,
    llm_json_want_t *want)
{
    u_char            c;
    ngx_str_t         id;
    ngx_uint_t        i;
    llm_code_t        code;
    llm_json_want_t  *w;

    w = &want[NGX_HTTP_LLM_F_REQUEST_ID];

    if (w->value.data == NULL && want[NGX_HTTP_LLM_F_RESPONSE_ID].value.data) {
        w = &want[NGX_HTTP_LLM_F_RESPONSE_ID];
    }

    code = ngx_http_llm_feedback_string(r, f, w, &id);

    if (code != LLM_CODE_NONE) {
        return code;
    }

    for (i = 0; i < id.len && id.len == sizeof(f->id); i++) {
        c = ngx_tolower(id.data[i]);

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            break;
        }

        f->id[i] = c;
    }

    if (i != sizeof(f->id)) {
        f->message = LLM_STR("This is no request id: send the 32 hex digits "
                             "of the answer's x-llm-request-id.");
        return LLM_CODE_CALLER_BAD_VALUE;
    }

    return LLM_CODE_NONE;
}


/* The text of a member that must be one. */

static llm_code_t
ngx_http_llm_feedback_string(ngx_http_request_t *r, ngx_http_llm_feedback_t *f,
    llm_json_want_t *want, ngx_str_t *text)
{
    u_char     *mem;
    llm_buf_t   b;

    f->param = want->name;

    if (want->value.data == NULL) {
        return LLM_CODE_CALLER_MISSING_MEMBER;
    }

    if (want->kind != LLM_JSON_STRING) {
        f->message = LLM_STR("A string is expected.");
        return LLM_CODE_CALLER_BAD_VALUE;
    }

    mem = ngx_pnalloc(r->pool, want->value.len);
    if (mem == NULL) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    llm_buf_init(&b, mem, want->value.len);

    if (llm_json_unescape(want->value, &b) != LLM_OK) {
        return LLM_CODE_CALLER_INVALID_JSON;
    }

    text->data = b.start;
    text->len = b.pos - b.start;

    return LLM_CODE_NONE;
}


static ngx_uint_t
ngx_http_llm_feedback_is(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && ngx_strncmp(a->data, b->data, b->len) == 0;
}


/* A request that was placed by force, or because not every arm could serve it,
 * is no part of the experiment.  The credit is for who gave the answer. */

void
ngx_http_llm_feedback_open(ngx_http_llm_ctx_t *ctx)
{
    ngx_http_llm_place_t  place;

    if (ctx->split && ctx->split->store.experiment.len && ctx->place.counted
        && ctx->code == LLM_CODE_NONE && ctx->shadow == NULL)
    {
        place = ctx->place;
        place.variant = (uint32_t) ctx->variant;

        ngx_http_llm_vote_open(&ctx->lmcf->store, &place, ctx->id);
    }
}


/* ---- recording and answering --------------------------------------------- */

static llm_code_t
ngx_http_llm_feedback_count(ngx_http_request_t *r, ngx_http_llm_feedback_t *f)
{
    uint32_t                     variant;
    ngx_str_t                    id, *score;
    ngx_http_llm_split_t        *split;
    ngx_http_llm_main_conf_t    *lmcf;
    ngx_http_llm_store_split_t  *in;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);

    in = NULL;

    if (ngx_http_llm_vote(&lmcf->store, f->id, f->vote, &in, &variant)
        != NGX_OK)
    {
        if (ngx_http_llm_vote_forward(&lmcf->store, f->id, f->vote) != NGX_OK)
        {
            ngx_http_llm_vote_late(&lmcf->store);
            f->param = LLM_NOSTR;
            return LLM_CODE_CALLER_UNKNOWN_REQUEST;
        }

        f->forwarded = 1;
    }

    id.data = ngx_pnalloc(r->pool, sizeof(f->id));
    if (id.data == NULL) {
        return LLM_CODE_GATEWAY_ERROR;
    }

    id.len = sizeof(f->id);
    ngx_memcpy(id.data, f->id, id.len);

    score = f->vote > 0 ? &ngx_http_llm_feedback_up
                        : &ngx_http_llm_feedback_down;

    ngx_http_llm_feedback_set(r, 0, score);
    ngx_http_llm_feedback_set(r, 1, &id);
    ngx_http_llm_feedback_set(r, 2, &f->comment);

    if (in == NULL) {
        return LLM_CODE_NONE;
    }

    split = ngx_http_llm_split_of(in);

    if (split->sample && f->comment.len) {
        ngx_http_llm_sample_comment(r, split, variant, &id, score,
                                    &f->comment);
    }

    return LLM_CODE_NONE;
}


/* For the access log. */

static void
ngx_http_llm_feedback_set(ngx_http_request_t *r, ngx_uint_t which,
    ngx_str_t *value)
{
    ngx_http_llm_main_conf_t   *lmcf;
    ngx_http_variable_value_t  *v;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);
    v = &r->variables[lmcf->feedback[which]];

    v->data = value->data;
    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = (value->len == 0);
}


static ngx_int_t
ngx_http_llm_feedback_refuse(ngx_http_request_t *r, llm_code_t code,
    llm_str_t message, llm_str_t param)
{
    u_char                   *mem;
    llm_buf_t                 out;
    ngx_str_t                 name;
    ngx_http_llm_loc_conf_t  *llcf;

    mem = ngx_pnalloc(r->pool, NGX_HTTP_LLM_FEEDBACK_REPLY);
    if (mem == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    name.data = (u_char *) llm_code_info(code)->name.data;
    name.len = llm_code_info(code)->name.len;

    ngx_http_llm_feedback_set(r, 3, &name);

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    if (llcf->headers >= NGX_HTTP_LLM_HEADERS_ROUTE
        && ngx_http_llm_error_header(r, code) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    llm_buf_init(&out, mem, NGX_HTTP_LLM_FEEDBACK_REPLY);
    llm_error_openai(&out, code, message, param);

    return ngx_http_llm_feedback_send(r, llm_code_info(code)->status, &out);
}


static ngx_int_t
ngx_http_llm_feedback_send(ngx_http_request_t *r, ngx_uint_t status,
    llm_buf_t *text)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = text->start;
    b->last = text->pos;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
