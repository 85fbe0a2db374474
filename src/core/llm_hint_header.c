/*
 * The rate-limit headers of one answer, and the wait that follows from them.
 *
 * Providers name several buckets (requests, tokens, input tokens, a project's
 * own …) and each has its own reset: only the reset of an empty one is a reason
 * to wait.  Times by the provider's clock are compared with its Date header.
 */

#include "llm_hint.h"

#define LLM_HINT_EPOCH_S   1000000000ULL        /* numbers by magnitude */
#define LLM_HINT_EPOCH_MS  100000000000ULL

#define LLM_HINT_WHOLE     10000        /* basis points */


typedef enum {
    LLM_HINT_LIMIT, LLM_HINT_REMAINING, LLM_HINT_RESET, LLM_HINT_OTHER
} llm_hint_what_t;


void
llm_hint_init(llm_hint_t *h)
{
    memset(h, 0, sizeof(*h));

    h->remaining_requests = UINT64_MAX;
    h->remaining_tokens = UINT64_MAX;
    h->limit_requests = UINT64_MAX;
    h->limit_tokens = UINT64_MAX;
}


static int
llm_hint_cut_prefix(llm_str_t *s, llm_str_t prefix)
{
    if (s->len < prefix.len || memcmp(s->data, prefix.data, prefix.len) != 0) {
        return 0;
    }

    s->data += prefix.len;
    s->len -= prefix.len;

    return 1;
}


static int
llm_hint_cut_suffix(llm_str_t *s, llm_str_t suffix)
{
    if (s->len < suffix.len
        || memcmp(s->data + s->len - suffix.len, suffix.data, suffix.len) != 0)
    {
        return 0;
    }

    s->len -= suffix.len;

    return 1;
}


