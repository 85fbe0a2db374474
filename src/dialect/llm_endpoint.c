/*
 * Endpoints by path, and the words of `can`.
 *
 * A location may put anything in front of an endpoint's name, so the name that
 * stands last in the path decides.
 */

#include "llm_request.h"


typedef struct {
    llm_str_t  name;
    unsigned   bit;
} llm_can_word_t;


static const llm_endpoint_info_t  llm_endpoints[LLM_EP_N] = {
    [LLM_EP_UNKNOWN] = { LLM_STR(""), LLM_BODY_ANY, 0 },
    [LLM_EP_CHAT] = { LLM_STR("chat/completions"), LLM_BODY_JSON,
                      LLM_CAN_CHAT },
    [LLM_EP_COMPLETIONS] = { LLM_STR("completions"), LLM_BODY_JSON,
                             LLM_CAN_CHAT },
    [LLM_EP_EMBEDDINGS] = { LLM_STR("embeddings"), LLM_BODY_JSON,
                            LLM_CAN_EMBED },
    [LLM_EP_RESPONSES] = { LLM_STR("responses"), LLM_BODY_JSON, LLM_CAN_CHAT },
    [LLM_EP_TRANSCRIPTIONS] = { LLM_STR("audio/transcriptions"),
                                LLM_BODY_MULTIPART, LLM_CAN_TRANSCRIBE },
    [LLM_EP_TRANSLATIONS] = { LLM_STR("audio/translations"),
                              LLM_BODY_MULTIPART, LLM_CAN_TRANSLATE },
    [LLM_EP_SPEECH] = { LLM_STR("audio/speech"), LLM_BODY_JSON,
                        LLM_CAN_SPEECH },
    [LLM_EP_MODELS] = { LLM_STR("models"), LLM_BODY_NONE, 0 },
    [LLM_EP_MODERATIONS] = { LLM_STR("moderations"), LLM_BODY_JSON, 0 },
    [LLM_EP_IMAGES] = { LLM_STR("images/generations"), LLM_BODY_JSON, 0 },
    [LLM_EP_FILES] = { LLM_STR("files"), LLM_BODY_ANY, 0 },
    [LLM_EP_BATCHES] = { LLM_STR("batches"), LLM_BODY_JSON, 0 },
    [LLM_EP_RERANK] = { LLM_STR("rerank"), LLM_BODY_JSON, 0 },
    [LLM_EP_MESSAGES] = { LLM_STR("messages"), LLM_BODY_JSON, LLM_CAN_CHAT },
    [LLM_EP_REALTIME] = { LLM_STR("realtime"), LLM_BODY_ANY,
                          LLM_CAN_REALTIME },
    [LLM_EP_PASSTHROUGH] = { LLM_STR("passthrough"), LLM_BODY_ANY, 0 }
};


static const llm_can_word_t  llm_can_words[] = {
    { LLM_STR("chat"), LLM_CAN_CHAT },
    { LLM_STR("json_object"), LLM_CAN_JSON_OBJECT },
    { LLM_STR("json_schema"), LLM_CAN_JSON_SCHEMA },
    { LLM_STR("tools"), LLM_CAN_TOOLS },
    { LLM_STR("vision"), LLM_CAN_VISION },
    { LLM_STR("audio"), LLM_CAN_AUDIO },
    { LLM_STR("stream"), LLM_CAN_STREAM },
    { LLM_STR("prefill"), LLM_CAN_PREFILL },
    { LLM_STR("transcribe"), LLM_CAN_TRANSCRIBE },
    { LLM_STR("translate"), LLM_CAN_TRANSLATE },
    { LLM_STR("embed"), LLM_CAN_EMBED },
    { LLM_STR("speech"), LLM_CAN_SPEECH },
    { LLM_STR("realtime"), LLM_CAN_REALTIME }
};

#define LLM_CAN_WORDS  (sizeof(llm_can_words) / sizeof(llm_can_words[0]))


const llm_endpoint_info_t *
llm_endpoint_info(llm_endpoint_t ep)
{
    return &llm_endpoints[ep < LLM_EP_N ? ep : LLM_EP_UNKNOWN];
}


