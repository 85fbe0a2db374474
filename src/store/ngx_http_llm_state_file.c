/*
 * DIR/state.json: what must survive a restart of nginx.
 *
 * Written by one worker, at most once a second and only when something
 * changed, to a file of its own that then takes the name.  Read by the master
 * when the zone is new.  It holds fingerprints of keys, never keys.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_shm.h"


#define NGX_HTTP_LLM_STATE_VERSION  1
#define NGX_HTTP_LLM_STATE_NAME     "/state.json"
#define NGX_HTTP_LLM_STATE_MAX      (64 * 1024 * 1024)

/* A long file is written less often: writing takes at most 2 % of the time. */
#define NGX_HTTP_LLM_STATE_PAUSE    50

#define NGX_HTTP_LLM_STATE_OBJECTS  30000   /* ms between two with objects */
#define NGX_HTTP_LLM_STATE_ALIVE    10000   /* ms between two signs of life */


static ngx_int_t ngx_http_llm_state_read(u_char *name, ngx_str_t *text,
    ngx_pool_t *temp, ngx_log_t *log);
static cJSON *ngx_http_llm_state_parse(ngx_str_t *text);
static char *ngx_http_llm_state_print(ngx_http_llm_store_t *store);
static ngx_int_t ngx_http_llm_state_write(ngx_http_llm_store_t *store,
    char *text);
static ngx_uint_t ngx_http_llm_state_is_succeeded(ngx_http_llm_store_t *store,
    u_char *file);
static uint64_t ngx_http_llm_state_mark(u_char *file);
static ngx_int_t ngx_http_llm_state_write_fd(ngx_fd_t fd, char *text);
static ngx_uint_t ngx_http_llm_state_is_due(ngx_http_llm_store_t *store);
static ngx_uint_t ngx_http_llm_state_is_rolling(ngx_http_llm_store_t *store);
static ngx_msec_t ngx_http_llm_state_clock(void);


void
ngx_http_llm_state_load(ngx_http_llm_store_t *store, ngx_pool_t *temp,
    ngx_log_t *log)
{
    cJSON                       *tree, *pools, *item;
    u_char                       file[NGX_MAX_PATH], name[256];
    ngx_str_t                    text;
    llm_msec_t                   now;
    ngx_uint_t                   i;
    ngx_http_llm_store_pool_t  **pool;

    if (store->state->name.len + 64 > NGX_MAX_PATH) {
        return;
    }

    (void) ngx_sprintf(file, "%V" NGX_HTTP_LLM_STATE_NAME "%Z",
                       &store->state->name);

    if (ngx_http_llm_state_read(file, &text, temp, log) != NGX_OK) {
        return;
    }

    tree = ngx_http_llm_state_parse(&text);

    if (tree == NULL) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "llm: \"%s\" is not a state file of this version, "
                      "it is ignored", file);
        return;
    }

    now = ngx_http_llm_store_now(store);
    pools = cJSON_GetObjectItemCaseSensitive(tree, "pools");
    pool = store->pools.elts;

    for (i = 0; i < store->pools.nelts; i++) {

        if (ngx_http_llm_state_c_name(&pool[i]->name, name, sizeof(name))
            == NULL)
        {
            continue;
        }

        item = cJSON_GetObjectItemCaseSensitive(pools, (char *) name);

        if (item
            && ngx_http_llm_state_to_pool(store, pool[i], item, now, temp)
               != NGX_OK)
        {
            break;
        }
    }

    ngx_http_llm_state_get_traffic(store, tree, temp);
    ngx_http_llm_state_get_parties(store, tree);

    cJSON_Delete(tree);
}


/* Read as root, from a directory that the workers own: a regular file only. */

