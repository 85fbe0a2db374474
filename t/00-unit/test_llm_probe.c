/*
 * Probes: when the next one is due, what a row of them says, and for how long.
 */

#include "tap.h"
#include "llm_probe.h"

#define NOW  1795168800000ULL

static const llm_probe_conf_t  conf = { 10000, 2000, 2, 3 };
static const llm_probe_conf_t  off;


static void
test_due(void)
{
    llm_probe_t  p;

    memset(&p, 0, sizeof(p));

    is_int(llm_probe_due(&off, &p, NOW), 0, "no probes, none is due");
    is_int(llm_probe_due(&conf, &p, NOW), 1, "the first one at once");
    is_int(llm_probe_due(&conf, &p, NOW), 0, "by one worker alone");
    is_int(llm_probe_due(&conf, &p, NOW + 9999), 0, "not before its time");
    is_int(llm_probe_due(&conf, &p, NOW + 10000), 1, "in time");
    is_int(llm_probe_due(&conf, &p, NOW + 19999), 0, "counted from there");
    is_int(llm_probe_due(&conf, &p, NOW - 5), 1, "another clock begins anew");
}


static void
test_down(void)
{
    llm_probe_t  p;

    memset(&p, 0, sizeof(p));

    is_int(llm_probe_status(&conf, &p, NOW), LLM_PROBE_UNKNOWN, "unknown");

    is_int(llm_probe_report(&conf, &p, 0, NOW), 0, "one failed");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 1), 0, "two failed");
    is_int(llm_probe_status(&conf, &p, NOW + 1), LLM_PROBE_UNKNOWN,
           "that is not enough");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 2), 1, "down by the third");
    is_int(llm_probe_status(&conf, &p, NOW + 2), LLM_PROBE_DOWN, "down");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 3), 0, "told once");

    is_int(llm_probe_report(&conf, &p, 1, NOW + 4), 0, "one good");
    is_int(llm_probe_status(&conf, &p, NOW + 4), LLM_PROBE_DOWN, "still down");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 5), 0, "one bad between");
    is_int(llm_probe_report(&conf, &p, 1, NOW + 6), 0, "counts from none");
    is_int(llm_probe_report(&conf, &p, 1, NOW + 7), 2, "up by the second");
    is_int(llm_probe_status(&conf, &p, NOW + 7), LLM_PROBE_UP, "up");

    is_int(llm_probe_report(&conf, &p, 0, NOW + 8), 0, "bad");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 9), 0, "bad");
    is_int(llm_probe_report(&conf, &p, 1, NOW + 10), 0, "good");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 11), 0, "bad");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 12), 0, "bad");
    is_int(llm_probe_status(&conf, &p, NOW + 12), LLM_PROBE_UP,
           "never three in a row");
}


static void
test_first_good(void)
{
    llm_probe_t  p;

    memset(&p, 0, sizeof(p));

    is_int(llm_probe_report(&conf, &p, 1, NOW), 0, "good, and nothing to tell");
    is_int(llm_probe_status(&conf, &p, NOW), LLM_PROBE_UP, "up at once");
    is_int(llm_probe_status(&off, &p, NOW), LLM_PROBE_UNKNOWN,
           "without probes nothing is known");
}


static void
test_old(void)
{
    int          i;
    llm_probe_t  p;

    memset(&p, 0, sizeof(p));

    for (i = 0; i < 3; i++) {
        (void) llm_probe_report(&conf, &p, 0, NOW);
    }

    /* two intervals, a timeout, and time for another worker */
    is_int(llm_probe_status(&conf, &p, NOW + 27000), LLM_PROBE_DOWN,
           "believed for a while");
    is_int(llm_probe_status(&conf, &p, NOW + 27001), LLM_PROBE_UNKNOWN,
           "then nobody knows");
    is_int(llm_probe_status(&conf, &p, NOW - 1), LLM_PROBE_UNKNOWN,
           "nor by another clock");

    is_int(llm_probe_report(&conf, &p, 0, NOW + 30000), 0, "bad");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 30001), 0, "bad");
    is_int(llm_probe_report(&conf, &p, 0, NOW + 30002), 1,
           "and the row begins anew");
}


static void
test_names(void)
{
    ok(llm_str_eq(llm_probe_name(&conf, LLM_PROBE_UP), LLM_STR("up")), "up");
    ok(llm_str_eq(llm_probe_name(&conf, LLM_PROBE_DOWN), LLM_STR("down")),
       "down");
    ok(llm_str_eq(llm_probe_name(&conf, LLM_PROBE_UNKNOWN),
                  LLM_STR("unknown")), "unknown");
    ok(llm_str_eq(llm_probe_name(&off, LLM_PROBE_UNKNOWN), LLM_STR("off")),
       "off");
}


int
main(void)
{
    test_due();
    test_down();
    test_first_good();
    test_old();
    test_names();

    return tap_done();
}
