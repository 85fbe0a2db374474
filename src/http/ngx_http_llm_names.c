
/*
 * Names: one namespace of models, providers, routes and splits, and the
 * references to names that may be defined further down.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_conf.h"


#define NGX_HTTP_LLM_NAMES_SHOWN  12
#define NGX_HTTP_LLM_HASH_BUCKET  512


typedef struct {
    ngx_str_node_t        sn;
    ngx_http_llm_name_t   name;
} ngx_http_llm_name_node_t;


static void ngx_http_llm_hash_restore(ngx_hash_t *hash, ngx_hash_key_t *key);
static u_char *ngx_http_llm_list_add(u_char *p, u_char *last,
    ngx_array_t *array, ngx_uint_t *shown);
static size_t ngx_http_llm_list_length(ngx_array_t *array);
static ngx_str_t *ngx_http_llm_list_name(ngx_array_t *array, ngx_uint_t i);


static char  *ngx_http_llm_kinds[] = {
    "provider", "model", "route", "split"
};


void
ngx_http_llm_place(ngx_conf_t *cf, u_char **file, ngx_uint_t *line)
{
    *file = cf->conf_file->file.name.data;
    *line = cf->conf_file->line;
}


ngx_int_t
ngx_http_llm_add_name(ngx_conf_t *cf, ngx_http_llm_kind_e kind,
    ngx_str_t *name, void *object, ngx_http_llm_route_t *route,
    ngx_uint_t internal)
{
    ngx_http_llm_name_t        *other, **slot;
    ngx_http_llm_main_conf_t   *lmcf;
    ngx_http_llm_name_node_t   *node;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);

    other = ngx_http_llm_defined(lmcf, name);

    if (other) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate name \"%V\", it is a %s already, defined "
                           "in %s:%ui", name, ngx_http_llm_kinds[other->kind],
                           other->file, other->line);
        return NGX_ERROR;
    }

    node = ngx_pcalloc(cf->pool, sizeof(ngx_http_llm_name_node_t));
    if (node == NULL) {
        return NGX_ERROR;
    }

    slot = ngx_array_push(&lmcf->names);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = &node->name;

    node->name.name = *name;
    node->name.kind = kind;
    node->name.object = object;
    node->name.route = route;
    node->name.internal = internal ? 1 : 0;

    ngx_http_llm_place(cf, &node->name.file, &node->name.line);

    node->sn.node.key = ngx_crc32_long(name->data, name->len);
    node->sn.str = *name;

    ngx_rbtree_insert(&lmcf->build->tree, &node->sn.node);

    return NGX_OK;
}


ngx_http_llm_name_t *
ngx_http_llm_defined(ngx_http_llm_main_conf_t *lmcf, ngx_str_t *name)
{
    ngx_str_node_t  *sn;

    sn = ngx_str_rbtree_lookup(&lmcf->build->tree, name,
                               ngx_crc32_long(name->data, name->len));
    if (sn == NULL) {
        return NULL;
    }

    return &((ngx_http_llm_name_node_t *) sn)->name;
}


/* Unlike nginx's own tables, names are told apart by case. */

ngx_int_t
ngx_http_llm_hash_names(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t             i, n;
    ngx_hash_key_t        *key;
    ngx_hash_init_t        init;
    ngx_http_llm_name_t  **name;

    n = lmcf->names.nelts;
    name = lmcf->names.elts;

    key = ngx_palloc(cf->temp_pool, (n + 1) * sizeof(ngx_hash_key_t));
    if (key == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        key[i].key = name[i]->name;
        key[i].key_hash = ngx_hash_key(name[i]->name.data, name[i]->name.len);
        key[i].value = name[i];
    }

    ngx_memzero(&init, sizeof(ngx_hash_init_t));

    init.hash = &lmcf->hash;
    init.key = ngx_hash_key;
    init.max_size = ngx_max(1024, 2 * n);
    init.bucket_size = NGX_HTTP_LLM_HASH_BUCKET;
    init.name = "llm_names_hash";
    init.pool = cf->pool;
    init.temp_pool = cf->temp_pool;

    if (ngx_hash_init(&init, key, n) != NGX_OK) {
        return NGX_ERROR;
    }

    /* ngx_hash_init() keeps names in lower case: put them back as they are */

    for (i = 0; i < n; i++) {
        ngx_http_llm_hash_restore(&lmcf->hash, &key[i]);
    }

    return NGX_OK;
}


