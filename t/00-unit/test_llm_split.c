/*
 * Splits: accuracy, stickiness and independence over a million keys of several
 * kinds, and that a change of weights moves as few keys as it can.
 */

#include <math.h>

#include "tap.h"
#include "llm_hash.h"
#include "llm_split.h"

#define KEYS  1000000
#define SALT  0x0123456789abcdefu


/* How a kind of key looks, for number i. */
typedef size_t (*key_pt)(char *text, uint32_t i);


static size_t
put_number(char *text, uint32_t i)
{
    char    digits[16];
    size_t  n;

    n = sizeof(digits);

    do {
        digits[--n] = (char) ('0' + i % 10);
        i /= 10;
    } while (i);

    memcpy(text, digits + n, sizeof(digits) - n);

    return sizeof(digits) - n;
}


static size_t
key_user(char *text, uint32_t i)
{
    memcpy(text, "user-", 5);

    return 5 + put_number(text + 5, i);
}


static size_t
key_mail(char *text, uint32_t i)
{
    size_t  n;

    n = key_user(text, i);
    memcpy(text + n, "@clinic.example.com", 19);

    return n + 19;
}


static size_t
key_uuid(char *text, uint32_t i)
{
    size_t    k;
    uint64_t  bits;

    bits = llm_fnv64((llm_str_t) { 4, (unsigned char *) &i }, 4711);

    for (k = 0; k < 36; k++) {
        if (k == 8 || k == 13 || k == 18 || k == 23) {
            text[k] = '-';
            continue;
        }

        text[k] = "0123456789abcdef"[bits >> 60];
        bits = bits * 6364136223846793005u + 1442695040888963407u;
    }

    return 36;
}


static void
count_buckets(key_pt key, uint64_t salt, uint32_t *per_bucket)
{
    char      text[64];
    size_t    n;
    uint32_t  i;

    memset(per_bucket, 0, LLM_SPLIT_BUCKETS * sizeof(uint32_t));

    for (i = 0; i < KEYS; i++) {
        n = key(text, i);
        per_bucket[llm_split_bucket(salt, (llm_str_t) {
                                              n, (unsigned char *) text })]++;
    }
}


static void
test_hash(void)
{
    size_t         a, b;
    uint32_t       h;
    unsigned char  text[80];

    for (a = 0; a < sizeof(text); a++) {
        text[a] = (unsigned char) (a * 37 + 11);
    }

    for (a = 0; a < 24; a++) {
        for (b = 0; b < 40; b++) {
            h = llm_murmur2((llm_str_t) { a + b, text });

            if (llm_murmur2_two((llm_str_t) { a, text },
                                (llm_str_t) { b, text + a }) != h)
            {
                printf("# %zu and %zu bytes\n", a, b);
                goto done;
            }
        }
    }

done:

    ok(a == 24, "a hash of two views is that of their bytes in one");

    h = llm_murmur2(LLM_STR("00000000000000ff:user-4711"));
    is_int(llm_split_bucket(0xff, LLM_STR("user-4711")),
           (uint64_t) h * 10000 >> 32, "the salt is in front of the key");

    is_int(llm_split_bucket_random(0), 0, "the smallest random number");
    is_int(llm_split_bucket_random(UINT64_MAX), 9999, "the largest");
    is_int(llm_split_bucket_random(0x8000000000000000u), 5000, "the middle");
}


/* Within three standard deviations of a binomial distribution. */
static void
test_accuracy(const char *kind, key_pt key)
{
    char      name[128];
    size_t    k, i;
    double    p, off, sigma;
    uint64_t  n;
    uint8_t   owner[LLM_SPLIT_BUCKETS];
    uint32_t  weight[2], per_bucket[LLM_SPLIT_BUCKETS];

    static const uint32_t  bp[] = { 1, 100, 500, 2500, 5000, 7500 };

    count_buckets(key, SALT, per_bucket);

    for (k = 0; k < sizeof(bp) / sizeof(bp[0]); k++) {
        weight[0] = LLM_SPLIT_BUCKETS - bp[k];
        weight[1] = bp[k];

        llm_split_fill(owner, weight, 2, 0);

        for (i = 0, n = 0; i < LLM_SPLIT_BUCKETS; i++) {
            n += owner[i] == 1 ? per_bucket[i] : 0;
        }

        p = bp[k] / 10000.0;
        sigma = sqrt(KEYS * p * (1 - p));
        off = fabs((double) n - KEYS * p);

        snprintf(name, sizeof(name), "%s: %.2f %% are %.4f %%", kind, p * 100,
                 (double) n * 100 / KEYS);
        ok(off <= 3 * sigma, name);
    }
}


