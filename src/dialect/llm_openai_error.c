/*
 * Refusals in the OpenAI dialect: what a provider meant by its error.
 *
 * The same status says different things (a 429 may be a second's wait, a day's
 * quota or an empty account; a 400 a bad key), so words in the body decide and
 * the status only stands in for them.  Bodies come in many shapes and may be
 * cut; whatever is readable counts, nothing is required.
 */

#include "llm_openai.h"

#define LLM_WAIT_QUOTA    120000        /* ms; a longer wait is a quota's */
#define LLM_SECRET_MIN    16            /* shorter runs are words */


/* A code, type, status or reason that decides by itself. */
typedef struct {
    llm_str_t    word;
    llm_class_t  class;
    unsigned     hidden_only:1;         /* only without an HTTP status */
} llm_error_word_t;


static const llm_error_word_t  llm_error_words[] = {
    { LLM_STR("insufficient_quota"), LLM_CLASS_BILLING, 0 },
    { LLM_STR("credit_balance_exhausted"), LLM_CLASS_BILLING, 0 },
    { LLM_STR("organization_spend_limit_exceeded"), LLM_CLASS_BILLING, 0 },
    { LLM_STR("project_spend_limit_exceeded"), LLM_CLASS_BILLING, 0 },
    { LLM_STR("organization_usage_limit_exceeded"), LLM_CLASS_BILLING, 0 },
    { LLM_STR("enforced_spend_limit_reached"), LLM_CLASS_BILLING, 0 },
    { LLM_STR("billing_hard_limit_reached"), LLM_CLASS_BILLING, 0 },
    { LLM_STR("billing_not_active"), LLM_CLASS_BILLING, 0 },

    { LLM_STR("content_filter"), LLM_CLASS_CONTENT_FILTER, 0 },
    { LLM_STR("content_policy_violation"), LLM_CLASS_CONTENT_FILTER, 0 },
    { LLM_STR("ResponsibleAIPolicyViolation"), LLM_CLASS_CONTENT_FILTER, 0 },

    { LLM_STR("context_length_exceeded"), LLM_CLASS_CONTEXT_LENGTH, 0 },
    { LLM_STR("exceed_context_size_error"), LLM_CLASS_CONTEXT_LENGTH, 0 },

    { LLM_STR("json_validate_failed"), LLM_CLASS_BAD_ANSWER, 0 },
    { LLM_STR("tool_use_failed"), LLM_CLASS_BAD_ANSWER, 0 },

    { LLM_STR("invalid_api_key"), LLM_CLASS_AUTH, 0 },
    { LLM_STR("API_KEY_INVALID"), LLM_CLASS_AUTH, 0 },
    { LLM_STR("account_deactivated"), LLM_CLASS_AUTH, 0 },

    { LLM_STR("model_not_found"), LLM_CLASS_PERMISSION, 0 },
    { LLM_STR("model_decommissioned"), LLM_CLASS_PERMISSION, 0 },
    { LLM_STR("DeploymentNotFound"), LLM_CLASS_PERMISSION, 0 },

    { LLM_STR("in_flight_budget_exhausted"), LLM_CLASS_RATE_LIMITED, 0 },
    { LLM_STR("slow_down"), LLM_CLASS_RATE_LIMITED, 0 },
    { LLM_STR("rate_limit_exceeded"), LLM_CLASS_RATE_LIMITED, 0 },
    { LLM_STR("rate_limit_error"), LLM_CLASS_RATE_LIMITED, 0 },

    { LLM_STR("server_is_overloaded"), LLM_CLASS_OVERLOADED, 0 },
    { LLM_STR("overloaded_error"), LLM_CLASS_OVERLOADED, 0 },
    { LLM_STR("capacity_exceeded"), LLM_CLASS_OVERLOADED, 0 },

    { LLM_STR("authentication_error"), LLM_CLASS_AUTH, 1 },
    { LLM_STR("permission_error"), LLM_CLASS_PERMISSION, 1 },
    { LLM_STR("service_unavailable_error"), LLM_CLASS_OVERLOADED, 1 },
    { LLM_STR("UNAVAILABLE"), LLM_CLASS_OVERLOADED, 1 },
    { LLM_STR("RESOURCE_EXHAUSTED"), LLM_CLASS_RATE_LIMITED, 1 },
    { LLM_STR("invalid_prompt"), LLM_CLASS_INVALID_REQUEST, 1 },
    { LLM_STR("invalid_request_error"), LLM_CLASS_INVALID_REQUEST, 1 },
    { LLM_STR("BadRequestError"), LLM_CLASS_INVALID_REQUEST, 1 },
    { LLM_STR("INVALID_ARGUMENT"), LLM_CLASS_INVALID_REQUEST, 1 }
};

