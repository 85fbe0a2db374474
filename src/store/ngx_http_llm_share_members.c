/*
 * The nodes that limits are divided among, as Redis has them: more than who
 * lives now, since who has gone may have used its part of a window, and who has
 * just come has none.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_share.h"


#define NGX_HTTP_LLM_MEMBERS_EVERY  10000   /* ms between two heartbeats */
#define NGX_HTTP_LLM_MEMBERS_RETRY  1000
#define NGX_HTTP_LLM_MEMBERS_FIRST  10000   /* who starts together comes in */
#define NGX_HTTP_LLM_MEMBERS_KEPT   2764800000ULL   /* as Redis keeps them */
#define NGX_HTTP_LLM_MEMBERS_YOUNG  5000    /* the list of who lives may not
                                               know them yet */
#define NGX_HTTP_LLM_MEMBERS_OLD    30000   /* … and has forgotten them */


typedef struct {
    ngx_http_llm_store_t       *store;
    llm_msec_t                  sent;       /* steady */
} ngx_http_llm_members_ctx_t;


static ngx_uint_t ngx_http_llm_members_is_news(ngx_http_llm_store_t *store);
static ngx_uint_t ngx_http_llm_members_wait(ngx_http_llm_store_t *store,
    ngx_uint_t n);
static void ngx_http_llm_members_send(ngx_http_llm_store_t *store);
static void ngx_http_llm_members_reply(void *data, redisReply *reply);
static ngx_uint_t ngx_http_llm_members_read(redisReply *reply,
    ngx_http_llm_sharer_t *member);
static ngx_uint_t ngx_http_llm_members_keep(ngx_http_llm_store_t *store,
    ngx_http_llm_sharer_t *member, ngx_uint_t n, llm_msec_t now);
static int ngx_libc_cdecl ngx_http_llm_members_cmp(const void *one,
    const void *two);
static void ngx_http_llm_members_left(ngx_http_llm_store_t *store,
    ngx_http_llm_sharer_t *member, ngx_uint_t n, llm_msec_t now);
static void ngx_http_llm_members_divide_locked(ngx_http_llm_store_t *store);


/* This worker's, as long as it is the agent. */
static llm_msec_t  ngx_http_llm_members_next;
static llm_msec_t  ngx_http_llm_members_sent;


void
ngx_http_llm_share_members(ngx_http_llm_store_t *store)
{
    llm_msec_t            now;
    ngx_http_llm_root_t  *root;

    root = store->root;
    now = ngx_http_llm_store_steady(store);

    if (root->shares.n) {
        ngx_http_llm_store_lock(store);
        ngx_http_llm_members_divide_locked(store);
        ngx_http_llm_store_unlock(store);
    }

    if (now < ngx_http_llm_members_next
        && (now < ngx_http_llm_members_sent + NGX_HTTP_LLM_MEMBERS_RETRY
            || !ngx_http_llm_members_is_news(store)))
    {
        return;
    }

    ngx_http_llm_members_sent = now;
    ngx_http_llm_members_next = now + NGX_HTTP_LLM_MEMBERS_RETRY;
    ngx_http_llm_members_send(store);
}


/* Whether somebody lives whose part is not known yet. */

