/*
 * What stands between a client's words and a provider's: translate.c,
 * translate_answer.c, speech.c, params.c, swap.c.  A part of
 * ngx_http_llm_ctx.h.
 */

#ifndef _NGX_HTTP_LLM_TRANSLATE_H_INCLUDED_
#define _NGX_HTTP_LLM_TRANSLATE_H_INCLUDED_

#include "ngx_http_llm_ctx.h"

#pragma GCC visibility push(hidden)


/*
 * translate.c.  way: how a request gets to a provider.  translate: before an
 * attempt; NGX_OK, or NGX_DONE when something else was started instead.
 * error_front: whose errors a client knows, or NULL: OpenAI's.  put_error: an
 * error in that form; put_error_event: in a stream.  Both take 12 bytes for
 * each of the message and 1024 more.
 */
llm_way_t ngx_http_llm_way(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_provider_t *provider);
ngx_int_t ngx_http_llm_translate(ngx_http_llm_ctx_t *ctx);
const llm_front_t *ngx_http_llm_error_front(ngx_http_request_t *r,
    llm_endpoint_t ep);
void ngx_http_llm_put_error(ngx_http_llm_ctx_t *ctx, llm_buf_t *out,
    llm_code_t code, llm_str_t message);
void ngx_http_llm_put_error_event(ngx_http_llm_ctx_t *ctx, llm_buf_t *out,
    llm_code_t code, llm_str_t message);

/*
 * translate_answer.c.  asked: the endpoint that the provider was asked.
 * translate_answer: send->body becomes what the client gets; answer_dialect is
 * the one that reads it then.  Of streams: init before the events of an
 * attempt, event in place of the dialect's, put_delta for each delta, error for
 * its error event, end for the terminator that did not come.
 */
llm_endpoint_t ngx_http_llm_asked(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_translate_answer(ngx_http_llm_ctx_t *ctx,
    llm_buf_t *scratch, llm_answer_t *answer);
const llm_dialect_t *ngx_http_llm_answer_dialect(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_translate_init(ngx_http_llm_ctx_t *ctx);
llm_event_t ngx_http_llm_translate_event(ngx_http_llm_ctx_t *ctx,
    const llm_sse_event_t *ev, llm_buf_t *mem);
void ngx_http_llm_put_delta(void *data, const llm_delta_t *delta);
ngx_int_t ngx_http_llm_translate_error(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_translate_end(ngx_http_llm_ctx_t *ctx,
    llm_str_t *text);

/*
 * speech.c.  speech: how the provider of this attempt is asked for a transcript
 * in JSON, or NULL.  request: makes ctx->translation, behind which sound and
 * rest follow from an output filter; rewind: to their beginning, returns
 * their length; output: sets the filter.  whole: the client's answer, and its
 * type.
 */
const llm_speech_way_t *ngx_http_llm_speech(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_speech_request(ngx_http_llm_ctx_t *ctx,
    llm_loss_t *loss, llm_loss_t *dropped, llm_rc_t *rc);
off_t ngx_http_llm_speech_rewind(ngx_http_llm_ctx_t *ctx);
ngx_int_t ngx_http_llm_speech_output(ngx_http_llm_ctx_t *ctx);
void ngx_http_llm_speech_whole(ngx_http_llm_ctx_t *ctx, llm_str_t body,
    llm_buf_t *out, ngx_str_t *type);

/*
 * params.c.  fields: what is done to the request at the current target, by the
 * location's form and by the target.  edit: the same to a body that is text of
 * ours.  dropped, dropped_fields: what the client reads in x-llm-dropped; edits
 * tell which fields met something.  unsupported: what a loss means there;
 * weigh: what becomes of LLM_OK by that.
 */
typedef struct {
    llm_field_t                  field[LLM_FIELDS_MAX];
    ngx_uint_t                   n;
    ngx_uint_t                   own;       /* the first ones are nobody's wish
                                               but ours */
} ngx_http_llm_fields_t;

void ngx_http_llm_fields(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_fields_t *fields);
size_t ngx_http_llm_fields_size(ngx_http_llm_fields_t *fields);
ngx_int_t ngx_http_llm_edit(ngx_http_llm_ctx_t *ctx, ngx_str_t *body,
    llm_loss_t *dropped);
void ngx_http_llm_dropped_fields(ngx_http_llm_fields_t *fields, uint64_t bits,
    llm_loss_t *dropped);
ngx_int_t ngx_http_llm_dropped(ngx_http_llm_ctx_t *ctx, llm_loss_t *loss);
ngx_uint_t ngx_http_llm_unsupported(ngx_http_llm_ctx_t *ctx);
llm_rc_t ngx_http_llm_weigh(ngx_http_llm_ctx_t *ctx, llm_rc_t rc,
    llm_loss_t *loss);

/*
 * swap.c: an endpoint that a provider serves in words of its own.  request:
 * whether it can take the client's form (NGX_DECLINED: it takes none); form:
 * adds what is done to it then.  plain: an answer that is no JSON becomes the
 * client's: NGX_OK, NGX_DECLINED (there are none), NGX_ERROR (it is no answer).
 */
ngx_int_t ngx_http_llm_swap_request(ngx_http_llm_ctx_t *ctx, llm_loss_t *loss,
    llm_rc_t *rc);
void ngx_http_llm_swap_form(ngx_http_llm_ctx_t *ctx,
    ngx_http_llm_fields_t *fields);
ngx_int_t ngx_http_llm_swap_plain(ngx_http_llm_ctx_t *ctx);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_TRANSLATE_H_INCLUDED_ */
