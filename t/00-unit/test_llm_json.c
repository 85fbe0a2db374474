/*
 * The JSON scan: what it finds, and what it does not let through.
 */

#include "tap.h"
#include "llm_json.h"

#define V(s)  tap_c(s)

static llm_json_want_t   want[4];
static llm_json_error_t  error;
static size_t            at;


static llm_rc_t
pick(llm_str_t body)
{
    want[0].name = LLM_STR("model");
    want[1].name = LLM_STR("stream");
    want[2].name = LLM_STR("messages");
    want[3].name = LLM_STR("\xc3\xa4\xf0\x9f\x98\x80/");

    error = LLM_JSON_E_NONE;
    at = 9999;

    return llm_json_pick(body, want, 4, &error, &at);
}


/* A copy that ends where its memory ends. */
static llm_rc_t
check(llm_str_t s)
{
    llm_rc_t        rc;
    unsigned char  *p;

    p = malloc(s.len + (s.len == 0));
    if (s.len) {
        memcpy(p, s.data, s.len);
    }

    rc = llm_json_check((llm_str_t) { s.len, p });

    free(p);

    return rc;
}


static void
test_pick(void)
{
    is_int(pick(V(" \t\r\n{\"model\" : \"a\\\"b\" , \"x\":[1,{\"model\":2}],"
                  "\"stream\":true,\"messages\":[ {} ]}\n ")),
           LLM_OK, "a body");
    is_str(want[0].value, "\"a\\\"b\"", "a string, raw");
    is_int(want[0].kind, LLM_JSON_STRING, "its kind");
    is_str(want[1].value, "true", "a literal");
    is_int(want[1].kind, LLM_JSON_TRUE, "its kind");
    is_str(want[2].value, "[ {} ]", "an array");
    ok(want[3].value.data == NULL, "absent");

    is_int(pick(V("{}")), LLM_OK, "empty object");
    ok(want[0].value.data == NULL, "has nothing");
    is_int(pick(V("{\"\":1,\"model\":null}")), LLM_OK, "empty key");
    is_int(want[0].kind, LLM_JSON_NULL, "null is there");
    ok(want[0].value.data != NULL, "and not absent");
    is_int(pick(V("{\"Model\":1,\"model \":2,\"mode\":3,\"modell\":4}")),
           LLM_OK, "names that are close");
    ok(want[0].value.data == NULL, "are others");

    is_int(pick(V("{\"\\u00e4\\uD83d\\ude00\\/\":1}")), LLM_OK, "escaped key");
    is_str(want[3].value, "1", "is found");
    is_int(pick(V("{\"\\u006d\\u006F\\u0064el\":\"x\"}")), LLM_OK,
           "escaped key");
    is_str(want[0].value, "\"x\"", "is found");

    is_int(llm_json_pick(V("{\"a\":1}"), NULL, 0, &error, &at), LLM_OK,
           "nothing wanted");
}


static void
pick_bad(llm_str_t body, llm_json_error_t why, size_t where, const char *name)
{
    is_int(pick(body), LLM_BAD, name);
    is_int(error, why, "why");
    is_int(at, where, "where");
}


