/*
 * Triggers: their kinds, their clock, and how a condition that holds for long
 * enough fires.  How it is measured is in llm_trigger_measure.c.
 */

#include "llm_trigger_kind.h"
#include "llm_price.h"
#include "llm_split.h"

#define LLM_TRIGGER_FREEZE  300000      /* without data, then disarmed */
#define LLM_TRIGGER_WINDOW  60000
#define LLM_TRIGGER_TICK    1000
#define LLM_TRIGGER_LEAST   10          /* ms, of a slot and of a tick */

#define llm_s(s)  { sizeof(s) - 1, (const unsigned char *) (s) }


static const llm_trigger_kind_row_t  llm_trigger_kinds[LLM_TRIGGERS] = {

    [LLM_TRIGGER_ERROR_RATE] =
        { llm_s("error_rate"), LLM_UNIT_RATE, 500, 300000, 20,
          { 60000, 120000, 300000, 600000 }, 4, LLM_ACTION_ROLLBACK },
    [LLM_TRIGGER_JSON_INVALID] =
        { llm_s("json_invalid"), LLM_UNIT_RATE, 200, 60000, 100,
          { 300000, 600000, 1800000 }, 3, LLM_ACTION_ROLLBACK },
    [LLM_TRIGGER_P95_RISE] =
        { llm_s("p95_rise"), LLM_UNIT_TIME, 5000, 60000, 100,
          { 300000, 600000, 1800000 }, 3, LLM_ACTION_ROLLBACK },
    [LLM_TRIGGER_P95] =
        { llm_s("p95"), LLM_UNIT_TIME, 0, 60000, 100,
          { 300000, 600000, 1800000 }, 3, LLM_ACTION_ROLLBACK },
    [LLM_TRIGGER_TTFT_P95] =
        { llm_s("ttft_p95"), LLM_UNIT_TIME, 0, 60000, 100,
          { 300000, 600000, 1800000 }, 3, LLM_ACTION_ROLLBACK },
    [LLM_TRIGGER_COST] =
        { llm_s("cost_per_request"), LLM_UNIT_MONEY, 0, 60000, 20,
          { 300000, 600000, 1800000 }, 3, LLM_ACTION_ROLLBACK },
    [LLM_TRIGGER_4XX_EXCESS] =
        { llm_s("upstream_4xx_excess"), LLM_UNIT_RATE, 500, 60000, 50,
          { 300000, 600000, 1800000 }, 3, LLM_ACTION_PAUSE },
    [LLM_TRIGGER_FAST_BURN] =
        { llm_s("fast_burn"), LLM_UNIT_RATE, 5000, 15000, 20,
          { 30000 }, 1, LLM_ACTION_ROLLBACK },
};


const llm_trigger_kind_row_t *
llm_trigger_kind(llm_trigger_kind_t kind)
{
    return &llm_trigger_kinds[kind];
}


llm_str_t
llm_trigger_name(llm_trigger_kind_t kind)
{
    return (unsigned) kind < LLM_TRIGGERS ? llm_trigger_kinds[kind].name
                                          : LLM_NOSTR;
}


llm_rc_t
llm_trigger_by_name(llm_str_t name, llm_trigger_kind_t *kind)
{
    unsigned  i;

    for (i = 0; i < LLM_TRIGGERS; i++) {
        if (llm_str_eq(name, llm_trigger_kinds[i].name)) {
            *kind = (llm_trigger_kind_t) i;
            return LLM_OK;
        }
    }

    return LLM_NONE;
}


void
llm_trigger_defaults(llm_trigger_kind_t kind, llm_trigger_conf_t *conf)
{
    const llm_trigger_kind_row_t  *row;

    row = &llm_trigger_kinds[kind];

    memset(conf, 0, sizeof(llm_trigger_conf_t));

    conf->kind = kind;
    conf->action = row->action;
    conf->inclusive = (kind == LLM_TRIGGER_FAST_BURN);
    conf->threshold = row->threshold;
    conf->hold = row->hold;
}


void
llm_trigger_pace(const llm_trigger_conf_t *conf, uint32_t n,
    llm_msec_t timeout, llm_pace_t *pace)
{
    uint32_t    i;
    llm_msec_t  window, most;

    window = LLM_TRIGGER_WINDOW;
    most = 0;
    pace->tick = LLM_TRIGGER_TICK;

    for (i = 0; i < n; i++) {
        if (conf[i].window && conf[i].window < window) {
            window = conf[i].window;
        }

        if (conf[i].window > most) {
            most = conf[i].window;
        }

        if (conf[i].hold && conf[i].hold / 10 < pace->tick) {
            pace->tick = conf[i].hold / 10;
        }
    }

    pace->slot = window / 6;
    most = most / (LLM_WINDOW_LONG * LLM_WINDOW_RATIO);

    if (pace->slot < most) {
        pace->slot = most;
    }

    if (window / 10 < pace->tick) {
        pace->tick = window / 10;
    }

    if (pace->slot < LLM_TRIGGER_LEAST) {
        pace->slot = LLM_TRIGGER_LEAST;
    }

    if (pace->tick < LLM_TRIGGER_LEAST) {
        pace->tick = LLM_TRIGGER_LEAST;
    }

    pace->timeout = timeout;
}


llm_msec_t
llm_pace_scale(const llm_pace_t *pace, llm_msec_t ms)
{
    return ms * pace->slot / LLM_WINDOW_SLOT;
}


llm_msec_t
llm_trigger_reach(const llm_trigger_conf_t *conf, const llm_pace_t *pace)
{
    if (conf->window) {
        return conf->hold + conf->window;
    }

    return conf->hold
           + llm_pace_scale(pace, llm_trigger_kinds[conf->kind].window[0]);
}