static ngx_uint_t
ngx_http_llm_members_is_news(ngx_http_llm_store_t *store)
{
    u_char                  live[NGX_HTTP_LLM_NODES][NGX_HTTP_LLM_NODE_ID];
    uint32_t                k;
    ngx_uint_t              i, n;
    ngx_http_llm_shares_t  *sh;

    sh = &((ngx_http_llm_root_t *) store->root)->shares;
    n = ngx_http_llm_nodes_live(store, live);

    for (i = 0; i < n; i++) {

        for (k = 0; k < sh->n; k++) {
            if (ngx_memcmp(sh->member[k].id, live[i], NGX_HTTP_LLM_NODE_ID)
                == 0)
            {
                break;
            }
        }

        if (k == sh->n) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_llm_share_members_hurry(ngx_http_llm_store_t *store)
{
    (void) store;

    ngx_http_llm_members_next = 0;
}


/* When all start at once the first ones hear of nobody: as long as fewer have
 * come than are expected, each keeps to its share and asks for nothing. */

static ngx_uint_t
ngx_http_llm_members_wait(ngx_http_llm_store_t *store, ngx_uint_t n)
{
    ngx_http_llm_shares_t      *sh;
    ngx_http_llm_nodes_view_t   view;

    sh = &((ngx_http_llm_root_t *) store->root)->shares;
    ngx_http_llm_nodes_view(store, &view);

    return sh->n == 0 && n < view.n
           && ngx_http_llm_store_steady(store) - sh->started
              < NGX_HTTP_LLM_MEMBERS_FIRST;
}


static void
ngx_http_llm_members_send(ngx_http_llm_store_t *store)
{
    u_char                       key[NGX_HTTP_LLM_REDIS_KEY];
    u_char                       joined[NGX_INT64_LEN];
    ngx_str_t                    argv[3];
    ngx_http_llm_root_t         *root;
    ngx_http_llm_shares_t       *sh;
    ngx_http_llm_members_ctx_t  *ctx;

    root = store->root;
    sh = &root->shares;

    ctx = ngx_alloc(sizeof(ngx_http_llm_members_ctx_t), store->log);
    if (ctx == NULL) {
        return;
    }

    ctx->store = store;
    ctx->sent = ngx_http_llm_store_steady(store);

    argv[0] = ngx_http_llm_redis_key(store->redis, key, sizeof(key),
                                     "{cp}:members");
    argv[1] = ngx_http_llm_nodes_id(store);
    argv[2].data = joined;
    argv[2].len = 0;

    if (sh->n) {
        argv[2].len = ngx_sprintf(joined, "%uL",
                                  sh->member[sh->self].node.joined)
                      - joined;
    }

    if (ngx_http_llm_redis_eval(store->redis, &ngx_http_llm_members_script, 1,
                                3, argv, ngx_http_llm_members_reply, ctx)
        != NGX_OK)
    {
        ngx_free(ctx);
    }
}


static void
ngx_http_llm_members_reply(void *data, redisReply *reply)
{
    int64_t                      redis;
    llm_msec_t                   now;
    ngx_str_t                    id;
    ngx_uint_t                   i, n;
    ngx_http_llm_store_t        *store;
    ngx_http_llm_shares_t       *sh;
    ngx_http_llm_sharer_t        member[NGX_HTTP_LLM_NODES];
    ngx_http_llm_members_ctx_t  *ctx;

    ctx = data;
    store = ctx->store;
    now = ngx_http_llm_store_steady(store);

    if (!ngx_http_llm_redis_is_array(reply, 4)
        || ngx_http_llm_redis_int(reply->element[0], &redis) != NGX_OK)
    {
        goto done;
    }

    n = ngx_http_llm_members_read(reply, member);
    n = ngx_http_llm_members_keep(store, member, n, (llm_msec_t) redis);
    ngx_http_llm_members_left(store, member, n, (llm_msec_t) redis);

    id = ngx_http_llm_nodes_id(store);
    sh = &((ngx_http_llm_root_t *) store->root)->shares;

    for (i = 0; i < n; i++) {
        if (ngx_memcmp(member[i].id, id.data, NGX_HTTP_LLM_NODE_ID) == 0) {
            break;
        }
    }

    if (i == n || ngx_http_llm_members_wait(store, n)) {
        goto done;
    }

    ngx_http_llm_store_lock(store);

    /* the answer was given somewhere between question and reply */

    sh->clock = redis - (int64_t) (ctx->sent + (now - ctx->sent) / 2);
    sh->heard = now;
    sh->self = (uint32_t) i;
    ngx_memcpy(sh->member, member, n * sizeof(ngx_http_llm_sharer_t));
    sh->n = (uint32_t) n;

    ngx_http_llm_members_divide_locked(store);

    ngx_http_llm_store_unlock(store);

    ngx_http_llm_members_next = now + NGX_HTTP_LLM_MEMBERS_EVERY;

done:

    ngx_free(ctx);
}


/* [NOW, ID, JOINED, SEEN, …] */

static ngx_uint_t
ngx_http_llm_members_read(redisReply *reply, ngx_http_llm_sharer_t *member)
{
    size_t                  i;
    int64_t                 joined, seen;
    ngx_str_t               id;
    ngx_uint_t              n;
    ngx_http_llm_sharer_t  *m;

    n = 0;

    for (i = 1; i + 2 < reply->elements && n < NGX_HTTP_LLM_NODES; i += 3) {
        id = ngx_http_llm_redis_str(reply->element[i]);

        if (id.len != NGX_HTTP_LLM_NODE_ID
            || ngx_http_llm_redis_int(reply->element[i + 1], &joined) != NGX_OK
            || ngx_http_llm_redis_int(reply->element[i + 2], &seen) != NGX_OK
            || joined < 0 || seen < 0)
        {
            continue;
        }

        m = &member[n++];
        ngx_memcpy(m->id, id.data, NGX_HTTP_LLM_NODE_ID);
        m->node.joined = (llm_msec_t) joined;
        m->node.seen = (llm_msec_t) seen;
        m->node.left = 0;
    }

    return n;
}


/* Redis may have lost its data: whoever was here has a part all the same.  If
 * it still is it says so itself before long, else it has used some of a day. */

static ngx_uint_t
ngx_http_llm_members_keep(ngx_http_llm_store_t *store,
    ngx_http_llm_sharer_t *member, ngx_uint_t n, llm_msec_t now)
{
    uint32_t                k;
    ngx_uint_t              i, told;
    ngx_http_llm_shares_t  *sh;

    sh = &((ngx_http_llm_root_t *) store->root)->shares;
    told = n;

    for (k = 0; k < sh->n && n < NGX_HTTP_LLM_NODES; k++) {

        for (i = 0; i < told; i++) {
            if (ngx_memcmp(member[i].id, sh->member[k].id,
                           NGX_HTTP_LLM_NODE_ID) == 0)
            {
                break;
            }
        }

        if (i == told
            && now < sh->member[k].node.seen + NGX_HTTP_LLM_MEMBERS_KEPT)
        {
            member[n++] = sh->member[k];
        }
    }

    ngx_qsort(member, n, sizeof(ngx_http_llm_sharer_t),
              ngx_http_llm_members_cmp);

    return n;
}


static int ngx_libc_cdecl
ngx_http_llm_members_cmp(const void *one, const void *two)
{
    const ngx_http_llm_sharer_t  *a, *b;

    a = one;
    b = two;

    return ngx_memcmp(a->id, b->id, NGX_HTTP_LLM_NODE_ID);
}


/* Who was here a moment ago and does not live has said good-bye. */

static void
ngx_http_llm_members_left(ngx_http_llm_store_t *store,
    ngx_http_llm_sharer_t *member, ngx_uint_t n, llm_msec_t now)
{
    u_char                  live[NGX_HTTP_LLM_NODES][NGX_HTTP_LLM_NODE_ID];
    uint32_t                k;
    ngx_uint_t              i, j, live_n;
    ngx_http_llm_shares_t  *sh;

    sh = &((ngx_http_llm_root_t *) store->root)->shares;
    live_n = ngx_http_llm_nodes_live(store, live);

    for (i = 0; i < n; i++) {

        for (j = 0; j < live_n; j++) {
            if (ngx_memcmp(member[i].id, live[j], NGX_HTTP_LLM_NODE_ID) == 0) {
                break;
            }
        }

        if (j < live_n
            || member[i].node.joined + NGX_HTTP_LLM_MEMBERS_YOUNG > now)
        {
            continue;
        }

        /* what was noticed before stays; only the agent writes it */

        for (k = 0; k < sh->n; k++) {
            if (ngx_memcmp(sh->member[k].id, member[i].id,
                           NGX_HTTP_LLM_NODE_ID) == 0
                && sh->member[k].node.left >= member[i].node.seen)
            {
                member[i].node.left = sh->member[k].node.left;
            }
        }

        if (member[i].node.left == 0
            && now - member[i].node.seen < NGX_HTTP_LLM_MEMBERS_OLD)
        {
            member[i].node.left = now;
        }
    }
}


/* Sliding and refilling limits are divided anew all the time. */

static void
ngx_http_llm_members_divide_locked(ngx_http_llm_store_t *store)
{
    uint32_t                i;
    llm_limit_t             l;
    llm_msec_t              now;
    llm_share_node_t        node[NGX_HTTP_LLM_NODES];
    ngx_http_llm_shares_t  *sh;

    sh = &((ngx_http_llm_root_t *) store->root)->shares;
    now = ngx_http_llm_share_calendar(store);

    for (i = 0; i < sh->n; i++) {
        node[i] = sh->member[i].node;
    }

    for (i = 0; i <= LLM_TZ_MONTH; i++) {
        l.unit = i;

        llm_share_among(node, sh->n, sh->self, llm_limit_window(&l), 0, now,
                        &sh->among[i]);
    }
}
