
/*
 * The members of llm_split that say who belongs to a variant, and what happens
 * beside it: copies, experiments, samples, webhooks.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_sample.h"
#include "ngx_http_llm_split_conf.h"


typedef struct {
    ngx_http_llm_mirror_conf_t  mirror;
    ngx_flag_t                  multipart;
} ngx_http_llm_mirror_args_t;


typedef struct {
    ngx_uint_t                  remember;
    uint32_t                    margin;
} ngx_http_llm_experiment_args_t;


static ngx_int_t ngx_http_llm_split_expression(ngx_conf_t *cf,
    ngx_str_t *value, ngx_http_complex_value_t *cv);
static ngx_int_t ngx_http_llm_split_allow(ngx_conf_t *cf, ngx_array_t *cidrs,
    ngx_str_t *word);
static ngx_int_t ngx_http_llm_split_experiment_name(ngx_conf_t *cf,
    ngx_http_llm_split_t *split, ngx_str_t *name);


static ngx_http_llm_arg_t  ngx_http_llm_mirror_args[] = {

    { ngx_string("max"), NGX_HTTP_LLM_ARG_SIZE,
      offsetof(ngx_http_llm_mirror_args_t, mirror.max_body), 1, 1024 * 1024
                                                                * 1024 },

    { ngx_string("inflight"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_mirror_args_t, mirror.inflight), 1, 10000 },

    { ngx_string("multipart"), NGX_HTTP_LLM_ARG_FLAG,
      offsetof(ngx_http_llm_mirror_args_t, multipart), 0, 0 },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_http_llm_arg_t  ngx_http_llm_experiment_args[] = {

    { ngx_string("remember"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_experiment_args_t, remember), 1, 1000000 },

    { ngx_string("margin"), NGX_HTTP_LLM_ARG_BP32,
      offsetof(ngx_http_llm_experiment_args_t, margin), 0, 10000 },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_http_llm_arg_t  ngx_http_llm_sample_args[] = {

    { ngx_string("file"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_sample_conf_t, file), 0, 0 },

    { ngx_string("max"), NGX_HTTP_LLM_ARG_SIZE,
      offsetof(ngx_http_llm_sample_conf_t, max), 1024, NGX_MAX_INT_T_VALUE },

    { ngx_string("keep"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_sample_conf_t, keep), 0, 100 },

    { ngx_null_string, 0, 0, 0, 0 }
};


/* in the order of the values of store.reset */

static char  *ngx_http_llm_on_reload_words[] = { "keep", "reset", NULL };

/* … of store.keep */

static char  *ngx_http_llm_on_loss_words[] = { "baseline", "keep", NULL };


/* sticky EXPR ...: in order of preference; several lines add up */

