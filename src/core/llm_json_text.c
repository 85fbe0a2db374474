/*
 * JSON as text: strings and numbers, in and out.
 */

#include "llm_bytes.h"
#include "llm_json.h"

#define LLM_JSON_REPLACEMENT  0xfffd
#define LLM_JSON_EXPONENT     1000000000000
#define LLM_JSON_DIGITS       19        /* so many never overflow 64 bits */


static unsigned
llm_json_hex(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10u : 16;
}


/* The four digits of a \u escape at p, or -1. */
static int32_t
llm_json_unit(const unsigned char *p, const unsigned char *end)
{
    unsigned  i, d, unit;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }

    unit = 0;

    for (i = 2; i < 6; i++) {
        d = llm_json_hex(p[i]);
        if (d == 16) {
            return -1;
        }
        unit = unit << 4 | d;
    }

    return (int32_t) unit;
}


static size_t
llm_json_utf8(uint32_t c, unsigned char *out)
{
    if (c < 0x80) {
        out[0] = (unsigned char) c;
        return 1;
    }

    if (c < 0x800) {
        out[0] = (unsigned char) (0xc0 | c >> 6);
        out[1] = (unsigned char) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        out[0] = (unsigned char) (0xe0 | c >> 12);
        out[1] = (unsigned char) (0x80 | (c >> 6 & 0x3f));
        out[2] = (unsigned char) (0x80 | (c & 0x3f));
        return 3;
    }

    out[0] = (unsigned char) (0xf0 | c >> 18);
    out[1] = (unsigned char) (0x80 | (c >> 12 & 0x3f));
    out[2] = (unsigned char) (0x80 | (c >> 6 & 0x3f));
    out[3] = (unsigned char) (0x80 | (c & 0x3f));

    return 4;
}


/*
 * Decodes the escape at p into out[4].  Returns the place behind it, and *n
 * bytes; or NULL when it is none.
 */
static const unsigned char *
llm_json_decode(const unsigned char *p, const unsigned char *end,
    unsigned char *out, size_t *n)
{
    int32_t               high, low;
    uint32_t              c;
    const unsigned char  *at;

    static const char  from[] = "\"\\/bfnrt";
    static const char  to[] = "\"\\/\b\f\n\r\t";

    if (end - p < 2) {
        return NULL;
    }

    at = memchr(from, p[1], sizeof(from) - 1);
    if (at) {
        *out = (unsigned char) to[at - (const unsigned char *) from];
        *n = 1;
        return p + 2;
    }

    high = llm_json_unit(p, end);
    if (high < 0) {
        return NULL;
    }

    p += 6;
    c = (uint32_t) high;

    if (high >= 0xd800 && high <= 0xdfff) {
        low = high <= 0xdbff ? llm_json_unit(p, end) : -1;

        if (low >= 0xdc00 && low <= 0xdfff) {
            c = 0x10000 + ((uint32_t) (high - 0xd800) << 10)
                + (uint32_t) (low - 0xdc00);
            p += 6;

        } else {
            c = LLM_JSON_REPLACEMENT;
        }
    }

    *n = llm_json_utf8(c, out);

    return p;
}


int
llm_json_key_is(llm_str_t raw_key, llm_str_t name)
{
    size_t                n, name_n;
    unsigned char         out[4];
    const unsigned char  *p, *end, *q;

    if (raw_key.len <= name.len) {
        /* what has escapes is longer than its text */
        return llm_str_eq(raw_key, name)
               && (name.len == 0 || memchr(name.data, '\\', name.len) == NULL);
    }

    p = raw_key.data;
    end = p + raw_key.len;
    q = name.data;
    name_n = name.len;

    while (p < end) {

        if (*p == '\\') {
            p = llm_json_decode(p, end, out, &n);
            if (p == NULL) {
                return 0;
            }

        } else {
            out[0] = *p++;
            n = 1;
        }

        if (n > name_n || memcmp(q, out, n) != 0) {
            return 0;
        }

        q += n;
        name_n -= n;
    }

    return name_n == 0;
}


