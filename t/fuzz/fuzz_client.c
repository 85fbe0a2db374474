/*
 * Files of clients: what is read lies inside the text or the memory given, is
 * printable, and is the same when it is read again.
 */

#include <stdlib.h>

#include "llm_client.h"

#define MUST(condition)  if (!(condition)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check_word(llm_str_t s, llm_str_t text, const llm_buf_t *mem)
{
    size_t  i;

    if (s.data == NULL) {
        return;
    }

    MUST((s.data >= text.data && s.data + s.len <= text.data + text.len)
         || (s.data >= mem->start && s.data + s.len <= mem->pos));
    MUST(s.len <= LLM_CLIENT_ID);

    for (i = 0; i < s.len; i++) {
        MUST(s.data[i] >= 0x20 && s.data[i] != 0x7f);
    }
}


static void
check_list(llm_str_t list, llm_str_t text)
{
    size_t           n;
    llm_buf_t        mem;
    llm_str_t        s;
    unsigned char   *p;
    llm_json_iter_t  it;

    if (llm_client_list_begin(&it, list) != LLM_OK) {
        MUST(list.data == NULL);
        return;
    }

    p = malloc(list.len + 1);
    llm_buf_init(&mem, p, list.len);

    for (n = 0; llm_client_list_next(&it, &mem, &s) == LLM_OK; n++) {
        MUST(s.len);
        check_word(s, text, &mem);
        MUST(llm_glob(LLM_STR("*"), s));
    }

    MUST(n <= LLM_CLIENT_LIST && !mem.full);
    free(p);
}


static void
check_record(llm_party_t kind, llm_str_t text)
{
    llm_buf_t             mem;
    llm_str_t             s;
    unsigned char        *p;
    llm_client_error_t    error;
    llm_client_record_t   rec;

    error.why = NULL;
    p = malloc(text.len + 1);
    llm_buf_init(&mem, p, text.len);

    if (llm_client_record(kind, text, &mem, &rec, &error) != LLM_OK) {
        MUST(error.why);
        free(p);
        return;
    }

    MUST(rec.id.len && rec.key_n <= LLM_CLIENT_KEYS);
    check_word(rec.id, text, &mem);
    check_word(rec.name, text, &mem);
    check_word(rec.user, text, &mem);
    check_word(rec.org, text, &mem);
    check_word(rec.timezone, text, &mem);
    check_word(rec.key[0].prefix, text, &mem);
    check_list(rec.models, text);
    check_list(rec.routes, text);
    check_list(rec.limits, text);
    check_list(rec.budgets, text);

    (void) llm_client_metadata(rec.metadata, LLM_STR("team"), &mem, &s);

    free(p);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_rc_t            rc;
    llm_str_t           text;
    llm_client_file_t   file;
    llm_client_error_t  error;

    text.len = size;
    text.data = data;

    check_record(LLM_PARTY_CLIENT, text);
    check_record(LLM_PARTY_USER, text);
    check_record(LLM_PARTY_ORG, text);

    rc = llm_client_file_begin(&file, text, &error);

    while (rc == LLM_OK) {
        rc = llm_client_file_next(&file, &text, &error);

        if (rc == LLM_OK) {
            MUST(file.kind < LLM_PARTY_N && file.at);
            check_record(file.kind, text);
        }
    }

    return 0;
}
