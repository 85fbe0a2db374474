/*
 * Counters in the state file:
 *
 *   "counters": ["ID SUBJECT KIND MAX START OVER USED ALLOW SEQ WINDOW UNTIL
 *                FLAGS", …]
 *
 * in hexadecimal: those of calendars of which something is used, and what other
 * nodes believe of a share.  A restart forgets windows that slide, as it does
 * all that lasts minutes.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_share.h"


#define NGX_HTTP_LLM_STATE_COUNTERS  10000
#define NGX_HTTP_LLM_STATE_LOOK      64     /* rows in one hold of the lock */
#define NGX_HTTP_LLM_STATE_NUMBERS   12     /* of 16 digits */


static ngx_uint_t ngx_http_llm_state_copy_counters(
    ngx_http_llm_store_t *store, ngx_http_llm_counter_node_t *to,
    ngx_uint_t max);
static ngx_uint_t ngx_http_llm_state_keeps_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn);
static ngx_int_t ngx_http_llm_state_put_counter(
    const ngx_http_llm_counter_node_t *cn, cJSON *to);
static ngx_int_t ngx_http_llm_state_get_counter(ngx_http_llm_store_t *store,
    const char *text);
static void ngx_http_llm_state_set_counter_locked(ngx_http_llm_store_t *store,
    const uint64_t *n);


ngx_int_t
ngx_http_llm_state_put_counters(ngx_http_llm_store_t *store, cJSON *to)
{
    ngx_int_t                     rc;
    ngx_uint_t                    i, n, max;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_counter_node_t  *cn;

    root = store->root;
    max = ngx_min(root->counters.n, NGX_HTTP_LLM_STATE_COUNTERS);

    if (max == 0) {
        return NGX_OK;
    }

    cn = ngx_alloc(max * sizeof(ngx_http_llm_counter_node_t), store->log);
    if (cn == NULL) {
        return NGX_ERROR;
    }

    n = ngx_http_llm_state_copy_counters(store, cn, max);
    rc = NGX_OK;

    for (i = 0; i < n && rc == NGX_OK; i++) {
        rc = ngx_http_llm_state_put_counter(&cn[i], to);
    }

    ngx_free(cn);

    return rc;
}


static ngx_uint_t
ngx_http_llm_state_copy_counters(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *to, ngx_uint_t max)
{
    ngx_uint_t                    i, k, n;
    ngx_http_llm_counters_t      *c;
    ngx_http_llm_counter_node_t  *cn;

    c = &((ngx_http_llm_root_t *) store->root)->counters;
    n = 0;

    for (i = 0; i < c->size; i += k) {
        ngx_http_llm_store_lock(store);

        for (k = 0; k < NGX_HTTP_LLM_STATE_LOOK && i + k < c->size; k++) {
            for (cn = c->table[i + k]; cn && n < max; cn = cn->next) {
                if (ngx_http_llm_state_keeps_locked(store, cn)) {
                    to[n++] = *cn;
                }
            }
        }

        ngx_http_llm_store_unlock(store);
    }

    return n;
}


static ngx_uint_t
ngx_http_llm_state_keeps_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn)
{
    llm_share_view_t  v;

    if (cn->max == 0) {
        return 0;
    }

    if (cn->clock == LLM_CLOCK_CALENDAR && cn->dim != LLM_DIM_PARALLEL) {
        return ngx_http_llm_share_calendar(store) < cn->over
               && ((cn->state.used && cn->state.at == cn->start)
                   || (cn->share.flags & LLM_SHARE_DECLARED));
    }

    ngx_http_llm_share_view_locked(store, cn, &v);
    llm_share_turn(&cn->share, &v);

    return (cn->share.flags & LLM_SHARE_DECLARED) != 0;
}


