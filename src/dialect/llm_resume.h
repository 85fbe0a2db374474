/*
 * A stream that was cut and goes on with the answer of another provider: what
 * its client was shown, and what of the other answer comes next.
 */

#ifndef LLM_RESUME_H
#define LLM_RESUME_H

#include "llm_delta.h"

#pragma GCC visibility push(hidden)

/* What the client was shown so far. */
typedef struct {
    llm_buf_t  text;                    /* of the first choice, decoded */
    uint64_t   tokens;                  /* about: one for each delta of it */
    unsigned   thinking:1;              /* reasoning is what came last */
    unsigned   other:1;                 /* something that cannot be continued */
    unsigned   full:1;                  /* more text than is kept */
} llm_told_t;

/* Another answer, and how far it is compared. */
typedef struct {
    llm_str_t  text;                    /* that was shown */
    size_t     at;                      /* of it the answer need not repeat, or
                                           has repeated */
    unsigned   blank:1;                 /* what it has to repeat is white space
                                           that could not be sent to it */
    unsigned   differs:1;               /* it is another answer */
} llm_resume_t;

/* The room that a delta may need in told->text. */
size_t llm_told_room(const llm_delta_t *delta);

/* Notes a delta that is shown. */
void llm_told_add(llm_told_t *told, const llm_delta_t *delta);

/* Whether another answer can go on: there is text, it came last, and nothing
 * else than reasoning came before it. */
int llm_told_is_open(const llm_told_t *told);

/* `given` is how much of the text its provider was given as the beginning of
 * its answer, and does not repeat. */
void llm_resume_init(llm_resume_t *r, llm_str_t text, size_t given);

/* Whether all of the text was repeated: what follows is new. */
int llm_resume_is_new(const llm_resume_t *r);

/*
 * Takes a delta of the other answer.  LLM_OK: *delta comes next; its text may
 * have been shortened, and lies in mem then, which has llm_resume_room().
 * LLM_NONE: it says nothing new.  LLM_BAD: it is another answer.
 */
llm_rc_t llm_resume_delta(llm_resume_t *r, llm_delta_t *delta, llm_buf_t *mem);
size_t llm_resume_room(const llm_delta_t *delta);

#pragma GCC visibility pop

#endif /* LLM_RESUME_H */
