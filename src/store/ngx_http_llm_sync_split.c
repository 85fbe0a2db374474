/*
 * Splits' documents between nodes.
 *
 * Redis keeps one document for a split's name, as JSON with a token.  It is
 * replaced by compare-and-set on the token only, so whoever writes knows what
 * he replaces.  A node that reads another document than its own makes of both
 * what all nodes come to (llm_rollout_merge.h), and if that is not what stands
 * there, writes it.  So nothing is lost that one living node knows, and no
 * node goes back, whatever Redis forgets.
 *
 *   {cp}:split:NAME   token  hexadecimal, of the document
 *                     doc    as in ngx_http_llm_state_split.c
 *                     term   of the leader that moved the rollout last
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync_split.h"


#define NGX_HTTP_LLM_SPLIT_TTL    "2592000000"      /* ms: 30 days */
#define NGX_HTTP_LLM_SPLIT_RENEW  3600000           /* ms */


/* What a reading of a document is for. */
typedef struct {
    ngx_http_llm_store_t        *store;
    ngx_http_llm_store_split_t  *split;
    ngx_str_t                    topic;     /* to be seen; empty: none */
    uint64_t                     gen;
} ngx_http_llm_split_read_t;


static ngx_http_llm_store_split_t *ngx_http_llm_sync_split_find(
    ngx_http_llm_store_t *store, const ngx_str_t *topic);
static void ngx_http_llm_sync_split_read(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_str_t *topic, uint64_t gen);
static void ngx_http_llm_sync_split_got(void *data, redisReply *reply);
static void ngx_http_llm_sync_split_pushed(void *data, redisReply *reply);
static void ngx_http_llm_sync_split_tell(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_uint_t told, int result,
    const llm_split_doc_t *doc);
static void ngx_http_llm_sync_split_renew(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split);


/* KEYS: document, {cp}:gen.  ARGV: the token that is replaced, the new one, the
 * document, the term or "", the topic, the channel.  A command that comes twice
 * or too late finds another token and changes nothing. */

static ngx_http_llm_script_t  ngx_http_llm_split_script = { ngx_string(
    "local h = redis.call('HMGET', KEYS[1], 'token', 'term', 'doc') "
    "local token, term = h[1] or '', tonumber(h[2] or '0') "
    "if token == ARGV[2] then return {1, token} end "
    "if token ~= ARGV[1] or (ARGV[4] ~= '' and tonumber(ARGV[4]) < term) then "
    "return {0, token, h[3] or ''} end "
    "redis.call('HSET', KEYS[1], 'token', ARGV[2], 'doc', ARGV[3]) "
    "if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'term', ARGV[4]) end "
    "redis.call('PEXPIRE', KEYS[1], " NGX_HTTP_LLM_SPLIT_TTL ") "
    "redis.call('HINCRBY', KEYS[2], ARGV[5], 1) "
    "redis.call('PUBLISH', ARGV[6], ARGV[5]) "
    "return {1, ARGV[2]}"), "" };


/* ---- the topic "split:NAME" ---------------------------------------------- */

void
ngx_http_llm_sync_split_fetch(ngx_http_llm_store_t *store, ngx_str_t *topic,
    uint64_t gen)
{
    ngx_http_llm_store_split_t  *split;

    split = ngx_http_llm_sync_split_find(store, topic);

    if (split == NULL) {
        ngx_http_llm_sync_seen(store, topic, gen);      /* others have it */
        return;
    }

    ngx_http_llm_sync_split_read(store, split, topic, gen);
}


static ngx_http_llm_store_split_t *
ngx_http_llm_sync_split_find(ngx_http_llm_store_t *store,
    const ngx_str_t *topic)
{
    size_t                        len;
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **split;

    len = sizeof("split:") - 1;
    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {
        if (topic->len == len + split[i]->name.len
            && ngx_strncmp(topic->data + len, split[i]->name.data,
                           split[i]->name.len)
               == 0)
        {
            return split[i];
        }
    }

    return NULL;
}


void
ngx_http_llm_sync_split_flush(ngx_http_llm_store_t *store)
{
    ngx_uint_t                    i;
    ngx_http_llm_split_node_t    *sn;
    ngx_http_llm_store_split_t  **split;

    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {
        sn = split[i]->node;

        if (split[i]->busy) {
            continue;
        }

        if (!sn->known) {
            ngx_http_llm_sync_split_read(store, split[i], NULL, 0);
            continue;
        }

        ngx_http_llm_sync_split_push(store, split[i]);

        if (sn->start && ngx_http_llm_nodes_leads(store)) {
            ngx_http_llm_split_start_shared(store, split[i]);
        }

        ngx_http_llm_sync_split_renew(store, split[i]);
    }
}


