/*
 * Triggers: what each kind measures, and when a condition fires.
 */

#include "arms.h"

#define NOW  ARMS_NOW
#define S    1000ULL

static llm_trigger_conf_t  conf;
static llm_pace_t          pace;
static llm_measure_t       m;


static void
trigger(llm_trigger_kind_t kind)
{
    llm_trigger_defaults(kind, &conf);
    llm_trigger_pace(&conf, 1, 120 * S, &pace);
}


static llm_measure_result_t
measure_arms(const llm_arms_t *arms)
{
    llm_trigger_measure(&conf, &pace, arms, &m);

    return m.result;
}


static llm_measure_result_t
measure(llm_msec_t now)
{
    llm_arms_t  arms = arms_at(now);

    return measure_arms(&arms);
}


static void
put_is(const char *want)
{
    llm_buf_t      out;
    unsigned char  mem[200];

    llm_buf_init(&out, mem, sizeof(mem));
    llm_trigger_put(&out, &conf);
    is_str(llm_buf_view(&out), want, want);
}


static void
test_words(void)
{
    unsigned            i;
    llm_buf_t           out;
    unsigned char       mem[300];
    llm_trigger_kind_t  kind;

    for (i = 0; i < LLM_TRIGGERS; i++) {
        is_int(llm_trigger_by_name(llm_trigger_name((llm_trigger_kind_t) i),
                                   &kind), LLM_OK, "a name");
        is_int(kind, i, "of its own");
    }

    is_int(llm_trigger_by_name(tap_c("luck"), &kind), LLM_NONE, "no kind");
    is_int(llm_trigger_name(LLM_TRIGGERS).len, 0, "no name");

    trigger(LLM_TRIGGER_ERROR_RATE);
    put_is("error_rate>5%");
    is_int(conf.hold, 300 * S, "for 5 minutes");
    is_int(conf.action, LLM_ACTION_ROLLBACK, "rolls back");
    trigger(LLM_TRIGGER_FAST_BURN);
    put_is("fast_burn>=50%");
    trigger(LLM_TRIGGER_4XX_EXCESS);
    is_int(conf.action, LLM_ACTION_PAUSE, "4xx pause only");
    trigger(LLM_TRIGGER_P95_RISE);
    put_is("p95_rise>5s");
    conf.threshold = 250;
    put_is("p95_rise>250ms");
    trigger(LLM_TRIGGER_COST);
    conf.threshold = 10000000;
    put_is("cost_per_request>0.01");

    trigger(LLM_TRIGGER_JSON_INVALID);
    m.value = 250;
    m.n = 120;
    m.window = 300 * S;
    m.baseline = LLM_NEVER;
    llm_buf_init(&out, mem, sizeof(mem));
    llm_trigger_put_measure(&out, &conf, &m);
    is_str(llm_buf_view(&out),
           "{\"trigger\":\"json_invalid>2%\",\"value\":2.5,\"threshold\":2,"
           "\"n\":120,\"window_ms\":300000,\"baseline\":null}", "in an audit");
}


static void
test_pace(void)
{
    llm_trigger_conf_t  c[2];

    llm_trigger_defaults(LLM_TRIGGER_ERROR_RATE, &c[0]);
    llm_trigger_defaults(LLM_TRIGGER_P95_RISE, &c[1]);

    llm_trigger_pace(c, 2, 7, &pace);
    is_int(pace.slot, 10 * S, "slots of the documents");
    is_int(pace.tick, 1 * S, "a tick a second");
    is_int(pace.timeout, 7, "as given");
    is_int(llm_pace_scale(&pace, 60 * S), 60 * S, "the clock of the documents");
    is_int(llm_trigger_reach(&c[0], &pace), 360 * S, "hold and window");
    is_int(llm_trigger_reach(&c[1], &pace), 360 * S, "also 60 + 300");

    llm_trigger_pace(c, 0, 7, &pace);
    is_int(pace.slot, 10 * S, "without triggers, too");

    c[1].window = 600;
    c[1].hold = 300;
    llm_trigger_pace(c, 2, 7, &pace);
    is_int(pace.slot, 100, "a hundredth");
    is_int(pace.tick, 30, "for / 10");
    is_int(llm_pace_scale(&pace, 300 * S), 3 * S, "everything is");
    is_int(llm_trigger_reach(&c[0], &pace), 300 * S + 600, "but for=");
    is_int(llm_trigger_reach(&c[1], &pace), 900, "its own window");

    c[1].window = 12;
    llm_trigger_pace(c, 2, 7, &pace);
    is_int(pace.slot, 10, "not less");
    is_int(pace.tick, 10, "nor this");

    c[1].window = 1800 * S;
    llm_trigger_pace(c, 2, 7, &pace);
    is_int(pace.slot, 10 * S, "what the rings hold changes nothing");
    c[1].window = 3600 * S;
    llm_trigger_pace(c, 2, 7, &pace);
    is_int(pace.slot, 20 * S, "what they do not hold stretches them");
}


