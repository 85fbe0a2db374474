
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
#include "ngx_http_llm_limits.h"
#include "ngx_http_llm_secret.h"

#include "llm_hash.h"


#define NGX_HTTP_LLM_NO_GROUP    0xffffffff
#define NGX_HTTP_LLM_WEIGHT_MAX  10000


typedef struct {
    ngx_str_t                name;
    llm_group_conf_t         conf;
} ngx_http_llm_group_row_t;


typedef struct {
    ngx_http_llm_key_t       key;
    ngx_str_t                group;        /* name, or empty: its own */
    uint32_t                 weight;
    llm_group_conf_t        *own;          /* shared by the keys of one line */
    u_char                  *file;
    ngx_uint_t               line;
} ngx_http_llm_key_row_t;


/* The words of one `key` or `keys` line. */

typedef struct {
    ngx_str_t                name;
    ngx_str_t                group;
    ngx_uint_t               weight;
    ngx_uint_t               optional;
    ngx_http_llm_limits_t    limits;
    llm_group_conf_t        *own;
} ngx_http_llm_key_line_t;


typedef struct {
    u_char                   fingerprint[NGX_HTTP_LLM_FINGERPRINT];
    ngx_uint_t               index;
} ngx_http_llm_fingerprint_t;


static char *ngx_http_llm_pool_select(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_pool_cooldown(ngx_conf_t *cf, void *block);
static char *ngx_http_llm_pool_group(ngx_conf_t *cf, void *block);
static ngx_int_t ngx_http_llm_pool_key_args(ngx_conf_t *cf,
    ngx_http_llm_pool_block_t *pb, ngx_http_llm_key_line_t *line,
    ngx_uint_t single);
static ngx_int_t ngx_http_llm_pool_key_arg(ngx_conf_t *cf,
    ngx_http_llm_key_line_t *line, ngx_str_t *arg, ngx_uint_t single);
static ngx_int_t ngx_http_llm_pool_add(ngx_conf_t *cf,
    ngx_http_llm_pool_block_t *pb, ngx_http_llm_key_line_t *line,
    ngx_str_t *source, ngx_str_t *secret);
static ngx_int_t ngx_http_llm_pool_add_list(ngx_conf_t *cf,
    ngx_http_llm_pool_block_t *pb, ngx_http_llm_key_line_t *line,
    ngx_str_t *source, ngx_str_t *text);
static void ngx_http_llm_pool_key_log(ngx_conf_t *cf, ngx_uint_t level,
    ngx_http_llm_pool_block_t *pb, ngx_str_t *source, ngx_uint_t line,
    char *why);
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
                           "duplicate llm_key_pool \"%V\"", &name);
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


/* group NAME [limit=…]… [clock=…] [reset=…] [shared] */

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


/* key SOURCE …; keys SOURCE …; */

