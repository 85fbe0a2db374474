/*
 * Content parts of the hub's form as blocks of Anthropic's: text, pictures,
 * documents.  Strings are copied as they are spelt.
 */

#include "llm_anthropic.h"

enum {
    LLM_AP_TYPE, LLM_AP_TEXT, LLM_AP_IMAGE, LLM_AP_FILE, LLM_AP_REFUSAL,
    LLM_AP_CACHE, LLM_AP_COUNT
};


static const llm_json_want_t  llm_part_want[LLM_AP_COUNT] = {
    [LLM_AP_TYPE] = { .name = LLM_STR("type") },
    [LLM_AP_TEXT] = { .name = LLM_STR("text") },
    [LLM_AP_IMAGE] = { .name = LLM_STR("image_url") },
    [LLM_AP_FILE] = { .name = LLM_STR("file") },
    [LLM_AP_REFUSAL] = { .name = LLM_STR("refusal") },
    [LLM_AP_CACHE] = { .name = LLM_STR("cache_control") }
};


static void
llm_anthropic_cache(llm_str_t cache, llm_buf_t *out)
{
    if (cache.len && llm_json_kind(cache) == LLM_JSON_OBJECT) {
        llm_buf_str(out, LLM_STR(",\"cache_control\":"));
        llm_buf_str(out, cache);
    }
}


void
llm_anthropic_text_block(llm_str_t raw, llm_str_t cache, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("{\"type\":\"text\",\"text\":"));
    llm_buf_str(out, raw);
    llm_anthropic_cache(cache, out);
    llm_buf_str(out, LLM_STR("}"));
}


/* {"type":"image","source":…} and its like. */
static void
llm_anthropic_base64(llm_str_t type, const llm_data_url_t *url, llm_str_t cache,
    llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("{\"type\":\""));
    llm_buf_str(out, type);
    llm_buf_str(out, LLM_STR("\",\"source\":{\"type\":\"base64\","
                             "\"media_type\":"));
    llm_json_put_string(out, url->type);
    llm_buf_str(out, LLM_STR(",\"data\":\""));
    llm_buf_str(out, url->data);
    llm_buf_str(out, LLM_STR("\"}"));
    llm_anthropic_cache(cache, out);
    llm_buf_str(out, LLM_STR("}"));
}


static void
llm_anthropic_source(llm_str_t type, llm_str_t kind, llm_str_t raw,
    llm_str_t cache, llm_buf_t *out)
{
    llm_buf_str(out, LLM_STR("{\"type\":\""));
    llm_buf_str(out, type);
    llm_buf_str(out, LLM_STR("\",\"source\":{\"type\":\""));
    llm_buf_str(out, kind);
    llm_buf_str(out, LLM_STR("\",\""));
    llm_buf_str(out, kind);
    llm_buf_str(out, llm_str_eq(kind, LLM_STR("file")) ? LLM_STR("_id\":")
                                                       : LLM_STR("\":"));
    llm_buf_str(out, raw);
    llm_buf_str(out, LLM_STR("}"));
    llm_anthropic_cache(cache, out);
    llm_buf_str(out, LLM_STR("}"));
}


static llm_rc_t
llm_anthropic_image(const llm_json_want_t *image, llm_str_t cache,
    llm_buf_t *out, llm_loss_t *loss)
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
        llm_anthropic_base64(LLM_STR("image"), &url, cache, out);
        return LLM_OK;

    case LLM_NONE:
        llm_anthropic_source(LLM_STR("image"), LLM_STR("url"), raw, cache,
                             out);
        return LLM_OK;

    default:
        return llm_loss_fail(loss, LLM_NONE, LLM_STR("messages"),
                     LLM_STR("A data URL of an image has to be base64."));
    }
}


static llm_rc_t
llm_anthropic_file(llm_str_t file, llm_str_t cache, llm_buf_t *out,
    llm_loss_t *loss)
{
    llm_data_url_t     url;
    llm_json_member_t  m;

    if (llm_json_get(file, LLM_STR("file_data"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING
        && llm_hub_data_url(m.value, &url) == LLM_OK)
    {
        llm_anthropic_base64(LLM_STR("document"), &url, cache, out);
        return LLM_OK;
    }

    /* ids of other providers mean nothing there */

    if (llm_json_get(file, LLM_STR("file_id"), &m) == LLM_OK
        && m.kind == LLM_JSON_STRING && m.value.len > 7
        && memcmp(m.value.data + 1, "file_", 5) == 0)
    {
        llm_anthropic_source(LLM_STR("document"), LLM_STR("file"), m.value,
                             cache, out);
        return LLM_OK;
    }

    return llm_loss_fail(loss, LLM_NONE, LLM_STR("messages"),
                         LLM_STR("A file part is not of a kind that this "
                                 "provider takes."));
}


llm_rc_t
llm_anthropic_block(llm_str_t part, int comma, llm_buf_t *out,
    llm_loss_t *loss)
{
    llm_str_t               type, cache;
    llm_json_want_t         want[LLM_AP_COUNT];
    const llm_json_want_t  *text;

    memcpy(want, llm_part_want, sizeof(want));

    if (llm_openai_pick(part, want, LLM_AP_COUNT) != LLM_OK
        || want[LLM_AP_TYPE].kind != LLM_JSON_STRING)
    {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("messages"),
                     LLM_STR("A part of a message has no \"type\"."));
    }

    type = want[LLM_AP_TYPE].value;
    cache = want[LLM_AP_CACHE].value;
    text = NULL;

    if (llm_hub_is(type, LLM_STR("text"))) {
        text = &want[LLM_AP_TEXT];

    } else if (llm_hub_is(type, LLM_STR("refusal"))) {
        text = &want[LLM_AP_REFUSAL];
    }

    if (text) {
        if (text->kind != LLM_JSON_STRING || llm_hub_blank(text->value)) {
            return LLM_AGAIN;
        }

        llm_buf_put(out, ",", comma != 0);
        llm_anthropic_text_block(text->value, cache, out);
        return LLM_OK;
    }

    llm_buf_put(out, ",", comma != 0);

    if (llm_hub_is(type, LLM_STR("image_url"))) {
        return llm_anthropic_image(&want[LLM_AP_IMAGE], cache, out, loss);
    }

    if (llm_hub_is(type, LLM_STR("file"))
        && want[LLM_AP_FILE].kind == LLM_JSON_OBJECT)
    {
        return llm_anthropic_file(want[LLM_AP_FILE].value, cache, out, loss);
    }

    return llm_loss_fail(loss, LLM_NONE, LLM_STR("messages"),
                         LLM_STR("A part of a message is of a type that this "
                                 "provider does not take."));
}