static ngx_int_t
ngx_http_llm_state_read(u_char *name, ngx_str_t *text, ngx_pool_t *temp,
    ngx_log_t *log)
{
    char             *what;
    size_t            size;
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    fd = open((char *) name, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                          ngx_open_file_n " \"%s\" failed, it is ignored",
                          name);
        }

        return NGX_DECLINED;
    }

    what = NULL;
    size = 0;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR || !S_ISREG(fi.st_mode)
        || fi.st_size > NGX_HTTP_LLM_STATE_MAX)
    {
        what = "it is not a regular file of a sensible size";

    } else {
        size = (size_t) fi.st_size;
        text->data = ngx_palloc(temp, size + 1);

        if (text->data == NULL) {
            what = "there is not enough memory";
        }
    }

    for (text->len = 0; what == NULL && text->len < size; text->len += n) {
        n = read(fd, text->data + text->len, size - text->len);

        if (n <= 0) {
            what = "it could not be read";
            break;
        }
    }

    if (what) {
        ngx_log_error(NGX_LOG_WARN, log, 0, "llm: \"%s\" is ignored: %s",
                      name, what);
    }

    (void) ngx_close_file(fd);

    return what ? NGX_DECLINED : NGX_OK;
}


static cJSON *
ngx_http_llm_state_parse(ngx_str_t *text)
{
    cJSON  *tree, *version;

    tree = cJSON_ParseWithLength((char *) text->data, text->len);
    version = cJSON_GetObjectItemCaseSensitive(tree, "version");

    if (!cJSON_IsNumber(version)
        || version->valueint != NGX_HTTP_LLM_STATE_VERSION)
    {
        cJSON_Delete(tree);
        return NULL;
    }

    return tree;
}


void
ngx_http_llm_state_save(ngx_http_llm_store_t *store)
{
    char                 *text;
    uint64_t              changes, objects;
    ngx_msec_t            start;
    ngx_http_llm_root_t  *root;

    if (!ngx_http_llm_state_is_due(store)) {
        return;
    }

    root = store->root;
    changes = root->changes;
    objects = root->objects.changes;

    start = ngx_http_llm_state_clock();

    text = ngx_http_llm_state_print(store);

    if (text && ngx_http_llm_state_write(store, text) == NGX_OK) {
        root->saved = changes;
        root->objects.saved = objects;
        root->saved_at = ngx_http_llm_store_now(store);
    }

    cJSON_free(text);

    store->save_next = ngx_current_msec
                       + (ngx_http_llm_state_clock() - start)
                         * NGX_HTTP_LLM_STATE_PAUSE;
}


/* Changes at once; objects, which are many, now and then; and that nginx still
 * runs, as long as a rollout wants to know how long it did not. */

static ngx_uint_t
ngx_http_llm_state_is_due(ngx_http_llm_store_t *store)
{
    llm_msec_t            age;
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (root->changes != root->saved) {
        return 1;
    }

    age = ngx_http_llm_store_now(store) - root->saved_at;

    if (root->objects.changes != root->objects.saved
        && (age >= NGX_HTTP_LLM_STATE_OBJECTS || ngx_exiting || ngx_terminate))
    {
        return 1;
    }

    return age >= NGX_HTTP_LLM_STATE_ALIVE
           && ngx_http_llm_state_is_rolling(store);
}


