/*
 * The closed lists of classes and codes, as tables, and the error bodies.
 *
 * Each class has one row that says what it means to breakers, pools, `on=`
 * conditions and the client, so that no two places can disagree about it.
 */

#include "llm_error.h"
#include "llm_json.h"

#define LLM_ERROR_MESSAGE_MAX  2048     /* a provider's text is cut there */

#define LLM_F_PROVIDER  0x01
#define LLM_F_KEY       0x02
#define LLM_F_CALLER    0x04
#define LLM_F_TIMEOUT   0x08


typedef struct {
    llm_str_t   name;
    unsigned    on;
    unsigned    flags;
    llm_code_t  code;
} llm_class_row_t;


/* static initializers cannot be compound literals in ISO C */
#define llm_s(s)  { sizeof(s) - 1, (const unsigned char *) (s) }


static const llm_class_row_t  llm_classes[LLM_CLASS_N] = {

    [LLM_CLASS_OK] =
        { llm_s("ok"), 0, 0, LLM_CODE_NONE },

    [LLM_CLASS_INVALID_REQUEST] =
        { llm_s("invalid_request"), 0, LLM_F_CALLER,
          LLM_CODE_CALLER_INVALID_REQUEST },
    [LLM_CLASS_CONTEXT_LENGTH] =
        { llm_s("context_length"), LLM_ON_CONTEXT_LENGTH, LLM_F_CALLER,
          LLM_CODE_CALLER_CONTEXT_LENGTH },
    [LLM_CLASS_CONTENT_FILTER] =
        { llm_s("content_filter"), LLM_ON_CONTENT_FILTER, LLM_F_CALLER,
          LLM_CODE_CALLER_CONTENT_FILTER },

    [LLM_CLASS_AUTH] =
        { llm_s("auth"), LLM_ON_ERROR|LLM_ON_EXHAUSTED, LLM_F_KEY,
          LLM_CODE_PROVIDER_AUTH },
    [LLM_CLASS_PERMISSION] =
        { llm_s("permission"), LLM_ON_ERROR, LLM_F_KEY,
          LLM_CODE_PROVIDER_AUTH },
    [LLM_CLASS_BILLING] =
        { llm_s("billing"), LLM_ON_ERROR|LLM_ON_EXHAUSTED, LLM_F_KEY,
          LLM_CODE_PROVIDER_AUTH },
    [LLM_CLASS_RATE_LIMITED] =
        { llm_s("rate_limited"), LLM_ON_RATE_LIMITED|LLM_ON_EXHAUSTED,
          LLM_F_KEY, LLM_CODE_PROVIDER_RATE_LIMITED },
    [LLM_CLASS_QUOTA] =
        { llm_s("quota"), LLM_ON_RATE_LIMITED|LLM_ON_EXHAUSTED, LLM_F_KEY,
          LLM_CODE_PROVIDER_QUOTA },

    [LLM_CLASS_OVERLOADED] =
        { llm_s("overloaded"), LLM_ON_OVERLOADED, LLM_F_PROVIDER,
          LLM_CODE_PROVIDER_OVERLOADED },
    [LLM_CLASS_SERVER] =
        { llm_s("server"), LLM_ON_ERROR, LLM_F_PROVIDER,
          LLM_CODE_PROVIDER_ERROR },

    /* a model that writes bad JSON is no reason to open a breaker */
    [LLM_CLASS_BAD_ANSWER] =
        { llm_s("bad_answer"), LLM_ON_BAD_ANSWER, 0,
          LLM_CODE_PROVIDER_BAD_ANSWER },

    [LLM_CLASS_CONNECT] =
        { llm_s("connect"), LLM_ON_ERROR, LLM_F_PROVIDER,
          LLM_CODE_PROVIDER_UNREACHABLE },
    [LLM_CLASS_DNS] =
        { llm_s("dns"), LLM_ON_ERROR, LLM_F_PROVIDER,
          LLM_CODE_PROVIDER_UNREACHABLE },
    [LLM_CLASS_TLS] =
        { llm_s("tls"), LLM_ON_ERROR, LLM_F_PROVIDER,
          LLM_CODE_PROVIDER_UNREACHABLE },
    [LLM_CLASS_NETWORK] =
        { llm_s("network"), LLM_ON_ERROR, LLM_F_PROVIDER,
          LLM_CODE_PROVIDER_UNREACHABLE },

    [LLM_CLASS_TIMEOUT_CONNECT] =
        { llm_s("timeout_connect"), LLM_ON_TIMEOUT,
          LLM_F_PROVIDER|LLM_F_TIMEOUT, LLM_CODE_PROVIDER_TIMEOUT },
    [LLM_CLASS_TIMEOUT_HEADER] =
        { llm_s("timeout_header"), LLM_ON_TIMEOUT,
          LLM_F_PROVIDER|LLM_F_TIMEOUT, LLM_CODE_PROVIDER_TIMEOUT },
    [LLM_CLASS_TIMEOUT_FIRST] =
        { llm_s("timeout_first"), LLM_ON_TIMEOUT,
          LLM_F_PROVIDER|LLM_F_TIMEOUT, LLM_CODE_PROVIDER_TIMEOUT },
    [LLM_CLASS_TIMEOUT_IDLE] =
        { llm_s("timeout_idle"), LLM_ON_TIMEOUT,
          LLM_F_PROVIDER|LLM_F_TIMEOUT, LLM_CODE_PROVIDER_TIMEOUT },
    [LLM_CLASS_TIMEOUT_TOTAL] =
        { llm_s("timeout_total"), LLM_ON_TIMEOUT,
          LLM_F_PROVIDER|LLM_F_TIMEOUT, LLM_CODE_PROVIDER_TIMEOUT },

    /* after the commit nothing is sent twice: no condition matches */
    [LLM_CLASS_CUT] =
        { llm_s("cut"), 0, LLM_F_PROVIDER, LLM_CODE_PROVIDER_CUT },

    [LLM_CLASS_EXHAUSTED] =
        { llm_s("exhausted"), LLM_ON_EXHAUSTED, 0, LLM_CODE_GATEWAY_NO_TARGET },
    [LLM_CLASS_BUSY] =
        { llm_s("busy"), LLM_ON_EXHAUSTED, 0, LLM_CODE_GATEWAY_BUSY },

    [LLM_CLASS_SHED] =
        { llm_s("shed"), LLM_ON_OVERLOADED, 0, LLM_CODE_POLICY_SHED },

    [LLM_CLASS_CLIENT_GONE] =
        { llm_s("client_gone"), 0, 0, LLM_CODE_NONE }
};


