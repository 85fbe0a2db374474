
/*
 * The lines `key` and `keys` of a pool: where a secret comes from, and what
 * belongs to it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_secret.h"


#define NGX_HTTP_LLM_WEIGHT_MAX  10000


/* The words of one `key` or `keys` line. */

typedef struct {
    ngx_str_t                name;
    ngx_str_t                group;
    ngx_uint_t               weight;
    ngx_uint_t               optional;
    ngx_http_llm_limits_t    limits;
    llm_group_conf_t        *own;
} ngx_http_llm_key_line_t;


static ngx_int_t ngx_http_llm_pool_key_args(ngx_conf_t *cf,
    ngx_http_llm_pool_block_t *pb, ngx_http_llm_key_line_t *line,
    ngx_uint_t single);
static ngx_int_t ngx_http_llm_pool_key_arg(ngx_conf_t *cf,
    ngx_http_llm_key_line_t *line, ngx_str_t *arg, ngx_uint_t single);
static void ngx_http_llm_pool_key_unknown(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_uint_t single);
static ngx_int_t ngx_http_llm_pool_add(ngx_conf_t *cf,
    ngx_http_llm_pool_block_t *pb, ngx_http_llm_key_line_t *line,
    ngx_str_t *source, ngx_str_t *secret);
static ngx_uint_t ngx_http_llm_pool_has_key(ngx_http_llm_pool_block_t *pb,
    ngx_str_t *name);
static ngx_int_t ngx_http_llm_pool_add_list(ngx_conf_t *cf,
    ngx_http_llm_pool_block_t *pb, ngx_http_llm_key_line_t *line,
    ngx_str_t *source, ngx_str_t *text);
static void ngx_http_llm_pool_trim(ngx_str_t *s);
static void ngx_http_llm_pool_key_log(ngx_conf_t *cf, ngx_uint_t level,
    ngx_http_llm_pool_block_t *pb, ngx_str_t *source, ngx_uint_t line,
    char *why);


/* key SOURCE ...; keys SOURCE ...; */

