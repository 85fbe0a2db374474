/*
 * Content parts of the hub's form as parts of Gemini's: text, pictures, sound,
 * documents.  Strings are copied as they are spelt.
 */

#include "llm_gemini.h"

enum {
    LLM_GH_TYPE, LLM_GH_TEXT, LLM_GH_IMAGE, LLM_GH_AUDIO, LLM_GH_FILE,
    LLM_GH_REFUSAL, LLM_GH_COUNT
};


static const llm_json_want_t  llm_gemini_content_want[LLM_GH_COUNT] = {
    [LLM_GH_TYPE] = { .name = LLM_STR("type") },
    [LLM_GH_TEXT] = { .name = LLM_STR("text") },
    [LLM_GH_IMAGE] = { .name = LLM_STR("image_url") },
    [LLM_GH_AUDIO] = { .name = LLM_STR("input_audio") },
    [LLM_GH_FILE] = { .name = LLM_STR("file") },
    [LLM_GH_REFUSAL] = { .name = LLM_STR("refusal") }
};


void
llm_gemini_text_part(llm_str_t raw, llm_str_t seal, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("{\"text\":"));
    llm_buf_str(out, raw);

    if (seal.len) {
        llm_buf_str(out, LLM_STR(",\"thoughtSignature\":"));
        llm_buf_str(out, seal);
    }

    llm_buf_str(out, LLM_STR("}"));
}


static void
llm_gemini_inline(const llm_data_url_t *url, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("{\"inlineData\":{\"mimeType\":"));
    llm_json_put_string(out, url->type);
    llm_buf_str(out, LLM_STR(",\"data\":\""));
    llm_buf_str(out, url->data);
    llm_buf_str(out, LLM_STR("\"}}"));
}


/* What a URL ends with tells what it is; empty: it does not. */
static llm_str_t
llm_gemini_type_of(llm_str_t raw)
{
    size_t                i;
    llm_str_t             end;
    const unsigned char  *query;

    static const struct {
        llm_str_t  suffix, type;
    } types[] = {
        { LLM_STR(".png"), LLM_STR("image/png") },
        { LLM_STR(".jpg"), LLM_STR("image/jpeg") },
        { LLM_STR(".jpeg"), LLM_STR("image/jpeg") },
        { LLM_STR(".webp"), LLM_STR("image/webp") },
        { LLM_STR(".gif"), LLM_STR("image/gif") },
        { LLM_STR(".heic"), LLM_STR("image/heic") },
        { LLM_STR(".pdf"), LLM_STR("application/pdf") },
        { LLM_STR(".mp4"), LLM_STR("video/mp4") }
    };

    raw.data++;
    raw.len -= 2;

    query = memchr(raw.data, '?', raw.len);
    if (query) {
        raw.len = (size_t) (query - raw.data);
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        end.len = types[i].suffix.len;

        if (raw.len >= end.len) {
            end.data = raw.data + raw.len - end.len;

            if (llm_openai_has(end, types[i].suffix)) {
                return types[i].type;
            }
        }
    }

    return LLM_NOSTR;
}


static void
llm_gemini_reference(llm_str_t raw, llm_buf_t *out)
{
    llm_str_t  type;

    type = llm_gemini_type_of(raw);

    llm_buf_str(out, LLM_STR("{\"fileData\":{"));

    if (type.len) {
        llm_buf_str(out, LLM_STR("\"mimeType\":\""));
        llm_buf_str(out, type);
        llm_buf_str(out, LLM_STR("\","));
    }

    llm_buf_str(out, LLM_STR("\"fileUri\":"));
    llm_buf_str(out, raw);
    llm_buf_str(out, LLM_STR("}}"));
}


static llm_rc_t
llm_gemini_image(const llm_json_want_t *image, llm_buf_t *out,
    llm_loss_t *loss)
{
    llm_str_t          raw;
    llm_data_url_t     url;
    llm_json_member_t  m;

    raw = image->value;

    /* some clients write the URL where its object belongs */

    if (image->kind == LLM_JSON_OBJECT
        && llm_json_get(raw, LLM_STR("url"), &m) == LLM_OK)
    {
        raw = m.value;
    }

    if (llm_json_kind(raw) != LLM_JSON_STRING) {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("messages"),
                             LLM_STR("An image part has no \"url\"."));
    }

    switch (llm_hub_data_url(raw, &url)) {

    case LLM_OK:
        llm_gemini_inline(&url, out);
        return LLM_OK;

    case LLM_NONE:
        llm_gemini_reference(raw, out);
        return LLM_OK;

    default:
        return llm_loss_fail(loss, LLM_NONE, LLM_STR("messages"),
                     LLM_STR("A data URL of an image has to be base64."));
    }
}


