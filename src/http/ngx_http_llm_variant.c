/*
 * The variant of a request: chosen once, left only on purpose.
 *
 * A request stays in its variant through retries, other keys and other targets.
 * It is moved when the variant cannot serve it at all, when the variant has
 * nothing left and the split names a fallback, and when the variant was rolled
 * back meanwhile.  Semantics: docs/design/splits.md.
 */

#include "ngx_http_llm_ctx.h"

#include "llm_hash.h"


/* Another variant is asked only with so much time left; of a deadline that is
 * short itself, with any. */
#define NGX_HTTP_LLM_LEFT        2000
#define NGX_HTTP_LLM_SHORT       20000

#define NGX_HTTP_LLM_NO_VARIANT  ((ngx_uint_t) -1)


static ngx_int_t ngx_http_llm_sticky(ngx_http_llm_ctx_t *ctx, ngx_str_t *key);
static ngx_uint_t ngx_http_llm_forced(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_affine(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_stay(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_variant_of(ngx_http_llm_split_t *split,
    uint64_t hash);
static ngx_uint_t ngx_http_llm_has_target(ngx_http_llm_route_t *route,
    uint64_t hash);
static void ngx_http_llm_check_variants(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_is_able(ngx_http_llm_ctx_t *ctx, ngx_uint_t i);
static ngx_uint_t ngx_http_llm_is_on(ngx_http_llm_ctx_t *ctx, ngx_uint_t i);
static ngx_uint_t ngx_http_llm_target_is_able(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_target_t *t);
static ngx_uint_t ngx_http_llm_other(ngx_http_llm_ctx_t *ctx);
static ngx_int_t ngx_http_llm_move(ngx_http_llm_ctx_t *ctx, ngx_uint_t to,
    llm_class_t class);
static void ngx_http_llm_skip_small(ngx_http_llm_ctx_t *ctx,
    ngx_uint_t context);


ngx_int_t
ngx_http_llm_choose(ngx_http_llm_ctx_t *ctx, ngx_http_llm_split_t *split)
{
    ngx_str_t              key;
    ngx_uint_t             forced;
    ngx_http_llm_place_t  *place;

    place = &ctx->place;

    ctx->split = split;
    place->split = &split->store;
    place->counted = 1;

    if (ngx_http_llm_sticky(ctx, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->unit = key.len ? llm_fnv64(ngx_http_llm_view(&key), 0) : 0;

    place->variant = ngx_http_llm_split_pick(&ctx->lmcf->store, &split->store,
                                             &key, &place->bucket);

    forced = ngx_http_llm_forced(ctx);

    if (forced != NGX_HTTP_LLM_NO_VARIANT) {
        place->variant = (uint32_t) forced;
        place->counted = 0;
        ctx->forced = 1;
    }

    ctx->variant = place->variant;
    ctx->visited = (ngx_uint_t) 1 << ctx->variant;

    return NGX_OK;
}


/* The first expression that is not empty, then the session; none: an empty
 * key. */

static ngx_int_t
ngx_http_llm_sticky(ngx_http_llm_ctx_t *ctx, ngx_str_t *key)
{
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *value;

    ngx_str_null(key);

    if (ctx->split->sticky == NULL) {
        return ngx_http_llm_session_value(ctx, key);
    }

    value = ctx->split->sticky->elts;

    for (i = 0; i < ctx->split->sticky->nelts; i++) {

        if (ngx_http_complex_value(ctx->request, &value[i], key) != NGX_OK) {
            return NGX_ERROR;
        }

        if (key->len) {
            return NGX_OK;
        }
    }

    return ngx_http_llm_session_value(ctx, key);
}


/* Chosen by hand, by somebody who may: addresses are those of allow and deny,
 * after realip. */

static ngx_uint_t
ngx_http_llm_forced(ngx_http_llm_ctx_t *ctx)
{
    ngx_str_t              name;
    ngx_uint_t             i;
    ngx_http_llm_split_t  *split;

    split = ctx->split;

    if (split->force == NULL || split->force_allow == NULL
        || ngx_cidr_match(ctx->request->connection->sockaddr,
                          split->force_allow)
           != NGX_OK
        || ngx_http_complex_value(ctx->request, split->force, &name) != NGX_OK)
    {
        return NGX_HTTP_LLM_NO_VARIANT;
    }

    for (i = 0; i < split->store.n; i++) {

        if (split->variants[i].name.len == name.len
            && ngx_memcmp(split->variants[i].name.data, name.data, name.len)
               == 0)
        {
            return ngx_http_llm_split_is_barred(&split->store, (uint32_t) i)
                   ? NGX_HTTP_LLM_NO_VARIANT : i;
        }
    }

    return NGX_HTTP_LLM_NO_VARIANT;
}


llm_code_t
ngx_http_llm_assign(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t                      held;
    ngx_http_llm_split_t           *split;
    ngx_http_llm_variant_totals_t  *totals;

    split = ctx->split;
    held = ctx->object ? ngx_http_llm_affine(ctx) : NGX_HTTP_LLM_NO_VARIANT;

    if (held != NGX_HTTP_LLM_NO_VARIANT) {
        ctx->variant = held;
        ctx->place.variant = (uint32_t) held;
        ctx->place.counted = 0;
        ctx->forced = 0;

        totals = ngx_http_llm_split_totals(&split->store, ctx->place.variant);
        (void) __atomic_fetch_add(&totals->affine, 1, __ATOMIC_RELAXED);

        if (ngx_http_llm_is_barred(ctx)) {
            ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                          "llm split \"%V\": variant \"%V\" was rolled back "
                          "and is asked for an object that it holds",
                          &split->name, &split->variants[held].name);
        }

    } else if (ctx->forced) {
        totals = ngx_http_llm_split_totals(&split->store, ctx->place.variant);
        (void) __atomic_fetch_add(&totals->forced, 1, __ATOMIC_RELAXED);

    } else if (ngx_http_llm_stay(ctx) != NGX_OK) {
        ngx_http_llm_check_variants(ctx);
    }

    ctx->visited = (ngx_uint_t) 1 << ctx->variant;
    ctx->route = split->variants[ctx->variant].route;

    return ctx->route ? LLM_CODE_NONE : LLM_CODE_GATEWAY_NO_TARGET;
}


/* The variant that holds the object the request speaks of.  Where it was made
 * elsewhere, any that leads to its maker. */

static ngx_uint_t
ngx_http_llm_affine(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t             i;
    ngx_http_llm_split_t  *split;

    split = ctx->split;

    if (ctx->object->split == llm_fnv64(ngx_http_llm_view(&split->name), 0)) {
        i = ngx_http_llm_variant_of(split, ctx->object->variant);

        if (i != NGX_HTTP_LLM_NO_VARIANT) {
            return i;
        }
    }

    for (i = 0; i < split->store.n; i++) {
        if (split->variants[i].route
            && ngx_http_llm_has_target(split->variants[i].route,
                                       ctx->object->target))
        {
            return i;
        }
    }

    ctx->object = NULL;

    return NGX_HTTP_LLM_NO_VARIANT;
}


/*
 * The variant of its session, where the request was assigned to another one:
 * weights have moved, or a fallback took over.  One that was rolled back, or
 * has no weight any more, keeps nobody: operators move traffic.
 */

static ngx_int_t
ngx_http_llm_stay(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t                      i;
    llm_split_doc_t                 doc;
    ngx_http_llm_split_t           *split;
    ngx_http_llm_variant_totals_t  *totals;

    if (ctx->home == NULL) {
        return NGX_DECLINED;
    }

    split = ctx->split;
    i = ngx_http_llm_variant_of(split, ctx->home->variant);

    if (i == NGX_HTTP_LLM_NO_VARIANT || i == ctx->variant
        || ngx_http_llm_split_is_barred(&split->store, (uint32_t) i)
        || !ngx_http_llm_is_able(ctx, i)
        || !ngx_http_llm_is_on(ctx, i))
    {
        return NGX_DECLINED;
    }

    ngx_http_llm_split_doc(&ctx->lmcf->store, &split->store, &doc);

    if (doc.weight[i] == 0) {
        return NGX_DECLINED;
    }

    ctx->variant = i;
    ctx->place.variant = (uint32_t) i;
    ctx->place.counted = 0;

    totals = ngx_http_llm_split_totals(&split->store, ctx->place.variant);
    (void) __atomic_fetch_add(&totals->affine, 1, __ATOMIC_RELAXED);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_variant_of(ngx_http_llm_split_t *split, uint64_t hash)
{
    ngx_uint_t  i;

    for (i = 0; i < split->store.n; i++) {
        if (split->variants[i].route
            && ngx_http_llm_variant_hash(split, i) == hash)
        {
            return i;
        }
    }

    return NGX_HTTP_LLM_NO_VARIANT;
}


uint64_t
ngx_http_llm_variant_hash(ngx_http_llm_split_t *split, ngx_uint_t i)
{
    return llm_fnv64(ngx_http_llm_view(&split->variants[i].name), 0);
}


static ngx_uint_t
ngx_http_llm_has_target(ngx_http_llm_route_t *route, uint64_t hash)
{
    ngx_uint_t  i;

    for (i = 0; i < route->ntargets; i++) {
        if (ngx_http_llm_target_hash(&route->targets[i]) == hash) {
            return 1;
        }
    }

    return 0;
}


/*
 * Where a variant with weight cannot serve this request at all, the request
 * says nothing about any of them: it goes to one that can, and is not counted.
 */

static void
ngx_http_llm_check_variants(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t                      i, able, all, to;
    llm_split_doc_t                 doc;
    ngx_http_llm_split_t           *split;
    ngx_http_llm_variant_totals_t  *totals;

    split = ctx->split;
    all = ((ngx_uint_t) 1 << split->store.n) - 1;
    able = 0;

    for (i = 0; i < split->store.n; i++) {
        able |= ngx_http_llm_is_able(ctx, i) << i;
    }

    if (able == 0) {
        /* nobody is better: the provider, or the check of targets, judges */
        return;
    }

    if (able != all) {
        ngx_http_llm_split_doc(&ctx->lmcf->store, &split->store, &doc);

        for (i = 0; i < split->store.n; i++) {
            if (doc.weight[i] && !(able & ((ngx_uint_t) 1 << i))) {
                ctx->place.counted = 0;
            }
        }
    }

    if (!(able & ((ngx_uint_t) 1 << ctx->variant))
        || !ngx_http_llm_is_on(ctx, ctx->variant))
    {
        to = ngx_http_llm_other(ctx);

        if (to != NGX_HTTP_LLM_NO_VARIANT) {
            ctx->variant = to;
            ctx->place.variant = (uint32_t) to;
            ctx->place.counted = 0;
        }
    }

    if (!ctx->place.counted) {
        totals = ngx_http_llm_split_totals(&split->store, ctx->place.variant);
        (void) __atomic_fetch_add(&totals->ineligible, 1, __ATOMIC_RELAXED);
    }
}


/* By what the request needs: some target could serve it.  An application takes
 * everything. */

static ngx_uint_t
ngx_http_llm_is_able(ngx_http_llm_ctx_t *ctx, ngx_uint_t i)
{
    ngx_uint_t             k;
    ngx_http_llm_route_t  *route;

    route = ctx->split->variants[i].route;

    if (route == NULL) {
        return 1;
    }

    for (k = 0; k < route->ntargets; k++) {
        if (ngx_http_llm_target_is_able(ctx, &route->targets[k])) {
            return 1;
        }
    }

    return 0;
}


/* Whether such a target is switched on. */

static ngx_uint_t
ngx_http_llm_is_on(ngx_http_llm_ctx_t *ctx, ngx_uint_t i)
{
    ngx_uint_t             k;
    ngx_http_llm_route_t  *route;

    route = ctx->split->variants[i].route;

    if (route == NULL) {
        return 1;
    }

    for (k = 0; k < route->ntargets; k++) {
        if (ngx_http_llm_target_is_able(ctx, &route->targets[k])
            && ngx_http_llm_target_is_on(&route->targets[k]))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_llm_target_is_able(ngx_http_llm_ctx_t *ctx, ngx_http_llm_target_t *t)
{
    ngx_http_llm_model_t  *m;

    m = t->model;

    if (ngx_http_llm_way(ctx, t->provider) == LLM_WAY_NONE) {
        return 0;
    }

    return m == NULL
           || ((!m->can_set || !(ctx->facts.need & ~m->can))
               && (m->context == 0 || ctx->facts.prompt_tokens <= m->context));
}


/* A variant that could take over: the baseline, else the first. */

static ngx_uint_t
ngx_http_llm_other(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t             i, k, base;
    ngx_http_llm_split_t  *split;

    split = ctx->split;
    base = ngx_http_llm_split_base(&split->store);

    for (k = 0; k < split->store.n; k++) {
        i = (base + k) % split->store.n;

        if (split->variants[i].route
            && !(ctx->visited & ((ngx_uint_t) 1 << i))
            && !ngx_http_llm_split_is_barred(&split->store, (uint32_t) i)
            && ngx_http_llm_is_able(ctx, i)
            && ngx_http_llm_is_on(ctx, i))
        {
            return i;
        }
    }

    return NGX_HTTP_LLM_NO_VARIANT;
}


/*
 * The variant has nothing left.  What it did is its outcome, whatever the next
 * one makes of the request: else a fallback would hide a bad canary for ever.
 */

ngx_uint_t
ngx_http_llm_fall(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    unsigned                 on;
    ngx_uint_t               to;
    ngx_msec_t               left;
    ngx_http_llm_variant_t  *v;

    if (ctx->split == NULL || ctx->object
        || (ctx->passthrough && ctx->tunnel == NULL)
        || ctx->sends >= LLM_SENDS_MAX)
    {
        return 0;
    }

    left = ngx_http_llm_left(ctx);

    if (left == 0
        || (left < NGX_HTTP_LLM_LEFT
            && ctx->llcf->retry.deadline >= NGX_HTTP_LLM_SHORT))
    {
        return 0;
    }

    on = llm_class_on(class);

    if (ngx_http_llm_is_barred(ctx)) {
        return (on & LLM_ON_DEFAULT) && ngx_http_llm_leave(ctx) == NGX_OK;
    }

    v = &ctx->split->variants[ctx->variant];
    to = v->fallback;

    if (to == ctx->variant || !(v->on & on)
        || (ctx->visited & ((ngx_uint_t) 1 << to))
        || ngx_http_llm_split_is_barred(&ctx->split->store, (uint32_t) to)
        || ngx_http_llm_move(ctx, to, class) != NGX_OK)
    {
        return 0;
    }

    ngx_http_llm_place_end(ctx, class);
    ctx->rescued = 1;

    return 1;
}


ngx_uint_t
ngx_http_llm_is_barred(ngx_http_llm_ctx_t *ctx)
{
    return ctx->split
           && ngx_http_llm_split_is_barred(&ctx->split->store,
                                           (uint32_t) ctx->variant);
}


ngx_int_t
ngx_http_llm_leave(ngx_http_llm_ctx_t *ctx)
{
    ngx_uint_t  to;

    to = ngx_http_llm_other(ctx);

    if (to == NGX_HTTP_LLM_NO_VARIANT
        || ngx_http_llm_move(ctx, to, LLM_CLASS_OK) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* what it might have become says nothing any more */
    ngx_http_llm_place_end(ctx, LLM_CLASS_CLIENT_GONE);

    return NGX_OK;
}


/* Goes on in another variant's route as if the request had just come; nothing
 * changes where that route cannot serve it. */

static ngx_int_t
ngx_http_llm_move(ngx_http_llm_ctx_t *ctx, ngx_uint_t to, llm_class_t class)
{
    uint64_t               skipped;
    llm_str_t              message;
    ngx_uint_t             first;
    ngx_http_llm_model_t  *m;
    ngx_http_llm_route_t  *route;

    route = ctx->route;
    skipped = ctx->skipped;
    m = route->targets[ctx->current].model;

    ctx->route = ctx->split->variants[to].route;
    ctx->skipped = 0;

    if (ctx->route == NULL
        || ngx_http_llm_check_targets(ctx, &message) != LLM_CODE_NONE)
    {
        goto back;
    }

    if (class == LLM_CLASS_CONTEXT_LENGTH) {
        ngx_http_llm_skip_small(ctx, m ? m->context : 0);
    }

    first = ngx_http_llm_first_target(ctx);

    if (first == ctx->route->ntargets) {
        goto back;
    }

    /* what is queued for is the old route's */
    ngx_http_llm_store_leave_queue(&ctx->lmcf->store, &ctx->waiter);
    ctx->queued = 0;

    ctx->variant = to;
    ctx->visited |= (ngx_uint_t) 1 << to;
    ctx->current = first;
    ctx->first = NULL;
    ctx->retried = 0;
    ctx->rotated = 0;
    ctx->fallbacks++;
    ngx_memzero(&ctx->tried, sizeof(llm_tried_t));

    ngx_http_llm_policy_raise(ctx);

    return NGX_OK;

back:

    ctx->route = route;
    ctx->skipped = skipped;

    return NGX_DECLINED;
}


/* What was too long for one context goes only where there is a larger one. */

static void
ngx_http_llm_skip_small(ngx_http_llm_ctx_t *ctx, ngx_uint_t context)
{
    ngx_uint_t             i;
    ngx_http_llm_model_t  *m;

    for (i = 0; i < ctx->route->ntargets; i++) {
        m = ctx->route->targets[i].model;

        if (m == NULL || m->context <= context) {
            ctx->skipped |= (uint64_t) 1 << i;
        }
    }
}