char *
ngx_http_llm_pool_key(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_pool_block_t *pb = block;

    char                     *why;
    ngx_int_t                 rc;
    ngx_str_t                *value, text;
    ngx_uint_t                single;
    ngx_http_llm_key_line_t   line;

    value = cf->args->elts;
    single = (value[0].len == 3);

    if (ngx_http_llm_pool_key_args(cf, pb, &line, single) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    pb->position++;

    rc = ngx_http_llm_secret_read(cf, &value[1], &text, &why);

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DONE:
        return NGX_CONF_OK;

    case NGX_DECLINED:
        ngx_http_llm_pool_key_log(cf, line.optional ? NGX_LOG_NOTICE
                                                    : NGX_LOG_EMERG,
                                  pb, &value[1], 0, why);
        return line.optional ? NGX_CONF_OK : NGX_CONF_ERROR;

    default: /* NGX_ERROR */
        if (why) {
            ngx_http_llm_pool_key_log(cf, NGX_LOG_EMERG, pb, NULL, 0, why);
        }

        return NGX_CONF_ERROR;
    }

    if (single) {
        rc = ngx_http_llm_pool_add(cf, pb, &line, &value[1], &text);

    } else {
        rc = ngx_http_llm_pool_add_list(cf, pb, &line, &value[1], &text);
    }

    return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_llm_pool_key_args(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb,
    ngx_http_llm_key_line_t *line, ngx_uint_t single)
{
    ngx_int_t    rc;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    ngx_memzero(line, sizeof(ngx_http_llm_key_line_t));
    line->weight = 1;
    ngx_http_llm_limits_init(&line->limits);

    for (i = 2; i < cf->args->nelts; i++) {
        rc = ngx_http_llm_limits_arg(cf, pb->zones, &line->limits, &value[i]);

        if (rc == NGX_DECLINED) {
            rc = ngx_http_llm_pool_key_arg(cf, line, &value[i], single);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_llm_limits_done(cf, &line->limits) != NGX_OK) {
        return NGX_ERROR;
    }

    if (line->group.len == 0) {
        line->own = ngx_palloc(cf->temp_pool, sizeof(llm_group_conf_t));
        if (line->own == NULL) {
            return NGX_ERROR;
        }

        *line->own = line->limits.conf;

    } else if (line->limits.conf.limit_n || line->limits.conf.shared) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"limit\" is incompatible with \"group=%V\": "
                           "the limits of a group stand at \"group\"",
                           &line->group);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_pool_key_arg(ngx_conf_t *cf, ngx_http_llm_key_line_t *line,
    ngx_str_t *arg, ngx_uint_t single)
{
    static ngx_http_llm_arg_t  weight = {
        ngx_string("weight"), NGX_HTTP_LLM_ARG_UINT,
        offsetof(ngx_http_llm_key_line_t, weight), 1, NGX_HTTP_LLM_WEIGHT_MAX
    };

    ngx_str_t  value;

    if (ngx_http_llm_arg_is(arg, "group", &value)) {
        line->group = value;
        return ngx_http_llm_check_name(cf, "group", &value);
    }

    if (ngx_http_llm_arg_is(arg, "weight", &value)) {
        return ngx_http_llm_arg_value(cf, arg, &weight, &value, line);
    }

    if (single && ngx_http_llm_arg_is(arg, "name", &value)) {
        line->name = value;
        return ngx_http_llm_check_name(cf, "key", &value);
    }

    if (arg->len == 8 && ngx_strncmp(arg->data, "optional", 8) == 0) {
        line->optional = 1;
        return NGX_OK;
    }

    ngx_http_llm_pool_key_unknown(cf, arg, single);

    return NGX_ERROR;
}


/* The word may be a key written here by mistake: it is shown only as far as it
 * looks like the name of a parameter. */

static void
ngx_http_llm_pool_key_unknown(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_uint_t single)
{
    size_t  n;

    for (n = 0; n < arg->len; n++) {
        if ((arg->data[n] < 'a' || arg->data[n] > 'z') && arg->data[n] != '_') {
            break;
        }
    }

    if (n < arg->len && arg->data[n] != '=') {
        n = 0;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter%s%*s%s, expected one of: group=, "
                       "weight=, %soptional, limit=, clock=, reset=, shared",
                       n ? " \"" : "", n, arg->data, n ? "\"" : "",
                       single ? "name=, " : "");
}


static ngx_int_t
ngx_http_llm_pool_add(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb,
    ngx_http_llm_key_line_t *line, ngx_str_t *source, ngx_str_t *secret)
{
    char                    *why;
    u_char                  *p;
    ngx_str_t                name;
    ngx_http_llm_key_row_t  *row;

    why = ngx_http_llm_secret_check(secret);

    if (why) {
        ngx_http_llm_pool_key_log(cf, NGX_LOG_EMERG, pb, source, 0, why);
        return NGX_ERROR;
    }

    name = line->name;

    if (name.len == 0) {
        p = ngx_pnalloc(cf->pool, pb->pool->name.len + 1 + NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        name.data = p;
        name.len = ngx_sprintf(p, "%V-%ui", &pb->pool->name, pb->position) - p;
    }

    if (line->name.len && ngx_http_llm_pool_has_key(pb, &name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate key name \"%V\" in pool \"%V\"", &name,
                           &pb->pool->name);
        return NGX_ERROR;
    }

    row = ngx_array_push(&pb->keys);
    if (row == NULL) {
        return NGX_ERROR;
    }

    row->key.name = name;
    row->key.secret = *secret;
    row->group = line->group;
    row->weight = (uint32_t) line->weight;
    row->own = line->own;

    ngx_http_llm_place(cf, &row->file, &row->line);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_pool_has_key(ngx_http_llm_pool_block_t *pb, ngx_str_t *name)
{
    ngx_uint_t               i;
    ngx_http_llm_key_row_t  *row;

    row = pb->keys.elts;

    for (i = 0; i < pb->keys.nelts; i++) {
        if (row[i].key.name.len == name->len
            && ngx_strncmp(row[i].key.name.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* One key a line; "#" starts a comment line. */

static ngx_int_t
ngx_http_llm_pool_add_list(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb,
    ngx_http_llm_key_line_t *line, ngx_str_t *source, ngx_str_t *text)
{
    char        *why;
    u_char      *p, *end, *last;
    ngx_str_t    secret;
    ngx_uint_t   n, first;

    n = 0;
    first = pb->position;
    last = text->data + text->len;

    pb->position--;

    for (p = text->data; p < last; p = end + 1) {
        n++;

        end = ngx_strlchr(p, last, LF);
        if (end == NULL) {
            end = last;
        }

        secret.data = p;
        secret.len = end - p;

        ngx_http_llm_pool_trim(&secret);

        if (secret.len == 0 || secret.data[0] == '#') {
            continue;
        }

        pb->position++;

        why = ngx_http_llm_secret_check(&secret);

        if (why) {
            ngx_http_llm_pool_key_log(cf, NGX_LOG_EMERG, pb, source, n, why);
            return NGX_ERROR;
        }

        if (ngx_http_llm_pool_add(cf, pb, line, source, &secret) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (pb->position >= first) {
        return NGX_OK;
    }

    /* only comments: as good as empty */

    pb->position++;

    ngx_http_llm_pool_key_log(cf, line->optional ? NGX_LOG_NOTICE
                                                 : NGX_LOG_EMERG,
                              pb, source, 0, "is empty: it has no keys");

    return line->optional ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_llm_pool_trim(ngx_str_t *s)
{
    while (s->len && (s->data[0] == ' ' || s->data[0] == '\t')) {
        s->data++;
        s->len--;
    }

    while (s->len && (s->data[s->len - 1] == ' ' || s->data[s->len - 1] == '\t'
                      || s->data[s->len - 1] == CR))
    {
        s->len--;
    }
}


/* The place, the source and the reason; never a byte of the secret. */

static void
ngx_http_llm_pool_key_log(ngx_conf_t *cf, ngx_uint_t level,
    ngx_http_llm_pool_block_t *pb, ngx_str_t *source, ngx_uint_t line,
    char *why)
{
    u_char  from[NGX_MAX_CONF_ERRSTR], *p, *last;

    p = from;
    last = from + sizeof(from);

    if (source) {
        p = ngx_slprintf(p, last, " from \"%V\"", source);
    }

    if (line) {
        p = ngx_slprintf(p, last, " line %ui", line);
    }

    ngx_conf_log_error(level, cf, 0, "key %ui of pool \"%V\"%*s %s%s",
                       pb->position, &pb->pool->name, (size_t) (p - from),
                       from, why,
                       level == NGX_LOG_NOTICE ? ", it is left out" : "");
}
