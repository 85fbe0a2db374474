/*
 * Switches of providers and models between nodes: the newest wins; and hints
 * about breakers.
 *
 *   {cp}:switches   HASH   "AT on|off"
 *
 * HASH is of the name and of what the file says about it, as in the state file.
 * Switches of keys are in ngx_http_llm_sync_rest.c, beside what keys rest for.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_sync_max.h"
#include "ngx_http_llm_sync_switch.h"


#define NGX_HTTP_LLM_SWITCH_RENEW  3600000      /* ms */
#define NGX_HTTP_LLM_BREAKER_HINT  30000        /* ms */


static void ngx_http_llm_sync_switch_sent(void *data, redisReply *reply);
static void ngx_http_llm_sync_switch_got(ngx_http_llm_store_t *store,
    ngx_str_t *topic, const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n);
static void ngx_http_llm_sync_switch_take(ngx_http_llm_store_t *store,
    const ngx_http_llm_sync_pair_t *pair);


static ngx_str_t   ngx_http_llm_sync_switches = ngx_string("switches");
static ngx_msec_t  ngx_http_llm_sync_switch_renew;


/* ---- switches ------------------------------------------------------------ */

void
ngx_http_llm_sync_switch_send(ngx_http_llm_store_t *store,
    ngx_http_llm_store_switch_t *sw)
{
    u_char                    field[17], value[NGX_INT64_LEN + 8];
    ngx_http_llm_sync_pair_t  pair;

    if (store->redis == NULL || sw->node->word == NGX_HTTP_LLM_SWITCH_UNSET) {
        return;
    }

    pair.field.data = field;
    pair.field.len = ngx_sprintf(field, "%016xL", sw->node->node.hash) - field;

    pair.value.data = value;
    pair.value.len = ngx_sprintf(value, "%uL %s", sw->node->at,
                                 sw->node->word == NGX_HTTP_LLM_SWITCH_ON
                                 ? "on" : "off")
                     - value;

    if (ngx_http_llm_sync_max_write(store, &ngx_http_llm_sync_switches, &pair,
                                    1, ngx_http_llm_sync_switch_sent, sw)
        != NGX_OK)
    {
        ngx_http_llm_sync_switch_sent(sw, NULL);
    }
}


static void
ngx_http_llm_sync_switch_sent(void *data, redisReply *reply)
{
    ngx_http_llm_store_switch_t *sw = data;

    int64_t  n;

    if (ngx_http_llm_redis_int(reply, &n) != NGX_OK) {
        __atomic_store_n(&sw->node->unsent, 1, __ATOMIC_RELAXED);
    }
}


void
ngx_http_llm_sync_switch_flush(ngx_http_llm_store_t *store)
{
    ngx_uint_t                     i;
    ngx_http_llm_store_switch_t  **sw;

    sw = store->switches.elts;

    for (i = 0; i < store->switches.nelts; i++) {
        if (sw[i]->node->unsent
            && __atomic_exchange_n(&sw[i]->node->unsent, 0, __ATOMIC_RELAXED))
        {
            ngx_http_llm_sync_switch_send(store, sw[i]);
        }
    }

    if ((ngx_msec_int_t) (ngx_current_msec - ngx_http_llm_sync_switch_renew)
        >= 0)
    {
        ngx_http_llm_sync_switch_renew = ngx_current_msec
                                         + NGX_HTTP_LLM_SWITCH_RENEW;
        ngx_http_llm_sync_max_renew(store, &ngx_http_llm_sync_switches);
    }
}


void
ngx_http_llm_sync_switch_restore(ngx_http_llm_store_t *store)
{
    ngx_uint_t                     i;
    ngx_http_llm_store_switch_t  **sw;

    sw = store->switches.elts;

    for (i = 0; i < store->switches.nelts; i++) {
        __atomic_store_n(&sw[i]->node->unsent, 1, __ATOMIC_RELAXED);
    }
}


void
ngx_http_llm_sync_switch_fetch(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen)
{
    ngx_http_llm_sync_max_read(store, topic, gen,
                               ngx_http_llm_sync_switch_got);
}


