/*
 * What a trigger looks at: rates, percentiles and costs of a variant in the
 * shortest window that holds enough samples, next to the same of the baseline.
 *
 * Requests that still run are evidence: one older than the longest attempt is
 * an error, one older than the baseline's p95 and five seconds is slow.  A
 * baseline without traffic of its own is replaced by what it did before the
 * rollout began.
 */

#include "llm_trigger_kind.h"

#define LLM_MEASURE_SETTLE  60000       /* after a new weight */
#define LLM_MEASURE_SLOW    5000        /* beyond the baseline's p95 */
#define LLM_MEASURE_FLOOR   3           /* errors; fewer are bad luck */
#define LLM_MEASURE_P95     950         /* permille */


/* A trigger's own numbers for one measurement. */
typedef struct {
    const llm_trigger_conf_t      *conf;
    const llm_trigger_kind_row_t  *row;
    const llm_pace_t              *pace;
    const llm_arms_t              *arms;
    uint64_t                       min;
    llm_msec_t                     since;   /* for comparisons */
} llm_measuring_t;


/* The i-th window to try; 0 behind the last. */
static llm_msec_t
llm_measure_window(const llm_measuring_t *x, size_t i)
{
    if (x->conf->window) {
        return i == 0 ? x->conf->window : 0;
    }

    return i < x->row->window_n ? llm_pace_scale(x->pace, x->row->window[i])
                                : 0;
}


/* One-sided z squared, in thousandths, of a confidence in basis points. */
static uint64_t
llm_measure_z2(uint32_t confidence)
{
    size_t  i;

    static const struct {
        uint32_t  confidence;
        uint32_t  z2;
    } table[] = {
        { 5000, 0 }, { 6000, 64 }, { 7000, 275 }, { 8000, 708 },
        { 8500, 1074 }, { 9000, 1642 }, { 9500, 2706 }, { 9750, 3841 },
        { 9900, 5412 }, { 9950, 6635 }, { 9990, 9550 }, { 9999, 13831 }
    };

    if (confidence <= table[0].confidence) {
        return 0;
    }

    for (i = 1; i < sizeof(table) / sizeof(table[0]); i++) {
        if (confidence <= table[i].confidence) {
            return table[i - 1].z2
                   + (uint64_t) (table[i].z2 - table[i - 1].z2)
                     * (confidence - table[i - 1].confidence)
                     / (table[i].confidence - table[i - 1].confidence);
        }
    }

    return table[i - 1].z2;
}


/*
 * Whether the lower end of Wilson's interval is above a threshold.  The
 * interval is the score test turned round, so the test answers it without a
 * root: (p - t)^2 > z^2 t (1 - t) / n.
 */
static int
llm_measure_is_sure(uint64_t bad, uint64_t n, uint64_t threshold,
    uint32_t confidence)
{
    double  p, t;

    p = (double) bad / (double) n;
    t = (double) threshold / 10000;

    return (p - t) * (p - t) * (double) n * 1000
           > (double) llm_measure_z2(confidence) * t * (1 - t);
}


/* bad of n against the threshold; n is not 0. */
static void
llm_measure_rate(const llm_trigger_conf_t *conf, uint64_t bad, uint64_t n,
    llm_measure_t *m)
{
    int       over;
    uint64_t  floor, limit;

    m->n = n;
    m->value = bad * 10000 / n;

    limit = conf->threshold * n;
    over = conf->inclusive ? bad * 10000 >= limit : bad * 10000 > limit;

    if (over) {
        floor = conf->min && conf->min < LLM_MEASURE_FLOOR ? conf->min
                                                           : LLM_MEASURE_FLOOR;

        m->result = bad >= floor
                    && (conf->confidence == 0
                        || llm_measure_is_sure(bad, n, conf->threshold,
                                               conf->confidence))
                    ? LLM_MEASURE_TRUE : LLM_MEASURE_BETWEEN;
        return;
    }

    m->result = bad * 10 * 10000 <= limit * 8 ? LLM_MEASURE_CLEAR
                                              : LLM_MEASURE_BETWEEN;
}


/* m->value, in the threshold's unit, against it. */
static void
llm_measure_value(const llm_trigger_conf_t *conf, llm_measure_t *m)
{
    if (conf->inclusive ? m->value >= conf->threshold
                        : m->value > conf->threshold)
    {
        m->result = LLM_MEASURE_TRUE;
        return;
    }

    m->result = m->value <= conf->threshold / 10 * 8
                            + conf->threshold % 10 * 8 / 10
                ? LLM_MEASURE_CLEAR : LLM_MEASURE_BETWEEN;
}


