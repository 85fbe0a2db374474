
/*
 * What a split looks like: its document, what its variants did lately, how the
 * triggers stand, and what the rollout is waiting for.
 *
 * Percentages, milliseconds, seconds and US dollars are plain numbers, and null
 * where there is nothing to know yet.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"


#define NGX_HTTP_LLM_ADMIN_WINDOW  1800000     /* ms, of a split's clock */


/* A split and a moment. */

typedef struct {
    ngx_http_llm_admin_t         *admin;
    ngx_http_llm_split_t         *split;
    const llm_split_doc_t        *doc;
    llm_msec_t                    now;
    llm_msec_t                    window;
    uint64_t                      samples;     /* of the canary, in its step */
    ngx_uint_t                    pending;     /* a trigger is, or doubts */
    ngx_http_llm_variant_view_t   view;
} ngx_http_llm_admin_view_t;


static void ngx_http_llm_admin_view_weights(ngx_http_llm_admin_view_t *v,
    cJSON *out);
static void ngx_http_llm_admin_view_variant(ngx_http_llm_admin_view_t *v,
    uint32_t i, cJSON *out);
static void ngx_http_llm_admin_view_counts(ngx_http_llm_admin_view_t *v,
    cJSON *out);
static void ngx_http_llm_admin_view_times(ngx_http_llm_admin_view_t *v,
    cJSON *out);
static void ngx_http_llm_admin_view_quantile(ngx_http_llm_admin_view_t *v,
    cJSON *out, const char *name, const uint32_t *bucket, uint32_t permille);
static void ngx_http_llm_admin_view_totals(ngx_http_llm_admin_view_t *v,
    uint32_t i, cJSON *out);
static void ngx_http_llm_admin_view_triggers(ngx_http_llm_admin_view_t *v,
    cJSON *out);
static void ngx_http_llm_admin_view_trigger(ngx_http_llm_admin_view_t *v,
    const llm_trigger_conf_t *conf, uint32_t variant,
    const llm_trigger_state_t *s, cJSON *out);
static double ngx_http_llm_admin_view_unit(llm_trigger_kind_t kind,
    uint64_t value);
static void ngx_http_llm_admin_view_rollout(ngx_http_llm_admin_view_t *v,
    cJSON *out);
static void ngx_http_llm_admin_view_waiting(ngx_http_llm_admin_view_t *v,
    cJSON *out);
static void ngx_http_llm_admin_view_mirror(ngx_http_llm_admin_view_t *v,
    cJSON *out);


/* in the order of llm_trigger_status_t, llm_measure_result_t, llm_action_t */

static llm_str_t  ngx_http_llm_admin_status[] = {
    { 4, (const u_char *) "idle" },
    { 7, (const u_char *) "pending" },
    { 6, (const u_char *) "firing" }
};

static llm_str_t  ngx_http_llm_admin_result[] = {
    { 12, (const u_char *) "insufficient" },
    { 11, (const u_char *) "no_baseline" },
    { 5, (const u_char *) "clear" },
    { 7, (const u_char *) "between" },
    { 4, (const u_char *) "true" }
};

static llm_str_t  ngx_http_llm_admin_action[] = {
    { 8, (const u_char *) "rollback" },
    { 5, (const u_char *) "pause" },
    { 3, (const u_char *) "log" }
};


void
ngx_http_llm_admin_view_short(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, const llm_split_doc_t *doc, cJSON *out)
{
    ngx_http_llm_admin_view_t  v;

    v.admin = a;
    v.split = split;
    v.doc = doc;

    ngx_http_llm_admin_put_str(a, out, "name", &split->name);
    ngx_http_llm_admin_put_number(a, out, "version", (double) doc->version);
    ngx_http_llm_admin_put_word(a, out, "state",
                                llm_rollout_state_name(doc->state));
    ngx_http_llm_admin_view_weights(&v, out);
    ngx_http_llm_admin_put_str(a, out, "baseline",
                               &split->variants[doc->base].name);
    ngx_http_llm_admin_put_time(a, out, "updated", doc->updated);

    if (a->lmcf->store.redis) {
        ngx_http_llm_admin_put_bool(a, out, "shared",
                                 ngx_http_llm_split_is_shared(&split->store));
        ngx_http_llm_admin_put_bool(a, out, "lease_expired",
                                 ngx_http_llm_split_is_lost(&split->store));
    }
}