static void
test_errors(void)
{
    unsigned    i;
    llm_arms_t  arms;

    trigger(LLM_TRIGGER_ERROR_RATE);
    arms_init(pace.slot);

    is_int(measure(NOW), LLM_MEASURE_INSUFFICIENT, "nothing");

    arms_add(&canary, NOW, 9, 9);
    is_int(measure(NOW), LLM_MEASURE_INSUFFICIENT, "9 are not 10");
    is_int(m.n, 9, "9");
    arms_add(&canary, NOW, 10, 10);
    is_int(measure(NOW), LLM_MEASURE_TRUE, "19 are");
    is_int(m.window, 600 * S, "for the longest window");
    arms_add(&canary, NOW, 1, 0);
    is_int(measure(NOW), LLM_MEASURE_TRUE, "20 are");
    is_int(m.value, 9500, "95 %");
    is_int(m.window, 60 * S, "in the shortest window");
    is_int(m.baseline, LLM_NEVER, "compared with nothing");

    /* the window grows until there are 20 */

    arms_init(pace.slot);
    for (i = 0; i < 30; i++) {
        arms_add(&canary, NOW + i * 20 * S, 1, i % 5 == 0);
    }
    is_int(measure(NOW + 600 * S), LLM_MEASURE_TRUE, "3 a minute");
    is_int(m.window, 600 * S, "within 10 minutes");

    arms_init(pace.slot);
    for (i = 0; i < 10; i++) {
        arms_add(&canary, NOW + i * 60 * S, 1, i < 3);
    }
    is_int(measure(NOW + 550 * S), LLM_MEASURE_TRUE, "10 in 10 minutes");
    is_int(measure(NOW + 640 * S), LLM_MEASURE_INSUFFICIENT, "9 in them");

    /* two errors are bad luck */

    arms_init(pace.slot);
    arms_add(&canary, NOW, 20, 2);
    is_int(measure(NOW), LLM_MEASURE_BETWEEN, "10 %, but two errors");
    conf.min = 2;
    is_int(measure(NOW), LLM_MEASURE_TRUE, "unless two are asked for");
    conf.min = 21;
    is_int(measure(NOW), LLM_MEASURE_INSUFFICIENT, "min=21");
    conf.min = 0;

    /* hysteresis: 5 %, 4 % */

    arms_init(pace.slot);
    arms_add(&canary, NOW, 100, 5);
    is_int(measure(NOW), LLM_MEASURE_BETWEEN, "5 % is not more than 5 %");
    conf.inclusive = 1;
    is_int(measure(NOW), LLM_MEASURE_TRUE, "but as much");
    conf.inclusive = 0;
    arms_add(&canary, NOW, 25, 0);
    is_int(measure(NOW), LLM_MEASURE_CLEAR, "4 % is clear");

    /* only since the weight was given */

    arms = arms_at(NOW + 30 * S);
    arms.reset = NOW + 1;
    is_int(measure_arms(&arms), LLM_MEASURE_INSUFFICIENT, "before the reset");

    conf.window = 30 * S;
    is_int(measure(NOW + 30 * S), LLM_MEASURE_CLEAR, "window=30s");
    is_int(measure(NOW + 40 * S), LLM_MEASURE_INSUFFICIENT, "is all there is");
}


