/*
 * Azure's paths: the deployment and the version where its two APIs want them.
 */

#include "tap.h"

#include "llm_openai.h"

static const llm_dialect_t  *azure;
static unsigned char         written[256];


static void
test_paths(void)
{
    size_t       i;
    char         name[128];
    llm_buf_t    out;
    llm_place_t  place;

    static const struct {
        const char      *base;
        llm_endpoint_t   ep;
        const char      *rest, *model, *version, *want;
    } t[] = {
        { "/openai", LLM_EP_CHAT, "", "d", "",
          "/deployments/d/chat/completions?api-version=2024-10-21" },
        { "", LLM_EP_CHAT, "", "d", "",
          "/openai/deployments/d/chat/completions?api-version=2024-10-21" },
        { "/apim", LLM_EP_TRANSCRIPTIONS, "", "a.b-c_d", "2025-04-01-preview",
          "/openai/deployments/a.b-c_d/audio/transcriptions"
          "?api-version=2025-04-01-preview" },
        { "/openai", LLM_EP_TRANSLATIONS, "", "d", "x",
          "/deployments/d/audio/translations?api-version=x" },
        { "/openai", LLM_EP_SPEECH, "", "d", "x",
          "/deployments/d/audio/speech?api-version=x" },
        { "/openai", LLM_EP_IMAGES, "", "d", "x",
          "/deployments/d/images/generations?api-version=x" },
        { "/openai", LLM_EP_COMPLETIONS, "", "d", "x",
          "/deployments/d/completions?api-version=x" },
        { "/openai", LLM_EP_EMBEDDINGS, "", "../a b?c#d", "x",
          "/deployments/..%2Fa%20b%3Fc%23d/embeddings?api-version=x" },
        { "/openai", LLM_EP_CHAT, "", "", "x",
          "/chat/completions?api-version=x" },
        { "/openai", LLM_EP_CHAT, "/c-1?", "d", "x",
          "/chat/completions/c-1%3F?api-version=x" },
        { "/openai", LLM_EP_RESPONSES, "", "d", "x",
          "/responses?api-version=x" },
        { "/openai", LLM_EP_BATCHES, "", "d", "x", "/batches?api-version=x" },
        { "/openai", LLM_EP_FILES, "/f-1/content", "", "x",
          "/files/f-1/content?api-version=x" },
        { "/openai", LLM_EP_MODELS, "", "", "x", "/models?api-version=x" },
        { "/openai", LLM_EP_REALTIME, "", "d/", "x",
          "/realtime?api-version=x&deployment=d%2F" },
        { "/openai/v1", LLM_EP_REALTIME, "", "d", "", "/realtime" },
        { "/openai/v1", LLM_EP_CHAT, "", "d", "", "/chat/completions" },
        { "/openai/v1", LLM_EP_CHAT, "", "d", "preview",
          "/chat/completions?api-version=preview" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        place.base = tap_c(t[i].base);
        place.rest = tap_c(t[i].rest);
        place.model = tap_c(t[i].model);
        place.version = tap_c(t[i].version);
        place.stream = 0;

        llm_buf_init(&out, written, sizeof(written));
        azure->path(t[i].ep, &place, &out);

        snprintf(name, sizeof(name), "%s behind \"%s\"", t[i].want, t[i].base);
        is_str(llm_buf_view(&out), t[i].want, name);

        llm_buf_init(&out, written, strlen(t[i].want) - 1);
        azure->path(t[i].ep, &place, &out);
        ok(out.full, "... too little memory is said so");
    }
}


static void
test_row(void)
{
    ok(llm_dialect_way(azure, azure->native, LLM_EP_CHAT) == LLM_WAY_NATIVE,
       "chat: spliced");
    ok(llm_dialect_way(azure, azure->native, LLM_EP_RESPONSES)
       == LLM_WAY_NATIVE,
       "responses: spliced");
    ok(llm_dialect_way(azure, azure->native, LLM_EP_MESSAGES) == LLM_WAY_HUB,
       "Messages: translated");
    is_str(azure->auth_header, "api-key", "where the key goes");
    is_str(azure->auth_prefix, "", "... as it is");
}


int
main(void)
{
    azure = llm_dialect_find(LLM_STR("azure"));

    if (!ok(azure != NULL, "the dialect is there")) {
        return tap_done();
    }

    test_row();
    test_paths();

    return tap_done();
}