#define LLM_ERROR_WORDS  (sizeof(llm_error_words) / sizeof(llm_error_words[0]))


int
llm_openai_has(llm_str_t text, llm_str_t phrase)
{
    size_t         i, j;
    unsigned char  c;

    for (i = 0; i + phrase.len <= text.len; i++) {

        for (j = 0; j < phrase.len; j++) {
            c = text.data[i + j];
            c = c >= 'A' && c <= 'Z' ? (unsigned char) (c | 0x20) : c;
            if (c != phrase.data[j]) {
                break;
            }
        }

        if (j == phrase.len) {
            return 1;
        }
    }

    return 0;
}


/* ---- the class ----------------------------------------------------- */


static llm_class_t
llm_error_by_word(unsigned status, const llm_openai_error_t *e)
{
    size_t                   i, j;
    const llm_error_word_t  *w;

    const llm_str_t  said[] = { e->code, e->type, e->reason, e->status };

    for (i = 0; i < LLM_ERROR_WORDS; i++) {
        w = &llm_error_words[i];

        if (w->hidden_only && status != 0) {
            continue;
        }

        for (j = 0; j < sizeof(said) / sizeof(said[0]); j++) {
            if (llm_str_eq(said[j], w->word)) {
                return w->class;
            }
        }
    }

    return LLM_CLASS_OK;
}


/* What only the sentence tells, for statuses that blame the request. */
static llm_class_t
llm_error_by_message(const llm_openai_error_t *e)
{
    size_t  i;

    static const struct {
        llm_str_t    phrase;
        llm_class_t  class;
    } phrases[] = {
        { LLM_STR("maximum context length"), LLM_CLASS_CONTEXT_LENGTH },
        { LLM_STR("available context size"), LLM_CLASS_CONTEXT_LENGTH },
        { LLM_STR("context window"), LLM_CLASS_CONTEXT_LENGTH },
        { LLM_STR("prompt is too long"), LLM_CLASS_CONTEXT_LENGTH },
        { LLM_STR("input token count"), LLM_CLASS_CONTEXT_LENGTH },
        { LLM_STR("api key not valid"), LLM_CLASS_AUTH },
        { LLM_STR("api key expired"), LLM_CLASS_AUTH },
        { LLM_STR("invalid api key"), LLM_CLASS_AUTH },
        { LLM_STR("incorrect api key"), LLM_CLASS_AUTH },
        { LLM_STR("credit balance"), LLM_CLASS_BILLING }
    };

    for (i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (llm_openai_has(e->message, phrases[i].phrase)) {
            return phrases[i].class;
        }
    }

    return LLM_CLASS_OK;
}


static llm_class_t
llm_error_by_status(unsigned status, const llm_openai_error_t *e)
{
    switch (status) {

    case 0:
        return LLM_CLASS_SERVER;

    case 401:
        return LLM_CLASS_AUTH;

    case 402:
        return LLM_CLASS_BILLING;

    case 403:
        return llm_openai_has(e->message, LLM_STR("api key"))
               ? LLM_CLASS_AUTH : LLM_CLASS_PERMISSION;

    case 404:
        return llm_openai_has(e->message, LLM_STR("model"))
               || llm_openai_has(e->message, LLM_STR("deployment"))
               || llm_str_eq(e->param, LLM_STR("model"))
               ? LLM_CLASS_PERMISSION : LLM_CLASS_INVALID_REQUEST;

    case 408:
    case 409:
    case 424:
    case 425:
    case 499:
        return LLM_CLASS_SERVER;

    case 429:
        return LLM_CLASS_RATE_LIMITED;

    case 498:
    case 529:
        return LLM_CLASS_OVERLOADED;

    case 503:
        /* its own words, not a proxy's page: a queue or a model loading */
        return e->found ? LLM_CLASS_OVERLOADED : LLM_CLASS_SERVER;

    default:
        return status >= 500 ? LLM_CLASS_SERVER
               : status >= 400 ? LLM_CLASS_INVALID_REQUEST
               : LLM_CLASS_BAD_ANSWER;
    }
}


