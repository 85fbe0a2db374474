
/*
 * Metrics of splits: weights, what became of the requests of each variant, how
 * triggers stand, what mirrors saw, and votes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_metrics.h"


#define NGX_HTTP_LLM_METRICS_ROLLOUT  6        /* llm_rollout_state_t */
#define NGX_HTTP_LLM_METRICS_WINDOW   1800000  /* ms, of a split's clock */
#define NGX_HTTP_LLM_METRICS_TRIGGER  160      /* a condition in words */


/* What its windows say; LLM_NEVER: nothing. */

typedef struct {
    uint64_t                        overdue;
    uint64_t                        p50;
    uint64_t                        p95;
    uint64_t                        first_p95;
} ngx_http_llm_metrics_lately_t;


/* A variant of a split at this moment. */

typedef struct {
    ngx_http_llm_split_t           *split;
    uint32_t                        i;
    llm_split_doc_t                *doc;
    ngx_http_llm_variant_totals_t  *totals;
    ngx_http_llm_metrics_lately_t  *lately;
} ngx_http_llm_metrics_variant_t;


/* All splits, read once. */

typedef struct {
    llm_split_doc_t                 doc;
    ngx_http_llm_metrics_lately_t   lately[LLM_SPLIT_VARIANTS];
} ngx_http_llm_metrics_read_t;

typedef void (*ngx_http_llm_metrics_variant_pt)(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);


static ngx_http_llm_metrics_read_t *ngx_http_llm_metrics_read(
    ngx_http_llm_page_t *page, ngx_http_llm_main_conf_t *lmcf);
static void ngx_http_llm_metrics_lately(ngx_http_llm_variant_view_t *view,
    ngx_http_llm_metrics_lately_t *lately);
static uint64_t ngx_http_llm_metrics_quantile(const uint32_t *bucket,
    uint32_t permille);
