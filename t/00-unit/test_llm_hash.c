/*
 * Hashes against published values, and murmur2 against numbers of nginx's own.
 */

#include "tap.h"
#include "llm_hash.h"


static void
sha_is(llm_str_t s, const char *want)
{
    size_t         i;
    char           hex[65];
    unsigned char  out[32];

    llm_sha256(s, out);

    for (i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", out[i]);
    }

    is_str(tap_c(hex), want, "sha256");
}


static void
test_sha256(void)
{
    size_t         i;
    unsigned char  a[1000], all[32 * 200];

    sha_is(LLM_NOSTR, "e3b0c44298fc1c149afbf4c8996fb924"
                      "27ae41e4649b934ca495991b7852b855");
    sha_is(LLM_STR("abc"), "ba7816bf8f01cfea414140de5dae2223"
                           "b00361a396177a9cb410ff61f20015ad");
    sha_is(LLM_STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");

    /* every length around the padding's edges, folded into one value */

    memset(a, 'a', sizeof(a));

    for (i = 0; i < 200; i++) {
        llm_sha256((llm_str_t) { i, a }, all + 32 * i);
    }

    sha_is((llm_str_t) { sizeof(all), all },
           "752c007f38611cfbf5fa42cb1cea3d8e"
           "086491c844d0cc4defd632cb81423506");
    sha_is((llm_str_t) { sizeof(a), a },
           "41edece42d63e8d9bf515a9ba6932e1c"
           "20cbc9f5a5d134645adb5db1b9737ea3");
}


static void
test_murmur2(void)
{
    is_int(llm_murmur2(LLM_NOSTR), 0x00000000u, "murmur2 of nothing");
    is_int(llm_murmur2(LLM_STR("a")), 0x92685f5eu, "murmur2 of one byte");
    is_int(llm_murmur2(LLM_STR("ab")), 0x1aa14063u, "murmur2 of two");
    is_int(llm_murmur2(LLM_STR("abc")), 0x13577c9bu, "murmur2 of three");
    is_int(llm_murmur2(LLM_STR("abcd")), 0x26873021u, "murmur2 of four");
    is_int(llm_murmur2(LLM_STR("user-4711@example.com")), 0x1c70a42eu,
           "murmur2 of more");
    is_int(llm_murmur2(LLM_STR("\xff\x80\xfe\x90\xff\xff\xff")), 0xa947b5bcu,
           "murmur2 of high bytes");
}


static void
test_fnv(void)
{
    ok(llm_fnv64(LLM_NOSTR, 0) == 0xcbf29ce484222325u, "fnv of nothing");
    ok(llm_fnv64(LLM_STR("a"), 0) == 0xaf63dc4c8601ec8cu, "fnv of a");
    ok(llm_fnv64(LLM_STR("foobar"), 0) == 0x85944171f73967e8u,
       "fnv of foobar");
    ok(llm_fnv64(LLM_STR("a"), 1) != llm_fnv64(LLM_STR("a"), 2),
       "seeds make a difference");
}


int
main(void)
{
    test_sha256();
    test_murmur2();
    test_fnv();

    return tap_done();
}
