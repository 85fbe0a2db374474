
/*
 * Replay: finding the recorded answer to a request.
 *
 * A recording is small and the mock is not for production traffic, so the
 * directory is simply read each time; new files are found at once.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_exchange.h"

#include "ngx_http_llm_mock_server.h"


#define NGX_HTTP_LLM_REPLAY_FILE_MAX  (32 * 1024 * 1024)
#define NGX_HTTP_LLM_REPLAY_TRIES     64
#define NGX_HTTP_LLM_REPLAY_NAME_MAX  130  /* with a slash in front */


/* One look through the directory. */

typedef struct {
    u_char      *prefix;               /* of the names wanted, or empty */
    size_t       prefix_len;
    ngx_uint_t   pick;                 /* number of the name to be returned */
    ngx_uint_t   count;                /* how many there are */
    u_char      *name;                 /* in the pool; NULL: none */
} ngx_http_llm_replay_look_t;


static ngx_int_t ngx_http_llm_replay_look(u_char *path, size_t len,
    ngx_http_llm_replay_look_t *look, ngx_pool_t *pool);
static ngx_int_t ngx_http_llm_replay_file(u_char *path, size_t len,
    u_char *name, ngx_pool_t *pool, llm_str_t *content);
static ngx_uint_t ngx_http_llm_replay_fits(llm_str_t file, ngx_uint_t stream);


u_char *
ngx_http_llm_replay_dir(ngx_pool_t *pool, ngx_str_t *dir, llm_endpoint_t ep,
    size_t extra, size_t *len)
{
    u_char     *path, *p, *last;
    llm_str_t   name;

    name = llm_endpoint_info(ep)->name;

    path = ngx_pnalloc(pool, dir->len + 1 + name.len + extra + 1);
    if (path == NULL) {
        return NULL;
    }

    p = ngx_cpymem(path, dir->data, dir->len);
    *p++ = '/';

    last = ngx_cpymem(p, name.data, name.len);

    for ( /* void */ ; p < last; p++) {
        if (*p == '/') {
            *p = '-';
        }
    }

    *last = '\0';
    *len = last - path;

    return path;
}


