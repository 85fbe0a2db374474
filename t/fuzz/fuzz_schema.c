/*
 * Schemas: any text compiles or is refused with a sentence; what compiles gets
 * an example that is null or fits; any value is checked in bounded time, with a
 * sentence when it does not fit.  Input: the schema, a line feed, a value.
 */

#include <stdlib.h>

#include "llm_prompt.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char  *const  fixed[] = {
    "{\"type\":\"object\",\"properties\":{\"sentiment\":{\"enum\":[\"a\","
        "\"b\"]},\"score\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1},"
        "\"topics\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
        "\"minLength\":1,\"pattern\":\"^[a-z]+$\"},\"uniqueItems\":true}},"
        "\"required\":[\"sentiment\"],\"additionalProperties\":false}",
    "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"anyOf\":[{\"type\":\"null\"},"
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}},"
        "{\"oneOf\":[{\"type\":\"object\",\"additionalProperties\":{\"$ref\":"
        "\"#/$defs/n\"}},{\"not\":{\"const\":1}}]}]}}}"
};


static void
check(const llm_schema_t *s, llm_str_t value)
{
    char  err[64];

    err[0] = '\0';

    if (llm_schema_validate(s, value, err, sizeof(err)) != LLM_OK) {
        MUST(err[0]);
        return;
    }

    MUST(llm_json_check(value) == LLM_OK);
}


static void
example(const llm_schema_t *s, llm_str_t hint)
{
    char           err[64];
    llm_buf_t      out;
    unsigned char  mem[4096];

    llm_buf_init(&out, mem, sizeof(mem));
    llm_schema_example(s, hint.len, hint, &out);

    MUST(out.full
         || llm_str_eq(llm_buf_view(&out), LLM_STR("null"))
         || llm_schema_validate(s, llm_buf_view(&out), err, sizeof(err))
            == LLM_OK);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char            err[64];
    size_t          i;
    llm_str_t       text, value;
    llm_schema_t   *s;
    const uint8_t  *lf;

    lf = size ? memchr(data, '\n', size) : NULL;
    text.data = data;
    text.len = lf ? (size_t) (lf - data) : size;
    value.data = lf ? lf + 1 : data;
    value.len = lf ? size - text.len - 1 : 0;

    err[0] = '\0';

    if (llm_schema_compile(text, &s, err, sizeof(err)) == LLM_OK) {
        check(s, value);
        example(s, value);
        llm_schema_free(s);

    } else {
        MUST(err[0]);
    }

    for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        text.data = (const unsigned char *) fixed[i];
        text.len = strlen(fixed[i]);
        MUST(llm_schema_compile(text, &s, err, sizeof(err)) == LLM_OK);
        check(s, value);
        llm_schema_free(s);
    }

    return 0;
}