llm_class_t
llm_openai_error_class(unsigned status, const llm_openai_error_t *e)
{
    llm_class_t  class;

    if (e->flagged) {
        return LLM_CLASS_CONTENT_FILTER;
    }

    class = llm_error_by_word(status, e);

    /* Groq: one request larger than what its minute allows */

    if (class == LLM_CLASS_RATE_LIMITED && status == 413) {
        return LLM_CLASS_CONTEXT_LENGTH;
    }

    if (class != LLM_CLASS_OK) {
        return class;
    }

    if (status == 0 || status == 400 || status == 403 || status == 413
        || status == 422)
    {
        class = llm_error_by_message(e);
        if (class != LLM_CLASS_OK) {
            return class;
        }
    }

    if (status == 402
        && llm_openai_has(e->message, LLM_STR("in flight")))
    {
        return LLM_CLASS_RATE_LIMITED;
    }

    return llm_error_by_status(status, e);
}


/* ---- what the pool learns -------------------------------------------- */


/* "limit: 0", but neither "limit: 0.5" nor "limit: 05". */
static int
llm_error_zero_limit(llm_str_t message)
{
    llm_str_t      rest;
    unsigned char  c;

    for (rest = message; rest.len; rest.data++, rest.len--) {

        if (rest.len < 8
            || !llm_openai_has((llm_str_t) { 8, rest.data },
                               LLM_STR("limit: 0")))
        {
            continue;
        }

        c = rest.len > 8 ? rest.data[8] : ' ';
        if ((c < '0' || c > '9') && c != '.') {
            return 1;
        }
    }

    return 0;
}


static int
llm_error_per_day(const llm_openai_error_t *e)
{
    return e->day_quota
           || llm_openai_has(e->message, LLM_STR("per day"))
           || llm_openai_has(e->message, LLM_STR("per-day"))
           || llm_openai_has(e->message, LLM_STR("daily"))
           || llm_openai_has(e->message, LLM_STR("(tpd)"))
           || llm_openai_has(e->message, LLM_STR("(rpd)"));
}


/* Limit, used and requested, in the unit of their dimension. */
static void
llm_error_quota(const llm_openai_error_t *e, llm_outcome_t *out)
{
    if (llm_openai_has(e->message, LLM_STR("seconds of audio"))
        || llm_openai_has(e->message, LLM_STR("audio seconds"))
        || llm_openai_has(e->message, LLM_STR("(asph)"))
        || llm_openai_has(e->message, LLM_STR("(aspd)")))
    {
        out->dim = LLM_DIM_AUDIO_MS;

    } else if (llm_openai_has(e->message, LLM_STR("requests per"))
               || llm_str_eq(e->type, LLM_STR("requests")))
    {
        out->dim = LLM_DIM_REQUESTS;

    } else if (llm_openai_has(e->message, LLM_STR("token"))
               || llm_str_eq(e->type, LLM_STR("tokens")))
    {
        out->dim = LLM_DIM_TOKENS;
    }

    if (llm_hint_quota(e->message, &out->limit, &out->used, &out->requested)
        != LLM_OK)
    {
        return;
    }

    out->has_quota = 1;

    if (out->dim == LLM_DIM_AUDIO_MS) {
        out->limit *= 1000;
        out->used *= 1000;
        out->requested *= 1000;
    }
}


/* What the body asks for, in ms from now. */
static llm_msec_t
llm_error_wait(const llm_openai_error_t *e, llm_msec_t now)
{
    llm_msec_t  ms;

    if (e->wait) {
        return e->wait;
    }

    if (e->reset_at > now) {
        return e->reset_at - now;
    }

    return llm_hint_sentence(e->message, &ms) == LLM_OK ? ms : 0;
}


