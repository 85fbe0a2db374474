/*
 * The mock: whatever is asked, its body is good JSON and its events are whole
 * and end; heads and chunks read the same in one piece and in two; recordings
 * read back what was written.  Input: a byte for the endpoint, then the body.
 */

#include <stdlib.h>

#include "llm_exchange.h"
#include "llm_mock.h"
#include "llm_mock_http.h"
#include "llm_sse.h"

#define MUST(condition)  if (!(condition)) abort()
#define ROOM             (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char  body_mem[ROOM], event_mem[ROOM];


static void
events(const llm_request_t *r, llm_str_t body)
{
    int        complete;
    size_t     i;
    llm_rc_t   rc;
    llm_sse_t  sse;
    llm_buf_t  out;
    llm_str_t  raw;

    llm_sse_init(&sse);

    for (i = 0; i < 300; i++) {
        llm_buf_init(&out, event_mem, sizeof(event_mem));
        rc = llm_mock_event(r, body, r->model, 1, 1, i, &out);

        if (rc != LLM_OK) {
            MUST(i > 1);
            return;
        }

        raw = llm_buf_view(&out);
        MUST(llm_sse_cut(&sse, raw.data, raw.len, &complete) == raw.len);
        MUST(complete);
    }
}


static void
answer(llm_endpoint_t ep, llm_str_t text)
{
    llm_buf_t       mem, out;
    llm_str_t       message, type, body;
    llm_code_t      code;
    llm_request_t   r;
    unsigned char   model[256];

    llm_buf_init(&mem, model, sizeof(model));

    if (llm_request_json(&r, ep, text, &mem, &code, &message) != LLM_OK) {
        return;
    }

    llm_buf_init(&out, body_mem, sizeof(body_mem));

    if (llm_mock_body(&r, r.model, 1, 1, &out, &type) != LLM_OK) {
        return;
    }

    body = llm_buf_view(&out);

    if (llm_str_eq(type, LLM_STR("application/json"))) {
        MUST(llm_json_check(body) == LLM_OK);
    }

    if (llm_mock_streams(&r)) {
        events(&r, body);
    }
}


static void
chunks(llm_str_t text)
{
    size_t              whole, first, second;
    llm_rc_t            rc, one;
    unsigned char      *p, *q;
    llm_mock_chunked_t  a, b;

    p = malloc(text.len + 1);
    q = malloc(text.len + 1);
    memcpy(p, text.data, text.len);
    memcpy(q, text.data, text.len);
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));

    rc = llm_mock_dechunk(&a, p, text.len, &whole);
    one = llm_mock_dechunk(&b, q, text.len / 2, &first);

    if (one == LLM_AGAIN) {
        MUST(llm_mock_dechunk(&b, q + text.len / 2, text.len - text.len / 2,
                              &second) == rc);
        MUST(first + second == whole);
        MUST(memcmp(p, q, first) == 0);
        MUST(memcmp(p + first, q + text.len / 2, second) == 0);
    } else {
        MUST(one == rc && first == whole);
    }

    free(p);
    free(q);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned         status;
    llm_buf_t        out;
    llm_str_t        text, type, body;
    llm_mock_head_t  h;

    if (size < 1) {
        return 0;
    }

    text.data = data + 1;
    text.len = size - 1;

    answer((llm_endpoint_t) (*data % LLM_EP_N), text);
    chunks(text);

    if (llm_mock_head(text, &h) == LLM_OK) {
        MUST(h.size <= text.len);
    }

    (void) llm_exchange_hash(text, 0);
    (void) llm_exchange_streams(text);

    if (llm_exchange_read(text, &status, &type, &body) == LLM_OK) {
        MUST(status >= 100 && status <= 599);
    }

    llm_buf_init(&out, body_mem, sizeof(body_mem));
    llm_exchange_put_head(&out, 200, LLM_STR("a/b"), text.len);
    llm_buf_str(&out, text);

    if (!out.full) {
        MUST(llm_exchange_read(llm_buf_view(&out), &status, &type, &body)
             == LLM_OK);
        MUST(status == 200 && llm_str_eq(body, text));
    }

    llm_buf_init(&out, body_mem, sizeof(body_mem));
    llm_exchange_put_request(&out, LLM_STR("POST"), LLM_STR("/"), text, text);
    MUST(out.full || llm_json_check(llm_buf_view(&out)) == LLM_OK);

    return 0;
}
