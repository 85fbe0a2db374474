/*
 * One node's side of a shared limit: what it may use, when it asks, what it
 * lends, and what replies do.
 */

#include "llm_share.h"

#define LLM_SHARE_EARLY     90          /* percent in use: asks ahead */
#define LLM_SHARE_RESERVE   32          /* 1/32 of the default is not lent */
#define LLM_SHARE_BUSY      8           /* 1/8 of what is used is kept free */
#define LLM_SHARE_PIECE     32          /* 1/32 of the limit at a time */
#define LLM_SHARE_YIELD_MS  5000        /* after somebody wanted it back */
#define LLM_SHARE_CALM_MS   1000        /* between questions that nobody was
                                           refused for */


uint64_t
llm_share_default(uint64_t max, uint32_t n, uint32_t rank)
{
    return n ? max / n + (rank < max % n) : 0;
}


static uint64_t
llm_share_sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}


static int
llm_share_is_declared(const llm_share_t *s)
{
    return (s->flags & LLM_SHARE_DECLARED) != 0;
}


void
llm_share_turn(llm_share_t *s, const llm_share_view_t *v)
{
    if (v->window == 0) {

        if (s->window != v->start) {
            s->window = v->start;
            s->flags &= LLM_SHARE_QUEUED;
            s->want = 0;
            s->backoff = 0;
            s->ask = 0;
        }

        return;
    }

    /* A lender takes its part back only when it is sure that its newest word
     * has been heard: an older one may still be under way, and be believed. */

    if (llm_share_is_declared(s) && v->now >= s->until
        && !(s->flags & LLM_SHARE_FLIGHT)
        && (s->allow >= v->def || !(s->flags & LLM_SHARE_PENDING)))
    {
        s->flags &= LLM_SHARE_QUEUED;
    }
}


/* Whether a window's declaration stands. */
static int
llm_share_counts(const llm_share_t *s, const llm_share_view_t *v)
{
    return llm_share_is_declared(s)
           && (v->window || s->window == v->start);
}


uint64_t
llm_share_cap(const llm_share_t *s, const llm_share_view_t *v)
{
    if (!llm_share_counts(s, v)) {
        return v->def;
    }

    if (v->window == 0 || s->allow <= v->def) {
        return s->allow;
    }

    /* what was borrowed must have left the window when it counts no more */

    if (v->now + v->window >= s->until) {
        return v->def;
    }

    if (v->now >= s->yield || s->debt == 0) {
        return s->allow;
    }

    return s->allow - v->def > s->debt ? s->allow - s->debt : v->def;
}


uint64_t
llm_share_rate(const llm_share_t *s, const llm_share_view_t *v)
{
    if (!llm_share_counts(s, v)) {
        return v->def;
    }

    return s->allow > v->def && v->now >= s->until ? v->def : s->allow;
}


int
llm_share_need(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    uint64_t need, int refused)
{
    uint64_t  cap;

    cap = llm_share_cap(s, v);

    if (cap >= v->max) {
        return 0;
    }

    if (refused) {

        /* the whole limit would not have room, either */

        if (used > v->max || need > v->max - used) {
            return 0;
        }

        s->want = need > v->max - s->want ? v->max : s->want + need;

    } else if (used <= cap / 100 * LLM_SHARE_EARLY
                       + cap % 100 * LLM_SHARE_EARLY / 100)
    {
        return 0;
    }

    return v->now >= s->ask
           && !(s->flags & (LLM_SHARE_FLIGHT | LLM_SHARE_QUEUED));
}


/* The share as a declaration: what is used on top of it counts as well, but may
 * not be used again. */
static void
llm_share_declare(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    llm_share_ask_t *ask)
{
    if (!llm_share_counts(s, v)) {
        s->allow = v->def;
        s->window = v->start;
        s->until = 0;
    }

    /* larger than what this node may have said before it forgot it */

    s->seq = s->seq < v->now / 1000 ? v->now / 1000 : s->seq + 1;
    s->sent = v->now;
    s->flags |= LLM_SHARE_DECLARED | LLM_SHARE_PENDING | LLM_SHARE_FLIGHT;

    ask->seq = s->seq;
    ask->excess = llm_share_sub(used, s->allow);
    ask->allow = s->allow + ask->excess;
    ask->left = llm_share_sub(s->until, v->now);
    ask->want = 0;
    ask->urgent = 0;
    ask->start = v->start;
}


void
llm_share_ask(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    llm_share_ask_t *ask)
{
    uint64_t  want, most;

    llm_share_declare(s, v, used, ask);

    want = v->max / LLM_SHARE_PIECE + 1;
    want = s->want > want ? s->want : want;
    most = llm_share_sub(v->max, ask->allow);

    ask->want = want < most ? want : most;
    ask->urgent = s->want != 0;
    s->want = 0;
}


/* What may be given away: of a calendar everything that is not used, in the
 * end; of others something is kept for requests to come, but not of a debt. */
static uint64_t
llm_share_spare(const llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    uint64_t debt)
{
    uint64_t  spare, keep;

    spare = llm_share_sub(llm_share_counts(s, v) ? s->allow : v->def, used);

    if (v->window == 0) {
        return spare - spare / 2;
    }

    debt = debt < spare ? debt : spare;

    keep = v->def / LLM_SHARE_RESERVE;
    keep = used / LLM_SHARE_BUSY > keep ? used / LLM_SHARE_BUSY : keep;
    spare = llm_share_sub(spare, keep);
    spare -= spare / 2;

    return spare > debt ? spare : debt;
}