void
ngx_http_llm_admin_view(ngx_http_llm_admin_t *a, ngx_http_llm_split_t *split,
    const llm_split_doc_t *doc, cJSON *out)
{
    cJSON                      *list;
    uint32_t                    i;
    ngx_http_llm_admin_view_t  *v;

    v = ngx_pcalloc(a->request->pool, sizeof(ngx_http_llm_admin_view_t));
    if (v == NULL) {
        a->failed = 1;
        return;
    }

    v->admin = a;
    v->split = split;
    v->doc = doc;
    v->now = ngx_http_llm_store_now(&a->lmcf->store);
    v->samples = ngx_http_llm_split_samples(&a->lmcf->store, &split->store,
                                            &v->pending);
    v->window = llm_pace_scale(&split->store.pace, NGX_HTTP_LLM_ADMIN_WINDOW);

    ngx_http_llm_admin_view_short(a, split, doc, out);
    ngx_http_llm_admin_put_number(a, out, "window_s",
                                  (double) v->window / 1000);

    list = ngx_http_llm_admin_put_array(a, out, "variants");

    for (i = 0; i < split->store.n; i++) {
        ngx_http_llm_admin_view_variant(v, i,
                              ngx_http_llm_admin_put_object(a, list, NULL));
    }

    ngx_http_llm_admin_view_triggers(v, out);
    ngx_http_llm_admin_view_rollout(v, out);
    ngx_http_llm_admin_view_mirror(v, out);

    if (split->store.experiment.len) {
        ngx_http_llm_admin_put_str(a, out, "experiment",
                                   &split->store.experiment);

    } else {
        ngx_http_llm_admin_put_null(a, out, "experiment");
    }
}


static void
ngx_http_llm_admin_view_weights(ngx_http_llm_admin_view_t *v, cJSON *out)
{
    cJSON     *weights;
    uint32_t   i;

    weights = ngx_http_llm_admin_put_object(v->admin, out, "weights");

    for (i = 0; i < v->split->store.n; i++) {
        ngx_http_llm_admin_put_percent(v->admin, weights,
                                       &v->split->variants[i].name,
                                       v->doc->weight[i]);
    }
}


static void
ngx_http_llm_admin_view_variant(ngx_http_llm_admin_view_t *v, uint32_t i,
    cJSON *out)
{
    ngx_http_llm_admin_t    *a;
    ngx_http_llm_variant_t  *variant;

    a = v->admin;
    variant = &v->split->variants[i];

    ngx_http_llm_split_view(&a->lmcf->store, &v->split->store, i, v->window,
                            &v->view);

    ngx_http_llm_admin_put_str(a, out, "name", &variant->name);
    ngx_http_llm_admin_put_str(a, out, "target", &variant->target);
    ngx_http_llm_admin_put_number(a, out, "weight", v->doc->weight[i] / 100.0);
    ngx_http_llm_admin_put_bool(a, out, "baseline", i == v->doc->base);
    ngx_http_llm_admin_put_bool(a, out, "barred",
                                llm_rollout_is_barred(v->doc, i));

    ngx_http_llm_admin_view_counts(v, out);
    ngx_http_llm_admin_view_times(v, out);
    ngx_http_llm_admin_view_totals(v, i, out);
}


static void
ngx_http_llm_admin_view_counts(ngx_http_llm_admin_view_t *v, cJSON *out)
{
    const uint64_t        *n;
    ngx_http_llm_admin_t  *a;

    a = v->admin;
    n = v->view.sums.count;

    ngx_http_llm_admin_put_number(a, out, "n", (double) n[LLM_COUNT_N]);
    ngx_http_llm_admin_put_number(a, out, "errors",
                                  (double) n[LLM_COUNT_ERRORS]);
    ngx_http_llm_admin_put_share(a, out, "error_rate", n[LLM_COUNT_ERRORS],
                                 n[LLM_COUNT_N]);
    ngx_http_llm_admin_put_number(a, out, "refused",
                                  (double) n[LLM_COUNT_REFUSED]);
    ngx_http_llm_admin_put_number(a, out, "overdue",
                                  (double) v->view.overdue);
    ngx_http_llm_admin_put_number(a, out, "uncounted",
                                  (double) n[LLM_COUNT_UNCOUNTED]);
    ngx_http_llm_admin_put_number(a, out, "json_checked",
                                  (double) n[LLM_COUNT_JSON_CHECKED]);
    ngx_http_llm_admin_put_number(a, out, "json_invalid",
                                  (double) n[LLM_COUNT_JSON_INVALID]);
    ngx_http_llm_admin_put_number(a, out, "input_tokens",
                                  (double) n[LLM_COUNT_INPUT]);
    ngx_http_llm_admin_put_number(a, out, "output_tokens",
                                  (double) n[LLM_COUNT_OUTPUT]);
    ngx_http_llm_admin_put_number(a, out, "cost",
                                  (double) n[LLM_COUNT_COST] / 1e9);
    ngx_http_llm_admin_put_ratio(a, out, "cost_per_request",
                                 (double) n[LLM_COUNT_COST] / 1e9,
                                 (double) n[LLM_COUNT_PRICED]);
}


