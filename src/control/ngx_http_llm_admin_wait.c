
/*
 * Calls that wait for Redis before they are answered.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"


struct ngx_http_llm_admin_wait_s {
    ngx_http_llm_admin_t       *admin;         /* NULL: gone */
    ngx_pool_cleanup_t         *cleanup;
};


static void ngx_http_llm_admin_forget(void *data);


/* The request may end before the answer is there. */

static void
ngx_http_llm_admin_forget(void *data)
{
    ngx_http_llm_admin_wait_t *wait = data;

    cJSON_Delete(wait->admin->body);
    wait->admin = NULL;
}


ngx_http_llm_admin_wait_t *
ngx_http_llm_admin_wait(ngx_http_llm_admin_t *a)
{
    ngx_http_llm_admin_wait_t  *wait;

    wait = ngx_alloc(sizeof(ngx_http_llm_admin_wait_t), ngx_cycle->log);
    if (wait == NULL) {
        return NULL;
    }

    wait->cleanup = ngx_pool_cleanup_add(a->request->pool, 0);

    if (wait->cleanup == NULL) {
        ngx_free(wait);
        return NULL;
    }

    wait->admin = a;
    wait->cleanup->handler = ngx_http_llm_admin_forget;
    wait->cleanup->data = wait;

    return wait;
}


ngx_http_llm_admin_t *
ngx_http_llm_admin_back(ngx_http_llm_admin_wait_t *wait)
{
    ngx_http_llm_admin_t  *a;

    a = wait->admin;

    if (a) {
        wait->cleanup->handler = NULL;
    }

    ngx_free(wait);

    return a;
}


ngx_http_llm_admin_t *
ngx_http_llm_admin_peek(ngx_http_llm_admin_wait_t *wait)
{
    return wait->admin;
}


void
ngx_http_llm_admin_then(ngx_http_llm_admin_t *a, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = a->request;
    c = r->connection;

    ngx_http_finalize_request(r, ngx_http_llm_admin_end(a, rc));
    ngx_http_run_posted_requests(c);
}