void
ngx_http_llm_sync_split_restore(ngx_http_llm_store_t *store)
{
    ngx_uint_t                    i;
    ngx_http_llm_split_node_t    *sn;
    ngx_http_llm_store_split_t  **split;

    split = store->splits.elts;

    ngx_http_llm_store_lock(store);

    for (i = 0; i < store->splits.nelts; i++) {
        sn = split[i]->node;

        sn->repair = sn->repair || sn->shared != 0;
        sn->known = 0;
    }

    ngx_http_llm_store_unlock(store);
}


ngx_uint_t
ngx_http_llm_split_is_shared(ngx_http_llm_store_split_t *split)
{
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;

    return split->store->redis == NULL
           || (sn->known && !sn->foreign && sn->tag == sn->shared);
}


/* ---- reading ------------------------------------------------------------- */

static ngx_str_t
ngx_http_llm_sync_split_key(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, u_char *buf)
{
    return ngx_http_llm_redis_key(store->redis, buf, NGX_HTTP_LLM_REDIS_KEY,
                                  "{cp}:split:%V", &split->name);
}


/* Times of documents in Redis are by its clock. */

static int64_t
ngx_http_llm_sync_split_skew(ngx_http_llm_store_t *store)
{
    ngx_http_llm_nodes_view_t  view;

    ngx_http_llm_nodes_view(store, &view);

    return view.skew;
}


static void
ngx_http_llm_sync_split_read(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_str_t *topic, uint64_t gen)
{
    u_char                      buf[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t                   argv[4];
    ngx_http_llm_split_read_t  *read;

    read = ngx_alloc(sizeof(ngx_http_llm_split_read_t)
                     + (topic ? topic->len : 0), store->log);
    if (read == NULL) {
        return;
    }

    read->store = store;
    read->split = split;
    read->gen = gen;
    read->topic.len = topic ? topic->len : 0;
    read->topic.data = (u_char *) (read + 1);

    if (topic) {
        ngx_memcpy(read->topic.data, topic->data, topic->len);
    }

    ngx_str_set(&argv[0], "HMGET");
    argv[1] = ngx_http_llm_sync_split_key(store, split, buf);
    ngx_str_set(&argv[2], "token");
    ngx_str_set(&argv[3], "doc");

    if (ngx_http_llm_redis_command(store->redis, &argv[1], 4, argv,
                                   ngx_http_llm_sync_split_got, read)
        != NGX_OK)
    {
        ngx_free(read);
        return;
    }

    split->busy++;
}


static void
ngx_http_llm_sync_split_got(void *data, redisReply *reply)
{
    ngx_http_llm_split_read_t *read = data;

    ngx_str_t                    token, doc;
    ngx_http_llm_store_t        *store;
    ngx_http_llm_store_split_t  *split;

    store = read->store;
    split = read->split;
    split->busy--;

    if (ngx_http_llm_redis_is_array(reply, 2)) {
        token = ngx_http_llm_redis_str(reply->element[0]);
        doc = ngx_http_llm_redis_str(reply->element[1]);

        ngx_http_llm_sync_split_take(store, split, &token, &doc);

        if (read->topic.len) {
            ngx_http_llm_sync_seen(store, &read->topic, read->gen);
        }

        ngx_http_llm_sync_split_push(store, split);
    }

    ngx_free(read);
}


void
ngx_http_llm_sync_split_take(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_str_t *token, ngx_str_t *text)
{
    int                         result;
    cJSON                      *tree;
    ngx_uint_t                  told;
    llm_split_doc_t             doc;
    ngx_http_llm_state_doc_t    sd;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;
    tree = cJSON_ParseWithLength((char *) text->data, text->len);
    result = 0;

    ngx_memzero(&sd, sizeof(ngx_http_llm_state_doc_t));

    if (tree && ngx_http_llm_state_to_doc(&sd, sn, tree) == NGX_OK) {
        llm_rollout_shift(&sd.doc, -ngx_http_llm_sync_split_skew(store));

    } else {
        sd.doc.n = 0;                   /* nothing, or nothing sensible */
    }

    cJSON_Delete(tree);

    ngx_http_llm_store_lock(store);

    told = sn->foreign;
    sn->known = 1;
    sn->token = ngx_http_llm_sync_split_token(token);
    sn->shared = 0;
    sn->foreign = 0;

    if (sn->repair && sd.doc.version < sn->doc.version) {
        sn->doc.epoch = ngx_max(sn->doc.epoch, sd.doc.epoch) + 1;
        sn->tag = llm_rollout_tag(&sn->doc, sn->owner);
    }

    sn->repair = 0;

    if (sd.doc.n && !ngx_http_llm_state_fits(&sd, sn)) {
        ngx_http_llm_sync_split_foreign_locked(store, split, &sd);

    } else if (sd.doc.n) {
        sn->shared = llm_rollout_tag(&sd.doc, sd.owner);
        result = ngx_http_llm_split_merge_locked(store, split, &sd);
    }

    doc = sn->doc;

    ngx_http_llm_store_unlock(store);

    ngx_http_llm_sync_split_tell(store, split, told, result, &doc);
}


uint64_t
ngx_http_llm_sync_split_token(ngx_str_t *hex)
{
    u_char    text[17];
    uint64_t  token;

    if (hex->len != 16) {
        return 0;
    }

    (void) ngx_cpystrn(text, hex->data, sizeof(text));

    return ngx_http_llm_state_hex64((char *) text, &token) == NGX_OK ? token
                                                                     : 0;
}


int
ngx_http_llm_split_merge_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_state_doc_t *sd)
{
    int                         result;
    llm_msec_t                  now;
    llm_split_doc_t             before;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;
    before = sn->doc;

    result = llm_rollout_merge(&sn->doc, sn->owner, &sd->doc, sd->owner);

    if (!(result & LLM_MERGE_TOOK)) {
        return result;
    }

    now = ngx_http_llm_store_now(store);

    if (sn->doc.rollout != before.rollout
        && sn->doc.state == LLM_ROLLOUT_PROGRESSING)
    {
        ngx_http_llm_split_start_locked(split, now);
    }

    ngx_http_llm_split_changed_locked(store, sn, &before);

    /* theirs as it is: then it is in the phase they count in */

    if (!(result & LLM_MERGE_PUSH)) {
        ngx_http_llm_split_phase_locked(sn, sd->phase);
        sn->origin = sd->origin;
        sn->start = 0;
    }

    ngx_http_llm_split_spread_locked(store->root, split, now);

    return result;
}


