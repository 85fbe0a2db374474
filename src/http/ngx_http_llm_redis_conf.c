/*
 * llm_redis: where the state that nodes share lives.
 *
 * Nothing is connected to while the configuration is read, and names are looked
 * up when they are needed: a dead Redis or a dead name server stops no start.
 */

#include "ngx_http_llm_compat.h"
#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_peer.h"
#include "ngx_http_llm_redis_conn.h"
#include "ngx_http_llm_secret.h"


#define NGX_HTTP_LLM_REDIS_PREFIX   64
#define NGX_HTTP_LLM_REDIS_TIMEOUT  500     /* ms */
#define NGX_HTTP_LLM_REDIS_DEPTH    5       /* certificates to a known one */


/* The words of the directive. */
typedef struct {
    ngx_str_t             prefix;
    ngx_str_t             user;
    ngx_str_t             password;
    ngx_str_t             sentinel;
    ngx_str_t             master;
    ngx_str_t             tls_name;
    ngx_str_t             tls_ca;
    ngx_flag_t            tls_verify;
    ngx_uint_t            db;
    ngx_uint_t            nodes;
    ngx_msec_t            timeout;
    ngx_uint_t            tls;
    ngx_uint_t            cluster;
    ngx_http_llm_redis_t *redis;
} ngx_http_llm_redis_words_t;


static ngx_int_t ngx_http_llm_redis_read_words(ngx_conf_t *cf,
    ngx_http_llm_redis_words_t *words);
static ngx_int_t ngx_http_llm_redis_read_args(ngx_conf_t *cf,
    ngx_array_t *rest, ngx_http_llm_redis_words_t *words);
static ngx_int_t ngx_http_llm_redis_read_address(ngx_conf_t *cf,
    ngx_array_t *addrs, ngx_str_t *word, in_port_t port);
static ngx_int_t ngx_http_llm_redis_read_sentinels(ngx_conf_t *cf,
    ngx_http_llm_redis_words_t *words);
static ngx_int_t ngx_http_llm_redis_check(ngx_conf_t *cf,
    ngx_http_llm_redis_words_t *words);
static char *ngx_http_llm_redis_conflict(ngx_http_llm_redis_words_t *words);
static ngx_int_t ngx_http_llm_redis_secrets(ngx_conf_t *cf,
    ngx_http_llm_redis_words_t *words);
static ngx_int_t ngx_http_llm_redis_secret(ngx_conf_t *cf, char *what,
    ngx_str_t *source, ngx_str_t *text);
static ngx_int_t ngx_http_llm_redis_ssl(ngx_conf_t *cf,
    ngx_http_llm_redis_words_t *words);
static ngx_int_t ngx_http_llm_redis_show(ngx_conf_t *cf,
    ngx_http_llm_redis_t *redis);


static ngx_http_llm_arg_t  ngx_http_llm_redis_args[] = {

    { ngx_string("prefix"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_redis_words_t, prefix), 0, 0 },

    { ngx_string("db"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_redis_words_t, db), 0, 1000000 },

    { ngx_string("user"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_redis_words_t, user), 0, 0 },

    { ngx_string("password"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_redis_words_t, password), 0, 0 },

    { ngx_string("timeout"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_redis_words_t, timeout), 5, 10000 },

    { ngx_string("nodes"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_redis_words_t, nodes), 1, NGX_HTTP_LLM_NODES },

    { ngx_string("sentinel"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_redis_words_t, sentinel), 0, 0 },

    { ngx_string("master"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_redis_words_t, master), 0, 0 },

    { ngx_string("tls_verify"), NGX_HTTP_LLM_ARG_FLAG,
      offsetof(ngx_http_llm_redis_words_t, tls_verify), 0, 0 },

    { ngx_string("tls_name"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_redis_words_t, tls_name), 0, 0 },

    { ngx_string("tls_ca"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_redis_words_t, tls_ca), 0, 0 },

    { ngx_null_string, NGX_HTTP_LLM_ARG_STR, 0, 0, 0 }
};


/* llm_redis ADDRESS... [tls] [cluster] [NAME=VALUE...] */

