
/*
 * Calls about what all nodes know together: experiments, and the audit trail.
 * With llm_redis they wait for its answer; else this node's own is shown.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_json.h"
#include "ngx_http_llm_admin.h"
#include "ngx_http_llm_experiment.h"


#define NGX_HTTP_LLM_ADMIN_ENTRIES  500


static ngx_int_t ngx_http_llm_admin_arms(ngx_http_llm_admin_t *a);
static void ngx_http_llm_admin_arms_read(void *data,
    const llm_experiment_arm_t *arm, ngx_uint_t others);
static void ngx_http_llm_admin_arms_put(ngx_http_llm_admin_t *a,
    const llm_experiment_arm_t *arm, ngx_uint_t nodes);
static ngx_int_t ngx_http_llm_admin_audit_here(ngx_http_llm_admin_t *a,
    ngx_uint_t limit);
static ngx_int_t ngx_http_llm_admin_audit_all(ngx_http_llm_admin_t *a,
    ngx_uint_t limit);
static void ngx_http_llm_admin_audit_entry(void *data, ngx_int_t rc,
    ngx_str_t *node, ngx_str_t *line);
static ngx_int_t ngx_http_llm_admin_no_trail(ngx_http_llm_admin_t *a);


/* ---- experiments --------------------------------------------------------- */

ngx_int_t
ngx_http_llm_admin_experiments(ngx_http_llm_admin_t *a)
{
    a->list = ngx_http_llm_admin_put_array(a, ngx_http_llm_admin_root(a),
                                           "experiments");
    a->next = 0;

    return ngx_http_llm_admin_arms(a);
}


ngx_int_t
ngx_http_llm_admin_experiment(ngx_http_llm_admin_t *a)
{
    ngx_str_t              *name;
    ngx_uint_t              i;
    ngx_http_llm_split_t  **split;

    split = a->lmcf->splits.elts;

    for (i = 0; i < a->lmcf->splits.nelts; i++) {
        name = &split[i]->store.experiment;

        if (name->len && name->len == a->name.len
            && ngx_strncmp(name->data, a->name.data, name->len) == 0)
        {
            a->next = i;
            return ngx_http_llm_admin_arms(a);
        }
    }

    return ngx_http_llm_admin_refuse(a, NGX_HTTP_NOT_FOUND, "not_found",
               "there is no experiment \"%V\"; GET %Vexperiments lists them",
               &a->name, &a->conf->prefix);
}


/* One after the other, all of them or the one that is asked for. */

static ngx_int_t
ngx_http_llm_admin_arms(ngx_http_llm_admin_t *a)
{
    ngx_int_t                    rc;
    ngx_http_llm_split_t       **split;
    ngx_http_llm_admin_wait_t   *wait;

    split = a->lmcf->splits.elts;

    for ( /* void */ ; a->next < a->lmcf->splits.nelts; a->next++) {

        if (split[a->next]->store.experiment.len == 0) {
            continue;
        }

        if (a->lmcf->store.redis) {
            wait = ngx_http_llm_admin_wait(a);
            if (wait == NULL) {
                return NGX_ERROR;
            }

            rc = ngx_http_llm_arms_read(&a->lmcf->store,
                                        &split[a->next]->store,
                                        ngx_http_llm_admin_arms_read, wait);
            if (rc == NGX_AGAIN) {
                return NGX_AGAIN;
            }

            (void) ngx_http_llm_admin_back(wait);
        }

        ngx_http_llm_admin_arms_put(a, NULL, 1);

        if (a->list == NULL) {
            break;
        }
    }

    return NGX_DONE;
}


static void
ngx_http_llm_admin_arms_read(void *data, const llm_experiment_arm_t *arm,
    ngx_uint_t others)
{
    ngx_int_t              rc;
    ngx_http_llm_admin_t  *a;

    a = ngx_http_llm_admin_back(data);

    if (a == NULL) {
        return;
    }

    ngx_http_llm_admin_arms_put(a, arm, others + 1);
    rc = NGX_DONE;

    if (a->list) {
        a->next++;
        rc = ngx_http_llm_admin_arms(a);
    }

    if (rc != NGX_AGAIN) {
        ngx_http_llm_admin_then(a, rc);
    }
}


