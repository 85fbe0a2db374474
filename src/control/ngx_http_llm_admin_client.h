
/*
 * Calls about clients, users and organisations.
 *
 * admin_client.c   the calls
 * admin_record.c   a record, as it is stored and shown; its keys
 */


#ifndef _NGX_HTTP_LLM_ADMIN_CLIENT_H_INCLUDED_
#define _NGX_HTTP_LLM_ADMIN_CLIENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_ADMIN_SECRET  47          /* bytes of a key we make */


/* A change of a record. */

typedef struct {
    llm_party_t                 kind;
    cJSON                      *record;        /* as it will be; NULL: gone */
    ngx_str_t                   action;        /* for the audit trail */
    u_char                      secret[NGX_HTTP_LLM_ADMIN_SECRET];
    unsigned                    has_secret:1;  /* a key was made: show it */
} ngx_http_llm_admin_party_t;


/* Whom the path is about. */

llm_party_t ngx_http_llm_admin_party_kind(ngx_http_llm_admin_t *a);

/* p->record becomes what is there, in the version the body speaks of; an empty
 * one for a user or an organisation that is new.  NGX_OK or refused. */

ngx_int_t ngx_http_llm_admin_party_open(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p);

/* record.c.  store: checks the record, takes it over, makes the audit entry,
 * answers; NGX_OK or refused.  view: a record without hashes, as an element of
 * a list or as the whole answer.  add_key: another key, before the others. */

ngx_int_t ngx_http_llm_admin_party_store(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p);
void ngx_http_llm_admin_party_view(ngx_http_llm_admin_t *a, cJSON *list,
    ngx_http_llm_client_t *client);
ngx_int_t ngx_http_llm_admin_add_key(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p);
ngx_int_t ngx_http_llm_admin_random(ngx_http_llm_admin_t *a, u_char *p,
    size_t n);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_ADMIN_CLIENT_H_INCLUDED_ */