static void
test_pick_bad(void)
{
    pick_bad(V("{\"model\":1,\"model\":2}"), LLM_JSON_E_DUPLICATE, 11,
             "a key twice");
    pick_bad(V("{\"model\":1, \"mod\\u0065l\":2}"), LLM_JSON_E_DUPLICATE, 12,
             "a key twice, escaped");
    pick_bad(V("{\"m\\u006fdel\":1,\"\\u006dodel\":null}"),
             LLM_JSON_E_DUPLICATE, 16, "both escaped");
    pick_bad(V("{\"model\":null,\"model\":null}"), LLM_JSON_E_DUPLICATE, 14,
             "null twice");
    pick_bad(tap_fixture("hostile/duplicate-keys.json"), LLM_JSON_E_DUPLICATE,
             13, "fixture");
    is_int(pick(V("{\"a\":1,\"a\":2,\"b\":{\"model\":1,\"model\":2}}")), LLM_OK,
           "other keys may");

    pick_bad(LLM_NOSTR, LLM_JSON_E_SYNTAX, 0, "no body");
    pick_bad(V("  "), LLM_JSON_E_SYNTAX, 2, "white space");
    pick_bad(V(" [1]"), LLM_JSON_E_NOT_OBJECT, 0 + 1, "an array");
    pick_bad(V("\"a\""), LLM_JSON_E_NOT_OBJECT, 0, "a string");
    pick_bad(V("1"), LLM_JSON_E_NOT_OBJECT, 0, "a number");
    pick_bad(V("null"), LLM_JSON_E_NOT_OBJECT, 0, "null");
    pick_bad(V("<html>"), LLM_JSON_E_SYNTAX, 0, "HTML");
    pick_bad(V("\xef\xbb\xbf{}"), LLM_JSON_E_SYNTAX, 0, "byte order mark");
    pick_bad(V("{} x"), LLM_JSON_E_SYNTAX, 3, "trailing garbage");
    pick_bad(V("{}{}"), LLM_JSON_E_SYNTAX, 2, "two objects");
    pick_bad(LLM_STR("{}\0"), LLM_JSON_E_SYNTAX, 2, "a trailing NUL");
    pick_bad(V("{\"a\":1,}"), LLM_JSON_E_SYNTAX, 7, "trailing comma");
    pick_bad(V("{,}"), LLM_JSON_E_SYNTAX, 1, "comma alone");
    pick_bad(V("{\"a\":1 \"b\":2}"), LLM_JSON_E_SYNTAX, 7, "no comma");
    pick_bad(V("{\"a\" 1}"), LLM_JSON_E_SYNTAX, 5, "no colon");
    pick_bad(V("{\"a\":}"), LLM_JSON_E_SYNTAX, 5, "no value");
    pick_bad(V("{a:1}"), LLM_JSON_E_SYNTAX, 1, "no quotes");
    pick_bad(V("{'a':1}"), LLM_JSON_E_SYNTAX, 1, "other quotes");
    pick_bad(V("{\"a\":1]"), LLM_JSON_E_SYNTAX, 6, "wrong bracket");
    pick_bad(V("{\"a\":[1}"), LLM_JSON_E_SYNTAX, 7, "wrong bracket");
    pick_bad(V("{\"a\":[[1]}"), LLM_JSON_E_SYNTAX, 9, "bracket missing");
    pick_bad(V("{\"a\":{\"b\":1]}"), LLM_JSON_E_SYNTAX, 11, "wrong bracket");
    pick_bad(V("{\"a\":[1,]}"), LLM_JSON_E_SYNTAX, 8, "trailing comma");
    pick_bad(V("{\"a\":[1 2]}"), LLM_JSON_E_SYNTAX, 8, "no comma");
    pick_bad(V("{\"a\":{\"b\"}}"), LLM_JSON_E_SYNTAX, 9, "no value inside");
    pick_bad(V("{\"a\":{1:2}}"), LLM_JSON_E_SYNTAX, 6, "no key inside");
    pick_bad(V("{\"a\":[:]}"), LLM_JSON_E_SYNTAX, 6, "no value inside");
    pick_bad(V("{\"a\":\"\t\"}"), LLM_JSON_E_SYNTAX, 6, "a tab in a string");
    pick_bad(LLM_STR("{\"a\":\"\0\"}"), LLM_JSON_E_SYNTAX, 6, "a NUL");
    pick_bad(V("{\"\n\":1}"), LLM_JSON_E_SYNTAX, 2, "a line end in a key");
    pick_bad(V("{\"a\":\"\\x\"}"), LLM_JSON_E_SYNTAX, 7, "no escape");
    pick_bad(V("{\"a\":\"\\u12g4\"}"), LLM_JSON_E_SYNTAX, 10, "no hex digit");
    pick_bad(V("{\"a\":\"\\"), LLM_JSON_E_SYNTAX, 7, "cut in an escape");
    pick_bad(V("{\"a\":\"\\u00"), LLM_JSON_E_SYNTAX, 10, "cut in an escape");
    pick_bad(V("{\"a\":1"), LLM_JSON_E_SYNTAX, 6, "cut");

    /* numbers and literals: strict where the gateway acts on them */

    is_int(pick(V("{\"a\":NaN,\"b\":[-Infinity,01,tru],\"c\":1e}")), LLM_OK,
           "strange numbers are the provider's affair");
    pick_bad(V("{\"stream\":tru}"), LLM_JSON_E_SYNTAX, 13, "half a literal");
    pick_bad(V("{\"stream\":truex}"), LLM_JSON_E_SYNTAX, 10, "no literal");
    pick_bad(V("{\"model\":NaN}"), LLM_JSON_E_SYNTAX, 9, "no number");
    pick_bad(V("{\"model\":01}"), LLM_JSON_E_SYNTAX, 9, "leading zero");
}


static void
fill(unsigned char *p, const char *unit, size_t n)
{
    size_t  i, len;

    len = strlen(unit);

    for (i = 0; i < n; i++) {
        memcpy(p + i * len, unit, len);
    }
}


