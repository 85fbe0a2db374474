/*
 * A text for a regular expression, for examples.
 *
 * The expression is read and written out in one recursive descent; what is
 * repeated is simply read again.  Look-around, back references and Unicode
 * classes are not understood.  Whether the text really matches is found out by
 * the caller with the real matcher.
 */

#include "llm_schema_node.h"
#include "llm_mock.h"

#define LLM_PATTERN_REPEAT  3           /* how far * and + go */
#define LLM_PATTERN_MOST    256         /* … and {n} */
#define LLM_PATTERN_DEPTH   32
#define LLM_PATTERN_WORK    100000

typedef struct {
    const char  *pos;
    llm_buf_t   *out;
    uint64_t    *random;
    unsigned     depth;
    unsigned     work;
    unsigned     bad;
} llm_pattern_t;

typedef struct {
    unsigned char  in[256];             /* ASCII only */
    unsigned       negated;
} llm_pattern_set_t;

static void llm_pattern_choice(llm_pattern_t *p, int emit);


static void
llm_pattern_put(llm_pattern_t *p, unsigned char c, int emit)
{
    if (emit) {
        llm_buf_put(p->out, &c, 1);
    }
}


static uint64_t
llm_pattern_random(llm_pattern_t *p, uint64_t n)
{
    return llm_mock_random(p->random) % n;
}


static void
llm_pattern_range(llm_pattern_set_t *set, unsigned from, unsigned to)
{
    for ( /* void */ ; from <= to && from < 128; from++) {
        set->in[from] = 1;
    }
}


/* A class such as \d, as members of a set.  0: it is not one. */
static int
llm_pattern_class(llm_pattern_set_t *set, char c)
{
    switch (c) {
    case 'd':
        llm_pattern_range(set, '0', '9');
        return 1;
    case 'w':
        llm_pattern_range(set, 'a', 'z');
        llm_pattern_range(set, 'A', 'Z');
        llm_pattern_range(set, '0', '9');
        llm_pattern_range(set, '_', '_');
        return 1;
    case 's':
        llm_pattern_range(set, ' ', ' ');
        return 1;
    case 'D':
    case 'S':
    case 'W':
        llm_pattern_range(set, c == 'W' ? '-' : 'a', c == 'W' ? '-' : 'z');
        return 1;
    default:
        return 0;
    }
}


/* The character of an escape that stands for one. */
static unsigned
llm_pattern_escaped(llm_pattern_t *p, char c)
{
    static const char  letters[] = "nrtfv";
    static const char  values[] = "\n\r\t\f\v";
    const char        *at;

    at = c ? strchr(letters, c) : NULL;
    if (at) {
        return (unsigned char) values[at - letters];
    }

    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
        || (c >= '0' && c <= '9') || c == '\0')
    {
        p->bad = 1;
    }

    return (unsigned char) c;
}


