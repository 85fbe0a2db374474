/*
 * A record becomes what requests look at: texts in place, lists of names made
 * once for all records that have the same.
 */

#include "ngx_http_llm_client.h"

#include "llm_hash.h"


static void ngx_http_llm_client_str(ngx_str_t *s, llm_str_t text);
static ngx_int_t ngx_http_llm_client_lists(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, const llm_client_record_t *rec);
static ngx_int_t ngx_http_llm_client_keys(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, const llm_client_record_t *rec);
static void ngx_http_llm_client_blame(ngx_http_llm_client_maker_t *maker,
    char *member);


ngx_http_llm_client_t *
ngx_http_llm_client_make(ngx_http_llm_client_maker_t *maker, llm_party_t kind,
    llm_str_t text)
{
    llm_client_error_t      error;
    llm_client_record_t     rec;
    ngx_http_llm_client_t  *client;

    maker->why = NULL;
    ngx_str_null(&maker->member);

    if (llm_client_record(kind, text, &maker->mem, &rec, &error) != LLM_OK) {
        maker->why = error.why;
        ngx_http_llm_client_str(&maker->member, error.member);
        maker->member.len = ngx_min(maker->member.len, 64);
        return NULL;
    }

    client = ngx_pcalloc(maker->pool, sizeof(ngx_http_llm_client_t));
    if (client == NULL) {
        return NULL;
    }

    ngx_http_llm_client_str(&client->id, rec.id);
    ngx_http_llm_client_str(&client->name, rec.name);
    ngx_http_llm_client_str(&client->user, rec.user);
    ngx_http_llm_client_str(&client->org, rec.org);
    ngx_http_llm_client_str(&client->timezone, rec.timezone);
    ngx_http_llm_client_str(&client->metadata, rec.metadata);
    ngx_http_llm_client_str(&client->text, rec.text);

    client->id_hash = llm_fnv64(rec.id, 0);
    client->kind = kind;
    client->expires = rec.expires;
    client->priority = rec.priority;
    client->disabled = rec.disabled ? 1 : 0;
    client->pool = maker->keep ? NULL : maker->pool;

    if (ngx_http_llm_client_lists(maker, client, &rec) != NGX_OK
        || ngx_http_llm_client_rules(maker, client, &rec) != NGX_OK
        || ngx_http_llm_client_keys(maker, client, &rec) != NGX_OK)
    {
        return NULL;
    }

    return client;
}


static void
ngx_http_llm_client_str(ngx_str_t *s, llm_str_t text)
{
    s->len = text.len;
    s->data = (u_char *) text.data;
}


static ngx_int_t
ngx_http_llm_client_lists(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, const llm_client_record_t *rec)
{
    if (rec->models.data) {
        client->models = ngx_http_llm_patterns_make(maker, rec->models);

        if (client->models == NULL) {
            ngx_http_llm_client_blame(maker, "models");
            return NGX_ERROR;
        }
    }

    if (rec->routes.data) {
        client->routes = ngx_http_llm_patterns_make(maker, rec->routes);

        if (client->routes == NULL) {
            ngx_http_llm_client_blame(maker, "routes");
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_llm_client_blame(ngx_http_llm_client_maker_t *maker, char *member)
{
    maker->member.data = (u_char *) member;
    maker->member.len = ngx_strlen(member);
}


static ngx_int_t
ngx_http_llm_client_keys(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, const llm_client_record_t *rec)
{
    size_t                      i;
    ngx_http_llm_client_key_t  *key;

    if (rec->key_n == 0) {
        return NGX_OK;
    }

    client->keys = ngx_palloc(maker->pool, rec->key_n
                                        * sizeof(ngx_http_llm_client_key_t));
    if (client->keys == NULL) {
        return NGX_ERROR;
    }

    client->nkeys = rec->key_n;
    ngx_http_llm_client_str(&client->prefix, rec->key[0].prefix);

    for (i = 0; i < rec->key_n; i++) {
        key = &client->keys[i];

        ngx_memcpy(key->sha256, rec->key[i].sha256, 32);
        key->expires = rec->key[i].expires;
        key->client = client;
    }

    return NGX_OK;
}
