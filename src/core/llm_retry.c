/*
 * After a failed attempt: again, with another key, to the next target, or not.
 *
 * Each class has one way to be handled; everything else here is the question
 * whether that way is still open: retries, budget, deadline, sends.
 */

#include "llm_retry.h"

#define LLM_RETRY_LEFT_MS      2000     /* no attempt with less time left */
#define LLM_RETRY_SMALL_MS     20000    /* where 2 s would be too much to ask */
#define LLM_RETRY_INLINE_MS    5000     /* a wait worth it with a fallback */
#define LLM_RETRY_TERMINAL_MS  20000    /* and without one */
#define LLM_RETRY_REST_MS      1000     /* no key rests for less */

#define LLM_BUDGET_ONE         10000
#define LLM_BUDGET_SLOTS       6
#define LLM_BUDGET_SLOT_MS     10000
#define LLM_BUDGET_FREE_MS     1000
#define LLM_BUDGET_FREE_N      10


typedef enum {
    LLM_HOW_STOP,                       /* nothing helps */
    LLM_HOW_NEXT,                       /* only another target may help */
    LLM_HOW_ROTATE,                     /* another key, else another target */
    LLM_HOW_REST,                       /* the same, or a short wait */
    LLM_HOW_AGAIN,                      /* again: once with a fallback */
    LLM_HOW_LAST,                       /* again, only without a fallback */
    LLM_HOW_ONCE,                       /* so, and only once */
    LLM_HOW_AT_ONCE,                    /* so, only once and without a wait */
    LLM_HOW_HOLD                        /* nothing was sent: wait for a key */
} llm_how_t;


static const uint8_t  llm_hows[LLM_CLASS_N] = {
    [LLM_CLASS_OK] = LLM_HOW_STOP,
    [LLM_CLASS_INVALID_REQUEST] = LLM_HOW_NEXT,
    [LLM_CLASS_CONTEXT_LENGTH] = LLM_HOW_NEXT,
    [LLM_CLASS_CONTENT_FILTER] = LLM_HOW_NEXT,
    [LLM_CLASS_AUTH] = LLM_HOW_ROTATE,
    [LLM_CLASS_PERMISSION] = LLM_HOW_ROTATE,
    [LLM_CLASS_BILLING] = LLM_HOW_ROTATE,
    [LLM_CLASS_RATE_LIMITED] = LLM_HOW_REST,
    [LLM_CLASS_QUOTA] = LLM_HOW_ROTATE,
    [LLM_CLASS_OVERLOADED] = LLM_HOW_LAST,
    [LLM_CLASS_SERVER] = LLM_HOW_AGAIN,
    [LLM_CLASS_BAD_ANSWER] = LLM_HOW_ONCE,
    [LLM_CLASS_CONNECT] = LLM_HOW_AT_ONCE,
    [LLM_CLASS_DNS] = LLM_HOW_AT_ONCE,
    [LLM_CLASS_TLS] = LLM_HOW_AT_ONCE,
    [LLM_CLASS_NETWORK] = LLM_HOW_AGAIN,
    [LLM_CLASS_TIMEOUT_CONNECT] = LLM_HOW_LAST,
    [LLM_CLASS_TIMEOUT_HEADER] = LLM_HOW_LAST,
    [LLM_CLASS_TIMEOUT_FIRST] = LLM_HOW_LAST,
    [LLM_CLASS_TIMEOUT_IDLE] = LLM_HOW_LAST,
    [LLM_CLASS_TIMEOUT_TOTAL] = LLM_HOW_LAST,
    [LLM_CLASS_CUT] = LLM_HOW_STOP,
    [LLM_CLASS_EXHAUSTED] = LLM_HOW_HOLD,
    [LLM_CLASS_BUSY] = LLM_HOW_NEXT,
    [LLM_CLASS_SHED] = LLM_HOW_NEXT,
    [LLM_CLASS_CLIENT_GONE] = LLM_HOW_STOP
};


/* Whether an attempt that starts after `delay` still makes sense. */
static int
llm_retry_fits(const llm_retry_conf_t *c, const llm_retry_in_t *in,
    llm_msec_t delay)
{
    if (in->left <= delay) {
        return 0;
    }

    if (c->deadline && c->deadline < LLM_RETRY_SMALL_MS) {
        return in->left - delay > delay;
    }

    return in->left - delay > LLM_RETRY_LEFT_MS;
}


