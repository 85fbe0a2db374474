
/*
 * llm_key_pool: keys, the quotas they share, and how one is selected.
 *
 * A key without `group=` is a quota group of its own.  The result is two
 * arrays of plain numbers for the core, and beside them the names and secrets.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"

#include "llm_hash.h"


#define NGX_HTTP_LLM_NO_GROUP  0xffffffff


typedef struct {
    u_char                   fingerprint[NGX_HTTP_LLM_FINGERPRINT];
    ngx_uint_t               index;
} ngx_http_llm_fingerprint_t;


static char *ngx_http_llm_pool_select(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_pool_cooldown(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_pool_group(ngx_conf_t *cf, void *block);
static ngx_int_t ngx_http_llm_pool_groups(ngx_conf_t *cf,
    ngx_http_llm_pool_block_t *pb, llm_group_conf_t *group,
    llm_key_conf_t *key);
static uint32_t ngx_http_llm_pool_find_group(ngx_http_llm_pool_block_t *pb,
    ngx_str_t *name);
static ngx_int_t ngx_http_llm_pool_fingerprints(ngx_conf_t *cf,
    ngx_http_llm_pool_block_t *pb);
static int ngx_libc_cdecl ngx_http_llm_pool_cmp(const void *one,
    const void *two);


static char  *ngx_http_llm_selects[] = {
    "headroom", "in_order", "round_robin", "weighted", "random", NULL
};


static ngx_http_llm_member_t  ngx_http_llm_pool_members[] = {
    { ngx_string("select"), 1, 1, 1, ngx_http_llm_pool_select },
    { ngx_string("group"), 1, NGX_HTTP_LLM_ARGS_ANY, 0,
      ngx_http_llm_pool_group },
    { ngx_string("key"), 1, NGX_HTTP_LLM_ARGS_ANY, 0, ngx_http_llm_pool_key },
    { ngx_string("keys"), 1, NGX_HTTP_LLM_ARGS_ANY, 0, ngx_http_llm_pool_key },
    { ngx_string("cooldown"), 1, 1, 1, ngx_http_llm_pool_cooldown },
    { ngx_null_string, 0, 0, 0, NULL }
};


char *
ngx_http_llm_key_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    char                       *rv;
    ngx_str_t                  *value, name;
    ngx_http_llm_pool_block_t   pb;

    value = cf->args->elts;
    name = value[1];

    if (ngx_http_llm_check_name(cf, "key pool", &name) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_llm_find_pool(lmcf, &name) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate llm_key_pool \"%V\", a pool or the "
                           "keys of a provider have that name", &name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_llm_pool_begin(cf, &name, &pb) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_llm_block(cf, ngx_http_llm_pool_members, &pb);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (pb.position == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"key\" in llm_key_pool \"%V\"", &name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_llm_pool_end(cf, &pb) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_http_llm_key_pool_t *
ngx_http_llm_find_pool(ngx_http_llm_main_conf_t *lmcf, ngx_str_t *name)
{
    ngx_uint_t                 i;
    ngx_http_llm_key_pool_t  **pool;

    pool = lmcf->pools.elts;

    for (i = 0; i < lmcf->pools.nelts; i++) {
        if (pool[i]->name.len == name->len
            && ngx_strncmp(pool[i]->name.data, name->data, name->len) == 0)
        {
            return pool[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_llm_pool_begin(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_llm_pool_block_t *pb)
{
    ngx_http_llm_key_pool_t   *pool, **slot;
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);

    ngx_memzero(pb, sizeof(ngx_http_llm_pool_block_t));

    pool = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_key_pool_t));
    if (pool == NULL) {
        return NGX_ERROR;
    }

    slot = ngx_array_push(&lmcf->pools);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = pool;

    pool->name = *name;
    pool->store.name = *name;
    pool->store.conf.select = LLM_SELECT_HEADROOM;
    pool->store.conf.cooldown = 1;

    pb->pool = pool;
    pb->zones = &lmcf->build->zones;

    if (ngx_array_init(&pb->keys, cf->temp_pool, 8,
                       sizeof(ngx_http_llm_key_row_t)) != NGX_OK
        || ngx_array_init(&pb->groups, cf->temp_pool, 4,
                          sizeof(ngx_http_llm_group_row_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_llm_pool_select(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_pool_block_t *pb = block;

    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;

    n = ngx_http_llm_word(cf, &value[1], "way to select",
                          ngx_http_llm_selects);
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    pb->pool->store.conf.select = (llm_select_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_llm_pool_cooldown(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_pool_block_t *pb = block;

    ngx_str_t   *value;
    ngx_flag_t   on;

    value = cf->args->elts;

    if (ngx_http_llm_flag(cf, &value[1], &on) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    pb->pool->store.conf.cooldown = on ? 1 : 0;

    return NGX_CONF_OK;
}


/* group NAME [limit=...]... [clock=...] [reset=...] [shared] */

