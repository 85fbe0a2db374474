/*
 * The controller's look at a split: measures what its variants did, lets
 * triggers fire and the rollout move.
 *
 * Measuring takes no lock.  What follows from it is done under one: a worker
 * that is killed leaves a trigger either fired and acted upon or as it was.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync_split.h"
#include "ngx_http_llm_sync_step.h"


#define NGX_HTTP_LLM_TICK_CLEAR   60000     /* all clear, before a step */
#define NGX_HTTP_LLM_TICK_FROZEN  86400000  /* of a baseline that is kept */
#define NGX_HTTP_LLM_TICK_REASON  256       /* bytes of JSON */

/* of one tick: every variant may have one, and the rollout */
#define NGX_HTTP_LLM_TICK_EVENTS  (LLM_SPLIT_VARIANTS + 1)


/* One tick of one split. */
typedef struct {
    ngx_http_llm_store_t        *store;
    ngx_http_llm_store_split_t  *split;
    ngx_http_llm_split_node_t   *node;
    llm_msec_t                   now;
    uint64_t                     version;   /* that was measured */
    uint32_t                     guarded;
    uint32_t                     base;
    llm_arms_t                   arms;
    llm_sums_t                   scratch[2];
    llm_measure_t                measure[LLM_SPLIT_TRIGGERS]
                                        [LLM_SPLIT_VARIANTS];
    ngx_http_llm_split_event_t   event[NGX_HTTP_LLM_TICK_EVENTS];
    ngx_uint_t                   n;
    llm_rollout_in_t             in;        /* of a step that goes on … */
    ngx_uint_t                   going;     /* … here; others may want it */
    llm_rollout_move_t           move;      /* to be made in Redis first */
    ngx_http_llm_state_doc_t     moved;     /* … the document after it */
} ngx_http_llm_tick_t;


static void ngx_http_llm_tick_watch_locked(ngx_http_llm_tick_t *t);
static uint32_t ngx_http_llm_tick_guarded(const llm_split_doc_t *doc);
static void ngx_http_llm_tick_measure(ngx_http_llm_tick_t *t);
static void ngx_http_llm_tick_triggers_locked(ngx_http_llm_tick_t *t,
    uint32_t variant);
static void ngx_http_llm_tick_fire_locked(ngx_http_llm_tick_t *t,
    uint32_t variant, ngx_uint_t trigger);
static void ngx_http_llm_tick_rollout_locked(ngx_http_llm_tick_t *t);
static ngx_uint_t ngx_http_llm_tick_may_move_locked(ngx_http_llm_tick_t *t,
    const llm_rollout_in_t *in);
static void ngx_http_llm_tick_lease(ngx_http_llm_tick_t *t);
static void ngx_http_llm_tick_propose(ngx_http_llm_tick_t *t,
    ngx_http_llm_split_event_pt event, void *data);
static void ngx_http_llm_tick_evidence_locked(ngx_http_llm_tick_t *t,
    llm_rollout_in_t *in);
static ngx_http_llm_split_event_t *ngx_http_llm_tick_event(
    ngx_http_llm_tick_t *t, uint32_t variant);


void
ngx_http_llm_split_tick(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_split_event_pt event,
    void *data)
{
    uint32_t             v;
    ngx_uint_t           i;
    ngx_http_llm_tick_t  t;

    t.store = store;
    t.split = split;
    t.node = split->node;
    t.now = ngx_http_llm_store_now(store);
    t.n = 0;
    t.going = 0;
    t.move = LLM_ROLLOUT_STAY;

    ngx_http_llm_store_lock(store);
    ngx_http_llm_tick_watch_locked(&t);
    ngx_http_llm_store_unlock(store);

    ngx_http_llm_tick_measure(&t);

    ngx_http_llm_store_lock(store);

    /* who changed it in between has another truth: it is measured next time */

    if (t.node->doc.version == t.version) {

        for (v = 0; v < t.node->n; v++) {
            if (t.guarded >> v & 1) {
                ngx_http_llm_tick_triggers_locked(&t, v);
            }
        }

        ngx_http_llm_tick_rollout_locked(&t);
    }

    ngx_http_llm_store_unlock(store);

    ngx_http_llm_sync_split_push(store, split);
    ngx_http_llm_tick_lease(&t);

    if (t.going) {
        ngx_http_llm_sync_step_tell(store, split, t.version, &t.in);
    }

    for (i = 0; i < t.n; i++) {
        event(data, &t.event[i]);
    }

    if (t.move != LLM_ROLLOUT_STAY) {
        ngx_http_llm_tick_propose(&t, event, data);
    }
}