static void
test_sure(void)
{
    trigger(LLM_TRIGGER_ERROR_RATE);
    arms_init(pace.slot);
    conf.confidence = 9500;

    /* lower ends of Wilson's interval: 4.997 % and 5.17 % */

    arms_add(&canary, NOW, 500, 33);
    is_int(measure(NOW), LLM_MEASURE_BETWEEN, "33 of 500 may be chance");

    arms_init(pace.slot);
    arms_add(&canary, NOW, 500, 34);
    is_int(measure(NOW), LLM_MEASURE_TRUE, "34 are none");
    conf.confidence = 9900;
    is_int(measure(NOW), LLM_MEASURE_BETWEEN, "at 95 %");
    conf.confidence = 10000;
    is_int(measure(NOW), LLM_MEASURE_BETWEEN, "surer than the table");
    conf.confidence = 5000;
    is_int(measure(NOW), LLM_MEASURE_TRUE, "a coin");
}


static void
test_fast_burn(void)
{
    trigger(LLM_TRIGGER_FAST_BURN);
    arms_init(pace.slot);

    arms_add(&canary, NOW, 20, 10);
    is_int(measure(NOW + 29 * S), LLM_MEASURE_TRUE, "half of 20");
    is_int(measure(NOW + 40 * S), LLM_MEASURE_INSUFFICIENT, "30 s ago");
    is_int(conf.hold, 15 * S, "held for 15 s");
    arms_add(&canary, NOW + S, 1, 0);
    is_int(measure(NOW + 29 * S), LLM_MEASURE_BETWEEN, "10 of 21");
}


/* Of n answers that were checked, `bad` are invalid. */
static void
add_json(llm_window_t *w, llm_msec_t at, unsigned n, unsigned bad)
{
    unsigned           i;
    llm_outcome_row_t  o;

    memset(&o, 0, sizeof(o));
    o.started = at;
    o.ended = at;
    o.cost = 5000000;
    o.counted = 1;
    o.json_checked = 1;

    for (i = 0; i < n; i++) {
        arms_start(w, at);
        o.json_invalid = i < bad;
        o.refused = i < bad;
        llm_window_end(w, &o);
    }
}


static void
test_json(void)
{
    llm_arms_t  arms;
    llm_sums_t  frozen;

    trigger(LLM_TRIGGER_JSON_INVALID);
    arms_init(pace.slot);

    arms_add(&canary, NOW, 500, 0);
    add_json(&canary, NOW, 99, 99);
    is_int(measure(NOW), LLM_MEASURE_INSUFFICIENT, "99 were checked");
    add_json(&canary, NOW, 1, 0);
    is_int(measure(NOW), LLM_MEASURE_TRUE, "100 were");
    is_int(m.value, 9900, "of those");
    is_int(m.window, 300 * S, "in 5 minutes");
    is_int(m.baseline, LLM_NEVER, "nobody knows of the baseline");

    arms_init(pace.slot);
    add_json(&canary, NOW, 200, 6);
    is_int(measure(NOW), LLM_MEASURE_TRUE, "3 %");
    add_json(&baseline, NOW, 200, 6);
    is_int(measure(NOW), LLM_MEASURE_BETWEEN, "as the baseline has");
    is_int(m.baseline, 300, "3 %");
    add_json(&baseline, NOW, 200, 0);
    is_int(measure(NOW), LLM_MEASURE_TRUE, "it is better");

    memset(&frozen, 0, sizeof(frozen));
    frozen.count[LLM_COUNT_JSON_CHECKED] = 1000;
    frozen.count[LLM_COUNT_JSON_INVALID] = 40;
    arms = arms_at(NOW);
    arms.frozen = &frozen;
    is_int(measure_arms(&arms), LLM_MEASURE_TRUE, "now is more than then");
    arms.baseline = NULL;
    is_int(measure_arms(&arms), LLM_MEASURE_BETWEEN, "then is all there is");
    is_int(m.baseline, 400, "4 %");
}