static char *
ngx_http_llm_pool_group(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_pool_block_t *pb = block;

    ngx_int_t                  rc;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_llm_limits_t      limits;
    ngx_http_llm_group_row_t  *row;

    value = cf->args->elts;

    if (ngx_http_llm_check_name(cf, "group", &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_llm_pool_find_group(pb, &value[1]) != NGX_HTTP_LLM_NO_GROUP) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate group \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    ngx_http_llm_limits_init(&limits);

    for (i = 2; i < cf->args->nelts; i++) {
        rc = ngx_http_llm_limits_arg(cf, pb->zones, &limits, &value[i]);

        if (rc == NGX_DECLINED) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected one of: "
                               "limit=, clock=, reset=, shared", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_llm_limits_done(cf, &limits) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    row = ngx_array_push(&pb->groups);
    if (row == NULL) {
        return NGX_CONF_ERROR;
    }

    row->name = value[1];
    row->conf = limits.conf;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_llm_pool_end(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb)
{
    ngx_uint_t                i, group_n, key_n;
    llm_key_conf_t           *key;
    llm_group_conf_t         *group;
    ngx_http_llm_key_row_t   *row;
    ngx_http_llm_key_pool_t  *pool;

    pool = pb->pool;
    row = pb->keys.elts;
    key_n = pb->keys.nelts;
    group_n = pb->groups.nelts;

    for (i = 0; i < key_n; i++) {
        group_n += (row[i].group.len == 0);
    }

    key = ngx_pcalloc(cf->pool, (key_n + 1) * sizeof(llm_key_conf_t));
    group = ngx_pcalloc(cf->pool, (group_n + 1) * sizeof(llm_group_conf_t));
    pool->keys = ngx_pcalloc(cf->pool,
                             (key_n + 1) * sizeof(ngx_http_llm_key_t));
    pool->groups = ngx_pcalloc(cf->pool, (group_n + 1) * sizeof(ngx_str_t));
    pool->store.group_ids = ngx_pcalloc(cf->pool,
                                        (group_n + 1) * sizeof(uint64_t));
    pool->store.fingerprints = ngx_pcalloc(cf->pool,
                                     (key_n + 1) * NGX_HTTP_LLM_FINGERPRINT);

    if (key == NULL || group == NULL || pool->keys == NULL
        || pool->groups == NULL || pool->store.group_ids == NULL
        || pool->store.fingerprints == NULL)
    {
        return NGX_ERROR;
    }

    pool->store.conf.key = key;
    pool->store.conf.key_n = (uint32_t) key_n;
    pool->store.conf.group = group;
    pool->store.conf.group_n = (uint32_t) group_n;

    if (ngx_http_llm_pool_fingerprints(cf, pb) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_llm_pool_groups(cf, pb, group, key);
}


/* Named groups first, then one for each key that has none. */

static ngx_int_t
ngx_http_llm_pool_groups(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb,
    llm_group_conf_t *group, llm_key_conf_t *key)
{
    u_char                    *fingerprint;
    uint32_t                   n;
    uint64_t                   seed;
    ngx_str_t                  known;
    ngx_uint_t                 i;
    ngx_http_llm_key_row_t    *row;
    ngx_http_llm_key_pool_t   *pool;
    ngx_http_llm_group_row_t  *grow;

    pool = pb->pool;
    row = pb->keys.elts;
    grow = pb->groups.elts;

    seed = llm_fnv64((llm_str_t) { pool->name.len, pool->name.data }, 0);

    for (n = 0; n < pb->groups.nelts; n++) {
        pool->groups[n] = grow[n].name;
        pool->store.group_ids[n] = llm_fnv64((llm_str_t) { grow[n].name.len,
                                                   grow[n].name.data }, seed);
        group[n] = grow[n].conf;
        pool->limited |= (group[n].limit_n != 0);
    }

    for (i = 0; i < pb->keys.nelts; i++) {
        pool->keys[i] = row[i].key;
        key[i].weight = row[i].weight;

        if (row[i].group.len) {
            key[i].group = ngx_http_llm_pool_find_group(pb, &row[i].group);

            if (key[i].group == NGX_HTTP_LLM_NO_GROUP) {
                known = ngx_http_llm_list(cf, &pb->groups, NULL, NULL);
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "unknown group \"%V\" in pool \"%V\", known: %V "
                              "in %s:%ui", &row[i].group, &pool->name, &known,
                              row[i].file, row[i].line);
                return NGX_ERROR;
            }

            continue;
        }

        fingerprint = pool->store.fingerprints + i * NGX_HTTP_LLM_FINGERPRINT;

        pool->store.group_ids[n] = llm_fnv64((llm_str_t)
                                 { NGX_HTTP_LLM_FINGERPRINT, fingerprint }, 0);
        group[n] = *row[i].own;
        pool->limited |= (group[n].limit_n != 0);
        key[i].group = n++;
    }

    return NGX_OK;
}


static uint32_t
ngx_http_llm_pool_find_group(ngx_http_llm_pool_block_t *pb, ngx_str_t *name)
{
    uint32_t                   i;
    ngx_http_llm_group_row_t  *row;

    row = pb->groups.elts;

    for (i = 0; i < pb->groups.nelts; i++) {
        if (row[i].name.len == name->len
            && ngx_strncmp(row[i].name.data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_HTTP_LLM_NO_GROUP;
}


/* Sorted, keys that stand twice lie side by side. */

static ngx_int_t
ngx_http_llm_pool_fingerprints(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb)
{
    u_char                       sha[32];
    ngx_uint_t                   i, n;
    ngx_http_llm_key_row_t      *row;
    ngx_http_llm_fingerprint_t  *f;

    row = pb->keys.elts;
    n = pb->keys.nelts;

    f = ngx_palloc(cf->temp_pool, (n + 1) * sizeof(ngx_http_llm_fingerprint_t));
    if (f == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        llm_sha256((llm_str_t) { row[i].key.secret.len,
                                 row[i].key.secret.data }, sha);

        f[i].index = i;
        ngx_memcpy(f[i].fingerprint, sha, NGX_HTTP_LLM_FINGERPRINT);
        ngx_memcpy(pb->pool->store.fingerprints + i * NGX_HTTP_LLM_FINGERPRINT,
                   sha, NGX_HTTP_LLM_FINGERPRINT);
    }

    ngx_qsort(f, n, sizeof(ngx_http_llm_fingerprint_t),
              ngx_http_llm_pool_cmp);

    for (i = 1; i < n; i++) {
        if (ngx_memcmp(f[i - 1].fingerprint, f[i].fingerprint,
                       NGX_HTTP_LLM_FINGERPRINT) == 0)
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "keys \"%V\" and \"%V\" of pool \"%V\" are the same "
                          "in %s:%ui",
                          &row[f[i - 1].index].key.name,
                          &row[f[i].index].key.name, &pb->pool->name,
                          row[f[i].index].file, row[f[i].index].line);
        }
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_llm_pool_cmp(const void *one, const void *two)
{
    int                                n;
    const ngx_http_llm_fingerprint_t  *a, *b;

    a = one;
    b = two;

    n = ngx_memcmp(a->fingerprint, b->fingerprint, NGX_HTTP_LLM_FINGERPRINT);

    return n ? n : (a->index < b->index ? -1 : 1);
}
