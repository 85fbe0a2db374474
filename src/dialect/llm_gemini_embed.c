/*
 * Embeddings: OpenAI's request as a batch of Gemini's, and the vectors of its
 * answer as a list.  Numbers keep their digits.
 */

#include "llm_gemini.h"

enum { LLM_GE_INPUT, LLM_GE_DIMENSIONS, LLM_GE_FORMAT, LLM_GE_MODEL,
       LLM_GE_COUNT };


static const llm_str_t  llm_embed_names[LLM_GE_COUNT] = {
    [LLM_GE_INPUT] = LLM_STR("input"),
    [LLM_GE_DIMENSIONS] = LLM_STR("dimensions"),
    [LLM_GE_FORMAT] = LLM_STR("encoding_format"),
    [LLM_GE_MODEL] = LLM_STR("model")
};


static llm_rc_t
llm_embed_read(llm_str_t body, llm_json_member_t *member, llm_loss_t *loss)
{
    unsigned           i;
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    llm_loss_init(loss);

    for (i = 0; i < LLM_GE_COUNT; i++) {
        member[i].value = LLM_NOSTR;
        member[i].kind = LLM_JSON_NULL;
    }

    rc = llm_json_begin(&it, body);

    if (rc == LLM_OK && it.close != '}') {
        rc = LLM_BAD;
    }

    while (rc == LLM_OK && (rc = llm_json_next(&it, &m)) == LLM_OK) {

        for (i = 0; i < LLM_GE_COUNT; i++) {
            if (llm_json_key_is(m.key, llm_embed_names[i])) {
                member[i] = m;
                break;
            }
        }

        if (i == LLM_GE_COUNT && !llm_hub_idle(m.kind, m.value)) {
            llm_loss_add(loss, m.key);
        }
    }

    if (rc != LLM_NONE) {
        return llm_loss_fail(loss, LLM_BAD, LLM_NOSTR,
                             LLM_STR("The body has to be a JSON object."));
    }

    if (llm_hub_is(member[LLM_GE_FORMAT].value, LLM_STR("base64"))) {
        /* numbers come instead, which clients read as well */
        llm_loss_add(loss, llm_embed_names[LLM_GE_FORMAT]);
    }

    return LLM_OK;
}


/* The name as it stands in a request of a batch. */
static void
llm_embed_model(llm_str_t model, llm_buf_t *out)
{
    llm_buf_str(out, memchr(model.data, '/', model.len)
                     ? LLM_STR("\"") : LLM_STR("\"models/"));
    llm_json_put_escaped(out, model);
    llm_buf_str(out, LLM_STR("\""));
}


static void
llm_embed_text(llm_str_t model, llm_str_t raw, llm_str_t dimensions,
    int comma, llm_buf_t *out)
{
    llm_buf_put(out, ",", comma != 0);
    llm_buf_str(out, LLM_STR("{\"model\":"));
    llm_embed_model(model, out);
    llm_buf_str(out, LLM_STR(",\"content\":{\"parts\":[{\"text\":"));
    llm_buf_str(out, raw);
    llm_buf_str(out, LLM_STR("}]}"));

    if (dimensions.len) {
        llm_buf_str(out, LLM_STR(",\"outputDimensionality\":"));
        llm_buf_str(out, dimensions);
    }

    llm_buf_str(out, LLM_STR("}"));
}


llm_rc_t
llm_gemini_embed_request(llm_str_t model, llm_str_t body, llm_buf_t *out,
    llm_loss_t *loss)
{
    size_t             n;
    llm_rc_t           rc;
    llm_str_t          dimensions;
    llm_json_iter_t    it;
    llm_json_member_t  member[LLM_GE_COUNT], m;

    rc = llm_embed_read(body, member, loss);
    if (rc != LLM_OK) {
        return rc;
    }

    dimensions = member[LLM_GE_DIMENSIONS].kind == LLM_JSON_NUMBER
                 ? member[LLM_GE_DIMENSIONS].value : LLM_NOSTR;

    llm_buf_str(out, LLM_STR("{\"requests\":["));

    n = 0;

    if (member[LLM_GE_INPUT].kind == LLM_JSON_STRING) {
        llm_embed_text(model, member[LLM_GE_INPUT].value, dimensions, 0, out);
        n = 1;

    } else if (member[LLM_GE_INPUT].kind == LLM_JSON_ARRAY
               && llm_json_begin(&it, member[LLM_GE_INPUT].value) == LLM_OK)
    {
        for ( /* void */ ; llm_json_next(&it, &m) == LLM_OK; n++) {

            if (m.kind != LLM_JSON_STRING) {
                return llm_loss_fail(loss, LLM_NONE, LLM_STR("input"),
                             LLM_STR("This provider embeds texts, no tokens."));
            }

            llm_embed_text(model, m.value, dimensions, n != 0, out);
        }
    }

    if (n == 0) {
        return llm_loss_fail(loss, LLM_BAD, LLM_STR("input"),
                             LLM_STR("The member \"input\" has to be a string "
                                     "or an array of them."));
    }

    llm_buf_str(out, LLM_STR("]}"));

    return out->full ? LLM_FULL : LLM_OK;
}


void
llm_gemini_embed_whole(llm_str_t model, llm_str_t body, llm_buf_t *out)
{
    size_t             n;
    llm_usage_t        usage;
    llm_json_iter_t    it;
    llm_json_member_t  m, values;

    llm_usage_init(&usage);
    llm_buf_str(out, LLM_STR("{\"object\":\"list\",\"data\":["));

    if (llm_json_get(body, LLM_STR("embeddings"), &m) == LLM_OK
        && llm_json_begin(&it, m.value) == LLM_OK)
    {
        for (n = 0; llm_json_next(&it, &m) == LLM_OK; n++) {

            if (llm_json_get(m.value, LLM_STR("values"), &values) != LLM_OK) {
                values.value = LLM_STR("[]");
            }

            llm_buf_put(out, ",", n != 0);
            llm_buf_str(out, LLM_STR("{\"object\":\"embedding\",\"index\":"));
            llm_json_put_uint(out, n);
            llm_buf_str(out, LLM_STR(",\"embedding\":"));
            llm_buf_str(out, values.value);
            llm_buf_str(out, LLM_STR("}"));
        }
    }

    if (llm_json_get(body, LLM_STR("usageMetadata"), &m) == LLM_OK) {
        llm_gemini_usage(m.value, &usage);
    }

    if (usage.input == LLM_UNKNOWN) {
        usage.input = 0;
    }

    llm_buf_str(out, LLM_STR("],\"model\":"));
    llm_json_put_string(out, model);
    llm_buf_str(out, LLM_STR(",\"usage\":{\"prompt_tokens\":"));
    llm_json_put_uint(out, usage.input);
    llm_buf_str(out, LLM_STR(",\"total_tokens\":"));
    llm_json_put_uint(out, usage.input);
    llm_buf_str(out, LLM_STR("}}"));
}
