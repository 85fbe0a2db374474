/*
 * How long a provider asks us to wait, in every form providers use
 * (seconds, milliseconds, HTTP dates, Go durations, RFC 3339, epoch seconds and
 * milliseconds, sentences in error bodies), and its rate-limit headers.
 */

#ifndef LLM_HINT_H
#define LLM_HINT_H

#include "llm_core.h"

#pragma GCC visibility push(hidden)

#define LLM_HINT_MIN_MS   50
#define LLM_HINT_MAX_MS   (25 * 3600 * 1000ULL)

/* "2m59.56s", "120ms", "1h2m3.5s", bare number = seconds.  LLM_OK or LLM_BAD */
llm_rc_t llm_hint_duration(llm_str_t s, llm_msec_t *ms);

/* IMF-fixdate, RFC 850 and asctime dates; RFC 3339 times.  Epoch ms. */
llm_rc_t llm_hint_http_date(llm_str_t s, llm_msec_t *epoch_ms);
llm_rc_t llm_hint_rfc3339(llm_str_t s, llm_msec_t *epoch_ms);

/* Appends "2026-11-20T10:00:00Z"; years from 1970 to 9999. */
void llm_hint_put_rfc3339(llm_buf_t *out, uint64_t seconds);

/* One of the provider's buckets, known by a hash of its name.  `at` is a reset
 * by the provider's clock, `reset` one counted from the answer; 0: unknown. */
typedef struct {
    uint32_t    name;
    uint32_t    tokens;                 /* of tokens, not of requests */
    uint64_t    remaining;              /* UINT64_MAX: unknown */
    uint64_t    limit;
    llm_msec_t  reset;
    llm_msec_t  at;
} llm_hint_bucket_t;

#define LLM_HINT_BUCKETS  8             /* an answer names six at most */

/* What one answer said about its buckets; feed it header by header. */
typedef struct {
    llm_msec_t  retry_ms;               /* 0: unknown */
    llm_msec_t  retry_at;               /* Retry-After as a date, epoch ms */
    llm_msec_t  date;                   /* Date header, epoch ms */
    uint64_t    remaining_requests;     /* of the bucket with least left; */
    uint64_t    remaining_tokens;       /*   UINT64_MAX: unknown */
    uint64_t    limit_requests;
    uint64_t    limit_tokens;
    llm_msec_t  reset_requests;         /* from now; 0: unknown */
    llm_msec_t  reset_tokens;
    llm_hint_bucket_t  bucket[LLM_HINT_BUCKETS];
    uint32_t    bucket_n;
    unsigned    should_retry:2;         /* x-should-retry: 1 true 2 false */
    unsigned    has_retry_ms:1;         /* came from retry-after-ms: wins */
} llm_hint_t;

void llm_hint_init(llm_hint_t *h);

/* One response header (lower-case name).  `now` is epoch ms. */
void llm_hint_header(llm_hint_t *h, llm_str_t name, llm_str_t value,
    llm_msec_t now);

/* The wait in ms that holds for this answer: retry-after-ms, Retry-After,
 * body_ms (0: none), the reset of the exhausted dimension; clamped to
 * [LLM_HINT_MIN_MS, LLM_HINT_MAX_MS].  0: no usable hint.  Negative, zero and
 * past values count as none. */
llm_msec_t llm_hint_wait(const llm_hint_t *h, llm_msec_t body_ms,
    llm_msec_t now);

/* What is left of the scarcest bucket that told both numbers, in basis points
 * of its limit, and *reset: in how many ms all of it is (0: unknown).
 * UINT32_MAX: no bucket did. */
uint32_t llm_hint_left(const llm_hint_t *h, llm_msec_t now, llm_msec_t *reset);

/* "… try again in 9m38.016s", "retry in 36.2s", "Please wait 20 seconds". */
llm_rc_t llm_hint_sentence(llm_str_t message, llm_msec_t *ms);

/* "Limit 100000, Used 97050, Requested 3619" in any order and spelling
 * (Groq, OpenAI).  LLM_OK when all three were found. */
llm_rc_t llm_hint_quota(llm_str_t message, uint64_t *limit, uint64_t *used,
    uint64_t *requested);

#pragma GCC visibility pop

#endif /* LLM_HINT_H */
