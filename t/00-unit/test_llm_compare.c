/*
 * Comparing two JSON answers member by member.
 */

#include "tap.h"
#include "llm_compare.h"

static unsigned char  scratch[65536];


static void
is_like(const char *a, const char *b, int members, int equal)
{
    uint32_t   m, e;
    llm_str_t  x, y;

    m = 77;
    e = 77;
    x = tap_c(a);
    y = tap_c(b);

    ok(llm_compare(x, y, scratch, x.len > y.len ? x.len : y.len, &m, &e)
       == LLM_OK, a);
    is_int(m, members, "members");
    is_int(e, equal, "equal");

    (void) llm_compare(y, x, scratch, x.len > y.len ? x.len : y.len, &m, &e);
    ok(m == (uint32_t) members && e == (uint32_t) equal, "the other way round");
}


static llm_rc_t
result(const char *a, const char *b)
{
    uint32_t  m, e;

    return llm_compare(tap_c(a), tap_c(b), scratch, sizeof(scratch), &m, &e);
}


static void
test_members(void)
{
    is_like("{}", " { } ", 0, 0);
    is_like("{\"a\":1}", "{}", 1, 0);
    is_like("{\"a\":1,\"b\":\"x\"}", "{\"b\":\"x\",\"a\":2}", 2, 1);
    is_like("{\"a\":1,\"b\":2}", "{\"c\":3,\"b\":2}", 3, 1);
    is_like("{\"a\":1,\"a\":2}", "{\"a\":2}", 1, 1);
    is_like("{\"a\":null}", "{\"a\":false}", 1, 0);
    is_like("{\"a\":\"1\"}", "{\"a\":1}", 1, 0);
    is_like("{\"a\":true,\"b\":null}", "{\"b\":null,\"a\":true}", 2, 2);
}


static void
test_writing(void)
{
    is_like("{ \"a\" : [ 1 , 2 ] }", "{\"a\":[1,2]}", 1, 1);
    is_like("{\"a\":[1,2]}", "{\"a\":[2,1]}", 1, 0);
    is_like("{\"a\":[]}", "{\"a\":{}}", 1, 0);
    is_like("{\"a\":[[1],2]}", "{\"a\":[1,[2]]}", 1, 0);
    is_like("{\"a\":{\"x\":1,\"y\":[{\"p\":1,\"q\":2}]}}",
            "{\"a\":{\"y\":[{\"q\":2,\"p\":1}],\"x\":1}}", 1, 1);
    is_like("{\"a\":{\"x\":1,\"y\":2}}", "{\"a\":{\"x\":2,\"y\":1}}", 1, 0);
    is_like("{\"a\":\"\\u00e9\\n\"}", "{\"a\":\"\xc3\xa9\\u000a\"}", 1, 1);
    is_like("{\"\\u0061\":1}", "{\"a\":1}", 1, 1);
    is_like("{\"a\":\"x\"}", "{\"a\":\"X\"}", 1, 0);
}


static void
test_numbers(void)
{
    is_like("{\"a\":1}", "{\"a\":1.0}", 1, 1);
    is_like("{\"a\":100}", "{\"a\":1e2}", 1, 1);
    is_like("{\"a\":0.5}", "{\"a\":50E-2}", 1, 1);
    is_like("{\"a\":0.001}", "{\"a\":1e-3}", 1, 1);
    is_like("{\"a\":0}", "{\"a\":-0.00e5}", 1, 1);
    is_like("{\"a\":1}", "{\"a\":-1}", 1, 0);
    is_like("{\"a\":10}", "{\"a\":1}", 1, 0);
    is_like("{\"a\":101}", "{\"a\":11}", 1, 0);
    is_like("{\"a\":1001}", "{\"a\":10.01}", 1, 0);
}


static void
test_limits(void)
{
    int     i, n;
    char    many[4096], deep[1024];

    is_int(result("{\"a\":1", "{}"), LLM_BAD, "no JSON");
    is_int(result("{}", "hello"), LLM_BAD, "a text");
    is_int(result("", "{}"), LLM_BAD, "nothing");
    is_int(result("[1]", "{}"), LLM_NONE, "an array");
    is_int(result("{}", "\"a\""), LLM_NONE, "a string");

    for (i = 0, n = 0; i <= LLM_COMPARE_MEMBERS; i++) {
        n += sprintf(many + n, "%s\"m%d\":%d", i ? "," : "{", i, i);
    }

    strcpy(many + n, "}");
    is_int(result(many, many), LLM_FULL, "too many members");

    strcpy(strstr(many, ",\"m128\""), "}");
    is_int(result(many, many), LLM_OK, "as many as there may be");

    strcpy(deep, "{\"a\":");
    n = 5;

    for (i = 0; i < 50; i++) {
        deep[n++] = '[';
    }

    for (i = 0; i < 50; i++) {
        deep[n++] = ']';
    }

    strcpy(deep + n, "}");
    is_like(deep, deep, 1, 1);
}


int
main(void)
{
    test_members();
    test_writing();
    test_numbers();
    test_limits();

    return tap_done();
}
