/*
 * Queries: parameters by name, whichever way it is written.
 */

#include "tap.h"
#include "llm_query.h"


static void
iterate(void)
{
    llm_str_t    q;
    llm_param_t  p;

    q = LLM_STR("&&a=1&b&=c&d=%26=&");

    ok(llm_query_next(&q, &p), "the first parameter, behind empty ones");
    is_str(p.raw, "a=1", "... as it stands");
    is_str(p.name, "a", "... its name");
    is_str(p.value, "1", "... its value");
    ok(llm_query_next(&q, &p), "one without a value");
    is_str(p.name, "b", "... has a name");
    ok(p.value.data == NULL, "... and no value");
    ok(llm_query_next(&q, &p), "one without a name");
    is_str(p.name, "", "... has none");
    is_str(p.value, "c", "... and a value");
    ok(llm_query_next(&q, &p), "one with more of everything");
    is_str(p.name, "d", "... has its name");
    is_str(p.value, "%26=", "... up to the first =");
    ok(!llm_query_next(&q, &p), "there are no more");

    q = LLM_NOSTR;
    ok(!llm_query_next(&q, &p), "none in no query");
}


static void
names(void)
{
    size_t       i;
    llm_param_t  p;

    static const struct {
        const char  *raw;
        int          secret;
    } row[] = {
        { "key=1", 1 }, { "key", 1 }, { "k%65y=1", 1 }, { "%6B%65%79=1", 1 },
        { "api-key=x", 1 }, { "api%2Dkey=x", 1 }, { "api_key=x", 1 },
        { "access_token=x", 1 }, { "access%5ftoken=x", 1 },
        { "Key=1", 0 }, { "keys=1", 0 }, { "ke=1", 0 }, { "key%=1", 0 },
        { "=key", 0 }, { "", 0 }, { "k%65", 0 }, { "key%00=1", 0 }
    };

    ok(llm_query_is(LLM_STR("m%6fdel"), LLM_STR("model")), "an escaped name");
    ok(llm_query_is(LLM_STR("a+b%20c"), LLM_STR("a b c")), "spaces");
    ok(llm_query_is(LLM_STR("a%2"), LLM_STR("a%2")), "an escape of nothing");
    ok(llm_query_is(LLM_STR("a%zz"), LLM_STR("a%zz")), "... and another");
    ok(!llm_query_is(LLM_STR("mode"), LLM_STR("model")), "a shorter one");

    for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        p.name = tap_c(row[i].raw);
        p.name.len = strcspn(row[i].raw, "=");
        is_int(llm_query_is_secret(&p), row[i].secret, row[i].raw);
    }
}


static void
values(void)
{
    llm_buf_t      b, back;
    unsigned char  mem[256], text[64];

    llm_buf_init(&b, mem, sizeof(mem));
    llm_query_decode(LLM_STR("a%2Fb+c%zz%4"), &b);
    is_view(llm_buf_view(&b), LLM_STR("a/b c%zz%4"), "decoded");

    llm_buf_init(&b, mem, 3);
    llm_query_decode(LLM_STR("abcd"), &b);
    ok(b.full, "too long for its memory");

    memcpy(text, "a/b:c@d-._~ &=;%\x00\xff#?+", 21);
    llm_buf_init(&b, mem, sizeof(mem));
    llm_query_put((llm_str_t) { 21, text }, &b);
    is_view(llm_buf_view(&b),
            LLM_STR("a/b:c@d-._~%20%26%3D%3B%25%00%FF%23%3F%2B"), "encoded");

    llm_buf_init(&back, mem + 128, 128);
    llm_query_decode(llm_buf_view(&b), &back);
    is_view(llm_buf_view(&back), ((llm_str_t) { 21, text }), "... and back");
}


int
main(void)
{
    iterate();
    names();
    values();

    return tap_done();
}
