/*
 * What was shown, and what comes next.
 *
 * Texts are compared decoded: one provider escapes what another does not.  A
 * piece that is not whole in itself, half of a surrogate pair, cannot be
 * compared and counts as something else.
 */

#include "llm_resume.h"
#include "llm_json.h"

#define LLM_REPLACED  "\xEF\xBF\xBD"    /* U+FFFD in UTF-8 */


/* Decodes a raw string; LLM_BAD where that loses something. */
static llm_rc_t
llm_resume_decode(llm_str_t raw, llm_buf_t *out)
{
    size_t                i, n;
    llm_rc_t              rc;
    const unsigned char  *p;

    p = out->pos;
    rc = llm_json_unescape(raw, out);

    if (rc != LLM_OK) {
        return rc;
    }

    n = (size_t) (out->pos - p);

    if (memchr(raw.data, '\\', raw.len) == NULL) {
        return LLM_OK;
    }

    for (i = 0; i + 3 <= n; i++) {
        if (memcmp(p + i, LLM_REPLACED, 3) == 0) {
            return LLM_BAD;
        }
    }

    return LLM_OK;
}


size_t
llm_told_room(const llm_delta_t *delta)
{
    return delta->kind == LLM_DELTA_TEXT ? delta->text.len : 0;
}


void
llm_told_add(llm_told_t *told, const llm_delta_t *delta)
{
    switch (delta->kind) {

    case LLM_DELTA_START:
    case LLM_DELTA_USAGE:
    case LLM_DELTA_SIGNATURE:
    case LLM_DELTA_REDACTED:
    case LLM_DELTA_SEAL:
    case LLM_DELTA_FINISH:
    case LLM_DELTA_END:
        return;

    case LLM_DELTA_REASONING:
        told->thinking = 1;
        return;

    case LLM_DELTA_TEXT:
        break;

    default:
        told->other = 1;
        return;
    }

    told->thinking = 0;
    told->tokens++;

    if (delta->choice != 0) {
        told->other = 1;
        return;
    }

    switch (llm_resume_decode(delta->text, &told->text)) {
    case LLM_OK:
        break;
    case LLM_FULL:
        told->full = 1;
        break;
    default:
        told->other = 1;
    }
}


int
llm_told_is_open(const llm_told_t *told)
{
    return !told->other && !told->full && !told->thinking
           && told->text.pos != told->text.start;
}


void
llm_resume_init(llm_resume_t *r, llm_str_t text, size_t given)
{
    size_t  i;

    memset(r, 0, sizeof(llm_resume_t));

    r->text = text;
    r->at = given;

    for (i = given; i < text.len && text.data[i] <= ' '; i++) { /* void */ }

    r->blank = given != 0 && i == text.len;
}


int
llm_resume_is_new(const llm_resume_t *r)
{
    return !r->differs && r->at == r->text.len;
}


static llm_rc_t
llm_resume_fail(llm_resume_t *r)
{
    r->differs = 1;

    return LLM_BAD;
}


size_t
llm_resume_room(const llm_delta_t *delta)
{
    return 8 * delta->text.len + 2;
}


/* A text in front of the place where the answer becomes new. */
static llm_rc_t
llm_resume_text(llm_resume_t *r, llm_delta_t *delta, llm_buf_t *mem)
{
    size_t                n;
    llm_buf_t             raw, again;
    llm_str_t             rest;
    const unsigned char  *p;

    p = mem->pos;

    if (llm_resume_decode(delta->text, mem) != LLM_OK) {
        return llm_resume_fail(r);
    }

    rest.data = p;
    rest.len = (size_t) (mem->pos - p);

    n = r->text.len - r->at;
    n = rest.len < n ? rest.len : n;

    if (n && memcmp(r->text.data + r->at, rest.data, n) != 0) {
        return llm_resume_fail(r);
    }

    r->at += n;
    rest.data += n;
    rest.len -= n;

    if (rest.len == 0) {
        return LLM_NONE;
    }

    llm_buf_init(&raw, mem->pos, (size_t) (mem->end - mem->pos));
    llm_json_put_string(&raw, rest);

    /* what is not UTF-8 would not stay what it was */

    llm_buf_init(&again, raw.pos, (size_t) (mem->end - raw.pos));

    if (raw.full || llm_json_unescape(llm_buf_view(&raw), &again) != LLM_OK
        || !llm_str_eq(llm_buf_view(&again), rest))
    {
        return llm_resume_fail(r);
    }

    mem->pos = raw.pos;
    delta->text = llm_buf_view(&raw);

    return LLM_OK;
}


llm_rc_t
llm_resume_delta(llm_resume_t *r, llm_delta_t *delta, llm_buf_t *mem)
{
    if (r->differs) {
        return LLM_BAD;
    }

    if (delta->choice != 0) {
        /* one was asked for */
        return LLM_NONE;
    }

    switch (delta->kind) {

    case LLM_DELTA_USAGE:
        return LLM_OK;

    /* its own beginning, how it came to what was shown already, and how sure it
     * is, which was not told of that */

    case LLM_DELTA_START:
    case LLM_DELTA_REASONING:
    case LLM_DELTA_SIGNATURE:
    case LLM_DELTA_REDACTED:
    case LLM_DELTA_SEAL:
    case LLM_DELTA_LOGPROBS:
        return LLM_NONE;

    case LLM_DELTA_TEXT:
        if (!llm_resume_is_new(r)) {
            return llm_resume_text(r, delta, mem);
        }
        break;

    case LLM_DELTA_FINISH:
        if (r->blank) {
            /* it had nothing to add, and white space at an end is no loss */
            r->at = r->text.len;
        }
        break;

    default:
        break;
    }

    if (!llm_resume_is_new(r)) {
        return delta->kind == LLM_DELTA_END ? LLM_NONE : llm_resume_fail(r);
    }

    return LLM_OK;
}
