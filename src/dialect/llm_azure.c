/*
 * Azure's paths.  In all other respects Azure speaks OpenAI's dialect.
 *
 * There are two APIs, told apart by the end of base_url: ".../openai/v1" is
 * OpenAI's own, with names of deployments for models.  The older ".../openai"
 * names the deployment in the path, but only for these endpoints, and its
 * version in the query.
 */

#include "llm_openai.h"

#define LLM_AZURE_VERSION  LLM_STR("2024-10-21")    /* of the older API */


static const uint32_t  llm_azure_deployed =
    LLM_EP_BIT(LLM_EP_CHAT) | LLM_EP_BIT(LLM_EP_COMPLETIONS)
    | LLM_EP_BIT(LLM_EP_EMBEDDINGS) | LLM_EP_BIT(LLM_EP_TRANSCRIPTIONS)
    | LLM_EP_BIT(LLM_EP_TRANSLATIONS) | LLM_EP_BIT(LLM_EP_SPEECH)
    | LLM_EP_BIT(LLM_EP_IMAGES);


static int
llm_azure_ends(llm_str_t s, llm_str_t with)
{
    return s.len >= with.len
           && memcmp(s.data + s.len - with.len, with.data, with.len) == 0;
}


void
llm_azure_path(llm_endpoint_t ep, const llm_place_t *place, llm_buf_t *out)
{
    int        v1;
    llm_str_t  version;

    v1 = llm_azure_ends(place->base, LLM_STR("/v1"));
    version = place->version;

    if (!v1) {

        if (!llm_azure_ends(place->base, LLM_STR("/openai"))) {
            llm_buf_str(out, LLM_STR("/openai"));
        }

        /* what is stored belongs to the resource, not to a deployment */

        if ((llm_azure_deployed & LLM_EP_BIT(ep)) && place->rest.len == 0
            && place->model.len)
        {
            llm_buf_str(out, LLM_STR("/deployments/"));
            llm_openai_segment(place->model, out);
        }

        if (version.len == 0) {
            version = LLM_AZURE_VERSION;
        }
    }

    llm_openai_path(ep, place, out);

    if (version.len) {
        llm_buf_str(out, LLM_STR("?api-version="));
        llm_openai_segment(version, out);
    }

    if (!v1 && ep == LLM_EP_REALTIME && place->model.len) {
        llm_buf_str(out, LLM_STR("&deployment="));
        llm_openai_segment(place->model, out);
    }
}
