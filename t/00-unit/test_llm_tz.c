/*
 * Time zones: offsets against the C library's, windows against a clock that is
 * stepped through, second by second where it matters.
 */

#include <time.h>

#include "tap.h"
#include "zone.h"

#define DAY  86400


static const char *const  zones[] = {
    "America/Los_Angeles", "America/New_York", "Europe/Berlin", "Europe/London",
    "Europe/Dublin", "Asia/Kolkata", "Asia/Tehran", "Asia/Tokyo", "Asia/Gaza",
    "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Apia",
    "Pacific/Chatham", "Africa/Casablanca", "America/Sao_Paulo",
    "America/Nuuk", "Antarctica/Troll", "America/St_Johns", "Africa/Monrovia",
    "Pacific/Kwajalein", "Asia/Kathmandu", "UTC", "Etc/GMT+12"
};


static int64_t
utc(int year, int month, int day, int hour, int minute)
{
    return llm_tz_days(year, month, day) * DAY + hour * 3600 + minute * 60;
}


static void
test_days(void)
{
    int        bad;
    time_t     t;
    struct tm  tm;

    is_int(llm_tz_days(1970, 1, 1), 0, "the epoch");
    is_int(llm_tz_days(2000, 3, 1), 11017, "behind a leap day");
    is_int(llm_tz_days(1969, 12, 31), -1, "before");

    for (bad = 0, t = -4000LL * DAY; t < 60000LL * DAY; t += DAY) {
        gmtime_r(&t, &tm);
        bad += llm_tz_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday)
               != t / DAY;
    }

    is_int(bad, 0, "every day until 2134");
}


/* 1970 … 2100 in steps that hit every hour of the day. */
static void
test_offsets(void)
{
    int              bad;
    char             tz_name[128];
    size_t           i;
    time_t           t;
    struct tm        tm;
    const llm_tz_t  *tz;

    for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        tz = zone(zones[i]);
        snprintf(tz_name, sizeof(tz_name), ":%s", zones[i]);
        setenv("TZ", tz_name, 1);
        tzset();

        for (bad = 0, t = 0; t < 47482LL * DAY; t += 17 * 3600 + 59) {
            localtime_r(&t, &tm);
            bad += tm.tm_gmtoff != llm_tz_offset(tz, t);
        }

        is_int(bad, 0, zones[i]);
    }

    setenv("TZ", "UTC", 1);
    tzset();
}


/*
 * A window by definition: local midnight plus reset is reached, for the first
 * time, at its start and at its end, and nowhere in between.  The stepping
 * clock stops every five minutes for a year.
 */
static int
bad_windows(const llm_tz_t *tz, uint32_t reset, int64_t from, int64_t to)
{
    int      bad;
    int64_t  t, start, next, local, day, seen, expect;

    bad = 0;
    seen = INT64_MIN;
    expect = 0;

    for (t = from; t < to; t += 300) {
        local = t + llm_tz_offset(tz, t) - reset;
        day = local >= 0 ? local / DAY : (local - DAY + 1) / DAY;

        /* a day that was reached stays reached when the clock goes back */
        if (day > seen) {
            seen = day;
            expect = t;
        }

        llm_tz_window(tz, LLM_TZ_DAY, reset, t, &start, &next);

        bad += start > t || next <= t;

        if (expect != from) {
            bad += start != expect;
        }
    }

    return bad;
}


static void
test_windows(void)
{
    size_t           i, r;
    const llm_tz_t  *tz;

    static const uint32_t  resets[] = { 0, 3600, 5400, 9000, 10800, 82800 };

    for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        tz = zone(zones[i]);

        for (r = 0; r < sizeof(resets) / sizeof(resets[0]); r++) {
            is_int(bad_windows(tz, resets[r], utc(2026, 1, 1, 0, 0),
                               utc(2027, 1, 3, 0, 0)), 0, zones[i]);
        }
    }

    /* a whole day that never was: 30 December 2011 in Samoa */
    is_int(bad_windows(zone("Pacific/Apia"), 0, utc(2011, 12, 20, 0, 0),
                       utc(2012, 1, 10, 0, 0)), 0, "Samoa");
}


static void
day_is(const llm_tz_t *tz, int64_t at, int64_t start, int64_t next,
    const char *name)
{
    int64_t  s, n;

    llm_tz_window(tz, LLM_TZ_DAY, 0, at, &s, &n);
    is_int(s, start, name);
    is_int(n, next, name);
}


