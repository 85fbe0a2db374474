/*
 * The time of a pick in a pool of 10 000 keys, in every mode: with all keys
 * usable, and with all but the last resting.
 *
 *   gcc -O2 -std=gnu11 -Isrc/core -o build/bench_keypool \
 *       t/bench/bench_keypool.c src/core/llm_keypool*.c src/core/llm_quota.c \
 *       src/core/llm_tz.c src/core/llm_error.c src/core/llm_json*.c
 *   build/bench_keypool
 *
 * Exits 1 when a mean is above 1 us.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "llm_keypool.h"

#define KEYS    10000
#define PICKS   1000000
#define NOW     1795168800000ULL
#define BUDGET  1000.0                  /* nanoseconds */


static uint64_t
rnd(void)
{
    static uint64_t  x = 88172645463325252ULL;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;

    return x;
}


static void *
make(size_t n, size_t size)
{
    void  *p;

    p = calloc(n, size);
    if (p == NULL) {
        exit(2);
    }

    return p;
}


static void
setup(llm_lane_t *lane, llm_keypool_conf_t *conf, llm_select_t select,
    int limited)
{
    uint32_t           i;
    llm_key_conf_t    *key;
    llm_group_conf_t  *group;

    key = make(KEYS, sizeof(*key));
    group = make(KEYS, sizeof(*group));

    for (i = 0; i < KEYS; i++) {
        key[i].group = i;
        key[i].weight = 1 + i % 3;

        if (limited) {
            (void) llm_limit_parse(LLM_STR("99999999r/m"), &group[i].limit[0]);
            group[i].limit_n = 1;
        }
    }

    *conf = (llm_keypool_conf_t) { select, key, KEYS, group, KEYS, 1 };

    lane->conf = conf;
    lane->key = make(KEYS, sizeof(llm_key_state_t));
    lane->group = make(KEYS, sizeof(llm_group_state_t));
    lane->shared = make(KEYS, sizeof(llm_group_state_t));
    lane->resting = make((KEYS + 63) / 64, sizeof(uint64_t));
    lane->wake = make(1, sizeof(llm_msec_t));
    lane->cursor = make(1, sizeof(uint32_t));
    lane->current = make(KEYS, sizeof(int64_t));
}


/* Mean nanoseconds of a pick; picks come 10 000 in a second. */
static double
measure(llm_lane_t *lane, uint32_t rest)
{
    uint32_t         i, got;
    llm_need_t       need;
    llm_msec_t       wait;
    llm_lease_t      lease;
    llm_class_t      cause;
    llm_tried_t      tried;
    struct timespec  a, b;

    memset(&need, 0, sizeof(need));
    memset(&tried, 0, sizeof(tried));
    need.n[LLM_DIM_REQUESTS] = 1;
    got = 0;

    for (i = 0; i < KEYS; i++) {
        lane->group[i].until = i < rest ? NOW + 3600000 : 0;
    }

    clock_gettime(CLOCK_MONOTONIC, &a);

    for (i = 0; i < PICKS; i++) {
        got += llm_keypool_pick(lane, &need, &tried, rnd(), NOW + i / 10,
                                &lease, &wait, &cause) == LLM_OK;
    }

    clock_gettime(CLOCK_MONOTONIC, &b);

    if (got != (rest < KEYS ? PICKS : 0)) {
        printf("picked %u of %u\n", got, PICKS);
        exit(2);
    }

    return ((double) (b.tv_sec - a.tv_sec) * 1e9
            + (double) (b.tv_nsec - a.tv_nsec)) / PICKS;
}


int
main(void)
{
    int                  bad, limited;
    double               ns[3];
    llm_lane_t           lane;
    llm_select_t         s;
    llm_keypool_conf_t   conf;
    static const char   *names[] = { "headroom", "in_order", "round_robin",
                                     "weighted", "random" };

    bad = 0;
    printf("%-12s %-8s %10s %12s %10s\n", "select", "limits", "all usable",
           "one usable", "none");

    for (s = LLM_SELECT_HEADROOM; s <= LLM_SELECT_RANDOM; s++) {
        for (limited = 0; limited < 2; limited++) {
            setup(&lane, &conf, s, limited);

            ns[0] = measure(&lane, 0);
            *lane.wake = 0;
            ns[1] = measure(&lane, KEYS - 1);
            *lane.wake = 0;
            ns[2] = measure(&lane, KEYS);

            printf("%-12s %-8s %7.0f ns %9.0f ns %7.0f ns\n", names[s],
                   limited ? "yes" : "no", ns[0], ns[1], ns[2]);

            bad |= ns[0] > BUDGET || ns[1] > BUDGET || ns[2] > BUDGET;
        }
    }

    return bad;
}
