
/*
 * llm_split: variants with their weights, and the lines that name them, checked
 * against each other at the end of the block.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_split_conf.h"


static ngx_http_llm_split_block_t *ngx_http_llm_split_open(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_str_t *name);
static char *ngx_http_llm_set_variant(ngx_conf_t *cf, void *block);
static ngx_int_t ngx_http_llm_split_url(ngx_conf_t *cf, ngx_str_t *url);
static ngx_int_t ngx_http_llm_split_close(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_split_block_t *sb);
static ngx_int_t ngx_http_llm_split_variants(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_split_block_t *sb);
static ngx_int_t ngx_http_llm_split_whole(ngx_conf_t *cf,
    ngx_http_llm_split_t *split);
static ngx_int_t ngx_http_llm_split_target(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_ref_t *ref);
static ngx_int_t ngx_http_llm_split_find(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb, ngx_http_llm_ref_t *ref,
    ngx_uint_t *variant);
static ngx_int_t ngx_http_llm_split_canary(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb);
static ngx_int_t ngx_http_llm_split_fallbacks(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb);
static ngx_int_t ngx_http_llm_split_copies(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb);
static ngx_int_t ngx_http_llm_split_no_app(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb, ngx_http_llm_ref_t *ref, ngx_uint_t variant,
    char *what);


static ngx_http_llm_member_t  ngx_http_llm_split_members[] = {
    { ngx_string("sticky"), 1, NGX_HTTP_LLM_ARGS_ANY, 0,
      ngx_http_llm_set_sticky },
    { ngx_string("variant"), 3, 3, 0, ngx_http_llm_set_variant },
    { ngx_string("rollout"), 1, 8, 1, ngx_http_llm_set_rollout },
    { ngx_string("force"), 1, NGX_HTTP_LLM_ARGS_ANY, 1,
      ngx_http_llm_set_force },
    { ngx_string("rollback"), 1, 8, 0, ngx_http_llm_set_rollback },
    { ngx_string("fallback"), 2, 3, 0, ngx_http_llm_set_fallback },
    { ngx_string("mirror"), 2, 5, 1, ngx_http_llm_set_mirror },
    { ngx_string("experiment"), 1, 3, 1, ngx_http_llm_set_experiment },
    { ngx_string("sample"), 1, 4, 1, ngx_http_llm_set_sample },
    { ngx_string("webhook"), 1, 1, 1, ngx_http_llm_set_webhook },
    { ngx_string("on_reload"), 1, 1, 1, ngx_http_llm_set_on_reload },
    { ngx_string("on_control_loss"), 1, 1, 1,
      ngx_http_llm_set_on_control_loss },
    { ngx_string("internal"), 0, 0, 1, ngx_http_llm_set_internal },
    { ngx_null_string, 0, 0, 0, NULL }
};


char *
ngx_http_llm_split(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_llm_main_conf_t *lmcf = conf;

    char                        *rv;
    ngx_str_t                   *value;
    ngx_http_llm_split_block_t  *sb;

    value = cf->args->elts;

    sb = ngx_http_llm_split_open(cf, lmcf, &value[1]);
    if (sb == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_llm_block(cf, ngx_http_llm_split_members, sb);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_llm_split_close(cf, lmcf, sb) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


static ngx_http_llm_split_block_t *
ngx_http_llm_split_open(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_str_t *name)
{
    ngx_http_llm_split_t        *split, **slot;
    ngx_http_llm_split_block_t  *sb, **sslot;

    if (ngx_http_llm_check_name(cf, "split", name) != NGX_OK) {
        return NULL;
    }

    split = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_split_t));
    sb = ngx_pcalloc(cf->temp_pool, sizeof(ngx_http_llm_split_block_t));
    slot = ngx_array_push(&lmcf->splits);
    sslot = ngx_array_push(&lmcf->build->splits);

    if (split == NULL || sb == NULL || slot == NULL || sslot == NULL) {
        return NULL;
    }

    *slot = split;
    *sslot = sb;
    sb->split = split;

    split->name = *name;
    split->store.name = *name;

    ngx_http_llm_split_rollout_defaults(&split->store.rollout);

    if (ngx_array_init(&sb->variants, cf->temp_pool, 4,
                       sizeof(ngx_http_llm_variant_row_t)) != NGX_OK
        || ngx_array_init(&sb->fallbacks, cf->temp_pool, 4,
                          sizeof(ngx_http_llm_fallback_row_t)) != NGX_OK
        || ngx_http_llm_add_name(cf, NGX_HTTP_LLM_SPLIT, &split->name, split,
                                 NULL, 0) != NGX_OK)
    {
        return NULL;
    }

    return sb;
}


/* variant NAME TARGET WEIGHT% */

