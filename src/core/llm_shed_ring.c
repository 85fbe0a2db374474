/*
 * The evidence: requests in slots of time, and what they say.
 *
 * Requests are counted in the slot of their start.  A slot that ended longer
 * than the target ago is complete: who has not answered by then is late.  Only
 * complete slots are looked at, so the quick ones, which are known first, do
 * not outweigh the others; and only those after the last cut, so that a cut
 * has shown its effect before the next one.
 *
 * As in llm_window.c, the lock's owner recycles slots, everybody adds to them.
 */

#include "llm_shed_ring.h"

#define LLM_SHED_PARTS   32             /* slots of a window and a target */
#define LLM_SHED_MIN     10             /* requests that prove something */
#define LLM_SHED_LATE_N  10             /* one of so many may be late */


typedef struct {
    uint64_t  n, late, slow;            /* slow: not quick, the late included */
} llm_shed_sum_t;


llm_msec_t
llm_shed_longest(const llm_shed_conf_t *c)
{
    return c->target[0] > c->target[1] ? c->target[0] : c->target[1];
}


llm_msec_t
llm_shed_slot(const llm_shed_conf_t *c)
{
    llm_msec_t  slot;

    slot = (c->window + llm_shed_longest(c) + LLM_SHED_PARTS - 1)
           / LLM_SHED_PARTS;

    return slot > LLM_SHED_SLOT ? slot : LLM_SHED_SLOT;
}


int
llm_shed_is_due(const llm_shed_t *s, llm_msec_t now)
{
    llm_msec_t  next, stepped;

    next = __atomic_load_n(&s->next, __ATOMIC_RELAXED);
    stepped = __atomic_load_n(&s->stepped, __ATOMIC_RELAXED);

    /* or the clock was set back */
    return now >= next || now < stepped;
}


/* The slot of a moment; NULL: its place has another period's. */
static llm_shed_slot_t *
llm_shed_slot_of(const llm_shed_conf_t *c, llm_shed_t *s, llm_msec_t at)
{
    uint64_t          number;
    llm_shed_slot_t  *slot;

    number = at / llm_shed_slot(c);
    slot = &s->ring[number % LLM_SHED_SLOTS];

    return __atomic_load_n(&slot->period, __ATOMIC_ACQUIRE) == number + 1
           ? slot : NULL;
}


void
llm_shed_claim(const llm_shed_conf_t *c, llm_shed_t *s, llm_msec_t now)
{
    uint64_t          number;
    llm_shed_slot_t  *slot;

    if (llm_shed_slot_of(c, s, now)) {
        return;
    }

    number = now / llm_shed_slot(c);
    slot = &s->ring[number % LLM_SHED_SLOTS];

    memset(slot, 0, sizeof(*slot));
    __atomic_store_n(&slot->period, number + 1, __ATOMIC_RELEASE);
}


static uint32_t
llm_shed_get(const uint32_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}


static void
llm_shed_add(uint32_t *count)
{
    (void) __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}


void
llm_shed_seen(const llm_shed_conf_t *c, llm_shed_t *s, llm_priority_t priority,
    llm_msec_t now)
{
    llm_shed_slot_t  *slot;

    slot = priority == LLM_PRIORITY_LOW ? llm_shed_slot_of(c, s, now) : NULL;

    if (slot) {
        llm_shed_add(&slot->low);
    }
}


void
llm_shed_start(const llm_shed_conf_t *c, llm_shed_t *s, llm_shed_kind_t kind,
    llm_msec_t now)
{
    llm_shed_slot_t  *slot;

    slot = c->target[kind] ? llm_shed_slot_of(c, s, now) : NULL;

    if (slot) {
        llm_shed_add(&slot->started[kind]);
    }
}


void
llm_shed_end(const llm_shed_conf_t *c, llm_shed_t *s, llm_shed_kind_t kind,
    llm_msec_t started, llm_shed_proof_t proof)
{
    llm_shed_slot_t  *slot;

    slot = c->target[kind] ? llm_shed_slot_of(c, s, started) : NULL;

    if (slot) {
        llm_shed_add(&slot->ended[kind][proof]);
    }
}


