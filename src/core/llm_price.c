/*
 * Usage and money in integers: no cost is ever a float.
 *
 * Prices may be as small as one nano-dollar per million tokens, so a sum is
 * made over all parts before it is divided; 128 bits hold it without a check
 * at every step.
 */

#include "llm_price.h"

__extension__ typedef unsigned __int128  llm_u128_t;

#define LLM_NANO          1000000000ULL
#define LLM_PART_MAX      (1ULL << 60)

/* one million tokens and 60 000 ms of audio, brought to one denominator */
#define LLM_UNIT          3000000U
#define LLM_TOKEN         3
#define LLM_AUDIO_MS      50


void
llm_usage_init(llm_usage_t *u)
{
    u->input = LLM_UNKNOWN;
    u->cached = LLM_UNKNOWN;
    u->output = LLM_UNKNOWN;
    u->reasoning = LLM_UNKNOWN;
    u->audio_ms = LLM_UNKNOWN;
    u->cost_nano = LLM_UNKNOWN;
}


static void
llm_usage_keep(uint64_t *into, uint64_t from)
{
    if (from != LLM_UNKNOWN) {
        *into = from;
    }
}


void
llm_usage_merge(llm_usage_t *into, const llm_usage_t *from)
{
    llm_usage_keep(&into->input, from->input);
    llm_usage_keep(&into->cached, from->cached);
    llm_usage_keep(&into->output, from->output);
    llm_usage_keep(&into->reasoning, from->reasoning);
    llm_usage_keep(&into->audio_ms, from->audio_ms);
    llm_usage_keep(&into->cost_nano, from->cost_nano);
}


/*
 * n * price, or nothing when one of them is unknown; *used says which.  Both
 * are cut at 2^60, which no bill reaches, so that sums of a few parts and their
 * common denominator stay within 128 bits whatever a provider reports.
 */
static llm_u128_t
llm_price_part(uint64_t n, uint64_t price, int *used)
{
    if (n == LLM_UNKNOWN || price == LLM_UNKNOWN) {
        return 0;
    }

    *used = 1;

    n = n < LLM_PART_MAX ? n : LLM_PART_MAX;
    price = price < LLM_PART_MAX ? price : LLM_PART_MAX;

    return (llm_u128_t) n * price;
}


uint64_t
llm_price_cost(const llm_price_t *p, const llm_usage_t *u)
{
    int         used;
    uint64_t    cached, cached_price;
    llm_u128_t  tokens, audio, nano;

    /* the provider's own bill beats our arithmetic */
    if (u->cost_nano != LLM_UNKNOWN) {
        return u->cost_nano;
    }

    if (!p->known) {
        return LLM_UNKNOWN;
    }

    used = 0;
    cached = 0;
    cached_price = p->cached != LLM_UNKNOWN ? p->cached : p->input;

    if (u->input != LLM_UNKNOWN && u->cached != LLM_UNKNOWN) {
        cached = u->cached < u->input ? u->cached : u->input;
    }

    tokens = llm_price_part(u->input == LLM_UNKNOWN ? LLM_UNKNOWN
                                                    : u->input - cached,
                            p->input, &used)
             + (cached ? llm_price_part(cached, cached_price, &used) : 0)
             + llm_price_part(u->output, p->output, &used);

    audio = llm_price_part(u->audio_ms, p->audio, &used);

    if (!used) {
        return LLM_UNKNOWN;
    }

    nano = tokens * LLM_TOKEN + audio * LLM_AUDIO_MS;
    nano = (nano + LLM_UNIT / 2) / LLM_UNIT;

    return nano >= LLM_UNKNOWN ? LLM_UNKNOWN - 1 : (uint64_t) nano;
}


llm_rc_t
llm_price_parse(llm_str_t s, uint64_t *nano)
{
    size_t    i, digits;
    uint64_t  n, scale, d;

    n = 0;
    digits = 0;

    for (i = 0; i < s.len && s.data[i] >= '0' && s.data[i] <= '9'; i++) {
        d = (uint64_t) (s.data[i] - '0');
        digits++;

        n = n * 10 + d * LLM_NANO;

        if (n > UINT64_MAX / 20) {      /* above 900 million dollars */
            return LLM_BAD;
        }
    }

    if (i < s.len && s.data[i] == '.') {
        i++;

        for (scale = LLM_NANO / 10;
             i < s.len && s.data[i] >= '0' && s.data[i] <= '9';
             i++, scale /= 10)
        {
            d = (uint64_t) (s.data[i] - '0');
            digits++;

            if (scale == 0 && d != 0) {
                return LLM_BAD;         /* finer than a nano-dollar */
            }

            n += d * scale;
        }
    }

    if (digits == 0 || i != s.len) {
        return LLM_BAD;
    }

    *nano = n;

    return LLM_OK;
}


void
llm_price_put(llm_buf_t *out, uint64_t nano)
{
    size_t         n;
    uint64_t       whole, part;
    unsigned char  buf[32], *p;

    whole = nano / LLM_NANO;
    part = nano % LLM_NANO;

    p = buf + sizeof(buf);

    for (n = 0; n < 9; n++, part /= 10) {
        if (part % 10 != 0 || p != buf + sizeof(buf)) {
            *--p = (unsigned char) ('0' + part % 10);
        }
    }

    if (p != buf + sizeof(buf)) {
        *--p = '.';
    }

    do {
        *--p = (unsigned char) ('0' + whole % 10);
        whole /= 10;
    } while (whole);

    llm_buf_put(out, p, (size_t) (buf + sizeof(buf) - p));
}
