/*
 * The front of Responses with each dialect behind it; the first byte chooses.
 *
 * Its events have numbers, and the last of them repeats the items that were
 * done, one by one.
 */

#include "dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


typedef struct {
    llm_buf_t  items;                   /* that were done, as an array */
    uint64_t   number;                  /* of events so far */
    int        done;                    /* the last one was seen */
} seen_t;


static void
check_event(seen_t *s, const llm_sse_event_t *ev)
{
    uint64_t           n;
    llm_json_member_t  m;

    if (s->done
        || llm_json_get(ev->data, LLM_STR("sequence_number"), &m) != LLM_OK
        || llm_json_uint(m.value, &n) != LLM_OK || n != s->number++)
    {
        abort();
    }

    if (llm_str_eq(ev->event, LLM_STR("response.output_item.done"))
        && llm_json_get(ev->data, LLM_STR("item"), &m) == LLM_OK)
    {
        llm_buf_str(&s->items, s->items.pos > s->items.start + 1
                               ? LLM_STR(",") : LLM_NOSTR);
        llm_buf_str(&s->items, m.value);
    }

    if (llm_str_eq(ev->event, LLM_STR("response.completed"))
        || llm_str_eq(ev->event, LLM_STR("response.incomplete")))
    {
        s->done = 1;
        llm_buf_str(&s->items, LLM_STR("]"));

        if (llm_json_pointer(ev->data, LLM_STR("/response/output"), &m)
            != LLM_OK
            || !llm_str_eq(m.value, llm_buf_view(&s->items)))
        {
            abort();
        }
    }
}


static void
check_repeated(const pair_t *p, llm_str_t body)
{
    int              complete;
    size_t           used;
    seen_t           seen;
    llm_sse_t        sse;
    llm_str_t        out;
    translated_t     t;
    llm_sse_event_t  ev;
    unsigned char   *scratch, *mem;

    translate(p, body, body.len, &t);

    out = (llm_str_t) { (size_t) (t.out.pos - t.mem), t.mem };
    scratch = malloc(out.len + 1);
    mem = malloc(out.len + 3);

    llm_sse_init(&sse);
    seen.number = 0;
    seen.done = 0;
    llm_buf_init(&seen.items, mem, out.len + 3);
    llm_buf_str(&seen.items, LLM_STR("["));

    while (out.len) {
        used = llm_sse_cut(&sse, out.data, out.len, &complete);
        llm_sse_parse((llm_str_t) { used, out.data }, scratch, &ev);
        check_event(&seen, &ev);

        out.data += used;
        out.len -= used;
    }

    if (!seen.done && !t.reply.broken) {
        abort();
    }

    free(t.mem);
    free(t.kept);
    free(scratch);
    free(mem);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pair_t     p;
    llm_str_t  body;

    static const llm_str_t  names[] = {
        LLM_STR("openai"), LLM_STR("anthropic"), LLM_STR("gemini")
    };

    if (size == 0) {
        return 0;
    }

    body = (llm_str_t) { size - 1, data + 1 };
    p.functions = 0;
    p.front = llm_front_find(LLM_EP_RESPONSES);
    p.dialect = llm_dialect_find(names[data[0] / 4 % 3]);
    p.model = LLM_STR("gpt-5");

    check_pair(&p, data[0], body);

    if ((data[0] & 3) == 3) {
        check_repeated(&p, body);
    }

    return 0;
}
