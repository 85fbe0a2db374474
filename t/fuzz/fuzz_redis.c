/*
 * What Redis says, read as a redirection, as a report and as a key: what is
 * found lies within the text, and has the bounds it should have.
 */

#include <stdlib.h>

#include "llm_redis.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
must_lie_in(llm_str_t part, llm_str_t whole)
{
    MUST(part.data >= whole.data);
    MUST(part.len <= whole.len);
    MUST(part.data + part.len <= whole.data + whole.len);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                i;
    llm_str_t             text, field, value;
    llm_redis_redirect_t  to;

    text.data = data;
    text.len = size;

    MUST(llm_redis_slot(text) < LLM_REDIS_SLOTS);

    if (llm_redis_redirect(text, &to) == LLM_OK) {
        MUST(to.slot < LLM_REDIS_SLOTS);
        MUST(to.port > 0 && to.port < 65536);
        must_lie_in(to.host, text);
    }

    /* the first line names the field */

    for (i = 0; i < size && data[i] != '\n'; i++) {
        /* void */
    }

    field.data = data;
    field.len = i;

    text.data += i;
    text.len -= i;

    value = llm_redis_info(text, field);

    if (value.len) {
        must_lie_in(value, text);
        MUST(memchr(value.data, '\n', value.len) == NULL);
    }

    return 0;
}