static void
llm_error_outcome(unsigned status, const llm_openai_error_t *e,
    const llm_hint_t *hint, llm_msec_t now, llm_outcome_t *out)
{
    llm_msec_t  wait;

    out->class = llm_openai_error_class(status, e);

    /* the delay beside a per-day quota id is a minute's, not the day's */

    wait = e->day_quota ? 0 : llm_error_wait(e, now);
    wait = llm_hint_wait(hint, wait, now);

    switch (out->class) {

    case LLM_CLASS_RATE_LIMITED:
        break;

    case LLM_CLASS_SERVER:
        if (status == 503 && wait) {
            out->class = LLM_CLASS_OVERLOADED;
        }
        out->wait = wait;
        return;

    case LLM_CLASS_OVERLOADED:
        out->wait = wait;
        return;

    default:
        return;
    }

    out->wait = wait;
    out->day = llm_error_per_day(e) ? 1 : 0;
    out->never = (e->zero_quota || llm_error_zero_limit(e->message)) ? 1 : 0;
    llm_error_quota(e, out);

    if (out->day || out->never || wait > LLM_WAIT_QUOTA) {
        out->class = LLM_CLASS_QUOTA;
    }
}


/* ---- what the client may read --------------------------------------- */


/* Long runs of key characters become stars: a refusal likes to repeat the key
 * it did not take. */
static void
llm_error_mask(unsigned char *p, unsigned char *end)
{
    size_t         run;
    unsigned char  c;

    for (run = 0; p <= end; p++) {

        c = p < end ? *p : ' ';

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            || c == '_' || c == '-')
        {
            run++;
            continue;
        }

        if (run >= LLM_SECRET_MIN) {
            memset(p - run, '*', run);
        }

        run = 0;
    }
}


/* The decoded text of a raw one, which stands without its quotes, in mem. */
static llm_str_t
llm_error_text(llm_str_t raw, llm_buf_t *mem)
{
    llm_buf_t      out;
    llm_str_t      quoted;
    unsigned char  copy[LLM_OPENAI_MESSAGE_MAX + 2];

    if (raw.len == 0 || raw.len > LLM_OPENAI_MESSAGE_MAX) {
        return LLM_NOSTR;
    }

    copy[0] = '"';
    memcpy(copy + 1, raw.data, raw.len);
    copy[raw.len + 1] = '"';

    quoted.len = raw.len + 2;
    quoted.data = copy;

    llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));

    if (llm_json_unescape(quoted, &out) != LLM_OK) {
        return LLM_NOSTR;
    }

    mem->pos = out.pos;

    return llm_buf_view(&out);
}


/* The message, which for a refused key must not show it. */
static llm_str_t
llm_error_message(const llm_openai_error_t *e, llm_class_t class,
    llm_buf_t *mem)
{
    llm_str_t       message;
    unsigned char  *start;

    start = mem->pos;
    message = llm_error_text(e->message, mem);

    if (class == LLM_CLASS_AUTH && message.len) {
        llm_error_mask(start, start + message.len);
    }

    return message;
}


llm_class_t
llm_openai_error_hidden(const llm_openai_error_t *e, llm_buf_t *mem,
    llm_str_t *message)
{
    llm_class_t  class;

    class = llm_openai_error_class(e->number, e);
    *message = llm_error_message(e, class, mem);

    return class == LLM_CLASS_OK ? LLM_CLASS_SERVER : class;
}


void
llm_openai_refuse(unsigned status, const llm_openai_error_t *e,
    const llm_hint_t *hint, llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out)
{
    memset(out, 0, sizeof(llm_refusal_t));

    llm_error_outcome(status, e, hint, now, &out->outcome);

    out->type = llm_error_text(e->type, mem);
    out->code = llm_error_text(e->code, mem);
    out->message = llm_error_message(e, out->outcome.class, mem);
    out->native = e->native;
}


void
llm_openai_refusal(unsigned status, const llm_hint_t *hint, llm_str_t body,
    llm_msec_t now, llm_buf_t *mem, llm_refusal_t *out)
{
    llm_openai_error_t  e;

    llm_openai_error_body(body, &e);
    llm_openai_refuse(status, &e, hint, now, mem, out);
}
