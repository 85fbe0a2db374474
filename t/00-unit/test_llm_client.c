/*
 * Records of clients: every member, every mistake, whole files, names with "*",
 * and the table in which keys are found.
 */

#include "tap.h"
#include "llm_client.h"
#include "llm_hash.h"
#include "llm_index.h"

#define SHA  "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
#define MANY  50000

static unsigned char  mem[4096];


static llm_rc_t
record(llm_party_t kind, const char *text, llm_client_record_t *rec,
    llm_client_error_t *error)
{
    llm_buf_t  b;

    llm_buf_init(&b, mem, sizeof(mem));

    return llm_client_record(kind, tap_c(text), &b, rec, error);
}


static void
bad(llm_party_t kind, const char *text, const char *member, const char *why)
{
    llm_client_error_t   error = { NULL, LLM_NOSTR };
    llm_client_record_t  rec;

    ok(record(kind, text, &rec, &error) == LLM_BAD
       && llm_str_eq(error.member, tap_c(member))
       && strstr(error.why, why) != NULL, text);

    if (error.why && strstr(error.why, why) == NULL) {
        printf("# \"%.*s\" %s\n", (int) error.member.len, error.member.data,
               error.why);
    }
}


static void
test_members(void)
{
    llm_str_t            s;
    llm_buf_t            b;
    unsigned char        text[64];
    llm_json_iter_t      it;
    llm_client_error_t   error;
    llm_client_record_t  r;

    ok(record(LLM_PARTY_CLIENT,
              "{\"id\":\"app-1\",\"name\":\"The \\\"App\\\"\",\"key_sha256\":\""
              SHA "\",\"prefix\":\"sk-llm-ab\",\"user\":\"u\",\"org\":\"o\","
              "\"models\":[\"a\",\"b\\u002a\"],\"routes\":[],"
              "\"expires\":\"2026-11-20T10:00:00Z\",\"disabled\":true,"
              "\"priority\":\"high\",\"limits\":[\"60r/m\"],"
              "\"budgets\":[\"50usd/d\"],\"metadata\":{\"Team\":\"x\","
              "\"n\":5}}", &r, &error) == LLM_OK, "every member");

    is_str(r.id, "app-1", "id");
    is_str(r.name, "The \"App\"", "a name with escapes");
    is_int((long long) r.key_n, 1, "one key");
    is_int(r.key[0].sha256[0], 0x01, "its first byte");
    is_int(r.key[0].sha256[31], 0xef, "... and its last");
    is_str(r.key[0].prefix, "sk-llm-ab", "its prefix");
    ok(r.key[0].expires == LLM_NEVER, "... and no end");
    is_str(r.user, "u", "user");
    is_str(r.org, "o", "org");
    ok(r.expires == 1795168800000ULL, "expires");
    ok(r.disabled == 1 && r.priority == LLM_PRIORITY_HIGH, "state");

    llm_buf_init(&b, text, sizeof(text));
    ok(llm_client_list_begin(&it, r.models) == LLM_OK, "models");
    ok(llm_client_list_next(&it, &b, &s) == LLM_OK, "the first");
    is_str(s, "a", "...");
    ok(llm_client_list_next(&it, &b, &s) == LLM_OK, "the second");
    is_str(s, "b*", "...");
    ok(llm_client_list_next(&it, &b, &s) == LLM_NONE, "the end");

    ok(r.routes.data != NULL, "an empty list is not an absent one");
    ok(llm_client_list_begin(&it, r.routes) == LLM_OK
       && llm_client_list_next(&it, &b, &s) == LLM_NONE, "... nothing in it");

    ok(llm_client_metadata(r.metadata, LLM_STR("team"), &b, &s) == LLM_OK,
       "metadata");
    is_str(s, "x", "... a text");
    ok(llm_client_metadata(r.metadata, LLM_STR("N"), &b, &s) == LLM_OK,
       "... whatever the case");
    is_str(s, "5", "... a number");
    ok(llm_client_metadata(r.metadata, LLM_STR("m"), &b, &s) == LLM_NONE,
       "... not there");
    ok(llm_client_metadata(LLM_NOSTR, LLM_STR("m"), &b, &s) == LLM_NONE,
       "... none at all");

    ok(record(LLM_PARTY_CLIENT, " { \"id\" : \"a\", \"user\":null } ", &r,
              &error) == LLM_OK, "the least");
    ok(r.key_n == 0 && r.expires == LLM_NEVER && r.models.data == NULL
       && r.priority == LLM_PRIORITY_UNSET && !r.disabled && r.user.len == 0,
       "... has defaults");
    ok(llm_client_list_begin(&it, r.models) == LLM_NONE, "... and no list");

    ok(record(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"keys\":[{\"sha256\":\"" SHA
              "\",\"prefix\":\"x\"},{\"sha256\":\"" SHA
              "\",\"expires\":\"2026-11-20\"},{\"sha256\":\"" SHA
              "\",\"expires\":null}]}", &r, &error) == LLM_OK, "keys");
    is_int((long long) r.key_n, 3, "... three");
    ok(r.key[1].expires == 1795132800000ULL, "... one with an end");
    ok(r.key[0].expires == LLM_NEVER && r.key[2].expires == LLM_NEVER,
       "... two without");

    ok(record(LLM_PARTY_USER, "{\"id\":\"u\",\"org\":\"o\",\"limits\":[]}", &r,
              &error) == LLM_OK, "a user");
    ok(record(LLM_PARTY_ORG, "{\"id\":\"o\",\"timezone\":\"Europe/Berlin\"}",
              &r, &error) == LLM_OK, "an organisation");
}


