/*
 * The audit trail: who changed what, when and why.
 *
 * Every entry is a line of JSON that ends in the SHA-256 of itself without that
 * member, and holds the one of the entry before: a line that is changed or
 * taken out breaks the chain.  The newest are kept in the zone.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "llm_json.h"
#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_AUDIT_ACTOR  256       /* bytes of its name, at most */
#define NGX_HTTP_LLM_AUDIT_SHARE  16        /* of the zone: 1/16 at most */
#define NGX_HTTP_LLM_AUDIT_BEHIND  64       /* entries the file may lack */

/* What is put behind an entry's fields: two hashes, and that it was cut. */
#define NGX_HTTP_LLM_AUDIT_TAIL                                               \
    (sizeof(",\"cut\":true,\"prev_hash\":\"\",\"hash\":\"\"}")                \
     + 2 * NGX_HTTP_LLM_AUDIT_HASH)


static void ngx_http_llm_audit_head(llm_buf_t *out,
    ngx_http_llm_store_t *store, ngx_http_llm_actor_t *actor,
    ngx_str_t *action);
static ngx_uint_t ngx_http_llm_audit_member(llm_buf_t *out, llm_str_t name,
    ngx_str_t *value, ngx_uint_t is_text);
static void ngx_http_llm_audit_tail(llm_buf_t *out, ngx_http_llm_root_t *root,
    ngx_uint_t cut, u_char *hash);
static ngx_int_t ngx_http_llm_audit_keep_locked(ngx_http_llm_store_t *store,
    llm_str_t line);
static void ngx_http_llm_audit_drop_locked(ngx_http_llm_store_t *store);


void
ngx_http_llm_audit(ngx_http_llm_store_t *store, ngx_http_llm_actor_t *actor,
    ngx_str_t *action, ngx_str_t *fields)
{
    ngx_http_llm_store_lock(store);
    ngx_http_llm_audit_locked(store, actor, action, fields);
    ngx_http_llm_store_unlock(store);

    ngx_http_llm_audit_relieve(store);
}


void
ngx_http_llm_audit_relieve(ngx_http_llm_store_t *store)
{
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (root->audit.seq - root->audit.flushed >= NGX_HTTP_LLM_AUDIT_BEHIND) {
        ngx_http_llm_audit_flush(store);
    }
}


void
ngx_http_llm_audit_locked(ngx_http_llm_store_t *store,
    ngx_http_llm_actor_t *actor, ngx_str_t *action, ngx_str_t *fields)
{
    u_char                mem[NGX_HTTP_LLM_AUDIT_SIZE];
    u_char                hash[NGX_HTTP_LLM_AUDIT_HASH];
    llm_buf_t             out;
    ngx_uint_t            whole;
    ngx_http_llm_root_t  *root;

    root = store->root;

    llm_buf_init(&out, mem, sizeof(mem) - NGX_HTTP_LLM_AUDIT_TAIL);

    ngx_http_llm_audit_head(&out, store, actor, action);
    whole = ngx_http_llm_audit_member(&out, LLM_NOSTR, fields, 0);

    if (actor) {
        whole &= ngx_http_llm_audit_member(&out, LLM_STR("request"),
                                           &actor->request, 1);
        whole &= ngx_http_llm_audit_member(&out, LLM_STR("reason"),
                                           &actor->reason, 0);
    }

    out.end = mem + sizeof(mem);

    ngx_http_llm_audit_tail(&out, root, !whole, hash);

    if (ngx_http_llm_audit_keep_locked(store, llm_buf_view(&out)) != NGX_OK) {
        root->audit.lost++;
        return;
    }

    root->audit.seq++;
    ngx_memcpy(root->audit.hash, hash, NGX_HTTP_LLM_AUDIT_HASH);
}


static void
ngx_http_llm_audit_head(llm_buf_t *out, ngx_http_llm_store_t *store,
    ngx_http_llm_actor_t *actor, ngx_str_t *action)
{
    u_char                text[128], *p;
    ngx_tm_t              tm;
    llm_str_t             who;
    llm_msec_t            now;
    ngx_http_llm_root_t  *root;

    root = store->root;
    now = ngx_http_llm_store_now(store);

    ngx_gmtime((time_t) (now / 1000), &tm);

    p = ngx_sprintf(text, "{\"seq\":%uL,\"time\":"
                    "\"%4d-%02d-%02dT%02d:%02d:%02d.%03uLZ\",\"actor\":",
                    root->audit.seq + 1, tm.ngx_tm_year, tm.ngx_tm_mon,
                    tm.ngx_tm_mday, tm.ngx_tm_hour, tm.ngx_tm_min,
                    tm.ngx_tm_sec, now % 1000);

    llm_buf_put(out, text, p - text);

    who = actor ? ngx_http_llm_str(&actor->actor) : LLM_STR("configuration");
    who.len = ngx_min(who.len, NGX_HTTP_LLM_AUDIT_ACTOR);

    llm_json_put_string(out, who);
    llm_buf_str(out, LLM_STR(",\"action\":"));
    llm_json_put_string(out, ngx_http_llm_str(action));
}


