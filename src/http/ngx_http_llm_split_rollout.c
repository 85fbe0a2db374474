
/*
 * The members of llm_split that move weights: the steps of a rollout, and the
 * conditions that take them back.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_split_conf.h"


#define NGX_HTTP_LLM_SPLIT_TIME  ((ngx_uint_t) 30 * 24 * 3600 * 1000)
#define NGX_HTTP_LLM_HOUR        (3600 * 1000)


typedef struct {
    llm_rollout_conf_t    conf;
    ngx_uint_t            min_samples;
    ngx_str_t             steps;
    ngx_str_t             start;
} ngx_http_llm_rollout_args_t;


typedef struct {
    llm_trigger_conf_t    conf;
    ngx_uint_t            min;
    ngx_str_t             action;
    ngx_str_t             confidence;
} ngx_http_llm_rollback_args_t;


static ngx_int_t ngx_http_llm_rollout_steps(ngx_conf_t *cf, ngx_str_t *steps,
    llm_rollout_conf_t *conf);
static ngx_int_t ngx_http_llm_rollout_bake(ngx_conf_t *cf,
    llm_rollout_conf_t *conf);
static ngx_int_t ngx_http_llm_rollback_join(ngx_conf_t *cf, ngx_str_t *cond,
    ngx_uint_t *next);
static ngx_uint_t ngx_http_llm_rollback_whole(ngx_str_t *cond);
static ngx_int_t ngx_http_llm_rollback_condition(ngx_conf_t *cf,
    ngx_str_t *cond, llm_trigger_conf_t *conf);
static ngx_int_t ngx_http_llm_rollback_kind(ngx_conf_t *cf, ngx_str_t *name,
    llm_trigger_kind_t *kind);
static ngx_int_t ngx_http_llm_rollback_threshold(ngx_str_t *value,
    llm_trigger_conf_t *conf);
static char *ngx_http_llm_rollback_expected(llm_trigger_kind_t kind);
static ngx_uint_t ngx_http_llm_rollback_is_rate(llm_trigger_kind_t kind);
static ngx_int_t ngx_http_llm_rollback_words(ngx_conf_t *cf,
    ngx_http_llm_rollback_args_t *args);
static ngx_uint_t ngx_http_llm_rollback_same(llm_trigger_conf_t *a,
    llm_trigger_conf_t *b);


static ngx_http_llm_arg_t  ngx_http_llm_rollout_args[] = {

    { ngx_string("steps"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_rollout_args_t, steps), 0, 0 },

    { ngx_string("bake"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(ngx_http_llm_rollout_args_t, conf.bake), 1,
      NGX_HTTP_LLM_SPLIT_TIME },

    { ngx_string("max_bake"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(ngx_http_llm_rollout_args_t, conf.max_bake), 1,
      NGX_HTTP_LLM_SPLIT_TIME },

    { ngx_string("soak"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(ngx_http_llm_rollout_args_t, conf.soak), 0,
      NGX_HTTP_LLM_SPLIT_TIME },

    { ngx_string("min_samples"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_rollout_args_t, min_samples), 1, 1000000000 },

    { ngx_string("rest"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(ngx_http_llm_rollout_args_t, conf.rest), 0,
      NGX_HTTP_LLM_SPLIT_TIME },

    { ngx_string("start"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_rollout_args_t, start), 0, 0 },

    { ngx_null_string, 0, 0, 0, 0 }
};


/* the shortest slot of a window is 10 ms, and it has six */

