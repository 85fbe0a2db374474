
/*
 * Calls about splits: what they look like, their weights by compare-and-set,
 * and the verbs of a rollout.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_admin.h"


static ngx_int_t ngx_http_llm_admin_find_split(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t **split);
static ngx_int_t ngx_http_llm_admin_weights(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, uint32_t *weight);
static ngx_int_t ngx_http_llm_admin_weight(ngx_http_llm_admin_t *a,
    const cJSON *item, uint32_t *bp);
static ngx_int_t ngx_http_llm_admin_weights_whole(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, uint32_t *weight, uint32_t seen);
static ngx_int_t ngx_http_llm_admin_find_variant(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, const ngx_str_t *name, uint32_t *variant);
static ngx_int_t ngx_http_llm_admin_verb_args(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, llm_act_t *act);
static ngx_int_t ngx_http_llm_admin_act(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, uint64_t version, llm_act_t *act);
static void ngx_http_llm_admin_acted(void *data, ngx_int_t rc,
    llm_act_result_t result, const llm_split_doc_t *doc);
static ngx_int_t ngx_http_llm_admin_answer(ngx_http_llm_admin_t *a,
    ngx_int_t rc, llm_act_result_t result, const llm_split_doc_t *doc);
static ngx_int_t ngx_http_llm_admin_act_refused(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, const llm_split_doc_t *doc,
    llm_act_result_t result);


static const char  *ngx_http_llm_admin_codes[] = {
    [LLM_ACT_NO_ROLLOUT] = "no_rollout",
    [LLM_ACT_RUNNING] = "rollout_running",
    [LLM_ACT_NOT_RUNNING] = "not_running",
    [LLM_ACT_RESTING] = "resting",
    [LLM_ACT_BARRED] = "barred",
    [LLM_ACT_IS_BASELINE] = "is_baseline",
    [LLM_ACT_AT_END] = "at_end",
    [LLM_ACT_WEIGHTS] = "invalid_weights",
    [LLM_ACT_VARIANT] = "invalid_variant"
};


ngx_int_t
ngx_http_llm_admin_splits(ngx_http_llm_admin_t *a)
{
    cJSON                  *list;
    ngx_uint_t              i;
    llm_split_doc_t         doc;
    ngx_http_llm_split_t  **split;

    list = ngx_http_llm_admin_put_array(a, ngx_http_llm_admin_root(a),
                                        "splits");

    split = a->lmcf->splits.elts;

    for (i = 0; i < a->lmcf->splits.nelts; i++) {
        ngx_http_llm_split_doc(&a->lmcf->store, &split[i]->store, &doc);

        ngx_http_llm_admin_view_short(a, split[i], &doc,
                            ngx_http_llm_admin_put_object(a, list, NULL));
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_llm_admin_split(ngx_http_llm_admin_t *a)
{
    ngx_int_t              rc;
    llm_split_doc_t        doc;
    ngx_http_llm_split_t  *split;

    rc = ngx_http_llm_admin_find_split(a, &split);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_llm_split_doc(&a->lmcf->store, &split->store, &doc);
    ngx_http_llm_admin_view(a, split, &doc, ngx_http_llm_admin_root(a));

    return NGX_DONE;
}


/* PUT splits/NAME <- {"version":7,"weights":{"blue":50,"green":50}} */

ngx_int_t
ngx_http_llm_admin_split_set(ngx_http_llm_admin_t *a)
{
    uint32_t               weight[LLM_SPLIT_VARIANTS];
    uint64_t               version;
    llm_act_t              act;
    ngx_int_t              rc;
    ngx_uint_t             force;
    ngx_http_llm_split_t  *split;

    static const char  *names[] = {
        "version", "weights", "force", "reason", NULL
    };

    rc = ngx_http_llm_admin_find_split(a, &split);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_members(a, names);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_get_version(a, &version);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "version_missing",
                   "\"version\" is missing: the number that GET showed, so "
                   "that nobody's change is lost");
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_weights(a, split, weight);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    force = 0;
    rc = ngx_http_llm_admin_get_bool(a, "force", &force);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    ngx_memzero(&act, sizeof(llm_act_t));

    act.verb = LLM_VERB_SET;
    act.weight = weight;
    act.variant = LLM_ROLLOUT_NOBODY;
    act.force = (int) force;

    return ngx_http_llm_admin_act(a, split, version, &act);
}


/* POST splits/NAME/VERB <- {"reason":"...", ...} or nothing */