static void
llm_trigger_disarm(llm_trigger_state_t *s, llm_msec_t now)
{
    if (s->status != LLM_TRIGGER_IDLE || s->clear_at == 0) {
        s->status = LLM_TRIGGER_IDLE;
        s->clear_at = now;
    }

    s->frozen = 0;
}


/* The time without data does not count. */
static void
llm_trigger_thaw(llm_trigger_state_t *s, llm_msec_t now)
{
    if (s->frozen) {
        s->frozen = 0;
        s->pending_at += now > s->frozen_at ? now - s->frozen_at : 0;
    }
}


static void
llm_trigger_freeze(const llm_pace_t *pace, llm_trigger_state_t *s,
    llm_msec_t now)
{
    if (s->status == LLM_TRIGGER_IDLE) {
        llm_trigger_disarm(s, now);
        return;
    }

    if (!s->frozen) {
        s->frozen = 1;
        s->frozen_at = now;
        return;
    }

    if (now > s->frozen_at
        && now - s->frozen_at > llm_pace_scale(pace, LLM_TRIGGER_FREEZE))
    {
        llm_trigger_disarm(s, now);
    }
}


int
llm_trigger_tick(const llm_trigger_conf_t *conf, const llm_pace_t *pace,
    const llm_measure_t *m, llm_msec_t now, llm_trigger_state_t *s)
{
    s->last = *m;

    switch (m->result) {

    case LLM_MEASURE_INSUFFICIENT:
    case LLM_MEASURE_NO_BASELINE:
        llm_trigger_freeze(pace, s, now);
        return 0;

    case LLM_MEASURE_CLEAR:
        llm_trigger_disarm(s, now);
        return 0;

    case LLM_MEASURE_BETWEEN:
        if (s->status == LLM_TRIGGER_IDLE) {
            llm_trigger_disarm(s, now);

        } else {
            llm_trigger_thaw(s, now);
        }

        return 0;

    default: /* LLM_MEASURE_TRUE */
        break;
    }

    llm_trigger_thaw(s, now);

    if (s->status == LLM_TRIGGER_IDLE) {
        s->status = LLM_TRIGGER_PENDING;
        s->pending_at = now;
    }

    if (s->status == LLM_TRIGGER_PENDING && now >= s->pending_at
        && now - s->pending_at >= conf->hold)
    {
        s->status = LLM_TRIGGER_FIRING;
        return 1;
    }

    return 0;
}


void
llm_trigger_shift(llm_trigger_state_t *s, int64_t ms)
{
    s->pending_at += (uint64_t) ms;
    s->frozen_at += (uint64_t) ms;

    if (s->clear_at) {
        s->clear_at += (uint64_t) ms;
    }
}


static void
llm_trigger_put_number(llm_buf_t *out, uint64_t n)
{
    unsigned char  text[20], *p;

    p = text + sizeof(text);

    do {
        *--p = (unsigned char) ('0' + n % 10);
        n /= 10;
    } while (n);

    llm_buf_put(out, p, (size_t) (text + sizeof(text) - p));
}


void
llm_trigger_put(llm_buf_t *out, const llm_trigger_conf_t *conf)
{
    llm_buf_str(out, llm_trigger_name(conf->kind));
    llm_buf_str(out, conf->inclusive ? LLM_STR(">=") : LLM_STR(">"));

    switch (llm_trigger_kinds[conf->kind].unit) {

    case LLM_UNIT_RATE:
        llm_split_put(out, (uint32_t) conf->threshold);
        llm_buf_str(out, LLM_STR("%"));
        break;

    case LLM_UNIT_TIME:
        if (conf->threshold % 1000) {
            llm_trigger_put_number(out, conf->threshold);
            llm_buf_str(out, LLM_STR("ms"));

        } else {
            llm_trigger_put_number(out, conf->threshold / 1000);
            llm_buf_str(out, LLM_STR("s"));
        }
        break;

    default: /* LLM_UNIT_MONEY */
        llm_price_put(out, conf->threshold);
        break;
    }
}


void
llm_trigger_put_value(llm_buf_t *out, llm_trigger_kind_t kind, uint64_t value)
{
    if (value == LLM_NEVER) {
        llm_buf_str(out, LLM_STR("null"));
        return;
    }

    switch (llm_trigger_kinds[kind].unit) {

    case LLM_UNIT_RATE:
        llm_split_put(out, (uint32_t) value);
        break;

    case LLM_UNIT_TIME:
        llm_trigger_put_number(out, value);
        break;

    default: /* LLM_UNIT_MONEY */
        llm_price_put(out, value);
        break;
    }
}


void
llm_trigger_put_measure(llm_buf_t *out, const llm_trigger_conf_t *conf,
    const llm_measure_t *m)
{
    llm_buf_str(out, LLM_STR("{\"trigger\":\""));
    llm_trigger_put(out, conf);
    llm_buf_str(out, LLM_STR("\",\"value\":"));
    llm_trigger_put_value(out, conf->kind, m->value);
    llm_buf_str(out, LLM_STR(",\"threshold\":"));
    llm_trigger_put_value(out, conf->kind, conf->threshold);
    llm_buf_str(out, LLM_STR(",\"n\":"));
    llm_trigger_put_number(out, m->n);
    llm_buf_str(out, LLM_STR(",\"window_ms\":"));
    llm_trigger_put_number(out, m->window);
    llm_buf_str(out, LLM_STR(",\"baseline\":"));
    llm_trigger_put_value(out, conf->kind, m->baseline);
    llm_buf_str(out, LLM_STR("}"));
}
