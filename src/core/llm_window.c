/*
 * Rings of time slots, written by several processes: the lock's owner recycles
 * a slot, everybody adds to it atomically.
 *
 * A count that found its slot current may still be added while the slot is
 * recycled.  That takes a process that was stopped between two instructions
 * for as long as a whole ring lasts, and costs one count: not worth a lock.
 */

#include "llm_window.h"

#define LLM_WINDOW_SLOT_MIN  10         /* ms */


/* One of the two rings, and its slots' length. */
typedef struct {
    llm_slot_t  *slot;
    llm_msec_t   length;
    uint64_t     n;
} llm_ring_t;

/* The same for readers. */
typedef struct {
    const llm_slot_t  *slot;
    llm_msec_t         length;
    uint64_t           n;
} llm_ring_view_t;


static inline llm_ring_t
llm_ring_short(llm_window_t *w)
{
    return (llm_ring_t) { w->ring, w->slot, LLM_WINDOW_SHORT };
}


static inline llm_ring_t
llm_ring_long(llm_window_t *w)
{
    return (llm_ring_t) { w->slow, w->slot * LLM_WINDOW_RATIO,
                          LLM_WINDOW_LONG };
}


static inline llm_ring_view_t
llm_ring_view_short(const llm_window_t *w)
{
    return (llm_ring_view_t) { w->ring, w->slot, LLM_WINDOW_SHORT };
}


static inline llm_ring_view_t
llm_ring_view_long(const llm_window_t *w)
{
    return (llm_ring_view_t) { w->slow, w->slot * LLM_WINDOW_RATIO,
                               LLM_WINDOW_LONG };
}


static inline void
llm_count_add(uint64_t *count, uint64_t n)
{
    (void) __atomic_fetch_add(count, n, __ATOMIC_RELAXED);
}


static inline uint64_t
llm_count_get(const uint64_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}


static inline uint64_t
llm_slot_period(const llm_slot_t *s)
{
    return __atomic_load_n(&s->period, __ATOMIC_ACQUIRE);
}


void
llm_window_init(llm_window_t *w, llm_msec_t slot)
{
    w->slot = slot > LLM_WINDOW_SLOT_MIN ? slot : LLM_WINDOW_SLOT_MIN;
}


/*
 * Whether a slot must make room for a period.  A period of the next round is
 * left alone: this process looked at its clock a while ago.  One that is even
 * newer is from before the clock was set back.
 */
static inline int
llm_slot_is_old(uint64_t found, uint64_t period, uint64_t n)
{
    return found < period || found - period > n;
}


static inline int
llm_ring_is_current(llm_ring_view_t ring, llm_msec_t now)
{
    uint64_t  number;

    number = now / ring.length;

    return !llm_slot_is_old(llm_slot_period(&ring.slot[number % ring.n]),
                            number + 1, ring.n);
}


int
llm_window_is_current(const llm_window_t *w, llm_msec_t now)
{
    return llm_ring_is_current(llm_ring_view_short(w), now)
           && llm_ring_is_current(llm_ring_view_long(w), now);
}


static void
llm_ring_claim(llm_ring_t ring, llm_msec_t now)
{
    size_t       i, k;
    uint64_t     number;
    llm_slot_t  *s;

    number = now / ring.length;
    s = &ring.slot[number % ring.n];

    if (!llm_slot_is_old(llm_slot_period(s), number + 1, ring.n)) {
        return;
    }

    /* nobody's until it is empty */

    __atomic_store_n(&s->period, 0, __ATOMIC_SEQ_CST);

    for (i = 0; i < LLM_COUNTS; i++) {
        __atomic_store_n(&s->count[i], 0, __ATOMIC_RELAXED);
    }

    for (i = 0; i < LLM_TIMES; i++) {
        for (k = 0; k < LLM_HIST_BUCKETS; k++) {
            __atomic_store_n(&s->time[i][k], 0, __ATOMIC_RELAXED);
        }
    }

    __atomic_store_n(&s->period, number + 1, __ATOMIC_RELEASE);
}


void
llm_window_claim(llm_window_t *w, llm_msec_t now)
{
    llm_ring_claim(llm_ring_short(w), now);
    llm_ring_claim(llm_ring_long(w), now);
}


/* The slot of a moment, NULL when it belongs to another period. */
static inline llm_slot_t *
llm_ring_at(llm_ring_t ring, llm_msec_t at)
{
    uint64_t     number;
    llm_slot_t  *s;

    number = at / ring.length;
    s = &ring.slot[number % ring.n];

    return llm_slot_period(s) == number + 1 ? s : NULL;
}


