/*
 * The agent's part in shared limits: it says to Redis what the counters of this
 * node have to say, hears what other nodes want, and lends.
 *
 * The topic "lim" carries wants.  A want that may not get lost lies in
 * {cp}:want for a while as well.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_share.h"


#define NGX_HTTP_LLM_SHARE_BURST    64      /* declarations of one flush */
#define NGX_HTTP_LLM_SHARE_WORDS    9       /* of a declaration, before nodes */
#define NGX_HTTP_LLM_SHARE_SILENT   30000   /* ms: nobody waits for its word */
#define NGX_HTTP_LLM_SHARE_LINGER   4000    /* ms that a want stands in Redis */
#define NGX_HTTP_LLM_SHARE_WANTS    512     /* of a poll that are looked at */
#define NGX_HTTP_LLM_SHARE_HOUR     3600000


/* A declaration under way. */
typedef struct {
    ngx_http_llm_store_t       *store;
    uint64_t                    id;
    uint64_t                    subject;
    llm_share_ask_t             ask;
    llm_share_view_t            view;       /* when it was made */
    llm_share_among_t           among;
    uint64_t                    over;
    uint32_t                    kind;       /* of wants: 's', 'r', 'c', 'g' */
} ngx_http_llm_saying_t;

/* Its words. */
typedef struct {
    ngx_str_t                   argv[1 + NGX_HTTP_LLM_SHARE_WORDS
                                     + 2 * NGX_HTTP_LLM_NODES];
    ngx_uint_t                  argc;
    u_char                     *pos;
    u_char                      text[NGX_HTTP_LLM_SHARE_WORDS * NGX_INT64_LEN
                                     + NGX_HTTP_LLM_NODES
                                       * (NGX_INT64_LEN + 1)];
} ngx_http_llm_words_t;

/* The wants of a poll. */
typedef struct {
    ngx_http_llm_store_t       *store;
    uint64_t                    gen;
} ngx_http_llm_wants_ctx_t;


static ngx_int_t ngx_http_llm_say_next(ngx_http_llm_store_t *store);
static ngx_uint_t ngx_http_llm_say_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn, ngx_http_llm_saying_t *say);
static void ngx_http_llm_saying_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn, const llm_share_view_t *v,
    ngx_http_llm_saying_t *say);
static void ngx_http_llm_say(ngx_http_llm_saying_t *say);
static void ngx_http_llm_say_words(ngx_http_llm_saying_t *say,
    ngx_http_llm_words_t *w);
static void ngx_http_llm_say_number(ngx_http_llm_words_t *w, const char *fmt,
    uint64_t n);
static void ngx_http_llm_say_peers(ngx_http_llm_saying_t *say,
    ngx_http_llm_words_t *w);
static void ngx_http_llm_said(void *data, redisReply *reply);
static ngx_int_t ngx_http_llm_said_read(redisReply *reply,
    llm_share_reply_t *r);
static void ngx_http_llm_said_locked(ngx_http_llm_saying_t *say,
    const llm_share_reply_t *r, llm_share_want_t *want);
static void ngx_http_llm_want_send(ngx_http_llm_store_t *store,
    const llm_share_want_t *want, ngx_uint_t lasting);
static void ngx_http_llm_wanted(ngx_http_llm_store_t *store, llm_str_t text);
static ngx_http_llm_counter_node_t *ngx_http_llm_wanted_locked(
    ngx_http_llm_store_t *store, const llm_share_want_t *want);
static void ngx_http_llm_wants_reply(void *data, redisReply *reply);


/* ---- what this node has to say ------------------------------------------ */

void
ngx_http_llm_sync_counter_flush(ngx_http_llm_store_t *store)
{
    ngx_uint_t            n;
    ngx_http_llm_root_t  *root;

    root = store->root;

    ngx_http_llm_share_members(store);
    ngx_http_llm_pool_index_make(store);

    if (root->shares.n == 0) {
        return;
    }

    n = ngx_min(root->shares.ask_n, NGX_HTTP_LLM_SHARE_BURST);

    while (n--) {
        if (ngx_http_llm_say_next(store) != NGX_OK) {
            return;
        }
    }
}


