
/*
 * The members of llm_provider that the built-in mock has, and `record` of the
 * real ones: what was recorded there is replayed here.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_provider.h"


#define NGX_HTTP_LLM_MOCK_TIME_MAX  (3600 * 1000)


typedef struct {
    uint32_t    rate_bp;
    ngx_uint_t  status;
} ngx_http_llm_mock_rate_t;


static void ngx_http_llm_mock_only(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);
static ngx_int_t ngx_http_llm_record_args(ngx_conf_t *cf,
    ngx_http_llm_record_conf_t *rcf);


static ngx_http_llm_arg_t  ngx_http_llm_mock_times[] = {

    { ngx_string("latency"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_mock_conf_t, latency), 0,
      NGX_HTTP_LLM_MOCK_TIME_MAX },

    { ngx_string("jitter"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_mock_conf_t, jitter), 0,
      NGX_HTTP_LLM_MOCK_TIME_MAX },

    { ngx_string("chunk_interval"), NGX_HTTP_LLM_ARG_MSEC,
      offsetof(ngx_http_llm_mock_conf_t, chunk_interval), 0,
      NGX_HTTP_LLM_MOCK_TIME_MAX },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_http_llm_arg_t  ngx_http_llm_mock_rate_value = {
    ngx_string("error_rate"), NGX_HTTP_LLM_ARG_BP32,
    offsetof(ngx_http_llm_mock_rate_t, rate_bp), 0, 10000
};


static ngx_http_llm_arg_t  ngx_http_llm_mock_rate_args[] = {

    { ngx_string("status"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_mock_rate_t, status), 400, 599 },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_http_llm_arg_t  ngx_http_llm_record_keep = {
    ngx_string("keep"), NGX_HTTP_LLM_ARG_SEC,
    offsetof(ngx_http_llm_record_conf_t, keep), 0, NGX_MAX_INT32_VALUE
};


ngx_int_t
ngx_http_llm_mock_defaults(ngx_conf_t *cf, ngx_http_llm_provider_block_t *pb)
{
    pb->mock = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_mock_conf_t));
    if (pb->mock == NULL) {
        return NGX_ERROR;
    }

    pb->mock->chunk_interval = NGX_HTTP_LLM_MOCK_INTERVAL;

    return NGX_OK;
}


/* At the end of the block the dialect must turn out to be mock. */

static void
ngx_http_llm_mock_only(ngx_conf_t *cf, ngx_http_llm_provider_block_t *pb)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    pb->mock_member = value[0];
}


/* latency TIME; jitter TIME; chunk_interval TIME */

