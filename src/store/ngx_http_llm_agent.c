/*
 * The agent of a node: every second it says in Redis that the node lives, and
 * reads who else does, who leads, and which topics have moved.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <openssl/rand.h>
#include <signal.h>

#include "llm_hash.h"
#include "ngx_http_llm_agent.h"


#define NGX_HTTP_LLM_AGENT_TICK    100      /* ms */
#define NGX_HTTP_LLM_AGENT_FOLLOW  500      /* ms, without the lead */
#define NGX_HTTP_LLM_AGENT_POLL    1000     /* ms */
#define NGX_HTTP_LLM_AGENT_HURRY   10       /* ms between two polls at least */
#define NGX_HTTP_LLM_AGENT_LEAD    5500     /* ms of the 6 s in Redis */
#define NGX_HTTP_LLM_AGENT_LEARN   2000     /* ms after a loss */
#define NGX_HTTP_LLM_AGENT_FRESH   10000    /* ms since a sign of life */
#define NGX_HTTP_LLM_AGENT_RTT     100      /* ms: more tells no time */
#define NGX_HTTP_LLM_AGENT_TOLD    60000    /* ms between two complaints */


/* Of this worker. */
typedef struct {
    ngx_http_llm_store_ident_t  ident;
    ngx_http_llm_store_t       *store;
    ngx_event_t                 timer;
    ngx_uint_t                  polling;
    ngx_uint_t                  again;      /* as soon as the poll is over */
    ngx_uint_t                  skewed;     /* a sample of the skew was good */
    ngx_msec_t                  polled;     /* when the last one began */
    llm_msec_t                  asked;      /* the same, by the store's clock */
    ngx_msec_t                  refused;    /* logged; 0: never */
    char                       *lost;       /* why to restore; NULL: not */
    ngx_msec_t                  restored;
} ngx_http_llm_agent_t;


static void ngx_http_llm_agent_tick(ngx_event_t *ev);
static void ngx_http_llm_agent_message(ngx_http_llm_store_t *store,
    ngx_str_t *text);
static void ngx_http_llm_agent_begin(ngx_http_llm_agent_t *agent);
static ngx_uint_t ngx_http_llm_agent_is_due(ngx_http_llm_agent_t *agent);
static void ngx_http_llm_agent_soon(ngx_http_llm_agent_t *agent);
static void ngx_http_llm_agent_ask(ngx_http_llm_agent_t *agent);
static void ngx_http_llm_agent_told(void *data, redisReply *reply);
static void ngx_http_llm_agent_refused(ngx_http_llm_agent_t *agent,
    redisReply *reply);
static void ngx_http_llm_agent_clock(ngx_http_llm_agent_t *agent,
    int64_t now);
static void ngx_http_llm_agent_lead(ngx_http_llm_agent_t *agent,
    redisReply *reply);
static void ngx_http_llm_agent_nodes(ngx_http_llm_agent_t *agent,
    redisReply *members, int64_t now);
static void ngx_http_llm_agent_boot(ngx_http_llm_agent_t *agent,
    redisReply *reply, int64_t now);
static void ngx_http_llm_agent_restore(ngx_http_llm_agent_t *agent);
static void ngx_http_llm_agent_lost(ngx_http_llm_store_t *store, char *why);
static ngx_uint_t ngx_http_llm_agent_is_followed(ngx_http_llm_store_t *store);


/*
 * One round trip for all of it.  KEYS: nodes, gen, boot, lead, term.  ARGV:
 * this node, a new boot's name, the run of Redis or nothing, the newest term
 * known.  The boot is "NAME MS RUN": it changes when it is missing, or when
 * another run of Redis is in the place of the one that had it.
 */

