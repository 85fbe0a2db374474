
/*
 * Who may call the API: by default whoever connects from this machine, with
 * token= whoever knows it.  A browser is a program on this machine that runs
 * code of strangers, so what it says about where a request comes from counts.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"
#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_ADMIN_ACTOR  64           /* bytes of X-Llm-Actor */


static ngx_int_t ngx_http_llm_admin_token(ngx_http_llm_admin_t *a);
static ngx_uint_t ngx_http_llm_admin_is_secret(const ngx_str_t *secret,
    const ngx_str_t *given);
static ngx_uint_t ngx_http_llm_admin_is_local(ngx_http_llm_admin_t *a);
static ngx_uint_t ngx_http_llm_admin_is_loopback(struct sockaddr *sa);
static ngx_uint_t ngx_http_llm_admin_is_own_name(ngx_http_llm_admin_t *a);
static ngx_int_t ngx_http_llm_admin_origin(ngx_http_llm_admin_t *a);
static ngx_uint_t ngx_http_llm_admin_is_origin(ngx_http_request_t *r,
    ngx_str_t *origin);


static ngx_str_t  ngx_http_llm_admin_authenticate =
    ngx_string("www-authenticate");
static ngx_str_t  ngx_http_llm_admin_bearer =
    ngx_string("Bearer realm=\"llm_admin\"");


ngx_int_t
ngx_http_llm_admin_access(ngx_http_llm_admin_t *a)
{
    ngx_http_request_t  *r;

    r = a->request;

    if (r != r->main) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_FORBIDDEN, "forbidden",
                   "the API serves no subrequests");
    }

    if (a->conf->token.len) {
        return ngx_http_llm_admin_token(a);
    }

    if (!ngx_http_llm_admin_is_local(a)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_FORBIDDEN, "forbidden",
                   "without token= only connections from this machine "
                   "(loopback or a unix socket) are served");
    }

    /* a name that an attacker's DNS server made point here */

    if (!ngx_http_llm_admin_is_own_name(a)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_FORBIDDEN, "forbidden",
                   "without token= the Host must be an address, "
                   "\"localhost\" or a server_name of this server, not "
                   "\"%V\"", &r->headers_in.server);
    }

    return ngx_http_llm_admin_origin(a);
}


static ngx_int_t
ngx_http_llm_admin_token(ngx_http_llm_admin_t *a)
{
    ngx_int_t            rc;
    ngx_str_t            given;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = a->request;
    h = r->headers_in.authorization;

    ngx_str_null(&given);

    if (h && h->value.len > 7
        && ngx_strncasecmp(h->value.data, (u_char *) "Bearer ", 7) == 0)
    {
        given.data = h->value.data + 7;
        given.len = h->value.len - 7;
    }

    if (ngx_http_llm_admin_is_secret(&a->conf->token, &given)) {
        return ngx_http_llm_admin_origin(a);
    }

    rc = ngx_http_llm_admin_refuse(a, NGX_HTTP_UNAUTHORIZED, "unauthorized",
             given.len ? "this is not the token"
                       : "the token is missing: send it as "
                         "\"Authorization: Bearer ...\"");

    if (rc == NGX_DONE
        && ngx_http_llm_add_header(r, &ngx_http_llm_admin_authenticate,
                                   &ngx_http_llm_admin_bearer)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return rc;
}


/* The time this takes depends on what is given, not on what is right. */

static ngx_uint_t
ngx_http_llm_admin_is_secret(const ngx_str_t *secret, const ngx_str_t *given)
{
    size_t           i;
    volatile u_char  differs;

    differs = (secret->len != given->len);

    for (i = 0; i < given->len; i++) {
        differs |= given->data[i] ^ secret->data[i % secret->len];
    }

    return !differs;
}


/* The peer of the connection itself: the realip module puts the address that a
 * header claims into its place, but keeps it for a variable. */

static ngx_uint_t
ngx_http_llm_admin_is_local(ngx_http_llm_admin_t *a)
{
    ngx_addr_t                  addr;
    ngx_http_request_t         *r;
    ngx_http_variable_value_t  *vv;

    r = a->request;

    if (a->conf->realip == NGX_ERROR) {
        return ngx_http_llm_admin_is_loopback(r->connection->sockaddr);
    }

    vv = ngx_http_get_indexed_variable(r, a->conf->realip);

    if (vv == NULL || vv->not_found) {
        return 0;
    }

    if (vv->len == 5 && ngx_strncmp(vv->data, "unix:", 5) == 0) {
        return 1;
    }

    if (ngx_parse_addr(r->pool, &addr, vv->data, vv->len) != NGX_OK) {
        return 0;
    }

    return ngx_http_llm_admin_is_loopback(addr.sockaddr);
}


static ngx_uint_t
ngx_http_llm_admin_is_loopback(struct sockaddr *sa)
{
    in_addr_t             addr;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    struct sockaddr_in6  *sin6;
#endif

    switch (sa->sa_family) {

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return 1;
#endif

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;

        if (IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr)) {
            return 1;
        }

        p = sin6->sin6_addr.s6_addr;

        return IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) && p[12] == 127;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        addr = ntohl(sin->sin_addr.s_addr);

        return (addr >> 24) == 127;

    default:
        return 0;
    }
}


