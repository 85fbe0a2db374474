/*
 * The report of an experiment: what each arm did, with intervals that may be
 * looked at any time, and what the comparison with the baseline says.
 *
 * The arms go on counting while they are read: the numbers of a report may be
 * a request apart.
 */

#include "ngx_http_llm_experiment.h"

#include <math.h>


/* A report while it is made. */
typedef struct {
    ngx_http_llm_split_t         *split;
    ngx_pool_t                   *pool;
    ngx_uint_t                    failed;       /* no memory */
    llm_split_doc_t               doc;
    const llm_experiment_arm_t   *arm[LLM_SPLIT_VARIANTS];
    ngx_uint_t                    valid;
} ngx_http_llm_report_t;


/* How a metric is shown. */
typedef struct {
    char    *unit;
    double   scale;
    double   digits;                            /* 10 to their number */
} ngx_http_llm_report_unit_t;


static void ngx_http_llm_report_soundness(ngx_http_llm_report_t *rp,
    cJSON *out);
static void ngx_http_llm_report_arm(ngx_http_llm_report_t *rp, cJSON *arms,
    ngx_uint_t i);
static cJSON *ngx_http_llm_report_metric(ngx_http_llm_report_t *rp,
    cJSON *parent, ngx_uint_t i, llm_metric_t metric);
static void ngx_http_llm_report_thumbs(ngx_http_llm_report_t *rp, cJSON *thumbs,
    const llm_experiment_arm_t *arm);
static cJSON *ngx_http_llm_report_put(ngx_http_llm_report_t *rp, cJSON *parent,
    const char *name, cJSON *item);
static void ngx_http_llm_report_number(ngx_http_llm_report_t *rp,
    cJSON *parent, const char *name, double n, double digits);
static void ngx_http_llm_report_text(ngx_http_llm_report_t *rp, cJSON *parent,
    const char *name, const u_char *data, size_t len);
static void ngx_http_llm_report_time(ngx_http_llm_report_t *rp, cJSON *parent,
    const char *name, llm_msec_t t);


/* in the order of llm_metric_t */

static ngx_http_llm_report_unit_t  ngx_http_llm_report_units[LLM_METRICS] = {
    { "percent", 100, 1e4 },
    { "percent", 100, 1e4 },
    { "percent", 100, 1e4 },
    { "usd", 1e-9, 1e9 },
    { "tokens", 1, 1e3 },
    { "ms", 1, 1e3 }
};


cJSON *
ngx_http_llm_experiment_json(ngx_http_llm_store_t *store,
    ngx_http_llm_split_t *split, const llm_experiment_arm_t *arm,
    ngx_uint_t nodes, ngx_pool_t *pool)
{
    cJSON                  *out, *arms;
    ngx_str_t              *base;
    ngx_uint_t              i;
    ngx_http_llm_report_t   rp;

    if (split->store.experiment.len == 0 || split->store.node == NULL) {
        return NULL;
    }

    ngx_memzero(&rp, sizeof(ngx_http_llm_report_t));
    rp.split = split;
    rp.pool = pool;

    ngx_http_llm_split_doc(store, &split->store, &rp.doc);

    for (i = 0; i < split->store.n; i++) {
        rp.arm[i] = arm ? &arm[i] : ngx_http_llm_split_arm(&split->store, i);
    }

    out = cJSON_CreateObject();
    if (out == NULL) {
        return NULL;
    }

    base = &split->variants[rp.doc.base].name;

    ngx_http_llm_report_text(&rp, out, "name", split->store.experiment.data,
                             split->store.experiment.len);
    ngx_http_llm_report_text(&rp, out, "split", split->name.data,
                             split->name.len);
    ngx_http_llm_report_number(&rp, out, "phase",
                               ngx_http_llm_split_phase(&split->store), 1);
    ngx_http_llm_report_time(&rp, out, "since", rp.doc.weighed);
    ngx_http_llm_report_text(&rp, out, "baseline", base->data, base->len);
    ngx_http_llm_report_number(&rp, out, "margin", split->margin * 100, 1e4);

    if (store->redis) {
        ngx_http_llm_report_number(&rp, out, "nodes", (double) nodes, 1);
    }

    ngx_http_llm_report_soundness(&rp, out);

    arms = ngx_http_llm_report_put(&rp, out, "arms", cJSON_CreateArray());

    for (i = 0; i < split->store.n && !rp.failed; i++) {
        ngx_http_llm_report_arm(&rp, arms, i);
    }

    if (rp.failed) {
        cJSON_Delete(out);
        return NULL;
    }

    return out;
}


