/*
 * The closed lists: what went wrong with an attempt (class), and what the
 * client is told about a request (code).
 *
 * A class drives retries, keys and breakers; a code names whose fault it is.
 * There is no other place that decides either.
 */

#ifndef LLM_ERROR_H
#define LLM_ERROR_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

/* The outcome of one attempt. */
typedef enum {
    LLM_CLASS_OK = 0,

    /* the request itself: nobody is punished, nothing is tried again */
    LLM_CLASS_INVALID_REQUEST,          /* 400, 405, 413, 415, 422 … */
    LLM_CLASS_CONTEXT_LENGTH,
    LLM_CLASS_CONTENT_FILTER,

    /* the key or the account behind it */
    LLM_CLASS_AUTH,                     /* 401, 403 key, 400 invalid key */
    LLM_CLASS_PERMISSION,               /* 403, 404 model: key x model */
    LLM_CLASS_BILLING,                  /* 402, insufficient_quota, no credit */
    LLM_CLASS_RATE_LIMITED,             /* 429, wait <= 120 s */
    LLM_CLASS_QUOTA,                    /* 429, a day's quota or wait > 120 s */

    /* the provider */
    LLM_CLASS_OVERLOADED,               /* 503 overloaded, 529, 498 */
    LLM_CLASS_SERVER,                   /* other 5xx, 408, 409, 425 */
    LLM_CLASS_BAD_ANSWER,               /* garbage, empty, invalid */

    /* the way to it */
    LLM_CLASS_CONNECT,                  /* refused, reset, nothing sent */
    LLM_CLASS_DNS,
    LLM_CLASS_TLS,
    LLM_CLASS_NETWORK,                  /* reset or closed after sending */
    LLM_CLASS_TIMEOUT_CONNECT,
    LLM_CLASS_TIMEOUT_HEADER,
    LLM_CLASS_TIMEOUT_FIRST,
    LLM_CLASS_TIMEOUT_IDLE,
    LLM_CLASS_TIMEOUT_TOTAL,
    LLM_CLASS_CUT,                      /* failed after the commit */

    /* never sent */
    LLM_CLASS_EXHAUSTED,                /* no usable key, or breaker open */
    LLM_CLASS_BUSY,                     /* inflight limit, queue full */
    LLM_CLASS_SHED,                     /* of too low a priority, for now */

    LLM_CLASS_CLIENT_GONE,
    LLM_CLASS_N
} llm_class_t;

/* Conditions of `on=` at a target, as bits. */
#define LLM_ON_ERROR           0x0001   /* SERVER, CONNECT, DNS, TLS, NETWORK,
                                           AUTH, PERMISSION, BILLING */
#define LLM_ON_TIMEOUT         0x0002
#define LLM_ON_RATE_LIMITED    0x0004   /* RATE_LIMITED, QUOTA */
#define LLM_ON_EXHAUSTED       0x0008   /* EXHAUSTED, BUSY, and RATE_LIMITED,
                                           QUOTA, BILLING, AUTH of the last
                                           key */
#define LLM_ON_OVERLOADED      0x0010   /* OVERLOADED, SHED */
#define LLM_ON_BAD_ANSWER      0x0020
#define LLM_ON_CONTEXT_LENGTH  0x0040
#define LLM_ON_CONTENT_FILTER  0x0080
#define LLM_ON_ANY             0x00ff
#define LLM_ON_DEFAULT         (LLM_ON_ANY & ~LLM_ON_CONTENT_FILTER)

/* "rate_limited" and so on: the word of logs, metrics and $llm_status_class. */
llm_str_t llm_class_name(llm_class_t c);

/* Which `on=` bits this class satisfies. */
unsigned llm_class_on(llm_class_t c);

/* Properties used by breakers and pools. */
int llm_class_is_provider_fault(llm_class_t c);   /* counts for the breaker */
int llm_class_is_key_fault(llm_class_t c);        /* AUTH … QUOTA */
int llm_class_is_caller_fault(llm_class_t c);
int llm_class_is_timeout(llm_class_t c);