static void
test_pacific(void)
{
    int64_t          s, n;
    const llm_tz_t  *tz;

    tz = zone("America/Los_Angeles");

    day_is(tz, utc(2026, 11, 20, 10, 0), utc(2026, 11, 20, 8, 0),
           utc(2026, 11, 21, 8, 0), "an ordinary winter day");
    day_is(tz, utc(2026, 11, 20, 7, 59), utc(2026, 11, 19, 8, 0),
           utc(2026, 11, 20, 8, 0), "the minute before it");
    day_is(tz, utc(2026, 3, 8, 12, 0), utc(2026, 3, 8, 8, 0),
           utc(2026, 3, 9, 7, 0), "the day of 23 hours");
    day_is(tz, utc(2026, 11, 1, 12, 0), utc(2026, 11, 1, 7, 0),
           utc(2026, 11, 2, 8, 0), "the day of 25 hours");
    day_is(tz, utc(2055, 3, 14, 12, 0), utc(2055, 3, 14, 8, 0),
           utc(2055, 3, 15, 7, 0), "the same by the rule of the footer");

    llm_tz_window(tz, LLM_TZ_DAY, 9000, utc(2026, 3, 8, 12, 0), &s, &n);
    is_int(s, utc(2026, 3, 8, 10, 0), "02:30 is skipped: when it would be");
    llm_tz_window(tz, LLM_TZ_DAY, 5400, utc(2026, 11, 1, 9, 10), &s, &n);
    is_int(s, utc(2026, 11, 1, 8, 30), "01:30 comes twice: the first one");

    llm_tz_window(tz, LLM_TZ_MONTH, 0, utc(2026, 11, 20, 10, 0), &s, &n);
    is_int(s, utc(2026, 11, 1, 7, 0), "a month begins in summer time");
    is_int(n, utc(2026, 12, 1, 8, 0), "and ends in winter time");
    llm_tz_window(tz, LLM_TZ_MONTH, 3600, utc(2026, 12, 1, 8, 30), &s, &n);
    is_int(s, utc(2026, 11, 1, 8, 0), "before the reset: last month");
    llm_tz_window(tz, LLM_TZ_MONTH, 0, utc(2026, 12, 31, 10, 0), &s, &n);
    is_int(n, utc(2027, 1, 1, 8, 0), "over the turn of the year");

    llm_tz_window(tz, LLM_TZ_HOUR, 0, utc(2026, 11, 20, 10, 59), &s, &n);
    ok(s == utc(2026, 11, 20, 10, 0) && n == s + 3600, "an hour");
    llm_tz_window(zone("Asia/Kolkata"), LLM_TZ_HOUR, 0,
                  utc(2026, 11, 20, 10, 29), &s, &n);
    ok(s == utc(2026, 11, 20, 9, 30) && n == s + 3600, "an hour in India");
    llm_tz_window(tz, LLM_TZ_MINUTE, 30, utc(2026, 11, 20, 10, 59) + 31, &s,
                  &n);
    ok(s == utc(2026, 11, 20, 10, 59) + 30 && n == s + 60, "a minute");
}


static void
test_utc(void)
{
    int64_t   s, n;
    llm_tz_t  tz;

    llm_tz_utc(&tz);
    is_int(llm_tz_offset(&tz, 1795168800), 0, "UTC");
    llm_tz_window(&tz, LLM_TZ_DAY, 3600, utc(2026, 11, 20, 0, 30), &s, &n);
    ok(s == utc(2026, 11, 19, 1, 0) && n == utc(2026, 11, 20, 1, 0), "a day");
}


/* Whatever is cut off or changed: refused or harmless, never read behind. */
static void
test_damaged(void)
{
    size_t          i;
    int             bad;
    int64_t         s, n;
    llm_tz_t        tz;
    llm_str_t       whole, cut;
    unsigned char  *mem;

    whole = zone_bytes("America/Los_Angeles");
    bad = 0;

    for (i = 0; i < whole.len; i++) {
        mem = malloc(i + (i == 0));
        memcpy(mem, whole.data, i);
        cut = (llm_str_t) { i, mem };
        bad += llm_tz_parse(cut, &tz) == LLM_OK;
        free(mem);
    }

    is_int(bad, 0, "no prefix is a zone");

    mem = malloc(whole.len);

    for (i = 0; i < whole.len; i++) {
        memcpy(mem, whole.data, whole.len);
        mem[i] ^= 0xff;
        cut = (llm_str_t) { whole.len, mem };

        if (llm_tz_parse(cut, &tz) == LLM_OK) {
            llm_tz_window(&tz, LLM_TZ_DAY, 0, 1795168800, &s, &n);
            bad += s > 1795168800 || n < 1795168800;
        }
    }

    is_int(bad, 0, "one byte changed: still a window around now");
    free(mem);

    ok(llm_tz_parse(LLM_STR("TZif"), &tz) == LLM_BAD, "short");
    ok(llm_tz_parse(LLM_NOSTR, &tz) == LLM_BAD, "empty");
}


int
main(void)
{
    test_days();
    test_offsets();
    test_windows();
    test_pacific();
    test_utc();
    test_damaged();

    return tap_done();
}
