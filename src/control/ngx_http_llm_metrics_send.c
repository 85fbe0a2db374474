
/*
 * Metrics of providers, models and keys: how they stand, and what was sent to
 * them and came back.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_metrics.h"


/* keys of a larger pool are told by their number alone */
#define NGX_HTTP_LLM_METRICS_KEYS    100

#define NGX_HTTP_LLM_METRICS_STATES  5         /* llm_key_status_t */


/* Counters of a meter, as a family or as a part of one. */

typedef struct {
    const char   *family;                      /* NULL: of the one before */
    const char   *help;
    const char   *type;                        /* label, or NULL */
    size_t        offset;
    ngx_uint_t    decimals;
} ngx_http_llm_metrics_counter_t;


static void ngx_http_llm_metrics_gates(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
static void ngx_http_llm_metrics_switches(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
static void ngx_http_llm_metrics_pools(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
static void ngx_http_llm_metrics_attempts(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
static void ngx_http_llm_metrics_counters(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
static void ngx_http_llm_metrics_times(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
static ngx_http_llm_meter_data_t *ngx_http_llm_metrics_meter(
    ngx_http_llm_store_meter_t *meter);
static void ngx_http_llm_metrics_meter_labels(
    ngx_http_llm_store_meter_t *meter, ngx_http_llm_label_t *label);


/* in the order of llm_breaker_status_t; then without one */

static const llm_str_t  ngx_http_llm_metrics_breaker[] = {
    { 6, (const u_char *) "closed" },
    { 4, (const u_char *) "open" },
    { 9, (const u_char *) "half_open" },
    { 3, (const u_char *) "off" }
};


/* in the order of llm_probe_status_t, with one more: no probes */

static const llm_str_t  ngx_http_llm_metrics_probe[] = {
    { 7, (const u_char *) "unknown" },
    { 2, (const u_char *) "up" },
    { 4, (const u_char *) "down" },
    { 3, (const u_char *) "off" }
};


/* in the order of llm_key_status_t */

static const llm_str_t
    ngx_http_llm_metrics_key[NGX_HTTP_LLM_METRICS_STATES] =
{
    { 6, (const u_char *) "active" },
    { 7, (const u_char *) "cooling" },
    { 7, (const u_char *) "probing" },
    { 8, (const u_char *) "disabled" },
    { 3, (const u_char *) "off" }
};


static const ngx_http_llm_metrics_counter_t
    ngx_http_llm_metrics_meter_counters[] =
{
    { "llm_tokens_total", "Tokens, as providers counted them; cached ones are "
      "part of the input, reasoning of the output.", "input",
      offsetof(ngx_http_llm_meter_data_t, input), 0 },

    { NULL, NULL, "cached", offsetof(ngx_http_llm_meter_data_t, cached), 0 },

    { NULL, NULL, "output", offsetof(ngx_http_llm_meter_data_t, output), 0 },

    { NULL, NULL, "reasoning",
      offsetof(ngx_http_llm_meter_data_t, reasoning), 0 },

    { "llm_audio_seconds_total", "Length of audio that was transcribed.", NULL,
      offsetof(ngx_http_llm_meter_data_t, audio_ms), 3 },

    { "llm_cost_usd_total", "Cost in US dollars, by the configured prices.",
      NULL, offsetof(ngx_http_llm_meter_data_t, cost), 9 },

    { "llm_unpriced_total", "Answers whose cost is not known.", NULL,
      offsetof(ngx_http_llm_meter_data_t, unpriced), 0 },

    { "llm_resumes_total", "Streams that were cut elsewhere and went on here.",
      NULL, offsetof(ngx_http_llm_meter_data_t, resumes), 0 },

    { NULL, NULL, NULL, 0, 0 }
};


void
ngx_http_llm_metrics_providers(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_http_llm_metrics_gates(page, lmcf);
    ngx_http_llm_metrics_switches(page, lmcf);
}


static void
ngx_http_llm_metrics_gates(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                   i, state, family;
    ngx_http_llm_label_t         label;
    ngx_http_llm_provider_t    **p;
    ngx_http_llm_gate_status_t   gate;

    static const char  *names[] = {
        "llm_provider_breaker", "llm_provider_probe", "llm_provider_inflight",
        "llm_provider_waiting"
    };

    static const char  *helps[] = {
        "How the circuit breaker of a provider stands.",
        "What probes say of a provider.",
        "Requests that are at a provider now.",
        "Requests that wait for one of its slots."
    };

    p = lmcf->providers.elts;

    for (family = 0; family < 4; family++) {
        ngx_http_llm_page_family(page, names[family], "gauge", helps[family]);

        for (i = 0; i < lmcf->providers.nelts; i++) {
            ngx_http_llm_store_gate_status(&lmcf->store, &p[i]->gate, &gate);

            label.name = "provider";
            label.value = ngx_http_llm_view(&p[i]->name);

            if (family == 0) {
                state = p[i]->gate.breaker.failures ? gate.breaker : 3;
                ngx_http_llm_page_states(page, &label, 1,
                                         ngx_http_llm_metrics_breaker, 4,
                                         state);
                continue;
            }

            if (family == 1) {
                state = p[i]->probe ? gate.probe : 3;
                ngx_http_llm_page_states(page, &label, 1,
                                         ngx_http_llm_metrics_probe, 4,
                                         state);
                continue;
            }

            ngx_http_llm_page_sample(page, "");
            ngx_http_llm_page_label(page, label.name, label.value);
            ngx_http_llm_page_uint(page, family == 2 ? gate.inflight
                                                     : gate.waiting);
        }
    }
}


static void
ngx_http_llm_metrics_switches(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i;
    ngx_http_llm_model_t     **m;
    ngx_http_llm_provider_t  **p;

    ngx_http_llm_page_family(page, "llm_provider_enabled", "gauge",
                             "Whether a provider may be used.");
    p = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_label(page, "provider",
                                ngx_http_llm_view(&p[i]->name));
        ngx_http_llm_page_uint(page, ngx_http_llm_switch_is_on(&p[i]->enabled));
    }

    ngx_http_llm_page_family(page, "llm_model_enabled", "gauge",
                             "Whether a model may be used.");
    m = lmcf->models.elts;

    for (i = 0; i < lmcf->models.nelts; i++) {
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_label(page, "provider",
                                ngx_http_llm_view(&m[i]->provider->name));
        ngx_http_llm_page_label(page, "model", ngx_http_llm_view(&m[i]->name));
        ngx_http_llm_page_uint(page, ngx_http_llm_switch_is_on(&m[i]->enabled));
    }
}


void
ngx_http_llm_metrics_keys(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                 i, k;
    ngx_http_llm_label_t       label[2];
    ngx_http_llm_key_view_t    view;
    ngx_http_llm_key_pool_t  **pool;

    ngx_http_llm_metrics_pools(page, lmcf);

    ngx_http_llm_page_family(page, "llm_key_state", "gauge",
                             "How a key stands, in pools of up to 100.");
    pool = lmcf->pools.elts;

    for (i = 0; i < lmcf->pools.nelts; i++) {

        if (pool[i]->store.conf.key_n > NGX_HTTP_LLM_METRICS_KEYS) {
            continue;
        }

        for (k = 0; k < pool[i]->store.conf.key_n; k++) {
            ngx_http_llm_key_view(&lmcf->store, &pool[i]->store, k, &view);

            label[0].name = "pool";
            label[0].value = ngx_http_llm_view(&pool[i]->name);
            label[1].name = "key";
            label[1].value = ngx_http_llm_view(&pool[i]->keys[k].name);

            ngx_http_llm_page_states(page, label, 2, ngx_http_llm_metrics_key,
                                     NGX_HTTP_LLM_METRICS_STATES, view.status);
        }
    }
}


static void
ngx_http_llm_metrics_pools(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    uint64_t                   count[NGX_HTTP_LLM_METRICS_STATES];
    ngx_uint_t                 i, k;
    ngx_http_llm_key_view_t    view;
    ngx_http_llm_key_pool_t  **pool;

    ngx_http_llm_page_family(page, "llm_pool_keys", "gauge",
                             "Keys of a pool by how they stand.");
    pool = lmcf->pools.elts;

    for (i = 0; i < lmcf->pools.nelts; i++) {
        ngx_memzero(count, sizeof(count));

        for (k = 0; k < pool[i]->store.conf.key_n; k++) {
            ngx_http_llm_key_view(&lmcf->store, &pool[i]->store, k, &view);
            count[view.status]++;
        }

        for (k = 0; k < NGX_HTTP_LLM_METRICS_STATES; k++) {
            ngx_http_llm_page_sample(page, "");
            ngx_http_llm_page_label(page, "pool",
                                    ngx_http_llm_view(&pool[i]->name));
            ngx_http_llm_page_label(page, "state", ngx_http_llm_metrics_key[k]);
            ngx_http_llm_page_uint(page, count[k]);
        }
    }
}


void
ngx_http_llm_metrics_meters(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_http_llm_metrics_attempts(page, lmcf);
    ngx_http_llm_metrics_counters(page, lmcf);
    ngx_http_llm_metrics_times(page, lmcf);
}


/* "ok" always, other outcomes once there was one. */

static void
ngx_http_llm_metrics_attempts(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                    i, c;
    ngx_http_llm_label_t          label[2];
    ngx_http_llm_meter_data_t    *data;
    ngx_http_llm_store_meter_t  **meter;

    ngx_http_llm_page_family(page, "llm_attempts_total", "counter",
                             "Requests sent to providers, by how they ended.");
    meter = lmcf->store.meters.elts;

    for (i = 0; i < lmcf->store.meters.nelts; i++) {
        data = ngx_http_llm_metrics_meter(meter[i]);

        if (data == NULL) {
            continue;
        }

        ngx_http_llm_metrics_meter_labels(meter[i], label);

        for (c = 0; c < LLM_CLASS_N; c++) {

            if (data->attempts[c] == 0 && c != LLM_CLASS_OK) {
                continue;
            }

            ngx_http_llm_page_sample(page, "");
            ngx_http_llm_page_label(page, label[0].name, label[0].value);
            ngx_http_llm_page_label(page, label[1].name, label[1].value);
            ngx_http_llm_page_label(page, "class",
                                    llm_class_name((llm_class_t) c));
            ngx_http_llm_page_uint(page, data->attempts[c]);
        }
    }
}


static void
ngx_http_llm_metrics_counters(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    u_char                                *p;
    ngx_uint_t                             i;
    ngx_http_llm_label_t                   label[2];
    ngx_http_llm_store_meter_t           **meter;
    const ngx_http_llm_metrics_counter_t  *c, *family, *next;

    meter = lmcf->store.meters.elts;

    for (family = ngx_http_llm_metrics_meter_counters; family->family;
         family = next)
    {
        ngx_http_llm_page_family(page, family->family, "counter",
                                 family->help);

        for (next = family + 1; next->type && next->family == NULL; next++) {
            /* void */
        }

        for (i = 0; i < lmcf->store.meters.nelts; i++) {
            p = (u_char *) ngx_http_llm_metrics_meter(meter[i]);

            if (p == NULL) {
                continue;
            }

            ngx_http_llm_metrics_meter_labels(meter[i], label);

            for (c = family; c < next; c++) {
                ngx_http_llm_page_sample(page, "");
                ngx_http_llm_page_label(page, label[0].name, label[0].value);
                ngx_http_llm_page_label(page, label[1].name, label[1].value);

                if (c->type) {
                    ngx_http_llm_page_label(page, "type",
                                            ngx_http_llm_word_of(c->type));
                }

                ngx_http_llm_page_fixed(page, *(uint64_t *) (p + c->offset),
                                        c->decimals);
            }
        }
    }
}


static void
ngx_http_llm_metrics_times(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                    i;
    ngx_http_llm_label_t          label[2];
    ngx_http_llm_meter_data_t    *data;
    ngx_http_llm_store_meter_t  **meter;

    meter = lmcf->store.meters.elts;

    ngx_http_llm_page_family(page, "llm_attempt_duration_seconds", "histogram",
                             "From the beginning of an attempt to its end.");

    for (i = 0; i < lmcf->store.meters.nelts; i++) {
        data = ngx_http_llm_metrics_meter(meter[i]);

        if (data) {
            ngx_http_llm_metrics_meter_labels(meter[i], label);
            ngx_http_llm_page_histogram(page, label, 2, data->time,
                                        data->time_sum);
        }
    }

    ngx_http_llm_page_family(page, "llm_time_to_first_token_seconds",
                             "histogram",
                             "From the beginning of an attempt to the first "
                             "content of a stream.");

    for (i = 0; i < lmcf->store.meters.nelts; i++) {
        data = ngx_http_llm_metrics_meter(meter[i]);

        if (data && llm_hist_count(data->first)) {
            ngx_http_llm_metrics_meter_labels(meter[i], label);
            ngx_http_llm_page_histogram(page, label, 2, data->first,
                                        LLM_NEVER);
        }
    }
}


/* NULL: nothing was ever sent there, which keeps the page small. */

static ngx_http_llm_meter_data_t *
ngx_http_llm_metrics_meter(ngx_http_llm_store_meter_t *meter)
{
    ngx_uint_t  c;

    if (meter->data == NULL) {
        return NULL;
    }

    for (c = 0; c < LLM_CLASS_N; c++) {
        if (meter->data->attempts[c]) {
            return meter->data;
        }
    }

    return NULL;
}


static void
ngx_http_llm_metrics_meter_labels(ngx_http_llm_store_meter_t *meter,
    ngx_http_llm_label_t *label)
{
    label[0].name = "provider";
    label[0].value = ngx_http_llm_view(&meter->provider);
    label[1].name = "model";
    label[1].value = ngx_http_llm_view(&meter->model);
}