static void
test_mistakes(void)
{
    bad(LLM_PARTY_CLIENT, "5", "", "no object");
    bad(LLM_PARTY_CLIENT, "[]", "", "no object");
    bad(LLM_PARTY_CLIENT, "{}", "id", "missing");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"\"}", "id", "missing");
    bad(LLM_PARTY_CLIENT, "{\"id\":5}", "id", "string");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\\n\"}", "id", "control");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\\u0000b\"}", "id", "control");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"id\":\"b\"}", "id", "twice");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"modells\":[]}", "modells",
        "unknown");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"key\":\"sk-secret\"}", "key",
        "unknown");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"models\":\"a\"}", "models", "list");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"models\":[5]}", "models", "list");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"models\":[\"\"]}", "models",
        "empty");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"limits\":{}}", "limits", "list");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"expires\":\"soon\"}", "expires",
        "date");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"expires\":5}", "expires", "date");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"disabled\":\"no\"}", "disabled",
        "true or false");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"priority\":\"top\"}", "priority",
        "normal");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"metadata\":[]}", "metadata",
        "object");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"metadata\":{\"a\":01}}", "metadata",
        "object");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"key_sha256\":\"abc\"}", "key_sha256",
        "64 hexadecimal");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"key_sha256\":\"sk-56789abcdef0123456"
        "789ABCDEF0123456789abcdef0123456789abcdef0\"}", "key_sha256",
        "64 hexadecimal");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"key_sha256\":\"" SHA
        "\",\"keys\":[]}", "keys", "beside");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"keys\":[{\"sha256\":\"" SHA
        "\"}],\"key_sha256\":\"" SHA "\"}", "key_sha256", "beside");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"keys\":[{}]}", "keys", "without");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"keys\":[5]}", "keys", "objects");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"keys\":[{\"hash\":\"\"}]}", "keys",
        "takes only");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"keys\":[{\"sha256\":\"" SHA
        "\",\"expires\":\"x\"}]}", "keys", "no date");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\",\"prefix\":\"sk-llm-0123456789\"}",
        "prefix", "longer");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\"", "", "not valid JSON");
    bad(LLM_PARTY_CLIENT, "{\"id\":\"a\"} x", "", "not valid JSON");
    bad(LLM_PARTY_USER, "{\"id\":\"a\",\"models\":[]}", "models", "unknown");
    bad(LLM_PARTY_USER, "{\"id\":\"a\",\"timezone\":\"UTC\"}", "timezone",
        "unknown");
    bad(LLM_PARTY_ORG, "{\"id\":\"a\",\"org\":\"b\"}", "org", "unknown");
}


static const char *
walk(const char *text, llm_client_error_t *error)
{
    size_t              n;
    llm_rc_t            rc;
    llm_str_t           s;
    llm_client_file_t   file;

    static char  seen[256];

    n = 0;
    seen[0] = '\0';
    rc = llm_client_file_begin(&file, tap_c(text), error);

    while (rc == LLM_OK) {
        rc = llm_client_file_next(&file, &s, error);

        if (rc == LLM_OK) {
            n += (size_t) snprintf(seen + n, sizeof(seen) - n, "%d.%zu=%.*s ",
                                   (int) file.kind, file.at, (int) s.len,
                                   s.data);
        }
    }

    return rc == LLM_NONE ? seen : "bad";
}