static void
test_excess(void)
{
    llm_arms_t  arms;

    trigger(LLM_TRIGGER_4XX_EXCESS);
    arms_init(pace.slot);

    add_json(&canary, NOW, 49, 49);
    is_int(measure(NOW), LLM_MEASURE_INSUFFICIENT, "49");
    add_json(&canary, NOW, 51, 0);
    is_int(measure(NOW), LLM_MEASURE_NO_BASELINE, "compared with what");
    is_int(m.n, 100, "has enough itself");
    add_json(&baseline, NOW, 100, 43);
    is_int(measure(NOW), LLM_MEASURE_TRUE, "49 % - 43 %");
    is_int(m.value, 600, "6 points");
    add_json(&baseline, NOW, 100, 60);
    is_int(measure(NOW), LLM_MEASURE_CLEAR, "less than the baseline");
    is_int(m.value, 0, "is none");

    /* nothing of the time before the weights settled */

    arms = arms_at(NOW + 90 * S);
    arms.since = NOW - 30 * S;
    is_int(measure_arms(&arms), LLM_MEASURE_INSUFFICIENT, "not settled");
    arms.since = NOW - 60 * S;
    is_int(measure_arms(&arms), LLM_MEASURE_CLEAR, "settled");
}


static void
test_cost(void)
{
    trigger(LLM_TRIGGER_COST);
    conf.threshold = 4000000;
    arms_init(pace.slot);

    arms_add(&canary, NOW, 100, 0);
    add_json(&canary, NOW, 19, 0);
    is_int(measure(NOW), LLM_MEASURE_INSUFFICIENT, "19 with a price");
    add_json(&canary, NOW, 1, 0);
    is_int(measure(NOW), LLM_MEASURE_TRUE, "20");
    is_int(m.value, 5000000, "half a cent each");
    conf.threshold = 6000000;
    is_int(measure(NOW), LLM_MEASURE_BETWEEN, "less than 0.6");
    conf.threshold = 7000000;
    is_int(measure(NOW), LLM_MEASURE_CLEAR, "much less than 0.7");
}


/* n answers that took so long; of a stream, the first content also did. */
static void
add_times(llm_window_t *w, llm_msec_t at, llm_msec_t took, unsigned n,
    int stream)
{
    unsigned           i;
    llm_outcome_row_t  o;

    memset(&o, 0, sizeof(o));
    o.started = at;
    o.ended = at + took;
    o.first = stream ? took : LLM_NEVER;
    o.cost = LLM_NEVER;
    o.counted = 1;
    o.timed = 1;
    o.stream = stream != 0;

    for (i = 0; i < n; i++) {
        arms_start(w, at);
        llm_window_claim(w, at + took);
        llm_window_end(w, &o);
    }
}


static void
test_p95(void)
{
    trigger(LLM_TRIGGER_P95);
    conf.threshold = 8000;
    arms_init(pace.slot);

    add_times(&canary, NOW, 1000, 94, 0);
    add_times(&canary, NOW, 10000, 5, 0);
    is_int(measure(NOW + 10 * S), LLM_MEASURE_INSUFFICIENT, "99");
    add_times(&canary, NOW, 10000, 1, 0);
    is_int(measure(NOW + 10 * S), LLM_MEASURE_TRUE, "6 of 100 are slow");
    ok(m.value > 9700 && m.value < 10300, "10 s");
    add_times(&canary, NOW, 1000, 100, 0);
    is_int(measure(NOW + 10 * S), LLM_MEASURE_CLEAR, "6 of 200");

    /* those that still run: after 8 s they are known to be slow */

    for (int i = 0; i < 10; i++) {
        arms_start(&canary, NOW + 10 * S);
    }
    is_int(measure(NOW + 20 * S), LLM_MEASURE_CLEAR, "they run");
    is_int(measure(NOW + 30 * S), LLM_MEASURE_TRUE, "for long");
    is_int(m.n, 210, "and count");

    /* streams and collected answers are two things */

    arms_init(pace.slot);
    add_times(&canary, NOW, 1000, 1000, 0);
    add_times(&canary, NOW, 9000, 99, 1);
    is_int(measure(NOW + 10 * S), LLM_MEASURE_CLEAR, "99 streams");
    add_times(&canary, NOW, 9000, 1, 1);
    is_int(measure(NOW + 10 * S), LLM_MEASURE_TRUE, "100");

    trigger(LLM_TRIGGER_TTFT_P95);
    conf.threshold = 8000;
    is_int(measure(NOW + 10 * S), LLM_MEASURE_TRUE, "its first content, too");
    conf.threshold = 20000;
    is_int(measure(NOW + 10 * S), LLM_MEASURE_CLEAR, "20 s");
    is_int(m.n, 100, "streams alone");
}


