/*
 * Queries and subprotocols of sessions: what a provider gets has no credential
 * of the client's and one model, whichever way things are written.
 */

#include <stdlib.h>

#include "llm_query.h"
#include "llm_realtime.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static size_t
count(llm_str_t query, llm_str_t name, llm_str_t *value)
{
    size_t       n;
    llm_param_t  p;

    n = 0;

    while (llm_query_next(&query, &p)) {
        MUST(!llm_query_is_secret(&p));
        MUST(p.raw.len > 0);
        MUST(p.name.len + p.value.len <= p.raw.len);

        if (llm_query_is(p.name, name)) {
            *value = p.value;
            n++;
        }
    }

    return n;
}


static void
query(llm_str_t text)
{
    size_t          size;
    llm_rc_t        rc;
    llm_buf_t       mem, out, back;
    llm_str_t       model, message, value, want;
    llm_code_t      code;
    unsigned char  *buf, name[256];

    llm_buf_init(&mem, name, sizeof(name));
    rc = llm_realtime_model(text, &mem, &model, &code, &message);

    want = LLM_STR("target/model 1");
    size = 3 * (text.len + want.len) + 32;
    buf = malloc(size);

    llm_buf_init(&out, buf, size);
    llm_realtime_query(text, want, 1, &out);
    MUST(!out.full);
    MUST(count(llm_buf_view(&out), LLM_STR("model"), &value) <= 1);
    MUST(out.pos == out.start || memchr(out.start, ';', (size_t)
                                        (out.pos - out.start)) == NULL);

    if (rc == LLM_OK && model.len) {
        /* the client named one: the target's stands instead */
        MUST(count(llm_buf_view(&out), LLM_STR("model"), &value) == 1);
        llm_buf_init(&back, name, sizeof(name));
        llm_query_decode(value, &back);
        MUST(llm_str_eq(llm_buf_view(&back), want));
    }

    llm_buf_init(&out, buf, size);
    llm_realtime_query(text, LLM_NOSTR, 1, &out);
    MUST(!out.full);
    (void) count(llm_buf_view(&out), LLM_STR("model"), &value);

    free(buf);
}


static void
protocols(llm_str_t text)
{
    llm_rc_t        rc;
    llm_str_t       key;
    llm_buf_t       out;
    unsigned char  *buf;

    buf = malloc(2 * text.len + 1);
    llm_buf_init(&out, buf, 2 * text.len + 1);

    if (llm_realtime_key(text, &key) == LLM_OK) {
        MUST(key.len > 0 && key.data > text.data
             && key.data + key.len <= text.data + text.len);
    }

    rc = llm_realtime_protocols(text, &out);
    MUST(!out.full);
    MUST((rc == LLM_OK) == (out.pos != out.start));
    MUST(llm_realtime_key(llm_buf_view(&out), &key) == LLM_NONE);

    free(buf);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_str_t       text;
    unsigned char  *exact;

    exact = malloc(size + (size == 0));
    memcpy(exact, data, size);

    text.len = size;
    text.data = exact;

    query(text);
    protocols(text);

    free(exact);

    return 0;
}
