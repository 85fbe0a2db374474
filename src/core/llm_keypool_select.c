/*
 * Which of the usable keys: the modes of `select`.
 *
 * In a small pool every key is looked at, so that the choice is exact.  In a
 * large one choices are made from random places, with what the bitmap knows.
 */

#include "llm_keypool_state.h"

#define LLM_POOL_RATIO  1000000         /* of what is left of a limit */


typedef struct {
    uint32_t    key;
    llm_msec_t  used;                   /* it, or another key of its group */
} llm_candidate_t;


uint32_t
llm_pick_between(llm_pick_t *p, uint32_t from, uint32_t to)
{
    uint32_t         key, last;
    uint64_t         awake;
    const uint64_t  *resting;

    resting = p->lane->resting;

    if (p->lane->conf->key_n <= LLM_POOL_SMALL) {

        for (key = from; key < to; key++) {
            if (llm_pick_is_usable(p, key)) {
                return key;
            }
        }

        return LLM_POOL_NOBODY;
    }

    for (key = from; key < to; key = (key / 64 + 1) * 64) {

        awake = ~resting[key / 64] & (UINT64_MAX << (key % 64));
        last = key / 64 * 64;

        while (awake) {
            key = last + (uint32_t) __builtin_ctzll(awake);
            awake &= awake - 1;

            if (key >= to) {
                return LLM_POOL_NOBODY;
            }

            if (llm_pick_is_usable(p, key)) {
                return key;
            }
        }
    }

    return LLM_POOL_NOBODY;
}


/* The first usable key at or behind `from`, around the end of the list. */
static uint32_t
llm_pick_from(llm_pick_t *p, uint32_t from)
{
    uint32_t  key;

    key = llm_pick_between(p, from, p->lane->conf->key_n);

    return key != LLM_POOL_NOBODY ? key : llm_pick_between(p, 0, from);
}


/* All usable keys of a small pool. */
static uint32_t
llm_pick_all(llm_pick_t *p, uint32_t *all)
{
    uint32_t  n, key;

    for (n = 0, key = 0; key < p->lane->conf->key_n; key++) {
        if (llm_pick_is_usable(p, key)) {
            all[n++] = key;
        }
    }

    return n;
}


/* weight * min over limits (left / max) */
static uint64_t
llm_pick_score(const llm_pick_t *p, uint32_t key)
{
    uint32_t                  i;
    uint64_t                  more, left, cap, ratio, least;
    llm_limit_t               l;
    llm_msec_t                now;
    const llm_key_conf_t     *k;
    const llm_group_conf_t   *conf;
    const llm_group_state_t  *s;

    k = &p->lane->conf->key[key];
    conf = &p->lane->conf->group[k->group];
    s = llm_pool_group(p->lane, k->group);
    least = LLM_POOL_RATIO;

    for (i = 0; i < conf->limit_n; i++) {
        now = p->now;
        more = llm_pool_limit(p->lane, k->group, i, &l, &now);
        left = llm_limit_left(&l, &s->limit[i], now);
        left = left > more ? left - more : 0;
        cap = l.max - more;
        ratio = cap ? left * LLM_POOL_RATIO / cap : 0;
        least = ratio < least ? ratio : least;
    }

    return least * k->weight;
}


/* Whether b is better: the higher score, or used longer ago. */
static int
llm_pick_is_better(const llm_pick_t *p, const llm_candidate_t *a,
    const llm_candidate_t *b)
{
    uint64_t  of_a, of_b;

    of_a = llm_pick_score(p, a->key);
    of_b = llm_pick_score(p, b->key);

    return of_b != of_a ? of_b > of_a : b->used < a->used;
}


/* One candidate for each group: the key that was used longest ago, and when
 * any of them was used last. */
static uint32_t
llm_pick_candidates(const llm_pick_t *p, const uint32_t *all, uint32_t n,
    llm_candidate_t *c)
{
    uint32_t               i, j, kept;
    llm_msec_t             used;
    const llm_key_conf_t  *conf;

    conf = p->lane->conf->key;

    for (kept = 0, i = 0; i < n; i++) {

        for (j = 0; j < kept; j++) {
            if (conf[c[j].key].group == conf[all[i]].group) {
                break;
            }
        }

        used = p->lane->key[all[i]].last_used;

        if (j == kept) {
            c[kept++] = (llm_candidate_t) { all[i], used };
            continue;
        }

        if (used < p->lane->key[c[j].key].last_used) {
            c[j].key = all[i];
        }

        c[j].used = used > c[j].used ? used : c[j].used;
    }

    return kept;
}


