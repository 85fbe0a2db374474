/*
 * The dialect of whisper.cpp's server: OpenAI's transcriptions and translations
 * at one path, with fields and answers that are nearly the same.
 */

#ifndef LLM_WHISPERCPP_H
#define LLM_WHISPERCPP_H

#include "llm_openai.h"

#pragma GCC visibility push(hidden)

/* The functions of the row in llm_dialect.c. */
void llm_whispercpp_path(llm_endpoint_t ep, const llm_place_t *place,
    llm_buf_t *out);
void llm_whispercpp_answer(llm_endpoint_t ep, llm_str_t body, llm_buf_t *mem,
    llm_answer_t *out);
void llm_whispercpp_refusal(unsigned status, const llm_hint_t *hint,
    llm_str_t body, llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out);
llm_rc_t llm_whispercpp_form(const llm_request_t *r, llm_field_t *field,
    size_t *n, llm_loss_t *loss);
void llm_whispercpp_whole(llm_str_t model, llm_str_t body, llm_buf_t *out);
llm_str_t llm_whispercpp_plain(llm_str_t type, llm_str_t body,
    llm_buf_t *out);

#pragma GCC visibility pop

#endif /* LLM_WHISPERCPP_H */
