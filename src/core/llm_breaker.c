/*
 * The circuit breaker: closed, open, half-open, and the ramp after it.
 *
 * A real request is the probe: it falls back unseen when it fails, so that
 * probing costs nothing and the provider is used again soon after it recovers.
 */

#include "llm_breaker.h"

#define LLM_BREAKER_K_MAX     16
#define LLM_BREAKER_CLOSE     2         /* successful probes that close it */
#define LLM_BREAKER_DECAY_MS  60000     /* healthy time that takes one off k */
#define LLM_BREAKER_FORCE_MS  1000      /* last option: one probe a second */
#define LLM_BREAKER_RAMP_BP   1000      /* where the ramp begins, of 10 000 */
#define LLM_BREAKER_RETRY_MS  100       /* the ramp said no: ask again then */


static uint64_t
llm_breaker_slot(const llm_breaker_conf_t *c, llm_msec_t now)
{
    llm_msec_t  length;

    length = c->window / LLM_BREAKER_SLOTS;

    return now / (length ? length : 1);
}


static void
llm_breaker_clear(llm_breaker_t *b)
{
    memset(b->ok, 0, sizeof(b->ok));
    memset(b->bad, 0, sizeof(b->bad));
    b->consecutive = 0;
}


/* Forgets the slots that are over.  A clock that went back a little changes
 * nothing; one that went back by more than a window, or a window of another
 * length, which numbers its slots otherwise, starts anew. */
static void
llm_breaker_turn(const llm_breaker_conf_t *c, llm_breaker_t *b, llm_msec_t now)
{
    uint64_t  n, slot;

    slot = llm_breaker_slot(c, now);

    if (slot <= b->slot) {

        if (b->slot - slot > LLM_BREAKER_SLOTS) {
            memset(b->ok, 0, sizeof(b->ok));
            memset(b->bad, 0, sizeof(b->bad));
            b->slot = slot;
        }

        return;
    }

    n = slot - b->slot < LLM_BREAKER_SLOTS ? slot - b->slot
                                           : LLM_BREAKER_SLOTS;

    for (b->slot = slot; n > 0; n--, slot--) {
        b->ok[slot % LLM_BREAKER_SLOTS] = 0;
        b->bad[slot % LLM_BREAKER_SLOTS] = 0;
    }
}


static int
llm_breaker_is_failing(const llm_breaker_conf_t *c, const llm_breaker_t *b)
{
    size_t    i;
    uint64_t  ok, bad;

    if (b->consecutive >= c->failures) {
        return 1;
    }

    ok = 0;
    bad = 0;

    for (i = 0; i < LLM_BREAKER_SLOTS; i++) {
        ok += b->ok[i];
        bad += b->bad[i];
    }

    return c->error_rate_bp && bad && ok + bad >= c->min
           && bad * 10000 >= (ok + bad) * c->error_rate_bp;
}


static int
llm_breaker_open(const llm_breaker_conf_t *c, llm_breaker_t *b,
    uint32_t random, llm_msec_t now)
{
    unsigned    k;
    llm_msec_t  time;

    time = c->open;

    for (k = 0; k < b->k && time < c->max; k++) {
        time *= 2;
    }

    time = time < c->max ? time : c->max;
    time = time - time / 10 + random % (time / 5 + 1);

    if (b->status == LLM_BREAKER_CLOSED) {
        b->opened = now;
    }

    b->status = LLM_BREAKER_OPEN;
    b->until = now + time;
    b->probe_at = 0;
    b->probe_ok = 0;

    if (b->k < LLM_BREAKER_K_MAX) {
        b->k++;
    }

    llm_breaker_clear(b);

    return 1;
}


static int
llm_breaker_close(llm_breaker_t *b, llm_msec_t now)
{
    b->status = LLM_BREAKER_CLOSED;
    b->closed_at = now;
    b->ramp_from = now;
    b->probe_at = 0;
    b->probe_ok = 0;

    llm_breaker_clear(b);

    return 2;
}


