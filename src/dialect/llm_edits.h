/*
 * Between the fields of a target and the edits of a body: the members, or
 * parts, that the fields are about, as they will be.
 */

#ifndef LLM_EDITS_H
#define LLM_EDITS_H

#include "llm_request.h"

#pragma GCC visibility push(hidden)

/* One that the client sent, or that is added. */
typedef struct {
    llm_str_t   name;                   /* as it will be */
    llm_str_t   value;                  /* raw JSON, or the text of a part */
    llm_str_t   key;                    /* the client's, as it is spelt; data
                                           NULL: there is none to change */
    llm_str_t   was;                    /* its value; data NULL: it is added */
    size_t      at;                     /* among all of the body, from 0 */
    size_t      from, to;               /* the body between its neighbours */
    unsigned    null:1;                 /* the value is null */
    unsigned    gone:1;
    unsigned    renamed:1;
} llm_entry_t;

typedef struct {
    llm_entry_t  entry[LLM_EDITS_MAX];
    size_t       n;
    size_t       count;                 /* of the whole body; 0: not counted */
    uint64_t     dropped;               /* as of llm_edits_t */
    unsigned     form:1;                /* parts, and not members */
} llm_entries_t;

/* What is to be done: the model, the options of the stream, the fields. */
typedef struct {
    llm_field_t  step[LLM_FIELDS_MAX + 2];
    size_t       n;
    size_t       own;                   /* steps that are no fields */
} llm_steps_t;

/* One more, which sets a member; there is room for two beside all fields. */
llm_field_t *llm_steps_add(llm_steps_t *steps, llm_str_t name,
    llm_str_t json);

/* One more, zeroed but for name and value; NULL: there is no room. */
llm_entry_t *llm_entries_add(llm_entries_t *e, llm_str_t name, llm_str_t value);

/* Carries out the steps.  LLM_OK or LLM_FULL. */
llm_rc_t llm_entries_run(llm_entries_t *e, const llm_steps_t *steps);

/* All parts of a form as the fields make them.  LLM_OK or LLM_FULL. */
llm_rc_t llm_form_fields(const llm_request_t *r, const llm_field_t *field,
    size_t field_n, llm_entries_t *e);

/* LLM_OK, LLM_FULL, LLM_BAD: as llm_request_edits(), for one kind of body. */
llm_rc_t llm_edits_json(const llm_request_t *r, llm_steps_t *steps,
    int want_usage, llm_buf_t *mem, llm_edits_t *edits);
llm_rc_t llm_edits_form(const llm_request_t *r, const llm_steps_t *steps,
    llm_buf_t *mem, llm_edits_t *edits);

#pragma GCC visibility pop

#endif /* LLM_EDITS_H */
