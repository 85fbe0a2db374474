/*
 * Schemas: what compiles, what fits, and examples that fit.
 */

#include "tap.h"
#include "llm_prompt.h"


static llm_schema_t *
schema(const char *text)
{
    char           err[256];
    llm_schema_t  *s;

    if (llm_schema_compile(tap_c(text), &s, err, sizeof(err)) != LLM_OK) {
        printf("# %s\n# %s\n", text, err);
        return NULL;
    }

    return s;
}


static void
refuses(const char *text, const char *why)
{
    char           err[256];
    llm_schema_t  *s;

    ok(llm_schema_compile(tap_c(text), &s, err, sizeof(err)) == LLM_BAD, text);
    is_str(tap_c(err), why, text);
}


/* why NULL: the value fits */
static void
checks(const char *text, const char *json, const char *why)
{
    char           err[256], name[512];
    llm_rc_t       rc;
    llm_schema_t  *s;

    snprintf(name, sizeof(name), "%s on %s", json, text);
    s = schema(text);

    if (!ok(s != NULL, text)) {
        return;
    }

    err[0] = '\0';
    rc = llm_schema_validate(s, tap_c(json), err, sizeof(err));

    is_int(rc, why ? LLM_BAD : LLM_OK, name);
    is_str(tap_c(err), why ? why : "", name);
    llm_schema_free(s);
}


static void
test_refusals(void)
{
    refuses("{", "not JSON");
    refuses("3", "/: is not a schema");
    refuses("{\"type\":\"strin\"}", "/type: is not a type's name");
    refuses("{\"type\":[]}", "/type: is empty");
    refuses("{\"type\":[\"null\",3]}",
            "/type: has something that is not a type's name");
    refuses("{\"properties\":{\"a\":{\"format\":\"date\"}}}",
            "/properties/a: unsupported keyword \"format\"");
    refuses("{\"prefixItems\":[]}", "/: unsupported keyword \"prefixItems\"");
    refuses("{\"anyOf\":[{},{\"multipleOf\":2}]}",
            "/anyOf/1: unsupported keyword \"multipleOf\"");
    refuses("{\"minLength\":-1}",
            "/minLength: is not a non-negative integer");
    refuses("{\"minItems\":1.5}", "/minItems: is not a non-negative integer");
    refuses("{\"pattern\":\"(\"}", "/pattern: is not a regular expression");
    refuses("{\"required\":\"a\"}", "/required: is not an array of names");
    refuses("{\"enum\":[]}", "/enum: is not an array of values");
    refuses("{\"minimum\":\"1\"}", "/minimum: is not a number");
    refuses("{\"items\":[{}]}", "/items: is not a schema");
    refuses("{\"uniqueItems\":1}", "/uniqueItems: is neither true nor false");
    refuses("{\"anyOf\":[]}", "/anyOf: is not an array of schemas");
    refuses("{\"type\":\"object\",\"type\":\"string\"}",
            "duplicate key \"type\"");
    refuses("{\"$ref\":\"#/$defs/no\"}",
            "$ref to something that is not in $defs \"#/$defs/no\"");
    refuses("{\"$ref\":\"http://example.com/s\"}",
            "$ref to something that is not in $defs \"http://example.com/s\"");
    refuses("{\"$ref\":\"#\"}", "$ref leads back to itself \"#\"");
    refuses("{\"$defs\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/$defs/a\"}]}}}",
            "$ref leads back to itself \"#/$defs/a\"");
    refuses("{\"items\":{\"$defs\":{}}}",
            "/items/$defs: is supported at the top only");
    refuses("{\"const\":\"\\u0000\"}", "a NUL character in a string");
}


