/*
 * Examples: a value that satisfies a schema, for the mock provider.
 *
 * A value has to satisfy several schemas at once (allOf, a $ref with
 * neighbours, the chosen branch of anyOf), so those are gathered first and
 * their limits merged.  What merging cannot see (not, overlapping oneOf) is
 * left to chance: a candidate is validated, and another one is drawn when it
 * fails.
 */

#include <stdio.h>
#include <stdlib.h>

#include "llm_schema_merge.h"
#include "llm_mock.h"

#define LLM_EXAMPLE_TRIES  64
#define LLM_EXAMPLE_DEPTH  24
#define LLM_EXAMPLE_WIDE   2            /* deeper: only what is required */
#define LLM_EXAMPLE_DEEP   6            /* … and null where it is allowed */
#define LLM_EXAMPLE_ITEMS  4096
#define LLM_EXAMPLE_TEXT   4096         /* bytes of one string */
#define LLM_EXAMPLE_WORDS  5

typedef struct {
    const llm_schema_t  *schema;
    llm_buf_t           *out;
    llm_str_t            hint;
    uint64_t             random;
    unsigned             depth;
    unsigned             work;
    unsigned             number;        /* put in front of strings; 0: none */
} llm_example_t;

static llm_rc_t llm_example_value(llm_example_t *x,
    const llm_schema_set_t *roots);


static uint64_t
llm_example_random(llm_example_t *x, uint64_t n)
{
    return llm_mock_random(&x->random) % n;
}


static void
llm_example_put(llm_example_t *x, const char *text)
{
    llm_buf_put(x->out, text, strlen(text));
}


/* ---- scalars ------------------------------------------------------------- */

/* Writes a given value: const, or one of enum that fits the whole set. */
static llm_rc_t
llm_example_given(llm_example_t *x, const llm_schema_set_t *set,
    const llm_schema_merged_t *m)
{
    int           n;
    char         *text;
    size_t        i;
    const cJSON  *item;

    item = m->constant;

    if (item == NULL) {
        n = cJSON_GetArraySize(m->choice);
        item = cJSON_GetArrayItem(m->choice, (int)
                                  llm_example_random(x, (uint64_t) n));
    }

    for (i = 0; i < set->n; i++) {
        if (!llm_schema_fits(x->schema, set->node[i], item)) {
            return LLM_BAD;
        }
    }

    text = cJSON_PrintUnformatted(item);
    if (text == NULL) {
        return LLM_BAD;
    }

    llm_example_put(x, text);
    cJSON_free(text);

    return LLM_OK;
}


static llm_rc_t
llm_example_number(llm_example_t *x, const llm_schema_merged_t *m, int whole)
{
    double  low, high, span, d, part;
    char    text[40];

    span = whole ? 100 : 1;

    if (m->has_low) {
        low = m->low;
    } else if (m->has_high) {
        low = m->high - span;
    } else {
        low = llm_example_random(x, 8) ? 0 : -span;
    }

    high = m->has_high ? m->high : low + span;

    part = (double) llm_example_random(x, 101) / 100;

    if ((m->open_low && part == 0) || (m->open_high && part == 1)) {
        part = 0.5;
    }

    d = low + (high - low) * part;

    if (whole) {
        if (!(d > -9e15 && d < 9e15)) {
            return LLM_BAD;
        }

        d = (double) (int64_t) d;

        if (d < low || (m->open_low && d == low)) {
            d += 1;
        }

        snprintf(text, sizeof(text), "%.0f", d);

    } else {
        snprintf(text, sizeof(text), high - low > 0.5 && high - low < 1e6
                                     ? "%.2f" : "%.17g", d);
    }

    if (d != d || d - d != 0) {
        return LLM_BAD;
    }

    llm_example_put(x, text);

    return LLM_OK;
}


/* Some words of the hint, from a random one on. */
static llm_str_t
llm_example_words(llm_example_t *x, size_t count)
{
    size_t      i, n, skip;
    llm_str_t   s;

    n = 1;

    for (i = 0; i < x->hint.len; i++) {
        n += x->hint.data[i] == ' ';
    }

    skip = (size_t) llm_example_random(x, n);
    s = x->hint;

    while (s.len && skip) {
        skip -= *s.data == ' ';
        s.data++;
        s.len--;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == ' ' && --count == 0) {
            break;
        }
    }

    s.len = i;

    return s;
}


/* Cuts to max code points or fills up to min. */
static void
llm_example_fit(llm_buf_t *b, size_t min, size_t max)
{
    size_t          n;
    unsigned char  *p;

    n = 0;

    for (p = b->start; p < b->pos; p++) {
        if ((*p & 0xc0) != 0x80 && n++ == max) {
            b->pos = p;
            n = max;
            break;
        }
    }

    while (n < min && !b->full) {
        llm_buf_put(b, n % 6 == 5 ? " " : "a", 1);
        n++;
    }
}