static ngx_int_t
ngx_http_llm_say_next(ngx_http_llm_store_t *store)
{
    ngx_uint_t                    said;
    ngx_queue_t                  *q;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_saying_t        *say;
    ngx_http_llm_counter_node_t  *cn;

    root = store->root;

    say = ngx_alloc(sizeof(ngx_http_llm_saying_t), store->log);
    if (say == NULL) {
        return NGX_ERROR;
    }

    say->store = store;

    ngx_http_llm_store_lock(store);

    if (ngx_queue_empty(&root->shares.asks)) {
        ngx_http_llm_store_unlock(store);
        ngx_free(say);
        return NGX_DECLINED;
    }

    q = ngx_queue_head(&root->shares.asks);
    cn = ngx_queue_data(q, ngx_http_llm_counter_node_t, asks);

    ngx_http_llm_counter_unqueue_locked(root, cn);
    said = ngx_http_llm_say_locked(store, cn, say);

    ngx_http_llm_store_unlock(store);

    if (said) {
        ngx_http_llm_say(say);

    } else {
        ngx_free(say);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_say_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn, ngx_http_llm_saying_t *say)
{
    uint64_t          used;
    llm_share_view_t  v;

    ngx_http_llm_share_view_locked(store, cn, &v);
    llm_share_turn(&cn->share, &v);

    if (cn->again && v.now < cn->share.ask) {
        ngx_http_llm_share_queue_locked(store->root, cn, 1);
        return 0;
    }

    /* a window that is over has nothing more to say */

    if (v.window == 0 && ngx_http_llm_share_calendar(store) >= cn->over) {
        return 0;
    }

    ngx_http_llm_share_fold_locked(cn, &v);
    used = ngx_http_llm_share_used_locked(cn, &v);

    if (cn->again) {
        if (!llm_share_again(&cn->share, &v, used, &say->ask)) {
            return 0;
        }

    } else {
        llm_share_ask(&cn->share, &v, used, &say->ask);
    }

    ngx_http_llm_saying_locked(store, cn, &v, say);

    return 1;
}


/* What must be known of the counter without the lock. */

static void
ngx_http_llm_saying_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_counter_node_t *cn, const llm_share_view_t *v,
    ngx_http_llm_saying_t *say)
{
    ngx_http_llm_root_t  *root;

    root = store->root;
    root->shares.sent++;

    say->id = cn->id;
    say->subject = cn->subject;
    say->view = *v;
    say->over = cn->over;
    say->kind = cn->dim == LLM_DIM_PARALLEL ? 'g'
                : cn->clock == LLM_CLOCK_CALENDAR ? 'c'
                : cn->clock == LLM_CLOCK_REFILL ? 'r' : 's';

    say->among = v->window == 0
                 ? (llm_share_among_t) { cn->n, cn->rank, cn->settled,
                                         cn->self & 1 }
                 : root->shares.among[cn->dim == LLM_DIM_PARALLEL
                                      ? LLM_TZ_MINUTE : cn->unit];
}


/* Takes `say` over. */

static void
ngx_http_llm_say(ngx_http_llm_saying_t *say)
{
    u_char                 key[NGX_HTTP_LLM_REDIS_KEY];
    ngx_http_llm_words_t   w;
    ngx_http_llm_redis_t  *redis;

    redis = say->store->redis;

    w.argv[0] = say->view.window
                ? ngx_http_llm_redis_key(redis, key, sizeof(key),
                                         "{%xL%016xL}:lim", say->id,
                                         say->subject)
                : ngx_http_llm_redis_key(redis, key, sizeof(key),
                                         "{%xL%016xL}:lim:%uL", say->id,
                                         say->subject, say->view.start);

    ngx_http_llm_say_words(say, &w);

    if (ngx_http_llm_redis_eval(redis, &ngx_http_llm_share_script, 1, w.argc,
                                w.argv, ngx_http_llm_said, say)
        != NGX_OK)
    {
        ngx_http_llm_said(say, NULL);
    }
}


