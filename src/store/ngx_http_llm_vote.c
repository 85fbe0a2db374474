/*
 * Votes: which variant of which split answered a request, and what its user
 * thought of it.
 *
 * One table for all experiments of a node: a ring of the newest requests, found
 * by chains of a hash of their ids, which are random.  A request is forgotten
 * after 24 hours, or when the ring comes round.  Rows name split and variant by
 * hashes, so they outlive a changed configuration.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_VOTE_KEEP   (24 * 3600)    /* s */
#define NGX_HTTP_LLM_VOTE_CHAIN  64             /* rows looked at, at most */


typedef struct {
    u_char                   id[16];
    uint32_t                 split;             /* of hashes of names */
    uint32_t                 variant;
    uint32_t                 phase;             /* of the experiment */
    uint32_t                 opened;            /* s since the epoch; 0: free */
    uint32_t                 next;              /* of the chain; 1 is row 0 */
    uint16_t                 bucket;
    int8_t                   vote;
} ngx_http_llm_vote_row_t;


/* Rows and the heads of the chains follow in the same piece of memory. */
struct ngx_http_llm_votes_s {
    uint32_t                 n;
    uint32_t                 mask;              /* heads - 1 */
    uint32_t                 last;              /* the newest row */
    ngx_http_llm_vote_row_t *row;
    uint32_t                *head;
};


static ngx_http_llm_votes_t *ngx_http_llm_votes_make(
    ngx_http_llm_store_t *store, ngx_uint_t n);
static void ngx_http_llm_votes_move_locked(ngx_http_llm_votes_t *to,
    ngx_http_llm_votes_t *from);
static void ngx_http_llm_votes_put_locked(ngx_http_llm_votes_t *v,
    const ngx_http_llm_vote_row_t *row);
static void ngx_http_llm_votes_unlink_locked(ngx_http_llm_votes_t *v,
    uint32_t place);
static ngx_http_llm_vote_row_t *ngx_http_llm_votes_find_locked(
    ngx_http_llm_votes_t *v, const u_char id[16]);
static ngx_int_t ngx_http_llm_vote_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_vote_row_t *row, int vote,
    ngx_http_llm_store_split_t **split, uint32_t *variant);
static uint32_t ngx_http_llm_vote_seconds(ngx_http_llm_store_t *store);
static ngx_int_t ngx_http_llm_vote_id(const u_char hex[32], u_char id[16]);


static ngx_inline uint32_t
ngx_http_llm_vote_name(const ngx_str_t *name)
{
    return (uint32_t) llm_fnv64(ngx_http_llm_str(name), 0);
}


static ngx_inline uint32_t *
ngx_http_llm_vote_head(ngx_http_llm_votes_t *v, const u_char id[16])
{
    uint32_t  hash;

    ngx_memcpy(&hash, id, sizeof(hash));

    return &v->head[hash & v->mask];
}


/* ---- the table ----------------------------------------------------------- */

ngx_int_t
ngx_http_llm_votes_link(ngx_http_llm_store_t *store)
{
    ngx_uint_t                    i, n;
    ngx_http_llm_root_t          *root;
    ngx_http_llm_votes_t         *v, *old;
    ngx_http_llm_store_split_t  **split;

    n = 0;
    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {
        if (split[i]->experiment.len) {
            n += split[i]->remember;
        }
    }

    root = store->root;
    old = root->votes;

    /* a smaller table would forget what old workers still ask for */

    if (n == 0 || (old && old->n >= n)) {
        return NGX_OK;
    }

    v = ngx_http_llm_votes_make(store, n);

    if (v == NULL) {
        ngx_log_error(NGX_LOG_EMERG, store->log, 0,
                      "llm_zone \"%V\" of %uzk is too small for the %ui "
                      "requests that experiments remember (%uzk)",
                      &store->zone->shm.name, store->zone->shm.size / 1024, n,
                      n * sizeof(ngx_http_llm_vote_row_t) / 1024);
        return NGX_ERROR;
    }

    ngx_http_llm_store_lock(store);

    if (old) {
        ngx_http_llm_votes_move_locked(v, old);
    }

    root->votes = v;

    if (old) {
        ngx_slab_free_locked(store->shpool, old);
    }

    ngx_http_llm_store_unlock(store);

    return NGX_OK;
}