static void
test_depth(void)
{
    size_t                n, i;
    llm_json_iter_t       it;
    llm_json_member_t     m;
    static unsigned char  mem[140000];

    /* as deep as may be, and one more; the object around it counts */

    for (i = 0; i < 2; i++) {
        n = LLM_JSON_DEPTH - 1 + i;
        memcpy(mem, "{\"a\":", 5);
        fill(mem + 5, "[", n);
        fill(mem + 5 + n, "]", n);
        mem[5 + 2 * n] = '}';

        is_int(pick((llm_str_t) { 6 + 2 * n, mem }), i ? LLM_BAD : LLM_OK,
               "pick: depth");
        if (i) {
            is_int(error, LLM_JSON_E_DEPTH, "too deep");
            is_int(at, 5 + LLM_JSON_DEPTH - 1, "where");
        }

        n = LLM_JSON_DEPTH + i;
        fill(mem, "[", n);
        fill(mem + n, "]", n);
        is_int(llm_json_check((llm_str_t) { 2 * n, mem }),
               i ? LLM_BAD : LLM_OK, "check: depth");
        is_int(llm_json_begin(&it, (llm_str_t) { 2 * n, mem }), LLM_OK,
               "begin");
        is_int(llm_json_next(&it, &m), i ? LLM_BAD : LLM_OK, "next: depth");
    }

    fill(mem, "[", 20000);
    is_int(llm_json_check((llm_str_t) { 20000, mem }), LLM_BAD,
           "20 000 arrays");

    fill(mem, "{\"a\":", 20000);
    pick_bad((llm_str_t) { 100000, mem }, LLM_JSON_E_DEPTH,
             5 * LLM_JSON_DEPTH, "20 000 objects");

    memcpy(mem, "{\"a\":", 5);
    fill(mem + 5, "[{\"b\":", 20000);
    is_int(pick((llm_str_t) { 5 + 120000, mem }), LLM_BAD, "20 000 of both");
    is_int(error, LLM_JSON_E_DEPTH, "too deep");

    is_int(llm_json_check(tap_fixture("hostile/deep.json")), LLM_BAD,
           "2000 arrays");

    /* brackets in strings are text */

    fill(mem, "[", 20000);
    mem[0] = mem[19999] = '"';
    is_int(llm_json_check((llm_str_t) { 20000, mem }), LLM_OK,
           "brackets in a string");
}


