/*
 * One request on its way: body -> route -> target -> key -> attempt -> answer
 * -> settlement.  No stage reaches back.
 *
 * request.c             reads the body
 * realtime.c            what requests of the Realtime API say of themselves
 * find.c                finds the route
 * allowed.c             whether the client may use it
 * variant.c, place.c    the variant of a split: chosen, changed, counted
 * object.c              who made a file, batch or response answers for it
 * session.c             who served the last request of a session is asked first
 * app.c                 an application behind a split, by the proxy module
 * attempt.c, wait.c     picks target and key, waits, retries, gives up
 * translate.c           its body in another dialect
 * translate_answer.c    its answer and its events in the client's
 * speech.c              an upload as JSON, where a provider takes no form
 * params.c              what a target wants done to its parameters
 * swap.c                a form, and answers that are text, for some dialects
 * compose.c, _path.c,   the bytes of one attempt's request
 * _body.c
 * upstream.c, park.c    one attempt on a fresh ngx_http_upstream_t
 * head.c, frame.c       an answer's head and the framing of its body
 * answer.c, events.c    the answer up to the commit, and its events
 * classify.c            a whole one is read
 * stream.c              what goes through after the commit, and its end
 * relay.c               ... of an answer that we send ourselves
 * whole.c               ... that is no stream, where one was promised
 * heartbeat.c           signs of life in front of it, and in it
 * resume.c, told.c      a cut stream goes on with another answer; what it is
 * upload.c              a body that goes to the provider as it comes
 * upgrade.c, tunnel.c   WebSocket: the handshake, and the session behind it
 * respond.c             everything the module answers by itself
 * shed.c                its priority, and whether it is let in at all
 * settle.c, meter.c     what a send and a request leave behind
 * feedback.c, sample.c  what people think of an answer; answers for review
 * policy*.c, budget.c   limits and budgets: admitted, settled, told
 * mirror.c, copy.c      what was served is sent to another variant as well
 * heard.c               the text of a stream, for both
 */

#ifndef _NGX_HTTP_LLM_CTX_H_INCLUDED_
#define _NGX_HTTP_LLM_CTX_H_INCLUDED_

#include "ngx_http_llm.h"
#include "llm_front.h"
#include "ngx_http_llm_shed.h"

#pragma GCC visibility push(hidden)


#define NGX_HTTP_LLM_ERROR_BODY   16384     /* kept of a refusal */
#define NGX_HTTP_LLM_ERROR_DRAIN  65536     /* read of one, to keep alive */
#define NGX_HTTP_LLM_HOLD_EVENTS  64        /* before the first content ... */
#define NGX_HTTP_LLM_HOLD_BYTES   65536   /* ... a stream commits after these */
#define NGX_HTTP_LLM_LAST_BYTES   1000      /* ms, from [DONE] to the end */
/* "boundary" of forms we make; 32 hex digits follow */
#define NGX_HTTP_LLM_BOUNDARY     "llm-gateway-"

#define NGX_HTTP_LLM_SCRATCH      2304      /* decoded messages of an attempt */


typedef struct ngx_http_llm_ctx_s     ngx_http_llm_ctx_t;
typedef struct ngx_http_llm_shadow_s  ngx_http_llm_shadow_t;
typedef struct ngx_http_llm_admission_s  ngx_http_llm_admission_t;
typedef struct ngx_http_llm_relay_s   ngx_http_llm_relay_t;
typedef struct ngx_http_llm_resume_s  ngx_http_llm_resume_t;
typedef struct ngx_http_llm_sound_s  ngx_http_llm_sound_t;
typedef struct ngx_http_llm_tunnel_s  ngx_http_llm_tunnel_t;
typedef struct ngx_http_llm_upload_s  ngx_http_llm_upload_t;


/* What the request is waiting for. */
typedef enum {
    NGX_HTTP_LLM_READING = 0,               /* the client's body */
    NGX_HTTP_LLM_QUEUED,                    /* an inflight slot */
    NGX_HTTP_LLM_RESOLVING,                 /* a name */
    NGX_HTTP_LLM_SENDING,                   /* an attempt, before its commit */
    NGX_HTTP_LLM_BACKOFF,                   /* the next attempt's time */
    NGX_HTTP_LLM_STREAMING,                 /* committed */
    NGX_HTTP_LLM_FINISHED
} ngx_http_llm_state_e;


