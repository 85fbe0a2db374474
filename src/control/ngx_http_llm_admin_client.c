/*
 * Calls about clients, users and organisations: shown, made, changed and
 * deleted at run time.  A key is shown once, in the answer that made it.
 *
 * A change is made to the record as text: what it would become is read as a
 * record of the file would be, before anything is stored.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin_client.h"


#define NGX_HTTP_LLM_ADMIN_SHOWN  100          /* of a list, by default */
#define NGX_HTTP_LLM_ADMIN_MOST   1000
#define NGX_HTTP_LLM_ADMIN_IDS    4            /* random bytes of an id */


static ngx_int_t ngx_http_llm_admin_window(ngx_http_llm_admin_t *a,
    char *name, size_t len, ngx_uint_t fallback, ngx_uint_t *n);
static ngx_int_t ngx_http_llm_admin_party_new(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p);
static ngx_int_t ngx_http_llm_admin_party_merge(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p);
static ngx_int_t ngx_http_llm_admin_party_version(ngx_http_llm_admin_t *a,
    ngx_http_llm_client_t *client);
static ngx_int_t ngx_http_llm_admin_party_missing(ngx_http_llm_admin_t *a,
    llm_party_t kind);
static ngx_int_t ngx_http_llm_admin_party_random_id(ngx_http_llm_admin_t *a,
    cJSON *record);


static const char  *ngx_http_llm_admin_client_members[] = {
    "id", "name", "user", "org", "models", "routes", "expires", "disabled",
    "priority", "limits", "budgets", "metadata", "key_sha256", "prefix", "keys",
    "version", "reason", NULL
};

static const char  *ngx_http_llm_admin_user_members[] = {
    "id", "name", "org", "limits", "budgets", "metadata", "version", "reason",
    NULL
};

static const char  *ngx_http_llm_admin_org_members[] = {
    "id", "name", "timezone", "limits", "budgets", "metadata", "version",
    "reason", NULL
};


/* in the order of llm_party_t */

static const char  **ngx_http_llm_admin_party_members[] = {
    ngx_http_llm_admin_client_members,
    ngx_http_llm_admin_user_members,
    ngx_http_llm_admin_org_members
};


llm_party_t
ngx_http_llm_admin_party_kind(ngx_http_llm_admin_t *a)
{
    switch (a->call->path.data[0]) {

    case 'u':
        return LLM_PARTY_USER;

    case 'o':
        return LLM_PARTY_ORG;

    default:
        return LLM_PARTY_CLIENT;
    }
}


/* GET clients?from=0&limit=100: those of the file, then those made here. */

ngx_int_t
ngx_http_llm_admin_parties(ngx_http_llm_admin_t *a)
{
    cJSON                   *list;
    ngx_int_t                rc;
    ngx_uint_t               i, n, from, limit;
    llm_party_t              kind;
    ngx_queue_t             *q;
    ngx_http_llm_client_t   *client, **of_file;
    ngx_http_llm_clients_t  *clients;

    rc = ngx_http_llm_admin_window(a, "from", 4, 0, &from);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_window(a, "limit", 5, NGX_HTTP_LLM_ADMIN_SHOWN,
                                       &limit);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    limit = ngx_min(limit, NGX_HTTP_LLM_ADMIN_MOST);
    kind = ngx_http_llm_admin_party_kind(a);
    clients = a->lmcf->clients;

    ngx_http_llm_clients_sync(clients);

    list = ngx_http_llm_admin_put_array(a, ngx_http_llm_admin_root(a),
                                        (char *) a->call->path.data);
    n = 0;
    of_file = clients->list[kind].elts;

    for (i = 0; i < clients->list[kind].nelts; i++) {
        if (!of_file[i]->hidden && n++ >= from && n - from <= limit) {
            ngx_http_llm_admin_party_view(a, list, of_file[i]);
        }
    }

    for (q = clients->live_pool ? ngx_queue_head(&clients->live)
                                : ngx_queue_sentinel(&clients->live);
         q != ngx_queue_sentinel(&clients->live);
         q = ngx_queue_next(q))
    {
        client = ngx_queue_data(q, ngx_http_llm_client_t, queue);

        if (client->kind == kind && n++ >= from && n - from <= limit) {
            ngx_http_llm_admin_party_view(a, list, client);
        }
    }

    ngx_http_llm_admin_put_number(a, ngx_http_llm_admin_root(a), "total",
                                  (double) n);
    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_admin_window(ngx_http_llm_admin_t *a, char *name, size_t len,
    ngx_uint_t fallback, ngx_uint_t *n)
{
    ngx_int_t  value;
    ngx_str_t  arg;

    *n = fallback;

    if (ngx_http_arg(a->request, (u_char *) name, len, &arg) != NGX_OK) {
        return NGX_OK;
    }

    value = ngx_atoi(arg.data, arg.len);

    if (value == NGX_ERROR) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_limit", "\"%s\" must be a number", name);
    }

    *n = value;

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_admin_party(ngx_http_llm_admin_t *a)
{
    llm_party_t             kind;
    ngx_http_llm_client_t  *client;

    kind = ngx_http_llm_admin_party_kind(a);
    client = ngx_http_llm_client_by_id(a->lmcf->clients, kind, &a->name);

    if (client == NULL) {
        return ngx_http_llm_admin_party_missing(a, kind);
    }

    ngx_http_llm_admin_party_view(a, NULL, client);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_admin_party_missing(ngx_http_llm_admin_t *a, llm_party_t kind)
{
    llm_str_t  what;

    what = llm_party_name(kind);

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_NOT_FOUND, "not_found",
               "there is no %*s \"%V\"; GET %V%*ss lists them", what.len,
               what.data, &a->name, &a->conf->prefix, what.len, what.data);
}


