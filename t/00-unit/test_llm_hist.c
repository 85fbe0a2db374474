/*
 * Histograms: every value lands in a bucket that is near, and percentiles of
 * latencies as they are met are off by 3 % at most.
 */

#include <math.h>

#include "tap.h"
#include "llm_hist.h"

#define SAMPLES  20000


static void
test_buckets(void)
{
    double    off, worst;
    uint32_t  b, last;
    uint64_t  ms, value;

    last = 0;
    worst = 0;

    for (ms = 0; ms <= 20 * 60 * 1000; ms++) {
        b = llm_hist_bucket(ms);

        if (b != last && b != last + 1) {
            break;
        }

        last = b;
        value = llm_hist_value(b);

        if (llm_hist_bucket(value) != b) {
            break;
        }

        off = fabs((double) value - (double) ms) / (ms ? (double) ms : 1);
        worst = off > worst ? off : worst;
    }

    is_int(ms, 20 * 60 * 1000 + 1, "buckets follow each other");
    is_int(last, LLM_HIST_BUCKETS - 1, "the last one holds 20 minutes");

    printf("# the worst value is off by %.3f %%\n", worst * 100);
    ok(worst <= 1 / 32.9, "off by 1/33 at most");

    for (ms = 0; ms < 32; ms++) {
        if (llm_hist_value(llm_hist_bucket(ms)) != ms) {
            break;
        }
    }

    is_int(ms, 32, "exact below 32 ms");
    is_int(llm_hist_bucket(3600 * 1000), LLM_HIST_BUCKETS - 1, "an hour");
    is_int(llm_hist_bucket(UINT64_MAX), LLM_HIST_BUCKETS - 1, "for ever");
}


static int
compare(const void *a, const void *b)
{
    uint64_t  x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}


static double
uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;

    return ((double) (*state >> 11) + 0.5) / 9007199254740992.0;
}


/* Log-normal latencies around a median. */
static double
worst_of(double median, double spread, uint64_t seed)
{
    size_t    i;
    double    off, worst, normal;
    uint64_t  exact, got;

    static uint64_t  ms[SAMPLES];
    static uint32_t  bucket[LLM_HIST_BUCKETS];

    static const uint32_t  permille[] = { 500, 900, 950, 990 };

    memset(bucket, 0, sizeof(bucket));

    for (i = 0; i < SAMPLES; i++) {
        normal = sqrt(-2 * log(uniform(&seed)))
                 * cos(6.283185307179586 * uniform(&seed));
        ms[i] = (uint64_t) (median * exp(spread * normal));
        bucket[llm_hist_bucket(ms[i])]++;
    }

    qsort(ms, SAMPLES, sizeof(ms[0]), compare);

    for (i = 0, worst = 0; i < sizeof(permille) / sizeof(permille[0]); i++) {
        exact = ms[SAMPLES / 1000 * permille[i] - 1];
        got = llm_hist_quantile(bucket, permille[i]);

        off = fabs((double) got - (double) exact) / (double) exact;
        worst = off > worst ? off : worst;
    }

    return worst;
}


static void
test_error(void)
{
    size_t  i;
    double  off, worst, median;

    static const double  spread[] = { 0.2, 0.6, 1.0 };

    worst = 0;

    for (median = 50; median < 30000; median *= 1.3) {
        for (i = 0; i < sizeof(spread) / sizeof(spread[0]); i++) {
            off = worst_of(median, spread[i], (uint64_t) median + i);
            worst = off > worst ? off : worst;
        }
    }

    printf("# the worst percentile is off by %.2f %%\n", worst * 100);
    ok(worst <= 0.0304, "percentiles of log-normal latencies: 3 %");
}


static void
test_quantile(void)
{
    uint32_t  bucket[LLM_HIST_BUCKETS] = { 0 };

    is_int(llm_hist_quantile(bucket, 950), 0, "no samples");
    is_int(llm_hist_quantile_with(bucket, 3, 700, 950), 700,
           "all still run: so long at least");
    is_int(llm_hist_quantile_with(bucket, 3, 1u << 30, 950), 1u << 30,
           "longer than the last bucket");

    bucket[10] = 94;
    bucket[20] = 6;
    is_int(llm_hist_count(bucket), 100, "samples");
    is_int(llm_hist_quantile(bucket, 940), 10, "94 of 100 are within p94");
    is_int(llm_hist_quantile(bucket, 950), 20, "and not within p95");
    is_int(llm_hist_quantile(bucket, 0), 10, "p0 is the first");
    is_int(llm_hist_quantile(bucket, 1000), 20, "p100 is the last");

    bucket[20] = 0;
    is_int(llm_hist_quantile_with(bucket, 4, 15, 950), 10, "four of 98 run");
    is_int(llm_hist_quantile_with(bucket, 6, 15, 950), 15, "six of 100 run");

    bucket[20] = 3;
    is_int(llm_hist_quantile_with(bucket, 3, 15, 970), 15, "they run for less");
    is_int(llm_hist_quantile_with(bucket, 3, 15, 980), 20, "than others took");
    is_int(llm_hist_quantile_with(bucket, 3, 25, 970), 20, "for longer");
    is_int(llm_hist_quantile_with(bucket, 3, 25, 980), 25, "than others took");
    bucket[20] = 0;

    bucket[10] = UINT32_MAX;
    bucket[30] = UINT32_MAX;
    ok(llm_hist_count(bucket) == 2 * (uint64_t) UINT32_MAX, "no overflow");
    is_int(llm_hist_quantile(bucket, 501), 30, "nor here");
}


int
main(void)
{
    test_buckets();
    test_error();
    test_quantile();

    return tap_done();
}