/* A page that a browser got from evil.example may ask evil.example again, and
 * that name may point to this machine by now.  Its requests say so. */

static ngx_uint_t
ngx_http_llm_admin_is_own_name(ngx_http_llm_admin_t *a)
{
    ngx_str_t   *host, *name;
    ngx_uint_t   i;

    host = &a->request->headers_in.server;

    if (host->len == 0 || host->data[0] == '['
        || ngx_inet_addr(host->data, host->len) != INADDR_NONE)
    {
        return 1;
    }

    if (host->len == 9 && ngx_strncmp(host->data, "localhost", 9) == 0) {
        return 1;
    }

    name = a->conf->names.elts;

    for (i = 0; i < a->conf->names.nelts; i++) {
        if (name[i].len == host->len
            && ngx_strncasecmp(name[i].data, host->data, host->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* Every "Origin" must be this server: scheme://HOST. */

static ngx_int_t
ngx_http_llm_admin_origin(ngx_http_llm_admin_t *a)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    h = ngx_http_llm_admin_header(a->request, "sec-fetch-site", 14);

    if (h && h->value.len == 10
        && ngx_strncmp(h->value.data, "cross-site", 10) == 0)
    {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_FORBIDDEN, "forbidden",
                   "a page of another site made a browser send this");
    }

    part = &a->request->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NGX_OK;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == 6
            && ngx_strncasecmp(h[i].key.data, (u_char *) "origin", 6) == 0
            && !ngx_http_llm_admin_is_origin(a->request, &h[i].value))
        {
            return ngx_http_llm_admin_refuse(a, NGX_HTTP_FORBIDDEN,
                       "forbidden",
                       "the Origin of this request is not its Host");
        }
    }
}


static ngx_uint_t
ngx_http_llm_admin_is_origin(ngx_http_request_t *r, ngx_str_t *origin)
{
    u_char     *p, *last;
    ngx_str_t  *host;

    last = origin->data + origin->len;
    p = ngx_strlchr(origin->data, last, ':');

    if (p == NULL || last - p < 3 || p[1] != '/' || p[2] != '/'
        || r->headers_in.host == NULL)
    {
        return 0;
    }

    p += 3;
    host = &r->headers_in.host->value;

    return (size_t) (last - p) == host->len
           && ngx_strncasecmp(p, host->data, host->len) == 0;
}


ngx_int_t
ngx_http_llm_admin_change_access(ngx_http_llm_admin_t *a)
{
    u_char           *p;
    ngx_table_elt_t  *h;

    h = a->request->headers_in.content_type;

    if (h && h->value.len >= 16
        && ngx_strncasecmp(h->value.data, (u_char *) "application/json", 16)
           == 0)
    {
        p = h->value.data + 16;

        if (h->value.len == 16 || *p == ';' || *p == ' ') {
            return NGX_OK;
        }
    }

    /* a form of another site cannot send this type */

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
               "unsupported_media_type",
               "a change needs \"Content-Type: application/json\", also "
               "without a body");
}


ngx_int_t
ngx_http_llm_admin_actor(ngx_http_llm_admin_t *a)
{
    size_t                      i, len;
    u_char                     *p, ch;
    ngx_str_t                  *addr, name;
    ngx_table_elt_t            *h;
    ngx_http_variable_value_t  *vv;

    ngx_str_set(&name, "request_id");

    vv = ngx_http_get_variable(a->request, &name,
                               ngx_hash_key(name.data, name.len));

    if (vv && !vv->not_found) {
        a->actor.request.data = vv->data;
        a->actor.request.len = vv->len;
    }

    h = ngx_http_llm_admin_header(a->request, "x-llm-actor", 11);
    addr = &a->request->connection->addr_text;
    len = h ? ngx_min(h->value.len, NGX_HTTP_LLM_ADMIN_ACTOR) : 0;

    p = ngx_pnalloc(a->request->pool, sizeof("admin  ") - 1 + addr->len + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    a->actor.actor.data = p;

    p = ngx_sprintf(p, "admin %V", addr);

    if (len) {
        *p++ = ' ';
    }

    for (i = 0; i < len; i++) {
        ch = h->value.data[i];

        *p++ = ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
                || (ch >= 'a' && ch <= 'z') || ngx_strchr("@._+-", ch))
               ? ch : '_';
    }

    a->actor.actor.len = p - a->actor.actor.data;

    return NGX_OK;
}


/* The first header of that name, in lower case, or NULL. */

ngx_table_elt_t *
ngx_http_llm_admin_header(ngx_http_request_t *r, char *name, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i];
        }
    }
}
