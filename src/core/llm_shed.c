/*
 * The limit of requests in flight that is found by trying, the level that
 * follows from it, and whom that sheds.
 */

#include "llm_shed_ring.h"

#define LLM_SHED_UNIT      1000         /* one request, as limits count */
#define LLM_SHED_CUT       1500         /* of the limit, at least */
#define LLM_SHED_CUT_MORE  3500         /* more, by the share of late ones */
#define LLM_SHED_GROW      2000         /* in a window without late ones */
#define LLM_SHED_SLOW      8            /* so much slower while answers take
                                           more than half of the target */
#define LLM_SHED_KEPT      6            /* windows that a limit outlives its
                                           use */


/* Whether all are shed already that ever are: a lower limit changes nothing. */
static int
llm_shed_is_all(const llm_shed_t *s, uint32_t inflight)
{
    uint64_t  n;

    n = (uint64_t) inflight * LLM_SHED_UNIT;

    return s->limit && n >= (s->no_low ? s->limit : 2 * s->limit);
}


/*
 * The limit is too high: what is in flight, or may be, is cut by the share of
 * those that are late.  In a dry run nothing is shed, so one cut must do.
 */
static void
llm_shed_cut(const llm_shed_conf_t *c, llm_shed_t *s, uint32_t inflight,
    const llm_shed_cause_t *cause, llm_msec_t now)
{
    uint64_t  limit, share;

    if ((s->limit && c->dry_run) || llm_shed_is_all(s, inflight)) {
        return;
    }

    limit = (uint64_t) inflight * LLM_SHED_UNIT;

    if (s->limit && s->limit < limit) {
        limit = s->limit;
    }

    share = LLM_SHED_CUT
            + (uint64_t) LLM_SHED_CUT_MORE * cause->late / cause->n;
    limit -= limit * share / LLM_SHED_ONE;

    __atomic_store_n(&s->limit, limit > LLM_SHED_UNIT ? limit : LLM_SHED_UNIT,
                     __ATOMIC_RELAXED);
    s->cause = *cause;
    s->since = now;
    s->ebb = inflight;
    s->needed = now;
}


/* Nobody is late: a little more is tried, where there is a use for it. */
static void
llm_shed_grow(const llm_shed_conf_t *c, llm_shed_t *s, uint32_t inflight,
    llm_msec_t elapsed, uint32_t slower, llm_msec_t now)
{
    uint64_t  more;

    if ((uint64_t) inflight * LLM_SHED_UNIT * 2 >= s->limit) {
        s->needed = now;

        elapsed = elapsed < c->window ? elapsed : c->window;
        more = s->limit * LLM_SHED_GROW / LLM_SHED_ONE;
        more = more > LLM_SHED_UNIT ? more : LLM_SHED_UNIT;
        s->limit += more * elapsed / c->window / slower;
        return;
    }

    if (now - s->needed >= c->window * LLM_SHED_KEPT) {
        s->limit = 0;
    }
}


/* More in flight than the limit, and less than ever since it was set: requests
 * still wait behind those of before, and say nothing about it. */
static int
llm_shed_ebbs(llm_shed_t *s, uint32_t inflight)
{
    if (s->limit == 0 || (uint64_t) inflight * LLM_SHED_UNIT <= s->limit
        || inflight >= s->ebb)
    {
        return 0;
    }

    s->ebb = inflight;

    return 1;
}


static void
llm_shed_try(const llm_shed_conf_t *c, llm_shed_t *s, uint32_t inflight,
    llm_msec_t elapsed, llm_msec_t now)
{
    llm_shed_cause_t  cause;
    llm_shed_state_t  state;

    if (llm_shed_ebbs(s, inflight)) {
        s->since = now;
        return;
    }

    state = llm_shed_look(c, s, now, &cause);

    if (state == LLM_SHED_PRESSURE) {
        llm_shed_cut(c, s, inflight, &cause, now);
        return;
    }

    if (s->limit == 0 || state == LLM_SHED_EDGE
        || (state == LLM_SHED_UNKNOWN
            && now - s->since < c->window + llm_shed_longest(c)))
    {
        /* too few to tell; when that lasts, there is no load */
        return;
    }

    llm_shed_grow(c, s, inflight, elapsed,
                  state == LLM_SHED_WARM ? LLM_SHED_SLOW : 1, now);
}


