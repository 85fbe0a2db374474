/*
 * The parts of a multipart/form-data body.
 *
 * The gateway decides by what it reads here, and the provider reads the same
 * bytes with a parser of its own.  Whatever two parsers could understand
 * differently (text around the parts, a boundary with something behind it,
 * escapes in a name, a header twice) is therefore refused, not guessed at.
 */

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "llm_multipart.h"

#define LLM_MULTIPART_BOUNDARY  70
#define LLM_MULTIPART_HEADER    8192    /* all header lines of one part */


/* What is read of a part's header; views of the body. */
typedef struct {
    llm_str_t    disposition;
    llm_str_t    type;
    const char  *what;
} llm_multipart_header_t;


static unsigned char
llm_multipart_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char) (c | 0x20) : c;
}


/* Whether s is this word, in any case; the word is lower case. */
static int
llm_multipart_is(llm_str_t s, const char *word)
{
    size_t  i;

    for (i = 0; i < s.len && word[i]; i++) {
        if (llm_multipart_lower(s.data[i]) != (unsigned char) word[i]) {
            return 0;
        }
    }

    return i == s.len && word[i] == '\0';
}


static llm_str_t
llm_multipart_trim(llm_str_t s)
{
    while (s.len && (*s.data == ' ' || *s.data == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len
           && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
    {
        s.len--;
    }

    return s;
}


/* Cuts the text before c off *s; without c that is all of it. */
static llm_str_t
llm_multipart_before(llm_str_t *s, unsigned char c)
{
    llm_str_t             head;
    const unsigned char  *p;

    head = *s;
    p = s->len ? memchr(s->data, c, s->len) : NULL;

    if (p == NULL) {
        s->data += s->len;
        s->len = 0;
        return head;
    }

    head.len = (size_t) (p - s->data);
    s->data = p + 1;
    s->len -= head.len + 1;

    return head;
}


/*
 * The next "name=value" of a header's parameters, *s being at what follows a
 * semicolon.  The value is raw: between its quotes, a backslash kept with what
 * it stands before.  LLM_OK, LLM_NONE at the end, LLM_BAD.
 */
static llm_rc_t
llm_multipart_param(llm_str_t *s, llm_str_t *name, llm_str_t *value)
{
    size_t  i;

    *s = llm_multipart_trim(*s);
    if (s->len == 0) {
        return LLM_NONE;
    }

    i = 0;
    while (i < s->len && s->data[i] != '=' && s->data[i] != ';'
           && s->data[i] != '"')
    {
        i++;
    }

    if (i == s->len || s->data[i] != '=') {
        return LLM_BAD;
    }

    *name = llm_multipart_trim(llm_multipart_before(s, '='));
    *s = llm_multipart_trim(*s);

    if (s->len == 0 || *s->data != '"') {
        *value = llm_multipart_trim(llm_multipart_before(s, ';'));
        return name->len && !memchr(value->data, '"', value->len) ? LLM_OK
                                                                  : LLM_BAD;
    }

    for (i = 1; i < s->len && s->data[i] != '"'; i++) {
        if (s->data[i] == '\\') {
            i++;
        }
    }

    if (i >= s->len || name->len == 0) {
        return LLM_BAD;
    }

    value->data = s->data + 1;
    value->len = i - 1;

    s->data += i + 1;
    s->len -= i + 1;

    return llm_multipart_trim(llm_multipart_before(s, ';')).len == 0 ? LLM_OK
                                                                     : LLM_BAD;
}


llm_rc_t
llm_multipart_boundary(llm_str_t content_type, llm_str_t *boundary)
{
    llm_rc_t   rc;
    llm_str_t  name, value, found;

    if (content_type.len == 0) {
        return LLM_NONE;
    }

    if (!llm_multipart_is(
            llm_multipart_trim(llm_multipart_before(&content_type, ';')),
            "multipart/form-data"))
    {
        return LLM_NONE;
    }

    found = LLM_NOSTR;

    while ((rc = llm_multipart_param(&content_type, &name, &value)) == LLM_OK) {
        if (llm_multipart_is(name, "boundary")) {
            if (found.data) {
                return LLM_BAD;
            }
            found = value;
        }
    }

    if (rc == LLM_BAD || found.len == 0 || found.len > LLM_MULTIPART_BOUNDARY
        || found.data[found.len - 1] == ' '
        || memchr(found.data, '\\', found.len))
    {
        return LLM_BAD;
    }

    *boundary = found;

    return LLM_OK;
}


/* The next CRLF "--" at or behind p, or NULL. */
static const unsigned char *
llm_multipart_dashes(const unsigned char *p, const unsigned char *end)
{
#if defined(__SSE2__)
    int      bits;
    __m128i  m;

    const __m128i  cr = _mm_set1_epi8('\r');
    const __m128i  lf = _mm_set1_epi8('\n');
    const __m128i  dash = _mm_set1_epi8('-');

#define LLM_MULTIPART_AT(n, c)                                                \
    _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *) (const void *)           \
                                   (p + (n))), c)

    /* four views of 16 bytes, each one byte further */

    for (; end - p >= 19; p += 16) {
        m = _mm_and_si128(_mm_and_si128(LLM_MULTIPART_AT(0, cr),
                                        LLM_MULTIPART_AT(1, lf)),
                          _mm_and_si128(LLM_MULTIPART_AT(2, dash),
                                        LLM_MULTIPART_AT(3, dash)));
        bits = _mm_movemask_epi8(m);
        if (bits) {
            return p + __builtin_ctz((unsigned) bits);
        }
    }

