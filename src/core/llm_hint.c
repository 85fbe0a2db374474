/*
 * Wait hints: durations, sentences, and the rate-limit headers.
 *
 * A hint is input from outside.  Whatever is not clearly a positive length of
 * time is no hint at all, and what is one stays between 50 ms and 25 h.
 */

#include "llm_hint.h"

#define LLM_NS_MAX         (1ULL << 62)         /* 146 years: saturated */


typedef struct {
    llm_str_t  name;
    uint64_t   ns;
} llm_hint_unit_t;

typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
} llm_hint_scan_t;


#define llm_s(s)  { sizeof(s) - 1, (const unsigned char *) (s) }

#define LLM_NS  1ULL
#define LLM_US  1000ULL
#define LLM_MS  1000000ULL
#define LLM_SEC 1000000000ULL


/* Go's units, and those of sentences. */
static const llm_hint_unit_t  llm_units[] = {
    { llm_s("ns"), LLM_NS },
    { llm_s("us"), LLM_US },
    { llm_s("\xc2\xb5s"), LLM_US },             /* U+00B5, micro sign */
    { llm_s("\xce\xbcs"), LLM_US },             /* U+03BC, Greek mu */
    { llm_s("ms"), LLM_MS },
    { llm_s("msec"), LLM_MS },
    { llm_s("millisecond"), LLM_MS },
    { llm_s("milliseconds"), LLM_MS },
    { llm_s("s"), LLM_SEC },
    { llm_s("sec"), LLM_SEC },
    { llm_s("secs"), LLM_SEC },
    { llm_s("second"), LLM_SEC },
    { llm_s("seconds"), LLM_SEC },
    { llm_s("m"), 60 * LLM_SEC },
    { llm_s("min"), 60 * LLM_SEC },
    { llm_s("mins"), 60 * LLM_SEC },
    { llm_s("minute"), 60 * LLM_SEC },
    { llm_s("minutes"), 60 * LLM_SEC },
    { llm_s("h"), 3600 * LLM_SEC },
    { llm_s("hr"), 3600 * LLM_SEC },
    { llm_s("hrs"), 3600 * LLM_SEC },
    { llm_s("hour"), 3600 * LLM_SEC },
    { llm_s("hours"), 3600 * LLM_SEC },
    { llm_s("d"), 86400 * LLM_SEC },
    { llm_s("day"), 86400 * LLM_SEC },
    { llm_s("days"), 86400 * LLM_SEC }
};

/* What stands before the length of time in a sentence. */
static const llm_str_t  llm_anchors[] = {
    llm_s("again in"),
    llm_s("again after"),
    llm_s("retry in"),
    llm_s("retry after"),
    llm_s("retry-after"),
    llm_s("retrydelay"),
    llm_s("available in"),
    llm_s("reset in"),
    llm_s("resets in"),
    llm_s("reset after"),
    llm_s("resets after"),
    llm_s("wait")
};

static const llm_str_t  llm_fillers[] = {
    llm_s("for"), llm_s("about"), llm_s("approximately"), llm_s("at least"),
    llm_s("another")
};


static unsigned char
llm_hint_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char) (c | 0x20) : c;
}


static int
llm_hint_is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}


/* Part of a word; bytes of UTF-8 are, for the micro sign. */
static int
llm_hint_is_letter(unsigned char c)
{
    c = llm_hint_lower(c);

    return (c >= 'a' && c <= 'z') || c >= 0x80;
}


/* Whether the text begins with this lower-case word, in any case. */
static int
llm_hint_begins(const llm_hint_scan_t *s, llm_str_t word)
{
    size_t  i;

    if ((size_t) (s->end - s->p) < word.len) {
        return 0;
    }

    for (i = 0; i < word.len; i++) {
        if (llm_hint_lower(s->p[i]) != word.data[i]) {
            return 0;
        }
    }

    return 1;
}


static llm_str_t
llm_hint_trim(llm_str_t s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }

    return s;
}