/* Variants come under guard, and evidence of the time before counts no more. */

static void
ngx_http_llm_tick_watch_locked(ngx_http_llm_tick_t *t)
{
    uint32_t                     v;
    ngx_uint_t                   i;
    llm_split_doc_t             *doc;
    ngx_http_llm_split_watch_t  *watch;

    doc = &t->node->doc;
    watch = &t->node->watch;

    t->version = doc->version;
    t->base = doc->base;
    t->guarded = ngx_http_llm_tick_guarded(doc);
    t->arms.since = doc->weighed;

    t->arms.frozen = (t->node->frozen_at
                      && t->node->frozen_variant == doc->base
                      && t->now - t->node->frozen_at
                         <= NGX_HTTP_LLM_TICK_FROZEN)
                     ? &t->node->frozen : NULL;

    for (v = 0; v < t->node->n; v++) {

        if ((t->guarded & ~watch->guarded) >> v & 1) {
            watch->reset[v] = doc->weighed;

            for (i = 0; i < LLM_SPLIT_TRIGGERS; i++) {
                ngx_memzero(&t->node->trigger[i][v],
                            sizeof(llm_trigger_state_t));
            }
        }
    }

    watch->guarded = t->guarded;

    if (doc->canary < t->node->n && watch->since != doc->since) {
        watch->since = doc->since;
        watch->doubts = 0;

        for (i = 0; i < LLM_COUNTS; i++) {
            watch->before[i] = t->node->variant[doc->canary]->totals.count[i];
        }
    }
}


/* Whoever has weight and is not the baseline, rollout or not. */

static uint32_t
ngx_http_llm_tick_guarded(const llm_split_doc_t *doc)
{
    uint32_t  v, guarded;

    guarded = 0;

    for (v = 0; v < doc->n; v++) {
        if (v != doc->base && doc->weight[v]) {
            guarded |= (uint32_t) 1 << v;
        }
    }

    return guarded;
}


static void
ngx_http_llm_tick_measure(ngx_http_llm_tick_t *t)
{
    uint32_t    v;
    ngx_uint_t  i;

    t->arms.now = t->now;
    t->arms.scratch = t->scratch;
    t->arms.baseline = &t->node->variant[t->base]->window;

    for (v = 0; v < t->node->n; v++) {

        if (!(t->guarded >> v & 1)) {
            continue;
        }

        t->arms.variant = &t->node->variant[v]->window;
        t->arms.reset = t->node->watch.reset[v];

        for (i = 0; i < t->split->trigger_n; i++) {
            llm_trigger_measure(&t->split->trigger[i], &t->split->pace,
                                &t->arms, &t->measure[i][v]);
        }
    }
}


/* All triggers of a variant see this tick; the strictest that fires acts. */

static void
ngx_http_llm_tick_triggers_locked(ngx_http_llm_tick_t *t, uint32_t variant)
{
    ngx_uint_t                 i, fired;
    const llm_trigger_conf_t  *conf;

    fired = LLM_SPLIT_TRIGGERS;
    conf = t->split->trigger;

    for (i = 0; i < t->split->trigger_n; i++) {

        if (llm_trigger_tick(&conf[i], &t->split->pace,
                             &t->measure[i][variant], t->now,
                             &t->node->trigger[i][variant])
            && (fired == LLM_SPLIT_TRIGGERS
                || conf[i].action < conf[fired].action))
        {
            fired = i;
        }
    }

    if (fired < LLM_SPLIT_TRIGGERS) {
        ngx_http_llm_tick_fire_locked(t, variant, fired);
    }
}


