/*
 * Records made at run time, between nodes: the greatest version wins.
 *
 *   {cp}:clients   "client:ID", "user:ID", "org:ID"   "VERSION JSON"
 *
 * A deletion has no JSON; where it hides a record of the file, the word
 * "lasting" stands there.  The agent sends what changed here since it sent
 * last, one batch at a time, so that a lost reply costs another try and no
 * more; deletions that hide nothing leave Redis after 30 days.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_sync_max.h"
#include "ngx_http_llm_sync_party.h"


#define NGX_HTTP_LLM_PARTY_RENEW  3600000       /* ms */
#define NGX_HTTP_LLM_PARTY_OLD    2592000000ULL /* ms: 30 days */
#define NGX_HTTP_LLM_PARTY_BATCH  131072        /* bytes of one write */
#define NGX_HTTP_LLM_PARTY_LASTING  "lasting"


static ngx_uint_t ngx_http_llm_sync_party_pairs(ngx_array_t *rows,
    ngx_http_llm_sync_pair_t *pair, ngx_pool_t *pool, uint64_t *last);
static ngx_int_t ngx_http_llm_sync_party_pair(
    const ngx_http_llm_party_row_t *row, ngx_http_llm_sync_pair_t *pair,
    ngx_pool_t *pool);
static void ngx_http_llm_sync_party_sent(void *data, redisReply *reply);
static void ngx_http_llm_sync_party_got(ngx_http_llm_store_t *store,
    ngx_str_t *topic, const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n);
static ngx_int_t ngx_http_llm_sync_party_row(
    const ngx_http_llm_sync_pair_t *pair, ngx_http_llm_party_row_t *row);


static ngx_str_t   ngx_http_llm_sync_parties = ngx_string("clients");

/* of the agent */

static uint64_t    ngx_http_llm_sync_party_done;    /* sent up to here */
static uint64_t    ngx_http_llm_sync_party_next;    /* ... when this is */
static ngx_uint_t  ngx_http_llm_sync_party_busy;    /* a batch is under way */
static ngx_uint_t  ngx_http_llm_sync_party_all;     /* those of others, too */
static ngx_msec_t  ngx_http_llm_sync_party_renew;


void
ngx_http_llm_sync_party_flush(ngx_http_llm_store_t *store)
{
    uint64_t                   after;
    ngx_uint_t                 n;
    ngx_pool_t                *pool;
    ngx_array_t                rows;
    ngx_http_llm_sync_pair_t   pair[NGX_HTTP_LLM_SYNC_MAX];

    if ((ngx_msec_int_t) (ngx_current_msec - ngx_http_llm_sync_party_renew)
        >= 0)
    {
        ngx_http_llm_sync_party_renew = ngx_current_msec
                                        + NGX_HTTP_LLM_PARTY_RENEW;
        ngx_http_llm_sync_max_renew(store, &ngx_http_llm_sync_parties);
    }

    after = ngx_http_llm_sync_party_done;

    if (ngx_http_llm_sync_party_busy
        || ngx_http_llm_party_serial(store) == after)
    {
        return;
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, store->log);
    if (pool == NULL) {
        return;
    }

    switch (ngx_http_llm_party_next(store, &after, pool, &rows)) {

    case NGX_OK:
        n = ngx_http_llm_sync_party_pairs(&rows, pair, pool, &after);

        if (n == 0) {
            ngx_http_llm_sync_party_done = after;
            break;
        }

        ngx_http_llm_sync_party_next = after;

        if (ngx_http_llm_sync_max_write(store, &ngx_http_llm_sync_parties,
                                        pair, n, ngx_http_llm_sync_party_sent,
                                        NULL)
            == NGX_OK)
        {
            ngx_http_llm_sync_party_busy = 1;
        }

        break;

    case NGX_DONE:
        ngx_http_llm_sync_party_done = after;
        ngx_http_llm_sync_party_all = 0;
        break;

    default:
        break;
    }

    ngx_destroy_pool(pool);
}


/* As many as one write may have; *last is the serial of the last one looked
 * at.  What another node told needs no telling. */

static ngx_uint_t
ngx_http_llm_sync_party_pairs(ngx_array_t *rows,
    ngx_http_llm_sync_pair_t *pair, ngx_pool_t *pool, uint64_t *last)
{
    size_t                     size;
    ngx_uint_t                 i, n;
    ngx_http_llm_party_row_t  *row;

    n = 0;
    size = 0;
    row = rows->elts;

    for (i = 0; i < rows->nelts; i++) {

        if (row[i].remote && !ngx_http_llm_sync_party_all) {
            *last = row[i].serial;
            continue;
        }

        size += row[i].text.len + row[i].id.len;

        if (n == NGX_HTTP_LLM_SYNC_MAX
            || (n && size > NGX_HTTP_LLM_PARTY_BATCH)
            || ngx_http_llm_sync_party_pair(&row[i], &pair[n], pool)
               != NGX_OK)
        {
            break;
        }

        *last = row[i].serial;
        n++;
    }

    return n;
}


