
/*
 * The API's JSON: trees that are built without a check behind each member (one
 * flag tells at the end), members of a body, refusals, and the answer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"


#define NGX_HTTP_LLM_ADMIN_NAMES  256


static char *ngx_http_llm_admin_text(ngx_http_llm_admin_t *a,
    const ngx_str_t *text);
static ngx_int_t ngx_http_llm_admin_no_member(ngx_http_llm_admin_t *a,
    const char *name, const char **known);
static void ngx_http_llm_admin_free(void *data);


cJSON *
ngx_http_llm_admin_put(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, cJSON *item)
{
    if (item == NULL || parent == NULL) {
        goto failed;
    }

    if (name) {
        if (!cJSON_AddItemToObject(parent, name, item)) {
            goto failed;
        }

    } else if (!cJSON_AddItemToArray(parent, item)) {
        goto failed;
    }

    return item;

failed:

    cJSON_Delete(item);
    a->failed = 1;

    return NULL;
}


cJSON *
ngx_http_llm_admin_put_object(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name)
{
    return ngx_http_llm_admin_put(a, parent, name, cJSON_CreateObject());
}


cJSON *
ngx_http_llm_admin_put_array(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name)
{
    return ngx_http_llm_admin_put(a, parent, name, cJSON_CreateArray());
}


void
ngx_http_llm_admin_put_str(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, const ngx_str_t *text)
{
    char  *p;

    p = ngx_http_llm_admin_text(a, text);

    (void) ngx_http_llm_admin_put(a, parent, name,
                                  p ? cJSON_CreateString(p) : NULL);
}


void
ngx_http_llm_admin_put_raw(ngx_http_llm_admin_t *a, cJSON *parent,
    const ngx_str_t *text)
{
    char  *p;

    p = ngx_http_llm_admin_text(a, text);

    (void) ngx_http_llm_admin_put(a, parent, NULL,
                                  p ? cJSON_CreateRaw(p) : NULL);
}


static char *
ngx_http_llm_admin_text(ngx_http_llm_admin_t *a, const ngx_str_t *text)
{
    char  *p;

    p = ngx_pnalloc(a->request->pool, text->len + 1);

    if (p) {
        ngx_memcpy(p, text->data, text->len);
        p[text->len] = '\0';
    }

    return p;
}


void
ngx_http_llm_admin_put_word(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, llm_str_t word)
{
    ngx_str_t  text;

    text.len = word.len;
    text.data = (u_char *) word.data;

    ngx_http_llm_admin_put_str(a, parent, name, &text);
}


void
ngx_http_llm_admin_put_number(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, double n)
{
    (void) ngx_http_llm_admin_put(a, parent, name, cJSON_CreateNumber(n));
}


void
ngx_http_llm_admin_put_bool(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, ngx_uint_t on)
{
    (void) ngx_http_llm_admin_put(a, parent, name, cJSON_CreateBool(on != 0));
}


void
ngx_http_llm_admin_put_null(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name)
{
    (void) ngx_http_llm_admin_put(a, parent, name, cJSON_CreateNull());
}


void
ngx_http_llm_admin_put_time(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, llm_msec_t t)
{
    u_char      text[64];
    ngx_tm_t    tm;
    ngx_str_t   s;

    if (t == 0 || t == LLM_NEVER) {
        ngx_http_llm_admin_put_null(a, parent, name);
        return;
    }

    ngx_gmtime((time_t) (t / 1000), &tm);

    s.data = text;
    s.len = ngx_slprintf(text, text + sizeof(text),
                         "%4d-%02d-%02dT%02d:%02d:%02d.%03uiZ",
                         tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                         tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                         (ngx_uint_t) (t % 1000))
            - text;

    ngx_http_llm_admin_put_str(a, parent, name, &s);
}


void
ngx_http_llm_admin_put_share(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, uint64_t part, uint64_t n)
{
    double  bp;

    if (n == 0) {
        ngx_http_llm_admin_put_null(a, parent, name);
        return;
    }

    bp = 10000.0 * (double) part / (double) n;

    ngx_http_llm_admin_put_number(a, parent, name,
                                  (double) (uint64_t) (bp + 0.5) / 100);
}


void
ngx_http_llm_admin_put_ratio(ngx_http_llm_admin_t *a, cJSON *parent,
    const char *name, double sum, double n)
{
    if (n > 0) {
        ngx_http_llm_admin_put_number(a, parent, name, sum / n);

    } else {
        ngx_http_llm_admin_put_null(a, parent, name);
    }
}


void
ngx_http_llm_admin_put_percent(ngx_http_llm_admin_t *a, cJSON *parent,
    const ngx_str_t *name, uint32_t bp)
{
    char  *p;

    p = ngx_http_llm_admin_text(a, name);

    if (p == NULL) {
        a->failed = 1;
        return;
    }

    ngx_http_llm_admin_put_number(a, parent, p, bp / 100.0);
}


cJSON *
ngx_http_llm_admin_root(ngx_http_llm_admin_t *a)
{
    if (a->answer == NULL) {
        a->answer = cJSON_CreateObject();
        a->failed |= (a->answer == NULL);
    }

    return a->answer;
}


ngx_int_t
ngx_http_llm_admin_refuse(ngx_http_llm_admin_t *a, ngx_uint_t status,
    const char *code, const char *fmt, ...)
{
    u_char      *p, text[NGX_MAX_ERROR_STR];
    cJSON       *error;
    va_list      args;
    ngx_str_t    message;

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    message.data = text;
    message.len = p - text;

    a->status = status;

    error = ngx_http_llm_admin_put_object(a, ngx_http_llm_admin_root(a),
                                          "error");
    (void) ngx_http_llm_admin_put(a, error, "code", cJSON_CreateString(code));
    ngx_http_llm_admin_put_str(a, error, "message", &message);

    ngx_log_error(NGX_LOG_INFO, a->request->connection->log, 0,
                  "llm admin: refused with %ui %s", status, code);

    return a->failed ? NGX_ERROR : NGX_DONE;
}


static ngx_int_t
ngx_http_llm_admin_no_member(ngx_http_llm_admin_t *a, const char *name,
    const char **known)
{
    u_char      *p, *last, text[NGX_HTTP_LLM_ADMIN_NAMES];
    ngx_uint_t   i;

    p = text;
    last = text + sizeof(text);

    for (i = 0; known[i]; i++) {
        p = ngx_slprintf(p, last, "%s%s", i ? ", " : "", known[i]);
    }

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST, "unknown_member",
               "unknown member \"%s\", expected one of: %*s", name,
               (size_t) (p - text), text);
}


ngx_int_t
ngx_http_llm_admin_members(ngx_http_llm_admin_t *a, const char **names)
{
    cJSON       *item;
    uint64_t     seen;
    ngx_uint_t   i;

    if (a->body == NULL) {
        return NGX_OK;
    }

    seen = 0;

    cJSON_ArrayForEach(item, a->body) {

        for (i = 0; names[i]; i++) {
            if (ngx_strcmp(item->string, names[i]) == 0) {
                break;
            }
        }

        if (names[i] == NULL) {
            return ngx_http_llm_admin_no_member(a, item->string, names);
        }

        if (seen & ((uint64_t) 1 << i)) {
            return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                       "duplicate_member",
                       "the member \"%s\" stands there twice", item->string);
        }

        seen |= (uint64_t) 1 << i;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_admin_get_bool(ngx_http_llm_admin_t *a, const char *name,
    ngx_uint_t *on)
{
    cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(a->body, name);

    if (item == NULL) {
        return NGX_DECLINED;
    }

    if (!cJSON_IsBool(item)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member", "\"%s\" must be true or false", name);
    }

    *on = cJSON_IsTrue(item) ? 1 : 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_admin_get_str(ngx_http_llm_admin_t *a, const char *name,
    ngx_str_t *text)
{
    cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(a->body, name);

    if (item == NULL) {
        return NGX_DECLINED;
    }

    if (!cJSON_IsString(item)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member", "\"%s\" must be a string", name);
    }

    text->data = (u_char *) item->valuestring;
    text->len = ngx_strlen(item->valuestring);

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_admin_get_version(ngx_http_llm_admin_t *a, uint64_t *version)
{
    cJSON  *item;

    *version = 0;

    item = cJSON_GetObjectItemCaseSensitive(a->body, "version");

    if (item == NULL) {
        return NGX_DECLINED;
    }

    /* above 2^53 a JSON number is not exact */

    if (!cJSON_IsNumber(item)
        || item->valuedouble < 1 || item->valuedouble > 9007199254740992.0
        || item->valuedouble != (double) (uint64_t) item->valuedouble)
    {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member",
                   "\"version\" must be the whole number that GET showed");
    }

    *version = (uint64_t) item->valuedouble;

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_admin_get_reason(ngx_http_llm_admin_t *a)
{
    u_char     *p;
    size_t      size;
    ngx_int_t   rc;
    ngx_str_t   text;
    llm_buf_t   out;

    rc = ngx_http_llm_admin_get_str(a, "reason", &text);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    if (text.len > NGX_HTTP_LLM_ADMIN_REASON) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member", "\"reason\" is longer than %d bytes",
                   NGX_HTTP_LLM_ADMIN_REASON);
    }

    size = 6 * text.len + 16;

    p = ngx_pnalloc(a->request->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&out, p, size);
    llm_buf_str(&out, LLM_STR("{\"text\":"));
    llm_json_put_string(&out, (llm_str_t) { text.len, text.data });
    llm_buf_str(&out, LLM_STR("}"));

    a->actor.reason.data = p;
    a->actor.reason.len = llm_buf_view(&out).len;

    return NGX_OK;
}


static void
ngx_http_llm_admin_free(void *data)
{
    cJSON_free(data);
}


ngx_int_t
ngx_http_llm_admin_send(ngx_http_llm_admin_t *a)
{
    char                *text;
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    ngx_http_request_t  *r;
    ngx_pool_cleanup_t  *cln;

    r = a->request;

    b = ngx_calloc_buf(r->pool);
    cln = ngx_pool_cleanup_add(r->pool, 0);

    text = (b && cln && !a->failed) ? cJSON_Print(a->answer) : NULL;

    cJSON_Delete(a->answer);
    cJSON_Delete(a->body);

    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_llm_admin_free;
    cln->data = text;

    /* a line end in place of the final NUL */

    b->pos = (u_char *) text;
    b->last = b->pos + ngx_strlen(text);
    *b->last++ = LF;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    r->headers_out.status = a->status;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
