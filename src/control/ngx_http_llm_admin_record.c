/*
 * A record of a client, user or organisation: checked, stored, shown; and keys,
 * which are made, replaced and never shown again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "llm_hash.h"
#include "ngx_http_llm_admin_client.h"

#include <openssl/rand.h>


#define NGX_HTTP_LLM_ADMIN_PREFIX  11          /* of a key, that is shown */
#define NGX_HTTP_LLM_ADMIN_GRACE   (366 * 24 * 3600)


static ngx_int_t ngx_http_llm_admin_record_check(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p, ngx_str_t *text, ngx_str_t *id);
static ngx_int_t ngx_http_llm_admin_record_keys(ngx_http_llm_admin_t *a,
    ngx_http_llm_client_t *client);
static ngx_int_t ngx_http_llm_admin_record_put(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p, ngx_str_t *text, ngx_str_t *id);
static void ngx_http_llm_admin_record_audit(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p, ngx_str_t *id);
static void ngx_http_llm_admin_record_answer(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p, ngx_str_t *id);
static cJSON *ngx_http_llm_admin_view_keys(ngx_http_llm_admin_t *a,
    cJSON *tree);
static void ngx_http_llm_admin_view_one_key(ngx_http_llm_admin_t *a,
    cJSON *list, cJSON *prefix, cJSON *expires);
static ngx_int_t ngx_http_llm_admin_grace(ngx_http_llm_admin_t *a,
    time_t *grace);
static cJSON *ngx_http_llm_admin_keys_of(cJSON *record);
static void ngx_http_llm_admin_end_keys(ngx_http_llm_admin_t *a, cJSON *keys,
    time_t grace);
static ngx_uint_t ngx_http_llm_admin_ends_before(cJSON *key, llm_msec_t t);


ngx_int_t
ngx_http_llm_admin_party_store(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p)
{
    char       *printed;
    ngx_int_t   rc;
    ngx_str_t   text, id;

    ngx_str_null(&text);
    id = a->name;
    rc = NGX_OK;
    printed = NULL;

    if (p->record) {
        printed = cJSON_PrintUnformatted(p->record);

        if (printed == NULL) {
            return NGX_ERROR;
        }

        text.data = (u_char *) printed;
        text.len = ngx_strlen(printed);

        rc = ngx_http_llm_admin_record_check(a, p, &text, &id);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_record_put(a, p, &text, &id);
    }

    cJSON_free(printed);

    if (rc == NGX_OK) {
        ngx_http_llm_admin_record_audit(a, p, &id);
        ngx_http_llm_admin_record_answer(a, p, &id);
    }

    return rc;
}


/* What is made to look at lives as long as the request. */

static ngx_int_t
ngx_http_llm_admin_record_check(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p, ngx_str_t *text, ngx_str_t *id)
{
    u_char                       *mem;
    ngx_http_llm_client_t        *client;
    ngx_http_llm_client_maker_t   maker;

    ngx_memzero(&maker, sizeof(ngx_http_llm_client_maker_t));

    maker.clients = a->lmcf->clients;
    maker.pool = a->request->pool;

    mem = ngx_pnalloc(maker.pool, 4 * text->len);
    if (mem == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(mem, text->data, text->len);
    llm_buf_init(&maker.mem, mem + text->len, 3 * text->len);

    /* the table of time zones is in what is read of the zone */

    ngx_http_llm_live_sync(maker.clients);

    client = ngx_http_llm_client_make(&maker, p->kind,
                                      (llm_str_t) { text->len, mem });

    if (client == NULL && maker.why) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member", "\"%V\" %s", &maker.member, maker.why);
    }

    if (client == NULL) {
        return NGX_ERROR;
    }

    if (a->name.len
        && (a->name.len != client->id.len
            || ngx_memcmp(a->name.data, client->id.data, a->name.len) != 0))
    {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member", "\"id\" cannot be changed");
    }

    *id = client->id;

    return ngx_http_llm_admin_record_keys(a, client);
}