static void
ngx_http_llm_admin_arms_put(ngx_http_llm_admin_t *a,
    const llm_experiment_arm_t *arm, ngx_uint_t nodes)
{
    cJSON                  *json;
    ngx_http_llm_split_t  **split;

    split = a->lmcf->splits.elts;

    json = ngx_http_llm_experiment_json(&a->lmcf->store, split[a->next], arm,
                                        nodes, a->request->pool);
    if (a->list) {
        (void) ngx_http_llm_admin_put(a, a->list, NULL, json);

    } else {
        a->answer = json;
        a->failed |= (json == NULL);
    }
}


/* ---- the audit trail ----------------------------------------------------- */

/* GET audit?limit=N&all=1 */

ngx_int_t
ngx_http_llm_admin_audit(ngx_http_llm_admin_t *a)
{
    ngx_int_t   limit;
    ngx_str_t   arg;
    ngx_uint_t  all;

    limit = NGX_HTTP_LLM_AUDIT_KEPT;

    if (ngx_http_arg(a->request, (u_char *) "limit", 5, &arg) == NGX_OK) {
        limit = ngx_atoi(arg.data, arg.len);

        if (limit < 1) {
            return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                       "invalid_limit", "limit must be a number from 1 on");
        }
    }

    all = ngx_http_arg(a->request, (u_char *) "all", 3, &arg) == NGX_OK
          && arg.len == 1 && arg.data[0] == '1';

    a->list = ngx_http_llm_admin_put_array(a, ngx_http_llm_admin_root(a),
                                           "entries");
    if (all) {
        return ngx_http_llm_admin_audit_all(a,
                               ngx_min(limit, NGX_HTTP_LLM_ADMIN_ENTRIES));
    }

    return ngx_http_llm_admin_audit_here(a,
                               ngx_min(limit, NGX_HTTP_LLM_AUDIT_KEPT));
}


/* The trail's own bytes, so that its hashes can be checked. */

static ngx_int_t
ngx_http_llm_admin_audit_here(ngx_http_llm_admin_t *a, ngx_uint_t limit)
{
    u_char     *p, *last, *end;
    ngx_str_t   line, lines;

    ngx_str_null(&lines);

    if (a->lmcf->store.zone
        && ngx_http_llm_audit_read(&a->lmcf->store, limit, a->request->pool,
                                   &lines)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    last = lines.data + lines.len;

    for (p = lines.data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, LF);

        if (end == NULL) {
            end = last;
        }

        if (end > p) {
            line.data = p;
            line.len = end - p;
            ngx_http_llm_admin_put_raw(a, a->list, &line);
        }
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_llm_admin_audit_all(ngx_http_llm_admin_t *a, ngx_uint_t limit)
{
    ngx_int_t                   rc;
    ngx_http_llm_admin_wait_t  *wait;

    wait = ngx_http_llm_admin_wait(a);
    if (wait == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_llm_audit_all(&a->lmcf->store, limit,
                                ngx_http_llm_admin_audit_entry, wait);
    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    (void) ngx_http_llm_admin_back(wait);

    return ngx_http_llm_admin_no_trail(a);
}


static ngx_int_t
ngx_http_llm_admin_no_trail(ngx_http_llm_admin_t *a)
{
    return ngx_http_llm_admin_refuse(a, NGX_HTTP_SERVICE_UNAVAILABLE,
               "control_plane_unavailable",
               "the trail of all nodes is in Redis (llm_redis), which is away; "
               "without \"all\" this node's own is shown");
}


/* {"node":…,"entry":…}; what is no entry is left out. */

static void
ngx_http_llm_admin_audit_entry(void *data, ngx_int_t rc, ngx_str_t *node,
    ngx_str_t *line)
{
    u_char                     *p;
    ngx_str_t                   text;
    ngx_http_llm_admin_t       *a;

    if (rc != NGX_AGAIN) {
        a = ngx_http_llm_admin_back(data);

        if (a) {
            rc = (rc == NGX_OK) ? NGX_DONE : ngx_http_llm_admin_no_trail(a);
            ngx_http_llm_admin_then(a, rc);
        }

        return;
    }

    a = ngx_http_llm_admin_peek(data);

    if (a == NULL
        || llm_json_check((llm_str_t) { line->len, line->data }) != LLM_OK)
    {
        return;
    }

    p = ngx_pnalloc(a->request->pool, node->len + line->len
                                      + sizeof("{\"node\":\"\",\"entry\":}"));
    if (p == NULL) {
        a->failed = 1;
        return;
    }

    text.data = p;
    text.len = ngx_sprintf(p, "{\"node\":\"%V\",\"entry\":%V}", node, line)
               - p;

    ngx_http_llm_admin_put_raw(a, a->list, &text);
}
