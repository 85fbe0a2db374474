/*
 * llm_auth: who sends this request?  By a key in one of four headers, or by a
 * variable that names a client whom nginx itself has authenticated.
 *
 * A key is looked at in the access phase and counts for "satisfy".  A variable
 * is looked at after that phase, when every other module has had its say, and
 * lets nobody in by itself.  Neither answer tells whether a key exists.
 */

#include "ngx_http_llm_ctx.h"

#include "llm_hash.h"


static ngx_uint_t ngx_http_llm_auth_find_key(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_table_elt_t *ngx_http_llm_auth_header(ngx_http_request_t *r,
    ngx_str_t *name);
static ngx_http_llm_auth_e ngx_http_llm_auth_by_key(ngx_http_request_t *r,
    ngx_http_llm_clients_t *clients, ngx_str_t *key,
    ngx_http_llm_client_t **client);
static ngx_http_llm_auth_e ngx_http_llm_auth_state(
    ngx_http_llm_client_t *client);
static ngx_int_t ngx_http_llm_auth_end(ngx_http_request_t *r,
    ngx_http_llm_auth_e outcome, ngx_http_llm_client_t *client,
    ngx_uint_t by_key);
static ngx_int_t ngx_http_llm_auth_refuse(ngx_http_request_t *r,
    ngx_http_llm_auth_e outcome, ngx_http_llm_client_t *client);
static ngx_int_t ngx_http_llm_auth_keep(ngx_http_request_t *r,
    ngx_http_llm_client_t *client, ngx_uint_t by_key);
static void ngx_http_llm_caller_cleanup(void *data);


/* Where SDKs put their key. */

static ngx_str_t  ngx_http_llm_auth_headers[] = {
    ngx_string("x-api-key"),
    ngx_string("api-key"),
    ngx_string("x-goog-api-key"),
    ngx_null_string
};


ngx_int_t
ngx_http_llm_auth_access(ngx_http_request_t *r)
{
    ngx_str_t                  key;
    ngx_http_llm_auth_e        outcome;
    ngx_http_llm_client_t     *client;
    ngx_http_llm_loc_conf_t   *llcf;
    ngx_http_llm_main_conf_t  *lmcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    if (llcf->auth != NGX_HTTP_LLM_AUTH_KEY) {
        return NGX_DECLINED;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);

    client = NULL;
    outcome = NGX_HTTP_LLM_AUTH_MISSING;

    if (ngx_http_llm_auth_find_key(r, &key)) {
        outcome = ngx_http_llm_auth_by_key(r, lmcf->clients, &key, &client);
    }

    return ngx_http_llm_auth_end(r, outcome, client, 1);
}


/* Other modules may still be asking when the access phase gets to us. */

ngx_int_t
ngx_http_llm_auth_named(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_str_t                  id;
    ngx_http_llm_auth_e        outcome;
    ngx_http_llm_client_t     *client;
    ngx_http_llm_loc_conf_t   *llcf;
    ngx_http_llm_main_conf_t  *lmcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    if (llcf->auth != NGX_HTTP_LLM_AUTH_NAME || r != r->main) {
        return NGX_DECLINED;
    }

    if (ngx_http_complex_value(r, llcf->auth_name, &id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);

    client = NULL;
    outcome = NGX_HTTP_LLM_AUTH_MISSING;

    if (id.len) {
        client = ngx_http_llm_client_by_id(lmcf->clients, LLM_PARTY_CLIENT,
                                           &id);
        outcome = client ? ngx_http_llm_auth_state(client)
                         : NGX_HTTP_LLM_AUTH_UNKNOWN;
    }

    rc = ngx_http_llm_auth_end(r, outcome, client, 0);

    return rc == NGX_OK ? NGX_DECLINED : rc;
}


/* The first header that has a key decides; browsers have but one for it when
 * they open a WebSocket. */

static ngx_uint_t
ngx_http_llm_auth_find_key(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_str_t                *name;
    ngx_table_elt_t          *h;
    ngx_http_llm_loc_conf_t  *llcf;

    if (ngx_http_llm_auth_bearer(r, key)) {
        return 1;
    }

    for (name = ngx_http_llm_auth_headers; name->len; name++) {
        h = ngx_http_llm_auth_header(r, name);

        if (h && h->value.len) {
            *key = h->value;
            return 1;
        }
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_llm_gateway_module);

    /* where it does not go on: applications and others get what came */

    return llcf->enabled && llcf->proxy == NULL
           && ngx_http_llm_upgrade_key(r, key);
}


ngx_uint_t
ngx_http_llm_auth_bearer(ngx_http_request_t *r, ngx_str_t *key)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_in.authorization;

    if (h == NULL || h->value.len < sizeof("Bearer ")
        || ngx_strncasecmp(h->value.data, (u_char *) "Bearer ",
                           sizeof("Bearer ") - 1)
           != 0)
    {
        return 0;
    }

    p = h->value.data + sizeof("Bearer ") - 1;
    last = h->value.data + h->value.len;

    while (p < last && *p == ' ') {
        p++;
    }

    key->data = p;
    key->len = last - p;

    return key->len != 0;
}


static ngx_table_elt_t *
ngx_http_llm_auth_header(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == name->len
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
            {
                return &h[i];
            }
        }
    }

    return NULL;
}


