/*
 * What an outcome does to a key and its group: rests, probes, disabling.
 *
 * Rests are merged by max() and never cut.  A lease that was taken before the
 * present rest began is old news: it neither ends the rest nor counts as the
 * next step, or a burst of requests in flight would climb the whole ladder.
 */

#include "llm_keypool_state.h"

#define LLM_BILLING_MS      LLM_HOUR_MS
#define LLM_AUTH_FIRST_MS   LLM_MINUTE_MS
#define LLM_AUTH_SECOND_MS  (10 * LLM_MINUTE_MS)
#define LLM_AUTH_PROBE_MS   (15 * LLM_MINUTE_MS)
#define LLM_PROBE_MAX_MS    (6 * LLM_HOUR_MS)
#define LLM_PERMISSION_MS   LLM_HOUR_MS

#define LLM_FAILURES_MAX    5                   /* the next one disables */
#define LLM_AUTH_STEPS      2                   /* rests before it does */
#define LLM_GUARD_MS        LLM_MINUTE_MS


llm_msec_t
llm_report_step(llm_msec_t base, unsigned k, llm_msec_t max)
{
    while (k-- > 0 && base < max) {
        base *= 2;
    }

    return base < max ? base : max;
}


llm_msec_t
llm_report_jitter(const llm_report_t *r, llm_msec_t ms)
{
    llm_msec_t  top;

    top = ms / 10 < LLM_REST_JITTER_MS ? ms / 10 : LLM_REST_JITTER_MS;

    return ms + r->random % (top + 1);
}


/* Nothing is handed out while a rest lasts: what was taken in the very
 * millisecond in which it began was taken before. */
static int
llm_report_is_stale(const llm_report_t *r, llm_msec_t since)
{
    return since && r->lease->taken <= since;
}


unsigned
llm_report_k(const llm_report_t *r, const llm_group_state_t *s)
{
    return llm_report_is_stale(r, s->since) && s->step ? s->step - 1U : s->step;
}


void
llm_report_rest(const llm_report_t *r, llm_group_state_t *s, llm_msec_t ms,
    int is_step)
{
    llm_msec_t  until;

    until = r->now + ms;

    /* old news do not make a step of their own */
    if (!llm_report_is_stale(r, s->since)) {
        s->since = r->now;

        if (is_step && s->step < UINT16_MAX) {
            s->step++;
        }
    }

    if (until > s->until) {
        s->until = until;
    }

    s->probe_at = 0;
    s->probing = 1;
    s->cause = (uint8_t) r->out->class;
}


static int
llm_report_is_off(const llm_key_state_t *k)
{
    return k->status == LLM_KEY_DISABLED || k->status == LLM_KEY_PROBING
           || k->status == LLM_KEY_MANUAL_OFF;
}


/* Whether some other key is not disabled: of any group, or of another one. */
static int
llm_report_has_others(const llm_report_t *r, int same_group)
{
    uint32_t                  i, g;
    const llm_group_state_t  *s;

    for (i = 0; i < r->lane->conf->key_n; i++) {
        g = r->lane->conf->key[i].group;
        s = &r->lane->shared[g];

        if (i == r->lease->key || (!same_group && g == r->g)
            || llm_report_is_off(&r->lane->key[i])
            || (s->until > r->now && s->cause == LLM_CLASS_BILLING))
        {
            continue;
        }

        return 1;
    }

    return 0;
}


static void
llm_report_key_rest(const llm_report_t *r, llm_key_status_t status,
    llm_msec_t ms)
{
    llm_msec_t        until;
    llm_key_state_t  *k;

    k = r->key;
    until = r->now + llm_report_jitter(r, ms);

    if (!llm_report_is_stale(r, k->since)) {
        k->since = r->now;
    }

    if (until > k->until) {
        k->until = until;
    }

    k->probe_at = 0;
    k->cause = (uint8_t) r->out->class;

    if (k->status != LLM_KEY_MANUAL_OFF) {
        k->status = (uint8_t) status;
    }
}


/*
 * Half of the keys, of two groups at least, refused within a minute: that is
 * the provider's fault and not theirs.  The first of them were disabled before
 * this could be seen; they are let off, too.
 */
static int
llm_report_is_correlated(const llm_report_t *r)
{
    uint32_t          i, n, groups;
    llm_key_state_t  *k;

    n = 0;
    groups = 0;

    for (i = 0; i < r->lane->conf->key_n; i++) {
        k = &r->lane->key[i];

        if (k->auth_at && r->now - k->auth_at <= LLM_GUARD_MS) {
            n++;
            groups |= r->lane->conf->key[i].group != r->g;
        }
    }

    if (!groups || (uint64_t) n * 2 < r->lane->conf->key_n) {
        return 0;
    }

    for (i = 0; i < r->lane->conf->key_n; i++) {
        k = &r->lane->key[i];

        if (k->status == LLM_KEY_DISABLED && k->cause == LLM_CLASS_AUTH
            && r->now - k->auth_at <= LLM_GUARD_MS)
        {
            k->status = LLM_KEY_COOLING;
            k->until = r->now + llm_report_jitter(r, LLM_AUTH_FIRST_MS);
        }
    }

    *r->lane->wake = 0;

    return 1;
}


