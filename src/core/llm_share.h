/*
 * Shares: how nodes enforce one limit together without asking for each request.
 *
 * Every node has an allowance of a counter and enforces it on its own clock;
 * all allowances together are never more than the limit.  Without a word to
 * Redis the allowance is an even part of the limit, the default.  A node that
 * needs more asks, one that has more than it needs lends; both are declarations
 * "I use at most so much until then", kept in Redis, where one script makes
 * sure of the sum.  docs/design/shares.md proves it.
 *
 * Two rules hold everything together: a node lowers itself before it declares
 * less, and raises itself only after the reply to its newest declaration.
 */

#ifndef LLM_SHARE_H
#define LLM_SHARE_H

#include "llm_quota.h"

#pragma GCC visibility push(hidden)

#define LLM_SHARE_NODES      64         /* that divide a limit at most */
#define LLM_SHARE_GAUGE_MS   600000     /* the window of a gauge: how long what
                                           it counts may run */
#define LLM_SHARE_ASK_MS     100        /* between two questions, doubling … */
#define LLM_SHARE_ASK_MAX    5000       /* … up to this, */
#define LLM_SHARE_ASK_SLOW   4000       /* … or this, for calendars … */
#define LLM_SHARE_ASK_GAUGE  2000       /* … and gauges */

enum {
    LLM_SHARE_DECLARED = 1,             /* `allow` counts, not the default */
    LLM_SHARE_PENDING = 2,              /* the newest is not confirmed */
    LLM_SHARE_FLIGHT = 4,               /* … and its reply may still come */
    LLM_SHARE_QUEUED = 8,               /* the owner's: it waits to be sent */
    LLM_SHARE_HEARD = 16                /* … while it was to be said again */
};

/* What a reply asks for: bits. */
enum {
    LLM_SHARE_TELL = 1,                 /* others should hear of the want */
    LLM_SHARE_AGAIN = 2                 /* llm_share_again() */
};

/* This node's part of one counter; all zero: the default. */
typedef struct {
    uint64_t    allow;
    uint64_t    seq;                    /* of the newest declaration */
    uint64_t    window;                 /* calendar: which one it is about */
    llm_msec_t  until;                  /* else: it counts until then */
    llm_msec_t  sent;                   /* the newest one */
    llm_msec_t  ask;                    /* not before */
    llm_msec_t  yield;                  /* so much of what is borrowed is not */
    uint64_t    debt;                   /* used before: its owner wants it */
    uint64_t    want;                   /* refused since the last question */
    uint32_t    mark;                   /* of the hash that has confirmed it */
    uint16_t    backoff;
    uint8_t     flags;
} llm_share_t;

/* What a share is part of, now.  All times but `start` are by a clock that only
 * goes forward. */
typedef struct {
    uint64_t    max;                    /* the limit */
    uint64_t    def;                    /* the default of this node */
    llm_msec_t  window;                 /* 0: a calendar's */
    uint64_t    start;                  /* calendar: of the window, seconds */
    llm_msec_t  now;
} llm_share_view_t;

/* A declaration, as it is sent. */
typedef struct {
    uint64_t    seq;
    uint64_t    allow;
    uint64_t    excess;                 /* of it: used, but not to be again */
    llm_msec_t  left;                   /* of what was borrowed before */
    uint64_t    want;
    uint64_t    start;
    unsigned    urgent;                 /* somebody was refused */
} llm_share_ask_t;

/* What the script says to it. */
typedef struct {
    uint64_t    seq;                    /* the newest it has seen */
    uint64_t    allow;
    llm_msec_t  left;                   /* it counts so long */
    uint64_t    missing;                /* nodes that have not declared */
    uint32_t    mark;                   /* changes when Redis lost the hash */
} llm_share_reply_t;

/* One of `n` even parts, the rest by rank; n == 0: nothing. */
uint64_t llm_share_default(uint64_t max, uint32_t n, uint32_t rank);

/* Ends what is over: a window, a declaration. */
void llm_share_turn(llm_share_t *s, const llm_share_view_t *v);