#undef LLM_MULTIPART_AT
#endif

    while (end - p >= 4) {
        p = memchr(p, '\r', (size_t) (end - p) - 3);
        if (p == NULL || memcmp(p, "\r\n--", 4) == 0) {
            return p;
        }
        p++;
    }

    return NULL;
}


/* The next CRLF "--boundary" at or behind p, or NULL. */
static const unsigned char *
llm_multipart_delimiter(const unsigned char *p, const unsigned char *end,
    llm_str_t boundary)
{
    for ( ;; ) {
        p = llm_multipart_dashes(p, end);

        if (p == NULL || (size_t) (end - p) < boundary.len + 4) {
            return NULL;
        }

        if (memcmp(p + 4, boundary.data, boundary.len) == 0) {
            return p;
        }

        p += 4;
    }
}


static llm_rc_t
llm_multipart_line(llm_str_t line, llm_multipart_header_t *h)
{
    llm_str_t  name, *keep;

    if (line.len && (*line.data == ' ' || *line.data == '\t')) {
        h->what = "a folded part header";
        return LLM_BAD;
    }

    if (memchr(line.data, ':', line.len) == NULL
        || memchr(line.data, '\n', line.len)
        || memchr(line.data, '\r', line.len)
        || memchr(line.data, '\0', line.len))
    {
        h->what = "a malformed part header";
        return LLM_BAD;
    }

    name = llm_multipart_before(&line, ':');

    if (llm_multipart_is(name, "content-disposition")) {
        keep = &h->disposition;

    } else if (llm_multipart_is(name, "content-type")) {
        keep = &h->type;

    } else {
        return LLM_OK;
    }

    if (keep->data) {
        h->what = "a part header that stands twice";
        return LLM_BAD;
    }

    *keep = llm_multipart_trim(line);

    return LLM_OK;
}


static llm_rc_t
llm_multipart_disposition(llm_str_t s, llm_part_t *part, const char **what)
{
    llm_rc_t   rc;
    llm_str_t  name, value, *keep;

    *what = "a part without a name";

    if (s.len == 0) {
        return LLM_BAD;
    }

    if (!llm_multipart_is(llm_multipart_trim(llm_multipart_before(&s, ';')),
                          "form-data"))
    {
        return LLM_BAD;
    }

    while ((rc = llm_multipart_param(&s, &name, &value)) == LLM_OK) {

        keep = llm_multipart_is(name, "name") ? &part->name
               : llm_multipart_is(name, "filename") ? &part->filename : NULL;

        if (keep == NULL) {
            if (llm_multipart_is(name, "name*")) {
                *what = "a part name in an extended form";
                return LLM_BAD;
            }
            continue;
        }

        if (keep->data) {
            *what = "a parameter of a part header that stands twice";
            return LLM_BAD;
        }

        *keep = value;
    }

    if (rc == LLM_BAD) {
        *what = "a malformed part header";
        return LLM_BAD;
    }

    if (part->name.len && memchr(part->name.data, '\\', part->name.len)) {
        *what = "a backslash in a part name";
        return LLM_BAD;
    }

    return part->name.len ? LLM_OK : LLM_BAD;
}


