/*
 * The text of limits and budgets: what is taken, what is not, and back again.
 */

#include "tap.h"
#include "llm_rule.h"


static llm_str_t
str(const char *s)
{
    return (llm_str_t) { strlen(s), (const unsigned char *) s };
}


static void
back(const char *text, const char *want)
{
    llm_buf_t      out;
    llm_rc_t       rc;
    llm_limit_t    l;
    unsigned char  mem[64];

    rc = llm_rule_limit(str(text), &l);

    if (rc != LLM_OK) {
        rc = llm_rule_budget(str(text), &l);
    }

    llm_buf_init(&out, mem, sizeof(mem));

    if (rc == LLM_OK) {
        llm_rule_put(&out, &l);
    }

    ok(llm_str_eq(llm_buf_view(&out), str(want)), text);
}


static void
test_put(void)
{
    back("60r/m", "60r/m");
    back("100000t/m", "100000t/m");
    back("5000i/h", "5000i/h");
    back("2000o/d", "2000o/d");
    back("600s/h", "600s/h");
    back("10r/M", "10r/M");
    back("parallel=10", "parallel=10");
    back("parallel=010", "parallel=10");
    back("50usd/h", "50usd/h");
    back("0.50usd/d", "0.5usd/d");
    back("2000usd/M", "2000usd/M");
    back(".000000001usd/d", "0.000000001usd/d");
    back("9000000usd/M", "9000000usd/M");
}


static void
test_bad(void)
{
    size_t              i;
    llm_limit_t         l;
    static const char  *limits[] = {
        "", "60", "60r", "r/m", "0r/m", "60x/m", "60r/y", "parallel",
        "parallel=", "parallel=0", "parallel=1x", "parallel=-1",
        "parallel=1000001", "parallel=99999999999999999999999", "50usd/h"
    };
    static const char  *budgets[] = {
        "", "usd/h", "0usd/h", "50usd", "50usd/", "50usd/m", "50usd/y",
        "50eur/h", "50/h", "-1usd/h", "1e3usd/h", "0.0000000001usd/h",
        "9000001usd/h", "99999999999999999999usd/h", "60r/m", "1,5usd/h"
    };

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        is_int(llm_rule_limit(str(limits[i]), &l), LLM_BAD, limits[i]);
    }

    for (i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        is_int(llm_rule_budget(str(budgets[i]), &l), LLM_BAD, budgets[i]);
    }

    is_int(llm_rule_budget((llm_str_t) { 7, (const unsigned char *) "50usd/" },
                           &l), LLM_BAD, "a zero byte is no unit");
}


static void
test_clock(void)
{
    llm_limit_t  l;

    (void) llm_rule_limit(str("60r/m"), &l);
    is_int(l.clock, LLM_CLOCK_SLIDING, "minutes slide");
    (void) llm_rule_limit(str("60r/h"), &l);
    is_int(l.clock, LLM_CLOCK_SLIDING, "hours slide");
    (void) llm_rule_limit(str("60r/d"), &l);
    is_int(l.clock, LLM_CLOCK_CALENDAR, "days follow the calendar");
    (void) llm_rule_budget(str("1usd/h"), &l);
    is_int(l.clock, LLM_CLOCK_CALENDAR, "and so do budgets");
    is_int(l.max, 1000000000, "in nano-dollars");
    is_int(l.unit, LLM_TZ_HOUR, "per hour");
}


static void
test_id(void)
{
    llm_limit_t  a, b;

    (void) llm_rule_limit(str("60r/m"), &a);
    (void) llm_rule_limit(str("90r/m"), &b);
    ok(llm_rule_id(str("client"), &a) == llm_rule_id(str("client"), &b),
       "a changed maximum counts on");
    ok(llm_rule_id(str("client"), &a) != llm_rule_id(str("user"), &a),
       "other owners count apart");

    (void) llm_rule_limit(str("60r/h"), &b);
    ok(llm_rule_id(str("client"), &a) != llm_rule_id(str("client"), &b),
       "so do other windows");

    (void) llm_rule_limit(str("60t/m"), &b);
    ok(llm_rule_id(str("client"), &a) != llm_rule_id(str("client"), &b),
       "and other units");
}


int
main(void)
{
    test_put();
    test_bad();
    test_clock();
    test_id();

    return tap_done();
}
