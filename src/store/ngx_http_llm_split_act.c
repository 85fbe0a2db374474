/*
 * Changes of a split's document: by an operator, by the configuration, by the
 * controller.  In force in all workers as soon as the lock is released.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_json.h"
#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync_split.h"


static void ngx_http_llm_split_put_doc(llm_buf_t *out,
    const ngx_http_llm_store_split_t *split, const llm_split_doc_t *doc,
    ngx_uint_t weights);
static void ngx_http_llm_split_put_number(llm_buf_t *out, uint64_t n);


ngx_int_t
ngx_http_llm_split_act(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t version, const llm_act_t *act,
    ngx_http_llm_actor_t *actor, llm_split_doc_t *doc,
    llm_act_result_t *result)
{
    ngx_int_t                   rc;
    ngx_http_llm_split_node_t  *sn;

    rc = NGX_DECLINED;
    sn = split->node;

    ngx_http_llm_store_lock(store);

    if (version == 0 || version == sn->doc.version) {
        rc = NGX_OK;
        *result = ngx_http_llm_split_act_locked(store, split, act, actor);
    }

    if (doc) {
        *doc = sn->doc;
    }

    ngx_http_llm_store_unlock(store);

    ngx_http_llm_audit_relieve(store);
    ngx_http_llm_sync_split_push(store, split);

    return rc;
}


llm_act_result_t
ngx_http_llm_split_act_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, const llm_act_t *act,
    ngx_http_llm_actor_t *actor)
{
    llm_str_t                   verb;
    llm_act_t                   todo;
    ngx_str_t                   action;
    llm_split_doc_t             before;
    llm_act_result_t            result;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;
    before = sn->doc;

    todo = *act;
    todo.now = ngx_http_llm_store_now(store);
    todo.random = ngx_http_llm_random(store);

    result = llm_rollout_act(&split->rollout, &sn->doc, sn->owner, &todo);

    if (result != LLM_ACT_DONE) {
        return result;
    }

    verb = llm_verb_name(todo.verb);
    action.len = verb.len;
    action.data = (u_char *) verb.data;

    if (todo.verb == LLM_VERB_START) {
        ngx_http_llm_split_start_locked(split, todo.now);
    }

    ngx_http_llm_split_changed_locked(store, sn, &before);
    ngx_http_llm_split_spread_locked(store->root, split, todo.now);
    ngx_http_llm_split_audit_locked(store, split, &action, &before, actor);

    return result;
}


void
ngx_http_llm_split_start_locked(ngx_http_llm_store_split_t *split,
    llm_msec_t now)
{
    llm_msec_t                  longest;
    ngx_uint_t                  i;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;

    for (i = 0; i < LLM_SPLIT_TRIGGERS; i++) {
        ngx_memzero(&sn->trigger[i][sn->doc.canary],
                    sizeof(llm_trigger_state_t));
    }

    longest = split->pace.slot * LLM_WINDOW_RATIO * LLM_WINDOW_LONG;

    llm_window_sum(&sn->variant[sn->doc.base]->window, now, longest, 0,
                   &sn->frozen);

    sn->frozen_at = now;
    sn->frozen_variant = sn->doc.base;
}


void
ngx_http_llm_split_changed_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_split_node_t *sn, const llm_split_doc_t *before)
{
    ngx_uint_t            i;
    ngx_http_llm_root_t  *root;

    root = store->root;
    root->changes++;
    sn->tag = llm_rollout_tag(&sn->doc, sn->owner);

    /* who has no weight is not guarded, were it for less than a tick */

    for (i = 0; i < sn->n; i++) {
        if (sn->doc.weight[i] == 0) {
            sn->watch.guarded &= ~((uint32_t) 1 << i);
        }
    }

    if (before
        && ngx_memcmp(before->weight, sn->doc.weight, sizeof(before->weight))
           == 0)
    {
        return;
    }

    ngx_http_llm_split_phase_locked(sn, sn->phase + 1);
}


/* An experiment's arms are compared under one mix of users only. */