static int
llm_hint_contains(llm_str_t s, llm_str_t word)
{
    size_t  i;

    for (i = 0; i + word.len <= s.len; i++) {
        if (memcmp(s.data + i, word.data, word.len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* "x-ratelimit-reset-tokens" and "anthropic-ratelimit-tokens-reset" to what is
 * said, and in *name of which bucket. */
static llm_hint_what_t
llm_hint_what(llm_str_t *name)
{
    llm_str_t  s;

    s = *name;

    if (llm_hint_cut_prefix(&s, LLM_STR("anthropic-"))) {

        if (!llm_hint_contains(s, LLM_STR("ratelimit"))
            && !llm_hint_cut_prefix(&s, LLM_STR("priority-")))
        {
            return LLM_HINT_OTHER;
        }

        *name = s;

        if (llm_hint_cut_suffix(name, LLM_STR("-limit"))) {
            return LLM_HINT_LIMIT;
        }

        if (llm_hint_cut_suffix(name, LLM_STR("-remaining"))) {
            return LLM_HINT_REMAINING;
        }

        return llm_hint_cut_suffix(name, LLM_STR("-reset")) ? LLM_HINT_RESET
                                                            : LLM_HINT_OTHER;
    }

    (void) llm_hint_cut_prefix(&s, LLM_STR("x-"));

    if (!llm_hint_cut_prefix(&s, LLM_STR("ratelimit-"))) {
        return LLM_HINT_OTHER;
    }

    *name = s;

    if (llm_hint_cut_prefix(name, LLM_STR("limit"))) {
        return LLM_HINT_LIMIT;
    }

    if (llm_hint_cut_prefix(name, LLM_STR("remaining"))) {
        return LLM_HINT_REMAINING;
    }

    return llm_hint_cut_prefix(name, LLM_STR("reset")) ? LLM_HINT_RESET
                                                       : LLM_HINT_OTHER;
}


/* The bucket of that name; NULL when there are too many. */
static llm_hint_bucket_t *
llm_hint_bucket(llm_hint_t *h, llm_str_t name)
{
    size_t              i;
    uint32_t            hash;
    llm_hint_bucket_t  *b;

    hash = 2166136261U;                 /* FNV-1a */

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ name.data[i]) * 16777619U;
    }

    for (i = 0; i < h->bucket_n; i++) {
        if (h->bucket[i].name == hash) {
            return &h->bucket[i];
        }
    }

    if (h->bucket_n == LLM_HINT_BUCKETS) {
        return NULL;
    }

    b = &h->bucket[h->bucket_n++];

    b->name = hash;
    b->tokens = (uint32_t) llm_hint_contains(name, LLM_STR("token"));
    b->remaining = UINT64_MAX;
    b->limit = UINT64_MAX;
    b->reset = 0;
    b->at = 0;

    return b;
}


static llm_rc_t
llm_hint_integer(llm_str_t s, uint64_t *n)
{
    size_t  i;

    if (s.len == 0) {
        return LLM_BAD;
    }

    for (*n = 0, i = 0; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return LLM_BAD;
        }

        /* UINT64_MAX means unknown */
        *n = *n < UINT64_MAX / 20 ? *n * 10 + (uint64_t) (s.data[i] - '0')
                                  : UINT64_MAX / 2;
    }

    return LLM_OK;
}


/* A reset in one of its forms: from now, or at a point in time. */
static llm_rc_t
llm_hint_moment(llm_str_t s, llm_msec_t *reset, llm_msec_t *at)
{
    uint64_t  n;

    *reset = 0;
    *at = 0;

    if (llm_hint_integer(s, &n) == LLM_OK) {

        if (n > LLM_HINT_EPOCH_MS) {
            *at = n;

        } else if (n > LLM_HINT_EPOCH_S) {
            *at = n * 1000;

        } else {
            *reset = n * 1000;
        }

        return LLM_OK;
    }

    if (llm_hint_duration(s, reset) == LLM_OK
        || llm_hint_rfc3339(s, at) == LLM_OK)
    {
        return LLM_OK;
    }

    return llm_hint_http_date(s, at);
}


/* From now until `at` by the provider's clock; 0: past. */
static llm_msec_t
llm_hint_until(const llm_hint_t *h, llm_msec_t at, llm_msec_t now)
{
    llm_msec_t  clock;

    clock = h->date ? h->date : now;

    return at > clock ? at - clock : 0;
}


static llm_msec_t
llm_hint_bucket_reset(const llm_hint_t *h, const llm_hint_bucket_t *b,
    llm_msec_t now)
{
    return b->at ? llm_hint_until(h, b->at, now) : b->reset;
}


/* Sums the buckets up: the one with least left speaks for its kind. */
static void
llm_hint_sum_up(llm_hint_t *h, llm_msec_t now)
{
    size_t                    i;
    const llm_hint_bucket_t  *b, *least[2];

    least[0] = least[1] = NULL;

    for (i = 0; i < h->bucket_n; i++) {
        b = &h->bucket[i];

        if (least[b->tokens] == NULL
            || b->remaining < least[b->tokens]->remaining)
        {
            least[b->tokens] = b;
        }
    }

    if (least[0]) {
        h->remaining_requests = least[0]->remaining;
        h->limit_requests = least[0]->limit;
        h->reset_requests = llm_hint_bucket_reset(h, least[0], now);
    }

    if (least[1]) {
        h->remaining_tokens = least[1]->remaining;
        h->limit_tokens = least[1]->limit;
        h->reset_tokens = llm_hint_bucket_reset(h, least[1], now);
    }
}


static void
llm_hint_rate_limit(llm_hint_t *h, llm_str_t name, llm_str_t value,
    llm_msec_t now)
{
    uint64_t            n;
    llm_msec_t          reset, at;
    llm_hint_what_t     what;
    llm_hint_bucket_t  *b;

    what = llm_hint_what(&name);

    if (what == LLM_HINT_OTHER) {
        return;
    }

    if (what == LLM_HINT_RESET) {
        if (llm_hint_moment(value, &reset, &at) != LLM_OK) {
            return;
        }

        b = llm_hint_bucket(h, name);
        if (b == NULL) {
            return;
        }

        b->reset = reset;
        b->at = at;

    } else {
        if (llm_hint_integer(value, &n) != LLM_OK) {
            return;
        }

        b = llm_hint_bucket(h, name);
        if (b == NULL) {
            return;
        }

        if (what == LLM_HINT_LIMIT) {
            b->limit = n;

        } else {
            b->remaining = n;
        }
    }

    llm_hint_sum_up(h, now);
}


void
llm_hint_header(llm_hint_t *h, llm_str_t name, llm_str_t value, llm_msec_t now)
{
    llm_msec_t  ms, at;

    while (value.len && value.data[0] == ' ') {
        value.data++;
        value.len--;
    }

    while (value.len && value.data[value.len - 1] == ' ') {
        value.len--;
    }

    if (llm_str_eq(name, LLM_STR("retry-after"))) {

        if (llm_hint_moment(value, &ms, &at) == LLM_OK) {
            h->retry_at = at;

            if (ms && !h->has_retry_ms) {
                h->retry_ms = ms;
            }
        }

    } else if (llm_str_eq(name, LLM_STR("retry-after-ms"))) {

        /* a bare number: read as seconds, it is a thousand times too long */
        if (value.len && value.data[value.len - 1] >= '0'
            && value.data[value.len - 1] <= '9'
            && llm_hint_duration(value, &ms) == LLM_OK
            && ms > 0)
        {
            h->retry_ms = (ms + 999) / 1000;
            h->has_retry_ms = 1;
        }

    } else if (llm_str_eq(name, LLM_STR("date"))) {

        if (llm_hint_http_date(value, &at) == LLM_OK) {
            h->date = at;
        }

    } else if (llm_str_eq(name, LLM_STR("x-should-retry"))) {

        h->should_retry = llm_str_eq(value, LLM_STR("true")) ? 1
                          : llm_str_eq(value, LLM_STR("false")) ? 2 : 0;

    } else {
        llm_hint_rate_limit(h, name, value, now);
    }
}


/* The reset of the empty buckets: all of them must have something again. */
static llm_msec_t
llm_hint_empty_reset(const llm_hint_t *h, llm_msec_t now)
{
    size_t      i;
    llm_msec_t  ms, longest;

    longest = 0;

    for (i = 0; i < h->bucket_n; i++) {

        if (h->bucket[i].remaining == 0) {
            ms = llm_hint_bucket_reset(h, &h->bucket[i], now);
            longest = ms > longest ? ms : longest;
        }
    }

    return longest;
}


llm_msec_t
llm_hint_wait(const llm_hint_t *h, llm_msec_t body_ms, llm_msec_t now)
{
    llm_msec_t  ms;

    ms = h->retry_ms;

    if (ms == 0 && h->retry_at) {
        ms = llm_hint_until(h, h->retry_at, now);
    }

    if (ms == 0) {
        ms = body_ms;
    }

    if (ms == 0) {
        ms = llm_hint_empty_reset(h, now);
    }

    if (ms == 0) {
        return 0;
    }

    if (ms < LLM_HINT_MIN_MS) {
        return LLM_HINT_MIN_MS;
    }

    return ms < LLM_HINT_MAX_MS ? ms : LLM_HINT_MAX_MS;
}


uint32_t
llm_hint_left(const llm_hint_t *h, llm_msec_t now, llm_msec_t *reset)
{
    size_t                    i;
    uint32_t                  least, left;
    uint64_t                  part, whole;
    const llm_hint_bucket_t  *b;

    least = UINT32_MAX;
    *reset = 0;

    for (i = 0; i < h->bucket_n; i++) {
        b = &h->bucket[i];

        if (b->remaining == UINT64_MAX || b->limit == UINT64_MAX
            || b->limit == 0)
        {
            continue;
        }

        part = b->remaining < b->limit ? b->remaining : b->limit;
        whole = b->limit;

        if (whole > UINT64_MAX / LLM_HINT_WHOLE) {
            part /= LLM_HINT_WHOLE;
            whole /= LLM_HINT_WHOLE;
        }

        left = (uint32_t) (part * LLM_HINT_WHOLE / whole);

        if (left < least) {
            least = left;
            *reset = llm_hint_bucket_reset(h, b, now);
        }
    }

    return least;
}