/* Whether the ramp lets this one through: 10 % at its start, then all. */
static int
llm_breaker_is_ramped(const llm_breaker_conf_t *c, const llm_breaker_t *b,
    uint32_t random, llm_msec_t now)
{
    llm_msec_t  gone, share;

    if (b->ramp_from == 0 || now < b->ramp_from
        || now - b->ramp_from >= c->ramp)
    {
        return 1;
    }

    gone = now - b->ramp_from;
    share = LLM_BREAKER_RAMP_BP
            + (10000 - LLM_BREAKER_RAMP_BP) * gone / c->ramp;

    return (uint64_t) random * 10000 >> 32 < share;
}


/* A probe that nobody reported, or one so slow that another may go. */
static int
llm_breaker_is_probing(const llm_breaker_t *b, llm_msec_t for_ms,
    llm_msec_t now)
{
    return b->probe_at != 0 && now >= b->probe_at
           && now - b->probe_at < for_ms;
}


llm_admit_t
llm_breaker_admit(const llm_breaker_conf_t *c, llm_breaker_t *b,
    uint32_t random, llm_msec_t now, llm_msec_t *wait)
{
    if (c->failures == 0) {
        return LLM_ADMIT_YES;
    }

    if (b->status == LLM_BREAKER_CLOSED) {

        if (llm_breaker_is_ramped(c, b, random, now)) {
            return LLM_ADMIT_YES;
        }

        *wait = LLM_BREAKER_RETRY_MS;
        return LLM_ADMIT_NO;
    }

    if (b->status == LLM_BREAKER_OPEN) {

        /* a time further away than any open time: the clock went back */
        if (now < b->until && b->until - now <= c->max + c->max / 5) {
            *wait = b->until - now;
            return LLM_ADMIT_NO;
        }

        b->status = LLM_BREAKER_HALF_OPEN;
        b->probe_at = 0;
    }

    if (llm_breaker_is_probing(b, c->open, now)) {
        *wait = b->probe_at + c->open - now;
        return LLM_ADMIT_NO;
    }

    b->probe_at = now;

    return LLM_ADMIT_PROBE;
}


int
llm_breaker_force(const llm_breaker_conf_t *c, llm_breaker_t *b, llm_msec_t now)
{
    /* closed: only the ramp said no, and with nothing else left that is not
     * a reason to refuse */
    if (c->failures == 0 || b->status == LLM_BREAKER_CLOSED) {
        return 1;
    }

    if (llm_breaker_is_probing(b, LLM_BREAKER_FORCE_MS, now)) {
        return 0;
    }

    b->probe_at = now;

    return 1;
}


static void
llm_breaker_count(const llm_breaker_conf_t *c, llm_breaker_t *b, int ok,
    llm_msec_t now)
{
    uint32_t  *n;

    llm_breaker_turn(c, b, now);

    n = ok ? &b->ok[b->slot % LLM_BREAKER_SLOTS]
           : &b->bad[b->slot % LLM_BREAKER_SLOTS];

    *n += *n < UINT32_MAX;

    if (!ok) {
        b->consecutive += b->consecutive < UINT32_MAX;
        return;
    }

    b->consecutive = 0;

    while (b->k > 0 && now >= b->closed_at
           && now - b->closed_at >= LLM_BREAKER_DECAY_MS)
    {
        b->k--;
        b->closed_at += LLM_BREAKER_DECAY_MS;
    }
}


int
llm_breaker_report(const llm_breaker_conf_t *c, llm_breaker_t *b, int ok,
    int probe, uint32_t random, llm_msec_t now)
{
    if (c->failures == 0) {
        return 0;
    }

    if (b->status == LLM_BREAKER_CLOSED) {

        if (ok < 0) {
            return 0;
        }

        llm_breaker_count(c, b, ok, now);

        return !ok && llm_breaker_is_failing(c, b)
               ? llm_breaker_open(c, b, random, now) : 0;
    }

    /* what was sent before it opened proves nothing about now */
    if (!probe) {
        return 0;
    }

    b->probe_at = 0;

    if (ok < 0) {
        return 0;
    }

    if (ok) {
        b->status = LLM_BREAKER_HALF_OPEN;
        b->probe_ok++;

        return b->probe_ok >= LLM_BREAKER_CLOSE ? llm_breaker_close(b, now) : 0;
    }

    /* a forced probe that fails does not open it longer, or a last option
     * would be asked ever less often */
    if (b->status == LLM_BREAKER_OPEN) {
        b->probe_at = now;
        return 0;
    }

    return llm_breaker_open(c, b, random, now);
}
