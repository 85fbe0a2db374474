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
check_event(void *data, const llm_sse_event_t *ev, int whole)
{
    seen_t             *s = data;
    uint64_t            n;
    llm_json_member_t   m;

    (void) whole;

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
    seen_t          seen;
    llm_str_t       out;
    translated_t    t;
    unsigned char  *mem;

    translate(p, body, body.len, &t);

    out = (llm_str_t) { (size_t) (t.out.pos - t.mem), t.mem };
    mem = malloc(out.len + 3);

    seen.number = 0;
    seen.done = 0;
    llm_buf_init(&seen.items, mem, out.len + 3);
    llm_buf_str(&seen.items, LLM_STR("["));

    stream_read(out, out.len, check_event, &seen);

    if (!seen.done && !t.reply.broken) {
        abort();
    }

    free(t.mem);
    free(t.kept);
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
