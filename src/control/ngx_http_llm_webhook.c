/*
 * Webhooks: a JSON object is posted and, if need be, posted again; and what the
 * objects of splits say, one for everything the controller does.
 *
 * A URL may hold a secret, so no log line has it.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_json.h"
#include "ngx_http_llm_curl.h"
#include "ngx_http_llm_webhook.h"


#define NGX_HTTP_LLM_WEBHOOK_TRIES    3
#define NGX_HTTP_LLM_WEBHOOK_TIMEOUT  5000      /* ms, of a try */
#define NGX_HTTP_LLM_WEBHOOK_DELAY    1000      /* ms, to the second; doubles */
#define NGX_HTTP_LLM_WEBHOOK_MOST     64        /* at a time */
#define NGX_HTTP_LLM_WEBHOOK_SIZE     4096
#define NGX_HTTP_LLM_WEBHOOK_MEASURE  256


/* A message under way; its strings follow it. */
typedef struct {
    ngx_queue_t                 queue;
    ngx_http_llm_curl_t         request;
    ngx_event_t                 timer;
    ngx_connection_t            ident;      /* for the timer's logging */
    ngx_uint_t                  tries;
    char                       *what;       /* "split": a literal */
    ngx_str_t                   name;
} ngx_http_llm_webhook_t;


static void ngx_http_llm_webhook_put(llm_buf_t *out,
    ngx_http_llm_split_t *split, ngx_http_llm_split_event_t *event);
static char *ngx_http_llm_webhook_word(ngx_http_llm_split_event_t *event);
static void ngx_http_llm_webhook_put_measure(llm_buf_t *out,
    ngx_http_llm_split_event_t *event);
static ngx_http_llm_webhook_t *ngx_http_llm_webhook_make(ngx_str_t *url,
    char *what, ngx_str_t *name, ngx_str_t *body);
static void ngx_http_llm_webhook_send(ngx_http_llm_webhook_t *hook);
static void ngx_http_llm_webhook_retry(ngx_event_t *ev);
static void ngx_http_llm_webhook_done(ngx_http_llm_curl_t *request,
    ngx_uint_t status, char *error);
static void ngx_http_llm_webhook_free(ngx_http_llm_webhook_t *hook);


static ngx_queue_t  ngx_http_llm_webhooks;      /* zeroed: none yet */
static ngx_uint_t   ngx_http_llm_webhook_n;


void
ngx_http_llm_webhook(ngx_http_llm_split_t *split,
    ngx_http_llm_split_event_t *event)
{
    u_char     mem[NGX_HTTP_LLM_WEBHOOK_SIZE];
    llm_buf_t  out;
    ngx_str_t  body;

    if (split->webhook.len == 0) {
        return;
    }

    llm_buf_init(&out, mem, sizeof(mem));
    ngx_http_llm_webhook_put(&out, split, event);

    body.data = mem;
    body.len = out.pos - out.start;

    ngx_http_llm_webhook_post(&split->webhook, "split", &split->name,
                              out.full ? NULL : &body);
}


void
ngx_http_llm_webhook_post(ngx_str_t *url, char *what, ngx_str_t *name,
    ngx_str_t *body)
{
    ngx_http_llm_webhook_t  *hook;

    hook = NULL;

    if (body && ngx_http_llm_webhook_n < NGX_HTTP_LLM_WEBHOOK_MOST) {
        hook = ngx_http_llm_webhook_make(url, what, name, body);
    }

    if (hook == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "llm: %s \"%V\": no room for a message to its webhook",
                      what, name);
        return;
    }

    ngx_http_llm_webhook_send(hook);
}


/* The members that every event has, then those of a trigger. */