void
llm_shed_forgive(llm_shed_t *s)
{
    unsigned          i, kind, proof;
    uint32_t          ended, started;
    llm_shed_slot_t  *slot;

    for (i = 0; i < LLM_SHED_SLOTS; i++) {
        slot = &s->ring[i];

        for (kind = 0; kind < 2; kind++) {
            ended = 0;

            for (proof = 0; proof < LLM_SHED_PROOFS; proof++) {
                ended += llm_shed_get(&slot->ended[kind][proof]);
            }

            started = llm_shed_get(&slot->started[kind]);

            if (started > ended) {
                (void) __atomic_fetch_add(&slot->ended[kind][LLM_SHED_NONE],
                                          started - ended, __ATOMIC_RELAXED);
            }
        }
    }
}


/* One complete slot. */
static void
llm_shed_count(const llm_shed_slot_t *slot, unsigned kind, llm_shed_sum_t *sum)
{
    uint32_t  n, none, quick, good;

    n = llm_shed_get(&slot->started[kind]);
    none = llm_shed_get(&slot->ended[kind][LLM_SHED_NONE]);
    quick = llm_shed_get(&slot->ended[kind][LLM_SHED_QUICK]);
    good = llm_shed_get(&slot->ended[kind][LLM_SHED_GOOD]);

    /* forgiven ones may end all the same */
    if (n < none + quick + good) {
        n = none + quick + good;
    }

    sum->n += n - none;
    sum->slow += n - none - quick;
    sum->late += n - none - quick - good;
}


/* The slots between the last cut and now that are complete. */
static void
llm_shed_sum(const llm_shed_conf_t *c, const llm_shed_t *s, unsigned kind,
    llm_msec_t now, llm_shed_sum_t *sum)
{
    unsigned                i;
    llm_msec_t              slot, from, begin;
    const llm_shed_slot_t  *p;

    memset(sum, 0, sizeof(*sum));

    slot = llm_shed_slot(c);
    from = now - c->window - c->target[kind] - slot;

    if (from < s->since || from > now) {
        from = s->since;
    }

    for (i = 0; i < LLM_SHED_SLOTS; i++) {
        p = &s->ring[i];
        begin = __atomic_load_n(&p->period, __ATOMIC_ACQUIRE);

        if (begin == 0) {
            continue;
        }

        begin = (begin - 1) * slot;

        if (begin >= from && begin + slot + c->target[kind] <= now) {
            llm_shed_count(p, kind, sum);
        }
    }
}


static llm_shed_state_t
llm_shed_judge(const llm_shed_sum_t *sum)
{
    if (sum->n < LLM_SHED_MIN) {
        return LLM_SHED_UNKNOWN;
    }

    if (sum->late * LLM_SHED_LATE_N > sum->n) {
        return LLM_SHED_PRESSURE;
    }

    if (sum->late * LLM_SHED_LATE_N * 2 > sum->n) {
        return LLM_SHED_EDGE;
    }

    return sum->slow * LLM_SHED_LATE_N > sum->n ? LLM_SHED_WARM
                                                : LLM_SHED_CALM;
}


llm_shed_state_t
llm_shed_look(const llm_shed_conf_t *c, const llm_shed_t *s, llm_msec_t now,
    llm_shed_cause_t *cause)
{
    unsigned          kind;
    llm_shed_sum_t    sum;
    llm_shed_state_t  state, worst;

    worst = LLM_SHED_UNKNOWN;
    memset(cause, 0, sizeof(*cause));

    for (kind = 0; kind < 2; kind++) {

        if (c->target[kind] == 0) {
            continue;
        }

        llm_shed_sum(c, s, kind, now, &sum);
        state = llm_shed_judge(&sum);

        if (state > worst) {
            worst = state;
            cause->kind = (llm_shed_kind_t) kind;
            cause->late = (uint32_t) sum.late;
            cause->n = (uint32_t) sum.n;
        }
    }

    return worst;
}


int
llm_shed_has_low(const llm_shed_t *s)
{
    unsigned  i;

    for (i = 0; i < LLM_SHED_SLOTS; i++) {
        if (llm_shed_get(&s->ring[i].low)) {
            return 1;
        }
    }

    return 0;
}