static void
ngx_http_llm_tick_fire_locked(ngx_http_llm_tick_t *t, uint32_t variant,
    ngx_uint_t trigger)
{
    u_char                       mem[NGX_HTTP_LLM_TICK_REASON];
    llm_act_t                    act;
    llm_buf_t                    reason;
    const llm_trigger_conf_t    *conf;
    ngx_http_llm_actor_t         actor;
    ngx_http_llm_split_event_t  *e;

    conf = &t->split->trigger[trigger];

    llm_buf_init(&reason, mem, sizeof(mem));
    llm_trigger_put_measure(&reason, conf, &t->measure[trigger][variant]);

    ngx_memzero(&actor, sizeof(ngx_http_llm_actor_t));
    ngx_str_set(&actor.actor, "controller");
    actor.reason.len = reason.pos - reason.start;
    actor.reason.data = mem;

    ngx_memzero(&act, sizeof(llm_act_t));
    act.variant = variant;
    act.verb = LLM_VERBS;

    if (conf->action == LLM_ACTION_ROLLBACK) {
        act.verb = LLM_VERB_ROLLBACK;

    } else if (conf->action == LLM_ACTION_PAUSE
               && variant == t->node->doc.canary)
    {
        act.verb = LLM_VERB_HOLD;
    }

    /* with nothing to pause, it is said all the same */

    if (act.verb != LLM_VERBS
        && ngx_http_llm_split_act_locked(t->store, t->split, &act, &actor)
           != LLM_ACT_DONE)
    {
        act.verb = LLM_VERBS;
    }

    e = ngx_http_llm_tick_event(t, variant);
    e->verb = act.verb;
    e->trigger = conf;
    e->measure = t->measure[trigger][variant];
}


static ngx_http_llm_split_event_t *
ngx_http_llm_tick_event(ngx_http_llm_tick_t *t, uint32_t variant)
{
    ngx_http_llm_split_event_t  *e;

    e = &t->event[t->n++];

    ngx_memzero(e, sizeof(ngx_http_llm_split_event_t));

    e->split = t->split;
    e->verb = LLM_VERBS;
    e->variant = variant;
    e->doc = t->node->doc;

    return e;
}


static const ngx_str_t  ngx_http_llm_tick_actions[] = {
    [LLM_ROLLOUT_NEXT] = ngx_string("step"),
    [LLM_ROLLOUT_SOAK] = ngx_string("soak"),
    [LLM_ROLLOUT_DONE] = ngx_string("complete"),
    [LLM_ROLLOUT_STUCK] = ngx_string("pause")
};


static void
ngx_http_llm_tick_rollout_locked(ngx_http_llm_tick_t *t)
{
    ngx_str_t             action;
    llm_split_doc_t       before, *doc;
    llm_rollout_in_t      in;
    llm_rollout_move_t    move;
    ngx_http_llm_actor_t  actor;

    doc = &t->node->doc;

    if (doc->canary >= t->node->n || doc->since != t->node->watch.since) {
        return;
    }

    ngx_http_llm_tick_evidence_locked(t, &in);

    if (!ngx_http_llm_tick_may_move_locked(t, &in)) {
        return;
    }

    before = *doc;
    move = llm_rollout_tick(&t->split->rollout, doc, t->node->owner, &in);

    if (move == LLM_ROLLOUT_STAY) {
        return;
    }

    ngx_memzero(&actor, sizeof(ngx_http_llm_actor_t));
    ngx_str_set(&actor.actor, "controller");
    action = ngx_http_llm_tick_actions[move];

    ngx_http_llm_split_changed_locked(t->store, t->node, &before);
    ngx_http_llm_split_audit_locked(t->store, t->split, &action, &before,
                                    &actor);

    ngx_http_llm_tick_event(t, doc->canary)->move = move;
}


/* Where nodes share the document one of them moves the rollout, and Redis hears
 * of it first; a pause is made here, like all that raises nothing. */

static ngx_uint_t
ngx_http_llm_tick_may_move_locked(ngx_http_llm_tick_t *t,
    const llm_rollout_in_t *in)
{
    llm_rollout_in_t            all;
    llm_rollout_move_t          move;
    ngx_http_llm_split_node_t  *sn;
    ngx_http_llm_nodes_view_t   view;

    sn = t->node;

    if (t->store->redis == NULL || sn->foreign) {
        return 1;
    }

    t->in = *in;
    t->going = (sn->doc.state == LLM_ROLLOUT_PROGRESSING
                || sn->doc.state == LLM_ROLLOUT_SOAKING);
    all = *in;

    ngx_http_llm_nodes_view(t->store, &view);

    if (!view.leader || !view.connected || view.learning || !sn->known
        || sn->tag != sn->shared || t->split->busy
        || ngx_http_llm_sync_step_add(t->split, sn->doc.version, &all)
           != NGX_OK)
    {
        return 0;
    }

    ngx_http_llm_state_copy_doc_locked(&t->moved, sn);

    move = llm_rollout_tick(&t->split->rollout, &t->moved.doc, t->moved.owner,
                            &all);

    if (move == LLM_ROLLOUT_STAY || move == LLM_ROLLOUT_STUCK) {
        return move == LLM_ROLLOUT_STUCK;
    }

    if (ngx_memcmp(t->moved.doc.weight, sn->doc.weight, sizeof(sn->doc.weight))
        != 0)
    {
        t->moved.phase++;
    }

    t->move = move;

    return 0;
}


