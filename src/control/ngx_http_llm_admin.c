
/*
 * llm_admin: sees splits and changes them, switches providers, models and keys
 * on and off, in all workers at once and without a reload.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"
#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_secret.h"


static ngx_int_t ngx_http_llm_admin_token_arg(ngx_conf_t *cf,
    ngx_http_llm_admin_conf_t *acf, ngx_str_t *source);
static ngx_int_t ngx_http_llm_admin_realip(ngx_conf_t *cf);
static ngx_int_t ngx_http_llm_admin_handler(ngx_http_request_t *r);
static ngx_http_llm_admin_t *ngx_http_llm_admin_begin(ngx_http_request_t *r);
static void ngx_http_llm_admin_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_admin_body(ngx_http_llm_admin_t *a);
static ngx_int_t ngx_http_llm_admin_body_text(ngx_http_llm_admin_t *a,
    ngx_str_t *text);
static ngx_uint_t ngx_http_llm_admin_has_nul(const ngx_str_t *text);


static ngx_str_t  ngx_http_llm_admin_cache = ngx_string("cache-control");
static ngx_str_t  ngx_http_llm_admin_no_store = ngx_string("no-store");


/* llm_admin [token=env:NAME|file:PATH] */

char *
ngx_http_llm_admin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_str_t                  *value, source;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_llm_admin_conf_t  *acf;

    if (llcf->admin) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_http_llm_handler) {
        return "is incompatible with \"llm_pass\"";
    }

    if (clcf->handler) {
        return "is incompatible with what answers in this location already";
    }

    if (clcf->name.len == 0 || clcf->name.data[clcf->name.len - 1] != '/'
        || clcf->exact_match || clcf->named
#if (NGX_PCRE)
        || clcf->regex
#endif
        )
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "location \"%V\" cannot have \"llm_admin\", "
                           "expected a prefix that ends in \"/\", such as "
                           "\"location /admin/\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    acf = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_admin_conf_t));
    if (acf == NULL) {
        return NGX_CONF_ERROR;
    }

    acf->prefix = clcf->name;
    acf->realip = ngx_http_llm_admin_realip(cf);

    if (cf->args->nelts > 1) {

        value = cf->args->elts;

        if (!ngx_http_llm_arg_is(&value[1], "token", &source)) {
            return "takes no other parameter than token=file:PATH or "
                   "token=env:NAME";
        }

        if (ngx_http_llm_admin_token_arg(cf, acf, &source) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    clcf->handler = ngx_http_llm_admin_handler;
    clcf->auto_redirect = 1;
    llcf->admin = acf;

    return NGX_CONF_OK;
}


/* No message repeats the word: it may be the token itself. */

static ngx_int_t
ngx_http_llm_admin_token_arg(ngx_conf_t *cf, ngx_http_llm_admin_conf_t *acf,
    ngx_str_t *source)
{
    char       *why;
    ngx_int_t   rc;

    rc = ngx_http_llm_secret_read(cf, source, &acf->token, &why);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    if (rc == NGX_OK) {
        why = ngx_http_llm_secret_check(&acf->token);
    }

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the token of \"llm_admin\" from \"%V\" %s",
                           source, why);

    } else if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the token of \"llm_admin\" %s", why);
    }

    return (rc == NGX_OK && why == NULL) ? NGX_OK : NGX_ERROR;
}


/* The variable stands in for the address only where there is a module that
 * changes the address. */

static ngx_int_t
ngx_http_llm_admin_realip(ngx_conf_t *cf)
{
    ngx_uint_t  i;
    ngx_str_t   name = ngx_string("realip_remote_addr");

    for (i = 0; cf->cycle->modules[i]; i++) {
        if (ngx_strcmp(cf->cycle->modules[i]->name, "ngx_http_realip_module")
            == 0)
        {
            return ngx_http_get_variable_index(cf, &name);
        }
    }

    return NGX_ERROR;
}


/* An `if` or a `limit_except` in the location is a location of its own. */

