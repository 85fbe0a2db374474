/*
 * The rollout controller, and whoever else needs one worker of a node.
 *
 * Every worker has its timer; at each tick it asks for the lead, and who has it
 * looks at the splits whose time has come.  A leader that dies is replaced by
 * the next worker that asks.  Nothing is kept here from one tick to the next:
 * all of it lies in the zone.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_controller.h"
#include "ngx_http_llm_probe.h"
#include "ngx_http_llm_webhook.h"


#define NGX_HTTP_LLM_CONTROLLER_TICK    1000    /* ms, without splits */
#define NGX_HTTP_LLM_CONTROLLER_FOLLOW  500     /* ms, without the lead */
#define NGX_HTTP_LLM_CONTROLLER_TEXT    256


/* Of this worker. */
typedef struct {
    ngx_http_llm_store_ident_t  ident;
    ngx_http_llm_main_conf_t   *lmcf;
    ngx_msec_t                  tick;
    ngx_event_t                 timer;
} ngx_http_llm_controller_t;


static void ngx_http_llm_controller_tick(ngx_event_t *ev);
static void ngx_http_llm_controller_look(ngx_http_llm_controller_t *c);
static void ngx_http_llm_controller_event(void *data,
    ngx_http_llm_split_event_t *event);
static void ngx_http_llm_controller_log_trigger(ngx_http_llm_split_t *split,
    ngx_http_llm_split_event_t *event);
static void ngx_http_llm_controller_log_move(ngx_http_llm_split_t *split,
    ngx_http_llm_split_event_t *event);


static ngx_http_llm_controller_t  ngx_http_llm_controller;


void
ngx_http_llm_controller_init(ngx_cycle_t *cycle,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                  i;
    ngx_http_llm_split_t      **split;
    ngx_http_llm_controller_t  *c;

    if (!lmcf->store.joined) {
        return;
    }

    c = &ngx_http_llm_controller;

    ngx_memzero(c, sizeof(ngx_http_llm_controller_t));

    c->lmcf = lmcf;
    c->tick = NGX_HTTP_LLM_CONTROLLER_TICK;

    split = lmcf->splits.elts;

    for (i = 0; i < lmcf->splits.nelts; i++) {
        c->tick = ngx_min(c->tick, (ngx_msec_t) split[i]->store.pace.tick);
    }

    c->tick = ngx_http_llm_probe_pace(lmcf, c->tick);

    c->ident.store = &lmcf->store;
    c->ident.fd = (ngx_socket_t) -1;

    c->timer.handler = ngx_http_llm_controller_tick;
    c->timer.data = &c->ident;
    c->timer.log = cycle->log;
    c->timer.cancelable = 1;

    ngx_add_timer(&c->timer, 1);
}


void
ngx_http_llm_controller_exit(ngx_http_llm_main_conf_t *lmcf)
{
    if (!lmcf->store.joined) {
        return;
    }

    if (ngx_http_llm_controller.timer.timer_set) {
        ngx_del_timer(&ngx_http_llm_controller.timer);
    }

    ngx_http_llm_webhook_exit();
    ngx_http_llm_lead_release(&lmcf->store);
}


static void
ngx_http_llm_controller_tick(ngx_event_t *ev)
{
    ngx_msec_t                  next;
    ngx_http_llm_controller_t  *c;

    c = &ngx_http_llm_controller;

    /* another worker goes on while this one serves its last requests */

    if (ngx_exiting) {
        ngx_http_llm_lead_release(&c->lmcf->store);
        return;
    }

    next = c->tick;

    if (ngx_http_llm_lead(&c->lmcf->store) == NGX_OK) {
        ngx_http_llm_controller_look(c);
        ngx_http_llm_probe_tick(c->lmcf);
        ngx_http_llm_audit_flush(&c->lmcf->store);

    } else {
        next = ngx_max(next, NGX_HTTP_LLM_CONTROLLER_FOLLOW);
    }

    ngx_add_timer(ev, next);
}


static void
ngx_http_llm_controller_look(ngx_http_llm_controller_t *c)
{
    ngx_uint_t                   i;
    ngx_http_llm_split_t       **split;
    ngx_http_llm_store_split_t  *ss;

    split = c->lmcf->splits.elts;

    for (i = 0; i < c->lmcf->splits.nelts; i++) {
        ss = &split[i]->store;

        if ((ngx_msec_int_t) (ngx_current_msec - ss->due) < 0) {
            continue;
        }

        ss->due = ngx_current_msec + (ngx_msec_t) ss->pace.tick;

        ngx_http_llm_split_tick(&c->lmcf->store, ss,
                                ngx_http_llm_controller_event, split[i]);
    }
}


static void
ngx_http_llm_controller_event(void *data, ngx_http_llm_split_event_t *event)
{
    ngx_http_llm_split_t  *split = data;

    if (event->trigger) {
        ngx_http_llm_controller_log_trigger(split, event);

    } else {
        ngx_http_llm_controller_log_move(split, event);
    }

    ngx_http_llm_webhook(split, event);
}


static void
ngx_http_llm_controller_log_trigger(ngx_http_llm_split_t *split,
    ngx_http_llm_split_event_t *event)
{
    char       *what;
    u_char      mem[NGX_HTTP_LLM_CONTROLLER_TEXT];
    llm_buf_t   text;
    ngx_str_t   measure;
    ngx_uint_t  level;

    switch (event->verb) {

    case LLM_VERB_ROLLBACK:
        level = NGX_LOG_ERR;
        what = "was rolled back";
        break;

    case LLM_VERB_HOLD:
        level = NGX_LOG_WARN;
        what = "stays as it is, the rollout was paused";
        break;

    default:
        level = NGX_LOG_WARN;
        what = "misbehaves";
        break;
    }

    llm_buf_init(&text, mem, sizeof(mem));
    llm_trigger_put_measure(&text, event->trigger, &event->measure);
    measure.len = text.pos - text.start;
    measure.data = mem;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "llm: split \"%V\": variant \"%V\" %s: %V",
                  &split->name, &split->store.variants[event->variant], what,
                  &measure);
}


static void
ngx_http_llm_controller_log_move(ngx_http_llm_split_t *split,
    ngx_http_llm_split_event_t *event)
{
    u_char      mem[NGX_HTTP_LLM_CONTROLLER_TEXT];
    llm_buf_t   text;
    ngx_str_t   weight, *variant;

    variant = &split->store.variants[event->variant];

    llm_buf_init(&text, mem, sizeof(mem));
    llm_split_put(&text, event->doc.weight[event->variant]);
    weight.len = text.pos - text.start;
    weight.data = mem;

    switch (event->move) {

    case LLM_ROLLOUT_NEXT:
    case LLM_ROLLOUT_SOAK:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "llm: split \"%V\": variant \"%V\" has %V%% now%s",
                      &split->name, variant, &weight,
                      event->move == LLM_ROLLOUT_SOAK ? " and soaks" : "");
        break;

    case LLM_ROLLOUT_DONE:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "llm: split \"%V\": the rollout of \"%V\" is complete",
                      &split->name, variant);
        break;

    default: /* LLM_ROLLOUT_STUCK */
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "llm: split \"%V\": the rollout of \"%V\" is paused at "
                      "%V%%: inconclusive", &split->name, variant, &weight);
        break;
    }
}
