/*
 * Unwrapping: what is found lies inside the text and is one JSON object; the
 * strict reading is never different from the repairing one; and chatter around
 * a good answer does not change it.
 */

#include <stdlib.h>

#include "llm_prompt.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
good(llm_str_t text, const llm_unwrapped_t *u)
{
    MUST(u->json.data >= text.data);
    MUST(u->json.data + u->json.len <= text.data + text.len);
    MUST(llm_json_check(u->json) == LLM_OK);
    MUST(u->json.data[0] == '{' && u->json.data[u->json.len - 1] == '}');
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_str_t         text;
    const char       *why;
    unsigned char    *p;
    llm_unwrapped_t   strict, loose, again;

    static const char  before[] = "Sure!\n```json\n";
    static const char  behind[] = "\n```\nBye.";

    text = (llm_str_t) { size, data };

    if (llm_answer_unwrap(text, 1, &loose, &why) != LLM_OK) {
        MUST(why != NULL && *why);
        MUST(llm_answer_unwrap(text, 0, &strict, &why) == LLM_BAD);
        return 0;
    }

    good(text, &loose);

    if (llm_answer_unwrap(text, 0, &strict, &why) == LLM_OK) {
        good(text, &strict);
        MUST(!loose.repaired && llm_str_eq(strict.json, loose.json));
    } else {
        MUST(loose.repaired);
    }

    p = malloc(size + sizeof(before) + sizeof(behind));
    memcpy(p, before, sizeof(before) - 1);
    memcpy(p + sizeof(before) - 1, loose.json.data, loose.json.len);
    memcpy(p + sizeof(before) - 1 + loose.json.len, behind,
           sizeof(behind) - 1);

    text.data = p;
    text.len = sizeof(before) - 1 + loose.json.len + sizeof(behind) - 1;
    MUST(llm_answer_unwrap(text, 1, &again, &why) == LLM_OK);
    MUST(again.repaired && llm_str_eq(again.json, loose.json));

    free(p);

    return 0;
}