static void
test_rise(void)
{
    llm_arms_t  arms;
    llm_sums_t  frozen;

    trigger(LLM_TRIGGER_P95_RISE);
    arms_init(pace.slot);

    add_times(&canary, NOW, 9000, 100, 0);
    is_int(measure(NOW + 10 * S), LLM_MEASURE_NO_BASELINE, "no baseline");
    add_times(&baseline, NOW, 3000, 99, 0);
    is_int(measure(NOW + 10 * S), LLM_MEASURE_NO_BASELINE, "too little");
    add_times(&baseline, NOW, 3000, 1, 0);
    is_int(measure(NOW + 10 * S), LLM_MEASURE_TRUE, "6 s more");
    ok(m.value > 5500 && m.value < 6500, "6 s");
    ok(m.baseline > 2900 && m.baseline < 3100, "than 3 s");

    conf.threshold = 7000;
    is_int(measure(NOW + 10 * S), LLM_MEASURE_BETWEEN, "not more than 7");
    conf.threshold = 5000;

    /* streams are compared with streams */

    add_times(&canary, NOW, 40000, 100, 1);
    is_int(measure(NOW + 50 * S), LLM_MEASURE_TRUE, "long streams");
    ok(m.value < 6500, "of which the baseline has none");
    add_times(&baseline, NOW, 20000, 100, 1);
    is_int(measure(NOW + 50 * S), LLM_MEASURE_TRUE, "it has shorter ones");
    ok(m.value > 18000 && m.value < 22000, "the worse of both counts");

    /* a frozen baseline */

    arms_init(pace.slot);
    add_times(&baseline, NOW, 3000, 200, 0);
    llm_window_sum(&baseline, NOW + 10 * S, 60 * S, 0, &frozen);
    arms_init(pace.slot);
    add_times(&canary, NOW, 9000, 100, 0);
    arms = arms_at(NOW + 10 * S);
    arms.frozen = &frozen;
    is_int(measure_arms(&arms), LLM_MEASURE_TRUE, "as it was");
    is_int(m.window, 300 * S, "in the shortest window");
    arms.baseline = NULL;
    is_int(measure_arms(&arms), LLM_MEASURE_TRUE, "the same");

    /* a canary that hangs has nothing but requests that run */

    arms_init(pace.slot);
    for (int i = 0; i < 120; i++) {
        arms_start(&canary, NOW);
    }
    arms = arms_at(NOW + 10 * S);
    arms.frozen = &frozen;
    is_int(measure_arms(&arms), LLM_MEASURE_INSUFFICIENT, "not yet");
    arms.now = NOW + 20 * S;
    is_int(measure_arms(&arms), LLM_MEASURE_TRUE, "for 8 s and more");
    arms.frozen = NULL;
    add_times(&baseline, NOW, 3000, 200, 1);
    is_int(measure_arms(&arms), LLM_MEASURE_TRUE, "of the baseline's kind");
    llm_window_forgive(&canary);
    is_int(measure_arms(&arms), LLM_MEASURE_INSUFFICIENT, "forgiven");
}


/* Ticks a second apart with one result, from *t on; how often it fired. */
static int
ticks(llm_trigger_state_t *s, llm_measure_result_t result, llm_msec_t *t,
    int n)
{
    int            i, fired;
    llm_measure_t  x;

    memset(&x, 0, sizeof(x));
    x.result = result;
    fired = 0;

    for (i = 0; i < n; i++, *t += S) {
        fired += llm_trigger_tick(&conf, &pace, &x, *t, s);
    }

    return fired;
}