/* POST clients: a new one, with a key of its own unless hashes are given. */

ngx_int_t
ngx_http_llm_admin_client_new(ngx_http_llm_admin_t *a)
{
    ngx_int_t                   rc;
    ngx_http_llm_admin_party_t  p;

    ngx_memzero(&p, sizeof(ngx_http_llm_admin_party_t));
    p.kind = LLM_PARTY_CLIENT;

    rc = ngx_http_llm_admin_members(a, ngx_http_llm_admin_client_members);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_get_reason(a);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_party_new(a, &p);
    }

    if (rc == NGX_OK) {
        ngx_str_set(&p.action, "create");
        rc = ngx_http_llm_admin_party_store(a, &p);
    }

    cJSON_Delete(p.record);

    if (rc == NGX_OK) {
        a->status = NGX_HTTP_CREATED;
        rc = NGX_DONE;
    }

    return rc;
}


static ngx_int_t
ngx_http_llm_admin_party_new(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p)
{
    char       *id;
    cJSON      *record;
    ngx_int_t   rc;
    ngx_str_t   name;

    record = a->body ? cJSON_Duplicate(a->body, 1) : cJSON_CreateObject();
    p->record = record;

    if (record == NULL) {
        return NGX_ERROR;
    }

    cJSON_DeleteItemFromObjectCaseSensitive(record, "reason");
    cJSON_DeleteItemFromObjectCaseSensitive(record, "version");

    if (cJSON_GetObjectItemCaseSensitive(record, "id") == NULL) {
        rc = ngx_http_llm_admin_party_random_id(a, record);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, "id"));

    if (id) {
        name.data = (u_char *) id;
        name.len = ngx_strlen(id);

        if (ngx_http_llm_client_by_id(a->lmcf->clients, p->kind, &name)) {
            return ngx_http_llm_admin_refuse(a, NGX_HTTP_CONFLICT, "exists",
                       "there is a client \"%V\" already", &name);
        }
    }

    if (cJSON_GetObjectItemCaseSensitive(record, "keys")
        || cJSON_GetObjectItemCaseSensitive(record, "key_sha256"))
    {
        return NGX_OK;
    }

    return ngx_http_llm_admin_add_key(a, p);
}


static ngx_int_t
ngx_http_llm_admin_party_random_id(ngx_http_llm_admin_t *a, cJSON *record)
{
    u_char  random[NGX_HTTP_LLM_ADMIN_IDS];
    u_char  id[sizeof("client-") + 2 * NGX_HTTP_LLM_ADMIN_IDS], *p;

    if (ngx_http_llm_admin_random(a, random, sizeof(random)) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(id, "client-", sizeof("client-") - 1);
    p = ngx_hex_dump(p, random, sizeof(random));
    *p = '\0';

    return cJSON_AddStringToObject(record, "id", (char *) id) ? NGX_OK
                                                              : NGX_ERROR;
}


/* PUT clients/ID: the members given replace those there, null removes one.
 * Users and organisations are made by it, too. */

ngx_int_t
ngx_http_llm_admin_party_set(ngx_http_llm_admin_t *a)
{
    ngx_int_t                   rc;
    ngx_http_llm_admin_party_t  p;

    ngx_memzero(&p, sizeof(ngx_http_llm_admin_party_t));
    p.kind = ngx_http_llm_admin_party_kind(a);

    rc = ngx_http_llm_admin_members(a,
                                    ngx_http_llm_admin_party_members[p.kind]);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_get_reason(a);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_party_merge(a, &p);
    }

    if (rc == NGX_OK) {
        ngx_str_set(&p.action, "change");
        rc = ngx_http_llm_admin_party_store(a, &p);
    }

    cJSON_Delete(p.record);

    return rc == NGX_OK ? NGX_DONE : rc;
}