#define LLM_INVALID  llm_s("invalid_request_error")
#define LLM_SERVER   llm_s("server_error")
#define LLM_UNAVAIL  llm_s("service_unavailable_error")
#define LLM_OWN      { 0, NULL }        /* the dialect has no code: our name */
#define LLM_API      llm_s("api_error")


static const llm_code_info_t  llm_codes[LLM_CODE_N] = {

    [LLM_CODE_NONE] =
        { llm_s(""), 200, llm_s(""), LLM_OWN, llm_s(""), llm_s("") },

    [LLM_CODE_CALLER_INVALID_JSON] =
        { llm_s("caller_invalid_json"), 400, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The request body is not valid JSON.") },
    [LLM_CODE_CALLER_DUPLICATE_KEY] =
        { llm_s("caller_duplicate_key"), 400, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("A member stands twice in the request body.") },
    [LLM_CODE_CALLER_MODEL_MISSING] =
        { llm_s("caller_model_missing"), 400, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The request names no model.") },
    [LLM_CODE_CALLER_MODEL_NOT_FOUND] =
        { llm_s("caller_model_not_found"), 404, LLM_INVALID,
          llm_s("model_not_found"), llm_s("not_found_error"),
          llm_s("The requested model does not exist.") },
    [LLM_CODE_CALLER_UNKNOWN_ENDPOINT] =
        { llm_s("caller_unknown_endpoint"), 404, LLM_INVALID, LLM_OWN,
          llm_s("not_found_error"), llm_s("There is no such endpoint.") },
    [LLM_CODE_CALLER_METHOD] =
        { llm_s("caller_method"), 405, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The request method is not allowed here.") },
    [LLM_CODE_CALLER_MISSING_MEMBER] =
        { llm_s("caller_missing_member"), 400, LLM_INVALID, LLM_OWN,
          LLM_INVALID,
          llm_s("A required member is missing from the request body.") },
    [LLM_CODE_CALLER_BAD_MULTIPART] =
        { llm_s("caller_bad_multipart"), 400, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The request body is not valid multipart/form-data.") },
    [LLM_CODE_CALLER_EMPTY_AUDIO] =
        { llm_s("caller_empty_audio"), 400, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The request carries no audio.") },
    [LLM_CODE_CALLER_UNSUPPORTED] =
        { llm_s("caller_unsupported"), 400, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("No configured model can do what the request asks for.") },
    [LLM_CODE_CALLER_ENCODING] =
        { llm_s("caller_encoding"), 415, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The Content-Encoding of the request is not supported.") },
    [LLM_CODE_CALLER_MEDIA_TYPE] =
        { llm_s("caller_media_type"), 415, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The Content-Type of the request is not supported.") },
    [LLM_CODE_CALLER_TOO_LARGE] =
        { llm_s("caller_too_large"), 413, LLM_INVALID,
          llm_s("request_too_large"), llm_s("request_too_large"),
          llm_s("The request body is too large.") },
    [LLM_CODE_CALLER_INVALID_REQUEST] =
        { llm_s("caller_invalid_request"), 400, LLM_INVALID, LLM_OWN,
          LLM_INVALID, llm_s("The provider rejected the request.") },
    [LLM_CODE_CALLER_CONTEXT_LENGTH] =
        { llm_s("caller_context_length"), 400, LLM_INVALID,
          llm_s("context_length_exceeded"), LLM_INVALID,
          llm_s("The request is longer than the context of the model.") },
    [LLM_CODE_CALLER_CONTENT_FILTER] =
        { llm_s("caller_content_filter"), 400, LLM_INVALID,
          llm_s("content_filter"), LLM_INVALID,
          llm_s("The provider's content filter refused the request.") },
    [LLM_CODE_CALLER_BAD_REQUEST] =
        { llm_s("caller_bad_request"), 400, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The request could not be read.") },
    [LLM_CODE_CALLER_TIMEOUT] =
        { llm_s("caller_timeout"), 408, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("The request body did not arrive in time.") },
    [LLM_CODE_CALLER_BAD_VALUE] =
        { llm_s("caller_bad_value"), 400, LLM_INVALID, LLM_OWN, LLM_INVALID,
          llm_s("A member of the request body has no usable value.") },
    [LLM_CODE_CALLER_UNKNOWN_REQUEST] =
        { llm_s("caller_unknown_request"), 404, LLM_INVALID, LLM_OWN,
          llm_s("not_found_error"),
          llm_s("No request with this id is open to feedback.") },
    [LLM_CODE_CALLER_UPGRADE] =
        { llm_s("caller_upgrade_required"), 426, LLM_INVALID, LLM_OWN,
          LLM_INVALID,
          llm_s("A session needs WebSocket, over HTTP/1.1.") },

    [LLM_CODE_POLICY_FORBIDDEN] =
        { llm_s("policy_forbidden"), 403, LLM_INVALID,
          llm_s("permission_denied"), llm_s("permission_error"),
          llm_s("Access is not allowed.") },
    [LLM_CODE_POLICY_UNAUTHORIZED] =
        { llm_s("policy_unauthorized"), 401, LLM_INVALID,
          llm_s("invalid_api_key"), llm_s("authentication_error"),
          llm_s("Valid credentials are required.") },
    [LLM_CODE_POLICY_MODEL_NOT_ALLOWED] =
        { llm_s("policy_model_not_allowed"), 403, llm_s("permission_error"),
          LLM_OWN, llm_s("permission_error"),
          llm_s("This client may not use that model.") },
    [LLM_CODE_POLICY_RATE_LIMITED] =
        { llm_s("policy_rate_limited"), 429, llm_s("rate_limit_error"),
          llm_s("rate_limit_exceeded"), llm_s("rate_limit_error"),
          llm_s("Too many requests.") },
    [LLM_CODE_POLICY_BUDGET_EXCEEDED] =
        { llm_s("policy_budget_exceeded"), 429, llm_s("insufficient_quota"),
          llm_s("insufficient_quota"), llm_s("rate_limit_error"),
          llm_s("The budget is used up.") },
    [LLM_CODE_POLICY_REQUEST_TOO_LARGE] =
        { llm_s("policy_request_too_large"), 413, LLM_INVALID, LLM_OWN,
          llm_s("request_too_large"),
          llm_s("The request needs more than a limit allows at all.") },
    [LLM_CODE_POLICY_PRICE_UNKNOWN] =
        { llm_s("policy_price_unknown"), 403, LLM_INVALID, LLM_OWN,
          llm_s("permission_error"),
          llm_s("A budget holds, and no model here has a known price.") },
    [LLM_CODE_POLICY_LIMIT_UNAVAILABLE] =
        { llm_s("policy_limit_unavailable"), 503, LLM_UNAVAIL, LLM_OWN,
          llm_s("overloaded_error"),
          llm_s("Limits cannot be checked at the moment.") },

    [LLM_CODE_POLICY_SHED] =
        { llm_s("policy_shed"), 503, LLM_UNAVAIL, LLM_OWN,
          llm_s("overloaded_error"),
          llm_s("The provider is busy with requests of higher priority.") },

    [LLM_CODE_PROVIDER_RATE_LIMITED] =
        { llm_s("provider_rate_limited"), 429, llm_s("rate_limit_error"),
          llm_s("rate_limit_exceeded"), llm_s("rate_limit_error"),
          llm_s("The provider's rate limit is reached.") },
    [LLM_CODE_PROVIDER_QUOTA] =
        { llm_s("provider_quota"), 429, llm_s("insufficient_quota"),
          llm_s("insufficient_quota"), llm_s("rate_limit_error"),
          llm_s("The quota at the provider is used up.") },
    [LLM_CODE_PROVIDER_AUTH] =
        { llm_s("provider_auth"), 502, LLM_SERVER, LLM_OWN, LLM_API,
          llm_s("The provider did not accept the gateway's account.") },
    [LLM_CODE_PROVIDER_OVERLOADED] =
        { llm_s("provider_overloaded"), 503, LLM_UNAVAIL,
          llm_s("server_is_overloaded"), llm_s("overloaded_error"),
          llm_s("The provider is overloaded.") },
    [LLM_CODE_PROVIDER_ERROR] =
        { llm_s("provider_error"), 502, LLM_SERVER, LLM_OWN, LLM_API,
          llm_s("The provider failed.") },
    [LLM_CODE_PROVIDER_UNREACHABLE] =
        { llm_s("provider_unreachable"), 502, LLM_SERVER, LLM_OWN, LLM_API,
          llm_s("The provider could not be reached.") },
    [LLM_CODE_PROVIDER_TIMEOUT] =
        { llm_s("provider_timeout"), 504, LLM_SERVER, llm_s("timeout"),
          llm_s("timeout_error"),
          llm_s("The provider did not answer in time.") },
    [LLM_CODE_PROVIDER_BAD_ANSWER] =
        { llm_s("provider_bad_answer"), 502, LLM_SERVER, LLM_OWN, LLM_API,
          llm_s("The provider's answer was not usable.") },
    [LLM_CODE_PROVIDER_CUT] =
        { llm_s("provider_cut"), 502, LLM_SERVER, LLM_OWN, LLM_API,
          llm_s("The answer was cut off before its end.") },

    [LLM_CODE_GATEWAY_DEADLINE] =
        { llm_s("gateway_deadline"), 504, LLM_SERVER, LLM_OWN,
          llm_s("timeout_error"),
          llm_s("No answer within the time the gateway allows.") },
    [LLM_CODE_GATEWAY_BUSY] =
        { llm_s("gateway_busy"), 503, LLM_UNAVAIL, LLM_OWN,
          llm_s("overloaded_error"),
          llm_s("Too many requests are under way.") },
    [LLM_CODE_GATEWAY_NO_TARGET] =
        { llm_s("gateway_no_target"), 503, LLM_UNAVAIL, LLM_OWN,
          llm_s("overloaded_error"),
          llm_s("No provider is available at the moment.") },
    [LLM_CODE_GATEWAY_ERROR] =
        { llm_s("gateway_error"), 500, LLM_SERVER, LLM_OWN, LLM_API,
          llm_s("The gateway failed.") }
};


static const llm_class_row_t *
llm_class_row(llm_class_t c)
{
    return &llm_classes[(unsigned) c < LLM_CLASS_N ? c : LLM_CLASS_OK];
}


llm_str_t
llm_class_name(llm_class_t c)
{
    return llm_class_row(c)->name;
}


unsigned
llm_class_on(llm_class_t c)
{
    return llm_class_row(c)->on;
}


int
llm_class_is_provider_fault(llm_class_t c)
{
    return (llm_class_row(c)->flags & LLM_F_PROVIDER) != 0;
}


int
llm_class_is_key_fault(llm_class_t c)
{
    return (llm_class_row(c)->flags & LLM_F_KEY) != 0;
}


int
llm_class_is_caller_fault(llm_class_t c)
{
    return (llm_class_row(c)->flags & LLM_F_CALLER) != 0;
}


int
llm_class_is_timeout(llm_class_t c)
{
    return (llm_class_row(c)->flags & LLM_F_TIMEOUT) != 0;
}


llm_code_t
llm_code_of_class(llm_class_t c)
{
    return llm_class_row(c)->code;
}


const llm_code_info_t *
llm_code_info(llm_code_t code)
{
    return &llm_codes[(unsigned) code < LLM_CODE_N ? code
                                                   : LLM_CODE_GATEWAY_ERROR];
}


llm_code_t
llm_code_of_status(unsigned status)
{
    switch (status) {
    case 401:
        return LLM_CODE_POLICY_UNAUTHORIZED;
    case 403:
        return LLM_CODE_POLICY_FORBIDDEN;
    case 404:
        return LLM_CODE_CALLER_UNKNOWN_ENDPOINT;
    case 405:
        return LLM_CODE_CALLER_METHOD;
    case 408:
        return LLM_CODE_CALLER_TIMEOUT;
    case 413:
        return LLM_CODE_CALLER_TOO_LARGE;
    case 415:
        return LLM_CODE_CALLER_MEDIA_TYPE;
    case 429:
        return LLM_CODE_POLICY_RATE_LIMITED;
    case 502:
        return LLM_CODE_PROVIDER_ERROR;
    case 503:                           /* limit_req and limit_conn say this */
        return LLM_CODE_GATEWAY_BUSY;
    case 504:
        return LLM_CODE_PROVIDER_TIMEOUT;
    default:
        return status >= 500 ? LLM_CODE_GATEWAY_ERROR
                             : LLM_CODE_CALLER_BAD_REQUEST;
    }
}


llm_str_t
llm_error_sentence(llm_code_t code, llm_str_t message)
{
    if (message.len == 0) {
        return llm_code_info(code)->message;
    }

    if (message.len > LLM_ERROR_MESSAGE_MAX) {
        message.len = LLM_ERROR_MESSAGE_MAX;

        /* a cut inside of a UTF-8 sequence would leave half a character */
        while (message.len > LLM_ERROR_MESSAGE_MAX - 4
               && (message.data[message.len] & 0xc0) == 0x80)
        {
            message.len--;
        }
    }

    return message;
}


static void
llm_error_string_or_null(llm_buf_t *out, llm_str_t s)
{
    if (s.len) {
        llm_json_put_string(out, s);

    } else {
        llm_buf_str(out, LLM_STR("null"));
    }
}


llm_str_t
llm_error_openai_code(llm_code_t code)
{
    const llm_code_info_t  *info;

    info = llm_code_info(code);

    return info->openai_code.len ? info->openai_code : info->name;
}


void
llm_error_openai_object(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t param)
{
    llm_buf_str(out, LLM_STR("{\"message\":"));
    llm_json_put_string(out, llm_error_sentence(code, message));

    llm_buf_str(out, LLM_STR(",\"type\":"));
    llm_json_put_string(out, llm_code_info(code)->openai_type);

    llm_buf_str(out, LLM_STR(",\"param\":"));
    llm_error_string_or_null(out, param);

    llm_buf_str(out, LLM_STR(",\"code\":"));
    llm_json_put_string(out, llm_error_openai_code(code));

    llm_buf_str(out, LLM_STR("}"));
}


void
llm_error_openai(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t param)
{
    llm_buf_str(out, LLM_STR("{\"error\":"));
    llm_error_openai_object(out, code, message, param);
    llm_buf_str(out, LLM_STR("}"));
}


void
llm_error_anthropic(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t request_id)
{
    const llm_code_info_t  *info;

    info = llm_code_info(code);

    llm_buf_str(out, LLM_STR("{\"type\":\"error\",\"error\":{\"type\":"));
    llm_json_put_string(out, info->anthropic_type);

    llm_buf_str(out, LLM_STR(",\"message\":"));
    llm_json_put_string(out, llm_error_sentence(code, message));

    llm_buf_str(out, LLM_STR("},\"request_id\":"));
    llm_error_string_or_null(out, request_id);

    llm_buf_str(out, LLM_STR("}"));
}
