
/*
 * The reader of configuration blocks: one member at a time, by a table.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_core.h"
#include "ngx_http_llm_block.h"


typedef struct {
    ngx_str_t               name;      /* of the directive with the block */
    ngx_http_llm_member_t  *members;
    void                   *block;
    uint64_t                seen;
} ngx_http_llm_block_t;


static char *ngx_http_llm_block_member(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static void ngx_http_llm_block_unknown(ngx_conf_t *cf, ngx_str_t *word,
    ngx_http_llm_block_t *b);
static void ngx_http_llm_args_unknown(ngx_conf_t *cf, ngx_str_t *word,
    ngx_http_llm_arg_t *args);
static ngx_int_t ngx_http_llm_arg_range(ngx_conf_t *cf, ngx_str_t *what,
    ngx_http_llm_arg_t *arg, ngx_str_t *value, llm_msec_t *range);
static ngx_int_t ngx_http_llm_arg_number(ngx_http_llm_arg_t *arg,
    ngx_str_t *value);
static char *ngx_http_llm_arg_expected(ngx_http_llm_arg_t *arg);
static char *ngx_http_llm_arg_unit(ngx_http_llm_arg_t *arg);


char *
ngx_http_llm_block(ngx_conf_t *cf, ngx_http_llm_member_t *members, void *block)
{
    char                  *rv;
    ngx_str_t             *value;
    ngx_conf_t             save;
    ngx_http_llm_block_t   b;

    value = cf->args->elts;

    b.name = value[0];
    b.members = members;
    b.block = block;
    b.seen = 0;

    save = *cf;
    cf->handler = ngx_http_llm_block_member;
    cf->handler_conf = (char *) &b;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
ngx_http_llm_block_member(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_llm_block_t *b = conf;

    char                   *rv;
    ngx_str_t              *value;
    ngx_uint_t              i, n;
    ngx_http_llm_member_t  *m;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (ngx_strcmp(value[0].data, "include") == 0) {
        return ngx_conf_include(cf, dummy, conf);
    }

    for (i = 0; b->members[i].name.len; i++) {
        m = &b->members[i];

        if (value[0].len != m->name.len
            || ngx_strcmp(value[0].data, m->name.data) != 0)
        {
            continue;
        }

        if (n < m->min || n > m->max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive", &value[0]);
            return NGX_CONF_ERROR;
        }

        rv = NGX_CONF_OK;

        if (m->once && (b->seen & ((uint64_t) 1 << i))) {
            rv = "is duplicate";
        }

        b->seen |= (uint64_t) 1 << i;

        if (rv == NGX_CONF_OK) {
            rv = m->set(cf, b->block);
        }

        if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" directive %s", &m->name, rv);
            return NGX_CONF_ERROR;
        }

        return rv;
    }

    ngx_http_llm_block_unknown(cf, &value[0], b);

    return NGX_CONF_ERROR;
}


