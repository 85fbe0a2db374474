/*
 * llm_clients: the file of clients, users and organisations, read by the master
 * when the configuration is, and the tables in which they are found.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_client.h"
#include "ngx_http_llm_conf.h"
#include "ngx_http_llm_file.h"


#define NGX_HTTP_LLM_CLIENTS_FILE  (256 * 1024 * 1024)


static ngx_int_t ngx_http_llm_clients_read(ngx_conf_t *cf,
    ngx_http_llm_clients_t *clients, ngx_str_t *text);
static ngx_int_t ngx_http_llm_clients_parse(ngx_conf_t *cf,
    ngx_http_llm_clients_t *clients, ngx_str_t *text);
static ngx_int_t ngx_http_llm_clients_add(ngx_conf_t *cf,
    ngx_http_llm_client_maker_t *maker, llm_client_file_t *file,
    llm_str_t text);
static ngx_int_t ngx_http_llm_clients_add_keys(ngx_conf_t *cf,
    ngx_http_llm_clients_t *clients, ngx_http_llm_client_t *client);
static void ngx_http_llm_clients_refuse(ngx_conf_t *cf,
    ngx_http_llm_client_maker_t *maker, llm_client_file_t *file,
    llm_str_t text);
static void ngx_http_llm_clients_id(llm_str_t text, ngx_str_t *id);
static ngx_http_llm_client_key_t *ngx_http_llm_clients_find_key(
    const llm_index_t *keys, const u_char sha256[32]);


ngx_http_llm_clients_t *
ngx_http_llm_clients_create(ngx_conf_t *cf)
{
    ngx_uint_t               i;
    ngx_http_llm_clients_t  *clients;

    clients = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_clients_t));
    if (clients == NULL) {
        return NULL;
    }

    clients->pool = cf->pool;
    clients->log = &cf->cycle->new_log;

    for (i = 0; i < LLM_PARTY_N; i++) {
        if (ngx_array_init(&clients->list[i], cf->pool, 4, sizeof(void *))
            != NGX_OK)
        {
            return NULL;
        }
    }

    return clients;
}


/* llm_clients file:PATH */

char *
ngx_http_llm_clients(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    ngx_int_t                rc;
    ngx_str_t               *value, text;
    ngx_http_llm_clients_t  *clients;

    value = cf->args->elts;
    clients = lmcf->clients;

    if (clients->file.len) {
        return "is duplicate";
    }

    clients->file = value[1];

    if (value[1].len > 5 && ngx_strncmp(value[1].data, "file:", 5) == 0) {
        clients->file.data += 5;
        clients->file.len -= 5;
    }

    rc = ngx_http_llm_clients_read(cf, clients, &text);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_clients_parse(cf, clients, &text);
    }

    return rc == NGX_ERROR ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* NGX_DECLINED: a process that only sends a signal need not read it. */

static ngx_int_t
ngx_http_llm_clients_read(ngx_conf_t *cf, ngx_http_llm_clients_t *clients,
    ngx_str_t *text)
{
    ngx_int_t  rc;

    if (ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_DECLINED;
    }

    rc = ngx_http_llm_file_read(cf, &clients->file, NGX_HTTP_LLM_CLIENTS_FILE,
                                text);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there is no file \"%V\" of clients",
                           &clients->file);
        return NGX_ERROR;
    }

    return rc;
}