/* digits [ "." digits ]: whole part and billionths; both saturate. */
static llm_rc_t
llm_hint_number(llm_hint_scan_t *s, uint64_t *whole, uint64_t *nano)
{
    uint64_t  unit;

    if (s->p == s->end || !llm_hint_is_digit(*s->p)) {
        return LLM_BAD;
    }

    for (*whole = 0; s->p < s->end && llm_hint_is_digit(*s->p); s->p++) {
        *whole = *whole < LLM_NS_MAX / 10
                 ? *whole * 10 + (uint64_t) (*s->p - '0') : LLM_NS_MAX;
    }

    *nano = 0;

    if (s->end - s->p < 2 || *s->p != '.' || !llm_hint_is_digit(s->p[1])) {
        return LLM_OK;
    }

    s->p++;

    for (unit = LLM_SEC / 10; s->p < s->end && llm_hint_is_digit(*s->p);
         s->p++, unit /= 10)
    {
        *nano += (uint64_t) (*s->p - '0') * unit;
    }

    return LLM_OK;
}


/* Steps over a unit and returns its length in ns; 0: there is none. */
static uint64_t
llm_hint_unit(llm_hint_scan_t *s)
{
    size_t           i, n;
    llm_hint_scan_t  word;

    for (n = 0; s->p + n < s->end && llm_hint_is_letter(s->p[n]); n++) {
        /* void */
    }

    for (i = 0; i < sizeof(llm_units) / sizeof(llm_units[0]); i++) {
        word = (llm_hint_scan_t) { s->p, s->p + n };

        if (llm_units[i].name.len == n
            && llm_hint_begins(&word, llm_units[i].name))
        {
            s->p += n;
            return llm_units[i].ns;
        }
    }

    return 0;
}


static uint64_t
llm_hint_add(uint64_t sum, uint64_t whole, uint64_t nano, uint64_t unit)
{
    uint64_t  part;

    if (whole > LLM_NS_MAX / unit) {
        return LLM_NS_MAX;
    }

    /* the longest unit times a billionth fits in 64 bits only in two steps */
    part = whole * unit + (unit < LLM_SEC ? nano * unit / LLM_SEC
                                          : nano * (unit / LLM_SEC));

    return part > LLM_NS_MAX - sum ? LLM_NS_MAX : sum + part;
}


/* Rounded up: a wait that is a little too short costs a request. */
static llm_msec_t
llm_hint_ms(uint64_t ns)
{
    return (ns + LLM_MS - 1) / LLM_MS;
}


llm_rc_t
llm_hint_duration(llm_str_t text, llm_msec_t *ms)
{
    uint64_t         ns, unit, whole, nano;
    unsigned         first;
    llm_hint_scan_t  s;

    text = llm_hint_trim(text);

    if (text.len == 0) {
        return LLM_BAD;
    }

    s = (llm_hint_scan_t) { text.data, text.data + text.len };
    ns = 0;

    for (first = 1; s.p < s.end; first = 0) {

        if (llm_hint_number(&s, &whole, &nano) != LLM_OK) {
            return LLM_BAD;
        }

        unit = llm_hint_unit(&s);

        if (unit == 0) {
            if (!first || s.p != s.end) {
                return LLM_BAD;
            }

            unit = LLM_SEC;
        }

        ns = llm_hint_add(ns, whole, nano, unit);
    }

    *ms = llm_hint_ms(ns);

    return LLM_OK;
}


static void
llm_hint_skip(llm_hint_scan_t *s, llm_str_t set)
{
    while (s->p < s->end && memchr(set.data, *s->p, set.len) != NULL) {
        s->p++;
    }
}


/* Whether a number without unit may end here: "in 20." but not "in 20 days" */
static int
llm_hint_ends(const llm_hint_scan_t *s)
{
    llm_hint_scan_t  next;

    if (s->p == s->end) {
        return 1;
    }

    next = *s;

    if (memchr(".,;!)\"'", *s->p, 7) == NULL) {
        return 0;
    }

    next.p++;

    return next.p == next.end || !llm_hint_is_digit(*next.p);
}


/* "9m38.016s", "1 hour, 2 minutes and 3 seconds", "20" */
static llm_rc_t
llm_hint_span(llm_hint_scan_t s, llm_msec_t *ms)
{
    uint64_t         ns, unit, whole, nano;
    unsigned         first;
    llm_hint_scan_t  behind;

    ns = 0;

    for (first = 1; ; first = 0) {

        if (llm_hint_number(&s, &whole, &nano) != LLM_OK) {
            break;
        }

        behind = s;
        llm_hint_skip(&s, LLM_STR(" -"));
        unit = llm_hint_unit(&s);

        if (unit == 0) {
            if (!first) {
                break;
            }

            if (!llm_hint_ends(&behind)) {
                return LLM_BAD;
            }

            *ms = llm_hint_ms(llm_hint_add(0, whole, nano, LLM_SEC));
            return LLM_OK;
        }

        ns = llm_hint_add(ns, whole, nano, unit);

        llm_hint_skip(&s, LLM_STR(" ,"));

        if (llm_hint_begins(&s, LLM_STR("and "))) {
            s.p += 4;
        }
    }

    if (first) {
        return LLM_BAD;
    }

    *ms = llm_hint_ms(ns);

    return LLM_OK;
}


