
/*
 * llm_admin: sees splits and changes them, switches providers, models and keys
 * on and off, in all workers at once and without a reload.
 *
 * Every call is a row of one table.
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
static ngx_int_t ngx_http_llm_admin_find(ngx_http_llm_admin_t *a);
static ngx_int_t ngx_http_llm_admin_match(ngx_http_llm_admin_call_t *call,
    ngx_str_t *path, ngx_str_t *name);
static ngx_int_t ngx_http_llm_admin_no_method(ngx_http_llm_admin_t *a,
    ngx_uint_t methods);
static void ngx_http_llm_admin_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_llm_admin_body(ngx_http_llm_admin_t *a);
static ngx_int_t ngx_http_llm_admin_body_text(ngx_http_llm_admin_t *a,
    ngx_str_t *text);
static ngx_uint_t ngx_http_llm_admin_has_nul(const ngx_str_t *text);
static ngx_int_t ngx_http_llm_admin_index(ngx_http_llm_admin_t *a);


/* Verbs come before the names they follow. */

static ngx_http_llm_admin_call_t  ngx_http_llm_admin_calls[] = {

    { NGX_HTTP_GET, ngx_null_string, ngx_null_string,
      ngx_http_llm_admin_index, "GET " },

    { NGX_HTTP_GET, ngx_string("splits"), ngx_null_string,
      ngx_http_llm_admin_splits, "GET splits" },

    { NGX_HTTP_POST, ngx_string("splits/"), ngx_string("/start"),
      ngx_http_llm_admin_split_verb, "POST splits/NAME/start" },

    { NGX_HTTP_POST, ngx_string("splits/"), ngx_string("/pause"),
      ngx_http_llm_admin_split_verb, "POST splits/NAME/pause" },

    { NGX_HTTP_POST, ngx_string("splits/"), ngx_string("/resume"),
      ngx_http_llm_admin_split_verb, "POST splits/NAME/resume" },

    { NGX_HTTP_POST, ngx_string("splits/"), ngx_string("/promote"),
      ngx_http_llm_admin_split_verb, "POST splits/NAME/promote" },

    { NGX_HTTP_POST, ngx_string("splits/"), ngx_string("/abort"),
      ngx_http_llm_admin_split_verb, "POST splits/NAME/abort" },

    { NGX_HTTP_POST, ngx_string("splits/"), ngx_string("/swap"),
      ngx_http_llm_admin_split_verb, "POST splits/NAME/swap" },

    { NGX_HTTP_GET, ngx_string("splits/"), ngx_null_string,
      ngx_http_llm_admin_split, "GET splits/NAME" },

    { NGX_HTTP_PUT, ngx_string("splits/"), ngx_null_string,
      ngx_http_llm_admin_split_set, "PUT splits/NAME" },

    { NGX_HTTP_GET, ngx_string("experiments"), ngx_null_string,
      ngx_http_llm_admin_experiments, "GET experiments" },

    { NGX_HTTP_GET, ngx_string("experiments/"), ngx_null_string,
      ngx_http_llm_admin_experiment, "GET experiments/NAME" },

    { NGX_HTTP_GET, ngx_string("providers"), ngx_null_string,
      ngx_http_llm_admin_providers, "GET providers" },

    { NGX_HTTP_PUT, ngx_string("providers/"), ngx_null_string,
      ngx_http_llm_admin_provider_set, "PUT providers/NAME" },

    { NGX_HTTP_GET, ngx_string("models"), ngx_null_string,
      ngx_http_llm_admin_models, "GET models" },

    { NGX_HTTP_PUT, ngx_string("models/"), ngx_null_string,
      ngx_http_llm_admin_model_set, "PUT models/NAME" },

    { NGX_HTTP_GET, ngx_string("keys"), ngx_null_string,
      ngx_http_llm_admin_keys, "GET keys" },

    { NGX_HTTP_PUT, ngx_string("keys/"), ngx_null_string,
      ngx_http_llm_admin_key_set, "PUT keys/NAME" },

    { NGX_HTTP_GET, ngx_string("limits"), ngx_null_string,
      ngx_http_llm_admin_limits, "GET limits" },

    { NGX_HTTP_GET, ngx_string("audit"), ngx_null_string,
      ngx_http_llm_admin_audit, "GET audit" },

    { NGX_HTTP_GET, ngx_string("redis"), ngx_null_string,
      ngx_http_llm_admin_redis, "GET redis" },

    { 0, ngx_null_string, ngx_null_string, NULL, NULL }
};


