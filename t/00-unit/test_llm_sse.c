/*
 * Event streams: every way to cut them gives the same events.
 */

#include "tap.h"
#include "llm_sse.h"

#define EVENTS  400

typedef struct {
    llm_str_t  event[EVENTS];
    llm_str_t  data[EVENTS];
    size_t     n;
    size_t     tail;                    /* bytes of an unfinished event */
} events_t;


/* What is kept of an unfinished event, as a caller would. */
typedef struct {
    unsigned char  raw[70000];
    size_t         len;
} pending_t;

static pending_t      pending;
static unsigned char  scratch[70000], store[300000];
static size_t         store_n;


static llm_str_t
keep(llm_str_t s)
{
    llm_str_t  copy;

    copy.len = s.len;
    copy.data = store + store_n;

    if (s.len) {
        memcpy(store + store_n, s.data, s.len);
    }

    store_n += s.len;

    return copy;
}


static void
take(events_t *e, llm_str_t raw)
{
    llm_sse_event_t  ev;

    llm_sse_parse(raw, scratch, &ev);

    if (ev.has_data && e->n < EVENTS) {
        e->event[e->n] = keep(ev.event);
        e->data[e->n++] = keep(ev.data);
    }
}


/* One piece of a stream, in memory of exactly its size. */
static void
feed(llm_sse_t *s, events_t *e, const unsigned char *data, size_t len)
{
    int             complete;
    size_t          n, at;
    unsigned char  *p;

    p = malloc(len + (len == 0));
    memcpy(p, data, len);

    for (at = 0; at < len; at += n) {
        n = llm_sse_cut(s, p + at, len - at, &complete);

        memcpy(pending.raw + pending.len, p + at, n);
        pending.len += n;

        if (complete) {
            take(e, (llm_str_t) { pending.len, pending.raw });
            pending.len = 0;

        } else if (at + n != len) {
            ok(0, "an unfinished event takes all there is");
            break;
        }
    }

    free(p);
}


/* Cuts of `size` bytes, after a first one of `first`. */
static void
collect(events_t *e, llm_str_t s, size_t first, size_t size)
{
    size_t     at, n;
    llm_sse_t  sse;

    llm_sse_init(&sse);
    e->n = 0;
    pending.len = 0;

    for (at = 0; at < s.len; at += n) {
        n = at == 0 && first ? first : size;
        n = n < s.len - at ? n : s.len - at;
        feed(&sse, e, s.data + at, n);
    }

    e->tail = pending.len;
}


static int
same(const events_t *a, const events_t *b)
{
    size_t  i;

    if (a->n != b->n) {
        return 0;
    }

    for (i = 0; i < a->n; i++) {
        if (!llm_str_eq(a->event[i], b->event[i])
            || !llm_str_eq(a->data[i], b->data[i]))
        {
            return 0;
        }
    }

    return 1;
}


/* Reads a stream whole and in all other ways; the events stay in *e. */
static void
all_ways(events_t *e, llm_str_t s, const char *name)
{
    int              good;
    size_t           i, mark;
    static events_t  other;

    store_n = 0;
    collect(e, s, 0, s.len);
    mark = store_n;
    good = 1;

    for (i = 1; i <= 17 && i <= s.len; i++) {
        store_n = mark;
        collect(&other, s, 0, i);
        good &= same(e, &other);
    }

    for (i = 1; i < s.len && s.len < 4000; i++) {
        store_n = mark;
        collect(&other, s, i, s.len);
        good &= same(e, &other);
    }

    ok(good, name);
}


