/*
 * Windows with a clock of the test's: sums across slots, recycled ones, what
 * still runs, and a clock that is set back.
 */

#include "tap.h"
#include "llm_window.h"

/* A start of a long slot. */
#define T0  ((llm_msec_t) 1790000040000)

static llm_window_t  w;
static llm_sums_t    sums;


static void
fresh(llm_msec_t slot)
{
    memset(&w, 0, sizeof(w));
    llm_window_init(&w, slot);
}


static void
start(llm_msec_t at)
{
    if (!llm_window_is_current(&w, at)) {
        llm_window_claim(&w, at);
    }

    llm_window_start(&w, at);
}


/* An answer without a stream, or an error. */
static void
end(llm_msec_t from, llm_msec_t to, int error)
{
    llm_outcome_row_t  o;

    memset(&o, 0, sizeof(o));
    o.started = from;
    o.ended = to;
    o.first = LLM_NEVER;
    o.input = LLM_NEVER;
    o.output = LLM_NEVER;
    o.cost = LLM_NEVER;
    o.counted = 1;
    o.error = error ? 1 : 0;
    o.timed = !error;

    if (!llm_window_is_current(&w, to)) {
        llm_window_claim(&w, to);
    }

    llm_window_end(&w, &o);
}


static uint64_t
sum(llm_count_t what, llm_msec_t now, llm_msec_t length, llm_msec_t since)
{
    llm_window_sum(&w, now, length, since, &sums);

    return sums.count[what];
}


static void
test_outcome(void)
{
    llm_outcome_row_t  o;

    fresh(LLM_WINDOW_SLOT);
    start(T0);
    start(T0);
    start(T0);

    memset(&o, 0, sizeof(o));
    o.started = T0;
    o.ended = T0 + 2000;
    o.first = 300;
    o.input = 10;
    o.output = 20;
    o.cost = 7000000000;
    o.counted = 1;
    o.stream = 1;
    o.timed = 1;
    o.json_checked = 1;
    o.json_invalid = 1;
    llm_window_end(&w, &o);

    o.stream = 0;
    o.refused = 1;
    o.timed = 0;
    o.json_checked = 0;
    o.json_invalid = 0;
    o.cost = LLM_NEVER;
    o.input = LLM_NEVER;
    o.output = LLM_NEVER;
    llm_window_end(&w, &o);

    o.counted = 0;
    o.error = 1;
    o.timed = 1;
    llm_window_end(&w, &o);

    llm_window_sum(&w, T0 + 5000, 60000, 0, &sums);

    is_int(sums.count[LLM_COUNT_STARTED], 3, "started");
    is_int(sums.count[LLM_COUNT_ENDED], 3, "ended");
    is_int(sums.count[LLM_COUNT_N], 2, "outcomes");
    is_int(sums.count[LLM_COUNT_ERRORS], 0, "uncounted is no error");
    is_int(sums.count[LLM_COUNT_UNCOUNTED], 1, "uncounted");
    is_int(sums.count[LLM_COUNT_REFUSED], 1, "refused");
    is_int(sums.count[LLM_COUNT_JSON_CHECKED], 1, "checked");
    is_int(sums.count[LLM_COUNT_JSON_INVALID], 1, "invalid");
    is_int(sums.count[LLM_COUNT_STREAMS], 1, "streams");
    is_int(sums.count[LLM_COUNT_INPUT], 10, "unknown tokens are not added");
    is_int(sums.count[LLM_COUNT_OUTPUT], 20, "nor these");
    is_int(sums.count[LLM_COUNT_PRICED], 1, "priced");
    ok(sums.count[LLM_COUNT_COST] == 7000000000, "cost");
    is_int(llm_hist_count(sums.time[LLM_TIME_WHOLE]), 0, "no time of these");
    is_int(llm_hist_quantile(sums.time[LLM_TIME_STREAM], 500),
           llm_hist_value(llm_hist_bucket(2000)), "time of the stream");
    is_int(llm_hist_quantile(sums.time[LLM_TIME_FIRST], 500),
           llm_hist_value(llm_hist_bucket(300)), "to its first content");

    llm_window_sum(&w, T0 + 5000, 1800000, 0, &sums);
    is_int(sums.count[LLM_COUNT_N], 2, "the long ring has the same");
    is_int(sums.count[LLM_COUNT_STARTED], 3, "and the starts");
    is_int(llm_hist_count(sums.time[LLM_TIME_STREAM]), 1, "and the times");
}