static ngx_uint_t
ngx_http_llm_state_is_rolling(ngx_http_llm_store_t *store)
{
    uint32_t                      state;
    ngx_uint_t                    i;
    ngx_http_llm_store_split_t  **split;

    split = store->splits.elts;

    for (i = 0; i < store->splits.nelts; i++) {
        state = split[i]->node->doc.state;

        if (state == LLM_ROLLOUT_PROGRESSING || state == LLM_ROLLOUT_SOAKING) {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_http_llm_state_print(ngx_http_llm_store_t *store)
{
    char                        *text;
    cJSON                       *tree, *pools, *item;
    u_char                       name[256];
    ngx_uint_t                   i;
    ngx_http_llm_store_pool_t  **pool;

    tree = cJSON_CreateObject();

    (void) cJSON_AddNumberToObject(tree, "version",
                                   NGX_HTTP_LLM_STATE_VERSION);
    (void) cJSON_AddNumberToObject(tree, "saved_at",
                                   (double) ngx_http_llm_store_now(store));

    pools = cJSON_AddObjectToObject(tree, "pools");
    text = NULL;

    if (pools == NULL) {
        goto done;
    }

    pool = store->pools.elts;

    for (i = 0; i < store->pools.nelts; i++) {

        if (ngx_http_llm_state_c_name(&pool[i]->name, name, sizeof(name))
            == NULL)
        {
            continue;
        }

        item = ngx_http_llm_state_from_pool(store, pool[i]);

        if (item == NULL || !cJSON_AddItemToObject(pools, (char *) name, item))
        {
            cJSON_Delete(item);
            goto done;
        }
    }

    if (ngx_http_llm_state_put_traffic(store, tree) != NGX_OK
        || ngx_http_llm_state_put_parties(store, tree) != NGX_OK)
    {
        goto done;
    }

    text = cJSON_PrintUnformatted(tree);

done:

    cJSON_Delete(tree);

    return text;
}


static ngx_int_t
ngx_http_llm_state_write(ngx_http_llm_store_t *store, char *text)
{
    u_char                temp[NGX_MAX_PATH], file[NGX_MAX_PATH];
    ngx_fd_t              fd;
    ngx_http_llm_root_t  *root;

    if (store->state->name.len + 64 > NGX_MAX_PATH) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(file, "%V" NGX_HTTP_LLM_STATE_NAME "%Z",
                       &store->state->name);
    (void) ngx_sprintf(temp, "%s.%P%Z", file, ngx_pid);

    if (ngx_http_llm_state_is_succeeded(store, file)) {
        return NGX_OK;
    }

    fd = open((char *) temp, O_WRONLY|O_CREAT|O_TRUNC|O_NOFOLLOW|O_CLOEXEC,
              S_IRUSR|S_IWUSR);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ERR, store->log, ngx_errno,
                      ngx_open_file_n " \"%s\" failed", temp);
        return NGX_ERROR;
    }

    if (ngx_http_llm_state_write_fd(fd, text) != NGX_OK
        || ngx_rename_file(temp, file) == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_ERR, store->log, ngx_errno,
                      "llm: \"%s\" could not be written", file);
        (void) ngx_delete_file(temp);
        return NGX_ERROR;
    }

    root = store->root;
    root->file = ngx_http_llm_state_mark(file);

    return NGX_OK;
}


/*
 * A worker that is about to exit, and a file that is not the last one written
 * from its zone: nginx was upgraded, or the zone has another size, and what its
 * successors know is newer.
 */

static ngx_uint_t
ngx_http_llm_state_is_succeeded(ngx_http_llm_store_t *store, u_char *file)
{
    uint64_t              mark;
    ngx_http_llm_root_t  *root;

    root = store->root;

    if (!(ngx_exiting || ngx_terminate) || root->file == 0) {
        return 0;
    }

    mark = ngx_http_llm_state_mark(file);

    return mark && mark != root->file;
}


/* Which file has that name, 0: none.  Numbers of files are used again soon, so
 * the time of the last change is part of it. */

static uint64_t
ngx_http_llm_state_mark(u_char *file)
{
    uint64_t         mark;
    ngx_file_info_t  fi;

    if (ngx_file_info(file, &fi) == NGX_FILE_ERROR) {
        return 0;
    }

    mark = (uint64_t) fi.st_mtim.tv_sec * 1000000000
           + (uint64_t) fi.st_mtim.tv_nsec;

    return mark ^ (uint64_t) ngx_file_uniq(&fi) << 32;
}


/* Closes fd in any case; errno tells why it failed. */

static ngx_int_t
ngx_http_llm_state_write_fd(ngx_fd_t fd, char *text)
{
    size_t     len;
    ssize_t    n;
    ngx_err_t  err;

    len = ngx_strlen(text);

    while (len) {
        n = write(fd, text, len);

        if (n <= 0) {
            err = ngx_errno;
            (void) ngx_close_file(fd);
            ngx_set_errno(err);
            return NGX_ERROR;
        }

        text += n;
        len -= n;
    }

    /* else a crash of the system may leave the new name with an empty file */

    if (fsync(fd) == -1) {
        err = ngx_errno;
        (void) ngx_close_file(fd);
        ngx_set_errno(err);
        return NGX_ERROR;
    }

    return ngx_close_file(fd) == NGX_FILE_ERROR ? NGX_ERROR : NGX_OK;
}


u_char *
ngx_http_llm_state_c_name(ngx_str_t *name, u_char *buf, size_t size)
{
    if (name->len >= size) {
        return NULL;
    }

    (void) ngx_cpystrn(buf, name->data, name->len + 1);

    return buf;
}


static ngx_msec_t
ngx_http_llm_state_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (ngx_msec_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