static llm_rc_t
llm_example_string(llm_example_t *x, const llm_schema_merged_t *m, size_t words)
{
    llm_rc_t       rc;
    llm_buf_t      b;
    unsigned char  text[LLM_EXAMPLE_TEXT];

    if (m->min_length > LLM_EXAMPLE_TEXT) {
        return LLM_BAD;
    }

    rc = LLM_OK;
    llm_buf_init(&b, text, sizeof(text));

    if (x->number && m->pattern == NULL) {
        llm_json_put_uint(&b, x->number);
        llm_buf_put(&b, " ", 1);
    }

    if (m->pattern) {
        rc = llm_schema_pattern(m->pattern->pattern_text, &x->random, &b);

    } else {
        llm_buf_str(&b, llm_example_words(x, words));

        if (b.pos == b.start) {
            llm_buf_str(&b, llm_example_random(x, 4) ? LLM_STR("example")
                                                     : LLM_STR("sample"));
        }

        llm_example_fit(&b, m->min_length, m->max_length);
    }

    if (rc == LLM_OK) {
        llm_json_put_string(x->out, llm_buf_view(&b));
    }

    return rc;
}


/* ---- containers ---------------------------------------------------------- */

/* Whether the element written last equals an earlier one, as text. */
static int
llm_example_repeated(llm_str_t array, llm_str_t last)
{
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_begin(&it, array) != LLM_OK) {
        return 0;
    }

    while (llm_json_next(&it, &m) == LLM_OK && m.value.data < last.data) {
        if (llm_str_eq(m.value, last)) {
            return 1;
        }
    }

    return 0;
}


static llm_rc_t
llm_example_item(llm_example_t *x, const llm_schema_set_t *items,
    size_t start, unsigned number)
{
    unsigned    tries;
    llm_rc_t    rc;
    llm_str_t   all, last;
    llm_buf_t   mark;

    mark = *x->out;
    rc = LLM_OK;

    for (tries = 0; tries < 16; tries++) {
        *x->out = mark;
        x->number = tries < 8 ? 0 : tries + number;

        rc = llm_example_value(x, items);
        x->number = 0;

        if (rc != LLM_OK || x->out->full) {
            return rc;
        }

        all.data = x->out->start + start;
        all.len = (size_t) (x->out->pos - all.data);
        last.data = mark.pos;
        last.len = (size_t) (x->out->pos - mark.pos);

        if (!llm_example_repeated(all, last)) {
            break;
        }
    }

    return rc;
}


static llm_rc_t
llm_example_array(llm_example_t *x, const llm_schema_set_t *set,
    const llm_schema_merged_t *m)
{
    size_t     i, n, start;
    llm_rc_t   rc;
    llm_schema_set_t  items;

    items.n = 0;

    for (i = 0; i < set->n; i++) {
        if (set->node[i]->items) {
            items.node[items.n++] = set->node[i]->items;
        }
    }

    n = m->min_items;

    if (x->depth <= LLM_EXAMPLE_WIDE) {
        n += (size_t) llm_example_random(x, 3);
    }

    if (n > m->max_items) {
        n = m->max_items;
    }

    if (n < m->min_items || n > LLM_EXAMPLE_ITEMS) {
        return LLM_BAD;
    }

    start = (size_t) (x->out->pos - x->out->start);
    llm_example_put(x, "[");

    for (i = 0; i < n; i++) {
        if (i) {
            llm_example_put(x, ",");
        }

        rc = llm_example_item(x, &items, start, (unsigned) i);
        if (rc != LLM_OK) {
            return rc;
        }
    }

    llm_example_put(x, "]");

    return LLM_OK;
}


/* The schemas that hold for one member; 0 when no object may have it. */
static int
llm_example_member(const llm_schema_set_t *set, const char *name,
    llm_schema_set_t *member, unsigned *required)
{
    size_t             i, k;
    const llm_node_t  *node;

    member->n = 0;
    *required = 0;

    for (i = 0; i < set->n; i++) {
        node = set->node[i];

        for (k = 0; k < node->prop_n; k++) {
            if (strcmp(node->prop[k].name, name) == 0) {
                *required |= node->prop[k].required;
                break;
            }
        }

        if (k < node->prop_n && node->prop[k].node) {
            member->node[member->n++] = node->prop[k].node;

        } else if (node->closed) {
            return 0;

        } else if (node->additional) {
            member->node[member->n++] = node->additional;
        }
    }

    return 1;
}


/* Whether an earlier node of the set, or an earlier row, has that name too. */
static int
llm_example_known(const llm_schema_set_t *set, size_t at, size_t row)
{
    size_t       i, k;
    const char  *name;

    name = set->node[at]->prop[row].name;

    for (i = 0; i <= at; i++) {
        for (k = 0; k < (i == at ? row : set->node[i]->prop_n); k++) {
            if (strcmp(set->node[i]->prop[k].name, name) == 0) {
                return 1;
            }
        }
    }

    return 0;
}