static void
ngx_http_llm_sync_split_tell(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_uint_t told, int result,
    const llm_split_doc_t *doc)
{
    llm_str_t  state;

    if (split->node->foreign && !told) {
        ngx_log_error(NGX_LOG_WARN, store->log, 0,
                      "llm_split \"%V\" has other variants, or in another "
                      "order, on other nodes: this one keeps its own document",
                      &split->name);
    }

    if (result & LLM_MERGE_TOOK) {
        state = llm_rollout_state_name(doc->state);

        ngx_log_error(NGX_LOG_NOTICE, store->log, 0,
                      "llm: split \"%V\": version %uL from another node, "
                      "state %*s", &split->name, doc->version, state.len,
                      state.data);
    }
}


/* ---- writing ------------------------------------------------------------- */

void
ngx_http_llm_sync_split_push(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split)
{
    ngx_http_llm_state_doc_t    sd;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;

    if (store->redis == NULL || split->busy || !sn->known
        || sn->tag == sn->shared)
    {
        return;
    }

    if (sn->foreign) {
        ngx_http_llm_sync_split_tell_barred(store, split);
        return;
    }

    ngx_http_llm_store_lock(store);
    ngx_http_llm_state_copy_doc_locked(&sd, sn);
    ngx_http_llm_store_unlock(store);

    if (ngx_http_llm_sync_split_write(store, split, &sd, 0,
                                      ngx_http_llm_sync_split_pushed, split)
        == NGX_OK)
    {
        split->busy++;
    }
}


