/*
 * What the files that read records share; private to llm_client*.c.
 */

#ifndef LLM_CLIENT_READ_H
#define LLM_CLIENT_READ_H

#include "llm_client.h"

#pragma GCC visibility push(hidden)

typedef struct {
    llm_buf_t            *mem;
    llm_client_record_t  *rec;
    const char           *why;          /* what is wrong; NULL: nothing */
} llm_client_read_t;

/* Readers of members; `offset` is where the field is in the record. */
typedef void (*llm_client_pt)(llm_client_read_t *r,
    const llm_json_member_t *m, size_t offset);

/* "key_sha256" and "prefix" are the first key, "keys" all of them. */
void llm_client_read_key(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset);
void llm_client_read_prefix(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset);
void llm_client_read_keys(llm_client_read_t *r, const llm_json_member_t *m,
    size_t offset);

/* A string without its escapes. */
llm_rc_t llm_client_string(llm_str_t raw, llm_buf_t *mem, llm_str_t *s);

/* What keeps a text out of a log line or a header; NULL: nothing. */
const char *llm_client_check_word(llm_str_t s);

/* A date, or a point in time. */
llm_rc_t llm_client_time(llm_str_t raw, llm_msec_t *t);

#pragma GCC visibility pop

#endif /* LLM_CLIENT_READ_H */
