
/*
 * Recording: exchanges with a real provider, written for the mock to replay.
 *
 * An answer is gathered in memory while it passes and written when it is
 * complete: two small files, at the end of an exchange, in the worker.  Limits
 * are looked after once a minute, or when a tenth of them may have been used.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_exchange.h"

#include "ngx_http_llm_mock_server.h"
#include "ngx_http_llm_record.h"


#define NGX_HTTP_LLM_RECORD_BODY_MAX    (1024 * 1024)  /* of a request */
#define NGX_HTTP_LLM_RECORD_ANSWER_MAX  (1024 * 1024)
#define NGX_HTTP_LLM_RECORD_NAME_MAX    64
#define NGX_HTTP_LLM_RECORD_TRIES       1000
#define NGX_HTTP_LLM_RECORD_SWEEP       60             /* seconds */


struct ngx_http_llm_record_s {
    ngx_http_llm_record_conf_t  *conf;
    ngx_pool_t                  *pool;
    ngx_log_t                   *log;
    llm_endpoint_t               endpoint;
    uint64_t                     hash;
    ngx_str_t                    request;      /* text of the second file */
    u_char                      *start;        /* the answer so far */
    u_char                      *last;
    u_char                      *end;
    unsigned                     overflow:1;
};


/* One recorded exchange, while the limits are enforced. */

typedef struct {
    time_t                       mtime;
    off_t                        size;
    u_char                      *path;         /* without an ending */
} ngx_http_llm_record_file_t;


static ngx_int_t ngx_http_llm_record_describe(ngx_http_llm_record_t *rec,
    ngx_http_request_t *r, llm_str_t body);
static ngx_int_t ngx_http_llm_record_grow(ngx_http_llm_record_t *rec,
    size_t n);
static ngx_fd_t ngx_http_llm_record_create(ngx_http_llm_record_t *rec,
    u_char *path, size_t len, u_char **end);
static ngx_int_t ngx_http_llm_record_put(ngx_http_llm_record_t *rec,
    ngx_fd_t fd, u_char *path, u_char *head, size_t head_len, u_char *p,
    size_t n);
static void ngx_http_llm_record_sweep(ngx_http_llm_record_t *rec);


char *
ngx_http_llm_record_init(ngx_conf_t *cf, ngx_http_llm_record_conf_t *rcf)
{
    ngx_path_t  *path;

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    path->name = rcf->dir;
    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "\"record\" keeps requests and answers, which may hold "
                       "personal data, in \"%V\"", &rcf->dir);

    return NGX_CONF_OK;
}


/* ---- gathering ----------------------------------------------------------- */

ngx_http_llm_record_t *
ngx_http_llm_record_start(ngx_http_llm_record_conf_t *rcf,
    ngx_http_request_t *r, llm_endpoint_t ep, llm_str_t body)
{
    ngx_http_llm_record_t  *rec;

    rec = ngx_pcalloc(r->pool, sizeof(ngx_http_llm_record_t));
    if (rec == NULL) {
        return NULL;
    }

    rec->conf = rcf;
    rec->pool = r->pool;
    rec->log = r->connection->log;
    rec->endpoint = ep;
    rec->hash = llm_exchange_hash(body, 0);

    if (ngx_http_llm_record_describe(rec, r, body) != NGX_OK) {
        return NULL;
    }

    return rec;
}


/*
 * The text of the request's file.  A multipart body, of any size, becomes a
 * list of its parts; other bodies are kept whole or not at all.
 */