static char *
ngx_http_llm_set_variant(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_llm_variant_row_t  *row;

    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);

    if (ngx_http_llm_check_name(cf, "variant", &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    row = sb->variants.elts;

    for (i = 0; i < sb->variants.nelts; i++) {
        if (ngx_http_llm_same(&row[i].variant.name, &value[1])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate variant \"%V\" in llm_split \"%V\"",
                               &value[1], &sb->split->name);
            return NGX_CONF_ERROR;
        }
    }

    if (i == LLM_SPLIT_VARIANTS) {
        return "is one of too many, 16 are possible";
    }

    row = ngx_array_push(&sb->variants);
    if (row == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(row, sizeof(ngx_http_llm_variant_row_t));

    row->variant.name = value[1];
    row->variant.target = value[2];
    row->variant.fallback = i;
    ngx_http_llm_split_use(cf, &row->target, &value[2]);

    if (ngx_strncmp(value[2].data, "http://", 7) == 0
        || ngx_strncmp(value[2].data, "https://", 8) == 0)
    {
        row->variant.url = value[2];
        sb->split->apps = 1;

        if (ngx_http_llm_split_url(cf, &value[2]) != NGX_OK
            || ngx_http_llm_app_upstream(cf, &value[2]) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_llm_split_share(cf, "weight", &value[3], 0, &row->weight)
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* An application gets the client's own path, so its URL has none. */

static ngx_int_t
ngx_http_llm_split_url(ngx_conf_t *cf, ngx_str_t *url)
{
    u_char  *p, *last;

    last = url->data + url->len;
    p = (u_char *) ngx_strstr(url->data, "://") + 3;

    if (last - p > 5 && ngx_strncmp(p, "unix:", 5) == 0) {
        return NGX_OK;
    }

    if (p < last && ngx_strlchr(p, last, '/') == NULL
        && ngx_strlchr(p, last, '?') == NULL
        && ngx_strlchr(p, last, '$') == NULL)
    {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid application \"%V\", expected http:// or "
                       "https:// and the name of an upstream or HOST:PORT, "
                       "without a path", url);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_split_close(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_split_block_t *sb)
{
    ngx_http_llm_split_t  *split;

    split = sb->split;

    if (sb->variants.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"variant\" in llm_split \"%V\"", &split->name);
        return NGX_ERROR;
    }

    if (ngx_http_llm_split_variants(cf, lmcf, sb) != NGX_OK
        || ngx_http_llm_split_whole(cf, split) != NGX_OK
        || ngx_http_llm_split_canary(cf, sb) != NGX_OK
        || ngx_http_llm_split_fallbacks(cf, sb) != NGX_OK
        || ngx_http_llm_split_copies(cf, sb) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* applications are out of reach of a name that a client sends */

    ngx_http_llm_defined(lmcf, &split->name)->internal = split->internal
                                                         || split->apps;

    return NGX_OK;
}


/* Only now, when their number is known, variants have an address. */

static ngx_int_t
ngx_http_llm_split_variants(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_split_block_t *sb)
{
    ngx_uint_t                   i, n;
    ngx_http_llm_ref_t          *ref;
    ngx_http_llm_split_t        *split;
    ngx_http_llm_variant_row_t  *row;

    split = sb->split;
    n = sb->variants.nelts;
    row = sb->variants.elts;

    split->variants = ngx_palloc(cf->pool, n * sizeof(ngx_http_llm_variant_t));
    split->store.variants = ngx_palloc(cf->pool, n * sizeof(ngx_str_t));

    if (split->variants == NULL || split->store.variants == NULL) {
        return NGX_ERROR;
    }

    split->store.n = n;

    for (i = 0; i < n; i++) {
        split->variants[i] = row[i].variant;
        split->store.variants[i] = row[i].variant.name;
        split->store.weight[i] = row[i].weight;

        if (row[i].variant.url.len) {
            continue;
        }

        ref = ngx_array_push(&lmcf->build->refs);
        if (ref == NULL) {
            return NGX_ERROR;
        }

        *ref = row[i].target;
        ref->object = &split->variants[i];
        ref->resolve = ngx_http_llm_split_target;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_split_whole(ngx_conf_t *cf, ngx_http_llm_split_t *split)
{
    u_char       mem[32];
    uint32_t     sum;
    llm_buf_t    b;
    llm_str_t    text;
    ngx_uint_t   i;

    if (llm_split_is_whole(split->store.weight, (uint32_t) split->store.n)) {
        return NGX_OK;
    }

    sum = 0;

    for (i = 0; i < split->store.n; i++) {
        sum += split->store.weight[i];
    }

    llm_buf_init(&b, mem, sizeof(mem));
    llm_split_put(&b, sum);
    text = llm_buf_view(&b);

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "weights of llm_split \"%V\" sum to %*s%%, they must "
                       "sum to 100%%", &split->name, text.len, text.data);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_split_target(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_ref_t *ref)
{
    ngx_http_llm_variant_t *variant = ref->object;

    ngx_http_llm_name_t  *name;

    name = ngx_http_llm_defined(lmcf, &ref->name);

    if (name == NULL) {
        ngx_http_llm_unknown(cf, ref, "target", &lmcf->routes, &lmcf->models,
                             &lmcf->providers);
        return NGX_ERROR;
    }

    if (name->kind == NGX_HTTP_LLM_SPLIT) {
        ngx_http_llm_unexpected(cf, ref, name, "a route, a model, a provider "
                                "or http://UPSTREAM");
        return NGX_ERROR;
    }

    variant->route = name->route;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_split_find(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb,
    ngx_http_llm_ref_t *ref, ngx_uint_t *variant)
{
    ngx_uint_t             i;
    ngx_http_llm_split_t  *split;

    split = sb->split;

    for (i = 0; i < split->store.n; i++) {
        if (ngx_http_llm_same(&split->variants[i].name, &ref->name)) {
            *variant = i;
            return NGX_OK;
        }
    }

    ngx_http_llm_unknown(cf, ref, "variant", &sb->variants, NULL, NULL);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_split_canary(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb)
{
    ngx_uint_t  i;

    if (sb->canary.name.len == 0) {
        return NGX_OK;
    }

    if (ngx_http_llm_split_find(cf, sb, &sb->canary, &i) != NGX_OK) {
        return NGX_ERROR;
    }

    if (i == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"rollout\" of \"%V\": the first variant is the "
                      "baseline, expected another one in %s:%ui",
                      &sb->canary.name, sb->canary.file, sb->canary.line);
        return NGX_ERROR;
    }

    sb->split->store.rollout.canary = (uint32_t) i;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_split_fallbacks(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb)
{
    ngx_uint_t                    i, from, to;
    ngx_http_llm_variant_t       *variant;
    ngx_http_llm_fallback_row_t  *row;

    row = sb->fallbacks.elts;

    for (i = 0; i < sb->fallbacks.nelts; i++) {

        if (ngx_http_llm_split_find(cf, sb, &row[i].from, &from) != NGX_OK
            || ngx_http_llm_split_find(cf, sb, &row[i].to, &to) != NGX_OK
            || ngx_http_llm_split_no_app(cf, sb, &row[i].from, from,
                                         "fallback") != NGX_OK
            || ngx_http_llm_split_no_app(cf, sb, &row[i].to, to,
                                         "fallback") != NGX_OK)
        {
            return NGX_ERROR;
        }

        variant = &sb->split->variants[from];

        if (variant->fallback != from || from == to) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"fallback\" of \"%V\" %s in %s:%ui",
                          &row[i].from.name,
                          from == to ? "leads to itself" : "is duplicate",
                          row[i].from.file, row[i].from.line);
            return NGX_ERROR;
        }

        variant->fallback = to;
        variant->on = row[i].on;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_split_copies(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb)
{
    ngx_uint_t  i;

    if (sb->mirror.name.len == 0) {
        return NGX_OK;
    }

    if (ngx_http_llm_split_find(cf, sb, &sb->mirror, &i) != NGX_OK
        || ngx_http_llm_split_no_app(cf, sb, &sb->mirror, i, "mirror")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (i == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mirror\" of \"%V\": the first variant is the "
                      "baseline, expected another one in %s:%ui",
                      &sb->mirror.name, sb->mirror.file, sb->mirror.line);
        return NGX_ERROR;
    }

    sb->split->mirror->variant = &sb->split->variants[i];
    sb->split->store.mirrored = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_split_no_app(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb,
    ngx_http_llm_ref_t *ref, ngx_uint_t variant, char *what)
{
    if (sb->split->variants[variant].url.len == 0) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%s\" of \"%V\": it is an application (%V), expected a "
                  "variant that is a route, a model or a provider in %s:%ui",
                  what, &ref->name, &sb->split->variants[variant].url,
                  ref->file, ref->line);

    return NGX_ERROR;
}


void
ngx_http_llm_split_digest(ngx_http_llm_split_block_t *sb, ngx_str_t *word,
    ngx_uint_t n)
{
    uint64_t    *digest;
    ngx_uint_t   i;

    digest = &sb->split->store.digest;

    for (i = 0; i < n; i++) {
        *digest = llm_fnv64((llm_str_t) { word[i].len, word[i].data },
                            *digest);
        *digest = llm_fnv64(LLM_STR(" "), *digest);
    }

    *digest = llm_fnv64(LLM_STR(";"), *digest);
}


void
ngx_http_llm_split_use(ngx_conf_t *cf, ngx_http_llm_ref_t *ref,
    ngx_str_t *name)
{
    ngx_memzero(ref, sizeof(ngx_http_llm_ref_t));

    ref->name = *name;
    ngx_http_llm_place(cf, &ref->file, &ref->line);
}


ngx_int_t
ngx_http_llm_split_share(ngx_conf_t *cf, char *what, ngx_str_t *value,
    uint32_t min, uint32_t *share)
{
    if (value->len && value->data[value->len - 1] == '%'
        && llm_split_parse((llm_str_t) { value->len, value->data }, share)
           == LLM_OK
        && *share >= min)
    {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid %s \"%V\", expected a percentage from %s%% to "
                       "100%%, such as 12.5%%", what, value,
                       min ? "0.01" : "0");

    return NGX_ERROR;
}


ngx_str_t
ngx_http_llm_split_time(u_char buf[NGX_HTTP_LLM_TIME_LEN], llm_msec_t ms)
{
    ngx_str_t   text;
    ngx_uint_t  i;

    static const struct {
        llm_msec_t  ms;
        char       *name;
    } unit[] = {
        { 3600 * 1000, "h" }, { 60 * 1000, "m" }, { 1000, "s" }, { 1, "ms" }
    };

    for (i = 0; ms == 0 || ms % unit[i].ms; i++) {
        if (unit[i].ms == 1) {
            break;
        }
    }

    text.data = buf;
    text.len = ngx_sprintf(buf, "%uL%s", ms / unit[i].ms, unit[i].name) - buf;

    return text;
}