/* One change of weights: who moved is what the weights say, and nobody else. */
static void
reweigh(uint8_t *owner, const uint32_t *was, const uint32_t *weight, uint32_t n,
    uint32_t base, const uint32_t *per_bucket, const char *name)
{
    size_t    i;
    uint8_t   before[LLM_SPLIT_BUCKETS];
    uint32_t  moved, need, wrong, have[LLM_SPLIT_VARIANTS] = { 0 };

    memcpy(before, owner, sizeof(before));
    moved = llm_split_reweigh(owner, weight, n, base);

    for (i = 0, need = 0; i < n; i++) {
        need += was[i] > weight[i] ? was[i] - weight[i] : 0;
    }

    is_int(moved, need, name);

    for (i = 0, wrong = 0; i < LLM_SPLIT_BUCKETS; i++) {
        have[owner[i]]++;

        if (owner[i] != before[i]
            && (weight[before[i]] >= was[before[i]]
                || weight[owner[i]] <= was[owner[i]]))
        {
            wrong += per_bucket[i];
        }
    }

    is_int(wrong, 0, "nobody moved the wrong way");
    ok(memcmp(have, weight, n * sizeof(uint32_t)) == 0,
       "every variant has its weight");
}


static void
test_two(void)
{
    size_t    i;
    uint8_t   owner[LLM_SPLIT_BUCKETS], fresh[LLM_SPLIT_BUCKETS];
    uint32_t  was[2], weight[2], per_bucket[LLM_SPLIT_BUCKETS];

    static const uint32_t  bp[] = { 500, 2500, 5000, 7500, 10000, 0 };

    count_buckets(key_user, SALT, per_bucket);

    was[0] = 10000;
    was[1] = 0;
    llm_split_fill(owner, was, 2, 0);

    for (i = 0; i < sizeof(bp) / sizeof(bp[0]); i++) {
        weight[0] = 10000 - bp[i];
        weight[1] = bp[i];

        reweigh(owner, was, weight, 2, 0, per_bucket, "a step of a rollout");
        memcpy(was, weight, sizeof(was));

        llm_split_fill(fresh, weight, 2, 0);
        ok(memcmp(owner, fresh, sizeof(owner)) == 0,
           "two variants: as if it had always been so");
    }

    is_int(llm_split_reweigh(owner, was, 2, 0), 0, "the same weights: nobody");
}


static void
test_many(void)
{
    size_t    i, left;
    uint8_t   owner[LLM_SPLIT_BUCKETS];
    uint32_t  n, base, k, was[LLM_SPLIT_VARIANTS], weight[LLM_SPLIT_VARIANTS];
    uint64_t  random;
    uint32_t  per_bucket[LLM_SPLIT_BUCKETS];

    static const uint32_t  step[][4] = {
        { 9000, 500, 500, 0 },          /* the first is how it begins */
        { 8000, 1500, 500, 0 },
        { 8000, 500, 1500, 0 },
        { 2000, 3000, 2500, 2500 },
        { 0, 10000, 0, 0 },
        { 2500, 2500, 2500, 2500 }
    };

    count_buckets(key_mail, SALT, per_bucket);
    llm_split_fill(owner, step[0], 4, 0);

    for (i = 1; i < sizeof(step) / sizeof(step[0]); i++) {
        reweigh(owner, step[i - 1], step[i], 4, 0, per_bucket, "four variants");
    }

    /* any weights, any number, and the baseline is not the first */

    random = 1;
    n = LLM_SPLIT_VARIANTS;
    memset(was, 0, sizeof(was));
    was[3] = 10000;
    llm_split_fill(owner, was, n, 3);

    for (i = 0; i < 20; i++) {
        for (k = 0, left = 10000; k < n; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            weight[k] = (uint32_t) (random >> 33) % (uint32_t) (left / 3 + 1);
            left -= weight[k];
        }

        weight[i % n] += (uint32_t) left;
        base = (uint32_t) (i / 2) % n;

        reweigh(owner, was, weight, n, base, per_bucket, "sixteen variants");
        memcpy(was, weight, sizeof(was));
    }
}


