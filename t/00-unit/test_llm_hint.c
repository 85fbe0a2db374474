/*
 * Wait hints in every form providers use, and in some they should not.
 */

#include "tap.h"
#include "llm_hint.h"

/* 20 November 2026 10:00:00 GMT: the date of all fixtures */
#define NOW   1795168800000ULL


static void
lasts(const char *s, llm_msec_t want)
{
    llm_msec_t  ms = 1;

    ok(llm_hint_duration(tap_c(s), &ms) == LLM_OK && ms == want, s);
    if (ms != want) {
        printf("# got %llu\n", (unsigned long long) ms);
    }
}


static void
no_duration(const char *s)
{
    llm_msec_t  ms = 1;

    ok(llm_hint_duration(tap_c(s), &ms) == LLM_BAD, s);
}


static void
test_durations(void)
{
    lasts("2m59.56s", 179560);
    lasts("7.66s", 7660);
    lasts("6m0s", 360000);
    lasts("120ms", 120);
    lasts("1h2m3.5s", 3723500);
    lasts("59.742s", 59742);
    lasts("9m38.016s", 578016);
    lasts("8m45.312s", 525312);
    lasts("37s", 37000);
    lasts("1.5s", 1500);
    lasts("20", 20000);
    lasts("0.5", 500);
    lasts(" 5 ", 5000);
    lasts("100us", 1);
    lasts("1500\xc2\xb5s", 2);
    lasts("1500\xce\xbcs", 2);
    lasts("1ns", 1);
    lasts("0s", 0);
    lasts("1d", 86400000);
    lasts("0.0000000001s", 0);
    lasts("9999999999999999999999h", (1ULL << 62) / 1000000 + 1);
    no_duration("");
    no_duration("-5");
    no_duration("-1s");
    no_duration("1.s");
    no_duration(".5s");
    no_duration("1e3");
    no_duration("NaN");
    no_duration("Infinity");
    no_duration("5 s");
    no_duration("1h30");
    no_duration("1x");
    no_duration("s");
}


static void
test_dates(void)
{
    size_t      i;
    llm_msec_t  at;

    static const char *const  good[] = {
        "Fri, 20 Nov 2026 10:00:00 GMT",
        "Friday, 20-Nov-26 10:00:00 GMT",
        "Fri Nov 20 10:00:00 2026"
    };
    static const char *const  bad[] = {
        "", "Fri", "Fri, 20 Nov 2026 10:00:00", "Fri, 31 Feb 2026 10:00:00 GMT",
        "Fri, 20 Nov 2026 25:00:00 GMT", "Fri, 20 Nov 2026 10:00:00 GMT ",
        "Fri, 20 Nov 1969 10:00:00 GMT", "Fri, 29 Feb 2100 10:00:00 GMT",
        "20 Nov 2026 10:00:00 GMT", "Fri Nov  10:00:00 2026"
    };
    static const char *const  same[] = {
        "2026-11-20T10:00:00Z", "2026-11-20t10:00:00z",
        "2026-11-20T12:00:00+02:00", "2026-11-20 02:00:00.000-0800"
    };
    static const char *const  wrong[] = {
        "", "2026-11-20", "2026-11-20T10:00:00", "2026-11-20T10:00:00.Z",
        "2026-13-20T10:00:00Z", "2026-11-31T10:00:00Z",
        "2026-11-20T10:00:00+2", "2026-11-20T10:00:00Zz"
    };

    for (i = 0; i < 3; i++) {
        ok(llm_hint_http_date(tap_c(good[i]), &at) == LLM_OK && at == NOW,
           good[i]);
    }

    ok(llm_hint_http_date(LLM_STR("Sun Nov  6 08:49:37 1994"), &at) == LLM_OK
       && at == 784111777000ULL, "asctime with one digit, RFC 9110's example");
    ok(llm_hint_http_date(LLM_STR("Thu, 29 Feb 2024 23:59:60 GMT"), &at)
       == LLM_OK && at == 1709251200000ULL, "leap day and leap second");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(llm_hint_http_date(tap_c(bad[i]), &at) == LLM_BAD, bad[i]);
    }

    for (i = 0; i < 4; i++) {
        ok(llm_hint_rfc3339(tap_c(same[i]), &at) == LLM_OK && at == NOW,
           same[i]);
    }

    ok(llm_hint_rfc3339(LLM_STR("2026-11-20T10:00:00.1239Z"), &at) == LLM_OK
       && at == NOW + 123, "fraction");

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ok(llm_hint_rfc3339(tap_c(wrong[i]), &at) == LLM_BAD, wrong[i]);
    }
}


