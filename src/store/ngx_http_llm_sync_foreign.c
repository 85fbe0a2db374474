/*
 * Nodes whose configurations have other variants, as while a new one is rolled
 * out: documents cannot be shared, but who is rolled back on one node is rolled
 * back on all that have such a variant.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"
#include "ngx_http_llm_sync_split.h"


static void ngx_http_llm_sync_split_bar(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t name);


/*
 * The document in Redis is about other variants: this node's configuration is
 * older, then it keeps its own and writes nothing, but who was rolled back
 * there is rolled back here; or newer, then its own replaces it.
 */

void
ngx_http_llm_sync_split_foreign_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, ngx_http_llm_state_doc_t *sd)
{
    uint32_t                    i;
    llm_act_t                   act;
    ngx_http_llm_actor_t        actor;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;
    sn->foreign = sd->doc.version >= sn->doc.version;

    ngx_memzero(&actor, sizeof(ngx_http_llm_actor_t));
    ngx_str_set(&actor.actor, "another node");

    ngx_memzero(&act, sizeof(llm_act_t));
    act.verb = LLM_VERB_ABORT;

    for (i = 0; i < sd->doc.n; i++) {
        act.variant = sd->place[i];

        if (sd->place[i] != 0xff && llm_rollout_is_barred(&sd->doc, i)) {
            (void) ngx_http_llm_split_act_locked(store, split, &act, &actor);
        }
    }
}


/* Where the document in Redis is about other variants this node cannot change
 * it, but others may listen: who is rolled back here. */

void
ngx_http_llm_sync_split_tell_barred(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split)
{
    u_char                      text[sizeof("barred ") + 2 * 16 + 1];
    uint32_t                    i;
    ngx_str_t                   message;
    ngx_http_llm_split_node_t  *sn;

    sn = split->node;
    sn->shared = sn->tag;
    message.data = text;

    for (i = 0; i < sn->n; i++) {
        if (llm_rollout_is_barred(&sn->doc, i)) {
            message.len = ngx_sprintf(text, "barred %016xL %016xL",
                                      sn->node.hash, sn->names[i]) - text;

            (void) ngx_http_llm_sync_publish(store, &message);
        }
    }
}


void
ngx_http_llm_sync_barred_message(ngx_http_llm_store_t *store,
    ngx_str_t *words)
{
    uint64_t                      hash, name;
    ngx_str_t                     word;
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **split;

    if (words->len != 2 * 16 + 1) {
        return;
    }

    word.len = 16;
    word.data = words->data;
    hash = ngx_http_llm_sync_split_token(&word);

    word.data += word.len + 1;
    name = ngx_http_llm_sync_split_token(&word);

    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {
        if (split[i]->node->node.hash == hash) {
            ngx_http_llm_sync_split_bar(store, split[i], name);
        }
    }
}


static void
ngx_http_llm_sync_split_bar(ngx_http_llm_store_t *store,
    ngx_http_llm_store_split_t *split, uint64_t name)
{
    llm_act_t              act;
    llm_split_doc_t        doc;
    llm_act_result_t       result;
    ngx_http_llm_actor_t   actor;

    ngx_memzero(&actor, sizeof(ngx_http_llm_actor_t));
    ngx_str_set(&actor.actor, "another node");

    ngx_memzero(&act, sizeof(llm_act_t));
    act.verb = LLM_VERB_ABORT;
    act.variant = ngx_http_llm_split_index(split->node, name);

    if (act.variant != NGX_HTTP_LLM_NOWHERE) {
        (void) ngx_http_llm_split_act(store, split, 0, &act, &actor, &doc,
                                      &result);
    }
}
