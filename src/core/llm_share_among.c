/*
 * Who divides a limit: the nodes that were there when the window began.
 */

#include "llm_share.h"

#define LLM_SHARE_GONE_MS   60000       /* silent for so long: dead … */
#define LLM_SHARE_LOST_MS   600000      /* … as calendars see it */
#define LLM_SHARE_NEWS_MS   20000       /* until everybody knows of a node, and
                                           the age of what is known of one */


/*
 * Whether it may have used something of the window, or may still.  A node that
 * has lost Redis goes on with its defaults, so in calendars it counts for long.
 */
static int
llm_share_is_member(const llm_share_node_t *node, llm_msec_t window,
    uint64_t start, llm_msec_t now)
{
    llm_msec_t  since, silent;

    since = window ? now : start * 1000;
    silent = window > LLM_SHARE_GONE_MS ? window : LLM_SHARE_GONE_MS;

    if (node->left) {
        return node->left + window + LLM_SHARE_NEWS_MS >= since;
    }

    silent = window ? silent : LLM_SHARE_LOST_MS;

    return node->seen + silent + LLM_SHARE_NEWS_MS >= since;
}


/* Whether it was there when the window began, and all knew of it. */
static int
llm_share_is_settled(const llm_share_node_t *node, llm_msec_t window,
    uint64_t start, llm_msec_t now)
{
    llm_msec_t  since;

    since = window ? (now > window ? now - window : 0) : start * 1000;

    return node->joined == 0 || node->joined + LLM_SHARE_NEWS_MS <= since;
}


void
llm_share_among(const llm_share_node_t *node, uint32_t n, uint32_t self,
    llm_msec_t window, uint64_t start, llm_msec_t now, llm_share_among_t *a)
{
    int       settled;
    uint32_t  i;

    memset(a, 0, sizeof(*a));

    for (i = 0; i < n; i++) {

        if (i != self && !llm_share_is_member(&node[i], window, start, now)) {
            continue;
        }

        settled = llm_share_is_settled(&node[i], window, start, now);
        a->settled += settled != 0;

        /* a calendar's division is that of its start */

        if (window == 0 && !settled) {
            continue;
        }

        if (i < self) {
            a->rank++;
        }

        if (i == self) {
            a->self = settled != 0;
        }

        a->n++;
    }
}


uint64_t
llm_share_own(const llm_share_among_t *a, uint64_t max)
{
    return a->self ? llm_share_default(max, a->n, a->rank) : 0;
}


uint64_t
llm_share_other(const llm_share_node_t *node, const llm_share_among_t *a,
    llm_msec_t window, uint64_t start, llm_msec_t now, uint64_t max)
{
    if (!llm_share_is_member(node, window, start, now)
        || !llm_share_is_settled(node, window, start, now))
    {
        return 0;
    }

    return a->settled ? max / a->settled + (max % a->settled != 0) : max;
}