static void
ngx_http_llm_sync_switch_got(ngx_http_llm_store_t *store, ngx_str_t *topic,
    const ngx_http_llm_sync_pair_t *pair, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        ngx_http_llm_sync_switch_take(store, &pair[i]);
    }
}


static void
ngx_http_llm_sync_switch_take(ngx_http_llm_store_t *store,
    const ngx_http_llm_sync_pair_t *pair)
{
    u_char                         hex[17];
    uint32_t                       word;
    uint64_t                       hash, at;
    ngx_str_t                      value;
    ngx_uint_t                     i;
    ngx_http_llm_root_t           *root;
    ngx_http_llm_store_switch_t  **sw;

    value = pair->value;

    if (pair->field.len != 16
        || ngx_http_llm_sync_number(&value, &at) != NGX_OK)
    {
        return;
    }

    (void) ngx_cpystrn(hex, pair->field.data, sizeof(hex));

    if (ngx_http_llm_state_hex64((char *) hex, &hash) != NGX_OK) {
        return;
    }

    root = store->root;
    sw = store->switches.elts;
    word = value.len == 2 ? NGX_HTTP_LLM_SWITCH_ON : NGX_HTTP_LLM_SWITCH_OFF;

    for (i = 0; i < store->switches.nelts; i++) {

        if (sw[i]->node->node.hash != hash || at <= sw[i]->node->at) {
            continue;
        }

        ngx_http_llm_store_lock(store);

        sw[i]->node->at = at;
        __atomic_store_n(&sw[i]->node->word, word, __ATOMIC_RELAXED);
        root->changes++;

        ngx_http_llm_store_unlock(store);

        ngx_log_error(NGX_LOG_NOTICE, store->log, 0,
                      "llm: %s \"%V\" was switched %s on another node",
                      sw[i]->kind == NGX_HTTP_LLM_SWITCH_PROVIDER
                      ? "provider" : "model", &sw[i]->name,
                      word == NGX_HTTP_LLM_SWITCH_ON ? "on" : "off");
    }
}


/* ---- breakers ------------------------------------------------------------ */

void
ngx_http_llm_sync_breaker_opened(ngx_http_llm_store_t *store,
    ngx_http_llm_store_gate_t *gate)
{
    u_char     text[300];
    ngx_str_t  id, message;

    if (store->redis == NULL) {
        return;
    }

    id = ngx_http_llm_nodes_id(store);

    message.data = text;
    message.len = ngx_snprintf(text, sizeof(text), "breaker %V %V", &id,
                               &gate->name)
                  - text;

    (void) ngx_http_llm_sync_publish(store, &message);
}


void
ngx_http_llm_sync_breaker_message(ngx_http_llm_store_t *store,
    ngx_str_t *words)
{
    ngx_str_t                    id, name;
    ngx_uint_t                   i;
    ngx_http_llm_store_gate_t  **gate;

    id = ngx_http_llm_nodes_id(store);

    if (words->len <= id.len + 1 || words->data[id.len] != ' '
        || ngx_strncmp(words->data, id.data, id.len) == 0)
    {
        return;
    }

    name.data = words->data + id.len + 1;
    name.len = words->len - id.len - 1;

    gate = store->gates.elts;

    for (i = 0; i < store->gates.nelts; i++) {
        if (gate[i]->name.len == name.len
            && ngx_strncmp(gate[i]->name.data, name.data, name.len) == 0)
        {
            __atomic_store_n(&gate[i]->node->hinted,
                             ngx_http_llm_store_now(store)
                             + NGX_HTTP_LLM_BREAKER_HINT, __ATOMIC_RELAXED);
        }
    }
}


const llm_breaker_conf_t *
ngx_http_llm_breaker_conf(ngx_http_llm_store_gate_t *gate,
    llm_breaker_conf_t *half, llm_msec_t now)
{
    if (gate->node->hinted <= now) {
        return &gate->breaker;
    }

    *half = gate->breaker;
    half->failures = (half->failures + 1) / 2;
    half->error_rate_bp = (half->error_rate_bp + 1) / 2;
    half->min = (half->min + 1) / 2;

    return half;
}
