/*
 * The table of dialects, and what all of their streams have in common.
 */

#include "llm_anthropic.h"
#include "llm_front.h"
#include "llm_gemini.h"
#include "llm_openrouter.h"
#include "llm_whispercpp.h"

#define LLM_EP_SPEECH_TEXT  (LLM_EP_BIT(LLM_EP_TRANSCRIPTIONS)                \
                             | LLM_EP_BIT(LLM_EP_TRANSLATIONS))


static const llm_swap_t  llm_gemini_swaps[] = {
    { .endpoint = LLM_EP_EMBEDDINGS, .request = llm_gemini_embed_request,
      .whole = llm_gemini_embed_whole },
    { .endpoint = LLM_EP_UNKNOWN }
};

static const llm_swap_t  llm_whispercpp_swaps[] = {
    { .endpoint = LLM_EP_TRANSCRIPTIONS, .form = llm_whispercpp_form,
      .whole = llm_whispercpp_whole, .plain = llm_whispercpp_plain },
    { .endpoint = LLM_EP_TRANSLATIONS, .form = llm_whispercpp_form,
      .whole = llm_whispercpp_whole, .plain = llm_whispercpp_plain },
    { .endpoint = LLM_EP_UNKNOWN }
};


/* 20 MB is what Google takes of a request with its sound inside. */
static const llm_speech_way_t  llm_gemini_speech = {
    .endpoints = LLM_EP_SPEECH_TEXT,
    .max = 20 * 1024 * 1024,
    .request = llm_gemini_speech_request,
    .deltas = llm_gemini_deltas
};


static const llm_speech_way_t  llm_openrouter_speech = {
    .endpoints = LLM_EP_BIT(LLM_EP_TRANSCRIPTIONS),
    .request = llm_openrouter_speech_request,
    .deltas = llm_openrouter_speech_deltas
};


/* How most want their keys. */
#define LLM_BEARER                                                            \
    .auth_header = LLM_STR("Authorization"),                                  \
    .auth_prefix = LLM_STR("Bearer ")

/* Of those that answer in OpenAI's shapes. */
#define LLM_OPENAI_FUNCTIONS                                                  \
    .answer = llm_openai_answer,                                              \
    .refusal = llm_openai_refusal,                                            \
    .event = llm_openai_event,                                                \
    .text = llm_openai_text,                                                  \
    .key_looks_right = llm_openai_key_looks_right,                            \
    .request = llm_openai_request,                                            \
    .stream = llm_openai_stream


static const llm_dialect_t  llm_dialects[] = {
    {
        .name = LLM_STR("openai"),
        LLM_BEARER,
        .native = LLM_EP_ALL & ~LLM_EP_BIT(LLM_EP_MESSAGES),
        .optional = LLM_EP_BIT(LLM_EP_RESPONSES) | LLM_EP_BIT(LLM_EP_MESSAGES),
        .path = llm_openai_path,
        LLM_OPENAI_FUNCTIONS,
        .prefill = llm_prefill_openai
    },
    {
        .name = LLM_STR("azure"),
        .auth_header = LLM_STR("api-key"),
        .native = LLM_EP_ALL & ~LLM_EP_BIT(LLM_EP_MESSAGES),
        .optional = LLM_EP_BIT(LLM_EP_RESPONSES),
        .deployments = 1,
        .path = llm_azure_path,
        LLM_OPENAI_FUNCTIONS
    },
    {
        .name = LLM_STR("anthropic"),
        .auth_header = LLM_STR("x-api-key"),
        .root = LLM_STR("/v1"),
        .version_header = LLM_STR("anthropic-version"),
        .version = LLM_STR("2023-06-01"),
        .native = LLM_EP_BIT(LLM_EP_UNKNOWN) | LLM_EP_BIT(LLM_EP_MODELS)
                  | LLM_EP_BIT(LLM_EP_FILES) | LLM_EP_BIT(LLM_EP_PASSTHROUGH)
                  | LLM_EP_BIT(LLM_EP_MESSAGES),
        .models = LLM_MODELS_ANTHROPIC,
        .path = llm_anthropic_path,
        .answer = llm_anthropic_answer,
        .refusal = llm_anthropic_refusal,
        .event = llm_anthropic_event,
        .text = llm_anthropic_text,
        .key_looks_right = llm_openai_key_looks_right,
        .request = llm_anthropic_request,
        .stream = llm_anthropic_stream,
        .prefill = llm_prefill_anthropic,
        .foreign = llm_anthropic_foreign
    },
    {
        .name = LLM_STR("gemini"),
        .auth_header = LLM_STR("x-goog-api-key"),
        .root = LLM_STR("/v1beta"),
        .native = LLM_EP_BIT(LLM_EP_UNKNOWN) | LLM_EP_BIT(LLM_EP_MODELS)
                  | LLM_EP_BIT(LLM_EP_FILES) | LLM_EP_BIT(LLM_EP_PASSTHROUGH),
        .models = LLM_MODELS_GOOGLE,
        .path = llm_gemini_path,
        .answer = llm_gemini_answer,
        .refusal = llm_gemini_refusal,
        .event = llm_gemini_event,
        .text = llm_gemini_text,
        .key_looks_right = llm_openai_key_looks_right,
        .request = llm_gemini_request,
        .stream = llm_gemini_stream,
        .prefill = llm_prefill_gemini,
        .swaps = llm_gemini_swaps,
        .speech = &llm_gemini_speech
    },
    {
        .name = LLM_STR("openrouter"),
        LLM_BEARER,
        .native = LLM_EP_ALL & ~(LLM_EP_BIT(LLM_EP_MESSAGES)
                                 | LLM_EP_SPEECH_TEXT),
        .optional = LLM_EP_BIT(LLM_EP_RESPONSES) | LLM_EP_BIT(LLM_EP_MESSAGES),
        .health = LLM_STR("/key"),
        .path = llm_openai_path,
        LLM_OPENAI_FUNCTIONS,
        .prefill = llm_prefill_openai,
        .speech = &llm_openrouter_speech
    },
    {
        .name = LLM_STR("whispercpp"),
        LLM_BEARER,
        .native = LLM_EP_BIT(LLM_EP_UNKNOWN) | LLM_EP_BIT(LLM_EP_PASSTHROUGH),
        .health = LLM_STR("/health"),
        .path = llm_whispercpp_path,
        .answer = llm_whispercpp_answer,
        .refusal = llm_whispercpp_refusal,
        .event = llm_openai_event,
        .text = llm_openai_text,
        .key_looks_right = llm_openai_key_looks_right,
        .swaps = llm_whispercpp_swaps
    },
    {
        .name = LLM_STR("mock"),
        LLM_BEARER,
        .native = LLM_EP_ALL & ~LLM_EP_BIT(LLM_EP_MESSAGES)
                  & ~LLM_EP_BIT(LLM_EP_REALTIME),
        .optional = LLM_EP_BIT(LLM_EP_RESPONSES),
        .path = llm_openai_path,
        LLM_OPENAI_FUNCTIONS,
        .prefill = llm_prefill_openai
    }
};

