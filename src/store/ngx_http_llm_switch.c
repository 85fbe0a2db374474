/*
 * Switches: providers, models and keys off and on at run time.
 *
 * What an operator switched stays over reloads, as long as the file says about
 * it what it said then.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "llm_json.h"
#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync_rest.h"
#include "ngx_http_llm_sync_switch.h"


static void ngx_http_llm_switch_audit_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_actor_t *actor, llm_str_t kind, ngx_str_t *name,
    ngx_uint_t on);


uint64_t
ngx_http_llm_switch_hash(const ngx_http_llm_store_switch_t *sw)
{
    uint64_t  word[3];

    word[0] = sw->kind;
    word[1] = sw->off;
    word[2] = (uint64_t) sw->until;

    return llm_fnv64(ngx_http_llm_str(&sw->name),
                     llm_fnv64((llm_str_t) { sizeof(word), (u_char *) word },
                               0));
}


ngx_uint_t
ngx_http_llm_switch_is_on(ngx_http_llm_store_switch_t *sw)
{
    uint32_t  word;

    word = sw->node ? __atomic_load_n(&sw->node->word, __ATOMIC_RELAXED)
                    : NGX_HTTP_LLM_SWITCH_UNSET;

    if (sw->fixed || word == NGX_HTTP_LLM_SWITCH_OFF) {
        return 0;
    }

    if (word == NGX_HTTP_LLM_SWITCH_ON) {
        return 1;
    }

    return !sw->off && (sw->until == 0 || ngx_time() < sw->until);
}


ngx_int_t
ngx_http_llm_switch_set(ngx_http_llm_store_t *store,
    ngx_http_llm_store_switch_t *sw, ngx_uint_t on,
    ngx_http_llm_actor_t *actor)
{
    uint32_t              word;
    ngx_uint_t            was;
    ngx_http_llm_root_t  *root;

    if (on && sw->fixed) {
        return NGX_DECLINED;
    }

    root = store->root;
    word = on ? NGX_HTTP_LLM_SWITCH_ON : NGX_HTTP_LLM_SWITCH_OFF;

    ngx_http_llm_store_lock(store);

    if (sw->node->word != word) {
        was = ngx_http_llm_switch_is_on(sw);

        __atomic_store_n(&sw->node->word, word, __ATOMIC_RELAXED);
        sw->node->at = ngx_max(ngx_http_llm_nodes_now(store),
                               sw->node->at + 1);
        root->changes++;

        if (was != on) {
            ngx_http_llm_switch_audit_locked(store, actor,
                                    sw->kind == NGX_HTTP_LLM_SWITCH_PROVIDER
                                    ? LLM_STR("provider") : LLM_STR("model"),
                                    &sw->name, on);
        }
    }

    ngx_http_llm_store_unlock(store);

    ngx_http_llm_audit_relieve(store);
    ngx_http_llm_sync_switch_send(store, sw);

    return NGX_OK;
}


ngx_uint_t
ngx_http_llm_key_is_on(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_uint_t key)
{
    return pool->node->key[key].status != LLM_KEY_MANUAL_OFF;
}


ngx_int_t
ngx_http_llm_key_set(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_uint_t key, ngx_str_t *name,
    ngx_uint_t on, ngx_http_llm_actor_t *actor)
{
    ngx_uint_t            was;
    llm_key_state_t      *k;
    ngx_http_llm_root_t  *root;

    root = store->root;
    k = &pool->node->key[key];

    ngx_http_llm_store_lock(store);

    was = k->status != LLM_KEY_MANUAL_OFF;

    if (was != on || (on && k->status != LLM_KEY_ACTIVE)) {
        ngx_http_llm_key_reset_locked(pool, k, on);
        k->switched = ngx_max(ngx_http_llm_nodes_now(store), k->switched + 1);
        root->changes++;

        ngx_http_llm_switch_audit_locked(store, actor, LLM_STR("key"), name,
                                         on);
    }

    ngx_http_llm_store_unlock(store);

    ngx_http_llm_audit_relieve(store);
    ngx_http_llm_rests_switched(store, pool, (uint32_t) key);

    return NGX_OK;
}


void
ngx_http_llm_key_reset_locked(ngx_http_llm_store_pool_t *pool,
    llm_key_state_t *k, ngx_uint_t on)
{
    ngx_uint_t                 i;
    ngx_http_llm_pool_node_t  *pn;

    pn = pool->node;

    k->status = on ? LLM_KEY_ACTIVE : LLM_KEY_MANUAL_OFF;
    k->until = 0;
    k->since = 0;
    k->probe_at = 0;
    k->failures = 0;
    k->auth_step = 0;

    for (i = 0; i < pn->lane_n; i++) {
        pn->lane[i]->wake = 0;
    }

    if (pn->overflow) {
        pn->overflow->wake = 0;
    }
}


void
ngx_http_llm_key_view(ngx_http_llm_store_t *store,
    ngx_http_llm_store_pool_t *pool, ngx_uint_t key,
    ngx_http_llm_key_view_t *view)
{
    llm_key_state_t  k;

    ngx_http_llm_store_lock(store);
    k = pool->node->key[key];
    ngx_http_llm_store_unlock(store);

    view->status = k.status;
    view->until = k.until;

    /* a rest that is over ends with the next send */

    if (k.status == LLM_KEY_COOLING && k.until <= ngx_http_llm_store_now(store))
    {
        view->status = LLM_KEY_ACTIVE;
        view->until = 0;
    }
}


static void
ngx_http_llm_switch_audit_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_actor_t *actor, llm_str_t kind, ngx_str_t *name,
    ngx_uint_t on)
{
    u_char     mem[NGX_HTTP_LLM_AUDIT_FIELDS];
    llm_buf_t  out;
    ngx_str_t  fields, action;

    llm_buf_init(&out, mem, sizeof(mem));

    llm_json_put_string(&out, kind);
    llm_buf_str(&out, LLM_STR(":"));
    llm_json_put_string(&out, ngx_http_llm_str(name));

    fields.data = mem;
    fields.len = out.full ? 0 : (size_t) (out.pos - out.start);

    if (on) {
        ngx_str_set(&action, "enable");
    } else {
        ngx_str_set(&action, "disable");
    }

    ngx_http_llm_audit_locked(store, actor, &action, &fields);
}