/* The endpoint whose name fills the segments that begin at p, or UNKNOWN. */
static llm_endpoint_t
llm_endpoint_at(const unsigned char *p, const unsigned char *end)
{
    size_t          len;
    unsigned        i;
    llm_str_t       name;
    llm_endpoint_t  found;

    found = LLM_EP_UNKNOWN;
    len = 0;

    for (i = LLM_EP_CHAT; i < LLM_EP_PASSTHROUGH; i++) {
        name = llm_endpoints[i].name;

        if (name.len <= len || (size_t) (end - p) < name.len
            || *p != name.data[0] || memcmp(p, name.data, name.len) != 0
            || (p + name.len < end && p[name.len] != '/'))
        {
            continue;
        }

        found = (llm_endpoint_t) i;
        len = name.len;
    }

    return found;
}


/* "chat/completions/ID/messages" is of a stored chat, and "messages/batches" of
 * Anthropic's endpoint. */
static int
llm_endpoint_below(llm_endpoint_t ep, llm_endpoint_t above)
{
    return (ep == LLM_EP_MESSAGES && above == LLM_EP_CHAT)
           || (ep == LLM_EP_BATCHES && above == LLM_EP_MESSAGES);
}


llm_rc_t
llm_endpoint_find(llm_str_t path, llm_endpoint_t *ep, llm_str_t *rest)
{
    size_t                n;
    llm_endpoint_t        found, last;
    const unsigned char  *p, *end, *behind;

    if (path.len == 0) {
        return LLM_NONE;
    }

    p = path.data;
    end = p + path.len;
    behind = p;
    last = LLM_EP_UNKNOWN;

    while (p < end) {

        if (*p == '/') {
            p++;
            continue;
        }

        /* the whole of "chat/completions" counts, not its second half */

        found = llm_endpoint_at(p, end);

        if (found != LLM_EP_UNKNOWN && !llm_endpoint_below(found, last)) {
            n = llm_endpoints[found].name.len;
            last = found;
            p += n;
            behind = p;
            continue;
        }

        p = memchr(p, '/', (size_t) (end - p));
        if (p == NULL) {
            break;
        }
    }

    if (last == LLM_EP_UNKNOWN) {
        return LLM_NONE;
    }

    *ep = last;
    rest->len = (size_t) (end - behind);
    rest->data = behind;

    return LLM_OK;
}


llm_str_t
llm_endpoint_deployment(llm_str_t path, llm_endpoint_t ep, llm_str_t rest)
{
    size_t     i, end;
    llm_str_t  name;

    static const llm_str_t  above = LLM_STR("/deployments/");

    /* where the endpoint's name begins, without the slash in front */

    end = (size_t) (rest.data - path.data) - llm_endpoints[ep].name.len;
    end -= end ? 1 : 0;

    for (i = end; i >= above.len; i--) {

        name.data = path.data + i;
        name.len = end - i;

        if (name.len
            && memcmp(name.data - above.len, above.data, above.len) == 0)
        {
            return name;
        }
    }

    return LLM_NOSTR;
}


llm_rc_t
llm_endpoint_by_name(llm_str_t name, llm_endpoint_t *ep)
{
    unsigned  i;

    for (i = LLM_EP_CHAT; i < LLM_EP_N; i++) {
        if (llm_str_eq(name, llm_endpoints[i].name)) {
            *ep = (llm_endpoint_t) i;
            return LLM_OK;
        }
    }

    return LLM_NONE;
}


unsigned
llm_can_by_name(llm_str_t name)
{
    size_t  i;

    for (i = 0; i < LLM_CAN_WORDS; i++) {
        if (llm_str_eq(name, llm_can_words[i].name)) {
            return llm_can_words[i].bit;
        }
    }

    return 0;
}


llm_str_t
llm_can_name(unsigned bits)
{
    size_t  i;

    for (i = 0; i < LLM_CAN_WORDS; i++) {
        if (bits & llm_can_words[i].bit) {
            return llm_can_words[i].name;
        }
    }

    return LLM_NOSTR;
}