ngx_int_t
ngx_http_llm_sync_split_write(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, const ngx_http_llm_state_doc_t *sd,
    uint64_t term, ngx_http_llm_redis_pt pt, void *data)
{
    char                      *text;
    cJSON                     *tree;
    u_char                     key[2][NGX_HTTP_LLM_REDIS_KEY];
    u_char                     old[17], new[17], number[NGX_INT64_LEN];
    u_char                     channel[NGX_HTTP_LLM_REDIS_KEY], topic[300];
    ngx_int_t                  rc;
    ngx_str_t                  argv[8];
    ngx_http_llm_state_doc_t   shifted;

    shifted = *sd;
    llm_rollout_shift(&shifted.doc, ngx_http_llm_sync_split_skew(store));

    tree = ngx_http_llm_state_from_doc(split, &shifted);
    text = tree ? cJSON_PrintUnformatted(tree) : NULL;
    cJSON_Delete(tree);

    if (text == NULL) {
        return NGX_BUSY;
    }

    argv[0] = ngx_http_llm_sync_split_key(store, split, key[0]);
    argv[1] = ngx_http_llm_redis_key(store->redis, key[1], sizeof(key[1]),
                                     "{cp}:gen");

    argv[2].data = old;
    argv[2].len = ngx_sprintf(old, "%016xL", split->node->token) - old;

    if (split->node->token == 0) {
        argv[2].len = 0;
    }

    argv[3].data = new;
    argv[3].len = ngx_sprintf(new, "%016xL",
                              llm_rollout_tag(&sd->doc, sd->owner)) - new;

    argv[4].data = (u_char *) text;
    argv[4].len = ngx_strlen(text);

    argv[5].data = number;
    argv[5].len = term ? ngx_sprintf(number, "%uL", term) - number : 0;

    argv[6].data = topic;
    argv[6].len = ngx_snprintf(topic, sizeof(topic), "split:%V", &split->name)
                  - topic;

    argv[7] = ngx_http_llm_redis_key(store->redis, channel, sizeof(channel),
                                     "ev");

    rc = ngx_http_llm_redis_eval(store->redis, &ngx_http_llm_split_script, 2,
                                 8, argv, pt, data);
    cJSON_free(text);

    return rc;
}


/* Others must not see that Redis has a document before this node has it. */

ngx_int_t
ngx_http_llm_sync_split_written(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, redisReply *reply,
    ngx_http_llm_state_doc_t *sd)
{
    int64_t                     done;
    ngx_str_t                   token, doc;
    ngx_http_llm_split_node_t  *sn;

    if (!ngx_http_llm_redis_is_array(reply, 2)
        || ngx_http_llm_redis_int(reply->element[0], &done) != NGX_OK)
    {
        return NGX_ERROR;
    }

    token = ngx_http_llm_redis_str(reply->element[1]);

    if (done) {
        sn = split->node;

        ngx_http_llm_store_lock(store);
        sn->token = ngx_http_llm_sync_split_token(&token);
        sn->shared = sn->token;

        if (sd) {
            (void) ngx_http_llm_split_merge_locked(store, split, sd);
        }

        ngx_http_llm_store_unlock(store);

        return NGX_OK;
    }

    if (!ngx_http_llm_redis_is_array(reply, 3)) {
        return NGX_ERROR;
    }

    doc = ngx_http_llm_redis_str(reply->element[2]);
    ngx_http_llm_sync_split_take(store, split, &token, &doc);

    return NGX_DECLINED;
}


/* What changed meanwhile is written now. */

static void
ngx_http_llm_sync_split_pushed(void *data, redisReply *reply)
{
    ngx_http_llm_store_split_t *split = data;

    split->busy--;

    if (ngx_http_llm_sync_split_written(split->store, split, reply, NULL)
        != NGX_ERROR)
    {
        ngx_http_llm_sync_split_push(split->store, split);
    }
}


/* A document that nobody changes lives on. */

static void
ngx_http_llm_sync_split_renew(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split)
{
    u_char     buf[NGX_HTTP_LLM_REDIS_KEY];
    ngx_str_t  argv[3];

    if ((ngx_msec_int_t) (ngx_current_msec - split->renew) < 0) {
        return;
    }

    split->renew = ngx_current_msec + NGX_HTTP_LLM_SPLIT_RENEW;

    ngx_str_set(&argv[0], "PEXPIRE");
    argv[1] = ngx_http_llm_sync_split_key(store, split, buf);
    ngx_str_set(&argv[2], NGX_HTTP_LLM_SPLIT_TTL);

    (void) ngx_http_llm_redis_command(store->redis, &argv[1], 3, argv, NULL,
                                      NULL);
}