static void
ngx_http_llm_say_words(ngx_http_llm_saying_t *say, ngx_http_llm_words_t *w)
{
    uint64_t    ttl;
    llm_msec_t  now;

    w->argc = 1;
    w->pos = w->text;

    /* not all keys of an hour at once */

    ttl = ngx_http_llm_random(say->store) % 60000;

    if (say->view.window) {
        ttl += 3 * say->view.window + 60000;

    } else {
        now = ngx_http_llm_share_calendar(say->store);
        ttl += NGX_HTTP_LLM_SHARE_HOUR
               + (say->over > now ? say->over - now : 0);
    }

    w->argv[w->argc++] = ngx_http_llm_nodes_id(say->store);

    ngx_http_llm_say_number(w, "%uL", say->ask.seq);
    ngx_http_llm_say_number(w, "%uL", say->ask.allow);
    ngx_http_llm_say_number(w, "%uL", say->ask.left);
    ngx_http_llm_say_number(w, "%uL", say->ask.want);
    ngx_http_llm_say_number(w, "%uL", say->view.max);
    ngx_http_llm_say_number(w, "%uL", say->view.window);
    ngx_http_llm_say_number(w, "%uL", ttl);
    ngx_http_llm_say_number(w, "%uL", NGX_HTTP_LLM_SHARE_GRACE);

    ngx_http_llm_say_peers(say, w);
}


static void
ngx_http_llm_say_number(ngx_http_llm_words_t *w, const char *fmt, uint64_t n)
{
    w->argv[w->argc].data = w->pos;
    w->pos = ngx_sprintf(w->pos, fmt, n);
    w->argv[w->argc].len = w->pos - w->argv[w->argc].data;
    w->argc++;
}


/* Names and defaults; only the agent writes members, so it reads them without
 * the lock. */

static void
ngx_http_llm_say_peers(ngx_http_llm_saying_t *say, ngx_http_llm_words_t *w)
{
    uint64_t                def;
    uint32_t                i;
    llm_msec_t              now;
    ngx_http_llm_sharer_t  *m;
    ngx_http_llm_shares_t  *sh;

    sh = &((ngx_http_llm_root_t *) say->store->root)->shares;
    now = ngx_http_llm_share_calendar(say->store);

    for (i = 0; i < sh->n; i++) {
        m = &sh->member[i];

        def = i == sh->self
              ? say->view.def
              : llm_share_other(&m->node, &say->among, say->kind == 'g'
                                ? 60000 : say->view.window, say->view.start,
                                now, say->view.max);

        w->argv[w->argc].data = m->id;
        w->argv[w->argc++].len = NGX_HTTP_LLM_NODE_ID;

        ngx_http_llm_say_number(w, m->node.left
                                   || now - m->node.seen
                                      > NGX_HTTP_LLM_SHARE_SILENT
                                   ? "x%uL" : "%uL", def);
    }
}


static void
ngx_http_llm_said(void *data, redisReply *reply)
{
    llm_share_want_t        want;
    llm_share_reply_t       r;
    ngx_http_llm_store_t   *store;
    ngx_http_llm_saying_t  *say;

    say = data;
    store = say->store;
    want.kind = 0;

    if (ngx_http_llm_said_read(reply, &r) == NGX_OK) {
        ngx_http_llm_store_lock(store);
        ngx_http_llm_said_locked(say, &r, &want);
        ngx_http_llm_store_unlock(store);

    } else {
        if (reply && reply->type == REDIS_REPLY_ERROR) {
            ngx_log_error(NGX_LOG_WARN, store->log, 0,
                          "llm: a limit could not be shared: Redis says "
                          "\"%*s\"", (size_t) reply->len, reply->str);
        }

        ngx_http_llm_store_lock(store);
        ngx_http_llm_said_locked(say, NULL, &want);
        ngx_http_llm_store_unlock(store);
    }

    if (want.kind) {
        ngx_http_llm_want_send(store, &want, r.missing != 0);
    }

    ngx_free(say);
}


static ngx_int_t
ngx_http_llm_said_read(redisReply *reply, llm_share_reply_t *r)
{
    int64_t     n[4];
    ngx_str_t   mark;
    ngx_uint_t  i;

    ngx_memzero(r, sizeof(llm_share_reply_t));

    if (!ngx_http_llm_redis_is_array(reply, 5)) {
        return NGX_ERROR;
    }

    for (i = 0; i < 4; i++) {
        if (ngx_http_llm_redis_int(reply->element[i], &n[i]) != NGX_OK
            || n[i] < 0)
        {
            return NGX_ERROR;
        }
    }

    mark = ngx_http_llm_redis_str(reply->element[4]);

    r->seq = (uint64_t) n[0];
    r->allow = (uint64_t) n[1];
    r->left = (llm_msec_t) n[2];
    r->missing = (uint64_t) n[3];
    r->mark = (uint32_t) llm_fnv64(ngx_http_llm_str(&mark), 0);

    return NGX_OK;
}


/* `r` NULL: nobody knows whether it was heard. */

