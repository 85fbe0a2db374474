/*
 * What a variant did lately: two rings of time slots with counters and
 * histograms, in memory that several processes write to.
 *
 * The short ring has 60 slots, the long one 30 of six times their length.  A
 * slot belongs to one period of the clock; who meets an older one in its place
 * claims it first (llm_window_claim, with the owner's lock held), then counting
 * is atomic adding without a lock.  A count that comes too late for its slot is
 * dropped.
 *
 * An outcome is counted when it is known; what a request has started, and that
 * it ended, is also counted in the slot of its start: the difference is what
 * still runs, which is evidence too.
 */

#ifndef LLM_WINDOW_H
#define LLM_WINDOW_H

#include "llm_core.h"
#include "llm_hist.h"

#pragma GCC visibility push(hidden)

#define LLM_WINDOW_SHORT  60
#define LLM_WINDOW_LONG   30
#define LLM_WINDOW_RATIO  6             /* slot lengths: long to short */
#define LLM_WINDOW_SLOT   10000         /* ms, of the short ring, by default */


typedef enum {
    LLM_COUNT_STARTED = 0,              /* in the slot of the start */
    LLM_COUNT_ENDED,                    /* in the slot of the start */
    LLM_COUNT_N,                        /* outcomes: OK, errors, 4xx */
    LLM_COUNT_ERRORS,
    LLM_COUNT_REFUSED,                  /* the provider's own 4xx: in N, no
                                           error */
    LLM_COUNT_JSON_CHECKED,
    LLM_COUNT_JSON_INVALID,
    LLM_COUNT_UNCOUNTED,                /* client gone, local refusals */
    LLM_COUNT_STREAMS,                  /* of N */
    LLM_COUNT_INPUT,                    /* tokens */
    LLM_COUNT_OUTPUT,
    LLM_COUNT_PRICED,                   /* of N: with a known cost */
    LLM_COUNT_COST,                     /* nano-dollars */
    LLM_COUNTS
} llm_count_t;

typedef enum {
    LLM_TIME_WHOLE = 0,                 /* to the end of a collected answer */
    LLM_TIME_STREAM,                    /* to the end of a stream */
    LLM_TIME_FIRST,                     /* to a stream's first content */
    LLM_TIMES
} llm_time_t;

typedef struct {
    uint64_t  period;                   /* start / slot length, + 1; 0: never */
    uint64_t  count[LLM_COUNTS];
    uint32_t  time[LLM_TIMES][LLM_HIST_BUCKETS];
} llm_slot_t;

typedef struct {
    llm_msec_t  slot;                   /* ms, of the short ring */
    llm_slot_t  ring[LLM_WINDOW_SHORT];
    llm_slot_t  slow[LLM_WINDOW_LONG];
} llm_window_t;


/* One request's outcome. */
typedef struct {
    llm_msec_t  started;
    llm_msec_t  ended;
    llm_msec_t  first;                  /* ms to the first content; LLM_NEVER */
    uint64_t    input, output;          /* tokens; LLM_NEVER: unknown */
    uint64_t    cost;                   /* nano-dollars; LLM_NEVER: unknown */
    unsigned    counted:1;              /* 0: UNCOUNTED alone */
    unsigned    error:1;
    unsigned    refused:1;              /* the provider's own 4xx */
    unsigned    stream:1;
    unsigned    answered:1;             /* llm_window_answer() was called */
    unsigned    timed:1;                /* its times say something (a whole
                                           answer was given) */
    unsigned    json_checked:1;
    unsigned    json_invalid:1;
} llm_outcome_row_t;


/* A zeroed window becomes one with slots of that length (>= 10 ms). */
void llm_window_init(llm_window_t *w, llm_msec_t slot);

/* Whether both rings have their slots for `now`; if not, llm_window_claim()
 * makes them (under the lock), else counts at `now` are dropped. */
int llm_window_is_current(const llm_window_t *w, llm_msec_t now);
void llm_window_claim(llm_window_t *w, llm_msec_t now);

/* A request starts; it ends.  Without a lock. */
void llm_window_start(llm_window_t *w, llm_msec_t now);
void llm_window_end(llm_window_t *w, const llm_outcome_row_t *o);

/* The answer to a request that started then has begun, and may take as long as
 * it likes: it is not overdue any more.  Its end comes as well. */
void llm_window_answer(llm_window_t *w, llm_msec_t started);

/* Nothing is known any more, with the lock held. */
void llm_window_forget(llm_window_t *w);

/* Nothing is running any more that started before: a worker died, and nobody
 * knows which of these were its. */
void llm_window_forgive(llm_window_t *w);


/* The sum of the slots that touch [now - length, now], but not of time before
 * `since`.  Lengths beyond the short ring come from the long one. */
typedef struct {
    uint64_t  count[LLM_COUNTS];
    uint32_t  time[LLM_TIMES][LLM_HIST_BUCKETS];
} llm_sums_t;

void llm_window_sum(const llm_window_t *w, llm_msec_t now, llm_msec_t length,
    llm_msec_t since, llm_sums_t *sums);

/* The same without the histograms, which are most of the work. */
void llm_window_count(const llm_window_t *w, llm_msec_t now, llm_msec_t length,
    llm_msec_t since, uint64_t count[LLM_COUNTS]);

/* Requests that started at least `age` ms ago, not before `since`, and still
 * run. */
uint64_t llm_window_overdue(const llm_window_t *w, llm_msec_t now,
    llm_msec_t age, llm_msec_t since);

#pragma GCC visibility pop

#endif /* LLM_WINDOW_H */
