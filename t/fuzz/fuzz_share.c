/*
 * Wants of other nodes: whatever is published, nothing behind it is read, and
 * what is understood says the same when it is written again.
 */

#include <stdlib.h>

#include "llm_share.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_buf_t         b;
    llm_str_t         rest, none;
    llm_share_want_t  w, again;
    unsigned char     text[LLM_SHARE_WANT_TEXT];

    if (llm_share_want_parse((llm_str_t) { size, data }, &w, &rest) != LLM_OK)
    {
        return 0;
    }

    MUST(w.max && w.max <= LLM_MONEY_MAX && w.amount <= LLM_MONEY_MAX);
    MUST((w.window == 0) == (w.kind == 'c'));
    MUST(rest.len == 0 || (rest.data > data
                           && rest.data + rest.len == data + size));

    llm_buf_init(&b, text, sizeof(text));
    llm_share_want_put(&w, &b);

    MUST(!b.full);
    MUST(llm_share_want_parse(llm_buf_view(&b), &again, &none) == LLM_OK);
    MUST(none.len == 0 && again.id == w.id && again.subject == w.subject
         && again.kind == w.kind && again.max == w.max
         && again.window == w.window && again.start == w.start
         && again.end == w.end && again.mark == w.mark && again.owed == w.owed
         && again.amount == w.amount && llm_str_eq(again.node, w.node));

    return 0;
}