/* How the body of an attempt's answer is read. */
typedef enum {
    NGX_HTTP_LLM_ANSWER_HEAD = 0,           /* status line and headers */
    NGX_HTTP_LLM_ANSWER_DRAIN,              /* a refusal: keep 16 KiB */
    NGX_HTTP_LLM_ANSWER_COLLECT,            /* whole, then answered by us */
    NGX_HTTP_LLM_ANSWER_HOLD,              /* events, until the first content */
    NGX_HTTP_LLM_ANSWER_EVENTS,             /* events, committed */
    NGX_HTTP_LLM_ANSWER_RAW,                /* bytes, committed */
    NGX_HTTP_LLM_ANSWER_TUNNEL,             /* of a session, both ways */
    NGX_HTTP_LLM_ANSWER_ENDED
} ngx_http_llm_answer_e;


/* The framing of an answer's body. */
typedef struct {
    ngx_http_status_t            status;
    ngx_http_chunked_t           chunk;
    off_t                        rest;      /* of Content-Length; -1: to EOF */
    unsigned                     chunked:1;
    unsigned                     has_length:1;
    unsigned                     ended:1;   /* the whole body was read */
    unsigned                     close:1;   /* the connection is not reusable */
} ngx_http_llm_frame_t;


/* Events between the provider and the client. */
typedef struct {
    llm_sse_t                    sse;
    llm_stream_t                 state;
    ngx_buf_t                   *pending;   /* an unfinished event */
    ngx_chain_t                 *own;       /* all bufs made for such events;
                                               an empty one may be reused */
    ngx_chain_t                 *out;       /* held, or to be sent */
    ngx_chain_t                **last;
    size_t                       held;
    ngx_uint_t                   held_events;
    u_char                      *scratch;   /* to join data lines in */
    size_t                       scratch_size;
    llm_reply_t                 *reply;     /* of a translated stream */
    ngx_buf_t                   *writing;   /* its deltas of this read */
    unsigned                     copy:1;    /* bytes must outlive u->buffer */
    unsigned                     failed:1;  /* an error event came */
    unsigned                     withheld:1;    /* ... and did not go out */
    unsigned                     commit:1;
    unsigned                     broken:1;  /* a delta could not be written */
} ngx_http_llm_events_t;


/* One attempt; zeroed before each. */
typedef struct {
    ngx_http_llm_target_t       *target;
    const llm_dialect_t         *dialect;       /* of what it answers */
    ngx_http_llm_ticket_t        ticket;
    ngx_http_llm_addrs_t         addrs;
    ngx_http_llm_lookup_t        lookup;
    ngx_chain_t                 *chain;     /* of the request */
    ngx_uint_t                   gets;      /* calls of peer.get */
    ngx_http_llm_answer_e        answer;
    ngx_http_llm_frame_t         frame;
    llm_hint_t                   hint;
    llm_outcome_t                outcome;
    llm_refusal_t                refusal;
    ngx_str_t                    content_type;
    ngx_msec_t                   started;
    ngx_msec_t                   status_at;     /* status line seen */
    ngx_buf_t                   *error;         /* of a refusal */
    ngx_buf_t                   *body;          /* collected, contiguous */
    ngx_http_llm_record_t       *record;
    ngx_str_t                    dropped;   /* members it was sent without */
    unsigned                     parked:1;
    unsigned                     translated:1;  /* it speaks another dialect */
    unsigned                     cached:1;   /* a connection of the idle pool */
    unsigned                     upstream:1; /* r->upstream is ours and alive */
    unsigned                     eof:1;    /* closed by the provider, cleanly */
    unsigned                     json_checked:1;    /* the content, as JSON */
    unsigned                     json_invalid:1;
    unsigned                     empty:1;   /* an answer that says nothing */
    unsigned                     relayed:1; /* we send its events ourselves */
} ngx_http_llm_send_t;


/* The text of an answer that streams, as far as there is room. */
typedef struct {
    llm_buf_t                    text;
    ngx_uint_t                   send;          /* the attempt that it is of */
} ngx_http_llm_heard_t;


struct ngx_http_llm_ctx_s {
    ngx_http_request_t          *request;
    ngx_http_llm_main_conf_t    *lmcf;
    ngx_http_llm_loc_conf_t     *llcf;
    ngx_http_llm_caller_t       *caller;        /* NULL: nobody was asked */
    ngx_http_llm_state_e         state;