static void
test_check(void)
{
    size_t  i;

    static const char *const  good[] = {
        "{}", "[]", " [ ] ", "{ }", "\"\"", "0", "-0", "12", "-1.5e+10", "1E9",
        "0.0", "true", "false", "null", "[1,2,3]", "{\"a\":{\"b\":[{}]}}",
        "[[],[],{}]", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u12aF\"", "\"\x7f\xff\"",
        "\t1\r\n", "1e400", "123456789012345678901234567890"
    };
    static const char *const  bad[] = {
        "{]", "[}", "]", "}", "{} {}", "1 2", "[1,]", "{\"a\"}", "{\"a\":1,}",
        "tru3", "truee", "nulL", "True", "NaN", "-Infinity", "+1", "01", "-01",
        "1.e1", ".5", "0x10", "1-2", "1.2.3", "1e+-1", "--1", "{not json}",
        "'a'", "[1;2]", "\"\x01\"", "\"\\q\"", "\"\\u00g0\"", "\xef\xbb\xbf{}",
        ",", ":", "[,1]", "{\"a\"::1}", "{\"a\":1 \"b\":2}", "/**/1", "\v1"
    };
    static const char *const  early[] = {
        "", " ", "{", "[", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
        "[1", "[1,", "\"", "\"a", "\"\\", "\"\\u", "\"\\u00f", "t", "tru",
        "nul", "f", "-", "1.", "1e", "1e+", "[[[[", "{\"a\":[{\"b\":-"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_int(check(V(good[i])), LLM_OK, good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(check(V(bad[i])), LLM_BAD, bad[i]);
    }

    for (i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
        is_int(check(V(early[i])), LLM_AGAIN, early[i]);
    }

    is_int(check(LLM_STR("[1]\0")), LLM_BAD, "a NUL behind it");
    is_int(check(LLM_STR("[\0]")), LLM_BAD, "a NUL inside");
}


/* Any part of a good text from its start on is unfinished, never wrong. */
static void
test_prefixes(void)
{
    int        good;
    size_t     i, k;
    llm_str_t  s;

    static const char *const  path[] = {
        "openai/chat.request.json", "openai/chat.tools.response.json",
        "openai/chat.json-schema.request.json",
        "openai/chat.logprobs.response.json", "openai/chat.image.request.json",
        "openai/embeddings.response.json", "hostile/huge-numbers.json"
    };

    for (i = 0; i < sizeof(path) / sizeof(path[0]); i++) {
        s = tap_fixture(path[i]);
        good = check(s) == LLM_OK;

        while (s.len && s.data[s.len - 1] != '}') {
            s.len--;
        }

        for (k = 0; k < s.len; k++) {
            good &= check((llm_str_t) { k, s.data }) == LLM_AGAIN;
        }

        ok(good, path[i]);
    }
}


/* The end of a string and a bad byte at every place of the wide loops. */
static void
test_places(void)
{
    int            good;
    size_t         n, i;
    unsigned char  mem[220];

    good = 1;

    for (n = 0; n < 200; n++) {
        mem[0] = '"';
        memset(mem + 1, 'x', n);
        mem[n + 1] = '"';

        good &= check((llm_str_t) { n + 2, mem }) == LLM_OK;
        good &= check((llm_str_t) { n + 1, mem }) == LLM_AGAIN;

        for (i = 0; i < n; i++) {
            mem[i + 1] = 0x1f;
            good &= check((llm_str_t) { n + 2, mem }) == LLM_BAD;
            mem[i + 1] = '"';
            good &= check((llm_str_t) { n + 2, mem }) == LLM_BAD;
            mem[i + 1] = '\\';
            good &= check((llm_str_t) { n + 2, mem })
                    == (i == n - 1 ? LLM_AGAIN : LLM_BAD);
            mem[i + 1] = 0x80;
            good &= check((llm_str_t) { n + 2, mem }) == LLM_OK;
            mem[i + 1] = 'x';
        }
    }

    ok(good, "every length, every place");

    good = 1;
    mem[0] = mem[2] = '"';

    for (i = 0; i < 256; i++) {
        mem[1] = (unsigned char) i;
        good &= check((llm_str_t) { 3, mem })
                == (i < 0x20 || i == '"' ? LLM_BAD
                    : i == '\\' ? LLM_AGAIN : LLM_OK);
    }

    ok(good, "every byte in a string");
}


static void
test_iterate(void)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    is_int(llm_json_begin(&it, V(" { \"a\" : 1 , \"b\\n\":[2, 3] } ")), LLM_OK,
           "an object");
    is_int(llm_json_next(&it, &m), LLM_OK, "first");
    is_str(m.key, "a", "key");
    is_str(m.value, "1", "value");
    is_int(m.kind, LLM_JSON_NUMBER, "kind");
    is_int(llm_json_next(&it, &m), LLM_OK, "second");
    is_str(m.key, "b\\n", "key, raw");
    is_str(m.value, "[2, 3]", "value");
    is_int(llm_json_begin(&it, m.value), LLM_OK, "go down");
    is_int(llm_json_next(&it, &m), LLM_OK, "first");
    is_str(m.key, "", "no key");
    is_str(m.value, "2", "value");
    is_int(llm_json_next(&it, &m), LLM_OK, "second");
    is_int(llm_json_next(&it, &m), LLM_NONE, "end");
    is_str(m.value, "3", "the last one stays");
    is_int(llm_json_next(&it, &m), LLM_NONE, "still the end");

    is_int(llm_json_begin(&it, V("[]")), LLM_OK, "empty");
    is_int(llm_json_next(&it, &m), LLM_NONE, "end");
    is_int(llm_json_begin(&it, V("1")), LLM_BAD, "a number");
    is_int(llm_json_begin(&it, V("")), LLM_BAD, "nothing");
    is_int(llm_json_begin(&it, LLM_NOSTR), LLM_BAD, "nothing at all");

    is_int(llm_json_begin(&it, V("[1,2")), LLM_OK, "cut");
    is_int(llm_json_next(&it, &m), LLM_OK, "first");
    is_int(llm_json_next(&it, &m), LLM_OK, "second");
    is_int(llm_json_next(&it, &m), LLM_BAD, "no end");
    is_int(llm_json_next(&it, &m), LLM_BAD, "again");

    is_int(llm_json_begin(&it, V("[1] x")), LLM_OK, "garbage behind it");
    is_int(llm_json_next(&it, &m), LLM_OK, "first");
    is_int(llm_json_next(&it, &m), LLM_BAD, "is seen at the end");
}