/* What a client waits for: whole answers and streams to their end. */

static void
ngx_http_llm_admin_view_times(ngx_http_llm_admin_view_t *v, cJSON *out)
{
    uint32_t     i, *whole;
    llm_sums_t  *sums;

    sums = &v->view.sums;
    whole = sums->time[LLM_TIME_WHOLE];

    ngx_http_llm_admin_view_quantile(v, out, "ttft_p95_ms",
                                     sums->time[LLM_TIME_FIRST], 950);

    for (i = 0; i < LLM_HIST_BUCKETS; i++) {
        whole[i] += sums->time[LLM_TIME_STREAM][i];
    }

    ngx_http_llm_admin_view_quantile(v, out, "p50_ms", whole, 500);
    ngx_http_llm_admin_view_quantile(v, out, "p95_ms", whole, 950);
}


static void
ngx_http_llm_admin_view_quantile(ngx_http_llm_admin_view_t *v, cJSON *out,
    const char *name, const uint32_t *bucket, uint32_t permille)
{
    if (llm_hist_count(bucket) == 0) {
        ngx_http_llm_admin_put_null(v->admin, out, name);
        return;
    }

    ngx_http_llm_admin_put_number(v->admin, out, name,
                                  (double) llm_hist_quantile(bucket, permille));
}


static void
ngx_http_llm_admin_view_totals(ngx_http_llm_admin_view_t *v, uint32_t i,
    cJSON *out)
{
    cJSON                          *totals;
    ngx_http_llm_admin_t           *a;
    ngx_http_llm_variant_totals_t  *t;

    a = v->admin;
    t = ngx_http_llm_split_totals(&v->split->store, i);

    totals = ngx_http_llm_admin_put_object(a, out, "totals");

    ngx_http_llm_admin_put_number(a, totals, "n",
                                  (double) t->count[LLM_COUNT_N]);
    ngx_http_llm_admin_put_number(a, totals, "errors",
                                  (double) t->count[LLM_COUNT_ERRORS]);
    ngx_http_llm_admin_put_number(a, totals, "refused",
                                  (double) t->count[LLM_COUNT_REFUSED]);
    ngx_http_llm_admin_put_number(a, totals, "uncounted",
                                  (double) t->count[LLM_COUNT_UNCOUNTED]);
    ngx_http_llm_admin_put_number(a, totals, "forced", (double) t->forced);
    ngx_http_llm_admin_put_number(a, totals, "ineligible",
                                  (double) t->ineligible);
    ngx_http_llm_admin_put_number(a, totals, "affine", (double) t->affine);
    ngx_http_llm_admin_put_number(a, totals, "rescued", (double) t->rescued);
    ngx_http_llm_admin_put_number(a, totals, "cost",
                                  (double) t->count[LLM_COUNT_COST] / 1e9);
}


/* Each condition, for each variant that it guards: all but the baseline. */

static void
ngx_http_llm_admin_view_triggers(ngx_http_llm_admin_view_t *v, cJSON *out)
{
    cJSON                       *list;
    uint32_t                     i;
    ngx_uint_t                   t;
    llm_trigger_state_t         *s;
    ngx_http_llm_store_split_t  *split;

    split = &v->split->store;
    list = ngx_http_llm_admin_put_array(v->admin, out, "triggers");

    for (t = 0; t < split->trigger_n; t++) {
        for (i = 0; i < split->n; i++) {

            if (i == v->doc->base) {
                continue;
            }

            s = ngx_http_llm_split_trigger(split, t, i);

            if (i == v->doc->canary && s->status != LLM_TRIGGER_IDLE
                && split->trigger[t].action != LLM_ACTION_LOG)
            {
                v->pending = 1;
            }

            ngx_http_llm_admin_view_trigger(v, &split->trigger[t], i, s,
                       ngx_http_llm_admin_put_object(v->admin, list, NULL));
        }
    }
}


