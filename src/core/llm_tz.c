/*
 * Time zones: reading a TZif file, offsets, and calendar windows.
 *
 * A day of 23 or 25 hours is one window like any other: windows are cut in
 * local time and turned back into UTC, never counted in seconds.
 */

#include "llm_tz.h"

#define LLM_TZ_HEADER  44
#define LLM_TZ_DAY_S   86400


typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
    unsigned char         version;
    uint32_t              isut, isstd, leap, time, type, chars;
} llm_tz_file_t;

typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
    int                   bad;
} llm_tz_scan_t;


/* Howard Hinnant's days_from_civil(). */
int64_t
llm_tz_days(int64_t year, int64_t month, int64_t day)
{
    int64_t  era, yoe, doy;

    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    yoe = year - era * 400;
    doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}


void
llm_tz_civil(int64_t days, int64_t *year, int64_t *month)
{
    int64_t  era, doe, yoe, doy, mp;

    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    doe = days - era * 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;

    *month = mp + (mp < 10 ? 3 : -9);
    *year = yoe + era * 400 + (*month <= 2);
}


static int64_t
llm_tz_floor(int64_t n, int64_t unit)
{
    return n / unit - (n % unit < 0);
}


static int64_t
llm_tz_big_endian(const unsigned char *p, unsigned width)
{
    uint64_t  n;

    for (n = 0; width > 0; width--) {
        n = n << 8 | *p++;
    }

    return (int64_t) n;
}


static int32_t
llm_tz_i32(const unsigned char *p)
{
    return (int32_t) (uint32_t) llm_tz_big_endian(p, 4);
}


/* RFC 8536: from -25 to 26 hours, both ends excluded. */
static int
llm_tz_is_offset(int32_t offset)
{
    return offset > -25 * 3600 && offset < 26 * 3600;
}


/* Reads a header; p is then at its data block. */
static llm_rc_t
llm_tz_header(llm_tz_file_t *f)
{
    if (f->end - f->p < LLM_TZ_HEADER || memcmp(f->p, "TZif", 4) != 0) {
        return LLM_BAD;
    }

    f->version = f->p[4];
    f->isut = (uint32_t) llm_tz_big_endian(f->p + 20, 4);
    f->isstd = (uint32_t) llm_tz_big_endian(f->p + 24, 4);
    f->leap = (uint32_t) llm_tz_big_endian(f->p + 28, 4);
    f->time = (uint32_t) llm_tz_big_endian(f->p + 32, 4);
    f->type = (uint32_t) llm_tz_big_endian(f->p + 36, 4);
    f->chars = (uint32_t) llm_tz_big_endian(f->p + 40, 4);
    f->p += LLM_TZ_HEADER;

    return LLM_OK;
}


/* The length of the data block with times of this width. */
static uint64_t
llm_tz_block(const llm_tz_file_t *f, unsigned width)
{
    return (uint64_t) f->time * (width + 1) + (uint64_t) f->type * 6 + f->chars
           + (uint64_t) f->leap * (width + 4) + f->isstd + f->isut;
}


static llm_rc_t
llm_tz_transitions(const llm_tz_file_t *f, unsigned width, llm_tz_t *tz)
{
    size_t                i, skip;
    int64_t               at;
    int32_t               offset;
    const unsigned char  *times, *index, *types;

    if (f->type == 0 || f->type > 256
        || llm_tz_block(f, width) > (uint64_t) (f->end - f->p))
    {
        return LLM_BAD;
    }

    times = f->p;
    index = times + (size_t) f->time * width;
    types = index + f->time;

    /* only the newest matter */
    skip = f->time > LLM_TZ_TRANSITIONS ? f->time - LLM_TZ_TRANSITIONS : 0;
    tz->n = 0;
    tz->first_offset = llm_tz_i32(types);

    for (i = 0; i < f->time; i++) {

        if (index[i] >= f->type) {
            return LLM_BAD;
        }

        at = width == 8 ? llm_tz_big_endian(times + i * 8, 8)
                        : llm_tz_i32(times + i * 4);
        offset = llm_tz_i32(types + (size_t) index[i] * 6);

        if (!llm_tz_is_offset(offset)) {
            return LLM_BAD;
        }

        if (i < skip) {
            tz->first_offset = offset;
            continue;
        }

        if (tz->n && at <= tz->at[tz->n - 1]) {
            return LLM_BAD;
        }

        tz->at[tz->n] = at;
        tz->offset[tz->n++] = offset;
    }

    return llm_tz_is_offset(tz->first_offset) ? LLM_OK : LLM_BAD;
}


