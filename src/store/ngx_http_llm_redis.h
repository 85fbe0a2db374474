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

#pragma GCC visibility push(hidden)


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


#define NGX_HTTP_LLM_REDIS_TIMES  10        /* buckets of latency */
#define NGX_HTTP_LLM_REDIS_TEXT   96

/* The transport's counts, of all workers since the zone was made, and how its
 * agent fares. */
typedef struct {
    uint64_t                    commands;   /* sent */
    uint64_t                    replies;
    uint64_t                    errors;     /* … that were errors */
    uint64_t                    unknown;    /* commands without a reply */
    uint64_t                    busy;       /* not even queued */
    uint64_t                    timeouts;
    uint64_t                    connects;
    uint64_t                    failures;   /* of connections */
    uint64_t                    redirects;
    uint64_t                    unknown_scripts;
    uint64_t                    oom;
    uint64_t                    time[NGX_HTTP_LLM_REDIS_TIMES];
    uint64_t                    time_sum;   /* ms */
    llm_msec_t                  since;      /* connected, or not */
    uint32_t                    connected;  /* the agent's connection is */
    uint32_t                    queue;      /* commands of the agent */
    uint64_t                    run;        /* hash of the run_id seen last */

    /* under the lock; each ends with a zero */
    u_char                      peer[NGX_HTTP_LLM_REDIS_TEXT];
    u_char                      version[NGX_HTTP_LLM_REDIS_TEXT];
    u_char                      why[NGX_HTTP_LLM_REDIS_TEXT];
} ngx_http_llm_redis_totals_t;


/* The bounds of the buckets of latency but the last, in ms. */
extern ngx_msec_t  ngx_http_llm_redis_times[NGX_HTTP_LLM_REDIS_TIMES - 1];

/* For status pages: *address is what the configuration calls it, *mode is
 * "single", "sentinel" or "cluster".  NGX_DECLINED: there is no llm_redis. */
ngx_int_t ngx_http_llm_redis_status(ngx_http_llm_store_t *store,
    ngx_http_llm_redis_totals_t *totals, ngx_str_t *address, ngx_str_t *mode);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_REDIS_H_INCLUDED_ */
