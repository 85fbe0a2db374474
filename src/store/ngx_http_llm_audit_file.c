/*
 * DIR/audit.jsonl: the audit trail on disk, only ever appended to.
 *
 * The file is opened for every write, so it may be moved away at any time.
 * What stands at its end tells where to go on, after a crash as well.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <signal.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_AUDIT_NAME     "/audit.jsonl"
#define NGX_HTTP_LLM_AUDIT_QUIET    60000   /* ms between two complaints */

/* `"hash":"…"}` ends every line and tells it from all others. */
#define NGX_HTTP_LLM_AUDIT_END      (NGX_HTTP_LLM_AUDIT_HASH + 2)


/* The end of the file. */
typedef struct {
    u_char                      mem[2 * NGX_HTTP_LLM_AUDIT_SIZE];
    ngx_str_t                   line;       /* the last whole one, or empty */
    ngx_uint_t                  broken;     /* something follows it */
} ngx_http_llm_audit_end_t;


static ngx_fd_t ngx_http_llm_audit_open(ngx_http_llm_store_t *store,
    int flags);
static ngx_int_t ngx_http_llm_audit_end(ngx_fd_t fd,
    ngx_http_llm_audit_end_t *end);
static ngx_uint_t ngx_http_llm_audit_take(ngx_http_llm_store_t *store);
static ngx_int_t ngx_http_llm_audit_append(ngx_http_llm_store_t *store,
    ngx_fd_t fd, uint64_t *seq);
static size_t ngx_http_llm_audit_copy(ngx_http_llm_store_t *store,
    const ngx_str_t *last, u_char *mem, size_t size, uint64_t *seq,
    uint64_t *missing);
static void ngx_http_llm_audit_complain(ngx_http_llm_store_t *store);


