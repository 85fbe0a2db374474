/*
 * Parties: the records of clients, users and organisations that were made,
 * changed or deleted at run time.
 *
 * They lie in the zone as JSON, each with a version: the greatest one wins, on
 * every node, and a deletion is a record without text.  Whoever keeps a table
 * of them (each worker, and the agent that tells other nodes) remembers the
 * serial number up to which it has seen changes, and asks for what came after.
 */

#ifndef _NGX_HTTP_LLM_PARTY_H_INCLUDED_
#define _NGX_HTTP_LLM_PARTY_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>

#include "llm_client.h"
#include "ngx_http_llm_store.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_PARTY_TEXT  65536      /* bytes of a record, at most */


typedef struct {
    llm_party_t                 kind;
    ngx_str_t                   id;
    ngx_str_t                   text;       /* JSON; empty: deleted */
    uint64_t                    version;
    uint64_t                    serial;     /* of this zone; out */
    unsigned                    lasting:1;  /* a deletion that hides a record of
                                               the file: it is never dropped */
    unsigned                    remote:1;   /* learned from another node */
} ngx_http_llm_party_row_t;


/* The number of the newest change; one load, without the lock. */
uint64_t ngx_http_llm_party_serial(ngx_http_llm_store_t *store);

/*
 * Takes a record over, if its version is greater than what is there; of equal
 * versions the text with the greater hash stays, so that all nodes choose the
 * same.  NGX_OK: taken; NGX_DECLINED: what is there is as new; NGX_ERROR: no
 * room in the zone.
 */
ngx_int_t ngx_http_llm_party_put(ngx_http_llm_store_t *store,
    const ngx_http_llm_party_row_t *row);

/* Versions are the time in ms, times 1024, and some bits of the node, so that
 * two nodes hardly ever choose the same one. */
static ngx_inline uint64_t
ngx_http_llm_party_stamp(llm_msec_t t)
{
    return t * 1024;
}

/* One that is greater than any of this record so far. */
uint64_t ngx_http_llm_party_version(ngx_http_llm_store_t *store,
    llm_party_t kind, const ngx_str_t *id);

/*
 * Changes after serial *after, oldest first, as many as fit in one copy; *after
 * is then the serial of the last one.  Elements of `rows` are rows; what they
 * point to is of `pool`.  NGX_OK; NGX_DONE: there is nothing newer; NGX_ERROR.
 */
ngx_int_t ngx_http_llm_party_next(ngx_http_llm_store_t *store, uint64_t *after,
    ngx_pool_t *pool, ngx_array_t *rows);


/* A deletion hides a record of the file: it is never dropped. */
void ngx_http_llm_party_last(ngx_http_llm_store_t *store, llm_party_t kind,
    const ngx_str_t *id);


/* ---- what came of llm_auth ----------------------------------------------- */

typedef enum {
    NGX_HTTP_LLM_AUTH_OK = 0,
    NGX_HTTP_LLM_AUTH_MISSING,
    NGX_HTTP_LLM_AUTH_UNKNOWN,
    NGX_HTTP_LLM_AUTH_EXPIRED,
    NGX_HTTP_LLM_AUTH_DISABLED,
    NGX_HTTP_LLM_AUTH_NOT_ALLOWED,          /* let in, but not to that model */
    NGX_HTTP_LLM_AUTH_N
} ngx_http_llm_auth_e;

void ngx_http_llm_auth_count(ngx_http_llm_store_t *store,
    ngx_http_llm_auth_e outcome);
uint64_t ngx_http_llm_auth_total(ngx_http_llm_store_t *store,
    ngx_http_llm_auth_e outcome);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_PARTY_H_INCLUDED_ */
