/*
 * What lies in the zone of clients, users and organisations: private to
 * src/store.
 */

#ifndef _NGX_HTTP_LLM_SHM_PARTY_H_INCLUDED_
#define _NGX_HTTP_LLM_SHM_PARTY_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>

#include "ngx_http_llm_party.h"

#pragma GCC visibility push(hidden)


/* A record of a client, user or organisation: its id, then its text. */
typedef struct ngx_http_llm_party_node_s  ngx_http_llm_party_node_t;

struct ngx_http_llm_party_node_s {
    ngx_queue_t                 queue;
    ngx_http_llm_party_node_t  *next;       /* in its bucket */
    uint64_t                    hash;
    uint64_t                    version;
    uint64_t                    serial;
    llm_party_t                 kind;
    uint32_t                    id_len;
    uint32_t                    text_len;   /* 0: deleted */
    unsigned                    lasting:1;
    unsigned                    remote:1;
    u_char                      data[1];
};

typedef struct {
    ngx_http_llm_party_node_t **bucket;     /* NULL until the first */
    ngx_queue_t                 changes;    /* all of them, newest last */
    ngx_uint_t                  n;
    ngx_uint_t                  gone;       /* deletions among them */
    size_t                      size;
    uint64_t                    serial;     /* of the newest change */
    uint64_t                    auth[NGX_HTTP_LLM_AUTH_N];
} ngx_http_llm_parties_t;

/* ngx_http_llm_state_party.c: records as a member of `tree`, there and back. */
ngx_int_t ngx_http_llm_state_put_parties(ngx_http_llm_store_t *store,
    cJSON *tree);
void ngx_http_llm_state_get_parties(ngx_http_llm_store_t *store,
    const cJSON *tree);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SHM_PARTY_H_INCLUDED_ */
