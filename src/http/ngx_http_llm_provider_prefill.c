
/*
 * llm_provider: how its servers are asked to go on with a text.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_provider.h"


/* in the order of llm_prefill_way_t */

static char  *ngx_http_llm_prefill_ways[] = {
    "message", "prefix", "continue", NULL
};


/* prefill message|prefix|continue [echo] */

char *
ngx_http_llm_provider_prefill(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_int_t   way;
    ngx_str_t  *value;

    value = cf->args->elts;

    way = ngx_http_llm_word(cf, &value[1], "way to prefill",
                            ngx_http_llm_prefill_ways);
    if (way == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    pb->provider->prefill = (llm_prefill_way_t) way;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (value[2].len != 4 || ngx_strncmp(value[2].data, "echo", 4) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected echo",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    pb->provider->prefill_echo = 1;

    return NGX_CONF_OK;
}
