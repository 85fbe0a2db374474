
/*
 * Calls about what may be used: providers, models and keys, on and off.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"
#include "ngx_http_llm_shed.h"


static ngx_int_t ngx_http_llm_admin_enabled(ngx_http_llm_admin_t *a,
    ngx_uint_t *on);
static ngx_int_t ngx_http_llm_admin_switch(ngx_http_llm_admin_t *a,
    char *what, ngx_http_llm_store_switch_t *sw, ngx_uint_t on);
static ngx_uint_t ngx_http_llm_admin_has_pool(ngx_http_llm_admin_t *a,
    ngx_str_t *name);
static ngx_int_t ngx_http_llm_admin_unknown(ngx_http_llm_admin_t *a,
    char *what);
static ngx_uint_t ngx_http_llm_admin_is(const ngx_str_t *a, const ngx_str_t *b);
static void ngx_http_llm_admin_view_switch(ngx_http_llm_admin_t *a,
    ngx_http_llm_store_switch_t *sw, cJSON *out);
static void ngx_http_llm_admin_view_shed(ngx_http_llm_admin_t *a,
    ngx_http_llm_provider_t *p, cJSON *out);
static void ngx_http_llm_admin_view_provider(ngx_http_llm_admin_t *a,
    ngx_http_llm_provider_t *p, cJSON *out);
static void ngx_http_llm_admin_view_model(ngx_http_llm_admin_t *a,
    ngx_http_llm_model_t *m, cJSON *out);
static void ngx_http_llm_admin_view_key(ngx_http_llm_admin_t *a,
    ngx_http_llm_key_pool_t *pool, ngx_uint_t key, cJSON *out);
static ngx_int_t ngx_http_llm_admin_find_key(ngx_http_llm_admin_t *a,
    ngx_http_llm_key_pool_t **pool, ngx_uint_t *key);
static ngx_uint_t ngx_http_llm_admin_key_is(ngx_http_llm_key_pool_t *pool,
    ngx_http_llm_key_t *key, const ngx_str_t *name);


/* in the order of llm_breaker_status_t and of llm_key_status_t */

static llm_str_t  ngx_http_llm_admin_breaker[] = {
    { 6, (const u_char *) "closed" },
    { 4, (const u_char *) "open" },
    { 9, (const u_char *) "half_open" }
};

static llm_str_t  ngx_http_llm_admin_key_state[] = {
    { 6, (const u_char *) "active" },
    { 7, (const u_char *) "cooling" },
    { 7, (const u_char *) "probing" },
    { 8, (const u_char *) "disabled" },
    { 3, (const u_char *) "off" }
};


