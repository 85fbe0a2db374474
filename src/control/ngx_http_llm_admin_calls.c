/*
 * The calls of the API, each a row of one table.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"
#include "ngx_http_llm_ctx.h"


static ngx_int_t ngx_http_llm_admin_match(ngx_http_llm_admin_call_t *call,
    ngx_str_t *path, ngx_str_t *name);
static ngx_int_t ngx_http_llm_admin_no_method(ngx_http_llm_admin_t *a,
    ngx_uint_t methods);
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

    { NGX_HTTP_GET, ngx_string("clients"), ngx_null_string,
      ngx_http_llm_admin_parties, "GET clients" },

    { NGX_HTTP_POST, ngx_string("clients"), ngx_null_string,
      ngx_http_llm_admin_client_new, "POST clients" },

    { NGX_HTTP_POST, ngx_string("clients/"), ngx_string("/rotate"),
      ngx_http_llm_admin_client_rotate, "POST clients/ID/rotate" },

    { NGX_HTTP_GET, ngx_string("clients/"), ngx_null_string,
      ngx_http_llm_admin_party, "GET clients/ID" },

    { NGX_HTTP_PUT, ngx_string("clients/"), ngx_null_string,
      ngx_http_llm_admin_party_set, "PUT clients/ID" },

    { NGX_HTTP_DELETE, ngx_string("clients/"), ngx_null_string,
      ngx_http_llm_admin_party_delete, "DELETE clients/ID" },

    { NGX_HTTP_GET, ngx_string("users"), ngx_null_string,
      ngx_http_llm_admin_parties, "GET users" },

    { NGX_HTTP_GET, ngx_string("users/"), ngx_null_string,
      ngx_http_llm_admin_party, "GET users/ID" },

    { NGX_HTTP_PUT, ngx_string("users/"), ngx_null_string,
      ngx_http_llm_admin_party_set, "PUT users/ID" },

    { NGX_HTTP_DELETE, ngx_string("users/"), ngx_null_string,
      ngx_http_llm_admin_party_delete, "DELETE users/ID" },

    { NGX_HTTP_GET, ngx_string("orgs"), ngx_null_string,
      ngx_http_llm_admin_parties, "GET orgs" },

    { NGX_HTTP_GET, ngx_string("orgs/"), ngx_null_string,
      ngx_http_llm_admin_party, "GET orgs/ID" },

    { NGX_HTTP_PUT, ngx_string("orgs/"), ngx_null_string,
      ngx_http_llm_admin_party_set, "PUT orgs/ID" },

    { NGX_HTTP_DELETE, ngx_string("orgs/"), ngx_null_string,
      ngx_http_llm_admin_party_delete, "DELETE orgs/ID" },

    { NGX_HTTP_GET, ngx_string("audit"), ngx_null_string,
      ngx_http_llm_admin_audit, "GET audit" },

    { NGX_HTTP_GET, ngx_string("redis"), ngx_null_string,
      ngx_http_llm_admin_redis, "GET redis" },

    { 0, ngx_null_string, ngx_null_string, NULL, NULL }
};


static ngx_str_t  ngx_http_llm_admin_allow = ngx_string("allow");


/* The call of this method and path. */

ngx_int_t
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

    p = ngx_pnalloc(a->request->pool, sizeof("GET, HEAD, PUT, POST, DELETE, "));
    if (p == NULL) {
        return NGX_ERROR;
    }

    allow.data = p;

    p = ngx_sprintf(p, "%s%s%s%s",
                    methods & NGX_HTTP_GET ? "GET, HEAD, " : "",
                    methods & NGX_HTTP_PUT ? "PUT, " : "",
                    methods & NGX_HTTP_POST ? "POST, " : "",
                    methods & NGX_HTTP_DELETE ? "DELETE, " : "");

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
