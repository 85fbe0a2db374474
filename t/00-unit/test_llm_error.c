/*
 * The tables of classes and codes: complete, consistent, and as documented.
 */

#include "tap.h"
#include "llm_error.h"
#include "llm_json.h"


typedef struct {
    llm_class_t  class;
    const char  *name;
    unsigned     on;
    const char  *flags;                 /* provider key caller timeout */
    const char  *code;
    unsigned     status;
} row_t;


#define E  LLM_ON_ERROR
#define X  LLM_ON_EXHAUSTED

static const row_t  rows[] = {
    { LLM_CLASS_OK, "ok", 0, "", "", 200 },
    { LLM_CLASS_INVALID_REQUEST, "invalid_request", 0, "c",
      "caller_invalid_request", 400 },
    { LLM_CLASS_CONTEXT_LENGTH, "context_length", LLM_ON_CONTEXT_LENGTH, "c",
      "caller_context_length", 400 },
    { LLM_CLASS_CONTENT_FILTER, "content_filter", LLM_ON_CONTENT_FILTER, "c",
      "caller_content_filter", 400 },
    { LLM_CLASS_AUTH, "auth", E|X, "k", "provider_auth", 502 },
    { LLM_CLASS_PERMISSION, "permission", E, "k", "provider_auth", 502 },
    { LLM_CLASS_BILLING, "billing", E|X, "k", "provider_auth", 502 },
    { LLM_CLASS_RATE_LIMITED, "rate_limited", LLM_ON_RATE_LIMITED|X, "k",
      "provider_rate_limited", 429 },
    { LLM_CLASS_QUOTA, "quota", LLM_ON_RATE_LIMITED|X, "k", "provider_quota",
      429 },
    { LLM_CLASS_OVERLOADED, "overloaded", LLM_ON_OVERLOADED, "p",
      "provider_overloaded", 503 },
    { LLM_CLASS_SERVER, "server", E, "p", "provider_error", 502 },
    { LLM_CLASS_BAD_ANSWER, "bad_answer", LLM_ON_BAD_ANSWER, "",
      "provider_bad_answer", 502 },
    { LLM_CLASS_CONNECT, "connect", E, "p", "provider_unreachable", 502 },
    { LLM_CLASS_DNS, "dns", E, "p", "provider_unreachable", 502 },
    { LLM_CLASS_TLS, "tls", E, "p", "provider_unreachable", 502 },
    { LLM_CLASS_NETWORK, "network", E, "p", "provider_unreachable", 502 },
    { LLM_CLASS_TIMEOUT_CONNECT, "timeout_connect", LLM_ON_TIMEOUT, "pt",
      "provider_timeout", 504 },
    { LLM_CLASS_TIMEOUT_HEADER, "timeout_header", LLM_ON_TIMEOUT, "pt",
      "provider_timeout", 504 },
    { LLM_CLASS_TIMEOUT_FIRST, "timeout_first", LLM_ON_TIMEOUT, "pt",
      "provider_timeout", 504 },
    { LLM_CLASS_TIMEOUT_IDLE, "timeout_idle", LLM_ON_TIMEOUT, "pt",
      "provider_timeout", 504 },
    { LLM_CLASS_TIMEOUT_TOTAL, "timeout_total", LLM_ON_TIMEOUT, "pt",
      "provider_timeout", 504 },
    { LLM_CLASS_CUT, "cut", 0, "p", "provider_cut", 502 },
    { LLM_CLASS_EXHAUSTED, "exhausted", X, "", "gateway_no_target", 503 },
    { LLM_CLASS_BUSY, "busy", X, "", "gateway_busy", 503 },
    { LLM_CLASS_SHED, "shed", LLM_ON_OVERLOADED, "", "policy_shed", 503 },
    { LLM_CLASS_CLIENT_GONE, "client_gone", 0, "", "", 200 }
};


static int
flag(const row_t *r, char c)
{
    return strchr(r->flags, c) != NULL;
}


static void
test_classes(void)
{
    size_t                  i;
    const row_t            *r;
    const llm_code_info_t  *info;

    is_int(sizeof(rows) / sizeof(rows[0]), LLM_CLASS_N, "every class is here");

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        r = &rows[i];
        info = llm_code_info(llm_code_of_class(r->class));

        is_str(llm_class_name(r->class), r->name, "name");
        is_int(llm_class_on(r->class), r->on, r->name);
        is_int(llm_class_is_provider_fault(r->class), flag(r, 'p'), "provider");
        is_int(llm_class_is_key_fault(r->class), flag(r, 'k'), "key");
        is_int(llm_class_is_caller_fault(r->class), flag(r, 'c'), "caller");
        is_int(llm_class_is_timeout(r->class), flag(r, 't'), "timeout");
        is_str(info->name, r->code, "code");
        is_int(info->status, r->status, "status");
    }
}