/* Said once each way, but not while there is no first word yet. */

static void
ngx_http_llm_tick_lease(ngx_http_llm_tick_t *t)
{
    uint32_t              lost;
    ngx_uint_t            level;
    ngx_http_llm_root_t  *root;

    root = t->store->root;
    lost = root->nodes.seen && ngx_http_llm_split_is_lost(t->split);

    if (__atomic_exchange_n(&t->node->lost, lost, __ATOMIC_RELAXED) == lost) {
        return;
    }

    level = lost ? NGX_LOG_ERR : NGX_LOG_NOTICE;

    ngx_log_error(level, t->store->log, 0,
                  "llm: split \"%V\": %s", &t->split->name,
                  lost ? "no word from Redis for 15 s while a rollout is under "
                         "way: the baseline answers everybody (lease_expired)"
                       : "word from Redis: variants have their weights again");
}


static void
ngx_http_llm_tick_propose(ngx_http_llm_tick_t *t,
    ngx_http_llm_split_event_pt event, void *data)
{
    ngx_str_t                   action;
    ngx_http_llm_split_event_t  e;

    ngx_memzero(&e, sizeof(ngx_http_llm_split_event_t));

    e.split = t->split;
    e.verb = LLM_VERBS;
    e.variant = t->moved.doc.canary;
    e.doc = t->moved.doc;
    e.move = t->move;

    action = ngx_http_llm_tick_actions[t->move];

    ngx_http_llm_split_propose_move(t->store, t->split, &t->moved, &e, &action,
                                    event, data);
}


/*
 * What the outcomes of this step say.  Too few of them for a condition are not
 * against a step, or none would ever pass without answers in JSON; but those
 * few must not be over the threshold.
 */

static void
ngx_http_llm_tick_evidence_locked(ngx_http_llm_tick_t *t, llm_rollout_in_t *in)
{
    uint64_t                     step[LLM_COUNTS];
    llm_msec_t                   clear;
    ngx_uint_t                   i;
    llm_trigger_state_t         *state;
    ngx_http_llm_split_watch_t  *watch;

    watch = &t->node->watch;
    watch->doubts = 0;

    for (i = 0; i < LLM_COUNTS; i++) {
        step[i] = t->node->variant[t->node->doc.canary]->totals.count[i]
                  - watch->before[i];
    }

    in->now = t->now;
    in->samples = step[LLM_COUNT_N];
    in->clear_min = llm_pace_scale(&t->split->pace, NGX_HTTP_LLM_TICK_CLEAR);
    in->clear = LLM_NEVER;
    in->pending = 0;

    for (i = 0; i < t->split->trigger_n; i++) {

        if (t->split->trigger[i].action == LLM_ACTION_LOG) {
            continue;
        }

        state = &t->node->trigger[i][t->node->doc.canary];

        if (state->status != LLM_TRIGGER_IDLE) {
            in->pending = 1;
            continue;
        }

        if (state->last.result == LLM_MEASURE_INSUFFICIENT
            && llm_trigger_doubts(&t->split->trigger[i], step))
        {
            watch->doubts = 1;
            in->pending = 1;
        }

        clear = t->now > state->clear_at ? t->now - state->clear_at : 0;
        in->clear = clear < in->clear ? clear : in->clear;
    }
}


uint64_t
ngx_http_llm_split_samples(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_uint_t *doubts)
{
    uint64_t                     n;
    llm_split_doc_t             *doc;
    ngx_http_llm_split_node_t   *sn;
    ngx_http_llm_split_watch_t  *watch;

    sn = split->node;
    doc = &sn->doc;
    watch = &sn->watch;
    n = 0;
    *doubts = 0;

    ngx_http_llm_store_lock(store);

    if (doc->canary < sn->n && watch->since == doc->since) {
        n = sn->variant[doc->canary]->totals.count[LLM_COUNT_N]
            - watch->before[LLM_COUNT_N];
        *doubts = watch->doubts;
    }

    ngx_http_llm_store_unlock(store);

    return n;
}
