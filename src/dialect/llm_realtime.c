/*
 * Queries, bodies and subprotocols of the Realtime API.
 */

#include "llm_realtime.h"
#include "llm_query.h"

#define LLM_REALTIME_MODEL_MAX  256


static const llm_str_t  llm_realtime_key_prefix =
                                          LLM_STR("openai-insecure-api-key.");

/* Subprotocols that belong to an account at the provider. */
static const llm_str_t  llm_realtime_accounts[] = {
    LLM_STR("openai-insecure-api-key."),
    LLM_STR("openai-organization."),
    LLM_STR("openai-project.")
};

#define LLM_REALTIME_ACCOUNTS  (sizeof(llm_realtime_accounts)                 \
                                / sizeof(llm_realtime_accounts[0]))


static llm_rc_t
llm_realtime_refuse(llm_code_t *code, llm_str_t *message, llm_code_t what,
    llm_str_t why)
{
    *code = what;
    *message = why;

    return LLM_BAD;
}


llm_rc_t
llm_realtime_model(llm_str_t query, llm_buf_t *mem, llm_str_t *model,
    llm_code_t *code, llm_str_t *message)
{
    size_t       i;
    llm_buf_t    out;
    llm_param_t  p;

    *model = LLM_NOSTR;

    while (llm_query_next(&query, &p)) {

        if (!llm_query_is(p.name, LLM_STR("model"))) {
            continue;
        }

        if (model->data) {
            return llm_realtime_refuse(code, message,
                            LLM_CODE_CALLER_DUPLICATE_KEY,
                            LLM_STR("The query names more than one model."));
        }

        llm_buf_init(&out, mem->pos, (size_t) (mem->end - mem->pos));
        llm_query_decode(p.value, &out);
        *model = llm_buf_view(&out);

        if (out.full || model->len > LLM_REALTIME_MODEL_MAX) {
            return llm_realtime_refuse(code, message,
                                       LLM_CODE_CALLER_MODEL_NOT_FOUND,
                                       LLM_STR("The model name is too long."));
        }
    }

    for (i = 0; i < model->len; i++) {
        if (model->data[i] < 0x20 || model->data[i] == 0x7f) {
            return llm_realtime_refuse(code, message,
                       LLM_CODE_CALLER_MODEL_NOT_FOUND,
                       LLM_STR("The model name has control characters."));
        }
    }

    return LLM_OK;
}


/* Some servers take ";" for "&". */
static void
llm_realtime_put(llm_str_t raw, llm_buf_t *out)
{
    size_t  i;

    if (out->pos != out->start) {
        llm_buf_str(out, LLM_STR("&"));
    }

    for (i = 0; i < raw.len; i++) {
        if (raw.data[i] == ';') {
            llm_buf_str(out, LLM_STR("%3B"));
        } else {
            llm_buf_put(out, raw.data + i, 1);
        }
    }
}


void
llm_realtime_query(llm_str_t query, llm_str_t model, int add, llm_buf_t *out)
{
    int          named;
    llm_param_t  p;

    named = 0;

    while (llm_query_next(&query, &p)) {

        if (llm_query_is_secret(&p)
            || llm_query_is(p.name, LLM_STR("api-version"))
            || (model.data && llm_query_is(p.name, LLM_STR("deployment"))))
        {
            continue;
        }

        if (llm_query_is(p.name, LLM_STR("call_id"))
            || llm_query_is(p.name, LLM_STR("intent")))
        {
            add = 0;
        }

        if (!llm_query_is(p.name, LLM_STR("model"))) {
            llm_realtime_put(p.raw, out);
            continue;
        }

        named = 1;

        if (model.data == NULL) {
            llm_realtime_put(p.raw, out);
        }
    }

    if (model.data && (named || add)) {
        llm_realtime_put(LLM_STR("model="), out);
        llm_query_put(model, out);
    }
}


llm_rc_t
llm_realtime_body(llm_str_t body, llm_json_want_t *model, llm_code_t *code,
    llm_str_t *message)
{
    size_t            at;
    llm_json_want_t   session, inner;
    llm_json_error_t  error;

    memset(&session, 0, sizeof(session));
    memset(&inner, 0, sizeof(inner));

    session.name = LLM_STR("session");
    session.strict = 1;
    inner.name = LLM_STR("model");
    inner.strict = 1;

    if (llm_json_pick(body, &session, 1, &error, &at) != LLM_OK
        || (session.kind == LLM_JSON_OBJECT
            && llm_json_pick(session.value, &inner, 1, &error, &at) != LLM_OK))
    {
        return llm_realtime_refuse(code, message,
                    LLM_CODE_CALLER_DUPLICATE_KEY,
                    LLM_STR("The body has more than one session or model."));
    }

    if (inner.value.data == NULL) {
        return LLM_OK;
    }

    if (model->value.data) {
        return llm_realtime_refuse(code, message,
                           LLM_CODE_CALLER_DUPLICATE_KEY,
                           LLM_STR("The body names more than one model."));
    }

    *model = inner;

    return LLM_OK;
}


/* ---- subprotocols -------------------------------------------------- */


/* Takes one token off a list.  1, or 0 when none is left. */
static int
llm_realtime_token(llm_str_t *list, llm_str_t *token)
{
    size_t  i;

    for (i = 0; i < list->len; i++) {
        if (list->data[i] != ' ' && list->data[i] != '\t'
            && list->data[i] != ',')
        {
            break;
        }
    }

    list->data += i;
    list->len -= i;

    for (i = 0; i < list->len; i++) {
        if (list->data[i] == ' ' || list->data[i] == '\t'
            || list->data[i] == ',')
        {
            break;
        }
    }

    token->data = list->data;
    token->len = i;

    list->data += i;
    list->len -= i;

    return token->len != 0;
}


/* Whether a token begins with that, in letters of any case. */
static int
llm_realtime_begins(llm_str_t token, llm_str_t prefix)
{
    size_t         i;
    unsigned char  c;

    if (token.len < prefix.len) {
        return 0;
    }

    for (i = 0; i < prefix.len; i++) {
        c = token.data[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c != prefix.data[i]) {
            return 0;
        }
    }

    return 1;
}


llm_rc_t
llm_realtime_key(llm_str_t protocols, llm_str_t *key)
{
    llm_str_t  token;

    while (llm_realtime_token(&protocols, &token)) {

        if (llm_realtime_begins(token, llm_realtime_key_prefix)
            && token.len > llm_realtime_key_prefix.len)
        {
            key->data = token.data + llm_realtime_key_prefix.len;
            key->len = token.len - llm_realtime_key_prefix.len;
            return LLM_OK;
        }
    }

    return LLM_NONE;
}


llm_rc_t
llm_realtime_protocols(llm_str_t protocols, llm_buf_t *out)
{
    size_t          i;
    llm_str_t       token;
    unsigned char  *start;

    start = out->pos;

    while (llm_realtime_token(&protocols, &token)) {

        for (i = 0; i < LLM_REALTIME_ACCOUNTS; i++) {
            if (llm_realtime_begins(token, llm_realtime_accounts[i])) {
                break;
            }
        }

        if (i < LLM_REALTIME_ACCOUNTS) {
            continue;
        }

        if (out->pos != start) {
            llm_buf_str(out, LLM_STR(", "));
        }

        llm_buf_str(out, token);
    }

    return out->pos != start ? LLM_OK : LLM_NONE;
}