/* What the client is told; the closed list of docs/errors.md. */
typedef enum {
    LLM_CODE_NONE = 0,
    LLM_CODE_CALLER_INVALID_JSON,       /* 400 */
    LLM_CODE_CALLER_DUPLICATE_KEY,      /* 400 */
    LLM_CODE_CALLER_MODEL_MISSING,      /* 400 */
    LLM_CODE_CALLER_MODEL_NOT_FOUND,    /* 404 model_not_found */
    LLM_CODE_CALLER_UNKNOWN_ENDPOINT,   /* 404 */
    LLM_CODE_CALLER_METHOD,             /* 405 */
    LLM_CODE_CALLER_MISSING_MEMBER,     /* 400 */
    LLM_CODE_CALLER_BAD_MULTIPART,      /* 400 */
    LLM_CODE_CALLER_EMPTY_AUDIO,        /* 400 */
    LLM_CODE_CALLER_UNSUPPORTED,        /* 400: no target can do it */
    LLM_CODE_CALLER_ENCODING,           /* 415: Content-Encoding */
    LLM_CODE_CALLER_MEDIA_TYPE,         /* 415 */
    LLM_CODE_CALLER_TOO_LARGE,          /* 413 */
    LLM_CODE_CALLER_INVALID_REQUEST,    /* the provider's own 4xx */
    LLM_CODE_CALLER_CONTEXT_LENGTH,     /* 400 context_length_exceeded */
    LLM_CODE_CALLER_CONTENT_FILTER,     /* 400 */
    LLM_CODE_CALLER_BAD_REQUEST,        /* 400: nginx could not read it */
    LLM_CODE_CALLER_TIMEOUT,            /* 408: nginx waited for the body */
    LLM_CODE_CALLER_BAD_VALUE,          /* 400: feedback with an odd member */
    LLM_CODE_CALLER_UNKNOWN_REQUEST,    /* 404: feedback about nothing known */
    LLM_CODE_CALLER_UPGRADE,            /* 426: WebSocket is expected */

    LLM_CODE_POLICY_FORBIDDEN,          /* 403: allow/deny, auth */
    LLM_CODE_POLICY_UNAUTHORIZED,       /* 401 */
    LLM_CODE_POLICY_MODEL_NOT_ALLOWED,  /* 403: not for this client */
    LLM_CODE_POLICY_RATE_LIMITED,       /* 429: llm_limit, limit_req */
    LLM_CODE_POLICY_BUDGET_EXCEEDED,    /* 429 insufficient_quota */
    LLM_CODE_POLICY_REQUEST_TOO_LARGE,  /* 413: more than a whole limit */
    LLM_CODE_POLICY_PRICE_UNKNOWN,      /* 403: a budget, and no price */
    LLM_CODE_POLICY_LIMIT_UNAVAILABLE,  /* 503: without_redis=closed */
    LLM_CODE_POLICY_SHED,               /* 503: others come first, for now */

    LLM_CODE_PROVIDER_RATE_LIMITED,     /* 429 + Retry-After */
    LLM_CODE_PROVIDER_QUOTA,            /* 429 insufficient_quota */
    LLM_CODE_PROVIDER_AUTH,             /* 502: our key */
    LLM_CODE_PROVIDER_OVERLOADED,       /* 503 + Retry-After */
    LLM_CODE_PROVIDER_ERROR,            /* 502 */
    LLM_CODE_PROVIDER_UNREACHABLE,      /* 502: connect, DNS, TLS, reset */
    LLM_CODE_PROVIDER_TIMEOUT,          /* 504 */
    LLM_CODE_PROVIDER_BAD_ANSWER,       /* 502 */
    LLM_CODE_PROVIDER_CUT,              /* the error event of a cut stream */

    LLM_CODE_GATEWAY_DEADLINE,          /* 504: llm_retry deadline= */
    LLM_CODE_GATEWAY_BUSY,              /* 503: queue full or waited out */
    LLM_CODE_GATEWAY_NO_TARGET,         /* 503: every target off or open */
    LLM_CODE_GATEWAY_ERROR,             /* 500 */
    LLM_CODE_N
} llm_code_t;

typedef struct {
    llm_str_t  name;                    /* x-llm-error */
    unsigned   status;
    llm_str_t  openai_type;             /* wire-formats: type and code of the */
    llm_str_t  openai_code;             /*   OpenAI dialect; empty code: name */
    llm_str_t  anthropic_type;
    llm_str_t  message;                 /* the default English sentence */
} llm_code_info_t;

const llm_code_info_t *llm_code_info(llm_code_t code);

/* The code of a request whose last attempt ended in this class.  BILLING is our
 * account's trouble (PROVIDER_AUTH); where the provider said 429, the gateway
 * may prefer PROVIDER_QUOTA. */
llm_code_t llm_code_of_class(llm_class_t c);

/* The code for an error page nginx itself wanted to send in our location
 * (400, 401, 403, 405, 408, 411, 413, 414, 415, 416, 421, 429, 494, 5xx). */
llm_code_t llm_code_of_status(unsigned status);

/*
 * Writes the error body of the client's dialect:
 *   OpenAI:    {"error":{"message":…,"type":…,"param":null,"code":…}}
 *   Anthropic: {"type":"error","error":{"type":…,"message":…},"request_id":…}
 * `message` empty: the default sentence.  `param` empty: null.
 */
void llm_error_openai(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t param);
void llm_error_anthropic(llm_buf_t *out, llm_code_t code, llm_str_t message,
    llm_str_t request_id);

/* What stands in OpenAI's "error"; its code, and the sentence in it: the given
 * one, cut between characters, or ours. */
void llm_error_openai_object(llm_buf_t *out, llm_code_t code,
    llm_str_t message, llm_str_t param);
llm_str_t llm_error_openai_code(llm_code_t code);
llm_str_t llm_error_sentence(llm_code_t code, llm_str_t message);

#pragma GCC visibility pop

#endif /* LLM_ERROR_H */