static ngx_http_llm_votes_t *
ngx_http_llm_votes_make(ngx_http_llm_store_t *store, ngx_uint_t n)
{
    u_char                *p;
    ngx_uint_t             heads;
    ngx_http_llm_votes_t  *v;

    for (heads = 64; heads < n; heads *= 2) { /* void */ }

    p = ngx_slab_calloc(store->shpool,
                        sizeof(ngx_http_llm_votes_t)
                        + n * sizeof(ngx_http_llm_vote_row_t)
                        + heads * sizeof(uint32_t));
    if (p == NULL) {
        return NULL;
    }

    v = (ngx_http_llm_votes_t *) p;
    p += sizeof(ngx_http_llm_votes_t);

    v->row = (ngx_http_llm_vote_row_t *) p;
    p += n * sizeof(ngx_http_llm_vote_row_t);

    v->head = (uint32_t *) p;
    v->n = (uint32_t) n;
    v->mask = (uint32_t) heads - 1;

    return v;
}


/* Oldest first.  Only a reload that asks for more rows pays for this. */

static void
ngx_http_llm_votes_move_locked(ngx_http_llm_votes_t *to,
    ngx_http_llm_votes_t *from)
{
    uint32_t                  i;
    ngx_http_llm_vote_row_t  *row;

    for (i = 1; i <= from->n; i++) {
        row = &from->row[(from->last + i) % from->n];

        if (row->opened) {
            ngx_http_llm_votes_put_locked(to, row);
        }
    }
}


/* Takes the oldest row.  At every moment a chain holds rows of its own only,
 * whatever becomes of this worker. */

static void
ngx_http_llm_votes_put_locked(ngx_http_llm_votes_t *v,
    const ngx_http_llm_vote_row_t *row)
{
    uint32_t                  place, *head;
    ngx_http_llm_vote_row_t  *to;

    place = (v->last + 1) % v->n;
    to = &v->row[place];

    if (to->opened) {
        ngx_http_llm_votes_unlink_locked(v, place);
    }

    head = ngx_http_llm_vote_head(v, row->id);

    *to = *row;
    to->next = *head;
    *head = place + 1;
    v->last = place;
}


static void
ngx_http_llm_votes_unlink_locked(ngx_http_llm_votes_t *v, uint32_t place)
{
    uint32_t    *link;
    ngx_uint_t   i;

    link = ngx_http_llm_vote_head(v, v->row[place].id);

    for (i = 0; *link && i < NGX_HTTP_LLM_VOTE_CHAIN; i++) {

        if (*link == place + 1) {
            *link = v->row[place].next;
            return;
        }

        link = &v->row[*link - 1].next;
    }

    /* chains so long do not happen with random ids: what is behind it goes */

    *link = 0;
}


static ngx_http_llm_vote_row_t *
ngx_http_llm_votes_find_locked(ngx_http_llm_votes_t *v, const u_char id[16])
{
    uint32_t     at;
    ngx_uint_t   i;

    at = *ngx_http_llm_vote_head(v, id);

    for (i = 0; at && i < NGX_HTTP_LLM_VOTE_CHAIN; i++) {

        if (ngx_memcmp(v->row[at - 1].id, id, 16) == 0) {
            return &v->row[at - 1];
        }

        at = v->row[at - 1].next;
    }

    return NULL;
}


/* ---- requests and votes -------------------------------------------------- */

