/*
 * Calendar days in a time zone, from the bytes of a TZif file (RFC 8536):
 * "the next 00:00 in America/Los_Angeles", daylight saving included.
 */

#ifndef LLM_TZ_H
#define LLM_TZ_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_TZ_TRANSITIONS  512

typedef struct {
    int64_t    at[LLM_TZ_TRANSITIONS];  /* UTC seconds, ascending */
    int32_t    offset[LLM_TZ_TRANSITIONS];
    size_t     n;
    int32_t    first_offset;            /* before at[0] */
    /* rule of the footer, for times after the last transition */
    unsigned   has_dst:1;
    int32_t    std_offset;
    int32_t    dst_offset;
    struct { uint8_t month, week, day; int32_t time; } dst_start, dst_end;
} llm_tz_t;

/* Days from 1970-01-01 to a date of the Gregorian calendar; month 1 … 12. */
int64_t llm_tz_days(int64_t year, int64_t month, int64_t day);

/* The inverse: year and month of such a day. */
void llm_tz_civil(int64_t days, int64_t *year, int64_t *month);

/* Parses the file's bytes (version 2+ data block and footer when present).
 * LLM_OK, LLM_BAD, LLM_FULL (more transitions than fit: the newest are kept,
 * so this is not returned for real zones).  UTC: llm_tz_utc(). */
llm_rc_t llm_tz_parse(llm_str_t bytes, llm_tz_t *tz);
void llm_tz_utc(llm_tz_t *tz);

/* Offset east of UTC in seconds at that moment. */
int32_t llm_tz_offset(const llm_tz_t *tz, int64_t utc_s);

typedef enum {
    LLM_TZ_MINUTE, LLM_TZ_HOUR, LLM_TZ_DAY, LLM_TZ_MONTH
} llm_tz_unit_t;

/* The calendar windows of length `unit` that contain utc_s, cut at `reset_s`
 * seconds after local midnight: first second, and first second of the next. */
void llm_tz_window(const llm_tz_t *tz, llm_tz_unit_t unit, uint32_t reset_s,
    int64_t utc_s, int64_t *start_s, int64_t *next_s);

#pragma GCC visibility pop

#endif /* LLM_TZ_H */
