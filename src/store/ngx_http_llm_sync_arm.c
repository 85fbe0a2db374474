/*
 * Experiments between nodes: each node writes what it counted in the present
 * phase, as it stands; who reads adds it up.
 *
 *   {cp}:arms:NAME:PHASE   NODE.ZONE.VARIANT   a head, and the arm's bytes
 *
 * ZONE tells a node that was restarted, and began to count anew, from what it
 * was: both count.  Only nodes of the same build read each other's bytes: the
 * head tells.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_redis.h"
#include "ngx_http_llm_sync_arm.h"


#define NGX_HTTP_LLM_ARM_TTL    "1209600000"    /* ms: 14 days */
#define NGX_HTTP_LLM_ARM_EVERY  1000            /* ms */
#define NGX_HTTP_LLM_ARM_HEAD   "llmarm1 "
#define NGX_HTTP_LLM_ARM_FIELD  (NGX_HTTP_LLM_NODE_ID + 1 + 16 + 1            \
                                 + NGX_INT32_LEN)


typedef struct {
    u_char                       head[sizeof(NGX_HTTP_LLM_ARM_HEAD) - 1];
    uint64_t                     size;
    llm_experiment_arm_t         arm;
} ngx_http_llm_arm_text_t;


/* Somebody who wants to see all of it. */
typedef struct {
    ngx_http_llm_store_t        *store;
    ngx_http_llm_store_split_t  *split;
    ngx_http_llm_arms_pt         pt;
    void                        *data;
    llm_experiment_arm_t         arm[1];
} ngx_http_llm_arms_read_t;


static uint64_t ngx_http_llm_sync_arm_mark(ngx_http_llm_store_split_t *split);
static void ngx_http_llm_sync_arm_write(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t mark);
static ngx_str_t ngx_http_llm_sync_arm_key(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, u_char *buf);
static u_char *ngx_http_llm_sync_arm_field(ngx_http_llm_store_t *store,
    u_char *p);
static void ngx_http_llm_sync_arm_got(void *data, redisReply *reply);
static ngx_uint_t ngx_http_llm_sync_arm_join(ngx_http_llm_arms_read_t *read,
    redisReply *reply);


/* ---- what this node counted ---------------------------------------------- */

void
ngx_http_llm_sync_arm_flush(ngx_http_llm_store_t *store)
{
    uint64_t                      mark;
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **split;

    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {

        if (split[i]->experiment.len == 0
            || (ngx_msec_int_t) (ngx_current_msec - split[i]->arms_next) < 0)
        {
            continue;
        }

        split[i]->arms_next = ngx_current_msec + NGX_HTTP_LLM_ARM_EVERY;
        mark = ngx_http_llm_sync_arm_mark(split[i]);

        if (mark != split[i]->arms_mark) {
            ngx_http_llm_sync_arm_write(store, split[i], mark);
        }
    }
}


void
ngx_http_llm_sync_arm_restore(ngx_http_llm_store_t *store)
{
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **split;

    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {
        split[i]->arms_mark = 0;
    }
}


/* Another number when something was counted; 0: nothing was. */

static uint64_t
ngx_http_llm_sync_arm_mark(ngx_http_llm_store_split_t *split)
{
    uint64_t               mark;
    ngx_uint_t             i;
    llm_experiment_arm_t  *arm;

    mark = 0;

    for (i = 0; i < split->n; i++) {
        arm = ngx_http_llm_split_arm(split, (uint32_t) i);
        mark += arm->requests + 1000003 * arm->up + 1000000007 * arm->down;
    }

    return mark ? mark + (split->node->phase << 40) : 0;
}


static void
ngx_http_llm_sync_arm_write(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t mark)
{
    u_char                   *mem, key[NGX_HTTP_LLM_REDIS_KEY], *p;
    ngx_str_t                 argv[2 + 2 * LLM_SPLIT_VARIANTS];
    ngx_uint_t                i;
    ngx_http_llm_arm_text_t  *text;

    mem = ngx_alloc(split->n * (sizeof(ngx_http_llm_arm_text_t)
                                + NGX_HTTP_LLM_ARM_FIELD), store->log);
    if (mem == NULL) {
        return;
    }

    text = (ngx_http_llm_arm_text_t *) mem;
    p = (u_char *) &text[split->n];

    ngx_str_set(&argv[0], "HSET");
    argv[1] = ngx_http_llm_sync_arm_key(store, split, key);

    for (i = 0; i < split->n; i++) {
        ngx_memcpy(text[i].head, NGX_HTTP_LLM_ARM_HEAD, sizeof(text[i].head));
        text[i].size = sizeof(llm_experiment_arm_t);
        text[i].arm = *ngx_http_llm_split_arm(split, (uint32_t) i);

        argv[2 + 2 * i].data = p;
        p = ngx_sprintf(ngx_http_llm_sync_arm_field(store, p), "%ui", i);
        argv[2 + 2 * i].len = p - argv[2 + 2 * i].data;

        argv[3 + 2 * i].data = (u_char *) &text[i];
        argv[3 + 2 * i].len = sizeof(ngx_http_llm_arm_text_t);
    }

    if (ngx_http_llm_redis_command(store->redis, &argv[1], 2 + 2 * split->n,
                                   argv, NULL, NULL)
        == NGX_OK)
    {
        split->arms_mark = mark;

        ngx_str_set(&argv[0], "PEXPIRE");
        ngx_str_set(&argv[2], NGX_HTTP_LLM_ARM_TTL);

        (void) ngx_http_llm_redis_command(store->redis, &argv[1], 3, argv,
                                          NULL, NULL);
    }

    ngx_free(mem);
}