static void
llm_measure_errors(const llm_measuring_t *x, llm_measure_t *m)
{
    size_t      i;
    uint64_t    n, late, min, count[LLM_COUNTS];
    llm_msec_t  length;

    n = 0;
    late = llm_window_overdue(x->arms->variant, x->arms->now,
                              x->pace->timeout, x->arms->reset);

    for (i = 0; (length = llm_measure_window(x, i)) != 0; i++) {
        llm_window_count(x->arms->variant, x->arms->now, length,
                         x->arms->reset, count);

        n = count[LLM_COUNT_N] + late;
        min = x->min;

        /* half of them are enough where there is no longer window */

        if (x->conf->min == 0 && i + 1 == LLM_TRIGGER_WINDOWS) {
            min /= 2;
        }

        m->window = length;

        if (n >= min) {
            llm_measure_rate(x->conf, count[LLM_COUNT_ERRORS] + late, n, m);
            return;
        }
    }

    m->n = n;
}


/* A share of the baseline in a window, in millionths, from what it does now or
 * did before; 0: not known. */
static int
llm_measure_base_share(const llm_measuring_t *x, llm_msec_t length,
    llm_msec_t since, llm_count_t bad, llm_count_t all, uint64_t *share)
{
    uint64_t         count[LLM_COUNTS];
    const uint64_t  *c;

    c = NULL;

    if (x->arms->baseline) {
        llm_window_count(x->arms->baseline, x->arms->now, length, since,
                         count);
        if (count[all] >= x->min) {
            c = count;
        }
    }

    if (c == NULL && x->arms->frozen && x->arms->frozen->count[all] >= x->min) {
        c = x->arms->frozen->count;
    }

    if (c == NULL) {
        return 0;
    }

    *share = c[bad] * 1000000 / c[all];

    return 1;
}


static void
llm_measure_json(const llm_measuring_t *x, llm_measure_t *m)
{
    size_t      i;
    uint64_t    n, bad, base, count[LLM_COUNTS];
    llm_msec_t  length;

    n = 0;

    for (i = 0; (length = llm_measure_window(x, i)) != 0; i++) {
        llm_window_count(x->arms->variant, x->arms->now, length,
                         x->arms->reset, count);

        n = count[LLM_COUNT_JSON_CHECKED];
        m->window = length;

        if (n < x->min || n == 0) {
            continue;
        }

        bad = count[LLM_COUNT_JSON_INVALID];
        llm_measure_rate(x->conf, bad, n, m);

        if (llm_measure_base_share(x, length, x->arms->reset,
                                   LLM_COUNT_JSON_INVALID,
                                   LLM_COUNT_JSON_CHECKED, &base))
        {
            m->baseline = base / 100;

            /* no worse than what it is to replace */

            if (m->result == LLM_MEASURE_TRUE && bad * 1000000 <= base * n) {
                m->result = LLM_MEASURE_BETWEEN;
            }
        }

        return;
    }

    m->n = n;
}


static void
llm_measure_excess(const llm_measuring_t *x, llm_measure_t *m)
{
    size_t      i;
    uint64_t    n, own, base, count[LLM_COUNTS];
    llm_msec_t  length;

    n = 0;

    for (i = 0; (length = llm_measure_window(x, i)) != 0; i++) {
        llm_window_count(x->arms->variant, x->arms->now, length, x->since,
                         count);

        n = count[LLM_COUNT_N];
        m->window = length;

        if (n < x->min || n == 0) {
            continue;
        }

        m->n = n;
        m->result = LLM_MEASURE_NO_BASELINE;

        if (llm_measure_base_share(x, length, x->since, LLM_COUNT_REFUSED,
                                   LLM_COUNT_N, &base))
        {
            own = count[LLM_COUNT_REFUSED] * 1000000 / n;
            m->value = own > base ? (own - base) / 100 : 0;
            m->baseline = base / 100;

            llm_measure_value(x->conf, m);
            return;
        }
    }

    m->n = n;
}


static void
llm_measure_cost(const llm_measuring_t *x, llm_measure_t *m)
{
    size_t      i;
    uint64_t    n, count[LLM_COUNTS];
    llm_msec_t  length;

    n = 0;

    for (i = 0; (length = llm_measure_window(x, i)) != 0; i++) {
        llm_window_count(x->arms->variant, x->arms->now, length,
                         x->arms->reset, count);

        n = count[LLM_COUNT_PRICED];
        m->window = length;

        if (n >= x->min && n) {
            m->n = n;
            m->value = count[LLM_COUNT_COST] / n;
            llm_measure_value(x->conf, m);
            return;
        }
    }

    m->n = n;
}