static void
llm_ring_count(llm_ring_t ring, llm_msec_t at, llm_count_t what)
{
    llm_slot_t  *s;

    s = llm_ring_at(ring, at);

    if (s) {
        llm_count_add(&s->count[what], 1);
    }
}


void
llm_window_start(llm_window_t *w, llm_msec_t now)
{
    llm_ring_count(llm_ring_short(w), now, LLM_COUNT_STARTED);
    llm_ring_count(llm_ring_long(w), now, LLM_COUNT_STARTED);
}


static void
llm_slot_time(llm_slot_t *s, llm_time_t what, llm_msec_t ms)
{
    (void) __atomic_fetch_add(&s->time[what][llm_hist_bucket(ms)], 1,
                              __ATOMIC_RELAXED);
}


static void
llm_slot_times(llm_slot_t *s, const llm_outcome_row_t *o)
{
    llm_msec_t  took;

    /* the clock may have been set back */

    took = o->ended > o->started ? o->ended - o->started : 0;

    if (!o->stream) {
        llm_slot_time(s, LLM_TIME_WHOLE, took);
        return;
    }

    llm_slot_time(s, LLM_TIME_STREAM, took);

    if (o->first != LLM_NEVER) {
        llm_slot_time(s, LLM_TIME_FIRST, o->first);
    }
}


static void
llm_ring_outcome(llm_ring_t ring, const llm_outcome_row_t *o)
{
    llm_slot_t  *s;

    s = llm_ring_at(ring, o->ended);

    if (s == NULL) {
        return;
    }

    if (!o->counted) {
        llm_count_add(&s->count[LLM_COUNT_UNCOUNTED], 1);
        return;
    }

    llm_count_add(&s->count[LLM_COUNT_N], 1);

    if (o->error) {
        llm_count_add(&s->count[LLM_COUNT_ERRORS], 1);
    }

    if (o->refused) {
        llm_count_add(&s->count[LLM_COUNT_REFUSED], 1);
    }

    if (o->json_checked) {
        llm_count_add(&s->count[LLM_COUNT_JSON_CHECKED], 1);
    }

    if (o->json_invalid) {
        llm_count_add(&s->count[LLM_COUNT_JSON_INVALID], 1);
    }

    if (o->stream) {
        llm_count_add(&s->count[LLM_COUNT_STREAMS], 1);
    }

    if (o->input != LLM_NEVER) {
        llm_count_add(&s->count[LLM_COUNT_INPUT], o->input);
    }

    if (o->output != LLM_NEVER) {
        llm_count_add(&s->count[LLM_COUNT_OUTPUT], o->output);
    }

    if (o->cost != LLM_NEVER) {
        llm_count_add(&s->count[LLM_COUNT_PRICED], 1);
        llm_count_add(&s->count[LLM_COUNT_COST], o->cost);
    }

    if (o->timed) {
        llm_slot_times(s, o);
    }
}


void
llm_window_answer(llm_window_t *w, llm_msec_t started)
{
    llm_ring_count(llm_ring_short(w), started, LLM_COUNT_ENDED);
    llm_ring_count(llm_ring_long(w), started, LLM_COUNT_ENDED);
}


void
llm_window_end(llm_window_t *w, const llm_outcome_row_t *o)
{
    if (!o->answered) {
        llm_window_answer(w, o->started);
    }

    llm_ring_outcome(llm_ring_short(w), o);
    llm_ring_outcome(llm_ring_long(w), o);
}


static void
llm_ring_forget(llm_ring_t ring)
{
    size_t  i;

    for (i = 0; i < ring.n; i++) {
        __atomic_store_n(&ring.slot[i].period, 0, __ATOMIC_RELEASE);
    }
}


void
llm_window_forget(llm_window_t *w)
{
    llm_ring_forget(llm_ring_short(w));
    llm_ring_forget(llm_ring_long(w));
}


static void
llm_ring_forgive(llm_ring_t ring)
{
    size_t       i;
    uint64_t     started, ended;
    llm_slot_t  *s;

    for (i = 0; i < ring.n; i++) {
        s = &ring.slot[i];

        ended = llm_count_get(&s->count[LLM_COUNT_ENDED]);
        started = llm_count_get(&s->count[LLM_COUNT_STARTED]);

        if (ended < started) {
            llm_count_add(&s->count[LLM_COUNT_ENDED], started - ended);
        }
    }
}


void
llm_window_forgive(llm_window_t *w)
{
    llm_ring_forgive(llm_ring_short(w));
    llm_ring_forgive(llm_ring_long(w));
}