ngx_int_t
ngx_http_llm_admin_party_open(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p)
{
    ngx_int_t               rc;
    ngx_http_llm_client_t  *client;

    client = ngx_http_llm_client_by_id(a->lmcf->clients, p->kind, &a->name);

    rc = ngx_http_llm_admin_party_version(a, client);

    if (rc != NGX_OK) {
        return rc;
    }

    if (client) {
        p->record = cJSON_ParseWithLength((char *) client->text.data,
                                          client->text.len);
        return p->record ? NGX_OK : NGX_ERROR;
    }

    if (p->kind == LLM_PARTY_CLIENT) {
        return ngx_http_llm_admin_party_missing(a, p->kind);
    }

    p->record = cJSON_CreateObject();
    ngx_http_llm_admin_put_str(a, p->record, "id", &a->name);

    return a->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_llm_admin_party_merge(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p)
{
    cJSON      *item, *copy;
    ngx_int_t   rc;

    rc = ngx_http_llm_admin_party_open(a, p);

    if (rc != NGX_OK) {
        return rc;
    }

    cJSON_ArrayForEach(item, a->body) {

        if (ngx_strcmp(item->string, "reason") == 0
            || ngx_strcmp(item->string, "version") == 0)
        {
            continue;
        }

        /* one way to say it takes the place of the other */

        if (ngx_strcmp(item->string, "keys") == 0) {
            cJSON_DeleteItemFromObjectCaseSensitive(p->record, "key_sha256");
            cJSON_DeleteItemFromObjectCaseSensitive(p->record, "prefix");

        } else if (ngx_strcmp(item->string, "key_sha256") == 0) {
            cJSON_DeleteItemFromObjectCaseSensitive(p->record, "keys");
        }

        cJSON_DeleteItemFromObjectCaseSensitive(p->record, item->string);

        if (cJSON_IsNull(item)) {
            continue;
        }

        copy = cJSON_Duplicate(item, 1);

        if (!cJSON_AddItemToObject(p->record, item->string, copy)) {
            cJSON_Delete(copy);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* A record of the file has version 0. */

static ngx_int_t
ngx_http_llm_admin_party_version(ngx_http_llm_admin_t *a,
    ngx_http_llm_client_t *client)
{
    cJSON     *item;
    uint64_t   version;

    item = cJSON_GetObjectItemCaseSensitive(a->body, "version");
    version = client ? client->version : 0;

    if (item == NULL || (cJSON_IsNumber(item)
                         && item->valuedouble == (double) version))
    {
        return NGX_OK;
    }

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_PRECONDITION_FAILED,
               "version_mismatch", "it has version %uL by now", version);
}


ngx_int_t
ngx_http_llm_admin_party_delete(ngx_http_llm_admin_t *a)
{
    ngx_int_t                   rc;
    ngx_http_llm_admin_party_t  p;

    static const char  *names[] = { "version", "reason", NULL };

    ngx_memzero(&p, sizeof(ngx_http_llm_admin_party_t));
    p.kind = ngx_http_llm_admin_party_kind(a);

    rc = ngx_http_llm_admin_members(a, names);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_get_reason(a);
    }

    if (rc == NGX_OK
        && ngx_http_llm_client_by_id(a->lmcf->clients, p.kind, &a->name)
           == NULL)
    {
        rc = ngx_http_llm_admin_party_missing(a, p.kind);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_party_open(a, &p);
    }

    cJSON_Delete(p.record);
    p.record = NULL;

    if (rc == NGX_OK) {
        ngx_str_set(&p.action, "delete");
        rc = ngx_http_llm_admin_party_store(a, &p);
    }

    return rc == NGX_OK ? NGX_DONE : rc;
}
