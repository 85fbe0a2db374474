/*
 * Records made at run time, as this worker knows them.
 *
 * The zone has them as text.  Whenever its number of changes moved, which costs
 * one load to find out, the worker reads what is new before it looks anybody
 * up.  A record has a pool of its own, and is freed when the last request that
 * knows it has ended.
 */

#include "ngx_http_llm_client.h"

#include "llm_hash.h"


#define NGX_HTTP_LLM_LIVE_POOL  1024


static void ngx_http_llm_live_apply(ngx_http_llm_clients_t *clients,
    const ngx_http_llm_party_row_t *row);
static void ngx_http_llm_live_remove(ngx_http_llm_clients_t *clients,
    ngx_http_llm_client_t *client);
static ngx_http_llm_client_t *ngx_http_llm_live_make(
    ngx_http_llm_clients_t *clients, const ngx_http_llm_party_row_t *row);
static ngx_int_t ngx_http_llm_live_add(ngx_http_llm_clients_t *clients,
    ngx_http_llm_client_t *client);
static uint64_t ngx_http_llm_live_key_hash(
    const ngx_http_llm_client_key_t *key);


void
ngx_http_llm_live_sync(ngx_http_llm_clients_t *clients)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_pool_t                *temp;
    ngx_array_t                rows;
    ngx_http_llm_party_row_t  *row;

    if (clients->live_pool == NULL) {
        clients->live_pool = ngx_create_pool(NGX_HTTP_LLM_LIVE_POOL,
                                             clients->log);
        if (clients->live_pool == NULL) {
            return;
        }

        ngx_queue_init(&clients->live);
    }

    temp = ngx_create_pool(NGX_HTTP_LLM_LIVE_POOL, clients->log);
    if (temp == NULL) {
        return;
    }

    do {
        rc = ngx_http_llm_party_next(clients->store, &clients->seen, temp,
                                     &rows);

        for (i = 0; rc == NGX_OK && i < rows.nelts; i++) {
            row = rows.elts;
            ngx_http_llm_live_apply(clients, &row[i]);
        }

        ngx_reset_pool(temp);

    } while (rc == NGX_OK);

    ngx_destroy_pool(temp);
}


/* The record of the file stays hidden from now on, whatever takes its place. */

static void
ngx_http_llm_live_apply(ngx_http_llm_clients_t *clients,
    const ngx_http_llm_party_row_t *row)
{
    ngx_http_llm_client_t  *client;

    client = ngx_http_llm_client_find(&clients->ids[row->kind], &row->id);

    if (client) {
        clients->hidden[row->kind] += !client->hidden;
        client->hidden = 1;

        if (row->text.len == 0 && !row->lasting) {
            ngx_http_llm_party_last(clients->store, row->kind, &row->id);
        }
    }

    client = ngx_http_llm_client_find(&clients->live_ids[row->kind], &row->id);

    if (client) {
        ngx_http_llm_live_remove(clients, client);
    }

    if (row->text.len == 0) {
        return;
    }

    client = ngx_http_llm_live_make(clients, row);

    if (client && ngx_http_llm_live_add(clients, client) != NGX_OK) {
        ngx_http_llm_live_remove(clients, client);
    }
}


static ngx_http_llm_client_t *
ngx_http_llm_live_make(ngx_http_llm_clients_t *clients,
    const ngx_http_llm_party_row_t *row)
{
    u_char                       *p;
    size_t                        len;
    llm_str_t                     kind;
    ngx_pool_t                   *pool;
    ngx_http_llm_client_t        *client;
    ngx_http_llm_client_maker_t   maker;

    pool = ngx_create_pool(NGX_HTTP_LLM_LIVE_POOL, clients->log);
    if (pool == NULL) {
        return NULL;
    }

    len = row->text.len;
    client = NULL;

    ngx_memzero(&maker, sizeof(ngx_http_llm_client_maker_t));

    maker.clients = clients;
    maker.pool = pool;

    /* behind the text what has to be unescaped, which is rare */

    p = ngx_pnalloc(pool, memchr(row->text.data, '\\', len) ? 4 * len : len);

    if (p) {
        ngx_memcpy(p, row->text.data, len);
        llm_buf_init(&maker.mem, p + len,
                     memchr(p, '\\', len) ? 3 * len : 0);

        client = ngx_http_llm_client_make(&maker, row->kind,
                                          (llm_str_t) { len, p });
    }

    if (client) {
        client->refs = 1;
        client->version = row->version;
        ngx_http_llm_client_rules_link(clients, client->rules);
        return client;
    }

    kind = llm_party_name(row->kind);

    ngx_log_error(NGX_LOG_ERR, clients->log, 0,
                  "llm: the record of %*s \"%V\" cannot be used: \"%V\" %s",
                  kind.len, kind.data, &row->id, &maker.member,
                  maker.why ? maker.why : "needs more memory");

    ngx_destroy_pool(pool);

    return NULL;
}


static uint64_t
ngx_http_llm_live_key_hash(const ngx_http_llm_client_key_t *key)
{
    uint64_t  hash;

    ngx_memcpy(&hash, key->sha256, sizeof(uint64_t));

    return hash;
}


static ngx_int_t
ngx_http_llm_live_add(ngx_http_llm_clients_t *clients,
    ngx_http_llm_client_t *client)
{
    ngx_uint_t  i;

    ngx_queue_insert_tail(&clients->live, &client->queue);

    if (ngx_http_llm_client_index(clients->live_pool,
                                  &clients->live_ids[client->kind],
                                  client->id_hash, client)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < client->nkeys; i++) {
        if (ngx_http_llm_client_index(clients->live_pool, &clients->live_keys,
                                  ngx_http_llm_live_key_hash(&client->keys[i]),
                                  &client->keys[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_llm_live_remove(ngx_http_llm_clients_t *clients,
    ngx_http_llm_client_t *client)
{
    ngx_uint_t  i;

    client->hidden = 1;

    for (i = 0; i < client->nkeys; i++) {
        (void) llm_index_remove(&clients->live_keys,
                                ngx_http_llm_live_key_hash(&client->keys[i]),
                                &client->keys[i]);
    }

    (void) llm_index_remove(&clients->live_ids[client->kind], client->id_hash,
                            client);

    ngx_queue_remove(&client->queue);

    ngx_http_llm_client_release(client);
}


void
ngx_http_llm_live_exit(ngx_http_llm_clients_t *clients)
{
    ngx_queue_t            *q;
    ngx_http_llm_client_t  *client;

    if (clients->live_pool == NULL) {
        return;
    }

    while (!ngx_queue_empty(&clients->live)) {
        q = ngx_queue_head(&clients->live);
        client = ngx_queue_data(q, ngx_http_llm_client_t, queue);

        ngx_http_llm_live_remove(clients, client);
    }

    ngx_destroy_pool(clients->live_pool);
    clients->live_pool = NULL;
    clients->seen = 0;
}