void
ngx_http_llm_vote_open(ngx_http_llm_store_t *store,
    ngx_http_llm_place_t *place, const u_char id[32])
{
    ngx_http_llm_root_t         *root;
    ngx_http_llm_vote_row_t      row;
    ngx_http_llm_store_split_t  *split;

    split = place->split;
    root = store->root;

    ngx_memzero(&row, sizeof(ngx_http_llm_vote_row_t));

    if (root->votes == NULL || ngx_http_llm_vote_id(id, row.id) != NGX_OK) {
        return;
    }

    row.split = ngx_http_llm_vote_name(&split->name);
    row.variant = ngx_http_llm_vote_name(&split->variants[place->variant]);
    row.opened = ngx_http_llm_vote_seconds(store);
    row.bucket = (uint16_t) place->bucket;

    ngx_http_llm_store_lock(store);
    row.phase = (uint32_t) split->node->phase;
    ngx_http_llm_votes_put_locked(root->votes, &row);
    ngx_http_llm_store_unlock(store);
}


ngx_int_t
ngx_http_llm_vote(ngx_http_llm_store_t *store, const u_char id[32], int vote,
    ngx_http_llm_store_split_t **split, uint32_t *variant)
{
    u_char                    bytes[16];
    uint32_t                  now;
    ngx_int_t                 rc;
    ngx_http_llm_root_t      *root;
    ngx_http_llm_vote_row_t  *row;

    root = store->root;

    if (root == NULL) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;
    now = ngx_http_llm_vote_seconds(store);

    ngx_http_llm_store_lock(store);

    if (root->votes && ngx_http_llm_vote_id(id, bytes) == NGX_OK) {
        row = ngx_http_llm_votes_find_locked(root->votes, bytes);

        if (row && now < row->opened + NGX_HTTP_LLM_VOTE_KEEP) {
            rc = ngx_http_llm_vote_locked(store, row, vote, split, variant);
        }
    }

    if (rc == NGX_OK) {
        root->vote_totals.votes++;
    }

    ngx_http_llm_store_unlock(store);

    return rc;
}


/* A vote about an earlier phase is taken, but belongs to nothing any more. */

static ngx_int_t
ngx_http_llm_vote_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_vote_row_t *row, int vote,
    ngx_http_llm_store_split_t **split, uint32_t *variant)
{
    uint32_t                      k;
    ngx_uint_t                    i;
    llm_experiment_arm_t         *arm;
    ngx_http_llm_store_split_t   *s, **known;

    known = store->splits.elts;
    s = NULL;

    for (i = 0; i < store->splits.nelts; i++) {
        if (ngx_http_llm_vote_name(&known[i]->name) == row->split) {
            s = known[i];
            break;
        }
    }

    if (s == NULL) {
        return NGX_DECLINED;
    }

    for (k = 0; k < s->n; k++) {
        if (ngx_http_llm_vote_name(&s->variants[k]) == row->variant) {
            break;
        }
    }

    if (k == s->n) {
        return NGX_DECLINED;
    }

    arm = ngx_http_llm_split_arm(s, k);

    if (arm && row->phase == (uint32_t) s->node->phase) {
        llm_experiment_vote(arm, row->bucket, row->vote, vote);
    }

    row->vote = (int8_t) vote;
    *split = s;
    *variant = k;

    return NGX_OK;
}


void
ngx_http_llm_vote_late(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (root) {
        (void) __atomic_fetch_add(&root->vote_totals.late, 1,
                                  __ATOMIC_RELAXED);
    }
}


uint64_t
ngx_http_llm_split_phase(ngx_http_llm_store_split_t *split)
{
    return split->node->phase + 1;
}


ngx_http_llm_vote_totals_t *
ngx_http_llm_vote_totals(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    return &root->vote_totals;
}


static uint32_t
ngx_http_llm_vote_seconds(ngx_http_llm_store_t *store)
{
    return (uint32_t) (ngx_http_llm_store_now(store) / 1000);
}


static ngx_int_t
ngx_http_llm_vote_id(const u_char hex[32], u_char id[16])
{
    ngx_int_t   n;
    ngx_uint_t  i;

    for (i = 0; i < 16; i++) {
        n = ngx_hextoi((u_char *) hex + 2 * i, 2);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        id[i] = (u_char) n;
    }

    return NGX_OK;
}