static llm_do_t
llm_retry_next(const llm_retry_conf_t *c, const llm_retry_in_t *in)
{
    return in->other_target && llm_retry_fits(c, in, 0) ? LLM_DO_NEXT
                                                        : LLM_DO_GIVE_UP;
}


/* U(low, high) */
static llm_msec_t
llm_retry_between(llm_msec_t low, llm_msec_t high, uint64_t random)
{
    return low + random % (high - low + 1);
}


llm_msec_t
llm_retry_backoff(const llm_retry_conf_t *c, uint32_t n, uint64_t random)
{
    llm_msec_t  top;

    top = c->backoff_min;

    while (n-- > 0 && top < c->backoff_max) {
        top *= 2;
    }

    return llm_retry_between(0, top < c->backoff_max ? top : c->backoff_max,
                             random);
}


/* How often this target may be asked again. */
static uint32_t
llm_retry_limit(const llm_retry_conf_t *c, const llm_retry_in_t *in,
    llm_how_t how)
{
    uint32_t  n;

    n = c->retries;

    /* the client repeats by itself: ours would multiply with its own */
    if (in->client_retry && n > 1) {
        n = 1;
    }

    switch (how) {
    case LLM_HOW_AGAIN:
        return in->other_target && n > 1 ? 1 : n;

    case LLM_HOW_LAST:
        return in->other_target ? 0 : n;

    case LLM_HOW_ONCE:
    case LLM_HOW_AT_ONCE:
        return in->other_target ? 0 : n > 1 ? 1 : n;

    default:
        return n;
    }
}


/* The same target again, or the next one where that is not possible. */
static llm_do_t
llm_retry_again(const llm_retry_conf_t *c, const llm_retry_in_t *in,
    llm_how_t how, llm_msec_t *delay)
{
    llm_msec_t  cap, ms;

    cap = in->other_target ? LLM_RETRY_INLINE_MS : LLM_RETRY_TERMINAL_MS;

    if (in->retried >= llm_retry_limit(c, in, how)
        || in->should_retry == 2
        || !in->budget
        || in->wait > cap)
    {
        return llm_retry_next(c, in);
    }

    if (how == LLM_HOW_AT_ONCE) {
        ms = 0;

    } else if (in->wait) {
        ms = llm_retry_between(in->wait, in->wait + in->wait / 2, in->random);

    } else {
        ms = llm_retry_backoff(c, in->retried, in->random);
    }

    if (!llm_retry_fits(c, in, ms)) {
        return llm_retry_next(c, in);
    }

    *delay = ms;

    return LLM_DO_RETRY;
}


/* The only key rests: wait for it, when that is short and known. */
static llm_do_t
llm_retry_rest(const llm_retry_conf_t *c, const llm_retry_in_t *in,
    llm_msec_t *delay)
{
    llm_msec_t      rest;
    llm_retry_in_t  longer;

    if (in->wait == 0
        || in->wait > (in->other_target ? LLM_RETRY_INLINE_MS
                                        : LLM_RETRY_TERMINAL_MS))
    {
        return llm_retry_next(c, in);
    }

    /* the pool rests a key for a second at least and adds up to a tenth:
     * coming back earlier would find it resting still */
    rest = in->wait > LLM_RETRY_REST_MS ? in->wait : LLM_RETRY_REST_MS;

    longer = *in;
    longer.wait = 0;

    if (llm_retry_again(c, &longer, LLM_HOW_REST, delay) != LLM_DO_RETRY) {
        return llm_retry_next(c, in);
    }

    rest = llm_retry_between(rest + rest / 10 + 1, rest + rest / 2, in->random);

    if (!llm_retry_fits(c, in, rest)) {
        return llm_retry_next(c, in);
    }

    *delay = rest;

    return LLM_DO_RETRY;
}


/* Nothing was sent and nothing is spent: hold the request for a short while,
 * when there is nowhere else to go. */
static llm_do_t
llm_retry_hold(const llm_retry_conf_t *c, const llm_retry_in_t *in,
    llm_msec_t *delay)
{
    llm_msec_t  ms;

    if (in->other_target || in->wait == 0 || in->wait > LLM_RETRY_INLINE_MS
        || in->wait > in->left / 2
        || in->retried >= llm_retry_limit(c, in, LLM_HOW_HOLD))
    {
        return llm_retry_next(c, in);
    }

    ms = llm_retry_between(in->wait, in->wait + in->wait / 2, in->random);

    if (!llm_retry_fits(c, in, ms)) {
        return LLM_DO_GIVE_UP;
    }

    *delay = ms;

    return LLM_DO_RETRY;
}


