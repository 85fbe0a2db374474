
/*
 * `version` and `api_version` of llm_provider: of the API that it is asked by.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_provider.h"


static char *ngx_http_llm_provider_keep_version(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb);


/* version 2023-06-01: Anthropic's */

char *
ngx_http_llm_provider_version(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_uint_t   i;
    ngx_str_t   *value;

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        if ((value[1].data[i] < '0' || value[1].data[i] > '9')
            && value[1].data[i] != '-')
        {
            break;
        }
    }

    if (value[1].len != sizeof("2023-06-01") - 1 || i != value[1].len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid version \"%V\", expected a date as "
                           "2023-06-01", &value[1]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_llm_provider_keep_version(cf, pb);
}


/* api_version 2024-10-21; 2025-04-01-preview; preview: Azure's */

char *
ngx_http_llm_provider_api_version(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    ngx_uint_t   i;
    ngx_str_t   *value;

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        if ((value[1].data[i] < '0' || value[1].data[i] > '9')
            && (value[1].data[i] < 'a' || value[1].data[i] > 'z')
            && value[1].data[i] != '-')
        {
            break;
        }
    }

    if (value[1].len == 0 || i != value[1].len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid api_version \"%V\", expected one as "
                           "2024-10-21 or 2025-04-01-preview", &value[1]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_llm_provider_keep_version(cf, pb);
}


/* Each dialect with versions has its own word for them. */

static char *
ngx_http_llm_provider_keep_version(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (pb->version_member.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is incompatible with \"%V\"", &value[0],
                           &pb->version_member);
        return NGX_CONF_ERROR;
    }

    pb->provider->version = value[1];
    pb->version_member = value[0];

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_provider_end_version(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb)
{
    ngx_uint_t                query;
    ngx_http_llm_provider_t  *p;

    p = pb->provider;

    if (pb->version_member.len == 0) {
        p->version.len = p->dialect->version.len;
        p->version.data = (u_char *) p->dialect->version.data;
        return NGX_OK;
    }

    query = (ngx_strcmp(pb->version_member.data, "api_version") == 0);

    if (query ? p->dialect->deployments : p->dialect->version_header.len != 0) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" is incompatible with the dialect of "
                       "llm_provider \"%V\"", &pb->version_member, &p->name);

    return NGX_ERROR;
}
