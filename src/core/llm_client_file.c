/*
 * A file of clients: its lists, record by record.
 */

#include "llm_client.h"


static llm_rc_t
llm_client_file_fail(llm_client_error_t *error, const char *why,
    llm_str_t member)
{
    error->why = why;
    error->member = member;

    return LLM_BAD;
}


llm_rc_t
llm_client_file_begin(llm_client_file_t *file, llm_str_t text,
    llm_client_error_t *error)
{
    memset(file, 0, sizeof(llm_client_file_t));

    file->kind = LLM_PARTY_N;

    if (llm_json_begin(&file->doc, text) != LLM_OK || file->doc.close != '}')
    {
        return llm_client_file_fail(error, "must be an object with \"clients\"",
                                    LLM_NOSTR);
    }

    return LLM_OK;
}


/* Enters the next list of the document. */
static llm_rc_t
llm_client_file_enter(llm_client_file_t *file, llm_client_error_t *error)
{
    llm_rc_t           rc;
    llm_json_member_t  m;

    rc = llm_json_next(&file->doc, &m);

    if (rc != LLM_OK) {
        return rc == LLM_NONE ? rc
               : llm_client_file_fail(error, "is not valid JSON", LLM_NOSTR);
    }

    if (llm_json_key_is(m.key, LLM_STR("clients"))) {
        file->kind = LLM_PARTY_CLIENT;

    } else if (llm_json_key_is(m.key, LLM_STR("users"))) {
        file->kind = LLM_PARTY_USER;

    } else if (llm_json_key_is(m.key, LLM_STR("orgs"))) {
        file->kind = LLM_PARTY_ORG;

    } else {
        return llm_client_file_fail(error, "is unknown, expected \"clients\", "
                                    "\"users\" or \"orgs\"", m.key);
    }

    if (file->seen & 1u << file->kind) {
        return llm_client_file_fail(error, "stands there twice", m.key);
    }

    file->seen |= 1u << file->kind;
    file->at = 0;

    if (m.kind != LLM_JSON_ARRAY
        || llm_json_begin(&file->list, m.value) != LLM_OK)
    {
        return llm_client_file_fail(error, "must be a list", m.key);
    }

    return LLM_OK;
}


llm_rc_t
llm_client_file_next(llm_client_file_t *file, llm_str_t *text,
    llm_client_error_t *error)
{
    llm_rc_t           rc;
    llm_json_member_t  m;

    for ( ;; ) {

        if (file->kind == LLM_PARTY_N) {
            rc = llm_client_file_enter(file, error);

            if (rc != LLM_OK) {
                return rc;
            }
        }

        rc = llm_json_next(&file->list, &m);

        if (rc == LLM_OK) {
            file->at++;
            *text = m.value;
            return LLM_OK;
        }

        if (rc != LLM_NONE) {
            return llm_client_file_fail(error, "is not valid JSON", LLM_NOSTR);
        }

        file->kind = LLM_PARTY_N;
    }
}
