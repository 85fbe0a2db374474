/*
 * Limits on three clocks: sliding, refill and calendar.
 *
 * Our own limits slide, so that no window of any position holds more than max.
 * Mirrored ones follow the provider's clock: a bucket that is full at once but
 * refills steadily, or a day that ends at midnight somewhere else.
 */

#include "llm_quota.h"

#define LLM_LIMIT_SLOTS   (LLM_RING - 1)        /* full sub-buckets */
#define LLM_LIMIT_BACK_S  3600                  /* a clock may go back so far */
#define LLM_GAUGE_WAIT    1000                  /* ms: nobody knows */


static const llm_tz_t  llm_limit_utc;


llm_msec_t
llm_limit_window(const llm_limit_t *l)
{
    switch (l->unit) {
    case LLM_TZ_MINUTE:
        return 60 * 1000;
    case LLM_TZ_HOUR:
        return 3600 * 1000;
    case LLM_TZ_DAY:
        return 86400 * 1000;
    default:
        return 31ULL * 86400 * 1000;
    }
}


static uint64_t
llm_limit_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}


static uint64_t
llm_limit_sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}


static uint64_t
llm_limit_mul(uint64_t a, uint64_t b)
{
    return b && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}


/* Sliding: sub-buckets are numbered from the epoch. */

static uint64_t
llm_sliding_slot(const llm_limit_t *l, llm_msec_t now)
{
    return now / (llm_limit_window(l) / LLM_LIMIT_SLOTS);
}


/* The newest slot as seen at `now`.  A clock that went back by less than a
 * window sees the future's charges; by more, it starts anew. */
static uint64_t
llm_sliding_newest(const llm_limit_t *l, const llm_limit_state_t *s,
    llm_msec_t now)
{
    uint64_t  slot;

    slot = llm_sliding_slot(l, now);

    return slot < s->at && s->at - slot <= LLM_RING ? s->at : slot;
}


/* What slot number n holds when `newest` is the current one. */
static uint64_t
llm_sliding_count(const llm_limit_state_t *s, uint64_t n, uint64_t newest)
{
    if (n > s->at || n + LLM_RING <= s->at || n + LLM_RING <= newest) {
        return 0;
    }

    return llm_limit_slot(s, n % LLM_RING);
}


static uint64_t
llm_sliding_used(const llm_limit_state_t *s, uint64_t newest)
{
    size_t    i;
    uint64_t  n;

    /* the usual case needs no look at the numbers of the slots */
    for (n = 0, i = 0; i < LLM_RING; i++) {
        n += newest == s->at ? llm_limit_slot(s, i)
                             : llm_sliding_count(s, newest - i, newest);
    }

    return n;
}


static void
llm_sliding_turn(const llm_limit_t *l, llm_limit_state_t *s, llm_msec_t now)
{
    uint64_t  n, newest;

    newest = llm_sliding_newest(l, s, now);

    if (newest < s->at) {
        memset(s->ring, 0, sizeof(s->ring));
        memset(s->high, 0, sizeof(s->high));
        s->at = newest;
        return;
    }

    for (n = newest; n > s->at && newest - n < LLM_RING; n--) {
        llm_limit_set_slot(s, n % LLM_RING, 0);
    }

    s->at = newest;
}


static void
llm_sliding_charge(llm_limit_state_t *s, uint64_t slot, uint64_t n)
{
    slot %= LLM_RING;

    llm_limit_set_slot(s, slot, llm_limit_add(llm_limit_slot(s, slot), n));
}


static llm_msec_t
llm_sliding_wait(const llm_limit_t *l, const llm_limit_state_t *s,
    uint64_t need, llm_msec_t now)
{
    uint64_t    i, used, newest;
    llm_msec_t  length, until;

    newest = llm_sliding_newest(l, s, now);
    used = llm_sliding_used(s, newest);

    if (used <= l->max - need) {
        return 0;
    }

    length = llm_limit_window(l) / LLM_LIMIT_SLOTS;

    /* the oldest leave first */
    for (i = LLM_LIMIT_SLOTS; i > 0; i--) {
        used -= llm_sliding_count(s, newest - i, newest);

        if (used <= l->max - need) {
            break;
        }
    }

    until = (newest - i + LLM_RING) * length;

    return until > now ? until - now : 1;
}


static void
llm_sliding_learn(const llm_limit_t *l, llm_limit_state_t *s, uint64_t used,
    llm_msec_t now)
{
    size_t    i;
    uint64_t  more;

    llm_sliding_turn(l, s, now);

    more = llm_limit_sub(used, llm_sliding_used(s, s->at));

    for (i = 0; i < LLM_RING; i++) {
        llm_sliding_charge(s, i, more / LLM_RING);
    }

    llm_sliding_charge(s, s->at, more % LLM_RING);
}


/* Refill: what is used drains away, max in a window. */

static uint64_t
llm_refill_used(const llm_limit_t *l, const llm_limit_state_t *s,
    llm_msec_t now)
{
    return llm_limit_sub(s->used,
                         llm_limit_mul(llm_limit_sub(now, s->at), l->max));
}


