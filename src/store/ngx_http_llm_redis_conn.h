/*
 * The insides of the transport: private to src/store/ngx_http_llm_redis*.c and
 * to who fills its configuration.
 */

#ifndef _NGX_HTTP_LLM_REDIS_CONN_H_INCLUDED_
#define _NGX_HTTP_LLM_REDIS_CONN_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "llm_redis.h"
#include "ngx_http_llm_redis.h"
#include "ngx_http_llm_shm.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_REDIS_PORT      6379
#define NGX_HTTP_LLM_REDIS_SENTINEL  26379
#define NGX_HTTP_LLM_REDIS_CONNS     64     /* nodes of a cluster */
#define NGX_HTTP_LLM_REDIS_HOST      256
#define NGX_HTTP_LLM_REDIS_WHY       96


typedef struct ngx_http_llm_redis_conn_s  ngx_http_llm_redis_conn_t;
typedef struct ngx_http_llm_redis_cmd_s   ngx_http_llm_redis_cmd_t;


/* Redis may have lost something; a static text says why. */
typedef void (*ngx_http_llm_redis_lost_pt)(ngx_http_llm_store_t *store,
    char *why);

/* Something was published. */
typedef void (*ngx_http_llm_redis_message_pt)(ngx_http_llm_store_t *store,
    ngx_str_t *text);


/* An address as the configuration has it. */
typedef struct {
    ngx_str_t                   text;       /* as it was written */
    ngx_str_t                   host;
    in_port_t                   port;
    ngx_addr_t                 *addrs;      /* of a literal, or found at start
                                               for lack of a resolver */
    ngx_uint_t                  naddrs;
} ngx_http_llm_redis_addr_t;


typedef enum {
    NGX_HTTP_LLM_REDIS_SINGLE = 0,
    NGX_HTTP_LLM_REDIS_GUARDED,             /* sentinels know the address */
    NGX_HTTP_LLM_REDIS_CLUSTER
} ngx_http_llm_redis_mode_e;


struct ngx_http_llm_redis_s {
    /* the configuration */
    ngx_array_t                 addrs;      /* … of redis_addr_t: the server,
                                               sentinels, or first nodes */
    ngx_uint_t                  mode;
    ngx_str_t                   shown;      /* for people */
    ngx_str_t                   prefix;
    ngx_uint_t                  db;
    ngx_str_t                   user;
    ngx_str_t                   password;   /* secret */
    ngx_msec_t                  timeout;
    ngx_str_t                   master;     /* what sentinels call it */
    ngx_uint_t                  nodes;      /* expected before contact */
    void                       *ssl;        /* ngx_ssl_t, or NULL: plain */
    ngx_flag_t                  tls_verify;
    ngx_str_t                   tls_name;   /* empty: the host */
    ngx_resolver_t             *resolver;   /* NULL: there is none */
    ngx_msec_t                  resolver_timeout;
    ngx_str_t                   file;       /* of the directive */
    ngx_uint_t                  line;

    /* of this worker */
    ngx_http_llm_store_t       *store;
    ngx_uint_t                  agent;      /* it has the lead */
    ngx_uint_t                  n;          /* connections */
    ngx_http_llm_redis_conn_t  *conn[NGX_HTTP_LLM_REDIS_CONNS];
    ngx_http_llm_redis_conn_t  *listener;   /* for what is published */
    ngx_http_llm_redis_conn_t  *sentinel;
    ngx_uint_t                  asked;      /* … how many were, in a row */
    ngx_msec_t                  asked_at;
    uint16_t                   *slots;      /* conn of a slot + 1; 0: unknown */
    ngx_msec_t                  slots_at;   /* … asked for */
    ngx_uint_t                  known;      /* slots were heard once */
    ngx_http_llm_redis_lost_pt  lost;
    ngx_http_llm_redis_message_pt
                                message;
};


struct ngx_http_llm_redis_cmd_s {
    ngx_queue_t                 queue;
    ngx_http_llm_redis_pt       pt;
    void                       *data;
    ngx_http_llm_script_t      *script;     /* NULL: it is none */
    char                       *text;       /* in the protocol */
    size_t                      len;
    ngx_msec_t                  begun;
    ngx_uint_t                  hops;
    ngx_http_llm_redis_conn_t  *hello;      /* part of its hello */
};


typedef enum {
    NGX_HTTP_LLM_REDIS_COMMANDS = 0,
    NGX_HTTP_LLM_REDIS_LISTENER,
    NGX_HTTP_LLM_REDIS_ASKER                /* of sentinels */
} ngx_http_llm_redis_kind_e;


