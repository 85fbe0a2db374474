/*
 * Names that a client may use: as they are, with "*", or "~" and a regular
 * expression, each compiled once for all who have it.
 */

#define PCRE2_CODE_UNIT_WIDTH  8

#include "ngx_http_llm_client.h"

#include "llm_hash.h"

#include <pcre2.h>


/* A name is chosen by the client: what it can cost is bounded. */
#define NGX_HTTP_LLM_PATTERN_STEPS  10000
#define NGX_HTTP_LLM_PATTERN_DEPTH  1000


typedef struct {
    ngx_str_t                text;
    pcre2_code              *code;              /* of a regular one */
    unsigned                 glob:1;
} ngx_http_llm_pattern_t;


struct ngx_http_llm_patterns_s {
    llm_str_t                list;              /* as it stands in the record */
    ngx_http_llm_pattern_t **pattern;
    ngx_uint_t               n;
};


static ngx_http_llm_patterns_t *ngx_http_llm_patterns_find(
    ngx_http_llm_clients_t *clients, llm_str_t list, uint64_t hash);
static ngx_http_llm_pattern_t *ngx_http_llm_pattern_make(
    ngx_http_llm_client_maker_t *maker, llm_str_t text);
static ngx_int_t ngx_http_llm_pattern_compile(
    ngx_http_llm_client_maker_t *maker, ngx_http_llm_pattern_t *pattern);
static void ngx_http_llm_pattern_free(void *data);
static ngx_uint_t ngx_http_llm_pattern_match(ngx_http_llm_pattern_t *pattern,
    const ngx_str_t *name);
static ngx_uint_t ngx_http_llm_pattern_exec(ngx_http_llm_pattern_t *pattern,
    const ngx_str_t *name);


ngx_http_llm_patterns_t *
ngx_http_llm_patterns_make(ngx_http_llm_client_maker_t *maker, llm_str_t list)
{
    size_t                    max;
    uint64_t                  hash;
    llm_str_t                 s;
    llm_json_iter_t           it;
    ngx_http_llm_patterns_t  *set;

    hash = llm_fnv64(list, 0);
    set = ngx_http_llm_patterns_find(maker->clients, list, hash);

    if (set) {
        return set;
    }

    set = ngx_pcalloc(maker->pool, sizeof(ngx_http_llm_patterns_t));
    if (set == NULL) {
        return NULL;
    }

    max = 0;
    set->list = list;

    (void) llm_client_list_begin(&it, list);

    while (llm_client_list_next(&it, &maker->mem, &s) == LLM_OK) {
        max++;
    }

    set->pattern = ngx_palloc(maker->pool, (max + 1) * sizeof(void *));
    if (set->pattern == NULL) {
        return NULL;
    }

    (void) llm_client_list_begin(&it, list);

    while (set->n < max
           && llm_client_list_next(&it, &maker->mem, &s) == LLM_OK)
    {
        set->pattern[set->n] = ngx_http_llm_pattern_make(maker, s);

        if (set->pattern[set->n++] == NULL) {
            return NULL;
        }
    }

    if (maker->keep
        && ngx_http_llm_client_index(maker->pool, &maker->clients->sets, hash,
                                     set)
           != NGX_OK)
    {
        return NULL;
    }

    return set;
}


static ngx_http_llm_patterns_t *
ngx_http_llm_patterns_find(ngx_http_llm_clients_t *clients, llm_str_t list,
    uint64_t hash)
{
    size_t                    at;
    ngx_http_llm_patterns_t  *set;

    at = 0;

    while ((set = llm_index_next(&clients->sets, hash, &at))) {
        if (llm_str_eq(set->list, list)) {
            return set;
        }
    }

    return NULL;
}