static ngx_int_t
ngx_http_llm_clients_parse(ngx_conf_t *cf, ngx_http_llm_clients_t *clients,
    ngx_str_t *text)
{
    u_char                       *mem;
    llm_rc_t                      rc;
    llm_str_t                     s;
    llm_client_file_t             file;
    llm_client_error_t            error;
    ngx_http_llm_client_maker_t   maker;

    ngx_memzero(&maker, sizeof(ngx_http_llm_client_maker_t));

    maker.clients = clients;
    maker.pool = cf->pool;
    maker.keep = 1;

    /* lists are read twice; untouched memory costs nothing */

    mem = ngx_palloc(cf->pool, 3 * text->len + 1);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&maker.mem, mem, 3 * text->len);

    s.len = text->len;
    s.data = text->data;

    rc = llm_client_file_begin(&file, s, &error);

    while (rc == LLM_OK) {
        rc = llm_client_file_next(&file, &s, &error);

        if (rc == LLM_OK
            && ngx_http_llm_clients_add(cf, &maker, &file, s) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (rc == LLM_NONE) {
        return NGX_OK;
    }

    error.member.len = ngx_min(error.member.len, 64);

    if (error.member.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%*s\" in \"%V\" %s",
                           error.member.len, error.member.data, &clients->file,
                           error.why);
    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &clients->file,
                           error.why);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_clients_add(ngx_conf_t *cf, ngx_http_llm_client_maker_t *maker,
    llm_client_file_t *file, llm_str_t text)
{
    ngx_http_llm_client_t   *client, **slot;
    ngx_http_llm_clients_t  *clients;

    clients = maker->clients;

    client = ngx_http_llm_client_make(maker, file->kind, text);

    if (client == NULL) {
        ngx_http_llm_clients_refuse(cf, maker, file, text);
        return NGX_ERROR;
    }

    if (ngx_http_llm_client_by_id(clients, file->kind, &client->id)) {
        maker->why = "stands there twice";
        ngx_http_llm_clients_refuse(cf, maker, file, text);
        return NGX_ERROR;
    }

    slot = ngx_array_push(&clients->list[file->kind]);

    if (slot == NULL
        || ngx_http_llm_client_index(cf->pool, &clients->ids[file->kind],
                                     client->id_hash, client)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *slot = client;

    return ngx_http_llm_clients_add_keys(cf, clients, client);
}


static ngx_int_t
ngx_http_llm_clients_add_keys(ngx_conf_t *cf, ngx_http_llm_clients_t *clients,
    ngx_http_llm_client_t *client)
{
    uint64_t                    hash;
    ngx_uint_t                  i;
    ngx_http_llm_client_key_t  *key, *other;

    for (i = 0; i < client->nkeys; i++) {
        key = &client->keys[i];
        other = ngx_http_llm_client_by_key(clients, key->sha256);

        if (other) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the clients \"%V\" and \"%V\" in \"%V\" have "
                               "the same key", &other->client->id, &client->id,
                               &clients->file);
            return NGX_ERROR;
        }

        ngx_memcpy(&hash, key->sha256, sizeof(uint64_t));

        if (ngx_http_llm_client_index(cf->pool, &clients->keys, hash, key)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The id names it, or its place where there is no id to be read. */

static void
ngx_http_llm_clients_refuse(ngx_conf_t *cf, ngx_http_llm_client_maker_t *maker,
    llm_client_file_t *file, llm_str_t text)
{
    u_char     *p, member[96];
    ngx_str_t   id;
    llm_str_t   kind;

    if (maker->why == NULL) {
        return;
    }

    kind = llm_party_name(file->kind);
    ngx_http_llm_clients_id(text, &id);

    p = member;

    if (maker->member.len) {
        p = ngx_snprintf(p, sizeof(member), "\"%V\" ", &maker->member);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid %*s \"%V\", the %uzth in \"%V\": %*s%s",
                       kind.len, kind.data, &id, file->at,
                       &maker->clients->file, (size_t) (p - member), member,
                       maker->why);
}


static void
ngx_http_llm_clients_id(llm_str_t text, ngx_str_t *id)
{
    llm_json_member_t  m;

    ngx_str_set(id, "?");

    if (llm_json_get(text, LLM_STR("id"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING)
    {
        id->data = (u_char *) m.value.data + 1;
        id->len = ngx_min(m.value.len - 2, 64);
    }
}


ngx_int_t
ngx_http_llm_client_index(ngx_pool_t *pool, llm_index_t *index, uint64_t hash,
    void *item)
{
    size_t       size;
    llm_index_slot_t  *slot;
    llm_index_t  old;

    if (llm_index_add(index, hash, item) == LLM_OK) {
        return NGX_OK;
    }

    /* the old table may be large enough to be given back */

    old = *index;
    size = llm_index_size(old.n + 1);

    slot = ngx_pcalloc(pool, size * sizeof(llm_index_slot_t));
    if (slot == NULL) {
        return NGX_ERROR;
    }

    llm_index_init(index, slot, size);
    llm_index_move(index, &old);
    (void) llm_index_add(index, hash, item);

    if (old.slot) {
        (void) ngx_pfree(pool, old.slot);
    }

    return NGX_OK;
}


ngx_http_llm_client_key_t *
ngx_http_llm_client_by_key(ngx_http_llm_clients_t *clients,
    const u_char sha256[32])
{
    ngx_http_llm_client_key_t  *key;

    ngx_http_llm_clients_sync(clients);

    key = ngx_http_llm_clients_find_key(&clients->live_keys, sha256);

    return key ? key : ngx_http_llm_clients_find_key(&clients->keys, sha256);
}


/* One load, most of the time. */

void
ngx_http_llm_clients_sync(ngx_http_llm_clients_t *clients)
{
    if (ngx_http_llm_party_serial(clients->store) != clients->seen) {
        ngx_http_llm_live_sync(clients);
    }
}


static ngx_http_llm_client_key_t *
ngx_http_llm_clients_find_key(const llm_index_t *keys,
    const u_char sha256[32])
{
    size_t                      at;
    uint64_t                    hash;
    ngx_http_llm_client_key_t  *key;

    at = 0;
    ngx_memcpy(&hash, sha256, sizeof(uint64_t));

    while ((key = llm_index_next(keys, hash, &at))) {
        if (llm_client_same_key(key->sha256, sha256) && !key->client->hidden) {
            return key;
        }
    }

    return NULL;
}


ngx_http_llm_client_t *
ngx_http_llm_client_by_id(ngx_http_llm_clients_t *clients, llm_party_t kind,
    const ngx_str_t *id)
{
    ngx_http_llm_client_t  *client;

    ngx_http_llm_clients_sync(clients);

    client = ngx_http_llm_client_find(&clients->live_ids[kind], id);

    if (client == NULL) {
        client = ngx_http_llm_client_find(&clients->ids[kind], id);
    }

    return client && !client->hidden ? client : NULL;
}


ngx_http_llm_client_t *
ngx_http_llm_client_find(const llm_index_t *ids, const ngx_str_t *id)
{
    size_t                  at;
    uint64_t                hash;
    ngx_http_llm_client_t  *client;

    at = 0;
    hash = llm_fnv64((llm_str_t) { id->len, id->data }, 0);

    while ((client = llm_index_next(ids, hash, &at))) {
        if (ngx_http_llm_same(&client->id, (ngx_str_t *) id)) {
            return client;
        }
    }

    return NULL;
}


void
ngx_http_llm_client_release(ngx_http_llm_client_t *client)
{
    if (client && --client->refs == 0 && client->pool) {
        ngx_destroy_pool(client->pool);
    }
}