static void
says(const char *s, llm_msec_t want)
{
    llm_msec_t  ms = 0;
    llm_rc_t    rc;

    rc = llm_hint_sentence(tap_c(s), &ms);
    ok(want ? rc == LLM_OK && ms == want : rc == LLM_BAD, s);
    if (want != ms) {
        printf("# got %llu\n", (unsigned long long) ms);
    }
}


static void
test_sentences(void)
{
    says("Limit 100000, Used 97050, Requested 3619. Please try again in "
         "9m38.016s. Need more tokens?", 578016);
    says("Please try again in 1.48s.", 1480);
    says("Please try again in 6m0s. Visit", 360000);
    says("Please retry in 36.2s.", 36200);
    says("Please retry in 9h54m3.1s.", 35643100);
    says("Please retry after 6 seconds.", 6000);
    says("Please wait 20 seconds before", 20000);
    says("please WAIT for about 2 Minutes and 5 seconds", 125000);
    says("Try again in 20.", 20000);
    says("try again in 20", 20000);
    says("Your quota will reset after 4h32m10s.", 16330000);
    says("Rate limit resets in: 500 ms", 500);
    says("{\"retryDelay\":\"17s\"}", 17000);
    says("try again in 1 hour, 2 minutes and 3 seconds", 3723000);
    says("try again in 1 day", 86400000);
    says("retry after 2026-11-20T10:00:00Z", 0);
    says("wait 3 times", 0);
    says("Please wait a moment. Try again in 3s", 3000);
    says("try again in a while", 0);
    says("waiting", 0);
    says("", 0);
    says("wait", 0);
    says("Too many requests.", 0);
}


static void
counts(const char *s, uint64_t l, uint64_t u, uint64_t r)
{
    uint64_t  limit = 0, used = 0, requested = 0;
    llm_rc_t  rc;

    rc = llm_hint_quota(tap_c(s), &limit, &used, &requested);
    ok(l ? rc == LLM_OK && limit == l && used == u && requested == r
         : rc == LLM_BAD, s);
}


static void
test_quota(void)
{
    counts("Rate limit reached for model x on tokens per day (TPD): "
           "Limit 100000, Used 97050, Requested 3619. Please",
           100000, 97050, 3619);
    counts("Rate limit reached for gpt-4.1-mini in organization org-fixture on "
           "requests per min (RPM): Limit 500, Used 500, Requested 1. Please",
           500, 500, 1);
    counts("requested: 1,100; used=7,900; LIMIT: 1,008,000", 1008000, 7900,
           1100);
    counts("Limit 8000,Used 7900,Requested 1100", 8000, 7900, 1100);
    counts("Limit: 10 / min. Current: 12 / min. Requested: 1", 10, 12, 1);
    counts("Limit: 3 / min. Please try again in 20s.", 0, 0, 0);
    counts("unlimited 5, unused 3, requested 1", 0, 0, 0);
    counts("Limit 5, Used many, Requested 1", 0, 0, 0);
    counts("", 0, 0, 0);
}


/* Feeds "name: value\n…" and returns the wait. */
static llm_msec_t
waits(const char *headers, llm_msec_t body, llm_msec_t now, llm_hint_t *h)
{
    size_t       n;
    llm_str_t    name, value;
    const char  *p, *colon;

    llm_hint_init(h);

    for (p = headers; *p; p += n + (p[n] == '\n')) {
        n = strcspn(p, "\n");
        colon = memchr(p, ':', n);
        name = (llm_str_t) { (size_t) (colon - p), (const void *) p };
        value = (llm_str_t) { (size_t) (p + n - colon - 1),
                              (const void *) (colon + 1) };
        llm_hint_header(h, name, value, now);
    }

    return llm_hint_wait(h, body, now);
}