static void
test_get(void)
{
    llm_str_t          o;
    llm_json_member_t  m;

    o = V("{\"a\":1,\"b\":null,\"\\u0063\":{\"d\":[10,{\"e/~\":\"x\"}]},"
          "\"\":7,\"a\":2}");

    is_int(llm_json_get(o, LLM_STR("a"), &m), LLM_OK, "get");
    is_str(m.value, "1", "the first");
    is_int(llm_json_get(o, LLM_STR("b"), &m), LLM_OK, "null is found");
    is_int(m.kind, LLM_JSON_NULL, "as null");
    is_int(llm_json_get(o, LLM_STR("c"), &m), LLM_OK, "escaped");
    is_int(llm_json_get(o, LLM_STR("x"), &m), LLM_NONE, "absent");
    is_int(llm_json_get(V("[1]"), LLM_STR(""), &m), LLM_BAD, "an array");
    is_int(llm_json_get(V("\"a\""), LLM_STR("a"), &m), LLM_BAD, "a string");
    is_int(llm_json_get(V("{\"a\":1"), LLM_STR("b"), &m), LLM_BAD, "cut");
    is_int(llm_json_get(V("{\"a\":1"), LLM_STR("a"), &m), LLM_OK,
           "cut behind it");

    is_int(llm_json_pointer(o, LLM_STR("/c/d/0"), &m), LLM_OK, "pointer");
    is_str(m.value, "10", "value");
    is_int(llm_json_pointer(o, LLM_STR("/c/d/1/e~1~0"), &m), LLM_OK, "escapes");
    is_str(m.value, "\"x\"", "value");
    is_str(m.key, "e/~", "key");
    is_int(llm_json_pointer(o, LLM_STR("/"), &m), LLM_OK, "empty token");
    is_str(m.value, "7", "value");
    is_int(llm_json_pointer(V(" [1] "), LLM_NOSTR, &m), LLM_OK, "whole");
    is_str(m.value, "[1]", "value");
    is_int(m.kind, LLM_JSON_ARRAY, "kind");
    is_int(llm_json_pointer(o, LLM_STR("/c/d/2"), &m), LLM_NONE, "behind");
    is_int(llm_json_pointer(o, LLM_STR("/c/d/00"), &m), LLM_NONE, "no index");
    is_int(llm_json_pointer(o, LLM_STR("/c/d/01"), &m), LLM_NONE, "no index");
    is_int(llm_json_pointer(o, LLM_STR("/c/d/-"), &m), LLM_NONE, "no index");
    is_int(llm_json_pointer(o, LLM_STR("/c/d/"), &m), LLM_NONE, "no index");
    is_int(llm_json_pointer(o, LLM_STR("/c/d/1e0"), &m), LLM_NONE, "no index");
    is_int(llm_json_pointer(o, LLM_STR("/c/d/99999999999999999999999"), &m),
           LLM_NONE, "far behind");
    is_int(llm_json_pointer(o, LLM_STR("/a/b"), &m), LLM_NONE, "into a number");
    is_int(llm_json_pointer(o, LLM_STR("/x/y"), &m), LLM_NONE, "absent");
    is_int(llm_json_pointer(o, LLM_STR("a"), &m), LLM_BAD, "no slash");
    is_int(llm_json_pointer(o, LLM_STR("/~"), &m), LLM_BAD, "half an escape");
    is_int(llm_json_pointer(o, LLM_STR("/~2"), &m), LLM_BAD, "no escape");
    is_int(llm_json_pointer(LLM_NOSTR, LLM_STR("/a"), &m), LLM_BAD, "nothing");
}


static void
test_key_is(void)
{
    ok(llm_json_key_is(V("model"), V("model")), "same");
    ok(llm_json_key_is(V("mod\\u0065l"), V("model")), "escaped");
    ok(llm_json_key_is(V("\\u006dodel"), V("model")), "at the start");
    ok(llm_json_key_is(V("mode\\u006C"), V("model")), "at the end");
    ok(!llm_json_key_is(V("mod\\u0065"), V("model")), "shorter");
    ok(!llm_json_key_is(V("mod\\u0065ll"), V("model")), "longer");
    ok(!llm_json_key_is(V("\\u004dodel"), V("model")), "case");
    ok(!llm_json_key_is(V("mod\\u006"), V("model")), "no escape");
    ok(!llm_json_key_is(V("mod\\"), V("mod\\")), "half an escape");
    ok(llm_json_key_is(V("a\\\\b"), V("a\\b")), "backslash");
    ok(!llm_json_key_is(V("a\\\\b"), V("a\\\\b")), "not the raw text");
    ok(llm_json_key_is(V("\\ud83d\\ude00"), V("\xf0\x9f\x98\x80")), "pair");
    ok(!llm_json_key_is(V("\\ud83d"), V("\xf0\x9f\x98\x80")), "half a pair");
    ok(llm_json_key_is(V("model\\u0000"), LLM_STR("model\0")), "NUL");
    ok(!llm_json_key_is(V("model\\u0000"), V("model")), "NUL is a byte");
    ok(llm_json_key_is(LLM_NOSTR, LLM_NOSTR), "empty");
    ok(!llm_json_key_is(LLM_NOSTR, V("a")), "empty");
}


/* Whether the only key of an object, in memory of just its size, is found by
 * this name. */
static int
found(const char *object, llm_str_t name)
{
    size_t             n, at;
    llm_rc_t           rc;
    unsigned char     *mem;
    llm_json_want_t    want[] = { { .name = name } };
    llm_json_error_t   error;

    n = strlen(object);
    mem = malloc(n);
    memcpy(mem, object, n);

    rc = llm_json_pick((llm_str_t) { n, mem }, want, 1, &error, &at);
    free(mem);

    return rc == LLM_OK && want[0].value.data != NULL;
}


/* Keys of every length, with every length behind them, and names that differ
 * at every place. */
