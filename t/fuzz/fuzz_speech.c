/*
 * Speech to text at providers that take no form: uploads on their way there,
 * answers on their way back.
 *
 * The first byte chooses.  A form has to become JSON, whatever its fields say,
 * and so has an answer that was JSON.
 */

#include "dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check_upload(const llm_dialect_t *d, llm_endpoint_t ep, llm_str_t body)
{
    size_t                   at, room;
    llm_rc_t                 rc;
    llm_buf_t                out;
    llm_str_t                message;
    llm_code_t               code;
    llm_loss_t               loss;
    llm_speech_t             s;
    llm_request_t            r;
    unsigned char           *text;
    const llm_speech_way_t  *way;

    static llm_part_t        part[LLM_MULTIPART_MAX];
    static const llm_field_t  fields[] = {
        { .name = LLM_STR("language"), .text = LLM_STR("fa"),
          .what = LLM_FIELD_DEFAULT }
    };

    way = llm_dialect_speech(d, ep);

    if (way == NULL
        || llm_request_multipart(&r, ep, body,
                                 LLM_STR("multipart/form-data; boundary=b"),
                                 part, &code, &message)
           != LLM_OK)
    {
        return;
    }

    s.model = LLM_STR("m");
    rc = llm_speech_read(&s, &r, fields, 1, &loss);
    check_rc(rc, &loss);

    if (rc != LLM_OK) {
        return;
    }

    room = 6 * body.len + 4096;
    text = malloc(room);
    llm_buf_init(&out, text, room);

    rc = llm_speech_request(&s, way, &out, &at, &loss);
    check_rc(rc, &loss);

    if (rc == LLM_OK) {

        if (at >= (size_t) (out.pos - out.start) || text[at - 1] != '"'
            || text[at] != '"')
        {
            abort();
        }

        check_json(llm_buf_view(&out));

    } else if (rc == LLM_FULL) {
        abort();
    }

    free(text);
}


static void
check_whole(const llm_dialect_t *d, llm_str_t body, unsigned choice)
{
    int              valid;
    llm_buf_t        mem, out;
    llm_answer_t     a;
    llm_speech_t     s;
    unsigned char   *text;

    static const llm_str_t  replies[] = {
        LLM_STR("json"), LLM_STR("text"), LLM_STR("verbose_json")
    };

    valid = (llm_json_check(body) == LLM_OK);

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&a, 0, sizeof(a));
    d->answer(LLM_EP_TRANSCRIPTIONS, body, &mem, &a);

    memset(&s, 0, sizeof(llm_speech_t));
    s.endpoint = LLM_EP_TRANSCRIPTIONS;
    s.reply = replies[choice % 3];
    s.stream = choice / 3 % 2;

    text = malloc(2 * body.len + 4096);
    llm_buf_init(&out, text, 2 * body.len + 4096);
    llm_speech_whole(&s, llm_dialect_speech(d, s.endpoint), body, &out);

    if (out.full) {
        abort();
    }

    if (valid && !s.stream && choice % 3 != 1) {
        check_json(llm_buf_view(&out));
    }

    free(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_str_t             body;
    const llm_dialect_t  *d;

    if (size == 0) {
        return 0;
    }

    body = (llm_str_t) { size - 1, data + 1 };
    d = llm_dialect_find(data[0] & 1 ? LLM_STR("gemini")
                                     : LLM_STR("openrouter"));

    if (data[0] & 2) {
        check_whole(d, body, data[0] >> 2);

    } else {
        check_upload(d, data[0] & 4 ? LLM_EP_TRANSLATIONS
                                    : LLM_EP_TRANSCRIPTIONS, body);
    }

    return 0;
}