ngx_int_t
ngx_http_llm_admin_split_verb(ngx_http_llm_admin_t *a)
{
    uint64_t               version;
    llm_act_t              act;
    llm_str_t              word;
    ngx_int_t              rc;
    ngx_http_llm_split_t  *split;

    static const char  *names[] = {
        "version", "variant", "full", "force", "reason", NULL
    };

    word.data = a->call->verb.data + 1;
    word.len = a->call->verb.len - 1;

    ngx_memzero(&act, sizeof(llm_act_t));

    if (llm_verb_by_name(word, &act.verb) != LLM_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_llm_admin_find_split(a, &split);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_members(a, names);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_verb_args(a, split, &act);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_get_version(a, &version);
    }

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    /* the emergency exit does not depend on what its caller has seen */

    if (act.verb == LLM_VERB_ABORT) {
        version = 0;
    }

    return ngx_http_llm_admin_act(a, split, version, &act);
}


static ngx_int_t
ngx_http_llm_admin_verb_args(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, llm_act_t *act)
{
    ngx_int_t   rc;
    ngx_str_t   name;
    ngx_uint_t  full, force;

    full = 0;
    force = 0;
    ngx_str_null(&name);
    act->variant = LLM_ROLLOUT_NOBODY;

    rc = ngx_http_llm_admin_get_bool(a, "full", &full);

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        rc = ngx_http_llm_admin_get_bool(a, "force", &force);
    }

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        rc = ngx_http_llm_admin_get_str(a, "variant", &name);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_find_variant(a, split, &name, &act->variant);
    }

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    if (full && act->verb != LLM_VERB_PROMOTE) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member", "\"full\" belongs to promote only");
    }

    if (force && act->verb != LLM_VERB_START) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member",
                   "\"force\" belongs to start, and to PUT, only");
    }

    if (act->variant != LLM_ROLLOUT_NOBODY
        && act->verb != LLM_VERB_ABORT && act->verb != LLM_VERB_SWAP
        && act->variant != split->store.rollout.canary)
    {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_variant",
                   "there is no rollout of \"%V\" in the configuration",
                   &name);
    }

    if (full) {
        act->verb = LLM_VERB_PROMOTE_FULL;
    }

    act->force = (int) force;

    return NGX_OK;
}


/* In force in all workers before the answer is made; where Redis has to hear of
 * it first, the answer waits. */

static ngx_int_t
ngx_http_llm_admin_act(ngx_http_llm_admin_t *a, ngx_http_llm_split_t *split,
    uint64_t version, llm_act_t *act)
{
    ngx_int_t                   rc;
    llm_split_doc_t             doc;
    llm_act_result_t            result;
    ngx_http_llm_admin_wait_t  *wait;

    rc = ngx_http_llm_admin_get_reason(a);

    if (rc != NGX_OK) {
        return rc;
    }

    a->split = split;
    a->version = version;
    a->verb = act->verb;

    wait = ngx_http_llm_admin_wait(a);
    if (wait == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_llm_split_propose(&a->lmcf->store, &split->store, version,
                                    act, &a->actor, &doc, &result,
                                    ngx_http_llm_admin_acted, wait);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    (void) ngx_http_llm_admin_back(wait);

    return ngx_http_llm_admin_answer(a, rc, result, &doc);
}


static void
ngx_http_llm_admin_acted(void *data, ngx_int_t rc, llm_act_result_t result,
    const llm_split_doc_t *doc)
{
    ngx_http_llm_admin_t  *a;

    a = ngx_http_llm_admin_back(data);

    if (a) {
        ngx_http_llm_admin_then(a, ngx_http_llm_admin_answer(a, rc, result,
                                                             doc));
    }
}


static ngx_int_t
ngx_http_llm_admin_answer(ngx_http_llm_admin_t *a, ngx_int_t rc,
    llm_act_result_t result, const llm_split_doc_t *doc)
{
    llm_str_t              word;
    ngx_http_llm_split_t  *split;

    split = a->split;

    if (rc == NGX_BUSY) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_SERVICE_UNAVAILABLE,
                   "control_plane_unavailable",
                   "Redis does not answer, and what may raise the share of a "
                   "variant waits for it; abort and pause do not");
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_llm_admin_refuse(a, NGX_HTTP_PRECONDITION_FAILED,
                 "version_mismatch",
                 "the version is %uL, not %uL: somebody changed the split "
                 "meanwhile", doc->version, a->version);

        ngx_http_llm_admin_view(a, split, doc, ngx_http_llm_admin_root(a));

        return rc;
    }

    if (result != LLM_ACT_DONE && result != LLM_ACT_SAME) {
        return ngx_http_llm_admin_act_refused(a, split, doc, result);
    }

    word = llm_verb_name(a->verb);

    ngx_log_error(NGX_LOG_NOTICE, a->request->connection->log, 0,
                  "llm admin: split \"%V\": %*s by %V, %s version %uL",
                  &split->name, word.len, word.data, &a->actor.actor,
                  result == LLM_ACT_DONE ? "now" : "still", doc->version);

    ngx_http_llm_admin_view(a, split, doc, ngx_http_llm_admin_root(a));

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_admin_act_refused(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, const llm_split_doc_t *doc,
    llm_act_result_t result)
{
    llm_str_t    why, state;
    llm_msec_t   now, rest;
    const char  *code;

    why = llm_act_message(result);
    state = llm_rollout_state_name(doc->state);
    code = ngx_http_llm_admin_codes[result];

    if (result == LLM_ACT_RESTING) {
        now = ngx_http_llm_store_now(&a->lmcf->store);
        rest = doc->rested > now ? doc->rested - now : 0;

        return ngx_http_llm_admin_refuse(a, NGX_HTTP_CONFLICT, code,
                   "%*s; %uL s are left", why.len, why.data,
                   (rest + 999) / 1000);
    }

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_CONFLICT, code,
               "%*s (split \"%V\" is in state %*s)", why.len, why.data,
               &split->name, state.len, state.data);
}