#define LLM_DIALECTS  (sizeof(llm_dialects) / sizeof(llm_dialects[0]))


const llm_dialect_t *
llm_dialect_find(llm_str_t name)
{
    size_t  i;

    for (i = 0; i < LLM_DIALECTS; i++) {
        if (llm_str_eq(name, llm_dialects[i].name)) {
            return &llm_dialects[i];
        }
    }

    return NULL;
}


llm_str_t
llm_dialect_names(void)
{
    return LLM_STR("openai, azure, anthropic, gemini, openrouter, whispercpp, "
                   "mock");
}


const llm_swap_t *
llm_dialect_swap(const llm_dialect_t *d, llm_endpoint_t ep)
{
    const llm_swap_t  *swap;

    for (swap = d->swaps; swap && swap->endpoint != LLM_EP_UNKNOWN; swap++) {
        if (swap->endpoint == ep) {
            return swap;
        }
    }

    return NULL;
}


const llm_speech_way_t *
llm_dialect_speech(const llm_dialect_t *d, llm_endpoint_t ep)
{
    return d->speech && (d->speech->endpoints & LLM_EP_BIT(ep)) ? d->speech
                                                                : NULL;
}


llm_way_t
llm_dialect_way(const llm_dialect_t *d, uint32_t native, llm_endpoint_t ep)
{
    if (native & LLM_EP_BIT(ep)) {
        return LLM_WAY_NATIVE;
    }

    if ((d->request && llm_front_find(ep)) || llm_dialect_swap(d, ep)
        || llm_dialect_speech(d, ep))
    {
        return LLM_WAY_HUB;
    }

    return LLM_WAY_NONE;
}


const llm_dialect_t *
llm_dialect_reader(const llm_dialect_t *d, llm_endpoint_t ep)
{
    const llm_front_t  *front;

    front = llm_front_find(ep);

    if (front == NULL || (d->native & LLM_EP_BIT(ep))) {
        return d;
    }

    return llm_dialect_find(front->dialect);
}


void
llm_answer_init(llm_answer_t *a)
{
    unsigned           brief;
    const llm_sink_t  *sink;

    brief = a->brief;
    sink = a->sink;

    memset(a, 0, sizeof(llm_answer_t));

    a->brief = brief & 1;
    a->sink = sink;
    llm_usage_init(&a->usage);
}


void
llm_stream_init(llm_stream_t *s, llm_endpoint_t ep)
{
    memset(s, 0, sizeof(llm_stream_t));

    s->endpoint = ep;
    s->needs_done = ep == LLM_EP_CHAT || ep == LLM_EP_COMPLETIONS;
    llm_usage_init(&s->usage);

    s->count[0] = s->count[1] = s->count[2] = LLM_UNKNOWN;
}


int
llm_stream_complete(const llm_stream_t *s)
{
    if (s->error != LLM_CLASS_OK) {
        return 0;
    }

    if (s->terminal) {
        return 1;
    }

    if (s->choices && (s->choices & ~s->finished) == 0) {
        return 1;
    }

    /* a terminator behind nothing at all is no answer */

    return s->done && (s->content || s->choices);
}