static void
test_codes(void)
{
    int                     c, d, dup, prefix;
    const llm_code_info_t  *i;

    dup = 0;
    prefix = 0;

    for (c = 1; c < LLM_CODE_N; c++) {
        i = llm_code_info((llm_code_t) c);

        if (i->name.len == 0 || i->message.len == 0 || i->openai_type.len == 0
            || i->anthropic_type.len == 0 || i->status < 400)
        {
            ok(0, "a complete row");
            printf("# code %d\n", c);
        }

        prefix += memcmp(i->name.data, "caller_", 7) == 0 ? i->status >= 500
                  : memcmp(i->name.data, "policy_", 7) == 0
                    ? i->status >= 500 && i->status != 503
                  : memcmp(i->name.data, "gateway_", 8) == 0 ? i->status < 500
                  : memcmp(i->name.data, "provider_", 9) != 0;

        for (d = 1; d < c; d++) {
            dup += llm_str_eq(i->name, llm_code_info((llm_code_t) d)->name);
        }
    }

    is_int(dup, 0, "names are unique");
    is_int(prefix, 0, "the prefix says whose fault, the status agrees");

    is_str(llm_code_info((llm_code_t) 9999)->name, "gateway_error",
           "out of range");
    is_str(llm_class_name((llm_class_t) 9999), "ok", "class out of range");
}


static void
test_statuses(void)
{
    size_t                 i;
    static const unsigned  all[] = {
        400, 401, 403, 405, 408, 411, 413, 414, 415, 416, 421, 429, 494, 495,
        500, 501, 502, 503, 504, 505, 507
    };

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        is_int(llm_code_info(llm_code_of_status(all[i]))->status / 100,
               all[i] / 100, "same kind of status");
    }

    is_int(llm_code_of_status(401), LLM_CODE_POLICY_UNAUTHORIZED, "401");
    is_int(llm_code_of_status(403), LLM_CODE_POLICY_FORBIDDEN, "403");
    is_int(llm_code_of_status(413), LLM_CODE_CALLER_TOO_LARGE, "413");
    is_int(llm_code_of_status(429), LLM_CODE_POLICY_RATE_LIMITED, "429");
    is_int(llm_code_of_status(414), LLM_CODE_CALLER_BAD_REQUEST, "414");
    is_int(llm_code_of_status(500), LLM_CODE_GATEWAY_ERROR, "500");
}


static void
test_bodies(void)
{
    llm_str_t      message;
    llm_buf_t      b;
    unsigned char  mem[8192], text[3000];

    llm_buf_init(&b, mem, sizeof(mem));
    llm_error_openai(&b, LLM_CODE_CALLER_CONTEXT_LENGTH,
                     LLM_STR("too \"long\""), LLM_STR("messages"));
    is_str(llm_buf_view(&b),
           "{\"error\":{\"message\":\"too \\\"long\\\"\","
           "\"type\":\"invalid_request_error\",\"param\":\"messages\","
           "\"code\":\"context_length_exceeded\"}}", "OpenAI");

    llm_buf_init(&b, mem, sizeof(mem));
    llm_error_openai(&b, LLM_CODE_PROVIDER_BAD_ANSWER, LLM_NOSTR, LLM_NOSTR);
    is_str(llm_buf_view(&b),
           "{\"error\":{\"message\":\"The provider's answer was not usable.\","
           "\"type\":\"server_error\",\"param\":null,"
           "\"code\":\"provider_bad_answer\"}}", "OpenAI, our own code");

    llm_buf_init(&b, mem, sizeof(mem));
    llm_error_anthropic(&b, LLM_CODE_PROVIDER_OVERLOADED, LLM_STR("later"),
                        LLM_STR("req_1"));
    is_str(llm_buf_view(&b),
           "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
           "\"message\":\"later\"},\"request_id\":\"req_1\"}", "Anthropic");

    memset(text, 'a', sizeof(text));
    text[2046] = 0xe2;                  /* one character over the cut */
    text[2047] = 0x82;
    text[2048] = 0xac;
    message = (llm_str_t) { sizeof(text), text };

    llm_buf_init(&b, mem, sizeof(mem));
    llm_error_openai(&b, LLM_CODE_PROVIDER_ERROR, message, LLM_NOSTR);
    ok(memchr(mem, 0xe2, (size_t) (b.pos - mem)) == NULL
       && memchr(mem, 0xef, (size_t) (b.pos - mem)) == NULL,
       "a long message is cut between characters");
    is_int(llm_json_check(llm_buf_view(&b)), LLM_OK, "and stays JSON");

    llm_buf_init(&b, mem, 40);
    llm_error_openai(&b, LLM_CODE_PROVIDER_ERROR, LLM_NOSTR, LLM_NOSTR);
    ok(b.full, "too small a buffer is noticed");
}


int
main(void)
{
    test_classes();
    test_codes();
    test_statuses();
    test_bodies();

    return tap_done();
}