/* One request a second for an hour, each takes 3 s. */
static void
test_sums(void)
{
    size_t      i;
    llm_msec_t  at;

    fresh(LLM_WINDOW_SLOT);

    for (i = 0; i < 3600; i++) {
        at = T0 + i * 1000;
        start(at);

        if (i >= 3) {
            end(at - 3000, at, i % 4 == 0);
        }
    }

    at = T0 + 3600000 - 1;

    is_int(sum(LLM_COUNT_N, at, 9999, 0), 10, "one slot");
    is_int(sum(LLM_COUNT_N, at, 10000, 0), 20, "ten seconds touch two");
    is_int(sum(LLM_COUNT_N, at, 59999, 0), 60, "a minute");
    is_int(sum(LLM_COUNT_ERRORS, at, 59999, 0), 15, "its errors");
    is_int(llm_hist_count(sums.time[LLM_TIME_WHOLE]), 45, "times of the rest");
    is_int(llm_hist_quantile(sums.time[LLM_TIME_WHOLE], 950),
           llm_hist_value(llm_hist_bucket(3000)), "p95");
    is_int(sum(LLM_COUNT_N, at - 5000, 60000, 0), 70,
           "the slot of now counts as far as it is filled");
    is_int(sum(LLM_COUNT_N, at, 600000, 0), 600, "all of the short ring");
    is_int(sum(LLM_COUNT_N, at, 600001, 0), 660, "more is the long ring's");
    is_int(sum(LLM_COUNT_N, at, 1800000, 0), 1800, "all of the long ring");
    is_int(sum(LLM_COUNT_N, at, 7200000, 0), 1800, "there is no more");

    is_int(sum(LLM_COUNT_N, at, 600000, T0 + 3600000 - 30000), 30,
           "not before: three slots");
    is_int(sum(LLM_COUNT_N, at, 600000, T0 + 3600000 - 30000 + 1), 20,
           "a slot that begins before is not counted");
    is_int(sum(LLM_COUNT_N, at, 1800000, T0 + 3600000 - 120000), 120,
           "the same in the long ring");
    is_int(sum(LLM_COUNT_N, at + 60000, 59999, 0), 0,
           "a minute later: nothing");
    is_int(sum(LLM_COUNT_N, at + 30000, 59999, 0), 30, "half a minute later");
}


static void
test_recycled(void)
{
    llm_msec_t  later;

    fresh(LLM_WINDOW_SLOT);

    ok(!llm_window_is_current(&w, T0), "a new window has no slots");
    llm_window_start(&w, T0);
    llm_window_claim(&w, T0);
    is_int(sum(LLM_COUNT_STARTED, T0, 60000, 0), 0, "a count before is lost");

    ok(llm_window_is_current(&w, T0 + 9999), "until the slot's end");
    ok(!llm_window_is_current(&w, T0 + 10000), "and no longer");

    start(T0);
    start(T0 + 100);

    /* ten minutes later its place in the short ring is another's */

    later = T0 + LLM_WINDOW_SHORT * LLM_WINDOW_SLOT;
    start(later);
    end(T0, later, 0);

    is_int(sum(LLM_COUNT_ENDED, later, 600000, 0), 0,
           "an end that is too late for its slot is dropped");
    is_int(sum(LLM_COUNT_N, later, 600000, 0), 1, "its outcome is not");
    is_int(sum(LLM_COUNT_STARTED, later, 600000, 0), 1, "nor a new start");
    is_int(sum(LLM_COUNT_ENDED, later, 1800000, 0), 1,
           "the long ring still has the slot");

    llm_window_claim(&w, later);
    is_int(sum(LLM_COUNT_N, later, 600000, 0), 1, "a claim of a current slot");
}


static void
test_clock(void)
{
    llm_msec_t  t;

    /* a process that looked at its clock a round ago takes nothing away */

    fresh(10);
    t = T0 + LLM_WINDOW_SHORT * 10;
    start(t);
    llm_window_claim(&w, T0);
    llm_window_start(&w, T0);
    is_int(sum(LLM_COUNT_STARTED, t, 10, 0), 1, "a slot is not taken back");
    ok(llm_window_is_current(&w, T0), "nor is it asked for again");

    /* a clock that was set back by hours finds slots again */

    fresh(LLM_WINDOW_SLOT);
    t = T0 + 24 * 3600 * 1000;
    start(t);
    start(T0);
    end(T0, T0 + 5, 0);
    is_int(sum(LLM_COUNT_N, T0 + 5, 60000, 0), 1, "set back: counts");
    is_int(sum(LLM_COUNT_N, T0 + 5, 1800000, 0), 1, "set back: the long ring");

    /* set back between start and end */

    end(T0 + 5000, T0 + 10, 0);
    is_int(sum(LLM_COUNT_N, T0 + 10, 60000, 0), 2, "an end before the start");
    is_int(llm_hist_quantile(sums.time[LLM_TIME_WHOLE], 0), 0, "took 0 ms");
}