/* It ends when nobody was shed for a window: near a threshold it would begin
 * and end all the time. */
static int
llm_shed_news(const llm_shed_conf_t *c, llm_shed_t *s, llm_msec_t now)
{
    if (s->limit || s->left_bp) {
        s->last = now;

        if (s->began == 0) {
            s->began = now;
            return LLM_SHED_BEGAN;
        }

        return 0;
    }

    if (s->began && (now - s->last >= c->window || now < s->last)) {
        s->began = 0;
        return LLM_SHED_ENDED;
    }

    return 0;
}


int
llm_shed_step(const llm_shed_conf_t *c, llm_shed_t *s, uint32_t inflight,
    llm_msec_t now)
{
    llm_msec_t  slot;

    slot = llm_shed_slot(c);

    if (now < s->stepped || s->stepped == 0) {
        /* the first one, or the clock was set back */
        s->stepped = now;
        s->since = 0;
        s->needed = now;
    }

    llm_shed_claim(c, s, now);
    llm_shed_try(c, s, inflight, now - s->stepped, now);

    s->no_low = !llm_shed_has_low(s);

    __atomic_store_n(&s->left_bp, llm_shed_left_level(c, s, now),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&s->stepped, now, __ATOMIC_RELAXED);
    __atomic_store_n(&s->next, (now / slot + 1) * slot, __ATOMIC_RELAXED);

    return llm_shed_news(c, s, now);
}


/* The part of the scale from `low` to `high` that n has gone, as basis points
 * between `from` and `to`. */
static uint32_t
llm_shed_ramp(uint64_t n, uint64_t low, uint64_t high, uint32_t from,
    uint32_t to)
{
    if (n <= low) {
        return from;
    }

    return n >= high ? to
                     : from + (uint32_t) ((to - from) * (n - low)
                                          / (high - low));
}


uint32_t
llm_shed_level(const llm_shed_conf_t *c, const llm_shed_t *s,
    uint32_t inflight)
{
    uint32_t  level, left;
    uint64_t  limit, n;

    limit = __atomic_load_n(&s->limit, __ATOMIC_RELAXED);
    left = __atomic_load_n(&s->left_bp, __ATOMIC_RELAXED);
    level = 0;

    if (limit) {
        n = (uint64_t) inflight * LLM_SHED_UNIT * 10;

        if (s->no_low) {
            level = n <= limit * 8 ? 0
                    : llm_shed_ramp(n, limit * 8, limit * 10, LLM_SHED_HALF,
                                    LLM_SHED_ONE);

        } else if (n <= limit * 10) {
            level = llm_shed_ramp(n, limit * 8, limit * 10, 0, LLM_SHED_HALF);

        } else {
            level = llm_shed_ramp(n, limit * 12, limit * 20, LLM_SHED_HALF,
                                  LLM_SHED_ONE);
        }
    }

    level = level > left ? level : left;

    return level < c->max_bp ? level : c->max_bp;
}


int
llm_shed_hits(uint32_t level_bp, llm_priority_t priority, uint32_t chance)
{
    uint32_t  share;

    switch (priority) {

    case LLM_PRIORITY_HIGH:
        return 0;

    case LLM_PRIORITY_LOW:
        share = level_bp;
        break;

    default:
        share = level_bp > LLM_SHED_HALF ? level_bp - LLM_SHED_HALF : 0;
        break;
    }

    return chance < share * (LLM_SHED_ONE / LLM_SHED_HALF);
}