/* Two at random, the better one: spreads evenly, and unlike "always the best"
 * does not send every worker to the same key. */
static uint32_t
llm_pick_headroom(llm_pick_t *p, uint64_t random)
{
    uint32_t         n, i, j, all[LLM_POOL_SMALL];
    llm_candidate_t  c[LLM_POOL_SMALL];

    n = p->lane->conf->key_n;
    i = (uint32_t) (random & UINT32_MAX);
    j = (uint32_t) (random >> 32);

    if (n <= LLM_POOL_SMALL) {
        n = llm_pick_candidates(p, all, llm_pick_all(p, all), c);

        if (n < 2) {
            return n ? c[0].key : LLM_POOL_NOBODY;
        }

        i %= n;
        j = (i + 1 + j % (n - 1)) % n;

        return c[llm_pick_is_better(p, &c[i], &c[j]) ? j : i].key;
    }

    i = llm_pick_from(p, i % n);

    if (i == LLM_POOL_NOBODY) {
        return i;
    }

    j = llm_pick_from(p, j % n);

    c[0] = (llm_candidate_t) { i, p->lane->key[i].last_used };
    c[1] = (llm_candidate_t) { j, p->lane->key[j].last_used };

    return c[llm_pick_is_better(p, &c[0], &c[1])].key;
}


static uint32_t
llm_pick_random(llm_pick_t *p, uint64_t random)
{
    uint32_t  n, all[LLM_POOL_SMALL];

    if (p->lane->conf->key_n <= LLM_POOL_SMALL) {
        n = llm_pick_all(p, all);

        return n ? all[random % n] : LLM_POOL_NOBODY;
    }

    return llm_pick_from(p, (uint32_t) (random % p->lane->conf->key_n));
}


/* nginx's own smooth weighted round robin, over the usable keys. */
static uint32_t
llm_pick_smooth(llm_pick_t *p)
{
    int64_t   total, *current;
    uint32_t  i, n, best, all[LLM_POOL_SMALL];

    n = llm_pick_all(p, all);

    if (n == 0) {
        return LLM_POOL_NOBODY;
    }

    current = p->lane->current;
    total = 0;
    best = all[0];

    for (i = 0; i < n; i++) {
        current[all[i]] += p->lane->conf->key[all[i]].weight;
        total += p->lane->conf->key[all[i]].weight;

        if (current[all[i]] > current[best]) {
            best = all[i];
        }
    }

    current[best] -= total;

    return best;
}


/* In a large pool each key has its turn `weight` times in a row: the shares are
 * the same, and nobody notices the order. */
static uint32_t
llm_pick_weighted(llm_pick_t *p)
{
    uint32_t  key;
    int64_t  *turns;

    if (p->lane->conf->key_n <= LLM_POOL_SMALL) {
        return llm_pick_smooth(p);
    }

    key = llm_pick_from(p, *p->lane->cursor % p->lane->conf->key_n);

    if (key == LLM_POOL_NOBODY) {
        return key;
    }

    turns = &p->lane->current[key];
    *turns = *turns < 0 ? 1 : *turns + 1;
    *p->lane->cursor = key;

    if (*turns >= (int64_t) p->lane->conf->key[key].weight) {
        *turns = 0;
        *p->lane->cursor = (key + 1) % p->lane->conf->key_n;
    }

    return key;
}


uint32_t
llm_pick_select(llm_pick_t *p, uint64_t random)
{
    uint32_t  key, n;

    n = p->lane->conf->key_n;

    switch (p->lane->conf->select) {
    case LLM_SELECT_HEADROOM:
        return llm_pick_headroom(p, random);

    case LLM_SELECT_RANDOM:
        return llm_pick_random(p, random);

    case LLM_SELECT_WEIGHTED:
        return llm_pick_weighted(p);

    case LLM_SELECT_ROUND_ROBIN:
        key = llm_pick_from(p, *p->lane->cursor % n);

        if (key != LLM_POOL_NOBODY) {
            *p->lane->cursor = (key + 1) % n;
        }

        return key;

    default: /* LLM_SELECT_IN_ORDER */
        return llm_pick_between(p, 0, n);
    }
}
