/*
 * Changes that raise exposure, where nodes share their documents: they are made
 * in Redis first, and here when it has taken them.
 *
 * A change is worked out on a copy of the node's document, which replaces what
 * Redis has if that is still what the node knows.  If it is not, the node
 * learns the other one and the change is worked out again, unless somebody
 * asked for one particular version.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync_split.h"


#define NGX_HTTP_LLM_PROPOSE_TRIES  3


typedef struct {
    ngx_http_llm_store_t        *store;
    ngx_http_llm_store_split_t  *split;
    ngx_http_llm_state_doc_t     sd;        /* as it is to be */
    llm_split_doc_t              before;
    uint64_t                     term;
    ngx_str_t                    action;
    ngx_http_llm_actor_t         actor;
    ngx_uint_t                   by_nobody; /* the configuration */

    llm_act_t                    act;       /* of a verb … */
    uint32_t                     weight[LLM_SPLIT_VARIANTS];
    uint64_t                     version;
    ngx_uint_t                   tries;
    ngx_http_llm_proposed_pt     pt;

    ngx_http_llm_split_event_t   event;     /* … of a step */
    ngx_http_llm_split_event_pt  event_pt;

    void                        *data;
} ngx_http_llm_proposal_t;


static ngx_http_llm_proposal_t *ngx_http_llm_propose_make(
    ngx_http_llm_store_t *store, ngx_http_llm_store_split_t *split,
    ngx_http_llm_actor_t *actor);
static ngx_int_t ngx_http_llm_propose_try(ngx_http_llm_proposal_t *p,
    llm_split_doc_t *doc, llm_act_result_t *result);
static ngx_int_t ngx_http_llm_propose_work_locked(ngx_http_llm_proposal_t *p,
    llm_act_result_t *result);
static void ngx_http_llm_propose_done(void *data, redisReply *reply);
static void ngx_http_llm_propose_tell(ngx_http_llm_proposal_t *p,
    llm_split_doc_t *doc);
static void ngx_http_llm_propose_started(void *data, ngx_int_t rc,
    llm_act_result_t result, const llm_split_doc_t *doc);


ngx_int_t
ngx_http_llm_split_propose(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t version, const llm_act_t *act,
    ngx_http_llm_actor_t *actor, llm_split_doc_t *doc,
    llm_act_result_t *result, ngx_http_llm_proposed_pt pt, void *data)
{
    ngx_int_t                 rc;
    ngx_http_llm_proposal_t  *p;

    if (store->redis == NULL || split->node->foreign
        || !llm_act_raises(act, &split->node->doc))
    {
        return ngx_http_llm_split_act(store, split, version, act, actor, doc,
                                      result);
    }

    p = ngx_http_llm_propose_make(store, split, actor);
    if (p == NULL) {
        return NGX_BUSY;
    }

    p->version = version;
    p->act = *act;
    p->tries = NGX_HTTP_LLM_PROPOSE_TRIES;
    p->pt = pt;
    p->data = data;

    if (act->weight) {
        ngx_memcpy(p->weight, act->weight,
                   split->n * sizeof(uint32_t));
        p->act.weight = p->weight;
    }

    rc = ngx_http_llm_propose_try(p, doc, result);

    if (rc != NGX_AGAIN) {
        ngx_free(p);
    }

    return rc;
}


/* The texts of the actor are kept behind it. */

static ngx_http_llm_proposal_t *
ngx_http_llm_propose_make(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_actor_t *actor)
{
    size_t                    len;
    u_char                   *text;
    ngx_uint_t                i;
    ngx_str_t                *to[3];
    ngx_http_llm_proposal_t  *p;

    len = actor ? actor->actor.len + actor->reason.len + actor->request.len
                : 0;

    p = ngx_calloc(sizeof(ngx_http_llm_proposal_t) + len, store->log);
    if (p == NULL) {
        return NULL;
    }

    p->store = store;
    p->split = split;

    if (actor == NULL) {
        p->by_nobody = 1;
        return p;
    }

    p->actor = *actor;
    to[0] = &p->actor.actor;
    to[1] = &p->actor.reason;
    to[2] = &p->actor.request;
    text = (u_char *) (p + 1);

    for (i = 0; i < 3; i++) {
        ngx_memcpy(text, to[i]->data, to[i]->len);
        to[i]->data = text;
        text += to[i]->len;
    }

    return p;
}


static ngx_int_t
ngx_http_llm_propose_try(ngx_http_llm_proposal_t *p, llm_split_doc_t *doc,
    llm_act_result_t *result)
{
    ngx_int_t                  rc;
    ngx_http_llm_nodes_view_t  view;

    ngx_http_llm_nodes_view(p->store, &view);

    ngx_http_llm_store_lock(p->store);

    *doc = p->split->node->doc;
    rc = ngx_http_llm_propose_work_locked(p, result);

    ngx_http_llm_store_unlock(p->store);

    if (rc != NGX_OK || *result != LLM_ACT_DONE) {
        return rc;
    }

    /* while Redis learns what it has lost, nobody knows what is true */

    if (!p->split->node->known || view.learning
        || ngx_http_llm_sync_split_write(p->store, p->split, &p->sd, p->term,
                                         ngx_http_llm_propose_done, p)
           != NGX_OK)
    {
        return NGX_BUSY;
    }

    return NGX_AGAIN;
}


