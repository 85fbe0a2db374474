/*
 * Wait hints: whatever a provider sends, nothing behind it is read, a wait is
 * none or lies between its bounds, and the order of headers does not matter
 * where it must not.
 */

#include <stdlib.h>

#include "llm_hint.h"

#define MUST(condition)  if (!(condition)) abort()
#define NOW  1795168800000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const  names[] = {
    "retry-after", "retry-after-ms", "date", "x-should-retry",
    "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
    "x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens", "x-ratelimit-limit-tokens", "x-ratelimit-reset",
    "x-ratelimit-remaining", "ratelimit-reset", "ratelimit-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-priority-input-tokens-reset", "server",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining"
};


static void
try_texts(llm_str_t s)
{
    uint64_t    limit, used, requested;
    llm_msec_t  ms, again;

    if (llm_hint_duration(s, &ms) == LLM_OK) {
        MUST(ms <= (1ULL << 62) / 1000000 + 1);
        MUST(llm_hint_duration(s, &again) == LLM_OK && again == ms);
    }

    if (llm_hint_http_date(s, &ms) == LLM_OK) {
        MUST(ms % 1000 == 0 && ms < 253402300800000ULL + 1000);
    }

    if (llm_hint_rfc3339(s, &ms) == LLM_OK) {
        MUST(ms < 253402300800000ULL + 2 * 86400000);
    }

    if (llm_hint_sentence(s, &ms) == LLM_OK) {
        MUST(ms <= (1ULL << 62) / 1000000 + 1);
    }

    (void) llm_hint_quota(s, &limit, &used, &requested);
}


/* The input as lines: the first byte of each names the header, or, when it is
 * no small number, the line is "name:value" by itself. */
static void
try_headers(llm_str_t s)
{
    size_t       i, start, colon;
    llm_str_t    name, value;
    llm_hint_t   h;
    uint32_t     left;
    llm_msec_t   ms;

    llm_hint_init(&h);

    for (start = 0; start < s.len; start = i + 1) {

        for (i = start; i < s.len && s.data[i] != '\n'; i++) { /* void */ }

        if (i == start) {
            continue;
        }

        if (s.data[start] < sizeof(names) / sizeof(names[0])) {
            name.data = (const unsigned char *) names[s.data[start]];
            name.len = strlen(names[s.data[start]]);
            colon = start;

        } else {
            for (colon = start; colon < i && s.data[colon] != ':'; colon++) {
                /* void */
            }

            if (colon == i) {
                continue;
            }

            name = (llm_str_t) { colon - start, s.data + start };
        }

        value = (llm_str_t) { i - colon - 1, s.data + colon + 1 };
        llm_hint_header(&h, name, value, NOW);
    }

    MUST(h.bucket_n <= LLM_HINT_BUCKETS);

    ms = llm_hint_wait(&h, s.len, NOW);
    MUST(ms == 0 || (ms >= LLM_HINT_MIN_MS && ms <= LLM_HINT_MAX_MS));
    MUST(ms != 0 || s.len == 0);

    left = llm_hint_left(&h, NOW, &ms);
    MUST(left <= 10000 || (left == UINT32_MAX && ms == 0));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_str_t  s;

    s = (llm_str_t) { size, data };

    try_texts(s);
    try_headers(s);

    return 0;
}