static ngx_http_llm_auth_e
ngx_http_llm_auth_by_key(ngx_http_request_t *r,
    ngx_http_llm_clients_t *clients, ngx_str_t *key,
    ngx_http_llm_client_t **client)
{
    u_char                      sha256[32];
    ngx_http_llm_client_key_t  *found;

    llm_sha256(ngx_http_llm_view(key), sha256);

    found = ngx_http_llm_client_by_key(clients, sha256);

    if (found == NULL) {
        return NGX_HTTP_LLM_AUTH_UNKNOWN;
    }

    *client = found->client;

    if (found->expires <= (llm_msec_t) ngx_time() * 1000) {
        return NGX_HTTP_LLM_AUTH_EXPIRED;
    }

    return ngx_http_llm_auth_state(found->client);
}


static ngx_http_llm_auth_e
ngx_http_llm_auth_state(ngx_http_llm_client_t *client)
{
    if (client->disabled) {
        return NGX_HTTP_LLM_AUTH_DISABLED;
    }

    return client->expires <= (llm_msec_t) ngx_time() * 1000
           ? NGX_HTTP_LLM_AUTH_EXPIRED : NGX_HTTP_LLM_AUTH_OK;
}


static ngx_int_t
ngx_http_llm_auth_end(ngx_http_request_t *r, ngx_http_llm_auth_e outcome,
    ngx_http_llm_client_t *client, ngx_uint_t by_key)
{
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);

    ngx_http_llm_auth_count(&lmcf->store, outcome);

    if (outcome != NGX_HTTP_LLM_AUTH_OK) {
        return ngx_http_llm_auth_refuse(r, outcome, client);
    }

    return ngx_http_llm_auth_keep(r, client, by_key) == NGX_OK
           ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_llm_auth_refuse(ngx_http_request_t *r, ngx_http_llm_auth_e outcome,
    ngx_http_llm_client_t *client)
{
    ngx_table_elt_t  *h;

    if (client) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "llm auth: client \"%V\" is %s", &client->id,
                      outcome == NGX_HTTP_LLM_AUTH_EXPIRED ? "expired"
                                                           : "disabled");
    } else {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0, "llm auth: %s",
                      outcome == NGX_HTTP_LLM_AUTH_MISSING
                      ? "nobody is named" : "nobody is known by that name");
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "WWW-Authenticate");
    ngx_str_set(&h->value, "Bearer");
    ngx_http_llm_header_end(h);

    r->headers_out.www_authenticate = h;

    return NGX_HTTP_UNAUTHORIZED;
}


/* Once a request: a redirect inside nginx may ask again. */

static ngx_int_t
ngx_http_llm_auth_keep(ngx_http_request_t *r, ngx_http_llm_client_t *client,
    ngx_uint_t by_key)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_llm_caller_t     *caller;
    ngx_http_llm_main_conf_t  *lmcf;

    caller = ngx_http_llm_caller(r);

    if (caller == NULL) {
        cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_llm_caller_t));
        if (cln == NULL) {
            return NGX_ERROR;
        }

        caller = cln->data;
        ngx_memzero(caller, sizeof(ngx_http_llm_caller_t));
        cln->handler = ngx_http_llm_caller_cleanup;

    } else if (caller->client == client) {
        caller->by_key |= by_key ? 1 : 0;
        return NGX_OK;
    }

    by_key |= caller->by_key;

    ngx_http_llm_caller_cleanup(caller);
    ngx_memzero(caller, sizeof(ngx_http_llm_caller_t));

    caller->client = client;
    caller->by_key = by_key ? 1 : 0;
    client->refs++;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_llm_gateway_module);

    ngx_http_llm_auth_owners(lmcf->clients, caller);

    return NGX_OK;
}


/* A client without an organisation of its own belongs to its user's. */

void
ngx_http_llm_auth_owners(ngx_http_llm_clients_t *clients,
    ngx_http_llm_caller_t *caller)
{
    ngx_http_llm_client_t  *client;

    client = caller->client;

    caller->user = client->user;
    caller->org = client->org;

    if (caller->user.len) {
        caller->user_hash = llm_fnv64(ngx_http_llm_view(&caller->user), 0);
        caller->user_record = ngx_http_llm_client_by_id(clients,
                                              LLM_PARTY_USER, &caller->user);
        if (caller->user_record) {
            caller->user_record->refs++;

            if (caller->org.len == 0) {
                caller->org = caller->user_record->org;
            }
        }
    }

    if (caller->org.len) {
        caller->org_hash = llm_fnv64(ngx_http_llm_view(&caller->org), 0);
        caller->org_record = ngx_http_llm_client_by_id(clients, LLM_PARTY_ORG,
                                                       &caller->org);
        if (caller->org_record) {
            caller->org_record->refs++;
        }
    }
}


ngx_http_llm_caller_t *
ngx_http_llm_caller(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_llm_caller_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_http_llm_caller_cleanup(void *data)
{
    ngx_http_llm_caller_t  *caller = data;

    ngx_http_llm_client_release(caller->client);
    ngx_http_llm_client_release(caller->user_record);
    ngx_http_llm_client_release(caller->org_record);
}