static void
test_values(void)
{
    checks("{\"type\":\"object\"}", "[]", "/: expected object");
    checks("{\"type\":[\"string\",\"null\"]}", "1",
           "/: expected string or null");
    checks("{\"type\":\"integer\"}", "1.0", NULL);
    checks("{\"type\":\"integer\"}", "1e3", NULL);
    checks("{\"type\":\"integer\"}", "1.5", "/: expected integer");
    checks("{\"type\":\"number\"}", "7", NULL);
    checks("{\"type\":\"number\"}", "\"7\"", "/: expected number");
    checks("{\"properties\":{\"topics\":{\"type\":\"array\"}}}",
           "{\"topics\":1}", "/topics: expected array");
    checks("{\"required\":[\"a\",\"b\"]}", "{\"b\":1}",
           "/: missing member \"a\"");
    checks("{\"required\":[\"a\"]}", "{\"A\":1}", "/: missing member \"a\"");
    checks("{\"properties\":{\"a\":{}},\"additionalProperties\":false}",
           "{\"a\":1,\"b\":2}", "/: unexpected member \"b\"");
    checks("{\"required\":[\"b\"],\"additionalProperties\":false}",
           "{\"b\":2}", "/: unexpected member \"b\"");
    checks("{\"additionalProperties\":{\"type\":\"string\"}}",
           "{\"x\":\"1\",\"y\":2}", "/y: expected string");
    checks("{\"items\":{\"items\":{\"type\":\"null\"}}}", "[[],[null,0]]",
           "/1/1: expected null");
    checks("{\"enum\":[1,\"a\",{\"k\":[1,2]}]}", "{\"k\":[1.0,2]}", NULL);
    checks("{\"enum\":[1,\"a\"]}", "\"b\"", "/: not one of enum");
    checks("{\"const\":{\"a\":1,\"b\":2}}", "{\"b\":2,\"a\":1}", NULL);
    checks("{\"const\":{\"a\":1}}", "{\"a\":1,\"b\":2}",
           "/: not the value of const");
    checks("{\"const\":false}", "0", "/: not the value of const");
    checks("{\"minimum\":1,\"maximum\":2}", "2", NULL);
    checks("{\"minimum\":1}", "0.999", "/: less than minimum");
    checks("{\"maximum\":2}", "1e400", "/: more than maximum");
    checks("{\"exclusiveMinimum\":1}", "1", "/: not above exclusiveMinimum");
    checks("{\"exclusiveMaximum\":1}", "1", "/: not below exclusiveMaximum");
    checks("{\"minLength\":3}", "\"\xd8\xb3\xd9\x84\"",
           "/: shorter than minLength");
    checks("{\"maxLength\":2}", "\"\xf0\x9f\x98\x80\\ud83d\\ude00\"", NULL);
    checks("{\"maxLength\":2}", "\"abc\"", "/: longer than maxLength");
    checks("{\"pattern\":\"^a+$\"}", "\"aaa\"", NULL);
    checks("{\"pattern\":\"^a+$\"}", "\"aaa\\n\"",
           "/: does not match pattern");
    checks("{\"pattern\":\"^(a+)+$\"}",
           "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"",
           "/: does not match pattern");
    checks("{\"pattern\":\"^.$\"}", "\"\xd8\xb3\"", NULL);
    checks("{\"minItems\":1}", "[]", "/: fewer than minItems");
    checks("{\"maxItems\":1}", "[1,2]", "/: more than maxItems");
    checks("{\"uniqueItems\":true}", "[1,\"1\",[1],{\"a\":1}]", NULL);
    checks("{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1}]",
           "/: has equal items");
    checks("{\"anyOf\":[{\"type\":\"null\"},{\"minimum\":5}]}", "4",
           "/: fits none of anyOf");
    checks("{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "4",
           "/: more than maximum");
    checks("{\"oneOf\":[{\"minimum\":1},{\"maximum\":3}]}", "2",
           "/: does not fit exactly one of oneOf");
    checks("{\"oneOf\":[{\"minimum\":1},{\"maximum\":3}]}", "4", NULL);
    checks("{\"not\":{\"type\":\"null\"}}", "null", "/: is what not excludes");
    checks("{\"properties\":{\"a\":false}}", "{\"a\":1}",
           "/a: is not allowed here");
    checks("true", "{}", NULL);
    checks("{\"properties\":{\"a\":{\"$ref\":\"#/$defs/x~1y\",\"maximum\":9}},"
           "\"$defs\":{\"x/y\":{\"type\":\"integer\"}}}", "{\"a\":10}",
           "/a: more than maximum");
    checks("{\"title\":\"t\",\"description\":\"d\",\"default\":1,"
           "\"examples\":[],\"$schema\":\"s\",\"$id\":\"i\","
           "\"$comment\":\"c\"}", "{}", NULL);
    checks("{}", "{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", "duplicate key \"c\"");
    checks("{}", "{\"a\":1,\"\\u0061\":2}", "duplicate key \"a\"");
    checks("{}", "{\"a\":\"\\u0000\"}", "a NUL character in a string");
    checks("{}", "{\"a\":\"\\\\u0000\"}", NULL);
    checks("{}", "{\"a\":01}", "not JSON");
    checks("{}", "{} x", "not JSON");
    checks("{}", "", "not JSON");
    checks("{\"properties\":{\"a\\nb\":{\"type\":\"null\"}}}",
           "{\"a\\nb\":1}", "/a?b: expected null");
}


