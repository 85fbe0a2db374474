
/*
 * Applications behind a split: nginx's own proxy module talks to them.
 *
 * A location that passes to a split with http:// variants gets the handler of
 * proxy_pass beside ours, for "$llm_app_url", so that every directive of the
 * proxy module works there.  What makes a request pass untouched is set as an
 * operator would set it, where nobody did.  Nothing of that module is called
 * but the handlers of its directives, found by their names: nginx may be built
 * without it, and its structures are its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


#define NGX_HTTP_LLM_PROXY  "ngx_http_proxy_module"


/* A directive of the proxy module, and how it must be implemented for a look at
 * what it has set: NULL where nobody looks. */

typedef struct {
    char        *name;
    char        *value;
    char      *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
} ngx_http_llm_app_default_t;


static ngx_int_t ngx_http_llm_app_proxy(ngx_conf_t *cf, ngx_str_t *url);
static ngx_http_llm_split_t *ngx_http_llm_app_split(
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_loc_conf_t *conf);
static void ngx_http_llm_app_alone(ngx_http_llm_split_t *split,
    ngx_http_llm_loc_conf_t *conf);
static ngx_int_t ngx_http_llm_app_handler(ngx_conf_t *cf,
    ngx_module_t *proxy, ngx_http_llm_loc_conf_t *conf);
static ngx_int_t ngx_http_llm_app_defaults(ngx_conf_t *cf,
    ngx_http_llm_build_t *build, ngx_http_llm_loc_conf_t *conf);
static ngx_int_t ngx_http_llm_app_headers(ngx_conf_t *cf,
    ngx_http_llm_build_t *build, ngx_http_llm_loc_conf_t *conf);
static ngx_int_t ngx_http_llm_app_header(ngx_array_t *headers,
    ngx_keyval_t *header);
static void **ngx_http_llm_app_set_by_operator(ngx_http_llm_build_t *build,
    ngx_http_llm_loc_conf_t *conf, ngx_uint_t offset);
static ngx_command_t *ngx_http_llm_app_command(ngx_conf_t *cf,
    ngx_module_t *proxy, ngx_http_llm_app_default_t *d);
static ngx_int_t ngx_http_llm_app_run(ngx_conf_t *cf, ngx_command_t *cmd,
    char *value, ngx_http_llm_loc_conf_t *conf);


static ngx_http_llm_app_default_t  ngx_http_llm_app_pass =
    { "proxy_pass", "$llm_app_url", NULL };

static ngx_http_llm_app_default_t  ngx_http_llm_app_set_header =
    { "proxy_set_header", NULL, ngx_conf_set_keyval_slot };

/* Streams in both directions reach the other side as they come. */

static ngx_http_llm_app_default_t  ngx_http_llm_app_values[] = {
    { "proxy_http_version", "1.1", ngx_conf_set_enum_slot },
    { "proxy_request_buffering", "off", ngx_conf_set_flag_slot },
    { "proxy_buffering", "off", ngx_conf_set_flag_slot },
    { NULL, NULL, NULL }
};

static ngx_keyval_t  ngx_http_llm_app_header_values[] = {
    { ngx_string("Host"), ngx_string("$llm_app_host") },
    { ngx_string("Connection"), ngx_string("$llm_app_connection") },
    { ngx_string("Upgrade"), ngx_string("$llm_app_upgrade") },
    { ngx_null_string, ngx_null_string }
};


/* Where llm_auth looks for keys, none of them goes on. */

static ngx_keyval_t  ngx_http_llm_app_auth_values[] = {
    { ngx_string("Authorization"), ngx_string("$llm_app_authorization") },
    { ngx_string("X-Api-Key"), ngx_string("") },
    { ngx_string("Api-Key"), ngx_string("") },
    { ngx_string("X-Goog-Api-Key"), ngx_string("") },
    { ngx_null_string, ngx_null_string }
};


/* At the line of the variant: errors of nginx name it. */