/* Reads the header lines at p; part->body is the offset behind them. */
static llm_rc_t
llm_multipart_header(llm_str_t body, size_t p, llm_part_t *part,
    const char **what)
{
    size_t                  max;
    llm_str_t               line;
    const unsigned char    *at, *cr, *end;
    llm_multipart_header_t  h;

    h.disposition = LLM_NOSTR;
    h.type = LLM_NOSTR;

    max = body.len - p;
    max = max < LLM_MULTIPART_HEADER ? max : LLM_MULTIPART_HEADER;
    at = body.data + p;
    end = at + max;

    for ( ;; ) {
        cr = at;

        do {
            cr = memchr(cr, '\n', (size_t) (end - cr));
            if (cr == NULL) {
                *what = max == LLM_MULTIPART_HEADER ? "an over-long part header"
                                                    : "an unterminated body";
                return LLM_BAD;
            }
            cr++;
        } while (cr - at < 2 || cr[-2] != '\r');

        line.data = at;
        line.len = (size_t) (cr - at) - 2;
        at = cr;

        if (line.len == 0) {
            break;
        }

        if (llm_multipart_line(line, &h) != LLM_OK) {
            *what = h.what;
            return LLM_BAD;
        }
    }

    part->name = LLM_NOSTR;
    part->filename = LLM_NOSTR;
    part->type = h.type;
    part->body = (size_t) (at - body.data);

    return llm_multipart_disposition(h.disposition, part, what);
}


/*
 * What stands behind a boundary: LLM_OK when a part begins, at *p; LLM_NONE
 * when the body ends; or LLM_BAD.
 */
static llm_rc_t
llm_multipart_behind(llm_str_t body, size_t *p, const char **what)
{
    size_t  at;

    at = *p;

    if (body.len - at >= 2 && memcmp(body.data + at, "--", 2) == 0) {
        for (at += 2; at < body.len; at++) {
            if (!memchr(" \t\r\n", body.data[at], 4)) {
                *what = "text behind the closing boundary";
                return LLM_BAD;
            }
        }
        return LLM_NONE;
    }

    while (at < body.len && (body.data[at] == ' ' || body.data[at] == '\t')) {
        at++;
    }

    if (body.len - at < 2) {
        *what = "an unterminated body";
        return LLM_BAD;
    }

    if (memcmp(body.data + at, "\r\n", 2) != 0) {
        *what = "text behind a boundary";
        return LLM_BAD;
    }

    *p = at + 2;

    return LLM_OK;
}


/* The first "--boundary": at the very start, or behind line ends only. */
static llm_rc_t
llm_multipart_first(llm_str_t body, llm_str_t boundary, size_t *start,
    const char **what)
{
    size_t  at;

    at = 0;
    while (body.len - at >= 2 && memcmp(body.data + at, "\r\n", 2) == 0) {
        at += 2;
    }

    if (body.len - at < boundary.len + 2
        || memcmp(body.data + at, "--", 2) != 0
        || memcmp(body.data + at + 2, boundary.data, boundary.len) != 0)
    {
        *what = "a body that does not begin with its boundary";
        return LLM_BAD;
    }

    *start = at;

    return LLM_OK;
}


llm_rc_t
llm_multipart_index(llm_str_t body, llm_str_t boundary, llm_part_t *part,
    size_t cap, size_t *part_n, size_t *close_at, const char **what)
{
    size_t                n, start, p;
    llm_rc_t              rc;
    llm_part_t            one;
    const unsigned char  *end, *at;

    if (body.len == 0 || boundary.len == 0) {
        *what = "an empty body";
        return LLM_BAD;
    }

    if (llm_multipart_first(body, boundary, &start, what) != LLM_OK) {
        return LLM_BAD;
    }

    end = body.data + body.len;

    for (n = 0; /* void */ ; n++) {
        p = start + 2 + boundary.len;

        rc = llm_multipart_behind(body, &p, what);
        if (rc == LLM_NONE) {
            *part_n = n;
            *close_at = start;
            return LLM_OK;
        }

        if (rc == LLM_OK) {
            rc = llm_multipart_header(body, p, &one, what);
        }

        if (rc != LLM_OK) {
            return rc;
        }

        if (n == cap) {
            *what = "too many parts";
            return LLM_FULL;
        }

        /* the line end of an empty part can be that of its header */

        at = llm_multipart_delimiter(body.data + one.body - 2, end, boundary);
        if (at == NULL) {
            *what = "an unterminated body";
            return LLM_BAD;
        }

        one.start = start;
        one.end = (size_t) (at - body.data) + 2;
        one.body_end = one.end - 2 < one.body ? one.body : one.end - 2;

        part[n] = one;
        start = one.end;
    }
}


const llm_part_t *
llm_multipart_find(const llm_part_t *part, size_t part_n, llm_str_t name)
{
    size_t  i;

    for (i = 0; i < part_n; i++) {
        if (llm_str_eq(part[i].name, name)) {
            return &part[i];
        }
    }

    return NULL;
}


size_t
llm_multipart_count(const llm_part_t *part, size_t part_n, llm_str_t name)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < part_n; i++) {
        n += (size_t) llm_str_eq(part[i].name, name);
    }

    return n;
}