/* "PST" or "<+0330>" */
static void
llm_tz_scan_name(llm_tz_scan_t *s)
{
    const unsigned char  *start;

    if (s->p < s->end && *s->p == '<') {

        while (s->p < s->end && *s->p != '>') {
            s->p++;
        }

        if (s->p == s->end) {
            s->bad = 1;
            return;
        }

        s->p++;
        return;
    }

    for (start = s->p; s->p < s->end; s->p++) {
        if ((*s->p | 0x20) < 'a' || (*s->p | 0x20) > 'z') {
            break;
        }
    }

    if (s->p - start < 3) {
        s->bad = 1;
    }
}


static int32_t
llm_tz_scan_number(llm_tz_scan_t *s, int32_t max)
{
    int32_t  n;

    if (s->p == s->end || *s->p < '0' || *s->p > '9') {
        s->bad = 1;
        return 0;
    }

    for (n = 0; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {

        n = n * 10 + (*s->p - '0');

        if (n > max) {
            s->bad = 1;
            return 0;
        }
    }

    return n;
}


/* Steps over c; 0: it is not there. */
static int
llm_tz_scan_byte(llm_tz_scan_t *s, unsigned char c)
{
    if (s->p == s->end || *s->p != c) {
        return 0;
    }

    s->p++;

    return 1;
}


/* [+-]hh[:mm[:ss]] in seconds; RFC 8536 allows up to a week. */
static int32_t
llm_tz_scan_time(llm_tz_scan_t *s)
{
    int32_t  n, sign;

    sign = 1;

    if (llm_tz_scan_byte(s, '-')) {
        sign = -1;

    } else {
        (void) llm_tz_scan_byte(s, '+');
    }

    n = llm_tz_scan_number(s, 167) * 3600;

    if (llm_tz_scan_byte(s, ':')) {
        n += llm_tz_scan_number(s, 59) * 60;

        if (llm_tz_scan_byte(s, ':')) {
            n += llm_tz_scan_number(s, 59);
        }
    }

    return sign * n;
}


/* ",M3.2.0/2"; the forms with the day of the year are used by no zone now */
static void
llm_tz_scan_rule(llm_tz_scan_t *s, uint8_t *month, uint8_t *week, uint8_t *day,
    int32_t *time)
{
    if (!llm_tz_scan_byte(s, ',') || !llm_tz_scan_byte(s, 'M')) {
        s->bad = 1;
        return;
    }

    *month = (uint8_t) llm_tz_scan_number(s, 12);
    s->bad |= !llm_tz_scan_byte(s, '.');
    *week = (uint8_t) llm_tz_scan_number(s, 5);
    s->bad |= !llm_tz_scan_byte(s, '.');
    *day = (uint8_t) llm_tz_scan_number(s, 6);
    *time = llm_tz_scan_byte(s, '/') ? llm_tz_scan_time(s) : 7200;

    s->bad |= *month == 0 || *week == 0;
}


/* "PST8PDT,M3.2.0,M11.1.0": what holds after the last transition */
static llm_rc_t
llm_tz_footer(llm_str_t text, llm_tz_t *tz)
{
    llm_tz_scan_t  s;

    s = (llm_tz_scan_t) { text.data, text.data + text.len, 0 };

    llm_tz_scan_name(&s);
    tz->std_offset = -llm_tz_scan_time(&s);
    tz->dst_offset = tz->std_offset;
    tz->has_dst = 0;

    if (!s.bad && s.p < s.end) {
        llm_tz_scan_name(&s);

        tz->dst_offset = tz->std_offset + 3600;

        if (s.p < s.end && *s.p != ',') {
            tz->dst_offset = -llm_tz_scan_time(&s);
        }

        llm_tz_scan_rule(&s, &tz->dst_start.month, &tz->dst_start.week,
                         &tz->dst_start.day, &tz->dst_start.time);
        llm_tz_scan_rule(&s, &tz->dst_end.month, &tz->dst_end.week,
                         &tz->dst_end.day, &tz->dst_end.time);
        tz->has_dst = 1;
    }

    if (s.bad || s.p != s.end || !llm_tz_is_offset(tz->std_offset)
        || !llm_tz_is_offset(tz->dst_offset))
    {
        return LLM_BAD;
    }

    return LLM_OK;
}


void
llm_tz_utc(llm_tz_t *tz)
{
    memset(tz, 0, sizeof(*tz));
}


/* Moves to the version 2+ block when there is one; *width is that of times. */
static llm_rc_t
llm_tz_newest_block(llm_tz_file_t *f, unsigned *width)
{
    uint64_t  n;

    *width = 4;

    if (llm_tz_header(f) != LLM_OK) {
        return LLM_BAD;
    }

    if (f->version < '2') {
        return LLM_OK;
    }

    n = llm_tz_block(f, 4);

    if (n > (uint64_t) (f->end - f->p)) {
        return LLM_BAD;
    }

    f->p += n;
    *width = 8;

    return llm_tz_header(f);
}


llm_rc_t
llm_tz_parse(llm_str_t bytes, llm_tz_t *tz)
{
    unsigned              width;
    llm_str_t             footer;
    llm_tz_file_t         f;
    const unsigned char  *p;

    if (bytes.len == 0) {
        return LLM_BAD;
    }

    f.p = bytes.data;
    f.end = bytes.data + bytes.len;

    llm_tz_utc(tz);

    if (llm_tz_newest_block(&f, &width) != LLM_OK
        || llm_tz_transitions(&f, width, tz) != LLM_OK)
    {
        return LLM_BAD;
    }

    /* without a footer the last offset holds for ever */
    tz->std_offset = tz->n ? tz->offset[tz->n - 1] : tz->first_offset;

    if (width == 4) {
        return LLM_OK;
    }

    p = f.p + llm_tz_block(&f, 8);

    if (f.end - p < 2 || *p != '\n') {
        return LLM_BAD;
    }

    footer.data = p + 1;
    p = memchr(footer.data, '\n', (size_t) (f.end - footer.data));

    if (p == NULL) {
        return LLM_BAD;
    }

    footer.len = (size_t) (p - footer.data);

    return footer.len ? llm_tz_footer(footer, tz) : LLM_OK;
}


/* The day "week.day of month": days since the epoch. */
static int64_t
llm_tz_rule_day(int64_t year, uint8_t month, uint8_t week, uint8_t day)
{
    int64_t  first, next, at;

    first = llm_tz_days(year, month, 1);
    next = month == 12 ? llm_tz_days(year + 1, 1, 1)
                       : llm_tz_days(year, month + 1, 1);

    /* 1970-01-01 was a Thursday */
    at = first + (day - (first + 4) % 7 + 7) % 7 + (week - 1) * 7;

    return at < next ? at : at - 7;
}


/* The rule of the footer.  Years before 1970 never get here with one. */
static int32_t
llm_tz_rule_offset(const llm_tz_t *tz, int64_t utc_s)
{
    int      dst;
    int64_t  year, month, start, end;

    if (!tz->has_dst) {
        return tz->std_offset;
    }

    llm_tz_civil(llm_tz_floor(utc_s + tz->std_offset, LLM_TZ_DAY_S), &year,
                 &month);

    start = llm_tz_rule_day(year, tz->dst_start.month, tz->dst_start.week,
                            tz->dst_start.day) * LLM_TZ_DAY_S
            + tz->dst_start.time - tz->std_offset;
    end = llm_tz_rule_day(year, tz->dst_end.month, tz->dst_end.week,
                          tz->dst_end.day) * LLM_TZ_DAY_S
          + tz->dst_end.time - tz->dst_offset;

    /* in the south summer spans the turn of the year */
    dst = start < end ? utc_s >= start && utc_s < end
                      : utc_s >= start || utc_s < end;

    return dst ? tz->dst_offset : tz->std_offset;
}


int32_t
llm_tz_offset(const llm_tz_t *tz, int64_t utc_s)
{
    size_t  low, high, mid;

    if (tz->n == 0 || utc_s >= tz->at[tz->n - 1]) {
        return llm_tz_rule_offset(tz, utc_s);
    }

    if (utc_s < tz->at[0]) {
        return tz->first_offset;
    }

    low = 0;
    high = tz->n - 1;

    while (high - low > 1) {
        mid = low + (high - low) / 2;

        if (utc_s < tz->at[mid]) {
            high = mid;

        } else {
            low = mid;
        }
    }

    return tz->offset[low];
}


/*
 * The first moment at which local clocks show `local` or later.  Where the
 * clock jumps over it that is the jump; where it shows it twice, the first.
 */
static int64_t
llm_tz_first_utc(const llm_tz_t *tz, int64_t local)
{
    int64_t  low, high, mid;

    /* local time is within two days of UTC, and an offset lasts longer */
    low = local - llm_tz_offset(tz, local - LLM_TZ_DAY_S);
    high = local - llm_tz_offset(tz, local + LLM_TZ_DAY_S);

    if (low > high) {
        mid = low;
        low = high;
        high = mid;
    }

    if (low + llm_tz_offset(tz, low) >= local) {
        return low;
    }

    /* between the two candidates lies at most one jump: halve until there */
    while (high - low > 1) {
        mid = low + (high - low) / 2;

        if (mid + llm_tz_offset(tz, mid) >= local) {
            high = mid;

        } else {
            low = mid;
        }
    }

    return high;
}


/* Local second at which window number n begins, counted from 1970. */
static int64_t
llm_tz_window_start(llm_tz_unit_t unit, uint32_t reset_s, int64_t n)
{
    if (unit == LLM_TZ_MONTH) {
        n = llm_tz_days(1970 + llm_tz_floor(n, 12),
                        n - llm_tz_floor(n, 12) * 12 + 1, 1);
    }

    return n * LLM_TZ_DAY_S + reset_s;
}


void
llm_tz_window(const llm_tz_t *tz, llm_tz_unit_t unit, uint32_t reset_s,
    int64_t utc_s, int64_t *start_s, int64_t *next_s)
{
    int64_t  n, local, length, year, month;

    local = utc_s + llm_tz_offset(tz, utc_s) - reset_s;

    /* these are counted with the offset of the moment: nobody can tell what
     * an hourly quota does in the hour in which a clock changes */
    if (unit == LLM_TZ_MINUTE || unit == LLM_TZ_HOUR) {
        length = unit == LLM_TZ_MINUTE ? 60 : 3600;
        *start_s = utc_s - (local - llm_tz_floor(local, length) * length);
        *next_s = *start_s + length;
        return;
    }

    n = llm_tz_floor(local, LLM_TZ_DAY_S);

    if (unit == LLM_TZ_MONTH) {
        llm_tz_civil(n, &year, &month);
        n = (year - 1970) * 12 + month - 1;
    }

    /* an hour that is shown twice around the reset: the first one counts */
    n++;

    do {
        *start_s = llm_tz_first_utc(tz, llm_tz_window_start(unit, reset_s, n));
    } while (*start_s > utc_s && n-- > INT32_MIN);

    *next_s = llm_tz_first_utc(tz, llm_tz_window_start(unit, reset_s, n + 1));
}