static ngx_http_llm_script_t  ngx_http_llm_agent_script = {
    ngx_string(
        "local t = redis.call('TIME')\n"
        "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
        "local ms = string.format('%.0f', now)\n"
        "local run = ARGV[3]\n"
        "redis.call('ZADD', KEYS[1], ms, ARGV[1])\n"
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000)\n"
        "redis.call('PEXPIRE', KEYS[1], 120000)\n"
        "local boot = redis.call('GET', KEYS[3])\n"
        "local old = boot and string.match(boot, ' (%x+)$')\n"
        "if not boot or (run ~= '' and old and old ~= run) then\n"
        "  boot = ARGV[2] .. ' ' .. ms .. ' ' .. run\n"
        "  redis.call('SET', KEYS[3], boot, 'PX', 86400000)\n"
        "else\n"
        "  redis.call('PEXPIRE', KEYS[3], 86400000)\n"
        "end\n"
        "local lead = redis.call('GET', KEYS[4])\n"
        "if not lead then\n"
        "  lead = ARGV[1]\n"
        "  local term = tonumber(redis.call('GET', KEYS[5]) or '0')\n"
        "  term = math.max(term, tonumber(ARGV[4])) + 1\n"
        "  redis.call('SET', KEYS[5], string.format('%.0f', term))\n"
        "  redis.call('SET', KEYS[4], lead, 'PX', 6000)\n"
        "elseif lead == ARGV[1] then\n"
        "  redis.call('PEXPIRE', KEYS[4], 6000)\n"
        "end\n"
        "redis.call('PEXPIRE', KEYS[5], 2592000000)\n"
        "redis.call('PEXPIRE', KEYS[2], 604800000)\n"
        "return { ms, boot, lead, redis.call('GET', KEYS[5]) or '0',\n"
        "  redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'),\n"
        "  redis.call('HGETALL', KEYS[2]) }\n"),
    ""
};


static ngx_str_t  ngx_http_llm_agent_leave = ngx_string(
    "redis.call('ZREM', KEYS[1], ARGV[1])\n"
    "if redis.call('GET', KEYS[2]) == ARGV[1] then\n"
    "  redis.call('DEL', KEYS[2])\n"
    "end\n"
    "return 1\n");


static ngx_http_llm_agent_t  ngx_http_llm_agent;


void
ngx_http_llm_agent_init(ngx_cycle_t *cycle, ngx_http_llm_store_t *store)
{
    ngx_http_llm_agent_t  *agent;

    if (store->redis == NULL || !store->joined) {
        return;
    }

    agent = &ngx_http_llm_agent;

    ngx_memzero(agent, sizeof(ngx_http_llm_agent_t));

    agent->store = store;

    agent->ident.store = store;
    agent->ident.fd = (ngx_socket_t) -1;

    agent->timer.handler = ngx_http_llm_agent_tick;
    agent->timer.data = &agent->ident;
    agent->timer.log = cycle->log;
    agent->timer.cancelable = 1;

    ngx_http_llm_redis_init(store, ngx_http_llm_agent_lost,
                            ngx_http_llm_agent_message);

    ngx_add_timer(&agent->timer, 1);
}


/* A node that is left by its last agent says so, unless another configuration
 * goes on. */