static void
test_files(void)
{
    llm_client_error_t  error;

    ok(strcmp(walk("{\"clients\":[{\"id\":\"a\"},5],\"orgs\":[{}],"
                   "\"users\":[ ]}", &error),
              "0.1={\"id\":\"a\"} 0.2=5 2.1={} ") == 0, "all lists");
    ok(strcmp(walk("{}", &error), "") == 0, "an empty file");
    ok(strcmp(walk("[]", &error), "bad") == 0, "no object");
    ok(strcmp(walk("", &error), "bad") == 0, "nothing");
    ok(strcmp(walk("{\"clients\":[]} {}", &error), "bad") == 0, "more behind");
    ok(strcmp(walk("{\"clients\":{}}", &error), "bad") == 0
       && llm_str_eq(error.member, LLM_STR("clients")), "no list");
    ok(strcmp(walk("{\"client\":[]}", &error), "bad") == 0
       && llm_str_eq(error.member, LLM_STR("client")), "an unknown list");
    ok(strcmp(walk("{\"orgs\":[],\"orgs\":[]}", &error), "bad") == 0,
       "a list twice");
    ok(strcmp(walk("{\"clients\":[{\"id\":\"a\"}", &error), "bad") == 0,
       "cut off");
}


static void
glob(const char *pattern, const char *text, int want)
{
    ok(llm_glob(tap_c(pattern), tap_c(text)) == want, pattern);
}


static void
test_globs(void)
{
    glob("gpt-4o", "gpt-4o", 1);
    glob("gpt-4o", "gpt-4o-mini", 0);
    glob("gpt-4o*", "gpt-4o-mini", 1);
    glob("gpt-4o*", "gpt-4", 0);
    glob("*", "", 1);
    glob("*", "anything/at:all", 1);
    glob("", "", 1);
    glob("", "a", 0);
    glob("*-mini", "gpt-4o-mini", 1);
    glob("*-mini", "gpt-4o-mini-2", 0);
    glob("a*b*c", "abbbcbc", 1);
    glob("a*b*c", "abbbcb", 0);
    glob("**a", "ba", 1);
    glob("a?c", "abc", 0);
    glob("*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0);
}


static void
test_index(void)
{
    size_t         i, k, size;
    uint32_t      *item;
    uint64_t       hash;
    uint32_t      *found;
    long long      good;
    llm_index_slot_t    *slot, *larger;
    llm_index_t    index, old;

    size = llm_index_size(MANY / 2);
    item = calloc(MANY, sizeof(uint32_t));
    slot = calloc(size, sizeof(llm_index_slot_t));
    llm_index_init(&index, slot, size);

    /* hashes collide on purpose: 16 things of each */

    for (i = 0; i < MANY; i++) {
        item[i] = (uint32_t) i;
        hash = (i % (MANY / 16)) * 0x9e3779b97f4a7c15ULL;

        if (llm_index_add(&index, hash, &item[i]) == LLM_FULL) {
            old = index;
            larger = calloc(2 * size, sizeof(llm_index_slot_t));
            llm_index_init(&index, larger, 2 * size);
            llm_index_move(&index, &old);
            free(slot);
            slot = larger;
            size *= 2;
            ok(llm_index_add(&index, hash, &item[i]) == LLM_OK, "grown");
        }
    }

    is_int((long long) index.n, MANY, "all are there");

    /* every third is taken out */

    good = 0;
    for (i = 0; i < MANY; i += 3) {
        hash = (i % (MANY / 16)) * 0x9e3779b97f4a7c15ULL;
        good += llm_index_remove(&index, hash, &item[i]) == LLM_OK;
    }
    is_int(good, (MANY + 2) / 3, "a third is removed");
    ok(llm_index_remove(&index, 0, &item[0]) == LLM_NONE, "... once");

    good = 0;
    for (i = 0; i < MANY; i++) {
        hash = (i % (MANY / 16)) * 0x9e3779b97f4a7c15ULL;
        k = 0;

        while ((found = llm_index_next(&index, hash, &k))) {
            if (*found == i) {
                break;
            }
        }

        good += (found != NULL) == (i % 3 != 0);
    }
    is_int(good, MANY, "the others are found, those are not");

    k = 0;
    ok(llm_index_next(&index, 12345, &k) == NULL, "an unknown hash");

    llm_index_init(&old, NULL, 0);
    k = 0;
    ok(llm_index_next(&old, 1, &k) == NULL, "an empty table");
    ok(llm_index_add(&old, 1, item) == LLM_FULL, "... takes nothing");
    ok(llm_index_remove(&old, 1, item) == LLM_NONE, "... gives nothing");

    free(slot);
    free(item);
}


int
main(void)
{
    unsigned char  a[32], b[32];

    test_members();
    test_mistakes();
    test_files();
    test_globs();
    test_index();

    llm_sha256(LLM_STR("a"), a);
    llm_sha256(LLM_STR("a"), b);
    ok(llm_client_same_key(a, b), "the same key");
    b[31] ^= 1;
    ok(!llm_client_same_key(a, b), "another one");

    is_str(llm_party_name(LLM_PARTY_ORG), "org", "a word for it");
    is_str(llm_priority_name(LLM_PRIORITY_LOW), "low", "... and it");

    return tap_done();
}
