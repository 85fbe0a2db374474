/*
 * Parts of what a client of Responses says, or of what its tools returned, as
 * parts of the user's message in the hub's form.
 */

#include "llm_front_responses.h"


static llm_rc_t
llm_part_image(llm_turns_t *t, llm_str_t part)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("image_url") }, { .name = LLM_STR("detail") }
    };

    if (llm_openai_pick(part, want, 2) != LLM_OK
        || want[0].kind != LLM_JSON_STRING)
    {
        return llm_turns_fail(t, LLM_NONE,
                              LLM_STR("An image without \"image_url\" is "
                                      "stored at another provider."));
    }

    llm_turns_part(t, LLM_STR("{\"type\":\"image_url\",\"image_url\":"
                              "{\"url\":"));
    llm_buf_str(t->out, want[0].value);

    if (want[1].kind == LLM_JSON_STRING
        && !llm_hub_is(want[1].value, LLM_STR("original")))
    {
        llm_hub_put_member(t->out, want[1].name, want[1].value);
    }

    llm_buf_str(t->out, LLM_STR("}}"));

    return LLM_OK;
}


static llm_rc_t
llm_part_file(llm_turns_t *t, llm_str_t part)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("file_data") }, { .name = LLM_STR("filename") },
        { .name = LLM_STR("file_id") }
    };

    if (llm_openai_pick(part, want, 3) != LLM_OK
        || (want[0].kind != LLM_JSON_STRING && want[2].kind != LLM_JSON_STRING))
    {
        return llm_turns_fail(t, LLM_NONE,
                              LLM_STR("A file needs \"file_data\" or a "
                                      "\"file_id\" of the provider."));
    }

    llm_turns_part(t, LLM_STR("{\"type\":\"file\",\"file\":{"));

    if (want[0].kind == LLM_JSON_STRING) {
        llm_buf_str(t->out, LLM_STR("\"file_data\":"));
        llm_buf_str(t->out, want[0].value);
        llm_hub_put_member(t->out, want[1].name,
                           want[1].kind == LLM_JSON_STRING
                           ? want[1].value : LLM_STR("\"file\""));

    } else {
        llm_buf_str(t->out, LLM_STR("\"file_id\":"));
        llm_buf_str(t->out, want[2].value);
    }

    llm_buf_str(t->out, LLM_STR("}}"));

    return LLM_OK;
}


static llm_rc_t
llm_part_audio(llm_turns_t *t, llm_str_t part)
{
    llm_json_member_t  m;

    if (llm_json_get(part, LLM_STR("input_audio"), &m) != LLM_OK
        || m.kind != LLM_JSON_OBJECT)
    {
        return llm_turns_fail(t, LLM_BAD,
                              LLM_STR("Audio has no \"input_audio\"."));
    }

    llm_turns_part(t, LLM_STR("{\"type\":\"input_audio\",\"input_audio\":"));
    llm_buf_str(t->out, m.value);
    llm_buf_str(t->out, LLM_STR("}"));

    return LLM_OK;
}


static llm_rc_t
llm_part_text(llm_turns_t *t, llm_str_t part)
{
    llm_json_member_t  m;

    if (llm_json_get(part, LLM_STR("text"), &m) != LLM_OK
        || m.kind != LLM_JSON_STRING)
    {
        return llm_turns_fail(t, LLM_BAD, LLM_STR("A text has no \"text\"."));
    }

    llm_turns_text(t, m.value);

    return LLM_OK;
}


llm_rc_t
llm_responses_parts(llm_turns_t *t, llm_str_t content, int texts)
{
    llm_rc_t           rc;
    llm_json_iter_t    it;
    llm_json_member_t  m, type;

    rc = llm_json_begin(&it, content);

    while (rc == LLM_OK && llm_json_next(&it, &m) == LLM_OK) {

        if (llm_json_get(m.value, LLM_STR("type"), &type) != LLM_OK) {
            return llm_turns_fail(t, LLM_BAD,
                                  LLM_STR("A part has no \"type\"."));
        }

        if (llm_hub_is(type.value, LLM_STR("input_text"))
            || llm_hub_is(type.value, LLM_STR("output_text")))
        {
            rc = texts ? llm_part_text(t, m.value) : LLM_OK;

        } else if (llm_hub_is(type.value, LLM_STR("input_image"))) {
            rc = llm_part_image(t, m.value);

        } else if (llm_hub_is(type.value, LLM_STR("input_file"))) {
            rc = llm_part_file(t, m.value);

        } else if (llm_hub_is(type.value, LLM_STR("input_audio"))) {
            rc = llm_part_audio(t, m.value);

        } else {
            rc = llm_turns_fail(t, LLM_NONE,
                                LLM_STR("A part is of a type that this "
                                        "provider does not take."));
        }
    }

    return rc;
}