static void
test_keys(void)
{
    int            good;
    char           object[160];
    size_t         n, i, tail;
    unsigned char  name[48];

    static const char *const  colons[] = { ":", " : ", ":\n" };

    good = 1;
    memset(name, 'x', sizeof(name));

    for (n = 1; n < 40; n++) {
        for (tail = 0; tail < 40; tail++) {
            snprintf(object, sizeof(object), "{\"%.*s\"%s1%*s}", (int) n,
                     name, colons[tail % 3], (int) tail, "");
            good &= found(object, (llm_str_t) { n, name });
            good &= !found(object, (llm_str_t) { n + 1, name });
            good &= !found(object, (llm_str_t) { n - 1, name });
        }

        for (i = 0; i < n; i++) {
            name[i] = 'y';
            good &= !found(object, (llm_str_t) { n, name });
            snprintf(object, sizeof(object), "{\"%.*s\\u0079%.*s\":1}", (int) i,
                     name, (int) (n - i - 1), name + i + 1);
            good &= found(object, (llm_str_t) { n, name });
            name[i] = 'x';
            snprintf(object, sizeof(object), "{\"%.*s\":1}", (int) n, name);
        }
    }

    ok(good, "keys of every length");
}


static void
unescaped(const char *raw, llm_str_t expected)
{
    llm_buf_t       b;
    unsigned char  *mem;

    /* never longer than the raw text, so this much must do */

    mem = malloc(strlen(raw) - 1);
    llm_buf_init(&b, mem, strlen(raw) - 2);

    is_int(llm_json_unescape(V(raw), &b), LLM_OK, raw);
    is_view(llm_buf_view(&b), expected, "decoded");

    free(mem);
}


static void
test_unescape(void)
{
    size_t         i;
    llm_buf_t      b;
    unsigned char  mem[64];

    static const char *const  bad[] = {
        "", "\"", "a", "\"a", "a\"", "1", "null", "\"\\\"", "\"\\x\"",
        "\"\\u12\"", "\"\\u12x4\"", "\"a\"b\"", "\"\n\"", "\"\\ud83d\\u12\""
    };

    unescaped("\"\"", LLM_NOSTR);
    unescaped("\"plain text, longer than one look\"",
              LLM_STR("plain text, longer than one look"));
    unescaped("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", LLM_STR("\"\\/\b\f\n\r\t"));
    unescaped("\"\\u0041\\u00e9\\u20aC\\ud83D\\uDE00\"",
              LLM_STR("A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    unescaped("\"a\\u0000b\"", LLM_STR("a\0b"));
    unescaped("\"\\ud83d\"", LLM_STR("\xef\xbf\xbd"));
    unescaped("\"\\ude00x\"", LLM_STR("\xef\xbf\xbdx"));
    unescaped("\"\\ud83d\\ud83d\\ude00\"",
              LLM_STR("\xef\xbf\xbd\xf0\x9f\x98\x80"));
    unescaped("\"\\ud83d\\n\"", LLM_STR("\xef\xbf\xbd\n"));
    unescaped("\"\\ud83d\\u0041\"", LLM_STR("\xef\xbf\xbd" "A"));
    unescaped("\"\\udbff\\udfff\"", LLM_STR("\xf4\x8f\xbf\xbf"));
    unescaped("\"\xff\xc3\"", LLM_STR("\xff\xc3"));

    llm_buf_init(&b, mem, sizeof(mem));
    llm_buf_put(&b, "kept", 4);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(llm_json_unescape(V(bad[i]), &b), LLM_BAD, bad[i]);
    }

    is_str(llm_buf_view(&b), "kept", "nothing was appended");
    is_int(llm_json_unescape(V("\" more\""), &b), LLM_OK, "appends");
    is_str(llm_buf_view(&b), "kept more", "behind what was there");

    llm_buf_init(&b, mem, 3);
    is_int(llm_json_unescape(V("\"abcd\""), &b), LLM_FULL, "full");
    is_int(llm_buf_view(&b).len, 0, "nothing was appended");
}


static void
put(llm_str_t s, const char *expected)
{
    llm_buf_t      b;
    unsigned char  mem[600];

    llm_buf_init(&b, mem, 6 * s.len + 2);
    llm_json_put_string(&b, s);

    ok(!b.full, "fits");
    is_str(llm_buf_view(&b), expected, "written");
    is_int(llm_json_check(llm_buf_view(&b)), LLM_OK, "well-formed");
}