static void
test_bounds(void)
{
    char           err[512], few[24], *text;
    size_t         i;
    llm_schema_t  *s;

    /* two branches a level would be 2^200 visits */

    s = schema("{\"anyOf\":[{\"items\":{\"$ref\":\"#\"},\"maxItems\":1},"
               "{\"items\":{\"$ref\":\"#\"},\"minItems\":1}],"
               "\"not\":{\"type\":\"null\"}}");

    text = malloc(1024);
    for (i = 0; i < 200; i++) {
        text[i] = '[';
        text[404 - 1 - i] = ']';
    }
    memcpy(text + 200, "null", 4);
    text[404] = '\0';

    is_int(llm_schema_validate(s, tap_c(text), err, sizeof(err)), LLM_BAD,
           "a schema that explodes is cut off");
    ok(strstr(err, ": too much to check") != NULL, "and says so");
    free(text);
    llm_schema_free(s);

    s = schema("{\"required\":[\"a_long_name_that_is_cut_in_the_message\"]}");
    is_int(llm_schema_validate(s, tap_c("{}"), few, sizeof(few)), LLM_BAD,
           "a short err");
    is_int(strlen(few), sizeof(few) - 1, "is filled and terminated");
    is_int(llm_schema_validate(s, tap_c("{}"), NULL, 0), LLM_BAD, "no err");
    llm_schema_free(s);

    llm_schema_free(NULL);
}


static void
test_fixtures(void)
{
    char           err[128];
    size_t         i;
    llm_str_t      text, out;
    llm_schema_t  *s;

    static const struct {
        const char  *name, *err;
    } cases[] = {
        { "app/analyze.response.json", NULL },
        { "app/model-output.valid.txt", NULL },
        { "app/model-output.unicode.txt", NULL },
        { "app/model-output.wrong-type.txt", "/score: expected number" },
        { "app/model-output.missing-key.txt", "/: missing member \"score\"" }
    };

    text = tap_fixture("app/analyze.schema.json");
    ok(llm_schema_compile(text, &s, err, sizeof(err)) == LLM_OK, "compiles");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        out = tap_fixture(cases[i].name);
        err[0] = '\0';
        is_int(llm_schema_validate(s, out, err, sizeof(err)),
               cases[i].err ? LLM_BAD : LLM_OK, cases[i].name);
        is_str(tap_c(err), cases[i].err ? cases[i].err : "", cases[i].name);
    }

    llm_schema_free(s);
}


