
/*
 * llm_prompt: the texts around a client's words, what is set beside them, and
 * what the answer must look like.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_file.h"


#define NGX_HTTP_LLM_PROMPT_FILE  (1024 * 1024)


typedef struct {
    ngx_http_llm_prompt_t    *prompt;
    ngx_array_t               fields;      /* llm_field_t */
    ngx_uint_t                repair_set;
} ngx_http_llm_prompt_block_t;


static ngx_int_t ngx_http_llm_prompt_end(ngx_conf_t *cf,
    ngx_http_llm_prompt_block_t *pb);
static char *ngx_http_llm_prompt_system(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_prompt_user(ngx_conf_t *cf, void *block);
static llm_template_t *ngx_http_llm_prompt_template(ngx_conf_t *cf,
    ngx_str_t *source, ngx_uint_t members);
static ngx_int_t ngx_http_llm_prompt_text(ngx_conf_t *cf, ngx_str_t *source,
    ngx_str_t *text);
static ngx_int_t ngx_http_llm_prompt_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text);
static char *ngx_http_llm_prompt_set(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_prompt_answer(ngx_conf_t *cf, void *block);
static ngx_int_t ngx_http_llm_prompt_schema(ngx_conf_t *cf,
    ngx_http_llm_prompt_t *prompt, ngx_str_t *source);
static ngx_int_t ngx_http_llm_prompt_schema_name(ngx_conf_t *cf,
    ngx_http_llm_prompt_t *prompt);
static void ngx_http_llm_prompt_cleanup(void *data);


static ngx_http_llm_member_t  ngx_http_llm_prompt_members[] = {
    { ngx_string("system"), 1, 2, 1, ngx_http_llm_prompt_system },
    { ngx_string("user"), 1, 1, 1, ngx_http_llm_prompt_user },
    { ngx_string("set"), 2, 2, 0, ngx_http_llm_prompt_set },
    { ngx_string("answer"), 1, 3, 1, ngx_http_llm_prompt_answer },
    { ngx_null_string, 0, 0, 0, NULL }
};


/* Members of a chat request that the prompt itself makes. */

static ngx_str_t  ngx_http_llm_prompt_own[] = {
    ngx_string("messages"),
    ngx_string("stream"),
    ngx_string("stream_options"),
    ngx_string("response_format"),
    ngx_string("n"),
    ngx_null_string
};


static char  *ngx_http_llm_answers[] = { "text", "json", NULL };


char *
ngx_http_llm_prompt(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_uint_t                    i;
    ngx_http_llm_prompt_t        *prompt, **slot;
    ngx_http_llm_prompt_block_t   pb;

    value = cf->args->elts;

    if (ngx_http_llm_check_name(cf, "prompt", &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    slot = lmcf->prompts.elts;

    for (i = 0; i < lmcf->prompts.nelts; i++) {
        if (slot[i]->name.len == value[1].len
            && ngx_strncmp(slot[i]->name.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate llm_prompt \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    prompt = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_prompt_t));
    slot = ngx_array_push(&lmcf->prompts);

    if (prompt == NULL || slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = prompt;
    prompt->name = value[1];

    ngx_memzero(&pb, sizeof(ngx_http_llm_prompt_block_t));
    pb.prompt = prompt;

    if (ngx_array_init(&pb.fields, cf->pool, 4, sizeof(llm_field_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_llm_block(cf, ngx_http_llm_prompt_members, &pb);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_llm_prompt_end(cf, &pb) == NGX_OK ? NGX_CONF_OK
                                                      : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_llm_prompt_end(ngx_conf_t *cf, ngx_http_llm_prompt_block_t *pb)
{
    size_t                  i;
    ngx_uint_t              used;
    ngx_http_llm_prompt_t  *prompt;

    prompt = pb->prompt;
    prompt->fields = pb->fields.elts;
    prompt->nfields = pb->fields.nelts;

    if (prompt->user == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"user\" in llm_prompt \"%V\"", &prompt->name);
        return NGX_ERROR;
    }

    used = 0;

    for (i = 0; i < prompt->user->n; i++) {
        used |= (prompt->user->piece[i].name.len != 0);
    }

    for (i = 0; prompt->system && i < prompt->system->n; i++) {
        used |= (prompt->system->piece[i].name.len != 0);
    }

    if (!used) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "llm_prompt \"%V\" has no placeholder such as "
                           "{text}: nothing of the client's request is sent",
                           &prompt->name);
    }

    return NGX_OK;
}


/* system file:PATH|TEXT [members=on] */

static char *
ngx_http_llm_prompt_system(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_prompt_block_t *pb = block;

    ngx_str_t   *value, rest;
    ngx_flag_t   members;

    value = cf->args->elts;
    members = 0;

    if (cf->args->nelts == 3) {

        if (!ngx_http_llm_arg_is(&value[2], "members", &rest)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected members=",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        if (ngx_http_llm_flag(cf, &rest, &members) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    pb->prompt->system = ngx_http_llm_prompt_template(cf, &value[1], members);

    return pb->prompt->system ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_llm_prompt_user(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_prompt_block_t *pb = block;

    ngx_str_t  *value;

    value = cf->args->elts;

    pb->prompt->user = ngx_http_llm_prompt_template(cf, &value[1], 1);

    return pb->prompt->user ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static llm_template_t *
ngx_http_llm_prompt_template(ngx_conf_t *cf, ngx_str_t *source,
    ngx_uint_t members)
{
    u_char          *p;
    llm_buf_t        mem;
    llm_str_t        view;
    ngx_str_t        text;
    llm_template_t  *t;

    if (ngx_http_llm_prompt_text(cf, source, &text) != NGX_OK) {
        return NULL;
    }

    view = (llm_str_t) { text.len, text.data };

    t = ngx_pcalloc(cf->pool, sizeof(llm_template_t));
    p = ngx_pnalloc(cf->pool, text.len + 1);

    if (t == NULL || p == NULL) {
        return NULL;
    }

    llm_buf_init(&mem, p, text.len + 1);

    if (llm_template_compile(view, (int) members, t, &mem) != LLM_OK) {
        goto invalid;
    }

    t->piece = ngx_pcalloc(cf->pool, (t->n + 1) * sizeof(llm_piece_t));
    if (t->piece == NULL) {
        return NULL;
    }

    llm_buf_init(&mem, p, text.len + 1);

    if (llm_template_compile(view, (int) members, t, &mem) == LLM_OK) {
        return t;
    }

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid placeholder in \"%V\", expected {name} or "
                       "{/json/pointer}", source);

    return NULL;
}


/* The text itself, or what stands in file:PATH. */

static ngx_int_t
ngx_http_llm_prompt_text(ngx_conf_t *cf, ngx_str_t *source, ngx_str_t *text)
{
    ngx_str_t  path;

    if (source->len <= 5 || ngx_strncmp(source->data, "file:", 5) != 0) {
        *text = *source;

    } else {
        path = *source;

        if (ngx_http_llm_prompt_file(cf, &path, text) != NGX_OK) {
            return NGX_ERROR;
        }

        if (text->len && text->data[text->len - 1] == LF) {
            text->len--;
        }

        if (text->len && text->data[text->len - 1] == CR) {
            text->len--;
        }
    }

    if (text->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is empty", source);
        return NGX_ERROR;
    }

    if (ngx_utf8_length(text->data, text->len) > text->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is not UTF-8",
                           source);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* A file, written with or without "file:"; *path becomes its full name. */

static ngx_int_t
ngx_http_llm_prompt_file(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *text)
{
    ngx_int_t  rc;

    if (path->len > 5 && ngx_strncmp(path->data, "file:", 5) == 0) {
        path->data += 5;
        path->len -= 5;
    }

    rc = ngx_http_llm_file_read(cf, path, NGX_HTTP_LLM_PROMPT_FILE, text);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, NGX_ENOENT,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    /* an editor's byte order mark is no part of the text */

    if (text->len >= 3 && ngx_memcmp(text->data, "\xef\xbb\xbf", 3) == 0) {
        text->data += 3;
        text->len -= 3;
    }

    return NGX_OK;
}


/* set NAME VALUE; set model NAME */

static char *
ngx_http_llm_prompt_set(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_prompt_block_t *pb = block;

    llm_str_t     name;
    ngx_str_t    *value;
    ngx_uint_t    i;
    llm_field_t  *field;

    value = cf->args->elts;
    name = (llm_str_t) { value[1].len, value[1].data };

    if (ngx_http_llm_check_name(cf, "member", &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; ngx_http_llm_prompt_own[i].len; i++) {
        if (llm_str_eq(name, (llm_str_t) { ngx_http_llm_prompt_own[i].len,
                                          ngx_http_llm_prompt_own[i].data }))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "member \"%V\" cannot be set, the prompt makes "
                               "it", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    field = pb->fields.elts;

    for (i = 0; i < pb->fields.nelts; i++) {
        if (llm_str_eq(field[i].name, name)) {
            goto duplicate;
        }
    }

    if (llm_str_eq(name, LLM_STR("model"))) {
        if (pb->prompt->model.len) {
            goto duplicate;
        }

        pb->prompt->model = value[2];
        return NGX_CONF_OK;
    }

    field = ngx_array_push(&pb->fields);
    if (field == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(field, sizeof(llm_field_t));

    return ngx_http_llm_field(cf, field, &value[1], &value[2], 1) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;

duplicate:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate member \"%V\"",
                       &value[1]);

    return NGX_CONF_ERROR;
}


/* answer json [schema=file:PATH] [repair=on|off]; answer text */

static char *
ngx_http_llm_prompt_answer(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_prompt_block_t *pb = block;

    ngx_int_t               n;
    ngx_str_t              *value, rest;
    ngx_uint_t              i;
    ngx_http_llm_prompt_t  *prompt;

    prompt = pb->prompt;
    value = cf->args->elts;

    n = ngx_http_llm_word(cf, &value[1], "answer", ngx_http_llm_answers);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    prompt->json = n;

    if (!prompt->json && cf->args->nelts > 2) {
        return "takes nothing behind \"text\"";
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (prompt->schema == NULL
            && ngx_http_llm_arg_is(&value[i], "schema", &rest))
        {
            if (ngx_http_llm_prompt_schema(cf, prompt, &rest) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (!pb->repair_set
            && ngx_http_llm_arg_is(&value[i], "repair", &rest))
        {
            if (ngx_http_llm_flag(cf, &rest, &prompt->repair) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            pb->repair_set = 1;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected schema= or "
                           "repair=, once each", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_llm_prompt_schema(ngx_conf_t *cf, ngx_http_llm_prompt_t *prompt,
    ngx_str_t *source)
{
    char                 err[256];
    ngx_str_t            path;
    ngx_pool_cleanup_t  *cln;

    path = *source;

    if (ngx_http_llm_prompt_file(cf, &path, &prompt->schema_text) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    err[0] = '\0';

    if (llm_schema_compile((llm_str_t) { prompt->schema_text.len,
                                         prompt->schema_text.data },
                           &prompt->schema, err, sizeof(err))
        != LLM_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid schema \"%V\": %s", &path, err);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_llm_prompt_cleanup;
    cln->data = prompt->schema;

    return ngx_http_llm_prompt_schema_name(cf, prompt);
}


/* OpenAI takes letters, digits, "_" and "-" in a schema's name, at most 64. */

static ngx_int_t
ngx_http_llm_prompt_schema_name(ngx_conf_t *cf, ngx_http_llm_prompt_t *prompt)
{
    u_char  ch, *p;
    size_t  i, n;

    n = ngx_min(prompt->name.len, 64);

    p = ngx_pnalloc(cf->pool, n);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        ch = prompt->name.data[i];

        if (!((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
            && !(ch >= '0' && ch <= '9') && ch != '-')
        {
            ch = '_';
        }

        p[i] = ch;
    }

    prompt->schema_name.data = p;
    prompt->schema_name.len = n;

    return NGX_OK;
}


static void
ngx_http_llm_prompt_cleanup(void *data)
{
    llm_schema_free(data);
}