ngx_int_t
ngx_http_llm_replay(ngx_str_t *dir, llm_endpoint_t ep, uint64_t hash,
    ngx_uint_t stream, uint64_t turn, ngx_pool_t *pool, llm_str_t *content)
{
    u_char                      *path;
    size_t                       len;
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    u_char                       prefix[17];
    ngx_http_llm_replay_look_t   look;

    path = ngx_http_llm_replay_dir(pool, dir, ep,
                                   NGX_HTTP_LLM_REPLAY_NAME_MAX, &len);
    if (path == NULL) {
        return NGX_ERROR;
    }

    /* the same question: in turns, when it was asked more than once */

    (void) ngx_sprintf(prefix, "%016xL-", hash);

    ngx_memzero(&look, sizeof(look));
    look.prefix = prefix;
    look.prefix_len = sizeof(prefix);
    look.pick = turn;

    rc = ngx_http_llm_replay_look(path, len, &look, pool);

    if (rc == NGX_OK) {
        return ngx_http_llm_replay_file(path, len, look.name, pool, content);
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* another question to this endpoint */

    look.prefix_len = 0;

    for (i = 0; i < NGX_HTTP_LLM_REPLAY_TRIES; i++) {
        look.pick = turn + i;

        rc = ngx_http_llm_replay_look(path, len, &look, pool);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_llm_replay_file(path, len, look.name, pool, content);
        if (rc == NGX_ERROR) {
            return rc;
        }

        if (rc == NGX_OK && ngx_http_llm_replay_fits(*content, stream)) {
            return NGX_OK;
        }

        if (i + 1 >= look.count) {
            break;
        }
    }

    return NGX_DECLINED;
}


static int ngx_libc_cdecl
ngx_http_llm_replay_compare(const void *one, const void *two)
{
    u_char  *a, *b;

    a = *(u_char **) one;
    b = *(u_char **) two;

    return ngx_strcmp(a, b);
}


/* Collects the names of the directory that begin as wanted. */

static ngx_int_t
ngx_http_llm_replay_names(ngx_dir_t *dir, ngx_http_llm_replay_look_t *look,
    ngx_array_t *list)
{
    u_char  *name, **slot;
    size_t   n;

    for ( ;; ) {

        if (ngx_read_dir(dir) == NGX_ERROR) {
            return NGX_OK;
        }

        name = ngx_de_name(dir);
        n = ngx_de_namelen(dir);

        if (n < 6 || n > NGX_HTTP_LLM_REPLAY_NAME_MAX - 2
            || ngx_strcmp(name + n - 5, ".http") != 0
            || n < look->prefix_len
            || ngx_strncmp(name, look->prefix, look->prefix_len) != 0)
        {
            continue;
        }

        slot = ngx_array_push(list);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        *slot = ngx_pnalloc(list->pool, n + 1);
        if (*slot == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(*slot, name, n + 1);
    }
}


/* Sets look->name to name number look->pick, counting round and round. */

static ngx_int_t
ngx_http_llm_replay_look(u_char *path, size_t len,
    ngx_http_llm_replay_look_t *look, ngx_pool_t *pool)
{
    u_char       **names;
    ngx_int_t      rc;
    ngx_dir_t      dir;
    ngx_str_t      full;
    ngx_array_t    list;

    full.data = path;
    full.len = len;
    path[len] = '\0';

    if (ngx_array_init(&list, pool, 16, sizeof(u_char *)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_open_dir(&full, &dir) == NGX_ERROR) {
        return NGX_DECLINED;
    }

    rc = ngx_http_llm_replay_names(&dir, look, &list);

    (void) ngx_close_dir(&dir);

    if (rc != NGX_OK) {
        return rc;
    }

    look->count = list.nelts;

    if (list.nelts == 0) {
        return NGX_DECLINED;
    }

    names = list.elts;
    ngx_qsort(names, list.nelts, sizeof(u_char *),
              ngx_http_llm_replay_compare);

    look->name = names[look->pick % list.nelts];

    return NGX_OK;
}


/* NGX_DECLINED: it is gone, or too large. */

static ngx_int_t
ngx_http_llm_replay_file(u_char *path, size_t len, u_char *name,
    ngx_pool_t *pool, llm_str_t *content)
{
    u_char           *mem;
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_int_t         rc;
    ngx_file_t        file;
    ngx_file_info_t   info;

    path[len] = '/';
    (void) ngx_cpystrn(path + len + 1, name,
                       NGX_HTTP_LLM_REPLAY_NAME_MAX - 1);

    fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.fd = fd;
    file.name.data = path;
    file.name.len = ngx_strlen(path);
    file.log = pool->log;

    if (ngx_fd_info(fd, &info) != NGX_FILE_ERROR
        && ngx_file_size(&info) <= NGX_HTTP_LLM_REPLAY_FILE_MAX)
    {
        mem = ngx_pnalloc(pool, ngx_file_size(&info) + 1);
        n = mem ? ngx_read_file(&file, mem, ngx_file_size(&info), 0)
                : NGX_ERROR;

        if (n >= 0) {
            content->data = mem;
            content->len = n;
            rc = NGX_OK;

        } else {
            rc = NGX_ERROR;
        }
    }

    (void) ngx_close_file(fd);

    return rc;
}


/* Whether a recorded answer streams if and only if that was asked for. */

static ngx_uint_t
ngx_http_llm_replay_fits(llm_str_t file, ngx_uint_t stream)
{
    unsigned    status;
    llm_str_t   type, body;
    ngx_uint_t  streams;

    if (llm_exchange_read(file, &status, &type, &body) != LLM_OK) {
        return 0;
    }

    streams = type.len >= 17
              && ngx_strncasecmp((u_char *) type.data,
                                 (u_char *) "text/event-stream", 17) == 0;

    return streams == (stream != 0);
}
