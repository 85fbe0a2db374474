/*
 * From a model's words to the one JSON object in them.
 *
 * Models wrap an object in a code fence or in a polite sentence.  Cutting that
 * off is safe, mending the object is not: what stands between its braces is
 * returned as it came, or not at all.  Whenever two readings are possible (two
 * objects, an object inside a broken one or inside an array) the answer is
 * refused, because half of it would look like all of it.
 */

#include "llm_prompt.h"

typedef struct {
    llm_str_t     found;
    size_t        n;                    /* objects found */
    const char   *why;                  /* not NULL: give up */
} llm_unwrap_t;


static int
llm_unwrap_space(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}


static llm_str_t
llm_unwrap_trim(llm_str_t s)
{
    while (s.len && llm_unwrap_space(*s.data)) {
        s.data++;
        s.len--;
    }

    while (s.len && llm_unwrap_space(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


/* The text from "{" at s.data to the "}" that closes it, by counting braces
 * outside of strings.  *plain: it has neither strings nor braces inside. */
static llm_rc_t
llm_unwrap_span(llm_str_t s, llm_str_t *span, int *plain)
{
    int     string;
    size_t  i, depth;

    string = 0;
    depth = 0;
    *plain = 1;

    for (i = 0; i < s.len; i++) {

        if (string) {
            if (s.data[i] == '\\') {
                i++;
            } else if (s.data[i] == '"') {
                string = 0;
            }
            continue;
        }

        switch (s.data[i]) {
        case '"':
            string = 1;
            *plain = 0;
            break;
        case '{':
            if (depth++) {
                *plain = 0;
            }
            break;
        case '}':
            if (--depth == 0) {
                span->data = s.data;
                span->len = i + 1;
                return LLM_OK;
            }
            break;
        default:
            break;
        }
    }

    return LLM_AGAIN;
}


/* What to make of the "{" at s.data.  Returns the bytes to step over. */
static size_t
llm_unwrap_brace(llm_unwrap_t *u, llm_str_t s)
{
    int        plain;
    llm_str_t  span;

    if (llm_unwrap_span(s, &span, &plain) != LLM_OK) {
        u->why = "truncated";
        return s.len;
    }

    if (llm_json_check(span) == LLM_OK) {
        if (u->n++) {
            u->why = "two objects";
        }
        u->found = span;

    } else if (!plain) {
        u->why = "not JSON";
    }

    return span.len;
}


/*
 * Walks over the chatter.  An object behind a "[" that is still open is an
 * element of something larger and not the answer.
 */
static void
llm_unwrap_search(llm_unwrap_t *u, llm_str_t text)
{
    size_t  i, open;

    open = 0;

    for (i = 0; i < text.len && u->why == NULL; /* void */) {

        switch (text.data[i]) {

        case '{':
            i += llm_unwrap_brace(u, (llm_str_t) { text.len - i,
                                                   text.data + i });
            if (u->n && open && u->why == NULL) {
                u->why = "an array, not an object";
            }
            continue;

        case '[':
            open++;
            break;

        case ']':
            if (open) {
                open--;
            }
            break;

        default:
            break;
        }

        i++;
    }
}


/* Why a text that is not one object is refused when nothing may be repaired. */
static const char *
llm_unwrap_reason(llm_str_t text, llm_rc_t rc)
{
    int        plain;
    llm_str_t  span;

    if (rc == LLM_OK) {
        return *text.data == '[' ? "an array, not an object"
                                 : "not an object";
    }

    if (*text.data != '{') {
        return "not JSON";
    }

    if (rc == LLM_AGAIN) {
        return "truncated";
    }

    if (llm_unwrap_span(text, &span, &plain) == LLM_OK && span.len < text.len
        && llm_json_check(span) == LLM_OK)
    {
        text.data += span.len;
        text.len -= span.len;
        text = llm_unwrap_trim(text);
        return *text.data == '{' ? "two objects" : "text behind the object";
    }

    return "not JSON";
}


llm_rc_t
llm_answer_unwrap(llm_str_t text, int repair, llm_unwrapped_t *out,
    const char **why)
{
    llm_rc_t      rc;
    llm_str_t     inner;
    llm_unwrap_t  u;

    inner = llm_unwrap_trim(text);

    if (inner.len == 0) {
        *why = "empty";
        return LLM_BAD;
    }

    rc = llm_json_check(inner);

    if (rc == LLM_OK && *inner.data == '{') {
        out->json = inner;
        out->repaired = 0;
        return LLM_OK;
    }

    if (!repair || rc == LLM_OK) {
        *why = llm_unwrap_reason(inner, rc);
        return LLM_BAD;
    }

    memset(&u, 0, sizeof(u));
    llm_unwrap_search(&u, inner);

    if (u.why == NULL && u.n == 0) {
        u.why = "not JSON";
    }

    if (u.why) {
        *why = u.why;
        return LLM_BAD;
    }

    out->json = u.found;
    out->repaired = 1;

    return LLM_OK;
}
