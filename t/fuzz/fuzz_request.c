/*
 * Requests from anybody: read as JSON or as an upload, edited for a target, and
 * what comes out has to be readable again.
 *
 * The first byte chooses; the rest is the body.
 */

#include <stdlib.h>

#include "llm_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static llm_str_t
apply(const llm_edits_t *e, llm_str_t body)
{
    llm_buf_t       out;
    unsigned char  *text;

    text = malloc(llm_edits_length(e, body.len) + 1);
    llm_buf_init(&out, text, llm_edits_length(e, body.len));
    llm_edits_apply(e, body, &out);

    if (out.full || out.pos != out.end) {
        abort();
    }

    return (llm_str_t) { (size_t) (out.pos - text), text };
}


static void
check_json(unsigned choice, llm_str_t body)
{
    llm_buf_t          mem;
    llm_str_t          message, text;
    llm_code_t         code;
    llm_field_t        field[4];
    llm_edits_t        edits;
    llm_request_t      r;
    llm_endpoint_t     ep;
    llm_json_member_t  m;
    unsigned char      memory[2048];

    ep = (llm_endpoint_t) (LLM_EP_CHAT + choice % 4);
    llm_buf_init(&mem, memory, sizeof(memory));

    if (llm_request_json(&r, ep, body, &mem, &code, &message) != LLM_OK) {
        if (code == LLM_CODE_NONE || message.len == 0) {
            abort();
        }
        return;
    }

    llm_request_estimate(&r);

    memset(field, 0, sizeof(field));
    field[0].name = LLM_STR("temperature");
    field[0].json = LLM_STR("0.1");
    field[1].name = LLM_STR("seed");
    field[1].json = LLM_STR("7");
    field[1].what = choice >> 6 & 1 ? LLM_FIELD_DEFAULT : LLM_FIELD_SET;

    field[2].name = LLM_STR("top_p");
    field[2].what = LLM_FIELD_DROP;
    field[3].name = LLM_STR("max_tokens");
    field[3].what = LLM_FIELD_RENAME;
    field[3].to = LLM_STR("max_completion_tokens");

    if (llm_request_edits(&r, LLM_STR("a \"model\""), field,
                          choice & 0x10 ? 4 : 2,
                          choice >> 7 & 1, &mem, &edits) != LLM_OK)
    {
        return;
    }

    text = apply(&edits, body);
    llm_buf_init(&mem, memory, sizeof(memory));

    if (llm_request_json(&r, ep, text, &mem, &code, &message) != LLM_OK
        || !llm_str_eq(r.model, LLM_STR("a \"model\""))
        || !llm_str_eq(r.member[LLM_M_TEMPERATURE].value, LLM_STR("0.1"))
        || ((choice >> 7 & 1) && !r.include_usage))
    {
        abort();
    }

    if ((choice & 0x10)
        && (llm_json_get(text, LLM_STR("top_p"), &m) == LLM_OK
            || (llm_json_get(text, LLM_STR("max_tokens"), &m) == LLM_OK
                && m.kind != LLM_JSON_NULL)))
    {
        abort();
    }

    free((void *) text.data);
}


static void
check_upload(unsigned choice, llm_str_t body)
{
    llm_buf_t      mem;
    llm_str_t      message, text, type;
    llm_code_t     code;
    llm_part_t     part[LLM_MULTIPART_MAX];
    llm_field_t    field[3];
    llm_edits_t    edits;
    llm_request_t  r;
    unsigned char  memory[2048];

    type = LLM_STR("multipart/form-data; boundary=\"b\"");

    if (llm_request_multipart(&r, LLM_EP_TRANSCRIPTIONS, body, type, part,
                              &code, &message) != LLM_OK)
    {
        if (code == LLM_CODE_NONE || message.len == 0) {
            abort();
        }
        return;
    }

    memset(field, 0, sizeof(field));
    field[0].name = LLM_STR("language");
    field[0].text = LLM_STR("fa");
    field[0].what = choice & 1 ? LLM_FIELD_DEFAULT : LLM_FIELD_SET;

    if ((choice & 4) && r.part_n) {
        /* whatever may stand there, or is refused */
        field[0].text.data = body.data + part[0].body;
        field[0].text.len = part[0].body_end - part[0].body;
    }

    field[1].name = LLM_STR("stream");
    field[1].what = LLM_FIELD_DROP;
    field[2].name = LLM_STR("prompt");
    field[2].what = LLM_FIELD_RENAME;
    field[2].to = LLM_STR("hint");

    llm_buf_init(&mem, memory, sizeof(memory));

    if (llm_request_edits(&r, LLM_STR("model"), field, choice & 2 ? 3 : 1, 0,
                          &mem, &edits)
        != LLM_OK)
    {
        return;
    }

    text = apply(&edits, body);

    if (r.part_n < LLM_MULTIPART_MAX - 2
        && (llm_request_multipart(&r, LLM_EP_TRANSCRIPTIONS, text, type, part,
                                  &code, &message) != LLM_OK
            || !llm_str_eq(r.model, LLM_STR("model"))
            || ((choice & 2)
                && llm_multipart_find(part, r.part_n, LLM_STR("prompt")))))
    {
        abort();
    }

    free((void *) text.data);
}


static void
check_path(llm_str_t path)
{
    llm_str_t       rest, name;
    llm_endpoint_t  ep;

    if (llm_endpoint_find(path, &ep, &rest) != LLM_OK) {
        return;
    }

    name = llm_endpoint_deployment(path, ep, rest);

    if (name.len && (name.data < path.data || name.data + name.len > rest.data))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    llm_str_t  body;

    if (size == 0) {
        return 0;
    }

    body.data = data + 1;
    body.len = size - 1;

    if (data[0] & 0x20) {
        check_upload(data[0], body);
    } else {
        check_json(data[0], body);
    }

    check_path(body);
    (void) llm_audio_estimate(body, size);

    return 0;
}
