
/*
 * `header NAME VALUE` of llm_provider: what is added to its requests.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_provider.h"


static ngx_int_t ngx_http_llm_provider_header_name(ngx_conf_t *cf,
    ngx_str_t *name);


/* What belongs to the connection, not to the request. */

static char  *ngx_http_llm_own_headers[] = {
    "Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive",
    "Expect", "TE", "Trailer", "Upgrade", "Content-Type", "Accept-Encoding",
    NULL
};


/* header NAME VALUE */

char *
ngx_http_llm_provider_header(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    size_t                             i;
    ngx_str_t                         *value;
    ngx_http_llm_header_t             *header;
    ngx_http_llm_provider_t           *p;
    ngx_http_compile_complex_value_t   ccv;

    p = pb->provider;
    value = cf->args->elts;

    if (ngx_http_llm_provider_header_name(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < value[2].len; i++) {
        if ((value[2].data[i] < 0x20 && value[2].data[i] != '\t')
            || value[2].data[i] == 0x7f)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "control character in the value of header "
                               "\"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    if (p->headers == NULL) {
        p->headers = ngx_array_create(cf->pool, 4,
                                      sizeof(ngx_http_llm_header_t));
        if (p->headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    header = ngx_array_push(p->headers);
    if (header == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(header, sizeof(ngx_http_llm_header_t));
    header->name = value[1];

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &header->value;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_llm_provider_header_name(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char       ch;
    size_t       i;
    ngx_uint_t   n;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i] | 0x20;

        if ((ch >= 'a' && ch <= 'z')
            || (name->data[i] >= '0' && name->data[i] <= '9')
            || name->data[i] == '-' || name->data[i] == '_')
        {
            continue;
        }

        break;
    }

    if (name->len == 0 || i < name->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid header name \"%V\"", name);
        return NGX_ERROR;
    }

    for (n = 0; ngx_http_llm_own_headers[n]; n++) {
        if (ngx_strcasecmp(name->data, (u_char *) ngx_http_llm_own_headers[n])
            == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "header \"%V\" cannot be set, it is the "
                               "gateway's own", name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