static void
ngx_http_llm_hash_restore(ngx_hash_t *hash, ngx_hash_key_t *key)
{
    ngx_hash_elt_t  *elt;

    elt = hash->buckets[key->key_hash % hash->size];

    while (elt->value != key->value) {
        elt = (ngx_hash_elt_t *) ngx_align_ptr(&elt->name[0] + elt->len,
                                               sizeof(void *));
    }

    ngx_memcpy(elt->name, key->key.data, key->key.len);
}


ngx_http_llm_name_t *
ngx_http_llm_find_name(ngx_http_llm_main_conf_t *lmcf, u_char *name,
    size_t len)
{
    return ngx_hash_find(&lmcf->hash, ngx_hash_key(name, len), name, len);
}


ngx_int_t
ngx_http_llm_add_ref(ngx_conf_t *cf, ngx_str_t *name, void *object,
    ngx_http_llm_resolve_pt resolve)
{
    ngx_http_llm_ref_t        *ref;
    ngx_http_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_llm_gateway_module);

    ref = ngx_array_push(&lmcf->build->refs);
    if (ref == NULL) {
        return NGX_ERROR;
    }

    ref->name = *name;
    ref->object = object;
    ref->resolve = resolve;

    ngx_http_llm_place(cf, &ref->file, &ref->line);

    return NGX_OK;
}


void
ngx_http_llm_unknown(ngx_conf_t *cf, ngx_http_llm_ref_t *ref, char *what,
    ngx_array_t *known, ngx_array_t *more, ngx_array_t *most)
{
    ngx_str_t  list;

    list = ngx_http_llm_list(cf, known, more, most);

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "unknown %s \"%V\", known: %V in %s:%ui",
                  what, &ref->name, &list, ref->file, ref->line);
}


void
ngx_http_llm_unexpected(ngx_conf_t *cf, ngx_http_llm_ref_t *ref,
    ngx_http_llm_name_t *found, char *expected)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%V\" is a %s, defined in %s:%ui, but %s is expected "
                  "in %s:%ui",
                  &ref->name, ngx_http_llm_kinds[found->kind], found->file,
                  found->line, expected, ref->file, ref->line);
}


ngx_str_t
ngx_http_llm_list(ngx_conf_t *cf, ngx_array_t *a, ngx_array_t *b,
    ngx_array_t *c)
{
    size_t      len;
    u_char     *p, *last;
    ngx_str_t   list;
    ngx_uint_t  shown, all;

    ngx_str_set(&list, "none");

    all = (a ? a->nelts : 0) + (b ? b->nelts : 0) + (c ? c->nelts : 0);
    len = ngx_http_llm_list_length(a) + ngx_http_llm_list_length(b)
          + ngx_http_llm_list_length(c) + sizeof(" and  more") + NGX_INT_T_LEN;

    if (all == 0) {
        return list;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return list;
    }

    shown = 0;
    last = p + len;
    list.data = p;

    p = ngx_http_llm_list_add(p, last, a, &shown);
    p = ngx_http_llm_list_add(p, last, b, &shown);
    p = ngx_http_llm_list_add(p, last, c, &shown);

    if (shown < all) {
        p = ngx_slprintf(p, last, " and %ui more", all - shown);
    }

    list.len = p - list.data;

    return list;
}


static u_char *
ngx_http_llm_list_add(u_char *p, u_char *last, ngx_array_t *array,
    ngx_uint_t *shown)
{
    ngx_uint_t  i;

    if (array == NULL) {
        return p;
    }

    for (i = 0; i < array->nelts; i++) {
        if (*shown == NGX_HTTP_LLM_NAMES_SHOWN) {
            break;
        }

        p = ngx_slprintf(p, last, "%s%V", *shown ? ", " : "",
                         ngx_http_llm_list_name(array, i));
        (*shown)++;
    }

    return p;
}


static size_t
ngx_http_llm_list_length(ngx_array_t *array)
{
    size_t      len;
    ngx_uint_t  i;

    if (array == NULL) {
        return 0;
    }

    len = 0;

    for (i = 0; i < array->nelts && i < NGX_HTTP_LLM_NAMES_SHOWN; i++) {
        len += ngx_http_llm_list_name(array, i)->len + 2;
    }

    return len;
}


static ngx_str_t *
ngx_http_llm_list_name(ngx_array_t *array, ngx_uint_t i)
{
    u_char  *row;

    row = (u_char *) array->elts + i * array->size;

    return array->size == sizeof(void *) ? *(ngx_str_t **) row
                                         : (ngx_str_t *) row;
}