static void
test_fixtures(void)
{
    size_t           i;
    events_t        *e;
    static events_t  one, two;

    static const struct {
        const char  *path;
        size_t       n, tail;
    } file[] = {
        { "openai/chat.stream.sse", 8, 0 },
        { "openai/chat.stream.crlf.sse", 7, 0 },
        { "openai/chat.stream.cr.sse", 7, 0 },
        { "openai/chat.stream.nospace.sse", 7, 0 },
        { "openai/chat.stream.empty-frames.sse", 0, 0 },
        { "openai/chat.stream.cut.sse", 0, 0 },
        { "openai/chat.stream.cut-inside-event.sse", 0, 1 },
        { "openai/chat.stream.utf8.sse", 0, 0 },
        { "openai/responses.stream.sse", 0, 0 },
        { "anthropic/messages.stream.sse", 0, 0 },
        { "anthropic/messages.stream.tools.sse", 0, 0 },
        { "gemini/stream.sse", 0, 0 },
        { "gemini/stream.lf.sse", 0, 0 },
        { "hostile/big-event.stream.sse", 2, 0 },
        { "hostile/bom.stream.sse", 2, 0 },
        { "hostile/fields.stream.sse", 2, 0 },
        { "hostile/garbage.stream.sse", 3, 0 },
        { "hostile/invalid-utf8.stream.sse", 2, 0 },
        { "hostile/lone-surrogate.stream.sse", 3, 0 },
        { "hostile/multi-line-data.stream.sse", 2, 0 },
        { "hostile/nul-escape.stream.sse", 2, 0 }
    };

    e = &one;

    for (i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
        all_ways(e, tap_fixture(file[i].path), file[i].path);
        if (file[i].n) {
            is_int(e->n, file[i].n, "events");
        }
        is_int(e->tail != 0, file[i].tail, "unfinished");
    }

    all_ways(e, tap_fixture("hostile/bom.stream.sse"), "byte order mark");
    ok(e->data[0].len && e->data[0].data[0] == '{', "is skipped");

    all_ways(e, tap_fixture("hostile/fields.stream.sse"), "other fields");
    is_str(e->event[0], "message", "event");
    is_str(e->event[1], "", "an event's name ends with it");
    is_str(e->data[1], "[DONE]", "done");

    all_ways(e, tap_fixture("hostile/multi-line-data.stream.sse"), "lines");
    ok(memchr(e->data[0].data, '\n', e->data[0].len) != NULL, "are joined");

    /* the same conversation with each kind of line end */

    collect(&one, tap_fixture("openai/chat.stream.no-usage.sse"), 0, 4000);
    collect(&two, tap_fixture("openai/chat.stream.crlf.sse"), 0, 4000);
    ok(same(&one, &two), "CRLF says the same as LF");
    collect(&two, tap_fixture("openai/chat.stream.cr.sse"), 0, 4000);
    ok(same(&one, &two), "CR says the same as LF");
    collect(&two, tap_fixture("openai/chat.stream.nospace.sse"), 0, 4000);
    ok(same(&one, &two), "and so does a stream without spaces");
}


static void
test_lines(void)
{
    static events_t  e;

    all_ways(&e, LLM_STR("data: a\rdata: b\r\rdata: c\r\r"), "bare CR");
    is_int(e.n, 2, "two events");
    is_str(e.data[0], "a\nb", "lines");
    is_int(e.tail, 0, "nothing waits");

    all_ways(&e, LLM_STR("data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"), "CRLF");
    is_int(e.n, 2, "two events");
    is_str(e.data[0], "a\nb", "lines");
    is_int(e.tail, 0, "nothing waits");

    all_ways(&e, LLM_STR("data: a\n\r\ndata: b\r\n\ndata: c\r\n\rdata: d\r\r\n"
                         "data: e\n\n"),
             "all kinds of line ends at once");
    is_int(e.n, 5, "five events");
    is_str(e.data[4], "e", "the last");

    all_ways(&e, LLM_STR("\n\n\r\n\r\r: hello\n\n:\n\nid: 7\n\ndata: x\n\n"),
             "blank lines, comments, other fields");
    is_int(e.n, 1, "say nothing");

    all_ways(&e, LLM_STR("data\n\ndata:\n\ndata: \n\ndata:\ndata:\n\n"
                         "data:  two\n\ndata:\ta\n\ndata : no\n\nDATA: no\n\n"
                         "dataset: no\n\n data: no\n\n"),
             "the grammar of a line");
    is_int(e.n, 6, "six with data");
    is_str(e.data[0], "", "without a colon");
    is_str(e.data[1], "", "empty");
    is_str(e.data[2], "", "one space");
    is_str(e.data[3], "\n", "two empty lines");
    is_str(e.data[4], " two", "only one space is dropped");
    is_str(e.data[5], "\ta", "a tab is not");

    all_ways(&e, LLM_STR("event: a\nevent:b\ndata: 1\ndata:2\nfoo\ndata: 3\n"
                         "event\n\nevent: only\n\n"),
             "fields repeated");
    is_int(e.n, 1, "one event");
    is_str(e.event[0], "", "the last name counts");
    is_str(e.data[0], "1\n2\n3", "three lines");

    all_ways(&e, LLM_STR("data: a\0b\n\n"), "a NUL");
    is_view(e.data[0], LLM_STR("a\0b"), "is a byte like any other");

    all_ways(&e, LLM_STR("\xef\xbb\xbf\n\ndata: a\n\n"), "BOM alone");
    is_int(e.n, 1, "is nothing");
}