static void
test_put(void)
{
    llm_buf_t      b;
    unsigned char  mem[64];

    put(LLM_NOSTR, "\"\"");
    put(LLM_STR("abc/'\x7f"), "\"abc/'\x7f\"");
    put(LLM_STR("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    put(LLM_STR("\0\x01\x1f\x0b"), "\"\\u0000\\u0001\\u001f\\u000b\"");
    put(LLM_STR("A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80"
                "\xf4\x8f\xbf\xbf\xe0\xa0\x80\xf0\x90\x80\x80\xc2\x80"),
        "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80"
        "\xf4\x8f\xbf\xbf\xe0\xa0\x80\xf0\x90\x80\x80\xc2\x80\"");

#define FFFD  "\xef\xbf\xbd"

    put(LLM_STR("\x80"), "\"" FFFD "\"");
    put(LLM_STR("\xc3"), "\"" FFFD "\"");
    put(LLM_STR("\xc3x"), "\"" FFFD "x\"");
    put(LLM_STR("\xe2\x82"), "\"" FFFD "\"");
    put(LLM_STR("\xf0\x9f\x98\""), "\"" FFFD "\\\"\"");
    put(LLM_STR("\xc0\xaf"), "\"" FFFD FFFD "\"");
    put(LLM_STR("\xe0\x80\x80"), "\"" FFFD FFFD FFFD "\"");
    put(LLM_STR("\xf0\x8f\xbf\xbf"), "\"" FFFD FFFD FFFD FFFD "\"");
    put(LLM_STR("\xed\xa0\x80"), "\"" FFFD FFFD FFFD "\"");
    put(LLM_STR("\xf4\x90\x80\x80"), "\"" FFFD FFFD FFFD FFFD "\"");
    put(LLM_STR("\xf5\xff\xfe"), "\"" FFFD FFFD FFFD "\"");
    put(LLM_STR("0123456789abcdef\xc3\xa9\xff" "0123456789abcdef\n"),
        "\"0123456789abcdef\xc3\xa9" FFFD "0123456789abcdef\\n\"");

    llm_buf_init(&b, mem, sizeof(mem));
    llm_json_put_escaped(&b, LLM_STR("a\n"));
    llm_json_put_uint(&b, 0);
    llm_json_put_uint(&b, 1234567890);
    llm_json_put_uint(&b, UINT64_MAX);
    is_str(llm_buf_view(&b), "a\\n0123456789018446744073709551615", "numbers");

    llm_buf_init(&b, mem, 4);
    llm_json_put_string(&b, LLM_STR("abc"));
    ok(b.full, "full");
}


static void
amount(const char *value, llm_rc_t rc, uint64_t expected)
{
    uint64_t  n;

    n = 77;
    is_int(llm_json_uint(V(value), &n), rc, value);
    ok(n == (rc == LLM_OK ? expected : 77), "as an integer");
}


static void
scaled(const char *value, unsigned scale, llm_rc_t rc, uint64_t expected)
{
    uint64_t  n;

    n = 77;
    is_int(llm_json_scaled(V(value), scale, &n), rc, value);
    ok(n == (rc == LLM_OK ? expected : 77), "as a decimal");
}


static void
test_numbers(void)
{
    llm_json_member_t  m;
    llm_str_t          huge;

    amount("0", LLM_OK, 0);
    amount("42", LLM_OK, 42);
    amount("\"42\"", LLM_OK, 42);
    amount("1.99", LLM_OK, 1);
    amount("0.99", LLM_OK, 0);
    amount("1e3", LLM_OK, 1000);
    amount("1.5E+1", LLM_OK, 15);
    amount("1500e-2", LLM_OK, 15);
    amount("1e-9", LLM_OK, 0);
    amount("9007199254740993", LLM_OK, 9007199254740993u);
    amount("18446744073709551615", LLM_OK, UINT64_MAX);
    amount("18446744073709551616", LLM_OK, UINT64_MAX);
    amount("1e400", LLM_OK, UINT64_MAX);
    amount("1e99999999999999999999", LLM_OK, UINT64_MAX);
    amount("1e-99999999999999999999", LLM_OK, 0);
    amount("0e99999999999999999999", LLM_OK, 0);
    amount("0.000e5", LLM_OK, 0);
    amount("null", LLM_NONE, 0);
    amount("true", LLM_NONE, 0);
    amount("-1", LLM_NONE, 0);
    amount("", LLM_NONE, 0);
    amount("\"\"", LLM_NONE, 0);
    amount("\"", LLM_NONE, 0);
    amount("\"4x\"", LLM_NONE, 0);
    amount("\" 4\"", LLM_NONE, 0);
    amount("01", LLM_NONE, 0);
    amount("1.", LLM_NONE, 0);
    amount(".5", LLM_NONE, 0);
    amount("1e", LLM_NONE, 0);
    amount("NaN", LLM_NONE, 0);
    amount("[1]", LLM_NONE, 0);

    scaled("0.0213", 9, LLM_OK, 21300000);
    scaled("\"0.0213\"", 9, LLM_OK, 21300000);
    scaled("2.13e-2", 9, LLM_OK, 21300000);
    scaled("213E-4", 9, LLM_OK, 21300000);
    scaled("1", 9, LLM_OK, 1000000000);
    scaled("1.5", 0, LLM_OK, 2);
    scaled("1.4", 0, LLM_OK, 1);
    scaled("0.5", 0, LLM_OK, 1);
    scaled("0.05", 0, LLM_OK, 0);
    scaled("0.0000000005", 9, LLM_OK, 1);
    scaled("0.0000000004999", 9, LLM_OK, 0);
    scaled("0.00000000005", 9, LLM_OK, 0);
    scaled("5e-10", 9, LLM_OK, 1);
    scaled("9e-11", 9, LLM_OK, 0);
    scaled("9e-12", 9, LLM_OK, 0);
    scaled("99999999999", 9, LLM_OK, UINT64_MAX);
    scaled("18446744073709551615.9", 0, LLM_OK, UINT64_MAX);
    scaled("18446744073.709551615", 9, LLM_OK, UINT64_MAX);
    scaled("0", 9, LLM_OK, 0);
    scaled("0.0", 9, LLM_OK, 0);
    scaled("1.74", 3, LLM_OK, 1740);
    scaled("-0.5", 9, LLM_NONE, 0);
    scaled("null", 9, LLM_NONE, 0);

    huge = tap_fixture("hostile/huge-numbers.json");
    is_int(llm_json_pointer(huge, LLM_STR("/usage/prompt_tokens"), &m), LLM_OK,
           "fixture");
    is_str(m.value, "9007199254740993", "bit-exact");
    is_int(llm_json_get(huge, LLM_STR("y"), &m), LLM_OK, "thirty digits");
    is_str(m.value, "123456789012345678901234567890", "bit-exact");
}


static void
test_next_pick(void)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    want[0].name = LLM_STR("model");
    want[1].name = LLM_STR("stream");

    (void) llm_json_begin(&it, V(" [{\"model\":\"a\",\"x\":[{\"model\":1}]} ,"
                                 "{}, 7, {\"model\":1,\"model\":2}]"));

    is_int(llm_json_more(&it), 1, "there is a first");
    is_int(llm_json_next_pick(&it, want, 2), LLM_OK, "the first");
    is_str(want[0].value, "\"a\"", "its member");
    is_int(want[1].value.data == NULL, 1, "and none that it has not");
    is_int(llm_json_next_pick(&it, want, 2), LLM_OK, "an empty one");
    is_int(want[0].value.data == NULL, 1, "without anything");

    is_int(llm_json_next_pick(&it, want, 2), LLM_BAD, "no object");
    is_int(llm_json_next_pick(&it, want, 2), LLM_BAD, "where it was");
    is_int(llm_json_next(&it, &m), LLM_OK, "which is a value");
    is_str(m.value, "7", "of its own");

    is_int(llm_json_next_pick(&it, want, 2), LLM_BAD, "a name twice");
    is_int(llm_json_more(&it), 1, "is still there");
    is_int(llm_json_next(&it, &m), LLM_OK, "until it was passed");
    is_int(llm_json_more(&it), 0, "the last one");
    is_int(llm_json_next_pick(&it, want, 2), LLM_NONE, "the end");
    is_int(llm_json_next_pick(&it, want, 2), LLM_NONE, "stays the end");

    (void) llm_json_begin(&it, V("[{\"a\":1}]x"));
    is_int(llm_json_next_pick(&it, want, 2), LLM_OK, "before garbage");
    is_int(llm_json_next_pick(&it, want, 2), LLM_BAD, "garbage");

    (void) llm_json_begin(&it, V("[{\"a\":1"));
    is_int(llm_json_next_pick(&it, want, 2), LLM_BAD, "cut");
}


static void
test_kind(void)
{
    is_int(llm_json_kind(V("{")), LLM_JSON_OBJECT, "object");
    is_int(llm_json_kind(V("[")), LLM_JSON_ARRAY, "array");
    is_int(llm_json_kind(V("\"")), LLM_JSON_STRING, "string");
    is_int(llm_json_kind(V("-1")), LLM_JSON_NUMBER, "number");
    is_int(llm_json_kind(V("true")), LLM_JSON_TRUE, "true");
    is_int(llm_json_kind(V("false")), LLM_JSON_FALSE, "false");
    is_int(llm_json_kind(V("null")), LLM_JSON_NULL, "null");
    is_int(llm_json_kind(LLM_NOSTR), LLM_JSON_NULL, "nothing");
}


int
main(void)
{
    test_pick();
    test_pick_bad();
    test_depth();
    test_check();
    test_prefixes();
    test_places();
    test_iterate();
    test_next_pick();
    test_get();
    test_key_is();
    test_keys();
    test_unescape();
    test_put();
    test_numbers();
    test_kind();

    return tap_done();
}