/* The ring that is long enough. */
static llm_ring_view_t
llm_ring_of(const llm_window_t *w, llm_msec_t length)
{
    return length <= w->slot * LLM_WINDOW_SHORT ? llm_ring_view_short(w)
                                                : llm_ring_view_long(w);
}


/* A ring's slot if it touches [from, now] and nothing before `since`. */
static inline const llm_slot_t *
llm_ring_within(llm_ring_view_t ring, size_t i, llm_msec_t from,
    llm_msec_t now, llm_msec_t since)
{
    uint64_t    period;
    llm_msec_t  begins;

    period = llm_slot_period(&ring.slot[i]);

    if (period == 0) {
        return NULL;
    }

    begins = (period - 1) * ring.length;

    return begins <= now && begins + ring.length > from && begins >= since
           ? &ring.slot[i] : NULL;
}


static inline void
llm_slot_count(const llm_slot_t *s, uint64_t *count)
{
    size_t  i;

    for (i = 0; i < LLM_COUNTS; i++) {
        count[i] += llm_count_get(&s->count[i]);
    }
}


static void
llm_slot_time_sum(const llm_slot_t *s, llm_sums_t *sums)
{
    size_t  i, k;

    if (llm_count_get(&s->count[LLM_COUNT_N]) == 0) {
        return;
    }

    for (i = 0; i < LLM_TIMES; i++) {
        for (k = 0; k < LLM_HIST_BUCKETS; k++) {
            sums->time[i][k] += __atomic_load_n(&s->time[i][k],
                                                __ATOMIC_RELAXED);
        }
    }
}


void
llm_window_sum(const llm_window_t *w, llm_msec_t now, llm_msec_t length,
    llm_msec_t since, llm_sums_t *sums)
{
    size_t             i;
    llm_msec_t         from;
    llm_ring_view_t    ring;
    const llm_slot_t  *s;

    memset(sums, 0, sizeof(llm_sums_t));

    ring = llm_ring_of(w, length);
    from = now > length ? now - length : 0;

    for (i = 0; i < ring.n; i++) {
        s = llm_ring_within(ring, i, from, now, since);

        if (s) {
            llm_slot_count(s, sums->count);
            llm_slot_time_sum(s, sums);
        }
    }
}


void
llm_window_count(const llm_window_t *w, llm_msec_t now, llm_msec_t length,
    llm_msec_t since, uint64_t count[LLM_COUNTS])
{
    size_t             i;
    llm_msec_t         from;
    llm_ring_view_t    ring;
    const llm_slot_t  *s;

    memset(count, 0, LLM_COUNTS * sizeof(uint64_t));

    ring = llm_ring_of(w, length);
    from = now > length ? now - length : 0;

    for (i = 0; i < ring.n; i++) {
        s = llm_ring_within(ring, i, from, now, since);

        if (s) {
            llm_slot_count(s, count);
        }
    }
}


/* What still runs of a ring's slots within [from, to]. */
static uint64_t
llm_ring_running(llm_ring_view_t ring, llm_msec_t from, llm_msec_t to)
{
    size_t             i;
    uint64_t           period, started, ended, n;
    llm_msec_t         begins;
    const llm_slot_t  *s;

    for (i = 0, n = 0; i < ring.n; i++) {
        s = &ring.slot[i];
        period = llm_slot_period(s);

        if (period == 0) {
            continue;
        }

        begins = (period - 1) * ring.length;

        if (begins < from || begins + ring.length > to) {
            continue;
        }

        ended = llm_count_get(&s->count[LLM_COUNT_ENDED]);
        started = llm_count_get(&s->count[LLM_COUNT_STARTED]);

        n += started > ended ? started - ended : 0;
    }

    return n;
}


uint64_t
llm_window_overdue(const llm_window_t *w, llm_msec_t now, llm_msec_t age,
    llm_msec_t since)
{
    uint64_t         n;
    llm_msec_t       to, border;
    llm_ring_view_t  fine, coarse;

    if (now < age) {
        return 0;
    }

    fine = llm_ring_view_short(w);
    coarse = llm_ring_view_long(w);
    to = now - age;

    /*
     * The short ring as far back as it still has everything, from a border that
     * both rings share; the long one for what is older.
     */

    border = now / fine.length + 1;
    border = border > fine.n ? (border - fine.n) * fine.length : 0;
    border = (border + coarse.length - 1) / coarse.length * coarse.length;

    n = llm_ring_running(fine, border > since ? border : since, to);

    return n + llm_ring_running(coarse, since, border < to ? border : to);
}
