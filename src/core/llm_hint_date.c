/*
 * Points in time as providers write them: HTTP dates (RFC 9110, all three
 * forms a recipient must accept) and RFC 3339.
 */

#include "llm_hint.h"
#include "llm_tz.h"

#define LLM_HINT_LAST_SECOND  253402300799      /* of the year 9999 */

#define LLM_YEAR_MAX  9999


typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
    int                   bad;
} llm_scan_t;

typedef struct {
    int64_t  year, month, day, hour, minute, second;
} llm_civil_t;


/* Exactly `digits` decimal digits. */
static int64_t
llm_scan_number(llm_scan_t *s, int digits)
{
    int64_t  n;

    for (n = 0; digits > 0; digits--, s->p++) {

        if (s->p == s->end || *s->p < '0' || *s->p > '9') {
            s->bad = 1;
            return 0;
        }

        n = n * 10 + (*s->p - '0');
    }

    return n;
}


static void
llm_scan_text(llm_scan_t *s, llm_str_t text)
{
    if ((size_t) (s->end - s->p) < text.len
        || memcmp(s->p, text.data, text.len) != 0)
    {
        s->bad = 1;
        return;
    }

    s->p += text.len;
}


/* One of the bytes of `set`. */
static void
llm_scan_one_of(llm_scan_t *s, llm_str_t set)
{
    if (s->p == s->end || memchr(set.data, *s->p, set.len) == NULL) {
        s->bad = 1;
        return;
    }

    s->p++;
}


static int64_t
llm_scan_month(llm_scan_t *s)
{
    int64_t            m;
    static const char  names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    if (s->end - s->p >= 3) {
        for (m = 0; m < 12; m++) {
            if (memcmp(s->p, names + m * 3, 3) == 0) {
                s->p += 3;
                return m + 1;
            }
        }
    }

    s->bad = 1;

    return 1;
}


static void
llm_scan_clock(llm_scan_t *s, llm_civil_t *c)
{
    c->hour = llm_scan_number(s, 2);
    llm_scan_text(s, LLM_STR(":"));
    c->minute = llm_scan_number(s, 2);
    llm_scan_text(s, LLM_STR(":"));
    c->second = llm_scan_number(s, 2);
}


/* Seconds since the epoch; the second 60 is the first of the next minute. */
static llm_rc_t
llm_civil_seconds(const llm_civil_t *c, int64_t *seconds)
{
    int64_t               leap;
    static const uint8_t  days[] = { 31, 28, 31, 30, 31, 30,
                                     31, 31, 30, 31, 30, 31 };

    if (c->year < 1970 || c->year > LLM_YEAR_MAX
        || c->month < 1 || c->month > 12
        || c->hour > 23 || c->minute > 59 || c->second > 60)
    {
        return LLM_BAD;
    }

    leap = c->month == 2 && c->year % 4 == 0
           && (c->year % 100 != 0 || c->year % 400 == 0);

    if (c->day < 1 || c->day > days[c->month - 1] + leap) {
        return LLM_BAD;
    }

    *seconds = llm_tz_days(c->year, c->month, c->day) * 86400
               + c->hour * 3600 + c->minute * 60 + c->second;

    return LLM_OK;
}


/* "Fri, 20 Nov 2026 10:00:00 GMT", behind the comma and the space */
static void
llm_scan_imf(llm_scan_t *s, llm_civil_t *c)
{
    c->day = llm_scan_number(s, 2);
    llm_scan_text(s, LLM_STR(" "));
    c->month = llm_scan_month(s);
    llm_scan_text(s, LLM_STR(" "));
    c->year = llm_scan_number(s, 4);
    llm_scan_text(s, LLM_STR(" "));
    llm_scan_clock(s, c);
    llm_scan_text(s, LLM_STR(" GMT"));
}


/* "Friday, 20-Nov-26 10:00:00 GMT": nobody sends waits into another century,
 * so 70 … 99 belong to the last one. */
static void
llm_scan_rfc850(llm_scan_t *s, llm_civil_t *c)
{
    c->day = llm_scan_number(s, 2);
    llm_scan_text(s, LLM_STR("-"));
    c->month = llm_scan_month(s);
    llm_scan_text(s, LLM_STR("-"));
    c->year = llm_scan_number(s, 2);
    c->year += c->year >= 70 ? 1900 : 2000;
    llm_scan_text(s, LLM_STR(" "));
    llm_scan_clock(s, c);
    llm_scan_text(s, LLM_STR(" GMT"));
}


/* "Fri Nov  6 10:00:00 2026", behind the day's name */
static void
llm_scan_asctime(llm_scan_t *s, llm_civil_t *c)
{
    llm_scan_text(s, LLM_STR(" "));
    c->month = llm_scan_month(s);
    llm_scan_text(s, LLM_STR(" "));

    if (s->p < s->end && *s->p == ' ') {
        s->p++;
        c->day = llm_scan_number(s, 1);

    } else {
        c->day = llm_scan_number(s, 2);
    }

    llm_scan_text(s, LLM_STR(" "));
    llm_scan_clock(s, c);
    llm_scan_text(s, LLM_STR(" "));
    c->year = llm_scan_number(s, 4);
}


