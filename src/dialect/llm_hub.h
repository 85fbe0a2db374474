/*
 * A request in the hub's form, on its way from a client's dialect to a
 * provider's.
 *
 * The form is the body of OpenAI's chat endpoint, as text, with a few members
 * more that docs/dialects.md lists.  Readers take it apart by spans and writers
 * put spans together, so numbers and strings keep their spelling, and the cost
 * is a few scans of the body and one copy.
 */

#ifndef LLM_HUB_H
#define LLM_HUB_H

#include "llm_json.h"
#include "llm_request.h"

#pragma GCC visibility push(hidden)

/* Indexes into llm_hub_t.member */
enum {
    LLM_H_MODEL, LLM_H_MESSAGES, LLM_H_STREAM, LLM_H_STREAM_OPTIONS,
    LLM_H_MAX_TOKENS, LLM_H_MAX_COMPLETION_TOKENS, LLM_H_TEMPERATURE,
    LLM_H_TOP_P, LLM_H_TOP_K, LLM_H_STOP, LLM_H_N, LLM_H_SEED, LLM_H_LOGPROBS,
    LLM_H_TOP_LOGPROBS, LLM_H_PRESENCE_PENALTY, LLM_H_FREQUENCY_PENALTY,
    LLM_H_USER, LLM_H_SAFETY_IDENTIFIER, LLM_H_RESPONSE_FORMAT, LLM_H_TOOLS,
    LLM_H_TOOL_CHOICE, LLM_H_PARALLEL_TOOL_CALLS, LLM_H_REASONING_EFFORT,
    LLM_H_SERVICE_TIER, LLM_H_MODALITIES, LLM_H_THINKING,
    LLM_H_SAFETY_SETTINGS,
    LLM_H_COUNT
};

#define LLM_H_BIT(i)  (1ULL << (i))

#define LLM_LOSS_MAX  32

/* What a dialect has no words for. */
typedef struct {
    llm_str_t  name[LLM_LOSS_MAX];      /* members that were left out */
    size_t     n;
    llm_str_t  param;                   /* the one that is at fault */
    llm_str_t  message;                 /* and why: a sentence */
} llm_loss_t;

typedef struct {
    llm_str_t        model;             /* in: at the target, decoded */
    llm_str_t        version;           /* in: of the provider's API, or "" */
    llm_str_t        body;
    llm_json_want_t  member[LLM_H_COUNT];   /* of a name twice, the last */
    uint64_t         used;              /* LLM_H_BIT()s a dialect has read */
    unsigned         stream:1;

    /* in, once it is read */
    llm_str_t        deployment;        /* what the model is called there, or
                                           empty: the same */
    unsigned         lossy:1;           /* better less than nothing */
    unsigned         no_options:1;      /* stream_options are not known */
} llm_hub_t;

/* Takes a body apart: sets all of *h but model and version.  Members without a
 * name above are a loss; known: a value that was found in it before, or empty.
 * LLM_OK, or LLM_BAD with param and message. */
llm_rc_t llm_hub_read(llm_hub_t *h, llm_str_t body, llm_str_t known,
    llm_loss_t *loss);

/* Does to the members what a target wants done to them, by OpenAI's names;
 * max_tokens is the same as max_completion_tokens.  Names of what was dropped
 * go into *dropped, and are no loss; one that nobody behind the hub knows is
 * not set. */
void llm_hub_fields(llm_hub_t *h, const llm_field_t *field, size_t n,
    llm_loss_t *loss, llm_loss_t *dropped);

/* Takes a request of another form apart: fills the wanted members (absent: of
 * kind null; of a name twice, the last); others that say something are a loss.
 * known: as above.  LLM_OK, or LLM_BAD with a message. */
llm_rc_t llm_hub_take(llm_str_t body, llm_str_t known, llm_json_want_t *want,
    size_t n, llm_loss_t *loss);

/* A member that is there and not null; marks it as used.  NULL: absent. */
const llm_json_want_t *llm_hub_get(llm_hub_t *h, unsigned i);

/* Adds what is there, says something, and was not used. */
void llm_hub_rest(const llm_hub_t *h, llm_loss_t *loss);

/* Begins with nothing lost; notes a member that is left out. */
void llm_loss_init(llm_loss_t *loss);
void llm_loss_add(llm_loss_t *loss, llm_str_t name);

/* The request cannot be put in these words at all (LLM_NONE), or is wrong
 * (LLM_BAD); returns rc. */
llm_rc_t llm_loss_fail(llm_loss_t *loss, llm_rc_t rc, llm_str_t param,
    llm_str_t message);

/* … or in part: what is not known there is left out.  LLM_OK, LLM_NONE. */
llm_rc_t llm_hub_cannot(const llm_hub_t *h, llm_loss_t *loss, llm_str_t param,
    llm_str_t message);

/* Whether a raw string spells this word. */
int llm_hub_is(llm_str_t raw, llm_str_t word);

/* Whether a role, a raw string, gives instructions: system, developer. */
int llm_hub_is_system(llm_str_t role);

/* Whether a raw string is nothing but white space. */
int llm_hub_blank(llm_str_t raw);

/* A raw string without the white space at its end; without its end quote. */
llm_str_t llm_hub_trimmed(llm_str_t raw);

/* Whether a value says nothing: null, false, 0, "", [], {}. */
int llm_hub_idle(llm_json_kind_t kind, llm_str_t value);

/* Writes the JSON object that a raw string holds, or {} where it holds none:
 * arguments of a call. */
void llm_hub_put_object(llm_buf_t *out, llm_json_kind_t kind, llm_str_t value);

/* Writes the texts and refusals of a content (a raw string, or an array of
 * parts) as the inside of one raw string, each but the first of all behind
 * `between`.  n are written already; returns how many are now. */
unsigned llm_hub_put_texts(llm_buf_t *out, const llm_json_want_t *content,
    llm_str_t between, unsigned n);

/* Writes ,"NAME":VALUE. */
void llm_hub_put_member(llm_buf_t *out, llm_str_t name, llm_str_t value);

/* Writes a tool: its name, description, schema and `strict`, in this order, of
 * which only the first has to be there. */
void llm_hub_put_tool(llm_buf_t *out, const llm_json_want_t *tool);

#define LLM_DATA_HEAD  256              /* "data:TYPE;base64," */

/* A data URL in a raw string. */
typedef struct {
    llm_str_t      type;                /* in mem: "image/png" */
    llm_str_t      data;                /* raw text between the quotes */
    unsigned char  mem[LLM_DATA_HEAD];
} llm_data_url_t;

/* LLM_OK, LLM_NONE (another kind of URL), LLM_BAD (not base64). */
llm_rc_t llm_hub_data_url(llm_str_t raw, llm_data_url_t *url);

/* How the signature of a thinking block begins that is no signature of its own:
 * it keeps the seal of the call behind it, for Gemini. */
#define LLM_HUB_KEPT  "gemini:"

/* That seal without its first quote, or empty. */
llm_str_t llm_hub_kept(llm_str_t block);

#pragma GCC visibility pop

#endif /* LLM_HUB_H */
