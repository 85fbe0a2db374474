/*
 * Prompt templates: literal text with members of the client's JSON body.
 *
 * A template is cut into pieces once, when the configuration is read.
 * Rendering goes over the pieces and never over what it has inserted, so a
 * client cannot write placeholders into a prompt, and everything is escaped on
 * its way, so it cannot write JSON into the request either.
 */

#include "llm_prompt.h"

#define LLM_TEMPLATE_ESCAPE_MAX  12     /* a surrogate pair: \ud83d\ude00 */


static int
llm_template_name_byte(unsigned char c, int first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'
           || c >= 0x80
           || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}


/* Whether every ~ of a pointer is one of the two escapes there are. */
static int
llm_template_pointer_good(llm_str_t pointer)
{
    size_t  i;

    for (i = 0; i < pointer.len; i++) {
        if (pointer.data[i] == '~'
            && (i + 1 == pointer.len
                || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1')))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * A placeholder at p, which is at a "{".  Returns the place behind its "}" and
 * sets *name, or NULL when the brace is literal.
 */
static const unsigned char *
llm_template_placeholder(const unsigned char *p, const unsigned char *end,
    llm_str_t *name)
{
    int                   pointer;
    const unsigned char  *start;

    start = ++p;
    pointer = p < end && *p == '/';

    while (p < end && *p != '}') {
        if (pointer ? (*p < 0x20 || *p == '{')
                    : !llm_template_name_byte(*p, p == start))
        {
            return NULL;
        }
        p++;
    }

    if (p == end || p == start) {
        return NULL;
    }

    name->data = start;
    name->len = (size_t) (p - start);

    return p + 1;
}


/* Ends the piece that began at mem->start + from. */
static llm_rc_t
llm_template_add(llm_template_t *t, size_t cap, size_t *n, llm_buf_t *mem,
    size_t *from, llm_str_t name)
{
    size_t        now;
    llm_piece_t  *piece;

    if (t->piece) {
        if (*n == cap) {
            return LLM_FULL;
        }

        now = (size_t) (mem->pos - mem->start);
        piece = &t->piece[*n];
        piece->text.data = mem->start + *from;
        piece->text.len = now - *from;
        piece->name = name;
        *from = now;
    }

    (*n)++;

    return LLM_OK;
}


llm_rc_t
llm_template_compile(llm_str_t text, int members, llm_template_t *t,
    llm_buf_t *mem)
{
    size_t                n, from, literal;
    llm_rc_t              rc;
    llm_str_t             name;
    const unsigned char  *p, *end, *next;

    n = 0;
    from = t->piece ? (size_t) (mem->pos - mem->start) : 0;
    literal = 0;
    p = text.data;
    end = text.len ? p + text.len : p;

    while (p < end) {

        next = NULL;

        if (*p == '{' && members) {
            next = llm_template_placeholder(p, end, &name);
        }

        if (next) {
            if (name.data[0] == '/' && !llm_template_pointer_good(name)) {
                return LLM_BAD;
            }

            rc = llm_template_add(t, t->n, &n, mem, &from, name);
            if (rc != LLM_OK) {
                return rc;
            }

            literal = 0;
            p = next;
            continue;
        }

        if (t->piece) {
            llm_buf_put(mem, p, 1);
        }

        literal = 1;
        p += (members && *p == '{' && end - p > 1 && p[1] == '{') ? 2 : 1;
    }

    if (literal) {
        rc = llm_template_add(t, t->n, &n, mem, &from, LLM_NOSTR);
        if (rc != LLM_OK) {
            return rc;
        }
    }

    t->n = n;

    return t->piece && mem->full ? LLM_FULL : LLM_OK;
}


/* How many bytes of [p, end) are the escape at p. */
static size_t
llm_template_escape(const unsigned char *p, const unsigned char *end)
{
    size_t  n;

    n = (size_t) (end - p);

    if (n < 6 || p[1] != 'u') {
        return n < 2 ? n : 2;
    }

    if (n >= 12 && (p[2] | 0x20) == 'd' && p[6] == '\\' && p[7] == 'u'
        && (p[8] | 0x20) == 'd')
    {
        return 12;
    }

    return 6;
}


/*
 * Appends the inside of a raw JSON string as the inside of another one: decoded
 * and escaped again, escape by escape, so that no copy of it is needed.
 */
static void
llm_template_put_string(llm_buf_t *out, llm_str_t raw)
{
    size_t                n;
    llm_str_t             run;
    llm_buf_t             small;
    unsigned char         quoted[LLM_TEMPLATE_ESCAPE_MAX + 2];
    unsigned char         decoded[LLM_TEMPLATE_ESCAPE_MAX + 2];
    const unsigned char  *p, *end;

    p = raw.data + 1;
    end = raw.data + raw.len - 1;

    while (p < end) {
        run.data = p;

        while (p < end && *p != '\\') {
            p++;
        }

        run.len = (size_t) (p - run.data);
        llm_json_put_escaped(out, run);

        if (p == end) {
            break;
        }

        n = llm_template_escape(p, end);
        quoted[0] = '"';
        memcpy(quoted + 1, p, n);
        quoted[n + 1] = '"';
        p += n;

        llm_buf_init(&small, decoded, sizeof(decoded));

        if (llm_json_unescape((llm_str_t) { n + 2, quoted }, &small)
            == LLM_OK)
        {
            llm_json_put_escaped(out, llm_buf_view(&small));
        }
    }
}


llm_rc_t
llm_template_render(const llm_template_t *t, llm_str_t body, llm_buf_t *out,
    llm_str_t *missing)
{
    size_t              i;
    llm_rc_t            rc;
    llm_str_t           name;
    llm_json_member_t   m;

    for (i = 0; i < t->n; i++) {

        llm_json_put_escaped(out, t->piece[i].text);
        name = t->piece[i].name;

        if (name.len == 0) {
            continue;
        }

        rc = name.data[0] == '/' ? llm_json_pointer(body, name, &m)
                                 : llm_json_get(body, name, &m);
        if (rc != LLM_OK) {
            *missing = name;
            return LLM_NONE;
        }

        if (m.kind == LLM_JSON_STRING) {
            llm_template_put_string(out, m.value);
        } else {
            llm_json_put_escaped(out, m.value);
        }
    }

    return out->full ? LLM_FULL : LLM_OK;
}