typedef enum {
    NGX_HTTP_LLM_REDIS_IDLE = 0,
    NGX_HTTP_LLM_REDIS_WAIT,                /* until it may be tried again */
    NGX_HTTP_LLM_REDIS_FIND,                /* of an address */
    NGX_HTTP_LLM_REDIS_CONNECT,             /* and TLS */
    NGX_HTTP_LLM_REDIS_HELLO,
    NGX_HTTP_LLM_REDIS_READY
} ngx_http_llm_redis_state_e;


struct ngx_http_llm_redis_conn_s {
    ngx_http_llm_redis_t       *redis;
    ngx_uint_t                  kind;
    ngx_uint_t                  state;

    ngx_uint_t                  addr;       /* index; the address to try … */
    ngx_uint_t                  turn;       /* … of several it has */
    ngx_uint_t                  learned;    /* host and port were learned */
    in_port_t                   port;
    ngx_str_t                   host;
    u_char                      name[NGX_HTTP_LLM_REDIS_HOST];
    uint64_t                    run;        /* hash of the run_id seen last */

    ngx_resolver_ctx_t         *resolving;
    ngx_peer_connection_t       peer;
    struct sockaddr_storage     sockaddr;
    ngx_str_t                   peer_name;
    u_char                      peer_text[NGX_SOCKADDR_STRLEN];
    ngx_uint_t                  serial;     /* of its connects */
    redisReader                *reader;
    size_t                      fed;        /* since the last whole reply */

    ngx_queue_t                 hello;      /* … not sent yet */
    ngx_queue_t                 waiting;    /* … not sent yet */
    ngx_queue_t                 sent;       /* replies are due, in order */
    size_t                      offset;     /* of the first one not sent */
    ngx_uint_t                  n;          /* in all three */
    size_t                      bytes;

    ngx_event_t                 life;       /* a phase's end, or the wait's */
    ngx_event_t                 deadline;   /* of the oldest command */
    ngx_connection_t            ident;      /* what both of them point to */

    ngx_uint_t                  timeouts;   /* in a row */
    ngx_uint_t                  failures;   /* in a row */
    ngx_msec_t                  heard;      /* something, as a listener */
    char                       *why;        /* of the last failure */
    ngx_msec_t                  told;       /* … it was logged */
};


/* ngx_http_llm_redis_conn.c: the life of a connection */

ngx_http_llm_redis_conn_t *ngx_http_llm_redis_conn(ngx_http_llm_redis_t *redis,
    ngx_uint_t kind);

/* Begins to connect an idle one; it may be in NGX_HTTP_LLM_REDIS_WAIT right
 * afterwards. */
void ngx_http_llm_redis_open(ngx_http_llm_redis_conn_t *conn);

/* The next step: the address is known. */
void ngx_http_llm_redis_connect(ngx_http_llm_redis_conn_t *conn);

/* A static text says why.  All its commands have an unknown outcome then. */
void ngx_http_llm_redis_fail(ngx_http_llm_redis_conn_t *conn, char *why);

/* The same for nobody's fault: it can be opened again at once. */
void ngx_http_llm_redis_leave(ngx_http_llm_redis_conn_t *conn, char *why);

/* Hello was said and heard. */
void ngx_http_llm_redis_ready(ngx_http_llm_redis_conn_t *conn);

/* Logs it, unless that was said a moment ago. */
void ngx_http_llm_redis_tell(ngx_http_llm_redis_conn_t *conn, char *why);

void ngx_http_llm_redis_conn_free(ngx_http_llm_redis_conn_t *conn);


/* ngx_http_llm_redis_io.c: commands and replies */

/* NULL: there is not enough memory. */
ngx_http_llm_redis_cmd_t *ngx_http_llm_redis_cmd(ngx_uint_t argc,
    ngx_str_t *argv, ngx_http_llm_redis_pt pt, void *data);
void ngx_http_llm_redis_cmd_free(ngx_http_llm_redis_cmd_t *cmd);

/* Queues it, without a look at bounds; a command of hello goes before. */
void ngx_http_llm_redis_push(ngx_http_llm_redis_conn_t *conn,
    ngx_http_llm_redis_cmd_t *cmd);

/* NGX_OK, or NGX_BUSY: the connection cannot take it. */
ngx_int_t ngx_http_llm_redis_take(ngx_http_llm_redis_conn_t *conn, size_t len);