/* Appends a member, or nothing at all when there is no room for it: then 0.
 * Without a name the value is members. */

static ngx_uint_t
ngx_http_llm_audit_member(llm_buf_t *out, llm_str_t name, ngx_str_t *value,
    ngx_uint_t is_text)
{
    u_char  *start;

    if (value->len == 0) {
        return 1;
    }

    start = out->pos;

    llm_buf_str(out, LLM_STR(","));

    if (name.len) {
        llm_json_put_string(out, name);
        llm_buf_str(out, LLM_STR(":"));
    }

    if (is_text) {
        llm_json_put_string(out, ngx_http_llm_str(value));
    } else {
        llm_buf_str(out, ngx_http_llm_str(value));
    }

    if (!out->full) {
        return 1;
    }

    out->pos = start;
    out->full = 0;

    return 0;
}


static void
ngx_http_llm_audit_tail(llm_buf_t *out, ngx_http_llm_root_t *root,
    ngx_uint_t cut, u_char *hash)
{
    u_char  sum[32];

    if (cut) {
        llm_buf_str(out, LLM_STR(",\"cut\":true"));
    }

    llm_buf_str(out, LLM_STR(",\"prev_hash\":\""));
    llm_buf_put(out, root->audit.hash, NGX_HTTP_LLM_AUDIT_HASH);
    llm_buf_str(out, LLM_STR("\"}"));

    llm_sha256(llm_buf_view(out), sum);
    (void) ngx_hex_dump(hash, sum, sizeof(sum));

    out->pos--;

    llm_buf_str(out, LLM_STR(",\"hash\":\""));
    llm_buf_put(out, hash, NGX_HTTP_LLM_AUDIT_HASH);
    llm_buf_str(out, LLM_STR("\"}"));
}


static ngx_int_t
ngx_http_llm_audit_keep_locked(ngx_http_llm_store_t *store, llm_str_t line)
{
    size_t                      max;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_audit_node_t  *an;

    root = store->root;
    max = store->zone->shm.size / NGX_HTTP_LLM_AUDIT_SHARE;

    while (root->audit.n == NGX_HTTP_LLM_AUDIT_KEPT
           || (root->audit.n && root->audit.size + line.len > max))
    {
        ngx_http_llm_audit_drop_locked(store);
    }

    do {
        an = ngx_slab_alloc_locked(store->shpool,
                                   offsetof(ngx_http_llm_audit_node_t, line)
                                   + line.len);
        if (an) {
            break;
        }

        if (root->audit.n == 0) {
            return NGX_ERROR;
        }

        ngx_http_llm_audit_drop_locked(store);

    } while (1);

    an->seq = root->audit.seq + 1;
    an->len = line.len;
    ngx_memcpy(an->line, line.data, line.len);

    ngx_queue_insert_tail(&root->audit.entries, &an->queue);
    root->audit.n++;
    root->audit.size += line.len;

    return NGX_OK;
}


static void
ngx_http_llm_audit_drop_locked(ngx_http_llm_store_t *store)
{
    ngx_queue_t                *q;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_audit_node_t  *an;

    root = store->root;
    q = ngx_queue_head(&root->audit.entries);
    an = ngx_queue_data(q, ngx_http_llm_audit_node_t, queue);

    ngx_queue_remove(q);
    root->audit.n--;
    root->audit.size -= an->len;

    ngx_slab_free_locked(store->shpool, an);
}


ngx_int_t
ngx_http_llm_audit_read(ngx_http_llm_store_t *store, ngx_uint_t n,
    ngx_pool_t *pool, ngx_str_t *lines)
{
    size_t                      size;
    u_char                     *p;
    ngx_queue_t                *q;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_audit_node_t  *an;

    /* what is allocated without the lock may be too little by then */

    root = store->root;
    size = root->audit.size + root->audit.n;

    lines->len = 0;
    lines->data = ngx_pnalloc(pool, size + 1);

    if (lines->data == NULL) {
        return NGX_ERROR;
    }

    p = lines->data + size;

    ngx_http_llm_store_lock(store);

    for (q = ngx_queue_last(&root->audit.entries);
         q != ngx_queue_sentinel(&root->audit.entries) && n--;
         q = ngx_queue_prev(q))
    {
        an = ngx_queue_data(q, ngx_http_llm_audit_node_t, queue);

        if ((size_t) (p - lines->data) < an->len + 1) {
            break;
        }

        *--p = LF;
        p -= an->len;
        ngx_memcpy(p, an->line, an->len);
    }

    ngx_http_llm_store_unlock(store);

    lines->len = lines->data + size - p;
    lines->data = p;

    return NGX_OK;
}
