/*
 * Limits and budgets of a record, as rules: made once for all records of the
 * file that say the same.
 */

#include "ngx_http_llm_client.h"
#include "ngx_http_llm_rule.h"

#include "llm_hash.h"


#define NGX_HTTP_LLM_CLIENT_RULES  32           /* of one record */
#define NGX_HTTP_LLM_ZONEINFO      "/usr/share/zoneinfo/"
#define NGX_HTTP_LLM_ZONE_SIZE     65536


/* What records say that have the same rules. */
typedef struct {
    llm_party_t              kind;
    llm_str_t                limits;
    llm_str_t                budgets;
    ngx_str_t                timezone;
    ngx_array_t             *rules;
} ngx_http_llm_client_rules_t;


typedef struct {
    ngx_str_t                name;
    llm_tz_t                 tz;
} ngx_http_llm_client_zone_t;


static uint64_t ngx_http_llm_client_rules_hash(ngx_http_llm_client_t *client,
    const llm_client_record_t *rec);
static ngx_array_t *ngx_http_llm_client_rules_find(
    ngx_http_llm_clients_t *clients, ngx_http_llm_client_t *client,
    const llm_client_record_t *rec, uint64_t hash);
static ngx_int_t ngx_http_llm_client_rules_keep(
    ngx_http_llm_client_maker_t *maker, ngx_http_llm_client_t *client,
    const llm_client_record_t *rec, uint64_t hash);
static ngx_int_t ngx_http_llm_client_rules_list(
    ngx_http_llm_client_maker_t *maker, ngx_http_llm_client_t *client,
    llm_str_t list, ngx_uint_t budget, const llm_tz_t *tz);
static ngx_int_t ngx_http_llm_client_rule(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, ngx_str_t *text, ngx_uint_t budget,
    const llm_tz_t *tz);
static char *ngx_http_llm_client_rule_check(ngx_http_llm_client_t *client,
    ngx_http_llm_rule_t *rule, ngx_uint_t budget);
static ngx_int_t ngx_http_llm_client_zone(ngx_http_llm_client_maker_t *maker,
    ngx_str_t *name, const llm_tz_t **tz);
static ngx_int_t ngx_http_llm_client_zone_read(
    ngx_http_llm_client_maker_t *maker, ngx_http_llm_client_zone_t *zone);


/* in the order of llm_party_t */

static ngx_uint_t  ngx_http_llm_client_scopes[] = {
    NGX_HTTP_LLM_PER_CLIENT, NGX_HTTP_LLM_PER_USER, NGX_HTTP_LLM_PER_ORG
};


