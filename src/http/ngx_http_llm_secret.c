
/*
 * Secrets are read in the master, while it is still root and has its original
 * environment, when the configuration is loaded to serve or is tested.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_llm_file.h"
#include "ngx_http_llm_secret.h"


#define NGX_HTTP_LLM_SECRET_FILE  (4 * 1024 * 1024)


static ngx_int_t ngx_http_llm_secret_env(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text, char **why);
static ngx_int_t ngx_http_llm_secret_keep_env(ngx_conf_t *cf, ngx_str_t *name);
static ngx_int_t ngx_http_llm_secret_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text, char **why);


ngx_int_t
ngx_http_llm_secret_read(ngx_conf_t *cf, ngx_str_t *source, ngx_str_t *text,
    char **why)
{
    ngx_str_t  rest;

    *why = NULL;
    ngx_str_null(text);

    if (source->len > 4 && ngx_strncmp(source->data, "env:", 4) == 0) {
        rest.data = source->data + 4;
        rest.len = source->len - 4;

        return ngx_http_llm_secret_env(cf, &rest, text, why);
    }

    if (source->len > 5 && ngx_strncmp(source->data, "file:", 5) == 0) {
        rest.data = source->data + 5;
        rest.len = source->len - 5;

        return ngx_http_llm_secret_file(cf, &rest, text, why);
    }

    /* whatever it is, it may be the secret itself */

    *why = "must come from \"env:NAME\" or \"file:PATH\"";

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_secret_env(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *text,
    char **why)
{
    char  *value;

    if (ngx_strlchr(name->data, name->data + name->len, '=') != NULL) {
        *why = "has a \"=\" in the name of its variable";
        return NGX_ERROR;
    }

    if (ngx_http_llm_secret_keep_env(cf, name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_DONE;
    }

    value = getenv((char *) name->data);

    if (value == NULL) {
        *why = "is missing: the environment variable is not set";
        return NGX_DECLINED;
    }

    if (value[0] == '\0') {
        *why = "is empty";
        return NGX_DECLINED;
    }

    text->len = ngx_strlen(value);
    text->data = ngx_pnalloc(cf->pool, text->len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text->data, value, text->len + 1);

    return NGX_OK;
}


/* As `env NAME;` does, unless it is there already. */

static ngx_int_t
ngx_http_llm_secret_keep_env(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_str_t        *var;
    ngx_uint_t        i;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);
    var = ccf->env.elts;

    for (i = 0; i < ccf->env.nelts; i++) {
        if (var[i].len == name->len
            && ngx_strncmp(var[i].data, name->data, name->len) == 0)
        {
            return NGX_OK;
        }
    }

    var = ngx_array_push(&ccf->env);
    if (var == NULL) {
        return NGX_ERROR;
    }

    *var = *name;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_secret_file(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *text,
    char **why)
{
    ngx_int_t  rc;

    if (ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_DONE;
    }

    rc = ngx_http_llm_file_read(cf, path, NGX_HTTP_LLM_SECRET_FILE, text);

    if (rc == NGX_DECLINED) {
        *why = "is missing: No such file";
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (text->len && text->data[text->len - 1] == LF) {
        text->len--;
    }

    if (text->len && text->data[text->len - 1] == CR) {
        text->len--;
    }

    if (text->len == 0) {
        *why = "is empty";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


char *
ngx_http_llm_secret_check(ngx_str_t *secret)
{
    size_t  i;
    u_char  ch;

    if (secret->len == 0) {
        return "is empty";
    }

    /* it becomes a header's value: what could end one matters most */

    for (i = 0; i < secret->len; i++) {
        ch = secret->data[i];

        if (ch == ' ' || (ch >= '\t' && ch <= '\r')) {
            return "contains white space";
        }

        if (ch < 0x20 || ch == 0x7f) {
            return "contains a control character";
        }

        if (ch > 0x7f) {
            return "contains a character that is not ASCII";
        }
    }

    return NULL;
}


/* Keys are long and mix letters and digits, as names of that length hardly
 * do. */

ngx_uint_t
ngx_http_llm_secret_is_like(ngx_str_t *word)
{
    size_t      i;
    u_char      ch;
    ngx_uint_t  digits, letters;

    digits = 0;
    letters = 0;

    for (i = 0; i < word->len; i++) {
        ch = word->data[i];
        digits += (ch >= '0' && ch <= '9');

        ch |= 0x20;
        letters += (ch >= 'a' && ch <= 'z');
    }

    return word->len >= 30 && digits > 2 && letters > 2;
}


ngx_str_t
ngx_http_llm_secret_url(ngx_str_t *url)
{
    u_char     *p, *last;
    ngx_str_t   shown;

    shown = *url;
    last = url->data + url->len;

    for (p = url->data; p < last && *p != '?' && *p != '#'; p++) {
        /* void */
    }

    if (ngx_strlchr(url->data, last, '@')) {
        p = ngx_strlchr(url->data, last, '/');
        p = p ? p : url->data;
    }

    shown.len = p - url->data;

    return shown;
}