    /* the request */
    u_char                       id[32];        /* 128 random bits, in hex */
    llm_endpoint_t               endpoint;
    ngx_str_t                    rest;          /* of the path, behind it */
    ngx_str_t                    deployment;    /* … in front; or empty */
    llm_request_t                facts;
    ngx_str_t                    body;          /* memory, or mapped */
    ngx_str_t                    model;       /* the client's, or the route's */
    u_char                       model_mem[256];
    llm_need_t                   need;
    ngx_http_llm_route_t        *route;
    ngx_http_llm_split_t        *split;         /* NULL: in none */
    ngx_http_llm_place_t         place;         /* in it: whose outcome it is */
    ngx_uint_t                   variant;       /* that serves it now */
    ngx_uint_t                   visited;       /* variants so far, as bits */
    uint64_t                     unit;          /* hash of the sticky key; 0 */
    ngx_http_upstream_t         *app_upstream;  /* the proxy module's */
    ngx_http_llm_shadow_t       *shadow;        /* a copy for the mirror, which
                                                   has no client; NULL */
    ngx_http_llm_heard_t        *heard;       /* NULL: nobody keeps a copy */
    ngx_http_llm_object_t       *object;        /* it speaks of; else NULL */
    ngx_http_llm_object_t       *home;        /* of its session; else NULL */
    ngx_str_t                    session;       /* its name; or empty */
    ngx_http_llm_tunnel_t       *tunnel;        /* NULL: no session */
    ngx_http_llm_upload_t       *upload;        /* NULL: the body is here */
    ngx_http_llm_admission_t    *admission;     /* NULL: no rule applies */
    ngx_str_t                    raw_audio;   /* file extension of a raw body */
    ngx_str_t                    system;        /* rendered prompts, escaped */
    ngx_str_t                    user;
    ngx_str_t                    prompt;        /* the body made of them */
    ngx_str_t                    hub;         /* what it was made of, if not
                                               the client's body */
    ngx_str_t                    translation;   /* the body of this attempt */
    ngx_http_llm_sound_t        *sound;         /* … goes on with; or NULL */

    /* the loop */
    ngx_uint_t                   current;       /* index of the target */
    ngx_http_llm_target_t       *first;       /* asked before the chain; NULL */
    uint64_t                     skipped;     /* targets that cannot serve it */
    llm_tried_t                  tried;
    ngx_uint_t                   retried;       /* on this target */
    ngx_uint_t                   rotated;
    ngx_uint_t                   sends;
    ngx_uint_t                   fallbacks;
    ngx_msec_t                   started;
    ngx_msec_t                   ready;         /* the body was read */
    ngx_msec_t                   deadline;      /* ngx_current_msec */
    ngx_event_t                  timer;         /* total, backoff, queue */
    ngx_event_t                  end;           /* posted: an attempt ended */
    ngx_event_t                  wake;          /* posted: a slot may be free */
    ngx_msec_t                   resting;       /* in backoff since */
    ngx_msec_t                   queued;        /* since when; 0: not queued */
    ngx_http_llm_waiter_t        waiter;
    ngx_http_llm_shed_hold_t     shed;          /* at the current target */
    llm_priority_t               priority;      /* UNSET: not asked for yet */
    uint32_t                     luck;          /* at being shed */
    ngx_connection_t             park;
    ngx_event_t                  park_read;
    ngx_event_t                  park_write;
    ngx_http_upstream_conf_t     conf;
    ngx_http_upstream_srv_conf_t uscf;
    u_char                      *buffer;        /* of every attempt */
    ngx_http_llm_send_t         *send;          /* the current attempt */

    /* the last refusal, for the client */
    llm_class_t                  class;
    llm_code_t                   code;
    ngx_str_t                    message;
    llm_str_t                    param;         /* the member at fault */
    ngx_str_t                    refusal_body;  /* may pass unchanged */
    ngx_uint_t                   refusal_status;
    llm_msec_t                   wait;          /* Retry-After outwards, ms */

    /* the answer */
    ngx_http_llm_events_t       *events;        /* NULL: collected */
    ngx_http_llm_relay_t        *relay;         /* NULL: nginx sends it */
    ngx_http_llm_resume_t       *resume;        /* NULL: nobody goes on */
    llm_usage_t                  usage;
    uint64_t                     cost;          /* nano-dollars */
    ngx_http_llm_target_t       *served;        /* by whom */
    ngx_str_t                    key_name;
    ngx_str_t                    call;          /* that was made: its path */
    ngx_msec_t                   first_at;     /* first content to the client */
    ngx_msec_t                   waited;      /* for providers, to the commit */
    ngx_uint_t                   malformed;     /* events dropped */