/* One of the set's members; letters and digits before the rest. */
static void
llm_pattern_pick(llm_pattern_t *p, const llm_pattern_set_t *set, int emit)
{
    size_t         n, pass;
    unsigned       c;
    unsigned char  list[128];

    n = 0;

    for (pass = 0; pass < 2 && n == 0; pass++) {
        for (c = 0x20; c < 0x7f; c++) {
            if (!!set->in[c] != set->negated
                && (pass || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
            {
                list[n++] = (unsigned char) c;
            }
        }
    }

    if (n == 0) {
        p->bad = 1;
        return;
    }

    llm_pattern_put(p, list[emit ? llm_pattern_random(p, n) : 0], emit);
}


/* The next member of "[…]": a character, or a class put into the set. */
static int
llm_pattern_member(llm_pattern_t *p, llm_pattern_set_t *set, unsigned *c)
{
    *c = (unsigned char) *p->pos++;

    if (*c != '\\') {
        return 1;
    }

    if (llm_pattern_class(set, *p->pos)) {
        p->pos++;
        return 0;
    }

    *c = llm_pattern_escaped(p, *p->pos);
    if (*p->pos) {
        p->pos++;
    }

    return 1;
}


static void
llm_pattern_bracket(llm_pattern_t *p, int emit)
{
    unsigned           c, to;
    llm_pattern_set_t  set;

    memset(&set, 0, sizeof(set));
    p->pos++;

    if (*p->pos == '^') {
        set.negated = 1;
        p->pos++;
    }

    while (*p->pos && *p->pos != ']' && !p->bad) {

        if (!llm_pattern_member(p, &set, &c)) {
            continue;
        }

        to = c;

        if (*p->pos == '-' && p->pos[1] && p->pos[1] != ']') {
            p->pos++;
            if (!llm_pattern_member(p, &set, &to)) {
                p->bad = 1;
            }
        }

        llm_pattern_range(&set, c, to);
    }

    if (*p->pos != ']') {
        p->bad = 1;
        return;
    }

    p->pos++;
    llm_pattern_pick(p, &set, emit);
}


static void
llm_pattern_group(llm_pattern_t *p, int emit)
{
    p->pos++;

    if (*p->pos == '?') {
        if (p->pos[1] != ':') {
            p->bad = 1;
            return;
        }
        p->pos += 2;
    }

    llm_pattern_choice(p, emit);

    if (*p->pos != ')') {
        p->bad = 1;
        return;
    }

    p->pos++;
}


static void
llm_pattern_atom(llm_pattern_t *p, int emit)
{
    llm_pattern_set_t  set;

    switch (*p->pos) {

    case '(':
        llm_pattern_group(p, emit);
        return;

    case '[':
        llm_pattern_bracket(p, emit);
        return;

    case '.':
        llm_pattern_put(p, 'x', emit);
        break;

    case '^':
    case '$':
        break;

    case '\\':
        memset(&set, 0, sizeof(set));
        p->pos++;

        if (llm_pattern_class(&set, *p->pos)) {
            llm_pattern_pick(p, &set, emit);

        } else if (*p->pos != 'b') {
            llm_pattern_put(p, (unsigned char) llm_pattern_escaped(p, *p->pos),
                            emit);
        }

        if (*p->pos == '\0') {
            return;
        }
        break;

    default:
        llm_pattern_put(p, (unsigned char) *p->pos, emit);
        break;
    }

    p->pos++;
}


static size_t
llm_pattern_number(llm_pattern_t *p)
{
    size_t  n;

    for (n = 0; *p->pos >= '0' && *p->pos <= '9'; p->pos++) {
        n = n * 10 + (size_t) (*p->pos - '0');
        if (n > LLM_PATTERN_MOST) {
            n = LLM_PATTERN_MOST;
        }
    }

    return n;
}


/* How often the atom before p->pos is to be repeated. */
static size_t
llm_pattern_times(llm_pattern_t *p)
{
    size_t  min, max;

    min = 1;
    max = 1;

    switch (*p->pos) {
    case '*':
        min = 0;
        max = LLM_PATTERN_REPEAT;
        break;
    case '+':
        max = LLM_PATTERN_REPEAT;
        break;
    case '?':
        min = 0;
        break;
    case '{':
        if (p->pos[1] < '0' || p->pos[1] > '9') {
            return 1;
        }
        p->pos++;
        min = max = llm_pattern_number(p);
        if (*p->pos == ',') {
            p->pos++;
            max = *p->pos == '}' ? min + LLM_PATTERN_REPEAT
                                 : llm_pattern_number(p);
        }
        break;
    default:
        return 1;
    }

    if (*p->pos) {
        p->pos++;
    }

    if (*p->pos == '?' || *p->pos == '+') {
        p->pos++;
    }

    return max > min ? min + (size_t) llm_pattern_random(p, max - min + 1)
                     : min;
}


static void
llm_pattern_sequence(llm_pattern_t *p, int emit)
{
    size_t       i, n;
    const char  *atom, *behind;

    while (*p->pos && *p->pos != '|' && *p->pos != ')' && !p->bad) {

        if (p->work++ > LLM_PATTERN_WORK) {
            p->bad = 1;
            return;
        }

        atom = p->pos;
        llm_pattern_atom(p, 0);
        n = llm_pattern_times(p);
        behind = p->pos;

        for (i = 0; emit && i < n && !p->bad; i++) {
            p->pos = atom;
            llm_pattern_atom(p, 1);
        }

        p->pos = behind;
    }
}


/* Alternatives up to ")" or the end: all are read, one is written. */
static void
llm_pattern_choice(llm_pattern_t *p, int emit)
{
    size_t       n, chosen;
    const char  *start;

    if (p->depth++ == LLM_PATTERN_DEPTH) {
        p->bad = 1;
    }

    start = p->pos;

    for (n = 1, llm_pattern_sequence(p, 0); *p->pos == '|' && !p->bad; n++) {
        p->pos++;
        llm_pattern_sequence(p, 0);
    }

    if (emit && !p->bad) {
        chosen = (size_t) llm_pattern_random(p, n);
        p->pos = start;

        for (n = 0; !p->bad; n++) {
            llm_pattern_sequence(p, n == chosen);
            if (*p->pos != '|') {
                break;
            }
            p->pos++;
        }
    }

    p->depth--;
}


llm_rc_t
llm_schema_pattern(const char *pattern, uint64_t *random, llm_buf_t *out)
{
    llm_pattern_t  p;

    p = (llm_pattern_t) { pattern, out, random, 0, 0, 0 };

    llm_pattern_choice(&p, 1);

    if (p.bad || *p.pos) {
        return LLM_BAD;
    }

    return out->full ? LLM_FULL : LLM_OK;
}
