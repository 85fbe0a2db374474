/*
 * Records of clients, users and organisations in the state file:
 *
 *   "parties": [{"kind": "client", "id", "version", "record": {…}}, …]
 *
 * in the order of their changes; a deletion has no record, and "lasting": true
 * where it hides one of the file of clients.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


static ngx_int_t ngx_http_llm_state_put_party(
    const ngx_http_llm_party_row_t *row, cJSON *to, ngx_pool_t *temp);
static ngx_int_t ngx_http_llm_state_get_party(ngx_http_llm_store_t *store,
    const cJSON *from);
static char *ngx_http_llm_state_c_text(const ngx_str_t *text,
    ngx_pool_t *temp);


ngx_int_t
ngx_http_llm_state_put_parties(ngx_http_llm_store_t *store, cJSON *tree)
{
    cJSON                     *to;
    uint64_t                   after;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_pool_t                *temp;
    ngx_array_t                rows;
    ngx_http_llm_party_row_t  *row;

    to = cJSON_AddArrayToObject(tree, "parties");
    temp = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, store->log);

    after = 0;
    rc = (to && temp) ? NGX_OK : NGX_ERROR;

    while (rc == NGX_OK) {
        rc = ngx_http_llm_party_next(store, &after, temp, &rows);

        for (i = 0; rc == NGX_OK && i < rows.nelts; i++) {
            row = rows.elts;
            rc = ngx_http_llm_state_put_party(&row[i], to, temp);
        }

        ngx_reset_pool(temp);
    }

    if (temp) {
        ngx_destroy_pool(temp);
    }

    return rc == NGX_DONE ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_state_put_party(const ngx_http_llm_party_row_t *row, cJSON *to,
    ngx_pool_t *temp)
{
    char   *id, *text;
    cJSON  *item;

    item = cJSON_CreateObject();

    if (!cJSON_AddItemToArray(to, item)) {
        cJSON_Delete(item);
        return NGX_ERROR;
    }

    id = ngx_http_llm_state_c_text(&row->id, temp);
    text = ngx_http_llm_state_c_text(&row->text, temp);

    if (id == NULL || text == NULL
        || cJSON_AddStringToObject(item, "kind",
                         (char *) llm_party_name(row->kind).data) == NULL
        || cJSON_AddStringToObject(item, "id", id) == NULL
        || ngx_http_llm_state_put(item, "version", row->version) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (row->text.len) {
        return cJSON_AddRawToObject(item, "record", text) ? NGX_OK : NGX_ERROR;
    }

    if (row->lasting
        && cJSON_AddTrueToObject(item, "lasting") == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_llm_state_c_text(const ngx_str_t *text, ngx_pool_t *temp)
{
    u_char  *p;

    p = ngx_pnalloc(temp, text->len + 1);
    if (p == NULL) {
        return NULL;
    }

    ngx_memcpy(p, text->data, text->len);
    p[text->len] = '\0';

    return (char *) p;
}


void
ngx_http_llm_state_get_parties(ngx_http_llm_store_t *store, const cJSON *tree)
{
    ngx_uint_t    lost;
    const cJSON  *item;

    lost = 0;

    cJSON_ArrayForEach(item,
                       cJSON_GetObjectItemCaseSensitive(tree, "parties"))
    {
        if (ngx_http_llm_state_get_party(store, item) != NGX_OK) {
            lost++;
        }
    }

    if (lost) {
        ngx_log_error(NGX_LOG_ERR, store->log, 0,
                      "llm: %ui records of clients in the state file found no "
                      "room in llm_zone \"%V\"", lost,
                      &store->zone->shm.name);
    }
}


static ngx_int_t
ngx_http_llm_state_get_party(ngx_http_llm_store_t *store, const cJSON *from)
{
    char                      *kind, *id, *text;
    cJSON                     *record;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_llm_party_row_t   row;

    kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "kind"));
    id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "id"));
    record = cJSON_GetObjectItemCaseSensitive(from, "record");

    if (kind == NULL || id == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&row, sizeof(ngx_http_llm_party_row_t));

    for (i = 0; i < LLM_PARTY_N; i++) {
        if (ngx_strcmp(kind, llm_party_name(i).data) == 0) {
            break;
        }
    }

    if (i == LLM_PARTY_N) {
        return NGX_OK;
    }

    text = record ? cJSON_PrintUnformatted(record) : NULL;

    row.kind = i;
    row.id.data = (u_char *) id;
    row.id.len = ngx_strlen(id);
    row.version = ngx_http_llm_state_get(from, "version");
    row.lasting = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(from,
                                                                "lasting"));
    if (text) {
        row.text.data = (u_char *) text;
        row.text.len = ngx_strlen(text);
    }

    rc = ngx_http_llm_party_put(store, &row);

    cJSON_free(text);

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}