static void
ngx_http_llm_admin_view_trigger(ngx_http_llm_admin_view_t *v,
    const llm_trigger_conf_t *conf, uint32_t variant,
    const llm_trigger_state_t *s, cJSON *out)
{
    u_char                 text[256];
    double                 pending;
    llm_buf_t              buf;
    const llm_measure_t   *m;
    ngx_http_llm_admin_t  *a;

    a = v->admin;
    m = &s->last;
    pending = 0;

    if (s->status != LLM_TRIGGER_IDLE && v->now > s->pending_at) {
        pending = (double) (v->now - s->pending_at) / 1000;
    }

    llm_buf_init(&buf, text, sizeof(text));
    llm_trigger_put(&buf, conf);

    ngx_http_llm_admin_put_word(a, out, "condition", llm_buf_view(&buf));
    ngx_http_llm_admin_put_str(a, out, "variant",
                               &v->split->variants[variant].name);

    if (m->n == 0) {
        ngx_http_llm_admin_put_null(a, out, "value");

    } else {
        ngx_http_llm_admin_put_number(a, out, "value",
                         ngx_http_llm_admin_view_unit(conf->kind, m->value));
    }

    ngx_http_llm_admin_put_number(a, out, "threshold",
                    ngx_http_llm_admin_view_unit(conf->kind, conf->threshold));
    ngx_http_llm_admin_put_number(a, out, "n", (double) m->n);
    ngx_http_llm_admin_put_word(a, out, "evidence",
                                ngx_http_llm_admin_result[m->result]);
    ngx_http_llm_admin_put_word(a, out, "state",
                                ngx_http_llm_admin_status[s->status]);
    ngx_http_llm_admin_put_number(a, out, "pending_s", pending);
    ngx_http_llm_admin_put_number(a, out, "for_s", (double) conf->hold / 1000);
    ngx_http_llm_admin_put_number(a, out, "window_s",
                                  (double) m->window / 1000);

    if (m->n == 0 || m->baseline == LLM_NEVER) {
        ngx_http_llm_admin_put_null(a, out, "baseline");

    } else {
        ngx_http_llm_admin_put_number(a, out, "baseline",
                      ngx_http_llm_admin_view_unit(conf->kind, m->baseline));
    }

    ngx_http_llm_admin_put_word(a, out, "action",
                                ngx_http_llm_admin_action[conf->action]);
}


/* Percent, milliseconds or dollars, as the condition was written. */

static double
ngx_http_llm_admin_view_unit(llm_trigger_kind_t kind, uint64_t value)
{
    switch (kind) {

    case LLM_TRIGGER_P95_RISE:
    case LLM_TRIGGER_P95:
    case LLM_TRIGGER_TTFT_P95:
        return (double) value;

    case LLM_TRIGGER_COST:
        return (double) value / 1e9;

    default:
        return (double) value / 100;
    }
}


static void
ngx_http_llm_admin_view_rollout(ngx_http_llm_admin_view_t *v, cJSON *out)
{
    cJSON                     *rollout, *steps;
    uint32_t                   i, canary;
    ngx_http_llm_admin_t      *a;
    const llm_rollout_conf_t  *conf;

    a = v->admin;
    conf = &v->split->store.rollout;
    canary = v->doc->canary != LLM_ROLLOUT_NOBODY ? v->doc->canary
                                                  : conf->canary;

    if (canary == LLM_ROLLOUT_NOBODY) {
        ngx_http_llm_admin_put_null(a, out, "rollout");
        return;
    }

    rollout = ngx_http_llm_admin_put_object(a, out, "rollout");

    ngx_http_llm_admin_put_str(a, rollout, "canary",
                               &v->split->variants[canary].name);
    ngx_http_llm_admin_put_number(a, rollout, "step", v->doc->step);

    steps = ngx_http_llm_admin_put_array(a, rollout, "steps");

    for (i = 0; i < conf->step_n; i++) {
        ngx_http_llm_admin_put_number(a, steps, NULL, conf->step[i] / 100.0);
    }

    ngx_http_llm_admin_put_word(a, rollout, "why",
                                llm_rollout_why_name(v->doc->why));
    ngx_http_llm_admin_put_time(a, rollout, "since", v->doc->since);
    ngx_http_llm_admin_put_time(a, rollout, "until", v->doc->until);
    ngx_http_llm_admin_put_time(a, rollout, "no_start_before", v->doc->rested);
    ngx_http_llm_admin_put_number(a, rollout, "samples", (double) v->samples);
    ngx_http_llm_admin_put_number(a, rollout, "min_samples",
                                  (double) conf->min_samples);
    ngx_http_llm_admin_view_waiting(v, rollout);
}