static ngx_str_t
ngx_http_llm_sync_arm_key(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, u_char *buf)
{
    return ngx_http_llm_redis_key(store->redis, buf, NGX_HTTP_LLM_REDIS_KEY,
                                  "{cp}:arms:%V:%uL", &split->name,
                                  split->node->phase);
}


static u_char *
ngx_http_llm_sync_arm_field(ngx_http_llm_store_t *store, u_char *p)
{
    ngx_str_t             id;
    ngx_http_llm_root_t  *root;

    root = store->root;
    id = ngx_http_llm_nodes_id(store);

    return ngx_sprintf(p, "%V.%016xL.", &id, root->incarnation);
}


/* ---- what all nodes counted ---------------------------------------------- */

ngx_int_t
ngx_http_llm_arms_read(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_arms_pt pt, void *data)
{
    u_char                     key[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t                  argv[2];
    ngx_http_llm_arms_read_t  *read;

    if (store->redis == NULL) {
        return NGX_BUSY;
    }

    read = ngx_alloc(sizeof(ngx_http_llm_arms_read_t)
                     + split->n * sizeof(llm_experiment_arm_t), store->log);
    if (read == NULL) {
        return NGX_BUSY;
    }

    read->store = store;
    read->split = split;
    read->pt = pt;
    read->data = data;

    ngx_str_set(&argv[0], "HGETALL");
    argv[1] = ngx_http_llm_sync_arm_key(store, split, key);

    if (ngx_http_llm_redis_command(store->redis, &argv[1], 2, argv,
                                   ngx_http_llm_sync_arm_got, read)
        != NGX_OK)
    {
        ngx_free(read);
        return NGX_BUSY;
    }

    return NGX_AGAIN;
}


static void
ngx_http_llm_sync_arm_got(void *data, redisReply *reply)
{
    ngx_http_llm_arms_read_t *read = data;

    ngx_uint_t  i, others;

    for (i = 0; i < read->split->n; i++) {
        read->arm[i] = *ngx_http_llm_split_arm(read->split, (uint32_t) i);
    }

    others = 0;

    if (ngx_http_llm_redis_is_array(reply, 0)) {
        others = ngx_http_llm_sync_arm_join(read, reply);
    }

    read->pt(read->data, read->arm, others);
    ngx_free(read);
}


/* What this node wrote of itself is older than what it knows. */

static ngx_uint_t
ngx_http_llm_sync_arm_join(ngx_http_llm_arms_read_t *read, redisReply *reply)
{
    size_t                     i, len;
    u_char                     own[NGX_HTTP_LLM_ARM_FIELD];
    ngx_int_t                  v;
    ngx_str_t                  field, value;
    ngx_uint_t                 others;
    ngx_http_llm_arm_text_t    text;

    others = 0;
    len = ngx_http_llm_sync_arm_field(read->store, own) - own;

    for (i = 0; i + 1 < reply->elements; i += 2) {
        field = ngx_http_llm_redis_str(reply->element[i]);
        value = ngx_http_llm_redis_str(reply->element[i + 1]);

        if (field.len <= len || ngx_strncmp(field.data, own, len) == 0
            || value.len != sizeof(text))
        {
            continue;
        }

        ngx_memcpy(&text, value.data, sizeof(text));
        v = ngx_atoi(field.data + len, field.len - len);

        if (v < 0 || v >= (ngx_int_t) read->split->n
            || text.size != sizeof(llm_experiment_arm_t)
            || ngx_memcmp(text.head, NGX_HTTP_LLM_ARM_HEAD, sizeof(text.head))
               != 0)
        {
            continue;
        }

        llm_experiment_join(&read->arm[v], &text.arm);
        others += (v == 0);
    }

    return others;
}