static ngx_int_t
ngx_http_llm_admin_find_split(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t **split)
{
    ngx_uint_t              i;
    ngx_http_llm_split_t  **all;

    all = a->lmcf->splits.elts;

    for (i = 0; i < a->lmcf->splits.nelts; i++) {
        if (all[i]->name.len == a->name.len
            && ngx_strncmp(all[i]->name.data, a->name.data, a->name.len) == 0)
        {
            *split = all[i];
            return NGX_OK;
        }
    }

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_NOT_FOUND, "not_found",
               "there is no split \"%V\"; GET %Vsplits lists them", &a->name,
               &a->conf->prefix);
}


static ngx_int_t
ngx_http_llm_admin_find_variant(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, const ngx_str_t *name, uint32_t *variant)
{
    uint32_t  i;

    for (i = 0; i < split->store.n; i++) {
        if (split->variants[i].name.len == name->len
            && ngx_strncmp(split->variants[i].name.data, name->data, name->len)
               == 0)
        {
            *variant = i;
            return NGX_OK;
        }
    }

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
               "unknown_variant", "split \"%V\" has no variant \"%V\"",
               &split->name, name);
}


/* Nothing is made up for a variant that is not named. */

static ngx_int_t
ngx_http_llm_admin_weights(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, uint32_t *weight)
{
    cJSON      *weights, *item;
    uint32_t    seen, variant;
    ngx_int_t   rc;
    ngx_str_t   name;

    weights = cJSON_GetObjectItemCaseSensitive(a->body, "weights");

    if (!cJSON_IsObject(weights)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "weights_missing",
                   "\"weights\" is missing: an object with the percentage of "
                   "each variant");
    }

    seen = 0;

    cJSON_ArrayForEach(item, weights) {
        name.data = (u_char *) item->string;
        name.len = ngx_strlen(item->string);

        rc = ngx_http_llm_admin_find_variant(a, split, &name, &variant);

        if (rc == NGX_OK) {
            rc = ngx_http_llm_admin_weight(a, item, &weight[variant]);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (seen & (1u << variant)) {
            return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                       "invalid_weights",
                       "the weight of \"%s\" stands there twice",
                       item->string);
        }

        seen |= 1u << variant;
    }

    return ngx_http_llm_admin_weights_whole(a, split, weight, seen);
}


static ngx_int_t
ngx_http_llm_admin_weight(ngx_http_llm_admin_t *a, const cJSON *item,
    uint32_t *bp)
{
    double  n;

    n = item->valuedouble * 100;

    if (!cJSON_IsNumber(item) || !(n >= 0 && n <= LLM_SPLIT_BUCKETS)) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_weights",
                   "the weight of \"%s\" must be a number from 0 to 100",
                   item->string);
    }

    *bp = (uint32_t) (n + 0.5);

    /* 33.33 has no exact form in binary */

    if (n - *bp > 0.0001 || *bp - n > 0.0001) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_weights",
                   "the weight of \"%s\" has more than two decimals",
                   item->string);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_admin_weights_whole(ngx_http_llm_admin_t *a,
    ngx_http_llm_split_t *split, uint32_t *weight, uint32_t seen)
{
    uint32_t  i, sum;

    sum = 0;

    for (i = 0; i < split->store.n; i++) {

        if (!(seen & (1u << i))) {
            return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                       "invalid_weights",
                       "the weight of \"%V\" is missing, it may be 0",
                       &split->variants[i].name);
        }

        sum += weight[i];
    }

    if (sum != LLM_SPLIT_BUCKETS) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_weights",
                   "the weights sum to %uD.%02uD, not to 100",
                   sum / 100, sum % 100);
    }

    return NGX_OK;
}