static void
ngx_http_llm_said_locked(ngx_http_llm_saying_t *say,
    const llm_share_reply_t *r, llm_share_want_t *want)
{
    int                           bits;
    llm_share_view_t              v;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_counter_node_t  *cn;

    root = say->store->root;

    cn = ngx_http_llm_counter_find_locked(root, say->id, say->subject);
    if (cn == NULL) {
        return;
    }

    ngx_http_llm_share_view_locked(say->store, cn, &v);
    llm_share_turn(&cn->share, &v);
    ngx_http_llm_share_fold_locked(cn, &v);

    if (r == NULL) {
        if (cn->share.seq == say->ask.seq && llm_share_lost(&cn->share, &v)) {
            ngx_http_llm_share_queue_locked(root, cn, 1);
        }

        return;
    }

    bits = llm_share_reply(&cn->share, &v, &say->ask, r);

    if (r->seq == say->ask.seq && r->allow > say->ask.allow) {
        root->shares.granted++;
    }

    if (bits & LLM_SHARE_AGAIN) {
        cn->share.ask = v.now;
        ngx_http_llm_share_queue_locked(root, cn, 1);
    }

    if (v.window == 0) {
        root->changes++;
    }

    if (bits & LLM_SHARE_TELL) {
        want->id = say->id;
        want->subject = say->subject;
        want->kind = say->kind;
        want->max = v.max;
        want->window = v.window;
        want->start = v.start;
        want->end = v.window ? 0 : cn->over / 1000;
        want->mark = r->mark;
        want->owed = cn->share.allow < v.def;
        want->amount = say->ask.want;
    }
}


/* ---- what others want --------------------------------------------------- */

/* `lasting`: it stands in Redis for a while, for those whose subscription is
 * broken; else the next question comes soon enough. */