static llm_msec_t
llm_refill_wait(const llm_limit_t *l, const llm_limit_state_t *s,
    uint64_t need, llm_msec_t now)
{
    uint64_t    over;
    llm_msec_t  window;

    window = llm_limit_window(l);
    over = llm_limit_sub(llm_refill_used(l, s, now),
                         llm_limit_mul(l->max - need, window));

    return over / l->max + (over % l->max != 0);
}


static void
llm_refill_set(const llm_limit_t *l, llm_limit_state_t *s, uint64_t used,
    llm_msec_t now)
{
    s->used = used;
    s->at = now > s->at ? now : s->at;

    /* a clock that went back by more than a window would stop the refill */
    if (s->at - now > llm_limit_window(l)) {
        s->at = now;
    }
}


/* Calendar: the first second of the window, by the clock of its zone. */

static uint64_t
llm_calendar_start(const llm_limit_t *l, const llm_limit_state_t *s,
    llm_msec_t now, uint64_t *next)
{
    int64_t                start, end;
    uint64_t               at;
    static const uint32_t  shortest[] = { 60, 3600, 20 * 3600, 27 * 86400 };

    at = now / 1000;

    /* most calls fall into the window they know; 20 h: days are shorter when
     * a clock is put forward */
    if (next == NULL && s->at && at < s->at + shortest[l->unit]
        && at + LLM_LIMIT_BACK_S >= s->at)
    {
        return s->at;
    }

    llm_tz_window(l->tz ? l->tz : &llm_limit_utc, l->unit, l->reset_s,
                  (int64_t) at, &start, &end);

    if (next) {
        *next = (uint64_t) end;
    }

    return start > 0 ? (uint64_t) start : 0;
}


void
llm_limit_calendar(const llm_limit_t *l, llm_msec_t now, uint64_t *start,
    uint64_t *next)
{
    static const llm_limit_state_t  none;

    *start = llm_calendar_start(l, &none, now, next);
}


static uint64_t
llm_calendar_used(const llm_limit_t *l, const llm_limit_state_t *s,
    llm_msec_t now)
{
    return s->at && s->at == llm_calendar_start(l, s, now, NULL) ? s->used : 0;
}


static llm_msec_t
llm_calendar_wait(const llm_limit_t *l, const llm_limit_state_t *s,
    uint64_t need, llm_msec_t now)
{
    uint64_t  next;

    if (llm_calendar_used(l, s, now) <= l->max - need) {
        return 0;
    }

    (void) llm_calendar_start(l, s, now, &next);

    return next * 1000 > now ? next * 1000 - now : 1;
}


static void
llm_calendar_set(const llm_limit_t *l, llm_limit_state_t *s, uint64_t used,
    llm_msec_t now)
{
    s->at = llm_calendar_start(l, s, now, NULL);
    s->used = used;
}


llm_msec_t
llm_limit_wait(const llm_limit_t *l, const llm_limit_state_t *s, uint64_t need,
    llm_msec_t now)
{
    if (need == 0) {
        return 0;
    }

    if (need > l->max) {
        return LLM_NEVER;
    }

    if (l->dim == LLM_DIM_PARALLEL) {
        return s->used <= l->max - need ? 0 : LLM_GAUGE_WAIT;
    }

    switch (l->clock) {
    case LLM_CLOCK_REFILL:
        return llm_refill_wait(l, s, need, now);
    case LLM_CLOCK_CALENDAR:
        return llm_calendar_wait(l, s, need, now);
    default:
        return llm_sliding_wait(l, s, need, now);
    }
}


uint64_t
llm_limit_used(const llm_limit_t *l, const llm_limit_state_t *s, llm_msec_t now)
{
    uint64_t  used, window;

    if (l->dim == LLM_DIM_PARALLEL) {
        return s->used;
    }

    switch (l->clock) {
    case LLM_CLOCK_REFILL:
        window = llm_limit_window(l);
        used = llm_refill_used(l, s, now);
        return used / window + (used % window != 0);
    case LLM_CLOCK_CALENDAR:
        return llm_calendar_used(l, s, now);
    default:
        return llm_sliding_used(s, llm_sliding_newest(l, s, now));
    }
}


uint64_t
llm_limit_left(const llm_limit_t *l, const llm_limit_state_t *s, llm_msec_t now)
{
    return llm_limit_sub(l->max, llm_limit_used(l, s, now));
}


void
llm_limit_take(const llm_limit_t *l, llm_limit_state_t *s, uint64_t n,
    llm_msec_t now)
{
    if (l->dim == LLM_DIM_PARALLEL) {
        s->used = llm_limit_add(s->used, n);
        return;
    }

    switch (l->clock) {
    case LLM_CLOCK_REFILL:
        n = llm_limit_mul(n, llm_limit_window(l));
        llm_refill_set(l, s, llm_limit_add(llm_refill_used(l, s, now), n), now);
        return;
    case LLM_CLOCK_CALENDAR:
        n = llm_limit_add(llm_calendar_used(l, s, now), n);
        llm_calendar_set(l, s, n, now);
        return;
    default:
        llm_sliding_turn(l, s, now);
        llm_sliding_charge(s, s->at, n);
    }
}