static ngx_int_t
ngx_http_llm_state_put_counter(const ngx_http_llm_counter_node_t *cn,
    cJSON *to)
{
    cJSON       *item;
    u_char       text[17 * NGX_HTTP_LLM_STATE_NUMBERS], *p;
    uint64_t     n[NGX_HTTP_LLM_STATE_NUMBERS], flags;
    ngx_uint_t   i;

    /* nobody knows what became of what was under way */

    flags = cn->share.flags & (LLM_SHARE_DECLARED | LLM_SHARE_PENDING);

    if (cn->share.flags & (LLM_SHARE_FLIGHT | LLM_SHARE_HEARD)) {
        flags |= LLM_SHARE_PENDING;
    }

    n[0] = cn->id;
    n[1] = cn->subject;
    n[2] = cn->dim | cn->clock << 8 | cn->unit << 16
           | (uint64_t) cn->pooled << 24;
    n[3] = cn->max;
    n[4] = cn->start;
    n[5] = cn->over;
    n[6] = cn->clock == LLM_CLOCK_CALENDAR && cn->state.at == cn->start
           ? cn->state.used : 0;
    n[7] = cn->share.allow;
    n[8] = cn->share.seq;
    n[9] = cn->share.window;
    n[10] = cn->share.until;
    n[11] = flags;

    for (p = text, i = 0; i < NGX_HTTP_LLM_STATE_NUMBERS; i++) {
        p = ngx_sprintf(p, "%016xL ", n[i]);
    }

    p[-1] = '\0';

    item = cJSON_CreateString((char *) text);

    if (!cJSON_AddItemToArray(to, item)) {
        cJSON_Delete(item);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_llm_state_get_counters(ngx_http_llm_store_t *store,
    const cJSON *from)
{
    ngx_uint_t    n;
    const cJSON  *item;

    n = 0;

    cJSON_ArrayForEach(item, from) {
        if (n++ == NGX_HTTP_LLM_STATE_COUNTERS
            || ngx_http_llm_state_get_counter(store,
                                              cJSON_GetStringValue(item))
               != NGX_OK)
        {
            break;
        }
    }
}


static ngx_int_t
ngx_http_llm_state_get_counter(ngx_http_llm_store_t *store, const char *text)
{
    u_char      hex[17];
    uint64_t    n[NGX_HTTP_LLM_STATE_NUMBERS];
    ngx_uint_t  i;

    if (text == NULL
        || ngx_strlen(text) != 17 * NGX_HTTP_LLM_STATE_NUMBERS - 1)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_LLM_STATE_NUMBERS; i++, text += 17) {
        (void) ngx_cpystrn(hex, (u_char *) text, sizeof(hex));

        if (ngx_http_llm_state_hex64((char *) hex, &n[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if ((n[2] & 0xff) >= LLM_DIM_N
        || (n[2] >> 8 & 0xff) > LLM_CLOCK_CALENDAR
        || (n[2] >> 16 & 0xff) > LLM_TZ_MONTH)
    {
        return NGX_ERROR;
    }

    ngx_http_llm_store_lock(store);
    ngx_http_llm_state_set_counter_locked(store, n);
    ngx_http_llm_store_unlock(store);

    return NGX_OK;
}


/* A share without llm_redis means nothing: then nobody else believes it. */

static void
ngx_http_llm_state_set_counter_locked(ngx_http_llm_store_t *store,
    const uint64_t *n)
{
    ngx_uint_t                    calendar;
    ngx_http_llm_counter_node_t  *cn;

    calendar = (n[2] >> 8 & 0xff) == LLM_CLOCK_CALENDAR
               && (n[2] & 0xff) != LLM_DIM_PARALLEL;

    if (calendar ? n[5] <= ngx_http_llm_store_now(store)
                 : (n[11] & LLM_SHARE_DECLARED) == 0 || store->redis == NULL)
    {
        return;
    }

    cn = ngx_http_llm_counter_get_locked(store, n[0], n[1]);
    if (cn == NULL) {
        return;
    }

    cn->dim = n[2] & 0xff;
    cn->clock = n[2] >> 8 & 0xff;
    cn->unit = n[2] >> 16 & 0xff;
    cn->pooled = n[2] >> 24 & 1;
    cn->max = n[3];
    cn->over = n[5];

    if (calendar) {
        cn->start = n[4];
        cn->state.at = n[4];
        cn->state.used = n[6];
    }

    if (store->redis) {
        cn->share.allow = n[7];
        cn->share.seq = n[8];
        cn->share.window = n[9];
        cn->share.until = n[10];
        cn->share.flags = n[11] & (LLM_SHARE_DECLARED | LLM_SHARE_PENDING);
    }
}
