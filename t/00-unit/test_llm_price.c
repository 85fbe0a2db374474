/*
 * Money: exact, rounded once, never wrapped around.
 */

#include "tap.h"
#include "llm_price.h"

#define U  LLM_UNKNOWN


static void
parses(const char *s, uint64_t want)
{
    uint64_t  n = 1;

    ok(llm_price_parse(tap_c(s), &n) == LLM_OK && n == want, s);
}


static void
refuses(const char *s)
{
    uint64_t  n = 77;

    ok(llm_price_parse(tap_c(s), &n) == LLM_BAD && n == 77, s);
}


static void
puts_as(uint64_t nano, const char *want)
{
    llm_buf_t      b;
    unsigned char  mem[64];

    llm_buf_init(&b, mem, sizeof(mem));
    llm_price_put(&b, nano);
    is_str(llm_buf_view(&b), want, want);
}


static void
test_text(void)
{
    parses("0.59", 590000000);
    parses("0", 0);
    parses("15", 15000000000);
    parses(".5", 500000000);
    parses("3.", 3000000000);
    parses("0.000000001", 1);
    parses("0.0000000010", 1);
    parses("0.0007", 700000);
    refuses("");
    refuses(".");
    refuses("-1");
    refuses("1e3");
    refuses("0.0000000001");
    refuses("1,5");
    refuses("99999999999999999999");

    puts_as(0, "0");
    puts_as(420000, "0.00042");
    puts_as(1, "0.000000001");
    puts_as(1000000000, "1");
    puts_as(1230000000, "1.23");
    puts_as(UINT64_MAX, "18446744073.709551615");
}


static void
costs(llm_price_t p, llm_usage_t u, uint64_t want, const char *name)
{
    ok(llm_price_cost(&p, &u) == want, name);
    if (llm_price_cost(&p, &u) != want) {
        printf("# got %llu want %llu\n",
               (unsigned long long) llm_price_cost(&p, &u),
               (unsigned long long) want);
    }
}


static void
test_cost(void)
{
    llm_price_t  p = { 590000000, U, 790000000, U, 1 };
    llm_price_t  cached = { 3000000000, 300000000, 15000000000, U, 1 };
    llm_price_t  audio = { U, U, U, 700000, 1 };
    llm_price_t  both = { 1, U, U, 60000, 1 };
    llm_price_t  none = { U, U, U, U, 0 };
    llm_price_t  huge = { UINT64_MAX - 1, U, UINT64_MAX - 1, UINT64_MAX - 1,
                          1 };

    costs(p, (llm_usage_t) { 1000, U, 500, U, U, U }, 590000 + 395000,
          "input and output");
    costs(p, (llm_usage_t) { 1000, 400, 500, 100, U, U }, 985000,
          "no cached price: the input price; reasoning is output");
    costs(cached, (llm_usage_t) { 1000, 400, 0, U, U, U },
          600 * 3000 + 400 * 300, "cached input");
    costs(cached, (llm_usage_t) { 100, 400, 0, U, U, U }, 100 * 300,
          "more cached than input");
    costs(audio, (llm_usage_t) { U, U, U, U, 30000, U }, 350000, "audio");
    costs(audio, (llm_usage_t) { 5, U, 5, U, U, U }, U,
          "no price for what was used");
    costs(none, (llm_usage_t) { 5, U, 5, U, U, U }, U, "no prices");
    costs(none, (llm_usage_t) { 5, U, 5, U, U, 42 }, 42, "the provider tells");
    costs(p, (llm_usage_t) { 5, U, 5, U, U, 42 }, 42, "and wins");
    costs(p, (llm_usage_t) { U, U, U, U, U, U }, U, "nothing known");
    costs(p, (llm_usage_t) { 0, U, 0, U, U, U }, 0, "zero is known");

    costs(both, (llm_usage_t) { 499999, U, U, U, U, U }, 0, "half down");
    costs(both, (llm_usage_t) { 500000, U, U, U, U, U }, 1, "half up");
    costs(both, (llm_usage_t) { 250000, U, U, U, 0, U }, 0, "a quarter");
    costs(both, (llm_usage_t) { 400000, U, U, U, 1, U }, 1,
          "parts are summed before they are rounded");
    costs(huge, (llm_usage_t) { U - 1, U, U - 1, U, U - 1, U }, U - 1,
          "saturates");
}


static void
test_merge(void)
{
    llm_usage_t  a, b;

    llm_usage_init(&a);
    llm_usage_init(&b);
    ok(a.input == U && a.cost_nano == U && a.audio_ms == U, "all unknown");

    a.input = 10;
    a.output = 1;
    b.output = 7;
    b.cached = 0;
    llm_usage_merge(&a, &b);
    ok(a.input == 10 && a.output == 7 && a.cached == 0 && a.reasoning == U,
       "later known values win");
}


int
main(void)
{
    test_text();
    test_cost();
    test_merge();

    return tap_done();
}