/* Why the rollout does not go on at this moment, in words. */

static void
ngx_http_llm_admin_view_waiting(ngx_http_llm_admin_view_t *v, cJSON *out)
{
    cJSON                     *list;
    uint32_t                   state;
    ngx_http_llm_admin_t      *a;
    const llm_rollout_conf_t  *conf;

    a = v->admin;
    conf = &v->split->store.rollout;
    state = v->doc->state;

    list = ngx_http_llm_admin_put_array(a, out, "waiting_for");

    if (state == LLM_ROLLOUT_PAUSED) {
        ngx_http_llm_admin_put_word(a, list, NULL, LLM_STR("resume"));
    }

    if (state != LLM_ROLLOUT_PROGRESSING && state != LLM_ROLLOUT_SOAKING) {
        return;
    }

    if (state == LLM_ROLLOUT_PROGRESSING && v->doc->step < conf->step_n
        && conf->step[v->doc->step] == 0)
    {
        ngx_http_llm_admin_put_word(a, list, NULL, LLM_STR("promote"));
        return;
    }

    if (v->doc->until > v->now) {
        ngx_http_llm_admin_put_word(a, list, NULL,
                                    state == LLM_ROLLOUT_SOAKING
                                    ? LLM_STR("soak") : LLM_STR("bake"));
    }

    if (v->samples < conf->min_samples) {
        ngx_http_llm_admin_put_word(a, list, NULL, LLM_STR("samples"));
    }

    if (v->pending) {
        ngx_http_llm_admin_put_word(a, list, NULL, LLM_STR("triggers"));
    }
}


/* What copies did, and what the answers did that clients got meanwhile. */

static void
ngx_http_llm_admin_view_mirror(ngx_http_llm_admin_view_t *v, cJSON *out)
{
    cJSON                         *mirror;
    ngx_http_llm_admin_t          *a;
    ngx_http_llm_mirror_totals_t  *t;

    a = v->admin;
    t = v->split->mirror ? ngx_http_llm_split_mirror(&v->split->store) : NULL;

    mirror = ngx_http_llm_admin_put_object(a, out, "mirror");

    if (t == NULL) {
        return;
    }

    ngx_http_llm_admin_put_str(a, mirror, "variant",
                               &v->split->mirror->variant->name);
    ngx_http_llm_admin_put_number(a, mirror, "share",
                                  v->split->mirror->share / 100.0);
    ngx_http_llm_admin_put_number(a, mirror, "copies", (double) t->copies);
    ngx_http_llm_admin_put_number(a, mirror, "skipped", (double) t->skipped);
    ngx_http_llm_admin_put_number(a, mirror, "errors", (double) t->errors);
    ngx_http_llm_admin_put_number(a, mirror, "served_errors",
                                  (double) t->served_errors);
    ngx_http_llm_admin_put_number(a, mirror, "json_checked",
                                  (double) t->json_checked);
    ngx_http_llm_admin_put_number(a, mirror, "json_invalid",
                                  (double) t->json_invalid);
    ngx_http_llm_admin_put_number(a, mirror, "served_json_invalid",
                                  (double) t->served_json_invalid);
    ngx_http_llm_admin_put_number(a, mirror, "output_tokens",
                                  (double) t->output);
    ngx_http_llm_admin_put_number(a, mirror, "served_output_tokens",
                                  (double) t->served_output);
    ngx_http_llm_admin_put_number(a, mirror, "answer_bytes",
                                  (double) t->length);
    ngx_http_llm_admin_put_number(a, mirror, "served_answer_bytes",
                                  (double) t->served_length);
    ngx_http_llm_admin_put_number(a, mirror, "members", (double) t->members);
    ngx_http_llm_admin_put_number(a, mirror, "members_equal",
                                  (double) t->members_equal);

    ngx_http_llm_admin_view_quantile(v, mirror, "p50_ms", t->time, 500);
    ngx_http_llm_admin_view_quantile(v, mirror, "p95_ms", t->time, 950);
    ngx_http_llm_admin_view_quantile(v, mirror, "served_p50_ms",
                                     t->served_time, 500);
    ngx_http_llm_admin_view_quantile(v, mirror, "served_p95_ms",
                                     t->served_time, 950);
}
