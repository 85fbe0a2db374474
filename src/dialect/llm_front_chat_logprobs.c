/*
 * How likely each token was: Gemini's logprobsResult as OpenAI's "logprobs".
 *
 * Both have the tokens that were chosen in one array; the likeliest of each
 * step stand in an array beside it there, and inside the token here.
 */

#include "llm_front.h"
#include "llm_openai.h"


/* One token, up to where its object may go on; comma: in front of it.  0: it is
 * none, nothing was written. */
static int
llm_logprob_token(llm_str_t candidate, int comma, llm_buf_t *out)
{
    llm_str_t        logprob;
    llm_json_want_t  want[] = {
        { .name = LLM_STR("token") }, { .name = LLM_STR("logProbability") }
    };

    if (llm_openai_pick(candidate, want, 2) != LLM_OK
        || want[0].kind != LLM_JSON_STRING)
    {
        return 0;
    }

    switch (want[1].kind) {

    case LLM_JSON_NUMBER:
        logprob = want[1].value;
        break;

    case LLM_JSON_STRING:
        /* "-Infinity", which is OpenAI's -9999.0 */
        logprob = LLM_STR("-9999.0");
        break;

    default:
        /* a zero may be left out */
        logprob = LLM_STR("0");
    }

    llm_buf_put(out, ",", comma != 0);
    llm_buf_str(out, LLM_STR("{\"token\":"));
    llm_buf_str(out, want[0].value);
    llm_buf_str(out, LLM_STR(",\"logprob\":"));
    llm_buf_str(out, logprob);
    llm_buf_str(out, LLM_STR(",\"bytes\":null"));

    return 1;
}


/* The likeliest of one step: {"candidates":[…]}. */
static void
llm_logprob_top(llm_str_t step, llm_buf_t *out)
{
    int                n;
    llm_json_iter_t    it;
    llm_json_member_t  m;

    if (llm_json_get(step, LLM_STR("candidates"), &m) != LLM_OK
        || llm_json_begin(&it, m.value) != LLM_OK)
    {
        return;
    }

    n = 0;

    while (llm_json_next(&it, &m) == LLM_OK) {

        if (llm_logprob_token(m.value, n, out)) {
            llm_buf_str(out, LLM_STR("}"));
            n = 1;
        }
    }
}


void
llm_chat_logprobs(llm_str_t result, llm_buf_t *out)
{
    int                n, tops;
    llm_json_iter_t    chosen, top;
    llm_json_member_t  m, step;
    llm_json_want_t    want[] = {
        { .name = LLM_STR("chosenCandidates") },
        { .name = LLM_STR("topCandidates") }
    };

    llm_buf_str(out, LLM_STR("{\"content\":["));

    if (llm_openai_pick(result, want, 2) == LLM_OK
        && llm_json_begin(&chosen, want[0].value) == LLM_OK)
    {
        tops = llm_json_begin(&top, want[1].value) == LLM_OK;
        n = 0;

        while (llm_json_next(&chosen, &m) == LLM_OK) {

            tops = tops && llm_json_next(&top, &step) == LLM_OK;

            if (!llm_logprob_token(m.value, n, out)) {
                continue;
            }

            n = 1;
            llm_buf_str(out, LLM_STR(",\"top_logprobs\":["));

            if (tops) {
                llm_logprob_top(step.value, out);
            }

            llm_buf_str(out, LLM_STR("]}"));
        }
    }

    llm_buf_str(out, LLM_STR("],\"refusal\":null}"));
}
