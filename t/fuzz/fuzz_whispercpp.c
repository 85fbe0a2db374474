/*
 * The whisper.cpp dialect: forms on their way there, answers and refusals on
 * their way back; the first byte chooses.
 */

#include <stdlib.h>

#include "llm_whispercpp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const llm_dialect_t  *whisper;
static const llm_swap_t     *swap;
static unsigned char         memory[2048];


/* An answer becomes JSON that is read alike, and text in the room there is. */
static void
check_whole(llm_str_t body)
{
    size_t          size;
    llm_buf_t       mem, out;
    llm_answer_t    before, after;
    unsigned char  *text;

    llm_buf_init(&mem, memory, sizeof(memory));
    memset(&before, 0, sizeof(before));
    whisper->answer(LLM_EP_TRANSCRIPTIONS, body, &mem, &before);

    if (before.class != LLM_CLASS_OK || llm_json_check(body) != LLM_OK) {
        return;
    }

    size = 16 * body.len + 1024;
    text = malloc(size);

    llm_buf_init(&out, text, size);
    swap->whole(LLM_STR("m"), body, &out);

    if (out.full || llm_json_check(llm_buf_view(&out)) != LLM_OK) {
        abort();
    }

    memset(&after, 0, sizeof(after));
    whisper->answer(LLM_EP_TRANSCRIPTIONS, llm_buf_view(&out), &mem, &after);

    if (after.class != LLM_CLASS_OK
        || after.usage.audio_ms != before.usage.audio_ms)
    {
        abort();
    }

    free(text);
}


static void
check_plain(unsigned choice, llm_str_t body)
{
    llm_buf_t       out;
    llm_str_t       type;
    unsigned char  *text;

    static const llm_str_t  types[] = {
        LLM_STR("text/html"), LLM_STR("text/vtt"),
        LLM_STR("application/x-subrip"), LLM_STR("image/png")
    };

    text = malloc(body.len + 1);
    llm_buf_init(&out, text, body.len + 1);
    type = swap->plain(types[choice % 4], body, &out);

    if ((choice % 4 == 3 && type.len) || (type.len && out.full)) {
        abort();
    }

    free(text);
}


/* What is sent is a form again, without a model. */
static void
check_form(llm_str_t body)
{
    size_t          i, at, n;
    llm_buf_t       mem, out;
    llm_str_t       type, message;
    llm_code_t      code;
    llm_loss_t      loss;
    llm_part_t      part[LLM_MULTIPART_MAX];
    llm_edits_t     edits;
    llm_field_t     field[LLM_FORM_FIELDS];
    llm_request_t   r;
    unsigned char  *text;

    type = LLM_STR("multipart/form-data; boundary=b");

    if (llm_request_multipart(&r, LLM_EP_TRANSLATIONS, body, type, part, &code,
                              &message) != LLM_OK)
    {
        return;
    }

    if (swap->form(&r, field, &n, &loss) != LLM_OK) {
        if (loss.message.len == 0 || loss.param.len == 0) {
            abort();
        }
        return;
    }

    llm_buf_init(&mem, memory, sizeof(memory));

    if (n > LLM_FORM_FIELDS
        || llm_request_edits(&r, LLM_NOSTR, field, n, 0, &mem, &edits)
           != LLM_OK)
    {
        return;
    }

    text = malloc(llm_edits_length(&edits, body.len));
    llm_buf_init(&out, text, llm_edits_length(&edits, body.len));

    for (i = 0, at = 0; i < edits.n; i++) {
        llm_buf_put(&out, body.data + at, edits.edit[i].at - at);
        llm_buf_str(&out, edits.edit[i].text);
        at = edits.edit[i].at + edits.edit[i].cut;
    }

    llm_buf_put(&out, body.data + at, body.len - at);

    if (r.part_n < LLM_MULTIPART_MAX - 4
        && (llm_request_multipart(&r, LLM_EP_TRANSLATIONS, llm_buf_view(&out),
                                  type, part, &code, &message) != LLM_OK
            || llm_multipart_count(part, r.part_n, LLM_STR("model"))
            || !llm_multipart_count(part, r.part_n, LLM_STR("translate"))))
    {
        abort();
    }

    free(text);
}


static void
check_refusal(unsigned choice, llm_str_t body)
{
    llm_buf_t      mem;
    llm_hint_t     hint;
    llm_refusal_t  refusal;

    static const unsigned  status[] = { 400, 404, 500, 503 };

    llm_hint_init(&hint);
    llm_buf_init(&mem, memory, sizeof(memory));
    whisper->refusal(status[choice % 4], &hint, body, 1, &mem, &refusal);

    if (refusal.outcome.class == LLM_CLASS_OK) {
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

    body = (llm_str_t) { size - 1, data + 1 };
    whisper = llm_dialect_find(LLM_STR("whispercpp"));
    swap = llm_dialect_swap(whisper, LLM_EP_TRANSLATIONS);

    switch (data[0] % 4) {
    case 0:
        check_whole(body);
        break;
    case 1:
        check_plain(data[0] / 4, body);
        break;
    case 2:
        check_form(body);
        break;
    default:
        check_refusal(data[0] / 4, body);
    }

    return 0;
}