/* A refund.  What of it has drained away meanwhile comes back as well: the
 * error is bounded by the refund and arises only after an empty bucket. */
static void
llm_limit_give(const llm_limit_t *l, llm_limit_state_t *s, uint64_t n,
    llm_msec_t taken, llm_msec_t now)
{
    uint64_t  slot;

    switch (l->clock) {
    case LLM_CLOCK_REFILL:
        n = llm_limit_mul(n, llm_limit_window(l));
        llm_refill_set(l, s, llm_limit_sub(llm_refill_used(l, s, now), n), now);
        return;
    case LLM_CLOCK_CALENDAR:
        if (taken / 1000 >= llm_calendar_start(l, s, now, NULL)) {
            n = llm_limit_sub(llm_calendar_used(l, s, now), n);
            llm_calendar_set(l, s, n, now);
        }
        return;
    default:
        llm_sliding_turn(l, s, now);
        slot = llm_sliding_slot(l, taken);

        if (slot <= s->at && slot + LLM_RING > s->at) {
            slot %= LLM_RING;
            llm_limit_set_slot(s, slot,
                            llm_limit_sub(llm_limit_slot(s, slot), n));
        }
    }
}


void
llm_limit_settle(const llm_limit_t *l, llm_limit_state_t *s, uint64_t reserved,
    uint64_t actual, llm_msec_t taken, llm_msec_t now)
{
    uint64_t  slot;

    if (l->dim == LLM_DIM_PARALLEL) {
        s->used = llm_limit_sub(llm_limit_add(s->used, actual), reserved);
        return;
    }

    if (actual <= reserved) {
        if (actual < reserved) {
            llm_limit_give(l, s, reserved - actual, taken, now);
        }
        return;
    }

    /* more than was reserved: in the window of the admission, where it is */
    if (l->clock == LLM_CLOCK_SLIDING) {
        llm_sliding_turn(l, s, now);
        slot = llm_sliding_slot(l, taken);

        if (slot <= s->at && slot + LLM_RING > s->at) {
            llm_sliding_charge(s, slot, actual - reserved);
        }
        return;
    }

    if (l->clock == LLM_CLOCK_CALENDAR
        && taken / 1000 < llm_calendar_start(l, s, now, NULL))
    {
        return;
    }

    llm_limit_take(l, s, actual - reserved, now);
}


void
llm_limit_learn(const llm_limit_t *l, llm_limit_state_t *s, uint64_t used,
    llm_msec_t now)
{
    switch (l->clock) {
    case LLM_CLOCK_REFILL:
        llm_refill_set(l, s, llm_limit_mul(used, llm_limit_window(l)), now);
        return;
    case LLM_CLOCK_CALENDAR:
        llm_calendar_set(l, s, used, now);
        return;
    default:
        llm_sliding_learn(l, s, used, now);
    }
}


/* "r", "t", "i", "o", "s" and "m", "h", "d", "M" by their places. */
static llm_rc_t
llm_limit_letter(const char *set, unsigned char c, unsigned *n)
{
    const char  *p;

    p = c ? strchr(set, c) : NULL;

    if (p == NULL) {
        return LLM_BAD;
    }

    *n = (unsigned) (p - set);

    return LLM_OK;
}


llm_rc_t
llm_limit_parse(llm_str_t text, llm_limit_t *l)
{
    size_t                  i;
    uint64_t                max;
    unsigned                dim, unit;
    static const llm_dim_t  dims[] = {
        LLM_DIM_REQUESTS, LLM_DIM_TOKENS, LLM_DIM_INPUT_TOKENS,
        LLM_DIM_OUTPUT_TOKENS, LLM_DIM_AUDIO_MS
    };

    for (max = 0, i = 0;
         i < text.len && text.data[i] >= '0' && text.data[i] <= '9';
         i++)
    {
        max = max * 10 + (uint64_t) (text.data[i] - '0');

        if (max > LLM_LIMIT_MAX) {
            return LLM_BAD;
        }
    }

    if (max == 0 || text.len != i + 3 || text.data[i + 1] != '/'
        || llm_limit_letter("rtios", text.data[i], &dim) != LLM_OK
        || llm_limit_letter("mhdM", text.data[i + 2], &unit) != LLM_OK)
    {
        return LLM_BAD;
    }

    if (dims[dim] == LLM_DIM_AUDIO_MS) {
        max *= 1000;

        if (max > LLM_LIMIT_MAX) {
            return LLM_BAD;
        }
    }

    memset(l, 0, sizeof(*l));
    l->max = max;
    l->dim = dims[dim];
    l->unit = (llm_tz_unit_t) unit;
    l->clock = l->unit == LLM_TZ_MONTH ? LLM_CLOCK_CALENDAR
                                       : LLM_CLOCK_SLIDING;

    return LLM_OK;
}