static void
ngx_http_llm_webhook_put(llm_buf_t *out, ngx_http_llm_split_t *split,
    ngx_http_llm_split_event_t *event)
{
    char       *word;
    u_char      time[sizeof("1970-01-01T00:00:00.000Z")], *p;
    ngx_tm_t    tm;
    ngx_str_t  *variant;
    ngx_uint_t  i;
    llm_str_t   state;

    word = ngx_http_llm_webhook_word(event);
    variant = split->store.variants;
    state = llm_rollout_state_name(event->doc.state);

    ngx_gmtime((time_t) (event->doc.updated / 1000), &tm);
    p = ngx_sprintf(time, "%4d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                    tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                    tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                    (int) (event->doc.updated % 1000));

    llm_buf_str(out, LLM_STR("{\"event\":"));
    llm_json_put_string(out, (llm_str_t) { ngx_strlen(word), (u_char *) word });
    llm_buf_str(out, LLM_STR(",\"split\":"));
    llm_json_put_string(out, (llm_str_t) { split->name.len, split->name.data });
    llm_buf_str(out, LLM_STR(",\"variant\":"));
    llm_json_put_string(out, (llm_str_t) { variant[event->variant].len,
                                           variant[event->variant].data });
    llm_buf_str(out, LLM_STR(",\"state\":"));
    llm_json_put_string(out, state);
    llm_buf_str(out, LLM_STR(",\"weights\":{"));

    for (i = 0; i < split->store.n; i++) {
        if (i) {
            llm_buf_str(out, LLM_STR(","));
        }

        llm_json_put_string(out, (llm_str_t) { variant[i].len,
                                               variant[i].data });
        llm_buf_str(out, LLM_STR(":"));
        llm_split_put(out, event->doc.weight[i]);
    }

    llm_buf_str(out, LLM_STR("}"));

    if (event->trigger) {
        ngx_http_llm_webhook_put_measure(out, event);
    }

    llm_buf_str(out, LLM_STR(",\"time\":"));
    llm_json_put_string(out, (llm_str_t) { (size_t) (p - time), time });
    llm_buf_str(out, LLM_STR("}"));
}


static char *
ngx_http_llm_webhook_word(ngx_http_llm_split_event_t *event)
{
    if (event->trigger) {
        return event->verb == LLM_VERB_ROLLBACK ? "rollback"
               : event->verb == LLM_VERB_HOLD ? "pause" : "warning";
    }

    switch (event->move) {

    case LLM_ROLLOUT_NEXT:
        return "step";

    case LLM_ROLLOUT_SOAK:
        return "soak";

    case LLM_ROLLOUT_DONE:
        return "complete";

    default: /* LLM_ROLLOUT_STUCK */
        return "pause";
    }
}


/* The object's members, without its braces. */

static void
ngx_http_llm_webhook_put_measure(llm_buf_t *out,
    ngx_http_llm_split_event_t *event)
{
    u_char     mem[NGX_HTTP_LLM_WEBHOOK_MEASURE];
    llm_buf_t  measure;

    llm_buf_init(&measure, mem, sizeof(mem));
    llm_trigger_put_measure(&measure, event->trigger, &event->measure);

    llm_buf_str(out, LLM_STR(","));
    llm_buf_put(out, mem + 1, measure.pos - measure.start - 2);
}


static ngx_http_llm_webhook_t *
ngx_http_llm_webhook_make(ngx_str_t *url, char *what, ngx_str_t *name,
    ngx_str_t *body)
{
    u_char                  *p;
    ngx_http_llm_webhook_t  *hook;

    hook = ngx_calloc(sizeof(ngx_http_llm_webhook_t) + url->len + 1
                      + name->len + body->len, ngx_cycle->log);
    if (hook == NULL) {
        return NULL;
    }

    p = (u_char *) &hook[1];

    hook->what = what;
    hook->request.url = (char *) p;
    p = ngx_cpymem(p, url->data, url->len) + 1;

    hook->request.body.data = p;
    hook->request.body.len = body->len;
    p = ngx_cpymem(p, body->data, body->len);

    hook->name.data = p;
    hook->name.len = name->len;
    ngx_memcpy(p, name->data, name->len);

    hook->request.timeout = NGX_HTTP_LLM_WEBHOOK_TIMEOUT;
    hook->request.done = ngx_http_llm_webhook_done;
    hook->request.data = hook;

    hook->ident.fd = (ngx_socket_t) -1;
    hook->ident.data = hook;

    hook->timer.handler = ngx_http_llm_webhook_retry;
    hook->timer.data = &hook->ident;
    hook->timer.log = ngx_cycle->log;

    if (ngx_http_llm_webhooks.next == NULL) {
        ngx_queue_init(&ngx_http_llm_webhooks);
    }

    ngx_queue_insert_tail(&ngx_http_llm_webhooks, &hook->queue);
    ngx_http_llm_webhook_n++;

    return hook;
}


static void
ngx_http_llm_webhook_send(ngx_http_llm_webhook_t *hook)
{
    hook->tries++;

    if (ngx_http_llm_curl_post(&hook->request) != NGX_OK) {
        ngx_http_llm_webhook_done(&hook->request, 0, "cannot start");
    }
}


static void
ngx_http_llm_webhook_retry(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_http_llm_webhook_send(c->data);
}


static void
ngx_http_llm_webhook_done(ngx_http_llm_curl_t *request, ngx_uint_t status,
    char *error)
{
    ngx_http_llm_webhook_t  *hook;

    hook = request->data;

    if (status >= 200 && status < 300) {
        ngx_http_llm_webhook_free(hook);
        return;
    }

    if (hook->tries < NGX_HTTP_LLM_WEBHOOK_TRIES && !ngx_exiting) {
        ngx_add_timer(&hook->timer,
                      NGX_HTTP_LLM_WEBHOOK_DELAY << (hook->tries - 1));
        return;
    }

    if (status) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "llm: %s \"%V\": its webhook answered with %ui",
                      hook->what, &hook->name, status);
    } else {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "llm: %s \"%V\": its webhook could not be told: %s",
                      hook->what, &hook->name, error);
    }

    ngx_http_llm_webhook_free(hook);
}


static void
ngx_http_llm_webhook_free(ngx_http_llm_webhook_t *hook)
{
    if (hook->timer.timer_set) {
        ngx_del_timer(&hook->timer);
    }

    ngx_queue_remove(&hook->queue);
    ngx_http_llm_webhook_n--;

    ngx_free(hook);
}


void
ngx_http_llm_webhook_exit(void)
{
    ngx_queue_t  *q;

    ngx_http_llm_curl_exit();

    while (ngx_http_llm_webhook_n) {
        q = ngx_queue_head(&ngx_http_llm_webhooks);
        ngx_http_llm_webhook_free(ngx_queue_data(q, ngx_http_llm_webhook_t,
                                                 queue));
    }
}
