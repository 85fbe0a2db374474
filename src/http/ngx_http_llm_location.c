
/*
 * The directives of a location: what it passes to, what it sends there, and
 * how often it tries.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


static char *ngx_http_llm_pass_conflict(ngx_http_core_loc_conf_t *clcf,
    ngx_http_llm_loc_conf_t *llcf);
static ngx_int_t ngx_http_llm_pass_variable(ngx_conf_t *cf,
    ngx_http_llm_loc_conf_t *llcf, ngx_str_t *value);
static ngx_int_t ngx_http_llm_transcribe_field(ngx_conf_t *cf,
    ngx_http_llm_transcribe_t *t, llm_field_t *field, ngx_str_t *word);
static ngx_int_t ngx_http_llm_field_json(ngx_conf_t *cf, llm_field_t *field);


/* in the order of NGX_HTTP_LLM_HEADERS_... */

static char  *ngx_http_llm_header_sets[] = {
    "off", "id", "route", "all", NULL
};


static ngx_http_llm_arg_t  ngx_http_llm_retry_args[] = {

    { ngx_string("backoff"), NGX_HTTP_LLM_ARG_RANGE64,
      offsetof(llm_retry_conf_t, backoff_min), 0, 3600 * 1000 },

    { ngx_string("budget"), NGX_HTTP_LLM_ARG_BP32,
      offsetof(llm_retry_conf_t, budget_bp), 0, 100000 },

    { ngx_string("deadline"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(llm_retry_conf_t, deadline), 1, 24 * 3600 * 1000 },

    { ngx_null_string, 0, 0, 0, 0 }
};


static char *
ngx_http_llm_pass_conflict(ngx_http_core_loc_conf_t *clcf,
    ngx_http_llm_loc_conf_t *llcf)
{
    if (clcf->handler == ngx_http_llm_health_handler) {
        return "is incompatible with \"llm_health\"";
    }

    if (clcf->handler == ngx_http_llm_feedback_handler) {
        return "is incompatible with \"llm_feedback\"";
    }

    if (llcf->admin) {
        return "is incompatible with \"llm_admin\"";
    }

    if (clcf->handler == ngx_http_llm_metrics_handler) {
        return "is incompatible with \"llm_metrics\"";
    }

    return NULL;
}


/* llm_pass NAME ...; llm_pass $variable */

char *
ngx_http_llm_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    char                      *rv;
    ngx_str_t                 *value, *name;
    ngx_uint_t                 i, n;
    ngx_http_core_loc_conf_t  *clcf;

    if (llcf->enabled) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    rv = ngx_http_llm_pass_conflict(clcf, llcf);

    if (rv) {
        return rv;
    }

    clcf->handler = ngx_http_llm_handler;

    if (clcf->name.len && clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    llcf->enabled = 1;
    llcf->location = clcf->name;
    ngx_http_llm_place(cf, &llcf->file, &llcf->line);

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (n == 1 && ngx_http_script_variables_count(&value[1])) {
        return ngx_http_llm_pass_variable(cf, llcf, &value[1]) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (n > NGX_HTTP_LLM_TARGETS_MAX) {
        return "has too many names, 64 are possible";
    }

    llcf->pass_names = ngx_array_create(cf->pool, n, sizeof(ngx_str_t));
    if (llcf->pass_names == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i <= n; i++) {

        if (ngx_http_script_variables_count(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "variable \"%V\" must stand alone in "
                               "\"llm_pass\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(llcf->pass_names);
        *name = value[i];
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_llm_pass_variable(ngx_conf_t *cf, ngx_http_llm_loc_conf_t *llcf,
    ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    llcf->pass = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (llcf->pass == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = llcf->pass;

    return ngx_http_compile_complex_value(&ccv);
}


char *
ngx_http_llm_analyze(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_str_t  *value;

    if (llcf->analyze_name.len) {
        return "is duplicate";
    }

    if (llcf->transcribe) {
        return "is incompatible with \"llm_transcribe\"";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "needs the name of an llm_prompt";
    }

    llcf->analyze_name = value[1];

    if (llcf->file == NULL) {
        ngx_http_llm_place(cf, &llcf->file, &llcf->line);
    }

    return NGX_CONF_OK;
}


/* llm_transcribe [NAME=VALUE ...] */

char *
ngx_http_llm_transcribe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_str_t                  *value;
    ngx_uint_t                  i;
    ngx_http_llm_transcribe_t  *t;

    if (llcf->transcribe) {
        return "is duplicate";
    }

    if (llcf->analyze_name.len) {
        return "is incompatible with \"llm_analyze\"";
    }

    t = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_transcribe_t));
    if (t == NULL) {
        return NGX_CONF_ERROR;
    }

    t->fields = ngx_pcalloc(cf->pool, cf->args->nelts * sizeof(llm_field_t));
    if (t->fields == NULL) {
        return NGX_CONF_ERROR;
    }

    llcf->transcribe = t;

    if (llcf->file == NULL) {
        ngx_http_llm_place(cf, &llcf->file, &llcf->line);
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_llm_transcribe_field(cf, t, &t->fields[t->nfields],
                                          &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_llm_transcribe_field(ngx_conf_t *cf, ngx_http_llm_transcribe_t *t,
    llm_field_t *field, ngx_str_t *word)
{
    u_char      *p;
    ngx_str_t    name, text;
    ngx_uint_t   i;

    p = ngx_strlchr(word->data, word->data + word->len, '=');

    if (p == NULL || p == word->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected NAME=VALUE "
                           "such as language=fa", word);
        return NGX_ERROR;
    }

    name.data = word->data;
    name.len = p - word->data;
    text.data = p + 1;
    text.len = word->data + word->len - text.data;

    if (ngx_http_llm_check_name(cf, "field", &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (name.len == 4 && ngx_strncmp(name.data, "file", 4) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "field \"file\" cannot be set, it is the client's");
        return NGX_ERROR;
    }

    for (i = 0; i < t->nfields; i++) {
        if (llm_str_eq(t->fields[i].name,
                       (llm_str_t) { name.len, name.data }))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate field \"%V\"", &name);
            return NGX_ERROR;
        }
    }

    if (name.len == 5 && ngx_strncmp(name.data, "model", 5) == 0) {
        if (t->model.len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate field \"%V\"", &name);
            return NGX_ERROR;
        }

        t->model = text;
        return NGX_OK;
    }

    if (t->nfields == NGX_HTTP_LLM_FORM_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many fields, at most %d can be set",
                           NGX_HTTP_LLM_FORM_MAX);
        return NGX_ERROR;
    }

    t->nfields++;

    return ngx_http_llm_field(cf, field, &name, &text, 0);
}


/* A text that is JSON stands for itself; a form gets a string without quotes
 * and escapes. */

static ngx_int_t
ngx_http_llm_field_json(ngx_conf_t *cf, llm_field_t *field)
{
    u_char     *p;
    llm_buf_t   buf;

    while (ngx_strchr(" \t\r\n", field->text.data[0])) {
        field->text.data++;
        field->text.len--;
    }

    while (ngx_strchr(" \t\r\n", field->text.data[field->text.len - 1])) {
        field->text.len--;
    }

    field->json = field->text;

    if (llm_json_kind(field->json) != LLM_JSON_STRING) {
        return NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, field->json.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&buf, p, field->json.len);

    if (llm_json_unescape(field->json, &buf) != LLM_OK) {
        return NGX_ERROR;
    }

    field->text = llm_buf_view(&buf);

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_field(ngx_conf_t *cf, llm_field_t *field, ngx_str_t *name,
    ngx_str_t *text, ngx_uint_t json)
{
    u_char     *p;
    size_t      size;
    llm_buf_t   buf;

    field->name = (llm_str_t) { name->len, name->data };
    field->text = (llm_str_t) { text->len, text->data };

    if (json && llm_json_check(field->text) == LLM_OK) {
        return ngx_http_llm_field_json(cf, field);
    }

    size = 6 * text->len + 2;

    p = ngx_pnalloc(cf->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&buf, p, size);
    llm_json_put_string(&buf, field->text);
    field->json = llm_buf_view(&buf);

    return NGX_OK;
}


char *
ngx_http_llm_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    u_char          *p, *last, known[512];
    llm_str_t        name;
    ngx_str_t       *value;
    ngx_uint_t       i;
    llm_endpoint_t   ep;

    if (llcf->endpoint != LLM_EP_UNKNOWN) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (llm_endpoint_by_name((llm_str_t) { value[1].len, value[1].data }, &ep)
        == LLM_OK)
    {
        llcf->endpoint = ep;
        return NGX_CONF_OK;
    }

    p = known;
    last = known + sizeof(known);

    for (i = LLM_EP_UNKNOWN + 1; i < LLM_EP_N; i++) {
        name = llm_endpoint_info(i)->name;
        p = ngx_slprintf(p, last, "%s%*s", p == known ? "" : ", ", name.len,
                         name.data);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown endpoint \"%V\", expected one of: %*s",
                       &value[1], (size_t) (p - known), known);

    return NGX_CONF_ERROR;
}


/* llm_retry N|off [backoff=MIN..MAX] [budget=P%] [deadline=TIME] */

char *
ngx_http_llm_retry(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (llcf->retry_set) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_http_llm_retry_defaults(&llcf->retry);
    llcf->retry_set = 1;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        n = 0;

    } else {
        n = ngx_atoi(value[1].data, value[1].len);

        if (n == NGX_ERROR || n > LLM_SENDS_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of retries \"%V\", expected "
                               "\"off\" or a number up to %d",
                               &value[1], LLM_SENDS_MAX);
            return NGX_CONF_ERROR;
        }
    }

    llcf->retry.retries = (uint32_t) n;

    if (ngx_http_llm_args(cf, 2, ngx_http_llm_retry_args, &llcf->retry)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void
ngx_http_llm_retry_defaults(llm_retry_conf_t *retry)
{
    retry->retries = 3;
    retry->backoff_min = 500;
    retry->backoff_max = 8000;
    retry->budget_bp = 2000;
    retry->deadline = 600000;
}


/* llm_response_headers off|id|route|all */

char *
ngx_http_llm_headers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_loc_conf_t *llcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (llcf->headers != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_http_llm_word(cf, &value[1], "set of response headers",
                          ngx_http_llm_header_sets);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    llcf->headers = n;

    return NGX_CONF_OK;
}


/* llm_buffer_size, llm_max_answer_size, llm_max_event_size */

char *
ngx_http_llm_check_size(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    if (*size < 1024) {
        return "must be at least 1k";
    }

    return NGX_CONF_OK;
}