static void
test_cut(void)
{
    int                   complete;
    size_t                i, n;
    llm_sse_t             s;
    unsigned char        *raw, *exact;
    llm_sse_event_t       ev;
    const unsigned char  *p;

    llm_sse_init(&s);
    is_int(llm_sse_cut(&s, NULL, 0, &complete), 0, "no bytes");
    is_int(complete, 0, "no event");

    p = (const unsigned char *) "data: a\n\ndata: b\n\n";
    is_int(llm_sse_cut(&s, p, 18, &complete), 9, "the first event");
    is_int(complete, 1, "is whole");
    is_int(llm_sse_cut(&s, p + 9, 8, &complete), 8, "most of the second");
    is_int(complete, 0, "is not");
    is_int(llm_sse_cut(&s, p + 17, 1, &complete), 1, "its last byte");
    is_int(complete, 1, "ends it");

    p = (const unsigned char *) "data: a\r\n\r\n";
    is_int(llm_sse_cut(&s, p, 11, &complete), 11, "CRLF stays together");
    is_int(complete, 1, "whole");

    is_int(llm_sse_cut(&s, p, 10, &complete), 10, "does not wait for the LF");
    is_int(complete, 1, "whole");
    is_int(llm_sse_cut(&s, p + 10, 1, &complete), 1, "which comes later");
    is_int(complete, 1, "as an event of its own");

    is_int(llm_sse_cut(&s, p, 8, &complete), 8, "the CR of a line");
    is_int(complete, 0, "ends no event");
    is_int(llm_sse_cut(&s, p + 8, 1, &complete), 1, "nor does its LF");
    is_int(complete, 0, "not yet");
    is_int(llm_sse_cut(&s, p + 9, 2, &complete), 2, "but the next line end");
    is_int(complete, 1, "whole");

    /* an unfinished last event, and none at all */

    llm_sse_parse(LLM_STR("event: x\ndata: a\ndata: b"), scratch, &ev);
    ok(ev.has_data, "a last event without line end");
    is_str(ev.data, "a\nb", "its data");
    is_str(ev.event, "x", "its name");

    llm_sse_parse(LLM_STR("data: one"), NULL, &ev);
    is_str(ev.data, "one", "one line needs no scratch");

    llm_sse_parse(LLM_NOSTR, NULL, &ev);
    ok(!ev.has_data && ev.data.len == 0 && ev.event.len == 0, "nothing");

    /* scratch holds the longest joint there can be, and not a byte more */

    for (i = 1; i < 40; i++) {
        raw = malloc(5 * i);
        exact = malloc(5 * i);

        for (n = 0; n < i; n++) {
            memcpy(raw + 5 * n, "data\n", 5);
        }

        llm_sse_parse((llm_str_t) { 5 * i, raw }, exact, &ev);
        if (ev.data.len != i - 1) {
            is_int(ev.data.len, i - 1, "empty lines are joined");
        }

        free(raw);
        free(exact);
    }
}


int
main(void)
{
    test_fixtures();
    test_lines();
    test_cut();

    return tap_done();
}
