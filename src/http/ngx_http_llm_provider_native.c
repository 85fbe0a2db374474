
/*
 * `native ENDPOINT ...` of llm_provider: the endpoints of other APIs that this
 * provider has itself.  Requests to the rest of them are translated.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_provider.h"


static ngx_int_t ngx_http_llm_native_bit(ngx_str_t *name, uint32_t *bit);


/* native off; or native ENDPOINT ... */

char *
ngx_http_llm_provider_native(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_provider_block_t *pb = block;

    uint32_t     bit;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;
    pb->native_set = 1;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_llm_native_bit(&value[i], &bit) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid endpoint \"%V\" in \"native\", "
                               "expected messages, responses or off",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        if (pb->native & bit) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate endpoint \"%V\" in \"native\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        pb->native |= bit;
    }

    return NGX_CONF_OK;
}


/* What has a form of its own, that others may be asked in. */

static ngx_int_t
ngx_http_llm_native_bit(ngx_str_t *name, uint32_t *bit)
{
    llm_endpoint_t  ep;

    if (llm_endpoint_by_name((llm_str_t) { name->len, name->data }, &ep)
        != LLM_OK
        || (ep != LLM_EP_MESSAGES && ep != LLM_EP_RESPONSES))
    {
        return NGX_ERROR;
    }

    *bit = LLM_EP_BIT(ep);

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_provider_end_native(ngx_conf_t *cf,
    ngx_http_llm_provider_block_t *pb)
{
    ngx_http_llm_provider_t  *p;

    p = pb->provider;
    p->native = p->dialect->native;

    if (!pb->native_set) {
        return NGX_OK;
    }

    if (p->dialect->optional == 0 || (pb->native & ~p->dialect->optional)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"native\" is incompatible with the dialect of "
                           "llm_provider \"%V\"", &p->name);
        return NGX_ERROR;
    }

    p->native = (p->native & ~p->dialect->optional) | pb->native;

    return NGX_OK;
}