static ngx_int_t
ngx_http_llm_record_describe(ngx_http_llm_record_t *rec,
    ngx_http_request_t *r, llm_str_t body)
{
    size_t     size;
    llm_buf_t  b;
    llm_str_t  type, method, path;
    u_char    *mem;

    type = LLM_NOSTR;

    if (r->headers_in.content_type) {
        type.data = r->headers_in.content_type->value.data;
        type.len = ngx_min(r->headers_in.content_type->value.len, 256);
    }

    method.data = r->method_name.data;
    method.len = r->method_name.len;
    path.data = r->uri.data;
    path.len = ngx_min(r->uri.len, 1024);

    if (body.len && (body.data[0] == '-' || body.len
                                            > NGX_HTTP_LLM_RECORD_BODY_MAX))
    {
        if (body.data[0] != '-') {
            return NGX_DECLINED;
        }
        size = 256 * 1024;

    } else {
        size = body.len + 16 * 1024;
    }

    mem = ngx_palloc(r->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    llm_buf_init(&b, mem, size);
    llm_exchange_put_request(&b, method, path, type, body);

    if (b.full) {
        return NGX_DECLINED;
    }

    rec->request.data = mem;
    rec->request.len = b.pos - mem;

    return NGX_OK;
}


void
ngx_http_llm_record_data(ngx_http_llm_record_t *rec, u_char *p, size_t n)
{
    if (rec == NULL || rec->overflow || n == 0) {
        return;
    }

    if (n > (size_t) (rec->end - rec->last)
        && ngx_http_llm_record_grow(rec, n) != NGX_OK)
    {
        rec->overflow = 1;
        return;
    }

    rec->last = ngx_cpymem(rec->last, p, n);
}


static ngx_int_t
ngx_http_llm_record_grow(ngx_http_llm_record_t *rec, size_t n)
{
    u_char  *mem;
    size_t   len, size;

    len = rec->last - rec->start;

    if (len + n > NGX_HTTP_LLM_RECORD_ANSWER_MAX) {
        return NGX_DECLINED;
    }

    size = ngx_max(2 * (len + n), 8192);

    mem = ngx_palloc(rec->pool, size);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    if (rec->start) {
        ngx_memcpy(mem, rec->start, len);
        (void) ngx_pfree(rec->pool, rec->start);
    }

    rec->start = mem;
    rec->last = mem + len;
    rec->end = mem + size;

    return NGX_OK;
}


/* ---- writing ------------------------------------------------------------- */

void
ngx_http_llm_record_end(ngx_http_llm_record_t *rec, ngx_uint_t status,
    ngx_str_t *content_type, ngx_uint_t complete)
{
    u_char     *path, *end;
    size_t      len;
    ngx_fd_t    fd;
    llm_buf_t   b;
    llm_str_t   type;
    u_char      head[512];

    if (rec == NULL || !complete || rec->overflow) {
        return;
    }

    type.data = content_type->data;
    type.len = ngx_min(content_type->len, 256);

    llm_buf_init(&b, head, sizeof(head));
    llm_exchange_put_head(&b, status, type, rec->last - rec->start);

    path = ngx_http_llm_replay_dir(rec->pool, &rec->conf->dir, rec->endpoint,
                                   NGX_HTTP_LLM_RECORD_NAME_MAX, &len);
    if (path == NULL) {
        return;
    }

    if (ngx_create_dir(path, 0700) == NGX_FILE_ERROR
        && ngx_errno != NGX_EEXIST)
    {
        ngx_log_error(NGX_LOG_ERR, rec->log, ngx_errno,
                      "llm record: " ngx_create_dir_n " \"%s\" failed", path);
        return;
    }

    fd = ngx_http_llm_record_create(rec, path, len, &end);
    if (fd == NGX_INVALID_FILE) {
        return;
    }

    if (ngx_http_llm_record_put(rec, fd, path, head, b.pos - head, rec->start,
                                rec->last - rec->start)
        != NGX_OK)
    {
        (void) ngx_delete_file(path);
        return;
    }

    (void) ngx_cpystrn(end, (u_char *) ".request.json", 16);

    fd = ngx_open_file(path, NGX_FILE_WRONLY, NGX_FILE_TRUNCATE, 0600);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ERR, rec->log, ngx_errno,
                      "llm record: " ngx_open_file_n " \"%s\" failed", path);
        return;
    }

    (void) ngx_http_llm_record_put(rec, fd, path, NULL, 0, rec->request.data,
                                   rec->request.len);

    ngx_http_llm_record_sweep(rec);
}


/* The next free name; the file's existence is what workers agree by. */

static ngx_fd_t
ngx_http_llm_record_create(ngx_http_llm_record_t *rec, u_char *path,
    size_t len, u_char **end)
{
    ngx_fd_t    fd;
    ngx_uint_t  n;

    for (n = 1; n <= NGX_HTTP_LLM_RECORD_TRIES; n++) {
        *end = ngx_sprintf(path + len, "/%016xL-%04ui", rec->hash, n);
        (void) ngx_cpystrn(*end, (u_char *) ".http", 8);

        fd = open((char *) path, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

        if (fd != NGX_INVALID_FILE) {
            return fd;
        }

        if (ngx_errno != NGX_EEXIST) {
            break;
        }
    }

    ngx_log_error(NGX_LOG_ERR, rec->log, ngx_errno,
                  "llm record: " ngx_open_file_n " \"%s\" failed", path);

    return NGX_INVALID_FILE;
}


static ngx_int_t
ngx_http_llm_record_put(ngx_http_llm_record_t *rec, ngx_fd_t fd, u_char *path,
    u_char *head, size_t head_len, u_char *p, size_t n)
{
    ngx_int_t   rc;
    ngx_file_t  file;

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.fd = fd;
    file.name.data = path;
    file.name.len = ngx_strlen(path);
    file.log = rec->log;

    rc = NGX_OK;

    if (head_len
        && ngx_write_file(&file, head, head_len, 0) != (ssize_t) head_len)
    {
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK && n
        && ngx_write_file(&file, p, n, head_len) != (ssize_t) n)
    {
        rc = NGX_ERROR;
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, rec->log, ngx_errno,
                      ngx_close_file_n " \"%s\" failed", path);
    }

    return rc;
}