char *
ngx_http_llm_set_sticky(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_llm_split_t      *split;
    ngx_http_complex_value_t  *cv;

    split = sb->split;
    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    if (split->sticky == NULL) {
        split->sticky = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_http_complex_value_t));
        if (split->sticky == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {

        cv = ngx_array_push(split->sticky);

        if (cv == NULL
            || ngx_http_llm_split_expression(cf, &value[i], cv) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* Without a variable all requests would be the same user. */

static ngx_int_t
ngx_http_llm_split_expression(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    ngx_http_compile_complex_value_t  ccv;

    if (ngx_http_script_variables_count(value) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid expression \"%V\", expected one with a "
                           "variable such as $http_x_user_id", value);
        return NGX_ERROR;
    }

    ngx_memzero(cv, sizeof(ngx_http_complex_value_t));
    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return ngx_http_compile_complex_value(&ccv);
}


/* force EXPR [allow=CIDR|unix:|all] ... */

char *
ngx_http_llm_set_force(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_http_llm_split_t  *split;

    split = sb->split;
    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    split->force = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    split->force_allow = ngx_array_create(cf->pool, 4, sizeof(ngx_cidr_t));

    if (split->force == NULL || split->force_allow == NULL
        || ngx_http_llm_split_expression(cf, &value[1], split->force)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_llm_split_allow(cf, split->force_allow, &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (split->force_allow->nelts == 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"force\" without \"allow=\" in llm_split \"%V\": "
                           "nobody may use it", &split->name);
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_llm_split_allow(ngx_conf_t *cf, ngx_array_t *cidrs, ngx_str_t *word)
{
    ngx_int_t    rc;
    ngx_str_t    rest;
    ngx_cidr_t  *cidr;

    if (!ngx_http_llm_arg_is(word, "allow", &rest)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected allow=", word);
        return NGX_ERROR;
    }

    cidr = ngx_array_push(cidrs);
    if (cidr == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(cidr, sizeof(ngx_cidr_t));

    if (rest.len == 5 && ngx_strncmp(rest.data, "unix:", 5) == 0) {
        cidr->family = AF_UNIX;
        return NGX_OK;
    }

    rc = ngx_ptocidr(&rest, cidr);

    if (rc == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected an address, a "
                           "network such as 10.0.0.0/8, or unix:", word);
        return NGX_ERROR;
    }

    if (rc == NGX_DONE) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "low address bits of %V are meaningless", &rest);
    }

    return NGX_OK;
}


/* fallback VARIANT TO [on=CONDITION,...] */

char *
ngx_http_llm_set_fallback(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t                    *value, rest;
    ngx_http_llm_fallback_row_t  *row;

    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    row = ngx_array_push(&sb->fallbacks);
    if (row == NULL) {
        return NGX_CONF_ERROR;
    }

    row->on = LLM_ON_DEFAULT;
    ngx_http_llm_split_use(cf, &row->from, &value[1]);
    ngx_http_llm_split_use(cf, &row->to, &value[2]);

    if (cf->args->nelts == 3) {
        return NGX_CONF_OK;
    }

    if (!ngx_http_llm_arg_is(&value[3], "on", &rest)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected on=",
                           &value[3]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_llm_on(cf, &rest, &row->on) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


/* mirror VARIANT SHARE% [max=1m] [inflight=16] [multipart=on] */

char *
ngx_http_llm_set_mirror(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t                   *value;
    ngx_http_llm_mirror_args_t   args;

    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);
    ngx_http_llm_split_use(cf, &sb->mirror, &value[1]);

    ngx_memzero(&args, sizeof(ngx_http_llm_mirror_args_t));

    args.mirror.max_body = 1024 * 1024;
    args.mirror.inflight = 16;

    if (ngx_http_llm_split_share(cf, "share", &value[2], 1,
                                 &args.mirror.share) != NGX_OK
        || ngx_http_llm_args(cf, 3, ngx_http_llm_mirror_args, &args) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    sb->split->mirror = ngx_palloc(cf->pool,
                                   sizeof(ngx_http_llm_mirror_conf_t));
    if (sb->split->mirror == NULL) {
        return NGX_CONF_ERROR;
    }

    *sb->split->mirror = args.mirror;
    sb->split->mirror->multipart = args.multipart ? 1 : 0;

    return NGX_CONF_OK;
}


/* experiment NAME [remember=20000] [margin=5%] */

char *
ngx_http_llm_set_experiment(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t                       *value;
    ngx_http_llm_split_t            *split;
    ngx_http_llm_experiment_args_t   args;

    split = sb->split;
    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    args.remember = 20000;
    args.margin = 500;

    if (ngx_http_llm_split_experiment_name(cf, split, &value[1]) != NGX_OK
        || ngx_http_llm_args(cf, 2, ngx_http_llm_experiment_args, &args)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    split->store.experiment = value[1];
    split->store.remember = args.remember;
    split->margin = args.margin / 10000.0;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_llm_split_experiment_name(ngx_conf_t *cf, ngx_http_llm_split_t *split,
    ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_http_llm_split_t      **other;
    ngx_http_llm_main_conf_t   *lmcf;

    if (ngx_http_llm_check_name(cf, "experiment", name) != NGX_OK) {
        return NGX_ERROR;
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);
    other = lmcf->splits.elts;

    for (i = 0; i < lmcf->splits.nelts; i++) {
        if (ngx_http_llm_same(&other[i]->store.experiment, name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate experiment \"%V\", it is one of "
                               "llm_split \"%V\" already", name,
                               &other[i]->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* sample SHARE% file=PATH [max=100m] [keep=5] */

char *
ngx_http_llm_set_sample(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t                   *value;
    ngx_http_llm_sample_conf_t  *sample;

    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    sample = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_sample_conf_t));
    if (sample == NULL) {
        return NGX_CONF_ERROR;
    }

    sample->max = 100 * 1024 * 1024;
    sample->keep = 5;

    if (ngx_http_llm_split_share(cf, "share", &value[1], 1, &sample->share)
        != NGX_OK
        || ngx_http_llm_args(cf, 2, ngx_http_llm_sample_args, sample)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (sample->file.len == 0) {
        return "needs file=PATH";
    }

    sb->split->sample = sample;

    return ngx_http_llm_sample_init(cf, sample);
}


char *
ngx_http_llm_set_webhook(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t  *value;

    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    if ((value[1].len <= 7 || ngx_strncmp(value[1].data, "http://", 7) != 0)
        && (value[1].len <= 8 || ngx_strncmp(value[1].data, "https://", 8)
                                 != 0))
    {
        return "needs an http:// or https:// URL";
    }

    sb->split->webhook = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_llm_set_on_reload(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    n = ngx_http_llm_word(cf, &value[1], "way to reload",
                          ngx_http_llm_on_reload_words);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    sb->split->store.reset = n ? 1 : 0;

    return NGX_CONF_OK;
}


/* on_control_loss baseline | keep */

char *
ngx_http_llm_set_on_control_loss(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    n = ngx_http_llm_word(cf, &value[1], "way without Redis",
                          ngx_http_llm_on_loss_words);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    sb->split->store.keep = n ? 1 : 0;

    return NGX_CONF_OK;
}


char *
ngx_http_llm_set_internal(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_http_llm_split_digest(sb, cf->args->elts, cf->args->nelts);

    sb->split->internal = 1;

    return NGX_CONF_OK;
}