void
ngx_http_llm_agent_exit(ngx_http_llm_store_t *store)
{
    u_char                 nodes[NGX_HTTP_LLM_REDIS_KEY];
    u_char                 lead[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t              words[6];
    ngx_http_llm_redis_t  *redis;
    ngx_http_llm_agent_t  *agent;

    redis = store->redis;
    agent = &ngx_http_llm_agent;

    if (redis == NULL || agent->store != store) {
        return;
    }

    if (agent->timer.timer_set) {
        ngx_del_timer(&agent->timer);
    }

    if (redis->agent && !ngx_http_llm_agent_is_followed(store)) {
        ngx_str_set(&words[0], "EVAL");
        words[1] = ngx_http_llm_agent_leave;
        ngx_str_set(&words[2], "2");
        words[3] = ngx_http_llm_redis_key(redis, nodes, sizeof(nodes),
                                          "{cp}:nodes");
        words[4] = ngx_http_llm_redis_key(redis, lead, sizeof(lead),
                                          "{cp}:lead");
        words[5] = ngx_http_llm_nodes_id(store);

        ngx_http_llm_redis_last_words(redis, &words[3], 6, words);
    }

    ngx_http_llm_redis_exit(redis);

    agent->store = NULL;
}


static ngx_uint_t
ngx_http_llm_agent_is_followed(ngx_http_llm_store_t *store)
{
    ngx_uint_t                  i;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_worker_row_t  *row;

    root = store->root;

    for (i = 0; i < NGX_HTTP_LLM_ROWS; i++) {
        row = &root->row[i];

        if (row->pid && row->generation > store->generation
            && (kill(row->pid, 0) != -1 || ngx_errno != NGX_ESRCH))
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_llm_agent_tick(ngx_event_t *ev)
{
    ngx_http_llm_redis_t  *redis;
    ngx_http_llm_agent_t  *agent;

    agent = &ngx_http_llm_agent;
    redis = agent->store->redis;

    if (ngx_exiting) {
        return;
    }

    if (ngx_http_llm_lead(agent->store) != NGX_OK) {
        redis->agent = 0;
        ngx_http_llm_redis_deaf(redis);
        ngx_add_timer(ev, NGX_HTTP_LLM_AGENT_FOLLOW);
        return;
    }

    if (!redis->agent) {
        ngx_http_llm_agent_begin(agent);
    }

    /* a poll tells which run of Redis it means, so it comes after the hello */

    if (!ngx_http_llm_redis_connected(redis)) {
        ngx_http_llm_redis_wake(redis);

    } else if (ngx_http_llm_agent_is_due(agent)) {
        ngx_http_llm_agent_ask(agent);
    }

    ngx_http_llm_redis_listen(redis);
    ngx_http_llm_redis_guard(redis);
    ngx_http_llm_redis_report(redis);

    if (agent->lost
        && ngx_current_msec - agent->restored >= NGX_HTTP_LLM_AGENT_LEARN)
    {
        ngx_http_llm_agent_restore(agent);
    }

    if (ngx_http_llm_redis_connected(redis)) {
        ngx_http_llm_sync_flush(agent->store);
    }

    ngx_add_timer(ev, NGX_HTTP_LLM_AGENT_TICK);
}


/* One worker of a node hears what is said; one that goes does not any more. */

static void
ngx_http_llm_agent_message(ngx_http_llm_store_t *store, ngx_str_t *text)
{
    if (store->redis->agent && !ngx_exiting) {
        ngx_http_llm_sync_message(store, text);
    }
}


static void
ngx_http_llm_agent_begin(ngx_http_llm_agent_t *agent)
{
    agent->store->redis->agent = 1;
    agent->polled = ngx_current_msec - NGX_HTTP_LLM_AGENT_POLL;
    agent->skewed = 0;

    ngx_http_llm_sync_reset();
}


static ngx_uint_t
ngx_http_llm_agent_is_due(ngx_http_llm_agent_t *agent)
{
    ngx_msec_t            passed;
    ngx_http_llm_root_t  *root;

    root = agent->store->root;
    passed = ngx_current_msec - agent->polled;

    return !agent->polling
           && (passed >= NGX_HTTP_LLM_AGENT_POLL
               || (root->nodes.hurry && passed >= NGX_HTTP_LLM_AGENT_HURRY));
}


void
ngx_http_llm_agent_poll(void)
{
    ngx_http_llm_agent_t  *agent;

    agent = &ngx_http_llm_agent;

    if (agent->store == NULL || !agent->store->redis->agent) {
        return;
    }

    ngx_http_llm_agent_soon(agent);
}


/* News are worth a tick of their own, but not any number of them.  A timer that
 * is moved by less than 300 ms stays where it is: it has to be taken out. */

static void
ngx_http_llm_agent_soon(ngx_http_llm_agent_t *agent)
{
    if (agent->polling) {
        agent->again = 1;

    } else if (ngx_http_llm_agent_is_due(agent)) {
        ngx_http_llm_agent_ask(agent);

    } else if (!ngx_exiting) {

        if (agent->timer.timer_set) {
            ngx_del_timer(&agent->timer);
        }

        ngx_add_timer(&agent->timer, NGX_HTTP_LLM_AGENT_HURRY);
    }
}


static void
ngx_http_llm_agent_ask(ngx_http_llm_agent_t *agent)
{
    u_char                 key[5][NGX_HTTP_LLM_REDIS_KEY], boot[16];
    u_char                 run[16], term[NGX_INT64_LEN], random[8];
    ngx_str_t              argv[9];
    ngx_uint_t             i;
    ngx_http_llm_root_t   *root;
    ngx_http_llm_redis_t  *redis;

    static const char     *name[] = { "nodes", "gen", "boot", "lead", "term" };

    redis = agent->store->redis;
    root = agent->store->root;

    for (i = 0; i < 5; i++) {
        argv[i] = ngx_http_llm_redis_key(redis, key[i],
                                         NGX_HTTP_LLM_REDIS_KEY, "{cp}:%s",
                                         name[i]);
    }

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return;
    }

    argv[5] = ngx_http_llm_nodes_id(agent->store);

    argv[6].data = boot;
    argv[6].len = ngx_hex_dump(boot, random, sizeof(random)) - boot;

    argv[7].data = run;
    argv[7].len = 0;

    if (root->redis.run) {
        argv[7].len = ngx_sprintf(run, "%016xL", root->redis.run) - run;
    }

    argv[8].data = term;
    argv[8].len = ngx_sprintf(term, "%uL", root->nodes.term) - term;

    agent->again = 0;
    root->nodes.hurry = 0;

    if (ngx_http_llm_redis_eval(redis, &ngx_http_llm_agent_script, 5, 9, argv,
                                ngx_http_llm_agent_told, agent)
        == NGX_OK)
    {
        agent->polling = 1;
        agent->polled = ngx_current_msec;
        agent->asked = ngx_http_llm_store_now(agent->store);
    }
}


/* [NOW, BOOT, LEAD, TERM, [NODE, MS, …], [TOPIC, NUMBER, …]] */

static void
ngx_http_llm_agent_told(void *data, redisReply *reply)
{
    ngx_http_llm_agent_t *agent = data;

    int64_t               now;
    ngx_http_llm_root_t  *root;

    agent->polling = 0;

    if (!ngx_http_llm_redis_is_array(reply, 6)
        || ngx_http_llm_redis_int(reply->element[0], &now) != NGX_OK
        || !ngx_http_llm_redis_is_array(reply->element[4], 2)
        || !ngx_http_llm_redis_is_array(reply->element[5], 0))
    {
        ngx_http_llm_agent_refused(agent, reply);
        return;
    }

    root = agent->store->root;

    ngx_http_llm_agent_clock(agent, now);
    ngx_http_llm_agent_boot(agent, reply->element[1], now);
    ngx_http_llm_agent_lead(agent, reply);
    ngx_http_llm_agent_nodes(agent, reply->element[4], now);

    if (root->nodes.answered == 0) {
        root->changes++;                /* this node's name is worth saving */
    }

    root->nodes.answered = ngx_http_llm_store_now(agent->store);

    ngx_http_llm_sync_polled(agent->store, reply->element[5], agent->asked);

    if (agent->again) {
        root->nodes.hurry = 1;
        ngx_http_llm_agent_soon(agent);
    }
}


static void
ngx_http_llm_agent_refused(ngx_http_llm_agent_t *agent, redisReply *reply)
{
    ngx_str_t  text;

    if (reply == NULL
        || (agent->refused
            && ngx_current_msec - agent->refused < NGX_HTTP_LLM_AGENT_TOLD))
    {
        return;
    }

    agent->refused = ngx_current_msec;

    /* nothing secret was asked */

    text = ngx_http_llm_redis_str(reply);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "llm: redis %V refused to tell of the nodes: %V",
                  &agent->store->redis->shown, &text);
}


/* Half of the round trip is taken for the way there. */

static void
ngx_http_llm_agent_clock(ngx_http_llm_agent_t *agent, int64_t now)
{
    llm_msec_t            here;
    ngx_http_llm_root_t  *root;

    root = agent->store->root;
    here = ngx_http_llm_store_now(agent->store);

    if (agent->skewed && here - agent->asked > NGX_HTTP_LLM_AGENT_RTT) {
        return;
    }

    agent->skewed = 1;
    root->nodes.skew = now - (int64_t) (agent->asked
                                        + (here - agent->asked) / 2);
}


static void
ngx_http_llm_agent_lead(ngx_http_llm_agent_t *agent, redisReply *reply)
{
    int64_t               term;
    ngx_str_t             lead, id;
    ngx_uint_t            mine;
    ngx_http_llm_root_t  *root;

    root = agent->store->root;
    lead = ngx_http_llm_redis_str(reply->element[2]);
    id = ngx_http_llm_nodes_id(agent->store);

    mine = (lead.len == id.len
            && ngx_strncmp(lead.data, id.data, id.len) == 0);

    if (ngx_http_llm_redis_int(reply->element[3], &term) == NGX_OK) {
        root->nodes.term = (uint64_t) term;
    }

    root->nodes.lead = mine ? agent->asked + NGX_HTTP_LLM_AGENT_LEAD : 0;
}


static void
ngx_http_llm_agent_nodes(ngx_http_llm_agent_t *agent, redisReply *members,
    int64_t now)
{
    size_t                     i;
    int64_t                    ms;
    ngx_str_t                  id;
    ngx_http_llm_nodes_list_t  list;

    list.n = 0;
    list.fresh = 0;

    for (i = 0; i + 1 < members->elements; i += 2) {
        id = ngx_http_llm_redis_str(members->element[i]);

        if (id.len != NGX_HTTP_LLM_NODE_ID || list.n == NGX_HTTP_LLM_NODES
            || ngx_http_llm_redis_int(members->element[i + 1], &ms) != NGX_OK)
        {
            continue;
        }

        ngx_memcpy(list.id[list.n++], id.data, NGX_HTTP_LLM_NODE_ID);

        if (now - ms < NGX_HTTP_LLM_AGENT_FRESH) {
            list.fresh++;
        }
    }

    ngx_http_llm_nodes_update(agent->store, &list);
}


/* "NAME MS RUN" */

static void
ngx_http_llm_agent_boot(ngx_http_llm_agent_t *agent, redisReply *reply,
    int64_t now)
{
    u_char               *p, *last;
    uint64_t              boot, before;
    int64_t               made;
    ngx_str_t             text;
    ngx_http_llm_root_t  *root;

    root = agent->store->root;
    text = ngx_http_llm_redis_str(reply);

    if (text.len == 0) {
        return;
    }

    boot = llm_fnv64((llm_str_t) { text.len, text.data }, 0);
    before = root->nodes.boot;

    if (boot == before) {
        return;
    }

    root->nodes.boot = boot;

    p = ngx_strlchr(text.data, text.data + text.len, ' ');
    last = p ? ngx_strlchr(p + 1, text.data + text.len, ' ') : NULL;
    made = last ? ngx_atoi(p + 1, last - p - 1) : 0;

    if (now - made < NGX_HTTP_LLM_AGENT_LEARN) {
        root->nodes.learning = ngx_http_llm_store_now(agent->store)
                               + (llm_msec_t) (NGX_HTTP_LLM_AGENT_LEARN
                                               - (now - made));
    }

    if (before) {
        root->nodes.booted = ngx_http_llm_store_now(agent->store);
        agent->lost = "its data is another now";
        ngx_http_llm_agent_restore(agent);
    }
}


static void
ngx_http_llm_agent_restore(ngx_http_llm_agent_t *agent)
{
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "llm: redis %V may have lost something (%s): this node tells "
                  "what it knows", &agent->store->redis->shown, agent->lost);

    agent->lost = NULL;
    agent->restored = ngx_current_msec;

    ngx_http_llm_sync_restore(agent->store);
}


/* Only a part of a cluster; many slots may move, one after the other. */

static void
ngx_http_llm_agent_lost(ngx_http_llm_store_t *store, char *why)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    root->nodes.learning = ngx_http_llm_store_now(store)
                           + NGX_HTTP_LLM_AGENT_LEARN;

    ngx_http_llm_agent.lost = why;
}
