/*
 * The file of samples, which all workers append to.
 *
 * Each worker has its own descriptor.  That a file was renamed, by another
 * worker or by logrotate, is seen by its inode before each line; a lock on the
 * file, never waited for, lets one worker alone rename it.
 */

#include "ngx_http_llm_sample_file.h"

#include <sys/file.h>


#define NGX_HTTP_LLM_SAMPLE_QUIET  60           /* s between two complaints */


static ngx_int_t ngx_http_llm_sample_open(ngx_http_llm_sample_conf_t *scf,
    off_t *size);
static ngx_int_t ngx_http_llm_sample_rotate(ngx_http_llm_sample_conf_t *scf);
static ngx_uint_t ngx_http_llm_sample_is_current(
    ngx_http_llm_sample_conf_t *scf, off_t *size);
static void ngx_http_llm_sample_close(ngx_http_llm_sample_conf_t *scf);


void
ngx_http_llm_sample_write(ngx_http_llm_sample_conf_t *scf, u_char *line,
    size_t len, ngx_log_t *log)
{
    char      *what;
    off_t      size;
    ssize_t    n;
    ngx_err_t  err;

    what = ngx_open_file_n;

    if (ngx_http_llm_sample_open(scf, &size) != NGX_OK) {
        goto failed;
    }

    if (size && size + (off_t) len > scf->max) {
        what = ngx_rename_file_n;

        if (ngx_http_llm_sample_rotate(scf) != NGX_OK) {
            goto failed;
        }
    }

    what = "write()";

    n = write(scf->fd, line, len);

    if (n == (ssize_t) len) {
        return;
    }

    if (n >= 0) {
        ngx_set_errno(NGX_ENOSPC);
    }

failed:

    err = ngx_errno;

    if (scf->complained == 0
        || ngx_time() - scf->complained >= NGX_HTTP_LLM_SAMPLE_QUIET)
    {
        scf->complained = ngx_time();
        ngx_log_error(NGX_LOG_ERR, log, err,
                      "llm sample: %s \"%V\" failed", what, &scf->file);
    }
}


/* Opens the file, or opens it again when its name leads to another one. */

static ngx_int_t
ngx_http_llm_sample_open(ngx_http_llm_sample_conf_t *scf, off_t *size)
{
    ngx_file_info_t  fi;

    if (ngx_http_llm_sample_is_current(scf, size)) {
        return NGX_OK;
    }

    ngx_http_llm_sample_close(scf);

    /* a pipe without a reader must not hold up the worker */

    scf->fd = open((char *) scf->file.data,
                   O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC|O_NONBLOCK|O_NOFOLLOW,
                   0600);

    if (scf->fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    if (ngx_fd_info(scf->fd, &fi) == NGX_FILE_ERROR) {
        return NGX_ERROR;
    }

    scf->uniq = ngx_file_uniq(&fi);
    *size = ngx_file_size(&fi);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_llm_sample_is_current(ngx_http_llm_sample_conf_t *scf, off_t *size)
{
    ngx_file_info_t  fi;

    if (scf->fd == NGX_INVALID_FILE
        || ngx_file_info(scf->file.data, &fi) == NGX_FILE_ERROR
        || ngx_file_uniq(&fi) != scf->uniq)
    {
        return 0;
    }

    *size = ngx_file_size(&fi);

    return 1;
}


static void
ngx_http_llm_sample_close(ngx_http_llm_sample_conf_t *scf)
{
    if (scf->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(scf->fd);
        scf->fd = NGX_INVALID_FILE;
    }
}


static ngx_int_t
ngx_http_llm_sample_rotate(ngx_http_llm_sample_conf_t *scf)
{
    off_t       size;
    u_char      from[NGX_MAX_PATH], to[NGX_MAX_PATH];
    ngx_int_t   rc;
    ngx_uint_t  n;

    if (flock(scf->fd, LOCK_EX|LOCK_NB) == -1) {

        /* another worker does it: this line may still go into the old file */

        return ngx_errno == NGX_EAGAIN ? NGX_OK : NGX_ERROR;
    }

    if (!ngx_http_llm_sample_is_current(scf, &size)) {

        /* another worker did it */

        return ngx_http_llm_sample_open(scf, &size);
    }

    rc = NGX_OK;

    for (n = scf->keep; n > 0 && rc == NGX_OK; n--) {

        if (n == 1) {
            (void) ngx_snprintf(from, NGX_MAX_PATH, "%V%Z", &scf->file);
        } else {
            (void) ngx_snprintf(from, NGX_MAX_PATH, "%V.%ui%Z", &scf->file,
                                n - 1);
        }

        (void) ngx_snprintf(to, NGX_MAX_PATH, "%V.%ui%Z", &scf->file, n);

        if (ngx_rename_file(from, to) == NGX_FILE_ERROR
            && ngx_errno != NGX_ENOENT)
        {
            rc = NGX_ERROR;
        }
    }

    if (scf->keep == 0
        && ngx_delete_file(scf->file.data) == NGX_FILE_ERROR)
    {
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK) {
        (void) flock(scf->fd, LOCK_UN);
        return NGX_ERROR;
    }

    /* closing it gives the lock back */

    return ngx_http_llm_sample_open(scf, &size);
}