static void
test_headers(void)
{
    llm_hint_t  h;

#define DATE  "date: Fri, 20 Nov 2026 10:00:00 GMT\n"

    is_int(waits("", 0, NOW, &h), 0, "no hint");
    is_int(waits("retry-after: 8", 0, NOW, &h), 8000, "seconds");
    is_int(waits("retry-after: 1.5", 9000, NOW, &h), 1500, "float seconds");
    is_int(waits("retry-after-ms: 1480\nretry-after: 2", 0, NOW, &h), 1480,
           "retry-after-ms wins");
    is_int(waits("retry-after: 2\nretry-after-ms: 1480.2", 0, NOW, &h), 1481,
           "in any order");
    is_int(waits("retry-after: 2\nretry-after-ms: -1", 0, NOW, &h), 2000,
           "unless it makes no sense");
    is_int(waits("retry-after-ms: 5s", 0, NOW, &h), 0, "ms have no unit");
    is_int(waits("retry-after: 0", 7000, NOW, &h), 7000, "zero is no hint");
    is_int(waits("retry-after: -3", 0, NOW, &h), 0, "negative");
    is_int(waits("retry-after: NaN", 0, NOW, &h), 0, "NaN");
    is_int(waits("retry-after: 999999999", 0, NOW, &h), LLM_HINT_MAX_MS,
           "at most 25 h");
    is_int(waits("retry-after-ms: 3", 0, NOW, &h), LLM_HINT_MIN_MS,
           "at least 50 ms");
    is_int(waits("retry-after: Fri, 20 Nov 2026 10:00:30 GMT", 0, NOW, &h),
           30000, "date");
    is_int(waits("retry-after: Fri, 20 Nov 2026 10:00:30 GMT\n" DATE, 0,
                 NOW + 3600000, &h), 30000, "by the provider's clock");
    is_int(waits("retry-after: Fri, 20 Nov 2026 09:00:30 GMT\n" DATE, 0,
                 NOW, &h), 0, "a past date");
    is_int(waits("", 30 * 3600000ULL, NOW, &h), LLM_HINT_MAX_MS,
           "the body's hint is bounded, too");

    is_int(waits("x-ratelimit-remaining-requests: 499\n"
                 "x-ratelimit-reset-requests: 2m59.56s\n"
                 "x-ratelimit-remaining-tokens: 0\n"
                 "x-ratelimit-limit-tokens: 18000\n"
                 "x-ratelimit-reset-tokens: 7.66s", 0, NOW, &h), 7660,
           "the empty bucket's reset");
    is_int(h.remaining_requests, 499, "remaining requests");
    is_int(h.remaining_tokens, 0, "remaining tokens");
    is_int(h.limit_tokens, 18000, "limit of tokens");
    ok(h.limit_requests == UINT64_MAX, "unknown stays unknown");
    is_int(h.reset_requests, 179560, "reset of requests");

    is_int(waits(DATE "anthropic-ratelimit-requests-remaining: 49\n"
                 "anthropic-ratelimit-requests-reset: 2026-11-20T10:00:01Z\n"
                 "anthropic-ratelimit-input-tokens-limit: 30000\n"
                 "anthropic-ratelimit-input-tokens-remaining: 0\n"
                 "anthropic-ratelimit-input-tokens-reset: "
                 "2026-11-20T10:00:37Z\n"
                 "anthropic-ratelimit-tokens-remaining: 38000\n"
                 "anthropic-ratelimit-tokens-reset: 2026-11-20T10:00:00Z", 0,
                 NOW + 500, &h), 37000, "Anthropic");
    is_int(h.remaining_tokens, 0, "the bucket with least left");
    is_int(h.limit_tokens, 30000, "and its limit");
    is_int(h.bucket_n, 3, "three buckets");

    is_int(waits("x-ratelimit-limit: 50\nx-ratelimit-remaining: 0\n"
                 "x-ratelimit-reset: 1795168860000", 0, NOW, &h), 60000,
           "epoch milliseconds");
    is_int(waits("ratelimit-remaining: 0\nratelimit-reset: 1795168860", 0, NOW,
                 &h), 60000, "epoch seconds");
    is_int(waits("x-ratelimit-remaining-requests: 0\n"
                 "x-ratelimit-reset-requests: 5\n"
                 "x-ratelimit-remaining-tokens-day: 0\n"
                 "x-ratelimit-reset-tokens-day: 90", 0, NOW, &h), 90000,
           "two empty buckets: the longer reset");

    waits("x-should-retry: false", 0, NOW, &h);
    is_int(h.should_retry, 2, "x-should-retry: false");
    waits("x-should-retry: true", 0, NOW, &h);
    is_int(h.should_retry, 1, "x-should-retry: true");
    waits("x-should-retry: maybe", 0, NOW, &h);
    is_int(h.should_retry, 0, "x-should-retry: something else");

    waits("x-ratelimit-limit-a: 1\nx-ratelimit-limit-b: 1\n"
          "x-ratelimit-limit-c: 1\nx-ratelimit-limit-d: 1\n"
          "x-ratelimit-limit-e: 1\nx-ratelimit-limit-f: 1\n"
          "x-ratelimit-limit-g: 1\nx-ratelimit-limit-h: 1\n"
          "x-ratelimit-limit-i: 1", 0, NOW, &h);
    is_int(h.bucket_n, LLM_HINT_BUCKETS, "no more buckets than fit");
}


