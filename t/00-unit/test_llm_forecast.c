/*
 * Forecasts: quantiles near the truth, on the safe side, that follow a change;
 * and what limits reserve for a request.
 */

#include "tap.h"
#include "llm_forecast.h"


static uint32_t  seed = 20261130;


static uint32_t
chance(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;

    return (uint32_t) (((uint64_t) seed * n) >> 32);
}


static void
test_cold(void)
{
    int             i;
    llm_forecast_t  f;

    memset(&f, 0, sizeof(f));

    for (i = 0; i < LLM_FORECAST_COLD - 1; i++) {
        llm_forecast_learn(&f, 100, 950);
    }

    is_int(f.value, 0, "few samples say nothing");

    llm_forecast_learn(&f, 100, 950);
    ok(f.value >= 100 && f.value <= 113, "then they do");

    memset(&f, 0, sizeof(f));

    for (i = 0; i < 100; i++) {
        llm_forecast_learn(&f, 0, 950);
    }

    is_int(f.value, 1, "answers without tokens: not cold");

    memset(&f, 0, sizeof(f));

    for (i = 0; i < 100; i++) {
        llm_forecast_learn(&f, UINT64_MAX, 950);
    }

    ok(f.value > 1000000, "numbers without end");
}


static void
test_quantile(void)
{
    int             i;
    llm_forecast_t  high, low;

    memset(&high, 0, sizeof(high));
    memset(&low, 0, sizeof(low));

    for (i = 0; i < 20000; i++) {
        llm_forecast_learn(&high, 1 + chance(1000), 950);
        llm_forecast_learn(&low, 1 + chance(1000), 100);
    }

    printf("# p95 of 1 to 1000 is %u, p10 is %u\n", high.value, low.value);
    ok(high.value >= 920 && high.value <= 1080, "the 95th percentile, above");
    ok(low.value >= 70 && low.value <= 120, "the 10th percentile, below");
    ok(high.n < LLM_FORECAST_FULL, "it never overflows");

    for (i = 0; i < 3000; i++) {
        llm_forecast_learn(&high, 50, 950);
    }

    printf("# ... then 3000 answers of 50 tokens: %u\n", high.value);
    ok(high.value >= 50 && high.value <= 56, "it follows a change");
}


static void
test_order(void)
{
    int             i, bad;
    uint64_t        x;
    llm_forecast_t  f;

    /* every value comes back not smaller, and not larger by more than 1/8 */

    for (bad = 0, x = 1; x < 1000000; x += 1 + x / 50) {
        memset(&f, 0, sizeof(f));

        for (i = 0; i < LLM_FORECAST_COLD; i++) {
            llm_forecast_learn(&f, x, 950);
        }

        bad += f.value < x || f.value > x + x / 8;
    }

    is_int(bad, 0, "off by 1/8 at most, upwards");
}


static void
test_input(void)
{
    llm_forecast_in_t  in;

    memset(&in, 0, sizeof(in));
    in.bytes = 3000;

    is_int(llm_forecast_input(&in, 0), 1000, "three bytes a token at first");
    is_int(llm_forecast_input(&in, 4 * LLM_FORECAST_RATIO), 750, "as learned");

    in.extra = 1000;
    is_int(llm_forecast_input(&in, 0), 2000, "a picture");

    in.bytes = 1;
    in.extra = 0;
    is_int(llm_forecast_input(&in, 0), 1, "rounded up");

    is_int(llm_forecast_ratio(4000, 1000), 4 * LLM_FORECAST_RATIO, "a ratio");
    is_int(llm_forecast_ratio(4000, 0), 0, "no tokens");
    is_int(llm_forecast_ratio(0, 10), 0, "no bytes");
    is_int(llm_forecast_ratio(100, 5000), 0, "pictures spoil it");
    is_int(llm_forecast_ratio(1 << 20, 1), 16 * LLM_FORECAST_RATIO,
           "an odd one");
    is_int(llm_forecast_ratio(UINT64_MAX, 1), 0, "nonsense");
}


static void
test_output(void)
{
    llm_forecast_in_t  in;

    memset(&in, 0, sizeof(in));
    in.choices = 1;

    is_int(llm_forecast_output(&in, 0), 1024, "cold");
    is_int(llm_forecast_output(&in, 200), 240, "a fifth above the percentile");

    in.max_tokens = 64000;
    is_int(llm_forecast_output(&in, 200), 240, "max_tokens by habit");
    is_int(llm_forecast_output(&in, 0), 1024, "... cold");

    in.max_tokens = 100;
    is_int(llm_forecast_output(&in, 200), 100, "max_tokens that bind");

    in.hard = 1;
    in.max_tokens = 64000;
    is_int(llm_forecast_output(&in, 200), 64000, "a hard budget");

    in.max_tokens = 0;
    is_int(llm_forecast_output(&in, 200), 240, "... without max_tokens");

    in.choices = 4;
    is_int(llm_forecast_output(&in, 0), 4096, "four choices");

    in.max_tokens = 100;
    is_int(llm_forecast_output(&in, 0), 400, "... of 100");

    in.max_tokens = 0;
    in.choices = 1;
    in.context = 512;
    is_int(llm_forecast_output(&in, 0), 512, "no more than the context");
}


int
main(void)
{
    test_cold();
    test_quantile();
    test_order();
    test_input();
    test_output();

    return tap_done();
}
