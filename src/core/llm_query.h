/*
 * The query of a URL: parameters by name, whichever way a name is escaped.
 *
 * Views are raw, as the client wrote them; what is not touched stays as it is.
 */

#ifndef LLM_QUERY_H
#define LLM_QUERY_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

typedef struct {
    llm_str_t  raw;                     /* "name=value" */
    llm_str_t  name;
    llm_str_t  value;                   /* data NULL: there was no "=" */
} llm_param_t;

/* Takes the first parameter off *query; empty ones are skipped.  1, or 0 when
 * none is left. */
int llm_query_next(llm_str_t *query, llm_param_t *p);

/* Whether a raw name spells this one. */
int llm_query_is(llm_str_t raw, llm_str_t name);

/* Whether a parameter carries a credential of the client's ("key=…"). */
int llm_query_is_secret(const llm_param_t *p);

/* Appends what a raw name or value means; '+' is a space, a '%' that escapes
 * nothing stands for itself.  Never longer than the raw text. */
void llm_query_decode(llm_str_t raw, llm_buf_t *out);

/* Appends a text as a value; needs at most 3 * text.len bytes. */
void llm_query_put(llm_str_t text, llm_buf_t *out);

#pragma GCC visibility pop

#endif /* LLM_QUERY_H */
