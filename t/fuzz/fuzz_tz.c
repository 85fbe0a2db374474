/*
 * Time zone files: any bytes are refused or give a zone in which every moment
 * lies in its own windows, and the next window begins where this one ends.
 */

#include <stdlib.h>

#include "llm_tz.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
try_moment(const llm_tz_t *tz, int64_t at, uint32_t reset)
{
    int             unit;
    int64_t         start, next;
    const int64_t   most = 33 * 86400 + 60 * 3600;

    MUST(llm_tz_offset(tz, at) > -100000 && llm_tz_offset(tz, at) < 100000);

    for (unit = LLM_TZ_MINUTE; unit <= LLM_TZ_MONTH; unit++) {
        llm_tz_window(tz, (llm_tz_unit_t) unit, reset, at, &start, &next);
        MUST(start <= at && next >= start && next - start < 2 * most);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           i;
    int64_t          at;
    static llm_tz_t  tz;

    if (llm_tz_parse((llm_str_t) { size, data }, &tz) != LLM_OK) {
        return 0;
    }

    MUST(tz.n <= LLM_TZ_TRANSITIONS);

    for (i = 1; i < tz.n; i++) {
        MUST(tz.at[i] > tz.at[i - 1]);
    }

    for (i = 0; i < 40; i++) {
        at = 1795168800 + (int64_t) i * 9 * 86400 + (int64_t) i * 3571;
        try_moment(&tz, at, (uint32_t) (i * 2237 % 86400));
    }

    for (i = tz.n > 8 ? tz.n - 8 : 0; i < tz.n; i++) {
        if (tz.at[i] > 0 && tz.at[i] < 4102444800) {
            try_moment(&tz, tz.at[i] - 1, 0);
            try_moment(&tz, tz.at[i], 3600);
        }
    }

    return 0;
}