/* Of two kinds of answers, the one that most requests ask for: what still runs
 * is taken for one of these. */
static llm_time_t
llm_measure_usual(const llm_sums_t *v, const llm_sums_t *base)
{
    uint64_t  whole, stream;

    whole = llm_hist_count(v->time[LLM_TIME_WHOLE]);
    stream = llm_hist_count(v->time[LLM_TIME_STREAM]);

    if (whole + stream == 0 && base) {
        whole = llm_hist_count(base->time[LLM_TIME_WHOLE]);
        stream = llm_hist_count(base->time[LLM_TIME_STREAM]);
    }

    return stream > whole ? LLM_TIME_STREAM : LLM_TIME_WHOLE;
}


static void
llm_measure_p95(const llm_measuring_t *x, llm_measure_t *m)
{
    size_t             i, k, first, last;
    uint64_t           n, more, late, value;
    llm_time_t         usual;
    llm_msec_t         length;
    const llm_sums_t  *v;

    v = &x->arms->scratch[0];
    first = x->conf->kind == LLM_TRIGGER_P95 ? LLM_TIME_WHOLE : LLM_TIME_FIRST;
    last = x->conf->kind == LLM_TRIGGER_P95 ? LLM_TIME_STREAM : LLM_TIME_FIRST;

    /* what runs for longer than the threshold is slower than it; nobody knows
     * of a stream that runs when its first content came */

    late = x->conf->kind == LLM_TRIGGER_P95
           ? llm_window_overdue(x->arms->variant, x->arms->now,
                                x->conf->threshold + 1, x->arms->reset)
           : 0;

    for (i = 0; (length = llm_measure_window(x, i)) != 0; i++) {
        llm_window_sum(x->arms->variant, x->arms->now, length, x->arms->reset,
                       &x->arms->scratch[0]);

        usual = llm_measure_usual(v, NULL);
        m->window = length;
        m->n = 0;

        for (k = first; k <= last; k++) {
            more = k == (size_t) usual ? late : 0;
            n = llm_hist_count(v->time[k]) + more;

            if (n > m->n) {
                m->n = n;
            }

            if (n < x->min || n == 0) {
                continue;
            }

            value = llm_hist_quantile_with(v->time[k], more,
                                           x->conf->threshold + 1,
                                           LLM_MEASURE_P95);

            if (m->result == LLM_MEASURE_INSUFFICIENT || value > m->value) {
                m->value = value;
                llm_measure_value(x->conf, m);
            }
        }

        if (m->result != LLM_MEASURE_INSUFFICIENT) {
            return;
        }
    }
}


/* The baseline's p95 over both kinds of answers; LLM_NEVER: too few. */
static llm_msec_t
llm_measure_base_p95(const llm_measuring_t *x, const llm_sums_t *base)
{
    size_t      k;
    llm_msec_t  p95, most;

    most = LLM_NEVER;

    for (k = LLM_TIME_WHOLE; k <= LLM_TIME_STREAM; k++) {
        if (llm_hist_count(base->time[k]) < x->min) {
            continue;
        }

        p95 = llm_hist_quantile(base->time[k], LLM_MEASURE_P95);

        if (most == LLM_NEVER || p95 > most) {
            most = p95;
        }
    }

    return most;
}


/* scratch[0] against a baseline: the worse of both kinds of answers counts. */
static void
llm_measure_compare(const llm_measuring_t *x, const llm_sums_t *base,
    llm_measure_t *m)
{
    size_t             k;
    uint64_t           n, more, late, own, theirs;
    llm_time_t         usual;
    llm_msec_t         age, p95, slow;
    const llm_sums_t  *v;

    v = &x->arms->scratch[0];
    usual = llm_measure_usual(v, base);
    age = 0;
    late = 0;
    m->n = 0;

    p95 = llm_measure_base_p95(x, base);

    if (p95 != LLM_NEVER) {
        slow = llm_pace_scale(x->pace, LLM_MEASURE_SLOW);
        slow = slow > x->conf->threshold ? slow : x->conf->threshold;
        age = p95 + slow + 1;
        late = llm_window_overdue(x->arms->variant, x->arms->now, age,
                                  x->since);
    }

    for (k = LLM_TIME_WHOLE; k <= LLM_TIME_STREAM; k++) {
        more = k == (size_t) usual ? late : 0;
        n = llm_hist_count(v->time[k]) + more;

        if (n > m->n) {
            m->n = n;
        }

        if (n < x->min || n == 0) {
            continue;
        }

        if (m->result == LLM_MEASURE_INSUFFICIENT) {
            m->result = LLM_MEASURE_NO_BASELINE;
        }

        if (llm_hist_count(base->time[k]) < x->min) {
            continue;
        }

        own = llm_hist_quantile_with(v->time[k], more, age, LLM_MEASURE_P95);
        theirs = llm_hist_quantile(base->time[k], LLM_MEASURE_P95);
        own = own > theirs ? own - theirs : 0;

        if (m->baseline == LLM_NEVER || own > m->value) {
            m->value = own;
            m->baseline = theirs;
            llm_measure_value(x->conf, m);
        }
    }
}