char *
ngx_http_llm_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    ngx_http_llm_redis_t        *redis;
    ngx_http_llm_redis_words_t   words;

    if (lmcf->store.redis) {
        return "is duplicate";
    }

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_redis_t));

    if (redis == NULL
        || ngx_array_init(&redis->addrs, cf->pool, 4,
                          sizeof(ngx_http_llm_redis_addr_t)) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&words, sizeof(ngx_http_llm_redis_words_t));

    words.redis = redis;
    words.nodes = 1;
    words.timeout = NGX_HTTP_LLM_REDIS_TIMEOUT;
    words.tls_verify = NGX_CONF_UNSET;
    ngx_str_set(&words.prefix, "llmgw:");

    if (ngx_http_llm_redis_read_words(cf, &words) != NGX_OK
        || ngx_http_llm_redis_read_sentinels(cf, &words) != NGX_OK
        || ngx_http_llm_redis_check(cf, &words) != NGX_OK
        || ngx_http_llm_redis_secrets(cf, &words) != NGX_OK
        || ngx_http_llm_redis_ssl(cf, &words) != NGX_OK
        || ngx_http_llm_redis_show(cf, redis) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    redis->prefix = words.prefix;
    redis->db = words.db;
    redis->timeout = words.timeout;
    redis->master = words.master;
    redis->nodes = words.nodes;
    redis->file = cf->conf_file->file.name;
    redis->line = cf->conf_file->line;

    lmcf->store.redis = redis;

    return NGX_CONF_OK;
}


/* Addresses and flags stand among the parameters. */

static ngx_int_t
ngx_http_llm_redis_read_words(ngx_conf_t *cf,
    ngx_http_llm_redis_words_t *words)
{
    ngx_str_t    *value, *word, source;
    ngx_uint_t    i;
    ngx_array_t   rest;

    if (ngx_array_init(&rest, cf->temp_pool, 8, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "tls") == 0) {
            words->tls = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "cluster") == 0) {
            words->cluster = 1;
            continue;
        }

        /* before anything could repeat it in a message */

        if (ngx_http_llm_arg_is(&value[i], "password", &source)
            && ngx_strncmp(source.data, "env:", 4) != 0
            && ngx_strncmp(source.data, "file:", 5) != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the password of \"llm_redis\" must come from "
                               "\"env:NAME\" or \"file:PATH\"");
            return NGX_ERROR;
        }

        if (ngx_strncmp(value[i].data, "unix:", 5) != 0
            && ngx_strchr(value[i].data, '='))
        {
            word = ngx_array_push(&rest);
            if (word == NULL) {
                return NGX_ERROR;
            }

            *word = value[i];
            continue;
        }

        if (ngx_http_llm_redis_read_address(cf, &words->redis->addrs,
                                            &value[i],
                                            NGX_HTTP_LLM_REDIS_PORT)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_llm_redis_read_args(cf, &rest, words);
}


static ngx_int_t
ngx_http_llm_redis_read_args(ngx_conf_t *cf, ngx_array_t *rest,
    ngx_http_llm_redis_words_t *words)
{
    ngx_int_t     rc;
    ngx_array_t  *args;

    args = cf->args;
    cf->args = rest;

    rc = ngx_http_llm_args(cf, 0, ngx_http_llm_redis_args, words);

    cf->args = args;

    return rc;
}