/* The length of the name of a day, 0 when there is none. */
static size_t
llm_scan_letters(const llm_scan_t *s)
{
    size_t  n;

    for (n = 0; s->p + n < s->end; n++) {
        if ((s->p[n] | 0x20) < 'a' || (s->p[n] | 0x20) > 'z') {
            break;
        }
    }

    return n;
}


llm_rc_t
llm_hint_http_date(llm_str_t text, llm_msec_t *epoch_ms)
{
    size_t       n;
    int64_t      seconds;
    llm_scan_t   s;
    llm_civil_t  c;

    if (text.len == 0) {
        return LLM_BAD;
    }

    s = (llm_scan_t) { text.data, text.data + text.len, 0 };
    n = llm_scan_letters(&s);
    s.p += n;

    if (n == 3 && s.p < s.end && *s.p == ' ') {
        llm_scan_asctime(&s, &c);

    } else {
        llm_scan_text(&s, LLM_STR(", "));

        if (n == 3) {
            llm_scan_imf(&s, &c);

        } else if (n >= 6 && n <= 9) {
            llm_scan_rfc850(&s, &c);

        } else {
            return LLM_BAD;
        }
    }

    if (s.bad || s.p != s.end || llm_civil_seconds(&c, &seconds) != LLM_OK) {
        return LLM_BAD;
    }

    *epoch_ms = (llm_msec_t) seconds * 1000;

    return LLM_OK;
}


/* ".123456" as milliseconds, what is finer cut off */
static int64_t
llm_scan_fraction(llm_scan_t *s)
{
    int64_t  ms, unit;

    if (s->p == s->end || *s->p != '.') {
        return 0;
    }

    s->p++;
    ms = llm_scan_number(s, 1) * 100;

    for (unit = 10; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        ms += (*s->p - '0') * unit;
        unit /= 10;
    }

    return ms;
}


/* "Z", "+02:00", "-0800": seconds east of UTC */
static int64_t
llm_scan_zone(llm_scan_t *s)
{
    int64_t        hour, minute;
    unsigned char  sign;

    llm_scan_one_of(s, LLM_STR("Zz+-"));

    if (s->bad || (s->p[-1] | 0x20) == 'z') {
        return 0;
    }

    sign = s->p[-1];
    hour = llm_scan_number(s, 2);

    if (s->p < s->end && *s->p == ':') {
        s->p++;
    }

    minute = llm_scan_number(s, 2);

    if (hour > 23 || minute > 59) {
        s->bad = 1;
        return 0;
    }

    return (sign == '-' ? -1 : 1) * (hour * 3600 + minute * 60);
}


llm_rc_t
llm_hint_rfc3339(llm_str_t text, llm_msec_t *epoch_ms)
{
    int64_t      ms, zone, seconds;
    llm_scan_t   s;
    llm_civil_t  c;

    if (text.len == 0) {
        return LLM_BAD;
    }

    s = (llm_scan_t) { text.data, text.data + text.len, 0 };

    c.year = llm_scan_number(&s, 4);
    llm_scan_text(&s, LLM_STR("-"));
    c.month = llm_scan_number(&s, 2);
    llm_scan_text(&s, LLM_STR("-"));
    c.day = llm_scan_number(&s, 2);
    llm_scan_one_of(&s, LLM_STR("Tt "));
    llm_scan_clock(&s, &c);
    ms = llm_scan_fraction(&s);
    zone = llm_scan_zone(&s);

    if (s.bad || s.p != s.end || llm_civil_seconds(&c, &seconds) != LLM_OK
        || seconds < zone)
    {
        return LLM_BAD;
    }

    *epoch_ms = (llm_msec_t) ((seconds - zone) * 1000 + ms);

    return LLM_OK;
}


static void
llm_hint_put_digits(llm_buf_t *out, uint64_t n, unsigned width,
    unsigned char end)
{
    unsigned       i;
    unsigned char  digits[5];

    for (i = width; i > 0; i--) {
        digits[i - 1] = (unsigned char) ('0' + n % 10);
        n /= 10;
    }

    digits[width] = end;
    llm_buf_put(out, digits, width + 1);
}


void
llm_hint_put_rfc3339(llm_buf_t *out, uint64_t seconds)
{
    int64_t  day, year, month;

    if (seconds > LLM_HINT_LAST_SECOND) {
        seconds = LLM_HINT_LAST_SECOND;
    }

    day = (int64_t) (seconds / 86400);
    seconds %= 86400;
    llm_tz_civil(day, &year, &month);
    day -= llm_tz_days(year, month, 1) - 1;

    llm_hint_put_digits(out, (uint64_t) year, 4, '-');
    llm_hint_put_digits(out, (uint64_t) month, 2, '-');
    llm_hint_put_digits(out, (uint64_t) day, 2, 'T');
    llm_hint_put_digits(out, seconds / 3600, 2, ':');
    llm_hint_put_digits(out, seconds / 60 % 60, 2, ':');
    llm_hint_put_digits(out, seconds % 60, 2, 'Z');
}