llm_do_t
llm_retry_plan(const llm_retry_conf_t *c, const llm_retry_in_t *in,
    llm_msec_t *delay)
{
    llm_how_t  how;

    how = (unsigned) in->class < LLM_CLASS_N ? (llm_how_t) llm_hows[in->class]
                                             : LLM_HOW_STOP;

    if (how == LLM_HOW_STOP || in->sends >= LLM_SENDS_MAX) {
        return LLM_DO_GIVE_UP;
    }

    if (how == LLM_HOW_NEXT || c->retries == 0) {
        return llm_retry_next(c, in);
    }

    if (how == LLM_HOW_HOLD) {
        return llm_retry_hold(c, in, delay);
    }

    if (how != LLM_HOW_ROTATE && how != LLM_HOW_REST) {
        return llm_retry_again(c, in, how, delay);
    }

    /* x-should-retry: false speaks of this key, not of another account's */
    if (in->other_key && in->rotated < LLM_ROTATIONS_MAX
        && llm_retry_fits(c, in, 0))
    {
        return LLM_DO_ROTATE;
    }

    return how == LLM_HOW_REST ? llm_retry_rest(c, in, delay)
                               : llm_retry_next(c, in);
}


/* Forgets the slots that are over.  A clock that went back a little changes
 * nothing, one that went back by more than all slots starts anew. */
static void
llm_retry_turn(llm_retry_budget_t *b, uint64_t slot)
{
    uint64_t  n;

    if (slot <= b->slot) {

        if (b->slot - slot > LLM_BUDGET_SLOTS) {
            memset(b->deposit, 0, sizeof(b->deposit));
            memset(b->spent, 0, sizeof(b->spent));
            b->slot = slot;
        }

        return;
    }

    n = slot - b->slot < LLM_BUDGET_SLOTS ? slot - b->slot : LLM_BUDGET_SLOTS;

    for (b->slot = slot; n > 0; n--, slot--) {
        b->deposit[slot % LLM_BUDGET_SLOTS] = 0;
        b->spent[slot % LLM_BUDGET_SLOTS] = 0;
    }
}


static void
llm_retry_add(uint32_t *to, uint32_t n)
{
    *to = *to > UINT32_MAX - n ? UINT32_MAX : *to + n;
}


/* Whether deposits of the last minute pay for one more. */
static int
llm_retry_balance(const llm_retry_budget_t *b, llm_msec_t now)
{
    size_t              i;
    uint64_t            deposit, spent;
    llm_retry_budget_t  at;

    at = *b;
    llm_retry_turn(&at, now / LLM_BUDGET_SLOT_MS);

    deposit = 0;
    spent = 0;

    for (i = 0; i < LLM_BUDGET_SLOTS; i++) {
        deposit += at.deposit[i];
        spent += at.spent[i];
    }

    return deposit >= spent + LLM_BUDGET_ONE;
}


/* One a second is free, saved up to ten: a quiet provider deposits little, and
 * its rare failures are worth their retries all the same. */
static int
llm_retry_is_free(const llm_retry_budget_t *b, llm_msec_t now)
{
    llm_msec_t  most;

    most = LLM_BUDGET_FREE_N * LLM_BUDGET_FREE_MS;

    return b->free_until + LLM_BUDGET_FREE_MS <= now + most
           || b->free_until > now + most;
}


void
llm_retry_deposit(llm_retry_budget_t *b, const llm_retry_conf_t *c,
    llm_msec_t now)
{
    llm_retry_turn(b, now / LLM_BUDGET_SLOT_MS);
    llm_retry_add(&b->deposit[b->slot % LLM_BUDGET_SLOTS], c->budget_bp);
}


int
llm_retry_has_budget(const llm_retry_budget_t *b, llm_msec_t now)
{
    return llm_retry_balance(b, now) || llm_retry_is_free(b, now);
}


int
llm_retry_withdraw(llm_retry_budget_t *b, llm_msec_t now)
{
    if (llm_retry_balance(b, now)) {
        llm_retry_turn(b, now / LLM_BUDGET_SLOT_MS);
        llm_retry_add(&b->spent[b->slot % LLM_BUDGET_SLOTS], LLM_BUDGET_ONE);
        return 1;
    }

    if (!llm_retry_is_free(b, now)) {
        return 0;
    }

    if (b->free_until < now
        || b->free_until > now + LLM_BUDGET_FREE_N * LLM_BUDGET_FREE_MS)
    {
        b->free_until = now;
    }

    b->free_until += LLM_BUDGET_FREE_MS;

    return 1;
}