int
llm_share_lend(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    uint32_t mark, uint64_t amount, int owed, llm_share_ask_t *ask)
{
    int       known;
    uint64_t  give, debt;

    debt = 0;

    if (owed && v->window && llm_share_counts(s, v) && s->allow > v->def) {
        debt = s->allow - v->def < amount ? s->allow - v->def : amount;
        s->debt = debt;
        s->yield = v->now + LLM_SHARE_YIELD_MS;
    }

    if (s->flags & LLM_SHARE_FLIGHT) {
        s->flags |= s->mark != mark ? LLM_SHARE_HEARD : 0;
        return 0;
    }

    give = llm_share_spare(s, v, used, debt);

    known = llm_share_counts(s, v) && !(s->flags & LLM_SHARE_PENDING)
            && s->mark == mark;

    /* a lender's word must last for as long as others use its part */

    if (v->window && known && s->allow < v->def
        && s->until < v->now + 2 * v->window)
    {
        known = 0;
    }

    if (give == 0 && known) {
        return 0;
    }

    llm_share_declare(s, v, used, ask);

    s->allow -= give;
    s->debt = llm_share_sub(s->debt, give);
    ask->allow -= give;

    return 1;
}


/* When to ask again: sooner when all was granted, later when nothing was. */
static void
llm_share_wait(llm_share_t *s, const llm_share_view_t *v, uint64_t granted,
    uint64_t want, unsigned urgent)
{
    unsigned    ms, most;

    most = v->window == 0 ? LLM_SHARE_ASK_SLOW
           : v->window == LLM_SHARE_GAUGE_MS ? LLM_SHARE_ASK_GAUGE
                                             : LLM_SHARE_ASK_MAX;
    ms = s->backoff ? s->backoff : LLM_SHARE_ASK_MS / 2;

    if (granted == 0) {
        ms *= 2;

    } else if (granted >= want) {
        ms /= 4;
    }

    ms = ms < LLM_SHARE_ASK_MS ? LLM_SHARE_ASK_MS : ms;
    ms = ms > most ? most : ms;
    s->backoff = (uint16_t) ms;

    /* not all of them at once: by what differs among nodes */

    ms -= (unsigned) ((s->seq * 37 + s->sent) % 32);
    s->ask = v->now + (urgent || ms > LLM_SHARE_CALM_MS ? ms
                                                        : LLM_SHARE_CALM_MS);
}


int
llm_share_reply(llm_share_t *s, const llm_share_view_t *v,
    const llm_share_ask_t *ask, const llm_share_reply_t *reply)
{
    int       bits;
    uint64_t  allow;

    if (ask->seq == s->seq) {
        s->flags &= (uint8_t) ~LLM_SHARE_FLIGHT;
    }

    if (reply->seq != s->seq) {

        /* an older one, or this node has forgotten what it said: next time it
         * says something newer */

        s->seq = reply->seq > s->seq ? reply->seq : s->seq;
        return 0;
    }

    if (!llm_share_counts(s, v) || ask->start != v->start
        || reply->allow < s->allow + ask->excess)
    {
        return 0;
    }

    allow = reply->allow - ask->excess;
    s->flags &= (uint8_t) ~LLM_SHARE_PENDING;
    s->mark = reply->mark;

    /* in doubt a loan ends early, and what was lent comes back late */

    s->until = (allow > v->def ? s->sent : v->now) + reply->left;

    if (ask->want) {
        llm_share_wait(s, v, allow - s->allow, ask->want, ask->urgent);

        /* nobody is granted anything before all have declared */

        if (reply->missing && ask->urgent) {
            s->ask = v->now + 2 * LLM_SHARE_ASK_MS;
        }
    }

    s->allow = allow;
    bits = 0;

    if (reply->missing || reply->allow - ask->allow < ask->want
        || (v->window && allow > v->def
            && s->until < v->now + 2 * v->window))
    {
        bits |= LLM_SHARE_TELL;
    }

    /* what was asked for meanwhile may be news to the hash */

    if (s->flags & LLM_SHARE_HEARD) {
        s->flags &= (uint8_t) ~LLM_SHARE_HEARD;
        s->flags |= LLM_SHARE_PENDING;
        bits |= LLM_SHARE_AGAIN;
    }

    return bits;
}


int
llm_share_lost(llm_share_t *s, const llm_share_view_t *v)
{
    s->flags &= (uint8_t) ~LLM_SHARE_FLIGHT;
    llm_share_wait(s, v, 0, 1, 1);

    return llm_share_counts(s, v);
}


int
llm_share_again(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    llm_share_ask_t *ask)
{
    if (!llm_share_counts(s, v)
        || (s->flags & (LLM_SHARE_PENDING | LLM_SHARE_FLIGHT))
           != LLM_SHARE_PENDING)
    {
        return 0;
    }

    llm_share_declare(s, v, used, ask);

    return 1;
}


int
llm_share_is_bound(const llm_share_t *s, const llm_share_view_t *v)
{
    return llm_share_counts(s, v) || (s->flags & LLM_SHARE_FLIGHT);
}