/* Whether the comparison means anything; without sticky keys nobody knows who
 * the users are, and requests came by chance. */

static void
ngx_http_llm_report_soundness(ngx_http_llm_report_t *rp, cJSON *out)
{
    cJSON       *srm, *overlap;
    double       p, share;
    uint64_t     units;
    ngx_uint_t   i, n;

    n = rp->split->store.n;
    units = 0;

    for (i = 0; i < n; i++) {
        units += llm_experiment_units(rp->arm[i]);
    }

    p = llm_experiment_srm(rp->arm, rp->doc.weight, (uint32_t) n);
    share = llm_experiment_overlap(rp->arm, (uint32_t) n);

    rp->valid = (p >= LLM_EXPERIMENT_SRM && share <= LLM_EXPERIMENT_OVERLAP);

    ngx_http_llm_report_number(rp, out, "units", units, 1);
    ngx_http_llm_report_put(rp, out, "valid", cJSON_CreateBool(rp->valid));

    srm = ngx_http_llm_report_put(rp, out, "srm", cJSON_CreateObject());
    ngx_http_llm_report_number(rp, srm, "p", units ? p : NAN, 1e6);
    ngx_http_llm_report_put(rp, srm, "ok",
                            cJSON_CreateBool(p >= LLM_EXPERIMENT_SRM));

    overlap = ngx_http_llm_report_put(rp, out, "overlap",
                                      cJSON_CreateObject());
    ngx_http_llm_report_number(rp, overlap, "percent", share * 100, 1e4);
    ngx_http_llm_report_put(rp, overlap, "ok",
                            cJSON_CreateBool(share <= LLM_EXPERIMENT_OVERLAP));
}


static void
ngx_http_llm_report_arm(ngx_http_llm_report_t *rp, cJSON *arms, ngx_uint_t i)
{
    cJSON                       *out, *m;
    ngx_str_t                   *name;
    const llm_experiment_arm_t  *arm;

    arm = rp->arm[i];
    name = &rp->split->variants[i].name;

    out = ngx_http_llm_report_put(rp, arms, NULL, cJSON_CreateObject());

    ngx_http_llm_report_text(rp, out, "variant", name->data, name->len);
    ngx_http_llm_report_put(rp, out, "baseline",
                            cJSON_CreateBool(i == rp->doc.base));
    ngx_http_llm_report_number(rp, out, "weight", rp->doc.weight[i] / 100.,
                               1e2);
    ngx_http_llm_report_number(rp, out, "n", arm->requests, 1);
    ngx_http_llm_report_number(rp, out, "units", llm_experiment_units(arm), 1);

    (void) ngx_http_llm_report_metric(rp, out, i, LLM_METRIC_ERRORS);
    (void) ngx_http_llm_report_metric(rp, out, i, LLM_METRIC_JSON_INVALID);

    m = ngx_http_llm_report_metric(rp, out, i, LLM_METRIC_THUMBS);
    ngx_http_llm_report_thumbs(rp, m, arm);

    (void) ngx_http_llm_report_metric(rp, out, i, LLM_METRIC_COST);
    (void) ngx_http_llm_report_metric(rp, out, i, LLM_METRIC_TOKENS);

    m = ngx_http_llm_report_metric(rp, out, i, LLM_METRIC_LATENCY);
    ngx_http_llm_report_number(rp, m, "p50", llm_hist_quantile(arm->time, 500),
                               1);
    ngx_http_llm_report_number(rp, m, "p95", llm_hist_quantile(arm->time, 950),
                               1);
}


/* {"n","unit","mean","half"} and, beside the baseline, the difference to it;
 * what is not known yet is null. */