/* 1: the key was disabled.  Every disabled key comes back for a probe. */
static int
llm_report_auth(llm_report_t *r)
{
    unsigned          step;
    llm_msec_t        ms;
    llm_key_state_t  *k;

    k = r->key;
    step = k->auth_step;

    k->auth_at = r->now;

    if (!llm_report_is_stale(r, k->since) && k->auth_step < UINT16_MAX) {
        k->auth_step++;
    }

    if (step < LLM_AUTH_STEPS && k->failures <= LLM_FAILURES_MAX) {
        ms = step ? LLM_AUTH_SECOND_MS : LLM_AUTH_FIRST_MS;
        llm_report_key_rest(r, LLM_KEY_COOLING, ms);
        return 0;
    }

    if (llm_report_is_correlated(r)) {
        llm_report_key_rest(r, LLM_KEY_COOLING, LLM_AUTH_FIRST_MS);
        return 0;
    }

    if (!llm_report_has_others(r, 1)) {
        llm_report_key_rest(r, LLM_KEY_COOLING, LLM_AUTH_SECOND_MS);
        return 0;
    }

    step = step > LLM_AUTH_STEPS ? step - LLM_AUTH_STEPS : 0;
    ms = llm_report_step(LLM_AUTH_PROBE_MS, step, LLM_PROBE_MAX_MS);
    step = !llm_report_is_off(k);

    llm_report_key_rest(r, LLM_KEY_DISABLED, ms);

    return (int) step;
}


/* No money: no key of the group helps, for no model. */
static int
llm_report_billing(llm_report_t *r)
{
    int                 fresh;
    llm_msec_t          ms;
    llm_group_state_t  *s;

    s = &r->lane->shared[r->g];
    fresh = !llm_report_is_stale(r, s->since) && s->cause != LLM_CLASS_BILLING;

    if (!llm_report_has_others(r, 0)) {
        ms = llm_report_step(LLM_REST_BASE_MS, llm_report_k(r, s),
                             LLM_REST_MAX_MS);
        llm_report_rest(r, s, llm_report_jitter(r, ms), 1);
        return 0;
    }

    ms = llm_report_step(LLM_BILLING_MS, llm_report_k(r, s), LLM_PROBE_MAX_MS);
    llm_report_rest(r, s, llm_report_jitter(r, ms), 1);

    return fresh;
}


static void
llm_report_group_ok(const llm_report_t *r, llm_group_state_t *s)
{
    if (llm_report_is_stale(r, s->since)) {
        return;
    }

    s->until = 0;
    s->probe_at = 0;
    s->step = 0;
    s->probing = 0;
    s->cause = 0;
}


static void
llm_report_ok(llm_report_t *r)
{
    llm_key_state_t  *k;

    k = r->key;

    llm_report_group_ok(r, &r->lane->group[r->g]);
    llm_report_group_ok(r, &r->lane->shared[r->g]);

    if (!llm_report_is_stale(r, k->since)) {
        k->failures = 0;
        k->auth_step = 0;

        if (k->status != LLM_KEY_MANUAL_OFF) {
            k->status = LLM_KEY_ACTIVE;
            k->until = 0;
            k->probe_at = 0;
        }
    }

    /* the others that waited for this probe are marked as resting */
    if (r->lease->probe) {
        *r->lane->wake = 0;
    }
}


/* A probe that proved nothing: the next one may go. */
static void
llm_report_release(llm_report_t *r)
{
    if (!r->lease->probe) {
        return;
    }

    r->lane->group[r->g].probe_at = 0;
    r->lane->shared[r->g].probe_at = 0;
    r->key->probe_at = 0;

    if (r->key->status == LLM_KEY_PROBING) {
        r->key->status = LLM_KEY_DISABLED;
    }

    *r->lane->wake = 0;
}


static void
llm_report_count(llm_report_t *r)
{
    llm_key_state_t  *k;

    k = r->key;

    if (r->out->class == LLM_CLASS_OK
        || r->out->class == LLM_CLASS_CLIENT_GONE
        || llm_class_is_caller_fault(r->out->class))
    {
        return;
    }

    k->errors += k->errors < UINT32_MAX;

    if (r->out->class == LLM_CLASS_AUTH || r->out->class == LLM_CLASS_BILLING) {
        k->failures += k->failures < UINT32_MAX;
    }
}


int
llm_keypool_report(llm_lane_t *lane, const llm_lease_t *lease,
    const llm_outcome_t *out, uint64_t random, llm_msec_t now)
{
    uint32_t      g;
    llm_report_t  r;

    g = lane->conf->key[lease->key].group;

    r = (llm_report_t) { lane, lease, out, &lane->key[lease->key],
                         llm_pool_group(lane, g), &lane->conf->group[g], g,
                         random, now };

    if (!lane->conf->cooldown) {
        r.key->errors += r.key->errors < UINT32_MAX
                         && llm_class_is_key_fault(out->class);
        return 0;
    }

    llm_report_count(&r);

    if (out->class == LLM_CLASS_OK) {
        llm_report_ok(&r);
        return 0;
    }

    llm_report_release(&r);

    switch (out->class) {
    case LLM_CLASS_RATE_LIMITED:
        llm_report_rate(&r);
        return 0;

    case LLM_CLASS_QUOTA:
        llm_report_quota(&r);
        return 0;

    case LLM_CLASS_PERMISSION:
        /* about this model, whatever the group's limits count over */
        llm_report_rest(&r, &lane->group[g],
                        llm_report_jitter(&r, LLM_PERMISSION_MS), 0);
        return 0;

    case LLM_CLASS_BILLING:
        return llm_report_billing(&r);

    case LLM_CLASS_AUTH:
        return llm_report_auth(&r);

    default:
        return 0;
    }
}