/* Schemas as people write them; an example of each has to fit it. */
static const char  *const  examples[] = {
    "true",
    "{}",
    "{\"type\":\"object\",\"properties\":{\"sentiment\":{\"type\":\"string\","
        "\"enum\":[\"positive\",\"neutral\",\"negative\"]},\"score\":{"
        "\"type\":\"number\"},\"topics\":{\"type\":\"array\",\"items\":{"
        "\"type\":\"string\"}}},\"required\":[\"sentiment\",\"score\","
        "\"topics\"],\"additionalProperties\":false}",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\","
        "\"minimum\":3,\"exclusiveMaximum\":5},\"b\":{\"type\":\"number\","
        "\"exclusiveMinimum\":0,\"maximum\":0.001},\"c\":{\"maximum\":-7},"
        "\"d\":{\"const\":{\"x\":[1,null]}}},\"required\":[\"a\",\"b\",\"c\","
        "\"d\"]}",
    "{\"type\":\"array\",\"minItems\":3,\"maxItems\":4,\"uniqueItems\":true,"
        "\"items\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":9}}",
    "{\"type\":\"array\",\"minItems\":5,\"uniqueItems\":true,\"items\":{"
        "\"type\":\"integer\",\"minimum\":1,\"maximum\":6}}",
    "{\"type\":\"string\",\"minLength\":40,\"maxLength\":41}",
    "{\"type\":\"string\",\"maxLength\":0}",
    "{\"type\":\"string\",\"pattern\":\"^\\\\d{4}-\\\\d{2}-\\\\d{2}$\"}",
    "{\"type\":\"string\",\"pattern\":\"^(?:[A-Z]{2,3}-[0-9]+|none)$\"}",
    "{\"type\":\"string\",\"pattern\":\"^[^@\\\\s]+@[\\\\w.]+\\\\.(com|org)$"
        "\"}",
    "{\"type\":\"string\",\"pattern\":\"^\\\\+?[0-9 ()-]{7,}$\","
        "\"maxLength\":20}",
    "{\"type\":[\"null\",\"boolean\"]}",
    "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"properties\":{"
        "\"k\":{\"type\":\"boolean\"}},\"required\":[\"k\"]}]}",
    "{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":"
        "[\"a\"]},{\"properties\":{\"a\":{\"minLength\":12},\"b\":{\"type\":"
        "\"integer\"}},\"required\":[\"b\"]}],\"type\":\"object\"}",
    "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\",\"minimum\":2}],"
        "\"maximum\":50}",
    "{\"type\":\"integer\",\"not\":{\"minimum\":0}}",
    "{\"type\":\"string\",\"not\":{\"enum\":[\"example\"]}}",
    "{\"$ref\":\"#/$defs/node\",\"$defs\":{\"node\":{\"type\":\"object\","
        "\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"anyOf\":[{"
        "\"$ref\":\"#/$defs/node\"},{\"type\":\"null\"}]},\"kids\":{\"type\":"
        "\"array\",\"items\":{\"$ref\":\"#/$defs/node\"}}},\"required\":["
        "\"v\",\"next\",\"kids\"],\"additionalProperties\":false}}}",
    "{\"type\":\"object\",\"required\":[\"free\"]}",
    "{\"type\":\"object\",\"required\":[\"x\"],\"additionalProperties\":{"
        "\"type\":\"array\",\"items\":{\"enum\":[1,2]}}}",
    "{\"enum\":[1,2,\"three\"],\"type\":\"string\"}",
    "{\"type\":\"number\",\"minimum\":1e300,\"maximum\":2e300}"
};


static void
test_examples(void)
{
    char           err[256];
    size_t         i, n, good;
    uint64_t       seed;
    llm_buf_t      out, again;
    llm_str_t      hint;
    llm_schema_t  *s;
    unsigned char  mem[8192], twin[8192];

    hint = LLM_STR("The delivery was fast but the box was wet.");

    for (i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        s = schema(examples[i]);
        if (!ok(s != NULL, examples[i])) {
            continue;
        }

        good = 0;

        for (seed = 0; seed < 50; seed++) {
            n = (size_t) seed % 5 ? hint.len : 0;
            llm_buf_init(&out, mem, sizeof(mem));
            llm_buf_init(&again, twin, sizeof(twin));
            llm_schema_example(s, seed, (llm_str_t) { n, hint.data }, &out);
            llm_schema_example(s, seed, (llm_str_t) { n, hint.data }, &again);

            if (llm_schema_validate(s, llm_buf_view(&out), err, sizeof(err))
                != LLM_OK)
            {
                tap_bytes(err, llm_buf_view(&out));
                continue;
            }

            good += (size_t) llm_str_eq(llm_buf_view(&out),
                                        llm_buf_view(&again));
        }

        is_int(good, 50, examples[i]);
        llm_schema_free(s);
    }

    s = schema("false");
    llm_buf_init(&out, mem, sizeof(mem));
    llm_schema_example(s, 1, hint, &out);
    is_str(llm_buf_view(&out), "null", "when nothing fits: null");
    llm_schema_free(s);

    s = schema(examples[2]);
    llm_buf_init(&out, mem, 10);
    llm_schema_example(s, 1, hint, &out);
    ok(out.full, "too little room");
    llm_schema_free(s);
}


int
main(void)
{
    test_refusals();
    test_values();
    test_bounds();
    test_fixtures();
    test_examples();

    return tap_done();
}