void
ngx_http_llm_split_phase_locked(ngx_http_llm_split_node_t *sn, uint64_t phase)
{
    ngx_uint_t  i;

    if (sn->phase == phase) {
        return;
    }

    sn->phase = phase;

    for (i = 0; i < sn->n; i++) {
        if (sn->arm[i]) {
            ngx_memzero(&sn->arm[i]->arm, sizeof(llm_experiment_arm_t));
        }
    }
}


void
ngx_http_llm_split_spread_locked(ngx_http_llm_root_t *root,
    ngx_http_llm_store_split_t *split, llm_msec_t now)
{
    llm_act_t                   act;
    uint32_t                    i, k;
    ngx_queue_t                *q;
    ngx_http_llm_split_node_t  *sn, *other;

    sn = split->node;

    ngx_memzero(&act, sizeof(llm_act_t));

    act.verb = LLM_VERB_ABORT;
    act.now = now;

    for (q = ngx_queue_head(&root->splits);
         q != ngx_queue_sentinel(&root->splits);
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_http_llm_split_node_t, node.queue);

        if (other == sn || other->node.hash != sn->node.hash) {
            continue;
        }

        for (i = 0; i < other->n; i++) {
            k = ngx_http_llm_split_index(sn, other->names[i]);

            if (k != NGX_HTTP_LLM_NOWHERE && llm_rollout_is_barred(&sn->doc, k))
            {
                act.variant = i;
                (void) llm_rollout_act(&split->rollout, &other->doc,
                                       other->owner, &act);
            }
        }
    }
}


void
ngx_http_llm_split_audit_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_str_t *action,
    const llm_split_doc_t *before, ngx_http_llm_actor_t *actor)
{
    u_char      mem[NGX_HTTP_LLM_AUDIT_SIZE];
    llm_buf_t   out;
    ngx_str_t   fields;
    ngx_uint_t  weights;

    /* with many variants there may be no room for their weights: those from
     * before go first */

    weights = 2;

    do {
        llm_buf_init(&out, mem, NGX_HTTP_LLM_AUDIT_FIELDS);

        llm_buf_str(&out, LLM_STR("\"split\":"));
        llm_json_put_string(&out, ngx_http_llm_str(&split->name));

        if (before) {
            llm_buf_str(&out, LLM_STR(",\"before\":"));
            ngx_http_llm_split_put_doc(&out, split, before, weights == 2);
        }

        llm_buf_str(&out, LLM_STR(",\"after\":"));
        ngx_http_llm_split_put_doc(&out, split, &split->node->doc,
                                   weights != 0);

    } while (out.full && weights--);

    fields.data = mem;
    fields.len = out.full ? 0 : (size_t) (out.pos - out.start);

    ngx_http_llm_audit_locked(store, actor, action, &fields);
}


/* {"state":…,"version":…,"weights":{NAME:PERCENT …}} */

static void
ngx_http_llm_split_put_doc(llm_buf_t *out,
    const ngx_http_llm_store_split_t *split, const llm_split_doc_t *doc,
    ngx_uint_t weights)
{
    ngx_uint_t  i;

    llm_buf_str(out, LLM_STR("{\"state\":"));
    llm_json_put_string(out, llm_rollout_state_name(doc->state));
    llm_buf_str(out, LLM_STR(",\"version\":"));
    ngx_http_llm_split_put_number(out, doc->version);

    for (i = 0; i < split->n && weights; i++) {
        llm_buf_str(out, i ? LLM_STR(",") : LLM_STR(",\"weights\":{"));
        llm_json_put_string(out, ngx_http_llm_str(&split->variants[i]));
        llm_buf_str(out, LLM_STR(":"));
        llm_split_put(out, doc->weight[i]);
    }

    llm_buf_str(out, weights ? LLM_STR("}}") : LLM_STR("}"));
}


static void
ngx_http_llm_split_put_number(llm_buf_t *out, uint64_t n)
{
    u_char  text[NGX_INT64_LEN], *p;

    p = ngx_sprintf(text, "%uL", n);
    llm_buf_put(out, text, p - text);
}
