/*
 * The document of a split, and everything that may change it: an operator, the
 * controller, a trigger.
 *
 * The document is what all workers agree on, and all nodes, too
 * (llm_rollout_merge.h); its version grows with every change.  A rollout moves
 * one variant, the canary, through steps of weight; no data is never success.
 * A variant that was rolled back is barred: neither a weight nor a forced
 * header nor affinity reaches it until it is started again.
 *
 *     none -> progressing(step) -> soaking -> completed
 *               |      ^    |         |
 *               v      |    +---------+----> rolled_back
 *             paused --+
 */

#ifndef LLM_ROLLOUT_H
#define LLM_ROLLOUT_H

#include "llm_core.h"
#include "llm_split.h"

#pragma GCC visibility push(hidden)

#define LLM_ROLLOUT_STEPS  16
#define LLM_ROLLOUT_NOBODY  UINT32_MAX
#define LLM_ROLLOUT_TOMBS  8


/* As written in the file; times in ms. */
typedef struct {
    uint32_t    canary;                 /* variant; NOBODY: no rollout line */
    uint32_t    step[LLM_ROLLOUT_STEPS];        /* basis points, rising */
    uint32_t    step_n;
    uint64_t    min_samples;            /* per step */
    llm_msec_t  bake;
    llm_msec_t  max_bake;               /* then paused: inconclusive */
    llm_msec_t  soak;                   /* after the last step, with all the
                                           weight the baseline had */
    llm_msec_t  rest;                   /* after a rollback, before a start */
} llm_rollout_conf_t;

typedef enum {
    LLM_ROLLOUT_NONE = 0,
    LLM_ROLLOUT_PROGRESSING,
    LLM_ROLLOUT_PAUSED,
    LLM_ROLLOUT_SOAKING,
    LLM_ROLLOUT_COMPLETED,
    LLM_ROLLOUT_ROLLED_BACK
} llm_rollout_state_t;

typedef enum {
    LLM_WHY_NONE = 0,
    LLM_WHY_MANUAL,                     /* paused by hand, aborted by hand */
    LLM_WHY_INCONCLUSIVE,               /* max_bake without enough samples, or
                                           a trigger that stayed pending */
    LLM_WHY_TRIGGER,
    LLM_WHY_RESTART                     /* down for longer than a bake */
} llm_rollout_why_t;

/* An abort that must not be undone by a document from before it, or from
 * somebody who has not heard of it. */
typedef struct {
    uint64_t    version;                /* that the abort made; 0: free */
    uint64_t    rollout;
    uint32_t    variant;
} llm_tomb_t;

/* Lives in shared memory, is written under a lock. */
typedef struct {
    uint64_t    version;                /* from 1 */
    uint64_t    epoch;                  /* from 1: how often the nodes had to
                                           give Redis its documents back */
    uint64_t    salt;                   /* of the buckets */
    uint64_t    rollout;                /* random id of the last one, or of
                                           what lifted a bar since; 0 */
    uint32_t    n;                      /* variants */
    uint32_t    base;                   /* the baseline variant */
    uint32_t    canary;                 /* of the last rollout, or NOBODY */
    uint32_t    barred;                 /* bitmap: rolled back, aborted */
    uint32_t    weight[LLM_SPLIT_VARIANTS];     /* basis points, whole */
    uint32_t    state;                  /* llm_rollout_state_t */
    uint32_t    why;                    /* llm_rollout_why_t */
    uint32_t    step;                   /* progressing: index */
    uint32_t    was;                    /* paused: the state before */
    llm_msec_t  since;                  /* of the state or step */
    llm_msec_t  weighed;                /* the weights are from then on */
    llm_msec_t  until;                  /* end of bake, of soak; 0 */
    llm_msec_t  rested;                 /* no start before, but by force */
    llm_msec_t  updated;
    llm_tomb_t  tomb[LLM_ROLLOUT_TOMBS];        /* the newest first */
} llm_split_doc_t;


/* A new document with the weights of the file. */
void llm_rollout_init(llm_split_doc_t *doc, uint8_t *owner,
    const uint32_t *weight, uint32_t n, uint64_t salt, llm_msec_t now);

typedef enum {
    LLM_VERB_SET = 0,                   /* weights by hand */
    LLM_VERB_START,
    LLM_VERB_PAUSE,
    LLM_VERB_RESUME,                    /* the step's bake begins anew, at the
                                           first step that does not lower the
                                           canary's weight */
    LLM_VERB_PROMOTE,                   /* one step; soaking: completed */
    LLM_VERB_PROMOTE_FULL,              /* to the last step, soaking */
    LLM_VERB_ABORT,                     /* weight 0, barred; if it took over
                                           already, the first variant of the
                                           file that is not barred becomes the
                                           baseline again.  Refused only when
                                           nobody else is left */
    LLM_VERB_SWAP,                      /* weights and baseline role; not while
                                           a rollout runs */
    LLM_VERB_ROLLBACK,                  /* a trigger; as ABORT */
    LLM_VERB_HOLD,                      /* a trigger with action=pause */
    LLM_VERBS
} llm_verb_t;