ngx_int_t
ngx_http_llm_admin_merge(ngx_conf_t *cf, ngx_http_llm_loc_conf_t *prev,
    ngx_http_llm_loc_conf_t *conf)
{
    ngx_str_t                  *s;
    ngx_uint_t                  i;
    ngx_http_server_name_t     *name;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_core_srv_conf_t   *cscf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && prev->admin) {
        conf->admin = prev->admin;

        if (clcf->lmt_excpt && clcf->handler == NULL) {
            clcf->handler = ngx_http_llm_admin_handler;
        }

        return NGX_OK;
    }

    if (conf->admin == NULL) {
        return NGX_OK;
    }

    /* nginx forgets them after the configuration was read */

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    name = cscf->server_names.elts;

    if (ngx_array_init(&conf->admin->names, cf->pool,
                       cscf->server_names.nelts + 1, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < cscf->server_names.nelts; i++) {
        s = ngx_array_push(&conf->admin->names);
        *s = name[i].name;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_admin_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc, discarded;
    ngx_http_llm_admin_t  *a;

    a = ngx_http_llm_admin_begin(r);
    if (a == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_llm_admin_access(a);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_find(a);
    }

    if (rc == NGX_OK && a->call->method != NGX_HTTP_GET) {
        rc = ngx_http_llm_admin_change_access(a);

        if (rc == NGX_OK
            && r->headers_in.content_length_n <= NGX_HTTP_LLM_ADMIN_BODY)
        {
            rc = ngx_http_read_client_request_body(r,
                                              ngx_http_llm_admin_body_handler);

            return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
        }

        if (rc == NGX_OK) {
            rc = ngx_http_llm_admin_refuse(a,
                     NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, "too_large",
                     "a body may have %d bytes", NGX_HTTP_LLM_ADMIN_BODY);
        }
    }

    discarded = ngx_http_discard_request_body(r);

    if (discarded != NGX_OK) {
        cJSON_Delete(a->answer);
        return discarded;
    }

    if (rc == NGX_OK) {
        rc = a->call->handler(a);
    }

    if (rc == NGX_AGAIN) {
        r->main->count++;
        r->write_event_handler = ngx_http_request_empty_handler;
        return NGX_DONE;
    }

    return ngx_http_llm_admin_end(a, rc);
}


static ngx_http_llm_admin_t *
ngx_http_llm_admin_begin(ngx_http_request_t *r)
{
    ngx_http_llm_admin_t     *a;
    ngx_http_llm_loc_conf_t  *llcf;

    a = ngx_pcalloc(r->pool, sizeof(ngx_http_llm_admin_t));
    if (a == NULL) {
        return NULL;
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    a->request = r;
    a->conf = llcf->admin;
    a->lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);
    a->status = NGX_HTTP_OK;

    return a;
}


ngx_int_t
ngx_http_llm_admin_end(ngx_http_llm_admin_t *a, ngx_int_t rc)
{
    if (rc != NGX_DONE
        || ngx_http_llm_add_header(a->request, &ngx_http_llm_admin_cache,
                                   &ngx_http_llm_admin_no_store)
           != NGX_OK)
    {
        a->failed = 1;
    }

    return ngx_http_llm_admin_send(a);
}


/* Nothing was kept while the body came in: a request's context is for those
 * that go to a provider. */

static void
ngx_http_llm_admin_body_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_http_llm_admin_t  *a;

    a = ngx_http_llm_admin_begin(r);

    if (a == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_http_llm_admin_find(a);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_body(a);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_actor(a);
    }

    if (rc == NGX_OK) {
        rc = a->call->handler(a);
    }

    if (rc == NGX_AGAIN) {
        r->write_event_handler = ngx_http_request_empty_handler;
        return;
    }

    ngx_http_finalize_request(r, ngx_http_llm_admin_end(a, rc));
}


static ngx_int_t
ngx_http_llm_admin_body(ngx_http_llm_admin_t *a)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    ngx_str_null(&text);

    rc = ngx_http_llm_admin_body_text(a, &text);

    if (rc != NGX_OK) {
        return rc;
    }

    if (text.len == 0 && a->call->method != NGX_HTTP_PUT) {
        return NGX_OK;
    }

    if (llm_json_check((llm_str_t) { text.len, text.data }) != LLM_OK) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_json", "the body is not JSON");
    }

    if (ngx_http_llm_admin_has_nul(&text)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_json", "no name and no text may contain \\u0000");
    }

    a->body = cJSON_ParseWithLength((char *) text.data, text.len);

    if (!cJSON_IsObject(a->body)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_json", "the body must be a JSON object");
    }

    return NGX_OK;
}


/* A string of cJSON ends there: "blue\u0000x" would be "blue". */

static ngx_uint_t
ngx_http_llm_admin_has_nul(const ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i + 1 < text->len; i++) {

        if (text->data[i] != '\\') {
            continue;
        }

        i++;

        if (text->len - i >= 5
            && ngx_strncmp(&text->data[i], "u0000", 5) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_llm_admin_body_text(ngx_http_llm_admin_t *a, ngx_str_t *text)
{
    off_t         size;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *bufs;

    bufs = a->request->request_body ? a->request->request_body->bufs : NULL;
    size = 0;

    for (cl = bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > NGX_HTTP_LLM_ADMIN_BODY) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                   "too_large", "a body may have %d bytes",
                   NGX_HTTP_LLM_ADMIN_BODY);
    }

    p = ngx_pnalloc(a->request->pool, (size_t) size + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (cl = bufs; cl; cl = cl->next) {
        b = cl->buf;
        size = ngx_buf_size(b);

        if (ngx_buf_special(b)) {
            continue;
        }

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, (size_t) size);

        } else if (ngx_read_file(b->file, p, (size_t) size, b->file_pos)
                   == (ssize_t) size)
        {
            p += size;

        } else {
            return NGX_ERROR;
        }
    }

    text->len = p - text->data;

    return NGX_OK;
}