/* What this node may use; a refill regains llm_share_rate() per window, which
 * is more as long as borrowed parts have not lapsed for the others. */
uint64_t llm_share_cap(const llm_share_t *s, const llm_share_view_t *v);
uint64_t llm_share_rate(const llm_share_t *s, const llm_share_view_t *v);

/* `need` was wanted with `used` in use.  1: it is time to ask. */
int llm_share_need(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    uint64_t need, int refused);

/* The declaration that asks, to be sent now. */
void llm_share_ask(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    llm_share_ask_t *ask);

/* Somebody wants `amount`; `owed`: of what is its own by default.  `mark` is of
 * the hash that it saw.  1: *ask is a declaration to be sent, this node has
 * lowered itself; 0: there is nothing to say. */
int llm_share_lend(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    uint32_t mark, uint64_t amount, int owed, llm_share_ask_t *ask);

/* The reply to a declaration of that window.  TELL: not all that was wanted was
 * granted, what was borrowed needs its lenders' word again, or somebody has not
 * declared, who must hear of it before the hash grants on his default. */
int llm_share_reply(llm_share_t *s, const llm_share_view_t *v,
    const llm_share_ask_t *ask, const llm_share_reply_t *reply);

/* No reply will come, or none came.  1: what was said has to be said again, at
 * s->ask, by llm_share_again(). */
int llm_share_lost(llm_share_t *s, const llm_share_view_t *v);

/* 1: *ask is to be sent; 0: it has been confirmed meanwhile, or is over. */
int llm_share_again(llm_share_t *s, const llm_share_view_t *v, uint64_t used,
    llm_share_ask_t *ask);

/* Whether somebody else knows something else of it than the default: it must
 * not be forgotten. */
int llm_share_is_bound(const llm_share_t *s, const llm_share_view_t *v);


/* A node, as all nodes know it; times by Redis's clock. */
typedef struct {
    llm_msec_t  joined;                 /* 0: it was there from the start */
    llm_msec_t  seen;
    llm_msec_t  left;                   /* it said good-bye; 0: it did not */
} llm_share_node_t;

/* Among whom a counter is divided. */
typedef struct {
    uint32_t    n;
    uint32_t    rank;                   /* of this node */
    uint32_t    settled;                /* of them: those who were there … */
    unsigned    self:1;                 /* … and this one is one of these */
} llm_share_among_t;

/*
 * The members of a window: of a calendar's by its start alone, so that all
 * nodes agree on it and nothing changes while it runs; of others by what is
 * known now.  A node has no default in a window that began before it joined.
 */
void llm_share_among(const llm_share_node_t *node, uint32_t n, uint32_t self,
    llm_msec_t window, uint64_t start, llm_msec_t now, llm_share_among_t *a);

/* The default of this node, and what it must assume of node i that has not
 * declared: never less than what that one takes itself. */
uint64_t llm_share_own(const llm_share_among_t *a, uint64_t max);
uint64_t llm_share_other(const llm_share_node_t *node,
    const llm_share_among_t *a, llm_msec_t window, uint64_t start,
    llm_msec_t now, uint64_t max);


/* A want, as it is published. */
typedef struct {
    llm_str_t   node;
    uint64_t    id, subject;
    unsigned    kind;                   /* 's', 'r', 'c' or 'g' */
    uint64_t    max;
    llm_msec_t  window;
    uint64_t    start, end;             /* calendar, in seconds */
    uint32_t    mark;
    unsigned    owed;
    uint64_t    amount;
} llm_share_want_t;

#define LLM_SHARE_WINDOW_MAX  (32ULL * 86400 * 1000)
#define LLM_SHARE_EPOCH_MAX   100000000000ULL           /* seconds */

/* Longest text of one. */
#define LLM_SHARE_WANT_TEXT  256

void llm_share_want_put(const llm_share_want_t *w, llm_buf_t *b);

/* LLM_OK or LLM_BAD; `rest` is what follows, for whoever knows more. */
llm_rc_t llm_share_want_parse(llm_str_t text, llm_share_want_t *w,
    llm_str_t *rest);

#pragma GCC visibility pop

#endif /* LLM_SHARE_H */
