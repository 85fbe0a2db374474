/*
 * The text of limits and budgets.
 */

#include "llm_hash.h"
#include "llm_json.h"
#include "llm_price.h"
#include "llm_rule.h"

#define LLM_RULE_UNITS  "mhdM"          /* by llm_tz_unit_t */


llm_rc_t
llm_rule_limit(llm_str_t s, llm_limit_t *l)
{
    size_t     i;
    uint64_t   n;
    llm_str_t  word;

    word = LLM_STR("parallel=");

    if (s.len <= word.len || memcmp(s.data, word.data, word.len) != 0) {

        if (llm_limit_parse(s, l) != LLM_OK) {
            return LLM_BAD;
        }

        if (l->unit == LLM_TZ_DAY) {
            l->clock = LLM_CLOCK_CALENDAR;
        }

        return LLM_OK;
    }

    for (n = 0, i = word.len; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return LLM_BAD;
        }

        n = n * 10 + (uint64_t) (s.data[i] - '0');

        if (n > LLM_RULE_PARALLEL_MAX) {
            return LLM_BAD;
        }
    }

    memset(l, 0, sizeof(*l));
    l->max = n;
    l->dim = LLM_DIM_PARALLEL;

    return n ? LLM_OK : LLM_BAD;
}


llm_rc_t
llm_rule_budget(llm_str_t s, llm_limit_t *l)
{
    uint64_t     nano;
    llm_str_t    tail;
    const char  *unit;

    tail = LLM_STR("usd/");

    if (s.len < tail.len + 2
        || memcmp(s.data + s.len - tail.len - 1, tail.data, tail.len) != 0
        || s.data[s.len - 1] == 0)
    {
        return LLM_BAD;
    }

    unit = strchr(LLM_RULE_UNITS, s.data[s.len - 1]);
    s.len -= tail.len + 1;

    if (unit == NULL || *unit == 'm'
        || llm_price_parse(s, &nano) != LLM_OK
        || nano == 0 || nano > LLM_MONEY_MAX)
    {
        return LLM_BAD;
    }

    memset(l, 0, sizeof(*l));
    l->max = nano;
    l->dim = LLM_DIM_MONEY;
    l->clock = LLM_CLOCK_CALENDAR;
    l->unit = (llm_tz_unit_t) (unit - LLM_RULE_UNITS);

    return LLM_OK;
}


void
llm_rule_put(llm_buf_t *out, const llm_limit_t *l)
{
    unsigned char  unit;

    switch (l->dim) {

    case LLM_DIM_PARALLEL:
        llm_buf_str(out, LLM_STR("parallel="));
        llm_json_put_uint(out, l->max);
        return;

    case LLM_DIM_MONEY:
        llm_price_put(out, l->max);
        llm_buf_str(out, LLM_STR("usd"));
        break;

    case LLM_DIM_AUDIO_MS:
        llm_json_put_uint(out, l->max / 1000);
        llm_buf_str(out, LLM_STR("s"));
        break;

    default:
        llm_json_put_uint(out, l->max);
        llm_buf_put(out, l->dim == LLM_DIM_REQUESTS ? "r"
                         : l->dim == LLM_DIM_INPUT_TOKENS ? "i"
                         : l->dim == LLM_DIM_OUTPUT_TOKENS ? "o" : "t", 1);
    }

    unit = (unsigned char) LLM_RULE_UNITS[l->unit];

    llm_buf_str(out, LLM_STR("/"));
    llm_buf_put(out, &unit, 1);
}


uint64_t
llm_rule_id(llm_str_t owner, const llm_limit_t *l)
{
    uint64_t       h;
    unsigned char  shape[3];

    shape[0] = (unsigned char) l->dim;
    shape[1] = (unsigned char) l->clock;
    shape[2] = (unsigned char) l->unit;

    h = llm_fnv64((llm_str_t) { sizeof(shape), shape }, 0);

    return llm_fnv64(owner, h);
}