void
ngx_http_llm_audit_flush(ngx_http_llm_store_t *store)
{
    uint64_t              seq;
    ngx_fd_t              fd;
    ngx_int_t             rc;
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (root == NULL || store->state == NULL
        || root->audit.flushed == root->audit.seq
        || !ngx_http_llm_audit_take(store))
    {
        return;
    }

    rc = NGX_ERROR;
    seq = root->audit.flushed;
    fd = ngx_http_llm_audit_open(store, O_RDWR|O_APPEND|O_CREAT);

    if (fd != NGX_INVALID_FILE) {
        rc = ngx_http_llm_audit_append(store, fd, &seq);
    }

    if (rc != NGX_OK) {
        ngx_http_llm_audit_complain(store);
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    ngx_http_llm_store_lock(store);

    if (rc == NGX_OK) {
        root->audit.flushed = seq;
    }

    root->audit.writer = 0;

    ngx_http_llm_store_unlock(store);
}


/* One writer at a time; one that died writing is not waited for. */

static ngx_uint_t
ngx_http_llm_audit_take(ngx_http_llm_store_t *store)
{
    ngx_pid_t             pid;
    ngx_uint_t            taken;
    ngx_http_llm_root_t  *root;

    root = store->root;
    pid = root->audit.writer;

    if (pid && pid != ngx_pid
        && (kill(pid, 0) != -1 || ngx_errno != NGX_ESRCH))
    {
        return 0;
    }

    ngx_http_llm_store_lock(store);

    taken = (root->audit.writer == pid);

    if (taken) {
        root->audit.writer = ngx_pid;
    }

    ngx_http_llm_store_unlock(store);

    return taken;
}


static ngx_fd_t
ngx_http_llm_audit_open(ngx_http_llm_store_t *store, int flags)
{
    u_char  name[NGX_MAX_PATH];

    if (store->state->name.len + 64 > NGX_MAX_PATH) {
        ngx_set_errno(NGX_ENAMETOOLONG);
        return NGX_INVALID_FILE;
    }

    (void) ngx_sprintf(name, "%V" NGX_HTTP_LLM_AUDIT_NAME "%Z",
                       &store->state->name);

    return open((char *) name, flags|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC,
                S_IRUSR|S_IWUSR);
}


static ngx_int_t
ngx_http_llm_audit_end(ngx_fd_t fd, ngx_http_llm_audit_end_t *end)
{
    off_t             from;
    u_char           *p, *last;
    ssize_t           n;
    ngx_file_info_t   fi;

    ngx_str_null(&end->line);
    end->broken = 0;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return NGX_ERROR;
    }

    if (!S_ISREG(fi.st_mode)) {
        ngx_set_errno(NGX_EEXIST);
        return NGX_ERROR;
    }

    from = ngx_max(fi.st_size - (off_t) sizeof(end->mem), 0);
    n = pread(fd, end->mem, sizeof(end->mem), from);

    if (n <= 0) {
        return n == 0 ? NGX_OK : NGX_ERROR;
    }

    last = end->mem + n;

    while (last > end->mem && last[-1] != LF) {
        last--;
    }

    end->broken = (last != end->mem + n);

    if (last == end->mem) {
        return NGX_OK;
    }

    last--;

    for (p = last; p > end->mem && p[-1] != LF; p--) { /* void */ }

    end->line.data = p;
    end->line.len = last - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_audit_append(ngx_http_llm_store_t *store, ngx_fd_t fd,
    uint64_t *seq)
{
    size_t                    size, len;
    u_char                   *mem;
    ssize_t                   n;
    uint64_t                  missing;
    ngx_http_llm_root_t      *root;
    ngx_http_llm_audit_end_t  end;

    root = store->root;

    if (ngx_http_llm_audit_end(fd, &end) != NGX_OK) {
        return NGX_ERROR;
    }

    size = root->audit.size + root->audit.n + 1;
    mem = ngx_alloc(size, store->log);

    if (mem == NULL) {
        return NGX_ERROR;
    }

    mem[0] = LF;
    len = ngx_http_llm_audit_copy(store, &end.line, mem + 1, size - 1, seq,
                                  &missing);
    n = 0;

    if (len) {
        n = end.broken ? write(fd, mem, len + 1) : write(fd, mem + 1, len);
    }

    ngx_free(mem);

    if (n < (ssize_t) len || fsync(fd) == -1) {
        return NGX_ERROR;
    }

    if (missing) {
        ngx_log_error(NGX_LOG_ERR, store->log, 0,
                      "llm: %uL audit entries were pushed out before they were "
                      "written", missing);
    }

    return NGX_OK;
}


/*
 * The entries behind the one that ends the file; where it ends in another one,
 * those that were not written yet.  *seq is the last of them.
 */

static size_t
ngx_http_llm_audit_copy(ngx_http_llm_store_t *store, const ngx_str_t *last,
    u_char *mem, size_t size, uint64_t *seq, uint64_t *missing)
{
    u_char                     *p;
    ngx_queue_t                *q;
    ngx_http_llm_root_t        *root;
    ngx_http_llm_audit_node_t  *an;

    p = mem;
    root = store->root;

    ngx_http_llm_store_lock(store);

    for (q = ngx_queue_last(&root->audit.entries);
         q != ngx_queue_sentinel(&root->audit.entries);
         q = ngx_queue_prev(q))
    {
        an = ngx_queue_data(q, ngx_http_llm_audit_node_t, queue);

        if (an->seq <= *seq) {
            break;
        }

        if (last->len >= NGX_HTTP_LLM_AUDIT_END
            && ngx_memcmp(an->line + an->len - NGX_HTTP_LLM_AUDIT_END,
                          last->data + last->len - NGX_HTTP_LLM_AUDIT_END,
                          NGX_HTTP_LLM_AUDIT_END)
               == 0)
        {
            *seq = an->seq;
            break;
        }
    }

    *missing = 0;

    for (q = ngx_queue_next(q);
         q != ngx_queue_sentinel(&root->audit.entries);
         q = ngx_queue_next(q))
    {
        an = ngx_queue_data(q, ngx_http_llm_audit_node_t, queue);

        if (an->len + 1 > size - (size_t) (p - mem)) {
            break;
        }

        *missing += an->seq - *seq - 1;
        *seq = an->seq;

        p = ngx_cpymem(p, an->line, an->len);
        *p++ = LF;
    }

    ngx_http_llm_store_unlock(store);

    return p - mem;
}


static void
ngx_http_llm_audit_complain(ngx_http_llm_store_t *store)
{
    ngx_err_t  err;

    err = ngx_errno;

    if (store->audit_logged
        && ngx_current_msec - store->audit_logged < NGX_HTTP_LLM_AUDIT_QUIET)
    {
        return;
    }

    store->audit_logged = ngx_current_msec;

    ngx_log_error(NGX_LOG_ERR, store->log, err,
                  "llm: \"%V" NGX_HTTP_LLM_AUDIT_NAME "\" could not be written",
                  &store->state->name);
}


void
ngx_http_llm_audit_load(ngx_http_llm_store_t *store, ngx_log_t *log)
{
    char                      *hash;
    cJSON                     *tree, *seq;
    ngx_fd_t                   fd;
    ngx_http_llm_root_t       *root;
    ngx_http_llm_audit_end_t   end;

    root = store->root;
    fd = ngx_http_llm_audit_open(store, O_RDONLY);

    if (fd == NGX_INVALID_FILE) {
        return;
    }

    if (ngx_http_llm_audit_end(fd, &end) != NGX_OK) {
        ngx_str_null(&end.line);
    }

    (void) ngx_close_file(fd);

    tree = cJSON_ParseWithLength((char *) end.line.data, end.line.len);
    seq = cJSON_GetObjectItemCaseSensitive(tree, "seq");
    hash = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree,
                                                                 "hash"));

    if (cJSON_IsNumber(seq) && seq->valuedouble >= 0
        && seq->valuedouble < NGX_HTTP_LLM_STATE_EXACT
        && hash && ngx_strlen(hash) == NGX_HTTP_LLM_AUDIT_HASH)
    {
        /* entries that were moved away stand in the state file alone */

        if ((uint64_t) seq->valuedouble >= root->audit.seq) {
            root->audit.seq = (uint64_t) seq->valuedouble;
            ngx_memcpy(root->audit.hash, hash, NGX_HTTP_LLM_AUDIT_HASH);
        }

    } else if (end.line.len) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "llm: \"%V" NGX_HTTP_LLM_AUDIT_NAME "\" does not end in "
                      "an entry of the audit trail: it begins again",
                      &store->state->name);
    }

    root->audit.flushed = root->audit.seq;

    cJSON_Delete(tree);
}