static ngx_int_t
ngx_http_llm_admin_record_keys(ngx_http_llm_admin_t *a,
    ngx_http_llm_client_t *client)
{
    ngx_uint_t                  i;
    ngx_http_llm_client_key_t  *other;

    for (i = 0; i < client->nkeys; i++) {
        other = ngx_http_llm_client_by_key(a->lmcf->clients,
                                           client->keys[i].sha256);

        if (other
            && (other->client->id.len != client->id.len
                || ngx_memcmp(other->client->id.data, client->id.data,
                              client->id.len)
                   != 0))
        {
            return ngx_http_llm_admin_refuse(a, NGX_HTTP_CONFLICT,
                       "key_in_use", "another client has this key");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_admin_record_put(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p, ngx_str_t *text, ngx_str_t *id)
{
    ngx_int_t                  rc;
    ngx_http_llm_store_t      *store;
    ngx_http_llm_party_row_t   row;

    store = &a->lmcf->store;

    if (store->root == NULL) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_CONFLICT, "no_zone",
                   "this needs \"llm_zone\"");
    }

    if (text->len > NGX_HTTP_LLM_PARTY_TEXT) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                   "too_large", "a record may have %d bytes",
                   NGX_HTTP_LLM_PARTY_TEXT);
    }

    ngx_memzero(&row, sizeof(ngx_http_llm_party_row_t));

    row.kind = p->kind;
    row.id = *id;
    row.text = *text;
    row.version = ngx_http_llm_party_version(store, p->kind, id);
    row.lasting = (text->len == 0
                   && ngx_http_llm_client_find(&a->lmcf->clients->ids[p->kind],
                                               id)
                      != NULL);

    rc = ngx_http_llm_party_put(store, &row);

    if (rc == NGX_DECLINED) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_PRECONDITION_FAILED,
                   "version_mismatch", "it was changed meanwhile");
    }

    if (rc == NGX_ERROR) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_INSUFFICIENT_STORAGE,
                   "zone_full", "llm_zone \"%V\" has no room for it",
                   &store->zone->shm.name);
    }

    return NGX_OK;
}


/* Which members were given, never what they are. */

static void
ngx_http_llm_admin_record_audit(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p, ngx_str_t *id)
{
    u_char      mem[1024];
    cJSON      *item;
    llm_buf_t   out;
    llm_str_t   what;
    ngx_str_t   fields;
    ngx_uint_t  n;

    n = 0;
    what = llm_party_name(p->kind);

    llm_buf_init(&out, mem, sizeof(mem));
    llm_json_put_string(&out, what);
    llm_buf_str(&out, LLM_STR(":"));
    llm_json_put_string(&out, (llm_str_t) { id->len, id->data });
    llm_buf_str(&out, LLM_STR(",\"members\":["));

    cJSON_ArrayForEach(item, a->body) {
        if (ngx_strcmp(item->string, "reason") != 0) {
            llm_buf_str(&out, n++ ? LLM_STR(",") : LLM_NOSTR);
            llm_json_put_string(&out, (llm_str_t) { ngx_strlen(item->string),
                                                (u_char *) item->string });
        }
    }

    llm_buf_str(&out, LLM_STR("]"));

    fields.data = mem;
    fields.len = out.full ? 0 : (size_t) (out.pos - out.start);

    ngx_http_llm_audit(&a->lmcf->store, &a->actor, &p->action, &fields);

    ngx_log_error(NGX_LOG_NOTICE, a->request->connection->log, 0,
                  "llm admin: %V of %*s \"%V\" by %V", &p->action, what.len,
                  what.data, id, &a->actor.actor);
}


static void
ngx_http_llm_admin_record_answer(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p, ngx_str_t *id)
{
    ngx_str_t               secret;
    ngx_http_llm_client_t  *client;

    if (p->record == NULL) {
        ngx_http_llm_admin_put_str(a, ngx_http_llm_admin_root(a), "id", id);
        ngx_http_llm_admin_put_bool(a, ngx_http_llm_admin_root(a), "deleted",
                                    1);
        return;
    }

    client = ngx_http_llm_client_by_id(a->lmcf->clients, p->kind, id);

    if (client) {
        ngx_http_llm_admin_party_view(a, NULL, client);
    }

    if (p->has_secret) {
        secret.data = p->secret;
        secret.len = NGX_HTTP_LLM_ADMIN_SECRET;

        ngx_http_llm_admin_put_str(a, ngx_http_llm_admin_root(a), "key",
                                   &secret);
    }
}


/* The record as it was written, but for its keys. */

