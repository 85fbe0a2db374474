/*
 * OpenRouter: OpenAI's dialect, but for transcripts, which it is asked for in
 * JSON with the sound in base64.
 */

#include "llm_openrouter.h"


llm_rc_t
llm_openrouter_speech_request(const llm_speech_t *s, llm_buf_t *out,
    size_t *at, llm_loss_t *loss)
{
    if (s->prompt.len) {
        llm_loss_add(loss, LLM_STR("prompt"));
    }

    llm_buf_str(out, LLM_STR("{\"model\":"));
    llm_json_put_string(out, s->model);
    llm_buf_str(out, LLM_STR(",\"input_audio\":{\"data\":\""));

    *at = (size_t) (out->pos - out->start);

    llm_buf_str(out, LLM_STR("\",\"format\":\""));
    llm_buf_str(out, s->format);
    llm_buf_str(out, LLM_STR("\"}"));

    if (s->language.len) {
        llm_buf_str(out, LLM_STR(",\"language\":\""));
        llm_buf_str(out, s->language);
        llm_buf_str(out, LLM_STR("\""));
    }

    if (s->temperature.len) {
        llm_buf_str(out, LLM_STR(",\"temperature\":"));
        llm_buf_str(out, s->temperature);
    }

    llm_buf_str(out, LLM_STR("}"));

    return out->full ? LLM_FULL : LLM_OK;
}


void
llm_openrouter_speech_deltas(llm_str_t body, const llm_sink_t *sink)
{
    llm_delta_t      d;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("text") }, { .name = LLM_STR("usage") }
    };

    if (llm_openai_pick(body, want, 2) != LLM_OK) {
        return;
    }

    if (want[0].kind == LLM_JSON_STRING) {
        llm_delta_text(sink, LLM_DELTA_TEXT, want[0].value);
    }

    if (want[1].kind == LLM_JSON_OBJECT) {
        memset(&d, 0, sizeof(llm_delta_t));
        d.kind = LLM_DELTA_USAGE;
        llm_usage_init(&d.usage);
        llm_openai_usage(want[1].value, &d.usage);
        sink->put(sink->data, &d);
    }
}