/* Behind an anchor: white space, punctuation and words that say nothing. */
static void
llm_hint_skip_filler(llm_hint_scan_t *s)
{
    size_t  i;

    llm_hint_skip(s, LLM_STR(" :=~\"'"));

    for (i = 0; i < sizeof(llm_fillers) / sizeof(llm_fillers[0]); i++) {
        if (llm_hint_begins(s, llm_fillers[i])) {
            s->p += llm_fillers[i].len;
            llm_hint_skip(s, LLM_STR(" ~"));
        }
    }
}


llm_rc_t
llm_hint_sentence(llm_str_t message, llm_msec_t *ms)
{
    size_t           i;
    llm_hint_scan_t  s, at;

    if (message.len == 0) {
        return LLM_BAD;
    }

    s = (llm_hint_scan_t) { message.data, message.data + message.len };

    for ( /* void */ ; s.p < s.end; s.p++) {

        for (i = 0; i < sizeof(llm_anchors) / sizeof(llm_anchors[0]); i++) {

            if (!llm_hint_begins(&s, llm_anchors[i])) {
                continue;
            }

            at = s;
            at.p += llm_anchors[i].len;
            llm_hint_skip_filler(&at);

            if (llm_hint_span(at, ms) == LLM_OK) {
                return LLM_OK;
            }
        }
    }

    return LLM_BAD;
}


/* The number behind a keyword, thousands separators allowed: "Limit: 30,000" */
static llm_rc_t
llm_hint_count(llm_hint_scan_t s, uint64_t *n)
{
    llm_hint_skip(&s, LLM_STR(" :=\"'`"));

    if (s.p == s.end || !llm_hint_is_digit(*s.p)) {
        return LLM_BAD;
    }

    for (*n = 0; s.p < s.end; s.p++) {

        if (*s.p == ',' && s.end - s.p > 3
            && llm_hint_is_digit(s.p[1]) && llm_hint_is_digit(s.p[2])
            && llm_hint_is_digit(s.p[3])
            && (s.end - s.p == 4 || !llm_hint_is_digit(s.p[4])))
        {
            continue;
        }

        if (!llm_hint_is_digit(*s.p)) {
            break;
        }

        *n = *n < LLM_NS_MAX / 10 ? *n * 10 + (uint64_t) (*s.p - '0')
                                  : LLM_NS_MAX;
    }

    return LLM_OK;
}


/* The first number that stands right behind this word. */
static llm_rc_t
llm_hint_named(llm_str_t message, llm_str_t word, uint64_t *n)
{
    llm_hint_scan_t  s, at;

    s = (llm_hint_scan_t) { message.data, message.data + message.len };

    for ( /* void */ ; s.p < s.end; s.p++) {

        if (!llm_hint_begins(&s, word)
            || (s.p > message.data && llm_hint_is_letter(s.p[-1])))
        {
            continue;
        }

        at = s;
        at.p += word.len;

        if (llm_hint_count(at, n) == LLM_OK) {
            return LLM_OK;
        }
    }

    return LLM_BAD;
}


llm_rc_t
llm_hint_quota(llm_str_t message, uint64_t *limit, uint64_t *used,
    uint64_t *requested)
{
    uint64_t  l, u, r;

    if (message.len == 0
        || llm_hint_named(message, LLM_STR("limit"), &l) != LLM_OK
        || llm_hint_named(message, LLM_STR("requested"), &r) != LLM_OK
        || (llm_hint_named(message, LLM_STR("used"), &u) != LLM_OK
            && llm_hint_named(message, LLM_STR("current"), &u) != LLM_OK))
    {
        return LLM_BAD;
    }

    *limit = l;
    *used = u;
    *requested = r;

    return LLM_OK;
}