ngx_int_t
ngx_http_llm_admin_providers(ngx_http_llm_admin_t *a)
{
    cJSON                     *list;
    ngx_uint_t                 i;
    ngx_http_llm_provider_t  **provider;

    list = ngx_http_llm_admin_put_array(a, ngx_http_llm_admin_root(a),
                                        "providers");
    provider = a->lmcf->providers.elts;

    for (i = 0; i < a->lmcf->providers.nelts; i++) {
        ngx_http_llm_admin_view_provider(a, provider[i],
                              ngx_http_llm_admin_put_object(a, list, NULL));
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_llm_admin_provider_set(ngx_http_llm_admin_t *a)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i, on;
    ngx_http_llm_provider_t   *p, **provider;

    p = NULL;
    provider = a->lmcf->providers.elts;

    for (i = 0; i < a->lmcf->providers.nelts; i++) {
        if (ngx_http_llm_admin_is(&provider[i]->name, &a->name)) {
            p = provider[i];
        }
    }

    if (p == NULL) {
        return ngx_http_llm_admin_unknown(a, "provider");
    }

    rc = ngx_http_llm_admin_enabled(a, &on);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_llm_admin_switch(a, "provider", &p->enabled, on);

    if (rc == NGX_OK) {
        ngx_http_llm_admin_view_provider(a, p, ngx_http_llm_admin_root(a));
        rc = NGX_DONE;
    }

    return rc;
}


ngx_int_t
ngx_http_llm_admin_models(ngx_http_llm_admin_t *a)
{
    cJSON                  *list;
    ngx_uint_t              i;
    ngx_http_llm_model_t  **model;

    list = ngx_http_llm_admin_put_array(a, ngx_http_llm_admin_root(a),
                                        "models");
    model = a->lmcf->models.elts;

    for (i = 0; i < a->lmcf->models.nelts; i++) {
        ngx_http_llm_admin_view_model(a, model[i],
                              ngx_http_llm_admin_put_object(a, list, NULL));
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_llm_admin_model_set(ngx_http_llm_admin_t *a)
{
    ngx_int_t               rc;
    ngx_uint_t              i, on;
    ngx_http_llm_model_t   *m, **model;

    m = NULL;
    model = a->lmcf->models.elts;

    for (i = 0; i < a->lmcf->models.nelts; i++) {
        if (ngx_http_llm_admin_is(&model[i]->name, &a->name)) {
            m = model[i];
        }
    }

    if (m == NULL) {
        return ngx_http_llm_admin_unknown(a, "model");
    }

    rc = ngx_http_llm_admin_enabled(a, &on);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_switch(a, "model", &m->enabled, on);
    }

    if (rc == NGX_OK) {
        ngx_http_llm_admin_view_model(a, m, ngx_http_llm_admin_root(a));
        rc = NGX_DONE;
    }

    return rc;
}


/* GET keys?pool=NAME */

ngx_int_t
ngx_http_llm_admin_keys(ngx_http_llm_admin_t *a)
{
    cJSON                     *list;
    ngx_str_t                  only;
    ngx_uint_t                 i, k;
    ngx_http_llm_key_pool_t  **pool;

    if (ngx_http_arg(a->request, (u_char *) "pool", 4, &only) != NGX_OK) {
        ngx_str_null(&only);

    } else if (!ngx_http_llm_admin_has_pool(a, &only)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_NOT_FOUND, "not_found",
                   "there is no pool \"%V\"; GET %Vproviders names them",
                   &only, &a->conf->prefix);
    }

    list = ngx_http_llm_admin_put_array(a, ngx_http_llm_admin_root(a), "keys");
    pool = a->lmcf->pools.elts;

    for (i = 0; i < a->lmcf->pools.nelts; i++) {

        if (only.len && !ngx_http_llm_admin_is(&pool[i]->name, &only)) {
            continue;
        }

        for (k = 0; k < pool[i]->store.conf.key_n; k++) {
            ngx_http_llm_admin_view_key(a, pool[i], k,
                              ngx_http_llm_admin_put_object(a, list, NULL));
        }
    }

    return NGX_DONE;
}


static ngx_uint_t
ngx_http_llm_admin_has_pool(ngx_http_llm_admin_t *a, ngx_str_t *name)
{
    ngx_uint_t                 i;
    ngx_http_llm_key_pool_t  **pool;

    pool = a->lmcf->pools.elts;

    for (i = 0; i < a->lmcf->pools.nelts; i++) {
        if (ngx_http_llm_admin_is(&pool[i]->name, name)) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_llm_admin_key_set(ngx_http_llm_admin_t *a)
{
    ngx_int_t                 rc;
    u_char                   *p;
    ngx_str_t                 name;
    ngx_uint_t                key, on;
    ngx_http_llm_key_pool_t  *pool;

    key = 0;
    pool = NULL;
    rc = ngx_http_llm_admin_find_key(a, &pool, &key);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_enabled(a, &on);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    /* as the audit trail knows it */

    name.len = pool->name.len + 1 + pool->keys[key].name.len;

    p = ngx_pnalloc(a->request->pool, name.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = p;
    (void) ngx_sprintf(p, "%V/%V", &pool->name, &pool->keys[key].name);

    rc = ngx_http_llm_key_set(&a->lmcf->store, &pool->store, key, &name, on,
                              &a->actor);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_NOTICE, a->request->connection->log, 0,
                  "llm admin: key \"%V\" %s by %V", &name,
                  on ? "on" : "off", &a->actor.actor);

    ngx_http_llm_admin_view_key(a, pool, key, ngx_http_llm_admin_root(a));

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_admin_unknown(ngx_http_llm_admin_t *a, char *what)
{
    return ngx_http_llm_admin_refuse(a, NGX_HTTP_NOT_FOUND, "not_found",
               "there is no %s \"%V\"; GET %V%ss lists them", what, &a->name,
               &a->conf->prefix, what);
}


/* {"enabled":false} */

static ngx_int_t
ngx_http_llm_admin_enabled(ngx_http_llm_admin_t *a, ngx_uint_t *on)
{
    ngx_int_t  rc;

    static const char  *names[] = { "enabled", "reason", NULL };

    rc = ngx_http_llm_admin_members(a, names);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_get_bool(a, "enabled", on);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "enabled_missing",
                   "\"enabled\" is missing: true or false");
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_get_reason(a);
    }

    return rc;
}


static ngx_int_t
ngx_http_llm_admin_switch(ngx_http_llm_admin_t *a, char *what,
    ngx_http_llm_store_switch_t *sw, ngx_uint_t on)
{
    if (ngx_http_llm_switch_set(&a->lmcf->store, sw, on, &a->actor)
        != NGX_OK)
    {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_CONFLICT, "no_key",
                   "the provider has no key in this configuration");
    }

    ngx_log_error(NGX_LOG_NOTICE, a->request->connection->log, 0,
                  "llm admin: %s \"%V\" %s by %V", what, &sw->name,
                  on ? "on" : "off", &a->actor.actor);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_admin_is(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_strncmp(a->data, b->data, a->len) == 0;
}


static void
ngx_http_llm_admin_view_switch(ngx_http_llm_admin_t *a,
    ngx_http_llm_store_switch_t *sw, cJSON *out)
{
    ngx_http_llm_admin_put_bool(a, out, "enabled",
                                ngx_http_llm_switch_is_on(sw));
    ngx_http_llm_admin_put_bool(a, out, "enabled_in_file", !sw->off);
    ngx_http_llm_admin_put_time(a, out, "enabled_until",
                                (llm_msec_t) sw->until * 1000);
}


/* Where the provider has it. */

static void
ngx_http_llm_admin_view_shed(ngx_http_llm_admin_t *a,
    ngx_http_llm_provider_t *p, cJSON *out)
{
    ngx_http_llm_shed_view_t  view;

    if (ngx_http_llm_shed_view(&a->lmcf->store, &p->gate, &view) != NGX_OK) {
        return;
    }

    out = ngx_http_llm_admin_put_object(a, out, "shed");

    ngx_http_llm_admin_put_number(a, out, "level",
                                  (double) view.level_bp / LLM_SHED_ONE);
    ngx_http_llm_admin_put_number(a, out, "inflight", (double) view.inflight);

    if (view.limit) {
        ngx_http_llm_admin_put_number(a, out, "limit",
                                      (double) (view.limit / 1000));
    } else {
        ngx_http_llm_admin_put_null(a, out, "limit");
    }

    ngx_http_llm_admin_put_number(a, out, "quota_left",
                                  (double) view.left_bp / LLM_SHED_ONE);
    ngx_http_llm_admin_put_bool(a, out, "dry_run", p->gate.shed.dry_run);
}


static void
ngx_http_llm_admin_view_provider(ngx_http_llm_admin_t *a,
    ngx_http_llm_provider_t *p, cJSON *out)
{
    ngx_http_llm_gate_status_t  gate;

    ngx_http_llm_admin_put_str(a, out, "name", &p->name);
    ngx_http_llm_admin_view_switch(a, &p->enabled, out);

    ngx_http_llm_store_gate_status(&a->lmcf->store, &p->gate, &gate);

    ngx_http_llm_admin_put_word(a, out, "breaker",
                                p->gate.breaker.failures == 0
                                ? LLM_STR("off")
                                : ngx_http_llm_admin_breaker[gate.breaker]);
    ngx_http_llm_admin_put_word(a, out, "probe",
                                llm_probe_name(&p->gate.probe, gate.probe));
    ngx_http_llm_admin_put_number(a, out, "inflight", (double) gate.inflight);
    ngx_http_llm_admin_put_number(a, out, "waiting", (double) gate.waiting);
    ngx_http_llm_admin_view_shed(a, p, out);

    if (p->pool == NULL) {
        return;
    }

    ngx_http_llm_admin_put_str(a, out, "pool", &p->pool->name);
    ngx_http_llm_admin_put_number(a, out, "keys", p->pool->store.conf.key_n);
    ngx_http_llm_admin_put_number(a, out, "keys_usable",
        p->pool->store.conf.key_n == 0 ? 0
        : (double) ngx_http_llm_store_usable_keys(&a->lmcf->store,
                                                  &p->pool->store));
}


static void
ngx_http_llm_admin_view_model(ngx_http_llm_admin_t *a, ngx_http_llm_model_t *m,
    cJSON *out)
{
    ngx_http_llm_admin_put_str(a, out, "name", &m->name);
    ngx_http_llm_admin_put_str(a, out, "provider", &m->provider->name);
    ngx_http_llm_admin_put_str(a, out, "id", &m->id);
    ngx_http_llm_admin_view_switch(a, &m->enabled, out);
}


static void
ngx_http_llm_admin_view_key(ngx_http_llm_admin_t *a,
    ngx_http_llm_key_pool_t *pool, ngx_uint_t key, cJSON *out)
{
    ngx_http_llm_key_view_t  view;

    ngx_http_llm_key_view(&a->lmcf->store, &pool->store, key, &view);

    ngx_http_llm_admin_put_str(a, out, "pool", &pool->name);
    ngx_http_llm_admin_put_str(a, out, "name", &pool->keys[key].name);
    ngx_http_llm_admin_put_bool(a, out, "enabled",
                   ngx_http_llm_key_is_on(&a->lmcf->store, &pool->store, key));
    ngx_http_llm_admin_put_word(a, out, "state",
                                ngx_http_llm_admin_key_state[view.status]);
    ngx_http_llm_admin_put_time(a, out, "until", view.until);
}


/* keys/NAME, or keys/POOL/NAME where two pools have a key of that name. */

static ngx_int_t
ngx_http_llm_admin_find_key(ngx_http_llm_admin_t *a,
    ngx_http_llm_key_pool_t **pool, ngx_uint_t *key)
{
    ngx_uint_t                 i, k, n;
    ngx_http_llm_key_pool_t  **all;

    all = a->lmcf->pools.elts;
    n = 0;

    for (i = 0; i < a->lmcf->pools.nelts; i++) {
        for (k = 0; k < all[i]->store.conf.key_n; k++) {

            if (ngx_http_llm_admin_key_is(all[i], &all[i]->keys[k],
                                          &a->name))
            {
                *pool = all[i];
                *key = k;
                n++;
            }
        }
    }

    if (n == 0) {
        return ngx_http_llm_admin_unknown(a, "key");
    }

    if (n > 1) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_CONFLICT, "ambiguous",
                   "%ui pools have a key \"%V\": write POOL/NAME", n,
                   &a->name);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_admin_key_is(ngx_http_llm_key_pool_t *pool,
    ngx_http_llm_key_t *key, const ngx_str_t *name)
{
    if (ngx_http_llm_admin_is(&key->name, name)) {
        return 1;
    }

    return name->len == pool->name.len + 1 + key->name.len
           && ngx_strncmp(name->data, pool->name.data, pool->name.len) == 0
           && name->data[pool->name.len] == '/'
           && ngx_strncmp(name->data + pool->name.len + 1, key->name.data,
                          key->name.len) == 0;
}