static llm_rc_t
llm_gemini_audio(llm_str_t audio, llm_buf_t *out, llm_loss_t *loss)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("data") }, { .name = LLM_STR("format") }
    };

    if (llm_openai_pick(audio, want, 2) != LLM_OK
        || want[0].kind != LLM_JSON_STRING || want[1].kind != LLM_JSON_STRING)
    {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("messages"),
                     LLM_STR("An audio part needs \"data\" and \"format\"."));
    }

    llm_buf_str(out, LLM_STR("{\"inlineData\":{\"mimeType\":\"audio/"));
    llm_buf_str(out, llm_openai_word(want[1].kind, want[1].value));
    llm_buf_str(out, LLM_STR("\",\"data\":"));
    llm_buf_str(out, want[0].value);
    llm_buf_str(out, LLM_STR("}}"));

    return LLM_OK;
}


static llm_rc_t
llm_gemini_file(llm_str_t file, llm_buf_t *out, llm_loss_t *loss)
{
    llm_data_url_t     url;
    llm_json_member_t  m;

    if (llm_json_get(file, LLM_STR("file_data"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING
        && llm_hub_data_url(m.value, &url) == LLM_OK)
    {
        llm_gemini_inline(&url, out);
        return LLM_OK;
    }

    /* ids of other providers mean nothing there */

    if (llm_json_get(file, LLM_STR("file_id"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING && m.value.len > 10
        && (memcmp(m.value.data + 1, "https://", 8) == 0
            || memcmp(m.value.data + 1, "gs://", 5) == 0))
    {
        llm_gemini_reference(m.value, out);
        return LLM_OK;
    }

    return llm_loss_fail(loss, LLM_NONE, LLM_STR("messages"),
                         LLM_STR("A file part is not of a kind that this "
                                 "provider takes."));
}


llm_rc_t
llm_gemini_part(llm_str_t part, int comma, llm_buf_t *out, llm_loss_t *loss)
{
    llm_str_t               type;
    llm_json_want_t         want[LLM_GH_COUNT];
    const llm_json_want_t  *text;

    memcpy(want, llm_gemini_content_want, sizeof(want));

    if (llm_openai_pick(part, want, LLM_GH_COUNT) != LLM_OK
        || want[LLM_GH_TYPE].kind != LLM_JSON_STRING)
    {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("messages"),
                     LLM_STR("A part of a message has no \"type\"."));
    }

    type = want[LLM_GH_TYPE].value;
    text = llm_hub_is(type, LLM_STR("text")) ? &want[LLM_GH_TEXT]
           : llm_hub_is(type, LLM_STR("refusal")) ? &want[LLM_GH_REFUSAL]
           : NULL;

    if (text) {
        if (text->kind != LLM_JSON_STRING || text->value.len <= 2) {
            return LLM_AGAIN;
        }

        llm_buf_put(out, ",", comma != 0);
        llm_gemini_text_part(text->value, LLM_NOSTR, out);
        return LLM_OK;
    }

    llm_buf_put(out, ",", comma != 0);

    if (llm_hub_is(type, LLM_STR("image_url"))) {
        return llm_gemini_image(&want[LLM_GH_IMAGE], out, loss);
    }

    if (llm_hub_is(type, LLM_STR("input_audio"))) {
        return llm_gemini_audio(want[LLM_GH_AUDIO].value, out, loss);
    }

    if (llm_hub_is(type, LLM_STR("file"))) {
        return llm_gemini_file(want[LLM_GH_FILE].value, out, loss);
    }

    return llm_loss_fail(loss, LLM_NONE, LLM_STR("messages"),
                         LLM_STR("A part of a message is of a type that this "
                                 "provider does not take."));
}