static void ngx_http_llm_metrics_split_state(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_metrics_read_t *rd);
static void ngx_http_llm_metrics_label_variant(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_weight(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_baseline(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_barred(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_requests(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_rescued(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_json_checked(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_json_invalid(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_tokens(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_cost(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_overdue(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_p50(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_p95(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_ttft_p95(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_time(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v, uint64_t ms);
static void ngx_http_llm_metrics_arm(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v);
static void ngx_http_llm_metrics_trigger(ngx_http_llm_page_t *page,
    ngx_http_llm_split_t *split, ngx_uint_t family);
static llm_str_t ngx_http_llm_metrics_condition(ngx_http_llm_split_t *split,
    ngx_uint_t trigger, u_char *text);
static void ngx_http_llm_metrics_trigger_value(ngx_http_llm_page_t *page,
    llm_trigger_kind_t kind, uint64_t value);


/* Families with a sample, or several, for each variant. */

static const struct {
    const char                       *name;
    const char                       *type;
    const char                       *help;
    ngx_http_llm_metrics_variant_pt   write;
} ngx_http_llm_metrics_families[] = {

    { "llm_split_weight", "gauge", "Share of the keys, 0 to 1.",
      ngx_http_llm_metrics_weight },

    { "llm_split_baseline", "gauge", "Whether the others are compared with "
      "this variant.", ngx_http_llm_metrics_baseline },

    { "llm_split_barred", "gauge", "Whether the variant was rolled back and "
      "may not be reached.", ngx_http_llm_metrics_barred },

    { "llm_split_requests_total", "counter", "Requests assigned to a variant, "
      "by what became of them there.", ngx_http_llm_metrics_requests },

    { "llm_split_rescued_total", "counter", "Requests that failed there and "
      "were served by a fallback.", ngx_http_llm_metrics_rescued },

    { "llm_split_json_checked_total", "counter", "Answers that had to be "
      "JSON.", ngx_http_llm_metrics_json_checked },

    { "llm_split_json_invalid_total", "counter", "Answers that had to be JSON "
      "and were not, or not as their schema says.",
      ngx_http_llm_metrics_json_invalid },

    { "llm_split_tokens_total", "counter", "Tokens of counted requests.",
      ngx_http_llm_metrics_tokens },

    { "llm_split_cost_usd_total", "counter", "Cost of counted requests in US "
      "dollars.", ngx_http_llm_metrics_cost },

    { "llm_split_overdue", "gauge", "Requests that run for longer than they "
      "should.", ngx_http_llm_metrics_overdue },

    { "llm_split_latency_p50_seconds", "gauge", "Median time of whole answers "
      "since the weights changed, at most of the longest window.",
      ngx_http_llm_metrics_p50 },

    { "llm_split_latency_p95_seconds", "gauge", "The same, 95th percentile.",
      ngx_http_llm_metrics_p95 },

    { "llm_split_first_token_p95_seconds", "gauge", "The same, to the first "
      "content of streams.", ngx_http_llm_metrics_ttft_p95 },

    { "llm_feedback_votes", "gauge", "Votes of an experiment as they stand, by "
      "the variant that served.", ngx_http_llm_metrics_arm },

    { NULL, NULL, NULL, NULL }
};


void
ngx_http_llm_metrics_splits(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                       i, f;
    ngx_http_llm_split_t           **split;
    ngx_http_llm_metrics_read_t     *rd;
    ngx_http_llm_metrics_variant_t   v;

    rd = ngx_http_llm_metrics_read(page, lmcf);

    if (rd == NULL) {
        return;
    }

    ngx_http_llm_metrics_split_state(page, lmcf, rd);

    split = lmcf->splits.elts;

    for (f = 0; ngx_http_llm_metrics_families[f].name; f++) {
        ngx_http_llm_page_family(page, ngx_http_llm_metrics_families[f].name,
                                 ngx_http_llm_metrics_families[f].type,
                                 ngx_http_llm_metrics_families[f].help);

        for (i = 0; i < lmcf->splits.nelts; i++) {
            v.split = split[i];
            v.doc = &rd[i].doc;

            for (v.i = 0; v.i < split[i]->store.n; v.i++) {
                v.totals = ngx_http_llm_split_totals(&split[i]->store, v.i);
                v.lately = &rd[i].lately[v.i];

                ngx_http_llm_metrics_families[f].write(page, &v);
            }
        }
    }
}


/* NULL: there is no split, or no memory. */

static ngx_http_llm_metrics_read_t *
ngx_http_llm_metrics_read(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    uint32_t                      k;
    ngx_uint_t                    i;
    llm_msec_t                    window;
    ngx_http_llm_split_t        **split;
    ngx_http_llm_variant_view_t  *view;
    ngx_http_llm_metrics_read_t  *rd;

    if (lmcf->splits.nelts == 0) {
        return NULL;
    }

    rd = ngx_palloc(page->pool, lmcf->splits.nelts
                                * sizeof(ngx_http_llm_metrics_read_t));
    view = ngx_palloc(page->pool, sizeof(ngx_http_llm_variant_view_t));

    if (rd == NULL || view == NULL) {
        page->failed = 1;
        return NULL;
    }

    split = lmcf->splits.elts;

    for (i = 0; i < lmcf->splits.nelts; i++) {
        window = llm_pace_scale(&split[i]->store.pace,
                                NGX_HTTP_LLM_METRICS_WINDOW);

        ngx_http_llm_split_doc(&lmcf->store, &split[i]->store, &rd[i].doc);

        for (k = 0; k < split[i]->store.n; k++) {
            ngx_http_llm_split_view(&lmcf->store, &split[i]->store, k, window,
                                    view);
            ngx_http_llm_metrics_lately(view, &rd[i].lately[k]);
        }
    }

    return rd;
}


static void
ngx_http_llm_metrics_lately(ngx_http_llm_variant_view_t *view,
    ngx_http_llm_metrics_lately_t *lately)
{
    uint32_t   i, *whole, *stream;

    whole = view->sums.time[LLM_TIME_WHOLE];
    stream = view->sums.time[LLM_TIME_STREAM];

    for (i = 0; i < LLM_HIST_BUCKETS; i++) {
        whole[i] += stream[i];
    }

    lately->overdue = view->overdue;
    lately->p50 = ngx_http_llm_metrics_quantile(whole, 500);
    lately->p95 = ngx_http_llm_metrics_quantile(whole, 950);
    lately->first_p95 = ngx_http_llm_metrics_quantile(
                            view->sums.time[LLM_TIME_FIRST], 950);
}


static uint64_t
ngx_http_llm_metrics_quantile(const uint32_t *bucket, uint32_t permille)
{
    return llm_hist_count(bucket) ? llm_hist_quantile(bucket, permille)
                                  : LLM_NEVER;
}


static void
ngx_http_llm_metrics_split_state(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf, ngx_http_llm_metrics_read_t *rd)
{
    llm_str_t               word[NGX_HTTP_LLM_METRICS_ROLLOUT];
    ngx_uint_t              i;
    ngx_http_llm_label_t    label;
    ngx_http_llm_split_t  **split;

    for (i = 0; i < NGX_HTTP_LLM_METRICS_ROLLOUT; i++) {
        word[i] = llm_rollout_state_name((uint32_t) i);
    }

    split = lmcf->splits.elts;

    ngx_http_llm_page_family(page, "llm_split_state", "gauge",
                             "Where the rollout of a split is.");

    for (i = 0; i < lmcf->splits.nelts; i++) {
        label.name = "split";
        label.value = ngx_http_llm_view(&split[i]->name);

        ngx_http_llm_page_states(page, &label, 1, word,
                                 NGX_HTTP_LLM_METRICS_ROLLOUT, rd[i].doc.state);
    }

    ngx_http_llm_page_family(page, "llm_split_version", "gauge",
                             "Version of a split's document.");

    for (i = 0; i < lmcf->splits.nelts; i++) {
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_label(page, "split",
                                ngx_http_llm_view(&split[i]->name));
        ngx_http_llm_page_uint(page, rd[i].doc.version);
    }

    ngx_http_llm_page_family(page, "llm_split_lease_expired", "gauge",
                             "Whether the baseline answers everybody because "
                             "there is no word from Redis.");

    for (i = 0; i < lmcf->splits.nelts; i++) {
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_label(page, "split",
                                ngx_http_llm_view(&split[i]->name));
        ngx_http_llm_page_uint(page,
                               ngx_http_llm_split_is_lost(&split[i]->store));
    }
}


static void
ngx_http_llm_metrics_label_variant(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_label(page, "split", ngx_http_llm_view(&v->split->name));
    ngx_http_llm_page_label(page, "variant",
                         ngx_http_llm_view(&v->split->variants[v->i].name));
}


static void
ngx_http_llm_metrics_weight(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_fixed(page, v->doc->weight[v->i], 4);
}


static void
ngx_http_llm_metrics_baseline(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_uint(page, v->i == v->doc->base);
}


static void
ngx_http_llm_metrics_barred(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_uint(page, llm_rollout_is_barred(v->doc, v->i) != 0);
}


static void
ngx_http_llm_metrics_requests(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    uint64_t                        n[7], failed;
    ngx_uint_t                      i;
    ngx_http_llm_variant_totals_t  *t;

    static const llm_str_t  outcome[] = {
        { 2, (const u_char *) "ok" },
        { 5, (const u_char *) "error" },
        { 7, (const u_char *) "refused" },
        { 9, (const u_char *) "uncounted" },
        { 6, (const u_char *) "forced" },
        { 10, (const u_char *) "ineligible" },
        { 6, (const u_char *) "affine" }
    };

    t = v->totals;

    n[1] = t->count[LLM_COUNT_ERRORS];
    n[2] = t->count[LLM_COUNT_REFUSED];
    failed = n[1] + n[2];

    n[0] = t->count[LLM_COUNT_N];
    n[0] = n[0] > failed ? n[0] - failed : 0;

    n[3] = t->count[LLM_COUNT_UNCOUNTED];
    n[4] = t->forced;
    n[5] = t->ineligible;
    n[6] = t->affine;

    for (i = 0; i < 7; i++) {
        ngx_http_llm_metrics_label_variant(page, v);
        ngx_http_llm_page_label(page, "outcome", outcome[i]);
        ngx_http_llm_page_uint(page, n[i]);
    }
}


static void
ngx_http_llm_metrics_rescued(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_uint(page, v->totals->rescued);
}


static void
ngx_http_llm_metrics_json_checked(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_uint(page, v->totals->count[LLM_COUNT_JSON_CHECKED]);
}


static void
ngx_http_llm_metrics_json_invalid(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_uint(page, v->totals->count[LLM_COUNT_JSON_INVALID]);
}


static void
ngx_http_llm_metrics_tokens(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_label(page, "type", LLM_STR("input"));
    ngx_http_llm_page_uint(page, v->totals->count[LLM_COUNT_INPUT]);

    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_label(page, "type", LLM_STR("output"));
    ngx_http_llm_page_uint(page, v->totals->count[LLM_COUNT_OUTPUT]);
}


static void
ngx_http_llm_metrics_cost(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_fixed(page, v->totals->count[LLM_COUNT_COST], 9);
}


static void
ngx_http_llm_metrics_overdue(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_uint(page, v->lately->overdue);
}


static void
ngx_http_llm_metrics_p50(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_time(page, v, v->lately->p50);
}


static void
ngx_http_llm_metrics_p95(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_time(page, v, v->lately->p95);
}


static void
ngx_http_llm_metrics_ttft_p95(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    ngx_http_llm_metrics_time(page, v, v->lately->first_p95);
}


/* Without samples there is no quantile, and no sample of it. */

static void
ngx_http_llm_metrics_time(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v, uint64_t ms)
{
    if (ms != LLM_NEVER) {
        ngx_http_llm_metrics_label_variant(page, v);
        ngx_http_llm_page_fixed(page, ms, 3);
    }
}


static void
ngx_http_llm_metrics_arm(ngx_http_llm_page_t *page,
    ngx_http_llm_metrics_variant_t *v)
{
    llm_experiment_arm_t  *arm;

    arm = ngx_http_llm_split_arm(&v->split->store, v->i);

    if (arm == NULL) {
        return;
    }

    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_label(page, "score", LLM_STR("up"));
    ngx_http_llm_page_uint(page, arm->up);

    ngx_http_llm_metrics_label_variant(page, v);
    ngx_http_llm_page_label(page, "score", LLM_STR("down"));
    ngx_http_llm_page_uint(page, arm->down);
}


void
ngx_http_llm_metrics_triggers(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t              i, family;
    ngx_http_llm_split_t  **split;

    static const char  *names[] = {
        "llm_trigger_value", "llm_trigger_samples", "llm_trigger_state"
    };

    static const char  *helps[] = {
        "What a trigger measured last: percent, milliseconds or dollars, as "
        "its condition.",
        "Samples it measured that on.",
        "0 idle, 1 pending, 2 firing."
    };

    split = lmcf->splits.elts;

    for (family = 0; family < 3; family++) {
        ngx_http_llm_page_family(page, names[family], "gauge", helps[family]);

        for (i = 0; i < lmcf->splits.nelts; i++) {
            ngx_http_llm_metrics_trigger(page, split[i], family);
        }
    }
}


static void
ngx_http_llm_metrics_trigger(ngx_http_llm_page_t *page,
    ngx_http_llm_split_t *split, ngx_uint_t family)
{
    u_char                text[NGX_HTTP_LLM_METRICS_TRIGGER];
    uint32_t              i, base;
    ngx_uint_t            t;
    llm_trigger_state_t  *s;

    base = ngx_http_llm_split_base(&split->store);

    for (t = 0; t < split->store.trigger_n; t++) {
        for (i = 0; i < split->store.n; i++) {
            s = ngx_http_llm_split_trigger(&split->store, t, i);

            if (i == base || (family == 0 && s->last.n == 0)) {
                continue;
            }

            ngx_http_llm_page_sample(page, "");
            ngx_http_llm_page_label(page, "split",
                                    ngx_http_llm_view(&split->name));
            ngx_http_llm_page_label(page, "variant",
                                ngx_http_llm_view(&split->variants[i].name));
            ngx_http_llm_page_label(page, "trigger",
                             ngx_http_llm_metrics_condition(split, t, text));

            if (family == 0) {
                ngx_http_llm_metrics_trigger_value(page,
                                                split->store.trigger[t].kind,
                                                s->last.value);

            } else {
                ngx_http_llm_page_uint(page, family == 1 ? s->last.n
                                                         : s->status);
            }
        }
    }
}


/* A second line with the same condition gets a number: no two samples may have
 * the same labels. */

static llm_str_t
ngx_http_llm_metrics_condition(ngx_http_llm_split_t *split, ngx_uint_t trigger,
    u_char *text)
{
    u_char                     *p;
    llm_buf_t                   buf;
    ngx_uint_t                  t, n;
    const llm_trigger_conf_t   *conf, *c;

    conf = &split->store.trigger[trigger];
    n = 1;

    for (t = 0; t < trigger; t++) {
        c = &split->store.trigger[t];

        n += (c->kind == conf->kind && c->threshold == conf->threshold
              && c->inclusive == conf->inclusive);
    }

    llm_buf_init(&buf, text, NGX_HTTP_LLM_METRICS_TRIGGER - 32);
    llm_trigger_put(&buf, conf);

    p = buf.pos;

    if (n > 1) {
        p = ngx_sprintf(p, " (%ui)", n);
    }

    return (llm_str_t) { p - text, text };
}


static void
ngx_http_llm_metrics_trigger_value(ngx_http_llm_page_t *page,
    llm_trigger_kind_t kind, uint64_t value)
{
    switch (kind) {

    case LLM_TRIGGER_P95_RISE:
    case LLM_TRIGGER_P95:
    case LLM_TRIGGER_TTFT_P95:
        ngx_http_llm_page_uint(page, value);
        break;

    case LLM_TRIGGER_COST:
        ngx_http_llm_page_fixed(page, value, 9);
        break;

    default:
        ngx_http_llm_page_fixed(page, value, 2);
        break;
    }
}


void
ngx_http_llm_metrics_feedback(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_http_llm_vote_totals_t  *t;

    t = lmcf->store.zone ? ngx_http_llm_vote_totals(&lmcf->store) : NULL;

    if (t == NULL) {
        return;
    }

    ngx_http_llm_page_family(page, "llm_feedback_total", "counter",
                             "Votes taken, repeated ones as well.");
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_uint(page, t->votes);

    ngx_http_llm_page_family(page, "llm_feedback_unknown_total", "counter",
                             "Votes for requests that are not known, or not "
                             "any more.");
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_uint(page, t->late);

    ngx_http_llm_page_family(page, "llm_feedback_forwarded_total", "counter",
                             "Votes for requests that another node must have "
                             "served.");
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_uint(page, t->forwarded);
}