/* Takes it out: its reply has come. */
void ngx_http_llm_redis_pop(ngx_http_llm_redis_conn_t *conn,
    ngx_http_llm_redis_cmd_t *cmd);

void ngx_http_llm_redis_read(ngx_event_t *ev);
void ngx_http_llm_redis_write(ngx_event_t *ev);
void ngx_http_llm_redis_expire(ngx_event_t *ev);

/* Of every command there, the outcome is unknown. */
void ngx_http_llm_redis_drop(ngx_http_llm_redis_conn_t *conn);

/* Moves all of a queue to the end of another. */
void ngx_http_llm_redis_join(ngx_queue_t *to, ngx_queue_t *from);


/* ngx_http_llm_redis_hello.c: what is said first */
void ngx_http_llm_redis_hello(ngx_http_llm_redis_conn_t *conn);


/* ngx_http_llm_redis_find.c: where to */

/* Fills the peer's address, now or later; then ngx_http_llm_redis_connect(), or
 * ngx_http_llm_redis_fail(). */
void ngx_http_llm_redis_find(ngx_http_llm_redis_conn_t *conn);
void ngx_http_llm_redis_find_cancel(ngx_http_llm_redis_conn_t *conn);

/* Asks a sentinel now and then whether the master is still the same. */
void ngx_http_llm_redis_guard(ngx_http_llm_redis_t *redis);

/* Gives a connection an address that was learned. */
void ngx_http_llm_redis_learn(ngx_http_llm_redis_conn_t *conn, ngx_str_t *host,
    in_port_t port);


/* ngx_http_llm_redis_cluster.c */

/* The connection for a key (NULL: any), or NULL. */
ngx_http_llm_redis_conn_t *ngx_http_llm_redis_route(
    ngx_http_llm_redis_t *redis, ngx_str_t *key);

/* Follows a redirection.  NGX_OK: the command went on, its reply will come;
 * NGX_DECLINED: it is no such error, or cannot be followed. */
ngx_int_t ngx_http_llm_redis_follow(ngx_http_llm_redis_conn_t *conn,
    ngx_http_llm_redis_cmd_t *cmd, redisReply *reply);

/* The reply to CLUSTER SLOTS. */
void ngx_http_llm_redis_slots(ngx_http_llm_redis_conn_t *conn,
    redisReply *reply);

/* Asks for the slots, unless that was done a moment ago. */
void ngx_http_llm_redis_refresh(ngx_http_llm_redis_t *redis);


/* ngx_http_llm_redis.c */

/* Turns EVALSHA into EVAL, once; NGX_ERROR: there is not enough memory. */
ngx_int_t ngx_http_llm_redis_in_full(ngx_http_llm_redis_cmd_t *cmd);

/* The worker's part begins and ends.  What is not answered at its end is not
 * told any more. */
void ngx_http_llm_redis_init(ngx_http_llm_store_t *store,
    ngx_http_llm_redis_lost_pt lost, ngx_http_llm_redis_message_pt message);
void ngx_http_llm_redis_exit(ngx_http_llm_redis_t *redis);

/* Whether some connection is ready for commands. */
ngx_uint_t ngx_http_llm_redis_connected(ngx_http_llm_redis_t *redis);

/* Connects, if there is no connection and one may be tried. */
void ngx_http_llm_redis_wake(ngx_http_llm_redis_t *redis);

/* Before the exit: sends a last command, if a connection is ready, and waits a
 * moment until it was heard. */
void ngx_http_llm_redis_last_words(ngx_http_llm_redis_t *redis, ngx_str_t *key,
    ngx_uint_t argc, ngx_str_t *argv);

/* The agent writes down in the zone how it fares. */
void ngx_http_llm_redis_report(ngx_http_llm_redis_t *redis);


/* ngx_http_llm_redis_listen.c */

/* The agent's tick: connects, and looks whether it is alive. */
void ngx_http_llm_redis_listen(ngx_http_llm_redis_t *redis);

/* This worker is not the agent any more. */
void ngx_http_llm_redis_deaf(ngx_http_llm_redis_t *redis);

void ngx_http_llm_redis_heard(ngx_http_llm_redis_conn_t *conn,
    redisReply *reply);


/* Counts, in the zone. */
#define ngx_http_llm_redis_count(of, field)                                   \
    (void) __atomic_fetch_add(                                                \
        &((ngx_http_llm_root_t *) (of)->store->root)->redis.field, 1,         \
        __ATOMIC_RELAXED)

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_REDIS_CONN_H_INCLUDED_ */