static ngx_http_llm_arg_t  ngx_http_llm_rollback_args[] = {

    { ngx_string("for"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(ngx_http_llm_rollback_args_t, conf.hold), 0,
      NGX_HTTP_LLM_SPLIT_TIME },

    { ngx_string("min"), NGX_HTTP_LLM_ARG_UINT,
      offsetof(ngx_http_llm_rollback_args_t, min), 1, 1000000000 },

    { ngx_string("window"), NGX_HTTP_LLM_ARG_MSEC64,
      offsetof(ngx_http_llm_rollback_args_t, conf.window), 60,
      NGX_HTTP_LLM_SPLIT_TIME },

    { ngx_string("action"), NGX_HTTP_LLM_ARG_STR,
      offsetof(ngx_http_llm_rollback_args_t, action), 0, 0 },

    { ngx_string("confidence"), NGX_HTTP_LLM_ARG_BP32,
      offsetof(ngx_http_llm_rollback_args_t, conf.confidence), 5000, 9999 },

    { ngx_null_string, 0, 0, 0, 0 }
};


static char  *ngx_http_llm_start_words[] = { "now", NULL };


/* in the order of llm_action_t */

static char  *ngx_http_llm_action_words[] = {
    "rollback", "pause", "log", NULL
};


void
ngx_http_llm_split_rollout_defaults(llm_rollout_conf_t *rollout)
{
    static const uint32_t  step[] = { 500, 2500, 5000, 7500, 10000 };

    rollout->canary = LLM_ROLLOUT_NOBODY;
    rollout->step_n = sizeof(step) / sizeof(step[0]);
    ngx_memcpy(rollout->step, step, sizeof(step));

    rollout->min_samples = 100;
    rollout->bake = 10 * 60 * 1000;
    rollout->max_bake = 0;
    rollout->soak = 30 * 60 * 1000;
    rollout->rest = 10 * 60 * 1000;
}


/* rollout VARIANT [steps=...] [bake=T] [max_bake=T] [soak=T] [min_samples=N]
 * [rest=T] [start=now] */

char *
ngx_http_llm_set_rollout(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t                    *value;
    ngx_http_llm_rollout_args_t   args;

    value = cf->args->elts;
    ngx_http_llm_split_digest(sb, value, cf->args->nelts);
    ngx_http_llm_split_use(cf, &sb->canary, &value[1]);

    if (value[1].len == 0) {
        return "needs the name of a variant";
    }

    ngx_memzero(&args, sizeof(ngx_http_llm_rollout_args_t));

    args.conf = sb->split->store.rollout;
    args.min_samples = args.conf.min_samples;

    if (ngx_http_llm_args(cf, 2, ngx_http_llm_rollout_args, &args) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    args.conf.min_samples = args.min_samples;

    if (args.start.data) {
        if (ngx_http_llm_word(cf, &args.start, "start",
                              ngx_http_llm_start_words) == NGX_ERROR)
        {
            return NGX_CONF_ERROR;
        }

        sb->split->store.start_now = 1;
    }

    if ((args.steps.data
         && ngx_http_llm_rollout_steps(cf, &args.steps, &args.conf) != NGX_OK)
        || ngx_http_llm_rollout_bake(cf, &args.conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    sb->split->store.rollout = args.conf;

    return NGX_CONF_OK;
}


/* Without max_bake=, a step waits an hour for its samples, or its bake. */

static ngx_int_t
ngx_http_llm_rollout_bake(ngx_conf_t *cf, llm_rollout_conf_t *conf)
{
    u_char     one[NGX_HTTP_LLM_TIME_LEN], two[NGX_HTTP_LLM_TIME_LEN];
    ngx_str_t  max_bake, bake;

    if (conf->max_bake == 0) {
        conf->max_bake = ngx_max(conf->bake, NGX_HTTP_LLM_HOUR);
    }

    if (conf->max_bake < conf->bake) {
        max_bake = ngx_http_llm_split_time(one, conf->max_bake);
        bake = ngx_http_llm_split_time(two, conf->bake);

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "max_bake=%V is shorter than bake=%V", &max_bake,
                           &bake);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_rollout_steps(ngx_conf_t *cf, ngx_str_t *steps,
    llm_rollout_conf_t *conf)
{
    u_char     *p, *last;
    uint32_t    n;
    ngx_str_t   word;

    n = 0;
    last = steps->data + steps->len;

    for (word.data = steps->data; word.data <= last; word.data = p + 1) {

        p = ngx_strlchr(word.data, last, ',');
        if (p == NULL) {
            p = last;
        }

        word.len = p - word.data;

        if (n == LLM_ROLLOUT_STEPS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "too many steps in \"%V\", %d are possible",
                               steps, LLM_ROLLOUT_STEPS);
            return NGX_ERROR;
        }

        if (ngx_http_llm_split_share(cf, "step", &word, 0, &conf->step[n])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (n && conf->step[n] <= conf->step[n - 1]) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "step \"%V\" of \"%V\" does not rise", &word,
                               steps);
            return NGX_ERROR;
        }

        n++;
    }

    if (conf->step[n - 1] != LLM_SPLIT_BUCKETS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "steps \"%V\" end before 100%%, where a rollout "
                           "is complete", steps);
        return NGX_ERROR;
    }

    conf->step_n = n;

    return NGX_OK;
}


/* rollback CONDITION [for=T] [min=N] [window=T] [action=...]
 * [confidence=P%] */

char *
ngx_http_llm_set_rollback(ngx_conf_t *cf, void *block)
{
    ngx_http_llm_split_block_t *sb = block;

    ngx_str_t                     *value, cond;
    ngx_uint_t                     i, next;
    llm_trigger_conf_t            *trigger;
    ngx_http_llm_store_split_t    *store;
    ngx_http_llm_rollback_args_t   args;

    value = cf->args->elts;
    store = &sb->split->store;

    if (store->trigger_n == LLM_SPLIT_TRIGGERS) {
        return "is one of too many, 12 are possible";
    }

    ngx_memzero(&args, sizeof(ngx_http_llm_rollback_args_t));

    if (ngx_http_llm_rollback_join(cf, &cond, &next) != NGX_OK
        || ngx_http_llm_rollback_condition(cf, &cond, &args.conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_http_llm_split_digest(sb, &value[0], 1);
    ngx_http_llm_split_digest(sb, &cond, 1);
    ngx_http_llm_split_digest(sb, &value[next], cf->args->nelts - next);

    if (ngx_http_llm_args(cf, next, ngx_http_llm_rollback_args, &args)
        != NGX_OK
        || ngx_http_llm_rollback_words(cf, &args) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    trigger = store->trigger;

    for (i = 0; i < store->trigger_n; i++) {
        if (ngx_http_llm_rollback_same(&trigger[i], &args.conf)) {
            return "says the same as one before";
        }
    }

    ngx_http_llm_split_use(cf, &sb->trigger[i], &cond);
    trigger[i] = args.conf;
    store->trigger_n++;

    return NGX_CONF_OK;
}


/* nginx splits words at blanks: "error_rate > 5%" is three, or one, or two */

static ngx_int_t
ngx_http_llm_rollback_join(ngx_conf_t *cf, ngx_str_t *cond, ngx_uint_t *next)
{
    u_char      *p;
    size_t       len;
    ngx_str_t   *value;
    ngx_uint_t   i;

    len = 0;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        len += value[i].len;
    }

    p = ngx_pnalloc(cf->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    cond->data = p;
    cond->len = 0;

    for (i = 1; i < cf->args->nelts && i < 4; i++) {
        p = ngx_cpymem(p, value[i].data, value[i].len);
        cond->len = p - cond->data;

        if (ngx_http_llm_rollback_whole(cond)) {
            i++;
            break;
        }
    }

    *p = '\0';
    *next = i;

    return NGX_OK;
}


/* a name, a comparison, and something behind it */

static ngx_uint_t
ngx_http_llm_rollback_whole(ngx_str_t *cond)
{
    u_char  *p, *last;

    last = cond->data + cond->len;

    p = ngx_strlchr(cond->data, last, '>');
    if (p == NULL) {
        return 0;
    }

    p++;

    if (p < last && *p == '=') {
        p++;
    }

    return p < last;
}


static ngx_int_t
ngx_http_llm_rollback_condition(ngx_conf_t *cf, ngx_str_t *cond,
    llm_trigger_conf_t *conf)
{
    u_char              *p;
    ngx_str_t            name, value;
    llm_trigger_kind_t   kind;

    p = ngx_strlchr(cond->data, cond->data + cond->len, '>');

    if (p == NULL || !ngx_http_llm_rollback_whole(cond)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid condition \"%V\", expected a comparison "
                           "with > or >= such as error_rate>5%%", cond);
        return NGX_ERROR;
    }

    name.data = cond->data;
    name.len = p - cond->data;

    if (ngx_http_llm_rollback_kind(cf, &name, &kind) != NGX_OK) {
        return NGX_ERROR;
    }

    llm_trigger_defaults(kind, conf);

    p++;
    conf->kind = kind;
    conf->inclusive = (*p == '=');

    value.data = p + (*p == '=');
    value.len = cond->data + cond->len - value.data;

    if (ngx_http_llm_rollback_threshold(&value, conf) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid condition \"%V\", expected %s behind "
                           "\"%V\"", cond,
                           ngx_http_llm_rollback_expected(kind), &name);
        return NGX_ERROR;
    }

    if ((conf->inclusive && conf->threshold == 0)
        || (!conf->inclusive && ngx_http_llm_rollback_is_rate(kind)
            && conf->threshold == LLM_SPLIT_BUCKETS))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "condition \"%V\" is %s true", cond,
                           conf->threshold ? "never" : "always");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_rollback_kind(ngx_conf_t *cf, ngx_str_t *name,
    llm_trigger_kind_t *kind)
{
    u_char      *p, *last, known[256];
    llm_str_t    word;
    ngx_uint_t   i;

    if (llm_trigger_by_name((llm_str_t) { name->len, name->data }, kind)
        == LLM_OK)
    {
        return NGX_OK;
    }

    p = known;
    last = known + sizeof(known);

    for (i = 0; i < LLM_TRIGGERS; i++) {
        word = llm_trigger_name(i);
        p = ngx_slprintf(p, last, "%s%*s", i ? ", " : "", word.len, word.data);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown measure \"%V\", expected one of: %*s", name,
                       (size_t) (p - known), known);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_llm_rollback_threshold(ngx_str_t *value, llm_trigger_conf_t *conf)
{
    uint32_t   bp;
    ngx_int_t  ms;
    llm_str_t  text;

    text.len = value->len;
    text.data = value->data;

    if (ngx_http_llm_rollback_is_rate(conf->kind)) {

        if (text.len == 0 || text.data[text.len - 1] != '%'
            || llm_split_parse(text, &bp) != LLM_OK)
        {
            return NGX_ERROR;
        }

        conf->threshold = bp;

        return NGX_OK;
    }

    if (conf->kind == LLM_TRIGGER_COST) {

        if (text.len > 3 && ngx_strncmp(text.data + text.len - 3, "usd", 3)
                            == 0)
        {
            text.len -= 3;
        }

        return llm_price_parse(text, &conf->threshold) == LLM_OK ? NGX_OK
                                                                 : NGX_ERROR;
    }

    ms = ngx_parse_time(value, 0);

    if (ms == NGX_ERROR) {
        return NGX_ERROR;
    }

    conf->threshold = (uint64_t) ms;

    return NGX_OK;
}


static char *
ngx_http_llm_rollback_expected(llm_trigger_kind_t kind)
{
    if (ngx_http_llm_rollback_is_rate(kind)) {
        return "a percentage such as 5%";
    }

    if (kind == LLM_TRIGGER_COST) {
        return "US dollars such as 0.01";
    }

    return "a time such as 5s";
}


static ngx_uint_t
ngx_http_llm_rollback_is_rate(llm_trigger_kind_t kind)
{
    return kind == LLM_TRIGGER_ERROR_RATE || kind == LLM_TRIGGER_JSON_INVALID
           || kind == LLM_TRIGGER_4XX_EXCESS || kind == LLM_TRIGGER_FAST_BURN;
}


static ngx_int_t
ngx_http_llm_rollback_words(ngx_conf_t *cf, ngx_http_llm_rollback_args_t *args)
{
    ngx_int_t  n;

    if (args->min) {
        args->conf.min = args->min;
    }

    /* an excess is the difference of two rates: the bound is not its */

    if (args->conf.confidence
        && (!ngx_http_llm_rollback_is_rate(args->conf.kind)
            || args->conf.kind == LLM_TRIGGER_4XX_EXCESS))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "confidence= is for rates, not for times, costs "
                           "and excesses");
        return NGX_ERROR;
    }

    if (args->action.data == NULL) {
        return NGX_OK;
    }

    n = ngx_http_llm_word(cf, &args->action, "action",
                          ngx_http_llm_action_words);
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    args->conf.action = n;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_rollback_same(llm_trigger_conf_t *a, llm_trigger_conf_t *b)
{
    return a->kind == b->kind && a->action == b->action
           && a->inclusive == b->inclusive && a->threshold == b->threshold
           && a->hold == b->hold && a->min == b->min
           && a->window == b->window && a->confidence == b->confidence;
}