    unsigned                     hide_usage:1;  /* we asked for it */
    unsigned                     analyze:1;
    unsigned                     transcribe:1;
    unsigned                     passthrough:1;
    unsigned                     committed:1;
    unsigned                     settled:1;
    unsigned                     repaired:1;
    unsigned                     no_cache:1;    /* a stale connection was met */
    unsigned                     until_deadline:1;  /* what the timer is for */
    unsigned                     deadline_hit:1;
    unsigned                     client_retry:1;    /* its SDK repeats itself */
    unsigned                     mapped:1;      /* the body is in a file */
    unsigned                     sampled:1;     /* for review */
    unsigned                     mirrored:1;    /* a copy is due, if another
                                                   variant serves it */
    unsigned                     own_answer:1;  /* the body is JSON of ours */
    unsigned                     forced:1;      /* the variant, by hand */
    unsigned                     rescued:1;     /* another variant took over */
    unsigned                     learned:1;     /* the id of what was made */
    unsigned                     priced:1;      /* a budget needs prices */
    unsigned                     degraded:1;    /* to a budget's route */
    unsigned                     no_retry:1;    /* a refusal for long */
    unsigned                     app:1;         /* an application's request */
    unsigned                     app_whole:1;   /* its answer came to an end */
};


#define ngx_http_llm_get_ctx(r)                                               \
    ((ngx_http_llm_ctx_t *) ngx_http_get_module_ctx(r,                        \
                                                 ngx_http_llm_gateway_module))


/* Whether an answer begins at once: speech models may ignore the wish for a
 * stream, and answer when they have listened to all of it. */
#define ngx_http_llm_is_prompt(ctx)                                           \
    ((ctx)->facts.stream                                                      \
     && llm_endpoint_info((ctx)->endpoint)->body != LLM_BODY_MULTIPART)


static ngx_inline llm_str_t
ngx_http_llm_view(ngx_str_t *s)
{
    return (llm_str_t) { s->len, s->data };
}


/* body.c: sets ctx->body, valid until the request ends; release says that it
 * will hardly be read again. */
