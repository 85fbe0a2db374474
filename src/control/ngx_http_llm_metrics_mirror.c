
/*
 * Metrics of mirrors: copies beside the answers that clients got instead.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_ctx.h"
#include "ngx_http_llm_metrics.h"


/* A family: a counter of the copies, and one of the answers served, or 0. */

typedef struct {
    const char  *name;
    const char  *help;
    size_t       copy;
    size_t       served;
} ngx_http_llm_metrics_mirror_t;


static void ngx_http_llm_metrics_mirror_times(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf);
static void ngx_http_llm_metrics_mirror_sample(ngx_http_llm_page_t *page,
    ngx_http_llm_split_t *split, const char *side, uint64_t n);
static ngx_http_llm_mirror_totals_t *ngx_http_llm_metrics_mirror_of(
    ngx_http_llm_split_t *split);


#define ngx_http_llm_metrics_at(member)                                       \
    offsetof(ngx_http_llm_mirror_totals_t, member)


static const ngx_http_llm_metrics_mirror_t
    ngx_http_llm_metrics_mirror_families[] =
{
    { "llm_mirror_copies_total", "Requests sent once more to another variant.",
      ngx_http_llm_metrics_at(copies), 0 },

    { "llm_mirror_skipped_total", "Copies that were not sent: too large, or "
      "too many at once.", ngx_http_llm_metrics_at(skipped), 0 },

    { "llm_mirror_errors_total", "Copies that failed, and answers served that "
      "failed.", ngx_http_llm_metrics_at(errors),
      ngx_http_llm_metrics_at(served_errors) },

    { "llm_mirror_json_checked_total", "Pairs whose answers had to be JSON.",
      ngx_http_llm_metrics_at(json_checked), 0 },

    { "llm_mirror_json_invalid_total", "Answers among them that were not.",
      ngx_http_llm_metrics_at(json_invalid),
      ngx_http_llm_metrics_at(served_json_invalid) },

    { "llm_mirror_output_tokens_total", "Output tokens of pairs.",
      ngx_http_llm_metrics_at(output),
      ngx_http_llm_metrics_at(served_output) },

    { "llm_mirror_answer_bytes_total", "Length of the answers' texts.",
      ngx_http_llm_metrics_at(length),
      ngx_http_llm_metrics_at(served_length) },

    { "llm_mirror_members_total", "JSON members that were compared.",
      ngx_http_llm_metrics_at(members), 0 },

    { "llm_mirror_members_equal_total", "JSON members that were equal.",
      ngx_http_llm_metrics_at(members_equal), 0 },

    { NULL, NULL, 0, 0 }
};


void
ngx_http_llm_metrics_mirrors(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    u_char                               *p;
    ngx_uint_t                            i;
    ngx_http_llm_split_t                **split;
    const ngx_http_llm_metrics_mirror_t  *f;

    split = lmcf->splits.elts;

    for (f = ngx_http_llm_metrics_mirror_families; f->name; f++) {
        ngx_http_llm_page_family(page, f->name, "counter", f->help);

        for (i = 0; i < lmcf->splits.nelts; i++) {
            p = (u_char *) ngx_http_llm_metrics_mirror_of(split[i]);

            if (p == NULL) {
                continue;
            }

            ngx_http_llm_metrics_mirror_sample(page, split[i],
                                               f->served ? "copy" : NULL,
                                               *(uint64_t *) (p + f->copy));

            if (f->served) {
                ngx_http_llm_metrics_mirror_sample(page, split[i], "served",
                                             *(uint64_t *) (p + f->served));
            }
        }
    }

    ngx_http_llm_metrics_mirror_times(page, lmcf);
}


static void
ngx_http_llm_metrics_mirror_times(ngx_http_llm_page_t *page,
    ngx_http_llm_main_conf_t *lmcf)
{
    ngx_uint_t                      i;
    ngx_http_llm_label_t            label[3];
    ngx_http_llm_split_t          **split;
    ngx_http_llm_mirror_totals_t   *t;

    split = lmcf->splits.elts;

    ngx_http_llm_page_family(page, "llm_mirror_duration_seconds", "histogram",
                             "Time to the end of the answer.");

    for (i = 0; i < lmcf->splits.nelts; i++) {
        t = ngx_http_llm_metrics_mirror_of(split[i]);

        if (t == NULL) {
            continue;
        }

        label[0].name = "split";
        label[0].value = ngx_http_llm_view(&split[i]->name);
        label[1].name = "variant";
        label[1].value = ngx_http_llm_view(&split[i]->mirror->variant->name);
        label[2].name = "side";
        label[2].value = LLM_STR("copy");

        ngx_http_llm_page_histogram(page, label, 3, t->time, LLM_NEVER);

        label[2].value = LLM_STR("served");

        ngx_http_llm_page_histogram(page, label, 3, t->served_time, LLM_NEVER);
    }
}


/* `variant` is the one that gets the copies. */

static void
ngx_http_llm_metrics_mirror_sample(ngx_http_llm_page_t *page,
    ngx_http_llm_split_t *split, const char *side, uint64_t n)
{
    ngx_http_llm_page_sample(page, "");
    ngx_http_llm_page_label(page, "split", ngx_http_llm_view(&split->name));
    ngx_http_llm_page_label(page, "variant",
                            ngx_http_llm_view(&split->mirror->variant->name));

    if (side) {
        ngx_http_llm_page_label(page, "side", ngx_http_llm_word_of(side));
    }

    ngx_http_llm_page_uint(page, n);
}


static ngx_http_llm_mirror_totals_t *
ngx_http_llm_metrics_mirror_of(ngx_http_llm_split_t *split)
{
    return split->mirror ? ngx_http_llm_split_mirror(&split->store) : NULL;
}
