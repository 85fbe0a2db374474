/*
 * Reading and writing the query of a URL.
 *
 * Names are compared as they are meant: a provider that reads "k%65y" reads
 * "key".
 */

#include "llm_query.h"


static const llm_str_t  llm_query_secrets[] = {
    LLM_STR("key"),
    LLM_STR("api-key"),
    LLM_STR("api_key"),
    LLM_STR("access_token")
};

#define LLM_QUERY_SECRETS  (sizeof(llm_query_secrets)                         \
                            / sizeof(llm_query_secrets[0]))


int
llm_query_next(llm_str_t *query, llm_param_t *p)
{
    const unsigned char  *at, *end;

    while (query->len && query->data[0] == '&') {
        query->data++;
        query->len--;
    }

    if (query->len == 0) {
        return 0;
    }

    at = query->data;
    end = memchr(at, '&', query->len);

    if (end == NULL) {
        end = at + query->len;
    }

    p->raw.data = at;
    p->raw.len = (size_t) (end - at);
    p->name = p->raw;
    p->value = LLM_NOSTR;

    query->len -= p->raw.len;
    query->data = end;

    at = memchr(at, '=', p->raw.len);

    if (at) {
        p->name.len = (size_t) (at - p->raw.data);
        p->value.data = at + 1;
        p->value.len = (size_t) (end - p->value.data);
    }

    return 1;
}


static int
llm_query_hex(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


/* The byte at the front of a raw text, which is taken off. */
static unsigned char
llm_query_byte(llm_str_t *raw)
{
    int            high, low;
    unsigned char  c;

    c = raw->data[0];

    if (c == '%' && raw->len >= 3) {
        high = llm_query_hex(raw->data[1]);
        low = llm_query_hex(raw->data[2]);

        if (high >= 0 && low >= 0) {
            raw->data += 3;
            raw->len -= 3;
            return (unsigned char) (high << 4 | low);
        }
    }

    raw->data++;
    raw->len--;

    return c == '+' ? ' ' : c;
}


int
llm_query_is(llm_str_t raw, llm_str_t name)
{
    size_t  i;

    for (i = 0; i < name.len; i++) {
        if (raw.len == 0 || llm_query_byte(&raw) != name.data[i]) {
            return 0;
        }
    }

    return raw.len == 0;
}


int
llm_query_is_secret(const llm_param_t *p)
{
    size_t  i;

    for (i = 0; i < LLM_QUERY_SECRETS; i++) {
        if (llm_query_is(p->name, llm_query_secrets[i])) {
            return 1;
        }
    }

    return 0;
}


void
llm_query_decode(llm_str_t raw, llm_buf_t *out)
{
    unsigned char  c;

    while (raw.len && !out->full) {
        c = llm_query_byte(&raw);
        llm_buf_put(out, &c, 1);
    }
}


void
llm_query_put(llm_str_t text, llm_buf_t *out)
{
    size_t         i;
    unsigned char  c, escape[3];

    static const unsigned char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < text.len; i++) {
        c = text.data[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            || c == '-' || c == '.' || c == '_' || c == '~' || c == '/'
            || c == ':' || c == '@')
        {
            llm_buf_put(out, &c, 1);
            continue;
        }

        escape[0] = '%';
        escape[1] = hex[c >> 4];
        escape[2] = hex[c & 15];
        llm_buf_put(out, escape, 3);
    }
}