static void
ngx_http_llm_want_send(ngx_http_llm_store_t *store,
    const llm_share_want_t *want, ngx_uint_t lasting)
{
    u_char             text[4 + LLM_SHARE_WANT_TEXT], ms[NGX_INT_T_LEN];
    u_char             key[3][NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t          id, argv[5], message;
    llm_buf_t          b;
    llm_share_want_t   w;

    id = ngx_http_llm_nodes_id(store);

    w = *want;
    w.node = ngx_http_llm_str(&id);

    ngx_memcpy(text, "lim ", 4);
    llm_buf_init(&b, text + 4, sizeof(text) - 4);
    llm_share_want_put(&w, &b);

    message.data = text;
    message.len = b.pos - text;

    if (!lasting) {
        (void) ngx_http_llm_sync_publish(store, &message);
        return;
    }

    argv[0] = ngx_http_llm_redis_key(store->redis, key[0], sizeof(key[0]),
                                     "{cp}:want");
    argv[1] = ngx_http_llm_redis_key(store->redis, key[1], sizeof(key[1]),
                                     "{cp}:gen");
    argv[2].data = text + 4;
    argv[2].len = message.len - 4;
    argv[3].data = ms;
    argv[3].len = ngx_sprintf(ms, "%d", NGX_HTTP_LLM_SHARE_LINGER) - ms;
    argv[4] = ngx_http_llm_redis_key(store->redis, key[2], sizeof(key[2]),
                                     "ev");

    (void) ngx_http_llm_redis_eval(store->redis, &ngx_http_llm_want_script, 2,
                                   5, argv, NULL, NULL);
}


void
ngx_http_llm_sync_counter_message(ngx_http_llm_store_t *store,
    ngx_str_t *words)
{
    ngx_http_llm_wanted(store, ngx_http_llm_str(words));
}


static void
ngx_http_llm_wanted(ngx_http_llm_store_t *store, llm_str_t text)
{
    llm_str_t                     rest;
    ngx_str_t                     id;
    ngx_uint_t                    lends;
    llm_share_view_t              v;
    llm_share_want_t              want;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_saying_t        *say;
    ngx_http_llm_counter_node_t  *cn;

    root = store->root;
    id = ngx_http_llm_nodes_id(store);

    if (root->shares.n == 0
        || llm_share_want_parse(text, &want, &rest) != LLM_OK
        || llm_str_eq(want.node, ngx_http_llm_str(&id)))
    {
        return;
    }

    say = ngx_alloc(sizeof(ngx_http_llm_saying_t), store->log);
    if (say == NULL) {
        return;
    }

    say->store = store;
    lends = 0;

    ngx_http_llm_store_lock(store);

    cn = ngx_http_llm_wanted_locked(store, &want);

    if (cn) {
        ngx_http_llm_share_view_locked(store, cn, &v);
        llm_share_turn(&cn->share, &v);
        ngx_http_llm_share_fold_locked(cn, &v);

        lends = llm_share_lend(&cn->share, &v,
                               ngx_http_llm_share_used_locked(cn, &v),
                               want.mark, want.amount, want.owed, &say->ask);
    }

    if (lends) {
        root->shares.lent++;
        ngx_http_llm_saying_locked(store, cn, &v, say);
    }

    ngx_http_llm_store_unlock(store);

    if (lends) {
        ngx_http_llm_say(say);

    } else {
        ngx_free(say);
    }
}


/* The counter, made if it has never been used here: its first request has to
 * know what was lent.  NULL: there is no room, or the window is another. */

static ngx_http_llm_counter_node_t *
ngx_http_llm_wanted_locked(ngx_http_llm_store_t *store,
    const llm_share_want_t *want)
{
    llm_msec_t                    calendar;
    ngx_http_llm_counter_node_t  *cn;

    calendar = ngx_http_llm_share_calendar(store);

    if (want->kind == 'c' && (want->end * 1000 <= calendar
                              || want->start * 1000 > calendar))
    {
        return NULL;
    }

    cn = ngx_http_llm_counter_get_locked(store, want->id, want->subject);
    if (cn == NULL) {
        return NULL;
    }

    if (want->kind == 'c') {
        cn->clock = LLM_CLOCK_CALENDAR;

        if (cn->start > want->start && cn->over > calendar) {
            return NULL;
        }

        ngx_http_llm_share_begin_locked(store, cn, want->start, want->end);

    } else if (cn->max == 0) {
        cn->clock = want->kind == 'r' ? LLM_CLOCK_REFILL : LLM_CLOCK_SLIDING;
        cn->dim = want->kind == 'g' ? LLM_DIM_PARALLEL : LLM_DIM_REQUESTS;
        cn->unit = want->window <= 60 * 1000 ? LLM_TZ_MINUTE
                   : want->window <= 3600 * 1000 ? LLM_TZ_HOUR
                   : want->window <= 86400 * 1000 ? LLM_TZ_DAY : LLM_TZ_MONTH;
    }

    if (cn->max == 0) {
        cn->max = want->max;
        ngx_http_llm_pool_stub_locked(store, cn);
    }

    return cn;
}


/* The wants that stand in Redis. */

void
ngx_http_llm_sync_counter_fetch(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen)
{
    u_char                     key[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t                  argv[4];
    ngx_http_llm_wants_ctx_t  *ctx;

    (void) topic;

    ctx = ngx_alloc(sizeof(ngx_http_llm_wants_ctx_t), store->log);
    if (ctx == NULL) {
        return;
    }

    ctx->store = store;
    ctx->gen = gen;

    ngx_str_set(&argv[0], "ZRANGE");
    argv[1] = ngx_http_llm_redis_key(store->redis, key, sizeof(key),
                                     "{cp}:want");
    ngx_str_set(&argv[2], "0");
    ngx_str_set(&argv[3], "-1");

    if (ngx_http_llm_redis_command(store->redis, &argv[1], 4, argv,
                                   ngx_http_llm_wants_reply, ctx)
        != NGX_OK)
    {
        ngx_free(ctx);
    }
}


static void
ngx_http_llm_wants_reply(void *data, redisReply *reply)
{
    size_t                     i, n;
    ngx_str_t                  topic, text;
    ngx_http_llm_wants_ctx_t  *ctx;

    ctx = data;

    if (ngx_http_llm_redis_is_array(reply, 0)) {
        n = ngx_min(reply->elements, NGX_HTTP_LLM_SHARE_WANTS);

        for (i = 0; i < n; i++) {
            text = ngx_http_llm_redis_str(reply->element[i]);
            ngx_http_llm_wanted(ctx->store, ngx_http_llm_str(&text));
        }

        ngx_str_set(&topic, "lim");
        ngx_http_llm_sync_seen(ctx->store, &topic, ctx->gen);
    }

    ngx_free(ctx);
}


/* Counters are declared again when somebody asks for them; who divides them
 * must be known before. */

void
ngx_http_llm_sync_counter_restore(ngx_http_llm_store_t *store)
{
    ngx_http_llm_share_members_hurry(store);
}