ngx_int_t
ngx_http_llm_client_rules(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, const llm_client_record_t *rec)
{
    uint64_t         hash;
    const llm_tz_t  *tz;

    if (ngx_http_llm_client_zone(maker, &client->timezone, &tz) != NGX_OK) {
        maker->member.data = (u_char *) "timezone";
        maker->member.len = sizeof("timezone") - 1;
        return NGX_ERROR;
    }

    if (rec->limits.data == NULL && rec->budgets.data == NULL) {
        return NGX_OK;
    }

    hash = ngx_http_llm_client_rules_hash(client, rec);

    client->rules = ngx_http_llm_client_rules_find(maker->clients, client, rec,
                                                   hash);
    if (client->rules) {
        return NGX_OK;
    }

    client->rules = ngx_array_create(maker->pool, 2, sizeof(void *));

    if (client->rules == NULL
        || ngx_http_llm_client_rules_list(maker, client, rec->limits, 0, tz)
           != NGX_OK
        || ngx_http_llm_client_rules_list(maker, client, rec->budgets, 1, tz)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return maker->keep ? ngx_http_llm_client_rules_keep(maker, client, rec,
                                                        hash)
                       : NGX_OK;
}


static uint64_t
ngx_http_llm_client_rules_hash(ngx_http_llm_client_t *client,
    const llm_client_record_t *rec)
{
    uint64_t  hash;

    hash = llm_fnv64(rec->limits, client->kind);
    hash = llm_fnv64(rec->budgets, hash);

    return llm_fnv64(rec->timezone, hash);
}


static ngx_array_t *
ngx_http_llm_client_rules_find(ngx_http_llm_clients_t *clients,
    ngx_http_llm_client_t *client, const llm_client_record_t *rec,
    uint64_t hash)
{
    size_t                        at;
    ngx_http_llm_client_rules_t  *kept;

    at = 0;

    while ((kept = llm_index_next(&clients->rules, hash, &at))) {
        if (kept->kind == client->kind
            && llm_str_eq(kept->limits, rec->limits)
            && llm_str_eq(kept->budgets, rec->budgets)
            && kept->timezone.len == client->timezone.len
            && ngx_memcmp(kept->timezone.data, client->timezone.data,
                          kept->timezone.len)
               == 0)
        {
            return kept->rules;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_llm_client_rules_keep(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, const llm_client_record_t *rec,
    uint64_t hash)
{
    ngx_http_llm_client_rules_t  *kept;

    kept = ngx_palloc(maker->pool, sizeof(ngx_http_llm_client_rules_t));
    if (kept == NULL) {
        return NGX_ERROR;
    }

    kept->kind = client->kind;
    kept->limits = rec->limits;
    kept->budgets = rec->budgets;
    kept->timezone = client->timezone;
    kept->rules = client->rules;

    return ngx_http_llm_client_index(maker->pool, &maker->clients->rules, hash,
                                     kept);
}


static ngx_int_t
ngx_http_llm_client_rules_list(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, llm_str_t list, ngx_uint_t budget,
    const llm_tz_t *tz)
{
    llm_str_t        s;
    ngx_str_t        text;
    llm_json_iter_t  it;

    if (llm_client_list_begin(&it, list) != LLM_OK) {
        return NGX_OK;
    }

    while (llm_client_list_next(&it, &maker->mem, &s) == LLM_OK) {
        text.len = s.len;
        text.data = (u_char *) s.data;

        if (ngx_http_llm_client_rule(maker, client, &text, budget, tz)
            != NGX_OK)
        {
            maker->member.data = (u_char *) (budget ? "budgets" : "limits");
            maker->member.len = ngx_strlen(maker->member.data);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_client_rule(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_t *client, ngx_str_t *text, ngx_uint_t budget,
    const llm_tz_t *tz)
{
    char                  *why;
    ngx_http_llm_rule_t   *rule, **slot;

    rule = ngx_palloc(maker->pool, sizeof(ngx_http_llm_rule_t));
    if (rule == NULL) {
        return NGX_ERROR;
    }

    why = ngx_http_llm_rule_parse(maker->pool, text,
                                  ngx_http_llm_client_scopes[client->kind],
                                  rule);
    if (why == NULL) {
        why = ngx_http_llm_client_rule_check(client, rule, budget);
    }

    if (why) {
        (void) ngx_snprintf(maker->text, sizeof(maker->text), "has \"%*s\", "
                            "which %s%Z", ngx_min(text->len, 64), text->data,
                            why);
        maker->why = (char *) maker->text;
        return NGX_ERROR;
    }

    if (rule->limit.clock == LLM_CLOCK_CALENDAR) {
        rule->limit.tz = tz;
    }

    slot = ngx_array_push(client->rules);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = rule;

    return NGX_OK;
}


/* Two rules that count the same would be one counter with two maximums. */

static char *
ngx_http_llm_client_rule_check(ngx_http_llm_client_t *client,
    ngx_http_llm_rule_t *rule, ngx_uint_t budget)
{
    ngx_uint_t             i;
    ngx_http_llm_rule_t  **other;

    if (rule->budget != (budget ? 1 : 0)) {
        return budget ? "is a limit, but stands in \"budgets\""
                      : "is a budget, but stands in \"limits\"";
    }

    if (client->rules->nelts == NGX_HTTP_LLM_CLIENT_RULES) {
        return "is the 33rd of them: 32 are possible";
    }

    other = client->rules->elts;

    for (i = 0; i < client->rules->nelts; i++) {
        if (other[i]->id == rule->id) {
            return "counts the same as another one";
        }
    }

    return NULL;
}


/* An organisation's days begin at its own midnight.  *tz is NULL for UTC. */

static ngx_int_t
ngx_http_llm_client_zone(ngx_http_llm_client_maker_t *maker, ngx_str_t *name,
    const llm_tz_t **tz)
{
    size_t                       at;
    uint64_t                     hash;
    ngx_pool_t                  *pool;
    ngx_http_llm_client_zone_t  *zone;

    *tz = NULL;

    if (name->len == 0) {
        return NGX_OK;
    }

    at = 0;
    hash = llm_fnv64((llm_str_t) { name->len, name->data }, 0);

    while ((zone = llm_index_next(&maker->clients->zones, hash, &at))) {
        if (zone->name.len == name->len
            && ngx_memcmp(zone->name.data, name->data, name->len) == 0)
        {
            *tz = &zone->tz;
            return NGX_OK;
        }
    }

    /* it stays for whoever names it next */

    pool = maker->keep ? maker->pool : maker->clients->live_pool;

    zone = ngx_pcalloc(pool, sizeof(ngx_http_llm_client_zone_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->name.len = name->len;
    zone->name.data = ngx_pstrdup(pool, name);

    if (zone->name.data == NULL
        || ngx_http_llm_client_zone_read(maker, zone) != NGX_OK
        || ngx_http_llm_client_index(pool, &maker->clients->zones, hash, zone)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *tz = &zone->tz;

    return NGX_OK;
}


static ngx_int_t
ngx_http_llm_client_zone_read(ngx_http_llm_client_maker_t *maker,
    ngx_http_llm_client_zone_t *zone)
{
    u_char    *buf, path[sizeof(NGX_HTTP_LLM_ZONEINFO) + LLM_CLIENT_ID];
    ssize_t    n;
    ngx_fd_t   fd;
    llm_rc_t   rc;

    maker->why = "is no time zone, expected a name such as \"Europe/Berlin\", "
                 "and the package tzdata";

    (void) ngx_sprintf(path, NGX_HTTP_LLM_ZONEINFO "%V%Z", &zone->name);

    if (ngx_strstr(path, "..") != NULL) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(path, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK, NGX_FILE_OPEN,
                       0);
    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    rc = LLM_BAD;
    buf = ngx_alloc(NGX_HTTP_LLM_ZONE_SIZE, maker->clients->log);

    if (buf) {
        n = read(fd, buf, NGX_HTTP_LLM_ZONE_SIZE);

        if (n > 0) {
            rc = llm_tz_parse((llm_str_t) { (size_t) n, buf }, &zone->tz);
        }

        ngx_free(buf);
    }

    (void) ngx_close_file(fd);

    if (rc != LLM_OK) {
        return NGX_ERROR;
    }

    maker->why = NULL;

    return NGX_OK;
}


/* Totals are in the zone, so every worker finds them for itself. */

void
ngx_http_llm_client_rules_link(ngx_http_llm_clients_t *clients,
    ngx_array_t *rules)
{
    ngx_uint_t             i;
    ngx_http_llm_rule_t  **rule;

    if (rules == NULL || clients->store->root == NULL) {
        return;
    }

    rule = rules->elts;

    for (i = 0; i < rules->nelts; i++) {
        ngx_http_llm_rule_link(clients->store, rule[i]);
    }
}


void
ngx_http_llm_clients_run(ngx_http_llm_clients_t *clients)
{
    size_t                        i;
    ngx_http_llm_client_rules_t  *kept;

    for (i = 0; i < clients->rules.size; i++) {
        kept = clients->rules.slot[i].item;

        if (kept) {
            ngx_http_llm_client_rules_link(clients, kept->rules);
        }
    }
}