llm_str_t llm_verb_name(llm_verb_t verb);
llm_rc_t llm_verb_by_name(llm_str_t name, llm_verb_t *verb);
llm_str_t llm_rollout_state_name(uint32_t state);
llm_str_t llm_rollout_why_name(uint32_t why);

typedef struct {
    llm_verb_t       verb;
    const uint32_t  *weight;            /* SET: n of them, whole */
    uint32_t         variant;           /* ABORT, ROLLBACK, SWAP: which one;
                                           NOBODY: the canary, else (ABORT)
                                           every variant but the baseline,
                                           (SWAP) the first one of the file */
    int              force;             /* START within the rest, SET of a
                                           barred variant: lifts the bar */
    uint64_t         random;            /* for ids and salts */
    llm_msec_t       now;
} llm_act_t;

typedef enum {
    LLM_ACT_DONE = 0,                   /* changed: version + 1 */
    LLM_ACT_SAME,                       /* nothing to do, as asked */
    LLM_ACT_NO_ROLLOUT,                 /* the split has no rollout line */
    LLM_ACT_RUNNING,                    /* not while a rollout runs */
    LLM_ACT_NOT_RUNNING,
    LLM_ACT_RESTING,                    /* until doc->rested */
    LLM_ACT_BARRED,                     /* rolled back: start it, or force */
    LLM_ACT_IS_BASELINE,                /* the canary is the baseline now */
    LLM_ACT_AT_END,                     /* it has all the weight already */
    LLM_ACT_WEIGHTS,                    /* not whole */
    LLM_ACT_VARIANT                     /* two variants are needed, or this one
                                           is the baseline */
} llm_act_result_t;

/* A sentence for a refusal. */
llm_str_t llm_act_message(llm_act_result_t result);

/*
 * Carries out a verb on the document and the table of its buckets.  Everything
 * but a refusal leaves both consistent.  START takes a new salt only when no
 * variant but the baseline has weight: else users would change sides.  Weights
 * set by hand pause a running rollout (manual).
 */
llm_act_result_t llm_rollout_act(const llm_rollout_conf_t *conf,
    llm_split_doc_t *doc, uint8_t *owner, const llm_act_t *act);

/* What the controller saw of the canary since the step began. */
typedef struct {
    uint64_t    samples;
    int         pending;                /* a trigger is pending or firing */
    llm_msec_t  clear;                  /* all have been clear for so long */
    llm_msec_t  clear_min;              /* 60 s on the split's clock */
    llm_msec_t  now;
} llm_rollout_in_t;

typedef enum {
    LLM_ROLLOUT_STAY = 0,
    LLM_ROLLOUT_NEXT,                   /* to the next step */
    LLM_ROLLOUT_SOAK,                   /* the last step is done */
    LLM_ROLLOUT_DONE,                   /* completed: the canary is the
                                           baseline from now on */
    LLM_ROLLOUT_STUCK                   /* paused, inconclusive */
} llm_rollout_move_t;

/*
 * One tick.  Advances when the bake is over, there are enough samples, nothing
 * is pending and all is clear; a step of 0 % (a preview) waits for PROMOTE.
 * Everything but STAY is a change of the document.
 */
llm_rollout_move_t llm_rollout_tick(const llm_rollout_conf_t *conf,
    llm_split_doc_t *doc, uint8_t *owner, const llm_rollout_in_t *in);

/* After a start of nginx: a running rollout that was down for longer than a
 * bake pauses.  1: the document changed. */
int llm_rollout_wake(const llm_rollout_conf_t *conf, llm_split_doc_t *doc,
    llm_msec_t last_seen, llm_msec_t now);

/* The clock was set: what was `now` is `now` + ms.  Stages last as long as they
 * were to. */
void llm_rollout_shift(llm_split_doc_t *doc, int64_t ms);

/* Remembers an abort; of too many the oldest is forgotten. */
void llm_rollout_entomb(llm_split_doc_t *doc, const llm_tomb_t *tomb);

/* Who changed the document may have died in the middle of it: buckets and
 * weights agree again, and what is barred gets nothing.  1: they did not. */
int llm_rollout_heal(llm_split_doc_t *doc, uint8_t *owner, llm_msec_t now);

/* Whether requests may reach this variant at all. */
static inline int
llm_rollout_is_barred(const llm_split_doc_t *doc, uint32_t variant)
{
    return (doc->barred >> variant) & 1;
}

#pragma GCC visibility pop

#endif /* LLM_ROLLOUT_H */
