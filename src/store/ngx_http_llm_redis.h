/*
 * The transport to Redis, or to anything that speaks its protocol.
 *
 * One pipelined connection per worker (in a cluster: per worker and node), on
 * nginx's event loop; hiredis only reads and writes the protocol.  Nothing here
 * ever blocks, and nothing is ever sent twice on its own account but for a
 * script that Redis did not know and a slot that has moved: a command whose
 * reply is lost may have been executed, or may still be.  So every write has to
 * be idempotent.
 */

#ifndef _NGX_HTTP_LLM_REDIS_H_INCLUDED_
#define _NGX_HTTP_LLM_REDIS_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <hiredis/hiredis.h>

#include "ngx_http_llm_store.h"


#define NGX_HTTP_LLM_REDIS_KEY  512         /* bytes of a key at most */

typedef struct ngx_http_llm_redis_s  ngx_http_llm_redis_t;


/* The reply belongs to the transport and is gone afterwards.  NULL: the outcome
 * is unknown, the command may have been executed or may be later. */
typedef void (*ngx_http_llm_redis_pt)(void *data, redisReply *reply);


/* A script, as a static variable: { ngx_string("return 1"), "" }. */
typedef struct {
    ngx_str_t     text;
    u_char        sha1[41];                 /* found at the first use */
} ngx_http_llm_script_t;


/*
 * Sends a command; `key` tells where to in a cluster (NULL: to any node).  The
 * words are copied.
 *   NGX_OK     `pt` (may be NULL) is called exactly once, later: with the reply
 *              (errors are replies too), or with NULL
 *   NGX_BUSY   nothing was sent and `pt` is not called: no llm_redis (`redis`
 *              may be NULL), no connection and none to be had now, or the queue
 *              is full
 * A worker that has no connection yet makes one; the command waits for it.
 */
ngx_int_t ngx_http_llm_redis_command(ngx_http_llm_redis_t *redis,
    ngx_str_t *key, ngx_uint_t argc, ngx_str_t *argv, ngx_http_llm_redis_pt pt,
    void *data);

/*
 * The same for a script: argv begins with its `keys` keys, all in one slot; the
 * first tells where to.  EVALSHA, and once EVAL where Redis does not know it.
 */
ngx_int_t ngx_http_llm_redis_eval(ngx_http_llm_redis_t *redis,
    ngx_http_llm_script_t *script, ngx_uint_t keys, ngx_uint_t argc,
    ngx_str_t *argv, ngx_http_llm_redis_pt pt, void *data);

/*
 * A key: the prefix and a text by nginx's format, in `buf`, which should have
 * NGX_HTTP_LLM_REDIS_KEY bytes; what does not fit is cut, so put names that may
 * be long in as a hash.  Keys of one script share a {tag}.
 */
ngx_str_t ngx_http_llm_redis_key(ngx_http_llm_redis_t *redis, u_char *buf,
    size_t size, const char *fmt, ...);

/* A number of a reply: an integer, or a string of digits.  NGX_ERROR: it is
 * none.  `reply` may be NULL. */
ngx_int_t ngx_http_llm_redis_int(const redisReply *reply, int64_t *n);

/* The text of a string, status or error; empty for anything else. */
ngx_str_t ngx_http_llm_redis_str(const redisReply *reply);

/* Whether it is an array of at least n elements. */
ngx_uint_t ngx_http_llm_redis_is_array(const redisReply *reply, size_t n);

/* Whether it is an error that begins with that word, as "NOSCRIPT". */
ngx_uint_t ngx_http_llm_redis_is_error(const redisReply *reply, char *word);

#endif /* _NGX_HTTP_LLM_REDIS_H_INCLUDED_ */
