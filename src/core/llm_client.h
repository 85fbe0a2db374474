/*
 * Records of clients, users and organisations, read from JSON.
 *
 *   {"clients": [{"id", "name", "key_sha256", "prefix",
 *                 "keys": [{"sha256", "prefix", "expires"}],
 *                 "user", "org", "models": [], "routes": [], "expires",
 *                 "disabled", "priority": "low|normal|high",
 *                 "limits": [], "budgets": [], "metadata": {}}],
 *    "users":   [{"id", "name", "org", "limits", "budgets", "metadata"}],
 *    "orgs":    [{"id", "name", "timezone", "limits", "budgets", "metadata"}]}
 *
 * Everything is a view of the text, or of the caller's memory where a string
 * has escapes.  Keys are known by their SHA-256 alone.
 */

#ifndef LLM_CLIENT_H
#define LLM_CLIENT_H

#include "llm_core.h"
#include "llm_json.h"
#include "llm_priority.h"

#pragma GCC visibility push(hidden)

#define LLM_CLIENT_ID    255            /* bytes of an id, a name, a pattern */
#define LLM_CLIENT_KEYS  8              /* of one client */
#define LLM_CLIENT_LIST  1000           /* elements of a list */

typedef enum {
    LLM_PARTY_CLIENT = 0, LLM_PARTY_USER, LLM_PARTY_ORG, LLM_PARTY_N
} llm_party_t;

typedef struct {
    unsigned char   sha256[32];
    llm_str_t       prefix;             /* of the key, for people; or empty */
    llm_msec_t      expires;            /* LLM_NEVER */
} llm_client_key_t;

typedef struct {
    llm_str_t         text;             /* the record itself */
    llm_str_t         id;
    llm_str_t         name;
    llm_str_t         user;
    llm_str_t         org;
    llm_str_t         timezone;
    llm_client_key_t  key[LLM_CLIENT_KEYS];
    size_t            key_n;
    llm_msec_t        expires;          /* LLM_NEVER */
    llm_priority_t    priority;         /* UNSET: the record has none */
    llm_str_t         models;           /* arrays of strings, checked, as they
                                           stand there; data NULL: absent */
    llm_str_t         routes;
    llm_str_t         limits;
    llm_str_t         budgets;
    llm_str_t         metadata;         /* an object */
    int               disabled;
} llm_client_record_t;

/* What is wrong, and with what: `member` may be empty. */
typedef struct {
    const char  *why;
    llm_str_t    member;
} llm_client_error_t;

/* Reads one record; `mem` takes what has to be unescaped: as much as the text
 * is enough.  LLM_OK or LLM_BAD. */
llm_rc_t llm_client_record(llm_party_t kind, llm_str_t text, llm_buf_t *mem,
    llm_client_record_t *rec, llm_client_error_t *error);

/* The strings of a list of a record, one after the other: LLM_OK, LLM_NONE at
 * the end (and for an absent list). */
llm_rc_t llm_client_list_begin(llm_json_iter_t *it, llm_str_t list);
llm_rc_t llm_client_list_next(llm_json_iter_t *it, llm_buf_t *mem,
    llm_str_t *s);

/* A member of the metadata, whatever its case; a string without its quotes, the
 * rest as it stands there.  LLM_OK or LLM_NONE. */
llm_rc_t llm_client_metadata(llm_str_t metadata, llm_str_t name, llm_buf_t *mem,
    llm_str_t *value);

/* The records of a whole file.  next: LLM_OK with the text of the next one, its
 * kind in file->kind and its place in that list in file->at, from 1 on;
 * LLM_NONE at the end; LLM_BAD. */
typedef struct {
    llm_json_iter_t  doc;
    llm_json_iter_t  list;
    llm_party_t      kind;              /* of the list; LLM_PARTY_N: none */
    size_t           at;                /* in it, from 1 on */
    unsigned         seen;
} llm_client_file_t;

llm_rc_t llm_client_file_begin(llm_client_file_t *file, llm_str_t text,
    llm_client_error_t *error);
llm_rc_t llm_client_file_next(llm_client_file_t *file, llm_str_t *text,
    llm_client_error_t *error);

/* A day ("2026-12-31": its beginning in UTC) or a point in time (RFC 3339). */
llm_rc_t llm_client_date(llm_str_t s, llm_msec_t *t);

/* "client", "user", "org". */
llm_str_t llm_party_name(llm_party_t kind);

/* Whether a text is one that a pattern with "*" for any bytes describes. */
int llm_glob(llm_str_t pattern, llm_str_t text);

/* Whether 32 bytes are equal; how long it takes does not tell where not. */
int llm_client_same_key(const unsigned char a[32], const unsigned char b[32]);

#pragma GCC visibility pop

#endif /* LLM_CLIENT_H */