static void
ngx_http_llm_block_unknown(ngx_conf_t *cf, ngx_str_t *word,
    ngx_http_llm_block_t *b)
{
    u_char                 *p, *last, known[512];
    ngx_http_llm_member_t  *m;

    p = known;
    last = known + sizeof(known);

    for (m = b->members; m->name.len; m++) {
        p = ngx_slprintf(p, last, "%s%V", p == known ? "" : ", ", &m->name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in \"%V\", expected one of: "
                       "%*s", word, &b->name, (size_t) (p - known), known);
}


ngx_int_t
ngx_http_llm_args(ngx_conf_t *cf, ngx_uint_t first, ngx_http_llm_arg_t *args,
    void *conf)
{
    uint64_t             seen;
    ngx_str_t           *value, rest;
    ngx_uint_t           i, k;
    ngx_http_llm_arg_t  *arg;

    seen = 0;
    value = cf->args->elts;

    for (i = first; i < cf->args->nelts; i++) {

        arg = NULL;

        for (k = 0; args[k].name.len; k++) {
            if (ngx_http_llm_arg_is(&value[i], (char *) args[k].name.data,
                                    &rest))
            {
                arg = &args[k];
                break;
            }
        }

        if (arg == NULL) {
            ngx_http_llm_args_unknown(cf, &value[i], args);
            return NGX_ERROR;
        }

        if (seen & ((uint64_t) 1 << k)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\"", &value[i]);
            return NGX_ERROR;
        }

        seen |= (uint64_t) 1 << k;

        if (ngx_http_llm_arg_value(cf, &value[i], arg, &rest, conf) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_llm_args_unknown(ngx_conf_t *cf, ngx_str_t *word,
    ngx_http_llm_arg_t *args)
{
    u_char  *p, *last, known[512];

    p = known;
    last = known + sizeof(known);

    for ( /* void */ ; args->name.len; args++) {
        p = ngx_slprintf(p, last, "%s%V=", p == known ? "" : ", ",
                         &args->name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", expected one of: %*s",
                       word, (size_t) (p - known), known);
}


ngx_int_t
ngx_http_llm_arg_value(ngx_conf_t *cf, ngx_str_t *what,
    ngx_http_llm_arg_t *arg, ngx_str_t *value, void *conf)
{
    u_char     *p;
    ngx_int_t   n;

    p = (u_char *) conf + arg->offset;

    if (arg->type == NGX_HTTP_LLM_ARG_STR) {
        *(ngx_str_t *) p = *value;
        return NGX_OK;
    }

    if (arg->type == NGX_HTTP_LLM_ARG_FLAG) {
        return ngx_http_llm_flag(cf, value, (ngx_flag_t *) p);
    }

    if (arg->type == NGX_HTTP_LLM_ARG_RANGE64) {
        return ngx_http_llm_arg_range(cf, what, arg, value, (llm_msec_t *) p);
    }

    n = ngx_http_llm_arg_number(arg, value);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected %s", what,
                           ngx_http_llm_arg_expected(arg));
        return NGX_ERROR;
    }

    if ((ngx_uint_t) n < arg->min || (ngx_uint_t) n > arg->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be between %ui "
                           "and %ui%s", what, arg->min, arg->max,
                           ngx_http_llm_arg_unit(arg));
        return NGX_ERROR;
    }

    switch (arg->type) {

    case NGX_HTTP_LLM_ARG_MSEC:
        *(ngx_msec_t *) p = (ngx_msec_t) n;
        break;

    case NGX_HTTP_LLM_ARG_MSEC64:
        *(llm_msec_t *) p = (llm_msec_t) n;
        break;

    case NGX_HTTP_LLM_ARG_SEC:
        *(time_t *) p = (time_t) n;
        break;

    case NGX_HTTP_LLM_ARG_SIZE:
        *(size_t *) p = (size_t) n;
        break;

    case NGX_HTTP_LLM_ARG_UINT:
        *(ngx_uint_t *) p = (ngx_uint_t) n;
        break;

    default: /* NGX_HTTP_LLM_ARG_U32, NGX_HTTP_LLM_ARG_BP32 */
        *(uint32_t *) p = (uint32_t) n;
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_arg_range(ngx_conf_t *cf, ngx_str_t *what,
    ngx_http_llm_arg_t *arg, ngx_str_t *value, llm_msec_t *range)
{
    u_char     *p;
    ngx_int_t   min, max;
    ngx_str_t   s;

    min = NGX_ERROR;
    max = NGX_ERROR;

    p = ngx_strlchr(value->data, value->data + value->len, '.');

    if (p && p[1] == '.') {
        s.data = value->data;
        s.len = p - s.data;
        min = ngx_parse_time(&s, 0);

        s.data = p + 2;
        s.len = value->data + value->len - s.data;
        max = ngx_parse_time(&s, 0);
    }

    if (min == NGX_ERROR || max == NGX_ERROR || min > max
        || (ngx_uint_t) min < arg->min || (ngx_uint_t) max > arg->max)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected two times, the "
                           "shorter one first, such as 500ms..8s", what);
        return NGX_ERROR;
    }

    range[0] = (llm_msec_t) min;
    range[1] = (llm_msec_t) max;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_arg_number(ngx_http_llm_arg_t *arg, ngx_str_t *value)
{
    switch (arg->type) {

    case NGX_HTTP_LLM_ARG_MSEC:
    case NGX_HTTP_LLM_ARG_MSEC64:
        return ngx_parse_time(value, 0);

    case NGX_HTTP_LLM_ARG_SEC:
        return ngx_parse_time(value, 1);

    case NGX_HTTP_LLM_ARG_BP32:
        if (value->len < 2 || value->data[value->len - 1] != '%') {
            return NGX_ERROR;
        }

        return ngx_atofp(value->data, value->len - 1, 2);

    case NGX_HTTP_LLM_ARG_SIZE:
        return ngx_parse_size(value);

    default:
        return ngx_atoi(value->data, value->len);
    }
}


static char *
ngx_http_llm_arg_expected(ngx_http_llm_arg_t *arg)
{
    switch (arg->type) {

    case NGX_HTTP_LLM_ARG_MSEC:
    case NGX_HTTP_LLM_ARG_MSEC64:
    case NGX_HTTP_LLM_ARG_SEC:
        return "a time such as 30s";

    case NGX_HTTP_LLM_ARG_BP32:
        return "a percentage such as 20%";

    case NGX_HTTP_LLM_ARG_SIZE:
        return "a size such as 10m";

    default:
        return "a number";
    }
}


static char *
ngx_http_llm_arg_unit(ngx_http_llm_arg_t *arg)
{
    switch (arg->type) {

    case NGX_HTTP_LLM_ARG_MSEC:
    case NGX_HTTP_LLM_ARG_MSEC64:
        return " milliseconds";

    case NGX_HTTP_LLM_ARG_SEC:
        return " seconds";

    case NGX_HTTP_LLM_ARG_BP32:
        return " hundredths of a percent";

    case NGX_HTTP_LLM_ARG_SIZE:
        return " bytes";

    default:
        return "";
    }
}


ngx_uint_t
ngx_http_llm_arg_is(ngx_str_t *word, char *name, ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (word->len <= len || word->data[len] != '='
        || ngx_strncmp(word->data, name, len) != 0)
    {
        return 0;
    }

    value->data = word->data + len + 1;
    value->len = word->len - len - 1;

    return 1;
}


ngx_int_t
ngx_http_llm_flag(ngx_conf_t *cf, ngx_str_t *value, ngx_flag_t *flag)
{
    if (value->len == 2 && ngx_strncmp(value->data, "on", 2) == 0) {
        *flag = 1;
        return NGX_OK;
    }

    if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
        *flag = 0;
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\", it must be \"on\" or \"off\"",
                       value);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_llm_word(ngx_conf_t *cf, ngx_str_t *value, char *what, char **words)
{
    u_char     *p, *last, known[512];
    ngx_int_t   i;

    for (i = 0; words[i]; i++) {
        if (ngx_strlen(words[i]) == value->len
            && ngx_strncmp(words[i], value->data, value->len) == 0)
        {
            return i;
        }
    }

    p = known;
    last = known + sizeof(known);

    for (i = 0; words[i]; i++) {
        p = ngx_slprintf(p, last, "%s%s", i ? ", " : "", words[i]);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown %s \"%V\", expected one of: %*s",
                       what, value, (size_t) (p - known), known);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_llm_check_name(ngx_conf_t *cf, char *what, ngx_str_t *name)
{
    u_char  *p, *last;

    if (name->len == 0 || name->len > 128) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid %s name \"%V\", it must have 1 to 128 "
                           "characters", what, name);
        return NGX_ERROR;
    }

    last = name->data + name->len;

    for (p = name->data; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || ngx_strchr("\"'\\$,;{}", *p)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid character \"%c\" in %s name \"%V\"",
                               *p, what, name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