/* The 429 fixtures: the head is fed line by line, the body as a sentence. */
static llm_msec_t
fixture(const char *path)
{
    size_t       i, start, colon;
    llm_str_t    f, body;
    llm_hint_t   h;
    llm_msec_t   ms;
    char         name[128];

    f = tap_fixture(path);
    llm_hint_init(&h);
    start = i = 0;

    for ( ;; ) {
        for (start = i; f.data[i] != '\r'; i++) { /* void */ }

        if (i == start) {
            break;
        }

        for (colon = start; colon < i && f.data[colon] != ':'; colon++) {
            name[colon - start] = (char) (f.data[colon] | 0x20);
        }

        if (colon < i) {
            llm_hint_header(&h, (llm_str_t) { colon - start,
                                              (unsigned char *) name },
                            (llm_str_t) { i - colon - 1, f.data + colon + 1 },
                            NOW);
        }

        i += 2;
    }

    body = (llm_str_t) { f.len - i - 2, f.data + i + 2 };
    ms = 0;
    (void) llm_hint_sentence(body, &ms);

    return llm_hint_wait(&h, ms, NOW);
}


static void
test_fixtures(void)
{
    is_int(fixture("groq/error.429.http"), 8000, "groq");
    is_int(fixture("azure/error.429.http"), 5870, "azure");
    is_int(fixture("anthropic/error.429.http"), 37000, "anthropic");
    is_int(fixture("anthropic/error.429-spend-limit.http"), 0, "spend limit");
    is_int(fixture("gemini/error.429-minute.http"), 36200, "gemini minute");
    is_int(fixture("gemini/error.429-day.http"), 35643100, "gemini day");
    is_int(fixture("gemini/error.429-plain.http"), 0, "gemini plain");
    is_int(fixture("gemini-openai/error.429-array.http"), 17000, "array");
    is_int(fixture("openai/error.429-http-date.http"), 30000, "date");
    is_int(fixture("openai/error.429-no-hint.http"), 0, "no hint");
    is_int(fixture("openai/error.429-rate-limit-requests.http"), 1480, "ms");
    is_int(fixture("openai/error.429-rate-limit-tokens.http"), 42000, "tokens");
    is_int(fixture("openrouter/error.429.http"), 11000, "openrouter");
}


/* What is left after these headers. */
static uint32_t
left(const char *headers, llm_msec_t *reset)
{
    llm_hint_t  h;

    (void) waits(headers, 0, NOW, &h);

    return llm_hint_left(&h, NOW, reset);
}


static void
test_left(void)
{
    llm_msec_t  reset;

    ok(left("x-ratelimit-remaining-requests: 5", &reset) == UINT32_MAX
       && reset == 0, "of an unknown limit: unknown");
    ok(left("server: x", &reset) == UINT32_MAX, "no bucket: unknown");

    is_int(left("x-ratelimit-limit-requests: 500\n"
                "x-ratelimit-remaining-requests: 499\n"
                "x-ratelimit-limit-tokens: 12000\n"
                "x-ratelimit-remaining-tokens: 600\n"
                "x-ratelimit-reset-tokens: 57s", &reset), 500,
           "the scarcest bucket: 5 %");
    is_int(reset, 57000, "... and its reset");

    is_int(left(DATE "anthropic-ratelimit-requests-limit: 50\n"
                "anthropic-ratelimit-requests-remaining: 49\n"
                "anthropic-ratelimit-output-tokens-limit: 8000\n"
                "anthropic-ratelimit-output-tokens-remaining: 1000\n"
                "anthropic-ratelimit-output-tokens-reset: "
                "2026-11-20T10:00:30Z", &reset), 1250, "anthropic's");
    is_int(reset, 30000, "... by its Date");

    is_int(left("x-ratelimit-limit-tokens: 0\n"
                "x-ratelimit-remaining-tokens: 0", &reset), UINT32_MAX,
           "a limit of nothing is none");
    is_int(left("x-ratelimit-limit-tokens: 100\n"
                "x-ratelimit-remaining-tokens: 200", &reset), 10000,
           "more than all is all");
    is_int(left("x-ratelimit-limit-tokens: 9223372036854775807\n"
                "x-ratelimit-remaining-tokens: 4611686018427387904", &reset),
           4999, "large numbers");
}


int
main(void)
{
    test_durations();
    test_dates();
    test_sentences();
    test_quota();
    test_headers();
    test_fixtures();
    test_left();

    return tap_done();
}