static ngx_int_t
ngx_http_llm_redis_read_address(ngx_conf_t *cf, ngx_array_t *addrs,
    ngx_str_t *word, in_port_t port)
{
    ngx_url_t                   u;
    ngx_http_llm_redis_addr_t  *addr;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *word;
    u.default_port = port;
    u.no_resolve = 1;

    /* a URL as other programs take it may hold a password */

    if (ngx_strncmp(word->data, "unix:", 5) != 0
        && (ngx_strchr(word->data, '@') || ngx_strchr(word->data, '/')))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address of \"llm_redis\", expected "
                           "HOST:PORT or unix:PATH, without a scheme, user or "
                           "path");
        return NGX_ERROR;
    }

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address \"%V\": %s, expected HOST:PORT or "
                           "unix:PATH", word,
                           u.err ? u.err : "it cannot be understood");
        return NGX_ERROR;
    }

    if (u.naddrs == 0 && u.host.len == 9
        && ngx_strncasecmp(u.host.data, (u_char *) "localhost", 9) == 0
        && ngx_inet_resolve_host(cf->pool, &u) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "host \"%V\" not found",
                           &u.host);
        return NGX_ERROR;
    }

    addr = ngx_array_push(addrs);
    if (addr == NULL) {
        return NGX_ERROR;
    }

    addr->text = *word;
    addr->host = u.host;
    addr->port = u.port;
    addr->addrs = u.addrs;
    addr->naddrs = u.naddrs;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_redis_read_sentinels(ngx_conf_t *cf,
    ngx_http_llm_redis_words_t *words)
{
    u_char      *p, *last, *comma;
    ngx_str_t    one;

    if (words->sentinel.len == 0) {
        return NGX_OK;
    }

    if (words->redis->addrs.nelts) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"llm_redis\" takes an address or \"sentinel=\", "
                           "not both: sentinels tell the address");
        return NGX_ERROR;
    }

    p = words->sentinel.data;
    last = p + words->sentinel.len;

    for ( ;; ) {
        comma = ngx_strlchr(p, last, ',');
        comma = comma ? comma : last;

        one.len = comma - p;
        one.data = ngx_pnalloc(cf->pool, one.len + 1);
        if (one.data == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn(one.data, p, one.len + 1);

        if (ngx_http_llm_redis_read_address(cf, &words->redis->addrs, &one,
                                            NGX_HTTP_LLM_REDIS_SENTINEL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (comma == last) {
            break;
        }

        p = comma + 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_redis_check(ngx_conf_t *cf, ngx_http_llm_redis_words_t *words)
{
    char                  *what;
    u_char                *p, *last;
    ngx_http_llm_redis_t  *redis;

    redis = words->redis;
    what = ngx_http_llm_redis_conflict(words);

    if (what) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"llm_redis\" %s", what);
        return NGX_ERROR;
    }

    last = words->prefix.data + words->prefix.len;

    for (p = words->prefix.data; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || ngx_strchr("{}*?[]\\\"'", *p)) {
            break;
        }
    }

    if (p < last || words->prefix.len > NGX_HTTP_LLM_REDIS_PREFIX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid prefix \"%V\", expected up to 64 visible "
                           "characters without braces, quotes and wildcards",
                           &words->prefix);
        return NGX_ERROR;
    }

    redis->mode = words->cluster ? NGX_HTTP_LLM_REDIS_CLUSTER
                  : words->sentinel.len ? NGX_HTTP_LLM_REDIS_GUARDED
                                        : NGX_HTTP_LLM_REDIS_SINGLE;

    return NGX_OK;
}


static char *
ngx_http_llm_redis_conflict(ngx_http_llm_redis_words_t *words)
{
    if (words->redis->addrs.nelts == 0) {
        return "needs an address, expected HOST:PORT, unix:PATH or "
               "\"sentinel=HOST:PORT,...\"";
    }

    if (words->sentinel.len && words->cluster) {
        return "cannot have \"cluster\" together with \"sentinel=\"";
    }

    if (words->redis->addrs.nelts > 1 && !words->sentinel.len
        && !words->cluster)
    {
        return "takes several addresses only with \"cluster\"";
    }

    if ((words->sentinel.len == 0) != (words->master.len == 0)) {
        return "needs \"sentinel=\" and \"master=\" together";
    }

    if (words->cluster && words->db) {
        return "cannot have \"db=\" with \"cluster\": it has no databases";
    }

    if (words->user.len && words->password.len == 0) {
        return "needs \"password=\" with \"user=\"";
    }

    if (!words->tls
        && (words->tls_name.len || words->tls_ca.len
            || words->tls_verify != NGX_CONF_UNSET))
    {
        return "needs \"tls\" for \"tls_verify=\", \"tls_name=\" and "
               "\"tls_ca=\"";
    }

    return NULL;
}


