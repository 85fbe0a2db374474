/*
 * Slots, redirections and the report of INFO.
 */

#include "llm_redis.h"


static llm_rc_t llm_redis_number(const unsigned char *p,
    const unsigned char *last, uint32_t max, uint32_t *n);


/* CRC16 as XMODEM has it: polynomial 0x1021, beginning with 0. */

static uint32_t
llm_redis_crc16(const unsigned char *p, size_t len)
{
    uint32_t  crc, i;

    crc = 0;

    while (len--) {
        crc ^= (uint32_t) *p++ << 8;

        for (i = 0; i < 8; i++) {
            crc <<= 1;

            if (crc & 0x10000) {
                crc ^= 0x11021;
            }
        }
    }

    return crc;
}


uint32_t
llm_redis_slot(llm_str_t key)
{
    size_t                len;
    const unsigned char  *open, *close;

    open = key.len ? memchr(key.data, '{', key.len) : NULL;

    if (open) {
        open++;
        len = key.len - (size_t) (open - key.data);
        close = len ? memchr(open, '}', len) : NULL;

        if (close && close > open) {
            key.data = open;
            key.len = (size_t) (close - open);
        }
    }

    return llm_redis_crc16(key.data, key.len) % LLM_REDIS_SLOTS;
}


llm_rc_t
llm_redis_redirect(llm_str_t error, llm_redis_redirect_t *to)
{
    const unsigned char  *p, *last, *space, *colon;

    p = error.data;
    last = p + error.len;

    if (error.len > 6 && memcmp(p, "MOVED ", 6) == 0) {
        to->ask = 0;
        p += 6;

    } else if (error.len > 4 && memcmp(p, "ASK ", 4) == 0) {
        to->ask = 1;
        p += 4;

    } else {
        return LLM_NONE;
    }

    space = memchr(p, ' ', (size_t) (last - p));

    if (space == NULL
        || llm_redis_number(p, space, LLM_REDIS_SLOTS - 1, &to->slot)
           != LLM_OK)
    {
        return LLM_BAD;
    }

    p = space + 1;

    /* the last colon: an address of IPv6 stands there without brackets */

    for (colon = last; colon > p && colon[-1] != ':'; colon--) {
        /* void */
    }

    if (colon == p
        || llm_redis_number(colon, last, 65535, &to->port) != LLM_OK
        || to->port == 0)
    {
        return LLM_BAD;
    }

    to->host.data = p;
    to->host.len = (size_t) (colon - p) - 1;

    return LLM_OK;
}


static llm_rc_t
llm_redis_number(const unsigned char *p, const unsigned char *last,
    uint32_t max, uint32_t *n)
{
    if (p == last || last - p > 5) {
        return LLM_BAD;
    }

    for (*n = 0; p < last; p++) {
        if (*p < '0' || *p > '9') {
            return LLM_BAD;
        }

        *n = *n * 10 + (uint32_t) (*p - '0');
    }

    return *n <= max ? LLM_OK : LLM_BAD;
}


llm_str_t
llm_redis_info(llm_str_t report, llm_str_t field)
{
    size_t                left;
    llm_str_t             value;
    const unsigned char  *p, *last, *end;

    p = report.data;
    left = report.len;
    last = p + left;

    while (left) {
        end = memchr(p, '\n', left);
        end = end ? end : last;

        if ((size_t) (end - p) > field.len && p[field.len] == ':'
            && memcmp(p, field.data, field.len) == 0)
        {
            value.data = p + field.len + 1;
            value.len = (size_t) (end - value.data);

            if (value.len && value.data[value.len - 1] == '\r') {
                value.len--;
            }

            return value;
        }

        p = end < last ? end + 1 : last;
        left = (size_t) (last - p);
    }

    return LLM_NOSTR;
}