char *
ngx_http_llm_pool_key(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_pool_block_t *pb = block;

    char                     *why;
    ngx_int_t                 rc;
    ngx_str_t                *value, text;
    ngx_uint_t                single;
    ngx_http_llm_key_line_t   line;

    value = cf->args->elts;
    single = (value[0].len == 3);

    if (ngx_http_llm_pool_key_args(cf, pb, &line, single) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    pb->position++;

    rc = ngx_http_llm_secret_read(cf, &value[1], &text, &why);

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DONE:
        return NGX_CONF_OK;

    case NGX_DECLINED:
        ngx_http_llm_pool_key_log(cf, line.optional ? NGX_LOG_NOTICE
                                                    : NGX_LOG_EMERG,
                                  pb, &value[1], 0, why);
        return line.optional ? NGX_CONF_OK : NGX_CONF_ERROR;

    default: /* NGX_ERROR */
        if (why) {
            ngx_http_llm_pool_key_log(cf, NGX_LOG_EMERG, pb, NULL, 0, why);
        }

        return NGX_CONF_ERROR;
    }

    if (single) {
        rc = ngx_http_llm_pool_add(cf, pb, &line, &value[1], &text);

    } else {
        rc = ngx_http_llm_pool_add_list(cf, pb, &line, &value[1], &text);
    }

    return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_llm_pool_key_args(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb,
    ngx_http_llm_key_line_t *line, ngx_uint_t single)
{
    ngx_int_t    rc;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    ngx_memzero(line, sizeof(ngx_http_llm_key_line_t));
    line->weight = 1;
    ngx_http_llm_limits_init(&line->limits);

    for (i = 2; i < cf->args->nelts; i++) {
        rc = ngx_http_llm_limits_arg(cf, pb->zones, &line->limits, &value[i]);

        if (rc == NGX_DECLINED) {
            rc = ngx_http_llm_pool_key_arg(cf, line, &value[i], single);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_llm_limits_done(cf, &line->limits) != NGX_OK) {
        return NGX_ERROR;
    }

    if (line->group.len == 0) {
        line->own = ngx_palloc(cf->temp_pool, sizeof(llm_group_conf_t));
        if (line->own == NULL) {
            return NGX_ERROR;
        }

        *line->own = line->limits.conf;

    } else if (line->limits.conf.limit_n || line->limits.conf.shared) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"limit\" is incompatible with \"group=%V\": "
                           "the limits of a group stand at \"group\"",
                           &line->group);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_pool_key_arg(ngx_conf_t *cf, ngx_http_llm_key_line_t *line,
    ngx_str_t *arg, ngx_uint_t single)
{
    static ngx_http_llm_arg_t  weight = {
        ngx_string("weight"), NGX_HTTP_LLM_ARG_UINT,
        offsetof(ngx_http_llm_key_line_t, weight), 1, NGX_HTTP_LLM_WEIGHT_MAX
    };

    ngx_str_t  value;

    if (ngx_http_llm_arg_is(arg, "group", &value)) {
        line->group = value;
        return ngx_http_llm_check_name(cf, "group", &value);
    }

    if (ngx_http_llm_arg_is(arg, "weight", &value)) {
        return ngx_http_llm_arg_value(cf, arg, &weight, &value, line);
    }

    if (single && ngx_http_llm_arg_is(arg, "name", &value)) {
        line->name = value;
        return ngx_http_llm_check_name(cf, "key", &value);
    }

    if (arg->len == 8 && ngx_strncmp(arg->data, "optional", 8) == 0) {
        line->optional = 1;
        return NGX_OK;
    }

    /* a long word may be a key written here by mistake */

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%*s%s\", expected one of: group=, "
                       "weight=, %soptional, limit=, clock=, reset=, shared",
                       ngx_min(arg->len, 12), arg->data,
                       arg->len > 12 ? "..." : "", single ? "name=, " : "");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_pool_add(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb,
    ngx_http_llm_key_line_t *line, ngx_str_t *source, ngx_str_t *secret)
{
    char                    *why;
    u_char                  *p;
    ngx_str_t                name;
    ngx_http_llm_key_row_t  *row;

    why = ngx_http_llm_secret_check(secret);

    if (why) {
        ngx_http_llm_pool_key_log(cf, NGX_LOG_EMERG, pb, source, 0, why);
        return NGX_ERROR;
    }

    name = line->name;

    if (name.len == 0) {
        p = ngx_pnalloc(cf->pool, pb->pool->name.len + 1 + NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        name.data = p;
        name.len = ngx_sprintf(p, "%V-%ui", &pb->pool->name, pb->position) - p;
    }

    row = ngx_array_push(&pb->keys);
    if (row == NULL) {
        return NGX_ERROR;
    }

    row->key.name = name;
    row->key.secret = *secret;
    row->group = line->group;
    row->weight = (uint32_t) line->weight;
    row->own = line->own;

    ngx_http_llm_place(cf, &row->file, &row->line);

    return NGX_OK;
}


/* One key a line; "#" starts a comment line. */

static ngx_int_t
ngx_http_llm_pool_add_list(ngx_conf_t *cf, ngx_http_llm_pool_block_t *pb,
    ngx_http_llm_key_line_t *line, ngx_str_t *source, ngx_str_t *text)
{
    char        *why;
    u_char      *p, *end, *last;
    ngx_str_t    secret;
    ngx_uint_t   n, first;

    n = 0;
    first = pb->position;
    last = text->data + text->len;

    pb->position--;

    for (p = text->data; p < last; p = end + 1) {
        n++;

        end = ngx_strlchr(p, last, LF);
        if (end == NULL) {
            end = last;
        }

        secret.data = p;
        secret.len = end - p;

        while (secret.len && (secret.data[0] == ' ' || secret.data[0] == '\t'))
        {
            secret.data++;
            secret.len--;
        }

        while (secret.len && (secret.data[secret.len - 1] == ' '
                              || secret.data[secret.len - 1] == '\t'
                              || secret.data[secret.len - 1] == CR))
        {
            secret.len--;
        }

        if (secret.len == 0 || secret.data[0] == '#') {
            continue;
        }

        pb->position++;

        why = ngx_http_llm_secret_check(&secret);

        if (why) {
            ngx_http_llm_pool_key_log(cf, NGX_LOG_EMERG, pb, source, n, why);
            return NGX_ERROR;
        }

        if (ngx_http_llm_pool_add(cf, pb, line, source, &secret) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (pb->position >= first) {
        return NGX_OK;
    }

    /* only comments: as good as empty */

    pb->position++;

    ngx_http_llm_pool_key_log(cf, line->optional ? NGX_LOG_NOTICE
                                                 : NGX_LOG_EMERG,
                              pb, source, 0, "is empty: it has no keys");

    return line->optional ? NGX_OK : NGX_ERROR;
}


/* The place, the source and the reason; never a byte of the secret. */

static void
ngx_http_llm_pool_key_log(ngx_conf_t *cf, ngx_uint_t level,
    ngx_http_llm_pool_block_t *pb, ngx_str_t *source, ngx_uint_t line,
    char *why)
{
    u_char  from[NGX_MAX_CONF_ERRSTR], *p, *last;

    p = from;
    last = from + sizeof(from);

    if (source) {
        p = ngx_slprintf(p, last, " from \"%V\"", source);
    }

    if (line) {
        p = ngx_slprintf(p, last, " line %ui", line);
    }

    ngx_conf_log_error(level, cf, 0, "key %ui of pool \"%V\"%*s %s%s",
                       pb->position, &pb->pool->name, (size_t) (p - from),
                       from, why,
                       level == NGX_LOG_NOTICE ? ", it is left out" : "");
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