char *
ngx_http_llm_mock_time(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t           *value;
    ngx_http_llm_arg_t  *arg;

    value = cf->args->elts;
    arg = ngx_http_llm_mock_times;

    while (ngx_strcmp(arg->name.data, value[0].data) != 0) {
        arg++;
    }

    ngx_http_llm_mock_only(cf, pb);

    if (ngx_http_llm_arg_value(cf, &value[1], arg, &value[1], pb->mock)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* error_rate P% [status=503] */

char *
ngx_http_llm_mock_error_rate(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t                 *value;
    ngx_http_llm_mock_rate_t   rate;

    value = cf->args->elts;
    rate.status = 0;

    ngx_http_llm_mock_only(cf, pb);

    if (ngx_http_llm_arg_value(cf, &value[1], &ngx_http_llm_mock_rate_value,
                               &value[1], &rate)
        != NGX_OK
        || ngx_http_llm_args(cf, 2, ngx_http_llm_mock_rate_args, &rate)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    pb->mock->error_rate_bp = rate.rate_bp;
    pb->mock->error_status = rate.status;

    return NGX_CONF_OK;
}


char *
ngx_http_llm_mock_seed(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid seed \"%V\", expected a number",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    pb->mock->seed = n;
    ngx_http_llm_mock_only(cf, pb);

    return NGX_CONF_OK;
}


/* fault NAME ...; lines add up */

char *
ngx_http_llm_mock_fault(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    u_char              *p, *last, known[512];
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_conf_bitmask_t  *fault;

    value = cf->args->elts;

    ngx_http_llm_mock_only(cf, pb);

    for (i = 1; i < cf->args->nelts; i++) {

        for (fault = ngx_http_llm_mock_faults; fault->name.len; fault++) {
            if (fault->name.len == value[i].len
                && ngx_strcmp(fault->name.data, value[i].data) == 0)
            {
                break;
            }
        }

        if (fault->name.len) {
            pb->mock->faults |= fault->mask;
            continue;
        }

        p = known;
        last = known + sizeof(known);

        for (fault = ngx_http_llm_mock_faults; fault->name.len; fault++) {
            p = ngx_slprintf(p, last, "%s%V", p == known ? "" : ", ",
                             &fault->name);
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown fault \"%V\", expected one of: %*s",
                           &value[i], (size_t) (p - known), known);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_llm_mock_replay(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t         *value;
    ngx_uint_t         i;
    ngx_path_t       **path;
    ngx_file_info_t    info;

    value = cf->args->elts;

    ngx_http_llm_mock_only(cf, pb);

    pb->mock->replay = value[1];

    if (ngx_conf_full_name(cf->cycle, &pb->mock->replay, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* a directory that `record` above will have made when nginx starts */

    path = cf->cycle->paths.elts;

    for (i = 0; i < cf->cycle->paths.nelts; i++) {
        if (path[i]->name.len == pb->mock->replay.len
            && ngx_strcmp(path[i]->name.data, pb->mock->replay.data) == 0)
        {
            return NGX_CONF_OK;
        }
    }

    if (ngx_file_info(pb->mock->replay.data, &info) == NGX_FILE_ERROR) {

        /* `record` may make it when this configuration is loaded */

        ngx_conf_log_error(NGX_LOG_WARN, cf, ngx_errno,
                           ngx_file_info_n " \"%V\" failed, nothing to replay",
                           &pb->mock->replay);
        return NGX_CONF_OK;
    }

    if (!ngx_is_dir(&info)) {
        return "must name a directory";
    }

    return NGX_CONF_OK;
}


/* record DIR [max=FILES|SIZE] [keep=TIME] */

char *
ngx_http_llm_mock_record(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_str_t                   *value;
    ngx_http_llm_record_conf_t  *rcf;

    value = cf->args->elts;

    rcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_record_conf_t));
    if (rcf == NULL) {
        return NGX_CONF_ERROR;
    }

    rcf->dir = value[1];
    rcf->max_files = NGX_HTTP_LLM_RECORD_MAX;
    rcf->keep = NGX_HTTP_LLM_RECORD_KEEP;

    if (ngx_conf_full_name(cf->cycle, &rcf->dir, 0) != NGX_OK
        || ngx_http_llm_record_args(cf, rcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    pb->provider->record = rcf;

    return ngx_http_llm_record_init(cf, rcf);
}


/* max=1000 counts exchanges, max=100m bytes */

static ngx_int_t
ngx_http_llm_record_args(ngx_conf_t *cf, ngx_http_llm_record_conf_t *rcf)
{
    off_t        n;
    ngx_str_t   *value, rest;
    ngx_uint_t   i, bytes;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_llm_arg_is(&value[i], "keep", &rest)) {
            if (ngx_http_llm_arg_value(cf, &value[i],
                                       &ngx_http_llm_record_keep, &rest, rcf)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        if (!ngx_http_llm_arg_is(&value[i], "max", &rest)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected one of: "
                               "max=, keep=", &value[i]);
            return NGX_ERROR;
        }

        n = ngx_parse_offset(&rest);

        if (n == NGX_ERROR || n == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\", expected a number of "
                               "exchanges or a size such as 100m", &value[i]);
            return NGX_ERROR;
        }

        bytes = (rest.data[rest.len - 1] > '9');

        rcf->max_files = bytes ? 0 : (ngx_uint_t) n;
        rcf->max_bytes = bytes ? n : 0;
    }

    return NGX_OK;
}
