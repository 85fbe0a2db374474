/*
 * A want as text: what a node that asks in vain tells the others.
 *
 *   NODE ID SUBJECT KIND MAX WINDOW START END MARK OWED AMOUNT
 *
 * Node, id, subject and mark in hexadecimal, all else in decimal.
 */

#include "llm_share.h"

#define LLM_SHARE_NAME  16              /* hexadecimal digits of a node */


static void
llm_share_put_number(llm_buf_t *b, uint64_t n, unsigned base)
{
    size_t         i;
    unsigned char  digit[20];

    i = sizeof(digit);

    do {
        digit[--i] = (unsigned char) "0123456789abcdef"[n % base];
        n /= base;
    } while (n);

    llm_buf_put(b, " ", 1);
    llm_buf_put(b, digit + i, sizeof(digit) - i);
}


void
llm_share_want_put(const llm_share_want_t *w, llm_buf_t *b)
{
    unsigned char  kind;

    kind = (unsigned char) w->kind;

    llm_buf_str(b, w->node);
    llm_share_put_number(b, w->id, 16);
    llm_share_put_number(b, w->subject, 16);
    llm_buf_put(b, " ", 1);
    llm_buf_put(b, &kind, 1);
    llm_share_put_number(b, w->max, 10);
    llm_share_put_number(b, w->window, 10);
    llm_share_put_number(b, w->start, 10);
    llm_share_put_number(b, w->end, 10);
    llm_share_put_number(b, w->mark, 16);
    llm_share_put_number(b, w->owed, 10);
    llm_share_put_number(b, w->amount, 10);
}


/* The next word, without the space behind it; empty: there is none. */
static llm_str_t
llm_share_word(llm_str_t *text)
{
    llm_str_t             word;
    const unsigned char  *end;

    end = text->len ? memchr(text->data, ' ', text->len) : NULL;

    word = *text;

    if (end == NULL) {
        *text = LLM_NOSTR;
        return word;
    }

    word.len = (size_t) (end - text->data);
    text->data += word.len + 1;
    text->len -= word.len + 1;

    return word;
}


static int
llm_share_digit(unsigned char c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}


static llm_rc_t
llm_share_number(llm_str_t *text, unsigned base, uint64_t max, uint64_t *n)
{
    size_t     i;
    unsigned   d;
    llm_str_t  word;

    word = llm_share_word(text);

    if (word.len == 0) {
        return LLM_BAD;
    }

    for (*n = 0, i = 0; i < word.len; i++) {
        d = (unsigned) llm_share_digit(word.data[i]);

        if (d >= base || d > max || *n > (max - d) / base) {
            return LLM_BAD;
        }

        *n = *n * base + d;
    }

    return LLM_OK;
}


static llm_rc_t
llm_share_node_name(llm_str_t name)
{
    size_t  i;

    for (i = 0; i < name.len; i++) {
        if (llm_share_digit(name.data[i]) >= 16) {
            return LLM_BAD;
        }
    }

    return name.len == LLM_SHARE_NAME ? LLM_OK : LLM_BAD;
}


llm_rc_t
llm_share_want_parse(llm_str_t text, llm_share_want_t *w, llm_str_t *rest)
{
    uint64_t   mark, owed;
    llm_str_t  kind;

    memset(w, 0, sizeof(*w));

    w->node = llm_share_word(&text);

    if (llm_share_node_name(w->node) != LLM_OK
        || llm_share_number(&text, 16, UINT64_MAX, &w->id) != LLM_OK
        || llm_share_number(&text, 16, UINT64_MAX, &w->subject) != LLM_OK)
    {
        return LLM_BAD;
    }

    kind = llm_share_word(&text);

    if (kind.len != 1 || strchr("srcg", kind.data[0]) == NULL
        || kind.data[0] == '\0')
    {
        return LLM_BAD;
    }

    w->kind = kind.data[0];

    if (llm_share_number(&text, 10, LLM_MONEY_MAX, &w->max) != LLM_OK
        || w->max == 0
        || llm_share_number(&text, 10, LLM_SHARE_WINDOW_MAX, &w->window)
           != LLM_OK
        || (w->window == 0) != (w->kind == 'c')
        || llm_share_number(&text, 10, LLM_SHARE_EPOCH_MAX, &w->start)
           != LLM_OK
        || llm_share_number(&text, 10, LLM_SHARE_EPOCH_MAX, &w->end) != LLM_OK
        || llm_share_number(&text, 16, UINT32_MAX, &mark) != LLM_OK
        || llm_share_number(&text, 10, 1, &owed) != LLM_OK
        || llm_share_number(&text, 10, LLM_MONEY_MAX, &w->amount) != LLM_OK)
    {
        return LLM_BAD;
    }

    w->mark = (uint32_t) mark;
    w->owed = owed != 0;
    *rest = text;

    return LLM_OK;
}