/* ---- limits -------------------------------------------------------------- */

static ngx_int_t
ngx_http_llm_record_found(ngx_tree_ctx_t *ctx, ngx_str_t *path)
{
    ngx_array_t                 *files;
    ngx_http_llm_record_file_t  *f;

    files = ctx->data;

    if (path->len < 5
        || ngx_strcmp(path->data + path->len - 5, ".http") != 0)
    {
        return NGX_OK;
    }

    f = ngx_array_push(files);
    if (f == NULL) {
        return NGX_ABORT;
    }

    /* room for the longer ending */

    f->path = ngx_pnalloc(files->pool, path->len + sizeof(".request.json"));
    if (f->path == NULL) {
        files->nelts--;
        return NGX_ABORT;
    }

    (void) ngx_cpystrn(f->path, path->data, path->len - 4);
    f->mtime = ctx->mtime;
    f->size = ctx->size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_record_ignore(ngx_tree_ctx_t *ctx, ngx_str_t *path)
{
    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_llm_record_older(const void *one, const void *two)
{
    const ngx_http_llm_record_file_t  *a, *b;

    a = one;
    b = two;

    return (a->mtime > b->mtime) - (a->mtime < b->mtime);
}


static void
ngx_http_llm_record_delete(ngx_http_llm_record_file_t *f)
{
    u_char  *end;

    end = f->path + ngx_strlen(f->path);

    /* another worker may have been faster */

    (void) ngx_cpystrn(end, (u_char *) ".request.json", 16);
    (void) ngx_delete_file(f->path);
    (void) ngx_cpystrn(end, (u_char *) ".http", 8);
    (void) ngx_delete_file(f->path);
}


/* Deletes the oldest exchanges until what is left is within the limits. */

static void
ngx_http_llm_record_trim(ngx_http_llm_record_conf_t *rcf, ngx_array_t *files)
{
    off_t                        bytes;
    ngx_uint_t                   i, left;
    ngx_http_llm_record_file_t  *f;

    f = files->elts;
    bytes = 0;
    left = files->nelts;

    ngx_qsort(f, left, sizeof(ngx_http_llm_record_file_t),
              ngx_http_llm_record_older);

    for (i = 0; i < files->nelts; i++) {
        bytes += f[i].size;
    }

    for (i = 0; i < files->nelts; i++) {

        if (!((rcf->max_files && left > rcf->max_files)
              || (rcf->max_bytes && bytes > rcf->max_bytes)
              || (rcf->keep && f[i].mtime < ngx_time() - rcf->keep)))
        {
            break;
        }

        ngx_http_llm_record_delete(&f[i]);
        bytes -= f[i].size;
        left--;
    }
}


static void
ngx_http_llm_record_sweep(ngx_http_llm_record_t *rec)
{
    ngx_array_t                  files;
    ngx_tree_ctx_t               tree;
    ngx_http_llm_record_conf_t  *rcf;

    rcf = rec->conf;
    rcf->since++;

    if (ngx_time() - rcf->swept < NGX_HTTP_LLM_RECORD_SWEEP
        && (rcf->max_files == 0 || rcf->since <= rcf->max_files / 10)
        && (rcf->max_bytes == 0
            || (off_t) rcf->since * NGX_HTTP_LLM_RECORD_ANSWER_MAX
               <= rcf->max_bytes / 10))
    {
        return;
    }

    rcf->swept = ngx_time();
    rcf->since = 0;

    if (ngx_array_init(&files, rec->pool, 64,
                       sizeof(ngx_http_llm_record_file_t))
        != NGX_OK)
    {
        return;
    }

    ngx_memzero(&tree, sizeof(ngx_tree_ctx_t));
    tree.file_handler = ngx_http_llm_record_found;
    tree.pre_tree_handler = ngx_http_llm_record_ignore;
    tree.post_tree_handler = ngx_http_llm_record_ignore;
    tree.spec_handler = ngx_http_llm_record_ignore;
    tree.data = &files;
    tree.log = rec->log;

    if (ngx_walk_tree(&tree, &rcf->dir) == NGX_OK) {
        ngx_http_llm_record_trim(rcf, &files);
    }
}
