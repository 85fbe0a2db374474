/*
 * Reasoning that somebody else wrote.  Anthropic looks at the signatures of all
 * blocks of a conversation and refuses it for one that is not its own, while
 * what other providers thought has none, or one that keeps a seal of Gemini's.
 */

#include "llm_anthropic.h"


int
llm_anthropic_thought(llm_str_t block)
{
    llm_json_want_t  want[] = {
        { .name = LLM_STR("signature") },
        { .name = LLM_STR("data") }
    };

    if (llm_hub_kept(block).len || llm_openai_pick(block, want, 2) != LLM_OK) {
        return 0;
    }

    return (want[0].kind == LLM_JSON_STRING && want[0].value.len > 2)
           || (want[1].kind == LLM_JSON_STRING && want[1].value.len > 2);
}


static int
llm_thought_foreign(llm_str_t block)
{
    llm_json_member_t  m;

    return llm_json_get(block, LLM_STR("type"), &m) == LLM_OK
           && llm_hub_is(m.value, LLM_STR("thinking"))
           && !llm_anthropic_thought(block);
}


/* The content of an assistant's message with such blocks, or empty. */
static llm_str_t
llm_thought_content(llm_str_t message)
{
    llm_json_iter_t    it;
    llm_json_member_t  m, content;

    /* the role stands in front mostly, and long messages are the user's */

    if (llm_json_get(message, LLM_STR("role"), &m) != LLM_OK
        || !llm_hub_is(m.value, LLM_STR("assistant"))
        || llm_json_get(message, LLM_STR("content"), &content) != LLM_OK
        || content.kind != LLM_JSON_ARRAY
        || llm_json_begin(&it, content.value) != LLM_OK)
    {
        return LLM_NOSTR;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {
        if (llm_thought_foreign(m.value)) {
            return content.value;
        }
    }

    return LLM_NOSTR;
}


/* The messages from the first such one to the last. */
static llm_str_t
llm_thought_span(llm_str_t messages)
{
    llm_str_t          span;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    span = LLM_NOSTR;

    if (llm_json_begin(&it, messages) != LLM_OK) {
        return span;
    }

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_thought_content(m.value).len == 0) {
            continue;
        }

        if (span.len == 0) {
            span.data = m.value.data;
        }

        span.len = (size_t) (m.value.data + m.value.len - span.data);
    }

    return span;
}


/* A message without them; one that says nothing else has to say something. */
static void
llm_thought_rest(llm_str_t message, llm_str_t content, llm_buf_t *out)
{
    size_t                n;
    llm_json_iter_t       it;
    llm_json_member_t     m;
    const unsigned char  *end;

    llm_buf_put(out, message.data, (size_t) (content.data - message.data));

    n = 0;

    if (llm_json_begin(&it, content) == LLM_OK) {
        while (llm_json_next(&it, &m) == LLM_OK) {

            if (!llm_thought_foreign(m.value)) {
                llm_buf_put(out, n++ ? "," : "[", 1);
                llm_buf_str(out, m.value);
            }
        }
    }

    llm_buf_str(out, n ? LLM_STR("]") : LLM_STR("\".\""));

    end = content.data + content.len;
    llm_buf_put(out, end, (size_t) (message.data + message.len - end));
}


llm_rc_t
llm_anthropic_foreign(llm_str_t model, llm_str_t messages, llm_str_t *span,
    llm_buf_t *out)
{
    llm_str_t          content;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (!llm_openai_has(model, LLM_STR("claude"))) {
        /* others that speak like that want back what they said unsigned */
        return LLM_NONE;
    }

    *span = llm_thought_span(messages);

    if (span->len == 0 || llm_json_begin(&it, messages) != LLM_OK) {
        return LLM_NONE;
    }

    while (llm_json_next(&it, &m) == LLM_OK
           && m.value.data < span->data + span->len)
    {
        if (m.value.data < span->data) {
            continue;
        }

        llm_buf_put(out, ",", m.value.data != span->data);
        content = llm_thought_content(m.value);

        if (content.len) {
            llm_thought_rest(m.value, content, out);
        } else {
            llm_buf_str(out, m.value);
        }
    }

    return out->full ? LLM_FULL : LLM_OK;
}