void
ngx_http_llm_admin_party_view(ngx_http_llm_admin_t *a, cJSON *list,
    ngx_http_llm_client_t *client)
{
    cJSON  *tree, *out, *keys, *member;

    out = list ? ngx_http_llm_admin_put_object(a, list, NULL)
               : ngx_http_llm_admin_root(a);

    tree = cJSON_ParseWithLength((char *) client->text.data, client->text.len);

    if (tree == NULL || out == NULL) {
        cJSON_Delete(tree);
        a->failed = 1;
        return;
    }

    keys = ngx_http_llm_admin_view_keys(a, tree);

    cJSON_DeleteItemFromObjectCaseSensitive(tree, "keys");
    cJSON_DeleteItemFromObjectCaseSensitive(tree, "key_sha256");
    cJSON_DeleteItemFromObjectCaseSensitive(tree, "prefix");

    while ((member = tree->child)) {
        (void) cJSON_DetachItemViaPointer(tree, member);
        (void) ngx_http_llm_admin_put(a, out, member->string, member);
    }

    cJSON_Delete(tree);

    if (client->kind == LLM_PARTY_CLIENT) {
        (void) ngx_http_llm_admin_put(a, out, "keys", keys);

    } else {
        cJSON_Delete(keys);
    }

    ngx_http_llm_admin_put_word(a, out, "source",
                                client->version ? LLM_STR("admin")
                                                : LLM_STR("file"));
    ngx_http_llm_admin_put_number(a, out, "version",
                                  (double) client->version);
}


static cJSON *
ngx_http_llm_admin_view_keys(ngx_http_llm_admin_t *a, cJSON *tree)
{
    cJSON  *list, *key;

    list = cJSON_CreateArray();

    if (cJSON_GetObjectItemCaseSensitive(tree, "key_sha256")) {
        ngx_http_llm_admin_view_one_key(a, list,
                        cJSON_GetObjectItemCaseSensitive(tree, "prefix"),
                        NULL);
        return list;
    }

    cJSON_ArrayForEach(key, cJSON_GetObjectItemCaseSensitive(tree, "keys")) {
        ngx_http_llm_admin_view_one_key(a, list,
                        cJSON_GetObjectItemCaseSensitive(key, "prefix"),
                        cJSON_GetObjectItemCaseSensitive(key, "expires"));
    }

    return list;
}


static void
ngx_http_llm_admin_view_one_key(ngx_http_llm_admin_t *a, cJSON *list,
    cJSON *prefix, cJSON *expires)
{
    cJSON  *out;

    out = ngx_http_llm_admin_put_object(a, list, NULL);

    (void) ngx_http_llm_admin_put(a, out, "prefix",
               prefix ? cJSON_Duplicate(prefix, 0) : cJSON_CreateNull());
    (void) ngx_http_llm_admin_put(a, out, "expires",
               expires ? cJSON_Duplicate(expires, 0) : cJSON_CreateNull());
}


/* POST clients/ID/rotate {"grace": "24h"}: a new key; the old ones end. */

ngx_int_t
ngx_http_llm_admin_client_rotate(ngx_http_llm_admin_t *a)
{
    cJSON                       *keys;
    time_t                       grace;
    ngx_int_t                    rc;
    ngx_http_llm_admin_party_t   p;

    static const char  *names[] = { "grace", "version", "reason", NULL };

    ngx_memzero(&p, sizeof(ngx_http_llm_admin_party_t));
    p.kind = LLM_PARTY_CLIENT;
    ngx_str_set(&p.action, "rotate");

    rc = ngx_http_llm_admin_members(a, names);

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_get_reason(a);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_grace(a, &grace);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_party_open(a, &p);
    }

    if (rc == NGX_OK) {
        keys = ngx_http_llm_admin_keys_of(p.record);

        if (keys) {
            ngx_http_llm_admin_end_keys(a, keys, grace);
            rc = ngx_http_llm_admin_add_key(a, &p);

        } else {
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_llm_admin_party_store(a, &p);
    }

    cJSON_Delete(p.record);

    return rc == NGX_OK ? NGX_DONE : rc;
}


static ngx_int_t
ngx_http_llm_admin_grace(ngx_http_llm_admin_t *a, time_t *grace)
{
    ngx_int_t  rc, seconds;
    ngx_str_t  text;

    *grace = 0;

    rc = ngx_http_llm_admin_get_str(a, "grace", &text);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    seconds = ngx_parse_time(&text, 1);

    if (seconds == NGX_ERROR || seconds > NGX_HTTP_LLM_ADMIN_GRACE) {
        return ngx_http_llm_admin_refuse(a, NGX_HTTP_BAD_REQUEST,
                   "invalid_member", "\"grace\" must be a time such as "
                   "\"24h\", a year at most");
    }

    *grace = seconds;

    return NGX_OK;
}


/* The list of keys; a single one becomes a list of one. */

