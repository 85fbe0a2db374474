/*
 * Rests that another node learned of.
 */

#include "llm_keypool_state.h"


static int
llm_rest_is_last(const llm_keypool_conf_t *conf, const llm_key_state_t *keys,
    uint32_t key)
{
    uint32_t  i;

    for (i = 0; i < conf->key_n; i++) {
        if (i != key && keys[i].status != LLM_KEY_DISABLED
            && keys[i].status != LLM_KEY_PROBING
            && keys[i].status != LLM_KEY_MANUAL_OFF)
        {
            return 0;
        }
    }

    return 1;
}


int
llm_keypool_rest_key(const llm_keypool_conf_t *conf, llm_key_state_t *keys,
    uint32_t key, const llm_rest_t *rest, llm_msec_t now)
{
    llm_key_state_t  *k;

    k = &keys[key];

    if (rest->until <= now || rest->until <= k->until
        || k->status == LLM_KEY_MANUAL_OFF)
    {
        return 0;
    }

    k->until = rest->until;
    k->since = now;
    k->probe_at = 0;
    k->cause = rest->cause;

    if (rest->step > k->auth_step) {
        k->auth_step = rest->step;
    }

    k->status = rest->status == LLM_KEY_DISABLED
                && !llm_rest_is_last(conf, keys, key)
                ? LLM_KEY_DISABLED : LLM_KEY_COOLING;

    return 1;
}


int
llm_keypool_rest_group(llm_group_state_t *s, const llm_rest_t *rest,
    llm_msec_t now)
{
    if (rest->until <= now || rest->until <= s->until) {
        return 0;
    }

    s->until = rest->until;
    s->since = now;
    s->probe_at = 0;
    s->probing = 1;
    s->cause = rest->cause;

    if (rest->step > s->step) {
        s->step = rest->step;
    }

    return 1;
}
