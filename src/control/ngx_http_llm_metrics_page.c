
/*
 * The text format of Prometheus: families with a head, samples with labels.
 *
 * Numbers are written from integers, so a cost in dollars has all nine decimals
 * of the nano-dollars it was counted in.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_metrics.h"


#define NGX_HTTP_LLM_PAGE_BUF  32768


static void ngx_http_llm_page_put(ngx_http_llm_page_t *page, const void *data,
    size_t len);
static void ngx_http_llm_page_text(ngx_http_llm_page_t *page,
    const char *text);
static void ngx_http_llm_page_labels(ngx_http_llm_page_t *page,
    const ngx_http_llm_label_t *label, ngx_uint_t n);


/*
 * Upper bounds of the buckets in ms: powers of two and the middles between
 * them, at which buckets of llm_hist.h end, so that no sample is on the wrong
 * side of one.
 */

static const uint32_t  ngx_http_llm_page_bounds[] = {
    4, 8, 16, 32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096,
    6144, 8192, 12288, 16384, 24576, 32768, 65536, 131072, 262144, 524288
};

#define NGX_HTTP_LLM_PAGE_BOUNDS                                              \
    (sizeof(ngx_http_llm_page_bounds) / sizeof(ngx_http_llm_page_bounds[0]))


void
ngx_http_llm_page_family(ngx_http_llm_page_t *page, const char *name,
    const char *type, const char *help)
{
    page->name = name;
    page->type = type;
    page->help = help;
    page->begun = 0;
}


void
ngx_http_llm_page_sample(ngx_http_llm_page_t *page, const char *suffix)
{
    if (!page->begun) {
        page->begun = 1;

        ngx_http_llm_page_text(page, "# HELP ");
        ngx_http_llm_page_text(page, page->name);
        ngx_http_llm_page_text(page, " ");
        ngx_http_llm_page_text(page, page->help);
        ngx_http_llm_page_text(page, "\n# TYPE ");
        ngx_http_llm_page_text(page, page->name);
        ngx_http_llm_page_text(page, " ");
        ngx_http_llm_page_text(page, page->type);
        ngx_http_llm_page_text(page, "\n");
    }

    ngx_http_llm_page_text(page, page->name);
    ngx_http_llm_page_text(page, suffix);

    page->labels = 0;
}


void
ngx_http_llm_page_label(ngx_http_llm_page_t *page, const char *name,
    llm_str_t value)
{
    size_t  i;

    ngx_http_llm_page_text(page, page->labels++ ? "," : "{");
    ngx_http_llm_page_text(page, name);
    ngx_http_llm_page_text(page, "=\"");

    for (i = 0; i < value.len; i++) {

        switch (value.data[i]) {

        case '\\':
            ngx_http_llm_page_text(page, "\\\\");
            break;

        case '"':
            ngx_http_llm_page_text(page, "\\\"");
            break;

        case LF:
            ngx_http_llm_page_text(page, "\\n");
            break;

        default:
            ngx_http_llm_page_put(page, &value.data[i], 1);
        }
    }

    ngx_http_llm_page_text(page, "\"");
}


void
ngx_http_llm_page_uint(ngx_http_llm_page_t *page, uint64_t n)
{
    ngx_http_llm_page_fixed(page, n, 0);
}


void
ngx_http_llm_page_fixed(ngx_http_llm_page_t *page, uint64_t n,
    ngx_uint_t decimals)
{
    u_char      *p, *last, text[48];
    ngx_uint_t   i;

    last = text + sizeof(text);
    p = last;
    *--p = LF;

    for (i = 0; i <= decimals || n; i++) {

        if (i && i == decimals) {
            *--p = '.';
        }

        *--p = (u_char) ('0' + n % 10);
        n /= 10;
    }

    *--p = ' ';

    if (page->labels) {
        *--p = '}';
    }

    ngx_http_llm_page_put(page, p, last - p);
}


void
ngx_http_llm_page_states(ngx_http_llm_page_t *page,
    const ngx_http_llm_label_t *label, ngx_uint_t n, const llm_str_t *word,
    ngx_uint_t words, ngx_uint_t holds)
{
    ngx_uint_t  i;

    for (i = 0; i < words; i++) {
        ngx_http_llm_page_sample(page, "");
        ngx_http_llm_page_labels(page, label, n);
        ngx_http_llm_page_label(page, "state", word[i]);
        ngx_http_llm_page_uint(page, i == holds);
    }
}


void
ngx_http_llm_page_histogram(ngx_http_llm_page_t *page,
    const ngx_http_llm_label_t *label, ngx_uint_t n, const uint32_t *bucket,
    uint64_t sum)
{
    u_char       text[32];
    uint32_t     i, k;
    uint64_t     count, middles;
    llm_str_t    le;

    count = 0;
    middles = 0;
    k = 0;

    for (i = 0; i < NGX_HTTP_LLM_PAGE_BOUNDS; i++) {

        for (/* void */ ; k < llm_hist_bucket(ngx_http_llm_page_bounds[i]);
             k++)
        {
            count += bucket[k];
            middles += bucket[k] * llm_hist_value(k);
        }

        le.data = text;
        le.len = ngx_sprintf(text, "%uD.%03uD",
                             ngx_http_llm_page_bounds[i] / 1000,
                             ngx_http_llm_page_bounds[i] % 1000)
                 - text;

        ngx_http_llm_page_sample(page, "_bucket");
        ngx_http_llm_page_labels(page, label, n);
        ngx_http_llm_page_label(page, "le", le);
        ngx_http_llm_page_uint(page, count);
    }

    for (/* void */ ; k < LLM_HIST_BUCKETS; k++) {
        count += bucket[k];
        middles += bucket[k] * llm_hist_value(k);
    }

    ngx_http_llm_page_sample(page, "_bucket");
    ngx_http_llm_page_labels(page, label, n);
    ngx_http_llm_page_label(page, "le", LLM_STR("+Inf"));
    ngx_http_llm_page_uint(page, count);

    ngx_http_llm_page_sample(page, "_sum");
    ngx_http_llm_page_labels(page, label, n);
    ngx_http_llm_page_fixed(page, sum == LLM_NEVER ? middles : sum, 3);

    ngx_http_llm_page_sample(page, "_count");
    ngx_http_llm_page_labels(page, label, n);
    ngx_http_llm_page_uint(page, count);
}


static void
ngx_http_llm_page_labels(ngx_http_llm_page_t *page,
    const ngx_http_llm_label_t *label, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        ngx_http_llm_page_label(page, label[i].name, label[i].value);
    }
}


static void
ngx_http_llm_page_text(ngx_http_llm_page_t *page, const char *text)
{
    ngx_http_llm_page_put(page, text, ngx_strlen(text));
}


static void
ngx_http_llm_page_put(ngx_http_llm_page_t *page, const void *data, size_t len)
{
    size_t        room;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    while (len && !page->failed) {
        b = page->buf;

        if (b == NULL || b->last == b->end) {
            b = ngx_create_temp_buf(page->pool, NGX_HTTP_LLM_PAGE_BUF);
            cl = ngx_alloc_chain_link(page->pool);

            if (b == NULL || cl == NULL) {
                page->failed = 1;
                return;
            }

            cl->buf = b;
            cl->next = NULL;

            *page->last = cl;
            page->last = &cl->next;
            page->buf = b;
        }

        room = ngx_min((size_t) (b->end - b->last), len);

        b->last = ngx_cpymem(b->last, data, room);
        page->size += room;
        data = (const u_char *) data + room;
        len -= room;
    }
}