static cJSON *
ngx_http_llm_admin_keys_of(cJSON *record)
{
    cJSON  *keys, *key, *sha256, *prefix;

    keys = cJSON_GetObjectItemCaseSensitive(record, "keys");

    if (cJSON_IsArray(keys)) {
        return keys;
    }

    cJSON_DeleteItemFromObjectCaseSensitive(record, "keys");

    sha256 = cJSON_DetachItemFromObjectCaseSensitive(record, "key_sha256");
    prefix = cJSON_DetachItemFromObjectCaseSensitive(record, "prefix");
    keys = cJSON_AddArrayToObject(record, "keys");

    if (keys == NULL || !cJSON_IsString(sha256)) {
        cJSON_Delete(sha256);
        cJSON_Delete(prefix);
        return keys;
    }

    key = cJSON_CreateObject();

    if (!cJSON_AddItemToObject(key, "sha256", sha256)) {
        cJSON_Delete(sha256);
    }

    if (prefix && !cJSON_AddItemToObject(key, "prefix", prefix)) {
        cJSON_Delete(prefix);
    }

    if (!cJSON_AddItemToArray(keys, key)) {
        cJSON_Delete(key);
        return NULL;
    }

    return keys;
}


static void
ngx_http_llm_admin_end_keys(ngx_http_llm_admin_t *a, cJSON *keys, time_t grace)
{
    int         n;
    cJSON      *key, *next;
    u_char      text[64];
    ngx_tm_t    tm;
    llm_msec_t  end;

    end = (llm_msec_t) (ngx_time() + grace) * 1000;

    ngx_gmtime(ngx_time() + grace, &tm);
    (void) ngx_sprintf(text, "%4d-%02d-%02dT%02d:%02d:%02dZ%Z",
                       tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                       tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

    n = 0;

    for (key = keys->child; key; key = next) {
        next = key->next;

        /* the newest stand first; room is left for another one */

        if (grace == 0 || n == LLM_CLIENT_KEYS - 1
            || ngx_http_llm_admin_ends_before(key,
                                         (llm_msec_t) ngx_time() * 1000))
        {
            cJSON_Delete(cJSON_DetachItemViaPointer(keys, key));
            continue;
        }

        n++;

        if (!ngx_http_llm_admin_ends_before(key, end)) {
            cJSON_DeleteItemFromObjectCaseSensitive(key, "expires");
            a->failed |= (cJSON_AddStringToObject(key, "expires",
                                                  (char *) text) == NULL);
        }
    }
}


static ngx_uint_t
ngx_http_llm_admin_ends_before(cJSON *key, llm_msec_t t)
{
    char        *text;
    llm_msec_t   end;

    text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(key,
                                                                 "expires"));

    return text
           && llm_client_date((llm_str_t) { ngx_strlen(text),
                                            (u_char *) text }, &end) == LLM_OK
           && end <= t;
}


/* sk-llm- and 40 letters and digits: 238 random bits. */

ngx_int_t
ngx_http_llm_admin_add_key(ngx_http_llm_admin_t *a,
    ngx_http_llm_admin_party_t *p)
{
    cJSON   *keys, *key;
    u_char   random[4 * NGX_HTTP_LLM_ADMIN_SECRET], sha256[32];
    u_char   hex[65], prefix[NGX_HTTP_LLM_ADMIN_PREFIX + 1], *s, *last;
    size_t   i;

    static u_char  digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "abcdefghijklmnopqrstuvwxyz";

    if (ngx_http_llm_admin_random(a, random, sizeof(random)) != NGX_OK) {
        return NGX_ERROR;
    }

    s = ngx_cpymem(p->secret, "sk-llm-", sizeof("sk-llm-") - 1);
    last = p->secret + NGX_HTTP_LLM_ADMIN_SECRET;

    for (i = 0; i < sizeof(random) && s < last; i++) {

        /* 248 is the last multiple of 62 in a byte */

        if (random[i] < 248) {
            *s++ = digits[random[i] % 62];
        }
    }

    if (s < last) {
        return NGX_ERROR;
    }

    llm_sha256((llm_str_t) { NGX_HTTP_LLM_ADMIN_SECRET, p->secret }, sha256);
    *ngx_hex_dump(hex, sha256, sizeof(sha256)) = '\0';
    (void) ngx_cpystrn(prefix, p->secret, sizeof(prefix));

    keys = ngx_http_llm_admin_keys_of(p->record);
    key = cJSON_CreateObject();

    if (cJSON_AddStringToObject(key, "sha256", (char *) hex) == NULL
        || cJSON_AddStringToObject(key, "prefix", (char *) prefix) == NULL
        || !cJSON_InsertItemInArray(keys, 0, key))
    {
        cJSON_Delete(key);
        return NGX_ERROR;
    }

    p->has_secret = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_llm_admin_random(ngx_http_llm_admin_t *a, u_char *p, size_t n)
{
    if (RAND_bytes(p, (int) n) != 1) {
        ngx_log_error(NGX_LOG_CRIT, a->request->connection->log, 0,
                      "RAND_bytes() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}
