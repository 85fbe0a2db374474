/*
 * How long a group rests after 429, and what its limits learn from it.
 *
 * The best source wins: the calendar that we count by, then the arithmetic of
 * a bucket that refills, then the provider's hint, then steps of our own.
 */

#include "llm_keypool_state.h"

#define LLM_REST_MIN_MS     1000
#define LLM_QUOTA_BASE_MS   (15 * LLM_MINUTE_MS)
#define LLM_QUOTA_MAX_MS    (6 * LLM_HOUR_MS)
#define LLM_RESET_SKEW_MS   (2 * LLM_HOUR_MS)   /* behind a reset: not over */


/* The limit that the refusal spoke of, or NULL. */
static const llm_limit_t *
llm_report_limit(const llm_report_t *r, llm_limit_state_t **state)
{
    uint32_t            i, same;
    const llm_limit_t  *l, *found;

    found = NULL;
    same = 0;

    for (i = 0; i < r->conf->limit_n; i++) {
        l = &r->conf->limit[i];

        if (r->out->has_quota) {
            if (l->dim == r->out->dim && l->max == r->out->limit) {
                *state = &r->group->limit[i];
                return l;
            }

            continue;
        }

        /* a day's quota without numbers: the calendar that we count by */
        if (r->out->day && l->clock == LLM_CLOCK_CALENDAR
            && l->unit == LLM_TZ_DAY
            && (found == NULL || (!same && l->dim == r->out->dim)))
        {
            same = l->dim == r->out->dim;
            found = l;
            *state = &r->group->limit[i];
        }
    }

    return found;
}


/* The provider's numbers without this very request, whose reservation is still
 * in ours and will be given back.  They are of all nodes: ours is a part of
 * them, and not less than what we know. */
static void
llm_report_learn(const llm_report_t *r, const llm_limit_t *l,
    llm_limit_state_t *state, uint64_t used)
{
    uint32_t     i;
    uint64_t     more, own;
    llm_msec_t   now;
    llm_limit_t  cap;

    i = (uint32_t) (l - r->conf->limit);
    now = r->now;

    more = llm_pool_limit(r->lane, r->g, i, &cap, &now);

    if (r->lane->caps) {
        used = (uint64_t) ((double) used / (double) l->max
                           * (double) (cap.max - more));
        own = llm_limit_used(&cap, state, now);
        own = own > r->lease->need.n[l->dim] ? own - r->lease->need.n[l->dim]
                                             : 0;
        used = used > own ? used : own;
    }

    llm_limit_learn(&cap, state, used + r->lease->need.n[l->dim], now);
}


/* Until the wall clock says so.  A refusal right behind the reset means that
 * the provider's clock is late, not that the new day is used up, too. */
static llm_msec_t
llm_report_calendar(const llm_report_t *r, const llm_limit_t *l,
    llm_limit_state_t *state)
{
    int64_t          start, next;
    llm_tz_t         utc;
    const llm_tz_t  *tz;

    tz = l->tz;

    if (tz == NULL) {
        llm_tz_utc(&utc);
        tz = &utc;
    }

    llm_tz_window(tz, l->unit, l->reset_s, (int64_t) (r->now / 1000), &start,
                  &next);

    if (r->group->step && r->group->cause == LLM_CLASS_QUOTA
        && r->now - (llm_msec_t) start * 1000 < LLM_RESET_SKEW_MS)
    {
        return LLM_QUOTA_BASE_MS;
    }

    llm_report_learn(r, l, state, r->out->has_quota && r->out->used > l->max
                                  ? r->out->used : l->max);

    return (llm_msec_t) next * 1000 - r->now
           + 1000 + r->random % (LLM_REST_JITTER_MS - 1000 + 1);
}


/* Used and Requested of a bucket that refills: how long until it fits. */
static llm_msec_t
llm_report_refill(const llm_report_t *r)
{
    llm_limit_t        l;
    llm_msec_t         ms;
    llm_limit_state_t  s;

    if (r->out->limit == 0 || r->out->limit > LLM_LIMIT_MAX) {
        return 0;
    }

    memset(&l, 0, sizeof(l));
    memset(&s, 0, sizeof(s));

    l.max = r->out->limit;
    l.clock = LLM_CLOCK_REFILL;
    l.unit = r->out->day || r->out->class == LLM_CLASS_QUOTA ? LLM_TZ_DAY
                                                             : LLM_TZ_MINUTE;

    llm_limit_learn(&l, &s, r->out->used, r->now);
    ms = llm_limit_wait(&l, &s, r->out->requested, r->now);

    return ms == LLM_NEVER ? 0 : ms;
}


/* A refill limit of ours that has learned and can judge alone: requests as
 * large as this one wait, smaller ones may pass. */
static int
llm_report_limit_knows(const llm_report_t *r, const llm_limit_t *l)
{
    return l && l->clock == LLM_CLOCK_REFILL
           && r->lease->need.n[l->dim] >= r->out->requested
           && r->lease->need.n[l->dim] <= l->max;
}


void
llm_report_quota(const llm_report_t *r)
{
    llm_msec_t          ms, least;
    const llm_limit_t  *l;
    llm_limit_state_t  *state;

    if (r->out->never) {
        llm_report_rest(r, r->group,
                        llm_report_jitter(r, LLM_QUOTA_MAX_MS), 1);
        return;
    }

    l = llm_report_limit(r, &state);

    if (l && l->clock == LLM_CLOCK_CALENDAR) {
        llm_report_rest(r, r->group, llm_report_calendar(r, l, state), 1);
        return;
    }

    ms = r->out->has_quota ? llm_report_refill(r) : 0;

    if (l) {
        llm_report_learn(r, l, state, r->out->used);

        if (ms && llm_report_limit_knows(r, l)) {
            ms = LLM_REST_MIN_MS;
        }
    }

    if (ms == 0) {
        ms = r->out->wait;
        least = llm_report_step(LLM_QUOTA_BASE_MS,
                                llm_report_k(r, r->group), LLM_QUOTA_MAX_MS);

        /* hints of a few seconds are known to be wrong about days */
        if (ms == 0 || (r->out->day && ms < least)) {
            ms = least;
        }
    }

    llm_report_rest(r, r->group, llm_report_jitter(r, ms), 1);
}


void
llm_report_rate(const llm_report_t *r)
{
    llm_msec_t          ms;
    const llm_limit_t  *l;
    llm_limit_state_t  *state;

    l = r->out->has_quota ? llm_report_limit(r, &state) : NULL;

    if (l) {
        llm_report_learn(r, l, state, r->out->used);
    }

    ms = r->out->wait;

    if (ms == 0 && r->out->has_quota) {
        ms = llm_report_refill(r);
    }

    if (ms) {
        ms = ms > LLM_REST_MIN_MS ? ms : LLM_REST_MIN_MS;
        llm_report_rest(r, r->group, llm_report_jitter(r, ms), 0);
        return;
    }

    ms = llm_report_step(LLM_REST_BASE_MS, llm_report_k(r, r->group),
                         LLM_REST_MAX_MS);

    llm_report_rest(r, r->group, llm_report_jitter(r, ms), 1);
}
