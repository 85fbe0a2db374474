/*
 * One limit: so many requests, tokens or audio milliseconds per minute, hour,
 * day or month, on one of three clocks.
 *
 *   sliding   a ring of 12 sub-buckets; never more than max in any window
 *   refill    a bucket that regains max/window continuously (Groq's days)
 *   calendar  resets at a wall-clock time in a time zone (Gemini's days)
 *
 * Reserve first, settle afterwards: charging after the answer lets concurrent
 * requests through by multiples.
 */

#ifndef LLM_QUOTA_H
#define LLM_QUOTA_H

#include "llm_core.h"
#include "llm_tz.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LLM_DIM_REQUESTS, LLM_DIM_TOKENS, LLM_DIM_INPUT_TOKENS,
    LLM_DIM_OUTPUT_TOKENS, LLM_DIM_AUDIO_MS,
    LLM_DIM_MONEY,                      /* nano-dollars; calendar only */
    LLM_DIM_PARALLEL,                   /* a gauge: no clock at all */
    LLM_DIM_N
} llm_dim_t;

typedef enum {
    LLM_CLOCK_SLIDING, LLM_CLOCK_REFILL, LLM_CLOCK_CALENDAR
} llm_clock_t;

/* Configuration of one limit; immutable. */
typedef struct {
    uint64_t         max;               /* per window, in units of dim */
    llm_dim_t        dim;
    llm_clock_t      clock;
    llm_tz_unit_t    unit;              /* the window; month: calendar only */
    uint32_t         reset_s;           /* calendar: seconds after midnight */
    const llm_tz_t  *tz;                /* calendar; NULL: UTC */
} llm_limit_t;

#define LLM_RING  13                    /* 12 full sub-buckets, the current */

/* State of one limit; all zero is "nothing used yet". */
typedef struct {
    uint64_t  used;                     /* calendar: in the window; refill: at
                                           `at`, times the window in ms, so that
                                           nothing is lost to rounding; gauge:
                                           in use now */
    uint64_t  at;                       /* refill: epoch ms; calendar: start, s;
                                           sliding: number of the newest slot */
    uint32_t  ring[LLM_RING];           /* sliding: 40 bits a slot, which is ten
                                           times the most that is allowed … */
    uint8_t   high[LLM_RING];           /* … the upper 8; saturates */
} llm_limit_state_t;

#define LLM_LIMIT_SLOT_MAX  ((1ULL << 40) - 1)


static inline uint64_t
llm_limit_slot(const llm_limit_state_t *s, uint64_t i)
{
    return (uint64_t) s->high[i] << 32 | s->ring[i];
}


static inline void
llm_limit_set_slot(llm_limit_state_t *s, uint64_t i, uint64_t n)
{
    n = n > LLM_LIMIT_SLOT_MAX ? LLM_LIMIT_SLOT_MAX : n;

    s->ring[i] = (uint32_t) (n & UINT32_MAX);
    s->high[i] = (uint8_t) (n >> 32);
}


/* What a request needs of each dimension. */
typedef struct {
    uint64_t  n[LLM_DIM_N];
} llm_need_t;

/* Window length in ms (month: 31 days). */
llm_msec_t llm_limit_window(const llm_limit_t *l);

/* Calendar: first second of the window that `now` is in, and of the next. */
void llm_limit_calendar(const llm_limit_t *l, llm_msec_t now, uint64_t *start,
    uint64_t *next);

/* How long until `need` fits: 0 now, LLM_NEVER when it exceeds max itself. */
llm_msec_t llm_limit_wait(const llm_limit_t *l, const llm_limit_state_t *s,
    uint64_t need, llm_msec_t now);

/* Room left now, 0 … max. */
uint64_t llm_limit_left(const llm_limit_t *l, const llm_limit_state_t *s,
    llm_msec_t now);

/* What is in use, also above max. */
uint64_t llm_limit_used(const llm_limit_t *l, const llm_limit_state_t *s,
    llm_msec_t now);

/* Charges n (the caller has checked that it fits, or charges all the same). */
void llm_limit_take(const llm_limit_t *l, llm_limit_state_t *s, uint64_t n,
    llm_msec_t now);

/* Corrects a charge made at `taken` from `reserved` to `actual`; in a window
 * that is over there is nothing to correct. */
void llm_limit_settle(const llm_limit_t *l, llm_limit_state_t *s,
    uint64_t reserved, uint64_t actual, llm_msec_t taken, llm_msec_t now);

/* Takes the provider's word for it: `used` of max are gone now.  A sliding
 * limit only ever learns of more, spread evenly over its window, since nobody
 * says when it was used. */
void llm_limit_learn(const llm_limit_t *l, llm_limit_state_t *s, uint64_t used,
    llm_msec_t now);

/* The most that a limit may be (of its own units: milliseconds of audio), and
 * the most money: 2^53 nano-dollars are the end of what JSON and Lua count. */
#define LLM_LIMIT_MAX  100000000000ULL
#define LLM_MONEY_MAX  9000000000000000ULL

/* "30r/m", "100000t/d", "50r/d", "7200s/h" (audio seconds), "i" input and "o"
 * output tokens; units m h d M.  The clock is set to sliding, to calendar for
 * months.  LLM_OK or LLM_BAD (also for zero and above LLM_LIMIT_MAX). */
llm_rc_t llm_limit_parse(llm_str_t s, llm_limit_t *l);

#pragma GCC visibility pop

#endif /* LLM_QUOTA_H */
