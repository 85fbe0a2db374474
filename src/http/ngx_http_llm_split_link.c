
/*
 * Splits when every name is known: the clock of their triggers, and warnings
 * about rollouts that cannot work.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_split_conf.h"


#define NGX_HTTP_LLM_APP_TIMEOUT  60000    /* proxy_read_timeout's default */


static ngx_int_t ngx_http_llm_split_link(ngx_conf_t *cf,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_split_block_t *sb);
static ngx_int_t ngx_http_llm_split_link_variant(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb, ngx_uint_t i, llm_msec_t *timeout);
static ngx_int_t ngx_http_llm_split_windows(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb);
static void ngx_http_llm_split_blind(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb);
static void ngx_http_llm_split_warn(ngx_conf_t *cf,
    ngx_http_llm_split_block_t *sb);


ngx_int_t
ngx_http_llm_link_splits(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                    i;
    ngx_http_llm_split_block_t  **sb;

    sb = lmcf->build->splits.elts;

    for (i = 0; i < lmcf->build->splits.nelts; i++) {
        if (ngx_http_llm_split_link(cf, lmcf, sb[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_split_link(ngx_conf_t *cf, ngx_http_llm_main_conf_t *lmcf,
    ngx_http_llm_split_block_t *sb)
{
    llm_msec_t                    timeout;
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **slot, *store;

    store = &sb->split->store;
    timeout = 0;

    for (i = 0; i < store->n; i++) {
        if (ngx_http_llm_split_link_variant(cf, sb, i, &timeout) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_llm_split_windows(cf, sb) != NGX_OK) {
        return NGX_ERROR;
    }

    llm_trigger_pace(store->trigger, (uint32_t) store->trigger_n, timeout,
                     &store->pace);

    ngx_http_llm_split_blind(cf, sb);
    ngx_http_llm_split_warn(cf, sb);

    slot = ngx_array_push(&lmcf->store.splits);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = store;

    return NGX_OK;
}


/* The longest attempt, and somebody to attempt it. */

static ngx_int_t
ngx_http_llm_split_link_variant(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb,
    ngx_uint_t i, llm_msec_t *timeout)
{
    ngx_uint_t                   k;
    ngx_http_llm_route_t        *route;
    ngx_http_llm_variant_row_t  *row;

    row = sb->variants.elts;
    route = sb->split->variants[i].route;

    if (route == NULL) {
        *timeout = ngx_max(*timeout, NGX_HTTP_LLM_APP_TIMEOUT);
        return NGX_OK;
    }

    for (k = 0; k < route->ntargets; k++) {
        *timeout = ngx_max(*timeout, route->targets[k].provider->timeout.total);
    }

    if (row[i].weight && ngx_http_llm_route_is_off(route)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "variant \"%V\" has weight but no target: \"%V\" is "
                      "\"enabled off\" in %s:%ui", &row[i].variant.name,
                      &row[i].target.name, row[i].target.file,
                      row[i].target.line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The shortest window is the clock of all: the others must fit on it. */

static ngx_int_t
ngx_http_llm_split_windows(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb)
{
    u_char               one[NGX_HTTP_LLM_TIME_LEN];
    u_char               two[NGX_HTTP_LLM_TIME_LEN];
    ngx_str_t            window, shortest;
    llm_msec_t           least;
    ngx_uint_t           i;
    llm_trigger_conf_t  *conf;

    least = 0;
    conf = sb->split->store.trigger;

    for (i = 0; i < sb->split->store.trigger_n; i++) {
        if (conf[i].window && (least == 0 || conf[i].window < least)) {
            least = conf[i].window;
        }
    }

    for (i = 0; i < sb->split->store.trigger_n; i++) {

        if (conf[i].window <= least * LLM_WINDOW_LONG) {
            continue;
        }

        window = ngx_http_llm_split_time(one, conf[i].window);
        shortest = ngx_http_llm_split_time(two, least);

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "window=%V of \"rollback %V\" must not be over %d "
                      "times the shortest window of llm_split \"%V\", which "
                      "is %V in %s:%ui", &window, &sb->trigger[i].name,
                      LLM_WINDOW_LONG, &sb->split->name, &shortest,
                      sb->trigger[i].file, sb->trigger[i].line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Nobody looks into the answers of applications. */

static void
ngx_http_llm_split_blind(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb)
{
    ngx_uint_t           i;
    llm_trigger_conf_t  *conf;

    for (i = 0; i < sb->split->store.n; i++) {
        if (sb->split->variants[i].route) {
            return;
        }
    }

    conf = sb->split->store.trigger;

    for (i = 0; i < sb->split->store.trigger_n; i++) {

        if (conf[i].kind == LLM_TRIGGER_JSON_INVALID
            || conf[i].kind == LLM_TRIGGER_TTFT_P95
            || conf[i].kind == LLM_TRIGGER_COST)
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "\"rollback %V\" can never fire in llm_split \"%V\": "
                          "it is not measured of applications in %s:%ui",
                          &sb->trigger[i].name, &sb->split->name,
                          sb->trigger[i].file, sb->trigger[i].line);
        }
    }
}


static void
ngx_http_llm_split_warn(ngx_conf_t *cf, ngx_http_llm_split_block_t *sb)
{
    u_char                       one[NGX_HTTP_LLM_TIME_LEN];
    u_char                       two[NGX_HTTP_LLM_TIME_LEN];
    ngx_str_t                    bake, need;
    llm_msec_t                   reach;
    ngx_uint_t                   i;
    ngx_http_llm_store_split_t  *store;

    store = &sb->split->store;

    if (store->rollout.canary == LLM_ROLLOUT_NOBODY) {
        return;
    }

    if (store->trigger_n == 0) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"rollout\" without \"rollback\" in llm_split \"%V\": "
                      "nothing can stop it in %s:%ui", &sb->split->name,
                      sb->canary.file, sb->canary.line);
    }

    for (i = 0; i < store->trigger_n; i++) {

        reach = llm_trigger_reach(&store->trigger[i], &store->pace);

        if (store->rollout.bake >= reach) {
            continue;
        }

        bake = ngx_http_llm_split_time(one, store->rollout.bake);
        need = ngx_http_llm_split_time(two, reach);

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "bake=%V of llm_split \"%V\" is too short for "
                      "\"rollback %V\", which can never fire within one step: "
                      "it needs %V in %s:%ui", &bake, &sb->split->name,
                      &sb->trigger[i].name, &need, sb->trigger[i].file,
                      sb->trigger[i].line);
    }
}
