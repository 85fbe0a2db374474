/*
 * Conditions that say a variant misbehaves: measured on windows, held for a
 * while, cleared with hysteresis.
 *
 * Semantics and numbers: docs/design/rollouts.md.  "for" is that of alerting
 * rules: a condition must hold from its first breach to the end of its hold, is
 * disarmed by a value at or below the clear level only, and freezes for a while
 * when there is not enough data.
 */

#ifndef LLM_TRIGGER_H
#define LLM_TRIGGER_H

#include "llm_core.h"
#include "llm_window.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LLM_TRIGGER_ERROR_RATE = 0,         /* basis points */
    LLM_TRIGGER_JSON_INVALID,           /* basis points */
    LLM_TRIGGER_P95_RISE,               /* ms over the baseline */
    LLM_TRIGGER_P95,                    /* ms */
    LLM_TRIGGER_TTFT_P95,               /* ms, streams */
    LLM_TRIGGER_COST,                   /* cost_per_request, nano-dollars */
    LLM_TRIGGER_4XX_EXCESS,             /* basis points over the baseline */
    LLM_TRIGGER_FAST_BURN,              /* basis points */
    LLM_TRIGGERS
} llm_trigger_kind_t;

typedef enum {
    LLM_ACTION_ROLLBACK = 0,
    LLM_ACTION_PAUSE,
    LLM_ACTION_LOG
} llm_action_t;

#define LLM_SPLIT_TRIGGERS  12          /* of one split */

typedef struct {
    llm_trigger_kind_t  kind;
    llm_action_t        action;
    int                 inclusive;      /* ">=" rather than ">" */
    uint64_t            threshold;      /* in the kind's unit */
    llm_msec_t          hold;           /* for= */
    uint64_t            min;            /* samples; 0: as the kind says */
    llm_msec_t          window;         /* window=; 0: adaptive */
    uint32_t            confidence;     /* basis points, one-sided Wilson bound
                                           for rates; 0: the plain rate */
} llm_trigger_conf_t;

/* What holds for a split: its clock.  Without a window= below 60 s it is the
 * one of the documents; a shorter one scales every time (adaptive windows,
 * freeze, settle, clear) alike, as one beyond 30 minutes does, which is what
 * the rings hold by default. */
typedef struct {
    llm_msec_t  slot;                   /* 10 s; window / 6; >= 10 ms */
    llm_msec_t  tick;                   /* min(1 s, window / 10, for / 10) */
    llm_msec_t  timeout;                /* overdue is an error beyond it */
} llm_pace_t;

/* The clock of n triggers.  `timeout`: the longest attempt of the split. */
void llm_trigger_pace(const llm_trigger_conf_t *conf, uint32_t n,
    llm_msec_t timeout, llm_pace_t *pace);

/* A length of the documents on that clock: 60 000 is 60 s at a slot of 10 s. */
llm_msec_t llm_pace_scale(const llm_pace_t *pace, llm_msec_t ms);

/* Word of a kind ("error_rate"), and back; LLM_NONE. */
llm_str_t llm_trigger_name(llm_trigger_kind_t kind);
llm_rc_t llm_trigger_by_name(llm_str_t name, llm_trigger_kind_t *kind);

/* What a kind holds where its line does not say: hold, action, threshold. */
void llm_trigger_defaults(llm_trigger_kind_t kind, llm_trigger_conf_t *conf);


typedef enum {
    LLM_MEASURE_INSUFFICIENT = 0,
    LLM_MEASURE_NO_BASELINE,
    LLM_MEASURE_CLEAR,                  /* at or below the clear level */
    LLM_MEASURE_BETWEEN,
    LLM_MEASURE_TRUE
} llm_measure_result_t;

typedef struct {
    llm_measure_result_t  result;
    uint64_t              value;        /* in the kind's unit; of a rise or an
                                           excess, the difference; 0 while
                                           insufficient */
    uint64_t              n;            /* of the variant */
    uint64_t              baseline;     /* its value; LLM_NEVER: none */
    llm_msec_t            window;       /* the one that was used */
} llm_measure_t;

/* Two arms at one moment. */
typedef struct {
    const llm_window_t  *variant;
    const llm_window_t  *baseline;      /* NULL: none */
    const llm_sums_t    *frozen;        /* the baseline at the start; NULL */
    llm_msec_t           since;         /* of this weight: nothing older counts
                                           in comparisons, after settling */
    llm_msec_t           reset;         /* nothing older counts at all */
    llm_msec_t           now;
    llm_sums_t          *scratch;       /* two */
} llm_arms_t;

void llm_trigger_measure(const llm_trigger_conf_t *conf,
    const llm_pace_t *pace, const llm_arms_t *arms, llm_measure_t *m);

/* For a condition that has too few samples in any of its windows: whether the
 * counters (by llm_count_t) of a whole step are over its threshold, with
 * nothing compared.  0 for conditions that are not about errors or JSON. */
int llm_trigger_doubts(const llm_trigger_conf_t *conf, const uint64_t *count);


typedef enum {
    LLM_TRIGGER_IDLE = 0,
    LLM_TRIGGER_PENDING,
    LLM_TRIGGER_FIRING
} llm_trigger_status_t;

/* Of one trigger and one variant; zeroed is idle.  Lives in shared memory. */
typedef struct {
    uint32_t       status;              /* llm_trigger_status_t */
    uint32_t       frozen;              /* pending without data */
    llm_msec_t     pending_at;
    llm_msec_t     frozen_at;
    llm_msec_t     clear_at;            /* idle since; 0: never measured */
    llm_measure_t  last;
} llm_trigger_state_t;

/* One tick.  1 when it fires now: pending for `hold`, and true at this tick.  A
 * firing trigger stays so until it clears and does not fire twice. */
int llm_trigger_tick(const llm_trigger_conf_t *conf, const llm_pace_t *pace,
    const llm_measure_t *m, llm_msec_t now, llm_trigger_state_t *s);

/* The clock was set: what was `now` is `now` + ms. */
void llm_trigger_shift(llm_trigger_state_t *s, int64_t ms);

/* The condition in words: "error_rate>5%". */
void llm_trigger_put(llm_buf_t *out, const llm_trigger_conf_t *conf);

/* A value of a kind as a JSON number: percent, milliseconds or dollars; "null"
 * for LLM_NEVER. */
void llm_trigger_put_value(llm_buf_t *out, llm_trigger_kind_t kind,
    uint64_t value);

/* What was measured, as JSON: {"trigger":"error_rate>5%","value":52.1,
 * "threshold":5,"n":96,"window_ms":60000,"baseline":null} */
void llm_trigger_put_measure(llm_buf_t *out, const llm_trigger_conf_t *conf,
    const llm_measure_t *m);

/* The shortest bake in which this trigger can fire: hold + its shortest
 * window. */
llm_msec_t llm_trigger_reach(const llm_trigger_conf_t *conf,
    const llm_pace_t *pace);

#pragma GCC visibility pop

#endif /* LLM_TRIGGER_H */