static ngx_int_t
ngx_http_llm_redis_secrets(ngx_conf_t *cf, ngx_http_llm_redis_words_t *words)
{
    ngx_http_llm_redis_t  *redis;

    redis = words->redis;

    if (words->password.len
        && ngx_http_llm_redis_secret(cf, "password", &words->password,
                                     &redis->password)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    redis->user = words->user;

    if (words->user.len
        && (ngx_strncmp(words->user.data, "env:", 4) == 0
            || ngx_strncmp(words->user.data, "file:", 5) == 0))
    {
        return ngx_http_llm_redis_secret(cf, "user", &words->user,
                                         &redis->user);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_redis_secret(ngx_conf_t *cf, char *what, ngx_str_t *source,
    ngx_str_t *text)
{
    char       *why;
    ngx_int_t   rc;

    rc = ngx_http_llm_secret_read(cf, source, text, &why);

    if (rc == NGX_OK || rc == NGX_DONE) {
        return NGX_OK;
    }

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the %s of \"llm_redis\", \"%V\", %s", what, source,
                           why);
    }

    return NGX_ERROR;
}


/* As for a provider, but nothing of HTTP is in it. */

static ngx_int_t
ngx_http_llm_redis_ssl(ngx_conf_t *cf, ngx_http_llm_redis_words_t *words)
{
    ngx_http_llm_redis_t        *redis;
    ngx_http_llm_redis_addr_t   *addr;
    ngx_http_llm_origin_t        origin;

    redis = words->redis;

    if (!words->tls) {
        return NGX_OK;
    }

    if (words->tls_ca.len
        && ngx_conf_full_name(cf->cycle, &words->tls_ca, 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    addr = redis->addrs.elts;

    ngx_memzero(&origin, sizeof(ngx_http_llm_origin_t));

    origin.tls = 1;
    origin.host = addr->host;
    origin.ssl_verify = (words->tls_verify != 0);

    if (ngx_http_llm_origin_ssl(cf, &origin, &words->tls_ca,
                                NGX_HTTP_LLM_REDIS_DEPTH, NULL, NULL)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"llm_redis\" cannot have \"tls\" with the "
                           "certificates of \"%V\"", &words->tls_ca);
        return NGX_ERROR;
    }

    redis->ssl = origin.ssl;
    redis->tls_verify = origin.ssl_verify;
    redis->tls_name = words->tls_name;

    return NGX_OK;
}


/* What stands in messages and on pages: addresses only. */

static ngx_int_t
ngx_http_llm_redis_show(ngx_conf_t *cf, ngx_http_llm_redis_t *redis)
{
    size_t                      len;
    u_char                     *p;
    ngx_uint_t                  i;
    ngx_http_llm_redis_addr_t  *addr;

    addr = redis->addrs.elts;
    len = 0;

    for (i = 0; i < redis->addrs.nelts; i++) {
        len += addr[i].text.len + 1;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    redis->shown.data = p;

    for (i = 0; i < redis->addrs.nelts; i++) {
        p = ngx_sprintf(p, "%s%V", i ? "," : "", &addr[i].text);
    }

    redis->shown.len = p - redis->shown.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_redis_link(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_url_t                   u;
    ngx_uint_t                  i;
    ngx_http_llm_redis_t       *redis;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_llm_redis_addr_t  *addr;

    redis = lmcf->store.redis;

    if (redis == NULL) {
        return NGX_OK;
    }

    if (lmcf->zone_name.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"llm_redis\" needs \"llm_zone\": what a node knows of "
                      "the others must be known to all its workers, in %V:%ui",
                      &redis->file, redis->line);
        return NGX_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->resolver && clcf->resolver->connections.nelts) {
        redis->resolver = clcf->resolver;
        redis->resolver_timeout = clcf->resolver_timeout;
        return NGX_OK;
    }

    addr = redis->addrs.elts;

    for (i = 0; i < redis->addrs.nelts; i++) {

        if (addr[i].naddrs) {
            continue;
        }

        ngx_memzero(&u, sizeof(ngx_url_t));

        u.url = addr[i].host;
        u.host = addr[i].host;
        u.port = addr[i].port;

        if (ngx_inet_resolve_host(cf->pool, &u) == NGX_OK) {
            addr[i].addrs = u.addrs;
            addr[i].naddrs = u.naddrs;
        }

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "llm: host \"%V\" of \"llm_redis\" %s until the next "
                      "reload: there is no \"resolver\" to ask again",
                      &addr[i].host,
                      addr[i].naddrs ? "keeps its addresses"
                                     : "was not found, and stays unknown");
    }

    return NGX_OK;
}