static void
test_hold(void)
{
    llm_msec_t           t;
    llm_trigger_state_t  s;

    trigger(LLM_TRIGGER_ERROR_RATE);
    memset(&s, 0, sizeof(s));
    t = NOW;

    is_int(ticks(&s, LLM_MEASURE_INSUFFICIENT, &t, 10), 0, "no data");
    is_int(s.status, LLM_TRIGGER_IDLE, "idle");
    is_int(s.clear_at, NOW, "since then");
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 300), 0, "300 s are not over");
    is_int(s.status, LLM_TRIGGER_PENDING, "pending");
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 1), 1, "now it fires");
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 600), 0, "once");
    is_int(s.status, LLM_TRIGGER_FIRING, "firing");
    is_int(ticks(&s, LLM_MEASURE_BETWEEN, &t, 10), 0, "below");
    is_int(s.status, LLM_TRIGGER_FIRING, "is not clear");
    is_int(ticks(&s, LLM_MEASURE_CLEAR, &t, 1), 0, "clear");
    is_int(s.status, LLM_TRIGGER_IDLE, "idle");
    is_int(s.clear_at, t - S, "since now");
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 301), 1, "and again");

    /* a dip does not disarm, but it does not fire in one either */

    memset(&s, 0, sizeof(s));
    (void) ticks(&s, LLM_MEASURE_TRUE, &t, 290);
    is_int(ticks(&s, LLM_MEASURE_BETWEEN, &t, 60), 0, "not in a dip");
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 1), 1, "but right after it");

    memset(&s, 0, sizeof(s));
    (void) ticks(&s, LLM_MEASURE_TRUE, &t, 299);
    (void) ticks(&s, LLM_MEASURE_CLEAR, &t, 1);
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 300), 0, "clear begins anew");

    /* without data the time stands still, for 300 s */

    memset(&s, 0, sizeof(s));
    (void) ticks(&s, LLM_MEASURE_TRUE, &t, 200);
    is_int(ticks(&s, LLM_MEASURE_INSUFFICIENT, &t, 300), 0, "frozen");
    is_int(s.status, LLM_TRIGGER_PENDING, "pending");
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 100), 0, "goes on");
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 2), 1, "where it was");

    memset(&s, 0, sizeof(s));
    (void) ticks(&s, LLM_MEASURE_TRUE, &t, 200);
    (void) ticks(&s, LLM_MEASURE_NO_BASELINE, &t, 302);
    is_int(s.status, LLM_TRIGGER_IDLE, "disarmed");

    /* hold 0, and a clock that was set back */

    conf.hold = 0;
    memset(&s, 0, sizeof(s));
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 1), 1, "at once");

    conf.hold = 300 * S;
    memset(&s, 0, sizeof(s));
    (void) ticks(&s, LLM_MEASURE_TRUE, &t, 10);
    t -= 5000 * S;
    is_int(ticks(&s, LLM_MEASURE_TRUE, &t, 10), 0, "the past fires nothing");
}


/* Too few samples for any window, and what there is is bad. */
static void
test_doubts(void)
{
    uint64_t            count[LLM_COUNTS] = { 0 };
    llm_trigger_conf_t  conf = { 0 };

    conf.kind = LLM_TRIGGER_ERROR_RATE;
    conf.threshold = 500;
    is_int(llm_trigger_doubts(&conf, count), 0, "no outcomes, no doubts");

    count[LLM_COUNT_N] = 50;
    count[LLM_COUNT_ERRORS] = 2;
    is_int(llm_trigger_doubts(&conf, count), 0, "4 % of errors");
    count[LLM_COUNT_ERRORS] = 3;
    is_int(llm_trigger_doubts(&conf, count), 1, "6 % of errors");
    count[LLM_COUNT_N] = 60;
    is_int(llm_trigger_doubts(&conf, count), 0, "5 % of errors");
    count[LLM_COUNT_N] = 2;
    count[LLM_COUNT_ERRORS] = 2;
    is_int(llm_trigger_doubts(&conf, count), 0, "two errors are no rate");

    conf.kind = LLM_TRIGGER_JSON_INVALID;
    count[LLM_COUNT_JSON_INVALID] = 3;
    is_int(llm_trigger_doubts(&conf, count), 0, "nothing was JSON");
    count[LLM_COUNT_JSON_CHECKED] = 10;
    is_int(llm_trigger_doubts(&conf, count), 1, "bad JSON");

    conf.kind = LLM_TRIGGER_P95_RISE;
    is_int(llm_trigger_doubts(&conf, count), 0, "times are compared");
}


int
main(void)
{
    test_words();
    test_pace();
    test_errors();
    test_sure();
    test_fast_burn();
    test_json();
    test_excess();
    test_cost();
    test_p95();
    test_rise();
    test_hold();
    test_doubts();

    return tap_done();
}
