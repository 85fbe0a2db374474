/*
 * What a request proves about the variant it was assigned to: one outcome,
 * counted after the variant's own retries and before another variant takes
 * over.
 */

#include "ngx_http_llm_ctx.h"


#define NGX_HTTP_LLM_JSON     16384    /* longer contents are checked in memory
                                          of the request */
#define NGX_HTTP_LLM_NO_TEXT  3        /* tokens of an answer without text */


typedef enum {
    NGX_HTTP_LLM_PROVES_NOTHING = 0,        /* us, or the client */
    NGX_HTTP_LLM_PROVES_OK,
    NGX_HTTP_LLM_PROVES_REFUSED,            /* the provider, the request */
    NGX_HTTP_LLM_PROVES_ERROR
} ngx_http_llm_proof_e;


static ngx_http_llm_proof_e ngx_http_llm_proof(ngx_http_llm_ctx_t *ctx,
    llm_class_t class);
static void ngx_http_llm_measure(ngx_http_llm_ctx_t *ctx,
    llm_outcome_row_t *row);
static ngx_uint_t ngx_http_llm_has_content(ngx_http_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_llm_ended_well(llm_str_t reason);


void
ngx_http_llm_place_begin(ngx_http_llm_ctx_t *ctx)
{
    if (ctx->place.split) {
        ngx_http_llm_split_begin(&ctx->lmcf->store, &ctx->place);
    }
}


void
ngx_http_llm_place_end(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    llm_outcome_row_t               row;
    ngx_http_llm_proof_e            proof;
    ngx_http_llm_place_t           *place;
    ngx_http_llm_variant_totals_t  *totals;

    place = &ctx->place;

    if (place->started == 0) {

        if (ctx->rescued && class == LLM_CLASS_OK) {
            totals = ngx_http_llm_split_totals(place->split, place->variant);
            (void) __atomic_fetch_add(&totals->rescued, 1, __ATOMIC_RELAXED);
            ctx->rescued = 0;
        }

        return;
    }

    ngx_memzero(&row, sizeof(llm_outcome_row_t));

    proof = ngx_http_llm_proof(ctx, class);

    row.first = LLM_NEVER;
    row.input = LLM_NEVER;
    row.output = LLM_NEVER;
    row.cost = LLM_NEVER;
    row.counted = (proof != NGX_HTTP_LLM_PROVES_NOTHING);
    row.error = (proof == NGX_HTTP_LLM_PROVES_ERROR);
    row.refused = (proof == NGX_HTTP_LLM_PROVES_REFUSED);

    if (row.counted) {
        ngx_http_llm_measure(ctx, &row);
    }

    ngx_http_llm_split_end(&ctx->lmcf->store, place, &row, ctx->unit);
}


/* What the end of the request, or of its time in the variant, says. */

static ngx_http_llm_proof_e
ngx_http_llm_proof(ngx_http_llm_ctx_t *ctx, llm_class_t class)
{
    ngx_msec_t  had;

    if (class == LLM_CLASS_CLIENT_GONE || class == LLM_CLASS_SHED
        || ctx->code == LLM_CODE_GATEWAY_ERROR)
    {
        /* no memory, no connection, no room to spare: nobody was asked */
        return NGX_HTTP_LLM_PROVES_NOTHING;
    }

    if (class == LLM_CLASS_OK) {

        if (ctx->code != LLM_CODE_NONE) {
            /* an answer of our own */
            return NGX_HTTP_LLM_PROVES_NOTHING;
        }

        return ctx->send->empty ? NGX_HTTP_LLM_PROVES_ERROR
                                : NGX_HTTP_LLM_PROVES_OK;
    }

    if (llm_class_is_caller_fault(class)) {
        return ctx->sends ? NGX_HTTP_LLM_PROVES_REFUSED
                          : NGX_HTTP_LLM_PROVES_NOTHING;
    }

    if (ctx->deadline_hit) {
        /* the client's upload may have taken most of it */
        had = ngx_current_msec - ctx->ready;

        if (2 * had < (ngx_msec_t) ctx->llcf->retry.deadline) {
            return NGX_HTTP_LLM_PROVES_NOTHING;
        }
    }

    return NGX_HTTP_LLM_PROVES_ERROR;
}


static void
ngx_http_llm_measure(ngx_http_llm_ctx_t *ctx, llm_outcome_row_t *row)
{
    ngx_http_llm_send_t  *send;

    send = ctx->send;

    row->json_checked = send->json_checked;
    row->json_invalid = send->json_invalid;
    row->stream = ctx->committed
                  && send->answer == NGX_HTTP_LLM_ANSWER_EVENTS;

    if (row->error || row->refused) {
        return;
    }

    row->timed = 1;
    row->input = ctx->usage.input;
    row->output = ctx->usage.output;
    row->cost = ctx->cost;

    if (row->stream && ctx->events->state.content) {
        row->first = ctx->first_at - ctx->ready;
    }
}


static ngx_uint_t
ngx_http_llm_has_content(ngx_http_llm_ctx_t *ctx)
{
    return ctx->endpoint == LLM_EP_CHAT
           || ctx->endpoint == LLM_EP_MESSAGES
           || ctx->endpoint == LLM_EP_RESPONSES;
}


ngx_uint_t
ngx_http_llm_wants_json(ngx_http_llm_ctx_t *ctx)
{
    return (ctx->split || ctx->shadow) && ngx_http_llm_has_content(ctx)
           && (ctx->facts.need & (LLM_CAN_JSON_OBJECT|LLM_CAN_JSON_SCHEMA));
}


/* Looking for the text takes a second look at the body: only where the tokens
 * do not tell that there is some. */

ngx_uint_t
ngx_http_llm_may_be_empty(ngx_http_llm_ctx_t *ctx, llm_usage_t *usage)
{
    uint64_t  text;

    if (ctx->split == NULL || !ngx_http_llm_has_content(ctx)) {
        return 0;
    }

    text = usage->output;

    if (text != LLM_UNKNOWN && usage->reasoning != LLM_UNKNOWN) {
        text -= ngx_min(text, usage->reasoning);
    }

    return text == LLM_UNKNOWN || text <= NGX_HTTP_LLM_NO_TEXT;
}


/*
 * The client gets the answer as it is; whether it says anything, and is JSON
 * where that was asked for, is for the record.  What was refused, cut short or
 * answered with tools has no content to look at.
 */

void
ngx_http_llm_check_content(ngx_http_llm_ctx_t *ctx, llm_answer_t *answer)
{
    size_t         len;
    u_char        *mem;
    llm_buf_t      text;

    static u_char  small[NGX_HTTP_LLM_JSON];

    len = answer->content.len;

    if (len == 0 || !ngx_http_llm_ended_well(answer->finish_reason)) {
        return;
    }

    if (llm_str_eq(answer->content, LLM_STR("\"\""))) {
        ctx->send->empty = 1;
        return;
    }

    if (!(ctx->facts.need & (LLM_CAN_JSON_OBJECT|LLM_CAN_JSON_SCHEMA))) {
        return;
    }

    mem = (len <= sizeof(small)) ? small
                                 : ngx_palloc(ctx->request->pool, len);
    if (mem == NULL) {
        return;
    }

    llm_buf_init(&text, mem, len);

    if (llm_json_unescape(answer->content, &text) == LLM_OK) {
        ctx->send->json_checked = 1;
        ctx->send->json_invalid = (llm_json_check(llm_buf_view(&text))
                                   != LLM_OK);
    }

    if (mem != small) {
        (void) ngx_pfree(ctx->request->pool, mem);
    }
}


/* By itself: of chat, Messages, Responses. */

static ngx_uint_t
ngx_http_llm_ended_well(llm_str_t reason)
{
    return reason.len == 0
           || llm_str_eq(reason, LLM_STR("stop"))
           || llm_str_eq(reason, LLM_STR("end_turn"))
           || llm_str_eq(reason, LLM_STR("stop_sequence"))
           || llm_str_eq(reason, LLM_STR("completed"));
}
