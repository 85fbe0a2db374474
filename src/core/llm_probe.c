/*
 * Probes of a provider: due, told, believed for a while.
 */

#include "llm_probe.h"

#define LLM_PROBE_GRACE_MS  5000        /* another worker takes over */


int
llm_probe_due(const llm_probe_conf_t *c, llm_probe_t *p, llm_msec_t now)
{
    if (c->interval == 0) {
        return 0;
    }

    /* begun in the future: the clock is another one */
    if (p->begun && now >= p->begun && now - p->begun < c->interval) {
        return 0;
    }

    p->begun = now;

    return 1;
}


static int
llm_probe_is_old(const llm_probe_conf_t *c, const llm_probe_t *p,
    llm_msec_t now)
{
    return p->told == 0 || now < p->told
           || now - p->told > 2 * c->interval + c->timeout
                              + LLM_PROBE_GRACE_MS;
}


int
llm_probe_report(const llm_probe_conf_t *c, llm_probe_t *p, int ok,
    llm_msec_t now)
{
    if (llm_probe_is_old(c, p, now)) {
        p->row = 0;
        p->status = LLM_PROBE_UNKNOWN;
    }

    if (p->ok != ok) {
        p->ok = (uint8_t) ok;
        p->row = 0;
    }

    p->row += p->row < UINT32_MAX;
    p->told = now;

    if (!ok && p->status != LLM_PROBE_DOWN && p->row >= c->unhealthy) {
        p->status = LLM_PROBE_DOWN;
        return 1;
    }

    if (ok && p->status == LLM_PROBE_DOWN && p->row >= c->healthy) {
        p->status = LLM_PROBE_UP;
        return 2;
    }

    if (ok && p->status == LLM_PROBE_UNKNOWN) {
        p->status = LLM_PROBE_UP;
    }

    return 0;
}


llm_probe_status_t
llm_probe_status(const llm_probe_conf_t *c, const llm_probe_t *p,
    llm_msec_t now)
{
    if (c->interval == 0 || llm_probe_is_old(c, p, now)) {
        return LLM_PROBE_UNKNOWN;
    }

    return (llm_probe_status_t) p->status;
}


llm_str_t
llm_probe_name(const llm_probe_conf_t *c, llm_probe_status_t status)
{
    if (c->interval == 0) {
        return LLM_STR("off");
    }

    switch (status) {

    case LLM_PROBE_UP:
        return LLM_STR("up");

    case LLM_PROBE_DOWN:
        return LLM_STR("down");

    default: /* LLM_PROBE_UNKNOWN */
        return LLM_STR("unknown");
    }
}