static void
test_overdue(void)
{
    size_t  i;

    fresh(LLM_WINDOW_SLOT);

    is_int(llm_window_overdue(&w, T0, 1000, 0), 0, "nothing runs");

    for (i = 0; i < 10; i++) {
        start(T0 + i * 1000);
    }

    is_int(llm_window_overdue(&w, T0 + 14999, 5000, 0), 0,
           "some of the slot may be younger");
    is_int(llm_window_overdue(&w, T0 + 15000, 5000, 0), 10, "all are older");
    is_int(llm_window_overdue(&w, T0 + 15000, 5000, T0), 10, "since then");
    is_int(llm_window_overdue(&w, T0 + 15000, 5000, T0 + 1), 0, "not before");
    is_int(llm_window_overdue(&w, 100, 5000, 0), 0, "an age before the clock");

    end(T0, T0 + 15000, 0);
    end(T0 + 1000, T0 + 15000, 1);
    is_int(llm_window_overdue(&w, T0 + 15000, 5000, 0), 8, "two have ended");

    is_int(llm_window_overdue(&w, T0 + 5000000, 5000, 0), 8,
           "for as long as no other period took the slot's place");

    /* nine minutes later, then beyond the short ring, whatever the slot */

    for (i = 16000; i < 1700000; i += 1000) {
        if (!llm_window_is_current(&w, T0 + i)) {
            llm_window_claim(&w, T0 + i);
        }

        if (i > 60000
            && llm_window_overdue(&w, T0 + i, 15000, 0) != 8)
        {
            break;
        }
    }

    ok(i == 1700000, "eight run, once each, wherever their slot is found");

    /* more ends than starts: a forgiven slot */

    llm_window_forgive(&w);
    is_int(llm_window_overdue(&w, T0 + 1700000, 5000, 0), 0, "forgiven");

    start(T0 + 1700000);
    end(T0 + 5000, T0 + 1700000, 0);
    is_int(llm_window_overdue(&w, T0 + 1715000, 5000, 0), 1,
           "a forgiven request that ends takes no other's place");
}


static void
test_answer(void)
{
    llm_outcome_row_t  o;

    fresh(LLM_WINDOW_SLOT);

    start(T0);
    start(T0);
    llm_window_answer(&w, T0);
    is_int(llm_window_overdue(&w, T0 + 20000, 1000, 0), 1,
           "an answer that has begun is not overdue");
    is_int(sum(LLM_COUNT_N, T0 + 1, 60000, 0), 0, "nor an outcome");

    memset(&o, 0, sizeof(o));
    o.started = T0;
    o.ended = T0 + 5;
    o.counted = 1;
    o.error = 1;
    o.answered = 1;
    llm_window_end(&w, &o);

    is_int(llm_window_overdue(&w, T0 + 20000, 1000, 0), 1,
           "its end takes no other's place");
    is_int(sum(LLM_COUNT_ERRORS, T0 + 5, 60000, 0), 1, "and counts");
}


static void
test_forgive(void)
{
    fresh(LLM_WINDOW_SLOT);

    start(T0);
    start(T0);
    end(T0, T0 + 1, 0);
    llm_window_forgive(&w);
    llm_window_forgive(&w);
    is_int(sum(LLM_COUNT_ENDED, T0 + 1, 60000, 0), 2, "ended as started");
    is_int(sum(LLM_COUNT_N, T0 + 1, 60000, 0), 1, "outcomes stay");

    start(T0 + 2);
    is_int(llm_window_overdue(&w, T0 + 20000, 1000, 0), 1, "a new one runs");
}


static void
test_length(void)
{
    fresh(1);
    is_int(w.slot, 10, "a slot has 10 ms at least");

    start(T0);
    end(T0, T0 + 3, 0);
    is_int(sum(LLM_COUNT_N, T0 + 9, 60, 0), 1, "short slots");
    is_int(sum(LLM_COUNT_N, T0 + 500, 600, 0), 1, "and their ring");
    is_int(sum(LLM_COUNT_N, T0 + 500, 400, 0), 0, "out of a window");
}


int
main(void)
{
    test_outcome();
    test_sums();
    test_recycled();
    test_clock();
    test_overdue();
    test_answer();
    test_forgive();
    test_length();

    return tap_done();
}
