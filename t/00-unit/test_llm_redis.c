/*
 * Slots of a cluster, redirections, the report of INFO.
 */

#include "tap.h"
#include "llm_redis.h"


static llm_str_t
s(const char *text)
{
    return (llm_str_t) { strlen(text), (const unsigned char *) text };
}


static void
test_slots(void)
{
    /* from the specification, and from CLUSTER KEYSLOT of redis 7 */

    is_int(llm_redis_slot(s("123456789")), 0x31c3 % 16384, "CRC16");
    is_int(llm_redis_slot(s("foo")), 12182, "foo");
    is_int(llm_redis_slot(s("bar")), 5061, "bar");
    is_int(llm_redis_slot(s("")), 0, "an empty key");
    is_int(llm_redis_slot(s("llmgw:{foo}:lim")), 12182, "a tag");
    is_int(llm_redis_slot(s("{foo}{bar}")), 12182, "the first tag");
    is_int(llm_redis_slot(s("foo{}{bar}")), 8363, "an empty tag is none");
    is_int(llm_redis_slot(s("foo{{bar}}zap")), 4015, "a brace in a tag");
    ok(llm_redis_slot(s("{foo")) != 12182, "a tag without an end is none");
    ok(llm_redis_slot(s("x}{foo}")) == 12182, "an end before the tag");
    ok(llm_redis_slot(s("{")) < 16384, "only a brace");
}


static void
test_redirects(void)
{
    size_t                i;
    llm_redis_redirect_t  to;
    static const char    *bad[] = {
        "MOVED ", "MOVED 3999", "MOVED 3999 ", "MOVED 3999 host",
        "MOVED 16384 h:1", "MOVED -1 h:1", "MOVED x h:1", "MOVED 1 h:",
        "MOVED 1 h:0", "MOVED 1 h:65536", "MOVED 1 h:1x", "MOVED  h:1",
        "MOVED 000001 h:1", "ASK 1", "ASK 1 :", "MOVED 1 h:4294967297"
    };

    ok(llm_redis_redirect(s("MOVED 3999 127.0.0.1:6381"), &to) == LLM_OK,
       "MOVED");
    is_int(to.slot, 3999, "... a slot");
    is_int(to.port, 6381, "... a port");
    ok(llm_str_eq(to.host, s("127.0.0.1")), "... a host");
    ok(!to.ask, "... for good");

    ok(llm_redis_redirect(s("ASK 16383 redis-2.local:7000"), &to) == LLM_OK
       && to.ask && to.slot == 16383, "ASK");
    ok(llm_redis_redirect(s("MOVED 1 2001:db8::1:6379"), &to) == LLM_OK
       && llm_str_eq(to.host, s("2001:db8::1")) && to.port == 6379, "IPv6");
    ok(llm_redis_redirect(s("MOVED 1 :6379"), &to) == LLM_OK
       && to.host.len == 0, "the host that says so");

    ok(llm_redis_redirect(s("ERR unknown"), &to) == LLM_NONE, "an error");
    ok(llm_redis_redirect(s(""), &to) == LLM_NONE, "nothing");
    ok(llm_redis_redirect(s("MOVEDX 1 h:1"), &to) == LLM_NONE, "another");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(llm_redis_redirect(s(bad[i]), &to) != LLM_OK, bad[i]);
    }
}


static void
test_info(void)
{
    llm_str_t  text;

    text = s("# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nempty:\r\n"
             "no_run_id:x\r\n\r\n# Replication\r\nrole:master");

    ok(llm_str_eq(llm_redis_info(text, s("redis_version")), s("7.0.15")),
       "a field");
    ok(llm_str_eq(llm_redis_info(text, s("run_id")), s("abc")),
       "not another that ends so");
    ok(llm_str_eq(llm_redis_info(text, s("role")), s("master")),
       "the last, without a line end");
    is_int(llm_redis_info(text, s("empty")).len, 0, "an empty one");
    is_int(llm_redis_info(text, s("missing")).len, 0, "none");
    is_int(llm_redis_info(s(""), s("role")).len, 0, "nothing at all");
}


int
main(void)
{
    test_slots();
    test_redirects();
    test_info();

    return tap_done();
}