static ngx_str_t  ngx_http_llm_admin_allow = ngx_string("allow");
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


/* The call of this method and path. */

static ngx_int_t
ngx_http_llm_admin_find(ngx_http_llm_admin_t *a)
{
    ngx_str_t                   path;
    ngx_uint_t                  method, methods;
    ngx_http_request_t         *r;
    ngx_http_llm_admin_call_t  *call;

    r = a->request;

    ngx_str_set(&path, "");

    if (r->uri.len > a->conf->prefix.len) {
        path.data = r->uri.data + a->conf->prefix.len;
        path.len = r->uri.len - a->conf->prefix.len;

        if (path.data[path.len - 1] == '/') {
            path.len--;
        }
    }

    method = (r->method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : r->method;
    methods = 0;

    for (call = ngx_http_llm_admin_calls; call->method; call++) {

        if (ngx_http_llm_admin_match(call, &path, &a->name) != NGX_OK) {
            continue;
        }

        if (call->method == method) {
            a->call = call;
            return NGX_OK;
        }

        methods |= call->method;

        if (call->verb.len) {
            break;
        }
    }

    if (methods) {
        return ngx_http_llm_admin_no_method(a, methods);
    }

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_NOT_FOUND, "not_found",
               "there is no call \"%V\"; GET %V lists them", &path,
               &a->conf->prefix);
}


static ngx_int_t
ngx_http_llm_admin_match(ngx_http_llm_admin_call_t *call, ngx_str_t *path,
    ngx_str_t *name)
{
    size_t  len;

    len = call->path.len;

    if (len == 0 || call->path.data[len - 1] != '/') {

        if (path->len != len
            || (len && ngx_strncmp(path->data, call->path.data, len) != 0))
        {
            return NGX_DECLINED;
        }

        ngx_str_null(name);

        return NGX_OK;
    }

    if (path->len <= len + call->verb.len
        || ngx_strncmp(path->data, call->path.data, len) != 0
        || (call->verb.len
            && ngx_strncmp(path->data + path->len - call->verb.len,
                           call->verb.data, call->verb.len)
               != 0))
    {
        return NGX_DECLINED;
    }

    name->data = path->data + len;
    name->len = path->len - len - call->verb.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_admin_no_method(ngx_http_llm_admin_t *a, ngx_uint_t methods)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   allow;

    p = ngx_pnalloc(a->request->pool, sizeof("GET, HEAD, PUT, POST"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    allow.data = p;

    p = ngx_sprintf(p, "%s%s%s",
                    methods & NGX_HTTP_GET ? "GET, HEAD, " : "",
                    methods & NGX_HTTP_PUT ? "PUT, " : "",
                    methods & NGX_HTTP_POST ? "POST, " : "");

    allow.len = p - allow.data - 2;

    rc = ngx_http_llm_admin_refuse(a, NGX_HTTP_NOT_ALLOWED,
             "method_not_allowed",
             "%V is no method of \"%V\": it takes %V; GET %V lists the calls",
             &a->request->method_name, &a->request->uri, &allow,
             &a->conf->prefix);

    if (rc == NGX_DONE
        && ngx_http_llm_add_header(a->request, &ngx_http_llm_admin_allow,
                                   &allow)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return rc;
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

    if (text.len == 0 && a->call->method == NGX_HTTP_POST) {
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


static ngx_int_t
ngx_http_llm_admin_index(ngx_http_llm_admin_t *a)
{
    u_char                     *p, *slash;
    cJSON                      *list;
    ngx_str_t                   text;
    ngx_http_llm_admin_call_t  *call;

    list = ngx_http_llm_admin_put_array(a, ngx_http_llm_admin_root(a),
                                        "calls");

    for (call = ngx_http_llm_admin_calls; call->method; call++) {
        slash = (u_char *) ngx_strchr(call->shown, ' ') + 1;

        p = ngx_pnalloc(a->request->pool,
                        ngx_strlen(call->shown) + a->conf->prefix.len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        text.data = p;
        text.len = ngx_sprintf(p, "%*s%V%s",
                               (size_t) (slash - (u_char *) call->shown),
                               call->shown, &a->conf->prefix, slash)
                   - p;

        ngx_http_llm_admin_put_str(a, list, NULL, &text);
    }

    return NGX_DONE;
}