static void
llm_measure_rise(const llm_measuring_t *x, llm_measure_t *m)
{
    size_t             i;
    llm_msec_t         length, enough;
    const llm_arms_t  *arms;

    arms = x->arms;
    enough = 0;

    for (i = 0; (length = llm_measure_window(x, i)) != 0; i++) {
        llm_window_sum(arms->variant, arms->now, length, x->since,
                       &arms->scratch[0]);

        if (arms->baseline) {
            llm_window_sum(arms->baseline, arms->now, length, x->since,
                           &arms->scratch[1]);
        } else {
            memset(&arms->scratch[1], 0, sizeof(llm_sums_t));
        }

        m->window = length;
        m->result = LLM_MEASURE_INSUFFICIENT;
        llm_measure_compare(x, &arms->scratch[1], m);

        if (m->baseline != LLM_NEVER) {
            return;
        }

        if (m->result == LLM_MEASURE_NO_BASELINE && enough == 0) {
            enough = length;
        }
    }

    if (arms->frozen == NULL) {
        return;
    }

    /* with what still runs, the shortest window may be enough: only this
     * baseline knows what is overdue */

    enough = enough ? enough : llm_measure_window(x, 0);

    llm_window_sum(arms->variant, arms->now, enough, x->since,
                   &arms->scratch[0]);
    m->window = enough;
    m->result = LLM_MEASURE_INSUFFICIENT;
    llm_measure_compare(x, arms->frozen, m);
}


void
llm_trigger_measure(const llm_trigger_conf_t *conf, const llm_pace_t *pace,
    const llm_arms_t *arms, llm_measure_t *m)
{
    llm_measuring_t  x;

    memset(m, 0, sizeof(llm_measure_t));
    m->baseline = LLM_NEVER;

    x.conf = conf;
    x.row = llm_trigger_kind(conf->kind);
    x.pace = pace;
    x.arms = arms;
    x.min = conf->min ? conf->min : x.row->min;
    x.since = arms->since ? arms->since
                            + llm_pace_scale(pace, LLM_MEASURE_SETTLE) : 0;

    if (x.since < arms->reset) {
        x.since = arms->reset;
    }

    switch (conf->kind) {

    case LLM_TRIGGER_ERROR_RATE:
    case LLM_TRIGGER_FAST_BURN:
        llm_measure_errors(&x, m);
        return;

    case LLM_TRIGGER_JSON_INVALID:
        llm_measure_json(&x, m);
        return;

    case LLM_TRIGGER_P95_RISE:
        llm_measure_rise(&x, m);
        return;

    case LLM_TRIGGER_COST:
        llm_measure_cost(&x, m);
        return;

    case LLM_TRIGGER_4XX_EXCESS:
        llm_measure_excess(&x, m);
        return;

    default: /* LLM_TRIGGER_P95, LLM_TRIGGER_TTFT_P95 */
        llm_measure_p95(&x, m);
        return;
    }
}


int
llm_trigger_doubts(const llm_trigger_conf_t *conf, const uint64_t *count)
{
    uint64_t       n, bad;
    llm_measure_t  m;

    switch (conf->kind) {

    case LLM_TRIGGER_ERROR_RATE:
    case LLM_TRIGGER_FAST_BURN:
        n = count[LLM_COUNT_N];
        bad = count[LLM_COUNT_ERRORS];
        break;

    case LLM_TRIGGER_JSON_INVALID:
        n = count[LLM_COUNT_JSON_CHECKED];
        bad = count[LLM_COUNT_JSON_INVALID];
        break;

    default:
        return 0;
    }

    if (n == 0) {
        return 0;
    }

    llm_measure_rate(conf, bad, n, &m);

    return m.result == LLM_MEASURE_TRUE;
}