static void
test_gone(void)
{
    size_t    i, wrong;
    uint8_t   owner[LLM_SPLIT_BUCKETS], before[LLM_SPLIT_BUCKETS];

    static const uint32_t  four[] = { 4000, 2000, 3000, 1000 };
    static const uint32_t  two[] = { 8000, 2000 };

    llm_split_fill(owner, four, 4, 0);
    memcpy(before, owner, sizeof(before));

    is_int(llm_split_reweigh(owner, two, 2, 0), 4000,
           "variants that are gone lose everything");

    for (i = 0, wrong = 0; i < LLM_SPLIT_BUCKETS; i++) {
        wrong += owner[i] != (before[i] < 2 ? before[i] : 0);
    }

    is_int(wrong, 0, "to the one that grew, and nobody else moved");
}


/* Two salts say nothing about each other. */
static void
test_independent(void)
{
    char       text[64];
    double     share;
    uint32_t   i;
    uint64_t   a, both;
    llm_str_t  key;

    for (i = 0, a = 0, both = 0; i < KEYS; i++) {
        key.len = key_user(text, i);
        key.data = (unsigned char *) text;

        if (llm_split_bucket(SALT, key) < 500) {
            a++;
            both += llm_split_bucket(SALT + 1, key) < 5000;
        }
    }

    /* 50 000 keys: a standard deviation is 0.22 % */

    share = (double) both / (double) a;
    printf("# P(B < 50 %% | A < 5 %%) = %.4f\n", share);
    ok(share > 0.493 && share < 0.507, "two salts are independent");
}


static void
test_text(void)
{
    size_t         i;
    uint32_t       bp;
    llm_buf_t      b;
    unsigned char  text[16];

    static const struct {
        const char  *text;
        uint32_t     bp;
        const char  *back;
    } good[] = {
        { "0%", 0, "0" }, { "0.01%", 1, "0.01" }, { "0.1", 10, "0.1" },
        { "5%", 500, "5" }, { "12.5%", 1250, "12.5" },
        { "12.34", 1234, "12.34" }, { "12.05%", 1205, "12.05" },
        { "99.99%", 9999, "99.99" }, { "100%", 10000, "100" },
        { "100.00%", 10000, "100" }, { "007%", 700, "7" }
    };

    static const char  *bad[] = {
        "", "%", ".", ".5", "5.", "5.%", "1.234", "-1", "+1", "100.01%",
        "101", "1000000", "99999999999999999999", "5%%", "5 %", "5x", "1,5",
        "1e1", "1.2.3"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        bp = 77777;
        ok(llm_split_parse(tap_c(good[i].text), &bp) == LLM_OK
           && bp == good[i].bp, good[i].text);

        llm_buf_init(&b, text, sizeof(text));
        llm_split_put(&b, bp);
        is_str(llm_buf_view(&b), good[i].back, "written");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(llm_split_parse(tap_c(bad[i]), &bp), LLM_BAD, bad[i]);
    }

    llm_buf_init(&b, text, 4);
    llm_split_put(&b, 1234);
    ok(b.full, "no room");
}


static void
test_whole(void)
{
    static const uint32_t  good[] = { 3333, 3333, 3334 };
    static const uint32_t  less[] = { 3333, 3333, 3333 };
    static const uint32_t  wrap[] = { UINT32_MAX, 10001 };

    ok(llm_split_is_whole(good, 3), "whole");
    ok(!llm_split_is_whole(less, 3), "0.01 % is missing");
    ok(!llm_split_is_whole(wrap, 2), "a sum that does not fit 32 bits");
}


int
main(void)
{
    test_hash();
    test_accuracy("numbered users", key_user);
    test_accuracy("mail addresses", key_mail);
    test_accuracy("uuids", key_uuid);
    test_two();
    test_many();
    test_gone();
    test_independent();
    test_text();
    test_whole();

    return tap_done();
}
