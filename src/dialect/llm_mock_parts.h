/*
 * The pieces of the mock provider's answers; private to llm_mock*.c.
 */

#ifndef LLM_MOCK_PARTS_H
#define LLM_MOCK_PARTS_H

#include "llm_mock.h"

#pragma GCC visibility push(hidden)

/* What a chat-like request asks for, found in its body. */
typedef enum {
    LLM_TASK_TEXT,                      /* quote the question */
    LLM_TASK_RESULT,                    /* quote a tool's result */
    LLM_TASK_JSON,                      /* an object, after `schema` if any */
    LLM_TASK_TOOL                       /* call `tool` */
} llm_mock_kind_t;

typedef struct {
    llm_mock_kind_t  kind;
    llm_str_t        question;          /* decoded */
    llm_str_t        system;            /* decoded: the last one */
    llm_str_t        schema;            /* raw JSON, or empty */
    llm_str_t        tool;              /* raw name with quotes */
    uint64_t         limit;             /* tokens of the answer; 0: none */
} llm_mock_task_t;

/* Finds it out.  Decoded texts go to `mem`; the size of the body is enough. */
void llm_mock_task(const llm_request_t *r, llm_buf_t *mem, llm_mock_task_t *t);

/* The pieces a streamed text is cut into: number k of the inside of a raw JSON
 * string; LLM_NONE behind the last. */
llm_rc_t llm_mock_piece(llm_str_t inside, size_t k, llm_str_t *piece);
size_t llm_mock_pieces(llm_str_t inside);

/* The value of a path of members such as {"choices", "0", "message"}, or an
 * empty view. */
llm_str_t llm_mock_at(llm_str_t json, const char *pointer);

/* The inside of a raw string value; empty when it is none. */
llm_str_t llm_mock_inside(llm_str_t raw);

void llm_mock_put(llm_buf_t *out, const char *text);
void llm_mock_put_hex(llm_buf_t *out, uint64_t n);

/* Milliseconds as seconds with one digit behind the point, rounded up. */
void llm_mock_put_seconds(llm_buf_t *out, uint64_t ms);

/* The tokens of a text: four bytes each. */
uint64_t llm_mock_tokens(size_t bytes);

/* `,"usage":{…}` in the words of chat completions. */
void llm_mock_put_usage(llm_buf_t *out, uint64_t input, uint64_t output);

/* Bodies, one per family of endpoints. */
llm_rc_t llm_mock_chat(const llm_request_t *r, llm_str_t model, uint64_t seed,
    uint64_t created, llm_buf_t *out);
llm_rc_t llm_mock_responses(const llm_request_t *r, llm_str_t model,
    uint64_t seed, uint64_t created, llm_buf_t *out);
llm_rc_t llm_mock_transcript(const llm_request_t *r, llm_buf_t *out,
    llm_str_t *type);
llm_rc_t llm_mock_speech(llm_buf_t *out, llm_str_t *type);
llm_rc_t llm_mock_embeddings(const llm_request_t *r, llm_str_t model,
    uint64_t seed, llm_buf_t *out);

/* The text or the arguments of one choice, and whether the limit cut it. */
typedef struct {
    llm_mock_kind_t  kind;
    llm_str_t        tool;
    llm_str_t        text;              /* decoded, in `mem` */
    uint64_t         tokens;
    unsigned         cut:1;
} llm_mock_words_t;

void llm_mock_words(const llm_mock_task_t *t, uint64_t seed, llm_buf_t *mem,
    llm_mock_words_t *w);

#define LLM_MOCK_WORDS_MAX  65536       /* bytes of `mem` */

/* A whole Responses object; output and usage are raw JSON. */
void llm_mock_put_response(llm_buf_t *out, const llm_request_t *r,
    llm_str_t id, llm_str_t model, uint64_t created, llm_str_t status,
    llm_str_t output, llm_str_t usage);

/* Events, by family. */
llm_rc_t llm_mock_chat_event(const llm_request_t *r, llm_str_t text,
    llm_str_t model, uint64_t created, size_t i, llm_buf_t *out);
llm_rc_t llm_mock_responses_event(const llm_request_t *r, llm_str_t text,
    llm_str_t model, uint64_t created, size_t i, llm_buf_t *out);
llm_rc_t llm_mock_transcript_event(llm_str_t text, size_t i, llm_buf_t *out);

#pragma GCC visibility pop

#endif /* LLM_MOCK_PARTS_H */
