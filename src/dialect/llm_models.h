/*
 * Lists of models in the forms of those who have them; clients know OpenAI's
 * and Anthropic's.
 */

#ifndef LLM_MODELS_H
#define LLM_MODELS_H

#include "llm_json.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LLM_MODELS_OPENAI = 0, LLM_MODELS_ANTHROPIC, LLM_MODELS_GOOGLE
} llm_models_t;

/* A model; texts stand between the quotes of JSON strings. */
typedef struct {
    llm_str_t  id;
    llm_str_t  name;                    /* for people; empty: the id */
    llm_str_t  owner;                   /* empty: nobody knows */
    uint64_t   created;                 /* seconds since the epoch; 0 */
} llm_model_entry_t;

/* A list on its way to a client. */
typedef struct {
    llm_models_t   form;                /* never Google's */
    llm_buf_t     *out;
    size_t         n;
    llm_str_t      first, last;         /* ids */
} llm_model_list_t;

void llm_models_begin(llm_model_list_t *list, llm_models_t form,
    llm_buf_t *out);
void llm_models_add(llm_model_list_t *list, const llm_model_entry_t *entry);
void llm_models_end(llm_model_list_t *list);

/* Appends one model by itself. */
void llm_models_put(llm_models_t form, const llm_model_entry_t *entry,
    llm_buf_t *out);

/* Appends a provider's list, or with `one` a single model, in another form.
 * LLM_OK, or LLM_BAD: it is none. */
llm_rc_t llm_models_whole(llm_models_t from, llm_models_t to, llm_str_t body,
    int one, llm_buf_t *out);

/* What makes a provider's first page the longest; empty: there are no pages. */
llm_str_t llm_models_query(llm_models_t form);

#pragma GCC visibility pop

#endif /* LLM_MODELS_H */