static ngx_http_llm_pattern_t *
ngx_http_llm_pattern_make(ngx_http_llm_client_maker_t *maker, llm_str_t text)
{
    size_t                   at;
    uint64_t                 hash;
    ngx_http_llm_pattern_t  *pattern;

    at = 0;
    hash = llm_fnv64(text, 0);

    while ((pattern = llm_index_next(&maker->clients->patterns, hash, &at))) {
        if (pattern->text.len == text.len
            && ngx_memcmp(pattern->text.data, text.data, text.len) == 0)
        {
            return pattern;
        }
    }

    pattern = ngx_pcalloc(maker->pool, sizeof(ngx_http_llm_pattern_t));
    if (pattern == NULL) {
        return NULL;
    }

    pattern->text.len = text.len;
    pattern->text.data = (u_char *) text.data;

    if (text.data[0] == '~') {
        if (ngx_http_llm_pattern_compile(maker, pattern) != NGX_OK) {
            return NULL;
        }

    } else {
        pattern->glob = (memchr(text.data, '*', text.len) != NULL);
    }

    if (maker->keep
        && ngx_http_llm_client_index(maker->pool, &maker->clients->patterns,
                                     hash, pattern)
           != NGX_OK)
    {
        return NULL;
    }

    return pattern;
}


static ngx_int_t
ngx_http_llm_pattern_compile(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_pattern_t *pattern)
{
    int                  rc;
    u_char               message[96];
    ngx_str_t            text;
    PCRE2_SIZE           at;
    ngx_pool_cleanup_t  *cln;

    text.data = pattern->text.data + 1;
    text.len = pattern->text.len - 1;

    cln = ngx_pool_cleanup_add(maker->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    pattern->code = pcre2_compile(text.data, text.len, 0, &rc, &at, NULL);

    if (pattern->code) {
        cln->handler = ngx_http_llm_pattern_free;
        cln->data = pattern->code;
        return NGX_OK;
    }

    if (pcre2_get_error_message(rc, message, sizeof(message)) < 0) {
        message[0] = '\0';
    }

    (void) ngx_snprintf(maker->text, sizeof(maker->text),
                        "has \"%*s\", which is no regular expression: %s%Z",
                        ngx_min(pattern->text.len, 100), pattern->text.data,
                        message);
    maker->why = (char *) maker->text;

    return NGX_ERROR;
}


static void
ngx_http_llm_pattern_free(void *data)
{
    pcre2_code_free(data);
}


ngx_uint_t
ngx_http_llm_patterns_match(ngx_http_llm_patterns_t *patterns,
    const ngx_str_t *name)
{
    ngx_uint_t  i;

    if (patterns == NULL) {
        return 1;
    }

    for (i = 0; i < patterns->n; i++) {
        if (ngx_http_llm_pattern_match(patterns->pattern[i], name)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_llm_pattern_match(ngx_http_llm_pattern_t *pattern,
    const ngx_str_t *name)
{
    if (pattern->code) {
        return ngx_http_llm_pattern_exec(pattern, name);
    }

    if (pattern->glob) {
        return llm_glob((llm_str_t) { pattern->text.len, pattern->text.data },
                        (llm_str_t) { name->len, name->data });
    }

    return pattern->text.len == name->len
           && ngx_memcmp(pattern->text.data, name->data, name->len) == 0;
}


/* An expression that gives up has not matched. */

static ngx_uint_t
ngx_http_llm_pattern_exec(ngx_http_llm_pattern_t *pattern,
    const ngx_str_t *name)
{
    static pcre2_match_data     *data;
    static pcre2_match_context  *limits;

    if (data == NULL) {
        data = pcre2_match_data_create(1, NULL);
        limits = pcre2_match_context_create(NULL);

        if (data == NULL || limits == NULL) {
            return 0;
        }

        pcre2_set_match_limit(limits, NGX_HTTP_LLM_PATTERN_STEPS);
        pcre2_set_depth_limit(limits, NGX_HTTP_LLM_PATTERN_DEPTH);
    }

    return pcre2_match(pattern->code, name->len ? name->data : (u_char *) "",
                       name->len, 0, 0, data, limits)
           >= 0;
}
