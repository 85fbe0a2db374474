/*
 * Prompts of the application routes: a template with members of the client's
 * JSON body, and the answer's way back: unwrapped, repaired where that is safe,
 * validated against a schema.
 */

#ifndef LLM_PROMPT_H
#define LLM_PROMPT_H

#include "llm_core.h"
#include "llm_json.h"

#pragma GCC visibility push(hidden)

/* ---- templates -------------------------------------------------------- */

typedef struct {
    llm_str_t  text;                    /* literal, "{{" already as "{" */
    llm_str_t  name;                    /* member or pointer; empty: none */
} llm_piece_t;

typedef struct {
    llm_piece_t  *piece;
    size_t        n;
} llm_template_t;

/* Counts or fills the pieces of a template text.  {name} and {/pointer} are
 * placeholders when `members`, "{{" is a brace, any other "{" is literal.
 * With t->piece NULL only t->n is set.  `mem` takes unescaped literals
 * (text.len bytes are enough).  LLM_OK, LLM_BAD, LLM_FULL. */
llm_rc_t llm_template_compile(llm_str_t text, int members, llm_template_t *t,
    llm_buf_t *mem);

/* Appends the rendered text as the inside of a JSON string (escaped, without
 * quotes).  String members are inserted decoded, others as their JSON; one
 * pass, inserted text is never scanned.  LLM_OK, LLM_FULL, or LLM_NONE with
 * *missing = the first placeholder without a member. */
llm_rc_t llm_template_render(const llm_template_t *t, llm_str_t body,
    llm_buf_t *out, llm_str_t *missing);

/* ---- schemas ----------------------------------------------------------- */

/* A compiled JSON Schema; a documented subset (docs/prompts-and-schemas.md). */
typedef struct llm_schema_s  llm_schema_t;

/* Compiles with malloc (configuration time, or tests).  LLM_BAD: *what names
 * the unsupported keyword or the mistake, written into err[err_size]. */
llm_rc_t llm_schema_compile(llm_str_t text, llm_schema_t **schema, char *err,
    size_t err_size);
void llm_schema_free(llm_schema_t *schema);

/* Validates one JSON value.  LLM_OK, or LLM_BAD with a sentence in err such as
 * "/topics: expected array". */
llm_rc_t llm_schema_validate(const llm_schema_t *schema, llm_str_t json,
    char *err, size_t err_size);

/* Writes an example value that satisfies the schema (the mock uses it),
 * deterministic under seed.  `hint` is text to make strings from. */
void llm_schema_example(const llm_schema_t *schema, uint64_t seed,
    llm_str_t hint, llm_buf_t *out);

/* ---- answers ----------------------------------------------------------- */

typedef struct {
    llm_str_t  json;                    /* the object, inside the text */
    unsigned   repaired:1;              /* a fence or chatter was cut off */
} llm_unwrapped_t;

/*
 * Finds the one JSON object in a model's decoded text.  Without `repair` the
 * text must be exactly one object (white space around it).  With it, one code
 * fence around it or chatter around exactly one object is cut off; nothing
 * inside the object is altered, two objects are refused.
 * LLM_OK, LLM_BAD (*why: "empty", "truncated", "not JSON", "two objects", …).
 */
llm_rc_t llm_answer_unwrap(llm_str_t text, int repair, llm_unwrapped_t *out,
    const char **why);

#pragma GCC visibility pop

#endif /* LLM_PROMPT_H */
