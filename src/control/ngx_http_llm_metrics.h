
/*
 * llm_metrics: a page in the text format of Prometheus, 0.0.4.
 *
 * metrics.c        the directive and its answer
 * metrics_page.c   families, samples, labels and numbers as text
 * metrics_send.c   providers, models, keys, and what was sent to them
 * metrics_shed.c   whom providers shed
 * metrics_split.c  splits, their triggers, and votes
 * metrics_mirror.c copies beside what was served
 * metrics_limit.c  limits and budgets, and the table of their counters
 * metrics_client.c what came of llm_auth
 * metrics_redis.c  the transport to Redis, and the nodes that share it
 */


#ifndef _NGX_HTTP_LLM_METRICS_H_INCLUDED_
#define _NGX_HTTP_LLM_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm.h"

#pragma GCC visibility push(hidden)


/* A page that grows by buffers. */

typedef struct {
    ngx_pool_t                  *pool;
    ngx_chain_t                 *out;
    ngx_chain_t                **last;
    ngx_buf_t                   *buf;
    off_t                        size;
    ngx_uint_t                   failed;       /* no memory */

    /* the family: its head is written before its first sample */
    const char                  *name;
    const char                  *type;
    const char                  *help;
    ngx_uint_t                   begun;
    ngx_uint_t                   labels;       /* of the sample so far */
} ngx_http_llm_page_t;


/* A family of samples.  All its samples follow. */

void ngx_http_llm_page_family(ngx_http_llm_page_t *page, const char *name,
    const char *type, const char *help);

/* A sample: its beginning (`suffix` goes behind the family's name), its labels,
 * and its value, which ends it. */

void ngx_http_llm_page_sample(ngx_http_llm_page_t *page, const char *suffix);
void ngx_http_llm_page_label(ngx_http_llm_page_t *page, const char *name,
    llm_str_t value);
void ngx_http_llm_page_uint(ngx_http_llm_page_t *page, uint64_t n);

/* n / 10^decimals. */

void ngx_http_llm_page_fixed(ngx_http_llm_page_t *page, uint64_t n,
    ngx_uint_t decimals);

/* One sample per word, 1 for the word that holds and 0 for the others; up to
 * two labels stand before "state". */

typedef struct {
    const char                  *name;
    llm_str_t                    value;
} ngx_http_llm_label_t;

void ngx_http_llm_page_states(ngx_http_llm_page_t *page,
    const ngx_http_llm_label_t *label, ngx_uint_t n, const llm_str_t *word,
    ngx_uint_t words, ngx_uint_t holds);

/* A histogram in seconds from one in milliseconds.  sum in ms, LLM_NEVER: as
 * the middles of the buckets say. */

void ngx_http_llm_page_histogram(ngx_http_llm_page_t *page,
    const ngx_http_llm_label_t *label, ngx_uint_t n, const uint32_t *bucket,
    uint64_t sum);


static ngx_inline llm_str_t
ngx_http_llm_word_of(const char *word)
{
    return (llm_str_t) { ngx_strlen(word), (const u_char *) word };
}


/* The sections of the page. */

void ngx_http_llm_metrics_providers(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_sheds(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_keys(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_meters(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_splits(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_triggers(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_mirrors(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_limits(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_clients(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_feedback(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
void ngx_http_llm_metrics_redis(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_METRICS_H_INCLUDED_ */