ngx_int_t ngx_http_llm_view_body(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_release_body(ngx_http_llm_ctx_t *ctx);

/*
 * variant.c.  choose: the variant of a request, by force, by its sticky key or
 * by chance; needs the headers alone, sets ctx->split, place, variant and unit.
 * assign: what the request needs is known: a variant that cannot serve it is
 * left, then ctx->route is the variant's.  variant_hash: how a variant is known
 * over reloads.  fall: after this class, whether the request goes on in another
 * variant.  is_barred: its variant was rolled back meanwhile; leave then moves
 * it to the baseline (NGX_DECLINED: nobody there can serve it).
 */
ngx_int_t ngx_http_llm_choose(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_split_t *split);
llm_code_t ngx_http_llm_assign(ngx_http_llm_ctx_t *ctx);
uint64_t ngx_http_llm_variant_hash(ngx_http_llm_split_t *split, ngx_uint_t i);
ngx_uint_t ngx_http_llm_fall(ngx_http_llm_ctx_t *ctx, llm_class_t class);
ngx_uint_t ngx_http_llm_is_barred(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_leave(ngx_http_llm_ctx_t *ctx);

/* place.c: one outcome for the variant that a request was assigned to; end is
 * harmless without begin.  check_content looks at the text of a collected
 * answer of a model, where the client wants JSON or there may be none. */
void ngx_http_llm_place_begin(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_place_end(ngx_http_llm_ctx_t *ctx, llm_class_t class);
ngx_uint_t ngx_http_llm_wants_json(ngx_http_llm_ctx_t *ctx);
ngx_uint_t ngx_http_llm_may_be_empty(ngx_http_llm_ctx_t *ctx,
    llm_usage_t *usage);
void ngx_http_llm_check_content(ngx_http_llm_ctx_t *ctx, llm_answer_t *answer);

/* object.c.  find: NGX_OK when the request speaks of an object whose maker is
 * known (ctx->object).  bind: of the targets that can serve it, the maker
 * alone.  learn, learn_event: a collected answer, or an event, may name one;
 * call: a Location may name a call, which becomes ctx->call for the client.
 * maker: the target that made it, if that can serve the request (else NULL),
 * whose key is then preferred.  made: what the current attempt makes.
 * target_hash: how a target is known over reloads. */
ngx_int_t ngx_http_llm_object_find(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_object_bind(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_object_learn(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_object_learn_event(ngx_http_llm_ctx_t *ctx, llm_str_t data);
ngx_int_t ngx_http_llm_object_call(ngx_http_llm_ctx_t *ctx,
    ngx_str_t *location);
ngx_http_llm_target_t *ngx_http_llm_object_maker(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_object_t *object);
void ngx_http_llm_object_made(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_object_t *object);
uint64_t ngx_http_llm_target_hash(ngx_http_llm_target_t *t);

/* session.c.  value: of llm_session, or empty.  find: where its requests went
 * (ctx->home), if the request has a session; `scope` is what was asked for.
 * bind: ctx->first, if that can serve it.  learn: an answer begins. */
ngx_int_t ngx_http_llm_session_value(ngx_http_llm_ctx_t *ctx, ngx_str_t *value);
ngx_int_t ngx_http_llm_session_find(ngx_http_llm_ctx_t *ctx, ngx_str_t *scope);
void ngx_http_llm_session_bind(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_session_learn(ngx_http_llm_ctx_t *ctx);

/* heard.c: hear keeps the text of an answer that streams, up to 64 KiB, in
 * ctx->heard; an event with content; what was heard of the last attempt: NGX_OK
 * (whole), NGX_AGAIN (its beginning), NGX_DECLINED (nothing). */
ngx_int_t ngx_http_llm_hear(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_hear_event(ngx_http_llm_ctx_t *ctx,
    const llm_sse_event_t *ev);
ngx_int_t ngx_http_llm_heard(ngx_http_llm_ctx_t *ctx, llm_str_t *text);

/* mirror.c: choose sets ctx->mirrored by chance, once per request that has its
 * place in a split.  After every settlement: copies a request that was served
 * by another variant, or compares the copy that this one is. */
void ngx_http_llm_mirror_choose(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_mirror(ngx_http_llm_ctx_t *ctx, llm_class_t class);

/* request.c, which reads a request in this order: create_ctx, find_endpoint,
 * read_facts (its body), estimate (tokens, where some target of the route asks
 * for them), check_targets. */
ngx_http_llm_ctx_t *ngx_http_llm_create_ctx(ngx_http_request_t *r);
llm_code_t ngx_http_llm_find_endpoint(ngx_http_llm_ctx_t *ctx);
llm_code_t ngx_http_llm_read_facts(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
void ngx_http_llm_estimate(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_route_t *route);
ngx_uint_t ngx_http_llm_says_json(ngx_http_request_t *r);

/* realtime.c: read_facts of such a request; the query of an attempt. */
llm_code_t ngx_http_llm_realtime_facts(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
ngx_int_t ngx_http_llm_realtime_args(ngx_http_llm_ctx_t *ctx, ngx_str_t *args);

/*
 * upload.c.  wanted: whether the body may pass unread.  begin: it does, and is
 * not here yet (ctx->upload).  length: of it, -1 when nobody knows.  output: of
 * this attempt's upstream.  answered: at the commit.  lost, parked: its peer
 * has failed, around the call of peer.get that follows.  broken: the client's
 * body is what ended an upstream.
 */
ngx_uint_t ngx_http_llm_upload_wanted(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_upload_begin(ngx_http_llm_ctx_t *ctx);
off_t ngx_http_llm_upload_length(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_upload_output(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_upload_answered(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_upload_lost(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_upload_parked(ngx_http_llm_ctx_t *ctx);
ngx_uint_t ngx_http_llm_upload_broken(ngx_http_llm_ctx_t *ctx, ngx_int_t rc);

/*
 * upgrade.c.  wants_upgrade: to WebSocket, which is possible.  check: makes
 * ctx->tunnel where the request becomes a session.  key: of a client whose key
 * is among its subprotocols.  compose: headers of an attempt; header: one of
 * the provider's 101; agreed: that fits; answer: the headers of ours.
 * tunnel.c.  open: the commit of a session; end: of a committed one.
 */
ngx_uint_t ngx_http_llm_wants_upgrade(ngx_http_request_t *r);
llm_code_t ngx_http_llm_upgrade_check(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
ngx_uint_t ngx_http_llm_upgrade_key(ngx_http_request_t *r, ngx_str_t *key);
void ngx_http_llm_upgrade_compose(ngx_http_llm_ctx_t *ctx, llm_buf_t *b);
ngx_int_t ngx_http_llm_upgrade_header(ngx_http_llm_ctx_t *ctx, llm_str_t name,
    ngx_str_t *value);
ngx_uint_t ngx_http_llm_upgrade_agreed(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_upgrade_answer(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_tunnel_open(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_tunnel_end(ngx_http_llm_ctx_t *ctx, ngx_int_t rc);

/* request.c: marks what targets of ctx->route cannot serve the request; any but
 * NONE: none can.  is_on: its provider and model may be used now. */
llm_code_t ngx_http_llm_check_targets(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
ngx_uint_t ngx_http_llm_target_is_on(ngx_http_llm_target_t *t);

/*
 * policy.c: limits and budgets.  begin: whether targets without a price are of
 * no use.  admit: a request whose route is known, or an application's, takes
 * its part of all its rules, or is refused.  more: a stream grew longer than
 * what was reserved for it; session: one has told what it took so far; raise:
 * it may cost more than it seemed.  settle: once, harmless without admit.
 * text: whom a rule counts; empty: nobody.
 */
void ngx_http_llm_policy_begin(ngx_http_llm_ctx_t *ctx);
llm_code_t ngx_http_llm_policy_admit(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
void ngx_http_llm_policy_more(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_policy_session(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_policy_raise(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_policy_settle(ngx_http_llm_ctx_t *ctx, llm_class_t class);
ngx_int_t ngx_http_llm_policy_text(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_policy_t *policy, ngx_str_t *text);

/* policy_answer.c: the x-ratelimit headers. */
ngx_int_t ngx_http_llm_policy_headers(ngx_http_llm_ctx_t *ctx);

/* budget.c: budgets of the provider of a send.  enter: NGX_OK, or NGX_DECLINED
 * with the time until it may be asked again; leave, failed: what it cost, or
 * whether a failed one had been worked on and how much it had answered.
 * is_over: some provider's budget is used up.  The values of two variables: the
 * rule that refused, and how much of budgets is used, in percent. */
ngx_int_t ngx_http_llm_budget_enter(ngx_http_llm_ctx_t *ctx, llm_msec_t *wait);
void ngx_http_llm_budget_leave(ngx_http_llm_ctx_t *ctx, uint64_t cost);
void ngx_http_llm_budget_failed(ngx_http_llm_ctx_t *ctx, ngx_uint_t worked,
    uint64_t output);
ngx_uint_t ngx_http_llm_budget_is_over(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_policy_limited(ngx_http_llm_ctx_t *ctx, ngx_str_t *s);
uint64_t ngx_http_llm_budget_percent(ngx_http_llm_ctx_t *ctx);

/*
 * app.c: a request of an application.  pass hands it to the proxy module, whose
 * result it returns, and subrequest does so for one that nginx makes beside it;
 * answer and body are called for what the client gets: they count a changed
 * protocol, and see whether there was an end.  The rest are values of
 * variables: the address of the application, and what it gets of the headers
 * that concern a connection.
 */
ngx_int_t ngx_http_llm_app_pass(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_app_subrequest(ngx_http_request_t *r);
ngx_int_t ngx_http_llm_app_answer(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_app_body(ngx_http_llm_ctx_t *ctx, ngx_chain_t *in);
void ngx_http_llm_app_url(ngx_http_llm_ctx_t *ctx, ngx_str_t *s);
void ngx_http_llm_app_host(ngx_http_request_t *r, ngx_str_t *s);
void ngx_http_llm_app_connection(ngx_http_request_t *r, ngx_str_t *s);
void ngx_http_llm_app_upgrade(ngx_http_request_t *r, ngx_str_t *s);
void ngx_http_llm_app_authorization(ngx_http_request_t *r, ngx_str_t *s);

/* find.c: sets ctx->route, and the place in a split. */
llm_code_t ngx_http_llm_find_route(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);

/* allowed.c: whether the client may use a name that it asked for; then as a
 * code with a message; what the location passes to. */
ngx_uint_t ngx_http_llm_allowed_name(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_name_t *name);
llm_code_t ngx_http_llm_allowed_asked(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_name_t *name, llm_str_t *message);
llm_code_t ngx_http_llm_allowed_here(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);

/*
 * models.c.  is_anthropic: the client's dialect is Anthropic's, whatever it
 * asks for.  send: our own answer of GET .../models.  way, args, whole: how a
 * provider's gets to the client, what query asks for it, and its translation.
 */
ngx_uint_t ngx_http_llm_is_anthropic(ngx_http_request_t *r);
ngx_int_t ngx_http_llm_send_models(ngx_http_llm_ctx_t *ctx);
llm_way_t ngx_http_llm_models_way(ngx_http_llm_ctx_t *ctx,
    const llm_dialect_t *dialect);
ngx_int_t ngx_http_llm_models_args(ngx_http_llm_ctx_t *ctx, ngx_str_t *args);
ngx_int_t ngx_http_llm_models_whole(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *out);

/* count.c: whether it asks how many tokens a prompt has; our own guess. */
ngx_uint_t ngx_http_llm_asks_count(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_send_count(ngx_http_llm_ctx_t *ctx);

/* attempt.c: the loop.  first_target is the first of the route that can serve
 * the request (ntargets: none), next_able the one asked after another, and
 * next_target the one that takes over from the current after this class.  start
 * begins the loop, pick sends to the current target, over is called when an
 * attempt ended without a commit (never from a callback of nginx), decide
 * chooses what follows, give_up answers the client. */
ngx_uint_t ngx_http_llm_first_target(ngx_http_llm_ctx_t *ctx);
ngx_uint_t ngx_http_llm_next_able(ngx_http_llm_ctx_t *ctx, ngx_uint_t i);
ngx_uint_t ngx_http_llm_next_target(ngx_http_llm_ctx_t *ctx,
    llm_class_t class);
void ngx_http_llm_attempt_start(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_pick(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_attempt_over(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_decide(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait);
void ngx_http_llm_give_up(ngx_http_llm_ctx_t *ctx);

/* wait.c: the events of a request, made and cleaned up; `wait` arms the timer
 * for delay ms or until the deadline; `left` is the time to it. */
ngx_int_t ngx_http_llm_wait_init(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_wait(ngx_http_llm_ctx_t *ctx, ngx_msec_t delay);
ngx_msec_t ngx_http_llm_left(ngx_http_llm_ctx_t *ctx);

/* shed.c.  priority: of any request in a location of ours.  shed: whether it is
 * let in at the current target (NGX_OK), or something else was started instead
 * (NGX_DONE).  heard: the head of an answer was read; it is of interest only
 * where the provider hears. */
llm_priority_t ngx_http_llm_priority(ngx_http_request_t *r);
ngx_int_t ngx_http_llm_shed(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_shed_heard(ngx_http_llm_ctx_t *ctx);

#define ngx_http_llm_shed_hears(provider)                                     \
    ((provider)->gate.shed.remaining_bp && !(provider)->client_key)

/* settle.c: a failed send is reported and kept for the client's answer; the
 * one settlement of a request may be asked for twice. */
void ngx_http_llm_report(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_remember(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_settle(ngx_http_llm_ctx_t *ctx, llm_class_t class);
void ngx_http_llm_log_send(ngx_http_llm_ctx_t *ctx, llm_class_t class,
    llm_msec_t wait);
/* Milliseconds to the first content that were spent neither on a provider nor
 * on the client's body. */
uint64_t ngx_http_llm_overhead(ngx_http_llm_ctx_t *ctx);

/* meter.c: counts a send whose ticket is still held; its first half, ahead of
 * an end that is far away. */
void ngx_http_llm_meter_send(ngx_http_llm_ctx_t *ctx, llm_class_t class);
void ngx_http_llm_meter(ngx_http_llm_ctx_t *ctx, llm_class_t class);

/* upstream.c: runs one send on a fresh upstream; its end posts ctx->end.  leave
 * tears it down, from posted events and timers only.  write: the output filter
 * of a request, whose data is ctx. */
void ngx_http_llm_upstream_start(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_write(void *data, ngx_chain_t *in);
void ngx_http_llm_upstream_leave(ngx_http_llm_ctx_t *ctx);

/* park.c: peer.init of an attempt's upstream; unpark is harmless without park,
 * and due before nginx closes what the upstream is connected to. */
ngx_int_t ngx_http_llm_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
void ngx_http_llm_unpark(ngx_http_llm_ctx_t *ctx);

/* compose.c, _path.c, _body.c: the bytes of an attempt's request; the model's
 * name at a target. */
typedef struct {
    ngx_chain_t                 *head;
    ngx_chain_t                **last;
    off_t                        length;
} ngx_http_llm_body_chain_t;

ngx_int_t ngx_http_llm_request_chain(ngx_http_llm_ctx_t *ctx,
    ngx_chain_t **chain);
ngx_int_t ngx_http_llm_compose_path(ngx_http_llm_ctx_t *ctx, ngx_str_t *path);

/* Appends what stands in front of every path of the dialect's. */
void ngx_http_llm_put_root(ngx_http_llm_provider_t *provider, llm_buf_t *b);

ngx_int_t ngx_http_llm_compose_body(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_body_chain_t *body);
void ngx_http_llm_target_model(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_target_t *target, ngx_str_t *model);
ngx_table_elt_t *ngx_http_llm_find_header(ngx_http_request_t *r,
    ngx_str_t *name);

/* head.c: NGX_OK when the whole head was read, NGX_AGAIN, NGX_ERROR. */
ngx_int_t ngx_http_llm_parse_head(ngx_http_llm_ctx_t *ctx);

/* answer.c: u->process_header of every attempt; the commit of one; its end, for
 * process_header to return; the timer of what is read next; whether a type
 * begins like that; whether a body without length was whole when its connection
 * ended. */
ngx_int_t ngx_http_llm_process_header(ngx_http_request_t *r);
void ngx_http_llm_serve(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_end(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_arm(ngx_http_llm_ctx_t *ctx, ngx_msec_t timeout);
ngx_uint_t ngx_http_llm_type_is(ngx_str_t *type, const char *prefix);
ngx_uint_t ngx_http_llm_answer_eof(ngx_http_llm_ctx_t *ctx);

/* classify.c: what was collected or drained, read into send->outcome. */
void ngx_http_llm_answer_classify(ngx_http_llm_ctx_t *ctx);

/* frame.c: decodes the framing of b and hands the bytes to the reader of the
 * current answer mode.  NGX_AGAIN, NGX_DONE (the body is whole), NGX_ERROR. */
ngx_int_t ngx_http_llm_frame(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b);

/* events.c: bytes of a stream in, events that pass out; the last event of a
 * body that lacks its blank line; bytes that pass as they are; a buf with its
 * own memory, and its place among what passes. */
ngx_int_t ngx_http_llm_events_init(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_events(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n);
ngx_int_t ngx_http_llm_event_tail(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_pass_bytes(ngx_http_llm_ctx_t *ctx, u_char *p, size_t n);
ngx_buf_t *ngx_http_llm_own_buf(ngx_http_llm_ctx_t *ctx, size_t size);
ngx_int_t ngx_http_llm_link_buf(ngx_http_llm_ctx_t *ctx, ngx_buf_t *b);

/* stream.c: nginx's input filter, and the end of a committed answer; events of
 * our own; whether the stream of this attempt was complete. */
ngx_int_t ngx_http_llm_input_filter_init(void *data);
ngx_int_t ngx_http_llm_input_filter(void *data, ssize_t bytes);
void ngx_http_llm_stream_end(ngx_http_llm_ctx_t *ctx, ngx_int_t rc);
ngx_int_t ngx_http_llm_send_done(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_send_error_event(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    llm_str_t message);

#define ngx_http_llm_stream_is_whole(e)                                       \
    (!(e)->failed && !(e)->broken && llm_stream_complete(&(e)->state))

/* feedback.c: an answer is about to be sent; votes for it are welcome. */
void ngx_http_llm_feedback_open(ngx_http_llm_ctx_t *ctx);

/* respond.c */
ngx_int_t ngx_http_llm_refuse(ngx_http_llm_ctx_t *ctx, llm_code_t code,
    llm_str_t message);
void ngx_http_llm_respond_failure(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_respond_answer(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_response_headers(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);
void ngx_http_llm_content_type(ngx_http_request_t *r, ngx_str_t *type);
ngx_int_t ngx_http_llm_send_body(ngx_http_llm_ctx_t *ctx, ngx_uint_t status,
    ngx_str_t *type, ngx_buf_t *b);
ngx_int_t ngx_http_llm_error_header(ngx_http_request_t *r, llm_code_t code);
/* Whether a name may stand in a header: visible ASCII without spaces. */
ngx_uint_t ngx_http_llm_is_token(ngx_str_t *s);

/* analyze.c: /analyze builds its own request and unwraps the answer. */
llm_code_t ngx_http_llm_analyze_facts(ngx_http_llm_ctx_t *ctx,
    llm_str_t *message);
ngx_int_t ngx_http_llm_analyze_body(ngx_http_llm_ctx_t *ctx, ngx_str_t *body);
llm_class_t ngx_http_llm_analyze_answer(ngx_http_llm_ctx_t *ctx,
    llm_answer_t *answer);

#pragma GCC visibility pop

#include "ngx_http_llm_translate.h"
#include "ngx_http_llm_relay.h"

#endif /* _NGX_HTTP_LLM_CTX_H_INCLUDED_ */