/* What the document would be. */

static ngx_int_t
ngx_http_llm_propose_work_locked(ngx_http_llm_proposal_t *p,
    llm_act_result_t *result)
{
    llm_str_t                   verb;
    ngx_http_llm_split_node_t  *sn;

    sn = p->split->node;

    if (p->version && p->version != sn->doc.version) {
        return NGX_DECLINED;
    }

    p->before = sn->doc;
    ngx_http_llm_state_copy_doc_locked(&p->sd, sn);

    p->act.now = ngx_http_llm_store_now(p->store);
    p->act.random = ngx_http_llm_random(p->store);

    verb = llm_verb_name(p->act.verb);
    p->action.len = verb.len;
    p->action.data = (u_char *) verb.data;

    *result = llm_rollout_act(&p->split->rollout, &p->sd.doc, p->sd.owner,
                              &p->act);

    if (ngx_memcmp(p->sd.doc.weight, sn->doc.weight, sizeof(sn->doc.weight))
        != 0)
    {
        p->sd.phase++;
    }

    return NGX_OK;
}


static void
ngx_http_llm_propose_done(void *data, redisReply *reply)
{
    ngx_http_llm_proposal_t *p = data;

    ngx_int_t         rc;
    llm_split_doc_t   doc;
    llm_act_result_t  result;

    if (p->event_pt) {
        p->split->busy--;
    }

    result = LLM_ACT_DONE;
    rc = ngx_http_llm_sync_split_written(p->store, p->split, reply, &p->sd);

    if (rc == NGX_OK) {
        ngx_http_llm_propose_tell(p, &doc);

    } else if (p->pt && rc == NGX_DECLINED) {
        rc = --p->tries ? ngx_http_llm_propose_try(p, &doc, &result)
                        : NGX_BUSY;

        if (rc == NGX_AGAIN) {
            return;
        }

    } else {
        rc = NGX_BUSY;
    }

    if (rc == NGX_BUSY) {
        ngx_http_llm_split_doc(p->store, p->split, &doc);
    }

    if (p->pt) {
        p->pt(p->data, rc, result, &doc);
    }

    ngx_free(p);
}


static void
ngx_http_llm_propose_tell(ngx_http_llm_proposal_t *p, llm_split_doc_t *doc)
{
    ngx_http_llm_store_lock(p->store);

    ngx_http_llm_split_audit_locked(p->store, p->split, &p->action,
                                    &p->before,
                                    p->by_nobody ? NULL : &p->actor);
    *doc = p->split->node->doc;

    ngx_http_llm_store_unlock(p->store);

    ngx_http_llm_audit_relieve(p->store);
    ngx_http_llm_sync_split_push(p->store, p->split);

    if (p->event_pt) {
        p->event_pt(p->data, &p->event);
    }
}


void
ngx_http_llm_split_propose_move(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, const ngx_http_llm_state_doc_t *sd,
    const ngx_http_llm_split_event_t *event, ngx_str_t *action,
    ngx_http_llm_split_event_pt pt, void *data)
{
    ngx_http_llm_actor_t        actor;
    ngx_http_llm_proposal_t    *p;
    ngx_http_llm_nodes_view_t   view;

    ngx_memzero(&actor, sizeof(ngx_http_llm_actor_t));
    ngx_str_set(&actor.actor, "controller");

    p = ngx_http_llm_propose_make(store, split, &actor);
    if (p == NULL) {
        return;
    }

    ngx_http_llm_nodes_view(store, &view);

    p->sd = *sd;
    p->term = view.term;
    p->action = *action;
    p->event = *event;
    p->event_pt = pt;
    p->data = data;

    ngx_http_llm_split_doc(store, split, &p->before);

    if (ngx_http_llm_sync_split_write(store, split, sd, view.term,
                                      ngx_http_llm_propose_done, p)
        != NGX_OK)
    {
        ngx_free(p);
        return;
    }

    split->busy++;
}


void
ngx_http_llm_split_start_shared(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split)
{
    ngx_int_t         rc;
    llm_act_t         act;
    llm_split_doc_t   doc;
    llm_act_result_t  result;

    ngx_memzero(&act, sizeof(llm_act_t));

    act.verb = LLM_VERB_START;
    act.variant = LLM_ROLLOUT_NOBODY;

    rc = ngx_http_llm_split_propose(store, split, 0, &act, NULL, &doc, &result,
                                    ngx_http_llm_propose_started, split);

    if (rc == NGX_AGAIN) {
        split->busy++;

    } else if (rc != NGX_BUSY) {
        split->node->start = 0;
        ngx_http_llm_split_tell_start(store, split, result);
    }
}


static void
ngx_http_llm_propose_started(void *data, ngx_int_t rc, llm_act_result_t result,
    const llm_split_doc_t *doc)
{
    ngx_http_llm_store_split_t *split = data;

    split->busy--;

    if (rc == NGX_OK) {
        split->node->start = 0;
        ngx_http_llm_split_tell_start(split->store, split, result);
    }
}