ngx_int_t
ngx_http_llm_app_upstream(ngx_conf_t *cf, ngx_str_t *url)
{
    ngx_url_t  u;

    if (ngx_http_llm_app_proxy(cf, url) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *url;
    u.default_port = 80;
    u.uri_part = 1;
    u.no_resolve = 1;

    if (url->data[4] == 's') {

#if (NGX_HTTP_SSL)
        u.default_port = 443;
        u.url.data++;
        u.url.len--;
#else
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" needs an nginx built with SSL", url);
        return NGX_ERROR;
#endif
    }

    u.url.data += sizeof("http://") - 1;
    u.url.len -= sizeof("http://") - 1;

    if (ngx_http_upstream_add(cf, &u, 0) == NULL) {
        return NGX_ERROR;
    }

    if (u.uri.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has a path, but an application gets the "
                           "path of the client's request", url);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_app_proxy(ngx_conf_t *cf, ngx_str_t *url)
{
    ngx_uint_t                  i, ours;
    ngx_module_t               *m;
    ngx_http_llm_build_t       *build;
    ngx_http_llm_main_conf_t   *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);
    build = lmcf->build;

    if (build->proxy) {
        return NGX_OK;
    }

    ours = 0;

    for (i = 0; cf->cycle->modules[i]; i++) {
        m = cf->cycle->modules[i];

        if (m == &ngx_http_llm_gateway_module) {
            ours = 1;
        }

        if (ngx_strcmp(m->name, NGX_HTTP_LLM_PROXY) != 0) {
            continue;
        }

        if (!ours) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" needs the gateway as a dynamic module: "
                               "built into nginx it comes after "
                               NGX_HTTP_LLM_PROXY, url);
            return NGX_ERROR;
        }

        build->proxy = m;
        build->proxy_conf = ngx_http_conf_get_module_loc_conf(cf, (*m));

        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" needs " NGX_HTTP_LLM_PROXY ", which this nginx "
                       "was built without", url);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_llm_app_merge(ngx_conf_t *cf, ngx_http_llm_loc_conf_t *prev,
    ngx_http_llm_loc_conf_t *conf)
{
    ngx_http_llm_split_t      *split;
    ngx_http_llm_build_t      *build;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);
    build = lmcf->build;

    if (build->proxy == NULL) {
        return NGX_OK;
    }

    conf->outer = prev;
    conf->proxy_conf = ngx_http_conf_get_module_loc_conf(cf, (*build->proxy));

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && clcf->handler && clcf->handler != ngx_http_llm_handler)
    {
        /* "if" with a handler of its own */
        return NGX_OK;
    }

    split = ngx_http_llm_app_split(lmcf, conf);

    if (split == NULL) {
        return NGX_OK;
    }

    ngx_http_llm_app_alone(split, conf);

    if (ngx_http_llm_app_handler(cf, build->proxy, conf) != NGX_OK
        || ngx_http_llm_app_defaults(cf, build, conf) != NGX_OK
        || ngx_http_llm_app_headers(cf, build, conf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The split of a location, when it has applications.  All splits are defined by
 * now; names are linked later. */

static ngx_http_llm_split_t *
ngx_http_llm_app_split(ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_loc_conf_t *conf)
{
    ngx_http_llm_name_t   *name;
    ngx_http_llm_split_t  *split;

    if (!conf->enabled || conf->pass || conf->pass_names->nelts > 1) {
        return NULL;
    }

    name = ngx_http_llm_defined(lmcf, conf->pass_names->elts);

    if (name == NULL || name->kind != NGX_HTTP_LLM_SPLIT) {
        return NULL;
    }

    split = name->object;

    return split->apps ? split : NULL;
}


static void
ngx_http_llm_app_alone(ngx_http_llm_split_t *split,
    ngx_http_llm_loc_conf_t *conf)
{
    ngx_uint_t  i;

    for (i = 0; i < split->store.n; i++) {
        if (split->variants[i].url.len == 0) {
            return;
        }
    }

    conf->apps_alone = 1;
}


/* proxy_pass makes itself the handler of the location; here it is kept for
 * later, and ours stays. */

static ngx_int_t
ngx_http_llm_app_handler(ngx_conf_t *cf, ngx_module_t *proxy,
    ngx_http_llm_loc_conf_t *conf)
{
    ngx_int_t                  rc;
    ngx_command_t             *cmd;
    ngx_http_handler_pt        handler;
    ngx_http_core_loc_conf_t  *clcf;

    cmd = ngx_http_llm_app_command(cf, proxy, &ngx_http_llm_app_pass);
    if (cmd == NULL) {
        return NGX_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    handler = clcf->handler;

    rc = ngx_http_llm_app_run(cf, cmd, ngx_http_llm_app_pass.value, conf);

    conf->proxy = clcf->handler;
    clcf->handler = handler;

    return rc;
}


static ngx_int_t
ngx_http_llm_app_defaults(ngx_conf_t *cf, ngx_http_llm_build_t *build,
    ngx_http_llm_loc_conf_t *conf)
{
    ngx_command_t               *cmd;
    ngx_http_llm_app_default_t  *d;

    for (d = ngx_http_llm_app_values; d->name; d++) {

        cmd = ngx_http_llm_app_command(cf, build->proxy, d);
        if (cmd == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_llm_app_set_by_operator(build, conf, cmd->offset)) {
            continue;
        }

        if (ngx_http_llm_app_run(cf, cmd, d->value, conf) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * proxy_set_header of one level replaces those of the levels around it.  Ours
 * must not, so the location gets what it would inherit, and ours where nobody
 * set that header.
 */

static ngx_int_t
ngx_http_llm_app_headers(ngx_conf_t *cf, ngx_http_llm_build_t *build,
    ngx_http_llm_loc_conf_t *conf)
{
    void          **field;
    ngx_array_t    *set, *headers, **slot;
    ngx_keyval_t   *h;
    ngx_command_t  *cmd;

    cmd = ngx_http_llm_app_command(cf, build->proxy,
                                   &ngx_http_llm_app_set_header);
    if (cmd == NULL) {
        return NGX_ERROR;
    }

    headers = ngx_array_create(cf->pool, 4, sizeof(ngx_keyval_t));
    if (headers == NULL) {
        return NGX_ERROR;
    }

    field = ngx_http_llm_app_set_by_operator(build, conf, cmd->offset);

    if (field) {
        set = *field;

        h = ngx_array_push_n(headers, set->nelts);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(h, set->elts, set->nelts * sizeof(ngx_keyval_t));
    }

    for (h = ngx_http_llm_app_header_values; h->key.len; h++) {
        if (ngx_http_llm_app_header(headers, h) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    h = ngx_http_llm_app_auth_values;

    for ( /* void */ ; conf->auth == NGX_HTTP_LLM_AUTH_KEY && h->key.len; h++) {
        if (ngx_http_llm_app_header(headers, h) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    slot = (ngx_array_t **) ((u_char *) conf->proxy_conf + cmd->offset);
    *slot = headers;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_app_header(ngx_array_t *headers, ngx_keyval_t *header)
{
    ngx_uint_t     i;
    ngx_keyval_t  *h;

    h = headers->elts;

    for (i = 0; i < headers->nelts; i++) {
        if (h[i].key.len == header->key.len
            && ngx_strncasecmp(h[i].key.data, header->key.data,
                               header->key.len)
               == 0)
        {
            return NGX_OK;
        }
    }

    h = ngx_array_push(headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = *header;

    return NGX_OK;
}


/*
 * Where a field of the proxy module was set, in this location or around it;
 * NULL: nowhere.  That module merges after us, so fields that nobody set still
 * say so: in a pointer, a flag and an enumeration alike, by all bits.
 */

static void **
ngx_http_llm_app_set_by_operator(ngx_http_llm_build_t *build,
    ngx_http_llm_loc_conf_t *conf, ngx_uint_t offset)
{
    void                     *proxy_conf, **field;
    ngx_http_llm_loc_conf_t  *c;

    for (c = conf; c; c = c->outer) {

        /* outermost, nothing is merged, so there is no link */
        proxy_conf = c->proxy_conf ? c->proxy_conf : build->proxy_conf;

        field = (void **) ((u_char *) proxy_conf + offset);

        if (*field != NGX_CONF_UNSET_PTR) {
            return field;
        }
    }

    return NULL;
}


static ngx_command_t *
ngx_http_llm_app_command(ngx_conf_t *cf, ngx_module_t *proxy,
    ngx_http_llm_app_default_t *d)
{
    ngx_command_t  *cmd;

    for (cmd = proxy->commands; cmd->name.len; cmd++) {

        if (ngx_strcmp(cmd->name.data, d->name) != 0) {
            continue;
        }

        if (cmd->conf == NGX_HTTP_LOC_CONF_OFFSET
            && (d->set == NULL || d->set == cmd->set))
        {
            return cmd;
        }

        break;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "this nginx's \"%s\" is unknown to the gateway, which needs "
                  "it for applications behind llm_split", d->name);

    return NULL;
}


static ngx_int_t
ngx_http_llm_app_run(ngx_conf_t *cf, ngx_command_t *cmd, char *value,
    ngx_http_llm_loc_conf_t *conf)
{
    char         *rv;
    ngx_str_t     words[2];
    ngx_array_t   args, *saved;

    words[0] = cmd->name;
    words[1].data = (u_char *) value;
    words[1].len = ngx_strlen(value);

    ngx_memzero(&args, sizeof(ngx_array_t));

    args.elts = words;
    args.nelts = 2;
    args.size = sizeof(ngx_str_t);
    args.nalloc = 2;
    args.pool = cf->pool;

    saved = cf->args;
    cf->args = &args;

    rv = cmd->set(cf, cmd, conf->proxy_conf);

    cf->args = saved;

    if (rv == NGX_CONF_OK) {
        return NGX_OK;
    }

    if (rv != NGX_CONF_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" %s beside \"llm_pass\" to applications in "
                      "%s:%ui", &cmd->name, rv, conf->file, conf->line);
    }

    return NGX_ERROR;
}