static cJSON *
ngx_http_llm_report_metric(ngx_http_llm_report_t *rp, cJSON *parent,
    ngx_uint_t i, llm_metric_t metric)
{
    cJSON                       *out;
    llm_str_t                    name;
    llm_estimate_t               e;
    llm_contrast_t               c;
    ngx_http_llm_report_unit_t  *u;

    u = &ngx_http_llm_report_units[metric];

    out = ngx_http_llm_report_put(rp, parent,
                              (const char *) llm_metric_name(metric).data,
                              cJSON_CreateObject());

    llm_experiment_mean(rp->arm[i], metric, &e);

    ngx_http_llm_report_number(rp, out, "n", e.n, 1);
    ngx_http_llm_report_text(rp, out, "unit", (u_char *) u->unit,
                             ngx_strlen(u->unit));
    ngx_http_llm_report_number(rp, out, "mean", e.n ? e.mean * u->scale : NAN,
                               u->digits);
    ngx_http_llm_report_number(rp, out, "half",
                               e.known ? e.half * u->scale : NAN, u->digits);

    if (i == rp->doc.base) {
        return out;
    }

    llm_experiment_contrast(rp->arm[rp->doc.base], rp->arm[i], metric,
                            rp->split->margin, &c);

    name = llm_verdict_name(rp->valid ? c.verdict : LLM_VERDICT_INVALID);

    ngx_http_llm_report_number(rp, out, "difference",
                               c.known ? c.difference * u->scale : NAN,
                               u->digits);
    ngx_http_llm_report_number(rp, out, "difference_half",
                               c.known ? c.half * u->scale : NAN, u->digits);
    ngx_http_llm_report_text(rp, out, "verdict", name.data, name.len);

    return out;
}


/* A variant can change who votes: so how many do is shown beside. */

static void
ngx_http_llm_report_thumbs(ngx_http_llm_report_t *rp, cJSON *thumbs,
    const llm_experiment_arm_t *arm)
{
    double  votes;

    votes = (double) arm->up + (double) arm->down;

    ngx_http_llm_report_number(rp, thumbs, "up", arm->up, 1);
    ngx_http_llm_report_number(rp, thumbs, "down", arm->down, 1);
    ngx_http_llm_report_number(rp, thumbs, "votes_per_response",
                               arm->requests ? votes / arm->requests : NAN,
                               1e6);
}


/* ---- trees --------------------------------------------------------------- */

/* Takes the item; names of members are literals.  NULL once memory was short:
 * cJSON accepts that as a parent. */

static cJSON *
ngx_http_llm_report_put(ngx_http_llm_report_t *rp, cJSON *parent,
    const char *name, cJSON *item)
{
    cJSON_bool  done;

    if (item == NULL || parent == NULL) {
        cJSON_Delete(item);
        rp->failed = 1;
        return NULL;
    }

    done = name ? cJSON_AddItemToObjectCS(parent, name, item)
                : cJSON_AddItemToArray(parent, item);

    if (!done) {
        cJSON_Delete(item);
        rp->failed = 1;
        return NULL;
    }

    return item;
}


static void
ngx_http_llm_report_number(ngx_http_llm_report_t *rp, cJSON *parent,
    const char *name, double n, double digits)
{
    cJSON  *item;

    item = isnan(n) ? cJSON_CreateNull()
                    : cJSON_CreateNumber(round(n * digits) / digits);

    (void) ngx_http_llm_report_put(rp, parent, name, item);
}


static void
ngx_http_llm_report_text(ngx_http_llm_report_t *rp, cJSON *parent,
    const char *name, const u_char *data, size_t len)
{
    u_char  *text;

    text = ngx_pnalloc(rp->pool, len + 1);

    if (text == NULL) {
        rp->failed = 1;
        return;
    }

    ngx_memcpy(text, data, len);
    text[len] = '\0';

    (void) ngx_http_llm_report_put(rp, parent, name,
                                   cJSON_CreateString((char *) text));
}


static void
ngx_http_llm_report_time(ngx_http_llm_report_t *rp, cJSON *parent,
    const char *name, llm_msec_t t)
{
    u_char    text[sizeof("2026-11-21T10:00:00.000Z")], *p;
    ngx_tm_t  tm;

    ngx_gmtime((time_t) (t / 1000), &tm);

    p = ngx_sprintf(text, "%4d-%02d-%02dT%02d:%02d:%02d.%03MZ",
                    tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                    tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                    (ngx_msec_t) (t % 1000));

    ngx_http_llm_report_text(rp, parent, name, text, p - text);
}