static llm_rc_t
llm_example_object(llm_example_t *x, const llm_schema_set_t *set)
{
    int          may;
    size_t       i, k, n;
    unsigned     required;
    llm_rc_t     rc;
    llm_buf_t    mark;
    llm_schema_set_t    member;
    const char  *name;

    n = 0;
    llm_example_put(x, "{");

    for (i = 0; i < set->n; i++) {
        for (k = 0; k < set->node[i]->prop_n; k++) {

            if (llm_example_known(set, i, k)) {
                continue;
            }

            name = set->node[i]->prop[k].name;
            may = llm_example_member(set, name, &member, &required);

            if (!required && (!may || x->depth > LLM_EXAMPLE_WIDE)) {
                continue;
            }

            mark = *x->out;
            llm_example_put(x, n ? "," : "");
            llm_json_put_string(x->out, (llm_str_t) {
                strlen(name), (const unsigned char *) name });
            llm_example_put(x, ":");

            rc = may ? llm_example_value(x, &member) : LLM_BAD;

            if (rc != LLM_OK) {
                if (required) {
                    return rc;
                }
                *x->out = mark;
                continue;
            }

            n++;
        }
    }

    llm_example_put(x, "}");

    return LLM_OK;
}


/* ---- values -------------------------------------------------------------- */

static llm_rc_t
llm_example_of_type(llm_example_t *x, const llm_schema_set_t *set,
    const llm_schema_merged_t *m)
{
    switch (llm_schema_likely_type(set, m, x->depth > LLM_EXAMPLE_DEEP)) {

    case LLM_T_OBJECT:
        return llm_example_object(x, set);

    case LLM_T_ARRAY:
        return llm_example_array(x, set, m);

    case LLM_T_STRING:
        return llm_example_string(x, m, x->depth > 2 ? 1 : LLM_EXAMPLE_WORDS);

    case LLM_T_INTEGER:
        return llm_example_number(x, m, !(m->types & LLM_T_NUMBER));

    case LLM_T_NUMBER:
        return llm_example_number(x, m, 0);

    case LLM_T_BOOLEAN:
        llm_example_put(x, llm_example_random(x, 2) ? "true" : "false");
        return LLM_OK;

    case LLM_T_NULL:
        llm_example_put(x, "null");
        return LLM_OK;

    default:
        return LLM_BAD;
    }
}


static llm_rc_t
llm_example_value(llm_example_t *x, const llm_schema_set_t *roots)
{
    size_t        i;
    llm_rc_t      rc;
    llm_schema_set_t     set;
    llm_schema_merged_t  m;

    if (x->depth == LLM_EXAMPLE_DEPTH || x->work == 0 || x->out->full) {
        return x->out->full ? LLM_FULL : LLM_BAD;
    }

    x->work--;

    set = *roots;

    for (i = 0; i < set.n; i++) {
        if (set.node[i]->never) {
            return LLM_BAD;
        }
    }

    if (llm_schema_gather(&set, &x->random) != LLM_OK) {
        return LLM_BAD;
    }

    llm_schema_merge(&set, &m);

    x->depth++;
    rc = m.constant || m.choice ? llm_example_given(x, &set, &m)
                                : llm_example_of_type(x, &set, &m);
    x->depth--;

    return rc;
}


void
llm_schema_example(const llm_schema_t *schema, uint64_t seed, llm_str_t hint,
    llm_buf_t *out)
{
    char                  err[64];
    unsigned              tries;
    llm_rc_t              rc;
    llm_buf_t             mark;
    llm_str_t             json;
    llm_example_t         x;
    llm_schema_set_t      root;
    const unsigned char  *end;

    mark = *out;
    root.node[0] = schema->root;
    root.n = 1;

    /* no validator takes a NUL character */

    end = hint.len ? memchr(hint.data, '\0', hint.len) : NULL;
    if (end) {
        hint.len = (size_t) (end - hint.data);
    }

    x = (llm_example_t) { schema, out, hint, seed, 0, 0, 0 };

    for (tries = 0; tries < LLM_EXAMPLE_TRIES; tries++) {
        *out = mark;
        x.depth = 0;
        x.work = LLM_EXAMPLE_ITEMS;

        rc = llm_example_value(&x, &root);

        if (out->full) {
            return;
        }

        json.data = mark.pos;
        json.len = (size_t) (out->pos - mark.pos);

        if (rc == LLM_OK
            && llm_schema_validate(schema, json, err, sizeof(err)) == LLM_OK)
        {
            return;
        }
    }

    /* a schema that nothing fits, or that only luck would fit */

    *out = mark;
    llm_buf_str(out, LLM_STR("null"));
}