static ngx_int_t
ngx_http_llm_sync_party_pair(const ngx_http_llm_party_row_t *row,
    ngx_http_llm_sync_pair_t *pair, ngx_pool_t *pool)
{
    u_char     *p;
    llm_str_t   kind;
    ngx_str_t   text;

    kind = llm_party_name(row->kind);
    text = row->text;

    if (text.len == 0 && row->lasting) {
        ngx_str_set(&text, NGX_HTTP_LLM_PARTY_LASTING);
    }

    p = ngx_pnalloc(pool, kind.len + 1 + row->id.len
                          + NGX_INT64_LEN + 1 + text.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    pair->field.data = p;
    p = ngx_sprintf(p, "%*s:%V", kind.len, kind.data, &row->id);
    pair->field.len = p - pair->field.data;

    pair->value.data = p;
    p = ngx_sprintf(p, "%uL ", row->version);
    p = ngx_cpymem(p, text.data, text.len);
    pair->value.len = p - pair->value.data;

    return NGX_OK;
}


static void
ngx_http_llm_sync_party_sent(void *data, redisReply *reply)
{
    int64_t  n;

    ngx_http_llm_sync_party_busy = 0;

    if (ngx_http_llm_redis_int(reply, &n) == NGX_OK) {
        ngx_http_llm_sync_party_done = ngx_http_llm_sync_party_next;
    }
}


void
ngx_http_llm_sync_party_restore(ngx_http_llm_store_t *store)
{
    ngx_http_llm_sync_party_done = 0;
    ngx_http_llm_sync_party_next = 0;
    ngx_http_llm_sync_party_all = 1;
}


void
ngx_http_llm_sync_party_fetch(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen)
{
    ngx_http_llm_sync_max_read(store, topic, gen, ngx_http_llm_sync_party_got);
}


static void
ngx_http_llm_sync_party_got(ngx_http_llm_store_t *store, ngx_str_t *topic,
    const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n)
{
    uint64_t                   old;
    ngx_str_t                  field[NGX_HTTP_LLM_SYNC_MAX];
    ngx_uint_t                 i, drop, full;
    ngx_http_llm_party_row_t   row;

    drop = 0;
    full = 0;
    old = ngx_http_llm_party_stamp(ngx_http_llm_store_now(store)
                                   - NGX_HTTP_LLM_PARTY_OLD);

    for (i = 0; i < n; i++) {

        if (ngx_http_llm_sync_party_row(&pair[i], &row) != NGX_OK) {
            continue;
        }

        if (row.text.len == 0 && !row.lasting && row.version < old
            && drop < NGX_HTTP_LLM_SYNC_MAX)
        {
            field[drop++] = pair[i].field;
        }

        full += (ngx_http_llm_party_put(store, &row) == NGX_ERROR);
    }

    if (drop) {
        (void) ngx_http_llm_sync_max_drop(store, topic, old, field, drop);
    }

    if (full) {
        ngx_log_error(NGX_LOG_ERR, store->log, 0,
                      "llm: %ui records of clients from other nodes found no "
                      "room in llm_zone \"%V\"", full,
                      &store->zone->shm.name);
    }
}


static ngx_int_t
ngx_http_llm_sync_party_row(const ngx_http_llm_sync_pair_t *pair,
    ngx_http_llm_party_row_t *row)
{
    ngx_uint_t  i;
    llm_str_t   kind;
    ngx_str_t   lasting = ngx_string(NGX_HTTP_LLM_PARTY_LASTING);

    ngx_memzero(row, sizeof(ngx_http_llm_party_row_t));

    row->remote = 1;
    row->text = pair->value;

    if (ngx_http_llm_sync_number(&row->text, &row->version) != NGX_OK) {
        return NGX_ERROR;
    }

    if (row->text.len == lasting.len
        && ngx_strncmp(row->text.data, lasting.data, lasting.len) == 0)
    {
        row->lasting = 1;
        row->text.len = 0;
    }

    for (i = 0; i < LLM_PARTY_N; i++) {
        kind = llm_party_name(i);

        if (pair->field.len > kind.len + 1
            && pair->field.data[kind.len] == ':'
            && ngx_memcmp(pair->field.data, kind.data, kind.len) == 0)
        {
            row->kind = i;
            row->id.data = pair->field.data + kind.len + 1;
            row->id.len = pair->field.len - kind.len - 1;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}