llm_rc_t
llm_json_unescape(llm_str_t raw, llm_buf_t *out)
{
    size_t                n;
    unsigned char         decoded[4], *start;
    const unsigned char  *p, *q, *end;

    if (raw.len < 2 || raw.data[0] != '"' || raw.data[raw.len - 1] != '"') {
        return LLM_BAD;
    }

    start = out->pos;
    p = raw.data + 1;
    end = raw.data + raw.len - 1;

    while (p < end) {
        q = llm_bytes_find(p, end, LLM_BYTES_STRING);
        llm_buf_put(out, p, (size_t) (q - p));
        p = q;

        if (p == end) {
            break;
        }

        p = *p == '\\' ? llm_json_decode(p, end, decoded, &n) : NULL;
        if (p == NULL) {
            out->pos = start;
            return LLM_BAD;
        }

        llm_buf_put(out, decoded, n);
    }

    if (out->full) {
        out->pos = start;
        return LLM_FULL;
    }

    return LLM_OK;
}


/*
 * How long the UTF-8 sequence at p is, or 0 when there is none; then *bad is
 * how many bytes to replace together.  p is at a byte >= 0x80.
 */
static size_t
llm_json_sequence(const unsigned char *p, const unsigned char *end,
    size_t *bad)
{
    size_t         n, i;
    unsigned char  low, high;

    *bad = 1;
    low = 0x80;
    high = 0xbf;

    if (*p >= 0xc2 && *p <= 0xdf) {
        n = 2;

    } else if ((*p & 0xf0) == 0xe0) {
        n = 3;
        low = *p == 0xe0 ? 0xa0 : 0x80;     /* overlong */
        high = *p == 0xed ? 0x9f : 0xbf;    /* surrogates */

    } else if (*p >= 0xf0 && *p <= 0xf4) {
        n = 4;
        low = *p == 0xf0 ? 0x90 : 0x80;     /* overlong */
        high = *p == 0xf4 ? 0x8f : 0xbf;    /* behind U+10FFFF */

    } else {
        return 0;
    }

    for (i = 1; i < n; i++) {
        if (p + i == end || p[i] < low || p[i] > high) {
            *bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }

    return n;
}


static void
llm_json_put_byte(llm_buf_t *out, unsigned char c)
{
    const char           *short_form;
    unsigned char         escape[6];

    static const char  from[] = "\"\\\b\f\n\r\t";
    static const char  to[] = "\"\\bfnrt";
    static const char  hex[] = "0123456789abcdef";

    escape[0] = '\\';

    short_form = memchr(from, c, sizeof(from) - 1);
    if (short_form) {
        escape[1] = (unsigned char) to[short_form - from];
        llm_buf_put(out, escape, 2);
        return;
    }

    memcpy(escape + 1, "u00", 3);
    escape[4] = (unsigned char) hex[c >> 4];
    escape[5] = (unsigned char) hex[c & 15];

    llm_buf_put(out, escape, 6);
}


void
llm_json_put_escaped(llm_buf_t *out, llm_str_t s)
{
    size_t                n, bad;
    const unsigned char  *p, *start, *end;

    if (s.len == 0) {
        return;
    }

    p = start = s.data;
    end = p + s.len;

    for ( ;; ) {
        p = llm_bytes_find(p, end, LLM_BYTES_WRITE);
        if (p == end) {
            break;
        }

        bad = 1;
        n = 0;

        while (p < end && *p >= 0x80) {
            n = llm_json_sequence(p, end, &bad);
            if (n == 0) {
                break;
            }
            p += n;
        }

        if (n) {
            continue;
        }

        llm_buf_put(out, start, (size_t) (p - start));

        if (*p >= 0x80) {
            llm_buf_put(out, "\xef\xbf\xbd", 3);
        } else {
            llm_json_put_byte(out, *p);
        }

        p += bad;
        start = p;
    }

    llm_buf_put(out, start, (size_t) (end - start));
}


void
llm_json_put_string(llm_buf_t *out, llm_str_t s)
{
    llm_buf_put(out, "\"", 1);
    llm_json_put_escaped(out, s);
    llm_buf_put(out, "\"", 1);
}


void
llm_json_put_uint(llm_buf_t *out, uint64_t n)
{
    unsigned char  text[20], *p;

    p = text + sizeof(text);

    do {
        *--p = (unsigned char) ('0' + n % 10);
        n /= 10;
    } while (n);

    llm_buf_put(out, p, (size_t) (text + sizeof(text) - p));
}


static const unsigned char *
llm_json_digits(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


/* The part of a number from its e on. */
static llm_rc_t
llm_json_exponent(const unsigned char *p, const unsigned char *end,
    int64_t *exponent)
{
    int      negative;
    int64_t  e;

    p++;
    negative = 0;

    if (p < end && (*p == '+' || *p == '-')) {
        negative = *p++ == '-';
    }

    if (p == end) {
        return LLM_AGAIN;
    }

    if (llm_json_digits(p, end) != end) {
        return LLM_BAD;
    }

    for (e = 0; p < end; p++) {
        e = e * 10 + (*p - '0');
        if (e > LLM_JSON_EXPONENT) {
            e = LLM_JSON_EXPONENT;
        }
    }

    *exponent = negative ? -e : e;

    return LLM_OK;
}


llm_rc_t
llm_json_number(llm_str_t text, llm_json_number_t *n)
{
    llm_rc_t              rc;
    llm_json_number_t     number;
    const unsigned char  *p, *start, *end;

    if (text.len == 0) {
        return LLM_AGAIN;
    }

    start = text.data;
    end = start + text.len;

    number.negative = *start == '-';
    number.exponent = 0;

    start += number.negative;
    if (start == end) {
        return LLM_AGAIN;
    }

    p = llm_json_digits(start, end);
    number.int_n = (size_t) (p - start);

    if (p == start || (number.int_n > 1 && *start == '0')) {
        return LLM_BAD;
    }

    if (p < end && *p == '.') {
        p++;
        if (p == end) {
            return LLM_AGAIN;
        }
        if (*p < '0' || *p > '9') {
            return LLM_BAD;
        }
        p = llm_json_digits(p, end);
    }

    number.digits.len = (size_t) (p - start);
    number.digits.data = start;

    if (p < end) {
        rc = (*p | 0x20) == 'e' ? llm_json_exponent(p, end, &number.exponent)
                                : LLM_BAD;
        if (rc != LLM_OK) {
            return rc;
        }
    }

    *n = number;

    return LLM_OK;
}


/*
 * The first `places` digits as an integer, zeros added or the rest cut; *next
 * is the digit behind them.  Too large is UINT64_MAX.
 */
static uint64_t
llm_json_places(llm_str_t digits, int64_t places, unsigned *next)
{
    size_t    i;
    unsigned  d;
    uint64_t  n;

    n = 0;
    *next = 0;

    for (i = 0; i < digits.len || (n && places > 0); i++) {

        d = 0;

        if (i < digits.len) {
            if (digits.data[i] == '.') {
                continue;
            }
            d = digits.data[i] - (unsigned) '0';
        }

        if (places <= 0) {
            *next = places == 0 ? d : 0;
            break;
        }

        if (n > (UINT64_MAX - d) / 10) {
            return UINT64_MAX;
        }

        n = n * 10 + d;
        places--;
    }

    return n;
}


/* A number, or a string that holds one; neither null nor negative. */
static llm_rc_t
llm_json_amount(llm_str_t value, llm_json_number_t *n)
{
    if (value.len >= 2 && value.data[0] == '"'
        && value.data[value.len - 1] == '"')
    {
        value.data++;
        value.len -= 2;
    }

    if (llm_json_number(value, n) != LLM_OK || n->negative) {
        return LLM_NONE;
    }

    return LLM_OK;
}


llm_rc_t
llm_json_uint(llm_str_t value, uint64_t *n)
{
    size_t             i;
    unsigned           next;
    uint64_t           plain;
    llm_json_number_t  number;

    /* nearly all are digits and nothing else, without a leading zero */

    plain = 0;

    for (i = 0; i < value.len && i < LLM_JSON_DIGITS; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            break;
        }
        plain = plain * 10 + (uint64_t) (value.data[i] - '0');
    }

    if (i && i == value.len && (value.data[0] != '0' || i == 1)) {
        *n = plain;
        return LLM_OK;
    }

    if (llm_json_amount(value, &number) != LLM_OK) {
        return LLM_NONE;
    }

    *n = llm_json_places(number.digits,
                         (int64_t) number.int_n + number.exponent, &next);

    return LLM_OK;
}


llm_rc_t
llm_json_scaled(llm_str_t value, unsigned scale, uint64_t *n)
{
    unsigned           next;
    uint64_t           whole;
    llm_json_number_t  number;

    if (llm_json_amount(value, &number) != LLM_OK) {
        return LLM_NONE;
    }

    whole = llm_json_places(number.digits,
                            (int64_t) number.int_n + number.exponent + scale,
                            &next);

    *n = whole + (next >= 5 && whole < UINT64_MAX);

    return LLM_OK;
}
